//! Which records are compared: those that share a key which is not generic.
//!
//! A record that is there already and changed is compared by those rules alone that see a difference. What the others
//! made of it is in its match edges: an edge is that of the best rule, so it stands as long as its own rule is blind to
//! the change, and where there is none, no such rule has anything to say.

use super::planner::{PlanError, Planner, Touched};
use super::rows::{EntityId, LinkId, MatchEdge, RuleId, Verdict};
use super::view::Need;
use crate::matching::{BlockKey, Features, Matcher, PAIRS_FETCHED, PairScore, Zone};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Ordering;

/// What is known of the pairs that a batch bears upon.
#[derive(Default)]
pub(super) struct Pairs {
    blocks: Vec<Block>,
    generic: FxHashMap<u64, bool>,
    /// Of the pairs that were compared, those that match, and those that have an edge.
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
    /// Index into the types of the rules.
    shard_type: usize,
    was_generic: bool,
    is_generic: bool,
    /// Whether only a model compares the records, so that what is remembered of them will do.
    by_model: bool,
}

/// Two records that are to be compared, the smaller number first, with the rules whose keys they share.
#[derive(Clone, Copy)]
struct Pair {
    a: LinkId,
    b: LinkId,
    rules: u64,
    /// Whether `rules` are all by which the two are compared now, so that what is stored of them does not count.
    is_anew: bool,
    /// Index into the types of the rules.
    shard_type: usize,
}

