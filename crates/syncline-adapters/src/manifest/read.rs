//! Reads one stream: slice by slice, several of them at a time where that is asked for.

use super::incremental::CursorRules;
use super::incremental::{
    Bounds, NO_CURSOR_STATE, PerPartition, Position, Standing, Told, Windows,
};
use super::interpolate::StreamSlice;
use super::load::Stream;
use super::pages::{Next, Pages};
use super::partition::Partitions;
use super::select::Records;
use super::session::Session;
use super::trouble::Trouble;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value as Json};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What came of one step.
#[derive(Debug)]
pub(super) enum Step {
    /// A page, possibly without records.
    Page { slice: Arc<StreamSlice>, records: Records },
    /// A slice was read to its end; with why that may not have been all of it.
    SliceDone { doubt: Option<String> },
    /// A slice could not be read to its end; the next step goes on with the next one.
    SliceFailed(Trouble),
    /// All was read.
    End,
}

/// One stream in reading.
pub(super) struct StreamReader {
    session: Arc<Session>,
    stream: Arc<Stream>,
    partitions: Partitions,
    cursor: Progress,
    /// The slices that are being read, the one whose pages come next first.
    open: VecDeque<Open>,
    /// The slots for slices beyond the first, each read a page ahead; `None` where one slice is read at a time, page by
    /// page as they are asked for.
    ahead: Option<Arc<Semaphore>>,
    /// Whether there are no more slices than those that are being read, or why that cannot be told.
    ended: Option<Result<(), Trouble>>,
    /// Whether a slice could not be read to its end.
    failed: bool,
}

/// A slice that is being read.
struct Open {
    slice: Arc<StreamSlice>,
    is_last_of_partition: bool,
    source: Source,
    /// What it holds while it is read; the stream's own slot where there is none.
    slot: Option<OwnedSemaphorePermit>,
}

/// Where the pages of a slice come from.
enum Source {
    /// They are read when they are asked for.
    Here(Box<Pages>),
    /// They are read ahead, one at a time, beside those of other slices.
    Ahead(mpsc::Receiver<Next>),
}

impl Source {
    async fn next(&mut self) -> Next {
        match self {
            Self::Here(pages) => pages.next().await,
            Self::Ahead(ahead) => ahead.recv().await.unwrap_or_else(|| {
                Next::Failed(Trouble::system("the reading of a slice stopped without a word"))
            }),
        }
    }
}

/// How far the stream has been read.
enum Progress {
    /// It has no cursor.
    Whole,
    /// The API remembers by a token what it has told.
    Token(Standing),
    Single {
        rules: CursorRules,
        position: Position,
        windows: Option<Windows>,
    },
    PerPartition {
        cursor: Box<PerPartition>,
        /// The partition that is being read, and its windows.
        open: Option<(StreamSlice, Windows)>,
        /// The next window of it, known before so that the last one is known to be the last.
        ahead: Option<Map<String, Json>>,
    },
}

