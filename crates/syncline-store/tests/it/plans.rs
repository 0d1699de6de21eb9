//! What is committed is what is read.

use crate::stores::*;
use syncline_core::plan::rows::{Decision, LinkId, LinkRow, ShardId, TypeId, Verdict};
use syncline_core::plan::view::{Expected, Need};
use syncline_core::plan::writes::{Change, DeadLetter, Merge, Plan, Renamed, Subject};
use syncline_store::query::{DeadLetterFilter, FieldTest, ShardFilter};
use syncline_store::{Catalog, StoreError, reviews};

fn two_people() -> Plan {
    Plan {
        shards_new: vec![shard(1, r#"{"name":"Ann","age":42}"#), shard(2, r#"{"name":"bob"}"#)],
        links_new: vec![link(1, CRM, "a", 1), link(2, CRM, "b", 2), link(3, COMPANY, "a", 2)],
        keys_added: vec![(5, LinkId(1)), (5, LinkId(2)), (u64::MAX, LinkId(1))],
        match_edges_set: vec![pair(1, 2, 0.75)],
        edges: vec![(
            LinkId(1),
            vec![edge(1, COMPANY, "a"), edge(1, COMPANY, "a"), edge(2, CRM, "z")],
        )],
        ..Plan::default()
    }
}

#[tokio::test]
async fn names_keep_their_numbers() {
    for opened in all() {
        let store = &*opened.store;
        let ids = store.register(catalog()).await.unwrap();
        let more = Catalog { kinds: vec!["new".into(), "knows".into()], ..Catalog::default() };
        let more = store.register(more).await.unwrap();
        assert_eq!(store.register(catalog()).await.unwrap(), ids, "{}", opened.name);
        assert_eq!(more.kinds[1], ids.kinds[1], "{}", opened.name);
        let (names, all) = store.catalog().await.unwrap();
        assert_eq!(names.entities, catalog().entities, "{}", opened.name);
        assert_eq!((names.kinds.len(), all.kinds[2]), (3, more.kinds[0]), "{}", opened.name);
    }
}

#[tokio::test]
async fn a_read_finds_what_was_committed_before_it_is_settled() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let found = read(store, Need::default()).await;
        assert_eq!((found.next_link, found.next_shard), (1, 1), "{}", opened.name);
        commit(store, begun.execution, two_people()).await;
        let need = Need {
            records: vec![
                (COMPANY, "a".into()),
                (CRM, "a".into()),
                (CRM, "none".into()),
                (CRM, "a".into()),
            ],
            keys: vec![u64::MAX, 5, 77, 5],
            members_max: 1,
            links: vec![LinkId(2), LinkId(9)],
            dependents: vec![(CRM, "z".into()), (COMPANY, "a".into()), (CRM, "z".into())],
            ..Need::default()
        };
        let found = read(store, need).await;
        let links = vec![link(1, CRM, "a", 1), link(2, CRM, "b", 2), link(3, COMPANY, "a", 2)];
        assert_eq!(found.links, links, "{}", opened.name);
        assert_eq!(found.shards, vec![shard(2, r#"{"name":"bob"}"#)], "{}", opened.name);
        assert_eq!(found.members, [(5, LinkId(1)), (u64::MAX, LinkId(1))], "{}", opened.name);
        assert_eq!(found.edges, [pair(1, 2, 0.75)], "{}", opened.name);
        let dependents = [(0, LinkId(1)), (1, LinkId(1)), (2, LinkId(1))];
        assert_eq!(found.dependents, dependents, "{}", opened.name);
        assert_eq!((found.next_link, found.next_shard), (4, 3), "{}", opened.name);
    }
}

#[tokio::test]
async fn of_a_record_that_says_what_was_expected_the_number_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(&folder);
    let (_, begun) = start(&store).await;
    let links = ["same", "later", "earlier", "other", "deleted", "shared", "unknown"];
    let rows = links.iter().zip(1..).map(|(name, id)| LinkRow {
        modified: Some(5),
        contributor: (*name == "shared").then(|| "c".into()),
        deleted: *name == "deleted",
        ..link(id, CRM, name, 1)
    });
    let rows: Vec<LinkRow> = rows.collect();
    let (shards_new, links_new) = (vec![shard(1, "{}")], rows.clone());
    commit(&store, begun.execution, Plan { shards_new, links_new, ..Plan::default() }).await;
    let expected = |row: &LinkRow| {
        let (hash, modified) = match row.external_id.as_str() {
            "unknown" => return None,
            "other" => (1, Some(5)),
            "later" => (row.hash, Some(6)),
            "earlier" => (row.hash, None),
            _ => (row.hash, Some(5)),
        };
        Some(Expected { hash, modified })
    };
    let need = Need {
        records: rows.iter().map(|row| (CRM, row.external_id.clone())).collect(),
        expected: rows.iter().map(expected).collect(),
        ..Need::default()
    };
    let found = read(&store, need).await;
    let as_expected = found.as_expected.iter().map(|&(index, id)| (links[index], id));
    let wanted = [("earlier", LinkId(3)), ("same", LinkId(1))];
    assert_eq!(as_expected.collect::<Vec<_>>(), wanted);
    let whole: Vec<&str> = found.links.iter().map(|link| link.external_id.as_str()).collect();
    assert_eq!(whole, ["later", "other", "deleted", "shared", "unknown"]);
}

#[tokio::test]
async fn keys_with_more_members_than_wanted_do_not_hide_others() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let keys = (1..40).flat_map(|key| (1..=key).map(move |n| (key as u64, LinkId(n))));
        commit(store, begun.execution, Plan { keys_added: keys.collect(), ..Plan::default() })
            .await;
        let need = Need { keys: (0..50).collect(), members_max: 3, ..Need::default() };
        let wanted: Vec<_> = (1..40)
            .flat_map(|key| (1..=3.min(key)).map(move |n| (key as u64, LinkId(n))))
            .collect();
        assert_eq!(read(store, need).await.members, wanted, "{}", opened.name);
    }
}

