//! `syncline shards`, `why` and `conflicts`: what people ask of what was synced.

use crate::project::Project;
use serde_json::Value;

const CONFIG: &str = r#"
connections:
  crm:
    adapter: file
    priority: 2
    entities:
      contact: { path: contacts.csv, key: id, modified: changed }
  billing:
    adapter: file
    entities:
      customer: { path: customers.csv, key: no, modified: changed }
shard_types:
  person:
    fields: { email: text, name: text, city: text }
    matching:
      rules:
        - name: same e-mail
          compare: [{ field: email, normalise: email }]
        - name: similar name
          block: [city]
          compare: [{ field: name, by: token_set, weight: 0.5 }]
conversion_schemas:
  contact:
    shard_type: person
    fields:
      email: { from: email, transform: [trim, lowercase] }
      name: { from: [first, last] }
      city: city
    relationships:
      boss: { shard_type: person, from: boss, entity: contact }
  customer:
    shard_type: person
    fields: { email: mail, name: { template: "{{ name }}" }, city: { value: Ulm } }
sync_tasks:
  contacts: { connection: crm, entity: contact, conversion_schema: contact }
  customers: { connection: billing, entity: customer, conversion_schema: customer }
"#;

const CONTACTS: &str = "id,email,first,last,city,boss,changed\n\
    1,Ann@x.org,Ann,Lee,Bonn,2,2025-01-01T00:00:00Z\n\
    2,bo@x.org,Bo,Ng,Kiel,9,2025-01-01T00:00:00Z\n";

const CUSTOMERS: &str = "no,mail,name,changed\n7,ann@x.org,Anna Lee,2025-02-01T00:00:00Z\n";

fn project_of(config: &str) -> Project {
    let files =
        [("syncline.yaml", config), ("contacts.csv", CONTACTS), ("customers.csv", CUSTOMERS)];
    let project = Project::new(&files);
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    project
}

