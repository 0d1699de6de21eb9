//! What a plan writes: all of it or nothing.

use super::intent::Body;
use super::rows::{
    BaseRow, ConflictRow, Decision, EdgeTarget, EntityId, ExecutionId, IntentId, IntentRow, LinkId,
    LinkRow, MatchEdge, ShardId, ShardRow, TypeId,
};
use super::view::NO_STATE;
use crate::reconcile::Winner;
use crate::record::Cursor;
use crate::value::{Cell, Value};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that one batch changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The execution that made it.
    pub execution: ExecutionId,
    /// The state that it was made from, from [`super::view::Found::epoch`]; 0 for a plan that read nothing, and
    /// [`NO_STATE`] for one that was made from different ones.
    pub epoch: u64,
    /// Shards that are new, sorted by row number; all row numbers are free ones.
    pub shards_new: Vec<ShardRow>,
    /// Shards that changed, whole as they are now.
    pub shards_changed: Vec<ShardRow>,
    /// Links that are new, sorted by row number; all row numbers are free ones.
    pub links_new: Vec<LinkRow>,
    /// Links that changed, whole as they are now.
    pub links_changed: Vec<LinkRow>,
    /// Links that are known by other names from now on; they come before all that is new, which may have their old ones.
    pub links_renamed: Vec<Renamed>,
    /// Links of which only the stamps changed (modified, observed, execution, contributor), whole as they are now.
    pub links_restamped: Vec<LinkRow>,
    /// Match keys that links gained, sorted.
    pub keys_added: Vec<(u64, LinkId)>,
    /// Match keys that links lost, sorted.
    pub keys_removed: Vec<(u64, LinkId)>,
    /// Match edges that are new or scored anew, each pair once.
    pub match_edges_set: Vec<MatchEdge>,
    /// Match edges that are gone.
    pub match_edges_removed: Vec<(LinkId, LinkId)>,
    /// The edges that a link states, all of them: they replace what it stated before. A new link without
    /// edges is not listed.
    pub edges: Vec<(LinkId, Vec<EdgeTarget>)>,
    /// Merges of shards that were there before.
    pub merges: Vec<Merge>,
    /// What a person decided; it takes the place of what was decided of the same records before.
    pub decisions_set: Vec<Decision>,
    /// Pairs of which nothing is decided any more.
    pub decisions_removed: Vec<(LinkId, LinkId)>,
    /// For shard types, under which match rules their records are matched, and how far that is: plain text of
    /// whoever carries it out.
    pub matched: Vec<(TypeId, String)>,
    /// What was there before, for undo and history.
    pub changes: Vec<Change>,
    /// Records that failed, with their payload.
    pub dead_letters: Vec<DeadLetter>,
    /// What links and shards agree on; one of which everything follows from the image is gone.
    pub bases: Vec<BaseRow>,
    /// When values of shards came to be, as JSON text; `None` where nobody needs to know any more.
    pub stamps: Vec<(ShardId, Option<Arc<str>>)>,
    /// Intents that are new; all row numbers are free ones.
    pub intents_new: Vec<IntentRow>,
    /// Intents that changed, whole as they are now.
    pub intents_changed: Vec<IntentRow>,
    /// Intents that were never sent, and are not wanted any more.
    pub intents_dropped: Vec<IntentId>,
    /// Conflicts that were met; an open one takes the place of the open one of the same link and field. Their row
    /// numbers are the store's to give.
    pub conflicts: Vec<ConflictRow>,
    /// Fields that are no longer in conflict, with who decided it and how: the open conflicts about them are closed.
    pub conflicts_closed: Vec<ConflictClosed>,
    /// How far entities are in being given the shards that were there before: plain text of whoever does it.
    pub swept: Vec<(EntityId, String)>,
    /// Links whose data others look up, and which changed: the others are looked at in a later batch.
    pub unsettled: Vec<LinkId>,
    /// Links that were looked at for that reason, and are done.
    pub settled: Vec<LinkId>,
    /// Where the execution stands after this batch.
    pub checkpoint: Option<Checkpoint>,
}

impl Plan {
    /// The name of the state that the plan leads to, where it is applied to the one that it was made from.
    pub fn state_after(&self) -> u64 {
        self.epoch.wrapping_add(u64::from(!self.changes_nothing()))
    }

    /// Whether it may be applied to `state`. One that read nothing, and one that changes nothing, fit any.
    pub fn fits(&self, state: u64) -> bool {
        match self.epoch {
            NO_STATE => false,
            0 => true,
            epoch => epoch == state || self.changes_nothing(),
        }
    }

