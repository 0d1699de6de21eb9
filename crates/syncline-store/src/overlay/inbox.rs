//! Notices, in an overlay.

use crate::notice::{Notice, NoticeRow};
use std::collections::{BTreeMap, BTreeSet};

/// The numbers of its own notices begin here, far above those of any base.
const FIRST: i64 = 1 << 62;

/// What an overlay holds of them.
#[derive(Default)]
pub(super) struct Inbox {
    given: i64,
    waiting: BTreeMap<i64, Notice>,
    /// Those of the base that were heeded here.
    heeded: BTreeSet<i64>,
}

impl Inbox {
    pub(super) fn note(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            self.waiting.retain(|_, known| *known != notice);
            self.waiting.insert(FIRST + self.given, notice);
            self.given += 1;
        }
    }

    pub(super) fn heed(&mut self, ids: Vec<i64>) {
        for id in ids {
            if self.waiting.remove(&id).is_none() {
                self.heeded.insert(id);
            }
        }
    }

    /// Makes of the base's notices for `task` those that wait here.
    pub(super) fn add(&self, task: &str, rows: &mut Vec<NoticeRow>) {
        let own: Vec<NoticeRow> = self
            .waiting
            .iter()
            .filter(|(_, notice)| notice.task == task)
            .map(|(id, notice)| NoticeRow { id: *id, notice: notice.clone() })
            .collect();
        let is_new = |row: &NoticeRow| own.iter().any(|known| known.notice == row.notice);
        rows.retain(|row| !self.heeded.contains(&row.id) && !is_new(row));
        rows.extend(own);
    }
}
