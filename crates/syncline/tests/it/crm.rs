//! `examples/crm`: what its README says is so.

use crate::project::Project;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const FIGURES: [&str; 5] = ["fetched", "created", "updated", "skipped", "failed"];

/// The records that are refused, by place, and what is said of each.
const REFUSED: [(&str, u64, &str); 17] = [
    ("accounts", 119, "field `annual_revenue`: expected a number, found text `1.2M`"),
    ("contacts", 17, "field `last_name`: required, but the record has no value"),
    ("contacts", 232, "field `last_name`: required, but the record has no value"),
    ("contacts", 425, "field `last_name`: required, but the record has no value"),
    ("contacts", 556, "field `email`: not an e-mail address: `m.weber@`"),
    ("contacts", 605, "field `email`: not an e-mail address: `kein@@post.example`"),
    ("contacts", 810, "field `email`: not an e-mail address: `n/a`"),
    ("contacts", 856, "field `email`: not an e-mail address: `petra.lang(at)mailbox.example`"),
    ("customers", 220, "field `last_name`: required, but the record has no value"),
    (
        "customers",
        678,
        "field `customer_since`: expected a date like `%d.%m.%Y`, found text `31.02.2024`",
    ),
    (
        "customers",
        735,
        "field `customer_since`: expected a date like `%d.%m.%Y`, found text `31.02.2024`",
    ),
    ("newsletter", 69, "field `email`: not an e-mail address: `peter@firma,example`"),
    ("newsletter", 400, "field `email`: not an e-mail address: `maria@@mailbox.example`"),
    ("newsletter", 409, "field `email`: not an e-mail address: `no-mail`"),
    ("newsletter", 606, "field `email`: not an e-mail address: `anna.weber@`"),
    ("newsletter", 682, "field `email`: not an e-mail address: `@webmail.example`"),
    ("newsletter", 830, "field `email`: not an e-mail address: `j.koch(at)mailbox.example`"),
];

/// Records that are about one person.
const ONE: [&[&str]; 7] = [
    &["0035g0000000003", "K-10774", "elisabeth.hartmann+news@hansaoptik.example|2024-09-03"],
    &["0035g0000000558", "K-10202", "joerg.mueller@alsterlogistik.example|2024-09-03"],
    &["0035g0000000997", "K-10144", "fiona.oconnor@whitfield.example|2024-09-03"],
    &["0035g0000001083", "K-10476", "charlotte.ashworth@whitfield.example|2024-09-03"],
    &["0035g0000000900", "K-10216"],
    &["0035g0000000365", "0035g0000000638", "K-10745"],
    &["0035g0000000408", "K-10748"],
];

/// Records that share much and are about two people.
const TWO: [[&str; 2]; 4] = [
    ["0035g0000000282", "0035g0000000538"],
    ["0035g0000000469", "0035g0000000935"],
    ["0035g0000000215", "0035g0000000911"],
    ["0035g0000001095", "K-10071"],
];

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/crm")
}

/// A copy of the example, so that its folder stays as it is.
fn copy() -> Project {
    let project = Project::new(&[]);
    std::fs::create_dir(project.path("data")).unwrap();
    let data = ["crm-accounts.jsonl", "crm-contacts.jsonl", "billing-customers.csv"];
    let data = data.iter().chain(&["newsletter.csv"]).map(|name| format!("data/{name}"));
    for name in data.chain(["syncline.yaml".to_owned()]) {
        std::fs::copy(example().join(&name), project.path(&name)).unwrap();
    }
    project
}

/// The copy, run once, and the report.
fn ran() -> (Project, Value) {
    let project = copy();
    let ran = project.run(&["run", "--json"]);
    // The first command that a newcomer types has to end well.
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    assert_eq!(report["status"], "success", "{report:#}");
    (project, report)
}

/// The rows of an export as maps by column; no cell that is asked for holds a comma.
fn export(project: &Project, what: &[&str]) -> Vec<BTreeMap<String, String>> {
    let mut args = vec!["export"];
    args.extend(what);
    args.extend(["--format", "csv"]);
    let ran = project.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut lines = ran.out.lines().map(|line| line.split(',').map(str::to_owned));
    let head: Vec<String> = lines.next().unwrap().collect();
    lines.map(|cells| head.iter().cloned().zip(cells).collect()).collect()
}

