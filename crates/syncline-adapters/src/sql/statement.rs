//! The text of statements. Names are always quoted, and values are always bound.

use super::session::Bound;
use super::table::{Column, Kind, Table};

/// What differs between the databases' SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    MySql,
    Sqlite,
}

impl Dialect {
    /// `name` as an identifier.
    pub(super) fn quoted(self, name: &str) -> String {
        match self {
            Self::MySql => format!("`{}`", name.replace('`', "``")),
            Self::Postgres | Self::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// The table, with its schema.
    pub(super) fn table(self, table: &Table) -> String {
        let name = self.quoted(&table.name);
        if table.schema.is_empty() {
            return name;
        }
        format!("{}.{name}", self.quoted(&table.schema))
    }

    /// What a query asks for to read `column`.
    fn selected(self, column: &Column) -> String {
        self.as_read(&format!("t.{}", self.quoted(&column.name)), column)
    }

    /// The value `name` of `column` in the form that is read.
    fn as_read(self, name: &str, column: &Column) -> String {
        match (self, &column.kind) {
            (Self::Postgres, Kind::Decimal | Kind::Array(_) | Kind::Other) => {
                format!("{name}::text")
            }
            _ => name.to_owned(),
        }
    }

    /// Where the value number `number`, from 1, goes for `column`.
    fn place(self, column: &Column, number: usize) -> String {
        match self {
            Self::Postgres => self.cast(&format!("${number}"), column),
            Self::MySql | Self::Sqlite => "?".to_owned(),
        }
    }

    /// The text `value` as a value for `column`.
    fn cast(self, value: &str, column: &Column) -> String {
        match (self, &column.kind) {
            (Self::Postgres, Kind::Bytes) => format!("decode({value}, 'base64')"),
            (Self::Postgres, _) => format!("{value}::{}", column.sql_type),
            _ => value.to_owned(),
        }
    }

    /// The rows of a batch as a table with columns `c0`, `c1`…, in their order, and what is bound for it.
    fn rows(self, columns: &[&Column], rows: Vec<Vec<Bound>>) -> (String, Vec<Bound>) {
        let names = || (0..columns.len()).map(|index| format!("c{index}"));
        match self {
            Self::Postgres => {
                let casts = columns.iter().zip(names());
                let casts = casts.map(|(column, name)| {
                    format!("{} AS {name}", self.cast(&format!("r.{name}"), column))
                });
                let arrays = (1..=columns.len()).map(|number| format!("${number}::text[]"));
                let sql = format!(
                    "(SELECT {} FROM unnest({}) WITH ORDINALITY AS r({}, n) ORDER BY r.n)",
                    list(casts),
                    list(arrays),
                    list(names())
                );
                (sql, transposed(columns.len(), rows))
            }
            Self::MySql => {
                // Else bytes count as text of the connection's character set.
                let place = |column: &Column| match column.kind {
                    Kind::Bytes => "CAST(? AS BINARY)",
                    _ => "?",
                };
                let row = columns.iter().zip(names());
                let row = list(row.map(|(column, name)| format!("{} AS {name}", place(column))));
                let sql = vec![format!("SELECT {row}"); rows.len()].join(" UNION ALL ");
                (format!("({sql})"), rows.into_iter().flatten().collect())
            }
            Self::Sqlite => {
                let named = (1..).zip(names()).map(|(n, name)| format!("column{n} AS {name}"));
                let row = format!("({})", list(columns.iter().map(|_| "?".to_owned())));
                let values = list(rows.iter().map(|_| row.clone()));
                let sql = format!("(SELECT {} FROM (VALUES {values}))", list(named));
                (sql, rows.into_iter().flatten().collect())
            }
        }
    }

    /// That the row `t` is the one whose key stands in `v.c0`…
    fn same_key(self, key: &[&Column]) -> String {
        let parts = key.iter().enumerate().map(|(index, column)| {
            let name = self.quoted(&column.name);
            match &column.collation {
                // Two columns of unlike collations cannot be compared otherwise.
                Some((charset, collation)) => {
                    format!("t.{name} = CONVERT(v.c{index} USING {charset}) COLLATE {collation}")
                }
                None => format!("t.{name} = v.c{index}"),
            }
        });
        parts.collect::<Vec<_>>().join(" AND ")
    }
}

/// A statement, and what is bound in it.
pub(super) type Statement = (String, Vec<Bound>);

/// The rows by key; `locked` keeps others from changing them until the transaction ends.
pub(super) fn by_key(
    dialect: Dialect,
    table: &Table,
    columns: &[Column],
    key: &[&Column],
    keys: Vec<Vec<Bound>>,
    locked: bool,
) -> Statement {
    let (rows, bound) = dialect.rows(key, keys);
    let lock = match dialect {
        Dialect::Postgres if locked => " FOR UPDATE OF t",
        Dialect::MySql if locked => " FOR UPDATE",
        _ => "",
    };
    let sql = format!(
        "SELECT {} FROM {} AS t JOIN {rows} AS v ON {}{lock}",
        list(columns.iter().map(|column| dialect.selected(column))),
        dialect.table(table),
        dialect.same_key(key),
    );
    (sql, bound)
}

/// For each of `keys`: the key, whether there is a row of this key, and the row's `columns`.
pub(super) fn found_by_key(
    table: &Table,
    columns: &[Column],
    key: &[&Column],
    keys: Vec<Vec<Bound>>,
) -> Statement {
    let dialect = Dialect::Postgres;
    let (rows, bound) = dialect.rows(key, keys);
    let given = key.iter().enumerate().map(|(index, column)| {
        let name = format!("v.c{index}");
        dialect.as_read(&name, column)
    });
    let is_there = key.first().map_or("true".to_owned(), |first| {
        format!("t.{} IS NOT NULL", dialect.quoted(&first.name))
    });
    let selected = columns.iter().map(|column| dialect.selected(column));
    let sql = format!(
        "SELECT {} FROM {rows} AS v LEFT JOIN {} AS t ON {}",
        list(given.chain([is_there]).chain(selected)),
        dialect.table(table),
        dialect.same_key(key),
    );
    (sql, bound)
}

/// Sets the columns `set` of rows; each of `rows` holds the key, then what is set.
pub(super) fn update(
    dialect: Dialect,
    table: &Table,
    key: &[&Column],
    set: &[&Column],
    rows: Vec<Vec<Bound>>,
) -> Statement {
    let columns: Vec<&Column> = key.iter().chain(set).copied().collect();
    let (source, bound) = dialect.rows(&columns, rows);
    let on = dialect.same_key(key);
    let name = dialect.table(table);
    let set = set.iter().zip(key.len()..).map(|(column, index)| {
        let owner = if dialect == Dialect::MySql { "t." } else { "" };
        format!("{owner}{} = v.c{index}", dialect.quoted(&column.name))
    });
    let set = list(set);
    let sql = match dialect {
        Dialect::MySql => format!("UPDATE {name} AS t JOIN {source} AS v ON {on} SET {set}"),
        _ => format!("UPDATE {name} AS t SET {set} FROM {source} AS v WHERE {on}"),
    };
    (sql, bound)
}

/// Deletes rows by key.
pub(super) fn delete(
    dialect: Dialect,
    table: &Table,
    key: &[&Column],
    keys: Vec<Vec<Bound>>,
) -> Statement {
    let (source, bound) = dialect.rows(key, keys);
    let (on, name) = (dialect.same_key(key), dialect.table(table));
    let sql = match dialect {
        Dialect::Postgres => format!("DELETE FROM {name} AS t USING {source} AS v WHERE {on}"),
        Dialect::MySql => format!("DELETE t FROM {name} AS t JOIN {source} AS v ON {on}"),
        Dialect::Sqlite => {
            format!("DELETE FROM {name} AS t WHERE EXISTS (SELECT 1 FROM {source} AS v WHERE {on})")
        }
    };
    (sql, bound)
}

/// Inserts rows; where `shown` has columns, the statement is a query that gives those of the new rows, in order.
pub(super) fn insert(
    dialect: Dialect,
    table: &Table,
    columns: &[&Column],
    rows: Vec<Vec<Bound>>,
    shown: &[Column],
) -> Statement {
    let names = list(columns.iter().map(|column| dialect.quoted(&column.name)));
    let name = dialect.table(table);
    if columns.is_empty() {
        let values = if dialect == Dialect::MySql { "() VALUES ()" } else { "DEFAULT VALUES" };
        return (format!("INSERT INTO {name} {values}"), Vec::new());
    }
    let alias = if dialect == Dialect::MySql { "" } else { " AS t" };
    let (source, bound) = match dialect {
        Dialect::Postgres => {
            let (source, bound) = dialect.rows(columns, rows);
            let cells = list((0..columns.len()).map(|index| format!("v.c{index}")));
            (format!("SELECT {cells} FROM {source} AS v"), bound)
        }
        Dialect::MySql | Dialect::Sqlite => {
            let row = format!("({})", list(columns.iter().map(|_| "?".to_owned())));
            let values = list(rows.iter().map(|_| row.clone()));
            (format!("VALUES {values}"), rows.into_iter().flatten().collect())
        }
    };
    let mut sql = format!("INSERT INTO {name}{alias} ({names}) {source}");
    if !shown.is_empty() {
        let shown = list(shown.iter().map(|column| dialect.selected(column)));
        sql.push_str(&format!(" RETURNING {shown}"));
    }
    (sql, bound)
}

/// One page of a read in the order of `order`.
pub(super) struct PageQuery<'a> {
    pub(super) table: &'a Table,
    pub(super) columns: &'a [Column],
    /// The columns that the rows are ordered by; no two rows are equal in all of them.
    pub(super) order: &'a [&'a Column],
    /// Where the page before stopped: a value for each column of the order.
    pub(super) after: Option<Vec<Bound>>,
    /// The least value of the first column of the order.
    pub(super) from: Option<Vec<Bound>>,
    /// Only rows in which one of these is NULL; they have no place in an order.
    pub(super) without: &'a [&'a Column],
    pub(super) limit: usize,
}

