//! What can only be seen from inside: bytes that dribble in, memory, and systems that break off.

use super::rows::Rows;
use super::settings::Settings;
use super::unpack::{Decoding, unpack};
use super::window::{Fault, Window};
use crate::page::PageBuilder;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use syncline_core::config::model::{Connection, Entity, EntitySettings, FileFormat, FileSettings};
use syncline_core::record::{Cursor as ReadCursor, Page};

fn settings(format: FileFormat, line_bytes_max: u64) -> Settings {
    let settings = EntitySettings::File(FileSettings {
        path: Some("it".to_owned()),
        format: Some(format),
        line_bytes_max: Some(line_bytes_max),
        records: Some("data".to_owned()),
        ..FileSettings::default()
    });
    let entity = Entity { settings, ..Entity::default() };
    Settings::new(&Connection::default(), "it", &entity, Path::new("")).unwrap()
}

/// Gives at most `len` bytes at a time.
struct Dribble<R>(R, usize);

impl<R: Read> Read for Dribble<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = out.len().min(self.1);
        self.0.read(&mut out[..len])
    }
}

/// A system that breaks off.
struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the cable was pulled"))
    }
}

fn window(input: impl Read + Send + 'static, raw_failed: bool) -> Window {
    let text = Decoding::new(unpack(input, None).unwrap(), None);
    Window::new(Box::new(text), Arc::new(AtomicBool::new(raw_failed)))
}

fn read_all(format: FileFormat, input: impl Read + Send + 'static) -> (Page, Option<Fault>, Rows) {
    let mut page = PageBuilder::new(None);
    let settings = settings(format, 64);
    let mut rows = Rows::new(format, window(input, true), &settings, &mut BTreeMap::new()).unwrap();
    let fault = loop {
        match rows.next(&mut page) {
            Ok(true) => {}
            Ok(false) => break None,
            Err(fault) => break Some(fault),
        }
    };
    (page.take(ReadCursor::Null, None), fault, rows)
}

#[test]
fn it_does_not_matter_in_which_pieces_bytes_arrive() {
    let long = "x".repeat(300);
    let cases = [
        (
            FileFormat::Jsonl,
            format!("{{\"a\":1}}\n\r\n{{bad\n{long}\n{{\"a\":\"é\"}}\n{{\"b\":2}}"),
        ),
        (
            FileFormat::Csv,
            format!(
                "\u{FEFF}a,b\r\n1,\"x\r\n\"\"y\"\r\n\r\n{long}\n2,\"{long}\n3,é\n4,\"open\n5,z\n6,\"z"
            ),
        ),
        (
            FileFormat::Json,
            format!(
                "{{\"x\":[\"]\"],\"data\":[{{\"a\":\"\\\"]\"}},\n{{bad}},\"{long}\",{{\"a\":2}}],\"y\":0}}"
            ),
        ),
    ];
    for (format, text) in cases {
        let (whole, fault, mut rows) = read_all(format, Cursor::new(text.clone()));
        assert!(fault.is_none() && rows.is_finished(), "{format:?}: {fault:?}");
        assert!(whole.records.len() >= 2 && whole.rejected.len() >= 2, "{whole:?}");
        for len in 1..9 {
            let (page, fault, mut dribbled) =
                read_all(format, Dribble(Cursor::new(text.clone()), len));
            assert!(fault.is_none() && dribbled.is_finished());
            assert_eq!(page, whole, "{format:?} in pieces of {len}");
            assert_eq!(dribbled.mark(), rows.mark(), "{format:?} in pieces of {len}");
        }
    }
}

#[test]
fn a_line_of_any_length_takes_no_more_memory_than_its_limit() {
    for format in [FileFormat::Jsonl, FileFormat::Csv, FileFormat::Json] {
        let head: &[u8] =
            if format == FileFormat::Json { b"{\"data\":[{\"a\":1},\"" } else { b"{\"a\":1}\n" };
        let tail: &[u8] =
            if format == FileFormat::Json { b"\",{\"a\":2}]}" } else { b"\n{\"a\":2}\n" };
        let long = io::repeat(b'x').take(64 << 20);
        let (page, fault, rows) = read_all(format, head.chain(long).chain(tail));
        assert!(fault.is_none(), "{fault:?}");
        assert_eq!(page.rejected.len(), 1);
        let expected = if format == FileFormat::Csv { 1 } else { 2 };
        assert_eq!(page.records.len(), expected, "the first line of CSV is its header");
        let held = rows.held_bytes();
        assert!(held <= 512 << 10, "{format:?} holds {held}");
    }
}

#[test]
fn a_system_that_breaks_off_is_not_a_damaged_file() {
    let text: &[u8] = b"{\"a\":1}\n{\"a\":2}\n{\"a\":";
    let (page, fault, mut rows) = read_all(FileFormat::Jsonl, text.chain(Failing));
    assert!(matches!(fault, Some(Fault::Io(error)) if error.to_string().contains("cable")));
    assert_eq!((page.records.len(), page.rejected.len()), (2, 0));
    assert_eq!((rows.mark().position, rows.mark().lines), (16, 2));
    let mut damaged = window(text.chain(Failing), false);
    let fault = damaged.look_ahead(1000).and_then(|()| damaged.fill().map(|_| ()));
    assert!(matches!(fault, Err(Fault::Broken(_))));
}

/// What a read of any bytes comes to, as text that can be compared.
fn outcome(format: FileFormat, bytes: &[u8], piece_len: usize) -> String {
    let mut page = PageBuilder::new(None);
    let settings = settings(format, 16);
    let input = Dribble(Cursor::new(bytes.to_vec()), piece_len);
    let mut rows = match Rows::new(format, window(input, true), &settings, &mut BTreeMap::new()) {
        Ok(rows) => rows,
        Err(fault) => return format!("{fault:?}"),
    };
    let end = loop {
        match rows.next(&mut page) {
            Ok(true) => {}
            end => break end,
        }
    };
    format!("{:?} {end:?} {:?}", page.take(ReadCursor::Null, None), rows.mark())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_pieces_come_to_the_same(
        bytes in prop::collection::vec(
            prop::sample::select(b"{}[]\"\"\",,::\n\n\r\\a1 \xC3\xA9\xFF".to_vec()),
            0..80,
        ),
        piece_len in 1_usize..9,
    ) {
        let document = [b"{\"data\":[", bytes.as_slice(), b"]}"].concat();
        for (format, bytes) in [
            (FileFormat::Csv, &bytes),
            (FileFormat::Jsonl, &bytes),
            (FileFormat::Json, &bytes),
            (FileFormat::Json, &document),
        ] {
            let whole = outcome(format, bytes, usize::MAX);
            prop_assert_eq!(outcome(format, bytes, piece_len), whole, "{:?}", format);
        }
    }
}
