//! The store in one SQLite file.
//!
//! One thread owns the connection and does what it is asked in the order in which it was asked. Commits
//! share a transaction, the group: it is committed when it is asked for ([`Store::settle`]), when it is
//! [`Options::group_age`] old, and when nothing came for [`Options::idle`] after a commit. Dropping the
//! store drops an open group.
//!
//! A write that fails in the middle of a group loses the whole group, since a savepoint for each plan would
//! cost more than all such failures: every execution with a plan in it then gets an error for any further
//! commit, ends as failed, and keeps the checkpoint of the last group that was committed.

mod apply;
mod ask;
mod db;
mod edges;
mod erase;
mod insert;
mod key_log;
mod memory;
mod merges;
mod notice;
mod outbox;
mod read;
mod rows;
mod runs;
mod schema;
mod trouble;

use crate::erasure::Erased;
use crate::execution::{Begin, Begun, ExecutionRow, Finish, TaskStats};
use crate::notice::{Notice, NoticeRow};
use crate::query::{
    ConflictFilter, Counts, DeadLetterFilter, DeadLetterRow, EdgeRow, History, IntentFilter,
    MergeRow, ShardFilter,
};
use crate::{Catalog, Committed, Ids, Position, Store, StoreError};
use db::Db;
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use syncline_core::plan::rows::{
    ConflictRow, Decision, EntityId, ExecutionId, IntentRow, LinkId, LinkRow, MatchEdge, ShardId,
    ShardRow, TypeId,
};
use syncline_core::plan::view::{Found, Need};
use syncline_core::plan::writes::Plan;
use tokio::sync::oneshot;

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose data it holds; a database of another tenant is refused. Empty: whoever's it is, as long as it is
    /// somebody's already.
    pub tenant: String,
    /// Nothing is written, not even to bring the schema up to date; works while others write.
    pub read_only: bool,
    /// With `read_only`: everything is read as it was at the moment of opening, whatever others write
    /// since. For a preview, which must not hold on for hours: the write-ahead log grows meanwhile.
    pub snapshot: bool,
    /// How long to wait for another program's lock, in milliseconds.
    pub busy_ms: u32,
    /// How old a group of commits may become before it is committed.
    pub group_age: Duration,
    /// How long nothing may come after a commit before the group is committed.
    pub idle: Duration,
    /// The least and the most that the page cache may hold, in KiB. What planning reads at random should fit: within
    /// these, it is a sixth of the database.
    pub cache_kib: RangeInclusive<u32>,
    /// How long the write-ahead log may grow before its pages are copied into the database, in pages.
    pub wal_pages: u32,
    /// How many match keys may be kept beside their table before they are moved into it; each takes some 20
    /// bytes of memory, or twice as many right after the hash table has grown: at 2^20 places, it holds 917,504.
    pub key_log_max: usize,
    /// The most pages that the database may have; `None` leaves it to the disk.
    pub pages_max: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tenant: "default".to_owned(),
            read_only: false,
            snapshot: false,
            busy_ms: 10_000,
            group_age: Duration::from_secs(1),
            idle: Duration::from_millis(50),
            cache_kib: 32 * 1024..=96 * 1024,
            wal_pages: 50_000,
            key_log_max: 900_000,
            pages_max: None,
        }
    }
}

type Job = Box<dyn FnOnce(&mut Db) + Send>;

