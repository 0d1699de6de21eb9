//! Two-way sync told step by step, between two remotes with which nothing is wrong.

use std::sync::Arc;
use syncline_adapters::write::{CreateGuard, UpdateGuard};
use syncline_core::plan::rows::{ConflictRow, IntentId, IntentRow, IntentState, LinkRow};
use syncline_core::value::Value;
use syncline_engine::decide::Decider;
use syncline_engine::edit::{Answer, repeat, settle};
use syncline_engine::undo::undo;
use syncline_engine::{Options, Report, World, execute};
use syncline_sim::bug::Bug;
use syncline_sim::mix::world;
use syncline_sim::remote::{People, Remote, Traits};
use syncline_sim::time::{Crash, VirtualClock};
use syncline_store::overlay::OverlayStore;
use syncline_store::query::{ConflictFilter, DeadLetterFilter, IntentFilter, ShardFilter};
use syncline_store::sqlite::{Options as StoreOptions, SqliteStore};
use syncline_store::{Store, execution::Worker};

pub(crate) struct Story {
    pub(crate) a: Arc<Remote>,
    pub(crate) b: Arc<Remote>,
    clock: Arc<VirtualClock>,
    world: Arc<World>,
}

pub(crate) fn traits() -> Traits {
    Traits {
        create: CreateGuard::IdempotencyKey { remembered_ms: 1_000_000 },
        update: UpdateGuard::Strong,
        versions: true,
        normalises: false,
        shows: true,
        reuses: false,
        merges: None,
        drifts: false,
        batch_max: 100,
        granularity_us: 1,
        skew_us: 0,
        lands_within_ms: 0,
        found_within_ms: 0,
        trouble: 0,
    }
}

pub(crate) fn sqlite() -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(":memory:", StoreOptions::default()).unwrap())
}

impl Story {
    /// Two remotes; `task` is what the tasks of both say besides.
    async fn new(task: &str, store: Arc<dyn Store>) -> Self {
        Self::with(traits(), "bidirectional", task, store).await
    }

    pub(crate) async fn with(
        b: Traits,
        direction: &str,
        task: &str,
        store: Arc<dyn Store>,
    ) -> Self {
        let (clock, crash) = (VirtualClock::new(), Arc::<Crash>::default());
        let remote = |name: &str, traits| {
            let ways = (clock.clone(), crash.clone());
            let remote = Remote::new(name, traits, ways, Bug::None, 1, People::default());
            remote.heal();
            remote
        };
        let (a, b) = (remote("a", traits()), remote("b", b));
        let connection = |name: &str| {
            format!(
                "  {name}: {{ adapter: file, entities: {{ person: {{ path: {name}.csv, key: id, modified: at, version: v }} }} }}\n"
            )
        };
        let text = format!(
            "connections:\n{}{}shard_types:\n  person: {{ fields: {{ email: text, name: text, notes: text }}, identity: [email] }}\n\
             conversion_schemas:\n  person: {{ shard_type: person, fields: {{ email: email, name: name, notes: notes }} }}\n\
             sync_tasks:\n  a: {{ connection: a, entity: person, conversion_schema: person, direction: bidirectional, mode: full{task} }}\n  \
             b: {{ connection: b, entity: person, conversion_schema: person, direction: {direction}, mode: full{task} }}\n",
            connection("a"),
            connection("b"),
        );
        let world = world(text, vec![a.clone(), b.clone()], store).await.unwrap();
        Self { a, b, clock, world }
    }

    pub(crate) async fn run(&self, task: &str) -> Report {
        self.run_with(task, Options::default()).await
    }

    async fn run_with(&self, task: &str, options: Options) -> Report {
        self.clock.pass(3_600_000_000);
        let options = Options { worker: Worker::current(), ..options };
        let report = execute(&self.world, task, &*self.clock, options).await.unwrap();
        assert!(report.results.balance(), "{report:?}");
        report
    }

