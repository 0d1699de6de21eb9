//! A batch becomes a plan, in rounds: ask for what is needed, take what is found, until nothing is.
//!
//! Records are compared with records, never with merged shards, and clusters are a function of a connected
//! component's match edges; so neither the order of records nor the borders of batches decide anything.

use super::arrivals::Arrivals;
use super::constrain::Rulings;
use super::form::Formed;
use super::news::News;
use super::recall::Recall;
use super::rows::{EdgeTarget, EntityId, ExecutionId, IntentId, LinkId, LinkRow};
use super::rules::{Content, EntityRules, Item, Rules, TypeRules};
use super::view::{Found, NO_STATE, Need, View};
use super::writes::{Counters, Plan};
use super::{blocks::Pairs, settle_clusters};
use crate::convert::FieldError;
use crate::matching::{BlockKey, Features, Prepared};
use crate::shard::Image;
use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use thiserror::Error;

/// When and in which execution a plan is made; all that it knows of time and chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The execution.
    pub execution: ExecutionId,
    /// When it began, in microseconds since 1970.
    pub started: i64,
    /// Random bits of the execution, from which the ids of new shards are made.
    pub seed: u64,
    /// Whether old records are run again: they never stand against newer ones.
    pub is_replay: bool,
}

/// Why a plan cannot be made.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The store holds an image that is no JSON object.
    #[error("the image of record `{external_id}` cannot be read: {source}")]
    Image {
        /// The record.
        external_id: String,
        /// What the JSON reader says.
        source: serde_json::Error,
    },
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Made a new shard.
    Created,
    /// Joined a shard that other records had made.
    Merged,
    /// Changed what was there.
    Updated,
    /// The source says that it is gone.
    Tombstoned,
    /// As it was.
    Unchanged,
    /// Not wanted, by the schema's target flags.
    Filtered,
    /// Refused, once looked-up values were in.
    Invalid(FieldError),
}

/// A plan, and what became of each item of its batch.
#[derive(Debug, Default)]
pub struct Planned {
    /// What to write.
    pub plan: Box<Plan>,
    /// For each item, in order.
    pub outcomes: Vec<Outcome>,
    /// The link of each item, where it has one.
    pub links: Vec<Option<LinkId>>,
    /// Creations that came to records of other shards: they are still owed.
    pub strayed: Vec<IntentId>,
    /// What the batch came to; `fetched` and what never became an item are the caller's to add.
    pub counters: Counters,
    /// What is remembered for the next batch, once the plan is committed.
    pub recall: Recall,
}

/// A batch on its way to a plan. In a box: it is handed on, whole, at every step of its making.
pub struct Planner<'a> {
    pub(super) rules: &'a Rules,
    pub(super) moment: Moment,
    pub(super) items: Vec<Item>,
    pub(super) view: View,
    pub(super) touched: Vec<Touched>,
    pub(super) touched_of: FxHashMap<LinkId, usize>,
    pub(super) restamped: FxHashMap<LinkId, LinkRow>,
    pub(super) pairs: Pairs,
    pub(super) fates: Vec<Fate>,
    pub(super) counts: Vec<bool>,
    /// For each item, its record's place among those that were asked for.
    pub(super) places: Vec<usize>,
    /// Links of deleted records that are there again.
    pub(super) revived: Vec<LinkId>,
    /// Bits of the links that this execution met in earlier batches, by row number, lowest bit first.
    pub(super) seen: &'a [u8],
    /// Links that it met in this batch.
    pub(super) met: FxHashSet<LinkId>,
    /// What a person decides with this plan.
    pub(super) rulings: Rulings,
    /// Links whose clusters are formed anew, although nothing is said of their records.
    pub(super) reformed: Vec<LinkId>,
    /// Where versions of records pointed that do not stand.
    pub(super) forsaken: Vec<(LinkId, EdgeTarget)>,
    /// Records whose keys and match edges are made anew. Their clusters are left for later.
    pub(super) rekeyed: Vec<LinkId>,
    /// The clusters, once everything is read that they hang on.
    pub(super) formed: Formed,
    /// What is remembered of stored records.
    pub(super) recall: Recall,
    /// What is told beside records.
    pub(super) news: News,
    /// The records that writes of ours came to.
    pub(super) arrivals: Arrivals,
    stage: Stage,
    /// Whether nothing is wanted but what the items take from other shards.
    only_looks_up: bool,
}

