//! `syncline target`: the other end of a tap's pipe (<https://github.com/singer-io/getting-started/blob/master/docs/SPEC.md>).

mod destination;
mod memory;
mod versions;

use crate::app::App;
use crate::error::{Error, Exit};
use crate::output::count;
use crate::signals::cancel_on_signal;
use crate::syncing::RunOptions;
use destination::Destination;
use memory::Memory;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use syncline_adapters::singer::{Heard, Input, State};
use syncline_core::plan::writes::Counters;
use syncline_core::record::Page;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use versions::Versions;

/// So long may a state wait for more records to be written together with those before it.
const WAIT: Duration = Duration::from_secs(1);

/// Takes in what a Singer tap pipes into it; prints a state once everything before it is safe.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
tap-github --config tap.json | syncline target --connection github     records of that connection of the project\n  \
tap-github --config tap.json | syncline target --store github.db       each stream a shard type of its own\n\n\
A record that is refused is a dead letter, with the line that it came in; the others go on. The last line on standard \
output is the state that the tap goes on from.")]
pub struct Args {
    /// The connection of the project whose records these are; a stream goes to the tasks of the entity that names it
    #[arg(long, short, value_name = "NAME")]
    pub connection: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// When the input is no Singer input, or its records could not be stored. What came before is stored all the same.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    if app.out.json {
        let hint =
            "leave `--json` out; `syncline executions --json` tells what became of the records";
        return Err(Error::usage("standard output belongs to the states of the tap", hint));
    }
    let cancel = cancel_on_signal(&app.out);
    let destination = Destination::open(app, args.connection.as_deref()).await?;
    let connection = args.connection.unwrap_or_default();
    let memory = Memory::open(destination.store_path(), &connection)?;
    let mut target = Target {
        app,
        input: Input::new(io::stdin(), destination.rows(&memory)),
        versions: Versions::new(&memory),
        destination,
        memory,
        pending: None,
        since: None,
        sums: BTreeMap::new(),
        unwanted: BTreeMap::new(),
    };
    let ended = target.pump(&cancel).await;
    // What came before trouble is as good as ever.
    target.flush().await?;
    target.tell();
    let exit = ended?;
    if exit == Exit::Success {
        target.memory.end(target.input.goes_past_state())?;
    }
    let refused = target.sums.values().any(|sum| sum.failed + sum.invalid > 0);
    Ok(if refused && exit == Exit::Success { Exit::Partial } else { exit })
}

struct Target<'a> {
    app: &'a App,
    input: Input,
    destination: Destination,
    memory: Memory,
    versions: Versions,
    /// The last state, before which not everything is safe yet.
    pending: Option<State>,
    since: Option<Instant>,
    /// What became of the records of each stream.
    sums: BTreeMap<String, Counters>,
    /// Records of streams that nothing takes.
    unwanted: BTreeMap<String, u64>,
}

impl Target<'_> {
    async fn pump(&mut self, cancel: &CancellationToken) -> Result<Exit, Error> {
        loop {
            let until = self.since.map(|since| since + WAIT);
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(Exit::Cancelled),
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => self.flush().await?,
                heard = self.input.next() => {
                    let heard = heard.map_err(|error| Error::refused(error.to_string(), MENDED))?;
                    if matches!(heard, Heard::End) {
                        return Ok(Exit::Success);
                    }
                    self.hear(heard).await?;
                }
            }
        }
    }

    async fn hear(&mut self, heard: Heard) -> Result<(), Error> {
        match heard {
            Heard::State(state) => {
                self.pending = Some(state);
                self.since = self.since.or_else(|| Some(Instant::now()));
                if self.input.is_empty() {
                    self.flush().await?;
                }
            }
            Heard::Schema(stream, schema) => {
                if self.destination.changes_key(&stream, &schema) {
                    self.flush().await?;
                }
                self.destination.declare(stream, schema);
            }
            Heard::Version(stream, version) => {
                self.flush().await?;
                self.versions.begin(&stream, version, &mut self.memory)?;
            }
            Heard::Activate(stream, version) => {
                self.flush().await?;
                let gone = self.versions.gone(&stream, version, &mut self.destination).await?;
                for (task, pages) in gone {
                    self.hand_over(&stream, &task, pages).await?;
                }
            }
            Heard::Full => self.flush().await?,
            Heard::End => {}
        }
        Ok(())
    }

    /// Stores all records that came; then the last state is safe.
    async fn flush(&mut self) -> Result<(), Error> {
        let taken = self.input.take();
        for (stream, pages) in taken {
            let tasks = self.destination.tasks(&stream);
            let Some((last, others)) = tasks.split_last() else {
                let records: usize = pages.iter().map(Page::len).sum();
                *self.unwanted.entry(stream).or_default() += records as u64;
                continue;
            };
            self.versions.see(&stream, &tasks, &pages, &mut self.destination).await?;
            for task in others {
                self.hand_over(&stream, task, pages.clone()).await?;
            }
            self.hand_over(&stream, last, pages).await?;
        }
        self.since = None;
        let Some(state) = self.pending.take() else { return Ok(()) };
        if let Some(store) = self.destination.store() {
            store.settle().await?;
        }
        let line = state.value.get().to_owned();
        self.memory.keep(state)?;
        self.app.out.line(line)
    }

    /// Runs records through a task: the same way that a read takes.
    async fn hand_over(&mut self, stream: &str, task: &str, pages: Vec<Page>) -> Result<(), Error> {
        let records: usize = pages.iter().map(Page::len).sum();
        let sync = self.destination.ready().await?;
        let options = RunOptions { pages: Some(pages), ..RunOptions::default() };
        let report = sync.run_task(task, options).await?;
        self.sums.entry(stream.to_owned()).or_default().add(&report.results);
        let is_through = report.results.fetched == records as u64 && report.results.balance();
        if is_through && report.status != "cancelled" {
            return Ok(());
        }
        let why = report.error.unwrap_or_else(|| format!("the run ended as {}", report.status));
        Err(Error::refused(format!("task `{task}`: {why}"), report.hint.unwrap_or_default()))
    }

    fn tell(&self) {
        for (stream, sum) in &self.sums {
            let refused = sum.failed + sum.invalid;
            self.app.out.note(format!(
                "{stream}: {} records, {} created, {} updated, {} deleted, {} refused",
                count(sum.fetched),
                count(sum.created),
                count(sum.updated - sum.tombstoned),
                count(sum.tombstoned),
                count(refused),
            ));
        }
        for (stream, records) in &self.unwanted {
            let records = count(*records);
            self.app.out.note(format!("{stream}: no task takes it, {records} records passed over"));
        }
        if self.sums.values().any(|sum| sum.failed + sum.invalid > 0) {
            self.app.out.note(
                self.app.out.advise("`syncline dead-letters list` shows what was refused, and why"),
            );
        }
    }
}

/// What to do about an input that cannot be read on.
const MENDED: &str =
    "what came before is stored; start the tap again with the last state that was printed";
