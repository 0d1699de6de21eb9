//! How the records of a shard came together: the log of its merges.
//!
//! Merges of shards are stored, as they were decided. That a record joined a shard when it first came is not: its match
//! edges tell it, and so does what people decided. To store that as well would cost each run a row for each record.

use super::{Claims, ExecutionStory, MatchStory, execution_story, uuid};
use crate::error::Error;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use syncline_core::plan::rows::{Decision, ExecutionId, LinkId, ShardId, Verdict};
use syncline_core::plan::view::Need;
use syncline_engine::World;
use syncline_store::execution::ExecutionRow;
use syncline_store::query::MergeRow;

/// One entry of the log: a record joined others, or a shard was merged.
#[derive(Clone, Debug, Serialize)]
pub struct MergeStory {
    /// The records that it brought in, as indexes into [`super::Explanation::records`].
    pub records: Vec<usize>,
    /// The id that they had as a shard of their own; `None` for a record that joined when it first came.
    pub shard: Option<String>,
    /// The execution in which a shard was merged.
    pub execution: Option<ExecutionStory>,
    /// The pair of records that speaks for it.
    pub pair: Option<[String; 2]>,
    /// The rule by which they match, or `model`.
    pub rule: Option<String>,
    /// Its score, from 0 to 1.
    pub score: Option<f32>,
    /// How the score came about, comparison by comparison.
    pub waterfall: Option<Box<RawValue>>,
    /// Who said that they are the same, where that was a person.
    pub by: Option<String>,
    /// Why, in that person's words.
    pub why: Option<String>,
}

/// The log of a shard's merges, oldest first: what joined, then which shards were merged.
pub(super) async fn merging(
    world: &World,
    shard: ShardId,
    claims: &Claims,
    matches: &[MatchStory],
    executions: &BTreeMap<ExecutionId, ExecutionRow>,
) -> Result<Vec<MergeStory>, Error> {
    if claims.links.len() < 2 {
        return Ok(Vec::new());
    }
    let ids: Vec<LinkId> = claims.links.iter().map(|link| link.id).collect();
    let found = world.store.read(Need { links: ids.clone(), ..Need::default() }).await?;
    let said = found.decisions.into_iter().filter(|decision| decision.verdict == Verdict::Same);
    let log = Log { world, claims, matches, said: said.collect(), ids };
    let merges = log.merges_into(shard).await?;
    let mut origins = vec![shard; log.ids.len()];
    for merge in &merges {
        for (link, of) in &merge.records {
            if let Some(at) = log.position(*link).filter(|_| *of == merge.loser) {
                origins[at] = if origins[at] == shard { merge.loser } else { origins[at] };
            }
        }
    }
    let mut stories = log.joined(&origins);
    let losers = merges.iter().map(|merge| merge.loser).collect();
    let rows = world.store.shards_by_row(losers).await?;
    for merge in &merges {
        let id = rows.iter().find(|row| row.id == merge.loser).map(|row| uuid(row.uuid));
        stories.extend(log.merged(merge, id, executions).await?);
    }
    Ok(stories)
}

struct Log<'a> {
    world: &'a World,
    claims: &'a Claims,
    matches: &'a [MatchStory],
    /// That records are the same, as people decided.
    said: Vec<Decision>,
    ids: Vec<LinkId>,
}