#[tokio::test]
async fn changed_rows_replace_what_was_there() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        commit(store, begun.execution, two_people()).await;
        let mut merged = shard(2, "{}");
        (merged.version, merged.merged_into) = (2, Some(ShardId(1)));
        let mut moved = link(2, CRM, "b", 1);
        moved.image = r#"{"own":"moved"}"#.into();
        let plan = Plan {
            shards_changed: vec![merged.clone()],
            links_changed: vec![moved.clone()],
            keys_removed: vec![(5, LinkId(2))],
            keys_added: vec![(6, LinkId(2)), (5, LinkId(1))],
            match_edges_set: vec![pair(1, 2, 0.5), pair(2, 3, 0.25)],
            match_edges_removed: vec![(LinkId(2), LinkId(1))],
            edges: vec![(LinkId(1), vec![]), (LinkId(2), vec![edge(1, CRM, "a")])],
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        let need = Need {
            keys: vec![5, 6],
            members_max: 9,
            links: vec![LinkId(2)],
            dependents: vec![(COMPANY, "a".into()), (CRM, "a".into())],
            ..Need::default()
        };
        let found = read(store, need).await;
        assert_eq!(found.links, [moved], "{}", opened.name);
        assert_eq!(found.members, [(5, LinkId(1)), (6, LinkId(2))], "{}", opened.name);
        assert_eq!(found.edges, [pair(1, 2, 0.5), pair(2, 3, 0.25)], "{}", opened.name);
        assert_eq!(found.dependents, [(1, LinkId(2))], "{}", opened.name);
        assert_eq!(
            store.shards_by_row(vec![ShardId(2)]).await.unwrap(),
            [merged],
            "{}",
            opened.name
        );
        let of = store.links_of(vec![ShardId(1)]).await.unwrap();
        assert_eq!(of.iter().map(|l| l.id.0).collect::<Vec<_>>(), [1, 2], "{}", opened.name);
    }
}

