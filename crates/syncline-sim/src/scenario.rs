//! One seed: a few remotes, people who edit them, runs that die, and what must be true in the end.

use crate::bug::Bug;
use crate::check;
use crate::mix::{Mix, NAMES, SEEDS};
use crate::random::Random;
use crate::remote::{FIELDS, People, Remote};
use crate::store::SimStore;
use crate::time::{Crash, VirtualClock};
use crate::trace::tell;
use futures_util::future::join;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use syncline_core::plan::rows::IntentState;
use syncline_core::value::Value;
use syncline_engine::decide::Decider;
use syncline_engine::edit::{Answer, settle};
use syncline_engine::{Clock, EngineError, Options, Report, World, execute};
use syncline_store::Store;
use syncline_store::execution::Worker;
use syncline_store::overlay::OverlayStore;
use syncline_store::query::{ConflictFilter, IntentFilter};
use syncline_store::sqlite::{Options as SqliteOptions, SqliteStore};

/// What a seed came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Everything that must be true and is not.
    pub wrong: Vec<String>,
    /// What happened, for totals.
    pub tally: Tally,
    /// Names what the remotes hold in the end, times and versions included.
    pub state: u64,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Executions.
    pub runs: u64,
    /// Of these: died.
    pub crashes: u64,
    /// What people did.
    pub edits: u64,
    /// Writes of ours that took effect.
    pub writes: u64,
    /// Fields that both sides had changed.
    pub conflicts: u64,
    /// Points at which a process could have died.
    pub points: u64,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.crashes += other.crashes;
        self.edits += other.edits;
        self.writes += other.writes;
        self.conflicts += other.conflicts;
        self.points += other.points;
    }
}

/// What the names and notes of the second tenant end in.
const OTHER_TENANT: &str = "~other";

/// How much time passes in between, in microseconds.
const PAUSES: [i64; 3] = [1_000, 1_000_000, 70_000_000];

/// Every so many seeds, the store is a real database.
const SQLITE_EVERY: u64 = 256;

/// Every so many seeds, another tenant has the same systems and the same ids beside.
const TENANTS_EVERY: u64 = 64;

/// Runs seeds; what seeds in a row share is made once.
#[derive(Default)]
pub struct Simulator {
    bug: Bug,
    mix: Option<Arc<Mix>>,
}

impl Simulator {
    /// One with a deliberate bug, or none.
    pub fn new(bug: Bug) -> Self {
        Self { bug, mix: None }
    }

    /// Runs a seed.
    pub async fn run(&mut self, seed: u64) -> Outcome {
        match self.play(seed, None).await {
            Ok((outcome, _)) => outcome,
            Err(problem) => Outcome { wrong: vec![problem], ..Outcome::default() },
        }
    }

    /// Runs a seed as often as it has points to die at, and lets it die at each of them once. What is wrong says where.
    pub async fn run_every_point(&mut self, seed: u64) -> Outcome {
        let mut all = Outcome::default();
        let (mut point, mut last) = (0, 1);
        while point < last && all.wrong.is_empty() {
            point += 1;
            match self.play(seed, Some(point)).await {
                Ok((outcome, points)) => {
                    last = points;
                    all.tally.add(&outcome.tally);
                    let wrong = outcome.wrong.into_iter();
                    all.wrong.extend(wrong.map(|wrong| format!("dying at {point}: {wrong}")));
                }
                Err(problem) => all.wrong.push(problem),
            }
        }
        all
    }

    /// Runs a seed; also tells how many points there were to die at before all was healed.
    async fn play(&mut self, seed: u64, dies_at: Option<u64>) -> Result<(Outcome, u64), String> {
        let mix = match &self.mix {
            Some(mix) if mix.number == seed / SEEDS => mix.clone(),
            _ => Arc::new(Mix::new(seed / SEEDS).await?),
        };
        self.mix = Some(mix.clone());
        let mut sim = Sim::new(seed, &mix, self.bug, "").await?;
        sim.dies_at = dies_at;
        if seed % TENANTS_EVERY == 1 {
            let mut other = Sim::new(seed, &mix, self.bug, OTHER_TENANT).await?;
            if self.bug == Bug::MixesTenants {
                let mut mixed = World::clone(&other.world);
                other.store = Arc::new(sim.store.of_process(other.crash.clone()));
                mixed.store = other.store.clone();
                other.world = Arc::new(mixed);
            }
            join(sim.live(), other.live()).await;
            let crossed = check::tenants(&sim, OTHER_TENANT).await;
            sim.wrong.extend(crossed.map_err(|error| error.to_string())?);
            sim.wrong.append(&mut other.wrong);
        } else {
            sim.live().await;
        }
        let points = sim.points_in_trouble;
        let mut state = DefaultHasher::new();
        for remote in &sim.remotes {
            remote.hash_state(&mut state);
        }
        let outcome = Outcome { wrong: sim.wrong, tally: sim.tally, state: state.finish() };
        Ok((outcome, points))
    }
}

