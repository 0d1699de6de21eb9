//! Connectors that a manifest describes, and which of their streams are read.

use crate::value::Value;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Which connector it is, and what it is configured with.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct ManifestSettings {
    /// The manifest: a file, or a folder with a `manifest.yaml` in it, relative to the configuration; or the name of
    /// a built-in connector.
    pub manifest: Option<String>,
    /// The connector's own configuration: what its specification asks for.
    pub config: BTreeMap<String, Value>,
    /// Whether requests may go to private addresses: this machine, or others of its network. Default: false.
    pub allow_private: bool,
    /// How fast the system may be asked.
    pub limits: CallLimits,
    /// How `syncline connect` gets access, where a person has to grant it.
    pub oauth: Option<OAuthSettings>,
}

/// How a person grants access (OAuth 2, authorization code). What is left out is that of the manifest's authenticator.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OAuthSettings {
    /// Where the person grants access.
    pub authorize_url: String,
    /// Where tokens are asked for.
    #[serde(default)]
    pub token_url: Option<String>,
    /// What names this program there.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Its secret, where it has one.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// What access is asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The port on this machine that the browser is sent to. Default: any free one.
    #[serde(default)]
    pub redirect_port: u16,
    /// Further parameters of the address, such as `access_type: offline`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

impl fmt::Debug for OAuthSettings {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("OAuthSettings");
        shown.field("authorize_url", &self.authorize_url).finish_non_exhaustive()
    }
}

/// How fast a system may be asked. What it says of its own limits is kept besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CallLimits {
    /// So many calls in so much time, whatever they do; several hold at once.
    pub rates: Vec<CallRate>,
    /// The same for single operations.
    pub operations: OperationLimits,
    /// The share of calls that is kept for writes. Default 0.1.
    pub reserve: f64,
    /// The longest that a call waits for its turn, in seconds; after that, the read or write is tried again later.
    /// Default 600.
    pub wait_max_s: u64,
    /// When the system is left alone for a while.
    pub breaker: CallBreaker,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            rates: Vec::new(),
            operations: OperationLimits::default(),
            reserve: 0.1,
            wait_max_s: 600,
            breaker: CallBreaker::default(),
        }
    }
}

/// How often single operations may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct OperationLimits {
    /// Reading.
    pub fetch: Option<CallRate>,
    /// Making records.
    pub create: Option<CallRate>,
    /// Changing records.
    pub update: Option<CallRate>,
    /// Deleting records.
    pub delete: Option<CallRate>,
}

/// So many calls in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CallRate {
    /// How many calls.
    pub calls: u32,
    /// In how many seconds.
    pub per_s: f64,
}

/// When a system is left alone for a while: it failed again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CallBreaker {
    /// After so many calls in a row that nobody answered, or that ended in a 5xx. Default 10.
    pub failures: u32,
    /// For how many seconds; then one call is let through, whose outcome decides. Default 60.
    pub pause_s: u64,
}

impl Default for CallBreaker {
    fn default() -> Self {
        Self { failures: 10, pause_s: 60 }
    }
}

impl fmt::Debug for ManifestSettings {
    /// Leaves the connector's configuration out, which holds its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestSettings").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

/// Which stream of a connector is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct StreamSettings {
    /// The stream. Default: the entity's name.
    pub stream: Option<String>,
}