impl Log<'_> {
    fn position(&self, link: LinkId) -> Option<usize> {
        self.ids.iter().position(|id| *id == link)
    }

    fn name(&self, index: usize) -> String {
        let (name, link) = (&self.claims.names[index], &self.claims.links[index]);
        format!("{}/{} {}", name.connection, name.entity, link.external_id)
    }

    /// The merges that led to the shard, over others too, oldest first.
    async fn merges_into(&self, shard: ShardId) -> Result<Vec<MergeRow>, Error> {
        let (mut known, mut asked) = (BTreeSet::new(), vec![shard]);
        let mut merges: Vec<MergeRow> = Vec::new();
        while !asked.is_empty() {
            known.extend(asked.iter().copied());
            let mut found = self.world.store.merges(asked.clone()).await?;
            found.retain(|merge| asked.contains(&merge.survivor));
            asked = found.iter().map(|merge| merge.loser).filter(|l| !known.contains(l)).collect();
            // What was merged into a merged shard came before it.
            found.reverse();
            merges.splice(0..0, found);
        }
        let is_here = |merge: &MergeRow| {
            let mut of_loser = merge.records.iter().filter(|(_, of)| *of == merge.loser);
            of_loser.any(|(link, _)| self.position(*link).is_some())
        };
        merges.retain(is_here);
        Ok(merges)
    }

    /// Each record that joined others when it first came, with what speaks for it.
    fn joined(&self, origins: &[ShardId]) -> Vec<MergeStory> {
        let mut stories = Vec::new();
        for (index, origin) in origins.iter().enumerate() {
            let others = || (0..origins.len()).filter(|other| origins[*other] == *origin);
            if others().next() == Some(index) {
                continue;
            }
            let before: Vec<usize> = others().filter(|other| *other < index).collect();
            let all: Vec<usize> = others().filter(|other| *other != index).collect();
            let story = self.evidence(index, &before).or_else(|| self.evidence(index, &all));
            stories.push(story.unwrap_or_else(|| empty(vec![index])));
        }
        stories
    }

    /// What a person said of a record and one of `others`, or else their best match.
    fn evidence(&self, index: usize, others: &[usize]) -> Option<MergeStory> {
        let is_of = |decision: &&Decision| {
            let pair = (self.position(decision.a), self.position(decision.b));
            matches!(pair, (Some(a), Some(b)) if (a == index && others.contains(&b))
                || (b == index && others.contains(&a)))
        };
        if let Some(decision) = self.said.iter().filter(is_of).max_by_key(|d| d.at) {
            let pair = [decision.a, decision.b].map(|link| self.position(link).unwrap_or(index));
            return Some(MergeStory {
                pair: Some(pair.map(|at| self.name(at))),
                by: Some(decision.by.clone()),
                why: (!decision.why.is_empty()).then(|| decision.why.clone()),
                ..empty(vec![index])
            });
        }
        let is_of = |story: &&MatchStory| {
            (story.a == index && others.contains(&story.b))
                || (story.b == index && others.contains(&story.a))
        };
        let best = self.matches.iter().filter(is_of);
        let story =
            best.max_by(|x, y| x.score.total_cmp(&y.score).then((y.a, y.b).cmp(&(x.a, x.b))))?;
        Some(MergeStory {
            pair: Some([self.name(story.a), self.name(story.b)]),
            rule: Some(story.rule.clone()),
            score: Some(story.score),
            waterfall: serde_json::value::to_raw_value(&story.waterfall).ok(),
            ..empty(vec![index])
        })
    }

    /// A merge of shards, as it was stored.
    async fn merged(
        &self,
        merge: &MergeRow,
        shard: Option<String>,
        executions: &BTreeMap<ExecutionId, ExecutionRow>,
    ) -> Result<Option<MergeStory>, Error> {
        let of_loser = merge.records.iter().filter(|(_, of)| *of == merge.loser);
        let records: Vec<usize> = of_loser.filter_map(|(link, _)| self.position(*link)).collect();
        let links = merge.evidence.map(|edge| vec![edge.a, edge.b]).unwrap_or_default();
        // A record that speaks for it may have left the shard since.
        let found = self.world.store.read(Need { links, ..Need::default() }).await?.links;
        let name = |id: LinkId| {
            let link = found.iter().find(|link| link.id == id)?;
            let name = self.world.entities.get(&link.entity)?;
            Some(format!("{}/{} {}", name.connection, name.entity, link.external_id))
        };
        let pair = merge.evidence.and_then(|edge| Some([name(edge.a)?, name(edge.b)?]));
        let said = merge.by.as_ref().and_then(|by| {
            let crosses = |d: &&Decision| {
                let sides = [d.a, d.b].map(|link| self.position(link));
                d.by == *by
                    && matches!(sides, [Some(a), Some(b)] if records.contains(&a) != records.contains(&b))
            };
            self.said.iter().filter(crosses).max_by_key(|decision| decision.at)
        });
        let both = |decision: &&Decision| {
            let sides = [decision.a, decision.b].map(|link| self.position(link));
            Some([self.name(sides[0]?), self.name(sides[1]?)])
        };
        let pair = pair.or_else(|| said.as_ref().and_then(both));
        Ok(Some(MergeStory {
            shard,
            execution: Some(execution_story(executions.get(&merge.execution))),
            pair,
            rule: merge.evidence.map(|edge| self.world.rule_name(edge.rule).to_owned()),
            score: merge.evidence.map(|edge| edge.score),
            waterfall: merge
                .waterfall
                .as_ref()
                .and_then(|json| RawValue::from_string(json.to_string()).ok()),
            by: merge.by.clone(),
            why: said.map(|decision| decision.why.clone()).filter(|why| !why.is_empty()),
            ..empty(records)
        }))
    }
}

fn empty(records: Vec<usize>) -> MergeStory {
    MergeStory {
        records,
        shard: None,
        execution: None,
        pair: None,
        rule: None,
        score: None,
        waterfall: None,
        by: None,
        why: None,
    }
}