#[tokio::test]
async fn a_link_goes_on_under_another_name_and_a_new_one_has_its_old_one() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        commit(store, begun.execution, two_people()).await;
        let before = link(2, CRM, "b", 2);
        let gone = LinkRow { external_id: "b#2".into(), deleted: true, ..before.clone() };
        let new = link(4, CRM, "b", 1);
        let plan = Plan {
            links_renamed: vec![Renamed {
                link: LinkId(2),
                entity: CRM,
                before: "b".into(),
                name: "b#2".into(),
            }],
            links_new: vec![new.clone()],
            links_changed: vec![gone.clone()],
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        for (name, expected) in [("b", new), ("b#2", gone.clone())] {
            let need = Need { records: vec![(CRM, name.into())], ..Need::default() };
            assert_eq!(read(store, need).await.links, [expected], "{}", opened.name);
        }
        let need = Need { links: vec![LinkId(2)], ..Need::default() };
        assert_eq!(read(store, need).await.links, [gone], "{}", opened.name);
        assert_eq!(store.live_links(CRM).await.unwrap(), 2, "{}", opened.name);
    }
}

#[tokio::test]
async fn a_plan_made_from_what_no_longer_stands_is_refused() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let epoch = store.read(Need::default()).await.unwrap().epoch;
        let execution = begun.execution;
        let plan = Plan { execution, epoch, unsettled: vec![LinkId(1)], ..Plan::default() };
        let committed = store.commit(Box::new(plan.clone())).await.unwrap();
        let now = store.read(Need::default()).await.unwrap().epoch;
        assert_eq!((committed.epoch, committed.epoch == epoch), (now, false), "{}", opened.name);
        assert!(
            matches!(store.commit(Box::new(plan)).await, Err(StoreError::Stale)),
            "{}",
            opened.name
        );
        let nothing = Plan { execution, ..Plan::default() };
        assert!(store.commit(Box::new(nothing)).await.is_ok(), "{}", opened.name);
    }
}

#[tokio::test]
async fn a_shard_whose_data_a_record_says_is_read_as_any_other() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let record = link(2, CRM, "b", 1);
        let mut said = shard(1, &record.image);
        said.said_by = Some(record.id);
        let plan = Plan {
            shards_new: vec![said.clone()],
            links_new: vec![record, link(4, CRM, "d", 1)],
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        let rows = async || {
            let need = |id| Need { links: vec![LinkId(id)], ..Need::default() };
            let own = FieldTest::Equals("2".into());
            let filter = ShardFilter {
                fields: vec![("own".into(), own)],
                limit: 9,
                ..ShardFilter::default()
            };
            [
                store.read(need(2)).await.unwrap().shards,
                store.read(need(4)).await.unwrap().shards,
                store.shards_by_row(vec![ShardId(1)]).await.unwrap(),
                store.shards_by_id("01").await.unwrap(),
                store.shards(filter).await.unwrap(),
            ]
        };
        for found in rows().await {
            assert_eq!(found, [said.clone()], "{}", opened.name);
        }
        let mut own = shard(1, r#"{"own":2,"more":1}"#);
        own.version = 2;
        let plan = Plan { shards_changed: vec![own.clone()], ..Plan::default() };
        commit(store, begun.execution, plan).await;
        for found in rows().await {
            assert_eq!(found, [own.clone()], "{}", opened.name);
        }
    }
}

#[tokio::test]
async fn unsettled_links_come_oldest_first_and_once() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let plan = |settled: &[i64], unsettled: &[i64]| Plan {
            settled: settled.iter().copied().map(LinkId).collect(),
            unsettled: unsettled.iter().copied().map(LinkId).collect(),
            ..Plan::default()
        };
        commit(store, begun.execution, plan(&[], &[9, 3])).await;
        commit(store, begun.execution, plan(&[9], &[3, 1, 9])).await;
        let ids = [LinkId(3), LinkId(1), LinkId(9)];
        assert_eq!(store.unsettled(10).await.unwrap(), ids, "{}", opened.name);
        assert_eq!(store.unsettled(1).await.unwrap(), ids[..1], "{}", opened.name);
    }
}

