//! Executions, leases and statistics.

use crate::stores::*;
use syncline_core::plan::writes::{Checkpoint, Counters, Plan};
use syncline_store::StoreError;
use syncline_store::execution::{Begin, Finish};

fn checkpoint(created: u64) -> Checkpoint {
    Checkpoint {
        cursor: serde_json::json!({ "at": created }),
        counters: Counters { fetched: created, created, ..Counters::default() },
        high_water: Some(created as i64),
        seen: vec![1, 2, 3],
        ..Checkpoint::default()
    }
}

#[tokio::test]
async fn a_task_runs_once_at_a_time_and_its_results_add_up() {
    for opened in all() {
        let store = &*opened.store;
        let first = store.begin(begin("t", 1)).await.unwrap();
        assert_eq!((first.resumed, first.cursor), (None, None), "{}", opened.name);
        let busy = store.begin(begin("t", 2)).await;
        assert!(matches!(busy, Err(StoreError::Busy { .. })), "{}", opened.name);
        assert!(store.executions(None, 9).await.unwrap()[0].alive, "{}", opened.name);
        let cursor = Some(serde_json::json!([1, "x"]));
        let finish = Finish {
            execution: first.execution,
            status: "success".into(),
            checkpoint: checkpoint(7),
            cursor: cursor.clone(),
            now: 50,
            ..Finish::default()
        };
        store.finish(finish.clone()).await.unwrap();
        let twice = store.finish(finish.clone()).await;
        assert!(matches!(twice, Err(StoreError::Fenced)), "{}", opened.name);
        let second = store.begin(begin("t", 2)).await.unwrap();
        assert_eq!((second.cursor.clone(), second.high_water), (cursor.clone(), Some(7)));
        let failed = Finish {
            execution: second.execution,
            status: "failed".into(),
            cursor: None,
            checkpoint: checkpoint(9),
            error: Some("no".into()),
            ..finish
        };
        store.finish(failed).await.unwrap();
        let stats = &store.task_stats().await.unwrap()[0];
        assert_eq!((stats.runs, stats.successes, stats.failures), (2, 1, 1), "{}", opened.name);
        assert_eq!(stats.counters.created, 16, "{}", opened.name);
        assert_eq!(store.position("t").await.unwrap(), (cursor, Some(7)), "{}", opened.name);
        let rows = store.executions(Some("t"), 9).await.unwrap();
        assert_eq!(
            rows.iter().map(|r| r.status.as_str()).collect::<Vec<_>>(),
            ["failed", "success"]
        );
        assert!(!rows[0].alive && rows[0].error.is_some(), "{}", opened.name);
        assert_eq!(store.executions(Some("other"), 9).await.unwrap().len(), 0, "{}", opened.name);
    }
}

#[tokio::test]
async fn what_a_dead_worker_left_is_taken_up_if_the_configuration_is_the_same() {
    for opened in all() {
        let store = &*opened.store;
        let left = Begin { worker: dead(), ..begin("t", 1) };
        let first = store.begin(left.clone()).await.unwrap();
        let plan =
            Plan { execution: first.execution, checkpoint: Some(checkpoint(3)), ..Plan::default() };
        store.commit(Box::new(plan)).await.unwrap();
        store.settle().await.unwrap();
        assert!(!store.executions(None, 1).await.unwrap()[0].alive, "{}", opened.name);
        let second = store.begin(Begin { uuid: 2, ..left }).await.unwrap();
        assert_eq!((second.execution, second.uuid), (first.execution, 1), "{}", opened.name);
        assert_eq!(second.resumed, Some(checkpoint(3)), "{}", opened.name);
        let other = Begin { fingerprint: "g".into(), ..begin("t", 3) };
        let third = store.begin(other).await.unwrap();
        assert_eq!((third.resumed, third.uuid), (None, 3), "{}", opened.name);
        let rows = store.executions(None, 9).await.unwrap();
        assert_eq!(rows[1].status, "failed", "{}", opened.name);
        let stats = &store.task_stats().await.unwrap()[0];
        assert_eq!((stats.failures, stats.counters.created), (1, 3), "{}", opened.name);
    }
}

#[tokio::test]
async fn a_cancel_reaches_the_next_commit() {
    for opened in all() {
        let store = &*opened.store;
        assert!(!store.cancel("t").await.unwrap(), "{}", opened.name);
        let begun = store.begin(begin("t", 1)).await.unwrap();
        let plan = Plan { execution: begun.execution, ..Plan::default() };
        assert!(
            !store.commit(Box::new(plan.clone())).await.unwrap().cancel_requested,
            "{}",
            opened.name
        );
        assert!(store.cancel("t").await.unwrap(), "{}", opened.name);
        assert!(store.commit(Box::new(plan)).await.unwrap().cancel_requested, "{}", opened.name);
    }
}
