//! What a reply comes to: done with or without the record, refused, or unknown.

use super::super::errors::Action;
use super::super::interpolate::Headers;
use super::super::limits::retry_after;
use super::super::request::Reply;
use super::super::select::{Record, at};
use super::super::session::{Response, Session};
use super::super::trouble::Trouble;
use super::Writing;
use super::operation::{Operation, Seen};
use super::outcome::{Meaning, declared, usual};
use crate::write::Written;
use serde_json::Value as Json;

/// What became of one write, and the record where the reply shows it.
pub(super) type Settled = (Written, Option<Record>);

/// A reply to one write: a response of its own, or its part of a batch's.
#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a Headers,
    pub(super) body: &'a Json,
}

impl<'a> Answer<'a> {
    pub(super) fn of(response: &'a Response) -> Self {
        let Response { status, headers, .. } = response;
        Self { status: *status, headers, body: response.json_or_empty() }
    }
}

pub(super) fn rejected(problem: String) -> Settled {
    (Written::Rejected { field: None, problem }, None)
}

pub(super) fn not_sent(problem: String, retry_after_ms: Option<u64>) -> Settled {
    (Written::NotSent { problem, retry_after_ms }, None)
}

/// What came of a request of its own.
pub(super) fn reply(
    writing: &Writing,
    session: &Session,
    operation: &Operation,
    seen: &Seen,
    reply: Result<Reply, Trouble>,
) -> Settled {
    match reply {
        // It could not even be made, or what came back cannot be read.
        Err(trouble) => not_sent(trouble.message, None),
        Ok(Reply::Lost { problem, was_sent: false }) => not_sent(problem, None),
        Ok(Reply::Lost { problem, was_sent: true }) => (Written::Unknown { problem }, None),
        Ok(Reply::Response(response)) => {
            let said = said(writing, session, operation, &response);
            answer(writing, session, operation, seen, Answer::of(&response), said)
        }
    }
}

/// What the block says of a status, or else the manifest's own error handler, with the message that it has for it.
pub(super) fn said(
    writing: &Writing,
    session: &Session,
    operation: &Operation,
    response: &Response,
) -> Option<(Meaning, Option<String>)> {
    if let Some(meaning) = declared(&operation.declared.outcomes, response.status) {
        return Some((meaning, None));
    }
    let resolution = writing.stream.requester.declared(session, response).ok()??;
    let usual = usual(operation.kind, response.status);
    let meaning = match resolution.action {
        Action::Fail if usual == Meaning::Done => Meaning::Rejected,
        Action::Success | Action::Ignore => Meaning::Done,
        Action::RateLimited => Meaning::NotSent,
        Action::Retry if usual == Meaning::Done => Meaning::Unknown,
        Action::Retry if usual == Meaning::Rejected => Meaning::NotSent,
        _ => usual,
    };
    Some((meaning, resolution.message))
}

/// What an answer comes to; `said` is what is known of its status beyond what is usual.
pub(super) fn answer(
    writing: &Writing,
    session: &Session,
    operation: &Operation,
    seen: &Seen,
    answer: Answer<'_>,
    said: Option<(Meaning, Option<String>)>,
) -> Settled {
    let status = Json::from(answer.status);
    let scope = || {
        let scope = session.scope().with("write", &seen.plain).with("response", answer.body);
        scope.with_headers(answer.headers).with("status", &status)
    };
    let mut when = operation.when.iter();
    let told = when.find(|(condition, _)| condition.eval_bool(&scope()).unwrap_or(false));
    let said = told.map(|(_, meaning)| (*meaning, None)).or(said);
    let (meaning, message) = said.unwrap_or_else(|| (usual(operation.kind, answer.status), None));
    let problem = || {
        let (field, problem) = operation.problem(&scope, answer.body, answer.status);
        (field, message.clone().unwrap_or(problem))
    };
    let key = || operation.key(&scope, seen).into_iter().map(Into::into).collect();
    match meaning {
        Meaning::Done => {
            let record = shown(writing, session, operation, answer);
            (Written::Done { key: key(), record: None }, record)
        }
        Meaning::Changed => (Written::Changed, None),
        Meaning::Missing => (Written::Missing, None),
        Meaning::Exists => {
            let key: Vec<_> = key();
            (Written::Exists { key: Some(key).filter(|key| !key.is_empty()) }, None)
        }
        Meaning::Rejected => {
            let (field, problem) = problem();
            (Written::Rejected { field: field.map(Into::into), problem }, None)
        }
        Meaning::NotSent => {
            let wait = retry_after(answer.headers, session.clock.now());
            not_sent(problem().1, wait)
        }
        Meaning::Unknown => (Written::Unknown { problem: problem().1 }, None),
    }
}

/// The record that an answer shows, as a read would have it.
fn shown(
    writing: &Writing,
    session: &Session,
    operation: &Operation,
    answer: Answer<'_>,
) -> Option<Record> {
    let path = operation.declared.record_path.as_ref()?;
    if operation.kind == super::Kind::Delete {
        return None;
    }
    let record = at(answer.body, path).filter(|record| record.is_object())?;
    writing.record(session, record.clone(), answer).ok().flatten()
}

impl Writing {
    /// A record that is shown outside of a read: transformed as one that is read, with its version.
    pub(super) fn record(
        &self,
        session: &Session,
        record: Json,
        answer: Answer<'_>,
    ) -> Result<Option<Record>, Trouble> {
        let selector = &self.stream.selector;
        let schema = self.stream.schema.known().filter(|_| selector.normalises);
        let Some(mut record) = selector.single(session, schema, record)? else {
            return Ok(None);
        };
        if let Some((field, value)) = &self.version {
            let (status, nothing) = (Json::from(answer.status), Json::Null);
            let scope = session.scope().with_headers(answer.headers).with("status", &status);
            let scope = scope.with("response", answer.body).with("write", &nothing);
            record.insert(field.clone(), value.text(&scope)?.into());
        }
        Ok(Some(record))
    }
}
