//! The code that speaks to outside systems: the [`Adapter`] seam and one folder for each family.

mod carddav;
mod discover;
mod file;
mod http;
mod kept;
pub mod manifest;
mod object;
mod page;
pub mod registry;
mod shared;
mod sql;
mod subprocess;
pub mod write;

/// Singer messages from somewhere else than a program that was started here.
pub mod singer {
    pub use crate::subprocess::{Heard, Input, InputError, Rows, State, StreamSchema};
}

pub use shared::Shared;

use futures_util::future::BoxFuture;
use syncline_core::record::{Cursor, Page};
use thiserror::Error;
use tokio::sync::mpsc;
use write::Writer;

/// What an adapter's system can do, as data: nothing asks for an adapter's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// A read can go on from a cursor instead of starting again.
    pub resumes: bool,
    /// A complete read names every record there is, so that a missing one is a deleted one.
    pub lists_all: bool,
    /// Reading costs calls, so payloads are worth keeping.
    pub reading_costs_calls: bool,
}

/// What a connection has been asked since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests that were sent.
    pub requests: u64,
    /// Of these: were one too many, as the system said.
    pub limited: u64,
    /// How long requests waited for the system's limits, in milliseconds.
    pub waited_ms: u64,
}

/// What is to be read.
#[derive(Clone, Debug, Default)]
pub struct ReadRequest {
    /// The entity, as the connection's settings name it.
    pub entity: String,
    /// Where the last read stopped; `None` reads from the start.
    pub cursor: Option<Cursor>,
    /// Whether everything is read, changed or not. If so, `cursor` is a checkpoint of this very read, which
    /// was interrupted, and the adapter goes on from there or, where it cannot, starts again.
    pub full: bool,
    /// The most records in a page.
    pub page_len: usize,
    /// Only records whose value in this field is at least this.
    pub changed_since: Option<ChangedSince>,
}

/// A bound on a cursor field.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedSince {
    /// The field.
    pub field: String,
    /// The least value that is read: microseconds since 1970 for times, the number itself for numbers.
    pub at_least: i64,
}

/// How a read ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadEnd {
    /// The source was seen to its end without a gap, so what did not come is not there.
    pub complete: bool,
    /// Why the read is known to be incomplete, for people.
    pub incomplete_because: Option<String>,
    /// Whether the read began at the source's start, although a cursor was given (the source was replaced).
    pub restarted: bool,
    /// Every record that there is came, although only what is new was asked for: its source could not say what that
    /// is. What did not come is looked up, and deleted where it is not there.
    pub listed_all: bool,
    /// What people should know of a read that went well, such as why everything was read again.
    pub remark: Option<String>,
    /// Where the next read begins.
    pub cursor: Cursor,
}

/// What a connection offers, as [`Adapter::discover`] found it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiscoveredEntity {
    /// The entity's name.
    pub name: String,
    /// Its fields, with the kinds of value that the sampled records hold.
    pub fields: Vec<(String, String)>,
    /// Sampled records, at most 100.
    pub sample: Page,
}

/// Code that speaks to one kind of outside system.
///
/// An implementation keeps no state between calls but connections; whatever a later read needs is in
/// the cursor. Every method may be called again after an error.
pub trait Adapter: Send + Sync {
    /// What the system can do.
    fn capabilities(&self) -> Capabilities;

    /// What people are told when a run begins, where it is not read as they might think.
    fn note(&self) -> Option<&str> {
        None
    }

    /// Does what a read does, for one page, and writes nothing.
    ///
    /// # Errors
    ///
    /// What a read would meet.
    fn check<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<(), AdapterError>>;

    /// Finds out what the entity holds, from a sample.
    ///
    /// # Errors
    ///
    /// What a read would meet.
    fn discover<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<DiscoveredEntity, AdapterError>>;

    /// Sends pages, in order, to `pages`; each page's cursor stands after its last record. Stops early,
    /// without error and not complete, when nobody receives any more. The same request with a page's
    /// cursor gives the records after that page, and none twice, as long as the source did not change.
    ///
    /// # Errors
    ///
    /// When the system cannot be read at all, or stops in the middle; pages already sent stay good.
    /// A record that cannot be understood is no error, but an entry of [`Page::rejected`].
    fn read<'a>(
        &'a self,
        request: ReadRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'a, Result<ReadEnd, AdapterError>>;

    /// The way to write to the system; `None` where it is only read.
    fn writer(&self) -> Option<&dyn Writer> {
        None
    }
}

/// Why a system could not be read.
#[derive(Debug, Error)]
pub enum AdapterError {
    /// The configuration names an adapter that this build does not have.
    #[error("there is no adapter `{0}`")]
    UnknownAdapter(String),
    /// The settings cannot work: nothing to try again.
    #[error("{0}")]
    Settings(String),
    /// The system is there and says no, or is not there: nothing to try again.
    #[error("cannot read `{what}`: {problem}")]
    Refused {
        /// What was to be read.
        what: String,
        /// Why not.
        problem: String,
    },
    /// The system could not be reached, or broke off; trying again can help.
    #[error("cannot read `{what}`: {problem}")]
    Unavailable {
        /// What was to be read.
        what: String,
        /// Why not.
        problem: String,
        /// How long the system asked to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
}

impl AdapterError {
    /// Whether the same call can succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
