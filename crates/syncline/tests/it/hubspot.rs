//! The connector of HubSpot, against its server on this machine: what `examples/two-way-hubspot` says is so, and what
//! goes wrong on the way.

use crate::local_server::LocalServer;
use crate::table_beside::Beside;
use serde_json::{Value, json};

const ENVIRONMENT: &[(&str, &str)] = &[("HUBSPOT_TOKEN", "pat-local")];
const FIELDS: &[&str] = &["email", "firstname", "lastname", "phone", "city"];

fn example(arguments: &[&str]) -> Beside {
    Beside::new("two-way-hubspot", LocalServer::start("hubspot", arguments), ENVIRONMENT)
}

fn empty(arguments: &[&str]) -> Beside {
    example(arguments).emptied()
}

fn contacts(example: &Beside) -> Vec<String> {
    example.records("/objects/contacts", FIELDS)
}

#[test]
fn contacts_of_hubspot_and_a_table_are_kept_in_step() {
    let example = example(&[]);
    example.at_desk("people.json");
    example.run(&["check"]);
    example.server.take_counts();
    example.run(&["preview"]).expect(0, &["hubspot/contact: a new record"]);
    assert_eq!(example.server.take_counts().writes(), 0, "a preview writes nothing");
    example.run(&["run"]).expect(0, &["written: 4 created, 1 updated"]);
    example.both_list(
        &contacts(&example),
        &[
            "ada@engines.example|Ada|Lovelace|+44 20 7946 0001|London",
            "alan@bletchley.example|Alan|Turing|+44 1908 640404|Bletchley",
            "edsger@paths.example|Edsger|Dijkstra|+31 40 247 9111|Nuenen",
            "grace@compilers.example|Grace|Hopper|+1 212 555 0100|Arlington",
            "katherine@orbits.example|Katherine|Johnson|+1 757 555 0101|Hampton",
            "margaret@apollo.example|Margaret|Hamilton||Boston",
        ],
    );
    example.at_desk("edits.people.json");
    example.script("edits.shop.sql");
    example.run(&["run"]).expect(0, &["conflicts: 1 decided"]);
    example.both_list(
        &contacts(&example),
        &[
            "ada@engines.example|Augusta Ada|Lovelace|+44 20 7946 0001|Ockham",
            "alan@bletchley.example|Alan|Turing|+44 1908 640404|Bletchley",
            "barbara@types.example|Barbara|Liskov||Boston",
            "grace@compilers.example|Grace|Hopper|+1 212 555 0199|Arlington",
            "katherine@orbits.example|Katherine|Johnson|+1 757 555 0101|Hampton",
        ],
    );
    example.run(&["conflicts", "list", "--all"]).expect(0, &["+1 212 555 0777", "+1 212 555 0199"]);
    example.is_quiet("customers");
}

#[test]
fn more_changes_of_one_moment_than_a_search_gives_are_all_read() {
    let example = empty(&["--search-max", "500"]);
    let one = json!([{ "email": "first@many.example", "lastname": "First" }]);
    example.server.control("POST", "/objects/contacts", Some(one));
    example.run(&["run", "--task", "contacts"]);
    let many = json!({ "count": 1_250 });
    example.server.control("POST", "/many/contacts", Some(many));
    let ran = example.run(&["run", "--task", "contacts"]);
    ran.expect(0, &["1,250"]);
    let counts = example.server.take_counts();
    assert!(counts.of("POST /crm/v3/objects/{name}/search") > 12, "{counts:?}");
}

#[test]
fn what_the_search_does_not_know_yet_comes_later_and_undoes_nothing() {
    let example = example(&["--lag-s", "30"]);
    example.at_desk("people.json");
    example.run(&["run"]);
    let city = json!({ "city": "Ockham" });
    example.server.control("PATCH", "/objects/contacts/email=ada@engines.example", Some(city));
    // The index shows neither the edit nor what was just written; what the shop changes is read by id before it is written.
    example.sql("UPDATE customers SET telephone = '+44 1' WHERE mail = 'ada@engines.example'");
    example.run(&["run"]);
    let ada = "ada@engines.example|Ada|Lovelace|+44 1|Ockham";
    assert_eq!(contacts(&example)[0], ada);
    example.server.advance(60);
    example.run(&["run"]);
    assert_eq!([&contacts(&example)[0], &example.customers()[0]], [ada, ada]);
    example.is_quiet("customers");
}

#[test]
fn a_batch_succeeds_in_part_and_lost_replies_double_nothing() {
    let example = empty(&[]);
    let person = |n: usize| json!({ "email": format!("person{n}@mail.example"), "lastname": format!("Last {n}") });
    let people: Vec<Value> = (0..250).map(person).collect();
    example.server.control("POST", "/objects/contacts", Some(people.into()));
    example.run(&["run"]);
    // One is refused; one is cleared; a quarter of the requests fail in some way.
    example.sql(
        "UPDATE customers SET town = 'Oslo ' || id;
         UPDATE customers SET mail = 'nobody' WHERE mail = 'person7@mail.example';",
    );
    let faults = json!({ "every": 4, "kinds": ["lost", "limit"], "path": "batch/update" });
    example.server.faults(faults);
    let ran = example.try_run(&["run"]);
    ran.expect(3, &["1 refused"]);
    example.server.faults(json!({}));
    let letters = example.run(&["dead-letters", "list"]);
    letters.expect(0, &["VALIDATION_ERROR: Property values were not valid"]);
    let all = contacts(&example);
    assert_eq!(all.len(), 250);
    assert_eq!(all.iter().filter(|line| line.contains("|Oslo ")).count(), 249);
    example
        .sql("UPDATE customers SET mail = 'seven@mail.example', town = NULL WHERE mail = 'nobody'");
    // The write that is still owed is tried once more before the shop is read.
    example.run(&["run", "--task", "customers"]);
    example.run(&["run"]);
    assert_eq!(contacts(&example), example.customers());
    assert!(contacts(&example).contains(&"seven@mail.example||Last 7||".to_owned()));
    example.is_quiet("customers");
}

#[test]
fn associations_and_properties_are_read() {
    let example = empty(&[]);
    let made = |path: &str, body: Value| {
        let reply = example.server.control("POST", path, Some(body));
        reply["id"].as_str().unwrap().to_owned()
    };
    let contact = made("/objects/contacts", json!({ "email": "ada@engines.example" }));
    let company = made("/objects/companies", json!({ "name": "Engines" }));
    let pair = json!({ "contact": contact, "company": company });
    example.server.control("POST", "/associations", Some(pair.clone()));
    let config = json!({ "url": example.server.url, "token": "pat-local" });
    example.project.write("config.json", &config.to_string());
    let streams = ["contact_companies", "companies"].map(|name| {
        json!({ "stream": { "name": name, "json_schema": {}, "supported_sync_modes": ["full_refresh"] },
            "sync_mode": "full_refresh", "destination_sync_mode": "append" })
    });
    example.project.write("catalog.json", &json!({ "streams": streams }).to_string());
    let arguments = [
        "connector",
        "read",
        "--manifest-path",
        "hubspot",
        "--config",
        "config.json",
        "--catalog",
        "catalog.json",
    ];
    let ran = example.project.run(&arguments);
    ran.expect(0, &[&pair.to_string()[1..20], "\"name\":\"Engines\""]);
    let found = example.project.run(&[
        "connector",
        "discover",
        "--manifest-path",
        "hubspot",
        "--config",
        "config.json",
    ]);
    found.expect(0, &["lifecyclestage", "syncline_id"]);
}
