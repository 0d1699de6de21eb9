//! Reads records as they are now: by key, or by what a creation holds.

use super::super::errors::{Action, Resolution};
use super::super::interpolate::text_of;
use super::super::read::{Step, StreamReader};
use super::super::request::Reply;
use super::super::select::Record;
use super::super::session::{Response, Session};
use super::super::trouble::Trouble;
use super::Writing;
use super::batch::{Part, enveloped, parted};
use super::operation::{Look, Seen, problem};
use super::settle::Answer;
use crate::AdapterError;
use crate::manifest::adapter::push;
use crate::manifest::limits::{Operation, retry_after};
use crate::page::PageBuilder;
use crate::write::Write;
use compact_str::CompactString;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::sync::Arc;
use syncline_core::record::{Cursor, Page};

/// Why a record could not be read back.
pub(super) struct Failure {
    pub(super) problem: String,
    /// Whether it can be read later, after so many milliseconds where the system says so.
    pub(super) later: Option<Option<u64>>,
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self { problem: trouble.message, later: None }
    }
}

impl Failure {
    fn into_adapter(self, what: &str) -> AdapterError {
        let (what, problem) = (what.to_owned(), self.problem);
        match self.later {
            Some(retry_after_ms) => AdapterError::Unavailable { what, problem, retry_after_ms },
            None => AdapterError::Refused { what, problem },
        }
    }
}

impl Writing {
    /// Reads records by key; those that are not there are left out.
    pub(in super::super) async fn get(
        &self,
        session: &Session,
        entity: &str,
        keys: Vec<Vec<CompactString>>,
    ) -> Result<Page, AdapterError> {
        let seen = |key: &Vec<CompactString>| {
            Seen::new(Map::new(), key.iter().map(ToString::to_string).collect())
        };
        // No record can be there that has no place of its own.
        let has_place = |key: &&Vec<CompactString>| {
            !key.is_empty() && !key.iter().any(|part| matches!(part.as_str(), "" | "." | ".."))
        };
        let seen = keys.iter().filter(has_place).map(seen).collect();
        let found = self.look(session, &self.get, seen).await;
        found.map(|found| self.page(found)).map_err(|failure| failure.into_adapter(entity))
    }

    fn page(&self, records: Vec<Record>) -> Page {
        let mut page = PageBuilder::new(None);
        page.set_source(&Arc::from(self.stream.name.as_str()));
        records.into_iter().for_each(|record| push(&mut page, record, 1));
        page.take(Cursor::Null, None)
    }

    /// Finds records that creations may have made.
    pub(in super::super) async fn find(
        &self,
        session: &Arc<Session>,
        entity: &str,
        writes: &[Write],
    ) -> Result<Page, AdapterError> {
        if self.find.as_ref().is_some_and(|find| find.declared.by_reading) {
            let found = self.read_through(session, writes).await;
            let failed = |trouble: Trouble| session.hidden(trouble).into_adapter(entity);
            return found.map(|found| self.page(found)).map_err(failed);
        }
        let refused = |problem| Failure { problem, later: None }.into_adapter(entity);
        let mut seen = Vec::with_capacity(writes.len());
        for write in writes {
            let operation = self.operation(write).map_err(refused)?;
            seen.push(operation.seen(session, write).map_err(refused)?);
        }
        let look = self.find.as_ref().unwrap_or(&self.get);
        let found = self.look(session, look, seen).await;
        found.map(|found| self.page(found)).map_err(|failure| failure.into_adapter(entity))
    }

    /// Reads the whole stream for the records that hold the markers of `writes`.
    async fn read_through(
        &self,
        session: &Arc<Session>,
        writes: &[Write],
    ) -> Result<Vec<Record>, Trouble> {
        let field = self.create.as_ref().map(|create| create.marker_field(session)).transpose()?;
        let field = field.flatten().unwrap_or_default();
        let markers: HashSet<&str> = writes.iter().map(|write| write.marker.as_str()).collect();
        let mut reader = StreamReader::new(session, &self.stream, &Map::new()).await?;
        let mut found = Vec::new();
        loop {
            match reader.step().await? {
                Step::Page { records, .. } => {
                    let is_one = |record: &Record| {
                        let marker = record.get(&field).and_then(Json::as_str);
                        marker.is_some_and(|marker| markers.contains(marker))
                    };
                    found.extend(records.made()?.into_iter().filter(is_one));
                }
                // What may not be whole proves nothing.
                Step::SliceDone { doubt: Some(doubt) } => return Err(Trouble::system(doubt)),
                Step::SliceDone { doubt: None } => {}
                Step::SliceFailed(trouble) => return Err(trouble),
                Step::End => return Ok(found),
            }
        }
    }

    /// What `write.context` is: the reply to the request that is sent before writes.
    pub(super) async fn context(&self, session: &Session) -> Result<Json, Failure> {
        let Some(look) = &self.context else { return Ok(Json::Null) };
        let failed = |fault| Failure { problem: problem(&fault), later: None };
        let nothing = Seen::new(Map::new(), Vec::new());
        let ready = look.request(session, &nothing, &Json::Null).map_err(failed)?;
        let response = came(self.ask(session, Operation::Fetch, ready).await?)?;
        match response.status {
            200..=299 => Ok(response.json_or_empty().clone()),
            _ => Err(failed_with(session, Answer::of(&response))),
        }
    }

