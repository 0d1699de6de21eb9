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

use crate::config::model::Kind;
use crate::value::Cell;
use declare::Comparison;
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
    /// The highest weight of a level, of whichever values.
    most: f64,
    /// The highest weight of a level that hashes do not tell: of those at which rarity counts, without what it
    /// adds; and of the others.
    unlike: (f64, f64),
    /// What the rarity of an average value is.
    typical: f64,
    /// For each alternative, the share of its pairs in which the field agrees as if the records were the same.
    shares: Vec<f64>,
    /// For each alternative, `log2` of how much likelier each level is because of it, where rarity does not count.
    explained: Vec<Table>,
}

impl Model {
    /// What is declared: which fields are compared, and how keys are made.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// The fields that it looks at.
    pub(super) fn fields(&self) -> impl Iterator<Item = usize> {
        self.declaration.comparisons.iter().map(|comparison| comparison.field)
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
    ///
    /// Each comparison that is still open counts for the most that it can say, so nothing is refused that would
    /// reach the goal.
    fn screened(
        &self,
        declaration: &Declaration,
        a: &Features,
        b: &Features,
        goal: f64,
    ) -> Option<Pattern> {
        let mut pattern = Pattern::default();
        let mut most = [0.0; COMPARISONS_MAX];
        let (mut sum, mut open) = (self.prior, 0_u32);
        let (a, b) = (a.view(), b.view());
        let may_be_swapped = declaration.may_be_swapped(a, b);
        let mut left = a.in_both(b);
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            left &= left - 1;
            let (kind, weights) = (declaration.comparisons[index].kind, &self.comparisons[index]);
            let is_name = may_be_swapped && declaration.is_name_of_two(index);
            most[index] = match a.only(index).zip(b.only(index)) {
                Some((x, y)) => {
                    let rarity = x.rarity().max(y.rarity());
                    if let Some(level) = levels::by_hash(kind, x, y) {
                        (pattern.levels[index], pattern.rarity[index]) = (level, rarity);
                        weights.of(kind, level, rarity)
                    } else {
                        open |= 1 << index;
                        weights.unlike(rarity)
                    }
                }
                None => {
                    open |= 1 << index;
                    weights.most
                }
            };
            // What hangs on two comparisons is told only when both are known.
            if is_name || kind == Kind::Place {
                most[index] = most[index].max(weights.swapped(kind));
            }
            sum += most[index];
        }
        if sum + SLACK < goal {
            return None;
        }
        for &index in declaration.order.iter().filter(|index| open >> **index & 1 == 1) {
            let kind = declaration.comparisons[index].kind;
            let (level, rarity) = levels::best(kind, a.of(index), b.of(index));
            (pattern.levels[index], pattern.rarity[index]) = (level, rarity);
            let is_settled = kind != Kind::Place
                && !(may_be_swapped && declaration.is_name_of_two(index) && level != SAME);
            if is_settled {
                sum += self.comparisons[index].of(kind, level, rarity) - most[index];
                if sum + SLACK < goal {
                    return None;
                }
            }
        }
        declaration.look_at_both(a, b, &mut pattern);
        (self.same(declaration, &pattern) + SLACK >= goal).then_some(pattern)
    }

    /// `log2` of the odds of *same* against *unrelated*.
    fn same(&self, declaration: &Declaration, pattern: &Pattern) -> f64 {
        let parts = declaration.comparisons.iter().zip(&self.comparisons).enumerate();
        let weight =
            |(index, (comparison, weights)): (usize, (&Comparison, &ComparisonWeights))| {
                weights.of(comparison.kind, pattern.levels[index], pattern.rarity[index])
            };
        parts.map(weight).fold(self.prior, |sum, weight| sum + weight)
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
        // Of what hangs on how rare the values are; multiplied, since logarithms take their time.
        let mut ratios = [1.0; CLASSES_MAX - 1];
        for (index, comparison) in declaration.comparisons.iter().enumerate() {
            let level = pattern.levels[index];
            if without >> index & 1 == 1 || levels::is_neutral(comparison.kind, level) {
                continue;
            }
            let weights = &self.comparisons[index];
            let weight = weights.of(comparison.kind, level, pattern.rarity[index]);
            out[0] += weight;
            if counts_rarity(comparison.kind, level) {
                let ratio = weight.exp2();
                let shares = weights.shares.iter().zip(&mut ratios);
                shares.for_each(|(share, ratios)| *ratios *= share * ratio + 1.0 - share);
            } else {
                let explained = weights.explained.iter().zip(&mut out[1..count]);
                explained.for_each(|(by_level, odds)| *odds += by_level[usize::from(level)]);
            }
        }
        out[1..count].iter_mut().zip(ratios).for_each(|(odds, ratio)| *odds += ratio.log2());
        &out[..count]
    }
}

