//! Notices that wait.

use super::db::Db;
use super::read::array;
use crate::StoreError;
use crate::notice::{Notice, NoticeRow};
use compact_str::CompactString;
use rusqlite::{Connection, params};

impl Db {
    /// Keeps notices so that a power failure does not lose them: who sent them is told that they came.
    pub(super) fn note(&mut self, notices: &[Notice]) -> Result<(), StoreError> {
        self.begin_lasting()?;
        let written = self.write_alone(|db| {
            insert(&db.conn, notices).map_err(|error| db.trouble("write", &error))
        });
        self.end_lasting()?;
        written
    }

    pub(super) fn heeded(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        self.write_alone(|db| {
            let sql = "DELETE FROM notice WHERE id IN (SELECT value FROM rarray(?1))";
            let done = db.conn.execute(sql, [array(ids.iter().copied())]);
            done.map(drop).map_err(|error| db.trouble("write", &error))
        })
    }
}

fn insert(conn: &Connection, notices: &[Notice]) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO notice (task, external_id) VALUES (?1, ?2)";
    let mut insert = conn.prepare_cached(sql)?;
    for Notice { task, external_id } in notices {
        insert.execute(params![task, external_id.as_deref().unwrap_or_default()])?;
    }
    Ok(())
}

pub(super) fn waiting(
    conn: &Connection,
    task: &str,
    limit: usize,
) -> rusqlite::Result<Vec<NoticeRow>> {
    let sql = "SELECT id, external_id FROM notice WHERE task = ?1 ORDER BY id LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![task, limit], |row| {
        let external_id: String = row.get(1)?;
        let external_id = (!external_id.is_empty()).then(|| CompactString::from(external_id));
        Ok(NoticeRow { id: row.get(0)?, notice: Notice { task: task.to_owned(), external_id } })
    })?;
    rows.collect()
}
