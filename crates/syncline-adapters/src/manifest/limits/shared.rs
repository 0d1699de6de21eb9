//! Rates that several processes keep together: a file that each locks while it takes a slice of them.

use super::super::trouble::Trouble;
use super::pace::Standing;
use crate::kept::private_file;
use std::fs::TryLockError;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;

/// The rates of one connection, or of one tenant, in a file.
pub(super) struct SharedRates {
    path: PathBuf,
}

impl SharedRates {
    /// Those in the file `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Changes what stands in the file; whether it did, since another process may be about it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub(super) fn change(&self, change: impl FnOnce(&mut Standing)) -> Result<bool, Trouble> {
        self.try_change(change).map_err(|error| {
            let path = self.path.display();
            Trouble::config(format!("cannot share the rates of the connection in {path}: {error}"))
        })
    }

    fn try_change(&self, change: impl FnOnce(&mut Standing)) -> io::Result<bool> {
        let mut file = private_file(&self.path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // What a process that died left half written says nothing.
        let mut standing = serde_json::from_slice(&bytes).unwrap_or_default();
        change(&mut standing);
        let bytes = serde_json::to_vec(&standing)?;
        file.rewind()?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)?;
        Ok(true)
    }
}
