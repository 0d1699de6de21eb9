//! `review`, `merge`, `unmerge`: what a person decides.

use crate::project::{CONTACTS, Project};

fn asking() -> Project {
    let rule = "        - { name: alike, block: [age], compare: [{ field: name, by: levenshtein }], \
                threshold: 0.95, review: 0.5 }\n";
    let config = CONTACTS.replace("conversion_schemas:\n", &format!("{rule}conversion_schemas:\n"));
    let rows = "id,email,name,age\n1,a@x.de,Ann Lee,7\n2,b@x.de,Ann Leigh,7\n3,a@x.de,Anna,8\n";
    let project = Project::new(&[("syncline.yaml", &config), ("contacts.csv", rows)]);
    project.run(&["run"]);
    project
}

#[test]
fn a_pair_is_listed_shown_and_decided() {
    let project = asking();
    let listed = project.json(&["review", "list", "--json"]);
    assert_eq!(listed["reviews"][0]["rule"], "alike", "{listed}");
    let (a, b) = ("crm/contact:1", "crm/contact:2");
    let shown = project.run(&["review", "show", a, b]);
    for part in ["Ann Leigh", "alike: 0.667, review (threshold 0.95, review from 0.5)", "b@x.de"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let preview = project.run(&["review", "merge", a, b, "--preview"]);
    assert!(preview.out.contains("1 merged into others"), "{}", preview.out);
    assert!(project.run(&["review", "list"]).out.contains("crm/contact:2"));
    let merged = project.run(&["review", "merge", a, b, "--by", "eve", "--why", "met her"]);
    assert_eq!(merged.code, Some(0), "{merged:?}");
    assert!(project.run(&["review", "list"]).out.contains("no pair waits"));
    let decisions = project.json(&["review", "decisions", "--json"]);
    assert_eq!((&decisions[0]["by"], &decisions[0]["verdict"]), (&"eve".into(), &"same".into()));
    let again = project.run(&["merge", a, b]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("in one shard already"), "{}", again.err);
}

fn shard_of(project: &Project, external_id: &str) -> String {
    let links = project.run(&["export", "links"]).out;
    let line = links.lines().find(|line| line.starts_with(&format!("{external_id},"))).unwrap();
    line.split(',').nth(1).unwrap().to_owned()
}

#[test]
fn a_shard_is_taken_apart_and_stays_so() {
    let project = asking();
    assert_eq!(shard_of(&project, "1"), shard_of(&project, "3"));
    let id = shard_of(&project, "1");
    let parted = project.run(&["unmerge", &id, "crm/contact:3"]);
    assert_eq!(parted.code, Some(0), "{parted:?}");
    assert!(parted.out.contains("1 shard new"), "{}", parted.out);
    project.run(&["run", "--full"]);
    assert_eq!(shard_of(&project, "1"), id);
    assert_ne!(shard_of(&project, "3"), id);
    let missing = project.run(&["unmerge", &id, "crm/contact:9"]);
    assert!(missing.err.contains("there is no record `9` of `crm/contact`"), "{}", missing.err);
}

#[test]
fn why_names_the_rule_of_a_field_and_the_losers() {
    let own = "    survivorship: { name: longest, age: { expression: \"values | sum\" } }\n";
    let config = CONTACTS.replace("    matching:\n", &format!("{own}    matching:\n"));
    let rows = "id,email,name,age\n1,a@x.de,Ann Lee,7\n2,a@x.de,Ann,8\n";
    let project = Project::new(&[("syncline.yaml", &config), ("contacts.csv", rows)]);
    project.run(&["run"]);
    let why = project.run(&["why", &shard_of(&project, "1")]).out;
    for part in [
        "name = \"Ann Lee\"",
        "longest: the longest text",
        "\"Ann\", from crm/contact 2",
        "age = 15",
        "made of what several records say",
        "expression: values | sum",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let wrong = CONTACTS.replace(
        "    matching:\n",
        "    survivorship: { nam: newest, age: union, email: { source_priority: [cmr] } }\n    matching:\n",
    );
    project.write("syncline.yaml", &wrong);
    let check = project.run(&["check"]);
    for part in ["has no field `nam`", "unknown connection `cmr`", "syncline.yaml:10:"] {
        assert!(check.err.contains(part) || check.out.contains(part), "{part}: {check:?}");
    }
    project.write("syncline.yaml", &wrong.replace("nam: newest, ", "").replace("[cmr]", "[crm]"));
    let check = project.run(&["check"]);
    let said = format!("{}{}", check.out, check.err);
    assert!(said.contains("`age` holds no lists"), "{said}");
}

#[test]
fn the_log_of_merges_tells_each_step_with_rule_or_person_and_unmerge_what_it_undid() {
    let project = asking();
    let id = shard_of(&project, "1");
    let other = shard_of(&project, "2");
    project.run(&["merge", "crm/contact:1", "crm/contact:2", "--by", "eve", "--why", "met her"]);
    let id = if shard_of(&project, "1") == id { id } else { other };
    let why = project.run(&["why", &id]).out;
    let log = why.split("how they came together\n").nth(1).unwrap();
    assert!(log.contains("  crm/contact 3 joined crm/contact 1: same e-mail, score 1\n"), "{why}");
    for part in [
        " was merged into it on 20",
        ": eve said so, of crm/contact 1 and crm/contact 2: \"met her\"",
        "(crm/contact 2)",
    ] {
        assert!(log.contains(part), "{part}: {why}");
    }
    let told = project.json(&["why", &id, "--json"]);
    let merges = told["merges"].as_array().unwrap();
    assert_eq!(
        (merges.len(), &merges[1]["by"], &merges[1]["why"]),
        (2, &"eve".into(), &"met her".into())
    );
    assert_eq!(merges[0]["waterfall"][0]["comparisons"][0]["left"], "a@x.de", "{told}");
    let preview = project.run(&["unmerge", &id, "--preview"]);
    preview.expect(0, &["undone:", "eve said so"]);
    let parted = project.run(&["unmerge", &id]);
    parted.expect(0, &["undone:", "eve said so"]);
    assert!(!parted.out.contains("crm/contact 3 joined"), "{}", parted.out);
    let parted = project.run(&["unmerge", &shard_of(&project, "1")]);
    parted.expect(0, &["undone:  crm/contact 3 joined crm/contact 1: same e-mail"]);
    let why = project.run(&["why", &shard_of(&project, "1")]).out;
    assert!(!why.contains("came together"), "{why}");
}
