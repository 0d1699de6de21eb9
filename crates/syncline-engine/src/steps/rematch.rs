//! Before anything is read: where match rules, survivorship or priorities have changed, every stored record of the
//! type is matched anew.
//!
//! First the keys and match edges of all records, then the clusters of all, each in batches. How far it is, is
//! committed with each batch, so that it goes on after a death, and so that several executions can share the work.
//! In between, shards are as they were under the old rules. The same is done after the last record where a model is
//! to suit another number of records by then.

use super::Execution;
use super::plan::plan_with;
use crate::execution::EngineError;
use serde::{Deserialize, Serialize};
use syncline_core::plan::planner::{Planned, Planner};
use syncline_core::plan::rows::{EntityId, LinkId, TypeId};
use syncline_core::plan::writes::{Counters, Plan};
use syncline_store::StoreError;

/// How an execution matches the records of a shard type.
pub(super) struct Matching {
    /// Index of the shard type.
    index: usize,
    rules: String,
    merging: String,
    /// What the store says of it once all records are matched so.
    done: String,
}

/// How the records of a shard type are matched, and how far that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Matched {
    /// Names what keys and match edges hang on.
    rules: String,
    /// Names what clusters and surviving values hang on besides.
    merging: String,
    stage: Stage,
    /// Links up to this one are through the stage.
    after: LinkId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Keys,
    Clusters,
    Done,
}

impl Matched {
    /// What is left to do, given what was done last.
    fn next(kept: Option<Self>, of: &Matching, is_empty: bool) -> Self {
        let (rules, merging) = (of.rules.clone(), of.merging.clone());
        let (stage, after) = match kept {
            _ if is_empty => (Stage::Done, LinkId(0)),
            Some(kept) if kept.rules == rules && kept.merging == merging => {
                (kept.stage, kept.after)
            }
            // Keys know nothing of how clusters are merged.
            Some(kept) if kept.rules == rules && kept.stage == Stage::Keys => {
                (kept.stage, kept.after)
            }
            Some(kept) if kept.rules == rules => (Stage::Clusters, LinkId(0)),
            _ => (Stage::Keys, LinkId(0)),
        };
        Self { rules, merging, stage, after }
    }
}

pub(super) async fn run(execution: &mut Execution<'_>) -> Result<(), EngineError> {
    let world = execution.world;
    let matching = |index| {
        let (rules, merging) = world.match_fingerprints(index);
        let (stage, after) = (Stage::Done, LinkId(0));
        let all = Matched { rules, merging, stage, after };
        let done = serde_json::to_string(&all).expect("it is plain data");
        Matching { index, rules: all.rules, merging: all.merging, done }
    };
    execution.matching = world.types_of_task(&execution.name).into_iter().map(matching).collect();
    for at in 0..execution.matching.len() {
        while batch(execution, at).await? {
            if execution.cancelled || execution.options.cancel.is_cancelled() {
                execution.cancelled = true;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Matches some records of a shard type anew; `false` when all are.
async fn batch(execution: &mut Execution<'_>, at: usize) -> Result<bool, EngineError> {
    let world = execution.world;
    let index = execution.matching[at].index;
    let shard_type = world.rules.types[index].id;
    let kept = world.store.matched(shard_type).await?;
    if kept.as_ref() == Some(&execution.matching[at].done) {
        return Ok(false);
    }
    let kept = kept.as_deref().and_then(read);
    let is_empty = kept.is_none() && world.store.links(LinkId(0), 1).await?.is_empty();
    let now = Matched::next(kept.clone(), &execution.matching[at], is_empty);
    if now.stage == Stage::Done {
        if kept.as_ref() != Some(&now) {
            commit(execution, shard_type, &now, Planned::default(), 0).await?;
        }
        return Ok(false);
    }
    let size = usize::try_from(execution.task.batch.size.max(1)).unwrap_or(1000);
    let page = world.store.links(now.after, size).await?;
    let Some(last) = page.last().map(|link| link.id) else {
        let stage = if now.stage == Stage::Keys { Stage::Clusters } else { Stage::Done };
        let after = LinkId(0);
        commit(execution, shard_type, &Matched { stage, after, ..now }, Planned::default(), 0)
            .await?;
        return Ok(true);
    };
    let is_of_type = |entity: &EntityId| {
        world.rules.entities.get(entity).is_some_and(|rules| rules.shard_type == index)
    };
    let links: Vec<LinkId> =
        page.iter().filter(|link| is_of_type(&link.entity)).map(|link| link.id).collect();
    let next = Matched { after: last, ..now };
    if links.is_empty() {
        commit(execution, shard_type, &next, Planned::default(), 0).await?;
        return Ok(true);
    }
    let planner = Planner::new(&world.rules, execution.moment, Vec::new());
    let (planner, done) = match next.stage {
        Stage::Keys => (planner.rekeying(links), 0),
        Stage::Clusters | Stage::Done => {
            let done = links.len() as u64;
            (planner.reforming(links), done)
        }
    };
    let planned = Box::pin(plan_with(world, planner)).await?;
    execution.wrote |= !planned.plan.changes_nothing();
    commit(execution, shard_type, &next, planned, done).await?;
    Ok(true)
}

/// What was last committed of how the records of a shard type are matched.
fn read(text: &str) -> Option<Matched> {
    serde_json::from_str(text).ok()
}

/// Says in a plan that it matches records in another way than all others are matched by now: another process has
/// brought the type under other rules meanwhile, or for more records. All of them are then matched anew.
///
/// To be called after the plan was made: if what is read here changes before the commit, the plan is stale.
pub(super) async fn own_up(execution: &Execution<'_>, plan: &mut Plan) -> Result<(), StoreError> {
    if plan.changes_nothing() {
        return Ok(());
    }
    for matching in &execution.matching {
        let shard_type = execution.world.rules.types[matching.index].id;
        let kept = execution.world.store.matched(shard_type).await?;
        if kept.as_ref() == Some(&matching.done) {
            continue;
        }
        let kept = kept.as_deref().and_then(read);
        let is_empty = kept.is_none();
        let next = Matched::next(kept.clone(), matching, is_empty);
        let is_same = |kept: &Matched| kept.rules == next.rules && kept.merging == next.merging;
        if !kept.as_ref().is_some_and(is_same) {
            let state = serde_json::to_string(&next).expect("it is plain data");
            plan.matched.push((shard_type, state));
        }
    }
    Ok(())
}

/// Commits a batch with how far it brings the type. Where another process wrote in between, nothing is written,
/// and what is stored tells where to go on.
async fn commit(
    execution: &mut Execution<'_>,
    shard_type: TypeId,
    matched: &Matched,
    planned: Planned,
    done: u64,
) -> Result<(), EngineError> {
    let state = serde_json::to_string(matched).expect("it is plain data");
    let counters = Counters { rematched: done, ..planned.counters };
    let mut plan = planned.plan;
    plan.matched = vec![(shard_type, state)];
    execution.commit_beside(&counters, plan).await.map(drop)
}
