//! A configuration bound to its store, ready to run: what the program and the library work with.

use crate::error::Error;
use crate::preview::{Preview, PreviewOptions};
use crate::workspace::{Located, OpenOptions, Workspace, tokens_folder};
use compact_str::CompactString;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncline_core::config::Secrets;
use syncline_core::config::model::Config;
use syncline_core::plan::intent::Fingerprint;
use syncline_core::plan::program::Program;
use syncline_core::plan::rows::IntentState;
use syncline_core::record::Page;
use syncline_engine::execution::Options as EngineOptions;
use syncline_engine::{Report, SystemClock, Trigger, World, execute};
use syncline_store::Store;
use syncline_store::execution::Worker;
use syncline_store::overlay::OverlayStore;
use syncline_store::query::IntentFilter;
use syncline_store::sqlite::{Options as StoreOptions, SqliteStore};
use tokio_util::sync::CancellationToken;

/// A configuration bound to its store.
pub struct Syncline {
    world: Arc<World>,
    secrets: Secrets,
    located: Located,
    options: OpenOptions,
    store_path: PathBuf,
    /// Whether anything is sent to any system.
    sends: bool,
}

pub use syncline_engine::event::Listener;

/// How tasks are run.
#[derive(Clone, Default)]
pub struct RunOptions {
    /// Everything is read, changed or not.
    pub full: bool,
    /// Deletions pass, however many there are.
    pub allow_deletes: bool,
    /// What set it off.
    pub trigger: Trigger,
    /// Records that are run instead of what the connection holds.
    pub pages: Option<Vec<Page>>,
    /// The only records that are read, by external id, as they are now: one that is not there counts as deleted.
    pub records: Option<Vec<CompactString>>,
    /// Stops the run at its next batch border.
    pub cancel: CancellationToken,
    /// The only writes that are sent, as a saved plan names them; others stay owed. `None` lets all go.
    pub only: Option<Arc<BTreeSet<Fingerprint>>>,
    /// Told of everything that happens, from within the run: it must not block.
    pub on_event: Option<Listener>,
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("full", &self.full)
            .field("allow_deletes", &self.allow_deletes)
            .field("trigger", &self.trigger)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Syncline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syncline").field("located", &self.located).finish_non_exhaustive()
    }
}

impl Syncline {
    /// Reads, checks and compiles the configuration at `path` (a folder or a file), and opens its store, which is
    /// made where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with everything that is wrong with the configuration; [`Error::Store`] when the store
    /// cannot work.
    pub async fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, Error> {
        let located = Located::find(path.as_ref())?;
        Self::bind(Workspace::load(located, &options, |_| {})?).await
    }

    /// Opens the store of a configuration, and binds it.
    ///
    /// # Errors
    ///
    /// When the store cannot work.
    pub async fn bind(workspace: Workspace) -> Result<Self, Error> {
        let options = StoreOptions { tenant: tenant(&workspace), ..StoreOptions::default() };
        let store = SqliteStore::open(&workspace.store_path, options)?;
        Self::bind_to(workspace, Arc::new(store), true).await
    }

