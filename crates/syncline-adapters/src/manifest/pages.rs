//! Reads one slice of a stream, page by page.

use super::again::Since;
use super::doubt::Watch;
use super::incremental::{Bounds, Position, Told};
use super::interpolate::{Headers, StreamSlice};
use super::job::Done;
use super::load::{Stream, is_truthy};
use super::outline::Outline;
use super::paginate::LastPage;
use super::partition::{FIRST_PAGE, Router};
use super::properties::Merged;
use super::request::{Sent, TooMuch};
use super::select::{AsSent, Place, Record, Records, Selected};
use super::session::{Response, Session};
use super::smaller::{HALVINGS_MAX, Shortened};
use super::trouble::Trouble;
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// How often the pages of one slice are read again from the first.
const RESETS_MAX: u32 = 20;

/// The pages of one slice.
pub(super) struct Pages {
    session: Arc<Session>,
    stream: Arc<Stream>,
    slice: Arc<StreamSlice>,
    /// Between which moments records are wanted.
    bounds: Option<Bounds>,
    /// Whether records that nothing changes are handed on as they were sent.
    as_sent: bool,
    token: Option<Json>,
    resets: u32,
    since: Since,
    /// The parts that the slice was taken apart into, the next last; each with how often that was done.
    windows: Vec<(Arc<StreamSlice>, u32)>,
    /// Why what was read of earlier parts may not be all of it.
    doubt: Option<String>,
    shortened: Shortened,
    /// The first page, where the slice carries it.
    given: Option<Arc<Response>>,
    seen: HashSet<u64>,
    watch: Watch,
    /// What became of the stream's token.
    told: Told,
    /// Where the API does work first: the work, and what of it is yet to be downloaded, the next last.
    work: Option<(Done, Vec<StreamSlice>)>,
    /// What went wrong after the records of the last page.
    pending: Option<Trouble>,
    done: bool,
}

/// What comes next of a slice.
#[derive(Debug)]
pub(super) enum Next {
    /// A page, possibly without records.
    Page(Records),
    /// It was read to its end; with why that may not have been all of it, and what became of the stream's token.
    Done { doubt: Option<String>, told: Told },
    /// It cannot be read to its end.
    Failed(Trouble),
}

impl Pages {
    pub(super) fn new(
        session: &Arc<Session>,
        stream: &Arc<Stream>,
        slice: &Arc<StreamSlice>,
        bounds: Option<Bounds>,
    ) -> Self {
        let given = slice.extra_fields().get(FIRST_PAGE).filter(|page| is_truthy(page));
        let given = given.map(|page| {
            let body = page.to_string().into_bytes();
            Arc::new(Response::new(200, Headers::default(), body))
        });
        Self {
            session: session.clone(),
            given: given.filter(|_| stream.router.as_ref().is_some_and(Router::brings_first_pages)),
            slice: slice.clone(),
            bounds,
            as_sent: false,
            token: first_token(stream),
            stream: stream.clone(),
            resets: 0,
            since: Since::default(),
            windows: Vec::new(),
            doubt: None,
            shortened: Shortened::default(),
            seen: HashSet::new(),
            watch: Watch::default(),
            told: Told::default(),
            work: None,
            pending: None,
            done: false,
        }
    }

    /// Hands records that nothing changes on as they were sent.
    #[must_use]
    pub(super) fn untouched(self) -> Self {
        let stream = &self.stream;
        let takes_all = stream
            .cursor
            .as_ref()
            .is_none_or(|cursor| !cursor.is_client_side && !cursor.is_data_feed);
        let is_one = stream.properties.is_none();
        let as_sent = takes_all && is_one && stream.selector.changes_nothing();
        Self { as_sent, ..self }
    }

    /// Reads the next page. After an end or a failure there is nothing more to ask for.
    pub(super) async fn next(&mut self) -> Next {
        if let Some(trouble) = self.pending.take() {
            return Next::Failed(trouble);
        }
        if self.done {
            let doubt = self.doubt.take().or_else(|| self.watch.verdict());
            return Next::Done { doubt, told: std::mem::take(&mut self.told) };
        }
        match self.page().await {
            Ok(records) => Next::Page(records),
            Err(trouble) => Next::Failed(trouble),
        }
    }

    fn wants(&self, record: &Record) -> bool {
        self.bounds.as_ref().is_none_or(|bounds| bounds.hold(record))
    }

