//! Rows that name other rows.

use super::{CONFIG, LEFT, Pair, RIGHT};

/// A second shard type, whose rows the people of both sides name by its code. Its tasks run after theirs.
fn config() -> String {
    CONFIG
        .replace("city: text }", "city: text, firm: text }")
        .replace("city: city }", "city: city, firm: firm }")
        .replace("city: town }", "city: town, firm: firm }")
        .replace(
            "modified: updated }",
            "modified: updated }\n      firm: { table: firms, key: code }",
        )
        .replace(
            "modified: changed }",
            "modified: changed }\n      firm: { table: firms, key: code }",
        )
        .replace(
            "conversion_schemas:\n",
            "  firm: { fields: { code: text, title: text }, identity: [code] }\nconversion_schemas:\n  \
             firm: { shard_type: firm, target: { delete_if_removed: true }, fields: { code: code, title: title } }\n",
        )
        + "
  z_left: { connection: left, entity: firm, conversion_schema: firm, direction: bidirectional, mode: full }
  z_right: { connection: right, entity: firm, conversion_schema: firm, direction: bidirectional, mode: full }
"
}

#[test]
fn a_row_that_names_one_which_is_not_there_yet_is_written_when_it_comes() {
    // Hazard 32.
    let firms = "CREATE TABLE firms (code text PRIMARY KEY, title text);";
    let named = |script: &str, column: &str| {
        format!(
            "{firms}{}",
            script.replace(column, &format!("{column}, firm text REFERENCES firms"))
        )
    };
    let pair = Pair::new(&named(LEFT, "city text"), &named(RIGHT, "town text"), &config());
    pair.left(
        "INSERT INTO firms VALUES ('acme', 'Acme'), ('bolt', 'Bolt');
        INSERT INTO people (name, email, firm) VALUES ('Ada', 'ada@x.org', 'acme'), ('Bob', 'bob@x.org', NULL)",
    );
    // Ada is refused, since her firm comes after her; nobody else is held up.
    let first = pair.try_run(&["run"]);
    first.expect(3, &["1 record could not be written"]);
    assert_eq!(pair.rows()[1], "Bob|bob@x.org|");
    pair.run(&["dead-letters", "list"]).expect(0, &["→ right/contact", "foreign key"]);
    pair.run(&["run"]);
    pair.holds(&["Ada|ada@x.org|", "Bob|bob@x.org|"]);
    pair.run(&["dead-letters", "list"]).expect(0, &["no record was refused"]);
    pair.is_quiet();
    // The same for a reference that changes, and the other way round for a firm that goes.
    pair.right("INSERT INTO firms VALUES ('cog', 'Cog'); UPDATE contacts SET firm = 'cog' WHERE mail = 'bob@x.org'");
    pair.try_run(&["run"]);
    pair.run(&["run"]);
    assert_eq!(pair.left("SELECT firm FROM people ORDER BY name"), "acme\ncog");
    pair.is_quiet();
}

/// The same with keys that each database makes for itself. The tasks of firms come first.
fn config_with_ids() -> String {
    let lookup = |from: &str| {
        format!(
            "firm: {{ lookup: {{ shard_type: firm, entity: firm, from: {from}, return: shard_id }} }}"
        )
    };
    CONFIG
        .replace("city: text }", "city: text, firm: text }")
        .replace("city: city }", &format!("city: city, {} }}", lookup("firm_id")))
        .replace("city: town }", &format!("city: town, {} }}", lookup("company")))
        .replace("modified: updated }", "modified: updated }\n      firm: { table: firms, key: id }")
        .replace("modified: changed }", "modified: changed }\n      firm: { table: companies, key: no }")
        .replace(
            "conversion_schemas:\n",
            "  firm: { fields: { title: text }, identity: [title] }\nconversion_schemas:\n  \
             firm: { shard_type: firm, target: { delete_if_removed: true }, fields: { title: title } }\n",
        )
        + "
  a_left: { connection: left, entity: firm, conversion_schema: firm, direction: bidirectional, mode: full }
  a_right: { connection: right, entity: firm, conversion_schema: firm, direction: bidirectional, mode: full }
"
}

/// Tables of firms, and people that name them by their numbers: those of `companies` begin at 700.
fn pair_with_ids(config: &str) -> Pair {
    let key = "int GENERATED ALWAYS AS IDENTITY";
    let left = format!(
        "CREATE TABLE firms (id {key} PRIMARY KEY, title text); {}",
        LEFT.replace("city text", "city text, firm_id int REFERENCES firms")
    );
    let right = format!(
        "CREATE TABLE companies (no {key} (START WITH 700) PRIMARY KEY, title text); {}",
        RIGHT.replace("town text", "town text, company int REFERENCES companies")
    );
    Pair::new(&left, &right, config)
}

