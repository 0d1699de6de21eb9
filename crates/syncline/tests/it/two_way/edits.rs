//! Both sides are edited.

use super::{CONFIG, LEFT, Pair, RIGHT};

/// A pair that has met: Ada, Bob and Eve, of one city.
fn met(config: &str) -> Pair {
    let pair = Pair::new(LEFT, RIGHT, config);
    pair.left(
        "INSERT INTO people (name, email, city) VALUES
            ('Ada', 'ada@x.org', 'Rome'), ('Bob', 'bob@x.org', 'Rome'), ('Eve', 'eve@x.org', 'Rome')",
    );
    pair.run(&["run"]);
    pair.is_quiet();
    pair
}

#[test]
fn edits_of_different_fields_both_stand() {
    let pair = met(CONFIG);
    pair.left("UPDATE people SET name = 'Ada King' WHERE email = 'ada@x.org'");
    pair.right("UPDATE contacts SET town = 'Oslo' WHERE mail = 'ada@x.org'");
    pair.left("UPDATE people SET city = NULL WHERE email = 'bob@x.org'");
    pair.right("UPDATE contacts SET \"full\" = 'Evelyn' WHERE mail = 'eve@x.org'");
    pair.run(&["run"]).expect(0, &["written: 4 updated"]);
    pair.holds(&["Ada King|ada@x.org|Oslo", "Bob|bob@x.org|", "Evelyn|eve@x.org|Rome"]);
    pair.is_quiet();
}

#[test]
fn of_edits_of_one_field_the_later_stands_and_the_other_is_kept() {
    let pair = met(CONFIG);
    pair.right("UPDATE contacts SET town = 'Oslo' WHERE mail = 'ada@x.org'");
    pair.left("UPDATE people SET city = 'Paris' WHERE email = 'ada@x.org'");
    pair.left("UPDATE people SET city = 'Bern' WHERE email = 'bob@x.org'");
    pair.right("UPDATE contacts SET town = 'Lima' WHERE mail = 'bob@x.org'");
    pair.left("UPDATE people SET city = 'Cork' WHERE email = 'eve@x.org'");
    pair.right("UPDATE contacts SET town = 'Cork' WHERE mail = 'eve@x.org'");
    pair.run(&["run"]).expect(0, &["written: 2 updated", "conflicts: 2 decided"]);
    pair.holds(&["Ada|ada@x.org|Paris", "Bob|bob@x.org|Lima", "Eve|eve@x.org|Cork"]);
    pair.run(&["conflicts", "--all"]).expect(0, &["\"Oslo\"", "\"Bern\""]);
    pair.is_quiet();
}

#[test]
fn where_a_person_is_asked_the_field_waits_and_the_rest_goes_on() {
    let pair = met(&CONFIG.replace("strategy: newest_wins", "strategy: manual"));
    pair.right("UPDATE contacts SET town = 'Oslo' WHERE mail = 'ada@x.org'");
    pair.left("UPDATE people SET city = 'Paris', name = 'Ada King' WHERE email = 'ada@x.org'");
    pair.run(&["run"]).expect(0, &["conflicts: 1 for a person"]);
    let [left, right] = pair.rows();
    assert!(left.contains("Ada King|ada@x.org|Paris"), "{left}");
    assert!(right.contains("Ada King|ada@x.org|Oslo"), "{right}");
    pair.is_quiet();
    pair.run(&["conflicts", "resolve", "1", "remote"]);
    pair.run(&["run"]);
    pair.holds(&["Ada King|ada@x.org|Oslo", "Bob|bob@x.org|Rome", "Eve|eve@x.org|Rome"]);
    pair.is_quiet();
}

#[test]
fn unique_values_that_change_places_come_over() {
    let (left, right) = (
        LEFT.replace("city text", "city text UNIQUE"),
        RIGHT.replace("town text", "town text UNIQUE"),
    );
    let pair = Pair::new(&left, &right, CONFIG);
    pair.left("INSERT INTO people (name, email, city) VALUES ('Ada', 'ada@x.org', 'Rome'), ('Bob', 'bob@x.org', 'Oslo')");
    pair.run(&["run"]);
    pair.left(
        "UPDATE people SET city = 'tmp' WHERE name = 'Ada';
        UPDATE people SET city = 'Rome' WHERE name = 'Bob';
        UPDATE people SET city = 'Oslo' WHERE name = 'Ada'",
    );
    // No order of single writes gets them there.
    pair.run(&["run"]).expect(0, &["written: 2 updated"]);
    pair.holds(&["Ada|ada@x.org|Oslo", "Bob|bob@x.org|Rome"]);
    pair.is_quiet();
}

