//! What a sample tells of one column: its type, and what a value must go through to be of that type.

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use std::collections::BTreeSet;
use syncline_core::config::model::FieldType;
use syncline_core::value::Value;

/// Formats of dates in which the parts cannot be mistaken for one another, tried in this order.
const DATE_FORMATS: &[&str] = &[
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%Y%m%d",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d-%b-%Y",
];

/// Formats in which day and month could be either way round.
const EITHER_WAY: &[(&str, &str)] = &[("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y")];

/// Behind a date's format, where there is a time of day too.
const TIMES: &[&str] = &[" %H:%M:%S", " %H:%M", " %I:%M %p"];

/// What a column holds, as far as a sample tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guess {
    /// The type of the field.
    pub(super) field_type: FieldType,
    /// The strftime format to read dates with, where they are not in ISO form.
    pub(super) date_format: Option<String>,
    /// Every value is an e-mail address.
    pub(super) is_email: bool,
    /// Why this type, in a few words.
    pub(super) why: String,
    /// How many records have a value that is not blank.
    pub(super) filled: usize,
    /// How many different values there are, blank ones aside.
    pub(super) distinct: usize,
}

/// Looks at a column's values; `name` is its words, `None` an absent value.
pub(super) fn guess<'a>(name: &[String], values: impl Iterator<Item = Option<&'a Value>>) -> Guess {
    let values: Vec<&Value> = values.flatten().filter(|value| !value.is_blank()).collect();
    let different: BTreeSet<String> =
        values.iter().map(|value| value.to_plain().trim().to_owned()).collect();
    let texts: Vec<&str> =
        values.iter().filter_map(|value| value.as_text().map(str::trim)).collect();
    let all_text = texts.len() == values.len();
    let (field_type, date_format, why) = if values.is_empty() {
        (FieldType::Text, None, "no value in the sample".to_owned())
    } else if all_text {
        of_texts(name, &texts)
    } else {
        let (field_type, why) = of_values(name, &values);
        (field_type, None, why.to_owned())
    };
    Guess {
        field_type,
        date_format,
        is_email: all_text && !texts.is_empty() && texts.iter().all(|text| is_email(text)),
        why,
        filled: values.len(),
        distinct: different.len(),
    }
}

fn of_values(name: &[String], values: &[&Value]) -> (FieldType, &'static str) {
    let all = |test: fn(&Value) -> bool| values.iter().all(|value| test(value));
    if all(|value| matches!(value, Value::Bool(_))) {
        (FieldType::Boolean, "true or false")
    } else if all(|value| matches!(value, Value::Int(_))) {
        if is_time(name) && values.iter().all(|value| is_epoch(value)) {
            (FieldType::Timestamp, "epoch numbers")
        } else {
            (FieldType::Integer, "whole numbers")
        }
    } else if all(|value| value.as_f64().is_some()) {
        let has_digits = values.iter().any(|value| matches!(value, Value::Decimal(_)));
        if has_digits || is_money(name) {
            (FieldType::Decimal, "exact numbers")
        } else {
            (FieldType::Number, "numbers")
        }
    } else if all(|value| matches!(value, Value::List(_))) {
        (FieldType::List, "lists")
    } else if all(|value| !matches!(value, Value::List(_) | Value::Map(_))) {
        (FieldType::Text, "values of several kinds")
    } else {
        (FieldType::Json, "values of several kinds")
    }
}

fn of_texts(name: &[String], texts: &[&str]) -> (FieldType, Option<String>, String) {
    let all = |test: fn(&str) -> bool| texts.iter().all(|text| test(text));
    let plain = |field_type, why: &str| (field_type, None, why.to_owned());
    if is_code(name) {
        return plain(FieldType::Text, "text");
    }
    if all(|text| text.len() == 10 && text.parse::<Date>().is_ok()) {
        return plain(FieldType::Date, "ISO dates");
    }
    if all(is_iso_time) {
        return plain(FieldType::Timestamp, "ISO dates and times");
    }
    if all(|text| ["true", "false", "yes", "no"].contains(&text.to_ascii_lowercase().as_str())) {
        return plain(FieldType::Boolean, "yes or no");
    }
    if let Some(found) = of_dates(texts) {
        return found;
    }
    if all(|text| is_whole(text) && text.parse::<i64>().is_ok()) {
        return plain(FieldType::Integer, "whole numbers");
    }
    if all(is_decimal) {
        return if is_money(name) {
            plain(FieldType::Decimal, "amounts: exact decimals")
        } else {
            plain(FieldType::Number, "numbers")
        };
    }
    plain(FieldType::Text, "text")
}

