//! What goes wrong with files: each case says what is wrong, where, and loses nothing.

use crate::reading::{Folder, full, gzip, shown, since, wait, zstd};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use syncline_adapters::AdapterError;
use tokio::sync::mpsc;

#[test]
fn malformed_lines_are_rejected_with_their_number_and_the_read_goes_on() {
    let deep = "[".repeat(100_000);
    let cases: [(&[u8], &str); 12] = [
        (b"{\"a\":1", "EOF while parsing an object"),
        (b"{\"a\":NaN}", "expected value at column 6"),
        (b"{\"a\":1e400}", "number out of range at column"),
        (b"{\"a\":-1e400}", "number out of range at column"),
        (b"[1]", "invalid type: sequence, expected a JSON object"),
        (b"7", "invalid type: integer `7`, expected a JSON object"),
        (b"null", "invalid type: null, expected a JSON object"),
        (b"{} {}", "trailing characters at column 4"),
        (b"{\"a\":\"\xFF\"}", "byte 7 is not valid text"),
        (b"{\"a\":\"\\ud800\"}", "at column"),
        (b"{\"a\":\"\x00\"}", "control character"),
        (deep.as_bytes(), "invalid type: sequence"),
    ];
    for (line, part) in cases {
        let text = [b"{\"a\":1}\n", line, b"\n{\"a\":2}\n"].concat();
        let outcome = Folder::with("a.jsonl", text).read();
        assert_eq!(outcome.records(), ["a.jsonl:1 a=1", "a.jsonl:3 a=2"]);
        let problems = outcome.problems();
        assert!(problems[0].starts_with("2 ") && problems[0].contains(part), "{problems:?}");
        assert_eq!((problems.len(), outcome.gap()), (1, ""));
    }
}

#[test]
fn nesting_that_is_too_deep_is_rejected() {
    let deep = format!("{{\"a\":{}{}}}\n{{\"a\":1}}\n", "[".repeat(5000), "]".repeat(5000));
    let outcome = Folder::with("a.jsonl", deep).read();
    assert_eq!(outcome.bodies(), ["a=1"]);
    assert!(outcome.problems()[0].contains("recursion limit"), "{:?}", outcome.problems());
}

#[test]
fn a_payload_is_cut_and_made_readable() {
    let line = [b"{\xFF".as_slice(), &[b'x'; 200_000]].concat();
    let outcome = Folder::with("a.jsonl", line).read();
    let payload = &outcome.rejected()[0].payload;
    assert!(payload.starts_with("{\u{FFFD}xxx"));
    assert_eq!(payload.chars().count(), 64 << 10);
}

/// A sparse file of 96 MiB stands for the 2 GB line: what is held is bounded by `line_bytes_max`
/// (here 1 MiB) and the window's own 256 KiB, neither of which knows the line's length.
#[test]
fn a_line_far_too_long_is_passed_without_being_held() {
    for (name, head) in [("a.jsonl", "{\"a\":1}\n"), ("a.csv", "a\n1\n")] {
        let folder = Folder::with(name, head).set(|s| s.line_bytes_max = Some(1 << 20));
        let mut file = fs::OpenOptions::new().write(true).open(folder.path(name)).unwrap();
        file.seek(SeekFrom::Start(96 << 20)).unwrap();
        file.write_all(if name == "a.csv" { b"\n2\n" } else { b"\n{\"a\":2}\n" }).unwrap();
        drop(file);
        let outcome = folder.read();
        assert_eq!(outcome.records().len(), 2, "{name}");
        let (rejected, line) = (outcome.rejected()[0], if name == "a.csv" { 3 } else { 2 });
        assert_eq!((rejected.line, rejected.payload.len()), (line, 64 << 10));
        assert!(rejected.problem.contains("longer than 1048576 bytes"));
        let last = outcome.records()[1].clone();
        assert!(last.starts_with(&format!("{name}:{} ", line + 1)), "{last}");
    }
}

