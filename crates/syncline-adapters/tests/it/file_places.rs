//! Standard input, discovery, checks and stopping early.

use crate::reading::{Folder, full, wait};
use std::io::Write;
use std::process::{Command, Stdio};
use syncline_adapters::{AdapterError, Capabilities, registry};
use syncline_core::config::model::{
    Connection, Entity, EntitySettings, FileFormat, FileSettings, Settings,
};
use tokio::sync::mpsc;

const CHILD: &str = "SYNCLINE_TEST_STDIN_CHILD";

#[test]
fn standard_input_is_read_once_without_a_cursor() {
    let folder = Folder::reading("-").set(|s| s.format = Some(FileFormat::Csv));
    if std::env::var_os(CHILD).is_some() {
        let adapter = folder.adapter().unwrap();
        assert!(!adapter.capabilities().resumes);
        wait(adapter.check("it")).unwrap();
        let outcome = folder.try_read(full(None, 1)).unwrap();
        assert_eq!(outcome.records(), ["-:2 a=\"1\"", "-:3 a=\"2\""]);
        assert!(outcome.end.complete && outcome.end.cursor.is_null());
        assert!(outcome.pages.iter().all(|p| p.cursor.is_null() && p.progress.is_none()));
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "file_places::standard_input_is_read_once_without_a_cursor"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a\n1\n2\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn discovery_samples_records_and_names_kinds() {
    let head = "{\"id\":1,\"at\":\"2025-12-09T10:00:00Z\",\"day\":\"2025-12-09\",\"x\":null}\n";
    let more =
        "{\"id\":1.5,\"at\":\"2025-12-09 10:00:00\",\"x\":[1],\"ok\":true,\"t\":\"2025-aé\"}\n";
    let folder = Folder::with("a.jsonl", head.to_owned() + &more.repeat(500));
    let found = wait(folder.adapter().unwrap().discover("it")).unwrap();
    let fields: Vec<_> = found.fields.iter().map(|(n, k)| format!("{n}: {k}")).collect();
    assert_eq!(
        fields,
        [
            "id: integer | number",
            "at: timestamp",
            "day: date",
            "x: null | list",
            "ok: boolean",
            "t: text"
        ]
    );
    assert_eq!((found.sample.records.len(), found.name.as_str()), (100, "it"));
}

#[test]
fn a_check_meets_what_a_read_would_meet() {
    let good = Folder::with("a.csv", "a\n1\n");
    wait(good.adapter().unwrap().check("it")).unwrap();
    let gone = Folder::reading("a.csv");
    let error = wait(gone.adapter().unwrap().check("it")).unwrap_err();
    assert!(matches!(error, AdapterError::Refused { .. }));
    let unknown = wait(good.adapter().unwrap().check("other")).unwrap_err();
    assert!(unknown.to_string().contains("no entity `other`"));
}

#[test]
fn nobody_receiving_ends_the_read_at_the_last_page_taken() {
    let text: String = (0..1000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let folder = Folder::with("a.jsonl", text);
    let adapter = folder.adapter().unwrap();
    let end = wait(async {
        let (sender, mut receiver) = mpsc::channel(1);
        let stop = async {
            receiver.recv().await.unwrap();
            drop(receiver);
        };
        tokio::join!(adapter.read(full(None, 10), sender), stop).0.unwrap()
    });
    assert!(!end.complete && end.incomplete_because.is_none());
}

#[test]
fn files_can_do_this_and_other_adapters_are_not_there() {
    let folder = Folder::reading("a.csv");
    let expected = Capabilities { resumes: true, lists_all: true, reading_costs_calls: false };
    assert_eq!(folder.adapter().unwrap().capabilities(), expected);
    let other = Connection { adapter: "smtp".to_owned(), ..Connection::default() };
    let error = registry::open(&other, folder.base()).err().unwrap();
    assert_eq!(error.to_string(), "there is no adapter `smtp`");
    assert_eq!(registry::ADAPTERS, ["file", "manifest"]);
}

#[test]
fn an_entity_wins_over_its_connection_field_by_field() {
    let folder = Folder::with("a.txt", "a;b\n1;2\n");
    let all = FileSettings {
        format: Some(FileFormat::Tsv),
        delimiter: Some(';'),
        ..FileSettings::default()
    };
    let own = FileSettings {
        path: Some("a.txt".to_owned()),
        format: Some(FileFormat::Csv),
        ..FileSettings::default()
    };
    let entity = Entity { settings: EntitySettings::File(own), ..Entity::default() };
    let connection = Connection {
        adapter: "file".to_owned(),
        settings: Settings::File(all),
        entities: [("it".to_owned(), entity)].into(),
        ..Connection::default()
    };
    let adapter = registry::open(&connection, folder.base()).unwrap();
    let found = wait(adapter.discover("it")).unwrap();
    assert_eq!(found.fields.len(), 2);
}

#[cfg(not(feature = "cloud"))]
#[test]
fn a_build_without_object_stores_says_so() {
    let Err(error) = Folder::reading("s3://exports/a.csv").adapter() else { panic!("it opened") };
    assert!(error.to_string().contains("build with `--features cloud`"), "{error}");
}
