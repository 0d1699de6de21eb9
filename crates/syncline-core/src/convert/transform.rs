//! Transformations, bound once and applied to each value.

use super::coerce::{boolean, expected};
use super::dates::{self, Moment};
use super::expression::Expr;
use super::number::Number;
use super::row::{FieldPath, Row};
use super::text;
use crate::config::transform::PartWord;
use crate::value::{Cell, Value};
use compact_str::CompactString;
use regex::Regex;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// A value on its way through a mapping; borrowed from the record as long as nothing changes it.
pub(super) type Held<'a> = Option<Cow<'a, Value>>;

/// A bound transformation.
#[derive(Debug)]
pub(super) enum Step {
    /// On each item of a list, and on anything else that is there.
    Item(ItemStep),
    Concat {
        fields: Vec<FieldPath>,
        separator: String,
        before: String,
        after: String,
    },
    ToArray,
    ToText,
    ParseJson,
    StringifyJson,
    Custom(Expr),
    Map {
        values: FxHashMap<String, Value>,
        default: Option<Value>,
    },
    Default(Value),
}

/// A transformation of one value that is not null.
#[derive(Debug)]
pub(super) enum ItemStep {
    /// A change of text; `None` where it changes nothing.
    Text(fn(&str) -> Option<CompactString>),
    Truncate(usize),
    Replace {
        from: String,
        to: String,
    },
    RegexReplace {
        regex: Regex,
        to: String,
    },
    Split {
        on: String,
        take: Take,
    },
    Number(fn(Number) -> Number),
    Round(i8),
    Multiply(Number),
    Divide(Number),
    Add(Number),
    Convert {
        from: Number,
        to: Number,
        digits: i8,
    },
    ParseDate(Vec<String>),
    FormatDate(String),
    AddDays(i64),
    ToTimestamp,
    ToIsoText,
    ToDate,
    Extract(fn(jiff::civil::Date) -> i64),
    ToNumber,
    ToBoolean,
}

/// Which part of a split text is taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Take {
    Word(PartWord),
    Index(i32),
}

impl Step {
    /// What `held` becomes.
    ///
    /// # Errors
    ///
    /// Why it cannot be done to this value.
    pub(super) fn apply<'a>(&'a self, held: Held<'a>, row: &Row<'_>) -> Result<Held<'a>, String> {
        match (self, held) {
            (Self::ToArray, held) => Ok(Some(Cow::Owned(to_array(held)))),
            (Self::Default(value), held) => {
                Ok(Some(held.filter(|held| !is_empty(held)).unwrap_or(Cow::Borrowed(value))))
            }
            (Self::StringifyJson, Some(value)) => {
                Ok(Some(Cow::Owned(Value::text(value.to_json()))))
            }
            (Self::Custom(expr), Some(value)) => Ok(expr.eval(row, Some(&value))?.map(Cow::Owned)),
            (_, None) => Ok(None),
            (_, Some(null)) if null.is_null() => Ok(Some(null)),
            (step, Some(value)) => step.change(value, row).map(Some),
        }
    }

    fn change<'a>(
        &'a self,
        value: Cow<'a, Value>,
        row: &Row<'_>,
    ) -> Result<Cow<'a, Value>, String> {
        match self {
            Self::Item(step) => match value.as_ref() {
                Value::List(_) => step.each(value.into_owned()).map(Cow::Owned),
                _ => step.change(value),
            },
            Self::Concat { fields, separator, before, after } => {
                let mut parts = Vec::new();
                push_plain(&mut parts, &value);
                for field in fields {
                    if let Some(part) = row.get(field) {
                        push_plain(&mut parts, part);
                    }
                }
                let joined = parts.join(separator);
                Ok(Cow::Owned(Value::text(format!("{before}{joined}{after}"))))
            }
            Self::ToText => Ok(match value.as_ref() {
                Value::Text(_) => value,
                other => Cow::Owned(Value::text(other.to_plain())),
            }),
            Self::ParseJson => match value.as_ref() {
                Value::Text(text) if text.trim().is_empty() => Ok(Cow::Owned(Value::Null)),
                Value::Text(text) => serde_json::from_str(text)
                    .map(Cow::Owned)
                    .map_err(|error| format!("not JSON: {error}")),
                _ => Ok(value),
            },
            Self::Map { values, default } => {
                let found = values.get(&*value.to_plain()).or(default.as_ref());
                Ok(found.map_or(value, Cow::Borrowed))
            }
            // Taken care of above, as they have something to say about null.
            Self::ToArray | Self::StringifyJson | Self::Custom(_) | Self::Default(_) => Ok(value),
        }
    }
}

impl ItemStep {
    fn each(&self, list: Value) -> Result<Value, String> {
        match list {
            Value::List(items) => items
                .into_iter()
                .map(|item| self.each(item))
                .collect::<Result<_, _>>()
                .map(Value::List),
            Value::Null => Ok(Value::Null),
            item => self.change(Cow::Owned(item)).map(Cow::into_owned),
        }
    }

