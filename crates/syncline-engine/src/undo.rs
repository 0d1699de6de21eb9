//! Taking back what an execution did.

use crate::clock::Clock;
use crate::decide::{Decider, begin, end};
use crate::edit::commit;
use crate::execution::EngineError;
use crate::world::World;
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::sync::Arc;
use syncline_core::plan::news::{Edit, EditKind, News};
use syncline_core::plan::rows::{
    ExecutionId, IntentKind, IntentRow, IntentState, LinkId, ShardRow,
};
use syncline_core::value::Value;
use syncline_store::query::{History, IntentFilter};

/// The task under which undoing is listed among the executions.
pub const TASK: &str = "(undo)";

/// What came of taking back an execution.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Undone {
    /// Shards that say again what they said before.
    pub shards: u64,
    /// Of these, the fields.
    pub fields: u64,
    /// What was not taken back.
    pub left: Vec<Left>,
}

/// Something that was not taken back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Left {
    /// The shard's UUID, or the record.
    pub of: String,
    /// The field; empty where it is about the whole.
    pub field: String,
    /// Why not.
    pub because: String,
}

/// Takes back what an execution changed in shards, as far as it still stands. With the next run of their tasks, records
/// that still hold what was written to them get back what they held.
///
/// # Errors
///
/// When the store cannot be read or written.
pub async fn undo(
    world: &World,
    clock: &dyn Clock,
    execution: ExecutionId,
    decider: &Decider,
) -> Result<Undone, EngineError> {
    let mut undone = Undone::default();
    let mut edits: FxHashMap<LinkId, Vec<Edit>> = FxHashMap::default();
    let changed = world.store.changed_in(execution).await?;
    for row in world.store.shards_by_row(changed).await? {
        let found = shard(world, execution, &row, &mut undone.left).await?;
        if let Some((link, of_shard)) = found.filter(|(_, edits)| !edits.is_empty()) {
            undone.shards += 1;
            undone.fields += of_shard.len() as u64;
            edits.insert(link, of_shard);
        }
    }
    writes(world, execution, &mut undone.left).await?;
    if edits.is_empty() {
        return Ok(undone);
    }
    let moment = begin(world, clock, TASK, decider).await?;
    let news = News { edits, ..News::default() };
    let outcome = commit(world, clock, moment, news, Vec::new()).await;
    end(world, clock, moment, outcome.map(|counters| ((), counters))).await?;
    Ok(undone)
}

type Fields = Vec<Option<Value>>;

/// What is to become of a shard, by way of one of its links.
async fn shard(
    world: &World,
    execution: ExecutionId,
    row: &ShardRow,
    left: &mut Vec<Left>,
) -> Result<Option<(LinkId, Vec<Edit>)>, EngineError> {
    let of = uuid::Uuid::from_u128(row.uuid).to_string();
    let mut leave = |field: &str, because: &str| {
        let (of, field, because) = (of.clone(), field.to_owned(), because.to_owned());
        left.push(Left { of, field, because });
    };
    let rules = world.rules.types.iter().find(|rules| rules.id == row.shard_type);
    let Some(rules) = rules.filter(|rules| !rules.written_to.is_empty()) else {
        leave("", "it follows from its records alone: change them, or how they are mapped");
        return Ok(None);
    };
    if row.deleted_at.is_some() || row.merged_into.is_some() {
        leave("", "it is deleted, or part of another one: `syncline unmerge` takes that apart");
        return Ok(None);
    }
    let Some((before, after)) = around(world, execution, row).await? else { return Ok(None) };
    let read = |json: &str| -> Fields {
        rules.layout.read_json(json).unwrap_or_else(|_| rules.layout.empty_image())
    };
    let (before, after, now) = (read(&before), read(&after), read(&row.data));
    let mut edits = Vec::new();
    for (field, name) in rules.layout.names().iter().enumerate() {
        if before[field] == after[field] {
            continue;
        }
        if now[field] != after[field] {
            leave(name, "it was changed since");
            continue;
        }
        // What was not there before is cleared: a record that holds it would keep it otherwise.
        let value = before[field].clone().unwrap_or(Value::Null);
        edits.push(Edit { field, change: EditKind::Set(Some(value)) });
    }
    let links = world.store.links_of(vec![row.id]).await?;
    let link = links.iter().find(|link| !link.deleted).or(links.first());
    Ok(link.map(|link| (link.id, edits)))
}

/// What a shard said before and after an execution, as JSON text.
async fn around(
    world: &World,
    execution: ExecutionId,
    row: &ShardRow,
) -> Result<Option<(Arc<str>, Arc<str>)>, EngineError> {
    // Newest first: what stands before an entry is what its neighbour towards the present was made from.
    let history: Vec<History> = world.store.history(row.id).await?;
    let is_of = |entry: &History| entry.execution == execution;
    let Some(newest) = history.iter().position(is_of) else { return Ok(None) };
    let Some(oldest) = history.iter().rposition(is_of) else { return Ok(None) };
    let after = match newest.checked_sub(1) {
        Some(later) => history[later].before.clone(),
        None => row.data.clone(),
    };
    Ok(Some((history[oldest].before.clone(), after)))
}

/// Records that the execution made or deleted at other systems stay so.
async fn writes(
    world: &World,
    execution: ExecutionId,
    left: &mut Vec<Left>,
) -> Result<(), EngineError> {
    let filter = IntentFilter {
        execution: Some(execution),
        states: vec![IntentState::Done],
        limit: usize::MAX,
        ..IntentFilter::default()
    };
    for intent in world.store.intents(filter).await? {
        let IntentRow { entity, body, kind, .. } = intent;
        let because = match kind {
            IntentKind::Update => continue,
            IntentKind::Create => "it was made there: delete it there if it is to go",
            IntentKind::Delete => "it was deleted there",
        };
        let body = syncline_core::plan::intent::Body::from_json(&body);
        let name = world.entities.get(&entity);
        let name = name.map(|name| format!("{}/{}", name.connection, name.entity));
        left.push(Left {
            of: format!("{} {}", name.unwrap_or_default(), body.external_id),
            field: String::new(),
            because: because.to_owned(),
        });
    }
    Ok(())
}
