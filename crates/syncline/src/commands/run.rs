//! `syncline run`: reads records, and brings the shards up to date.

use crate::app::App;
use crate::error::{Error, Exit};
use crate::models;
use crate::preview::changes;
use crate::progress::Progress;
use crate::report::{self, TaskOutcome};
use crate::saved_plan::{SavedPlan, latest_execution};
use crate::signals::cancel_on_signal;
use crate::syncing::{RunOptions, Syncline};
use compact_str::CompactString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use syncline_core::record::Page;
use syncline_engine::{Clock, Event, SystemClock, Trigger};
use syncline_store::StoreError;
use tokio_util::sync::CancellationToken;

/// Reads records and brings the shards up to date: all tasks in the order of their names, or those that are named.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "All tasks run in the order of their names, or those that are named, in that order. \
    A task that another process \
    runs does not hold up the others. \
    The report accounts for every record: fetched = created + updated + \
    skipped + failed."
)]
pub struct Args {
    /// What is run, and how.
    #[command(flatten)]
    pub what: Selection,
    /// Prints everything that happens as CloudEvents, one line of JSON each, on standard output
    #[arg(long)]
    pub events: bool,
    /// Looks at this record of the task alone, by its external id, as it is now; one that is not there counts as deleted
    #[arg(long = "record", value_name = "ID", requires = "tasks", conflicts_with_all = ["full", "apply"])]
    pub records: Vec<String>,
    /// Does exactly what `syncline preview --save PLAN` showed, or nothing where the ground has moved
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["tasks", "full", "allow_deletes"])]
    pub apply: Option<PathBuf>,
}

/// Which tasks are run, or tried out, and how.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// The configuration: a folder or a file [default: --config, or the current folder]
    pub path: Option<PathBuf>,
    /// Only this task; several run in the order in which they are named
    #[arg(long = "task", short, value_name = "NAME")]
    pub tasks: Vec<String>,
    /// Reads everything, changed or not; what is missing counts as deleted at the source
    #[arg(long)]
    pub full: bool,
    /// Lets deletions pass, however many there are
    #[arg(long)]
    pub allow_deletes: bool,
}

impl Selection {
    /// How the tasks are run; a signal stops them.
    pub(crate) fn options(&self, app: &App) -> RunOptions {
        RunOptions {
            full: self.full,
            allow_deletes: self.allow_deletes,
            cancel: cancel_on_signal(&app.out),
            ..RunOptions::default()
        }
    }
}

/// Runs the command.
///
/// # Errors
///
/// When nothing could be run at all.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let begun = SystemClock.now();
    let mut options = args.what.options(app);
    let mut named = args.what.tasks.clone();
    if let Some(plan) = &args.apply {
        let plan = still_stands(app, args.what.path.as_deref(), plan, &mut options).await?;
        options.only = Some(Arc::new(plan.fingerprints()));
        named = plan.tasks;
    }
    let sync = app.open(args.what.path.as_deref()).await?;
    let tasks = chosen(&sync, &named)?;
    if !args.records.is_empty() {
        if let [_, other, ..] = &tasks[..] {
            let hint = "run the tasks one after the other, each with its own records";
            return Err(Error::usage(
                format!("`--record` is about one task: `{other}` is another"),
                hint,
            ));
        }
        options.records = Some(args.records.iter().map(CompactString::from).collect());
    }
    let mut outcomes = run_tasks(app, &sync, tasks.clone(), &options, args.events).await?;
    // What a later task changed may be owed to the connection of an earlier one.
    for task in &tasks {
        if !options.cancel.is_cancelled() && sync.owes(task).await? {
            let options = RunOptions { pages: Some(Vec::new()), ..options.clone() };
            let result = run_one(app, &sync, task, options, args.events).await;
            outcomes.push(TaskOutcome { task: task.clone(), result });
        }
    }
    if args.apply.is_some() {
        for task in &tasks {
            if sync.owes(task).await? {
                let text =
                    format!("task `{task}` owes more than the plan says; `syncline run` sends it");
                app.out.note(app.out.advise(&text));
            }
        }
    }
    let duration_ms = report::since(begun);
    let exit = report::print(&app.out, &outcomes, sync.store().as_ref(), duration_ms).await?;
    for remark in models::outgrown(sync.world().sized().await?.as_ref()) {
        app.out.note(app.out.advise(&remark));
    }
    Ok(exit)
}

