//! Pairs of records that wait for a person.
//!
//! They are no list of their own: a pair waits while its match edge is in the review zone, its records are
//! there and in two shards, and nobody has decided. So a pair cannot outlive what speaks for it.

use crate::{Store, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};
use syncline_core::plan::rows::{LinkId, LinkRow, MatchEdge};
use syncline_core::plan::view::Need;

/// How many pairs are looked at in one go.
const PAGE: usize = 2000;

/// The pairs that wait for a person: the surest first, of equal ones those that have been linked for longest.
///
/// # Errors
///
/// When the store cannot be read.
pub async fn waiting(store: &dyn Store) -> Result<Vec<MatchEdge>, StoreError> {
    let mut out = Vec::new();
    let mut after = (LinkId(0), LinkId(0));
    loop {
        let page = store.review_edges(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.a, last.b);
        add_page(store, page, &mut out).await?;
    }
    out.sort_by(|x, y| y.score.total_cmp(&x.score).then((x.a, x.b).cmp(&(y.a, y.b))));
    Ok(out)
}

async fn add_page(
    store: &dyn Store,
    page: Vec<MatchEdge>,
    out: &mut Vec<MatchEdge>,
) -> Result<(), StoreError> {
    let links = page.iter().flat_map(|edge| [edge.a, edge.b]).collect();
    let found = store.read(Need { links, ..Need::default() }).await?;
    let rows: FxHashMap<LinkId, LinkRow> =
        found.links.into_iter().map(|link| (link.id, link)).collect();
    let decided: FxHashSet<(LinkId, LinkId)> =
        found.decisions.iter().map(|decision| (decision.a, decision.b)).collect();
    let live = |id: LinkId| rows.get(&id).filter(|link| !link.deleted);
    out.extend(page.into_iter().filter(|edge| match (live(edge.a), live(edge.b)) {
        (Some(a), Some(b)) => a.shard != b.shard && !decided.contains(&(edge.a, edge.b)),
        _ => false,
    }));
    Ok(())
}
