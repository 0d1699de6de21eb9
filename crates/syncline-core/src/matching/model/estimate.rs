//! Estimating how likely each level is, by expectation maximisation.

use super::declare::Declaration;
use super::levels::{self, LEVELS_MAX, SAME};
use super::pattern::Pattern;
use super::terms::Terms;
use super::{CLASSES_MAX, ComparisonWeights, Table, Weights};
use crate::config::model::Kind;

/// Another reason than being the same for which two records are alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alternative {
    pub(super) name: &'static str,
    /// How often a field of a kind agrees as if the records were the same, to begin with; 0 is never.
    share: fn(Kind) -> f64,
    /// Whether chance brings it about, so that there are as many more of it as there are more pairs.
    pub(super) is_accident: bool,
}

/// The alternatives that may matter for `declaration`.
pub(super) fn alternatives(declaration: &Declaration) -> Vec<Alternative> {
    let has = |kinds: &[Kind]| declaration.comparisons.iter().any(|c| kinds.contains(&c.kind));
    let names = has(&[Kind::GivenName, Kind::FamilyName, Kind::Name]);
    let home = has(&[Kind::Address, Kind::Place, Kind::Postcode, Kind::Phone]);
    let mut list = Vec::new();
    if names && home {
        list.push(Alternative { name: "household", share: household, is_accident: false });
    }
    if names {
        list.push(Alternative { name: "namesake", share: namesake, is_accident: true });
    }
    if names && home {
        list.push(Alternative {
            name: "namesake at home",
            share: namesake_at_home,
            is_accident: false,
        });
    }
    list
}

fn household(kind: Kind) -> f64 {
    match kind {
        Kind::FamilyName => 0.97,
        Kind::Address | Kind::Place | Kind::Postcode => 0.95,
        Kind::Exact => 0.9,
        Kind::Phone => 0.4,
        Kind::Email => 0.001,
        Kind::Company => 0.01,
        _ => 0.0,
    }
}

fn namesake(kind: Kind) -> f64 {
    match kind {
        Kind::GivenName | Kind::FamilyName | Kind::Name => 0.97,
        Kind::Email => 0.02,
        _ => 0.0,
    }
}

fn namesake_at_home(kind: Kind) -> f64 {
    household(kind).max(namesake(kind))
}

/// Of so many pairs of a household, at most one has the same names.
const NAMESAKES_MAX: f64 = 5.0;

/// What is estimated.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimates {
    pub(super) m: Vec<Table>,
    pub(super) u: Vec<Table>,
    /// By alternative, then comparison.
    pub(super) shares: Vec<Vec<f64>>,
    /// The share of all pairs that are the same; then those of the alternatives.
    pub(super) priors: Vec<f64>,
}

/// A pair to learn from, and what a person said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) pattern: Pattern,
    pub(super) is_same: Option<bool>,
    /// Whether it was drawn, so that it stands for others; not so what a person chose to decide.
    pub(super) is_drawn: bool,
}

impl Estimates {
    /// Where the estimating begins; `u` is known.
    pub(super) fn start(declaration: &Declaration, u: Vec<Table>, records: u64) -> Self {
        let kinds: Vec<Kind> = declaration.comparisons.iter().map(|c| c.kind).collect();
        let shares: Vec<Vec<f64>> = alternatives(declaration)
            .iter()
            .map(|alternative| kinds.iter().map(|kind| (alternative.share)(*kind)).collect())
            .collect();
        let once_in_twenty = 0.1 / records.max(2) as f64;
        let mut priors = vec![once_in_twenty; 1 + shares.len()];
        priors[1..].fill(once_in_twenty / 10.0);
        Self { m: kinds.iter().map(|kind| start_m(*kind)).collect(), u, shares, priors }
    }

    pub(super) fn weights(&self, declaration: &Declaration, terms: &Terms) -> Weights {
        let comparisons = declaration.comparisons.iter().enumerate().map(|(index, comparison)| {
            let shares = self.shares.iter().map(|shares| shares[index]).collect();
            let terms = &terms.fields[index];
            let typical = terms.chance.log2();
            let mut weights = ComparisonWeights::new(self.m[index], self.u[index], typical, shares);
            weights.bound(comparison.kind, terms.rare.log2());
            weights
        });
        Weights {
            comparisons: comparisons.collect(),
            prior: self.priors[0].log2(),
            alternatives: self.priors[1..].iter().map(|prior| prior.log2()).collect(),
        }
    }

