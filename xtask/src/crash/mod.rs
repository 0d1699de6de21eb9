//! Kills a run again and again, lets it go on, and compares what comes out with an undisturbed run.

mod compare;
#[cfg(unix)]
#[cfg(test)]
mod tests;

use crate::clock::Stopwatch;
use crate::rng::Rng;
use crate::{Outcome, contacts, workspace};
use compare::{Exports, State};
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How the check is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How many times a run is killed.
    pub(crate) rounds: usize,
    /// How many records are synced.
    pub(crate) records: usize,
    /// Equal seeds give equal moments.
    pub(crate) seed: u64,
}

/// A kill comes within this share of an undisturbed run's time, so a store is hit several times before
/// its run comes to an end.
const KILL_WITHIN: f64 = 0.5;

/// Runs the check; all is well where every finished store equals the undisturbed one.
pub(crate) fn run(options: Options) -> Outcome {
    let program = workspace::release_build()?;
    let parent = workspace::root().join("target");
    std::fs::create_dir_all(&parent)?;
    let folder = tempfile::Builder::new().prefix("crash-").tempdir_in(parent)?;
    let data = contacts::Options { count: options.records, seed: options.seed, hard: false };
    let input = contacts::write(&folder.path().join("data"), data)?.jsonl;
    let mut bench = Bench { program, input, folder: folder.path().to_owned(), stores: 0 };
    let undisturbed = bench.next_store();
    let watch = Stopwatch::start();
    bench.finish(bench.start(&undisturbed)?)?;
    let whole = watch.elapsed();
    let expected = bench.state(&undisturbed)?;
    println!("undisturbed: {:.2} s, {}", whole.as_secs_f64(), expected.summary());
    kill_and_compare(&mut bench, options, whole, &expected)
}

fn kill_and_compare(
    bench: &mut Bench,
    options: Options,
    whole: Duration,
    expected: &State,
) -> Outcome {
    let mut rng = Rng::new(options.seed);
    let (mut kills, mut compared, mut different) = (0, 0, 0);
    let mut store = bench.next_store();
    let mut kills_here = 0;
    loop {
        let mut child = bench.start(&store)?;
        let moment = whole.mul_f64(rng.unit() * KILL_WITHIN);
        if kills < options.rounds && !ended_within(&mut child, moment)? {
            child.kill()?;
            child.wait()?;
            kills += 1;
            kills_here += 1;
            // A kill after the execution's own end leaves nothing to go on with: a start would be another run.
            if !bench.has_ended(&store)? {
                continue;
            }
        } else {
            bench.finish(child)?;
        }
        compared += 1;
        let differences = expected.differences(&bench.state(&store)?);
        println!("store {compared}: {kills_here} kills, {} differences", differences.len());
        for difference in differences.iter().take(20) {
            println!("  {difference}");
        }
        different += usize::from(!differences.is_empty());
        if kills >= options.rounds {
            break;
        }
        remove(&store)?;
        store = bench.next_store();
        kills_here = 0;
    }
    println!("crash: {kills} kills, {compared} stores compared, {different} of them different");
    Ok(different == 0)
}

/// Waits for `child` for at most `moment`; returns whether it came to its end.
fn ended_within(child: &mut Child, moment: Duration) -> Result<bool, Box<dyn Error>> {
    let watch = Stopwatch::start();
    while watch.elapsed() < moment {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(1).min(moment.saturating_sub(watch.elapsed())));
    }
    Ok(child.try_wait()?.is_some())
}

/// What is run on what.
struct Bench {
    program: PathBuf,
    input: PathBuf,
    folder: PathBuf,
    stores: usize,
}

impl Bench {
    fn next_store(&mut self) -> PathBuf {
        self.stores += 1;
        self.folder.join(format!("store-{}.db", self.stores))
    }

    fn said(&self) -> PathBuf {
        self.folder.join("said.txt")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(workspace::root());
        command
    }

    fn start(&self, store: &Path) -> Result<Child, Box<dyn Error>> {
        let mut command = self.command();
        command.args(["run", "examples/contacts", "--var"]);
        command.arg(format!("input={}", self.input.display())).arg("--store").arg(store);
        let said = File::create(self.said())?;
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn()?)
    }

    fn finish(&self, mut child: Child) -> Result<(), Box<dyn Error>> {
        let status = child.wait()?;
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(self.said()).unwrap_or_default();
        Err(format!("the run failed ({status}): {}", said.trim()).into())
    }

    fn has_ended(&self, store: &Path) -> Result<bool, Box<dyn Error>> {
        let mut command = self.command();
        command.args(["executions", "--json", "--store"]).arg(store);
        match workspace::output(&mut command) {
            Ok(said) => Ok(said.contains(r#""status":"success""#)),
            // Killed before it made the file, or anything in it.
            Err(problem) if problem.to_string().contains("there is no store at") => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    fn state(&self, store: &Path) -> Result<State, Box<dyn Error>> {
        let ask = |arguments: &[&str]| {
            workspace::output(self.command().args(arguments).arg("--store").arg(store))
        };
        let exports = Exports {
            links: ask(&["export", "links", "--format", "csv"])?,
            shards: ask(&["export", "shards", "--format", "jsonl"])?,
            edges: ask(&["export", "edges", "--format", "csv"])?,
            executions: ask(&["executions", "--json"])?,
        };
        State::new(&exports)
    }
}

/// Removes the database `store` with the files that SQLite keeps beside it.
fn remove(store: &Path) -> std::io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut path = store.as_os_str().to_owned();
        path.push(end);
        match std::fs::remove_file(path) {
            Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => return Err(problem),
            _ => {}
        }
    }
    Ok(())
}