impl StreamReader {
    /// Begins to read `stream` where `state` stands.
    pub(super) fn new<'a>(
        session: &'a Arc<Session>,
        stream: &'a Arc<Stream>,
        state: &'a Map<String, Json>,
    ) -> BoxFuture<'a, Result<Self, Trouble>> {
        async move {
            let has_state = state.keys().any(|name| name != NO_CURSOR_STATE);
            let stream = stream.with_state.as_ref().filter(|_| has_state).unwrap_or(stream);
            let cursor = match &stream.cursor {
                None if stream.sync_token.is_some() => Progress::Token(Standing::from_state(state)),
                None => Progress::Whole,
                Some(spec) => {
                    let rules = spec.resolve(session)?;
                    let mut state = state.clone();
                    state.shift_remove(NO_CURSOR_STATE);
                    if stream.router.is_some() {
                        let began = session.clock.now();
                        let cursor = PerPartition::new(rules, &state, spec.is_global, began)?;
                        Progress::PerPartition { cursor: Box::new(cursor), open: None, ahead: None }
                    } else {
                        let position = Position::from_state(&rules, &state, Default::default())?;
                        Progress::Single { rules, position, windows: None }
                    }
                }
            };
            Ok(Self {
                session: session.clone(),
                stream: stream.clone(),
                partitions: Partitions::new(session, stream.router.as_ref(), state).await?,
                cursor,
                open: VecDeque::new(),
                ahead: None,
                ended: None,
                failed: false,
            })
        }
        .boxed()
    }

    /// The state: what a later run begins with.
    pub(super) fn state(&self) -> Map<String, Json> {
        match &self.cursor {
            Progress::Whole => Map::from_iter([(NO_CURSOR_STATE.to_owned(), Json::Bool(true))]),
            Progress::Token(standing) => standing.state(),
            Progress::Single { rules, position, .. } => position.state(rules),
            Progress::PerPartition { cursor, .. } => cursor.state(),
        }
    }

    /// Where a stream with tokens stands.
    pub(super) fn standing(&self) -> Option<&Standing> {
        match &self.cursor {
            Progress::Token(standing) => Some(standing),
            _ => None,
        }
    }

    /// Reads one slice, and as many more as there are `slots` free, at a time, each a page ahead of what is asked for.
    /// What comes of them comes in the same order as ever, and as it was sent where nothing changes it. For whoever
    /// reads to the end.
    #[must_use]
    pub(super) fn side_by_side(self, slots: &Arc<Semaphore>) -> Self {
        Self { ahead: Some(slots.clone()), ..self }
    }

    /// Reads the next page, or goes on to the next slice.
    ///
    /// # Errors
    ///
    /// When there is no telling which slices there are.
    pub(super) fn step(&mut self) -> BoxFuture<'_, Result<Step, Trouble>> {
        async move {
            self.fill().await;
            let Some(mut first) = self.open.pop_front() else {
                return match self.ended.take() {
                    Some(Err(trouble)) => {
                        self.finish();
                        Err(trouble)
                    }
                    _ => Ok(self.finish()),
                };
            };
            let step = match first.source.next().await {
                Next::Failed(trouble) => {
                    self.failed = true;
                    return Ok(Step::SliceFailed(trouble));
                }
                Next::Done { doubt, told } => {
                    self.close(&first, told)?;
                    return Ok(Step::SliceDone { doubt });
                }
                Next::Page(records) => Step::Page { slice: first.slice.clone(), records },
            };
            if let Step::Page { slice, records } = &step {
                match &mut self.cursor {
                    Progress::Whole | Progress::Token(_) => {}
                    Progress::Single { rules, position, .. } => {
                        let moments = rules.moments(records).into_iter().flatten();
                        moments.for_each(|moment| position.observe(moment));
                    }
                    Progress::PerPartition { cursor, .. } => {
                        cursor.observe(slice.partition(), records);
                    }
                }
            }
            self.open.push_front(first);
            Ok(step)
        }
        .boxed()
    }

    /// A slot for one more slice: the stream's own, or one of those that it shares.
    fn slot(&self) -> Option<Option<OwnedSemaphorePermit>> {
        if self.open.iter().all(|open| open.slot.is_some()) {
            return Some(None);
        }
        self.ahead.as_ref().and_then(|slots| slots.clone().try_acquire_owned().ok()).map(Some)
    }

    /// Begins with as many slices as there are slots for.
    async fn fill(&mut self) {
        while self.ended.is_none() {
            let Some(slot) = self.slot() else { return };
            let (slice, is_last_of_partition) = match self.next_slice().await {
                Ok(Some((slice, is_last))) => (Arc::new(slice), is_last),
                Ok(None) => {
                    self.ended = Some(Ok(()));
                    return;
                }
                Err(trouble) => {
                    self.ended = Some(Err(trouble));
                    return;
                }
            };
            let bounds = self.bounds(&slice);
            let pages = Pages::new(&self.session, &self.stream, &slice, bounds);
            let source = if self.ahead.is_none() {
                Source::Here(Box::new(pages))
            } else {
                let mut pages = pages.untouched();
                let (sender, receiver) = mpsc::channel(1);
                tokio::spawn(async move {
                    loop {
                        let next = pages.next().await;
                        let is_last = !matches!(next, Next::Page(_));
                        // Nobody waits for it where the reader was given up.
                        if sender.send(next).await.is_err() || is_last {
                            return;
                        }
                    }
                });
                Source::Ahead(receiver)
            };
            self.open.push_back(Open { slice, is_last_of_partition, source, slot });
        }
    }

    fn finish(&mut self) -> Step {
        let (parents, now) = (self.partitions.parent_state(), self.session.clock.now());
        match &mut self.cursor {
            Progress::PerPartition { cursor, .. } if !self.failed => cursor.finish(parents, now),
            Progress::PerPartition { cursor, .. } => cursor.break_off(parents),
            _ => {}
        }
        Step::End
    }

    async fn next_slice(&mut self) -> Result<Option<(StreamSlice, bool)>, Trouble> {
        loop {
            match &mut self.cursor {
                Progress::Whole => {
                    return Ok(self.partitions.next().await?.map(|slice| (slice, true)));
                }
                Progress::Token(standing) => {
                    return Ok(standing.slice().map(|slice| (slice, true)));
                }
                Progress::Single { rules, position, windows } => {
                    let windows = match windows {
                        Some(windows) => windows,
                        None => windows.insert(position.windows(rules)?),
                    };
                    let window = windows.next(rules)?;
                    let slice = |window| StreamSlice::new(Map::new(), window, Map::new());
                    return Ok(window.map(|window| (slice(window), true)));
                }
                Progress::PerPartition { cursor, open, ahead } => {
                    if let (Some((partition, windows)), Some(window)) = (&mut *open, ahead.take()) {
                        *ahead = windows.next(&cursor.rules)?;
                        let slice = StreamSlice::new(
                            partition.partition().clone(),
                            window,
                            partition.extra_fields().clone(),
                        );
                        return Ok(Some((slice, ahead.is_none())));
                    }
                    let Some(partition) = self.partitions.next().await? else { return Ok(None) };
                    let rules = cursor.rules.clone();
                    if let Some(position) = cursor.begin(partition.partition())? {
                        let mut windows = position.windows(&rules)?;
                        *ahead = windows.next(&rules)?;
                        *open = Some((partition, windows));
                    }
                }
            }
        }
    }

    fn close(&mut self, slice: &Open, told: Told) -> Result<(), Trouble> {
        match &mut self.cursor {
            Progress::Whole => Ok(()),
            Progress::Token(standing) => {
                standing.close(told);
                Ok(())
            }
            Progress::Single { rules, position, .. } => position.close(rules, &slice.slice),
            Progress::PerPartition { cursor, .. } => {
                cursor.close(&slice.slice, slice.is_last_of_partition)
            }
        }
    }

    /// Between which moments the records of `slice` are wanted.
    fn bounds(&self, slice: &StreamSlice) -> Option<Bounds> {
        match &self.cursor {
            Progress::Whole | Progress::Token(_) => None,
            Progress::Single { rules, position, .. } => Some(position.bounds(rules)),
            Progress::PerPartition { cursor, .. } => cursor.bounds(slice.partition()),
        }
    }
}