/// What is known so far of an item's outcome.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// Decided.
    Known(Outcome, Option<LinkId>),
    /// Decided with the touched link of this index.
    Touched(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Records,
    Lookups,
    Touch,
    Derived,
    Blocks,
    Members,
    Pairs,
    Closure,
    Histories,
    Referred,
    ReferredShards,
    ReferredLinks,
    Done,
}

/// A link that the batch makes or changes.
pub(super) struct Touched {
    pub(super) id: LinkId,
    pub(super) is_new: bool,
    pub(super) entity: EntityId,
    pub(super) external_id: CompactString,
    pub(super) modified: Option<i64>,
    pub(super) contributor: Option<CompactString>,
    pub(super) deleted: bool,
    /// When it was last seen to be other than before.
    pub(super) observed: i64,
    pub(super) image: Arc<Image>,
    pub(super) json: Arc<str>,
    pub(super) hash: u128,
    pub(super) edges: Option<Vec<EdgeTarget>>,
    /// The blocking keys of `image`, without those that only rules of `unmoved` made.
    pub(super) keys: Vec<BlockKey>,
    /// The same of what it said before.
    pub(super) keys_old: Vec<BlockKey>,
    /// The rules, by their bits, that are blind to what changed: what they make of the record stands.
    pub(super) unmoved: u64,
    /// Whether the record said something, other than that it is gone.
    pub(super) said: bool,
}

impl<'a> Planner<'a> {
    /// Begins with a batch's items, in the order in which they were read.
    pub fn new(rules: &'a Rules, moment: Moment, items: Vec<Item>) -> Box<Self> {
        let fates = Vec::with_capacity(items.len());
        let counts = items.iter().map(|item| item.counts).collect();
        Box::new(Self {
            rules,
            moment,
            view: View::default(),
            touched: Vec::with_capacity(items.len()),
            touched_of: FxHashMap::default(),
            restamped: FxHashMap::default(),
            pairs: Pairs::default(),
            stage: Stage::Records,
            only_looks_up: false,
            fates,
            counts,
            places: Vec::new(),
            revived: Vec::new(),
            seen: &[],
            met: FxHashSet::default(),
            rulings: Rulings::default(),
            reformed: Vec::new(),
            rekeyed: Vec::new(),
            forsaken: Vec::new(),
            formed: Formed::default(),
            recall: Recall::default(),
            news: News::default(),
            arrivals: Arrivals::default(),
            items,
        })
    }

    /// Tells which links the execution met in earlier batches: a bit for each, by row number, lowest bit
    /// first. Of several versions of a record that one execution meets, an older one does not stand.
    pub fn having_seen(mut self: Box<Self>, seen: &'a [u8]) -> Box<Self> {
        self.seen = seen;
        self
    }

    /// Adds what is remembered of stored records from earlier batches.
    pub fn recalling(mut self: Box<Self>, recall: Recall) -> Box<Self> {
        self.recall = recall;
        self
    }

    /// Adds what a person decides: it holds in this plan, and from then on.
    pub fn deciding(mut self: Box<Self>, rulings: Rulings) -> Box<Self> {
        for (a, b) in rulings.pairs() {
            self.reformed.extend([a, b]);
        }
        for decision in &rulings.decided {
            self.view.add_decision(decision.clone());
        }
        self.rulings = rulings;
        self
    }

    /// Adds records whose clusters are formed anew from the match edges and decisions that are stored, together
    /// with all that shares a shard with them.
    pub fn reforming(mut self: Box<Self>, links: impl IntoIterator<Item = LinkId>) -> Box<Self> {
        self.reformed.extend(links);
        self
    }

    /// Makes keys and match edges of stored records anew, as the match rules are now, whatever rules those that are
    /// stored were made by. Shards are left as they are: see [`Planner::reforming`].
    ///
    /// When every record has had its turn, in any order, keys and edges are those of a fresh start.
    pub fn rekeying(mut self: Box<Self>, links: Vec<LinkId>) -> Box<Self> {
        self.rekeyed = links;
        self
    }