    /// Reads one page.
    async fn page(&mut self) -> Result<Records, Trouble> {
        let nothing = Records::Made(Vec::new());
        let stream = self.stream.clone();
        if let (Some(job), None) = (&stream.job, &self.work) {
            let Some(mut done) = job.run(&self.session, &self.slice).await? else {
                self.done = true;
                return Ok(nothing);
            };
            let mut downloads = std::mem::take(&mut done.downloads);
            downloads.reverse();
            self.work = Some((done, downloads));
        }
        let slice = match &self.work {
            None => self.part(),
            Some((_, downloads)) => match downloads.last() {
                Some(download) => Arc::new(download.clone()),
                None => return self.finish_work().await.map(|()| nothing),
            },
        };
        let feed = stream.cursor.as_ref().is_some_and(|cursor| cursor.is_data_feed);
        let Some(mut page) = self.fetch(&slice).await? else {
            return Ok(nothing);
        };
        let rules = self.bounds.as_ref().map(Bounds::rules);
        let is_due = stream
            .again
            .as_ref()
            .is_some_and(|again| again.is_due(&mut self.since, page.found, &page.records, rules));
        match page.trouble.take() {
            Some(trouble) => self.pending = Some(trouble),
            None if is_due => self.begin_again()?,
            None => self.follow(&page, feed),
        }
        if let (true, Some((_, downloads))) = (self.done, &mut self.work) {
            downloads.pop();
            self.token = first_token(&stream);
            self.done = false;
            if downloads.is_empty() && self.pending.is_none() {
                self.finish_work().await?;
            }
        }
        if let (true, Records::Made(records)) = (feed, &mut page.records) {
            records.retain(|record| self.wants(record));
        }
        Ok(page.records)
    }

    /// Finds out what comes after a page.
    fn follow(&mut self, page: &Fetched, feed: bool) {
        let stream = self.stream.clone();
        let reached = match &page.records {
            Records::Made(records) if feed => {
                records.last().is_some_and(|record| !self.wants(record))
            }
            _ => false,
        };
        if let Some(response) = &page.response {
            let body = page.rest.as_ref().or_else(|| response.json());
            let (headers, records) = (&response.headers, &page.records);
            // Where a page begins after the last one's key, no record moves to another, and totals are of what is left.
            let by_key = match (stream.primary_key.as_slice(), &stream.paginator) {
                ([key], Some(pager)) => pager.follows(key),
                _ => false,
            };
            let nothing = Headers::default();
            let (headers, body) = if by_key { (&nothing, None) } else { (headers, body) };
            self.watch.page(&stream.primary_key, headers, body, page.found, records);
            if let Some(sync_token) = &stream.sync_token {
                match sync_token.of(&self.session, response, body.unwrap_or(&Json::Null)) {
                    Ok(token) => self.told.token = token.or_else(|| self.told.token.take()),
                    Err(trouble) => self.pending = Some(trouble),
                }
            }
        }
        let next = match &page.response {
            Some(response) if !reached => next_token(self, response, page),
            _ => Ok(None),
        };
        // The records of the page are good, whatever is wrong with its token.
        let next = next.unwrap_or_else(|trouble| {
            self.pending = Some(trouble);
            None
        });
        if let (Some(_), Some(rules)) = (&next, self.bounds.as_ref().map(Bounds::rules))
            && stream.paginator.as_ref().is_some_and(|pager| pager.follows(&rules.field))
        {
            self.watch.tie(rules, &page.records);
        }
        self.done = next.is_none();
        self.token = next;
        if let Some(shorter) = &stream.shorter_pages {
            shorter.came(&mut self.shortened);
        }
        if self.done && self.pending.is_none() && self.windows.pop().is_some() {
            self.done = self.windows.is_empty();
            self.begin_part();
        }
    }

    async fn finish_work(&mut self) -> Result<(), Trouble> {
        self.done = true;
        match (&self.stream.job, &self.work) {
            (Some(job), Some((done, _))) => job.delete(&self.session, done).await,
            _ => Ok(()),
        }
    }

