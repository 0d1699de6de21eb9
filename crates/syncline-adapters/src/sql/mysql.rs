//! MySQL and MariaDB, by mysql_async.

use super::session::{Answer, Bound, Database, Fault, FaultKind, Patience, Row, Session};
use super::statement::Dialect;
use super::table::{Column, Kind, Table, TableName, no_table};
use super::value;
use compact_str::CompactString;
use futures_util::FutureExt;
use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, Opts, Params, SslOpts};
use syncline_core::value::Value;

/// A server.
pub(super) struct MySqlServer {
    /// Without encryption.
    pub(super) plain: Opts,
    /// With encryption, where it may be had.
    pub(super) encrypted: Option<Opts>,
    /// Whether a server that cannot encrypt is refused.
    pub(super) must_encrypt: bool,
    pub(super) patience: Patience,
}

impl Database for MySqlServer {
    fn dialect(&self) -> Dialect {
        Dialect::MySql
    }

    fn lands_within_ms(&self) -> u64 {
        self.patience.lands_within_ms()
    }

    fn connect(&self, writes: bool) -> Answer<'_, Box<dyn Session>> {
        async move {
            let patience = self.patience;
            let conn = patience.connected(self.conn(writes)).await?;
            Ok(Box::new(MySqlSession { conn, patience }) as Box<dyn Session>)
        }
        .boxed()
    }
}

impl MySqlServer {
    async fn conn(&self, writes: bool) -> Result<Conn, Fault> {
        let opened = match &self.encrypted {
            Some(opts) => match Conn::new(opts.clone()).await {
                Err(Error::Driver(DriverError::NoClientSslFlagFromServer))
                    if !self.must_encrypt =>
                {
                    Conn::new(self.plain.clone()).await
                }
                opened => opened,
            },
            None => Conn::new(self.plain.clone()).await,
        };
        let mut conn = opened.map_err(|error| fault(&error))?;
        // MariaDB counts the time-out in seconds, MySQL in milliseconds and for reading only.
        let seconds = self.patience.statement.as_secs();
        let is_mariadb: bool = conn
            .query_first::<Option<String>, _>("SELECT VERSION()")
            .await
            .map_err(|error| fault(&error))?
            .flatten()
            .is_some_and(|version| version.to_ascii_lowercase().contains("mariadb"));
        let limit = if is_mariadb {
            format!("max_statement_time = {seconds}")
        } else {
            format!("max_execution_time = {}", seconds.saturating_mul(1000))
        };
        let access = if writes { "READ WRITE" } else { "READ ONLY" };
        for sql in [
            format!(
                "SET time_zone = '+00:00', {limit}, innodb_lock_wait_timeout = {}, \
                 sql_mode = CONCAT(REPLACE(@@sql_mode, 'ANSI_QUOTES', ''), ',STRICT_ALL_TABLES')",
                seconds.max(1)
            ),
            // So that a row which somebody else made meanwhile is found.
            format!("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, {access}"),
        ] {
            conn.query_drop(sql).await.map_err(|error| fault(&error))?;
        }
        Ok(conn)
    }
}

/// Encryption as `tls` asks for; certificates are checked only against `ca`.
pub(super) fn ssl(ca: Option<std::path::PathBuf>) -> SslOpts {
    let opts = SslOpts::default();
    match ca {
        Some(path) => opts.with_disable_built_in_roots(true).with_root_certs(vec![path.into()]),
        None => {
            opts.with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true)
        }
    }
}

struct MySqlSession {
    conn: Conn,
    patience: Patience,
}

impl MySqlSession {
    async fn ask<T: mysql_async::prelude::FromRow + Send + 'static>(
        &mut self,
        sql: &str,
        bound: Vec<Bound>,
    ) -> Result<Vec<T>, Fault> {
        let asking = self.conn.exec(sql, params(bound));
        self.patience.answered(asking).await?.map_err(|error| fault(&error))
    }
}

