//! Erasing: rows go, and then every page of the file is written anew, since what a row once held may be left in the gaps
//! of pages, and in the write-ahead log.

use super::db::Db;
use super::key_log::{self, KeyLog};
use super::read::array;
use super::{Answer, SqliteStore};
use crate::StoreError;
use crate::erasure::{Erased, Erasure, Mark};
use rusqlite::{Connection, OptionalExtension, Result, params};
use syncline_core::plan::rows::{LinkId, ShardId};

/// Where the key of the marks stands in `meta`.
const KEY: &str = "erasure_key";

impl SqliteStore {
    /// A shard, and all that were merged into it.
    pub fn family(&self, shard: ShardId) -> Answer<'_, Vec<ShardId>> {
        self.query(move |conn| {
            let sql = "WITH RECURSIVE family (id) AS
                (VALUES (?1) UNION SELECT s.id FROM shard s JOIN family f ON s.merged_into = f.id)
                SELECT id FROM family ORDER BY id";
            conn.prepare(sql)?.query_map([shard.0], |row| row.get(0).map(ShardId))?.collect()
        })
    }

    /// Takes out all rows about some shards and their records, with shards that were derived of these records alone. The
    /// shards' ids stay, as those of deleted ones. What looked something up there is left to be settled.
    ///
    /// The text may still be in the file: see [`SqliteStore::wipe`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] while a task runs, or one waits to be taken up; [`StoreError::Unusable`] while nobody knows what
    /// became of a write about the shards.
    pub fn erase(&self, erasure: Erasure) -> Answer<'_, ()> {
        self.ask(move |db| {
            db.write_alone(|db| {
                refuse_while_running(db)?;
                let unknown = sent(&db.conn, &erasure);
                if unknown.map_err(|error| db.trouble("read", &error))? > 0 {
                    return Err(
                        db.refusal("a write about it was sent, and nobody knows what became of it")
                    );
                }
                delete(&db.conn, &erasure).map_err(|error| db.trouble("write", &error))
            })?;
            db.epoch += 1;
            Ok(())
        })
    }

    /// Forgets what records that looked something up held before, and writes every page of the file anew, so that nothing of
    /// what was deleted is left in it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] while another program reads the store; what was to be wiped may be in the file then.
    pub fn wipe(&self, dependents: Vec<LinkId>) -> Answer<'_, ()> {
        self.ask(move |db| {
            db.write_alone(|db| {
                forget(&db.conn, &dependents).map_err(|error| db.trouble("write", &error))
            })?;
            let emptied = db.conn.execute_batch("VACUUM").and_then(|()| {
                let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
                db.conn.query_row(sql, [], |row| row.get::<_, bool>(0))
            });
            match emptied {
                Ok(false) => Ok(()),
                Ok(true) => Err(db.refusal(
                    "another program reads the store; the text is in its log until that ends",
                )),
                Err(error) => Err(db.trouble("write", &error)),
            }
        })
    }
}

impl Db {
    fn refusal(&self, problem: &str) -> StoreError {
        let (path, problem) = (self.path().to_owned(), problem.to_owned());
        StoreError::Unusable { path, doing: "erase from", problem, transient: false }
    }
}

/// The records that were erased.
pub(super) fn erased(conn: &Connection) -> Result<Erased> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    let key: Option<String> = conn.query_row(sql, [KEY], |row| row.get(0)).optional()?;
    let key = key.and_then(|digits| mark(&digits));
    let mut statement = conn.prepare("SELECT mark FROM erased")?;
    let marks = statement.query_map([], |row| row.get::<_, Mark>(0))?.collect::<Result<_>>()?;
    Ok(Erased { key, marks })
}

fn mark(digits: &str) -> Option<Mark> {
    let mut bytes = Mark::default();
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn refuse_while_running(db: &Db) -> std::result::Result<(), StoreError> {
    // Those in brackets are no tasks: what a person decided has nothing to take up.
    let sql = "SELECT task, worker FROM lease WHERE task NOT LIKE '(%' ORDER BY task LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    match db.conn.query_row(sql, [], row).optional() {
        Ok(None) => Ok(()),
        Ok(Some((task, holder))) => Err(StoreError::Busy { task, holder }),
        Err(error) => Err(db.trouble("read", &error)),
    }
}

