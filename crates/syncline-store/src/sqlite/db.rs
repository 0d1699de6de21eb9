//! The connection and the transaction that commits share.

use super::key_log::{self, KeyLog};
use super::memory::Memory;
use super::trouble::trouble;
use super::{Options, schema};
use crate::StoreError;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use rustc_hash::FxHashMap;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use syncline_core::plan::rows::ExecutionId;
use syncline_core::plan::writes::Checkpoint;

/// How long the write lock is left alone between two groups, so that a process that waits for it (polling
/// every millisecond) gets its turn: to cancel, to begin another task.
const YIELD: Duration = Duration::from_millis(3);

/// Of the longest log of match keys, the part that may be left when no execution runs: a mebibyte by default.
const KEYS_LEFT: usize = 8;

/// So many rows are changed before the log is copied beside the run: some 50 MB of it.
const SCATTERED_MAX: usize = 4096;

/// The database as its thread sees it.
pub(super) struct Db {
    pub(super) conn: Connection,
    path: String,
    options: Options,
    /// What the page cache holds.
    cache_pages: usize,
    group: Option<Group>,
    /// Counts the changes of what plans are made from, ours and others'.
    pub(super) epoch: u64,
    /// SQLite's own count of what other connections committed.
    data_version: i64,
    pub(super) running: FxHashMap<ExecutionId, Running>,
    /// While executions run, and nobody else has written since they began.
    pub(super) memory: Option<Memory>,
    /// Rows that were changed since the log was last copied.
    scattered: usize,
    copying: Option<JoinHandle<()>>,
}

/// The open transaction.
struct Group {
    since: Instant,
    /// Whether the last thing that happened was a commit: then nobody is planning on what was read.
    committed: bool,
    rows: Rows,
}

/// Rows that were written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rows {
    /// Behind all others.
    pub(super) new: usize,
    /// Where they stand: about as many pages.
    pub(super) changed: usize,
}

/// An execution that was begun through this store and has not ended.
pub(super) struct Running {
    pub(super) task: String,
    pub(super) token: i64,
    /// Of the last plan in the group; written once, right before the group is committed.
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) cancel: bool,
    pub(super) standing: Standing,
    /// Whether the open group holds a plan of it.
    pub(super) in_group: bool,
}

/// Whether an execution may go on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    Good,
    /// Another worker has its lease.
    Fenced,
    /// Commits of it that had been accepted were lost, for this reason: it can only be ended.
    Broken(String),
}

