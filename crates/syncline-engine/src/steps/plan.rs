//! The fourth step: a batch's items and what the store holds become a plan.

use super::Execution;
use super::transform::{Said, Work, refused};
use crate::execution::EngineError;
use crate::world::World;
use compact_str::CompactString;
use rustc_hash::FxHashSet;
use syncline_core::plan::planner::{Moment, Outcome, Planned, Planner};
use syncline_core::plan::rows::{EntityId, LinkId};
use syncline_core::plan::rules::{Content, Item};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::{Counters, DeadLetter};

/// A planned batch, and what became of the records that never got as far.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) planned: Planned,
    pub(super) counters: Counters,
    pub(super) dead_letters: Vec<DeadLetter>,
    /// Links of records that are at the source, whatever became of them here.
    pub(super) seen: Vec<LinkId>,
    /// The external ids of its records, of those that were refused too.
    pub(super) external_ids: Vec<CompactString>,
    /// Of the links seen: said to be gone later in the batch.
    pub(super) gone: FxHashSet<LinkId>,
}

/// Asks the store for what a planner needs, round by round, and makes the plan.
pub(crate) async fn plan_with(
    world: &World,
    mut planner: Planner<'_>,
) -> Result<Planned, EngineError> {
    loop {
        let need = planner.need()?;
        if need.is_empty() {
            return Ok(planner.finish());
        }
        let found = world.store.read(need.clone()).await?;
        planner.supply(&need, found);
    }
}

/// Fills in what items take from other shards.
pub(super) async fn look_up(
    world: &World,
    moment: Moment,
    items: Vec<Item>,
) -> Result<Vec<Item>, EngineError> {
    let looks_up = |item: &Item| matches!(&item.content, Content::Image { lookups, .. } if !lookups.is_empty());
    if !items.iter().any(looks_up) {
        return Ok(items);
    }
    let mut planner = Planner::new(&world.rules, moment, items).looking_up();
    loop {
        let need = planner.need()?;
        if need.is_empty() {
            return Ok(planner.looked_up()?);
        }
        let found = world.store.read(need.clone()).await?;
        planner.supply(&need, found);
    }
}

impl Execution<'_> {
    /// Plans a page of records.
    pub(super) async fn plan(&mut self, work: &mut Work) -> Result<Batch, EngineError> {
        // Once taken, the plan that they were made for went stale.
        let said = work.said.take();
        let said = said.unwrap_or_else(|| self.transformer(false).transform(&work.page));
        let Said { items, origins, passed_over, counters, dead_letters, external_ids } = said;
        let mut batch = Batch { counters, dead_letters, external_ids, ..Batch::default() };
        let recall = std::mem::take(&mut self.recall);
        let news = self.told(&work.page);
        let planner = Planner::new(&self.world.rules, self.moment, items);
        let planner = planner.having_seen(&self.met).recalling(recall).told(news);
        batch.planned = plan_with(self.world, planner).await?;
        for ((outcome, link), origin) in
            batch.planned.outcomes.iter().zip(&batch.planned.links).zip(origins)
        {
            if origin.is_some() {
                batch.seen.extend(link);
            }
            if let (Outcome::Invalid(error), Some((index, external_id))) = (outcome, origin) {
                let errors = std::slice::from_ref(error);
                let letter =
                    refused(self.world, &self.name, &work.page, index, external_id, errors);
                batch.dead_letters.push(letter);
            }
        }
        batch.gone = gone(&batch.planned);
        batch.counters.add(&batch.planned.counters);
        if self.full && !passed_over.is_empty() {
            let need = Need { records: passed_over, ..Need::default() };
            let found = self.world.store.read(need).await?;
            let live = found.links.into_iter().filter(|link| !link.deleted);
            batch.seen.extend(live.map(|link| link.id));
        }
        Ok(batch)
    }
}

/// The links that the batch leaves deleted: of each record, the last word counts.
fn gone(planned: &Planned) -> FxHashSet<LinkId> {
    let mut gone = FxHashSet::default();
    for (outcome, link) in planned.outcomes.iter().zip(&planned.links) {
        match (outcome, link) {
            (Outcome::Tombstoned, Some(link)) => {
                gone.insert(*link);
            }
            (Outcome::Created | Outcome::Merged | Outcome::Updated, Some(link)) => {
                gone.remove(link);
            }
            _ => {}
        }
    }
    gone
}

/// Says that a record is gone.
pub(super) fn deletion(
    entity: EntityId,
    external_id: CompactString,
    modified: Option<i64>,
    counts: bool,
) -> Item {
    Item {
        entity,
        external_id,
        modified,
        contributor: None,
        counts,
        content: Content::Deleted,
        digest: None,
    }
}
