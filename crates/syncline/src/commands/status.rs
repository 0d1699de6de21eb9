//! `syncline status`: how each task stands, and what the store holds.

use crate::app::App;
use crate::error::{Error, Exit};
use crate::output::{Output, Tone, count, counted, time};
use crate::report::{holdings, results_json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use syncline_core::plan::writes::Counters;
use syncline_store::execution::{ExecutionRow, TaskStats};

/// Shows how each task stands: its last execution, what runs now, records by outcome over all runs; and what the
/// store holds.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration: a folder or a file [default: --config, or the current folder]
    pub path: Option<PathBuf>,
}

/// A task, as far as it is known.
#[derive(Default)]
struct Standing {
    stats: Option<TaskStats>,
    last: Option<ExecutionRow>,
}

/// Runs the command.
///
/// # Errors
///
/// When there is no store, or it cannot be read.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let path = args.path.as_deref();
    let store = app.open_store(path)?;
    let mut tasks: BTreeMap<String, Standing> = BTreeMap::new();
    for task in configured(app, path) {
        tasks.entry(task).or_default();
    }
    for stats in store.task_stats().await? {
        let standing = tasks.entry(stats.task.clone()).or_default();
        standing.stats = Some(stats);
    }
    // A task that has not ended yet has no statistics, so the newest executions are looked through too.
    for row in store.executions(None, 1000).await? {
        tasks.entry(row.task.clone()).or_default();
    }
    for (task, standing) in &mut tasks {
        standing.last = store.executions(Some(task), 1).await?.pop();
    }
    let holds = holdings(store.as_ref()).await?;
    if app.out.json {
        let tasks: Vec<_> =
            tasks.iter().map(|(task, standing)| json(&app.out, task, standing)).collect();
        app.out.json(&serde_json::json!({ "tasks": tasks, "store": holds.json }))?;
        return Ok(Exit::Success);
    }
    print_tasks(&app.out, &tasks)?;
    app.out.line(format!("\n{}", holds.text(&app.out)))?;
    if holds.dead_letters > 0 {
        let letters = counted(holds.dead_letters, "dead letter");
        let advice = format!("{letters}: `syncline dead-letters list` shows them");
        app.out.line(app.out.advise(&advice))?;
    }
    Ok(Exit::Success)
}

/// The tasks of the configuration, where there is one that can be read.
fn configured(app: &App, path: Option<&std::path::Path>) -> Vec<String> {
    // With `--store` alone, a configuration in the current folder may be of another project.
    if app.options.store.is_some() && path.is_none() && app.config.is_none() {
        return Vec::new();
    }
    let workspace = app.load(path);
    workspace.map(|w| w.config().sync_tasks.keys().cloned().collect()).unwrap_or_default()
}

fn print_tasks(out: &Output, tasks: &BTreeMap<String, Standing>) -> Result<(), Error> {
    if tasks.is_empty() {
        return out.line(out.advise("no task has run yet; `syncline run` runs them"));
    }
    let rows = tasks.iter().map(|(task, standing)| {
        let last = standing.last.as_ref();
        let stats = standing.stats.clone().unwrap_or_default();
        vec![
            task.clone(),
            last.map_or("never run", status).to_owned(),
            last.map_or_else(String::new, |row| time(row.started)),
            count(stats.runs),
            count(stats.successes),
            count(stats.failures),
        ]
    });
    out.table(&["task", "status", "last run", "runs", "succeeded", "failed"], rows.collect())?;
    let ran = || tasks.iter().filter_map(|(task, s)| Some((task, s.stats.as_ref()?)));
    if ran().next().is_some() {
        out.line(format!("\n{}", out.paint(Tone::Dim, "records, over all runs")))?;
        let rows = ran().map(|(task, stats)| {
            let c: &Counters = &stats.counters;
            let numbers = [c.fetched, c.created, c.updated, c.skipped, c.failed].map(count);
            std::iter::once(task.clone()).chain(numbers).collect()
        });
        let headings = ["task", "fetched", "created", "updated", "skipped", "failed"];
        out.table(&headings, rows.collect())?;
    }
    for (task, standing) in tasks {
        if let Some(last) = &standing.last {
            print_unfinished(out, task, last)?;
        }
    }
    Ok(())
}

fn print_unfinished(out: &Output, task: &str, last: &ExecutionRow) -> Result<(), Error> {
    let at = &last.checkpoint;
    let records = counted(at.counters.fetched, "record");
    let (tone, text) = match status(last) {
        "running" => (Tone::Good, format!("{}, {:.0} %, {records}", at.phase, at.percent)),
        "interrupted" => (
            Tone::Warn,
            format!(
                "its process died at {:.0} %, {records}; `syncline run --task {task}` goes on there",
                at.percent
            ),
        ),
        "failed" | "partial" => {
            let error = last.error.as_deref().unwrap_or("see `syncline executions`");
            (Tone::Bad, format!("{}: {error}", last.status))
        }
        _ => return Ok(()),
    };
    let text = out.scrub(&out.advise(&text));
    out.line(format!("{}: {text}", out.paint(tone, task)))
}

/// The status of an execution; one whose process died is `interrupted`.
pub(crate) fn status(row: &ExecutionRow) -> &str {
    if row.status == "running" && !row.alive { "interrupted" } else { &row.status }
}

fn json(out: &Output, task: &str, standing: &Standing) -> serde_json::Value {
    let stats = standing.stats.clone().unwrap_or_default();
    serde_json::json!({
        "task": task,
        "runs": stats.runs,
        "successes": stats.successes,
        "failures": stats.failures,
        "results": results_json(&stats.counters),
        "last": standing.last.as_ref().map(|row| execution_json(out, row)),
    })
}

/// What that is which is said of an execution: of one that went well it is no error.
pub(crate) fn said_as(row: &ExecutionRow) -> &'static str {
    if row.status == "success" { "remark" } else { "error" }
}

/// An execution as JSON, with times in ISO form.
pub(crate) fn execution_json(out: &Output, row: &ExecutionRow) -> serde_json::Value {
    let iso = |at| jiff::Timestamp::from_microsecond(at).map(|t| t.to_string()).ok();
    let mut json = serde_json::json!({
        "execution": row.uuid,
        "task": row.task,
        "status": status(row),
        "trigger": row.trigger,
        "started": iso(row.started),
        "finished": row.finished.and_then(iso),
        "phase": row.checkpoint.phase,
        "percent": row.checkpoint.percent,
        "error": null,
        "remark": null,
        "results": results_json(&row.checkpoint.counters),
    });
    json[said_as(row)] = row.error.as_deref().map(|said| out.scrub(said)).into();
    json
}
