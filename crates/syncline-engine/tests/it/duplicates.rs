//! Several versions of one record in one read; and what target flags allow.

use crate::bench::Bench;

const CONFIG: &str = r"
connections:
  crm:
    adapter: file
    entities:
      person: { path: people.jsonl, key: id, modified: at }
      other: { path: others.jsonl, key: id, modified: at }
shard_types:
  person:
    fields: { name: text, mail: text }
    matching: { rules: [{ name: mail, compare: [{ field: mail }] }] }
  firm: { fields: { name: text } }
conversion_schemas:
  person:
    shard_type: person
    fields: { name: name, mail: mail }
    derived: [{ shard_type: firm, key: '{{ firm }}', when: { field: firm, op: exists }, fields: { name: brand } }]
  other:
    shard_type: person
    fields: { name: name, mail: mail }
    target: { create_if_missing: false }
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, mode: full, batch: { size: 3 } }
  others: { connection: crm, entity: other, conversion_schema: other, mode: full }
";

const OLD: &str = r#"{"id":"1","name":"Old","at":"2025-01-01T00:00:00Z"}"#;
const NEW: &str = r#"{"id":"1","name":"New","at":"2025-01-02T00:00:00Z"}"#;

#[tokio::test]
async fn the_latest_version_stands_and_stays_whatever_the_order_and_the_batches() {
    for size in [1, 2, 1000] {
        for lines in [[OLD, NEW], [NEW, OLD]] {
            let mut bench = Bench::new(CONFIG);
            bench.reconfigure("size: 3", &format!("size: {size}"));
            bench.write("people.jsonl", &lines);
            let counters = bench.ok("people").await;
            assert_eq!((counters.fetched, counters.created), (2, 1));
            assert_eq!(bench.data("person"), [r#"{"name":"New"}"#]);
            bench.ok("people").await;
            assert_eq!(bench.data("person"), [r#"{"name":"New"}"#], "{lines:?} again, by {size}");
        }
    }
}

#[tokio::test]
async fn of_versions_without_times_the_last_one_stands() {
    for size in [1, 1000] {
        let mut bench = Bench::new(CONFIG);
        bench.reconfigure("size: 3", &format!("size: {size}"));
        bench.write("people.jsonl", &[r#"{"id":"1","name":"B"}"#, r#"{"id":"1","name":"A"}"#]);
        for _ in 0..2 {
            bench.ok("people").await;
            assert_eq!(bench.data("person"), [r#"{"name":"A"}"#]);
        }
    }
}

#[tokio::test]
async fn a_later_time_counts_even_where_nothing_else_changed() {
    let a =
        |day: u32| format!(r#"{{"id":"a","mail":"m","name":"A","at":"2025-01-0{day}T00:00:00Z"}}"#);
    let b = r#"{"id":"b","mail":"m","name":"B","at":"2025-01-05T00:00:00Z"}"#;
    let orders =
        [[a(1), b.to_owned(), a(9)], [a(9), b.to_owned(), a(1)], [a(1), a(9), b.to_owned()]];
    for size in [1, 2, 1000] {
        for lines in &orders {
            let mut bench = Bench::new(CONFIG);
            bench.reconfigure("size: 3", &format!("size: {size}"));
            bench.write("people.jsonl", &lines.each_ref().map(String::as_str));
            bench.ok("people").await;
            assert_eq!(bench.data("person"), [r#"{"name":"A","mail":"m"}"#], "{lines:?} by {size}");
        }
    }
}

#[tokio::test]
async fn a_shared_derived_shard_takes_the_latest_contributor_in_any_order() {
    let line = |id: &str, day: u32, brand: &str| {
        format!(r#"{{"id":"{id}","firm":"f","brand":"{brand}","at":"2025-01-0{day}T00:00:00Z"}}"#)
    };
    let lines = [line("a", 1, "X"), line("b", 5, "Y"), line("a", 9, "X"), line("c", 9, "Z")];
    for size in [1, 2, 1000] {
        for shift in 0..4 {
            let mut bench = Bench::new(CONFIG);
            bench.reconfigure("size: 3", &format!("size: {size}"));
            let mut order = lines.each_ref().map(String::as_str);
            order.rotate_left(shift);
            bench.write("people.jsonl", &order);
            bench.ok("people").await;
            assert_eq!(bench.data("firm"), [r#"{"name":"X"}"#], "{order:?} by {size}");
        }
    }
}

#[tokio::test]
async fn a_record_that_may_not_make_a_shard_joins_one() {
    let mut bench = Bench::new(CONFIG);
    bench.reconfigure(
        "key: id, modified: at }\nshard",
        "key: id, modified: at, deleted: { field: gone, op: eq, value: true } }\nshard",
    );
    bench.write("people.jsonl", &[r#"{"id":"1","name":"P","mail":"m"}"#]);
    let lone = r#"{"id":"y","name":"Y","mail":"n"}"#;
    bench.write(
        "others.jsonl",
        &[r#"{"id":"x","name":"X","mail":"m"}"#, lone, lone, r#"{"id":"y","gone":true}"#],
    );
    bench.ok("people").await;
    let counters = bench.ok("others").await;
    assert_eq!((counters.merged, counters.created), (1, 0));
    assert_eq!(counters.skipped, 3, "{counters:?}");
    assert_eq!(bench.number("SELECT count(*) FROM link"), 2);
}

#[tokio::test]
async fn a_shard_that_may_not_be_updated_stays() {
    let mut bench = Bench::new(CONFIG);
    bench.reconfigure("create_if_missing: false", "update_if_exists: false");
    bench.write("others.jsonl", &[OLD]);
    assert_eq!(bench.ok("others").await.created, 1);
    bench.write("others.jsonl", &[NEW]);
    let counters = bench.ok("others").await;
    assert_eq!((counters.filtered, counters.updated), (1, 0));
    assert_eq!(bench.data("person"), [r#"{"name":"Old"}"#]);
}
