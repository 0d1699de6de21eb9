//! Connectors that are programs of their own, and which of their streams are read.

use super::{OneOrMany, ReadMode};
use crate::value::Value;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Which program it is, what it is configured with, and how long it may take.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct ProgramSettings {
    /// The program, or the program and its arguments as a list; no shell reads it. A name is looked for on the search
    /// path, a path is relative to the configuration.
    pub command: OneOrMany<String>,
    /// The connector's own configuration. It is handed over in a file that only this user can read.
    pub config: BTreeMap<String, Value>,
    /// Variables of the program's environment. Of Syncline's own, it gets the few that every program needs.
    pub env: BTreeMap<String, String>,
    /// A file with the catalog, relative to the configuration. Default: the program is asked for it before each run.
    pub catalog: Option<String>,
    /// Of `singer` alone: the tap takes its catalog with `--properties` instead of `--catalog`. Default false.
    pub takes_properties: bool,
    /// How long the program may take until its first message, in seconds. Default 120.
    pub start_timeout_s: Option<u32>,
    /// How long the program may be silent between two messages, in seconds. Default 900.
    pub silence_timeout_s: Option<u32>,
    /// How long a whole run of the program may take, in seconds. Default 86400, a day.
    pub timeout_s: Option<u32>,
    /// The longest line that is read, in bytes; a longer one is a dead letter. Default 16 MiB.
    pub line_bytes_max: Option<u64>,
}

impl fmt::Debug for ProgramSettings {
    /// Leaves out what may hold credentials: configuration, environment and arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramSettings")
            .field("program", &self.command.as_slice().first())
            .finish_non_exhaustive()
    }
}

/// Which stream of a program is read, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct ProgramStreamSettings {
    /// The stream. Default: the entity's name.
    pub stream: Option<String>,
    /// Of `airbyte` alone: the stream's namespace, where several streams have one name.
    pub namespace: Option<String>,
    /// Whether the stream is read from where the last run stopped, or whole each time. Default: what it can.
    pub replication: Option<ReadMode>,
}
