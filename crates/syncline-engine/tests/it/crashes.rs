//! A process that dies at any batch border leaves nothing that another one cannot take up.

use crate::bench::Bench;
use std::sync::Arc;
use std::time::Duration;
use syncline_engine::{Options, Report, execute};
use syncline_store::Store;
use syncline_store::execution::Worker;

const CONFIG: &str = r"
connections:
  crm:
    adapter: file
    entities:
      person: { path: people.jsonl, key: id, modified: at }
shard_types:
  person:
    fields: { name: text, mail: text, boss: text }
    matching: { rules: [{ name: mail, compare: [{ field: mail }] }] }
  firm: { fields: { name: text } }
conversion_schemas:
  person:
    shard_type: person
    fields:
      name: { from: name, required: true }
      mail: mail
      boss: { lookup: { shard_type: person, from: boss, return: name } }
    relationships: { under: { shard_type: person, from: boss } }
    derived: [{ shard_type: firm, key: '{{ firm }}', fields: { name: firm } }]
    target: { delete_if_removed: true }
sync_tasks:
  people: { connection: crm, entity: person, conversion_schema: person, mode: full, batch: { size: 3 } }
";

fn lines(from: u32, version: u32) -> Vec<String> {
    let line = |n: u32| match n % 7 {
        5 => format!(r#"{{"id":"{n}","firm":"f"}}"#),
        _ => format!(
            r#"{{"id":"{n}","name":"N{n}.{version}","mail":"m{}","boss":"{}","firm":"f{}"}}"#,
            n % 6,
            (n + 3) % 20,
            n % 4
        ),
    };
    (from..20).map(line).collect()
}

fn write(bench: &Bench, lines: &[String]) {
    bench.write("people.jsonl", &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

fn dead() -> Worker {
    let worker = Worker::current();
    Worker { started: worker.started + 1, ..worker }
}

/// Runs until the clock was looked at so many times (once at least for each commit), then dies, with or
/// without having made its commits durable. `false` where the run was over before.
async fn die_after(bench: &Bench, looks: u32, settled: bool) -> bool {
    let store = Arc::new(bench.store());
    let world = Arc::new(bench.world_on(store.clone()).await);
    let (dying, died) = tokio::sync::oneshot::channel();
    *bench.clock.alarm.lock().unwrap() = Some((looks, dying));
    let options = Options { worker: dead(), ..Options::default() };
    let is_dead = tokio::select! {
        biased;
        _ = died => true,
        report = execute(&world, "people", &bench.clock, options) => { report.unwrap(); false }
    };
    bench.clock.alarm.lock().unwrap().take();
    bench.clock.pass();
    if settled {
        store.settle().await.unwrap();
    }
    is_dead
}

async fn prepared(incremental: bool) -> Bench {
    let mut bench = Bench::new(CONFIG);
    if incremental {
        bench.reconfigure("mode: full", "mode: incremental");
    }
    write(&bench, &lines(0, 1));
    assert_eq!(bench.ok("people").await.fetched, 20);
    write(&bench, &lines(3, 2));
    bench
}

async fn take_up(bench: &Bench) -> Report {
    let report =
        bench.run_with("people", Options { worker: Worker::current(), ..Options::default() }).await;
    assert_eq!(report.status, "success", "{report:?}");
    report
}

/// After so many runs that were over before they could die, there is nothing left to die of.
const OVER_MAX: u32 = 6;

#[tokio::test]
async fn taken_up_at_any_batch_border_it_ends_the_same() {
    for incremental in [false, true] {
        let whole = prepared(incremental).await;
        let expected = take_up(&whole).await;
        assert_eq!(expected.results.deleted, if incremental { 0 } else { 3 });
        let (mut deaths, mut over) = (0, 0);
        for looks in (2..200).step_by(if incremental { 2 } else { 1 }) {
            let settled = looks % 4 == 0;
            let bench = prepared(incremental).await;
            if !die_after(&bench, looks, settled).await {
                // On a busy machine a run can be over before its death is noticed, and die at a later look.
                over += 1;
                if over == OVER_MAX {
                    break;
                }
                continue;
            }
            let is_over = bench.number("SELECT count(*) FROM lease") == 0;
            let report = take_up(&bench).await;
            let when = format!("after {looks}, settled {settled}, incremental {incremental}");
            if !is_over {
                deaths += 1;
                assert!(report.resumed, "{when}");
                assert_eq!(report.results, expected.results, "{when}");
            }
            assert_eq!(bench.state(), whole.state(), "{when}");
            let again = take_up(&bench).await.results;
            let changes = (again.updated, again.shards_updated, again.deleted);
            assert_eq!(changes, (0, 0, 0), "{when}");
            assert_eq!(bench.state(), whole.state(), "{when}, and again");
        }
        assert!(deaths >= 5, "there was something to die of");
    }
}

#[tokio::test]
async fn a_worker_that_is_alive_is_not_disturbed() {
    let bench = prepared(false).await;
    let store = Arc::new(bench.store());
    let world = Arc::new(bench.world_on(store.clone()).await);
    let alive = Options { worker: Worker::current(), ..Options::default() };
    let begun = tokio::time::timeout(
        Duration::ZERO,
        execute(&world, "people", &bench.clock, alive.clone()),
    );
    drop(begun.await);
    store.settle().await.unwrap();
    if bench.number("SELECT count(*) FROM lease") == 1 {
        let second = execute(&world, "people", &bench.clock, alive).await;
        assert!(second.unwrap_err().to_string().contains("is running already"));
    }
}

/// What was seen of a source before it was replaced says nothing of what is there now. It may keep a record for
/// one run too long; it never deletes one that is there.
#[tokio::test]
async fn a_full_read_taken_up_on_a_file_that_was_replaced_deletes_nothing_that_is_there() {
    let whole = prepared(false).await;
    write(&whole, &lines(6, 3));
    take_up(&whole).await;
    let (mut deaths, mut over) = (0, 0);
    for looks in 2..60 {
        let bench = prepared(false).await;
        if !die_after(&bench, looks, true).await || bench.number("SELECT count(*) FROM lease") == 0
        {
            over += 1;
            if over == OVER_MAX {
                break;
            }
            continue;
        }
        deaths += 1;
        write(&bench, &lines(6, 3));
        let there = |bench: &Bench| {
            let sql = "SELECT count(*) FROM link l JOIN entity e ON e.id = l.entity \
                 WHERE e.entity = 'person' AND NOT l.deleted AND CAST(l.external_id AS INTEGER) >= 6";
            bench.number(sql)
        };
        let before = there(&bench);
        let report = take_up(&bench).await;
        assert!(report.results.deleted <= 6, "after {looks}: {report:?}");
        assert_eq!(there(&bench), before, "after {looks}");
        take_up(&bench).await;
        // What a deleted record said last depends on what was read of it while it was there.
        let live = |bench: &Bench| {
            let state = bench.state().into_iter();
            state.filter(|line| !line.contains(" deleted 1 ")).collect::<Vec<_>>()
        };
        assert_eq!(live(&bench), live(&whole), "after {looks}, and again");
    }
    assert!(deaths >= 5, "there was something to die of");
}
