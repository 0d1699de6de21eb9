//! The adapters of this build, by name: the one list that help, docs and forms are made from.

use crate::carddav::CarddavAdapter;
use crate::file::FileAdapter;
use crate::manifest::{FailureKind, ManifestAdapter};
use crate::sql::SqlAdapter;
use crate::subprocess::{Dialect, SubprocessAdapter};
use crate::{Adapter, AdapterError, Shared};
use std::path::Path;
use std::sync::Arc;
use syncline_core::config::model::Connection;

/// The names that a connection's `adapter` can have.
pub const ADAPTERS: &[&str] =
    &["file", "postgres", "mysql", "sqlite", "manifest", "carddav", "singer", "airbyte"];

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
    let program = |dialect: Dialect| -> Result<Arc<dyn Adapter>, AdapterError> {
        let kept = shared.kept(name);
        Ok(Arc::new(SubprocessAdapter::new(connection, base, dialect, kept)?))
    };
    match connection.adapter.as_str() {
        "file" => Ok(Arc::new(FileAdapter::new(connection, base)?)),
        "postgres" | "mysql" | "sqlite" => Ok(Arc::new(SqlAdapter::new(connection, base)?)),
        "carddav" => Ok(Arc::new(CarddavAdapter::new(connection)?)),
        "manifest" => manifest(connection, base, name, shared),
        "singer" => program(Dialect::Singer),
        "airbyte" => program(Dialect::Airbyte),
        other => Err(AdapterError::UnknownAdapter(other.to_owned())),
    }
}

/// Reads a manifest, or has the reference implementation read one that needs what only that has.
fn manifest(
    connection: &Connection,
    base: &Path,
    name: &str,
    shared: &Shared,
) -> Result<Arc<dyn Adapter>, AdapterError> {
    let trouble = match ManifestAdapter::new(connection, base, name, shared) {
        Ok(adapter) => return Ok(Arc::new(adapter)),
        Err(trouble) => trouble,
    };
    let handed = match trouble.kind {
        FailureKind::Unsupported => {
            SubprocessAdapter::reference(connection, base, &trouble.message, shared.kept(name))?
        }
        _ => None,
    };
    match handed {
        Some(adapter) => Ok(Arc::new(adapter)),
        None if trouble.kind == FailureKind::Unsupported => Err(AdapterError::Settings(format!(
            "{}; or install `airbyte-cdk`, whose `{}` then reads it as a program",
            trouble.message,
            SubprocessAdapter::REFERENCE
        ))),
        None => Err(AdapterError::Settings(trouble.message)),
    }
}
