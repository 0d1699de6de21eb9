//! Waits until a call may go, and counts.

use super::super::errors::Outcome;
use super::super::session::Clock;
use super::super::trouble::Trouble;
use super::budget::{Budget, declared};
use super::pace::{Ask, Decision, Operation, Pace, Rules, Ticket};
use super::said::{Said, said};
use super::shared::SharedRates;
use crate::Usage;
use reqwest::{Method, Url};
use serde_json::{Map, Value as Json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use syncline_core::config::model::{CallLimits, CallRate};
use tokio::sync::Notify;

/// The status of a call that was one too many.
const TOO_MANY: u16 = 429;
/// How long to wait for another process to be done with the shared rates.
const BUSY: Duration = Duration::from_millis(1);

/// One connection, or one tenant: who asks it waits here.
pub(crate) struct Limiter {
    state: Mutex<State>,
    changed: Notify,
    /// What it shares with other processes.
    shared: OnceLock<SharedRates>,
}

struct State {
    pace: Pace,
    usage: Usage,
}

/// A place in the queue, which is left when nobody waits any more.
struct Place<'a> {
    limiter: &'a Limiter,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.limiter.state().pace.leave(self.ticket);
        self.limiter.changed.notify_waiters();
    }
}

impl Limiter {
    pub(in super::super) fn new(rules: Rules) -> Self {
        let state = State { pace: Pace::new(rules), usage: Usage::default() };
        Self { state: Mutex::new(state), changed: Notify::new(), shared: OnceLock::new() }
    }

    /// Keeps its rates together with all processes that share them through the file `path`.
    pub(crate) fn share(&self, path: PathBuf) {
        let mut state = self.state();
        if !state.pace.rules().rates.is_empty() && self.shared.get().is_none() {
            drop(self.shared.set(SharedRates::new(path)));
            state.pace.share(std::process::id());
        }
    }

    /// Has a ticket take its share of the rates; whether no other process was in the way.
    fn claim(&self, ticket: Ticket, now: i64) -> Result<bool, Trouble> {
        let Some(shared) = self.shared.get() else { return Ok(true) };
        shared.change(|standing| self.state().pace.claim(ticket, standing, now))
    }

    /// The limits of a tenant, over all of its connections.
    pub(crate) fn of_tenant(limits: &[CallRate]) -> Self {
        Self::new(Rules { rates: limits.iter().map(declared).collect(), ..Rules::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been asked so far.
    pub(crate) fn usage(&self) -> Usage {
        self.state().usage
    }

    /// Waits until the call may go.
    ///
    /// # Errors
    ///
    /// Where it would wait for too long, or the connection is left alone.
    async fn pass(&self, ask: Ask, clock: Clock) -> Result<(), Trouble> {
        let place = Place { limiter: self, ticket: self.state().pace.join(ask) };
        let began = clock.now();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = clock.now();
            let (decision, wait_max) = {
                let mut state = self.state();
                let decision = state.pace.decide(place.ticket, now);
                if decision == Decision::Go {
                    state.usage.requests += 1;
                    state.usage.waited_ms += u64::try_from((now - began) / 1000).unwrap_or(0);
                }
                (decision, state.pace.rules().wait_max)
            };
            let more = match decision {
                Decision::Go => return Ok(()),
                Decision::Claim => {
                    if !self.claim(place.ticket, now)? {
                        tokio::time::sleep(BUSY).await;
                    }
                    continue;
                }
                Decision::Open(until) => {
                    return Err(Trouble::transient(format!(
                        "the system failed again and again, so it is left alone for {} s",
                        seconds(until - now)
                    )));
                }
                Decision::Wait(more) => more,
            };
            if now - began + more > wait_max {
                return Err(Trouble::transient(format!(
                    "the system's limits ask to wait for {} s, which is longer than allowed",
                    seconds(more)
                )));
            }
            let more = Duration::from_micros(u64::try_from(more).unwrap_or(0));
            // Whichever comes first: it may go, or another one went.
            drop(tokio::time::timeout(more, changed).await);
        }
    }

    fn heard(&self, clock: Clock, failed: bool, is_limited: bool, said: &Said) {
        let mut state = self.state();
        state.usage.limited += u64::from(is_limited);
        let was_told = state.pace.heard(clock.now(), failed, said);
        drop(state);
        if let Some(shared) = self.shared.get().filter(|_| was_told) {
            // Where that cannot be now, others hear of it with the next claim, or are told themselves.
            drop(shared.change(|standing| self.state().pace.tell(standing)));
        }
        self.changed.notify_waiters();
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = self.shared.get() {
            // Where that cannot be, what is left of the leases counts as used.
            drop(shared.change(|standing| state.pace.give_back(standing)));
        }
    }
}

fn seconds(micros: i64) -> i64 {
    (micros.max(0) + 999_999) / 1_000_000
}

/// A call that is wanted.
pub(in super::super) struct Call<'a> {
    pub(in super::super) operation: Operation,
    /// The stream that it is for.
    pub(in super::super) stream: &'a str,
    pub(in super::super) method: &'a Method,
    pub(in super::super) url: &'a Url,
    pub(in super::super) headers: &'a Map<String, Json>,
}

/// The way to one connection: through its own limits and those of its tenant.
pub(in super::super) struct Gate {
    budget: Budget,
    own: Arc<Limiter>,
    /// The tenant's, and under which name the connection takes its turns there.
    tenant: Option<(Arc<Limiter>, String)>,
}

impl Gate {
    /// The way for whoever shares it with nobody.
    pub(in super::super) fn alone(budget: Budget) -> Self {
        let own = Arc::new(Limiter::new(budget.rules(&CallLimits::default())));
        Self::new(budget, own, None)
    }

    pub(in super::super) fn new(
        budget: Budget,
        own: Arc<Limiter>,
        tenant: Option<(Arc<Limiter>, String)>,
    ) -> Self {
        Self { budget, own, tenant }
    }

    /// Waits until the call may go. Where time stands still, nothing is waited for.
    ///
    /// # Errors
    ///
    /// Where it would wait for too long, or the connection is left alone.
    pub(in super::super) async fn pass(&self, clock: Clock, call: Call<'_>) -> Result<(), Trouble> {
        if matches!(clock, Clock::Frozen(_)) {
            return Ok(());
        }
        let rates = self.budget.counts(&call);
        let Call { operation, stream, .. } = call;
        self.own.pass(Ask { operation, key: stream.to_owned(), rates }, clock).await?;
        if let Some((tenant, name)) = &self.tenant {
            let rates = tenant.state().pace.rules().rates.len();
            let rates = (0..rates).map(|index| (index, 1)).collect();
            let began = clock.now();
            tenant.pass(Ask { operation, key: name.clone(), rates }, clock).await?;
            let waited = u64::try_from((clock.now() - began) / 1000).unwrap_or(0);
            self.own.state().usage.waited_ms += waited;
        }
        Ok(())
    }

    /// Takes note of what came of a call.
    pub(in super::super) fn heard(&self, clock: Clock, outcome: &Outcome) {
        let now = clock.now();
        let (failed, is_limited, said) = match outcome {
            Outcome::Unreachable(_) => (true, false, Said::default()),
            Outcome::Response(response) => {
                let said = said(&response.headers, &self.budget.names, now);
                let failed = response.status >= 500 && said.not_before.is_none();
                (failed, response.status == TOO_MANY, said)
            }
        };
        self.own.heard(clock, failed, is_limited, &said);
    }
}
