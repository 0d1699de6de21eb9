//! CSV and TSV: rows of columns, quoted where they hold delimiters or line ends.
//!
//! A row is taken as a whole before it is consumed. So a quote that is never closed costs one line:
//! the row is given up where it exceeds `line_bytes_max` or the file's end, its first line is
//! rejected, and reading goes on with the line after it.

use super::lines::{self, Line};
use super::object::mismatch;
use super::settings::Settings;
use super::types::{self, Inference};
use super::window::{Fault, Window};
use crate::page::{PAYLOAD_BYTES_MAX, PageBuilder};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use syncline_core::config::model::{ColumnType, EmptyColumn};
use syncline_core::record::Shape;
use syncline_core::value::Cell;

const SAMPLE_ROWS: usize = 1000;
const SAMPLE_BYTES: usize = 1 << 20;

/// Reads rows.
pub(super) struct CsvRows {
    pub(super) window: Window,
    rows: RowCutter,
    columns: Vec<Column>,
    shaped: bool,
    empty: EmptyColumn,
}

struct Column {
    name: String,
    /// In the page's shape.
    index: usize,
    column_type: ColumnType,
    /// Whether a value that does not fit is an error; else the type is a guess and the value stays
    /// text.
    declared: bool,
}

/// What stands next in the window; unconsumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// A row of `len` bytes with its end.
    Whole { len: usize, ended: bool },
    /// A row that is too long, or whose quote is never closed; it has more than one line.
    Unclosed,
    /// The last line, with a quote that is never closed.
    UnclosedLast { len: usize },
    /// A line that is too long.
    LongLine,
    /// Nothing.
    End,
}

impl CsvRows {
    /// Begins with the header of the file that `window` stands at the start of. `types` are
    /// inferred earlier, and get what is inferred now.
    pub(super) fn new(
        window: Window,
        delimiter: u8,
        settings: &Settings,
        types: &mut BTreeMap<String, ColumnType>,
    ) -> Result<Self, Fault> {
        let rows = RowCutter::new(delimiter, settings);
        let mut csv =
            Self { window, rows, columns: Vec::new(), shaped: false, empty: settings.empty };
        let names = csv.names(settings.header)?;
        if settings.infer_types && names.iter().any(|name| !types.contains_key(name)) {
            csv.infer(&names, settings, types)?;
        }
        csv.columns = names
            .into_iter()
            .map(|name| {
                let declared = settings.columns.get(&name).copied();
                let inferred = types.get(&name).copied().filter(|_| settings.infer_types);
                let column_type = declared.or(inferred).unwrap_or(ColumnType::Text);
                Column { name, index: 0, column_type, declared: declared.is_some() }
            })
            .collect();
        Ok(csv)
    }

    /// Reads one more row; false at the end.
    pub(super) fn next(&mut self, page: &mut PageBuilder) -> Result<bool, Fault> {
        if !self.shaped {
            let shape = Arc::make_mut(&mut page.shape);
            for column in &mut self.columns {
                column.index = shape.intern(&column.name);
            }
            self.shaped = true;
        }
        let mut row = self.rows.next(&mut self.window)?;
        let line = self.window.line();
        if let Row::Whole { len, .. } = row
            && self.swallows_rows(len)
        {
            self.rows.restart();
            row = Row::Unclosed;
        }
        match row {
            Row::End => return Ok(false),
            Row::Whole { len, ended } => {
                let raw = &self.window.available()[..len];
                match self.cells(line, &page.shape) {
                    Ok(cells) => page.push(cells, line),
                    Err(problem) => page.reject(line, without_end(raw), problem),
                }
                if !ended {
                    self.window.pin();
                }
                self.window.consume_counting(len);
            }
            Row::UnclosedLast { len } => {
                page.reject(line, &self.window.available()[..len], UNCLOSED.to_owned());
                self.window.pin();
                self.window.consume_counting(len);
            }
            Row::Unclosed => {
                let head = lines::skip(&mut self.window)?;
                page.reject(line, &head, UNCLOSED.to_owned());
            }
            Row::LongLine => {
                let head = lines::skip(&mut self.window)?;
                page.reject(line, &head, lines::too_long(self.rows.bytes_max));
            }
        }
        Ok(true)
    }

    /// Whether the row is uneven, has many lines and is too long to be kept as a payload: two stray
    /// quotes far apart, most likely, and what is between them must not be lost.
    fn swallows_rows(&self, len: usize) -> bool {
        len > PAYLOAD_BYTES_MAX
            && self.rows.len() != self.columns.len()
            && memchr::memchr(b'\n', without_end(&self.window.available()[..len])).is_some()
    }

