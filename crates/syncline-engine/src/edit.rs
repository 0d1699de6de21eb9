//! What a person decides of fields that shard and record both changed, and of writes of which nobody knows the end.

use crate::clock::Clock;
use crate::decide::{Decider, TASK, begin, end, undecidable};
use crate::execution::EngineError;
use crate::steps::{PLANS_MAX, plan_with};
use crate::world::World;
use rustc_hash::FxHashMap;
use syncline_core::plan::news::{Edit, EditKind, News};
use syncline_core::plan::planner::{Moment, Planned, Planner};
use syncline_core::plan::rows::{ConflictRow, IntentId, IntentRow, IntentState, LinkId};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::{ConflictClosed, Counters};
use syncline_core::reconcile::Winner;
use syncline_core::value::{Cell, Value};
use syncline_store::StoreError;
use syncline_store::query::{ConflictFilter, IntentFilter};

/// What a person answers where shard and record both changed a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The shard's value stands.
    Local,
    /// The record's value stands.
    Remote,
    /// Another value stands.
    Value(Value),
    /// Both may stay as they are.
    Ignore,
}

/// Decides an open conflict: the field lets go, and what stands goes to every record of the shard with the next run
/// of its task.
///
/// # Errors
///
/// [`EngineError::Undecidable`] where there is no such open conflict, or the record has moved on since; when the store
/// cannot be read or written.
pub async fn settle(
    world: &World,
    clock: &dyn Clock,
    conflict: i64,
    answer: &Answer,
    decider: &Decider,
) -> Result<ConflictRow, EngineError> {
    let row = open(world, conflict).await?;
    let edit = edit_of(world, &row, answer).await?;
    let moment = begin(world, clock, TASK, decider).await?;
    let (winner, value) = match answer {
        Answer::Local => (Winner::Local, row.local.clone()),
        Answer::Remote => (Winner::Remote, row.remote.clone()),
        Answer::Value(value) => (Winner::Merged, Some(value.clone())),
        Answer::Ignore => (Winner::Nobody, None),
    };
    let status = if *answer == Answer::Ignore { "ignored" } else { "resolved" };
    let closed = ConflictClosed {
        link: row.link,
        field: row.field.clone(),
        status: status.to_owned(),
        winner,
        value,
        by: decider.by.clone(),
        at: clock.now(),
    };
    let edits: FxHashMap<LinkId, Vec<Edit>> =
        edit.map(|edit| (row.link, vec![edit])).into_iter().collect();
    let news = News { edits, ..News::default() };
    let outcome = commit(world, clock, moment, news, vec![closed.clone()]).await;
    end(world, clock, moment, outcome.map(|counters| ((), counters))).await?;
    Ok(closed.close(row))
}

async fn open(world: &World, conflict: i64) -> Result<ConflictRow, EngineError> {
    let filter = ConflictFilter { id: Some(conflict), with_closed: true, limit: 1 };
    match world.store.conflicts(filter).await?.pop() {
        Some(row) if row.status == "open" => Ok(row),
        Some(row) => undecidable(format!("conflict {conflict} is {} already", row.status)),
        None => undecidable(format!("there is no conflict {conflict}")),
    }
}

/// What an answer makes of the field; nothing where it only lets things be as they are.
async fn edit_of(
    world: &World,
    row: &ConflictRow,
    answer: &Answer,
) -> Result<Option<Edit>, EngineError> {
    if row.field.is_empty() {
        let stays = match row.kind.as_str() {
            "record_deleted" => Answer::Local,
            _ => Answer::Remote,
        };
        if *answer == stays || *answer == Answer::Ignore {
            return Ok(None);
        }
        let why = "what was edited is there, and stays: to have it gone, delete it where it is";
        return undecidable(why.to_owned());
    }
    let found = world.store.read(Need { links: vec![row.link], ..Need::default() }).await?;
    let Some(link) = found.links.first() else {
        return undecidable("its record is not there any more".to_owned());
    };
    let rules = world.rules.entities.get(&link.entity);
    let layout = rules.map(|rules| &world.rules.types[rules.shard_type].layout);
    let position = layout.and_then(|layout| Some((layout, layout.position(&row.field)?)));
    let Some((layout, field)) = position else {
        return undecidable(format!("the configuration has no field `{}` any more", row.field));
    };
    let image = layout.read_json(&link.image).ok();
    let says = image.and_then(|image| image[field].clone());
    if says != row.remote {
        return undecidable("the record says something else by now; look at it again".to_owned());
    }
    let null = |cell: &Cell| Some(cell.clone().unwrap_or(Value::Null));
    let change = match answer {
        Answer::Local => EditKind::Decide(null(&row.local)),
        Answer::Remote => EditKind::Decide(null(&row.remote)),
        Answer::Value(value) => EditKind::Decide(Some(value.clone())),
        Answer::Ignore => EditKind::Leave,
    };
    Ok(Some(Edit { field, change }))
}

/// Owes a creation again of which nobody could tell whether it arrived: a person has looked, and its record is not
/// there. It is made of what the shard says now, with the next run of its task; where its record was met meanwhile,
/// nothing is owed.
///
/// # Errors
///
/// [`EngineError::Undecidable`] where no such creation waits; when the store cannot be read or written.
pub async fn repeat(
    world: &World,
    clock: &dyn Clock,
    intent: IntentId,
    decider: &Decider,
) -> Result<(), EngineError> {
    let states = vec![IntentState::Parked];
    let filter = IntentFilter { states, limit: usize::MAX, ..IntentFilter::default() };
    let parked = world.store.intents(filter).await?;
    let Some(row) = parked.into_iter().find(|row| row.id == intent) else {
        return undecidable(format!("no creation {intent} waits for anybody"));
    };
    let reconsider = vec![row.link];
    let owed = IntentRow { state: IntentState::Planned, problem: None, ..row };
    let moment = begin(world, clock, TASK, decider).await?;
    let news = News { intents: vec![owed], reconsider, ..News::default() };
    let outcome = commit(world, clock, moment, news, Vec::new()).await;
    end(world, clock, moment, outcome.map(|counters| ((), counters))).await
}

/// Commits what a person wants, as any plan.
pub(crate) async fn commit(
    world: &World,
    clock: &dyn Clock,
    moment: Moment,
    news: News,
    closed: Vec<ConflictClosed>,
) -> Result<Counters, EngineError> {
    for _ in 0..PLANS_MAX {
        let news = News { now: clock.now(), ..news.clone() };
        let planner = Planner::new(&world.rules, moment, Vec::new()).told(news);
        let Planned { mut plan, counters, .. } = plan_with(world, planner).await?;
        plan.conflicts_closed.extend(closed.iter().cloned());
        plan.execution = moment.execution;
        match world.store.commit(plan).await {
            Ok(_) => return Ok(counters),
            Err(StoreError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Stale.into())
}
