//! Why a shard is what it is: its records, what each says of each field, whose values stand, and by which rule.
//!
//! Nothing of this is stored: it is worked out anew from the links' images and the configuration, by the same
//! functions that a run uses.

mod claims;
mod find;
mod mapping;
mod merging;

pub use claims::{Claims, claims};
pub use find::{Found, find};
pub use merging::MergeStory;

use crate::error::Error;
use serde::Serialize;
use std::collections::BTreeMap;
use syncline_core::config::model::MergeStrategy;
use syncline_core::matching::{RuleExplanation, Zone};
use syncline_core::plan::rows::{ExecutionId, LinkId};
use syncline_core::value::Value;
use syncline_engine::World;
use syncline_store::execution::ExecutionRow;

/// Why a shard is what it is.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The shard's UUID.
    pub shard: String,
    /// Its type.
    #[serde(rename = "type")]
    pub shard_type: String,
    /// Counts its changes, from 1.
    pub version: i64,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The id that was asked for, where that shard was merged into this one.
    pub redirected_from: Option<String>,
    /// What happens to duplicates of this type: `merge_fields`, `keep_first`…
    pub strategy: MergeStrategy,
    /// Its records, oldest link first.
    pub records: Vec<RecordStory>,
    /// Its fields in the order of the type.
    pub fields: Vec<FieldStory>,
    /// Pairs of its records that a rule found to be the same.
    pub matches: Vec<MatchStory>,
    /// How its records came together, oldest first.
    pub merges: Vec<MergeStory>,
}

/// A record of a shard.
#[derive(Clone, Debug, Serialize)]
pub struct RecordStory {
    /// The connection.
    pub connection: String,
    /// The entity at the connection; `contact#company` for the shards `company` that are derived of `contact`.
    pub entity: String,
    /// The record's id there.
    pub external_id: String,
    /// When it changed, as its system says, in microseconds since 1970.
    pub modified_us: Option<i64>,
    /// When the execution began that last changed it here, in microseconds since 1970.
    pub observed_us: i64,
    /// The execution.
    pub execution: ExecutionStory,
    /// The conversion schema that it went through; `None` where the configuration has none for it any more.
    pub conversion_schema: Option<String>,
    /// For a derived record that several records share: the external id of the one whose values stand.
    pub contributor: Option<String>,
    /// Whether it is deleted at its system.
    pub deleted: bool,
    /// Fields in which it says something else than the shard.
    pub differs_in: Vec<String>,
}

/// An execution, as far as the store still knows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ExecutionStory {
    /// Its UUID.
    pub id: Option<String>,
    /// Its task.
    pub task: Option<String>,
    /// When it began, in microseconds since 1970.
    pub started_us: Option<i64>,
}

/// Where a field's value comes from.
#[derive(Clone, Debug, Serialize)]
pub struct FieldStory {
    /// The field.
    pub field: String,
    /// Its value; `None` where it is absent.
    pub value: Option<Value>,
    /// The record that gave it, as an index into [`Explanation::records`].
    pub record: Option<usize>,
    /// The mapping that made it.
    pub mapping: Option<String>,
    /// The rule by which it stands, for people.
    pub rule: String,
    /// What other records say.
    pub others: Vec<Claim>,
    /// What a new run would make of it, where that is not the value: the configuration has changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_be: Option<Option<Value>>,
}

/// What another record says of a field.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// The record, as an index into [`Explanation::records`].
    pub record: usize,
    /// What it says.
    pub value: Value,
    /// Whether that is the same value.
    pub agrees: bool,
}

/// Two records that a rule found to be the same.
#[derive(Clone, Debug, Serialize)]
pub struct MatchStory {
    /// The one, as an index into [`Explanation::records`].
    pub a: usize,
    /// The other.
    pub b: usize,
    /// The rule.
    pub rule: String,
    /// Its score when they were compared, from 0 to 1.
    pub score: f32,
    /// How the score comes about.
    pub waterfall: Vec<RuleExplanation>,
}