    /// What is needed next; empty when the plan can be made.
    ///
    /// # Errors
    ///
    /// When the store holds what cannot be read.
    pub fn need(&mut self) -> Result<Need, PlanError> {
        // Nothing can be made of it, and rows may be missing that a state always holds together.
        if self.view.is_torn() {
            return Ok(Need::default());
        }
        loop {
            let need = match self.stage {
                Stage::Records => self.need_records(),
                Stage::Lookups => self.need_lookups(),
                Stage::Touch if self.only_looks_up => return Ok(Need::default()),
                Stage::Touch => self.touch_all()?,
                Stage::Derived => self.need_derived(),
                Stage::Blocks => self.need_old_keys()?,
                Stage::Members => self.need_members(),
                Stage::Pairs => self.need_pairs()?,
                Stage::Closure => self.need_closure(),
                Stage::Histories => self.need_histories()?,
                Stage::Referred => self.need_referred()?,
                Stage::ReferredShards => self.need_shards_of_referred(),
                Stage::ReferredLinks => self.need_links_of_referred(),
                Stage::Done => return Ok(Need::default()),
            };
            let repeats = matches!(self.stage, Stage::Derived | Stage::Pairs | Stage::Closure);
            if !repeats || need.is_empty() {
                self.stage = self.stage.next();
            }
            if self.stage == Stage::Derived && self.leaves_all() {
                self.stage = Stage::Done;
            }
            if self.stage == Stage::Closure && !self.rekeyed.is_empty() {
                self.stage = Stage::Done;
            }
            if !need.is_empty() {
                return Ok(need);
            }
        }
    }

    /// Takes what was found for the last need.
    pub fn supply(&mut self, need: &Need, mut found: Found) {
        self.recall.suit(found.epoch);
        found.decisions.retain(|decision| !self.rulings.covers(decision.a, decision.b));
        // Those of derived records are asked for before anything is compared.
        if self.stage != Stage::Derived {
            self.view.dependents.extend(found.dependents.iter().map(|(_, link)| *link));
        }
        self.view.take(need, found);
    }

    /// Makes no plan, and only takes what the items look up: see [`Planner::looked_up`].
    pub fn looking_up(mut self: Box<Self>) -> Box<Self> {
        self.only_looks_up = true;
        self
    }

    /// The items with what they look up, and what follows from that; those that are refused for it are left out. To be
    /// called once nothing is needed any more. `None` where the rounds saw different states.
    ///
    /// # Errors
    ///
    /// When the store holds what cannot be read.
    pub fn looked_up(mut self: Box<Self>) -> Result<Option<Vec<Item>>, PlanError> {
        if self.view.is_torn() {
            return Ok(None);
        }
        let mut items = std::mem::take(&mut self.items);
        let refused = self.resolve_all(&mut items)?;
        let kept = items.into_iter().zip(refused).filter(|(_, refused)| refused.is_none());
        let items = kept.map(|(mut item, _)| {
            if let Content::Image { lookups, .. } = &mut item.content {
                lookups.clear();
            }
            item.digest(self.rules, false);
            item
        });
        Ok(Some(items.collect()))
    }

    /// Makes the plan. To be called once nothing is needed any more. Where the rounds saw different states, it is an
    /// empty one that goes stale: see [`NO_STATE`].
    pub fn finish(mut self: Box<Self>) -> Planned {
        let epoch = self.view.epoch;
        let execution = self.moment.execution;
        if self.view.is_torn() {
            let plan = Plan { execution, epoch: NO_STATE, ..Plan::default() };
            return Planned { plan: Box::new(plan), ..Planned::default() };
        }
        let mut planned = if self.rekeyed.is_empty() {
            settle_clusters::write(&mut self)
        } else {
            self.write_rekeyed()
        };
        planned.plan.epoch = epoch.unwrap_or(0);
        planned.plan.execution = execution;
        planned.recall = self.recall_after(&planned.plan);
        planned
    }

