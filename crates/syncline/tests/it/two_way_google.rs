//! `examples/two-way-google`: what its README and `docs/connectors/google.md` say is so.

use crate::local_server::LocalServer;
use crate::table_beside::Beside;
use serde_json::{Value, json};

const LIST: &str = "GET /v1/people/me/connections";
const UPDATE: &str = "PATCH /v1/people/{id}:updateContact";
const CREATE: &str = "POST /v1/people:createContact";

fn example(arguments: &[&str]) -> Beside {
    let server = LocalServer::start("google", arguments);
    let secrets = [("GOOGLE_SECRET", "secret"), ("GOOGLE_REFRESH_TOKEN", "1//refresh")];
    let example = Beside::new("two-way-google", server, &secrets);
    for contact in example.json("contacts.json").as_array().unwrap() {
        example.server.control("POST", "/contacts", Some(contact.clone()));
    }
    let rows = json!({ "rows": example.json("rows.json") });
    example.server.control("POST", "/sheet", Some(rows));
    example
}

fn text(cell: Option<&Value>) -> String {
    match cell {
        None | Some(Value::Null) => String::new(),
        Some(Value::Number(number)) => number.as_f64().unwrap().to_string(),
        Some(other) => other.as_str().unwrap().to_owned(),
    }
}

fn first(person: &Value, list: &str, part: &str) -> String {
    text(person[list].get(0).and_then(|item| item.get(part)))
}

fn email(person: &Value) -> String {
    first(person, "emailAddresses", "value")
}

impl Beside {
    fn contacts(&self) -> Vec<Value> {
        self.server.control("GET", "/contacts", None).as_array().unwrap().clone()
    }

    fn contact(&self, start: &str) -> Value {
        let found = self.contacts().into_iter().find(|person| email(person).starts_with(start));
        found.unwrap_or_else(|| panic!("{start}: {:#?}", self.contacts()))
    }

    fn at(&self, start: &str) -> String {
        let name = text(self.contact(start).get("resourceName"));
        format!("/contacts/{}", name.strip_prefix("people/").unwrap())
    }

    fn edit_contact(&self, start: &str, values: Value) {
        self.server.control("PATCH", &self.at(start), Some(values));
    }

    /// The rows of the sheet that hold anything, each with its cells by the name of their column.
    fn sheet(&self) -> Vec<Value> {
        let cells = self.server.control("GET", "/sheet", None);
        let (names, rows) = cells.as_array().unwrap().split_first().unwrap();
        let rows = rows.iter().map(|row| row.as_array().unwrap()).filter(|row| !row.is_empty());
        let named = |row: &Vec<Value>| {
            let names =
                names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
            names.zip(row.iter().cloned()).collect()
        };
        rows.map(named).collect()
    }

    /// What all three sides hold, as lines in the order of the e-mail addresses; the sheet has no telephones, the
    /// contacts no scores.
    #[track_caller]
    fn all_hold(&self, lines: &[&str]) {
        let person = |person: &Value| {
            let names = [first(person, "names", "givenName"), first(person, "names", "familyName")];
            let [phone, city] = [("phoneNumbers", "value"), ("addresses", "city")]
                .map(|(list, part)| first(person, list, part));
            format!("{}|{}|{phone}|{city}", email(person), names.join(" "))
        };
        let row = |row: &Value| {
            let cell = |name: &str| text(row.get(name));
            format!(
                "{}|{} {}|{}|{}",
                cell("Email"),
                cell("First name"),
                cell("Last name"),
                cell("City"),
                cell("Score")
            )
        };
        let mut contacts: Vec<String> = self.contacts().iter().map(person).collect();
        let mut rows: Vec<String> = self.sheet().iter().map(row).collect();
        contacts.sort_unstable();
        rows.sort_unstable();
        let columns = "mail, first_name || ' ' || last_name, telephone, town, score";
        let customers = self.rows(&format!("SELECT {columns} FROM customers ORDER BY mail"));
        let without = |at: usize| -> Vec<String> {
            let parts = |line: &&str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
            let mut lines: Vec<Vec<String>> = lines.iter().map(parts).collect();
            lines.iter_mut().for_each(|line| drop(line.remove(at)));
            lines.into_iter().map(|line| line.join("|")).collect()
        };
        assert_eq!(customers, lines, "customers");
        assert_eq!(contacts, without(4), "contacts");
        assert_eq!(rows, without(2), "rows");
    }
}

