//! Where the address books of a server are, and what is in one.
//!
//! Source: RFC 6764 §6 (well-known address), RFC 5397 (current-user-principal), RFC 6352 §7.1 (home).

use super::client::{ANSWER_BYTES_MAX, Client, Fault};
use super::multistatus::{self, Resource};
use super::settings::Spec;
use compact_str::CompactString;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use std::collections::BTreeMap;

/// An address book.
#[derive(Clone, Debug)]
pub(super) struct Book {
    /// Its address, with a slash at the end.
    pub(super) url: Url,
    /// What people call it.
    pub(super) name: String,
    /// Whether it may say what changed; else it is compared as a whole.
    pub(super) syncs: bool,
    /// Whether the user may write; `None` where the server does not say.
    pub(super) writable: Option<bool>,
}

/// What a server says of the cards of a book: by the last part of its address, whether it is there.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) cards: BTreeMap<CompactString, bool>,
    /// Where the next listing of changes begins.
    pub(super) token: Option<String>,
}

/// Why there is no list of what changed.
#[derive(Debug)]
pub(super) enum Unlisted {
    /// The server does not know the token any more, or does not make such lists.
    Again,
    Fault(Fault),
}

impl Book {
    /// The address book that `spec` means.
    pub(super) async fn find(client: &Client, spec: &Spec) -> Result<Self, Fault> {
        let mut books = Vec::new();
        let start = client.url().clone();
        let principal = match about(client, &start, &mut books).await {
            Ok(found) => found,
            // The address is that of a site, and not of the service.
            Err(fault) if matches!(fault.status(), Some(400 | 403 | 404 | 405 | 501)) => {
                let known = at(&start, "/.well-known/carddav")?;
                match about(client, &known, &mut books).await {
                    Ok(found) => found,
                    Err(_) => return Err(fault),
                }
            }
            Err(fault) => return Err(fault),
        };
        if books.is_empty() {
            for home in homes(client, principal, &start).await? {
                let ask = multistatus::about();
                client
                    .ask("PROPFIND", &home, "1", ask, ANSWER_BYTES_MAX, |resource| {
                        books.extend(Self::of(&home, resource));
                    })
                    .await?;
            }
        }
        choose(books, spec)
    }

    fn of(base: &Url, resource: Resource) -> Option<Self> {
        let told = resource.told;
        let mut url = base.join(&resource.href).ok().filter(|url| url.origin() == base.origin())?;
        if !told.is_address_book {
            return None;
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let last = url.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let name = told.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| decoded(last).unwrap_or_else(|| last.to_owned()));
        let writable = told.privileges.map(|names| {
            names
                .iter()
                .any(|name| matches!(name.as_str(), "all" | "write" | "write-content" | "bind"))
        });
        Some(Self { url, name, syncs: told.syncs.unwrap_or(true), writable })
    }

    /// The address of the card whose name is `href`.
    ///
    /// # Errors
    ///
    /// When there can be no such card.
    pub(super) fn address(&self, href: &str) -> Result<Url, String> {
        let is_name = !matches!(href, "" | "." | "..") && !href.contains(['/', '\0']);
        let mut url = self.url.clone();
        let parts = url.path_segments_mut().ok().filter(|_| is_name);
        let mut parts = parts.ok_or_else(|| format!("`{href}` cannot name a card"))?;
        parts.pop_if_empty().push(href);
        drop(parts);
        Ok(url)
    }

    /// The name of the card at `href`; `None` where that is no card of this book.
    pub(super) fn name_of(&self, href: &str) -> Option<CompactString> {
        let url = self.url.join(href).ok()?;
        let (mut own, mut other) = (self.url.path_segments()?, url.path_segments()?);
        loop {
            let (wanted, found) = (own.next()?, other.next()?);
            if wanted.is_empty() {
                let is_last = other.next().is_none() && !found.is_empty();
                let name = decoded(found).filter(|name| is_last && !name.contains('/'));
                return name.map(CompactString::from);
            }
            if decoded(wanted)? != decoded(found)? {
                return None;
            }
        }
    }

    /// What changed since `token`; everything where it is empty.
    pub(super) async fn changes(&self, client: &Client, token: &str) -> Result<Listing, Unlisted> {
        let mut listing = Listing { token: Some(token.to_owned()), ..Listing::default() };
        if !self.syncs {
            return Err(Unlisted::Again);
        }
        loop {
            let from = listing.token.take().unwrap_or_default();
            let (cards, mut more) = (&mut listing.cards, false);
            let ask = multistatus::sync(&from);
            let asked = client.ask("REPORT", &self.url, "0", ask, ANSWER_BYTES_MAX, |resource| {
                match self.name_of(&resource.href) {
                    Some(name) => {
                        let is_there = !matches!(resource.status, Some(404 | 410));
                        if !resource.told.is_collection {
                            cards.insert(name, is_there);
                        }
                    }
                    // The book itself: there is more than the server says at once (RFC 6578 §3.6).
                    None => more |= resource.status == Some(507),
                }
            });
            let (_, answer) = asked.await.map_err(|fault| match fault.status() {
                Some(401 | 404) | None => Unlisted::Fault(fault),
                Some(_) => Unlisted::Again,
            })?;
            let token = answer.sync_token.filter(|token| !token.is_empty());
            let goes_on = more && token.as_ref().is_some_and(|token| *token != from);
            listing.token = token;
            if !goes_on {
                let stopped = Fault::refused("the server leaves a part of its list out");
                return if more { Err(Unlisted::Fault(stopped)) } else { Ok(listing) };
            }
        }
    }

