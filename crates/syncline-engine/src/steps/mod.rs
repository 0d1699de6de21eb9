//! The steps of an execution, in order.

mod commit;
mod complete;
mod delete;
mod fetch;
mod letters;
mod named;
mod plan;
mod rematch;
mod settle;
mod standing;
mod sweep;
mod transform;
mod trigger;
mod write_back;

pub(crate) use plan::plan_with;
pub(crate) use settle::{decided as settle_decided, dependents};
pub(crate) use trigger::execution_uuid;

use crate::clock::Clock;
use crate::event::{Event, Progress};
use crate::execution::{EngineError, Options, Report};
use crate::world::World;
use std::sync::Arc;
use syncline_adapters::{AdapterError, ReadEnd, Usage};
use syncline_core::config::model::SyncTask;
use syncline_core::plan::news::News;
use syncline_core::plan::planner::Moment;
use syncline_core::plan::recall::Recall;
use syncline_core::plan::rows::{EntityId, LinkId};
use syncline_core::plan::writes::{Checkpoint, Counters};
use syncline_core::record::Cursor;
use syncline_store::execution::Begun;
use tokio::sync::mpsc::Receiver;

/// An execution on its way.
pub(crate) struct Execution<'a> {
    world: &'a Arc<World>,
    name: String,
    task: &'a SyncTask,
    entity: EntityId,
    clock: &'a dyn Clock,
    options: Options,
    begun: Begun,
    moment: Moment,
    /// When this process began with it, in microseconds since 1970.
    taken_up: i64,
    /// Records that were in the ledger when this process began with it.
    taken_up_at: u64,
    full: bool,
    /// Whether it is about some records alone, that were handed in or named: it says nothing of others, and the next
    /// read begins where it would have.
    of_some: bool,
    /// The records that were named.
    named: Option<Arc<named::Named>>,
    /// Whether a complete read names every record there is.
    lists_all: bool,
    standing: standing::Standing,
    /// Dead letters that were on the task's list before.
    letters: letters::Letters,
    /// How the shard types of its records are matched.
    matching: Vec<rematch::Matching>,
    live_before: Option<u64>,
    counters: Counters,
    cursor: Cursor,
    seen: Vec<u8>,
    /// A bit for each link that this process met in the execution, deleted or derived ones included.
    met: Vec<u8>,
    high_water: Option<i64>,
    phase: &'static str,
    percent: f64,
    batches: u64,
    wrote: bool,
    cancelled: bool,
    /// What of stored records is compared, remembered from batch to batch.
    recall: Recall,
    /// Whether records may be waiting to be looked at again, because what they look up changed.
    unsettled: bool,
    /// The pages that are under way.
    flight: Flight<'a>,
    /// What plans are told beside records; of use only where shards are written to some system.
    news: News,
    /// How far the entity is that shards are brought to.
    swept: Option<sweep::Swept>,
    /// Deletions at the connection that are too many at once, and of how many records.
    fused: Option<(u64, u64)>,
    /// Writes that could not be sent however often that was tried, and why one of them was not.
    unsent: Option<(u64, String)>,
    /// Creations of which nobody can tell whether they arrived but a person.
    parked: u64,
    /// What the connection had been asked before this process began with it.
    asked: Usage,
}

/// The pages that are under way beside the one that is planned.
#[derive(Default)]
struct Flight<'a> {
    /// Pages that were read and transformed.
    incoming: Option<Receiver<Box<transform::Work>>>,
    /// The page that comes after the one that is planned, where it is there already, and what the store was asked of it.
    next: Option<(Box<transform::Work>, Option<Box<plan::Asked<'a>>>)>,
    /// Whether the last plan keeps the store busy for long.
    writes_much: bool,
    /// The page whose plan the store was handed, while nobody knows yet what became of it.
    sent: Option<Box<commit::Sent<'a>>>,
}

/// How often a batch is planned anew because another process wrote in between, before the execution gives up.
pub(crate) const PLANS_MAX: usize = 100;

/// How the reading and planning of an execution ended.
enum End {
    /// The source was read as far as it goes.
    Read(ReadEnd),
    /// Somebody asked for a stop.
    Cancelled,
    /// The source broke off.
    Failed(AdapterError),
}

