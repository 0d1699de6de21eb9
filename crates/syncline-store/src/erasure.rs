//! Erasing what a store knows of somebody: what goes, and what stays in its place.

use std::collections::BTreeSet;
use syncline_core::plan::rows::{LinkId, ShardId};

/// Names a record without telling anything of it: a keyed hash.
pub type Mark = [u8; 32];

/// The records that were erased from a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Erased {
    /// The key of the marks; `None` where nothing was ever erased.
    pub key: Option<Mark>,
    /// A mark for each.
    pub marks: BTreeSet<Mark>,
}

/// What is to be erased.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Erasure {
    /// A shard, and all that were merged into it: see [`crate::sqlite::SqliteStore::family`].
    pub shards: Vec<ShardId>,
    /// The links of these shards.
    pub links: Vec<LinkId>,
    /// The records that look something up in these links.
    pub dependents: Vec<LinkId>,
    /// What keeps the records out from now on.
    pub marks: Vec<Mark>,
    /// The key of the marks.
    pub key: Mark,
    /// Tasks, and the external ids of which their lists of refused records tell.
    pub letters: Vec<(String, String)>,
    /// The moment, in microseconds since 1970.
    pub now: i64,
}
