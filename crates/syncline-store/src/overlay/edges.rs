//! Edges in an overlay, and what they point to.

use super::{Outcome, OverlayStore};
use crate::Store;
use crate::query::{Counts, DeadLetterFilter, EdgeRow, ShardFilter};
use crate::reviews::waiting;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use syncline_core::plan::rows::{EntityId, EntityName, LinkId, LinkRow, ShardId, field_key};
use syncline_core::plan::view::Need;

/// How many rows are looked at in one go where all are.
pub(super) const PAGE: usize = 10_000;

impl OverlayStore {
    pub(super) async fn edges_of_links(&self, mut links: Vec<LinkId>) -> Outcome<Vec<EdgeRow>> {
        links.sort_unstable();
        links.dedup();
        let stating: FxHashMap<LinkId, ShardId> = self
            .links_by_row(links.clone())
            .await?
            .into_iter()
            .map(|link| (link.id, link.shard))
            .collect();
        let mut out = match &self.base {
            Some(base) => base.edges_from(links.clone()).await?,
            None => Vec::new(),
        };
        {
            let own = self.own();
            out.retain(|edge| !own.edges.contains_key(&edge.link));
            for link in links.iter().filter(|link| stating.contains_key(link)) {
                let edges = own.edges.get(link).into_iter().flatten();
                out.extend(edges.map(|edge| EdgeRow {
                    link: *link,
                    shard: ShardId::default(),
                    kind: edge.kind,
                    entity: edge.entity,
                    target: edge.target.to_string(),
                    target_link: None,
                    target_shard: None,
                }));
            }
        }
        for edge in &mut out {
            edge.shard = stating.get(&edge.link).copied().unwrap_or(edge.shard);
        }
        self.resolve(&mut out).await?;
        out.sort_by(|a, b| {
            (a.link, a.kind, a.entity, &a.target).cmp(&(b.link, b.kind, b.entity, &b.target))
        });
        Ok(out)
    }

    /// Fills in the targets of `edges` anew: what is here may be one, or be one no longer.
    async fn resolve(&self, edges: &mut [EdgeRow]) -> Outcome<()> {
        let names = self.entity_names().await?;
        let key_of = |edge: &EdgeRow| {
            let name = names.get(&edge.entity).filter(|name| name.connection.is_empty())?;
            field_key(&name.shard_type, &name.entity, &edge.target)
        };
        let need = Need {
            records: edges.iter().map(|e| (e.entity, e.target.as_str().into())).collect(),
            keys: edges.iter().filter_map(key_of).collect(),
            members_max: usize::MAX,
            ..Need::default()
        };
        let found = self.read_all(need).await?;
        let live = found.links.iter().filter(|link| !link.deleted);
        let records: FxHashMap<(EntityId, &str), &LinkRow> =
            live.map(|link| ((link.entity, link.external_id.as_str()), link)).collect();
        let ids = found.members.iter().map(|(_, link)| *link).collect();
        let holders: FxHashMap<LinkId, LinkRow> =
            self.links_by_row(ids).await?.into_iter().map(|link| (link.id, link)).collect();
        for edge in edges {
            let target = match names.get(&edge.entity) {
                Some(field) if field.connection.is_empty() => key_of(edge).and_then(|key| {
                    let members = found.members.iter().filter(|(other, _)| *other == key);
                    let links = members.filter_map(|(_, link)| holders.get(link));
                    links
                        .filter(|link| !link.deleted && is_of_type(&names, link, field))
                        .min_by_key(|link| (link.entity, &link.external_id))
                }),
                _ => records.get(&(edge.entity, edge.target.as_str())).copied(),
            };
            edge.target_link = target.map(|link| link.id);
            edge.target_shard = target.map(|link| link.shard);
        }
        Ok(())
    }

    async fn entity_names(&self) -> Outcome<FxHashMap<EntityId, EntityName>> {
        let (catalog, ids) = self.all_names().await?;
        Ok(ids.entities.into_iter().zip(catalog.entities).collect())
    }

    /// Looks through every edge: an overlay has no index of what the values of fields stand for.
    pub(super) async fn edges_to_links(&self, links: Vec<LinkId>) -> Outcome<Vec<EdgeRow>> {
        let mut out = Vec::new();
        self.each_page(|edges: Vec<EdgeRow>, _: &[LinkRow]| {
            let is_wanted =
                |edge: &EdgeRow| edge.target_link.is_some_and(|link| links.contains(&link));
            out.extend(edges.into_iter().filter(is_wanted));
        })
        .await?;
        Ok(out)
    }

    /// Calls `each` with the edges and links of page after page of links.
    async fn each_page(
        &self,
        mut each: impl FnMut(Vec<EdgeRow>, &[LinkRow]) + Send,
    ) -> Outcome<()> {
        let mut after = LinkId(0);
        loop {
            let page = self.links_page(None, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            let edges = self.edges_of_links(page.iter().map(|link| link.id).collect()).await?;
            each(edges, &page);
        }
    }

    pub(super) async fn count_all(&self) -> Outcome<Counts> {
        let mut counts = Counts::default();
        self.each_page(|edges: Vec<EdgeRow>, links: &[LinkRow]| {
            counts.links += links.iter().filter(|link| !link.deleted).count() as u64;
            let linked = edges.iter().filter(|edge| edge.target_link.is_some()).count();
            counts.edges_linked += linked as u64;
            counts.edges_waiting += (edges.len() - linked) as u64;
        })
        .await?;
        let mut shards = BTreeMap::new();
        let mut filter = ShardFilter { limit: PAGE, ..ShardFilter::default() };
        loop {
            let page = self.shards_page(filter.clone()).await?;
            let Some(last) = page.last() else { break };
            filter.after = last.id;
            for shard in page {
                *shards.entry(shard.shard_type).or_default() += 1;
            }
        }
        counts.shards = shards.into_iter().collect();
        let letters = DeadLetterFilter { limit: usize::MAX, ..DeadLetterFilter::default() };
        counts.dead_letters = self.dead_letters(letters).await?.len() as u64;
        counts.reviews = waiting(self).await?.len() as u64;
        Ok(counts)
    }
}

fn is_of_type(names: &FxHashMap<EntityId, EntityName>, link: &LinkRow, field: &EntityName) -> bool {
    names.get(&link.entity).is_some_and(|name| name.shard_type == field.shard_type)
}
