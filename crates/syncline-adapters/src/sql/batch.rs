//! A batch of writes on its way through one transaction.

use super::Known;
use super::session::{Bound, Fault, FaultKind, Row, Session};
use super::settings::Spec;
use super::statement::{self, Dialect};
use super::table::Column;
use super::value::{bind, bind_key, same};
use super::write::BATCH_MAX;
use crate::write::{Change, Replies, Target, Write, Written};
use compact_str::{CompactString, ToCompactString};
use std::collections::BTreeMap;
use std::ops::Range;
use syncline_core::record::Cursor;
use syncline_core::value::Value;

/// A write, bound to the columns of its table.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The index of the write.
    pub(super) index: usize,
    /// The key, then what the columns of the group are to hold.
    pub(super) row: Vec<Bound>,
}

/// Writes that one statement can do: they set the same columns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    Update(Vec<CompactString>),
    Delete,
    Create(Vec<CompactString>),
}

/// A batch on its way.
pub(super) struct Batch<'a> {
    pub(super) dialect: Dialect,
    pub(super) spec: &'a Spec,
    pub(super) known: &'a Known,
    pub(super) writes: &'a [Write],
    /// What became of each write, as soon as it is known.
    pub(super) written: Vec<Option<Written>>,
    /// The rows as they are after the batch.
    rows: Vec<Row>,
    /// Updates to a value that another row has: that one may be about to give it up.
    pub(super) waiting: Vec<Waiting>,
}

