//! Following what changes in a table of PostgreSQL, from the log of a real server.

use crate::reading::{Outcome, full, read_with, since, wait};
use crate::servers::PASSWORD;
use crate::sql_place::{Place, Table};
use std::io::Write as _;
use syncline_adapters::ReadRequest;
use syncline_core::config::model::{LogicalReplication, TableSettings};
use syncline_core::record::{Cursor, Page};

#[test]
fn postgres() {
    let mut place = Place::postgres();
    let cases: [fn(&Place); 9] = [
        changes_follow_a_first_read,
        a_large_transaction_goes_on_from_any_page,
        a_late_commit_is_not_lost,
        what_was_not_kept_comes_again,
        a_lost_slot_is_made_anew_and_all_is_read,
        emptying_a_table_reads_it_again,
        long_values_and_hostile_names,
        a_changed_table_is_followed_or_told,
        what_is_missing_is_told_with_what_to_run,
    ];
    for case in cases {
        case(&place);
    }
    the_server_must_log_rows(&mut place);
}

fn followed(slot: &str) -> TableSettings {
    let slot = LogicalReplication { slot: slot.to_owned(), publication: None };
    TableSettings { logical_replication: Some(slot), ..TableSettings::default() }
}

/// A table `name` of `id` and `name`, published, with its adapter.
fn table(place: &Place, name: &str) -> Table {
    place.sql(&format!(
        "CREATE TABLE {name} (id int PRIMARY KEY, name text);
        INSERT INTO {name} VALUES (1, 'a'), (2, 'b'), (3, 'c');
        CREATE PUBLICATION syncline_{name} FOR TABLE {name};"
    ));
    place.table_with(name, &["id"], followed(&format!("syncline_{name}")))
}

/// What came, in order of its keys: the cells, and `-` before what is gone.
fn lines(pages: &[Page]) -> Vec<String> {
    let mut lines = Vec::new();
    for record in pages.iter().flat_map(|page| &page.records) {
        let cells = record.cells.iter().flatten().map(|value| value.to_plain().to_string());
        let cells: Vec<String> = cells.collect();
        lines.push(format!("{}{}", if record.deleted { "-" } else { "" }, cells.join(" ")));
    }
    lines.sort();
    lines
}

fn next(table: &Table, cursor: &Cursor) -> Outcome {
    let outcome = table.try_read(since(Some(cursor.clone()))).unwrap();
    assert!(outcome.end.complete, "{:?}", outcome.end);
    outcome
}

fn changes_follow_a_first_read(place: &Place) {
    let table = table(place, "people");
    let mut busy = 0;
    let request = ReadRequest { page_len: 2, ..since(None) };
    let (pages, end) = read_with(table.adapter.as_ref(), request, |_| {
        busy += 1;
        if busy == 1 {
            place.sql(
                "UPDATE people SET name = 'A' WHERE id = 1; INSERT INTO people VALUES (0, 'z')",
            );
        }
    });
    let end = end.unwrap();
    assert_eq!(lines(&pages), ["1 a", "2 b", "3 c"]);
    assert!(end.complete && end.listed_all && !end.restarted && end.remark.is_none(), "{end:?}");
    let changes = next(&table, &end.cursor);
    assert_eq!(lines(&changes.pages), ["0 z", "1 A"], "what changed during the first read");
    assert!(!changes.end.listed_all && !changes.end.restarted);
    place.sql(
        "BEGIN; INSERT INTO people VALUES (9, 'never'); ROLLBACK;
        BEGIN; SAVEPOINT s; INSERT INTO people VALUES (8, 'nor'); ROLLBACK TO s; DELETE FROM people WHERE id = 0; COMMIT;
        UPDATE people SET id = 4, name = 'd' WHERE id = 3; UPDATE people SET name = NULL WHERE id = 2;
        INSERT INTO people VALUES (5, 'e'); DELETE FROM people WHERE id = 5;",
    );
    let changes = next(&table, &changes.end.cursor);
    assert_eq!(lines(&changes.pages), ["-0", "-3", "-5", "2 ", "4 d"]);
    let quiet = next(&table, &changes.end.cursor);
    assert_eq!(lines(&quiet.pages), [""; 0]);
    let again = table.try_read(full(None, 2)).unwrap();
    assert_eq!(lines(&again.pages), ["1 A", "2 ", "4 d"]);
    assert!(again.end.complete && !again.end.listed_all);
    place.sql("DELETE FROM people WHERE id = 1");
    assert_eq!(lines(&next(&table, &again.end.cursor).pages), ["-1"]);
    wait(table.adapter.check("it")).unwrap();
}

