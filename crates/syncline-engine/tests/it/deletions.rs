//! Full reads find what is gone, and are careful about it.

use crate::bench::Bench;
use syncline_engine::Options;

const CONFIG: &str = r"
connections:
  crm:
    adapter: file
    entities:
      person: { path: people.jsonl, key: id, modified: at, deleted: { field: gone, op: eq, value: true } }
shard_types:
  person: { fields: { name: text } }
conversion_schemas:
  person:
    shard_type: person
    filter: [{ field: kind, op: neq, value: robot }]
    fields: { name: { from: name, required: true } }
    target: { delete_if_removed: true }
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, mode: full, batch: { size: 3 } }
";

fn people(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!(r#"{{"id":"{n}","name":"N{n}"}}"#)).collect()
}

fn write(bench: &Bench, lines: &[String]) {
    bench.write("people.jsonl", &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_missing_is_deleted_and_may_come_back() {
    for delete_if_removed in [true, false] {
        let mut bench = Bench::new(CONFIG);
        bench.reconfigure("removed: true", &format!("removed: {delete_if_removed}"));
        write(&bench, &people(0..8));
        assert_eq!(bench.ok("people").await.created, 8);
        write(&bench, &people(2..8));
        let counters = bench.ok("people").await;
        let gone = if delete_if_removed { 2 } else { 0 };
        assert_eq!((counters.deleted, counters.shards_deleted), (2, gone));
        assert_eq!((counters.unchanged, counters.updated), (6, 0));
        assert_eq!(bench.data("person").len() as u64, 8 - gone);
        let before = bench.rows();
        let report = bench.run("people").await;
        assert!(report.unchanged && report.results.deleted == 0, "{report:?}");
        assert_eq!(bench.rows(), before);
        write(&bench, &people(1..8));
        let counters = bench.ok("people").await;
        assert_eq!((counters.revived, counters.updated, counters.created), (1, 1, 0));
        assert_eq!(bench.number("SELECT count(*) FROM link WHERE NOT deleted"), 7);
    }
}

#[tokio::test]
async fn the_fuse_stops_many_deletions_until_they_are_allowed() {
    let bench = Bench::new(CONFIG);
    write(&bench, &people(0..40));
    bench.ok("people").await;
    for lines in [people(0..20), Vec::new()] {
        write(&bench, &lines);
        let report = bench.run("people").await;
        assert_eq!((report.status.as_str(), report.results.deleted), ("partial", 0));
        assert_eq!(bench.data("person").len(), 40);
    }
    let report =
        bench.run_with("people", Options { allow_deletes: true, ..Options::default() }).await;
    assert_eq!((report.status.as_str(), report.results.deleted), ("success", 40), "{report:?}");
    assert!(bench.data("person").is_empty());
}

#[tokio::test]
async fn nothing_is_deleted_after_a_read_with_gaps() {
    let bench = Bench::new(CONFIG);
    write(&bench, &people(0..4));
    bench.ok("people").await;
    let mut lines = people(0..2);
    lines.push("{ broken".to_owned());
    write(&bench, &lines);
    let report = bench.run("people").await;
    assert_eq!((report.status.as_str(), report.results.failed), ("partial", 1));
    assert_eq!(bench.data("person").len(), 4);
    write(&bench, &["{ broken".to_owned()]);
    assert_eq!(bench.run("people").await.status, "failed", "no record could be read");
}

#[tokio::test]
async fn filtered_and_refused_records_still_count_as_there() {
    let bench = Bench::new(CONFIG);
    write(&bench, &people(0..4));
    bench.ok("people").await;
    bench.write(
        "people.jsonl",
        &[r#"{"id":"0","name":"N0"}"#, r#"{"id":"1"}"#, r#"{"id":"2","kind":"robot","name":"R"}"#],
    );
    let counters = bench.ok("people").await;
    let parts = (counters.unchanged, counters.invalid, counters.filtered, counters.deleted);
    assert_eq!(parts, (1, 1, 1, 1));
    assert_eq!(bench.data("person").len(), 3);
}

#[tokio::test]
async fn one_that_says_it_is_gone_does_not_stand_in_for_one_that_is_missing() {
    for size in [1, 1000] {
        let mut bench = Bench::new(CONFIG);
        bench.reconfigure("size: 3", &format!("size: {size}"));
        write(&bench, &people(0..3));
        bench.ok("people").await;
        bench.write(
            "people.jsonl",
            &[
                r#"{"id":"0","name":"N0","at":"2025-01-01T00:00:00Z"}"#,
                r#"{"id":"0","gone":true,"at":"2025-01-02T00:00:00Z"}"#,
                r#"{"id":"1","name":"N1"}"#,
            ],
        );
        let counters = bench.ok("people").await;
        assert_eq!((counters.tombstoned, counters.deleted), (1, 1), "by {size}");
        assert_eq!(bench.data("person"), [r#"{"name":"N1"}"#], "by {size}");
    }
}

#[tokio::test]
async fn a_record_that_says_it_is_gone_is_gone_whatever_the_order() {
    let there = r#"{"id":"1","name":"A","at":"2025-01-01T00:00:00Z"}"#;
    let gone = r#"{"id":"1","name":"A","gone":true,"at":"2025-01-02T00:00:00Z"}"#;
    let again = r#"{"id":"1","name":"A","at":"2025-01-03T00:00:00Z"}"#;
    let orders: [(&[&str], usize); 5] = [
        (&[there, gone], 0),
        (&[gone, there], 0),
        (&[there, gone, again], 1),
        (&[again, gone, there], 1),
        (&[gone, again, there], 1),
    ];
    for size in [1, 1000] {
        for (lines, left) in orders {
            let mut bench = Bench::new(CONFIG);
            bench.reconfigure("size: 3", &format!("size: {size}"));
            bench.write("people.jsonl", &[there]);
            bench.ok("people").await;
            bench.write("people.jsonl", lines);
            bench.ok("people").await;
            assert_eq!(bench.data("person").len(), left, "{lines:?} in batches of {size}");
            bench.ok("people").await;
            assert_eq!(bench.data("person").len(), left, "{lines:?} again, by {size}");
        }
    }
}
