//! One seed: a few remotes, people who edit them, runs that die, and what must be true in the end.

use crate::bug::Bug;
use crate::check;
use crate::random::Random;
use crate::remote::{Remote, Traits};
use crate::store::SimStore;
use crate::time::{Crash, VirtualClock};
use crate::trace::tell;
use std::path::Path;
use std::sync::Arc;
use syncline_adapters::write::{CreateGuard, UpdateGuard};
use syncline_adapters::{Adapter, AdapterError};
use syncline_core::config::model::{Connection, EntitySettings};
use syncline_core::config::{SourceFile, load};
use syncline_core::plan::program::Program;
use syncline_engine::{Clock, Options, Report, World, execute};
use syncline_store::Store;
use syncline_store::execution::Worker;

/// What a seed came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Everything that must be true and is not.
    pub wrong: Vec<String>,
    /// What happened, for totals.
    pub tally: Tally,
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

/// Remotes and an engine.
pub struct Sim {
    pub(crate) remotes: Vec<Arc<Remote>>,
    pub(crate) world: Arc<World>,
    clock: Arc<VirtualClock>,
    crash: Arc<Crash>,
    random: Random,
    tally: Tally,
    wrong: Vec<String>,
}

/// Runs a seed.
pub async fn run(seed: u64, bug: Bug) -> Outcome {
    let mut sim = match Sim::new(seed, bug).await {
        Ok(sim) => sim,
        Err(problem) => return Outcome { wrong: vec![problem], ..Outcome::default() },
    };
    sim.trouble().await;
    sim.heal().await;
    if sim.wrong.is_empty() {
        sim.wrong.extend(check::all(&sim).await);
    }
    sim.tally.edits = sim.remotes.iter().map(|remote| remote.edits()).sum();
    sim.tally.writes = sim.remotes.iter().map(|remote| remote.writes()).sum();
    sim.tally.points = sim.crash.points();
    Outcome { wrong: sim.wrong, tally: sim.tally }
}

fn traits(random: &mut Random) -> Traits {
    let create = random.pick(&[
        CreateGuard::UniqueKey,
        CreateGuard::IdempotencyKey { remembered_ms: 86_400_000 },
        CreateGuard::Upsert,
        CreateGuard::Marker,
    ]);
    Traits {
        create,
        update: UpdateGuard::Strong,
        versions: random.happens(50),
        normalises: random.happens(40),
        shows: random.happens(50),
        batch_max: random.pick(&[1, 2, 100]),
        granularity_us: random.pick(&[1, 1_000_000, 60_000_000]),
        skew_us: random.pick(&[0, 0, -3_000_000, 4_000_000]),
        lands_within_ms: random.pick(&[0, 5_000, 30_000]),
        found_within_ms: random.pick(&[0, 0, 20_000]),
        trouble: random.pick(&[0, 5, 20]),
    }
}

fn config(remotes: &[Arc<Remote>], random: &mut Random) -> String {
    let mut out = String::from("connections:\n");
    for remote in remotes {
        let version = if remote.traits.versions { ", version: v" } else { "" };
        out.push_str(&format!(
            "  {0}: {{ adapter: file, duplicate_free: true, priority: {1}, entities: {{ person: {{ path: {0}.csv, \
             key: id, modified: at{version} }} }} }}\n",
            remote.name,
            random.below(3),
        ));
    }
    let fields = "{ email: email, name: name, notes: notes }";
    out.push_str("shard_types:\n  person: { fields: { email: text, name: text, notes: text }, identity: [email] }\n");
    out.push_str("conversion_schemas:\n");
    for remote in remotes {
        let own = matches!(remote.traits.create, CreateGuard::UniqueKey | CreateGuard::Upsert);
        let outbound = if own { ", outbound: { id: shard_id }" } else { "" };
        out.push_str(&format!(
            "  {}: {{ shard_type: person, fields: {fields}{outbound} }}\n",
            remote.name
        ));
    }
    out.push_str("sync_tasks:\n");
    let strategies = ["newest_wins", "source_wins", "destination_wins", "merge"];
    let strategy = random.pick(&strategies);
    for remote in remotes {
        out.push_str(&format!(
            "  {0}: {{ connection: {0}, entity: person, conversion_schema: {0}, direction: bidirectional, \
             mode: full, batch: {{ size: {1} }}, fuse: {{ count: 1000000 }}, \
             conflicts: {{ strategy: {strategy} }} }}\n",
            remote.name,
            random.pick(&[1, 3, 100]),
        ));
    }
    out
}

