//! A store whose process may die right before or after it writes.

use crate::bug::Bug;
use crate::check::fields;
use crate::time::Crash;
use crate::trace::tell;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use syncline_core::plan::rows::{
    ConflictRow, Decision, EntityId, ExecutionId, IntentRow, IntentState, LinkId, LinkRow,
    MatchEdge, ShardId, ShardRow, TypeId,
};
use syncline_core::plan::view::{Found, Need};
use syncline_core::plan::writes::Plan;
use syncline_core::value::Value;
use syncline_store::execution::{Begin, Begun, ExecutionRow, Finish, TaskStats};
use syncline_store::notice::{Notice, NoticeRow};
use syncline_store::query::{
    ConflictFilter, Counts, DeadLetterFilter, DeadLetterRow, EdgeRow, History, IntentFilter,
    MergeRow, ShardFilter,
};
use syncline_store::{Catalog, Committed, Ids, Position, Store, StoreError};

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A value that a run brought into a shard whose records were the same before and after.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The shard.
    pub shard: ShardId,
    /// The field.
    pub field: String,
    /// The value.
    pub value: Value,
    /// The remote, by its place, whose task ran.
    pub remote: usize,
}

/// The store of a simulated process.
pub struct SimStore {
    inner: Arc<dyn Store>,
    crash: Arc<Crash>,
    bug: Bug,
    spy: Mutex<Spy>,
}

#[derive(Default)]
struct Spy {
    running: Option<usize>,
    taken: Vec<Taken>,
}

impl SimStore {
    /// Another store, with crashes.
    pub fn new(inner: Arc<dyn Store>, crash: Arc<Crash>, bug: Bug) -> Self {
        Self { inner, crash, bug, spy: Mutex::default() }
    }

    /// The same store, in another process.
    pub fn of_process(&self, crash: Arc<Crash>) -> Self {
        Self::new(self.inner.clone(), crash, self.bug)
    }

    /// From now on the task of a remote runs, or none.
    pub fn runs(&self, remote: Option<usize>) {
        self.spy().running = remote;
    }

    /// What runs brought into shards.
    pub fn taken(&self) -> Vec<Taken> {
        self.spy().taken.clone()
    }

    fn spy(&self) -> MutexGuard<'_, Spy> {
        self.spy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what a plan brings into shards. Where records come, go or move, values follow from all of them.
    async fn watch(&self, plan: &Plan) -> Result<Vec<Taken>, StoreError> {
        let Some(remote) = self.spy().running else { return Ok(Vec::new()) };
        if plan.shards_changed.is_empty() || !plan.merges.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<ShardId> = plan.shards_changed.iter().map(|row| row.id).collect();
        let shards = self.inner.shards_by_row(ids.clone()).await?;
        let is_same = |now: &ShardRow| {
            shards.iter().any(|before| before.id == now.id && before.data == now.data)
        };
        if plan.shards_changed.iter().all(is_same) {
            return Ok(Vec::new());
        }
        let links = self.inner.links_of(ids).await?;
        let mut taken = Vec::new();
        for now in &plan.shards_changed {
            let stays = |link: &LinkRow| {
                links.iter().any(|old| {
                    (old.id, old.shard, old.deleted) == (link.id, link.shard, link.deleted)
                })
            };
            let changed = plan.links_new.iter().chain(&plan.links_changed);
            let is_same = changed.filter(|link| link.shard == now.id).all(stays);
            let left = plan.links_changed.iter().filter(|link| link.shard != now.id);
            let is_left = left
                .into_iter()
                .any(|link| links.iter().any(|old| old.id == link.id && old.shard == now.id));
            let Some(before) = shards.iter().find(|shard| shard.id == now.id) else { continue };
            if !is_same || is_left || before.deleted_at.is_some() || now.deleted_at.is_some() {
                continue;
            }
            let old = fields(&before.data);
            for (field, value) in fields(&now.data) {
                if old.get(&field) != Some(&value) {
                    taken.push(Taken { shard: now.id, field, value, remote });
                }
            }
        }
        Ok(taken)
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
            Bug::ForgetsGhosts => {
                let ghosts = plan.intents_changed.iter_mut();
                for intent in ghosts.filter(|intent| intent.state == IntentState::Ghost) {
                    intent.state = IntentState::Rejected;
                }
            }
            Bug::ForgetsStamps => plan.stamps.clear(),
            Bug::ForgetsConflicts => plan.conflicts.clear(),
            Bug::SkipsTombstones => plan.links_changed.retain(|link| !link.deleted),
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
    fn commit(&self, mut plan: Box<Plan>) -> Answer<'_, Committed> {
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
            let taken = self.watch(&plan).await?;
            let committed = self.inner.commit(plan).await;
            if committed.is_ok() {
                self.spy().taken.extend(taken);
            }
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
        erased() -> syncline_store::erasure::Erased;
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
        note(notices: Vec<Notice>) -> ();
        heeded(ids: Vec<i64>) -> ();
    }

    fn notices<'a>(&'a self, task: &'a str, limit: usize) -> Answer<'a, Vec<NoticeRow>> {
        self.inner.notices(task, limit)
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
