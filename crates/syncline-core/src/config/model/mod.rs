//! The configuration as its file says it: plain data, one struct for each block.
//!
//! The JSON Schema for editors, and the checks for unknown keys and wrong types, are made from these
//! structs; so a doc comment here is what a user reads in the editor.

mod carddav;
mod connection;
mod conversion;
mod database;
mod file;
pub mod indexed;
mod manifest;
mod program;
mod shard_type;
mod task;
mod webhook;
mod write_block;

pub use carddav::*;
pub use connection::*;
pub use conversion::*;
pub use database::*;
pub use file::*;
pub use manifest::*;
pub use program::*;
pub use shard_type::*;
pub use task::*;
pub use webhook::*;
pub use write_block::*;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A whole configuration: what is connected, what is kept, how one becomes the other, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The owner of everything in this file.
    pub tenant: Option<String>,
    /// Where shards are kept: the path of a SQLite file, relative to this file. `--store` overrides it.
    pub store: Option<String>,
    /// How fast all connections together may be asked: so many calls in so much time.
    pub limits: Vec<CallRate>,
    /// The outside systems, by name.
    pub connections: BTreeMap<String, Connection>,
    /// The user's own types, by name.
    pub shard_types: BTreeMap<String, ShardType>,
    /// How records of an entity become shards, by name.
    pub conversion_schemas: BTreeMap<String, ConversionSchema>,
    /// What is synced with what, when and how, by name.
    pub sync_tasks: BTreeMap<String, SyncTask>,
}

impl Config {
    /// The names of the tasks whose records are those of an entity of a connection.
    pub fn tasks_of(&self, connection: &str, entity: &str) -> impl Iterator<Item = &str> {
        let is_of = move |task: &SyncTask| task.connection == connection && task.entity == entity;
        self.sync_tasks.iter().filter(move |(_, task)| is_of(task)).map(|(name, _)| name.as_str())
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    /// The values, however they were written.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}