fn a_large_transaction_goes_on_from_any_page(place: &Place) {
    let table = table(place, "large");
    let start = table.try_read(since(None)).unwrap().end.cursor;
    place.sql(
        "INSERT INTO large SELECT n, 'x' FROM generate_series(10, 39) n; UPDATE large SET name = 'y' WHERE id < 3;
        DELETE FROM large WHERE id = 20",
    );
    let request = ReadRequest { page_len: 4, ..since(Some(start)) };
    let whole = table.try_read(request.clone()).unwrap();
    assert!(whole.pages.len() > 8 && whole.end.complete);
    assert!(lines(&whole.pages).contains(&"-20".to_owned()));
    for (index, page) in whole.pages.iter().enumerate() {
        let request = ReadRequest { cursor: Some(page.cursor.clone()), ..request.clone() };
        let rest = table.try_read(request).unwrap();
        assert_eq!(lines(&rest.pages), lines(&whole.pages[index + 1..]), "after page {index}");
        assert!(rest.end.complete && !rest.end.restarted);
    }
    assert_eq!(lines(&next(&table, &whole.end.cursor).pages), [""; 0]);
}

fn a_late_commit_is_not_lost(place: &Place) {
    let table = table(place, "late");
    let start = table.try_read(since(None)).unwrap().end.cursor;
    let server = place.server.as_ref().unwrap();
    let mut slow = server.client("it").spawn().unwrap();
    let mut script = slow.stdin.take().unwrap();
    script.write_all(b"BEGIN; INSERT INTO late VALUES (50, 'slow'); SELECT 'begun';\n").unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
    while place.sql(running) == "0" {}
    place.sql("INSERT INTO late VALUES (51, 'quick')");
    let first = next(&table, &start);
    assert_eq!(lines(&first.pages), ["51 quick"]);
    script.write_all(b"COMMIT;\n").unwrap();
    drop(script);
    assert!(slow.wait_with_output().unwrap().status.success());
    assert_eq!(lines(&next(&table, &first.end.cursor).pages), ["50 slow"]);
}

fn what_was_not_kept_comes_again(place: &Place) {
    let table = table(place, "again");
    let start = table.try_read(since(None)).unwrap().end.cursor;
    place.sql("INSERT INTO again VALUES (4, 'd')");
    // Whoever read it died before the cursor was kept; nothing was taken from the slot.
    for _ in 0..2 {
        assert_eq!(lines(&next(&table, &start).pages), ["4 d"]);
    }
    let kept = next(&table, &start).end.cursor;
    place.sql("UPDATE again SET name = 'e' WHERE id = 4");
    assert_eq!(lines(&next(&table, &kept).pages), ["4 e"]);
    // Now the slot stands where `kept` does, and what was before is gone from it.
    let stale = next(&table, &start);
    assert!(stale.end.restarted && stale.end.listed_all);
    assert!(stale.end.remark.unwrap().contains("something else read the slot"));
    assert_eq!(lines(&stale.pages), ["1 a", "2 b", "3 c", "4 e"]);
}

