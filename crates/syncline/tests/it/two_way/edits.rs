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
    pair.run(&["run"]).expect(0, &["conflicts: 1"]);
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
    let pair = met(CONFIG);
    pair.left(
        "UPDATE people SET email = 'tmp' WHERE email = 'ada@x.org';
        UPDATE people SET email = 'ada@x.org' WHERE email = 'bob@x.org';
        UPDATE people SET email = 'bob@x.org' WHERE email = 'tmp'",
    );
    for _ in 0..3 {
        pair.try_run(&["run"]);
    }
    pair.holds(&["Bob|ada@x.org|Rome", "Ada|bob@x.org|Rome", "Eve|eve@x.org|Rome"]);
    pair.is_quiet();
}

#[test]
fn an_edit_made_while_a_run_writes_is_not_covered() {
    // The trigger stands in for a person who is quicker: it edits Bob when Ada is written.
    let pair = met(CONFIG);
    pair.right(
        "CREATE TABLE quick (done int);
        CREATE FUNCTION quick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.mail = 'ada@x.org' AND NOT EXISTS (SELECT FROM quick) THEN
                INSERT INTO quick VALUES (1);
                UPDATE contacts SET town = 'Oslo' WHERE mail = 'bob@x.org';
            END IF; RETURN NULL; END $$;
        CREATE TRIGGER quick AFTER UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION quick()",
    );
    pair.left("UPDATE people SET name = name || '!', city = 'Bern'");
    pair.run(&["run"]);
    pair.run(&["run"]);
    let [left, right] = pair.rows();
    assert_eq!(left, right);
    pair.run(&["conflicts", "--all"]).expect(0, &["\"Oslo\"", "\"Bern\""]);
    pair.is_quiet();
}
