//! Components of match edges and decisions become clusters, and clusters find their shards.

use super::blocks::joins;
use super::planner::{PlanError, Planner};
use super::rows::{LinkId, MatchEdge, ShardId, Verdict};
use super::view::Need;
use crate::matching::Prepared;
use crate::matching::cluster::{COMPARED_MAX, ClusterEdge, ClusterNode, cluster, cluster_by_mean};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;

/// The clusters that a batch bears upon.
#[derive(Default)]
pub(super) struct Formed {
    pub(super) components: Vec<Component>,
    pub(super) clusters: Vec<Vec<LinkId>>,
    /// For each cluster, the index of its component.
    pub(super) origins: Vec<usize>,
}

impl Planner<'_> {
    /// Forms the clusters. Where a shard comes apart, asks which shards its records were in before: an id that
    /// was handed out goes back to the records that it was handed out for.
    pub(super) fn need_histories(&mut self) -> Result<Need, PlanError> {
        let mut formed = Formed { components: components(self), ..Formed::default() };
        for (index, component) in formed.components.iter().enumerate() {
            let clusters = clusters_of(self, component)?;
            formed.clusters.extend(clusters);
            formed.origins.resize(formed.clusters.len(), index);
        }
        let histories = of_split_shards(self, &formed.clusters);
        let agreed = written_links(self, &formed.clusters);
        self.formed = formed;
        Ok(Need { histories, agreed, ..Need::default() })
    }
}

/// The stored links of clusters whose shards are written to some system.
fn written_links(planner: &Planner<'_>, clusters: &[Vec<LinkId>]) -> Vec<LinkId> {
    if planner.rules.types.iter().all(|rules| rules.written_to.is_empty()) {
        return Vec::new();
    }
    let is_written = |cluster: &&Vec<LinkId>| {
        let (entity, _) = planner.record(cluster[0]);
        !planner.type_of(entity).written_to.is_empty()
    };
    clusters.iter().filter(is_written).flatten().copied().collect()
}

/// Records of one shard stay together where the shard is written to some system, whatever the match rules say of
/// them by now: an edit of the very field that they are matched by comes to one of them first. Only a person takes
/// them apart.
impl Planner<'_> {
    /// Whether a link stays with its shard's others.
    pub(super) fn is_sticky(&self, link: LinkId) -> bool {
        let (entity, _) = self.record(link);
        !self.type_of(entity).written_to.is_empty()
    }

    /// The other links of a link's shard that it stays with.
    fn stuck_to(&self, link: LinkId) -> impl Iterator<Item = LinkId> + '_ {
        let shard = self.old_shard(link).filter(|_| self.is_sticky(link));
        let siblings = shard.and_then(|shard| self.view.siblings.get(&shard));
        siblings.into_iter().flatten().copied().filter(move |&other| other != link)
    }

    /// The pairs among `links` that stay together.
    fn stuck_among(&self, links: &[LinkId]) -> Vec<(i64, i64)> {
        let mut of_shard: FxHashMap<ShardId, Vec<LinkId>> = FxHashMap::default();
        let mut pairs = Vec::new();
        for &link in links.iter().filter(|&&link| self.is_sticky(link)) {
            let Some(shard) = self.old_shard(link) else { continue };
            let before = of_shard.entry(shard).or_default();
            // Each with each: a pair that was taken apart does not part the others.
            pairs.extend(before.iter().map(|other| (other.0, link.0)));
            before.push(link);
        }
        pairs
    }
}

/// The links of the shards whose links are in several clusters.
fn of_split_shards(planner: &Planner<'_>, clusters: &[Vec<LinkId>]) -> Vec<LinkId> {
    let mut first: FxHashMap<ShardId, usize> = FxHashMap::default();
    let mut split: FxHashSet<ShardId> = FxHashSet::default();
    for (index, cluster) in clusters.iter().enumerate() {
        for shard in cluster.iter().filter_map(|&link| planner.old_shard(link)) {
            if *first.entry(shard).or_insert(index) != index {
                split.insert(shard);
            }
        }
    }
    if split.is_empty() {
        return Vec::new();
    }
    let is_split = |link: &&LinkId| planner.old_shard(**link).is_some_and(|s| split.contains(&s));
    clusters.iter().flatten().filter(is_split).copied().collect()
}

