//! What two-way sync keeps: bases, stamps, intents, conflicts.

use crate::stores::*;
use syncline_core::plan::rows::{
    BaseRow, ConflictRow, ExecutionId, IntentId, IntentKind, IntentRow, IntentState, LinkId,
    ShardId,
};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::{Change, ConflictClosed, Plan, Subject};
use syncline_core::reconcile::{Stamp, Winner};
use syncline_core::value::Value;
use syncline_store::query::{ConflictFilter, IntentFilter};

fn intent(id: i64, link: i64, state: IntentState) -> IntentRow {
    IntentRow {
        id: IntentId(id),
        execution: ExecutionId(1),
        entity: CRM,
        link: LinkId(link),
        shard: ShardId(1),
        kind: IntentKind::Update,
        state,
        body: r#"{"key":"k"}"#.into(),
        attempts: i64::from(state != IntentState::Planned),
        sent: (state != IntentState::Planned).then_some(7),
        problem: None,
    }
}

fn base(link: i64, version: Option<&str>, fields: Option<&str>) -> BaseRow {
    let (version, fields) = (version.map(Into::into), fields.map(Into::into));
    BaseRow { link: LinkId(link), version, fields }
}

fn conflict(link: i64, field: &str, status: &str) -> ConflictRow {
    let stamp = Stamp { lo: 1, hi: 2, rank: 0 };
    ConflictRow {
        id: 0,
        execution: ExecutionId(1),
        link: LinkId(link),
        field: field.into(),
        kind: "update_update".into(),
        base: None,
        local: Some(Value::Null),
        remote: Some(Value::text("r")),
        local_stamp: stamp,
        remote_stamp: stamp,
        rule: "manual".into(),
        winner: Winner::Nobody,
        value: None,
        by_tie: true,
        problem: Some("why".into()),
        status: status.into(),
        by: None,
        met_at: 5,
        decided_at: None,
    }
}

fn two_links() -> Plan {
    Plan {
        shards_new: vec![shard(1, "{}")],
        links_new: vec![link(1, CRM, "a", 1), link(2, CRM, "b", 1)],
        bases: vec![
            base(1, Some("v1"), Some(r#"{"x":{"dirty":true}}"#)),
            base(2, None, Some("{}")),
        ],
        stamps: vec![(ShardId(1), Some(r#"{"x":{"lo":1,"hi":1,"rank":0}}"#.into()))],
        intents_new: vec![intent(1, 1, IntentState::Planned), intent(2, 2, IntentState::Planned)],
        ..Plan::default()
    }
}

#[tokio::test]
async fn what_was_agreed_is_read_with_the_links() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let agreed = || Need { agreed: vec![LinkId(1), LinkId(2)], ..Need::default() };
        assert_eq!(read(store, agreed()).await.next_intent, 1, "{}", opened.name);
        commit(store, begun.execution, two_links()).await;
        let found = read(store, agreed()).await;
        assert_eq!(found.bases, two_links().bases, "{}", opened.name);
        assert_eq!(found.intents, two_links().intents_new, "{}", opened.name);
        assert_eq!(found.stamps.len(), 1, "{}", opened.name);
        assert_eq!(found.next_intent, 3, "{}", opened.name);
        let plan = Plan {
            bases: vec![base(1, Some("v2"), None), base(2, None, None)],
            stamps: vec![(ShardId(1), None)],
            intents_changed: vec![intent(1, 1, IntentState::Done)],
            intents_dropped: vec![IntentId(2)],
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        let found = read(store, agreed()).await;
        assert_eq!(found.bases, [base(1, Some("v2"), None)], "{}", opened.name);
        assert!(found.intents.is_empty() && found.stamps.is_empty(), "{}", opened.name);
    }
}

#[tokio::test]
async fn a_sent_intent_is_not_dropped_and_all_are_listed() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        commit(store, begun.execution, two_links()).await;
        let sent =
            Plan { intents_changed: vec![intent(1, 1, IntentState::Sent)], ..Plan::default() };
        commit(store, begun.execution, sent).await;
        let list = async |states: Vec<IntentState>, after, limit| {
            let filter = IntentFilter {
                entity: Some(CRM),
                states,
                after: IntentId(after),
                limit,
                ..IntentFilter::default()
            };
            store.intents(filter).await.unwrap().iter().map(|i| i.id.0).collect::<Vec<_>>()
        };
        assert_eq!(list(vec![IntentState::Sent], 0, 9).await, [1], "{}", opened.name);
        assert_eq!(list(vec![IntentState::Planned], 0, 9).await, [2], "{}", opened.name);
        assert_eq!(list(vec![], 0, 1).await, [1], "{}", opened.name);
        assert_eq!(list(vec![], 1, 9).await, [2], "{}", opened.name);
        let filter =
            IntentFilter { execution: Some(ExecutionId(1)), limit: 9, ..IntentFilter::default() };
        assert_eq!(store.intents(filter).await.unwrap().len(), 2, "{}", opened.name);
        let done =
            Plan { intents_changed: vec![intent(1, 1, IntentState::Done)], ..Plan::default() };
        commit(store, begun.execution, done).await;
        assert_eq!(list(vec![IntentState::Done], 0, 9).await, [1], "{}", opened.name);
    }
}

#[tokio::test]
async fn a_sent_intent_that_was_not_written_is_dropped_with_its_plan() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        commit(store, begun.execution, two_links()).await;
        let changed =
            |state| Plan { intents_changed: vec![intent(1, 1, state)], ..Plan::default() };
        commit(store, begun.execution, changed(IntentState::Sent)).await;
        let stale = Plan { intents_dropped: vec![IntentId(1)], ..changed(IntentState::Planned) };
        commit(store, begun.execution, stale).await;
        let filter = IntentFilter { limit: 9, ..IntentFilter::default() };
        let left = store.intents(filter).await.unwrap();
        assert_eq!(left.iter().map(|i| i.id.0).collect::<Vec<_>>(), [2], "{}", opened.name);
    }
}

