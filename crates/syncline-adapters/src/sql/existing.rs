//! Whether the row that a creation is to make is there already.

use super::batch::{Batch, by_key, chunks, key_of};
use super::session::{Bound, Fault, Row, Session};
use super::statement;
use super::table::Column;
use super::value::{bind, same};
use super::write::BATCH_MAX;
use crate::write::{Change, Written};
use compact_str::CompactString;
use syncline_core::value::Value;

/// The index of a creation, and what it puts into some columns.
type Filling = (usize, Vec<Bound>);

impl<'a> Batch<'a> {
    /// Decides the creations of rows that are there.
    pub(super) async fn look_for_existing(
        &mut self,
        session: &mut dyn Session,
    ) -> Result<(), Fault> {
        for (index, key) in self.existing(session).await? {
            self.written[index].get_or_insert(Written::Exists { key: Some(key) });
        }
        Ok(())
    }

    /// The keys of rows that hold what creations would put into unique columns, with the index of the creation.
    async fn existing(
        &mut self,
        session: &mut dyn Session,
    ) -> Result<Vec<(usize, Vec<CompactString>)>, Fault> {
        let mut existing = Vec::new();
        for (unique, items) in self.unique_values() {
            for chunk in items.chunks(BATCH_MAX) {
                let rows = self.with_values(session, &unique, chunk).await?;
                let columns = &self.known.table.columns;
                for row in &rows {
                    let same_row = |index: &usize| self.has_values(row, &unique, *index);
                    let indices = chunk.iter().map(|(index, _)| *index).filter(same_row);
                    existing.extend(indices.map(|index| (index, self.key_in(row, columns))));
                }
            }
        }
        Ok(existing)
    }

    /// For each set of unique columns, the undecided creations that fill it, with what they fill it with.
    pub(super) fn unique_values(&self) -> Vec<(Vec<&'a Column>, Vec<Filling>)> {
        let mut sets = Vec::new();
        for names in &self.known.table.unique {
            let columns = self.columns(names);
            let mut items = Vec::new();
            for (index, write) in self.writes.iter().enumerate() {
                let Change::Create { fields } = &write.change else { continue };
                if self.written[index].is_some() {
                    continue;
                }
                let value = |column: &&Column| {
                    let marker = self.spec.marker.as_ref().is_some_and(|m| *m == column.name);
                    let field = fields.iter().find(|(name, _)| *name == column.name);
                    let bound = match field {
                        Some((_, value)) => bind(self.dialect, column, value).ok()?,
                        None if marker => Bound::Text(write.marker.to_string()),
                        None => return None,
                    };
                    // NULLs are never equal to each other.
                    (bound != Bound::Null).then_some(bound)
                };
                if let Some(values) = columns.iter().map(value).collect() {
                    items.push((index, values));
                }
            }
            if !items.is_empty() {
                sets.push((columns, items));
            }
        }
        sets
    }

    async fn with_values(
        &self,
        session: &mut dyn Session,
        unique: &[&Column],
        items: &[Filling],
    ) -> Result<Vec<Row>, Fault> {
        let values = items.iter().map(|(_, values)| values.clone()).collect();
        let table = &self.known.table;
        let (sql, bound) =
            statement::by_key(self.dialect, table, &table.columns, unique, values, false);
        session.query(&sql, bound, &table.columns).await
    }

    /// Whether `row` holds, in `unique`, what the creation number `index` would put there.
    fn has_values(&self, row: &Row, unique: &[&Column], index: usize) -> bool {
        let Change::Create { fields } = &self.writes[index].change else { return false };
        let marker = Value::Text(self.writes[index].marker.clone());
        unique.iter().all(|column| {
            let columns = &self.known.table.columns;
            let place = columns.iter().position(|other| other.name == column.name);
            let cell = place.and_then(|place| row.cells.get(place)).and_then(Option::as_ref);
            let field = fields.iter().find(|(name, _)| *name == column.name);
            let value = field.map_or(&marker, |(_, value)| value);
            cell.is_some_and(|cell| {
                let folds = column.collation.is_some();
                same(&column.kind, cell, value)
                    || (folds && cell.to_plain().to_lowercase() == value.to_plain().to_lowercase())
            })
        })
    }

    /// The rows that the creations may have made: by their marker, or by what they put into unique columns.
    pub(super) async fn find(&mut self, session: &mut dyn Session) -> Result<Vec<Row>, Fault> {
        let mut keys: Vec<Vec<CompactString>> = Vec::new();
        let marker = self.spec.marker.as_ref().and_then(|name| self.known.table.find(name));
        match marker {
            Some(marker) => {
                let values = self
                    .writes
                    .iter()
                    .enumerate()
                    .map(|(index, write)| (index, vec![Bound::Text(write.marker.to_string())]));
                for items in chunks(values.collect()) {
                    let rows = self.with_values(session, &[marker], &items).await?;
                    keys.extend(rows.iter().map(|row| self.key_in(row, &self.known.table.columns)));
                }
            }
            None => keys.extend(self.existing(session).await?.into_iter().map(|(_, key)| key)),
        }
        keys.sort_unstable();
        keys.dedup();
        let keys = keys.iter().filter_map(|key| key_of(self.dialect, self.known, key).ok());
        let mut rows = Vec::new();
        for keys in chunks(keys.collect()) {
            rows.extend(by_key(session, self.dialect, self.known, keys).await?);
        }
        Ok(rows)
    }
}
