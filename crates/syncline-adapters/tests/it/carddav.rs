//! Address books on a real server: reading, writing, and what may go wrong between.

use crate::meddler::{Passing, between, reply, without_etag};
use crate::radicale::{Radicale, SECRET, USER};
use crate::reading::{Outcome, full, read_with, since, wait};
use crate::sql_place::{fields, short};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use syncline_adapters::write::{Change, CreateGuard, Replies, Target, UpdateGuard, Write, Written};
use syncline_adapters::{Adapter, AdapterError, ReadRequest, registry};
use syncline_core::config::model::{
    AddressBookSettings, CarddavSettings, Connection, Entity, EntitySettings, OneOrMany, Settings,
};
use syncline_core::record::Page;
use syncline_core::value::Value;

fn settings(url: String) -> CarddavSettings {
    CarddavSettings {
        url: Some(url),
        user: Some(USER.to_owned()),
        password: Some(SECRET.to_owned()),
        timeout_s: Some(20),
        ..CarddavSettings::default()
    }
}

fn open(settings: CarddavSettings, name: Option<&str>) -> Result<Arc<dyn Adapter>, AdapterError> {
    let own = AddressBookSettings {
        address_book: name.map(str::to_owned),
        ..AddressBookSettings::default()
    };
    let entity = Entity {
        key: OneOrMany::One("href".to_owned()),
        version: Some("etag".to_owned()),
        modified: Some("modified".to_owned()),
        settings: EntitySettings::AddressBook(own),
        ..Entity::default()
    };
    let connection = Connection {
        adapter: "carddav".to_owned(),
        settings: Settings::Carddav(settings),
        entities: [("it".to_owned(), entity)].into(),
        ..Connection::default()
    };
    registry::open(&connection, std::path::Path::new("."))
}

/// The server's address book, directly.
fn book(server: &Radicale) -> Arc<dyn Adapter> {
    open(settings(server.url()), None).unwrap()
}

/// The server's address book, with somebody in between.
fn through(
    server: &Radicale,
    meddle: impl Fn(&Passing) -> Option<Vec<u8>> + Send + 'static,
) -> Arc<dyn Adapter> {
    let port = between(server.port, meddle);
    open(settings(format!("http://127.0.0.1:{port}/")), None).unwrap()
}

fn read(adapter: &Arc<dyn Adapter>, request: ReadRequest) -> Outcome {
    let (pages, end) = read_with(adapter.as_ref(), request, |_| {});
    Outcome { pages, end: end.unwrap() }
}

/// The value of a field in each record; deleted ones begin with `-`.
fn values(pages: &[Page], name: &str) -> Vec<String> {
    let value = |page: &Page, record: &syncline_core::record::Record| {
        if record.deleted {
            return format!("-{}", record.cells[0].as_ref().unwrap().to_plain());
        }
        let cell = record.cell(page.shape.position(name).unwrap());
        cell.map_or_else(String::new, |value| value.to_plain().into_owned())
    };
    pages.iter().flat_map(|page| page.records.iter().map(|record| value(page, record))).collect()
}

fn card(uid: &str, name: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:;{name};;;\r\nEND:VCARD\r\n")
}

fn filled() -> Radicale {
    let server = Radicale::start();
    for name in ["Ada", "Bob", "Cyd", "Dan", "Eve"] {
        let uid = name.to_lowercase();
        server.put(&format!("{uid}.vcf"), &card(&uid, name));
    }
    server
}

fn write(adapter: &Arc<dyn Adapter>, writes: Vec<Write>) -> Replies {
    wait(adapter.writer().unwrap().write("it", writes))
}

fn outcomes(replies: &Replies) -> Vec<String> {
    replies.written.iter().map(short).collect()
}

fn create(marker: &str, json: &str) -> Write {
    let change = Change::Create { fields: fields(json) };
    Write { key: "k".into(), marker: marker.into(), change }
}

fn target(adapter: &Arc<dyn Adapter>, name: &str) -> Target {
    let page = wait(adapter.writer().unwrap().get("it", vec![vec![name.into()]])).unwrap();
    let version = values(&[page], "etag").pop().map(Into::into);
    Target { key: vec![name.into()], version, before: Vec::new() }
}

