//! The report at the end of a run: every fetched record accounted for.

use crate::error::{Error, Exit};
use crate::output::{Output, Tone, WIDTH_USUAL, count, counted, duration, error_json, paragraph};
use serde_json::{Map, Value, json};
use syncline_core::plan::writes::Counters;
use syncline_engine::{Clock, Report, SystemClock};
use syncline_store::Store;

/// What came of a task: its report, or why it could not be run.
pub(crate) struct TaskOutcome {
    /// The task.
    pub(crate) task: String,
    /// What came of it.
    pub(crate) result: Result<Report, Error>,
}

/// How long ago `begun` was (in microseconds since 1970), in milliseconds.
pub(crate) fn since(begun: i64) -> u64 {
    u64::try_from((SystemClock.now() - begun) / 1000).unwrap_or(0)
}

/// Prints what came of a run, and tells how the program ends.
pub(crate) async fn print(
    out: &Output,
    outcomes: &[TaskOutcome],
    store: &dyn Store,
    duration_ms: u64,
) -> Result<Exit, Error> {
    if out.json {
        out.json(&to_json(out, outcomes, duration_ms))?;
        return Ok(exit(outcomes));
    }
    print_tasks(out, outcomes, duration_ms)?;
    let holds = holdings(store).await?;
    out.line(holds.text(out))?;
    if holds.dead_letters > 0 {
        let letters = counted(holds.dead_letters, "dead letter");
        out.line(out.advise(&format!("{letters}: `syncline dead-letters list` shows them")))?;
    }
    for outcome in outcomes {
        print_trouble(out, outcome)?;
    }
    Ok(exit(outcomes))
}

/// Prints a line for each task, their sum, and the parts of which the sum consists.
pub(crate) fn print_tasks(
    out: &Output,
    outcomes: &[TaskOutcome],
    duration_ms: u64,
) -> Result<(), Error> {
    let headings = ["task", "status", "fetched", "created", "updated", "skipped", "failed", "time"];
    let row = |name: &str, status: &str, c: &Counters, ms: u64| {
        let mut row = vec![name.to_owned(), status.to_owned()];
        row.extend([c.fetched, c.created, c.updated, c.skipped, c.failed].map(count));
        row.push(duration(ms));
        row
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for outcome in outcomes {
        rows.push(match &outcome.result {
            Ok(report) => row(&outcome.task, &report.status, &report.results, report.duration_ms),
            Err(_) => vec![outcome.task.clone(), "not run".to_owned()],
        });
    }
    let sum = sum(outcomes);
    if outcomes.len() > 1 {
        rows.push(row("total", "", &sum, duration_ms));
    }
    out.table(&headings, rows)?;
    for line in parts(&sum) {
        out.line(format!("  {line}"))?;
    }
    let reports = || outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok());
    if reports().next().is_some()
        && outcomes.iter().all(|o| o.result.is_ok())
        && reports().all(|report| report.unchanged)
    {
        out.line(out.paint(Tone::Good, "nothing changed, nothing written"))?;
    }
    Ok(())
}

fn parts(sum: &Counters) -> Vec<String> {
    let lines = [
        (
            "updated",
            list(&[
                (sum.merged, "joined a shard of other records"),
                (sum.resolved, "with a conflict decided"),
                (sum.tombstoned, "deleted at the source"),
            ]),
        ),
        (
            "skipped",
            list(&[
                (sum.unchanged, "unchanged"),
                (sum.filtered, "filtered"),
                (sum.invalid, "invalid"),
                (sum.held, "held"),
            ]),
        ),
        ("missing at the source", list(&[(sum.deleted, "deleted")])),
        (
            "derived",
            list(&[
                (sum.derived_created, "created"),
                (sum.derived_updated, "updated"),
                (sum.derived_unchanged, "unchanged"),
            ]),
        ),
        (
            "shards",
            list(&[
                (sum.shards_created, "created"),
                (sum.shards_updated, "updated"),
                (sum.shards_merged, "merged into others"),
                (sum.shards_deleted, "deleted"),
            ]),
        ),
        (
            "written",
            list(&[
                (sum.written_created, "created"),
                (sum.written_updated, "updated"),
                (sum.written_deleted, "deleted"),
                (sum.written_stale, "decided anew, since the record had changed"),
                (sum.written_rejected, "refused"),
                (sum.written_unknown, "of which nobody knows whether they arrived"),
            ]),
        ),
        (
            "conflicts",
            list(&[
                (
                    sum.conflicts - sum.conflicts_open.min(sum.conflicts),
                    "decided (`syncline conflicts --all`)",
                ),
                (sum.conflicts_open, "for a person (`syncline conflicts`)"),
            ]),
        ),
        ("requests", requests(sum)),
        (
            "matched anew",
            list(&[(sum.rematched, "records, since match rules, ranks or a model's size changed")]),
        ),
    ];
    let said = lines.into_iter().filter(|(_, text)| !text.is_empty());
    said.map(|(name, text)| format!("{name}: {text}")).collect()
}

