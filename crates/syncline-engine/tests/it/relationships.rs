//! Edges to targets that are there, come later, or never.

use crate::bench::Bench;

const CONFIG: &str = r"
connections:
  crm:
    adapter: file
    entities:
      person: { path: people.jsonl, key: id }
      firm: { path: firms.jsonl, key: id }
  web:
    adapter: file
    entities:
      firm: { path: web.jsonl, key: id }
shard_types:
  person: { fields: { name: text } }
  firm: { fields: { name: text } }
conversion_schemas:
  person:
    shard_type: person
    fields: { name: name }
    relationships:
      works_at: { shard_type: firm, from: firm, entity: firm }
      likes: { shard_type: firm, by: name, from: likes }
      reads: { shard_type: firm, from: reads, connection: web, entity: firm }
      knows: { shard_type: person, from: knows }
  firm: { shard_type: firm, fields: { name: name } }
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, batch: { size: 1 } }
  firms: { connection: crm, entity: firm, conversion_schema: firm }
  web: { connection: web, entity: firm, conversion_schema: firm }
";

#[tokio::test]
async fn targets_may_come_in_a_later_batch_a_later_run_and_from_another_connection() {
    let bench = Bench::new(CONFIG);
    bench.write(
        "people.jsonl",
        &[
            r#"{"id":"a","name":"Ann","firm":"f1","likes":" ACME ","reads":"w1","knows":"b"}"#,
            r#"{"id":"b","name":"Bob","knows":["a","c","b"]}"#,
        ],
    );
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"acme"}"#]);
    bench.write("web.jsonl", &[r#"{"id":"w1","name":"Other"}"#]);
    let counters = bench.ok("people").await;
    assert_eq!((counters.created, counters.fetched), (2, 2));
    // a→b, b→a, b→b have arrived; c, the firm by id, by name and of the web have not.
    assert_eq!(bench.edges().await, (3, 4));
    bench.ok("firms").await;
    assert_eq!(bench.edges().await, (5, 2));
    bench.ok("web").await;
    assert_eq!(bench.edges().await, (6, 1));
    bench.append("people.jsonl", r#"{"id":"c","name":"Cyd"}"#);
    assert_eq!(bench.ok("people").await.fetched, 1);
    assert_eq!(bench.edges().await, (7, 0));
}

#[tokio::test]
async fn edges_follow_a_record_that_points_elsewhere_and_wait_for_one_that_went() {
    let mut bench = Bench::new(CONFIG);
    bench.reconfigure(
        "conversion_schema: firm }\n  web",
        "conversion_schema: firm, mode: full }\n  web",
    );
    bench.write("people.jsonl", &[r#"{"id":"a","name":"Ann","firm":"f1","likes":"acme"}"#]);
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"acme"}"#, r#"{"id":"f2","name":"bix"}"#]);
    bench.ok("people").await;
    bench.ok("firms").await;
    assert_eq!(bench.edges().await, (2, 0));
    bench.write("people.jsonl", &[r#"{"id":"a","name":"Ann","firm":"f2"}"#]);
    let counters = bench.ok("people").await;
    assert_eq!((counters.updated, counters.shards_updated), (1, 0));
    assert_eq!(bench.edges().await, (1, 0));
    bench.write("firms.jsonl", &[r#"{"id":"f1","name":"acme"}"#]);
    assert_eq!(bench.ok("firms").await.deleted, 1);
    assert_eq!(bench.edges().await, (0, 1));
}
