//! `syncline retry`: runs again what failed, was cancelled or was interrupted.

use crate::app::App;
use crate::commands::dead_letters::replay;
use crate::commands::executions::find;
use crate::commands::run::run_tasks;
use crate::commands::status::status;
use crate::error::{Error, Exit};
use crate::output::counted;
use crate::report;
use crate::signals::cancel_on_signal;
use crate::syncing::{RunOptions, Syncline};
use syncline_engine::{Clock, SystemClock, Trigger};
use syncline_store::execution::ExecutionRow;
use syncline_store::query::DeadLetterFilter;

/// Runs again what did not go through. An execution that failed, was cancelled or was interrupted goes on where it
/// stopped; of one that ended, the records that were refused are replayed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An execution that failed, was cancelled or was interrupted goes on where it stopped; \
    of one that \
    ended, the records that were refused are replayed."
)]
pub struct Args {
    /// An execution's id (or its start), or a task: its last one. Default: the last one of every task
    #[arg(value_name = "EXECUTION|TASK")]
    pub what: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// When there is no such execution, or it is still running.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let begun = SystemClock.now();
    let sync = app.open(None).await?;
    let (mut again, mut refused) = (Vec::new(), Vec::new());
    for row in chosen(&sync, args.what.as_deref()).await? {
        sync.know(&row.task)?;
        match status(&row) {
            "failed" | "cancelled" | "interrupted" => again.push(row.task),
            "running" => {
                let hint =
                    format!("wait for it to end, or stop it: `syncline cancel {}`", row.task);
                return Err(Error::refused(format!("task `{}` is still running", row.task), hint));
            }
            _ => refused.push(row),
        }
    }
    let cancel = cancel_on_signal(&app.out);
    let mut outcomes = Vec::new();
    if !again.is_empty() {
        let options =
            RunOptions { trigger: Trigger::Retry, cancel: cancel.clone(), ..RunOptions::default() };
        outcomes = run_tasks(app, &sync, again, &options, false).await?;
    }
    for row in refused {
        let filter = DeadLetterFilter {
            execution: Some(row.id),
            limit: usize::MAX,
            ..DeadLetterFilter::default()
        };
        let letters = sync.store().dead_letters(filter).await?;
        let replayed = replay(app, &sync, letters, &cancel).await?;
        replayed.print(app)?;
        outcomes.extend(replayed.outcomes);
    }
    if outcomes.is_empty() && !app.out.json {
        app.out.line("nothing to retry: the last runs went through")?;
        let left = sync.store().counts().await?.dead_letters;
        if left > 0 {
            let letters = counted(left, "dead letter");
            let advice = format!("{letters} of earlier runs: `syncline dead-letters replay --all`");
            app.out.line(app.out.advise(&advice))?;
        }
        return Ok(Exit::Success);
    }
    let duration_ms = report::since(begun);
    report::print(&app.out, &outcomes, sync.store().as_ref(), duration_ms).await
}

async fn chosen(sync: &Syncline, what: Option<&str>) -> Result<Vec<ExecutionRow>, Error> {
    let store = sync.store().as_ref();
    let tasks = sync.tasks();
    let tasks = match what {
        Some(what) if !tasks.iter().any(|task| task == what) => {
            return Ok(vec![find(store, what).await?]);
        }
        Some(task) => vec![task.to_owned()],
        None => tasks,
    };
    let mut rows = Vec::new();
    for task in tasks {
        rows.extend(store.executions(Some(&task), 1).await?);
    }
    Ok(rows)
}
