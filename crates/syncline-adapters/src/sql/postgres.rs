//! PostgreSQL, by tokio-postgres. Values are sent as text, and the server casts them to the type of their column; they
//! are read in the protocol's binary form where that is simple, else as the server's text.

use super::session::{Answer, Bound, Database, Fault, FaultKind, Patience, Row, Session};
use super::statement::Dialect;
use super::table::{Column, Kind, Table, TableName, no_table};
use super::value;
use compact_str::CompactString;
use futures_util::FutureExt;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Span, Timestamp};
use std::error::Error as _;
use syncline_core::value::Value;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// 2000-01-01, from which the protocol counts, in microseconds since 1970.
const EPOCH_US: i64 = 946_684_800_000_000;

/// A server.
pub(super) struct PostgresServer {
    pub(super) config: Config,
    /// Where the connection may be encrypted.
    pub(super) tls: Option<rustls::ClientConfig>,
    pub(super) patience: Patience,
}

impl Database for PostgresServer {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn lands_within_ms(&self) -> u64 {
        self.patience.lands_within_ms()
    }

    fn connect(&self, writes: bool) -> Answer<'_, Box<dyn Session>> {
        async move {
            let patience = self.patience;
            let client = patience.connected(self.client(writes)).await?;
            Ok(Box::new(PostgresSession { client, patience }) as Box<dyn Session>)
        }
        .boxed()
    }
}

impl PostgresServer {
    async fn client(&self, writes: bool) -> Result<Client, Fault> {
        let client = match &self.tls {
            Some(tls) => {
                let tls = MakeRustlsConnect::new(tls.clone());
                let (client, connection) = self.config.connect(tls).await.map_err(unconnected)?;
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(unconnected)?;
                tokio::spawn(connection);
                client
            }
        };
        let timeout_ms = self.patience.statement.as_millis();
        let read_only = if writes { "off" } else { "on" };
        let settings = format!(
            "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; \
             SET bytea_output = 'hex'; SET extra_float_digits = 1; \
             SET statement_timeout = {timeout_ms}; SET default_transaction_read_only = {read_only}"
        );
        client.batch_execute(&settings).await.map_err(|error| fault(&error))?;
        Ok(client)
    }
}

struct PostgresSession {
    client: Client,
    patience: Patience,
}

impl PostgresSession {
    async fn ask(&self, sql: &str, bound: Vec<Bound>) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let bound: Vec<Sent> = bound.into_iter().map(Sent::from).collect();
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = bound.iter().map(Sent::typed).collect();
        let rows = self.patience.answered(self.client.query_typed(sql, &typed)).await?;
        rows.map_err(|error| fault(&error))
    }
}

impl Session for PostgresSession {
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
            let rows = self.ask(sql, bound).await?;
            if let Some(row) = rows.first() {
                as_described(row, columns)?;
            }
            let read = |row: &tokio_postgres::Row| {
                let mut read = Row::default();
                for (index, column) in columns.iter().enumerate() {
                    read.push(column, decode(row, index, &column.kind));
                }
                read
            };
            Ok(rows.iter().map(read).collect())
        }
        .boxed()
    }

    fn execute<'a>(&'a mut self, sql: &'a str, bound: Vec<Bound>) -> Answer<'a, u64> {
        async move {
            let bound: Vec<Sent> = bound.into_iter().map(Sent::from).collect();
            let typed: Vec<(&(dyn ToSql + Sync), Type)> = bound.iter().map(Sent::typed).collect();
            let count = self.patience.answered(self.client.execute_typed(sql, &typed)).await?;
            count.map_err(|error| fault(&error))
        }
        .boxed()
    }

    fn last_key(&self) -> Option<i64> {
        None
    }
}

const COLUMNS: &str = "
    SELECT n.nspname::text, c.relkind::text, a.attname::text, format_type(a.atttypid, -1),
        COALESCE(b.typname, t.typname)::text, e.typname::text, a.attnotnull,
        a.attgenerated <> '' OR a.attidentity = 'a',
        a.attidentity <> '' OR COALESCE(pg_get_expr(d.adbin, d.adrelid), '') LIKE 'nextval(%',
        CASE WHEN t.typname IN ('timestamp', 'timestamptz') AND a.atttypmod >= 0 THEN a.atttypmod END
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type b ON b.oid = NULLIF(t.typbasetype, 0)
    LEFT JOIN pg_type e ON e.oid = COALESCE(b.typelem, t.typelem) AND COALESCE(b.typcategory, t.typcategory) = 'A'
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND CASE WHEN $2 IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END
    ORDER BY a.attnum";

