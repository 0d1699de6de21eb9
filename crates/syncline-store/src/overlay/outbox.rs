//! What two-way sync keeps, in an overlay.

use super::own::Own;
use super::{Outcome, OverlayStore};
use crate::query::{ConflictFilter, IntentFilter};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use syncline_core::plan::rows::{
    BaseRow, ConflictRow, EntityId, IntentId, IntentRow, LinkId, ShardId,
};
use syncline_core::plan::view::{Found, Need};
use syncline_core::plan::writes::Plan;

/// What an overlay holds of it.
#[derive(Default)]
pub(super) struct Outbox {
    /// One of which everything follows from the image is gone.
    bases: BTreeMap<LinkId, BaseRow>,
    /// `None` where they are gone.
    stamps: BTreeMap<ShardId, Option<Arc<str>>>,
    /// `None` where they are gone.
    pub(super) intents: BTreeMap<IntentId, Option<IntentRow>>,
    pub(super) conflicts: BTreeMap<i64, ConflictRow>,
    /// Open conflicts of the base that took another form here.
    replaced: Vec<i64>,
    conflict_last: i64,
    swept: BTreeMap<EntityId, String>,
}

impl Outbox {
    /// Takes a plan's part of it.
    pub(super) fn apply(&mut self, plan: &mut Plan) {
        for row in std::mem::take(&mut plan.bases) {
            self.bases.insert(row.link, row);
        }
        self.stamps.extend(std::mem::take(&mut plan.stamps));
        let new = std::mem::take(&mut plan.intents_new).into_iter();
        for row in new.chain(std::mem::take(&mut plan.intents_changed)) {
            self.intents.insert(row.id, Some(row));
        }
        // Last: one that turns out not to have been written may be unwanted in the same plan.
        for id in std::mem::take(&mut plan.intents_dropped) {
            self.intents.insert(id, None);
        }
        for closed in std::mem::take(&mut plan.conflicts_closed) {
            let open = self.conflicts.values_mut().find(|row| {
                row.status == "open" && row.link == closed.link && row.field == closed.field
            });
            if let Some(row) = open {
                *row = closed.close(row.clone());
            }
        }
        for row in std::mem::take(&mut plan.conflicts) {
            if row.status == "open" {
                let is_same = |other: &ConflictRow| {
                    other.status == "open" && other.link == row.link && other.field == row.field
                };
                let gone: Vec<i64> =
                    self.conflicts.values().filter(|r| is_same(r)).map(|r| r.id).collect();
                self.replaced.extend(&gone);
                self.conflicts.retain(|id, _| !gone.contains(id));
            }
            self.conflict_last += 1;
            let id = self.conflict_last;
            self.conflicts.insert(id, ConflictRow { id, ..row });
        }
        self.swept.extend(std::mem::take(&mut plan.swept));
    }

    /// Puts what is here over what the base found for `need`.
    pub(super) fn overlay(&self, need: &Need, own: &Own, found: &mut Found) {
        if need.agreed.is_empty() {
            return;
        }
        let mut bases: BTreeMap<LinkId, BaseRow> =
            found.bases.drain(..).map(|row| (row.link, row)).collect();
        for link in &need.agreed {
            if let Some(row) = self.bases.get(link) {
                bases.insert(*link, row.clone());
            }
        }
        bases.retain(|_, row| row.version.is_some() || row.fields.is_some());
        found.bases = bases.into_values().collect();
        found.intents.retain(|intent| !self.intents.contains_key(&intent.id));
        let own_intents = self.intents.values().flatten();
        let wanted = own_intents.filter(|row| is_unsettled(row) && need.agreed.contains(&row.link));
        found.intents.extend(wanted.cloned());
        found.intents.sort_unstable_by_key(|intent| intent.id);
        let mut stamps: BTreeMap<ShardId, Arc<str>> = found.stamps.drain(..).collect();
        let shards = need.agreed.iter().filter_map(|link| own.links.get(link)).map(|l| l.shard);
        for shard in shards.chain(
            self.stamps.keys().copied().filter(|s| stamps.contains_key(s)).collect::<Vec<_>>(),
        ) {
            match self.stamps.get(&shard) {
                Some(Some(json)) => {
                    stamps.insert(shard, json.clone());
                }
                Some(None) => {
                    stamps.remove(&shard);
                }
                None => {}
            }
        }
        found.stamps = stamps.into_iter().collect();
        let last = self.intents.keys().next_back().map_or(0, |id| id.0);
        found.next_intent = found.next_intent.max(last + 1);
    }
}

/// Whether an intent is not over.
fn is_unsettled(row: &IntentRow) -> bool {
    use syncline_core::plan::rows::IntentState::{Done, Rejected};
    !matches!(row.state, Done | Rejected)
}

impl OverlayStore {
    /// Brings the open conflicts of the base here, once something is to be written of conflicts.
    pub(super) async fn adopt_conflicts(&self, plan: &Plan) -> Outcome<()> {
        let is_wanted = !plan.conflicts.is_empty() || !plan.conflicts_closed.is_empty();
        let Some(base) = self.base.as_ref().filter(|_| is_wanted) else { return Ok(()) };
        if self.own().outbox.conflict_last > 0 {
            return Ok(());
        }
        let newest =
            base.conflicts(ConflictFilter { with_closed: true, limit: 1, id: None }).await?;
        let open =
            base.conflicts(ConflictFilter { limit: usize::MAX, ..Default::default() }).await?;
        let mut own = self.own();
        own.outbox.conflict_last = newest.first().map_or(0, |row| row.id);
        own.outbox.conflicts.extend(open.into_iter().map(|row| (row.id, row)));
        Ok(())
    }

    pub(super) async fn all_intents(&self, filter: IntentFilter) -> Outcome<Vec<IntentRow>> {
        let mut out = match &self.base {
            Some(base) => {
                base.intents(IntentFilter { limit: usize::MAX, ..filter.clone() }).await?
            }
            None => Vec::new(),
        };
        let own = self.own();
        let own = &own.outbox.intents;
        out.retain(|row| !own.contains_key(&row.id));
        out.extend(own.values().flatten().filter(|row| filter.admits(row)).cloned());
        out.sort_unstable_by_key(|row| row.id);
        out.truncate(filter.limit);
        Ok(out)
    }

    pub(super) async fn all_conflicts(&self, filter: ConflictFilter) -> Outcome<Vec<ConflictRow>> {
        let mut out = match &self.base {
            Some(base) => {
                base.conflicts(ConflictFilter { limit: usize::MAX, ..filter.clone() }).await?
            }
            None => Vec::new(),
        };
        let own = self.own();
        let own = &own.outbox;
        out.retain(|row| !own.replaced.contains(&row.id) && !own.conflicts.contains_key(&row.id));
        out.extend(own.conflicts.values().filter(|row| filter.admits(row)).cloned());
        out.sort_unstable_by_key(|row| Reverse(row.id));
        out.truncate(filter.limit);
        Ok(out)
    }

    pub(super) async fn swept_of(&self, entity: EntityId) -> Outcome<Option<String>> {
        let own = self.own().outbox.swept.get(&entity).cloned();
        match (&self.base, own) {
            (Some(base), None) => base.swept(entity).await,
            (_, own) => Ok(own),
        }
    }
}
