//! So many calls in so much time.

use std::collections::VecDeque;

/// Above this, the calls of a window are counted instead of remembered one by one.
const REMEMBERED_MAX: u32 = 10_000;

/// So many calls in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Rate {
    pub(in super::super) calls: u32,
    /// In microseconds.
    pub(in super::super) per: i64,
    /// Whether a window begins anew when the last one ends, instead of moving along.
    pub(in super::super) is_fixed: bool,
}

/// The calls that count against a rate. Times are in microseconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Window {
    rate: Rate,
    /// The calls of a moving window, oldest first.
    calls: VecDeque<i64>,
    /// When a fixed window began, and how many calls it has had.
    began: i64,
    count: u32,
}

impl Window {
    pub(super) fn new(rate: Rate) -> Self {
        let is_fixed = rate.is_fixed || rate.calls > REMEMBERED_MAX;
        let rate = Rate { calls: rate.calls.max(1), per: rate.per.max(1), is_fixed };
        Self { rate, calls: VecDeque::new(), began: i64::MIN / 2, count: 0 }
    }

    /// When a call can be made that leaves `reserve` calls of the window to others.
    pub(super) fn ready_at(&self, now: i64, reserve: f64) -> i64 {
        let kept = (f64::from(self.rate.calls) * reserve).floor() as u32;
        let most = self.rate.calls.saturating_sub(kept).max(1);
        if self.rate.is_fixed {
            let end = self.began + self.rate.per;
            return if now >= end || self.count < most { now } else { end };
        }
        let before = self.calls.len().checked_sub(most as usize);
        let freed = before.and_then(|index| self.calls.get(index)).map(|call| call + self.rate.per);
        freed.map_or(now, |freed| freed.max(now))
    }

    /// Counts a call.
    pub(super) fn take(&mut self, now: i64) {
        if self.rate.is_fixed {
            if now >= self.began + self.rate.per {
                (self.began, self.count) = (now, 0);
            }
            self.count += 1;
            return;
        }
        self.calls.push_back(now);
        while self.calls.len() > self.rate.calls as usize {
            self.calls.pop_front();
        }
    }
}
