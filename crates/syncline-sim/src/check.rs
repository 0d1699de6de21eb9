//! What must be true once all is quiet. Every line that comes of it begins with the name of what is not.

use crate::remote::{FIELDS, Held, Remote, Said};
use crate::scenario::Sim;
use std::collections::{BTreeMap, BTreeSet};
use syncline_adapters::write::UpdateGuard;
use syncline_core::plan::rows::{ConflictRow, LinkId, LinkRow, ShardId, ShardRow};
use syncline_core::reconcile::Winner;
use syncline_core::value::Value;
use syncline_store::StoreError;
use syncline_store::query::{ConflictFilter, IntentFilter, MergeRow, ShardFilter};

/// Everything that is not as it must be.
pub async fn all(sim: &Sim) -> Vec<String> {
    let ground = match Ground::of(sim).await {
        Ok(ground) => ground,
        Err(error) => return vec![format!("the store cannot be read: {error}")],
    };
    let mut wrong = Vec::new();
    ground.convergence(true, &mut wrong);
    ground.all_there(&mut wrong);
    ground.no_double(&mut wrong);
    ground.no_return(&mut wrong);
    ground.gone_together(&mut wrong);
    ground.no_echo(&mut wrong);
    ground.the_later_wins(&mut wrong);
    match ground.no_lost_edit().await {
        Ok(lost) => wrong.extend(lost),
        Err(error) => wrong.push(format!("the store cannot be read: {error}")),
    }
    wrong
}

/// What changed at systems of which only what is new is read has come, as far as it is there still.
pub async fn nothing_was_missed(sim: &Sim) -> Vec<String> {
    let mut wrong = Vec::new();
    match Ground::of(sim).await {
        Ok(ground) => ground.convergence(false, &mut wrong),
        Err(error) => wrong.push(format!("the store cannot be read: {error}")),
    }
    wrong
}

/// Everything of another tenant, whose names and notes end in `taint`, that has come to this one.
///
/// # Errors
///
/// When the store cannot be read.
pub async fn tenants(sim: &Sim, taint: &str) -> Result<Vec<String>, StoreError> {
    let ground = Ground::of(sim).await?;
    let filter = IntentFilter { limit: usize::MAX, ..IntentFilter::default() };
    let intents = sim.world.store.intents(filter).await?;
    let shards = ground.shards.values().map(|shard| shard.data.to_string());
    let links = ground.links.iter().map(|link| link.image.to_string());
    let conflicts = ground.conflicts.iter().map(|row| format!("{row:?}"));
    let records = ground.remotes.iter().flat_map(|of| of.records.values());
    let records = records.map(|held| format!("{:?}", held.fields));
    let all = shards.chain(links).chain(conflicts).chain(records);
    let all = all.chain(intents.iter().map(|intent| intent.body.to_string()));
    let crossed = all.filter(|text| text.contains(taint));
    Ok(crossed.map(|text| format!("tenants: another one's is here: {text}")).collect())
}

/// A remote as it stands.
struct Standing<'a> {
    remote: &'a Remote,
    records: BTreeMap<String, Held>,
    said: Vec<Said>,
}

/// All that is looked at.
struct Ground<'a> {
    sim: &'a Sim,
    remotes: Vec<Standing<'a>>,
    shards: BTreeMap<ShardId, ShardRow>,
    links: Vec<LinkRow>,
    conflicts: Vec<ConflictRow>,
    merges: Vec<MergeRow>,
}

impl<'a> Ground<'a> {
    async fn of(sim: &'a Sim) -> Result<Self, StoreError> {
        let store = &sim.world.store;
        let filter =
            ShardFilter { limit: usize::MAX, with_deleted: true, ..ShardFilter::default() };
        let shards = store.shards(filter).await?;
        let links = store.links_of(shards.iter().map(|shard| shard.id).collect()).await?;
        let merges = store.merges(shards.iter().map(|shard| shard.id).collect()).await?;
        let filter = ConflictFilter { with_closed: true, limit: usize::MAX, id: None };
        let conflicts = store.conflicts(filter).await?;
        let remotes = sim.remotes.iter().map(|remote| Standing {
            remote,
            records: remote.records(),
            said: remote.said(),
        });
        let shards = shards.into_iter().map(|shard| (shard.id, shard)).collect();
        Ok(Self { sim, remotes: remotes.collect(), shards, links, conflicts, merges })
    }

