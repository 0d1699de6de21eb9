//! What the store keeps, as rows that plans read and write.

use crate::matching::Zone;
use crate::reconcile::{Stamp, Winner};
use crate::value::{Cell, Value};
use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::sync::Arc;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A link's row number. Never leaves the store; grows with each new link.
    LinkId
}
id! {
    /// A shard's row number. Outside, a shard is known by its UUID.
    ShardId
}
id! {
    /// A kind of record as one shard type sees it: connection, entity and shard type; also the records
    /// that derived shards stand for, and the fields by which shards are looked up.
    EntityId
}
id! {
    /// A shard type.
    TypeId
}
id! {
    /// The name of a relationship.
    KindId
}
id! {
    /// The name of a match rule.
    RuleId
}
id! {
    /// One execution of a task.
    ExecutionId
}
id! {
    /// An intent's row number.
    IntentId
}

/// A link: what one record of one system says of one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkRow {
    /// Its row number.
    pub id: LinkId,
    /// The kind of record.
    pub entity: EntityId,
    /// The record's id at its system; unique within the entity.
    pub external_id: CompactString,
    /// The shard that the record belongs to.
    pub shard: ShardId,
    /// The image as JSON text.
    pub image: Arc<str>,
    /// xxh3-128 of the image and the record's references: equal means unchanged.
    pub hash: u128,
    /// When the record changed, as its system says, in microseconds since 1970.
    pub modified: Option<i64>,
    /// When the execution began that last changed the link, in microseconds since 1970.
    pub observed: i64,
    /// That execution.
    pub execution: ExecutionId,
    /// For a derived record that several records share: the external id of the one whose values stand.
    pub contributor: Option<CompactString>,
    /// Whether the record is deleted at its system.
    pub deleted: bool,
}

/// A shard: the canonical record of one real thing.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardRow {
    /// Its row number.
    pub id: ShardId,
    /// Its id outside, a UUIDv7, as a number.
    pub uuid: u128,
    /// Its type.
    pub shard_type: TypeId,
    /// Its fields as JSON text.
    pub data: Arc<str>,
    /// A link whose image the data is, letter by letter, so that a store keeps it once.
    pub said_by: Option<LinkId>,
    /// Counts its changes, from 1.
    pub version: i64,
    /// The execution that made it.
    pub created: ExecutionId,
    /// When it was deleted, in microseconds since 1970: a tombstone.
    pub deleted_at: Option<i64>,
    /// The shard that it was merged into: its id is an alias of that one's.
    pub merged_into: Option<ShardId>,
}

/// Two records that a rule found to be the same, or perhaps the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatchEdge {
    /// The one; smaller than `b`.
    pub a: LinkId,
    /// The other.
    pub b: LinkId,
    /// From 0 to 1.
    pub score: f32,
    /// The rule.
    pub rule: RuleId,
    /// What follows from the score.
    pub zone: Zone,
}

/// What a person decided of two records. It stands until another decision takes its place, whatever the match
/// rules say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The one; smaller than `b`.
    pub a: LinkId,
    /// The other.
    pub b: LinkId,
    /// What was decided.
    pub verdict: Verdict,
    /// Who decided.
    pub by: String,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// Why, in that person's words; may be empty.
    pub why: String,
}

/// Whether two records are about the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They are not, so they never share a shard (cannot-link).
    Apart,
    /// They are, so they share a shard (must-link), unless that would bring two together that are apart.
    Same,
}

/// What a link and its shard last agreed on, as far as it does not follow from the link's image; and the version
/// that the record had.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseRow {
    /// The link.
    pub link: LinkId,
    /// The record's version, as its system said.
    pub version: Option<CompactString>,
    /// The fields of which shard and record do not hold the image's value for agreed, as JSON text; `None` where
    /// there are none.
    pub fields: Option<Arc<str>>,
}

