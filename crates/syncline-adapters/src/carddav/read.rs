//! Reading an address book: what changed since a token, or all of it.
//!
//! A list says which cards there are to be read, in the order of their names; then they are read in batches. Where the
//! read stops in between, it goes on from the same token, and ends with the token of the first list: what changed
//! meanwhile comes with the next read.

use super::CarddavAdapter;
use super::book::{Book, Listing, Unlisted};
use super::card::Card;
use super::client::{Client, Fault};
use super::dates::Dates;
use super::field::{SHAPE, Told, cells, gone};
use super::multistatus;
use crate::page::PageBuilder;
use crate::{AdapterError, ReadEnd, ReadRequest};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use syncline_core::record::{Cursor, Page};
use tokio::sync::mpsc;

const VERSION: u32 = 1;

/// So many cards are asked for at once.
const CARDS_MAX: usize = 100;

/// The longest answer with cards, in bytes; a longer one is asked for in parts.
const CARDS_BYTES_MAX: usize = 16 << 20;

/// Where a read stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Position {
    version: u32,
    /// The address of the book.
    book: String,
    /// The token that the read began with; `None` where it reads all.
    from: Option<String>,
    /// The token that it ends with.
    to: Option<String>,
    /// The last card that was read; `None` once all were.
    after: Option<CompactString>,
}

