//! What every command is handed: the global options, and ways to open what they name.

use crate::cli::Globals;
use crate::error::Error;
use crate::output::Output;
use crate::workspace::{Located, Workspace};
use crate::{OpenOptions, Syncline};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use syncline_core::config::Secrets;
use syncline_store::Store;
use syncline_store::sqlite::{Options, SqliteStore};
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// The global options, and ways to open what they name.
#[derive(Debug)]
pub struct App {
    /// Where a command prints.
    pub out: Output,
    /// The configuration, where a command takes no path of its own; a folder or a file.
    pub config: Option<PathBuf>,
    /// How the configuration and the store are opened.
    pub options: OpenOptions,
}

impl App {
    /// Takes over the global options; `--debug` begins to log.
    pub fn new(globals: &Globals) -> Self {
        let out = Output::new(globals.json, globals.quiet);
        if globals.debug {
            log_to_stderr(out.secrets());
        }
        let variables = globals.vars.iter().cloned().collect();
        let options = OpenOptions { store: globals.store.clone(), variables };
        Self { out, config: globals.config.clone(), options }
    }

    /// Loads and checks the configuration at `path` (a folder or a file), or at `--config`, or in the current
    /// folder. Opens no store.
    ///
    /// # Errors
    ///
    /// When there is none, or it is wrong.
    pub fn load(&self, path: Option<&Path>) -> Result<Workspace, Error> {
        self.keep_place(path);
        let located = Located::find(self.path(path))?;
        let loaded = Workspace::load(located, &self.options, |secrets| self.keep(secrets));
        if let Ok(workspace) = &loaded {
            tracing::debug!(folder = %workspace.located.folder.display(), store = %workspace.store_path.display(),
                tasks = workspace.config().sync_tasks.len(), "configuration loaded");
        }
        loaded
    }

    /// As [`App::load`], for training its models: it does not matter whether they are trained yet.
    ///
    /// # Errors
    ///
    /// As [`App::load`].
    pub fn load_untrained(&self, path: Option<&Path>) -> Result<Workspace, Error> {
        self.keep_place(path);
        let located = Located::find(self.path(path))?;
        Workspace::load_untrained(located, &self.options, |secrets| self.keep(secrets))
    }

    /// Loads the configuration, and opens its store for writing; makes it where there is none.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or the store cannot work.
    pub async fn open(&self, path: Option<&Path>) -> Result<Syncline, Error> {
        Syncline::bind(self.load(path)?).await
    }

    /// Loads the configuration, and opens its store for reading; what is registered or planned lands in
    /// memory. For commands that need the rules, and change nothing.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or there is no store, or it cannot work.
    pub async fn open_to_read(&self, path: Option<&Path>) -> Result<Syncline, Error> {
        let workspace = self.load(path)?;
        if !workspace.store_path.exists() {
            return Err(Error::NoStore(workspace.store_path));
        }
        let (sync, _) = Syncline::over_memory(workspace).await?;
        Ok(sync)
    }

    /// Opens the store alone, for reading: `--store`, or what the configuration names. The configuration may
    /// be wrong elsewhere, and with `--store` there needs to be none.
    ///
    /// # Errors
    ///
    /// When there is no store, or it cannot work.
    pub fn open_store(&self, path: Option<&Path>) -> Result<Arc<dyn Store>, Error> {
        let (store, tenant) = self.store(path)?;
        let options = Options { tenant, read_only: true, ..Options::default() };
        Ok(Arc::new(SqliteStore::open(store, options)?))
    }

    /// As [`App::open_store`], for a command that writes to the store without running a task.
    ///
    /// # Errors
    ///
    /// When there is no store, or it cannot work.
    pub fn open_store_to_write(&self, path: Option<&Path>) -> Result<Arc<dyn Store>, Error> {
        let (store, tenant) = self.store(path)?;
        Ok(Arc::new(SqliteStore::open(store, Options { tenant, ..Options::default() })?))
    }

    /// The path of a store that is there, and the tenant that it should belong to; empty for any.
    fn store(&self, path: Option<&Path>) -> Result<(PathBuf, String), Error> {
        self.keep_place(path);
        let peeked = Located::find(self.path(path)).and_then(|located| {
            Workspace::peek(located, &self.options, |secrets| self.keep(secrets))
        });
        let is_named = path.is_some() || self.config.is_some();
        let (store, tenant) = match &self.options.store {
            // A configuration that happens to lie in the current folder has no say in whose store it is.
            Some(store) if !is_named => (store.clone(), String::new()),
            _ => peeked?,
        };
        tracing::debug!(store = %store.display(), "opening the store");
        if store.exists() { Ok((store, tenant)) } else { Err(Error::NoStore(store)) }
    }

    fn path<'a>(&'a self, path: Option<&'a Path>) -> &'a Path {
        path.or(self.config.as_deref()).unwrap_or(Path::new("."))
    }

    /// Remembers what advice has to add to a command, so that it means this project from this folder.
    fn keep_place(&self, path: Option<&Path>) {
        let mut options = Vec::new();
        let path = self.path(path);
        if path != Path::new(".") {
            options.push(format!("--config {}", quoted(path)));
        }
        for (name, value) in &self.options.variables {
            options.push(format!("--var {}", quoted(Path::new(&format!("{name}={value}")))));
        }
        if let Some(store) = &self.options.store {
            options.push(format!("--store {}", quoted(store)));
        }
        self.out.keep_place(options.join(" "));
    }

    /// Remembers the secrets of a configuration, so that nothing prints them.
    fn keep(&self, secrets: &Secrets) {
        let mut kept = self.out.secrets().write().unwrap_or_else(PoisonError::into_inner);
        *kept = secrets.clone();
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn log_to_stderr(secrets: &Arc<RwLock<Secrets>>) {
    let targets =
        std::env::var("SYNCLINE_LOG").ok().and_then(|asked| asked.parse::<Targets>().ok());
    // A target stands for all whose name it begins: `syncline` for its crates, too.
    let targets = targets.unwrap_or_else(|| {
        Targets::new().with_target("syncline", Level::DEBUG).with_default(Level::WARN)
    });
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Scrubbing(secrets.clone()));
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(targets));
    // Only a second subscriber in one process is refused; the first one goes on.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// Takes the secrets out of what is logged. Each event comes in one write.
struct Scrubbing(Arc<RwLock<Secrets>>);

impl<'a> MakeWriter<'a> for Scrubbing {
    type Writer = ScrubbingLine;

    fn make_writer(&'a self) -> ScrubbingLine {
        ScrubbingLine { secrets: self.0.clone(), line: Vec::new() }
    }
}

struct ScrubbingLine {
    secrets: Arc<RwLock<Secrets>>,
    line: Vec<u8>,
}

impl Write for ScrubbingLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ScrubbingLine {
    fn drop(&mut self) {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&self.line);
        // A log that cannot be written must not stop the work.
        drop(io::stderr().write_all(secrets.scrub(&text).as_bytes()));
    }
}
