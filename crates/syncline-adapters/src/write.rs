//! Writing to a system: what an adapter promises of its writes, what it is handed, and what it answers.

use crate::AdapterError;
use compact_str::CompactString;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use syncline_core::record::Page;
use syncline_core::value::Value;

/// What a system promises of its writes, as data. The engine takes the strongest guard that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteCapabilities {
    /// What keeps a record from being created twice.
    pub create: CreateGuard,
    /// What keeps a write from covering an edit that nobody has read.
    pub update: UpdateGuard,
    /// Whether records can be deleted.
    pub deletes: bool,
    /// The most writes in one call of [`Writer::write`].
    pub batch_max: usize,
    /// How long a request that was given up can still take effect, in milliseconds.
    pub lands_within_ms: u64,
    /// How long after its creation a record can stay hidden from [`Writer::find`], in milliseconds.
    pub found_within_ms: u64,
    /// How coarse the modified times of its records are, in microseconds.
    pub granularity_us: i64,
}

/// What keeps a record from being created twice, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateGuard {
    /// The record's key, or a unique field, is ours to choose: a second creation is refused with
    /// [`Written::Exists`].
    UniqueKey,
    /// A second request with the same [`Write::key`] does nothing more, for so many milliseconds.
    IdempotencyKey {
        /// How long the system remembers a key.
        remembered_ms: u64,
    },
    /// A creation with a key that is there already changes that record.
    Upsert,
    /// A field of the record holds [`Write::marker`], and [`Writer::find`] looks for it.
    Marker,
    /// Nothing: a creation whose reply was lost is never sent again.
    Nothing,
}

/// What keeps an update or a deletion from covering an edit that nobody has read, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateGuard {
    /// The system compares and writes in one step (`If-Match`, `UPDATE … WHERE`).
    Strong,
    /// It compares times of this many milliseconds (`If-Unmodified-Since`).
    Weak {
        /// The granularity of the comparison.
        granularity_ms: u64,
    },
    /// It compares nothing: the record is read before and after.
    Nothing,
}

/// One write. All attempts at it are equal, so that a late one does no harm.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The idempotency key.
    pub key: CompactString,
    /// Names the shard at this system, for records that can hold it.
    pub marker: CompactString,
    /// What is to be written.
    pub change: Change,
}

/// What a write does. Fields are the system's own, at the top of its record.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Makes a record.
    Create {
        /// What it is to hold.
        fields: Vec<(CompactString, Value)>,
    },
    /// Changes fields of a record, and no others.
    Update {
        /// Which.
        target: Target,
        /// What the fields are to hold.
        fields: Vec<(CompactString, Value)>,
    },
    /// Deletes a record.
    Delete {
        /// Which.
        target: Target,
    },
}

/// The record that a write is for, as it was when the write was decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// The values of the entity's key fields, in the order of its `key`.
    pub key: Vec<CompactString>,
    /// Its version, as the record said; `None` where it has none.
    pub version: Option<CompactString>,
    /// What the changed fields held. A system without versions compares these.
    pub before: Vec<(CompactString, Value)>,
}

/// What became of one write.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// It was done.
    Done {
        /// The values of the record's key fields.
        key: Vec<CompactString>,
        /// The index in [`Replies::records`] of the record with this very key, where the system shows it as it is now.
        /// What a repeated creation made may be gone by then.
        record: Option<usize>,
    },
    /// The record is not as [`Target`] says: nothing was written.
    Changed,
    /// There is no such record: nothing was written.
    Missing,
    /// A creation found a record with its key: nothing was written.
    Exists {
        /// The values of that record's key fields, where the system says them.
        key: Option<Vec<CompactString>>,
    },
    /// The system will not have it, now or later: nothing was written.
    Rejected {
        /// The field that it minds, where it says so.
        field: Option<CompactString>,
        /// Why, in the system's words.
        problem: String,
    },
    /// It was surely not executed, and may be sent again.
    NotSent {
        /// Why.
        problem: String,
        /// How long the system asked to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// Nobody knows: the reply was lost.
    Unknown {
        /// What is known.
        problem: String,
    },
}

/// The answers to a call of [`Writer::write`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replies {
    /// One for each write, in their order.
    pub written: Vec<Written>,
    /// Records as the system showed them in its reply.
    pub records: Page,
}

/// An adapter that can write.
///
/// An implementation decides nothing: it sends what it is handed, once, and says what became of each write.
pub trait Writer: Send + Sync {
    /// What the system promises of writes to `entity`.
    ///
    /// # Errors
    ///
    /// When `entity` cannot be written at all: [`AdapterError::Settings`] or [`AdapterError::Refused`].
    fn capabilities<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<WriteCapabilities, AdapterError>>;

    /// What keeps this very creation from being done twice. That may be less than [`WriteCapabilities::create`]: a
    /// unique field guards only the creations that fill it.
    ///
    /// # Errors
    ///
    /// As for [`Writer::capabilities`].
    fn create_guard<'a>(
        &'a self,
        entity: &'a str,
        _write: &'a Write,
    ) -> BoxFuture<'a, Result<CreateGuard, AdapterError>> {
        async move { Ok(self.capabilities(entity).await?.create) }.boxed()
    }

    /// Sends writes, at most [`WriteCapabilities::batch_max`], no two to the same record. What goes wrong
    /// goes into the replies, write by write.
    fn write<'a>(&'a self, entity: &'a str, writes: Vec<Write>) -> BoxFuture<'a, Replies>;

    /// Reads records by key, as they are now; those that are not there are left out, and so is what no read of the entity
    /// would show.
    ///
    /// # Errors
    ///
    /// What a read would meet.
    fn get<'a>(
        &'a self,
        entity: &'a str,
        keys: Vec<Vec<CompactString>>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>>;

    /// Finds records by [`Write::marker`], or, for [`CreateGuard::UniqueKey`] and
    /// [`CreateGuard::Upsert`], by the unique fields of the creation.
    ///
    /// # Errors
    ///
    /// What a read would meet.
    fn find<'a>(
        &'a self,
        entity: &'a str,
        writes: Vec<Write>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>>;
}