impl Position {
    fn to_cursor(&self) -> Cursor {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Cards that a server showed.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// By name, in their order; those that are not there are left out.
    pub(super) cards: Vec<(CompactString, ShownCard)>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct ShownCard {
    pub(super) etag: Option<String>,
    pub(super) modified: Option<String>,
    /// The card, or why there is none.
    card: Result<Card, Unreadable>,
}

/// What was shown and is no card.
#[derive(Debug)]
struct Unreadable {
    payload: String,
    problem: String,
}

impl CarddavAdapter {
    /// What [`crate::Adapter::read`] promises.
    pub(super) async fn read_book(
        &self,
        request: ReadRequest,
        pages: &mpsc::Sender<Page>,
    ) -> Result<ReadEnd, AdapterError> {
        let book = self.book(&request.entity).await?;
        let wrong = |fault: Fault| fault.into_adapter(&book.name);
        let given = request.cursor.filter(|cursor| !cursor.is_null());
        let known = given.as_ref().and_then(|cursor| Position::deserialize(cursor).ok());
        let known = known.filter(|at| at.version == VERSION && at.book == book.url.as_str());
        let start = Start::of(known, request.full);
        let (listing, from) = list(&self.client, book, &start).await.map_err(wrong)?;
        let went_on = from == start.from;
        let mut position = Position {
            version: VERSION,
            book: book.url.to_string(),
            from,
            to: if went_on { start.to.or(listing.token) } else { listing.token },
            after: start.after.filter(|_| went_on),
        };
        let restarted = given.is_some() && !(went_on && start.is_known);
        let names: Vec<(CompactString, bool)> = listing.cards.into_iter().collect();
        let done = position
            .after
            .as_ref()
            .map_or(0, |after| names.partition_point(|(name, _)| name <= after));
        let mut page = builder(request.changed_since, book);
        let names_all = position.from.is_none();
        let stopped = |position: &Position| ReadEnd {
            incomplete_because: Some("the read was stopped".to_owned()),
            restarted,
            cursor: position.to_cursor(),
            ..ReadEnd::default()
        };
        let (mut line, mut unread, mut dates) = (done as u64, 0, Dates::default());
        let total = names.len().max(1) as f64;
        for batch in names[done..].chunks(CARDS_MAX.min(request.page_len.max(1))) {
            let there = batch.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name);
            let shown = show(&self.client, book, there.cloned().collect()).await;
            let mut shown = shown.map_err(wrong)?;
            if self.spec(&request.entity)?.0.dated {
                dates.fill(&self.client, book, &mut shown).await.map_err(wrong)?;
            }
            for (name, is_there) in batch {
                line += 1;
                if !is_there && position.from.is_some() {
                    page.push_deleted(gone(name), line);
                } else if let Some(card) = shown.take(name) {
                    unread += u64::from(card.add_to(&mut page, name, line));
                }
                // One that is not shown went away since it was listed; the next list says so.
            }
            position.after = batch.last().map(|(name, _)| name.clone());
            if page.len() + CARDS_MAX > request.page_len.max(CARDS_MAX) {
                let page = page.take(position.to_cursor(), Some(line as f64 / total));
                if pages.send(page).await.is_err() {
                    return Ok(stopped(&position));
                }
            }
        }
        if page.len() > 0 && pages.send(page.take(position.to_cursor(), Some(1.0))).await.is_err() {
            return Ok(stopped(&position));
        }
        // A card that cannot be read may be anybody's.
        let gap =
            (names_all && unread > 0).then(|| format!("{unread} of the cards could not be read"));
        (position.from, position.after) = (None, None);
        Ok(ReadEnd {
            complete: gap.is_none(),
            incomplete_because: gap,
            restarted,
            listed_all: names_all && !request.full,
            cursor: position.to.as_ref().map_or(Cursor::Null, |_| position.to_cursor()),
            ..ReadEnd::default()
        })
    }

    /// The first cards of a book, at most `limit`.
    pub(super) async fn sample(&self, entity: &str, limit: usize) -> Result<Page, AdapterError> {
        let book = self.book(entity).await?;
        let wrong = |fault: Fault| fault.into_adapter(&book.name);
        let start = Start::default();
        let (listing, _) = list(&self.client, book, &start).await.map_err(wrong)?;
        let names: Vec<CompactString> = listing.cards.into_keys().take(limit).collect();
        self.page(entity, names).await
    }

    /// The cards of these names, as they are now; those that are not there are left out.
    pub(super) async fn page(
        &self,
        entity: &str,
        names: Vec<CompactString>,
    ) -> Result<Page, AdapterError> {
        let (book, dated) = (self.book(entity).await?, self.spec(entity)?.0.dated);
        let wrong = |fault: Fault| fault.into_adapter(&book.name);
        let (mut page, mut dates) = (builder(None, book), Dates::default());
        for names in names.chunks(CARDS_MAX) {
            let mut shown = show(&self.client, book, names.to_vec()).await.map_err(wrong)?;
            if dated {
                dates.fill(&self.client, book, &mut shown).await.map_err(wrong)?;
            }
            for (line, (name, card)) in (1..).zip(shown.cards) {
                card.add_to(&mut page, &name, line);
            }
        }
        Ok(page.take(Cursor::Null, None))
    }
}

/// Where a read begins.
#[derive(Default)]
struct Start {
    from: Option<String>,
    to: Option<String>,
    after: Option<CompactString>,
    is_known: bool,
}

impl Start {
    fn of(known: Option<Position>, full: bool) -> Self {
        match known {
            None => Self::default(),
            // It was interrupted, and goes on.
            Some(Position { from, to, after: Some(after), .. }) if from.is_none() || !full => {
                Self { from, to, after: Some(after), is_known: true }
            }
            Some(_) if full => Self::default(),
            Some(Position { to, .. }) => {
                Self { is_known: to.is_some(), from: to, ..Self::default() }
            }
        }
    }
}

/// What there is to be read, and the token that the list really begins with.
async fn list(
    client: &Client,
    book: &Book,
    start: &Start,
) -> Result<(Listing, Option<String>), Fault> {
    for from in [start.from.as_ref(), None] {
        let token = from.map_or("", String::as_str);
        match book.changes(client, token).await {
            Ok(listing) => return Ok((listing, from.cloned())),
            Err(Unlisted::Fault(fault)) => return Err(fault),
            Err(Unlisted::Again) => {}
        }
    }
    Ok((book.all(client).await?, None))
}

fn builder(changed_since: Option<crate::ChangedSince>, book: &Book) -> PageBuilder {
    let mut page = PageBuilder::new(changed_since);
    page.shape = SHAPE.clone();
    page.set_source(&Arc::from(book.name.as_str()));
    page
}

/// Asks for cards; an answer that is too long is asked for in halves.
pub(super) async fn show(
    client: &Client,
    book: &Book,
    names: Vec<CompactString>,
) -> Result<Shown, Fault> {
    let mut shown = Shown::default();
    let mut waiting = vec![names];
    while let Some(mut names) = waiting.pop() {
        if names.is_empty() {
            continue;
        }
        let mut found = Vec::with_capacity(names.len());
        let addresses = names.iter().filter_map(|name| book.address(name).ok());
        let addresses: Vec<String> = addresses.map(|url| url.path().to_owned()).collect();
        let ask = multistatus::multiget(addresses.iter().map(String::as_str));
        let asked = client.ask("REPORT", &book.url, "1", ask, CARDS_BYTES_MAX, |resource| {
            let Some(name) = book.name_of(&resource.href) else { return };
            let told = resource.told;
            if let Some(body) = &told.card {
                let card = Card::parse(body.as_bytes())
                    .map_err(|problem| Unreadable { payload: body.clone(), problem });
                found.push((name, ShownCard { etag: told.etag, modified: told.modified, card }));
            }
        });
        match asked.await {
            Ok(_) => shown.cards.append(&mut found),
            Err(Fault::TooLong) if names.len() > 1 => {
                let rest = names.split_off(names.len() / 2);
                waiting.extend([rest, names]);
            }
            Err(Fault::TooLong) => {
                let problem = format!("it is longer than {} MiB", CARDS_BYTES_MAX >> 20);
                let card = Err(Unreadable { payload: names[0].to_string(), problem });
                let card = ShownCard { etag: None, modified: None, card };
                shown.cards.push((names.remove(0), card));
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(shown)
}

impl Shown {
    fn take(&mut self, name: &str) -> Option<ShownCard> {
        let place = self.cards.iter().position(|(known, _)| known == name)?;
        Some(self.cards.swap_remove(place).1)
    }
}

impl ShownCard {
    /// Adds the card to `page`, and returns whether it could not be read.
    fn add_to(&self, page: &mut PageBuilder, href: &str, line: u64) -> bool {
        let told = Told { href, etag: self.etag.as_deref(), modified: self.modified.as_deref() };
        match &self.card {
            Ok(card) => page.push(cells(card, told), line),
            Err(unreadable) => {
                let problem = format!("`{href}` is no vCard: {}", unreadable.problem);
                page.reject(line, unreadable.payload.as_bytes(), problem);
            }
        }
        self.card.is_err()
    }
}
