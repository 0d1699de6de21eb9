//! `syncline cancel`: stops a running execution.

use crate::app::App;
use crate::error::{Error, Exit};

/// Asks the running execution of a task to stop at its next batch border. What was committed stands, and the next
/// run goes on from there.
#[derive(Debug, clap::Args)]
#[command(after_help = "What was committed stands, and the next run goes on from there.")]
pub struct Args {
    /// The task
    pub task: String,
}

/// Runs the command.
///
/// # Errors
///
/// When the task is not running.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let store = app.open_store_to_write(None)?;
    let task = &args.task;
    if !store.cancel(task).await? {
        let rows = store.executions(None, 1000).await?;
        let running = rows.iter().filter(|row| row.alive).map(|row| row.task.as_str());
        let running: Vec<&str> = running.collect();
        let hint = if running.is_empty() {
            "no task is running; `syncline status` shows how each stands".to_owned()
        } else {
            format!("running: {}", running.join(", "))
        };
        return Err(Error::refused(format!("task `{task}` is not running"), hint));
    }
    if app.out.json {
        app.out.json(&serde_json::json!({ "task": task, "status": "cancelling" }))?;
    } else {
        app.out.line(format!("task `{task}` stops at its next batch border"))?;
    }
    Ok(Exit::Success)
}
