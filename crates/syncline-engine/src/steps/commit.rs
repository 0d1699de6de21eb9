//! The fifth step: plans are applied, one batch after the other.

use super::fetch::Fetching;
use super::plan::Batch;
use super::transform::Work;
use super::{End, Execution, PLANS_MAX, mark, settle};
use crate::event::Event;
use crate::execution::EngineError;
use futures_util::future::join;
use std::time::Duration;
use syncline_core::plan::writes::{Counters, Plan};
use syncline_store::StoreError;
use tokio::sync::mpsc;

impl Execution<'_> {
    /// Reads to the end of the source, and commits batch by batch.
    pub(super) async fn read_and_commit(&mut self) -> Result<End, EngineError> {
        self.advance("fetching", 10.0);
        let Fetching { pump, work, transforming } = self.fetch()?;
        let (end, committed) = join(pump.run(), self.commit_all(work)).await;
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
        while let Some(mut work) = incoming.recv().await {
            self.advance("transforming", 30.0);
            self.commit_page(&mut work).await?;
            settle::run(self).await?;
            if self.options.cancel.is_cancelled() {
                self.cancelled = true;
            }
            if self.cancelled {
                return Ok(());
            }
            if self.task.batch.delay_ms > 0 {
                self.clock.sleep(Duration::from_millis(self.task.batch.delay_ms)).await;
            }
        }
        Ok(())
    }

    async fn commit_page(&mut self, work: &mut Work) -> Result<(), EngineError> {
        self.emit(&Event::Fetched {
            task_id: self.name.clone(),
            integration_id: self.task.connection.clone(),
            metric: self.counters.fetched + work.page.len() as u64,
        });
        let standing = (self.counters, self.high_water);
        let seen = self.seen.clone();
        let mut done = Vec::new();
        for _ in 0..PLANS_MAX {
            let mut batch = self.plan(work).await?;
            let counters = batch.counters;
            done.extend(self.letters.met(&mut batch));
            match self.commit_batch(work, batch).await {
                Ok(()) => {
                    if !done.is_empty() {
                        self.world.store.replayed(done, self.begun.execution).await?;
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
        plan.checkpoint = Some(self.checkpoint());
        let committed = self.world.store.commit(plan).await?;
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
        let before = self.counters;
        self.counters.add(counters);
        plan.execution = self.begun.execution;
        plan.checkpoint = Some(self.checkpoint());
        match self.world.store.commit(plan).await {
            Ok(committed) => {
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
        self.emit(&Event::BatchProcessed {
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
