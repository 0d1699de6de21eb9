//! References on their way out: a record names another one by the id that its own system knows that one by.
//!
//! A shard names another shard, by its id. Which record that is, at a system, follows from the other shard's links.
//! Where it has none there yet, the reference waits, and is written once it has one.

use super::news::EditKind;
use super::planner::{PlanError, Planner};
use super::rows::{EntityId, LinkId, LinkRow, ShardId};
use super::rules::EntityRules;
use super::view::Need;
use crate::value::{Cell, Value};
use compact_str::CompactString;
use rustc_hash::FxHashSet;

impl Planner<'_> {
    /// Asks for the shards that those of the batch may have to name.
    pub(super) fn need_referred(&mut self) -> Result<Need, PlanError> {
        let mut need = Need::default();
        if self.rules.types.iter().all(|rules| !rules.refers) {
            return Ok(need);
        }
        let clusters = std::mem::take(&mut self.formed.clusters);
        let mut fields = Vec::new();
        for cluster in &clusters {
            let (entity, _) = self.record(cluster[0]);
            let rules = self.type_of(entity);
            if !rules.refers {
                continue;
            }
            let written =
                rules.written_to.iter().flat_map(|&entity| self.entity(entity).references());
            fields.clear();
            fields.extend(written.map(|(reference, _)| reference.field));
            let mut add = |cell: &Cell| need.uuids.extend(cell.as_ref().and_then(id));
            let mut shards: FxHashSet<ShardId> = FxHashSet::default();
            for &link in cluster {
                let image = self.image(link)?;
                fields.iter().for_each(|&field| add(&image[field]));
                shards.extend(self.old_shard(link));
                self.edits_of(link, &fields).for_each(&mut add);
            }
            for shard in shards.iter().filter_map(|shard| self.view.shards.get(shard)) {
                let Ok(image) = rules.layout.read_json(&shard.data) else { continue };
                fields.iter().for_each(|&field| add(&image[field]));
            }
        }
        self.formed.clusters = clusters;
        need.uuids.sort_unstable();
        need.uuids.dedup();
        Ok(need)
    }

    /// What a person wants a record's shard to say in some of its fields.
    fn edits_of<'w>(&'w self, link: LinkId, fields: &'w [usize]) -> impl Iterator<Item = &'w Cell> {
        let edits = self.news.edits.get(&link).into_iter().flatten();
        let edits = edits.filter(|edit| fields.contains(&edit.field));
        edits.filter_map(|edit| match &edit.change {
            EditKind::Set(value) | EditKind::Decide(value) => Some(value),
            EditKind::Leave => None,
        })
    }

    /// Asks for the links of these shards; of one that became part of another, for the other's.
    pub(super) fn need_shards_of_referred(&mut self) -> Need {
        let shards = self.view.by_uuid.values().map(|&shard| self.standing(shard));
        let mut shards: Vec<ShardId> =
            shards.filter(|shard| !self.view.siblings.contains_key(shard)).collect();
        shards.sort_unstable();
        shards.dedup();
        Need { shards, ..Need::default() }
    }

    /// Asks for what these links are.
    pub(super) fn need_links_of_referred(&mut self) -> Need {
        let shards = self.view.by_uuid.values().map(|&shard| self.standing(shard));
        let links = shards.filter_map(|shard| self.view.siblings.get(&shard)).flatten();
        let mut links: Vec<LinkId> =
            links.filter(|link| !self.view.links.contains_key(link)).copied().collect();
        links.sort_unstable();
        links.dedup();
        Need { links, ..Need::default() }
    }

    /// The shard that one became part of, or itself.
    fn standing(&self, shard: ShardId) -> ShardId {
        self.view.shards.get(&shard).and_then(|row| row.merged_into).unwrap_or(shard)
    }

    /// Puts the external ids of other records in the place of their shards' ids. What names a shard that has no record
    /// there yet is taken out; returns the shard fields that have to wait like this.
    pub(super) fn refer(
        &self,
        rules: &EntityRules,
        record: &mut Vec<(CompactString, Value)>,
    ) -> Vec<usize> {
        let mut waiting = Vec::new();
        for (reference, target) in rules.references() {
            let Some(at) = record.iter().position(|(name, _)| *name == reference.name) else {
                continue;
            };
            if record[at].1.is_null() {
                continue;
            }
            let named = id(&record[at].1).and_then(|id| self.record_of(id, target.entity));
            match named {
                Some(external_id) => record[at].1 = Value::text(external_id),
                None => {
                    record.remove(at);
                    waiting.push(reference.field);
                }
            }
        }
        waiting
    }

    /// The external id of a shard's record of an entity: of several, of the first in their order.
    fn record_of(&self, uuid: u128, entity: EntityId) -> Option<&str> {
        let shard = self.standing(*self.view.by_uuid.get(&uuid)?);
        let links = self.view.siblings.get(&shard)?.iter();
        let links = links.filter_map(|link| self.view.links.get(link));
        let is_there = |link: &&LinkRow| {
            let now = self.touched(link.id).map_or(link.deleted, |touched| touched.deleted);
            link.entity == entity && !now
        };
        links.filter(is_there).map(|link| link.external_id.as_str()).min()
    }
}

/// The id of a shard that a value is.
fn id(value: &Value) -> Option<u128> {
    uuid::Uuid::try_parse(value.as_text()?).ok().map(|id| id.as_u128())
}
