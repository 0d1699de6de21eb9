use super::*;
use std::collections::BTreeMap;

fn made(count: usize, hard: bool) -> Vec<(Contact, usize)> {
    let words = Words::new();
    let mut crowd = Crowd::new(&words, Options { count, seed: 7, hard });
    (0..count).map(|_| crowd.next_contact()).collect()
}

fn share(rows: &[(Contact, usize)], test: impl Fn(&Contact) -> bool) -> f64 {
    rows.iter().filter(|(contact, _)| test(contact)).count() as f64 / rows.len() as f64
}

#[test]
fn a_fifth_of_the_records_are_copies_and_some_people_have_several() {
    let rows = made(20_000, false);
    let mut records: BTreeMap<usize, usize> = BTreeMap::new();
    for (_, person) in &rows {
        *records.entry(*person).or_default() += 1;
    }
    let copies = 1.0 - records.len() as f64 / rows.len() as f64;
    assert!((0.18..0.22).contains(&copies), "{copies}");
    assert!(records.values().any(|&count| count >= 4));
}

#[test]
fn gaps_are_as_common_as_they_should_be() {
    for (hard, phone, street, birth_date) in [(false, 0.13, 0.13, 0.26), (true, 0.37, 0.41, 0.46)] {
        let rows = made(20_000, hard);
        let near = |found: f64, expected: f64| (found - expected).abs() < 0.03;
        let no_phone = share(&rows, |contact| contact.phone.is_empty());
        let no_street = share(&rows, |contact| contact.street.is_empty());
        let no_birth_date = share(&rows, |contact| contact.birth_date.is_empty());
        assert!(near(no_phone, phone), "phone {no_phone}");
        assert!(near(no_street, street), "street {no_street}");
        assert!(near(no_birth_date, birth_date), "birth date {no_birth_date}");
    }
}

#[test]
fn equal_seeds_give_equal_files_and_the_files_agree() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { count: 300, seed: 7, hard: true };
    let one = write(&folder.path().join("one"), options).unwrap();
    let two = write(&folder.path().join("two"), options).unwrap();
    let json = std::fs::read_to_string(&one.jsonl).unwrap();
    assert_eq!(json, std::fs::read_to_string(&two.jsonl).unwrap());
    let csv = std::fs::read_to_string(&one.csv).unwrap();
    assert_eq!(csv.lines().count(), 301);
    for (line, row) in json.lines().zip(csv.lines().skip(1)) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(object["id"], cells[0]);
        assert_eq!(object["last_name"], cells[2]);
        assert_eq!(object["birth_date"].as_str().unwrap_or_default(), cells[10]);
        assert_eq!(cells.len(), 12);
    }
}
