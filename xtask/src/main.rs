//! The project's own tasks: `cargo xtask help` lists them.
#![expect(clippy::print_stdout, reason = "a command line tool talks to its terminal")]

mod bench;
mod ci;
mod clock;
mod contacts;
mod crash;
mod crm;
mod example;
mod example_carddav;
mod faults;
#[path = "../../crates/syncline-adapters/tests/it/kinto.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests' own; a task that cannot have its server cannot go on"
)]
mod kinto;
#[path = "../../crates/syncline/tests/it/local_server.rs"]
#[expect(clippy::unwrap_used, dead_code, reason = "tests use the same file, and do more with it")]
mod local_server;
#[path = "../../crates/syncline-adapters/tests/it/radicale.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests' own; a task that cannot have its server cannot go on"
)]
mod radicale;
mod rng;
#[path = "../../crates/syncline-adapters/tests/it/servers.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests' own; a task that cannot have its server cannot go on"
)]
mod servers;
mod sim;
mod tidy;
mod words;
mod workspace;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a task ends in: whether all is well, or why it could not be found out.
type Outcome = Result<bool, Box<dyn Error>>;

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every check and test, installing what they need; the last line counts them.
    #[command(visible_alias = "ci")]
    Test,
    /// Check the rules that no compiler knows.
    Tidy,
    /// Measure whole commands and print a table.
    Bench {
        /// Which measurement.
        #[arg(value_enum, default_value_t = bench::Subject::Sync)]
        subject: bench::Subject,
        /// The largest number of records.
        #[arg(long, default_value_t = 1_000_000)]
        records: usize,
        /// How often each command is measured; medians are told.
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Replace the table in docs/benchmarks.md.
        #[arg(long)]
        write: bool,
        /// With `http`: time the loading of every manifest in this folder and those in it.
        #[arg(long, value_name = "FOLDER")]
        manifests: Option<PathBuf>,
        /// With `http`: how long the server takes for a page, in milliseconds; several are measured one by one.
        #[arg(long, value_name = "MS", value_delimiter = ',', default_value = "0,5")]
        page_ms: Vec<u64>,
        /// Measure this program, instead of the release build.
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
    },
    /// Kill a run at moments of chance, let it go on, and compare the outcome with an undisturbed run.
    Crash {
        /// How many kills.
        #[arg(long, default_value_t = 200)]
        rounds: usize,
        /// How many records are synced.
        #[arg(long, default_value_t = 100_000)]
        records: usize,
        /// Equal seeds give equal moments.
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
    /// Run an example that needs servers: they are installed, started, filled, shown, and stopped.
    Example {
        /// Which example.
        #[arg(value_enum)]
        name: example::Name,
    },
    /// Kill two-way runs, and the server under them, while both sides are edited; then compare both sides.
    Faults {
        /// Whose tables are edited.
        #[arg(long, value_enum, default_value = "postgres")]
        system: faults::System,
        /// How many runs are disturbed.
        #[arg(long, default_value_t = 100)]
        rounds: usize,
        /// How many rows each table begins with.
        #[arg(long, default_value_t = 2000)]
        rows: usize,
        /// Equal seeds give equal edits and moments.
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
    /// Simulate two-way sync with remotes that fail, by seed.
    Sim {
        /// What the simulation takes: `--seeds 20000`, `--first 17 --trace`, `--bugs`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write the files of the example: three exports of one small company's customers.
    GenCrm {
        /// The folder to write into; by default the example's own.
        folder: Option<PathBuf>,
        /// Also write which row is about which person, as CSV.
        #[arg(long)]
        truth: Option<PathBuf>,
    },
    /// Run a command and print what it cost; the bench task calls it.
    #[command(hide = true)]
    Measure {
        /// The command and its arguments.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// Make up contacts with known duplicates, as JSON Lines and CSV, with the truth about them.
    GenContacts {
        /// How many records.
        count: usize,
        /// The folder to write into.
        folder: PathBuf,
        /// Equal seeds give equal files.
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// More gaps, more corruption, more relatives.
        #[arg(long)]
        hard: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            println!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Outcome {
    match task {
        Task::Test => ci::run(),
        Task::Tidy => tidy::run(),
        Task::Bench { subject, records, runs, write, manifests, page_ms, program } => {
            bench::run(bench::Options {
                subject,
                records,
                runs,
                write,
                manifests,
                page_ms,
                program,
            })
        }
        Task::Crash { rounds, records, seed } => {
            crash::run(crash::Options { rounds, records, seed })
        }
        Task::Faults { system, rounds, rows, seed } => {
            faults::run(faults::Options { system, rounds, rows, seed })
        }
        Task::Example { name } => example::run(name),
        Task::Sim { arguments } => sim::run(&arguments),
        Task::GenCrm { folder, truth } => {
            let usual = || workspace::root().join("examples/crm/data");
            let summary = crm::write(&folder.unwrap_or_else(usual), truth.as_deref())?;
            println!("{}", summary.trim_end());
            Ok(true)
        }
        Task::Measure { command } => bench::run_here(&command),
        Task::GenContacts { count, folder, seed, hard } => {
            let files = contacts::write(&folder, contacts::Options { count, seed, hard })?;
            println!("{count} records of {} people in {}", files.people, files.jsonl.display());
            Ok(true)
        }
    }
}
