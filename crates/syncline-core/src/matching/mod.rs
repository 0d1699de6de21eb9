//! Matching: which records describe the same real thing, and which of their values stand.
//!
//! normalise → blocking keys → candidates (found by the caller) → compare → cluster → survive. All of it is a
//! function of records' images and names alone, so neither order of arrival nor batching can matter.

mod blocking;
pub mod cluster;
mod compare;
mod compile;
mod contact;
mod dates;
pub mod evaluate;
pub mod model;
pub mod normalise;
mod phone;
pub mod phonetic;
pub mod similarity;
pub mod survivors;
pub mod survivorship;
mod transliterate;
mod words;

#[cfg(test)]
mod tests;

pub use cluster::{ClusterEdge, ClusterNode, cluster, cluster_by_mean};
pub use compare::{ComparisonExplanation, RuleExplanation};
pub use model::{Features, Model};
pub use normalise::normalise;
pub use survivors::FieldRule;
pub use survivorship::{Source, survive};

use crate::config::model::{MergeStrategy, ShardType};
use crate::problem::{ConfigPath, Problem};
use crate::shard::{Image, Layout};
use crate::value::{Cell, Value};
use blocking::Recipe;
use compare::{Rule, Scratch, TOLERANCE};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What tells a record from every other, whatever the order of arrival: connection, entity, external id.
pub type RecordName<'a> = (&'a str, &'a str, &'a str);

/// The most rules of a shard type, its identity included: a set of rules is the bits of a `u64`.
pub const RULES_MAX: usize = 64;

/// The most items of a list that are looked at.
const ITEMS_MAX: usize = 20;

/// The matching of one shard type, compiled.
#[derive(Clone, Debug)]
pub struct Matcher {
    rules: Vec<Rule>,
    recipes: Vec<Recipe>,
    model: Option<Arc<Model>>,
    strategy: MergeStrategy,
    /// Fields of which another rule than the strategy decides.
    survivors: Vec<(usize, FieldRule)>,
    block_max: usize,
    cluster_max: usize,
}

/// What of a record is prepared once for all its comparisons; `None` where no model compares it.
pub type Prepared = Option<Features>;

/// Of so many pairs the memory is read together: all of it stays in the nearest cache until they are compared.
pub(crate) const PAIRS_FETCHED: usize = 32;

/// The name of what a model decided.
const MODEL: &str = "model";

/// A blocking key of a record: records that share one may be the same, by that rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey {
    /// Of the shard type, how the key is made, and the record's values.
    pub hash: u64,
    /// The rule.
    pub rule: u16,
}

/// The best match of two records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairScore {
    /// From 0 to 1, at least the rule's threshold, or its review line; of a model, the probability that the two
    /// are the same.
    pub score: f32,
    /// The rule that gave it.
    pub rule: u16,
    /// What follows from it.
    pub zone: Zone,
}

/// What follows from the score of two records. Where there is no match, there is no score either.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    /// Perhaps the same: a person is asked, and nothing is merged meanwhile.
    Review,
    /// The same.
    #[default]
    Match,
}

impl Matcher {
    /// Compiles the matching of `shard_type`, which stands at `path` of the configuration.
    ///
    /// Identity fields become a first rule named `identity`: exact on all of them (normaliser `text`).
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its place: unknown fields, weights, thresholds and the like
    /// out of range, rules of one name, rules that would compare everything with everything, too many rules.
    pub fn compile(
        layout: &Arc<Layout>,
        shard_type: &ShardType,
        path: &ConfigPath,
    ) -> Result<Self, Vec<Problem>> {
        compile::compile(layout, shard_type, path)
    }

