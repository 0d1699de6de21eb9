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
