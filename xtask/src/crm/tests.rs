use super::*;
use serde_json::Value;
use std::collections::BTreeSet;

fn text(made: &Made, name: &str) -> String {
    let (_, bytes) = made.files.iter().find(|(file, _)| *file == name).unwrap();
    String::from_utf8(bytes.clone()).unwrap()
}

fn objects(made: &Made, name: &str) -> Vec<Value> {
    text(made, name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_files_in_the_example_are_the_ones_that_are_made() {
    let folder = crate::workspace::root().join("examples/crm/data");
    for (name, bytes) in make().files {
        let kept = fs::read(folder.join(name)).unwrap();
        assert!(kept == bytes, "{name} is not what `cargo xtask gen-crm` writes");
    }
}

#[test]
fn there_are_about_three_thousand_records_in_less_than_a_megabyte() {
    let made = make();
    let bytes: usize = made.files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 1_000_000, "{bytes} bytes");
    let lines = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
    let records: usize = made.files.iter().map(|(_, bytes)| lines(bytes)).sum::<usize>() - 2;
    assert!((2900..3100).contains(&records), "{records} records");
}

#[test]
fn accounts_have_parents_in_a_circle_and_parents_that_are_missing() {
    let accounts = objects(&make(), "crm-accounts.jsonl");
    let ids: BTreeSet<&str> = accounts.iter().map(|a| a["Id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), accounts.len());
    let parents = accounts.iter().filter_map(|a| a["ParentId"].as_str());
    assert_eq!(parents.filter(|parent| !ids.contains(parent)).count(), 2);
    let parent = |id: &str| {
        let account = accounts.iter().find(|a| a["Id"] == id).unwrap();
        account["ParentId"].as_str().unwrap().to_owned()
    };
    let start = accounts::id(40);
    assert_eq!(parent(&parent(&parent(&start))), start);
}

#[test]
fn contacts_miss_accounts_and_say_nothing_in_three_ways() {
    let made = make();
    let contacts = objects(&made, "crm-contacts.jsonl");
    let accounts = text(&made, "crm-accounts.jsonl");
    let missing = |c: &&Value| c["AccountId"].as_str().is_some_and(|id| !accounts.contains(id));
    assert_eq!(contacts.iter().filter(missing).count(), 13);
    assert!(contacts.iter().any(|c| c.get("Email").is_none()));
    assert!(contacts.iter().any(|c| c.get("Email") == Some(&Value::Null)));
    assert!(contacts.iter().any(|c| c["Email"] == ""));
    assert_eq!(
        contacts.iter().filter(|c| c["MailingAddress"]["PostalCode"].is_number()).count(),
        5
    );
    assert_eq!(contacts.iter().filter(|c| c["LastName"] == "").count(), 2);
}

#[test]
fn billing_is_in_windows_1252_with_eleven_columns() {
    let made = make();
    let (_, bytes) = &made.files[2];
    assert!(std::str::from_utf8(bytes).is_err());
    assert!(bytes.contains(&0x92), "the curly apostrophe");
    assert!(!bytes.contains(&b'?'), "a letter that the encoding does not have");
    let mut numbers = BTreeSet::new();
    let mut twice = 0;
    for row in bytes.split(|&byte| byte == b'\n').skip(1).filter(|row| !row.is_empty()) {
        let cells: Vec<&[u8]> = row.split(|&byte| byte == b';').collect();
        assert_eq!(cells.len(), 11);
        twice += usize::from(!numbers.insert(cells[0].to_owned()));
    }
    assert_eq!(twice, 2);
}

#[test]
fn every_line_of_the_newsletter_has_five_columns() {
    let made = make();
    // The reader refuses rows that are longer or shorter than the heading.
    let mut reader = csv::Reader::from_reader(&made.files[3].1[..]);
    let rows = reader.records().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(rows.len(), 898);
    assert!(rows.iter().any(|row| &row[1] == "Graf, Partner & Co"), "a comma within quotes");
}
