//! Reading a table, page by page, each beginning after the last row of the one before (keyset pagination): rows that
//! are inserted or deleted meanwhile move no other row out of the way.

use super::session::{Bound, Fault, FaultKind, Row};
use super::settings::Spec;
use super::statement::PageQuery;
use super::table::{Column, Table};
use super::value::{bind, bind_since};
use super::{Known, SqlAdapter, unreadable};
use crate::{AdapterError, ReadEnd, ReadRequest};
use serde::{Deserialize, Serialize};
use syncline_core::record::{Cursor, Page};
use syncline_core::value::Value;
use tokio::sync::mpsc;

const VERSION: u32 = 1;

/// Where a read stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Position {
    version: u32,
    /// The columns that the rows are ordered by.
    by: Vec<String>,
    /// What they hold in the last row that was read.
    after: Vec<Value>,
    /// How many rows were read so far.
    rows: u64,
}

impl Position {
    /// Before the first row in the order of the columns `by`.
    fn start(by: Vec<String>) -> Self {
        Self { version: VERSION, by, after: Vec::new(), rows: 0 }
    }

    /// The position in `cursor`, where it is one in this order.
    fn parse(cursor: &Cursor, by: &[String]) -> Option<Self> {
        let position: Self = Deserialize::deserialize(cursor).ok()?;
        let fits = position.version == VERSION && position.by == by;
        (fits && position.after.len() == by.len()).then_some(position)
    }

