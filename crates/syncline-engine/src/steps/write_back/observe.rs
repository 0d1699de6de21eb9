//! What writing showed of records is taken up as a page would be, and what was written is agreed on.

use super::super::plan::{deletion, plan_with};
use super::super::{Execution, PLANS_MAX};
use crate::execution::EngineError;
use compact_str::CompactString;
use rustc_hash::FxHashSet;
use syncline_core::plan::news::{Ack, Came, News};
use syncline_core::plan::planner::Planner;
use syncline_core::plan::rows::{EdgeTarget, IntentId, IntentRow, LinkId};
use syncline_core::plan::rules::{Content, Item};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::{Counters, DeadLetter};
use syncline_core::record::{Page, Record};
use syncline_core::shard::Image;
use syncline_store::StoreError;

/// What writing showed.
#[derive(Default)]
pub(super) struct Observed {
    /// Records, as they are now.
    pub(super) pages: Vec<Page>,
    /// Records that are not there.
    pub(super) gone: Vec<CompactString>,
    /// Records that were written and not shown: what they must hold by now.
    pub(super) guesses: Vec<Guess>,
    /// What was done, with the external id of the record that it came to, in the order in which it was sent.
    pub(super) acks: Vec<(CompactString, Ack)>,
    /// Links whose records are owed something, decided anew.
    pub(super) reconsider: Vec<LinkId>,
    /// What became of intents.
    pub(super) intents: Vec<IntentRow>,
    pub(super) letters: Vec<DeadLetter>,
    pub(super) counters: Counters,
}

/// What a record must hold by now.
#[derive(Clone)]
pub(super) struct Guess {
    pub(super) external_id: CompactString,
    pub(super) image: Image,
    pub(super) edges: Vec<EdgeTarget>,
}

impl Observed {
    fn is_empty(&self) -> bool {
        self.pages.is_empty()
            && self.gone.is_empty()
            && self.guesses.is_empty()
            && self.intents.is_empty()
            && self.letters.is_empty()
    }
}

/// The counters of a plan that no fetched record stands behind.
pub(in super::super) fn beside(counters: &Counters) -> Counters {
    Counters {
        shards_created: counters.shards_created,
        shards_updated: counters.shards_updated,
        shards_merged: counters.shards_merged,
        shards_deleted: counters.shards_deleted,
        links_created: counters.links_created,
        links_found: counters.created + counters.merged,
        links_lost: counters.tombstoned,
        revived: counters.revived,
        conflicts: counters.conflicts,
        conflicts_open: counters.conflicts_open,
        intents_planned: counters.intents_planned,
        ..Counters::default()
    }
}

/// Commits what was observed. Returns the creations that came to records of other shards, and are still owed.
pub(super) async fn commit(
    execution: &mut Execution<'_>,
    observed: Observed,
) -> Result<Vec<IntentId>, EngineError> {
    if observed.is_empty() {
        return Ok(Vec::new());
    }
    for _ in 0..PLANS_MAX {
        if let Some(strayed) = Box::pin(attempt(execution, &observed)).await? {
            return Ok(strayed);
        }
    }
    Err(StoreError::Stale.into())
}

/// Returns nothing where the plan was made from what no longer stands.
async fn attempt(
    execution: &mut Execution<'_>,
    observed: &Observed,
) -> Result<Option<Vec<IntentId>>, EngineError> {
    let entity = execution.entity;
    let acks = observed.acks.iter().map(|(id, ack)| ((entity, id.clone()), ack.clone()));
    let mut news = News {
        now: execution.clock.now(),
        is_fresh: true,
        acks: acks.collect(),
        reconsider: observed.reconsider.clone(),
        intents: observed.intents.clone(),
        ..execution.news.clone()
    };
    // What is gone comes first: its key may be that of a record that is shown.
    let gone = observed.gone.iter().cloned();
    let mut items: Vec<Item> =
        gone.map(|external_id| deletion(entity, external_id, None, true)).collect();
    for page in &observed.pages {
        items.extend(execution.transformer(false).transform(page).items);
        execution.add_versions(page, &mut news);
    }
    items.extend(observed.guesses.iter().map(|guess| item(execution, guess)));
    let planner = Planner::new(&execution.world.rules, execution.moment, items).told(news);
    let planned = plan_with(execution.world, planner).await?;
    let mut counters = beside(&planned.counters);
    counters.add(&observed.counters);
    counters.written_rejected += planned.strayed.len() as u64;
    let is_none =
        |(_, ack): &&(_, Ack)| ack.came != Came::Met && planned.strayed.contains(&ack.intent);
    counters.written_created -= observed.acks.iter().filter(is_none).count() as u64;
    let mut plan = planned.plan;
    plan.dead_letters.extend(observed.letters.iter().cloned());
    execution.wrote = true;
    let seen = execution.seen.clone();
    if execution.full {
        // Should this run be taken up again, they are not missing.
        planned.links.iter().flatten().for_each(|link| execution.see(*link));
    }
    let is_done = execution.commit_beside(&counters, plan).await?;
    if is_done {
        execution.letters.of_writes |= !observed.letters.is_empty();
    } else {
        execution.seen = seen;
    }
    Ok(is_done.then_some(planned.strayed))
}

fn item(execution: &Execution<'_>, guess: &Guess) -> Item {
    let mut item = Item {
        entity: execution.entity,
        external_id: guess.external_id.clone(),
        modified: None,
        contributor: None,
        counts: true,
        content: Content::Image {
            image: guess.image.clone(),
            lookups: Vec::new(),
            edges: guess.edges.clone(),
        },
        digest: None,
    };
    // Whatever the record says when it is seen is news.
    item.digest(&execution.world.rules, false);
    if let Some(digest) = &mut item.digest {
        digest.hash = !digest.hash;
    }
    item
}

/// The edges that a link states.
pub(super) async fn stated(
    execution: &Execution<'_>,
    link: LinkId,
) -> Result<Vec<EdgeTarget>, EngineError> {
    let need = Need { edges_of: vec![link], ..Need::default() };
    let found = execution.world.store.read(need).await?;
    Ok(found.stated.into_iter().map(|(_, edge)| edge).collect())
}

/// The records of these indexes.
pub(super) fn part(page: &Page, indexes: &FxHashSet<usize>) -> Page {
    let records: Vec<Record> = page
        .records
        .iter()
        .enumerate()
        .filter(|(index, _)| indexes.contains(index))
        .map(|(_, record)| record.clone())
        .collect();
    Page { shape: page.shape.clone(), sources: page.sources.clone(), records, ..Page::default() }
}
