//! Values that are taken from other shards.

use super::planner::{PlanError, Planner, sort_keys};
use super::rules::{Content, Item, LookupRule, Rules};
use super::view::Need;
use crate::convert::FieldError;
use crate::value::Value;
use compact_str::CompactString;
use rustc_hash::FxHashSet;

impl Planner<'_> {
    pub(super) fn need_records(&mut self) -> Need {
        let mut need = Need { members_max: self.members_max(), ..Need::default() };
        need.links.extend(self.news.acks.iter().filter_map(|(_, ack)| ack.joins));
        need.links.sort_unstable();
        need.links.dedup();
        let acked: FxHashSet<_> = self.news.acks.iter().map(|(record, _)| record.clone()).collect();
        let mut asked = Vec::with_capacity(self.items.len());
        for (index, item) in self.items.iter().enumerate() {
            asked.push((item.entity, item.external_id.clone(), index));
            for (rule, wanted) in wanted(self.rules, item) {
                match rule.key(wanted) {
                    Some(key) => need.keys.push(key),
                    None if rule.by_field.is_none() => {
                        asked.push((rule.entity, wanted.clone(), usize::MAX));
                    }
                    None => {}
                }
            }
        }
        asked.sort_unstable();
        self.places.resize(self.items.len(), 0);
        for (entity, external_id, index) in asked {
            let expected = self.items.get(index).and_then(Item::expected);
            let record = (entity, external_id);
            // Whose record it is that a write of ours came to is wanted whole.
            let expected = expected.filter(|_| !acked.contains(&record));
            match need.expected.last_mut() {
                Some(last) if need.records.last() == Some(&record) => {
                    // What is said twice must be the same; what others look up is wanted whole.
                    *last = last.filter(|last| Some(*last) == expected);
                }
                _ => {
                    need.records.push(record);
                    need.expected.push(expected);
                }
            }
            if let Some(place) = self.places.get_mut(index) {
                *place = need.records.len() - 1;
            }
        }
        sort_keys(&mut need.keys);
        need
    }

    pub(super) fn need_lookups(&mut self) -> Need {
        let mut need = Need::default();
        for item in &self.items {
            for (rule, wanted) in wanted(self.rules, item) {
                match rule.key(wanted) {
                    Some(key) => {
                        need.links.extend(self.view.members.get(&key).into_iter().flatten())
                    }
                    None => {
                        need.links.extend(self.view.by_record.get(&(rule.entity, wanted.clone())))
                    }
                }
            }
        }
        need.links.sort_unstable();
        need.links.dedup();
        need
    }

    /// The value that a lookup finds: of the live record first in order of entity and external id.
    fn look_up(
        &self,
        rule: &LookupRule,
        wanted: &CompactString,
    ) -> Result<Option<Value>, PlanError> {
        let found = match rule.key(wanted) {
            Some(key) => self
                .view
                .members
                .get(&key)
                .into_iter()
                .flatten()
                .filter_map(|id| self.view.links.get(id))
                .filter(|link| !link.deleted)
                .min_by_key(|link| (link.entity, &link.external_id)),
            None => self
                .view
                .by_record
                .get(&(rule.entity, wanted.clone()))
                .and_then(|id| self.view.links.get(id))
                .filter(|link| !link.deleted),
        };
        let Some((link, shard)) = found.and_then(|l| Some((l, self.view.shards.get(&l.shard)?)))
        else {
            return Ok(None);
        };
        let Some(returns) = rule.returns else {
            return Ok(Some(Value::text(uuid::Uuid::from_u128(shard.uuid).to_string())));
        };
        let layout = &self.rules.types[rule.shard_type].layout;
        let mut image = layout.read_json(&shard.data).map_err(|source| PlanError::Image {
            external_id: link.external_id.to_string(),
            source,
        })?;
        Ok(image[returns].take())
    }

    /// Fills in what the items look up; tells for each whether it is refused. What is derived of a refused
    /// record is refused with it.
    pub(super) fn resolve_all(
        &self,
        items: &mut [Item],
    ) -> Result<Vec<Option<FieldError>>, PlanError> {
        let mut refused = vec![None; items.len()];
        for index in 0..items.len() {
            let Some(error) = self.resolve_lookups(&mut items[index])? else { continue };
            let of_record =
                |item: &&Item| item.contributor.as_ref() == Some(&items[index].external_id);
            let derived = items[..index].iter().rev().take_while(of_record).count();
            refused[index - derived..=index].fill(Some(error));
        }
        Ok(refused)
    }

    fn resolve_lookups(&self, item: &mut Item) -> Result<Option<FieldError>, PlanError> {
        let Some(conversion) = &self.entity(item.entity).conversion else { return Ok(None) };
        let Content::Image { image, lookups, .. } = &mut item.content else { return Ok(None) };
        if lookups.is_empty() {
            return Ok(None);
        }
        for (index, rule) in conversion.lookups.iter().enumerate() {
            let found = match lookups.get(index) {
                Some(Some(wanted)) => self.look_up(rule, wanted)?,
                // Null, where the record says that there is nothing.
                _ => image[conversion.converter.lookups()[index].field].take(),
            };
            if let Err(error) = conversion.converter.finish_lookup(index, found.as_ref(), image) {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }
}

fn wanted<'r, 'i>(
    rules: &'r Rules,
    item: &'i Item,
) -> impl Iterator<Item = (&'r LookupRule, &'i CompactString)> {
    let lookups = match &item.content {
        Content::Image { lookups, .. } => lookups.as_slice(),
        Content::Deleted => &[],
    };
    let conversion = rules.entities[&item.entity].conversion.as_ref();
    let known = conversion.map_or(&[][..], |conversion| conversion.lookups.as_slice());
    known.iter().zip(lookups).filter_map(|(rule, wanted)| Some((rule, wanted.as_ref()?)))
}
