//! One row for each edge that a record states.

use super::Source;
use super::cell::{Cell, Column};
use super::links::{LinkPage, read, uuid_cell, uuids};
use super::sink::Sink;
use crate::error::Error;
use std::collections::HashMap;
use syncline_core::config::model::FieldType;
use syncline_core::plan::rows::{LinkId, LinkRow};

/// The columns: what stands where is fixed, others read it.
pub(super) fn columns() -> Vec<Column> {
    [
        "from_id",
        "relationship",
        "to_id",
        "state",
        "from_external_id",
        "from_connection",
        "from_entity",
        "to_external_id",
        "to_connection",
        "to_entity",
    ]
    .map(|name| Column::new(name, FieldType::Text))
    .to_vec()
}

/// Writes every edge; returns how many.
pub(super) async fn write(source: &Source, sink: &mut Sink) -> Result<u64, Error> {
    let mut pages = read(source.store.clone());
    let mut rows = 0;
    while let Some(page) = pages.recv().await {
        rows += write_page(source, &page?, sink).await?;
    }
    Ok(rows)
}

async fn write_page(source: &Source, page: &LinkPage, sink: &mut Sink) -> Result<u64, Error> {
    let wanted = source.shard_type.and_then(|id| source.types.get(&id));
    let ids = page.links.iter().map(|link| link.id).collect();
    let mut edges = source.store.edges_from(ids).await?;
    edges.sort_by(|a, b| {
        let order = |edge: &syncline_store::query::EdgeRow| (edge.link, edge.kind, edge.entity);
        order(a).cmp(&order(b)).then_with(|| a.target.cmp(&b.target))
    });
    let targets = edges.iter().filter_map(|edge| edge.target_shard).collect();
    let targets = uuids(source.store.as_ref(), targets).await?;
    let links: HashMap<LinkId, &LinkRow> = page.links.iter().map(|link| (link.id, link)).collect();
    let mut rows = 0;
    for edge in &edges {
        let Some(link) = links.get(&edge.link) else { continue };
        let (Some(from), Some(to)) =
            (source.entities.get(&link.entity), source.entities.get(&edge.entity))
        else {
            continue;
        };
        if wanted.is_some_and(|wanted| *wanted != from.shard_type) {
            continue;
        }
        let target = edge.target_shard.and_then(|shard| targets.get(&shard).copied());
        sink.row(&[
            uuid_cell(page.uuids.get(&link.shard).copied()),
            Cell::text(source.kinds.get(&edge.kind).map_or("", String::as_str)),
            uuid_cell(target),
            Cell::text(if target.is_some() { "resolved" } else { "waiting" }),
            Cell::text(&link.external_id),
            Cell::text(&from.connection),
            Cell::text(&from.entity),
            Cell::text(&edge.target),
            Cell::text(&to.connection),
            Cell::text(&to.entity),
        ])?;
        rows += 1;
    }
    Ok(rows)
}