    fn change<'a>(&'a self, value: Cow<'a, Value>) -> Result<Cow<'a, Value>, String> {
        match self {
            Self::Text(change) => on_text(value, change),
            Self::Truncate(len) => on_text(value, |text| text::truncate(text, *len)),
            Self::Replace { from, to } => on_text(value, |text| {
                text.contains(from.as_str()).then(|| text.replace(from.as_str(), to).into())
            }),
            Self::RegexReplace { regex, to } => {
                on_text(value, |text| match regex.replace_all(text, to.as_str()) {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(changed) => Some(changed.into()),
                })
            }
            Self::Split { on, take } => {
                let plain = scalar(&value)?;
                Ok(Cow::Owned(split(&plain, on, *take)))
            }
            Self::ToBoolean if value.is_blank() => Ok(Cow::Owned(Value::Null)),
            Self::ToBoolean => {
                boolean(&value).map(Cow::Owned).ok_or_else(|| expected("true or false", &value))
            }
            Self::Number(_)
            | Self::Round(_)
            | Self::Multiply(_)
            | Self::Divide(_)
            | Self::Add(_)
            | Self::Convert { .. }
            | Self::ToNumber => {
                if is_empty(&value) {
                    return Ok(Cow::Owned(Value::Null));
                }
                let number = match value.as_ref() {
                    Value::Bool(b) if matches!(self, Self::ToNumber) => {
                        Some(Number::whole(i128::from(*b)))
                    }
                    other => Number::of(other),
                };
                let number = number.ok_or_else(|| expected("a number", &value))?;
                self.reckon(number)?.into_value().map(Cow::Owned)
            }
            _ if is_empty(&value) => Ok(Cow::Owned(Value::Null)),
            Self::ParseDate(formats) => parse_date(&value, formats).map(Cow::Owned),
            _ => self.date(&value).map(Cow::Owned),
        }
    }

    fn reckon(&self, number: Number) -> Result<Number, String> {
        Ok(match self {
            Self::Number(change) => change(number),
            Self::Round(places) => number.round(*places),
            Self::Multiply(by) => number.multiply(*by),
            Self::Divide(by) => number.divide(*by).ok_or("division by zero")?,
            Self::Add(other) => number.add(*other),
            Self::Convert { from, to, digits } => {
                let scaled = number.multiply(*to);
                scaled.divide(*from).ok_or("division by zero")?.round(*digits)
            }
            _ => number,
        })
    }

    fn date(&self, value: &Value) -> Result<Value, String> {
        let moment =
            Moment::of(value).ok_or_else(|| expected("a date or time in ISO form", value))?;
        let out_of_range = || expected("a date that stays between the years -9999 and 9999", value);
        match self {
            Self::FormatDate(format) => {
                moment.format(format).map(Value::text).map_err(|error| error.to_string())
            }
            Self::AddDays(days) => {
                moment.plus_days(*days).map(Moment::to_value).ok_or_else(out_of_range)
            }
            Self::ToTimestamp => moment
                .instant()
                .map(|instant| Moment::Instant(instant).to_value())
                .ok_or_else(out_of_range),
            Self::ToDate => Ok(Moment::Date(moment.date()).to_value()),
            Self::Extract(part) => Ok(Value::Int(part(moment.date()))),
            _ => Ok(moment.to_value()),
        }
    }
}

/// Whether there is nothing to reckon with: null or blank text.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.trim().is_empty(),
        _ => false,
    }
}

fn to_array(held: Held<'_>) -> Value {
    match held.map(Cow::into_owned) {
        None | Some(Value::Null) => Value::List(Vec::new()),
        Some(list @ Value::List(_)) => list,
        Some(one) => Value::List(vec![one]),
    }
}

fn on_text<'a>(
    value: Cow<'a, Value>,
    change: impl Fn(&str) -> Option<CompactString>,
) -> Result<Cow<'a, Value>, String> {
    let changed = change(&scalar(&value)?);
    Ok(changed.map_or(value, |text| Cow::Owned(Value::Text(text))))
}

fn scalar(value: &Value) -> Result<Cow<'_, str>, String> {
    match value {
        Value::List(_) | Value::Map(_) => Err(expected("text", value)),
        _ => Ok(value.to_plain()),
    }
}

fn push_plain(parts: &mut Vec<String>, value: &Value) {
    match value {
        Value::List(items) => items.iter().for_each(|item| push_plain(parts, item)),
        _ if is_empty(value) => {}
        _ => parts.push(value.to_plain().into_owned()),
    }
}

fn split(text: &str, on: &str, take: Take) -> Value {
    let mut parts = text.split(on);
    // Between words, more blanks than one divide no more than one does.
    let blank = on.trim().is_empty();
    let mut next = || parts.by_ref().find(|part| !blank || !part.trim().is_empty());
    let or_null = |cell: Cell| cell.unwrap_or(Value::Null);
    match take {
        Take::Word(PartWord::First) => or_null(next().map(Value::text)),
        Take::Word(PartWord::Last) => or_null(std::iter::from_fn(next).last().map(Value::text)),
        Take::Word(PartWord::All) => {
            Value::List(std::iter::from_fn(next).map(Value::text).collect())
        }
        Take::Word(PartWord::Rest) => {
            let rest: Vec<&str> = std::iter::from_fn(next).skip(1).collect();
            if rest.is_empty() { Value::Null } else { Value::text(rest.join(on)) }
        }
        Take::Index(index) => {
            let parts: Vec<&str> = std::iter::from_fn(next).collect();
            let from_end = || parts.len().checked_sub(index.unsigned_abs() as usize);
            let index = usize::try_from(index).ok().or_else(from_end);
            or_null(index.and_then(|index| parts.get(index)).map(Value::text))
        }
    }
}

fn parse_date(value: &Value, formats: &[String]) -> Result<Value, String> {
    let plain = scalar(value)?;
    formats
        .iter()
        .find_map(|format| dates::parse_format(format, &plain).ok())
        .map(Moment::to_value)
        .ok_or_else(|| expected(&format!("a date like `{}`", formats.join("` or `")), value))
}
