//! Cards as bytes, fields and edits; answers of servers.

use super::card::{Card, escape, split, unescape};
use super::field::{SHAPE, Told, cell, cells, create, edit};
use super::multistatus;
use proptest::prelude::*;
use syncline_core::config::model::VcardVersion;
use syncline_core::value::Value;

/// A card as an app writes it: groups, labels, a photo, folded lines, properties that nobody knows.
const RICH: &str = "BEGIN:VCARD\r\n\
VERSION:3.0\r\n\
PRODID:-//Apple Inc.//iOS 17.0//EN\r\n\
UID:0a1b\r\n\
N:Lovelace;Ada;King,Augusta;Countess;\r\n\
FN:Ada Lovelace\r\n\
NICKNAME:Enchantress\\, of Numbers\r\n\
ORG:Analytical\\; Engines;Programs\r\n\
item1.EMAIL;type=INTERNET;type=pref:ada@work.example\r\n\
item1.X-ABLabel:_$!<Work>!$_\r\n\
EMAIL;type=INTERNET;type=HOME:ada@home.example\r\n\
TEL;type=FAX:+44 1\r\n\
TEL;type=CELL;type=VOICE;type=pref:+44 2\r\n\
TEL;type=\"home\":+44 3\r\n\
ADR;type=HOME:;;12 St James's\\nSquare;London;;SW1;UK\r\n\
NOTE:A very long note that goes on and on\\, so that it must be folded as the\r\n  standard asks\\nwith a line break; and a bare semicolon\r\n\
BDAY;X-APPLE-OMIT-YEAR=1604:1604-12-10\r\n\
X-SKYPE;X-P=\"a:b;c\":ada\r\n\
PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwME\r\n BQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYU\r\n\
CATEGORIES:friends,math\\,s\r\n\
REV:2024-02-29T10:30:45Z\r\n\
END:VCARD\r\n";

fn says(card: &Card, name: &str) -> String {
    let cells = cells(card, Told { href: "a.vcf", ..Told::default() });
    cell(&cells, name).unwrap().as_ref().map_or_else(|| "absent".to_owned(), Value::to_json)
}

fn parse(text: &str) -> Card {
    Card::parse(text.as_bytes()).unwrap()
}

/// A card of version 4.0 around `lines`.
fn with(lines: &str) -> Card {
    parse(&format!("BEGIN:VCARD\r\nVERSION:4.0\r\nFN:X\r\n{lines}END:VCARD\r\n"))
}

