//! `syncline completions`: completion scripts for shells.

use crate::app::App;
use crate::error::{Error, Exit};
use clap_complete::Shell;

/// Prints a completion script. For bash: `source <(syncline completions bash)`.
#[derive(Debug, clap::Args)]
#[command(after_help = "For bash: source <(syncline completions bash)")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Runs the command.
///
/// # Errors
///
/// When standard output is closed or full.
pub fn run(args: &Args, app: &App) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::cli::definition(), "syncline", &mut script);
    app.out.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Success)
}
