//! The adapters of this build, by name: the one list that help, docs and forms are made from.

use crate::carddav::CarddavAdapter;
use crate::file::FileAdapter;
use crate::manifest::ManifestAdapter;
use crate::sql::SqlAdapter;
use crate::{Adapter, AdapterError, Shared};
use std::path::Path;
use std::sync::Arc;
use syncline_core::config::model::Connection;

/// The names that a connection's `adapter` can have.
pub const ADAPTERS: &[&str] = &["file", "postgres", "mysql", "sqlite", "manifest", "carddav"];

/// Opens the adapter of `connection`; `base` is the folder of the configuration, to which relative paths
/// belong. Nothing is read yet.
///
/// # Errors
///
/// [`AdapterError::UnknownAdapter`], or [`AdapterError::Settings`] for the first entity whose settings
/// cannot work.
pub fn open(connection: &Connection, base: &Path) -> Result<Arc<dyn Adapter>, AdapterError> {
    open_sharing(connection, base, "", &Shared::default())
}

/// The same, for the connection `name` of a tenant whose adapters share limits and tokens.
///
/// # Errors
///
/// As [`open`].
pub fn open_sharing(
    connection: &Connection,
    base: &Path,
    name: &str,
    shared: &Shared,
) -> Result<Arc<dyn Adapter>, AdapterError> {
    match connection.adapter.as_str() {
        "file" => Ok(Arc::new(FileAdapter::new(connection, base)?)),
        "postgres" | "mysql" | "sqlite" => Ok(Arc::new(SqlAdapter::new(connection, base)?)),
        "carddav" => Ok(Arc::new(CarddavAdapter::new(connection)?)),
        "manifest" => Ok(Arc::new(ManifestAdapter::new(connection, base, name, shared)?)),
        other => Err(AdapterError::UnknownAdapter(other.to_owned())),
    }
}
