//! What an intent writes.

use crate::value::{Cell, Value};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// What an intent writes, and all that is needed to tell later what became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Body {
    /// Names the write: the same for all attempts at it, and for nothing else.
    pub key: CompactString,
    /// Names the shard at the system, for records that can hold it.
    pub marker: CompactString,
    /// The record's external id; empty for a creation.
    pub external_id: CompactString,
    /// For a creation: the shard had a record there, which was deleted, and it was decided that it comes back.
    pub again: bool,
    /// The record's fields, as they are to be.
    pub record: Vec<(CompactString, Value)>,
    /// The shard's values that they are made of, by field.
    pub sent: Vec<(CompactString, Cell)>,
    /// What the record said of these fields before, in the shard's form.
    pub before: Vec<(CompactString, Cell)>,
    /// The version that the record had when it was decided.
    pub version: Option<CompactString>,
}

impl Body {
    /// As JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it is plain data")
    }

    /// From JSON text; empty where that is none of ours.
    pub fn from_json(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }
}
