//! One row for each linked record.

use super::cell::{Cell, Column};
use super::sink::Sink;
use super::{PAGE, Source};
use crate::error::Error;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use syncline_core::config::model::FieldType;
use syncline_core::plan::rows::{LinkId, LinkRow, ShardId};
use syncline_store::{Store, StoreError};
use tokio::sync::mpsc;

/// The columns: what stands where is fixed, others read it.
pub(super) fn columns() -> Vec<Column> {
    let text = |name| Column::new(name, FieldType::Text);
    vec![
        text("external_id"),
        text("shard_id"),
        text("connection"),
        text("entity"),
        text("type"),
        Column::new("deleted", FieldType::Boolean),
        Column::new("modified_at", FieldType::Timestamp),
    ]
}

/// Links, and the UUIDs of the shards that rows of them name.
pub(super) struct LinkPage {
    pub(super) links: Vec<LinkRow>,
    pub(super) uuids: HashMap<ShardId, u128>,
}

/// Reads all links in the background, page by page and by row number.
pub(super) fn read(store: Arc<dyn Store>) -> mpsc::Receiver<Result<LinkPage, StoreError>> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        let mut after = LinkId(0);
        loop {
            let page = read_page(store.as_ref(), after).await;
            let last = page.as_ref().ok().and_then(|page| page.links.last().map(|link| link.id));
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

async fn read_page(store: &dyn Store, after: LinkId) -> Result<LinkPage, StoreError> {
    let links = store.links(after, PAGE).await?;
    let shards = links.iter().map(|link| link.shard).collect();
    let uuids = uuids(store, shards).await?;
    Ok(LinkPage { links, uuids })
}

/// The UUIDs of shards.
pub(super) async fn uuids(
    store: &dyn Store,
    mut shards: Vec<ShardId>,
) -> Result<HashMap<ShardId, u128>, StoreError> {
    shards.sort_unstable();
    shards.dedup();
    let rows = store.shards_by_row(shards).await?;
    Ok(rows.into_iter().map(|shard| (shard.id, shard.uuid)).collect())
}

/// Writes every link; returns how many.
pub(super) async fn write(source: &Source, sink: &mut Sink) -> Result<u64, Error> {
    let wanted = source.shard_type.and_then(|id| source.types.get(&id));
    let mut pages = read(source.store.clone());
    let mut rows = 0;
    while let Some(page) = pages.recv().await {
        let page = page?;
        for link in &page.links {
            let Some(name) = source.entities.get(&link.entity) else { continue };
            if wanted.is_some_and(|wanted| *wanted != name.shard_type) {
                continue;
            }
            sink.row(&[
                Cell::text(&link.external_id),
                uuid_cell(page.uuids.get(&link.shard).copied()),
                Cell::text(&name.connection),
                Cell::text(&name.entity),
                Cell::text(&name.shard_type),
                Cell::Bool(link.deleted),
                Cell::time(link.modified),
            ])?;
            rows += 1;
        }
    }
    Ok(rows)
}

/// A shard's id.
pub(super) fn uuid_cell(uuid: Option<u128>) -> Cell<'static> {
    match uuid {
        Some(uuid) => Cell::Text(Cow::Owned(crate::explain::uuid(uuid))),
        None => Cell::Absent,
    }
}
