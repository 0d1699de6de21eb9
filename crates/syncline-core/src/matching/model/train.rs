//! Training: a model from records alone, or from records and what people said of some pairs.

use super::declare::Declaration;
use super::estimate::{Estimates, Sample, alternatives, normalised};
use super::features::Features;
use super::file::ModelFile;
use super::keys::{Part, keys_of};
use super::levels::{self, LEVELS_MAX, SAME};
use super::random::Random;
use super::terms::Terms;
use super::{Table, threshold};
use crate::config::model::KeyForm;
use crate::value::Cell;
use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// So many records are kept to learn from; of more, a part that their names choose.
const RECORDS_MAX: usize = 40_000;
/// So many pairs are drawn to see how often unrelated records agree.
const RANDOM_PAIRS: usize = 100_000;
/// So many pairs of each block are learnt from.
const BLOCK_PAIRS: usize = 4_000;
/// So many pairs of all blocks are learnt from.
const ALL_PAIRS: usize = 40_000;

/// Why no model can be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TrainError {
    /// There is too little to learn from.
    #[error("a model cannot be trained on {0} records")]
    TooFewRecords(usize),
    /// No two records share a blocking key.
    #[error("no two of {0} records share a blocking key, so none can be compared")]
    NoPairs(usize),
}

/// Collects the records that a model is trained on.
#[derive(Debug)]
pub struct Trainer {
    declaration: Arc<Declaration>,
    seed: u64,
    records: u64,
    /// One in so many records is kept.
    every: u64,
    sample: Vec<Kept>,
    /// What people decided: pairs of names, the smaller one first.
    decided: BTreeMap<(CompactString, CompactString), bool>,
    /// The names in these: such records are always kept.
    named: FxHashSet<CompactString>,
}

#[derive(Debug)]
struct Kept {
    hash: u64,
    name: CompactString,
    features: Features,
}

/// A trained model, and what it was made from.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model.
    pub file: ModelFile,
    /// How many records it was trained on.
    pub sampled: u64,
    /// How many pairs of these share a key.
    pub pairs: u64,
    /// How many pairs of them people have decided.
    pub decided: u64,
}

impl Trainer {
    /// Begins. Equal records and seeds give equal models, whatever the order of the records.
    pub fn new(declaration: Arc<Declaration>, seed: u64) -> Self {
        Self {
            declaration,
            seed,
            records: 0,
            every: 1,
            sample: Vec::new(),
            decided: BTreeMap::new(),
            named: FxHashSet::default(),
        }
    }

    /// Takes what a person decided of two records, to be told before the records themselves.
    pub fn decide(&mut self, a: &str, b: &str, is_same: bool) {
        let (a, b) = (CompactString::new(a.min(b)), CompactString::new(a.max(b)));
        self.named.extend([a.clone(), b.clone()]);
        self.decided.insert((a, b), is_same);
    }

    /// Takes a record.
    pub fn add(&mut self, name: &str, image: &[Cell]) {
        self.records += 1;
        let hash = self.hash(name);
        if !hash.is_multiple_of(self.every) && !self.named.contains(name) {
            return;
        }
        let features = self.declaration.prepare(image);
        self.sample.push(Kept { hash, name: CompactString::new(name), features });
        if self.sample.len() > 2 * RECORDS_MAX {
            self.every *= 2;
            let (every, named) = (self.every, &self.named);
            self.sample
                .retain(|kept| kept.hash.is_multiple_of(every) || named.contains(&kept.name));
        }
    }

    fn hash(&self, name: &str) -> u64 {
        xxh3_64_with_seed(name.as_bytes(), self.seed)
    }

