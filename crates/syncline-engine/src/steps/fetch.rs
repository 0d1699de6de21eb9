//! The second step: pages come from the adapter, or from what was handed in; failed reads are tried again.

use super::Execution;
use super::named::{Named, Next, Reading};
use super::transform::Work;
use crate::clock::Clock;
use crate::event::{Event, Listener};
use crate::execution::EngineError;
use crate::retry::retry_delay;
use futures_util::future::join;
use std::sync::Arc;
use syncline_adapters::{Adapter, AdapterError, ChangedSince, ReadEnd, ReadRequest};
use syncline_core::config::model::Retry;
use syncline_core::record::Page;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Pages that may wait before each step: each step has the next one at hand, and memory is bounded.
const PAGES_WAITING: usize = 1;

/// Transformed pages that may wait: so many that transforming goes on while the store commits a group.
const WORK_WAITING: usize = 4;

/// What is said where a system cannot be asked for single records.
const NOT_BY_KEY: &str = "single records of this connection cannot be read by their keys: run the task without naming any";

/// What reads, what it was told to read, and how it tries again. Shares nothing with the steps that commit, so
/// that both go on side by side.
pub(super) struct Pump<'a> {
    task: String,
    retry: Retry,
    clock: &'a dyn Clock,
    cancel: CancellationToken,
    on_event: Option<Listener>,
    seed: u64,
    source: Source,
    request: ReadRequest,
    pages: mpsc::Sender<Page>,
}

/// A read on its way through the transforming step.
pub(super) struct Fetching<'a> {
    pub(super) pump: Pump<'a>,
    pub(super) work: mpsc::Receiver<Box<Work>>,
    pub(super) transforming: JoinHandle<()>,
}

enum Source {
    Adapter(Arc<dyn Adapter>),
    Pages(Vec<Page>),
    /// Records that are read by their keys.
    Named(Arc<dyn Adapter>, Arc<Named>),
}

impl<'a> Execution<'a> {
    /// Opens the adapter, and starts the transforming of whatever it will send.
    pub(super) fn fetch(&mut self) -> Result<Fetching<'a>, EngineError> {
        let connection = &self.world.config.connections[&self.task.connection];
        let open = || (self.world.open_adapter)(connection, &self.world.base);
        let source = match (self.options.pages.take(), &self.named) {
            (Some(pages), _) => Source::Pages(pages),
            (None, None) => Source::Adapter(open()?),
            (None, Some(named)) => Source::Named(open()?, named.clone()),
        };
        self.lists_all = match &source {
            Source::Adapter(adapter) => adapter.capabilities().lists_all,
            Source::Pages(_) | Source::Named(..) => false,
        };
        if let (Source::Adapter(adapter), Some(listener)) = (&source, &self.options.on_event)
            && let Some(note) = adapter.note()
        {
            let (task_id, message) = (self.name.clone(), note.to_owned());
            listener(&Event::Noted { task_id, message });
        }
        let (pages, receiver) = mpsc::channel(PAGES_WAITING);
        let (sender, work) = mpsc::channel(WORK_WAITING);
        let transformer = self.transformer(self.live_before == Some(0));
        let cursor_field = self.task.cursor_field.clone();
        let transform =
            async move { transformer.run(cursor_field.as_deref(), receiver, &sender).await };
        let runtime = Handle::current();
        let transforming = match runtime.runtime_flavor() {
            // Who runs all on one thread is given no second one.
            RuntimeFlavor::CurrentThread => runtime.spawn(transform),
            _ => tokio::task::spawn_blocking(move || runtime.block_on(transform)),
        };
        let pump = Pump {
            task: self.name.clone(),
            retry: self.task.retry,
            clock: self.clock,
            cancel: self.options.cancel.clone(),
            on_event: self.options.on_event.clone(),
            seed: self.moment.seed,
            source,
            request: self.request(),
            pages,
        };
        Ok(Fetching { pump, work, transforming })
    }

    fn request(&self) -> ReadRequest {
        let cursor = match (&self.begun.resumed, self.full) {
            (Some(checkpoint), _) if !checkpoint.cursor.is_null() => {
                Some(checkpoint.cursor.clone())
            }
            (_, true) => None,
            (_, false) => self.standing.cursor.clone(),
        };
        let look_back = i64::try_from(self.task.look_back_s.saturating_mul(1_000_000));
        let since = self.standing.high_water.filter(|_| !self.full);
        let changed_since = self.task.cursor_field.as_ref().zip(since).map(|(field, mark)| {
            let at_least = mark.saturating_sub(look_back.unwrap_or(i64::MAX));
            ChangedSince { field: field.clone(), at_least }
        });
        ReadRequest {
            entity: self.task.entity.clone(),
            cursor,
            full: self.full,
            page_len: usize::try_from(self.task.batch.size.max(1)).unwrap_or(2000),
            changed_since,
        }
    }
}

