//! Erasing what is known of somebody: what goes with a shard, and what keeps its records out from then on.

use crate::clock::Clock;
use crate::decide::{Decider, begin, end};
use crate::edit::commit;
use crate::execution::EngineError;
use crate::steps::{dependents, settle_decided};
use crate::world::World;
use compact_str::CompactString;
use ring::hmac;
use rustc_hash::FxHashMap;
use serde::Serialize;
use syncline_adapters::AdapterError;
use syncline_adapters::write::{Change, Target, Write, Written};
use syncline_core::plan::news::{Edit, EditKind, News};
use syncline_core::plan::planner::Moment;
use syncline_core::plan::rows::{EntityName, LinkId, LinkRow, ShardId};
use syncline_core::plan::rules::Conversion;
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::Counters;
use syncline_core::value::Cell;
use syncline_store::erasure::{Erasure, Mark};

/// The task under which erasing is listed among the executions.
pub const TASK: &str = "(erase)";

/// A record at its system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remains {
    /// The connection.
    pub connection: String,
    /// The entity.
    pub entity: String,
    /// Its external id.
    pub external_id: String,
    /// What became of it there.
    pub there: There,
}

/// What became of a record at its system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum There {
    /// Nobody was asked to delete it.
    Left,
    /// It is gone.
    Deleted,
    /// It could not be deleted, for this reason.
    Kept(String),
}

/// What is to be erased, and what follows for others.
#[derive(Clone, Debug)]
pub struct Case {
    /// What goes.
    pub erasure: Erasure,
    /// The records at their systems that the shard was made of.
    pub records: Vec<Remains>,
    /// Fields of other records that hold something now which was looked up, perhaps there.
    filled: Vec<(LinkId, usize)>,
}

/// What is erased with a shard and those that were merged into it. `key` is the key of the marks, for a store that has none
/// yet.
///
/// # Errors
///
/// When the store cannot be read.
pub async fn erasure(
    world: &World,
    clock: &dyn Clock,
    shards: Vec<ShardId>,
    key: Mark,
) -> Result<Case, EngineError> {
    let rows = world.store.links_of(shards.clone()).await?;
    let links: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut others = dependents(world, &links).await?;
    others.retain(|link| !links.contains(link));
    let key = world.erased.key.unwrap_or(key);
    let mut erasure =
        Erasure { shards, links, dependents: others, key, now: clock.now(), ..Erasure::default() };
    let filled = looked_up(world, &erasure.dependents).await?;
    let filled = filled.into_iter().filter(|(.., cell)| cell.is_some());
    let filled = filled.map(|(row, field, _)| (row.id, field)).collect();
    let mut records = Vec::new();
    for row in rows {
        let Some(name) = world.entities.get(&row.entity) else { continue };
        erasure.marks.push(mark(&key, name, &row.external_id));
        let tasks = world.config.tasks_of(&name.connection, &name.entity);
        let external_id = row.external_id.to_string();
        erasure.letters.extend(tasks.map(|task| (task.to_owned(), external_id.clone())));
        if !row.deleted && row.contributor.is_none() {
            let (connection, entity) = (name.connection.clone(), name.entity.clone());
            records.push(Remains { connection, entity, external_id, there: There::Left });
        }
    }
    records.sort();
    Ok(Case { erasure, records, filled })
}

/// The fields that records look up, but for ids of shards, with what they hold.
async fn looked_up(
    world: &World,
    links: &[LinkId],
) -> Result<Vec<(LinkRow, usize, Cell)>, EngineError> {
    let need = Need { links: links.to_vec(), ..Need::default() };
    let mut out = Vec::new();
    for row in world.store.read(need).await?.links {
        let rules = world.rules.entities.get(&row.entity);
        let Some((rules, conversion)) = rules.and_then(|of| Some((of, of.conversion.as_ref()?)))
        else {
            continue;
        };
        let layout = &world.rules.types[rules.shard_type].layout;
        let Ok(mut image) = layout.read_json(&row.image) else { continue };
        for (spec, rule) in conversion.converter.lookups().iter().zip(&conversion.lookups) {
            if rule.returns.is_some() {
                out.push((row.clone(), spec.field, image[spec.field].take()));
            }
        }
    }
    Ok(out)
}

/// Lets the records that looked something up in what was erased look again.
///
/// # Errors
///
/// When the store cannot be read or written.
pub async fn settle(
    world: &World,
    clock: &dyn Clock,
    case: &Case,
    decider: &Decider,
) -> Result<(), EngineError> {
    let moment = begin(world, clock, TASK, decider).await?;
    let outcome = look_again(world, clock, case, moment).await;
    end(world, clock, moment, outcome.map(|()| ((), Counters::default()))).await
}

