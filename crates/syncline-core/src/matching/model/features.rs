//! What of a record is compared, prepared once: normal forms, their hashes, sounds and parts.

use super::nicknames;
use crate::config::model::{Kind, Normaliser};
use crate::matching::normalise::normalise_in;
use std::hint::black_box;
use std::ops::{Deref, Range};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// What is compared of a record: its values, field by field in the order of the comparisons.
///
/// Packed into one piece of memory, because those of very many records are kept and looked at in no order: a bit
/// for each comparison that has values and the number of values, the values, their texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features(Arc<[u8]>);

/// A value, prepared, before it is packed. What each part means is said where it is read: at [`Packed`].
#[derive(Debug, Default)]
pub(super) struct Feature {
    hash: u64,
    alt: u64,
    code: u32,
    end: u16,
    of: u8,
    is_shared: bool,
}

/// A value, prepared. What `code`, `alt` and the text hold depends on the kind; see [`prepare`].
///
/// It is read where it lies: most comparisons look at two of its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a>(&'a [u8; VALUE]);

/// A value with its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    packed: Packed<'a>,
    /// The normal form in UTF-8; of an e-mail address, what is before the `@`.
    pub(super) bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// The text.
    pub(super) fn text(&self) -> &'a str {
        str::from_utf8(self.bytes).unwrap_or_default()
    }
}

impl<'a> Deref for Value<'a> {
    type Target = Packed<'a>;

    fn deref(&self) -> &Packed<'a> {
        &self.packed
    }
}

/// The bits of the comparisons, and the number of values.
const HEAD: usize = 8;
/// A value without its text.
const VALUE: usize = 28;
/// Of a value, where its rarity stands.
const RARITY: usize = 20;
/// The most values of a record that are looked at.
const VALUES_MAX: usize = 255;
/// So many bytes of a value's text are weighed; the rest counts for being equal alone.
const TEXT_MAX: usize = 255;

impl Feature {
    fn pack(&self) -> [u8; VALUE] {
        let mut packed = [0; VALUE];
        packed[..8].copy_from_slice(&self.hash.to_le_bytes());
        packed[8..16].copy_from_slice(&self.alt.to_le_bytes());
        packed[16..RARITY].copy_from_slice(&self.code.to_le_bytes());
        packed[24..26].copy_from_slice(&self.end.to_le_bytes());
        (packed[26], packed[27]) = (self.of, u8::from(self.is_shared));
        packed
    }
}

impl Packed<'_> {
    /// Of the whole normal form: equal means the same.
    pub(super) fn hash(self) -> u64 {
        u64::from_le_bytes(part(self.0, 0))
    }

    /// Names: groups of nicknames. E-mail: of the local part. Address: of the street's longest word.
    pub(super) fn alt(self) -> u64 {
        u64::from_le_bytes(part(self.0, 8))
    }

    /// Names: of the sound. E-mail: of the domain. Address: the house number. Date: a digit of `yyyymmdd` in each four bits.
    pub(super) fn code(self) -> u32 {
        u32::from_le_bytes(part(self.0, 16))
    }

    /// Binary logarithm of the share of records that have this value.
    pub(super) fn rarity(self) -> f32 {
        f32::from_le_bytes(part(self.0, RARITY))
    }

    /// An e-mail address that is a role's, not a person's.
    pub(super) fn is_shared(self) -> bool {
        self.0[27] != 0
    }

    /// Where its text ends among the record's texts; it begins where the one before ends.
    fn end(self) -> usize {
        u16::from_le_bytes(part(self.0, 24)).into()
    }

    /// The comparison.
    fn of(self) -> usize {
        self.0[26].into()
    }
}

fn part<const LEN: usize>(bytes: &[u8], at: usize) -> [u8; LEN] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; LEN])
}

impl Features {
    /// Those of a record whose comparisons have the values that `values` adds: one call for each comparison.
    pub(super) fn collect(
        comparisons: usize,
        mut values: impl FnMut(usize, &mut dyn FnMut(Feature, &str)),
    ) -> Self {
        let mut packed = Vec::with_capacity(HEAD + 48 * comparisons);
        let mut texts = String::with_capacity(20 * comparisons);
        let (mut filled, mut count) = (0_u32, 0_u32);
        packed.extend_from_slice(&[0; HEAD]);
        for index in 0..comparisons {
            values(index, &mut |feature, text| {
                if (count as usize) < VALUES_MAX {
                    texts.push_str(&text[..text.floor_char_boundary(TEXT_MAX)]);
                    let feature = Feature { end: texts.len() as u16, of: index as u8, ..feature };
                    packed.extend_from_slice(&feature.pack());
                    filled |= 1 << index;
                    count += 1;
                }
            });
        }
        packed[..4].copy_from_slice(&filled.to_le_bytes());
        packed[4..HEAD].copy_from_slice(&count.to_le_bytes());
        packed.extend_from_slice(texts.as_bytes());
        Self(packed.into())
    }

