//! Databases: PostgreSQL, MySQL and MariaDB, SQLite.
//!
//! [`read`] goes through a table by key, page by page; [`changes`] follows the log of a PostgreSQL server; [`write`](self::write) makes [`batch`]es of changes in one transaction. Both
//! put their statements together in [`statement`], and run them in the [`session`] of a driver.

mod batch;
mod changes;
mod existing;
mod mysql;
mod pgoutput;
mod places;
mod postgres;
mod read;
mod session;
mod settings;
mod slot;
mod sqlite;
mod statement;
mod table;
mod tls;
mod value;
mod write;

use crate::write::Writer;
use crate::{Adapter, AdapterError, Capabilities, DiscoveredEntity, ReadEnd, ReadRequest};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use session::{Database, Fault, FaultKind, Row, Session};
use settings::Spec;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use syncline_core::config::model::Connection;
use syncline_core::record::{Cursor, Page, Record, Rejected, Shape};
use syncline_core::value::Cell;
use table::{Column, Table};
use tokio::sync::{Mutex, mpsc};

const PAYLOAD_BYTES_MAX: usize = 64 << 10;
const SAMPLE_LEN: usize = 100;

/// Reads and writes the tables of one connection.
pub(crate) struct SqlAdapter {
    database: Box<dyn Database>,
    entities: BTreeMap<String, Spec>,
    /// A session for writing that is not in use.
    idle: Mutex<Option<Box<dyn Session>>>,
}

/// A table, as far as an entity needs it.
struct Known {
    table: Table,
    /// The columns that are read.
    columns: Vec<Column>,
    /// The columns of the key.
    key: Vec<Column>,
    /// The names of the columns that are read.
    shape: Arc<Shape>,
}

impl SqlAdapter {
    /// An adapter for the entities of `connection`, whose relative paths start at `base`.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] where the settings cannot work.
    pub(crate) fn new(connection: &Connection, base: &Path) -> Result<Self, AdapterError> {
        let database = settings::database(connection, base)?;
        let mut entities = BTreeMap::new();
        for (name, entity) in &connection.entities {
            entities.insert(name.clone(), Spec::new(connection, name, entity)?);
        }
        Ok(Self { database, entities, idle: Mutex::new(None) })
    }

    fn spec(&self, entity: &str) -> Result<&Spec, AdapterError> {
        self.entities.get(entity).ok_or_else(|| {
            AdapterError::Settings(format!("the connection has no entity `{entity}`"))
        })
    }
}

impl Known {
    async fn new(session: &mut dyn Session, spec: &Spec) -> Result<Self, Fault> {
        let table = session.table(&spec.table).await?;
        for name in spec.names() {
            table.column(name)?;
        }
        let chosen = |column: &&Column| {
            spec.columns.is_none() || spec.names().any(|name| *name == column.name)
        };
        let columns: Vec<Column> = table.columns.iter().filter(chosen).cloned().collect();
        let key: Result<_, Fault> =
            spec.key.iter().map(|name| table.column(name).cloned()).collect();
        let shape = Arc::new(Shape::new(columns.iter().map(|column| &column.name)));
        Ok(Self { key: key?, columns, shape, table })
    }

    /// The rows as records, and those that could not be read as what was rejected; the first is number `line`.
    fn page(&self, rows: Vec<Row>, line: u64, cursor: Cursor) -> Page {
        let mut page = Page {
            shape: self.shape.clone(),
            sources: vec![self.table.name.as_str().into()],
            cursor,
            ..Page::default()
        };
        for (row, line) in rows.into_iter().zip(line..) {
            let Some(problem) = row.problem else {
                page.records.push(Record { cells: row.cells, line, ..Record::default() });
                continue;
            };
            let (source, payload) = (self.table.name.clone(), self.payload(&row.cells));
            page.rejected.push(Rejected { source, line, payload, problem });
        }
        page
    }

    /// The row as a JSON object.
    fn payload(&self, cells: &[Cell]) -> String {
        let cells = self.columns.iter().zip(cells);
        let fields = cells.filter_map(|(column, cell)| Some((&column.name, cell.as_ref()?)));
        let map: serde_json::Map<_, _> = fields
            .map(|(name, value)| {
                (name.to_string(), serde_json::to_value(value).unwrap_or_default())
            })
            .collect();
        let mut text = serde_json::Value::Object(map).to_string();
        text.truncate(text.floor_char_boundary(PAYLOAD_BYTES_MAX));
        text
    }
}

impl Adapter for SqlAdapter {
    fn capabilities(&self) -> Capabilities {
        Capabilities { resumes: true, lists_all: true, reading_costs_calls: false }
    }

    fn check<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<(), AdapterError>> {
        async move {
            let spec = self.spec(entity)?;
            let (known, _) = self.sample(spec, 1).await?;
            let Some(settings) = &spec.logical_replication else { return Ok(()) };
            let checked = self.check_slot(spec, settings, &known.table).await;
            checked.map_err(|fault| unreadable(spec, fault))
        }
        .boxed()
    }

    fn discover<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<DiscoveredEntity, AdapterError>> {
        async move {
            let (known, sample) = self.sample(self.spec(entity)?, SAMPLE_LEN).await?;
            let field = |column: &Column| (column.name.to_string(), column.kind.word().to_owned());
            let fields = known.columns.iter().map(field).collect();
            Ok(DiscoveredEntity { name: entity.to_owned(), fields, sample })
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        request: ReadRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'a, Result<ReadEnd, AdapterError>> {
        async move {
            let spec = self.spec(&request.entity)?;
            match &spec.logical_replication {
                Some(settings) => self.read_changes(spec, settings, &request, &pages).await,
                None => self.read_table(spec, &request, &pages).await,
            }
        }
        .boxed()
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

/// The error of a read of `spec`'s table.
fn unreadable(spec: &Spec, fault: Fault) -> AdapterError {
    let (what, problem) = (spec.table.name.clone(), fault.problem);
    match fault.kind {
        FaultKind::Refused | FaultKind::Rejected | FaultKind::Taken => {
            AdapterError::Refused { what, problem }
        }
        FaultKind::Aborted | FaultKind::Lost => {
            AdapterError::Unavailable { what, problem, retry_after_ms: None }
        }
    }
}