async fn look_again(
    world: &World,
    clock: &dyn Clock,
    case: &Case,
    moment: Moment,
) -> Result<(), EngineError> {
    settle_decided(world, moment).await?;
    // A record that finds nothing any more says nothing, so that a shard which is reconciled with it would keep what was
    // found before.
    let now = looked_up(world, &case.erasure.dependents).await?;
    let emptied = now
        .into_iter()
        .filter(|(row, field, cell)| cell.is_none() && case.filled.contains(&(row.id, *field)));
    let emptied: Vec<(ShardId, usize)> =
        emptied.map(|(row, field, _)| (row.shard, field)).collect();
    if emptied.is_empty() {
        return Ok(());
    }
    let shards = emptied.iter().map(|(shard, _)| *shard).collect();
    let mut edits: FxHashMap<LinkId, Vec<Edit>> = FxHashMap::default();
    for row in world.store.links_of(shards).await? {
        let Some(rules) = world.rules.entities.get(&row.entity) else { continue };
        let layout = &world.rules.types[rules.shard_type].layout;
        let Ok(image) = layout.read_json(&row.image) else { continue };
        let of_shard =
            emptied.iter().filter(|(shard, field)| *shard == row.shard && image[*field].is_none());
        let edit = |&(_, field): &(ShardId, usize)| Edit { field, change: EditKind::Decide(None) };
        edits.entry(row.id).or_default().extend(of_shard.map(edit));
    }
    let news = News { edits, ..News::default() };
    commit(world, clock, moment, news, Vec::new()).await.map(drop)
}

/// Deletes records at their systems, as far as a task writes there, and notes what became of each.
pub async fn delete_records(world: &World, clock: &dyn Clock, records: &mut [Remains]) {
    let is_same =
        |a: &Remains, b: &Remains| (&a.connection, &a.entity) == (&b.connection, &b.entity);
    for group in records.chunk_by_mut(is_same) {
        if let Err(error) = delete_at(world, clock, group).await {
            let because = world.scrub(&error.to_string());
            for record in group.iter_mut().filter(|record| record.there == There::Left) {
                record.there = There::Kept(because.clone());
            }
        }
    }
}

/// Deletes records of one entity, as they are now.
async fn delete_at(
    world: &World,
    clock: &dyn Clock,
    group: &mut [Remains],
) -> Result<(), EngineError> {
    let Some(Remains { connection, entity, .. }) = group.first().cloned() else { return Ok(()) };
    let mut all = world.rules.entities.values();
    let rules = all.find(|rules| {
        let writes = rules.two_way.as_ref().is_some_and(|two_way| two_way.outbound.is_some());
        writes && (&rules.connection, &rules.entity) == (&connection, &entity)
    });
    let of = rules.and_then(|rules| rules.conversion.as_ref());
    let unwritten = || AdapterError::Settings("no task writes there".to_owned());
    let (Some(Conversion { converter, .. }), Some(settings)) =
        (of, world.config.connections.get(&connection))
    else {
        return Err(unwritten().into());
    };
    let adapter = (world.open_adapter)(settings, &world.base)?;
    let writer = adapter.writer().ok_or_else(unwritten)?;
    let most = writer.capabilities(&entity).await?.batch_max.max(1);
    for records in group.chunks_mut(most) {
        let keys = records.iter().filter_map(|record| converter.key_of(&record.external_id));
        let page = writer.get(&entity, keys.collect()).await?;
        let (ids, versions) = (converter.external_ids(&page), converter.versions(&page));
        let (mut writes, mut asked) = (Vec::new(), Vec::new());
        for (index, record) in records.iter_mut().enumerate() {
            let is_it =
                |id: &Option<CompactString>| id.as_deref() == Some(record.external_id.as_str());
            let Some(at) = ids.iter().position(is_it) else {
                record.there = There::Deleted;
                continue;
            };
            let named = page.shape.names().iter().zip(&page.records[at].cells);
            let before = named.filter_map(|(name, cell)| Some((name.clone(), cell.clone()?)));
            let target = Target {
                key: converter.key_of(&record.external_id).unwrap_or_default(),
                version: versions.get(at).cloned().flatten(),
                before: before.collect(),
            };
            let key = CompactString::new(format!("erase-{}-{index}", clock.now()));
            let change = Change::Delete { target };
            writes.push(Write { key, marker: CompactString::default(), change });
            asked.push(index);
        }
        let replies = writer.write(&entity, writes).await;
        for (index, written) in asked.into_iter().zip(replies.written) {
            records[index].there = match written {
                Written::Done { .. } | Written::Missing => There::Deleted,
                Written::Changed => There::Kept("it was changed at this very moment".to_owned()),
                Written::Exists { .. } => There::Kept("the system found another record".to_owned()),
                Written::Rejected { problem, .. }
                | Written::NotSent { problem, .. }
                | Written::Unknown { problem } => There::Kept(world.scrub(&problem)),
            };
        }
    }
    Ok(())
}

/// Names a record without telling anything of it.
fn mark(key: &Mark, entity: &EntityName, external_id: &str) -> Mark {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in [entity.connection.as_str(), &entity.entity, external_id] {
        context.update(&part.len().to_le_bytes());
        context.update(part.as_bytes());
    }
    let mut mark = Mark::default();
    mark.copy_from_slice(context.sign().as_ref());
    mark
}

impl World {
    /// Whether a record of an entity was erased, and is to stay away.
    pub(crate) fn is_erased(&self, entity: &EntityName, external_id: &str) -> bool {
        let erased = &self.erased;
        let key = erased.key.as_ref().filter(|_| !erased.marks.is_empty());
        key.is_some_and(|key| erased.marks.contains(&mark(key, entity, external_id)))
    }
}
