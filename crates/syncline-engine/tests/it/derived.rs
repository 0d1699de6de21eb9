//! Derived records that are no longer made.

use crate::bench::Bench;

const CONFIG: &str = r"
connections:
  crm: { adapter: file, entities: { person: { path: people.jsonl, key: id } } }
shard_types:
  person: { fields: { name: text } }
  firm: { fields: { name: text } }
conversion_schemas:
  person:
    shard_type: person
    fields: { name: name }
    derived:
      - { shard_type: firm, key: '{{ firm }}', when: { field: firm, op: exists }, fields: { name: brand } }
    target: { delete_if_removed: true }
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, mode: full, batch: { size: 2 } }
";

fn line(id: &str, firm: &str, brand: &str) -> String {
    let firm = if firm.is_empty() { String::new() } else { format!(r#","firm":"{firm}""#) };
    format!(r#"{{"id":"{id}","name":"{id}","brand":"{brand}"{firm}}}"#)
}

fn put(bench: &Bench, lines: &[String]) {
    bench.write("people.jsonl", &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_derived_shard_goes_with_the_last_record_that_makes_it() {
    let bench = Bench::new(CONFIG);
    put(&bench, &[line("a", "f", "X"), line("b", "f", "X"), line("c", "g", "Y")]);
    bench.ok("people").await;
    assert_eq!(bench.data("firm").len(), 2);
    // One of two leaves it; another one moves to a firm of its own.
    put(&bench, &[line("a", "", "X"), line("b", "f", "X"), line("c", "h", "Z")]);
    bench.ok("people").await;
    assert_eq!(bench.data("firm"), [r#"{"name":"X"}"#, r#"{"name":"Z"}"#]);
    assert_eq!(bench.edges().await, (2, 0));
    put(&bench, &[line("a", "", "X"), line("b", "", "X"), line("c", "h", "Z")]);
    bench.ok("people").await;
    assert_eq!(bench.data("firm"), [r#"{"name":"Z"}"#]);
    bench.ok("people").await;
    // Made again, it is the same shard.
    let made = bench.number("SELECT count(*) FROM shard");
    put(&bench, &[line("a", "f", "V"), line("b", "", "X"), line("c", "h", "Z")]);
    bench.ok("people").await;
    assert_eq!(bench.data("firm"), [r#"{"name":"V"}"#, r#"{"name":"Z"}"#]);
    assert_eq!(bench.number("SELECT count(*) FROM shard"), made);
}

#[tokio::test]
async fn where_the_source_does_not_own_the_shard_only_the_record_goes() {
    let mut bench = Bench::new(CONFIG);
    bench.reconfigure("delete_if_removed: true", "delete_if_removed: false");
    put(&bench, &[line("a", "f", "X")]);
    bench.ok("people").await;
    put(&bench, &[line("a", "", "X")]);
    bench.ok("people").await;
    assert_eq!(bench.data("firm"), [r#"{"name":"X"}"#]);
    assert_eq!(bench.number("SELECT count(*) FROM link WHERE deleted"), 1);
    assert_eq!(bench.edges().await, (0, 0));
}

#[tokio::test]
async fn two_that_swap_their_firms_in_one_batch_keep_both() {
    let bench = Bench::new(CONFIG);
    put(&bench, &[line("a", "f", "X"), line("b", "g", "Y")]);
    bench.ok("people").await;
    put(&bench, &[line("a", "g", "Y"), line("b", "f", "X")]);
    bench.ok("people").await;
    assert_eq!(bench.data("firm"), [r#"{"name":"X"}"#, r#"{"name":"Y"}"#]);
    assert_eq!(bench.number("SELECT count(*) FROM link WHERE deleted"), 0);
}

#[tokio::test]
async fn of_several_versions_in_one_read_only_the_last_one_makes_anything() {
    let version = |day: u32, firm: &str| {
        format!(r#"{{"id":"a","firm":"{firm}","brand":"{firm}","at":"2025-01-0{day}T00:00:00Z"}}"#)
    };
    for size in [1, 2, 1000] {
        for lines in [[version(1, "f"), version(2, "g")], [version(2, "g"), version(1, "f")]] {
            let mut bench = Bench::new(CONFIG);
            bench.reconfigure("key: id }", "key: id, modified: at }");
            bench.reconfigure("size: 2", &format!("size: {size}"));
            put(&bench, &lines);
            for _ in 0..2 {
                bench.ok("people").await;
                assert_eq!(bench.data("firm"), [r#"{"name":"g"}"#], "{lines:?} by {size}");
            }
        }
    }
}
