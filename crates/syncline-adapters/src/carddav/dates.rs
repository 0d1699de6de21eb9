//! When cards changed, from servers that do not say so along with them.

use super::book::Book;
use super::client::{ANSWER_BYTES_MAX, Client, Fault};
use super::multistatus::{self, Properties};
use super::read::Shown;
use compact_str::CompactString;
use futures_util::{FutureExt, StreamExt, stream};
use std::collections::BTreeMap;

/// Up to so many cards are asked for one by one; for more, the whole book is.
const FEW: usize = 20;

/// So many requests are under way at once.
const PARALLEL: usize = 4;

/// What is known of when the cards of a book changed.
#[derive(Default)]
pub(super) struct Dates {
    /// By name, version and date, once the whole book was asked for.
    listed: Option<BTreeMap<CompactString, Dated>>,
    /// Whether the server was found to say none at all.
    silent: bool,
}

struct Dated {
    etag: Option<String>,
    modified: Option<String>,
}

impl From<Properties> for Dated {
    fn from(told: Properties) -> Self {
        Self { etag: told.etag, modified: told.modified }
    }
}

impl Dates {
    /// Says of cards when they changed, where they do not. A date counts for the version that it comes with.
    pub(super) async fn fill(
        &mut self,
        client: &Client,
        book: &Book,
        shown: &mut Shown,
    ) -> Result<(), Fault> {
        let mut undated: Vec<_> =
            shown.cards.iter_mut().filter(|(_, card)| card.modified.is_none()).collect();
        if undated.is_empty() || self.silent {
            return Ok(());
        }
        if undated.len() > FEW && self.listed.is_none() {
            self.list(client, book).await?;
        }
        if let Some(listed) = &self.listed {
            for (name, card) in &mut undated {
                if let Some(known) = listed.get(name).filter(|known| known.etag == card.etag) {
                    card.modified.clone_from(&known.modified);
                }
            }
            undated.retain(|(_, card)| card.modified.is_none());
        }
        if self.silent {
            return Ok(());
        }
        let asked: Vec<_> =
            undated.iter().map(|(name, _)| one(client, book, name.clone()).boxed()).collect();
        let found: Vec<_> = stream::iter(asked).buffered(PARALLEL).collect().await;
        for ((_, card), found) in undated.into_iter().zip(found) {
            if let Some(known) = found?.filter(|known| known.etag == card.etag) {
                self.silent |= known.modified.is_none();
                card.modified = known.modified;
            }
        }
        Ok(())
    }

    async fn list(&mut self, client: &Client, book: &Book) -> Result<(), Fault> {
        let mut listed = BTreeMap::new();
        let ask = multistatus::dates();
        client
            .ask("PROPFIND", &book.url, "1", ask, ANSWER_BYTES_MAX, |resource| {
                if let Some(name) = book.name_of(&resource.href) {
                    listed.insert(name, Dated::from(resource.told));
                }
            })
            .await?;
        self.silent = listed.values().all(|dated| dated.modified.is_none());
        self.listed = Some(listed);
        Ok(())
    }
}

/// Asks for one card; `None` where it is there no more.
async fn one(client: &Client, book: &Book, name: CompactString) -> Result<Option<Dated>, Fault> {
    let Ok(url) = book.address(&name) else { return Ok(None) };
    let mut found = None;
    let ask = multistatus::dates();
    let each = |resource: multistatus::Resource| found = Some(Dated::from(resource.told));
    match client.ask("PROPFIND", &url, "0", ask, ANSWER_BYTES_MAX, each).await {
        Err(fault) if matches!(fault.status(), Some(404 | 410)) => Ok(None),
        Err(fault) => Err(fault),
        Ok(_) => Ok(found),
    }
}
