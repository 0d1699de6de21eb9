//! `syncline preview`: what a run would change, exactly.

use crate::app::App;
use crate::commands::run::{Selection, chosen, run_tasks};
use crate::error::{Error, Exit};
use crate::output::{Tone, count, shorten};
use crate::preview::{ChangeKind, ChangeSet, FieldChange, ShardChange, changes};
use crate::report;
use crate::saved_plan::{SavedPlan, latest_execution};
use crate::syncing::Syncline;
use std::path::PathBuf;
use syncline_core::plan::rows::IntentKind;
use syncline_engine::{Clock, SystemClock};

/// Shows exactly what a run would change, field by field. Nothing is written; a store that is not there is not made.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The run itself happens, on a store in memory over the real one, which is read as it is now. \
    A store \
    that is not there is not made."
)]
pub struct Args {
    /// What is tried out, and how.
    #[command(flatten)]
    pub what: Selection,
    /// Shows at most so many shards and refused records; 0 shows all. JSON always holds all
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
    pub limit: usize,
    /// Saves what would be done to a file, for `syncline run --apply`
    #[arg(long, value_name = "PLAN")]
    pub save: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// When nothing could be run at all.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let begun = SystemClock.now();
    let workspace = app.load(args.what.path.as_deref())?;
    let (sync, overlay) = Syncline::over_memory(workspace).await?;
    let options = args.what.options(app);
    let tasks = chosen(&sync, &args.what.tasks)?;
    let after = latest_execution(&sync).await?;
    let outcomes = run_tasks(app, &sync, tasks.clone(), &options, false).await?;
    let changes = changes(&sync, &overlay).await?;
    let exit = report::exit(&outcomes);
    if let Some(path) = &args.save {
        if exit != Exit::Success {
            report::print_tasks(&app.out, &outcomes, report::since(begun))?;
            let message = "no plan is saved: the run itself would not go through";
            return Err(Error::refused(message, "mend what is said of it, or name other tasks"));
        }
        let how = (tasks, options.full, options.allow_deletes);
        SavedPlan::of(&sync, &overlay, after, how, changes.clone()).await?.save(path)?;
    }
    let duration_ms = report::since(begun);
    if app.out.json {
        let mut json = report::to_json(&app.out, &outcomes, duration_ms);
        json["changes"] = serde_json::to_value(&changes).unwrap_or_default();
        app.out.json(&json)?;
        return Ok(report::exit(&outcomes));
    }
    report::print_tasks(&app.out, &outcomes, duration_ms)?;
    print_changes(app, &changes, if args.limit == 0 { usize::MAX } else { args.limit })?;
    for outcome in &outcomes {
        report::print_trouble(&app.out, outcome)?;
    }
    app.out.line(app.out.paint(Tone::Dim, "this was a preview: nothing was written"))?;
    if let Some(path) = &args.save {
        let command = format!("`syncline run --apply {}` does exactly this", path.display());
        app.out.note(app.out.advise(&command));
    }
    Ok(report::exit(&outcomes))
}

pub(super) fn print_changes(app: &App, changes: &ChangeSet, limit: usize) -> Result<(), Error> {
    let out = &app.out;
    for (shard_type, kinds) in &changes.counts {
        let kinds = kinds.iter().map(|(kind, number)| {
            let (mark, tone) = mark(*kind);
            out.paint(tone, &format!("{mark} {} {}", count(*number), told(*kind)))
        });
        out.line(format!("{shard_type}: {}", kinds.collect::<Vec<_>>().join("   ")))?;
    }
    if changes.links_created + changes.links_updated > 0 {
        let (new, changed) = (count(changes.links_created), count(changes.links_updated));
        out.line(format!("links: {new} new, {changed} changed"))?;
    }
    let of = |kind| changes.writes.iter().filter(|write| write.kind == kind).count() as u64;
    let writes = [
        (of(IntentKind::Create), "new"),
        (of(IntentKind::Update), "changed"),
        (of(IntentKind::Delete), "deleted"),
    ];
    let writes: Vec<String> = writes
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", count(number)))
        .collect();
    if !writes.is_empty() {
        out.line(format!("records to write: {}", writes.join(", ")))?;
    }
    for change in changes.shards.iter().take(limit) {
        print_shard(app, change)?;
    }
    print_rest(app, changes.shards.len(), limit, "shard")?;
    for letter in changes.dead_letters.iter().take(limit) {
        let letter = &letter.letter;
        let record =
            letter.external_id.as_deref().map_or_else(String::new, |id| format!(" `{id}`"));
        let place =
            format!("! refused{record} of task {}, {}:{}", letter.task, letter.source, letter.line);
        out.line(out.paint(Tone::Bad, &place))?;
        for problem in letter.problem.lines() {
            out.line(format!("    {problem}"))?;
        }
    }
    print_rest(app, changes.dead_letters.len(), limit, "refused record")?;
    print_writes(app, changes, limit)
}