    fn remote_of(&self, link: &LinkRow) -> Option<&Standing<'a>> {
        let name = self.sim.world.entities.get(&link.entity)?;
        self.remotes.iter().find(|of| of.remote.name == name.connection)
    }

    fn link(&self, id: LinkId) -> Option<&LinkRow> {
        self.links.iter().find(|link| link.id == id)
    }

    /// Whether somebody edited what somebody else deleted.
    fn was_disputed(&self, shard: ShardId) -> bool {
        let of_deletions = self.conflicts.iter().filter(|row| row.field.is_empty());
        of_deletions.filter_map(|row| self.link(row.link)).any(|link| link.shard == shard)
    }

    /// Shard and record say the same, as far as the remote can, and whether they are there.
    fn convergence(&self, whole: bool, wrong: &mut Vec<String>) {
        for link in &self.links {
            let (Some(of), Some(shard)) = (self.remote_of(link), self.shards.get(&link.shard))
            else {
                continue;
            };
            let id = &link.external_id;
            let held = match (of.records.get(id.as_str()), link.deleted) {
                (Some(held), false) => held,
                (None, true) => continue,
                (None, false) if !whole => continue,
                (Some(_), true) => {
                    wrong.push(format!("convergence: {id} is there, and its link says deleted"));
                    continue;
                }
                (None, false) => {
                    wrong.push(format!("convergence: {id} is gone, and its link says it is there"));
                    continue;
                }
            };
            if shard.deleted_at.is_some() {
                continue;
            }
            let data = fields(&shard.data);
            for field in FIELDS {
                let (Some(ours), Some(theirs)) = (data.get(field), held.fields.get(field)) else {
                    continue;
                };
                let is_same =
                    ours == theirs || (field == "name" && lowered(ours) == lowered(theirs));
                if !is_same && !self.is_let_be(link.id, field) {
                    wrong.push(format!(
                        "convergence: {field} of {id}: the shard says {ours:?}, the record {theirs:?}"
                    ));
                }
            }
        }
    }

    /// Whether a person lets the two sides of a field be as they are.
    fn is_let_be(&self, link: LinkId, field: &str) -> bool {
        let of_field = |row: &&ConflictRow| row.link == link && row.field == field;
        self.conflicts.iter().filter(of_field).any(|row| row.status == "ignored")
    }

    fn all_there(&self, wrong: &mut Vec<String>) {
        for of in &self.remotes {
            for id in of.records.keys() {
                let is_of = |link: &&LinkRow| link.external_id == id.as_str();
                let mut links = self.links.iter().filter(is_of);
                if !links.any(|link| {
                    self.remote_of(link).is_some_and(|o| o.remote.name == of.remote.name)
                }) {
                    wrong.push(format!("all there: {id} is linked to nothing"));
                }
            }
        }
    }

    /// No two records of a remote were made from one shard.
    fn no_double(&self, wrong: &mut Vec<String>) {
        for of in &self.remotes {
            let mut made: BTreeMap<&str, usize> = BTreeMap::new();
            for marker in of.records.values().filter_map(|held| held.marker.as_deref()) {
                *made.entry(marker).or_default() += 1;
            }
            for (marker, times) in made.into_iter().filter(|(_, times)| *times > 1) {
                wrong.push(format!(
                    "no double: {}: {marker} was made {times} times",
                    of.remote.name
                ));
            }
        }
    }

    /// A record that a person deleted is not made anew, unless somebody edited or made the thing elsewhere.
    fn no_return(&self, wrong: &mut Vec<String>) {
        for of in &self.remotes {
            let deleted = of.remote.deleted_by_users();
            let is_here = |link: &&LinkRow| {
                self.remote_of(link).is_some_and(|other| other.remote.name == of.remote.name)
            };
            let links: Vec<&LinkRow> = self.links.iter().filter(is_here).collect();
            let is_gone = |link: &&&LinkRow| link.deleted && deleted.contains(id_of(link));
            for link in links.iter().filter(is_gone) {
                // What was made from another shard, before the two became one, is another thing that stayed.
                let own = self.shards.get(&link.shard).map(|shard| format!("{:032x}-", shard.uuid));
                let is_own =
                    |marker: &String| own.as_ref().is_some_and(|own| marker.starts_with(own));
                let again = links.iter().find(|other| {
                    let made = of.records.get(other.external_id.as_str());
                    other.shard == link.shard
                        && other.id > link.id
                        && made.is_some_and(|held| held.marker.as_ref().is_some_and(is_own))
                        && !self.were_two(link.id, other.id)
                });
                let Some(again) = again else { continue };
                let is_excused = self.sim.mix.propagates
                    && (self.was_disputed(link.shard) || self.was_made_elsewhere(link));
                if !is_excused {
                    wrong.push(format!(
                        "no return: {} was deleted by a person, and came back as {}",
                        link.external_id, again.external_id
                    ));
                }
            }
        }
    }

    /// Whether two records were of two shards when these became one.
    fn were_two(&self, one: LinkId, other: LinkId) -> bool {
        self.merges.iter().any(|merge| {
            let shard_of = |link| merge.records.iter().find(|(id, _)| *id == link).map(|of| of.1);
            let shards = (shard_of(one), shard_of(other));
            matches!(shards, (Some(one), Some(other)) if one != other)
        })
    }

    /// Whether a person made another record of the shard, later.
    fn was_made_elsewhere(&self, link: &LinkRow) -> bool {
        let later = |other: &&LinkRow| other.shard == link.shard && other.id > link.id;
        self.links.iter().filter(later).any(|other| {
            let said = self.remote_of(other).map(|of| of.said.iter());
            said.into_iter().flatten().any(|said| id_of(other) == said.id)
        })
    }

    /// Of a shard that is gone, no record is left where deletions propagate.
    fn gone_together(&self, wrong: &mut Vec<String>) {
        if !self.sim.mix.propagates {
            return;
        }
        for link in self.links.iter().filter(|link| !link.deleted) {
            let is_gone = self.shards.get(&link.shard).is_some_and(|s| s.deleted_at.is_some());
            if is_gone && !self.was_disputed(link.shard) {
                wrong.push(format!(
                    "gone together: {} is there, its shard is gone",
                    link.external_id
                ));
            }
        }
    }

    /// What stood against a shard in a conflict was said by a person at that very record, and what came into a shard
    /// was said by a person at that system: no write of ours is taken for a person's.
    fn no_echo(&self, wrong: &mut Vec<String>) {
        for row in self.conflicts.iter().filter(|row| row.kind == "update_update") {
            let Some(link) = self.link(row.link) else { continue };
            let (Some(of), Some(value)) = (self.remote_of(link), &row.remote) else { continue };
            let value = lowered(value);
            let is_persons = of.said.iter().any(|said| {
                id_of(link) == said.id && said.field == row.field && lowered(&said.value) == value
            });
            if !is_persons {
                let (id, field) = (&link.external_id, &row.field);
                wrong.push(format!("no echo: {value:?} in {field} of {id} is nobody's edit"));
            }
        }
        for taken in self.sim.store.taken() {
            let value = lowered(&taken.value);
            let said = &self.remotes[taken.remote].said;
            if !said.iter().any(|said| said.field == taken.field && lowered(&said.value) == value) {
                let (name, field) = (&self.remotes[taken.remote].remote.name, &taken.field);
                wrong.push(format!(
                    "no echo: {value:?} came into {field} of shard {} from {name}, where nobody said it",
                    taken.shard
                ));
            }
        }
    }

    /// Of two edits, that which came later stands, unless the times overlap. A record has one time for all of its
    /// fields: an edit counts as made when its record was last edited.
    fn the_later_wins(&self, wrong: &mut Vec<String>) {
        let is_known = self
            .remotes
            .iter()
            .all(|of| of.remote.is_unique() && of.remote.traits.update == UpdateGuard::Strong);
        if !matches!(self.sim.mix.strategy, "newest_wins" | "merge") || !is_known {
            return;
        }
        let mut times: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
        for of in &self.remotes {
            let mut last: BTreeMap<&str, i64> = BTreeMap::new();
            for said in of.said.iter().rev() {
                let last = *last.entry(&said.id).or_insert(said.at);
                times.entry(lowered(&said.value)).or_default().push((said.at, last));
            }
        }
        let time = |value: &Option<Value>| match times.get(&lowered(value.as_ref()?))?.as_slice() {
            [times] => Some(*times),
            _ => None,
        };
        let decided = self.conflicts.iter().filter(|r| r.kind == "update_update" && !r.by_tie);
        for row in decided {
            let (Some(local), Some(remote)) = (time(&row.local), time(&row.remote)) else {
                continue;
            };
            let is_right = match row.winner {
                Winner::Local => local.1 >= remote.0,
                Winner::Remote => remote.1 >= local.0,
                _ => true,
            };
            if !is_right {
                wrong.push(format!("the later wins: not so in {row:?}"));
            }
        }
    }

    /// Whatever a person's value was written over with, it was known to us by then: it stood in the shard, or it is
    /// in the list of conflicts.
    async fn no_lost_edit(&self) -> Result<Vec<String>, StoreError> {
        let mut known: BTreeSet<String> = BTreeSet::new();
        for shard in self.shards.values() {
            known.extend(fields(&shard.data).values().map(lowered));
            for history in self.sim.world.store.history(shard.id).await? {
                known.extend(fields(&history.before).values().map(lowered));
            }
        }
        for row in &self.conflicts {
            for value in [&row.base, &row.local, &row.remote, &row.value].into_iter().flatten() {
                match value {
                    Value::Map(entries) => known.extend(entries.iter().map(|(_, v)| lowered(v))),
                    value => drop(known.insert(lowered(value))),
                }
            }
        }
        let covered = self.remotes.iter().flat_map(|of| of.remote.covered());
        let lost = covered.filter(|covered| !known.contains(&lowered(&covered.value)));
        let told = lost.map(|covered| {
            format!("no lost edit: {} of {}: {:?}", covered.field, covered.id, covered.value)
        });
        Ok(told.collect())
    }
}

/// The fields of a shard.
pub(crate) fn fields(json: &str) -> BTreeMap<String, Value> {
    match serde_json::from_str(json) {
        Ok(Value::Map(entries)) => entries.into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
        _ => BTreeMap::new(),
    }
}

/// The key of a link's record, which another record may have by now.
fn id_of(link: &LinkRow) -> &str {
    let id = link.external_id.as_str();
    id.split_once("#until-").map_or(id, |(id, _)| id)
}

fn lowered(value: &Value) -> String {
    value.to_plain().trim().to_lowercase()
}