fn json(project: &Project, args: &[&str]) -> Value {
    let ran = project.run(&[args, &["--json"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

/// The id of the shard of a record.
fn shard_of(project: &Project, external_id: &str) -> String {
    let links = project.run(&["export", "links"]).out;
    let start = format!("{external_id},");
    let line = links.lines().find(|line| line.starts_with(&start)).unwrap();
    line.split(',').nth(1).unwrap().to_owned()
}

/// What a command prints, ids of executions and shards left out.
fn printed(project: &Project, args: &[&str]) -> String {
    let ran = project.run(args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let is_id = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        word.len() == 36 && word.matches('-').count() == 4
    };
    let id_of = |word: &str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    let mut out = ran.out.clone();
    for word in ran.out.split_whitespace().filter(|word| is_id(word)) {
        out = out.replace(&id_of(word), "ID");
    }
    // The time of the run, which stands behind the task.
    let lines = out.lines().map(|line| match line.split_once(", task ") {
        Some((before, rest)) => {
            let task = rest.split(',').next().unwrap_or_default();
            format!("{before}, task {task}, NOW")
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn shards_are_listed_and_searched() {
    let project = project_of(CONFIG);
    let list = json(&project, &["shards"]);
    assert_eq!((list["shards"].as_array().unwrap().len(), &list["more"]), (2, &false.into()));
    for (test, expected) in [
        ("email=ann@x.org", 1),
        ("email=ANN@x.org", 0),
        ("name~LEE", 1),
        ("name~e", 1),
        ("city=Kiel", 1),
        ("name=a=b", 0),
    ] {
        let found = json(&project, &["shards", "list", "person", "--where", test]);
        assert_eq!(found["shards"].as_array().unwrap().len(), expected, "{test}: {found}");
    }
    let both = ["shards", "list", "--where", "name~lee", "--where", "city=Kiel"];
    assert_eq!(json(&project, &both)["shards"], Value::Array(Vec::new()));
    let first = project.run(&["shards", "list", "person", "--limit", "1"]);
    assert!(first.out.starts_with("id ") && first.out.contains("email"), "{}", first.out);
    assert!(first.err.contains("`--limit N` shows more"), "{}", first.err);
    for (args, told) in [
        (["shards", "list", "persn"], "did you mean `person`?"),
        (["shards", "list", "--where=emial=x"], "did you mean `email`?"),
        (["shards", "list", "--where=email"], "expected `field=value` or `field~text`"),
        (["shards", "show", "nothing"], "is no shard id"),
        (["shards", "show", "ffffffff"], "there is no shard `ffffffff`"),
        (["shards", "show", "0"], "give more digits of the id"),
    ] {
        let ran = project.run(&args);
        assert!(ran.code != Some(0) && ran.err.contains(told), "{args:?}: {ran:?}");
    }
}

#[test]
fn a_shard_is_shown_with_all_that_hangs_on_it() {
    let project = project_of(CONFIG);
    let ann = shard_of(&project, "1");
    insta::assert_snapshot!(printed(&project, &["shards", "show", &ann]), @r#"
    person ID, version 2, 1 earlier state kept

    fields
      email  "ann@x.org"
      name   "Anna Lee"
      city   "Ulm"

    records
      crm/contact 1 (modified 2025-01-01 00:00:00); says otherwise of name, city
      billing/customer 7 (modified 2025-02-01 00:00:00)

    edges out
      boss → person Bo Ng (ID)
    "#);
    let bo = shard_of(&project, "2");
    insta::assert_snapshot!(printed(&project, &["shards", "show", &bo]), @r#"
    person ID, version 1, 0 earlier states kept

    fields
      email  "bo@x.org"
      name   "Bo Ng"
      city   "Kiel"

    records
      crm/contact 2 (modified 2025-01-01 00:00:00)

    edges out
      boss → waits for crm/contact 9

    edges in
      boss ← person Anna Lee (ID)
    "#);
    let shown = json(&project, &["shards", "show", &ann]);
    assert_eq!(shown["edges_out"][0]["name"], "person Bo Ng");
}

#[test]
fn an_edge_that_two_records_state_is_shown_once() {
    let project = project_of(CONFIG);
    let twin = format!("{CONTACTS}3,Ann@x.org,Ann,Lee,Bonn,2,2025-01-02T00:00:00Z\n");
    project.write("contacts.csv", &twin);
    assert_eq!(project.run(&["run"]).code, Some(0));
    let (ann, bo) = (shard_of(&project, "1"), shard_of(&project, "2"));
    for (id, told) in [(&ann, "  boss → person "), (&bo, "  boss ← person ")] {
        let shown = printed(&project, &["shards", "show", id]);
        let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with(told)).collect();
        assert!(matches!(lines[..], [line] if line.ends_with(", stated by 2 records")), "{shown}");
    }
    // Programs get every statement.
    let edges = json(&project, &["shards", "show", &ann])["edges_out"].clone();
    assert_eq!(edges.as_array().unwrap().len(), 2, "{edges}");
}

#[test]
fn a_list_of_shards_keeps_within_80_columns() {
    let long = CONTACTS.replace("Bo,Ng", &format!("Bo,{}", "N".repeat(60)));
    let project = Project::new(&[
        ("syncline.yaml", CONFIG),
        ("contacts.csv", &long),
        ("customers.csv", CUSTOMERS),
    ]);
    assert_eq!(project.run(&["run"]).code, Some(0));
    for args in [&["shards", "list", "person"][..], &["shards"]] {
        let ran = project.run(args);
        ran.expect(0, &["more fields: `syncline shards show ID`"]);
        let widest = ran.out.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{widest}: {}", ran.out);
        assert!(ran.out.contains('…'), "{}", ran.out);
    }
    let all = project.run(&["shards", "list", "person", "--where", "name~Lee"]);
    assert!(all.out.contains("Ulm") && !all.err.contains("more fields"), "{all:?}");
}

#[test]
fn why_tells_record_run_mapping_and_rule() {
    let project = project_of(CONFIG);
    let ann = shard_of(&project, "1");
    insta::assert_snapshot!(printed(&project, &["why", &ann]), @r#"
    person ID, version 2, made of 2 records

    email = "ann@x.org"
      record     billing/customer 7 (modified 2025-02-01 00:00:00)
      execution  ID, task customers, NOW
      mapping    mail, in customer
      rule       merge_fields: the newest value that is not null
      also       the same, from crm/contact 1 (modified 2025-01-01 00:00:00)

    name = "Anna Lee"
      record     billing/customer 7 (modified 2025-02-01 00:00:00)
      execution  ID, task customers, NOW
      mapping    template `{{ name }}`, in customer
      rule       merge_fields: the newest value that is not null
      also       "Ann Lee", from crm/contact 1 (modified 2025-01-01 00:00:00)

    city = "Ulm"
      record     billing/customer 7 (modified 2025-02-01 00:00:00)
      execution  ID, task customers, NOW
      mapping    always "Ulm", in customer
      rule       merge_fields: the newest value that is not null
      also       "Bonn", from crm/contact 1 (modified 2025-01-01 00:00:00)

    why these records are one shard
      crm/contact 1 and billing/customer 7: same e-mail, score 1
        email          `ann@x.org` / `ann@x.org`: 1

    how they came together
      billing/customer 7 joined crm/contact 1: same e-mail, score 1
    "#);
    let why = json(&project, &["why", &ann, "name"]);
    let field = &why["fields"][0];
    assert_eq!((&field["field"], &field["value"]), (&"name".into(), &"Anna Lee".into()));
    let winner = field["record"].as_u64().unwrap() as usize;
    assert_eq!(why["records"][winner]["connection"], "billing");
    let execution = why["records"][winner]["execution"]["id"].as_str().unwrap();
    let executions = json(&project, &["executions"]).to_string();
    assert!(executions.contains(execution), "{executions}");
    let ran = project.run(&["why", &ann, "nmae"]);
    assert!(ran.err.contains("did you mean `name`?"), "{}", ran.err);
}

#[test]
fn why_says_when_the_configuration_has_changed_since() {
    let project = project_of(CONFIG);
    let changed = CONFIG.replace("    matching:\n", "    matching:\n      merge: keep_first\n");
    project.write("syncline.yaml", &changed);
    let ann = shard_of(&project, "1");
    let why = json(&project, &["why", &ann, "name"]);
    assert_eq!(why["fields"][0]["would_be"], "Ann Lee", "{why}");
    assert_eq!(why["fields"][0]["value"], "Anna Lee");
}

#[test]
fn a_merged_shard_leads_to_the_one_it_became() {
    let apart = CUSTOMERS.replace("ann@x.org", "other@x.org");
    let files = [("syncline.yaml", CONFIG), ("contacts.csv", CONTACTS), ("customers.csv", &*apart)];
    let project = Project::new(&files);
    assert_eq!(project.run(&["run"]).code, Some(0));
    let before = [shard_of(&project, "1"), shard_of(&project, "7")];
    assert_ne!(before[0], before[1]);
    project.write("customers.csv", CUSTOMERS);
    assert_eq!(project.run(&["run"]).code, Some(0));
    let after = shard_of(&project, "1");
    let old = before.iter().find(|id| **id != after).unwrap();
    for command in [&["shards", "show"][..], &["why"], &["conflicts", "show"]] {
        let ran = project.run(&[command, &[old.as_str()]].concat());
        let told = format!("{old} was merged into {after}");
        assert!(ran.code == Some(0) && ran.out.starts_with(&told), "{ran:?}");
    }
    let shown = json(&project, &["shards", "show", &after]);
    assert_eq!(shown["merged"][0]["id"], old.as_str(), "{shown}");
    assert_eq!(shown["merged"][0]["rule"], "same e-mail");
}

#[test]
fn conflicts_are_what_records_disagree_on() {
    let project = project_of(CONFIG);
    insta::assert_snapshot!(printed(&project, &["conflicts"]), @r#"
    shard                                 type    field  stands      from     against
    ID  person  name   "Anna Lee"  billing  "Ann Lee" (crm)
    ID  person  city   "Ulm"       billing  "Bonn" (crm)
    "#);
    let ann = shard_of(&project, "1");
    insta::assert_snapshot!(printed(&project, &["conflicts", "show", &ann]), @r#"
    person ID

    name
      stands   "Anna Lee" from billing/customer 7
      against  "Ann Lee" from crm/contact 1
      rule     merge_fields: the newest value that is not null

    city
      stands   "Ulm" from billing/customer 7
      against  "Bonn" from crm/contact 1
      rule     merge_fields: the newest value that is not null
    "#);
    let bo = shard_of(&project, "2");
    assert!(project.run(&["conflicts", "show", &bo]).out.contains("do not disagree"));
    let found = json(&project, &["conflicts", "list", "person"]);
    assert_eq!(found["shards"][0]["fields"].as_array().unwrap().len(), 2, "{found}");
    let none = json(&project, &["conflicts", "--limit", "0"]);
    assert_eq!((&none["shards"], &none["more_shards"]), (&Value::Array(vec![]), &true.into()));
}

#[test]
fn pairs_wait_for_a_person_where_the_type_says_so() {
    let manual = CONFIG.replace("    matching:\n", "    matching:\n      merge: manual\n");
    let project = project_of(&manual);
    let found = json(&project, &["conflicts"]);
    assert_eq!(found["shards"], Value::Array(vec![]));
    assert_eq!(found["reviews"][0]["rule"], "same e-mail", "{found}");
    assert_ne!(found["reviews"][0]["a_shard"], found["reviews"][0]["b_shard"]);
    let ran = project.run(&["conflicts"]);
    assert!(ran.out.contains("pairs that wait for a person"), "{}", ran.out);
    assert!(ran.out.contains("crm/contact 1") && ran.out.contains("billing/customer 7"), "{ran:?}");
}