    /// Trains the model. `label` tells what is known of two records: the same, or not. What people decided goes
    /// before it.
    ///
    /// # Errors
    ///
    /// When there is too little to learn from.
    pub fn train(
        mut self,
        label: &dyn Fn(&str, &str) -> Option<bool>,
    ) -> Result<Trained, TrainError> {
        if self.sample.len() < 2 {
            return Err(TrainError::TooFewRecords(self.sample.len()));
        }
        self.sample.sort_unstable_by(|a, b| (a.hash, &a.name).cmp(&(b.hash, &b.name)));
        let (names, mut features): (Vec<CompactString>, Vec<Features>) =
            self.sample.drain(..).map(|kept| (kept.name, kept.features)).unzip();
        let declaration = self.declaration.clone();
        let terms = Terms::count(&declaration, &features, self.records);
        for record in &mut features {
            terms.set_rarity(&declaration, record);
        }
        let decided = decided(&self.decided, &names);
        let lab = Lab { declaration: &declaration, terms: &terms, names, features, label, decided };
        let mut random = Random(self.seed);
        let mut estimates =
            Estimates::start(&declaration, lab.unrelated(&mut random), self.records);
        let blocks = lab.blocks();
        let mut pairs = blocks.concat();
        pairs.sort_unstable();
        pairs.dedup();
        if pairs.is_empty() {
            return Err(TrainError::NoPairs(lab.features.len()));
        }
        estimates.m = lab.block_by_block(&estimates, &blocks, &mut random);
        drop(blocks);
        let share = (lab.features.len() as f64 / self.records as f64).powi(2);
        let mut samples = lab.samples(&pairs, ALL_PAIRS, &mut random);
        let scale = pairs.len() as f64 / samples.len() as f64 / share;
        let drawn = samples.len();
        samples.extend(lab.beside(&pairs, ALL_PAIRS));
        estimates.refine(&declaration, &terms, &samples, scale);
        let weights = estimates.weights(&declaration, &terms);
        let probabilities =
            samples[..drawn].iter().map(|s| weights.probability(&declaration, &s.pattern));
        let threshold = threshold::best(probabilities.collect());
        let sampled = lab.features.len() as u64;
        let file = ModelFile::new(
            &declaration,
            &terms,
            &estimates,
            &alternatives(&declaration),
            (threshold, threshold / 4.0),
        );
        let decided = lab.decided.len() as u64;
        Ok(Trained { file, sampled, pairs: pairs.len() as u64, decided })
    }
}

/// Records that are learnt from.
struct Lab<'a> {
    declaration: &'a Declaration,
    terms: &'a Terms,
    names: Vec<CompactString>,
    features: Vec<Features>,
    label: &'a dyn Fn(&str, &str) -> Option<bool>,
    decided: BTreeMap<Pair, bool>,
}

type Pair = (u32, u32);

