//! What a target remembers between runs: the last state that is safe, and which versions of streams have begun. It
//! is a file beside the store, written before a state is printed.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use syncline_adapters::singer::State;

pub(super) struct Memory {
    path: PathBuf,
    connection: String,
    all: BTreeMap<String, Known>,
}

/// What is known of the taps of one connection.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    /// The last state that was printed; `None` once a run that began after it came to its end.
    state: Option<State>,
    /// How many states there were before.
    number: u64,
    versions: BTreeMap<String, i64>,
}

impl Memory {
    /// What is remembered beside the store at `store` of the taps of `connection`.
    pub(super) fn open(store: &Path, connection: &str) -> Result<Self, Error> {
        let mut path = OsString::from(store);
        path.push(".target.json");
        let path = PathBuf::from(path);
        let all = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Error::Read { path: path.clone(), source: error.into() })?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(Error::Read { path, source }),
        };
        Ok(Self { path, connection: connection.to_owned(), all })
    }

    /// Where the tap goes on, if its last run broke off, and how many states there were before.
    pub(super) fn since(&self) -> (Option<State>, u64) {
        let known = self.all.get(&self.connection);
        known.map_or((None, 0), |known| (known.state.clone(), known.number))
    }

    /// The versions of streams that have begun.
    pub(super) fn versions(&self) -> BTreeMap<String, i64> {
        self.all.get(&self.connection).map_or_else(BTreeMap::new, |known| known.versions.clone())
    }

    /// Remembers that a version of a stream has begun.
    pub(super) fn begin(&mut self, stream: &str, version: i64) -> Result<(), Error> {
        self.known().versions.insert(stream.to_owned(), version);
        self.save()
    }

    /// Remembers a state before which everything is safe.
    pub(super) fn keep(&mut self, state: State) -> Result<(), Error> {
        let known = self.known();
        (known.number, known.state) = (state.number, Some(state));
        self.save()
    }

    /// Remembers that a run came to its end. If records came behind its last state, the next run brings them again.
    pub(super) fn end(&mut self, goes_past_state: bool) -> Result<(), Error> {
        let known = self.known();
        if goes_past_state && known.state.is_some() {
            return Ok(());
        }
        (known.number, known.state) = (known.number + 1, None);
        self.save()
    }

    fn known(&mut self) -> &mut Known {
        self.all.entry(self.connection.clone()).or_default()
    }

    fn save(&self) -> Result<(), Error> {
        let written = || -> io::Result<()> {
            let beside = self.path.with_extension("new");
            let mut file = File::create(&beside)?;
            serde_json::to_writer(&mut file, &self.all)?;
            file.flush()?;
            file.sync_all()?;
            std::fs::rename(&beside, &self.path)
        };
        written().map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}
