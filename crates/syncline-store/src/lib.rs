//! Where shards, links and executions are kept: the [`Store`] seam and its implementations.

pub mod erasure;
pub mod execution;
mod lease;
pub mod notice;
pub mod overlay;
pub mod query;
pub mod reviews;
pub mod sqlite;

use erasure::Erased;
use execution::{Begin, Begun, ExecutionRow, Finish, TaskStats};
use futures_util::future::BoxFuture;
use notice::{Notice, NoticeRow};
use query::{
    ConflictFilter, Counts, DeadLetterFilter, DeadLetterRow, EdgeRow, History, IntentFilter,
    MergeRow, ShardFilter,
};
use syncline_core::plan::rows::{
    ConflictRow, Decision, EntityId, EntityName, ExecutionId, IntentRow, KindId, LinkId, LinkRow,
    MatchEdge, RuleId, RuleName, ShardId, ShardRow, TypeId,
};
use syncline_core::plan::view::{Found, Need};
use syncline_core::plan::writes::Plan;
use syncline_core::record::Cursor;
use thiserror::Error;

/// The names that a configuration uses, to be given row numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// Shard types.
    pub shard_types: Vec<String>,
    /// Entities, derived entities and field pseudo-entities.
    pub entities: Vec<EntityName>,
    /// Relationships.
    pub kinds: Vec<String>,
    /// Match rules.
    pub rules: Vec<RuleName>,
}

/// The row numbers for a [`Catalog`], in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ids {
    /// Shard types.
    pub shard_types: Vec<TypeId>,
    /// Entities.
    pub entities: Vec<EntityId>,
    /// Relationships.
    pub kinds: Vec<KindId>,
    /// Match rules.
    pub rules: Vec<RuleId>,
}

/// A task's cursor and high water.
pub type Position = (Option<Cursor>, Option<i64>);

/// What came of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Somebody asked for the execution to stop at the next batch border.
    pub cancel_requested: bool,
    /// Names the state that the commit has made, as [`Found::epoch`] does: [`Plan::state_after`], unless the plan was
    /// made from nothing that was read.
    pub epoch: u64,
}

/// A place where one tenant's shards, links and executions are kept.
///
/// `suite` holds what every implementation must do, as tests.
pub trait Store: Send + Sync {
    /// Gives each name its row number; the same name always gets the same one.
    fn register(&self, catalog: Catalog) -> BoxFuture<'_, Result<Ids, StoreError>>;

    /// The records that were erased, and are to stay away.
    fn erased(&self) -> BoxFuture<'_, Result<Erased, StoreError>>;

    /// Every entity there is, by row number; shard types, relationships and match rules likewise.
    fn catalog(&self) -> BoxFuture<'_, Result<(Catalog, Ids), StoreError>>;

    /// Reads what a plan needs, in one trip. Sees every commit made through this store before.
    fn read(&self, need: Need) -> BoxFuture<'_, Result<Found, StoreError>>;