/// Links that match edges and decisions connect, and these edges.
pub(super) struct Component {
    pub(super) links: Vec<LinkId>,
    pub(super) edges: Vec<MatchEdge>,
}

/// The affected links, by component.
fn components(planner: &Planner<'_>) -> Vec<Component> {
    let affected = &planner.pairs.affected;
    let mut adjacent: FxHashMap<LinkId, Vec<MatchEdge>> = FxHashMap::default();
    for edge in live_edges(planner) {
        adjacent.entry(edge.a).or_default().push(edge);
        adjacent.entry(edge.b).or_default().push(edge);
    }
    let mut seen: FxHashSet<LinkId> = FxHashSet::default();
    let mut components = Vec::with_capacity(affected.len());
    for &start in affected {
        if !seen.insert(start) {
            continue;
        }
        let mut component = Component { links: vec![start], edges: Vec::new() };
        let mut queue = vec![start];
        while let Some(link) = queue.pop() {
            for edge in adjacent.get(&link).into_iter().flatten() {
                if edge.a == link {
                    component.edges.push(*edge);
                }
                let next = if edge.a == link { edge.b } else { edge.a };
                if seen.insert(next) {
                    component.links.push(next);
                    queue.push(next);
                }
            }
            for next in planner.decided(link, Verdict::Same).chain(planner.stuck_to(link)) {
                if seen.insert(next) {
                    component.links.push(next);
                    queue.push(next);
                }
            }
        }
        component.links.sort_unstable();
        components.push(component);
    }
    components
}

/// Every match edge that joins affected links, as it will be.
fn live_edges(planner: &Planner<'_>) -> Vec<MatchEdge> {
    let pairs = &planner.pairs;
    let mut edges: Vec<MatchEdge> = pairs.set.values().copied().filter(joins).collect();
    for link in &pairs.affected {
        for edge in planner.view.edges.get(link).into_iter().flatten() {
            let ends = (edge.a, edge.b);
            let is_replaced = pairs.set.contains_key(&ends) || pairs.removed.contains(&ends);
            if edge.a == *link && !is_replaced && joins(edge) {
                edges.push(*edge);
            }
        }
    }
    edges
}

/// The scores of all pairs of a component's records, where a model decides: pairs without an edge count
/// against a cluster. `None` where rules alone decide, each of which is proof enough.
fn scores(
    planner: &mut Planner<'_>,
    component: &Component,
) -> Result<Option<(f64, Vec<ClusterEdge>)>, PlanError> {
    let (entity, _) = planner.record(component.links[0]);
    let Some(model) = planner.type_of(entity).matcher.model() else { return Ok(None) };
    let known: FxHashMap<(LinkId, LinkId), f32> =
        component.edges.iter().map(|edge| ((edge.a, edge.b), edge.score)).collect();
    let links = &component.links;
    let mut scores: Vec<ClusterEdge> =
        known.iter().map(|(&(a, b), &score)| ClusterEdge { a: a.0, b: b.0, score }).collect();
    if links.len() > 2 {
        let prepared: Vec<Prepared> =
            links.iter().map(|&link| planner.prepared(link)).collect::<Result<_, _>>()?;
        for (position, (&a, left)) in links.iter().zip(&prepared).enumerate() {
            for (&b, right) in links.iter().zip(&prepared).skip(position + 1) {
                let (Some(left), Some(right)) = (left, right) else { continue };
                if !known.contains_key(&(a, b)) {
                    let score = model.probability(left, right, 0.01).unwrap_or(0.0) as f32;
                    scores.push(ClusterEdge { a: a.0, b: b.0, score });
                }
            }
        }
    }
    Ok(Some((model.threshold(), scores)))
}

