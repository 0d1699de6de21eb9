//! Programs that are read as connections: small scripts that do everything wrong, and real connectors.

use crate::connectors::installed;
use crate::reading::{Outcome, full, read_with, shown, since, wait};
use serde_json::{Value as Json, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use syncline_adapters::{Adapter, AdapterError, ReadRequest, Shared, registry};
use syncline_core::config::model::Connection;
use syncline_core::record::Cursor;
use tempfile::TempDir;

/// A folder with a program in it, which is a shell script.
struct Script {
    folder: TempDir,
    adapter: &'static str,
    settings: Json,
    entity: Json,
}

/// What a Singer script does first: its catalog, when it is asked for it.
const CATALOG: &str = r#"#!/bin/sh
case "$*" in *--discover*)
  echo 'a library says hello'
  printf '{"streams": [\n{"tap_stream_id": "it", "stream": "it", "schema": {}}]}\n'
  exit 0;;
esac
say() { printf '%s\n' "$1"; }
schema() { say '{"type":"SCHEMA","stream":"it","schema":{},"key_properties":["id"]}'; }
record() { say "{\"type\":\"RECORD\",\"stream\":\"it\",\"record\":{\"id\":$1}}"; }
state() { say "{\"type\":\"STATE\",\"value\":{\"at\":$1}}"; }
"#;

/// The same for an Airbyte script.
const AIRBYTE: &str = r#"#!/bin/sh
say() { printf '%s\n' "$1"; }
case "$1" in
spec) say '{"type":"SPEC","spec":{"connectionSpecification":{"required":["url"]}}}'; exit 0;;
check) say '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}'; exit 0;;
discover) say '{"type":"CATALOG","catalog":{"streams":[{"name":"it","supported_sync_modes":["full_refresh","incremental"],"source_defined_cursor":true}]}}'; exit 0;;
esac
record() { say "{\"type\":\"RECORD\",\"record\":{\"stream\":\"it\",\"data\":{\"id\":$1},\"emitted_at\":1}}"; }
state() { say "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"it\"},\"stream_state\":{\"at\":$1}}}}"; }
status() { say "{\"type\":\"TRACE\",\"trace\":{\"type\":\"STREAM_STATUS\",\"emitted_at\":1,\"stream_status\":{\"stream_descriptor\":{\"name\":\"it\"},\"status\":\"$1\"}}}"; }
failure() { say "{\"type\":\"TRACE\",\"trace\":{\"type\":\"ERROR\",\"emitted_at\":1,\"error\":{\"message\":\"$2\",\"failure_type\":\"$1\"}}}"; }
"#;

