//! What is known of a table: its columns, their types, and what is unique in it.

use super::session::{Fault, FaultKind};
use compact_str::CompactString;
use syncline_core::problem::nearest;

/// A table's name, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableName {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

/// A table as its database describes it.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// The schema where it was found; empty where there are none.
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Sets of columns of which no two rows hold the same values.
    pub(super) unique: Vec<Vec<CompactString>>,
    /// Whether it is a view, which is only read.
    pub(super) is_view: bool,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Column {
    pub(super) name: CompactString,
    pub(super) kind: Kind,
    /// The type as SQL spells it, without length and precision, so that a cast to it cuts nothing off.
    pub(super) sql_type: String,
    pub(super) nullable: bool,
    /// The database alone says what it holds.
    pub(super) generated: bool,
    /// The database makes a value where none is given.
    pub(super) serial: bool,
    /// How many places of a second a time keeps.
    pub(super) places: Option<u32>,
    /// The character set and collation of text, where a comparison has to name them.
    pub(super) collation: Option<(String, String)>,
}

/// How the values of a column are read and written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Float,
    /// Digits, kept as they are.
    Decimal,
    Text,
    /// Shown as Base64.
    Bytes,
    Json,
    Date,
    /// Without a time zone.
    Timestamp,
    /// A moment, shown in UTC.
    Moment,
    Array(Box<Kind>),
    /// Each value says what it is (SQLite).
    Any,
    /// Shown and taken as the database's own text.
    #[default]
    Other,
}

impl Kind {
    /// The word for it, for people.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Float | Self::Decimal => "number",
            Self::Bytes => "base64",
            Self::Json => "json",
            Self::Date => "date",
            Self::Timestamp | Self::Moment => "timestamp",
            Self::Array(_) => "list",
            Self::Any => "any",
            Self::Text | Self::Other => "text",
        }
    }

    /// Whether values are numbers.
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Decimal)
    }
}

impl Column {
    /// The column is not of the type any more that it was described with: the same bytes of another type would pass for
    /// an edit.
    pub(super) fn is_now(&self, sql_type: impl std::fmt::Display) -> Fault {
        let (name, was) = (&self.name, self.kind.word());
        let problem = format!("the column `{name}` is now of the type {sql_type}, and was {was}");
        Fault::new(FaultKind::Refused, problem)
    }
}

impl Table {
    /// The column `name`.
    ///
    /// # Errors
    ///
    /// When there is none; the message has the name that was probably meant.
    pub(super) fn column(&self, name: &str) -> Result<&Column, Fault> {
        self.find(name).ok_or_else(|| {
            let names = self.columns.iter().map(|column| column.name.as_str());
            let hint = match nearest(name, names) {
                Some(meant) => format!("; did you mean `{meant}`?"),
                None => String::new(),
            };
            let problem = format!("the table `{}` has no column `{name}`{hint}", self.name);
            Fault::new(FaultKind::Refused, problem)
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether no two rows hold the same values in `key`.
    pub(super) fn is_unique(&self, key: &[String]) -> bool {
        let covers = |unique: &Vec<CompactString>| {
            unique.iter().all(|name| key.iter().any(|field| field == name))
        };
        self.unique.iter().any(covers)
    }
}

/// There is no such table; `names` are those that there are.
pub(super) fn no_table(wanted: &TableName, names: &[String]) -> Fault {
    let place = wanted.schema.as_ref().map_or(String::new(), |s| format!(" in schema `{s}`"));
    let hint = match nearest(&wanted.name, names.iter().map(String::as_str)) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None if names.is_empty() => "; the user sees no table at all".to_owned(),
        None => {
            let shown: Vec<String> = names.iter().take(12).map(|n| format!("`{n}`")).collect();
            let more = if names.len() > shown.len() { ", …" } else { "" };
            format!("; there are {}{more}", shown.join(", "))
        }
    };
    Fault::new(FaultKind::Refused, format!("there is no table `{}`{place}{hint}", wanted.name))
}
