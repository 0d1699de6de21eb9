//! `syncline-sim`: two-way sync under everything that can go wrong, by seed. See `docs/simulation.md`.

use clap::Parser;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use syncline_sim::bug::Bug;
use syncline_sim::mix::SEEDS;
use syncline_sim::scenario::{Outcome, Simulator, Tally};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates two-way sync.
#[derive(Debug, Parser)]
#[command(name = "syncline-sim")]
struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// A deliberate bug
    #[arg(long, value_enum, default_value_t = Bug::None)]
    bug: Bug,
    /// Every deliberate bug in turn, until it is caught
    #[arg(long)]
    bugs: bool,
    /// Every seed as often as it has points to die at, each time dying at another one
    #[arg(long)]
    every_point: bool,
    /// Goes on after seeds that fail, and counts them
    #[arg(long)]
    all: bool,
    /// Tells everything that happens
    #[arg(long)]
    trace: bool,
    /// How many seeds run side by side
    #[arg(long, default_value_t = 2)]
    threads: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.trace {
        syncline_sim::trace::turn_on();
    }
    if args.bugs {
        return bugs(&args);
    }
    let found = simulate(&args, args.bug);
    report(&args, &found)
}

/// What some seeds came to.
#[derive(Default)]
struct Found {
    tally: Tally,
    done: u64,
    failed: Vec<(u64, Vec<String>)>,
}

/// Runs the seeds, up to some that fail.
fn simulate(args: &Args, bug: Bug) -> Found {
    let next = Arc::new(AtomicU64::new(args.first / SEEDS * SEEDS));
    let found = Arc::new(Mutex::new(Found::default()));
    let end = args.first + args.seeds;
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            let (next, found) = (next.clone(), found.clone());
            scope.spawn(move || {
                let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
                    return;
                };
                let mut simulator = Simulator::new(bug);
                // Seeds that share a mix go to one thread.
                let mut seeds = 0..0;
                loop {
                    let Some(seed) = seeds.next() else {
                        let from = next.fetch_add(SEEDS, Ordering::Relaxed);
                        seeds = from.max(args.first)..(from + SEEDS).min(end);
                        if from >= end {
                            return;
                        }
                        continue;
                    };
                    let Outcome { wrong, tally, .. } = runtime.block_on(async {
                        match args.every_point {
                            true => simulator.run_every_point(seed).await,
                            false => simulator.run(seed).await,
                        }
                    });
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.done += 1;
                    found.tally.add(&tally);
                    if !wrong.is_empty() {
                        found.failed.push((seed, wrong));
                    }
                    let enough = match bug {
                        _ if args.all => usize::MAX,
                        Bug::None => 10,
                        _ => 1,
                    };
                    if found.failed.len() >= enough {
                        next.store(end, Ordering::Relaxed);
                        return;
                    }
                }
            });
        }
    });
    std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner))
}

#[expect(clippy::print_stdout, reason = "a program tells what it found")]
fn report(args: &Args, found: &Found) -> ExitCode {
    for (seed, wrong) in &found.failed {
        println!("seed {seed} fails:");
        for line in wrong.iter().take(5) {
            println!("  {line}");
        }
        let every = if args.every_point { " --every-point" } else { "" };
        println!("  again: cargo xtask sim --first {seed} --seeds 1{every}");
    }
    let Tally { runs, crashes, edits, writes, conflicts, points } = found.tally;
    println!(
        "{} seeds, {} fail; {runs} runs, {crashes} died, {points} points to die at, {edits} edits, {writes} writes, \
         {conflicts} conflicts",
        found.done,
        found.failed.len()
    );
    let is_right = found.failed.is_empty() == (args.bug == Bug::None);
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "a program tells what it found")]
fn bugs(args: &Args) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for &bug in Bug::ALL {
        let found = simulate(args, bug);
        match found.failed.iter().min_by_key(|(seed, _)| *seed) {
            Some((seed, wrong)) => {
                let (caught, done) = (found.failed.len(), found.done);
                println!("{bug:?}: caught by {caught} of {done} seeds (seed {seed}): {}", wrong[0]);
            }
            None => {
                println!("{bug:?}: not caught in {} seeds", found.done);
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
