//! SQLite, by rusqlite. Its work blocks, so it is done on threads of its own.

use super::session::{Answer, Bound, Database, Fault, FaultKind, Row, Session};
use super::statement::Dialect;
use super::table::{Column, Kind, Table, TableName, no_table};
use super::value;
use compact_str::CompactString;
use futures_util::FutureExt;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params_from_iter};
use std::path::PathBuf;
use std::time::Duration;
use syncline_core::value::Value;

/// A database file.
pub(super) struct SqliteFile {
    pub(super) path: PathBuf,
    pub(super) lock_timeout: Duration,
}

impl Database for SqliteFile {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn lands_within_ms(&self) -> u64 {
        0
    }

    fn connect(&self, writes: bool) -> Answer<'_, Box<dyn Session>> {
        let (path, lock_timeout) = (self.path.clone(), self.lock_timeout);
        blocking(move || {
            let access = if writes {
                OpenFlags::SQLITE_OPEN_READ_WRITE
            } else {
                OpenFlags::SQLITE_OPEN_READ_ONLY
            };
            let open = || {
                let connection =
                    Connection::open_with_flags(&path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
                connection.busy_timeout(lock_timeout)?;
                connection.pragma_update(None, "foreign_keys", true)?;
                // Fails where the file is no database.
                connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
                Ok(connection)
            };
            let connection = open().map_err(|error| {
                let fault = fault(&error);
                Fault { problem: format!("`{}`: {}", path.display(), fault.problem), ..fault }
            })?;
            Ok(Box::new(SqliteSession { connection: Some(connection) }) as Box<dyn Session>)
        })
    }
}

struct SqliteSession {
    /// Away while a statement runs.
    connection: Option<Connection>,
}

impl SqliteSession {
    fn run<'a, T: Send + 'static>(
        &'a mut self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'a, T> {
        async move {
            let lost = || Fault::new(FaultKind::Lost, "an earlier statement broke off");
            let connection = self.connection.take().ok_or_else(lost)?;
            let (connection, outcome) = blocking(move || {
                let outcome = work(&connection);
                Ok((connection, outcome))
            })
            .await?;
            self.connection = Some(connection);
            outcome
        }
        .boxed()
    }
}

impl Session for SqliteSession {
    fn table<'a>(&'a mut self, name: &'a TableName) -> Answer<'a, Table> {
        let name = name.clone();
        self.run(move |connection| describe(connection, &name))
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        bound: Vec<Bound>,
        columns: &'a [Column],
    ) -> Answer<'a, Vec<Row>> {
        let (sql, columns) = (sql.to_owned(), columns.to_vec());
        self.run(move |connection| {
            let query = || {
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query(params_from_iter(bound))?;
                let mut read = Vec::new();
                while let Some(row) = rows.next()? {
                    let mut cells = Row::default();
                    for (index, column) in columns.iter().enumerate() {
                        cells.push(column, decode(&column.kind, row.get_ref(index)?));
                    }
                    read.push(cells);
                }
                Ok(read)
            };
            query().map_err(|error| fault(&error))
        })
    }

    fn execute<'a>(&'a mut self, sql: &'a str, bound: Vec<Bound>) -> Answer<'a, u64> {
        let sql = sql.to_owned();
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(&sql).map_err(|error| fault(&error))?;
            let count =
                statement.execute(params_from_iter(bound)).map_err(|error| fault(&error))?;
            Ok(count as u64)
        })
    }

    fn last_key(&self) -> Option<i64> {
        self.connection.as_ref().map(Connection::last_insert_rowid)
    }
}

impl ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null | Self::Texts(_) => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Unsigned(number) => ToSqlOutput::from(number.to_string()),
            Self::Float(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn decode(kind: &Kind, cell: ValueRef<'_>) -> Result<Value, String> {
    Ok(match (cell, kind) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(flag @ (0 | 1)), Kind::Bool) => Value::Bool(flag == 1),
        (ValueRef::Integer(number), _) => Value::Int(number),
        (ValueRef::Real(number), _) => value::float(number),
        (ValueRef::Text(text), kind) => {
            let text = std::str::from_utf8(text).map_err(|_| "it is no UTF-8".to_owned())?;
            if *kind == Kind::Json { value::json(text) } else { Value::text(text) }
        }
        (ValueRef::Blob(bytes), _) => value::base64(bytes),
    })
}