    /// Estimates m on the pairs of one block, without the comparisons in `without`. Gives m, and how many of
    /// the pairs are expected to be the same.
    pub(super) fn block(
        &self,
        declaration: &Declaration,
        terms: &Terms,
        samples: &[Sample],
        without: u32,
    ) -> (Vec<Table>, f64) {
        const ROUNDS_MAX: usize = 20;
        let mut now = self.clone();
        now.shares.clear();
        now.priors = vec![0.25];
        let mut same = 0.0;
        for _ in 0..ROUNDS_MAX {
            let weights = now.weights(declaration, terms);
            let mut sums = vec![[0.0; LEVELS_MAX]; now.m.len()];
            same = 0.0;
            let mut odds = [0.0; CLASSES_MAX];
            for sample in samples {
                let log_odds = weights.odds(declaration, &sample.pattern, without, &mut odds)[0];
                let p = match sample.is_same {
                    Some(is_same) => f64::from(u8::from(is_same)),
                    None => 1.0 / (1.0 + (-log_odds).exp2()),
                };
                same += p;
                add(&mut sums, &sample.pattern, p);
            }
            let share = (same / samples.len().max(1) as f64).clamp(1e-6, 1.0 - 1e-6);
            // Odds, as all else in the block is held for unrelated.
            now.priors = vec![share / (1.0 - share)];
            let mut change: f64 = 0.0;
            for (index, comparison) in declaration.comparisons.iter().enumerate() {
                if without >> index & 1 == 0 {
                    let m = normalised(comparison.kind, sums[index], 0.1);
                    let before = now.m[index];
                    let levels = m.iter().zip(before);
                    change = levels.fold(change, |most, (x, y)| most.max((x - y).abs()));
                    now.m[index] = m;
                }
            }
            if change < 1e-3 {
                break;
            }
        }
        (now.m, same)
    }

    /// Estimates m, the shares and the priors on pairs of all blocks, each of which stands for `scale` pairs.
    pub(super) fn refine(
        &mut self,
        declaration: &Declaration,
        terms: &Terms,
        samples: &[Sample],
        scale: f64,
    ) {
        const ROUNDS: usize = 12;
        for _ in 0..ROUNDS {
            let weights = self.weights(declaration, terms);
            let mut sums = Sums::new(self);
            for sample in samples {
                sums.add(declaration, &weights, sample);
            }
            let pairs = terms.records as f64 * (terms.records as f64 - 1.0) / 2.0;
            for (prior, total) in self.priors.iter_mut().zip(&sums.totals) {
                *prior = (total * scale).max(0.5) / pairs.max(1.0);
            }
            self.keep_families_apart();
            for (index, comparison) in declaration.comparisons.iter().enumerate() {
                self.m[index] = normalised(comparison.kind, sums.m[index], 0.5);
                for (shares, (agree, all)) in self.shares.iter_mut().zip(&sums.shares[index]) {
                    if shares[index] > 0.0 {
                        shares[index] = ((agree + 0.1) / (all + 1.0)).clamp(0.0005, 0.995);
                    }
                }
                self.u[index][usize::from(SAME)] = self.by_chance(index, terms);
            }
        }
    }

    /// Namesakes in one household are told from one person by very little, so what the data say of them is
    /// believed only as far as there are households: one pair in [`NAMESAKES_MAX`] at most.
    fn keep_families_apart(&mut self) {
        if let [_, household, _, namesake_at_home] = self.priors.as_mut_slice() {
            *namesake_at_home = namesake_at_home.min(*household / NAMESAKES_MAX);
        }
    }

