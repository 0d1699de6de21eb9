//! Stored records are matched by other rules than before: their keys and match edges are made anew.

use super::planner::{PlanError, Planned, Planner, Touched};
use super::rows::LinkId;
use crate::matching::BlockKey;
use rustc_hash::FxHashSet;

impl Planner<'_> {
    /// Takes the records as touched, so that they are compared as records of a batch are.
    pub(super) fn touch_rekeyed(&mut self) -> Result<(), PlanError> {
        for link in self.rekeyed.clone() {
            let Some(row) = self.view.links.get(&link).cloned() else { continue };
            let (image, json) = (self.stored_image(link)?, self.stored_json(link));
            let prepared = self.prepared(link)?;
            let rules = self.type_of(row.entity);
            let mut keys = Vec::new();
            rules.matcher.keys_prepared(&image, &prepared, &mut keys);
            let others = rules.field_keys(&image);
            let stored = self.view.keys_of.get(&link).into_iter().flatten();
            // Keys that only an earlier rule made hold nobody together any more, so the rule does not matter.
            let keys_old = stored
                .filter(|key| !others.contains(key))
                .map(|&hash| BlockKey { hash, rule: rule_of(&keys, hash) })
                .collect();
            self.touched_of.insert(link, self.touched.len());
            self.touched.push(Touched {
                id: link,
                is_new: false,
                entity: row.entity,
                external_id: row.external_id,
                modified: row.modified,
                contributor: row.contributor,
                deleted: row.deleted,
                observed: row.observed,
                image,
                json,
                hash: row.hash,
                edges: None,
                keys,
                keys_old,
                unmoved: 0,
                said: false,
            });
        }
        Ok(())
    }

    /// The keys and match edges that change; nothing else.
    pub(super) fn write_rekeyed(&mut self) -> Planned {
        let mut planned = Planned::default();
        let plan = &mut planned.plan;
        for touched in &self.touched {
            let rules = self.type_of(touched.entity);
            let stored = self.view.keys_of.get(&touched.id).into_iter().flatten().copied();
            let stored: FxHashSet<u64> = stored.collect();
            let mut wanted: FxHashSet<u64> = touched.keys.iter().map(|key| key.hash).collect();
            wanted.extend(rules.field_keys(&touched.image));
            plan.keys_added.extend(wanted.difference(&stored).map(|&key| (key, touched.id)));
            plan.keys_removed.extend(stored.difference(&wanted).map(|&key| (key, touched.id)));
        }
        plan.keys_added.sort_unstable();
        plan.keys_removed.sort_unstable();
        plan.match_edges_set = self.pairs.set.values().copied().collect();
        plan.match_edges_set.sort_by_key(|edge| (edge.a, edge.b));
        let mut removed: Vec<(LinkId, LinkId)> = self.pairs.removed.iter().copied().collect();
        removed.sort_unstable();
        plan.match_edges_removed = removed;
        planned
    }
}

fn rule_of(keys: &[BlockKey], hash: u64) -> u16 {
    keys.iter().find(|key| key.hash == hash).map_or(0, |key| key.rule)
}
