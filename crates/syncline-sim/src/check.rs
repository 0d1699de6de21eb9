//! What must be true once all is quiet.

use crate::remote::{FIELDS, Held, Remote};
use crate::scenario::Sim;
use std::collections::{BTreeMap, BTreeSet};
use syncline_core::plan::rows::{LinkRow, ShardRow};
use syncline_core::value::Value;
use syncline_store::query::{ConflictFilter, ShardFilter};

/// Everything that is not as it must be.
pub async fn all(sim: &Sim) -> Vec<String> {
    match wrong(sim).await {
        Ok(wrong) => wrong,
        Err(error) => vec![format!("the store cannot be read: {error}")],
    }
}

async fn wrong(sim: &Sim) -> Result<Vec<String>, syncline_store::StoreError> {
    let store = &sim.world.store;
    let filter = ShardFilter { limit: usize::MAX, with_deleted: true, ..ShardFilter::default() };
    let shards = store.shards(filter).await?;
    let links = store.links_of(shards.iter().map(|shard| shard.id).collect()).await?;
    let mut wrong = Vec::new();
    for (shard, link) in links
        .iter()
        .filter_map(|link| Some((shards.iter().find(|shard| shard.id == link.shard)?, link)))
    {
        agreed(sim, shard, link, &mut wrong);
    }
    every_record_is_linked(sim, &links, &mut wrong);
    no_record_was_made_twice(sim, &mut wrong);
    nothing_came_back(sim, &links, &mut wrong);
    nothing_was_lost(sim, &shards, &mut wrong).await?;
    Ok(wrong)
}

fn remote_of<'a>(sim: &'a Sim, link: &LinkRow) -> Option<&'a Remote> {
    let name = sim.world.entities.get(&link.entity)?;
    sim.remotes.iter().find(|remote| remote.name == name.connection).map(|remote| &**remote)
}

fn fields(shard: &ShardRow) -> BTreeMap<String, Value> {
    match parsed(&shard.data) {
        Value::Map(entries) => entries.into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
        _ => BTreeMap::new(),
    }
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or(Value::Null)
}

/// Shard and record say the same, as far as the remote can.
fn agreed(sim: &Sim, shard: &ShardRow, link: &LinkRow, wrong: &mut Vec<String>) {
    let Some(remote) = remote_of(sim, link) else { return };
    let records = remote.records();
    let held = records.get(link.external_id.as_str());
    let held: &Held = match (held, link.deleted) {
        (Some(held), false) => held,
        (None, true) => return,
        (Some(_), true) => {
            wrong.push(format!("{} is there, and its link says deleted", link.external_id));
            return;
        }
        (None, false) => {
            wrong.push(format!("{} is gone, and its link says it is there", link.external_id));
            return;
        }
    };
    let data = fields(shard);
    for field in FIELDS {
        let (Some(ours), Some(theirs)) = (data.get(field), held.fields.get(field)) else {
            continue;
        };
        let is_same = ours == theirs || (field == "name" && lowered(ours) == lowered(theirs));
        if !is_same {
            let id = &link.external_id;
            wrong.push(format!("{field} of {id}: the shard says {ours:?}, the record {theirs:?}"));
        }
    }
}

fn lowered(value: &Value) -> String {
    value.to_plain().trim().to_lowercase()
}

fn every_record_is_linked(sim: &Sim, links: &[LinkRow], wrong: &mut Vec<String>) {
    for remote in &sim.remotes {
        for id in remote.records().keys() {
            let is_linked = links.iter().any(|link| {
                link.external_id == id.as_str()
                    && remote_of(sim, link).is_some_and(|of| of.name == remote.name)
            });
            if !is_linked {
                wrong.push(format!("{id} is linked to nothing"));
            }
        }
    }
}

/// No two records of a remote were made from one shard.
fn no_record_was_made_twice(sim: &Sim, wrong: &mut Vec<String>) {
    for remote in &sim.remotes {
        let mut made: BTreeMap<String, usize> = BTreeMap::new();
        for held in remote.records().values() {
            if let Some(marker) = &held.marker {
                *made.entry(marker.clone()).or_default() += 1;
            }
        }
        for (marker, times) in made.into_iter().filter(|(_, times)| *times > 1) {
            wrong.push(format!("{}: {marker} was made {times} times", remote.name));
        }
    }
}

/// A record that a person deleted is not made anew: deletions here unlink.
fn nothing_came_back(sim: &Sim, links: &[LinkRow], wrong: &mut Vec<String>) {
    for remote in &sim.remotes {
        let deleted = remote.deleted_by_users();
        let of_remote: Vec<&LinkRow> = links
            .iter()
            .filter(|link| remote_of(sim, link).is_some_and(|of| of.name == remote.name))
            .collect();
        let records = remote.records();
        for link in of_remote.iter().filter(|link| deleted.contains(link.external_id.as_str())) {
            let again = of_remote.iter().find(|other| {
                let made = records.get(other.external_id.as_str());
                other.shard == link.shard
                    && other.id > link.id
                    && made.is_some_and(|held| held.marker.is_some())
            });
            if let Some(again) = again {
                let (old, new) = (&link.external_id, &again.external_id);
                wrong.push(format!("{old} was deleted by a person, and came back as {new}"));
            }
        }
    }
}

/// Whatever a person's value was written over with, it was known to us by then: it stood in the shard, or it is in
/// the list of conflicts.
async fn nothing_was_lost(
    sim: &Sim,
    shards: &[ShardRow],
    wrong: &mut Vec<String>,
) -> Result<(), syncline_store::StoreError> {
    let store = &sim.world.store;
    let mut known: BTreeSet<String> = BTreeSet::new();
    for shard in shards {
        known.extend(fields(shard).values().map(lowered));
        for history in store.history(shard.id).await? {
            if let Value::Map(entries) = parsed(&history.before) {
                known.extend(entries.iter().map(|(_, value)| lowered(value)));
            }
        }
    }
    let filter = ConflictFilter { with_closed: true, limit: usize::MAX, id: None };
    for conflict in store.conflicts(filter).await? {
        let values = [conflict.base, conflict.local, conflict.remote, conflict.value];
        known.extend(values.iter().flatten().map(lowered));
    }
    for remote in &sim.remotes {
        for covered in remote.covered() {
            if !known.contains(&lowered(&covered.value)) {
                let (id, field) = (&covered.id, &covered.field);
                wrong.push(format!("{field} of {id} was lost: {:?}", covered.value));
            }
        }
    }
    Ok(())
}
