//! The fourth step: a batch's items and what the store holds become a plan.

use super::Execution;
use super::transform::{Work, convert};
use crate::execution::EngineError;
use crate::world::World;
use compact_str::CompactString;
use rustc_hash::FxHashSet;
use syncline_core::convert::{Converted, FieldError, Outcome as Conversion};
use syncline_core::plan::planner::{Moment, Outcome, Planned, Planner};
use syncline_core::plan::rows::{EntityId, LinkId};
use syncline_core::plan::rules::{Content, Item, record_json};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::{Counters, DeadLetter};
use syncline_core::record::Page;

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

/// Asks the store for what the items need, round by round, and makes the plan.
pub(super) async fn plan_items(
    world: &World,
    moment: Moment,
    seen: &[u8],
    items: Vec<Item>,
) -> Result<Planned, EngineError> {
    plan_with(world, Planner::new(&world.rules, moment, items).having_seen(seen)).await
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

impl Execution<'_> {
    /// Plans a page of records.
    pub(super) async fn plan(&self, work: &mut Work) -> Result<Batch, EngineError> {
        let mut converted = std::mem::take(&mut work.converted);
        if converted.is_empty() {
            // The plan that these were made for went stale.
            converted = convert(self.world, self.entity, &work.page);
        }
        let page = &work.page;
        let mut batch = Batch::default();
        let (items, origins, passed_over) = self.assemble(page, converted, &mut batch);
        batch.planned = plan_items(self.world, self.moment, &self.met, items).await?;
        for ((outcome, link), origin) in
            batch.planned.outcomes.iter().zip(&batch.planned.links).zip(origins)
        {
            if origin.is_some() {
                batch.seen.extend(link);
            }
            if let (Outcome::Invalid(error), Some((index, external_id))) = (outcome, origin) {
                let errors = std::slice::from_ref(error);
                let letter = self.refused(page, index, external_id, errors);
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

    /// Sorts out what became of the records: items to plan, or entries of the ledger.
    #[expect(clippy::type_complexity, reason = "three lists that are made in one pass")]
    fn assemble(
        &self,
        page: &Page,
        converted: Vec<Converted>,
        batch: &mut Batch,
    ) -> (Vec<Item>, Vec<Option<(usize, CompactString)>>, Vec<(EntityId, CompactString)>) {
        let (mut items, mut origins) = (Vec::with_capacity(converted.len() * 2), Vec::new());
        let mut passed_over = Vec::new();
        let rules = &self.world.rules.entities[&self.entity];
        for rejected in &page.rejected {
            batch.dead_letters.push(DeadLetter {
                task: self.name.clone(),
                source: rejected.source.clone(),
                line: rejected.line,
                external_id: None,
                phase: "fetching".to_owned(),
                problem: rejected.problem.clone(),
                payload: rejected.payload.clone(),
            });
        }
        batch.counters.fetched = page.len() as u64;
        batch.counters.failed = page.rejected.len() as u64;
        for (index, record) in converted.into_iter().enumerate() {
            let Converted { external_id, modified, outcome, .. } = record;
            batch.external_ids.push(external_id.clone());
            match (outcome, &rules.conversion) {
                (Conversion::Mapped(mapped), Some(conversion)) => {
                    let id = external_id.clone();
                    Item::from_mapped(self.entity, conversion, id, modified, *mapped, &mut items);
                    origins.resize(items.len() - 1, None);
                    origins.push(Some((index, external_id)));
                }
                (Conversion::Deleted, _) => {
                    items.push(deletion(self.entity, external_id, modified, true));
                    origins.push(None);
                }
                (Conversion::Filtered, _) | (Conversion::Mapped(_), None) => {
                    batch.counters.skipped += 1;
                    batch.counters.filtered += 1;
                    passed_over.push((self.entity, external_id));
                }
                (Conversion::Invalid(errors), _) => {
                    batch.counters.skipped += 1;
                    batch.counters.invalid += 1;
                    let letter = self.refused(page, index, external_id.clone(), &errors);
                    batch.dead_letters.push(letter);
                    passed_over.push((self.entity, external_id));
                }
            }
        }
        (items, origins, passed_over)
    }

    /// The dead letter of a record whose values were refused.
    fn refused(
        &self,
        page: &Page,
        index: usize,
        external_id: CompactString,
        errors: &[FieldError],
    ) -> DeadLetter {
        let record = &page.records[index];
        let source = usize::try_from(record.source).ok().and_then(|s| page.sources.get(s));
        let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
        DeadLetter {
            task: self.name.clone(),
            source: source.map(ToString::to_string).unwrap_or_default(),
            line: record.line,
            external_id: (!external_id.is_empty()).then(|| external_id.to_string()),
            phase: "transforming".to_owned(),
            problem: problems.join("\n"),
            payload: record_json(page.shape.names(), &record.cells),
        }
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
    Item { entity, external_id, modified, contributor: None, counts, content: Content::Deleted }
}
