//! PostgreSQL and MariaDB, each started once for all that is asked of it.

use crate::reading::{full, read_with, wait};
use crate::sql_place::{Place, create, update};
use crate::{sql_reading, sql_types, sql_writing};
use syncline_adapters::AdapterError;
use syncline_adapters::write::Written;
use syncline_core::config::model::{TableSettings, Tls};

fn all(place: &mut Place, types: fn(&Place)) {
    types(place);
    for case in sql_reading::ALL.iter().chain(sql_writing::ALL) {
        case(place);
    }
    a_connection_that_is_refused_says_why_and_tells_no_password(place);
    a_column_that_gets_another_type_in_mid_read_is_told(place);
    a_lock_that_stays_ends_in_a_time_out(place);
    a_server_that_dies_in_mid_read_is_read_on_when_it_is_back(place);
    a_server_that_does_not_answer_is_given_up(place);
    certificates_are_checked_where_they_are_to_be(place);
}

#[test]
fn postgres() {
    all(&mut Place::postgres(), sql_types::postgres);
}

#[test]
fn mariadb() {
    all(&mut Place::mariadb(), sql_types::mariadb);
}

fn a_connection_that_is_refused_says_why_and_tells_no_password(place: &Place) {
    place.make("CREATE TABLE there (id int PRIMARY KEY);");
    let refusal = |change: fn(&mut syncline_core::config::model::ServerSettings)| {
        let settings = place.server_settings(change);
        let table = place.open(settings, "there", &["id"], TableSettings::default()).unwrap();
        let error = table.refusal();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2") && !text.contains("correct horse"), "{text}");
        error
    };
    let wrong = refusal(|settings| settings.password = Some("hunter2".to_owned()));
    assert!(matches!(wrong, AdapterError::Refused { .. }), "{wrong:?}");
    assert!(wrong.to_string().contains("admin"), "{wrong}");
    let wrong = refusal(|settings| settings.database = Some("nowhere".to_owned()));
    assert!(matches!(wrong, AdapterError::Refused { .. }), "{wrong:?}");
    assert!(wrong.to_string().contains("nowhere"), "{wrong}");
    let wrong = refusal(|settings| settings.tls = Some(Tls::Require));
    assert!(matches!(wrong, AdapterError::Refused { .. }), "{wrong:?}");
    assert!(wrong.to_string().contains("TLS"), "{wrong}");
    let away = refusal(|settings| settings.port = Some(1));
    assert!(away.is_transient(), "{away:?}");
    let plain = place.server_settings(|settings| settings.tls = Some(Tls::Disable));
    let table = place.open(plain, "there", &["id"], TableSettings::default()).unwrap();
    wait(table.adapter.check("it")).unwrap();
    let missing = place.server_settings(|settings| settings.tls = Some(Tls::VerifyFull));
    let missing = place.open(missing, "there", &["id"], TableSettings::default());
    assert!(missing.err().unwrap().to_string().contains("`ca_file`"));
}

