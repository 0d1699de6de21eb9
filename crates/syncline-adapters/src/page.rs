//! Pages in the making: records and rejects as they come, under one growing shape.

use crate::ChangedSince;
use std::sync::Arc;
use syncline_core::convert::stamp;
use syncline_core::record::{Cursor, Page, Record, Rejected, Shape};
use syncline_core::value::Cell;

/// The most bytes of something unreadable that are kept.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// Collects what is read until it is taken as a page.
pub(crate) struct PageBuilder {
    /// The names of all fields seen in this read.
    pub(crate) shape: Arc<Shape>,
    changed_since: Option<ChangedSince>,
    records: Vec<Record>,
    rejected: Vec<Rejected>,
    sources: Vec<Arc<str>>,
    source: Arc<str>,
}

impl PageBuilder {
    /// Collects only what is not older than `changed_since`.
    pub(crate) fn new(changed_since: Option<ChangedSince>) -> Self {
        Self {
            shape: Arc::default(),
            changed_since,
            records: Vec::new(),
            rejected: Vec::new(),
            sources: Vec::new(),
            source: "".into(),
        }
    }

    /// From now on, things come from the file `name`.
    pub(crate) fn set_source(&mut self, name: &Arc<str>) {
        self.source = name.clone();
    }

    /// Adds a record, unless it is too old.
    pub(crate) fn push(&mut self, cells: Vec<Cell>, line: u64) {
        if self.is_old(&cells) {
            return;
        }
        self.add(Record { cells, line, ..Record::default() });
    }

    fn add(&mut self, record: Record) {
        if self.sources.last() != Some(&self.source) {
            self.sources.push(self.source.clone());
        }
        let source = u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX);
        self.records.push(Record { source, ..record });
    }

    /// Adds a record of which nothing is left but its key.
    pub(crate) fn push_deleted(&mut self, cells: Vec<Cell>, line: u64) {
        self.add(Record { cells, line, deleted: true, ..Record::default() });
    }

    /// Adds something that is no record.
    pub(crate) fn reject(&mut self, line: u64, payload: &[u8], problem: String) {
        let payload = &payload[..payload.len().min(PAYLOAD_BYTES_MAX)];
        self.rejected.push(Rejected {
            source: self.source.to_string(),
            line,
            payload: String::from_utf8_lossy(payload).into_owned(),
            problem,
        });
    }

    /// How many records and rejects were collected.
    pub(crate) fn len(&self) -> usize {
        self.records.len() + self.rejected.len()
    }

    /// Takes what was collected; the next page starts empty, under the same shape.
    pub(crate) fn take(&mut self, cursor: Cursor, progress: Option<f64>) -> Page {
        Page {
            shape: self.shape.clone(),
            records: std::mem::take(&mut self.records),
            rejected: std::mem::take(&mut self.rejected),
            sources: std::mem::take(&mut self.sources),
            cursor,
            progress,
        }
    }

    fn is_old(&self, cells: &[Cell]) -> bool {
        let Some(since) = &self.changed_since else { return false };
        self.shape
            .position(&since.field)
            .and_then(|index| cells.get(index)?.as_ref())
            .and_then(stamp)
            .is_some_and(|moment| moment < since.at_least)
    }
}
