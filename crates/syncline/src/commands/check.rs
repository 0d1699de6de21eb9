//! `syncline check`: everything that is wrong with a configuration, its connections and its first records.

use crate::app::App;
use crate::error::{Error, Exit};
use crate::output::{Tone, count, counted, shorten};
use crate::syncing::Syncline;
use crate::workspace::{Workspace, tokens_folder};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use syncline_adapters::Adapter;
use syncline_core::config::model::{Connection, Entity, EntitySettings, Settings};
use syncline_core::convert::Outcome;
use syncline_core::record::Page;
use syncline_core::value::Value;

/// Finds everything that is wrong with a configuration at once; then reads a page of each entity, and converts its
/// first records. Writes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Everything that is wrong with the configuration is told at once, with file, line and column. \
    Then a \
    page of each entity is read, and its first 100 records are converted. \
    Nothing is written."
)]
pub struct Args {
    /// The configuration: a folder or a file [default: --config, or the current folder]
    pub path: Option<PathBuf>,
    /// Looks at the configuration only: opens no connection
    #[arg(long)]
    pub offline: bool,
}

/// What was found about an entity.
#[derive(Debug, Default, Serialize)]
struct EntityCheck {
    connection: String,
    entity: String,
    error: Option<String>,
    hint: Option<String>,
    /// Not looked at, and why.
    skipped: Option<&'static str>,
    records: usize,
    unreadable: usize,
    tasks: Vec<TaskCheck>,
}

/// What became of an entity's first records in a task.
#[derive(Debug, Default, Serialize)]
struct TaskCheck {
    task: String,
    mapped: u64,
    filtered: u64,
    deleted: u64,
    invalid: u64,
    /// How many values were refused, by field, and the first reason.
    fields: BTreeMap<String, Refused>,
    /// How many values would not come back as they are once they were written, by field, and the first of them.
    not_kept: BTreeMap<String, Refused>,
}

#[derive(Debug, Default, Serialize)]
struct Refused {
    count: u64,
    first_problem: String,
}

/// Runs the command.
///
/// # Errors
///
/// [`Error::Config`] with everything that is wrong with the configuration.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let workspace = app.load(args.path.as_deref())?;
    let (connections, tasks) =
        (workspace.config().connections.len() as u64, workspace.config().sync_tasks.len() as u64);
    let mut checks = Vec::new();
    if !args.offline {
        let sync = bind_to_nothing(workspace).await?;
        checks = check_connections(&sync).await?;
    }
    let failed = checks.iter().any(|check| check.error.is_some());
    if app.out.json {
        let status = if failed { "error" } else { "success" };
        let json = serde_json::json!({ "status": status, "connections": connections,
            "tasks": tasks, "entities": checks });
        app.out.line(app.out.scrub(&json.to_string()))?;
    } else {
        let (connections, tasks) = (counted(connections, "connection"), counted(tasks, "task"));
        app.out.line(format!("the configuration is right: {connections}, {tasks}"))?;
        for check in &checks {
            print_entity(app, check)?;
        }
    }
    Ok(if failed { Exit::Error } else { Exit::Success })
}

/// Only the compiled rules are wanted, so no store is looked at.
async fn bind_to_nothing(workspace: Workspace) -> Result<Syncline, Error> {
    let (nowhere, store) = (PathBuf::new(), workspace.store_path.clone());
    let (sync, _) = Syncline::over_memory(Workspace { store_path: nowhere, ..workspace }).await?;
    sync.world().shared.keep_in(tokens_folder(&store));
    Ok(sync)
}

async fn check_connections(sync: &Syncline) -> Result<Vec<EntityCheck>, Error> {
    let mut checks = Vec::new();
    for (name, connection) in &sync.world().config.connections {
        let adapter = (sync.world().open_adapter)(connection, sync.folder());
        for (entity, spec) in &connection.entities {
            let mut check = EntityCheck {
                connection: name.clone(),
                entity: entity.clone(),
                ..EntityCheck::default()
            };
            if reads_stdin(connection, spec) {
                check.skipped = Some("standard input can be read only once");
            } else {
                let outcome = match &adapter {
                    Ok(adapter) => check_entity(sync, adapter, &mut check).await,
                    Err(error) => Err(error_texts(error)),
                };
                if let Err((error, hint)) = outcome {
                    (check.error, check.hint) = (Some(error), Some(hint));
                }
            }
            checks.push(check);
        }
    }
    Ok(checks)
}

