//! Writing cards, each with the version that it must have (`If-Match`), or with a name that nobody else has
//! (`If-None-Match`). A card that is changed is fetched first: of it, only the lines of the changed fields are others.

use super::CarddavAdapter;
use super::book::Book;
use super::card::{Card, unescape};
use super::client::{ANSWER_BYTES_MAX, Client, Fault, Reply};
use super::field::{Told, cell, cells, create, edit};
use super::multistatus;
use super::read::show;
use super::settings::Spec;
use crate::AdapterError;
use crate::write::{
    Change, CreateGuard, Replies, Target, UpdateGuard, Write, WriteCapabilities, Writer, Written,
};
use compact_str::CompactString;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use syncline_core::record::Page;
use syncline_core::value::Value;

/// So many writes come in one call; each is a request of its own.
const BATCH_MAX: usize = 100;

/// So many requests are under way at once.
const PARALLEL: usize = 4;

/// The longest card that is changed, in bytes.
const CARD_BYTES_MAX: usize = 16 << 20;

/// How long a request can still take effect after it was given up: servers give up sooner.
const LANDS_WITHIN_MS: u64 = 300_000;

const VCARD: (&str, &str) = ("content-type", "text/vcard; charset=utf-8");

/// What became of a write, and the version that the server says it gave.
struct Outcome {
    written: Written,
    etag: Option<String>,
}

impl From<Written> for Outcome {
    fn from(written: Written) -> Self {
        Self { written, etag: None }
    }
}

impl Writer for CarddavAdapter {
    fn capabilities<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<WriteCapabilities, AdapterError>> {
        async move {
            let book = self.book(entity).await?;
            if book.writable == Some(false) {
                let problem = "the user may read this address book, and not write it".to_owned();
                return Err(AdapterError::Refused { what: book.name.clone(), problem });
            }
            Ok(WriteCapabilities {
                create: CreateGuard::UniqueKey,
                update: UpdateGuard::Strong,
                deletes: true,
                batch_max: BATCH_MAX,
                lands_within_ms: LANDS_WITHIN_MS,
                found_within_ms: 0,
                granularity_us: 1_000_000,
            })
        }
        .boxed()
    }

    fn write<'a>(&'a self, entity: &'a str, writes: Vec<Write>) -> BoxFuture<'a, Replies> {
        async move {
            let not_sent = |problem: String| Replies {
                written: vec![Written::NotSent { problem, retry_after_ms: None }; writes.len()],
                ..Replies::default()
            };
            let (spec, book) = match (self.spec(entity), self.book(entity).await) {
                (Ok((spec, _)), Ok(book)) => (spec, book),
                (Err(error), _) | (_, Err(error)) => return not_sent(error.to_string()),
            };
            let desk = Desk { client: &self.client, book, spec };
            let requests: Vec<_> = writes.iter().map(|write| desk.write(write).boxed()).collect();
            let outcomes: Vec<Outcome> = stream::iter(requests).buffered(PARALLEL).collect().await;
            self.replies(entity, outcomes).await
        }
        .boxed()
    }

    fn get<'a>(
        &'a self,
        entity: &'a str,
        keys: Vec<Vec<CompactString>>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        async move { self.page(entity, keys.into_iter().flatten().collect()).await }.boxed()
    }

    fn find<'a>(
        &'a self,
        entity: &'a str,
        writes: Vec<Write>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        async move { self.page(entity, writes.iter().map(name).collect()).await }.boxed()
    }
}

