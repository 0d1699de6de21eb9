//! Edges, and what they point to.

use crate::stores::*;
use std::sync::Arc;
use syncline_core::plan::rows::{LinkId, ShardId, TypeId};
use syncline_core::plan::view::Need;
use syncline_core::plan::writes::Plan;
use syncline_store::Store;
use syncline_store::overlay::OverlayStore;

#[tokio::test]
async fn edges_find_their_targets_when_these_arrive() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let plan = Plan {
            shards_new: vec![shard(1, "{}")],
            links_new: vec![link(1, CRM, "a", 1)],
            edges: vec![(
                LinkId(1),
                vec![edge(1, COMPANY, "acme"), edge(2, EMAIL, " Bob@X.org"), edge(3, CRM, "aa")],
            )],
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        let waiting = store.edges_from(vec![LinkId(1), LinkId(8)]).await.unwrap();
        assert_eq!(waiting.len(), 3, "{}", opened.name);
        assert!(waiting.iter().all(|edge| edge.target_link.is_none()), "{}", opened.name);
        let mut gone = link(2, CRM, "aa", 2);
        gone.deleted = true;
        let key = |id| (email_key("bob@x.org"), LinkId(id));
        let plan = Plan {
            shards_new: vec![shard(2, "{}"), shard(3, "{}")],
            links_new: vec![
                gone,
                link(3, CRM, "c", 3),
                link(4, CRM, "b", 2),
                link(5, COMPANY, "acme", 3),
            ],
            keys_added: vec![key(2), key(3), key(4)],
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        let found = store.edges_from(vec![LinkId(1)]).await.unwrap();
        let targets: Vec<_> = found.iter().map(|e| (e.target_link, e.target_shard)).collect();
        let wanted = [
            (Some(LinkId(5)), Some(ShardId(3))),
            (Some(LinkId(4)), Some(ShardId(2))),
            // The record is known, and gone.
            (None, None),
        ];
        assert_eq!(targets, wanted, "{}", opened.name);
        assert_eq!(store.edges_to(vec![LinkId(4)]).await.unwrap(), found[1..2], "{}", opened.name);
        assert_eq!(store.edges_to(vec![LinkId(5), LinkId(4)]).await.unwrap(), found[..2]);
        assert!(store.edges_to(vec![LinkId(2), LinkId(3)]).await.unwrap().is_empty());
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.edges_linked, counts.edges_waiting, counts.links), (2, 1, 4));
        assert_eq!(counts.shards, [(TypeId(1), 3)], "{}", opened.name);
        assert_eq!(store.live_links(CRM).await.unwrap(), 3, "{}", opened.name);
        let page = store.entity_links(CRM, LinkId(1), 1).await.unwrap();
        assert_eq!(page[0].id, LinkId(3), "{}", opened.name);
    }
}

#[tokio::test]
async fn a_link_of_the_base_whose_edges_are_the_overlays_is_found_by_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let base = Arc::new(sqlite(&folder));
    let (_, begun) = start(&*base).await;
    let plan = Plan { links_new: vec![link(1, CRM, "a", 1)], ..Plan::default() };
    commit(&*base, begun.execution, plan).await;
    let over = OverlayStore::over(base);
    let begun = over.begin(begin("preview", 2)).await.unwrap();
    let edges = vec![(LinkId(1), vec![edge(1, COMPANY, "acme")])];
    commit(&over, begun.execution, Plan { edges, ..Plan::default() }).await;
    let need = Need { dependents: vec![(COMPANY, "acme".into())], ..Need::default() };
    let found = read(&over, need).await;
    assert_eq!((found.links.len(), found.dependents.len()), (1, 1));
}
