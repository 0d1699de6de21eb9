//! `syncline match eval`: how well duplicates are found, where it is known who is who.

use crate::app::App;
use crate::error::{Error, Exit};
use crate::output::count;
use crate::report::since;
use crate::syncing::Syncline;
use crate::training::{Labels, each_record};
use crate::workspace::Workspace;
use serde::Serialize;
use std::path::PathBuf;
use syncline_core::matching::evaluate::{Evaluation, Quality, Trial};
use syncline_engine::{Clock, SystemClock};

/// What `syncline match eval` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The records are read from the connections and matched in memory, as a run would match them; the \
    store is not touched.\n\n\
    FILE is CSV: a header `id,entity` and a line for each record, or pairs of external ids that are the same.\n\n\
    Example:\n  syncline match eval examples/contacts-learned --var input=contacts.jsonl --truth truth.csv"
)]
pub(super) struct Args {
    /// The configuration: a folder or a file [default: --config, or the current folder]
    pub(super) path: Option<PathBuf>,
    /// Who is who
    #[arg(long, value_name = "FILE")]
    pub(super) truth: PathBuf,
    /// The shard type; needed where several are matched
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) shard_type: Option<String>,
}

/// Tries the matching of a shard type.
///
/// # Errors
///
/// When the configuration is wrong, or the records or the truth cannot be read.
pub(super) async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let workspace = app.load(args.path.as_deref())?;
    let labels = Labels::read(&args.truth)?;
    let nowhere = Workspace { store_path: PathBuf::new(), ..workspace };
    let (sync, _) = Syncline::over_memory(nowhere).await?;
    let world = sync.world();
    let matched: Vec<_> = world
        .rules
        .types
        .iter()
        .filter(|rules| !rules.matcher.is_empty())
        .filter(|rules| args.shard_type.as_deref().is_none_or(|t| t == rules.layout.shard_type))
        .collect();
    let [rules] = matched.as_slice() else {
        let names = world.rules.types.iter().filter(|rules| !rules.matcher.is_empty());
        let names: Vec<&str> = names.map(|rules| rules.layout.shard_type.as_str()).collect();
        let hint = format!("say which one: `--type TYPE`; matched are: {}", names.join(", "));
        return Err(Error::usage("there is not one shard type that is meant", hint));
    };
    let take = |trials: &mut Vec<Trial>, name: &str, image: &[_]| {
        trials.push(Trial { name: name.to_owned(), image: image.to_vec(), entity: None });
    };
    let mut trials = each_record(&sync, &rules.layout.shard_type, Vec::new(), take).await?;
    for trial in &mut trials {
        let id = trial.name.splitn(3, '/').nth(2).unwrap_or_default();
        trial.entity = labels.entities.get(id).copied();
    }
    let tried = tokio::task::block_in_place(|| {
        let candidates = rules.matcher.candidates(&trials);
        let begun = SystemClock.now();
        let scores = rules.matcher.scores(&trials, &candidates);
        let compare_ms = since(begun);
        Tried { result: rules.matcher.evaluate(&trials, candidates, &scores), compare_ms }
    });
    if app.out.json {
        app.out.json(&tried)?;
    } else {
        print(app, &tried.result)?;
    }
    Ok(Exit::Success)
}

/// What came of it.
#[derive(Serialize)]
struct Tried {
    #[serde(flatten)]
    result: Evaluation,
    /// How long it took to compare the pairs, on one core.
    compare_ms: u64,
}

fn print(app: &App, result: &Evaluation) -> Result<(), Error> {
    let number = |number: usize| count(number as u64);
    let quality = |quality: &Quality| {
        format!(
            "precision {:.4}  recall {:.4}  f1 {:.4}  (there {}, found {}, right {})",
            quality.precision,
            quality.recall,
            quality.f1,
            count(quality.there),
            count(quality.found),
            count(quality.right),
        )
    };
    let blocking = &result.blocking;
    let out = &app.out;
    out.line(format!(
        "records    {}, {} of them with a known entity",
        number(result.records),
        number(result.labelled)
    ))?;
    out.line(format!("clustered  {}", quality(&result.pairs)))?;
    out.line(format!("links      {}", quality(&result.links)))?;
    out.line(format!(
        "threshold  links would do best at {:.3}: f1 {:.4}",
        result.best_threshold, result.best_f1
    ))?;
    out.line(format!(
        "clusters   {} of more than one record, {} of these pure; the largest has {}",
        number(result.clusters),
        number(result.pure_clusters),
        number(result.largest)
    ))?;
    out.line(format!(
        "blocking   {} keys; {} pairs compared, {} avoided, {} behind generic keys; {} true pairs lost",
        count(blocking.keys),
        count(blocking.compared),
        count(blocking.avoided),
        count(blocking.generic_pairs),
        count(blocking.lost)
    ))
}