/// See <https://www.sqlite.org/pragma.html#pragma_table_xinfo>: `hidden` is 2 or 3 for generated columns.
fn describe(connection: &Connection, wanted: &TableName) -> Result<Table, Fault> {
    let schema = wanted.schema.clone().unwrap_or_else(|| "main".to_owned());
    let read = || -> rusqlite::Result<Table> {
        let sql = "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1, ?2)";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([&wanted.name, &schema])?;
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
            let (not_null, place, hidden): (bool, i64, i64) =
                (row.get(2)?, row.get(3)?, row.get(4)?);
            let name = CompactString::from(name);
            if place > 0 {
                key.push((place, name.clone(), declared.eq_ignore_ascii_case("INTEGER")));
            }
            columns.push(Column {
                name,
                kind: kind_of(&declared),
                sql_type: declared,
                nullable: !not_null,
                generated: hidden > 1,
                ..Column::default()
            });
        }
        key.sort_unstable();
        // A lone INTEGER PRIMARY KEY is the row's number, which SQLite makes, and is never NULL.
        if let [(_, name, true)] = key.as_slice()
            && let Some(column) = columns.iter_mut().find(|column| column.name == *name)
        {
            (column.serial, column.nullable) = (true, false);
        }
        let mut unique: Vec<Vec<CompactString>> = Vec::new();
        if !key.is_empty() {
            unique.push(key.into_iter().map(|(_, name, _)| name).collect());
        }
        let sql = "SELECT name FROM pragma_index_list(?1, ?2) WHERE \"unique\" AND NOT partial";
        let mut statement = connection.prepare(sql)?;
        let indexes =
            statement.query_map([&wanted.name, &schema], |row| row.get::<_, String>(0))?;
        for index in indexes.collect::<Result<Vec<_>, _>>()? {
            let mut statement =
                connection.prepare("SELECT name FROM pragma_index_info(?1, ?2) ORDER BY seqno")?;
            let names = statement.query_map([&index, &schema], |row| {
                Ok(row.get::<_, Option<String>>(0)?.map(CompactString::from))
            })?;
            // An index over an expression has no column.
            let names = names.collect::<Result<Vec<_>, _>>()?;
            unique.extend(names.into_iter().collect::<Option<Vec<_>>>());
        }
        let sql = format!(
            "SELECT type = 'view' FROM {}.sqlite_schema WHERE name = ?1",
            Dialect::Sqlite.quoted(&schema)
        );
        let is_view = connection.query_row(&sql, [&wanted.name], |row| row.get(0));
        let name = wanted.name.clone();
        Ok(Table { schema, name, columns, unique, is_view: is_view.unwrap_or(false) })
    };
    let table = read().map_err(|error| fault(&error))?;
    if table.columns.is_empty() {
        let names = || {
            let sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')";
            let mut statement = connection.prepare(sql)?;
            let names = statement.query_map([], |row| row.get::<_, String>(0))?;
            names.collect::<rusqlite::Result<Vec<_>>>()
        };
        return Err(no_table(wanted, &names().unwrap_or_default()));
    }
    Ok(table)
}

/// By the rules of <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>, and the names that
/// tell more.
fn kind_of(declared: &str) -> Kind {
    let upper = declared.to_ascii_uppercase();
    let has = |names: &[&str]| names.iter().any(|name| upper.contains(name));
    if has(&["BOOL"]) {
        Kind::Bool
    } else if has(&["JSON"]) {
        Kind::Json
    } else if has(&["INT"]) {
        Kind::Int
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        Kind::Text
    } else if upper == "BLOB" {
        Kind::Bytes
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        Kind::Float
    } else {
        Kind::Any
    }
}

fn fault(error: &rusqlite::Error) -> Fault {
    let rusqlite::Error::SqliteFailure(failure, message) = error else {
        return Fault::new(FaultKind::Refused, error.to_string());
    };
    let kind = match (failure.code, failure.extended_code) {
        (ErrorCode::ConstraintViolation, 1555 | 2067 | 2579) => FaultKind::Taken,
        (ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig, _) => {
            FaultKind::Rejected
        }
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull, _) => {
            FaultKind::Aborted
        }
        (ErrorCode::SystemIoFailure, _) => FaultKind::Lost,
        _ => FaultKind::Refused,
    };
    let problem = message.clone().unwrap_or_else(|| failure.to_string());
    // `UNIQUE constraint failed: people.email`
    let named = problem.split_once("constraint failed: ").map(|(_, names)| names);
    let column = named.filter(|names| !names.contains(','));
    let column = column.and_then(|name| name.rsplit_once('.')).map(|(_, name)| name.into());
    Fault { kind, problem, column }
}

fn blocking<'a, T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Answer<'a, T> {
    async move {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(Fault::new(FaultKind::Lost, error.to_string())))
    }
    .boxed()
}
