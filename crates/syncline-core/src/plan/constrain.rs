//! What people decided of records, and what they decide with a plan.

use super::planner::Planner;
use super::rows::{Decision, LinkId, Verdict};
use super::view::View;
use rustc_hash::FxHashSet;

/// What a person decides with a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rulings {
    /// What is decided from now on; one for a pair.
    pub decided: Vec<Decision>,
    /// Pairs of which nothing is decided any more; none of those above.
    pub revoked: Vec<(LinkId, LinkId)>,
}

impl Rulings {
    /// Decides the same of every pair of a record of `left` and one of `right`.
    pub fn decide(
        &mut self,
        left: &[LinkId],
        right: &[LinkId],
        verdict: Verdict,
        (by, at, why): (&str, i64, &str),
    ) {
        for &l in left {
            for &r in right.iter().filter(|&&r| r != l) {
                let (a, b) = (l.min(r), l.max(r));
                let (by, why) = (by.to_owned(), why.to_owned());
                self.decided.retain(|known| (known.a, known.b) != (a, b));
                self.revoked.retain(|&pair| pair != (a, b));
                self.decided.push(Decision { a, b, verdict, by, at, why });
            }
        }
    }

    /// The pairs that it speaks of.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (LinkId, LinkId)> {
        let decided = self.decided.iter().map(|decision| (decision.a, decision.b));
        decided.chain(self.revoked.iter().copied())
    }

    /// Whether it says something of the pair.
    pub(super) fn covers(&self, a: LinkId, b: LinkId) -> bool {
        self.pairs().any(|pair| pair == (a, b))
    }
}

impl View {
    pub(super) fn add_decision(&mut self, decision: Decision) {
        let (a, b) = (decision.a, decision.b);
        if self.decisions.insert((a, b), decision).is_none() {
            self.decided.entry(a).or_default().push(b);
            self.decided.entry(b).or_default().push(a);
        }
    }
}

impl Planner<'_> {
    /// The records of which it was decided that they are (or are not) the same as `link`.
    pub(super) fn decided(
        &self,
        link: LinkId,
        verdict: Verdict,
    ) -> impl Iterator<Item = LinkId> + '_ {
        let others = self.view.decided.get(&link).into_iter().flatten().copied();
        others.filter(move |&other| {
            let pair = (link.min(other), link.max(other));
            self.view.decisions[&pair].verdict == verdict
        })
    }

    /// The pairs among `links` of which it was decided that they are (or are not) the same.
    pub(super) fn decided_among(&self, links: &[LinkId], verdict: Verdict) -> Vec<(i64, i64)> {
        if self.view.decisions.is_empty() {
            return Vec::new();
        }
        let among: FxHashSet<LinkId> = links.iter().copied().collect();
        let pairs = links.iter().flat_map(|&a| {
            let later = self.decided(a, verdict).filter(move |&b| a < b);
            later.map(move |b| (a, b))
        });
        pairs.filter(|(_, b)| among.contains(b)).map(|(a, b)| (a.0, b.0)).collect()
    }

    /// Who decided that a record of `some` is the same as one of `others`; the latest one counts.
    pub(super) fn decided_by(&self, some: &[LinkId], others: &[LinkId]) -> Option<&str> {
        let found = some.iter().flat_map(|&a| {
            let same = self.decided(a, Verdict::Same).filter(|b| others.contains(b));
            same.map(move |b| &self.view.decisions[&(a.min(b), a.max(b))])
        });
        found.max_by_key(|decision| (decision.at, decision.a, decision.b)).map(|d| d.by.as_str())
    }
}
