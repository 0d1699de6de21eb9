//! What the planner makes of single situations.

use super::*;

#[test]
fn a_record_that_bridges_two_shards_merges_them_and_the_older_id_stays() {
    let rules = rules(MATCHING);
    let mut shelf = Shelf::default();
    let first = [Some("a@x.de"), Some("anna berg"), Some("ulm")];
    let second = [Some("b@x.de"), Some("anna berg"), Some("bonn")];
    shelf.run(&rules, 1, vec![item(CRM, "1", 1, first)]);
    shelf.run(&rules, 1, vec![item(CRM, "2", 2, second)]);
    let bridge = [Some("a@x.de"), Some("anna berg"), Some("bonn")];
    let planned = shelf.run(&rules, 2, vec![item(BILLING, "3", 3, bridge)]);
    assert_eq!(planned.outcomes, [Outcome::Merged]);
    assert_eq!((planned.counters.updated, planned.counters.merged), (1, 1));
    assert_eq!(planned.counters.shards_merged, 1);
    assert_eq!(shelf.outcome().len(), 1);
    assert_eq!(shelf.shards[&ShardId(2)].merged_into, Some(ShardId(1)));
    assert_eq!(
        &*shelf.shards[&ShardId(1)].data,
        r#"{"email":"a@x.de","name":"anna berg","city":"bonn"}"#
    );
    // The records keep what they said.
    assert_eq!(
        &*shelf.links[&LinkId(1)].image,
        r#"{"email":"a@x.de","name":"anna berg","city":"ulm"}"#
    );
    assert_eq!(shelf.shards[&ShardId(1)].said_by, Some(LinkId(3)));
}

#[test]
fn a_manual_type_lists_pairs_and_merges_nothing() {
    let rules = rules(
        r#"{"merge": "manual", "rules": [{"name": "email", "compare": [{"field": "email"}]}]}"#,
    );
    let mut shelf = Shelf::default();
    let cells = [Some("a@x.de"), None, None];
    shelf.run(&rules, 1, vec![item(CRM, "1", 1, cells), item(BILLING, "2", 1, cells)]);
    let zones: Vec<Zone> = shelf.match_edges.values().map(|edge| edge.zone).collect();
    assert_eq!((shelf.outcome().len(), zones), (2, vec![Zone::Review]));
    // What speaks for a question goes, and the question with it.
    shelf.run(&rules, 2, vec![item(CRM, "1", 2, [Some("else@x.de"), None, None])]);
    assert!(shelf.match_edges.is_empty());
}

#[test]
fn a_deleted_record_comes_back_as_the_same_link() {
    let rules = rules(MATCHING);
    let mut shelf = Shelf::default();
    let cells = [Some("a@x.de"), None, None];
    shelf.run(&rules, 1, vec![item(CRM, "1", 1, cells)]);
    let gone = || Item { content: Content::Deleted, ..item(CRM, "1", 1, cells) };
    let planned = shelf.run(&rules, 2, vec![gone()]);
    assert_eq!(planned.outcomes, [Outcome::Tombstoned]);
    assert!(shelf.links[&LinkId(1)].deleted);
    let again = shelf.run(&rules, 3, vec![gone()]);
    assert_eq!(again.outcomes, [Outcome::Unchanged]);
    let planned = shelf.run(&rules, 4, vec![item(CRM, "1", 2, cells)]);
    assert_eq!(
        (planned.outcomes.as_slice(), planned.counters.revived),
        (&[Outcome::Updated][..], 1)
    );
    assert!(!shelf.links[&LinkId(1)].deleted);
    assert_eq!(shelf.links.len(), 1);
}

