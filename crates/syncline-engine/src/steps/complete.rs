//! The last step: the ledger is checked, the execution ends, the cursor stands.

use super::delete::Missing;
use super::standing::Standing;
use super::{End, Execution};
use crate::event::Event;
use crate::execution::{EngineError, Report};
use syncline_adapters::{AdapterError, ReadEnd};
use syncline_core::record::Cursor;
use syncline_store::StoreError;
use syncline_store::execution::Finish;

/// How the body of an execution ended, where it did not break.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) read: Option<ReadEnd>,
    pub(super) missing: Missing,
    pub(super) cancelled: bool,
    pub(super) failed: Option<AdapterError>,
}

impl Outcome {
    pub(super) fn of(end: End) -> Self {
        match end {
            End::Read(read) => Self { read: Some(read), ..Self::default() },
            End::Cancelled => Self { cancelled: true, ..Self::default() },
            End::Failed(error) => Self { failed: Some(error), ..Self::default() },
        }
    }
}

/// Whether the next read begins where this one ended.
fn moves_on(execution: &Execution<'_>, end: &ReadEnd, missing: &Missing) -> bool {
    // What blew the fuse is asked about again, until it is allowed, or there again.
    let asks_again = end.listed_all && matches!(missing, Missing::Fused { .. });
    !execution.of_some && (end.complete || !execution.full) && !asks_again
}

/// What is said of an execution at its end.
#[derive(Default)]
struct Verdict {
    status: &'static str,
    error: Option<String>,
    hint: Option<String>,
    /// What people should know of what went well.
    remark: Option<String>,
    /// Where the next read begins; `None` leaves it where it was.
    cursor: Option<Cursor>,
    /// Whether the source was read to its end without a gap.
    whole: bool,
    /// As [`Report::complete`].
    complete: bool,
}

impl Verdict {
    fn new(status: &'static str, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, error: Some(error.into()), hint: Some(hint.into()), ..Self::default() }
    }
}

/// Ends an execution, whatever came of it.
pub(super) async fn finish(
    execution: &mut Execution<'_>,
    outcome: Result<Outcome, EngineError>,
) -> Result<Report, EngineError> {
    let verdict = match outcome {
        // Whoever took over ends the execution; this process has no say any more.
        Err(EngineError::Store(StoreError::Fenced)) => return Err(StoreError::Fenced.into()),
        Err(error) => Verdict::new("failed", error.to_string(), BROKEN_HINT),
        Ok(outcome) => verdict(execution, outcome).await?,
    };
    let error = verdict.error.map(|error| execution.world.scrub(&error));
    let remark = verdict.remark.map(|remark| execution.world.scrub(&remark));
    let status = verdict.status;
    if status != "failed" && status != "cancelled" {
        execution.advance("complete", 100.0);
    }
    if !verdict.whole {
        // Records below the high water may not have been read.
        execution.high_water = None;
    }
    let asked = execution.world.shared.usage(&execution.task.connection);
    let (before, counters) = (execution.asked, &mut execution.counters);
    counters.requests += asked.requests.saturating_sub(before.requests);
    counters.requests_limited += asked.limited.saturating_sub(before.limited);
    counters.waited_ms += asked.waited_ms.saturating_sub(before.waited_ms);
    let now = execution.clock.now();
    execution
        .world
        .store
        .finish(Finish {
            execution: execution.begun.execution,
            status: status.to_owned(),
            checkpoint: execution.checkpoint(),
            error: error.clone().or_else(|| remark.clone()),
            cursor: verdict.cursor.map(|at| Standing::keep(execution.world, &execution.name, at)),
            now,
        })
        .await?;
    let duration_ms = u64::try_from((now - execution.begun.started) / 1000).unwrap_or(0);
    let (execution, results) = (&*execution, execution.counters);
    execution.emit(|| Event::Completed {
        task_id: execution.name.clone(),
        execution_id: execution.uuid(),
        status: status.to_owned(),
        records_processed: results.fetched,
        records_created: results.created,
        records_updated: results.updated,
        records_failed: results.failed,
        duration_ms,
    });
    Ok(Report {
        task: execution.name.clone(),
        execution: execution.uuid(),
        status: status.to_owned(),
        results,
        error,
        hint: verdict.hint,
        remark,
        duration_ms,
        resumed: execution.begun.resumed.is_some(),
        unchanged: !execution.wrote && status == "success",
        complete: verdict.complete,
        owes: execution.unsent.is_some() || results.written_unknown > execution.parked,
    })
}

