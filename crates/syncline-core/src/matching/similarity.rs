//! Comparators: how alike two normalised texts are, from 0 to 1.

use super::dates::{self, Order};
use super::phonetic::{double_metaphone, phonetic};
use crate::config::model::{Comparator, Phonetic};
use jiff::civil::Date;
use rapidfuzz::distance::{jaro_winkler, levenshtein};

/// Longer texts are compared by their first so many characters wherever letters are weighed, so that a
/// comparison costs at most some microseconds.
const CHARS_MAX: usize = 512;

/// How alike `a` and `b` are, from 0 to 1, or 0 where that is less than `cutoff`.
///
/// Both are normalised and not empty. `None` where there is nothing to compare: text that is no date or
/// finite number for those comparators, or has no letters for a phonetic one. Symmetric to the last bit.
///
/// - `token_set`: the greater of Dice's coefficient of the sets of words, and the Levenshtein similarity of
///   the words in alphabetical order.
/// - `ngram`: Dice's coefficient of the three-character pieces, with two blanks put before and one behind.
/// - `numeric`: 1 where equal, falling evenly to 0 at a distance of a tenth of the larger number.
/// - `date`: 1 where equal, 0.9 where day and month are swapped or one digit differs, else falling evenly
///   from 0.9 to 0 at 365 days.
pub fn similarity(by: Comparator, a: &str, b: &str, cutoff: f64) -> Option<f64> {
    // Not every measure is symmetric by itself, nor is adding floats, so the order is fixed.
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    let similarity = match by {
        Comparator::Exact => f64::from(u8::from(a == b)),
        Comparator::Levenshtein => edits(a, b, cutoff),
        Comparator::JaroWinkler => winkler(a, b, cutoff),
        Comparator::TokenSet => token_set(cut(a), cut(b)),
        Comparator::Ngram => ngram(cut(a), cut(b)),
        Comparator::Soundex => sounds(Phonetic::Soundex, a, b)?,
        Comparator::Metaphone => sounds(Phonetic::Metaphone, a, b)?,
        Comparator::DoubleMetaphone => sounds_either_way(a, b)?,
        Comparator::Nysiis => sounds(Phonetic::Nysiis, a, b)?,
        Comparator::Numeric => numeric(number(a)?, number(b)?),
        Comparator::Date => date(dates::read(a, Order::Sure)?, dates::read(b, Order::Sure)?),
    };
    Some(if similarity < cutoff { 0.0 } else { similarity.clamp(0.0, 1.0) })
}

