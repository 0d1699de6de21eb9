//! What two-way sync keeps: bases, intents, conflicts.

use super::insert::Insert;
use super::read::array;
use crate::query::{ConflictFilter, IntentFilter};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, params};
use std::sync::{Arc, LazyLock};
use syncline_core::plan::rows::{
    BaseRow, ConflictRow, EntityId, ExecutionId, IntentId, IntentKind, IntentRow, IntentState,
    LinkId, ShardId,
};
use syncline_core::plan::view::Found;
use syncline_core::plan::writes::{ConflictClosed, Plan};

const INTENT_COLUMNS: &str = "i.id, i.execution, i.entity, i.link, i.shard, i.kind, i.state, i.body, i.attempts, i.sent, i.problem";
const INTENT_WIDTH: usize = 11;

/// Writes a plan's part of it.
pub(super) fn write(conn: &Connection, plan: &Plan) -> Result<()> {
    write_bases(conn, &plan.bases)?;
    for (shard, fields) in &plan.stamps {
        match fields {
            Some(fields) => conn
                .prepare_cached("INSERT OR REPLACE INTO shard_stamp VALUES (?1, ?2)")?
                .execute(params![shard.0, &**fields])?,
            None => conn
                .prepare_cached("DELETE FROM shard_stamp WHERE shard = ?1")?
                .execute([shard.0])?,
        };
    }
    insert_intents(conn, &plan.intents_new)?;
    update_intents(conn, &plan.intents_changed)?;
    // Last: one that turns out not to have been written may be unwanted in the same plan.
    for id in &plan.intents_dropped {
        conn.prepare_cached("DELETE FROM intent WHERE id = ?1 AND state = 0")?.execute([id.0])?;
    }
    plan.conflicts_closed.iter().try_for_each(|closed| close_conflict(conn, closed))?;
    plan.conflicts.iter().try_for_each(|conflict| insert_conflict(conn, conflict))?;
    for (entity, state) in &plan.swept {
        conn.prepare_cached("INSERT OR REPLACE INTO swept VALUES (?1, ?2)")?
            .execute(params![entity.0, state])?;
    }
    Ok(())
}

