//! What of a record is compared, prepared once: normal forms, their hashes, sounds and parts.

use super::nicknames;
use crate::config::model::{Kind, Normaliser};
use crate::matching::normalise::normalise_in;
use compact_str::CompactString;
use xxhash_rust::xxh3::xxh3_64;

/// What is compared of a record: its values, field by field in the order of the comparisons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// One for each comparison.
    pub(super) heads: Vec<Head>,
    pub(super) values: Vec<Feature>,
}

/// What is looked at first of a field, apart from the rest so that few bytes are touched for most pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Head {
    /// Of the first value.
    pub(super) hash: u64,
    /// Of the first value.
    pub(super) rarity: f32,
    /// Where the values of the comparison end.
    pub(super) end: u8,
    /// How many there are.
    pub(super) count: u8,
}

impl Features {
    /// The values of the comparison at `index`; empty where there is nothing to compare.
    pub(super) fn of(&self, index: usize) -> &[Feature] {
        let head = self.heads[index];
        &self.values[usize::from(head.end - head.count)..usize::from(head.end)]
    }

    /// Adds the values of the next comparison; of more than 255 values of a record, the last are left out.
    pub(super) fn push(&mut self, values: impl Iterator<Item = Feature>) {
        let start = self.values.len();
        self.values.extend(values.take(usize::from(u8::MAX) - start));
        let hash = self.values.get(start).map_or(0, |first| first.hash);
        let end = self.values.len() as u8;
        let count = (self.values.len() - start) as u8;
        self.heads.push(Head { hash, rarity: 0.0, end, count });
    }
}

/// A value, prepared. What `code`, `alt` and `text` hold depends on the kind; see [`prepare`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Feature {
    /// Of the whole normal form: equal means the same.
    pub(super) hash: u64,
    /// Names: groups of nicknames. E-mail: of the local part. Address: of the street's longest word.
    pub(super) alt: u64,
    /// Names: of the sound. E-mail: of the domain. Address: the house number. Date: a digit of `yyyymmdd` in each four bits.
    pub(super) code: u32,
    /// Binary logarithm of the share of records that have this value.
    pub(super) rarity: f32,
    /// The normal form; of an e-mail address, what is before the `@`.
    pub(super) text: CompactString,
    /// An e-mail address that is a role's, not a person's.
    pub(super) is_shared: bool,
}

/// Prepares a value; `None` where there is nothing to compare. `scratch` is overwritten.
pub(super) fn prepare(
    kind: Kind,
    normaliser: Normaliser,
    value: &str,
    scratch: &mut String,
) -> Option<Feature> {
    let text = normalise_in(normaliser, value, scratch);
    if text.is_empty() {
        return None;
    }
    let mut feature = Feature { text: CompactString::new(text), ..Feature::default() };
    match kind {
        Kind::GivenName | Kind::FamilyName | Kind::Name => name(kind, &mut feature),
        Kind::Email => email(&mut feature)?,
        Kind::Date => feature.code = date_code(&feature.text)?,
        Kind::Address => address(&mut feature),
        Kind::Phone | Kind::Company | Kind::Place | Kind::Postcode => {}
        Kind::Text | Kind::Exact | Kind::Number => {}
    }
    if feature.hash == 0 {
        feature.hash = xxh3_64(feature.text.as_bytes());
    }
    Some(feature)
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

fn name(kind: Kind, feature: &mut Feature) {
    if kind == Kind::Name {
        let mut words: Vec<&str> = feature.text.split(' ').collect();
        words.sort_unstable();
        feature.alt = xxh3_64(words.join(" ").as_bytes());
        return;
    }
    if kind == Kind::GivenName {
        let first = feature.text.split(' ').next().unwrap_or_default();
        feature.alt = nicknames::groups(first);
    }
    feature.code = sound(&feature.text);
}

fn email(feature: &mut Feature) -> Option<()> {
    let at = feature.text.rfind('@')?;
    let (local, domain) = (&feature.text[..at], &feature.text[at + 1..]);
    feature.hash = xxh3_64(feature.text.as_bytes());
    feature.is_shared = is_role(local);
    feature.code = xxh3_64(domain.as_bytes()) as u32;
    feature.alt = xxh3_64(local.as_bytes());
    feature.text.truncate(at);
    Some(())
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

fn address(feature: &mut Feature) {
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let number = feature.text.split(' ').find(is_number);
    feature.code = number.map_or(0, |word| xxh3_64(word.as_bytes()) as u32 | 1);
    let words = feature.text.split(' ').filter(|word| !is_number(word));
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
