//! A connection that fails again and again is left alone for a while.

/// When a connection is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct BreakerRule {
    /// Failures in a row.
    pub(in super::super) failures: u32,
    /// In microseconds.
    pub(in super::super) pause: i64,
}

/// Counts failures in a row. Once there are too many, nothing is asked for a while; then one call is let through, and
/// its outcome decides.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    rule: BreakerRule,
    failures: u32,
    /// Until when nothing is asked.
    open_until: Option<i64>,
    /// A call is on its way that decides; if nothing is heard of it until then, another one goes.
    trying_until: Option<i64>,
}

impl Breaker {
    pub(super) fn new(rule: BreakerRule) -> Self {
        Self { rule, failures: 0, open_until: None, trying_until: None }
    }

    /// Until when nothing is asked; `None` where calls go through.
    pub(super) fn open_until(&self, now: i64) -> Option<i64> {
        let until = self.open_until?;
        if now < until {
            return Some(until);
        }
        self.trying_until.filter(|until| now < *until)
    }

    /// A call goes through.
    pub(super) fn take(&mut self, now: i64) {
        if self.open_until.is_some() {
            self.trying_until = Some(now + self.rule.pause);
        }
    }

    /// A call ended.
    pub(super) fn heard(&mut self, now: i64, failed: bool) {
        self.trying_until = None;
        if !failed {
            (self.failures, self.open_until) = (0, None);
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.rule.failures {
            self.open_until = Some(now + self.rule.pause);
        }
    }
}
