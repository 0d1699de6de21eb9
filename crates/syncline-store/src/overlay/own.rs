//! What an overlay holds itself: the rows that its commits wrote, over those of its base.

use super::inbox::Inbox;
use super::outbox::Outbox;
use crate::execution::{ExecutionRow, TaskStats, Worker};
use crate::query::{DeadLetterRow, History, MergeRow};
use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};
use syncline_core::plan::rows::{
    Decision, EdgeTarget, EntityId, ExecutionId, LinkId, LinkRow, MatchEdge, ShardId, ShardRow,
    TypeId,
};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::{Checkpoint, Plan, Subject};
use syncline_core::record::Cursor;

/// An overlay's own rows. What is not here is as the base has it.
#[derive(Default)]
pub(super) struct Own {
    pub(super) links: BTreeMap<LinkId, LinkRow>,
    pub(super) records: FxHashMap<(EntityId, CompactString), LinkId>,
    pub(super) shards: BTreeMap<ShardId, ShardRow>,
    pub(super) keys: BTreeSet<(u64, LinkId)>,
    pub(super) keys_removed: BTreeSet<(u64, LinkId)>,
    pub(super) keys_by_link: BTreeSet<(LinkId, u64)>,
    pub(super) matched: BTreeMap<TypeId, String>,
    /// By pair; `None` where the base's is gone.
    pub(super) pairs: BTreeMap<(LinkId, LinkId), Option<MatchEdge>>,
    /// The pairs of each link.
    pub(super) partners: BTreeSet<(LinkId, (LinkId, LinkId))>,
    /// All the edges of the links that are here.
    pub(super) edges: BTreeMap<LinkId, BTreeSet<EdgeTarget>>,
    pub(super) pointing: BTreeSet<(EntityId, CompactString, LinkId)>,
    /// By pair; `None` where the base's is gone.
    pub(super) decisions: BTreeMap<(LinkId, LinkId), Option<Decision>>,
    /// Oldest first.
    pub(super) merges: Vec<MergeRow>,
    /// Oldest first.
    pub(super) history: Vec<(ShardId, History)>,
    pub(super) dead_letters: Vec<DeadLetterRow>,
    pub(super) replayed: BTreeMap<i64, ExecutionId>,
    pub(super) settled: FxHashSet<LinkId>,
    /// Oldest first.
    pub(super) unsettled: Vec<LinkId>,
    pub(super) executions: BTreeMap<ExecutionId, Execution>,
    pub(super) tasks: BTreeMap<String, Task>,
    pub(super) outbox: Outbox,
    pub(super) inbox: Inbox,
    /// Counts the commits.
    pub(super) epoch: u64,
    /// The row numbers that the base has used up.
    pub(super) dead_letter_last: i64,
}

/// An execution that was begun in the overlay.
pub(super) struct Execution {
    pub(super) row: ExecutionRow,
    pub(super) uuid: u128,
    pub(super) fingerprint: String,
    pub(super) worker: Worker,
    pub(super) heartbeat: i64,
    pub(super) cancel: bool,
    pub(super) checkpoint: Option<Checkpoint>,
}

/// A task that ran in the overlay.
#[derive(Clone, Default)]
pub(super) struct Task {
    pub(super) cursor: Option<Cursor>,
    pub(super) high_water: Option<i64>,
    pub(super) stats: TaskStats,
    pub(super) holder: Option<ExecutionId>,
}

impl Own {
    /// Applies a plan.
    pub(super) fn apply(&mut self, mut plan: Box<Plan>) {
        self.outbox.apply(&mut plan);
        let execution = plan.execution;
        self.epoch += 1;
        for shard in plan.shards_new.into_iter().chain(plan.shards_changed) {
            self.shards.insert(shard.id, shard);
        }
        for of in plan.links_renamed {
            self.records.remove(&(of.entity, of.before));
        }
        let links = plan.links_new.into_iter().chain(plan.links_changed);
        for link in links.chain(plan.links_restamped) {
            self.records.insert((link.entity, link.external_id.clone()), link.id);
            self.links.insert(link.id, link);
        }
        for key in plan.keys_removed {
            self.keys.remove(&key);
            self.keys_by_link.remove(&(key.1, key.0));
            self.keys_removed.insert(key);
        }
        for key in plan.keys_added {
            self.keys_removed.remove(&key);
            self.keys.insert(key);
            self.keys_by_link.insert((key.1, key.0));
        }
        self.apply_pairs(&plan.match_edges_removed, plan.match_edges_set);
        for (link, targets) in plan.edges {
            self.set_edges(link, targets);
        }
        self.merges.extend(plan.merges.into_iter().map(|merge| MergeRow {
            survivor: merge.survivor,
            loser: merge.loser,
            evidence: merge.evidence,
            waterfall: merge.waterfall,
            by: merge.by,
            records: merge.records,
            execution,
        }));
        self.matched.extend(plan.matched);
        self.decisions.extend(plan.decisions_removed.into_iter().map(|pair| (pair, None)));
        let decided = plan.decisions_set.into_iter().map(|d| ((d.a, d.b), Some(d)));
        self.decisions.extend(decided);
        for change in plan.changes {
            if let Subject::Shard(shard) = change.subject {
                let (version, before) = (change.version, change.before);
                self.history.push((shard, History { execution, version, before }));
            }
        }
        for letter in plan.dead_letters {
            self.dead_letter_last += 1;
            let id = self.dead_letter_last;
            self.dead_letters.push(DeadLetterRow { id, execution, letter, replayed: None });
        }
        self.settle(&plan.settled, plan.unsettled);
    }