fn of_dates(texts: &[&str]) -> Option<(FieldType, Option<String>, String)> {
    let starts = texts.iter().all(|text| text.len() >= 8 && text.len() <= 30);
    if !starts || !texts.iter().all(|text| text.bytes().any(|b| b.is_ascii_digit())) {
        return None;
    }
    let found = |format: String| {
        let has_time = format.contains("%M");
        let field_type = if has_time { FieldType::Timestamp } else { FieldType::Date };
        let why = format!("as in `{}`", texts[0]);
        Some((field_type, Some(format), why))
    };
    for time in [""].iter().chain(TIMES) {
        for date in DATE_FORMATS {
            let format = format!("{date}{time}");
            let fits = *date != "%Y%m%d" || plausible(&format, texts);
            if fits && all_parse(&format, texts) {
                return found(format);
            }
        }
        for (day_first, month_first) in EITHER_WAY {
            let (a, b) = (format!("{day_first}{time}"), format!("{month_first}{time}"));
            match (all_parse(&a, texts), all_parse(&b, texts)) {
                (true, false) => return found(a),
                (false, true) => return found(b),
                (true, true) => {
                    let why = format!(
                        "dates, but `{}` can be day/month or month/day: \
                         add transform: [{{ parse_date: \"{day_first}\" }}]",
                        texts[0]
                    );
                    return Some((FieldType::Text, None, why));
                }
                (false, false) => {}
            }
        }
    }
    None
}

fn all_parse(format: &str, texts: &[&str]) -> bool {
    texts.iter().all(|text| {
        strtime::parse(format, text).is_ok_and(|parts| match parts.hour() {
            None => parts.to_date().is_ok(),
            Some(_) => parts.to_datetime().is_ok(),
        })
    })
}

/// Whether eight digits are meant as dates, and not as numbers that happen to look like some.
fn plausible(format: &str, texts: &[&str]) -> bool {
    texts.iter().all(|text| {
        let date = strtime::parse(format, text).and_then(|parts| parts.to_date());
        date.is_ok_and(|date| (1900..2100).contains(&date.year()))
    })
}

fn is_iso_time(text: &str) -> bool {
    text.len() >= 10
        && text.as_bytes()[4] == b'-'
        && (text.parse::<jiff::Timestamp>().is_ok() || text.parse::<DateTime>().is_ok())
}

/// Digits without leading zeros, which would be lost.
fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all && (digits == "0" || !digits.starts_with('0'))
}

fn is_decimal(text: &str) -> bool {
    match text.split_once('.') {
        None => is_whole(text),
        Some((whole, rest)) => {
            let fraction = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
            fraction && (whole == "-0" || is_whole(whole))
        }
    }
}

fn is_epoch(value: &Value) -> bool {
    let in_seconds = 631_152_000.0..4_102_444_800.0;
    value.as_f64().is_some_and(|n| in_seconds.contains(&n) || in_seconds.contains(&(n / 1000.0)))
}

/// One `@`, a domain with a dot, no blanks: less than what the check when syncing refuses, never more.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._%+-'".contains(c);
    let labels: Vec<&str> = domain.split('.').collect();
    let is_label = |label: &&str| {
        let edges = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && !edges && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    let lengths = (1..=64).contains(&local.len()) && text.len() <= 254;
    lengths
        && !dots
        && local.chars().all(is_plain)
        && labels.len() > 1
        && labels.iter().all(is_label)
}

fn has(name: &[String], any: &[&str]) -> bool {
    name.iter().any(|word| any.contains(&word.as_str()))
}

/// Digits that are no quantity: nobody adds them up, and a leading zero counts.
pub(super) fn is_code(name: &[String]) -> bool {
    const CODES: &[&str] = &[
        "id",
        "ids",
        "uuid",
        "guid",
        "key",
        "code",
        "no",
        "nr",
        "number",
        "nummer",
        "zip",
        "zipcode",
        "postcode",
        "postal",
        "plz",
        "phone",
        "tel",
        "telephone",
        "telefon",
        "mobile",
        "fax",
        "iban",
        "vat",
        "tax",
        "sku",
        "ean",
        "isbn",
        "account",
        "name",
    ];
    has(name, CODES)
}

fn is_money(name: &[String]) -> bool {
    const MONEY: &[&str] = &[
        "amount", "price", "total", "revenue", "balance", "cost", "fee", "sum", "net", "gross",
        "betrag", "preis", "umsatz", "saldo",
    ];
    has(name, MONEY)
}

