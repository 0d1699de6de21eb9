//! What a plan reads: asked for in rounds, each one trip to the store.

use super::rows::{
    BaseRow, Decision, EdgeTarget, EntityId, IntentRow, LinkId, LinkRow, MatchEdge, ShardId,
    ShardRow,
};
use super::writes::Plan;
use compact_str::CompactString;
use std::sync::Arc;

/// What a plan needs to know next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Need {
    /// The links of these records; without their shards.
    pub records: Vec<(EntityId, CompactString)>,
    /// Of each of `records`, what it is thought to say; or empty. Of a link that says so, its number will do.
    pub expected: Vec<Option<Expected>>,
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

/// What a record is thought to say. A link says so if it is live, belongs to this one record, has the same hash, and
/// is not older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Names what it says: see [`LinkRow::hash`].
    pub hash: u128,
    /// When it changed, as its system says, in microseconds since 1970.
    pub modified: Option<i64>,
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

/// The place of a link's record among sorted records.
fn place_of(link: &LinkRow, records: &[(EntityId, CompactString)]) -> Option<usize> {
    let record = (link.entity, link.external_id.as_str());
    records.binary_search_by(|(entity, id)| (*entity, id.as_str()).cmp(&record)).ok()
}

/// What a plan changes of an answer to records and keys that was read before the plan was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    before: u64,
    after: u64,
    next_link: Option<i64>,
    next_shard: Option<i64>,
    outdated: Need,
}

impl Passage {
    /// What `plan` changes of the answer to `need`, of which `records`, without repeats, and `keys` are sorted and
    /// all else is empty.
    pub fn of(plan: &Plan, need: &Need) -> Self {
        let links = plan.links_new.iter().chain(&plan.links_changed).chain(&plan.links_restamped);
        let mut records: Vec<usize> =
            links.filter_map(|link| place_of(link, &need.records)).collect();
        records.sort_unstable();
        let keys = plan.keys_added.iter().chain(&plan.keys_removed).map(|(key, _)| *key);
        let outdated = Need {
            records: records.into_iter().map(|index| need.records[index].clone()).collect(),
            keys: keys.filter(|key| need.keys.binary_search(key).is_ok()).collect(),
            members_max: need.members_max,
            ..Need::default()
        };
        Self {
            before: plan.epoch,
            after: plan.epoch,
            next_link: plan.links_new.last().map(|link| link.id.0 + 1),
            next_shard: plan.shards_new.last().map(|shard| shard.id.0 + 1),
            outdated,
        }
    }

    /// Says which state the plan left.
    pub fn to(self, after: u64) -> Self {
        Self { after, ..self }
    }
}

/// The answer to a [`Need`]. What is not there is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The links of `records`, `links` and `dependents`; a link may come more than once.
    pub links: Vec<LinkRow>,
    /// Instead of the link of a record that says what was expected: index into `records`, and the link's number. A
    /// store may always answer with the whole link.
    pub as_expected: Vec<(usize, LinkId)>,
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

impl Found {
    /// Goes on to the state that `passages`, in order, lead to: what has to be read anew, and put in by
    /// [`Found::replace`].
    pub fn pass(&mut self, passages: &[Passage]) -> Need {
        let mut outdated = Need::default();
        for passage in passages {
            if passage.before != self.epoch {
                continue;
            }
            self.epoch = passage.after;
            self.next_link = passage.next_link.unwrap_or(self.next_link);
            self.next_shard = passage.next_shard.unwrap_or(self.next_shard);
            outdated.members_max = passage.outdated.members_max;
            outdated.records.extend_from_slice(&passage.outdated.records);
            outdated.keys.extend_from_slice(&passage.outdated.keys);
        }
        outdated.records.sort_unstable();
        outdated.records.dedup();
        outdated.keys.sort_unstable();
        outdated.keys.dedup();
        outdated
    }

    /// Puts in what was found when `outdated`, a part of `need`, was read anew. Where another state was met than the
    /// one that this answer is of, no plan can be made of it.
    pub fn replace(&mut self, need: &Need, outdated: &Need, anew: Self) {
        let is_current = |&(index, _): &(usize, _)| {
            outdated.records.binary_search(&need.records[index]).is_err()
        };
        self.as_expected.retain(is_current);
        self.links.retain(|link| place_of(link, &outdated.records).is_none());
        self.members.retain(|(key, _)| outdated.keys.binary_search(key).is_err());
        self.links.extend(anew.links);
        self.members.extend(anew.members);
        self.links.sort_unstable_by_key(|link| link.id);
        self.members.sort_unstable();
        if anew.epoch != self.epoch {
            self.epoch = u64::MAX;
        }
    }
}
