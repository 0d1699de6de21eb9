//! Fields that a shard and a record both changed: the list of them, and what a person decides.

use crate::app::App;
use crate::commands::review::{DeciderArgs, decider};
use crate::error::Error;
use crate::explain;
use crate::output::{Tone, shorten, time};
use crate::reviewing::RecordName;
use serde::Serialize;
use syncline_core::plan::rows::ConflictRow;
use syncline_core::plan::view::Need;
use syncline_core::value::Value;
use syncline_engine::edit::{Answer, settle};
use syncline_engine::{EngineError, SystemClock, World};
use syncline_store::query::ConflictFilter;

/// A field that a shard and a record both changed.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// The shard's UUID.
    pub shard: String,
    /// The record.
    pub record: RecordName,
    /// The rest of it.
    #[serde(flatten)]
    pub conflict: ConflictRow,
}

/// Finds conflicts, newest first; those that were decided too, if `all`.
///
/// # Errors
///
/// When the store cannot be read.
pub(super) async fn find(world: &World, all: bool, limit: usize) -> Result<Vec<Stored>, Error> {
    let filter = ConflictFilter { with_closed: all, limit, id: None };
    name(world, world.store.conflicts(filter).await?).await
}

async fn name(world: &World, rows: Vec<ConflictRow>) -> Result<Vec<Stored>, Error> {
    let links = rows.iter().map(|row| row.link).collect();
    let found = world.store.read(Need { links, ..Need::default() }).await?;
    let story = |row: ConflictRow| {
        let link = found.links.iter().find(|link| link.id == row.link);
        let entity = link.and_then(|link| world.entities.get(&link.entity));
        let shard = link.and_then(|link| found.shards.iter().find(|shard| shard.id == link.shard));
        Stored {
            shard: shard.map(|shard| explain::uuid(shard.uuid)).unwrap_or_default(),
            record: RecordName {
                connection: entity.map(|name| name.connection.clone()).unwrap_or_default(),
                entity: entity.map(|name| name.entity.clone()).unwrap_or_default(),
                external_id: link.map(|link| link.external_id.to_string()).unwrap_or_default(),
            },
            conflict: row,
        }
    };
    Ok(rows.into_iter().map(story).collect())
}

/// Prints a list of conflicts.
///
/// # Errors
///
/// When nobody reads the output.
pub(super) fn print(conflicts: &[Stored], app: &App) -> Result<(), Error> {
    let row = |stored: &Stored| {
        let row = &stored.conflict;
        let record = format!("{} {}", stored.record.connection, stored.record.external_id);
        vec![
            row.id.to_string(),
            row.status.clone(),
            record,
            if row.field.is_empty() { row.kind.clone() } else { row.field.clone() },
            said(row.local.as_ref()),
            said(row.remote.as_ref()),
            told(row),
        ]
    };
    let headings = ["no", "status", "record", "field", "shard says", "record says", "stands"];
    app.out.table(&headings, conflicts.iter().map(row).collect())?;
    let advice = "`syncline conflicts show NO` tells more; `resolve NO local|remote|VALUE` decides";
    app.out.note(app.out.advise(advice));
    Ok(())
}

fn told(row: &ConflictRow) -> String {
    use syncline_core::reconcile::Winner::{Local, Merged, Nobody, Remote};
    match row.winner {
        Local => "the shard's".to_owned(),
        Remote => "the record's".to_owned(),
        Merged => said(row.value.as_ref()),
        Nobody if row.status == "open" && row.kind == "oscillation" => {
            "waits for a person: something else writes it, too".to_owned()
        }
        Nobody if row.status == "open" => "waits for a person".to_owned(),
        Nobody => "both".to_owned(),
    }
}

fn said(value: Option<&Value>) -> String {
    value.map_or_else(|| "(absent)".to_owned(), |value| shorten(&value.to_json(), 40))
}

/// Shows one conflict.
///
/// # Errors
///
/// When there is none of this number, or the store cannot be read.
pub(super) async fn show(world: &World, id: i64, app: &App) -> Result<(), Error> {
    let filter = ConflictFilter { id: Some(id), with_closed: true, limit: 1 };
    let found = name(world, world.store.conflicts(filter).await?).await?.pop();
    let Some(stored) = found else {
        let hint = "`syncline conflicts list --all` lists them";
        return Err(Error::refused(format!("there is no conflict {id}"), hint));
    };
    if app.out.json {
        return app.out.json(&stored);
    }
    let Stored { shard, record, conflict } = &stored;
    let heading = format!("conflict {id}: {}", conflict.status);
    app.out.line(app.out.paint(Tone::Bold, &heading))?;
    let record = format!("{}/{} {}", record.connection, record.entity, record.external_id);
    let of = |lo: i64, hi: i64| {
        if lo == hi { time(hi) } else { format!("{} to {}", time(lo), time(hi)) }
    };
    let (local, remote) = (conflict.local_stamp, conflict.remote_stamp);
    let mut lines = vec![
        ("shard", shard.clone()),
        ("record", record),
        ("field", conflict.field.clone()),
        ("kind", conflict.kind.clone()),
        ("base", said(conflict.base.as_ref())),
        ("shard says", format!("{} ({})", said(conflict.local.as_ref()), of(local.lo, local.hi))),
        (
            "record says",
            format!("{} ({})", said(conflict.remote.as_ref()), of(remote.lo, remote.hi)),
        ),
        ("rule", conflict.rule.clone()),
        ("stands", told(conflict)),
        ("met", time(conflict.met_at)),
    ];
    if conflict.by_tie {
        lines.push((
            "note",
            "the times are too close to tell; priority, then value decided".to_owned(),
        ));
    }
    if let Some(by) = &conflict.by {
        lines.push(("decided by", by.clone()));
    }
    if let Some(problem) = &conflict.problem {
        lines.push(("because", problem.clone()));
    }
    for (name, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        app.out.line(format!("  {name:<12} {text}"))?;
    }
    Ok(())
}

/// Decides a conflict.
///
/// # Errors
///
/// When there is no such open conflict, or the store cannot be written.
pub(super) async fn decide(
    id: i64,
    answer: Answer,
    who: &DeciderArgs,
    app: &App,
) -> Result<(), Error> {
    let sync = if who.preview { app.open_to_read(None).await? } else { app.open(None).await? };
    let row = settle(sync.world(), &SystemClock, id, &answer, &decider(who)).await;
    let row = row.map_err(|error| match error {
        EngineError::Undecidable(why) => Error::refused(
            why,
            "`syncline conflicts` lists those that are open; what was decided is changed by an edit of a record",
        ),
        other => other.into(),
    })?;
    if app.out.json {
        return app.out.json(&row);
    }
    app.out.line(format!("conflict {id} is {}: {} stands", row.status, told(&row)))?;
    if who.preview {
        return app.out.line(app.out.paint(Tone::Dim, "this was a preview: nothing was written"));
    }
    app.out.note(app.out.advise("`syncline run` writes it to the other side"));
    Ok(())
}

/// What a person answers, as it is written on the command line: a value is JSON, or text.
pub(super) fn answer(text: &str) -> Answer {
    match text {
        "local" => Answer::Local,
        "remote" => Answer::Remote,
        other => Answer::Value(serde_json::from_str(other).unwrap_or_else(|_| Value::text(other))),
    }
}
