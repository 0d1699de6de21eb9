//! Reads one stream: slice by slice, page by page.

use super::doubt::Watch;
use super::incremental::CursorRules;
use super::incremental::{NO_CURSOR_STATE, PerPartition, Position, Windows};
use super::interpolate::StreamSlice;
use super::job::Done;
use super::load::{Stream, is_truthy};
use super::paginate::LastPage;
use super::partition::Partitions;
use super::properties::Merged;
use super::request::Sent;
use super::select::{Place, Record, Selected};
use super::session::{Response, Session};
use super::trouble::Trouble;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// How often the pages of one slice are read again from the first.
const RESETS_MAX: u32 = 20;

/// What came of one step.
#[derive(Debug)]
pub(super) enum Step {
    /// A page, possibly without records.
    Page { slice: Arc<StreamSlice>, records: Vec<Record> },
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
    current: Option<Pages>,
    /// What went wrong after the records of the last page.
    pending: Option<Trouble>,
    /// Whether a slice could not be read to its end.
    failed: bool,
}

/// How far the stream has been read.
enum Progress {
    /// It has no cursor.
    Whole,
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

/// The pages of one slice.
struct Pages {
    slice: Arc<StreamSlice>,
    is_last_of_partition: bool,
    token: Option<Json>,
    resets: u32,
    seen: HashSet<u64>,
    watch: Watch,
    /// Where the API does work first: the work, and what of it is yet to be downloaded, the next last.
    work: Option<(Done, Vec<StreamSlice>)>,
    done: bool,
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
                current: None,
                pending: None,
                failed: false,
            })
        }
        .boxed()
    }

    /// The state: what a later run begins with.
    pub(super) fn state(&self) -> Map<String, Json> {
        match &self.cursor {
            Progress::Whole => Map::from_iter([(NO_CURSOR_STATE.to_owned(), Json::Bool(true))]),
            Progress::Single { rules, position, .. } => position.state(rules),
            Progress::PerPartition { cursor, .. } => cursor.state(),
        }
    }

    /// Reads the next page, or goes on to the next slice.
    ///
    /// # Errors
    ///
    /// When there is no telling which slices there are.
    pub(super) fn step(&mut self) -> BoxFuture<'_, Result<Step, Trouble>> {
        async move {
            if let Some(trouble) = self.pending.take() {
                return Ok(self.fail(trouble));
            }
            let mut pages = match self.current.take() {
                Some(pages) => pages,
                None => match self.next_slice().await? {
                    Some((slice, is_last)) => Pages::new(&self.stream, slice, is_last),
                    None => {
                        let (parents, now) =
                            (self.partitions.parent_state(), self.session.clock.now());
                        match &mut self.cursor {
                            Progress::PerPartition { cursor, .. } if !self.failed => {
                                cursor.finish(parents, now);
                            }
                            _ => {}
                        }
                        return Ok(Step::End);
                    }
                },
            };
            if pages.done {
                self.close(&pages)?;
                return Ok(Step::SliceDone { doubt: pages.watch.verdict() });
            }
            let records = match self.page(&mut pages).await {
                Ok(records) => records,
                Err(trouble) => return Ok(self.fail(trouble)),
            };
            let slice = pages.slice.clone();
            match &mut self.cursor {
                Progress::Whole => {}
                Progress::Single { rules, position, .. } => records
                    .iter()
                    .filter_map(|record| rules.moment_of(record))
                    .for_each(|moment| position.observe(moment)),
                Progress::PerPartition { cursor, .. } => {
                    cursor.observe(slice.partition(), &records);
                }
            }
            self.current = Some(pages);
            Ok(Step::Page { slice, records })
        }
        .boxed()
    }

    fn fail(&mut self, trouble: Trouble) -> Step {
        self.failed = true;
        self.current = None;
        Step::SliceFailed(trouble)
    }

    async fn next_slice(&mut self) -> Result<Option<(StreamSlice, bool)>, Trouble> {
        loop {
            match &mut self.cursor {
                Progress::Whole => {
                    return Ok(self.partitions.next().await?.map(|slice| (slice, true)));
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

    fn close(&mut self, pages: &Pages) -> Result<(), Trouble> {
        match &mut self.cursor {
            Progress::Whole => Ok(()),
            Progress::Single { rules, position, .. } => position.close(rules, &pages.slice),
            Progress::PerPartition { cursor, .. } => {
                cursor.close(&pages.slice, pages.is_last_of_partition)
            }
        }
    }

    fn rules(&self) -> Option<&CursorRules> {
        match &self.cursor {
            Progress::Whole => None,
            Progress::Single { rules, .. } => Some(rules),
            Progress::PerPartition { cursor, .. } => Some(&cursor.rules),
        }
    }

    fn wants(&self, slice: &StreamSlice, record: &Record) -> bool {
        match &self.cursor {
            Progress::Whole => true,
            Progress::Single { rules, position, .. } => position.wants(rules, record),
            Progress::PerPartition { cursor, .. } => cursor.wants(slice.partition(), record),
        }
    }

    /// Reads one page.
    async fn page(&mut self, pages: &mut Pages) -> Result<Vec<Record>, Trouble> {
        let stream = self.stream.clone();
        if let (Some(job), None) = (&stream.job, &pages.work) {
            let Some(mut done) = job.run(&self.session, &pages.slice).await? else {
                pages.done = true;
                return Ok(Vec::new());
            };
            let mut downloads = std::mem::take(&mut done.downloads);
            downloads.reverse();
            pages.work = Some((done, downloads));
        }
        let slice = match &pages.work {
            None => pages.slice.clone(),
            Some((_, downloads)) => match downloads.last() {
                Some(download) => Arc::new(download.clone()),
                None => return self.finish_work(pages).await.map(|()| Vec::new()),
            },
        };
        let feed = stream.cursor.as_ref().is_some_and(|cursor| cursor.is_data_feed);
        let Some(page) = self.fetch(pages, &slice).await? else {
            pages.token = first_token(&stream);
            return Ok(Vec::new());
        };
        let mut records = page.selected.records;
        if let Some(trouble) = page.selected.trouble {
            self.pending = Some(trouble);
        } else {
            let reached =
                feed && records.last().is_some_and(|record| !self.wants(&pages.slice, record));
            if let Some(response) = &page.response {
                pages.watch.page(&stream.primary_key, response, page.found, &records);
            }
            let next = match &page.response {
                Some(response) if !reached => {
                    next_token(&self.session, &stream, pages, response, page.found, &records)
                }
                _ => Ok(None),
            };
            // The records of the page are good, whatever is wrong with its token.
            let next = next.unwrap_or_else(|trouble| {
                self.pending = Some(trouble);
                None
            });
            if let (Some(_), Some(rules)) = (&next, self.rules())
                && stream.paginator.as_ref().is_some_and(|pager| pager.follows(&rules.field))
            {
                pages.watch.tie(rules, &records);
            }
            pages.done = next.is_none();
            pages.token = next;
        }
        if let (true, Some((_, downloads))) = (pages.done, &mut pages.work) {
            downloads.pop();
            pages.token = first_token(&stream);
            pages.done = false;
            if downloads.is_empty() && self.pending.is_none() {
                self.finish_work(pages).await?;
            }
        }
        if feed {
            records.retain(|record| self.wants(&pages.slice, record));
        }
        Ok(records)
    }

    async fn finish_work(&self, pages: &mut Pages) -> Result<(), Trouble> {
        pages.done = true;
        match (&self.stream.job, &pages.work) {
            (Some(job), Some((done, _))) => job.delete(&self.session, done).await,
            _ => Ok(()),
        }
    }

    /// Asks for one page, in as many requests as it takes; `None` where it is to be begun again with the first.
    async fn fetch(
        &self,
        pages: &mut Pages,
        slice: &StreamSlice,
    ) -> Result<Option<Fetched>, Trouble> {
        let stream = &self.stream;
        let token = match &pages.token {
            Some(token) => {
                Json::Object(Map::from_iter([("next_page_token".to_owned(), token.clone())]))
            }
            None => Json::Null,
        };
        let requests = match &stream.properties {
            None => vec![None],
            Some(properties) => {
                let requests = properties.requests(&self.session, &stream.name).await?;
                requests.into_iter().map(Some).collect()
            }
        };
        let schema = match stream.selector.normalises {
            true => Some(stream.schema.get(&self.session).await?),
            false => None,
        };
        let mut merged = Merged::default();
        let mut page = Fetched::default();
        for names in requests {
            let with_names;
            let slice = match &names {
                None => slice,
                Some(names) => {
                    let extra = [("query_properties".to_owned(), Json::from(names.clone()))];
                    let (partition, window) = (slice.partition(), slice.cursor_slice());
                    let extra = Map::from_iter(extra);
                    with_names = StreamSlice::new(partition.clone(), window.clone(), extra);
                    &with_names
                }
            };
            let path = stream.paginator.as_ref().and_then(|pager| pager.path(pages.token.as_ref()));
            let mut parts = stream.parts(&self.session, slice, pages.token.as_ref())?;
            let parameter = stream.properties.as_ref().and_then(|p| p.parameter.clone());
            if let (Some(parameter), Some(names)) = (parameter, &names) {
                parts.query.insert(parameter, names.join(",").into());
            }
            let sent = stream.requester.send(&self.session, slice, &token, path, parts).await?;
            let response = match sent {
                Sent::Response(response) => response,
                Sent::ResetPagination => {
                    pages.resets += 1;
                    pages.watch = Watch::default();
                    if pages.resets > RESETS_MAX {
                        return Err(Trouble::system(
                            "the API asks again and again to begin with the first page",
                        ));
                    }
                    return Ok(None);
                }
            };
            if !response.is_ok() {
                page.response = None;
                break;
            }
            let found = stream.selector.extractor.records(&self.session, &response)?;
            page.found += found.len();
            let cursor = stream.cursor.as_ref();
            let client_side =
                cursor.is_some_and(|cursor| cursor.is_client_side && !cursor.is_data_feed);
            let wanted = |record: &Record| !client_side || self.wants(&pages.slice, record);
            let place = Place { slice: &pages.slice, token: &token, schema };
            let mut selected = stream.selector.records(&self.session, &place, found, &wanted);
            page.response = Some(response);
            page.selected.trouble = page.selected.trouble.or(selected.trouble.take());
            match stream.properties.as_ref().filter(|properties| properties.is_merged()) {
                Some(properties) => properties.merge(&mut merged, selected.records),
                None => page.selected.records.append(&mut selected.records),
            }
        }
        page.selected.records.extend(merged.into_records());
        Ok(Some(page))
    }
}

/// One page as it came.
#[derive(Default)]
struct Fetched {
    /// The last response; `None` where it was to be ignored.
    response: Option<Arc<Response>>,
    /// How many records it held, before the filter.
    found: usize,
    selected: Selected,
}

fn first_token(stream: &Stream) -> Option<Json> {
    stream.paginator.as_ref().and_then(|pager| pager.first_token())
}

impl Pages {
    fn new(stream: &Stream, slice: StreamSlice, is_last_of_partition: bool) -> Self {
        Self {
            slice: Arc::new(slice),
            is_last_of_partition,
            token: first_token(stream),
            resets: 0,
            seen: HashSet::new(),
            watch: Watch::default(),
            work: None,
            done: false,
        }
    }
}

/// The token of the page after `response`.
fn next_token(
    session: &Session,
    stream: &Stream,
    pages: &mut Pages,
    response: &Response,
    found: usize,
    records: &[Record],
) -> Result<Option<Json>, Trouble> {
    let Some(pager) = &stream.paginator else { return Ok(None) };
    let last = records.last().cloned().map(Json::Object);
    let page = LastPage {
        response,
        found,
        len: records.len(),
        record: last.as_ref(),
        token: pages.token.as_ref(),
    };
    let next = pager.next_token(session, &page)?;
    let next = next.filter(is_truthy);
    if let Some(next) = next.as_ref().filter(|_| pager.can_loop()) {
        let mark = xxh3_64(&response.body) ^ xxh3_64(next.to_string().as_bytes());
        if !pages.seen.insert(mark) || pages.watch.goes_in_circles() {
            return Err(Trouble::system(
                "the API gives the same page again and again: its pages go round in a circle",
            ));
        }
    }
    Ok(next)
}