/// How many writes about it were sent of which nobody knows the end. A creation whose record was met is none of them.
fn sent(conn: &Connection, erasure: &Erasure) -> Result<i64> {
    let sql = "SELECT count(*) FROM intent i
        WHERE (i.shard IN (SELECT value FROM rarray(?1)) OR i.link IN (SELECT value FROM rarray(?2)))
            AND (i.state = 1 OR (i.state = 3 AND NOT EXISTS (
                SELECT 1 FROM link l WHERE l.shard = i.shard AND l.entity = i.entity AND NOT l.deleted)))";
    let shards = array(erasure.shards.iter().map(|shard| shard.0));
    let links = array(erasure.links.iter().map(|link| link.0));
    conn.query_row(sql, params![shards, links], |row| row.get(0))
}

/// Notes what goes: the links and shards that were named, and records that were derived of these links alone, in shards
/// that hold nothing else.
const NOTE_DERIVED: &str = "
    INSERT OR IGNORE INTO gone_link
        WITH made AS (
            SELECT DISTINCT d.id, d.shard FROM gone_link g JOIN link l ON l.id = g.id
            JOIN entity own ON own.id = l.entity
            JOIN edge e ON e.link = l.id
            JOIN entity of ON of.id = e.entity AND of.connection = own.connection
                AND substr(of.entity, 1, length(own.entity) + 1) = own.entity || '#'
            JOIN link d ON d.entity = e.entity AND d.external_id = e.target
            WHERE NOT EXISTS (SELECT 1 FROM edge o WHERE o.entity = e.entity AND o.target = e.target
                AND o.link NOT IN (SELECT id FROM gone_link)))
        SELECT id FROM made m WHERE NOT EXISTS (
            SELECT 1 FROM link o WHERE o.shard = m.shard AND o.id NOT IN (SELECT id FROM made));
    INSERT OR IGNORE INTO gone_shard SELECT shard FROM link WHERE id IN (SELECT id FROM gone_link);
    INSERT INTO gone_id SELECT DISTINCT external_id FROM link WHERE id IN (SELECT id FROM gone_link);";

/// Deletes what was noted, each statement before what it needs is gone. Where a read stands, and why one failed, may hold an
/// external id: one that is no mere number.
const DELETE: &str = "
    DELETE FROM dead_letter WHERE phase = 'writing' AND (external_id IN (SELECT id FROM gone_id) OR line IN (
        SELECT id FROM intent
        WHERE link IN (SELECT id FROM gone_link) OR shard IN (SELECT id FROM gone_shard)));
    DELETE FROM intent WHERE link IN (SELECT id FROM gone_link) OR shard IN (SELECT id FROM gone_shard);
    DELETE FROM conflict WHERE link IN (SELECT id FROM gone_link);
    DELETE FROM base WHERE link IN (SELECT id FROM gone_link);
    DELETE FROM stamp WHERE link IN (SELECT id FROM gone_link);
    DELETE FROM shard_stamp WHERE shard IN (SELECT id FROM gone_shard);
    DELETE FROM unsettled WHERE link IN (SELECT id FROM gone_link);
    DELETE FROM change WHERE (kind = 0 AND subject IN (SELECT id FROM gone_shard))
        OR (kind = 1 AND subject IN (SELECT id FROM gone_link));
    DELETE FROM decision WHERE a IN (SELECT id FROM gone_link) OR b IN (SELECT id FROM gone_link);
    DELETE FROM merge_log WHERE survivor IN (SELECT id FROM gone_shard) OR loser IN (SELECT id FROM gone_shard)
        OR a IN (SELECT id FROM gone_link) OR b IN (SELECT id FROM gone_link);
    DELETE FROM merge_record
        WHERE link IN (SELECT id FROM gone_link) OR shard IN (SELECT id FROM gone_shard);
    DELETE FROM match_edge WHERE a IN (SELECT id FROM gone_link) OR b IN (SELECT id FROM gone_link);
    DELETE FROM match_key WHERE link IN (SELECT id FROM gone_link);
    UPDATE link SET contributor = '' WHERE contributor IN (SELECT id FROM gone_id) AND id IN (
        SELECT d.id FROM gone_link g JOIN edge e ON e.link = g.id
        JOIN link d ON d.entity = e.entity AND d.external_id = e.target);
    UPDATE stamp SET contributor = '' WHERE contributor IN (SELECT id FROM gone_id) AND link IN (
        SELECT d.id FROM gone_link g JOIN edge e ON e.link = g.id
        JOIN link d ON d.entity = e.entity AND d.external_id = e.target);
    DELETE FROM edge WHERE link IN (SELECT id FROM gone_link);
    DELETE FROM link WHERE id IN (SELECT id FROM gone_link);
    DELETE FROM gone_id WHERE id NOT GLOB '*[^0-9]*';
    DELETE FROM notice WHERE external_id IN (SELECT id FROM gone_id);
    UPDATE sync_task SET cursor = NULL
        WHERE EXISTS (SELECT 1 FROM gone_id g WHERE instr(cursor, g.id) > 0);
    UPDATE execution SET checkpoint = json_set(checkpoint, '$.cursor', NULL)
        WHERE EXISTS (SELECT 1 FROM gone_id g WHERE instr(checkpoint, g.id) > 0);
    UPDATE execution SET error = 'erased' WHERE EXISTS (SELECT 1 FROM gone_id g WHERE instr(error, g.id) > 0);";

