//! `syncline dead-letters`: records that were refused.

use crate::app::App;
use crate::commands::review::{DeciderArgs, decider};
use crate::commands::run::run_pages;
use crate::error::{Error, Exit};
use crate::output::{counted, shorten};
use crate::report::{self, TaskOutcome};
use crate::signals::cancel_on_signal;
use crate::syncing::Syncline;
use clap::Subcommand;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use syncline_core::plan::rows::{IntentId, IntentState};
use syncline_core::record::{Page, Record, Shape};
use syncline_core::value::Value;
use syncline_engine::edit::repeat;
use syncline_engine::{Clock, SystemClock};
use syncline_store::Store;
use syncline_store::query::{DeadLetterFilter, DeadLetterRow, IntentFilter};
use tokio_util::sync::CancellationToken;

/// So many dead letters are run together.
const PAGE_LEN: usize = 1000;

/// Lists, shows or replays records that were refused.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is to be done
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists them, oldest first
    List {
        /// Only those of this task
        #[arg(long, short, value_name = "NAME")]
        task: Option<String>,
        /// Those that were replayed, too
        #[arg(long)]
        all: bool,
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Shows one, with its problems and its record
    Show {
        /// Its number
        id: i64,
    },
    /// Runs them through their task again, for when the configuration was mended
    #[command(
        after_help = "They leave the list; a record that is refused again is on it anew, with its \
        old place and its present problems. A line that never was a record has to be mended at its source. Where nobody knows \
        whether a record was made, its number says that you have looked and it is not there: it is made; `--all` leaves \
        such ones."
    )]
    Replay {
        /// Their numbers
        #[arg(required_unless_present_any = ["all", "task"], conflicts_with_all = ["all", "task"])]
        ids: Vec<i64>,
        /// All of them
        #[arg(long)]
        all: bool,
        /// All of this task
        #[arg(long, short, value_name = "NAME")]
        task: Option<String>,
    },
}

/// Runs the command.
///
/// # Errors
///
/// When there is no store, or no such dead letter.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    match args.command {
        Command::List { task, all, limit } => list(app, task, all, limit).await,
        Command::Show { id } => show(app, id).await,
        Command::Replay { ids, task, .. } => replay_some(app, ids, task).await,
    }
}

async fn list(app: &App, task: Option<String>, all: bool, limit: usize) -> Result<Exit, Error> {
    let store = app.open_store(None)?;
    let filter = DeadLetterFilter { task, with_replayed: all, limit, ..Default::default() };
    let letters = store.dead_letters(filter).await?;
    if app.out.json {
        app.out.json(&serde_json::json!({ "dead_letters": letters }))?;
        return Ok(Exit::Success);
    }
    if letters.is_empty() {
        app.out.line("no record was refused")?;
        return Ok(Exit::Success);
    }
    app.out.table(&["id", "task", "place", "problem"], letter_rows(&letters))?;
    let all = store.counts().await?.dead_letters;
    if letters.len() == limit && all > limit as u64 {
        app.out.note(format!("of {}: `--limit {all}` shows all", counted(all, "dead letter")));
    }
    app.out.note(app.out.advise(
        "`syncline dead-letters show ID` shows the record; `syncline dead-letters replay ID` runs it \
         again, once the cause is mended",
    ));
    Ok(Exit::Success)
}

/// Rows for a table: number, task, place, first problem.
pub(crate) fn letter_rows(letters: &[DeadLetterRow]) -> Vec<Vec<String>> {
    let rows = letters.iter().map(|row| {
        let letter = &row.letter;
        let source = crate::workspace::file_name(std::path::Path::new(&letter.source));
        let first = letter.problem.lines().next().unwrap_or_default();
        let more = match letter.problem.lines().count() {
            0 | 1 => String::new(),
            number => format!(" (+{})", number - 1),
        };
        let replayed = if row.replayed.is_some() { "(replayed) " } else { "" };
        vec![
            row.id.to_string(),
            letter.task.clone(),
            match (&letter.external_id, letter.phase == "writing") {
                (Some(id), true) => format!("→ {} {id}", letter.source),
                (None, true) => format!("→ {}, a new record", letter.source),
                // A record that was asked for by its key has no line.
                _ if letter.line == 0 => source,
                _ => format!("{source}:{}", letter.line),
            },
            format!("{replayed}{}{more}", shorten(first, 100)),
        ]
    });
    rows.collect()
}

async fn show(app: &App, id: i64) -> Result<Exit, Error> {
    let store = app.open_store(None)?;
    let row = found(store.as_ref(), vec![id]).await?.swap_remove(0);
    if app.out.json {
        app.out.json(&row)?;
        return Ok(Exit::Success);
    }
    let letter = &row.letter;
    let lines = [
        ("dead letter", row.id.to_string()),
        ("task", letter.task.clone()),
        ("place", format!("{}:{}", letter.source, letter.line)),
        ("record", letter.external_id.clone().unwrap_or_default()),
        ("phase", letter.phase.clone()),
        ("replayed", if row.replayed.is_some() { "yes".to_owned() } else { String::new() }),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        app.out.line(format!("{name:<12} {value}"))?;
    }
    app.out.line("problems")?;
    for problem in letter.problem.lines() {
        app.out.line(format!("  {problem}"))?;
    }
    let json = serde_json::from_str::<serde_json::Value>(&letter.payload);
    let pretty = json.ok().and_then(|json| serde_json::to_string_pretty(&json).ok());
    app.out.line("payload")?;
    app.out.line(pretty.as_ref().unwrap_or(&letter.payload))?;
    Ok(Exit::Success)
}

