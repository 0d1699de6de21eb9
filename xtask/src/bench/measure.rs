//! What a command costs. Each is run by a process of its own, because the system adds up what all
//! children of a process have used and remembers only the largest peak.

use crate::Outcome;
use crate::clock::Stopwatch;
use crate::workspace;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde_json::{Value, json};
use std::error::Error;
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// What one run of a command cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) wall_s: f64,
    /// User and system time together.
    pub(super) cpu_s: f64,
    pub(super) peak_mib: f64,
}

/// Runs `command` in the workspace's root and tells what it cost.
///
/// # Errors
///
/// When it cannot be run or fails, with what it said.
pub(super) fn measured(command: &Command) -> Result<Figures, Box<dyn Error>> {
    let mut helper = Command::new(std::env::current_exe()?);
    helper.current_dir(workspace::root()).args(["measure", "--"]);
    helper.arg(command.get_program()).args(command.get_args());
    helper.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let told: Value = serde_json::from_str(&workspace::output(&mut helper)?)?;
    let figure = |name: &str| told[name].as_f64().ok_or_else(|| format!("no `{name}` in {told}"));
    Ok(Figures {
        wall_s: figure("wall_s")?,
        cpu_s: figure("cpu_s")?,
        peak_mib: figure("peak_mib")?,
    })
}

/// Runs `command` as a child, and prints what it cost as one JSON object.
pub(crate) fn run_here(command: &[OsString]) -> Outcome {
    let (program, arguments) = command.split_first().ok_or("no command to measure")?;
    let watch = Stopwatch::start();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status()?;
    let wall_s = watch.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu_s = seconds(usage.user_time()) + seconds(usage.system_time());
    println!("{}", json!({ "wall_s": wall_s, "cpu_s": cpu_s, "peak_mib": peak_mib(&usage) }));
    Ok(status.success())
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// Linux tells the peak in KiB, macOS in bytes.
fn peak_mib(usage: &Usage) -> f64 {
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    usage.max_rss() as f64 * unit / f64::from(1 << 20)
}
