//! The fourth step: a batch's items and what the store holds become a plan.

use super::commit::Heard;
use super::transform::{Said, Work, refused};
use super::{Execution, PLANS_MAX};
use crate::execution::EngineError;
use crate::world::World;
use compact_str::CompactString;
use futures_util::future::BoxFuture;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Mutex, PoisonError};
use syncline_core::plan::constrain::Rulings;
use syncline_core::plan::planner::{Outcome, Planned, Planner};
use syncline_core::plan::recall::Recall;
use syncline_core::plan::rows::{EntityId, LinkId, Verdict};
use syncline_core::plan::rules::{Content, Item};
use syncline_core::plan::view::{Found, Need, Passage};
use syncline_core::plan::writes::{Counters, DeadLetter, Plan};
use syncline_core::record::Page;
use syncline_store::StoreError;
use tokio::sync::mpsc::Receiver;

/// A plan that writes so many links keeps the store busy for longer than it takes to find a page's records.
const MANY: usize = 500;

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
    mut planner: Box<Planner<'_>>,
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

/// What a page says, with what its records take from other shards.
pub(super) async fn said_in_full(
    execution: &Execution<'_>,
    page: &Page,
) -> Result<Said, EngineError> {
    let looks_up = |item: &Item| matches!(&item.content, Content::Image { lookups, .. } if !lookups.is_empty());
    for _ in 0..PLANS_MAX {
        let mut said = execution.transformer(false).transform(page);
        if !said.items.iter().any(looks_up) {
            return Ok(said);
        }
        let items = std::mem::take(&mut said.items);
        let rules = &execution.world.rules;
        let mut planner = Planner::new(rules, execution.moment, items).looking_up();
        answer(execution.world, &mut planner).await?;
        if let Some(items) = planner.looked_up()? {
            return Ok(Said { items, ..said });
        }
    }
    Err(StoreError::Stale.into())
}

