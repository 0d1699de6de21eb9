//! What of stored records is compared, remembered from batch to batch: most records that a batch is compared with
//! have been read or written before.

use super::planner::Planner;
use super::rows::LinkId;
use super::writes::Plan;
use crate::matching::Features;
use rustc_hash::FxHashMap;

/// A generation may take so many bytes; there are two. Both together hold the records of a first load of a million.
const BYTES_MAX: usize = 1 << 28;

/// What is remembered of stored records. It holds for one state of the store, and is forgotten in another.
///
/// What is not remembered is read from the store: nothing but speed hangs on it.
#[derive(Debug, Default)]
pub struct Recall {
    /// The state, as [`super::view::Found::epoch`] names it.
    epoch: u64,
    /// What was remembered last.
    young: Generation,
    /// What was remembered before that, and goes first.
    old: Generation,
    /// What holds once the plan is committed.
    learned: FxHashMap<LinkId, Features>,
}

#[derive(Debug, Default)]
struct Generation {
    features: FxHashMap<LinkId, Features>,
    bytes: usize,
}

impl Recall {
    /// Forgets everything, unless it holds for the state `epoch`.
    pub(super) fn suit(&mut self, epoch: u64) {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
    }

    /// What of a link's record is compared, where it is remembered.
    pub(super) fn get(&self, link: LinkId) -> Option<&Features> {
        self.young.features.get(&link).or_else(|| self.old.features.get(&link))
    }

    /// Goes on to the state `after`, which a plan made of the state `before` by changing the links `changed`.
    pub fn pass(&mut self, before: u64, after: u64, changed: &[LinkId]) {
        let learned = std::mem::take(&mut self.learned);
        self.suit(before);
        self.epoch = after;
        for link in changed {
            self.young.features.remove(link);
            self.old.features.remove(link);
        }
        for (link, features) in learned {
            if self.young.bytes >= BYTES_MAX {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.bytes += features.size();
            self.young.features.insert(link, features);
        }
    }
}

impl Planner<'_> {
    /// What is remembered once `plan` is committed.
    pub(super) fn recall_after(&mut self, plan: &Plan) -> Recall {
        // The number of a record that made no link goes to another.
        let is_stored = |link: &LinkId| {
            let is_new = self.touched(*link).is_some_and(|touched| touched.is_new);
            !is_new || plan.links_new.binary_search_by_key(link, |row| row.id).is_ok()
        };
        let learned = self.view.prepared.iter().filter(|(link, _)| is_stored(link));
        let learned = learned.map(|(link, features)| (*link, features.clone())).collect();
        Recall { learned, ..std::mem::take(&mut self.recall) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(links: &[i64]) -> FxHashMap<LinkId, Features> {
        links.iter().map(|link| (LinkId(*link), Features::default())).collect()
    }

    fn knows(recall: &Recall, links: &[i64]) -> Vec<bool> {
        links.iter().map(|link| recall.get(LinkId(*link)).is_some()).collect()
    }

    #[test]
    fn what_was_learned_holds_from_the_commit_on_until_another_writes() {
        let mut recall = Recall::default();
        recall.suit(5);
        recall.learned = learned(&[1, 2]);
        assert_eq!(knows(&recall, &[1, 2]), [false, false]);
        recall.pass(5, 6, &[]);
        recall.suit(6);
        assert_eq!(knows(&recall, &[1, 2]), [true, true]);
        // Another plan changes a record and says nothing of what is compared of it.
        recall.pass(6, 7, &[LinkId(2)]);
        recall.suit(7);
        assert_eq!(knows(&recall, &[1, 2]), [true, false]);
        recall.suit(9);
        assert_eq!(knows(&recall, &[1, 2]), [false, false]);
        recall.learned = learned(&[3]);
        recall.pass(8, 9, &[]);
        assert_eq!(knows(&recall, &[1, 3]), [false, true]);
    }
}
