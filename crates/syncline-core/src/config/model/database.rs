//! How databases are reached, and how their tables are read and written.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a database server is reached.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct ServerSettings {
    /// The server's name or address, or the path of its Unix socket. Default `localhost`.
    pub host: Option<String>,
    /// The port. Default 5432 for `postgres`, 3306 for `mysql`.
    pub port: Option<u16>,
    /// The database.
    pub database: Option<String>,
    /// The user: one of its own, that may do no more than the tasks need.
    pub user: Option<String>,
    /// The user's password, such as `${env:CRM_PASSWORD}`.
    pub password: Option<String>,
    /// Whether the connection is encrypted, and the server's certificate checked. Default `prefer`.
    pub tls: Option<Tls>,
    /// The certificates of the authorities that are trusted, as a PEM file relative to the configuration.
    /// Needed for `verify_full`.
    pub ca_file: Option<String>,
    /// The schema of the tables. Default: for `postgres` the first of the user's search path that has the table,
    /// for `mysql` the database.
    pub schema: Option<String>,
    /// How long a connection may take, in seconds. Default 10.
    pub connect_timeout_s: Option<u32>,
    /// How long a statement may take, in seconds. Default 60.
    pub statement_timeout_s: Option<u32>,
}

impl fmt::Debug for ServerSettings {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// How far a connection to a server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server can; its certificate is not checked.
    Prefer,
    /// Encrypted, or refused; its certificate is not checked.
    Require,
    /// Encrypted, and the certificate must be for this host and from an authority in `ca_file`.
    VerifyFull,
}

/// Where a SQLite database is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct SqliteSettings {
    /// The path of the database file, relative to the configuration. A missing file is an error.
    pub path: Option<String>,
    /// How long to wait for another program's lock, in seconds. Default 10.
    pub lock_timeout_s: Option<u32>,
}

/// Which table is read and written, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default)]
pub struct TableSettings {
    /// The table or view. Default: the entity's name.
    pub table: Option<String>,
    /// The schema of the table. Default: the connection's.
    pub schema: Option<String>,
    /// The columns that are read, besides those of the key. Default: all.
    pub columns: Option<Vec<String>>,
    /// A text column, best with a unique index, that takes the mark of records that Syncline creates, where
    /// the database makes the key.
    pub marker: Option<String>,
    /// Reads what changed from the log of a PostgreSQL server. Default: changes are found by the task's
    /// `cursor_field`, or by reading all.
    pub logical_replication: Option<LogicalReplication>,
}

/// What a PostgreSQL server keeps for a task that follows the changes of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LogicalReplication {
    /// The replication slot, which Syncline makes, and makes anew where it is lost. Its name begins with
    /// `syncline_`. A slot serves one task.
    pub slot: String,
    /// The publication that names the table. Default: the slot's name.
    #[serde(default)]
    pub publication: Option<String>,
}

impl LogicalReplication {
    /// How slots are named, for people. A slot is dropped and made anew where it is lost, so only slots that are
    /// surely ours are taken.
    pub const SLOTS: &str =
        "`syncline_…`, with small letters, digits and `_`, of at most 63 characters";

    /// Whether a slot may be named `name`.
    pub fn is_slot(name: &str) -> bool {
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let own = name.strip_prefix("syncline_");
        own.is_some_and(|own| !own.is_empty() && own.bytes().all(is_plain)) && name.len() <= 63
    }
}