#[tokio::test]
async fn one_conflict_of_a_field_is_open_at_a_time() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        commit(store, begun.execution, two_links()).await;
        let met = |rows| Plan { conflicts: rows, ..Plan::default() };
        let rows =
            vec![conflict(1, "x", "open"), conflict(1, "y", "open"), conflict(1, "x", "resolved")];
        commit(store, begun.execution, met(rows)).await;
        commit(store, begun.execution, met(vec![conflict(1, "x", "open")])).await;
        let list = async |with_closed| {
            let filter = ConflictFilter { with_closed, limit: 9, id: None };
            let rows = store.conflicts(filter).await.unwrap();
            rows.iter().map(|row| (row.field.clone(), row.status.clone())).collect::<Vec<_>>()
        };
        let of = |field: &str, status: &str| (field.to_owned(), status.to_owned());
        assert_eq!(list(false).await, [of("x", "open"), of("y", "open")], "{}", opened.name);
        assert_eq!(list(true).await.len(), 3, "{}", opened.name);
        let closed = ConflictClosed {
            link: LinkId(1),
            field: "x".into(),
            status: "ignored".into(),
            winner: Winner::Local,
            value: None,
            by: "ann".into(),
            at: 9,
        };
        let plan = Plan { conflicts_closed: vec![closed], ..Plan::default() };
        commit(store, begun.execution, plan).await;
        assert_eq!(list(false).await, [of("y", "open")], "{}", opened.name);
        let filter = ConflictFilter { with_closed: true, limit: 1, id: None };
        let newest = store.conflicts(filter).await.unwrap().remove(0);
        assert_eq!((newest.by.as_deref(), newest.decided_at), (Some("ann"), Some(9)));
        let filter = ConflictFilter { with_closed: true, limit: 1, id: Some(newest.id) };
        assert_eq!(store.conflicts(filter).await.unwrap(), [newest], "{}", opened.name);
    }
}

#[tokio::test]
async fn how_far_a_sweep_is_and_what_a_run_changed_are_kept() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        assert_eq!(store.swept(CRM).await.unwrap(), None, "{}", opened.name);
        let before =
            Change { subject: Subject::Shard(ShardId(1)), before: "{}".into(), version: 1 };
        let swept = vec![(CRM, "1".to_owned())];
        let plan = Plan { swept, changes: vec![before], ..two_links() };
        commit(store, begun.execution, plan).await;
        let again = Plan { swept: vec![(CRM, "2".to_owned())], ..Plan::default() };
        commit(store, begun.execution, again).await;
        assert_eq!(store.swept(CRM).await.unwrap().as_deref(), Some("2"), "{}", opened.name);
        let changed = store.changed_in(begun.execution).await.unwrap();
        assert_eq!(changed, [ShardId(1)], "{}", opened.name);
        assert!(store.changed_in(ExecutionId(99)).await.unwrap().is_empty(), "{}", opened.name);
    }
}
