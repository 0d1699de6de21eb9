//! What a run would change: the run itself, on a store in memory.

use crate::error::Error;
use crate::syncing::{RunOptions, Syncline};
use crate::workspace::{Located, OpenOptions, Workspace};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use syncline_core::plan::intent::{Body, Fingerprint};
use syncline_core::plan::rows::{IntentKind, IntentRow, IntentState, ShardId, ShardRow};
use syncline_core::value::Value;
use syncline_engine::{Report, World};
use syncline_store::overlay::{OverlayStore, Written};
use syncline_store::query::DeadLetterRow;
use uuid::Uuid;

/// What a preview runs.
#[derive(Clone, Debug, Default)]
pub struct PreviewOptions {
    /// The tasks, in this order; empty for all.
    pub tasks: Vec<String>,
    /// How they are run.
    pub run: RunOptions,
}

/// What a run would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Preview {
    /// What would come of each task.
    pub reports: Vec<Report>,
    /// What would be changed.
    pub changes: ChangeSet,
}

/// What would be changed, and how often.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChangeSet {
    /// Shards by type and kind of change.
    pub counts: BTreeMap<String, BTreeMap<ChangeKind, u64>>,
    /// Records that would be linked to a shard for the first time, derived ones included.
    pub links_created: u64,
    /// Records whose link would change.
    pub links_updated: u64,
    /// Each shard that would change.
    pub shards: Vec<ShardChange>,
    /// Each record that would be refused.
    pub dead_letters: Vec<DeadLetterRow>,
    /// Each write that would be sent to a connection.
    pub writes: Vec<WriteChange>,
}

/// A write that would be sent to a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriteChange {
    /// Where to: connection and entity.
    pub to: String,
    /// What it does.
    pub kind: IntentKind,
    /// The record; empty for one that would be made.
    pub external_id: String,
    /// The fields of the record, as they would be.
    pub fields: BTreeMap<String, Value>,
    /// Names the write by what it does.
    pub fingerprint: Fingerprint,
}

/// What would become of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It would be made.
    Created,
    /// Its data would change.
    Updated,
    /// It would become part of another one.
    Merged,
    /// It would be deleted.
    Deleted,
    /// It was deleted, and would come back.
    Restored,
}

/// A shard that would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShardChange {
    /// What would become of it.
    pub kind: ChangeKind,
    /// Its type.
    pub shard_type: String,
    /// Its UUID. A shard that would be made gets another one in the real run.
    pub id: String,
    /// For a merge: the UUID of the shard that stays.
    pub merged_into: Option<String>,
    /// The records behind the change, as `connection/entity external-id`.
    pub records: Vec<String>,
    /// Fields that would change.
    pub fields: Vec<FieldChange>,
}

/// A field that would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// Its name.
    pub field: String,
    /// What it holds now; `None` where it is absent.
    pub before: Option<serde_json::Value>,
    /// What it would hold; `None` where it would be absent.
    pub after: Option<serde_json::Value>,
}

/// Runs tasks on a store in memory over the real one, and tells what would change. Nothing is written, and a
/// store that is not there is not made.
///
/// # Errors
///
/// What [`Syncline::open`] and [`Syncline::run`] meet.
pub async fn preview(
    path: impl AsRef<Path>,
    open: OpenOptions,
    options: PreviewOptions,
) -> Result<Preview, Error> {
    let located = Located::find(path.as_ref())?;
    Preview::of(Workspace::load(located, &open, |_| {})?, options).await
}

impl Preview {
    /// Runs tasks of a configuration on a store in memory over its real one.
    pub(crate) async fn of(workspace: Workspace, options: PreviewOptions) -> Result<Self, Error> {
        let (sync, overlay) = Syncline::over_memory(workspace).await?;
        let tasks = if options.tasks.is_empty() { sync.tasks() } else { options.tasks };
        let mut reports = Vec::new();
        for task in tasks {
            reports.push(sync.run_task(&task, options.run.clone()).await?);
        }
        let changes = changes(&sync, &overlay).await?;
        Ok(Self { reports, changes })
    }
}

