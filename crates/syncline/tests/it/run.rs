//! `run`, `status`, `executions`: a first run, a second one, and what is told of them.

use crate::project::{CONTACTS, Project};
use std::process::Command;

const ROWS: &str =
    "1,Ada@x.org,Ada,36\n2,bob@x.org,Bob,41\n3,ada@x.org,Ada L.,36\n4,no mail,Eve,20\n";

#[test]
fn a_first_run_adds_up_and_a_second_one_writes_nothing() {
    let project = Project::contacts(ROWS);
    let first = project.json(&["run", "--json"]);
    let results = &first["results"];
    assert_eq!(first["status"], "success", "{first:#}");
    let figures = ["fetched", "created", "updated", "skipped", "failed", "merged", "invalid"];
    let figures: Vec<u64> = figures.iter().map(|name| results[name].as_u64().unwrap()).collect();
    assert_eq!(figures, [4, 2, 1, 1, 0, 1, 1], "{first:#}");
    assert_eq!(results["shards"]["created"], 2);

    let before = std::fs::read(project.path("syncline.db")).unwrap().len();
    let second = project.json(&["run", "--json"]);
    assert_eq!(second["tasks"][0]["unchanged"], true, "{second:#}");
    assert_eq!(std::fs::read(project.path("syncline.db")).unwrap().len(), before);
    project.run(&["run"]).expect(0, &["nothing changed, nothing written", "2 person", "3 links"]);
}

#[test]
fn a_report_for_people_fits_80_columns_and_says_what_to_do_next() {
    let project = Project::contacts(ROWS);
    let ran = project.run(&["run"]);
    ran.expect(
        0,
        &[
            "contacts",
            "1 joined a shard of other records",
            "1 invalid",
            "`syncline dead-letters list`",
        ],
    );
    let widest = ran.out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{ran:#?}");
    assert!(!ran.out.contains('\x1b') && !ran.err.contains('\x1b'), "{ran:#?}");
}

#[test]
fn events_are_lines_of_json_before_the_report() {
    let project = Project::contacts(ROWS);
    let ran = project.run(&["run", "--json", "--events"]);
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["type"], "syncTask.triggered");
    assert_eq!(lines[lines.len() - 2]["type"], "syncTask.completed");
    assert_eq!(lines[lines.len() - 2]["data"]["recordsProcessed"], 4);
    assert_eq!(ran.json()["status"], "success");
    assert_eq!(ran.err, "");
}

#[test]
fn the_store_and_variables_come_from_anywhere_on_the_command_line() {
    let config = CONTACTS.replace("path: contacts.csv", "path: \"${var:input}\"");
    let config = format!("tenant: acme\n{config}");
    let project = Project::new(&[("people.csv", "id,email,name,age\n1,a@x.org,A,1\n")]);
    std::fs::create_dir(project.path("conf")).unwrap();
    project.write("conf/my.yaml", &config);
    let args = ["--store", "here.db", "run", "conf", "--json", "--var", "input=people.csv"];
    assert_eq!(project.json(&args)["results"]["created"], 1);
    assert!(project.path("here.db").exists() && !project.path("conf/syncline.db").exists());
    // The store is enough for what asks nothing of the configuration.
    project.write("syncline.yaml", "tenant: another");
    for args in [
        &["status", "--json", "--store", "here.db"][..],
        &["--store", "here.db", "--json", "executions"],
    ] {
        let told = project.json(args).to_string();
        assert!(told.contains("\"task\":\"contacts\""), "{args:?}: {told}");
    }
    let cancel = project.run(&["cancel", "contacts", "--store", "here.db"]);
    cancel.expect(1, &["task `contacts` is not running"]);
    let refused = project.run(&["status", "--config", ".", "--store", "here.db"]);
    refused.expect(1, &["it belongs to tenant `acme`, not to `another`"]);
    let missing = project.run(&["run", "conf"]);
    missing.expect(2, &["the variable `input` has no value", "--var input="]);
}

#[test]
fn tasks_are_known_by_name_and_a_missing_file_fails_one_task_only() {
    let config = CONTACTS
        .replace("key: id }", "key: id }\n      other: { path: gone.csv, key: id }")
        + "  others: { connection: crm, entity: other, conversion_schema: person, retry: { max_attempts: 0 } }\n";
    let project =
        Project::new(&[("syncline.yaml", &config), ("contacts.csv", "id,email\n1,a@x.org\n")]);
    project.run(&["run", "--task", "contcts"]).expect(2, &["did you mean `contacts`?"]);
    let ran = project.run(&["run", "--json"]);
    let report = ran.json();
    assert_eq!(ran.code, Some(4), "{report:#}");
    assert_eq!(report["status"], "failed");
    assert_eq!(report["tasks"][0]["status"], "success", "{report:#}");
    assert_eq!(report["results"]["created"], 1);
    project.run(&["run"]).expect(4, &["gone.csv", "hint:"]);
    project.run(&["run", "--task", "contacts"]).expect(0, &[]);
}