/// What the planning of a page begins with: what the page says, and what the store was asked of its records.
pub(super) struct Asked<'a> {
    said: Said,
    planner: Box<Planner<'a>>,
    need: Need,
    /// The answer, in a lock that nobody waits for: whoever holds an execution may be moved to another thread.
    found: Mutex<BoxFuture<'a, Result<Found, StoreError>>>,
    /// What was committed since, and changes the answer.
    passages: Vec<Passage>,
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
    /// store and the planner need not wait for each other. Where pages are all but unchanged, that is while this one is
    /// held against what is stored; where they write much, the store has the last one to write then, and is asked while
    /// this one's changes are made.
    fn ask_ahead(&mut self) -> Result<(), EngineError> {
        if self.flight.next.is_none()
            && let Some(Ok(mut next)) = self.flight.incoming.as_mut().map(Receiver::try_recv)
        {
            let asked = self.ask(&mut next)?;
            self.flight.next = Some((next, Some(asked)));
        }
        Ok(())
    }

    /// Notes what `plan`, which is handed to the store now, changes of what is known of the store: remembered records,
    /// and what was asked ahead.
    pub(super) fn pass(&mut self, plan: &Plan) {
        let after = plan.state_after();
        let changed: Vec<LinkId> = plan.links_changed.iter().map(|row| row.id).collect();
        self.recall.pass(plan.epoch, after, &changed);
        self.unsettled |= !plan.unsettled.is_empty();
        self.flight.writes_much = plan.links_new.len() + plan.links_changed.len() > MANY;
        if let Some((_, Some(asked))) = &mut self.flight.next {
            asked.passages.push(Passage::of(plan, &asked.need));
        }
    }

    /// The store is not as it was thought to be: what was asked ahead counts for nothing.
    pub(super) fn forget_asked(&mut self) {
        self.recall = Recall::default();
        if let Some((_, asked)) = &mut self.flight.next {
            *asked = None;
        }
    }

    /// Plans a page of records, of which the store may have been asked ahead. Before anything else is read, the plan
    /// that was handed to the store last has to be there.
    pub(super) async fn plan(
        &mut self,
        work: &mut Work,
        asked: Option<Box<Asked<'a>>>,
    ) -> Result<Batch, EngineError> {
        let mut asked = asked;
        loop {
            let is_ahead = asked.is_some();
            let of_page = match asked.take() {
                Some(asked) => asked,
                None => {
                    self.confirm().await?;
                    self.ask(work)?
                }
            };
            match self.plan_asked(work, of_page).await? {
                Some(batch) => return Ok(batch),
                // What was asked ahead did not last.
                None if is_ahead => {}
                None => return Err(StoreError::Stale.into()),
            }
        }
    }

    /// Plans a page from what the store was asked; `None` where that does not count any more.
    async fn plan_asked(
        &mut self,
        work: &Work,
        asked: Box<Asked<'a>>,
    ) -> Result<Option<Batch>, EngineError> {
        let Asked { said, planner, need, found, passages } = *asked;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut found = found.await?;
        let keys = found.pass(&need, passages);
        let merged = self.merged_there(&work.page);
        if (!keys.is_empty() || !merged.is_empty()) && !self.confirm().await? {
            return Ok(None);
        }
        if !keys.is_empty() {
            let members_max = need.members_max;
            let anew = Need { keys: keys.clone(), members_max, ..Need::default() };
            found.replace(&keys, self.world.store.read(anew).await?);
        }
        if !self.flight.writes_much {
            self.ask_ahead()?;
        }
        let rulings = self.rulings(&merged).await?;
        let (met, news) = (std::mem::take(&mut self.met), self.told(&work.page));
        let planner = planner.having_seen(&met).told(news).deciding(rulings);
        let planned = self.plan_page(planner, &need, found).await;
        self.met = met;
        match planned? {
            Ok(planned) => self.batch(work, said, planned).await.map(Some),
            Err(other) => self.make_good(other).await.map(|()| None),
        }
    }

    /// Plans with what was found first. What follows from that alone is worked out while the store goes on with the plan
    /// before; where that one came to something else than was thought, this one is given up.
    async fn plan_page(
        &mut self,
        mut planner: Box<Planner<'_>>,
        need: &Need,
        found: Found,
    ) -> Result<Result<Planned, Heard>, EngineError> {
        planner = planner.recalling(std::mem::take(&mut self.recall));
        planner.supply(need, found);
        let next = planner.need()?;
        match self.hear().await? {
            Heard::Stands => {}
            other => return Ok(Err(other)),
        }
        if !next.is_empty() {
            let found = self.world.store.read(next.clone()).await?;
            planner.supply(&next, found);
        }
        answer(self.world, &mut planner).await?;
        self.ask_ahead()?;
        Ok(Ok(planner.finish()))
    }

    /// What a plan comes to, with the records that never got as far.
    async fn batch(&self, work: &Work, said: Said, planned: Planned) -> Result<Batch, EngineError> {
        let Said { origins, passed_over, counters, dead_letters, external_ids, .. } = said;
        let mut batch = Batch { planned, counters, dead_letters, external_ids, ..Batch::default() };
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

    /// Records of a page that were merged into others, each with the one that stays.
    fn merged_there(&self, page: &Page) -> Vec<(CompactString, CompactString)> {
        self.world.converter(self.entity).map(|one| one.merged(page)).unwrap_or_default()
    }

    /// What the system's own merges say: a record that was merged into another is about the same thing as that one. So
    /// what is linked to it stays, and its deletion takes nothing with it.
    async fn rulings(
        &self,
        pairs: &[(CompactString, CompactString)],
    ) -> Result<Rulings, EngineError> {
        let mut rulings = Rulings::default();
        if pairs.is_empty() {
            return Ok(rulings);
        }
        let ids = pairs.iter().flat_map(|(gone, stays)| [gone, stays]);
        let records = ids.map(|id| (self.entity, id.clone())).collect();
        let found = self.world.store.read(Need { records, ..Need::default() }).await?;
        let links: FxHashMap<_, _> =
            found.links.iter().map(|link| (&link.external_id, link)).collect();
        let why = "the records were merged there";
        for (gone, stays) in pairs {
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
