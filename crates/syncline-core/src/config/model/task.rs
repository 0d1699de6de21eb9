//! Sync tasks: what is synced with what, when and how.

use super::Condition;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is synced with what, when and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SyncTask {
    /// The connection.
    pub connection: String,
    /// The entity at the connection.
    pub entity: String,
    /// The conversion schema.
    pub conversion_schema: String,
    /// Which way records go. Default `inbound`.
    #[serde(default)]
    pub direction: Direction,
    /// For single fields of the shard type, another direction: `inbound` is never written at the connection,
    /// `outbound` is never taken from it.
    #[serde(default)]
    pub fields: BTreeMap<String, Direction>,
    /// What decides where both sides changed the same field.
    #[serde(default)]
    pub conflicts: Conflicts,
    /// What is written to the connection.
    #[serde(default)]
    pub outbound: Outbound,
    /// What is read. Default `incremental`.
    #[serde(default)]
    pub mode: ReadMode,
    /// An incremental read takes only records whose value in this field (a time or a number) is not
    /// smaller than the greatest one seen so far, less `look_back_s`. Default: all that was appended or changed.
    #[serde(default)]
    pub cursor_field: Option<String>,
    /// How far behind the newest modified time an incremental read starts again, in seconds, so that late
    /// commits and equal times are not lost. Default 0.
    #[serde(default)]
    pub look_back_s: u64,
    /// How many records go together.
    #[serde(default)]
    pub batch: Batch,
    /// How failed calls are tried again.
    #[serde(default)]
    pub retry: Retry,
    /// When deletions stop and ask.
    #[serde(default)]
    pub fuse: Fuse,
}

/// Which way records go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the connection to the shards.
    #[default]
    #[serde(alias = "pull")]
    Inbound,
    /// From the shards to the connection.
    #[serde(alias = "push")]
    Outbound,
    /// Both ways.
    Bidirectional,
}

impl Direction {
    /// Whether records change shards.
    pub fn takes(self) -> bool {
        self != Self::Outbound
    }

    /// Whether shards change records.
    pub fn gives(self) -> bool {
        self != Self::Inbound
    }
}

/// What decides where a shard and a record both changed the same field since they last agreed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Conflicts {
    /// What decides in general. Default `newest_wins`.
    pub strategy: ConflictStrategy,
    /// What decides for single fields, whatever the strategy.
    pub fields: BTreeMap<String, FieldRuleSpec>,
    /// Fields that belong together, such as those of an address: where both sides changed some of them, one side's
    /// stand, all of them.
    pub groups: Vec<Vec<String>>,
    /// For the strategy `custom`: an expression over `base`, `local`, `remote`, `local_at` and `remote_at`
    /// (microseconds since 1970) that gives the value. Where it fails, a person is asked.
    pub expression: Option<String>,
    /// How far the connection's modified times may be off, in milliseconds: clock and granularity together. Changes
    /// that lie closer count as of one time. Default 1000.
    pub tolerance_ms: Option<u32>,
}

/// What decides between two changes of one field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConflictStrategy {
    /// The later change stands; of changes at one time, that of the connection with the higher priority, then the
    /// greater value.
    #[default]
    NewestWins,
    /// The connection's value stands.
    SourceWins,
    /// The shard's value stands.
    #[serde(alias = "target_wins")]
    DestinationWins,
    /// Lists are united; of other fields the newest value stands. `fields` says more.
    Merge,
    /// A person is asked; until then, the field is held, and the rest of the record goes on.
    Manual,
    /// `expression` decides.
    Custom,
}

impl ConflictStrategy {
    /// The strategy as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewestWins => "newest_wins",
            Self::SourceWins => "source_wins",
            Self::DestinationWins => "destination_wins",
            Self::Merge => "merge",
            Self::Manual => "manual",
            Self::Custom => "custom",
        }
    }
}

/// What decides between two changes of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FieldRuleSpec {
    /// The shard's value stands.
    Local,
    /// The connection's value stands.
    Remote,
    /// The later change stands.
    Newest,
    /// The items of both lists (of texts, the lines), less what either side removed.
    #[serde(alias = "concat")]
    Union,
    /// A whole number that both sides add to: both changes are summed.
    Counter,
    /// Both changes of a text, where they are of different lines; else the later one.
    Text,
    /// A person is asked.
    Manual,
    /// An expression over `base`, `local`, `remote`, `local_at` and `remote_at`.
    #[serde(alias = "custom")]
    Expression(String),
}

/// What is written to the connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// Only shards that meet all of these conditions on their fields are written. Default: all.
    pub filter: Vec<Condition>,
    /// Whether a shard that has no record at the connection gets one. Default true.
    pub create: bool,
    /// What a deletion means for the other side. Default `unlink`.
    pub deletes: Deletes,
}

impl Default for Outbound {
    fn default() -> Self {
        Self { filter: Vec::new(), create: true, deletes: Deletes::default() }
    }
}

/// What a deletion at one side means for the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Deletes {
    /// Nothing: shard and record go separate ways.
    #[default]
    Unlink,
    /// A record that is deleted takes its shard with it, and a shard that is deleted takes the record with it.
    Propagate,
}

/// What a run reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReadMode {
    /// What came since the last run: appended lines, or records whose modified time is newer.
    #[default]
    Incremental,
    /// Everything; what is missing counts as deleted at the source.
    #[serde(alias = "full_refresh", alias = "full_sync")]
    Full,
}

/// How many records go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Records in a batch. Default 2000.
    #[cfg_attr(test, schemars(range(min = 1, max = 100_000)))]
    pub size: u32,
    /// A pause after each batch, in milliseconds. Default 0.
    pub delay_ms: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 2000, delay_ms: 0 }
    }
}

/// How failed calls are tried again: `delay_ms`, then `multiplier` times as long each time, up to
/// `delay_ms_max`, stretched or shrunk by up to `jitter`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Tries after the first one. Default 3.
    #[serde(alias = "maxAttempts")]
    pub max_attempts: u32,
    /// The first wait, in milliseconds. Default 1000.
    #[serde(alias = "initialDelayMs")]
    pub delay_ms: u64,
    /// The longest wait, in milliseconds. Default 30000.
    #[serde(alias = "maxDelayMs")]
    pub delay_ms_max: u64,
    /// How much longer each wait is than the last. Default 2.
    #[serde(alias = "backoffMultiplier")]
    pub multiplier: f64,
    /// How far a wait is stretched or shrunk at random. Default 0.2.
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 3, delay_ms: 1000, delay_ms_max: 30_000, multiplier: 2.0, jitter: 0.2 }
    }
}

/// When deletions stop and ask: more than `count` and more than `share` of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Fuse {
    /// So many deletions pass, however large their share. Default 10.
    pub count: u64,
    /// So large a share passes, however many they are. Default 0.05.
    pub share: f64,
}

impl Default for Fuse {
    fn default() -> Self {
        Self { count: 10, share: 0.05 }
    }
}
