//! `check`: all that is wrong, at once; and `schema`.

use crate::project::{CONTACTS, Project};

#[test]
fn every_error_of_a_broken_configuration_is_told_with_its_place() {
    let broken = CONTACTS
        .replace("adapter: file", "adapter: fiel")
        .replace("age: integer", "age: intger")
        .replace("transform: to_number", "transform: to_nmber")
        .replace("conversion_schema: person }", "conversion_schema: persn }");
    let project = Project::new(&[("syncline.yaml", &broken)]);
    let ran = project.run(&["check"]);
    ran.expect(2, &["fiel", "intger", "to_nmber", "persn", "did you mean", "^^^^", "hint:"]);
    assert!(ran.err.contains("syncline.yaml:4:"), "{ran:#?}");
    let json = project.run(&["check", "--json"]);
    assert_eq!(json.code, Some(2));
    let told = json.json();
    assert!(told["diagnostics"].as_array().unwrap().len() >= 4, "{told:#}");
    assert_eq!(project.run(&["run"]).code, Some(2));
    assert!(!project.path("syncline.db").exists());
}

#[test]
fn what_only_the_compiler_finds_is_told_with_its_place_too() {
    let broken = CONTACTS
        .replace("name: { from: name }", "name: { expression: \"name + \" }")
        .replace("format: email }", "pattern: \"[\" }");
    let project = Project::new(&[("syncline.yaml", &broken)]);
    project.run(&["check"]).expect(2, &["syncline.yaml:17:", "syncline.yaml:18:", "2 errors"]);
}

#[test]
fn expressions_are_looked_at_whatever_else_is_wrong() {
    let broken = CONTACTS
        .replace("adapter: file", "adapter: fiel")
        .replace("age: integer", "age: intger")
        .replace("name: { from: name }", "name: { expression: \"name + \" }")
        .replace("format: email }", "pattern: \"[\" }")
        .replace("connection: crm,", "connection: crmm,");
    let project = Project::new(&[("syncline.yaml", &broken)]);
    let places = ["`fiel`", "`intger`", "`crmm`", "syncline.yaml:17:", "syncline.yaml:18:"];
    project.run(&["check"]).expect(2, &[&places[..], &["5 errors"]].concat());
}

#[test]
fn what_is_wrong_beside_a_wrong_item_of_a_list_has_its_own_place() {
    let list = "[trimm, { regex_replace: { pattern: \"(\" } }, lowercas, { parse_date: \"%!\" }]";
    let broken = CONTACTS.replace("[trim, lowercase]", list);
    let project = Project::new(&[("syncline.yaml", &broken)]);
    let ran = project.run(&["check", "--json"]);
    let told = ran.json();
    let line = broken.lines().position(|line| line.contains("trimm")).unwrap();
    let text: Vec<char> = broken.lines().nth(line).unwrap().chars().collect();
    let marked = |one: &serde_json::Value| {
        let number = |key: &str| usize::try_from(one[key].as_u64().unwrap()).unwrap();
        assert_eq!(number("line"), line + 1, "{one}");
        let start = number("column") - 1;
        text[start..start + number("length")].iter().collect::<String>()
    };
    let marked: Vec<_> = told["diagnostics"].as_array().unwrap().iter().map(marked).collect();
    assert_eq!(marked, ["trimm", "\"(\"", "lowercas", "\"%!\""]);
}

#[test]
fn a_schema_that_no_task_uses_is_looked_at_too() {
    let unused = "conversion_schemas:\n  spare: { shard_type: person, fields: { name: { template: \"{{ a\" } } }";
    let project =
        Project::new(&[("syncline.yaml", &CONTACTS.replace("conversion_schemas:", unused))]);
    project.run(&["check"]).expect(2, &["template", "1 error"]);
}

#[test]
fn a_check_reads_and_converts_the_first_records_and_writes_nothing() {
    let project = Project::contacts("1,a@x.org,A,36\n2,b@x.org,B,200\n3,c,C,300\n");
    let ran = project.run(&["check"]);
    ran.expect(
        0,
        &[
            "✓ crm/contact: 3 records sampled",
            "1 converted, 2 invalid",
            "`age`: 2 ×",
            "`email`: 1 ×",
        ],
    );
    assert!(!project.path("syncline.db").exists());
    std::fs::remove_file(project.path("contacts.csv")).unwrap();
    project.run(&["check"]).expect(1, &["✗ crm/contact", "contacts.csv", "hint:"]);
    project.run(&["check", "--offline"]).expect(0, &["the configuration is right"]);
}

#[test]
fn no_configuration_is_an_error_that_names_the_way_to_one() {
    let project = Project::new(&[]);
    project.run(&["check"]).expect(2, &["there is no configuration in", "`syncline init SAMPLE`"]);
    project.run(&["run", "nowhere"]).expect(2, &["`nowhere`"]);
}

#[test]
fn secrets_are_nowhere_even_in_debug_output() {
    let secret = "hunter2-hunter2";
    let config = CONTACTS.replace("contacts.csv", "\"${env:DATA_PATH}\"");
    let project = Project::new(&[("syncline.yaml", &config)]);
    for args in [
        &["run", "--debug", "--json"][..],
        &["check", "--debug"],
        &["preview", "--debug"],
        &["status", "--debug", "--json"],
        &["executions", "--debug"],
    ] {
        let mut command = project.command(args);
        command.env("DATA_PATH", secret).env("SYNCLINE_LOG", "trace");
        let ran = crate::project::Ran::of(command.output().unwrap());
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{args:?}: {ran:#?}");
    }
    project.run(&["check"]).expect(2, &["`DATA_PATH`", "export DATA_PATH="]);
}

#[test]
fn a_rule_that_holds_a_secret_does_not_tell_it_when_it_refuses_a_record() {
    let rule = "validate: { enum: [\"${file:secret.txt}\"] }";
    let config =
        CONTACTS.replace("name: { from: name }", &format!("name: {{ from: name, {rule} }}"));
    let project = Project::contacts("1,a@x.org,A,36\n");
    project.write("syncline.yaml", &config);
    project.write("secret.txt", "hunter2-hunter2\n");
    for args in [
        &["check"][..],
        &["check", "--json"],
        &["preview"],
        &["preview", "--json"],
        &["run", "--debug"],
        &["dead-letters", "list"],
        &["dead-letters", "show", "1"],
        &["executions", "show", "0", "--json"],
    ] {
        let ran = project.run(args);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{args:?}: {ran:#?}");
    }
    let letters = project.run(&["dead-letters", "list"]);
    letters.expect(0, &["not one of `«secret»`"]);
    let stored = std::fs::read(project.path("syncline.db")).unwrap();
    assert!(!stored.windows(7).any(|bytes| bytes == b"hunter2"));
}

#[test]
fn the_schema_is_a_json_schema() {
    let ran = Project::new(&[]).run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert!(schema["properties"]["sync_tasks"].is_object(), "{schema:#}");
}
