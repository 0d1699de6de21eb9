//! The columns of a sample: top-level fields, and the parts of maps below them.

use super::column::{Guess, guess};
use super::names;
use syncline_core::record::Page;
use syncline_core::value::Value;

/// The most parts of one map that become columns of their own.
const PARTS_MAX: usize = 40;

/// A column.
pub(super) struct Column<'a> {
    /// How a mapping names it: `a`, or `a.b` for a part of a map.
    pub(super) path: String,
    /// The words of its own name.
    pub(super) words: Vec<String>,
    /// The field that it would become.
    pub(super) field: Option<String>,
    /// What it holds.
    pub(super) guess: Guess,
    /// Its values by record.
    pub(super) values: Vec<Option<&'a Value>>,
}

impl<'a> Column<'a> {
    fn new(path: String, name: &str, values: Vec<Option<&'a Value>>) -> Self {
        let words = names::words(name);
        let guess = guess(&words, values.iter().copied());
        Self { path, field: names::field(name), words, guess, values }
    }

    /// Whether the column has this known field's name.
    pub(super) fn is(&self, field: &str) -> bool {
        self.field.as_deref() == Some(field)
    }
}

/// The columns of a sample in its order.
pub(super) fn columns(sample: &Page) -> Vec<Column<'_>> {
    let mut columns = Vec::new();
    for (index, name) in sample.shape.names().iter().enumerate() {
        let values = sample.records.iter().map(|record| record.cell(index)).collect();
        add(name.to_string(), name, values, 0, &mut columns);
    }
    columns
}

fn add<'a>(
    path: String,
    name: &str,
    values: Vec<Option<&'a Value>>,
    depth: usize,
    out: &mut Vec<Column<'a>>,
) {
    let parts = if depth < 2 { parts(&values) } else { None };
    let Some(parts) = parts.filter(|_| !path.contains('.') || depth > 0) else {
        out.push(Column::new(path, name, values));
        return;
    };
    for part in parts {
        let below = values
            .iter()
            .map(|value| match value {
                Some(Value::Map(entries)) => entries.iter().find(|(key, _)| key == part),
                _ => None,
            })
            .map(|entry| entry.map(|(_, value)| value));
        add(format!("{path}.{part}"), part, below.collect(), depth + 1, out);
    }
}

/// The names of the parts where every value is a map, and a path can reach each part.
fn parts<'a>(values: &[Option<&'a Value>]) -> Option<Vec<&'a str>> {
    let mut parts: Vec<&str> = Vec::new();
    for value in values.iter().flatten().filter(|value| !value.is_null()) {
        let Value::Map(entries) = value else { return None };
        for (key, _) in entries {
            if key.is_empty() || key.contains('.') || key.trim() != key.as_str() {
                return None;
            }
            if !parts.contains(&key.as_str()) {
                parts.push(key);
            }
        }
    }
    (!parts.is_empty() && parts.len() <= PARTS_MAX).then_some(parts)
}
