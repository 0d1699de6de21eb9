//! What can be asked of a store.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use syncline_core::plan::rows::{
    EntityId, ExecutionId, KindId, LinkId, MatchEdge, ShardId, TypeId,
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