    fn to_cursor(&self) -> Cursor {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl SqlAdapter {
    /// The first rows of the table, in no order.
    pub(super) async fn sample(
        &self,
        spec: &Spec,
        limit: usize,
    ) -> Result<(Known, Page), AdapterError> {
        let read = async {
            let mut session = self.database.connect(false).await?;
            let known = Known::new(session.as_mut(), spec).await?;
            let key: Vec<&Column> = known.key.iter().collect();
            let query = PageQuery { limit, ..PageQuery::new(&known.table, &known.columns, &key) };
            let (sql, bound) = query.statement(self.database.dialect());
            let rows = session.query(&sql, bound, &known.columns).await?;
            let page = known.page(rows, 1, Cursor::Null);
            Ok((known, page))
        };
        read.await.map_err(|fault| unreadable(spec, fault))
    }

    /// What [`crate::Adapter::read`] promises.
    pub(super) async fn read_table(
        &self,
        spec: &Spec,
        request: &ReadRequest,
        pages: &mpsc::Sender<Page>,
    ) -> Result<ReadEnd, AdapterError> {
        self.list_table(spec, request, pages, &|cursor| cursor).await
    }

    /// The same, with each page's cursor put into what `wrap` makes of it.
    pub(super) async fn list_table(
        &self,
        spec: &Spec,
        request: &ReadRequest,
        pages: &mpsc::Sender<Page>,
        wrap: &(dyn Fn(Cursor) -> Cursor + Sync),
    ) -> Result<ReadEnd, AdapterError> {
        let wrong = |fault| unreadable(spec, fault);
        let mut session = self.database.connect(false).await.map_err(wrong)?;
        let mut known = Known::new(session.as_mut(), spec).await.map_err(wrong)?;
        let since = request.changed_since.as_ref().filter(|_| !request.full);
        let mut by = spec.key.clone();
        if let Some(since) = since {
            by.retain(|name| *name != since.field);
            by.insert(0, since.field.clone());
            known.also_read(&since.field).map_err(wrong)?;
        }
        let order: Vec<Column> =
            by.iter().filter_map(|name| known.table.find(name).cloned()).collect();
        let places: Vec<usize> = by.iter().filter_map(|name| known.shape.position(name)).collect();
        let order: Vec<&Column> = order.iter().collect();
        let dialect = self.database.dialect();
        let from = since.zip(order.first());
        let from = from.map(|(since, first)| bind_since(dialect, first, since.at_least));
        let from = from.transpose().map_err(AdapterError::Settings)?;
        let cursor = request.cursor.as_ref().filter(|at| !at.is_null());
        let resumed = cursor.and_then(|at| Position::parse(at, &by));
        let restarted = cursor.is_some() && resumed.is_none();
        let mut position = resumed.unwrap_or_else(|| Position::start(by));
        let ended = |complete: bool, position: &Position| ReadEnd {
            complete,
            incomplete_because: (!complete).then(|| "the read was stopped".to_owned()),
            restarted,
            cursor: if complete { Cursor::Null } else { position.to_cursor() },
            ..ReadEnd::default()
        };
        let is_unique = known.table.is_unique(&spec.key);
        let limit = request.page_len.max(if is_unique { 1 } else { 2 });
        loop {
            let after = bind_position(self.database.dialect(), &order, &position.after);
            let query = PageQuery {
                after: after.map_err(AdapterError::Settings)?,
                from: from.clone(),
                limit,
                ..PageQuery::new(&known.table, &known.columns, &order)
            };
            let (sql, bound) = query.statement(self.database.dialect());
            let rows = session.query(&sql, bound, &known.columns).await;
            let mut rows = rows.map_err(|fault| wrong(meanwhile(fault, position.rows)))?;
            let count = rows.len();
            if !is_unique && count == limit {
                leave_last_tie(&mut rows, &places, &known.table).map_err(wrong)?;
            }
            let Some(last) = rows.last() else { break };
            position.after = standing(last, &places, &known.table).map_err(wrong)?;
            let line = position.rows + 1;
            position.rows += rows.len() as u64;
            if pages.send(known.page(rows, line, wrap(position.to_cursor()))).await.is_err() {
                return Ok(ended(false, &position));
            }
            if count < limit {
                break;
            }
        }
        if since.is_none() {
            let nameless = self.without_key(session.as_mut(), &known, &position).await;
            let mut page = nameless.map_err(wrong)?;
            page.cursor = wrap(page.cursor);
            if !page.is_empty() && pages.send(page).await.is_err() {
                return Ok(ended(false, &position));
            }
        }
        Ok(ended(true, &position))
    }

    /// The rows whose key has a NULL in it, which no order reaches: none of them is a record.
    async fn without_key(
        &self,
        session: &mut dyn super::Session,
        known: &Known,
        position: &Position,
    ) -> Result<Page, Fault> {
        const SHOWN_MAX: usize = 1000;
        let nullable: Vec<&Column> = known.key.iter().filter(|column| column.nullable).collect();
        if nullable.is_empty() {
            return Ok(Page::default());
        }
        let query = PageQuery {
            without: &nullable,
            limit: SHOWN_MAX,
            ..PageQuery::new(&known.table, &known.columns, &[])
        };
        let (sql, bound) = query.statement(self.database.dialect());
        let mut rows = session.query(&sql, bound, &known.columns).await?;
        for row in &mut rows {
            row.problem = Some("the key is NULL, so nothing names this row".to_owned());
        }
        Ok(known.page(rows, position.rows + 1, position.to_cursor()))
    }
}

impl Known {
    /// Reads the column `name`, too.
    fn also_read(&mut self, name: &str) -> Result<(), Fault> {
        let column = self.table.column(name)?;
        if self.shape.position(name).is_none() {
            self.columns.push(column.clone());
            self.shape = std::sync::Arc::new(syncline_core::record::Shape::new(
                self.columns.iter().map(|column| &column.name),
            ));
        }
        Ok(())
    }
}

fn bind_position(
    dialect: super::statement::Dialect,
    order: &[&Column],
    after: &[Value],
) -> Result<Option<Vec<Bound>>, String> {
    if after.is_empty() {
        return Ok(None);
    }
    let bound = order.iter().zip(after).map(|(column, value)| bind(dialect, column, value));
    bound.collect::<Result<Vec<_>, _>>().map(Some)
}

/// Leaves the rows that are equal in their order to the last one for the next page, so that none that follows them
/// is passed over: the database does not say that keys come once only.
fn leave_last_tie(rows: &mut Vec<Row>, places: &[usize], table: &Table) -> Result<(), Fault> {
    let is_tied = |row: &Row, last: &Row| {
        places.iter().all(|place| row.cells.get(*place) == last.cells.get(*place))
    };
    let tied = match rows.split_last() {
        Some((last, before)) => {
            before.iter().rev().take_while(|row| is_tied(row, last)).count() + 1
        }
        None => return Ok(()),
    };
    if tied == rows.len() {
        let problem = format!(
            "{tied} rows or more of `{}` share one key; name a key that is unique",
            table.name
        );
        return Err(Fault::new(FaultKind::Refused, problem));
    }
    rows.truncate(rows.len() - tied);
    Ok(())
}

/// What the columns of the order hold in `row`.
fn standing(row: &Row, places: &[usize], table: &Table) -> Result<Vec<Value>, Fault> {
    let cell = |place: &usize| row.cells.get(*place).and_then(Clone::clone);
    places.iter().map(cell).collect::<Option<Vec<_>>>().ok_or_else(|| {
        let problem = row.problem.as_deref().unwrap_or("a key is missing");
        let problem = format!("the rows of `{}` cannot be put in order: {problem}", table.name);
        Fault::new(FaultKind::Refused, problem)
    })
}

/// A refusal after some pages were read means that the table is not what it was.
fn meanwhile(fault: Fault, rows: u64) -> Fault {
    if fault.kind != FaultKind::Refused || rows == 0 {
        return fault;
    }
    let problem = format!(
        "{}; the table or the rights changed after {rows} rows were read; run again once it is settled",
        fault.problem
    );
    Fault { problem, ..fault }
}
