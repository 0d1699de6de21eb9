//! Levels of agreement: how alike two prepared values are, in a few steps that have names.

use super::features::{Packed, Value};
use super::nicknames;
use crate::config::model::Kind;
use rapidfuzz::distance::jaro_winkler;

/// One side has no value; says nothing.
pub(super) const MISSING: u8 = 0;
/// The values are equal.
pub(super) const SAME: u8 = 1;
/// The most levels of a kind, the missing one included.
pub(super) const LEVELS_MAX: usize = 8;

/// The names of a kind's levels, from level 1 on; the last one of which is full disagreement.
pub(super) fn names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::GivenName => {
            &["same", "nickname", "one letter off", "alike", "initial", "other", "swapped"]
        }
        Kind::FamilyName => {
            &["same", "one letter off", "sounds alike", "alike", "other", "swapped"]
        }
        Kind::Name => &["same", "same words", "some words", "alike", "other"],
        Kind::Email => {
            &["same", "same name, other domain", "alike", "same domain", "other", "shared"]
        }
        Kind::Phone => &["same", "one digit off", "other"],
        Kind::Company => &["same", "alike", "other"],
        Kind::Address => &["same", "same street", "alike", "other"],
        Kind::Place => &["same", "alike", "other", "implied"],
        Kind::Postcode => &["same", "one digit off", "same area", "other"],
        Kind::Date => &["same", "day and month swapped", "one digit off", "same year", "other"],
        Kind::Text => &["same", "one letter off", "alike", "other"],
        Kind::Exact => &["same", "other"],
        Kind::Number => &["same", "near", "other"],
    }
}

/// Given and family name stand in each other's field.
pub(super) const GIVEN_SWAPPED: u8 = 7;
/// That they do is told by the given name.
pub(super) const FAMILY_SWAPPED: u8 = 6;
/// The place says nothing that the postcode has not said.
pub(super) const PLACE_IMPLIED: u8 = 4;

/// Whether a level says nothing at all, so that it is neither for nor against.
pub(super) fn is_neutral(kind: Kind, level: u8) -> bool {
    match kind {
        Kind::Place if level == PLACE_IMPLIED => true,
        Kind::FamilyName if level == FAMILY_SWAPPED => true,
        _ => level == MISSING,
    }
}

/// The level of full disagreement.
pub(super) fn other(kind: Kind) -> u8 {
    let index = names(kind).iter().position(|name| *name == "other");
    index.map_or(1, |index| index as u8 + 1)
}

/// Whether how rare the value is counts at this level.
pub(super) fn counts_rarity(kind: Kind, level: u8) -> bool {
    match kind {
        Kind::Email => matches!(level, 1 | 2),
        Kind::GivenName | Kind::FamilyName => matches!(level, 1..=4),
        Kind::Date | Kind::Phone | Kind::Number => false,
        _ => level == SAME,
    }
}

/// The level of the best pair of values.
pub(super) fn best<'a, 'b>(
    kind: Kind,
    a: impl ExactSizeIterator<Item = Value<'a>>,
    b: impl ExactSizeIterator<Item = Value<'b>> + Clone,
) -> (u8, f32) {
    let rank = |level: u8| if level == MISSING { u8::MAX } else { level };
    let mut best: Option<(u8, f32)> = None;
    for a in a {
        for b in b.clone() {
            let next = (level(kind, &a, &b), a.rarity().max(b.rarity()));
            let is_better = |best: (u8, f32)| (rank(next.0), next.1) < (rank(best.0), best.1);
            if best.is_none_or(is_better) {
                best = Some(next);
            }
        }
    }
    best.unwrap_or((MISSING, 0.0))
}

/// How alike two values are.
pub(super) fn level(kind: Kind, a: &Value<'_>, b: &Value<'_>) -> u8 {
    by_hash(kind, **a, **b).unwrap_or_else(|| by_text(kind, a, b))
}

/// How alike two values are, where that is told without a look at their letters.
pub(super) fn by_hash(kind: Kind, a: Packed<'_>, b: Packed<'_>) -> Option<u8> {
    match kind {
        Kind::Email => match (a.is_shared(), b.is_shared()) {
            (true, true) if a.hash() == b.hash() => Some(6),
            (false, false) if a.hash() == b.hash() => Some(SAME),
            (false, false) => (a.alt() == b.alt()).then_some(2),
            _ => Some(MISSING),
        },
        _ if a.hash() == b.hash() => Some(SAME),
        Kind::GivenName => nicknames::share(a.alt(), b.alt()).then_some(2),
        Kind::Name | Kind::Address if a.alt() == b.alt() => Some(2),
        Kind::Address => (a.code() != b.code()).then_some(4),
        Kind::Date => Some(date(a.code(), b.code())),
        Kind::Exact => Some(2),
        _ => None,
    }
}

/// The levels that [`by_text`] may come to.
pub(super) fn levels_by_text(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::GivenName => &[3, 4, 5, 6],
        Kind::FamilyName => &[2, 3, 4, 5],
        Kind::Name | Kind::Email => &[3, 4, 5],
        Kind::Phone | Kind::Company | Kind::Place => &[2, 3],
        Kind::Address => &[3, 4],
        Kind::Postcode | Kind::Text => &[2, 3, 4],
        Kind::Number => &[MISSING, SAME, 2, 3],
        Kind::Date | Kind::Exact => &[],
    }
}

