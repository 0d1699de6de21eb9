//! `syncline schema`: the JSON Schema of the configuration.

use crate::app::App;
use crate::error::{Error, Exit};

/// Prints the JSON Schema of the configuration. Editors use it to complete and check what is typed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Editors use it to complete and check what is typed: write it to a file, and put \
    # yaml-language-server: $schema=FILE \
    on the first line of the configuration."
)]
pub struct Args {
    /// Prints that of a connector's `write.yaml` instead
    #[arg(long)]
    write: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When standard output is closed or full.
pub fn run(args: &Args, app: &App) -> Result<Exit, Error> {
    let schema = match args.write {
        true => syncline_core::config::write_json_schema(),
        false => syncline_core::config::json_schema(),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(std::io::Error::from)?;
    app.out.line(text)?;
    Ok(Exit::Success)
}
