//! Values on their way into a database, and whether two of them are the same to it.

use super::session::Bound;
use super::statement::Dialect;
use super::table::{Column, Kind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use compact_str::{CompactString, ToCompactString};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt};
use std::borrow::Cow;
use syncline_core::value::Value;

/// Bytes as text.
pub(super) fn base64(bytes: &[u8]) -> Value {
    Value::Text(CompactString::from(STANDARD.encode(bytes)))
}

/// The bytes of such a text.
pub(super) fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// JSON text as a value; text that is no JSON stays text.
pub(super) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::text(text))
}

/// A float; those that JSON has no number for as text.
pub(super) fn float(number: f64) -> Value {
    Value::float(number).unwrap_or_else(|| {
        let text = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        Value::text(text)
    })
}

/// A number of single precision as the shortest decimals that mean it.
pub(super) fn single(number: f32) -> Value {
    float(number.to_string().parse().unwrap_or(f64::from(number)))
}

/// Digits, as an integer where they are one that fits.
pub(super) fn digits(text: &str) -> Value {
    Value::Decimal(CompactString::new(text))
}

/// A whole number without a sign.
pub(super) fn unsigned(number: u64) -> Value {
    i64::try_from(number).map_or_else(|_| digits(&number.to_string()), Value::Int)
}

/// The value as `column` takes it.
///
/// # Errors
///
/// Why the column cannot hold it, where that shows before it is sent.
pub(super) fn bind(dialect: Dialect, column: &Column, value: &Value) -> Result<Bound, String> {
    if value.is_null() {
        return Ok(Bound::Null);
    }
    let bound = match &column.kind {
        Kind::Bytes => {
            let text = value.as_text().ok_or_else(|| expected("Base64 text", value))?;
            let bytes = STANDARD.decode(text).map_err(|_| "it is no Base64 text".to_owned())?;
            if dialect == Dialect::Postgres {
                return Ok(Bound::Text(text.to_owned()));
            }
            return Ok(Bound::Bytes(bytes));
        }
        Kind::Json => return Ok(Bound::Text(value.to_json())),
        Kind::Array(item) => match value {
            Value::List(items) => return Ok(Bound::Text(array(dialect, item, items)?)),
            _ => return Err(expected("a list", value)),
        },
        Kind::Bool => match value {
            Value::Bool(flag) if dialect != Dialect::Postgres => Bound::Int(i64::from(*flag)),
            _ => native(value),
        },
        Kind::Date | Kind::Timestamp | Kind::Moment => match value.as_text() {
            Some(text) => Bound::Text(time(dialect, &column.kind, text).into_owned()),
            None => native(value),
        },
        _ => native(value),
    };
    // Servers of this kind are handed texts only, and cast them to the column's type.
    Ok(match (dialect, bound) {
        (Dialect::Postgres, Bound::Int(number)) => Bound::Text(number.to_string()),
        (Dialect::Postgres, Bound::Float(number)) => Bound::Text(number.to_string()),
        (_, bound) => bound,
    })
}

/// The text of a key as `column` takes it.
pub(super) fn bind_key(dialect: Dialect, column: &Column, text: &str) -> Result<Bound, String> {
    let number = || text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    match (dialect, &column.kind) {
        (Dialect::MySql, Kind::Int) | (Dialect::Sqlite, Kind::Int | Kind::Decimal | Kind::Any) => {
            match number() {
                Some(number) => Ok(Bound::Int(number)),
                None => {
                    Ok(text.parse().map_or_else(|_| Bound::Text(text.to_owned()), Bound::Unsigned))
                }
            }
        }
        _ => bind(dialect, column, &Value::text(text)),
    }
}

fn native(value: &Value) -> Bound {
    match value {
        Value::Null => Bound::Null,
        Value::Bool(flag) => Bound::Text(flag.to_string()),
        Value::Int(number) => Bound::Int(*number),
        Value::Float(number) => Bound::Float(*number),
        other => Bound::Text(other.to_plain().into_owned()),
    }
}

fn expected(what: &str, value: &Value) -> String {
    format!("expected {what}, not a {}", value.kind())
}

