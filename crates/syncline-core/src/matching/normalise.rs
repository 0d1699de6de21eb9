//! Normalisers: what makes two spellings of one value the same text.
//!
//! All of them share one *folding*: compatibility forms and diacritics are taken off (NFKD), letters become lower
//! case, and Latin letters that are no mere base plus mark are spelled out (`ß` → `ss`, `ł` → `l`, `ø` → `o`).
//! Letters of other scripts stay what they are, lower case. Marks of Greek and Cyrillic letters fall away like the Latin
//! ones. Where words are compared (names, companies, addresses), Greek and Cyrillic letters become Latin ones.

use super::contact;
use super::dates::{self, Order};
use super::model::nicknames;
use super::phone;
use super::transliterate;
use super::words;
use crate::config::model::Normaliser;
use deunicode::deunicode_char;
use std::borrow::Cow;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The normal form of `text`; empty where there is nothing to compare.
///
/// Doing it twice changes nothing. Text that already is in normal form is handed back borrowed.
///
/// | normaliser | normal form |
/// |---|---|
/// | `none` | as it stands |
/// | `text` | folded; runs of blanks become one, none at the ends |
/// | `name` | words of Latin letters and digits, `Last, First` turned round; apostrophes vanish, other punctuation parts words; titles before the name and degrees after it are dropped, but never the last word |
/// | `formal_name` | as `name`; a first word that is a short form of one name becomes that name (`bob` → `robert`) |
/// | `initials` | the first letter of each word of `name` |
/// | `email` | lower case, out of `mailto:` and `Name <…>`; Gmail's dots and googlemail.com; `+tag` at Gmail, Outlook, Hotmail, Live, iCloud, Fastmail, Proton; what is no address: as `text` |
/// | `phone` | where a region is set: `+`, country's code, national number; else the last nine digits of the national number: after `+` or `00` the country's code is taken off, then leading zeros; an extension is cut off; fewer than five digits: empty |
/// | `company` | words; `&` is `and`, dots and apostrophes vanish; `the` and legal forms around the name are dropped, but never the last word |
/// | `address` | words, common abbreviations written out (`st` → `street`, `hauptstr` → `hauptstrasse`) |
/// | `street` | as `address`: the house number first, no apartment, floor, unit |
/// | `alphanumeric` | folded, letters and digits only |
/// | `digits` | digits only |
/// | `date` | `yyyy-mm-dd`; empty where it is no date, or where day and month could be either way round |
/// | `date_dmy`, `date_mdy` | as `date`; where they could be either way round, as the name says |
///
/// Where no region is known for phone numbers, nine digits are enough to tell numbers apart, few enough for
/// `+44 20 7946 0958`, `0044 20 7946 0958` and `020 7946 0958` to be the same.
pub fn normalise(normaliser: Normaliser, text: &str) -> Cow<'_, str> {
    let mut scratch = String::new();
    match normal(normaliser, text, &mut scratch) {
        Normal::Part(range) => Cow::Borrowed(&text[range]),
        Normal::Built(range) => {
            scratch.truncate(range.end);
            scratch.drain(..range.start);
            Cow::Owned(scratch)
        }
    }
}

/// [`normalise`] without an allocation of its own: what must be built is built in `scratch`.
pub(super) fn normalise_in<'a>(
    normaliser: Normaliser,
    text: &'a str,
    scratch: &'a mut String,
) -> &'a str {
    match normal(normaliser, text, scratch) {
        Normal::Part(range) => &text[range],
        Normal::Built(range) => &scratch[range],
    }
}

/// Where a normal form stands.
pub(super) enum Normal {
    /// In the text itself.
    Part(Range<usize>),
    /// In the scratch buffer.
    Built(Range<usize>),
}