    /// Asks for one page, in as many requests as it takes; `None` where it is to be begun again with the first.
    async fn fetch(&mut self, slice: &StreamSlice) -> Result<Option<Fetched>, Trouble> {
        let stream = self.stream.clone();
        let token = match &self.token {
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
        let (mut page, mut made) = (Fetched::default(), Vec::new());
        for names in requests {
            let sent = match &names {
                None => self.send(slice, &token, None).await?,
                Some(names) => self.send(&named(slice, names), &token, Some(names)).await?,
            };
            let response = match sent {
                Sent::Response(response) => response,
                Sent::ResetPagination => return self.begin_again().map(|()| None),
                Sent::TooMuch(what, said) => {
                    return self.ask_for_less(what, &said).await.map(|()| None);
                }
            };
            if !response.is_ok() {
                page.response = None;
                break;
            }
            let place = Place { slice: &self.slice, token: &token, schema };
            let mut selected = match self.outlined(&response)? {
                Some((records, rest)) => {
                    page.found += records.len();
                    page.rest = rest;
                    if self.as_sent {
                        (page.response, page.records) = (Some(response), records);
                        continue;
                    }
                    let found = records.made()?.into_iter().map(Json::Object).collect();
                    self.selected(&place, found)
                }
                None => {
                    let found = stream.selector.extractor.records(&self.session, &response)?;
                    page.found += found.len();
                    page.rest = None;
                    self.selected(&place, found)
                }
            };
            page.response = Some(response);
            page.trouble = page.trouble.or(selected.trouble.take());
            match stream.properties.as_ref().filter(|properties| properties.is_merged()) {
                Some(properties) => properties.merge(&mut merged, selected.records),
                None => made.append(&mut selected.records),
            }
        }
        made.extend(merged.into_records());
        if !made.is_empty() {
            page.records = Records::Made(made);
        }
        Ok(Some(page))
    }

    /// Sends a request for the page, or for the fields `names` of it.
    async fn send(
        &mut self,
        slice: &StreamSlice,
        token: &Json,
        names: Option<&[String]>,
    ) -> Result<Sent, Trouble> {
        let stream = &self.stream;
        let path = stream.paginator.as_ref().and_then(|pager| pager.path(self.token.as_ref()));
        let (token_of, size) = (self.token.as_ref(), self.shortened.size);
        let mut parts = stream.parts(&self.session, slice, token_of, size)?;
        let parameter = stream.properties.as_ref().and_then(|p| p.parameter.clone());
        if let (Some(parameter), Some(names)) = (parameter, names) {
            parts.query.insert(parameter, names.join(",").into());
        }
        match self.given.take() {
            Some(given) => Ok(Sent::Response(given)),
            None => stream.requester.send(&self.session, slice, token, path, parts).await,
        }
    }

    /// The records of a response as they were sent, and what stands beside them where the paginator looks at nothing
    /// else; `None` where they are not just the items of a list.
    fn outlined(
        &self,
        response: &Arc<Response>,
    ) -> Result<Option<(Records, Option<Json>)>, Trouble> {
        let extractor = &self.stream.selector.extractor;
        let table = extractor.whole_of().filter(|_| self.as_sent);
        if let Some((text, at)) = table.and_then(|decoder| decoder.texts(&response.body)) {
            let first =
                at.first().and_then(|first| serde_json::from_slice(&text[first.clone()]).ok());
            let table = Response::new(response.status, Headers::default(), text);
            let records = Records::AsSent(AsSent::new(Arc::new(table), at));
            // What a paginator sees of a table is its first row.
            return Ok(Some((records, Some(first.unwrap_or(Json::Null)))));
        }
        let Some(list) = extractor.list(&self.session)? else {
            return Ok(None);
        };
        let Some(outline) = Outline::of(&response.body, &list) else { return Ok(None) };
        let looks = self.stream.paginator.as_ref().is_some_and(|pager| pager.looks_at(&list));
        let records = Records::AsSent(AsSent::new(response.clone(), outline.records));
        Ok(Some((records, Some(outline.rest).filter(|_| !looks))))
    }

    fn selected(&self, place: &Place<'_>, found: Vec<Json>) -> Selected {
        let cursor = self.stream.cursor.as_ref();
        let client_side =
            cursor.is_some_and(|cursor| cursor.is_client_side && !cursor.is_data_feed);
        let wanted = |record: &Record| !client_side || self.wants(record);
        self.stream.selector.records(&self.session, place, found, &wanted)
    }

    fn begin_again(&mut self) -> Result<(), Trouble> {
        if let Some(again) = &self.stream.again {
            let (part, rules) = (self.part(), self.bounds.as_ref().map(Bounds::rules));
            if let Some(rest) = again.rest(&mut self.since, &part, rules)? {
                let times = self.windows.pop().map_or(0, |(_, times)| times);
                self.windows.push((Arc::new(rest), times));
                // What came of the part before is no measure of what is left of it.
                self.watch = Watch::default();
                self.begin_part();
                return Ok(());
            }
        }
        self.resets += 1;
        self.watch = Watch::default();
        self.token = first_token(&self.stream);
        if self.stream.sync_token.is_some() {
            // The API has forgotten the token: all that there is comes once more.
            self.slice = Arc::new(StreamSlice::default());
            self.told.forgot = true;
        }
        if self.resets > RESETS_MAX {
            let problem = "the API asks again and again to begin with the first page";
            return Err(Trouble::system(problem));
        }
        Ok(())
    }
}

impl Pages {
    /// Makes what is asked for smaller: the next page, or the window.
    async fn ask_for_less(&mut self, what: TooMuch, said: &str) -> Result<(), Trouble> {
        let stream = self.stream.clone();
        let refused =
            || Trouble::system(format!("what is asked for cannot be made smaller: {said}"));
        if what == TooMuch::Page {
            let (Some(shorter), Some(pager)) = (&stream.shorter_pages, &stream.paginator) else {
                return Err(refused());
            };
            let usual = pager.usual_size(&self.session)?.ok_or_else(refused)?;
            let seconds = shorter.shorten(&mut self.shortened, usual, said)?;
            self.session.clock.wait(seconds).await;
            return Ok(());
        }
        let rules = self.bounds.as_ref().map(Bounds::rules);
        let (Some(halving), Some(rules)) = (&stream.halving, rules) else { return Err(refused()) };
        let whole = self.part();
        let times = self.windows.pop().map_or(0, |(_, times)| times) + 1;
        let halves = match times <= HALVINGS_MAX {
            true => Position::halves(rules, &whole, halving.least)?,
            false => None,
        };
        let [first, second] = halves.ok_or_else(|| halving.exhausted(said))?;
        self.windows.extend([(Arc::new(second), times), (Arc::new(first), times)]);
        // What came of the whole window comes once more.
        self.watch = Watch::default();
        self.begin_part();
        Ok(())
    }