    /// The shards that an execution changed, by row number.
    pub(super) fn changed_in(&self, execution: ExecutionId) -> Vec<ShardId> {
        let changed = self.history.iter().filter(|(_, history)| history.execution == execution);
        let shards: BTreeSet<ShardId> = changed.map(|(shard, _)| *shard).collect();
        shards.into_iter().collect()
    }

    fn apply_pairs(&mut self, removed: &[(LinkId, LinkId)], set: Vec<MatchEdge>) {
        for &(a, b) in removed {
            self.set_pair((a.min(b), a.max(b)), None);
        }
        for edge in set {
            self.set_pair((edge.a, edge.b), Some(edge));
        }
    }

    fn set_pair(&mut self, pair: (LinkId, LinkId), edge: Option<MatchEdge>) {
        self.pairs.insert(pair, edge);
        self.partners.insert((pair.0, pair));
        self.partners.insert((pair.1, pair));
    }

    fn set_edges(&mut self, link: LinkId, targets: Vec<EdgeTarget>) {
        for old in self.edges.remove(&link).unwrap_or_default() {
            self.pointing.remove(&(old.entity, old.target, link));
        }
        let pointing = targets.iter().map(|edge| (edge.entity, edge.target.clone(), link));
        self.pointing.extend(pointing);
        self.edges.insert(link, targets.into_iter().collect());
    }

    fn settle(&mut self, settled: &[LinkId], unsettled: Vec<LinkId>) {
        self.unsettled.retain(|link| !settled.contains(link));
        self.settled.extend(settled);
        let mut listed: FxHashSet<LinkId> = self.unsettled.iter().copied().collect();
        self.unsettled.extend(unsettled.into_iter().filter(|link| listed.insert(*link)));
    }

    /// What has to be asked of the base for `need`: more members, since some of them may be gone.
    pub(super) fn need_of_base(&self, need: &Need) -> Need {
        let gone = |key: u64| self.removed_of(key).count();
        let gone = need.keys.iter().map(|&key| gone(key)).max().unwrap_or_default();
        let members_max = need.members_max.saturating_add(gone);
        // What the base says may be changed here, so it is wanted whole.
        Need { members_max, expected: Vec::new(), ..need.clone() }
    }

    fn removed_of(&self, key: u64) -> impl Iterator<Item = LinkId> {
        range_of(&self.keys_removed, key)
    }

    /// The first `members_max` links of each of `keys`, given those of the base.
    pub(super) fn members(
        &self,
        keys: &[u64],
        members_max: usize,
        base: &[(u64, LinkId)],
    ) -> Vec<(u64, LinkId)> {
        if keys.is_empty() {
            return Vec::new();
        }
        let mut out: BTreeSet<(u64, LinkId)> =
            base.iter().filter(|key| !self.keys_removed.contains(key)).copied().collect();
        for &key in keys {
            out.extend(range_of(&self.keys, key).map(|link| (key, link)));
        }
        let out: Vec<_> = out.into_iter().collect();
        out.chunk_by(|a, b| a.0 == b.0)
            .flat_map(|members| members.iter().take(members_max))
            .copied()
            .collect()
    }

    /// The match edges of `links`, once for each link, given those of the base.
    pub(super) fn match_edges(&self, links: &[LinkId], base: Vec<MatchEdge>) -> Vec<MatchEdge> {
        let mut links = links.to_vec();
        links.sort_unstable();
        links.dedup();
        let mut out = base;
        out.retain(|edge| !self.pairs.contains_key(&(edge.a, edge.b)));
        for link in links {
            let pairs = range_of(&self.partners, link);
            out.extend(pairs.filter_map(|pair| self.pairs.get(&pair).copied().flatten()));
        }
        out.sort_unstable_by_key(|edge| (edge.a, edge.b));
        out
    }

