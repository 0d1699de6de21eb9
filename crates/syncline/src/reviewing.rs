//! What people decide of records: pairs that wait, merging, keeping apart, taking a shard apart.

use crate::error::Error;
use crate::explain::{self, Explanation, Found, MergeStory, RecordStory};
use crate::syncing::{Syncline, random_bits};
use serde::Serialize;
use std::collections::BTreeMap;
use syncline_core::matching::RuleExplanation;
use syncline_core::plan::rows::{
    EntityId, EntityName, LinkId, LinkRow, RuleId, ShardId, ShardRow, TypeId, Verdict,
};
use syncline_core::plan::view::Need;
use syncline_core::problem::nearest;
use syncline_core::value::Value;
use syncline_engine::decide::{Decided, Decider, Wish, decide};
use syncline_engine::{SystemClock, World};
use syncline_store::execution::Worker;
use syncline_store::reviews;

/// What tells a record from every other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordName {
    /// The connection.
    pub connection: String,
    /// The entity at the connection.
    pub entity: String,
    /// The record's id there.
    pub external_id: String,
}

impl RecordName {
    /// The name in one text: `connection/entity/external id`.
    pub fn written(&self) -> String {
        format!("{}/{}/{}", self.connection, self.entity, self.external_id)
    }
}

/// A pair of records that waits for a person.
#[derive(Clone, Debug, Serialize)]
pub struct Review {
    /// The one.
    pub a: RecordName,
    /// Its shard.
    pub a_shard: String,
    /// The other.
    pub b: RecordName,
    /// Its shard.
    pub b_shard: String,
    /// The rule that found them to be perhaps the same.
    pub rule: String,
    /// Its score, from 0 to 1.
    pub score: f32,
}

/// Two records side by side.
#[derive(Clone, Debug, Serialize)]
pub struct SideBySide {
    /// The one.
    pub a: RecordName,
    /// Its shard.
    pub a_shard: String,
    /// The other.
    pub b: RecordName,
    /// Its shard.
    pub b_shard: String,
    /// Each field, with what either says.
    pub fields: Vec<Compared>,
    /// What each match rule makes of them, comparison by comparison.
    pub rules: Vec<RuleExplanation>,
    /// What was decided of them.
    pub decision: Option<DecisionStory>,
}

/// A field of two records.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The field.
    pub field: String,
    /// What the one says.
    pub a: Option<Value>,
    /// What the other says.
    pub b: Option<Value>,
}

/// What somebody decided of two records.
#[derive(Clone, Debug, Serialize)]
pub struct DecisionStory {
    /// The one.
    pub a: RecordName,
    /// The other.
    pub b: RecordName,
    /// Whether they are the same.
    pub verdict: Verdict,
    /// Who decided.
    pub by: String,
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// Why.
    pub why: String,
}

impl Syncline {
    /// The pairs that wait for a person, the surest first; of one shard type or all.
    ///
    /// # Errors
    ///
    /// When there is no such type, or the store cannot be read.
    pub async fn reviews(&self, shard_type: Option<&str>) -> Result<Vec<Review>, Error> {
        let world = self.world();
        let wanted = match shard_type {
            Some(name) => Some(crate::commands::shards::type_named(&world.shard_types, name)?),
            None => None,
        };
        waiting(world, wanted).await
    }

