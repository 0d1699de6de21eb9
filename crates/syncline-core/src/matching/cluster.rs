//! Clusters: which records together are one thing, given which pairs of them match.

use super::RecordName;
use rustc_hash::{FxHashMap, FxHashSet};

/// Two records that match.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusterEdge {
    /// The id of the one record.
    pub a: i64,
    /// The id of the other; which is which does not matter.
    pub b: i64,
    /// How sure it is: the higher it is, the sooner the two are put together.
    pub score: f32,
}

/// A record that is to be put into a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusterNode<'a> {
    /// What edges and cluster lists call it. Ids may depend on the order of arrival: they decide nothing.
    pub id: i64,
    /// The connection's id, if no two records of that connection can be the same thing; else 0.
    pub system: u32,
    /// Tells the record from every other, whatever the order of arrival. Breaks ties: smaller comes first.
    pub name: RecordName<'a>,
}

/// The clusters of `nodes`: each node is in exactly one; ids within a cluster and clusters by their first
/// id are in ascending order.
///
/// Pairs of `must_link` come first, by the names of their nodes: they are put together whatever system their
/// nodes are of, and however many there are, unless a pair of `cannot_link` would come together by it.
///
/// Edges are taken by falling score, equal ones by the names of their nodes (the smaller name first). An
/// edge puts the clusters of its two nodes together, unless that would put two records of one
/// duplicate-free system together, or a pair of `cannot_link`, or more than `cluster_max` records (at
/// least 1). So the outcome is a function of the set of nodes and edges, of which the order is no part.
///
/// Edges and pairs with an id that is no node's are passed over, as are repeated nodes. Names must differ.
pub fn cluster(
    nodes: &[ClusterNode<'_>],
    edges: &[ClusterEdge],
    must_link: &[(i64, i64)],
    cannot_link: &[(i64, i64)],
    cluster_max: usize,
) -> Vec<Vec<i64>> {
    let mut forest = Forest::new(nodes, cannot_link);
    for (a, b) in forest.decided(must_link) {
        let (a, b) = (forest.root(a), forest.root(b));
        if a != b && forest.may_meet(a, b) {
            forest.unite(a, b);
        }
    }
    let mut ranked: Vec<(f32, usize, usize)> = edges
        .iter()
        .filter_map(|edge| {
            let (a, b) = (forest.rank(edge.a)?, forest.rank(edge.b)?);
            (a != b).then_some((edge.score, a.min(b), a.max(b)))
        })
        .collect();
    ranked.sort_unstable_by(|x, y| y.0.total_cmp(&x.0).then((x.1, x.2).cmp(&(y.1, y.2))));
    for (_, a, b) in ranked {
        forest.join(a, b, cluster_max);
    }
    forest.into_clusters()
}

/// A larger group of connected records is cut by its surest edges first, so that the work of comparing all pairs does
/// not grow without bound.
pub const COMPARED_MAX: usize = 200;

/// A score in millionths: sums of whole numbers are the same in every order.
const UNIT: f64 = 1e6;

/// The clusters of `nodes` that hold together: as [`cluster`], but two clusters are put together only where the
/// mean score of all pairs of records between them reaches `threshold`.
///
/// `scores` are those of all pairs of nodes; a pair that is not among them scores 0, so that what was compared
/// and is unlike counts against. The two clusters with the highest mean come first; of equal ones, those
/// with the smaller names. So a chain of records, each like the next, comes apart where its ends are not.
/// Pairs of `must_link` and `cannot_link` hold as they do there, whatever the scores.
pub fn cluster_by_mean(
    nodes: &[ClusterNode<'_>],
    scores: &[ClusterEdge],
    must_link: &[(i64, i64)],
    cannot_link: &[(i64, i64)],
    cluster_max: usize,
    threshold: f64,
) -> Vec<Vec<i64>> {
    let mut forest = Forest::new(nodes, cannot_link);
    let mut sums = Sums::new(&forest, scores);
    for (a, b) in forest.decided(must_link) {
        let (a, b) = (forest.root(a), forest.root(b));
        if a != b && forest.may_meet(a, b) {
            // The smaller name stands for both.
            forest.merge(a.max(b), a.min(b));
            sums.merge(a.max(b), a.min(b));
        }
    }
    let mut refused: FxHashSet<(usize, usize)> = FxHashSet::default();
    // Scores are kept as single-precision numbers, so the threshold is met a little below.
    let least = threshold * UNIT - 1.0;
    loop {
        let mut best: Option<(f64, usize, usize)> = None;
        for (position, &a) in sums.roots.iter().enumerate() {
            for &b in &sums.roots[position + 1..] {
                let pairs = (forest.sets[a].len * forest.sets[b].len) as f64;
                let mean = sums.of(a, b) as f64 / pairs;
                let is_better = best.is_none_or(|(most, ..)| mean > most);
                if mean >= least && is_better && !refused.contains(&(a, b)) {
                    best = Some((mean, a, b));
                }
            }
        }
        let Some((_, a, b)) = best else { break };
        if !(forest.may_join(a, b, cluster_max) && forest.may_meet(a, b)) {
            refused.insert((a, b));
            continue;
        }
        forest.merge(b, a);
        sums.merge(b, a);
        refused.retain(|(x, y)| ![*x, *y].iter().any(|root| *root == a || *root == b));
    }
    forest.into_clusters()
}

/// For each two sets of nodes, the sum of the scores of all pairs between them.
struct Sums {
    /// The sets that there are, by the smallest rank of their nodes, ascending.
    roots: Vec<usize>,
    count: usize,
    sums: Vec<u64>,
}

impl Sums {
    /// Each node by itself.
    fn new(forest: &Forest, scores: &[ClusterEdge]) -> Self {
        let count = forest.ids.len();
        let mut sums = vec![0; count * count];
        for edge in scores {
            if let (Some(a), Some(b)) = (forest.rank(edge.a), forest.rank(edge.b)) {
                let score = (f64::from(edge.score).clamp(0.0, 1.0) * UNIT).round() as u64;
                (sums[a * count + b], sums[b * count + a]) = (score, score);
            }
        }
        Self { roots: (0..count).collect(), count, sums }
    }

    fn of(&self, a: usize, b: usize) -> u64 {
        self.sums[a * self.count + b]
    }

    fn merge(&mut self, moved: usize, into: usize) {
        self.roots.retain(|root| *root != moved);
        for &other in &self.roots {
            let sum = self.of(into, other) + self.of(moved, other);
            self.sums[into * self.count + other] = sum;
            self.sums[other * self.count + into] = sum;
        }
    }
}

/// Disjoint sets of nodes, which are known by their rank in the order of names.
struct Forest {
    ids: Vec<i64>,
    ranks: FxHashMap<i64, usize>,
    parents: Vec<usize>,
    /// By root.
    sets: Vec<Set>,
}

#[derive(Default)]
struct Set {
    len: usize,
    /// The duplicate-free systems its members are of.
    systems: Vec<u32>,
    /// The ranks that some member must not be together with.
    forbidden: Vec<usize>,
}

impl Forest {
    fn new(nodes: &[ClusterNode<'_>], cannot_link: &[(i64, i64)]) -> Self {
        let mut ordered: Vec<&ClusterNode<'_>> = nodes.iter().collect();
        ordered.sort_unstable_by_key(|node| (node.name, node.id, node.system));
        ordered.dedup_by_key(|node| node.id);
        let ids: Vec<i64> = ordered.iter().map(|node| node.id).collect();
        let ranks = ids.iter().enumerate().map(|(rank, id)| (*id, rank)).collect();
        let sets = ordered
            .iter()
            .map(|node| Set {
                len: 1,
                systems: if node.system == 0 { Vec::new() } else { vec![node.system] },
                forbidden: Vec::new(),
            })
            .collect();
        let mut forest = Self { parents: (0..ids.len()).collect(), ids, ranks, sets };
        for (a, b) in cannot_link {
            if let (Some(a), Some(b)) = (forest.rank(*a), forest.rank(*b)) {
                forest.sets[a].forbidden.push(b);
                forest.sets[b].forbidden.push(a);
            }
        }
        forest
    }

    fn rank(&self, id: i64) -> Option<usize> {
        self.ranks.get(&id).copied()
    }

    /// The pairs of which somebody decided that they are one thing, by the names of their nodes.
    fn decided(&self, must_link: &[(i64, i64)]) -> Vec<(usize, usize)> {
        let ranks = |(a, b): &(i64, i64)| Some((self.rank(*a)?, self.rank(*b)?));
        let mut decided: Vec<(usize, usize)> =
            must_link.iter().filter_map(ranks).map(|(a, b)| (a.min(b), a.max(b))).collect();
        decided.sort_unstable();
        decided
    }

    fn root(&mut self, mut rank: usize) -> usize {
        while self.parents[rank] != rank {
            self.parents[rank] = self.parents[self.parents[rank]];
            rank = self.parents[rank];
        }
        rank
    }

    fn join(&mut self, a: usize, b: usize, cluster_max: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b && self.may_join(a, b, cluster_max) && self.may_meet(a, b) {
            self.unite(a, b);
        }
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (small, large) = if self.sets[a].len < self.sets[b].len { (a, b) } else { (b, a) };
        self.merge(small, large);
    }

    fn merge(&mut self, small: usize, large: usize) {
        let moved = std::mem::take(&mut self.sets[small]);
        self.parents[small] = large;
        let set = &mut self.sets[large];
        set.len += moved.len;
        set.systems.extend(moved.systems);
        set.forbidden.extend(moved.forbidden);
    }

    fn may_join(&self, a: usize, b: usize, cluster_max: usize) -> bool {
        if self.sets[a].len + self.sets[b].len > cluster_max {
            return false;
        }
        let systems = &self.sets[b].systems;
        !self.sets[a].systems.iter().any(|system| systems.contains(system))
    }

    /// Whether no pair that cannot be one thing would come together.
    fn may_meet(&mut self, a: usize, b: usize) -> bool {
        // A pair stands on both sides, so the shorter list tells.
        let (from, to) = if self.sets[a].forbidden.len() <= self.sets[b].forbidden.len() {
            (a, b)
        } else {
            (b, a)
        };
        (0..self.sets[from].forbidden.len()).all(|i| self.root(self.sets[from].forbidden[i]) != to)
    }

    fn into_clusters(mut self) -> Vec<Vec<i64>> {
        let mut members: Vec<(usize, i64)> =
            (0..self.ids.len()).map(|rank| (self.root(rank), self.ids[rank])).collect();
        members.sort_unstable();
        let mut clusters: Vec<Vec<i64>> = members
            .chunk_by(|x, y| x.0 == y.0)
            .map(|chunk| chunk.iter().map(|(_, id)| *id).collect())
            .collect();
        clusters.sort_unstable_by_key(|cluster| cluster[0]);
        clusters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(id: i64, system: u32, external_id: &str) -> ClusterNode<'_> {
        ClusterNode { id, system, name: ("crm", "contact", external_id) }
    }

    fn edge(a: i64, b: i64, score: f32) -> ClusterEdge {
        ClusterEdge { a, b, score }
    }

    #[test]
    fn records_that_match_come_together_over_others() {
        let nodes = [node(1, 0, "a"), node(2, 0, "b"), node(3, 0, "c"), node(4, 0, "d")];
        let edges = [edge(1, 2, 0.9), edge(3, 2, 0.8), edge(9, 1, 1.0), edge(4, 4, 1.0)];
        assert_eq!(cluster(&nodes, &edges, &[], &[], 100), [vec![1, 2, 3], vec![4]]);
        assert_eq!(cluster(&[], &edges, &[], &[], 100), Vec::<Vec<i64>>::new());
    }

    #[test]
    fn the_surest_edge_comes_first_where_not_all_can_stand() {
        let nodes = [node(1, 7, "a"), node(2, 0, "b"), node(3, 7, "c")];
        let edges = [edge(1, 2, 0.8), edge(2, 3, 0.9)];
        assert_eq!(cluster(&nodes, &edges, &[], &[], 100), [vec![1], vec![2, 3]]);
        let nodes = nodes.map(|node| ClusterNode { system: 0, ..node });
        assert_eq!(cluster(&nodes, &edges, &[], &[(3, 1)], 100), [vec![1], vec![2, 3]]);
        assert_eq!(cluster(&nodes, &edges, &[], &[], 2), [vec![1], vec![2, 3]]);
        assert_eq!(cluster(&nodes, &edges, &[], &[], 0), [vec![1], vec![2], vec![3]]);
    }

    #[test]
    fn what_was_decided_comes_first_and_apart_outdoes_together() {
        let nodes = [node(1, 7, "a"), node(2, 7, "b"), node(3, 7, "c")];
        let edges = [edge(1, 2, 0.9), edge(2, 3, 0.9)];
        assert_eq!(cluster(&nodes, &edges, &[], &[], 1), [vec![1], vec![2], vec![3]]);
        assert_eq!(cluster(&nodes, &edges, &[(3, 1)], &[], 1), [vec![1, 3], vec![2]]);
        let together = [(1, 2), (2, 3)];
        assert_eq!(cluster(&nodes, &edges, &together, &[], 1), [vec![1, 2, 3]]);
        assert_eq!(cluster(&nodes, &edges, &together, &[(3, 1)], 1), [vec![1, 2], vec![3]]);
    }

    #[test]
    fn a_chain_of_weak_links_comes_apart_and_a_group_that_holds_together_stays() {
        let nodes = ["a", "b", "c", "d"];
        let nodes: Vec<_> = (1..).zip(nodes).map(|(id, name)| node(id, 0, name)).collect();
        let chain = [edge(1, 2, 0.9), edge(2, 3, 0.8), edge(3, 4, 0.9), edge(1, 3, 0.1)];
        let by_mean = |edges: &[ClusterEdge], together: &[_], apart: &[_], max| {
            cluster_by_mean(&nodes, edges, together, apart, max, 0.5)
        };
        assert_eq!(cluster(&nodes, &chain, &[], &[], 100), [vec![1, 2, 3, 4]]);
        assert_eq!(by_mean(&chain, &[], &[], 100), [vec![1, 2], vec![3, 4]]);
        // One pair that is unlike does not outweigh all the others.
        let group = [(1, 2, 0.9), (2, 3, 0.9), (3, 4, 0.9), (1, 3, 0.9), (2, 4, 0.9), (1, 4, 0.1)];
        let group = group.map(|(a, b, score)| edge(a, b, score));
        assert_eq!(by_mean(&group, &[], &[], 100), [vec![1, 2, 3, 4]]);
        assert_eq!(by_mean(&group, &[], &[(4, 1)], 100), [vec![1, 2, 3], vec![4]]);
        assert_eq!(by_mean(&group, &[], &[], 2), [vec![1, 2], vec![3, 4]]);
        assert_eq!(cluster_by_mean(&[], &group, &[], &[], 2, 0.5), Vec::<Vec<i64>>::new());
    }

    #[test]
    fn decisions_hold_whatever_the_scores() {
        let nodes = ["a", "b", "c", "d"];
        let nodes: Vec<_> = (1..).zip(nodes).map(|(id, name)| node(id, 7, name)).collect();
        let edges = [edge(1, 2, 0.9), edge(2, 3, 0.9), edge(1, 3, 0.9), edge(3, 4, 0.2)];
        let by_mean =
            |together: &[_], apart: &[_]| cluster_by_mean(&nodes, &edges, together, apart, 1, 0.5);
        assert_eq!(by_mean(&[], &[]), [vec![1], vec![2], vec![3], vec![4]]);
        assert_eq!(by_mean(&[(4, 1)], &[]), [vec![1, 4], vec![2], vec![3]]);
        assert_eq!(by_mean(&[(4, 1), (4, 2), (1, 3)], &[]), [vec![1, 2, 3, 4]]);
        assert_eq!(by_mean(&[(4, 1), (4, 2)], &[(2, 1)]), [vec![1, 4], vec![2], vec![3]]);
        // What was put together counts as one: the mean over both pairs is below the threshold.
        let free = nodes.iter().map(|&node| ClusterNode { system: 0, ..node });
        let free: Vec<_> = free.collect();
        let edges = [edge(1, 2, 0.9), edge(3, 4, 0.2)];
        assert_eq!(
            cluster_by_mean(&free, &edges, &[(1, 3)], &[], 100, 0.5),
            [vec![1, 3], vec![2], vec![4]]
        );
    }

    #[test]
    fn names_break_ties_and_ids_do_not() {
        let edges = [edge(1, 2, 0.9), edge(2, 3, 0.9)];
        let first = [node(1, 0, "a"), node(2, 0, "b"), node(3, 0, "c")];
        assert_eq!(cluster(&first, &edges, &[], &[], 2), [vec![1, 2], vec![3]]);
        let arrived_otherwise = [node(1, 0, "c"), node(2, 0, "b"), node(3, 0, "a")];
        assert_eq!(cluster(&arrived_otherwise, &edges, &[], &[], 2), [vec![1], vec![2, 3]]);
    }

    type World = (Vec<u32>, Vec<(usize, usize, u8)>, Vec<(usize, usize)>, usize, Vec<usize>);

    fn world() -> impl Strategy<Value = World> {
        (2..12_usize).prop_flat_map(|n| {
            (
                proptest::collection::vec(0..4_u32, n),
                proptest::collection::vec((0..n, 0..n, 0..4_u8), 0..30),
                proptest::collection::vec((0..n, 0..n), 0..5),
                0..8_usize,
                Just((0..n).collect::<Vec<_>>()).prop_shuffle(),
            )
        })
    }

    proptest! {
        #[test]
        fn order_and_ids_do_not_matter_and_no_rule_is_broken(
            (systems, edges, apart, max, ids) in world(),
            seed in any::<u64>(),
        ) {
            let names: Vec<String> = (0..systems.len()).map(|i| format!("r{i}")).collect();
            for mean in [false, true] {
            let make = |id_of: &dyn Fn(usize) -> i64, turn: usize| {
                let mut nodes: Vec<_> = (0..systems.len())
                    .map(|i| node(id_of(i), systems[i], &names[i]))
                    .collect();
                // Of several scores of a pair, the last would count, so each comes once.
                let once: std::collections::BTreeMap<_, _> =
                    edges.iter().map(|&(a, b, s)| ((a.min(b), a.max(b)), s)).collect();
                let mut list: Vec<_> = once
                    .iter()
                    .map(|(&(a, b), &s)| (a, b, s))
                    .map(|(a, b, s)| if turn > 0 { (b, a, s) } else { (a, b, s) })
                    .map(|(a, b, s)| edge(id_of(a), id_of(b), f32::from(s) / 4.0))
                    .collect();
                let by = turn % nodes.len();
                nodes.rotate_left(by);
                let by = turn % list.len().max(1);
                list.rotate_left(by);
                let apart: Vec<_> = apart.iter().map(|&(a, b)| (id_of(a), id_of(b))).collect();
                if mean {
                    cluster_by_mean(&nodes, &list, &[], &apart, max, 0.4)
                } else {
                    cluster(&nodes, &list, &[], &apart, max)
                }
            };
            let plain = make(&|i| i as i64, 0);
            let other = make(&|i| ids[i] as i64, (seed % 1000) as usize);
            let position = |id: i64| ids.iter().position(|&x| x as i64 == id).unwrap() as i64;
            let mut translated: Vec<Vec<i64>> =
                other.iter().map(|c| c.iter().map(|&id| position(id)).collect()).collect();
            translated.iter_mut().for_each(|c| c.sort_unstable());
            translated.sort();
            prop_assert_eq!(&plain, &translated);

            let mut all: Vec<i64> = plain.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..systems.len() as i64).collect::<Vec<_>>());
            for c in &plain {
                prop_assert!(c.len() <= max.max(1));
                let mut of: Vec<u32> =
                    c.iter().map(|&i| systems[i as usize]).filter(|&s| s > 0).collect();
                let count = of.len();
                of.sort_unstable();
                of.dedup();
                prop_assert_eq!(of.len(), count);
                for &(a, b) in apart.iter().filter(|(a, b)| a != b) {
                    prop_assert!(!(c.contains(&(a as i64)) && c.contains(&(b as i64))));
                }
            }
            }
        }
    }
}
