//! A store in memory, over another store that it reads and never writes: what a preview works on.

mod edges;
mod inbox;
mod outbox;
mod own;
mod read;
mod runs;

use crate::erasure::Erased;
use crate::execution::{Begin, Begun, ExecutionRow, Finish, TaskStats};
use crate::notice::{Notice, NoticeRow};
use crate::query::{
    ConflictFilter, Counts, DeadLetterFilter, DeadLetterRow, EdgeRow, History, IntentFilter,
    MergeRow, ShardFilter, id_range,
};
use crate::{Catalog, Committed, Ids, Position, Store, StoreError};
use futures_util::future::BoxFuture;
use own::{Own, Task};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use syncline_core::matching::Zone;
use syncline_core::plan::rows::{
    ConflictRow, Decision, EntityId, ExecutionId, IntentRow, KindId, LinkId, LinkRow, MatchEdge,
    RuleId, ShardId, ShardRow, TypeId,
};
use syncline_core::plan::view::{Found, Need};
use syncline_core::plan::writes::Plan;

type Outcome<T> = Result<T, StoreError>;
type Answer<'a, T> = BoxFuture<'a, Outcome<T>>;

/// A [`Store`] in memory, over another one or over nothing.
///
/// It answers as its base would after the same commits. The base must not change meanwhile: open it as a
/// snapshot ([`crate::sqlite::Options::snapshot`]).
#[derive(Default)]
pub struct OverlayStore {
    base: Option<Arc<dyn Store>>,
    own: Mutex<Own>,
    /// Names that the base does not have, with the numbers that it would give them.
    names: tokio::sync::Mutex<Option<(Catalog, Ids)>>,
}

/// What was committed to an overlay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Shards before and after, by row number.
    pub shards: Vec<(Option<ShardRow>, ShardRow)>,
    /// Links before and after, by row number.
    pub links: Vec<(Option<LinkRow>, LinkRow)>,
    /// Oldest first.
    pub merges: Vec<MergeRow>,
    /// Oldest first.
    pub dead_letters: Vec<DeadLetterRow>,
    /// Writes that systems are owed, by row number.
    pub intents: Vec<IntentRow>,
}

impl OverlayStore {
    /// A store that starts out empty, and is gone when it is dropped.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A store that starts out with all that `base` holds.
    pub fn over(base: Arc<dyn Store>) -> Self {
        Self { base: Some(base), ..Self::default() }
    }

