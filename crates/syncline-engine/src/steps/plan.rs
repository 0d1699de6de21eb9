//! The fourth step: a batch's items and what the store holds become a plan.

use super::Execution;
use super::transform::{Said, Work, refused};
use crate::execution::EngineError;
use crate::world::World;
use compact_str::CompactString;
use futures_util::future::BoxFuture;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Mutex, PoisonError};
use syncline_core::plan::constrain::Rulings;
use syncline_core::plan::planner::{Moment, Outcome, Planned, Planner};
use syncline_core::plan::rows::{EntityId, LinkId, Verdict};
use syncline_core::plan::rules::{Content, Item};
use syncline_core::plan::view::{Found, Need, Passage};
use syncline_core::plan::writes::{Counters, DeadLetter, Plan};
use syncline_core::record::Page;
use syncline_store::StoreError;
use tokio::sync::mpsc::Receiver;

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
    answer(world, &mut planner).await?;
    Ok(planner.finish())
}

/// Asks the store for what a planner needs, round by round, until nothing is needed any more.
async fn answer(world: &World, planner: &mut Planner<'_>) -> Result<(), EngineError> {
    loop {
        let need = planner.need()?;
        if need.is_empty() {
            return Ok(());
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
    answer(world, &mut planner).await?;
    Ok(planner.looked_up()?)
}

/// What the planning of a page begins with: what the page says, and what the store was asked of its records.
pub(super) struct Asked<'a> {
    said: Said,
    planner: Planner<'a>,
    need: Need,
    /// The answer, in a lock that nobody waits for: whoever holds an execution may be moved to another thread.
    found: Mutex<BoxFuture<'a, Result<Found, StoreError>>>,
    /// What was committed since, and changes the answer.
    passages: Vec<Passage>,
}

/// What a plan changes of what this process knows of the store.
pub(super) struct Passing {
    before: u64,
    changed: Vec<LinkId>,
    unsettles: bool,
    passage: Option<Passage>,
}

impl<'a> Execution<'a> {
    /// Asks the store for the records of a page.
    fn ask(&self, work: &mut Work) -> Result<Box<Asked<'a>>, EngineError> {
        // Once taken, the plan that they were made for went stale.
        let said = work.said.take();
        let mut said = said.unwrap_or_else(|| self.transformer(false).transform(&work.page));
        let world = self.world;
        let mut planner = Planner::new(&world.rules, self.moment, std::mem::take(&mut said.items));
        let need = planner.need()?;
        let found = Mutex::new(world.store.read(need.clone()));
        Ok(Box::new(Asked { said, planner, need, found, passages: Vec::new() }))
    }

    /// While a page is planned, the store is asked for the records of the next one, if that is there already: the
    /// store and the planner need not wait for each other.
    fn ask_ahead(&mut self, incoming: &mut Receiver<Work>) -> Result<(), EngineError> {
        if self.next.is_none()
            && let Ok(mut next) = incoming.try_recv()
        {
            let asked = self.ask(&mut next)?;
            self.next = Some((next, asked));
        }
        Ok(())
    }

    /// What `plan` will change of what is known of the store: remembered records, and what was asked ahead.
    pub(super) fn passing(&self, plan: &Plan) -> Passing {
        let next = self.next.as_ref();
        Passing {
            before: plan.epoch,
            changed: plan.links_changed.iter().map(|row| row.id).collect(),
            unsettles: !plan.unsettled.is_empty(),
            passage: next.map(|(_, asked)| Passage::of(plan, &asked.need)),
        }
    }

    /// The plan was committed, and left the state `after`.
    pub(super) fn pass(&mut self, passing: Passing, after: u64) {
        self.recall.pass(passing.before, after, &passing.changed);
        self.unsettled |= passing.unsettles;
        if let (Some((_, asked)), Some(passage)) = (&mut self.next, passing.passage) {
            asked.passages.push(passage.to(after));
        }
    }

    /// Plans a page of records, of which the store may have been asked ahead.
    pub(super) async fn plan(
        &mut self,
        work: &mut Work,
        asked: Option<Box<Asked<'a>>>,
        incoming: &mut Receiver<Work>,
    ) -> Result<Batch, EngineError> {
        let asked = match asked {
            Some(asked) => asked,
            None => self.ask(work)?,
        };
        let Asked { said, planner, need, found, passages } = *asked;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut found = found.await?;
        let outdated = found.pass(&passages);
        let anew = (!outdated.is_empty()).then(|| self.world.store.read(outdated.clone()));
        self.ask_ahead(incoming)?;
        if let Some(anew) = anew {
            found.replace(&need, &outdated, anew.await?);
        }
        let Said { origins, passed_over, counters, dead_letters, external_ids, .. } = said;
        let mut batch = Batch { counters, dead_letters, external_ids, ..Batch::default() };
        let recall = std::mem::take(&mut self.recall);
        let news = self.told(&work.page);
        let planner = planner.having_seen(&self.met).recalling(recall).told(news);
        let mut planner = planner.deciding(self.merged_there(&work.page).await?);
        planner.supply(&need, found);
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

    /// What the system's own merges say: a record that was merged into another is about the same thing as that one. So
    /// what is linked to it stays, and its deletion takes nothing with it.
    async fn merged_there(&self, page: &Page) -> Result<Rulings, EngineError> {
        let mut rulings = Rulings::default();
        let rules = self.world.rules.entities.get(&self.entity);
        let conversion = rules.and_then(|rules| rules.conversion.as_ref());
        let pairs = conversion.map(|one| one.converter.merged(page)).unwrap_or_default();
        if pairs.is_empty() {
            return Ok(rulings);
        }
        let ids = pairs.iter().flat_map(|(gone, stays)| [gone, stays]);
        let records = ids.map(|id| (self.entity, id.clone())).collect();
        let found = self.world.store.read(Need { records, ..Need::default() }).await?;
        let links: FxHashMap<_, _> =
            found.links.iter().map(|link| (&link.external_id, link)).collect();
        let why = "the records were merged there";
        for (gone, stays) in &pairs {
            // One that is known to be gone was told of before.
            if let (Some(gone), Some(stays)) = (links.get(gone), links.get(stays))
                && !gone.deleted
            {
                let who = (self.task.connection.as_str(), self.clock.now(), why);
                rulings.decide(&[gone.id], &[stays.id], Verdict::Same, who);
            }
        }
        Ok(rulings)
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