fn clusters_of(
    planner: &mut Planner<'_>,
    component: &Component,
) -> Result<Vec<Vec<LinkId>>, PlanError> {
    if component.links.len() == 1 {
        return Ok(vec![component.links.clone()]);
    }
    let is_large = component.links.len() > COMPARED_MAX;
    let scores = if is_large { None } else { scores(planner, component)? };
    let node = |&link: &LinkId| {
        let (entity, external_id) = planner.record(link);
        let rules = planner.entity(entity);
        let name = (rules.connection.as_str(), rules.entity.as_str(), external_id);
        ClusterNode { id: link.0, system: rules.system, name }
    };
    let nodes: Vec<ClusterNode<'_>> = component.links.iter().map(node).collect();
    let edge = |edge: &MatchEdge| ClusterEdge { a: edge.a.0, b: edge.b.0, score: edge.score };
    let (entity, _) = planner.record(component.links[0]);
    let matcher = &planner.type_of(entity).matcher;
    let (cluster_max, by_model) = (matcher.cluster_max(), matcher.model().is_some());
    let mut same = planner.decided_among(&component.links, Verdict::Same);
    same.extend(planner.stuck_among(&component.links));
    let apart = planner.decided_among(&component.links, Verdict::Apart);
    let clusters = match scores {
        Some((threshold, scores)) => {
            cluster_by_mean(&nodes, &scores, &same, &apart, cluster_max, threshold)
        }
        None => {
            let edges: Vec<ClusterEdge> = component.edges.iter().map(edge).collect();
            let most = if by_model { cluster_max.min(COMPARED_MAX) } else { cluster_max };
            cluster(&nodes, &edges, &same, &apart, most)
        }
    };
    let clusters = clusters.into_iter().map(|links| links.into_iter().map(LinkId).collect());
    let clusters: Vec<Vec<LinkId>> = clusters.collect();
    // Decisions may hold together more records than are compared; these are not cut any further.
    if !(is_large && by_model) || clusters.len() == 1 {
        return Ok(clusters);
    }
    let mut parts = Vec::with_capacity(clusters.len());
    for links in clusters {
        parts.extend(clusters_of(planner, &component.part(links))?);
    }
    Ok(parts)
}

impl Component {
    /// Some of the links, with the edges between them.
    fn part(&self, links: Vec<LinkId>) -> Self {
        let members: FxHashSet<LinkId> = links.iter().copied().collect();
        let inside = |edge: &&MatchEdge| members.contains(&edge.a) && members.contains(&edge.b);
        Self { edges: self.edges.iter().filter(inside).copied().collect(), links }
    }
}

/// How much a shard has to do with a cluster.
#[derive(Default)]
struct Claim {
    /// Records of the cluster that were the shard's when shards were merged.
    before: usize,
    /// Of these, those that had been in no other shard before.
    own: usize,
    /// Records of the cluster that are in the shard now.
    now: usize,
}

/// The shard that each cluster takes over. That is the one whose records it holds most of; of equals, the
/// older. Where a shard comes apart that others were merged into, it counts whose records these were then, and
/// the others are claimed as well: so each part gets its old id back.
pub(super) fn assign(planner: &Planner<'_>, clusters: &[Vec<LinkId>]) -> Vec<Option<ShardId>> {
    let current: FxHashSet<ShardId> =
        clusters.iter().flatten().filter_map(|&link| planner.old_shard(link)).collect();
    let is_free = |shard: &&ShardId| {
        let row = planner.view.shards.get(shard);
        current.contains(shard) || row.is_some_and(|row| row.merged_into.is_some())
    };
    let mut claims: FxHashMap<(ShardId, usize), Claim> = FxHashMap::default();
    for (index, cluster) in clusters.iter().enumerate() {
        for &link in cluster {
            let Some(shard) = planner.old_shard(link) else { continue };
            claims.entry((shard, index)).or_default().now += 1;
            let history = planner.view.histories.get(&link).into_iter().flatten();
            for (position, &shard) in history.filter(is_free).enumerate() {
                let claim = claims.entry((shard, index)).or_default();
                claim.before += 1;
                claim.own += usize::from(position == 0);
            }
        }
    }
    let mut claims: Vec<_> = claims.into_iter().collect();
    claims.sort_unstable_by_key(|((shard, index), claim)| {
        (Reverse((claim.before, claim.own, claim.now)), *shard, *index)
    });
    let mut taken: FxHashSet<ShardId> = FxHashSet::default();
    let mut assigned = vec![None; clusters.len()];
    for ((shard, index), _) in claims {
        if assigned[index].is_none() && taken.insert(shard) {
            assigned[index] = Some(shard);
        }
    }
    assigned
}