/// A [`Store`] in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the database at `path`, made where there is none (unless it is to be read only).
    /// `:memory:` is a database that nobody else sees, and that is gone with the store.
    ///
    /// # Errors
    ///
    /// [`StoreError::Newer`] for a database of a newer version, [`StoreError::Damaged`] for a file that is
    /// no database or another program's, [`StoreError::Blank`] for one to be read that nothing was saved in,
    /// [`StoreError::Unusable`] where the file cannot be used.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let mut db = Db::open(&path, options)?;
        let (jobs, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("syncline-store".to_owned())
            .spawn(move || work(&mut db, &inbox))
            .map_err(|error| thread_trouble(&path, &error.to_string()))?;
        Ok(Self { path, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has the thread do `job`, after everything that it was asked before.
    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Db) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        // Whoever asked may have gone away meanwhile; the job is done all the same.
        let job: Job = Box::new(move |db| drop(reply.send(job(db))));
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        Box::pin(async move {
            let answer = if sent { answer.await.ok() } else { None };
            answer.unwrap_or_else(|| Err(thread_trouble(&self.path, "its thread has ended")))
        })
    }

    fn query<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        self.ask(move |db| db.read_together(job))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.jobs = None;
        // Waits for the file to be closed. A thread that panicked has said so already.
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn thread_trouble(path: &Path, problem: &str) -> StoreError {
    let (path, problem) = (path.display().to_string(), problem.to_owned());
    StoreError::Unusable { path, doing: "open", problem, transient: false }
}

fn work(db: &mut Db, inbox: &Receiver<Job>) {
    loop {
        let next = match db.patience() {
            Some(patience) => inbox.recv_timeout(patience),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(job) => {
                job(db);
                // Questions that keep coming keep nobody out. What goes wrong is remembered, as below.
                drop(db.settle_if_overdue());
            }
            // What went wrong is remembered, and told to the executions that it concerns.
            Err(RecvTimeoutError::Timeout) => drop(db.settle()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl Store for SqliteStore {
    fn register(&self, catalog: Catalog) -> Answer<'_, Ids> {
        self.ask(move |db| db.register(&catalog))
    }

    fn catalog(&self) -> Answer<'_, (Catalog, Ids)> {
        self.query(ask::catalog)
    }

    fn erased(&self) -> Answer<'_, Erased> {
        self.query(erase::erased)
    }

    fn read(&self, need: Need) -> Answer<'_, Found> {
        self.ask(move |db| db.read(&need))
    }

    fn commit(&self, plan: Box<Plan>) -> Answer<'_, Committed> {
        self.ask(move |db| db.commit(plan))
    }

    fn settle(&self) -> Answer<'_, ()> {
        self.ask(Db::settle)
    }

    fn unsettled(&self, limit: usize) -> Answer<'_, Vec<LinkId>> {
        self.query(move |conn| ask::unsettled(conn, limit))
    }

    fn begin(&self, begin: Begin) -> Answer<'_, Begun> {
        self.ask(move |db| db.begin(&begin))
    }

    fn finish(&self, finish: Finish) -> Answer<'_, ()> {
        self.ask(move |db| db.finish(finish))
    }

    fn cancel<'a>(&'a self, task: &'a str) -> Answer<'a, bool> {
        let task = task.to_owned();
        self.ask(move |db| db.cancel(&task))
    }

    fn cancel_requested<'a>(&'a self, task: &'a str) -> Answer<'a, bool> {
        let task = task.to_owned();
        self.query(move |conn| runs::cancel_requested(conn, &task))
    }

    fn executions<'a>(
        &'a self,
        task: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<ExecutionRow>> {
        let task = task.map(str::to_owned);
        self.query(move |conn| runs::executions(conn, task.as_deref(), limit))
    }

    fn position<'a>(&'a self, task: &'a str) -> Answer<'a, Position> {
        let task = task.to_owned();
        self.query(move |conn| runs::position(conn, &task))
    }

    fn task_stats(&self) -> Answer<'_, Vec<TaskStats>> {
        self.query(runs::task_stats)
    }

    fn counts(&self) -> Answer<'_, Counts> {
        self.query(edges::counts)
    }

    fn live_links(&self, entity: EntityId) -> Answer<'_, u64> {
        self.query(move |conn| ask::live_links(conn, entity))
    }

    fn entity_links(
        &self,
        entity: EntityId,
        after: LinkId,
        limit: usize,
    ) -> Answer<'_, Vec<LinkRow>> {
        self.query(move |conn| ask::links(conn, Some(entity), after, limit))
    }

    fn shards(&self, filter: ShardFilter) -> Answer<'_, Vec<ShardRow>> {
        self.query(move |conn| ask::shards(conn, &filter))
    }

    fn shards_by_id<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<ShardRow>> {
        let prefix = prefix.to_owned();
        self.query(move |conn| ask::shards_by_id(conn, &prefix))
    }

    fn shards_by_row(&self, ids: Vec<ShardId>) -> Answer<'_, Vec<ShardRow>> {
        self.query(move |conn| read::shards_by_row(conn, ids.into_iter()))
    }

    fn links_of(&self, shards: Vec<ShardId>) -> Answer<'_, Vec<LinkRow>> {
        self.query(move |conn| ask::links_of(conn, &shards))
    }

    fn links(&self, after: LinkId, limit: usize) -> Answer<'_, Vec<LinkRow>> {
        self.query(move |conn| ask::links(conn, None, after, limit))
    }

    fn edges_from(&self, links: Vec<LinkId>) -> Answer<'_, Vec<EdgeRow>> {
        self.query(move |conn| edges::edges_from(conn, &links))
    }

    fn edges_to(&self, links: Vec<LinkId>) -> Answer<'_, Vec<EdgeRow>> {
        self.query(move |conn| edges::edges_to(conn, &links))
    }

    fn match_edges(&self, links: Vec<LinkId>) -> Answer<'_, Vec<MatchEdge>> {
        self.query(move |conn| {
            let mut edges = read::match_edges(conn, &links)?;
            edges.dedup();
            Ok(edges)
        })
    }

    fn review_edges(&self, after: (LinkId, LinkId), limit: usize) -> Answer<'_, Vec<MatchEdge>> {
        self.query(move |conn| ask::review_edges(conn, after, limit))
    }

    fn merges(&self, shards: Vec<ShardId>) -> Answer<'_, Vec<MergeRow>> {
        self.query(move |conn| merges::merges(conn, &shards))
    }

    fn matched(&self, shard_type: TypeId) -> Answer<'_, Option<String>> {
        self.query(move |conn| merges::matched(conn, shard_type))
    }

    fn decisions(&self) -> Answer<'_, Vec<Decision>> {
        self.query(merges::decisions)
    }

    fn history(&self, shard: ShardId) -> Answer<'_, Vec<History>> {
        self.query(move |conn| ask::history(conn, shard))
    }

    fn dead_letters(&self, filter: DeadLetterFilter) -> Answer<'_, Vec<DeadLetterRow>> {
        self.query(move |conn| ask::dead_letters(conn, &filter))
    }

    fn intents(&self, filter: IntentFilter) -> Answer<'_, Vec<IntentRow>> {
        self.query(move |conn| outbox::intents(conn, &filter))
    }

    fn conflicts(&self, filter: ConflictFilter) -> Answer<'_, Vec<ConflictRow>> {
        self.query(move |conn| outbox::conflicts(conn, &filter))
    }

    fn swept(&self, entity: EntityId) -> Answer<'_, Option<String>> {
        self.query(move |conn| outbox::swept(conn, entity))
    }

    fn changed_in(&self, execution: ExecutionId) -> Answer<'_, Vec<ShardId>> {
        self.query(move |conn| outbox::changed_in(conn, execution))
    }

    fn replayed(&self, ids: Vec<i64>, execution: ExecutionId) -> Answer<'_, ()> {
        self.ask(move |db| db.replayed(&ids, execution))
    }

    fn note(&self, notices: Vec<Notice>) -> Answer<'_, ()> {
        self.ask(move |db| db.note(&notices))
    }

    fn notices<'a>(&'a self, task: &'a str, limit: usize) -> Answer<'a, Vec<NoticeRow>> {
        let task = task.to_owned();
        self.query(move |conn| notice::waiting(conn, &task, limit))
    }

    fn heeded(&self, ids: Vec<i64>) -> Answer<'_, ()> {
        self.ask(move |db| db.heeded(&ids))
    }
}