    /// The fields of a record that name it, as one text.
    pub(super) fn id_of(&self, record: &Record) -> String {
        let parts = self.key.iter().map(|name| record.get(name).map(text_of).unwrap_or_default());
        parts.collect::<Vec<_>>().join("|")
    }

    /// Reads what `seen` are about.
    pub(super) async fn look(
        &self,
        session: &Session,
        look: &Look,
        seen: Vec<Seen>,
    ) -> Result<Vec<Record>, Failure> {
        let chunk = look.declared.keys_max.max(1);
        let mut ready = Vec::new();
        for seen in seen.chunks(chunk) {
            let keys = seen.iter().map(|seen| match seen.key.as_slice() {
                [key] => key.as_str().into(),
                parts => Json::from(parts.to_vec()),
            });
            let request = look.request(session, &seen[0], &keys.collect());
            ready.push(request.map_err(|fault| Failure { problem: problem(&fault), later: None })?);
        }
        let mut page = Vec::new();
        match &self.block.batch {
            Some(batch) if ready.len() > 1 && !look.declared.as_read => {
                for ready in ready.chunks(batch.size_max) {
                    let reply =
                        enveloped(self, session, Operation::Fetch, batch, ready.iter()).await?;
                    let response = came(reply)?;
                    self.came_whole(session, &response)?;
                    for part in parted(batch, &response, ready.len()) {
                        self.take(session, look, &mut page, &part)?;
                    }
                }
            }
            _ => {
                let mut asked = Vec::with_capacity(ready.len());
                for ready in ready {
                    asked.push(self.ask(session, Operation::Fetch, ready).boxed());
                }
                let at_once = self.block.concurrency.max(1);
                let mut replies = stream::iter(asked).buffered(at_once);
                while let Some(reply) = replies.next().await {
                    let response = came(reply?)?;
                    if !look.declared.missing.contains(&response.status) {
                        self.came_whole(session, &response)?;
                    }
                    let Answer { status, headers, body } = Answer::of(&response);
                    if look.declared.as_read && (200..300).contains(&status) {
                        let found = self.stream.selector.extractor.records(session, &response)?;
                        self.add(session, Answer::of(&response), found, &mut page)?;
                        continue;
                    }
                    let part = Some((status, headers.clone(), body));
                    self.take(session, look, &mut page, &part)?;
                }
            }
        }
        if look.declared.as_read {
            let asked: HashSet<String> = seen.iter().map(Seen::id).collect();
            page.retain(|record| asked.contains(&self.id_of(record)));
        }
        Ok(page)
    }

    /// Whether a reply is one of success; one that the manifest calls a matter of limits, or of time, is asked for
    /// later.
    fn came_whole(&self, session: &Session, response: &Response) -> Result<(), Failure> {
        if (200..300).contains(&response.status) {
            return Ok(());
        }
        let failure = failed_with(session, Answer::of(response));
        let declared = self.stream.requester.declared(session, response)?;
        Err(match declared {
            Some(Resolution { action: Action::RateLimited | Action::Retry, message, .. }) => {
                let wait = retry_after(&response.headers, session.clock.now());
                Failure { problem: message.unwrap_or(failure.problem), later: Some(wait) }
            }
            _ => failure,
        })
    }

    /// Takes the records of a reply.
    fn take(
        &self,
        session: &Session,
        look: &Look,
        page: &mut Vec<Record>,
        part: &Part<'_>,
    ) -> Result<(), Failure> {
        let Some((status, headers, body)) = part else {
            let problem = "the reply to the batch is not whole".to_owned();
            return Err(Failure { problem, later: Some(None) });
        };
        let answer = Answer { status: *status, headers, body };
        if look.declared.missing.contains(status) {
            return Ok(());
        }
        if !(200..300).contains(status) {
            return Err(failed_with(session, answer));
        }
        self.add(session, answer, look.records(body), page)
    }

    /// Takes the records among `found`, as a read would have them.
    fn add(
        &self,
        session: &Session,
        answer: Answer<'_>,
        found: Vec<Json>,
        page: &mut Vec<Record>,
    ) -> Result<(), Failure> {
        for record in found.into_iter().filter(Json::is_object) {
            page.extend(self.record(session, record, answer)?);
        }
        Ok(())
    }
}

fn came(reply: Reply) -> Result<Arc<Response>, Failure> {
    match reply {
        Reply::Response(response) => Ok(response),
        Reply::Lost { problem, .. } => Err(Failure { problem, later: Some(None) }),
    }
}

/// A reply that is neither a record nor that there is none.
fn failed_with(session: &Session, answer: Answer<'_>) -> Failure {
    let problem =
        format!("reading back what was written failed with HTTP status {}", answer.status);
    let is_later = matches!(answer.status, 408 | 429 | 500..);
    let wait = retry_after(answer.headers, session.clock.now());
    Failure { problem, later: is_later.then_some(wait) }
}