    /// The columns' names. Without a header they are counted in the first row, which stays.
    fn names(&mut self, header: bool) -> Result<Vec<String>, Fault> {
        match self.rows.next(&mut self.window)? {
            Row::End => Ok(Vec::new()),
            Row::Whole { .. } if !header => {
                self.rows.restart();
                Ok((1..=self.rows.len()).map(|number| format!("column_{number}")).collect())
            }
            Row::Whole { len, .. } => {
                let names = self.header()?;
                self.window.consume_counting(len);
                Ok(names)
            }
            _ => Err(Fault::Refused(
                "the first row is no header: a quote is never closed in it, \
                or it is longer than `line_bytes_max`"
                    .to_owned(),
            )),
        }
    }

    /// The header's names; one that comes again gets a number (`x`, `x_2`), an empty one becomes
    /// `column_N`.
    fn header(&self) -> Result<Vec<String>, Fault> {
        let mut given = BTreeSet::new();
        for index in 0..self.rows.len() {
            given.insert(self.rows.text(index).ok_or_else(|| {
                Fault::Refused(format!(
                    "the name of column {} in the header is not valid text; set `encoding`",
                    index + 1
                ))
            })?);
        }
        let mut names: Vec<String> = Vec::new();
        let mut taken = BTreeSet::new();
        for index in 0..self.rows.len() {
            let mut name = match self.rows.text(index) {
                Some("") | None => format!("column_{}", index + 1),
                Some(name) => name.to_owned(),
            };
            let (first, mut number) = (name.clone(), 2);
            while taken.contains(&name) || (name != first && given.contains(name.as_str())) {
                name = format!("{first}_{number}");
                number += 1;
            }
            taken.insert(name.clone());
            names.push(name);
        }
        Ok(names)
    }

    /// Infers the types of all columns that have none yet, from the first rows.
    fn infer(
        &mut self,
        names: &[String],
        settings: &Settings,
        types: &mut BTreeMap<String, ColumnType>,
    ) -> Result<(), Fault> {
        self.window.look_ahead(SAMPLE_BYTES)?;
        let sample = self.window.available();
        let whole = memchr::memrchr(b'\n', sample).map_or(sample, |end| &sample[..=end]);
        let whole = if self.window.is_at_end() { sample } else { whole };
        let mut guesses = vec![Inference::default(); names.len()];
        self.rows.clone().each(whole, SAMPLE_ROWS, |row| {
            if row.len() == names.len() {
                for (index, guess) in guesses.iter_mut().enumerate() {
                    guess.add(row.text(index).unwrap_or("?"));
                }
            }
        });
        for (name, guess) in names.iter().zip(guesses) {
            if !settings.columns.contains_key(name) {
                types.entry(name.clone()).or_insert(guess.column_type());
            }
        }
        Ok(())
    }

    fn cells(&self, line: u64, shape: &Shape) -> Result<Vec<Cell>, String> {
        let (found, expected) = (self.rows.len(), self.columns.len());
        if found != expected {
            let columns = if found == 1 { "column" } else { "columns" };
            return Err(format!("the row has {found} {columns}, expected are {expected}"));
        }
        let whole = std::str::from_utf8(&self.rows.out[..self.rows.end()]).ok();
        let mut cells: Vec<Cell> = Vec::with_capacity(shape.names().len());
        for (number, column) in self.columns.iter().enumerate() {
            let text = whole.and_then(|whole| whole.get(self.rows.range(number)));
            let text = text.or_else(|| self.rows.text(number));
            let text = text.ok_or_else(|| self.invalid(number))?;
            let cell = column.cell(text, self.empty, line)?;
            if column.index == cells.len() {
                cells.push(cell);
            } else {
                if column.index > cells.len() {
                    cells.resize(column.index + 1, None);
                }
                cells[column.index] = cell;
            }
        }
        Ok(cells)
    }

    fn invalid(&self, number: usize) -> String {
        let bytes = &self.rows.out[self.rows.range(number)];
        let at = std::str::from_utf8(bytes).err().map_or(0, |error| error.valid_up_to());
        let name = &self.columns[number].name;
        let byte = bytes.get(at).copied().unwrap_or_default();
        format!(
            "column `{name}` is not valid text in this encoding: byte {} of it is 0x{byte:02X}; \
             set `encoding`",
            at + 1
        )
    }
}

const UNCLOSED: &str =
    "a quote that opens in this line is never closed, or only too far away (`line_bytes_max`)";

fn without_end(row: &[u8]) -> &[u8] {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    row.strip_suffix(b"\r").unwrap_or(row)
}

impl Column {
    fn cell(&self, text: &str, empty: EmptyColumn, line: u64) -> Result<Cell, String> {
        if text.is_empty() {
            return Ok(types::empty_cell(empty, self.column_type));
        }
        match types::convert(text, self.column_type) {
            Some(value) => Ok(Some(value)),
            None if self.declared => Err(mismatch(&self.name, self.column_type, line, text)),
            None => Ok(types::convert(text, ColumnType::Text)),
        }
    }
}

