//! A JSON document that is, or holds, an array of objects. Elements are cut out one by one by their
//! brackets, so a malformed one costs only itself, and memory holds no more than one of them.

use super::lines;
use super::object::ObjectReader;
use super::settings::Settings;
use super::window::{Fault, Mark, Window};
use crate::page::{PAYLOAD_BYTES_MAX, PageBuilder};

/// Reads the elements of an array.
pub(super) struct JsonRows {
    pub(super) window: Window,
    objects: ObjectReader,
    path: Vec<String>,
    bytes_max: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the array.
    Start,
    /// Behind its opening bracket.
    First,
    /// Behind an element.
    After,
    /// Behind the document.
    End,
}

/// Follows the nesting of JSON text; knows nothing else of it.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Scan {
    /// Goes on through `bytes`; the index of the byte that ends the value, which is a comma or
    /// closing bracket outside of it.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.in_text {
                if self.escaped {
                    self.escaped = false;
                } else if byte == b'\\' {
                    self.escaped = true;
                } else if byte == b'"' {
                    self.in_text = false;
                }
                continue;
            }
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' | b',' if self.depth == 0 => return Some(index),
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
        }
        None
    }
}

impl JsonRows {
    /// Reads from the start of a document.
    pub(super) fn new(window: Window, settings: &Settings) -> Self {
        Self {
            window,
            objects: ObjectReader::new(settings),
            path: settings.records.clone(),
            bytes_max: settings.line_bytes_max,
            state: State::Start,
        }
    }

    /// Goes to where an earlier read stopped; false if what stands before it is not what it was
    /// then.
    pub(super) fn resume(&mut self, mark: &Mark) -> Result<bool, Fault> {
        self.locate()?;
        self.state = State::First;
        if self.window.position() >= mark.position {
            return Ok(true);
        }
        self.state = State::After;
        self.window.go_to(mark)
    }

    /// Whether the document was seen to its end.
    pub(super) fn is_finished(&self) -> bool {
        self.state == State::End
    }

    /// Reads one more element; false at the end.
    pub(super) fn next(&mut self, page: &mut PageBuilder) -> Result<bool, Fault> {
        if self.state == State::Start {
            self.locate()?;
            self.state = State::First;
        }
        if self.state == State::End {
            return Ok(false);
        }
        // Until the element is whole, a later read begins before it, and before the comma that
        // leads to it.
        self.window.pin();
        let more = self.next_element(page)?;
        self.window.unpin();
        Ok(more)
    }

    fn next_element(&mut self, page: &mut PageBuilder) -> Result<bool, Fault> {
        match (self.state, self.need_byte()?) {
            (_, b']') => {
                self.window.consume(1, 0);
                self.finish()?;
                self.state = State::End;
                return Ok(false);
            }
            (State::After, b',') => self.window.consume(1, 0),
            (State::After, _) => return Err(self.mismatch()),
            _ => {}
        }
        self.need_byte()?;
        self.element(page)?;
        self.state = State::After;
        Ok(true)
    }

    fn element(&mut self, page: &mut PageBuilder) -> Result<(), Fault> {
        let line = self.window.line();
        let (mut scan, mut scanned) = (Scan::default(), 0);
        loop {
            if let Some(at) = scan.find_end(&self.window.available()[scanned..]) {
                let len = scanned + at;
                if len > self.bytes_max {
                    let head = &self.window.available()[..len.min(PAYLOAD_BYTES_MAX)];
                    page.reject(line, head, lines::too_long(self.bytes_max));
                } else {
                    let json = self.window.available()[..len].trim_ascii();
                    self.objects.read(json, line, page);
                }
                self.window.consume_counting(len);
                return Ok(());
            }
            scanned = self.window.available().len();
            if scanned > self.bytes_max {
                let mut head = self.window.available()[..scanned.min(PAYLOAD_BYTES_MAX)].to_vec();
                self.window.consume_counting(scanned);
                self.skip_value(scan, Some(&mut head))?;
                page.reject(line, &head, lines::too_long(self.bytes_max));
                return Ok(());
            }
            self.need_more()?;
        }
    }

    /// Goes to the first element of the array at the path.
    fn locate(&mut self) -> Result<(), Fault> {
        for depth in 0..self.path.len() {
            if self.need_byte()? != b'{' {
                return Err(self.no_array(depth, "there is no object"));
            }
            self.window.consume(1, 0);
            self.find_key(depth)?;
        }
        match self.need_byte()? {
            b'[' => self.window.consume(1, 0),
            b'{' if self.path.is_empty() => {
                return Err(Fault::Refused(
                    "the document is an object, not an array; set `records` to the path of the \
                     array in it"
                        .to_owned(),
                ));
            }
            _ => return Err(self.no_array(self.path.len(), "there is no array")),
        }
        Ok(())
    }

