//! One JSON object as the cells of a record, without a tree in between.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::sync::Arc;
use syncline_core::record::Shape;
use syncline_core::value::{Cell, Value};

/// A read whose records have few of very many keys must not pay for all of them in each.
const CELLS_RESERVED_MAX: usize = 64;

/// The object in `json` as cells under `shape`, which grows by the names that are new.
///
/// # Errors
///
/// What is wrong with the text, and at which column.
pub(crate) fn cells(json: &[u8], shape: &mut Arc<Shape>) -> Result<Vec<Cell>, String> {
    let text = std::str::from_utf8(json).map_err(|error| {
        format!("byte {} is not valid text in this encoding", error.valid_up_to() + 1)
    })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Cells { shape, cells: Vec::new() }
        .deserialize(&mut deserializer)
        .and_then(|cells| deserializer.end().map(|()| cells))
        .map_err(|error| shorten(&error))
}

/// The parser's message, with the column only: its line is always 1 here.
pub(crate) fn shorten(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    let (row, column) = (error.line(), error.column());
    match row {
        0 => text,
        1 => format!("{} at column {column}", &text[..end]),
        _ => format!("{} at column {column} of the element's line {row}", &text[..end]),
    }
}

struct Cells<'a> {
    shape: &'a mut Arc<Shape>,
    cells: Vec<Cell>,
}

impl<'de> DeserializeSeed<'de> for Cells<'_> {
    type Value = Vec<Cell>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Cell>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cells<'_> {
    type Value = Vec<Cell>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Vec<Cell>, A::Error> {
        self.cells.reserve(self.shape.names().len().min(CELLS_RESERVED_MAX));
        let mut expected = 0;
        while let Some(index) = map.next_key_seed(Key { shape: self.shape, expected })? {
            let value = Some(map.next_value::<Value>()?);
            if index == self.cells.len() {
                self.cells.push(value);
            } else {
                if index > self.cells.len() {
                    self.cells.resize(index + 1, None);
                }
                self.cells[index] = value;
            }
            expected = index + 1;
        }
        Ok(self.cells)
    }
}

/// The index of a key. Records mostly have the same keys in the same order, so the one that
/// followed last time is tried before any hashing.
struct Key<'a> {
    shape: &'a mut Arc<Shape>,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<usize, E> {
        if self.shape.names().get(self.expected).is_some_and(|name| name == key) {
            return Ok(self.expected);
        }
        Ok(match self.shape.position(key) {
            Some(index) => index,
            None => Arc::make_mut(self.shape).intern(key),
        })
    }
}
