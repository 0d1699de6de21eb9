//! One read: through all files, page by page, with a cursor behind each page.

use super::cursor::{CursorState, FileState, Resume};
use super::rows::Rows;
use super::settings::Settings;
use super::source::{Opened, Place, Stat};
use super::unpack::{Decoding, unpack};
use super::window::{Fault, Window};
use crate::page::PageBuilder;
use crate::{AdapterError, ReadEnd, ReadRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use syncline_core::config::model::FileFormat;
use syncline_core::record::{Cursor, Page};

/// A page ends early once it was read from so many bytes of text.
const PAGE_BYTES_MAX: u64 = 8 << 20;
/// The most reasons for an incomplete read that are told.
const REASONS_MAX: usize = 5;

/// Reads what `request` asks for; `send` takes a page and says whether more are wanted.
pub(super) fn read(
    settings: &Settings,
    request: ReadRequest,
    send: impl FnMut(Page) -> bool,
) -> Result<ReadEnd, AdapterError> {
    Reading::new(settings, request, send)?.run()
}

struct Reading<'a, S> {
    settings: &'a Settings,
    full: bool,
    page_len: usize,
    send: S,
    places: Vec<Place>,
    /// How far each place was read, by its index.
    states: Vec<Option<FileState>>,
    known: CursorState,
    page: PageBuilder,
    /// Stored bytes of all files, where they are known.
    total: Option<u64>,
    /// Stored bytes of the files behind.
    passed: u64,
    taken: Arc<AtomicU64>,
    /// How much text the page was read from.
    page_bytes: u64,
    /// The cursor of the last page that somebody took.
    sent: Cursor,
    restarted: bool,
    reasons: Vec<String>,
}

/// Whether somebody still wants pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    GoOn,
    Stop,
}

impl<'a, S: FnMut(Page) -> bool> Reading<'a, S> {
    fn new(settings: &'a Settings, request: ReadRequest, send: S) -> Result<Self, AdapterError> {
        let places = Place::list(settings)?;
        let given = request.cursor.filter(|cursor| !cursor.is_null());
        let parsed = given.as_ref().and_then(CursorState::parse);
        let restarted = given.is_some() && parsed.is_none();
        let mut known = parsed.unwrap_or_default();
        let files = std::mem::take(&mut known.files);
        let mut total = Some(0);
        let mut states = Vec::with_capacity(places.len());
        for place in &places {
            let size = place.stat()?.map(|stat| stat.size);
            total = total.zip(size).map(|(total, size)| total + size);
            states.push(None);
        }
        for file in files {
            if let Ok(index) = places.binary_search_by(|place| (*place.name).cmp(&file.path)) {
                states[index] = Some(file);
            }
        }
        Ok(Self {
            settings,
            full: request.full,
            page_len: request.page_len.max(1),
            send,
            places,
            states,
            known,
            page: PageBuilder::new(request.changed_since),
            total,
            passed: 0,
            taken: Arc::default(),
            page_bytes: 0,
            sent: given.unwrap_or_default(),
            restarted,
            reasons: Vec::new(),
        })
    }

    fn run(mut self) -> Result<ReadEnd, AdapterError> {
        for index in 0..self.places.len() {
            match self.read_place(index) {
                Ok(Flow::GoOn) => {}
                Ok(Flow::Stop) => return Ok(self.end(false)),
                Err(error) => {
                    // What was read before the system broke off is good.
                    if self.page.len() > 0 {
                        self.flush();
                    }
                    return Err(error);
                }
            }
        }
        let flow = if self.page.len() > 0 { self.flush() } else { Flow::GoOn };
        Ok(self.end(flow == Flow::GoOn))
    }

    fn end(self, seen_all: bool) -> ReadEnd {
        let incomplete_because = match self.reasons.len() {
            0 => None,
            count if count > REASONS_MAX => Some(format!(
                "{}; and {} more",
                self.reasons[..REASONS_MAX].join("; "),
                count - REASONS_MAX
            )),
            _ => Some(self.reasons.join("; ")),
        };
        ReadEnd {
            complete: seen_all && incomplete_because.is_none(),
            restarted: self.restarted,
            listed_all: false,
            remark: None,
            cursor: if seen_all { self.cursor() } else { self.sent },
            incomplete_because,
        }
    }

    fn read_place(&mut self, index: usize) -> Result<Flow, AdapterError> {
        let format = self.settings.format_of(&self.places[index].name)?;
        let before = self.places[index].stat()?;
        let plan = match (&self.states[index], &before) {
            (Some(state), Some(now)) => state.resume(now, self.full, format != FileFormat::Json),
            _ => Resume::Restart,
        };
        if plan == Resume::Skip {
            self.passed += before.map_or(0, |stat| stat.size);
            return Ok(Flow::GoOn);
        }
        let opened = self.places[index].open()?;
        let stat = opened.stat.clone();
        let flow = self.read_rows(index, format, opened, plan)?;
        self.passed += self.taken.swap(0, Ordering::Relaxed);
        if flow == Flow::GoOn {
            self.check_unchanged(index, stat.as_ref());
        }
        Ok(flow)
    }

