//! The settings of a connection and its tables, checked.

use super::mysql::{self, MySqlServer};
use super::postgres::PostgresServer;
use super::session::{Database, Patience};
use super::sqlite::SqliteFile;
use super::table::TableName;
use super::tls;
use crate::AdapterError;
use mysql_async::OptsBuilder;
use std::path::{Path, PathBuf};
use std::time::Duration;
use syncline_core::config::model::{
    Connection, Entity, EntitySettings, LogicalReplication, ServerSettings, Settings, Tls,
};
use tokio_postgres::config::SslMode;

const CONNECT_TIMEOUT_S: u32 = 10;
const LOCK_TIMEOUT_S: u32 = 10;
const STATEMENT_TIMEOUT_S: u32 = 60;

/// How one entity's table is read and written.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) table: TableName,
    /// The columns that name a row.
    pub(super) key: Vec<String>,
    pub(super) modified: Option<String>,
    /// The columns that are read; all where there are none.
    pub(super) columns: Option<Vec<String>>,
    pub(super) version: Option<String>,
    pub(super) marker: Option<String>,
    /// The slot and publication by which changes are followed, where they are.
    pub(super) logical_replication: Option<LogicalReplication>,
}

impl Spec {
    pub(super) fn new(
        connection: &Connection,
        name: &str,
        entity: &Entity,
    ) -> Result<Self, AdapterError> {
        let wrong = |problem: &str| AdapterError::Settings(format!("entity `{name}`: {problem}"));
        let EntitySettings::Table(own) = &entity.settings else {
            return Err(wrong("its settings are not those of a table"));
        };
        let all = match &connection.settings {
            Settings::Server(all) => all.schema.clone(),
            _ => None,
        };
        let table = own.table.clone().unwrap_or_else(|| name.to_owned());
        let spec = Self {
            table: TableName { schema: own.schema.clone().or(all), name: table },
            key: entity.key.as_slice().to_vec(),
            modified: entity.modified.clone(),
            columns: own.columns.clone(),
            version: entity.version.clone(),
            marker: own.marker.clone(),
            logical_replication: own.logical_replication.clone(),
        };
        if let Some(replication) = &spec.logical_replication {
            if connection.adapter != "postgres" {
                return Err(wrong("only `postgres` has `logical_replication`"));
            }
            if !LogicalReplication::is_slot(&replication.slot) {
                return Err(wrong(&format!("a `slot` is named {}", LogicalReplication::SLOTS)));
            }
            let publication = replication.publication.as_ref();
            if publication.is_some_and(|name| name.is_empty() || name.contains('\0')) {
                return Err(wrong("the name of the `publication` is empty, or has a NUL in it"));
            }
        }
        if spec.key.is_empty() {
            return Err(wrong("`key` names no column"));
        }
        let names = spec.names().chain([&spec.table.name]).chain(&spec.table.schema);
        if names.into_iter().any(|name| name.is_empty() || name.contains('\0')) {
            return Err(wrong("a name of a table or column is empty, or has a NUL in it"));
        }
        Ok(spec)
    }

    /// All columns that the settings name.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        let others = [&self.modified, &self.version, &self.marker].into_iter().flatten();
        self.key.iter().chain(others).chain(self.columns.iter().flatten())
    }
}

/// The database of `connection`, whose relative paths start at `base`.
///
/// # Errors
///
/// [`AdapterError::Settings`] where the settings cannot work.
pub(super) fn database(
    connection: &Connection,
    base: &Path,
) -> Result<Box<dyn Database>, AdapterError> {
    let missing = |key: &str| AdapterError::Settings(format!("`settings`: `{key}` is missing"));
    match &connection.settings {
        Settings::Sqlite(settings) => {
            let path = settings.path.as_ref().ok_or_else(|| missing("path"))?;
            let lock_timeout = seconds(settings.lock_timeout_s, LOCK_TIMEOUT_S);
            Ok(Box::new(SqliteFile { path: base.join(path), lock_timeout }))
        }
        Settings::Server(settings) => {
            if settings.database.is_none() {
                return Err(missing("database"));
            }
            if settings.user.is_none() {
                return Err(missing("user"));
            }
            let ca = authorities(settings, base)?;
            if connection.adapter == "mysql" {
                return Ok(Box::new(mysql_server(settings, ca)));
            }
            Ok(Box::new(postgres_server(settings, ca.as_deref())?))
        }
        Settings::File(_) | Settings::Manifest(_) | Settings::Carddav(_) | Settings::Program(_) => {
            Err(AdapterError::Settings("the settings are not those of a database".to_owned()))
        }
    }
}

