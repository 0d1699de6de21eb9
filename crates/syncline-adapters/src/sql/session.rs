//! What each kind of database gives: sessions that describe tables and run statements.

use super::statement::Dialect;
use super::table::{Column, Table, TableName};
use compact_str::CompactString;
use futures_util::future::BoxFuture;
use std::time::Duration;
use syncline_core::value::{Cell, Value};
use tokio::time::timeout;

/// A value on its way into a statement, in the form that the dialect takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound {
    Null,
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// A whole column of texts.
    Texts(Vec<Option<String>>),
}

/// A row: its cells in the order of the columns that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    /// Why one of the cells, which is absent, could not be read.
    pub(super) problem: Option<String>,
}

impl Row {
    /// Adds the next cell, which is of `column`.
    pub(super) fn push(&mut self, column: &Column, cell: Result<Value, String>) {
        let read = cell.map_err(|problem| format!("column `{}`: {problem}", column.name));
        match read {
            Ok(value) => self.cells.push(Some(value)),
            Err(problem) => {
                self.cells.push(None);
                self.problem.get_or_insert(problem);
            }
        }
    }
}

/// A promised answer of a database.
pub(super) type Answer<'a, T> = BoxFuture<'a, Result<T, Fault>>;

/// Why a statement did not do what it should.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// In the database's words.
    pub(super) problem: String,
    /// The column that it minds, where it says so.
    pub(super) column: Option<CompactString>,
}

/// What a fault means for what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The database will not do this, now or later: rights, names, a wrong password.
    Refused,
    /// The database will not have a row: a constraint, a value out of range.
    Rejected,
    /// A row with such a key is there.
    Taken,
    /// The transaction was surely undone, and may be tried again: a deadlock, a time-out, a full server.
    Aborted,
    /// The connection broke: nobody knows what was done of the last statement.
    Lost,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, problem: impl Into<String>) -> Self {
        Self { kind, problem: problem.into(), column: None }
    }
}

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) statement: Duration,
}

impl Patience {
    /// How long a statement that was given up can still take effect, in milliseconds.
    pub(super) fn lands_within_ms(self) -> u64 {
        u64::try_from(self.statement.as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for a connection.
    pub(super) async fn connected<T>(
        self,
        connecting: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let late = |_| unanswered("connection", self.connect);
        timeout(self.connect, connecting).await.map_err(late)?
    }

    /// Waits for the answer to a statement. The server stops one that takes too long; where it does not even answer,
    /// we do.
    pub(super) async fn answered<T>(self, asking: impl Future<Output = T>) -> Result<T, Fault> {
        let limit = self.statement + Duration::from_secs(5);
        timeout(limit, asking).await.map_err(|_| unanswered("answer", limit))
    }
}

fn unanswered(what: &str, limit: Duration) -> Fault {
    Fault::new(FaultKind::Lost, format!("no {what} within {} s", limit.as_secs()))
}

/// A database that sessions can be opened with. Each of the three drivers has one.
pub(super) trait Database: Send + Sync {
    fn dialect(&self) -> Dialect;

    /// How long a statement that was given up can still take effect, in milliseconds.
    fn lands_within_ms(&self) -> u64;

    /// Opens a session; one that does not write cannot write.
    fn connect(&self, writes: bool) -> Answer<'_, Box<dyn Session>>;
}

/// One connection, which runs one statement after the other.
pub(super) trait Session: Send {
    /// Describes a table.
    fn table<'a>(&'a mut self, name: &'a TableName) -> Answer<'a, Table>;

    /// Runs a query whose result has the columns `columns`.
    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        bound: Vec<Bound>,
        columns: &'a [Column],
    ) -> Answer<'a, Vec<Row>>;

    /// Runs a statement; returns how many rows it met.
    fn execute<'a>(&'a mut self, sql: &'a str, bound: Vec<Bound>) -> Answer<'a, u64>;

    /// The key that the database made for the row that was inserted last.
    fn last_key(&self) -> Option<i64>;
}