fn update(target: Target, json: &str) -> Write {
    let change = Change::Update { target, fields: fields(json) };
    Write { key: "k".into(), marker: "m".into(), change }
}

fn delete(target: Target) -> Write {
    Write { key: "k".into(), marker: "m".into(), change: Change::Delete { target } }
}

#[test]
fn all_cards_are_read_and_any_page_goes_on() {
    let server = filled();
    let adapter = book(&server);
    let whole = read(&adapter, full(None, 2));
    assert!(whole.end.complete && !whole.end.restarted, "{:?}", whole.end);
    assert_eq!(values(&whole.pages, "name"), ["Ada", "Bob", "Cyd", "Dan", "Eve"]);
    assert_eq!(values(&whole.pages, "href")[4], "eve.vcf");
    assert_eq!(whole.pages.len(), 3);
    for (index, page) in whole.pages.iter().enumerate() {
        for is_full in [true, false] {
            let request = ReadRequest { full: is_full, ..full(Some(page.cursor.clone()), 2) };
            let rest = read(&adapter, request);
            let all = values(&whole.pages, "name");
            assert_eq!(values(&rest.pages, "name"), all[(2 * index + 2).min(5)..], "{index}");
            assert!(rest.end.complete && !rest.end.restarted);
            assert_eq!(rest.end.cursor, whole.end.cursor);
        }
    }
    let once = read(&adapter, full(None, 1000));
    assert_eq!((once.pages.len(), once.end.complete), (1, true));
    assert!(values(&once.pages, "modified").iter().all(|at| at.starts_with("20")), "{once:?}");
    wait(adapter.check("it")).unwrap();
    let found = wait(adapter.discover("it")).unwrap();
    assert!(found.fields.contains(&("modified".to_owned(), "timestamp".to_owned())), "{found:?}");
}

#[test]
fn only_what_changed_is_read_and_deletions_are_told() {
    let server = filled();
    let adapter = book(&server);
    let first = read(&adapter, since(None));
    let nothing = read(&adapter, since(Some(first.end.cursor.clone())));
    assert!(nothing.pages.is_empty() && nothing.end.complete && !nothing.end.restarted);
    server.put("bob.vcf", &card("bob", "Bobby"));
    server.put("fay with blanks & co.vcf".replace(' ', "%20").as_str(), &card("fay", "Fay"));
    server.delete("dan.vcf");
    for _ in 0..2 {
        let changes = read(&adapter, since(Some(first.end.cursor.clone())));
        assert_eq!(values(&changes.pages, "name"), ["Bobby", "-dan.vcf", "Fay"]);
        assert!(changes.end.complete && !changes.end.restarted);
    }
    // Interrupted after the first page, it goes on there, and what changed meanwhile comes with the next read.
    let request = ReadRequest { page_len: 1, ..since(Some(first.end.cursor.clone())) };
    let stopped = read(&adapter, request);
    server.put("bob.vcf", &card("bob", "Rob"));
    let rest = read(&adapter, since(Some(stopped.pages[0].cursor.clone())));
    assert_eq!(values(&rest.pages, "name"), ["-dan.vcf", "Fay"]);
    let next = read(&adapter, since(Some(rest.end.cursor.clone())));
    assert_eq!(values(&next.pages, "name"), ["Rob"]);
}

#[test]
fn a_token_that_is_refused_leads_to_a_full_listing() {
    let server = filled();
    let adapter = book(&server);
    let first = read(&adapter, since(None));
    let mut cursor = first.end.cursor.clone();
    cursor["to"] = "http://radicale.org/ns/sync/0000".into();
    let again = read(&adapter, since(Some(cursor)));
    assert!(again.end.complete && again.end.restarted);
    assert_eq!(values(&again.pages, "name").len(), 5);
    assert_eq!(again.end.cursor, first.end.cursor);
    for foreign in [serde_json::json!({ "version": 9 }), serde_json::json!("x")] {
        let again = read(&adapter, since(Some(foreign)));
        assert!(again.end.restarted);
        assert_eq!(values(&again.pages, "name").len(), 5);
    }
}

