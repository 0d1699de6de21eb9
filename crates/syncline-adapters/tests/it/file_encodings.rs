use crate::reading::{Folder, gzip};

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn byte_order_marks_are_known_and_dropped() {
    let text = "\u{FEFF}id,name\n1,Zoë 🦀\n";
    let cases = [
        ("utf-8", text.as_bytes().to_vec()),
        ("utf-16le", utf16(text, u16::to_le_bytes)),
        ("utf-16be", utf16(text, u16::to_be_bytes)),
        ("packed", gzip(utf16(text, u16::to_be_bytes))),
    ];
    for (name, bytes) in cases {
        let outcome = Folder::with("a.csv", bytes).read();
        assert_eq!(outcome.records(), [r#"a.csv:2 id="1" name="Zoë 🦀""#], "{name}");
    }
    let lines = Folder::with("a.jsonl", "\u{FEFF}{\"a\":1}\n").read();
    assert_eq!(lines.bodies(), ["a=1"]);
}

#[test]
fn declared_encodings_are_decoded() {
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("windows-1252", b"n\nZo\xEB \x80\n".to_vec(), "n=\"Zoë €\""),
        ("latin1", b"n\nZo\xEB\n".to_vec(), "n=\"Zoë\""),
        ("shift_jis", b"n\n\x93\xFA\x96\x7B\n".to_vec(), "n=\"日本\""),
        ("utf-16le", utf16("n\nZoë\n", u16::to_le_bytes), "n=\"Zoë\""),
    ];
    for (label, bytes, expected) in cases {
        let folder = Folder::with("a.csv", bytes).set(|s| s.encoding = Some(label.to_owned()));
        assert_eq!(folder.read().bodies(), [expected], "{label}");
    }
}

#[test]
fn bytes_the_encoding_does_not_know_reject_their_line_only() {
    let folder = Folder::with("a.csv", b"n\n\x93\xFA\n\x93\xFF\n\x96\x7B\n")
        .set(|s| s.encoding = Some("shift_jis".to_owned()));
    let outcome = folder.read();
    assert_eq!(outcome.bodies(), ["n=\"日\"", "n=\"本\""]);
    assert!(outcome.problems()[0].starts_with("3 column `n` is not valid text"));
}

#[test]
fn long_decoded_text_is_whole() {
    let rows: String = (0..50_000).map(|n| format!("{n},Zoë\n")).collect();
    let bytes = utf16(&format!("id,name\n{rows}"), u16::to_le_bytes);
    let folder = Folder::with("a.csv", bytes).set(|s| s.encoding = Some("utf-16le".to_owned()));
    let outcome = folder.read();
    assert_eq!((outcome.records().len(), outcome.problems().len()), (50_000, 0));
    assert_eq!(outcome.records()[49_999], r#"a.csv:50001 id="49999" name="Zoë""#);
}

#[test]
fn appended_rows_of_a_decoded_file_are_found() {
    let folder =
        Folder::with("a.csv", b"n\nZo\xEB\n").set(|s| s.encoding = Some("windows-1252".to_owned()));
    let first = folder.read();
    folder.append("a.csv", b"caf\xE9\n");
    let second = folder.read_since(&first.end.cursor);
    assert_eq!(
        (second.records(), second.end.restarted),
        (vec!["a.csv:3 n=\"café\"".to_owned()], false)
    );
}