impl Planner<'_> {
    /// Finds out which rules are blind to how a record differs from what is stored of it: they need no look at its
    /// keys, and compare it with nothing.
    pub(super) fn hold_against_stored(&mut self, index: usize) -> Result<(), PlanError> {
        let id = self.touched[index].id;
        let image = self.stored_image(id)?;
        let matcher = &self.type_of(self.touched[index].entity).matcher;
        if self.touched[index].json.is_empty() {
            let json = self.stored_json(id);
            (self.touched[index].image, self.touched[index].json) = (image.clone(), json);
        }
        let touched = &mut self.touched[index];
        let mut unmoved = matcher.unmoved(&image, &touched.image);
        let is_unmoved = |key: &BlockKey| unmoved >> key.rule & 1 == 1;
        if unmoved != matcher.all_rules() {
            matcher.keys(&image, &mut touched.keys_old);
        }
        // Rules may share a key: then it is looked at for all of them.
        let both = touched.keys.iter().chain(&touched.keys_old);
        let moved: FxHashSet<u64> = both.filter(|key| !is_unmoved(key)).map(|k| k.hash).collect();
        touched.keys.retain(|key| moved.contains(&key.hash));
        touched.keys_old.retain(|key| moved.contains(&key.hash));
        for key in touched.keys.iter().chain(&touched.keys_old) {
            unmoved &= !(1 << key.rule);
        }
        touched.unmoved = unmoved;
        Ok(())
    }

    /// Works out the blocks as they will be, and asks for the records in them.
    pub(super) fn need_members(&mut self) -> Need {
        self.pairs.blocks = self.blocks();
        let mut need = Need::default();
        for block in &self.pairs.blocks {
            self.pairs.generic.insert(block.hash, block.is_generic);
            if block.is_generic && block.was_generic {
                continue;
            }
            let will_do = block.by_model && block.was_generic == block.is_generic;
            let unknown = |link: &&LinkId| {
                let is_touched = self.touched_of.contains_key(link);
                let is_read = is_touched || self.view.loaded.contains(link);
                !is_read && (!will_do || self.recall.get(**link).is_none())
            };
            need.links.extend(block.members.iter().filter(unknown));
        }
        let ends = self.fallen_edges().into_iter().flat_map(|(a, b)| [a, b]);
        let is_read =
            |link: &LinkId| self.touched_of.contains_key(link) || self.view.loaded.contains(link);
        need.links.extend(ends.filter(|link| !is_read(link)));
        sort_links(&mut need.links);
        need
    }

    /// The rules that are blind to what changed of a record.
    fn unmoved(&self, link: LinkId) -> u64 {
        self.touched(link).map_or(u64::MAX, |touched| touched.unmoved)
    }

    /// Whether what a stored edge says stands, since its rule is blind to what changed.
    fn stands(&self, edge: &MatchEdge) -> bool {
        let unmoved = self.unmoved(edge.a) & self.unmoved(edge.b);
        self.rule_of(edge)
            .is_some_and(|rule| unmoved.checked_shr(rule as u32).is_some_and(|bits| bits & 1 == 1))
    }

    /// The place of an edge's rule among those of its type; `None` where it is not there any more.
    fn rule_of(&self, edge: &MatchEdge) -> Option<usize> {
        let rules = &self.type_of(self.entity_of(edge.a, edge.b)).rule_ids;
        rules.iter().position(|rule| *rule == edge.rule)
    }

    /// Edges that do not stand, between records that other rules may go on to match, whose keys were not looked at.
    fn fallen_edges(&self) -> Vec<(LinkId, LinkId)> {
        let mut fallen = Vec::new();
        for touched in self.touched.iter().filter(|touched| touched.unmoved != 0) {
            for edge in self.view.edges.get(&touched.id).into_iter().flatten() {
                if self.unmoved(edge.a) & self.unmoved(edge.b) != 0 && !self.stands(edge) {
                    fallen.push((edge.a, edge.b));
                }
            }
        }
        fallen
    }

    /// Whether a record is touched, and its part in a block is not as it was, or was looked at.
    fn moves_in(&self, link: LinkId, hash: u64) -> bool {
        let moves = |touched: &Touched| {
            touched.unmoved == 0 || has(&touched.keys, hash) || has(&touched.keys_old, hash)
        };
        self.touched(link).is_some_and(moves)
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
        let shard_type = self.entity(any.entity).shard_type;
        let matcher = &self.rules.types[shard_type].matcher;
        let block_max = matcher.block_max();
        Block {
            shard_type,
            hash,
            rules,
            was_generic: before.len() > block_max,
            is_generic: members.len() > block_max,
            members,
            by_model: matcher.has_only_model(),
        }
    }

    /// Compares what has to be compared; asks for keys whose blocks are not known yet.
    pub(super) fn need_pairs(&mut self) -> Result<Need, PlanError> {
        let (crossing, unknown) = self.crossing_pairs()?;
        if !unknown.is_empty() {
            let members_max = self.members_max();
            return Ok(Need { keys: unknown, members_max, ..Need::default() });
        }
        let mut pairs = self.touched_pairs();
        let is_crossing = |pair: &Pair| {
            crossing.binary_search_by_key(&(pair.a, pair.b), |other| (other.a, other.b)).is_ok()
        };
        pairs.retain(|pair| !is_crossing(pair));
        pairs.extend(crossing);
        self.compare_all(&pairs)?;
        self.settle_edges();
        Ok(Need::default())
    }

    /// Compares the pairs, and notes what follows.
    fn compare_all(&mut self, pairs: &[Pair]) -> Result<(), PlanError> {
        let model_of = |pair: &Pair| self.rules.types[pair.shard_type].matcher.model();
        let compared = pairs.iter().filter(|pair| pair.rules != 0 && model_of(pair).is_some());
        let compared: Vec<Pair> = compared.copied().collect();
        let is_unknown = |link: &LinkId| self.known_features(*link).is_none();
        let ends = compared.iter().flat_map(|pair| [pair.a, pair.b]);
        for link in ends.filter(is_unknown).collect::<FxHashSet<LinkId>>() {
            self.prepared(link)?;
        }
        let mut by_model = self.compare_by_model(&compared).into_iter().peekable();
        for &Pair { a, b, rules, is_anew, shard_type } in pairs {
            let by_model = by_model.next_if(|found| (found.0, found.1) == (a, b));
            let by_model = by_model.map(|(_, _, score)| score);
            let matcher = &self.rules.types[shard_type].matcher;
            let score = if rules == 0 || matcher.has_only_model() {
                by_model
            } else {
                let (left, right) = (self.image(a)?, self.image(b)?);
                Matcher::better(matcher.compare_by_rules(&left, &right, rules), by_model)
            };
            let score = if is_anew { score } else { self.with_what_stands(a, b, score) };
            if score.is_some() || self.view.edge.contains_key(&(a, b)) {
                self.pairs.scores.insert((a, b), score);
            }
        }
        Ok(())
    }

    /// The better of a score and of that of a stored edge which stands.
    fn with_what_stands(
        &self,
        a: LinkId,
        b: LinkId,
        score: Option<PairScore>,
    ) -> Option<PairScore> {
        let Some(edge) = self.edge(a, b).filter(|edge| self.stands(edge)) else { return score };
        let rule = u16::try_from(self.rule_of(edge)?).ok()?;
        let stored = PairScore { score: edge.score, rule, zone: edge.zone };
        // Of equals, the first rule.
        let is_better = |found: &PairScore| match found.zone.cmp(&stored.zone) {
            Ordering::Equal if found.score == stored.score => found.rule < stored.rule,
            Ordering::Equal => found.score > stored.score,
            zone => zone == Ordering::Greater,
        };
        Some(score.filter(is_better).unwrap_or(stored))
    }

    /// What models make of pairs, where they match, in the same order.
    fn compare_by_model(&self, pairs: &[Pair]) -> Vec<(LinkId, LinkId, PairScore)> {
        let known = |pair: &Pair| self.known_features(pair.a).zip(self.known_features(pair.b));
        let compare = |(pair, features): (&Pair, Option<(&Features, &Features)>)| {
            let (left, right) = features?;
            let matcher = &self.rules.types[pair.shard_type].matcher;
            let score = matcher.compare_by_model(left, right, pair.rules)?;
            Some((pair.a, pair.b, score))
        };
        let mut scores = Vec::new();
        for group in pairs.chunks(PAIRS_FETCHED) {
            let features: Vec<Option<(&Features, &Features)>> = group.iter().map(known).collect();
            Features::fetch(features.iter().flatten().flat_map(|(left, right)| [*left, *right]));
            scores.extend(group.iter().zip(features).filter_map(compare));
        }
        scores
    }

    /// The entity of one of two links of one shard type, not both of which need have been read.
    fn entity_of(&self, a: LinkId, b: LinkId) -> EntityId {
        let is_known =
            |link| self.touched_of.contains_key(&link) || self.view.links.contains_key(&link);
        self.record(if is_known(a) { a } else { b }).0
    }

    /// The number under which the store knows a rule of the type that the two links are of.
    fn rule_id(&self, a: LinkId, b: LinkId, rule: u16) -> RuleId {
        let ids = &self.type_of(self.entity_of(a, b)).rule_ids;
        ids.get(usize::from(rule)).copied().unwrap_or_default()
    }

    /// Every pair of a touched record and another in a block that is not generic, and in which the former moves; once
    /// each.
    fn touched_pairs(&self) -> Vec<Pair> {
        let mut places: Vec<(LinkId, usize)> = Vec::with_capacity(self.touched.len() * 8);
        for (index, block) in self.pairs.blocks.iter().enumerate().filter(|(_, b)| !b.is_generic) {
            let moving = block.members.iter().filter(|id| self.moves_in(**id, block.hash));
            places.extend(moving.map(|&id| (id, index)));
        }
        places.sort_unstable();
        let (mut pairs, mut others) = (Vec::with_capacity(places.len() * 4), Vec::new());
        for places in places.chunk_by(|x, y| x.0 == y.0) {
            let touched = places[0].0;
            for &(_, index) in places {
                let Block { members, rules, hash, .. } = &self.pairs.blocks[index];
                // Two that move meet in each other's list, and are compared in that of the greater number.
                let is_first = |other: LinkId| {
                    other < touched || other > touched && !self.moves_in(other, *hash)
                };
                let shard_type = self.pairs.blocks[index].shard_type;
                let first = members.iter().filter(|other| is_first(**other));
                others.extend(first.map(|other| (*other, *rules, shard_type)));
            }
            others.sort_unstable();
            for group in others.chunk_by(|x, y| x.0 == y.0) {
                let rules = group.iter().fold(0, |rules, (_, rule, _)| rules | rule);
                let (a, b) = (touched.min(group[0].0), touched.max(group[0].0));
                pairs.push(Pair { a, b, rules, is_anew: false, shard_type: group[0].2 });
            }
            others.clear();
        }
        if self.touched.iter().any(|touched| touched.unmoved != 0) {
            // Of two records, the one may move in a block, and the other in another.
            pairs.sort_unstable_by_key(|pair| (pair.a, pair.b));
            pairs.dedup_by(|again, pair| {
                let is_same = (again.a, again.b) == (pair.a, pair.b);
                pair.rules |= if is_same { again.rules } else { 0 };
                is_same
            });
        }
        pairs
    }

    /// Pairs of records in blocks that became generic, or stopped being so, and in which neither moves, and those whose
    /// edges fell: sorted, with the rules of the keys that they share now; and the keys of which that is not known yet.
    fn crossing_pairs(&mut self) -> Result<(Vec<Pair>, Vec<u64>), PlanError> {
        let mut suspects = self.fallen_edges();
        for block in self.pairs.blocks.iter().filter(|b| b.was_generic != b.is_generic) {
            let unmoved: Vec<LinkId> = block
                .members
                .iter()
                .copied()
                .filter(|id| !self.moves_in(*id, block.hash))
                .collect();
            for (position, &a) in unmoved.iter().enumerate() {
                let later = &unmoved[position + 1..];
                let connected = |b: &&LinkId| !block.is_generic || self.edge(a, **b).is_some();
                suspects.extend(later.iter().filter(connected).map(|&b| (a, b)));
            }
        }
        suspects.sort_unstable();
        suspects.dedup();
        let (mut pairs, mut unknown) = (Vec::new(), Vec::new());
        for (a, b) in suspects {
            let mut rules = 0;
            for key in self.shared_keys(a, b)? {
                match self.is_generic(key.hash, a) {
                    Some(false) => rules |= 1 << key.rule,
                    Some(true) => {}
                    None => unknown.push(key.hash),
                }
            }
            let shard_type = self.entity(self.entity_of(a, b)).shard_type;
            pairs.push(Pair { a, b, rules, is_anew: true, shard_type });
        }
        unknown.sort_unstable();
        unknown.dedup();
        Ok((pairs, unknown))
    }

    fn shared_keys(&mut self, a: LinkId, b: LinkId) -> Result<Vec<BlockKey>, PlanError> {
        let matcher = &self.type_of(self.entity_of(a, b)).matcher;
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (link, keys) in [(a, &mut left), (b, &mut right)] {
            let (image, prepared) = (self.image(link)?, self.prepared(link)?);
            matcher.keys_prepared(&image, &prepared, keys);
        }
        left.retain(|key| has(&right, key.hash));
        Ok(left)
    }

    fn is_generic(&self, hash: u64, member: LinkId) -> Option<bool> {
        if let Some(&generic) = self.pairs.generic.get(&hash) {
            return Some(generic);
        }
        let block_max = self.type_of(self.record(member).0).matcher.block_max();
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
                    let rule = self.rule_id(a, b, *rule);
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
                if !self.pairs.scores.contains_key(&(edge.a, edge.b)) && !self.stands(edge) {
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
