//! What it takes to run a task, and what comes of it.

use crate::clock::Clock;
use crate::event::Listener;
use crate::steps;
use crate::world::World;
use compact_str::CompactString;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use syncline_adapters::AdapterError;
use syncline_core::plan::intent::Fingerprint;
use syncline_core::plan::planner::PlanError;
use syncline_core::plan::writes::Counters;
use syncline_core::record::Page;
use syncline_store::StoreError;
use syncline_store::execution::Worker;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// How a task is to be run.
#[derive(Clone, Default)]
pub struct Options {
    /// What set it off.
    pub trigger: Trigger,
    /// Who runs it.
    pub worker: Worker,
    /// Whether everything is read, whatever the task's mode.
    pub full: bool,
    /// Whether deletions pass the fuse.
    pub allow_deletes: bool,
    /// Records that are run instead of what the adapter would read: replayed dead letters.
    pub pages: Option<Vec<Page>>,
    /// The only records that are read, by external id, as they are now: one that is not there counts as deleted.
    pub records: Option<Vec<CompactString>>,
    /// Whether nothing is sent to any system, as in a preview: what is owed is decided all the same.
    pub hold: bool,
    /// The only writes that are sent, as a saved plan names them; others stay owed. `None` lets all go.
    pub only: Option<Arc<BTreeSet<Fingerprint>>>,
    /// Stops the execution at the next batch border.
    pub cancel: CancellationToken,
    /// Told of everything that happens. Called from the execution: it must not block.
    pub on_event: Option<Listener>,
    /// Random bits for ids and jitter.
    pub seed: u64,
}

/// What set an execution off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person, or a program that called.
    #[default]
    Manual,
    /// The task's schedule.
    Schedule,
    /// What failed is tried again.
    Retry,
    /// The connection's system said that something had changed.
    Webhook,
}

impl Trigger {
    /// The trigger's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::Retry => "retry",
            Self::Webhook => "webhook",
        }
    }
}

/// What came of an execution.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The task.
    pub task: String,
    /// The execution's UUID.
    pub execution: String,
    /// `success`, `partial`, `failed` or `cancelled`.
    pub status: String,
    /// What became of the records.
    pub results: Counters,
    /// Why the status is not `success`, for people.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What people should know of a read that went well, such as why everything was read again.
    pub remark: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Whether it went on where a dead worker stopped.
    pub resumed: bool,
    /// Whether the source had nothing new, so that nothing was written.
    pub unchanged: bool,
    /// Whether all that was to be read was read, and the fuse held nothing back.
    #[serde(skip)]
    pub complete: bool,
    /// Whether the connection's system is owed writes that could not be sent, or of which nobody knows what became: another
    /// run may do better.
    #[serde(skip)]
    pub owes: bool,
}

/// Why a task could not be run at all. What goes wrong with single records is in the [`Report`].
#[derive(Debug, Error)]
pub enum EngineError {
    /// There is no such task.
    #[error("there is no task `{0}`")]
    UnknownTask(String),
    /// The connection's adapter cannot work.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The store cannot work, or another worker runs the task.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What a person wants decided cannot be.
    #[error("{0}")]
    Undecidable(String),
    /// What is stored does not fit together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A part of the execution broke down: a defect of ours.
    #[error("the {0} step broke down; please report this")]
    Broken(&'static str),
}

/// Runs a task once, from trigger to completion.
///
/// A read that fails, or records that are refused, end in a [`Report`] of status `failed` or `partial`, and are
/// kept in the store's list of executions.
///
/// # Errors
///
/// When the execution could not begin, or its end could not be stored.
pub async fn execute(
    world: &Arc<World>,
    task: &str,
    clock: &dyn Clock,
    options: Options,
) -> Result<Report, EngineError> {
    steps::run(world, task, clock, options).await
}
