//! Blocking keys: only records that share one are compared, so that nothing is ever compared with everything.

use super::normalise::normalise_in;
use super::phonetic::phonetic;
use super::{BlockKey, items};
use crate::config::model::{Normaliser, Phonetic};
use crate::value::Cell;
use compact_str::CompactString;
use serde::Serialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The most keys that lists of values give a record for one rule.
const KEYS_MAX: usize = 64;

/// What blocking keys are made of, for all rules that make them the same way.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// Covers the shard type and the parts, so that keys of unlike recipes do not meet.
    seed: u64,
    parts: Vec<Part>,
    /// The rules that use it.
    pub(super) rules: Vec<u16>,
}

/// One part of a blocking key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// The field's name.
    pub(super) name: CompactString,
    /// The field's index.
    pub(super) field: usize,
    pub(super) normaliser: Normaliser,
    pub(super) phonetic: Option<Phonetic>,
    /// How many characters of it count.
    pub(super) prefix: Option<u32>,
    /// How many characters each piece has that is a key of its own.
    pub(super) ngram: Option<u32>,
}

impl Part {
    /// What the part does, as text that stays the same from one version to the next: stored keys hang on it.
    fn written(&self) -> String {
        #[derive(Serialize)]
        struct Written<'a>(&'a str, Normaliser, Option<Phonetic>, Option<u32>);
        let written = Written(&self.name, self.normaliser, self.phonetic, self.prefix);
        let mut text =
            serde_json::to_string(&written).expect("names and numbers can be written as JSON");
        if let Some(ngram) = self.ngram {
            text.push_str(&format!(" ngram {ngram}"));
        }
        text
    }
}

impl Recipe {
    /// The recipe of `parts` for a shard type. Neither order nor repetition of parts makes a difference.
    pub(super) fn new(shard_type: &str, parts: Vec<Part>) -> Self {
        let mut written: Vec<(String, Part)> =
            parts.into_iter().map(|part| (part.written(), part)).collect();
        written.sort_by(|a, b| a.0.cmp(&b.0));
        written.dedup_by(|a, b| a.0 == b.0);
        let seed = written.iter().fold(xxh3_64(shard_type.as_bytes()), |seed, (text, _)| {
            xxh3_64_with_seed(text.as_bytes(), seed)
        });
        let parts = written.into_iter().map(|(_, part)| part).collect();
        Self { seed, parts, rules: Vec::new() }
    }

    /// Whether `other` makes the same keys.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.seed == other.seed && self.parts == other.parts
    }

    /// The fields that it looks at.
    pub(super) fn fields(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().map(|part| part.field)
    }

    /// Adds the keys of `image`. `scratch` is overwritten.
    pub(super) fn keys(&self, image: &[Cell], scratch: &mut String, out: &mut Vec<BlockKey>) {
        let most = out.len() + KEYS_MAX * self.rules.len();
        self.extend(&self.parts, self.seed, image, scratch, most, out);
    }

    fn extend(
        &self,
        parts: &[Part],
        hash: u64,
        image: &[Cell],
        scratch: &mut String,
        most: usize,
        out: &mut Vec<BlockKey>,
    ) {
        let Some((part, rest)) = parts.split_first() else {
            if out.len() < most {
                out.extend(self.rules.iter().map(|&rule| BlockKey { hash, rule }));
            }
            return;
        };
        for value in items(image, part.field) {
            let plain = value.to_plain();
            let text = normalise_in(part.normaliser, &plain, scratch);
            match part.ngram {
                None => {
                    if let Some(hash) = part.hash(text, hash) {
                        self.extend(rest, hash, image, scratch, most, out);
                    }
                }
                Some(length) => {
                    for hash in part.pieces(text, length as usize, hash) {
                        self.extend(rest, hash, image, scratch, most, out);
                    }
                }
            }
        }
    }
}

impl Part {
    /// The hash of what comes before with this part's `text`; `None` where that is blank.
    fn hash(&self, text: &str, before: u64) -> Option<u64> {
        let code = self.phonetic.map(|kind| phonetic(kind, text));
        let cut = self.cut(code.as_deref().unwrap_or(text));
        (!cut.trim().is_empty()).then(|| xxh3_64_with_seed(cut.as_bytes(), before))
    }

    /// The same for each piece of the text.
    fn pieces(&self, text: &str, length: usize, before: u64) -> Vec<u64> {
        let code = self.phonetic.map(|kind| phonetic(kind, text));
        let cut = self.cut(code.as_deref().unwrap_or(text)).trim();
        if cut.is_empty() {
            return Vec::new();
        }
        pieces(cut, length).map(|piece| xxh3_64_with_seed(piece.as_bytes(), before)).collect()
    }

    fn cut<'t>(&self, text: &'t str) -> &'t str {
        self.prefix.map_or(text, |chars| first_chars(text, chars as usize))
    }
}

/// The pieces of `length` characters that follow each other; all of a text that is no longer.
pub(super) fn pieces(text: &str, length: usize) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let count = (starts.len() + 1).saturating_sub(length).max(1);
    (0..count).map(move |first| {
        let end = starts.get(first + length).copied().unwrap_or(text.len());
        &text[starts.get(first).copied().unwrap_or(0)..end]
    })
}

fn first_chars(text: &str, count: usize) -> &str {
    if text.len() <= count {
        return text;
    }
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}