fn figures(results: &Value) -> Vec<u64> {
    FIGURES.iter().map(|name| results[name].as_u64().unwrap()).collect()
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[test]
fn the_report_adds_up_and_is_the_one_in_the_readme() {
    let (project, report) = ran();
    assert_eq!(figures(&report["results"]), [2996, 1869, 1095, 32, 0], "{report:#}");
    let expected = json!({
        "filtered": 15, "invalid": 17, "merged": 1093,
        "derived": { "created": 195, "updated": 169, "unchanged": 419 },
        "shards": { "created": 2064, "updated": 987, "merged": 2, "deleted": 0 },
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&report["results"][name], value, "{name}");
    }
    let held = json!({
        "account": 218, "company_profile": 188, "contact": 1651, "industry_classification": 5,
    });
    let status = project.json(&["status", "--json"]);
    assert_eq!(status["store"]["shards"], held, "{status:#}");

    let readme = std::fs::read_to_string(example().join("README.md")).unwrap();
    let rows: BTreeSet<Vec<&str>> =
        readme.lines().map(|line| line.split_whitespace().collect()).collect();
    for task in report["tasks"].as_array().unwrap() {
        let all = figures(&task["results"]);
        assert_eq!(all[0], all[1..].iter().sum::<u64>(), "{task:#}");
        let mut row = vec![task["task"].as_str().unwrap(), task["status"].as_str().unwrap()];
        let all: Vec<String> = all.into_iter().map(grouped).collect();
        row.extend(all.iter().map(String::as_str));
        assert!(rows.iter().any(|found| found.starts_with(&row)), "not in the README: {row:?}");
    }
}

#[test]
fn who_is_one_and_who_is_not() {
    let (project, _) = ran();
    let shards: BTreeMap<String, String> = export(&project, &["links", "--type", "contact"])
        .into_iter()
        .map(|mut link| {
            let shard = link.remove("shard_id").unwrap();
            (link.remove("external_id").unwrap(), shard)
        })
        .collect();
    for records in ONE {
        let found: BTreeSet<&String> = records.iter().map(|record| &shards[*record]).collect();
        assert_eq!(found.len(), 1, "{records:?}");
    }
    for [a, b] in TWO {
        assert_ne!(shards[a], shards[b], "{a} and {b}");
    }
    let mut args = vec!["shards", "list", "contact", "--json", "--where"];
    args.push("email=charlotte.ashworth@whitfield.example");
    let charlotte = &project.json(&args)["shards"][0]["data"];
    let said: Vec<&Value> =
        ["city", "first_name", "country", "invoiced"].iter().map(|name| &charlotte[name]).collect();
    assert_eq!(said, ["Norwich", "Charlotte", "GB", "1840.5"]);

    let elisabeth = &shards["0035g0000000003"];
    project
        .run(&["why", elisabeth, "first_name"])
        .expect(0, &["first_name = \"Elisabeth\"", "\"Lisa\"", "same company, names alike"]);
}

#[test]
fn what_is_refused_is_listed_with_its_place_and_reason() {
    let (project, _) = ran();
    let list = project.json(&["dead-letters", "list", "--json"]);
    let letters = list["dead_letters"].as_array().unwrap();
    let found: Vec<(&str, u64, &str)> = letters
        .iter()
        .map(|letter| {
            let text = |name: &str| letter[name].as_str().unwrap();
            (text("task"), letter["line"].as_u64().unwrap(), text("problem"))
        })
        .collect();
    assert_eq!(found, REFUSED);
    let readme = std::fs::read_to_string(example().join("README.md")).unwrap();
    for (task, line, problem) in REFUSED {
        let is_row = |row: &&str| row.contains(&format!(":{line} ")) && row.ends_with(problem);
        assert!(readme.lines().any(|row| is_row(&row)), "not in the README: {task} {line}");
    }
}

#[test]
fn companies_have_their_derived_shards_and_edges_wait() {
    let (project, _) = ran();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let edges = export(&project, &["edges"]);
    for edge in &edges {
        *counts.entry((edge["relationship"].clone(), edge["state"].clone())).or_default() += 1;
    }
    let expected = [
        (("company_profile", "resolved"), 188),
        (("industry_classification", "resolved"), 116),
        (("lookup:account_name", "resolved"), 644),
        (("lookup:account_name", "waiting"), 18),
        (("parent", "resolved"), 28),
        (("parent", "waiting"), 2),
        (("works_at", "resolved"), 1121),
        (("works_at", "waiting"), 18),
    ];
    let expected =
        expected.map(|((kind, state), count)| ((kind.to_owned(), state.to_owned()), count));
    assert_eq!(counts, BTreeMap::from(expected));
    let parents: BTreeMap<&str, &str> = edges
        .iter()
        .filter(|edge| edge["relationship"] == "parent" && edge["state"] == "resolved")
        .map(|edge| (edge["from_id"].as_str(), edge["to_id"].as_str()))
        .collect();
    let up = |id: &str| parents.get(id).copied();
    let in_circle = parents.keys().filter(|id| up(id).and_then(up).and_then(up) == Some(id));
    assert_eq!(in_circle.count(), 3);

    let named = |name: &str| {
        let test = format!("name~{name}");
        project.json(&["shards", "list", "account", "--json", "--where", &test])["shards"].clone()
    };
    assert_eq!(named("acific foods")[0]["data"]["name"], "Pacific Foods AG");
    assert_eq!(named("acific foods").as_array().unwrap().len(), 1);
    assert_eq!(named("Seidel")[0]["data"], json!({ "name": "Seidel + Partner" }));
}

#[test]
fn a_second_run_writes_nothing_and_a_mended_rule_takes_the_refused_record() {
    let (project, _) = ran();
    let held = || ["shards", "links", "edges"].map(|what| project.run(&["export", what]).out);
    let before = held();
    project.run(&["run"]).expect(0, &["nothing changed, nothing written"]);
    assert!(held() == before);

    let config = std::fs::read_to_string(project.path("syncline.yaml")).unwrap();
    let mended = config.replace("n/a: null }", "n/a: null, 1.2M: 1200000 }");
    assert_ne!(mended, config);
    project.write("syncline.yaml", &mended);
    project.run(&["dead-letters", "replay", "1"]).expect(
        0,
        &["1 record went through", "16 dead letters", "28 edges waiting", "189 company_profile"],
    );
}

#[test]
fn a_preview_shows_the_same_figures_and_makes_no_store() {
    let project = copy();
    let preview = project.run(&["preview", "--json"]);
    assert_eq!(figures(&preview.json()["results"]), [2996, 1869, 1095, 32, 0]);
    assert!(!project.path("syncline.db").exists());
    project.run(&["check"]).expect(0, &["the configuration is right"]);
}