/// The dead letters with these numbers.
async fn found(store: &dyn Store, ids: Vec<i64>) -> Result<Vec<DeadLetterRow>, Error> {
    let filter = DeadLetterFilter {
        ids: ids.clone(),
        with_replayed: true,
        limit: usize::MAX,
        ..DeadLetterFilter::default()
    };
    let rows = store.dead_letters(filter).await?;
    match ids.iter().find(|id| !rows.iter().any(|row| row.id == **id)) {
        None => Ok(rows),
        Some(id) => Err(Error::refused(
            format!("there is no dead letter {id}"),
            "`syncline dead-letters list` lists them",
        )),
    }
}

async fn replay_some(app: &App, ids: Vec<i64>, task: Option<String>) -> Result<Exit, Error> {
    let begun = SystemClock.now();
    let sync = app.open(None).await?;
    let letters = if ids.is_empty() {
        let filter = DeadLetterFilter { task, limit: usize::MAX, ..Default::default() };
        let letters = sync.store().dead_letters(filter).await?;
        without_unsure(app, &sync, letters).await?
    } else {
        let letters = found(sync.store().as_ref(), ids).await?;
        repeat_unsure(&sync, &letters).await?;
        letters
    };
    if letters.is_empty() && !app.out.json {
        app.out.line("there is no dead letter to replay")?;
        return Ok(Exit::Success);
    }
    let cancel = cancel_on_signal(&app.out);
    let replayed = replay(app, &sync, letters, &cancel).await?;
    replayed.print(app)?;
    let duration_ms = report::since(begun);
    let exit =
        report::print(&app.out, &replayed.outcomes, sync.store().as_ref(), duration_ms).await?;
    let all_well = replayed.refused == 0 && replayed.unreadable == 0;
    Ok(if exit == Exit::Success && !all_well { Exit::Partial } else { exit })
}

/// Creations of which only a person can tell whether they arrived.
async fn unsure(sync: &Syncline) -> Result<BTreeSet<IntentId>, Error> {
    let states = vec![IntentState::Parked];
    let filter = IntentFilter { states, limit: usize::MAX, ..IntentFilter::default() };
    Ok(sync.store().intents(filter).await?.into_iter().map(|intent| intent.id).collect())
}

/// Whoever names the letter of a creation says that its record is not there: it is owed again.
async fn repeat_unsure(sync: &Syncline, letters: &[DeadLetterRow]) -> Result<(), Error> {
    let unsure = unsure(sync).await?;
    let named: BTreeSet<IntentId> = letters.iter().filter_map(|row| row.letter.intent()).collect();
    let args = DeciderArgs { by: None, why: String::new(), preview: false };
    for intent in named.intersection(&unsure) {
        repeat(sync.world(), &SystemClock, *intent, &decider(&args)).await?;
    }
    Ok(())
}

/// What is replayed with all others is no word on whether a record is there: such letters stay.
async fn without_unsure(
    app: &App,
    sync: &Syncline,
    letters: Vec<DeadLetterRow>,
) -> Result<Vec<DeadLetterRow>, Error> {
    let unsure = unsure(sync).await?;
    let waits = |row: &DeadLetterRow| row.letter.intent().is_some_and(|id| unsure.contains(&id));
    let (waiting, letters): (Vec<_>, Vec<_>) = letters.into_iter().partition(waits);
    for DeadLetterRow { id, .. } in waiting {
        app.out.note(format!(
            "dead letter {id} stays: look whether its record is there; if it is not, \
             `syncline dead-letters replay {id}` makes it"
        ));
    }
    Ok(letters)
}

/// What came of a replay.
#[derive(Default)]
pub(crate) struct Replayed {
    /// For each task.
    pub(crate) outcomes: Vec<TaskOutcome>,
    succeeded: u64,
    refused: u64,
    unreadable: u64,
}

impl Replayed {
    /// Prints how many went through, unless JSON is wanted.
    pub(crate) fn print(&self, app: &App) -> Result<(), Error> {
        if app.out.json || self.succeeded + self.refused == 0 {
            return Ok(());
        }
        let (well, again) = (counted(self.succeeded, "record"), self.refused);
        app.out.line(format!("{well} went through, {again} refused again"))
    }
}