fn requests(sum: &Counters) -> String {
    list(&[
        (sum.requests, "sent"),
        (sum.requests_limited, "too many for the system's limits"),
        (sum.waited_ms / 1000, "s waited for limits"),
    ])
}

fn list(entries: &[(u64, &str)]) -> String {
    let shown = entries.iter().filter(|(number, _)| *number > 0);
    shown.map(|(n, what)| format!("{} {what}", count(*n))).collect::<Vec<_>>().join(", ")
}

/// What a store holds.
pub(crate) struct Holdings {
    /// For people: the shards of each type, then what hangs on them.
    parts: [Vec<String>; 2],
    /// Dead letters that were not replayed.
    pub(crate) dead_letters: u64,
    /// For programs.
    pub(crate) json: Value,
}

impl Holdings {
    /// What the store holds, in lines of at most 80 characters.
    pub(crate) fn text(&self, out: &Output) -> String {
        let parts = self.parts.each_ref();
        let parts = parts.map(|group| group.iter().map(|part| out.advise(part)).collect());
        paragraph("store: ", &parts, WIDTH_USUAL)
    }
}

/// Counts what a store holds.
pub(crate) async fn holdings(store: &dyn Store) -> Result<Holdings, Error> {
    let counts = store.counts().await?;
    let (catalog, ids) = store.catalog().await?;
    let name = |id| {
        let position = ids.shard_types.iter().position(|known| *known == id);
        position.map_or_else(|| id.to_string(), |index| catalog.shard_types[index].clone())
    };
    let mut by_type: Vec<(String, u64)> =
        counts.shards.iter().map(|(id, number)| (name(*id), *number)).collect();
    by_type.sort();
    let mut shards: Vec<String> =
        by_type.iter().map(|(name, number)| format!("{} {name}", count(*number))).collect();
    if shards.is_empty() {
        shards.push("no shards".to_owned());
    }
    let mut texts = vec![counted(counts.links, "link")];
    if counts.edges_linked > 0 {
        texts.push(format!("{} linked", counted(counts.edges_linked, "edge")));
    }
    if counts.edges_waiting > 0 {
        texts.push(format!("{} waiting", counted(counts.edges_waiting, "edge")));
    }
    if counts.reviews > 0 {
        texts.push(format!("{} to decide (`syncline review`)", counted(counts.reviews, "pair")));
    }
    Ok(Holdings {
        parts: [shards, texts],
        dead_letters: counts.dead_letters,
        json: json!({
            "shards": by_type.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "links": counts.links,
            "edges_linked": counts.edges_linked,
            "edges_waiting": counts.edges_waiting,
            "dead_letters": counts.dead_letters,
            "reviews": counts.reviews,
        }),
    })
}

/// Prints why a task did not end in success, and what to do about it; also what is to be known of what went well.
pub(crate) fn print_trouble(out: &Output, outcome: &TaskOutcome) -> Result<(), Error> {
    if let Ok(Report { remark: Some(remark), .. }) = &outcome.result {
        out.line(out.scrub(&format!("{}: {remark}", out.paint(Tone::Good, &outcome.task))))?;
    }
    let (error, hint) = match &outcome.result {
        Ok(report) => (report.error.clone(), report.hint.clone()),
        Err(error) => (Some(error.to_string()), Some(error.hint())),
    };
    let Some(error) = error else { return Ok(()) };
    let tone = if exit_of(outcome) == Exit::Partial { Tone::Warn } else { Tone::Bad };
    out.line(out.scrub(&format!("{}: {error}", out.paint(tone, &outcome.task))))?;
    match hint {
        Some(hint) => {
            let hint = out.advise(&hint);
            out.line(out.scrub(&format!("  {}: {hint}", out.paint(Tone::Good, "hint"))))
        }
        None => Ok(()),
    }
}

