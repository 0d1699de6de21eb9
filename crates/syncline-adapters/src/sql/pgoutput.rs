//! The messages of PostgreSQL's output plugin `pgoutput`, in version 1 of its protocol:
//! <https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html>.

/// A place in the write-ahead log (LSN), in bytes since its beginning.
pub(super) type Lsn = u64;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// A transaction begins, whose commit stands at `commit`.
    Begin { commit: Lsn },
    /// The transaction is whole; what comes after it begins at `end` or later.
    Commit { end: Lsn },
    /// What a table looks like from here on.
    Relation(Relation<'a>),
    /// A row came.
    Insert { table: u32, new: Tuple<'a> },
    /// A row changed; `old` is there where the key changed, or the whole row is logged.
    Update { table: u32, old: Option<Tuple<'a>>, new: Tuple<'a> },
    /// A row went.
    Delete { table: u32, old: Tuple<'a> },
    /// All rows of these tables went.
    Truncate { tables: Vec<u32> },
    /// A message that says nothing about rows: a type, an origin, a program's own message.
    Other,
}

/// A table's name and columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation<'a> {
    pub(super) id: u32,
    pub(super) schema: &'a str,
    pub(super) name: &'a str,
    pub(super) columns: Vec<&'a str>,
}

/// The values of a row, in the order of the relation's columns.
pub(super) type Tuple<'a> = Vec<Datum<'a>>;

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datum<'a> {
    Null,
    /// A long value that did not change, and was not logged again (TOAST).
    Unchanged,
    Text(&'a str),
}

/// Reads one message.
///
/// # Errors
///
/// What is wrong with `bytes`, where they are no such message.
pub(super) fn message(bytes: &[u8]) -> Result<Message<'_>, String> {
    let mut rest = Reader { rest: bytes };
    let tag = rest.u8()?;
    let message = match tag {
        b'B' => {
            let commit = rest.u64()?;
            rest.take(8 + 4)?;
            Message::Begin { commit }
        }
        b'C' => {
            rest.take(1 + 8)?;
            let end = rest.u64()?;
            rest.take(8)?;
            Message::Commit { end }
        }
        b'R' => Message::Relation(rest.relation()?),
        b'I' => {
            let table = rest.u32()?;
            rest.expect(b'N')?;
            Message::Insert { table, new: rest.tuple()? }
        }
        b'U' => {
            let table = rest.u32()?;
            let mut mark = rest.u8()?;
            let mut old = None;
            if matches!(mark, b'K' | b'O') {
                old = Some(rest.tuple()?);
                mark = rest.u8()?;
            }
            if mark != b'N' {
                return Err(unknown("part", mark));
            }
            Message::Update { table, old, new: rest.tuple()? }
        }
        b'D' => {
            let table = rest.u32()?;
            match rest.u8()? {
                b'K' | b'O' => Message::Delete { table, old: rest.tuple()? },
                mark => return Err(unknown("part", mark)),
            }
        }
        b'T' => {
            let count = rest.u32()?;
            rest.take(1)?;
            let tables: Result<_, String> = (0..count).map(|_| rest.u32()).collect();
            Message::Truncate { tables: tables? }
        }
        b'Y' | b'O' | b'M' => return Ok(Message::Other),
        tag => return Err(unknown("message", tag)),
    };
    if !rest.rest.is_empty() {
        return Err(format!("{} bytes follow a message", rest.rest.len()));
    }
    Ok(message)
}