    /// Whether applying the plan would change no shard, link, key, edge or list.
    pub fn changes_nothing(&self) -> bool {
        let Self { execution: _, epoch: _, checkpoint: _, .. } = self;
        self.shards_new.is_empty()
            && self.shards_changed.is_empty()
            && self.links_new.is_empty()
            && self.links_changed.is_empty()
            && self.links_renamed.is_empty()
            && self.links_restamped.is_empty()
            && self.keys_added.is_empty()
            && self.keys_removed.is_empty()
            && self.match_edges_set.is_empty()
            && self.match_edges_removed.is_empty()
            && self.edges.is_empty()
            && self.merges.is_empty()
            && self.matched.is_empty()
            && self.decisions_set.is_empty()
            && self.decisions_removed.is_empty()
            && self.changes.is_empty()
            && self.dead_letters.is_empty()
            && self.unsettled.is_empty()
            && self.settled.is_empty()
            && self.changes_no_outbox()
    }

    fn changes_no_outbox(&self) -> bool {
        self.bases.is_empty()
            && self.stamps.is_empty()
            && self.intents_new.is_empty()
            && self.intents_changed.is_empty()
            && self.intents_dropped.is_empty()
            && self.conflicts.is_empty()
            && self.conflicts_closed.is_empty()
            && self.swept.is_empty()
    }

    /// Whether the plan must be durable before anything is sent that it decided.
    pub fn must_last(&self) -> bool {
        !self.intents_changed.is_empty()
    }
}

/// A link whose record is gone, while another record has its external id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The link; it is among those that changed, too.
    pub link: LinkId,
    /// The kind of its record.
    pub entity: EntityId,
    /// Its external id up to now.
    pub before: CompactString,
    /// A name that no record has.
    pub name: CompactString,
}

/// A field that is no longer in conflict.
#[derive(Clone, Debug, PartialEq)]
pub struct ConflictClosed {
    /// The link.
    pub link: LinkId,
    /// The field; empty for an update against a deletion.
    pub field: String,
    /// `resolved` or `ignored`.
    pub status: String,
    /// Who won.
    pub winner: Winner,
    /// What stands.
    pub value: Cell,
    /// Who decided: `syncline` where the sides came to agree by themselves.
    pub by: String,
    /// When, in microseconds since 1970.
    pub at: i64,
}

impl ConflictClosed {
    /// The open conflict `row`, closed.
    pub fn close(&self, row: ConflictRow) -> ConflictRow {
        ConflictRow {
            status: self.status.clone(),
            winner: self.winner,
            value: self.value.clone(),
            by: Some(self.by.clone()),
            decided_at: Some(self.at),
            ..row
        }
    }
}

/// One shard became part of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// The shard that stays.
    pub survivor: ShardId,
    /// The shard whose id is an alias from now on.
    pub loser: ShardId,
    /// The best edge between their records.
    pub evidence: Option<MatchEdge>,
    /// How the score of that edge comes about, comparison by comparison: JSON text.
    pub waterfall: Option<Arc<str>>,
    /// Who decided it, where that was a person.
    pub by: Option<String>,
    /// The records of both shards before, each with its shard.
    pub records: Vec<(LinkId, ShardId)>,
}

/// What a shard or link held before this plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Whose it was.
    pub subject: Subject,
    /// A shard's data, or a link's image, as JSON text.
    pub before: Arc<str>,
    /// The shard's version then; the row number of the link's shard then.
    pub version: i64,
}

/// What a [`Change`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A shard's data.
    Shard(ShardId),
    /// A link's image.
    Link(LinkId),
}

/// A record that failed for good, kept whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The task whose run refused it.
    pub task: String,
    /// File or table.
    pub source: String,
    /// Line or row number within it, from 1; the number of the intent where a write was refused.
    pub line: u64,
    /// The record's external id, where it has one.
    pub external_id: Option<String>,
    /// `fetching` (it could not be read), `transforming` (its values were refused) or `writing` (a system refused it).
    pub phase: String,
    /// Every problem, one to a line.
    pub problem: String,
    /// JSON text, or the line as it was read.
    pub payload: String,
}

impl DeadLetter {
    /// The letter of a write that a system refused, or that a person is asked about. `source` names connection and
    /// entity.
    pub fn of_write(
        task: &str,
        source: String,
        intent: IntentId,
        body: &Body,
        problem: String,
    ) -> Self {
        Self {
            task: task.to_owned(),
            source,
            // What tells the letters of one system apart that are about records which are not there yet.
            line: u64::try_from(intent.0).unwrap_or(0),
            external_id: (!body.external_id.is_empty()).then(|| body.external_id.to_string()),
            phase: "writing".to_owned(),
            problem,
            payload: Value::Map(body.record.clone()).to_json(),
        }
    }