    /// Goes behind the colon of the key that the path names next.
    fn find_key(&mut self, depth: usize) -> Result<(), Fault> {
        loop {
            match self.need_byte()? {
                b'"' => {}
                b',' => {
                    self.window.consume(1, 0);
                    continue;
                }
                b'}' => return Err(self.no_array(depth, "the object has no such key")),
                _ => return Err(self.no_array(depth, "the text is no JSON")),
            }
            let key = self.key()?;
            if self.need_byte()? != b':' {
                return Err(self.no_array(depth, "the text is no JSON"));
            }
            self.window.consume(1, 0);
            if key.as_deref() == Some(self.path[depth].as_str()) {
                return Ok(());
            }
            self.skip_value(Scan::default(), None)?;
        }
    }

    /// Reads a key with its quotes; `None` for one that is no valid text or too long to be of
    /// interest.
    fn key(&mut self) -> Result<Option<String>, Fault> {
        let mut escaped = false;
        let mut key = vec![b'"'];
        self.window.consume(1, 0);
        loop {
            let byte = self.need_any()?;
            self.window.consume(1, u64::from(byte == b'\n'));
            if key.len() <= PAYLOAD_BYTES_MAX {
                key.push(byte);
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return Ok(serde_json::from_slice(&key).ok()),
                _ => {}
            }
        }
    }

    /// Consumes up to what ends the value that `scan` is in; `head` gets its bytes until it is full.
    fn skip_value(&mut self, mut scan: Scan, mut head: Option<&mut Vec<u8>>) -> Result<(), Fault> {
        loop {
            let bytes = self.window.available();
            let end = scan.find_end(bytes);
            let len = end.unwrap_or(bytes.len());
            if let Some(head) = &mut head {
                let room = PAYLOAD_BYTES_MAX - head.len();
                head.extend_from_slice(&bytes[..len.min(room)]);
            }
            self.window.consume_counting(len);
            if end.is_some() {
                return Ok(());
            }
            self.need_more()?;
        }
    }

    /// Goes from behind the array to the end of the document, which has to be whole.
    fn finish(&mut self) -> Result<(), Fault> {
        for _ in 0..self.path.len() {
            while self.need_byte()? == b',' {
                self.window.consume(1, 0);
                self.skip_value(Scan::default(), None)?;
            }
            if self.need_byte()? != b'}' {
                return Err(self.mismatch());
            }
            self.window.consume(1, 0);
        }
        if self.blank_then()?.is_some() {
            let line = self.window.line();
            return Err(Fault::Broken(format!("text follows the document's end at line {line}")));
        }
        Ok(())
    }

    fn no_array(&self, depth: usize, why: &str) -> Fault {
        let path = if self.path.is_empty() {
            "its root".to_owned()
        } else {
            format!("`{}`", self.path.join("."))
        };
        let line = self.window.line();
        let at =
            self.path.get(depth).map_or(String::new(), |key| format!(" (looking for `{key}`)"));
        Fault::Refused(format!("the document has no array at {path}: {why} at line {line}{at}"))
    }

    /// The next byte that is no blank; `None` at the end of the stream.
    fn blank_then(&mut self) -> Result<Option<u8>, Fault> {
        while let Some(byte) = self.window.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.window.consume(1, u64::from(byte == b'\n'));
        }
        Ok(None)
    }

    fn need_byte(&mut self) -> Result<u8, Fault> {
        self.blank_then()?.ok_or_else(|| self.truncated())
    }

    fn need_any(&mut self) -> Result<u8, Fault> {
        self.window.peek()?.ok_or_else(|| self.truncated())
    }

    fn need_more(&mut self) -> Result<(), Fault> {
        if self.window.fill()? { Ok(()) } else { Err(self.truncated()) }
    }

    fn mismatch(&self) -> Fault {
        let line = self.window.line();
        Fault::Broken(format!("the brackets of the document do not match at line {line}"))
    }

    fn truncated(&self) -> Fault {
        if self.window.position() == 0 {
            return Fault::Broken("it is empty, which no JSON document is".to_owned());
        }
        Fault::Broken(format!("the document breaks off at line {}", self.window.line()))
    }
}
