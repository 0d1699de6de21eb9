//! Lines of something that is read by a thread of its own: files of a batch, standard input.

use crate::page::PAYLOAD_BYTES_MAX;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// About so many bytes of lines are held while they wait for their page.
const CHUNK_BYTES: usize = 256 << 10;

/// A line that is not blank.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    /// From 1, blank lines included.
    pub(super) number: u64,
    /// Without its line feed; how it begins, where it is too long.
    pub(super) text: Vec<u8>,
    pub(super) is_long: bool,
    /// Whether the input ended without a line feed behind it.
    pub(super) is_torn: bool,
}

/// Hands the lines of `input` to `send`, some at a time, until it says that nobody wants more. A line longer than
/// `bytes_max` is cut. Lines that are there are handed over before more are waited for.
pub(super) fn pump(
    input: impl Read,
    bytes_max: usize,
    mut send: impl FnMut(Vec<Numbered>) -> bool,
) -> io::Result<()> {
    let mut input = BufReader::with_capacity(64 << 10, input);
    let (mut lines, mut bytes, mut number) = (Vec::new(), 0, 0);
    while let Some(line) = next(&mut input, bytes_max)? {
        number += 1;
        if !line.text.trim_ascii().is_empty() {
            bytes += line.text.len();
            lines.push(Numbered { number, ..line });
        }
        let waits = memchr::memchr(b'\n', input.buffer()).is_none();
        if (waits || bytes >= CHUNK_BYTES) && !lines.is_empty() {
            bytes = 0;
            if !send(std::mem::take(&mut lines)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn next(input: &mut impl BufRead, bytes_max: usize) -> io::Result<Option<Numbered>> {
    let (mut text, mut is_long, mut is_torn) = (Vec::new(), false, false);
    loop {
        let chunk = match input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            chunk => chunk?,
        };
        if chunk.is_empty() {
            return Ok(is_torn.then_some(Numbered { number: 0, text, is_long, is_torn }));
        }
        let feed = memchr::memchr(b'\n', chunk);
        let len = feed.unwrap_or(chunk.len());
        is_long |= text.len() + len > bytes_max;
        let room = if is_long { PAYLOAD_BYTES_MAX.saturating_sub(text.len()) } else { len };
        text.extend_from_slice(&chunk[..len.min(room)]);
        input.consume(len + usize::from(feed.is_some()));
        if feed.is_some() {
            return Ok(Some(Numbered { number: 0, text, is_long, is_torn: false }));
        }
        is_torn = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_long_ones_are_cut() {
        let long = "x".repeat(PAYLOAD_BYTES_MAX + 9);
        let text = format!("one\n\n  \n{long}\nfive\r\ntorn");
        let mut lines = Vec::new();
        pump(text.as_bytes(), PAYLOAD_BYTES_MAX + 8, |some| {
            lines.extend(some);
            true
        })
        .unwrap();
        let short: Vec<_> =
            lines.iter().map(|l| (l.number, l.text.len(), l.is_long, l.is_torn)).collect();
        let expected = [
            (1, 3, false, false),
            (4, PAYLOAD_BYTES_MAX, true, false),
            (5, 5, false, false),
            (6, 4, false, true),
        ];
        assert_eq!(short, expected);
    }
}