impl<'a> PageQuery<'a> {
    /// All rows from the first on.
    pub(super) fn new(table: &'a Table, columns: &'a [Column], order: &'a [&'a Column]) -> Self {
        let (after, from, without, limit) = (None, None, &[][..], usize::MAX);
        Self { table, columns, order, after, from, without, limit }
    }

    pub(super) fn statement(self, dialect: Dialect) -> Statement {
        let name = |column: &Column| format!("t.{}", dialect.quoted(&column.name));
        let (mut bound, mut conditions) = (Vec::new(), Vec::new());
        if let (Some(from), Some(first)) = (self.from, self.order.first()) {
            conditions.push(from_condition(dialect, first, &name(first), bound.len() + 1));
            bound.extend(from);
        }
        if let Some(after) = self.after {
            let place = |index: usize, number| dialect.place(self.order[index], number);
            if dialect == Dialect::MySql {
                conditions.push(after_condition(self.order.len(), |index| name(self.order[index])));
                // Each column but the last is compared again before the next one is looked at.
                let again = (0..after.len()).flat_map(|index| 0..=index);
                bound.push(after[0].clone());
                bound.extend(again.map(|index| after[index].clone()));
            } else {
                let places = (0..after.len()).map(|index| place(index, bound.len() + 1 + index));
                let names = list(self.order.iter().map(|column| name(column)));
                conditions.push(format!("({names}) > ({})", list(places)));
                bound.extend(after);
            }
        }
        // A row with a NULL there has no place in the order.
        let nullable = self.order.iter().filter(|column| column.nullable);
        conditions.extend(nullable.map(|column| format!("{} IS NOT NULL", name(column))));
        let nulls: Vec<String> =
            self.without.iter().map(|column| format!("{} IS NULL", name(column))).collect();
        if !nulls.is_empty() {
            conditions.push(format!("({})", nulls.join(" OR ")));
        }
        let mut sql = format!(
            "SELECT {} FROM {} AS t",
            list(self.columns.iter().map(|column| dialect.selected(column))),
            dialect.table(self.table)
        );
        if !conditions.is_empty() {
            sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        if !self.order.is_empty() {
            let order = list(self.order.iter().map(|column| name(column)));
            sql.push_str(&format!(" ORDER BY {order}"));
        }
        sql.push_str(&format!(" LIMIT {}", self.limit));
        (sql, bound)
    }
}