const UNIQUE: &str = "
    SELECT i.indexrelid::int8, a.attname::text
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
    WHERE c.relname = $1 AND n.nspname = $2
        AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    ORDER BY i.indisprimary DESC, i.indexrelid, k.place";

const TABLES: &str = "
    SELECT table_name::text FROM information_schema.tables
    WHERE CASE WHEN $1 IS NULL THEN table_schema = ANY (current_schemas(false)) ELSE table_schema = $1 END
    ORDER BY table_name LIMIT 1000";

impl PostgresSession {
    async fn describe(&mut self, wanted: &TableName) -> Result<Table, Fault> {
        let text = |text: &str| Bound::Text(text.to_owned());
        let schema = wanted.schema.as_deref().map_or(Bound::Null, text);
        let rows = self.ask(COLUMNS, vec![text(&wanted.name), schema.clone()]).await?;
        let Some(first) = rows.first() else {
            let names = self.ask(TABLES, vec![schema]).await?;
            let names: Vec<String> = names.iter().map(|row| row.get(0)).collect();
            return Err(no_table(wanted, &names));
        };
        let (schema, relation): (String, String) = (first.get(0), first.get(1));
        let columns = rows.iter().map(|row| {
            let item: Option<&str> = row.get(5);
            Column {
                name: CompactString::new(row.get::<_, &str>(2)),
                kind: match item {
                    Some(item) => Kind::Array(Box::new(kind_of(item))),
                    None => kind_of(row.get(4)),
                },
                sql_type: row.get(3),
                nullable: !row.get::<_, bool>(6),
                generated: row.get(7),
                serial: row.get(8),
                places: row.get::<_, Option<i32>>(9).and_then(|places| u32::try_from(places).ok()),
                collation: None,
            }
        });
        let columns = columns.collect();
        let is_view = matches!(relation.as_str(), "v" | "m");
        let rows = self.ask(UNIQUE, vec![text(&wanted.name), text(&schema)]).await?;
        let (mut unique, mut last): (Vec<Vec<CompactString>>, _) = (Vec::new(), None);
        for row in &rows {
            let index: i64 = row.get(0);
            if last.replace(index) != Some(index) {
                unique.push(Vec::new());
            }
            if let Some(names) = unique.last_mut() {
                names.push(CompactString::new(row.get::<_, &str>(1)));
            }
        }
        Ok(Table { schema, name: wanted.name.clone(), columns, unique, is_view })
    }
}

fn kind_of(name: &str) -> Kind {
    match name {
        "bool" => Kind::Bool,
        "int2" | "int4" | "int8" => Kind::Int,
        "float4" | "float8" => Kind::Float,
        "numeric" => Kind::Decimal,
        "text" | "varchar" | "bpchar" | "name" => Kind::Text,
        "bytea" => Kind::Bytes,
        "json" | "jsonb" => Kind::Json,
        "date" => Kind::Date,
        "timestamp" => Kind::Timestamp,
        "timestamptz" => Kind::Moment,
        _ => Kind::Other,
    }
}

/// What is bound: a text, or a column of them.
#[derive(Debug)]
enum Sent {
    One(Option<String>),
    Many(Vec<Option<String>>),
}

impl From<Bound> for Sent {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Text(text) => Self::One(Some(text)),
            Bound::Texts(texts) => Self::Many(texts),
            Bound::Int(number) => Self::One(Some(number.to_string())),
            Bound::Unsigned(number) => Self::One(Some(number.to_string())),
            Bound::Float(number) => Self::One(Some(number.to_string())),
            Bound::Null | Bound::Bytes(_) => Self::One(None),
        }
    }
}

impl Sent {
    fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::One(text) => (text, Type::TEXT),
            Self::Many(texts) => (texts, Type::TEXT_ARRAY),
        }
    }
}

