//! Messages that came lately, so that one that is sent again is not heeded again.

use std::collections::{HashSet, VecDeque};

/// So many are remembered. One that is forgotten, as by a restart, only leads to another look.
const MARKS_MAX: usize = 10_000;

/// The marks of messages that came lately.
#[derive(Default)]
pub(super) struct Recent {
    marks: HashSet<u128>,
    order: VecDeque<u128>,
}

impl Recent {
    pub(super) fn holds(&self, mark: u128) -> bool {
        self.marks.contains(&mark)
    }

    pub(super) fn add(&mut self, mark: u128) {
        if !self.marks.insert(mark) {
            return;
        }
        self.order.push_back(mark);
        if self.order.len() > MARKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut recent = Recent::default();
        let most = MARKS_MAX as u128;
        (0..=most).for_each(|mark| recent.add(mark));
        recent.add(most);
        assert!(!recent.holds(0) && recent.holds(1) && recent.holds(most));
        assert_eq!(recent.order.len(), MARKS_MAX);
    }
}