/// Runs dead letters through their tasks again. They leave the list; a record that is refused again is on it anew,
/// with its old place and its present problems. What never became a record stays where it is.
pub(crate) async fn replay(
    app: &App,
    sync: &Syncline,
    letters: Vec<DeadLetterRow>,
    cancel: &CancellationToken,
) -> Result<Replayed, Error> {
    let mut replayed = Replayed::default();
    let mut tasks: BTreeMap<String, Vec<(i64, Source, Value)>> = BTreeMap::new();
    let mut writes: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for row in letters {
        let letter = row.letter;
        if letter.phase == "writing" {
            writes.entry(letter.task).or_default().push(row.id);
            continue;
        }
        match serde_json::from_str::<Value>(&letter.payload) {
            Ok(record @ Value::Map(_)) => {
                let source = (letter.source, letter.line);
                tasks.entry(letter.task).or_default().push((row.id, source, record));
            }
            _ => {
                replayed.unreadable += 1;
                app.out.note(format!(
                    "dead letter {} never was a record: mend {} and run its task again",
                    row.id,
                    match letter.line {
                        0 => letter.source,
                        line => format!("{}:{line}", letter.source),
                    }
                ));
            }
        }
    }
    for task in tasks.keys().chain(writes.keys()) {
        sync.know(task)?;
    }
    for (task, letters) in tasks {
        if cancel.is_cancelled() {
            break;
        }
        let ids: Vec<i64> = letters.iter().map(|(id, _, _)| *id).collect();
        let pages = letters.chunks(PAGE_LEN).map(page).collect();
        let report = run_pages(app, sync, &task, pages, cancel.clone()).await?;
        settle(sync, &report, &ids, &mut replayed).await?;
        replayed.outcomes.push(TaskOutcome { task, result: Ok(report) });
    }
    for (task, ids) in writes {
        if cancel.is_cancelled() {
            break;
        }
        // What was to be written is still owed: a run without records sends it once more.
        let report = run_pages(app, sync, &task, Vec::new(), cancel.clone()).await?;
        let filter =
            DeadLetterFilter { task: Some(task.clone()), limit: usize::MAX, ..Default::default() };
        let left = sync.store().dead_letters(filter).await?;
        let refused =
            left.iter().filter(|row| row.letter.phase == "writing").count().min(ids.len());
        replayed.refused += refused as u64;
        replayed.succeeded += (ids.len() - refused) as u64;
        replayed.outcomes.push(TaskOutcome { task, result: Ok(report) });
    }
    Ok(replayed)
}

/// Takes what was run again off the list.
async fn settle(
    sync: &Syncline,
    report: &syncline_engine::Report,
    ids: &[i64],
    replayed: &mut Replayed,
) -> Result<(), Error> {
    let store = sync.store();
    let Some(execution) = store
        .executions(Some(&report.task), 10)
        .await?
        .into_iter()
        .find(|row| row.uuid == report.execution)
    else {
        return Ok(());
    };
    // A replay that was stopped has run the first ones only.
    let done = usize::try_from(report.results.fetched).unwrap_or(usize::MAX).min(ids.len());
    let again = DeadLetterFilter {
        execution: Some(execution.id),
        limit: usize::MAX,
        ..DeadLetterFilter::default()
    };
    let refused = store.dead_letters(again).await?.len() as u64;
    store.replayed(ids[..done].to_vec(), execution.id).await?;
    replayed.refused += refused;
    replayed.succeeded += (done as u64).saturating_sub(refused);
    Ok(())
}

/// Where a record stood: file or table, and line.
type Source = (String, u64);

fn page(letters: &[(i64, Source, Value)]) -> Page {
    let names: BTreeSet<&str> = letters.iter().map(|(_, (source, _), _)| source.as_str()).collect();
    let sources: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
    let mut shape = Shape::default();
    let mut records = Vec::with_capacity(letters.len());
    for (_, (source, line), record) in letters {
        let source = sources.iter().position(|known| **known == **source).unwrap_or(0);
        let mut cells = Vec::new();
        if let Value::Map(entries) = record {
            for (name, value) in entries {
                let index = shape.intern(name);
                if cells.len() <= index {
                    cells.resize(index + 1, None);
                }
                cells[index] = Some(value.clone());
            }
        }
        let source = u32::try_from(source).unwrap_or(u32::MAX);
        records.push(Record { cells, source, line: *line, deleted: false });
    }
    Page { shape: Arc::new(shape), records, sources, ..Page::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_dead_letters_keeps_absent_apart_from_null_and_knows_its_places() {
        let letter = |id, source: &str, line, json: &str| {
            (id, (source.to_owned(), line), serde_json::from_str::<Value>(json).unwrap())
        };
        let page = page(&[
            letter(7, "b.csv", 3, r#"{"id":1,"mail":null}"#),
            letter(9, "a.csv", 8, r#"{"name":"x","id":2}"#),
        ]);
        assert_eq!(page.shape.names(), ["id", "mail", "name"]);
        assert_eq!(page.records[0].cells, [Some(Value::Int(1)), Some(Value::Null)]);
        assert_eq!(page.records[1].cells, [Some(Value::Int(2)), None, Some(Value::text("x"))]);
        let places: Vec<(&str, u64)> =
            page.records.iter().map(|r| (&*page.sources[r.source as usize], r.line)).collect();
        assert_eq!(places, [("b.csv", 3), ("a.csv", 8)]);
    }
}