/// Who works where, at both sides, by the titles of firms.
#[track_caller]
fn work(pair: &Pair, expected: &[&str]) {
    let left = pair.left(
        "SELECT name, coalesce(title, '-') FROM people LEFT JOIN firms ON firms.id = firm_id ORDER BY name",
    );
    let right = pair.right(
        "SELECT \"full\", coalesce(title, '-') FROM contacts LEFT JOIN companies ON companies.no = company
        ORDER BY \"full\"",
    );
    assert_eq!(left, expected.join("\n"), "left");
    assert_eq!(right, expected.join("\n"), "right");
}

#[test]
fn a_reference_is_written_with_the_id_that_the_other_side_knows() {
    // Hazard 32.
    let pair = pair_with_ids(&config_with_ids());
    pair.left(
        "INSERT INTO firms (title) VALUES ('Acme'), ('Bolt'), ('Cog');
        INSERT INTO people (name, email, firm_id) VALUES
            ('Ada', 'ada@x.org', 1), ('Bob', 'bob@x.org', 2), ('Eve', 'eve@x.org', NULL)",
    );
    pair.right(
        "INSERT INTO companies (title) VALUES ('Dyn'), ('Bolt');
        INSERT INTO contacts (\"full\", mail, company) VALUES ('Zoe', 'zoe@x.org', 700), ('Yan', 'yan@x.org', 701)",
    );
    pair.run(&["run"]);
    work(&pair, &["Ada|Acme", "Bob|Bolt", "Eve|-", "Yan|Bolt", "Zoe|Dyn"]);
    pair.is_quiet();
    // One that changes, one that goes, and one to a firm that is new: from either side.
    pair.left("UPDATE people SET firm_id = 3 WHERE name = 'Ada'; UPDATE people SET firm_id = NULL WHERE name = 'Bob'");
    pair.right(
        "INSERT INTO companies (title) VALUES ('Egg');
        UPDATE contacts SET company = (SELECT no FROM companies WHERE title = 'Egg') WHERE \"full\" = 'Eve';
        UPDATE contacts SET company = NULL WHERE \"full\" = 'Zoe'",
    );
    pair.run(&["run"]).expect(0, &["updated"]);
    work(&pair, &["Ada|Cog", "Bob|-", "Eve|Egg", "Yan|Bolt", "Zoe|-"]);
    pair.is_quiet();
    // A firm that is renamed is the same one, and nobody who names it is written.
    pair.left("UPDATE firms SET title = 'Cogs' WHERE title = 'Cog'");
    pair.run(&["run"]).expect(0, &["written: 1 updated"]);
    work(&pair, &["Ada|Cogs", "Bob|-", "Eve|Egg", "Yan|Bolt", "Zoe|-"]);
    pair.is_quiet();
    // Both sides name another firm: one stands, at both.
    pair.left("UPDATE people SET firm_id = 1 WHERE name = 'Yan'");
    pair.right("UPDATE contacts SET company = 700 WHERE \"full\" = 'Yan'");
    pair.run(&["run"]).expect(0, &["conflicts: "]);
    work(&pair, &["Ada|Cogs", "Bob|-", "Eve|Egg", "Yan|Dyn", "Zoe|-"]);
    pair.is_quiet();
}

#[test]
fn a_reference_waits_for_the_record_that_it_names() {
    // Firms come last: a person is made without hers, and gets it once that is made.
    let config =
        config_with_ids().replace("  a_left:", "  z_left:").replace("  a_right:", "  z_right:");
    let pair = pair_with_ids(&config);
    pair.left(
        "INSERT INTO firms (title) VALUES ('Acme'), ('Bolt');
        INSERT INTO people (name, email, firm_id) VALUES ('Ada', 'ada@x.org', 1), ('Bob', 'bob@x.org', NULL)",
    );
    pair.run(&["run"]).expect(0, &["written: 4 created, 1 updated"]);
    work(&pair, &["Ada|Acme", "Bob|-"]);
    pair.is_quiet();
    // The same for one that changes.
    pair.left("INSERT INTO firms (title) VALUES ('Cog'); UPDATE people SET firm_id = 3 WHERE name = 'Bob'");
    pair.run(&["run"]);
    work(&pair, &["Ada|Acme", "Bob|Cog"]);
    pair.is_quiet();
    pair.run(&["conflicts", "--all"]).expect(0, &["no shard has records that disagree"]);
}