/// Remotes and an engine.
pub struct Sim {
    pub(crate) remotes: Vec<Arc<Remote>>,
    pub(crate) world: Arc<World>,
    pub(crate) store: Arc<SimStore>,
    pub(crate) mix: Arc<Mix>,
    clock: Arc<VirtualClock>,
    crash: Arc<Crash>,
    random: Random,
    tally: Tally,
    wrong: Vec<String>,
    /// The only point at which a process dies; `None` leaves that to chance.
    dies_at: Option<u64>,
    points_in_trouble: u64,
}

impl Sim {
    async fn new(
        seed: u64,
        mix: &Arc<Mix>,
        bug: Bug,
        tenant: &'static str,
    ) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let (clock, crash) = (VirtualClock::new(), Arc::<Crash>::default());
        let domain = random.pick(&[0, 3]);
        // Where there are few records, edits meet.
        let crowd = [1, 2, 3, 0][usize::try_from(mix.number / 2 % 4).unwrap_or(0)];
        let topic = Some(random.pick(&FIELDS));
        let people = People { domain, crowd, tenant, topic };
        let remotes: Vec<Arc<Remote>> = NAMES
            .iter()
            .zip(&mix.traits)
            .map(|(name, traits)| {
                let ways = (clock.clone(), crash.clone());
                Remote::new(name, *traits, ways, bug, random.bits(), people)
            })
            .collect();
        for remote in &remotes {
            for _ in 0..random.below(4) {
                remote.user_acts();
            }
        }
        tell(|| mix.text.clone());
        for remote in &remotes {
            tell(|| format!("{}: {:?}", remote.name, remote.traits));
        }
        let inner: Arc<dyn Store> = if seed % SQLITE_EVERY == 7 {
            let options = SqliteOptions::default();
            Arc::new(SqliteStore::open(":memory:", options).map_err(|error| error.to_string())?)
        } else {
            Arc::new(OverlayStore::empty())
        };
        let store = Arc::new(SimStore::new(inner, crash.clone(), bug));
        let world = mix.world(remotes.clone(), store.clone()).await?;
        let (tally, wrong, mix) = (Tally::default(), Vec::new(), mix.clone());
        let (dies_at, points_in_trouble) = (None, 0);
        Ok(Self {
            remotes,
            world,
            store,
            mix,
            clock,
            crash,
            random,
            tally,
            wrong,
            dies_at,
            points_in_trouble,
        })
    }

    /// Trouble, then peace; then what must be true is checked.
    async fn live(&mut self) {
        self.trouble().await;
        self.points_in_trouble = self.crash.points();
        self.heal().await;
        if self.wrong.is_empty() {
            let wrong = check::all(self).await;
            self.wrong.extend(wrong);
        }
        self.tally.edits = self.remotes.iter().map(|remote| remote.edits()).sum();
        self.tally.writes = self.writes();
        self.tally.points = self.crash.points();
    }

    /// Runs and edits in turn, while everything goes wrong that can.
    async fn trouble(&mut self) {
        self.crash.arm(self.dies_at.unwrap_or(0));
        let tasks = self.remotes.len();
        let any = usize::try_from(1 + self.random.below(2)).unwrap_or(1);
        for round in 0..any + tasks {
            for remote in self.remotes.clone() {
                for _ in 0..self.random.below(3) {
                    remote.user_acts();
                }
                if self.random.happens(80) {
                    let pause = self.random.pick(&PAUSES);
                    self.clock.pass(pause);
                }
            }
            // At last each in turn, so that what came of the edits is written while there is trouble still.
            let some = usize::try_from(self.random.below(tasks as u64)).unwrap_or(0);
            let which = round.checked_sub(any).unwrap_or(some);
            let (dies, at) = (self.random.happens(40), 1 + self.random.below(25));
            if self.dies_at.is_none() && dies {
                self.crash.arm(at);
            }
            self.run(which, false).await;
            if self.dies_at.is_none() {
                self.crash.arm(0);
                if self.random.happens(30) {
                    self.decide(false).await;
                }
            }
            let pause = self.random.pick(&PAUSES);
            self.clock.pass(pause);
        }
        self.crash.arm(0);
    }

    /// Nothing goes wrong any more, and nobody edits: all must come to rest.
    async fn heal(&mut self) {
        self.remotes.iter().for_each(|remote| remote.heal());
        tell(|| "peace".to_owned());
        self.clock.pass(100_000_000);
        // Once more tells nearly all that twice does.
        let times = if self.random.happens(12) { 2 } else { 1 };
        self.rest(false, if self.mix.incremental { 1 } else { times }).await;
        if self.mix.incremental && self.wrong.is_empty() {
            // What has changed came by itself; what is gone, only a full read tells.
            let missed = check::nothing_was_missed(self).await;
            self.wrong.extend(missed);
            self.rest(true, times).await;
        }
    }

    /// Runs all tasks in turn, until each has run so many times more and nothing has happened.
    async fn rest(&mut self, full: bool, times: usize) {
        let tasks = self.remotes.len();
        let mut still = 0;
        for turn in 0..16 * tasks {
            let before = self.writes();
            let report = self.run(turn % tasks, full).await;
            self.clock.pass(1_000_000);
            // One that goes on where a dead one stopped saw a part of the records back then, and what one finds out of
            // an earlier write may be gone since: the next run tells.
            let is_whole = report.as_ref().is_some_and(|report| {
                !report.resumed
                    && report.results.written_created + report.results.written_updated == 0
            });
            if let Some(report) = report.filter(|report| report.status != "success") {
                let error = report.error.unwrap_or_default();
                self.wrong.push(format!("rest: a run in peace ends as {}: {error}", report.status));
            }
            if !self.wrong.is_empty() {
                return;
            }
            still = if is_whole && self.writes() == before { still + 1 } else { 0 };
            if still > 0 && still % tasks == 0 && (self.decide(true).await || self.is_owed().await)
            {
                still = 0;
            }
            if still == times * tasks {
                return;
            }
        }
        self.wrong.push("rest: it does not come to rest: every run writes".to_owned());
    }

    /// Whether a write is planned that waits for the next run.
    async fn is_owed(&self) -> bool {
        let states = vec![IntentState::Planned];
        let filter = IntentFilter { states, limit: 1, ..IntentFilter::default() };
        self.world.store.intents(filter).await.is_ok_and(|owed| !owed.is_empty())
    }

    fn writes(&self) -> u64 {
        self.remotes.iter().map(|remote| remote.writes()).sum()
    }

    /// A person decides conflicts, all or one; returns whether there were any.
    async fn decide(&mut self, all: bool) -> bool {
        let filter =
            ConflictFilter { with_closed: false, limit: if all { 1000 } else { 1 }, id: None };
        let open = match self.world.store.conflicts(filter).await {
            Ok(open) => open,
            Err(error) => {
                self.wrong.push(format!("the store cannot be read: {error}"));
                return false;
            }
        };
        for row in &open {
            let answer = match self.random.below(3) {
                _ if row.field.is_empty() => Answer::Ignore,
                0 => Answer::Local,
                1 => Answer::Remote,
                _ => {
                    let (bits, tenant) = (self.random.bits() >> 30, self.remotes[0].tenant());
                    let domain = if row.field == "email" { "@x.org" } else { tenant };
                    Answer::Value(Value::text(format!("said {bits}{domain}")))
                }
            };
            tell(|| format!("a person decides {row:?}: {answer:?}"));
            let worker = Worker { host: "sim".to_owned(), pid: 2, started: 0 };
            let by = Decider {
                by: "ann".to_owned(),
                why: String::new(),
                worker,
                seed: self.random.bits(),
            };
            match settle(&self.world, &*self.clock, row.id, &answer, &by).await {
                // The record has moved on: the next run asks anew.
                Ok(_) | Err(EngineError::Undecidable(_)) => {}
                Err(error) => self.wrong.push(format!("a decision breaks down: {error}")),
            }
        }
        !open.is_empty()
    }

    /// Runs the task of a remote; nothing comes back from a run that died.
    async fn run(&mut self, which: usize, full: bool) -> Option<Report> {
        let options = Options {
            worker: Worker { host: "sim".to_owned(), pid: 1, started: 0 },
            seed: self.random.bits(),
            full,
            // An empty system asks; in peace the answer is yes.
            allow_deletes: !self.remotes[which].is_live(),
            ..Options::default()
        };
        self.tally.runs += 1;
        self.store.runs(Some(which));
        tell(|| format!("run of {} at {}", self.remotes[which].name, self.clock.now()));
        let name = self.remotes[which].name.clone();
        let outcome = tokio::select! {
            biased;
            () = self.crash.died() => None,
            outcome = execute(&self.world, &name, &*self.clock, options) => Some(outcome),
        };
        self.store.runs(None);
        match outcome {
            None => {
                tell(|| "it died".to_owned());
                self.tally.crashes += 1;
                // The lease of a dead process outlives it for a while.
                self.clock.pass(61_000_000);
                None
            }
            Some(Ok(report)) => {
                let (status, error) = (&report.status, &report.error);
                tell(|| format!("{status} {error:?} {:?}", report.results));
                self.tally.conflicts += report.results.conflicts;
                if !report.results.balance() {
                    self.wrong.push(format!("ledger: it does not balance: {:?}", report.results));
                }
                let error = report.error.clone().unwrap_or_default();
                if error.contains("do not agree") || error.contains("not balance") {
                    self.wrong.push(format!("ledger: {error}"));
                }
                Some(report)
            }
            Some(Err(error)) => {
                self.wrong.push(format!("a run breaks down: {error}"));
                None
            }
        }
    }
}
