//! After each batch, and after what a person decided: records whose looked-up values changed are looked at again.

use super::plan::plan_with;
use super::{Execution, PLANS_MAX};
use crate::execution::EngineError;
use crate::world::World;
use compact_str::CompactString;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use syncline_core::convert::SHARD_ID;
use syncline_core::plan::news::News;
use syncline_core::plan::planner::{Moment, PlanError, Planned, Planner};
use syncline_core::plan::rows::{EdgeTarget, EntityId, LinkId, LinkRow};
use syncline_core::plan::rules::{Content, Item};
use syncline_core::plan::view::Need;
use syncline_store::StoreError;

/// How many changed records are followed up in one batch.
const BATCH: usize = 500;

/// How often values may travel on after one batch: two types whose fields look each other up could go on for
/// ever; what is left then waits for the next batch.
const ROUNDS_MAX: usize = 16;

pub(super) async fn run(execution: &mut Execution<'_>) -> Result<(), EngineError> {
    if !execution.unsettled || !execution.world.rules.types.iter().any(|rules| rules.looked_up) {
        return Ok(());
    }
    for _ in 0..ROUNDS_MAX {
        let changed = execution.world.store.unsettled(usize::MAX).await?;
        if changed.is_empty() {
            execution.unsettled = false;
            break;
        }
        for chunk in changed.chunks(BATCH) {
            Box::pin(follow_up(execution, chunk)).await?;
        }
    }
    Ok(())
}

async fn follow_up(execution: &mut Execution<'_>, changed: &[LinkId]) -> Result<(), EngineError> {
    for _ in 0..PLANS_MAX {
        if round(execution, changed).await? {
            return Ok(());
        }
    }
    Err(StoreError::Stale.into())
}

/// Follows up some changed records; `false` when another process wrote in between.
async fn round(execution: &mut Execution<'_>, changed: &[LinkId]) -> Result<bool, EngineError> {
    let planned = plan(execution.world, execution.moment, changed).await?;
    execution.wrote |= !planned.plan.changes_nothing();
    execution.commit_beside(&planned.counters, planned.plan).await
}

/// After a decision: what [`run`] does after a batch.
pub(crate) async fn decided(world: &World, moment: Moment) -> Result<(), EngineError> {
    for _ in 0..ROUNDS_MAX {
        let changed = world.store.unsettled(usize::MAX).await?;
        if changed.is_empty() {
            break;
        }
        for chunk in changed.chunks(BATCH) {
            let mut tries = 0;
            loop {
                let Planned { mut plan, .. } = plan(world, moment, chunk).await?;
                plan.execution = moment.execution;
                match world.store.commit(plan).await {
                    Ok(_) => break,
                    Err(StoreError::Stale) if tries < PLANS_MAX => tries += 1,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    Ok(())
}

/// What follows for others from records that changed.
async fn plan(world: &World, moment: Moment, changed: &[LinkId]) -> Result<Planned, EngineError> {
    let dependents = dependents(world, changed).await?;
    let (items, referring) = items(world, dependents).await?;
    // What a reference waited for may be there now, although the record says what it said.
    let news = News { reconsider: referring, ..News::default() };
    let mut planned =
        plan_with(world, Planner::new(&world.rules, moment, items).told(news)).await?;
    let counters = &mut planned.counters;
    (counters.derived_created, counters.derived_updated, counters.derived_unchanged) = (0, 0, 0);
    planned.plan.settled = changed.to_vec();
    Ok(planned)
}

/// The changed records, whose own looked-up values may be elsewhere now, and those that look one of them up.
pub(crate) async fn dependents(
    world: &World,
    changed: &[LinkId],
) -> Result<Vec<LinkId>, EngineError> {
    let need = Need { links: changed.to_vec(), ..Need::default() };
    let found = world.store.read(need).await?;
    let mut targets: BTreeSet<(EntityId, CompactString)> = BTreeSet::new();
    let mut links: BTreeSet<LinkId> = BTreeSet::new();
    for link in &found.links {
        if has_lookups(world, link) {
            links.insert(link.id);
        }
        targets.insert((link.entity, link.external_id.clone()));
        targets.extend(field_targets(world, link)?);
    }
    let need = Need { dependents: targets.into_iter().collect(), ..Need::default() };
    let found = world.store.read(need).await?;
    links.extend(found.dependents.into_iter().map(|(_, link)| link));
    Ok(links.into_iter().collect())
}

fn has_lookups(world: &World, link: &LinkRow) -> bool {
    let rules = world.rules.entities.get(&link.entity);
    let conversion = rules.and_then(|rules| rules.conversion.as_ref());
    conversion.is_some_and(|conversion| !conversion.lookups.is_empty())
}

/// The field values by which a record is found.
fn field_targets(
    world: &World,
    link: &LinkRow,
) -> Result<Vec<(EntityId, CompactString)>, EngineError> {
    let rules = &world.rules;
    let Some(entity) = rules.entities.get(&link.entity) else { return Ok(Vec::new()) };
    let shard_type = &rules.types[entity.shard_type];
    if shard_type.found_by.is_empty() {
        return Ok(Vec::new());
    }
    let image = shard_type
        .layout
        .read_json(&link.image)
        .map_err(|source| PlanError::Image { external_id: link.external_id.to_string(), source })?;
    Ok(shard_type.found_as(&image))
}

/// What the dependents say, with their looked-up values to be found anew; and those of them that refer to others.
async fn items(
    world: &World,
    dependents: Vec<LinkId>,
) -> Result<(Vec<Item>, Vec<LinkId>), EngineError> {
    let mut edges: FxHashMap<LinkId, Vec<EdgeTarget>> = FxHashMap::default();
    for row in world.store.edges_from(dependents.clone()).await? {
        let target = CompactString::new(&row.target);
        let edge = EdgeTarget { kind: row.kind, entity: row.entity, target };
        edges.entry(row.link).or_default().push(edge);
    }
    let need = Need { links: dependents, ..Need::default() };
    let found = world.store.read(need).await?;
    let (mut items, mut referring) = (Vec::new(), Vec::new());
    for link in found.links {
        let Some(rules) = world.rules.entities.get(&link.entity) else { continue };
        let Some(conversion) = &rules.conversion else { continue };
        if conversion.lookups.is_empty() || link.deleted {
            continue;
        }
        if world.rules.types[rules.shard_type].refers {
            referring.push(link.id);
        }
        let layout = &world.rules.types[rules.shard_type].layout;
        let mut image = layout.read_json(&link.image).map_err(|source| PlanError::Image {
            external_id: link.external_id.to_string(),
            source,
        })?;
        let mut edges = edges.remove(&link.id).unwrap_or_default();
        edges.sort_unstable();
        let wanted = |kind| edges.iter().find(|e| e.kind == kind).map(|e| e.target.clone());
        let lookups: Vec<_> = conversion.lookups.iter().map(|rule| wanted(rule.kind)).collect();
        for (spec, wanted) in conversion.converter.lookups().iter().zip(&lookups) {
            // One that says that it refers to nothing goes on doing so.
            if wanted.is_some() || spec.returns != SHARD_ID {
                image[spec.field] = None;
            }
        }
        items.push(Item {
            entity: link.entity,
            external_id: link.external_id,
            modified: link.modified,
            contributor: None,
            counts: false,
            content: Content::Image { image, lookups, edges },
            digest: None,
        });
    }
    Ok((items, referring))
}
