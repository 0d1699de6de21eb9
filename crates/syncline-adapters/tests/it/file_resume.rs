//! Going on where a read stopped: nothing twice, nothing lost.

use crate::reading::{Folder, full, gzip, zstd};
use proptest::prelude::*;

fn content(name: &str, lines: &[String]) -> Vec<u8> {
    let text = match name.split('.').nth(1) {
        Some("csv") => format!("id,text\n{}", lines.join("\n")),
        Some("jsonl") => lines.join("\n"),
        _ => format!("{{\"x\":{{}},\"data\":[{}]}}", lines.join(",\n")),
    };
    match name.rsplit('.').next() {
        Some("gz") => gzip(text),
        Some("zst") => zstd(text),
        _ => text.into_bytes(),
    }
}

fn line(name: &str, number: usize, kind: u8) -> String {
    let is_csv = name.contains("csv");
    match (is_csv, kind) {
        (true, 0) => format!("{number},\"two\nlines\"\r"),
        (true, 1) => format!("{number}"),
        (true, 2) => String::new(),
        (true, _) => format!("{number},Zoë"),
        (false, 0) => format!("{{\"id\":{number},\"k{}\":[{{}},\"]\"]}}", number % 3),
        (false, 1) => "{broken}".to_owned(),
        (false, 2) if name.contains("jsonl") => "  ".to_owned(),
        (false, _) => format!("{{\"id\":{number}}}"),
    }
}

const NAMES: [&str; 8] = [
    "a.jsonl",
    "a.csv",
    "a.json",
    "a.jsonl.gz",
    "a.csv.gz",
    "a.json.gz",
    "a.csv.zst",
    "a.jsonl.zst",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_page_border_gives_exactly_the_rest(
        name in prop::sample::select(NAMES.to_vec()),
        kinds in prop::collection::vec(0_u8..6, 0..24),
        page_len in 1_usize..7,
        ends in any::<bool>(),
    ) {
        let lines: Vec<_> =
            kinds.iter().enumerate().map(|(n, &kind)| line(name, n, kind)).collect();
        let folder = Folder::with(name, content(name, &lines)).set(|s| {
            s.records = name.starts_with("a.json").then(|| "data".to_owned());
        });
        if ends && (name == "a.csv" || name == "a.jsonl") && !lines.is_empty() {
            folder.append(name, "\n");
        }
        let whole = folder.try_read(full(None, page_len)).unwrap();
        prop_assert!(whole.end.complete, "{:?}", whole.end);
        let (records, problems) = (whole.records(), whole.problems());
        let (mut before, mut rejects) = (0, 0);
        for page in &whole.pages {
            before += page.records.len();
            rejects += page.rejected.len();
            let rest = folder.try_read(full(Some(page.cursor.clone()), page_len)).unwrap();
            prop_assert!(rest.end.complete && !rest.end.restarted);
            prop_assert_eq!(rest.records(), &records[before..]);
            prop_assert_eq!(rest.problems(), &problems[rejects..]);
            prop_assert_eq!(&rest.end.cursor, &whole.end.cursor);
        }
        let nothing = folder.read_since(&whole.end.cursor);
        prop_assert!(nothing.pages.is_empty() && nothing.end.complete);
        prop_assert_eq!(&nothing.end.cursor, &whole.end.cursor);
    }
}

#[test]
fn only_appended_lines_are_read_and_line_numbers_go_on() {
    for (name, head, tail, expected) in [
        ("a.jsonl", "{\"a\":1}\n", "{\"a\":2}\n", "a.jsonl:2 a=2"),
        ("a.csv", "a\n\"1\n\"\n", "2\n", "a.csv:4 a=\"2\""),
        ("a.tsv", "a\tb\r\n1\t2\r\n", "3\t4\r\n", "a.tsv:3 a=\"3\" b=\"4\""),
    ] {
        let folder = Folder::with(name, head);
        let first = folder.read();
        assert_eq!(first.records().len(), 1, "{name}");
        folder.append(name, tail);
        let second = folder.read_since(&first.end.cursor);
        assert_eq!(second.records(), [expected]);
        assert!(second.end.complete && !second.end.restarted);
        let third = folder.read_since(&second.end.cursor);
        assert_eq!(third.pages.len(), 0);
    }
}

#[test]
fn packed_files_grow_by_members() {
    let folder = Folder::with("a.jsonl.gz", gzip("{\"a\":1}\n"));
    let first = folder.read();
    folder.append("a.jsonl.gz", gzip("{\"a\":2}\n"));
    assert_eq!(folder.read_since(&first.end.cursor).records(), ["a.jsonl.gz:2 a=2"]);
}

