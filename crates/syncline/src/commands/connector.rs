//! `syncline connector`: a connector of its own, spoken to in the Airbyte protocol.

use crate::app::App;
use crate::error::{Error, Exit};
use serde_json::{Value, json};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncline_adapters::manifest::protocol::{Ended, Printer};
use syncline_adapters::manifest::{Clock, Manifest, Reach, Session, Trouble};

/// Asks a connector that a manifest describes for its specification, its streams or its records. What it
/// answers are the messages of the Airbyte protocol on standard output, a JSON object a line.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What the connector is asked for.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Prints which configuration the connector takes
    Spec(Source),
    /// Tries whether the connector can read with its configuration
    Check(Source),
    /// Prints the streams that there are, with their schemas
    Discover(Source),
    /// Reads streams, from where an earlier read stopped
    Read {
        #[command(flatten)]
        source: Source,
        /// The streams to read: a configured catalog
        #[arg(long, value_name = "FILE")]
        catalog: PathBuf,
        /// The states that an earlier read printed, as a list
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
        /// How many slices are read at a time, of one stream or of several [default: as the manifest declares,
        /// or one with `--now`, so that requests come in the same order each time]
        #[arg(long, value_name = "N")]
        concurrency: Option<usize>,
    },
}

/// A manifest; `--config` names the file with the connector's own configuration, in JSON.
#[derive(Debug, clap::Args)]
struct Source {
    /// The manifest: a file, a folder with a `manifest.yaml` in it, or the name of a built-in connector
    #[arg(long, value_name = "PATH")]
    manifest_path: PathBuf,
    /// What counts as now, in ISO 8601; waiting then takes no time. For tests [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    now: Option<Clock>,
    /// Let requests go to private addresses. Whoever runs the command by hand may ask this machine itself anyway
    #[arg(long)]
    allow_private: bool,
}

fn moment(text: &str) -> Result<Clock, String> {
    let moment: Result<jiff::Timestamp, _> = text.parse();
    moment
        .map(|moment| Clock::Frozen(moment.as_microsecond()))
        .map_err(|_| "expected a time such as 2026-01-31T12:00:00Z".to_owned())
}

fn read_json(path: &Path) -> Result<Value, Trouble> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Trouble::config(format!("cannot read {}: {error}", path.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| Trouble::config(format!("{} is no JSON: {error}", path.display())))
}

/// Runs the command.
///
/// # Errors
///
/// When standard output is closed or full. What is wrong with the connector is printed in the protocol.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let printer = Printer::new(BufWriter::new(io::stdout()));
    let ended = answer(args.command, app.config.as_deref(), printer).await?;
    Ok(match ended {
        Ended::Well => Exit::Success,
        Ended::Badly => Exit::Error,
    })
}

async fn answer<W: io::Write>(
    command: Command,
    config: Option<&Path>,
    mut printer: Printer<W>,
) -> io::Result<Ended> {
    let source = match &command {
        Command::Spec(source) | Command::Check(source) | Command::Discover(source) => source,
        Command::Read { source, .. } => source,
    };
    let clock = source.now.unwrap_or(Clock::System);
    let opened = open(source, config, clock);
    let (mut manifest, session) = match opened {
        Ok(opened) => opened,
        Err(trouble) => return printer.refuse(clock, &trouble),
    };
    match &command {
        Command::Spec(_) => printer.spec(&manifest),
        Command::Check(_) => printer.check(&mut manifest, &session).await,
        Command::Discover(_) => printer.discover(&mut manifest, &session).await,
        Command::Read { catalog, state, concurrency, .. } => {
            let mut printer = match concurrency.or(source.now.map(|_| 1)) {
                Some(slices) => printer.side_by_side(slices),
                None => printer,
            };
            let states = state.as_deref().map_or_else(|| Ok(json!([])), read_json);
            match (read_json(catalog), states) {
                (Ok(catalog), Ok(states)) => {
                    printer.read(&mut manifest, &session, &catalog, &states).await
                }
                (Err(trouble), _) | (_, Err(trouble)) => printer.refuse(clock, &trouble),
            }
        }
    }
}

fn open(
    source: &Source,
    config: Option<&Path>,
    clock: Clock,
) -> Result<(Manifest, Arc<Session>), Trouble> {
    let config = config.map_or_else(|| Ok(json!({})), read_json)?;
    let manifest = Manifest::load(Path::new(""), &source.manifest_path, &config)?;
    let reach = if source.allow_private { Reach::Everywhere } else { Reach::Loopback };
    let session = Session::new(&manifest, clock, reach)?;
    Ok((manifest, Arc::new(session)))
}