/// A list as PostgreSQL's text of an array.
fn array(dialect: Dialect, kind: &Kind, items: &[Value]) -> Result<String, String> {
    let item = Column { kind: kind.clone(), ..Column::default() };
    let mut text = String::from("{");
    for (index, value) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match value {
            Value::Null => text.push_str("NULL"),
            Value::List(items) if *kind != Kind::Json => {
                text.push_str(&array(dialect, kind, items)?);
            }
            _ => {
                let plain = match (kind, bind(dialect, &item, value)?) {
                    (Kind::Bytes, Bound::Text(base64)) => hex(&base64),
                    (_, Bound::Text(plain)) => plain,
                    _ => value.to_plain().into_owned(),
                };
                text.push('"');
                text.push_str(&plain.replace('\\', "\\\\").replace('"', "\\\""));
                text.push('"');
            }
        }
    }
    text.push('}');
    Ok(text)
}

fn hex(base64: &str) -> String {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\\x{digits}")
}

/// A date or time as the dialect writes it, in UTC; what is none is left for the database to judge.
fn time<'a>(dialect: Dialect, kind: &Kind, text: &'a str) -> Cow<'a, str> {
    if dialect == Dialect::Sqlite {
        return Cow::Borrowed(text);
    }
    let Some(moment) = moment(text) else { return Cow::Borrowed(text) };
    let civil = moment.to_zoned(TimeZone::UTC).datetime();
    Cow::Owned(match (dialect, kind) {
        (_, Kind::Date) => civil.date().to_string(),
        (Dialect::Postgres, Kind::Moment) => moment.to_string(),
        _ => civil.strftime("%Y-%m-%d %H:%M:%S%.f").to_string(),
    })
}

/// The moment that a text tells; without an offset it is in UTC.
fn moment(text: &str) -> Option<Timestamp> {
    const PARSER: fmt::temporal::DateTimeParser = fmt::temporal::DateTimeParser::new();
    if let Ok(moment) = PARSER.parse_timestamp(text) {
        return Some(moment);
    }
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from));
    civil.ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// The least value that a read by time or number takes, for the first column of its order.
pub(super) fn bind_since(
    dialect: Dialect,
    column: &Column,
    at_least: i64,
) -> Result<Vec<Bound>, String> {
    let moment = Timestamp::from_microsecond(at_least).unwrap_or(Timestamp::MIN);
    if dialect == Dialect::Sqlite {
        let day = moment.to_zoned(TimeZone::UTC).date().to_string();
        return Ok(vec![Bound::Text(day), Bound::Int(at_least)]);
    }
    match &column.kind {
        Kind::Date | Kind::Timestamp | Kind::Moment => {
            let text = moment.to_string();
            Ok(vec![Bound::Text(time(dialect, &column.kind, &text).into_owned())])
        }
        kind if kind.is_number() => Ok(vec![bind(dialect, column, &Value::Int(at_least))?]),
        kind => Err(format!(
            "an incremental read needs a time or a number, and `{}` is {}; use `mode: full`",
            column.name,
            kind.word()
        )),
    }
}

/// Whether a column of this kind holds the same with `a` as with `b`.
pub(super) fn same(kind: &Kind, a: &Value, b: &Value) -> bool {
    if a.is_null() || b.is_null() {
        return a.is_null() && b.is_null();
    }
    match kind {
        Kind::Bool | Kind::Int | Kind::Float | Kind::Decimal | Kind::Any => {
            match (number(a), number(b)) {
                (Some(a), Some(b)) => a == b,
                _ => a.to_plain() == b.to_plain(),
            }
        }
        Kind::Date | Kind::Timestamp | Kind::Moment => {
            let (a, b) = (a.to_plain(), b.to_plain());
            a == b || moment(&a).is_some_and(|a| Some(a) == moment(&b))
        }
        Kind::Json => same_json(a, b),
        Kind::Array(item) => match (a, b) {
            (Value::List(a), Value::List(b)) => {
                let inner = |a: &Value| if matches!(a, Value::List(_)) { kind } else { item };
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(inner(a), a, b))
            }
            _ => false,
        },
        Kind::Text | Kind::Bytes | Kind::Other => a.to_plain() == b.to_plain(),
    }
}

/// Keys of maps have no order in JSON, and numbers no form.
fn same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Map(a), Value::Map(b)) => {
            let found = |(key, value): &(CompactString, Value)| {
                b.iter().any(|(other, held)| other == key && same_json(value, held))
            };
            a.len() == b.len() && a.iter().all(found)
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Value::Text(_), _) | (_, Value::Text(_)) => a == b,
        _ => match (number(a), number(b)) {
            (Some(x), Some(y)) if a.kind() == b.kind() => x == y,
            _ => a == b,
        },
    }
}

