//! Trying a matcher on records of which it is known who is who.

use super::cluster::{COMPARED_MAX, ClusterEdge, ClusterNode, cluster, cluster_by_mean};
use super::{BlockKey, Features, Matcher, PAIRS_FETCHED, PairScore, Prepared, Zone};
use crate::value::Cell;
use rustc_hash::FxHashMap;
use serde::Serialize;

/// A record that a matcher is tried on.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name; differs from that of every other.
    pub name: String,
    /// What it says.
    pub image: Vec<Cell>,
    /// The connection's number, from 1, where it is known to hold no duplicates; else 0.
    pub system: u32,
    /// The thing that it is about; `None` where that is not known.
    pub entity: Option<u32>,
}

/// What people decided of records that a matcher is tried on, by their indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Pairs that are the same.
    pub same: Vec<(i64, i64)>,
    /// Pairs that are not.
    pub apart: Vec<(i64, i64)>,
}

/// How well a matcher does.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many records were tried.
    pub records: usize,
    /// How many of them have a known entity; all that follows about pairs is of these.
    pub labelled: usize,
    /// Pairs that are put into one cluster.
    pub pairs: Quality,
    /// The same for single links: pairs that match, before clusters are made of them.
    pub links: Quality,
    /// The threshold of the links' score at which their F1 is highest.
    pub best_threshold: f64,
    /// That F1.
    pub best_f1: f64,
    /// Clusters of more than one record.
    pub clusters: usize,
    /// Records of the largest cluster.
    pub largest: usize,
    /// Clusters whose records are all of one entity, among those of more than one record.
    pub pure_clusters: usize,
    /// What the blocking keys let through.
    pub blocking: Blocking,
}

/// Precision and recall over pairs of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quality {
    /// Pairs that are the same.
    pub there: u64,
    /// Pairs that were found.
    pub found: u64,
    /// Pairs that were found and are the same.
    pub right: u64,
    /// `right / found`; 1 where nothing was found.
    pub precision: f64,
    /// `right / there`; 1 where there is nothing to find.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// What blocking keys let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Blocking {
    /// Keys of all records.
    pub keys: u64,
    /// Pairs that were compared.
    pub compared: u64,
    /// Pairs that share no key, and were not.
    pub avoided: u64,
    /// Pairs of keys that so many records share that they prove nothing; a pair may count several times.
    pub generic_pairs: u64,
    /// Pairs that are the same and were not compared.
    pub lost: u64,
}

/// Pairs of records that share a key.
#[derive(Clone, Debug)]
pub struct Candidates {
    prepared: Vec<Prepared>,
    /// With the bits of the rules whose keys they share.
    pairs: Vec<(u32, u32, u64)>,
    blocking: Blocking,
}

impl Quality {
    fn new(there: u64, found: u64, right: u64) -> Self {
        let share = |of: u64| if of == 0 { 1.0 } else { right as f64 / of as f64 };
        let both = there + found;
        let f1 = if both == 0 { 1.0 } else { 2.0 * right as f64 / both as f64 };
        Self { there, found, right, precision: share(found), recall: share(there), f1 }
    }
}

impl Matcher {
    /// The pairs of records that a run would compare.
    pub fn candidates(&self, records: &[Trial]) -> Candidates {
        let prepared: Vec<Prepared> = records.iter().map(|r| self.prepare(&r.image)).collect();
        let mut blocking = Blocking::default();
        let pairs = self.shared_keys(records, &prepared, &mut blocking);
        Candidates { prepared, pairs, blocking }
    }

    /// Compares the pairs, as a run would: those that match, or that a person should look at.
    pub fn scores(&self, records: &[Trial], candidates: &Candidates) -> Vec<(u32, u32, PairScore)> {
        let Candidates { prepared, pairs, .. } = candidates;
        let score = |&(a, b, rules): &(u32, u32, u64)| {
            let (x, y) = (a as usize, b as usize);
            let by_rule = if self.has_only_model() {
                None
            } else {
                self.compare_by_rules(&records[x].image, &records[y].image, rules)
            };
            let both = prepared[x].as_ref().zip(prepared[y].as_ref());
            let by_model = both.and_then(|(x, y)| self.compare_by_model(x, y, rules));
            Some((a, b, Self::better(by_rule, by_model)?))
        };
        let mut scores = Vec::new();
        for group in pairs.chunks(PAIRS_FETCHED) {
            let ends = group.iter().flat_map(|&(a, b, _)| [a as usize, b as usize]);
            Features::fetch(ends.filter_map(|at| prepared[at].as_ref()));
            scores.extend(group.iter().filter_map(score));
        }
        scores
    }