impl Pump<'_> {
    /// Sends every page to the transforming step, until the source ends, or nobody commits any more: then a
    /// read that waits for its source is given up.
    pub(super) async fn run(self, over: &CancellationToken) -> Result<ReadEnd, AdapterError> {
        tokio::select! {
            biased;
            end = self.read() => end,
            () = over.cancelled() => Ok(ReadEnd::default()),
        }
    }

    async fn read(mut self) -> Result<ReadEnd, AdapterError> {
        let adapter = match &mut self.source {
            Source::Adapter(adapter) => adapter.clone(),
            Source::Pages(pages) => {
                let pages = std::mem::take(pages);
                return Ok(self.hand_over(pages).await);
            }
            Source::Named(adapter, named) => {
                let (adapter, named) = (adapter.clone(), named.clone());
                return self.look_at(adapter.as_ref(), &named).await;
            }
        };
        let (mut attempt, mut request) = (0, self.request.clone());
        loop {
            let (sender, mut receiver) = mpsc::channel::<Page>(PAGES_WAITING);
            let mut last = None;
            let forward = async {
                while let Some(page) = receiver.recv().await {
                    let cursor = page.cursor.clone();
                    if self.pages.send(page).await.is_err() {
                        break;
                    }
                    last = Some(cursor);
                }
                // Dropping the receiver tells the adapter to stop.
                drop(receiver);
            };
            let (end, ()) = join(adapter.read(request.clone(), sender), forward).await;
            let error = match end {
                Err(error) if error.is_transient() => error,
                end => return end,
            };
            // A try that got further is not held against the next one.
            attempt = if last.is_some() { 1 } else { attempt + 1 };
            request.cursor = last.or(request.cursor);
            self.wait_to_retry(attempt, error).await?;
        }
    }

    async fn wait_to_retry(&self, attempt: u32, error: AdapterError) -> Result<(), AdapterError> {
        let asked = match &error {
            AdapterError::Unavailable { retry_after_ms, .. } => *retry_after_ms,
            _ => None,
        };
        let bits = self.seed.rotate_left(attempt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let jitter = (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        let Some(delay) = retry_delay(&self.retry, attempt, jitter, asked) else {
            return Err(error);
        };
        if let Some(listener) = &self.on_event {
            listener(&Event::RetryAttempt {
                task_id: self.task.clone(),
                attempt,
                records_retried: 0,
                records_succeeded: 0,
                records_failed: 0,
                error: error.to_string(),
                delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            });
        }
        tokio::select! {
            // A stop that was asked for comes first, whatever the clock says: chance decides nothing here.
            biased;
            () = self.cancel.cancelled() => Err(error),
            () = self.clock.sleep(delay) => Ok(()),
        }
    }

    /// Reads the records that were named. Those that are not there do not come.
    async fn look_at(&self, adapter: &dyn Adapter, named: &Named) -> Result<ReadEnd, AdapterError> {
        let writer = adapter.writer();
        let writer = writer.ok_or_else(|| AdapterError::Settings(NOT_BY_KEY.to_owned()))?;
        let mut reading = Reading::new(named, &self.request.entity, self.request.page_len);
        let mut attempt = 0;
        loop {
            let (page, is_over) = match reading.next(writer).await {
                Ok(Next::Page(page)) => (page, false),
                Ok(Next::Over(page)) => (page, true),
                Ok(Next::Again) => continue,
                Err(error) if error.is_transient() => {
                    attempt += 1;
                    self.wait_to_retry(attempt, error).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            attempt = 0;
            if self.pages.send(page).await.is_err() {
                return Ok(ReadEnd::default());
            }
            if is_over {
                return Ok(ReadEnd { complete: true, ..ReadEnd::default() });
            }
        }
    }

    /// Hands over what was given instead of a source. It is never all there is, so nothing counts as missing.
    async fn hand_over(&self, pages: Vec<Page>) -> ReadEnd {
        for page in pages {
            if self.pages.send(page).await.is_err() {
                break;
            }
        }
        ReadEnd { complete: true, ..ReadEnd::default() }
    }
}
