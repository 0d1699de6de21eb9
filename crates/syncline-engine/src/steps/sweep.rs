//! After a system was read whole for the first time: shards that have no record there get one.
//!
//! Before that, nobody knows what the system holds, and whatever is made may be there already. How far it is is kept
//! in the store, and a run that is interrupted goes on there.

use super::plan::plan_with;
use super::write_back::beside;
use super::{Execution, PLANS_MAX};
use crate::execution::EngineError;
use crate::world::World;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use syncline_adapters::ReadEnd;
use syncline_core::plan::news::News;
use syncline_core::plan::planner::{Planned, Planner};
use syncline_core::plan::rows::{EntityId, LinkId};
use syncline_store::StoreError;

/// How far an entity is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Swept {
    /// Names how shards become records.
    outbound: String,
    /// Links up to this one are through.
    after: LinkId,
    done: bool,
}

/// The entities of which it is known what they hold, and how far `own` is. What another task of the same entity does
/// meanwhile is done twice then, which changes nothing.
pub(super) async fn news(
    world: &World,
    own: EntityId,
) -> Result<(News, Option<Swept>), EngineError> {
    let (mut ready, mut swept) = (FxHashSet::default(), None);
    for &entity in world.rules.types.iter().flat_map(|rules| &rules.written_to) {
        let of_entity = state(world, entity).await?;
        if of_entity.as_ref().is_some_and(|swept| swept.done) {
            ready.insert(entity);
        }
        if entity == own {
            swept = of_entity;
        }
    }
    Ok((News { ready, ..News::default() }, swept))
}

async fn state(world: &World, entity: EntityId) -> Result<Option<Swept>, EngineError> {
    let text = world.store.swept(entity).await?;
    Ok(text.as_deref().and_then(|text| serde_json::from_str(text).ok()))
}

pub(super) async fn run(execution: &mut Execution<'_>, end: &ReadEnd) -> Result<(), EngineError> {
    if !execution.writes() || execution.of_some || !end.complete || execution.cancelled {
        return Ok(());
    }
    let known = execution.swept.take();
    let was_whole = execution.full || execution.standing.cursor.is_none() || end.restarted;
    if known.is_none() && !was_whole {
        return Ok(());
    }
    let outbound = execution.world.outbound_fingerprint(&execution.name).to_owned();
    let mut swept = match known {
        Some(known) if known.outbound == outbound => known,
        _ => Swept { outbound, ..Swept::default() },
    };
    execution.news.ready.insert(execution.entity);
    while !swept.done {
        Box::pin(batch(execution, &mut swept)).await?;
        if execution.cancelled || execution.options.cancel.is_cancelled() {
            execution.cancelled = true;
            return Ok(());
        }
    }
    Ok(())
}

async fn batch(execution: &mut Execution<'_>, swept: &mut Swept) -> Result<(), EngineError> {
    let world = execution.world;
    let size = usize::try_from(execution.task.batch.size.max(1)).unwrap_or(1000);
    for _ in 0..PLANS_MAX {
        let page = world.store.links(swept.after, size).await?;
        let next = match page.last() {
            Some(last) => Swept { after: last.id, ..swept.clone() },
            None => Swept { done: true, ..swept.clone() },
        };
        let of_type = world.rules.entities[&execution.entity].shard_type;
        let is_of_type = |entity: EntityId| {
            world.rules.entities.get(&entity).is_some_and(|rules| rules.shard_type == of_type)
        };
        let links: Vec<LinkId> =
            page.iter().filter(|l| is_of_type(l.entity) && !l.deleted).map(|l| l.id).collect();
        let news = News { now: execution.clock.now(), ..execution.news.clone() };
        let planner = Planner::new(&world.rules, execution.moment, Vec::new());
        let planned = plan_with(world, planner.reforming(links).told(news)).await?;
        let Planned { mut plan, counters, .. } = planned;
        let state = serde_json::to_string(&next).expect("it is plain data");
        plan.swept = vec![(execution.entity, state)];
        if execution.commit_beside(&beside(&counters), plan).await? {
            *swept = next;
            return Ok(());
        }
    }
    Err(StoreError::Stale.into())
}
