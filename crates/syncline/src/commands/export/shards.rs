//! One row for each shard.

use super::cell::{Cell, Column};
use super::links::uuid_cell;
use super::sink::Sink;
use super::{Format, PAGE, Source};
use crate::app::App;
use crate::error::Error;
use std::sync::Arc;
use syncline_core::config::model::{FieldDef, FieldType, ShardType};
use syncline_core::plan::rows::{ShardId, ShardRow};
use syncline_core::shard::Layout;
use syncline_core::value::Value;
use syncline_store::query::ShardFilter;
use syncline_store::{Store, StoreError};
use tokio::sync::mpsc;

/// How many columns come before the fields.
const FIXED: usize = 5;

/// The columns: fixed ones, then the data as JSON, or a column for each field.
pub(super) async fn columns(
    source: &Source,
    format: Format,
    app: &App,
) -> Result<Vec<Column>, Error> {
    let mut columns = vec![
        Column::new("id", FieldType::Text),
        Column::new("type", FieldType::Text),
        Column::new("version", FieldType::Integer),
        Column::new("created_at", FieldType::Timestamp),
        Column::new("deleted_at", FieldType::Timestamp),
    ];
    if format == Format::Jsonl {
        columns.push(Column::new("data", FieldType::Json));
        return Ok(columns);
    }
    for (name, field_type) in fields(source, app).await? {
        // A field may be called like a fixed column; two columns of one name would be lost in most readers.
        let is_taken = columns[..FIXED].iter().any(|column| column.name == name);
        let name = if is_taken { format!("data.{name}") } else { name };
        columns.push(Column { name, field_type });
    }
    Ok(columns)
}

/// The fields of the one type that is written.
async fn fields(source: &Source, app: &App) -> Result<Vec<(String, FieldType)>, Error> {
    let name = match (source.shard_type, source.types.len()) {
        (Some(id), _) => &source.types[&id],
        (None, 1) => source.types.values().next().expect("there is one"),
        (None, 0) => return Ok(Vec::new()),
        (None, _) => {
            let names: Vec<&str> = source.types.values().map(String::as_str).collect();
            let hint =
                format!("add `--type` with one of {}, or use `--format jsonl`", names.join(", "));
            return Err(Error::usage("each shard type has its own columns", hint));
        }
    };
    // The configuration may be elsewhere (`--store` alone) or wrong; the data itself then tells its fields.
    if let Ok(workspace) = app.load(None)
        && let Some(shard_type) = workspace.config().shard_types.get(name)
    {
        let fields = shard_type.fields.0.iter();
        return Ok(fields.map(|(name, def)| (name.clone(), def.field_type())).collect());
    }
    let mut fields: Vec<(String, FieldType)> = Vec::new();
    let mut pages = read(source);
    while let Some(page) = pages.recv().await {
        for shard in page? {
            let Ok(Value::Map(entries)) = serde_json::from_str(&shard.data) else { continue };
            for (name, _) in entries {
                if !fields.iter().any(|(known, _)| *known == name) {
                    fields.push((name.to_string(), FieldType::Json));
                }
            }
        }
    }
    Ok(fields)
}

/// Reads the shards in the background, page by page and by row number.
fn read(source: &Source) -> mpsc::Receiver<Result<Vec<ShardRow>, StoreError>> {
    let (sender, receiver) = mpsc::channel(2);
    let store: Arc<dyn Store> = source.store.clone();
    let (shard_type, with_deleted) = (source.shard_type, source.with_deleted);
    tokio::spawn(async move {
        let mut after = ShardId(0);
        loop {
            let filter =
                ShardFilter { shard_type, after, limit: PAGE, with_deleted, fields: Vec::new() };
            let page = store.shards(filter).await;
            let last = page.as_ref().ok().and_then(|page| page.last().map(|shard| shard.id));
            let is_end = last.is_none() && page.is_ok();
            if is_end || sender.send(page).await.is_err() {
                return;
            }
            let Some(last) = last else { return };
            after = last;
        }
    });
    receiver
}

/// Writes every shard; returns how many.
pub(super) async fn write(
    source: &Source,
    columns: &[Column],
    format: Format,
    sink: &mut Sink,
) -> Result<u64, Error> {
    let layout = (format != Format::Jsonl).then(|| layout(columns));
    let mut pages = read(source);
    let mut rows = 0;
    while let Some(page) = pages.recv().await {
        for shard in page? {
            let type_name = source.types.get(&shard.shard_type).map_or("", String::as_str);
            let mut cells = vec![
                uuid_cell(Some(shard.uuid)),
                Cell::text(type_name),
                Cell::Int(shard.version),
                Cell::time(Some(created_us(shard.uuid))),
                Cell::time(shard.deleted_at),
            ];
            let Some(layout) = &layout else {
                cells.push(Cell::Json(&shard.data));
                sink.row(&cells)?;
                rows += 1;
                continue;
            };
            let image = layout.read_json(&shard.data).map_err(|error| StoreError::Damaged {
                path: "the store".to_owned(),
                problem: format!("the data of shard {} is no JSON object: {error}", shard.id),
            })?;
            cells.extend(image.iter().map(|cell| match cell {
                Some(Value::Null) | None => Cell::Absent,
                Some(value) => Cell::Value(value),
            }));
            sink.row(&cells)?;
            rows += 1;
        }
    }
    Ok(rows)
}

/// The layout of the columns behind the fixed ones.
fn layout(columns: &[Column]) -> Layout {
    let (fixed, fields) = columns.split_at(FIXED);
    let mut shard_type = ShardType::default();
    for column in fields {
        let whole = column.name.as_str();
        let renamed = whole.strip_prefix("data.");
        let renamed = renamed.filter(|name| fixed.iter().any(|column| column.name == *name));
        let name = renamed.unwrap_or(whole).to_owned();
        shard_type.fields.0.push((name, FieldDef::Short(column.field_type)));
    }
    Layout::new("", &shard_type)
}

/// When a shard was made, in microseconds since 1970: its id begins with the milliseconds (RFC 9562, section 5.7).
fn created_us(uuid: u128) -> i64 {
    i64::try_from(uuid >> 80).unwrap_or(0).saturating_mul(1000)
}