    /// Binds a configuration to a store in memory over its own one, which is read as it is now and never
    /// written. Where it has no store yet, it starts out empty.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn over_memory(workspace: Workspace) -> Result<(Self, Arc<OverlayStore>), Error> {
        let overlay = if workspace.store_path.exists() {
            let options = StoreOptions {
                tenant: tenant(&workspace),
                read_only: true,
                snapshot: true,
                ..StoreOptions::default()
            };
            let base = SqliteStore::open(&workspace.store_path, options)?;
            OverlayStore::over(Arc::new(base))
        } else {
            OverlayStore::empty()
        };
        let overlay = Arc::new(overlay);
        let sync = Self::bind_to(workspace, overlay.clone(), false).await?;
        Ok((sync, overlay))
    }

    /// Binds a configuration that stands in no file to a store that is open.
    ///
    /// # Errors
    ///
    /// When the configuration cannot be compiled, or the store cannot work.
    pub(crate) async fn of(
        config: Config,
        store: Arc<dyn Store>,
        store_path: &Path,
    ) -> Result<Self, Error> {
        let program = Program::compile(&config).map_err(|problems| {
            let problems: Vec<String> = problems.into_iter().map(|one| one.message).collect();
            Error::refused(problems.join("; "), "give the field or the stream another name")
        })?;
        let located = Located { folder: PathBuf::from("."), files: Vec::new() };
        let secrets = Secrets::default();
        let world = World::open(config, program, &located.folder, store, secrets.clone()).await?;
        let (options, store_path) = (OpenOptions::default(), store_path.to_owned());
        Ok(Self { world: Arc::new(world), secrets, located, options, store_path, sends: true })
    }

    async fn bind_to(
        workspace: Workspace,
        store: Arc<dyn Store>,
        sends: bool,
    ) -> Result<Self, Error> {
        let Workspace { located, options, store_path, loaded, program } = workspace;
        let world =
            World::open(loaded.config, program, &located.folder, store, loaded.secrets.clone())
                .await?;
        if !store_path.as_os_str().is_empty() {
            world.shared.keep_in(tokens_folder(&store_path));
        }
        let world = Arc::new(world).sized().await?;
        let secrets = loaded.secrets;
        Ok(Self { world, secrets, located, options, store_path, sends })
    }

    /// Runs one task, or all tasks in the order of their names. Records that are refused, and reads that fail,
    /// are in the reports.
    ///
    /// # Errors
    ///
    /// When there is no such task, or one could not be run at all (the store cannot work, another process runs
    /// the task): tasks after that one are not run.
    pub async fn run(&self, task: Option<&str>, options: RunOptions) -> Result<Vec<Report>, Error> {
        let tasks = match task {
            Some(task) => vec![task.to_owned()],
            None => self.tasks(),
        };
        let mut reports = Vec::with_capacity(tasks.len());
        for task in &tasks {
            reports.push(self.run_task(task, options.clone()).await?);
        }
        for task in &tasks {
            if self.owes(task).await? {
                let options = RunOptions { pages: Some(Vec::new()), ..options.clone() };
                reports.push(self.run_task(task, options).await?);
            }
        }
        Ok(reports)
    }

    /// Whether the connection of a task is owed writes. A task that runs later decides them too; running it with no
    /// records ([`RunOptions::pages`]) sends them.
    ///
    /// # Errors
    ///
    /// When there is no such task, or the store cannot be read.
    pub async fn owes(&self, task: &str) -> Result<bool, Error> {
        let (_, entity) = self.world.task(task)?;
        let rules = self.world.rules.entities.get(&entity);
        let two_way = rules.and_then(|rules| rules.two_way.as_ref());
        if !self.sends || two_way.is_none_or(|two_way| two_way.outbound.is_none()) {
            return Ok(false);
        }
        let (states, limit) = (vec![IntentState::Planned], 1000);
        let mut filter =
            IntentFilter { entity: Some(entity), states, limit, ..IntentFilter::default() };
        loop {
            let planned = self.store().intents(filter.clone()).await?;
            // What was refused is tried again by the next run.
            if planned.iter().any(|intent| intent.problem.is_none()) {
                return Ok(true);
            }
            let Some(last) = planned.last() else { return Ok(false) };
            filter.after = last.id;
        }
    }

    /// Runs one task.
    ///
    /// # Errors
    ///
    /// When there is no such task, or it could not be run at all.
    pub async fn run_task(&self, task: &str, options: RunOptions) -> Result<Report, Error> {
        self.know(task)?;
        tracing::debug!(task, full = options.full, trigger = options.trigger.as_str(), "execution");
        let options = EngineOptions {
            trigger: options.trigger,
            worker: Worker::current(),
            full: options.full,
            allow_deletes: options.allow_deletes,
            pages: options.pages,
            records: options.records,
            hold: !self.sends,
            only: options.only,
            cancel: options.cancel,
            on_event: options.on_event,
            seed: random_bits(),
        };
        let report = execute(&self.world, task, &SystemClock, options).await?;
        tracing::debug!(task, status = report.status, execution = report.execution, "ended");
        Ok(report)
    }

    /// Tells what a run would change, and writes nothing. The configuration is read again, as it is now.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong by now, or the store cannot be read.
    pub async fn preview(&self, options: PreviewOptions) -> Result<Preview, Error> {
        self.store().settle().await?;
        let workspace = Workspace::load(self.located.clone(), &self.options, |_| {})?;
        Preview::of(workspace, options).await
    }

    /// The tasks, in the order of their names.
    pub fn tasks(&self) -> Vec<String> {
        self.world.config.sync_tasks.keys().cloned().collect()
    }

    /// Makes sure that there is a task of this name.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] with the nearest name, when there is none.
    pub fn know(&self, task: &str) -> Result<(), Error> {
        let tasks = &self.world.config.sync_tasks;
        if tasks.contains_key(task) {
            return Ok(());
        }
        Err(Error::unknown_task(task, tasks.keys().map(String::as_str)))
    }

    /// The compiled configuration, bound to the store.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.world.store
    }

    /// Where the store is kept.
    pub fn store_path(&self) -> &Path {
        &self.store_path
    }

    /// The folder that relative paths of the configuration start from.
    pub fn folder(&self) -> &Path {
        &self.located.folder
    }

    /// The secrets of the configuration: whatever is printed goes through [`Secrets::scrub`].
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

/// Different each time.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of the library where chance comes from"
)]
pub(crate) fn random_bits() -> u64 {
    // The lower half is random but for two bits; the time in the upper half makes up for these.
    let (time, random) = uuid::Uuid::now_v7().as_u64_pair();
    time.rotate_left(32) ^ random
}

fn tenant(workspace: &Workspace) -> String {
    workspace.config().tenant.clone().unwrap_or_else(|| "default".to_owned())
}
