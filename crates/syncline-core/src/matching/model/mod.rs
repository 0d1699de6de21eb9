//! The probabilistic model of Fellegi and Sunter: how likely two records are about the same thing.
//!
//! A record is prepared once ([`Features`]); two prepared records come to a pattern, a level of agreement
//! for each comparison. Each level is more or less likely where the two are the same (*m*) and where they are
//! not (*u*); how rare a value is counts too. A pair may also be alike for another reason than being the same:
//! a household shares family name and address, namesakes share their names. Such an alternative is one
//! more explanation that competes with *same*. The probability of *same* follows from all of them.
//!
//! Source: Fellegi and Sunter, A Theory for Record Linkage, JASA 64 (1969); Winkler on frequencies (1989).

mod declare;
mod estimate;
mod explain;
mod features;
mod file;
mod keys;
mod levels;
pub(in crate::matching) mod nicknames;
mod pattern;
mod random;
mod size;
mod terms;
mod threshold;
mod train;

#[cfg(test)]
mod tests;

pub use declare::{Declaration, compile as declare};
pub use explain::{ModelExplanation, ModelRow};
pub use features::Features;
pub use file::{ModelFile, ModelFileError};
pub use train::{TrainError, Trained, Trainer};

use crate::value::Cell;
use levels::{LEVELS_MAX, SAME, counts_rarity};
use pattern::Pattern;
use std::sync::Arc;
use terms::Terms;

/// The most comparisons of a model.
pub const COMPARISONS_MAX: usize = 24;

/// One number for each level of a comparison.
type Table = [f64; LEVELS_MAX];

/// A model, ready to compare records.
#[derive(Clone, Debug)]
pub struct Model {
    declaration: Arc<Declaration>,
    terms: Arc<Terms>,
    weights: Weights,
    /// The least probability of a match.
    threshold: f64,
    /// The least probability of a pair that a person should look at.
    review: f64,
    /// The number of records that it was trained on.
    trained: u64,
}

/// Binary logarithms of what the levels say, and of how common each explanation of a pair is.
#[derive(Clone, Debug, Default)]
struct Weights {
    comparisons: Vec<ComparisonWeights>,
    /// Of a match, against unrelated records.
    prior: f64,
    /// Of each alternative, against unrelated records.
    alternatives: Vec<f64>,
}

#[derive(Clone, Debug, Default)]
struct ComparisonWeights {
    /// Likelihood of each level where the records are the same.
    m: Table,
    /// Likelihood of each level where they are unrelated.
    weight: Table,
    /// The highest weight of a level other than that of equal values.
    unlike_max: f64,
    /// The same without what rarity adds, for levels at which it counts and for the others.
    unlike: (f64, f64),
    /// What the rarity of an average value is.
    typical: f64,
    /// For each alternative, the share of its pairs in which the field agrees as if the records were the same.
    shares: Vec<f64>,
}

impl Model {
    /// What is declared: which fields are compared, and how keys are made.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// The least probability of a match.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The least probability of a pair that a person should look at; at most the threshold.
    pub fn review(&self) -> f64 {
        self.review
    }

    /// The number of records among which prior and keys hold.
    pub fn records(&self) -> u64 {
        self.terms.records
    }

    /// Prepares a record.
    pub fn prepare(&self, image: &[Cell]) -> Features {
        let mut features = self.declaration.prepare(image);
        self.terms.set_rarity(&self.declaration, &mut features);
        features
    }

    /// The hashes of a record's blocking keys, sorted and without repeats.
    pub fn keys(&self, features: &Features) -> Vec<u64> {
        keys::keys(&self.declaration, &self.terms, features)
    }

    /// The probability that two records are the same, or `None` where it is less than `least`.
    ///
    /// Which of the two comes first does not matter. Most pairs are refused by what the hashes of their
    /// values say, before letters are weighed.
    pub fn probability(&self, a: &Features, b: &Features, least: f64) -> Option<f64> {
        let least = least.clamp(1e-9, 1.0 - 1e-9);
        let goal = (least / (1.0 - least)).log2();
        let pattern = self.weights.screened(&self.declaration, a, b, goal)?;
        let probability = self.weights.probability(&self.declaration, &pattern);
        (probability >= least).then_some(probability)
    }
}