#[test]
fn a_server_without_tokens_is_listed_whole() {
    let server = filled();
    let adapter = through(&server, |passing| {
        let is_sync = passing.is("REPORT ") && passing.body().contains("sync-collection");
        if is_sync { reply("405 Method Not Allowed", "") } else { Some(passing.pass()) }
    });
    let first = read(&adapter, since(None));
    assert!(first.end.complete && first.end.cursor.is_null());
    assert_eq!(values(&first.pages, "name").len(), 5);
    server.delete("ada.vcf");
    let stopped = read(&adapter, full(None, 2));
    assert_eq!(values(&stopped.pages, "name"), ["Bob", "Cyd", "Dan", "Eve"]);
    let rest = read(&adapter, full(Some(stopped.pages[0].cursor.clone()), 2));
    assert_eq!(values(&rest.pages, "name"), ["Dan", "Eve"]);
}

#[test]
fn address_books_are_found_from_any_address() {
    let server = filled();
    let base = server.url();
    for url in [base.clone(), format!("{base}{USER}"), format!("{base}{USER}/contacts")] {
        let adapter = open(settings(url.clone()), None).unwrap();
        assert_eq!(values(&read(&adapter, full(None, 9)).pages, "name").len(), 5, "{url}");
    }
    server.make_book("other-book", "Other People");
    let named = |name: Option<&str>| {
        let adapter = open(settings(server.url()), name).unwrap();
        wait(adapter.check("it")).map_err(|error| error.to_string())
    };
    for name in ["Contacts", "contacts", "Other People", "other-book"] {
        named(Some(name)).unwrap();
    }
    let several = named(None).unwrap_err();
    assert!(several.contains("`Contacts`, `Other People`"), "{several}");
    let unknown = named(Some("family")).unwrap_err();
    assert!(unknown.contains("no address book `family`; there are: `Contacts`"), "{unknown}");
}

#[test]
fn what_cannot_be_reached_says_why() {
    let server = Radicale::start();
    let refusal = |settings: CarddavSettings| {
        let error = open(settings, None).and_then(|adapter| wait(adapter.check("it"))).unwrap_err();
        (error.is_transient(), error.to_string())
    };
    let wrong = CarddavSettings { password: Some("hunter2".to_owned()), ..settings(server.url()) };
    let (transient, said) = refusal(wrong);
    assert!(!transient && said.contains("does not accept `user`"), "{said}");
    assert!(!said.contains("hunter2"));
    let (_, said) = refusal(settings("http://dav.example.com/".to_owned()));
    assert!(said.contains("not encrypted") && said.contains("allow_http"), "{said}");
    let (_, said) = refusal(settings("ftp://x/".to_owned()));
    assert!(said.contains("neither `https:`"), "{said}");
    let (_, said) = refusal(settings("https://ada:x@dav.example.com/".to_owned()));
    assert!(said.contains("has a user in it"), "{said}");
    let (transient, _) = refusal(settings("http://127.0.0.1:1/".to_owned()));
    assert!(transient);
    let answers = [
        ("503 Service Unavailable", "Retry-After: 7\r\n", "503"),
        ("301 Moved Permanently", "Location: https://other.example/\r\n", "name that as `url`"),
        ("301 Moved Permanently", "Location: /again\r\n", "from one address to the next"),
        ("401 Unauthorized", "WWW-Authenticate: Digest realm=x\r\n", "HTTP Basic"),
        ("200 OK", "", "is broken XML"),
    ];
    for (status, headers, expected) in answers {
        let port = between(server.port, move |_| reply(status, headers));
        let adapter = open(settings(format!("http://127.0.0.1:{port}/")), None).unwrap();
        let error = wait(adapter.check("it")).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(expected) || expected == "is broken XML", "{said}");
        if let AdapterError::Unavailable { retry_after_ms, .. } = error {
            assert_eq!(retry_after_ms, Some(7000));
        }
    }
}