/// Explains the shard that was found.
///
/// # Errors
///
/// When the store cannot be read.
pub async fn explain(world: &World, found: &Found) -> Result<Explanation, Error> {
    let links = world.store.links_of(vec![found.shard.id]).await?;
    let executions = executions(world).await?;
    let claims = claims(world, &found.shard, links)?;
    let ids: Vec<LinkId> = claims.links.iter().map(|link| link.id).collect();
    let position = |link: LinkId| ids.iter().position(|id| *id == link);
    let edges = world.store.match_edges(ids.clone()).await?;
    let matcher = world.rules.types.iter().find(|rules| rules.id == found.shard.shard_type);
    let mut matches = Vec::new();
    for edge in edges.into_iter().filter(|edge| edge.zone == Zone::Match) {
        let (Some(a), Some(b), Some(rules)) = (position(edge.a), position(edge.b), matcher) else {
            continue;
        };
        let rule = rules.rule_ids.iter().position(|id| *id == edge.rule);
        let only = rule.map_or(0, |rule| 1_u64 << rule);
        matches.push(MatchStory {
            a,
            b,
            rule: world.rule_name(edge.rule).to_owned(),
            score: edge.score,
            waterfall: rules.matcher.explain(&claims.images[a], &claims.images[b], only),
        });
    }
    matches.sort_by_key(|story| (story.a, story.b));
    matches.dedup_by_key(|story| (story.a, story.b));
    let merges = merging::merging(world, found.shard.id, &claims, &matches, &executions).await?;
    Ok(Explanation {
        shard: uuid(found.shard.uuid),
        shard_type: claims.layout.shard_type.to_string(),
        version: found.shard.version,
        deleted: found.shard.deleted_at.is_some(),
        redirected_from: found.redirected_from.clone(),
        strategy: claims.strategy,
        records: records(world, &claims, &executions),
        fields: fields(world, &claims),
        matches,
        merges,
    })
}

/// A shard's id in its usual form.
pub fn uuid(number: u128) -> String {
    uuid::Uuid::from_u128(number).to_string()
}

/// Every execution that the store remembers.
async fn executions(world: &World) -> Result<BTreeMap<ExecutionId, ExecutionRow>, Error> {
    let rows = world.store.executions(None, usize::MAX).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

fn execution_story(execution: Option<&ExecutionRow>) -> ExecutionStory {
    ExecutionStory {
        id: execution.map(|row| row.uuid.clone()),
        task: execution.map(|row| row.task.clone()),
        started_us: execution.map(|row| row.started),
    }
}

fn records(
    world: &World,
    claims: &Claims,
    executions: &BTreeMap<ExecutionId, ExecutionRow>,
) -> Vec<RecordStory> {
    let story = |index: usize| {
        let link = &claims.links[index];
        let execution = executions.get(&link.execution);
        let name = &claims.names[index];
        RecordStory {
            connection: name.connection.clone(),
            entity: name.entity.clone(),
            external_id: link.external_id.to_string(),
            modified_us: link.modified,
            observed_us: link.observed,
            execution: execution_story(execution),
            conversion_schema: mapping::schema(&world.config, name)
                .map(|(name, _)| name.to_owned()),
            contributor: link.contributor.as_ref().map(ToString::to_string),
            deleted: link.deleted,
            differs_in: claims.differs_in(index),
        }
    };
    (0..claims.links.len()).map(story).collect()
}

fn fields(world: &World, claims: &Claims) -> Vec<FieldStory> {
    let story = |index: usize| {
        let field = claims.layout.names()[index].to_string();
        let record = claims.winner(index);
        let value = claims.data[index].clone();
        let others = (0..claims.links.len())
            .filter(|other| Some(*other) != record)
            .filter_map(|other| {
                let claimed = claims.images[other][index].clone()?;
                let agrees = Some(&claimed) == value.as_ref();
                Some(Claim { record: other, value: claimed, agrees })
            })
            .collect();
        let would_be = (claims.survivor[index] != value).then(|| claims.survivor[index].clone());
        FieldStory {
            mapping: record
                .and_then(|record| mapping::of_field(&world.config, &claims.names[record], &field)),
            rule: rule(claims, index),
            field,
            value,
            record,
            others,
            would_be,
        }
    };
    (0..claims.layout.names().len()).map(story).collect()
}

/// The rule by which values of the field at this index stand, for people.
pub fn rule(claims: &Claims, field: usize) -> String {
    if claims.links.len() < 2 {
        return "the only record".to_owned();
    }
    if let Some(told) = &claims.rules[field] {
        return told.clone();
    }
    let told = match claims.strategy {
        MergeStrategy::KeepFirst => "keep_first: the oldest record's value",
        MergeStrategy::KeepLast => "keep_last: the newest record's value",
        MergeStrategy::KeepMostComplete => {
            "keep_most_complete: the value of the record with the most filled fields"
        }
        MergeStrategy::MergeFields => "merge_fields: the newest value that is not null",
        MergeStrategy::Manual => "manual: the newest value that is not null",
    };
    told.to_owned()
}
