//! One side is followed by its log, the other is read as a whole.

use super::{CONFIG, LEFT, Pair, RIGHT};

/// The right side tells its changes by its log.
const PUBLISHED: &str = "CREATE PUBLICATION syncline_contacts FOR TABLE contacts;";

fn config() -> String {
    let (left, right) = CONFIG.split_once("  right:\n    connection: right").unwrap();
    let left = left.replace(
        "contact: { table: contacts, key: no, modified: changed }",
        "contact: { table: contacts, key: no, modified: changed, logical_replication: { slot: syncline_contacts } }",
    );
    format!(
        "{left}  right:\n    connection: right{}",
        right.replace("mode: full", "mode: incremental")
    )
}

fn pair() -> Pair {
    Pair::new(LEFT, &format!("{RIGHT}{PUBLISHED}"), &config())
}

/// What came of the last runs of the task that follows the log.
fn fetched(pair: &Pair) -> u64 {
    let report = pair.run(&["run", "--task", "right", "--json"]).json();
    report["results"]["fetched"].as_u64().unwrap()
}

#[test]
fn edits_insertions_and_deletions_flow_both_ways() {
    let pair = pair();
    pair.left("INSERT INTO people (name, email, city) VALUES ('Ada', 'ada@x.org', 'Rome'), ('Bob', 'bob@x.org', 'Rome'), ('Eve', 'eve@x.org', 'Rome')");
    pair.right(
        "INSERT INTO contacts (\"full\", mail) VALUES ('Bob', 'bob@x.org'), ('Zoe', 'zoe@x.org')",
    );
    pair.run(&["check"]);
    pair.run(&["run"]).expect(0, &["written: 3 created, 1 updated"]);
    let all = ["Ada|ada@x.org|Rome", "Bob|bob@x.org|Rome", "Eve|eve@x.org|Rome", "Zoe|zoe@x.org|"];
    pair.holds(&all);
    pair.is_quiet();
    // Each side has an edit, a new row and one that goes; one row is edited at both.
    pair.left(
        "UPDATE people SET city = 'Oslo' WHERE name = 'Ada'; DELETE FROM people WHERE name = 'Eve';
        INSERT INTO people (name, email) VALUES ('Max', 'max@x.org'); UPDATE people SET name = 'Bobby' WHERE name = 'Bob'",
    );
    pair.right(
        "UPDATE contacts SET town = 'Bern' WHERE \"full\" = 'Bob'; DELETE FROM contacts WHERE \"full\" = 'Zoe';
        INSERT INTO contacts (\"full\", mail) VALUES ('Kim', 'kim@x.org')",
    );
    pair.run(&["run"]).expect(0, &["2 created, 3 updated, 2 deleted"]);
    pair.holds(&["Ada|ada@x.org|Oslo", "Bobby|bob@x.org|Bern", "Kim|kim@x.org|", "Max|max@x.org|"]);
    pair.is_quiet();
    assert_eq!(fetched(&pair), 0, "what we wrote was read once, and the log is behind us");
    // Edits of one field at both sides are a conflict, whoever is told by the log.
    pair.right("UPDATE contacts SET town = 'Lima' WHERE \"full\" = 'Ada'");
    pair.left("UPDATE people SET city = 'Cork' WHERE name = 'Ada'");
    pair.run(&["run"]).expect(0, &["conflicts: 1 decided"]);
    pair.holds(&["Ada|ada@x.org|Cork", "Bobby|bob@x.org|Bern", "Kim|kim@x.org|", "Max|max@x.org|"]);
    pair.is_quiet();
}

#[test]
fn a_program_that_is_killed_again_and_again_misses_no_change_of_the_log() {
    let pair = pair();
    let insert = |table: &str, name: &str, from: usize| {
        format!("INSERT INTO {table} SELECT n, n || '@x.org', 'Rome' FROM generate_series({from}, {from} + 299) AS n")
            .replace("INTO people", "INTO people (name, email, city)")
            .replace("INTO contacts", "INTO contacts (\"full\", mail, town)")
            .replace("SELECT n,", &format!("SELECT '{name} ' || n,"))
    };
    pair.left(&insert("people", "Left", 1));
    pair.run(&["run"]);
    for round in 1..=8_usize {
        pair.right(&format!(
            "{}; UPDATE contacts SET town = 'T{round}' WHERE no % 5 = 1; DELETE FROM contacts WHERE mail = '{}@x.org'",
            insert("contacts", "Right", round * 1000),
            round * 3 + 1
        ));
        pair.left(&format!("UPDATE people SET name = 'N{round} ' || email WHERE id % 3 = 0"));
        // Each a little later than the one before.
        pair.run_and_kill(round);
    }
    pair.run(&["run"]);
    pair.run(&["run"]);
    let [left, right] = pair.rows();
    for (left, right) in left.lines().zip(right.lines()) {
        assert_eq!(left, right);
    }
    assert_eq!(left.lines().count(), 9 * 300 - 8);
    pair.is_quiet();
}

#[test]
fn a_slot_that_is_lost_between_two_runs_loses_nothing_and_the_run_says_so() {
    let pair = pair();
    pair.left("INSERT INTO people (name, email, city) SELECT n, n || '@x.org', 'Rome' FROM generate_series(10, 30) AS n");
    pair.run(&["run"]);
    pair.right(
        "UPDATE contacts SET town = 'Bern' WHERE \"full\" = '10'; DELETE FROM contacts WHERE \"full\" = '11';
        INSERT INTO contacts (\"full\", mail) VALUES ('Kim', 'kim@x.org')",
    );
    pair.left("UPDATE people SET city = 'Oslo' WHERE name = '12'");
    pair.right("SELECT pg_drop_replication_slot('syncline_contacts')");
    let said = "the whole table was read again: the slot `syncline_contacts` is gone";
    pair.run(&["run"]).expect(0, &[said]);
    let shown = pair.run(&["executions", "--task", "right", "--json"]).json();
    let last = &shown["executions"][0];
    assert_eq!((&last["error"], &last["remark"]), (&serde_json::Value::Null, &said.into()));
    pair.run(&["run"]);
    let [left, right] = pair.rows();
    assert_eq!(left, right);
    assert!(
        left.starts_with("10|10@x.org|Bern\n12|12@x.org|Oslo\n")
            && left.ends_with("Kim|kim@x.org|"),
        "{left}"
    );
    pair.is_quiet();
}
