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
    // No order of single writes gets them there: each is refused, and told.
    pair.try_run(&["run"]).expect(3, &["2 records could not be written"]);
    pair.run(&["dead-letters", "list"])
        .expect(0, &["→ right/contact 1", "→ right/contact 2", "duplicate key"]);
    pair.right("ALTER TABLE contacts DROP CONSTRAINT contacts_town_key");
    pair.run(&["run"]).expect(0, &["written: 2 updated"]);
    pair.holds(&["Ada|ada@x.org|Oslo", "Bob|bob@x.org|Rome"]);
    pair.run(&["dead-letters", "list"]).expect(0, &["no record was refused"]);
    pair.is_quiet();
}
