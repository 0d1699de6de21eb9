//! What of a record is compared, prepared once: normal forms, their hashes, sounds and parts.

use super::nicknames;
use crate::config::model::{Kind, Normaliser};
use crate::matching::normalise::normalise_in;
use std::ops::{Deref, Range};
use xxhash_rust::xxh3::xxh3_64;

/// What is compared of a record: its values, field by field in the order of the comparisons. Packed, because
/// those of very many records are kept and looked at in no order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// A bit for each comparison that has values.
    filled: u32,
    /// Whether some comparison has several.
    has_lists: bool,
    values: Box<[Feature]>,
    texts: Box<str>,
}

/// A value, prepared. What `code`, `alt` and the text hold depends on the kind; see [`prepare`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Feature {
    /// Of the whole normal form: equal means the same.
    pub(super) hash: u64,
    /// Names: groups of nicknames. E-mail: of the local part. Address: of the street's longest word.
    pub(super) alt: u64,
    /// Names: of the sound. E-mail: of the domain. Address: the house number. Date: a digit of `yyyymmdd` in each four bits.
    pub(super) code: u32,
    /// Binary logarithm of the share of records that have this value.
    pub(super) rarity: f32,
    /// Where its text ends among the record's texts; it begins where the one before ends.
    end: u16,
    /// The comparison.
    of: u8,
    /// An e-mail address that is a role's, not a person's.
    pub(super) is_shared: bool,
}

/// A value with its text: the normal form; of an e-mail address, what is before the `@`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    feature: &'a Feature,
    pub(super) text: &'a str,
}

impl Deref for Value<'_> {
    type Target = Feature;

    fn deref(&self) -> &Feature {
        self.feature
    }
}

/// The most values of a record that are looked at.
const VALUES_MAX: usize = 255;
/// So many bytes of a value's text are weighed; the rest counts for being equal alone.
const TEXT_MAX: usize = 255;

impl Features {
    /// Those of a record whose comparisons have the values that `values` adds: one call for each comparison.
    pub(super) fn collect(
        comparisons: usize,
        mut values: impl FnMut(usize, &mut dyn FnMut(Feature, &str)),
    ) -> Self {
        let mut packed: Vec<Feature> = Vec::with_capacity(comparisons);
        let mut texts = String::with_capacity(16 * comparisons);
        let mut features = Self::default();
        for index in 0..comparisons {
            let before = packed.len();
            values(index, &mut |feature, text| {
                if packed.len() < VALUES_MAX {
                    texts.push_str(&text[..text.floor_char_boundary(TEXT_MAX)]);
                    packed.push(Feature { end: texts.len() as u16, of: index as u8, ..feature });
                }
            });
            features.filled |= u32::from(packed.len() > before) << index;
            features.has_lists |= packed.len() > before + 1;
        }
        (features.values, features.texts) = (packed.into(), texts.into());
        features
    }

    /// A bit for each comparison of which both records have values.
    pub(super) fn in_both(&self, other: &Self) -> u32 {
        self.filled & other.filled
    }

    /// How many bytes of memory it takes.
    pub(crate) fn size(&self) -> usize {
        /// What allocations take beside what is asked for.
        const OVERHEAD: usize = 32;
        size_of::<Self>() + size_of_val(&*self.values) + self.texts.len() + OVERHEAD
    }

    /// The values of the comparison at `index`; none where there is nothing to compare.
    pub(super) fn of(&self, index: usize) -> impl ExactSizeIterator<Item = Value<'_>> + Clone {
        self.range(index).map(|at| self.value(at))
    }

    /// The value of the comparison at `index`, where it has one and no more.
    pub(super) fn only(&self, index: usize) -> Option<&Feature> {
        match self.range(index) {
            range if range.len() == 1 => Some(&self.values[range.start]),
            _ => None,
        }
    }

    /// The values of the comparison at `index`, to be filled in.
    pub(super) fn of_mut(&mut self, index: usize) -> &mut [Feature] {
        let range = self.range(index);
        &mut self.values[range]
    }

    fn range(&self, index: usize) -> Range<usize> {
        if self.filled >> index & 1 == 0 {
            return 0..0;
        }
        if !self.has_lists {
            let rank = (self.filled & ((1 << index) - 1)).count_ones() as usize;
            return rank..rank + 1;
        }
        let place = |comparison| self.values.partition_point(|v| usize::from(v.of) < comparison);
        place(index)..place(index + 1)
    }

    fn value(&self, at: usize) -> Value<'_> {
        let start = if at == 0 { 0 } else { usize::from(self.values[at - 1].end) };
        let feature = &self.values[at];
        Value { feature, text: &self.texts[start..usize::from(feature.end)] }
    }
}

