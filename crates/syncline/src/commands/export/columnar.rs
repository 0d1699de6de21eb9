//! Rows as Apache Parquet: typed columns, zstd, row groups of at most 65,536 rows.

use super::cell::{Cell, Column};
use crate::error::Error;
use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, RecordBatch,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::io;
use std::sync::Arc;
use syncline_core::config::model::FieldType;
use syncline_core::value::Value;

const GROUP_ROWS: usize = 1 << 16;

/// Takes rows, and writes them group by group.
pub(super) struct ParquetRows {
    writer: ArrowWriter<File>,
    schema: Arc<Schema>,
    names: Vec<String>,
    builders: Vec<Builder>,
    rows: usize,
}

enum Builder {
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Date(Date32Builder),
    Time(TimestampMicrosecondBuilder),
}

impl ParquetRows {
    pub(super) fn create(file: File, columns: &[Column]) -> Result<Self, Error> {
        let fields: Vec<Field> = columns
            .iter()
            .map(|column| Field::new(&column.name, data_type(column.field_type), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(format!("syncline {}", env!("CARGO_PKG_VERSION")))
            .build();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .map_err(|error| Error::Output(into_io(error)))?;
        Ok(Self {
            writer,
            schema,
            names: columns.iter().map(|column| column.name.clone()).collect(),
            builders: columns.iter().map(|column| Builder::new(column.field_type)).collect(),
            rows: 0,
        })
    }

    pub(super) fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), Error> {
        for ((builder, cell), name) in self.builders.iter_mut().zip(cells).zip(&self.names) {
            if !builder.append(cell) {
                let message = format!("column `{name}` cannot hold `{}`", cell.plain());
                let hint = "the type of the field has changed since: run `syncline run --full`, \
                            or export with `--format jsonl`";
                return Err(Error::refused(message, hint));
            }
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS {
            self.flush().map_err(Error::Output)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let columns = self.builders.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(io::Error::other)?;
        self.rows = 0;
        self.writer.write(&batch).map_err(into_io)?;
        self.writer.flush().map_err(into_io)
    }

    pub(super) fn finish(mut self) -> io::Result<File> {
        if self.rows > 0 {
            self.flush()?;
        }
        self.writer.into_inner().map_err(into_io)
    }
}

fn data_type(field_type: FieldType) -> DataType {
    match field_type {
        // Decimals stay text: no one precision fits all; lists and maps are JSON text.
        FieldType::Text | FieldType::Decimal | FieldType::List | FieldType::Json => DataType::Utf8,
        FieldType::Integer => DataType::Int64,
        FieldType::Number => DataType::Float64,
        FieldType::Boolean => DataType::Boolean,
        FieldType::Date => DataType::Date32,
        FieldType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

impl Builder {
    fn new(field_type: FieldType) -> Self {
        match data_type(field_type) {
            DataType::Int64 => Self::Int(Int64Builder::new()),
            DataType::Float64 => Self::Float(Float64Builder::new()),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Timestamp(..) => {
                Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Adds a cell; false if it is not of the column's type.
    fn append(&mut self, cell: &Cell<'_>) -> bool {
        let is_null = matches!(cell, Cell::Absent | Cell::Value(Value::Null));
        match self {
            Self::Text(column) => {
                column.append_option((!is_null).then(|| cell.plain()));
                true
            }
            Self::Int(column) => add(is_null, int(cell), |value| column.append_option(value)),
            Self::Float(column) => {
                let value = match cell {
                    Cell::Int(number) => Some(*number as f64),
                    Cell::Value(value) => value.as_f64(),
                    _ => None,
                };
                add(is_null, value, |value| column.append_option(value))
            }
            Self::Bool(column) => {
                let value = match cell {
                    Cell::Bool(answer) | Cell::Value(Value::Bool(answer)) => Some(*answer),
                    _ => None,
                };
                add(is_null, value, |value| column.append_option(value))
            }
            Self::Date(column) => {
                let date = cell.plain().parse::<jiff::civil::Date>().ok();
                let days = date.and_then(|date| {
                    let since = date.since(jiff::civil::date(1970, 1, 1)).ok()?;
                    Some(since.get_days())
                });
                add(is_null, days, |value| column.append_option(value))
            }
            Self::Time(column) => {
                let time = cell.plain().parse::<jiff::Timestamp>().ok();
                let time = time.map(|time| time.as_microsecond());
                add(is_null, time, |value| column.append_option(value))
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(column) => Arc::new(column.finish()),
            Self::Int(column) => Arc::new(column.finish()),
            Self::Float(column) => Arc::new(column.finish()),
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Date(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
        }
    }
}

fn int(cell: &Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Int(number) | Cell::Value(Value::Int(number)) => Some(*number),
        _ => None,
    }
}

fn add<T>(is_null: bool, value: Option<T>, append: impl FnOnce(Option<T>)) -> bool {
    let fits = is_null || value.is_some();
    if fits {
        append(if is_null { None } else { value });
    }
    fits
}

fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => io::Error::other(source),
        other => io::Error::other(other),
    }
}
