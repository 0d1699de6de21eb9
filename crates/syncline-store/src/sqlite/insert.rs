//! Rows written many to a statement.

use rusqlite::{CachedStatement, Connection, ToSql};

/// How many rows a statement takes.
const ROWS: usize = 32;

/// An insertion into one table, prepared for one row and for many.
pub(super) struct Insert {
    one: String,
    many: String,
}

impl Insert {
    /// `head` is the statement up to the values. It must say `OR IGNORE` or `OR FAIL`: without, SQLite
    /// copies every page that the statement touches, to be able to take back half of a statement. We take
    /// back the whole group.
    pub(super) fn new(head: &str, columns: usize) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        let many = vec![row.as_str(); ROWS].join(",");
        Self { one: format!("{head} VALUES {row}"), many: format!("{head} VALUES {many}") }
    }

    /// Inserts `rows`; `bind` puts the columns of one of them, in order.
    pub(super) fn run<T>(
        &self,
        conn: &Connection,
        rows: &[T],
        bind: impl Fn(&T, &mut Columns<'_, '_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        for (sql, size, rows) in self.split(rows) {
            if rows.is_empty() {
                continue;
            }
            let mut statement = conn.prepare_cached(sql)?;
            for chunk in rows.chunks_exact(size) {
                let mut columns = Columns { statement: &mut statement, next: 1 };
                for row in chunk {
                    bind(row, &mut columns)?;
                }
                statement.raw_execute()?;
            }
        }
        Ok(())
    }

    fn split<'a, T>(&'a self, rows: &'a [T]) -> [(&'a str, usize, &'a [T]); 2] {
        let (whole, rest) = rows.split_at(rows.len() - rows.len() % ROWS);
        [(&self.many, ROWS, whole), (&self.one, 1, rest)]
    }
}

/// Where the columns of the rows of one statement are put.
pub(super) struct Columns<'a, 'conn> {
    statement: &'a mut CachedStatement<'conn>,
    next: usize,
}

impl Columns<'_, '_> {
    /// Puts the next column.
    pub(super) fn put(&mut self, value: impl ToSql) -> rusqlite::Result<&mut Self> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(self)
    }
}