fn is_time(name: &[String]) -> bool {
    const TIME: &[&str] =
        &["at", "on", "date", "time", "timestamp", "modified", "updated", "created", "changed"];
    has(name, TIME)
}

/// Whether a column of this name says when a record last changed.
pub(super) fn says_modified(name: &[String]) -> bool {
    const CHANGE: &[&str] = &[
        "modified",
        "updated",
        "changed",
        "modification",
        "update",
        "change",
        "modstamp",
        "lastmodified",
        "geandert",
        "mtime",
    ];
    has(name, CHANGE) && !has(name, &["by", "user", "count", "field", "is"])
}

#[cfg(test)]
mod tests {
    use super::super::names::words;
    use super::*;

    fn check(name: &str, values: &[&str], expected: FieldType, format: Option<&str>) {
        let values: Vec<Value> = values.iter().map(Value::text).collect();
        let guess = guess(&words(name), values.iter().map(Some));
        let found = (guess.field_type, guess.date_format.as_deref());
        assert_eq!(found, (expected, format), "{name} {values:?}");
    }

    #[test]
    fn texts_tell_their_type() {
        check("age", &["42", "7", " 0 "], FieldType::Integer, None);
        check("age", &["042"], FieldType::Text, None);
        check("age", &["42", "n/a"], FieldType::Text, None);
        check("big", &["99999999999999999999"], FieldType::Number, None);
        check("plz", &["12345"], FieldType::Text, None);
        check("customer_no", &["12345"], FieldType::Text, None);
        check("size", &["1.5", "-0.25", "3"], FieldType::Number, None);
        check("Total", &["1.50", "3"], FieldType::Decimal, None);
        check("total", &["1,50"], FieldType::Text, None);
        check("vip", &["yes", "No"], FieldType::Boolean, None);
        check("born", &["2025-12-09"], FieldType::Date, None);
        check("born", &["2025-12-09", "2025-02-30"], FieldType::Text, None);
        check("seen", &["2025-12-09T10:00:00Z"], FieldType::Timestamp, None);
        check("seen", &["2025-12-09 10:00:00"], FieldType::Timestamp, None);
        check("born", &["09.12.2025", "1.2.2024"], FieldType::Date, Some("%d.%m.%Y"));
        check(
            "born",
            &["09.12.2025 10:30", "01.02.2024 09:00"],
            FieldType::Timestamp,
            Some("%d.%m.%Y %H:%M"),
        );
        check("born", &["13/12/2025", "01/02/2024"], FieldType::Date, Some("%d/%m/%Y"));
        check("born", &["12/13/2025", "01/02/2024"], FieldType::Date, Some("%m/%d/%Y"));
        check("born", &["12/11/2025", "01/02/2024"], FieldType::Text, None);
        check("born", &["20251209"], FieldType::Date, Some("%Y%m%d"));
        check("n", &["12345678", "87654321"], FieldType::Integer, None);
        check("note", &["", "  "], FieldType::Text, None);
    }

    #[test]
    fn an_address_is_refused_before_the_sync_would() {
        for (text, expected) in [
            ("ann@example.com", true),
            ("a.b+c@sub.example.co.uk", true),
            ("ann@localhost", false),
            ("ann", false),
            ("a@b@c.de", false),
            ("ann @example.com", false),
            ("@example.com", false),
            ("ann@example.", false),
        ] {
            assert_eq!(is_email(text), expected, "{text}");
        }
    }

    #[test]
    fn values_tell_their_type() {
        let check = |name: &str, json: &str, expected| {
            let Value::List(values) = serde_json::from_str(json).unwrap() else { unreachable!() };
            assert_eq!(guess(&words(name), values.iter().map(Some)).field_type, expected, "{json}");
        };
        check("n", "[1, 2, null]", FieldType::Integer);
        check("n", "[1, 2.5]", FieldType::Number);
        check("n", "[18446744073709551615]", FieldType::Decimal);
        check("n", "[1, \"x\"]", FieldType::Text);
        check("n", "[[1], \"x\"]", FieldType::Json);
        check("n", "[[1], []]", FieldType::List);
        check("vip", "[true, false]", FieldType::Boolean);
        check("updated_at", "[1765270800]", FieldType::Timestamp);
        check("updated_at", "[1765270800123]", FieldType::Timestamp);
        check("visits", "[1765270800]", FieldType::Integer);
        check("x", "[]", FieldType::Text);
    }
}
