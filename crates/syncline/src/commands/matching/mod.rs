//! `syncline match`: models that find duplicates: trained, tried and explained.

mod eval;
pub(super) mod explain;
mod train;
mod waterfall;

use crate::app::App;
use crate::error::{Error, Exit};

/// What `syncline match` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Learns from the records themselves how to tell duplicates, and writes the model's file
    Train(train::Args),
    /// Tells how well duplicates are found, where it is known who is who
    Eval(eval::Args),
    /// Shows what the rules and the model make of two records, comparison by comparison
    Explain(explain::Args),
}

/// Does what is asked for.
///
/// # Errors
///
/// When the configuration is wrong, or what it names cannot be read or written.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    match args.command {
        Command::Train(args) => train::run(args, app).await,
        Command::Eval(args) => eval::run(args, app).await,
        Command::Explain(args) => explain::run(args, app).await,
    }
}
