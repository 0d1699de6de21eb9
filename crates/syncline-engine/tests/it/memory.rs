//! Merges are remembered and can be taken back; decisions of people stand.

use crate::bench::Bench;
use syncline_core::plan::rows::{LinkId, ShardId};
use syncline_engine::decide::{Decided, Decider, Wish, decide};
use syncline_engine::{EngineError, World};
use syncline_store::Store;
use syncline_store::reviews::waiting;

const CONFIG: &str = r"
connections:
  crm: { adapter: file, entities: { person: { path: crm.jsonl, key: id, modified: at } } }
  shop: { adapter: file, entities: { client: { path: shop.jsonl, key: id, modified: at } } }
shard_types:
  person:
    fields: { name: text, mail: text, phone: text }
    matching:
      rules:
        - { name: mail, compare: [{ field: mail }] }
        - name: name
          block: [phone]
          compare: [{ field: name, by: levenshtein }]
          threshold: 0.9
          review: 0.5
conversion_schemas:
  person:
    shard_type: person
    fields: { name: name, mail: mail, phone: phone }
    relationships: { under: { shard_type: person, from: boss } }
  client: { shard_type: person, fields: { name: name, mail: mail, phone: phone } }
sync_tasks:
  crm: { connection: crm, entity: person, conversion_schema: person, mode: full }
  shop: { connection: shop, entity: client, conversion_schema: client, mode: full }
";

fn line(id: &str, name: &str, mail: &str, day: u32) -> String {
    format!(
        r#"{{"id":"{id}","name":"{name}","mail":"{mail}","phone":"1","boss":"b","at":"2025-01-{day:02}T00:00:00Z"}}"#
    )
}

impl Bench {
    fn put(&self, file: &str, lines: &[String]) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        self.write(file, &lines);
    }

    async fn both(&self) {
        self.ok("crm").await;
        self.ok("shop").await;
    }

    async fn decide(&self, wish: Wish) -> Result<Decided, EngineError> {
        let store = std::sync::Arc::new(self.store());
        let world: World = self.world_on(store.clone()).await;
        let decider = Decider { by: "ann".into(), why: "seen".into(), ..Decider::default() };
        let decided = decide(&world, &self.clock, &wish, &decider).await;
        self.clock.pass();
        store.settle().await.unwrap();
        decided
    }

    /// Each record with the id of its shard, and what that says.
    fn places(&self) -> Vec<String> {
        self.lines(
            "SELECT e.connection || ':' || l.external_id || ' ' || hex(s.uuid) || ' ' || s.data
               || ' ' || coalesce(s.merged_into, '-') || ' ' || coalesce(s.deleted_at, '-')
             FROM link l JOIN entity e ON e.id = l.entity JOIN shard_whole s ON s.id = l.shard ORDER BY 1",
        )
    }

    fn shard_of(&self, record: &str) -> ShardId {
        let sql = format!("SELECT shard FROM link WHERE external_id = '{record}'");
        ShardId(self.number(&sql))
    }

    fn link_of(&self, record: &str) -> LinkId {
        LinkId(self.number(&format!("SELECT id FROM link WHERE external_id = '{record}'")))
    }
}