impl Session for MySqlSession {
    fn table<'a>(&'a mut self, name: &'a TableName) -> Answer<'a, Table> {
        self.describe(name).boxed()
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        bound: Vec<Bound>,
        columns: &'a [Column],
    ) -> Answer<'a, Vec<Row>> {
        async move {
            let rows: Vec<mysql_async::Row> = self.ask(sql, bound).await?;
            if let Some(row) = rows.first() {
                as_described(row.columns_ref(), columns)?;
            }
            let read = |row: mysql_async::Row| {
                let types = row.columns();
                let mut read = Row::default();
                let cells = row.unwrap_raw().into_iter().zip(columns).zip(types.iter());
                for ((cell, column), sql_type) in cells {
                    let cell = cell.unwrap_or(mysql_async::Value::NULL);
                    read.push(column, decode(cell, &column.kind, sql_type));
                }
                read
            };
            Ok(rows.into_iter().map(read).collect())
        }
        .boxed()
    }

    fn execute<'a>(&'a mut self, sql: &'a str, bound: Vec<Bound>) -> Answer<'a, u64> {
        async move {
            let patience = self.patience;
            let done = if bound.is_empty() {
                // Savepoints and the like cannot be prepared everywhere.
                patience.answered(self.conn.query_drop(sql)).await
            } else {
                patience.answered(self.conn.exec_drop(sql, params(bound))).await
            };
            done?.map_err(|error| fault(&error))?;
            Ok(self.conn.affected_rows())
        }
        .boxed()
    }

    fn last_key(&self) -> Option<i64> {
        self.conn.last_insert_id().and_then(|key| i64::try_from(key).ok())
    }
}

const COLUMNS: &str = "
    SELECT c.TABLE_SCHEMA, t.TABLE_TYPE, c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, c.IS_NULLABLE, c.EXTRA,
        c.CHARACTER_SET_NAME, c.COLLATION_NAME, c.DATETIME_PRECISION
    FROM information_schema.COLUMNS c
    JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
    WHERE c.TABLE_NAME = ? AND c.TABLE_SCHEMA = COALESCE(?, DATABASE())
    ORDER BY c.ORDINAL_POSITION";

const UNIQUE: &str = "
    SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS
    WHERE TABLE_NAME = ? AND TABLE_SCHEMA = ? AND NON_UNIQUE = 0 AND SUB_PART IS NULL
    ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX";

/// MariaDB's JSON is a text that is checked.
const JSON_CHECKS: &str = "
    SELECT c.CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS c
    JOIN information_schema.TABLE_CONSTRAINTS t
        ON t.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND t.CONSTRAINT_NAME = c.CONSTRAINT_NAME
    WHERE t.TABLE_NAME = ? AND t.TABLE_SCHEMA = ? AND c.CHECK_CLAUSE LIKE 'json_valid(%'";

const TABLES: &str = "
    SELECT TABLE_NAME FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) ORDER BY TABLE_NAME LIMIT 1000";

type ColumnRow = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<u32>,
);

