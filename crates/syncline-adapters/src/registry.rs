//! The adapters of this build, by name: the one list that help, docs and forms are made from.

use crate::file::FileAdapter;
use crate::manifest::ManifestAdapter;
use crate::sql::SqlAdapter;
use crate::subprocess::{Dialect, SubprocessAdapter};
use crate::{Adapter, AdapterError};
use std::path::Path;
use std::sync::Arc;
use syncline_core::config::model::Connection;

/// The names that a connection's `adapter` can have.
pub const ADAPTERS: &[&str] =
    &["file", "postgres", "mysql", "sqlite", "manifest", "singer", "airbyte"];

/// Opens the adapter of `connection`; `base` is the folder of the configuration, to which relative paths
/// belong. Nothing is read yet.
///
/// # Errors
///
/// [`AdapterError::UnknownAdapter`], or [`AdapterError::Settings`] for the first entity whose settings
/// cannot work.
pub fn open(connection: &Connection, base: &Path) -> Result<Arc<dyn Adapter>, AdapterError> {
    match connection.adapter.as_str() {
        "file" => Ok(Arc::new(FileAdapter::new(connection, base)?)),
        "postgres" | "mysql" | "sqlite" => Ok(Arc::new(SqlAdapter::new(connection, base)?)),
        "manifest" => Ok(Arc::new(ManifestAdapter::new(connection, base)?)),
        "singer" => Ok(Arc::new(SubprocessAdapter::new(connection, base, Dialect::Singer)?)),
        "airbyte" => Ok(Arc::new(SubprocessAdapter::new(connection, base, Dialect::Airbyte)?)),
        other => Err(AdapterError::UnknownAdapter(other.to_owned())),
    }
}
