//! `examples/two-way-notion`: what its README and `docs/connectors/notion.md` say is so.

use crate::local_server::LocalServer;
use crate::project::Project;
use crate::table_beside::Beside;
use serde_json::{Value, json};

const LIST: &str = "POST /v1/data_sources/{id}/query";

fn example(arguments: &[&str]) -> Beside {
    let server = LocalServer::start("notion", arguments);
    let example = Beside::new("two-way-notion", server, &[("NOTION_TOKEN", "ntn_secret")]);
    for page in example.json("pages.json").as_array().unwrap() {
        example.server.control("POST", "/pages", Some(page.clone()));
    }
    example
}

fn text(page: &Value, name: &str) -> String {
    let property = &page["properties"][name];
    let value = &property[property["type"].as_str().unwrap()];
    match value {
        Value::Array(parts) => {
            parts.iter().map(|part| part["plain_text"].as_str().unwrap()).collect()
        }
        Value::Object(one) => {
            one.get("name").or(one.get("start")).unwrap().as_str().unwrap().to_owned()
        }
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::Number(number) => number.as_f64().unwrap().to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

const NAMES: [&str; 8] = ["Email", "Name", "Phone", "City", "VIP", "Score", "Stage", "Since"];

impl Beside {
    fn pages(&self) -> Vec<Value> {
        let pages = self.server.control("GET", "/pages", None);
        let there = pages.as_array().unwrap().iter().filter(|page| page["in_trash"] == false);
        there.cloned().collect()
    }

    fn page(&self, email: &str) -> String {
        let pages = self.pages();
        let page = pages.iter().find(|page| text(page, "Email") == email).unwrap();
        page["id"].as_str().unwrap().to_owned()
    }

    fn edit(&self, email: &str, values: Value) {
        self.server.control("PATCH", &format!("/pages/{}", self.page(email)), Some(values));
    }

    #[track_caller]
    fn both_hold(&self, lines: &[&str]) {
        let line = |page: &Value| NAMES.map(|name| text(page, name)).join("|");
        let mut pages: Vec<String> = self.pages().iter().map(line).collect();
        pages.sort_unstable();
        assert_eq!(pages, lines, "pages");
        let columns = "mail, full_name, telephone, town, is_vip, score, stage, since";
        assert_eq!(
            self.rows(&format!("SELECT {columns} FROM customers ORDER BY mail")),
            lines,
            "customers"
        );
    }
}

const MET: [&str; 6] = [
    "ada@engines.example|Ada Lovelace|+44 20 7946 0001|London|1|9.5|Active|2025-01-15",
    "alan@bletchley.example|Alan Turing|+44 1908 640404|Bletchley|1|7||",
    "edsger@paths.example|Edsger Dijkstra|+31 40 247 9111|Nuenen|0|||",
    "grace@compilers.example|Grace Hopper|+1 212 555 0100|Arlington|0|||",
    "katherine@orbits.example|Katherine Johnson|+1 757 555 0101|Hampton|0|||",
    "margaret@apollo.example|Margaret Hamilton||Boston|0|||",
];

#[test]
fn pages_and_a_table_are_kept_in_step() {
    let example = example(&[]);
    example.server.take_counts();
    example.run(&["preview"]);
    assert_eq!(example.server.take_counts().writes(), 0, "a preview writes nothing");
    let met = example.run(&["run"]);
    example.both_hold(&MET);
    let counts = example.server.take_counts();
    assert_eq!(counts.of("POST /v1/pages"), 2, "{met:#?}");
    example.edit("ada@engines.example", json!({ "City": "Horsley" }));
    example.edit("ada@engines.example", json!({ "City": "Ockham", "Stage": "On hold" }));
    example.edit("grace@compilers.example", json!({ "Phone": "+1 212 555 0777" }));
    let gone = example.page("edsger@paths.example");
    example.server.control("DELETE", &format!("/pages/{gone}"), None);
    let new =
        json!({ "Name": "Barbara Liskov", "Email": "barbara@types.example", "City": "Boston" });
    example.server.control("POST", "/pages", Some(new));
    example.script("edits.shop.sql");
    example.run(&["run"]).expect(0, &["conflicts: 1 decided"]);
    let telephone =
        example.rows("SELECT telephone FROM customers WHERE mail LIKE 'grace%'").remove(0);
    let grace = format!("grace@compilers.example|Grace Hopper|{telephone}|Arlington|0|||");
    example.both_hold(&[
        "ada@engines.example|Ada Lovelace|+44 20 7946 0001|Ockham|0|9.5|On hold|2025-01-15",
        MET[1],
        "barbara@types.example|Barbara Liskov||Boston|0|||",
        &grace,
        MET[4],
    ]);
    let conflicts = example.run(&["conflicts", "list", "--all"]);
    conflicts.expect(0, &["+1 212 555 0777", "+1 212 555 0199"]);
    example.is_quiet("customers");
    // What is cleared at one side is cleared at the other.
    example.edit("alan@bletchley.example", json!({ "Phone": null, "City": "", "Score": null }));
    example.sql("UPDATE customers SET stage = NULL, since = NULL WHERE mail LIKE 'ada%'");
    example.run(&["run"]);
    let rows =
        example.rows("SELECT mail, telephone, town, score FROM customers WHERE mail LIKE 'alan%'");
    assert_eq!(rows, ["alan@bletchley.example|||"]);
    let pages = example.pages();
    let ada = pages.iter().find(|page| text(page, "Email").starts_with("ada")).unwrap();
    assert_eq!((text(ada, "Stage"), text(ada, "Since")), (String::new(), String::new()));
    example.is_quiet("customers");
}

#[test]
fn edits_within_the_minute_of_the_last_run_are_not_lost() {
    let example = example(&[]);
    example.run(&["run"]);
    // Each of these has the very time that the last run has seen.
    for city in ["Ockham", "Horsley", "Kirkby"] {
        example.edit("ada@engines.example", json!({ "City": city }));
        example.run(&["run"]);
        assert_eq!(example.rows("SELECT town FROM customers WHERE mail LIKE 'ada%'"), [city]);
    }
    example.server.advance(3600);
    example.edit("ada@engines.example", json!({ "City": "London" }));
    example.run(&["run"]);
    example.server.take_counts();
    example.run(&["run"]);
    // Later runs ask for what was edited since, and for the trash: a page of each.
    let counts = example.server.take_counts();
    assert_eq!((counts.of(LIST), counts.all()), (2, 2), "{counts:?}");
    assert_eq!(example.rows("SELECT town FROM customers WHERE mail LIKE 'ada%'"), ["London"]);
}

#[test]
fn a_page_is_looked_at_by_its_id_and_one_of_another_data_source_is_none_of_ours() {
    let example = example(&[]);
    example.run(&["run"]);
    let one = json!({ "Name": "Barbara Liskov", "Email": "barbara@types.example" });
    let made = example.server.control("POST", "/pages", Some(one));
    let other = json!({ "Name": "Niklaus Wirth", "Email": "niklaus@steps.example" });
    let elsewhere = "/data_sources/11111111-477e-80af-bc30-000bd28de8f9/pages";
    let foreign = example.server.control("POST", elsewhere, Some(other));
    let [ours, theirs] = [&made, &foreign].map(|page| page["id"].as_str().unwrap());
    let gone = example.page("edsger@paths.example");
    example.server.control("DELETE", &format!("/pages/{gone}"), None);
    let named = ["--record", ours, "--record", theirs, "--record", &gone];
    let ran = example.run(&[&["run", "--task", "pages"], &named[..], &["--json"]].concat());
    assert_eq!(ran.json()["results"]["fetched"], 2, "{ran:#?}");
    example.run(&["run", "--task", "customers"]);
    let mails = example.rows("SELECT mail FROM customers ORDER BY mail").join(" ");
    assert!(mails.contains("barbara") && !mails.contains("niklaus"), "{mails}");
    assert!(!mails.contains("edsger"), "{mails}");
}

#[test]
fn every_page_of_a_long_list_is_read_and_limits_are_kept() {
    let example = example(&["--rate", "20"]);
    for number in 0..250 {
        let page =
            json!({ "Name": format!("N {number}"), "Email": format!("n{number}@x.example") });
        example.server.control("POST", "/pages", Some(page));
    }
    // There are no customers, so that nothing is written to Notion one by one.
    example.sql("DELETE FROM customers");
    example.run(&["run"]);
    assert_eq!(example.rows("SELECT count(*) FROM customers"), ["254"]);
    let counts = example.server.take_counts();
    assert_eq!(counts.writes(), 0, "{counts:?}");
    assert!(counts.of(LIST) >= 4, "{counts:?}");
    example.server.faults(json!({ "every": 1, "times": 1, "kinds": ["limit"] }));
    example.run(&["run"]);
    assert_eq!(example.server.take_counts().faults(), 1);
}

/// A configuration in which every type of property is written.
fn every_type(url: &str) -> String {
    format!(
        r#"
connections:
  notion:
    adapter: manifest
    settings:
      manifest: notion
      allow_private: true
      config: {{ url: "{url}", requests_per_second: 100, token: ntn_secret, data_source: 248104cd-477e-80af-bc30-000bd28de8f9 }}
    entities: {{ page: {{ stream: all_pages, key: id }} }}
  feed:
    adapter: file
    entities: {{ row: {{ path: feed.jsonl, key: mail }} }}
shard_types:
  row:
    fields: {{ name: text, mail: text, city: text, site: text, plan: text, tags: list, since: text, score: decimal, owner: list, knows: list, greeting: text }}
    matching: {{ rules: [{{ name: mail, compare: [{{ field: mail }}] }}] }}
conversion_schemas:
  page:
    shard_type: row
    fields: {{ name: Name, mail: Email, city: City, site: Site, plan: Plan, tags: Tags, since: Since, score: Score, owner: Owner, knows: Knows }}
  feed:
    shard_type: row
    fields: {{ name: name, mail: mail, city: city, site: site, plan: plan, tags: tags, since: since, score: score, owner: owner, knows: knows }}
sync_tasks:
  feed: {{ connection: feed, entity: row, conversion_schema: feed, mode: full }}
  pages: {{ connection: notion, entity: page, conversion_schema: page, direction: bidirectional, mode: full }}
"#
    )
}

#[test]
fn every_type_of_property_is_written_and_comes_back() {
    let example = example(&[]);
    let project = Project::new(&[]);
    let long = "a€".repeat(1500);
    let config = every_type(&example.server.url);
    project.write("syncline.yaml", &config);
    let row = json!({
        "name": "It's \"quoted\" \\ {{ not }} a {% template %}\nline", "mail": "long@x.example", "city": long, "site": "https://x.example/?a=1",
        "plan": "Gold", "tags": ["a", "b, c"], "since": "2025-01-31/2025-02-02", "score": 1.25, "owner": ["u-1"], "knows": ["p-1", "p-2"],
    });
    project.write("feed.jsonl", &format!("{row}\n"));
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let pages = example.pages();
    let page =
        &pages.iter().find(|page| text(page, "Email") == "long@x.example").unwrap()["properties"];
    assert_eq!(
        page["City"]["rich_text"].as_array().unwrap().len(),
        2,
        "a text object holds 2,000 characters"
    );
    assert_eq!(page["Plan"]["select"]["name"], "Gold");
    assert_eq!(page["Tags"]["multi_select"][1]["name"], "b, c");
    assert_eq!(page["Since"]["date"]["end"], "2025-02-02");
    assert_eq!(page["Score"]["number"], 1.25);
    assert_eq!(page["Owner"]["people"][0]["id"], "u-1");
    assert_eq!(page["Knows"]["relation"].as_array().unwrap().len(), 2);
    assert_eq!(page["Name"]["title"][0]["plain_text"], row["name"]);
    example.server.take_counts();
    let ran = project.run(&["run"]);
    ran.expect(0, &["nothing changed, nothing written"]);
    assert_eq!(example.server.take_counts().writes(), 0);
    // What is computed is refused in Notion's words.
    project.write(
        "syncline.yaml",
        &config
            .replace("name: Name,", "name: Name, greeting: Greeting,")
            .replace("name: name,", "name: name, greeting: greeting,"),
    );
    let mut greeted = row.clone();
    greeted["greeting"] = "Hello".into();
    project.write("feed.jsonl", &format!("{greeted}\n"));
    let ran = project.run(&["run"]);
    ran.expect(3, &["1 record could not be written"]);
    let letters = project.run(&["dead-letters", "list"]);
    letters.expect(0, &["Greeting is a formula property"]);
}

#[test]
fn lost_replies_of_notion_double_nothing_and_lose_nothing() {
    let example = example(&[]);
    // The creations of the first meeting, and their replies.
    example.server.faults(json!({ "every": 1, "times": 2, "kinds": ["lost"], "method": "POST", "path": "/v1/pages$" }));
    example.try_run(&["run"]);
    example.server.faults(json!({}));
    example.run(&["run"]);
    example.both_hold(&MET);
    example.is_quiet("customers");
    // An edit whose reply is lost, and one that a person makes before it is looked up.
    example.sql("UPDATE customers SET town = 'Oslo' WHERE mail LIKE 'ada%'");
    example.server.faults(json!({ "every": 1, "times": 1, "kinds": ["lost"], "method": "PATCH" }));
    example.try_run(&["run"]);
    example.edit("ada@engines.example", json!({ "Phone": "+47 1" }));
    example.run(&["run"]);
    example.run(&["run"]);
    let ada = "ada@engines.example|Ada Lovelace|+47 1|Oslo|1|9.5|Active|2025-01-15";
    example.both_hold(&[ada, MET[1], MET[2], MET[3], MET[4], MET[5]]);
    example.is_quiet("customers");
}
