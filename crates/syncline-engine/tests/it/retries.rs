//! Sources that break off, and are tried again.

use crate::bench::{Bench, listening};
use futures_util::future::BoxFuture;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syncline_adapters::{
    Adapter, AdapterError, Capabilities, DiscoveredEntity, ReadEnd, ReadRequest,
};
use syncline_core::record::{Page, Record, Shape};
use syncline_core::value::Value;
use syncline_engine::{Event, Options, Report, execute};
use syncline_store::Store;
use tokio::sync::mpsc::Sender;

const CONFIG: &str = r"
connections:
  crm: { adapter: file, entities: { person: { path: none.jsonl, key: id } } }
shard_types:
  person: { fields: { id: text } }
conversion_schemas:
  person: { shard_type: person, fields: { id: id } }
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, retry: { jitter: 0 } }
";

/// What one call of `read` does: pages that it sends, then how it fails, if it does.
type Call = (u64, Option<AdapterError>);

/// Six pages of one record each, sent as told.
struct Shaky {
    calls: Mutex<Vec<Call>>,
    begun_at: Mutex<Vec<u64>>,
}

fn page(number: u64) -> Page {
    let cells = vec![Some(Value::Text(number.to_string().into()))];
    Page {
        shape: Arc::new(Shape::new(["id"])),
        records: vec![Record { cells, line: number, ..Record::default() }],
        sources: vec!["shaky".into()],
        cursor: (number + 1).into(),
        ..Page::default()
    }
}

impl Adapter for Shaky {
    fn capabilities(&self) -> Capabilities {
        Capabilities { resumes: true, ..Capabilities::default() }
    }

    fn check<'a>(&'a self, _entity: &'a str) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(async { Ok(()) })
    }

    fn discover<'a>(
        &'a self,
        _entity: &'a str,
    ) -> BoxFuture<'a, Result<DiscoveredEntity, AdapterError>> {
        Box::pin(async { Ok(DiscoveredEntity::default()) })
    }

    fn read<'a>(
        &'a self,
        request: ReadRequest,
        pages: Sender<Page>,
    ) -> BoxFuture<'a, Result<ReadEnd, AdapterError>> {
        Box::pin(async move {
            let from = request.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
            self.begun_at.lock().unwrap().push(from);
            if self.calls.lock().unwrap().is_empty() {
                // A source that neither sends nor ends.
                return std::future::pending().await;
            }
            let (count, error) = self.calls.lock().unwrap().remove(0);
            for number in from..from + count {
                if pages.send(page(number)).await.is_err() {
                    return Ok(ReadEnd { cursor: number.into(), ..ReadEnd::default() });
                }
            }
            match error {
                Some(error) => Err(error),
                None => {
                    let cursor = (from + count).into();
                    Ok(ReadEnd { complete: true, cursor, ..ReadEnd::default() })
                }
            }
        })
    }
}

fn down(retry_after_ms: Option<u64>) -> Option<AdapterError> {
    Some(AdapterError::Unavailable { what: "shaky".into(), problem: "down".into(), retry_after_ms })
}

struct Ran {
    report: Report,
    begun_at: Vec<u64>,
    waits: Vec<u64>,
    attempts: Vec<(u32, u64)>,
}

async fn run(bench: &Bench, calls: Vec<Call>, options: Options) -> Ran {
    let shaky = Arc::new(Shaky { calls: Mutex::new(calls), begun_at: Mutex::default() });
    let mut world = bench.world_on(Arc::new(bench.store())).await;
    let opened = shaky.clone();
    world.open_adapter = Arc::new(move |_, _| Ok(opened.clone()));
    let (options, heard) = listening(options);
    let report = execute(&Arc::new(world), "people", &bench.clock, options).await.unwrap();
    assert!(report.results.balance());
    let retry = |event: &Event| match event {
        Event::RetryAttempt { attempt, delay_ms, .. } => Some((*attempt, *delay_ms)),
        _ => None,
    };
    let attempts = heard.lock().unwrap().iter().filter_map(retry).collect();
    let ms = |wait: &Duration| u64::try_from(wait.as_millis()).unwrap();
    let waits = bench.clock.waits.lock().unwrap().drain(..).map(|wait| ms(&wait)).collect();
    let begun_at = shaky.begun_at.lock().unwrap().clone();
    Ran { report, begun_at, waits, attempts }
}

