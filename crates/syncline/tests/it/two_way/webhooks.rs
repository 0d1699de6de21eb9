//! Systems say that records changed, and these are looked at.

use super::proxy::Proxy;
use super::{CONFIG, LEFT, Pair, RIGHT};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const SECRET: &str = "the left side's secret";

/// Messages of the left side name people.
const NAMED: &str = "
    webhook:
      signature: standard
      secrets: [the left side's secret]
      records: [{ entity: person, each: events, key: person.id, when: { field: kind, op: eq, value: person } }]
    entities:
      person:";

/// The configuration with a webhook at the left side.
fn config(webhook: &str) -> String {
    CONFIG.replacen("\n    entities:\n      person:", webhook, 1)
}

/// `syncline listen`, on its way.
struct Listening {
    child: Child,
    told: BufReader<ChildStdout>,
    address: String,
}

impl Listening {
    fn start(pair: &Pair) -> Self {
        Self::with_right(pair, pair.server.port)
    }

    /// The right side is reached at another port.
    fn with_right(pair: &Pair, port: u16) -> Self {
        Self::with(pair, port, &[])
    }

    fn with(pair: &Pair, port: u16, more: &[&str]) -> Self {
        let ports = [format!("left={}", pair.server.port), format!("right={port}")];
        let arguments =
            ["listen", "--bind", "127.0.0.1:0", "--json", "--var", &ports[0], "--var", &ports[1]];
        let mut command = pair.project.command(&arguments);
        command.args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        let address = line["listening"][0].as_str().unwrap();
        let address = address.strip_prefix("http://").unwrap().replace("/hooks/left", "");
        Self { child, told, address }
    }

    /// What was said of the next round of looking.
    fn round(&mut self) -> Value {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn post(&self, path: &str, headers: &str, body: &[u8]) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // Who sends too much is cut off.
        drop(stream.write_all(body));
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer));
        answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
    }

    /// Sends a message of the left side about people with these ids.
    fn say(&self, id: &str, people: &[u32]) -> u16 {
        let (headers, body) = message(id, people);
        self.post("/hooks/left", &headers, &body)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A message, with false values of what it is about.
fn message(id: &str, people: &[u32]) -> (String, Vec<u8>) {
    let event = |id: &u32| json!({ "kind": "person", "person": { "id": id, "name": "Mallory" } });
    let mut events: Vec<Value> = people.iter().map(event).collect();
    events.push(json!({ "kind": "deal", "person": { "id": 2 } }));
    let body = json!({ "events": events }).to_string().into_bytes();
    (signed(id, SECRET, &body), body)
}

fn signed(id: &str, secret: &str, body: &[u8]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the program asks the machine's clock, too")]
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", body].concat();
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), &signed);
    format!(
        "webhook-id: {id}\r\nwebhook-timestamp: {time}\r\nwebhook-signature: v1,{}\r\n",
        STANDARD.encode(mac)
    )
}

/// What a round reports of a task, and how many records it fetched.
fn fetched(round: &Value, task: &str) -> u64 {
    let tasks = round["tasks"].as_array().unwrap_or_else(|| panic!("{round:#}"));
    let of = tasks.iter().filter(|report| report["task"] == task);
    of.filter_map(|report| report["results"]["fetched"].as_u64()).sum()
}

/// Three people at both sides.
fn people(webhook: &str) -> Pair {
    let pair = Pair::new(LEFT, RIGHT, &config(webhook));
    pair.left(
        "INSERT INTO people (name, email, city) VALUES
            ('Ada', 'ada@x.org', 'Rome'), ('Bob', 'bob@x.org', 'Oslo'), ('Eve', 'eve@x.org', 'Bern')",
    );
    pair.run(&["run"]);
    pair
}

