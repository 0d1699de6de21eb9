//! `syncline export`: its columns, forms and files, which scripts depend on.

use crate::project::Project;
use serde_json::Value;

const CONFIG: &str = r#"
tenant: acme
connections:
  crm:
    adapter: file
    entities:
      contact: { path: contacts.csv, key: id, modified: changed }
  web:
    adapter: file
    entities:
      signup: { path: signups.csv, key: id }
shard_types:
  person:
    fields: { email: text, name: text, id: text, age: integer, score: number, born: date, ok: boolean }
    matching:
      rules:
        - { name: same e-mail, compare: [{ field: email, normalise: email }] }
  firm:
    fields: { name: text }
conversion_schemas:
  contact:
    shard_type: person
    fields: { email: email, name: name, id: id, age: age, score: score, born: born, ok: ok }
    relationships:
      boss: { shard_type: person, from: boss, connection: crm, entity: contact }
    derived:
      - shard_type: firm
        key: "{{ firm }}"
        fields: { name: firm }
  signup:
    shard_type: person
    fields: { email: email, name: name }
sync_tasks:
  contacts: { connection: crm, entity: contact, conversion_schema: contact }
  signups: { connection: web, entity: signup, conversion_schema: signup }
"#;

const CONTACTS: &str = "id,email,name,age,score,born,ok,boss,firm,changed\n\
    1,a@x.org,\"Ann, \"\"A\"\"\",30,1.5,2000-02-29,yes,2,X,2025-01-02T03:04:05Z\n\
    2,b@x.org,=1+1,-5,-2,,no,9,X,2025-01-01T00:00:00Z\n";