#[test]
fn fields_are_read_from_a_card() {
    let card = parse(RICH);
    for (name, expected) in [
        ("href", "\"a.vcf\""),
        ("etag", "null"),
        ("uid", "\"0a1b\""),
        ("kind", "\"individual\""),
        ("rev", "\"2024-02-29T10:30:45Z\""),
        ("name", "\"Ada Lovelace\""),
        ("family_name", "\"Lovelace\""),
        ("additional_names", "\"King,Augusta\""),
        ("name_prefix", "\"Countess\""),
        ("name_suffix", "null"),
        ("nickname", "\"Enchantress, of Numbers\""),
        ("organization", "\"Analytical; Engines\""),
        ("department", "\"Programs\""),
        ("email", "\"ada@work.example\""),
        ("email_home", "\"ada@home.example\""),
        ("email_work", "null"),
        ("emails", r#"["ada@work.example","ada@home.example"]"#),
        ("phone", "\"+44 2\""),
        ("phone_home", "\"+44 3\""),
        ("phone_mobile", "\"+44 2\""),
        ("phone_fax", "\"+44 1\""),
        ("street", r#""12 St James's\nSquare""#),
        ("city_home", "\"London\""),
        ("city_work", "null"),
        ("birthday", "absent"),
        ("categories", r#"["friends","math,s"]"#),
        ("title", "null"),
    ] {
        assert_eq!(says(&card, name), expected, "{name}");
    }
    let note = says(&card, "note");
    assert!(note.contains("folded as the standard asks\\nwith a line break; and"), "{note}");
}

#[test]
fn values_are_read_in_the_forms_that_the_standards_allow() {
    for (lines, name, expected) in [
        ("BDAY:19960415\r\n", "birthday", "\"1996-04-15\""),
        ("BDAY;VALUE=date-and-or-time:1996-04-15T10:00:00Z\r\n", "birthday", "\"1996-04-15\""),
        ("BDAY:--0415\r\n", "birthday", "absent"),
        ("BDAY;VALUE=text:circa 1800\r\n", "birthday", "absent"),
        ("BDAY:19961315\r\n", "birthday", "absent"),
        ("TEL;VALUE=uri;TYPE=\"voice,work\":tel:+1-2\r\n", "phone_work", "\"+1-2\""),
        ("EMAIL;PREF=2:b@x\r\nEMAIL;PREF=1:a@x\r\nEMAIL:c@x\r\n", "email", "\"a@x\""),
        ("email:a@x\r\n", "email", "\"a@x\""),
        ("TEL;CELL:1\r\n", "phone_mobile", "\"1\""),
        ("URL:https://x.example/a,b;c\r\n", "url", "\"https://x.example/a,b;c\""),
        ("KIND:Group\r\n", "kind", "\"group\""),
        ("X-ADDRESSBOOKSERVER-KIND:group\r\n", "kind", "\"group\""),
        ("NOTE:\r\n", "note", "null"),
        ("NOTE:ends in \\\r\n", "note", r#""ends in \\""#),
        ("REV:20240229T103045Z\r\n", "rev", "\"2024-02-29T10:30:45Z\""),
        ("REV:yesterday\r\n", "rev", "null"),
        ("CATEGORIES:a, b\r\nCATEGORIES:c\r\n", "categories", r#"["a","b","c"]"#),
        ("NO COLON AT ALL\r\n", "note", "null"),
        ("ORG:only\r\n", "department", "null"),
    ] {
        assert_eq!(says(&with(lines), name), expected, "{lines}");
    }
}

/// What is written to a field of the rich card, the line that goes, and the one that comes.
const EDITS: &[(&str, &str, &str, &str)] = &[
    ("name", "\"Ada L\"", "FN:Ada Lovelace\r\n", "FN:Ada L\r\n"),
    (
        "email",
        "\"a,b@x\"",
        "item1.EMAIL;type=INTERNET;type=pref:ada@work.example\r\n",
        "item1.EMAIL;type=INTERNET;type=pref:a\\,b@x\r\n",
    ),
    ("email_home", "null", "EMAIL;type=INTERNET;type=HOME:ada@home.example\r\n", ""),
    (
        "given_name",
        "\"A;da\"",
        "N:Lovelace;Ada;King,Augusta;Countess;\r\n",
        "N:Lovelace;A\\;da;King,Augusta;Countess;\r\n",
    ),
    (
        "department",
        "\"\"",
        "ORG:Analytical\\; Engines;Programs\r\n",
        "ORG:Analytical\\; Engines;\r\n",
    ),
    (
        "street",
        "\"1\\r\\n2\"",
        "ADR;type=HOME:;;12 St James's\\nSquare;London;;SW1;UK\r\n",
        "ADR;type=HOME:;;1\\n2;London;;SW1;UK\r\n",
    ),
    (
        "birthday",
        "\"1815-12-10\"",
        "BDAY;X-APPLE-OMIT-YEAR=1604:1604-12-10\r\n",
        "BDAY:1815-12-10\r\n",
    ),
    ("title", "\"Countess\"", "", "TITLE:Countess\r\n"),
    ("email_work", "\"w@x\"", "", "EMAIL;TYPE=INTERNET,WORK:w@x\r\n"),
    ("phone_work", "7", "", "TEL;TYPE=VOICE,WORK:7\r\n"),
    (
        "categories",
        r#"["math,s","new"]"#,
        "CATEGORIES:friends,math\\,s\r\n",
        "CATEGORIES:math\\,s,new\r\n",
    ),
    (
        "emails",
        r#"["ada@home.example","n@x"]"#,
        "item1.EMAIL;type=INTERNET;type=pref:ada@work.example\r\n",
        "EMAIL;TYPE=INTERNET:n@x\r\n",
    ),
    (
        "emails",
        r#"["ada@home.example"]"#,
        "item1.EMAIL;type=INTERNET;type=pref:ada@work.example\r\n",
        "",
    ),
    ("url", "\"https://x.example/?a=1,2;3\"", "", "URL:https://x.example/?a=1,2;3\r\n"),
    ("city_work", "\"Paris\"", "", "ADR;TYPE=WORK:;;;Paris;;;\r\n"),
    ("anniversary", "null", "", ""),
    ("uid", "\"0a1b\"", "", ""),
];

#[test]
fn an_edit_changes_its_own_lines_only() {
    for &(name, value, gone, come) in EDITS {
        let mut card = parse(RICH);
        edit(&mut card, name, &serde_json::from_str(value).unwrap()).unwrap();
        let text = String::from_utf8(card.to_bytes()).unwrap();
        let mut before: Vec<&str> = lines(RICH);
        let mut after: Vec<&str> = lines(&text);
        before.retain(|line| *line != gone);
        after.retain(|line| *line != come);
        assert_eq!(before, after, "{name}");
        assert_eq!(text.len() + gone.len(), RICH.len() + come.len(), "{name}: {text}");
        if !value.starts_with(['[', 'n']) && !value.contains("\\r") && value != "\"\"" {
            let read = says(&card, name);
            assert_eq!(read.trim_matches('"'), value.trim_matches('"'), "{name}");
        }
    }
}

/// The content lines of a card, each with what goes on in the next.
fn lines(text: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = vec![0];
    let breaks = text.match_indices("\r\n").map(|(at, _)| at + 2);
    starts.extend(breaks.filter(|at| !text[*at..].starts_with([' ', '\t'])));
    starts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

#[test]
fn cards_of_version_4_are_written_as_that_asks() {
    let mut card = with("TEL;VALUE=uri;PREF=1:tel:+1\r\nBDAY:--0415\r\n");
    for (name, value) in [
        ("phone", "+2 3"),
        ("birthday", "1996-04-15"),
        ("email_home", "a@x"),
        ("note", "x\u{1f600}"),
    ] {
        edit(&mut card, name, &Value::text(value)).unwrap();
    }
    let text = String::from_utf8(card.to_bytes()).unwrap();
    for line in ["TEL;PREF=1:+2 3", "BDAY:19960415", "EMAIL;TYPE=home:a@x", "NOTE:x\u{1f600}"] {
        assert!(text.contains(&format!("{line}\r\n")), "{line}: {text}");
    }
}

#[test]
fn what_cannot_be_written_says_why() {
    for (name, value, expected) in [
        ("name", Value::Null, "needs a name"),
        ("note", Value::text("a\u{0}b"), "U+0000"),
        ("url", Value::text("a\r\nTEL:1"), "U+000D"),
        ("url", Value::text("a\nTEL:1"), "U+000A"),
        ("birthday", Value::text("soon"), "not a date"),
        ("title", Value::List(Vec::new()), "must be text"),
        ("emails", Value::List(vec![Value::Map(Vec::new())]), "list of texts"),
        ("rev", Value::text("x"), "cannot be written"),
        ("uid", Value::text("other"), "cannot be written"),
        ("photo", Value::text("x"), "no such field"),
    ] {
        let mut card = parse(RICH);
        let problem = edit(&mut card, name, &value).unwrap_err();
        assert!(problem.contains(expected), "{name}: {problem}");
        assert_eq!(card.to_bytes(), RICH.as_bytes(), "{name}");
    }
}

#[test]
fn an_address_that_would_be_read_as_another_is_refused() {
    let mut card = Card::parse(b"BEGIN:VCARD\nVERSION:3.0\nFN:X\nEND:VCARD\n").unwrap();
    for name in ["url", "impp"] {
        let problem = edit(&mut card, name, &Value::text("\\a")).unwrap_err();
        assert!(problem.contains("cannot hold the character `\\`"), "{name}: {problem}");
    }
}

#[test]
fn what_is_no_card_says_why() {
    for (text, expected) in [
        ("", "does not begin"),
        ("hello", "does not begin"),
        ("BEGIN:VCARD\r\nVERSION:3.0\r\n", "does not end"),
        ("BEGIN:VCARD\r\nEND:VCARD\r\n", "does not say its `VERSION`"),
        ("BEGIN:VCARD\r\nVERSION:2.1\r\nEND:VCARD\r\n", "version `2.1`"),
        (
            "BEGIN:VCARD\nVERSION:3.0\nEND:VCARD\nBEGIN:VCARD\nVERSION:3.0\nEND:VCARD\n",
            "more than one",
        ),
        ("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "does not begin"),
    ] {
        let problem = Card::parse(text.as_bytes()).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
    let problem = Card::parse(b"BEGIN:VCARD\nVERSION:3.0\nFN:\xff\nEND:VCARD\n").unwrap_err();
    assert_eq!(problem, "line 3 is not UTF-8");
    // Characters that a fold cut in two are whole again.
    let card = Card::parse(b"BEGIN:VCARD\nVERSION:3.0\nFN:\xc3\n \xa9\nEND:VCARD").unwrap();
    assert_eq!(says(&card, "name"), "\"\u{e9}\"");
}

#[test]
fn a_new_card_has_the_names_it_needs() {
    let make = |version, fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields.iter().map(|(n, v)| ((*n).into(), Value::text(v))).collect();
        create(version, "u-1", &fields).map(|card| String::from_utf8(card.to_bytes()).unwrap())
    };
    let (v3, v4) = (VcardVersion::V3, VcardVersion::V4);
    for (version, fields, expected) in [
        (v3, &[("name", "Ada L")][..], &["VERSION:3.0", "UID:u-1", "FN:Ada L", "N:Ada L;;;;"][..]),
        (v4, &[("family_name", "L"), ("given_name", "A")], &["VERSION:4.0", "FN:A L", "N:L;A;;;"]),
        (v3, &[("name", "A"), ("family_name", "")], &["FN:A", "N:;;;;"]),
        (v3, &[("email", "a@x"), ("uid", "own")], &["FN:a@x", "UID:own"]),
        (v3, &[("organization", "A; B")], &["FN:A\\; B", "ORG:A\\; B"]),
    ] {
        let text = make(version, fields).unwrap();
        for line in expected {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}: {text}");
        }
    }
    let (field, problem) = make(v3, &[("note", "x")]).unwrap_err();
    assert_eq!((&*field, problem.contains("needs a name")), ("name", true));
}

#[test]
fn answers_are_read_whatever_their_prefixes() {
    let body = r#"<?xml version="1.0"?>
<!-- a comment --><x:multistatus xmlns:x="DAV:" xmlns:card="urn:ietf:params:xml:ns:carddav">
<x:response><x:href>/a%20b/</x:href><x:propstat><x:prop><x:getetag>"1"</x:getetag>
<card:address-data>BEGIN:VCARD&#13;
N:&lt;&amp;&#x41;<![CDATA[<b>]]></card:address-data></x:prop><x:status>HTTP/1.1 200 OK</x:status></x:propstat>
<x:propstat><x:prop><x:displayname>no</x:displayname></x:prop><x:status>HTTP/1.1 404 Not Found</x:status></x:propstat></x:response>
<x:response><x:href>/gone</x:href><x:status>HTTP/1.1 404 Not Found</x:status></x:response>
<x:sync-token>t&amp;1</x:sync-token></x:multistatus>"#;
    let mut found = Vec::new();
    let answer = multistatus::read(body.as_bytes(), |resource| found.push(resource)).unwrap();
    assert_eq!(answer.sync_token.as_deref(), Some("t&1"));
    assert_eq!(found[0].told.etag.as_deref(), Some("\"1\""));
    assert_eq!(found[0].told.card.as_deref(), Some("BEGIN:VCARD\r\nN:<&A<b>"));
    assert_eq!((found[0].told.name.as_deref(), found[1].status), (None, Some(404)));
    let error = r#"<error xmlns="DAV:"><valid-sync-token/></error>"#;
    let answer = multistatus::read(error.as_bytes(), |_| {}).unwrap();
    assert_eq!(answer.conditions, ["valid-sync-token"]);
    for broken in ["<a", "<a xmlns='DAV:'><b></a>", "<a>&nope;</a>", "<a>"] {
        multistatus::read(broken.as_bytes(), |_| {}).unwrap_err();
    }
    let hostile = multistatus::sync("a<b>&\"");
    assert!(hostile.contains("a&lt;b&gt;&amp;"), "{hostile}");
}

const NAMES: &[&str] =
    &["NOTE", "EMAIL;TYPE=home", "item1.TEL", "X-Y;P=\"a:b\"", "N", "ADR", "bday", "CATEGORIES"];

fn line() -> impl Strategy<Value = String> {
    let end = prop_oneof![Just("\r\n"), Just("\n"), Just("\r\n folded\r\n"), Just("\n\tx\n")];
    (prop::sample::select(NAMES), "[^\\r\\n]{0,90}", end)
        .prop_map(|(name, value, end)| format!("{name}:{value}{end}"))
}

/// The names of the fields that a text can be written to.
fn texts() -> Vec<&'static str> {
    let all = SHAPE.names().iter().map(|name| name.as_str());
    let is_text = |name: &&str| {
        let others = ["href", "etag", "modified", "uid", "kind", "rev", "birthday", "anniversary"];
        !others.contains(name) && !name.ends_with('s') || name.starts_with("additional")
    };
    all.filter(is_text).collect()
}

proptest! {
    #[test]
    fn what_is_not_edited_keeps_its_bytes(lines in prop::collection::vec(line(), 0..12)) {
        let text = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:X\r\n{}END:VCARD\r\n", lines.concat());
        let card = Card::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(card.to_bytes(), text.as_bytes());
        // Neither does writing back what was read.
        let said = cells(&card, Told::default());
        let mut same = card.clone();
        for (name, value) in SHAPE.names().iter().zip(&said).skip(6) {
            if let Some(value) = value {
                edit(&mut same, name, value).unwrap();
            }
        }
        prop_assert_eq!(same, card);
    }

    #[test]
    fn what_is_written_is_read_back_and_others_stay(
        lines in prop::collection::vec(line(), 0..8),
        name in prop::sample::select(texts()),
        value in "[^\\p{C}]([^\\p{C}]|\\n){0,120}",
    ) {
        let text = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:X\r\n{}END:VCARD\r\n", lines.concat());
        let mut card = Card::parse(text.as_bytes()).unwrap();
        let before = card.to_bytes();
        let was = says(&card, name);
        match edit(&mut card, name, &Value::text(&value)) {
            Err(problem) => prop_assert!(problem.contains("cannot hold"), "{}", problem),
            Ok(()) => prop_assert_eq!(says(&card, name), Value::text(&value).to_json()),
        }
        let after = card.to_bytes();
        if was == says(&card, name) {
            prop_assert_eq!(&before, &after);
        }
        let again = Card::parse(&after).unwrap();
        prop_assert_eq!(says(&again, name), says(&card, name));
        let longest = String::from_utf8(after.clone()).unwrap();
        let new = longest.lines().filter(|line| !text.contains(*line));
        prop_assert!(new.clone().all(|line| line.len() <= 75), "{:?}", new.collect::<Vec<_>>());
        // At most one line went, and one came.
        let held = |bytes: &[u8]| Card::parse(bytes).unwrap().lines();
        let (before, after) = (held(&before), held(&after));
        let rest = |one: &[Vec<u8>], other: &[Vec<u8>]| {
            one.iter().filter(|line| !other.contains(line)).count()
        };
        prop_assert!(rest(&before, &after) <= 1 && rest(&after, &before) <= 1);
    }

    #[test]
    fn texts_are_escaped_and_come_back(text in "\\PC{0,40}", other in "\\PC{0,40}") {
        let value = format!("{};{}", escape(&text).unwrap(), escape(&other).unwrap());
        let parts: Vec<String> = split(&value, ';').into_iter().map(unescape).collect();
        prop_assert_eq!(parts, [text, other]);
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(BEGIN:VCARD|VERSION:3.0|[\\PC]|[\\r\\n ;:.=\"]|TEL|N:|END:VCARD){0,30}") {
        for body in [&bytes[..], text.as_bytes()] {
            if let Ok(card) = Card::parse(body) {
                cells(&card, Told::default());
            }
            drop(multistatus::read(body, |_| {}));
        }
    }
}
