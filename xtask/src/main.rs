//! The project's own tasks: `cargo xtask help` lists them.
#![expect(clippy::print_stdout, reason = "a command line tool talks to its terminal")]

mod contacts;
mod rng;
mod words;

use clap::{Parser, Subcommand};
use std::error::Error;
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
        Task::GenContacts { count, folder, seed, hard } => {
            let files = contacts::write(&folder, contacts::Options { count, seed, hard })?;
            println!("{count} records of {} people in {}", files.people, files.jsonl.display());
            Ok(true)
        }
    }
}