    /// Two records side by side, with what each match rule makes of them. A record is named as
    /// `connection/entity:external-id`, or by the id of its shard.
    ///
    /// # Errors
    ///
    /// When one of them is not there, or the store cannot be read.
    pub async fn side_by_side(&self, a: &str, b: &str) -> Result<SideBySide, Error> {
        let world = self.world();
        let (a, b) = (find_record(world, a).await?, find_record(world, b).await?);
        let found = world.store.read(Need { links: vec![a, b], ..Need::default() }).await?;
        let rows = Rows::of(world, found.links, found.shards);
        let (Some(left), Some(right)) = (rows.links.get(&a), rows.links.get(&b)) else {
            return Err(gone());
        };
        let rules =
            world.rules.entities.get(&left.entity).map(|e| &world.rules.types[e.shard_type]);
        let rules = rules.ok_or_else(gone)?;
        let image = |link: &LinkRow| {
            rules.layout.read_json(&link.image).unwrap_or_else(|_| rules.layout.empty_image())
        };
        let (left_image, right_image) = (image(left), image(right));
        let fields = rules.layout.names().iter().zip(left_image.iter().zip(&right_image));
        let decision = found.decisions.first().filter(|d| (d.a, d.b) == (a.min(b), a.max(b)));
        Ok(SideBySide {
            a: rows.name(left),
            a_shard: rows.shard(left),
            b: rows.name(right),
            b_shard: rows.shard(right),
            rules: rules.matcher.explain(&left_image, &right_image, u64::MAX),
            decision: decision.map(|d| rows.decision(d)),
            fields: fields
                .map(|(name, (a, b))| Compared {
                    field: name.to_string(),
                    a: a.clone(),
                    b: b.clone(),
                })
                .collect(),
        })
    }

    /// Everything that people decided, by pair.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn decisions(&self) -> Result<Vec<DecisionStory>, Error> {
        let world = self.world();
        let decisions = world.store.decisions().await?;
        let links = decisions.iter().flat_map(|d| [d.a, d.b]).collect();
        let found = world.store.read(Need { links, ..Need::default() }).await?;
        let rows = Rows::of(world, found.links, found.shards);
        Ok(decisions.iter().map(|decision| rows.decision(decision)).collect())
    }

    /// Two records (or shards) are about the same thing: their shards become one, now and for good.
    ///
    /// # Errors
    ///
    /// When they are one already, or the store cannot be written.
    pub async fn merge(&self, a: &str, b: &str, by: &str, why: &str) -> Result<Decided, Error> {
        let (a, b) = self.two(a, b).await?;
        self.carry_out(Wish::Merge(a, b), by, why).await
    }

    /// Two records (or shards) are not about the same thing: their shards are never put together.
    ///
    /// # Errors
    ///
    /// When they are in one shard, or the store cannot be written.
    pub async fn keep_apart(
        &self,
        a: &str,
        b: &str,
        by: &str,
        why: &str,
    ) -> Result<Decided, Error> {
        let (a, b) = self.two(a, b).await?;
        self.carry_out(Wish::Apart(a, b), by, why).await
    }

    /// Takes back what was decided of two records: the match rules have the say again.
    ///
    /// # Errors
    ///
    /// When nothing was decided of them, or the store cannot be written.
    pub async fn forget(&self, a: &str, b: &str) -> Result<Decided, Error> {
        let (a, b) = self.two(a, b).await?;
        self.carry_out(Wish::Forget(a, b), "", "").await
    }

    /// Takes a shard apart, and keeps its parts apart: `records` leave it; or, where none is named, what the last
    /// merge brought together comes apart, or (where none was logged) every record from every other. `shard` may
    /// be the old id of a shard that was merged: then that one comes out again.
    ///
    /// # Errors
    ///
    /// When there is nothing to take apart, or the store cannot be written.
    pub async fn unmerge(
        &self,
        shard: &str,
        records: &[String],
        by: &str,
        why: &str,
    ) -> Result<Decided, Error> {
        let world = self.world();
        let Found { shard: found, redirected_from } = self.shard_to_part(shard).await?;
        let alias = match redirected_from {
            Some(old) => {
                let rows = world.store.shards_by_id(&old.replace('-', "")).await?;
                rows.first().map(|row| row.id)
            }
            None => None,
        };
        let mut links = Vec::new();
        for record in records {
            links.push(find_record(world, record).await?);
        }
        let alias = alias.filter(|_| links.is_empty());
        let wish = Wish::Unmerge { shard: found.id, alias, records: links };
        self.carry_out(wish, by, why).await
    }

    /// The shard that is to be taken apart.
    pub(crate) async fn shard_to_part(&self, shard: &str) -> Result<Found, Error> {
        let world = self.world();
        let missing = match explain::find(world.store.as_ref(), shard).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        // A record may be meant to leave its shard.
        let Ok(id) = find_record(world, shard).await else { return Err(missing) };
        let found = world.store.read(Need { links: vec![id], ..Need::default() }).await?;
        let Some(of) = found.shards.first() else { return Err(missing) };
        let hint = format!(
            "name the shard first: `syncline unmerge {} {shard}` takes the record out of it",
            explain::uuid(of.uuid)
        );
        Err(Error::refused(format!("`{shard}` is a record, and no shard"), hint))
    }

    /// The steps of a shard's making whose records are in different shards by now.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn undone(&self, before: &Explanation) -> Result<Vec<MergeStory>, Error> {
        let world = self.world();
        let mut shards: BTreeMap<String, ShardId> = BTreeMap::new();
        for record in &before.records {
            let RecordStory { connection, entity, external_id, .. } = record;
            let name = format!("{connection}/{entity} {external_id}");
            let id = find_record(world, &name).await?;
            let found = world.store.read(Need { links: vec![id], ..Need::default() }).await?;
            shards.extend(found.links.first().map(|link| (name, link.shard)));
        }
        let is_undone = |story: &&MergeStory| {
            let pair = story.pair.as_ref().map(|pair| pair.each_ref().map(|name| shards.get(name)));
            matches!(pair, Some([Some(a), Some(b)]) if a != b)
        };
        Ok(before.merges.iter().filter(is_undone).cloned().collect())
    }

    async fn two(&self, a: &str, b: &str) -> Result<(LinkId, LinkId), Error> {
        let both = (find_record(self.world(), a).await?, find_record(self.world(), b).await?);
        if both.0 == both.1 {
            let message = format!("`{a}` and `{b}` are one record");
            return Err(Error::usage(message, "name two: a decision is about a pair of records"));
        }
        Ok(both)
    }

    async fn carry_out(&self, wish: Wish, by: &str, why: &str) -> Result<Decided, Error> {
        let decider = Decider {
            by: by.to_owned(),
            why: why.to_owned(),
            worker: Worker::current(),
            seed: random_bits(),
        };
        Ok(decide(self.world(), &SystemClock, &wish, &decider).await?)
    }
}