impl Script {
    fn new(adapter: &'static str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let head = if adapter == "singer" { CATALOG } else { AIRBYTE };
        fs::write(&path, format!("{head}{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let settings = json!({"command": "./program"});
        Self { folder, adapter, settings, entity: json!({"key": "id"}) }
    }

    fn set(mut self, name: &str, value: Json) -> Self {
        self.settings[name] = value;
        self
    }

    fn adapter(&self) -> Result<Arc<dyn Adapter>, AdapterError> {
        open(self.adapter, &self.settings, &self.entity, self.folder.path())
    }

    fn read(
        &self,
        request: ReadRequest,
    ) -> (Vec<String>, Vec<Cursor>, Result<Outcome, AdapterError>) {
        let (pages, end) = read_with(self.adapter().unwrap().as_ref(), request, |_| {});
        let records = pages.iter().flat_map(shown).map(|r| r.split_once(' ').unwrap().1.to_owned());
        let cursors = pages.iter().map(|page| page.cursor.clone()).collect();
        (records.collect(), cursors, end.map(|end| Outcome { pages: pages.clone(), end }))
    }

    fn error(&self) -> AdapterError {
        self.read(full(None, 1000)).2.unwrap_err()
    }

    fn written(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

fn open(
    adapter: &str,
    settings: &Json,
    entity: &Json,
    base: &Path,
) -> Result<Arc<dyn Adapter>, AdapterError> {
    let connection = json!({"adapter": adapter, "settings": settings, "entities": {"it": entity}});
    let connection: Connection = serde_json::from_value(connection).unwrap();
    registry::open(&connection, base)
}

#[test]
fn records_in_files_come_in_their_place() {
    let script = Script::new(
        "singer",
        r#"
here=$(cd "$(dirname "$0")" && pwd)
batch() { say "{\"type\":\"BATCH\",\"stream\":\"it\",\"encoding\":{\"format\":\"jsonl\",\"compression\":\"$1\"},\"manifest\":[\"file://$here/$2\"]}"; }
printf '{"id":2}\n\n{"id":3}\n' | gzip > "$here/packed"
printf '{"id":4}\nno record\n{"id":5}' > "$here/plain"
schema; record 1; batch gzip packed; state 3; batch none plain; record 6; state 6"#,
    );
    let (records, cursors, outcome) = script.read(full(None, 2));
    let outcome = outcome.unwrap();
    assert!(outcome.end.complete);
    assert_eq!(records.len(), 6, "{records:?}");
    let rejected: usize = outcome.pages.iter().map(|page| page.rejected.len()).sum();
    assert_eq!(rejected, 1);
    assert!(cursors.len() > 1, "pages have no more than was asked for: {cursors:?}");
}

/// Whether the process of this id is there, and is no zombie.
fn is_running(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Waits until something is so, or too long.
fn becomes(mut is_so: impl FnMut() -> bool) -> bool {
    for _ in 0..500 {
        if is_so() {
            return true;
        }
        wait(async { tokio::time::sleep(Duration::from_millis(20)).await });
    }
    false
}

#[test]
fn a_state_stands_behind_the_records_before_it_and_no_later() {
    let script = Script::new("singer", "schema; record 1; record 2; state 2; record 3; state 3");
    let (records, cursors, outcome) = script.read(full(None, 1));
    assert_eq!(records, ["id=1", "id=2", "id=3"]);
    assert_eq!(
        cursors,
        [json!({"state": null}), json!({"state": null}), json!({"state": {"at": 2}})]
    );
    assert!(outcome.unwrap().end.complete);
}

#[test]
fn a_stream_with_a_cursor_goes_on_from_its_state_and_another_begins_anew() {
    let text = r#"for f; do cat "$f"; done > seen 2>/dev/null; schema; record 1; state 7"#;
    for (replication, kept) in
        [("incremental", json!({"state": {"at": 7}})), ("full", json!({"state": null}))]
    {
        let mut script = Script::new("singer", text);
        script.entity = json!({"key": "id", "modified": "at", "replication": replication});
        let (_, _, outcome) = script.read(full(None, 10));
        let end = outcome.unwrap().end;
        assert_eq!(end.cursor, kept, "{replication}");
        let (_, _, outcome) = script.read(since(Some(end.cursor)));
        assert_eq!(outcome.unwrap().end.restarted, replication == "full");
        assert_eq!(script.written("seen").contains(r#"{"at":7}"#), replication == "incremental");
    }
    let script = Script::new(
        "airbyte",
        r#"for f; do cat "$f"; done > seen 2>/dev/null; record 1; state 5; status COMPLETE"#,
    );
    let end = script.read(full(None, 10)).2.unwrap().end;
    assert!(end.complete);
    script.read(since(Some(end.cursor))).2.unwrap();
    assert!(script.written("seen").contains(r#""stream_state":{"at":5}"#));
}

#[test]
fn a_stream_that_does_not_end_well_is_never_whole() {
    let name = "`program`";
    for (adapter, text, is_transient, parts) in [
        (
            "singer",
            "schema; record 1; state 1; echo oh no >&2; exit 3",
            true,
            ["exit status: 3", "it said: oh no"],
        ),
        ("singer", "echo bad key >&2; exit 1", false, ["after 0 records", "bad key"]),
        ("singer", "schema; record 1; kill -9 $$", true, ["signal: 9", "after 1 records"]),
        ("singer", "exit 0", false, ["without a single message", name]),
        (
            "singer",
            "say hello; say you",
            false,
            ["no message of the Singer protocol", "the first is `hello`"],
        ),
        ("singer", "yes", false, ["line after line", "the first is `y`"]),
        (
            "singer",
            "schema; say '{\"type\":\"BATCH\",\"stream\":\"it\",\"encoding\":{\"format\":\"parquet\"},\"manifest\":[]}'; sleep 60",
            false,
            ["BATCH", "of the format parquet"],
        ),
        (
            "singer",
            "schema; say '{\"type\":\"BATCH\",\"stream\":\"it\",\"encoding\":{\"format\":\"jsonl\"},\"manifest\":[\"file:///nowhere/1\"]}'; sleep 60",
            false,
            ["cannot be read", "/nowhere/1"],
        ),
        (
            "airbyte",
            "record 1; failure transient_error 'too busy'; exit 1",
            true,
            ["failed: too busy", name],
        ),
        (
            "airbyte",
            "record 1; failure config_error 'no such account'; status INCOMPLETE",
            false,
            ["no such account", name],
        ),
        (
            "airbyte",
            "record 1; say '{\"type\":\"CONTROL\",\"control\":{\"type\":\"CONNECTOR_CONFIG\",\"connectorConfig\":{\"config\":{\"refresh_token\":\"new\"}}}}'; sleep 60",
            false,
            ["replaced a credential", name],
        ),
    ] {
        let script = Script::new(adapter, text).set("config", json!({"refresh_token": "old!"}));
        let (records, _, outcome) = script.read(full(None, 1000));
        let error = outcome.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.is_transient(), is_transient, "{text}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{text}: {said}");
        assert_eq!(records.len(), usize::from(text.contains("record 1")), "{text}");
    }
    for (adapter, text, part) in [
        ("airbyte", "record 1; status INCOMPLETE", "could not read stream it to its end"),
        ("airbyte", "status STARTED; record 1", "without saying that stream it is complete"),
        ("singer", "say '{\"type\":\"SCHEMA\",\"stream\":\"other\"}'", "said nothing of stream it"),
    ] {
        let end = Script::new(adapter, text).read(full(None, 10)).2.unwrap().end;
        assert!(!end.complete);
        assert!(end.incomplete_because.unwrap().contains(part), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_kept_and_the_rest_is_read() {
    let text = r#"schema; say 'INFO a library speaks'; record 1; say '{"type":"RECORD","stream":"it","record":{"id":NaN}}'
        printf '{"type":"RECORD","stream":"it","record":{"text":"'; head -c 200000 /dev/zero | tr '\0' x; say '"}}'
        say '{"type":"RECORD","stream":"it","record":[1]}'; record 2"#;
    let script = Script::new("singer", text).set("line_bytes_max", json!(100_000));
    let (records, _, outcome) = script.read(full(None, 1000));
    assert_eq!(records, ["id=1", "id=2"]);
    let outcome = outcome.unwrap();
    let problems = outcome.problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    for (problem, part) in
        problems.iter().zip(["4 expected", "5 the line is longer", "6 invalid type: sequence"])
    {
        assert!(problem.starts_with(part), "{problems:?}");
    }
    assert!(outcome.rejected().iter().all(|rejected| rejected.payload.len() <= 64 << 10));
}

#[test]
fn silence_ends_a_program_with_all_its_processes() {
    for (setting, text) in [
        ("start_timeout_s", "sleep 600 & echo $! > child; wait"),
        ("silence_timeout_s", "schema; record 1; sleep 600 & echo $! > child; wait"),
        ("timeout_s", "sleep 600 & echo $! > child; while :; do record 1; sleep 0.1; done"),
    ] {
        let script = Script::new("singer", text).set(setting, json!(1));
        let error = script.error();
        assert!(error.is_transient() && error.to_string().contains(setting), "{error}");
        let child = script.written("child");
        assert!(becomes(|| !is_running(&child)), "{setting}: process {child} is still there");
    }
}

#[test]
fn a_program_ends_when_nobody_reads_and_when_the_read_is_given_up() {
    let endless = "sleep 600 & echo $! > child; schema; while :; do record 1; done";
    let script = Script::new("singer", endless);
    let adapter = script.adapter().unwrap();
    wait(adapter.check("it")).unwrap();
    let child = script.written("child");
    assert!(becomes(|| !is_running(&child)), "the check leaves {child}");
    wait(async {
        let (sender, mut pages) = tokio::sync::mpsc::channel(1);
        let first = async {
            pages.recv().await.unwrap();
            drop(pages);
        };
        let (end, ()) = tokio::join!(adapter.read(full(None, 10), sender), first);
        assert!(!end.unwrap().complete);
    });
    let child = script.written("child");
    assert!(becomes(|| !is_running(&child)), "the read leaves {child}");
    let left = Script::new("singer", "sleep 600 & echo $! > child; schema; record 1");
    assert!(left.read(full(None, 10)).2.unwrap().end.complete);
    let child = left.written("child");
    assert!(becomes(|| !is_running(&child)), "the end leaves {child}");
}

#[test]
fn credentials_go_through_a_file_of_this_user_alone_and_are_never_shown() {
    let text = r#"echo "$*" > arguments; stat -c '%a %n' "$2" > mode; cat "$2" > config; env > env
        i=0; while [ $i -lt 20000 ]; do echo "line $i of a flood" >&2; i=$((i+1)); done
        echo "wrong: $(cat config) $PIN" >&2; schema; record 1; exit 1"#;
    let script = Script::new("singer", text)
        .set("config", json!({"api_key": "k-12345-secret", "nested": {"password": "pass word"}}))
        .set("env", json!({"PIN": "8271"}));
    let said = script.error().to_string();
    for secret in ["k-12345-secret", "pass word", "8271"] {
        assert!(!said.contains(secret), "{said}");
        assert!(!script.written("arguments").contains(secret));
    }
    assert!(said.contains("«secret»") && said.len() < 4000, "{said}");
    assert!(script.written("config").contains("k-12345-secret"));
    let mode = script.written("mode");
    let (mode, path) = mode.trim().split_once(' ').unwrap();
    assert_eq!(mode, "600");
    assert!(!Path::new(path).exists(), "{path} is left");
    let env = script.written("env");
    assert!(env.contains("PIN=8271") && env.contains("PATH=") && !env.contains("CARGO_"), "{env}");
}

/// A login whose token holds for one use: the program gets the next one, and writes it down.
const ONE_USE: &str = r#"
token=$(sed 's/.*"token":"\([^"]*\)".*/\1/' "$1")
[ "$token" = "$(cat current)" ] || { echo "the token $token is spent" >&2; exit 1; }
next="$token-next"
printf '%s' "$next" > current
"#;

#[test]
fn a_credential_that_a_program_replaces_is_kept_for_its_next_start() {
    let singer = r#"shift; ONE_USE
schema; record 1; state 1
printf '{"token":"%s"}' "$next" > "$1""#;
    let airbyte = r#"shift; shift; ONE_USE
say "{\"type\":\"CONTROL\",\"control\":{\"type\":\"CONNECTOR_CONFIG\",\"emitted_at\":1,\"connectorConfig\":{\"config\":{\"token\":\"$next\"}}}}"
status STARTED; record 1; status COMPLETE"#;
    for (adapter, text) in [("singer", singer), ("airbyte", airbyte)] {
        let script = Script::new(adapter, &text.replace("ONE_USE", ONE_USE));
        let given = |token: &str| json!({"command": "./program", "config": {"token": token}});
        let put = |token: &str| fs::write(script.folder.path().join("current"), token).unwrap();
        let read = |token: &str| {
            let connection = json!({"adapter": adapter, "settings": given(token), "entities": {"it": {"key": "id"}}});
            let connection: Connection = serde_json::from_value(connection).unwrap();
            let shared = Shared::default();
            shared.keep_in(script.folder.path().join("kept"));
            let folder = script.folder.path();
            let adapter = registry::open_sharing(&connection, folder, "it", &shared).unwrap();
            read_with(adapter.as_ref(), full(None, 1000), |_| {}).1
        };
        put("first-given");
        for _ in 0..3 {
            assert!(read("first-given").unwrap().complete, "{adapter}");
        }
        assert_eq!(script.written("current"), "first-given-next-next-next");
        let kept = fs::metadata(script.folder.path().join("kept/it.json")).unwrap();
        assert_eq!(kept.permissions().mode() & 0o777, 0o600);

        put("spent");
        let error = read("first-given").unwrap_err().to_string();
        assert!(error.contains("is spent") && !error.contains("first-given"), "{error}");

        put("given-anew");
        assert!(read("given-anew").unwrap().complete, "what the user gives anew holds");
        assert!(read("given-anew").unwrap().complete, "{adapter}");
    }
}

#[test]
fn what_is_wrong_with_the_command_is_said_before_anything_is_read() {
    let cases = [
        (json!({}), "names no `command`"),
        (
            json!({"command": "no-such-tap"}),
            "`no-such-tap` is not there: no folder of the search path",
        ),
        (json!({"command": "./none"}), "is not there"),
        (json!({"command": "./plain"}), "not executable"),
    ];
    let script = Script::new("singer", "");
    fs::write(script.folder.path().join("plain"), "text").unwrap();
    for (settings, part) in cases {
        let opened = open("singer", &settings, &script.entity, script.folder.path());
        let error = opened.and_then(|adapter| wait(adapter.check("it"))).unwrap_err();
        assert!(
            matches!(error, AdapterError::Settings(_)) && error.to_string().contains(part),
            "{error}"
        );
    }
    let mut script = Script::new("singer", "schema");
    script.entity = json!({"key": "id", "stream": "people"});
    let said = script.error().to_string();
    assert!(said.contains("there is no stream `people`; it has it"), "{said}");
    let said =
        wait(Script::new("airbyte", "").adapter().unwrap().check("it")).unwrap_err().to_string();
    assert!(said.contains("`config` lacks `url`"), "{said}");
}

#[test]
fn a_real_tap_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String =
        (1..=250).map(|id| format!("{{\"id\":{id},\"name\":\"Person {id}\"}}\n")).collect();
    fs::write(folder.path().join("people.jsonl"), lines).unwrap();
    let settings = json!({
        "command": installed("tap-jsonl"),
        "config": {"path": folder.path().join("*.jsonl"), "stream_name": "people", "primary_keys": ["id"]},
    });
    let entity = json!({"key": "id", "stream": "people"});
    let adapter = open("singer", &settings, &entity, folder.path()).unwrap();
    wait(adapter.check("it")).unwrap();
    let (pages, end) = read_with(adapter.as_ref(), full(None, 100), |_| {});
    let end = end.unwrap();
    assert!(end.complete, "{end:?}");
    assert_eq!(pages.iter().map(|page| page.records.len()).collect::<Vec<_>>(), [100, 100, 50]);
    assert!(shown(&pages[0])[0].contains("name=\"Person 1\""), "{}", shown(&pages[0])[0]);
    assert!(end.cursor.to_string().contains("bookmarks"), "{}", end.cursor);
    let (_, end) = read_with(adapter.as_ref(), since(Some(end.cursor)), |_| {});
    assert!(end.unwrap().complete);
}

#[test]
fn a_real_airbyte_source_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({
        "command": installed("source-faker"),
        "config": {"count": 250, "seed": 1, "records_per_slice": 100, "always_updated": false, "parallelism": 1},
    });
    let entity = json!({"key": "id", "stream": "users", "modified": "updated_at"});
    let adapter = open("airbyte", &settings, &entity, folder.path()).unwrap();
    let (pages, end) = read_with(adapter.as_ref(), full(None, 100), |_| {});
    let end = end.unwrap();
    assert!(end.complete, "{end:?}");
    assert_eq!(pages.iter().map(|page| page.records.len()).sum::<usize>(), 250);
    let (pages, end) = read_with(adapter.as_ref(), since(Some(end.cursor)), |_| {});
    assert!(end.unwrap().complete);
    assert!(pages.is_empty(), "nothing is new");
}
