//! `dead-letters` and `retry`: what was refused comes through once its cause is mended.

use crate::project::{CONTACTS, Project};

const ROWS: &str = "1,a@x.org,A,36\n2,b@x.org,B,200\n3,c,C,300\n";

#[test]
fn records_that_were_refused_go_through_once_the_configuration_is_mended() {
    let project = Project::contacts(ROWS);
    project.json(&["run", "--json"]);
    let listed = project.run(&["dead-letters", "list"]);
    listed.expect(0, &["contacts.csv:3", "contacts.csv:4", "(+1)", "age"]);
    project.run(&["dead-letters", "show", "1"]).expect(0, &["contacts.csv:3", "\"age\": \"200\""]);

    project.write("syncline.yaml", &CONTACTS.replace("max: 150", "max: 250"));
    let ran = project.run(&["dead-letters", "replay", "--all"]);
    ran.expect(3, &["1 record went through, 1 refused again", "1 dead letter"]);
    let left = project.json(&["dead-letters", "list", "--json"]);
    let left = left["dead_letters"].as_array().unwrap();
    assert_eq!(left.len(), 1, "{left:#?}");
    assert_eq!((&left[0]["external_id"], &left[0]["line"]), (&"3".into(), &4.into()));
    // Both values are refused still: 300 is more than 250, and `c` is no address.
    assert_eq!(left[0]["problem"].as_str().unwrap().lines().count(), 2, "{left:#?}");

    project.write(
        "syncline.yaml",
        &CONTACTS.replace("max: 150", "max: 350").replace(", validate: { format: email }", ""),
    );
    project.run(&["retry"]).expect(0, &["1 record went through, 0 refused again"]);
    project.run(&["dead-letters", "list"]).expect(0, &["no record was refused"]);
    project.run(&["retry"]).expect(0, &["nothing to retry"]);
    let status = project.json(&["status", "--json"]);
    assert_eq!(status["store"]["shards"]["person"], 3, "{status:#}");
    // A replay leaves the task's cursor where it was.
    assert_eq!(project.json(&["run", "--json"])["tasks"][0]["unchanged"], true);
}

#[test]
fn what_never_was_a_record_has_to_be_mended_at_its_source() {
    let config = CONTACTS.replace("contacts.csv", "contacts.jsonl");
    let lines = "{\"id\":1,\"email\":\"a@x.org\"}\n{\"id\":2,\n";
    let project = Project::new(&[("syncline.yaml", &config), ("contacts.jsonl", lines)]);
    project.run(&["run"]).expect(3, &["partial", "hint:"]);
    project
        .run(&["dead-letters", "replay", "--all"])
        .expect(3, &["never was a record", "contacts.jsonl:2"]);
    project.run(&["dead-letters", "replay", "77"]).expect(1, &["there is no dead letter 77"]);
    project.run(&["dead-letters", "replay"]).expect(2, &[]);
}

#[test]
fn a_failed_run_is_retried() {
    let project = Project::contacts("1,a@x.org,A,36\n");
    std::fs::rename(project.path("contacts.csv"), project.path("away.csv")).unwrap();
    let config = CONTACTS.replace(
        "conversion_schema: person }",
        "conversion_schema: person, retry: { max_attempts: 0 } }",
    );
    project.write("syncline.yaml", &config);
    project.run(&["run"]).expect(4, &["failed"]);
    std::fs::rename(project.path("away.csv"), project.path("contacts.csv")).unwrap();
    project.run(&["retry", "contacts"]).expect(0, &["success"]);
    let list = project.json(&["executions", "--json"]);
    assert_eq!(list["executions"][0]["trigger"], "retry", "{list:#}");
}
