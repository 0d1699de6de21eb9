//! `syncline executions`: what ran, and what came of it.

use crate::app::App;
use crate::commands::dead_letters::letter_rows;
use crate::commands::status::{execution_json, said_as, status};
use crate::error::{Error, Exit};
use crate::output::{count, counted, duration, time};
use clap::Subcommand;
use syncline_store::Store;
use syncline_store::execution::ExecutionRow;
use syncline_store::query::DeadLetterFilter;

/// So many characters of an execution's id are shown in lists: its time, to the millisecond, and 12 random bits.
const ID_CHARS: usize = 18;

/// At most so many executions are looked through for an id.
const SEARCHED_MAX: usize = 100_000;

/// Lists executions, newest first, or shows one with its errors.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Only those of this task
    #[arg(long, short, value_name = "NAME")]
    pub task: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
    pub limit: usize,
    /// What else can be asked
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows one execution, with its errors
    Show {
        /// Its id, or the start of it
        id: String,
    },
}

/// Runs the command.
///
/// # Errors
///
/// When there is no store, or no such execution.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let store = app.open_store(None)?;
    match args.command {
        Some(Command::Show { id }) => show(app, store.as_ref(), &id).await,
        None => list(app, store.as_ref(), args.task.as_deref(), args.limit).await,
    }
}

async fn list(
    app: &App,
    store: &dyn Store,
    task: Option<&str>,
    limit: usize,
) -> Result<Exit, Error> {
    let rows = store.executions(task, limit).await?;
    if app.out.json {
        let rows: Vec<_> = rows.iter().map(|row| execution_json(&app.out, row)).collect();
        app.out.json(&serde_json::json!({ "executions": rows }))?;
        return Ok(Exit::Success);
    }
    if rows.is_empty() {
        let advice = "nothing has run yet; `syncline run` runs the tasks";
        app.out.line(app.out.advise(advice))?;
        return Ok(Exit::Success);
    }
    let lines = rows.iter().map(|row| {
        let id: String = row.uuid.chars().take(ID_CHARS).collect();
        let took = row.finished.map_or_else(String::new, |end| took(row.started, end));
        let fetched = count(row.checkpoint.counters.fetched);
        vec![id, row.task.clone(), status(row).to_owned(), time(row.started), took, fetched]
    });
    app.out
        .table(&["execution", "task", "status", "started", "time", "records"], lines.collect())?;
    Ok(Exit::Success)
}

fn took(started: i64, finished: i64) -> String {
    duration(u64::try_from((finished - started) / 1000).unwrap_or(0))
}

async fn show(app: &App, store: &dyn Store, id: &str) -> Result<Exit, Error> {
    let row = find(store, id).await?;
    let filter = DeadLetterFilter {
        execution: Some(row.id),
        with_replayed: true,
        limit: 20,
        ..DeadLetterFilter::default()
    };
    let letters = store.dead_letters(filter).await?;
    if app.out.json {
        let mut json = execution_json(&app.out, &row);
        json["dead_letters"] = serde_json::to_value(&letters).unwrap_or_default();
        app.out.json(&json)?;
        return Ok(Exit::Success);
    }
    let out = &app.out;
    let finished = row.finished.map_or_else(
        || format!("{:.0} %, {}", row.checkpoint.percent, row.checkpoint.phase),
        |end| format!("{} ({})", time(end), took(row.started, end)),
    );
    let lines = [
        ("execution", row.uuid.clone()),
        ("task", row.task.clone()),
        ("status", status(&row).to_owned()),
        ("trigger", row.trigger.clone()),
        ("started", time(row.started)),
        ("finished", finished),
        (said_as(&row), row.error.as_deref().map_or_else(String::new, |said| out.scrub(said))),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        out.line(format!("{name:<10} {value}"))?;
    }
    let parts = row.checkpoint.counters.parts();
    for (name, number) in parts.into_iter().filter(|(_, number)| *number > 0) {
        out.line(format!("  {:<20} {:>12}", name.replace('_', " "), count(number)))?;
    }
    if !letters.is_empty() {
        let shown = counted(letters.len() as u64, "record");
        let more = if letters.len() == 20 { " or more" } else { "" };
        out.line(format!("\n{shown}{more} refused:"))?;
        out.table(&["id", "task", "place", "problem"], letter_rows(&letters))?;
    }
    Ok(Exit::Success)
}

/// The execution whose id starts with `prefix`; the newest, where several do.
///
/// # Errors
///
/// When there is none.
pub(crate) async fn find(store: &dyn Store, prefix: &str) -> Result<ExecutionRow, Error> {
    let prefix = prefix.to_lowercase();
    let rows = store.executions(None, SEARCHED_MAX).await?;
    let found = rows.into_iter().find(|row| !prefix.is_empty() && row.uuid.starts_with(&prefix));
    found.ok_or_else(|| {
        Error::refused(
            format!("there is no execution `{prefix}`"),
            "`syncline executions` lists them; the start of an id is enough",
        )
    })
}
