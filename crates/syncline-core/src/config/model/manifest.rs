//! Connectors that a manifest describes, and which of their streams are read.

use crate::value::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Which connector it is, and what it is configured with.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ManifestSettings {
    /// The manifest: a file, or a folder with a `manifest.yaml` in it, relative to the configuration.
    pub manifest: Option<String>,
    /// The connector's own configuration: what its specification asks for.
    pub config: BTreeMap<String, Value>,
    /// Whether requests may go to private addresses: this machine, or others of its network. Default: false.
    pub allow_private: bool,
}

impl fmt::Debug for ManifestSettings {
    /// Leaves the connector's configuration out, which holds its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestSettings").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

/// Which stream of a connector is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StreamSettings {
    /// The stream. Default: the entity's name.
    pub stream: Option<String>,
}