/// That the first column of an order is not below a bound. SQLite's columns hold what they are given: numbers, text
/// that begins with an ISO date, and text that says nothing of its order, which is always read.
fn from_condition(dialect: Dialect, column: &Column, name: &str, number: usize) -> String {
    match dialect {
        Dialect::Sqlite => {
            let iso = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*";
            format!(
                "({name} >= ? OR (typeof({name}) IN ('integer', 'real') AND {name} >= ?) \
                 OR (typeof({name}) = 'text' AND {name} NOT GLOB '{iso}'))"
            )
        }
        _ => format!("{name} >= {}", dialect.place(column, number)),
    }
}

/// `a >= ? AND (a > ? OR (a = ? AND b > ?))`: MySQL finds such rows by index, and not with `(a, b) > (?, ?)`.
fn after_condition(len: usize, name: impl Fn(usize) -> String) -> String {
    let steps = (0..len).map(|last| {
        let equal = (0..last).map(|index| format!("{} = ?", name(index)));
        let parts: Vec<String> = equal.chain([format!("{} > ?", name(last))]).collect();
        format!("({})", parts.join(" AND "))
    });
    let steps: Vec<String> = steps.collect();
    format!("{} >= ? AND ({})", name(0), steps.join(" OR "))
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// Rows as columns of texts.
fn transposed(width: usize, rows: Vec<Vec<Bound>>) -> Vec<Bound> {
    let mut columns = vec![Vec::with_capacity(rows.len()); width];
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(match value {
                Bound::Text(text) => Some(text),
                _ => None,
            });
        }
    }
    columns.into_iter().map(Bound::Texts).collect()
}