fn normal(normaliser: Normaliser, text: &str, scratch: &mut String) -> Normal {
    scratch.clear();
    match normaliser {
        Normaliser::None => Normal::Part(0..text.len()),
        Normaliser::Text => folded_text(text, scratch),
        Normaliser::Name => name(text, scratch),
        Normaliser::FormalName => formal_name(text, scratch),
        Normaliser::Initials => initials(text, scratch),
        Normaliser::Company => company(text, scratch),
        Normaliser::Address => address(text, scratch),
        Normaliser::Street => street(text, scratch),
        Normaliser::Email => contact::email(text, scratch),
        Normaliser::Phone => contact::phone(text, scratch),
        Normaliser::PhoneOf(country) => phone::e164(country, text, scratch),
        Normaliser::Alphanumeric => {
            let clean = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            kept(text, scratch, clean, is_word_char)
        }
        Normaliser::Digits => kept(text, scratch, |b| b.is_ascii_digit(), |c| c.is_ascii_digit()),
        Normaliser::Date => dates::normal(text, Order::Sure, scratch),
        Normaliser::DateDmy => dates::normal(text, Order::DayFirst, scratch),
        Normaliser::DateMdy => dates::normal(text, Order::MonthFirst, scratch),
    }
}

/// The normaliser `text`.
pub(super) fn folded_text(text: &str, scratch: &mut String) -> Normal {
    if is_clean(text, |b| b.is_ascii_graphic() && !b.is_ascii_uppercase()) {
        return Normal::Part(0..text.len());
    }
    let mut out = Words::new(scratch);
    fold(text, |c| if is_blank(c) { out.blank() } else { out.push(c) });
    Normal::Built(0..scratch.len())
}

fn kept(
    text: &str,
    scratch: &mut String,
    is_clean: fn(u8) -> bool,
    is_kept: fn(char) -> bool,
) -> Normal {
    if text.bytes().all(is_clean) {
        return Normal::Part(0..text.len());
    }
    let mut last = false;
    fold(text, |c| {
        last = if is_mark(c) { last } else { is_kept(c) };
        if last {
            scratch.push(c);
        }
    });
    Normal::Built(0..scratch.len())
}

fn words_of(
    text: &str,
    scratch: &mut String,
    sink: fn(&mut Words<'_>, char),
    trim: impl Fn(&str) -> Range<usize>,
) -> Normal {
    if is_clean(text, |b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Normal::Part(trim(text));
    }
    let mut out = Words::new(scratch);
    fold(text, |c| sink(&mut out, c));
    Normal::Built(trim(scratch))
}

fn name(text: &str, scratch: &mut String) -> Normal {
    let trimmed = |words: &str| trim(words, words::is_title, words::is_degree);
    let Some(turned) = first_name_first(text) else {
        return words_of(text, scratch, name_char, trimmed);
    };
    if let Normal::Built(range) = words_of(&turned, scratch, name_char, trimmed) {
        return Normal::Built(range);
    }
    scratch.push_str(&turned[trimmed(&turned)]);
    Normal::Built(0..scratch.len())
}

/// `Last, First, Jr` as `First Last Jr`; `None` where the order is right, or there is no telling.
fn first_name_first(text: &str) -> Option<String> {
    if !text.contains(',') {
        return None;
    }
    let mut parts: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|part| part.contains(char::is_alphanumeric))
        .collect();
    let is_suffix = |part: &&str| {
        let mut words = part.split_whitespace().peekable();
        words.peek().is_some()
            && words.all(|word| {
                let letters: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
                words::is_suffix(&letters.to_ascii_lowercase())
            })
    };
    let names = parts.len() - parts.iter().rev().take_while(|part| is_suffix(part)).count();
    if names != 2 {
        return None;
    }
    parts.swap(0, 1);
    Some(parts.join(" "))
}

fn formal_name(text: &str, scratch: &mut String) -> Normal {
    let normal = name(text, scratch);
    let words = match &normal {
        Normal::Part(range) => &text[range.clone()],
        Normal::Built(range) => &scratch[range.clone()],
    };
    let (first, rest) = words.split_at(words.find(' ').unwrap_or(words.len()));
    let Some(formal) = nicknames::formal(first) else { return normal };
    *scratch = format!("{formal}{rest}");
    Normal::Built(0..scratch.len())
}

