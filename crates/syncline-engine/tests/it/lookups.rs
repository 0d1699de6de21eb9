//! Values that are taken from other shards, and follow them.

use crate::bench::Bench;
use std::sync::Arc;
use syncline_core::plan::rows::{LinkId, ShardId};
use syncline_engine::decide::{Decider, Wish, decide};
use syncline_store::Store;

const CONFIG: &str = r"
connections:
  crm:
    adapter: file
    entities:
      person: { path: people.jsonl, key: id }
      firm: { path: firms.jsonl, key: id }
      vendor: { path: vendors.jsonl, key: id, modified: at }
shard_types:
  person: { fields: { name: text, firm: text, boss: text, city: text } }
  firm:
    fields: { name: text, city: text, tax: text }
    matching:
      rules: [{ name: tax, compare: [{ field: tax }] }]
conversion_schemas:
  person:
    shard_type: person
    fields:
      name: name
      firm: { lookup: { shard_type: firm, from: firm, return: name } }
      boss: { lookup: { shard_type: person, from: boss, return: name } }
      city: { lookup: { shard_type: firm, by: name, from: works, return: city } }
  firm: { shard_type: firm, fields: { name: name, city: city, tax: tax } }
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, mode: full }
  firms: { connection: crm, entity: firm, conversion_schema: firm, mode: full }
  vendors: { connection: crm, entity: vendor, conversion_schema: firm, mode: full }
";

#[tokio::test]
async fn the_target_may_stand_earlier_or_later_in_the_batch_or_in_another() {
    for size in [1, 2, 1000] {
        let mut bench = Bench::new(CONFIG);
        let to = format!("conversion_schema: person, batch: {{ size: {size} }},");
        bench.reconfigure("conversion_schema: person,", &to);
        bench.write(
            "people.jsonl",
            &[
                r#"{"id":"a","name":"Ann","boss":"c"}"#,
                r#"{"id":"b","name":"Bob","boss":"a"}"#,
                r#"{"id":"c","name":"Cyd","boss":"c"}"#,
            ],
        );
        bench.ok("people").await;
        let bosses = ["Ann\",\"boss\":\"Cyd", "Bob\",\"boss\":\"Ann", "Cyd\",\"boss\":\"Cyd"];
        let expected: Vec<String> =
            bosses.iter().map(|b| format!("{{\"name\":\"{b}\"}}")).collect();
        assert_eq!(bench.data("person"), expected, "batches of {size}");
        let before = bench.rows();
        let report = bench.run("people").await;
        assert!(report.unchanged, "{report:?}");
        assert_eq!(bench.rows(), before);
    }
}

