//! `syncline target`: what a Singer tap pipes in.

use crate::project::{Project, Ran};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

/// Messages, one a line.
fn lines(messages: &[Value]) -> String {
    messages.iter().map(|message| format!("{message}\n")).collect()
}

fn schema(stream: &str, key: &[&str], properties: Value) -> Value {
    let schema = json!({ "type": "object", "properties": properties });
    json!({ "type": "SCHEMA", "stream": stream, "key_properties": key, "schema": schema })
}

fn record(stream: &str, record: Value) -> Value {
    json!({ "type": "RECORD", "stream": stream, "record": record })
}

fn state(value: Value) -> Value {
    json!({ "type": "STATE", "value": value })
}

fn versioned(stream: &str, version: i64, id: i64) -> Value {
    json!({ "type": "RECORD", "stream": stream, "record": { "id": id }, "version": version })
}

fn activate(stream: &str, version: i64) -> Value {
    json!({ "type": "ACTIVATE_VERSION", "stream": stream, "version": version })
}

fn start(project: &Project, arguments: &[&str]) -> Child {
    let mut command = project.command(&["target"]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn pipe(project: &Project, arguments: &[&str], input: &str) -> Ran {
    let mut child = start(project, arguments);
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A target that refuses its input reads no further.
    let feeder = std::thread::spawn(move || drop(pipe.write_all(input.as_bytes())));
    let ran = Ran::of(child.wait_with_output().unwrap());
    feeder.join().unwrap();
    ran
}

fn pour(project: &Project, messages: &[Value]) -> Ran {
    pipe(project, &["--store", "s.db"], &lines(messages))
}

/// The rows of a stream, in the order of their texts.
fn rows(project: &Project, stream: &str) -> Vec<Value> {
    let ran = project.run(&["export", "shards", "--type", stream, "--store", "s.db"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let row = |line: &str| serde_json::from_str::<Value>(line).unwrap()["data"].clone();
    let mut rows: Vec<Value> = ran.out.lines().map(row).collect();
    rows.sort_by_key(Value::to_string);
    rows
}

#[test]
fn each_stream_becomes_a_shard_type_with_the_rows_that_it_sends() {
    let integer = || json!({ "type": "integer" });
    let text = || json!({ "type": "string" });
    let user = || schema("users", &["id"], json!({ "id": integer(), "name": text() }));
    let plain = || schema("plain", &[], json!({ "id": integer(), "metric": integer() }));
    let odd = "odd:Stream!in?all";
    let project = Project::new(&[]);
    let ran = pour(
        &project,
        &[
            user(),
            record("users", json!({ "id": 1, "name": "Ada" })),
            record("users", json!({ "id": 2, "name": "quoted \" \\ \n \u{0} 简 \u{1}" })),
            record("users", json!({ "id": 1, "name": "Ada L." })),
            plain(),
            record("plain", json!({ "id": 1, "metric": 11 })),
            record("plain", json!({ "id": 1, "metric": 11 })),
            schema("lists", &["id"], json!({ "id": integer(), "tags": { "type": "array" } })),
            record("lists", json!({ "id": 1, "tags": ["b", "a"] })),
            record("lists", json!({ "id": 2 })),
            schema(
                odd,
                &["_id"],
                json!({ "_id": text(), "d": { "type": "object" }, "a.b": integer() }),
            ),
            record(odd, json!({ "_id": "x", "d": { "agent:os": "10.1" }, "a.b": 3 })),
            state(json!({ "users": 2 })),
        ],
    );
    ran.expect(0, &["users: 3 records"]);
    assert_eq!(ran.out, "{\"users\":2}\n");
    let known = [
        json!({ "id": 1, "name": "Ada L." }),
        json!({ "id": 2, "name": "quoted \" \\ \n \u{0} 简 \u{1}" }),
    ];
    assert_eq!(rows(&project, "users"), known);
    assert_eq!(rows(&project, "plain"), vec![json!({ "id": 1, "metric": 11 }); 2]);
    assert_eq!(rows(&project, "lists")[0]["tags"], json!(["b", "a"]));
    assert_eq!(rows(&project, odd)[0]["d"], json!({ "agent:os": "10.1" }));
    assert_eq!(rows(&project, odd)[0]["a.b"], 3);
    // A second run changes what has a key, and adds what has none.
    let ran = pour(
        &project,
        &[
            user(),
            record("users", json!({ "id": 2, "name": "Bob" })),
            plain(),
            record("plain", json!({ "id": 1, "metric": 11 })),
        ],
    );
    ran.expect(0, &["users: 1 records, 0 created, 1 updated"]);
    assert_eq!(rows(&project, "users")[1], json!({ "id": 2, "name": "Bob" }));
    assert_eq!(rows(&project, "plain").len(), 3);
}

#[test]
fn a_stream_may_get_more_fields_while_it_comes() {
    let project = Project::new(&[]);
    let number = json!({ "type": "number" });
    let ran = pour(
        &project,
        &[
            schema("s", &["id"], json!({ "id": { "type": "integer" }, "a": number })),
            record("s", json!({ "id": 1, "a": 101 })),
            schema(
                "s",
                &["id"],
                json!({ "id": { "type": "integer" }, "b": { "type": ["null", "boolean"] } }),
            ),
            record("s", json!({ "id": 2, "a": 1.5, "b": true })),
            record("s", json!({ "id": 3, "b": null, "unheard": 1 })),
        ],
    );
    ran.expect(0, &["s: 3 records, 3 created"]);
    let rows = rows(&project, "s");
    assert_eq!((&rows[0]["a"], rows[0].get("b")), (&json!(101), None));
    assert_eq!(rows[1], json!({ "a": 1.5, "b": true, "id": 2 }));
    assert_eq!(rows[2].get("unheard"), None);
}

#[test]
fn what_may_not_be_is_refused_and_the_rest_is_stored() {
    let people = || {
        let properties = json!({ "id": { "type": "integer" }, "age": { "type": "integer" } });
        let mut schema = schema("people", &["id"], properties);
        schema["schema"]["required"] = json!(["id", "age"]);
        schema
    };
    let good = |id: i64| record("people", json!({ "id": id, "age": 3 }));
    let project = Project::new(&[]);
    let input = lines(&[
        people(),
        good(1),
        record("people", json!({ "age": 3 })),
        record("people", json!({ "id": 3 })),
        record("people", json!({ "id": 4, "age": "old" })),
    ]) + "{\"type\": \"RECORD\", \"stream\": \"people\", \"record\": {\"id\": 5,\n"
        + "Downloading… 3 %\n"
        + &lines(&[good(6), state(json!(7))]);
    let ran = pipe(&project, &["--store", "s.db"], &input);
    ran.expect(3, &["people: 6 records, 2 created", "4 refused"]);
    assert_eq!(ran.out, "7\n", "dead letters are as safe as records");
    assert_eq!(rows(&project, "people").len(), 2);
    let letters = project.run(&["dead-letters", "list", "--store", "s.db"]);
    let places = [
        ("people:3", "no `id`, which is a key property"),
        ("people:4", "no `age`, which the SCHEMA"),
        ("people:5", "whole number"),
        ("people:6", "EOF while parsing"),
    ];
    for (place, problem) in places {
        letters.expect(0, &[place, problem]);
    }
    let cases = [
        (vec![good(1)], "line 1 of the input: a record of the stream `people` comes before"),
        (
            vec![json!({ "type": "SCHEMA", "stream": "x", "schema": { "type": "object" } })],
            "`properties`",
        ),
        (vec![schema("x", &["key"], json!({}))], "the key property `key` is none of"),
        (vec![people(), good(8), record("other", json!({}))], "line 3 of the input"),
    ];
    for (messages, problem) in cases {
        pour(&project, &messages).expect(1, &[problem]);
    }
    assert_eq!(rows(&project, "people").len(), 3, "what came before stands");
    let torn = lines(&[people(), good(9)]) + "{\"type\": \"STATE\", \"val";
    pipe(&project, &["--store", "s.db"], &torn).expect(1, &["line 3", "breaks off in the middle"]);
    assert_eq!(rows(&project, "people").len(), 4);
    project.run(&["target"]).expect(2, &["it is not said where the records go"]);
    project.run(&["target", "--store", "s.db", "--json"]).expect(2, &["belongs to the states"]);
}

#[test]
fn a_killed_target_loses_nothing_and_repeats_nothing() {
    let project = Project::new(&[]);
    let begin = [
        schema("keyed", &["id"], json!({ "id": { "type": "integer" } })),
        schema("plain", &[], json!({ "n": { "type": "integer" } })),
    ];
    // The tap sends two records of each stream for a state, of which each knows where it goes on.
    let part = |n: i64| {
        let both =
            |stream: &str, value: Value| [record(stream, value.clone()), record(stream, value)];
        let mut part = both("keyed", json!({ "id": n })).to_vec();
        part.extend(both("plain", json!({ "n": n / 2 })));
        part.push(state(json!({ "at": n })));
        part
    };
    let mut from = 0;
    for kills in 0..4 {
        let mut child = start(&project, &["--store", "s.db"]);
        let mut pipe = child.stdin.take().unwrap();
        let mut states = BufReader::new(child.stdout.take().unwrap()).lines();
        pipe.write_all(lines(&begin).as_bytes()).unwrap();
        for n in from..from + 3 + kills {
            pipe.write_all(lines(&part(n)).as_bytes()).unwrap();
        }
        let next = from + 3 + kills;
        // The last state may stand for all before it; which one comes is a matter of time.
        let mut last = Value::Null;
        while last["at"] != next - 1 {
            last = serde_json::from_str(&states.next().unwrap().unwrap()).unwrap();
        }
        // Records without a state behind them are stored, but not said to be: they come again.
        let mut more = part(next);
        *more.last_mut().unwrap() = activate("keyed", 0);
        pipe.write_all(lines(&more).as_bytes()).unwrap();
        while rows(&project, "plain").len() as i64 != 2 * (next + 1) {}
        child.kill().unwrap();
        child.wait().unwrap();
        from = next;
    }
    let mut input = begin.to_vec();
    (from..30).for_each(|n| input.extend(part(n)));
    let ran = pour(&project, &input);
    ran.expect(0, &[]);
    assert_eq!(ran.out, "{\"at\":29}\n");
    assert_eq!(rows(&project, "keyed").len(), 30);
    assert_eq!(rows(&project, "plain").len(), 60);
}

#[test]
fn a_state_is_said_while_the_pipe_is_open_and_then_its_records_are_there() {
    let project = Project::new(&[]);
    let mut child = start(&project, &["--store", "s.db"]);
    let mut pipe = child.stdin.take().unwrap();
    let mut states = BufReader::new(child.stdout.take().unwrap()).lines();
    let messages = [
        schema("s", &["id"], json!({ "id": { "type": "integer" } })),
        record("s", json!({ "id": 1 })),
        state(json!({ "at": 1.50 })),
    ];
    pipe.write_all(lines(&messages).as_bytes()).unwrap();
    assert_eq!(states.next().unwrap().unwrap(), "{\"at\":1.5}");
    assert_eq!(rows(&project, "s").len(), 1);
    drop(pipe);
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_a_new_version_does_not_name_is_gone() {
    let project = Project::new(&[]);
    let id = || schema("s", &["id"], json!({ "id": { "type": "integer" } }));
    let ids = |project: &Project| {
        let ids = rows(project, "s").into_iter().map(|row| row["id"].as_i64().unwrap());
        ids.collect::<Vec<_>>()
    };
    let first =
        [id(), activate("s", 1), versioned("s", 1, 1), versioned("s", 1, 2), activate("s", 1)];
    pour(&project, &first).expect(0, &[]);
    assert_eq!(ids(&project), [1, 2]);
    // What changed since, under the same version.
    pour(&project, &[id(), versioned("s", 1, 3), activate("s", 1)]).expect(0, &[]);
    assert_eq!(ids(&project), [1, 2, 3]);
    let second = [id(), versioned("s", 2, 3), versioned("s", 2, 4), activate("s", 2)];
    pour(&project, &second).expect(0, &["2 deleted"]);
    assert_eq!(ids(&project), [3, 4]);
    // A table of which nothing came is not taken for empty.
    pour(&project, &[id(), activate("s", 3)]).expect(0, &[]);
    assert_eq!(ids(&project), [3, 4]);
}

const PROJECT: &str = r#"
connections:
  crm:
    adapter: singer
    entities:
      contact: { stream: people, key: id }
shard_types:
  person:
    fields: { email: text }
    matching:
      rules:
        - { name: same e-mail, compare: [{ field: email, normalise: email }] }
conversion_schemas:
  person:
    shard_type: person
    fields: { email: { from: mail, transform: lowercase, validate: { format: email } } }
sync_tasks:
  contacts: { connection: crm, entity: contact, conversion_schema: person }
"#;

#[test]
fn a_connection_of_a_project_takes_the_streams_that_its_entities_name() {
    let project = Project::new(&[("syncline.yaml", PROJECT)]);
    let messages = [
        schema("people", &["id"], json!({ "id": {}, "mail": {} })),
        schema("deals", &["id"], json!({ "id": {} })),
        record("people", json!({ "id": "a", "mail": "Ada@x.org" })),
        record("people", json!({ "id": "b", "mail": "ada@x.org" })),
        record("people", json!({ "id": "c", "mail": "nobody" })),
        record("deals", json!({ "id": 1 })),
        state(json!({ "people": "c" })),
    ];
    let ran = pipe(&project, &["--connection", "crm"], &lines(&messages));
    let told = ["people: 3 records, 1 created, 1 updated", "deals: no task takes it, 1 records"];
    ran.expect(3, &told);
    assert_eq!(ran.out, "{\"people\":\"c\"}\n");
    let status = project.json(&["status", "--json"]);
    assert_eq!(status["store"]["shards"]["person"], 1, "{status:#}");
    project.run(&["dead-letters", "list"]).expect(0, &["people:5", "nobody"]);
    let wrong = ["target", "--connection", "crn"];
    project.run(&wrong).expect(2, &["there is no connection `crn`", "did you mean `crm`?"]);
}