fn initials(text: &str, scratch: &mut String) -> Normal {
    let normal = name(text, scratch);
    let words = match &normal {
        Normal::Part(range) => &text[range.clone()],
        Normal::Built(range) => &scratch[range.clone()],
    };
    let firsts: Vec<String> = words
        .split(' ')
        .filter_map(|word| {
            let mut chars = word.chars();
            let first = chars.next()?;
            // Marks belong to the letter before them.
            Some(std::iter::once(first).chain(chars.take_while(|c| is_mark(*c))).collect())
        })
        .collect();
    *scratch = firsts.join(" ");
    Normal::Built(0..scratch.len())
}

fn company(text: &str, scratch: &mut String) -> Normal {
    words_of(text, scratch, company_char, |words| {
        trim(words, words::is_before_company, words::is_legal_form)
    })
}

fn name_char(out: &mut Words<'_>, c: char) {
    match c {
        '\'' | '`' => out.skip(),
        c if is_word_char(c) => out.push_latin(c),
        _ => out.blank(),
    }
}

fn company_char(out: &mut Words<'_>, c: char) {
    match c {
        '\'' | '`' | '.' => out.skip(),
        '&' | '+' => {
            out.blank();
            "and".chars().for_each(|c| out.push(c));
            out.blank();
        }
        c if is_word_char(c) => out.push_latin(c),
        _ => out.blank(),
    }
}

fn address(text: &str, scratch: &mut String) -> Normal {
    let same = |word: &str| address_word(word).is_none();
    let clean = is_clean(text, |b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if clean && text.split(' ').all(same) {
        return Normal::Part(0..text.len());
    }
    let mut out = Words::new(scratch);
    fold(text, |c| name_char(&mut out, c));
    let mut end = scratch.len();
    while end > 0 {
        let start = scratch[..end].rfind(' ').map_or(0, |blank| blank + 1);
        if let Some(full) = address_word(&scratch[start..end]) {
            scratch.replace_range(start..end, &full);
        }
        end = start.saturating_sub(1);
    }
    Normal::Built(0..scratch.len())
}

/// The normaliser `street`: the words of an address without those that tell where in the house it is.
fn street(text: &str, scratch: &mut String) -> Normal {
    // A number after `#` is a unit's; `address` would take it for any number.
    let marked = text.replace('#', " unit ");
    let words = match address(&marked, scratch) {
        Normal::Part(range) => marked[range].to_owned(),
        Normal::Built(range) => scratch[range].to_owned(),
    };
    let mut words: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
    let is_place =
        |word: &str| word.starts_with(|c: char| c.is_ascii_digit()) || word.chars().count() == 1;
    while let Some(at) = words.iter().rposition(|word| words::is_unit(word)) {
        let is_named = words.get(at + 1).is_some_and(|word| is_place(word));
        let is_counted = !is_named && at > 0 && words::is_ordinal(words[at - 1]);
        words.drain(at - usize::from(is_counted)..=at + usize::from(is_named));
    }
    let is_number = |word: &str| {
        let letters = word.trim_start_matches(|c: char| c.is_ascii_digit());
        letters.len() < word.len() && (letters.is_empty() || is_letter(letters))
    };
    let mut number = String::new();
    // Behind a letter it stays, as it would pass for the letter's otherwise.
    let starts_with_letter = words.first().is_some_and(|word| is_letter(word));
    let at = words.iter().position(|word| is_number(word));
    if let Some(at) = at.filter(|_| !starts_with_letter) {
        number.push_str(words.remove(at));
        let has_letter = number.ends_with(|c: char| c.is_ascii_digit());
        if has_letter && words.get(at).is_some_and(|word| is_letter(word)) {
            number.push_str(words.remove(at));
        }
        words.insert(0, &number);
    }
    *scratch = words.join(" ");
    Normal::Built(0..scratch.len())
}

/// Whether a word is the letter of a house number, as in `12 a`; `e`, `n`, `s` and `w` were written out before.
fn is_letter(word: &str) -> bool {
    word.len() == 1 && word.bytes().all(|b| b.is_ascii_lowercase())
}

fn address_word(word: &str) -> Option<Cow<'static, str>> {
    if let Some(full) = words::address_word(word) {
        return Some(Cow::Borrowed(full));
    }
    let street = word.strip_suffix("str").filter(|name| name.len() > 2)?;
    Some(Cow::Owned(format!("{street}strasse")))
}