/// `text` or its first [`CHARS_MAX`] characters.
fn cut(text: &str) -> &str {
    if text.len() <= CHARS_MAX {
        return text;
    }
    text.char_indices().nth(CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

fn edits(a: &str, b: &str, cutoff: f64) -> f64 {
    if a == b {
        return 1.0;
    }
    let (a, b) = (cut(a), cut(b));
    let args = levenshtein::Args::default().score_cutoff(cutoff);
    let similarity = if a.is_ascii() && b.is_ascii() {
        levenshtein::normalized_similarity_with_args(a.bytes(), b.bytes(), &args)
    } else {
        levenshtein::normalized_similarity_with_args(a.chars(), b.chars(), &args)
    };
    similarity.unwrap_or(0.0)
}

fn winkler(a: &str, b: &str, cutoff: f64) -> f64 {
    if a == b {
        return 1.0;
    }
    let (a, b) = (cut(a), cut(b));
    let args = jaro_winkler::Args::default().score_cutoff(cutoff);
    let similarity = if a.is_ascii() && b.is_ascii() {
        jaro_winkler::normalized_similarity_with_args(a.bytes(), b.bytes(), &args)
    } else {
        jaro_winkler::normalized_similarity_with_args(a.chars(), b.chars(), &args)
    };
    similarity.unwrap_or(0.0)
}

fn token_set(a: &str, b: &str) -> f64 {
    let (words_a, words_b) = (word_set(a), word_set(b));
    let common = words_a.iter().filter(|word| words_b.binary_search(word).is_ok()).count();
    let total = words_a.len() + words_b.len();
    if 2 * common == total {
        return 1.0;
    }
    let dice = 2.0 * common as f64 / total as f64;
    dice.max(edits(&words_a.join(" "), &words_b.join(" "), 0.0))
}

fn word_set(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn ngram(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    let (grams_a, grams_b) = (trigrams(a), trigrams(b));
    let (mut i, mut j, mut common) = (0, 0, 0);
    while i < grams_a.len() && j < grams_b.len() {
        let order = grams_a[i].cmp(&grams_b[j]);
        common += usize::from(order.is_eq());
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    2.0 * common as f64 / (grams_a.len() + grams_b.len()) as f64
}

/// The pieces, sorted; each is three characters of 21 bits.
fn trigrams(text: &str) -> Vec<u64> {
    const THREE: u64 = (1 << 63) - 1;
    let blank = u64::from(b' ');
    let mut window = blank << 21 | blank;
    let mut grams: Vec<u64> = text
        .chars()
        .chain([' '])
        .map(|c| {
            window = (window << 21 | u64::from(u32::from(c))) & THREE;
            window
        })
        .collect();
    grams.sort_unstable();
    grams
}

fn sounds(kind: Phonetic, a: &str, b: &str) -> Option<f64> {
    let (code_a, code_b) = (phonetic(kind, a), phonetic(kind, b));
    (!code_a.is_empty() && !code_b.is_empty()).then(|| f64::from(u8::from(code_a == code_b)))
}

fn sounds_either_way(a: &str, b: &str) -> Option<f64> {
    let ((a1, a2), (b1, b2)) = (double_metaphone(a), double_metaphone(b));
    if (a1.is_empty() && a2.is_empty()) || (b1.is_empty() && b2.is_empty()) {
        return None;
    }
    let same = [&a1, &a2].into_iter().any(|code| !code.is_empty() && (*code == b1 || *code == b2));
    Some(f64::from(u8::from(same)))
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

fn numeric(a: f64, b: f64) -> f64 {
    if a == b {
        return 1.0;
    }
    let larger = a.abs().max(b.abs());
    // Divided first, so that the distance of two huge numbers of unlike sign stays finite.
    (1.0 - (a / larger - b / larger).abs() * 10.0).max(0.0)
}

fn date(a: Date, b: Date) -> f64 {
    const TYPING_ERROR: f64 = 0.9;
    if a == b {
        return 1.0;
    }
    let is_swapped = a.year() == b.year()
        && i16::from(a.month()) == i16::from(b.day())
        && i16::from(a.day()) == i16::from(b.month());
    if is_swapped || digits_that_differ(a, b) == 1 {
        return TYPING_ERROR;
    }
    let days = (day_number(a) - day_number(b)).abs();
    (1.0 - f64::from(days) / 365.0).max(0.0) * TYPING_ERROR
}

fn digits_that_differ(a: Date, b: Date) -> usize {
    (0..8).filter(|place| digit(a, *place) != digit(b, *place)).count()
}

/// The digit at `place` from the right of `yyyymmdd`.
fn digit(date: Date, place: u32) -> i32 {
    let number =
        i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day());
    number / 10_i32.pow(place) % 10
}

/// Days since the first of January of the year 0.
fn day_number(date: Date) -> i32 {
    let before = i32::from(date.year()) - 1;
    before * 365 + before / 4 - before / 100 + before / 400 + i32::from(date.day_of_year())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Comparator; 11] = [
        Comparator::Exact,
        Comparator::Levenshtein,
        Comparator::JaroWinkler,
        Comparator::TokenSet,
        Comparator::Ngram,
        Comparator::Soundex,
        Comparator::Metaphone,
        Comparator::DoubleMetaphone,
        Comparator::Nysiis,
        Comparator::Numeric,
        Comparator::Date,
    ];

    #[test]
    fn known_pairs() {
        for (by, a, b, expected) in [
            (Comparator::Exact, "a", "a", Some(1.0)),
            (Comparator::Exact, "a", "b", Some(0.0)),
            (Comparator::Levenshtein, "kitten", "sitting", Some(1.0 - 3.0 / 7.0)),
            (Comparator::Levenshtein, "łódź", "łódz", Some(0.75)),
            (Comparator::JaroWinkler, "martha", "marhta", Some(0.961)),
            (Comparator::JaroWinkler, "dwayne", "duane", Some(0.84)),
            (Comparator::JaroWinkler, "abc", "xyz", Some(0.0)),
            (Comparator::TokenSet, "jane smith", "smith jane", Some(1.0)),
            (Comparator::TokenSet, "jane smith jane", "smith jane", Some(1.0)),
            (Comparator::TokenSet, "jane smith", "jane m", Some(0.6)),
            (Comparator::TokenSet, "acme blue", "acme blue data", Some(0.8)),
            (Comparator::Ngram, "abc", "abc", Some(1.0)),
            (Comparator::Ngram, "abcd", "abce", Some(0.6)),
            (Comparator::Ngram, "abc", "xyz", Some(0.0)),
            (Comparator::Ngram, "a", "a b", Some(2.0 / 3.0)),
            (Comparator::Soundex, "robert", "rupert", Some(1.0)),
            (Comparator::Soundex, "robert", "smith", Some(0.0)),
            (Comparator::Soundex, "12", "robert", None),
            (Comparator::Metaphone, "knight", "nite", Some(1.0)),
            (Comparator::Metaphone, "knight", "kite", Some(0.0)),
            (Comparator::Metaphone, "philip", "filip", Some(1.0)),
            (Comparator::DoubleMetaphone, "schmidt", "smith", Some(1.0)),
            (Comparator::DoubleMetaphone, "catherine", "katherine", Some(1.0)),
            (Comparator::DoubleMetaphone, "1", "2", None),
            (Comparator::Nysiis, "brian", "brown", Some(1.0)),
            (Comparator::Numeric, "100", "100.0", Some(1.0)),
            (Comparator::Numeric, "100", "95", Some(0.5)),
            (Comparator::Numeric, "100", "90", Some(0.0)),
            (Comparator::Numeric, "-5", "5", Some(0.0)),
            (Comparator::Numeric, "0", "0.0", Some(1.0)),
            (Comparator::Numeric, "1e308", "-1e308", Some(0.0)),
            (Comparator::Numeric, "1e400", "1", None),
            (Comparator::Numeric, "nan", "nan", None),
            (Comparator::Date, "1980-03-04", "1980-03-04", Some(1.0)),
            (Comparator::Date, "1980-03-04", "1980-04-03", Some(0.9)),
            (Comparator::Date, "1980-03-04", "1990-03-04", Some(0.9)),
            (Comparator::Date, "1980-03-04", "04.03.1980", Some(1.0)),
            (Comparator::Date, "2000-01-31", "2000-02-28", Some(0.9 * (1.0 - 28.0 / 365.0))),
            (Comparator::Date, "2000-12-31", "2001-01-01", Some(0.9 * (1.0 - 1.0 / 365.0))),
            (Comparator::Date, "1980-03-04", "1999-11-12", Some(0.0)),
            (Comparator::Date, "soon", "1999-11-12", None),
        ] {
            let got = similarity(by, a, b, 0.0);
            let close = match (got, expected) {
                (Some(got), Some(expected)) => (got - expected).abs() < 0.001,
                (got, expected) => got == expected,
            };
            assert!(close, "{by:?} {a:?} {b:?}: {got:?}, expected {expected:?}");
        }
    }

    #[test]
    fn a_huge_text_is_compared_by_its_beginning() {
        let (a, b) = ("ä".repeat(1_000_000) + "x", "ä".repeat(1_000_000) + "y");
        for by in [Comparator::Levenshtein, Comparator::JaroWinkler, Comparator::Ngram] {
            assert_eq!(similarity(by, &a, &b, 0.0), Some(1.0));
        }
        assert_eq!(similarity(Comparator::Exact, &a, &b, 0.0), Some(0.0));
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[a-cäł ]{1,8}", "[0-9./-]{1,10}", "[a-b]{60,80}"]
    }

    proptest! {
        #[test]
        fn similarity_is_symmetric_and_from_0_to_1(a in text(), b in text(), cutoff in 0.0..=1.0) {
            for by in ALL {
                let whole = similarity(by, &a, &b, 0.0);
                prop_assert_eq!(whole, similarity(by, &b, &a, 0.0));
                prop_assert!(whole.is_none_or(|s| (0.0..=1.0).contains(&s)), "{:?}", whole);
                let same = similarity(by, &a, &a, 0.0);
                prop_assert!(same.is_none_or(|s| s == 1.0), "{:?} {:?}", by, same);
                let cut = similarity(by, &a, &b, cutoff);
                prop_assert_eq!(cut, whole.map(|s| if s < cutoff { 0.0 } else { s }), "{:?}", by);
            }
        }
    }
}
