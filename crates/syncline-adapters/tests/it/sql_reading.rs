//! Reading tables: what must hold of every database.

use crate::reading::{full, read_with, since, wait};
use crate::sql_place::Place;
use std::collections::BTreeSet;
use syncline_adapters::{AdapterError, ChangedSince, ReadRequest};
use syncline_core::config::model::TableSettings;
use syncline_core::record::Page;

/// 2024-01-01T00:00:00Z, in microseconds since 1970.
const NEW_YEAR_US: i64 = 1_704_067_200_000_000;

pub(crate) const ALL: &[fn(&Place)] = &[
    pages_come_in_the_order_of_the_key_and_go_on_from_any_cursor,
    rows_that_share_a_time_are_all_read_and_late_ones_by_looking_back,
    rows_that_stay_are_read_once_while_others_come_and_go,
    a_row_without_a_key_is_told_of,
    a_key_that_repeats_loses_no_row,
    names_of_all_kinds_are_quoted,
    a_column_that_goes_away_in_mid_read_is_told,
    what_is_missing_is_told_with_what_was_meant,
    a_reader_that_goes_away_stops_the_read,
];

fn lines(pages: &[Page]) -> Vec<String> {
    let shown = pages.iter().flat_map(crate::reading::shown);
    shown.map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

fn pages_come_in_the_order_of_the_key_and_go_on_from_any_cursor(place: &Place) {
    place.make(
        "CREATE TABLE pages (region TEXT NOT NULL, no int NOT NULL, name TEXT, PRIMARY KEY (region, no));
        INSERT INTO pages VALUES ('b', 2, 'x'), ('a', 10, NULL), ('a', 9, ''), ('c', 1, 'y'), ('b', 1, 'é');",
    );
    let table = place.table("pages", &["region", "no"]);
    let outcome = table.try_read(full(None, 2)).unwrap();
    let all = [
        r#"region="a" no=9 name="""#,
        r#"region="a" no=10 name=null"#,
        r#"region="b" no=1 name="é""#,
        r#"region="b" no=2 name="x""#,
        r#"region="c" no=1 name="y""#,
    ];
    assert_eq!(lines(&outcome.pages), all);
    assert!(outcome.end.complete && !outcome.end.restarted && outcome.end.cursor.is_null());
    assert_eq!(outcome.pages[2].records[0].line, 5);
    for (index, page) in outcome.pages.iter().enumerate() {
        for is_full in [true, false] {
            let request = ReadRequest { full: is_full, ..full(Some(page.cursor.clone()), 2) };
            let rest = table.try_read(request).unwrap();
            assert_eq!(lines(&rest.pages), all[(2 * index + 2).min(5)..], "{index}");
            assert!(rest.end.complete && !rest.end.restarted);
        }
    }
    let foreign = Some(serde_json::json!({ "version": 9 }));
    let again = table.try_read(full(foreign, 9)).unwrap();
    assert!(again.end.restarted);
    assert_eq!(lines(&again.pages), all);
    let some = TableSettings { columns: Some(vec!["no".to_owned()]), ..TableSettings::default() };
    let some = place.table_with("pages", &["region", "no"], some).read();
    assert_eq!(lines(&some.pages)[0], r#"region="a" no=9"#);
}

fn rows_that_share_a_time_are_all_read_and_late_ones_by_looking_back(place: &Place) {
    place.make("CREATE TABLE ties (id int PRIMARY KEY, at MOMENT, n int);");
    let row =
        |id: i64, at: &str| format!("INSERT INTO ties VALUES ({id}, '2024-01-01 {at}', {id});");
    let rows: String = (1..=20).map(|id| row(id, "10:00:00")).collect();
    place.sql(&format!("{rows}{}{}", row(21, "09:59:59.5"), row(22, "11:00:00")));
    let table = place.table("ties", &["id"]);
    let from = |field: &str, at_least: i64| ReadRequest {
        page_len: 4,
        changed_since: Some(ChangedSince { field: field.to_owned(), at_least }),
        ..since(None)
    };
    let ids = |request: ReadRequest| {
        let outcome = table.try_read(request).unwrap();
        assert!(outcome.end.complete && outcome.end.cursor.is_null());
        let Some(first) = outcome.pages.first() else { return Vec::new() };
        let place = first.shape.position("id").unwrap();
        let id = |record: &syncline_core::record::Record| record.cells[place].clone().unwrap();
        let ids: Vec<String> =
            outcome.pages.iter().flat_map(|p| &p.records).map(|r| id(r).to_json()).collect();
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "none comes twice: {ids:?}");
        ids
    };
    let ten = NEW_YEAR_US + 10 * 3_600_000_000;
    // SQLite's times are texts in any form, so whole days are read.
    let is_coarse = place.adapter == "sqlite";
    assert_eq!(ids(from("at", ten)).len(), if is_coarse { 22 } else { 21 });
    assert_eq!(ids(from("at", ten - 1_000_000)).len(), 22, "looking back finds the late one");
    assert_eq!(ids(from("at", NEW_YEAR_US + 86_400_000_000)), [""; 0]);
    assert_eq!(ids(from("n", 20)), ["20", "21", "22"]);
    // Interrupted among equal times, it goes on after the row that came last.
    let (pages, _) = read_with(table.adapter.as_ref(), from("at", ten), |_| {});
    let request = ReadRequest { cursor: Some(pages[1].cursor.clone()), ..from("at", ten) };
    let rest = table.try_read(request).unwrap();
    assert_eq!(lines(&rest.pages), lines(&pages[2..]));
}

fn rows_that_stay_are_read_once_while_others_come_and_go(place: &Place) {
    place.make("CREATE TABLE drift (id int PRIMARY KEY, name TEXT);");
    let insert = |id: u32| format!("INSERT INTO drift VALUES ({id}, 'n');");
    place.sql(&(0..100).map(|id| insert(id * 10)).collect::<String>());
    let table = place.table("drift", &["id"]);
    let mut round = 0;
    let (pages, end) = read_with(table.adapter.as_ref(), full(None, 7), |_| {
        round += 1;
        let odd = (0..5).map(|n| insert(round * 100 + n * 20 + 1)).collect::<String>();
        place.sql(&format!("{odd} DELETE FROM drift WHERE id = {}", round * 30));
    });
    assert!(end.unwrap().complete);
    let mut ids: Vec<i64> = pages
        .iter()
        .flat_map(|p| &p.records)
        .map(|r| r.cells[0].as_ref().unwrap().to_plain().parse().unwrap())
        .collect();
    let before = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), before, "none comes twice");
    let left = place.sql("SELECT id FROM drift");
    let missed = left.lines().map(|id| id.parse::<i64>().unwrap());
    let missed: Vec<i64> = missed.filter(|id| id % 10 == 0 && !ids.contains(id)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

fn a_row_without_a_key_is_told_of(place: &Place) {
    place.make(
        "CREATE TABLE nameless (code TEXT UNIQUE, name TEXT);
        INSERT INTO nameless VALUES (NULL, 'lost'), ('a', 'kept');",
    );
    let outcome = place.table("nameless", &["code"]).read();
    assert_eq!(lines(&outcome.pages), [r#"code="a" name="kept""#]);
    let rejected = outcome.rejected();
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].payload.contains("lost") && rejected[0].problem.contains("key is NULL"));
}

fn a_key_that_repeats_loses_no_row(place: &Place) {
    place.make(
        "CREATE TABLE repeated (code TEXT NOT NULL, name TEXT);
        INSERT INTO repeated VALUES ('a', '1'), ('b', '2'), ('b', '3'), ('c', '4'), ('c', '5');",
    );
    let table = place.table("repeated", &["code"]);
    assert_eq!(lines(&table.read().pages).len(), 5);
    place.sql("INSERT INTO repeated VALUES ('b', '6'), ('b', '7')");
    let error = table.try_read(full(None, 3)).unwrap_err().to_string();
    assert!(error.contains("share one key"), "{error}");
    assert_eq!(lines(&table.try_read(full(None, 5)).unwrap().pages).len(), 7);
}

fn names_of_all_kinds_are_quoted(place: &Place) {
    place.make("CREATE TABLE innocent (id int PRIMARY KEY);");
    let names = [
        "we\"ird`; DROP TABLE innocent; --",
        "SELECT",
        "a b.c",
        "Größe/$1?:x",
        "line\nbreak",
        "'quoted' \\ %s",
    ];
    for name in names {
        let quoted = match place.adapter {
            "mysql" => format!("`{}`", name.replace('`', "``")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        };
        place.make(&format!(
            "CREATE TABLE {quoted} ({quoted} int PRIMARY KEY, other int);
            INSERT INTO {quoted} VALUES (1, 1), (2, 2), (3, 3), (4, 4);"
        ));
        let table = place.table(name, &[name]);
        let outcome = table.read();
        assert_eq!(outcome.pages.iter().map(Page::len).sum::<usize>(), 4, "{name}");
        assert_eq!(outcome.pages[0].shape.names()[0], name);
        let key = serde_json::to_string(name).unwrap();
        let done = table.outcomes(vec![
            crate::sql_place::update("1", &format!("{{{key}: 1}}"), r#"{"other": 9}"#),
            crate::sql_place::delete("2", "{}"),
            crate::sql_place::create(&format!("{{{key}: 5}}")),
        ]);
        assert_eq!(done, ["done 1", "done 2", "done 5"], "{name}");
    }
    assert_eq!(place.sql("SELECT count(*) FROM innocent"), "0");
    let error = place.open(place.settings(), "a\0b", &["id"], TableSettings::default());
    assert!(error.err().unwrap().to_string().contains("NUL"));
}

fn a_column_that_goes_away_in_mid_read_is_told(place: &Place) {
    place.make(
        "CREATE TABLE shrinking (id int PRIMARY KEY, name TEXT, gone TEXT);
        INSERT INTO shrinking VALUES (1, 'a', 'x'), (2, 'b', 'x'), (3, 'c', 'x'), (4, 'd', 'x');",
    );
    let table = place.table("shrinking", &["id"]);
    let mut pages = 0;
    let (seen, end) = read_with(table.adapter.as_ref(), full(None, 1), |_| {
        pages += 1;
        if pages == 1 {
            place.sql("ALTER TABLE shrinking DROP COLUMN gone");
        }
    });
    let error = end.unwrap_err();
    assert!(matches!(error, AdapterError::Refused { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("gone") && text.contains("changed after"), "{text}");
    assert!(!seen.is_empty());
    assert_eq!(table.read().pages[0].shape.names(), ["id", "name"]);
}

fn what_is_missing_is_told_with_what_was_meant(place: &Place) {
    place.make("CREATE TABLE customers (id int PRIMARY KEY, email TEXT);");
    let told = |table: &str, key: &str, own: TableSettings| {
        let error = place.table_with(table, &[key], own).refusal();
        assert!(!error.is_transient());
        error.to_string()
    };
    let none = TableSettings::default;
    let marker = TableSettings { marker: Some("emial".to_owned()), ..none() };
    let schema = TableSettings { schema: Some("nowhere".to_owned()), ..none() };
    for (found, expected) in [
        (told("custmers", "id", none()), "no table `custmers`; did you mean `customers`?"),
        (told("customers", "ids", none()), "no column `ids`; did you mean `id`?"),
        (told("customers", "id", marker), "no column `emial`; did you mean `email`?"),
        (told("customers", "id", schema), "nowhere"),
    ] {
        assert!(found.contains(expected), "{found}");
    }
    let found = wait(place.table("customers", &["id"]).adapter.discover("it")).unwrap();
    let fields: Vec<String> =
        found.fields.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    assert_eq!(fields, ["id integer", "email text"]);
}

fn a_reader_that_goes_away_stops_the_read(place: &Place) {
    place.make("CREATE TABLE lengthy (id int PRIMARY KEY); INSERT INTO lengthy VALUES (1), (2), (3), (4), (5), (6);");
    let table = place.table("lengthy", &["id"]);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let read = table.adapter.read(full(None, 1), sender);
    let end = wait(async {
        let first = async {
            receiver.recv().await.unwrap();
            receiver.close();
        };
        tokio::join!(read, first).0.unwrap()
    });
    assert!(!end.complete && end.incomplete_because.is_some());
    let rest = table.try_read(full(Some(end.cursor), 9)).unwrap();
    assert!(rest.pages[0].records.len() < 6);
}

#[test]
fn sqlite_is_read() {
    for case in ALL {
        case(&Place::sqlite());
    }
}
