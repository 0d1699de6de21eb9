//! The connector of Salesforce, against its server on this machine: what `examples/two-way-salesforce` says is so, and
//! what goes wrong on the way.

use crate::local_server::LocalServer;
use crate::table_beside::Beside;
use serde_json::{Value, json};
use std::fmt::Write as _;

const ENVIRONMENT: &[(&str, &str)] =
    &[("SALESFORCE_ID", "client"), ("SALESFORCE_SECRET", "secret")];
const FIELDS: &[&str] = &["Email", "FirstName", "LastName", "Phone", "MailingCity"];
const COLLECTIONS: &str = "/services/data/{version}/composite/sobjects";

fn example(arguments: &[&str]) -> Beside {
    Beside::new("two-way-salesforce", LocalServer::start("salesforce", arguments), ENVIRONMENT)
}

fn empty(arguments: &[&str]) -> Beside {
    example(arguments).emptied()
}

fn contacts(example: &Beside) -> Vec<String> {
    example.records("/sobjects/Contact", FIELDS)
}

/// Makes contacts at Salesforce, and tells their ids.
fn make(example: &Beside, contacts: Value) -> Vec<String> {
    let made = example.server.control("POST", "/sobjects/Contact", Some(contacts));
    let ids = made["ids"].as_array().unwrap().iter();
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[test]
fn contacts_of_salesforce_and_a_table_are_kept_in_step() {
    // Pages of two records, and a job that is not done at once.
    let example = example(&["--page-size", "2", "--result-rows", "2"]);
    example.at_desk("people.json");
    example.run(&["check"]);
    example.server.take_counts();
    example.run(&["preview"]).expect(0, &["salesforce/contact: a new record"]);
    assert_eq!(example.server.take_counts().writes(), 0, "a preview writes nothing");
    example.run(&["run"]).expect(0, &["written: 5 created, 1 updated"]);
    example.both_list(
        &contacts(&example),
        &[
            "ada@engines.example|Ada|Lovelace|+44 20 7946 0001|London",
            "alan@bletchley.example|Alan|Turing|+44 1908 640404|Bletchley",
            "edsger@paths.example|Edsger|Dijkstra|+31 40 247 9111|Nuenen",
            "grace@compilers.example|Grace|Hopper|+1 212 555 0100|Arlington",
            "katherine@orbits.example|Katherine|Johnson|+1 757 555 0101|Hampton",
            "margaret@apollo.example|Margaret|Hamilton||Boston",
            "turing@bletchley.example|Alan M.|Turing||Bletchley",
        ],
    );
    let met = example.server.take_counts();
    assert_eq!(met.of("GET /services/data/{version}/jobs/query/{id}/results"), 3, "{met:?}");
    example.at_desk("edits.people.json");
    example.script("edits.shop.sql");
    example.run(&["run"]).expect(0, &["conflicts: 5 decided"]);
    let edited = example.server.take_counts();
    assert!(edited.of("GET /services/data/{version}/query/{locator}") > 2, "{edited:?}");
    let ada = "ada@engines.example|Augusta Ada|Lovelace|+44 20 7946 0001|Ockham";
    let alan = "alan@bletchley.example|Alan|Turing|+44 1908 640404|Bletchley";
    let barbara = "barbara@types.example|Barbara|Liskov||Boston";
    let grace = "grace@compilers.example|Grace|Hopper|+1 212 555 0199|Arlington";
    let katherine = "katherine@orbits.example|Katherine|Johnson|+1 757 555 0101|Hampton";
    assert_eq!(contacts(&example), [ada, alan, barbara, grace, katherine]);
    // Two contacts became one there; the shop keeps its rows, and both are about that one.
    assert_eq!(example.customers(), [ada, alan, alan, barbara, grace, katherine]);
    example.run(&["conflicts", "list", "--all"]).expect(0, &["+1 212 555 0777", "+1 212 555 0199"]);
    example.is_quiet("customers");
}

/// A shop and an organisation with the same so many people.
fn populated(count: usize) -> Beside {
    let example = empty(&[]);
    let person = |n: usize| json!({ "FirstName": "First", "LastName": format!("Last {n}"), "Email": format!("person{n}@mail.example"), "MailingCity": "Rome" });
    make(&example, (0..count).map(person).collect());
    let mut rows = "INSERT INTO customers (first_name, last_name, mail, town) VALUES ".to_owned();
    for n in 0..count {
        let comma = if n == 0 { "" } else { "," };
        write!(rows, "{comma}('First', 'Last {n}', 'person{n}@mail.example', 'Rome')").unwrap();
    }
    example.sql(&rows);
    example.run(&["run"]);
    example.server.take_counts();
    example
}

#[test]
fn changes_go_to_salesforce_in_collections_and_faults_lose_and_double_nothing() {
    let example = populated(1000);
    example.sql("UPDATE customers SET town = 'Oslo ' || id");
    example.run(&["run"]).expect(0, &["written: 1,000 updated"]);
    let counts = example.server.take_counts();
    // Five collections, read in one request before, and in one after.
    assert_eq!(counts.of(&format!("PATCH {COLLECTIONS}")), 5, "{counts:?}");
    assert_eq!(counts.of(&format!("POST {COLLECTIONS}/{{name}}")), 2, "{counts:?}");
    // And a token, what changed, what was deleted.
    assert!(counts.all() <= 10, "{counts:?}");

    // Changes and creations; every third request fails, or its reply is lost.
    example.sql(
        "UPDATE customers SET town = 'Bergen ' || id;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)
         INSERT INTO customers (last_name, mail, town) SELECT 'New', 'new' || i || '@mail.example', 'Bergen ' || i FROM n",
    );
    example.server.faults(json!({ "every": 3, "kinds": ["error", "lost"], "path": "composite" }));
    example.try_run(&["run"]);
    assert!(example.server.take_counts().faults() >= 3);
    example.server.faults(json!({}));
    example.run(&["run"]);
    let all = contacts(&example);
    assert_eq!(all.len(), 1250);
    assert!(all.iter().all(|line| line.contains("|Bergen ")));
    assert_eq!(all, example.customers());
    example.is_quiet("customers");
}

#[test]
fn what_salesforce_refuses_holds_up_no_other_and_is_told() {
    let example = populated(3);
    let rule = json!({ "object": "Contact", "field": "Phone" });
    example.server.control("POST", "/duplicate_rule", Some(rule));
    make(&example, json!([{ "LastName": "Elsewhere", "Phone": "+49 30 1" }]));
    let locked = json!({ "ids": ["Email=person2@mail.example"], "times": 1 });
    example.server.control("POST", "/lock", Some(locked));
    example.sql(
        "UPDATE customers SET telephone = '+49 30 1' WHERE mail = 'person0@mail.example';
         UPDATE customers SET town = hex(randomblob(60)) WHERE mail = 'person1@mail.example';
         UPDATE customers SET town = 'Oslo' WHERE mail = 'person2@mail.example';",
    );
    // The record that was locked for a moment is written with the next try.
    let ran = example.try_run(&["run"]);
    ran.expect(3, &["1 updated", "2 refused"]);
    let letters = example.run(&["dead-letters", "list"]);
    let told = [
        "DUPLICATES_DETECTED: Use one of these records? (a duplicate rule of Salesforce is against it",
        "STRING_TOO_LONG: MailingCity: data value too large",
    ];
    letters.expect(0, &told);
    assert!(contacts(&example).contains(&"person2@mail.example|First|Last 2||Oslo".to_owned()));
}

#[test]
fn what_is_gone_is_gone_even_from_the_recycle_bin() {
    let example = populated(4);
    example.server.control("DELETE", "/sobjects/Contact/Email=person0@mail.example", None);
    example.server.control("DELETE", "/sobjects/Contact/Email=person1@mail.example?hard=1", None);
    example.run(&["run"]);
    let left =
        ["person2@mail.example|First|Last 2||Rome", "person3@mail.example|First|Last 3||Rome"];
    example.both_list(&contacts(&example), &left);
    // A record that is deleted there while the shop changes it: it is gone, and that is no error of the others.
    example.server.control("DELETE", "/sobjects/Contact/Email=person2@mail.example", None);
    example.run(&["run"]);
    example.both_list(&contacts(&example), &left[1..]);
    // A change that became visible late, with a stamp of a while ago.
    let late = json!({ "MailingCity": "Nice", "SystemModstamp": -300 });
    example.server.control("PATCH", "/sobjects/Contact/Email=person3@mail.example", Some(late));
    example.run(&["run"]);
    example.both_list(&contacts(&example), &["person3@mail.example|First|Last 3||Nice"]);
    example.is_quiet("customers");
}

#[test]
fn tokens_are_renewed_and_a_limit_that_is_used_up_loses_nothing() {
    let example = populated(3);
    // Its token runs out, and another one is asked for.
    example.server.advance(3 * 3600);
    // The calls of the day are used up for a moment: that is no fault of any record, and nothing is sent in halves.
    let limit = json!({ "every": 1, "times": 1, "kinds": ["limit"], "method": "PATCH", "path": "composite" });
    example.server.faults(limit);
    example.sql("UPDATE customers SET town = 'Arlington'");
    example.run(&["run"]).expect(0, &["written: 3 updated"]);
    let counts = example.server.take_counts();
    assert_eq!(counts.of("POST /services/oauth2/token"), 1, "{counts:?}");
    assert_eq!(counts.of(&format!("PATCH {COLLECTIONS}")), 2, "{counts:?}");
    assert!(contacts(&example).iter().all(|line| line.ends_with("|Arlington")));
}