#[test]
fn a_last_line_without_its_end_is_read_again_once_it_grew() {
    for (name, head, tail, expected) in [
        ("a.jsonl", "{\"a\":1}\n{\"a\":2", "3}\n{\"a\":4}\n", ["a.jsonl:2 a=23", "a.jsonl:3 a=4"]),
        ("a.csv", "a\n1\n2", "3\n4\n", ["a.csv:3 a=\"23\"", "a.csv:4 a=\"4\""]),
        ("a.csv", "a\n1\n\"2", "3\"\n4\n", ["a.csv:3 a=\"23\"", "a.csv:4 a=\"4\""]),
    ] {
        let folder = Folder::with(name, head);
        let first = folder.read();
        assert_eq!(first.pages[0].len(), 2, "{name}");
        folder.append(name, tail);
        let second = folder.read_since(&first.end.cursor);
        assert_eq!(second.records(), expected);
        assert!(!second.end.restarted);
    }
}

#[test]
fn a_rewritten_file_is_read_from_its_start() {
    for text in ["{\"a\":9}\n{\"a\":8}\n{\"a\":7}\n", "{\"a\":9}\n", "{\"a\":9}\n{\"a\":9}\n\n"] {
        let folder = Folder::with("a.jsonl", "{\"a\":1}\n{\"a\":2}\n");
        let first = folder.read();
        folder.write("a.jsonl", text);
        let second = folder.read_since(&first.end.cursor);
        assert_eq!(second.records().len(), text.trim().lines().count());
        assert!(second.end.restarted && second.end.complete);
    }
}

#[test]
fn a_checkpoint_in_another_file_starts_again() {
    let folder = Folder::with("a.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    let first = folder.try_read(full(None, 1)).unwrap();
    folder.append("a.jsonl", "{\"a\":3}\n");
    let again = folder.try_read(full(Some(first.pages[0].cursor.clone()), 1)).unwrap();
    assert_eq!(
        (again.bodies(), again.end.restarted),
        (["a=1", "a=2", "a=3"].map(String::from).to_vec(), true)
    );
    let foreign = folder.try_read(full(Some(serde_json::json!({"other": 1})), 1)).unwrap();
    assert_eq!((foreign.records().len(), foreign.end.restarted), (3, true));
}

#[test]
fn a_file_that_was_empty_is_not_called_restarted() {
    let folder = Folder::with("a.csv", "");
    let first = folder.read();
    folder.write("a.csv", "a\n1\n");
    let second = folder.read_since(&first.end.cursor);
    assert_eq!((second.records().len(), second.end.restarted), (1, false));
}

#[test]
fn a_glob_reads_new_files_and_forgets_those_that_are_gone() {
    let folder = Folder::reading("in/*.jsonl");
    folder.write("in/b.jsonl", "{\"n\":1}\n");
    folder.write("in/a.jsonl", "{\"n\":2}\n");
    let first = folder.try_read(full(None, 10)).unwrap();
    assert_eq!(first.records(), ["in/a.jsonl:1 n=2", "in/b.jsonl:1 n=1"]);
    assert_eq!(first.pages.len(), 1);
    folder.write("in/c.jsonl", "{\"n\":3}\n");
    std::fs::remove_file(folder.path("in/a.jsonl")).unwrap();
    folder.append("in/b.jsonl", "{\"n\":4}\n");
    let second = folder.read_since(&first.end.cursor);
    assert_eq!(second.records(), ["in/b.jsonl:2 n=4", "in/c.jsonl:1 n=3"]);
    let cursor = second.end.cursor.to_string();
    assert!(!cursor.contains("a.jsonl") && cursor.contains("c.jsonl"), "{cursor}");
}

#[test]
fn every_page_border_of_a_glob_gives_the_rest() {
    let folder = Folder::reading("*.csv");
    for file in ["1.csv", "2.csv", "3.csv"] {
        folder.write(file, "a\n1\n2\n3");
    }
    let whole = folder.try_read(full(None, 2)).unwrap();
    let records = whole.records();
    let mut before = 0;
    for page in &whole.pages {
        before += page.records.len();
        let rest = folder.try_read(full(Some(page.cursor.clone()), 2)).unwrap();
        assert_eq!(rest.records(), records[before..]);
    }
    assert_eq!(before, 9);
}