/// How the program ends after these tasks: what could not be run at all weighs most, then what failed, was
/// cancelled, or went through in part.
pub(crate) fn exit(outcomes: &[TaskOutcome]) -> Exit {
    let weight = |exit: &Exit| match exit {
        Exit::Success => 0,
        Exit::Partial => 1,
        Exit::Cancelled => 2,
        Exit::Failed => 3,
        _ => 4,
    };
    outcomes.iter().map(exit_of).max_by_key(weight).unwrap_or(Exit::Success)
}

fn exit_of(outcome: &TaskOutcome) -> Exit {
    match &outcome.result {
        Ok(report) => Exit::of_status(&report.status),
        Err(error) => error.exit(),
    }
}

fn sum(outcomes: &[TaskOutcome]) -> Counters {
    let mut sum = Counters::default();
    for report in outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok()) {
        sum.add(&report.results);
    }
    sum
}

/// The whole report as one JSON object.
pub(crate) fn to_json(out: &Output, outcomes: &[TaskOutcome], duration_ms: u64) -> Value {
    let tasks = outcomes.iter().map(|outcome| match &outcome.result {
        Ok(report) => report_json(out, report),
        Err(error) => {
            let mut json = json!({ "task": outcome.task });
            if let (Some(json), Value::Object(error)) = (json.as_object_mut(), error_json(error)) {
                json.extend(error);
            }
            json
        }
    });
    let status = match exit(outcomes) {
        Exit::Success => "success",
        Exit::Partial => "partial",
        Exit::Cancelled => "cancelled",
        Exit::Failed => "failed",
        _ => "error",
    };
    json!({
        "status": status,
        "results": results_json(&sum(outcomes)),
        "tasks": tasks.collect::<Vec<Value>>(),
        "duration_ms": duration_ms,
    })
}

fn report_json(out: &Output, report: &Report) -> Value {
    let mut json = serde_json::to_value(report).unwrap_or_default();
    json["results"] = results_json(&report.results);
    for key in ["error", "hint", "remark"] {
        let scrubbed = json[key].as_str().map(|text| out.scrub(text));
        if let Some(text) = scrubbed {
            json[key] = text.into();
        }
    }
    json
}

/// The ledger as JSON: what is counted apart from source records in objects of its own.
pub(crate) fn results_json(counters: &Counters) -> Value {
    let mut json = Map::new();
    let Ok(Value::Object(parts)) = serde_json::to_value(counters) else { return Value::Null };
    for (name, number) in parts {
        let apart = ["derived", "shards", "links"]
            .into_iter()
            .find_map(|group| Some((group, name.strip_prefix(group)?.strip_prefix('_')?)));
        match apart {
            Some((group, part)) => {
                let entry = json.entry(group).or_insert_with(|| json!({}));
                entry[part] = number;
            }
            None => {
                json.insert(name, number);
            }
        }
    }
    Value::Object(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_derived_and_links_are_counted_apart_from_records() {
        let counters =
            Counters { fetched: 3, derived_created: 2, shards_merged: 1, ..Counters::default() };
        let json = results_json(&counters);
        assert_eq!(json["fetched"], 3);
        assert_eq!(json["derived"]["created"], 2);
        assert_eq!(json["shards"]["merged"], 1);
        assert!(json.get("derived_created").is_none());
    }

    #[test]
    fn the_worst_task_decides_how_the_program_ends() {
        let outcome = |status: &str| TaskOutcome {
            task: status.to_owned(),
            result: Ok(Report { status: status.to_owned(), ..Report::default() }),
        };
        let cases = [
            (vec![], Exit::Success),
            (vec!["success", "partial"], Exit::Partial),
            (vec!["cancelled", "partial"], Exit::Cancelled),
            (vec!["failed", "cancelled", "success"], Exit::Failed),
        ];
        for (statuses, expected) in cases {
            let outcomes: Vec<TaskOutcome> = statuses.into_iter().map(outcome).collect();
            assert_eq!(exit(&outcomes), expected);
        }
    }
}
