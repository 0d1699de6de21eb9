//! Records as adapters hand them over: rows of cells under one growing list of names.

use crate::value::{Cell, Value};
use compact_str::CompactString;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The top-level field names of a page of records, in the order in which they were first seen.
///
/// A shape only ever grows at its end, so an index stays right for every later shape of the same read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    names: Vec<CompactString>,
    index: FxHashMap<CompactString, usize>,
}

impl Shape {
    /// Makes a shape of `names`; a name that comes twice keeps its first index.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let mut shape = Self::default();
        for name in names {
            shape.intern(name.as_ref());
        }
        shape
    }

    /// The index of `name`, added at the end where it is new.
    pub fn intern(&mut self, name: &str) -> usize {
        if let Some(&index) = self.index.get(name) {
            return index;
        }
        let name = CompactString::new(name);
        self.names.push(name.clone());
        self.index.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }

    /// The index of `name`, if some record of the read had it.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The names, by index.
    pub fn names(&self) -> &[CompactString] {
        &self.names
    }
}

/// One record: its top-level values by the index of its page's [`Shape`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// A row shorter than the shape ends in absent cells.
    pub cells: Vec<Cell>,
    /// Index into [`Page::sources`]: the file or table it was read from.
    pub source: u32,
    /// Line (files, from 1) or row number (others, from 1) within that source.
    pub line: u64,
    /// The remote says that this record is deleted.
    pub deleted: bool,
}

impl Record {
    /// The cell at `index` of the shape; `None` where absent.
    pub fn cell(&self, index: usize) -> Option<&Value> {
        self.cells.get(index).and_then(Option::as_ref)
    }
}

/// Something that was read and is no record: a malformed line, an over-long one, a value out of range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// Where it stands: file or table.
    pub source: String,
    /// Line or row number within it, from 1.
    pub line: u64,
    /// The text as it was read, cut at 64 KiB; bytes that are no UTF-8 replaced.
    pub payload: String,
    /// Why it is no record: what was expected, and where in the text.
    pub problem: String,
}

/// Where a read stopped: opaque to all but the adapter that wrote it.
pub type Cursor = serde_json::Value;

/// Records read in one go, with the cursor that stands after the last of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The names for the cells of all records of the page.
    pub shape: Arc<Shape>,
    /// In the order of the source.
    pub records: Vec<Record>,
    /// What could not be read as a record; it counts as fetched and failed.
    pub rejected: Vec<Rejected>,
    /// The files or tables that the records came from, by [`Record::source`].
    pub sources: Vec<Arc<str>>,
    /// Committed together with the page's records; reading from it gives what comes after them.
    pub cursor: Cursor,
    /// How far the read is, from 0 to 1, where the adapter can tell.
    pub progress: Option<f64>,
}

impl Page {
    /// How many things were fetched: records and rejects.
    pub fn len(&self) -> usize {
        self.records.len() + self.rejected.len()
    }

    /// Whether nothing was fetched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