/// How alike two values are of which the hashes do not tell.
pub(super) fn by_text(kind: Kind, a: &Value<'_>, b: &Value<'_>) -> u8 {
    let either = |is_near: bool, near: u8| if is_near { near } else { near + 1 };
    match kind {
        Kind::GivenName => given_name(a, b),
        Kind::FamilyName => family_name(a, b),
        Kind::Name if is_part(a.bytes, b.bytes) => 3,
        Kind::Name => either(alike(a.bytes, b.bytes, 0.88), 4),
        Kind::Email if one_edit(a.bytes, b.bytes) && a.bytes.len().min(b.bytes.len()) > 3 => 3,
        Kind::Email => either(a.code() == b.code(), 4),
        Kind::Phone => either(one_edit(a.bytes, b.bytes), 2),
        Kind::Company => either(is_part(a.bytes, b.bytes) || alike(a.bytes, b.bytes, 0.92), 2),
        Kind::Address => either(alike(a.bytes, b.bytes, 0.85), 3),
        Kind::Place => either(is_part(a.bytes, b.bytes) || alike(a.bytes, b.bytes, 0.9), 2),
        Kind::Postcode => postcode(a.bytes, b.bytes),
        Kind::Text if one_edit(a.bytes, b.bytes) => 2,
        Kind::Text => either(alike(a.bytes, b.bytes, 0.88), 3),
        Kind::Number => number(a.text(), b.text()),
        Kind::Date | Kind::Exact => other(kind),
    }
}

fn given_name(a: &Value<'_>, b: &Value<'_>) -> u8 {
    let initial = |x: &[u8], y: &[u8]| x.len() == 1 && y.starts_with(x);
    if initial(a.bytes, b.bytes) || initial(b.bytes, a.bytes) {
        return 5;
    }
    if one_edit(a.bytes, b.bytes) {
        return 3;
    }
    if (a.code() == b.code() && a.code() != 0)
        || is_part(a.bytes, b.bytes)
        || alike(a.bytes, b.bytes, 0.88)
    {
        return 4;
    }
    6
}

fn family_name(a: &Value<'_>, b: &Value<'_>) -> u8 {
    if one_edit(a.bytes, b.bytes) {
        2
    } else if a.code() == b.code() && a.code() != 0 {
        3
    } else if is_part(a.bytes, b.bytes) || alike(a.bytes, b.bytes, 0.88) {
        4
    } else {
        5
    }
}

fn postcode(a: &[u8], b: &[u8]) -> u8 {
    if one_edit(a, b) {
        2
    } else if a.len() >= 4 && b.len() >= 4 && a[..3] == b[..3] {
        3
    } else {
        4
    }
}

/// Of two dates whose digits stand in four bits each.
fn date(a: u32, b: u32) -> u8 {
    let other = a ^ b;
    let digits = (0..8).filter(|place| other >> (4 * place) & 0xf != 0).count();
    if other >> 16 == 0 && a >> 8 & 0xff == b & 0xff && a & 0xff == b >> 8 & 0xff {
        2
    } else if digits == 1 {
        3
    } else if other >> 16 == 0 {
        4
    } else {
        5
    }
}

fn number(a: &str, b: &str) -> u8 {
    match (a.trim().parse::<f64>(), b.trim().parse::<f64>()) {
        (Ok(a), Ok(b)) if a == b => SAME,
        (Ok(a), Ok(b)) if (a - b).abs() <= 0.05 * a.abs().max(b.abs()) => 2,
        (Ok(_), Ok(_)) => 3,
        _ => MISSING,
    }
}

/// Whether the words of one text all stand in the other.
fn is_part(a: &[u8], b: &[u8]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
        text.split(|byte| *byte == b' ')
    }
    short.len() >= 3
        && short.len() < long.len()
        && long.contains(&b' ')
        && words(short).all(|word| words(long).any(|other| other == word))
}

/// Whether the Jaro-Winkler similarity reaches `least`.
fn alike(a: &[u8], b: &[u8], least: f64) -> bool {
    const BYTES_MAX: usize = 64;
    let (a, b) = (&a[..a.len().min(BYTES_MAX)], &b[..b.len().min(BYTES_MAX)]);
    // At most so many letters can be matched: those that the other text has at all.
    let set = |text: &[u8]| text.iter().fold(0_u64, |set, byte| set | 1 << (byte & 63));
    let (set_a, set_b) = (set(a), set(b));
    let known =
        |text: &[u8], set: u64| text.iter().filter(|byte| set >> (*byte & 63) & 1 == 1).count();
    let matched = known(a, set_b).min(known(b, set_a)) as f64;
    let jaro = (matched / a.len().max(1) as f64 + matched / b.len().max(1) as f64 + 1.0) / 3.0;
    let prefix = a.iter().zip(b).take(4).take_while(|(x, y)| x == y).count() as f64;
    if jaro + prefix * 0.1 * (1.0 - jaro) < least {
        return false;
    }
    // The measure is not quite symmetric, so the order is fixed.
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    let args = jaro_winkler::Args::default().score_cutoff(least);
    jaro_winkler::similarity_with_args(a.iter().copied(), b.iter().copied(), &args).is_some()
}

/// Whether one letter more, less or other, or two neighbours swapped, make the same text of both; texts of
/// less than three bytes are never near each other.
pub(super) fn one_edit(a: &[u8], b: &[u8]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.len() < 3 || long.len() - short.len() > 1 {
        return false;
    }
    let start = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let (short, long) = (&short[start..], &long[start..]);
    if short.len() < long.len() {
        return *short == long[1..];
    }
    match (short, long) {
        ([_, x @ ..], [_, y @ ..]) if x == y => true,
        ([p, q, x @ ..], [r, s, y @ ..]) => p == s && q == r && x == y,
        _ => true,
    }
}