fn unknown(what: &str, tag: u8) -> String {
    format!("there is no {what} `{}`", char::from(tag).escape_default())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or("a message is cut off")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "a message is cut off".to_owned())
    }

    fn u8(&mut self) -> Result<u8, String> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_be_bytes)
    }

    fn expect(&mut self, mark: u8) -> Result<(), String> {
        match self.u8()? {
            found if found == mark => Ok(()),
            found => Err(unknown("part", found)),
        }
    }

    /// Text that ends with a NUL.
    fn text(&mut self) -> Result<&'a str, String> {
        let len = self.rest.iter().position(|byte| *byte == 0).ok_or("a name does not end")?;
        let text = utf8(self.take(len)?)?;
        self.take(1)?;
        Ok(text)
    }

    fn relation(&mut self) -> Result<Relation<'a>, String> {
        let id = self.u32()?;
        let schema = match self.text()? {
            "" => "pg_catalog",
            schema => schema,
        };
        let name = self.text()?;
        self.take(1)?;
        let count = self.u16()?;
        let mut columns = Vec::new();
        for _ in 0..count {
            self.take(1)?;
            columns.push(self.text()?);
            self.take(4 + 4)?;
        }
        Ok(Relation { id, schema, name, columns })
    }

    fn tuple(&mut self) -> Result<Tuple<'a>, String> {
        let count = self.u16()?;
        (0..count).map(|_| self.datum()).collect()
    }

    fn datum(&mut self) -> Result<Datum<'a>, String> {
        Ok(match self.u8()? {
            b'n' => Datum::Null,
            b'u' => Datum::Unchanged,
            b't' => {
                let len = usize::try_from(self.u32()?).map_err(|_| "a value is too long")?;
                Datum::Text(utf8(self.take(len)?)?)
            }
            mark => return Err(unknown("kind of value", mark)),
        })
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a text is no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    /// Messages as a server sent them.
    fn cases() -> Vec<(&'static str, Message<'static>)> {
        let text = Datum::Text;
        vec![
            ("4200000000015296d000030431b71179f8000002da", Message::Begin { commit: 0x0152_96d0 }),
            (
                "430000000000015296d0000000000152970000030431b71179f8",
                Message::Commit { end: 0x0152_9700 },
            ),
            (
                "52000040027075626c69630074006400020169640000000017ffffffff00620000000019ffffffff",
                Message::Relation(Relation {
                    id: 0x4002,
                    schema: "public",
                    name: "t",
                    columns: vec!["id", "b"],
                }),
            ),
            (
                "49000040024e0002740000000131740000000161",
                Message::Insert { table: 0x4002, new: vec![text("1"), text("a")] },
            ),
            (
                "55000040024b00027400000001316e4e0002740000000132740000000161",
                Message::Update {
                    table: 0x4002,
                    old: Some(vec![text("1"), Datum::Null]),
                    new: vec![text("2"), text("a")],
                },
            ),
            (
                "55000040024e000274000000013275",
                Message::Update {
                    table: 0x4002,
                    old: None,
                    new: vec![text("2"), Datum::Unchanged],
                },
            ),
            (
                "44000040024f000274000000013274000000026162",
                Message::Delete { table: 0x4002, old: vec![text("2"), text("ab")] },
            ),
            ("54000000010000004002", Message::Truncate { tables: vec![0x4002] }),
            ("5900004003007000", Message::Other),
            ("4f00000000015296d06f00", Message::Other),
        ]
    }

    #[test]
    fn every_kind_of_message_is_read() {
        for (hex, expected) in cases() {
            assert_eq!(message(&bytes(hex)).as_ref(), Ok(&expected), "{hex}");
        }
    }

    #[test]
    fn a_damaged_message_is_an_error() {
        for (hex, expected) in cases() {
            let whole = bytes(hex);
            if expected == Message::Other {
                continue;
            }
            for len in 0..whole.len() {
                assert!(message(&whole[..len]).is_err(), "{hex} cut after {len}");
            }
            assert!(message(&[&whole[..], b"x"].concat()).is_err(), "{hex} with more");
        }
        let wrong = ["", "5a", "49000040025800", "44000040024e0000", "55000040024b00004b0000"];
        let long = ["49000040024e000174ffffffff31", "54ffffffff00"];
        for hex in wrong.into_iter().chain(long) {
            assert!(message(&bytes(hex)).is_err(), "{hex}");
        }
        assert!(message(&bytes("49000040024e00017400000001ff")).is_err(), "no UTF-8");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_wild(
            tag in prop::sample::select(b"BCRIUDTYOMx".to_vec()),
            rest in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            message(&[&[tag], &rest[..]].concat()).map(|_| ()).unwrap_or_default();
        }

        #[test]
        fn a_flipped_byte_never_panics(case in 0..10_usize, at in 0..60_usize, byte: u8) {
            let mut damaged = bytes(cases()[case].0);
            let at = at % damaged.len();
            damaged[at] = byte;
            message(&damaged).map(|_| ()).unwrap_or_default();
        }
    }
}