impl MySqlSession {
    async fn describe(&mut self, wanted: &TableName) -> Result<Table, Fault> {
        let text = |text: &str| Bound::Text(text.to_owned());
        let schema = wanted.schema.as_deref().map_or(Bound::Null, text);
        let rows: Vec<ColumnRow> =
            self.ask(COLUMNS, vec![text(&wanted.name), schema.clone()]).await?;
        let Some((schema, relation, ..)) = rows.first() else {
            let names: Vec<String> = self.ask(TABLES, vec![schema]).await?;
            return Err(no_table(wanted, &names));
        };
        let (schema, is_view) = (schema.clone(), relation.contains("VIEW"));
        let place = vec![text(&wanted.name), text(&schema)];
        let checks: Vec<String> = self.ask(JSON_CHECKS, place.clone()).await.unwrap_or_default();
        let columns = rows.into_iter().map(|row| {
            let (_, _, name, data_type, column_type, nullable, extra, charset, collation, places) =
                row;
            let quoted = Dialect::MySql.quoted(&name);
            let is_json = checks.contains(&format!("json_valid({quoted})"));
            let extra = extra.to_ascii_uppercase();
            Column {
                name: CompactString::from(name),
                kind: if is_json { Kind::Json } else { kind_of(&data_type, &column_type) },
                sql_type: column_type,
                nullable: nullable == "YES",
                generated: extra.contains("GENERATED") && !extra.contains("DEFAULT_GENERATED"),
                serial: extra.contains("AUTO_INCREMENT"),
                places,
                collation: charset.zip(collation),
            }
        });
        let columns = columns.collect();
        let rows: Vec<(String, Option<String>)> = self.ask(UNIQUE, place).await?;
        let mut unique: Vec<(String, Vec<CompactString>)> = Vec::new();
        for (index, column) in rows {
            // An index over an expression has no column.
            let Some(column) = column else { continue };
            match unique.last_mut().filter(|(name, _)| *name == index) {
                Some((_, names)) => names.push(column.into()),
                None => unique.push((index, vec![column.into()])),
            }
        }
        let unique = unique.into_iter().map(|(_, names)| names).collect();
        Ok(Table { schema, name: wanted.name.clone(), columns, unique, is_view })
    }
}

fn kind_of(data_type: &str, column_type: &str) -> Kind {
    match data_type.to_ascii_lowercase().as_str() {
        "tinyint" if column_type.starts_with("tinyint(1)") => Kind::Bool,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "bit" => Kind::Int,
        "float" | "double" => Kind::Float,
        "decimal" => Kind::Decimal,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Kind::Text,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "geometry" => {
            Kind::Bytes
        }
        "json" => Kind::Json,
        "date" => Kind::Date,
        "datetime" => Kind::Timestamp,
        "timestamp" => Kind::Moment,
        _ => Kind::Other,
    }
}

/// The number of the character set of columns that hold bytes.
const BINARY: u16 = 63;

/// Makes sure that the columns are of the types that they were described with.
fn as_described(shown: &[mysql_async::Column], columns: &[Column]) -> Result<(), Fault> {
    use ColumnType as T;
    for (shown, column) in shown.iter().zip(columns) {
        let came: &[Kind] = match shown.column_type() {
            T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_LONGLONG => &[Kind::Int, Kind::Bool],
            T::MYSQL_TYPE_FLOAT | T::MYSQL_TYPE_DOUBLE => &[Kind::Float],
            T::MYSQL_TYPE_NEWDECIMAL => &[Kind::Decimal],
            T::MYSQL_TYPE_DATE => &[Kind::Date],
            T::MYSQL_TYPE_DATETIME => &[Kind::Timestamp],
            T::MYSQL_TYPE_TIMESTAMP => &[Kind::Moment],
            T::MYSQL_TYPE_STRING | T::MYSQL_TYPE_VAR_STRING | T::MYSQL_TYPE_BLOB => {
                if shown.character_set() == BINARY {
                    &[Kind::Bytes]
                } else {
                    &[Kind::Text, Kind::Json]
                }
            }
            _ => continue,
        };
        if column.kind != Kind::Other && !came.contains(&column.kind) {
            return Err(column.is_now(came[0].word()));
        }
    }
    Ok(())
}

fn params(bound: Vec<Bound>) -> Params {
    use mysql_async::Value as Sent;
    if bound.is_empty() {
        return Params::Empty;
    }
    let send = |bound| match bound {
        Bound::Null | Bound::Texts(_) => Sent::NULL,
        Bound::Int(number) => Sent::Int(number),
        Bound::Unsigned(number) => Sent::UInt(number),
        Bound::Float(number) => Sent::Double(number),
        Bound::Text(text) => Sent::Bytes(text.into_bytes()),
        Bound::Bytes(bytes) => Sent::Bytes(bytes),
    };
    Params::Positional(bound.into_iter().map(send).collect())
}

