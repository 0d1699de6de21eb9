//! Notices that wait until they are heeded.

use crate::stores::*;
use syncline_store::Store;
use syncline_store::notice::Notice;
use syncline_store::overlay::OverlayStore;
use tempfile::TempDir;

fn notice(task: &str, external_id: Option<&str>) -> Notice {
    Notice { task: task.to_owned(), external_id: external_id.map(Into::into) }
}

async fn waiting(store: &dyn Store, task: &str) -> Vec<(i64, Option<String>)> {
    let rows = store.notices(task, 10).await.unwrap();
    let of = |id: Option<compact_str::CompactString>| id.map(|id| id.to_string());
    rows.into_iter().map(|row| (row.id, of(row.notice.external_id))).collect()
}

fn names(rows: &[(i64, Option<String>)]) -> Vec<Option<&str>> {
    rows.iter().map(|(_, id)| id.as_deref()).collect()
}

#[tokio::test]
async fn a_notice_waits_once_until_it_is_heeded_and_oldest_first() {
    for opened in all() {
        let store = &*opened.store;
        store.note(vec![notice("t", Some("a")), notice("u", Some("a"))]).await.unwrap();
        store.note(vec![notice("t", None), notice("t", Some("b"))]).await.unwrap();
        let rows = waiting(store, "t").await;
        assert_eq!(names(&rows), [Some("a"), None, Some("b")], "{}", opened.name);
        assert_eq!(store.notices("t", 2).await.unwrap().len(), 2, "{}", opened.name);
        store.heeded(vec![rows[0].0, rows[1].0]).await.unwrap();
        assert_eq!(names(&waiting(store, "t").await), [Some("b")], "{}", opened.name);
        assert_eq!(names(&waiting(store, "u").await), [Some("a")], "{}", opened.name);
    }
}

#[tokio::test]
async fn a_notice_that_comes_again_while_it_is_heeded_waits_for_another_look() {
    for opened in all() {
        let store = &*opened.store;
        store.note(vec![notice("t", Some("a"))]).await.unwrap();
        let taken = waiting(store, "t").await;
        store.note(vec![notice("t", Some("a"))]).await.unwrap();
        assert_eq!(waiting(store, "t").await.len(), 1, "{}", opened.name);
        store.heeded(vec![taken[0].0]).await.unwrap();
        let again = waiting(store, "t").await;
        assert_eq!(names(&again), [Some("a")], "{}", opened.name);
        store.heeded(vec![again[0].0]).await.unwrap();
        assert_eq!(waiting(store, "t").await, [], "{}", opened.name);
        // Nor does one that was heeded twice take a later one with it.
        store.note(vec![notice("t", Some("a"))]).await.unwrap();
        store.heeded(vec![taken[0].0, again[0].0]).await.unwrap();
        assert_eq!(waiting(store, "t").await.len(), 1, "{}", opened.name);
    }
}

#[tokio::test]
async fn what_was_noted_outlasts_the_process_and_an_overlay_leaves_it_there() {
    let folder = TempDir::new().unwrap();
    sqlite(&folder).note(vec![notice("t", Some("a"))]).await.unwrap();
    let base = std::sync::Arc::new(sqlite(&folder));
    let over = OverlayStore::over(base.clone());
    let rows = waiting(&over, "t").await;
    assert_eq!(names(&rows), [Some("a")]);
    over.note(vec![notice("t", Some("a")), notice("t", Some("b"))]).await.unwrap();
    assert_eq!(names(&waiting(&over, "t").await), [Some("a"), Some("b")]);
    over.heeded(vec![rows[0].0]).await.unwrap();
    assert_eq!(waiting(&over, "t").await.len(), 2);
    assert_eq!(waiting(&*base, "t").await, rows);
}