#[tokio::test]
async fn shards_are_found_by_field_page_and_id() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let mut gone = shard(3, r#"{"name":"Anna","flag":true,"x":null}"#);
        gone.deleted_at = Some(1);
        let plan =
            Plan { shards_new: [two_people().shards_new, vec![gone]].concat(), ..Plan::default() };
        commit(store, begun.execution, plan).await;
        let ids = async |fields: &[(&str, FieldTest)], after, limit, with_deleted| {
            let fields = fields.iter().map(|(name, test)| ((*name).into(), test.clone())).collect();
            let filter = ShardFilter {
                fields,
                after: ShardId(after),
                limit,
                with_deleted,
                ..ShardFilter::default()
            };
            store.shards(filter).await.unwrap().iter().map(|s| s.id.0).collect::<Vec<_>>()
        };
        let (is, has) =
            (|s: &str| FieldTest::Equals(s.into()), |s: &str| FieldTest::Contains(s.into()));
        assert_eq!(ids(&[], 0, 9, false).await, [1, 2], "{}", opened.name);
        assert_eq!(ids(&[], 1, 1, true).await, [2], "{}", opened.name);
        assert_eq!(ids(&[("name", has("aNN"))], 0, 9, true).await, [1, 3], "{}", opened.name);
        assert_eq!(ids(&[("name", is("Ann")), ("age", is("42"))], 0, 9, true).await, [1]);
        assert_eq!(ids(&[("flag", is("true"))], 0, 9, true).await, [3], "{}", opened.name);
        assert!(ids(&[("x", has(""))], 0, 9, true).await.is_empty(), "{}", opened.name);
        let by_id = async |prefix| store.shards_by_id(prefix).await.unwrap().len();
        assert_eq!(
            [by_id("03").await, by_id("0").await, by_id("04").await, by_id("g").await],
            [1, 2, 0, 0]
        );
    }
}

#[tokio::test]
async fn a_pair_waits_while_its_evidence_and_its_records_last() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let links = (1..=5).map(|id| link(id, CRM, &format!("r{id}"), (id + 1) / 2)).collect();
        let shards_new = (1..=3).map(|id| shard(id, "{}")).collect();
        let pairs = vec![asked(1, 2, 0.5), asked(1, 3, 0.5), asked(3, 5, 0.75), pair(1, 5, 0.9)];
        let plan = Plan { links_new: links, shards_new, match_edges_set: pairs, ..Plan::default() };
        commit(store, begun.execution, plan).await;
        let waiting = async || {
            let pairs = reviews::waiting(store).await.unwrap();
            let counted = store.counts().await.unwrap().reviews;
            assert_eq!(counted, pairs.len() as u64, "{}", opened.name);
            pairs.iter().map(|edge| (edge.a.0, edge.b.0)).collect::<Vec<_>>()
        };
        assert_eq!(waiting().await, [(3, 5), (1, 3)], "{}: not in one shard", opened.name);
        let page = store.review_edges((LinkId(1), LinkId(2)), 1).await.unwrap();
        assert_eq!(page, [asked(1, 3, 0.5)], "{}", opened.name);
        let mut gone = link(5, CRM, "r5", 3);
        gone.deleted = true;
        let plan = Plan { links_changed: vec![gone], ..Plan::default() };
        commit(store, begun.execution, plan).await;
        assert_eq!(waiting().await, [(1, 3)], "{}: a record is gone", opened.name);
        let plan = Plan { match_edges_removed: vec![(LinkId(1), LinkId(3))], ..Plan::default() };
        commit(store, begun.execution, plan).await;
        assert!(waiting().await.is_empty(), "{}: the evidence is gone", opened.name);
    }
}

/// A shared record is stamped over and over, becomes its own, is changed, and is shared again.
#[tokio::test]
async fn stamps_are_those_of_the_last_plan() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        commit(store, begun.execution, two_people()).await;
        let steps = [
            (Some("d"), Some(7), false),
            (Some("e"), None, false),
            (Some("e"), Some(8), true),
            (Some("f"), Some(9), false),
            (None, Some(10), false),
            (None, None, false),
            (Some("g"), Some(11), false),
            (Some("h"), Some(12), false),
            (None, Some(13), true),
            (Some("i"), Some(14), false),
        ];
        for (at, (contributor, modified, is_whole)) in (10..).zip(steps) {
            let row = |id, entity, shard| {
                let mut row = link(id, entity, "a", shard);
                (row.contributor, row.modified) = (contributor.map(Into::into), modified);
                (row.observed, row.execution) = (at, begun.execution);
                row
            };
            let rows = vec![row(1, CRM, 1), row(3, COMPANY, 2)];
            let mut plan = Plan::default();
            let list = if is_whole { &mut plan.links_changed } else { &mut plan.links_restamped };
            *list = rows.clone();
            commit(store, begun.execution, plan).await;
            let ids = vec![LinkId(1), LinkId(3)];
            let by_id = read(store, Need { links: ids, ..Need::default() }).await.links;
            assert_eq!(by_id, rows, "{} at {at}: by row number", opened.name);
            let records = vec![(CRM, "a".into()), (COMPANY, "a".into())];
            let by_record = read(store, Need { records, ..Need::default() }).await.links;
            assert_eq!(by_record, rows, "{} at {at}: by record", opened.name);
            let of_shards = store.links_of(vec![ShardId(1), ShardId(2)]).await.unwrap();
            let others = of_shards.into_iter().filter(|row| row.id != LinkId(2));
            assert_eq!(others.collect::<Vec<_>>(), rows, "{} at {at}: by shard", opened.name);
        }
    }
}