    /// The edges that links state, given those of the base.
    pub(super) fn stated(
        &self,
        links: &[LinkId],
        base: Vec<(LinkId, EdgeTarget)>,
    ) -> Vec<(LinkId, EdgeTarget)> {
        let mut out = base;
        out.retain(|(link, _)| !self.edges.contains_key(link));
        for link in links.iter().collect::<BTreeSet<_>>() {
            let edges = self.edges.get(link).into_iter().flatten();
            out.extend(edges.map(|edge| (*link, edge.clone())));
        }
        out.sort_unstable();
        out
    }

    /// The keys of links, given those of the base.
    pub(super) fn keys_of(&self, links: &[LinkId], base: &[(LinkId, u64)]) -> Vec<(LinkId, u64)> {
        let is_there = |&&(link, key): &&(LinkId, u64)| !self.keys_removed.contains(&(key, link));
        let mut out: BTreeSet<(LinkId, u64)> = base.iter().filter(is_there).copied().collect();
        for &link in links {
            out.extend(range_of(&self.keys_by_link, link).map(|key| (link, key)));
        }
        out.into_iter().collect()
    }

    /// The decisions about each of `links`, given those of the base.
    pub(super) fn decisions_of(&self, links: &[LinkId], base: Vec<Decision>) -> Vec<Decision> {
        let mut out = base;
        if self.decisions.is_empty() {
            return out;
        }
        out.retain(|decision| !self.decisions.contains_key(&(decision.a, decision.b)));
        let links: FxHashSet<&LinkId> = links.iter().collect();
        for decision in self.decisions.values().flatten() {
            let ends = [&decision.a, &decision.b].into_iter().filter(|end| links.contains(end));
            out.extend(ends.map(|_| decision.clone()));
        }
        out.sort_by_key(|decision| (decision.a, decision.b));
        out
    }

    /// The links of `shards`, given those of the base.
    pub(super) fn siblings(
        &self,
        shards: &[ShardId],
        base: &[(ShardId, LinkId)],
    ) -> Vec<(ShardId, LinkId)> {
        if shards.is_empty() {
            return Vec::new();
        }
        let mut out: BTreeSet<(ShardId, LinkId)> =
            base.iter().filter(|(_, link)| !self.links.contains_key(link)).copied().collect();
        let own = self.links.values().filter(|link| shards.contains(&link.shard));
        out.extend(own.map(|link| (link.shard, link.id)));
        out.into_iter().collect()
    }

    /// The shards that links were in when shards were merged, given those of the base.
    pub(super) fn histories(
        &self,
        links: &[LinkId],
        base: Vec<(LinkId, ShardId)>,
    ) -> Vec<(LinkId, ShardId)> {
        let mut out = base;
        if links.is_empty() {
            return out;
        }
        for merge in &self.merges {
            let of = merge.records.iter().filter(|(link, _)| links.contains(link));
            let of: Vec<(LinkId, ShardId)> = of.copied().collect();
            out.retain(|record| !of.contains(record));
            out.extend(of);
        }
        // By link; of one link, the order of the merges stays.
        out.sort_by_key(|(link, _)| *link);
        out
    }

    /// The links that point to `targets`, by index, given those of the base.
    pub(super) fn dependents(
        &self,
        targets: &[(EntityId, CompactString)],
        base: &[(usize, LinkId)],
    ) -> Vec<(usize, LinkId)> {
        let mut out: Vec<(usize, LinkId)> =
            base.iter().filter(|(_, link)| !self.edges.contains_key(link)).copied().collect();
        for (index, target) in targets.iter().enumerate() {
            out.extend(self.pointing_to(target).map(|link| (index, link)));
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    pub(super) fn pointing_to(
        &self,
        (entity, target): &(EntityId, CompactString),
    ) -> impl Iterator<Item = LinkId> {
        let first = (*entity, target.clone(), LinkId(i64::MIN));
        let last = (*entity, target.clone(), LinkId(i64::MAX));
        self.pointing.range(first..=last).map(|(_, _, link)| *link)
    }
}

/// The second parts of the pairs whose first is `first`.
fn range_of<A: Copy + Ord, B: Copy + Ord + Least>(
    set: &BTreeSet<(A, B)>,
    first: A,
) -> impl Iterator<Item = B> {
    set.range((first, B::LEAST)..).take_while(move |(a, _)| *a == first).map(|(_, b)| *b)
}

/// A type's smallest value.
trait Least {
    const LEAST: Self;
}

impl Least for u64 {
    const LEAST: Self = Self::MIN;
}

impl Least for LinkId {
    const LEAST: Self = Self(i64::MIN);
}

impl Least for (LinkId, LinkId) {
    const LEAST: Self = (LinkId::LEAST, LinkId::LEAST);
}
