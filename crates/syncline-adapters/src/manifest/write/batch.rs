//! Several writes in one request: several requests in one, or several records in one.

use super::super::expression::Options;
use super::super::interpolate::{Headers, Template, text_of};
use super::super::limits::{self, retry_after};
use super::super::request::{Parts, Reply, encode_pairs};
use super::super::select::at;
use super::super::session::{Response, Session};
use super::super::trouble::Trouble;
use super::Writing;
use super::operation::{Body, Operation, Ready, filled, headers, method, put, texts};
use super::outcome::{Kind, Meaning, declared, usual};
use super::send::{Item, singly};
use super::settle::{self, Answer, Settled, not_sent, said};
use crate::write::Written;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;
use syncline_core::config::model::RequestBatch;

/// Sends writes in batches where there is a way to, else one by one.
pub(super) async fn send(
    writing: &Writing,
    session: &Session,
    items: Vec<Item<'_>>,
) -> Vec<(usize, Settled)> {
    let mut settled = Vec::with_capacity(items.len());
    let (of_records, others): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| item.operation.declared.batch.is_some());
    for kind in [Kind::Create, Kind::Upsert, Kind::Update, Kind::Delete] {
        let size_max = |operation: &Operation| {
            operation.declared.batch.as_ref().map_or(1, |batch| batch.size_max)
        };
        let wanted = of_records.iter().filter(|item| item.operation.kind == kind);
        let wanted: Vec<&Item<'_>> = wanted.collect();
        let Some(first) = wanted.first() else { continue };
        for batch in wanted.chunks(size_max(first.operation)) {
            settled.extend(halving(writing, session, batch).await);
        }
    }
    let others: Vec<&Item<'_>> = others.iter().collect();
    let Some(batch) = &writing.block.batch else {
        settled.extend(singly(writing, session, &others).await);
        return settled;
    };
    for batch in others.chunks(batch.size_max) {
        settled.extend(halving(writing, session, batch).await);
    }
    settled
}

