//! `syncline export`: shards, links and edges as CSV, JSON Lines or Parquet.
//!
//! Rows come out of the store page by page, by row number, so memory stays a page, whatever the size of the
//! store. What the columns hold is told in `docs/export.md`; scripts depend on them.

mod cell;
#[cfg(feature = "columnar")]
mod columnar;
mod edges;
mod links;
mod shards;
mod sink;

use crate::app::App;
use crate::error::{Error, Exit};
use crate::output::counted;
use sink::Sink;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use syncline_core::plan::rows::{EntityId, EntityName, KindId, TypeId};
use syncline_store::Store;

/// Rows that are read in one go.
const PAGE: usize = 10_000;

/// What `syncline export` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
syncline export links > links.csv                              one line for each linked record\n  \
syncline export shards --type contact --format csv             a column for each field\n  \
syncline export shards --output all.jsonl                      every shard with its data\n  \
syncline export edges --format jsonl\n\n\
The columns are listed in docs/export.md.")]
pub struct Args {
    /// What is written
    pub what: What,
    /// Only shards, links or edges of shards of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub shard_type: Option<String>,
    /// The form; by default what the end of FILE says, else csv for links and edges, jsonl for shards and with --json
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The file; by default standard output. It appears under its name when it is complete, not before
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// CSV: puts a ' before cells that a spreadsheet would take for formulas (= + - @)
    #[arg(long)]
    pub safe_for_spreadsheets: bool,
    /// Shards: deleted ones too
    #[arg(long)]
    pub deleted: bool,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// One row for each shard, with its fields
    Shards,
    /// One row for each linked record
    Links,
    /// One row for each edge that a record states
    Edges,
}

/// The form of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns between commas, RFC 4180, with a header
    Csv,
    /// A JSON object in each line
    Jsonl,
    /// Apache Parquet with typed columns (needs a build with the feature `columnar`)
    Parquet,
}

impl Args {
    fn format(&self, json: bool) -> Format {
        let by_name = self.output.as_ref().and_then(|path| path.extension()).and_then(|end| {
            match end.to_string_lossy().to_ascii_lowercase().as_str() {
                "csv" => Some(Format::Csv),
                "jsonl" | "ndjson" => Some(Format::Jsonl),
                "parquet" => Some(Format::Parquet),
                _ => None,
            }
        });
        self.format.or(by_name).unwrap_or(match self.what {
            _ if json && self.output.is_none() => Format::Jsonl,
            What::Shards => Format::Jsonl,
            What::Links | What::Edges => Format::Csv,
        })
    }
}

/// What all rows are made with.
struct Source {
    store: Arc<dyn Store>,
    entities: BTreeMap<EntityId, EntityName>,
    kinds: BTreeMap<KindId, String>,
    types: BTreeMap<TypeId, String>,
    shard_type: Option<TypeId>,
    with_deleted: bool,
}

/// Writes shards, links or edges.
///
/// # Errors
///
/// When there is no store or no such type, or the store cannot be read, or the file cannot be written.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let format = args.format(app.out.json);
    if format == Format::Parquet {
        check_parquet(&args)?;
    }
    let store = app.open_store(None)?;
    let (catalog, ids) = store.catalog().await?;
    let types: BTreeMap<TypeId, String> =
        ids.shard_types.into_iter().zip(catalog.shard_types).collect();
    let shard_type = match &args.shard_type {
        Some(name) => Some(super::shards::type_named(&types, name)?),
        None => None,
    };
    let source = Source {
        store,
        entities: ids.entities.into_iter().zip(catalog.entities).collect(),
        kinds: ids.kinds.into_iter().zip(catalog.kinds).collect(),
        types,
        shard_type,
        with_deleted: args.deleted,
    };
    let columns = match args.what {
        What::Links => links::columns(),
        What::Edges => edges::columns(),
        What::Shards => shards::columns(&source, format, app).await?,
    };
    let mut sink =
        Sink::create(args.output.as_deref(), format, &columns, args.safe_for_spreadsheets)?;
    let rows = match args.what {
        What::Links => links::write(&source, &mut sink).await?,
        What::Edges => edges::write(&source, &mut sink).await?,
        What::Shards => shards::write(&source, &columns, format, &mut sink).await?,
    };
    sink.finish()?;
    if let Some(path) = &args.output {
        let what = match args.what {
            What::Shards => "shard",
            What::Links => "link",
            What::Edges => "edge",
        };
        if app.out.json {
            app.out.json(&serde_json::json!({ "file": path, "rows": rows }))?;
        }
        app.out.note(format!("{} in {}", counted(rows, what), path.display()));
    }
    Ok(Exit::Success)
}

fn check_parquet(args: &Args) -> Result<(), Error> {
    if !cfg!(feature = "columnar") {
        let message = "this build cannot write Parquet";
        let hint = "build it with `cargo build --release --features columnar`, or use \
                    `--format csv` or `--format jsonl`";
        return Err(Error::usage(message, hint));
    }
    if args.output.is_none() {
        let message = "Parquet cannot be written to standard output";
        return Err(Error::usage(message, "name the file with `--output FILE.parquet`"));
    }
    Ok(())
}
