//! Which call goes next, and when: decided from what was declared, what was called, and what the system said.

use super::breaker::{Breaker, BreakerRule};
use super::said::Said;
use super::window::{Lease, Rate, Window};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is asked of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Operation {
    Fetch,
    Create,
    Update,
    Delete,
}

impl Operation {
    /// Whether it changes something. What is owed goes before what is read.
    fn is_write(self) -> bool {
        self != Self::Fetch
    }
}

/// What a connection may be asked for.
#[derive(Clone, Debug)]
pub(in super::super) struct Rules {
    /// The rates, and which calls count against each.
    pub(in super::super) rates: Vec<Rate>,
    /// The share of every window that is kept for writes.
    pub(in super::super) reserve: f64,
    /// The longest that a call waits, in microseconds.
    pub(in super::super) wait_max: i64,
    pub(in super::super) breaker: BreakerRule,
}

impl Default for Rules {
    fn default() -> Self {
        let breaker = BreakerRule { failures: 10, pause: 60_000_000 };
        Self { rates: Vec::new(), reserve: 0.1, wait_max: 600_000_000, breaker }
    }
}

/// A call that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Ask {
    pub(in super::super) operation: Operation,
    /// Whose it is: calls of equal urgency go in turns.
    pub(in super::super) key: String,
    /// The rates that it counts against, by index, and as how many calls.
    pub(in super::super) rates: Vec<(usize, u32)>,
}

/// What the processes that ask one system know of each other.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    windows: Vec<Window>,
    /// Nothing is asked before.
    resume: Option<i64>,
}

/// What is done about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Decision {
    Go,
    /// Calls have to be leased first, for which [`Pace::claim`] is there.
    Claim,
    /// Asks again after so many microseconds, or as soon as another call went or ended.
    Wait(i64),
    /// The connection is left alone until this moment.
    Open(i64),
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// How fast one connection is asked. All moments are in microseconds since 1970, and given from outside.
#[derive(Debug)]
pub(super) struct Pace {
    rules: Rules,
    windows: Vec<Window>,
    /// This process, where others ask the same system, and what of each window it may make on its own.
    process: Option<u32>,
    leases: Vec<Option<Lease>>,
    breaker: Breaker,
    /// Nothing is asked before.
    resume: i64,
    /// The time between two calls, where few are left, and until when that holds.
    gap: i64,
    gap_until: i64,
    last: i64,
    waiting: BTreeMap<Ticket, Ask>,
    next_ticket: u64,
    /// When each key had its last turn.
    turns: BTreeMap<String, u64>,
    turn: u64,
}

/// From this share of used calls on, what is left is spread over the time that is left.
const SPARING_FROM: f64 = 0.7;
/// From this share on, all of it; before, half.
const SPARING_ALL_FROM: f64 = 0.9;