fn gone() -> Error {
    Error::refused("one of the records is not there any more", "`syncline review list` shows more")
}

/// The pairs that wait for a person, of a shard type or all.
pub(crate) async fn waiting(world: &World, of: Option<TypeId>) -> Result<Vec<Review>, Error> {
    let pairs = reviews::waiting(world.store.as_ref()).await?;
    let links = pairs.iter().flat_map(|edge| [edge.a, edge.b]).collect();
    let found = world.store.read(Need { links, ..Need::default() }).await?;
    let rows = Rows::of(world, found.links, found.shards);
    let mut out = Vec::new();
    for edge in pairs {
        let (Some(a), Some(b)) = (rows.links.get(&edge.a), rows.links.get(&edge.b)) else {
            continue;
        };
        let is_wanted = rows
            .shards
            .get(&a.shard)
            .is_some_and(|shard| of.is_none_or(|wanted| wanted == shard.shard_type));
        if is_wanted {
            out.push(Review {
                a: rows.name(a),
                a_shard: rows.shard(a),
                b: rows.name(b),
                b_shard: rows.shard(b),
                rule: rule_name(world, edge.rule),
                score: edge.score,
            });
        }
    }
    Ok(out)
}

fn rule_name(world: &World, rule: RuleId) -> String {
    world.rule_name(rule).to_owned()
}

/// Rows by number, and what they are called outside.
struct Rows<'a> {
    world: &'a World,
    links: BTreeMap<LinkId, LinkRow>,
    shards: BTreeMap<ShardId, ShardRow>,
}

impl<'a> Rows<'a> {
    fn of(world: &'a World, links: Vec<LinkRow>, shards: Vec<ShardRow>) -> Self {
        let links = links.into_iter().map(|row| (row.id, row)).collect();
        let shards = shards.into_iter().map(|row| (row.id, row)).collect();
        Self { world, links, shards }
    }

    fn name(&self, link: &LinkRow) -> RecordName {
        let name = self.world.entities.get(&link.entity).cloned().unwrap_or_default();
        RecordName {
            connection: name.connection,
            entity: name.entity,
            external_id: link.external_id.to_string(),
        }
    }

