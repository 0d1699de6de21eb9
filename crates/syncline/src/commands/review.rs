//! `syncline review`, `merge` and `unmerge`: what a person decides of records.

use super::matching::explain::model_text;
use super::why::merge_text;
use crate::app::App;
use crate::error::{Error, Exit};
use crate::explain;
use crate::output::{Tone, counted, shorten, time};
use crate::preview::changes;
use crate::reviewing::{DecisionStory, RecordName, SideBySide};
use crate::syncing::{Syncline, random_bits};
use std::fmt::Write;
use syncline_core::plan::rows::Verdict;
use syncline_core::value::Value;
use syncline_engine::decide::{Decided, Decider};
use syncline_store::execution::Worker;

/// What `syncline review` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A pair of records waits for a person where its score is between a rule's `review` and its \
`threshold`, or where the type says `merge: manual`. A record is named as `connection/entity:external-id`, by \
its external id alone where that is unambiguous, or by the id of its shard. A decision stands until another one takes its place, whatever the rules say.\n\n\
Examples:\n  syncline review list\n  \
syncline review show crm/contact:17 billing/customer:A4\n  \
syncline review merge crm/contact:17 billing/customer:A4 --why 'same tax number'\n  \
syncline review apart crm/contact:17 billing/customer:A4"
)]
pub struct Args {
    /// What is asked for.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked about pairs of records.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lists the pairs that wait for a person, the surest first
    List {
        /// Only pairs of this shard type
        #[arg(value_name = "TYPE")]
        shard_type: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Lists what was decided, by whom and why
    Decisions,
    /// Shows two records side by side, and what each rule makes of them
    Show {
        /// The one
        a: String,
        /// The other
        b: String,
    },
    /// They are the same: their shards become one
    Merge(PairArgs),
    /// They are not the same: their shards are never put together
    Apart(PairArgs),
    /// Takes back what was decided of them
    Forget(PairArgs),
}

/// Two records, and who decides.
#[derive(Debug, clap::Args)]
pub struct PairArgs {
    /// The one: `connection/entity:external-id`, or the id of its shard
    pub a: String,
    /// The other
    pub b: String,
    /// Who decides.
    #[command(flatten)]
    pub decider: DeciderArgs,
}

/// Who decides, and why.
#[derive(Debug, clap::Args)]
pub struct DeciderArgs {
    /// Who decides [default: the user of this machine]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Why; it is kept with the decision
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub why: String,
    /// Shows what would change, and writes nothing
    #[arg(long)]
    pub preview: bool,
}

/// What `syncline unmerge` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What comes apart is as if it had never been merged: fields, links and edges, updates that came \
later included; parts that had an id of their own get it back. The parts are kept apart from then on.\n\n\
Examples:\n  syncline unmerge 0199f3c2                  undoes the last merge of the shard\n  \
syncline unmerge 0199f3c2 crm/contact:17   one record leaves it\n  \
syncline unmerge 0199aa07                  the old id of a merged shard: that one comes out"
)]
pub struct UnmergeArgs {
    /// The shard's id, or the beginning of it; or that of a shard that was merged
    pub shard: String,
    /// These records leave the shard: `connection/entity:external-id`
    #[arg(value_name = "RECORD")]
    pub records: Vec<String>,
    /// Who decides.
    #[command(flatten)]
    pub decider: DeciderArgs,
}

/// Runs `syncline review`.
///
/// # Errors
///
/// When what is named is not there, or the store cannot work.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    match args.command {
        Command::List { shard_type, limit } => list(shard_type.as_deref(), limit, app).await?,
        Command::Decisions => decisions(app).await?,
        Command::Show { a, b } => {
            let sync = app.open_to_read(None).await?;
            show(&sync.side_by_side(&a, &b).await?, app)?;
        }
        Command::Merge(pair) => return merge(pair, app).await,
        Command::Apart(pair) => {
            let (a, b) = (&pair.a, &pair.b);
            let (by, why) = who(&pair.decider);
            deciding(app, &pair.decider, "decided on", async |sync: &Syncline| {
                sync.keep_apart(a, b, &by, &why).await
            })
            .await?;
        }
        Command::Forget(pair) => {
            let (a, b) = (&pair.a, &pair.b);
            let act = async |sync: &Syncline| sync.forget(a, b).await;
            deciding(app, &pair.decider, "taken back for", act).await?;
        }
    }
    Ok(Exit::Success)
}

