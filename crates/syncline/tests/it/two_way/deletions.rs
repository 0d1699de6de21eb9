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
    pair.left("DELETE FROM people WHERE name = 'Ada'");
    pair.right("DELETE FROM contacts WHERE \"full\" IN ('Bob', 'Zoe')");
    pair.left("DELETE FROM people WHERE name = 'Zoe'");
    pair.run(&["run"]).expect(0, &["2 deleted"]);
    pair.holds(&["Eve|Eve@x.org|Rome"]);
    pair.is_quiet();
    // Somebody makes her anew: that is a new row, and comes over.
    pair.right("INSERT INTO contacts (\"full\", mail, town) VALUES ('Ada', 'Ada@x.org', 'Bath')");
    pair.run(&["run"]).expect(0, &["written: 1 created"]);
    pair.holds(&["Ada|Ada@x.org|Bath", "Eve|Eve@x.org|Rome"]);
    pair.is_quiet();
}

#[test]
fn an_edit_later_than_a_deletion_brings_the_row_back() {
    let pair = met(CONFIG);
    pair.right("DELETE FROM contacts WHERE \"full\" = 'Ada'");
    pair.left("UPDATE people SET city = 'Oslo' WHERE name = 'Ada'");
    pair.run(&["run"]);
    pair.run(&["run"]);
    let [left, right] = pair.rows();
    assert_eq!(left, right);
    pair.run(&["conflicts", "--all"]).expect(0, &["record_deleted"]);
    pair.is_quiet();
}

#[test]
fn the_other_way_round_too() {
    let pair = met(CONFIG);
    pair.left("DELETE FROM people WHERE name = 'Ada'");
    pair.right("UPDATE contacts SET town = 'Oslo' WHERE \"full\" = 'Ada'");
    pair.run(&["run"]);
    pair.run(&["run"]);
    let [left, right] = pair.rows();
    assert_eq!(left, right);
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