    pub(super) fn entity(&self, entity: EntityId) -> &'a EntityRules {
        &self.rules.entities[&entity]
    }

    pub(super) fn type_of(&self, entity: EntityId) -> &'a TypeRules {
        &self.rules.types[self.entity(entity).shard_type]
    }

    /// The image that a link holds after this batch.
    pub(super) fn image(&mut self, link: LinkId) -> Result<Arc<Image>, PlanError> {
        match self.touched_of.get(&link) {
            Some(&index) => Ok(self.touched[index].image.clone()),
            None => self.stored_image(link),
        }
    }

    /// What of a link's record is compared by the model of its shard type; `None` where there is none.
    pub(super) fn prepared(&mut self, link: LinkId) -> Result<Prepared, PlanError> {
        if let Some(features) = self.known_features(link) {
            return Ok(Some(features.clone()));
        }
        let (entity, _) = self.record(link);
        let matcher = &self.type_of(entity).matcher;
        if matcher.model().is_none() {
            return Ok(None);
        }
        let prepared = matcher.prepare(&self.image(link)?);
        if let Some(features) = &prepared {
            self.view.prepared.insert(link, features.clone());
        }
        Ok(prepared)
    }

    /// The same, where it was prepared before.
    pub(super) fn known_features(&self, link: LinkId) -> Option<&Features> {
        self.view.prepared.get(&link).or_else(|| self.recall.get(link))
    }

    /// The JSON text of the image that a link held before this batch.
    pub(super) fn stored_json(&self, link: LinkId) -> Arc<str> {
        self.view.links[&link].image.clone()
    }

    pub(super) fn stored_image(&mut self, link: LinkId) -> Result<Arc<Image>, PlanError> {
        if let Some(image) = self.view.images.get(&link) {
            return Ok(image.clone());
        }
        let row = &self.view.links[&link];
        let image = self.type_of(row.entity).layout.read_json(&row.image).map_err(|source| {
            PlanError::Image { external_id: row.external_id.to_string(), source }
        })?;
        let image = Arc::new(image);
        self.view.images.insert(link, image.clone());
        Ok(image)
    }

    fn touch_all(&mut self) -> Result<Need, PlanError> {
        self.arrive();
        let mut items = std::mem::take(&mut self.items);
        let refused = self.resolve_all(&mut items)?;
        for (index, (item, refused)) in items.into_iter().zip(refused).enumerate() {
            let as_expected = self.view.as_expected.get(self.places[index]).copied().flatten();
            let fate = match (refused, as_expected) {
                (Some(error), _) => Fate::Known(Outcome::Invalid(error), None),
                (None, Some(link)) => self.leave(item, link),
                (None, None) => self.touch(item),
            };
            self.fates.push(fate);
        }
        self.leave_what_came_full_circle();
        let mut need = Need { members_max: self.members_max(), ..Need::default() };
        need.links.extend(&self.rekeyed);
        need.keys_of.extend(&self.rekeyed);
        need.edges_of = self.changed_makers();
        for index in 0..self.touched.len() {
            if !self.touched[index].is_new {
                self.hold_against_stored(index)?;
                need.links.push(self.touched[index].id);
            }
            need.keys.extend(self.unknown_keys(index));
        }
        sort_keys(&mut need.keys);
        Ok(need)
    }

    fn need_old_keys(&mut self) -> Result<Need, PlanError> {
        self.touch_rekeyed()?;
        let mut need = Need { members_max: self.members_max(), ..Need::default() };
        for index in 0..self.touched.len() {
            if self.touched[index].is_new {
                continue;
            }
            if !self.rekeyed.is_empty() {
                need.keys.extend(self.unknown_keys(index));
                continue;
            }
            // Derived records that nobody makes any more were touched since.
            if self.touched[index].json.is_empty() {
                self.hold_against_stored(index)?;
            }
            let touched = &self.touched[index];
            let rules = self.type_of(touched.entity);
            if rules.looked_up {
                let now = rules.found_as(&touched.image);
                let before = rules.found_as(&self.view.images[&touched.id]);
                need.dependents.extend(before.into_iter().filter(|old| !now.contains(old)));
            }
        }
        sort_keys(&mut need.keys);
        Ok(need)
    }

    /// The keys of a touched link whose members are not known yet.
    fn unknown_keys(&self, index: usize) -> impl Iterator<Item = u64> + '_ {
        let touched = &self.touched[index];
        let keys = touched.keys.iter().chain(&touched.keys_old).map(|key| key.hash);
        keys.filter(|key| !self.view.asked.contains(key))
    }

    pub(super) fn members_max(&self) -> usize {
        let block_max = self.rules.types.iter().map(|t| t.matcher.block_max()).max().unwrap_or(0);
        block_max + 1 + self.items.len().max(self.fates.len()).max(self.rekeyed.len())
    }
}

impl Stage {
    fn next(self) -> Self {
        match self {
            Self::Records => Self::Lookups,
            Self::Lookups => Self::Touch,
            Self::Touch => Self::Derived,
            Self::Derived => Self::Blocks,
            Self::Blocks => Self::Members,
            Self::Members => Self::Pairs,
            Self::Pairs => Self::Closure,
            Self::Closure => Self::Histories,
            Self::Histories => Self::Referred,
            Self::Referred => Self::ReferredShards,
            Self::ReferredShards => Self::ReferredLinks,
            Self::ReferredLinks | Self::Done => Self::Done,
        }
    }
}

pub(super) fn sort_keys(keys: &mut Vec<u64>) {
    keys.sort_unstable();
    keys.dedup();
}