impl Weights {
    /// The pattern of two records whose evidence against being unrelated reaches `goal`.
    fn screened(
        &self,
        declaration: &Declaration,
        a: &Features,
        b: &Features,
        goal: f64,
    ) -> Option<Pattern> {
        let mut bounds = [0.0; COMPARISONS_MAX];
        let mut sum = self.prior;
        for (index, weights) in self.comparisons.iter().enumerate() {
            let (x, y) = (a.heads[index], b.heads[index]);
            bounds[index] = match (x.count, y.count) {
                (0, _) | (_, 0) => 0.0,
                (1, 1) if x.hash == y.hash => weights.same(x.rarity).max(weights.unlike_max),
                (1, 1) => weights.unlike(x.rarity.max(y.rarity)),
                _ => weights.same(self.rarest(index)).max(weights.unlike_max),
            };
            sum += bounds[index];
        }
        if sum < goal {
            return None;
        }
        let mut pattern = Pattern::default();
        for &index in &declaration.order {
            let kind = declaration.comparisons[index].kind;
            let (level, rarity) = levels::best(kind, a.of(index), b.of(index));
            (pattern.levels[index], pattern.rarity[index]) = (level, rarity);
            // Names that were swapped are told only when both names are known.
            let may_be_swapped = declaration.is_name_of_two(index) && level != SAME;
            if !may_be_swapped {
                sum += self.comparisons[index].of(kind, level, rarity) - bounds[index];
            }
            if sum + SLACK < goal {
                return None;
            }
        }
        declaration.look_at_both(a, b, &mut pattern);
        Some(pattern)
    }

    /// The rarity of the rarest values of a comparison: none is below this.
    fn rarest(&self, index: usize) -> f32 {
        (self.comparisons[index].typical - 40.0) as f32
    }

    /// The probability of *same*, among all explanations.
    fn probability(&self, declaration: &Declaration, pattern: &Pattern) -> f64 {
        let mut odds = [0.0; CLASSES_MAX];
        let odds = self.odds(declaration, pattern, 0, &mut odds);
        let max = odds.iter().copied().fold(0.0, f64::max);
        let sum: f64 = (-max).exp2() + odds.iter().map(|x| (x - max).exp2()).sum::<f64>();
        (odds[0] - max).exp2() / sum
    }

    /// `log2` of the odds of each explanation against *unrelated*: *same* first, then the alternatives.
    /// Comparisons whose bit is set in `without` are left out.
    fn odds<'a>(
        &self,
        declaration: &Declaration,
        pattern: &Pattern,
        without: u32,
        out: &'a mut [f64; CLASSES_MAX],
    ) -> &'a [f64] {
        let count = 1 + self.alternatives.len();
        out[0] = self.prior;
        out[1..count].copy_from_slice(&self.alternatives);
        for (index, comparison) in declaration.comparisons.iter().enumerate() {
            let level = pattern.levels[index];
            if without >> index & 1 == 1 || levels::is_neutral(comparison.kind, level) {
                continue;
            }
            let weights = &self.comparisons[index];
            let weight = weights.of(comparison.kind, level, pattern.rarity[index]);
            out[0] += weight;
            for (odds, &share) in out[1..count].iter_mut().zip(&weights.shares) {
                if share > 0.0 {
                    *odds += (share * weight.exp2() + 1.0 - share).log2();
                }
            }
        }
        &out[..count]
    }
}

/// *Same* and the most alternatives there can be.
const CLASSES_MAX: usize = 5;
/// Sums of floats in another order differ a little.
const SLACK: f64 = 1e-6;
/// Nothing is so common that it agrees by chance more often than this.
const CHANCE_MAX: f64 = 0.9;

impl ComparisonWeights {
    fn new(m: Table, u: Table, typical: f64, shares: Vec<f64>) -> Self {
        let mut weights = Self { m, typical, shares, ..Self::default() };
        for level in 0..LEVELS_MAX {
            weights.weight[level] = (m[level] / u[level]).log2();
        }
        weights
    }

    /// Fills in the highest weight that values can have which are not equal; `rare` is the rarest of them.
    fn bound(&mut self, kind: crate::config::model::Kind, rare: f64) {
        let levels =
            (2..=levels::names(kind).len() as u8).filter(|l| !levels::is_neutral(kind, *l));
        let best = |counts: bool| {
            let of = levels.clone().filter(|level| counts_rarity(kind, *level) == counts);
            of.map(|level| self.weight[usize::from(level)]).fold(-40.0, f64::max)
        };
        self.unlike = (best(true), best(false));
        let rarest = self.unlike.0 + (self.typical - rare).max(0.0);
        self.unlike_max = rarest.max(self.unlike.1).max(0.0);
    }

    /// At most so much can values say that are not equal, of which the more common one has this rarity.
    fn unlike(&self, rarity: f32) -> f64 {
        let counted = self.unlike.0 + self.typical - f64::from(rarity);
        // What is so common that chance is capped, or names that are swapped, may say more.
        if counted < -10.0 { self.unlike_max } else { counted.max(self.unlike.1) }
    }

    fn same(&self, rarity: f32) -> f64 {
        self.weight[usize::from(SAME)] + (self.typical - f64::from(rarity)).max(0.0)
    }

    /// `log2` of how much likelier the level is where the records are the same.
    fn of(&self, kind: crate::config::model::Kind, level: u8, rarity: f32) -> f64 {
        let index = usize::from(level);
        if levels::is_neutral(kind, level) {
            return 0.0;
        }
        if !counts_rarity(kind, level) {
            return self.weight[index];
        }
        let weight = self.weight[index] + self.typical - f64::from(rarity);
        weight.max((self.m[index] / CHANCE_MAX).log2())
    }
}
