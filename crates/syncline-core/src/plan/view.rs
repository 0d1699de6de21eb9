//! What a plan reads: asked for in rounds, each one trip to the store.

use super::rows::{EntityId, LinkId, LinkRow, MatchEdge, ShardRow};
use compact_str::CompactString;

/// What a plan needs to know next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Need {
    /// The links of these records; without their shards.
    pub records: Vec<(EntityId, CompactString)>,
    /// The links that hold these match keys, at most `members_max` for each.
    pub keys: Vec<u64>,
    /// The most members of a key that are wanted: more than that tells nothing further.
    pub members_max: usize,
    /// These links, with their shards and their match edges.
    pub links: Vec<LinkId>,
    /// The links that state an edge of these targets.
    pub dependents: Vec<(EntityId, CompactString)>,
}

impl Need {
    /// Whether nothing is needed.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.keys.is_empty()
            && self.links.is_empty()
            && self.dependents.is_empty()
    }
}

/// The answer to a [`Need`]. What is not there is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The links of `records`, `links` and `dependents`; a link may come more than once.
    pub links: Vec<LinkRow>,
    /// The shards of the links asked for in `links`.
    pub shards: Vec<ShardRow>,
    /// Key and link, for each member of each of `keys`: sorted by key, then link.
    pub members: Vec<(u64, LinkId)>,
    /// Every match edge of each link asked for in `links`; an edge between two of them comes twice.
    pub edges: Vec<MatchEdge>,
    /// Index into `dependents`, and the link that points there.
    pub dependents: Vec<(usize, LinkId)>,
    /// The next free row number of a link.
    pub next_link: i64,
    /// The next free row number of a shard.
    pub next_shard: i64,
    /// Names the state that was read: a plan made from it applies only while it stands.
    pub epoch: u64,
}
