//! The fifth step: plans are applied, one batch after the other.

use super::fetch::Fetching;
use super::letters::Met;
use super::plan::{Asked, Batch};
use super::transform::Work;
use super::{End, Execution, PLANS_MAX, mark, rematch, settle, unmark};
use crate::clock::Clock;
use crate::event::Event;
use crate::execution::EngineError;
use crate::world::World;
use futures_util::future::{BoxFuture, join};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use syncline_core::plan::rows::LinkId;
use syncline_core::plan::writes::{Counters, Plan};
use syncline_store::{Committed, StoreError};
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

/// A page whose plan was handed to the store, with what is taken back if it went stale.
pub(super) struct Sent<'a> {
    work: Box<Work>,
    /// In a lock that nobody waits for: whoever holds an execution may be moved to another thread.
    committing: Mutex<BoxFuture<'a, Result<Committed, StoreError>>>,
    /// The state that it leads to, as far as is known.
    after: u64,
    met: Met,
    before: (Counters, Option<i64>),
    seen: Vec<u8>,
    /// Links that the execution met in it for the first time.
    marked: Vec<LinkId>,
    counters: Counters,
}

/// What became of a plan.
pub(super) enum Heard {
    /// It is committed, and led to where it was thought to lead.
    Stands,
    /// It is committed, and led elsewhere.
    Moved,
    /// Nothing of it is committed, since another process wrote in between.
    Stale { work: Box<Work>, marked: Vec<LinkId> },
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

    async fn commit_all(&mut self, incoming: mpsc::Receiver<Box<Work>>) -> Result<(), EngineError> {
        self.flight.incoming = Some(incoming);
        let done = self.commit_pages().await;
        // Whatever ended it: what was handed to the store counts.
        let confirmed = self.confirm().await;
        // Nobody takes any more pages.
        self.flight.incoming = None;
        done?;
        confirmed?;
        settle::run(self).await
    }

    async fn commit_pages(&mut self) -> Result<(), EngineError> {
        let mut stop = pin!(stop_asked(
            self.world,
            self.name.clone(),
            self.clock,
            self.options.cancel.clone()
        ));
        while !self.cancelled {
            if self.flight.next.is_none() {
                // While the source keeps us waiting, what was done is told.
                let Some(work) = self.at_hand().await? else {
                    let Some(incoming) = &mut self.flight.incoming else { return Ok(()) };
                    tokio::select! {
                        // What has been read already is committed first: nothing depends on chance.
                        biased;
                        next = incoming.recv() => match next {
                            Some(work) => self.flight.next = Some((work, None)),
                            None => return Ok(()),
                        },
                        () = &mut stop => self.cancelled = true,
                    }
                    continue;
                };
                self.flight.next = Some((work, None));
            }
            let Some((work, asked)) = self.flight.next.take() else { continue };
            self.advance("transforming", 30.0);
            self.commit_page(work, asked).await?;
            if self.unsettled {
                self.confirm().await?;
                settle::run(self).await?;
            }
            self.cancelled |= self.options.cancel.is_cancelled();
            let pause = Duration::from_millis(self.task.batch.delay_ms);
            if !pause.is_zero() && !self.cancelled {
                self.confirm().await?;
                tokio::select! {
                    biased;
                    () = self.clock.sleep(pause) => {}
                    () = &mut stop => self.cancelled = true,
                }
            }
        }
        Ok(())
    }

    /// The next page, where it is there already; otherwise what became of the last one is waited for.
    async fn at_hand(&mut self) -> Result<Option<Box<Work>>, EngineError> {
        if let Some(Ok(work)) = self.flight.incoming.as_mut().map(mpsc::Receiver::try_recv) {
            return Ok(Some(work));
        }
        self.confirm().await?;
        Ok(None)
    }

    async fn commit_page(
        &mut self,
        mut work: Box<Work>,
        asked: Option<Box<Asked<'a>>>,
    ) -> Result<(), EngineError> {
        self.emit(|| Event::Fetched {
            task_id: self.name.clone(),
            integration_id: self.task.connection.clone(),
            metric: self.counters.fetched + work.page.len() as u64,
        });
        let batch = Box::pin(self.plan(&mut work, asked)).await?;
        self.send(work, batch).await
    }

