//! JSON objects as records, with the declared types of their columns.

use super::settings::Settings;
use super::types;
use crate::object;
use crate::page::PageBuilder;
use std::sync::Arc;
use syncline_core::config::model::{ColumnType, EmptyColumn};
use syncline_core::record::Shape;
use syncline_core::value::Cell;

/// Turns JSON objects into records.
pub(super) struct ObjectReader {
    columns: Vec<(String, ColumnType)>,
    empty: EmptyColumn,
}

impl ObjectReader {
    /// Reads with the declared columns of `settings`.
    pub(super) fn new(settings: &Settings) -> Self {
        let columns = settings.columns.iter().map(|(name, &ty)| (name.clone(), ty)).collect();
        Self { columns, empty: settings.empty }
    }

    /// Adds the object in `json`, which stands at `line`, to `page`: as a record, or as a reject.
    pub(super) fn read(&self, json: &[u8], line: u64, page: &mut PageBuilder) {
        match self.cells(json, line, &mut page.shape) {
            Ok(cells) => page.push(cells, line),
            Err(problem) => page.reject(line, json, problem),
        }
    }

    fn cells(&self, json: &[u8], line: u64, shape: &mut Arc<Shape>) -> Result<Vec<Cell>, String> {
        let mut cells = object::cells(json, shape)?;
        for (name, column_type) in &self.columns {
            let cell = shape.position(name).and_then(|index| cells.get_mut(index));
            if let Some(cell) = cell
                && let Some(value) = cell.take()
            {
                *cell = types::coerce(value, *column_type, self.empty)
                    .map_err(|value| mismatch(name, *column_type, line, &value.to_plain()))?;
            }
        }
        Ok(cells)
    }
}

/// What is said of a value that does not fit the declared type of its column.
pub(super) fn mismatch(column: &str, column_type: ColumnType, line: u64, value: &str) -> String {
    let type_name = types::type_name(column_type);
    let shown: String = value.chars().take(80).collect();
    let dots = if shown.len() < value.len() { "…" } else { "" };
    format!("column `{column}` says {type_name}, line {line} holds `{shown}{dots}`")
}
