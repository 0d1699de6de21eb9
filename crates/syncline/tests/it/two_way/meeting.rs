//! Two populated tables meet for the first time.

use super::{CONFIG, LEFT, Pair, RIGHT};

#[test]
fn records_that_are_one_are_linked_and_the_others_are_made() {
    let pair = Pair::usual();
    pair.left(
        "INSERT INTO people (name, email, city, updated) VALUES
            ('Ada', 'ada@x.org', 'London', '2025-01-02'),
            ('Bob', 'bob@x.org', NULL, '2025-01-02'),
            ('Eve', 'eve@x.org', 'Rome', '2025-01-02'),
            ('Nobody', NULL, 'Nowhere', '2025-01-02')",
    );
    pair.right(
        "INSERT INTO contacts (\"full\", mail, town, changed) VALUES
            ('Ada', 'ada@x.org', 'Paris', '2025-01-01'),
            ('Robert', 'bob@x.org', 'Oslo', '2025-01-03'),
            ('Zoe', 'zoe@x.org', 'Bonn', '2025-01-03'),
            ('No one', NULL, NULL, '2025-01-03')",
    );
    let before = pair.written();
    let preview = pair.run(&["preview"]);
    preview.expect(
        0,
        &["→ + right/contact: a new record", "→ ~ right/contact: 1", "→ ~ left/person: 2"],
    );
    assert_eq!(pair.written(), before);
    pair.run(&["run"]).expect(0, &["written: 4 created, 2 updated"]);
    pair.holds(&[
        "Ada|ada@x.org|London",
        "Robert|bob@x.org|Oslo",
        "Eve|eve@x.org|Rome",
        "Zoe|zoe@x.org|Bonn",
        "No one||",
        "Nobody||Nowhere",
    ]);
    pair.is_quiet();
}

#[test]
fn what_a_side_makes_of_what_it_is_given_is_not_written_again() {
    let tidy = "
        CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.mail := lower(btrim(NEW.mail)); NEW.town := left(upper(NEW.town), 5); RETURN NEW; END $$;
        CREATE TRIGGER tidy BEFORE INSERT OR UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION tidy();";
    let pair = Pair::new(LEFT, &format!("{RIGHT}{tidy}"), CONFIG);
    pair.left(
        "INSERT INTO people (name, email, city) VALUES
            ('Ada', ' Ada@X.org ', 'London'), ('Bob', 'BOB@x.org', 'Rome')",
    );
    pair.run(&["run"]).expect(0, &["written: 2 created"]);
    pair.is_quiet();
    // They say the same, each in its own form: nobody is asked.
    pair.run(&["conflicts"]).expect(0, &["no shard has records that disagree"]);
    pair.left("UPDATE people SET city = 'Liverpool' WHERE name = 'Ada'");
    pair.run(&["run"]).expect(0, &["written: 1 updated"]);
    assert_eq!(pair.rows()[1], "Ada|ada@x.org|LIVER\nBob|bob@x.org|ROME");
    assert!(pair.rows()[0].contains("Ada@X.org |Liverpool"), "{:?}", pair.rows());
    pair.is_quiet();
    // Somebody over there who edits the tidied value edits it here, too.
    pair.right("UPDATE contacts SET town = 'oslo' WHERE mail = 'bob@x.org'");
    pair.run(&["run"]).expect(0, &["written: 1 updated"]);
    assert!(pair.rows()[0].contains("BOB@x.org|OSLO"), "{:?}", pair.rows());
    pair.is_quiet();
}

#[test]
fn what_a_side_computes_is_read_and_never_written() {
    let left = LEFT.replace(
        "city text,",
        "city text, code text GENERATED ALWAYS AS (upper(left(name, 2))) STORED,",
    );
    let config = CONFIG
        .replace("city: text }", "city: text, code: text, visits: integer }")
        .replace("city: city }", "city: city, code: code }")
        .replace("city: town }", "city: town, code: code, visits: visits }")
        .replacen(
            "    outbound: { deletes: propagate }",
            "    fields: { code: inbound }\n    outbound: { deletes: propagate }",
            1,
        )
        .replace("entity: contact\n", "entity: contact\n    fields: { visits: inbound }\n");
    let right = RIGHT.replace("town text,", "town text, code text, visits int NOT NULL DEFAULT 7,");
    let pair = Pair::new(&left, &right, &config);
    pair.left("INSERT INTO people (name, email) VALUES ('Ada', 'ada@x.org')");
    pair.right("INSERT INTO contacts (\"full\", mail) VALUES ('Bob', 'bob@x.org')");
    pair.run(&["run"]).expect(0, &["written: 2 created"]);
    pair.run(&["run"]);
    let right = || pair.right("SELECT \"full\", code, visits FROM contacts ORDER BY 1");
    assert_eq!(right(), "Ada|AD|7\nBob|BO|7");
    pair.is_quiet();
    pair.right("UPDATE contacts SET visits = 8; UPDATE contacts SET \"full\" = 'Zoe' WHERE mail = 'bob@x.org'");
    pair.run(&["run"]);
    pair.run(&["run"]);
    assert_eq!(right(), "Ada|AD|8\nZoe|ZO|8");
    pair.is_quiet();
}