    /// Runs both until nothing is written.
    pub(crate) async fn quiet(&self) {
        let mut quiet = 0;
        for _ in 0..8 {
            let before = self.a.writes() + self.b.writes();
            for task in ["a", "b"] {
                let report = self.run(task).await;
                assert_eq!((report.status.as_str(), &report.error), ("success", &None));
            }
            quiet = if self.a.writes() + self.b.writes() == before { quiet + 1 } else { 0 };
            if quiet == 2 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    pub(crate) fn says(&self, remote: &Remote, field: &str) -> Vec<String> {
        let records = remote.records();
        let mut said: Vec<String> =
            records.values().map(|held| held.fields[field].to_plain().into_owned()).collect();
        said.sort();
        said
    }

    /// What waits to be written, or for somebody who knows whether it was.
    pub(crate) async fn open_intents(&self) -> Vec<IntentRow> {
        let states = vec![IntentState::Planned, IntentState::Sent, IntentState::Parked];
        let filter = IntentFilter { states, limit: 99, ..IntentFilter::default() };
        self.world.store.intents(filter).await.unwrap()
    }

    /// The problems of letters about writes.
    pub(crate) async fn letters(&self) -> Vec<String> {
        let filter = DeadLetterFilter { limit: 99, ..DeadLetterFilter::default() };
        let letters = self.world.store.dead_letters(filter).await.unwrap();
        letters.into_iter().map(|row| row.letter.problem).collect()
    }

    /// The shards that are there, each with the live records that it has, as `remote id`.
    pub(crate) async fn shards(&self) -> Vec<Vec<String>> {
        let filter = ShardFilter { limit: 99, ..ShardFilter::default() };
        let shards = self.world.store.shards(filter).await.unwrap();
        let mut all = Vec::new();
        for shard in shards {
            let links = self.world.store.links_of(vec![shard.id]).await.unwrap();
            let live = links.iter().filter(|link| !link.deleted);
            let name = |link: &LinkRow| {
                format!("{} {}", self.world.entities[&link.entity].connection, link.external_id)
            };
            let mut records: Vec<String> = live.map(name).collect();
            records.sort();
            all.push(records);
        }
        all.sort();
        all
    }

    /// A person says that the record of a creation is not there.
    pub(crate) async fn repeat(&self, intent: IntentId) {
        repeat(&self.world, &*self.clock, intent, &decider()).await.unwrap();
    }

    pub(crate) async fn conflicts(&self, with_closed: bool) -> Vec<ConflictRow> {
        let filter = ConflictFilter { with_closed, limit: 99, id: None };
        self.world.store.conflicts(filter).await.unwrap()
    }

    pub(crate) fn hour_passes(&self) {
        self.clock.pass(3_600_000_000);
    }
}

fn decider() -> Decider {
    let (by, why) = ("ann".to_owned(), String::new());
    Decider { by, why, worker: Worker::current(), seed: 5 }
}

#[tokio::test]
async fn two_populated_systems_meet_and_stay_in_agreement() {
    for store in [sqlite(), Arc::new(OverlayStore::empty())] {
        let story = Story::new("", store).await;
        for n in 0..6 {
            let fields = [
                ("email", format!("p{n}@x.org")),
                ("name", format!("N{n}")),
                ("notes", "a".into()),
            ];
            let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
            if n < 4 {
                story.a.make(&format!("ua{n}"), &fields);
            }
            if n > 1 {
                story.b.make(&format!("ub{n}"), &fields);
            }
        }
        story.quiet().await;
        assert_eq!((story.a.records().len(), story.b.records().len()), (6, 6));
        assert_eq!((story.a.writes(), story.b.writes()), (2, 2), "only what is missing is made");
        story.a.set("ua0", "notes", "from a");
        story.b.set("ub5", "name", "from b");
        story.quiet().await;
        assert_eq!((story.a.writes(), story.b.writes()), (3, 3), "one write for each edit");
        assert!(story.says(&story.a, "name").contains(&"from b".to_owned()));
        assert!(story.says(&story.b, "notes").contains(&"from a".to_owned()));
        assert!(story.conflicts(true).await.is_empty());
    }
}

#[tokio::test]
async fn edits_of_different_fields_are_no_conflict_and_of_one_field_the_later_stands() {
    let story = Story::new("", sqlite()).await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "John"), ("notes", "n")]);
    story.quiet().await;
    let b1 = story.b.records().into_keys().next().unwrap();
    story.a.set("a1", "notes", "from a");
    story.a.set("a1", "name", "John Doe");
    story.hour_passes();
    story.b.set(&b1, "name", "Jonathan Doe");
    story.quiet().await;
    for remote in [&story.a, &story.b] {
        assert_eq!(story.says(remote, "name"), ["Jonathan Doe"]);
        assert_eq!(story.says(remote, "notes"), ["from a"]);
    }
    let conflicts = story.conflicts(true).await;
    assert_eq!(conflicts.len(), 1);
    let loser = [&conflicts[0].local, &conflicts[0].remote].map(|v| v.clone().unwrap());
    assert!(loser.contains(&Value::text("John Doe")), "the loser is kept");
}

