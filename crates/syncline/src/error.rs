//! The one table that turns errors outward: message, causes, hint, exit code.

use std::io;
use std::path::PathBuf;
use syncline_adapters::AdapterError;
use syncline_core::config::Diagnostics;
use syncline_engine::EngineError;
use syncline_store::StoreError;
use thiserror::Error;

/// How the program ends; each has its own exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: everything that was asked for was done.
    Success,
    /// 1: something outside was not as it should be: a file, a disk, a store, a name that is not there.
    Error,
    /// 2: the configuration or the command line is wrong.
    Usage,
    /// 3: a run ended, but not all of it went through.
    Partial,
    /// 4: a run failed.
    Failed,
    /// 5: a run was stopped at a batch border.
    Cancelled,
    /// 6: the task is running already.
    Busy,
    /// 130: stopped at once, by a second Ctrl-C.
    Interrupted,
}

impl Exit {
    /// Every exit code, with what it means, for help and docs.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Success, "success"),
        (Self::Error, "error: a file, a disk, a store, or a name that is not there"),
        (Self::Usage, "the configuration or the command line is wrong"),
        (Self::Partial, "a run ended, but not all of it went through"),
        (Self::Failed, "a run failed"),
        (Self::Cancelled, "a run was stopped at a batch border"),
        (Self::Busy, "the task is running already"),
        (Self::Interrupted, "stopped at once, by a second Ctrl-C"),
    ];

    /// The number that the program ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Failed => 4,
            Self::Cancelled => 5,
            Self::Busy => 6,
            Self::Interrupted => 130,
        }
    }

    /// How a run of this status ends.
    pub fn of_status(status: &str) -> Self {
        match status {
            "success" => Self::Success,
            "partial" => Self::Partial,
            "cancelled" => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}

/// Why a command could not do what it was asked to.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration is wrong; everything that is, with its place.
    #[error("{0}")]
    Config(Diagnostics),
    /// There is no configuration where it was looked for.
    #[error("there is no configuration in `{0}`")]
    NoConfig(PathBuf),
    /// There is no store where it was looked for.
    #[error("there is no store at `{0}` yet")]
    NoStore(PathBuf),
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What the command prints does not arrive.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    /// The command line asks for what cannot be.
    #[error("{message}")]
    Usage {
        /// What cannot be.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// What was asked for is not there, or cannot be done now.
    #[error("{message}")]
    Refused {
        /// What, and why not.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// A task could not be run.
    #[error(transparent)]
    Engine(EngineError),
    /// The store cannot work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An adapter cannot work.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => Self::Store(error),
            EngineError::Adapter(error) => Self::Adapter(error),
            EngineError::UnknownTask(task) => Self::unknown_task(&task, []),
            EngineError::Undecidable(why) => Self::refused(
                why,
                "`syncline review list` shows the pairs that wait, `syncline why SHARD` the records of a \
                 shard",
            ),
            other => Self::Engine(other),
        }
    }
}

impl Error {
    /// The command line asks for what cannot be (exit code 2).
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// What was asked for is not there, or cannot be done now (exit code 1).
    pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: hint.into() }
    }

    /// There is no such task; `known` are those that there are.
    pub fn unknown_task<'a>(task: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match syncline_core::problem::nearest(task, known.iter().copied()) {
            Some(best) => format!("did you mean `{best}`?"),
            None if known.is_empty() => "`syncline status` lists the tasks".to_owned(),
            None => format!("the tasks are: {}", known.join(", ")),
        };
        Self::usage(format!("there is no task `{task}`"), hint)
    }

    /// How the program ends because of this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::NoConfig(_) | Self::Usage { .. } => Exit::Usage,
            Self::Adapter(AdapterError::UnknownAdapter(_) | AdapterError::Settings(_)) => {
                Exit::Usage
            }
            Self::Store(StoreError::Busy { .. }) => Exit::Busy,
            _ => Exit::Error,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Config(_) => "mend these places, then `syncline check`".into(),
            Self::NoConfig(_) => {
                "give a folder with a `syncline.yaml` (a task is named with `--task`), or start \
                 one from a sample file: `syncline init SAMPLE`"
                    .into()
            }
            Self::NoStore(_) => NO_STORE_HINT.into(),
            Self::Read { .. } => "check the path and its permissions".into(),
            Self::Write { .. } | Self::Output(_) => {
                "check the path, its permissions, and the room on the disk".into()
            }
            Self::Usage { hint, .. } | Self::Refused { hint, .. } => hint.clone(),
            Self::Engine(EngineError::UnknownTask(_)) => "`syncline status` lists the tasks".into(),
            Self::Engine(_) => "what was committed stands; run again, and report it if it \
                 happens again"
                .into(),
            Self::Store(error) => store_hint(error),
            Self::Adapter(error) => adapter_hint(error),
        }
    }

    /// What led to the error, outermost first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes
    }
}

const NO_STORE_HINT: &str = "`syncline run` makes it; or name another one with `--store FILE`";

fn store_hint(error: &StoreError) -> String {
    match error {
        StoreError::Busy { task, .. } => {
            format!("wait for it to end, or stop it: `syncline cancel {task}`")
        }
        StoreError::Blank { .. } => NO_STORE_HINT.into(),
        StoreError::Newer { .. } => "use the newer version of Syncline that made it".into(),
        StoreError::Damaged { .. } => {
            "bring it back from a backup, or start a new one with `--store FILE`".into()
        }
        StoreError::Unusable { transient: true, .. } => "try again in a moment".into(),
        StoreError::Unusable { .. } => {
            "check the path, its permissions and the room on the disk, or use another store with \
             `--store FILE`"
                .into()
        }
        StoreError::Stale | StoreError::Fenced => {
            "what the other worker commits stands; `syncline status` shows how it goes on".into()
        }
    }
}

pub(crate) fn adapter_hint(error: &AdapterError) -> String {
    match error {
        AdapterError::UnknownAdapter(_) => {
            format!("the adapters are: {}", syncline_adapters::registry::ADAPTERS.join(", "))
        }
        AdapterError::Settings(_) => "mend the connection's settings, then `syncline check`".into(),
        AdapterError::Refused { .. } => {
            "check the connection's path or address, and its permissions".into()
        }
        AdapterError::Unavailable { .. } => "try again later".into(),
    }
}
