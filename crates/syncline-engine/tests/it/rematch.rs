//! Changed match rules: every stored record is matched anew, as if the store had been filled under the new ones.

use crate::bench::{Bench, ManualClock};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syncline_engine::{Clock, Options, execute};
use syncline_store::Store;
use syncline_store::execution::Worker;
use syncline_store::overlay::OverlayStore;

const CONFIG: &str = r"
connections:
  crm: { adapter: file, priority: 1, entities: { person: { path: people.jsonl, key: id, modified: at } } }
  shop: { adapter: file, priority: 2, entities: { client: { path: clients.jsonl, key: id, modified: at } } }
shard_types:
  person:
    fields: { name: text, mail: text, phone: text, boss: text }
    matching:
      block_max: 4
      rules:
        - { name: mail, compare: [{ field: mail }] }
        - { name: phone, compare: [{ field: phone }] }
  firm: { fields: { name: text } }
conversion_schemas:
  person:
    shard_type: person
    fields:
      name: name
      mail: mail
      phone: phone
      boss: { lookup: { shard_type: person, by: mail, from: boss, return: name } }
    derived: [{ shard_type: firm, key: '{{ firm }}', fields: { name: firm } }]
  client: { shard_type: person, fields: { name: name, mail: mail, phone: phone } }
sync_tasks:
  crm: { connection: crm, entity: person, conversion_schema: person, mode: full, batch: { size: 4 } }
  shop: { connection: shop, entity: client, conversion_schema: client, mode: full, batch: { size: 4 } }
";

/// What may change in a configuration, as replacements.
const CHANGES: [&[(&str, &str)]; 8] = [
    &[("        - { name: mail, compare: [{ field: mail }] }\n", "")],
    &[("compare: [{ field: phone }]", "compare: [{ field: name }]")],
    &[("block_max: 4", "block_max: 2")],
    &[("block_max: 4", "block_max: 40"), ("name: phone,", "name: telephone,")],
    &[("      block_max: 4", "      merge: keep_first\n      block_max: 4")],
    &[("      block_max: 4", "      merge: manual\n      block_max: 4")],
    &[("    matching:\n", "    survivorship: { name: longest }\n    matching:\n")],
    &[
        ("priority: 2", "priority: 0"),
        ("adapter: file, priority: 1", "adapter: file, duplicate_free: true"),
    ],
];

fn prepared() -> Bench {
    let bench = Bench::new(CONFIG);
    let line = |n: u32| {
        format!(
            r#"{{"id":"{n}","name":"N{}","mail":"m{}","phone":"p{}","boss":"m{}","firm":"f{}","at":"2025-01-0{}T00:00:00Z"}}"#,
            n % 9,
            n % 7,
            n % 11,
            n % 5,
            n % 3,
            n % 4 + 1
        )
    };
    let write = |name, lines: Vec<String>| {
        bench.write(name, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    };
    write("people.jsonl", (0..18).map(line).collect());
    write("clients.jsonl", (10..24).map(line).collect());
    bench
}

async fn both(bench: &Bench) {
    for task in ["crm", "shop", "crm"] {
        bench.ok(task).await;
    }
}

async fn fresh(changes: &[(&str, &str)]) -> Bench {
    let mut bench = prepared();
    for (from, to) in changes {
        bench.reconfigure(from, to);
    }
    both(&bench).await;
    bench
}

#[tokio::test]
async fn the_outcome_is_that_of_a_fresh_start_under_the_new_rules_and_back() {
    let old = fresh(&[]).await;
    for changes in CHANGES {
        let mut bench = fresh(&[]).await;
        for (from, to) in changes {
            bench.reconfigure(from, to);
        }
        let counters = bench.ok("crm").await;
        // The firms are matched by no rules, but their clusters are formed anew where ranks changed.
        assert!([32, 35].contains(&counters.rematched), "{changes:?}: {counters:?}");
        both(&bench).await;
        assert_eq!(bench.state(), fresh(changes).await.state(), "{changes:?}");
        assert_eq!(bench.ok("crm").await.rematched, 0);
        assert_eq!(
            bench.number("SELECT count(*) FROM sqlite_schema WHERE name = 'match_key_link'"),
            0
        );
        for (from, to) in changes.iter().rev() {
            bench.reconfigure(to, from);
        }
        if !changes.iter().any(|(_, to)| to.is_empty()) {
            both(&bench).await;
            assert_eq!(bench.state(), old.state(), "{changes:?} and back");
        }
    }
}

/// A clock in whose first pause something else happens.
struct Meanwhile<'a> {
    clock: &'a ManualClock,
    happens: Mutex<Option<BoxFuture<'a, ()>>>,
}

