//! Executions, leases and the statistics of tasks.

use super::db::{Db, Running, Standing, write_checkpoint};
use super::memory::Memory;
use super::rows;
use super::schema;
use crate::execution::{Begin, Begun, ExecutionRow, Finish, TaskStats, Worker};
use crate::lease::INTERRUPTED;
use crate::{Position, StoreError};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use serde::de::DeserializeOwned;
use syncline_core::plan::rows::ExecutionId;
use syncline_core::plan::writes::{Checkpoint, Counters};
use syncline_core::record::Cursor;
use uuid::Uuid;

/// A value kept as JSON text.
struct Json<T>(T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let parsed = serde_json::from_str(value.as_str()?);
        parsed.map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

struct Lease {
    execution: ExecutionId,
    token: i64,
    worker: Worker,
    since: i64,
    heartbeat: i64,
}

impl Db {
    pub(super) fn begin(&mut self, begin: &Begin) -> std::result::Result<Begun, StoreError> {
        let (begun, token) = self.write_alone(|db| {
            let lease = find_lease(&db.conn, &begin.task).map_err(|e| db.trouble("read", &e))?;
            if let Some(lease) = &lease
                && lease.worker.is_alive(lease.heartbeat, begin.now)
            {
                let holder = lease.worker.describe(lease.since, begin.now);
                return Err(StoreError::Busy { task: begin.task.clone(), holder });
            }
            take_lease(&db.conn, begin, lease).map_err(|error| db.trouble("write", &error))
        })?;
        let running = Running {
            task: begin.task.clone(),
            token,
            checkpoint: None,
            cancel: false,
            standing: Standing::Good,
            in_group: false,
        };
        if self.running.is_empty() {
            // What cannot be read now is looked up each time.
            self.memory = Memory::begin(&self.conn).ok();
        }
        self.running.insert(begun.execution, running);
        Ok(begun)
    }

    pub(super) fn finish(&mut self, mut finish: Finish) -> std::result::Result<(), StoreError> {
        // If this fails, the execution is broken, and ends as such.
        let is_last = self.running.len() == 1;
        let moved = if is_last && self.running.contains_key(&finish.execution) {
            self.leave_few_keys()
        } else {
            Ok(())
        };
        let mut done = moved.and_then(|()| self.settle());
        let Some(running) = self.running.get(&finish.execution) else {
            return Err(StoreError::Fenced);
        };
        let is_good = running.standing == Standing::Good;
        if let Standing::Broken(problem) = &running.standing {
            if done.is_ok() && matches!(finish.status.as_str(), "success" | "partial") {
                done = Err(self.broken(problem));
            }
            finish.status = "failed".to_owned();
            finish.error.get_or_insert_with(|| problem.clone());
            finish.cursor = None;
        }
        if is_good {
            // Under the lease still. Without an index everything is as right, only slower.
            drop(self.make_late_indexes());
            drop(self.conn.execute_batch(schema::NO_KEYS_BY_LINK));
        }
        let written = self.write_alone(|db| {
            match &db.running[&finish.execution].standing {
                Standing::Fenced => return Err(StoreError::Fenced),
                Standing::Good | Standing::Broken(_) => {}
            }
            end(&db.conn, &finish, is_good).map_err(|error| db.trouble("write", &error))
        });
        if matches!(written, Ok(()) | Err(StoreError::Fenced)) {
            self.running.remove(&finish.execution);
        }
        if self.running.is_empty() {
            self.memory = None;
        }
        done.and(written)
    }

    pub(super) fn cancel(&mut self, task: &str) -> std::result::Result<bool, StoreError> {
        let found = self.write_alone(|db| {
            db.conn
                .execute("UPDATE lease SET cancel = 1 WHERE task = ?1", [task])
                .map_err(|error| db.trouble("write", &error))
        })?;
        for running in self.running.values_mut().filter(|running| running.task == task) {
            running.cancel = true;
        }
        Ok(found > 0)
    }
}

/// Whether the lease of a task bears the request to stop.
pub(super) fn cancel_requested(conn: &Connection, task: &str) -> Result<bool> {
    let mut statement = conn.prepare_cached("SELECT cancel FROM lease WHERE task = ?1")?;
    Ok(statement.query_row([task], |row| row.get(0)).optional()?.unwrap_or(false))
}

fn find_lease(conn: &Connection, task: &str) -> Result<Option<Lease>> {
    let sql = "SELECT execution, token, worker, since, heartbeat FROM lease WHERE task = ?1";
    conn.query_row(sql, [task], |row| {
        let Json(worker) = row.get(2)?;
        Ok(Lease {
            execution: ExecutionId(row.get(0)?),
            token: row.get(1)?,
            worker,
            since: row.get(3)?,
            heartbeat: row.get(4)?,
        })
    })
    .optional()
}

/// Gives the lease to the worker of `begin`; `dead` is the one that a dead worker left.
fn take_lease(conn: &Connection, begin: &Begin, dead: Option<Lease>) -> Result<(Begun, i64)> {
    conn.execute("INSERT OR IGNORE INTO sync_task (task) VALUES (?1)", [&begin.task])?;
    let mut begun = None;
    let mut token = 1;
    if let Some(dead) = dead {
        begun = take_up(conn, begin, dead.execution)?;
        token = dead.token + 1;
        if begun.is_none() {
            end_interrupted(conn, dead.execution, begin.now)?;
        }
    }
    let mut begun = match begun {
        Some(begun) => begun,
        None => insert_execution(conn, begin)?,
    };
    (begun.cursor, begun.high_water) = position(conn, &begin.task)?;
    let sql = "INSERT OR REPLACE INTO lease (task, execution, token, worker, since, heartbeat)
               VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
    let worker = json(&begin.worker)?;
    conn.execute(sql, params![begin.task, begun.execution.0, token, worker, begin.now])?;
    Ok((begun, token))
}

fn take_up(conn: &Connection, begin: &Begin, execution: ExecutionId) -> Result<Option<Begun>> {
    let sql = "SELECT uuid, started FROM execution WHERE id = ?1 AND fingerprint = ?2";
    let found = conn
        .query_row(sql, params![execution.0, begin.fingerprint], |row| {
            Ok((rows::number(row, 0)?, row.get(1)?))
        })
        .optional()?;
    let Some((uuid, started)) = found else { return Ok(None) };
    let resumed = Some(checkpoint(conn, execution)?);
    Ok(Some(Begun { execution, uuid, started, resumed, ..Begun::default() }))
}

/// The last durable checkpoint of an execution, with what it has seen.
fn checkpoint(conn: &Connection, execution: ExecutionId) -> Result<Checkpoint> {
    let sql =
        "SELECT checkpoint, bits FROM execution LEFT JOIN seen ON execution = id WHERE id = ?1";
    conn.query_row(sql, [execution.0], |row| {
        let kept: Option<Json<Checkpoint>> = row.get(0)?;
        let mut checkpoint = kept.map(|Json(checkpoint)| checkpoint).unwrap_or_default();
        checkpoint.seen = row.get::<_, Option<Vec<u8>>>(1)?.unwrap_or_default();
        Ok(checkpoint)
    })
}

fn insert_execution(conn: &Connection, begin: &Begin) -> Result<Begun> {
    let sql = "INSERT INTO execution (uuid, task, trigger, fingerprint, status, started)
               VALUES (?1, ?2, ?3, ?4, 'running', ?5)";
    let uuid = &begin.uuid.to_be_bytes()[..];
    let (task, trigger) = (&begin.task, &begin.trigger);
    conn.execute(sql, params![uuid, task, trigger, begin.fingerprint, begin.now])?;
    let execution = ExecutionId(conn.last_insert_rowid());
    Ok(Begun { execution, uuid: begin.uuid, started: begin.now, ..Begun::default() })
}

fn end_interrupted(conn: &Connection, execution: ExecutionId, now: i64) -> Result<()> {
    let finish = Finish {
        execution,
        status: "failed".to_owned(),
        error: Some(INTERRUPTED.to_owned()),
        now,
        ..Finish::default()
    };
    end(conn, &finish, false)
}

/// Ends an execution. Where `has_checkpoint` is false, the last durable checkpoint stands instead of the
/// one in `finish`, which speaks of commits that were lost.
fn end(conn: &Connection, finish: &Finish, has_checkpoint: bool) -> Result<()> {
    let id = finish.execution;
    let kept;
    let last = if has_checkpoint {
        write_checkpoint(conn, id, &Checkpoint { seen: Vec::new(), ..finish.checkpoint.clone() })?;
        &finish.checkpoint
    } else {
        kept = checkpoint(conn, id)?;
        &kept
    };
    let sql = "UPDATE execution SET status = ?2, error = ?3, finished = ?4 WHERE id = ?1";
    conn.execute(sql, params![id.0, finish.status, finish.error, finish.now])?;
    let task: String =
        conn.query_row("SELECT task FROM execution WHERE id = ?1", [id.0], |row| row.get(0))?;
    keep_position(conn, &task, finish, last)?;
    add_to_stats(conn, &task, finish, &last.counters)?;
    conn.execute("DELETE FROM seen WHERE execution = ?1", [id.0])?;
    conn.execute("DELETE FROM lease WHERE task = ?1 AND execution = ?2", params![task, id.0])?;
    Ok(())
}

/// The high water moves with the cursor only: after half a read, records below it may be missing.
fn keep_position(conn: &Connection, task: &str, finish: &Finish, last: &Checkpoint) -> Result<()> {
    if let Some(cursor) = &finish.cursor {
        let sql = "UPDATE sync_task SET cursor = ?2 WHERE task = ?1";
        conn.execute(sql, params![task, json(cursor)?])?;
    }
    if finish.moves_high_water() && last.high_water.is_some() {
        let sql = "UPDATE sync_task SET high_water = max(coalesce(high_water, ?2), ?2)
                   WHERE task = ?1";
        conn.execute(sql, params![task, last.high_water])?;
    }
    Ok(())
}

fn add_to_stats(conn: &Connection, task: &str, finish: &Finish, counters: &Counters) -> Result<()> {
    let sql = "SELECT counters FROM sync_task WHERE task = ?1";
    let Json(mut sum): Json<Counters> = conn.query_row(sql, [task], |row| row.get(0))?;
    sum.add(counters);
    let sql = "UPDATE sync_task SET runs = runs + 1, successes = successes + (?2 = 'success'),
                 failures = failures + (?2 = 'failed'), counters = ?3, last_finished = ?4,
                 last_status = ?2
               WHERE task = ?1";
    conn.execute(sql, params![task, finish.status, json(&sum)?, finish.now])?;
    Ok(())
}

pub(super) fn position(conn: &Connection, task: &str) -> Result<Position> {
    let sql = "SELECT cursor, high_water FROM sync_task WHERE task = ?1";
    let found = conn
        .query_row(sql, [task], |row| {
            let cursor: Option<Json<Cursor>> = row.get(0)?;
            Ok((cursor.map(|Json(cursor)| cursor), row.get(1)?))
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

pub(super) fn executions(
    conn: &Connection,
    task: Option<&str>,
    limit: usize,
) -> Result<Vec<ExecutionRow>> {
    let sql = "SELECT e.id, e.uuid, e.task, e.trigger, e.status, e.checkpoint, e.error, e.started,
                 e.finished, l.worker, l.heartbeat, unixepoch('subsec') * 1e6
               FROM execution e LEFT JOIN lease l ON l.execution = e.id AND l.task = e.task
               WHERE ?1 IS NULL OR e.task = ?1 ORDER BY e.id DESC LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached(sql)?.query_map(params![task, limit], execution)?.collect()
}

fn execution(row: &Row<'_>) -> Result<ExecutionRow> {
    let kept: Option<Json<Checkpoint>> = row.get(5)?;
    let worker: Option<Json<Worker>> = row.get(9)?;
    let heartbeat: Option<i64> = row.get(10)?;
    let now: f64 = row.get(11)?;
    Ok(ExecutionRow {
        id: ExecutionId(row.get(0)?),
        uuid: Uuid::from_u128(rows::number(row, 1)?).to_string(),
        task: row.get(2)?,
        trigger: row.get(3)?,
        status: row.get(4)?,
        checkpoint: kept.map(|Json(checkpoint)| checkpoint).unwrap_or_default(),
        error: row.get(6)?,
        started: row.get(7)?,
        finished: row.get(8)?,
        alive: worker
            .is_some_and(|Json(worker)| worker.is_alive(heartbeat.unwrap_or_default(), now as i64)),
    })
}

pub(super) fn task_stats(conn: &Connection) -> Result<Vec<TaskStats>> {
    let sql = "SELECT task, runs, successes, failures, counters, last_finished, last_status
               FROM sync_task WHERE runs > 0 ORDER BY task";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        let Json(counters) = row.get(4)?;
        Ok(TaskStats {
            task: row.get(0)?,
            runs: row.get::<_, i64>(1)?.cast_unsigned(),
            successes: row.get::<_, i64>(2)?.cast_unsigned(),
            failures: row.get::<_, i64>(3)?.cast_unsigned(),
            counters,
            last_finished: row.get(5)?,
            last_status: row.get(6)?,
        })
    })?;
    rows.collect()
}