/// A number in one form, whatever it was written as: sign, digits without zeros around them, exponent.
fn number(value: &Value) -> Option<(bool, CompactString, i64)> {
    if let Value::Bool(flag) = value {
        return number(&Value::Int(i64::from(*flag)));
    }
    let text = value.to_plain();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = all.trim_end_matches('0');
    let dropped = i64::try_from(all.len() - kept.len()).ok()?;
    let kept = kept.trim_start_matches('0').to_compact_string();
    if kept.is_empty() {
        return Some((false, kept, 0));
    }
    let exponent =
        exponent.checked_add(dropped)?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    Some((negative, kept, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_json_are_the_same_however_they_are_written() {
        let (text, int) = (Value::text, Value::Int);
        let decimal = |digits: &str| Value::Decimal(digits.into());
        let json = |text: &str| json(text);
        for (kind, a, b, same) in [
            (Kind::Decimal, decimal("1.50"), Value::Float(1.5), true),
            (Kind::Decimal, decimal("100"), text("1e2"), true),
            (Kind::Decimal, decimal("0.00"), decimal("-0"), true),
            (
                Kind::Decimal,
                decimal("12345678901234567890.1"),
                decimal("12345678901234567890.2"),
                false,
            ),
            (Kind::Int, int(10), int(1), false),
            (Kind::Bool, Value::Bool(true), int(1), true),
            (Kind::Int, Value::Null, int(0), false),
            (Kind::Text, Value::Null, Value::Null, true),
            (Kind::Text, text("1.0"), text("1"), false),
            (Kind::Moment, text("2024-02-01T10:00:00Z"), text("2024-02-01T12:00:00+02:00"), true),
            (Kind::Timestamp, text("2024-02-01 10:00:00.5"), text("2024-02-01T10:00:00.500"), true),
            (Kind::Timestamp, text("2024-02-01 10:00:00.5"), text("2024-02-01T10:00:00"), false),
            (Kind::Json, json(r#"{"a":1,"b":[1.0]}"#), json(r#"{"b":[1],"a":1}"#), true),
            (Kind::Json, json(r#"{"a":"1"}"#), json(r#"{"a":1}"#), false),
            (Kind::Json, json(r#"{"a":1}"#), json(r#"{"a":1,"b":2}"#), false),
        ] {
            assert_eq!(super::same(&kind, &a, &b), same, "{kind:?} {a:?} {b:?}");
            assert_eq!(super::same(&kind, &b, &a), same, "{kind:?} {b:?} {a:?}");
        }
    }

    #[test]
    fn lists_become_the_text_of_an_array() {
        let list = json(r#"["a\"b\\", null, "", "NULL", ["x,y", "{}"]]"#);
        let Value::List(items) = list else { panic!("{list:?}") };
        let text = array(Dialect::Postgres, &Kind::Text, &items).unwrap();
        assert_eq!(text, r#"{"a\"b\\",NULL,"","NULL",{"x,y","{}"}}"#);
    }

    #[test]
    fn times_are_sent_in_utc_and_in_the_form_of_the_database() {
        for (dialect, kind, text, expected) in [
            (Dialect::MySql, Kind::Timestamp, "2024-02-01T12:00:00+02:00", "2024-02-01 10:00:00"),
            (Dialect::MySql, Kind::Moment, "2024-02-01T10:00:00.25Z", "2024-02-01 10:00:00.25"),
            (
                Dialect::Postgres,
                Kind::Timestamp,
                "2024-02-01T12:00:00+02:00",
                "2024-02-01 10:00:00",
            ),
            (Dialect::Postgres, Kind::Moment, "2024-02-01", "2024-02-01T00:00:00Z"),
            (Dialect::Postgres, Kind::Date, "2024-02-01T23:30:00-02:00", "2024-02-02"),
            (Dialect::Postgres, Kind::Moment, "infinity", "infinity"),
            (Dialect::Sqlite, Kind::Any, "1.2.2024", "1.2.2024"),
        ] {
            assert_eq!(time(dialect, &kind, text), expected, "{text}");
        }
    }
}