async fn verdict(execution: &Execution<'_>, outcome: Outcome) -> Result<Verdict, EngineError> {
    let results = &execution.counters;
    let stopped = (!execution.full && !execution.of_some).then(|| execution.cursor.clone());
    if outcome.cancelled {
        let cursor = stopped.filter(|cursor| !cursor.is_null());
        return Ok(Verdict { cursor, ..cancelled(execution) });
    }
    if let Some(error) = outcome.failed {
        let hint = if error.is_transient() {
            "the system may be back later: `syncline run` goes on from what was committed"
        } else {
            "mend the connection's settings, then `syncline check`"
        };
        let cursor = stopped.filter(|cursor| !cursor.is_null());
        return Ok(Verdict { cursor, ..Verdict::new("failed", error.to_string(), hint) });
    }
    if let Some(error) = imbalance(execution).await? {
        return Ok(Verdict::new(
            "failed",
            error,
            "please report this; `syncline run --full` reads all anew",
        ));
    }
    let end = outcome.read.unwrap_or_default();
    let whole = end.complete && !execution.of_some;
    let complete = end.complete && !matches!(outcome.missing, Missing::Fused { .. });
    let cursor = moves_on(execution, &end, &outcome.missing).then_some(end.cursor);
    let verdict = match outcome.missing {
        Missing::Fused { missing, live } => Verdict::new(
            "partial",
            format!("{missing} of {live} records are missing at the source; none was deleted here"),
            "look at the source; if it is right, run again with `--allow-deletes`",
        ),
        _ if results.failed > 0
            && results.failed == results.fetched
            && execution.named.is_none() =>
        {
            Verdict::new(
                "failed",
                "no record could be read",
                "`syncline dead-letters list` shows why",
            )
        }
        Missing::Gaps(reason) => Verdict::new(
            "partial",
            format!("{reason}, so what is missing was not taken for deleted"),
            gaps_hint(results.failed),
        ),
        _ if !end.complete => Verdict::new(
            "partial",
            end.incomplete_because
                .unwrap_or_else(|| "the source was not read to its end".to_owned()),
            "run again when the source is whole",
        ),
        _ if results.failed > 0 => Verdict::new(
            "partial",
            format!("{} could not be read", records(results.failed)),
            "`syncline dead-letters list` shows which, and why",
        ),
        _ => unwritten(execution).unwrap_or(Verdict { status: "success", ..Verdict::default() }),
    };
    Ok(Verdict { cursor, whole, complete, remark: end.remark, ..verdict })
}

/// What is said of one that was stopped.
fn cancelled(execution: &Execution<'_>) -> Verdict {
    Verdict::new(
        "cancelled",
        format!("stopped after {}, at a batch border", records(execution.counters.fetched)),
        match (execution.of_some, execution.full) {
            (true, _) => "what was committed stands; run it again for the others",
            (_, true) => "what was committed stands; `syncline run` reads from the start",
            (_, false) => "`syncline run` goes on from there",
        },
    )
}

/// What to do about a read with gaps: where an adapter only has doubts, there are no dead letters.
fn gaps_hint(failed: u64) -> &'static str {
    match failed {
        0 => "run again when the source is whole",
        _ => "`syncline dead-letters list` shows what could not be read",
    }
}

/// What is said where something that the connection is owed was not written.
fn unwritten(execution: &Execution<'_>) -> Option<Verdict> {
    let results = &execution.counters;
    let (error, hint) = if let Some((planned, live)) = execution.fused {
        (
            format!("{planned} of {live} records would be deleted at the connection; none was"),
            "look at what was deleted; if it is right, run again with `--allow-deletes`",
        )
    } else if let Some((unsent, problem)) = &execution.unsent {
        (
            format!("{} could not be written: {problem}", records(*unsent)),
            "what is owed is kept, and the next run tries again",
        )
    } else if results.written_rejected > 0 {
        (
            format!("{} could not be written", records(results.written_rejected)),
            "`syncline dead-letters list` shows which, and why; the next run tries again",
        )
    } else if execution.parked > 0 {
        (
            format!("of {} nobody knows whether it was made", records(execution.parked)),
            "`syncline dead-letters list` shows which; once you have looked whether it is there, \
             `syncline dead-letters replay ID` makes it, or `syncline merge` joins it",
        )
    } else if results.written_unknown > 0 {
        (
            format!("of {} nobody knows whether it was written", records(results.written_unknown)),
            "run again: what became of it is looked up first",
        )
    } else {
        return None;
    };
    Some(Verdict::new("partial", error, hint))
}

/// So many records, for people.
pub(super) fn records(number: u64) -> String {
    format!("{number} record{}", if number == 1 { "" } else { "s" })
}

/// What to do about an execution that broke.
const BROKEN_HINT: &str = "what was committed before stands; `syncline run` goes on from there";

/// What does not add up: an execution whose sums are wrong cannot end in success.
async fn imbalance(execution: &Execution<'_>) -> Result<Option<String>, EngineError> {
    let results = &execution.counters;
    if !results.balance() {
        return Ok(Some(format!("the ledger does not balance: {results:?}")));
    }
    let Some(before) = execution.live_before else { return Ok(None) };
    let after = execution.world.store.live_links(execution.entity).await?;
    let came = results.created + results.merged + results.revived + results.links_found;
    let went = results.tombstoned + results.deleted + results.links_lost;
    Ok((before + came != after + went).then(|| {
        format!(
            "the ledger says {before} links + {came} - {went}, the store holds {after}: \
             they do not agree"
        )
    }))
}
