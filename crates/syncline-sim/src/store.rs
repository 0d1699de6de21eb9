//! A store in memory whose process may die right before or after it writes.

use crate::bug::Bug;
use crate::time::Crash;
use crate::trace::tell;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use syncline_core::plan::rows::{
    ConflictRow, Decision, EntityId, ExecutionId, IntentRow, IntentState, LinkId, LinkRow,
    MatchEdge, ShardId, ShardRow, TypeId,
};
use syncline_core::plan::view::{Found, Need};
use syncline_core::plan::writes::Plan;
use syncline_store::execution::{Begin, Begun, ExecutionRow, Finish, TaskStats};
use syncline_store::overlay::OverlayStore;
use syncline_store::query::{
    ConflictFilter, Counts, DeadLetterFilter, DeadLetterRow, EdgeRow, History, IntentFilter,
    MergeRow, ShardFilter,
};
use syncline_store::{Catalog, Committed, Ids, Position, Store, StoreError};

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The store of a simulated process.
pub struct SimStore {
    inner: OverlayStore,
    crash: Arc<Crash>,
    bug: Bug,
}

impl SimStore {
    /// An empty store.
    pub fn new(crash: Arc<Crash>, bug: Bug) -> Self {
        Self { inner: OverlayStore::empty(), crash, bug }
    }

    fn spoil(&self, plan: &mut Plan) {
        match self.bug {
            Bug::ForgetsWhatItSent => {
                plan.intents_changed.retain(|intent| intent.state != IntentState::Sent);
            }
            Bug::OneBase => {
                for row in &mut plan.bases {
                    row.fields = None;
                }
            }
            _ => {}
        }
    }
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $of:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $of),*) -> Answer<'_, $out> {
            self.inner.$name($($arg),*)
        })*
    };
}

impl Store for SimStore {
    fn commit(&self, mut plan: Plan) -> Answer<'_, Committed> {
        Box::pin(async move {
            self.crash.point().await;
            self.spoil(&mut plan);
            for conflict in &plan.conflicts {
                tell(|| format!("{conflict:?}"));
            }
            for row in plan.intents_new.iter().chain(&plan.intents_changed) {
                tell(|| format!("{} {:?} {:?} {}", row.id, row.kind, row.state, row.body));
            }
            for id in &plan.intents_dropped {
                tell(|| format!("{id} is dropped"));
            }
            for row in plan.shards_new.iter().chain(&plan.shards_changed) {
                tell(|| format!("shard {} {} gone {:?}", row.id, row.data, row.deleted_at));
            }
            for row in plan.links_new.iter().chain(&plan.links_changed) {
                tell(|| {
                    format!(
                        "link {} {} of {} gone {}",
                        row.id, row.external_id, row.shard, row.deleted
                    )
                });
            }
            for row in &plan.bases {
                tell(|| format!("base of {} {:?} {:?}", row.link, row.version, row.fields));
            }
            let committed = self.inner.commit(plan).await;
            self.crash.point().await;
            committed
        })
    }

    forward! {
        register(catalog: Catalog) -> Ids;
        catalog() -> (Catalog, Ids);
        read(need: Need) -> Found;
        settle() -> ();
        unsettled(limit: usize) -> Vec<LinkId>;
        begin(begin: Begin) -> Begun;
        finish(finish: Finish) -> ();
        task_stats() -> Vec<TaskStats>;
        counts() -> Counts;
        live_links(entity: EntityId) -> u64;
        entity_links(entity: EntityId, after: LinkId, limit: usize) -> Vec<LinkRow>;
        shards(filter: ShardFilter) -> Vec<ShardRow>;
        shards_by_row(ids: Vec<ShardId>) -> Vec<ShardRow>;
        links_of(shards: Vec<ShardId>) -> Vec<LinkRow>;
        links(after: LinkId, limit: usize) -> Vec<LinkRow>;
        edges_from(links: Vec<LinkId>) -> Vec<EdgeRow>;
        edges_to(links: Vec<LinkId>) -> Vec<EdgeRow>;
        match_edges(links: Vec<LinkId>) -> Vec<MatchEdge>;
        review_edges(after: (LinkId, LinkId), limit: usize) -> Vec<MatchEdge>;
        merges(shards: Vec<ShardId>) -> Vec<MergeRow>;
        matched(shard_type: TypeId) -> Option<String>;
        decisions() -> Vec<Decision>;
        history(shard: ShardId) -> Vec<History>;
        intents(filter: IntentFilter) -> Vec<IntentRow>;
        conflicts(filter: ConflictFilter) -> Vec<ConflictRow>;
        swept(entity: EntityId) -> Option<String>;
        changed_in(execution: ExecutionId) -> Vec<ShardId>;
        dead_letters(filter: DeadLetterFilter) -> Vec<DeadLetterRow>;
        replayed(ids: Vec<i64>, execution: ExecutionId) -> ();
    }

    fn cancel<'a>(&'a self, task: &'a str) -> Answer<'a, bool> {
        self.inner.cancel(task)
    }

    fn cancel_requested<'a>(&'a self, task: &'a str) -> Answer<'a, bool> {
        self.inner.cancel_requested(task)
    }

    fn executions<'a>(
        &'a self,
        task: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<ExecutionRow>> {
        self.inner.executions(task, limit)
    }

    fn position<'a>(&'a self, task: &'a str) -> Answer<'a, Position> {
        self.inner.position(task)
    }

    fn shards_by_id<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<ShardRow>> {
        self.inner.shards_by_id(prefix)
    }
}