/// Runs `syncline merge`.
///
/// # Errors
///
/// When what is named is not there or one already, or the store cannot work.
pub async fn merge(pair: PairArgs, app: &App) -> Result<Exit, Error> {
    let (a, b) = (&pair.a, &pair.b);
    let (by, why) = who(&pair.decider);
    let act = async |sync: &Syncline| sync.merge(a, b, &by, &why).await;
    deciding(app, &pair.decider, "decided on", act).await?;
    Ok(Exit::Success)
}

/// Runs `syncline unmerge`.
///
/// # Errors
///
/// When there is nothing to take apart, or the store cannot work.
pub async fn unmerge(args: UnmergeArgs, app: &App) -> Result<Exit, Error> {
    let (shard, records) = (&args.shard, &args.records);
    let (by, why) = who(&args.decider);
    let mut before = None;
    let mut undone = Vec::new();
    deciding(app, &args.decider, "decided on", async |sync: &Syncline| {
        let found = sync.shard_to_part(shard).await?;
        let story = before.insert(explain::explain(sync.world(), &found).await?);
        let decided = sync.unmerge(shard, records, &by, &why).await?;
        undone = sync.undone(story).await?;
        Ok(decided)
    })
    .await?;
    if let (Some(story), false) = (before, app.out.json) {
        for step in undone {
            app.out.line(format!("  undone:{}", merge_text(&story, &step)))?;
        }
    }
    Ok(Exit::Success)
}

fn who(decider: &DeciderArgs) -> (String, String) {
    let user = || std::env::var("USER").or_else(|_| std::env::var("USERNAME"));
    let by = decider.by.clone().or_else(|| user().ok()).unwrap_or_else(|| "unknown".to_owned());
    (by, decider.why.clone())
}

/// Who decides, as the engine wants to know it.
pub(super) fn decider(args: &DeciderArgs) -> Decider {
    let (by, why) = who(args);
    Decider { by, why, worker: Worker::current(), seed: random_bits() }
}

/// Decides on the store, or on a store in memory over it, and tells what came of it.
async fn deciding(
    app: &App,
    decider: &DeciderArgs,
    verb: &str,
    act: impl AsyncFnOnce(&Syncline) -> Result<Decided, Error>,
) -> Result<(), Error> {
    if decider.preview {
        let workspace = app.load(None)?;
        if !workspace.store_path.exists() {
            return Err(Error::NoStore(workspace.store_path));
        }
        let (sync, overlay) = Syncline::over_memory(workspace).await?;
        let decided = act(&sync).await?;
        let changes = changes(&sync, &overlay).await?;
        if app.out.json {
            return app.out.json(&serde_json::json!({ "decided": decided, "changes": changes }));
        }
        super::preview::print_changes(app, &changes, usize::MAX)?;
        return app.out.line(app.out.paint(Tone::Dim, "this was a preview: nothing was written"));
    }
    let workspace = app.load(None)?;
    if !workspace.store_path.exists() {
        return Err(Error::NoStore(workspace.store_path));
    }
    let sync = Syncline::bind(workspace).await?;
    let decided = act(&sync).await?;
    if app.out.json {
        return app.out.json(&decided);
    }
    let mut told = vec![format!("{verb} {}", counted(decided.pairs, "pair"))];
    for (number, what) in [
        (decided.shards_merged, "merged into another"),
        (decided.shards_created, "new"),
        (decided.shards_updated, "changed or restored"),
    ] {
        if number > 0 {
            told.push(format!("{} {what}", counted(number, "shard")));
        }
    }
    app.out.line(told.join("; "))
}

fn name(record: &RecordName) -> String {
    format!("{}/{}:{}", record.connection, record.entity, record.external_id)
}

