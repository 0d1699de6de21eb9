//! `syncline connectors`: which connectors there are.

use crate::app::App;
use crate::error::{Error, Exit};
use crate::output::{counted, shorten};
use serde_json::json;
use std::path::PathBuf;
use syncline_adapters::manifest::{Connector, Runs, StreamOf};
use syncline_core::problem::nearest;

/// How much of a reason is shown in a table.
const WHY_CHARS: usize = 100;

/// So many streams are named in the list of connectors.
const STREAMS_SHOWN: usize = 3;

/// Lists the connectors that are built in, or those whose manifests a folder holds: their streams, how they prove who
/// asks, what they write, and how they run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A connector that needs a class of its own, in Python, runs as a subprocess: the reference \
implementation of the language (`source-declarative-manifest`), where that is installed. Of one that is partly native, \
the streams that need no such class run here."
)]
pub struct Args {
    /// Only this connector, stream by stream
    pub name: Option<String>,
    /// The folder with manifests, instead of what is built in
    #[arg(long = "in", value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// When the folder cannot be read, or there is no such connector.
pub fn run(args: &Args, app: &App) -> Result<Exit, Error> {
    let mut connectors = match &args.folder {
        None => Connector::built_in(),
        Some(folder) => Connector::in_folder(folder)
            .map_err(|source| Error::Read { path: folder.clone(), source })?,
    };
    if let Some(name) = &args.name {
        let names = connectors.iter().map(|connector| connector.name.as_str());
        let near = nearest(name, names).map(|near| format!("did you mean `{near}`?"));
        connectors.retain(|connector| connector.name == *name);
        if connectors.is_empty() {
            let hint = near.unwrap_or_else(|| "`syncline connectors` lists them".to_owned());
            return Err(Error::refused(format!("there is no connector `{name}`"), hint));
        }
    }
    if app.out.json {
        app.out.json(&json!({ "connectors": connectors }))?;
        return Ok(Exit::Success);
    }
    match (&args.name, connectors.as_slice()) {
        (Some(_), [connector]) => show(connector, app)?,
        (_, []) => app.out.line("no manifest was found")?,
        (_, connectors) => list(connectors, app)?,
    }
    Ok(Exit::Success)
}

fn list(connectors: &[Connector], app: &App) -> Result<(), Error> {
    let row = |connector: &Connector| {
        let mut names: Vec<&str> =
            connector.streams.iter().map(|stream| stream.name.as_str()).collect();
        let more = names.len().saturating_sub(STREAMS_SHOWN);
        names.truncate(STREAMS_SHOWN);
        let mut streams = names.join(", ");
        if more > 0 {
            streams.push_str(&format!(" (+{more})"));
        }
        if connector.asks_for_streams {
            streams.push_str(if streams.is_empty() {
                "as the API says"
            } else {
                ", as the API says"
            });
        }
        let writes = connector.streams.iter().any(|stream| !stream.writes.is_empty());
        vec![
            connector.name.clone(),
            streams,
            auth(connector),
            if writes { "read, write" } else { "read" }.to_owned(),
            runs(connector.runs, connector.why.as_deref()),
        ]
    };
    app.out.table(
        &["connector", "streams", "auth", "access", "runs"],
        connectors.iter().map(row).collect(),
    )?;
    let number = |runs: Runs| connectors.iter().filter(|one| one.runs == runs).count();
    let all = [Runs::Natively, Runs::Partly, Runs::AsProgram, Runs::Broken];
    let parts = all.map(|runs| (number(runs), runs.as_str()));
    let parts: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, runs)| format!("{number} {runs}"))
        .collect();
    let all = counted(connectors.len() as u64, "connector");
    app.out.note(format!("{all}: {}", parts.join(", ")));
    Ok(())
}

fn show(connector: &Connector, app: &App) -> Result<(), Error> {
    let path = connector.path.as_deref().unwrap_or(&connector.name);
    app.out.line(format!("manifest  {path}"))?;
    app.out.line(format!("auth      {}", auth(connector)))?;
    app.out.line(format!("runs      {}", runs(connector.runs, connector.why.as_deref())))?;
    let row = |stream: &StreamOf| {
        vec![
            stream.name.clone(),
            stream.key.join(", "),
            if stream.is_incremental { "incremental" } else { "full" }.to_owned(),
            stream.writes.join(", "),
            match &stream.why {
                Some(why) => runs(Runs::AsProgram, Some(why)),
                None => runs(Runs::Natively, None),
            },
        ]
    };
    if !connector.streams.is_empty() {
        let rows = connector.streams.iter().map(row).collect();
        app.out.table(&["stream", "key", "reads", "writes", "runs"], rows)?;
    }
    if connector.asks_for_streams {
        app.out.line("there are more streams, which the API knows")?;
    }
    Ok(())
}

fn auth(connector: &Connector) -> String {
    let short = |kind: &String| kind.trim_end_matches("Authenticator").to_owned();
    connector.auth.iter().map(short).collect::<Vec<_>>().join(", ")
}

fn runs(runs: Runs, why: Option<&str>) -> String {
    match why {
        Some(why) => format!("{}: {}", runs.as_str(), shorten(why, WHY_CHARS)),
        None => runs.as_str().to_owned(),
    }
}