/// The file that certificates are checked against, where they are.
fn authorities(settings: &ServerSettings, base: &Path) -> Result<Option<PathBuf>, AdapterError> {
    match (settings.tls, &settings.ca_file) {
        (Some(Tls::VerifyFull), Some(path)) => Ok(Some(base.join(path))),
        (Some(Tls::VerifyFull), None) => Err(AdapterError::Settings(
            "`settings`: `tls: verify_full` needs `ca_file`, the authorities that are trusted"
                .to_owned(),
        )),
        (_, Some(_)) => Err(AdapterError::Settings(
            "`settings`: `ca_file` has an effect with `tls: verify_full` only".to_owned(),
        )),
        (_, None) => Ok(None),
    }
}

fn mysql_server(settings: &ServerSettings, ca: Option<PathBuf>) -> MySqlServer {
    let host = settings.host.clone().unwrap_or_else(|| "localhost".to_owned());
    let socket = host.starts_with('/').then(|| host.clone());
    let builder = OptsBuilder::default()
        .user(settings.user.clone())
        .pass(settings.password.clone())
        .db_name(settings.database.clone())
        .tcp_port(settings.port.unwrap_or(3306))
        .prefer_socket(false)
        .client_found_rows(true)
        .stmt_cache_size(32_usize);
    let builder = match &socket {
        Some(path) => builder.socket(Some(path.clone())),
        None => builder.ip_or_hostname(host),
    };
    let tls = if socket.is_some() { Tls::Disable } else { settings.tls.unwrap_or(Tls::Prefer) };
    let encrypted =
        (tls != Tls::Disable).then(|| builder.clone().ssl_opts(Some(mysql::ssl(ca))).into());
    MySqlServer {
        plain: builder.into(),
        encrypted,
        must_encrypt: matches!(tls, Tls::Require | Tls::VerifyFull),
        patience: patience(settings),
    }
}

fn postgres_server(
    settings: &ServerSettings,
    ca: Option<&Path>,
) -> Result<PostgresServer, AdapterError> {
    let host = settings.host.as_deref().unwrap_or("localhost");
    let mut config = tokio_postgres::Config::new();
    config
        .host(host)
        .port(settings.port.unwrap_or(5432))
        .application_name("syncline")
        .dbname(settings.database.as_deref().unwrap_or_default())
        .user(settings.user.as_deref().unwrap_or_default());
    if let Some(password) = &settings.password {
        config.password(password);
    }
    let tls =
        if host.starts_with('/') { Tls::Disable } else { settings.tls.unwrap_or(Tls::Prefer) };
    config.ssl_mode(match tls {
        Tls::Disable => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::VerifyFull => SslMode::Require,
    });
    let wrong = |problem| AdapterError::Settings(format!("`settings`: {problem}"));
    Ok(PostgresServer {
        config,
        tls: (tls != Tls::Disable).then(|| tls::config(ca)).transpose().map_err(wrong)?,
        patience: patience(settings),
    })
}

fn patience(settings: &ServerSettings) -> Patience {
    Patience {
        connect: seconds(settings.connect_timeout_s, CONNECT_TIMEOUT_S),
        statement: seconds(settings.statement_timeout_s, STATEMENT_TIMEOUT_S),
    }
}

fn seconds(setting: Option<u32>, default: u32) -> Duration {
    Duration::from_secs(u64::from(setting.unwrap_or(default)))
}