/// A write that an outside system is owed, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct IntentRow {
    /// Its row number.
    pub id: IntentId,
    /// The execution that decided it.
    pub execution: ExecutionId,
    /// Where it goes.
    pub entity: EntityId,
    /// The link that is written; for a creation, a link of the shard that is created from.
    pub link: LinkId,
    /// The shard.
    pub shard: ShardId,
    /// What it does.
    pub kind: IntentKind,
    /// How far it is.
    pub state: IntentState,
    /// What is written, as JSON text: see [`super::intent::Body`]. It does not change once it was sent.
    pub body: Arc<str>,
    /// How often it was sent.
    pub attempts: i64,
    /// When it was last sent, in microseconds since 1970.
    pub sent: Option<i64>,
    /// Why it is not done, for people.
    pub problem: Option<String>,
}

/// What an intent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentKind {
    /// Makes a record.
    Create,
    /// Changes fields of a record.
    Update,
    /// Deletes a record.
    Delete,
}

/// How far an intent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Decided, and not sent.
    Planned,
    /// Sent, and nobody knows whether it arrived.
    Sent,
    /// Given up, but it may still arrive.
    Ghost,
    /// A creation that may have arrived, at a system that cannot tell: a person looks.
    Parked,
    /// The system will not have it.
    Rejected,
    /// Done.
    Done,
}

impl IntentState {
    /// Whether it keeps another write of the same record waiting.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Planned | Self::Sent | Self::Parked)
    }
}

/// A field that is there: null is a value, other than absent.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cell, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Two changes of one field between which something was decided, or is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictRow {
    /// Its row number.
    pub id: i64,
    /// The execution that met it.
    pub execution: ExecutionId,
    /// The link whose record changed.
    pub link: LinkId,
    /// The field; empty for an update against a deletion.
    pub field: String,
    /// `update_update`, `record_deleted`, `shard_deleted`, `initial`, `oscillation`.
    pub kind: String,
    /// What both had agreed on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub base: Cell,
    /// What the shard said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub local: Cell,
    /// What the record said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub remote: Cell,
    /// When the shard's value came to be.
    pub local_stamp: Stamp,
    /// When the record's value came to be.
    pub remote_stamp: Stamp,
    /// The rule that decided.
    pub rule: String,
    /// Who won.
    pub winner: Winner,
    /// What stands.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub value: Cell,
    /// Whether the times overlapped.
    pub by_tie: bool,
    /// Why a person is asked although the rule does not say so.
    pub problem: Option<String>,
    /// `open`, `resolved`, `ignored`.
    pub status: String,
    /// Who decided: `syncline` or a person.
    pub by: Option<String>,
    /// When it was met, in microseconds since 1970.
    pub met_at: i64,
    /// When it was decided, in microseconds since 1970.
    pub decided_at: Option<i64>,
}

/// A match rule as the store knows it: it keeps its number when rules are added, or change places.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleName {
    /// The shard type whose records it compares.
    pub shard_type: String,
    /// Its name among the rules of that type.
    pub rule: String,
}

/// A relationship that a record states: from its own shard to the shard of another record.
///
/// It belongs to the record, not to the shard, and names its target as a record (or as a field's value),
/// not as a shard. So a merge moves no edge, and a target that arrives later needs no second look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeTarget {
    /// The name of the relationship.
    pub kind: KindId,
    /// The kind of record that is pointed to, or a field pseudo-entity.
    pub entity: EntityId,
    /// Its external id, or the field's value.
    pub target: CompactString,
}

/// An entity as the store knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityName {
    /// The connection; empty for a field pseudo-entity.
    pub connection: String,
    /// The entity; `contact#company` for the derived shards `company` of `contact`; the field's name for a
    /// pseudo-entity.
    pub entity: String,
    /// The shard type that its records become.
    pub shard_type: String,
}

/// A field's value as values are compared: trimmed and in lower case.
pub fn field_form(value: &str) -> CompactString {
    CompactString::new(value.trim().to_lowercase())
}

/// The match key under which records of a shard type are found by the value of one of their fields.
///
/// Values are compared trimmed and in lower case; blank values have no key.
pub fn field_key(shard_type: &str, field: &str, value: &str) -> Option<u64> {
    let value = field_form(value);
    if value.is_empty() {
        return None;
    }
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for part in ["field", shard_type, field, &value] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    Some(hasher.digest())
}