fn decode(
    cell: mysql_async::Value,
    kind: &Kind,
    sql_type: &mysql_async::Column,
) -> Result<Value, String> {
    use mysql_async::Value as Cell;
    Ok(match cell {
        Cell::NULL => Value::Null,
        Cell::Int(flag @ (0 | 1)) if *kind == Kind::Bool => Value::Bool(flag == 1),
        Cell::Int(number) => Value::Int(number),
        Cell::UInt(number) => value::unsigned(number),
        Cell::Float(number) => value::single(number),
        Cell::Double(number) => value::float(number),
        Cell::Bytes(bytes) if sql_type.column_type() == ColumnType::MYSQL_TYPE_BIT => {
            value::unsigned(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
        }
        Cell::Bytes(bytes) => match kind {
            Kind::Bytes => value::base64(&bytes),
            Kind::Other
                if sql_type.flags().contains(ColumnFlags::BINARY_FLAG)
                    && std::str::from_utf8(&bytes).is_err() =>
            {
                value::base64(&bytes)
            }
            kind => {
                let text = String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned())?;
                match kind {
                    Kind::Decimal => value::digits(&text),
                    Kind::Json => value::json(&text),
                    _ => Value::Text(CompactString::from(text)),
                }
            }
        },
        Cell::Date(year, month, day, hour, minute, second, micros) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            if *kind == Kind::Date {
                return Ok(Value::text(date));
            }
            let fraction = fraction(micros);
            let zone = if *kind == Kind::Moment { "Z" } else { "" };
            Value::text(format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
        }
        Cell::Time(is_negative, days, hours, minutes, seconds, micros) => {
            let sign = if is_negative { "-" } else { "" };
            let (hours, fraction) = (days * 24 + u32::from(hours), fraction(micros));
            Value::text(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}"))
        }
    })
}

fn fraction(micros: u32) -> String {
    if micros == 0 {
        return String::new();
    }
    format!(".{micros:06}").trim_end_matches('0').to_owned()
}

/// By the classes of SQLSTATE, and the numbers that tell more:
/// <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>.
fn fault(error: &Error) -> Fault {
    let said = match error {
        Error::Server(said) => said,
        Error::Io(mysql_async::IoError::Tls(tls)) => {
            return Fault::new(FaultKind::Refused, tls.to_string());
        }
        Error::Io(io) => {
            let problem = io.to_string();
            let is_final = problem.contains("certificate");
            let kind = if is_final { FaultKind::Refused } else { FaultKind::Lost };
            return Fault::new(kind, problem);
        }
        Error::Driver(DriverError::ConnectionClosed | DriverError::PoolDisconnected) => {
            return Fault::new(FaultKind::Lost, "the connection was closed");
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            return Fault::new(FaultKind::Refused, "the server does not support TLS");
        }
        other => return Fault::new(FaultKind::Refused, other.to_string()),
    };
    let kind = match (said.code, said.state.get(..2).unwrap_or_default()) {
        (1062 | 1586, _) => FaultKind::Taken,
        (1053 | 1152 | 1158..=1161 | 1184 | 1927 | 4031, _) => FaultKind::Lost,
        (1028 | 1037 | 1038 | 1040 | 1041 | 1203 | 1205 | 1213 | 1226 | 1317 | 1969 | 3024, _) => {
            FaultKind::Aborted
        }
        (1264 | 1265 | 1292 | 1364 | 1366 | 1406 | 1411 | 1644 | 3819 | 4025, _)
        | (_, "22" | "23") => FaultKind::Rejected,
        _ => FaultKind::Refused,
    };
    Fault { kind, problem: said.message.clone(), column: named(&said.message) }
}

/// The column in messages such as `Data too long for column 'name' at row 1`.
fn named(message: &str) -> Option<CompactString> {
    let (_, rest) = message.split_once("olumn '")?;
    let name = rest.split_once('\'')?.0;
    name.rsplit('.').next().map(|name| name.trim_matches('`').into())
}