    /// Everything that was committed so far.
    ///
    /// # Errors
    ///
    /// When the base cannot be read.
    pub async fn written(&self) -> Outcome<Written> {
        let (shards, links, merges, dead_letters, intents) = {
            let own = self.own();
            let intents = own.outbox.intents.values().flatten().cloned().collect();
            let shards: Vec<ShardRow> = own.shards.values().cloned().collect();
            let links: Vec<LinkRow> = own.links.values().cloned().collect();
            (shards, links, own.merges.clone(), own.dead_letters.clone(), intents)
        };
        let (mut old_shards, mut old_links) = (BTreeMap::new(), BTreeMap::new());
        if let Some(base) = &self.base {
            let ids = shards.iter().map(|shard| shard.id).collect();
            let found = base.shards_by_row(ids).await?;
            old_shards.extend(found.into_iter().map(|shard| (shard.id, shard)));
            let links = links.iter().map(|link| link.id).collect();
            let found = base.read(Need { links, ..Need::default() }).await?;
            old_links.extend(found.links.into_iter().map(|link| (link.id, link)));
        }
        let shards = shards.into_iter().map(|row| (old_shards.remove(&row.id), row)).collect();
        let links = links.into_iter().map(|row| (old_links.remove(&row.id), row)).collect();
        Ok(Written { shards, links, merges, dead_letters, intents })
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn base_read(&self, need: Need) -> Outcome<Found> {
        match &self.base {
            Some(base) => base.read(need).await,
            None => Ok(Found { next_link: 1, next_shard: 1, ..Found::default() }),
        }
    }

    async fn all_names(&self) -> Outcome<(Catalog, Ids)> {
        let mut names = self.names.lock().await;
        if let Some(names) = &*names {
            return Ok(names.clone());
        }
        let found = match &self.base {
            Some(base) => base.catalog().await?,
            None => Default::default(),
        };
        Ok(names.insert(found).clone())
    }

    async fn add_names(&self, catalog: Catalog) -> Outcome<Ids> {
        self.all_names().await?;
        let mut names = self.names.lock().await;
        let (known, ids) = names.get_or_insert_default();
        Ok(Ids {
            shard_types: number(
                catalog.shard_types,
                &mut known.shard_types,
                &mut ids.shard_types,
                |id| id.0,
                TypeId,
            ),
            entities: number(
                catalog.entities,
                &mut known.entities,
                &mut ids.entities,
                |id| id.0,
                EntityId,
            ),
            kinds: number(catalog.kinds, &mut known.kinds, &mut ids.kinds, |id| id.0, KindId),
            rules: number(catalog.rules, &mut known.rules, &mut ids.rules, |id| id.0, RuleId),
        })
    }

    fn apply(&self, mut plan: Box<Plan>, base_epoch: u64) -> Outcome<Committed> {
        let mut own = self.own();
        let epoch = epoch(base_epoch, &own);
        own.holder(plan.execution)?;
        if !plan.fits(epoch) {
            return Err(StoreError::Stale);
        }
        let (id, checkpoint) = (plan.execution, plan.checkpoint.take());
        if !plan.changes_nothing() {
            own.apply(plan);
        }
        let execution = own.holder(id)?;
        if let Some(checkpoint) = checkpoint {
            execution.heartbeat = checkpoint.at;
            execution.checkpoint = Some(checkpoint);
        }
        let cancel_requested = execution.cancel;
        Ok(Committed { cancel_requested, epoch: self::epoch(base_epoch, &own) })
    }
}

/// The numbers of `wanted`, given out to those that have none yet.
fn number<N: PartialEq + Clone, Id: Copy>(
    wanted: Vec<N>,
    known: &mut Vec<N>,
    ids: &mut Vec<Id>,
    raw: fn(&Id) -> i64,
    make: fn(i64) -> Id,
) -> Vec<Id> {
    let mut out = Vec::new();
    for name in wanted {
        let position = known.iter().position(|other| *other == name).unwrap_or_else(|| {
            let last = ids.iter().map(raw).max().unwrap_or_default();
            known.push(name);
            ids.push(make(last + 1));
            known.len() - 1
        });
        out.push(ids[position]);
    }
    out
}

/// Names the state of base and overlay together; never 0, which stands for having read nothing.
fn epoch(base: u64, own: &Own) -> u64 {
    base.wrapping_mul(1 << 32).wrapping_add(own.epoch).saturating_add(1)
}

impl Store for OverlayStore {
    fn register(&self, catalog: Catalog) -> Answer<'_, Ids> {
        Box::pin(self.add_names(catalog))
    }