fn delete(conn: &Connection, erasure: &Erasure) -> Result<()> {
    key_log::move_into_table(conn, &KeyLog::read(conn)?)?;
    conn.execute_batch(
        "CREATE TEMP TABLE gone_link (id INTEGER PRIMARY KEY);
        CREATE TEMP TABLE gone_shard (id INTEGER PRIMARY KEY);
        CREATE TEMP TABLE gone_id (id TEXT PRIMARY KEY);",
    )?;
    let sql = "INSERT INTO gone_link SELECT value FROM rarray(?1)";
    conn.execute(sql, [array(erasure.links.iter().map(|link| link.0))])?;
    let sql = "INSERT INTO gone_shard SELECT value FROM rarray(?1)";
    conn.execute(sql, [array(erasure.shards.iter().map(|shard| shard.0))])?;
    conn.execute_batch(NOTE_DERIVED)?;
    for (task, external_id) in &erasure.letters {
        let sql = "DELETE FROM dead_letter WHERE task = ?1 AND external_id = ?2";
        conn.execute(sql, [task, external_id])?;
        let sql = "DELETE FROM notice WHERE task = ?1 AND external_id = ?2";
        conn.execute(sql, [task, external_id])?;
    }
    conn.execute_batch(DELETE)?;
    let sql = "UPDATE shard SET data = '{}', said_by = NULL, version = version + 1,
            deleted_at = coalesce(deleted_at, ?1)
        WHERE id IN (SELECT id FROM gone_shard)";
    conn.execute(sql, [erasure.now])?;
    let sql = "INSERT OR IGNORE INTO unsettled (link) SELECT value FROM rarray(?1)";
    conn.execute(sql, [array(erasure.dependents.iter().map(|link| link.0))])?;
    for mark in &erasure.marks {
        conn.execute("INSERT OR IGNORE INTO erased VALUES (?1)", [mark])?;
    }
    let key: String = erasure.key.iter().map(|byte| format!("{byte:02x}")).collect();
    conn.execute("INSERT OR IGNORE INTO meta VALUES (?1, ?2)", [KEY, &key])?;
    conn.execute_batch("DROP TABLE gone_link; DROP TABLE gone_shard; DROP TABLE gone_id;")
}

/// What records held before, was written to them and was decided about them.
fn forget(conn: &Connection, links: &[LinkId]) -> Result<()> {
    let links = array(links.iter().map(|link| link.0));
    for sql in [
        "DELETE FROM change WHERE kind = 1 AND subject IN (SELECT value FROM rarray(?1))",
        "DELETE FROM change WHERE kind = 0 AND subject IN (
            SELECT shard FROM link WHERE id IN (SELECT value FROM rarray(?1)))",
        "DELETE FROM intent WHERE state >= 4 AND link IN (SELECT value FROM rarray(?1))",
        "DELETE FROM conflict WHERE status <> 'open' AND link IN (SELECT value FROM rarray(?1))",
    ] {
        conn.execute(sql, [links.clone()])?;
    }
    Ok(())
}
