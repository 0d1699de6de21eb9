//! Where files are: listing what a path means, opening, and telling whether a file is still the
//! same.

use super::settings::Settings;
use crate::AdapterError;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

/// One file to be read.
pub(super) struct Place {
    /// As people know it: relative to the configuration where it is below it.
    pub(super) name: Arc<str>,
    kind: Kind,
}

enum Kind {
    Stdin,
    File(PathBuf),
    #[cfg(feature = "cloud")]
    Object(super::object_store::Object),
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stat {
    /// In bytes, as stored.
    pub(super) size: u64,
    /// The modified time, in nanoseconds since 1970.
    pub(super) modified: i64,
    /// An object's entity tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tag: Option<String>,
}

/// An opened file.
pub(super) struct Opened {
    /// Its bytes, as stored.
    pub(super) input: Box<dyn Read + Send>,
    /// What it was when it was opened; `None` for streams, which have no size and are never read
    /// again.
    pub(super) stat: Option<Stat>,
    /// How many of its bytes were taken so far.
    pub(super) taken: Arc<AtomicU64>,
    /// Whether reading failed in the system itself.
    pub(super) failed: Arc<AtomicBool>,
}

/// Counts what is read and remembers whether reading failed.
struct Tap<R> {
    inner: R,
    taken: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(out) {
            Ok(count) => {
                self.taken.fetch_add(count as u64, Ordering::Relaxed);
                Ok(count)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.failed.store(true, Ordering::Relaxed);
                }
                Err(error)
            }
        }
    }
}

impl Opened {
    fn new(input: impl Read + Send + 'static, stat: Option<Stat>) -> Self {
        let (taken, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let input = Box::new(Tap { inner: input, taken: taken.clone(), failed: failed.clone() });
        Self { input, stat, taken, failed }
    }
}

impl Place {
    /// What the settings' path means now, sorted by name.
    pub(super) fn list(settings: &Settings) -> Result<Vec<Self>, AdapterError> {
        if settings.is_stdin() {
            return Ok(vec![Self { name: "-".into(), kind: Kind::Stdin }]);
        }
        #[cfg(feature = "cloud")]
        if settings.is_remote() {
            return Ok(super::object_store::list(settings)?
                .into_iter()
                .map(|object| Self { name: object.name().into(), kind: Kind::Object(object) })
                .collect());
        }
        let path = settings.base.join(&settings.path);
        if settings.is_glob() && !path.exists() {
            return list_glob(settings);
        }
        Ok(vec![Self { name: settings.path.as_str().into(), kind: Kind::File(path) }])
    }

    /// What the file is now; `None` for streams.
    pub(super) fn stat(&self) -> Result<Option<Stat>, AdapterError> {
        match &self.kind {
            Kind::Stdin => Ok(None),
            Kind::File(path) => {
                fs::metadata(path).map(|meta| stat_of(&meta)).map_err(|error| self.error(&error))
            }
            #[cfg(feature = "cloud")]
            Kind::Object(object) => Ok(Some(object.stat())),
        }
    }

    /// Opens the file at its start.
    pub(super) fn open(&self) -> Result<Opened, AdapterError> {
        match &self.kind {
            Kind::Stdin => Ok(Opened::new(io::stdin(), None)),
            Kind::File(path) => {
                let meta = fs::metadata(path).map_err(|error| self.error(&error))?;
                if meta.is_dir() {
                    return Err(self.directory());
                }
                let file = File::open(path).map_err(|error| self.error(&error))?;
                let meta = file.metadata().map_err(|error| self.error(&error))?;
                Ok(Opened::new(file, stat_of(&meta)))
            }
            #[cfg(feature = "cloud")]
            Kind::Object(object) => {
                let (input, stat) = object.open()?;
                Ok(Opened::new(input, Some(stat)))
            }
        }
    }

    /// The error of a system that does not give the file, or stopped giving it.
    pub(super) fn error(&self, error: &io::Error) -> AdapterError {
        let what = self.name.to_string();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                AdapterError::Refused { what, problem: "there is no such file".to_owned() }
            }
            io::ErrorKind::PermissionDenied => {
                AdapterError::Refused { what, problem: "permission denied".to_owned() }
            }
            _ => {
                AdapterError::Unavailable { what, problem: error.to_string(), retry_after_ms: None }
            }
        }
    }

    /// The error of a file that is not what the settings say.
    pub(super) fn refused(&self, problem: impl Into<String>) -> AdapterError {
        AdapterError::Refused { what: self.name.to_string(), problem: problem.into() }
    }

    fn directory(&self) -> AdapterError {
        let glob = format!("{}/*.csv", self.name.trim_end_matches('/'));
        self.refused(format!(
            "it is a directory; name the files in it with a glob, such as `{glob}`"
        ))
    }
}

fn stat_of(meta: &Metadata) -> Option<Stat> {
    let since_1970 = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    meta.is_file().then(|| Stat {
        size: meta.len(),
        modified: since_1970.and_then(|time| i64::try_from(time.as_nanos()).ok()).unwrap_or(0),
        tag: None,
    })
}

fn list_glob(settings: &Settings) -> Result<Vec<Place>, AdapterError> {
    let refused = |problem: String| AdapterError::Refused { what: settings.path.clone(), problem };
    let pattern = if Path::new(&settings.path).is_absolute() {
        settings.path.clone()
    } else {
        let base = glob::Pattern::escape(&settings.base.to_string_lossy());
        if base.is_empty() { settings.path.clone() } else { format!("{base}/{}", settings.path) }
    };
    let found = glob::glob(&pattern).map_err(|error| {
        AdapterError::Settings(format!("`{}` is no glob: {}", settings.path, error.msg))
    })?;
    let mut places = Vec::new();
    for path in found {
        let path = path.map_err(|error| {
            refused(format!("`{}` cannot be listed: {}", error.path().display(), error.error()))
        })?;
        if !path.is_dir() {
            let shown = path.strip_prefix(&settings.base).unwrap_or(&path);
            places.push(Place {
                name: shown.to_string_lossy().into(),
                kind: Kind::File(path.clone()),
            });
        }
    }
    if places.is_empty() {
        return Err(refused("no file matches".to_owned()));
    }
    places.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(places)
}
