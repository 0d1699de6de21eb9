//! What a plan is told beside records: versions, acknowledgements, a person's edits.

use super::planner::Planner;
use super::rows::{EntityId, IntentId, IntentRow, LinkId};
use crate::value::Cell;
use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};

/// What a plan is told beside the records themselves.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// The moment at which the records were read, in microseconds since 1970.
    pub now: i64,
    /// The versions of records, where their systems say them.
    pub versions: FxHashMap<(EntityId, CompactString), CompactString>,
    /// The writes that records show to have been done, in the order in which they were sent. Several may have come to
    /// one record.
    pub acks: Vec<((EntityId, CompactString), Ack)>,
    /// Links that are looked at although nothing is said of their records.
    pub reconsider: Vec<LinkId>,
    /// Whether what is said was read just now, so that it stands against all that was read before.
    pub is_fresh: bool,
    /// What a person wants shards to say.
    pub edits: FxHashMap<LinkId, Vec<Edit>>,
    /// The entities of which it is known what they hold, so that what is missing there can be made.
    pub ready: FxHashSet<EntityId>,
    /// What becomes of intents, whole rows.
    pub intents: Vec<IntentRow>,
}

/// A write that was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ack {
    /// The intent; it is done with the plan.
    pub intent: IntentId,
    /// For a creation: a link of the shard that it was made from.
    pub joins: Option<LinkId>,
    /// The shard's values that were written, by field.
    pub sent: Vec<(usize, Cell)>,
    /// When the record was seen that is told beside it.
    pub seen: Seen,
    /// For a creation: how it came to the record.
    pub came: Came,
}

/// How a creation came to its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Came {
    /// The system made the record for it: nothing had this key at that moment.
    Made,
    /// It holds what was written, and may have been there before: an upsert, or a reply of long ago.
    #[default]
    Written,
    /// It was there, and nothing was written.
    Met,
}

/// When a record was seen that we wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// The system showed it in its reply to the write: whatever it says of what was written is what came of that.
    InReply,
    /// It was read later, and may have been edited meanwhile.
    #[default]
    Later,
    /// Nobody has seen it since: what is told of it is what is expected.
    NotYet,
}

/// What a person wants a shard to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The field.
    pub field: usize,
    /// What becomes of it.
    pub change: EditKind,
}

/// What a person wants to become of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum EditKind {
    /// The shard is to say this.
    Set(Cell),
    /// The shard is to say this, and what the record of the link says is known, and outdone.
    Decide(Cell),
    /// Shard and record may go on saying different things.
    Leave,
}

impl Planner<'_> {
    /// Adds what is told beside records. Needed for shard types that are written to some system; nothing is made of
    /// it for others.
    pub fn told(mut self: Box<Self>, news: News) -> Box<Self> {
        self.reformed.extend(news.edits.keys().chain(&news.reconsider));
        self.news = news;
        self
    }
}
