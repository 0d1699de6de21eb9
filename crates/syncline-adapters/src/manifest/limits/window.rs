//! So many calls in so much time.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Above this, the calls of a window are counted instead of remembered one by one.
const REMEMBERED_MAX: u32 = 10_000;
/// The longest that a lease lasts, in microseconds.
const LEASE_MAX: i64 = 1_000_000;
/// A lease has at most this share of the calls of a window, and lasts for at most this share of it.
const LEASE_SHARE: u32 = 20;
/// A lease has at most so many calls where a tenth of a second's are fewer, since a process that dies takes them along.
const LEASED_MAX: u32 = 20;

/// So many calls in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Rate {
    pub(in super::super) calls: u32,
    /// In microseconds.
    pub(in super::super) per: i64,
    /// Whether a window begins anew when the last one ends, instead of moving along.
    pub(in super::super) is_fixed: bool,
}

/// The calls that count against a rate. Times are in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    rate: Rate,
    /// The calls of a moving window, oldest first.
    calls: VecDeque<Calls>,
    /// When a fixed window began.
    began: i64,
    /// How many calls it has had, or how many are remembered.
    count: u32,
}

/// Calls that were made at a moment, or that a process may make until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Calls {
    until: i64,
    count: u32,
    /// The process that may make them.
    leased_to: Option<u32>,
}

/// Calls that this process may make without asking any other.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    process: u32,
    count: u32,
    used: u32,
    /// When the last of them was made.
    last: i64,
    until: i64,
    /// When the fixed window began that they count against.
    began: i64,
}

impl Lease {
    /// Whether a call of `weight` can be made of it.
    pub(super) fn covers(&self, now: i64, weight: u32) -> bool {
        now < self.until && self.used + weight <= self.count
    }

    /// Makes a call.
    pub(super) fn take(&mut self, now: i64, weight: u32) {
        self.used += weight;
        self.last = now;
    }
}

impl Window {
    pub(super) fn new(rate: Rate) -> Self {
        let is_fixed = rate.is_fixed || rate.calls > REMEMBERED_MAX;
        let rate = Rate { calls: rate.calls.max(1), per: rate.per.max(1), is_fixed };
        Self { rate, calls: VecDeque::new(), began: i64::MIN / 2, count: 0 }
    }

    /// Whether both count against the same rate.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.rate == other.rate
    }

    /// How many calls a window may have where `reserve` of them are left to others.
    fn most(&self, reserve: f64) -> u32 {
        let kept = (f64::from(self.rate.calls) * reserve).floor() as u32;
        self.rate.calls.saturating_sub(kept).max(1)
    }

    /// When a call of `weight` can be made that leaves `reserve` calls of the window to others.
    pub(super) fn ready_at(&self, now: i64, reserve: f64, weight: u32) -> i64 {
        let most = self.most(reserve).max(weight);
        if self.rate.is_fixed {
            let end = self.began + self.rate.per;
            return if now >= end || self.count + weight <= most { now } else { end };
        }
        let mut count = self.count + weight;
        let mut ready = now;
        for calls in &self.calls {
            if count <= most {
                break;
            }
            count -= calls.count;
            ready = now.max(calls.until + self.rate.per);
        }
        ready
    }

    /// Counts a call.
    pub(super) fn take(&mut self, now: i64, weight: u32) {
        self.add(now, Calls { until: now, count: weight, leased_to: None });
    }

    fn add(&mut self, now: i64, calls: Calls) {
        if self.rate.is_fixed {
            if now >= self.began + self.rate.per {
                (self.began, self.count) = (now, 0);
            }
            self.count += calls.count;
            return;
        }
        self.count += calls.count;
        self.calls.push_back(calls);
        self.forget(now);
    }

    /// Forgets the calls that count no more.
    fn forget(&mut self, now: i64) {
        while self.calls.front().is_some_and(|calls| calls.until + self.rate.per <= now) {
            self.count -= self.calls.pop_front().map_or(0, |calls| calls.count);
        }
    }

    /// Lets `process` make calls on its own, at least one of `weight`, for which there has to be room.
    pub(super) fn lease(&mut self, process: u32, now: i64, reserve: f64, weight: u32) -> Lease {
        let Rate { calls, per, is_fixed } = self.rate;
        self.forget(now);
        let tenth_of_a_second = i64::from(calls) * 100_000 / per;
        let slice = u32::try_from(tenth_of_a_second).unwrap_or(calls).max(LEASED_MAX);
        let is_over = is_fixed && now >= self.began + per;
        let room = self.most(reserve).saturating_sub(if is_over { 0 } else { self.count });
        let count = (calls / LEASE_SHARE).min(slice).min(room).max(weight);
        let mut until = now + (per / i64::from(LEASE_SHARE)).clamp(1, LEASE_MAX);
        self.add(now, Calls { until, count, leased_to: Some(process) });
        if is_fixed {
            until = until.min(self.began + per);
        }
        Lease { process, count, used: 0, last: now, until, began: self.began }
    }

    /// Takes back what is left of a lease.
    pub(super) fn settle(&mut self, lease: &Lease) {
        let left = lease.count.saturating_sub(lease.used);
        if self.rate.is_fixed {
            if self.began == lease.began {
                self.count = self.count.saturating_sub(left);
            }
            return;
        }
        let is_this =
            |calls: &Calls| calls.leased_to == Some(lease.process) && calls.until == lease.until;
        let Some(position) = self.calls.iter().position(is_this) else { return };
        self.count -= left;
        let calls = Calls { until: lease.last, count: lease.used, leased_to: None };
        self.calls.remove(position);
        if calls.count > 0 {
            let position = self.calls.partition_point(|other| other.until <= calls.until);
            self.calls.insert(position, calls);
        }
    }
}
