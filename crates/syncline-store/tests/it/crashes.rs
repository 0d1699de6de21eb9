//! What is left when something goes wrong.

use crate::stores::*;
use rusqlite::Connection;
use syncline_core::plan::rows::ShardId;
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::{Checkpoint, Counters, Plan};
use syncline_store::execution::{Begin, Finish};
use syncline_store::sqlite::{Options, SqliteStore};
use syncline_store::{Store, StoreError};
use tempfile::TempDir;

fn one(id: i64, data: &str) -> Plan {
    let counters = Counters { fetched: id as u64, created: id as u64, ..Counters::default() };
    Plan {
        shards_new: vec![shard(id, data)],
        links_new: vec![link(id, CRM, &id.to_string(), id)],
        checkpoint: Some(Checkpoint { counters, ..Checkpoint::default() }),
        ..Plan::default()
    }
}

#[tokio::test]
async fn a_crash_loses_the_last_group_and_no_part_of_one() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder);
    let begun = store.begin(Begin { worker: dead(), ..begin("t", 1) }).await.unwrap();
    commit(&store, begun.execution, one(1, "{}")).await;
    store.settle().await.unwrap();
    commit(&store, begun.execution, one(2, "{}")).await;
    commit(&store, begun.execution, one(3, "{}")).await;
    drop(store);
    let store = sqlite(&folder);
    assert_eq!(store.shards_by_row((0..9).map(ShardId).collect()).await.unwrap().len(), 1);
    assert_eq!(store.links(Default::default(), 9).await.unwrap().len(), 1);
    let resumed = store.begin(begin("t", 2)).await.unwrap().resumed.unwrap();
    assert_eq!(resumed.counters.created, 1);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_is_fenced() {
    let folder = TempDir::new().unwrap();
    let slow = sqlite(&folder);
    let old = slow.begin(Begin { worker: dead(), ..begin("t", 1) }).await.unwrap();
    commit(&slow, old.execution, one(1, "{}")).await;
    slow.settle().await.unwrap();
    let quick = sqlite(&folder);
    let new = quick.begin(begin("t", 2)).await.unwrap();
    assert_eq!(new.execution, old.execution);
    let plan = Plan { execution: old.execution, ..one(2, "{}") };
    assert!(matches!(slow.commit(Box::new(plan)).await, Err(StoreError::Fenced)));
    slow.settle().await.unwrap();
    let finish = Finish { execution: old.execution, status: "success".into(), ..Finish::default() };
    assert!(matches!(slow.finish(finish.clone()).await, Err(StoreError::Fenced)));
    commit(&quick, new.execution, one(2, "{}")).await;
    quick.finish(finish).await.unwrap();
}

#[tokio::test]
async fn two_stores_take_turns_and_notice_each_other() {
    let folder = TempDir::new().unwrap();
    let stores = [sqlite(&folder), sqlite(&folder)];
    let a = stores[0].begin(begin("a", 1)).await.unwrap().execution;
    let b = stores[1].begin(begin("b", 2)).await.unwrap().execution;
    for round in 0..5 {
        for (store, execution) in stores.iter().zip([a, b]) {
            let found = store.read(Need::default()).await.unwrap();
            assert_eq!(found.next_shard, found.next_link);
            let plan = one(found.next_link, "{}");
            store.commit(Box::new(Plan { execution, epoch: found.epoch, ..plan })).await.unwrap();
            store.settle().await.unwrap();
            if round == 4 {
                let stale = one(found.next_link + 1, "{}");
                let stale = Plan { execution, epoch: found.epoch, ..stale };
                assert!(matches!(store.commit(Box::new(stale)).await, Err(StoreError::Stale)));
                store.settle().await.unwrap();
            }
        }
    }
    let old = stores[0].read(Need::default()).await.unwrap();
    stores[0].settle().await.unwrap();
    commit(&stores[1], b, one(11, "{}")).await;
    stores[1].settle().await.unwrap();
    let plan = Plan { execution: a, epoch: old.epoch, ..one(11, "{}") };
    assert!(matches!(stores[0].commit(Box::new(plan)).await, Err(StoreError::Stale)));
    stores[0].settle().await.unwrap();
    assert!(stores[1].cancel("a").await.unwrap());
    let nothing = Plan { execution: a, ..Plan::default() };
    assert!(stores[0].commit(Box::new(nothing)).await.unwrap().cancel_requested);
    assert_eq!(stores[0].links(Default::default(), 99).await.unwrap().len(), 11);
}

#[tokio::test]
async fn a_full_disk_ends_the_execution_where_it_was_last_durable() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s.db");
    let store = SqliteStore::open(&path, Options { pages_max: Some(120), ..options() }).unwrap();
    let begun = store.begin(begin("t", 1)).await.unwrap();
    commit(&store, begun.execution, one(1, "{}")).await;
    store.settle().await.unwrap();
    commit(&store, begun.execution, one(2, "{}")).await;
    let epoch = store.read(Need::default()).await.unwrap().epoch;
    let large = one(3, &"x".repeat(1_000_000));
    let plan = Plan { execution: begun.execution, epoch, ..large };
    let error = store.commit(Box::new(plan)).await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    let again = Plan { execution: begun.execution, ..Plan::default() };
    assert!(
        store
            .commit(Box::new(again))
            .await
            .unwrap_err()
            .to_string()
            .contains("earlier write failed")
    );
    let counters = Counters { created: 3, ..Counters::default() };
    let finish = Finish {
        execution: begun.execution,
        status: "success".into(),
        checkpoint: Checkpoint { counters, ..Checkpoint::default() },
        cursor: Some(7.into()),
        ..Finish::default()
    };
    assert!(store.finish(finish).await.is_err());
    let row = &store.executions(None, 1).await.unwrap()[0];
    assert_eq!((row.status.as_str(), row.checkpoint.counters.created), ("failed", 1));
    assert_eq!(store.position("t").await.unwrap(), (None, None));
    assert_eq!(store.links(Default::default(), 9).await.unwrap().len(), 1);
    let quick = Connection::open(&path).unwrap();
    let check: String = quick.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    assert!(store.begin(begin("t", 2)).await.is_ok(), "the lease was let go of");
}

#[tokio::test]
async fn a_group_is_committed_when_nothing_comes_after_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s.db");
    let quick = Options { idle: std::time::Duration::from_millis(1), ..options() };
    let store = SqliteStore::open(&path, quick).unwrap();
    let begun = store.begin(begin("t", 1)).await.unwrap();
    commit(&store, begun.execution, one(1, "{}")).await;
    let reader = Connection::open(&path).unwrap();
    // Bounded by the test runner alone: a slow machine takes longer, and is right too.
    while reader.query_row("SELECT count(*) FROM link", [], |row| row.get::<_, i64>(0)).unwrap()
        == 0
    {
        std::thread::yield_now();
    }
}
