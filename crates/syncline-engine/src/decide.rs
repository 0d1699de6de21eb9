//! What a person decides of records: planned and committed as any batch is.

use crate::clock::Clock;
use crate::execution::EngineError;
use crate::steps::{PLANS_MAX, execution_uuid, plan_with, settle_decided};
use crate::world::World;
use serde::Serialize;
use syncline_core::plan::constrain::Rulings;
use syncline_core::plan::planner::{Moment, Planned, Planner};
use syncline_core::plan::rows::{LinkId, ShardId, Verdict};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::{Checkpoint, Counters};
use syncline_store::StoreError;
use syncline_store::execution::{Begin, Finish, Worker};

/// The task under which decisions are listed among the executions.
pub const TASK: &str = "(decisions)";

/// What a person wants to become of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Two records are about the same thing: their shards become one. What was decided to the contrary of the
    /// records of these shards stands no longer.
    Merge(LinkId, LinkId),
    /// Two records are not about the same thing, nor are the other records of their shards.
    Apart(LinkId, LinkId),
    /// Nothing is decided of two records any more: the match rules have the say.
    Forget(LinkId, LinkId),
    /// A shard comes apart, and its parts are kept apart from then on.
    Unmerge {
        /// The shard.
        shard: ShardId,
        /// A shard that was merged into it, and that comes out of it again.
        alias: Option<ShardId>,
        /// These records leave the shard, together as far as they match; none: what the last merge brought
        /// together comes apart, or, where none was logged, every record from every other.
        records: Vec<LinkId>,
    },
}

/// Who decides, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decider {
    /// Who.
    pub by: String,
    /// Why, in that person's words; may be empty.
    pub why: String,
    /// The process that writes it.
    pub worker: Worker,
    /// Random bits.
    pub seed: u64,
}

/// What came of a decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Decided {
    /// The pairs of records of which something is decided now, or nothing any more.
    pub pairs: u64,
    /// Shards that became part of others.
    pub shards_merged: u64,
    /// Shards that were made.
    pub shards_created: u64,
    /// Shards whose data changed, or that are shards of their own again.
    pub shards_updated: u64,
}

/// Carries out a wish: a plan of the same planner as any batch, committed the same way.
///
/// # Errors
///
/// [`EngineError::Undecidable`] where there is nothing to decide; when the store cannot be read or written.
pub async fn decide(
    world: &World,
    clock: &dyn Clock,
    wish: &Wish,
    decider: &Decider,
) -> Result<Decided, EngineError> {
    // A wish that cannot be is refused before anything is written.
    rulings(world, wish, decider, clock.now()).await?;
    let moment = begin(world, clock, TASK, decider).await?;
    let outcome = commit(world, moment, wish, decider).await;
    end(world, clock, moment, outcome).await
}

/// Begins an execution that carries out what a person decided: one commit, so there is nothing to take up.
pub(crate) async fn begin(
    world: &World,
    clock: &dyn Clock,
    task: &str,
    decider: &Decider,
) -> Result<Moment, EngineError> {
    let now = clock.now();
    let bits = xxhash_rust::xxh3::xxh3_128_with_seed(task.as_bytes(), decider.seed);
    let begin = Begin {
        task: task.to_owned(),
        trigger: "manual".to_owned(),
        worker: decider.worker.clone(),
        now,
        uuid: execution_uuid(now, bits),
        fingerprint: format!("decision-{now}-{:x}", decider.seed),
    };
    let begun = world.store.begin(begin).await?;
    Ok(Moment {
        execution: begun.execution,
        started: begun.started,
        seed: decider.seed ^ begun.execution.0.cast_unsigned(),
        is_replay: false,
    })
}

/// Ends it, with what came of it.
pub(crate) async fn end<T>(
    world: &World,
    clock: &dyn Clock,
    moment: Moment,
    outcome: Result<(T, Counters), EngineError>,
) -> Result<T, EngineError> {
    let (counters, error) = match &outcome {
        Ok((_, counters)) => (*counters, None),
        Err(error) => (Counters::default(), Some(error.to_string())),
    };
    let status = if error.is_none() { "success" } else { "failed" }.to_owned();
    let checkpoint = Checkpoint {
        counters,
        phase: "complete".to_owned(),
        percent: 100.0,
        at: clock.now(),
        ..Checkpoint::default()
    };
    let (execution, now) = (moment.execution, clock.now());
    let finish = Finish { execution, status, checkpoint, error, cursor: None, now };
    world.store.finish(finish).await?;
    outcome.map(|(came, _)| came)
}