async fn list(shard_type: Option<&str>, limit: usize, app: &App) -> Result<(), Error> {
    let sync = app.open_to_read(None).await?;
    let mut reviews = sync.reviews(shard_type).await?;
    let all = reviews.len();
    reviews.truncate(limit);
    if app.out.json {
        return app.out.json(&serde_json::json!({ "reviews": reviews, "waiting": all }));
    }
    if reviews.is_empty() {
        return app.out.line("no pair waits for a person");
    }
    let rows = reviews.iter().map(|review| {
        let score = format!("{:.3}", review.score);
        vec![name(&review.a), name(&review.b), review.rule.clone(), score]
    });
    app.out.table(&["record", "and record", "rule", "score"], rows.collect())?;
    if all > reviews.len() {
        app.out.note(format!("{} wait; `--limit N` shows more", counted(all as u64, "pair")));
    }
    app.out.note(app.out.advise(
        "`syncline review show A B` shows two side by side; `merge A B` and `apart A B` decide",
    ));
    Ok(())
}

async fn decisions(app: &App) -> Result<(), Error> {
    let sync = app.open_to_read(None).await?;
    let decisions = sync.decisions().await?;
    if app.out.json {
        return app.out.json(&decisions);
    }
    if decisions.is_empty() {
        return app.out.line("nothing was decided");
    }
    let row = |d: &DecisionStory| {
        vec![name(&d.a), name(&d.b), verdict(d.verdict), d.by.clone(), time(d.at_us), d.why.clone()]
    };
    let rows = decisions.iter().map(row).collect();
    app.out.table(&["record", "and record", "are", "said", "at", "why"], rows)
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Same => "the same".to_owned(),
        Verdict::Apart => "apart".to_owned(),
    }
}

fn show(pair: &SideBySide, app: &App) -> Result<(), Error> {
    let out = &app.out;
    if out.json {
        return out.json(pair);
    }
    let said = |value: &Option<Value>| {
        value.as_ref().map_or_else(|| "(absent)".to_owned(), |value| shorten(&value.to_json(), 60))
    };
    let mut rows = vec![vec!["shard".to_owned(), pair.a_shard.clone(), pair.b_shard.clone()]];
    rows.extend(pair.fields.iter().map(|f| vec![f.field.clone(), said(&f.a), said(&f.b)]));
    out.table(&["", &name(&pair.a), &name(&pair.b)], rows)?;
    for rule in &pair.rules {
        let verdict = match rule.score {
            Some(_) if rule.is_match => "match",
            Some(score) if score >= rule.review => "review",
            _ => "no match",
        };
        let score =
            rule.score.map_or_else(|| "nothing to compare".to_owned(), |s| format!("{s:.3}"));
        let mut text = format!("\n{}: {score}, {verdict}", out.paint(Tone::Bold, &rule.rule));
        write!(text, " (threshold {}", rule.threshold).expect("text takes everything");
        if rule.review < rule.threshold {
            write!(text, ", review from {}", rule.review).expect("text takes everything");
        }
        text.push(')');
        for part in &rule.comparisons {
            let side = |text: &Option<String>| shorten(text.as_deref().unwrap_or("(none)"), 30);
            let similarity =
                part.similarity.map_or_else(|| "left out".to_owned(), |s| format!("{s:.3}"));
            write!(
                text,
                "\n  {:<14} {} / {}: {similarity} × weight {}, adds {:.3}",
                part.field,
                side(&part.left),
                side(&part.right),
                part.weight,
                part.contribution
            )
            .expect("text takes everything");
        }
        if let Some(model) = &rule.model {
            text.push_str(&model_text(model));
        }
        out.line(text)?;
    }
    if let Some(d) = &pair.decision {
        let why = if d.why.is_empty() { String::new() } else { format!(": {}", d.why) };
        out.line(format!(
            "\n{} said on {} that they are {}{why}",
            d.by,
            time(d.at_us),
            verdict(d.verdict)
        ))?;
    }
    Ok(())
}