#[test]
fn fields_that_belong_together_win_or_lose_together() {
    // Hazard 47.
    let config = CONFIG.replace("tolerance_ms: 0", "tolerance_ms: 0, groups: [[name, city]]");
    let pair = met(&config);
    // Name and city are one thing here: the later side has both.
    pair.left("UPDATE people SET name = 'Ada King' WHERE email = 'ada@x.org'");
    pair.right("UPDATE contacts SET town = 'Oslo' WHERE mail = 'ada@x.org'");
    pair.right("UPDATE contacts SET town = 'Bern' WHERE mail = 'bob@x.org'");
    pair.left("UPDATE people SET name = 'Bobby' WHERE email = 'bob@x.org'");
    // An edit at one side alone is no conflict.
    pair.right("UPDATE contacts SET \"full\" = 'Evelyn', town = 'Cork' WHERE mail = 'eve@x.org'");
    pair.run(&["run"]).expect(0, &["conflicts: "]);
    pair.holds(&["Ada|ada@x.org|Oslo", "Bobby|bob@x.org|Rome", "Evelyn|eve@x.org|Cork"]);
    pair.run(&["conflicts", "--all"]).expect(0, &["\"Ada King\"", "\"Bern\""]);
    pair.is_quiet();
}

#[test]
fn fields_that_belong_together_come_from_one_record_at_first_meeting_too() {
    let config = CONFIG.replace("tolerance_ms: 0", "tolerance_ms: 0, groups: [[name, city]]");
    let pair = Pair::new(LEFT, RIGHT, &config);
    pair.left(
        "INSERT INTO people (name, email, city, updated) VALUES
            ('Ada', 'ada@x.org', 'Rome', '2025-01-01'), ('Bob', 'bob@x.org', 'Oslo', '2025-01-03'),
            (NULL, 'eve@x.org', NULL, '2025-01-03')",
    );
    pair.right(
        "INSERT INTO contacts (\"full\", mail, town, changed) VALUES
            ('Ada King', 'ada@x.org', NULL, '2025-01-02'), (NULL, 'bob@x.org', 'Bern', '2025-01-04'),
            ('Eve', 'eve@x.org', 'Cork', '2025-01-02')",
    );
    // Field by field, Ada King would live in Rome, and Bob in Bern. Where one side says nothing of it, the other fills it.
    pair.run(&["run"]);
    pair.holds(&["Ada King|ada@x.org|", "Bob|bob@x.org|Oslo", "Eve|eve@x.org|Cork"]);
    pair.run(&["conflicts", "--all"]).expect(0, &["\"Rome\"", "\"Bern\""]);
    pair.is_quiet();
}

#[test]
fn groups_that_make_no_sense_are_refused_with_their_place() {
    let cases = [
        ("groups: [[name]]", "a group has two fields or more"),
        ("groups: [[name, town]]", "has no field `town`"),
        ("groups: [[name, city], [city, email]]", "`city` is in a group already"),
        ("groups: [[name, city]], fields: { city: local }", "`city` has a rule of its own"),
        ("groups: [[name, city]], strategy: manual", "decides field by field"),
    ];
    for (groups, said) in cases {
        let without = CONFIG.replace("strategy: newest_wins, tolerance_ms: 0", groups);
        let project = crate::project::Project::new(&[("syncline.yaml", &without)]);
        let ran = project.run(&["check", "--var", "left=1", "--var", "right=1"]);
        ran.expect(2, &[said, "syncline.yaml:", "help:"]);
    }
}

#[test]
fn two_programs_that_fight_over_a_field_are_stopped_and_told() {
    // Hazard 6: each side has a program of its own that puts the field to its liking, some time after each write.
    let pair = met(CONFIG);
    let fight = || {
        pair.left(
            "UPDATE people SET city = lower(city) WHERE name = 'Ada' AND city <> lower(city)",
        );
        pair.right(
            "UPDATE contacts SET town = upper(town) WHERE \"full\" = 'Ada' AND town <> upper(town)",
        );
        pair.run(&["run"])
    };
    let ran = (0..12).map(|_| fight()).find(|ran| ran.out.contains("for a person"));
    ran.expect("the fight is noticed").expect(0, &["conflicts: 1 for a person"]);
    let told = pair.run(&["conflicts"]);
    told.expect(0, &["waits for a person: something else writes it, too"]);
    // It is over: nothing is written any more, and the rest of the row goes on.
    let before = pair.written();
    for _ in 0..2 {
        fight().expect(0, &["nothing changed, nothing written"]);
    }
    assert_eq!(pair.written(), before);
    pair.left("UPDATE people SET name = 'Ada King' WHERE name = 'Ada'");
    pair.run(&["run"]).expect(0, &["written: 1 updated"]);
    pair.is_quiet();
    // A person leaves both sides as they are; a change of heart goes over as before.
    let number = told.out.split_whitespace().find(|word| word.parse::<u32>().is_ok()).unwrap();
    pair.run(&["conflicts", "ignore", number]);
    pair.run(&["run"]);
    pair.is_quiet();
    pair.left("UPDATE people SET city = 'Oslo' WHERE name = 'Ada King'");
    pair.run(&["run"]).expect(0, &["written: 1 updated"]);
    pair.holds(&["Ada King|ada@x.org|Oslo", "Bob|bob@x.org|Rome", "Eve|eve@x.org|Rome"]);
    pair.is_quiet();
}
