//! `syncline why`: where a shard's values come from.

use crate::app::App;
use crate::error::{Error, Exit};
use crate::explain::{self, Explanation, FieldStory, MatchStory, MergeStory, RecordStory};
use crate::output::{Tone, shorten, time};
use std::fmt::Write;
use syncline_core::problem::nearest;
use syncline_core::value::Value;

/// The most pairs of records that are printed.
const PAIRS_MAX: usize = 20;

/// What `syncline why` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For each field: its value, the record that gave it, the execution that brought it, the \
mapping that made it, the rule by which it stands, and what other records say. Then: why these records are one \
shard, comparison by comparison, and step by step how they came together.\n\n\
Examples:\n  syncline why 0199f3c2          all fields of the shard whose id starts so\n  \
syncline why 0199f3c2 email    one field"
)]
pub struct Args {
    /// The shard's id, or the beginning of it
    pub shard: String,
    /// Only this field
    pub field: Option<String>,
}

/// Tells where a shard's values come from.
///
/// # Errors
///
/// When there is no such shard or field, or the store cannot be read.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let sync = app.open_to_read(None).await?;
    let found = explain::find(sync.store().as_ref(), &args.shard).await?;
    let mut explanation = explain::explain(sync.world(), &found).await?;
    if let Some(field) = &args.field {
        let known = || explanation.fields.iter().map(|story| story.field.as_str());
        if !known().any(|name| name == field) {
            let hint = match nearest(field, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its fields are: {}", known().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("shard type `{}` has no field `{field}`", explanation.shard_type);
            return Err(Error::usage(message, hint));
        }
        explanation.fields.retain(|story| story.field == *field);
    }
    if app.out.json {
        app.out.json(&explanation)?;
    } else {
        app.out.line(text(&explanation, |tone, text| app.out.paint(tone, text)).trim_end())?;
    }
    Ok(Exit::Success)
}

fn text(explanation: &Explanation, paint: impl Fn(Tone, &str) -> String) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    if let Some(old) = &explanation.redirected_from {
        line(format!("{old} was merged into {}", explanation.shard));
    }
    let deleted = if explanation.deleted { ", deleted" } else { "" };
    let records = explanation.records.len();
    line(paint(
        Tone::Bold,
        &format!(
            "{} {}, version {}{deleted}, made of {}",
            explanation.shard_type,
            explanation.shard,
            explanation.version,
            crate::output::counted(records as u64, "record"),
        ),
    ));
    for field in &explanation.fields {
        line(String::new());
        line(field_text(explanation, field, &paint));
    }
    if records > 1 {
        line(String::new());
        line(paint(Tone::Bold, "why these records are one shard"));
        for story in explanation.matches.iter().take(PAIRS_MAX) {
            line(match_text(explanation, story));
        }
        match explanation.matches.len() {
            0 if explanation.merges.iter().all(|story| story.by.is_none()) => {
                line("  no rule of today's configuration says so: an earlier one did".to_owned());
            }
            0 => line("  no rule says so: a person did".to_owned()),
            found if found > PAIRS_MAX => {
                line(format!("  and {} more pairs; `--json` lists all", found - PAIRS_MAX));
            }
            _ => {}
        }
        line(String::new());
        line(paint(Tone::Bold, "how they came together"));
        for story in explanation.merges.iter().take(PAIRS_MAX) {
            line(merge_text(explanation, story));
        }
        if explanation.merges.len() > PAIRS_MAX {
            let more = explanation.merges.len() - PAIRS_MAX;
            line(format!("  and {more} more steps; `--json` lists all"));
        }
    }
    out
}

/// One step by which records became one shard.
pub(super) fn merge_text(explanation: &Explanation, story: &MergeStory) -> String {
    let records: Vec<String> =
        story.records.iter().map(|&index| record_name(&explanation.records[index])).collect();
    let mut out = match &story.shard {
        None => {
            let pair = story.pair.iter().flatten();
            let others: Vec<&str> =
                pair.filter(|name| !records.contains(name)).map(String::as_str).collect();
            format!("  {} joined {}", records.join(", "), others.join(", ")).trim_end().to_owned()
        }
        Some(shard) => {
            let at = story.execution.as_ref().and_then(|execution| execution.started_us);
            let at = at.map(|at| format!(" on {}", time(at))).unwrap_or_default();
            format!("  shard {shard} ({}) was merged into it{at}", records.join(", "))
        }
    };
    match (&story.by, &story.rule, story.score) {
        (Some(by), _, _) => write!(out, ": {by} said so"),
        (None, Some(rule), Some(number)) => {
            write!(out, ": {rule}, score {}", score(f64::from(number)))
        }
        _ => write!(out, ": by a rule of an earlier configuration"),
    }
    .expect("text takes everything");
    if let (Some([a, b]), Some(_)) = (&story.pair, &story.shard) {
        write!(out, ", of {a} and {b}").expect("text takes everything");
    }
    if let Some(why) = &story.why {
        write!(out, ": \"{}\"", shorten(why, 80)).expect("text takes everything");
    }
    out
}