fn project() -> Project {
    let signups = "id,email,name\ns1,A@x.org,Anna\n";
    let files = [("syncline.yaml", CONFIG), ("contacts.csv", CONTACTS), ("signups.csv", signups)];
    let project = Project::new(&files);
    let ran = project.run(&["run"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    project
}

/// The output of a command that works, with ids replaced by the order in which shards are listed.
fn exported(project: &Project, args: &[&str]) -> String {
    let shards = project.run(&["export", "shards"]).out;
    let ran = project.run(&[&["export"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut out = ran.out;
    for (number, line) in shards.lines().enumerate() {
        let shard: Value = serde_json::from_str(line).unwrap();
        out = out.replace(shard["id"].as_str().unwrap(), &format!("<{number}>"));
        out = out.replace(shard["created_at"].as_str().unwrap(), "NOW");
    }
    out
}

#[test]
fn links_are_one_line_each() {
    insta::assert_snapshot!(exported(&project(), &["links"]), @"
    external_id,shard_id,connection,entity,type,deleted,modified_at
    X,<0>,crm,contact#firm,firm,false,2025-01-02T03:04:05Z
    1,<1>,crm,contact,person,false,2025-01-02T03:04:05Z
    2,<2>,crm,contact,person,false,2025-01-01T00:00:00Z
    s1,<1>,web,signup,person,false,
    ");
}

#[test]
fn edges_tell_whether_their_target_is_there() {
    insta::assert_snapshot!(exported(&project(), &["edges"]), @r#"
    from_id,relationship,to_id,state,from_external_id,from_connection,from_entity,to_external_id,to_connection,to_entity
    <1>,boss,<2>,resolved,1,crm,contact,2,crm,contact
    <1>,firm,<0>,resolved,1,crm,contact,X,crm,contact#firm
    <2>,boss,,waiting,2,crm,contact,9,crm,contact
    <2>,firm,<0>,resolved,2,crm,contact,X,crm,contact#firm
    "#);
}

#[test]
fn shards_have_a_column_for_each_field_or_their_data_whole() {
    let project = project();
    insta::assert_snapshot!(exported(&project, &["shards"]), @r#"
    {"id":"<0>","type":"firm","version":1,"created_at":"NOW","data":{"name":"X"}}
    {"id":"<1>","type":"person","version":2,"created_at":"NOW","data":{"email":"A@x.org","name":"Anna","id":"1","age":30,"score":1.5,"born":"2000-02-29","ok":true}}
    {"id":"<2>","type":"person","version":1,"created_at":"NOW","data":{"email":"b@x.org","name":"=1+1","id":"2","age":-5,"score":-2,"born":null,"ok":false}}
    "#);
    insta::assert_snapshot!(
        exported(&project, &["shards", "--type", "person", "--format", "csv"]), @r#"
    id,type,version,created_at,deleted_at,email,name,data.id,age,score,born,ok
    <1>,person,2,NOW,,A@x.org,Anna,1,30,1.5,2000-02-29,true
    <2>,person,1,NOW,,b@x.org,=1+1,2,-5,-2,,false
    "#);
    let ran = project.run(&["export", "shards", "--format", "csv"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("add `--type` with one of"), "{}", ran.err);
}

#[test]
fn cells_that_look_like_formulas_are_marked_only_where_asked_for() {
    let project = project();
    let args = ["shards", "--type", "person", "--format", "csv", "--safe-for-spreadsheets"];
    let safe = exported(&project, &args);
    // Numbers are no formulas.
    assert!(safe.contains(",b@x.org,'=1+1,2,-5,-2,"), "{safe}");
    let plain = exported(&project, &args[..5]);
    assert!(plain.contains(",b@x.org,=1+1,2,-5,-2,"), "{plain}");
}

#[test]
fn a_file_gets_its_name_when_it_is_complete() {
    let project = project();
    let ran = project.run(&["export", "links", "--output", "links.jsonl"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.err.contains("4 links in links.jsonl"), "{}", ran.err);
    let text = std::fs::read_to_string(project.path("links.jsonl")).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&first["external_id"], &first["deleted"]), (&"X".into(), &false.into()));
    assert!(!project.path("links.jsonl.partial").exists());
    let ran = project.run(&["export", "links", "--output", "links.csv", "--json"]);
    assert_eq!(ran.json(), serde_json::json!({ "file": "links.csv", "rows": 4 }));
    let lines = project.run(&["export", "links", "--json"]).out;
    assert_eq!(serde_json::from_str::<Value>(lines.lines().next().unwrap()).unwrap(), first);

    let ran = project.run(&["export", "links", "--output", "no/such/folder.csv"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("cannot write `no/such/folder.csv`"), "{}", ran.err);
    std::fs::create_dir(project.path("folder.csv")).unwrap();
    assert_eq!(project.run(&["export", "links", "--output", "folder.csv"]).code, Some(1));
    assert!(!project.path("folder.csv.partial").exists());
}

#[test]
fn the_store_alone_is_enough() {
    let project = project();
    let with_config = exported(&project, &["shards", "--type", "person", "--format", "csv"]);
    std::fs::remove_file(project.path("syncline.yaml")).unwrap();
    let store = ["--store", "syncline.db"];
    let links = project.run(&[&["export", "links"], &store[..]].concat());
    assert_eq!(links.out.lines().count(), 5, "{links:?}");
    let args = ["export", "shards", "--type", "person", "--format", "csv"];
    let without = project.run(&[&args[..], &store[..]].concat());
    assert_eq!(without.out.lines().count(), with_config.lines().count(), "{without:?}");
    let ran = project.run(&["export", "links"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn deleted_shards_are_left_out_unless_asked_for() {
    let project = Project::new(&[
        ("contacts.csv", CONTACTS),
        ("signups.csv", "id,email,name\ns1,A@x.org,Anna\n"),
        ("syncline.yaml", &CONFIG.replace("shard_type: person\n    fields: { email: email, name: name, id", "shard_type: person\n    target: { delete_if_removed: true }\n    fields: { email: email, name: name, id")),
    ]);
    assert_eq!(project.run(&["run"]).code, Some(0));
    let without_bo: Vec<&str> = CONTACTS.lines().take(2).collect();
    project.write("contacts.csv", &(without_bo.join("\n") + "\n"));
    let ran = project.run(&["run", "--task", "contacts", "--full", "--allow-deletes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let shards = |args: &[&str]| project.run(&[&["export", "shards"], args].concat()).out;
    assert_eq!(shards(&[]).lines().count(), 2, "{}", shards(&[]));
    assert_eq!(shards(&["--deleted"]).lines().count(), 3);
    assert!(shards(&["--deleted"]).contains("\"deleted_at\":"));
    let links = project.run(&["export", "links"]).out;
    assert!(links.contains(",person,true,"), "{links}");
}

#[cfg(not(feature = "columnar"))]
#[test]
fn a_build_without_parquet_says_how_to_get_one() {
    let ran = project().run(&["export", "shards", "--output", "x.parquet"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("--features columnar"), "{}", ran.err);
}

#[cfg(feature = "columnar")]
#[test]
fn parquet_has_typed_columns() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let project = project();
    let ran = project.run(&["export", "shards", "--type", "person", "--output", "x.parquet"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let file = std::fs::File::open(project.path("x.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let rows: Vec<String> =
        reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].contains("age: 30") && rows[0].contains("score: 1.5"), "{}", rows[0]);
    assert!(rows[0].contains("born: 2000-02-29") && rows[0].contains("ok: true"), "{}", rows[0]);
    assert!(rows[1].contains("born: null"), "{}", rows[1]);
    let ran = project.run(&["export", "shards", "--type", "person", "--format", "parquet"]);
    assert_eq!(ran.code, Some(2), "standard output is no place for Parquet");
}