    /// Hands a page's plan to the store, and does not wait until it is there: see [`Execution::hear`].
    async fn send(&mut self, work: Box<Work>, mut batch: Batch) -> Result<(), EngineError> {
        let met = self.letters.meet(&mut batch);
        let before = (self.counters, self.high_water);
        let seen = if self.full { self.seen.clone() } else { Vec::new() };
        let counters = batch.counters;
        let mut plan = batch.planned.plan;
        plan.execution = self.begun.execution;
        plan.dead_letters = batch.dead_letters;
        self.counters.add(&counters);
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
        self.recall = batch.planned.recall;
        self.pass(&plan);
        let mut marked = Vec::new();
        for &link in batch.planned.links.iter().flatten() {
            if !self.has_met(link) {
                mark(&mut self.met, link);
                marked.push(link);
            }
        }
        let after = plan.state_after();
        let world = self.world;
        let committing = Mutex::new(world.store.commit(plan));
        self.flight.sent =
            Some(Box::new(Sent { work, committing, after, met, before, seen, marked, counters }));
        Ok(())
    }

    /// Waits for what became of the plan that was handed to the store last.
    pub(super) async fn hear(&mut self) -> Result<Heard, EngineError> {
        let Some(sent) = self.flight.sent.take() else { return Ok(Heard::Stands) };
        let Sent { work, committing, after, met, before, seen, marked, counters } = *sent;
        let committing = committing.into_inner().unwrap_or_else(PoisonError::into_inner);
        match committing.await {
            Ok(committed) => {
                self.cancelled |= committed.cancel_requested;
                self.letters.forget(&met.subjects);
                if !met.done.is_empty() {
                    self.world.store.replayed(met.done, self.begun.execution).await?;
                }
                self.report(&work, counters.created, counters.failed);
                Ok(if committed.epoch == after { Heard::Stands } else { Heard::Moved })
            }
            // Another process wrote in between: what was read is read again.
            Err(StoreError::Stale) => {
                (self.counters, self.high_water) = before;
                if self.full {
                    self.seen = seen;
                }
                Ok(Heard::Stale { work, marked })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Does what follows where a plan did not come to what was thought. One that went stale is made again, until it is
    /// committed.
    pub(super) fn make_good(&mut self, heard: Heard) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let mut heard = heard;
            for _ in 0..PLANS_MAX {
                if matches!(heard, Heard::Stands) {
                    return Ok(());
                }
                self.forget_asked();
                let Heard::Stale { mut work, marked } = heard else { return Ok(()) };
                for link in marked {
                    unmark(&mut self.met, link);
                }
                let batch = self.plan(&mut work, None).await?;
                self.send(work, batch).await?;
                heard = self.hear().await?;
            }
            Err(StoreError::Stale.into())
        })
    }

    /// Waits until the plan that was handed to the store last is there, however often it has to be made. `false` where
    /// what was read before does not count any more.
    pub(super) async fn confirm(&mut self) -> Result<bool, EngineError> {
        match self.hear().await? {
            Heard::Stands => Ok(true),
            other => self.make_good(other).await.map(|()| false),
        }
    }

    /// Commits a plan that no page stands behind: deletions, and values that travel on. `false`, and nothing
    /// counted, when another process wrote in between.
    pub(super) async fn commit_beside(
        &mut self,
        counters: &Counters,
        mut plan: Box<Plan>,
    ) -> Result<bool, EngineError> {
        if plan.matched.is_empty() {
            rematch::own_up(self, &mut plan).await?;
        }
        let before = self.counters;
        self.counters.add(counters);
        plan.execution = self.begun.execution;
        plan.checkpoint = Some(self.checkpoint());
        let after = plan.state_after();
        self.pass(&plan);
        match self.world.store.commit(plan).await {
            Ok(committed) => {
                if committed.epoch != after {
                    self.forget_asked();
                }
                self.cancelled |= committed.cancel_requested;
                Ok(true)
            }
            Err(StoreError::Stale) => {
                self.forget_asked();
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