/// A saved plan, once a preview has said the same again.
async fn still_stands(
    app: &App,
    path: Option<&Path>,
    plan: &Path,
    options: &mut RunOptions,
) -> Result<SavedPlan, Error> {
    let saved = SavedPlan::load(plan)?;
    (options.full, options.allow_deletes) = (saved.full, saved.allow_deletes);
    let (sync, overlay) = Syncline::over_memory(app.load(path)?).await?;
    let after = latest_execution(&sync).await?;
    let tasks = chosen(&sync, &saved.tasks)?;
    run_tasks(app, &sync, tasks.clone(), options, false).await?;
    let changes = changes(&sync, &overlay).await?;
    let how = (tasks, saved.full, saved.allow_deletes);
    let now = SavedPlan::of(&sync, &overlay, after, how, changes).await?;
    saved.expect_unmoved(&now)?;
    Ok(saved)
}

/// The tasks that were named, in that order, or all.
pub(crate) fn chosen(sync: &Syncline, named: &[String]) -> Result<Vec<String>, Error> {
    for task in named {
        sync.know(task)?;
    }
    let tasks = if named.is_empty() { sync.tasks() } else { named.to_vec() };
    if tasks.is_empty() {
        let hint = "add one under `sync_tasks`; `syncline init SAMPLE` shows how one looks";
        return Err(Error::usage("the configuration has no sync tasks", hint));
    }
    Ok(tasks)
}

/// Runs tasks one after the other. A task that another process runs, or whose connection cannot be opened, does
/// not hold up the others; where it is the only one, that is an error.
pub(crate) async fn run_tasks(
    app: &App,
    sync: &Syncline,
    tasks: Vec<String>,
    options: &RunOptions,
    events: bool,
) -> Result<Vec<TaskOutcome>, Error> {
    let is_only = tasks.len() == 1;
    let mut outcomes = Vec::with_capacity(tasks.len());
    for task in tasks {
        if options.cancel.is_cancelled() {
            break;
        }
        let result = run_one(app, sync, &task, options.clone(), events).await;
        let goes_on = matches!(
            result,
            Ok(_) | Err(Error::Store(StoreError::Busy { .. }) | Error::Adapter(_))
        );
        match result {
            Err(error) if is_only => return Err(error),
            result => outcomes.push(TaskOutcome { task, result }),
        }
        if !goes_on {
            break;
        }
    }
    Ok(outcomes)
}

/// Runs a task, and shows how far it is.
pub(crate) async fn run_one(
    app: &App,
    sync: &Syncline,
    task: &str,
    options: RunOptions,
    events: bool,
) -> Result<syncline_engine::Report, Error> {
    let progress = Progress::new(&app.out, task);
    let printer = events.then(|| EventPrinter::new(app));
    let (listener, cancel) = (progress.clone(), options.cancel.clone());
    let on_event = move |event: &Event| {
        listener.on(event);
        if let Some(printer) = &printer {
            printer.print(event, &cancel);
        }
    };
    let options = RunOptions { on_event: Some(Arc::new(on_event)), ..options };
    let result = sync.run_task(task, options).await;
    progress.finish();
    result
}

/// Runs records of a task that are already at hand, as a retry.
pub(crate) async fn run_pages(
    app: &App,
    sync: &Syncline,
    task: &str,
    pages: Vec<Page>,
    cancel: CancellationToken,
) -> Result<syncline_engine::Report, Error> {
    let options =
        RunOptions { trigger: Trigger::Retry, pages: Some(pages), cancel, ..RunOptions::default() };
    run_one(app, sync, task, options, false).await
}

/// Prints events as lines of JSON.
struct EventPrinter {
    out: crate::output::Output,
    begun: i64,
    next: AtomicU64,
}

impl EventPrinter {
    fn new(app: &App) -> Self {
        Self { out: app.out.clone(), begun: SystemClock.now(), next: AtomicU64::new(0) }
    }

    fn print(&self, event: &Event, cancel: &CancellationToken) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let json = event.to_cloud_event(
            &format!("{}-{}-{number}", std::process::id(), self.begun),
            SystemClock.now(),
        );
        let line = self.out.scrub(&json.to_string());
        // Whoever reads the events has gone: nobody is left to work for.
        if self.out.line(line).is_err() {
            cancel.cancel();
        }
    }
}
