//! Databases that cannot be used, and what is said of them.

use crate::stores::*;
use rusqlite::Connection;
use std::sync::Arc;
use syncline_core::plan::rows::ShardId;
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::Plan;
use syncline_store::overlay::OverlayStore;
use syncline_store::sqlite::{Options, SqliteStore};
use syncline_store::{Store, StoreError};
use tempfile::TempDir;

fn problem(error: &StoreError) -> String {
    error.to_string()
}

fn refused(path: &std::path::Path, options: Options) -> StoreError {
    SqliteStore::open(path, options).err().expect("it cannot be used")
}

#[test]
fn files_that_are_not_ours_are_left_alone() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("text"), "a,b,c\n".repeat(1000)).unwrap();
    Connection::open(at("foreign")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    for name in ["text", "foreign"] {
        let before = std::fs::read(at(name)).unwrap();
        assert!(matches!(refused(&at(name), options()), StoreError::Damaged { .. }), "{name}");
        assert_eq!(std::fs::read(at(name)).unwrap(), before, "{name}");
    }
    let read_only = Options { read_only: true, ..options() };
    for (path, options) in [
        (folder.path().to_owned(), options()),
        (at("no/such/folder"), options()),
        (at("none"), read_only),
        ("/proc/none.db".into(), options()),
    ] {
        let error = refused(&path, options);
        assert!(matches!(error, StoreError::Unusable { transient: false, .. }), "{error}");
        assert!(problem(&error).contains("no such file, or no permission"), "{error}");
    }
    assert!(!at("none").exists());
}

#[test]
fn a_newer_version_and_another_tenant_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s.db");
    drop(sqlite(&folder));
    // No tenant at all means whoever it is.
    let any = Options { tenant: String::new(), ..options() };
    drop(SqliteStore::open(&path, any).unwrap());
    let other = Options { tenant: "other".into(), ..options() };
    assert!(problem(&refused(&path, other)).contains("tenant `default`"));
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(matches!(refused(&path, options()), StoreError::Newer { found: 99, .. }));
}

/// A program that was killed while it made its database leaves one without a table.
#[test]
fn a_blank_database_is_no_store_yet() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = WAL").unwrap();
    let read_only = Options { read_only: true, ..options() };
    let error = refused(&path, read_only.clone());
    assert!(matches!(error, StoreError::Blank { .. }), "{error}");
    drop(SqliteStore::open(&path, options()).unwrap());
    drop(SqliteStore::open(&path, read_only).unwrap());
}

/// A write version that SQLite does not know makes a database read-only for whoever opens it, root included.
#[tokio::test]
async fn a_read_only_database_says_so_and_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s.db");
    let store = sqlite(&folder);
    let (_, begun) = start(&store).await;
    commit(&store, begun.execution, Plan { shards_new: vec![shard(1, "{}")], ..Plan::default() })
        .await;
    store.settle().await.unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[18] = 3;
    std::fs::write(&path, &bytes).unwrap();
    let error = match SqliteStore::open(&path, options()) {
        Ok(store) => store.begin(begin("u", 9)).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(!error.is_transient() && problem(&error).contains("read-only"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_locked_database_says_so_and_can_be_tried_again() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder);
    let (_, begun) = start(&store).await;
    let other = Connection::open(folder.path().join("s.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = store.read(Need::default()).await.unwrap_err();
    assert!(error.is_transient() && problem(&error).contains("locked"), "{error}");
    assert_eq!(store.executions(None, 9).await.unwrap().len(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    commit(&store, begun.execution, Plan { shards_new: vec![shard(1, "{}")], ..Plan::default() })
        .await;
}

#[tokio::test]
async fn readers_see_what_is_settled_while_a_run_goes_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s.db");
    let store = sqlite(&folder);
    let (_, begun) = start(&store).await;
    let one = |id| Plan { shards_new: vec![shard(id, "{}")], ..Plan::default() };
    commit(&store, begun.execution, one(1)).await;
    store.settle().await.unwrap();
    commit(&store, begun.execution, one(2)).await;
    let read_only = Options { read_only: true, ..options() };
    let reader = SqliteStore::open(&path, read_only.clone()).unwrap();
    let fixed = SqliteStore::open(&path, Options { snapshot: true, ..read_only }).unwrap();
    let both = vec![ShardId(1), ShardId(2)];
    assert_eq!(reader.shards_by_row(both.clone()).await.unwrap().len(), 1);
    store.settle().await.unwrap();
    assert_eq!(reader.shards_by_row(both.clone()).await.unwrap().len(), 2);
    assert_eq!(fixed.shards_by_row(both.clone()).await.unwrap().len(), 1);
    let error = reader.begin(begin("u", 9)).await.unwrap_err();
    assert!(problem(&error).contains("reading only"), "{error}");
    let preview = OverlayStore::over(Arc::new(fixed));
    let begun = preview.begin(begin("t", 9)).await.unwrap();
    let mut changed = shard(1, r#"{"n":1}"#);
    changed.version = 2;
    let plan = Plan { shards_changed: vec![changed.clone()], ..one(2) };
    commit(&preview, begun.execution, plan).await;
    let written = preview.written().await.unwrap().shards;
    assert_eq!(written, [(Some(shard(1, "{}")), changed), (None, shard(2, "{}"))]);
    assert_eq!(reader.shards_by_row(both).await.unwrap()[0], shard(1, "{}"));
}
