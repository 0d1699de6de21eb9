//! Tokens that outlast the process: a file for each connection, which its owner alone can read. A lock beside it lets
//! one process at a time ask for a new token.

use super::super::trouble::Trouble;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// A token, and what the next one is asked for with.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct Tokens {
    pub(in super::super) access_token: Option<String>,
    /// Until when it holds, in microseconds since 1970.
    pub(in super::super) until: i64,
    pub(in super::super) refresh_token: Option<String>,
}

/// The tokens of one connection, by what they are asked for with.
#[derive(Clone, Debug)]
pub(in super::super) struct TokenFile {
    path: PathBuf,
}

/// While it is held, no other process asks for a token of the connection.
pub(in super::super) struct Held {
    _lock: File,
}

impl TokenFile {
    /// The file of the connection `name` in `folder`.
    pub(in super::super) fn new(folder: &Path, name: &str) -> Self {
        let name = super::super::interpolate::digest::percent_encode(name, "_-", false);
        Self { path: folder.join(format!("{name}.json")) }
    }

    /// Waits until no other process asks for a token of the connection.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub(in super::super) async fn lock(&self) -> Result<Held, Trouble> {
        let path = self.path.with_extension("lock");
        let locked = tokio::task::spawn_blocking(move || {
            if let Some(folder) = path.parent() {
                make_private(folder)?;
            }
            let lock = private().truncate(false).open(&path)?;
            lock.lock()?;
            Ok(lock)
        });
        let locked = locked.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        locked.map(|lock| Held { _lock: lock }).map_err(|error| self.trouble("lock", &error))
    }

    /// The tokens that are asked for with `key`.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read.
    pub(in super::super) fn get(&self, key: &str) -> Result<Tokens, Trouble> {
        Ok(self.all()?.remove(key).unwrap_or_default())
    }

    /// Keeps tokens. A crash leaves the old ones or the new ones.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(in super::super) fn set(&self, key: &str, tokens: &Tokens) -> Result<(), Trouble> {
        let mut all = self.all()?;
        all.insert(key.to_owned(), tokens.clone());
        let write = || {
            let beside = self.path.with_extension("new");
            let mut file = private().truncate(true).open(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(&all)?)?;
            file.sync_all()?;
            fs::rename(beside, &self.path)
        };
        write().map_err(|error| self.trouble("write", &error))
    }

    fn all(&self) -> Result<BTreeMap<String, Tokens>, Trouble> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|_| self.trouble("read", &io::Error::other("it is no file of tokens"))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(self.trouble("read", &error)),
        }
    }

    fn trouble(&self, verb: &str, error: &io::Error) -> Trouble {
        Trouble::config(format!("cannot {verb} the tokens in {}: {error}", self.path.display()))
    }
}

/// Opens files that nobody else can read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