    fn catalog(&self) -> Answer<'_, (Catalog, Ids)> {
        Box::pin(self.all_names())
    }

    fn erased(&self) -> Answer<'_, Erased> {
        Box::pin(async move {
            match &self.base {
                Some(base) => base.erased().await,
                None => Ok(Erased::default()),
            }
        })
    }

    fn read(&self, need: Need) -> Answer<'_, Found> {
        Box::pin(self.read_all(need))
    }

    fn commit(&self, plan: Box<Plan>) -> Answer<'_, Committed> {
        Box::pin(async move {
            let dead_letters =
                DeadLetterFilter { with_replayed: true, limit: usize::MAX, ..Default::default() };
            let epoch = self.base_read(Need::default()).await?.epoch;
            if let Some(base) = &self.base
                && !plan.dead_letters.is_empty()
                && self.own().dead_letters.is_empty()
            {
                let last = base.dead_letters(dead_letters).await?.last().map_or(0, |row| row.id);
                self.own().dead_letter_last = last;
            }
            self.adopt_conflicts(&plan).await?;
            self.apply(plan, epoch)
        })
    }

    fn settle(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn unsettled(&self, limit: usize) -> Answer<'_, Vec<LinkId>> {
        Box::pin(async move {
            let mut out = match &self.base {
                Some(base) => base.unsettled(usize::MAX).await?,
                None => Vec::new(),
            };
            let own = self.own();
            out.retain(|link| !own.settled.contains(link));
            let fresh: Vec<LinkId> =
                own.unsettled.iter().filter(|link| !out.contains(link)).copied().collect();
            out.extend(fresh);
            out.truncate(limit);
            Ok(out)
        })
    }

    fn begin(&self, begin: Begin) -> Answer<'_, Begun> {
        Box::pin(async move {
            let (mut task, mut next) = (Task::default(), 1);
            if let Some(base) = &self.base {
                (task.cursor, task.high_water) = base.position(&begin.task).await?;
                let stats = base.task_stats().await?;
                let stats = stats.into_iter().find(|stats| stats.task == begin.task);
                task.stats = stats.unwrap_or_default();
                next = base.executions(None, 1).await?.first().map_or(1, |row| row.id.0 + 1);
            }
            self.own().begin(&begin, task, next)
        })
    }

    fn finish(&self, finish: Finish) -> Answer<'_, ()> {
        Box::pin(async move { self.own().finish(finish) })
    }

    fn cancel<'a>(&'a self, task: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { Ok(self.own().cancel(task)) })
    }

    fn cancel_requested<'a>(&'a self, task: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { Ok(self.own().cancel_requested(task)) })
    }

    fn executions<'a>(
        &'a self,
        task: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<ExecutionRow>> {
        Box::pin(async move {
            let mut out = self.own().executions(task);
            if let Some(base) = &self.base {
                out.extend(base.executions(task, limit).await?);
            }
            out.truncate(limit);
            Ok(out)
        })
    }

    fn position<'a>(&'a self, task: &'a str) -> Answer<'a, Position> {
        Box::pin(async move {
            if let Some(task) = self.own().tasks.get(task) {
                return Ok((task.cursor.clone(), task.high_water));
            }
            match &self.base {
                Some(base) => base.position(task).await,
                None => Ok((None, None)),
            }
        })
    }

    fn task_stats(&self) -> Answer<'_, Vec<TaskStats>> {
        Box::pin(async move {
            let mut out = BTreeMap::new();
            if let Some(base) = &self.base {
                out.extend(base.task_stats().await?.into_iter().map(|s| (s.task.clone(), s)));
            }
            let own = self.own();
            let ran = own.tasks.iter().filter(|(_, task)| task.stats.runs > 0);
            out.extend(ran.map(|(name, task)| (name.clone(), task.stats.clone())));
            Ok(out.into_values().collect())
        })
    }

    fn counts(&self) -> Answer<'_, Counts> {
        Box::pin(self.count_all())
    }

    fn live_links(&self, entity: EntityId) -> Answer<'_, u64> {
        Box::pin(async move {
            let (mut count, mut records) = (0, Vec::new());
            for link in self.own().links.values().filter(|link| link.entity == entity) {
                count += u64::from(!link.deleted);
                if self.base.is_some() {
                    records.push((entity, link.external_id.clone()));
                }
            }
            let Some(base) = &self.base else { return Ok(count) };
            count += base.live_links(entity).await?;
            // What the base has of records that are here is as it was before.
            for chunk in records.chunks(edges::PAGE) {
                let records = chunk.to_vec();
                let before = base.read(Need { records, ..Need::default() }).await?.links;
                count -= before.iter().filter(|link| !link.deleted).count() as u64;
            }
            Ok(count)
        })
    }

    fn entity_links(
        &self,
        entity: EntityId,
        after: LinkId,
        limit: usize,
    ) -> Answer<'_, Vec<LinkRow>> {
        Box::pin(self.links_page(Some(entity), after, limit))
    }

    fn shards(&self, filter: ShardFilter) -> Answer<'_, Vec<ShardRow>> {
        Box::pin(self.shards_page(filter))
    }

    fn shards_by_id<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<ShardRow>> {
        Box::pin(async move {
            let Some((first, last)) = id_range(prefix) else { return Ok(Vec::new()) };
            let mut out = match &self.base {
                Some(base) => base.shards_by_id(prefix).await?,
                None => Vec::new(),
            };
            let own = self.own();
            // A shard keeps its id, so that what the base found stands, only newer.
            out.retain(|shard| !own.shards.contains_key(&shard.id));
            let mine = own.shards.values().filter(|shard| (first..=last).contains(&shard.uuid));
            out.extend(mine.cloned());
            out.sort_unstable_by_key(|shard| shard.uuid);
            out.truncate(2);
            Ok(out)
        })
    }

    fn shards_by_row(&self, ids: Vec<ShardId>) -> Answer<'_, Vec<ShardRow>> {
        Box::pin(self.shards_of(ids))
    }

    fn links_of(&self, shards: Vec<ShardId>) -> Answer<'_, Vec<LinkRow>> {
        Box::pin(async move {
            let mut out = match &self.base {
                Some(base) => base.links_of(shards.clone()).await?,
                None => Vec::new(),
            };
            let own = self.own();
            out.retain(|link| !own.links.contains_key(&link.id));
            out.extend(own.links.values().filter(|link| shards.contains(&link.shard)).cloned());
            out.sort_unstable_by_key(|link| link.id);
            Ok(out)
        })
    }

    fn links(&self, after: LinkId, limit: usize) -> Answer<'_, Vec<LinkRow>> {
        Box::pin(self.links_page(None, after, limit))
    }

    fn edges_from(&self, links: Vec<LinkId>) -> Answer<'_, Vec<EdgeRow>> {
        Box::pin(self.edges_of_links(links))
    }

    fn edges_to(&self, links: Vec<LinkId>) -> Answer<'_, Vec<EdgeRow>> {
        Box::pin(self.edges_to_links(links))
    }

    fn match_edges(&self, links: Vec<LinkId>) -> Answer<'_, Vec<MatchEdge>> {
        Box::pin(async move {
            let mut edges = self.read_all(Need { links, ..Need::default() }).await?.edges;
            edges.dedup();
            Ok(edges)
        })
    }

    fn review_edges(&self, after: (LinkId, LinkId), limit: usize) -> Answer<'_, Vec<MatchEdge>> {
        Box::pin(async move {
            let own = {
                let own = self.own();
                let later = own.pairs.range((Bound::Excluded(after), Bound::Unbounded));
                let edges = later.filter_map(|(_, edge)| *edge);
                edges.filter(|edge| edge.zone == Zone::Review).take(limit).collect()
            };
            let is_own = |own: &Own, pair| own.pairs.contains_key(&pair);
            let of_base = |base, after| Store::review_edges(base, after, limit);
            self.page(limit, after, |edge: &MatchEdge| (edge.a, edge.b), own, is_own, of_base).await
        })
    }

    fn merges(&self, shards: Vec<ShardId>) -> Answer<'_, Vec<MergeRow>> {
        Box::pin(async move {
            let is_wanted =
                |row: &&MergeRow| shards.contains(&row.survivor) || shards.contains(&row.loser);
            let mut out: Vec<MergeRow> =
                self.own().merges.iter().rev().filter(is_wanted).cloned().collect();
            if let Some(base) = &self.base {
                out.extend(base.merges(shards.clone()).await?);
            }
            Ok(out)
        })
    }

    fn matched(&self, shard_type: TypeId) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            let own = self.own().matched.get(&shard_type).cloned();
            match (&self.base, own) {
                (Some(base), None) => base.matched(shard_type).await,
                (_, own) => Ok(own),
            }
        })
    }

    fn decisions(&self) -> Answer<'_, Vec<Decision>> {
        Box::pin(async move {
            let mut out = BTreeMap::new();
            if let Some(base) = &self.base {
                let found = base.decisions().await?.into_iter();
                out.extend(found.map(|decision| ((decision.a, decision.b), Some(decision))));
            }
            let own = self.own();
            out.extend(own.decisions.iter().map(|(pair, decision)| (*pair, decision.clone())));
            Ok(out.into_values().flatten().collect())
        })
    }

    fn history(&self, shard: ShardId) -> Answer<'_, Vec<History>> {
        Box::pin(async move {
            let is_wanted = |(of, _): &&(ShardId, History)| *of == shard;
            let own: Vec<(ShardId, History)> =
                self.own().history.iter().rev().filter(is_wanted).cloned().collect();
            let mut out: Vec<History> = own.into_iter().map(|(_, history)| history).collect();
            if let Some(base) = &self.base {
                out.extend(base.history(shard).await?);
            }
            Ok(out)
        })
    }

    fn dead_letters(&self, filter: DeadLetterFilter) -> Answer<'_, Vec<DeadLetterRow>> {
        Box::pin(async move {
            let all = DeadLetterFilter { with_replayed: true, limit: usize::MAX, ..filter.clone() };
            let mut out = match &self.base {
                Some(base) => base.dead_letters(all).await?,
                None => Vec::new(),
            };
            let own = self.own();
            out.extend(own.dead_letters.iter().cloned());
            for row in &mut out {
                row.replayed = own.replayed.get(&row.id).copied().or(row.replayed);
            }
            out.retain(|row| filter.admits(row));
            out.truncate(filter.limit);
            Ok(out)
        })
    }

    fn intents(&self, filter: IntentFilter) -> Answer<'_, Vec<IntentRow>> {
        Box::pin(self.all_intents(filter))
    }

    fn conflicts(&self, filter: ConflictFilter) -> Answer<'_, Vec<ConflictRow>> {
        Box::pin(self.all_conflicts(filter))
    }

    fn swept(&self, entity: EntityId) -> Answer<'_, Option<String>> {
        Box::pin(self.swept_of(entity))
    }

    fn changed_in(&self, execution: ExecutionId) -> Answer<'_, Vec<ShardId>> {
        Box::pin(async move {
            let own = self.own().changed_in(execution);
            match &self.base {
                // An execution was begun either here or there.
                Some(base) if own.is_empty() => base.changed_in(execution).await,
                _ => Ok(own),
            }
        })
    }

    fn replayed(&self, ids: Vec<i64>, execution: ExecutionId) -> Answer<'_, ()> {
        self.own().replayed.extend(ids.into_iter().map(|id| (id, execution)));
        Box::pin(async { Ok(()) })
    }

    fn note(&self, notices: Vec<Notice>) -> Answer<'_, ()> {
        self.own().inbox.note(notices);
        Box::pin(async { Ok(()) })
    }

    fn notices<'a>(&'a self, task: &'a str, limit: usize) -> Answer<'a, Vec<NoticeRow>> {
        Box::pin(async move {
            let mut out = match &self.base {
                Some(base) => base.notices(task, usize::MAX).await?,
                None => Vec::new(),
            };
            self.own().inbox.add(task, &mut out);
            out.truncate(limit);
            Ok(out)
        })
    }

    fn heeded(&self, ids: Vec<i64>) -> Answer<'_, ()> {
        self.own().inbox.heed(ids);
        Box::pin(async { Ok(()) })
    }
}
