//! What a tap that somebody else started pipes in: messages in the Singer protocol, as pages for each stream.

use super::lines::{Numbered, pump};
use super::singer::Envelope;
use crate::object;
use crate::page::PageBuilder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Read};
use std::sync::Arc;
use syncline_core::record::{Cursor, Page};
use syncline_core::value::{Cell, Value};
use thiserror::Error;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// So many records are held before they have to be taken.
const RECORDS_MAX: usize = 10_000;
/// Or so many bytes of them.
const BYTES_MAX: usize = 16 << 20;
const PAGE_LEN: usize = 2000;
/// The longest line.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Of so many records without a key it is remembered how often they came since the last state.
const ROWS_MAX: usize = 1 << 20;

/// What came.
#[derive(Debug)]
pub enum Heard {
    /// A stream has this form from here on.
    Schema(String, StreamSchema),
    /// A later run of the tap goes on from here, once everything before is safe.
    State(State),
    /// Records of this stream have this version from here on.
    Version(String, i64),
    /// Records of this stream that do not have this version are gone at the source.
    Activate(String, i64),
    /// As many records are held as may be: they have to be taken.
    Full,
    /// The input ended.
    End,
}

/// A state of the tap, which belongs to it alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// As it was written.
    pub value: Box<RawValue>,
    /// Counts the states that differ from the one before.
    pub number: u64,
}

/// What a `SCHEMA` message says of its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSchema {
    /// The fields, in their order, with the JSON schema of each.
    pub properties: Map<String, Json>,
    /// The fields that name a record; none where records have no name.
    pub key: Vec<String>,
    required: Vec<String>,
}

/// Why the input cannot be read any further.
#[derive(Debug, Error)]
#[error("line {line} of the input: {problem}")]
pub struct InputError {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong, for people.
    pub problem: String,
}

/// How records are looked at that are stored as their `SCHEMA` says.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The field in which records of streams without a key get a name of their own.
    pub field: &'static str,
    /// The state that the tap goes on from: what it sends again since then gets the names that it had.
    pub since: Option<State>,
    /// The number of states before, where it begins anew.
    pub number: u64,
}

/// Messages from a reader.
pub struct Input {
    lines: mpsc::Receiver<io::Result<Vec<Numbered>>>,
    waiting: VecDeque<Numbered>,
    /// Files of a `BATCH` that are being read, with the stream.
    files: Option<(String, FileLines)>,
    streams: BTreeMap<String, Stream>,
    /// The stream that was spoken of last.
    last: Option<String>,
    line: u64,
    /// How many records are held, and how many bytes of them.
    held: (usize, usize),
    goes_past_state: bool,
    naming: Option<Naming>,
}

/// The lines of files, or why they cannot be read.
type FileLines = mpsc::Receiver<Result<Vec<Numbered>, String>>;

/// A stream, and what of it was not taken yet.
struct Stream {
    schema: StreamSchema,
    page: PageBuilder,
    pages: Vec<Page>,
    version: Option<i64>,
}

/// Names records that have no key: by the state before them, what they say, and how often that was said since.
struct Naming {
    field: &'static str,
    state: Json,
    number: u64,
    seed: u64,
    said: HashMap<u128, u32>,
}