    fn read_rows(
        &mut self,
        index: usize,
        format: FileFormat,
        opened: Opened,
        plan: Resume,
    ) -> Result<Flow, AdapterError> {
        let stat = opened.stat.clone();
        let name = self.places[index].name.clone();
        self.page.set_source(&name);
        if stat.as_ref().is_some_and(|stat| stat.size == 0) && is_packed_name(&name) {
            self.reasons.push(format!("`{name}` is empty, which no packed file is"));
            return Ok(Flow::GoOn);
        }
        let mut rows = match self.start(index, format, opened, plan) {
            Ok(rows) => rows,
            Err(fault) => return self.stop(index, fault, 0).map(|()| Flow::GoOn),
        };
        let mut position = rows.position();
        loop {
            let next = rows.next(&mut self.page);
            self.page_bytes += rows.position() - position;
            position = rows.position();
            if self.is_page_full() {
                self.note(index, stat.as_ref(), &mut rows);
                if self.flush() == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            match next {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => {
                    self.note(index, stat.as_ref(), &mut rows);
                    return self.stop(index, fault, rows.line()).map(|()| Flow::GoOn);
                }
            }
        }
        self.note(index, stat.as_ref(), &mut rows);
        Ok(Flow::GoOn)
    }

    /// Opens the rows of a file where they go on, or at its start if it is not the file that was
    /// read earlier.
    fn start(
        &mut self,
        index: usize,
        format: FileFormat,
        opened: Opened,
        plan: Resume,
    ) -> Result<Rows, Fault> {
        let Some(mark) = self.states[index].as_ref().map(FileState::mark) else {
            return self.rows(format, opened);
        };
        let mut opened = opened;
        if plan == Resume::GoOn {
            let mut rows = self.rows(format, opened)?;
            if mark.position == 0 || rows.resume(&mark)? {
                return Ok(rows);
            }
            opened = self.places[index].open().map_err(Fault::Adapter)?;
        }
        let rows = self.rows(format, opened)?;
        self.restarted |= mark.position > 0;
        Ok(rows)
    }

    fn rows(&mut self, format: FileFormat, opened: Opened) -> Result<Rows, Fault> {
        self.taken = opened.taken;
        let unpacked = unpack(opened.input, self.settings.compression).map_err(Fault::Io)?;
        let text = Decoding::new(unpacked, self.settings.encoding);
        let window = Window::new(Box::new(text), opened.failed);
        Rows::new(format, window, self.settings, &mut self.known.types)
    }

    /// Takes a fault as the file's end, if it is one of the data.
    fn stop(&mut self, index: usize, fault: Fault, line: u64) -> Result<(), AdapterError> {
        let place = &self.places[index];
        match fault {
            Fault::Io(error) => Err(place.error(&error)),
            Fault::Adapter(error) => Err(error),
            Fault::Refused(problem) => Err(place.refused(problem)),
            Fault::Broken(problem) => {
                let after = match line {
                    0 | 1 => "before its first line ends".to_owned(),
                    line => format!("after line {}", line - 1),
                };
                self.reasons
                    .push(format!("`{}` is cut off or damaged {after}: {problem}", place.name));
                Ok(())
            }
        }
    }

    /// Says so if the file is not what it was when it was opened.
    fn check_unchanged(&mut self, index: usize, opened: Option<&Stat>) {
        let Some(opened) = opened else { return };
        let place = &self.places[index];
        if !matches!(place.stat(), Ok(Some(now)) if now == *opened) {
            self.reasons.push(format!("`{}` changed while it was read", place.name));
        }
    }

    fn note(&mut self, index: usize, stat: Option<&Stat>, rows: &mut Rows) {
        if let Some(stat) = stat {
            let (done, mark) = (rows.is_finished(), rows.mark());
            let name = &self.places[index].name;
            self.states[index] = Some(FileState::new(name, stat.clone(), done, &mark));
        }
    }

    fn is_page_full(&self) -> bool {
        let len = self.page.len();
        len >= self.page_len || (len > 0 && self.page_bytes >= PAGE_BYTES_MAX)
    }

    fn flush(&mut self) -> Flow {
        let progress = self.total.map(|total| {
            let behind = self.passed + self.taken.load(Ordering::Relaxed);
            if total == 0 { 1.0 } else { (behind as f64 / total as f64).min(1.0) }
        });
        let cursor = self.cursor();
        let page = self.page.take(cursor.clone(), progress);
        if !(self.send)(page) {
            return Flow::Stop;
        }
        self.sent = cursor;
        self.page_bytes = 0;
        Flow::GoOn
    }

    fn cursor(&self) -> Cursor {
        if self.settings.is_stdin() {
            return Cursor::Null;
        }
        let mut state = self.known.clone();
        state.files = self.states.iter().flatten().cloned().collect();
        state.to_cursor()
    }
}

fn is_packed_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    [".gz", ".gzip", ".zst", ".zstd"].iter().any(|end| lower.ends_with(end))
}

/// Reads for a sample: the first page of at most `len` records, if there is any record at all.
pub(super) fn sample(settings: &Settings, len: usize) -> Result<Option<Page>, AdapterError> {
    let mut first = None;
    let request = ReadRequest { page_len: len, full: true, ..ReadRequest::default() };
    let end = read(settings, request, |page| {
        first = Some(page);
        false
    })?;
    match (first, end.incomplete_because) {
        (None, Some(problem)) => {
            Err(AdapterError::Refused { what: settings.path.clone(), problem })
        }
        (first, _) => Ok(first),
    }
}