#[test]
fn a_message_says_what_to_look_at_and_what_is_there_comes_over() {
    // Hazard 19.
    let pair = people(NAMED);
    let mut listening = Listening::start(&pair);
    pair.left("UPDATE people SET name = name || 'lotte'");
    assert_eq!(listening.say("m1", &[1]), 202);
    let round = listening.round();
    assert_eq!(
        (round["status"].as_str(), fetched(&round, "left")),
        (Some("success"), 1),
        "{round:#}"
    );
    let right = ["Adalotte|ada@x.org|Rome", "Bob|bob@x.org|Oslo", "Eve|eve@x.org|Bern"];
    assert_eq!(pair.rows()[1], right.join("\n"), "only who was named was looked at");

    // Twice, late, or about what is not there: no more than a look.
    assert_eq!(listening.say("m1", &[1]), 202);
    let round = listening.round();
    assert_eq!(round["results"]["unchanged"], 1, "{round:#}");
    pair.left("DELETE FROM people WHERE id = 1");
    assert_eq!(listening.say("m2", &[1, 3, 99]), 202);
    let round = listening.round();
    assert_eq!(fetched(&round, "left"), 1, "who is not there is not fetched: {round:#}");
    assert_eq!(round["results"]["deleted"], 1, "{round:#}");
    assert_eq!(pair.rows()[1], "Bob|bob@x.org|Oslo\nEvelotte|eve@x.org|Bern");
    drop(listening);

    // What nobody said is found by the next run.
    pair.run(&["run"]);
    pair.holds(&["Boblotte|bob@x.org|Oslo", "Evelotte|eve@x.org|Bern"]);
    pair.is_quiet();
}

#[test]
fn what_the_system_did_not_sign_is_refused_and_leads_to_nothing() {
    let pair = people(NAMED);
    let mut listening = Listening::start(&pair);
    pair.left("UPDATE people SET name = 'X' || id");
    let (headers, body) = message("m1", &[1]);
    let forged = signed("m1", "another secret", &body);
    let long = vec![b' '; (1 << 20) + 1];
    let cases = [
        ("/hooks/left", forged.as_str(), &body[..], 401),
        ("/hooks/left", "", &body, 401),
        ("/hooks/left", headers.as_str(), &body[..body.len() - 1], 401),
        ("/hooks/right", headers.as_str(), &body, 404),
        ("/hooks/left", &signed("m2", SECRET, b"no json"), b"no json", 400),
        ("/hooks/left", &signed("m3", SECRET, &long), &long, 413),
        ("/hooks/left", &signed("m4", SECRET, b"{\"events\":[]}"), b"{\"events\":[]}", 200),
    ];
    for (path, headers, body, expected) in cases {
        assert_eq!(listening.post(path, headers, body), expected, "{path} {headers}");
    }
    assert_eq!(listening.say("m5", &[2]), 202);
    let round = listening.round();
    assert_eq!(fetched(&round, "left"), 1, "{round:#}");
    assert!(pair.rows()[1].contains("Ada|") && pair.rows()[1].contains("X2|"), "{:?}", pair.rows());
}

#[test]
fn what_was_taken_in_is_looked_at_after_an_outage_and_a_crash() {
    let mut pair = people(NAMED);
    pair.left("UPDATE people SET name = 'Adele' WHERE id = 1");
    let mut listening = Listening::start(&pair);
    pair.server.kill();
    assert_eq!(listening.say("m1", &[1]), 202);
    let round = listening.round();
    assert_eq!(round["status"], "failed", "{round:#}");
    // It is killed without a word.
    drop(listening);
    pair.server.run();
    let mut listening = Listening::start(&pair);
    let round = listening.round();
    assert_eq!(
        (round["status"].as_str(), fetched(&round, "left")),
        (Some("success"), 1),
        "{round:#}"
    );
    drop(listening);
    pair.holds(&["Adele|ada@x.org|Rome", "Bob|bob@x.org|Oslo", "Eve|eve@x.org|Bern"]);
    pair.is_quiet();
}

#[test]
fn a_message_that_names_nobody_has_its_task_read_what_is_new() {
    let webhook = NAMED.replace(
        ", each: events, key: person.id, when: { field: kind, op: eq, value: person }",
        "",
    );
    let pair = people(&webhook);
    let mut listening = Listening::start(&pair);
    pair.left("UPDATE people SET name = 'Adele' WHERE id = 1");
    assert_eq!(listening.say("m1", &[]), 202);
    let round = listening.round();
    assert_eq!(fetched(&round, "left"), 3, "{round:#}");
    pair.holds(&["Adele|ada@x.org|Rome", "Bob|bob@x.org|Oslo", "Eve|eve@x.org|Bern"]);
}

