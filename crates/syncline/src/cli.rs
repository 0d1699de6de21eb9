//! The command line: what can be asked for, and which command answers.

use crate::app::App;
use crate::commands;
use crate::error::{Error, Exit};
use crate::output::{Output, error_json};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use syncline_core::problem::nearest;

/// Keeps business records in step across systems.
#[derive(Debug, Parser)]
#[command(
    name = "syncline",
    version,
    after_help = after_help(),
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What is asked for.
    #[command(subcommand)]
    pub command: Command,
}

/// What applies to every command.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The configuration, for commands that take no path: a folder or a file [default: the current folder]
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// The database, instead of the configuration's `store`, or `syncline.db` beside it
    #[arg(long, global = true, value_name = "FILE")]
    pub store: Option<PathBuf>,
    /// Fills `${var:NAME}` in the configuration; the path of an existing file may start from the current folder
    #[arg(long = "var", global = true, value_name = "NAME=VALUE", value_parser = variable)]
    pub vars: Vec<(String, String)>,
    /// Prints the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Leaves out progress and remarks
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Tells on standard error what happens inside; secrets are left out
    #[arg(long, global = true)]
    pub debug: bool,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts a project from sample files: infers types, proposes mappings
    Init(commands::init::Args),
    /// Finds everything that is wrong with a configuration and its connections
    Check(commands::check::Args),
    /// Shows exactly what a run would change, and writes nothing
    Preview(commands::preview::Args),
    /// Runs sync tasks: reads records, and brings the shards up to date
    Run(commands::run::Args),
    /// Takes in messages (webhooks) by which systems say that records changed, and looks at these
    Listen(commands::listen::Args),
    /// Shows how each task stands, and what the store holds
    Status(commands::status::Args),
    /// Lists executions, or shows one with its errors
    Executions(commands::executions::Args),
    /// Asks the running execution of a task to stop at its next batch border
    Cancel(commands::cancel::Args),
    /// Runs again what failed, was cancelled or was interrupted
    Retry(commands::retry::Args),
    /// Lists, shows or replays records that were refused
    DeadLetters(commands::dead_letters::Args),
    /// Lists, shows or searches shards
    Shards(commands::shards::Args),
    /// Tells which record, run, mapping and rule gave a shard its values
    Why(commands::why::Args),
    /// Trains the models that find duplicates, tries them on known ones, explains what they make of two records
    Match(commands::matching::Args),
    /// Lists fields that shard and record both changed, or on which records disagree, and decides on them
    Conflicts(commands::conflicts::Args),
    /// Lists pairs of records that wait for a person, shows them, and decides on them
    Review(commands::review::Args),
    /// Two records or shards are the same: they become one shard, now and for good
    Merge(commands::review::PairArgs),
    /// Takes back what an execution changed
    Undo(commands::undo::Args),
    /// Takes a shard apart as if it had never been merged, and keeps its parts apart
    Unmerge(commands::review::UnmergeArgs),
    /// Takes a shard and all that is known of it out of the store, for good
    Erase(commands::erase::Args),
    /// Writes shards, links or edges to a file
    Export(commands::export::Args),
    /// Gets access to a connection that a person has to grant (OAuth)
    Connect(commands::connect::Args),
    /// Asks a connector that a manifest describes: its configuration, its streams, its records
    Connector(commands::connector::Args),
    /// Lists the connectors that are built in, or that a folder of manifests holds
    Connectors(commands::connectors::Args),
    /// Takes in what a Singer tap pipes into it, and gives back its states once everything before is safe
    Target(commands::target::Args),
    /// Prints the JSON Schema of the configuration, for editors
    Schema(commands::schema::Args),
    /// Prints a completion script for a shell
    Completions(commands::completions::Args),
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn after_help() -> String {
    let codes = Exit::ALL.map(|(exit, meaning)| format!("  {:>3}  {meaning}", exit.code()));
    format!("Exit codes:\n{}", codes.join("\n"))
}

/// The command line's definition, for completions and docs.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Parses the process's command line, does what it asks for, and tells how it went.
pub fn main() -> ExitCode {
    // Whoever reads the output may stop reading (`| head`): that is no reason to say anything.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&in_better_words(error, std::env::args_os().skip(1))),
    };
    let app = App::new(&cli.globals);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(dispatch(cli.command, &app));
            // A read that still waits for its source, such as a pipe, must not hold up the end.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Error::Output(error)),
    };
    let exit = outcome.unwrap_or_else(|error| match &error {
        Error::Output(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Exit::Success,
        _ => {
            app.out.error(&error);
            error.exit()
        }
    });
    ExitCode::from(exit.code())
}