fn a_lost_slot_is_made_anew_and_all_is_read(place: &Place) {
    let table = table(place, "lost");
    let mut cursor = table.try_read(since(None)).unwrap().end.cursor;
    let trouble = [
        ("SELECT pg_drop_replication_slot('syncline_lost')", "is gone"),
        (
            "DROP PUBLICATION syncline_lost; CREATE PUBLICATION syncline_lost FOR TABLE lost",
            "was made anew",
        ),
        (
            "SELECT pg_drop_replication_slot('syncline_lost');
            SELECT pg_create_logical_replication_slot('syncline_lost', 'pgoutput')",
            "something else read the slot",
        ),
        (
            "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'; SELECT pg_reload_conf();
            SELECT pg_switch_wal(); CREATE TABLE filler AS SELECT 1 AS n; SELECT pg_switch_wal();
            INSERT INTO filler VALUES (1); SELECT pg_switch_wal(); CHECKPOINT;
            ALTER SYSTEM RESET max_slot_wal_keep_size; SELECT pg_reload_conf();",
            "gave up the slot",
        ),
    ];
    for (number, (script, reason)) in trouble.into_iter().enumerate() {
        place.sql(&format!(
            "INSERT INTO lost VALUES ({number} + 10, 'n'); DELETE FROM lost WHERE id = {number}"
        ));
        for statement in script.split(';') {
            place.sql(statement);
        }
        let all = next(&table, &cursor);
        assert!(all.end.restarted && all.end.listed_all, "{reason}");
        let remark = all.end.remark.unwrap();
        assert!(remark.contains(reason), "{reason}: {remark}");
        assert!(lines(&all.pages).contains(&format!("{} n", number + 10)));
        place.sql(&format!("DELETE FROM lost WHERE id = {number} + 10"));
        let changes = next(&table, &all.end.cursor);
        assert_eq!(lines(&changes.pages), [format!("-{}", number + 10)], "{reason}");
        cursor = changes.end.cursor;
    }
}

fn emptying_a_table_reads_it_again(place: &Place) {
    let table = table(place, "emptied");
    let start = table.try_read(since(None)).unwrap().end.cursor;
    place.sql("INSERT INTO emptied VALUES (4, 'd'); TRUNCATE emptied; INSERT INTO emptied VALUES (2, 'n')");
    let all = next(&table, &start);
    assert!(all.end.listed_all && all.end.restarted);
    assert!(all.end.remark.unwrap().contains("TRUNCATE"));
    assert_eq!(lines(&all.pages), ["2 n"]);
    assert_eq!(lines(&next(&table, &all.end.cursor).pages), [""; 0]);
}