#[tokio::test]
async fn a_read_goes_on_after_its_last_page_and_waits_as_it_was_asked_to() {
    let bench = Bench::new(CONFIG);
    let calls =
        vec![(2, down(None)), (0, down(None)), (0, down(Some(7))), (1, down(None)), (3, None)];
    let ran = run(&bench, calls, Options::default()).await;
    assert_eq!(ran.report.status, "success", "{:?}", ran.report);
    assert_eq!(ran.report.results.created, 6);
    assert_eq!(ran.begun_at, [0, 2, 2, 2, 3]);
    assert_eq!(ran.waits, [1000, 2000, 7, 1000]);
    assert_eq!(ran.attempts, [(1, 1000), (2, 2000), (3, 7), (1, 1000)]);
}

#[tokio::test]
async fn after_the_last_attempt_what_was_read_stands_and_the_next_run_goes_on() {
    let bench = Bench::new(CONFIG);
    let mut calls = vec![(2, down(None))];
    calls.extend((0..3).map(|_| (0, down(None))));
    let ran = run(&bench, calls, Options::default()).await;
    assert_eq!((ran.report.status.as_str(), ran.report.results.created), ("failed", 2));
    assert!(ran.report.error.unwrap().contains("down"));
    assert_eq!(ran.waits, [1000, 2000, 4000]);
    let ran = run(&bench, vec![(4, None)], Options::default()).await;
    assert_eq!((ran.report.status.as_str(), ran.begun_at), ("success", vec![2]));
    assert_eq!(ran.report.results.created, 4);
}

#[tokio::test]
async fn what_cannot_help_is_not_tried_again() {
    let bench = Bench::new(CONFIG);
    let refused = AdapterError::Refused { what: "shaky".into(), problem: "no".into() };
    let ran = run(&bench, vec![(1, Some(refused))], Options::default()).await;
    assert_eq!((ran.report.status.as_str(), ran.attempts.len()), ("failed", 0));
    assert_eq!(ran.report.results.created, 1);
}

#[tokio::test]
async fn a_stop_while_waiting_is_a_stop_and_no_failure() {
    let bench = Bench::new(CONFIG);
    let options = Options::default();
    options.cancel.cancel();
    let ran = run(&bench, vec![(0, down(None)), (0, down(None))], options).await;
    assert_eq!(ran.report.status, "cancelled", "{:?}", ran.report);
}

/// Asks for a stop as another process would, as soon as the task runs.
async fn cancel_from_outside(bench: &Bench) {
    let other = bench.store();
    while !other.cancel("people").await.unwrap() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_from_another_process_is_heard_while_nothing_is_committed() {
    // Waiting to try again, and waiting for a source that is silent.
    for calls in [vec![(0, down(None)), (1, None)], Vec::new()] {
        let bench = Bench::new(CONFIG);
        bench.clock.stuck.store(true, Ordering::Relaxed);
        let (ran, ()) =
            tokio::join!(run(&bench, calls, Options::default()), cancel_from_outside(&bench));
        assert_eq!(ran.report.status, "cancelled", "{:?}", ran.report);
        bench.clock.stuck.store(false, Ordering::Relaxed);
        bench.clock.pass();
        let ran = run(&bench, vec![(3, None)], Options::default()).await;
        assert_eq!((ran.report.status.as_str(), ran.report.results.created), ("success", 3));
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_source_that_is_silent() {
    let bench = Bench::new(CONFIG);
    let options = Options::default();
    let cancel = options.cancel.clone();
    let stop = async { cancel.cancel() };
    let (ran, ()) = tokio::join!(run(&bench, Vec::new(), options), stop);
    assert_eq!(ran.report.status, "cancelled", "{:?}", ran.report);
}