    /// Makes clusters, as a run would, and counts what comes of it.
    pub fn evaluate(
        &self,
        records: &[Trial],
        candidates: Candidates,
        scores: &[(u32, u32, PairScore)],
        decided: &Decided,
    ) -> Evaluation {
        let Candidates { prepared, pairs, mut blocking } = candidates;
        let is_same =
            |a: u32, b: u32| Some(records[a as usize].entity? == records[b as usize].entity?);
        let there = pairs_of(records.iter().filter_map(|record| record.entity));
        let compared_same = pairs.iter().filter(|p| is_same(p.0, p.1) == Some(true)).count() as u64;
        blocking.lost = there.saturating_sub(compared_same);
        let clusters = self.clusters_of(records, &prepared, scores, decided);
        let (best_threshold, best_f1) = best(scores, &is_same, there);
        let matched = scores.iter().filter(|(_, _, score)| score.zone == Zone::Match);
        let judged: Vec<bool> = matched.filter_map(|&(a, b, _)| is_same(a, b)).collect();
        let right = judged.iter().filter(|same| **same).count() as u64;
        let several = || clusters.iter().filter(|cluster| cluster.len() > 1);
        Evaluation {
            records: records.len(),
            labelled: records.iter().filter(|record| record.entity.is_some()).count(),
            pairs: quality(records, &clusters, there),
            links: Quality::new(there, judged.len() as u64, right),
            best_threshold,
            best_f1,
            clusters: several().count(),
            largest: clusters.iter().map(Vec::len).max().unwrap_or(0),
            pure_clusters: several().filter(|cluster| is_pure(records, cluster)).count(),
            blocking,
        }
    }

    /// Pairs that share a key which is not generic, with the bits of the rules whose keys they share.
    fn shared_keys(
        &self,
        records: &[Trial],
        prepared: &[Prepared],
        blocking: &mut Blocking,
    ) -> Vec<(u32, u32, u64)> {
        let (mut entries, mut keys): (Vec<(u64, u32, u16)>, Vec<BlockKey>) = Default::default();
        for (index, (record, prepared)) in (0..).zip(records.iter().zip(prepared)) {
            self.keys_prepared(&record.image, prepared, &mut keys);
            entries.extend(keys.iter().map(|key| (key.hash, index, key.rule)));
        }
        blocking.keys = entries.len() as u64;
        entries.sort_unstable();
        let mut groups: Vec<&[(u64, u32, u16)]> = entries.chunk_by(|a, b| a.0 == b.0).collect();
        // A pair is compared with the largest group that it is of: who is in memory already is compared with many.
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        let mut pairs: Vec<(u32, u32, u32, u64)> = Vec::new();
        for (number, group) in (0..).zip(groups) {
            let rules = group.iter().fold(0, |rules, entry| rules | 1 << entry.2);
            let mut members: Vec<u32> = group.iter().map(|entry| entry.1).collect();
            members.dedup();
            if members.len() > self.block_max() {
                blocking.generic_pairs += count_pairs(members.len() as u64);
                continue;
            }
            for (position, &a) in members.iter().enumerate() {
                pairs.extend(members[position + 1..].iter().map(|&b| (a, b, number, rules)));
            }
        }
        pairs.sort_unstable();
        pairs.dedup_by(|next, kept| {
            let is_same = (next.0, next.1) == (kept.0, kept.1);
            kept.3 |= if is_same { next.3 } else { 0 };
            is_same
        });
        pairs.sort_unstable_by_key(|&(a, b, group, _)| (group, a, b));
        let pairs: Vec<_> = pairs.into_iter().map(|(a, b, _, rules)| (a, b, rules)).collect();
        blocking.compared = pairs.len() as u64;
        blocking.avoided = count_pairs(records.len() as u64).saturating_sub(blocking.compared);
        pairs
    }