/// Runs a task from trigger to completion.
pub(crate) async fn run(
    world: &Arc<World>,
    task: &str,
    clock: &dyn Clock,
    options: Options,
) -> Result<Report, EngineError> {
    let world = &world.sized().await?;
    let (current, grown): (Arc<World>, Arc<World>);
    let mut execution = trigger::begin(world, task, clock, options).await?;
    // Only now: nobody is erased while a task runs.
    let mut outcome = match world.current().await {
        Ok(found) => {
            current = found;
            execution.world = &current;
            // In boxes: a future is as large as the largest that it waits for, and is moved whole.
            Box::pin(execution.body()).await
        }
        Err(error) => Err(error),
    };
    // Models suit the number of records that there are at the end, however they came.
    if outcome.is_ok() && !execution.cancelled && execution.wrote {
        grown = execution.world.sized().await?;
        if !Arc::ptr_eq(execution.world, &grown) {
            execution.world = &grown;
            if let Err(error) = Box::pin(rematch::run(&mut execution)).await {
                outcome = Err(error);
            }
        }
    }
    complete::finish(&mut execution, outcome).await
}

/// Sets a link's bit.
fn mark(bits: &mut Vec<u8>, link: LinkId) {
    let Ok(bit) = usize::try_from(link.0) else { return };
    if bits.len() <= bit / 8 {
        bits.resize(bit / 8 + 1, 0);
    }
    bits[bit / 8] |= 1 << (bit % 8);
}

/// Takes a link's bit back.
fn unmark(bits: &mut [u8], link: LinkId) {
    let bit = usize::try_from(link.0).unwrap_or(usize::MAX);
    if let Some(byte) = bits.get_mut(bit / 8) {
        *byte &= !(1 << (bit % 8));
    }
}

/// Whether a link's bit is set.
fn is_marked(bits: &[u8], link: LinkId) -> bool {
    let Ok(bit) = usize::try_from(link.0) else { return false };
    bits.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
}

impl Execution<'_> {
    async fn body(&mut self) -> Result<complete::Outcome, EngineError> {
        self.standing = standing::Standing::of(self.world, &self.name, &self.begun);
        rematch::run(self).await?;
        if self.cancelled {
            return Ok(complete::Outcome::of(End::Cancelled));
        }
        // What a process that died had left to do comes first, as it would have.
        settle::run(self).await?;
        if !Box::pin(write_back::resolve(self)).await? {
            let problem = "nobody knows what became of writes that were sent before, and it cannot be asked now";
            let error = AdapterError::Unavailable {
                what: self.task.entity.clone(),
                problem: problem.to_owned(),
                retry_after_ms: None,
            };
            return Ok(complete::Outcome::of(End::Failed(error)));
        }
        let end = Box::pin(self.read_and_commit()).await?;
        let End::Read(end) = end else { return Ok(complete::Outcome::of(end)) };
        let missing = Box::pin(delete::missing(self, &end)).await?;
        if end.complete && !self.of_some && (self.full || end.restarted) {
            self.close_lines().await?;
        }
        write_back::forget_ghosts(self).await?;
        sweep::run(self, &end).await?;
        Box::pin(write_back::run(self)).await?;
        // What was made may be looked up by others, or be what a reference waits for.
        settle::run(self).await?;
        if self.cancelled {
            return Ok(complete::Outcome::of(End::Cancelled));
        }
        Ok(complete::Outcome { read: Some(end), missing, ..complete::Outcome::default() })
    }

    /// Marks a link as seen by this read.
    fn see(&mut self, link: LinkId) {
        mark(&mut self.seen, link);
    }

    /// Takes back that a link was seen: the same read said later that its record is gone.
    fn unsee(&mut self, link: LinkId) {
        unmark(&mut self.seen, link);
    }

    fn has_seen(&self, link: LinkId) -> bool {
        is_marked(&self.seen, link)
    }

    /// Whether a batch of this process planned something about the link.
    fn has_met(&self, link: LinkId) -> bool {
        is_marked(&self.met, link)
    }

    /// Moves on: neither phase nor percentage ever goes back.
    fn advance(&mut self, phase: &'static str, percent: f64) {
        if percent >= self.percent {
            self.percent = percent.min(100.0);
            self.phase = phase;
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            cursor: self.cursor.clone(),
            counters: self.counters,
            phase: self.phase.to_owned(),
            percent: self.percent,
            at: self.clock.now(),
            high_water: self.high_water,
            seen: self.seen.clone(),
        }
    }

    fn progress(&self) -> Progress {
        let elapsed_s = (self.clock.now() - self.taken_up).max(1) as f64 / 1e6;
        let done = self.counters.fetched.saturating_sub(self.taken_up_at) as f64;
        let share = ((self.percent - 30.0) / 60.0).clamp(0.0, 1.0);
        let eta_s = (share > 0.0 && self.taken_up_at == 0)
            .then(|| elapsed_s * (1.0 - share) / share)
            .filter(|eta| eta.is_finite());
        Progress {
            phase: self.phase.to_owned(),
            percentage: self.percent,
            records_per_s: done / elapsed_s,
            eta_s,
        }
    }

    /// Tells of an event, which is made only where somebody listens.
    fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(listener) = &self.options.on_event {
            listener(&event());
        }
    }
}
