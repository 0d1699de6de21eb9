//! Items are held against what is known of their records: which links change?

use super::planner::{Fate, Moment, Outcome, Planner, Touched};
use super::rows::{Decision, EdgeTarget, EntityId, LinkId, LinkRow, Verdict};
use super::rules::{Content, Digest, Item};
use crate::shard::Image;
use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

impl Planner<'_> {
    /// Takes back what a later version of the same record undid: a key that stands twice in a source would
    /// otherwise be written at every read.
    pub(super) fn leave_what_came_full_circle(&mut self) {
        let view = &self.view;
        let is_as_stored = |touched: &Touched| {
            let row = view.links.get(&touched.id).filter(|_| !touched.is_new && touched.said);
            row.is_some_and(|row| {
                (row.hash, row.modified, &row.contributor, row.deleted)
                    == (touched.hash, touched.modified, &touched.contributor, touched.deleted)
            })
        };
        if !self.touched.iter().any(is_as_stored) {
            return;
        }
        let (undone, kept) = std::mem::take(&mut self.touched).into_iter().partition(is_as_stored);
        let (undone, kept): (Vec<Touched>, Vec<Touched>) = (undone, kept);
        let undone: FxHashSet<LinkId> = undone.into_iter().map(|touched| touched.id).collect();
        let before = std::mem::take(&mut self.touched_of);
        let id_of: FxHashMap<usize, LinkId> = before.into_iter().map(|(id, i)| (i, id)).collect();
        self.touched_of = kept.iter().enumerate().map(|(i, touched)| (touched.id, i)).collect();
        self.touched = kept;
        for fate in &mut self.fates {
            let id = match fate {
                Fate::Touched(index) => id_of[index],
                Fate::Known(Outcome::Updated, Some(id)) => *id,
                Fate::Known(..) => continue,
            };
            *fate = match self.touched_of.get(&id) {
                Some(&index) if matches!(fate, Fate::Touched(_)) => Fate::Touched(index),
                None if undone.contains(&id) => Fate::Known(Outcome::Unchanged, Some(id)),
                _ => continue,
            };
        }
    }

    /// Whether no record says anything new, and nothing is to be looked at for another reason: no cluster changes then.
    pub(super) fn leaves_all(&self) -> bool {
        self.touched.is_empty()
            && self.reformed.is_empty()
            && self.rekeyed.is_empty()
            && self.forsaken.is_empty()
            && self.view.stated.is_empty()
    }

    /// Leaves a link as it is: its record says what was expected.
    pub(super) fn leave(&mut self, item: Item, id: LinkId) -> Fate {
        self.join(&(item.entity, item.external_id), id);
        self.met.insert(id);
        Fate::Known(Outcome::Unchanged, Some(id))
    }

    /// Holds an item against what is known of its record, and marks the link where something changed.
    pub(super) fn touch(&mut self, item: Item) -> Fate {
        let record = (item.entity, item.external_id.clone());
        let known = self.view.by_record.get(&record).copied();
        let target = self.entity(item.entity).target;
        let Content::Image { image, edges, .. } = item.content else {
            return self.touch_deleted(known, item.modified);
        };
        let digest = item.digest;
        let digest =
            digest.unwrap_or_else(|| Digest::of(self.type_of(item.entity), &image, &edges, false));
        let hash = digest.hash;
        let said = Said { image, digest, edges };
        let Some(id) = known else {
            let id = self.name_anew(record.clone());
            self.join(&record, id);
            return self.add_touched(
                id,
                true,
                item.entity,
                item.external_id,
                item.modified,
                item.contributor,
                said,
            );
        };
        self.join(&record, id);
        let now = self.state(id);
        self.met.insert(id);
        let later = self.news.is_fresh
            || now.accepts(item.modified, item.contributor.as_ref(), self.moment);
        if now.hash == hash && !now.deleted {
            let is_news = now.contributor != item.contributor || item.modified > now.modified;
            if later && is_news && (item.contributor.is_some() || target.update_if_exists) {
                return self.restamp(
                    id,
                    &item.external_id,
                    item.entity,
                    item.modified,
                    item.contributor,
                    said,
                );
            }
            return Fate::Known(Outcome::Unchanged, Some(id));
        }
        // A deleted record stays so on the word of an older version: it is not among those that are there.
        let there = (!now.deleted).then_some(id);
        if !later {
            self.forsake(id, item.entity, &said.edges);
            return Fate::Known(Outcome::Unchanged, there);
        }
        if !target.update_if_exists {
            return Fate::Known(Outcome::Filtered, there);
        }
        let is_another = now.deleted && self.is_another(&record, id, &said.image);
        let id = if is_another {
            self.supersede(&record, id);
            self.name_anew(record)
        } else {
            self.revived.extend((now.deleted && item.counts).then_some(id));
            id
        };
        self.add_touched(
            id,
            is_another,
            item.entity,
            item.external_id,
            item.modified,
            item.contributor,
            said,
        )
    }

    /// A link for a record that has none.
    fn name_anew(&mut self, record: (EntityId, CompactString)) -> LinkId {
        let id = LinkId(self.view.next_link);
        self.view.next_link += 1;
        self.view.by_record.insert(record, id);
        id
    }

    /// Where a record is what came of a creation of ours, it belongs to the shard that it was made from, whatever the
    /// match rules say. Either way its cluster is looked at: what was written is agreed on.
    fn join(&mut self, record: &(EntityId, CompactString), id: LinkId) {
        self.keep_apart(record, id);
        let Some(ack) = self.arrivals.acks.get(record) else { return };
        let joins = ack.joins.filter(|joins| *joins != id);
        self.reformed.push(id);
        if let Some(other) = joins {
            let (a, b) = (id.min(other), id.max(other));
            let (by, why) = ("syncline".to_owned(), "made from its shard".to_owned());
            let at = self.moment.started;
            let decision = Decision { a, b, verdict: Verdict::Same, by, at, why };
            self.view.add_decision(decision.clone());
            self.rulings.decided.push(decision);
        }
    }

    fn touch_deleted(&mut self, known: Option<LinkId>, modified: Option<i64>) -> Fate {
        let Some(id) = known else { return Fate::Known(Outcome::Unchanged, None) };
        let now = self.state(id);
        self.met.insert(id);
        let later = self.news.is_fresh || now.accepts(modified, None, self.moment);
        if now.deleted || !later {
            return Fate::Known(Outcome::Unchanged, Some(id));
        }
        let modified = modified.or(now.modified);
        if let Some(&index) = self.touched_of.get(&id) {
            (self.touched[index].deleted, self.touched[index].modified) = (true, modified);
            return Fate::Known(Outcome::Tombstoned, Some(id));
        }
        let row = &self.view.links[&id];
        let touched = Touched { deleted: true, modified, ..Touched::stored(row) };
        Fate::Touched(self.push_touched(touched))
    }

    #[expect(clippy::too_many_arguments, reason = "an item taken apart, and its link")]
    fn add_touched(
        &mut self,
        id: LinkId,
        is_new: bool,
        entity: EntityId,
        external_id: CompactString,
        modified: Option<i64>,
        contributor: Option<CompactString>,
        said: Said,
    ) -> Fate {
        let Digest { json, hash, keys, prepared } = said.digest;
        let (keys, prepared) = match keys {
            Some(keys) => (keys, prepared),
            None => self.type_of(entity).matcher.prepare_with_keys(&said.image),
        };
        let image = Arc::new(said.image);
        if let Some(features) = prepared {
            self.view.prepared.insert(id, features);
        }
        if let Some(&index) = self.touched_of.get(&id) {
            let before = self.touched[index].edges.take().unwrap_or_default();
            self.forsake(id, entity, &before);
            let touched = &mut self.touched[index];
            (touched.modified, touched.contributor) = (modified, contributor);
            (touched.image, touched.json, touched.hash) = (image, json, hash);
            (touched.edges, touched.keys) = (Some(said.edges), keys);
            touched.deleted = false;
            touched.observed = self.moment.started;
            return Fate::Known(Outcome::Updated, Some(id));
        }
        let touched = Touched {
            id,
            is_new,
            entity,
            external_id,
            modified,
            contributor,
            deleted: false,
            observed: self.moment.started,
            image,
            json,
            hash,
            edges: (!is_new || !said.edges.is_empty()).then_some(said.edges),
            keys,
            keys_old: Vec::new(),
            unmoved: 0,
            said: true,
        };
        Fate::Touched(self.push_touched(touched))
    }

    pub(super) fn push_touched(&mut self, touched: Touched) -> usize {
        self.restamped.remove(&touched.id);
        self.touched_of.insert(touched.id, self.touched.len());
        self.touched.push(touched);
        self.touched.len() - 1
    }

    /// A record says the same at a later time; a shared derived record, on the word of another contributor.
    fn restamp(
        &mut self,
        id: LinkId,
        external_id: &CompactString,
        entity: EntityId,
        modified: Option<i64>,
        contributor: Option<CompactString>,
        said: Said,
    ) -> Fate {
        if let Some(&index) = self.touched_of.get(&id) {
            let touched = &mut self.touched[index];
            (touched.modified, touched.contributor) = (modified, contributor);
            return Fate::Known(Outcome::Unchanged, Some(id));
        }
        if !self.type_of(entity).matcher.is_empty() {
            // Stamps take part in survivorship, so the cluster is looked at again.
            self.add_touched(id, false, entity, external_id.clone(), modified, contributor, said);
            return Fate::Known(Outcome::Unchanged, Some(id));
        }
        let row = self.restamped.entry(id).or_insert_with(|| self.view.links[&id].clone());
        (row.modified, row.contributor) = (modified, contributor);
        Fate::Known(Outcome::Unchanged, Some(id))
    }

    fn state(&self, id: LinkId) -> State {
        if let Some(&index) = self.touched_of.get(&id) {
            let touched = &self.touched[index];
            return State {
                hash: touched.hash,
                deleted: touched.deleted,
                modified: touched.modified,
                contributor: touched.contributor.clone(),
                observed: self.moment.started,
            };
        }
        let row = self.restamped.get(&id).unwrap_or_else(|| &self.view.links[&id]);
        State {
            hash: row.hash,
            deleted: row.deleted,
            modified: row.modified,
            contributor: row.contributor.clone(),
            observed: if self.has_met(id) { self.moment.started } else { row.observed },
        }
    }

    /// Whether this execution has met the record before.
    fn has_met(&self, id: LinkId) -> bool {
        let bit = usize::try_from(id.0).unwrap_or(usize::MAX);
        let is_seen = self.seen.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0);
        is_seen || self.met.contains(&id)
    }
}

