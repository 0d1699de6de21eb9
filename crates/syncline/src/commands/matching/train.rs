//! `syncline match train`: a model from records.

use crate::app::App;
use crate::error::{Error, Exit};
use crate::output::{count, counted};
use crate::training::{self, Labels, Training};
use std::path::PathBuf;

/// What `syncline match train` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The records are read from the connections; a store is not needed, and not touched. No labels \
    are needed; what people decided (`syncline review decisions`) is learnt from. Equal records, in any order, and equal seeds give equal models.\n\n\
    The model is written to the file that the shard type's `matching.model` names, or beside the store where \
    that cannot be written. Read it, and keep it with the configuration.\n\n\
    Examples:\n  syncline match train\n  syncline match train examples/contacts-learned --var input=contacts.jsonl"
)]
pub(super) struct Args {
    /// The configuration: a folder or a file [default: --config, or the current folder]
    pub(super) path: Option<PathBuf>,
    /// Only the model of this shard type
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) shard_type: Option<String>,
    /// Learns from these labels too: a CSV file with lines `id,entity`, or pairs of ids that are the same
    #[arg(long, value_name = "FILE")]
    pub(super) truth: Option<PathBuf>,
    /// What chance starts from
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Writes the model here instead
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

/// Trains models.
///
/// # Errors
///
/// When the configuration is wrong, a connection cannot be read, or the file cannot be written.
pub(super) async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let workspace = app.load_untrained(args.path.as_deref())?;
    let labels = match &args.truth {
        Some(path) => Labels::read(path)?,
        None => Labels::default(),
    };
    let only = args.shard_type.as_deref();
    let done = training::train(workspace, only, args.seed, &labels, args.output).await?;
    if app.out.json {
        app.out.json(&done)?;
    } else {
        for training in &done {
            print(app, training)?;
        }
    }
    Ok(Exit::Success)
}

fn print(app: &App, training: &Training) -> Result<(), Error> {
    let Training { shard_type, file, records, sampled, pairs, decided, .. } = training;
    app.out.line(format!("{shard_type}: trained, written to `{}`", file.display()))?;
    let of = if sampled == records { String::new() } else { format!(" of {}", count(*records)) };
    app.out.line(format!("  records    {}{of}", count(*sampled)))?;
    app.out.line(format!("  pairs      {} share a blocking key", count(*pairs)))?;
    if *decided > 0 {
        app.out
            .line(format!("  decided    {} by people, learnt from", counted(*decided, "pair")))?;
    }
    let same = training.same_pairs.round().max(0.0) as u64;
    app.out.line(format!(
        "  duplicates {} pairs of records are expected to be the same",
        count(same)
    ))?;
    app.out
        .line(format!("  threshold  {:.3}, review from {:.3}", training.threshold, training.review))
}