impl Pace {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            windows: rules.rates.iter().copied().map(Window::new).collect(),
            process: None,
            leases: vec![None; rules.rates.len()],
            breaker: Breaker::new(rules.breaker),
            rules,
            resume: i64::MIN / 2,
            gap: 0,
            gap_until: 0,
            last: i64::MIN / 2,
            waiting: BTreeMap::new(),
            next_ticket: 0,
            turns: BTreeMap::new(),
            turn: 0,
        }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Shares the rates with other processes, to which it is known as `process`.
    pub(super) fn share(&mut self, process: u32) {
        self.process = Some(process);
    }

    /// Joins the queue.
    pub(super) fn join(&mut self, ask: Ask) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, ask);
        ticket
    }

    /// Leaves the queue without having been called.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
    }

    /// Decides about a call. `Go` takes it out of the queue, and counts it.
    pub(super) fn decide(&mut self, ticket: Ticket, now: i64) -> Decision {
        let Some(ask) = self.waiting.get(&ticket) else { return Decision::Go };
        if let Some(until) = self.breaker.open_until(now) {
            return Decision::Open(until);
        }
        let ready = self.ready_at(ask, now);
        if ready > now {
            return Decision::Wait(ready - now);
        }
        if self.first(now) != Some(ticket) {
            // Whoever is first tells the others when it went.
            return Decision::Wait(1_000_000);
        }
        if self.process.is_some() && !ask.rates.iter().all(|rate| self.covers(rate, now)) {
            return Decision::Claim;
        }
        self.take(ticket, now);
        Decision::Go
    }

    /// Whether a lease has room for calls that count against a rate.
    fn covers(&self, (index, weight): &(usize, u32), now: i64) -> bool {
        let lease = self.leases.get(*index).and_then(Option::as_ref);
        lease.is_some_and(|lease| lease.covers(now, *weight))
    }

    /// Takes over what other processes did, and leases the calls that a ticket needs where there is room for them;
    /// where there is none, [`Pace::decide`] tells how long to wait.
    pub(super) fn claim(&mut self, ticket: Ticket, standing: &mut Standing, now: i64) {
        self.meet(standing, now);
        let (Some(process), Some(ask)) = (self.process, self.waiting.get(&ticket)) else { return };
        let reserve = self.reserve(ask);
        for (index, weight) in &ask.rates {
            let (Some(window), Some(lease)) =
                (self.windows.get_mut(*index), self.leases.get_mut(*index))
            else {
                continue;
            };
            if lease.as_ref().is_some_and(|lease| lease.covers(now, *weight)) {
                continue;
            }
            if let Some(old) = lease.take() {
                window.settle(&old);
            }
            if window.ready_at(now, reserve, *weight) <= now {
                *lease = Some(window.lease(process, now, reserve, *weight));
            }
        }
        standing.windows.clone_from(&self.windows);
    }

    /// Gives back what is left of its leases.
    pub(super) fn give_back(&mut self, standing: &mut Standing) {
        self.meet(standing, i64::MAX / 2);
        standing.windows.clone_from(&self.windows);
    }

    /// Takes over what other processes did. Leases that are over or used up by `now` end.
    fn meet(&mut self, standing: &mut Standing, now: i64) {
        self.tell(standing);
        let known = std::mem::take(&mut standing.windows);
        for (window, known) in self.windows.iter_mut().zip(known) {
            if window.is_like(&known) {
                *window = known;
            }
        }
        for (window, lease) in self.windows.iter_mut().zip(&mut self.leases) {
            if let Some(over) = lease.take_if(|lease| !lease.covers(now, 1)) {
                window.settle(&over);
            }
        }
    }

    fn reserve(&self, ask: &Ask) -> f64 {
        if ask.operation.is_write() { 0.0 } else { self.rules.reserve }
    }

    /// When a call can be made, if it were alone.
    fn ready_at(&self, ask: &Ask, now: i64) -> i64 {
        let reserve = self.reserve(ask);
        let rates = ask.rates.iter().filter(|rate| !self.covers(rate, now));
        let windows =
            rates.filter_map(|(index, weight)| Some((self.windows.get(*index)?, *weight)));
        let ready = windows.map(|(window, weight)| window.ready_at(now, reserve, weight));
        let ready = ready.fold(now, i64::max);
        let spaced = if now < self.gap_until { self.last + self.gap } else { now };
        ready.max(self.resume).max(spaced)
    }

    /// The call that goes next of those that can: writes first, then whoever had no turn for longest.
    fn first(&self, now: i64) -> Option<Ticket> {
        let can = self.waiting.iter().filter(|(_, ask)| self.ready_at(ask, now) <= now);
        let rank = |(ticket, ask): &(&Ticket, &Ask)| {
            let last_turn = self.turns.get(&ask.key).copied().unwrap_or(0);
            (!ask.operation.is_write(), last_turn, **ticket)
        };
        can.min_by_key(rank).map(|(ticket, _)| *ticket)
    }

    fn take(&mut self, ticket: Ticket, now: i64) {
        let Some(ask) = self.waiting.remove(&ticket) else { return };
        for (index, weight) in ask.rates {
            match (self.leases.get_mut(index), self.windows.get_mut(index)) {
                (Some(Some(lease)), _) => lease.take(now, weight),
                (_, Some(window)) => window.take(now, weight),
                _ => {}
            }
        }
        self.turn += 1;
        self.turns.insert(ask.key, self.turn);
        self.last = now;
        self.breaker.take(now);
    }

    /// Lets other processes know before when nothing is asked.
    pub(super) fn tell(&mut self, standing: &mut Standing) {
        self.resume = self.resume.max(standing.resume.unwrap_or(self.resume));
        standing.resume = Some(self.resume);
    }

    /// Takes note of how a call ended: `failed` where nobody answered, or the system broke down. Whether it was told to
    /// wait for longer than it knew.
    pub(super) fn heard(&mut self, now: i64, failed: bool, said: &Said) -> bool {
        let before = self.resume;
        self.note(now, failed, said);
        self.resume > before
    }

    fn note(&mut self, now: i64, failed: bool, said: &Said) {
        self.breaker.heard(now, failed);
        if let Some(not_before) = said.not_before {
            self.resume = self.resume.max(not_before);
        }
        let (Some(remaining), Some(reset)) = (said.remaining, said.reset) else { return };
        if reset <= now {
            return;
        }
        if remaining < 1.0 {
            self.resume = self.resume.max(reset);
            return;
        }
        let used = said.limit.filter(|limit| *limit > 0.0).map(|limit| 1.0 - remaining / limit);
        let share = match used {
            Some(used) if used >= SPARING_ALL_FROM => 1.0,
            Some(used) if used >= SPARING_FROM => 0.5,
            None if remaining < 10.0 => 1.0,
            _ => 0.0,
        };
        self.gap = ((reset - now) as f64 / remaining * share) as i64;
        self.gap_until = if share > 0.0 { reset } else { 0 };
    }
}
