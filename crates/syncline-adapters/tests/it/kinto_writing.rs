//! A store of records with ETags and tombstones, read and written by way of a manifest with a `write` block alone.

use crate::kinto::{Kinto, Proxy};
use crate::reading::{full, shown};
use crate::sql_place::{create, delete, short, update};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncline_adapters::write::{Change, CreateGuard, UpdateGuard, Write, Written};
use syncline_adapters::{Adapter, AdapterError, ReadEnd, ReadRequest, registry};
use syncline_core::config::model::{
    Connection, Entity, EntitySettings, ManifestSettings, OneOrMany, Settings, StreamSettings,
};
use syncline_core::record::Cursor;
use tokio::sync::mpsc;

/// The built-in connector, as it stands on the disk.
fn connector() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/kinto")
}

fn config(port: u16) -> Value {
    json!({
        "url": format!("http://127.0.0.1:{port}/v1"),
        "bucket": "it",
        "collection": "people",
        "user": "token",
        "password": "secret",
    })
}

fn connection(manifest: &Path, port: u16) -> Connection {
    let entity = Entity {
        key: OneOrMany::One("id".to_owned()),
        version: Some("last_modified".to_owned()),
        settings: EntitySettings::Stream(StreamSettings { stream: Some("records".to_owned()) }),
        ..Entity::default()
    };
    let config = serde_json::from_value(config(port)).unwrap();
    let manifest = Some(manifest.display().to_string());
    Connection {
        adapter: "manifest".to_owned(),
        settings: Settings::Manifest(ManifestSettings {
            manifest,
            config,
            allow_private: true,
            ..ManifestSettings::default()
        }),
        entities: [("it".to_owned(), entity)].into(),
        ..Connection::default()
    }
}

/// One collection, by way of the adapter.
struct Collection {
    adapter: Arc<dyn Adapter>,
}

impl Collection {
    fn at(port: u16) -> Self {
        let connection = connection(&connector(), port);
        Self { adapter: registry::open(&connection, Path::new("/")).unwrap() }
    }

    async fn write(&self, writes: Vec<Write>) -> Vec<String> {
        self.written(writes).await.0
    }

    /// What became of each write, in short, and the records that the replies show.
    async fn written(&self, writes: Vec<Write>) -> (Vec<String>, Vec<String>) {
        let replies = self.adapter.writer().unwrap().write("it", writes).await;
        (replies.written.iter().map(short).collect(), shown(&replies.records))
    }

    async fn get(&self, ids: &[&str]) -> Result<Vec<String>, AdapterError> {
        let keys = ids.iter().map(|id| vec![(*id).into()]).collect();
        Ok(shown(&self.adapter.writer().unwrap().get("it", keys).await?))
    }

    /// The ids that a read gives, with `-` before those of deleted records, and where the next read begins.
    async fn read(&self, cursor: Option<Cursor>) -> (Vec<String>, ReadEnd) {
        let (sender, mut pages) = mpsc::channel(100);
        let request = ReadRequest { full: false, ..full(cursor, 7) };
        let end = self.adapter.read(request, sender).await.unwrap();
        let mut ids = Vec::new();
        while let Some(page) = pages.recv().await {
            let (id, deleted) = (page.shape.position("id"), page.shape.position("deleted"));
            for record in &page.records {
                let id = record.cell(id.unwrap()).unwrap().to_plain().into_owned();
                let is_gone = deleted.and_then(|index| record.cell(index)).is_some();
                ids.push(if is_gone { format!("-{id}") } else { id });
            }
        }
        ids.sort_unstable();
        (ids, end)
    }
}

fn marked(marker: &str, json: &str) -> Write {
    Write { marker: marker.into(), ..create(json) }
}

fn versioned(mut write: Write, version: i64) -> Write {
    if let Change::Update { target, .. } | Change::Delete { target } = &mut write.change {
        target.version = Some(version.to_string().into());
    }
    write
}

#[tokio::test]
async fn what_changed_is_read_and_what_was_deleted() {
    let server = Kinto::start();
    for index in 0..25 {
        server.put(&format!("p{index:02}"), json!({"name": format!("Person {index}")}));
    }
    let people = Collection::at(server.port);
    let (all, end) = people.read(None).await;
    assert_eq!(all.len(), 25, "three pages: {all:?}");
    assert!(end.complete);
    let (again, end) = people.read(Some(end.cursor)).await;
    assert!(again.is_empty(), "{again:?}");
    server.record("DELETE", "p03", None);
    server.put("p04", json!({"name": "Renamed"}));
    server.put("p99", json!({"name": "New"}));
    let (changed, end) = people.read(Some(end.cursor)).await;
    assert_eq!(changed, ["-p03", "p04", "p99"]);
    assert!(people.read(Some(end.cursor)).await.0.is_empty());
}

