//! Runs the simulation of two-way sync.

use crate::{Outcome, workspace};

/// Runs the simulation with these arguments; all is well where it says so.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut command = workspace::cargo();
    command.args(["run", "--release", "--quiet", "--package", "syncline-sim", "--"]);
    Ok(command.args(arguments).status()?.success())
}
