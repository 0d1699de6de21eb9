//! The last step of a mapping: a value becomes one of its shard field's type, or it is refused.

use super::dates::Moment;
use super::number::Number;
use crate::config::model::FieldType;
use crate::value::Value;
use compact_str::CompactString;
use std::borrow::Cow;

/// `value` as one of type `to`. Null stays null; blank text becomes null in every field but text and JSON.
///
/// # Errors
///
/// What was expected instead of `value`.
pub(super) fn coerce(value: Cow<'_, Value>, to: FieldType) -> Result<Value, String> {
    match (to, value.as_ref()) {
        (_, Value::Null) => Ok(Value::Null),
        (FieldType::Text, Value::Text(_)) | (FieldType::Boolean, Value::Bool(_)) => {
            Ok(value.into_owned())
        }
        (FieldType::Integer | FieldType::Number, Value::Int(i)) => Ok(Value::Int(*i)),
        (FieldType::Json, _) => Ok(storable(value)),
        (FieldType::List, Value::List(_)) => Ok(storable(value)),
        (FieldType::Text, _) => text(&value),
        (_, Value::Text(text)) if text.trim().is_empty() => Ok(Value::Null),
        (FieldType::Integer, _) => integer(&value),
        (FieldType::Number, _) => number(&value),
        (FieldType::Decimal, _) => decimal(&value),
        (FieldType::Boolean, _) => boolean(&value).ok_or_else(|| expected("true or false", &value)),
        (FieldType::Date, _) => date(&value),
        (FieldType::Timestamp, _) => timestamp(&value),
        (FieldType::List, _) => Err(expected("a list", &value)),
    }
}

/// True or false, where `value` says so in any of the usual ways.
pub(super) fn boolean(value: &Value) -> Option<Value> {
    let answer = match value {
        Value::Bool(b) => *b,
        Value::Int(1) => true,
        Value::Int(0) => false,
        Value::Text(text) => {
            let text = text.trim();
            let is = |words: [&str; 6]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
            if is(["true", "yes", "1", "y", "t", "on"]) {
                true
            } else if is(["false", "no", "0", "n", "f", "off"]) {
                false
            } else {
                return None;
            }
        }
        _ => return None,
    };
    Some(Value::Bool(answer))
}

/// What a message says when `value` is not `what`.
pub(super) fn expected(what: &str, value: &Value) -> String {
    let article = if matches!(value, Value::Null | Value::Text(_)) { "" } else { "a " };
    match value {
        Value::List(_) | Value::Map(_) => {
            format!("expected {what}, found {article}{}", value.kind())
        }
        _ => format!(
            "expected {what}, found {article}{} `{}`",
            value.kind(),
            clip(&value.to_plain())
        ),
    }
}

/// The first 60 characters of `text`, for messages.
pub(super) fn clip(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn text(value: &Value) -> Result<Value, String> {
    match value {
        Value::List(_) | Value::Map(_) => Err(expected("text", value)),
        _ => Ok(Value::text(value.to_plain())),
    }
}

fn integer(value: &Value) -> Result<Value, String> {
    let whole = Number::of(value)
        .and_then(Number::as_whole)
        .ok_or_else(|| expected("a whole number", value))?;
    i64::try_from(whole)
        .map(Value::Int)
        .map_err(|_| expected("a whole number between -2^63 and 2^63 - 1", value))
}

fn number(value: &Value) -> Result<Value, String> {
    let number = Number::of(value).ok_or_else(|| expected("a number", value))?;
    match number.into_value()? {
        Value::Decimal(digits) if digits.parse::<u64>().is_ok() => Ok(Value::Decimal(digits)),
        Value::Decimal(digits) if !digits.contains('.') => {
            Err(expected("a number of at most 64 bits (a decimal field holds any)", value))
        }
        Value::Decimal(_) => Ok(Value::Float(number.to_f64())),
        exact => Ok(exact),
    }
}

fn decimal(value: &Value) -> Result<Value, String> {
    let digits = Number::of(value).ok_or_else(|| expected("a decimal number", value))?;
    Ok(Value::text(digits.to_plain()))
}

fn date(value: &Value) -> Result<Value, String> {
    match value {
        // The date as it was written, whatever the offset of the time beside it.
        Value::Text(text) => match Moment::parse(text) {
            Some(moment) => {
                let written = text.trim().get(..10).and_then(Moment::parse).unwrap_or(moment);
                Ok(Moment::Date(written.date()).to_value())
            }
            None => Err(expected("a date such as `2025-12-09`", value)),
        },
        _ => Err(expected("a date such as `2025-12-09`", value)),
    }
}

fn timestamp(value: &Value) -> Result<Value, String> {
    let instant = match value {
        Value::Bool(_) => None,
        _ => Moment::of(value).and_then(Moment::instant),
    };
    instant
        .map(|instant| Moment::Instant(instant).to_value())
        .ok_or_else(|| expected("a time such as `2025-12-09T10:00:00Z`", value))
}

/// Stored JSON has no digits beyond 64 bits but as text; so they become text here, to read back the same.
fn storable(value: Cow<'_, Value>) -> Value {
    if has_long_digits(&value) { with_text_digits(value.into_owned()) } else { value.into_owned() }
}

fn has_long_digits(value: &Value) -> bool {
    match value {
        Value::Decimal(digits) => digits.parse::<u64>().is_err(),
        Value::List(items) => items.iter().any(has_long_digits),
        Value::Map(entries) => entries.iter().any(|(_, value)| has_long_digits(value)),
        _ => false,
    }
}

fn with_text_digits(value: Value) -> Value {
    match value {
        Value::Decimal(digits) if digits.parse::<u64>().is_err() => Value::Text(digits),
        Value::List(items) => Value::List(items.into_iter().map(with_text_digits).collect()),
        Value::Map(entries) => {
            let entry = |(key, value): (CompactString, Value)| (key, with_text_digits(value));
            Value::Map(entries.into_iter().map(entry).collect())
        }
        other => other,
    }
}
