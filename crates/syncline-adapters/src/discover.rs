//! What a sample tells of its fields.

use crate::DiscoveredEntity;
use jiff::civil::{Date, DateTime};
use syncline_core::record::Page;
use syncline_core::value::Value;

/// An entity of which a sample tells all that there is to know.
pub(crate) fn entity(name: &str, sample: Page) -> DiscoveredEntity {
    DiscoveredEntity { name: name.to_owned(), fields: fields(&sample), sample }
}

/// The fields of a sample in order, each with the kinds of value it holds, joined by ` | ` in the
/// order in which they were first seen: `text`, `integer`, `number`, `boolean`, `date`,
/// `timestamp`, `list`, `map`, `null`. A field that every record lacks has no kind.
fn fields(sample: &Page) -> Vec<(String, String)> {
    let names = sample.shape.names().iter().enumerate();
    names
        .map(|(index, name)| {
            let mut kinds: Vec<&str> = Vec::new();
            for value in sample.records.iter().filter_map(|record| record.cell(index)) {
                let kind = kind(value);
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            (name.to_string(), kinds.join(" | "))
        })
        .collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Int(_) => "integer",
        Value::Text(text) => text_kind(text),
        other => other.kind(),
    }
}

fn text_kind(text: &str) -> &'static str {
    let starts_like_date = text.len() >= 10 && text.as_bytes()[..4].iter().all(u8::is_ascii_digit);
    if !starts_like_date || text.as_bytes()[4] != b'-' {
        "text"
    } else if text.len() == 10 && text.parse::<Date>().is_ok() {
        "date"
    } else if text.parse::<jiff::Timestamp>().is_ok() || text.parse::<DateTime>().is_ok() {
        "timestamp"
    } else {
        "text"
    }
}
