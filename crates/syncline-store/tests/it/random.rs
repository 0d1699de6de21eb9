//! Any sequence of plans gives the same answers on every store.

use crate::stores::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;
use syncline_core::plan::rows::{EdgeTarget, EntityId, LinkId, ShardId};
use syncline_core::plan::view::{Expected, Found, Need, Passage};
use syncline_core::plan::writes::Plan;
use syncline_store::overlay::OverlayStore;
use syncline_store::query::ShardFilter;
use syncline_store::sqlite::SqliteStore;
use syncline_store::{Store, StoreError, execution::Finish};

/// What one plan does, by small numbers that are read modulo what there is.
#[derive(Clone, Debug, Default)]
struct Step {
    links: u8,
    changes: Vec<(u8, u8, bool)>,
    keys: Vec<(u8, u8, bool)>,
    pairs: Vec<(u8, u8, Option<u8>)>,
    edges: Vec<(u8, Vec<(u8, u8)>)>,
    unsettled: Vec<(u8, bool)>,
}

fn step() -> impl Strategy<Value = Step> {
    let small = || 0..8_u8;
    (
        small(),
        vec((small(), small(), any::<bool>()), 0..4),
        vec((small(), small(), any::<bool>()), 0..8),
        vec((small(), small(), proptest::option::of(small())), 0..4),
        vec((small(), vec((small(), small()), 0..4)), 0..4),
        vec((small(), any::<bool>()), 0..4),
    )
        .prop_map(|(links, changes, keys, pairs, edges, unsettled)| Step {
            links: links / 2,
            changes,
            keys,
            pairs,
            edges,
            unsettled,
        })
}

fn key(n: u8) -> u64 {
    if n.is_multiple_of(2) { email_key(&format!("e{n}")) } else { u64::from(n) << 61 }
}

fn target(n: u8, value: u8) -> (EntityId, String) {
    match n % 3 {
        0 => (EMAIL, format!(" E{value} ")),
        1 => (COMPANY, value.to_string()),
        _ => (CRM, value.to_string()),
    }
}