/// What is left of `words` without those at the start that are `before`, and those at the end that are
/// `after`; at least one word is left.
fn trim(words: &str, before: fn(&str) -> bool, after: fn(&str) -> bool) -> Range<usize> {
    let (mut start, mut end) = (0, words.len());
    while let Some(length) = words[start..end].find(' ') {
        if !before(&words[start..start + length]) {
            break;
        }
        start += length + 1;
    }
    while let Some(length) = words[start..end].rfind(' ') {
        if !after(&words[start + length + 1..end]) {
            break;
        }
        end = start + length;
    }
    start..end
}

/// Whether `text` consists of bytes that are `inner`, with single blanks between them.
fn is_clean(text: &str, inner: impl Fn(u8) -> bool) -> bool {
    let mut blank = true;
    for b in text.bytes() {
        if b == b' ' {
            if blank {
                return false;
            }
            blank = true;
        } else if inner(b) {
            blank = false;
        } else {
            return false;
        }
    }
    !blank || text.is_empty()
}

/// Hands each character of the folded `text` to `sink`.
pub(super) fn fold(text: &str, mut sink: impl FnMut(char)) {
    if text.is_ascii() {
        text.bytes().for_each(|b| sink(char::from(b.to_ascii_lowercase())));
        return;
    }
    for c in text.chars().filter(|&c| !is_invisible(c)).map(plain_quote).nfkd() {
        if c.is_ascii() {
            sink(c.to_ascii_lowercase());
        } else if !is_diacritic(c) {
            c.to_lowercase().filter(|&c| !is_diacritic(c)).for_each(|c| fold_letter(c, &mut sink));
        }
    }
}

fn fold_letter(c: char, sink: &mut impl FnMut(char)) {
    let spelled = if is_spelled_out(c) { deunicode_char(c) } else { None };
    match (spelled, c) {
        (Some(ascii), _) if !ascii.is_empty() => {
            ascii.chars().for_each(|c| sink(c.to_ascii_lowercase()))
        }
        (_, 'ς') => sink('σ'),
        (_, c) => sink(c),
    }
}

/// The acute accent that people type for an apostrophe would decompose into a blank.
fn plain_quote(c: char) -> char {
    match c {
        '´' | '’' | '‘' | 'ʼ' | '′' => '\'',
        c => c,
    }
}

/// Marks above and below letters. Marks of other scripts (か and が) tell letters apart and stay.
fn is_diacritic(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Characters that cannot be seen: soft hyphen, joiners, directions, variants.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}')
}

/// A mark belongs to the character before it.
fn is_mark(c: char) -> bool {
    !c.is_ascii() && is_combining_mark(c)
}

fn is_spelled_out(c: char) -> bool {
    matches!(c, '\u{a0}'..='\u{2ff}' | '\u{1d00}'..='\u{1dbf}' | '\u{1e00}'..='\u{1eff}'
        | '\u{2010}'..='\u{205f}' | '\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}')
        || c.is_numeric()
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c)
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Writes words with single blanks between them.
struct Words<'a> {
    out: &'a mut String,
    gap: bool,
    /// Whether the last character was left out, so that marks on it must be as well.
    skipped: bool,
}

impl<'a> Words<'a> {
    fn new(out: &'a mut String) -> Self {
        Self { out, gap: false, skipped: true }
    }

    fn push(&mut self, c: char) {
        if self.skipped && is_mark(c) {
            return;
        }
        self.skipped = false;
        if std::mem::take(&mut self.gap) && !self.out.is_empty() {
            self.out.push(' ');
        }
        self.out.push(c);
    }

    /// A Greek or Cyrillic letter becomes Latin ones.
    fn push_latin(&mut self, c: char) {
        match transliterate::latin(c) {
            None => self.push(c),
            Some("") => self.skip(),
            Some(letters) => letters.chars().for_each(|c| self.push(c)),
        }
    }

    fn skip(&mut self) {
        self.skipped = true;
    }

    fn blank(&mut self) {
        self.gap = true;
        self.skipped = true;
    }
}

#[cfg(test)]
mod tests;