/// Sends a batch; one that is refused as a whole is halved, so that one bad record holds up no other.
async fn halving(
    writing: &Writing,
    session: &Session,
    batch: &[&Item<'_>],
) -> Vec<(usize, Settled)> {
    let mut settled = Vec::with_capacity(batch.len());
    let mut waiting = vec![batch];
    while let Some(batch) = waiting.pop() {
        let sent = match (batch, &writing.block.batch) {
            ([], _) => continue,
            ([first, ..], _) if first.operation.declared.batch.is_some() => {
                of_records(writing, session, first.operation, batch).await
            }
            ([_, _, ..], Some(requests)) => of_requests(writing, session, requests, batch).await,
            _ => {
                settled.extend(singly(writing, session, batch).await);
                continue;
            }
        };
        match (sent, batch) {
            (Sent::Items(items), _) => settled.extend(items),
            (Sent::Refused(response), [item]) => {
                let answer = Answer::of(&response);
                let outcome =
                    settle::answer(writing, session, item.operation, &item.seen, answer, None);
                settled.push((item.index, outcome));
            }
            (Sent::Refused(_), _) => {
                let (first, second) = batch.split_at(batch.len() / 2);
                waiting.extend([second, first]);
            }
        }
    }
    settled
}

/// What came of a batch.
enum Sent {
    /// An outcome for each write.
    Items(Vec<(usize, Settled)>),
    /// It was refused as a whole.
    Refused(Arc<Response>),
}

impl Sent {
    /// The same for every write.
    fn all(batch: &[&Item<'_>], outcome: &Settled) -> Self {
        Self::Items(batch.iter().map(|item| (item.index, outcome.clone())).collect())
    }
}

/// The response to a batch, or what it comes to where it is none of success.
fn whole(
    writing: &Writing,
    session: &Session,
    batch: &[&Item<'_>],
    reply: Result<Reply, Trouble>,
) -> Result<Arc<Response>, Sent> {
    let response = match reply {
        Err(trouble) => return Err(Sent::all(batch, &not_sent(trouble.message, None))),
        Ok(Reply::Lost { problem, was_sent: false }) => {
            return Err(Sent::all(batch, &not_sent(problem, None)));
        }
        Ok(Reply::Lost { problem, was_sent: true }) => {
            return Err(Sent::all(batch, &(Written::Unknown { problem }, None)));
        }
        Ok(Reply::Response(response)) => response,
    };
    let said = batch.first().and_then(|first| said(writing, session, first.operation, &response));
    let (meaning, message) = said.unwrap_or_else(|| (usual(Kind::Update, response.status), None));
    let problem = message.unwrap_or_else(|| format!("HTTP status {}", response.status));
    match meaning {
        Meaning::Done => Ok(response),
        Meaning::NotSent => {
            let wait = retry_after(&response.headers, session.clock.now());
            Err(Sent::all(batch, &not_sent(problem, wait)))
        }
        Meaning::Unknown => Err(Sent::all(batch, &(Written::Unknown { problem }, None))),
        _ => Err(Sent::Refused(response)),
    }
}

async fn of_requests(
    writing: &Writing,
    session: &Session,
    requests: &RequestBatch,
    batch: &[&Item<'_>],
) -> Sent {
    let ready = batch.iter().map(|item| &item.ready);
    let what = batch.first().map_or(Kind::Update, |item| item.operation.kind).into();
    let reply = enveloped(writing, session, what, requests, ready).await;
    let response = match whole(writing, session, batch, reply) {
        Ok(response) => response,
        Err(sent) => return sent,
    };
    let responses = parted(requests, &response, batch.len());
    let settled = batch.iter().zip(responses).map(|(item, response)| {
        let Some((status, headers, body)) = response else {
            let problem = "the reply to the batch says nothing of it".to_owned();
            return (item.index, (Written::Unknown { problem }, None));
        };
        let said = declared(&item.operation.declared.outcomes, status).map(|said| (said, None));
        let answer = Answer { status, headers: &headers, body };
        let outcome = settle::answer(writing, session, item.operation, &item.seen, answer, said);
        (item.index, outcome)
    });
    Sent::Items(settled.collect())
}

/// Sends several requests in one.
pub(super) async fn enveloped(
    writing: &Writing,
    session: &Session,
    what: limits::Operation,
    batch: &RequestBatch,
    requests: impl Iterator<Item = &Ready>,
) -> Result<Reply, Trouble> {
    let scope = || session.scope();
    let prefix = Template::new(&batch.path_prefix).text(&scope())?;
    let names = &batch.names;
    let requests = requests.enumerate().map(|(index, ready)| {
        let Ready { method, path, headers, query, body } = ready;
        let mut path = format!("{}/{}", prefix.trim_end_matches('/'), path.trim_start_matches('/'));
        if !query.is_empty() {
            path = format!("{path}?{}", encode_pairs(query));
        }
        let mut headers = headers.clone();
        let mut request = Map::new();
        if let Some(id) = &names.id {
            request.insert(id.clone(), index.to_string().into());
        }
        request.insert(names.method.clone(), method.as_str().into());
        request.insert(names.path.clone(), path.into());
        if !body.is_empty() {
            headers.entry(CONTENT_TYPE.as_str()).or_insert_with(|| "application/json".into());
            request.insert(names.body.clone(), Json::Object(body.clone()));
        }
        request.insert(names.headers.clone(), Json::Object(headers));
        Json::Object(request)
    });
    let list = Json::Array(requests.collect());
    let fixed = batch.request_body_json.as_ref().map(Body::new);
    let mut body = Body::map(fixed.as_ref(), &scope)?;
    put(&mut body, &batch.requests_path, list);
    let headers = filled(&texts(&batch.request_headers), &scope)?;
    let path = Template::new(&batch.path).text(&scope())?;
    let parts = Parts { headers, json: body, ..Parts::default() };
    let method = method(batch.http_method.as_deref(), Method::POST);
    writing.send(session, what, method, path, parts).await
}

/// A response in a batch: status, headers, body.
pub(super) type Part<'a> = Option<(u16, Headers, &'a Json)>;

/// The responses in a batch, in the order of the requests; `None` where there is none.
pub(super) fn parted<'a>(
    batch: &RequestBatch,
    response: &'a Response,
    count: usize,
) -> Vec<Part<'a>> {
    let list = at(response.json_or_empty(), &batch.responses_path).and_then(Json::as_array);
    let list = list.map(Vec::as_slice).unwrap_or_default();
    let names = &batch.names;
    let part = |index: usize| {
        let found = match &names.id {
            Some(id) => {
                let is_this = |one: &&Json| one.get(id).map(text_of) == Some(index.to_string());
                list.iter().find(is_this)?
            }
            None => list.get(index)?,
        };
        let status = u16::try_from(found.get(&names.status)?.as_u64()?).ok()?;
        let body = found.get(&names.body).unwrap_or(&Json::Null);
        Some((status, headers(found.get(&names.headers)), body))
    };
    (0..count).map(part).collect()
}

async fn of_records(
    writing: &Writing,
    session: &Session,
    operation: &Operation,
    batch: &[&Item<'_>],
) -> Sent {
    let Some(records) = &operation.declared.batch else { return Sent::Items(Vec::new()) };
    let reply = enlisted(writing, session, operation, batch).await;
    let response = match whole(writing, session, batch, reply) {
        Ok(response) => response,
        Err(sent) => return sent,
    };
    if records.whole {
        let reply = response.json_or_empty();
        let all = batch
            .iter()
            .map(|item| (item.index, result_of(writing, session, item, &response, reply)));
        return Sent::Items(all.collect());
    }
    let paths = [Some(&records.results_path), records.errors_path.as_ref()].into_iter().flatten();
    let lists = paths.filter_map(|path| at(response.json_or_empty(), path)?.as_array());
    let results: Vec<&Json> = lists.flatten().collect();
    let named = named(session, operation, &results, &response);
    let settled = batch.iter().enumerate().map(|(place, item)| {
        let result = match (&named, &operation.results.id) {
            (Some(named), Some((_, id))) => {
                let scope = session.scope().with("write", &item.seen.plain);
                id.text(&scope).ok().and_then(|id| named.get(&id).copied())
            }
            _ => results.get(place).copied(),
        };
        let outcome = match result {
            Some(result) => result_of(writing, session, item, &response, result),
            None => {
                let problem = "the reply to the batch says nothing of it".to_owned();
                (Written::Unknown { problem }, None)
            }
        };
        (item.index, outcome)
    });
    Sent::Items(settled.collect())
}

/// Sends several records in one request.
async fn enlisted(
    writing: &Writing,
    session: &Session,
    operation: &Operation,
    batch: &[&Item<'_>],
) -> Result<Reply, Trouble> {
    let Some(records) = &operation.declared.batch else {
        return Err(Trouble::system("there is no batch to send records in"));
    };
    let scope = || session.scope();
    let keys: Json = batch.iter().filter_map(|item| item.seen.plain.get("id").cloned()).collect();
    let list = batch.iter().map(|item| Json::Object(item.ready.body.clone())).collect();
    let has_bodies = batch.iter().any(|item| !item.ready.body.is_empty());
    let mut headers = filled(&texts(&records.request_headers), &scope)?;
    let query = filled(&texts(&records.request_parameters), &|| scope().with("keys", &keys))?;
    let mut parts = Parts { query, ..Parts::default() };
    if !has_bodies {
        let fixed = records.request_body_json.as_ref().map(Body::new);
        parts.json = Body::map(fixed.as_ref(), &scope)?;
    } else if records.records_path.is_empty() {
        headers.entry(CONTENT_TYPE.as_str()).or_insert_with(|| "application/json".into());
        parts.form = Options::Text(Json::Array(list).to_string());
    } else {
        let fixed = records.request_body_json.as_ref().map(Body::new);
        parts.json = Body::map(fixed.as_ref(), &scope)?;
        put(&mut parts.json, &records.records_path, Json::Array(list));
    }
    parts.headers = headers;
    let path = Template::new(&records.path).text(&scope())?;
    let method = method(records.http_method.as_deref(), Method::POST);
    writing.send(session, operation.kind.into(), method, path, parts).await
}

/// The results by what names the writes that they are for; `None` where they come in the order of the records.
fn named<'a>(
    session: &Session,
    operation: &Operation,
    results: &[&'a Json],
    response: &Response,
) -> Option<HashMap<String, &'a Json>> {
    let (id, _) = operation.results.id.as_ref()?;
    let id_of = |result: &&'a Json| {
        let scope = session.scope().with("response", result).with_headers(&response.headers);
        Some((id.text(&scope).ok()?, *result))
    };
    Some(results.iter().filter_map(id_of).collect())
}

/// What the result for one record comes to.
fn result_of(
    writing: &Writing,
    session: &Session,
    item: &Item<'_>,
    response: &Response,
    result: &Json,
) -> Settled {
    let scope = || {
        let scope = session.scope().with("write", &item.seen.plain).with("response", result);
        scope.with_headers(&response.headers)
    };
    let operation = item.operation;
    let told = operation.results.status.as_ref();
    let told = told.and_then(|status| status.text(&scope()).ok()?.trim().parse::<u16>().ok());
    let status = told.unwrap_or(response.status);
    let meaning = declared(&operation.declared.outcomes, status);
    let mut meaning = meaning.unwrap_or_else(|| usual(operation.kind, status));
    if let Some(success) = &operation.results.success {
        let is_done = success.eval_bool(&scope()).unwrap_or(false);
        meaning = match (is_done, meaning) {
            (true, _) => Meaning::Done,
            (false, Meaning::Done) => Meaning::Rejected,
            (false, other) => other,
        };
    }
    let answer = Answer { status, headers: &response.headers, body: result };
    settle::answer(writing, session, operation, &item.seen, answer, Some((meaning, None)))
}
