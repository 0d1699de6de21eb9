//! Which records a system's message is about.

use super::*;
use crate::config::model::{Connection, Webhook};

fn compile(records: &str) -> Result<Notices, Vec<Problem>> {
    let connection: Connection = yaml(
        "{ adapter: file, entities: { contact: { path: a.csv, key: id }, line: { path: b.csv, key: [order, no] } } }",
    );
    let webhook: Webhook =
        yaml(&format!("{{ signature: standard, secrets: [s3cret], records: {records} }}"));
    Notices::compile("crm", &connection, &webhook)
}

#[test]
fn a_message_names_records_or_says_that_something_is_new() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("[{ entity: contact, key: id }]", r#"{"id":7}"#, &["contact 7"]),
        ("[{ entity: contact, key: id }]", r#"[{"id":7},{"id":"8"},{"id":7}]"#, &["contact 7", "contact 8"]),
        ("[{ entity: contact, key: data.id }]", r#"{"data":{"id":12345678901234567}}"#, &["contact 12345678901234567"]),
        ("[{ entity: contact, each: a.b, key: id }]", r#"{"a":{"b":[{"id":1},{"id":2}]}}"#, &["contact 1", "contact 2"]),
        ("[{ entity: contact, each: a, key: id }]", r#"{"a":{"id":1}}"#, &["contact 1"]),
        ("[{ entity: contact, each: a, key: id }]", r#"{"b":1}"#, &[]),
        ("[{ entity: line, key: [order, n] }]", r#"{"order":"A","n":2}"#, &["line A|2"]),
        // What is not said is not guessed.
        ("[{ entity: line, key: [order, n] }]", r#"{"order":"A"}"#, &["line ?"]),
        ("[{ entity: contact, key: id }]", r#"{"id":null}"#, &["contact ?"]),
        ("[{ entity: contact, key: id }]", r#"{"id":{"a":1}}"#, &["contact ?"]),
        ("[{ entity: contact }]", r#"{"any":"thing"}"#, &["contact ?"]),
        ("[{ entity: contact, key: id }]", "7", &["contact ?"]),
        ("[{ entity: contact, each: ids, key: id }]", r#"{"ids":[1,2]}"#, &["contact ?"]),
        ("[{ entity: line, key: [o, n] }]", r#"{"o":"A|B","n":2}"#, &["line ?"]),
        ("[{ entity: contact, key: id }]", r#"{"id":"A|B"}"#, &["contact A|B"]),
        ("[{ entity: contact, key: id }]", r#"{"a":1,"a":2,"id":7,"id":8}"#, &["contact 8"]),
        ("[{ entity: contact, key: id }]", "[]", &[]),
        (
            "[{ entity: contact, key: id, when: { field: type, op: starts_with, value: contact. } },
              { entity: line, key: [o, n], when: { field: type, op: eq, value: line.changed } }]",
            r#"[{"type":"contact.changed","id":1},{"type":"line.changed","o":2,"n":3},{"type":"deal.changed","id":4}]"#,
            &["contact 1", "line 2|3"],
        ),
    ];
    for (records, message, expected) in cases {
        let notices = compile(records).unwrap();
        let message = serde_json::from_str(message).unwrap();
        let found: Vec<String> = notices
            .of(&message)
            .into_iter()
            .map(|of| format!("{} {}", of.entity, of.external_id.as_deref().unwrap_or("?")))
            .collect();
        assert_eq!(found, *expected, "{records} {message:?}");
    }
}

#[test]
fn what_is_wrong_with_a_webhook_is_told_with_its_place() {
    let cases = [
        ("[]", "connections.crm.webhook.records: which records a message is about has to be said"),
        (
            "[{ entity: contcat }]",
            "connections.crm.webhook.records[0].entity: there is no entity `contcat`",
        ),
        (
            "[{ entity: contact }, { entity: line, key: no }]",
            "connections.crm.webhook.records[1].key: the key of `line` has 2 parts",
        ),
        (
            "[{ entity: contact, key: id, when: { field: a, op: in, value: 1 } }]",
            "connections.crm.webhook.records[0].when.value: `in` and `not_in` need a list of values",
        ),
    ];
    for (records, expected) in cases {
        let problems = compile(records).unwrap_err();
        let told: Vec<String> = problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect();
        assert_eq!(told, [expected], "{records}");
    }
    let connection: Connection = yaml("{ adapter: file, entities: { c: { path: a, key: id } } }");
    for secrets in ["[]", "['']", "''", "[s3cret, '']"] {
        let webhook: Webhook = yaml(&format!(
            "{{ signature: github, secrets: {secrets}, records: [{{ entity: c }}] }}"
        ));
        let problems = Notices::compile("crm", &connection, &webhook).unwrap_err();
        assert!(problems[0].message.contains("a secret is needed"), "{secrets} {problems:?}");
    }
}
