//! A row on its way out: cells by column, in the form that every format can take.

use std::borrow::Cow;
use syncline_core::config::model::FieldType;
use syncline_core::value::Value;

/// A column of what is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    /// Its name in the header; the key in JSON.
    pub(super) name: String,
    /// The type of its values.
    pub(super) field_type: FieldType,
}

impl Column {
    pub(super) fn new(name: &str, field_type: FieldType) -> Self {
        Self { name: name.to_owned(), field_type }
    }
}

/// A cell.
#[derive(Clone, Debug)]
pub(super) enum Cell<'a> {
    /// Nothing: an empty cell in CSV, no key in JSON.
    Absent,
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// A value of a shard's field.
    Value(&'a Value),
    /// JSON text.
    Json(&'a str),
}

impl<'a> Cell<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// The time at `at_us` microseconds since 1970 in RFC 3339 form.
    pub(super) fn time(at_us: Option<i64>) -> Self {
        match at_us.map(jiff::Timestamp::from_microsecond) {
            Some(Ok(time)) => Self::Text(Cow::Owned(time.to_string())),
            _ => Self::Absent,
        }
    }

    /// The cell in CSV; nothing and null are empty.
    pub(super) fn plain(&self) -> Cow<'_, str> {
        match self {
            Self::Absent => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Int(number) => Cow::Owned(number.to_string()),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Value(value) => value.to_plain(),
            Self::Json(json) => Cow::Borrowed(json),
        }
    }
}
