//! What an execution tells while it runs.

use crate::bench::{Bench, listening};
use syncline_engine::{Event, Options, Trigger};

const CONFIG: &str = r"
tenant: default
connections:
  crm:
    adapter: file
    entities:
      person: { path: people.jsonl, key: id }
shard_types:
  person: { fields: { name: text } }
conversion_schemas:
  person: { shard_type: person, fields: { name: name } }
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, batch: { size: 2, delay_ms: 50 } }
";

#[tokio::test]
async fn events_come_in_order_with_the_payload_of_the_specification() {
    let bench = Bench::new(CONFIG);
    let line = |n: u32| format!(r#"{{"id":"{n}","name":"N"}}"#);
    bench.write("people.jsonl", &[&line(1), &line(2), &line(3), "{ broken", &line(5)]);
    let (options, heard) = listening(Options { trigger: Trigger::Schedule, ..Options::default() });
    let report = bench.run_with("people", options).await;
    assert_eq!(report.status, "partial");
    let heard = heard.lock().unwrap();
    let told: Vec<_> = heard.iter().map(|event| event.to_cloud_event("e", 0)).collect();
    let names: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let batch = ["sync.records.fetched", "syncTask.batchProcessed"];
    let expected =
        [&["syncTask.triggered"][..], &batch, &batch, &batch, &["syncTask.completed"]].concat();
    assert_eq!(names, expected);
    let keys = [
        (0, &["executionId", "resumed", "taskId", "tenantId", "triggeredBy"][..]),
        (1, &["integrationId", "metric", "taskId"]),
        (
            2,
            &[
                "batchIndex",
                "batchSize",
                "processedRecords",
                "progress",
                "recordsCreated",
                "recordsFailed",
                "taskId",
            ],
        ),
        (
            7,
            &[
                "durationMs",
                "executionId",
                "recordsCreated",
                "recordsFailed",
                "recordsProcessed",
                "recordsUpdated",
                "status",
                "taskId",
            ],
        ),
    ];
    for (index, keys) in keys {
        let mut found: Vec<_> = told[index]["data"].as_object().unwrap().keys().collect();
        found.sort();
        assert_eq!(found, keys, "{}", names[index]);
    }
    assert_eq!(told[0]["data"]["triggeredBy"], "schedule");
    let mut before = 0.0;
    let (mut created, mut failed, mut processed) = (0, 0, 0);
    for event in heard.iter() {
        if let Event::BatchProcessed {
            progress,
            records_created,
            records_failed,
            processed_records,
            ..
        } = event
        {
            assert!(progress.percentage >= before && progress.percentage <= 90.0, "{progress:?}");
            assert_eq!(progress.phase, "saving");
            before = progress.percentage;
            (created, failed) = (created + records_created, failed + records_failed);
            processed = *processed_records;
        }
    }
    assert_eq!((created, failed, processed), (4, 1, 5));
    assert_eq!(bench.clock.waits.lock().unwrap().len(), 3, "a pause after each batch");
}