/// That a record which says nothing of a field was changed later does not make the others' value of it newer.
#[tokio::test]
async fn of_records_that_meet_the_one_that_says_a_value_tells_when_it_came_to_be() {
    let story = Story::new("", sqlite()).await;
    story.b.make("b1", &[("email", "j@x.org"), ("name", "Old"), ("notes", "n")]);
    story.run("b").await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "Anna"), ("notes", "n")]);
    story.hour_passes();
    story.b.set("b1", "name", "Bea");
    story.hour_passes();
    story.a.make("a2", &[("email", "j@x.org"), ("name", ""), ("notes", "n")]);
    story.run("a").await;
    story.quiet().await;
    assert_eq!(story.says(&story.b, "name"), ["Bea"]);
    assert_eq!(story.says(&story.a, "name"), ["Bea", "Bea"]);
}

#[tokio::test]
async fn a_person_is_asked_and_the_answer_flows_to_both_sides() {
    for (answer, stands) in [
        (Answer::Local, "from a"),
        (Answer::Remote, "from b"),
        (Answer::Value(Value::text("both")), "both"),
    ] {
        let story = Story::new(", conflicts: { strategy: manual }", sqlite()).await;
        story.a.make("a1", &[("email", "j@x.org"), ("name", "old"), ("notes", "n")]);
        story.quiet().await;
        let b1 = story.b.records().into_keys().next().unwrap();
        story.a.set("a1", "name", "from a");
        story.b.set(&b1, "name", "from b");
        story.b.set(&b1, "notes", "goes on");
        story.quiet().await;
        assert_eq!(story.says(&story.a, "name"), ["from a"]);
        assert_eq!(story.says(&story.b, "name"), ["from b"], "the field is held");
        assert_eq!(story.says(&story.a, "notes"), ["goes on"], "the record is not");
        let open = story.conflicts(false).await;
        assert_eq!(open.len(), 1);
        let settled = settle(&story.world, &*story.clock, open[0].id, &answer, &decider()).await;
        assert_eq!(settled.unwrap().by.as_deref(), Some("ann"));
        assert!(story.conflicts(false).await.is_empty());
        story.quiet().await;
        assert_eq!(story.says(&story.a, "name"), [stands]);
        assert_eq!(story.says(&story.b, "name"), [stands]);
        let again = settle(&story.world, &*story.clock, open[0].id, &answer, &decider()).await;
        assert!(again.is_err(), "it was decided already");
    }
}

#[tokio::test]
async fn what_is_ignored_stays_apart_until_somebody_changes_it() {
    let story = Story::new(", conflicts: { strategy: manual }", sqlite()).await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "old"), ("notes", "n")]);
    story.quiet().await;
    let b1 = story.b.records().into_keys().next().unwrap();
    story.a.set("a1", "name", "from a");
    story.b.set(&b1, "name", "from b");
    story.quiet().await;
    let open = story.conflicts(false).await.remove(0);
    settle(&story.world, &*story.clock, open.id, &Answer::Ignore, &decider()).await.unwrap();
    story.quiet().await;
    assert_eq!(story.says(&story.b, "name"), ["from b"]);
    story.a.set("a1", "name", "later");
    story.quiet().await;
    assert_eq!(story.says(&story.b, "name"), ["later"]);
}

#[tokio::test]
async fn a_deletion_goes_as_far_as_it_was_told_to_and_the_fuse_holds_it() {
    for (deletes, left) in [("unlink", 1), ("propagate", 0)] {
        let story = Story::new(&format!(", outbound: {{ deletes: {deletes} }}"), sqlite()).await;
        story.a.make("a1", &[("email", "j@x.org"), ("name", "old"), ("notes", "n")]);
        story.a.make("a2", &[("email", "k@x.org"), ("name", "stays"), ("notes", "n")]);
        story.quiet().await;
        story.a.remove("a1");
        story.quiet().await;
        let there = |remote: &Remote| story.says(remote, "name").contains(&"old".to_owned());
        assert_eq!(usize::from(there(&story.b)), left, "{deletes}");
        assert!(!there(&story.a), "{deletes}: it does not come back");
    }
    let task = ", outbound: { deletes: propagate }, fuse: { count: 1, share: 0.1 }";
    let story = Story::new(task, sqlite()).await;
    for n in 0..4 {
        let email = format!("p{n}@x.org");
        story.a.make(&format!("a{n}"), &[("email", &email), ("name", "N"), ("notes", "n")]);
    }
    story.quiet().await;
    story.a.remove("a0");
    story.a.remove("a1");
    let allowed = || Options { allow_deletes: true, ..Options::default() };
    story.run_with("a", allowed()).await;
    let report = story.run("b").await;
    assert_eq!((report.status.as_str(), report.results.written_deleted), ("partial", 0));
    assert_eq!(story.b.records().len(), 4);
    let report = story.run_with("b", allowed()).await;
    assert_eq!((report.status.as_str(), report.results.written_deleted), ("success", 2));
}