impl Input {
    /// Reads `input` on a thread of its own. With `rows`, records have to have what their `SCHEMA` says they have.
    pub fn new(input: impl Read + Send + 'static, rows: Option<Rows>) -> Self {
        let (sender, lines) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            let ended =
                pump(input, LINE_BYTES_MAX, |lines| sender.blocking_send(Ok(lines)).is_ok());
            if let Err(error) = ended {
                // Whoever does not listen any more needs no reason.
                drop(sender.blocking_send(Err(error)));
            }
        });
        Self {
            lines,
            waiting: VecDeque::new(),
            files: None,
            streams: BTreeMap::new(),
            last: None,
            line: 0,
            held: (0, 0),
            goes_past_state: false,
            naming: rows.map(Naming::new),
        }
    }

    /// The next thing that is more than a record. Records are held until [`Input::take`]. Giving the call up loses
    /// nothing.
    ///
    /// # Errors
    ///
    /// When the input breaks off, or says what it may not. A record that is wrong is an entry of [`Page::rejected`].
    pub async fn next(&mut self) -> Result<Heard, InputError> {
        loop {
            if self.held.0 >= RECORDS_MAX || self.held.1 >= BYTES_MAX {
                return Ok(Heard::Full);
            }
            if let Some((_, files)) = &mut self.files {
                let some = files.recv().await;
                self.read_file(some)?;
                continue;
            }
            let Some(line) = self.waiting.pop_front() else {
                match self.lines.recv().await {
                    Some(Ok(lines)) => self.waiting = lines.into(),
                    Some(Err(error)) => return Err(self.wrong(format!("cannot be read: {error}"))),
                    None => return Ok(Heard::End),
                }
                continue;
            };
            self.line = line.number;
            if let Some(heard) = self.hear(&line)? {
                if matches!(heard, Heard::Version(..)) {
                    self.waiting.push_front(line);
                }
                return Ok(heard);
            }
        }
    }

    /// Whether no records are held.
    pub fn is_empty(&self) -> bool {
        self.held.0 == 0
    }

    /// Whether records came behind the last state.
    pub fn goes_past_state(&self) -> bool {
        self.goes_past_state
    }

    /// Takes the records that are held, as pages for each stream.
    pub fn take(&mut self) -> Vec<(String, Vec<Page>)> {
        self.held = (0, 0);
        let mut taken = Vec::new();
        for (name, stream) in &mut self.streams {
            stream.close_page();
            if !stream.pages.is_empty() {
                taken.push((name.clone(), std::mem::take(&mut stream.pages)));
            }
        }
        taken
    }

    fn wrong(&self, problem: impl Into<String>) -> InputError {
        InputError { line: self.line, problem: problem.into() }
    }

    fn hear(&mut self, line: &Numbered) -> Result<Option<Heard>, InputError> {
        if line.is_long {
            self.reject(&line.text, format!("the line is longer than {LINE_BYTES_MAX} bytes"))?;
            return Ok(None);
        }
        let envelope = match Envelope::of(&line.text) {
            Ok(Some(envelope)) => envelope,
            // What libraries print on standard output is no message.
            Ok(None) if !line.text.trim_ascii_start().starts_with(b"{") => return Ok(None),
            Err(_) | Ok(None) if line.is_torn => {
                return Err(
                    self.wrong("it breaks off in the middle: the tap did not come to its end")
                );
            }
            Ok(None) => {
                self.reject(&line.text, "it is no Singer message: it has no `type`".to_owned())?;
                return Ok(None);
            }
            Err(error) => {
                self.reject(&line.text, object::shorten(&error))?;
                return Ok(None);
            }
        };
        let stream = envelope.stream.as_deref();
        match (&*envelope.kind, stream) {
            ("STATE", _) => {
                let Some(value) = envelope.value else { return Ok(None) };
                self.goes_past_state = false;
                let number = self.naming.as_mut().map_or(0, |naming| naming.begin(value));
                return Ok(Some(Heard::State(State { value: value.to_owned(), number })));
            }
            ("SCHEMA", Some(stream)) => {
                let schema = StreamSchema::of(envelope.schema, envelope.key_properties);
                let schema = schema.map_err(|problem| self.wrong(problem))?;
                return Ok(Some(self.declare(stream, schema)));
            }
            ("ACTIVATE_VERSION", Some(stream)) => {
                let version = version(envelope.version);
                return Ok(version.map(|version| Heard::Activate(stream.to_owned(), version)));
            }
            ("BATCH", Some(stream)) => {
                let files = envelope.files().map_err(|problem| self.wrong(problem))?;
                self.known(stream)?;
                self.files = Some((stream.to_owned(), files.lines(LINE_BYTES_MAX)));
            }
            ("RECORD", Some(stream)) => {
                let version = version(envelope.version);
                let known = self.known(stream)?;
                if let Some(version) = version.filter(|_| version != known.version) {
                    known.version = Some(version);
                    return Ok(Some(Heard::Version(stream.to_owned(), version)));
                }
                let record = envelope.record.map(|record| record.get().as_bytes());
                self.record(stream, record.unwrap_or(b"null"), line.number);
            }
            (kind @ ("SCHEMA" | "RECORD" | "BATCH" | "ACTIVATE_VERSION"), None) => {
                self.reject(&line.text, format!("a {kind} message without a `stream`"))?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// A stream that a `SCHEMA` message has declared.
    fn known(&mut self, stream: &str) -> Result<&mut Stream, InputError> {
        let line = self.line;
        if self.last.as_deref() != Some(stream) {
            self.last = Some(stream.to_owned());
        }
        self.streams.get_mut(stream).ok_or_else(|| InputError {
            line,
            problem: format!("a record of the stream `{stream}` comes before the SCHEMA of it"),
        })
    }

    fn declare(&mut self, name: &str, schema: StreamSchema) -> Heard {
        self.last = Some(name.to_owned());
        let stream = self.streams.entry(name.to_owned()).or_insert_with(|| {
            let mut page = PageBuilder::new(None);
            page.set_source(&Arc::from(name));
            Stream { schema: StreamSchema::default(), page, pages: Vec::new(), version: None }
        });
        stream.schema = schema.clone();
        Heard::Schema(name.to_owned(), schema)
    }

    /// Keeps what is no record with those of the stream that was spoken of last.
    fn reject(&mut self, text: &[u8], problem: String) -> Result<(), InputError> {
        let last = self.last.as_ref().and_then(|last| self.streams.get_mut(last));
        let Some(stream) = last else { return Err(self.wrong(problem)) };
        stream.page.reject(self.line, text, problem);
        self.held.0 += 1;
        Ok(())
    }

    fn read_file(&mut self, some: Option<Result<Vec<Numbered>, String>>) -> Result<(), InputError> {
        match (some, self.files.take()) {
            (Some(Err(problem)), _) => Err(self.wrong(problem)),
            (Some(Ok(lines)), Some((stream, files))) => {
                for line in &lines {
                    self.record(&stream, &line.text, line.number);
                }
                self.files = Some((stream, files));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn record(&mut self, stream: &str, json: &[u8], line: u64) {
        let Some(stream) = self.streams.get_mut(stream) else { return };
        self.held = (self.held.0 + 1, self.held.1 + json.len());
        self.goes_past_state = true;
        match object::cells(json, &mut stream.page.shape) {
            Ok(mut cells) => {
                let naming = self.naming.as_mut();
                match naming.and_then(|naming| stream.look(naming, &mut cells, json).err()) {
                    Some(problem) => stream.page.reject(line, json, problem),
                    None => stream.page.push(cells, line),
                }
            }
            Err(problem) => stream.page.reject(line, json, problem),
        }
        if stream.page.len() >= PAGE_LEN {
            stream.close_page();
        }
    }
}

impl Stream {
    fn close_page(&mut self) {
        if self.page.len() > 0 {
            self.pages.push(self.page.take(Cursor::Null, None));
        }
    }

    /// Whether a record has what its `SCHEMA` says that it has; one without a key gets a name.
    fn look(
        &mut self,
        naming: &mut Naming,
        cells: &mut Vec<Cell>,
        json: &[u8],
    ) -> Result<(), String> {
        let cell = |name: &str, cells: &[Cell]| {
            let index = self.page.shape.position(name)?;
            cells.get(index).and_then(|cell| cell.as_ref()).map(|value| *value == Value::Null)
        };
        let StreamSchema { key, required, .. } = &self.schema;
        if let Some(name) = key.iter().find(|name| cell(name, cells) != Some(false)) {
            return Err(format!(
                "the record has no `{name}`, which is a key property of its stream"
            ));
        }
        if let Some(name) = required.iter().find(|name| cell(name, cells).is_none()) {
            return Err(format!(
                "the record has no `{name}`, which the SCHEMA of its stream requires"
            ));
        }
        if key.is_empty() {
            let index = Arc::make_mut(&mut self.page.shape).intern(naming.field);
            cells.resize(cells.len().max(index + 1), None);
            cells[index] = Some(Value::text(naming.name(json)));
        }
        Ok(())
    }
}

impl Naming {
    fn new(rows: Rows) -> Self {
        let Rows { field, since, number } = rows;
        let state = since.as_ref().map_or(Json::Null, |state| parsed(&state.value));
        let number = since.map_or(number, |state| state.number);
        Self { field, state, number, seed: number, said: HashMap::new() }
    }

    /// Goes on behind a state, and returns its number. One that is said twice is one.
    fn begin(&mut self, state: &RawValue) -> u64 {
        let state = parsed(state);
        if state != self.state {
            self.number += 1;
            (self.state, self.seed) = (state, self.number);
            self.said.clear();
        }
        self.number
    }

    fn name(&mut self, json: &[u8]) -> String {
        if self.said.len() >= ROWS_MAX {
            self.seed = xxh3_64_with_seed(b"more", self.seed);
            self.said.clear();
        }
        let said = xxh3_128_with_seed(json, self.seed);
        let times = self.said.entry(said).or_default();
        *times += 1;
        format!("{said:032x}-{times}")
    }
}

fn parsed(state: &RawValue) -> Json {
    serde_json::from_str(state.get()).unwrap_or_default()
}

fn version(raw: Option<&RawValue>) -> Option<i64> {
    serde_json::from_str(raw?.get()).ok()
}

impl StreamSchema {
    fn of(schema: Option<&RawValue>, key: Option<&RawValue>) -> Result<Self, String> {
        let schema: Option<Map<String, Json>> =
            schema.and_then(|schema| serde_json::from_str(schema.get()).ok());
        let mut schema = schema.ok_or("a SCHEMA message without a `schema`")?;
        let Some(Json::Object(properties)) = schema.remove("properties") else {
            return Err("the schema of a stream has to have `properties`".to_owned());
        };
        let required = schema.remove("required").map(serde_json::from_value);
        let key: Option<Vec<String>> = match key {
            Some(key) => serde_json::from_str(key.get())
                .map_err(|_| "`key_properties` is no list of names".to_owned())?,
            None => None,
        };
        let key = key.unwrap_or_default();
        if let Some(name) = key.iter().find(|name| !properties.contains_key(*name)) {
            return Err(format!("the key property `{name}` is none of the stream's properties"));
        }
        let required = required.and_then(Result::ok).unwrap_or_default();
        Ok(Self { properties, key, required })
    }
}