/// A configuration over remotes, on a store. The entity of each remote has its name as `path`.
///
/// # Errors
///
/// What is wrong with the configuration.
pub async fn world(
    text: String,
    remotes: Vec<Arc<Remote>>,
    store: Arc<dyn Store>,
) -> Result<Arc<World>, String> {
    let file = SourceFile { name: "sim.yaml".to_owned(), text };
    let loaded = load(vec![file], &|_| Err("none".to_owned()), &["file"])
        .map_err(|wrong| wrong.to_string())?;
    let program = Program::compile(&loaded.config).map_err(|wrong| format!("{wrong:?}"))?;
    let secrets = loaded.secrets.clone();
    let world = World::open(loaded.config, program, Path::new("/"), store, secrets).await;
    let mut world = world.map_err(|error| error.to_string())?;
    world.open_adapter = Arc::new(move |connection: &Connection, _: &Path| {
        let path = match &connection.entities["person"].settings {
            EntitySettings::File(file) => file.path.clone().unwrap_or_default(),
            _ => String::new(),
        };
        let found = remotes.iter().find(|remote| path.starts_with(&remote.name));
        let found: Option<Arc<dyn Adapter>> = found.map(|r| r.clone() as Arc<dyn Adapter>);
        found.ok_or(AdapterError::UnknownAdapter(path))
    });
    Ok(Arc::new(world))
}

impl Sim {
    async fn new(seed: u64, bug: Bug) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let (clock, crash) = (VirtualClock::new(), Arc::<Crash>::default());
        let names = if random.happens(25) { &["a", "b", "c"][..] } else { &["a", "b"][..] };
        let domain = random.pick(&[0, 3]);
        let remotes: Vec<Arc<Remote>> = names
            .iter()
            .map(|name| {
                let ways = (clock.clone(), crash.clone());
                let (traits, seed) = (traits(&mut random), random.bits());
                Remote::new(name, traits, ways, bug, seed, domain)
            })
            .collect();
        for remote in &remotes {
            for _ in 0..random.below(5) {
                remote.user_acts();
            }
        }
        let text = config(&remotes, &mut random);
        tell(|| text.clone());
        for remote in &remotes {
            tell(|| format!("{}: {:?}", remote.name, remote.traits));
        }
        let store: Arc<dyn Store> = Arc::new(SimStore::new(crash.clone(), bug));
        let world = world(text, remotes.clone(), store).await?;
        let (tally, wrong) = (Tally::default(), Vec::new());
        Ok(Self { remotes, world, clock, crash, random, tally, wrong })
    }

    /// Runs and edits in turn, while everything goes wrong that can.
    async fn trouble(&mut self) {
        for _ in 0..4 + self.random.below(6) {
            for remote in self.remotes.clone() {
                for _ in 0..self.random.below(3) {
                    remote.user_acts();
                }
            }
            let which = usize::try_from(self.random.below(self.remotes.len() as u64)).unwrap_or(0);
            if self.random.happens(30) {
                self.crash.arm(1 + self.random.below(40));
            }
            self.run(which).await;
            self.crash.arm(0);
            let pause = self.random.pick(&[1_000, 1_000_000, 70_000_000]);
            self.clock.pass(pause);
        }
    }

    /// Nothing goes wrong any more, and nobody edits: all must come to rest.
    async fn heal(&mut self) {
        self.remotes.iter().for_each(|remote| remote.heal());
        tell(|| "peace".to_owned());
        self.clock.pass(100_000_000);
        let mut quiet = 0;
        for _ in 0..12 {
            let before = self.writes();
            for which in 0..self.remotes.len() {
                let report = self.run(which).await;
                self.clock.pass(1_000_000);
                if let Some(report) = report.filter(|report| report.status != "success") {
                    let error = report.error.unwrap_or_default();
                    self.wrong.push(format!("a run in peace ends as {}: {error}", report.status));
                }
            }
            if !self.wrong.is_empty() {
                return;
            }
            quiet = if self.writes() == before { quiet + 1 } else { 0 };
            if quiet == 2 {
                return;
            }
        }
        self.wrong.push("it does not come to rest: every run writes".to_owned());
    }

    fn writes(&self) -> u64 {
        self.remotes.iter().map(|remote| remote.writes()).sum()
    }

    /// Runs the task of a remote; nothing comes back from a run that died.
    async fn run(&mut self, which: usize) -> Option<Report> {
        let options = Options {
            worker: Worker { host: "sim".to_owned(), pid: 1, started: 0 },
            seed: self.random.bits(),
            // An empty system asks; in peace the answer is yes.
            allow_deletes: !self.remotes[which].is_live(),
            ..Options::default()
        };
        self.tally.runs += 1;
        tell(|| format!("run of {} at {}", self.remotes[which].name, self.clock.now()));
        let name = self.remotes[which].name.clone();
        let outcome = tokio::select! {
            biased;
            () = self.crash.died() => None,
            outcome = execute(&self.world, &name, &*self.clock, options) => Some(outcome),
        };
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
                    self.wrong.push(format!("the ledger does not balance: {:?}", report.results));
                }
                let error = report.error.clone().unwrap_or_default();
                if error.contains("do not agree") || error.contains("not balance") {
                    self.wrong.push(error);
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