impl Db {
    pub(super) fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let conn = schema::open(path, &options)?;
        let path = path.display().to_string();
        let data_version = data_version(&conn).map_err(|e| trouble(&path, "open", &e))?;
        let cache_pages =
            schema::fit_cache(&conn, &options).map_err(|e| trouble(&path, "open", &e))?;
        if options.snapshot {
            // The first read of a transaction fixes what all of its reads see.
            conn.execute_batch("BEGIN; SELECT count(*) FROM meta")
                .map_err(|e| trouble(&path, "open", &e))?;
        }
        Ok(Self {
            conn,
            path,
            options,
            cache_pages,
            group: None,
            epoch: 1,
            data_version,
            running: FxHashMap::default(),
            memory: None,
            scattered: 0,
            copying: None,
        })
    }

    /// The file, for people.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn trouble(&self, doing: &'static str, error: &rusqlite::Error) -> StoreError {
        trouble(&self.path, doing, error)
    }

    /// How long the group may stay open if nothing more comes; `None` when there is none.
    pub(super) fn patience(&self) -> Option<Duration> {
        let group = self.group.as_ref()?;
        Some(if group.committed { self.options.idle } else { self.options.group_age })
    }

    /// What is said to an execution that lost commits.
    pub(super) fn broken(&self, problem: &str) -> StoreError {
        let problem = format!("an earlier write failed ({problem})");
        StoreError::Unusable { path: self.path.clone(), doing: "write", problem, transient: false }
    }

    /// Opens the transaction that the coming commits share, unless it is open.
    pub(super) fn open_group(&mut self) -> Result<(), StoreError> {
        if self.group.is_some() {
            return Ok(());
        }
        self.begin_write()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "how long a group waits decides nothing in it"
        )]
        let since = Instant::now();
        self.group = Some(Group { since, committed: false, rows: Rows::default() });
        Ok(())
    }

    /// Begins a group whose commit outlasts a power failure: what it says was sent may be on its way to another
    /// system. The commits of an inbound sync need not: what is lost is read again.
    pub(super) fn begin_lasting(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        self.synchronous("FULL")
    }

    /// Commits that group.
    pub(super) fn end_lasting(&mut self) -> Result<(), StoreError> {
        let settled = self.settle();
        self.synchronous("NORMAL")?;
        settled
    }

    fn synchronous(&self, how: &str) -> Result<(), StoreError> {
        self.conn
            .pragma_update(None, "synchronous", how)
            .map_err(|error| self.trouble("write", &error))
    }

    fn begin_write(&mut self) -> Result<(), StoreError> {
        if self.options.read_only {
            let problem = "it was opened for reading only".to_owned();
            let path = self.path.clone();
            return Err(StoreError::Unusable { path, doing: "write", problem, transient: false });
        }
        let begun = self.conn.execute_batch("BEGIN IMMEDIATE").and_then(|()| self.catch_up());
        begun.map_err(|error| {
            self.roll_back();
            self.trouble("write", &error)
        })
    }

    /// Notices what other connections committed, which they can only do between two groups.
    fn catch_up(&mut self) -> rusqlite::Result<()> {
        let version = data_version(&self.conn)?;
        if version == self.data_version {
            return Ok(());
        }
        self.data_version = version;
        self.epoch += 1;
        // What was known may be wrong; what is learned from here on holds again.
        if self.memory.take().is_some() {
            self.memory = Some(Memory::of_log(&self.conn)?);
        }
        let sql = "SELECT token, cancel FROM lease WHERE task = ?1 AND execution = ?2";
        let mut lease = self.conn.prepare_cached(sql)?;
        for (id, running) in &mut self.running {
            let found: Option<(i64, bool)> = lease
                .query_row(params![running.task, id.0], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match found {
                Some((token, cancel)) if token == running.token => running.cancel = cancel,
                _ => running.standing = Standing::Fenced,
            }
        }
        Ok(())
    }

    /// Notes that a plan of `execution` is in the group.
    pub(super) fn note_commit(
        &mut self,
        execution: ExecutionId,
        checkpoint: Option<Checkpoint>,
        written: Rows,
    ) {
        if let Some(group) = &mut self.group {
            group.committed = true;
            group.rows.new += written.new;
            group.rows.changed += written.changed;
        }
        if let Some(running) = self.running.get_mut(&execution) {
            running.in_group = true;
            if checkpoint.is_some() {
                running.checkpoint = checkpoint;
            }
        }
    }

    /// Notes that somebody plans on what was just read.
    pub(super) fn note_read(&mut self) {
        if let Some(group) = &mut self.group {
            group.committed = false;
        }
    }

    /// Commits the group if it is old enough, or if what it changed could soon fill the page cache: a page that
    /// has to leave it before the commit is written to the log, and written there again when it changes again.
    pub(super) fn settle_if_old(&mut self) -> Result<(), StoreError> {
        let Some(group) = &self.group else { return Ok(()) };
        let is_small = group.rows.changed < self.cache_pages / 2;
        if group.since.elapsed() < self.options.group_age && is_small {
            return Ok(());
        }
        self.settle()?;
        std::thread::sleep(YIELD);
        Ok(())
    }

    /// Commits the group if it is old and nobody plans on it; or if it is so old that whoever does may plan anew.
    pub(super) fn settle_if_overdue(&mut self) -> Result<(), StoreError> {
        let age = self.options.group_age;
        match &self.group {
            Some(group) if group.committed || group.since.elapsed() > age * 4 => {
                self.settle_if_old()
            }
            _ => Ok(()),
        }
    }

    /// Commits the group, if there is one, with where each of its executions stands.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        let Some(group) = &self.group else { return Ok(()) };
        let rows = group.rows;
        let done = self.write_checkpoints().and_then(|()| self.conn.execute_batch("COMMIT"));
        if let Err(error) = done {
            return Err(self.lose_group(&error));
        }
        self.group = None;
        if let Ok(pages) = schema::fit_cache(&self.conn, &self.options) {
            self.cache_pages = pages;
        }
        for running in self.running.values_mut() {
            running.in_group = false;
            running.checkpoint = None;
        }
        self.copy_log_beside(rows);
        Ok(())
    }

    /// Has another thread copy the log into the database where rows are changed here and there: pages that hardly
    /// change again meanwhile, and of which a run would otherwise leave all to its end. Those that are filled row after
    /// row would be copied again and again.
    fn copy_log_beside(&mut self, written: Rows) {
        if written.changed > written.new {
            self.scattered += written.changed;
        }
        let is_copying = self.copying.as_ref().is_some_and(|copying| !copying.is_finished());
        if self.scattered < SCATTERED_MAX || is_copying || self.path == ":memory:" {
            return;
        }
        self.scattered = 0;
        let path = self.path.clone();
        let thread = std::thread::Builder::new().name("syncline-log".to_owned());
        // What cannot be copied now is copied later, at the latest when the database is closed.
        self.copying = thread.spawn(move || drop(copy_log(&path))).ok();
    }

    fn write_checkpoints(&mut self) -> rusqlite::Result<()> {
        for (&id, running) in &self.running {
            let Some(checkpoint) = &running.checkpoint else { continue };
            write_checkpoint(&self.conn, id, checkpoint)?;
            self.conn
                .prepare_cached("UPDATE lease SET heartbeat = ?2 WHERE task = ?1")?
                .execute(params![running.task, checkpoint.at])?;
        }
        Ok(())
    }

    /// Moves the log of match keys into their table if it has grown longer than an execution may let it grow.
    pub(super) fn move_keys_if_many(&mut self) -> Result<(), StoreError> {
        match &self.memory {
            Some(memory) if memory.log().len() > self.options.key_log_max => self.move_keys(),
            _ => Ok(()),
        }
    }

    /// Moves the log of match keys into their table if it is too long to be read at every look at the keys, as is
    /// done when no execution runs.
    pub(super) fn leave_few_keys(&mut self) -> Result<(), StoreError> {
        let few = self.options.key_log_max / KEYS_LEFT;
        match &self.memory {
            Some(memory) if memory.log().len() <= few => Ok(()),
            _ => self.move_keys(),
        }
    }

    /// Moves the log of match keys into their table, as part of the group.
    fn move_keys(&mut self) -> Result<(), StoreError> {
        self.open_group()?;
        let moved = match &self.memory {
            Some(memory) => key_log::move_into_table(&self.conn, memory.log()),
            None => {
                KeyLog::read(&self.conn).and_then(|log| key_log::move_into_table(&self.conn, &log))
            }
        };
        moved.map_err(|error| self.lose_group(&error))?;
        if let Some(memory) = &mut self.memory {
            memory.note_moved();
        }
        Ok(())
    }

    /// Gives up the whole group after a write failed, and every execution with a plan in it: each goes on
    /// from its last durable checkpoint, in a later run. Cheaper than a savepoint for each plan, which
    /// would keep a copy of every page that the plan touches.
    pub(super) fn lose_group(&mut self, error: &rusqlite::Error) -> StoreError {
        self.roll_back();
        self.group = None;
        self.epoch += 1;
        // What cannot be read now is looked up each time.
        self.memory.take_if(|memory| memory.roll_back(&self.conn).is_err());
        let error = self.trouble("write", error);
        for running in self.running.values_mut().filter(|running| running.in_group) {
            running.in_group = false;
            running.checkpoint = None;
            running.standing = Standing::Broken(error.to_string());
        }
        error
    }

    fn roll_back(&self) {
        // After some errors SQLite has rolled back by itself; a rollback that fails leaves nothing either,
        // since nothing was committed.
        if !self.conn.is_autocommit() {
            drop(self.conn.execute_batch("ROLLBACK"));
        }
    }

    /// Does `work` in a transaction of its own, after the group: what it writes is durable when it returns.
    pub(super) fn write_alone<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.settle()?;
        self.begin_write()?;
        let done = work(self).and_then(|out| match self.conn.execute_batch("COMMIT") {
            Ok(()) => Ok(out),
            Err(error) => Err(self.trouble("write", &error)),
        });
        if done.is_err() {
            self.roll_back();
        }
        done
    }

    /// Does `work` on one state of the database, without the write lock unless a group is open.
    pub(super) fn read_together<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let is_open = self.group.is_some() || self.options.snapshot;
        let done = if is_open { work(&self.conn) } else { self.read_alone(work) };
        done.map_err(|error| self.trouble("read", &error))
    }

    fn read_alone<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.conn.execute_batch("BEGIN")?;
        let done = work(&self.conn).and_then(|out| {
            let version = data_version(&self.conn)?;
            Ok((out, version))
        });
        self.conn.execute_batch("COMMIT")?;
        let (out, version) = done?;
        if version != self.data_version && self.running.is_empty() {
            // With executions running, this is left to `catch_up`, which looks at their leases too.
            self.data_version = version;
            self.epoch += 1;
        }
        Ok(out)
    }

    /// Makes the indexes that a first load does without.
    pub(super) fn make_late_indexes(&mut self) -> Result<(), StoreError> {
        let made = schema::make_late_indexes(&self.conn, &self.options);
        made.map_err(|error| self.trouble("write", &error))
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // The last connection that is closed copies what is left, and this one outlives no thread.
        if let Some(copying) = self.copying.take() {
            drop(copying.join());
        }
    }
}

