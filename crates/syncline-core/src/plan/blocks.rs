//! Which records are compared: those that share a key which is not generic.

use super::planner::{PlanError, Planner};
use super::rows::{LinkId, MatchEdge, RuleId, Verdict};
use super::view::Need;
use crate::matching::{BlockKey, PairScore, Zone};
use rustc_hash::{FxHashMap, FxHashSet};

/// What is known of the pairs that a batch bears upon.
#[derive(Default)]
pub(super) struct Pairs {
    blocks: Vec<Block>,
    generic: FxHashMap<u64, bool>,
    scores: FxHashMap<(LinkId, LinkId), Option<PairScore>>,
    /// Edges that are new or have another score.
    pub(super) set: FxHashMap<(LinkId, LinkId), MatchEdge>,
    /// Edges that no longer hold.
    pub(super) removed: FxHashSet<(LinkId, LinkId)>,
    /// Every link whose cluster may change, sorted.
    pub(super) affected: Vec<LinkId>,
}

/// A key that at least two records share, or shared.
struct Block {
    hash: u64,
    rules: u64,
    members: Vec<LinkId>,
    was_generic: bool,
    is_generic: bool,
}

impl Planner<'_> {
    /// Works out the blocks as they will be, and asks for the records in them.
    pub(super) fn need_members(&mut self) -> Need {
        self.pairs.blocks = self.blocks();
        let mut need = Need::default();
        for block in &self.pairs.blocks {
            self.pairs.generic.insert(block.hash, block.is_generic);
            if block.is_generic && block.was_generic {
                continue;
            }
            let unknown = |link: &&LinkId| {
                !self.view.loaded.contains(link) && !self.touched_of.contains_key(link)
            };
            need.links.extend(block.members.iter().filter(unknown));
        }
        sort_links(&mut need.links);
        need
    }

    fn blocks(&self) -> Vec<Block> {
        let mut entries: Vec<(u64, u16, usize)> = Vec::with_capacity(self.touched.len() * 3);
        for (index, touched) in self.touched.iter().enumerate() {
            entries.extend(touched.keys.iter().map(|key| (key.hash, key.rule, index)));
            let gone = touched.keys_old.iter().filter(|old| !has(&touched.keys, old.hash));
            entries.extend(gone.map(|key| (key.hash, key.rule, index)));
        }
        entries.sort_unstable();
        let mut blocks = Vec::new();
        for group in entries.chunk_by(|a, b| a.0 == b.0) {
            let before = self.view.members.get(&group[0].0).map_or(&[][..], Vec::as_slice);
            if before.is_empty() && group.iter().all(|entry| entry.2 == group[0].2) {
                continue;
            }
            blocks.push(self.block(group, before));
        }
        blocks
    }

    fn block(&self, group: &[(u64, u16, usize)], before: &[LinkId]) -> Block {
        let hash = group[0].0;
        let mut members: Vec<LinkId> = before.to_vec();
        let mut rules = 0;
        for &(_, rule, index) in group {
            rules |= 1 << rule;
            let touched = &self.touched[index];
            if has(&touched.keys, hash) {
                members.push(touched.id);
            } else {
                members.retain(|member| *member != touched.id);
            }
        }
        sort_links(&mut members);
        let any = &self.touched[group[0].2];
        let block_max = self.type_of(any.entity).matcher.block_max();
        Block {
            hash,
            rules,
            was_generic: before.len() > block_max,
            is_generic: members.len() > block_max,
            members,
        }
    }

    /// Compares what has to be compared; asks for keys whose blocks are not known yet.
    pub(super) fn need_pairs(&mut self) -> Result<Need, PlanError> {
        let (crossing, unknown) = self.crossing_pairs()?;
        if !unknown.is_empty() {
            let members_max = self.members_max();
            return Ok(Need { keys: unknown, members_max, ..Need::default() });
        }
        let mut wanted = self.touched_pairs();
        wanted.extend(crossing);
        for (&(a, b), &rules) in &wanted {
            let score = if rules == 0 { None } else { self.compare(a, b, rules)? };
            self.pairs.scores.insert((a, b), score);
        }
        self.settle_edges();
        Ok(Need::default())
    }

    fn compare(
        &mut self,
        a: LinkId,
        b: LinkId,
        rules: u64,
    ) -> Result<Option<PairScore>, PlanError> {
        let entity = match self.touched_of.get(&a) {
            Some(&index) => self.touched[index].entity,
            None => self.view.links[&a].entity,
        };
        let matcher = &self.type_of(entity).matcher;
        let by_rule = if matcher.has_only_model() {
            None
        } else {
            let (left, right) = (self.image(a)?, self.image(b)?);
            matcher.compare_by_rules(&left, &right, rules)
        };
        let (left, right) = (self.prepared(a)?, self.prepared(b)?);
        Ok(matcher.compare_by_model(&left, &right, rules, by_rule))
    }

    /// The number under which the store knows a rule of the type that `link` is of.
    fn rule_id(&self, link: LinkId, rule: u16) -> RuleId {
        let (entity, _) = self.record(link);
        let ids = &self.type_of(entity).rule_ids;
        ids.get(usize::from(rule)).copied().unwrap_or_default()
    }

    /// Every pair of a touched record and another in a block that is not generic, with the rules of the
    /// keys that they share.
    fn touched_pairs(&self) -> FxHashMap<(LinkId, LinkId), u64> {
        let mut pairs = FxHashMap::default();
        for block in self.pairs.blocks.iter().filter(|block| !block.is_generic) {
            for &a in block.members.iter().filter(|id| self.touched_of.contains_key(id)) {
                for &b in block.members.iter().filter(|&&b| b != a) {
                    *pairs.entry((a.min(b), a.max(b))).or_default() |= block.rules;
                }
            }
        }
        pairs
    }

    /// Pairs of untouched records in blocks that became generic, or stopped being so, with the rules of the
    /// keys that they still share; and the keys of which that is not known yet.
    #[expect(clippy::type_complexity, reason = "two lists that are made in one pass")]
    fn crossing_pairs(
        &mut self,
    ) -> Result<(FxHashMap<(LinkId, LinkId), u64>, Vec<u64>), PlanError> {
        let mut suspects: Vec<(LinkId, LinkId)> = Vec::new();
        for block in self.pairs.blocks.iter().filter(|b| b.was_generic != b.is_generic) {
            let untouched: Vec<LinkId> = block
                .members
                .iter()
                .copied()
                .filter(|id| !self.touched_of.contains_key(id))
                .collect();
            for (position, &a) in untouched.iter().enumerate() {
                let later = &untouched[position + 1..];
                let connected = |b: &&LinkId| !block.is_generic || self.edge(a, **b).is_some();
                suspects.extend(later.iter().filter(connected).map(|&b| (a, b)));
            }
        }
        suspects.sort_unstable();
        suspects.dedup();
        let (mut pairs, mut unknown) = (FxHashMap::default(), Vec::new());
        for (a, b) in suspects {
            let mut rules = 0;
            for key in self.shared_keys(a, b)? {
                match self.is_generic(key.hash, a) {
                    Some(false) => rules |= 1 << key.rule,
                    Some(true) => {}
                    None => unknown.push(key.hash),
                }
            }
            pairs.insert((a, b), rules);
        }
        unknown.sort_unstable();
        unknown.dedup();
        Ok((pairs, unknown))
    }

    fn shared_keys(&mut self, a: LinkId, b: LinkId) -> Result<Vec<BlockKey>, PlanError> {
        let matcher = &self.type_of(self.view.links[&a].entity).matcher;
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (link, keys) in [(a, &mut left), (b, &mut right)] {
            let (image, prepared) = (self.stored_image(link)?, self.prepared(link)?);
            matcher.keys_prepared(&image, &prepared, keys);
        }
        left.retain(|key| has(&right, key.hash));
        Ok(left)
    }

    fn is_generic(&self, hash: u64, member: LinkId) -> Option<bool> {
        if let Some(&generic) = self.pairs.generic.get(&hash) {
            return Some(generic);
        }
        let block_max = self.type_of(self.view.links[&member].entity).matcher.block_max();
        let asked = self.view.asked.contains(&hash);
        let count = self.view.members.get(&hash).map_or(0, Vec::len);
        asked.then_some(count > block_max)
    }

    fn edge(&self, a: LinkId, b: LinkId) -> Option<&MatchEdge> {
        self.view.edge.get(&(a.min(b), a.max(b)))
    }

    /// Holds the scores against the edges that are stored.
    fn settle_edges(&mut self) {
        for (&(a, b), score) in &self.pairs.scores {
            let stored = self.edge(a, b).copied();
            match score {
                Some(PairScore { score, rule, zone }) => {
                    let rule = self.rule_id(a, *rule);
                    let edge = MatchEdge { a, b, score: *score, rule, zone: *zone };
                    if stored != Some(edge) {
                        self.pairs.set.insert((a, b), edge);
                    }
                }
                _ if stored.is_some() => {
                    self.pairs.removed.insert((a, b));
                }
                _ => {}
            }
        }
        for touched in &self.touched {
            for edge in self.view.edges.get(&touched.id).into_iter().flatten() {
                if !self.pairs.scores.contains_key(&(edge.a, edge.b)) {
                    self.pairs.removed.insert((edge.a, edge.b));
                }
            }
        }
    }

    /// Follows match edges, old and new, from everything that changed; asks for links not read yet.
    pub(super) fn need_closure(&mut self) -> Need {
        let mut new: FxHashMap<LinkId, Vec<LinkId>> = FxHashMap::default();
        for &(a, b) in self.pairs.set.iter().filter(|(_, edge)| joins(edge)).map(|(ends, _)| ends) {
            new.entry(a).or_default().push(b);
            new.entry(b).or_default().push(a);
        }
        let mut seen: FxHashSet<LinkId> = FxHashSet::default();
        let ends = self.pairs.set.keys().chain(&self.pairs.removed);
        let mut queue: Vec<LinkId> = self.touched.iter().map(|touched| touched.id).collect();
        queue.extend(ends.flat_map(|&(a, b)| [a, b]));
        queue.extend(&self.reformed);
        let mut need = Need::default();
        while let Some(link) = queue.pop() {
            if !seen.insert(link) {
                continue;
            }
            let is_new =
                self.touched_of.get(&link).is_some_and(|&index| self.touched[index].is_new);
            if !is_new && !self.view.loaded.contains(&link) {
                need.links.push(link);
                continue;
            }
            queue.extend(new.get(&link).into_iter().flatten());
            let stored = self.view.edges.get(&link).into_iter().flatten();
            queue.extend(stored.filter(|edge| joins(edge)).flat_map(|edge| [edge.a, edge.b]));
            queue.extend(self.decided(link, Verdict::Same));
            if (!self.reformed.is_empty() || self.is_sticky(link))
                && let Some(shard) = self.old_shard(link)
            {
                // No edge need connect them any more: all that was one thing is looked at together.
                match self.view.siblings.get(&shard) {
                    Some(siblings) => queue.extend(siblings),
                    None => need.shards.push(shard),
                }
            }
        }
        sort_links(&mut need.links);
        need.shards.sort_unstable();
        need.shards.dedup();
        if need.is_empty() {
            self.pairs.affected = seen.into_iter().collect();
            self.pairs.affected.sort_unstable();
        }
        need
    }
}

/// Whether the edge puts records together; one that is for review does not.
pub(super) fn joins(edge: &MatchEdge) -> bool {
    edge.zone == Zone::Match
}

fn has(keys: &[BlockKey], hash: u64) -> bool {
    keys.iter().any(|key| key.hash == hash)
}

fn sort_links(links: &mut Vec<LinkId>) {
    links.sort_unstable();
    links.dedup();
}
