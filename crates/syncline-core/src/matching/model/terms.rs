//! How common the values of each field are.

use super::declare::Declaration;
use super::features::{Features, Packed, sound};
use crate::config::model::{KeyForm, Kind};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

/// How common values are, field by field.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// The number of records that the shares are of.
    pub(super) records: u64,
    pub(super) fields: Vec<FieldTerms>,
}

/// How common the values of one field are.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldTerms {
    /// The most common values with their share, most common first.
    pub(super) frequent: Vec<(String, f64)>,
    /// The share of an average other value.
    pub(super) rare: f64,
    /// The chance that two records agree on the value.
    pub(super) chance: f64,
    /// `log2` of `rare`.
    rare_bits: f32,
    rarity: FxHashMap<u64, f32>,
    sounds: FxHashMap<u64, f64>,
}

/// At most so many values of a field are told by name.
const FREQUENT_MAX: usize = 300;
/// A value that fewer records hold is none of them.
const HOLDERS_MIN: u32 = 10;
/// The share of what is not counted: initials, years, the beginnings of words.
const INITIAL_SHARE: f64 = 0.06;
const YEAR_SHARE: f64 = 0.017;
const START_SHARE: f64 = 0.004;

impl FieldTerms {
    pub(super) fn new(kind: Kind, frequent: Vec<(String, f64)>, rare: f64, chance: f64) -> Self {
        let rarity = frequent
            .iter()
            .map(|(text, share)| (xxh3_64(text.as_bytes()), share.log2() as f32))
            .collect();
        let mut sounds: FxHashMap<u64, f64> = FxHashMap::default();
        if matches!(kind, Kind::GivenName | Kind::FamilyName | Kind::Name) {
            for (text, share) in &frequent {
                for word in text.split(' ') {
                    *sounds.entry(u64::from(sound(word))).or_default() += share;
                }
            }
        }
        Self { frequent, rare, chance, rare_bits: rare.log2() as f32, rarity, sounds }
    }
}

/// What of a value is counted; `None` where it proves nothing.
fn term(kind: Kind, feature: Packed<'_>) -> u64 {
    if kind == Kind::Email { feature.alt() } else { feature.hash() }
}

impl Terms {
    /// Counts the values of a sample of `records` records.
    pub(super) fn count(declaration: &Declaration, sample: &[Features], records: u64) -> Self {
        let comparisons = declaration.comparisons.iter().enumerate();
        let fields = comparisons.map(|(i, c)| count(i, c.kind, sample, records)).collect();
        Self { records, fields }
    }

    /// Fills in how rare the values of a record are.
    pub(super) fn set_rarity(&self, declaration: &Declaration, features: &mut Features) {
        features.set_rarity(|index, feature| {
            let terms = &self.fields[index];
            let known = terms.rarity.get(&term(declaration.comparisons[index].kind, feature));
            known.copied().unwrap_or(terms.rare_bits)
        });
    }

    /// The share of records of which a form of a field is `value`.
    pub(super) fn share(
        &self,
        index: usize,
        form: KeyForm,
        value: u64,
        feature: Packed<'_>,
    ) -> f64 {
        let terms = &self.fields[index];
        let whole = || f64::from(feature.rarity()).exp2();
        match form {
            KeyForm::Whole | KeyForm::Local | KeyForm::Words => whole(),
            KeyForm::Sound => {
                terms.sounds.get(&value).copied().unwrap_or(0.0) + (terms.rare * 4.0).min(0.1)
            }
            KeyForm::Initial => INITIAL_SHARE,
            KeyForm::Year => YEAR_SHARE,
            KeyForm::Start | KeyForm::Ngram | KeyForm::Street => START_SHARE,
            KeyForm::End => whole(),
        }
    }
}

fn count(index: usize, kind: Kind, sample: &[Features], records: u64) -> FieldTerms {
    let mut counts: FxHashMap<u64, (u32, u32)> = FxHashMap::default();
    let mut total = 0_u64;
    for (number, record) in (0..).zip(sample) {
        for feature in record.view().of(index) {
            let entry = counts.entry(term(kind, *feature)).or_insert((0, number));
            entry.0 += 1;
            total += 1;
        }
    }
    let total = total.max(2) as f64;
    let mut ranked: Vec<(u64, u32, u32)> = counts
        .into_iter()
        .filter(|(_, (holders, _))| *holders > 1)
        .map(|(term, (holders, at))| (term, holders, at))
        .collect();
    ranked.sort_unstable_by_key(|&(term, holders, _)| (std::cmp::Reverse(holders), term));
    let cut = ranked.iter().take(FREQUENT_MAX).take_while(|x| x.1 >= HOLDERS_MIN).count();
    let (top, rest) = ranked.split_at(cut);
    let agreements = |list: &[(u64, u32, u32)]| -> f64 {
        list.iter().map(|x| f64::from(x.1) * f64::from(x.1 - 1)).sum()
    };
    let top_total: f64 = top.iter().map(|x| f64::from(x.1)).sum();
    let rest_total = (total - top_total).max(1.0);
    // Of a value that is not among the common ones: how likely another record has it too.
    let rare = (agreements(rest) / rest_total / total).max(1.0 / records.max(2) as f64);
    let chance = (agreements(top) + agreements(rest)) / (total * (total - 1.0));
    let text = |&(wanted, holders, at): &(u64, u32, u32)| {
        let mut values = sample[at as usize].view().of(index);
        let feature = values.find(|feature| term(kind, **feature) == wanted)?;
        Some((feature.text().to_owned(), f64::from(holders) / total))
    };
    let frequent = top.iter().filter_map(text).filter(|(_, share)| *share > rare).collect();
    FieldTerms::new(kind, frequent, rare, chance.max(0.5 / (total * total)))
}
