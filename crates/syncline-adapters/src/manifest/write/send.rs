//! Sends writes: each with a request of its own, or several in one.

use super::super::limits;
use super::super::request::{Outgoing, Parts, Reply};
use super::super::session::Session;
use super::super::trouble::Trouble;
use super::Writing;
use super::around::Around;
use super::batch;
use super::numbers::with_numbers;
use super::operation::{Operation, Ready, Seen, problem};
use super::settle::{self, Settled, rejected};
use crate::manifest::adapter::push;
use crate::page::PageBuilder;
use crate::write::{Change, Replies, Write, Written};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use std::sync::Arc;
use std::time::Duration;
use syncline_core::record::Cursor;

/// A write on its way.
pub(super) struct Item<'a> {
    /// Its place among the writes.
    pub(super) index: usize,
    pub(super) operation: &'a Operation,
    pub(super) seen: Seen,
    pub(super) ready: Ready,
}

pub(super) async fn write(writing: &Writing, session: &Session, writes: Vec<Write>) -> Replies {
    let schema = writing.stream.schema.told();
    let writes: Vec<Write> = writes.into_iter().map(|write| with_numbers(schema, write)).collect();
    let mut settled: Vec<Option<Settled>> = Vec::with_capacity(writes.len());
    let mut items = Vec::with_capacity(writes.len());
    let around = Around::ask(writing, session, &writes).await;
    for (index, write) in writes.iter().enumerate() {
        match item(writing, session, &around, index, write) {
            Ok(item) => {
                items.push(item);
                settled.push(None);
            }
            Err(refused) => settled.push(Some(refused)),
        }
    }
    for (index, outcome) in batch::send(writing, session, items).await {
        settled[index] = Some(outcome);
    }
    replies(writing, settled)
}

/// The request of a write, or why it will not do.
fn item<'a>(
    writing: &'a Writing,
    session: &Session,
    around: &Around,
    index: usize,
    write: &Write,
) -> Result<Item<'a>, Settled> {
    let operation = writing.operation(write).map_err(rejected)?;
    if let Change::Create { fields } | Change::Update { fields, .. } = &write.change
        && let Some((name, _)) =
            fields.iter().find(|(name, _)| writing.block.read_only.iter().any(|one| one == name))
    {
        let problem = "the system alone says what this field holds".to_owned();
        return Err((Written::Rejected { field: Some(name.clone()), problem }, None));
    }
    let mut seen = operation.seen(session, write).map_err(rejected)?;
    around.add(writing, operation, &mut seen)?;
    let ready = operation.request(session, &seen).map_err(|fault| rejected(problem(&fault)))?;
    Ok(Item { index, operation, seen, ready })
}

/// Sends each with a request of its own.
pub(super) async fn singly(
    writing: &Writing,
    session: &Session,
    items: &[&Item<'_>],
) -> Vec<(usize, Settled)> {
    let mut sent = Vec::with_capacity(items.len());
    for item in items {
        sent.push(alone(writing, session, item).boxed());
    }
    stream::iter(sent).buffer_unordered(writing.block.concurrency.max(1)).collect().await
}

async fn alone(writing: &Writing, session: &Session, item: &Item<'_>) -> (usize, Settled) {
    let reply = writing.ask(session, item.operation.kind.into(), item.ready.clone()).await;
    (item.index, settle::reply(writing, session, item.operation, &item.seen, reply))
}

impl Writing {
    /// Sends one request.
    pub(super) async fn ask(
        &self,
        session: &Session,
        what: limits::Operation,
        ready: Ready,
    ) -> Result<Reply, Trouble> {
        let Ready { method, path, headers, query, body } = ready;
        let parts = Parts { headers, query, json: body, ..Parts::default() };
        self.send(session, what, method, path, parts).await
    }

    /// Sends one request with these parts.
    pub(super) async fn send(
        &self,
        session: &Session,
        operation: limits::Operation,
        method: reqwest::Method,
        path: String,
        parts: Parts,
    ) -> Result<Reply, Trouble> {
        let base = self.base.as_ref().map(|base| base.text(&session.scope())).transpose()?;
        let timeout = Duration::from_secs(self.block.timeout_s.max(1));
        let outgoing = Outgoing { base, operation, method, path, parts, timeout };
        self.stream.requester.once(session, outgoing).await
    }
}

/// The replies, in the order of the writes, and the records that they show.
fn replies(writing: &Writing, settled: Vec<Option<Settled>>) -> Replies {
    let mut page = PageBuilder::new(None);
    page.set_source(&Arc::from(writing.stream.name.as_str()));
    let mut written = Vec::with_capacity(settled.len());
    for one in settled {
        let nothing = || (Written::Unknown { problem: "no reply came".to_owned() }, None);
        let (mut outcome, record) = one.unwrap_or_else(nothing);
        if let (Written::Done { record: place, .. }, Some(record)) = (&mut outcome, record) {
            *place = Some(page.len());
            push(&mut page, record, 1);
        }
        written.push(outcome);
    }
    Replies { written, records: page.take(Cursor::Null, None) }
}
