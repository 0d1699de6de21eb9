//! Calendar dates in whatever order they were written.

use super::normalise::Normal;
use jiff::civil::Date;
use std::fmt::Write;

/// The normaliser `date`.
pub(super) fn normal(text: &str, scratch: &mut String) -> Normal {
    let Some(date) = read(text) else { return Normal::Part(0..0) };
    write!(scratch, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
        .expect("writing to a string does not fail");
    if text.starts_with(scratch.as_str()) {
        return Normal::Part(0..scratch.len());
    }
    Normal::Built(0..scratch.len())
}

/// The date that `text` names; a time of day after it is passed over.
///
/// Read are: year first with any of `-/.`, eight digits, day first with dots, either order with `/` or `-` where
/// only one of them is possible, and English names of months. Years have four digits, 0001 to 9999.
/// `None` where it is no date, or could be two.
pub(super) fn read(text: &str) -> Option<Date> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return read_with_month_name(text);
    }
    let (first, rest) = digits(text)?;
    if first.len() == 8 && ends(rest) {
        return date(&first[..4], &first[4..6], &first[6..]);
    }
    let separator = rest.bytes().next().filter(|b| b"-/.".contains(b));
    let Some(separator) = separator else { return read_with_month_name(text) };
    let Some((second, rest)) = digits(&rest[1..]) else { return read_with_month_name(text) };
    let rest = rest.strip_prefix(char::from(separator))?;
    let (third, rest) = digits(rest)?;
    if !ends(rest) {
        return None;
    }
    if first.len() == 4 {
        return date(first, second, third);
    }
    let day_first = date(third, second, first);
    if separator == b'.' {
        return day_first;
    }
    match (day_first, date(third, first, second)) {
        (Some(a), Some(b)) => (a == b).then_some(a),
        (a, b) => a.or(b),
    }
}

fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Whether a date may end before `rest`: at the end, or where a time begins.
fn ends(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['T', 't', ' ', 'Z', 'z', '+'])
}

fn date(year: &str, month: &str, day: &str) -> Option<Date> {
    if year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    let year: i16 = year.parse().ok()?;
    if year < 1 {
        return None;
    }
    Date::new(year, month.parse().ok()?, day.parse().ok()?).ok()
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// `9 December 2025`, `Dec 9, 2025`, `9-Dec-2025`.
fn read_with_month_name(text: &str) -> Option<Date> {
    let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let (first, second, year) = (words.next()?, words.next()?, words.next()?);
    let (month, day) = match (month(first), month(second)) {
        (Some(month), None) => (month, second),
        (None, Some(month)) => (month, first),
        _ => return None,
    };
    let day = day.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let numbers = [day, year].iter().all(|word| word.bytes().all(|b| b.is_ascii_digit()));
    if numbers { date(year, month, day) } else { None }
}

/// The number of the month with this English name or its first letters, at least three.
fn month(word: &str) -> Option<&'static str> {
    const NUMBERS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];
    if word.len() < 3 || !word.is_ascii() {
        return None;
    }
    let begins =
        |name: &str| name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let index = MONTHS.iter().position(|name| begins(name))?;
    Some(NUMBERS[index])
}
