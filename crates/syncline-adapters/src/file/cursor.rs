//! The cursor of a read: for each file, how far it was read and what it was then.

use super::source::Stat;
use super::window::Mark;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use syncline_core::config::model::ColumnType;
use syncline_core::record::Cursor;

const VERSION: u32 = 1;

/// All that a later read needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CursorState {
    version: u32,
    /// The files that were read, wholly or in part.
    pub(super) files: Vec<FileState>,
    /// Types that were inferred, by column: later reads keep to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) types: BTreeMap<String, ColumnType>,
}

impl Default for CursorState {
    fn default() -> Self {
        Self { version: VERSION, files: Vec::new(), types: BTreeMap::new() }
    }
}

/// How far one file was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FileState {
    /// Its name, as records show it.
    pub(super) path: String,
    /// What it was when it was opened.
    #[serde(flatten)]
    pub(super) stat: Stat,
    /// Whether it was read to its end.
    pub(super) done: bool,
    /// Bytes before the place where a later read goes on, unpacked and decoded.
    pub(super) position: u64,
    /// Whole lines before that place.
    pub(super) lines: u64,
    /// The XXH3 hash of those bytes.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub(super) hash: u64,
}

/// What is to be done with a file that an earlier read knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// Nothing: it was read to its end and did not change.
    Skip,
    /// What stands before the mark was read, provided that its hash still is the same.
    GoOn,
    /// It is another file now.
    Restart,
}

impl CursorState {
    /// The state in `cursor`; `None` if it was not written by this adapter in this form.
    pub(super) fn parse(cursor: &Cursor) -> Option<Self> {
        let state: Self = Deserialize::deserialize(cursor).ok()?;
        (state.version == VERSION).then_some(state)
    }

    /// The state as a cursor.
    pub(super) fn to_cursor(&self) -> Cursor {
        serde_json::to_value(self).expect("a cursor holds plain data with text keys only")
    }
}

impl FileState {
    /// The state of a file that was read up to `mark`.
    pub(super) fn new(path: &str, stat: Stat, done: bool, mark: &Mark) -> Self {
        let Mark { position, lines, hash } = *mark;
        Self { path: path.to_owned(), stat, done, position, lines, hash }
    }

    /// Where a later read goes on.
    pub(super) fn mark(&self) -> Mark {
        Mark { position: self.position, lines: self.lines, hash: self.hash }
    }

    /// What becomes of the file, which is `now`. A full read goes on only in the very same file; an
    /// incremental one also where the file may have grown (`appendable` formats).
    pub(super) fn resume(&self, now: &Stat, full: bool, appendable: bool) -> Resume {
        if self.stat == *now {
            if self.done { Resume::Skip } else { Resume::GoOn }
        } else if full || !appendable {
            Resume::Restart
        } else {
            Resume::GoOn
        }
    }
}

fn to_hex<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{hash:016x}"))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    u64::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
}