#[test]
fn who_was_erased_while_it_listens_does_not_come_back() {
    let pair = people(NAMED);
    let mut listening = Listening::start(&pair);
    assert_eq!(listening.say("m1", &[2]), 202);
    listening.round();
    let id = pair.shard("ada@x.org");
    pair.run(&["erase", &id]);
    assert_eq!(listening.say("m2", &[1, 2]), 202);
    let round = listening.round();
    assert_eq!(round["results"]["filtered"], 1, "{round:#}");
    assert!(!pair.run(&["shards", "list"]).out.contains("Ada"));
}

#[test]
fn many_that_are_gone_are_asked_about_also_where_they_are_named_a_few_at_a_time() {
    let pair = Pair::new(LEFT, RIGHT, &config(NAMED));
    pair.left("INSERT INTO people (name, email) SELECT 'P' || n, n || '@x.org' FROM generate_series(1, 40) n");
    pair.run(&["run"]);
    pair.left("DELETE FROM people WHERE id <= 20");
    let there = || pair.right("SELECT count(*) FROM contacts");
    let mut listening = Listening::start(&pair);
    assert_eq!(listening.say("m1", &[1, 2, 3, 4, 5, 6]), 202);
    let round = listening.round();
    assert_eq!(round["results"]["deleted"], 6, "{round:#}");
    assert_eq!(there(), "34");
    assert_eq!(listening.say("m2", &[7, 8, 9, 10, 11, 12]), 202);
    let round = listening.round();
    assert_eq!(round["status"], "partial", "{round:#}");
    assert!(round.to_string().contains("6 of 34 records are missing"), "{round:#}");
    assert_eq!(there(), "34");
    drop(listening);

    // They wait, until somebody allows it.
    let mut listening = Listening::with(&pair, pair.server.port, &["--allow-deletes"]);
    let round = listening.round();
    assert_eq!(round["results"]["deleted"], 6, "{round:#}");
    assert_eq!(there(), "28");
    drop(listening);
    pair.run(&["run", "--allow-deletes"]);
    assert_eq!(there(), "20");
    pair.is_quiet();
}

#[test]
fn what_is_owed_is_sent_once_the_system_can_be_reached() {
    let pair = people(NAMED);
    let proxy = Proxy::to(pair.server.port);
    proxy.shut(true);
    let mut listening = Listening::with_right(&pair, proxy.port);
    pair.left("UPDATE people SET name = 'Adele' WHERE id = 1");
    assert_eq!(listening.say("m1", &[1]), 202);
    let round = listening.round();
    assert_eq!(fetched(&round, "left"), 1, "{round:#}");
    assert!(pair.rows()[1].starts_with("Ada|"), "{:?}", pair.rows());
    proxy.shut(false);
    // No message is needed for that.
    let sent = (0..5).any(|_| listening.round()["results"]["written_updated"] == 1);
    assert!(sent && pair.rows()[1].starts_with("Adele|"), "{:?}", pair.rows());
}

#[test]
fn one_that_cannot_be_read_holds_up_no_other_and_is_told() {
    let pair = people(NAMED);
    pair.left("UPDATE people SET name = 'X' || id");
    let mut listening = Listening::start(&pair);
    let about = |ids: &[Value]| {
        let event = |id: &Value| json!({ "kind": "person", "person": { "id": id } });
        json!({ "events": ids.iter().map(event).collect::<Vec<_>>() }).to_string()
    };
    let mut say = |id: &str, ids: &[Value]| {
        let body = about(ids);
        let headers = signed(id, SECRET, body.as_bytes());
        assert_eq!(listening.post("/hooks/left", &headers, body.as_bytes()), 202);
        listening.round()
    };
    let round = say("m1", &[json!("no number")]);
    assert_eq!(
        (&round["status"], &round["results"]["failed"]),
        (&json!("partial"), &json!(1)),
        "{round:#}"
    );
    let round = say(
        "m2",
        &[json!(1), json!(3_000_000_000_i64), json!("x"), json!("y"), json!("z"), json!(2)],
    );
    assert_eq!((fetched(&round, "left"), &round["results"]["failed"]), (6, &json!(4)), "{round:#}");
    let right = ["X1|ada@x.org|Rome", "X2|bob@x.org|Oslo", "Eve|eve@x.org|Bern"];
    assert_eq!(pair.rows()[1], right.join("\n"));
    // Once nobody may read at all, that says nothing of a record.
    pair.left("ALTER TABLE people RENAME TO persons");
    let round = say("m3", &[json!(1), json!(2), json!(3)]);
    assert_eq!(round["status"], "failed", "{round:#}");
    pair.left("ALTER TABLE persons RENAME TO people");
    let round = listening.round();
    assert_eq!((&round["status"], fetched(&round, "left")), (&json!("success"), 3), "{round:#}");
    drop(listening);
    pair.run(&["dead-letters", "list"]).expect(0, &["person no number", "person 3000000000"]);
    assert_eq!(pair.rows()[1].lines().last(), Some("X3|eve@x.org|Bern"));
}