fn write_bases(conn: &Connection, rows: &[BaseRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut update =
        conn.prepare_cached("UPDATE base SET version = ?2, fields = ?3 WHERE link = ?1")?;
    let mut insert = conn.prepare_cached("INSERT OR FAIL INTO base VALUES (?1, ?2, ?3)")?;
    let mut remove = conn.prepare_cached("DELETE FROM base WHERE link = ?1")?;
    for row in rows {
        if row.version.is_none() && row.fields.is_none() {
            remove.execute([row.link.0])?;
        } else {
            let values = params![row.link.0, row.version.as_deref(), row.fields.as_deref()];
            if update.execute(values)? == 0 {
                insert.execute(values)?;
            }
        }
    }
    Ok(())
}

fn insert_intents(conn: &Connection, rows: &[IntentRow]) -> Result<()> {
    static INSERT: LazyLock<Insert> =
        LazyLock::new(|| Insert::new("INSERT OR FAIL INTO intent", INTENT_WIDTH));
    INSERT.run(conn, rows, |row, columns| {
        columns.put(row.id.0)?.put(row.execution.0)?.put(row.entity.0)?.put(row.link.0)?;
        columns.put(row.shard.0)?.put(kind_number(row.kind))?.put(state_number(row.state))?;
        columns.put(&*row.body)?.put(row.attempts)?.put(row.sent)?.put(&row.problem)?;
        Ok(())
    })
}

/// Not by `OR REPLACE`: that may change more than one row, and so journals every page that it touches.
fn update_intents(conn: &Connection, rows: &[IntentRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE intent SET execution = ?2, entity = ?3, link = ?4, shard = ?5, kind = ?6, state = ?7, body = ?8,
               attempts = ?9, sent = ?10, problem = ?11 WHERE id = ?1";
    let mut update = conn.prepare_cached(sql)?;
    for row in rows {
        let changed = update.execute(params![
            row.id.0,
            row.execution.0,
            row.entity.0,
            row.link.0,
            row.shard.0,
            kind_number(row.kind),
            state_number(row.state),
            &*row.body,
            row.attempts,
            row.sent,
            row.problem,
        ])?;
        if changed == 0 {
            insert_intents(conn, std::slice::from_ref(row))?;
        }
    }
    Ok(())
}

fn insert_conflict(conn: &Connection, row: &ConflictRow) -> Result<()> {
    if row.status == "open" {
        conn.prepare_cached(
            "DELETE FROM conflict WHERE link = ?1 AND field = ?2 AND status = 'open'",
        )?
        .execute(params![row.link.0, row.field])?;
    }
    conn.prepare_cached(
        "INSERT INTO conflict (link, field, status, story) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![row.link.0, row.field, row.status, json(row)?])?;
    Ok(())
}

fn close_conflict(conn: &Connection, closed: &ConflictClosed) -> Result<()> {
    let sql = "SELECT id, link, field, status, story FROM conflict
               WHERE link = ?1 AND field = ?2 AND status = 'open'";
    let open = conn
        .prepare_cached(sql)?
        .query_row(params![closed.link.0, closed.field], conflict)
        .optional()?;
    let Some(open) = open else { return Ok(()) };
    let row = closed.close(open);
    conn.prepare_cached("UPDATE conflict SET status = ?2, story = ?3 WHERE id = ?1")?
        .execute(params![row.id, row.status, json(&row)?])?;
    Ok(())
}

fn json(row: &ConflictRow) -> Result<String> {
    serde_json::to_string(row).map_err(|error| Error::ToSqlConversionFailure(error.into()))
}

/// Adds what `links` and their shards agreed on, and what their systems are owed.
pub(super) fn read_agreed(conn: &Connection, links: &[LinkId], found: &mut Found) -> Result<()> {
    let ids = array(links.iter().map(|link| link.0));
    let sql = "SELECT b.link, b.version, b.fields FROM rarray(?1) r CROSS JOIN base b
               ON b.link = r.value";
    found.bases = conn
        .prepare_cached(sql)?
        .query_map([ids.clone()], |row| {
            Ok(BaseRow {
                link: LinkId(row.get(0)?),
                version: row.get_ref(1)?.as_str_or_null()?.map(Into::into),
                fields: row.get_ref(2)?.as_str_or_null()?.map(Arc::from),
            })
        })?
        .collect::<Result<_>>()?;
    let sql = format!(
        "SELECT {INTENT_COLUMNS} FROM rarray(?1) r CROSS JOIN intent i
         ON i.link = r.value AND i.state < 4"
    );
    found.intents =
        conn.prepare_cached(&sql)?.query_map([ids.clone()], intent)?.collect::<Result<_>>()?;
    found.intents.sort_unstable_by_key(|intent| intent.id);
    let sql =
        "SELECT DISTINCT t.shard, t.fields FROM rarray(?1) r CROSS JOIN link l ON l.id = r.value
               CROSS JOIN shard_stamp t ON t.shard = l.shard ORDER BY t.shard";
    found.stamps = conn
        .prepare_cached(sql)?
        .query_map([ids], |row| Ok((ShardId(row.get(0)?), Arc::from(row.get_ref(1)?.as_str()?))))?
        .collect::<Result<_>>()?;
    found.next_intent = conn
        .prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM intent")?
        .query_row([], |row| row.get(0))?;
    Ok(())
}

/// Intents that pass the filter, by row number.
pub(super) fn intents(conn: &Connection, filter: &IntentFilter) -> Result<Vec<IntentRow>> {
    let of = match (filter.execution, filter.entity) {
        (Some(_), _) => "i.execution = ?1",
        (None, Some(_)) if filter.states.iter().all(|&state| state_number(state) < 4) => {
            "i.entity = ?1 AND i.state < 4"
        }
        (None, Some(_)) => "i.entity = ?1",
        (None, None) => "?1 IS NULL",
    };
    let of_number = filter.execution.map(|id| id.0).or(filter.entity.map(|id| id.0));
    let states: Vec<String> =
        filter.states.iter().map(|&state| state_number(state).to_string()).collect();
    let states = if states.is_empty() {
        String::new()
    } else {
        format!("AND i.state IN ({})", states.join(","))
    };
    let sql = format!(
        "SELECT {INTENT_COLUMNS} FROM intent i WHERE {of} {states} AND i.id > ?2 ORDER BY i.id LIMIT ?3"
    );
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    conn.prepare_cached(&sql)?
        .query_map(params![of_number, filter.after.0, limit], intent)?
        .collect()
}

/// Conflicts that pass the filter, newest first.
pub(super) fn conflicts(conn: &Connection, filter: &ConflictFilter) -> Result<Vec<ConflictRow>> {
    let sql = "SELECT id, link, field, status, story FROM conflict
               WHERE (?1 IS NULL OR id = ?1) AND (?2 OR status = 'open') ORDER BY id DESC LIMIT ?3";
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    conn.prepare_cached(sql)?
        .query_map(params![filter.id, filter.with_closed, limit], conflict)?
        .collect()
}

/// What was last committed of how far an entity is in being given the shards that were there before.
pub(super) fn swept(conn: &Connection, entity: EntityId) -> Result<Option<String>> {
    conn.prepare_cached("SELECT state FROM swept WHERE entity = ?1")?
        .query_row([entity.0], |row| row.get(0))
        .optional()
}

/// The shards that an execution changed.
pub(super) fn changed_in(conn: &Connection, execution: ExecutionId) -> Result<Vec<ShardId>> {
    let sql =
        "SELECT DISTINCT subject FROM change WHERE execution = ?1 AND kind = 0 ORDER BY subject";
    conn.prepare_cached(sql)?.query_map([execution.0], |row| Ok(ShardId(row.get(0)?)))?.collect()
}

fn intent(row: &Row<'_>) -> Result<IntentRow> {
    Ok(IntentRow {
        id: IntentId(row.get(0)?),
        execution: ExecutionId(row.get(1)?),
        entity: EntityId(row.get(2)?),
        link: LinkId(row.get(3)?),
        shard: ShardId(row.get(4)?),
        kind: match row.get(5)? {
            0 => IntentKind::Create,
            1 => IntentKind::Update,
            2 => IntentKind::Delete,
            other => return Err(Error::IntegralValueOutOfRange(5, other)),
        },
        state: match row.get(6)? {
            0 => IntentState::Planned,
            1 => IntentState::Sent,
            2 => IntentState::Ghost,
            3 => IntentState::Parked,
            4 => IntentState::Rejected,
            5 => IntentState::Done,
            other => return Err(Error::IntegralValueOutOfRange(6, other)),
        },
        body: Arc::from(row.get_ref(7)?.as_str()?),
        attempts: row.get(8)?,
        sent: row.get(9)?,
        problem: row.get(10)?,
    })
}

fn kind_number(kind: IntentKind) -> i64 {
    match kind {
        IntentKind::Create => 0,
        IntentKind::Update => 1,
        IntentKind::Delete => 2,
    }
}

fn state_number(state: IntentState) -> i64 {
    match state {
        IntentState::Planned => 0,
        IntentState::Sent => 1,
        IntentState::Ghost => 2,
        IntentState::Parked => 3,
        IntentState::Rejected => 4,
        IntentState::Done => 5,
    }
}

fn conflict(row: &Row<'_>) -> Result<ConflictRow> {
    let story = row.get_ref(4)?.as_str()?;
    let found: ConflictRow = serde_json::from_str(story)
        .map_err(|error| Error::FromSqlConversionFailure(4, Type::Text, error.into()))?;
    Ok(ConflictRow { id: row.get(0)?, ..found })
}