fn a_column_that_gets_another_type_in_mid_read_is_told(place: &Place) {
    // Hazard 65.
    let is_postgres = place.adapter == "postgres";
    for (was, is, said) in [
        ("int", "TEXT", "is now of the type text, and was integer"),
        ("TEXT", if is_postgres { "bytea" } else { "blob" }, ", and was text"),
        ("date", "MOMENT", ", and was date"),
    ] {
        place.make(&format!(
            "DROP TABLE IF EXISTS turning; CREATE TABLE turning (id int PRIMARY KEY, turned {was});
            INSERT INTO turning (id) VALUES (1), (2), (3), (4);"
        ));
        let table = place.table("turning", &["id"]);
        let mut pages = 0;
        let (seen, end) = read_with(table.adapter.as_ref(), full(None, 1), |_| {
            pages += 1;
            if pages == 1 && is_postgres {
                let using = if is == "bytea" { "turned::bytea" } else { "NULL" };
                place.make(&format!("ALTER TABLE turning ALTER turned TYPE {is} USING {using}"));
            } else if pages == 1 {
                place.make(&format!("ALTER TABLE turning MODIFY turned {is}"));
            }
        });
        let error = end.unwrap_err();
        assert!(matches!(error, AdapterError::Refused { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("`turned`") && text.contains(said), "{was} {is}: {text}");
        assert!(text.contains("changed after"), "{text}");
        assert!(!seen.is_empty());
        table.read();
    }
}

fn a_lock_that_stays_ends_in_a_time_out(place: &Place) {
    place
        .make("CREATE TABLE locked (id int PRIMARY KEY, n int); INSERT INTO locked VALUES (1, 1);");
    let settings = place.server_settings(|settings| settings.statement_timeout_s = Some(1));
    let slow = place.open(settings, "locked", &["id"], TableSettings::default()).unwrap();
    let replies = std::thread::scope(|scope| {
        let (held, is_held) = std::sync::mpsc::channel();
        let holder = scope.spawn(move || {
            let sleep = if place.adapter == "postgres" { "pg_sleep(3)" } else { "SLEEP(3)" };
            held.send(()).unwrap();
            place.sql(&format!(
                "BEGIN; UPDATE locked SET n = 2 WHERE id = 1; SELECT {sleep}; COMMIT;"
            ));
        });
        is_held.recv().unwrap();
        // Until the other one holds the lock, the update succeeds.
        let replies = loop {
            let replies = slow.write(vec![update("1", "{}", r#"{"n": 5}"#)]);
            if !matches!(replies.written[0], Written::Done { .. }) {
                break replies;
            }
        };
        holder.join().unwrap();
        replies
    });
    assert!(matches!(replies.written[0], Written::NotSent { .. }), "{replies:?}");
    assert_eq!(slow.outcomes(vec![update("1", r#"{"n": 2}"#, r#"{"n": 3}"#)]), ["done 1"]);
}

fn a_server_that_dies_in_mid_read_is_read_on_when_it_is_back(place: &mut Place) {
    place.make("CREATE TABLE kept (id int PRIMARY KEY);");
    // So many that no pages which were asked for ahead are all of them.
    let rows: Vec<String> = (1..=5000).map(|id| format!("({id})")).collect();
    place.sql(&format!("INSERT INTO kept VALUES {};", rows.join(", ")));
    if place.adapter == "postgres" {
        place.sql("CHECKPOINT");
    } else {
        place.sql("FLUSH TABLES");
    }
    let table = place.table("kept", &["id"]);
    // A session that will be found dead.
    table.write(vec![create(r#"{"id": 5001}"#)]);
    let mut seen = 0;
    let (pages, end) = read_with(table.adapter.as_ref(), full(None, 10), |_| {
        seen += 1;
        if seen == 2 {
            place.server.as_mut().unwrap().kill();
        }
    });
    let error = end.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(table.refusal().is_transient());
    let lost = table.outcomes(vec![create(r#"{"id": 5002}"#)]);
    assert_eq!(lost, ["not sent"]);
    place.server.as_mut().unwrap().run();
    let rest = table.try_read(full(Some(pages.last().unwrap().cursor.clone()), 10)).unwrap();
    let count: usize = pages.iter().chain(&rest.pages).map(|page| page.records.len()).sum();
    assert!(count >= 5000, "{count}");
    assert_eq!(table.outcomes(vec![create(r#"{"id": 5002}"#)]), ["done 5002"]);
}

fn a_server_that_does_not_answer_is_given_up(place: &Place) {
    let settings = place.server_settings(|settings| {
        settings.connect_timeout_s = Some(1);
        settings.statement_timeout_s = Some(1);
    });
    let table = place.open(settings, "kept", &["id"], TableSettings::default()).unwrap();
    table.write(vec![create(r#"{"id": 6000}"#)]);
    let server = place.server.as_ref().unwrap();
    server.signal("STOP");
    let error = table.refusal();
    server.signal("CONT");
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(table.outcomes(vec![create(r#"{"id": 6001}"#)]), ["done 6001"]);
}

fn certificates_are_checked_where_they_are_to_be(place: &mut Place) {
    let server = place.server.as_mut().unwrap();
    let (own, other) = (server.certify("server"), server.certify("other"));
    server.kill();
    server.run();
    let check = |tls: Tls, ca: Option<&std::path::Path>| {
        let settings = place.server_settings(|settings| {
            settings.tls = Some(tls);
            settings.ca_file = ca.map(|path| path.display().to_string());
        });
        let table = place.open(settings, "there", &["id"], TableSettings::default())?;
        wait(table.adapter.check("it"))
    };
    for tls in [Tls::Disable, Tls::Prefer, Tls::Require] {
        check(tls, None).unwrap();
    }
    check(Tls::VerifyFull, Some(&own)).unwrap();
    let error = check(Tls::VerifyFull, Some(&other)).unwrap_err();
    assert!(matches!(error, AdapterError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let nowhere = own.with_file_name("nowhere.crt");
    assert!(check(Tls::VerifyFull, Some(&nowhere)).is_err());
}
