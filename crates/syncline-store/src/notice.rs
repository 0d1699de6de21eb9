//! Word from systems that records may have changed, kept until these were looked at.

use compact_str::CompactString;

/// Word that something at a task's connection may have changed. It says nothing of what is there now: that is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Notice {
    /// The task that is to look.
    pub task: String,
    /// The record that is to be looked at; `None` where all that is known is that something is new.
    pub external_id: Option<CompactString>,
}

/// A notice that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Its number. The same notice that comes again gets another one.
    pub id: i64,
    /// What it says.
    pub notice: Notice,
}
