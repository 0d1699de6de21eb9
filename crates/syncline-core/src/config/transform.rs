//! The transformations that a mapping can name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A transformation: its name alone, or its name with what it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransformSpec {
    /// Without blanks at both ends.
    Trim,
}