fn plan(step: &Step, first: i64) -> Plan {
    let mut plan = Plan::default();
    for n in 0..i64::from(step.links) {
        let id = first + n;
        let entity = if id % 2 == 0 { CRM } else { COMPANY };
        plan.shards_new.push(shard(id, &format!(r#"{{"n":{id}}}"#)));
        plan.links_new.push(link(id, entity, &id.to_string(), id));
    }
    let last = first + i64::from(step.links) - 1;
    let known = |n: u8| (last > 0).then(|| LinkId(1 + i64::from(n) % last));
    for &(n, shard_of, deleted) in &step.changes {
        // Once in a plan, and only what was there before.
        let Some(id) = known(n).filter(|id| id.0 < first) else { continue };
        if plan.links_changed.iter().any(|link| link.id == id) {
            continue;
        }
        let entity = if id.0 % 2 == 0 { CRM } else { COMPANY };
        let mut changed = link(id.0, entity, &id.0.to_string(), 1 + i64::from(shard_of) % last);
        changed.deleted = deleted;
        plan.links_changed.push(changed);
        let mut changed = shard(id.0, "{}");
        changed.version = first;
        changed.deleted_at = deleted.then_some(5);
        changed.merged_into = (shard_of == 0).then_some(ShardId(1));
        plan.shards_changed.push(changed);
    }
    for &(n, value, added) in &step.keys {
        let Some(link) = known(n) else { continue };
        let list = if added { &mut plan.keys_added } else { &mut plan.keys_removed };
        list.push((key(value), link));
    }
    plan.keys_added.sort_unstable();
    plan.keys_removed.sort_unstable();
    for &(a, b, score) in &step.pairs {
        let (Some(a), Some(b)) = (known(a), known(b)) else { continue };
        match score {
            _ if a == b => {}
            Some(score) => {
                let (a, b) = (a.min(b), a.max(b));
                if plan.match_edges_set.iter().all(|edge| (edge.a, edge.b) != (a, b)) {
                    plan.match_edges_set.push(pair(a.0, b.0, f32::from(score)));
                }
            }
            None => plan.match_edges_removed.push((a, b)),
        }
    }
    for (n, targets) in &step.edges {
        let Some(link) = known(*n) else { continue };
        if plan.edges.iter().all(|(other, _)| *other != link) {
            let edges = targets.iter().map(|&(n, value)| {
                let (entity, target) = target(n, value);
                edge(1 + i64::from(n % 2), entity, &target)
            });
            plan.edges.push((link, edges.collect::<Vec<EdgeTarget>>()));
        }
    }
    for &(n, done) in &step.unsettled {
        let Some(link) = known(n) else { continue };
        if done { plan.settled.push(link) } else { plan.unsettled.push(link) }
    }
    plan
}

/// Everything that can be asked, as text.
async fn everything(store: &dyn Store) -> Vec<String> {
    let links: Vec<LinkId> = (1..40).map(LinkId).collect();
    let records = |n: i64| [(CRM, n.to_string().into()), (COMPANY, n.to_string().into())];
    let targets = (0..9_u8).map(|n| target(n, n)).map(|(entity, value)| (entity, value.into()));
    let whole = Need {
        records: (1..9).flat_map(records).collect(),
        keys: (0..8).map(key).collect(),
        members_max: 2,
        links: links.clone(),
        dependents: targets.clone().collect(),
        keys_of: links.clone(),
        edges_of: links.clone(),
        ..Need::default()
    };
    let part = Need {
        dependents: targets.take(3).collect(),
        links: links[..2].to_vec(),
        ..Need::default()
    };
    let filter = ShardFilter { limit: 3, after: ShardId(1), ..ShardFilter::default() };
    let shards: Vec<ShardId> = (1..5).map(ShardId).collect();
    vec![
        format!("{:#?}", read(store, whole).await),
        format!("{:#?}", read(store, part).await),
        format!("{:?}", store.shards(filter).await.unwrap()),
        format!("{:?}", store.links(LinkId(2), 3).await.unwrap()),
        format!("{:?}", store.entity_links(CRM, LinkId(1), 3).await.unwrap()),
        format!("{:?}", store.links_of(shards).await.unwrap()),
        format!("{:#?}", store.edges_from(links.clone()).await.unwrap()),
        format!("{:#?}", store.edges_to(links[..4].to_vec()).await.unwrap()),
        format!("{:?}", store.match_edges(links).await.unwrap()),
        format!("{:?}", store.shards_by_id("0").await.unwrap()),
        format!("{:?}", store.unsettled(4).await.unwrap()),
        format!("{:?}", store.counts().await.unwrap()),
        format!("{:?}", store.live_links(CRM).await.unwrap()),
    ]
}

async fn run(store: &dyn Store, task: &str, steps: &[Step]) {
    store.register(catalog()).await.unwrap();
    let begun = store.begin(begin(task, task.len() as u128)).await.unwrap();
    for step in steps {
        let first = store.read(Need::default()).await.unwrap().next_link;
        commit(store, begun.execution, plan(step, first)).await;
    }
    let finish =
        Finish { execution: begun.execution, status: "success".into(), ..Finish::default() };
    store.finish(finish).await.unwrap();
}

fn expected(id: i64) -> Option<Expected> {
    let link = link(id, CRM, "", id);
    match id % 3 {
        0 => None,
        1 => Some(Expected { hash: link.hash, modified: link.modified }),
        _ => Some(Expected { hash: link.hash, modified: Some(i64::MAX) }),
    }
}

/// Fails unless the link is live, belongs to one record alone, and says what was expected of the record.
async fn says_so(store: &dyn Store, need: &Need, index: usize, id: LinkId) {
    let found = store.read(Need { links: vec![id], ..Need::default() }).await.unwrap();
    let (link, expected) = (&found.links[0], need.expected[index].unwrap());
    assert_eq!((link.entity, link.external_id.clone()), need.records[index]);
    assert_eq!((link.hash, link.deleted, &link.contributor), (expected.hash, false, &None));
    assert!(link.modified >= expected.modified);
}

/// An answer with every link whole.
async fn whole(store: &dyn Store, mut found: Found) -> Found {
    let links = std::mem::take(&mut found.as_expected).into_iter().map(|(_, link)| link).collect();
    found.links.extend(store.read(Need { links, ..Need::default() }).await.unwrap().links);
    found.links.sort_unstable_by_key(|link| link.id);
    found
}

/// Asks before every few plans, and after them holds what was found, passed on, against what is found anew.
async fn ask_ahead(store: &dyn Store, steps: &[Step], together: usize) {
    store.register(catalog()).await.unwrap();
    let begun = store.begin(begin("a", 1)).await.unwrap();
    let mut need = Need {
        records: (1..30).map(|n: i64| (CRM, n.to_string().into())).collect(),
        keys: (0..8).map(key).collect(),
        members_max: 2,
        ..Need::default()
    };
    need.records.sort_unstable();
    need.keys.sort_unstable();
    // A third of the records says what is stored first; another third, but at a time that is not stored.
    need.expected = need.records.iter().map(|(_, id)| expected(id.parse().unwrap())).collect();
    for steps in steps.chunks(together) {
        let mut found = store.read(need.clone()).await.unwrap();
        let mut passages = Vec::new();
        for step in steps {
            let now = store.read(Need::default()).await.unwrap();
            let plan = Plan { epoch: now.epoch, ..plan(step, now.next_link) };
            let passage = Passage::of(&plan, &need);
            let after = plan.state_after();
            let committed =
                store.commit(Box::new(Plan { execution: begun.execution, ..plan })).await;
            assert_eq!(committed.unwrap().epoch, after);
            passages.push(passage);
        }
        let keys = found.pass(&need, passages);
        let anew = Need { keys: keys.clone(), members_max: need.members_max, ..Need::default() };
        found.replace(&keys, store.read(anew).await.unwrap());
        let anew = store.read(need.clone()).await.unwrap();
        for &(index, link) in anew.as_expected.iter().chain(&found.as_expected) {
            says_so(store, &need, index, link).await;
        }
        assert_eq!(whole(store, found).await, whole(store, anew).await);
    }
}

#[tokio::test]
async fn an_answer_that_somebody_else_changed_suits_no_plan() {
    let store = SqliteStore::open(":memory:", options()).unwrap();
    store.register(catalog()).await.unwrap();
    let begun = store.begin(begin("a", 1)).await.unwrap();
    let step = Step { links: 3, ..Step::default() };
    let need = Need { records: vec![(CRM, "2".into())], ..Need::default() };
    let mut found = store.read(need.clone()).await.unwrap();
    let run = begun.execution;
    let theirs = Plan { execution: run, epoch: found.epoch, ..plan(&step, 1) };
    let between = store.commit(Box::new(theirs)).await.unwrap().epoch;
    let ours = Plan { execution: run, epoch: between, ..plan(&step, 4) };
    let passage = Passage::of(&ours, &need);
    let after = store.commit(Box::new(ours)).await.unwrap().epoch;
    // What they changed is known to nobody.
    assert!(found.pass(&need, vec![passage]).is_empty());
    let unfit = |epoch| Plan { execution: run, epoch, ..plan(&step, 7) };
    assert!(matches!(store.commit(Box::new(unfit(found.epoch))).await, Err(StoreError::Stale)));
    found.replace(&[], store.read(need.clone()).await.unwrap());
    assert!(matches!(store.commit(Box::new(unfit(found.epoch))).await, Err(StoreError::Stale)));
    store.commit(Box::new(unfit(after))).await.unwrap();
}

async fn compare(before: Vec<Step>, after: Vec<Step>) {
    let open = || SqliteStore::open(":memory:", options()).unwrap();
    let whole = open();
    run(&whole, "a", &before).await;
    run(&whole, "bb", &after).await;
    let wanted = everything(&whole).await;
    let alone = OverlayStore::empty();
    run(&alone, "a", &before).await;
    run(&alone, "bb", &after).await;
    let base = Arc::new(open());
    run(&*base, "a", &before).await;
    let untouched = everything(&*base).await;
    let over = OverlayStore::over(Arc::clone(&base) as Arc<dyn Store>);
    run(&over, "bb", &after).await;
    for (name, store) in [("alone", &alone), ("over", &over)] {
        for (wanted, found) in wanted.iter().zip(everything(store).await) {
            assert_eq!(found, *wanted, "{name}");
        }
    }
    assert_eq!(everything(&*base).await, untouched);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_asked_ahead_is_passed_on(steps in vec(step(), 0..9), together in 1..4_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            ask_ahead(&SqliteStore::open(":memory:", options()).unwrap(), &steps, together).await;
            ask_ahead(&OverlayStore::empty(), &steps, together).await;
        });
    }

    #[test]
    fn stores_agree(
        before in vec(step(), 0..6),
        after in vec(step(), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(before, after));
    }
}