impl Lab<'_> {
    /// How likely each level is where records are unrelated: random pairs, and how common values are.
    fn unrelated(&self, random: &mut Random) -> Vec<Table> {
        let count = self.features.len();
        let comparisons = &self.declaration.comparisons;
        let mut counts = vec![[0.0; LEVELS_MAX]; comparisons.len()];
        for _ in 0..RANDOM_PAIRS.min(count * 100) {
            let (a, b) = (random.below(count), random.below(count));
            if a == b {
                continue;
            }
            let pattern = self.declaration.pattern(&self.features[a], &self.features[b]);
            for (counts, level) in counts.iter_mut().zip(pattern.levels) {
                counts[usize::from(level)] += 1.0;
            }
        }
        let mut u: Vec<Table> = comparisons
            .iter()
            .zip(counts)
            .map(|(comparison, counts)| normalised(comparison.kind, counts, 0.5))
            .collect();
        for (u, terms) in u.iter_mut().zip(&self.terms.fields) {
            u[usize::from(SAME)] = terms.chance;
        }
        if let Some((given, family)) = self.declaration.names {
            // As likely as two agreements, and that one of the two records has its names swapped.
            const SWAPPED: f64 = 0.03;
            let both = u[given][usize::from(SAME)] * u[family][usize::from(SAME)];
            u[given][usize::from(levels::GIVEN_SWAPPED)] = (both * SWAPPED).max(1e-9);
        }
        u
    }

    /// For each block, the pairs that share one of its keys, but for keys that too many share.
    fn blocks(&self) -> Vec<Vec<Pair>> {
        let blocks = 0..self.declaration.blocks.len();
        let mut keys = Vec::new();
        let mut entries: Vec<(u64, u32)> = Vec::new();
        let pairs = blocks.map(|block| {
            entries.clear();
            for (index, record) in (0..).zip(&self.features) {
                keys.clear();
                keys_of(self.declaration, self.terms, record, block, &mut keys);
                entries.extend(keys.iter().map(|key| (*key, index)));
            }
            entries.sort_unstable();
            entries.dedup();
            let mut pairs = Vec::new();
            for group in entries.chunk_by(|a, b| a.0 == b.0) {
                if group.len() <= self.declaration.block_max {
                    for (position, a) in group.iter().enumerate() {
                        pairs.extend(group[position + 1..].iter().map(|b| (a.1, b.1)));
                    }
                }
            }
            pairs.sort_unstable();
            pairs.dedup();
            pairs
        });
        pairs.collect()
    }

    /// At most `most` of the pairs, drawn by chance, compared.
    fn samples(&self, pairs: &[Pair], most: usize, random: &mut Random) -> Vec<Sample> {
        let sample = |pair: &Pair| self.sample(*pair, true);
        if pairs.len() <= most {
            return pairs.iter().map(sample).collect();
        }
        (0..most).map(|_| sample(&pairs[random.below(pairs.len())])).collect()
    }

    fn sample(&self, (a, b): Pair, is_drawn: bool) -> Sample {
        let known = self.decided.get(&(a, b)).copied();
        let (a, b) = (a as usize, b as usize);
        Sample {
            pattern: self.declaration.pattern(&self.features[a], &self.features[b]),
            is_same: known.or_else(|| (self.label)(&self.names[a], &self.names[b])),
            is_drawn,
        }
    }

    /// The pairs that people decided, and that are not among the samples anyway.
    fn beside(&self, pairs: &[Pair], most: usize) -> impl Iterator<Item = Sample> {
        let is_among = move |pair: &Pair| pairs.len() <= most && pairs.binary_search(pair).is_ok();
        let decided = self.decided.keys().filter(move |pair| !is_among(pair));
        decided.map(|pair| self.sample(*pair, false))
    }

    /// m, from each block apart: what a block rests on is not learnt there. The mean, by how many pairs of
    /// each block are the same.
    fn block_by_block(
        &self,
        estimates: &Estimates,
        blocks: &[Vec<Pair>],
        random: &mut Random,
    ) -> Vec<Table> {
        let count = self.declaration.comparisons.len();
        let mut sums = vec![([0.0; LEVELS_MAX], 0.0); count];
        for (block, pairs) in self.declaration.blocks.iter().zip(blocks) {
            let without = rests_on(block.parts.iter().chain(&block.refine));
            let samples = self.samples(pairs, BLOCK_PAIRS, random);
            let (m, same) = estimates.block(self.declaration, self.terms, &samples, without);
            let same = same * pairs.len() as f64 / samples.len().max(1) as f64;
            for index in (0..count).filter(|index| without >> index & 1 == 0) {
                for (sum, m) in sums[index].0.iter_mut().zip(m[index]) {
                    *sum += same * m;
                }
                sums[index].1 += same;
            }
        }
        let start = estimates.m.iter().zip(sums).zip(&self.declaration.comparisons);
        start
            .map(
                |((start, (sum, weight)), comparison)| {
                    if weight > 1.0 { normalised(comparison.kind, sum, 0.5) } else { *start }
                },
            )
            .collect()
    }
}

/// What people decided, by the numbers of records that are at hand.
fn decided(
    by_name: &BTreeMap<(CompactString, CompactString), bool>,
    names: &[CompactString],
) -> BTreeMap<Pair, bool> {
    let numbers: FxHashMap<&str, u32> = names.iter().map(CompactString::as_str).zip(0..).collect();
    let known = by_name.iter().filter_map(|((a, b), is_same)| {
        let (a, b) = (*numbers.get(a.as_str())?, *numbers.get(b.as_str())?);
        Some(((a.min(b), a.max(b)), *is_same))
    });
    known.collect()
}

/// Bits of the comparisons that a block's pairs agree on.
fn rests_on<'a>(parts: impl Iterator<Item = &'a Part>) -> u32 {
    let weak = [KeyForm::Initial, KeyForm::Year, KeyForm::Start, KeyForm::Ngram];
    let firm = parts.filter(|part| !weak.contains(&part.form));
    firm.flat_map(|part| &part.of).fold(0, |bits, index| bits | 1 << index)
}
