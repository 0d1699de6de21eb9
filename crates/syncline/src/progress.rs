//! Tells how far a run is: a bar on a terminal, a line now and then elsewhere; always on standard error.

use crate::output::{Output, count, duration};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use syncline_engine::{Clock, Event, SystemClock};

/// Where nobody watches a bar, lines are at least this far apart, in microseconds.
const LINE_GAP_US: i64 = 2_000_000;

/// How far a task's run is, for people.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Inner>);

struct Inner {
    out: Output,
    task: String,
    bar: Option<ProgressBar>,
    /// When the last line was printed, in microseconds since 1970.
    last: Mutex<i64>,
}

impl Progress {
    /// Begins with a task.
    pub(crate) fn new(out: &Output, task: &str) -> Self {
        let is_silent = out.quiet || out.json;
        let bar = (!is_silent && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
            let template = "{prefix} [{bar:16}] {pos:>3} %  {wide_msg}";
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("█▌ "));
            bar.set_prefix(task.to_owned());
            bar
        });
        let last = Mutex::new(SystemClock.now());
        Self(Arc::new(Inner { out: out.clone(), task: task.to_owned(), bar, last }))
    }

    /// Takes notice of what happened.
    pub(crate) fn on(&self, event: &Event) {
        match event {
            Event::Triggered { resumed: true, .. } => {
                self.say("goes on where the last run was interrupted".to_owned());
            }
            Event::Noted { message, .. } => self.say(message.clone()),
            Event::Fetched { metric, .. } => {
                if let Some(bar) = &self.0.bar
                    && bar.position() < 10
                {
                    bar.set_message(format!("fetching {}", count(*metric)));
                }
            }
            Event::BatchProcessed { processed_records, progress, .. } => {
                let eta = progress
                    .eta_s
                    .filter(|_| progress.percentage < 100.0)
                    .map(|seconds| format!(" · {} left", duration((seconds * 1000.0) as u64)));
                let message = format!(
                    "{} {} · {}/s{}",
                    progress.phase,
                    count(*processed_records),
                    count(progress.records_per_s as u64),
                    eta.unwrap_or_default()
                );
                self.show(progress.percentage, message);
            }
            Event::RetryAttempt { attempt, error, delay_ms, .. } => {
                self.say(format!("try {attempt} in {}: {error}", duration(*delay_ms)));
            }
            _ => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.0.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&self, percentage: f64, message: String) {
        let inner = &self.0;
        if let Some(bar) = &inner.bar {
            bar.set_position(percentage as u64);
            bar.set_message(message);
            return;
        }
        let mut last = inner.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.now();
        if now - *last >= LINE_GAP_US {
            *last = now;
            inner.out.note(format!("{}: {percentage:.0} %, {message}", inner.task));
        }
    }

    fn say(&self, message: String) {
        let line = format!("{}: {message}", self.0.task);
        match &self.0.bar {
            Some(bar) => bar.println(self.0.out.scrub(&line)),
            None => self.0.out.note(line),
        }
    }
}