#[test]
fn a_batch_is_written_and_each_write_has_its_reply() {
    let server = filled();
    let adapter = book(&server);
    let offers = wait(adapter.writer().unwrap().capabilities("it")).unwrap();
    assert_eq!((offers.create, offers.update), (CreateGuard::UniqueKey, UpdateGuard::Strong));
    let stale = target(&adapter, "cyd.vcf");
    server.put("cyd.vcf", &card("cyd", "Cydney"));
    let nobody =
        Target { key: vec!["nobody.vcf".into()], version: Some("\"1\"".into()), before: vec![] };
    let versionless = |name: &str, before: &str| Target {
        key: vec![name.into()],
        version: None,
        before: fields(before),
    };
    let replies = write(
        &adapter,
        vec![
            update(
                target(&adapter, "ada.vcf"),
                r#"{"email": "ada@x.example", "phone_mobile": "1"}"#,
            ),
            create("m-0", r#"{"name": "Fay", "categories": ["a", "b,c"]}"#),
            update(stale.clone(), r#"{"email": "x@x"}"#),
            delete(target(&adapter, "dan.vcf")),
            delete(stale),
            update(nobody.clone(), r#"{"email": "x@x"}"#),
            delete(nobody),
            update(target(&adapter, "bob.vcf"), r#"{"birthday": "soon"}"#),
            update(versionless("eve.vcf", r#"{"name": "Eve"}"#), r#"{"note": "n"}"#),
            update(versionless("bob.vcf", r#"{"name": "Bab"}"#), r#"{"note": "n"}"#),
            create("m-1", r#"{"note": "nameless"}"#),
        ],
    );
    let told = [
        "done ada.vcf",
        "done m-0.vcf",
        "changed",
        "done dan.vcf",
        "changed",
        "missing",
        "missing",
        "rejected birthday",
        "done eve.vcf",
        "changed",
        "rejected name",
    ];
    assert_eq!(outcomes(&replies), told);
    let Written::Done { record: Some(place), .. } = replies.written[0] else { panic!() };
    let pages = [replies.records.clone()];
    assert_eq!(values(&pages, "email")[place], "ada@x.example");
    assert_eq!(values(&pages, "etag")[place], target(&adapter, "ada.vcf").version.unwrap());
    let all = read(&adapter, full(None, 99));
    assert_eq!(values(&all.pages, "name"), ["Ada", "Bob", "Cydney", "Eve", "Fay"]);
    assert_eq!(values(&all.pages, "phone_mobile"), ["1", "", "", "", ""]);
    assert_eq!(values(&all.pages, "categories")[4], r#"["a","b,c"]"#);
    // What is there already is not written.
    let before = server.cards();
    let same = update(target(&adapter, "ada.vcf"), r#"{"email": "ada@x.example"}"#);
    assert_eq!(outcomes(&write(&adapter, vec![same])), ["done ada.vcf"]);
    assert_eq!(server.cards(), before);
}

#[test]
fn a_second_creation_finds_the_first() {
    let server = filled();
    let adapter = book(&server);
    let fay = || create("m-7", r#"{"name": "Fay"}"#);
    assert_eq!(outcomes(&write(&adapter, vec![fay()])), ["done m-7.vcf"]);
    assert_eq!(outcomes(&write(&adapter, vec![fay()])), ["exists m-7.vcf"]);
    let found =
        wait(adapter.writer().unwrap().find("it", vec![fay(), create("m-8", "{}")])).unwrap();
    assert_eq!(values(&[found], "href"), ["m-7.vcf"]);
    // So does one with the UID of another card.
    let twin = create("m-8", r#"{"name": "Ada", "uid": "ada"}"#);
    assert_eq!(outcomes(&write(&adapter, vec![twin])), ["exists ada.vcf"]);
    assert_eq!(server.cards().len(), 6);
}

#[test]
fn a_lost_reply_is_unknown_and_shows_afterwards() {
    let server = filled();
    let adapter = through(&server, |passing| {
        let reply = passing.pass();
        (!passing.is("PUT ")).then_some(reply)
    });
    let fay = create("m-7", r#"{"name": "Fay"}"#);
    let ada = update(target(&adapter, "ada.vcf"), r#"{"note": "new"}"#);
    let replies = write(&adapter, vec![fay.clone(), ada.clone()]);
    assert_eq!(outcomes(&replies), ["unknown", "unknown"]);
    let writer = adapter.writer().unwrap();
    let found = wait(writer.find("it", vec![fay.clone()])).unwrap();
    assert_eq!(values(&[found], "name"), ["Fay"]);
    let found = wait(writer.get("it", vec![vec!["ada.vcf".into()]])).unwrap();
    assert_eq!(values(&[found], "note"), ["new"]);
    // Sent again, neither does anything more.
    let before = server.cards();
    assert_eq!(outcomes(&write(&book(&server), vec![fay, ada])), ["exists m-7.vcf", "changed"]);
    assert_eq!(server.cards(), before);
}

#[test]
fn a_request_that_was_not_taken_is_sent_again() {
    let server = filled();
    let statuses = [
        "429 Too Many Requests",
        "503 Service Unavailable",
        "500 Internal Server Error",
        "401 Unauthorized",
        "403 Forbidden",
        "507 Insufficient Storage",
    ];
    let told = ["not sent", "not sent", "unknown", "not sent", "rejected", "unknown"];
    for (status, expected) in statuses.into_iter().zip(told) {
        let adapter = through(&server, move |passing| {
            if passing.is("PUT ") {
                reply(status, "Retry-After: 3\r\n")
            } else {
                Some(passing.pass())
            }
        });
        let replies = write(&adapter, vec![create("m-7", r#"{"name": "Fay"}"#)]);
        assert_eq!(outcomes(&replies), [expected], "{status}");
        if let Written::NotSent { retry_after_ms: Some(wait), .. } = &replies.written[0] {
            assert_eq!(*wait, 3000);
        }
    }
    assert_eq!(server.cards().len(), 5);
}

#[test]
fn what_is_shown_after_a_write_is_what_became_of_it() {
    let server = filled();
    // A server that rewrites cards says no version of what it was sent.
    let adapter = through(&server, |passing| {
        if !passing.is("PUT ") {
            return Some(passing.pass());
        }
        without_etag(passing.pass_with(&passing.body().replace("NOTE:a", "NOTE:A")))
    });
    let replies = write(&adapter, vec![update(target(&adapter, "ada.vcf"), r#"{"note": "a"}"#)]);
    assert!(matches!(replies.written[0], Written::Done { record: Some(0), .. }), "{replies:?}");
    assert_eq!(values(&[replies.records], "note"), ["A"]);
    // Somebody else's edit right after ours is not taken for it.
    let is_first = AtomicBool::new(true);
    let port = server.port;
    let adapter = through(&server, move |passing| {
        let reply = passing.pass();
        if passing.is("PUT ") && is_first.swap(false, Ordering::Relaxed) {
            let (head, _) = passing.head.split_once("\r\n").unwrap();
            let path = head.split_whitespace().nth(1).unwrap();
            let other = card("bob", "Somebody");
            let request = format!(
                "PUT {path} HTTP/1.0\r\nAuthorization: Basic YWRhOmNvcnJlY3QgaG9yc2U=\r\n\
                 Content-Type: text/vcard\r\nContent-Length: {}\r\n\r\n{other}",
                other.len()
            );
            crate::radicale::exchange(port, request.as_bytes());
        }
        Some(reply)
    });
    let bob = update(target(&adapter, "bob.vcf"), r#"{"note": "b"}"#);
    let replies = write(&adapter, vec![bob]);
    assert!(matches!(replies.written[0], Written::Done { record: None, .. }), "{replies:?}");
}

#[test]
fn properties_without_a_field_survive() {
    let server = filled();
    let adapter = book(&server);
    let photo = "/9j/4AAQ".repeat(130_000);
    let rich = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:rich\r\nN:Lovelace;Ada;King;Countess;\r\nFN:Ada\r\n\
         item1.EMAIL;TYPE=INTERNET,PREF:ada@work.example\r\nitem1.X-ABLABEL:_$!<Work>!$_\r\n\
         EMAIL;TYPE=INTERNET,HOME:ada@home.example\r\nX-SKYPE;X-P=\"a:b\":ada\r\n\
         IMPP;X-SERVICE-TYPE=Jabber:xmpp:ada@x.example\r\nGEO:51.5;-0.1\r\nTZ:+00:00\r\n\
         PHOTO;ENCODING=B;TYPE=JPEG:{photo}\r\nX-UNKNOWN:a\\,b\\;c\\nd\r\nEND:VCARD\r\n"
    );
    server.put("rich.vcf", &rich);
    let before = server.get("rich.vcf");
    assert!(before.len() > 1_000_000 && before.contains("X-UNKNOWN"));
    let json =
        r#"{"email": "ada@new.example", "given_name": "Augusta; A", "title": "Countess, the"}"#;
    let replies = write(&adapter, vec![update(target(&adapter, "rich.vcf"), json)]);
    assert_eq!(outcomes(&replies), ["done rich.vcf"]);
    let after = server.get("rich.vcf");
    let lines = |text: &str| -> Vec<String> {
        let unfolded = text.replace("\r\n ", "").replace("\n ", "");
        unfolded.lines().map(str::to_owned).collect()
    };
    let (old, new) = (lines(&before), lines(&after));
    let gone: Vec<&String> = old.iter().filter(|line| !new.contains(line)).collect();
    let come: Vec<&String> = new.iter().filter(|line| !old.contains(line)).collect();
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert_eq!(come.len(), 3, "{come:?}");
    assert!(come.iter().any(|line| line.contains("ada@new.example") && line.contains("item1")));
    assert!(come.iter().any(|line| line.contains("Lovelace;Augusta\\; A;King;Countess")));
    // An answer with many such cards is longer than is read at once.
    for number in 0..17 {
        server.put(
            &format!("rich{number}.vcf"),
            &rich.replace("UID:rich", &format!("UID:r{number}")),
        );
    }
    let all = read(&adapter, full(None, 1000));
    assert_eq!(values(&all.pages, "name").len(), 5 + 18);
    assert!(all.end.complete);
}

#[test]
fn hostile_values_come_back_as_they_were() {
    let server = filled();
    let adapter = book(&server);
    let values_of = [
        "a\nb",
        "x;y,z\\n",
        "\u{1f469}\u{200d}\u{1f680} \u{0645}",
        "END:VCARD",
        "a\nEND:VCARD\nTEL:1",
        "<![CDATA[&amp;]]>",
        "\"quoted\": 1",
        &"long ".repeat(500),
    ];
    let wide =
        [("name", "N"), ("note", ""), ("organization", ""), ("street", ""), ("nickname", "")];
    let make = |(number, value): (usize, &&str)| {
        let fields = wide.iter().map(|(name, before)| {
            ((*name).into(), Value::text(format!("{before}{}", value.trim_end())))
        });
        let change = Change::Create { fields: fields.collect() };
        Write { key: "k".into(), marker: format!("h-{number}").into(), change }
    };
    let writes: Vec<Write> = values_of.iter().enumerate().map(make).collect();
    let replies = write(&adapter, writes.clone());
    for (written, sent) in replies.written.iter().zip(&writes) {
        let Written::Done { record: Some(place), .. } = written else {
            panic!("{written:?} {sent:?}")
        };
        let Change::Create { fields } = &sent.change else { panic!() };
        for (name, value) in fields {
            let read = &values(std::slice::from_ref(&replies.records), name)[*place];
            assert_eq!(read, &value.to_plain(), "{name}");
        }
    }
    let refused = create("h-x", r#"{"name": "a\u0000b"}"#);
    let odd_name = create("h-y", r#"{"name": "odd", "href": "../ada.vcf"}"#);
    assert_eq!(outcomes(&write(&adapter, vec![refused, odd_name])), ["rejected name", "rejected"]);
}

#[test]
fn a_card_that_cannot_be_read_is_told_and_nothing_is_concluded() {
    let server = filled();
    let adapter = through(&server, |passing| {
        let reply = String::from_utf8(passing.pass()).unwrap();
        // Both are as long.
        Some(
            reply
                .replace("VERSION:3.0\r\nUID:bob", "VERSION:2.1\r\nUID:bob")
                .replace("VERSION:3.0&#13;\nUID:bob", "VERSION:2.1&#13;\nUID:bob")
                .replace("VERSION:3.0\nUID:bob", "VERSION:2.1\nUID:bob")
                .into_bytes(),
        )
    });
    let all = read(&adapter, full(None, 1000));
    assert_eq!(values(&all.pages, "name").len(), 4);
    assert_eq!(all.problems().len(), 1, "{:?}", all.problems());
    assert!(all.problems()[0].contains("`bob.vcf` is no vCard: it is of version `2.1`"));
    assert_eq!(all.gap(), "1 of the cards could not be read");
}