    /// How many bytes of memory it takes.
    pub(crate) fn size(&self) -> usize {
        /// What an allocation takes beside what is asked for, and the entry of a map.
        const OVERHEAD: usize = 64;
        self.0.len() + OVERHEAD
    }

    /// Has the memory of many records read, so that it is waited for together and not one record after the other.
    pub(crate) fn fetch<'a>(records: impl Iterator<Item = &'a Self>) {
        /// What memory gives at a time.
        const LINE: usize = 64;
        let lines = records.flat_map(|features| features.0.iter().step_by(LINE));
        black_box(lines.fold(0, |read: u8, byte| read ^ byte));
    }

    /// To read it.
    pub(super) fn view(&self) -> View<'_> {
        let filled = u32::from_le_bytes(part(&self.0, 0));
        let rest = self.0.get(HEAD..).unwrap_or_default();
        let values = rest.as_chunks::<VALUE>().0.get(..self.count()).unwrap_or_default();
        let texts = rest.get(VALUE * values.len()..).unwrap_or_default();
        View { filled, is_single: filled.count_ones() as usize == values.len(), values, texts }
    }

    /// Sets how rare the values are, each by its comparison.
    pub(super) fn set_rarity(&mut self, rarity: impl Fn(usize, Packed<'_>) -> f32) {
        let count = self.count();
        let bytes = Arc::make_mut(&mut self.0).get_mut(HEAD..).unwrap_or_default();
        for packed in bytes.as_chunks_mut::<VALUE>().0.iter_mut().take(count) {
            let value = Packed(packed);
            let rarity = rarity(value.of(), value);
            packed[RARITY..RARITY + 4].copy_from_slice(&rarity.to_le_bytes());
        }
    }

    fn count(&self) -> usize {
        u32::from_le_bytes(part(&self.0, 4)) as usize
    }
}

/// The values of a record, to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// A bit for each comparison that has values.
    filled: u32,
    /// Whether each of these has one.
    is_single: bool,
    values: &'a [[u8; VALUE]],
    texts: &'a [u8],
}

impl<'a> View<'a> {
    /// A bit for each comparison of which both records have values.
    pub(super) fn in_both(self, other: Self) -> u32 {
        self.filled & other.filled
    }

    /// The values of the comparison at `index`; none where there is nothing to compare.
    pub(super) fn of(self, index: usize) -> impl ExactSizeIterator<Item = Value<'a>> + Clone {
        self.range(index).map(move |at| self.value(at))
    }

    /// The first value of the comparison at `index`.
    pub(super) fn first(self, index: usize) -> Option<Value<'a>> {
        self.of(index).next()
    }

    /// The value of the comparison at `index`, where it has one and no more.
    pub(super) fn only(self, index: usize) -> Option<Packed<'a>> {
        let range = self.range(index);
        if range.len() == 1 { self.values.get(range.start).map(Packed) } else { None }
    }

    /// The hash of the first value of the comparison at `index`.
    pub(super) fn hash(self, index: usize) -> Option<u64> {
        let range = self.range(index);
        if range.is_empty() { None } else { self.values.get(range.start).map(|v| Packed(v).hash()) }
    }

    /// The places of a comparison's values.
    fn range(self, index: usize) -> Range<usize> {
        if self.filled >> index & 1 == 0 {
            return 0..0;
        }
        if self.is_single {
            let rank = (self.filled & ((1 << index) - 1)).count_ones() as usize;
            return rank..rank + 1;
        }
        let is_of = |value: &&[u8; VALUE]| Packed(value).of() == index;
        let start = self.values.iter().take_while(|value| !is_of(value)).count();
        start..start + self.values[start..].iter().take_while(is_of).count()
    }

    fn value(self, at: usize) -> Value<'a> {
        let packed = Packed(&self.values[at]);
        let start = at.checked_sub(1).map_or(0, |before| Packed(&self.values[before]).end());
        Value { packed, bytes: self.texts.get(start..packed.end()).unwrap_or_default() }
    }
}

/// Prepares a value, and gives its text; `None` where there is nothing to compare. `scratch` is overwritten.
pub(super) fn prepare<'t>(
    kind: Kind,
    normaliser: Normaliser,
    value: &'t str,
    scratch: &'t mut String,
) -> Option<(Feature, &'t str)> {
    let mut text = normalise_in(normaliser, value, scratch);
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
