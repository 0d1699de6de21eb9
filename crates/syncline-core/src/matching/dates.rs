//! Calendar dates in whatever order they were written.

use super::normalise::Normal;
use super::normalise::fold;
use jiff::civil::Date;
use std::fmt::Write;

/// Which of day and month comes first where both could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// There is no telling: such a date is none.
    Sure,
    DayFirst,
    MonthFirst,
}

/// The normalisers `date`, `date_dmy` and `date_mdy`.
pub(super) fn normal(text: &str, order: Order, scratch: &mut String) -> Normal {
    let Some(date) = read(text, order) else { return Normal::Part(0..0) };
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
/// only one of them is possible (or as `order` says), and names of months in some languages. Years have four digits, 0001 to 9999.
/// `None` where it is no date, or could be two.
pub(super) fn read(text: &str, order: Order) -> Option<Date> {
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
        (Some(a), Some(_)) if order == Order::DayFirst => Some(a),
        (Some(_), Some(b)) if order == Order::MonthFirst => Some(b),
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

/// Names of the months, folded: English, then German, French, Spanish, Italian, Portuguese and Dutch ones, with the short
/// forms that are not the first three letters of the English name. The first letters of the English name do, too.
const MONTHS: [&[&str]; 12] = [
    &["january", "januar", "janner", "janvier", "enero", "gennaio", "janeiro", "januari", "ene"],
    &["february", "februar", "fevrier", "febrero", "febbraio", "fevereiro", "februari", "fev"],
    &["march", "marz", "maerz", "mars", "marzo", "marco", "maart", "mrz", "mrt"],
    &["april", "avril", "abril", "aprile", "avr", "abr"],
    &["may", "mai", "mayo", "maggio", "maio", "mei", "mag"],
    &["june", "juni", "juin", "junio", "giugno", "junho", "giu"],
    &["july", "juli", "juillet", "julio", "luglio", "julho", "juil", "lug"],
    &["august", "aout", "agosto", "augustus", "ago"],
    &["september", "septembre", "septiembre", "settembre", "setembro", "sept", "set"],
    &["october", "oktober", "octobre", "octubre", "ottobre", "outubro", "okt", "ott", "out"],
    &["november", "novembre", "noviembre", "novembro"],
    &["december", "dezember", "decembre", "diciembre", "dicembre", "dezembro", "dez", "dic"],
];

/// `9 December 2025`, `Dec 9, 2025`, `9-Dec-2025`.
fn read_with_month_name(text: &str) -> Option<Date> {
    let is_joint = |word: &str| matches!(word, "" | "de" | "of" | "del");
    let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !is_joint(word));
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

/// The number of the month with this name.
fn month(word: &str) -> Option<&'static str> {
    const NUMBERS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];
    let mut name = String::new();
    fold(word, |c| name.push(c));
    if name.len() < 3 {
        return None;
    }
    let is_named = |names: &&[&str]| names[0].starts_with(&name) || names.contains(&name.as_str());
    let index = MONTHS.iter().position(is_named)?;
    Some(NUMBERS[index])
}