/// What was written to the store in memory.
pub(crate) async fn changes(sync: &Syncline, overlay: &OverlayStore) -> Result<ChangeSet, Error> {
    let written = overlay.written().await?;
    let survivors = survivors(sync, &written).await?;
    let mut records = records(sync.world(), &written);
    let mut set = ChangeSet::default();
    for (before, _) in &written.links {
        let count = if before.is_none() { &mut set.links_created } else { &mut set.links_updated };
        *count += 1;
    }
    for (before, after) in &written.shards {
        let Some(kind) = kind(before.as_ref(), after) else { continue };
        let shard_type = sync.world().shard_types.get(&after.shard_type).cloned();
        let shard_type = shard_type.unwrap_or_else(|| after.shard_type.to_string());
        *set.counts.entry(shard_type.clone()).or_default().entry(kind).or_default() += 1;
        set.shards.push(ShardChange {
            kind,
            shard_type,
            id: uuid(after.uuid),
            merged_into: after.merged_into.and_then(|id| survivors.get(&id).cloned()),
            records: records.remove(&after.id).unwrap_or_default(),
            fields: match kind {
                ChangeKind::Merged | ChangeKind::Deleted => Vec::new(),
                _ => fields(before.as_ref().map_or("{}", |row| &row.data), &after.data),
            },
        });
    }
    set.dead_letters = written.dead_letters;
    let write = |intent: &IntentRow| {
        let body = Body::from_json(&intent.body);
        let to = sync.world().entities.get(&intent.entity);
        WriteChange {
            to: to.map(|to| format!("{}/{}", to.connection, to.entity)).unwrap_or_default(),
            kind: intent.kind,
            external_id: body.external_id.to_string(),
            fingerprint: body.fingerprint(intent.entity, intent.kind),
            fields: body
                .record
                .into_iter()
                .map(|(name, value)| (name.to_string(), value))
                .collect(),
        }
    };
    let planned = written.intents.iter().filter(|i| i.state == IntentState::Planned);
    set.writes = planned.map(write).collect();
    Ok(set)
}

fn kind(before: Option<&ShardRow>, after: &ShardRow) -> Option<ChangeKind> {
    let is_live = |row: &ShardRow| row.deleted_at.is_none() && row.merged_into.is_none();
    match (before, is_live(after)) {
        (None, true) => Some(ChangeKind::Created),
        // Made and gone again within the preview.
        (None, false) => None,
        (Some(before), true) if !is_live(before) => Some(ChangeKind::Restored),
        (Some(before), true) => (before.data != after.data).then_some(ChangeKind::Updated),
        (Some(before), false) if !is_live(before) => None,
        (Some(_), false) if after.merged_into.is_some() => Some(ChangeKind::Merged),
        (Some(_), false) => Some(ChangeKind::Deleted),
    }
}

fn fields(before: &str, after: &str) -> Vec<FieldChange> {
    type Fields = serde_json::Map<String, serde_json::Value>;
    let read = |text| serde_json::from_str::<Fields>(text).unwrap_or_default();
    let (mut before, after) = (read(before), read(after));
    let mut changes = Vec::new();
    for (field, after) in after {
        let before = before.shift_remove(&field);
        if before.as_ref() != Some(&after) {
            changes.push(FieldChange { field, before, after: Some(after) });
        }
    }
    let gone = before.into_iter();
    changes.extend(gone.map(|(field, value)| FieldChange {
        field,
        before: Some(value),
        after: None,
    }));
    changes
}

/// The records behind each shard's change, by the shard that they end in and by the one that they left.
fn records(world: &World, written: &Written) -> BTreeMap<ShardId, Vec<String>> {
    let mut records: BTreeMap<ShardId, Vec<String>> = BTreeMap::new();
    for (before, after) in &written.links {
        let name = world.entities.get(&after.entity).map_or_else(
            || after.entity.to_string(),
            |name| format!("{}/{}", name.connection, name.entity),
        );
        let text = format!("{name} {}", after.external_id);
        if let Some(before) = before
            && before.shard != after.shard
        {
            records.entry(before.shard).or_default().push(text.clone());
        }
        records.entry(after.shard).or_default().push(text);
    }
    records
}

async fn survivors(sync: &Syncline, written: &Written) -> Result<BTreeMap<ShardId, String>, Error> {
    let mut ids: Vec<ShardId> =
        written.shards.iter().filter_map(|(_, after)| after.merged_into).collect();
    ids.sort();
    ids.dedup();
    let rows = sync.store().shards_by_row(ids).await?;
    Ok(rows.into_iter().map(|row| (row.id, uuid(row.uuid))).collect())
}

/// A shard's id as it is written outside.
pub(crate) fn uuid(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_apart_as_absent_null_and_changed() {
        let told = fields(r#"{"a":1,"b":null,"c":"x"}"#, r#"{"a":1,"b":"y","d":null}"#);
        let line = |c: FieldChange| format!("{} {:?} {:?}", c.field, c.before, c.after);
        let lines: Vec<String> = told.into_iter().map(line).collect();
        assert_eq!(
            lines,
            [
                r#"b Some(Null) Some(String("y"))"#,
                "d None Some(Null)",
                r#"c Some(String("x")) None"#
            ]
        );
    }
}