fn print_writes(app: &App, changes: &ChangeSet, limit: usize) -> Result<(), Error> {
    let out = &app.out;
    for write in changes.writes.iter().take(limit) {
        let (mark, what) = match write.kind {
            IntentKind::Create => ("→ +", "a new record".to_owned()),
            IntentKind::Update => ("→ ~", write.external_id.clone()),
            IntentKind::Delete => ("→ -", write.external_id.clone()),
        };
        out.line(out.paint(Tone::Bold, &format!("{mark} {}: {what}", write.to)))?;
        for (name, value) in &write.fields {
            out.line(format!("    {name}: {}", shorten(&value.to_json(), 60)))?;
        }
    }
    print_rest(app, changes.writes.len(), limit, "write")
}

fn print_rest(app: &App, all: usize, limit: usize, what: &str) -> Result<(), Error> {
    let rest = all.saturating_sub(limit) as u64;
    if rest == 0 {
        return Ok(());
    }
    let plural = if rest == 1 { "" } else { "s" };
    app.out.line(format!("… and {} more {what}{plural} (--limit 0 shows all)", count(rest)))
}

fn print_shard(app: &App, change: &ShardChange) -> Result<(), Error> {
    let out = &app.out;
    let (mark, tone) = mark(change.kind);
    let mut head = format!("{mark} {}", change.shard_type);
    // The id of a shard that would be made is another one in the real run.
    if change.kind != ChangeKind::Created {
        head.push_str(&format!(" {}", change.id));
    }
    if let Some(into) = &change.merged_into {
        head.push_str(&format!(" merged into {into}"));
    }
    out.line(out.paint(tone, &head))?;
    if let Some((first, rest)) = change.records.split_first() {
        let more =
            if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        out.line(out.paint(Tone::Dim, &format!("    from {first}{more}")))?;
    }
    for field in &change.fields {
        out.line(format!("    {}", field_line(field, change.kind)))?;
    }
    Ok(())
}

fn field_line(change: &FieldChange, kind: ChangeKind) -> String {
    let text = |value: &Option<serde_json::Value>| match value {
        None => "(absent)".to_owned(),
        Some(serde_json::Value::String(text)) if !text.is_empty() => shorten(text, 60),
        Some(value) => shorten(&value.to_string(), 60),
    };
    if kind == ChangeKind::Created {
        return format!("{}: {}", change.field, text(&change.after));
    }
    format!("{}: {} → {}", change.field, text(&change.before), text(&change.after))
}

fn mark(kind: ChangeKind) -> (char, Tone) {
    match kind {
        ChangeKind::Created | ChangeKind::Restored => ('+', Tone::Good),
        ChangeKind::Updated => ('~', Tone::Warn),
        ChangeKind::Merged => ('>', Tone::Warn),
        ChangeKind::Deleted => ('-', Tone::Bad),
    }
}

fn told(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Created => "new",
        ChangeKind::Updated => "changed",
        ChangeKind::Merged => "merged into others",
        ChangeKind::Deleted => "deleted",
        ChangeKind::Restored => "restored",
    }
}
