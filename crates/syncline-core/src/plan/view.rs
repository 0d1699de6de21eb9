//! What a plan reads: asked for in rounds, each one trip to the store.

use super::rows::{
    BaseRow, Decision, EdgeTarget, EntityId, IntentRow, LinkId, LinkRow, MatchEdge, ShardId,
    ShardRow,
};
use compact_str::CompactString;
use std::sync::Arc;

/// What a plan needs to know next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Need {
    /// The links of these records; without their shards.
    pub records: Vec<(EntityId, CompactString)>,
    /// The links that hold these match keys, at most `members_max` for each.
    pub keys: Vec<u64>,
    /// The most members of a key that are wanted: more than that tells nothing further.
    pub members_max: usize,
    /// These links, with their shards, their match edges and what was decided of them.
    pub links: Vec<LinkId>,
    /// The links that state an edge of these targets.
    pub dependents: Vec<(EntityId, CompactString)>,
    /// All links of these shards, by number alone.
    pub shards: Vec<ShardId>,
    /// The shards with these ids.
    pub uuids: Vec<u128>,
    /// The shards that these links were in when shards were merged; with their rows.
    pub histories: Vec<LinkId>,
    /// All match keys of these links.
    pub keys_of: Vec<LinkId>,
    /// The edges that these links state.
    pub edges_of: Vec<LinkId>,
    /// What these links and their shards last agreed on, what their systems are owed, and when their shards' values
    /// came to be.
    pub agreed: Vec<LinkId>,
}

impl Need {
    /// Whether nothing is needed.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.keys.is_empty()
            && self.links.is_empty()
            && self.dependents.is_empty()
            && self.shards.is_empty()
            && self.uuids.is_empty()
            && self.histories.is_empty()
            && self.keys_of.is_empty()
            && self.edges_of.is_empty()
            && self.agreed.is_empty()
    }
}

/// The answer to a [`Need`]. What is not there is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The links of `records`, `links` and `dependents`; a link may come more than once.
    pub links: Vec<LinkRow>,
    /// The shards of the links asked for in `links`, those of `histories`, and those of `uuids`; a shard may come more
    /// than once.
    pub shards: Vec<ShardRow>,
    /// Key and link, for each member of each of `keys`: sorted by key, then link.
    pub members: Vec<(u64, LinkId)>,
    /// Every match edge of each link asked for in `links`; an edge between two of them comes twice.
    pub edges: Vec<MatchEdge>,
    /// Index into `dependents`, and the link that points there.
    pub dependents: Vec<(usize, LinkId)>,
    /// Every decision about each link asked for in `links`; one about two of them may come twice.
    pub decisions: Vec<Decision>,
    /// The links of each of `shards`: sorted by shard, then link.
    pub siblings: Vec<(ShardId, LinkId)>,
    /// Link and shard, for each time that one of `histories` was in a shard that took part in a merge: by link,
    /// oldest merge first.
    pub histories: Vec<(LinkId, ShardId)>,
    /// Link and key, for each match key of each of `keys_of`: sorted.
    pub keys: Vec<(LinkId, u64)>,
    /// Link and edge, for each edge that each of `edges_of` states: sorted.
    pub stated: Vec<(LinkId, EdgeTarget)>,
    /// Of `agreed`, those of which something does not follow from the image: by link.
    pub bases: Vec<BaseRow>,
    /// The intents of each of `agreed` that are not done or rejected: by row number.
    pub intents: Vec<IntentRow>,
    /// For shards of `agreed`, when values came to be that some record has not got yet: JSON text.
    pub stamps: Vec<(ShardId, Arc<str>)>,
    /// The next free row number of an intent; 0 where `agreed` was empty.
    pub next_intent: i64,
    /// The next free row number of a link.
    pub next_link: i64,
    /// The next free row number of a shard.
    pub next_shard: i64,
    /// Names the state that was read: a plan made from it applies only while it stands.
    pub epoch: u64,
}