impl Touched {
    /// A link as it is stored. What it said is not said again: it is taken from the store in the next round.
    pub(super) fn stored(row: &LinkRow) -> Self {
        Self {
            id: row.id,
            is_new: false,
            entity: row.entity,
            external_id: row.external_id.clone(),
            modified: row.modified,
            contributor: row.contributor.clone(),
            deleted: row.deleted,
            observed: row.observed,
            image: Arc::default(),
            json: Arc::from(""),
            hash: row.hash,
            edges: None,
            keys: Vec::new(),
            keys_old: Vec::new(),
            unmoved: 0,
            said: false,
        }
    }
}

struct Said {
    image: Image,
    digest: Digest,
    edges: Vec<EdgeTarget>,
}

/// What is known of a record at some point of the batch.
struct State {
    hash: u128,
    deleted: bool,
    modified: Option<i64>,
    contributor: Option<CompactString>,
    observed: i64,
}

impl State {
    /// Whether what `contributor` said at `modified` stands against what is known.
    ///
    /// Of several contributors the latest one stands, then the first in order of external id. Of several
    /// versions of one record in one execution the latest one stands, then the one read last.
    fn accepts(
        &self,
        modified: Option<i64>,
        contributor: Option<&CompactString>,
        moment: Moment,
    ) -> bool {
        match (&self.contributor, contributor) {
            (Some(known), Some(new)) if known != new => {
                (modified, std::cmp::Reverse(new)) > (self.modified, std::cmp::Reverse(known))
            }
            _ => {
                let is_rerun = self.observed == moment.started || moment.is_replay;
                !(is_rerun && modified.is_some() && modified < self.modified)
            }
        }
    }
}
