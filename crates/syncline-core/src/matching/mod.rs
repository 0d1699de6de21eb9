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
pub mod model;
pub mod normalise;
pub mod phonetic;
pub mod similarity;
pub mod survivorship;
mod words;

#[cfg(test)]
mod tests;

pub use cluster::{ClusterEdge, ClusterNode, cluster};
pub use compare::{ComparisonExplanation, RuleExplanation};
pub use normalise::normalise;
pub use survivorship::{Source, survive};

use crate::config::model::{MergeStrategy, ShardType};
use crate::problem::{ConfigPath, Problem};
use crate::shard::Layout;
use crate::value::{Cell, Value};
use blocking::Recipe;
use compare::{Rule, Scratch};
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
    strategy: MergeStrategy,
    block_max: usize,
    cluster_max: usize,
}

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
    /// From 0 to 1, at least the rule's threshold.
    pub score: f32,
    /// The rule that gave it.
    pub rule: u16,
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

    /// Whether there are no rules, so that no two records are ever the same.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Puts the blocking keys of `image` into `out` (which is cleared first), sorted and without repeats.
    ///
    /// A rule of which some blocking part is blank gives none. Each of the first 20 items of a list
    /// gives a key of its own, up to 64 keys for a rule. Rules that make their keys the same way share
    /// the hash and have a key each.
    pub fn keys(&self, image: &[Cell], out: &mut Vec<BlockKey>) {
        out.clear();
        let mut scratch = String::new();
        for recipe in &self.recipes {
            recipe.keys(image, &mut scratch, out);
        }
        out.sort_unstable();
        out.dedup();
    }

    /// The best match of `a` and `b` among the rules whose bits are set in `rules` (bit r for rule r).
    ///
    /// The highest score that reaches its rule's threshold; of equal ones the lowest rule. `None` where no
    /// rule says that they are the same. Which of the two comes first does not matter.
    ///
    /// The score of a rule is the mean of its comparisons' similarities by weight, without those that are
    /// skipped because a side is missing; a rule of which nothing is left does not match. A value that
    /// cannot be read for a comparison (no date, no number, no letters) is missing too. Of lists, the most
    /// alike pair of the first 20 items on each side counts.
    pub fn compare(&self, a: &[Cell], b: &[Cell], rules: u64) -> Option<PairScore> {
        let mut scratch = Scratch::default();
        let mut best: Option<PairScore> = None;
        for (index, rule) in self.chosen(rules) {
            let least = best.map_or(0.0, |best| f64::from(best.score));
            if let Some(score) = rule.score(a, b, least, &mut scratch) {
                let score = score as f32;
                if best.is_none_or(|best| best.score < score) {
                    best = Some(PairScore { score, rule: index });
                }
            }
            if best.is_some_and(|best| best.score >= 1.0) {
                break;
            }
        }
        best
    }

    /// What each rule of the set `rules` makes of two records, comparison by comparison.
    pub fn explain(&self, a: &[Cell], b: &[Cell], rules: u64) -> Vec<RuleExplanation> {
        let mut scratch = Scratch::default();
        self.chosen(rules).map(|(_, rule)| rule.explain(a, b, &mut scratch)).collect()
    }

    fn chosen(&self, rules: u64) -> impl Iterator<Item = (u16, &Rule)> {
        (0..).zip(&self.rules).filter(move |(index, _)| rules >> index & 1 == 1)
    }

    /// The name of a rule; empty where there is no such rule.
    pub fn rule_name(&self, rule: u16) -> &str {
        self.rules.get(usize::from(rule)).map_or("", |rule| &rule.name)
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
