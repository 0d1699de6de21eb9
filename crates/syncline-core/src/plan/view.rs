//! What a plan reads: asked for in rounds, each one trip to the store.

use super::rows::{
    BaseRow, Decision, EdgeTarget, EntityId, IntentRow, LinkId, LinkRow, MatchEdge, ShardId,
    ShardRow,
};
use super::writes::{Plan, Renamed};
use crate::matching::Features;
use crate::shard::Image;
use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Names no state of a store. A plan of answers about different states bears it, and applies to none.
pub const NO_STATE: u64 = u64::MAX;

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

/// Leaves the first `members_max` links of each key, sorted by key and link, and once each.
pub fn first_of_each(members: &mut Vec<(u64, LinkId)>, members_max: usize) {
    members.sort_unstable();
    members.dedup();
    let (mut last, mut count) = (None, 0);
    members.retain(|&(key, _)| {
        if last != Some(key) {
            (last, count) = (Some(key), 0);
        }
        count += 1;
        count <= members_max
    });
}

/// What a plan changes of an answer to records and keys that was read before the plan was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    before: u64,
    after: u64,
    next_link: Option<i64>,
    next_shard: Option<i64>,
    /// Links of records that were asked for, as the plan leaves them.
    links: Vec<LinkRow>,
    /// Links that have other names now than those that were asked for.
    renamed: Vec<Renamed>,
    /// Members of keys that were asked for: sorted.
    added: Vec<(u64, LinkId)>,
    /// The same, of those that are no members any more.
    removed: Vec<(u64, LinkId)>,
}

impl Passage {
    /// What `plan` changes of the answer to `need`, of which `records`, without repeats, and `keys` are sorted and
    /// all else is empty.
    pub fn of(plan: &Plan, need: &Need) -> Self {
        let links = plan.links_new.iter().chain(&plan.links_changed).chain(&plan.links_restamped);
        let renamed = plan.links_renamed.iter().filter(|of| {
            need.records
                .binary_search_by(|(at, id)| (*at, id).cmp(&(of.entity, &of.before)))
                .is_ok()
        });
        let is_asked = |&&(key, _): &&(u64, LinkId)| need.keys.binary_search(&key).is_ok();
        Self {
            before: plan.epoch,
            after: plan.state_after(),
            next_link: plan.links_new.last().map(|link| link.id.0 + 1),
            next_shard: plan.shards_new.last().map(|shard| shard.id.0 + 1),
            links: links.filter(|link| place_of(link, &need.records).is_some()).cloned().collect(),
            renamed: renamed.cloned().collect(),
            added: plan.keys_added.iter().filter(is_asked).copied().collect(),
            removed: plan.keys_removed.iter().filter(is_asked).copied().collect(),
        }
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
    /// Goes on to the state that `passages`, in order, lead to. `need` is what was asked. Gives back the keys that have
    /// to be read anew, and put in by [`Found::replace`]: those that lost a member, and may have had more of them than
    /// were wanted.
    pub fn pass(&mut self, need: &Need, passages: Vec<Passage>) -> Vec<u64> {
        let mut outdated = Vec::new();
        for passage in passages {
            if passage.before != self.epoch {
                continue;
            }
            self.epoch = passage.after;
            self.next_link = passage.next_link.unwrap_or(self.next_link);
            self.next_shard = passage.next_shard.unwrap_or(self.next_shard);
            for of in passage.renamed {
                self.links.retain(|link| link.id != of.link);
                self.as_expected.retain(|(_, link)| *link != of.link);
            }
            self.pass_links(need, passage.links);
            outdated.extend(passage.removed.iter().map(|(key, _)| *key).filter(|key| {
                let first = self.members.partition_point(|(other, _)| other < key);
                let count = self.members[first..].iter().take_while(|(other, _)| other == key);
                count.count() >= need.members_max
            }));
            self.pass_members(need.members_max, &passage.added, &passage.removed);
        }
        outdated.sort_unstable();
        outdated.dedup();
        outdated
    }

    fn pass_links(&mut self, need: &Need, links: Vec<LinkRow>) {
        if links.is_empty() {
            return;
        }
        let mut places: Vec<usize> =
            links.iter().filter_map(|link| place_of(link, &need.records)).collect();
        places.sort_unstable();
        let mut ids: Vec<LinkId> = links.iter().map(|link| link.id).collect();
        ids.sort_unstable();
        self.as_expected.retain(|(place, _)| places.binary_search(place).is_err());
        self.links.retain(|link| ids.binary_search(&link.id).is_err());
        self.links.extend(links);
        self.links.sort_unstable_by_key(|link| link.id);
    }

    fn pass_members(&mut self, max: usize, added: &[(u64, LinkId)], removed: &[(u64, LinkId)]) {
        if !removed.is_empty() {
            self.members.retain(|member| removed.binary_search(member).is_err());
        }
        if !added.is_empty() {
            self.members.extend(added);
            first_of_each(&mut self.members, max);
        }
    }

    /// Puts in what was found when `outdated`, some of the keys, were read anew. Where another state was met than the
    /// one that this answer is of, no plan can be made of it.
    pub fn replace(&mut self, outdated: &[u64], anew: Self) {
        self.members.retain(|(key, _)| outdated.binary_search(key).is_err());
        self.members.extend(anew.members);
        self.members.sort_unstable();
        if anew.epoch != self.epoch {
            self.epoch = NO_STATE;
        }
    }
}

/// What was read so far.
#[derive(Default)]
pub(super) struct View {
    pub(super) by_record: FxHashMap<(EntityId, CompactString), LinkId>,
    /// The links of records that say what was expected, by the record's place among those that were asked for.
    pub(super) as_expected: Vec<Option<LinkId>>,
    pub(super) links: FxHashMap<LinkId, LinkRow>,
    pub(super) loaded: FxHashSet<LinkId>,
    pub(super) shards: FxHashMap<ShardId, ShardRow>,
    pub(super) members: FxHashMap<u64, Vec<LinkId>>,
    pub(super) asked: FxHashSet<u64>,
    pub(super) edges: FxHashMap<LinkId, Vec<MatchEdge>>,
    pub(super) edge: FxHashMap<(LinkId, LinkId), MatchEdge>,
    pub(super) images: FxHashMap<LinkId, Arc<Image>>,
    /// What of the records is compared, prepared once for the batch.
    pub(super) prepared: FxHashMap<LinkId, Features>,
    /// What was decided, by pair, with what this plan decides.
    pub(super) decisions: FxHashMap<(LinkId, LinkId), Decision>,
    /// The other ends of the decisions about a link.
    pub(super) decided: FxHashMap<LinkId, Vec<LinkId>>,
    /// Shards by their ids, where that was asked for.
    pub(super) by_uuid: FxHashMap<u128, ShardId>,
    /// All links of a shard, where that was asked for.
    pub(super) siblings: FxHashMap<ShardId, Vec<LinkId>>,
    /// The shards that a link was in when shards were merged, oldest merge first.
    pub(super) histories: FxHashMap<LinkId, Vec<ShardId>>,
    /// The edges that changed records stated before.
    pub(super) stated: Vec<(LinkId, EdgeTarget)>,
    /// The links that state an edge of a target, where that was asked for.
    pub(super) makers: FxHashMap<(EntityId, CompactString), Vec<LinkId>>,
    /// The keys that a link holds, where that was asked for.
    pub(super) keys_of: FxHashMap<LinkId, Vec<u64>>,
    /// Links that looked for values which records of the batch held and no longer hold.
    pub(super) dependents: Vec<LinkId>,
    /// What links and shards agreed on, where that was asked for and does not follow from the images.
    pub(super) bases: FxHashMap<LinkId, BaseRow>,
    /// The intents of a link that are not over, oldest first.
    pub(super) intents_of: FxHashMap<LinkId, Vec<IntentRow>>,
    pub(super) stamps: FxHashMap<ShardId, Arc<str>>,
    pub(super) next_intent: i64,
    pub(super) next_link: i64,
    pub(super) next_shard: i64,
    /// The state that was read; [`NO_STATE`] where rounds saw different ones.
    pub(super) epoch: Option<u64>,
}

impl View {
    /// Whether rounds saw different states, of which no plan can be made.
    pub(super) fn is_torn(&self) -> bool {
        self.epoch == Some(NO_STATE)
    }

