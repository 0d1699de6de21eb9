//! Rows of the base and of the overlay, put together.

use super::own::Own;
use super::{Answer, Outcome, OverlayStore};
use crate::Store;
use crate::query::ShardFilter;
use compact_str::CompactString;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use syncline_core::plan::rows::{EntityId, LinkId, LinkRow, ShardId, ShardRow};
use syncline_core::plan::view::{Found, Need};

impl OverlayStore {
    /// The links with these row numbers, by row number.
    pub(super) async fn links_by_row(&self, ids: Vec<LinkId>) -> Outcome<Vec<LinkRow>> {
        Ok(self.read_all(Need { links: ids, ..Need::default() }).await?.links)
    }

    pub(super) async fn read_all(&self, need: Need) -> Outcome<Found> {
        let asked = match &self.base {
            Some(_) => self.own().need_of_base(&need),
            None => Need::default(),
        };
        let mut found = self.base_read(asked).await?;
        let missing = self.overlay_links(&need, &mut found);
        if !missing.is_empty() {
            // Links of the base whose edges are ours.
            let more = self.base_read(Need { links: missing, ..Need::default() }).await?;
            found.links.extend(more.links);
            found.links.sort_unstable_by_key(|link| link.id);
        }
        let wanted: FxHashSet<LinkId> = need.links.iter().copied().collect();
        let of_wanted = found.links.iter().filter(|link| wanted.contains(&link.id));
        let mut late: Vec<ShardId> = of_wanted.map(|link| link.shard).collect();
        late.extend(found.histories.iter().map(|(_, shard)| *shard));
        late.extend(self.with_uuids(&need.uuids, &found.shards));
        found.shards = self.shards_of(late).await?;
        Ok(found)
    }

    /// The shards with these ids: those that the base found, and those that are here.
    fn with_uuids(&self, uuids: &[u128], found: &[ShardRow]) -> Vec<ShardId> {
        if uuids.is_empty() {
            return Vec::new();
        }
        let wanted: FxHashSet<u128> = uuids.iter().copied().collect();
        let own = self.own();
        let known = found.iter().chain(own.shards.values());
        known.filter(|shard| wanted.contains(&shard.uuid)).map(|shard| shard.id).collect()
    }

    /// Puts what is here over what the base found; returns the links that are still to be read there.
    fn overlay_links(&self, need: &Need, found: &mut Found) -> Vec<LinkId> {
        let own = self.own();
        found.members = own.members(&need.keys, need.members_max, &found.members);
        found.edges = own.match_edges(&need.links, std::mem::take(&mut found.edges));
        found.decisions = own.decisions_of(&need.links, std::mem::take(&mut found.decisions));
        found.stated = own.stated(&need.edges_of, std::mem::take(&mut found.stated));
        found.keys = own.keys_of(&need.keys_of, &found.keys);
        found.siblings = own.siblings(&need.shards, &found.siblings);
        found.histories = own.histories(&need.histories, std::mem::take(&mut found.histories));
        own.outbox.overlay(need, &own, found);
        found.dependents = own.dependents(&need.dependents, &found.dependents);
        let pointing = found.dependents.iter().map(|(_, link)| *link);
        let mut asked: Vec<LinkId> = need.links.iter().copied().chain(pointing).collect();
        asked.extend(need.records.iter().filter_map(|record| own.records.get(record)));
        asked.sort_unstable();
        asked.dedup();
        if !found.links.is_empty() {
            let records: FxHashSet<&(EntityId, CompactString)> = need.records.iter().collect();
            // A link of the base that pointed to a target and no longer does, or has another name by now, is not part
            // of the answer.
            found.links.retain(|link| {
                let is_asked = asked.binary_search(&link.id).is_ok()
                    || records.contains(&(link.entity, link.external_id.clone()));
                is_asked && !own.links.contains_key(&link.id)
            });
        }
        found.links.extend(asked.iter().filter_map(|id| own.links.get(id).cloned()));
        found.links.sort_unstable_by_key(|link| link.id);
        found.links.dedup_by_key(|link| link.id);
        let is_here = |id: &LinkId| found.links.binary_search_by_key(id, |link| link.id).is_ok();
        let missing = found.dependents.iter().map(|(_, link)| *link);
        let missing: BTreeSet<LinkId> = missing.filter(|link| !is_here(link)).collect();
        let next = |last: Option<i64>, base: i64| last.map_or(base, |last| base.max(last + 1));
        found.next_link = next(own.links.keys().next_back().map(|id| id.0), found.next_link);
        found.next_shard = next(own.shards.keys().next_back().map(|id| id.0), found.next_shard);
        found.epoch = super::epoch(found.epoch, &own);
        missing.into_iter().collect()
    }

