//! The fifth step: plans are applied, one batch after the other.

use super::fetch::Fetching;
use super::plan::{Asked, Batch};
use super::transform::Work;
use super::{End, Execution, PLANS_MAX, mark, rematch, settle};
use crate::clock::Clock;
use crate::event::Event;
use crate::execution::EngineError;
use crate::world::World;
use futures_util::future::join;
use std::pin::pin;
use std::time::Duration;
use syncline_core::plan::writes::{Counters, Plan};
use syncline_store::StoreError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Waits until somebody asks for a stop: in this process, or in the store. A commit would tell too, but none
/// may come for long: the source makes us wait, or a failed read waits to be tried again.
async fn stop_asked(world: &World, task: String, clock: &dyn Clock, cancel: CancellationToken) {
    let asked_in_store = async {
        loop {
            clock.beat().await;
            // Where the store fails, the next commit says so.
            if world.store.cancel_requested(&task).await.unwrap_or(false) {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = asked_in_store => {}
    }
}

impl<'a> Execution<'a> {
    /// Reads to the end of the source, and commits batch by batch.
    pub(super) async fn read_and_commit(&mut self) -> Result<End, EngineError> {
        self.advance("fetching", 10.0);
        let Fetching { pump, work, transforming } = self.fetch()?;
        let over = CancellationToken::new();
        let committing = async {
            // Whatever ends the committing ends the reading, even where the source keeps it waiting.
            let _over = over.clone().drop_guard();
            self.commit_all(work).await
        };
        let (end, committed) = join(pump.run(&over), committing).await;
        committed?;
        // Otherwise half a source would pass for a whole one.
        transforming.await.map_err(|_| EngineError::Broken("transforming"))?;
        Ok(match end {
            _ if self.cancelled => End::Cancelled,
            // Asked to stop while it waited to try again.
            Err(_) if self.options.cancel.is_cancelled() => End::Cancelled,
            Ok(end) => End::Read(end),
            Err(error) => End::Failed(error),
        })
    }

    async fn commit_all(&mut self, mut incoming: mpsc::Receiver<Work>) -> Result<(), EngineError> {
        let mut stop = pin!(stop_asked(
            self.world,
            self.name.clone(),
            self.clock,
            self.options.cancel.clone()
        ));
        loop {
            let (mut work, asked) = match self.next.take() {
                Some((work, asked)) => (work, Some(asked)),
                None => tokio::select! {
                    // What has been read already is committed first: nothing depends on chance.
                    biased;
                    next = incoming.recv() => match next {
                        Some(work) => (work, None),
                        None => return Ok(()),
                    },
                    () = &mut stop => {
                        self.cancelled = true;
                        return Ok(());
                    }
                },
            };
            self.advance("transforming", 30.0);
            self.commit_page(&mut work, asked, &mut incoming).await?;
            settle::run(self).await?;
            if self.options.cancel.is_cancelled() {
                self.cancelled = true;
            }
            if self.cancelled {
                return Ok(());
            }
            let pause = Duration::from_millis(self.task.batch.delay_ms);
            if !pause.is_zero() {
                tokio::select! {
                    biased;
                    () = self.clock.sleep(pause) => {}
                    () = &mut stop => {
                        self.cancelled = true;
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn commit_page(
        &mut self,
        work: &mut Work,
        mut asked: Option<Box<Asked<'a>>>,
        incoming: &mut mpsc::Receiver<Work>,
    ) -> Result<(), EngineError> {
        self.emit(|| Event::Fetched {
            task_id: self.name.clone(),
            integration_id: self.task.connection.clone(),
            metric: self.counters.fetched + work.page.len() as u64,
        });
        let standing = (self.counters, self.high_water);
        let seen = self.seen.clone();
        for _ in 0..PLANS_MAX {
            let mut batch = Box::pin(self.plan(work, asked.take(), incoming)).await?;
            let counters = batch.counters;
            let met = self.letters.meet(&mut batch);
            match self.commit_batch(work, batch).await {
                Ok(()) => {
                    self.letters.forget(&met.subjects);
                    if !met.done.is_empty() {
                        self.world.store.replayed(met.done, self.begun.execution).await?;
                    }
                    self.report(work, counters.created, counters.failed);
                    return Ok(());
                }
                // Another process wrote in between: what was read is read again.
                Err(StoreError::Stale) => {
                    (self.counters, self.high_water) = standing;
                    self.seen.clone_from(&seen);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Stale.into())
    }

    async fn commit_batch(&mut self, work: &Work, batch: Batch) -> Result<(), StoreError> {
        let mut plan = batch.planned.plan;
        plan.execution = self.begun.execution;
        plan.dead_letters = batch.dead_letters;
        self.counters.add(&batch.counters);
        self.cursor = work.page.cursor.clone();
        self.high_water = self.high_water.max(work.high_water);
        if self.full {
            for link in batch.seen {
                self.see(link);
            }
            for link in batch.gone {
                self.unsee(link);
            }
        }
        if let Some(progress) = work.page.progress {
            self.advance("saving", 30.0 + 60.0 * progress.clamp(0.0, 1.0));
        } else {
            self.advance("saving", self.percent);
        }
        self.wrote |= !plan.changes_nothing();
        rematch::own_up(self, &mut plan).await?;
        plan.checkpoint = Some(self.checkpoint());
        let passing = self.passing(&plan);
        let committed = self.world.store.commit(plan).await?;
        self.recall = batch.planned.recall;
        self.pass(passing, committed.epoch);
        for &link in batch.planned.links.iter().flatten() {
            mark(&mut self.met, link);
        }
        self.cancelled |= committed.cancel_requested;
        Ok(())
    }

    /// Commits a plan that no page stands behind: deletions, and values that travel on. `false`, and nothing
    /// counted, when another process wrote in between.
    pub(super) async fn commit_beside(
        &mut self,
        counters: &Counters,
        mut plan: Plan,
    ) -> Result<bool, EngineError> {
        if plan.matched.is_empty() {
            rematch::own_up(self, &mut plan).await?;
        }
        let before = self.counters;
        self.counters.add(counters);
        plan.execution = self.begun.execution;
        plan.checkpoint = Some(self.checkpoint());
        let passing = self.passing(&plan);
        match self.world.store.commit(plan).await {
            Ok(committed) => {
                self.pass(passing, committed.epoch);
                self.cancelled |= committed.cancel_requested;
                Ok(true)
            }
            Err(StoreError::Stale) => {
                self.counters = before;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn report(&mut self, work: &Work, created: u64, failed: u64) {
        self.emit(|| Event::BatchProcessed {
            task_id: self.name.clone(),
            batch_index: self.batches,
            batch_size: work.page.len() as u64,
            records_created: created,
            records_failed: failed,
            processed_records: self.counters.fetched,
            progress: self.progress(),
        });
        self.batches += 1;
    }
}
