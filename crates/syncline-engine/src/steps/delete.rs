//! The sixth step, after everything was read or what was named: what did not come is gone, unless that is too much at once.

use super::complete::records;
use super::plan::{deletion, plan_with};
use super::{Execution, PLANS_MAX, named, settle};
use crate::execution::{EngineError, Trigger};
use compact_str::CompactString;
use syncline_adapters::ReadEnd;
use syncline_core::config::model::Fuse;
use syncline_core::plan::planner::{Outcome, Planner};
use syncline_core::plan::rows::{LinkId, LinkRow};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::Counters;
use syncline_store::StoreError;

/// How many links are looked through at a time.
const PAGE: usize = 5000;

/// What became of the records that a full read did not find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Missing {
    /// The read says nothing about what is missing.
    #[default]
    NotAsked,
    /// They are deleted here too; or there were none.
    Deleted,
    /// There are too many of them: nothing was deleted.
    Fused {
        /// How many are missing.
        missing: u64,
        /// Of how many.
        live: u64,
    },
    /// The read had gaps, so nothing counts as missing.
    Gaps(String),
}

/// Finds links whose record did not come, and deletes them, unless the fuse blows.
pub(super) async fn missing(
    execution: &mut Execution<'_>,
    end: &ReadEnd,
) -> Result<Missing, EngineError> {
    let names_all = (execution.full || end.listed_all) && execution.lists_all;
    if execution.named.is_none() && (!names_all || execution.of_some) {
        return Ok(Missing::NotAsked);
    }
    if !end.complete {
        let reason = end.incomplete_because.clone();
        return Ok(Missing::Gaps(reason.unwrap_or_else(|| "the read did not end".to_owned())));
    }
    // Of those that were named, it is known which could not be read.
    if execution.counters.failed > 0 && execution.named.is_none() {
        let reason = format!("{} could not be read", records(execution.counters.failed));
        return Ok(Missing::Gaps(reason));
    }
    let (gone, live) = match &execution.named {
        Some(named) => unmet(execution, named.read()).await?,
        None => unseen(execution).await?,
    };
    // Where a system can be asked, what a listing left out is asked for: it may be behind. What an incremental read
    // named is not remembered as a full one's is, so there it must be asked.
    let gone = execution.truly_gone(gone).await?;
    let missing = gone.len() as u64;
    let lately = match execution.named {
        Some(_) if missing > 0 && execution.options.trigger == Trigger::Webhook => {
            named::deleted_lately(execution).await?
        }
        _ => 0,
    };
    let empty = execution.named.is_none() && execution.counters.fetched == 0 && live > 0;
    let blown = empty || blows(execution.task.fuse, missing + lately, live + lately);
    if blown && !execution.options.allow_deletes {
        return Ok(Missing::Fused { missing, live });
    }
    for chunk in gone.chunks(usize::try_from(execution.task.batch.size.max(1)).unwrap_or(1000)) {
        Box::pin(delete_chunk(execution, chunk)).await?;
        settle::run(execution).await?;
        if execution.cancelled || execution.options.cancel.is_cancelled() {
            execution.cancelled = true;
            break;
        }
    }
    Ok(Missing::Deleted)
}

/// Whether so many deletions stop and ask.
pub(super) fn blows(fuse: Fuse, missing: u64, live: u64) -> bool {
    missing > fuse.count && missing as f64 > fuse.share * live as f64
}

/// Links that are live here and did not come, and how many are live.
async fn unseen(execution: &Execution<'_>) -> Result<(Vec<LinkRow>, u64), EngineError> {
    let store = &execution.world.store;
    let live = store.live_links(execution.entity).await?;
    let seen: u64 = execution.seen.iter().map(|byte| u64::from(byte.count_ones())).sum();
    let flags = execution.world.rules.entities[&execution.entity].target;
    // Every record that is seen ends up live, unless the flags forbid to revive it.
    if execution.full && seen == live && flags.update_if_exists {
        return Ok((Vec::new(), live));
    }
    let (mut gone, mut after) = (Vec::new(), LinkId(0));
    loop {
        let links = store.entity_links(execution.entity, after, PAGE).await?;
        let Some(last) = links.last() else { return Ok((gone, live)) };
        after = last.id;
        let has_come = |link: LinkId| match execution.full {
            true => execution.has_seen(link),
            false => execution.has_met(link),
        };
        gone.extend(links.into_iter().filter(|link| !has_come(link.id)));
    }
}

/// Links of these records that are live here although the records did not come, and how many are live in all.
async fn unmet(
    execution: &Execution<'_>,
    named: Vec<CompactString>,
) -> Result<(Vec<LinkRow>, u64), EngineError> {
    let store = &execution.world.store;
    let records = named.into_iter().map(|id| (execution.entity, id)).collect();
    let mut links = store.read(Need { records, ..Need::default() }).await?.links;
    links.retain(|link| !link.deleted && !execution.has_met(link.id));
    Ok((links, store.live_links(execution.entity).await?))
}

async fn delete_chunk(execution: &mut Execution<'_>, gone: &[LinkRow]) -> Result<(), EngineError> {
    for _ in 0..PLANS_MAX {
        if delete(execution, gone).await? {
            return Ok(());
        }
    }
    Err(StoreError::Stale.into())
}

/// Deletes some records; `false` when another process wrote in between.
async fn delete(execution: &mut Execution<'_>, gone: &[LinkRow]) -> Result<bool, EngineError> {
    let items = gone
        .iter()
        .map(|link| deletion(link.entity, link.external_id.clone(), None, true))
        .collect();
    let planner = Planner::new(&execution.world.rules, execution.moment, items);
    let planned = plan_with(execution.world, planner).await?;
    let deleted = planned.outcomes.iter().filter(|o| **o == Outcome::Tombstoned).count() as u64;
    let counters = Counters {
        // These records were not fetched, so they are not in the sum.
        updated: 0,
        skipped: 0,
        unchanged: 0,
        tombstoned: 0,
        deleted,
        ..planned.counters
    };
    execution.wrote = true;
    execution.commit_beside(&counters, planned.plan).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuse_blows_only_when_count_and_share_are_both_passed() {
        let fuse = Fuse { count: 10, share: 0.05 };
        let cases = [(0, 0, false), (10, 10, false), (11, 100, true), (11, 220, false)];
        for (missing, live, expected) in cases {
            assert_eq!(blows(fuse, missing, live), expected, "{missing} of {live}");
        }
    }
}