/// *Same* and the most alternatives there can be.
const CLASSES_MAX: usize = 5;
/// Sums of floats in another order differ a little.
const SLACK: f64 = 1e-6;
/// Nothing is so common that it agrees by chance more often than this.
const CHANCE_MAX: f64 = 0.9;

/// `log2` of how much likelier a level of this weight is where the field agrees, in a share of the pairs, as if
/// the records were the same.
fn explained(share: f64, weight: f64) -> f64 {
    if share > 0.0 { (share * weight.exp2() + 1.0 - share).log2() } else { 0.0 }
}

impl ComparisonWeights {
    fn new(m: Table, u: Table, typical: f64, shares: Vec<f64>) -> Self {
        let mut weights = Self { m, typical, shares, ..Self::default() };
        for level in 0..LEVELS_MAX {
            weights.weight[level] = (m[level] / u[level]).log2();
        }
        let table = |share: &f64| weights.weight.map(|weight| explained(*share, weight));
        weights.explained = weights.shares.iter().map(table).collect();
        weights
    }

    /// Fills in the highest weights that there can be; `rare` is that of the rarest values.
    fn bound(&mut self, kind: Kind, rare: f64) {
        let most = |levels: &mut dyn Iterator<Item = u8>, counts: bool| {
            let of = levels.filter(|level| counts_rarity(kind, *level) == counts);
            let weight = |level| {
                if levels::is_neutral(kind, level) { 0.0 } else { self.weight[usize::from(level)] }
            };
            of.map(weight).fold(f64::NEG_INFINITY, f64::max)
        };
        let by_text = || levels::levels_by_text(kind).iter().copied();
        let all = || 0..=levels::names(kind).len() as u8;
        // What is so common that its chance is capped.
        let counted = by_text().filter(|level| counts_rarity(kind, *level));
        let capped = counted.map(|level| self.capped(level)).fold(f64::NEG_INFINITY, f64::max);
        let unlike = (most(&mut by_text(), true), most(&mut by_text(), false).max(capped));
        let rarest = most(&mut all(), true) + (self.typical - rare).max(0.0);
        self.most = rarest.max(most(&mut all(), false)).max(CHANCE_MAX.recip().log2());
        self.unlike = unlike;
    }

    /// At most so much do values say of which the hashes do not tell how alike they are, and of which the more
    /// common one has this rarity.
    fn unlike(&self, rarity: f32) -> f64 {
        (self.unlike.0 + self.typical - f64::from(rarity)).max(self.unlike.1)
    }

    /// The least that a level weighs at which rarity counts.
    fn capped(&self, level: u8) -> f64 {
        (self.m[usize::from(level)] / CHANCE_MAX).log2()
    }

    /// What a level that is told by two comparisons may say at most.
    fn swapped(&self, kind: Kind) -> f64 {
        if kind == Kind::GivenName { self.weight[usize::from(levels::GIVEN_SWAPPED)] } else { 0.0 }
    }

    /// `log2` of how much likelier the level is where the records are the same.
    fn of(&self, kind: Kind, level: u8, rarity: f32) -> f64 {
        let index = usize::from(level);
        if levels::is_neutral(kind, level) {
            return 0.0;
        }
        if !counts_rarity(kind, level) {
            return self.weight[index];
        }
        let weight = self.weight[index] + self.typical - f64::from(rarity);
        weight.max(self.capped(level))
    }
}