/// The error as it is, unless a subcommand seems to be misspelt: where a command takes arguments, too, the parser takes
/// such a word for one of them, and complains of the next.
fn in_better_words(error: clap::Error, words: impl Iterator<Item = OsString>) -> clap::Error {
    if !matches!(
        error.kind(),
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand | ErrorKind::ArgumentConflict
    ) {
        return error;
    }
    let root = definition();
    let (mut command, mut path) = (&root, root.get_name().to_owned());
    for word in words {
        let word = word.to_string_lossy();
        if let Some(sub) = command.find_subcommand(word.as_ref()) {
            command = sub;
            path = format!("{path} {}", sub.get_name());
            continue;
        }
        let known = command.get_subcommands().map(clap::Command::get_name);
        if let Some(meant) = nearest(&word, known).filter(|_| !word.starts_with('-')) {
            let message = format!("`{path}` has no subcommand `{word}`; did you mean `{meant}`?");
            return definition().error(ErrorKind::InvalidSubcommand, message);
        }
    }
    error
}

/// Tells what is wrong with the command line, or shows the help that it asked for. With `--json` an error is an
/// object on standard output too, as every other one.
fn refuse(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told that an output is closed.
    drop(error.print());
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let hint = "`syncline --help` shows what there is, `syncline COMMAND --help` what it takes";
        drop(Output::new(true, true).json(&error_json(&Error::usage(message, hint))));
    }
    let code = if error.use_stderr() { Exit::Usage } else { Exit::Success };
    ExitCode::from(code.code())
}

async fn dispatch(command: Command, app: &App) -> Result<Exit, Error> {
    match command {
        Command::Init(args) => commands::init::run(args, app).await,
        Command::Check(args) => commands::check::run(args, app).await,
        Command::Preview(args) => commands::preview::run(args, app).await,
        Command::Run(args) => commands::run::run(args, app).await,
        Command::Listen(args) => commands::listen::run(args, app).await,
        Command::Status(args) => commands::status::run(args, app).await,
        Command::Executions(args) => commands::executions::run(args, app).await,
        Command::Cancel(args) => commands::cancel::run(args, app).await,
        Command::Retry(args) => commands::retry::run(args, app).await,
        Command::DeadLetters(args) => commands::dead_letters::run(args, app).await,
        Command::Shards(args) => commands::shards::run(args, app).await,
        Command::Why(args) => commands::why::run(args, app).await,
        Command::Match(args) => commands::matching::run(args, app).await,
        Command::Conflicts(args) => commands::conflicts::run(args, app).await,
        Command::Review(args) => commands::review::run(args, app).await,
        Command::Merge(args) => commands::review::merge(args, app).await,
        Command::Undo(args) => commands::undo::run(args, app).await,
        Command::Unmerge(args) => commands::review::unmerge(args, app).await,
        Command::Erase(args) => commands::erase::run(args, app).await,
        Command::Export(args) => commands::export::run(args, app).await,
        Command::Connect(args) => commands::connect::run(args, app).await,
        Command::Connector(args) => commands::connector::run(args, app).await,
        Command::Connectors(args) => commands::connectors::run(&args, app),
        Command::Target(args) => commands::target::run(args, app).await,
        Command::Schema(args) => commands::schema::run(&args, app),
        Command::Completions(args) => commands::completions::run(&args, app),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn a_misspelt_subcommand_is_told_what_was_meant() {
        let root = definition();
        for group in root.get_subcommands().filter(|command| command.has_subcommands()) {
            for sub in group.get_subcommands() {
                let (group, sub) = (group.get_name(), sub.get_name());
                let wrong = &sub[..sub.len() - 1];
                let words = ["syncline", "--quiet", group, wrong, "1", "--bogus"];
                let error = Cli::try_parse_from(words).unwrap_err();
                let told = in_better_words(error, words.iter().skip(1).map(OsString::from));
                let said = format!(
                    "`syncline {group}` has no subcommand `{wrong}`; did you mean `{sub}`?"
                );
                assert!(told.to_string().contains(&said), "{told}");
            }
        }
        // What is no subcommand is told as it was.
        for words in [["syncline", "run", "--bogus"], ["syncline", "shards", "--limt"]] {
            let error = Cli::try_parse_from(words).unwrap_err();
            let plain = error.to_string();
            let told = in_better_words(error, words.iter().skip(1).map(OsString::from));
            assert_eq!(told.to_string(), plain);
        }
    }
}