    /// The write that it is about, if it is about one.
    pub fn intent(&self) -> Option<IntentId> {
        let line = (self.phase == "writing" && self.line > 0).then_some(self.line)?;
        i64::try_from(line).ok().map(IntentId)
    }
}

/// Where an execution stands; written in the transaction of the data that it speaks of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Where reading goes on.
    pub cursor: Cursor,
    /// What became of the records so far.
    pub counters: Counters,
    /// `initializing`, `fetching`, `transforming`, `saving`, `complete`.
    pub phase: String,
    /// From 0 to 100; never falls.
    pub percent: f64,
    /// In microseconds since 1970.
    pub at: i64,
    /// The greatest value of the cursor field so far.
    pub high_water: Option<i64>,
    /// For a full read: a bit for each link seen, by row number, lowest bit first.
    #[serde(skip)]
    pub seen: Vec<u8>,
}

/// Declares counts, and what is done with every one of them.
macro_rules! counters {
    (
        $(#[$meta:meta])*
        pub struct Counters { $($(#[$doc:meta])* pub $name:ident: u64,)* }
    ) => {
        $(#[$meta])*
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Adds what another batch came to.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// The counts by name.
            pub fn parts(&self) -> BTreeMap<&'static str, u64> {
                BTreeMap::from([$((stringify!($name), self.$name),)*])
            }
        }
    };
}

counters! {
    /// The ledger of an execution: every fetched record ends in exactly one of created, updated, skipped, failed.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Counters {
        /// Records that came from the source, readable or not.
        pub fetched: u64,
        /// Records that made a new shard.
        pub created: u64,
        /// Records that changed what was there, or joined it.
        pub updated: u64,
        /// Records that changed nothing.
        pub skipped: u64,
        /// Records that could not be read, or failed after all retries.
        pub failed: u64,
        /// Of the updated: joined a shard that other records had made.
        pub merged: u64,
        /// Of the updated: a conflict was decided.
        pub resolved: u64,
        /// Of the updated: the source says they are deleted.
        pub tombstoned: u64,
        /// Of the updated: were deleted before, and are there again.
        pub revived: u64,
        /// Of the skipped: as they were.
        pub unchanged: u64,
        /// Of the skipped: not wanted, by filter or target flags.
        pub filtered: u64,
        /// Of the skipped: refused by validation; each is a dead letter.
        pub invalid: u64,
        /// Of the skipped: waiting for a person.
        pub held: u64,
        /// Links whose record is missing in a complete read: not fetched, so not in the sum.
        pub deleted: u64,
        /// Derived records that made a new shard; not in the sum.
        pub derived_created: u64,
        /// Derived records that changed what was there, or joined it; not in the sum.
        pub derived_updated: u64,
        /// Derived records that changed nothing; not in the sum.
        pub derived_unchanged: u64,
        /// Shards that were made.
        pub shards_created: u64,
        /// Shards whose data changed.
        pub shards_updated: u64,
        /// Shards that became part of others.
        pub shards_merged: u64,
        /// Shards that were deleted.
        pub shards_deleted: u64,
        /// Records that were matched anew because match rules, survivorship or priorities changed.
        pub rematched: u64,
        /// Links that were made.
        pub links_created: u64,
        /// Fields that shard and record had both changed.
        pub conflicts: u64,
        /// Of these: a person is asked.
        pub conflicts_open: u64,
        /// Intents that were decided.
        pub intents_planned: u64,
        /// Records that were created at the connection.
        pub written_created: u64,
        /// Records that were changed at the connection.
        pub written_updated: u64,
        /// Records that were deleted at the connection.
        pub written_deleted: u64,
        /// Writes that found their record changed, and were decided anew.
        pub written_stale: u64,
        /// Writes that the connection refused.
        pub written_rejected: u64,
        /// Writes of which nobody knows whether they arrived.
        pub written_unknown: u64,
        /// Links that came with what writing showed: records that we made, or found made. Not fetched, so not in the sum.
        pub links_found: u64,
        /// Links that went with what writing showed; not in the sum.
        pub links_lost: u64,
        /// Requests that were sent to the connection.
        pub requests: u64,
        /// Of these: were one too many, as the system said.
        pub requests_limited: u64,
        /// How long requests waited for the system's limits, in milliseconds.
        pub waited_ms: u64,
    }
}

impl Counters {
    /// Whether every fetched record is accounted for, and every part fits its whole.
    pub fn balance(&self) -> bool {
        self.fetched == self.created + self.updated + self.skipped + self.failed
            && self.skipped == self.unchanged + self.filtered + self.invalid + self.held
            && self.updated >= self.merged.max(self.resolved).max(self.tombstoned)
    }
}