/// Prepares a value, and gives its text; `None` where there is nothing to compare. `scratch` is overwritten.
pub(super) fn prepare<'t>(
    kind: Kind,
    value: &'t str,
    scratch: &'t mut String,
) -> Option<(Feature, &'t str)> {
    let mut text = normalise_in(normaliser(kind), value, scratch);
    if text.is_empty() {
        return None;
    }
    let mut feature = Feature { hash: xxh3_64(text.as_bytes()), ..Feature::default() };
    match kind {
        Kind::GivenName | Kind::FamilyName | Kind::Name => name(kind, text, &mut feature),
        Kind::Email => text = email(text, &mut feature)?,
        Kind::Date => feature.code = date_code(text)?,
        Kind::Address => address(text, &mut feature),
        Kind::Phone | Kind::Company | Kind::Place | Kind::Postcode => {}
        Kind::Text | Kind::Exact | Kind::Number => {}
    }
    Some((feature, text))
}

/// What a kind's values are normalised by.
pub(super) fn normaliser(kind: Kind) -> Normaliser {
    match kind {
        Kind::GivenName | Kind::FamilyName | Kind::Name => Normaliser::Name,
        Kind::Email => Normaliser::Email,
        Kind::Phone => Normaliser::Phone,
        Kind::Company => Normaliser::Company,
        Kind::Address => Normaliser::Address,
        Kind::Postcode => Normaliser::Alphanumeric,
        Kind::Date => Normaliser::Date,
        Kind::Number => Normaliser::None,
        Kind::Place | Kind::Text | Kind::Exact => Normaliser::Text,
    }
}

fn name(kind: Kind, text: &str, feature: &mut Feature) {
    if kind == Kind::Name {
        let mut words: Vec<&str> = text.split(' ').collect();
        words.sort_unstable();
        feature.alt = xxh3_64(words.join(" ").as_bytes());
        return;
    }
    if kind == Kind::GivenName {
        let first = text.split(' ').next().unwrap_or_default();
        feature.alt = nicknames::groups(first);
    }
    feature.code = sound(text);
}

/// Gives what is before the `@`.
fn email<'t>(text: &'t str, feature: &mut Feature) -> Option<&'t str> {
    let (local, domain) = text.rsplit_once('@')?;
    feature.is_shared = is_role(local);
    feature.code = xxh3_64(domain.as_bytes()) as u32;
    feature.alt = xxh3_64(local.as_bytes());
    Some(local)
}

/// Whether an address is a role's: whoever sits there, it is no evidence about a person.
fn is_role(local: &str) -> bool {
    matches!(
        local,
        "info"
            | "admin"
            | "office"
            | "sales"
            | "contact"
            | "support"
            | "service"
            | "mail"
            | "hello"
            | "help"
            | "team"
            | "kontakt"
            | "buero"
            | "billing"
            | "accounts"
            | "accounting"
            | "hr"
            | "jobs"
            | "press"
            | "marketing"
            | "webmaster"
            | "postmaster"
            | "noreply"
            | "no-reply"
            | "enquiries"
            | "inquiries"
            | "reception"
            | "orders"
            | "shop"
            | "test"
            | "none"
            | "na"
    )
}

/// The eight digits of a date in ISO form, four bits each.
fn date_code(text: &str) -> Option<u32> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    u32::from_str_radix(&digits, 16).ok()
}

fn address(text: &str, feature: &mut Feature) {
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let number = text.split(' ').find(is_number);
    feature.code = number.map_or(0, |word| xxh3_64(word.as_bytes()) as u32 | 1);
    let words = text.split(' ').filter(|word| !is_number(word));
    let street: Vec<&str> = words.collect();
    feature.alt = xxh3_64(street.join(" ").as_bytes());
}

/// How a name sounds, in 32 bits: its first letter's class, then the classes of its consonants, up to ten.
///
/// Letters that European spellings interchange share a class: b p; d t th; f v w ph; g k q c ck x; s z sch;
/// vowels, `y`, `j` and `h` count only at the start. Other scripts keep a hash of their letters.
pub(super) fn sound(text: &str) -> u32 {
    const LETTERS_MAX: usize = 9;
    let bytes = text.as_bytes();
    let (mut code, mut last, mut count, mut i) = (0, 0, 0, 0);
    while i < bytes.len() && count < LETTERS_MAX {
        let rest = &bytes[i..];
        let (class, length) = match rest {
            [b'p', b'h', ..] => (3, 2),
            [b's', b'c', b'h', ..] => (5, 3),
            [b'k', b'n', ..] if i == 0 => (0, 1),
            [b'b' | b'p', ..] => (1, 1),
            [b'd' | b't', ..] => (2, 1),
            [b'f' | b'v' | b'w', ..] => (3, 1),
            [b'g' | b'k' | b'q' | b'c' | b'x', ..] => (4, 1),
            [b's' | b'z', ..] => (5, 1),
            [b'l', ..] => (6, 1),
            [b'm' | b'n', ..] => (7, 1),
            [b'r', ..] => (8, 1),
            [byte, ..] if byte.is_ascii() => (0, 1),
            _ => return xxh3_64(bytes) as u32 | 1,
        };
        if class == 0 && code == 0 && b"aeiouyj".contains(&rest[0]) {
            (code, count) = (9, 1);
        } else if class != 0 && class != last {
            (code, count) = (code * 10 + class, count + 1);
        }
        (last, i) = (class, i + length);
    }
    code
}
