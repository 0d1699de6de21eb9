//! Runs the simulation of two-way sync.

use crate::{Outcome, workspace};
use std::process::Command;

/// Runs the simulation with these arguments; all is well where it says so.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let program = workspace::release_build_of("syncline-sim")?;
    Ok(Command::new(program).args(arguments).status()?.success())
}