    /// All cards, from a list without a token.
    pub(super) async fn all(&self, client: &Client) -> Result<Listing, Fault> {
        let mut listing = Listing::default();
        let cards = &mut listing.cards;
        let ask = multistatus::listing();
        let mut is_cut = false;
        let each = |resource: Resource| match self.name_of(&resource.href) {
            Some(name) if !resource.told.is_collection => _ = cards.insert(name, true),
            Some(_) => {}
            None => is_cut |= resource.status == Some(507),
        };
        client.ask("PROPFIND", &self.url, "1", ask, ANSWER_BYTES_MAX, each).await?;
        if is_cut {
            return Err(Fault::refused("the server leaves a part of its list out"));
        }
        Ok(listing)
    }
}

/// What leads on from an address.
#[derive(Default)]
struct Found {
    principal: Option<Url>,
    homes: Vec<Url>,
}

/// Asks what is at `url`: an address book, or what leads to one.
async fn about(client: &Client, url: &Url, books: &mut Vec<Book>) -> Result<Found, Fault> {
    let mut resources = Vec::new();
    let ask = multistatus::about();
    let asked =
        client.ask("PROPFIND", url, "0", ask, ANSWER_BYTES_MAX, |r| resources.push(r)).await?;
    let mut found = Found::default();
    for resource in resources {
        let told = &resource.told;
        found.principal = told.principal.as_deref().map(|href| at(&asked.0, href)).transpose()?;
        for home in &told.homes {
            found.homes.push(at(&asked.0, home)?);
        }
        books.extend(Book::of(&asked.0, resource));
    }
    Ok(found)
}

async fn homes(client: &Client, found: Found, start: &Url) -> Result<Vec<Url>, Fault> {
    if !found.homes.is_empty() {
        return Ok(found.homes);
    }
    let principal = match found.principal {
        Some(principal) => principal,
        None => {
            let known = at(start, "/.well-known/carddav")?;
            let found = about(client, &known, &mut Vec::new()).await;
            let found = found.map(|found| found.principal).unwrap_or_default();
            found.ok_or_else(|| {
                Fault::refused("there is no address book, and nothing says where there is one")
            })?
        }
    };
    let found = about(client, &principal, &mut Vec::new()).await?;
    if found.homes.is_empty() {
        return Err(Fault::refused(format!("`{principal}` says of no home of address books")));
    }
    Ok(found.homes)
}

/// The address `href` of the server that says it.
fn at(base: &Url, href: &str) -> Result<Url, Fault> {
    let url = base.join(href).ok().filter(|url| url.origin() == base.origin());
    url.ok_or_else(|| {
        let problem =
            format!("`{base}` leads to `{href}`; name that as `url` if the password may go there");
        Fault::refused(problem)
    })
}

fn choose(books: Vec<Book>, spec: &Spec) -> Result<Book, Fault> {
    let ends = |book: &Book, name: &str| {
        let mut parts = book.url.path().trim_end_matches('/').rsplit('/');
        parts.next().and_then(decoded).as_deref() == Some(name)
    };
    let names = |books: &[Book]| {
        let names: Vec<String> = books.iter().map(|book| format!("`{}`", book.name)).collect();
        names.join(", ")
    };
    let Some(wanted) = &spec.name else {
        return match <[Book; 1]>::try_from(books) {
            Ok([book]) => Ok(book),
            Err(books) if books.is_empty() => Err(Fault::refused("there is no address book")),
            Err(books) => Err(Fault::refused(format!(
                "there are several address books ({}); name one as `address_book`",
                names(&books)
            ))),
        };
    };
    let (mut found, others): (Vec<Book>, Vec<Book>) =
        books.into_iter().partition(|book| book.name == *wanted || ends(book, wanted));
    match (found.pop(), found.len()) {
        (Some(book), 0) => Ok(book),
        (Some(_), _) => Err(Fault::refused(format!(
            "several address books are called `{wanted}`; name the end of one's address"
        ))),
        (None, _) => Err(Fault::refused(format!(
            "there is no address book `{wanted}`; there are: {}",
            names(&others)
        ))),
    }
}

fn decoded(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