/// An update that waits for another row of the batch.
pub(super) struct Waiting {
    pub(super) action: Action,
    pub(super) item: Item,
    /// What the database said of it.
    pub(super) fault: Fault,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        dialect: Dialect,
        spec: &'a Spec,
        known: &'a Known,
        writes: &'a [Write],
    ) -> Self {
        let written = vec![None; writes.len()];
        Self { dialect, spec, known, writes, written, rows: Vec::new(), waiting: Vec::new() }
    }

    pub(super) async fn run(&mut self, session: &mut dyn Session) -> Result<(), Fault> {
        let mut groups: BTreeMap<Action, Vec<Item>> = BTreeMap::new();
        for index in 0..self.writes.len() {
            match self.item(index) {
                Ok((action, item)) => groups.entry(action).or_default().push(item),
                Err(refused) => self.written[index] = Some(refused),
            }
        }
        self.compare(session, &groups).await?;
        self.look_for_existing(session).await?;
        for (action, mut items) in groups {
            items.retain(|item| self.written[item.index].is_none());
            self.apply(session, &action, &items).await?;
        }
        self.change_places(session).await?;
        self.show(session).await
    }

    /// The write number `index` as its columns take it.
    fn item(&self, index: usize) -> Result<(Action, Item), Written> {
        let wrong = |problem: String| Written::Rejected { field: None, problem };
        let write = &self.writes[index];
        let (target, fields) = match &write.change {
            Change::Update { target, fields } => (Some(target), fields.as_slice()),
            Change::Delete { target } => (Some(target), &[][..]),
            Change::Create { fields } => (None, fields.as_slice()),
        };
        let mut row = match target {
            Some(target) => key_of(self.dialect, self.known, &target.key).map_err(wrong)?,
            None => Vec::new(),
        };
        let mut names = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            row.push(self.bound(name, value)?);
            names.push(name.clone());
        }
        let action = match &write.change {
            Change::Update { .. } if names.is_empty() => {
                return Err(wrong("an update changes at least one field".to_owned()));
            }
            Change::Update { .. } => Action::Update(names),
            Change::Delete { .. } => Action::Delete,
            Change::Create { .. } => {
                if let Some(marker) = &self.spec.marker
                    && !names.iter().any(|name| name == marker)
                {
                    row.push(self.bound(marker, &Value::Text(write.marker.clone()))?);
                    names.push(marker.to_compact_string());
                }
                Action::Create(names)
            }
        };
        Ok((action, Item { index, row }))
    }

    fn bound(&self, name: &str, value: &Value) -> Result<Bound, Written> {
        let rejected = |problem: String| Written::Rejected { field: Some(name.into()), problem };
        // The table is not what the settings were made for: that is no fault of this record.
        let not_sent =
            |fault: Fault| Written::NotSent { problem: fault.problem, retry_after_ms: None };
        let column = self.known.table.column(name).map_err(not_sent)?;
        if column.generated {
            return Err(rejected("the database alone says what this column holds".to_owned()));
        }
        bind(self.dialect, column, value).map_err(rejected)
    }

    pub(super) fn columns(&self, names: &[CompactString]) -> Vec<&'a Column> {
        names.iter().filter_map(|name| self.known.table.find(name)).collect()
    }

    pub(super) fn key_columns(&self) -> Vec<&'a Column> {
        self.known.key.iter().collect()
    }

    /// Locks the rows of all updates and deletions, and decides those whose row is not as the writer knew it.
    async fn compare(
        &mut self,
        session: &mut dyn Session,
        groups: &BTreeMap<Action, Vec<Item>>,
    ) -> Result<(), Fault> {
        let known = self.known;
        let mut wanted: Vec<(usize, Vec<Bound>)> = Vec::new();
        for (action, items) in groups {
            if !matches!(action, Action::Create(_)) {
                let key = |item: &Item| (item.index, item.row[..known.key.len()].to_vec());
                wanted.extend(items.iter().map(key));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let (indices, keys): (Vec<usize>, Vec<Vec<Bound>>) = wanted.into_iter().unzip();
        let (table, key) = (&known.table, self.key_columns());
        let (sql, bound) = statement::by_key(self.dialect, table, &table.columns, &key, keys, true);
        let rows = session.query(&sql, bound, &table.columns).await?;
        let found: BTreeMap<Vec<CompactString>, &Row> =
            rows.iter().map(|row| (self.key_in(row, &table.columns), row)).collect();
        for index in indices {
            let (Change::Update { target, .. } | Change::Delete { target }) =
                &self.writes[index].change
            else {
                continue;
            };
            let verdict = match found.get(&target.key) {
                None => Some(Written::Missing),
                Some(row) if !self.is_as_known(row, target) => Some(Written::Changed),
                Some(_) => None,
            };
            self.written[index] = verdict;
        }
        Ok(())
    }

    fn is_as_known(&self, row: &Row, target: &Target) -> bool {
        let holds = |name: &str, value: &Value| {
            let columns = &self.known.table.columns;
            let place = columns.iter().position(|column| column.name == name);
            place.is_some_and(|place| {
                let cell = row.cells.get(place).and_then(Option::as_ref);
                cell.is_some_and(|cell| same(&columns[place].kind, cell, value))
            })
        };
        match (&self.spec.version, &target.version) {
            (Some(column), Some(version)) => holds(column, &Value::Text(version.clone())),
            _ => target.before.iter().all(|(name, value)| holds(name, value)),
        }
    }

    /// The key of a row in `columns`, as texts.
    pub(super) fn key_in(&self, row: &Row, columns: &[Column]) -> Vec<CompactString> {
        let part = |column: &Column| {
            let place = columns.iter().position(|other| other.name == column.name);
            let cell = place.and_then(|place| row.cells.get(place)).and_then(Option::as_ref);
            cell.map_or_else(CompactString::default, |cell| cell.to_plain().to_compact_string())
        };
        self.known.key.iter().map(part).collect()
    }

    /// Does what `items` ask for, each in a statement with as many others as possible.
    async fn apply(
        &mut self,
        session: &mut dyn Session,
        action: &Action,
        items: &[Item],
    ) -> Result<(), Fault> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        if self.goes_singly(action) {
            ranges.extend((0..items.len()).rev().map(|index| index..index + 1));
        } else if !items.is_empty() {
            ranges.push(0..items.len());
        }
        while let Some(range) = ranges.pop() {
            let part = &items[range.clone()];
            session.execute("SAVEPOINT part", Vec::new()).await?;
            match self.change(session, action, part).await {
                Ok(()) => _ = session.execute("RELEASE SAVEPOINT part", Vec::new()).await?,
                Err(fault) if matches!(fault.kind, FaultKind::Aborted | FaultKind::Lost) => {
                    return Err(fault);
                }
                Err(fault) => {
                    session.execute("ROLLBACK TO SAVEPOINT part", Vec::new()).await?;
                    if range.len() > 1 && fault.kind != FaultKind::Refused {
                        let middle = range.start + range.len() / 2;
                        ranges.extend([middle..range.end, range.start..middle]);
                        continue;
                    }
                    match (action, part) {
                        (Action::Update(_), [item]) if fault.kind == FaultKind::Taken => {
                            let (action, item) = (action.clone(), item.clone());
                            self.waiting.push(Waiting { action, item, fault });
                        }
                        _ => self.refuse(session, action, part, fault).await?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether each new row needs a statement of its own, so that its key is told.
    fn goes_singly(&self, action: &Action) -> bool {
        let Action::Create(names) = action else { return false };
        let has_key = self.known.key.iter().all(|column| names.contains(&column.name));
        match self.dialect {
            Dialect::Postgres => names.is_empty(),
            Dialect::MySql | Dialect::Sqlite => !has_key,
        }
    }

    pub(super) async fn change(
        &mut self,
        session: &mut dyn Session,
        action: &Action,
        items: &[Item],
    ) -> Result<(), Fault> {
        let (table, key) = (&self.known.table, self.key_columns());
        let rows = items.iter().map(|item| item.row.clone()).collect();
        let (sql, bound) = match action {
            Action::Update(names) => {
                statement::update(self.dialect, table, &key, &self.columns(names), rows)
            }
            Action::Delete => statement::delete(self.dialect, table, &key, rows),
            Action::Create(names) => return self.create(session, names, items, rows).await,
        };
        let count = session.execute(&sql, bound).await?;
        // Views with rules, and triggers, can keep a row from being changed without an error.
        if count != items.len() as u64 {
            let problem = format!("{count} of {} rows were changed", items.len());
            return Err(Fault::new(FaultKind::Rejected, problem));
        }
        for item in items {
            let (Change::Update { target, .. } | Change::Delete { target }) =
                &self.writes[item.index].change
            else {
                continue;
            };
            let mut key = target.key.clone();
            if let Change::Update { fields, .. } = &self.writes[item.index].change {
                self.overlay(&mut key, fields);
            }
            self.written[item.index] = Some(Written::Done { key, record: None });
        }
        Ok(())
    }

    async fn create(
        &mut self,
        session: &mut dyn Session,
        names: &[CompactString],
        items: &[Item],
        rows: Vec<Vec<Bound>>,
    ) -> Result<(), Fault> {
        let known = self.known;
        let columns = self.columns(names);
        let shown = if self.dialect == Dialect::Postgres { &known.columns[..] } else { &[] };
        let (sql, bound) = statement::insert(self.dialect, &known.table, &columns, rows, shown);
        if !shown.is_empty() {
            let rows = session.query(&sql, bound, shown).await?;
            if rows.len() != items.len() {
                let problem = format!("{} of {} rows were made", rows.len(), items.len());
                return Err(Fault::new(FaultKind::Rejected, problem));
            }
            for (item, row) in items.iter().zip(rows) {
                let key = self.key_in(&row, shown);
                let record = self.keep(row);
                self.written[item.index] = Some(Written::Done { key, record });
            }
            return Ok(());
        }
        session.execute(&sql, bound).await?;
        for item in items {
            let Change::Create { fields } = &self.writes[item.index].change else { continue };
            let made = session.last_key().map(|key| key.to_compact_string()).unwrap_or_default();
            let mut key = vec![made; known.key.len()];
            self.overlay(&mut key, fields);
            self.written[item.index] = Some(Written::Done { key, record: None });
        }
        Ok(())
    }

    /// Puts the fields that are part of the key into `key`.
    fn overlay(&self, key: &mut [CompactString], fields: &[(CompactString, Value)]) {
        for (part, column) in key.iter_mut().zip(&self.known.key) {
            if let Some((_, value)) = fields.iter().find(|(name, _)| *name == column.name) {
                *part = value.to_plain().to_compact_string();
            }
        }
    }

    /// Says of `items` why they were not done.
    pub(super) async fn refuse(
        &mut self,
        session: &mut dyn Session,
        action: &Action,
        items: &[Item],
        fault: Fault,
    ) -> Result<(), Fault> {
        let is_creation = matches!(action, Action::Create(_));
        if fault.kind == FaultKind::Taken && is_creation {
            // Somebody else made the row since we looked, or two creations of this batch are for one row.
            self.look_for_existing(session).await?;
            for item in items {
                self.written[item.index].get_or_insert(Written::Exists { key: None });
            }
            return Ok(());
        }
        for item in items {
            let (field, problem) = (fault.column.clone(), fault.problem.clone());
            self.written[item.index] = Some(match fault.kind {
                // No row is at fault, but a right that is missing, or a table that is not as it was.
                FaultKind::Refused => Written::NotSent { problem, retry_after_ms: None },
                _ => Written::Rejected { field, problem },
            });
        }
        Ok(())
    }

    /// Keeps a row to be shown, and returns its index; one that cannot be read is not shown.
    fn keep(&mut self, row: Row) -> Option<usize> {
        if row.problem.is_some() {
            return None;
        }
        self.rows.push(row);
        Some(self.rows.len() - 1)
    }

    /// Reads the rows that were changed as they are now.
    async fn show(&mut self, session: &mut dyn Session) -> Result<(), Fault> {
        let mut keys = Vec::new();
        for (index, written) in self.written.iter().enumerate() {
            if let Some(Written::Done { key, record: None }) = written
                && !matches!(self.writes[index].change, Change::Delete { .. })
            {
                keys.extend(key_of(self.dialect, self.known, key));
            }
        }
        let mut places: BTreeMap<Vec<CompactString>, usize> = BTreeMap::new();
        for keys in chunks(keys) {
            for row in by_key(session, self.dialect, self.known, keys).await? {
                let key = self.key_in(&row, &self.known.columns);
                places.extend(self.keep(row).map(|index| (key, index)));
            }
        }
        for written in self.written.iter_mut().flatten() {
            if let Written::Done { key, record: record @ None } = written {
                *record = places.get(key).copied();
            }
        }
        Ok(())
    }

    /// What became of the writes after a commit.
    pub(super) fn replies(self) -> Replies {
        let lost =
            || Written::NotSent { problem: "it was passed over".to_owned(), retry_after_ms: None };
        Replies {
            written: self.written.into_iter().map(|one| one.unwrap_or_else(lost)).collect(),
            records: self.known.page(self.rows, 1, Cursor::Null),
        }
    }

    /// The transaction was undone: what was done, was not.
    pub(super) fn undone(self, problem: &str) -> Replies {
        let problem = problem.to_owned();
        self.instead_of_done(Written::NotSent { problem, retry_after_ms: None })
    }

    /// The reply to the commit was lost.
    pub(super) fn unknown(self, problem: &str) -> Replies {
        self.instead_of_done(Written::Unknown { problem: problem.to_owned() })
    }

    /// The commit was refused.
    pub(super) fn rejected(self, fault: Fault) -> Replies {
        let verdict = match fault.kind {
            FaultKind::Aborted => Written::NotSent { problem: fault.problem, retry_after_ms: None },
            _ => Written::Rejected { field: fault.column, problem: fault.problem },
        };
        self.instead_of_done(verdict)
    }

    fn instead_of_done(self, verdict: Written) -> Replies {
        let told = |written: Option<Written>| match written {
            None | Some(Written::Done { .. }) => verdict.clone(),
            Some(decided) => decided,
        };
        Replies {
            written: self.written.into_iter().map(told).collect(),
            records: self.known.page(Vec::new(), 1, Cursor::Null),
        }
    }
}

/// A key as its columns take it.
pub(super) fn key_of(
    dialect: Dialect,
    known: &Known,
    key: &[CompactString],
) -> Result<Vec<Bound>, String> {
    if key.len() != known.key.len() {
        return Err(format!("its key has {} parts instead of {}", key.len(), known.key.len()));
    }
    known.key.iter().zip(key).map(|(column, text)| bind_key(dialect, column, text)).collect()
}

pub(super) fn chunks<T>(mut all: Vec<T>) -> Vec<Vec<T>> {
    let mut chunks = Vec::new();
    while all.len() > BATCH_MAX {
        let rest = all.split_off(BATCH_MAX);
        chunks.push(std::mem::replace(&mut all, rest));
    }
    chunks.extend((!all.is_empty()).then_some(all));
    chunks
}

/// The rows with these keys, in the columns that are read.
pub(super) async fn by_key(
    session: &mut dyn Session,
    dialect: Dialect,
    known: &Known,
    keys: Vec<Vec<Bound>>,
) -> Result<Vec<Row>, Fault> {
    let key: Vec<&Column> = known.key.iter().collect();
    let (sql, bound) = statement::by_key(dialect, &known.table, &known.columns, &key, keys, false);
    session.query(&sql, bound, &known.columns).await
}