    fn shard(&self, link: &LinkRow) -> String {
        self.shards.get(&link.shard).map(|shard| explain::uuid(shard.uuid)).unwrap_or_default()
    }

    fn decision(&self, decision: &syncline_core::plan::rows::Decision) -> DecisionStory {
        let name = |id| self.links.get(&id).map(|link| self.name(link)).unwrap_or_default();
        DecisionStory {
            a: name(decision.a),
            b: name(decision.b),
            verdict: decision.verdict,
            by: decision.by.clone(),
            at_us: decision.at,
            why: decision.why.clone(),
        }
    }
}

/// The link of a record that is named as `connection/entity:external-id` (or with a slash or a blank instead of the
/// colon), by its external id alone, or by the id of its shard, of which it is the oldest.
///
/// # Errors
///
/// When there is none, when several have that external id, or when the store cannot be read.
pub(crate) async fn find_record(world: &World, text: &str) -> Result<LinkId, Error> {
    let of_name = |name: &EntityName| {
        let rest = text.strip_prefix(&format!("{}/{}", name.connection, name.entity))?;
        rest.strip_prefix([':', '/', ' '])
    };
    let names = world.entities.iter();
    let mut records: Vec<(EntityId, &str)> =
        names.filter_map(|(id, name)| Some((*id, of_name(name)?))).collect();
    let is_whole = !records.is_empty();
    if !is_whole {
        records = world.rules.entities.keys().map(|id| (*id, text)).collect();
    }
    records.sort_unstable();
    let wanted = records.iter().map(|(id, external_id)| (*id, (*external_id).into())).collect();
    let links = world.store.read(Need { records: wanted, ..Need::default() }).await?.links;
    let configured = links.iter().find(|link| world.rules.entities.contains_key(&link.entity));
    match (links.as_slice(), configured) {
        ([], _) if is_whole => {
            let name = world.entities.get(&records[0].0).cloned().unwrap_or_default();
            let (external_id, of) = (records[0].1, format!("{}/{}", name.connection, name.entity));
            let message = format!("there is no record `{external_id}` of `{of}`");
            let hint = "`syncline export links` lists all records, `syncline shards show SHARD` those of a shard";
            Err(Error::refused(message, hint))
        }
        ([], _) => of_shard(world, text).await,
        ([_, _, ..], _) if !is_whole => {
            let known = links.iter().filter_map(|link| {
                let name = world.entities.get(&link.entity)?;
                Some(format!("`{}/{}:{}`", name.connection, name.entity, link.external_id))
            });
            let known: Vec<String> = known.collect();
            let hint = format!("say which one: {}", known.join(", "));
            Err(Error::usage(format!("there are several records `{text}`"), hint))
        }
        (_, Some(link)) => Ok(link.id),
        ([link, ..], None) => Ok(link.id),
    }
}

/// The oldest link of the shard whose id begins so.
async fn of_shard(world: &World, text: &str) -> Result<LinkId, Error> {
    let known: Vec<String> = world
        .entities
        .values()
        .filter(|name| !name.connection.is_empty())
        .map(|name| format!("{}/{}", name.connection, name.entity))
        .collect();
    if let Some((connection, rest)) = text.split_once('/') {
        let entity = rest.split([':', '/', ' ']).next().unwrap_or_default();
        let asked = format!("{connection}/{entity}");
        let near = nearest(&asked, known.iter().map(String::as_str));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("records are there of {}", listed(&known)),
        };
        return Err(Error::refused(format!("nothing is known of `{asked}`"), hint));
    }
    let is_id = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !is_id {
        let example = known.iter().min().map_or("connection/entity", String::as_str);
        let hint = format!("name a record as `{example}:ID`; `syncline export links` lists all");
        return Err(Error::refused(format!("there is no record or shard `{text}`"), hint));
    }
    let found = explain::find(world.store.as_ref(), text).await?;
    let mut links = world.store.links_of(vec![found.shard.id]).await?;
    links.sort_by_key(|link| link.id);
    links.first().map(|link| link.id).ok_or_else(gone)
}

fn listed(names: &[String]) -> String {
    let mut quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.sort();
    quoted.dedup();
    quoted.join(", ")
}