impl CarddavAdapter {
    /// The replies to writes, with the cards as they are now. A card that shows another version than the server gave was
    /// changed by somebody else since: it is not shown, so that nobody takes that for what became of the write.
    async fn replies(&self, entity: &str, outcomes: Vec<Outcome>) -> Replies {
        let done = outcomes.iter().filter_map(|outcome| match &outcome.written {
            Written::Done { key, record: Some(_) } => key.first().cloned(),
            _ => None,
        });
        let page = self.page(entity, done.collect()).await.unwrap_or_default();
        let text = |record: &syncline_core::record::Record, name: &str| {
            let cell = cell(&record.cells, name).and_then(Option::as_ref);
            cell.and_then(Value::as_text).map(CompactString::from)
        };
        let place = |key: &[CompactString], etag: Option<&str>| {
            page.records.iter().position(|record| {
                text(record, "href").as_ref() == key.first()
                    && (etag.is_none() || text(record, "etag").as_deref() == etag)
            })
        };
        let written = outcomes.into_iter().map(|outcome| match outcome.written {
            Written::Done { key, record: Some(_) } => {
                let record = place(&key, outcome.etag.as_deref());
                Written::Done { key, record }
            }
            other => other,
        });
        Replies { written: written.collect(), records: page }
    }
}

/// Where writes are made.
struct Desk<'a> {
    client: &'a Client,
    book: &'a Book,
    spec: &'a Spec,
}