    /// Takes what was found for `need`, without that in which others have a say.
    pub(super) fn take(&mut self, need: &Need, found: Found) {
        self.next_link = self.next_link.max(found.next_link);
        self.next_shard = self.next_shard.max(found.next_shard);
        self.next_intent = self.next_intent.max(found.next_intent);
        let epoch = *self.epoch.get_or_insert(found.epoch);
        self.epoch = Some(if epoch == found.epoch { epoch } else { NO_STATE });
        self.asked.extend(&need.keys);
        self.loaded.extend(&need.links);
        for (key, link) in found.members {
            self.members.entry(key).or_default().push(link);
        }
        for edge in found.edges {
            if self.edge.insert((edge.a, edge.b), edge).is_none() {
                self.edges.entry(edge.a).or_default().push(edge);
                self.edges.entry(edge.b).or_default().push(edge);
            }
        }
        for decision in found.decisions {
            self.add_decision(decision);
        }
        self.siblings.extend(need.shards.iter().map(|&shard| (shard, Vec::new())));
        for (shard, link) in found.siblings {
            self.siblings.entry(shard).or_default().push(link);
        }
        for (link, shard) in found.histories {
            self.histories.entry(link).or_default().push(shard);
        }
        self.stated.extend(found.stated);
        self.bases.extend(found.bases.into_iter().map(|row| (row.link, row)));
        self.stamps.extend(found.stamps);
        for intent in found.intents {
            self.intents_of.entry(intent.link).or_default().push(intent);
        }
        for (index, link) in &found.dependents {
            if let Some(target) = need.dependents.get(*index) {
                self.makers.entry(target.clone()).or_default().push(*link);
            }
        }
        for (link, key) in found.keys {
            self.keys_of.entry(link).or_default().push(key);
        }
        if !need.uuids.is_empty() {
            self.by_uuid.extend(found.shards.iter().map(|shard| (shard.uuid, shard.id)));
        }
        self.shards.extend(found.shards.into_iter().map(|shard| (shard.id, shard)));
        if !found.as_expected.is_empty() {
            self.as_expected.resize(need.records.len(), None);
            for (place, link) in found.as_expected {
                self.as_expected[place] = Some(link);
            }
        }
        self.by_record.reserve(found.links.len());
        self.links.reserve(found.links.len());
        for link in found.links {
            self.by_record.insert((link.entity, link.external_id.clone()), link.id);
            self.links.insert(link.id, link);
        }
    }
}