const MET: [&str; 6] = [
    "ada@engines.example|Ada Lovelace|+44 20 7946 0001|London|9.5",
    "alan@bletchley.example|Alan Turing|+44 1908 640404|Bletchley|",
    "edsger@paths.example|Edsger Dijkstra||Nuenen|",
    "grace@compilers.example|Grace Hopper|+1 212 555 0100|Arlington|8",
    "katherine@orbits.example|Katherine Johnson||Hampton|",
    "margaret@apollo.example|Margaret Hamilton||Boston|",
];

/// Runs until two runs have nothing to do.
fn settle(example: &Beside) {
    for _ in 0..3 {
        example.run(&["run"]);
    }
}

#[test]
fn contacts_a_sheet_and_a_table_are_kept_in_step() {
    let example = example(&[]);
    example.server.take_counts();
    example.run(&["preview"]);
    assert_eq!(example.server.take_counts().writes(), 0, "a preview writes nothing");
    example.run(&["run"]);
    settle(&example);
    example.all_hold(&MET);
    example.edit_contact("ada", json!({ "city": "Ockham" }));
    let second = json!({ "emailAddresses": { "value": "ada@home.example", "type": "home" } });
    example.server.control("POST", &format!("{}/lists", example.at("ada")), Some(second));
    example.edit_contact("grace", json!({ "phone": "+1 212 555 0777" }));
    example.server.control("DELETE", &example.at("edsger"), None);
    example.server.control("PATCH", "/sheet/r2", Some(json!({ "City": "Newport News" })));
    example.server.control("POST", "/sheet/sort", Some(json!({ "column": "City" })));
    example.script("edits.shop.sql");
    example.run(&["run"]);
    settle(&example);
    example.all_hold(&[
        "ada@engines.example|Ada Lovelace|+44 20 7946 0001|Ockham|10",
        MET[1],
        "grace@compilers.example|Grace Hopper|+1 212 555 0199|Arlington|8",
        "katherine@orbits.example|Katherine Johnson||Newport News|",
    ]);
    let conflicts = example.run(&["conflicts", "list", "--all"]);
    conflicts.expect(0, &["+1 212 555 0777", "+1 212 555 0199"]);
    let ada = example.contact("ada");
    assert_eq!(ada["emailAddresses"][1]["value"], "ada@home.example", "what nobody maps stays");
    example.is_quiet("customers");
}

#[test]
fn a_list_is_replaced_with_its_other_items_and_emptied_where_it_is_cleared() {
    let example = example(&[]);
    settle(&example);
    let second = json!({ "phoneNumbers": { "value": "+44 1", "type": "work" } });
    example.server.control("POST", &format!("{}/lists", example.at("alan")), Some(second));
    example.sql("UPDATE customers SET telephone = '+44 2', town = NULL WHERE mail LIKE 'alan%'");
    settle(&example);
    let alan = example.contact("alan");
    let numbers = [&alan["phoneNumbers"][0]["value"], &alan["phoneNumbers"][1]["value"]];
    assert_eq!(numbers, [&json!("+44 2"), &json!("+44 1")]);
    assert_eq!(alan["phoneNumbers"][1]["type"], "work");
    assert!(alan.get("addresses").is_none(), "{alan:#}");
    example.is_quiet("customers");
}

#[test]
fn changes_come_by_token_and_an_expired_one_leads_to_a_full_list() {
    let example = example(&[]);
    for number in 0..1100 {
        let contact =
            json!({ "given_name": format!("N {number}"), "email": format!("n{number}@x.example") });
        example.server.control("POST", "/contacts", Some(contact));
    }
    example.server.take_counts();
    example.try_run(&["run", "--task", "contacts"]);
    // 1,104 contacts are two pages.
    assert_eq!(example.server.take_counts().of(LIST), 2);
    example.edit_contact("n7@", json!({ "city": "Oslo" }));
    example.run(&["run", "--task", "contacts"]).expect(0, &["1"]);
    assert_eq!(example.server.take_counts().of(LIST), 1);
    // All tokens expire: everything is read again, what went meanwhile is deleted, and nothing else happens.
    example.server.control("DELETE", &example.at("n8@"), None);
    example.edit_contact("n9@", json!({ "city": "Bergen" }));
    example.server.control("POST", "/expire", None);
    let ran = example.run(&["run", "--task", "contacts"]);
    ran.expect(0, &["the API had forgotten where the last read stopped"]);
    let counts = example.server.take_counts();
    assert_eq!((counts.of(LIST), counts.writes()), (4, 0), "{counts:?}: two of them are refused");
    let shards = example.run(&["shards", "--limit", "2000", "--json"]);
    assert!(!shards.out.contains("n8@x.example") && shards.out.contains("Bergen"));
}