/// A cell's bytes, whatever its type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Makes sure that the columns are of the types that they were described with.
fn as_described(row: &tokio_postgres::Row, columns: &[Column]) -> Result<(), Fault> {
    for (shown, column) in row.columns().iter().zip(columns) {
        let came = match *shown.type_() {
            Type::BOOL => Kind::Bool,
            Type::INT2 | Type::INT4 | Type::INT8 => Kind::Int,
            Type::FLOAT4 | Type::FLOAT8 => Kind::Float,
            Type::BYTEA => Kind::Bytes,
            Type::JSON | Type::JSONB => Kind::Json,
            Type::DATE => Kind::Date,
            Type::TIMESTAMP => Kind::Timestamp,
            Type::TIMESTAMPTZ => Kind::Moment,
            // Others are shown as text because of their kind.
            Type::TEXT if !matches!(column.kind, Kind::Decimal | Kind::Array(_)) => Kind::Text,
            _ => continue,
        };
        if column.kind != Kind::Other && column.kind != came {
            return Err(column.is_now(shown.type_()));
        }
    }
    Ok(())
}

fn decode(row: &tokio_postgres::Row, index: usize, kind: &Kind) -> Result<Value, String> {
    let cell: Option<Raw<'_>> = row.try_get(index).map_err(|error| error.to_string())?;
    let Some(Raw(raw)) = cell else { return Ok(Value::Null) };
    let sql_type = row.columns()[index].type_();
    Ok(match *sql_type {
        Type::BOOL => Value::Bool(raw == [1]),
        Type::INT2 => Value::Int(i16::from_be_bytes(exactly(raw)?).into()),
        Type::INT4 => Value::Int(i32::from_be_bytes(exactly(raw)?).into()),
        Type::INT8 => Value::Int(i64::from_be_bytes(exactly(raw)?)),
        Type::FLOAT4 => value::single(f32::from_be_bytes(exactly(raw)?)),
        Type::FLOAT8 => value::float(f64::from_be_bytes(exactly(raw)?)),
        Type::BYTEA => value::base64(raw),
        Type::JSON => value::json(text(raw)?),
        // The first byte is the version of the form.
        Type::JSONB => value::json(text(raw.get(1..).unwrap_or_default())?),
        Type::DATE => date(i32::from_be_bytes(exactly(raw)?))?,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            timestamp(i64::from_be_bytes(exactly(raw)?), *sql_type == Type::TIMESTAMPTZ)?
        }
        _ => match kind {
            Kind::Decimal => match text(raw)? {
                "NaN" | "Infinity" | "-Infinity" => Value::text(text(raw)?),
                digits => value::digits(digits),
            },
            Kind::Array(item) => array(text(raw)?, item)?,
            _ => Value::text(text(raw)?),
        },
    })
}

fn exactly<const N: usize>(raw: &[u8]) -> Result<[u8; N], String> {
    raw.try_into().map_err(|_| format!("{} bytes came instead of {N}", raw.len()))
}

fn text(raw: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(raw).map_err(|_| "it is no UTF-8".to_owned())
}

fn date(days: i32) -> Result<Value, String> {
    match days {
        i32::MAX => return Ok(Value::text("infinity")),
        i32::MIN => return Ok(Value::text("-infinity")),
        _ => {}
    }
    let day =
        jiff::civil::date(2000, 1, 1).checked_add(SignedDuration::from_hours(i64::from(days) * 24));
    day.map(|day| Value::text(day.to_string()))
        .map_err(|_| "the date lies outside the years -9999 to 9999".to_owned())
}

fn timestamp(micros: i64, is_moment: bool) -> Result<Value, String> {
    match micros {
        i64::MAX => return Ok(Value::text("infinity")),
        i64::MIN => return Ok(Value::text("-infinity")),
        _ => {}
    }
    let far = |_| "the time lies outside the years -9999 to 9999".to_owned();
    let text = if is_moment {
        let since_1970 = micros.saturating_add(EPOCH_US);
        Timestamp::from_microsecond(since_1970).map_err(far)?.to_string()
    } else {
        let epoch = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);
        let span = Span::new().try_microseconds(micros).map_err(far)?;
        epoch.checked_add(span).map_err(far)?.to_string()
    };
    Ok(Value::text(text))
}

