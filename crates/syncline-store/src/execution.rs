//! Executions, leases and statistics.

use serde::{Deserialize, Serialize};
use syncline_core::plan::rows::ExecutionId;
use syncline_core::plan::writes::{Checkpoint, Counters};
use syncline_core::record::Cursor;

/// A request to begin an execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Begin {
    /// The task.
    pub task: String,
    /// `manual`, `schedule`, `retry`.
    pub trigger: String,
    /// Who takes the lease.
    pub worker: Worker,
    /// Now, in microseconds since 1970.
    pub now: i64,
    /// A random id for the execution, a UUIDv7 as a number; not used when one is taken up again.
    pub uuid: u128,
    /// Names the configuration: an interrupted execution is taken up only if it had the same.
    pub fingerprint: String,
}

/// Who holds a lease, and how to find out that it died.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Names the machine's current boot (and process namespace): process ids mean something only within it.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// When the process started, in the system's own unit: tells it from a later process of the same id.
    pub started: u64,
}

/// An execution that has begun, or gone on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Begun {
    /// Its row number.
    pub execution: ExecutionId,
    /// Its id outside, a UUIDv7 as a number.
    pub uuid: u128,
    /// When it first began, in microseconds since 1970.
    pub started: i64,
    /// Where it stood when its last worker died.
    pub resumed: Option<Checkpoint>,
    /// The task's cursor: where its last complete read stopped.
    pub cursor: Option<Cursor>,
    /// The greatest value of the cursor field that the task ever read.
    pub high_water: Option<i64>,
}

/// How an execution ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finish {
    /// The execution.
    pub execution: ExecutionId,
    /// `success`, `partial`, `failed`, `cancelled`.
    pub status: String,
    /// Where it stands at last.
    pub checkpoint: Checkpoint,
    /// Why it did not end in success, or what is to be known of one that did, for people.
    pub error: Option<String>,
    /// Where the task's next read begins; `None` leaves it where it was.
    pub cursor: Option<Cursor>,
    /// In microseconds since 1970.
    pub now: i64,
}

/// One execution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecutionRow {
    /// Its row number.
    pub id: ExecutionId,
    /// Its UUID, as text.
    pub uuid: String,
    /// The task.
    pub task: String,
    /// What set it off.
    pub trigger: String,
    /// `running`, `success`, `partial`, `failed`, `cancelled`.
    pub status: String,
    /// Where it stands.
    pub checkpoint: Checkpoint,
    /// Why it did not end in success, or what is to be known of one that did.
    pub error: Option<String>,
    /// In microseconds since 1970.
    pub started: i64,
    /// In microseconds since 1970.
    pub finished: Option<i64>,
    /// Whether the worker that runs it is alive; false for an execution that has ended.
    pub alive: bool,
}

/// What became of a task's executions so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskStats {
    /// The task.
    pub task: String,
    /// Executions that ended.
    pub runs: u64,
    /// Of these, in success.
    pub successes: u64,
    /// Of these, in failure.
    pub failures: u64,
    /// Records by outcome, over all of them.
    pub counters: Counters,
    /// When the last one ended, in microseconds since 1970.
    pub last_finished: Option<i64>,
    /// How it ended.
    pub last_status: Option<String>,
}

impl Finish {
    /// Whether the task's high water moves: only after a complete read, since after half of one, records
    /// below it may not have been read.
    pub(crate) fn moves_high_water(&self) -> bool {
        self.cursor.is_some() || self.status == "success"
    }
}
