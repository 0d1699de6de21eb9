//! What outlasts the process and is no record: tokens, configurations that programs changed, shares of rates. Files of a
//! connection in a folder beside the store, which their owner alone can read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// What is kept of one connection, by key. A lock beside it lets one process at a time change it.
#[derive(Clone, Debug)]
pub(crate) struct KeptFile {
    path: PathBuf,
}

/// While it is held, no other process changes what is kept of the connection.
pub(crate) struct Held {
    _lock: File,
}

impl KeptFile {
    /// The file of the connection `name` in `folder`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(format!("{}.json", file_stem(name))) }
    }

    /// Waits until no other process changes what is kept of the connection.
    ///
    /// # Errors
    ///
    /// Why not, for people, when the folder cannot be written.
    pub(crate) async fn lock(&self) -> Result<Held, String> {
        let path = self.path.with_extension("lock");
        let locked = tokio::task::spawn_blocking(move || {
            let lock = private_file(&path)?;
            lock.lock()?;
            Ok(lock)
        });
        let locked = locked.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        locked.map(|lock| Held { _lock: lock }).map_err(|error| self.problem("lock", &error))
    }

    /// What is kept under `key`.
    ///
    /// # Errors
    ///
    /// Why not, for people, when the file is there and cannot be read.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        let kept = self.all()?.remove(key).map(serde_json::from_value).transpose();
        kept.map_err(|error| self.problem("read", &error.into()))
    }

    /// Keeps `value` under `key`. A crash leaves what was there before or what is there now.
    ///
    /// # Errors
    ///
    /// Why not, for people, when the file cannot be written.
    pub(crate) fn set(&self, key: &str, value: &impl Serialize) -> Result<(), String> {
        let mut all = self.all()?;
        let write = |all: &mut BTreeMap<String, Json>| {
            all.insert(key.to_owned(), serde_json::to_value(value)?);
            let beside = self.path.with_extension("new");
            let mut file = private_file(&beside)?;
            file.set_len(0)?;
            file.write_all(&serde_json::to_vec_pretty(all)?)?;
            file.sync_all()?;
            fs::rename(beside, &self.path)
        };
        write(&mut all).map_err(|error| self.problem("write", &error))
    }

    fn all(&self) -> Result<BTreeMap<String, Json>, String> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|_| self.problem("read", &io::Error::other("it is no such file"))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(self.problem("read", &error)),
        }
    }

    fn problem(&self, verb: &str, error: &io::Error) -> String {
        format!("cannot {verb} what is kept of the connection in {}: {error}", self.path.display())
    }
}

/// How files of the connection `name` begin.
pub(crate) fn file_stem(name: &str) -> String {
    crate::manifest::percent_encode(name, "_-", false)
}

/// Opens a file that nobody else can read, and makes it, with its folder, where it is not there.
///
/// # Errors
///
/// When it cannot be opened or made.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                make_private(folder)?;
            }
            options.open(path)
        }
        opened => opened,
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