    /// What is being read of the slice: all of it, or the part that comes next.
    fn part(&self) -> Arc<StreamSlice> {
        self.windows.last().map_or_else(|| self.slice.clone(), |(part, _)| part.clone())
    }

    /// Begins with the first page of a part.
    fn begin_part(&mut self) {
        self.doubt = self.doubt.take().or_else(|| self.watch.verdict());
        self.watch = Watch::default();
        self.shortened = Shortened::default();
        self.since = Since::default();
        self.seen.clear();
        self.token = first_token(&self.stream);
    }
}

/// The same slice with the fields that a request asks for.
fn named(slice: &StreamSlice, names: &[String]) -> StreamSlice {
    let extra = [("query_properties".to_owned(), Json::from(names.to_vec()))];
    let (partition, window) = (slice.partition().clone(), slice.cursor_slice().clone());
    StreamSlice::new(partition, window, Map::from_iter(extra))
}

/// One page as it came.
#[derive(Default)]
struct Fetched {
    /// The last response; `None` where it was to be ignored.
    response: Option<Arc<Response>>,
    /// What stands in its body beside the records, where the paginator looks at nothing else.
    rest: Option<Json>,
    /// How many records it held, before the filter.
    found: usize,
    records: Records,
    /// What was wrong with the record after the last of them.
    trouble: Option<Trouble>,
}

fn first_token(stream: &Stream) -> Option<Json> {
    stream.paginator.as_ref().and_then(|pager| pager.first_token())
}

/// The token of the page after `response`.
fn next_token(
    pages: &mut Pages,
    response: &Response,
    fetched: &Fetched,
) -> Result<Option<Json>, Trouble> {
    let stream = pages.stream.clone();
    let Some(pager) = &stream.paginator else { return Ok(None) };
    let last = fetched.records.last();
    let page = LastPage {
        response,
        rest: fetched.rest.as_ref(),
        found: fetched.found,
        len: fetched.records.len(),
        record: last.as_ref(),
        token: pages.token.as_ref(),
        size: pages.shortened.size,
    };
    let next = pager.next_token(&pages.session, &page)?;
    let next = next.filter(is_truthy);
    if next.is_some() && fetched.found > 0 && pages.watch.stands_still(&response.body) {
        return Err(Trouble::system(
            "the API gives the same page again and again, whichever is asked for",
        ));
    }
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
