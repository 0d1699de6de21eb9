//! A sliding window over a stream of text: bounded, and able to say where it stands and what it
//! passed.

use crate::AdapterError;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::Xxh3;

const BYTES_FIRST: usize = 256 << 10;

/// Why no more bytes come, although the end was not reached.
#[derive(Debug)]
pub(super) enum Fault {
    /// The system broke off; trying again can help.
    Io(io::Error),
    /// The data end where they must not: truncated or damaged.
    Broken(String),
    /// The file is not what the settings say.
    Refused(String),
    /// The file could not be opened again.
    Adapter(AdapterError),
}

/// A place in a stream, after whole records only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Bytes before it, unpacked and decoded.
    pub(super) position: u64,
    /// Whole lines before it.
    pub(super) lines: u64,
    /// The hash of all bytes before it.
    pub(super) hash: u64,
}

/// The bytes that were read and are not yet consumed.
pub(super) struct Window {
    input: Box<dyn Read + Send>,
    raw_failed: Arc<AtomicBool>,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    hashed: usize,
    position: u64,
    lines: u64,
    hash: Xxh3,
    ended: bool,
    broken: Option<String>,
    pinned: Option<Mark>,
}

impl Window {
    /// A window at the start of `input`. `raw_failed` is set where an error of `input` is the
    /// system's own, not one of unpacking.
    pub(super) fn new(input: Box<dyn Read + Send>, raw_failed: Arc<AtomicBool>) -> Self {
        Self {
            input,
            raw_failed,
            buf: vec![0; BYTES_FIRST],
            start: 0,
            end: 0,
            hashed: 0,
            position: 0,
            lines: 0,
            hash: Xxh3::new(),
            ended: false,
            broken: None,
            pinned: None,
        }
    }

    /// What was read and not consumed.
    pub(super) fn available(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// Reads more behind what is available; false at the end of the stream.
    pub(super) fn fill(&mut self) -> Result<bool, Fault> {
        if let Some(problem) = &self.broken {
            return Err(Fault::Broken(problem.clone()));
        }
        if self.ended {
            return Ok(false);
        }
        self.make_room();
        loop {
            match self.input.read(&mut self.buf[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(count) => {
                    self.end += count;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.raw_failed.load(Ordering::Relaxed) => {
                    return Err(Fault::Io(error));
                }
                Err(error) => {
                    self.broken = Some(error.to_string());
                    return Err(Fault::Broken(error.to_string()));
                }
            }
        }
    }

    /// Reads until at least `len` bytes are available, or the stream ends or breaks.
    pub(super) fn look_ahead(&mut self, len: usize) -> Result<(), Fault> {
        while self.end - self.start < len {
            match self.fill() {
                Ok(true) => {}
                Ok(false) | Err(Fault::Broken(_)) => break,
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Consumes `len` available bytes, which end `lines` lines.
    pub(super) fn consume(&mut self, len: usize, lines: u64) {
        self.start += len;
        debug_assert!(self.start <= self.end, "only available bytes can be consumed");
        self.position += len as u64;
        self.lines += lines;
    }

    /// Consumes `len` available bytes and counts the lines that end in them.
    pub(super) fn consume_counting(&mut self, len: usize) {
        let lines = memchr::memchr_iter(b'\n', &self.available()[..len]).count();
        self.consume(len, lines as u64);
    }

    /// The first available byte, reading where there is none yet; `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, Fault> {
        if self.start == self.end && !self.fill()? {
            return Ok(None);
        }
        Ok(Some(self.buf[self.start]))
    }

    /// The number of the line that the first available byte is on, from 1.
    pub(super) fn line(&self) -> u64 {
        self.lines + 1
    }

    /// How many bytes were consumed.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether the stream was seen to its end and consumed.
    pub(super) fn is_finished(&self) -> bool {
        self.ended && self.start == self.end
    }

    /// Whether all there is to read is available.
    pub(super) fn is_at_end(&self) -> bool {
        self.ended
    }

    /// Where a later read goes on: here, or where the window is pinned.
    pub(super) fn mark(&mut self) -> Mark {
        if let Some(pinned) = &self.pinned {
            return pinned.clone();
        }
        self.hash_consumed();
        Mark { position: self.position, lines: self.lines, hash: self.hash.digest() }
    }

    /// Makes this place the one where a later read goes on, whatever is consumed after it: a line
    /// that has not ended yet may still grow.
    pub(super) fn pin(&mut self) {
        self.pinned = Some(self.mark());
    }

    /// Takes back [`Self::pin`].
    pub(super) fn unpin(&mut self) {
        self.pinned = None;
    }

    /// Goes forward to `mark`; false if the stream is shorter, or is not the one that the mark was
    /// made in.
    pub(super) fn go_to(&mut self, mark: &Mark) -> Result<bool, Fault> {
        while self.position < mark.position {
            if self.start == self.end && !self.fill()? {
                return Ok(false);
            }
            let rest = usize::try_from(mark.position - self.position).unwrap_or(usize::MAX);
            self.consume(rest.min(self.end - self.start), 0);
        }
        self.hash_consumed();
        self.lines = mark.lines;
        Ok(self.position == mark.position && self.hash.digest() == mark.hash)
    }

    /// How much memory the window takes.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.buf.capacity()
    }

    fn hash_consumed(&mut self) {
        self.hash.update(&self.buf[self.hashed..self.start]);
        self.hashed = self.start;
    }

    fn make_room(&mut self) {
        if self.start > 0 && (self.start == self.end || self.end == self.buf.len()) {
            self.hash_consumed();
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            self.hashed = 0;
        }
        if self.end == self.buf.len() {
            self.buf.resize(self.buf.len() * 2, 0);
        }
    }
}
