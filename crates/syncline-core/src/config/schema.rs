//! The JSON Schema of a configuration: for editors, and for the check of a configuration's shape.
//!
//! It follows from the types alone. It is kept as a file all the same, which a test compares with them: the code that
//! derives it from the types was an eighth of what this crate compiles, and ran at every start.

use serde_json::Value;
use std::sync::LazyLock;

/// Marks another spelling of a key with the key that it stands for.
pub(super) const ALIAS_OF: &str = "x-alias-of";

/// The JSON Schema (draft 2020-12) of a configuration file.
pub fn json_schema() -> Value {
    SCHEMA.clone()
}

/// Every load asks for it.
pub(super) static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| kept(include_str!("schema/config.json")));

/// The JSON Schema (draft 2020-12) of a `write.yaml`: how the streams of a connector are written.
pub fn write_json_schema() -> Value {
    kept(include_str!("schema/write.json"))
}

// A test reads both.
fn kept(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
