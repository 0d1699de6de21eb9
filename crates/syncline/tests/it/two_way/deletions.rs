//! Rows are deleted at one side, or both.

use super::{CONFIG, LEFT, Pair, RIGHT};

fn met(config: &str) -> Pair {
    let pair = Pair::new(LEFT, RIGHT, config);
    pair.left(
        "INSERT INTO people (name, email, city)
            SELECT n, n || '@x.org', 'Rome' FROM unnest(ARRAY['Ada', 'Bob', 'Eve', 'Zoe']) AS n",
    );
    pair.run(&["run"]);
    pair.is_quiet();
    pair
}

#[test]
fn deletions_go_both_ways_and_nothing_comes_back() {
    let pair = met(CONFIG);
    pair.right("INSERT INTO contacts (\"full\", mail) VALUES ('Max', 'Max@x.org')");
    pair.run(&["run"]);
    pair.left("DELETE FROM people WHERE name IN ('Ada', 'Max')");
    pair.right("DELETE FROM contacts WHERE \"full\" IN ('Bob', 'Zoe')");
    pair.left("DELETE FROM people WHERE name = 'Zoe'");
    pair.run(&["run"]).expect(0, &["3 deleted"]);
    pair.holds(&["Eve|Eve@x.org|Rome"]);
    pair.is_quiet();
    // Somebody makes her anew: that is a new row, and comes over.
    pair.right("INSERT INTO contacts (\"full\", mail, town) VALUES ('Ada', 'Ada@x.org', 'Bath')");
    pair.run(&["run"]).expect(0, &["written: 1 created"]);
    pair.holds(&["Ada|Ada@x.org|Bath", "Eve|Eve@x.org|Rome"]);
    pair.is_quiet();
}

#[test]
fn an_edit_outlives_a_deletion_that_is_not_surely_later() {
    // Nobody knows when a row went that is only missing: hazard 51, both ways round.
    let pair = met(CONFIG);
    pair.right("DELETE FROM contacts WHERE \"full\" = 'Ada'");
    pair.left("UPDATE people SET city = 'Oslo' WHERE name = 'Ada'");
    pair.left("DELETE FROM people WHERE name = 'Bob'");
    pair.right("UPDATE contacts SET town = 'Oslo' WHERE \"full\" = 'Bob'");
    pair.run(&["run"]).expect(0, &["conflicts: 2 decided"]);
    let [left, right] = pair.rows();
    assert_eq!(left, "Ada|Ada@x.org|Oslo\nEve|Eve@x.org|Rome\nZoe|Zoe@x.org|Rome");
    assert_eq!(right, "Bob|Bob@x.org|Oslo\nEve|Eve@x.org|Rome\nZoe|Zoe@x.org|Rome");
    pair.run(&["conflicts", "--all"]).expect(0, &["record_deleted", "shard_deleted"]);
    pair.is_quiet();
}

#[test]
fn where_one_side_wins_it_wins_against_a_deletion_too() {
    let strategies = |left: &str, right: &str| {
        let parts: Vec<&str> = CONFIG.split("newest_wins").collect();
        format!("{}{left}{}{right}{}", parts[0], parts[1], parts[2])
    };
    // The left side has the last word: its edits, and its deletions.
    let pair = met(&strategies("source_wins", "destination_wins"));
    pair.right("DELETE FROM contacts WHERE \"full\" = 'Ada'");
    pair.left("UPDATE people SET city = 'Oslo' WHERE name = 'Ada'");
    pair.left("DELETE FROM people WHERE name = 'Bob'");
    pair.right("UPDATE contacts SET town = 'Oslo' WHERE \"full\" = 'Bob'");
    pair.run(&["run"]).expect(0, &["conflicts: 2 decided"]);
    pair.holds(&["Ada|Ada@x.org|Oslo", "Eve|Eve@x.org|Rome", "Zoe|Zoe@x.org|Rome"]);
    pair.is_quiet();
}

#[test]
fn a_row_that_was_replaced_by_another_of_the_same_person_takes_nothing_with_it() {
    let pair = met(CONFIG);
    pair.left(
        "DELETE FROM people WHERE name = 'Ada';
        INSERT INTO people (name, email, city) VALUES ('Ada', 'Ada@x.org', 'Oslo')",
    );
    pair.run(&["run"]);
    pair.run(&["run"]);
    pair.holds(&[
        "Ada|Ada@x.org|Oslo",
        "Bob|Bob@x.org|Rome",
        "Eve|Eve@x.org|Rome",
        "Zoe|Zoe@x.org|Rome",
    ]);
    pair.is_quiet();
}

#[test]
fn a_table_that_was_emptied_empties_nothing() {
    let pair = met(CONFIG);
    pair.left("DELETE FROM people");
    pair.try_run(&["run"]).expect(3, &["--allow-deletes"]);
    assert_eq!(pair.rows()[1].lines().count(), 4);
    pair.run(&["run", "--allow-deletes"]);
    pair.holds(&[]);
    pair.is_quiet();
}