#[test]
fn where_the_source_owns_the_shard_it_goes_with_its_last_record() {
    let mut rules = rules(MATCHING);
    for entity in [CRM, BILLING] {
        Arc::get_mut(&mut rules.entities)
            .unwrap()
            .get_mut(&entity)
            .unwrap()
            .target
            .delete_if_removed = true;
    }
    let mut shelf = Shelf::default();
    let (old, new) = ([Some("a@x.de"), Some("old"), None], [Some("a@x.de"), Some("new"), None]);
    shelf.run(&rules, 1, vec![item(CRM, "1", 1, old), item(BILLING, "2", 2, new)]);
    let gone = |entity, id| Item { content: Content::Deleted, ..item(entity, id, 3, old) };
    shelf.run(&rules, 2, vec![gone(BILLING, "2")]);
    let left = shelf.outcome().into_values().next().unwrap();
    assert_eq!(left, r#"{"email":"a@x.de","name":"old"} false"#);
    let planned = shelf.run(&rules, 3, vec![gone(CRM, "1")]);
    assert_eq!(planned.counters.shards_deleted, 1);
    assert!(shelf.shards[&ShardId(1)].deleted_at.is_some());
}

#[test]
fn target_flags_keep_records_out() {
    let mut rules = rules(MATCHING);
    Arc::get_mut(&mut rules.entities).unwrap().get_mut(&BILLING).unwrap().target =
        Target { create_if_missing: false, update_if_exists: false, delete_if_removed: false };
    let mut shelf = Shelf::default();
    let cells = [Some("a@x.de"), Some("anna"), None];
    let planned = shelf.run(&rules, 1, vec![item(BILLING, "1", 1, cells)]);
    assert_eq!((planned.outcomes.as_slice(), shelf.links.len()), (&[Outcome::Filtered][..], 0));
    assert!(shelf.keys.is_empty() && shelf.match_edges.is_empty());
    shelf.run(&rules, 2, vec![item(CRM, "1", 1, cells)]);
    let planned = shelf.run(&rules, 3, vec![item(BILLING, "1", 1, cells)]);
    assert_eq!(planned.outcomes, [Outcome::Merged], "it joins what is there");
    let changed = [Some("a@x.de"), Some("else"), None];
    let planned = shelf.run(&rules, 4, vec![item(BILLING, "1", 2, changed)]);
    assert_eq!(planned.outcomes, [Outcome::Filtered]);
}

#[test]
fn of_two_versions_in_one_read_the_newer_one_stands_whatever_their_order() {
    let rules = rules(MATCHING);
    let (old, new) = ([Some("o@x.de"), None, None], [Some("n@x.de"), None, None]);
    for flip in [false, true] {
        let mut shelf = Shelf::default();
        let mut items = vec![item(CRM, "1", 1, old), item(CRM, "1", 2, new)];
        if flip {
            items.reverse();
        }
        let planned = shelf.run(&rules, 1, items);
        assert_eq!(planned.counters.created, 1);
        assert_eq!(shelf.outcome().into_values().next().unwrap(), r#"{"email":"n@x.de"} false"#);
        shelf.check(&rules);
    }
}

const LARGE: &str = r#"{"block_max": 400, "cluster_max": 400, "model": "m.yaml",
    "compare": {"name": "text", "city": "exact"}, "block": ["city"]}"#;

const MODEL: &str = r#"{"syncline_model": 1, "shard_type": "contact", "records": 500, "same_pairs": 500,
    "threshold": 0.5, "review": 0.1, "compare": {
    "name": {"kind": "text", "chance": 0.001, "rare": 0.001, "levels":
        {"same": [0.9, 0.001], "one letter off": [0.06, 0.001], "alike": [0.02, 0.001], "other": [0.02, 0.997]}},
    "city": {"kind": "exact", "chance": 0.01, "rare": 0.01, "levels": {"same": [0.99, 0.01], "other": [0.01, 0.99]}}}}"#;

#[test]
fn a_group_of_more_records_than_are_compared_keeps_to_what_was_decided() {
    const COUNT: i64 = 230;
    let mut contact = contact(LARGE);
    let file = serde_json::from_str(MODEL).unwrap();
    contact.matching.as_mut().unwrap().trained = Some(Arc::new(file));
    let rules = rules_of(contact);
    let all = || {
        let cells = [None, Some("anna berg"), Some("ulm")];
        (1..=COUNT).map(|n| item(CRM, &format!("{n:03}"), n, cells)).collect::<Vec<_>>()
    };
    let apart = |shelf: &mut Shelf| {
        let of = |name: &str| shelf.links.values().find(|l| l.external_id == name).unwrap().id;
        let (mut rulings, at) = (Rulings::default(), ("ann", 1, ""));
        let (a, b, c, d) = (of("001"), of("002"), of("003"), of("230"));
        rulings.decide(&[a], &[b], Verdict::Apart, at);
        rulings.decide(&[c], &[d], Verdict::Same, at);
        shelf.rule(&rules, rulings);
    };
    let together = |shelf: &Shelf, a: &str, b: &str| {
        let of = |name: &str| shelf.links.values().find(|l| l.external_id == name).unwrap().shard;
        of(a) == of(b)
    };
    let (mut one, _) = run_all(&rules, all(), &[1000]);
    assert!(one.outcome().len() > 1, "what cannot be compared is cut");
    assert!(together(&one, "001", "002"));
    apart(&mut one);
    assert!(!together(&one, "001", "002") && together(&one, "003", "230"));
    let largest = one.outcome().into_keys().map(|names| names.len()).max();
    assert!(largest.is_some_and(|largest| (100..=200).contains(&largest)), "{largest:?}");
    // Neither order nor batches, nor when it was decided, make a difference.
    let mut backwards = all();
    backwards.reverse();
    let (mut other, _) = run_all(&rules, backwards, &[90, 7]);
    apart(&mut other);
    assert_eq!(one.outcome(), other.outcome());
    let is_decided = |item: &Item| ["001", "002", "003", "230"].contains(&&*item.external_id);
    let (mut early, _) = run_all(&rules, all().into_iter().filter(is_decided).collect(), &[9]);
    apart(&mut early);
    early.run(&rules, 2, all());
    assert_eq!(one.outcome(), early.outcome());
}

/// Each record with the id of its shard.
fn places(shelf: &Shelf) -> Vec<(i64, i64)> {
    shelf.links.values().map(|link| (link.id.0, link.shard.0)).collect()
}