/// What a record is called: connection, entity and external id.
fn record_name(record: &RecordStory) -> String {
    format!("{}/{} {}", record.connection, record.entity, record.external_id)
}

fn field_text(
    explanation: &Explanation,
    field: &FieldStory,
    paint: &impl Fn(Tone, &str) -> String,
) -> String {
    let value = field.value.as_ref().map_or_else(|| "(absent)".to_owned(), shown);
    let mut out = format!("{} = {value}", paint(Tone::Bold, &field.field));
    let mut add = |label: &str, text: String| {
        let label = paint(Tone::Dim, &format!("  {label:<10}"));
        write!(out, "\n{label} {text}").expect("text takes everything");
    };
    match field.record.map(|index| &explanation.records[index]) {
        Some(record) => {
            add("record", record_text(record));
            add("execution", execution_text(record));
            let schema = record.conversion_schema.as_deref().unwrap_or("(no longer configured)");
            let mapping = field.mapping.as_deref().unwrap_or("(not mapped there any more)");
            add("mapping", format!("{mapping}, in {schema}"));
            add("rule", field.rule.clone());
        }
        None if field.value.is_some() => {
            if field.rule.starts_with("union") || field.rule.starts_with("expression") {
                add("record", "made of what several records say".to_owned());
            } else {
                add("record", "none says this now: it stands from an earlier run".to_owned());
            }
            add("rule", field.rule.clone());
        }
        None => {}
    }
    for claim in &field.others {
        let record = record_text(&explanation.records[claim.record]);
        let says = if claim.agrees { "the same".to_owned() } else { shown(&claim.value) };
        add("also", format!("{says}, from {record}"));
    }
    if let Some(would_be) = &field.would_be {
        let value = would_be.as_ref().map_or_else(|| "(absent)".to_owned(), shown);
        add("note", format!("the configuration has changed since; it would make it {value}"));
    }
    out
}

/// A record, with the stamp that it competes with.
pub(super) fn record_text(record: &RecordStory) -> String {
    let RecordStory { connection, entity, external_id, .. } = record;
    let stamp = match record.modified_us {
        Some(at) => format!("modified {}", time(at)),
        None => format!("first seen {}", time(record.observed_us)),
    };
    let made_of = record.contributor.as_ref().filter(|contributor| *contributor != external_id);
    let made_of = made_of.map(|c| format!(", made of record {c}")).unwrap_or_default();
    let deleted = if record.deleted { ", deleted there" } else { "" };
    format!("{connection}/{entity} {external_id} ({stamp}{made_of}{deleted})")
}

fn execution_text(record: &RecordStory) -> String {
    let execution = &record.execution;
    match (&execution.id, &execution.task, execution.started_us) {
        (Some(id), Some(task), Some(at)) => format!("{id}, task {task}, {}", time(at)),
        _ => "no longer listed".to_owned(),
    }
}

fn match_text(explanation: &Explanation, story: &MatchStory) -> String {
    let name = |index: usize| record_name(&explanation.records[index]);
    let mut out = format!(
        "  {} and {}: {}, score {}",
        name(story.a),
        name(story.b),
        story.rule,
        score(f64::from(story.score)),
    );
    for part in story.waterfall.iter().flat_map(|rule| &rule.comparisons) {
        let side = |side: &Option<String>| {
            side.as_deref()
                .map_or_else(|| "(none)".to_owned(), |text| format!("`{}`", shorten(text, 40)))
        };
        let similarity = part.similarity.map_or_else(|| "left out".to_owned(), score);
        write!(
            out,
            "\n    {:<14} {} / {}: {similarity}",
            part.field,
            side(&part.left),
            side(&part.right)
        )
        .expect("text takes everything");
        if part.weight != 1.0 && part.similarity.is_some() {
            write!(out, " × weight {}", part.weight).expect("text takes everything");
        }
    }
    let models = story.waterfall.iter().filter_map(|rule| rule.model.as_ref());
    for row in models.flat_map(|model| &model.comparisons).filter(|row| row.weight != 0.0) {
        let side = |side: &Option<String>| {
            side.as_deref().map_or_else(|| "(none)".to_owned(), |t| format!("`{}`", shorten(t, 40)))
        };
        write!(
            out,
            "\n    {:<14} {} / {}: {}, weight {:+.1}",
            row.field,
            side(&row.left),
            side(&row.right),
            row.level,
            row.weight
        )
        .expect("text takes everything");
    }
    out
}

/// A score in at most three decimal places.
fn score(score: f64) -> String {
    let text = format!("{score:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A value for people, in one line: text in quotes, so that blanks and empty text show.
pub(super) fn shown(value: &Value) -> String {
    shorten(&value.to_json(), 120)
}