/// Copies of the log what nobody reads there any more.
fn copy_log(path: &str) -> rusqlite::Result<()> {
    let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, access)?;
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Writes where an execution stands.
pub(super) fn write_checkpoint(
    conn: &Connection,
    execution: ExecutionId,
    checkpoint: &Checkpoint,
) -> rusqlite::Result<()> {
    let json = serde_json::to_string(checkpoint)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    conn.prepare_cached("UPDATE execution SET checkpoint = ?2 WHERE id = ?1")?
        .execute(params![execution.0, json])?;
    if !checkpoint.seen.is_empty() {
        conn.prepare_cached("INSERT OR REPLACE INTO seen VALUES (?1, ?2)")?
            .execute(params![execution.0, checkpoint.seen])?;
    }
    Ok(())
}

fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Lets a connection wait for a lock, looking again every millisecond: the holder lets go of it only for
/// a moment at a time.
pub(super) fn wait_when_busy(conn: &mut Connection, limit_ms: u32) -> rusqlite::Result<()> {
    conn.busy_handler(Some(move |tries| {
        std::thread::sleep(Duration::from_millis(1));
        u32::try_from(tries).is_ok_and(|tries| tries < limit_ms)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_copied_where_rows_are_changed_here_and_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let mut db = Db::open(&path, Options::default()).unwrap();
        db.conn.execute_batch("INSERT INTO meta VALUES ('note', 'found in the file')").unwrap();
        let holds = || {
            let bytes = std::fs::read(&path).unwrap();
            bytes.windows(17).any(|part| part == b"found in the file")
        };
        for (new, changed, is_copied) in
            [(0, SCATTERED_MAX - 1, false), (SCATTERED_MAX, SCATTERED_MAX, false), (0, 1, true)]
        {
            db.copy_log_beside(Rows { new, changed });
            assert_eq!(db.copying.is_some(), is_copied, "{new} {changed}");
            db.copying.take().map(JoinHandle::join);
            assert_eq!(holds(), is_copied, "{new} {changed}");
        }
    }
}
