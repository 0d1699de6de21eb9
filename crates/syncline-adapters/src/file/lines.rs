//! Finding lines in a window, and passing those that are too long to be held.

use super::window::{Fault, Window};
use crate::page::PAYLOAD_BYTES_MAX;

/// What stands next in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line of `len` bytes without its line feed, all of them available.
    Whole {
        /// Without the line feed.
        len: usize,
        /// Whether a line feed follows; else the stream ends here.
        ended: bool,
    },
    /// A line longer than what may be held.
    Long,
    /// Nothing.
    End,
}

/// Finds the next line, which stays unconsumed.
pub(super) fn find(window: &mut Window, bytes_max: usize) -> Result<Line, Fault> {
    let mut scanned = 0;
    loop {
        let bytes = window.available();
        if let Some(at) = memchr::memchr(b'\n', &bytes[scanned..]) {
            let len = scanned + at;
            return Ok(if len > bytes_max { Line::Long } else { Line::Whole { len, ended: true } });
        }
        scanned = bytes.len();
        if scanned > bytes_max {
            return Ok(Line::Long);
        }
        if !window.fill()? {
            return Ok(match scanned {
                0 => Line::End,
                len => Line::Whole { len, ended: false },
            });
        }
    }
}

/// Consumes a line, however long, and returns how it begins. A fault leaves the mark before the
/// line.
pub(super) fn skip(window: &mut Window) -> Result<Vec<u8>, Fault> {
    window.pin();
    let mut head = Vec::new();
    loop {
        let bytes = window.available();
        let end = memchr::memchr(b'\n', bytes);
        let len = end.unwrap_or(bytes.len());
        let room = PAYLOAD_BYTES_MAX - head.len();
        head.extend_from_slice(&bytes[..len.min(room)]);
        if end.is_some() {
            window.consume(len + 1, 1);
            window.unpin();
            return Ok(head);
        }
        window.consume(len, 0);
        if !window.fill()? {
            return Ok(head);
        }
    }
}

/// What is said of a line that is not held.
pub(super) fn too_long(bytes_max: usize) -> String {
    format!("the line is longer than {bytes_max} bytes (`line_bytes_max`)")
}
