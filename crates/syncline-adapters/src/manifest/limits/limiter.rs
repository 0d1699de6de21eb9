//! Waits until a call may go, and counts.

use super::super::errors::Outcome;
use super::super::session::Clock;
use super::super::trouble::Trouble;
use super::budget::{Budget, declared};
use super::pace::{Ask, Decision, Operation, Pace, Rules, Ticket};
use super::said::{Said, said};
use crate::Usage;
use reqwest::{Method, Url};
use serde_json::{Map, Value as Json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use syncline_core::config::model::{CallLimits, CallRate};
use tokio::sync::Notify;

/// The status of a call that was one too many.
const TOO_MANY: u16 = 429;

/// One connection, or one tenant: who asks it waits here.
pub(crate) struct Limiter {
    state: Mutex<State>,
    changed: Notify,
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
        Self { state: Mutex::new(state), changed: Notify::new() }
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
        state.pace.heard(clock.now(), failed, said);
        drop(state);
        self.changed.notify_waiters();
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
            let rates = (0..rates).collect();
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