#[tokio::test]
async fn decisions_stand_until_they_are_taken_back() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let links = (1..=3).map(|id| link(id, CRM, &format!("r{id}"), id)).collect();
        let shards_new = (1..=3).map(|id| shard(id, "{}")).collect();
        let decided = |a, b, verdict| Decision {
            a: LinkId(a),
            b: LinkId(b),
            verdict,
            by: "ann".into(),
            at: 5,
            why: "told so".into(),
        };
        let pairs = vec![asked(1, 2, 0.5), asked(1, 3, 0.5)];
        let set = vec![decided(1, 2, Verdict::Apart), decided(2, 3, Verdict::Same)];
        let plan = Plan {
            links_new: links,
            shards_new,
            match_edges_set: pairs,
            decisions_set: set.clone(),
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        assert_eq!(store.decisions().await.unwrap(), set, "{}", opened.name);
        let need = Need { links: vec![LinkId(2)], ..Need::default() };
        assert_eq!(read(store, need).await.decisions, set, "{}", opened.name);
        let waiting = reviews::waiting(store).await.unwrap();
        assert_eq!(waiting, [asked(1, 3, 0.5)], "{}: decided is decided", opened.name);
        assert_eq!(store.counts().await.unwrap().reviews, 1, "{}", opened.name);
        let other = decided(2, 3, Verdict::Apart);
        let plan = Plan {
            decisions_set: vec![other.clone()],
            decisions_removed: vec![(LinkId(1), LinkId(2))],
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        assert_eq!(store.decisions().await.unwrap(), [other], "{}", opened.name);
    }
}

#[tokio::test]
async fn it_is_remembered_which_records_a_shard_had_when_it_was_merged() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let links = (1..=3).map(|id| link(id, CRM, &format!("r{id}"), 1)).collect();
        let shards_new = (1..=3).map(|id| shard(id, "{}")).collect();
        let merge = |loser, others: &[(i64, i64)]| Merge {
            survivor: ShardId(1),
            loser: ShardId(loser),
            evidence: None,
            waterfall: None,
            by: None,
            records: others.iter().map(|&(l, s)| (LinkId(l), ShardId(s))).collect(),
        };
        let first = merge(2, &[(1, 1), (2, 2)]);
        let plan = Plan { links_new: links, shards_new, merges: vec![first], ..Plan::default() };
        commit(store, begun.execution, plan).await;
        let second = merge(3, &[(1, 1), (2, 1), (3, 3)]);
        commit(store, begun.execution, Plan { merges: vec![second], ..Plan::default() }).await;
        let need = Need {
            histories: vec![LinkId(2), LinkId(3)],
            shards: vec![ShardId(1), ShardId(9)],
            ..Need::default()
        };
        let found = read(store, need).await;
        let told: Vec<_> = found.histories.iter().map(|(l, s)| (l.0, s.0)).collect();
        assert_eq!(told, [(2, 2), (2, 1), (3, 3)], "{}", opened.name);
        let rows: Vec<_> = found.shards.iter().map(|shard| shard.id.0).collect();
        assert_eq!(rows, [1, 2, 3], "{}", opened.name);
        let siblings: Vec<_> = found.siblings.iter().map(|(s, l)| (s.0, l.0)).collect();
        assert_eq!(siblings, [(1, 1), (1, 2), (1, 3)], "{}", opened.name);
    }
}