    /// Applies a plan whole or not at all. It is seen by later reads at once, and durable at the latest
    /// after [`Store::settle`]: several commits may share one transaction, and a crash loses the last
    /// commits, never a part of one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] when what the plan was made from no longer stands: read and plan again.
    /// [`StoreError::Fenced`] when the execution's lease was lost to another worker.
    fn commit(&self, plan: Box<Plan>) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// Makes all commits so far durable.
    fn settle(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Links that changed, and that others look up: at most `limit`, oldest first.
    fn unsettled(&self, limit: usize) -> BoxFuture<'_, Result<Vec<LinkId>, StoreError>>;

    /// Takes the task's lease and begins an execution, or takes up the one that a dead worker left.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] while another worker that is alive holds the lease.
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>>;

    /// Ends an execution, keeps its task's cursor and statistics, and lets go of the lease.
    fn finish(&self, finish: Finish) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Asks the running execution of `task` to stop. `false` when none runs.
    fn cancel<'a>(&'a self, task: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Whether somebody asked the running execution of `task` to stop, for when nothing is committed that
    /// would tell. `false` when none runs.
    fn cancel_requested<'a>(&'a self, task: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Executions, newest first; of one task or all.
    fn executions<'a>(
        &'a self,
        task: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<ExecutionRow>, StoreError>>;

    /// A task's cursor and high water, as [`Begun`] holds them; `None` before its first complete read.
    fn position<'a>(&'a self, task: &'a str) -> BoxFuture<'a, Result<Position, StoreError>>;

    /// Statistics of every task that ever ran, by name.
    fn task_stats(&self) -> BoxFuture<'_, Result<Vec<TaskStats>, StoreError>>;

    /// How much of everything there is.
    fn counts(&self) -> BoxFuture<'_, Result<Counts, StoreError>>;

    /// Links of an entity that are not deleted.
    fn live_links(&self, entity: EntityId) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Links of an entity that are not deleted, by row number after `after`, at most `limit`.
    fn entity_links(
        &self,
        entity: EntityId,
        after: LinkId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<LinkRow>, StoreError>>;

    /// Shards that pass the filter, by row number.
    fn shards(&self, filter: ShardFilter) -> BoxFuture<'_, Result<Vec<ShardRow>, StoreError>>;

    /// The shards whose UUID's hexadecimal digits (without hyphens) start with `prefix`: at most two, so
    /// that an ambiguous prefix shows. Merged and deleted shards are found too.
    fn shards_by_id<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ShardRow>, StoreError>>;

    /// Shards by row number; those that are not there are left out.
    fn shards_by_row(&self, ids: Vec<ShardId>) -> BoxFuture<'_, Result<Vec<ShardRow>, StoreError>>;

    /// The links of shards.
    fn links_of(&self, shards: Vec<ShardId>) -> BoxFuture<'_, Result<Vec<LinkRow>, StoreError>>;

    /// Links by row number after `after`, at most `limit`.
    fn links(&self, after: LinkId, limit: usize)
    -> BoxFuture<'_, Result<Vec<LinkRow>, StoreError>>;

    /// The edges that links state, with their targets where these have arrived.
    fn edges_from(&self, links: Vec<LinkId>) -> BoxFuture<'_, Result<Vec<EdgeRow>, StoreError>>;

    /// The edges that point to links.
    fn edges_to(&self, links: Vec<LinkId>) -> BoxFuture<'_, Result<Vec<EdgeRow>, StoreError>>;

    /// The match edges of links.
    fn match_edges(&self, links: Vec<LinkId>) -> BoxFuture<'_, Result<Vec<MatchEdge>, StoreError>>;

    /// Match edges in the review zone, by their two links after `after`, at most `limit`; those that need no
    /// decision any more included. [`reviews::waiting`] sorts them out.
    fn review_edges(
        &self,
        after: (LinkId, LinkId),
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<MatchEdge>, StoreError>>;

    /// Merges of shards, newest first, in which one of `shards` took part.
    fn merges(&self, shards: Vec<ShardId>) -> BoxFuture<'_, Result<Vec<MergeRow>, StoreError>>;

    /// What was last committed of how the records of a shard type are matched.
    fn matched(&self, shard_type: TypeId) -> BoxFuture<'_, Result<Option<String>, StoreError>>;

    /// Everything that people decided of records, by pair.
    fn decisions(&self) -> BoxFuture<'_, Result<Vec<Decision>, StoreError>>;

    /// What a shard held before each of its changes, newest first.
    fn history(&self, shard: ShardId) -> BoxFuture<'_, Result<Vec<History>, StoreError>>;

    /// Dead letters, oldest first.
    fn dead_letters(
        &self,
        filter: DeadLetterFilter,
    ) -> BoxFuture<'_, Result<Vec<DeadLetterRow>, StoreError>>;

    /// Intents, by row number.
    fn intents(&self, filter: IntentFilter) -> BoxFuture<'_, Result<Vec<IntentRow>, StoreError>>;

    /// Conflicts, newest first.
    fn conflicts(
        &self,
        filter: ConflictFilter,
    ) -> BoxFuture<'_, Result<Vec<ConflictRow>, StoreError>>;

    /// What was last committed of how far an entity is in being given the shards that were there before.
    fn swept(&self, entity: EntityId) -> BoxFuture<'_, Result<Option<String>, StoreError>>;

    /// The shards that an execution changed, by row number; those that it made are not among them.
    fn changed_in(&self, execution: ExecutionId)
    -> BoxFuture<'_, Result<Vec<ShardId>, StoreError>>;

    /// Takes dead letters off the list, as replayed in an execution.
    fn replayed(
        &self,
        ids: Vec<i64>,
        execution: ExecutionId,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Keeps notices, durably, until they are heeded. One that waits already is kept once, under a new number: whoever
    /// is heeding it now may have looked before it came again.
    fn note(&self, notices: Vec<Notice>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Notices for `task` that wait, oldest first, at most `limit`.
    fn notices<'a>(
        &'a self,
        task: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<NoticeRow>, StoreError>>;

    /// Forgets notices, as what they say was looked at.
    fn heeded(&self, ids: Vec<i64>) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Why the store did not do what it was asked to.
#[derive(Debug, Error)]
pub enum StoreError {
    /// What was read no longer stands.
    #[error("what the plan was made from has changed")]
    Stale,
    /// Another worker has taken over the execution.
    #[error("another worker has taken over the execution")]
    Fenced,
    /// Another worker runs the task.
    #[error("task `{task}` is running already ({holder})")]
    Busy {
        /// The task.
        task: String,
        /// Who runs it, for people.
        holder: String,
    },
    /// The database was made by a newer version of Syncline.
    #[error("`{path}` has schema version {found}; this build knows versions up to {known}")]
    Newer {
        /// The database.
        path: String,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The database was asked to be read before anything was saved in it, as a program leaves it that was killed while
    /// it made it.
    #[error("there is no store at `{path}` yet: the file is blank")]
    Blank {
        /// The database.
        path: String,
    },
    /// The database cannot be opened, read or written.
    #[error("cannot {doing} `{path}`: {problem}")]
    Unusable {
        /// The database.
        path: String,
        /// What was being done: `open`, `read`, `write`.
        doing: &'static str,
        /// Why not: full disk, read-only, locked, not a database.
        problem: String,
        /// Whether trying again can help.
        transient: bool,
    },
    /// The database holds something that no version of Syncline wrote.
    #[error("`{path}` is damaged: {problem}")]
    Damaged {
        /// The database.
        path: String,
        /// What was found.
        problem: String,
    },
}

impl StoreError {
    /// Whether the same call can succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Stale | Self::Unusable { transient: true, .. })
    }
}