#[tokio::test]
async fn records_are_made_changed_and_deleted_under_guards() {
    let server = Kinto::start();
    let people = Collection::at(server.port);
    let promised = people.adapter.writer().unwrap().capabilities("it").await.unwrap();
    assert_eq!((promised.create, promised.update), (CreateGuard::UniqueKey, UpdateGuard::Strong));
    assert!(promised.deletes && promised.batch_max == 25);

    let awkward = r#"{"name": "[1] 'Ada'", "phone": "007", "tags": ["a", null], "n": 1e3, "big": 9007199254740993}"#;
    let (outcomes, records) = people.written(vec![marked("a-1", awkward)]).await;
    assert_eq!(outcomes, ["done a-1"]);
    assert!(records[0].contains("last_modified="), "the reply shows the record: {records:?}");
    let held = server.all()[0].clone();
    assert_eq!(held["name"], "[1] 'Ada'", "no value is taken for a template or a literal");
    assert_eq!(held["phone"], "007");
    assert_eq!(held["tags"], json!(["a", null]));
    assert_eq!(held["big"], 9_007_199_254_740_993_u64);

    let version = held["last_modified"].as_i64().unwrap();
    let renamed = |version| versioned(update("a-1", "{}", r#"{"name": "Ada L."}"#), version);
    assert_eq!(people.write(vec![renamed(version - 1)]).await, ["changed"]);
    assert_eq!(people.write(vec![renamed(version)]).await, ["done a-1"]);
    assert_eq!(people.write(vec![renamed(version)]).await, ["changed"], "that was an older one");
    let held = server.all()[0].clone();
    assert_eq!((&held["name"], &held["phone"]), (&json!("Ada L."), &json!("007")));

    let unversioned = people.write(vec![update("a-1", "{}", r#"{"name": "X"}"#)]).await;
    assert_eq!(unversioned, ["rejected"], "no write goes without its guard");
    assert_eq!(people.write(vec![versioned(delete("a-1", "{}"), version)]).await, ["changed"]);
    let version = held["last_modified"].as_i64().unwrap();
    assert_eq!(people.write(vec![versioned(delete("a-1", "{}"), version)]).await, ["done a-1"]);
    assert_eq!(people.write(vec![versioned(delete("a-1", "{}"), version)]).await, ["missing"]);
    assert_eq!(people.write(vec![renamed(version)]).await, ["missing"]);
    assert!(server.all().is_empty());
}

#[tokio::test]
async fn a_creation_that_is_sent_twice_makes_one_record() {
    let server = Kinto::start();
    let people = Collection::at(server.port);
    let write = marked("twice-1", r#"{"name": "Ada"}"#);
    assert_eq!(people.write(vec![write.clone()]).await, ["done twice-1"]);
    let edited = server.put("twice-1", json!({"name": "edited since"}));
    assert_eq!(people.write(vec![write.clone()]).await, ["exists twice-1"]);
    let held = server.all();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0]["last_modified"], edited, "and what was edited since is left alone");
    let found = people.adapter.writer().unwrap().find("it", vec![write]).await.unwrap();
    assert!(shown(&found)[0].contains("edited since"));
    let other = marked("never-1", "{}");
    let found = people.adapter.writer().unwrap().find("it", vec![other]).await.unwrap();
    assert!(found.is_empty());
}

#[tokio::test]
async fn a_lost_reply_leaves_the_outcome_open_until_it_is_looked_up() {
    let server = Kinto::start();
    let proxy = Proxy::before(server.port);
    let people = Collection::at(proxy.port);
    proxy.lose(1);
    let write = marked("lost-1", r#"{"name": "Ada"}"#);
    assert_eq!(people.write(vec![write.clone()]).await, ["unknown"]);
    assert_eq!(proxy.take_writes(), 1, "what changes something is sent once");
    let found = people.adapter.writer().unwrap().find("it", vec![write]).await.unwrap();
    assert!(shown(&found)[0].contains(r#"name="Ada""#));

    let version = server.all()[0]["last_modified"].as_i64().unwrap();
    proxy.lose(1);
    let batch = vec![
        versioned(update("lost-1", "{}", r#"{"name": "Eve"}"#), version),
        marked("lost-2", r#"{"name": "Bob"}"#),
    ];
    assert_eq!(people.write(batch).await, ["unknown", "unknown"]);
    let held = people.get(&["lost-1", "lost-2", "lost-3"]).await.unwrap();
    assert_eq!(held.len(), 2);
    assert!(held[0].contains("Eve") && held[1].contains("Bob"), "{held:?}");

    let port = server.port;
    drop(server);
    let people = Collection::at(port);
    let outcomes = people.write(vec![marked("none-1", "{}"), marked("none-2", "{}")]).await;
    assert_eq!(outcomes, ["not sent", "not sent"], "nothing left when nobody answers the door");
    let problem = people.get(&["lost-1"]).await.unwrap_err();
    assert!(problem.is_transient(), "{problem}");
}

#[tokio::test]
async fn each_write_of_a_batch_has_an_outcome_of_its_own() {
    let server = Kinto::start();
    let proxy = Proxy::before(server.port);
    let people = Collection::at(proxy.port);
    let one = server.put("one", json!({"name": "One"}));
    let two = server.put("two", json!({"name": "Two"}));
    server.put("there-1", json!({"name": "There"}));
    let (outcomes, records) = people
        .written(vec![
            marked("new-1", r#"{"name": "New"}"#),
            versioned(update("one", "{}", r#"{"name": "Uno"}"#), one),
            versioned(update("two", "{}", r#"{"name": "Due"}"#), two - 1),
            versioned(update("nobody", "{}", r#"{"name": "X"}"#), 5),
            marked("there-1", r#"{"name": "X"}"#),
            marked("read-only", r#"{"last_modified": 7}"#),
            versioned(delete("two", "{}"), two),
            marked("in/valid", r#"{"name": "X"}"#),
            versioned(delete("..", "{}"), two),
            marked("new-2", r#"{"name": "New too"}"#),
        ])
        .await;
    let expected = [
        "done new-1",
        "done one",
        "changed",
        "missing",
        "exists there-1",
        "rejected last_modified",
        "done two",
        "rejected",
        "rejected",
        "done new-2",
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(records.len(), 3, "{records:?}");
    let names: Vec<Value> = server.all().iter().map(|held| held["name"].clone()).collect();
    assert_eq!(names, ["New", "New too", "Uno", "There"]);
    let gotten = people.get(&["one", "two", "new-2", "", ".."]).await.unwrap();
    assert_eq!(gotten.len(), 2, "{gotten:?}");
}

#[tokio::test]
async fn many_records_are_made_and_one_place_that_is_not_there_says_so() {
    let server = Kinto::start();
    let people = Collection::at(server.port);
    let names = (0..60).map(|index| marked(&format!("n-{index}"), &format!(r#"{{"n": {index}}}"#)));
    for batch in names.collect::<Vec<_>>().chunks(25) {
        let outcomes = people.write(batch.to_vec()).await;
        assert!(outcomes.iter().all(|outcome| outcome.starts_with("done")), "{outcomes:?}");
    }
    assert_eq!(people.read(None).await.0.len(), 60);
    let wrong = connection(&connector(), server.port);
    let Settings::Manifest(mut settings) = wrong.settings.clone() else { panic!("{wrong:?}") };
    settings.config.insert("bucket".to_owned(), "nobody-s".into());
    let wrong = Connection { settings: Settings::Manifest(settings), ..wrong };
    let adapter = registry::open(&wrong, Path::new("/")).unwrap();
    let writes = vec![marked("x-1", "{}"), marked("x-2", "{}")];
    let replies = adapter.writer().unwrap().write("it", writes).await;
    for written in &replies.written {
        let Written::Rejected { problem, .. } = written else { panic!("{written:?}") };
        assert!(problem.contains("HTTP status 40"), "{problem}");
    }
}

#[test]
fn what_is_wrong_with_a_block_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = std::fs::read_to_string(connector().join("manifest.yaml")).unwrap();
    let write = std::fs::read_to_string(connector().join("write.yaml")).unwrap();
    let refusal = |manifest: &str, write: Option<&str>| {
        std::fs::write(folder.path().join("manifest.yaml"), manifest).unwrap();
        let beside = folder.path().join("write.yaml");
        match write {
            Some(text) => std::fs::write(beside, text).unwrap(),
            None => std::fs::remove_file(beside).unwrap_or_default(),
        }
        match registry::open(&connection(folder.path(), 1), Path::new("/")) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(refusal(&manifest, Some(&write)), "");
    assert_eq!(refusal(&manifest, None), "", "a manifest alone is only read");
    let within = format!("{manifest}{write}");
    assert_eq!(refusal(&within, None), "", "the block can stand in the manifest itself");
    assert!(refusal(&within, Some(&write)).contains("keep one of them"));
    let cases = [
        ("  records:", "  recods:", "write.yaml:3:3", "no stream `recods`"),
        (
            "fields_path: [data]",
            "field_path: [data]",
            "write.yaml:11:7",
            "unknown field `field_path`",
        ),
        ("{{ write.marker }}", "{{ write.marker", "write.yaml:9:13", "cannot be read"),
        ("{{ write.marker }}", "{{ recrd.id }}", "write.yaml:9:13", "no variable `recrd`"),
        ("http_method: PUT", "http_method: P T", "write.yaml:7:20", "no HTTP method"),
        ("size_max: 25", "size_max: 0", "write.yaml:28:17", "at least 1"),
        (
            "      condition: { field_name: If-None-Match, value: \"*\" }\n",
            "",
            "write.yaml:9:",
            "a second creation",
        ),
        ("    get:", "    find:", "write.yaml:3:3", "no `get`"),
        (
            "field_name: If-None-Match",
            "field_name: If None",
            "write.yaml:10:32",
            "cannot be the name",
        ),
    ];
    for (from, to, place, problem) in cases {
        let told = refusal(&manifest, Some(&write.replacen(from, to, 1)));
        assert!(told.contains(place) && told.contains(problem), "{to}: {told}");
    }
}