#[test]
fn a_run_looks_at_the_records_that_it_is_given() {
    let pair = people(NAMED);
    pair.left("UPDATE people SET name = 'X' || id; DELETE FROM people WHERE id = 3");
    let ran = pair.run(&["run", "--task", "left", "--record", "1", "--record", "3", "--json"]);
    let results = &ran.json()["results"];
    assert_eq!((&results["fetched"], &results["deleted"]), (&json!(1), &json!(1)), "{ran:#?}");
    pair.run(&["run", "--task", "right", "--record", "1"]);
    assert_eq!(pair.rows()[1], "X1|ada@x.org|Rome\nBob|bob@x.org|Oslo");
    let again = pair.run(&["run", "--task", "left", "--record", "1"]);
    again.expect(0, &["nothing changed, nothing written"]);
    pair.try_run(&["run", "--record", "1"]).expect(2, &["--task"]);
    let two = ["run", "--task", "left", "--task", "right", "--record", "1"];
    pair.try_run(&two).expect(2, &["`right` is another"]);
    pair.run(&["run"]);
    pair.holds(&["X1|ada@x.org|Rome", "X2|bob@x.org|Oslo"]);
    pair.is_quiet();
}

#[test]
fn a_webhook_that_cannot_work_is_told_before_anything_is_listened_to() {
    let usual = config(NAMED);
    let cases = [
        (CONFIG.to_owned(), 1, "no connection has a `webhook`"),
        (usual.replace("entity: person, each", "entity: persn, each"), 2, "did you mean `person`?"),
        (usual.replace("key: person.id", "key: [a, b]"), 2, "the key of `person` has 1 part"),
        (usual.replace("[the left side's secret]", "[]"), 2, "a secret is needed"),
        (usual.replace("[the left side's secret]", "whsec_%"), 1, "is no Base64"),
        (usual.replace("signature: standard", "signature: hubspot"), 2, "`address`"),
        (usual.replace("signature: standard", "signature: none"), 2, "none"),
    ];
    let pair = Pair::usual();
    for (config, code, expected) in cases {
        pair.project.write("syncline.yaml", &config);
        let ran = pair.try_run(&["listen", "--bind", "127.0.0.1:0"]);
        ran.expect(code, &[expected]);
    }
    let files = usual.replace(
        "adapter: postgres\n    settings: { host: 127.0.0.1, port: \"${var:left}\", database: left, user: admin, password: \"correct horse\" }",
        "adapter: file",
    );
    let files = files
        .replace("{ table: people, key: id, modified: updated }", "{ path: people.csv, key: id }");
    let files = files.replacen("direction: bidirectional", "direction: inbound", 1);
    let files = files.replacen("    outbound: { deletes: propagate }\n", "", 1);
    pair.project.write("syncline.yaml", &files);
    pair.try_run(&["listen", "--bind", "127.0.0.1:0"]).expect(1, &["cannot be read by their keys"]);
    pair.project.write("people.csv", "id,name,email,city\n");
    let ran = pair.try_run(&["run", "--task", "left", "--record", "1"]);
    assert!(format!("{ran:?}").contains("cannot be read by their keys"), "{ran:#?}");
    pair.project.write("syncline.yaml", &usual);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    pair.try_run(&["listen", "--bind", &address]).expect(1, &["cannot listen at", "--bind"]);
}