fn reads_stdin(connection: &Connection, entity: &Entity) -> bool {
    let (EntitySettings::File(own), Settings::File(all)) = (&entity.settings, &connection.settings)
    else {
        return false;
    };
    own.path.as_ref().or(all.path.as_ref()).is_some_and(|path| path == "-")
}

fn error_texts(error: &syncline_adapters::AdapterError) -> (String, String) {
    (error.to_string(), crate::error::adapter_hint(error))
}

async fn check_entity(
    sync: &Syncline,
    adapter: &Arc<dyn Adapter>,
    check: &mut EntityCheck,
) -> Result<(), (String, String)> {
    let entity = check.entity.clone();
    adapter.check(&entity).await.map_err(|error| error_texts(&error))?;
    let sample = adapter.discover(&entity).await.map_err(|error| error_texts(&error))?.sample;
    check.records = sample.records.len();
    check.unreadable = sample.rejected.len();
    for task in sync.world().config.tasks_of(&check.connection, &entity) {
        check.tasks.push(check_task(sync, task, &sample));
    }
    Ok(())
}

fn check_task(sync: &Syncline, task: &str, sample: &Page) -> TaskCheck {
    let mut check = TaskCheck { task: task.to_owned(), ..TaskCheck::default() };
    let rules =
        sync.world().task(task).ok().and_then(|(_, id)| sync.world().rules.entities.get(&id));
    let Some(conversion) = rules.and_then(|rules| rules.conversion.as_ref()) else { return check };
    let two_way = rules.and_then(|rules| rules.two_way.as_ref());
    let outbound = two_way.and_then(|two_way| two_way.outbound.as_ref());
    for (record, converted) in sample.records.iter().zip(conversion.converter.convert(sample)) {
        match converted.outcome {
            Outcome::Mapped(mapped) => {
                check.mapped += 1;
                let Some(outbound) = outbound else { continue };
                let cells = sample.shape.names().iter().zip(&record.cells);
                let cells: Vec<(&str, &Value)> = cells
                    .filter_map(|(name, cell)| Some((name.as_str(), cell.as_ref()?)))
                    .collect();
                for (field, name) in conversion.converter.layout().names().iter().enumerate() {
                    let converter = &conversion.converter;
                    if let Some(problem) = outbound.breach(converter, &mapped.image, field, &cells)
                    {
                        note(&mut check.not_kept, name.to_string(), problem);
                    }
                }
            }
            Outcome::Filtered => check.filtered += 1,
            Outcome::Deleted => check.deleted += 1,
            Outcome::Invalid(errors) => {
                check.invalid += 1;
                for error in errors {
                    note(&mut check.fields, error.field, error.problem);
                }
            }
        }
    }
    check
}

fn note(of: &mut BTreeMap<String, Refused>, field: String, problem: String) {
    let refused = of.entry(field).or_default();
    refused.count += 1;
    if refused.first_problem.is_empty() {
        refused.first_problem = problem;
    }
}

fn print_entity(app: &App, check: &EntityCheck) -> Result<(), Error> {
    let out = &app.out;
    let name = format!("{}/{}", check.connection, check.entity);
    if let Some(error) = &check.error {
        out.line(out.scrub(&format!("{} {name}: {error}", out.paint(Tone::Bad, "✗"))))?;
        let hint = check.hint.as_deref().unwrap_or_default();
        return out.line(format!("    {}: {hint}", out.paint(Tone::Good, "hint")));
    }
    if let Some(reason) = check.skipped {
        return out.line(out.paint(Tone::Dim, &format!("- {name}: not looked at: {reason}")));
    }
    let read = counted(check.records as u64, "record");
    let unreadable = match check.unreadable {
        0 => String::new(),
        number => format!(", {number} unreadable"),
    };
    out.line(format!("{} {name}: {read} sampled{unreadable}", out.paint(Tone::Good, "✓")))?;
    for task in &check.tasks {
        let parts = [
            (task.mapped, "converted"),
            (task.filtered, "filtered"),
            (task.deleted, "deleted"),
            (task.invalid, "invalid"),
        ];
        let parts = parts.iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = parts.map(|(n, what)| format!("{} {what}", count(*n))).collect();
        let parts =
            if parts.is_empty() { "nothing to convert".to_owned() } else { parts.join(", ") };
        out.line(format!("    task {}: {parts}", task.task))?;
        for (field, refused) in task.fields.iter().chain(&task.not_kept) {
            let problem = out.scrub(&refused.first_problem);
            let text = format!("`{field}`: {} × {}", refused.count, shorten(&problem, 90));
            out.line(format!("      {}", out.paint(Tone::Warn, &text)))?;
        }
    }
    Ok(())
}
