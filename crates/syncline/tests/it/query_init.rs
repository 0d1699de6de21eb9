//! `syncline init`: what it proposes passes `check` and runs, whatever the format and the names.

use crate::project::Project;
use serde_json::Value;

/// Starts a project from files, checks it, runs it, and hands over the run's results.
fn starts(project: &Project, files: &[&str]) -> Value {
    let ran = project.run(&[&["init"], files].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let checked = project.run(&["check"]);
    assert_eq!(checked.code, Some(0), "{checked:?}\n{}", config(project));
    let ran = project.run(&["run", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}\n{}", config(project));
    let last = ran.out.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(last).unwrap();
    report["results"].clone()
}

fn config(project: &Project) -> String {
    std::fs::read_to_string(project.path("syncline.yaml")).unwrap()
}

#[test]
fn every_format_becomes_a_project_that_runs() {
    let csv = "id,name,email,born\n1,Ann,ann@x.org,1.2.1980\n2,Bo,bo@x.org,13.4.1981\n";
    let semicolons = csv.replace(',', ";");
    let tsv = csv.replace(',', "\t");
    let bom = format!("\u{feff}{csv}");
    let jsonl =
        "{\"id\":1,\"name\":\"Ann\",\"address\":{\"city\":\"Ulm\"}}\n{\"id\":2,\"name\":\"Bo\"}\n";
    let json = r#"[{"id":1,"tags":["a"],"on":true},{"id":2,"tags":[],"on":false}]"#;
    let inside =
        r#"{"meta":{"n":2},"data":{"items":[{"id":"a","total":1.5},{"id":"b","total":2}]}}"#;
    for (name, text) in [
        ("people.csv", csv),
        ("people.csv", &semicolons),
        ("people.csv", &bom),
        ("people.tsv", &tsv),
        ("people.jsonl", jsonl),
        ("people.ndjson", jsonl),
        ("people.json", json),
        ("people.json", inside),
        ("people.api", inside),
        ("people.txt", csv),
        ("people", jsonl),
    ] {
        let project = Project::new(&[(name, text)]);
        let results = starts(&project, &[name]);
        assert_eq!(results["created"], 2, "{name}: {results}\n{}", config(&project));
    }
}

#[test]
fn odd_names_of_columns_and_files_are_no_obstacle() {
    let header = " id , Full Name ,Größe (cm),a.b,a b,x,x,---,E-Mail,e-mail,\"q\"\"q\",${y},true,名前,{{z}},#,null";
    let row = "1,Ann,180,1,2,3,4,5,a@x.org,none,6,7,8,9,10,11,12";
    let csv = format!("{header}\n{row}\n");
    for name in ["a b.csv", "data (2).csv", "x[1].csv", "2025-01-31.csv", "Über.csv", "no.csv"] {
        let project = Project::new(&[(name, &csv)]);
        let results = starts(&project, &[name]);
        assert_eq!(results["created"], 1, "{name}: {results}\n{}", config(&project));
        let shards = project.run(&["export", "shards"]);
        let shard: Value = serde_json::from_str(&shards.out).unwrap();
        // Blanks around a column's name do not hide its values.
        assert_eq!(shard["data"]["name"], "Ann", "{name}: {shard}");
        assert_eq!(shard["data"]["a_b_2"], 2);
        let filled = shard["data"].as_object().unwrap().values().filter(|v| !v.is_null());
        assert_eq!(filled.count(), 16, "{name}: {shard}");
    }
}

#[test]
fn files_of_one_kind_share_a_type_and_refer_to_others() {
    let project = Project::new(&[
        (
            "crm-contacts.jsonl",
            "{\"Id\":\"c1\",\"FirstName\":\"Ann\",\"LastName\":\"Lee\",\"Email\":\"Ann@x.org\",\"AccountId\":\"a1\"}\n",
        ),
        ("crm-accounts.jsonl", "{\"Id\":\"a1\",\"Name\":\"X Ltd\"}\n"),
        ("newsletter.csv", "email,joined\nann@x.org,2025-01-01\nbo@x.org,2025-01-02\n"),
        ("orders.csv", "order_no,email,amount\n1,ann@x.org,1.50\n2,ann@x.org,3\n"),
    ]);
    let files = ["crm-contacts.jsonl", "crm-accounts.jsonl", "newsletter.csv", "orders.csv"];
    let results = starts(&project, &files);
    // Ann is one person, whose orders stay two.
    assert_eq!((&results["created"], &results["updated"]), (&5.into(), &1.into()), "{results}");
    let edges = project.run(&["export", "edges"]).out;
    assert!(
        edges.contains(",account,") && edges.contains(",resolved,c1,crm,contacts,a1,"),
        "{edges}"
    );
}

#[test]
fn text_that_is_not_utf_8_gets_its_encoding() {
    let project = Project::new(&[]);
    std::fs::write(project.path("kunden.csv"), b"id;name;a\n1;M\xfcller;1,5\n2;Bo;2,5\n").unwrap();
    starts(&project, &["kunden.csv"]);
    let shards = project.run(&["export", "shards"]).out;
    assert!(shards.contains("Müller"), "{shards}\n{}", config(&project));
}

#[test]
fn blank_cells_are_no_reason_to_refuse_a_record() {
    let project = Project::new(&[
        (
            "people.jsonl",
            "{\"id\":1,\"email\":\"a@x.org\",\"n\":\"1\",\"born\":\"31.1.2000\"}\n\
             {\"id\":2,\"email\":\" \",\"n\":\"\",\"born\":\"\"}\n",
        ),
        ("leads.csv", "id;email;n;born;ok\n1;b@x.org;1.5;31.1.2000 10:00;yes\n2; ; ; ; \n"),
    ]);
    let results = starts(&project, &["people.jsonl", "leads.csv"]);
    assert_eq!((&results["created"], &results["skipped"]), (&4.into(), &0.into()), "{results}");
}

#[test]
fn one_damaged_line_does_not_change_the_encoding_of_all() {
    let project = Project::new(&[]);
    let text = b"id,name\n1,M\xc3\xbcller\n2,M\xfcller\n";
    std::fs::write(project.path("people.csv"), text).unwrap();
    assert_eq!(project.run(&["init", "people.csv"]).code, Some(0));
    assert!(!config(&project).contains("encoding"), "{}", config(&project));
}

#[test]
fn a_configuration_that_is_there_is_kept() {
    let project = Project::contacts("1,a@x.org,Ann,30\n");
    let before = config(&project);
    let ran = project.run(&["init", "contacts.csv"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("is there already") && ran.err.contains("--force"), "{ran:?}");
    assert_eq!(config(&project), before);
    let ran = project.run(&["init", "contacts.csv", "--force"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_ne!(config(&project), before);
}

#[test]
fn a_project_in_another_folder_finds_its_files() {
    let project = Project::new(&[("contacts.csv", "id,email\n1,a@x.org\n")]);
    let ran = project.run(&["init", "contacts.csv", "--dir", "new/project", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told["files"][0]["file"], "../../contacts.csv");
    let ran = project.run(&["run", "new/project"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn what_cannot_be_started_from_is_told() {
    let project = Project::new(&[
        ("empty.csv", ""),
        ("empty.jsonl", "\n"),
        ("bad.json", "{"),
        ("head.csv", "id,email\n"),
    ]);
    std::fs::create_dir(project.path("folder.csv")).unwrap();
    for (file, code, told) in [
        ("gone.csv", 1, "cannot read `gone.csv`"),
        ("folder.csv", 1, "it is no file"),
        ("empty.csv", 1, "it has no records"),
        ("head.csv", 1, "it has no records"),
        ("empty.jsonl", 1, "it has no records"),
        ("-", 2, "give the path of a file"),
    ] {
        let ran = project.run(&["init", file]);
        assert_eq!(ran.code, Some(code), "{file}: {ran:?}");
        assert!(ran.err.contains(told), "{file}: {}", ran.err);
        assert!(!project.path("syncline.yaml").exists(), "{file}");
    }
    assert_ne!(project.run(&["init", "bad.json"]).code, Some(0));
}