impl Clock for Meanwhile<'_> {
    fn now(&self) -> i64 {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        match self.happens.lock().unwrap().take() {
            Some(happens) => happens,
            None => self.clock.sleep(duration),
        }
    }

    fn beat(&self) -> BoxFuture<'_, ()> {
        self.clock.beat()
    }
}

#[tokio::test]
async fn what_is_matched_in_the_old_way_meanwhile_is_matched_anew_later() {
    for changes in [CHANGES[1], CHANGES[4]] {
        let mut bench = prepared();
        bench.reconfigure("batch: { size: 4 }", "batch: { size: 4, delay_ms: 1 }");
        bench.ok("shop").await;
        let store = Arc::new(bench.store());
        let old = Arc::new(bench.world_on(store.clone()).await);
        for (from, to) in changes {
            bench.reconfigure(from, to);
        }
        // After the first batch of the one run, another brings all under the new rules.
        let new = Arc::new(bench.world_on(store.clone()).await);
        let happens = async {
            let report = execute(&new, "shop", &bench.clock, Options::default()).await.unwrap();
            assert!(report.results.rematched > 0, "{report:?}");
        };
        let clock = Meanwhile { clock: &bench.clock, happens: Mutex::new(Some(Box::pin(happens))) };
        let report = execute(&old, "crm", &clock, Options::default()).await.unwrap();
        assert_eq!((report.status.as_str(), report.results.fetched), ("success", 18), "{report:?}");
        store.settle().await.unwrap();
        drop(clock);
        drop((old, new, store));
        bench.clock.pass();
        assert!(bench.ok("shop").await.rematched > 0, "{changes:?}");
        both(&bench).await;
        let mut expected = prepared();
        for (from, to) in changes {
            expected.reconfigure(from, to);
        }
        both(&expected).await;
        assert_eq!(bench.state(), expected.state(), "{changes:?}");
        assert_eq!(bench.ok("crm").await.rematched, 0);
    }
}

#[tokio::test]
async fn killed_anywhere_it_ends_the_same() {
    for changes in [CHANGES[1], CHANGES[4]] {
        let expected = fresh(changes).await.state();
        let mut deaths = 0;
        for looks in (2..60).step_by(2) {
            let mut bench = fresh(&[]).await;
            for (from, to) in changes {
                bench.reconfigure(from, to);
            }
            let store = Arc::new(bench.store());
            let world = Arc::new(bench.world_on(store.clone()).await);
            let (dying, died) = tokio::sync::oneshot::channel();
            *bench.clock.alarm.lock().unwrap() = Some((looks, dying));
            let worker = Worker { started: Worker::current().started + 1, ..Worker::current() };
            let options = Options { worker, ..Options::default() };
            let is_dead = tokio::select! {
                biased;
                _ = died => true,
                report = execute(&world, "crm", &bench.clock, options) => { report.unwrap(); false }
            };
            bench.clock.alarm.lock().unwrap().take();
            bench.clock.pass();
            if looks % 4 == 0 {
                store.settle().await.unwrap();
            }
            drop((world, store));
            both(&bench).await;
            assert_eq!(bench.state(), expected, "{changes:?} after {looks}");
            if !is_dead {
                break;
            }
            deaths += 1;
        }
        assert!(deaths > 6, "{deaths}");
    }
}

#[tokio::test]
async fn a_preview_tells_what_matching_anew_would_change_and_ids_stay() {
    let mut bench = fresh(&[]).await;
    let ids = "SELECT hex(uuid) FROM shard WHERE merged_into IS NULL ORDER BY 1";
    let (before, rows) = (bench.lines(ids), bench.rows());
    bench.reconfigure("        - { name: phone, compare: [{ field: phone }] }\n", "");
    let overlay = Arc::new(OverlayStore::over(Arc::new(bench.store())));
    let world = Arc::new(bench.world_on(overlay.clone()).await);
    let report = execute(&world, "crm", &bench.clock, Options::default()).await.unwrap();
    assert!(report.results.rematched > 0 && !report.unchanged, "{report:?}");
    let foreseen = overlay.written().await.unwrap();
    drop((world, overlay));
    assert_eq!(bench.rows(), rows, "nothing was written");
    bench.ok("crm").await;
    let after = bench.lines(ids);
    assert!(before.iter().all(|id| after.contains(id)), "no id went, some came");
    assert!(after.len() > before.len());
    for (_, shard) in foreseen.shards {
        let sql = format!("SELECT data FROM shard_whole WHERE id = {}", shard.id);
        assert_eq!(bench.lines(&sql), [&*shard.data]);
    }
}
