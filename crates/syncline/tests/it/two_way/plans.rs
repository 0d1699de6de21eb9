//! `preview --save` and `run --apply`: exactly what was shown, or nothing.

use super::Pair;

fn apart() -> Pair {
    let pair = Pair::usual();
    pair.left(
        "INSERT INTO people (name, email, city, updated) VALUES
            ('Ada', 'ada@x.org', 'London', '2025-01-02'), ('Bob', 'bob@x.org', 'Rome', '2025-01-02')",
    );
    pair.right(
        "INSERT INTO contacts (\"full\", mail, town, changed) VALUES
            ('Ada', 'ada@x.org', 'Paris', '2025-01-01'), ('Zoe', 'zoe@x.org', 'Bonn', '2025-01-03')",
    );
    pair
}

#[test]
fn a_saved_plan_is_done_exactly() {
    let pair = apart();
    let before = pair.written();
    pair.run(&["preview", "--save", "plan.json"]).expect(0, &["run --apply plan.json"]);
    assert_eq!(pair.written(), before);
    assert!(!pair.project.path("syncline.db").exists());
    let plan = std::fs::read_to_string(pair.project.path("plan.json")).unwrap();
    for shown in ["\"right/contact\"", "\"London\"", "\"writes\"", "\"records\""] {
        assert!(plan.contains(shown), "{shown} in {plan}");
    }
    pair.run(&["run", "--apply", "plan.json"]).expect(0, &["written: 2 created, 1 updated"]);
    pair.holds(&["Ada|ada@x.org|London", "Bob|bob@x.org|Rome", "Zoe|zoe@x.org|Bonn"]);
    pair.is_quiet();
    // Done is done.
    pair.try_run(&["run", "--apply", "plan.json"])
        .expect(1, &["the store changed", "nothing was done"]);
}

#[test]
fn where_the_ground_has_moved_nothing_is_done_and_what_moved_is_named() {
    let pair = apart();
    pair.run(&["preview", "--save", "plan.json"]);
    let moves = [
        ("UPDATE people SET city = 'Oslo' WHERE name = 'Bob'", "left/person 2 changed"),
        ("INSERT INTO people (name, email) VALUES ('Eve', 'eve@x.org')", "left/person 3 is new"),
        ("DELETE FROM people WHERE name = 'Ada'", "left/person 1 is gone"),
    ];
    for (script, told) in moves {
        pair.left(script);
        let before = pair.written();
        let refused = pair.try_run(&["run", "--apply", "plan.json"]);
        refused.expect(1, &["the ground has moved", told, "preview --save"]);
        assert_eq!(pair.written(), before);
        assert!(!pair.project.path("syncline.db").exists());
        pair.run(&["preview", "--save", "plan.json"]);
    }
    pair.right("UPDATE contacts SET town = 'Kiel' WHERE mail = 'zoe@x.org'");
    pair.try_run(&["run", "--apply", "plan.json"]).expect(1, &["right/contact 2 changed"]);
    pair.run(&["preview", "--save", "plan.json"]);
    pair.run(&["run"]);
    pair.left("UPDATE people SET city = 'Lima' WHERE name = 'Bob'");
    pair.try_run(&["run", "--apply", "plan.json"]).expect(1, &["the store changed"]);
    pair.run(&["preview", "--save", "plan.json"]);
    let config = std::fs::read_to_string(pair.project.path("syncline.yaml")).unwrap();
    pair.project.write("syncline.yaml", &config.replace("newest_wins", "source_wins"));
    pair.try_run(&["run", "--apply", "plan.json"]).expect(1, &["the configuration"]);
    pair.project.write("syncline.yaml", &config);
    pair.run(&["run", "--apply", "plan.json"]).expect(0, &["written: 1 updated"]);
    pair.is_quiet();
}

#[test]
fn a_file_that_is_no_plan_is_refused() {
    let pair = apart();
    pair.try_run(&["run", "--apply", "nowhere.json"]).expect(1, &["cannot read `nowhere.json`"]);
    pair.try_run(&["run", "--apply", "syncline.yaml"]).expect(1, &["is no plan"]);
    pair.try_run(&["run", "--apply", "plan.json", "--full"]).expect(2, &["cannot be used with"]);
}
