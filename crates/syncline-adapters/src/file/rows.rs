//! The rows of one file, whatever its format.

use super::csv::CsvRows;
use super::json::JsonRows;
use super::jsonl::JsonlRows;
use super::settings::Settings;
use super::window::{Fault, Mark, Window};
use crate::page::PageBuilder;
use std::collections::BTreeMap;
use syncline_core::config::model::{ColumnType, FileFormat};

/// Reads the rows of one file.
pub(super) enum Rows {
    Csv(Box<CsvRows>),
    Jsonl(Box<JsonlRows>),
    Json(Box<JsonRows>),
}

impl Rows {
    /// Begins at the start of the file that `window` stands at. `types` holds the columns' types
    /// that were inferred so far, and gets those that are inferred now.
    pub(super) fn new(
        format: FileFormat,
        window: Window,
        settings: &Settings,
        types: &mut BTreeMap<String, ColumnType>,
    ) -> Result<Self, Fault> {
        Ok(match format {
            FileFormat::Csv | FileFormat::Tsv => {
                let delimiter = settings.delimiter(format);
                Self::Csv(Box::new(CsvRows::new(window, delimiter, settings, types)?))
            }
            FileFormat::Jsonl => Self::Jsonl(Box::new(JsonlRows::new(window, settings))),
            FileFormat::Json => Self::Json(Box::new(JsonRows::new(window, settings))),
        })
    }

    /// Goes forward to where an earlier read stopped; false if what stands before it is not what it
    /// was then.
    pub(super) fn resume(&mut self, mark: &Mark) -> Result<bool, Fault> {
        match self {
            Self::Json(rows) => rows.resume(mark),
            _ => self.window().go_to(mark),
        }
    }

    /// Reads one more row into `page`, as a record or a reject, or skips something that is neither;
    /// false at the end.
    pub(super) fn next(&mut self, page: &mut PageBuilder) -> Result<bool, Fault> {
        match self {
            Self::Csv(rows) => rows.next(page),
            Self::Jsonl(rows) => rows.next(page),
            Self::Json(rows) => rows.next(page),
        }
    }

    /// Where a later read goes on.
    pub(super) fn mark(&mut self) -> Mark {
        self.window().mark()
    }

    /// Whether the file was seen to its end.
    pub(super) fn is_finished(&mut self) -> bool {
        match self {
            Self::Json(rows) => rows.is_finished(),
            _ => self.window().is_finished(),
        }
    }

    /// How many bytes of text were consumed.
    pub(super) fn position(&mut self) -> u64 {
        self.window().position()
    }

    /// The line that is next, from 1.
    pub(super) fn line(&mut self) -> u64 {
        self.window().line()
    }

    /// How much memory the text takes.
    #[cfg(test)]
    pub(super) fn held_bytes(mut self) -> usize {
        self.window().held_bytes()
    }

    fn window(&mut self) -> &mut Window {
        match self {
            Self::Csv(rows) => &mut rows.window,
            Self::Jsonl(rows) => &mut rows.window,
            Self::Json(rows) => &mut rows.window,
        }
    }
}