#[tokio::test]
async fn a_merge_three_syncs_an_unmerge_three_syncs() {
    let bench = Bench::new(CONFIG);
    bench.put("crm.jsonl", &[line("a", "Ann", "a@x", 1), line("b", "Bob", "b@x", 1)]);
    bench.put("shop.jsonl", &[line("c", "Anna Lee", "c@x", 2)]);
    bench.both().await;
    let before = bench.places();
    // The shop learns Ann's address: two shards become one.
    bench.put("shop.jsonl", &[line("c", "Anna Lee", "a@x", 3)]);
    bench.both().await;
    assert_eq!(bench.shard_of("c"), bench.shard_of("a"));
    for day in 4..7 {
        bench.put(
            "crm.jsonl",
            &[line("a", &format!("Ann {day}"), "a@x", day), line("b", "Bob", "b@x", 1)],
        );
        bench.both().await;
    }
    let logged = bench.lines("SELECT waterfall FROM merge_log");
    assert!(logged.len() == 1 && logged[0].contains(r#""rule":"mail""#), "{logged:?}");
    let shard = bench.shard_of("a");
    let decided =
        bench.decide(Wish::Unmerge { shard, alias: None, records: vec![] }).await.unwrap();
    assert_eq!((decided.pairs, decided.shards_created), (1, 0), "{decided:?}");
    // As they would be had they never been merged, updates that came later included.
    let parted = bench.places();
    let id = |place: &str| place.split(' ').nth(1).unwrap().to_owned();
    let ids = |places: &[String]| places.iter().map(|place| id(place)).collect::<Vec<_>>();
    assert_eq!(ids(&parted), ids(&before));
    assert!(parted[0].contains(r#"{"name":"Ann 6","mail":"a@x","phone":"1"}"#), "{parted:?}");
    assert!(parted[2].contains(r#"{"name":"Anna Lee","mail":"a@x","phone":"1"}"#), "{parted:?}");
    assert_eq!(bench.edges().await, (2, 0));
    for day in 7..10 {
        bench.put("crm.jsonl", &[line("a", "Ann", "a@x", day), line("b", "Bob", "b@x", 1)]);
        bench.put("shop.jsonl", &[line("c", &format!("Anna {day}"), "a@x", day)]);
        bench.both().await;
    }
    assert_eq!(ids(&bench.places()), ids(&before), "they stay apart");
    assert!(bench.places()[2].contains(r#""name":"Anna 9""#));
    assert_eq!(bench.number("SELECT count(*) FROM merge_log"), 1);
}

#[tokio::test]
async fn single_records_leave_a_shard_and_a_newer_decision_stands() {
    let bench = Bench::new(CONFIG);
    bench.put("crm.jsonl", &[line("a", "Ann", "a@x", 1), line("b", "Bob", "a@x", 1)]);
    bench.put("shop.jsonl", &[line("c", "Carl", "a@x", 2)]);
    bench.both().await;
    let (a, b, c) = (bench.link_of("a"), bench.link_of("b"), bench.link_of("c"));
    let shard = bench.shard_of("a");
    bench.decide(Wish::Unmerge { shard, alias: None, records: vec![b] }).await.unwrap();
    assert_eq!(bench.shard_of("a"), bench.shard_of("c"));
    assert_ne!(bench.shard_of("a"), bench.shard_of("b"));
    bench.decide(Wish::Merge(b, c)).await.unwrap();
    assert_eq!((bench.shard_of("a"), bench.shard_of("c")), (shard, bench.shard_of("b")));
    let shard = bench.shard_of("a");
    bench.decide(Wish::Unmerge { shard, alias: None, records: vec![] }).await.unwrap();
    assert_ne!(bench.shard_of("a"), bench.shard_of("b"), "the last merge comes apart");
    assert_eq!(bench.shard_of("a"), bench.shard_of("c"));
    for wrong in [Wish::Merge(a, c), Wish::Apart(a, c), Wish::Forget(a, c)] {
        let refused = bench.decide(wrong).await;
        assert!(matches!(refused, Err(EngineError::Undecidable(_))), "{refused:?}");
    }
    let shard = bench.shard_of("b");
    let alone = bench.decide(Wish::Unmerge { shard, alias: None, records: vec![] }).await;
    assert!(matches!(alone, Err(EngineError::Undecidable(_))), "{alone:?}");
}

#[tokio::test]
async fn a_pair_in_the_review_zone_waits_until_somebody_decides() {
    let bench = Bench::new(CONFIG);
    bench.put("crm.jsonl", &[line("a", "Ann Lee", "a@x", 1)]);
    bench.put("shop.jsonl", &[line("c", "Ann Leigh", "c@x", 2)]);
    bench.both().await;
    let pairs = waiting(&bench.store()).await.unwrap();
    assert_eq!(pairs.len(), 1);
    assert_ne!(bench.shard_of("a"), bench.shard_of("c"));
    let (a, c) = (bench.link_of("a"), bench.link_of("c"));
    bench.decide(Wish::Apart(c, a)).await.unwrap();
    assert!(waiting(&bench.store()).await.unwrap().is_empty());
    bench.decide(Wish::Forget(a, c)).await.unwrap();
    assert_eq!(waiting(&bench.store()).await.unwrap(), pairs);
    bench.decide(Wish::Merge(a, c)).await.unwrap();
    assert!(waiting(&bench.store()).await.unwrap().is_empty());
    assert_eq!(bench.shard_of("a"), bench.shard_of("c"));
    assert_eq!(bench.lines("SELECT decided_by FROM merge_log"), ["ann"]);
    bench.both().await;
    assert_eq!(bench.shard_of("a"), bench.shard_of("c"));
}
