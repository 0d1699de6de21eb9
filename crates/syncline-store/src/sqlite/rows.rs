//! Rows as SQLite gives them.

use compact_str::CompactString;
use rusqlite::Row;
use rusqlite::types::{FromSqlError, ValueRef};
use std::sync::Arc;
use syncline_core::matching::Zone;
use syncline_core::plan::rows::{
    EntityId, ExecutionId, LinkId, LinkRow, MatchEdge, RuleId, ShardId, ShardRow, TypeId,
};
use syncline_core::plan::view::Expected;

/// The columns of `link l` with its stamp `t`, as [`link`] reads them.
pub(super) const LINK_COLUMNS: &str = "l.id, l.entity, l.external_id, l.shard, l.image, l.hash, \
    iif(t.link IS NULL, l.modified, t.modified), coalesce(t.observed, l.observed), \
    coalesce(t.execution, l.execution), coalesce(t.contributor, l.contributor), l.deleted";

/// Joins the stamps to `link l`. Only shared records have one: the others are not looked up.
pub(super) const LINK_STAMP: &str =
    "LEFT JOIN stamp t ON t.link = iif(l.contributor IS NULL, NULL, l.id)";

/// The columns of `shard s`, or of `shard_whole s`, as [`shard`] reads them. Of the table, the data is left out where a
/// link says the same.
pub(super) const SHARD_COLUMNS: &str = "s.id, s.uuid, s.type, s.data, s.version, s.created, \
    s.deleted_at, s.merged_into, s.said_by";

pub(super) fn link(row: &Row<'_>) -> rusqlite::Result<LinkRow> {
    Ok(LinkRow {
        id: LinkId(row.get(0)?),
        entity: EntityId(row.get(1)?),
        external_id: text(row, 2)?,
        shard: ShardId(row.get(3)?),
        image: Arc::from(row.get_ref(4)?.as_str()?),
        hash: number(row, 5)?,
        modified: row.get(6)?,
        observed: row.get(7)?,
        execution: ExecutionId(row.get(8)?),
        contributor: row.get_ref(9)?.as_str_or_null()?.map(CompactString::new),
        deleted: row.get(10)?,
    })
}

/// Whether the link of a row says what was expected.
pub(super) fn says(row: &Row<'_>, expected: &Expected) -> rusqlite::Result<bool> {
    let (modified, is_deleted): (Option<i64>, bool) = (row.get(6)?, row.get(10)?);
    let is_shared = row.get_ref(9)? != ValueRef::Null;
    let is_older = modified < expected.modified;
    Ok(!is_deleted && !is_shared && !is_older && number(row, 5)? == expected.hash)
}

pub(super) fn shard(row: &Row<'_>) -> rusqlite::Result<ShardRow> {
    Ok(ShardRow {
        id: ShardId(row.get(0)?),
        uuid: number(row, 1)?,
        shard_type: TypeId(row.get(2)?),
        data: Arc::from(row.get_ref(3)?.as_str()?),
        version: row.get(4)?,
        created: ExecutionId(row.get(5)?),
        deleted_at: row.get(6)?,
        merged_into: row.get::<_, Option<i64>>(7)?.map(ShardId),
        said_by: row.get::<_, Option<i64>>(8)?.map(LinkId),
    })
}

pub(super) fn match_edge(row: &Row<'_>) -> rusqlite::Result<MatchEdge> {
    Ok(MatchEdge {
        a: LinkId(row.get(0)?),
        b: LinkId(row.get(1)?),
        score: row.get(2)?,
        rule: RuleId(row.get(3)?),
        zone: if row.get(4)? { Zone::Match } else { Zone::Review },
    })
}

pub(super) fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<CompactString> {
    Ok(CompactString::new(row.get_ref(index)?.as_str()?))
}

/// A number of 128 bits, kept as 16 bytes, highest first.
pub(super) fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u128> {
    let bytes = row.get_ref(index)?.as_blob()?;
    let bytes = bytes
        .try_into()
        .map_err(|_| FromSqlError::InvalidBlobSize { expected_size: 16, blob_size: bytes.len() })?;
    Ok(u128::from_be_bytes(bytes))
}