/// Cuts rows out of a window and into columns.
struct RowCutter {
    core: Reader,
    out: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
    delimiter: u8,
    quote: u8,
    bytes_max: usize,
}

fn core(delimiter: u8, quote: u8) -> Reader {
    ReaderBuilder::new().delimiter(delimiter).quote(quote).build()
}

impl Clone for RowCutter {
    fn clone(&self) -> Self {
        Self {
            core: core(self.delimiter, self.quote),
            out: vec![0; self.out.len()],
            ends: vec![0; self.ends.len()],
            count: 0,
            ..*self
        }
    }
}

impl RowCutter {
    fn new(delimiter: u8, settings: &Settings) -> Self {
        Self {
            core: core(delimiter, settings.quote),
            out: vec![0; 4096],
            ends: vec![0; 64],
            count: 0,
            delimiter,
            quote: settings.quote,
            bytes_max: settings.line_bytes_max,
        }
    }

    /// How many columns the row has.
    fn len(&self) -> usize {
        self.count
    }

    fn end(&self) -> usize {
        self.ends[..self.count].last().copied().unwrap_or(0)
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        start..self.ends[index]
    }

    /// The text of one column; `None` if it is no UTF-8.
    fn text(&self, index: usize) -> Option<&str> {
        std::str::from_utf8(&self.out[self.range(index)]).ok()
    }

    /// Forgets the row that was begun or cut: the next one starts wherever the window stands.
    fn restart(&mut self) {
        self.core.reset();
    }

    /// Cuts the next row, behind any blank lines, which are consumed.
    fn next(&mut self, window: &mut Window) -> Result<Row, Fault> {
        while let Some(byte @ (b'\n' | b'\r')) = window.peek()? {
            window.consume(1, u64::from(byte == b'\n'));
        }
        self.count = 0;
        let (mut taken, mut written, mut at_end) = (0, 0, false);
        loop {
            let bytes = window.available();
            let input = &bytes[taken.min(bytes.len())..bytes.len().min(self.bytes_max + 1)];
            if input.is_empty() && !at_end {
                if taken > self.bytes_max {
                    return self.give_up(window);
                }
                at_end = !window.fill()?;
                continue;
            }
            let (result, read, out, ends) = self.core.read_record(
                input,
                &mut self.out[written..],
                &mut self.ends[self.count..],
            );
            (taken, written, self.count) = (taken + read, written + out, self.count + ends);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.out.resize(self.out.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::End => return Ok(Row::End),
                ReadRecordResult::Record if at_end => return Ok(self.last(window, taken)),
                ReadRecordResult::Record => return Ok(Row::Whole { len: taken, ended: true }),
            }
        }
    }

    /// The row that the stream's end ended, unless it is within quotes.
    fn last(&mut self, window: &Window, len: usize) -> Row {
        let raw = &window.available()[..len];
        if !self.is_unclosed(raw) {
            return Row::Whole { len, ended: false };
        }
        self.restart();
        if memchr::memchr(b'\n', raw).is_some() { Row::Unclosed } else { Row::UnclosedLast { len } }
    }

    fn give_up(&mut self, window: &mut Window) -> Result<Row, Fault> {
        self.restart();
        Ok(match lines::find(window, self.bytes_max)? {
            Line::Long => Row::LongLine,
            _ => Row::Unclosed,
        })
    }

    fn is_unclosed(&self, raw: &[u8]) -> bool {
        let (mut at_start, mut quoted, mut closed) = (true, false, false);
        for &byte in raw {
            if quoted {
                quoted = byte != self.quote;
                closed = !quoted;
            } else if byte == self.quote && (at_start || closed) {
                // At a column's start it opens; right behind a closing quote the two stand for one.
                quoted = true;
                closed = false;
            } else {
                closed = false;
            }
            at_start = !quoted && byte == self.delimiter;
        }
        quoted
    }

    /// Hands over at most `limit` rows of `text`.
    fn each(mut self, mut text: &[u8], limit: usize, mut take: impl FnMut(&Self)) {
        for _ in 0..limit {
            self.count = 0;
            let mut written = 0;
            loop {
                let (result, read, out, ends) = self.core.read_record(
                    text,
                    &mut self.out[written..],
                    &mut self.ends[self.count..],
                );
                text = &text[read..];
                (written, self.count) = (written + out, self.count + ends);
                match result {
                    ReadRecordResult::InputEmpty => {}
                    ReadRecordResult::OutputFull => self.out.resize(self.out.len() * 2, 0),
                    ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                    ReadRecordResult::Record => break,
                    ReadRecordResult::End => return,
                }
            }
            take(&self);
        }
    }
}