async fn commit(
    world: &World,
    moment: Moment,
    wish: &Wish,
    decider: &Decider,
) -> Result<(Decided, Counters), EngineError> {
    for _ in 0..PLANS_MAX {
        let rulings = rulings(world, wish, decider, moment.started).await?;
        let pairs = (rulings.decided.len() + rulings.revoked.len()) as u64;
        let planner = Planner::new(&world.rules, moment, Vec::new()).deciding(rulings);
        let Planned { mut plan, counters, .. } = plan_with(world, planner).await?;
        plan.execution = moment.execution;
        match world.store.commit(plan).await {
            Ok(_) => {
                settle_decided(world, moment).await?;
                let decided = Decided {
                    pairs,
                    shards_merged: counters.shards_merged,
                    shards_created: counters.shards_created,
                    shards_updated: counters.shards_updated,
                };
                return Ok((decided, counters));
            }
            Err(StoreError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Stale.into())
}

/// What a wish comes to, as the store stands.
async fn rulings(
    world: &World,
    wish: &Wish,
    decider: &Decider,
    at: i64,
) -> Result<Rulings, EngineError> {
    let mut rulings = Rulings::default();
    let who = (decider.by.as_str(), at, decider.why.as_str());
    match wish {
        Wish::Merge(a, b) => {
            let (left, right) = both_shards(world, *a, *b).await?;
            if left == right {
                return undecidable("the two records are in one shard already".to_owned());
            }
            let (left, right) = (links_of(world, left).await?, links_of(world, right).await?);
            for decision in world.store.decisions().await? {
                let (a, b) = (decision.a, decision.b);
                let crosses = (left.contains(&a) && right.contains(&b))
                    || (left.contains(&b) && right.contains(&a));
                if crosses && decision.verdict == Verdict::Apart {
                    rulings.revoked.push((a, b));
                }
            }
            rulings.decide(&[*a], &[*b], Verdict::Same, who);
        }
        Wish::Apart(a, b) => {
            let (left, right) = both_shards(world, *a, *b).await?;
            if left == right {
                let message = "the two records are in one shard; unmerge takes it apart";
                return undecidable(message.to_owned());
            }
            let (left, right) = (links_of(world, left).await?, links_of(world, right).await?);
            rulings.decide(&left, &right, Verdict::Apart, who);
        }
        Wish::Forget(a, b) => {
            let pair = (*a.min(b), *a.max(b));
            let decisions = world.store.decisions().await?;
            if !decisions.iter().any(|decision| (decision.a, decision.b) == pair) {
                return undecidable("nothing was decided of these two records".to_owned());
            }
            rulings.revoked.push(pair);
        }
        Wish::Unmerge { shard, alias, records } => {
            for (left, right) in parts(world, *shard, *alias, records).await? {
                rulings.decide(&left, &right, Verdict::Apart, who);
            }
        }
    }
    Ok(rulings)
}

pub(crate) fn undecidable<T>(why: String) -> Result<T, EngineError> {
    Err(EngineError::Undecidable(why))
}

async fn both_shards(
    world: &World,
    a: LinkId,
    b: LinkId,
) -> Result<(ShardId, ShardId), EngineError> {
    let found = world.store.read(Need { links: vec![a, b], ..Need::default() }).await?;
    let row = |id: LinkId| found.links.iter().find(|link| link.id == id);
    let (Some(left), Some(right)) = (row(a), row(b)) else {
        return undecidable("one of the records is not there".to_owned());
    };
    let type_of = |entity| world.entities.get(&entity).map(|name| &name.shard_type);
    if type_of(left.entity) != type_of(right.entity) {
        return undecidable("the two records are of different shard types".to_owned());
    }
    Ok((left.shard, right.shard))
}

async fn links_of(world: &World, shard: ShardId) -> Result<Vec<LinkId>, EngineError> {
    let links = world.store.links_of(vec![shard]).await?;
    Ok(links.into_iter().map(|link| link.id).collect())
}

type Parts = Vec<(Vec<LinkId>, Vec<LinkId>)>;

/// The groups of records that come apart.
async fn parts(
    world: &World,
    shard: ShardId,
    alias: Option<ShardId>,
    records: &[LinkId],
) -> Result<Parts, EngineError> {
    let all = links_of(world, shard).await?;
    if !records.is_empty() {
        let rest: Vec<LinkId> = all.iter().copied().filter(|id| !records.contains(id)).collect();
        if records.iter().any(|record| !all.contains(record)) {
            return undecidable("one of the records is not of that shard".to_owned());
        }
        if rest.is_empty() {
            return undecidable("these are all the records of the shard".to_owned());
        }
        return Ok(vec![(records.to_vec(), rest)]);
    }
    let of_interest = alias.unwrap_or(shard);
    for merge in world.store.merges(vec![of_interest]).await? {
        if alias.is_some_and(|alias| alias != merge.loser) {
            continue;
        }
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (link, was_in) in merge.records {
            // What has left the shard since is apart already.
            if all.contains(&link) {
                if was_in == merge.loser { left.push(link) } else { right.push(link) }
            }
        }
        if !left.is_empty() && !right.is_empty() {
            return Ok(vec![(left, right)]);
        }
    }
    if alias.is_some() {
        return undecidable("its records are not part of that shard any more".to_owned());
    }
    if all.len() < 2 {
        return undecidable("the shard has one record only: nothing was merged".to_owned());
    }
    Ok(all.iter().enumerate().map(|(i, &one)| (vec![one], all[i + 1..].to_vec())).collect())
}