/// Reads the text of an array: <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>.
fn array(text: &str, kind: &Kind) -> Result<Value, String> {
    // Bounds that do not start at 1 come first: `[0:1]={…}`.
    let start = text.find('{').ok_or("it is no array")?;
    let mut rest = text[start..].chars().peekable();
    let mut open: Vec<Vec<Value>> = Vec::new();
    let mut item: Option<(String, bool)> = None;
    while let Some(next) = rest.next() {
        match next {
            '{' => open.push(Vec::new()),
            ',' | '}' => {
                let broken = || "the array is broken".to_owned();
                if let Some((text, quoted)) = item.take() {
                    let value =
                        if !quoted && text == "NULL" { Value::Null } else { of_text(&text, kind) };
                    open.last_mut().ok_or_else(broken)?.push(value);
                }
                if next == '}' {
                    let whole = Value::List(open.pop().ok_or_else(broken)?);
                    match open.last_mut() {
                        Some(outer) => outer.push(whole),
                        None => return Ok(whole),
                    }
                }
            }
            '"' => {
                let mut text = String::new();
                while let Some(next) = rest.next() {
                    match next {
                        '"' => break,
                        '\\' => text.extend(rest.next()),
                        other => text.push(other),
                    }
                }
                item = Some((text, true));
            }
            other => item.get_or_insert_with(|| (String::new(), false)).0.push(other),
        }
    }
    Err("the array does not end".to_owned())
}

/// The value that an element's text is.
fn of_text(text: &str, kind: &Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(text == "t"),
        Kind::Int => text.parse().map_or_else(|_| value::digits(text), Value::Int),
        Kind::Float => text.parse().map_or_else(|_| Value::text(text), value::float),
        Kind::Decimal if text.parse::<f64>().is_ok_and(f64::is_finite) => value::digits(text),
        Kind::Json => value::json(text),
        Kind::Bytes => {
            let digits = text.strip_prefix("\\x").unwrap_or_default();
            let pair =
                |at: usize| digits.get(at..at + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
            let bytes: Vec<u8> = (0..digits.len()).step_by(2).filter_map(pair).collect();
            value::base64(&bytes)
        }
        Kind::Timestamp => Value::text(text.replacen(' ', "T", 1)),
        Kind::Moment => Value::text(text.replacen(' ', "T", 1).replace("+00", "Z")),
        _ => Value::text(text),
    }
}

/// All that the chain of errors says.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

fn unconnected(error: Error) -> Fault {
    if error.as_db_error().is_some() {
        return fault(&error);
    }
    let problem = told(&error);
    let is_final = ["TLS", "configuration", "authentication", "certificate"];
    let is_final = is_final.iter().any(|word| problem.contains(word));
    Fault::new(if is_final { FaultKind::Refused } else { FaultKind::Lost }, problem)
}

/// By the classes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn fault(error: &Error) -> Fault {
    let Some(said) = error.as_db_error() else {
        return Fault::new(FaultKind::Lost, told(error));
    };
    let code = said.code().code();
    let kind = match (code, &code[..2]) {
        ("23505", _) => FaultKind::Taken,
        ("57P01" | "57P02" | "57P03" | "57P05", _) | (_, "08") => FaultKind::Lost,
        ("57014" | "55P03" | "55006", _) | (_, "40" | "53" | "58") => FaultKind::Aborted,
        // A policy for rows minds a row; a missing right has the same code.
        ("42501", _) if said.routine() == Some("ExecWithCheckOptions") => FaultKind::Rejected,
        (_, "0A" | "25" | "28" | "3D" | "3F" | "42") => FaultKind::Refused,
        // Triggers raise what they like.
        _ => FaultKind::Rejected,
    };
    let detail = match said.detail() {
        Some(detail) if kind != FaultKind::Lost => format!(" ({detail})"),
        _ => String::new(),
    };
    let problem = format!("{}{detail}", said.message());
    Fault { kind, problem, column: said.column().map(CompactString::new) }
}