#[tokio::test]
async fn an_edit_that_nobody_had_seen_survives_a_deletion() {
    let story = Story::new(", outbound: { deletes: propagate }", sqlite()).await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "old"), ("notes", "n")]);
    story.a.make("a2", &[("email", "k@x.org"), ("name", "other"), ("notes", "n")]);
    story.quiet().await;
    let b1 =
        story.b.records().into_iter().find(|(_, held)| held.fields["name"] == Value::text("old"));
    let b1 = b1.unwrap().0;
    story.a.remove("a1");
    story.run("a").await;
    story.hour_passes();
    story.b.set(&b1, "name", "edited since");
    story.quiet().await;
    assert!(story.says(&story.b, "name").contains(&"edited since".to_owned()));
    assert!(story.conflicts(true).await.iter().any(|row| row.kind == "shard_deleted"));
}

#[tokio::test]
async fn an_execution_is_taken_back_as_far_as_it_stands() {
    let story = Story::new("", sqlite()).await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "old"), ("notes", "n")]);
    story.quiet().await;
    story.a.set("a1", "name", "wrong");
    story.a.set("a1", "notes", "wrong too");
    story.run("a").await;
    let run = story.world.store.executions(Some("a"), 1).await.unwrap().remove(0);
    story.quiet().await;
    let b1 = story.b.records().into_keys().next().unwrap();
    story.hour_passes();
    story.b.set(&b1, "notes", "right");
    story.quiet().await;
    let undone = undo(&story.world, &*story.clock, run.id, &decider()).await.unwrap();
    assert_eq!((undone.shards, undone.fields), (1, 1));
    assert!(undone.left.iter().any(|left| left.field == "notes"), "{undone:?}");
    story.quiet().await;
    for remote in [&story.a, &story.b] {
        assert_eq!(story.says(remote, "name"), ["old"]);
        assert_eq!(story.says(remote, "notes"), ["right"]);
    }
}

#[tokio::test]
async fn nothing_is_sent_while_it_is_held() {
    let story = Story::new("", sqlite()).await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "old"), ("notes", "n")]);
    let held = || Options { hold: true, ..Options::default() };
    story.run_with("a", held()).await;
    story.run_with("b", held()).await;
    assert_eq!((story.a.writes(), story.b.writes()), (0, 0));
    let planned = IntentFilter { limit: 9, ..IntentFilter::default() };
    assert_eq!(story.world.store.intents(planned).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_outbound_task_takes_nothing_and_writes_what_the_filter_selects() {
    let task = ", outbound: { filter: [{ field: notes, op: eq, value: vip }] }";
    let story = Story::with(traits(), "outbound", task, sqlite()).await;
    story.a.make("a1", &[("email", "j@x.org"), ("name", "J"), ("notes", "vip")]);
    story.a.make("a2", &[("email", "k@x.org"), ("name", "K"), ("notes", "no")]);
    story.b.make("b9", &[("email", "z@x.org"), ("name", "Z"), ("notes", "vip")]);
    story.quiet().await;
    assert_eq!(story.says(&story.b, "name"), ["J", "Z"]);
    assert_eq!(story.says(&story.a, "name"), ["J", "K"], "nothing comes from there");
    let made = story.b.records().into_iter().find(|(id, _)| id != "b9").unwrap().0;
    story.b.set(&made, "name", "changed there");
    story.quiet().await;
    assert_eq!(story.says(&story.b, "name"), ["J", "Z"], "it is put right");
}

#[tokio::test]
async fn a_system_that_normalises_neither_echoes_nor_degrades() {
    for shows in [true, false] {
        let b = Traits { normalises: true, shows, ..traits() };
        let story = Story::with(b, "bidirectional", "", sqlite()).await;
        story.a.make("a1", &[("email", "j@x.org"), ("name", " John DOE "), ("notes", "n")]);
        story.quiet().await;
        assert_eq!(story.says(&story.a, "name"), [" John DOE "]);
        assert_eq!(story.says(&story.b, "name"), ["john doe"]);
        assert_eq!(story.b.writes(), 1);
    }
}