    /// Whether there are neither rules nor a model, so that no two records are ever the same.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.model.is_none()
    }

    /// The model, where one decides beside the rules.
    pub fn model(&self) -> Option<&Arc<Model>> {
        self.model.as_ref()
    }

    /// The matcher for a store that holds so many records of the type; `None` where this one is right already, as it
    /// always is where no model decides.
    pub fn for_records(&self, records: u64) -> Option<Self> {
        let model = self.model.as_ref()?.for_records(records)?;
        Some(Self { model: Some(Arc::new(model)), ..self.clone() })
    }

    /// Prepares a record for [`Matcher::keys_prepared`] and [`Matcher::compare_by_model`].
    pub fn prepare(&self, image: &[Cell]) -> Prepared {
        self.model.as_ref().map(|model| model.prepare(image))
    }

    /// Puts the blocking keys of `image` into `out` (which is cleared first), sorted and without repeats.
    ///
    /// A rule of which some blocking part is blank gives none. Each of the first 20 items of a list
    /// gives a key of its own, up to 64 keys for a rule. Rules that make their keys the same way share
    /// the hash and have a key each.
    pub fn keys(&self, image: &[Cell], out: &mut Vec<BlockKey>) {
        self.keys_prepared(image, &self.prepare(image), out);
    }

    /// Prepares a record, and makes its blocking keys on the way.
    pub fn prepare_with_keys(&self, image: &[Cell]) -> (Vec<BlockKey>, Prepared) {
        let (prepared, mut keys) = (self.prepare(image), Vec::new());
        self.keys_prepared(image, &prepared, &mut keys);
        (keys, prepared)
    }

    /// As [`Matcher::keys`], of a record that is prepared.
    pub fn keys_prepared(&self, image: &[Cell], prepared: &Prepared, out: &mut Vec<BlockKey>) {
        out.clear();
        if let (Some(model), Some(features)) = (&self.model, prepared) {
            let rule = self.model_rule();
            out.extend(model.keys(features).into_iter().map(|hash| BlockKey { hash, rule }));
        }
        let mut scratch = String::new();
        for recipe in &self.recipes {
            recipe.keys(image, &mut scratch, out);
        }
        out.sort_unstable();
        out.dedup();
    }

    /// The best match of `a` and `b` among the rules whose bits are set in `rules` (bit r for rule r).
    ///
    /// The highest score that reaches its rule's threshold, or else the highest that reaches its rule's review
    /// line; of equal ones the lowest rule, of which a model is the last. `None` where there is neither. Under
    /// `merge: manual` every match is for review. Which of the two records comes first does not matter.
    ///
    /// The score of a rule is the mean of its comparisons' similarities by weight, without those that are
    /// skipped because a side is missing; a rule of which nothing is left does not match. A value that
    /// cannot be read for a comparison (no date, no number, no letters) is missing too. Of lists, the most
    /// alike pair of the first 20 items on each side counts.
    pub fn compare(&self, a: &[Cell], b: &[Cell], rules: u64) -> Option<PairScore> {
        let by_rule = self.compare_by_rules(a, b, rules);
        let features = (self.prepare(a), self.prepare(b));
        let both = features.0.as_ref().zip(features.1.as_ref());
        let by_model = both.and_then(|(a, b)| self.compare_by_model(a, b, rules));
        Self::better(by_rule, by_model)
    }

    /// The best match among the weighted rules alone.
    pub fn compare_by_rules(&self, a: &[Cell], b: &[Cell], rules: u64) -> Option<PairScore> {
        let mut scratch = Scratch::default();
        let mut best: Option<PairScore> = None;
        for (index, rule) in self.chosen(rules) {
            // With less than this, the rule cannot say more than what is known already.
            let least = match best {
                None => rule.review,
                Some(PairScore { zone: Zone::Review, score, .. }) => {
                    rule.review.max(f64::from(score)).min(rule.threshold)
                }
                Some(PairScore { zone: Zone::Match, score, .. }) => {
                    rule.threshold.max(f64::from(score))
                }
            };
            if let Some(score) = rule.score(a, b, least, &mut scratch) {
                let zone =
                    if score >= rule.threshold - TOLERANCE { Zone::Match } else { Zone::Review };
                let score = score as f32;
                if best.is_none_or(|best| (best.zone, best.score) < (zone, score)) {
                    best = Some(PairScore { score, rule: index, zone });
                }
            }
            if best.is_some_and(|best| best.score >= 1.0) {
                break;
            }
        }
        let asks = self.strategy == MergeStrategy::Manual;
        best.map(|best| if asks { PairScore { zone: Zone::Review, ..best } } else { best })
    }

    /// What the model makes of two prepared records, if its bit is set in `rules`.
    pub fn compare_by_model(&self, a: &Features, b: &Features, rules: u64) -> Option<PairScore> {
        let rule = self.model_rule();
        let model = self.model.as_ref().filter(|_| rules >> rule & 1 == 1)?;
        let probability = model.probability(a, b, model.review())?;
        let is_match = probability >= model.threshold() && self.strategy != MergeStrategy::Manual;
        let zone = if is_match { Zone::Match } else { Zone::Review };
        Some(PairScore { score: probability as f32, rule, zone })
    }

    /// The better of what rules and model make of two records; of equals, what the rules say.
    pub fn better(by_rule: Option<PairScore>, by_model: Option<PairScore>) -> Option<PairScore> {
        match (by_rule, by_model) {
            (Some(rule), Some(model)) => {
                let is_better = (model.zone, model.score) > (rule.zone, rule.score);
                Some(if is_better { model } else { rule })
            }
            (by_rule, by_model) => by_rule.or(by_model),
        }
    }

    /// Whether only the model decides, so that images need not be looked at.
    pub fn has_only_model(&self) -> bool {
        self.rules.is_empty()
    }

    fn model_rule(&self) -> u16 {
        u16::try_from(self.rules.len()).expect("there are at most 64 rules")
    }

    /// What each rule of the set `rules` makes of two records, comparison by comparison.
    pub fn explain(&self, a: &[Cell], b: &[Cell], rules: u64) -> Vec<RuleExplanation> {
        let mut scratch = Scratch::default();
        let mut told: Vec<RuleExplanation> =
            self.chosen(rules).map(|(_, rule)| rule.explain(a, b, &mut scratch)).collect();
        if let Some(model) = self.model.as_ref().filter(|_| rules >> self.model_rule() & 1 == 1) {
            let story = model.explain(&model.prepare(a), &model.prepare(b));
            told.push(RuleExplanation {
                rule: MODEL.to_owned(),
                score: Some(story.probability),
                threshold: story.threshold,
                review: model.review(),
                is_match: story.probability >= story.threshold,
                comparisons: Vec::new(),
                model: Some(story),
            });
        }
        told
    }

    /// The bits of the rules, a model included, that are blind to what differs between two versions of a record: they
    /// make the same keys of both, and compare both with any other record alike.
    pub fn unmoved(&self, before: &[Cell], after: &[Cell]) -> u64 {
        let differs = |field: usize| before.get(field) != after.get(field);
        let mut moved = 0;
        for (index, rule) in self.chosen(u64::MAX) {
            moved |= u64::from(rule.fields().any(differs)) << index;
        }
        for recipe in self.recipes.iter().filter(|recipe| recipe.fields().any(differs)) {
            moved |= recipe.rules.iter().fold(0, |rules, rule| rules | 1 << rule);
        }
        if let Some(model) = &self.model {
            moved |= u64::from(model.fields().any(differs)) << self.model_rule();
        }
        self.all_rules() & !moved
    }

    fn chosen(&self, rules: u64) -> impl Iterator<Item = (u16, &Rule)> {
        (0..).zip(&self.rules).filter(move |(index, _)| rules >> index & 1 == 1)
    }

    /// The names of the rules, in their order; that of the model comes last.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        let model = self.model.iter().map(|_| MODEL);
        self.rules.iter().map(|rule| rule.name.as_str()).chain(model)
    }

    /// The name of a rule, or `model`; empty where there is no such rule.
    pub fn rule_name(&self, rule: u16) -> &str {
        match self.rules.get(usize::from(rule)) {
            Some(rule) => &rule.name,
            None if self.model.is_some() && rule == self.model_rule() => MODEL,
            None => "",
        }
    }

    /// The bits of all rules, and of the model.
    pub fn all_rules(&self) -> u64 {
        let count = self.rules.len() + usize::from(self.model.is_some());
        if count >= RULES_MAX { u64::MAX } else { (1 << count) - 1 }
    }

    /// The data of a thing, and for each field the index of the source that gave it (`None` where it is absent,
    /// or made of several): what the merge strategy says ([`survive`]), but for fields that have a rule of their
    /// own. The order of sources does not matter.
    pub fn survive(&self, sources: &[Source<'_>], fields: usize) -> (Image, Vec<Option<u32>>) {
        let (mut image, mut origins) = survive(self.strategy, sources, fields);
        for (field, rule) in &self.survivors {
            (image[*field], origins[*field]) = rule.pick(sources, *field, fields);
        }
        (image, origins)
    }

    /// The rule by which the values of a field stand, where that is not the merge strategy.
    pub fn survivor_rule(&self, field: usize) -> Option<&FieldRule> {
        self.survivors.iter().find(|(of, _)| *of == field).map(|(_, rule)| rule)
    }

    /// What becomes of duplicates.
    pub fn strategy(&self) -> MergeStrategy {
        self.strategy
    }

    /// The most records that may share a key value before it proves nothing.
    pub fn block_max(&self) -> usize {
        self.block_max
    }

    /// The most records that are put together as one thing.
    pub fn cluster_max(&self) -> usize {
        self.cluster_max
    }
}

/// The values of a field: the first items of a list, or the one value, or none where absent.
fn items(image: &[Cell], field: usize) -> &[Value] {
    match image.get(field) {
        Some(Some(Value::List(items))) => &items[..items.len().min(ITEMS_MAX)],
        Some(Some(value)) => std::slice::from_ref(value),
        _ => &[],
    }
}