    /// The shards with these row numbers, by row number.
    pub(super) async fn shards_of(&self, mut ids: Vec<ShardId>) -> Outcome<Vec<ShardRow>> {
        ids.sort_unstable();
        ids.dedup();
        let (mut out, missing): (Vec<ShardRow>, Vec<ShardId>) = {
            let own = self.own();
            let mine = ids.iter().filter_map(|id| own.shards.get(id).cloned()).collect();
            (mine, ids.iter().filter(|id| !own.shards.contains_key(id)).copied().collect())
        };
        if let Some(base) = &self.base
            && !missing.is_empty()
        {
            out.extend(base.shards_by_row(missing).await?);
            out.sort_unstable_by_key(|shard| shard.id);
        }
        Ok(out)
    }

    /// A page of rows: the base's that are not ours, and ours, by row number.
    pub(super) async fn page<'a, T, Id: Ord + Copy>(
        &'a self,
        limit: usize,
        mut after: Id,
        id_of: fn(&T) -> Id,
        mut own: Vec<T>,
        is_own: impl Fn(&Own, Id) -> bool,
        of_base: impl Fn(&'a dyn Store, Id) -> Answer<'a, Vec<T>>,
    ) -> Outcome<Vec<T>> {
        let mut out = Vec::new();
        if let Some(base) = self.base.as_deref() {
            while out.len() < limit {
                let rows = of_base(base, after).await?;
                let Some(last) = rows.last() else { break };
                after = id_of(last);
                let own = self.own();
                out.extend(rows.into_iter().filter(|row| !is_own(&own, id_of(row))));
            }
        }
        out.append(&mut own);
        out.sort_unstable_by_key(id_of);
        out.truncate(limit);
        Ok(out)
    }

    pub(super) async fn links_page(
        &self,
        entity: Option<EntityId>,
        after: LinkId,
        limit: usize,
    ) -> Outcome<Vec<LinkRow>> {
        let own = {
            let is_wanted =
                |link: &&LinkRow| entity.is_none_or(|e| e == link.entity && !link.deleted);
            let own = self.own();
            let later = own.links.range(LinkId(after.0.saturating_add(1))..).map(|(_, link)| link);
            later.filter(is_wanted).take(limit).cloned().collect()
        };
        let is_own = |own: &Own, id: LinkId| own.links.contains_key(&id);
        self.page(
            limit,
            after,
            |link: &LinkRow| link.id,
            own,
            is_own,
            |base, after| match entity {
                Some(entity) => base.entity_links(entity, after, limit),
                None => base.links(after, limit),
            },
        )
        .await
    }

    pub(super) async fn shards_page(&self, filter: ShardFilter) -> Outcome<Vec<ShardRow>> {
        let own = {
            let own = self.own();
            let is_wanted = |shard: &&ShardRow| {
                filter.shard_type.is_none_or(|id| id == shard.shard_type)
                    && shard.merged_into.is_none()
                    && (filter.with_deleted || shard.deleted_at.is_none())
                    && filter.holds_for(&shard.data)
            };
            let after = ShardId(filter.after.0.saturating_add(1));
            let later = own.shards.range(after..).map(|(_, shard)| shard);
            later.filter(is_wanted).take(filter.limit).cloned().collect()
        };
        let is_own = |own: &Own, id: ShardId| own.shards.contains_key(&id);
        let (limit, after) = (filter.limit, filter.after);
        let of_base = |base, after| Store::shards(base, ShardFilter { after, ..filter.clone() });
        self.page(limit, after, |shard: &ShardRow| shard.id, own, is_own, of_base).await
    }
}
