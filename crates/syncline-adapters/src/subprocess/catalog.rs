//! Which stream of a program is wanted, and the catalog that asks for it.

use serde_json::Value as Json;
use syncline_core::config::model::ReadMode;

/// What an entity's settings ask for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) stream: String,
    pub(super) namespace: Option<String>,
    pub(super) replication: Option<ReadMode>,
    /// The field that says when a record changed.
    pub(super) modified: Option<String>,
}

/// A stream as it is going to be read.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    /// The name that its messages have.
    pub(super) stream: String,
    pub(super) namespace: Option<String>,
    /// The catalog that the program is handed.
    pub(super) catalog: Json,
    /// Whether a later read goes on where this one ends; else each begins at the start.
    pub(super) goes_on: bool,
}

impl Wanted {
    /// What is said where the catalog, which has `names`, has no such stream.
    pub(super) fn missing<'a>(&self, names: impl Iterator<Item = &'a str>) -> String {
        let names: Vec<&str> = names.collect();
        let there = match names.as_slice() {
            [] => "its catalog is empty".to_owned(),
            names => format!("it has {}", names.join(", ")),
        };
        format!("there is no stream `{}`; {there}", self.stream)
    }
}
