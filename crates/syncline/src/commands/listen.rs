//! `syncline listen`: systems say that records changed, and these are looked at.

use crate::app::App;
use crate::commands::run::run_one;
use crate::error::{Error, Exit};
use crate::report::{TaskOutcome, print_tasks, to_json};
use crate::signals::cancel_on_signal;
use crate::syncing::{RunOptions, Syncline};
use compact_str::CompactString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use syncline_engine::{Clock, SystemClock, Trigger};
use syncline_server::hooks::Hooks;
use syncline_store::notice::NoticeRow;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// So many records are looked at in one run.
const RECORDS_MAX: usize = 1000;

/// How long what could not be looked at waits at first, and at most.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Takes in messages by which systems say that records changed, looks at these, and brings shards and other systems up to
/// date; until it is stopped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each connection with a `webhook` has an address: /hooks/CONNECTION. A message says which records are to be \
    looked at; what they hold is read from the system. A message that was answered with 202 is kept until that was done, \
    through crashes and restarts. Messages can be lost before they arrive: let `syncline run` read what is new now and then."
)]
pub struct Args {
    /// The configuration: a folder or a file [default: --config, or the current folder]
    pub path: Option<PathBuf>,
    /// Where to listen. Systems reach it through a proxy that ends TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8640")]
    pub bind: SocketAddr,
}

/// Runs the command.
///
/// # Errors
///
/// When no connection has a webhook, one cannot work, or the address cannot be listened at.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let sync = app.open(args.path.as_deref()).await?;
    let hooks = Hooks::new(sync.world(), Box::new(SystemClock)).map_err(|error| {
        let hint =
            "see `webhook` in docs/webhooks.md; `syncline check` finds what is wrong with one";
        Error::refused(error.to_string(), hint)
    })?;
    let hooks = Arc::new(hooks);
    let unheard = |error: std::io::Error| {
        let hint = "`--bind` names another address";
        Error::refused(format!("cannot listen at {}: {error}", args.bind), hint)
    };
    let listener = TcpListener::bind(args.bind).await.map_err(unheard)?;
    let address = listener.local_addr().map_err(unheard)?;
    let addresses: Vec<String> =
        hooks.paths().map(|path| format!("http://{address}{path}")).collect();
    if app.out.json {
        app.out.json(&serde_json::json!({ "listening": addresses }))?;
    } else {
        addresses.iter().try_for_each(|address| app.out.line(format!("listening at {address}")))?;
    }
    let cancel = cancel_on_signal(&app.out);
    let (hearing, over) = (hooks.clone(), cancel.clone());
    let serving = tokio::spawn(async move {
        let served = hearing.serve(listener, over.clone()).await;
        over.cancel();
        served
    });
    let heeded = heed(app, &sync, &hooks, &cancel).await;
    cancel.cancel();
    let served = serving.await;
    heeded?;
    match served {
        Ok(Ok(())) => Ok(Exit::Success),
        Ok(Err(error)) => Err(unheard(error)),
        Err(error) => Err(unheard(std::io::Error::other(error))),
    }
}

/// Looks at what notices name, until it is stopped.
async fn heed(
    app: &App,
    sync: &Syncline,
    hooks: &Hooks,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let mut wait = WAIT.0;
    while !cancel.is_cancelled() {
        match round(app, sync, hooks, cancel).await? {
            Round::Done => wait = WAIT.0,
            // What arrived meanwhile has left a mark, so nothing is missed.
            Round::Quiet => tokio::select! {
                () = hooks.arrived() => {}
                () = cancel.cancelled() => {}
            },
            Round::Failed => {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = cancel.cancelled() => {}
                }
                wait = (wait * 2).min(WAIT.1);
            }
        }
    }
    Ok(())
}

/// What came of going through the tasks once.
enum Round {
    /// No notice waited.
    Quiet,
    /// What notices named was looked at.
    Done,
    /// Some could not be looked at, and wait.
    Failed,
}

async fn round(
    app: &App,
    sync: &Syncline,
    hooks: &Hooks,
    cancel: &CancellationToken,
) -> Result<Round, Error> {
    let begun = SystemClock.now();
    let (mut outcomes, mut failed) = (Vec::new(), false);
    for task in hooks.tasks() {
        let notices = sync.store().notices(task, RECORDS_MAX).await?;
        let (named, unnamed): (Vec<NoticeRow>, Vec<NoticeRow>) =
            notices.into_iter().partition(|row| row.notice.external_id.is_some());
        for (rows, is_named) in [(named, true), (unnamed, false)] {
            if rows.is_empty() || cancel.is_cancelled() {
                continue;
            }
            let ids = rows.iter().map(|row| row.id).collect();
            let records = rows.into_iter().filter_map(|row| row.notice.external_id).collect();
            let outcome = look(app, sync, task, is_named.then_some(records), cancel).await;
            if is_heeded(&outcome) {
                sync.store().heeded(ids).await?;
            } else {
                failed = true;
            }
            outcomes.push(outcome);
        }
    }
    if outcomes.is_empty() {
        return Ok(Round::Quiet);
    }
    // What one system said may be owed to others.
    for task in sync.tasks() {
        if !cancel.is_cancelled() && sync.owes(&task).await? {
            let options = RunOptions {
                trigger: Trigger::Webhook,
                pages: Some(Vec::new()),
                cancel: cancel.clone(),
                ..RunOptions::default()
            };
            let result = run_one(app, sync, &task, options, false).await;
            outcomes.push(TaskOutcome { task, result });
        }
    }
    tell(app, &outcomes, begun)?;
    Ok(if failed { Round::Failed } else { Round::Done })
}

async fn look(
    app: &App,
    sync: &Syncline,
    task: &str,
    records: Option<Vec<CompactString>>,
    cancel: &CancellationToken,
) -> TaskOutcome {
    let (trigger, cancel) = (Trigger::Webhook, cancel.clone());
    let options = RunOptions { trigger, records, cancel, ..RunOptions::default() };
    let result = run_one(app, sync, task, options, false).await;
    TaskOutcome { task: task.to_owned(), result }
}

/// Whether the records were read; what was refused of them is on the list of dead letters.
fn is_heeded(outcome: &TaskOutcome) -> bool {
    let status = outcome.result.as_ref().map(|report| report.status.as_str());
    matches!(status, Ok("success" | "partial"))
}

fn tell(app: &App, outcomes: &[TaskOutcome], begun: i64) -> Result<(), Error> {
    let duration_ms = crate::report::since(begun);
    if app.out.json {
        return app.out.json(&to_json(&app.out, outcomes, duration_ms));
    }
    print_tasks(&app.out, outcomes, duration_ms)?;
    outcomes.iter().try_for_each(|outcome| crate::report::print_trouble(&app.out, outcome))
}