#[test]
fn a_stale_etag_is_decided_anew() {
    let example = example(&[]);
    settle(&example);
    // Google refuses the first update: as if somebody else had been a moment faster.
    example.sql("UPDATE customers SET town = 'Oslo' WHERE mail LIKE 'ada%'");
    example.edit_contact("ada", json!({ "phone": "+47 1" }));
    example.run(&["run", "--task", "customers"]);
    example.run(&["run"]);
    settle(&example);
    let ada = example.contact("ada");
    assert_eq!(first(&ada, "phoneNumbers", "value"), "+47 1");
    assert_eq!(first(&ada, "addresses", "city"), "Oslo");
    let rows = example.rows("SELECT telephone, town FROM customers WHERE mail LIKE 'ada%'");
    assert_eq!(rows, ["+47 1|Oslo"]);
    example.is_quiet("customers");
}

#[test]
fn rows_are_written_where_they_stand_by_then_and_columns_too() {
    let example = example(&[]);
    settle(&example);
    example.server.control("POST", "/sheet/sort", Some(json!({ "column": "Email" })));
    let columns = json!({ "columns": ["Score", "Email", "id", "City", "Last name", "First name"] });
    example.server.control("POST", "/sheet/columns", Some(columns));
    example.sql(
        "UPDATE customers SET town = 'Oslo', score = NULL WHERE mail LIKE 'grace%';
         INSERT INTO customers (first_name, last_name, mail, town, score) VALUES ('Barbara', 'Liskov', 'barbara@types.example', '=1+1', 3);
         DELETE FROM customers WHERE mail LIKE 'margaret%';",
    );
    example.server.take_counts();
    example.run(&["run"]);
    settle(&example);
    let counts = example.server.take_counts();
    let of_sheet = |route: &str| counts.of(&format!("POST /v4/spreadsheets/{{id}}{route}"));
    assert_eq!(
        [":batchUpdate", "/values:batchUpdate", "/values/{range}:clear"].map(of_sheet),
        [1, 1, 1],
        "{counts:?}"
    );
    example.all_hold(&[
        MET[0],
        MET[1],
        "barbara@types.example|Barbara Liskov||=1+1|3",
        MET[2],
        "grace@compilers.example|Grace Hopper|+1 212 555 0100|Oslo|",
        MET[4],
    ]);
    // A person takes a row away.
    let grace = example
        .sheet()
        .into_iter()
        .find(|row| text(row.get("Email")).starts_with("grace"))
        .unwrap();
    example.server.control("DELETE", &format!("/sheet/{}", text(grace.get("id"))), None);
    settle(&example);
    assert!(example.rows("SELECT * FROM customers WHERE mail LIKE 'grace%'").is_empty());
    example.is_quiet("customers");
}

#[test]
fn lost_replies_of_google_double_nothing_and_lose_nothing() {
    let example = example(&[]);
    let lost = |method: &str, path: &str, times: u64| {
        let kinds = ["lost"];
        example.server.faults(
            json!({ "every": 1, "times": times, "kinds": kinds, "method": method, "path": path }),
        );
    };
    lost("POST", "createContact|:batchUpdate", 3);
    example.try_run(&["run"]);
    example.server.faults(json!({}));
    settle(&example);
    example.all_hold(&MET);
    example.is_quiet("customers");
    example.sql("UPDATE customers SET town = 'Oslo' WHERE mail LIKE 'ada%'");
    lost("PATCH", "updateContact", 1);
    example.try_run(&["run"]);
    example.server.faults(json!({}));
    example.edit_contact("ada", json!({ "phone": "+47 1" }));
    settle(&example);
    let ada = "ada@engines.example|Ada Lovelace|+47 1|Oslo|9.5";
    example.all_hold(&[ada, MET[1], MET[2], MET[3], MET[4], MET[5]]);
    example.is_quiet("customers");
    let counts = example.server.take_counts();
    assert_eq!((counts.of(CREATE), counts.of(UPDATE)), (0, 0));
}

#[test]
fn changes_that_show_up_late_are_no_edits() {
    let example = example(&["--lag", "300"]);
    example.run(&["run"]);
    example.sql("UPDATE customers SET town = 'Oslo' WHERE mail LIKE 'ada%'");
    settle(&example);
    example.server.advance(400);
    settle(&example);
    assert_eq!(example.rows("SELECT town FROM customers WHERE mail LIKE 'ada%'"), ["Oslo"]);
    assert_eq!(first(&example.contact("ada"), "addresses", "city"), "Oslo");
    example.is_quiet("customers");
}