#[test]
fn a_shard_that_comes_apart_gives_each_part_its_old_id_back() {
    let rules = rules(MATCHING);
    let mut shelf = Shelf::default();
    let city = |city| [None, Some("anna berg"), Some(city)];
    shelf.run(&rules, 1, vec![item(CRM, "1", 1, city("ulm"))]);
    shelf.run(&rules, 1, vec![item(CRM, "2", 2, city("bonn"))]);
    shelf.run(&rules, 1, vec![item(CRM, "3", 3, city("jena"))]);
    let merged = shelf.rule(&rules, ruling(&[1], &[2], Verdict::Same));
    assert_eq!(merged.plan.merges[0].by.as_deref(), Some("ann"));
    assert_eq!(places(&shelf), [(1, 1), (2, 1), (3, 3)]);
    shelf.rule(&rules, ruling(&[2], &[3], Verdict::Same));
    assert_eq!(places(&shelf), [(1, 1), (2, 1), (3, 1)]);
    // Records that join meanwhile do not take an id along.
    shelf.run(&rules, 2, vec![item(CRM, "4", 4, city("jena")), item(CRM, "5", 5, city("jena"))]);
    shelf.rule(&rules, ruling(&[3, 4, 5], &[1, 2], Verdict::Apart));
    assert_eq!(places(&shelf), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3)]);
    shelf.rule(&rules, ruling(&[1], &[2], Verdict::Apart));
    assert_eq!(places(&shelf), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 3)]);
    assert!(shelf.shards.values().all(|shard| shard.merged_into.is_none()));
}

#[test]
fn what_was_set_apart_stays_apart_whatever_its_records_say_later() {
    let rules = rules(MATCHING);
    let mut shelf = Shelf::default();
    let cells = |mail| [Some(mail), Some("anna berg"), Some("ulm")];
    let items = |mail| vec![item(CRM, "1", 1, cells(mail)), item(BILLING, "2", 2, cells(mail))];
    shelf.run(&rules, 1, items("a@x.de"));
    assert_eq!(shelf.outcome().len(), 1);
    shelf.rule(&rules, ruling(&[1], &[2], Verdict::Apart));
    assert_eq!(shelf.outcome().len(), 2);
    assert!(shelf.run(&rules, 2, items("a@x.de")).plan.changes_nothing());
    let mut later = items("b@x.de");
    later.iter_mut().for_each(|item| item.modified = Some(9));
    shelf.run(&rules, 3, later);
    assert_eq!(shelf.outcome().len(), 2);
    let revoked = Rulings { revoked: vec![(LinkId(1), LinkId(2))], ..Rulings::default() };
    shelf.rule(&rules, revoked);
    assert_eq!(shelf.outcome().len(), 1, "what is decided no longer, the rules decide");
}

#[test]
fn a_creation_joins_a_record_by_its_key_only_where_that_is_what_it_made() {
    let (old, new) = ([Some("b@x.de"), None, None], [Some("c@x.de"), None, None]);
    let joined: &[&[&str]] = &[&["1/1", "2/17"]];
    let superseded: &[&[&str]] = &[&["1/1", "2/17"], &["2/17#until-2"]];
    let apart: &[&[&str]] = &[&["1/1"], &["2/17"]];
    // How it came to the record, whether the one that had its key is known to be gone, what it says, what becomes of it.
    let cases = [
        (Came::Made, false, new, superseded),
        (Came::Made, true, new, superseded),
        (Came::Made, false, old, joined),
        (Came::Written, true, new, superseded),
        (Came::Written, false, new, apart),
        (Came::Written, false, old, apart),
        (Came::Met, false, new, apart),
        (Came::Met, true, new, apart),
    ];
    let rules = rules(MATCHING);
    for (came, is_gone, says, expected) in cases {
        let mut shelf = Shelf::default();
        let first = item(CRM, "1", 1, [Some("a@x.de"), None, None]);
        shelf.run(&rules, 1, vec![first, item(BILLING, "17", 1, old)]);
        if is_gone {
            let gone = Item { content: Content::Deleted, ..item(BILLING, "17", 1, old) };
            shelf.run(&rules, 2, vec![gone]);
        }
        let ack = Ack { intent: IntentId(5), joins: Some(LinkId(1)), came, ..Ack::default() };
        let acks = vec![((BILLING, "17".into()), ack)];
        let news = News { acks, is_fresh: true, ..News::default() };
        let moment = Moment { started: 3, ..Moment::default() };
        let mut shown = item(BILLING, "17", 2, says);
        shown.digest(&rules, false);
        let planned = shelf.plan(Planner::new(&rules, moment, vec![shown]).told(news));
        let clusters: Vec<Vec<String>> = shelf.outcome().into_keys().collect();
        assert_eq!(clusters, expected, "{came:?} {is_gone} {says:?}");
        let is_apart = expected == apart;
        assert_eq!(planned.strayed.is_empty(), !is_apart, "{came:?} {is_gone}");
        let lost = u64::from(expected == superseded && !is_gone);
        assert_eq!(planned.counters.tombstoned, lost, "{came:?} {is_gone}");
        shelf.check(&rules);
    }
}
