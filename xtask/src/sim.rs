//! Runs the simulation of two-way sync.

use crate::{Outcome, workspace};
use std::process::Command;

/// Runs the simulation with these arguments; all is well where it says so.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut simulation = Command::new(workspace::release_build_of("syncline-sim")?);
    // Worlds come and go a thousand times a second: what one leaves, the next takes, and the system need not have it back.
    simulation.env("MIMALLOC_PURGE_DELAY", "-1");
    Ok(simulation.args(arguments).status()?.success())
}
