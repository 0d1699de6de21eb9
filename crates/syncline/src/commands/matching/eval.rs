//! `syncline match eval`: how well duplicates are found, where it is known who is who.

use crate::app::App;
use crate::commands::shards::unknown_type;
use crate::error::{Error, Exit};
use crate::models;
use crate::output::count;
use crate::report::since;
use crate::reviewing::{DecisionStory, RecordName};
use crate::syncing::Syncline;
use crate::training::{Labels, each_record};
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::path::PathBuf;
use syncline_core::matching::evaluate::{Decided, Evaluation, Quality, Trial};
use syncline_core::plan::rows::Verdict;
use syncline_engine::{Clock, SystemClock};

/// What `syncline match eval` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The records are read from the connections and matched in memory, as a run would match them, with what \
    people decided; the store is not touched.\n\n\
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
    let (sync, _) = Syncline::over_memory(workspace).await?;
    let world = sync.world();
    let matched: Vec<_> = world
        .rules
        .types
        .iter()
        .filter(|rules| !rules.matcher.is_empty())
        .filter(|rules| args.shard_type.as_deref().is_none_or(|t| t == rules.layout.shard_type))
        .collect();
    let [rules] = matched.as_slice() else {
        let types = &world.config.shard_types;
        if let Some(wanted) = args.shard_type.as_ref().filter(|t| !types.contains_key(*t)) {
            return Err(unknown_type(wanted, types.keys().map(String::as_str)));
        }
        let names = world.rules.types.iter().filter(|rules| !rules.matcher.is_empty());
        let names: Vec<&str> = names.map(|rules| rules.layout.shard_type.as_str()).collect();
        let hint = format!("say which one: `--type TYPE`; matched are: {}", names.join(", "));
        return Err(Error::usage("there is not one shard type that is meant", hint));
    };
    let take = |trials: &mut Vec<Trial>, name: &str, image: &[_]| {
        let (name, image) = (name.to_owned(), image.to_vec());
        trials.push(Trial { name, image, system: 0, entity: None });
    };
    let mut trials = each_record(&sync, &rules.layout.shard_type, Vec::new(), take).await?;
    let systems: FxHashMap<(&str, &str), u32> = world
        .rules
        .entities
        .values()
        .map(|of| ((of.connection.as_str(), of.entity.as_str()), of.system))
        .collect();
    for trial in &mut trials {
        let mut parts = trial.name.splitn(3, '/');
        let (connection, entity) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        trial.system = systems.get(&(connection, entity)).copied().unwrap_or(0);
        trial.entity = labels.entities.get(parts.next().unwrap_or("")).copied();
    }
    if !trials.iter().any(|trial| trial.entity.is_some()) {
        let example = trials.first().map_or("none was read", |trial| trial.name.as_str());
        let file = args.truth.display();
        let message = format!("`{file}` knows none of the {} records", count(trials.len() as u64));
        let hint = format!(
            "its first column holds external ids; the first record is `{example}`, of which the last part counts"
        );
        return Err(Error::usage(message, hint));
    }
    let decided = decided(&trials, &sync.decisions().await?);
    let sized = rules.matcher.for_records(trials.len() as u64);
    let matcher = sized.as_ref().unwrap_or(&rules.matcher);
    if let Some(remark) = models::remark(&rules.layout.shard_type, matcher) {
        app.out.note(app.out.advise(&remark));
    }
    let tried = tokio::task::block_in_place(|| {
        let candidates = matcher.candidates(&trials);
        let begun = SystemClock.now();
        let scores = matcher.scores(&trials, &candidates);
        let compare_ms = since(begun);
        let result = matcher.evaluate(&trials, candidates, &scores, &decided);
        Tried { result, compare_ms }
    });
    if app.out.json {
        app.out.json(&tried)?;
    } else {
        print(app, &tried.result)?;
    }
    Ok(Exit::Success)
}

/// What people decided of the records that are tried.
fn decided(trials: &[Trial], decisions: &[DecisionStory]) -> Decided {
    let mut decided = Decided::default();
    if decisions.is_empty() {
        return decided;
    }
    let indexes: FxHashMap<&str, i64> = trials.iter().map(|t| t.name.as_str()).zip(0..).collect();
    for decision in decisions {
        let at = |name: &RecordName| indexes.get(name.written().as_str()).copied();
        if let (Some(a), Some(b)) = (at(&decision.a), at(&decision.b)) {
            match decision.verdict {
                Verdict::Same => decided.same.push((a, b)),
                Verdict::Apart => decided.apart.push((a, b)),
            }
        }
    }
    decided
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