#[tokio::test]
async fn dependents_follow_their_target_until_it_is_gone() {
    let mut bench = Bench::new(CONFIG);
    bench.reconfigure(
        "fields: { name: name, city: city, tax: tax }",
        "target: { delete_if_removed: true }, fields: { name: name, city: city, tax: tax }",
    );
    bench.write("people.jsonl", &[r#"{"id":"a","name":"Ann","firm":"f1"}"#]);
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"acme"}"#]);
    bench.ok("people").await;
    assert_eq!(bench.data("person"), [r#"{"name":"Ann"}"#]);
    bench.ok("firms").await;
    assert_eq!(bench.data("person"), [r#"{"name":"Ann","firm":"acme"}"#]);
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"bix"}"#]);
    bench.ok("firms").await;
    assert_eq!(bench.data("person"), [r#"{"name":"Ann","firm":"bix"}"#]);
    bench.write("firms.jsonl", &[r#"{"id":"f2","name":"cox"}"#]);
    assert_eq!(bench.ok("firms").await.deleted, 1);
    assert_eq!(bench.data("person"), [r#"{"name":"Ann"}"#]);
}

#[tokio::test]
async fn a_lookup_by_field_follows_the_value_away_and_back() {
    let bench = Bench::new(CONFIG);
    bench.write("people.jsonl", &[r#"{"id":"a","name":"Ann","works":" Acme "}"#]);
    bench.ok("people").await;
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"ACME","city":"Rome"}"#]);
    bench.ok("firms").await;
    assert_eq!(bench.data("person"), [r#"{"name":"Ann","city":"Rome"}"#], "it arrived");
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"bix","city":"Rome"}"#]);
    bench.ok("firms").await;
    assert_eq!(bench.data("person"), [r#"{"name":"Ann"}"#], "it has another name");
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"acme","city":"Oslo"}"#]);
    bench.ok("firms").await;
    assert_eq!(bench.data("person"), [r#"{"name":"Ann","city":"Oslo"}"#], "it has it again");
    assert_eq!(bench.number("SELECT count(*) FROM unsettled"), 0);
}

#[tokio::test]
async fn a_value_that_another_record_of_the_shard_gave_reaches_the_dependents_too() {
    let bench = Bench::new(CONFIG);
    bench.write("people.jsonl", &[r#"{"id":"a","name":"Ann","firm":"f1"}"#]);
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"acme","tax":"7"}"#]);
    bench.ok("firms").await;
    bench.ok("people").await;
    bench.write("vendors.jsonl", &[r#"{"id":"v","name":"Acme Inc","tax":"7","at":"2031-01-01"}"#]);
    assert_eq!(bench.ok("vendors").await.merged, 1);
    assert_eq!(bench.data("person"), [r#"{"name":"Ann","firm":"Acme Inc"}"#]);
    bench.write("vendors.jsonl", &[r#"{"id":"v","name":"Acme Inc","tax":"8","at":"2031-01-01"}"#]);
    bench.ok("vendors").await;
    assert_eq!(
        bench.data("person"),
        [r#"{"name":"Ann","firm":"acme"}"#],
        "it is no longer the same"
    );
}

#[tokio::test]
async fn what_a_person_decides_reaches_the_dependents_at_once() {
    let bench = Bench::new(CONFIG);
    bench.write("people.jsonl", &[r#"{"id":"a","name":"Ann","firm":"f1"}"#]);
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"acme","tax":"7"}"#]);
    bench.write("vendors.jsonl", &[r#"{"id":"v","name":"Acme Inc","tax":"8","at":"2031-01-01"}"#]);
    for task in ["firms", "vendors", "people"] {
        bench.ok(task).await;
    }
    assert_eq!(bench.data("person"), [r#"{"name":"Ann","firm":"acme"}"#]);
    let link = |external_id: &str| {
        LinkId(bench.number(&format!("SELECT id FROM link WHERE external_id = '{external_id}'")))
    };
    let decide = async |wish: Wish| {
        let store = Arc::new(bench.store());
        let world = bench.world_on(store.clone()).await;
        decide(&world, &bench.clock, &wish, &Decider::default()).await.unwrap();
        bench.clock.pass();
        store.settle().await.unwrap();
    };
    decide(Wish::Merge(link("f1"), link("v"))).await;
    assert_eq!(bench.data("person"), [r#"{"name":"Ann","firm":"Acme Inc"}"#]);
    assert_eq!(bench.number("SELECT count(*) FROM unsettled"), 0);
    let shard = ShardId(bench.number("SELECT shard FROM link WHERE external_id = 'f1'"));
    decide(Wish::Unmerge { shard, alias: None, records: vec![link("v")] }).await;
    assert_eq!(bench.data("person"), [r#"{"name":"Ann","firm":"acme"}"#]);
}

#[tokio::test]
async fn a_large_batch_is_followed_up_to_its_end() {
    let mut bench = Bench::new(CONFIG);
    bench.reconfigure(
        "conversion_schema: firm, mode: full }\n  vendors",
        "conversion_schema: firm, mode: full, batch: { size: 100000 } }\n  vendors",
    );
    let count = 9000;
    let people: Vec<String> = [0, count - 1]
        .iter()
        .map(|n| format!(r#"{{"id":"p{n}","name":"N","firm":"f{n}"}}"#))
        .collect();
    let firms: Vec<String> =
        (0..count).map(|n| format!(r#"{{"id":"f{n}","name":"firm {n}"}}"#)).collect();
    bench.write("people.jsonl", &people.iter().map(String::as_str).collect::<Vec<_>>());
    bench.write("firms.jsonl", &firms.iter().map(String::as_str).collect::<Vec<_>>());
    bench.ok("people").await;
    bench.ok("firms").await;
    assert_eq!(bench.number("SELECT count(*) FROM unsettled"), 0);
    let expected = [r#"{"name":"N","firm":"firm 0"}"#, r#"{"name":"N","firm":"firm 8999"}"#];
    assert_eq!(bench.data("person"), expected);
}

#[tokio::test]
async fn fields_that_look_each_other_up_come_to_an_end() {
    let mut bench = Bench::new(CONFIG);
    bench.reconfigure("boss: { lookup: { shard_type: person, from: boss, return: name } }",
        "boss: { lookup: { shard_type: person, from: boss, return: boss }, default: x, transform: { concat: { after: \"!\" } } }");
    bench.write(
        "people.jsonl",
        &[r#"{"id":"a","name":"Ann","boss":"b"}"#, r#"{"id":"b","name":"Bob","boss":"a"}"#],
    );
    bench.ok("people").await;
    assert_eq!(bench.data("person").len(), 2);
}