    fn clusters_of(
        &self,
        records: &[Trial],
        prepared: &[Prepared],
        scores: &[(u32, u32, PairScore)],
        decided: &Decided,
    ) -> Vec<Vec<i64>> {
        let node = |index: usize| ClusterNode {
            id: index as i64,
            system: records[index].system,
            name: ("", "", records[index].name.as_str()),
        };
        let edges: Vec<ClusterEdge> = scores
            .iter()
            .filter(|(_, _, score)| score.zone == Zone::Match)
            .map(|&(a, b, score)| ClusterEdge { a: a.into(), b: b.into(), score: score.score })
            .collect();
        let nodes: Vec<ClusterNode<'_>> = (0..records.len()).map(node).collect();
        let Decided { same, apart } = decided;
        let Some(model) = self.model() else {
            return cluster(&nodes, &edges, same, apart, self.cluster_max());
        };
        let known: FxHashMap<(i64, i64), f32> =
            edges.iter().map(|edge| ((edge.a, edge.b), edge.score)).collect();
        let score = |a: i64, b: i64| {
            let (x, y) = (&prepared[a as usize], &prepared[b as usize]);
            let (Some(x), Some(y)) = (x, y) else { return 0.0 };
            let by_model = || model.probability(x, y, 0.01).unwrap_or(0.0) as f32;
            known.get(&(a, b)).copied().unwrap_or_else(by_model)
        };
        let free: Vec<ClusterNode<'_>> =
            nodes.iter().map(|node| ClusterNode { system: 0, ..*node }).collect();
        let mut left = cluster(&free, &edges, same, &[], usize::MAX);
        let mut clusters = Vec::with_capacity(left.len());
        while let Some(group) = left.pop() {
            let of_group = || group.iter().map(|&id| node(id as usize)).collect::<Vec<_>>();
            if group.len() == 1 {
                clusters.push(group);
            } else if group.len() <= COMPARED_MAX {
                let pairs = group
                    .iter()
                    .enumerate()
                    .flat_map(|(position, &a)| group[position + 1..].iter().map(move |&b| (a, b)));
                let scores: Vec<ClusterEdge> =
                    pairs.map(|(a, b)| ClusterEdge { a, b, score: score(a, b) }).collect();
                let (most, threshold) = (self.cluster_max(), model.threshold());
                clusters.extend(cluster_by_mean(
                    &of_group(),
                    &scores,
                    same,
                    apart,
                    most,
                    threshold,
                ));
            } else {
                let most = self.cluster_max().min(COMPARED_MAX);
                let mut parts = cluster(&of_group(), &edges, same, apart, most);
                // What decisions hold together is not cut any further.
                if parts.len() == 1 { clusters.append(&mut parts) } else { left.append(&mut parts) }
            }
        }
        clusters
    }
}

fn count_pairs(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}

fn pairs_of(entities: impl Iterator<Item = u32>) -> u64 {
    let mut counts: FxHashMap<u32, u64> = FxHashMap::default();
    entities.for_each(|entity| *counts.entry(entity).or_default() += 1);
    counts.into_values().map(count_pairs).sum()
}

fn quality(records: &[Trial], clusters: &[Vec<i64>], there: u64) -> Quality {
    let (mut found, mut right) = (0, 0);
    for cluster in clusters.iter().filter(|cluster| cluster.len() > 1) {
        let known = cluster.iter().filter_map(|&id| records[id as usize].entity);
        found += count_pairs(known.clone().count() as u64);
        right += pairs_of(known);
    }
    Quality::new(there, found, right)
}

fn is_pure(records: &[Trial], cluster: &[i64]) -> bool {
    let mut known = cluster.iter().filter_map(|&id| records[id as usize].entity);
    let first = known.next();
    known.all(|entity| Some(entity) == first)
}

fn best(
    scores: &[(u32, u32, PairScore)],
    is_same: &impl Fn(u32, u32) -> Option<bool>,
    there: u64,
) -> (f64, f64) {
    let mut known: Vec<(f32, bool)> =
        scores.iter().filter_map(|&(a, b, s)| Some((s.score, is_same(a, b)?))).collect();
    known.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (mut right, mut best) = (0, (1.0, 0.0));
    for (index, (score, same)) in known.iter().enumerate() {
        right += u64::from(*same);
        let f1 = Quality::new(there, index as u64 + 1, right).f1;
        if f1 > best.1 {
            best = (f64::from(*score), f1);
        }
    }
    best
}