fn long_values_and_hostile_names(place: &Place) {
    place.sql(
        r#"CREATE TABLE "odd"" 'table" ("k"" ey" bytea, "at" timestamptz, long text, other int, PRIMARY KEY ("k"" ey", "at"));
        ALTER TABLE "odd"" 'table" ALTER long SET STORAGE EXTERNAL;
        CREATE PUBLICATION "pub "" 'lication" FOR TABLE "odd"" 'table";
        INSERT INTO "odd"" 'table" VALUES ('\x00ff', '2024-01-01 10:00:00.5+02', repeat('long', 5000), 1);"#,
    );
    let publication = Some(r#"pub " 'lication"#.to_owned());
    let slot = LogicalReplication { slot: "syncline_odd".to_owned(), publication };
    let own = TableSettings { logical_replication: Some(slot), ..TableSettings::default() };
    let table = place.table_with(r#"odd" 'table"#, &[r#"k" ey"#, "at"], own);
    let start = table.try_read(since(None)).unwrap();
    place.sql(r#"UPDATE "odd"" 'table" SET other = 2"#);
    let changes = next(&table, &start.end.cursor);
    let (before, after) = (lines(&start.pages), lines(&changes.pages));
    assert_eq!(
        before[0].replace(" 1", " 2"),
        after[0],
        "what did not change is as a full read has it"
    );
    assert!(after[0].len() > 20_000);
    place.sql(r#"DELETE FROM "odd"" 'table""#);
    let gone = next(&table, &changes.end.cursor);
    assert_eq!(lines(&gone.pages), ["-AP8= 2024-01-01T08:00:00.5Z"]);
}

fn a_changed_table_is_followed_or_told(place: &Place) {
    let table = table(place, "altered");
    let start = table.try_read(since(None)).unwrap().end.cursor;
    place.sql(
        "UPDATE altered SET name = '7' WHERE id = 1; ALTER TABLE altered ADD more int DEFAULT 5;
        UPDATE altered SET more = 6 WHERE id = 2; ALTER TABLE altered ALTER name TYPE int USING 1;",
    );
    let changes = next(&table, &start);
    assert_eq!(lines(&changes.pages), ["1 1 5", "2 1 6"]);
    place.sql("DELETE FROM altered WHERE id = 1; ALTER TABLE altered RENAME id TO no");
    let error = table.try_read(since(Some(changes.end.cursor.clone()))).unwrap_err().to_string();
    assert!(error.contains("has no column `id`"), "{error}");
    let renamed = place.table_with("altered", &["no"], followed("syncline_altered"));
    let all = next(&renamed, &changes.end.cursor);
    assert!(all.end.listed_all && all.end.remark.unwrap().contains("its key's columns"));
    assert_eq!(lines(&all.pages), ["2 1 6", "3 1 5"]);
}

fn what_is_missing_is_told_with_what_to_run(place: &Place) {
    place.sql(&format!(
        "CREATE TABLE bare (id int NOT NULL, name text);
        CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; GRANT SELECT ON bare TO reader;"
    ));
    let settings = place.server_settings(|settings| settings.user = Some("reader".to_owned()));
    let table = place.open(settings, "bare", &["id"], followed("syncline_bare")).unwrap();
    let steps = [
        (r#"ALTER ROLE "reader" REPLICATION"#, ""),
        (
            r#"CREATE PUBLICATION "syncline_bare" FOR TABLE "public"."bare""#,
            " WITH (publish = 'insert')",
        ),
        (
            r#"ALTER PUBLICATION "syncline_bare" SET (publish = 'insert, update, delete, truncate')"#,
            "",
        ),
        (r#"ALTER TABLE "public"."bare" REPLICA IDENTITY"#, " FULL"),
    ];
    for (run, more) in steps {
        let told = table.refusal().to_string();
        assert!(told.contains(run), "{run}: {told}");
        assert_eq!(table.try_read(since(None)).unwrap_err().to_string(), told);
        place.sql(&format!("{run}{more}"));
    }
    wait(table.adapter.check("it")).unwrap();
    let start = table.try_read(since(None)).unwrap().end.cursor;
    place.sql("INSERT INTO bare VALUES (1, 'a'), (2, 'b'); DELETE FROM bare WHERE id = 2");
    assert_eq!(lines(&next(&table, &start).pages), ["-2", "1 a"]);
    place.sql("ALTER PUBLICATION syncline_bare DROP TABLE bare");
    assert!(table.refusal().to_string().contains("ADD TABLE"));
    let other = "CREATE DATABASE other";
    place.sql(other);
    let server = place.server.as_ref().unwrap();
    server
        .sql_in("other", "SELECT pg_create_logical_replication_slot('syncline_other', 'pgoutput')");
    place.sql("CREATE PUBLICATION syncline_other FOR TABLE bare");
    let foreign = place.table_with("bare", &["id"], followed("syncline_other"));
    let told = foreign.refusal().to_string();
    assert!(
        told.contains("of database `other`") && told.contains("pg_drop_replication_slot"),
        "{told}"
    );
    assert_eq!(foreign.try_read(since(None)).unwrap_err().to_string(), told);
    server.sql_in("other", "SELECT pg_drop_replication_slot('syncline_other')");
    for wrong in ["", "slot", "syncline_", "syncline_A", "syncline_a-b"] {
        let settings = place.settings();
        assert!(place.open(settings, "bare", &["id"], followed(wrong)).is_err(), "{wrong}");
    }
}

fn the_server_must_log_rows(place: &mut Place) {
    place.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
    let server = place.server.as_mut().unwrap();
    server.kill();
    server.logs_rows = false;
    server.run();
    let told = place.table_with("people", &["id"], followed("syncline_people")).refusal();
    assert!(told.to_string().contains("wal_level = logical"), "{told}");
}