    /// How likely two unrelated records agree: as often as any two do, less those that are no accident.
    fn by_chance(&self, index: usize, terms: &Terms) -> f64 {
        /// At least this share of the agreements is held for accident.
        const LEAST: f64 = 0.1;
        let all = terms.fields[index].chance;
        let same = self.m[index][usize::from(SAME)];
        let related: f64 =
            self.priors[1..].iter().zip(&self.shares).map(|(prior, s)| prior * s[index]).sum();
        let no_accident = same * (self.priors[0] + related);
        (all - no_accident).max(all * LEAST)
    }
}

/// Sums of one round.
struct Sums {
    m: Vec<Table>,
    /// By comparison and alternative: pairs that agree as if the same, and all pairs.
    shares: Vec<Vec<(f64, f64)>>,
    totals: Vec<f64>,
}

impl Sums {
    fn new(estimates: &Estimates) -> Self {
        Self {
            m: vec![[0.0; LEVELS_MAX]; estimates.m.len()],
            shares: vec![vec![(0.0, 0.0); estimates.shares.len()]; estimates.m.len()],
            totals: vec![0.0; estimates.priors.len()],
        }
    }

    fn add(&mut self, declaration: &Declaration, weights: &Weights, sample: &Sample) {
        const LEAST: f64 = 1e-3;
        let mut odds = [0.0; CLASSES_MAX];
        let odds = weights.odds(declaration, &sample.pattern, 0, &mut odds);
        let max = odds.iter().copied().fold(0.0, f64::max);
        let mut parts = [0.0; CLASSES_MAX];
        for (part, odds) in parts.iter_mut().zip(odds) {
            *part = (odds - max).exp2();
        }
        match sample.is_same {
            Some(true) => parts = [1.0, 0.0, 0.0, 0.0, 0.0],
            Some(false) => parts[0] = 0.0,
            None => {}
        }
        let unrelated = if sample.is_same == Some(true) { 0.0 } else { (-max).exp2() };
        let sum: f64 = parts.iter().sum::<f64>() + unrelated;
        for (index, total) in self.totals.iter_mut().enumerate() {
            parts[index] /= sum;
            *total += if sample.is_drawn { parts[index] } else { 0.0 };
        }
        if parts[0] > LEAST {
            add(&mut self.m, &sample.pattern, parts[0]);
        }
        let count = self.totals.len();
        for (alternative, &weight) in parts.iter().enumerate().take(count).skip(1) {
            if weight < LEAST {
                continue;
            }
            for (index, comparison) in declaration.comparisons.iter().enumerate() {
                let (level, rarity) = (sample.pattern.levels[index], sample.pattern.rarity[index]);
                let of = &weights.comparisons[index];
                let share = of.shares[alternative - 1];
                if share > 0.0 && !levels::is_neutral(comparison.kind, level) {
                    let ratio = of.of(comparison.kind, level, rarity).exp2();
                    let agree = share * ratio / (share * ratio + 1.0 - share);
                    let sums = &mut self.shares[index][alternative - 1];
                    sums.0 += weight * agree;
                    sums.1 += weight;
                }
            }
        }
    }
}

fn add(sums: &mut [Table], pattern: &Pattern, weight: f64) {
    for (sums, level) in sums.iter_mut().zip(pattern.levels) {
        sums[usize::from(level)] += weight;
    }
}

fn start_m(kind: Kind) -> Table {
    let mut table = [0.02; LEVELS_MAX];
    table[usize::from(SAME)] = 0.85;
    table[usize::from(levels::other(kind))] = 0.08;
    normalised(kind, table, 0.0)
}

/// Counts as shares of the levels that say something, each counted `smooth` times more; 1 for the others.
pub(super) fn normalised(kind: Kind, counts: Table, smooth: f64) -> Table {
    let count = levels::names(kind).len();
    let says = |level: usize| level <= count && !levels::is_neutral(kind, level as u8);
    let sum: f64 = (0..LEVELS_MAX).filter(|l| says(*l)).map(|l| counts[l] + smooth).sum();
    let mut table = [1.0; LEVELS_MAX];
    for level in (0..LEVELS_MAX).filter(|level| says(*level)) {
        table[level] = if sum > 0.0 { (counts[level] + smooth) / sum } else { 1.0 / count as f64 };
    }
    table
}
