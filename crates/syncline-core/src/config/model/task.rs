//! Sync tasks: what is synced with what, when and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is synced with what, when and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the connection to the shards.
    #[default]
    #[serde(alias = "pull")]
    Inbound,
}

/// What a run reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Records in a batch. Default 2000.
    #[schemars(range(min = 1, max = 100_000))]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
