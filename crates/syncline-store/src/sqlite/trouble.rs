//! What SQLite's errors mean to the store's callers.

use crate::StoreError;
use rusqlite::{Error, ErrorCode};

/// The error for the callers of the store at `path`, who wanted to be `doing` (`open`, `read`, `write`).
pub(super) fn trouble(path: &str, doing: &'static str, error: &Error) -> StoreError {
    let path = path.to_owned();
    let damaged = |path, problem: String| StoreError::Damaged { path, problem };
    let Some(code) = error.sqlite_error_code() else {
        return damaged(path, error.to_string());
    };
    let (problem, transient) = match code {
        ErrorCode::NotADatabase => return damaged(path, "it is not a database".into()),
        ErrorCode::DatabaseCorrupt => return damaged(path, error.to_string()),
        ErrorCode::DiskFull => ("the disk is full".into(), false),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            ("another program holds it locked; wait for it to end, or end it".into(), true)
        }
        ErrorCode::ReadOnly => ("the file or its folder is read-only".into(), false),
        ErrorCode::PermissionDenied => ("permission denied".into(), false),
        ErrorCode::CannotOpen => {
            ("no such file, or no permission for it or its folder".into(), false)
        }
        ErrorCode::SystemIoFailure => (format!("the disk failed: {error}"), false),
        _ => (error.to_string(), false),
    };
    StoreError::Unusable { path, doing, problem, transient }
}
