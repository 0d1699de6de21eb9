//! Writing to tables: what must hold of every database.

use crate::reading::wait;
use crate::sql_place::{Place, create, delete, short, update};
use syncline_adapters::write::{Change, CreateGuard, UpdateGuard, Write, Written};
use syncline_core::config::model::TableSettings;

pub(crate) const ALL: &[fn(&Place)] = &[
    a_batch_is_done_and_shows_its_rows,
    a_row_that_is_not_as_it_was_is_left_alone,
    a_version_decides_where_there_is_one,
    one_bad_row_holds_up_no_other,
    rows_change_places,
    a_second_creation_finds_the_first,
    keys_that_the_database_makes_are_told,
    a_creation_is_found_by_its_marker,
    rows_are_read_by_key,
    what_cannot_be_written_says_so,
    a_full_batch_is_written,
];

fn people(place: &Place, name: &str) {
    place.make(&format!(
        "CREATE TABLE {name} (id int PRIMARY KEY, email TEXT UNIQUE, name TEXT, age int CHECK (age < 150));
        INSERT INTO {name} VALUES (1, 'a@x', 'Ada', 36), (2, 'b@x', NULL, NULL), (3, 'c@x', 'Eve', 20);"
    ));
}

fn a_batch_is_done_and_shows_its_rows(place: &Place) {
    people(place, "batch");
    let table = place.table("batch", &["id"]);
    let replies = table.write(vec![
        update("1", r#"{"name": "Ada"}"#, r#"{"name": "Ada L.", "age": 37}"#),
        create(r#"{"id": 4, "email": "d@x", "name": "Dan"}"#),
        delete("3", r#"{"name": "Eve", "age": 20}"#),
        update("2", r#"{"name": null}"#, r#"{"name": "Bob", "age": 1}"#),
        update("9", "{}", r#"{"name": "nobody"}"#),
        delete("9", "{}"),
        create(r#"{"email": "e@x", "id": 5}"#),
        update("5", "{}", r#"{"age": null}"#),
    ]);
    let told: Vec<String> = replies.written.iter().map(short).collect();
    assert_eq!(
        told,
        ["done 1", "done 4", "done 3", "done 2", "missing", "missing", "done 5", "missing"]
    );
    let shown = crate::reading::shown(&replies.records);
    for (written, expected) in replies.written.iter().zip([
        Some(r#"id=1 email="a@x" name="Ada L." age=37"#),
        Some(r#"id=4 email="d@x" name="Dan" age=null"#),
        None,
        Some(r#"id=2 email="b@x" name="Bob" age=1"#),
    ]) {
        let Written::Done { record, .. } = written else { panic!("{written:?}") };
        let found = record.map(|index| shown[index].split_once(' ').unwrap().1);
        assert_eq!(found, expected);
    }
    let left = place.sql("SELECT id, email, name, age FROM batch ORDER BY id").replace("NULL", "");
    assert_eq!(left, "1|a@x|Ada L.|37\n2|b@x|Bob|1\n4|d@x|Dan|\n5|e@x||");
}

fn a_row_that_is_not_as_it_was_is_left_alone(place: &Place) {
    people(place, "conditions");
    let table = place.table("conditions", &["id"]);
    for (before, outcome) in [
        (r#"{"name": "Eve"}"#, "changed"),
        (r#"{"name": null}"#, "changed"),
        (r#"{"name": "ada"}"#, "changed"),
        (r#"{"name": "Ada", "age": 35}"#, "changed"),
        (r#"{"name": "Ada", "age": null}"#, "changed"),
        (r#"{"name": "Ada", "age": 36.0}"#, "done 1"),
        (r#"{"name": "Ada", "age": 36}"#, "changed"),
        (r#"{"name": "X", "age": "37"}"#, "done 1"),
    ] {
        let name = if before.contains('X') { "Y" } else { "X" };
        let fields = format!(r#"{{"name": "{name}", "age": 37}}"#);
        assert_eq!(table.outcomes(vec![update("1", before, &fields)]), [outcome], "{before}");
    }
    assert_eq!(table.outcomes(vec![delete("2", r#"{"name": "x"}"#)]), ["changed"]);
    assert_eq!(table.outcomes(vec![delete("2", r#"{"name": null}"#)]), ["done 2"]);
    assert_eq!(place.sql("SELECT count(*) FROM conditions"), "2");
}

fn a_version_decides_where_there_is_one(place: &Place) {
    place.make("CREATE TABLE versions (id int PRIMARY KEY, name TEXT, v int); INSERT INTO versions VALUES (1, 'a', 7);");
    let table = place.versioned_table("versions", &["id"], "v");
    let versioned = |version: &str, before: &str| {
        let mut write = update("1", before, r#"{"name": "b", "v": 8}"#);
        if let Change::Update { target, .. } = &mut write.change {
            target.version = Some(version.into());
        }
        write
    };
    assert_eq!(table.outcomes(vec![versioned("6", r#"{"name": "a"}"#)]), ["changed"]);
    assert_eq!(table.outcomes(vec![versioned("7", r#"{"name": "other"}"#)]), ["done 1"]);
    assert_eq!(table.outcomes(vec![versioned("7", "{}")]), ["changed"]);
}

fn one_bad_row_holds_up_no_other(place: &Place) {
    people(place, "bad");
    let table = place.table("bad", &["id"]);
    let mut writes: Vec<Write> = (10..40)
        .map(|id| create(&format!(r#"{{"id": {id}, "email": "{id}@x", "age": {}}}"#, id * 4 + 1)))
        .collect();
    writes.push(update("1", "{}", r#"{"age": 999}"#));
    writes.push(update("2", "{}", r#"{"age": 9}"#));
    writes.push(update("3", "{}", r#"{"email": "a@x"}"#));
    writes.push(create(r#"{"id": 50, "nme": "x"}"#));
    writes.push(update("3", "{}", r#"{"name": "Eve"}"#));
    let outcomes = table.outcomes(writes);
    let done = outcomes.iter().filter(|outcome| outcome.starts_with("done")).count();
    // Those below 150: ids up to 37.
    assert_eq!(done, 28 + 2, "{outcomes:?}");
    assert!(outcomes[28].starts_with("rejected") && outcomes[29].starts_with("rejected"));
    assert!(outcomes[30].starts_with("rejected"), "{outcomes:?}");
    assert!(outcomes[32].starts_with("rejected"), "{outcomes:?}");
    assert_eq!(outcomes[33], "not sent");
    assert_eq!(place.sql("SELECT count(*) FROM bad"), "31");
}

fn rows_change_places(place: &Place) {
    people(place, "places");
    let table = place.table("places", &["id"]);
    // 1 and 2 swap; 3 takes what nobody gives up; 4 takes what 5 gives up, and stands before it.
    place.make("INSERT INTO places (id, email) VALUES (4, 'd@x'), (5, 'e@x'), (6, 'f@x');");
    let outcomes = table.outcomes(vec![
        update("1", "{}", r#"{"email": "b@x", "name": "Ada"}"#),
        update("2", "{}", r#"{"email": "a@x"}"#),
        update("3", "{}", r#"{"email": "f@x"}"#),
        update("4", "{}", r#"{"email": "e@x"}"#),
        update("5", "{}", r#"{"email": "g@x"}"#),
    ]);
    assert!(outcomes[2].starts_with("rejected"), "{outcomes:?}");
    assert_eq!([&outcomes[..2], &outcomes[3..]].concat(), ["done 1", "done 2", "done 4", "done 5"]);
    let emails = place.sql("SELECT email FROM places ORDER BY id");
    assert_eq!(emails, "b@x\na@x\nc@x\ne@x\ng@x\nf@x");
    // What must not be empty cannot be given up: all stays as it is.
    place.make("CREATE TABLE firm (id int PRIMARY KEY, no int NOT NULL UNIQUE); INSERT INTO firm VALUES (1, 1), (2, 2);");
    let table = place.table("firm", &["id"]);
    let outcomes =
        table.outcomes(vec![update("1", "{}", r#"{"no": 2}"#), update("2", "{}", r#"{"no": 1}"#)]);
    assert!(outcomes.iter().all(|outcome| outcome.starts_with("rejected")), "{outcomes:?}");
    assert_eq!(place.sql("SELECT no FROM firm ORDER BY id"), "1\n2");
}

fn a_second_creation_finds_the_first(place: &Place) {
    people(place, "existing");
    let table = place.table("existing", &["id"]);
    let outcomes = table.outcomes(vec![
        create(r#"{"id": 1, "email": "new@x"}"#),
        create(r#"{"id": 60, "email": "b@x"}"#),
        create(r#"{"id": 61, "email": "fine@x"}"#),
        create(r#"{"id": 62, "email": "fine@x"}"#),
        create(r#"{"id": 63, "email": null}"#),
        create(r#"{"id": 64}"#),
    ]);
    assert_eq!(outcomes[..2], ["exists 1", "exists 2"]);
    let mut twice = outcomes[2..4].to_vec();
    twice.sort_unstable();
    assert!(twice[0].starts_with("done") && twice[1].starts_with("exists"), "{outcomes:?}");
    assert_eq!(outcomes[4..], ["done 63", "done 64"]);
    let found = wait(table.adapter.writer().unwrap().find(
        "it",
        vec![
            create(r#"{"id": 1}"#),
            create(r#"{"id": 99, "email": "b@x"}"#),
            create(r#"{"id": 98}"#),
        ],
    ));
    assert_eq!(found.unwrap().records.len(), 2);
}

fn keys_that_the_database_makes_are_told(place: &Place) {
    place.make("CREATE TABLE serials (id SERIAL, name TEXT);");
    let table = place.table("serials", &["id"]);
    let names = ["a", "b", "c"];
    let writes = names.map(|name| create(&format!(r#"{{"name": "{name}"}}"#)));
    let replies = table.write(writes.to_vec());
    let shown = crate::reading::shown(&replies.records);
    for (written, name) in replies.written.iter().zip(names) {
        let Written::Done { key, record: Some(record) } = written else { panic!("{written:?}") };
        assert!(shown[*record].ends_with(&format!("id={} name=\"{name}\"", key[0])), "{shown:?}");
    }
}

fn a_creation_is_found_by_its_marker(place: &Place) {
    place.make("CREATE TABLE marked (id SERIAL, name TEXT, mark TEXT);");
    let own = TableSettings { marker: Some("mark".to_owned()), ..TableSettings::default() };
    let table = place.table_with("marked", &["id"], own);
    let marked = |marker: &str| Write { marker: marker.into(), ..create(r#"{"name": "x"}"#) };
    let writer = table.adapter.writer().unwrap();
    assert_eq!(wait(writer.capabilities("it")).unwrap().create, CreateGuard::Marker);
    table.write(vec![marked("shard-1"), marked("shard-2")]);
    assert_eq!(place.sql("SELECT mark FROM marked ORDER BY mark"), "shard-1\nshard-2");
    let found = wait(writer.find("it", vec![marked("shard-2"), marked("shard-3")])).unwrap();
    assert_eq!(found.records.len(), 1);
    assert!(crate::reading::shown(&found)[0].contains(r#"mark="shard-2""#));
}

fn rows_are_read_by_key(place: &Place) {
    place.make(
        "CREATE TABLE got (region TEXT, no int, name TEXT, PRIMARY KEY (region, no));
        INSERT INTO got VALUES ('eu', 1, 'a'), ('eu', 2, 'b'), ('us', 1, 'c');",
    );
    let table = place.table("got", &["region", "no"]);
    let writer = table.adapter.writer().unwrap();
    let keys = [["eu", "2"], ["us", "1"], ["us", "2"], ["EU", "x"]];
    let keys = keys.iter().map(|key| key.map(Into::into).to_vec()).collect();
    let found = wait(writer.get("it", keys));
    if place.adapter == "postgres" {
        // The key `x` is no number, so the question itself is refused.
        assert!(found.unwrap_err().to_string().contains("integer"));
        return;
    }
    let mut names = crate::reading::shown(&found.unwrap());
    names.sort_unstable();
    assert_eq!(names.len(), 2, "{names:?}");
}

fn what_cannot_be_written_says_so(place: &Place) {
    people(place, "base");
    place.make("CREATE VIEW looking AS SELECT id, name FROM base; CREATE TABLE keyless (id int, name TEXT);");
    let refusal = |name: &str| {
        let table = place.table(name, &["id"]);
        let capabilities = wait(table.adapter.writer().unwrap().capabilities("it"));
        capabilities.map(|_| ()).unwrap_err().to_string()
    };
    assert!(refusal("looking").contains("it is a view"));
    assert!(refusal("keyless").contains("no unique index"));
    let table = place.table("base", &["id"]);
    let capabilities = wait(table.adapter.writer().unwrap().capabilities("it")).unwrap();
    assert_eq!(capabilities.create, CreateGuard::UniqueKey);
    assert_eq!(capabilities.update, UpdateGuard::Strong);
}

fn a_full_batch_is_written(place: &Place) {
    people(place, "many");
    let table = place.table("many", &["id"]);
    let capabilities = wait(table.adapter.writer().unwrap().capabilities("it")).unwrap();
    let ids = 100..100 + capabilities.batch_max;
    let creates = ids.clone().map(|id| create(&format!(r#"{{"id": {id}, "email": "{id}"}}"#)));
    assert!(table.outcomes(creates.collect()).iter().all(|outcome| outcome.starts_with("done")));
    let updates =
        ids.map(|id| update(&id.to_string(), r#"{"age": null}"#, r#"{"age": 5, "name": "n"}"#));
    assert!(table.outcomes(updates.collect()).iter().all(|outcome| outcome.starts_with("done")));
    let counted = place.sql("SELECT count(*), sum(age) FROM many WHERE id > 99");
    assert_eq!(counted, format!("{0}|{1}", capabilities.batch_max, 5 * capabilities.batch_max));
}

#[test]
fn sqlite_is_written() {
    for case in ALL {
        case(&Place::sqlite());
    }
}
