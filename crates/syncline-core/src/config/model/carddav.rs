//! Address books on a CardDAV server.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a CardDAV server is reached.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct CarddavSettings {
    /// The address of the server, of a user's home there, or of the address book itself. From the first two, address
    /// books are found as RFC 6764 and RFC 6352 say.
    pub url: Option<String>,
    /// The user who reads and writes.
    pub user: Option<String>,
    /// The user's password, such as `${env:CONTACTS_PASSWORD}`.
    pub password: Option<String>,
    /// Whether the password may go over the network without encryption, to an address that begins with `http:`. Default
    /// false; to this machine it always may.
    pub allow_http: Option<bool>,
    /// How long an answer may take, in seconds. Default 60.
    pub timeout_s: Option<u32>,
}

impl fmt::Debug for CarddavSettings {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CarddavSettings")
            .field("url", &self.url)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Which address book is read and written, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct AddressBookSettings {
    /// The name of the address book, as people see it or as its address ends. Default: the one that there is.
    pub address_book: Option<String>,
    /// The version of vCards that are made; others keep theirs. Default `v3`.
    pub vcard_version: Option<VcardVersion>,
}

/// A version of the vCard format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum VcardVersion {
    /// 3.0 (RFC 2426), which every server and app knows.
    #[default]
    V3,
    /// 4.0 (RFC 6350).
    V4,
}
