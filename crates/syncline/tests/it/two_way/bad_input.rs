//! What does not fit, is not allowed, or is not there any more.

use super::{CONFIG, LEFT, Pair, RIGHT};

#[test]
fn what_does_not_fit_the_other_side_is_told_record_by_record_and_the_others_go_on() {
    let right = RIGHT
        .replace("\"full\" text", "\"full\" varchar(6) NOT NULL")
        .replace("town text", "town text CHECK (town <> 'Nowhere')");
    let pair = Pair::new(LEFT, &right, CONFIG);
    pair.left(
        "INSERT INTO people (name, email, city) VALUES
            ('Ada', 'ada@x.org', 'Rome'), ('Maximilian', 'max@x.org', 'Rome'), (NULL, 'nobody@x.org', 'Rome'),
            ('Eve', 'eve@x.org', 'Nowhere'), ('Bob', 'bob@x.org', 'Rome')",
    );
    let fits = "Ada|ada@x.org|Rome\nBob|bob@x.org|Rome";
    pair.try_run(&["run"])
        .expect(3, &["written: 2 created, 3 refused", "3 records could not be written"]);
    assert_eq!(pair.rows()[1], fits);
    let letters = pair.run(&["dead-letters", "list"]);
    letters.expect(
        0,
        &["→ right/contact, a new record", "value too long", "null value", "check constraint"],
    );
    // They stay on the list, once each, as long as they are owed.
    pair.try_run(&["run"]).expect(3, &["3 records could not be written"]);
    assert_eq!(
        pair.run(&["dead-letters", "list", "--json"]).json()["dead_letters"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(pair.rows()[1], fits);
    // An edit here, a rule over there: what was in the way is gone.
    pair.left("UPDATE people SET name = 'Max' WHERE email = 'max@x.org'");
    pair.right("ALTER TABLE contacts ALTER \"full\" DROP NOT NULL");
    pair.try_run(&["run"]).expect(3, &["written: 2 created, 1 refused"]);
    pair.right("ALTER TABLE contacts DROP CONSTRAINT contacts_town_check");
    pair.run(&["dead-letters", "replay", "--all"])
        .expect(0, &["1 record went through, 0 refused again"]);
    pair.holds(&[
        "Ada|ada@x.org|Rome",
        "Bob|bob@x.org|Rome",
        "Eve|eve@x.org|Nowhere",
        "Max|max@x.org|Rome",
        "|nobody@x.org|Rome",
    ]);
    pair.run(&["dead-letters", "list"]).expect(0, &["no record was refused"]);
    pair.is_quiet();
}

#[test]
fn a_change_that_the_other_side_refuses_stays_owed() {
    let pair = Pair::new(LEFT, &RIGHT.replace("town text", "town varchar(5)"), CONFIG);
    pair.left("INSERT INTO people (name, email, city) VALUES ('Ada', 'ada@x.org', 'Rome'), ('Bob', 'bob@x.org', 'Rome')");
    pair.run(&["run"]);
    pair.left("UPDATE people SET city = 'Samarkand', name = name || '!' WHERE name = 'Ada'; UPDATE people SET city = 'Oslo' WHERE name = 'Bob'");
    pair.try_run(&["run"]).expect(3, &["written: 1 updated, 1 refused"]);
    assert_eq!(pair.rows()[1], "Ada|ada@x.org|Rome\nBob|bob@x.org|Oslo");
    // An edit over there of another field comes in, and covers nothing.
    pair.right("UPDATE contacts SET mail = 'ada@y.org' WHERE mail = 'ada@x.org'");
    pair.try_run(&["run"]).expect(3, &["1 record could not be written"]);
    assert!(pair.rows()[0].contains("Ada!|ada@y.org|Samarkand"), "{:?}", pair.rows());
    pair.right("ALTER TABLE contacts ALTER town TYPE text");
    pair.run(&["run"]).expect(0, &["written: 1 updated"]);
    pair.holds(&["Ada!|ada@y.org|Samarkand", "Bob|bob@x.org|Oslo"]);
    pair.is_quiet();
}

#[test]
fn rights_that_were_revoked_lose_nothing() {
    let config = CONFIG.replacen("database: right, user: admin", "database: right, user: clerk", 1);
    let grants = "CREATE ROLE clerk LOGIN PASSWORD 'correct horse';
        GRANT SELECT, INSERT, UPDATE, DELETE ON contacts TO clerk;";
    let pair = Pair::new(LEFT, &format!("{RIGHT}{grants}"), &config);
    pair.left("INSERT INTO people (name, email) VALUES ('Ada', 'ada@x.org'), ('Bob', 'bob@x.org')");
    pair.run(&["run"]);
    pair.left(
        "UPDATE people SET city = 'Oslo' WHERE name = 'Ada'; DELETE FROM people WHERE name = 'Bob'",
    );
    pair.right("REVOKE UPDATE ON contacts FROM clerk");
    pair.try_run(&["run"]).expect(3, &["could not be written", "permission denied"]);
    pair.right("REVOKE SELECT ON contacts FROM clerk");
    let refused = pair.try_run(&["run"]);
    refused.expect(4, &["permission denied"]);
    assert_eq!(pair.rows()[0], "Ada|ada@x.org|Oslo");
    pair.right("ALTER ROLE clerk NOLOGIN");
    pair.try_run(&["run"]).expect(4, &["clerk"]);
    assert_eq!(pair.rows()[0], "Ada|ada@x.org|Oslo");
    pair.right("ALTER ROLE clerk LOGIN; GRANT SELECT, UPDATE ON contacts TO clerk");
    pair.run(&["run"]);
    pair.holds(&["Ada|ada@x.org|Oslo"]);
    pair.is_quiet();
}

#[test]
fn a_column_that_was_dropped_takes_nothing_with_it() {
    let pair = Pair::usual();
    pair.left("INSERT INTO people (name, email, city) VALUES ('Ada', 'ada@x.org', 'Rome'), ('Bob', 'bob@x.org', 'Rome')");
    pair.run(&["run"]);
    pair.right("ALTER TABLE contacts DROP town");
    pair.run(&["run"]);
    assert_eq!(pair.rows_of_left(), "Ada|ada@x.org|Rome\nBob|bob@x.org|Rome");
    pair.left("UPDATE people SET city = 'Oslo' WHERE name = 'Ada'");
    pair.try_run(&["run"]).expect(3, &["could not be written", "no column `town`"]);
    pair.right("ALTER TABLE contacts ADD town text; UPDATE contacts SET town = 'Rome'");
    pair.run(&["run"]);
    pair.holds(&["Ada|ada@x.org|Oslo", "Bob|bob@x.org|Rome"]);
    pair.is_quiet();
}

#[test]
fn a_column_of_another_type_takes_nothing_with_it() {
    let config = CONFIG.replace("city: text }", "city: integer }");
    let (left, right) =
        (LEFT.replace("city text", "city int"), RIGHT.replace("town text", "town int"));
    let pair = Pair::new(&left, &right, &config);
    pair.left("INSERT INTO people (name, email, city) VALUES ('Ada', 'ada@x.org', 1), ('Bob', 'bob@x.org', 2)");
    pair.run(&["run"]);
    pair.right("ALTER TABLE contacts ALTER town TYPE text USING 'number ' || town");
    pair.run(&["run"]);
    pair.run(&["dead-letters", "list"]).expect(0, &["field `city`", "number 1"]);
    assert_eq!(pair.rows_of_left(), "Ada|ada@x.org|1\nBob|bob@x.org|2");
    pair.right("ALTER TABLE contacts ALTER town TYPE int USING replace(town, 'number ', '')::int");
    pair.run(&["run"]);
    pair.run(&["dead-letters", "list"]).expect(0, &["no record was refused"]);
    pair.holds(&["Ada|ada@x.org|1", "Bob|bob@x.org|2"]);
    pair.is_quiet();
}

#[test]
fn a_table_that_changes_in_the_middle_of_a_read_stops_it_and_takes_nothing_with_it() {
    // Hazard 65.
    for (change, back, said) in [
        ("ALTER TABLE contacts DROP town", "ALTER TABLE contacts ADD town text", "town"),
        (
            "ALTER TABLE contacts ALTER town TYPE bytea USING town::bytea",
            "ALTER TABLE contacts ALTER town TYPE text USING convert_from(town, 'UTF8')",
            "the column `town` is now of the type bytea, and was text; the table or the rights changed",
        ),
    ] {
        let config = CONFIG.replace("mode: full", "mode: full\n    batch: { size: 5 }");
        let pair = Pair::new(LEFT, RIGHT, &config);
        pair.left("INSERT INTO people (name, email, city) SELECT n, n || '@x.org', 'Rome' FROM generate_series(10, 30) AS n");
        pair.run(&["run"]);
        pair.left("UPDATE people SET name = 'N' || name WHERE id < 4");
        pair.run_amid("FROM \"public\".\"contacts\"", 2, change).expect(4, &[said]);
        assert_eq!(pair.rows_of_left().lines().filter(|line| line.ends_with("Rome")).count(), 21);
        pair.right(back);
        if change.contains("DROP") {
            pair.right("UPDATE contacts SET town = 'Rome'");
        }
        pair.run(&["run"]);
        pair.run(&["run"]);
        let [left, right] = pair.rows();
        assert_eq!(left, right, "{change}");
        assert_eq!(left.lines().filter(|line| line.ends_with("Rome")).count(), 21, "{left}");
        pair.is_quiet();
    }
}

#[test]
fn hostile_names_are_names() {
    let (table, column) = (r#"contacts"; DROP TABLE "x"; --"#, r#"it's "full"; $1 \ é -- /*"#);
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let right = format!(
        "CREATE TABLE x (id int); CREATE TABLE {} (no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {} text,
        mail text UNIQUE, town text, changed timestamptz NOT NULL DEFAULT now())",
        quoted(table),
        quoted(column)
    );
    let yaml = |name: &str| serde_json::to_string(name).unwrap();
    let config = CONFIG
        .replace("table: contacts", &format!("table: {}", yaml(table)))
        .replace("name: full", &format!("name: {}", yaml(column)));
    let pair = Pair::new(LEFT, &right, &config);
    pair.left("INSERT INTO people (name, email, city) VALUES ('Ada''; DROP TABLE x; --', 'ada@x.org', '$1')");
    pair.right(&format!(
        "INSERT INTO {} ({}, mail) VALUES ('Bob', 'bob@x.org')",
        quoted(table),
        quoted(column)
    ));
    pair.run(&["check"]);
    pair.run(&["run"]).expect(0, &["written: 2 created"]);
    let rows = || {
        pair.right(&format!("SELECT {}, town FROM {} ORDER BY mail", quoted(column), quoted(table)))
    };
    assert_eq!(rows(), "Ada'; DROP TABLE x; --|$1\nBob|");
    pair.left("UPDATE people SET name = name || '\"'; DELETE FROM people WHERE name LIKE 'Bob%'");
    pair.run(&["run"]).expect(0, &["1 updated, 1 deleted"]);
    assert_eq!(rows(), "Ada'; DROP TABLE x; --\"|$1");
    assert_eq!(pair.right("SELECT count(*) FROM x"), "0");
    pair.is_quiet();
}