#[test]
fn status_and_executions_tell_what_ran() {
    let project = Project::contacts(ROWS);
    project.run(&["status"]).expect(1, &["there is no store at", "`syncline run` makes it"]);
    project.json(&["run", "--json"]);
    project.json(&["run", "--json"]);
    project.run(&["status"]).expect(0, &["contacts", "success", "2 person", "1 dead letter"]);
    let status = project.json(&["status", "--json"]);
    assert_eq!(status["tasks"][0]["runs"], 2, "{status:#}");
    assert_eq!(status["tasks"][0]["results"]["created"], 2);
    assert_eq!(status["store"]["shards"]["person"], 2);
    let list = project.json(&["executions", "--json"]);
    let first = list["executions"][1]["execution"].as_str().unwrap().to_owned();
    let shown = project.json(&["executions", "show", &first, "--json"]);
    assert_eq!(shown["results"]["created"], 2, "{shown:#}");
    assert_eq!(shown["dead_letters"][0]["external_id"], "4");
    project.run(&["executions"]).expect(0, &[&first[..18]]);
    project.run(&["executions", "show", &first[..20]]).expect(0, &[&first, "1 record refused"]);
    project.run(&["executions", "show", "zz"]).expect(1, &["there is no execution `zz`"]);
}

#[test]
fn colours_come_when_forced_and_never_with_no_color() {
    let project = Project::contacts("1,a@x.org,A,1\n");
    let coloured = |name: &str, both: bool| {
        let mut command: Command = project.command(&["run"]);
        command.env("CLICOLOR_FORCE", "1");
        if both {
            command.env(name, "1");
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap().contains('\x1b')
    };
    assert!(coloured("NO_COLOR", false));
    assert!(!coloured("NO_COLOR", true));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project = Project::contacts("1,a@x.org,A,1\n");
    let mut command = project.command(&["schema"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn advice_names_the_project_that_was_run() {
    let project = Project::new(&[]);
    std::fs::create_dir(project.path("crm")).unwrap();
    project.write("crm/syncline.yaml", CONTACTS);
    project.write("crm/contacts.csv", "id,email\n1,no mail\n");
    let ran = project.run(&["run", "crm"]);
    let advice = "dead-letters list --config crm";
    ran.expect(0, &[&format!("`syncline {advice}`")]);
    let words: Vec<&str> = advice.split(' ').collect();
    project.run(&words).expect(0, &["contacts.csv:2"]);
    let filled = CONTACTS.replace("contacts.csv", "\"${var:input}\"");
    project.write("crm/syncline.yaml", &filled);
    let ran = project.run(&["run", "crm", "--var", "input=contacts.csv", "--full"]);
    ran.expect(0, &["`syncline dead-letters list --config crm --var input=contacts.csv`"]);
    let lost = project.run(&["run", "--config", "crm", "--store", "no/such/folder/x.db"]);
    lost.expect(2, &["`input`", "hint:"]);
    let place = ["--store", "no/such/folder/x.db", "--var", "input=contacts.csv"];
    let lost = project.run(&[&["run", "--config", "crm"], &place[..]].concat());
    lost.expect(1, &["no/such/folder/x.db", "hint:"]);
}

#[test]
fn a_wrong_command_line_is_told_as_json_too() {
    let project = Project::new(&[]);
    for args in
        [&["run", "--bogus", "--json"][..], &["--json", "chek"], &["shards", "--where=x", "--json"]]
    {
        let ran = project.run(args);
        let json = ran.json();
        assert_eq!((ran.code, &json["exit_code"]), (Some(2), &2.into()), "{args:?}");
        assert!(json["error"].is_string() && json["hint"].is_string(), "{json}");
        assert!(ran.err.starts_with("error: "), "{ran:?}");
    }
    assert_eq!(project.run(&["--version", "--json"]).code, Some(0));
}

#[test]
fn phone_numbers_are_international_where_a_region_is_set() {
    let rule = "        - { name: phone, compare: [{ field: name, normalise: phone }] }\n";
    let config = CONTACTS
        .replace("conversion_schemas:\n", &format!("{rule}conversion_schemas:\n"))
        .replace("    matching:\n", "    matching:\n      phone_region: gb\n");
    let rows =
        "id,name\n1,020 7946 0958\n2,+44 (0)20 7946 0958\n3,+1 207 946 0958\n4,44 2079460958\n";
    let project = Project::new(&[("syncline.yaml", &config), ("contacts.csv", rows)]);
    project.run(&["run"]).expect(0, &["2 created"]);
    let one = project.json(&["match", "explain", "1", "2", "--json"]);
    let comparison = &one["rules"][1]["comparisons"][0];
    assert_eq!(comparison["left"], "+442079460958", "{one}");
    assert_eq!(comparison["normalise"], serde_json::json!({ "phone_of": "GB" }));
    let other = project.json(&["match", "explain", "1", "3", "--json"]);
    assert_eq!(other["rules"][1]["is_match"], false, "{other}");
    project.write("syncline.yaml", &config.replace("phone_region: gb", "phone_region: UK"));
    project.run(&["check"]).expect(2, &["syncline.yaml:11:21", "`UK` is no country", "GB"]);
    project.write("syncline.yaml", &config.replace("      phone_region: gb\n", ""));
    project.run(&["run"]).expect(0, &["matched anew"]);
    let other = project.json(&["match", "explain", "1", "3", "--json"]);
    assert_eq!(other["rules"][1]["comparisons"][0]["left"], "79460958", "{other}");
}
