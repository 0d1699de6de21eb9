//! Blocking keys of a model: wide where few records share them, and made finer where many would.
//!
//! How many records share a key is foretold from how common its values are. A key that is expected to be
//! crowded gets the next of its block's finer parts, and so on. Both records of a pair that share the values
//! foretell the same, so they still meet; and the order of records plays no part.

use super::declare::{Comparison, Declaration};
use super::features::{Features, Value};
use super::terms::Terms;
use crate::config::model::{KeyForm, Kind};
use crate::matching::blocking::pieces;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A key that more records than this are expected to share is made finer. Where there are few records, keys may
/// be wider: what is compared stays little.
pub(super) fn split(records: u64) -> f64 {
    (SHARED_ALL / records.max(1) as f64).clamp(3.0, 12.0)
}

/// So many records, shared by a key each: 25,000 may have keys that twelve share, 100,000 such that three share.
const SHARED_ALL: f64 = 300_000.0;
/// The most keys of one block for a record.
const KEYS_MAX: usize = 24;

/// What two records must agree on before they are compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Block {
    pub(super) parts: Vec<Part>,
    /// What is added, one after the other, while too many records would share the key.
    pub(super) refine: Vec<Part>,
}

/// A part of a key: a form of the value of any of some comparisons.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) of: Vec<usize>,
    pub(super) form: KeyForm,
}

/// The blocks of comparisons for which none are declared.
pub(super) fn defaults(comparisons: &[Comparison]) -> Vec<Block> {
    let all = |kinds: &[Kind]| -> Vec<usize> {
        let is_one = |i: &usize| kinds.contains(&comparisons[*i].kind);
        (0..comparisons.len()).filter(is_one).collect()
    };
    let names = all(&[Kind::GivenName, Kind::FamilyName, Kind::Name]);
    let part = |of: &[usize], form| Part { of: of.to_vec(), form };
    let sound = part(&names, KeyForm::Sound);
    let initial = part(&names, KeyForm::Initial);
    let year = part(&all(&[Kind::Date]), KeyForm::Year);
    let postcode = part(&all(&[Kind::Postcode]), KeyForm::Whole);
    let place = part(&all(&[Kind::Place]), KeyForm::Whole);
    let family = part(&all(&[Kind::FamilyName]), KeyForm::Sound);
    let given = part(&all(&[Kind::GivenName]), KeyForm::Sound);
    let mut blocks = Vec::new();
    for (index, comparison) in comparisons.iter().enumerate() {
        let (form, refine) = match comparison.kind {
            Kind::Email => (KeyForm::Local, vec![family.clone(), place.clone()]),
            Kind::Phone => (KeyForm::Whole, vec![initial.clone()]),
            Kind::Date => (KeyForm::Whole, vec![initial.clone(), sound.clone()]),
            Kind::Postcode | Kind::Company => (KeyForm::Whole, vec![sound.clone(), year.clone()]),
            Kind::Address => (KeyForm::Whole, vec![postcode.clone(), place.clone()]),
            Kind::Place => (KeyForm::Whole, vec![family.clone(), given.clone(), year.clone()]),
            Kind::Name => (KeyForm::Words, vec![place.clone(), year.clone()]),
            Kind::Exact => (KeyForm::Whole, vec![family.clone(), given.clone(), postcode.clone()]),
            Kind::Text => (KeyForm::Whole, vec![postcode.clone(), place.clone()]),
            Kind::GivenName | Kind::FamilyName | Kind::Number => continue,
        };
        blocks.push(Block { parts: vec![part(&[index], form)], refine });
    }
    if !family.of.is_empty() && !given.of.is_empty() {
        blocks.push(Block { parts: vec![family, given], refine: vec![place, year] });
    }
    for block in &mut blocks {
        block.refine.retain(|part| !part.of.is_empty());
    }
    blocks
}

