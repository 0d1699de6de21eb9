//! What can be asked of a store.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use syncline_core::plan::rows::{
    ConflictRow, EntityId, ExecutionId, IntentId, IntentRow, IntentState, KindId, LinkId,
    MatchEdge, ShardId, TypeId,
};
use syncline_core::plan::writes::DeadLetter;

/// Which shards are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardFilter {
    /// Of this type; `None` for all.
    pub shard_type: Option<TypeId>,
    /// Whose fields hold these: name and text; all must hold.
    pub fields: Vec<(String, FieldTest)>,
    /// Row number after this one.
    pub after: ShardId,
    /// At most so many.
    pub limit: usize,
    /// Deleted shards too. Merged ones never.
    pub with_deleted: bool,
}

/// What a field must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldTest {
    /// The text, exactly.
    Equals(String),
    /// The text somewhere, in any case of ASCII letters.
    Contains(String),
}

/// An edge, with its target where that has arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeRow {
    /// The record that states it.
    pub link: LinkId,
    /// That record's shard.
    pub shard: ShardId,
    /// The relationship.
    pub kind: KindId,
    /// The kind of record that is pointed to, or a field pseudo-entity.
    pub entity: EntityId,
    /// Its external id, or the field's value.
    pub target: String,
    /// The link that is pointed to; `None` while it has not arrived.
    pub target_link: Option<LinkId>,
    /// That link's shard.
    pub target_shard: Option<ShardId>,
}

/// A merge of two shards.
#[derive(Clone, Debug, PartialEq)]
pub struct MergeRow {
    /// The shard that stayed.
    pub survivor: ShardId,
    /// The shard that became an alias.
    pub loser: ShardId,
    /// The best edge between their records.
    pub evidence: Option<MatchEdge>,
    /// How its score came about, comparison by comparison: JSON text.
    pub waterfall: Option<Arc<str>>,
    /// Who decided it, where that was a person.
    pub by: Option<String>,
    /// The records of both shards before, each with its shard.
    pub records: Vec<(LinkId, ShardId)>,
    /// The execution.
    pub execution: ExecutionId,
}

/// What a shard held before one of its changes.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The execution that changed it.
    pub execution: ExecutionId,
    /// Its version before.
    pub version: i64,
    /// Its data before, as JSON text.
    pub before: Arc<str>,
}

/// Which dead letters are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Of this task.
    pub task: Option<String>,
    /// These only; empty for all.
    pub ids: Vec<i64>,
    /// Of this execution.
    pub execution: Option<ExecutionId>,
    /// Those that were replayed, too.
    pub with_replayed: bool,
    /// At most so many.
    pub limit: usize,
}

/// Which intents are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntentFilter {
    /// Those that go to this entity.
    pub entity: Option<EntityId>,
    /// Those that this execution decided.
    pub execution: Option<ExecutionId>,
    /// In one of these states; none: in any.
    pub states: Vec<IntentState>,
    /// Row number after this one.
    pub after: IntentId,
    /// At most so many.
    pub limit: usize,
}

impl IntentFilter {
    /// Whether the filter lets `row` through.
    pub(crate) fn admits(&self, row: &IntentRow) -> bool {
        self.entity.is_none_or(|entity| entity == row.entity)
            && self.execution.is_none_or(|execution| execution == row.execution)
            && (self.states.is_empty() || self.states.contains(&row.state))
            && row.id > self.after
    }
}

/// Which conflicts are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConflictFilter {
    /// This one.
    pub id: Option<i64>,
    /// Those that were decided, too.
    pub with_closed: bool,
    /// At most so many.
    pub limit: usize,
}

impl ConflictFilter {
    /// Whether the filter lets `row` through.
    pub(crate) fn admits(&self, row: &ConflictRow) -> bool {
        self.id.is_none_or(|id| id == row.id) && (self.with_closed || row.status == "open")
    }
}

/// A dead letter on the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterRow {
    /// Its number on the list.
    pub id: i64,
    /// The execution that refused it.
    pub execution: ExecutionId,
    /// What was refused, and why.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// The execution that replayed it.
    pub replayed: Option<ExecutionId>,
}

/// How much of everything there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Live shards by type.
    pub shards: Vec<(TypeId, u64)>,
    /// Links that are not deleted.
    pub links: u64,
    /// Edges whose target has arrived.
    pub edges_linked: u64,
    /// Edges that wait for their target.
    pub edges_waiting: u64,
    /// Dead letters that were not replayed.
    pub dead_letters: u64,
    /// Pairs that wait for a person.
    pub reviews: u64,
}

impl ShardFilter {
    /// Whether a shard whose data is `data` (a JSON object as text) passes the tests of its fields.
    ///
    /// A field that holds no text is compared as its JSON text: `42`, `true`, `["a","b"]`. An absent field,
    /// or null, passes no test.
    pub(crate) fn holds_for(&self, data: &str) -> bool {
        if self.fields.is_empty() {
            return true;
        }
        let fields: FxHashMap<Cow<'_, str>, &RawValue> = match serde_json::from_str(data) {
            Ok(fields) => fields,
            Err(_) => return false,
        };
        self.fields.iter().all(|(name, test)| {
            let raw = fields.get(name.as_str()).map(|raw| raw.get()).filter(|raw| *raw != "null");
            raw.is_some_and(|raw| {
                let text: Option<Cow<'_, str>> =
                    serde_json::from_str::<String>(raw).ok().map(Cow::Owned);
                test.holds_for(&text.unwrap_or(Cow::Borrowed(raw)))
            })
        })
    }
}

impl FieldTest {
    fn holds_for(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => text == wanted,
            Self::Contains(part) => text.to_ascii_lowercase().contains(&part.to_ascii_lowercase()),
        }
    }
}

/// The first and last UUID, as numbers, whose hexadecimal digits start with `prefix`; `None` when none can.
pub(crate) fn id_range(prefix: &str) -> Option<(u128, u128)> {
    let is_hexadecimal = prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = |text: String| u128::from_str_radix(&text, 16).ok();
    if !is_hexadecimal || prefix.len() > 32 {
        return None;
    }
    Some((number(format!("{prefix:0<32}"))?, number(format!("{prefix:f<32}"))?))
}

impl DeadLetterFilter {
    /// Whether the filter lets `row` through.
    pub(crate) fn admits(&self, row: &DeadLetterRow) -> bool {
        self.task.as_ref().is_none_or(|task| *task == row.letter.task)
            && (self.ids.is_empty() || self.ids.contains(&row.id))
            && self.execution.is_none_or(|execution| execution == row.execution)
            && (self.with_replayed || row.replayed.is_none())
    }
}
