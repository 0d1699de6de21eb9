//! Derived records that a record no longer makes: its `when` does not hold any more, or its key is another one.

use super::planner::{Planner, Touched};
use super::rows::{EdgeTarget, EntityId, LinkId};
use super::view::Need;
use compact_str::CompactString;
use rustc_hash::FxHashSet;

/// A derived record: its entity, and its key.
type Derived = (EntityId, CompactString);

impl Planner<'_> {
    /// Remembers where a version of a record pointed that does not stand: what it made may be made no longer.
    pub(super) fn forsake(&mut self, link: LinkId, entity: EntityId, edges: &[EdgeTarget]) {
        let Some(conversion) = &self.entity(entity).conversion else { return };
        if !conversion.derived.is_empty() {
            self.forsaken.extend(edges.iter().map(|edge| (link, edge.clone())));
        }
    }

    /// The stored records that say something else than before, or of which a version does not stand, and that
    /// make derived records.
    pub(super) fn changed_makers(&self) -> Vec<LinkId> {
        let makes = |touched: &&Touched| {
            let conversion = &self.entity(touched.entity).conversion;
            conversion.as_ref().is_some_and(|conversion| !conversion.derived.is_empty())
        };
        let changed = self.touched.iter().filter(|t| !t.is_new && t.said && t.edges.is_some());
        let mut makers: Vec<LinkId> = changed.filter(makes).map(|touched| touched.id).collect();
        let is_new = |link| self.touched(link).is_some_and(|touched| touched.is_new);
        makers.extend(self.forsaken.iter().map(|(link, _)| *link).filter(|link| !is_new(*link)));
        makers.sort_unstable();
        makers.dedup();
        makers
    }

    /// Asks for the derived records that are made no longer, and for who else makes them; then marks those that
    /// nobody makes any more as gone.
    pub(super) fn need_derived(&mut self) -> Need {
        let left = self.left_behind();
        if left.is_empty() {
            return Need::default();
        }
        let unknown = |derived: &&Derived| !self.view.makers.contains_key(*derived);
        let asked: Vec<Derived> =
            left.iter().map(|(_, derived)| derived).filter(unknown).cloned().collect();
        if !asked.is_empty() {
            for derived in &asked {
                self.view.makers.insert(derived.clone(), Vec::new());
            }
            return Need { records: asked.clone(), dependents: asked, ..Need::default() };
        }
        let mut need = Need::default();
        for (maker, derived) in left {
            let Some(&link) = self.view.by_record.get(&derived) else { continue };
            if !self.is_made(maker, &derived) {
                need.links.extend(self.abandon(link));
            }
        }
        // Everything is done: the next round finds nothing left behind.
        self.view.stated.clear();
        self.forsaken.clear();
        need
    }

    /// Each derived record that a changed record made before and does not make now, with that record.
    fn left_behind(&self) -> Vec<(LinkId, Derived)> {
        let mut left = Vec::new();
        for (link, edge) in self.view.stated.iter().chain(&self.forsaken) {
            let (entity, _) = self.record(*link);
            let Some(conversion) = &self.entity(entity).conversion else { continue };
            let is_derived = conversion.derived.contains(&(edge.kind, edge.entity));
            if is_derived && !self.states(*link, edge) {
                left.push((*link, (edge.entity, edge.target.clone())));
            }
        }
        left
    }

    /// Whether a record states an edge, with what the batch says of it.
    fn states(&self, link: LinkId, edge: &EdgeTarget) -> bool {
        match self.touched(link) {
            Some(Touched { edges: Some(edges), .. }) => edges.contains(edge),
            Some(Touched { is_new: true, .. }) => false,
            _ => self.view.stated.iter().any(|(of, stated)| *of == link && stated == edge),
        }
    }

    /// Whether a record other than `maker` makes a derived record.
    fn is_made(&self, maker: LinkId, derived: &Derived) -> bool {
        let states = |touched: &Touched| {
            let edges = touched.edges.iter().flatten();
            let mut targets = edges.map(|edge| (edge.entity, &edge.target));
            targets.any(|target| target == (derived.0, &derived.1))
        };
        let known = self.view.makers.get(derived).into_iter().flatten();
        let makers: FxHashSet<LinkId> = known.copied().filter(|link| *link != maker).collect();
        // What the batch says of a record counts, else what is stored of it.
        makers.iter().any(|link| match self.touched_of.get(link) {
            Some(&index) if self.touched[index].edges.is_some() => states(&self.touched[index]),
            _ => self.view.links.get(link).is_none_or(|row| !row.deleted),
        }) || self.touched.iter().any(|touched| touched.id != maker && states(touched))
    }

    /// Marks a derived record as gone; returns it where it is to be read.
    fn abandon(&mut self, link: LinkId) -> Option<LinkId> {
        if let Some(&index) = self.touched_of.get(&link) {
            self.touched[index].deleted = true;
            return None;
        }
        let row = self.view.links.get(&link).filter(|row| !row.deleted)?;
        let touched = Touched { deleted: true, ..Touched::stored(row) };
        self.push_touched(touched);
        Some(link)
    }
}