/// The keys of a record.
pub(super) fn keys(declaration: &Declaration, terms: &Terms, features: &Features) -> Vec<u64> {
    let mut out = Vec::new();
    for index in 0..declaration.blocks.len() {
        keys_of(declaration, terms, features, index, &mut out);
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// Adds the keys that the block at `index` makes of a record.
pub(super) fn keys_of(
    declaration: &Declaration,
    terms: &Terms,
    features: &Features,
    index: usize,
    out: &mut Vec<u64>,
) {
    let block = &declaration.blocks[index];
    let maker = Maker { declaration, terms, features, most: out.len() + KEYS_MAX };
    let start = Key { sum: 0, crowd: terms.records as f64 };
    maker.extend(&block.parts, &block.refine, start, out);
}

struct Maker<'a> {
    declaration: &'a Declaration,
    terms: &'a Terms,
    features: &'a Features,
    most: usize,
}

#[derive(Clone, Copy)]
struct Key {
    /// Of the parts' hashes, so that the order of parts makes no difference.
    sum: u64,
    /// How many records are expected to share it.
    crowd: f64,
}

impl Maker<'_> {
    fn extend(&self, parts: &[Part], refine: &[Part], key: Key, out: &mut Vec<u64>) {
        let (part, parts, refine, is_needed) = match (parts, refine) {
            ([part, rest @ ..], _) => (part, rest, refine, true),
            ([], [part, rest @ ..]) if key.crowd > split(self.terms.records) => {
                (part, parts, rest, false)
            }
            _ => {
                let crowd_max = 8.0 * self.declaration.block_max as f64;
                if out.len() < self.most && key.crowd <= crowd_max {
                    let seed = xxh3_64(self.declaration.shard_type.as_bytes());
                    out.push(xxh3_64_with_seed(&key.sum.to_le_bytes(), seed));
                }
                return;
            }
        };
        let mut found = false;
        for &index in &part.of {
            let comparison = &self.declaration.comparisons[index];
            for feature in self.features.view().of(index) {
                form(comparison.kind, part.form, &feature, |value| {
                    found = true;
                    // A part may stand for any of several fields, so the field is no part of the hash.
                    let hash = xxh3_64_with_seed(&value.to_le_bytes(), self.seed(part));
                    let share = self.terms.share(index, part.form, value, *feature);
                    let next = Key { sum: key.sum.wrapping_add(hash), crowd: key.crowd * share };
                    self.extend(parts, refine, next, out);
                });
            }
        }
        if !found && !is_needed {
            self.extend(parts, refine, key, out);
        }
    }

    fn seed(&self, part: &Part) -> u64 {
        let names = part.of.iter().map(|&index| self.declaration.comparisons[index].name.as_str());
        let start = 1 + part.form as u64;
        names.fold(start, |seed, name| xxh3_64_with_seed(name.as_bytes(), seed))
    }
}

/// Hands on a form of a value; of a name of several words, that of each word.
pub(super) fn form(kind: Kind, form: KeyForm, feature: &Value<'_>, mut sink: impl FnMut(u64)) {
    let text = feature.text();
    match form {
        // Whichever of the two is the day, it is the same key.
        KeyForm::Whole if kind == Kind::Date => {
            let code = feature.code();
            let (year, month, day) = (code >> 16, code >> 8 & 0xff, code & 0xff);
            sink(u64::from(year << 16 | month.min(day) << 8 | month.max(day)));
        }
        KeyForm::Whole => sink(feature.hash()),
        KeyForm::Words if kind == Kind::Name => sink(feature.alt()),
        KeyForm::Words => text.split(' ').for_each(|word| sink(xxh3_64(word.as_bytes()))),
        KeyForm::Sound if matches!(kind, Kind::GivenName | Kind::FamilyName) => {
            if feature.code() != 0 {
                sink(u64::from(feature.code()));
            }
        }
        KeyForm::Sound => {
            let sounds = text.split(' ').map(super::features::sound);
            sounds.filter(|code| *code != 0).for_each(|code| sink(u64::from(code)));
        }
        KeyForm::Local if kind == Kind::Email => {
            if !feature.is_shared() && text.len() > 3 {
                sink(feature.alt());
            }
        }
        KeyForm::Local => sink(feature.hash()),
        KeyForm::Start => {
            let end = text.char_indices().nth(3).map_or(text.len(), |(end, _)| end);
            sink(xxh3_64(&text.as_bytes()[..end]));
        }
        KeyForm::Ngram => pieces(text, 3).for_each(|piece| sink(xxh3_64(piece.as_bytes()))),
        KeyForm::Initial => {
            let initials = text.split(' ').filter_map(|word| word.bytes().next());
            initials.for_each(|byte| sink(u64::from(byte)));
        }
        KeyForm::Year if kind == Kind::Date => sink(u64::from(feature.code() >> 16)),
        KeyForm::Year => {}
        KeyForm::Street if kind == Kind::Address => sink(feature.alt()),
        KeyForm::Street => sink(feature.hash()),
        KeyForm::End => {
            let bytes = text.as_bytes();
            if bytes.len() >= 6 {
                sink(xxh3_64(&bytes[bytes.len() - 6..]));
            }
        }
    }
}
