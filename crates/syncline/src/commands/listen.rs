//! `syncline listen`: systems say that records changed, and these are looked at.

use crate::app::App;
use crate::commands::run::run_one;
use crate::error::{Error, Exit};
use crate::report::{TaskOutcome, print_tasks, print_trouble, since, to_json};
use crate::signals::cancel_on_signal;
use crate::syncing::{RunOptions, Syncline};
use compact_str::CompactString;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use syncline_core::plan::rows::IntentState;
use syncline_core::record::Page;
use syncline_engine::{Clock, SystemClock, Trigger};
use syncline_server::hooks::Hooks;
use syncline_store::notice::NoticeRow;
use syncline_store::query::IntentFilter;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// So many records are looked at in one run.
const RECORDS_MAX: usize = 1000;

/// So many notices of a task are gone through at a time.
const NOTICES_MAX: usize = 100_000;

/// How long what could not be done waits at first, and at most.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(900));

/// How long who is sending a message may take to finish once it is over.
const LEAVE: Duration = Duration::from_secs(5);

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
    /// Lets deletions pass, however many there are
    #[arg(long)]
    pub allow_deletes: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When no connection has a webhook, one cannot work, or the address cannot be listened at.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let sync = app.open(args.path.as_deref()).await?;
    let hooks = Hooks::new(sync.world(), Box::new(SystemClock)).await.map_err(|error| {
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
    let allow_deletes = args.allow_deletes;
    let waiting = BTreeMap::new();
    let mut listener = Listener { app, sync, hooks, cancel, allow_deletes, waiting };
    let heeded = async {
        listener.take_up().await?;
        listener.run().await
    };
    let heeded = heeded.await;
    listener.cancel.cancel();
    let served = tokio::time::timeout(LEAVE, serving).await;
    heeded?;
    match served {
        Ok(Ok(Ok(()))) | Err(_) => Ok(Exit::Success),
        Ok(Ok(Err(error))) => Err(unheard(error)),
        Ok(Err(error)) => Err(unheard(std::io::Error::other(error))),
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// A task looks at what notices name.
    Look(String),
    /// A task's system is sent what it is owed.
    Send(String),
}

/// Work that could not be done.
struct Waiting {
    /// When it is tried again.
    until: Instant,
    wait: Duration,
    /// The last notice that there was: newer ones are looked at without them.
    newest: i64,
}

/// Does what messages lead to.
struct Listener<'a> {
    app: &'a App,
    sync: Syncline,
    hooks: Arc<Hooks>,
    cancel: CancellationToken,
    allow_deletes: bool,
    waiting: BTreeMap<Work, Waiting>,
}

impl Listener<'_> {
    /// What was owed when another process ended is sent.
    async fn take_up(&mut self) -> Result<(), Error> {
        for task in self.sync.tasks() {
            let (_, entity) = self.sync.world().task(&task)?;
            let states = vec![IntentState::Planned, IntentState::Sent];
            let filter =
                IntentFilter { entity: Some(entity), states, limit: 1, ..IntentFilter::default() };
            if !self.sync.store().intents(filter).await?.is_empty() {
                self.put_off(Work::Send(task), 0, Duration::ZERO);
            }
        }
        Ok(())
    }

    /// Goes on until it is stopped.
    async fn run(&mut self) -> Result<(), Error> {
        while !self.cancel.is_cancelled() {
            let begun = SystemClock.now();
            let mut outcomes = Vec::new();
            let done = self.round(&mut outcomes).await;
            if let Some((connection, token)) = self.hooks.token() {
                self.app.out.warn(format!(
                    "`{connection}` was sent the token {token}: if it was you who set this webhook up just now, confirm it \
                     there, and make it a secret of the webhook"
                ));
            }
            tell(self.app, &outcomes, begun)?;
            match done {
                Err(Error::Store(error)) if error.is_transient() => {
                    self.app.out.warn(format!("{error}; it is tried again"));
                    self.pause(Some(Instant::now() + WAIT.0)).await;
                    continue;
                }
                done => done?,
            }
            if outcomes.is_empty() {
                self.pause(self.waiting.values().map(|waiting| waiting.until).min()).await;
            }
        }
        Ok(())
    }

    /// Waits until a message arrives, or `until`. One that arrived since the last round ends it at once.
    async fn pause(&self, until: Option<Instant>) {
        let over = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.hooks.arrived() => {}
            () = over => {}
            () = self.cancel.cancelled() => {}
        }
    }

    /// Goes through the tasks once: those that are to look, then those whose systems are owed something.
    async fn round(&mut self, outcomes: &mut Vec<TaskOutcome>) -> Result<(), Error> {
        for task in self.hooks.tasks().to_vec() {
            self.look(task, outcomes).await?;
        }
        for task in self.sync.tasks() {
            let work = Work::Send(task.clone());
            let is_owed = self.waiting.contains_key(&work) || self.sync.owes(&task).await?;
            if !is_owed || !self.is_due(&work) {
                continue;
            }
            let outcome = self.run_task(&task, None, Some(Vec::new())).await;
            let report = outcome.result.as_ref();
            let is_sent = report.is_ok_and(|report| report.complete && !report.owes);
            outcomes.push(outcome);
            let is_sent = is_sent && !self.sync.owes(&task).await?;
            self.settle(work, 0, is_sent);
        }
        Ok(())
    }

    /// Looks at what notices for the task name, and forgets them once that was done.
    async fn look(&mut self, task: String, outcomes: &mut Vec<TaskOutcome>) -> Result<(), Error> {
        let mut notices = self.sync.store().notices(&task, NOTICES_MAX).await?;
        let work = Work::Look(task.clone());
        let Some(newest) = notices.last().map(|row| row.id) else {
            self.waiting.remove(&work);
            return Ok(());
        };
        let is_due = self.is_due(&work);
        if let Some(waiting) = self.waiting.get(&work).filter(|_| !is_due) {
            // Those that came since need not wait.
            notices.retain(|row| row.id > waiting.newest);
        }
        let (named, unnamed): (Vec<NoticeRow>, Vec<NoticeRow>) =
            notices.into_iter().partition(|row| row.notice.external_id.is_some());
        let looks = named.chunks(RECORDS_MAX).chain(unnamed.chunks(NOTICES_MAX));
        let mut is_all_done = true;
        for rows in looks {
            if self.cancel.is_cancelled() {
                return Ok(());
            }
            let records = rows.iter().map(|row| row.notice.external_id.clone()).collect();
            let outcome = self.run_task(&task, records, None).await;
            let report = outcome.result.as_ref();
            let is_done = report.is_ok_and(|report| report.complete);
            let owes = report.is_ok_and(|report| report.owes);
            outcomes.push(outcome);
            if owes {
                self.settle(Work::Send(task.clone()), 0, false);
            }
            if is_done {
                self.sync.store().heeded(rows.iter().map(|row| row.id).collect()).await?;
            }
            is_all_done &= is_done;
        }
        match self.waiting.get_mut(&work) {
            // What waits goes on waiting.
            Some(waiting) if !is_due => {
                if !is_all_done {
                    waiting.newest = newest;
                }
            }
            _ => self.settle(work, newest, is_all_done),
        }
        Ok(())
    }

    fn is_due(&self, work: &Work) -> bool {
        self.waiting.get(work).is_none_or(|waiting| waiting.until <= Instant::now())
    }

    /// Notes whether work was done; if not, it is tried again at ever longer intervals.
    fn settle(&mut self, work: Work, newest: i64, is_done: bool) {
        let before = self.waiting.remove(&work);
        if !is_done {
            let wait = before.map_or(WAIT.0, |before| (before.wait * 2).clamp(WAIT.0, WAIT.1));
            self.put_off(work, newest, wait);
        }
    }

    fn put_off(&mut self, work: Work, newest: i64, wait: Duration) {
        let until = Instant::now() + wait;
        self.waiting.insert(work, Waiting { until, wait, newest });
    }

    async fn run_task(
        &self,
        task: &str,
        records: Option<Vec<CompactString>>,
        pages: Option<Vec<Page>>,
    ) -> TaskOutcome {
        let options = RunOptions {
            trigger: Trigger::Webhook,
            records,
            pages,
            allow_deletes: self.allow_deletes,
            cancel: self.cancel.clone(),
            ..RunOptions::default()
        };
        let result = run_one(self.app, &self.sync, task, options, false).await;
        TaskOutcome { task: task.to_owned(), result }
    }
}

fn tell(app: &App, outcomes: &[TaskOutcome], begun: i64) -> Result<(), Error> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let duration_ms = since(begun);
    if app.out.json {
        return app.out.json(&to_json(&app.out, outcomes, duration_ms));
    }
    print_tasks(&app.out, outcomes, duration_ms)?;
    outcomes.iter().try_for_each(|outcome| print_trouble(&app.out, outcome))
}