#[test]
fn a_quote_that_is_never_closed_costs_one_line() {
    let rows: String = (2..200).map(|n| format!("{n},x\n")).collect();
    let text = format!("id,v\n1,\"open\n{rows}");
    for (line_bytes_max, name) in [(1 << 20, "by the file's end"), (300, "by the limit")] {
        let folder = Folder::with("a.csv", &text).set(|s| s.line_bytes_max = Some(line_bytes_max));
        let outcome = folder.read();
        assert_eq!(outcome.records().len(), 198, "{name}");
        assert_eq!(outcome.records()[0], r#"a.csv:3 id="2" v="x""#, "{name}");
        let rejected = outcome.rejected();
        assert_eq!((rejected.len(), rejected[0].line), (1, 2), "{name}");
        assert_eq!(rejected[0].payload, "1,\"open", "{name}");
        assert!(rejected[0].problem.contains("never closed"), "{name}");
    }
    let last = Folder::with("a.csv", "id,v\n1,\"open").read();
    assert_eq!(last.problems().len(), 1);
    assert_eq!(last.rejected()[0].payload, "1,\"open");
}

#[test]
fn rows_between_two_stray_quotes_are_not_swallowed() {
    let rows: String = (2..20_000).map(|n| format!("{n},x\n")).collect();
    let outcome = Folder::with("a.csv", format!("id,v\n\"1,x\n{rows}2\",0,x\n")).read();
    assert_eq!(outcome.records().len(), 19_998);
    let lines: Vec<_> = outcome.rejected().iter().map(|rejected| rejected.line).collect();
    assert_eq!(lines, [2, 20_001]);
}

#[test]
fn bytes_that_are_no_text_name_the_column() {
    let outcome = Folder::with("a.csv", b"id,name\n1,Zo\xEB\n2,ok\n").read();
    assert_eq!(outcome.bodies(), [r#"id="2" name="ok""#]);
    let expected =
        "2 column `name` is not valid text in this encoding: byte 3 of it is 0xEB; set `encoding`";
    assert_eq!(outcome.problems(), [expected]);
    let split = Folder::with("a.csv", b"a,b\n\xC3,\xA9\n").read();
    assert_eq!(split.records().len(), 0);
}

#[test]
fn empty_files_and_headers_alone_are_complete_reads_of_nothing() {
    for (name, text) in [
        ("a.jsonl", ""),
        ("a.csv", ""),
        ("a.csv", "id,name\n"),
        ("a.csv", "id,name"),
        ("a.jsonl", "\n\n"),
        ("a.csv", "\u{FEFF}"),
    ] {
        let outcome = Folder::with(name, text).read();
        assert!(outcome.end.complete && outcome.pages.is_empty(), "{name} {text:?}");
    }
    let outcome = Folder::with("a.csv.gz", "").read();
    assert!(outcome.gap().contains("`a.csv.gz` is empty"), "{}", outcome.gap());
}

#[test]
fn packed_files_that_break_off_give_their_whole_lines() {
    let line = |n: u32| {
        format!("{{\"n\":{n},\"x\":{}}}\n", u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    };
    let text: String = (0..20_000).map(line).collect();
    for (name, bytes) in [("a.jsonl.gz", gzip(&text)), ("a.jsonl.zst", zstd(&text))] {
        let folder = Folder::with(name, &bytes[..bytes.len() / 2]);
        let outcome = folder.read();
        let (records, problems) = (outcome.records(), outcome.problems());
        assert!(records.len() > 1000 && records.len() < 19_000, "{name}: {}", records.len());
        assert_eq!(problems, Vec::<String>::new(), "{name}");
        let last = format!("after line {}", records.len());
        assert!(outcome.gap().contains(&last), "{name}: {}", outcome.gap());

        let again = folder.read_since(&outcome.end.cursor);
        assert_eq!((again.records().len(), again.end.complete), (0, false), "{name}");
        folder.write(name, &bytes);
        let rest = folder.read_since(&outcome.end.cursor);
        assert_eq!(records.len() + rest.records().len(), 20_000, "{name}");
        assert!(rest.end.complete && !rest.end.restarted, "{name}");
    }
}

#[test]
fn damaged_packed_files_end_incomplete_and_the_next_file_is_read() {
    let folder = Folder::reading("*.csv.gz");
    let mut damaged = gzip("a\n".to_owned() + &"1\n".repeat(10));
    let middle = damaged.len() - 6;
    damaged[middle] ^= 0xFF;
    folder.write("1.csv.gz", damaged);
    folder.write("2.csv.gz", gzip("a\n2\n"));
    let outcome = folder.read();
    assert!(outcome.records().contains(&"2.csv.gz:2 a=\"2\"".to_owned()));
    assert!(outcome.gap().contains("1.csv.gz") && !outcome.gap().contains("2.csv.gz"));
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let folder = Folder::reading("data.csv");
    assert_eq!(folder.refusal(), "cannot read `data.csv`: there is no such file");
    fs::create_dir(folder.path("data.csv")).unwrap();
    let message = folder.refusal();
    assert!(
        message.contains("is a directory") && message.contains("`data.csv/*.csv`"),
        "{message}"
    );
    let none = Folder::reading("in/*.csv");
    assert_eq!(none.refusal(), "cannot read `in/*.csv`: no file matches");
    assert!(!none.try_read(full(None, 1)).unwrap_err().is_transient());
}

#[test]
fn settings_that_cannot_work_are_told_on_opening() {
    let cases: [(Folder, &str); 6] = [
        (Folder::reading("a.txt"), "does not tell the format"),
        (Folder::reading(""), "`path` is missing"),
        (Folder::reading("a.csv").set(|s| s.delimiter = Some('→')), "single ASCII character"),
        (
            Folder::reading("a.csv").set(|s| s.quote = Some(',')).set(|s| s.delimiter = Some(',')),
            "same",
        ),
        (
            Folder::reading("a.csv").set(|s| s.encoding = Some("klingon".into())),
            "encoding `klingon`",
        ),
        (Folder::reading("a.csv").set(|s| s.line_bytes_max = Some(0)), "at least 1"),
    ];
    for (folder, part) in cases {
        let Err(AdapterError::Settings(message)) = folder.adapter() else { panic!("{part}") };
        assert!(message.contains(part) && message.contains("entity `it`"), "{message}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_incomplete_and_loses_nothing() {
    let line = |n: u32| format!("{{\"n\":{n}}}\n");
    let folder = Folder::with("a.jsonl", (0..100).map(line).collect::<String>());
    let adapter = folder.adapter().unwrap();
    let (mut seen, end) = wait(async {
        let (sender, mut receiver) = mpsc::channel(1);
        let change = async {
            let mut seen = shown(&receiver.recv().await.unwrap());
            folder.append("a.jsonl", line(100));
            while let Some(page) = receiver.recv().await {
                seen.extend(shown(&page));
            }
            seen
        };
        let (end, seen) = tokio::join!(adapter.read(full(None, 10), sender), change);
        (seen, end.unwrap())
    });
    assert!(!end.complete);
    assert_eq!(end.incomplete_because.unwrap(), "`a.jsonl` changed while it was read");
    let rest = folder.try_read(since(Some(end.cursor))).unwrap();
    assert!(rest.end.complete && !rest.end.restarted);
    seen.extend(rest.records());
    let expected: Vec<_> = (0..=100).map(|n| format!("a.jsonl:{} n={n}", n + 1)).collect();
    assert_eq!(seen, expected);
}