impl Desk<'_> {
    async fn write(&self, write: &Write) -> Outcome {
        match &write.change {
            Change::Create { fields } => self.create(name(write), &write.marker, fields).await,
            Change::Update { target, fields } => self.update(target, fields).await,
            Change::Delete { target } => self.delete(target).await,
        }
    }

    async fn create(
        &self,
        name: CompactString,
        uid: &str,
        fields: &[(CompactString, Value)],
    ) -> Outcome {
        let card = match create(self.spec.version, uid, fields) {
            Ok(card) => card,
            Err((field, problem)) => return rejected(Some(field), problem),
        };
        let put = self.put(&name, &card, ("if-none-match", "*")).await;
        match put {
            Ok(reply) => done(name, &reply),
            Err(fault) if fault.status() == Some(412) => {
                Written::Exists { key: Some(vec![name]) }.into()
            }
            Err(Fault::Refused { answer, .. })
                if answer.conditions.iter().any(|condition| condition == "no-uid-conflict") =>
            {
                let other = answer.href.and_then(|href| self.book.name_of(&href));
                let other = match other {
                    Some(other) => Some(other),
                    None => self.with_uid(&card).await,
                };
                Written::Exists { key: other.map(|other| vec![other]) }.into()
            }
            Err(fault) => failed(fault),
        }
    }

    /// The name of the card that has the UID of `card`, where the server finds it.
    async fn with_uid(&self, card: &Card) -> Option<CompactString> {
        let uid = card.named("UID").next()?.value().to_owned();
        let mut found = None;
        let ask = multistatus::with_uid(&unescape(&uid));
        let each = |resource: multistatus::Resource| {
            found = found.take().or(self.book.name_of(&resource.href));
        };
        let asked = self.client.ask("REPORT", &self.book.url, "1", ask, ANSWER_BYTES_MAX, each);
        asked.await.ok()?;
        found
    }

    async fn update(&self, target: &Target, fields: &[(CompactString, Value)]) -> Outcome {
        let name = target.key.first().cloned().unwrap_or_default();
        let (mut card, etag) = match self.expected(&name, target).await {
            Ok(found) => found,
            Err(outcome) => return outcome,
        };
        let before = card.clone();
        for (field, value) in fields {
            if let Err(problem) = edit(&mut card, field, value) {
                return rejected(Some(field.clone()), problem);
            }
        }
        if card == before {
            let written = Written::Done { key: vec![name], record: Some(0) };
            return Outcome { written, etag: Some(etag) };
        }
        match self.put(&name, &card, ("if-match", &etag)).await {
            Ok(reply) => done(name, &reply),
            Err(fault) => self.refused(&name, fault).await,
        }
    }

    async fn delete(&self, target: &Target) -> Outcome {
        let name = target.key.first().cloned().unwrap_or_default();
        let etag = match &target.version {
            Some(version) => version.to_string(),
            None => match self.expected(&name, target).await {
                Ok((_, etag)) => etag,
                Err(outcome) => return outcome,
            },
        };
        match self.request("DELETE", &name, &[("if-match", &etag)], Vec::new()).await {
            Ok(_) => Written::Done { key: vec![name], record: None }.into(),
            Err(fault) => self.refused(&name, fault).await,
        }
    }

    /// The card and its version, where it is as `target` says.
    async fn expected(&self, name: &str, target: &Target) -> Result<(Card, String), Outcome> {
        let reply = match self.request("GET", name, &[], Vec::new()).await {
            Ok(reply) => reply,
            Err(fault) if matches!(fault.status(), Some(404 | 410)) => {
                return Err(Written::Missing.into());
            }
            // Nothing was written yet, whatever went wrong.
            Err(Fault::Lost { problem }) => {
                return Err(failed(Fault::NotSent { problem, retry_after_ms: None }));
            }
            Err(fault) => return Err(failed(fault)),
        };
        let Some(etag) = reply.etag() else {
            return Err(rejected(None, "the server says no version (ETag) of the card".to_owned()));
        };
        // What stands between may have packed the card, and marks its version as weak then.
        let strong = |etag: &str| etag.trim_start_matches("W/").to_owned();
        let version = target.version.as_deref().unwrap_or(etag).to_owned();
        if strong(&version) != strong(etag) {
            return Err(Written::Changed.into());
        }
        let card = Card::parse(&reply.body)
            .map_err(|problem| rejected(None, format!("the card cannot be read: {problem}")))?;
        let said = cells(&card, Told { href: name, ..Told::default() });
        let is_as_before = |(field, value): &(CompactString, Value)| {
            matches!(field.as_str(), "href" | "etag" | "modified")
                || cell(&said, field).is_some_and(|held| held.as_ref() == Some(value))
        };
        if target.version.is_none() && !target.before.iter().all(is_as_before) {
            return Err(Written::Changed.into());
        }
        Ok((card, version))
    }

    /// What a condition that did not hold means: another version, or no card at all.
    async fn refused(&self, name: &str, fault: Fault) -> Outcome {
        match fault.status() {
            Some(404 | 410) => Written::Missing.into(),
            Some(412) => match show(self.client, self.book, vec![name.into()]).await {
                Ok(shown) if shown.cards.is_empty() => Written::Missing.into(),
                _ => Written::Changed.into(),
            },
            _ => failed(fault),
        }
    }

    async fn put(
        &self,
        name: &str,
        card: &Card,
        condition: (&'static str, &str),
    ) -> Result<Reply, Fault> {
        self.request("PUT", name, &[condition, VCARD], card.to_bytes()).await
    }

    async fn request(
        &self,
        method: &str,
        name: &str,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Result<Reply, Fault> {
        let url = self.book.address(name).map_err(Fault::refused)?;
        let reply = self.client.send(method, &url, headers, body, CARD_BYTES_MAX).await?;
        reply.expect_ok(method, &url)?;
        Ok(reply)
    }
}

/// The name of the card that a creation makes: that of the shard, so that a second creation finds the first.
fn name(write: &Write) -> CompactString {
    if let Change::Create { fields } = &write.change
        && let Some((_, Value::Text(name))) = fields.iter().find(|(field, _)| field == "href")
    {
        return name.clone();
    }
    CompactString::from(format!("{}.vcf", write.marker))
}

fn done(name: CompactString, reply: &Reply) -> Outcome {
    let etag = reply.etag().map(str::to_owned);
    Outcome { written: Written::Done { key: vec![name], record: Some(0) }, etag }
}

fn rejected(field: Option<CompactString>, problem: String) -> Outcome {
    Written::Rejected { field, problem }.into()
}

fn failed(fault: Fault) -> Outcome {
    match fault {
        Fault::NotSent { problem, retry_after_ms } => {
            Written::NotSent { problem, retry_after_ms }.into()
        }
        Fault::Lost { problem } => Written::Unknown { problem }.into(),
        // Once the password is mended, they go out.
        fault if matches!(fault.status(), Some(401)) => {
            Written::NotSent { problem: fault.problem(), retry_after_ms: None }.into()
        }
        fault => rejected(None, fault.problem()),
    }
}
