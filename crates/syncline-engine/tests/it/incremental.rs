//! Reads that go on where the last one stopped.

use crate::bench::{Bench, listening};
use syncline_engine::{Event, Options};
use tokio_util::sync::CancellationToken;

const CONFIG: &str = r"
connections:
  crm:
    adapter: file
    entities:
      person: { path: people.jsonl, key: id, modified: at }
shard_types:
  person: { fields: { name: text } }
conversion_schemas:
  person: { shard_type: person, fields: { name: name } }
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, batch: { size: 2 } }
";

fn with_cursor_field(look_back_s: u64) -> Bench {
    let mut bench = Bench::new(CONFIG);
    let to = format!("size: 2 }}, cursor_field: at, look_back_s: {look_back_s} }}");
    bench.reconfigure("size: 2 } }", &to);
    bench
}

fn at(id: u32, minute: u32) -> String {
    format!(r#"{{"id":"{id}","name":"N{id}","at":"2025-01-01T00:{minute:02}:00Z"}}"#)
}

#[tokio::test]
async fn only_what_was_appended_is_read_and_an_unchanged_source_writes_nothing() {
    let bench = Bench::new(CONFIG);
    bench.write("people.jsonl", &[&at(1, 1), &at(2, 2), &at(3, 3)]);
    assert_eq!(bench.ok("people").await.created, 3);
    let before = bench.rows();
    let report = bench.run("people").await;
    assert!(report.unchanged && report.results.fetched == 0, "{report:?}");
    assert_eq!(bench.rows(), before);
    bench.append("people.jsonl", &at(4, 4));
    let counters = bench.ok("people").await;
    assert_eq!((counters.fetched, counters.created), (1, 1));
    bench.write("people.jsonl", &[&at(1, 1), &at(5, 5)]);
    let counters = bench.ok("people").await;
    assert_eq!((counters.fetched, counters.created, counters.unchanged), (2, 1, 1));
    let full = bench.run_with("people", Options { full: true, ..Options::default() }).await;
    assert_eq!((full.results.fetched, full.results.deleted), (2, 3));
}

#[tokio::test]
async fn a_late_record_with_an_equal_or_slightly_older_time_is_not_lost() {
    for (look_back_s, minute, expected) in [(0, 10, 1), (0, 9, 0), (60, 9, 1), (60, 8, 0)] {
        let bench = with_cursor_field(look_back_s);
        bench.write("people.jsonl", &[&at(1, 10)]);
        bench.ok("people").await;
        bench.append("people.jsonl", &at(2, minute));
        let counters = bench.ok("people").await;
        assert_eq!(counters.created, expected, "{minute} with {look_back_s} s");
    }
}

#[tokio::test]
async fn after_a_stop_halfway_no_older_record_of_the_rest_is_lost() {
    for full in [false, true] {
        let bench = with_cursor_field(0);
        bench.write("people.jsonl", &[&at(1, 9), &at(2, 9), &at(3, 1), &at(4, 2), &at(5, 3)]);
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let (mut options, _) = listening(Options { cancel, full, ..Options::default() });
        let listener = options.on_event.take().unwrap();
        options.on_event = Some(std::sync::Arc::new(move |event: &Event| {
            listener(event);
            if matches!(event, Event::BatchProcessed { .. }) {
                stop.cancel();
            }
        }));
        let report = bench.run_with("people", options).await;
        assert_eq!((report.status.as_str(), report.results.created), ("cancelled", 2));
        let report = bench.run("people").await;
        let fetched = if full { 5 } else { 3 };
        assert_eq!((report.status.as_str(), report.results.fetched), ("success", fetched));
        assert_eq!(bench.data("person").len(), 5);
        assert_eq!(bench.ok("people").await.fetched, 0);
        bench.append("people.jsonl", &at(6, 9));
        assert_eq!(bench.ok("people").await.created, 1);
    }
}

#[tokio::test]
async fn values_out_of_the_ordinary_pass_or_are_listed_and_nothing_else_is_lost() {
    let mut bench = Bench::new(CONFIG);
    bench.reconfigure("{ name: text }", "{ name: json }");
    let deep = format!(r#"{{"id":"5","name":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    let too_deep = format!(r#"{{"id":"6","name":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    bench.write(
        "people.jsonl",
        &[
            r#"{"id":"1","name":9007199254740993}"#,
            r#"{"id":"2","name":-9223372036854775808}"#,
            r#"{"id":"3","name":NaN}"#,
            r#"{"id":"4","name":1e400}"#,
            &deep,
            &too_deep,
            r#"{"id":7,"name":18446744073709551615}"#,
            r#"{"name":"no key"}"#,
            r#"{"id":"8","name":"last"}"#,
        ],
    );
    let report = bench.run("people").await;
    assert_eq!((report.status.as_str(), report.results.fetched), ("partial", 9));
    let data = bench.data("person").join("\n");
    for expected in ["9007199254740993", "-9223372036854775808", "last"] {
        assert!(data.contains(expected), "{expected} in {data}");
    }
    let letters = bench.lines("SELECT line || ' ' || phase FROM dead_letter ORDER BY line");
    assert!(letters.contains(&"3 fetching".to_owned()), "{letters:?}");
    assert!(letters.contains(&"4 fetching".to_owned()), "{letters:?}");
    assert!(letters.contains(&"8 transforming".to_owned()), "{letters:?}");
    let refused = report.results.failed + report.results.invalid;
    assert_eq!(refused, letters.len() as u64);
    assert_eq!(report.results.created + refused, 9);
}