#[tokio::test]
async fn how_a_type_is_matched_is_kept_and_keys_and_edges_of_links_are_read() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let matched = async |id| store.matched(TypeId(id)).await.unwrap();
        assert_eq!(matched(1).await, None, "{}", opened.name);
        let state = |id, text: &str| (TypeId(id), text.to_owned());
        let plan = Plan { matched: vec![state(1, "keys"), state(2, "x")], ..two_people() };
        commit(store, begun.execution, plan).await;
        let plan = Plan { matched: vec![state(1, "done")], ..Plan::default() };
        commit(store, begun.execution, plan).await;
        assert_eq!(matched(1).await.as_deref(), Some("done"), "{}", opened.name);
        assert_eq!(matched(2).await.as_deref(), Some("x"), "{}", opened.name);
        let links = vec![LinkId(2), LinkId(1), LinkId(9)];
        let need = Need { keys_of: links.clone(), edges_of: links.clone(), ..Need::default() };
        let found = read(store, need.clone()).await;
        let keys = [(LinkId(1), 5), (LinkId(1), u64::MAX), (LinkId(2), 5)];
        assert_eq!(found.keys, keys, "{}", opened.name);
        let stated = [(LinkId(1), edge(1, COMPANY, "a")), (LinkId(1), edge(2, CRM, "z"))];
        assert_eq!(found.stated, stated, "{}", opened.name);
        let plan = Plan {
            keys_removed: vec![(5, LinkId(1))],
            keys_added: vec![(7, LinkId(2)), (8, LinkId(3))],
            edges: vec![(LinkId(1), vec![]), (LinkId(2), vec![edge(1, CRM, "a")])],
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        let found = read(store, need).await;
        let keys = [(LinkId(1), u64::MAX), (LinkId(2), 5), (LinkId(2), 7)];
        assert_eq!(found.keys, keys, "{}", opened.name);
        assert_eq!(found.stated, [(LinkId(2), edge(1, CRM, "a"))], "{}", opened.name);
    }
}

#[tokio::test]
async fn lists_come_back_in_their_order() {
    for opened in all() {
        let store = &*opened.store;
        let (_, begun) = start(store).await;
        let letter = |line| DeadLetter { task: "t".into(), line, ..DeadLetter::default() };
        let change = |version, before: &str| Change {
            subject: Subject::Shard(ShardId(1)),
            before: before.into(),
            version,
        };
        let of_link = Change { subject: Subject::Link(LinkId(1)), before: "x".into(), version: 1 };
        let merge = |survivor, loser, evidence| Merge {
            survivor: ShardId(survivor),
            loser: ShardId(loser),
            evidence,
            waterfall: evidence.map(|_| "[]".into()),
            by: evidence.is_none().then(|| "ann".into()),
            records: vec![(LinkId(survivor), ShardId(survivor)), (LinkId(loser), ShardId(loser))],
        };
        let plan = Plan {
            merges: vec![merge(1, 2, Some(pair(1, 2, 0.5))), merge(3, 1, None), merge(7, 8, None)],
            changes: vec![change(1, "a"), of_link, change(2, "b")],
            dead_letters: vec![letter(4), letter(2)],
            ..Plan::default()
        };
        commit(store, begun.execution, plan).await;
        let merges = store.merges(vec![ShardId(1)]).await.unwrap();
        let found: Vec<_> = merges.iter().map(|m| (m.survivor.0, m.evidence.is_some())).collect();
        assert_eq!(found, [(3, false), (1, true)], "{}", opened.name);
        let history = store.history(ShardId(1)).await.unwrap();
        assert_eq!(
            history.iter().map(|h| h.version).collect::<Vec<_>>(),
            [2, 1],
            "{}",
            opened.name
        );
        let letters = async |with_replayed| {
            let filter =
                DeadLetterFilter { with_replayed, limit: 9, ..DeadLetterFilter::default() };
            store.dead_letters(filter).await.unwrap()
        };
        let all = letters(false).await;
        assert_eq!(
            all.iter().map(|l| l.letter.line).collect::<Vec<_>>(),
            [4, 2],
            "{}",
            opened.name
        );
        store.replayed(vec![all[0].id], begun.execution).await.unwrap();
        assert_eq!(letters(false).await, all[1..], "{}", opened.name);
        assert_eq!(letters(true).await[0].replayed, Some(begun.execution), "{}", opened.name);
    }
}
