//! Laws of the planner, on a store that is a few maps.

use super::constrain::Rulings;
use super::news::{Ack, Came, News};
use super::planner::{Moment, Outcome, Planned, Planner};
use super::recall::Recall;
use super::rows::{
    Decision, EdgeTarget, EntityId, IntentId, LinkId, LinkRow, MatchEdge, RuleId, ShardId,
    ShardRow, TypeId, Verdict,
};
use super::rules::{Content, EntityRules, Item, Rules, TypeRules};
use super::view::{Found, Need};
use super::writes::{Counters, Plan};
use crate::config::model::{ShardType, Target};
use crate::matching::model::{ModelFile, Trainer, declare};
use crate::matching::{Matcher, Zone};
use crate::problem::ConfigPath;
use crate::shard::Layout;
use crate::value::Value;
use compact_str::CompactString;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

const CRM: EntityId = EntityId(1);
const BILLING: EntityId = EntityId(2);
const COMPANY: EntityId = EntityId(3);

/// What a store does, as maps.
#[derive(Default)]
struct Shelf {
    links: BTreeMap<LinkId, LinkRow>,
    shards: BTreeMap<ShardId, ShardRow>,
    keys: BTreeSet<(u64, LinkId)>,
    match_edges: BTreeMap<(LinkId, LinkId), MatchEdge>,
    edges: BTreeMap<LinkId, Vec<EdgeTarget>>,
    decisions: BTreeMap<(LinkId, LinkId), Decision>,
    histories: Vec<(LinkId, ShardId)>,
    /// How many plans were applied.
    plans: u64,
    /// What is remembered from plan to plan; nothing, where it forgets.
    recall: Recall,
    forgets: bool,
}

impl Shelf {
    fn read(&self, need: &Need) -> Found {
        let mut found = Found { epoch: self.plans + 1, ..Found::default() };
        found.next_link = self.links.keys().last().map_or(1, |id| id.0 + 1);
        found.next_shard = self.shards.keys().last().map_or(1, |id| id.0 + 1);
        for (entity, external_id) in &need.records {
            let same = |l: &&LinkRow| l.entity == *entity && l.external_id == *external_id;
            found.links.extend(self.links.values().find(same).cloned());
        }
        for &key in &need.keys {
            let members = self.keys.range((key, LinkId(0))..=(key, LinkId(i64::MAX)));
            found.members.extend(members.take(need.members_max));
        }
        for id in &need.links {
            let link = self.links[id].clone();
            found.shards.push(self.shards[&link.shard].clone());
            found.edges.extend(self.match_edges.values().filter(|e| e.a == *id || e.b == *id));
            found.links.push(link);
            let about = |d: &&Decision| d.a == *id || d.b == *id;
            found.decisions.extend(self.decisions.values().filter(about).cloned());
        }
        for &shard in &need.shards {
            let of = self.links.values().filter(|link| link.shard == shard);
            found.siblings.extend(of.map(|link| (shard, link.id)));
        }
        for id in &need.histories {
            let of = self.histories.iter().filter(|(link, _)| link == id);
            found.histories.extend(of.clone());
            found.shards.extend(of.map(|(_, shard)| self.shards[shard].clone()));
        }
        found
    }

    fn apply(&mut self, plan: Plan) {
        for shard in plan.shards_new {
            assert!(self.shards.insert(shard.id, shard).is_none(), "a shard's row number is taken");
        }
        for shard in plan.shards_changed {
            self.shards.insert(shard.id, shard).expect("a changed shard was there");
        }
        for link in plan.links_new {
            assert!(self.links.insert(link.id, link).is_none(), "a link's row number is taken");
        }
        for link in plan.links_changed.into_iter().chain(plan.links_restamped) {
            self.links.insert(link.id, link).expect("a changed link was there");
        }
        for key in plan.keys_removed {
            assert!(self.keys.remove(&key), "a removed key was there");
        }
        for key in plan.keys_added {
            assert!(self.keys.insert(key), "an added key was not there");
        }
        for ends in plan.match_edges_removed {
            self.match_edges.remove(&ends).expect("a removed match edge was there");
        }
        for edge in plan.match_edges_set {
            assert!(edge.a < edge.b);
            self.match_edges.insert((edge.a, edge.b), edge);
        }
        self.edges.extend(plan.edges);
        for decision in plan.decisions_set {
            self.decisions.insert((decision.a, decision.b), decision);
        }
        for pair in plan.decisions_removed {
            self.decisions.remove(&pair);
        }
        for shard in self.shards.values() {
            let is_said = |link: LinkId| self.links[&link].image == shard.data;
            assert!(shard.said_by.is_none_or(is_said), "{shard:?} is what its record says");
        }
        for merge in plan.merges {
            assert!(merge.records.iter().any(|(_, shard)| *shard == merge.loser));
            self.histories.retain(|of| !merge.records.contains(of));
            self.histories.extend(merge.records);
        }
    }

    fn run(&mut self, rules: &Rules, execution: i64, items: Vec<Item>) -> Planned {
        let moment = Moment {
            execution: super::rows::ExecutionId(execution),
            started: execution * 1_000_000,
            seed: 7,
            is_replay: false,
        };
        self.plan(Planner::new(rules, moment, items))
    }

    fn rule(&mut self, rules: &Rules, rulings: Rulings) -> Planned {
        self.plan(Planner::new(rules, Moment::default(), Vec::new()).deciding(rulings))
    }

    fn plan(&mut self, planner: Planner<'_>) -> Planned {
        let mut planner = planner.recalling(std::mem::take(&mut self.recall));
        loop {
            let need = planner.need().expect("the shelf holds what plans wrote");
            if need.is_empty() {
                break;
            }
            planner.supply(&need, self.read(&need));
        }
        let mut planned = planner.finish();
        let changed: Vec<LinkId> = planned.plan.links_changed.iter().map(|row| row.id).collect();
        self.apply(planned.plan.clone());
        self.plans += 1;
        if !self.forgets {
            self.recall = std::mem::take(&mut planned.recall);
            self.recall.pass(self.plans, self.plans + 1, &changed);
        }
        planned
    }

    /// The clusters by external id, each with its shard's data: all that may not depend on order.
    fn outcome(&self) -> BTreeMap<Vec<String>, String> {
        let mut clusters: BTreeMap<ShardId, Vec<String>> = BTreeMap::new();
        for link in self.links.values() {
            let name = format!("{}/{}", link.entity, link.external_id);
            clusters.entry(link.shard).or_default().push(name);
        }
        clusters
            .into_iter()
            .map(|(shard, mut names)| {
                names.sort();
                let shard = &self.shards[&shard];
                assert_eq!(shard.merged_into, None, "no link points to an alias");
                (names, format!("{} {}", shard.data, shard.deleted_at.is_some()))
            })
            .collect()
    }

    /// What every store must hold after any run.
    fn check(&self, rules: &Rules) {
        for link in self.links.values() {
            let type_rules = &rules.types[rules.entities[&link.entity].shard_type];
            let image = type_rules.layout.read_json(&link.image).unwrap();
            let mut keys = Vec::new();
            type_rules.matcher.keys(&image, &mut keys);
            let keys: BTreeSet<u64> = keys.into_iter().map(|key| key.hash).collect();
            let stored: BTreeSet<u64> =
                self.keys.iter().filter(|(_, l)| *l == link.id).map(|(k, _)| *k).collect();
            assert_eq!(keys, stored, "keys are those of the image of {}", link.external_id);
        }
    }
}

fn rules(yaml_matching: &str) -> Rules {
    rules_of(contact(yaml_matching))
}

fn contact(yaml_matching: &str) -> ShardType {
    serde_json::from_str(&format!(
        r#"{{"fields": {{"email": "text", "name": "text", "city": "text"}}, "matching": {yaml_matching}}}"#
    ))
    .unwrap()
}

fn rules_of(contact: ShardType) -> Rules {
    let company: ShardType = serde_json::from_str(r#"{"fields": {"name": "text"}}"#).unwrap();
    let types = [("contact", contact), ("company", company)].into_iter().zip(1..);
    let types = types.map(|((name, shard_type), id)| {
        let layout = Arc::new(Layout::new(name, &shard_type));
        let matcher = Matcher::compile(&layout, &shard_type, &ConfigPath::root()).unwrap();
        TypeRules::new(TypeId(id), layout, matcher, (1..=9).map(RuleId).collect())
    });
    let entity = |connection: &str, shard_type| EntityRules {
        connection: connection.to_owned(),
        entity: "contact".to_owned(),
        priority: 0,
        system: 0,
        shard_type,
        target: Target::default(),
        is_timed: true,
        conversion: None,
        two_way: None,
    };
    let entities =
        [(CRM, entity("crm", 0)), (BILLING, entity("billing", 0)), (COMPANY, entity("crm", 1))];
    Rules { types: types.collect(), entities: Arc::new(entities.into_iter().collect()) }
}

const MATCHING: &str = r#"{"block_max": 3, "cluster_max": 6, "rules": [
    {"name": "email", "compare": [{"field": "email"}], "threshold": 1.0},
    {"name": "name", "block": ["city"], "compare": [{"field": "name", "by": "levenshtein"}], "threshold": 0.7}]}"#;

fn item(entity: EntityId, id: &str, modified: i64, cells: [Option<&str>; 3]) -> Item {
    Item {
        entity,
        external_id: CompactString::new(id),
        modified: Some(modified),
        contributor: None,
        counts: true,
        content: Content::Image {
            image: cells.iter().map(|cell| cell.map(Value::text)).collect(),
            lookups: Vec::new(),
            edges: Vec::new(),
        },
        digest: None,
    }
}

fn company(key: &str, contributor: &str, modified: i64, name: &str) -> Item {
    Item {
        entity: COMPANY,
        external_id: CompactString::new(key),
        modified: Some(modified),
        contributor: Some(CompactString::new(contributor)),
        counts: false,
        content: Content::Image {
            image: vec![Some(Value::text(name))],
            lookups: Vec::new(),
            edges: Vec::new(),
        },
        digest: None,
    }
}

#[derive(Clone, Debug)]
enum Said {
    Contact(bool, i64, Option<u8>, u8, u8),
    Company(u8, i64, u8),
}

impl Said {
    /// Each record comes once, so its id names it, and its modified time is unique.
    fn item(&self, index: usize) -> Item {
        match self {
            Self::Contact(crm, modified, email, name, city) => {
                let names = ["anna berg", "anna burg", "ana berg", "otto", "otto k", "x"];
                let email = email.map(|e| format!("e{e}@x.de"));
                let city = format!("c{city}");
                let entity = if *crm { CRM } else { BILLING };
                let cells = [email.as_deref(), Some(names[usize::from(*name)]), Some(&city)];
                item(entity, &format!("r{index}"), *modified, cells)
            }
            Self::Company(key, modified, name) => {
                company(&format!("k{key}"), &format!("r{index}"), *modified, &format!("n{name}"))
            }
        }
    }
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        4 => (any::<bool>(), 0..5_i64, prop::option::of(0..6_u8), 0..6_u8, 0..3_u8)
            .prop_map(|(a, b, c, d, e)| Said::Contact(a, b, c, d, e)),
        1 => (0..3_u8, 0..4_i64, 0..3_u8).prop_map(|(a, b, c)| Said::Company(a, b, c)),
    ]
}

/// Runs items in batches of the given sizes, in turn.
fn run_all(rules: &Rules, items: Vec<Item>, sizes: &[usize]) -> (Shelf, Counters) {
    run_on(Shelf::default(), rules, items, sizes)
}

fn run_on(
    mut shelf: Shelf,
    rules: &Rules,
    mut items: Vec<Item>,
    sizes: &[usize],
) -> (Shelf, Counters) {
    let mut counters = Counters::default();
    for size in sizes.iter().cycle() {
        if items.is_empty() {
            break;
        }
        let rest = items.split_off((*size).min(items.len()));
        counters.add(&shelf.run(rules, 1, items).counters);
        items = rest;
    }
    shelf.check(rules);
    (shelf, counters)
}

/// A model that was trained on records of the kind that [`Said`] makes.
fn rules_with_model(block_max: u32) -> Rules {
    static TRAINED: LazyLock<Arc<ModelFile>> = LazyLock::new(|| {
        let contact = contact(LEARNED);
        let (layout, matching) = (Layout::new("contact", &contact), contact.matching.unwrap());
        let declared = declare(&layout, &matching, &ConfigPath::root()).unwrap().unwrap();
        let mut trainer = Trainer::new(Arc::new(declared), 1);
        for i in 0..60_u8 {
            let said = Said::Contact(true, 0, Some(i / 2 % 20), i / 2 % 6, i / 4 % 10);
            if let Content::Image { image, .. } = said.item(i.into()).content {
                trainer.add(&format!("r{i}"), &image);
            }
        }
        Arc::new(trainer.train(&|_, _| None).unwrap().file)
    });
    let mut contact = contact(LEARNED);
    let matching = contact.matching.as_mut().unwrap();
    (matching.trained, matching.block_max) = (Some(TRAINED.clone()), block_max);
    rules_of(contact)
}

const LEARNED: &str = r#"{"model": "m.yaml", "cluster_max": 6, "block": ["email", "city", "name"],
    "compare": {"email": "email", "name": "name", "city": "place"}}"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn with_a_model_neither_order_nor_batches_nor_what_is_remembered_change_the_outcome(
        saids in prop::collection::vec(said(), 1..24),
        edits in prop::collection::vec((0..24_usize, said()), 0..12),
        sizes in prop::collection::vec(1..9_usize, 1..4),
        block_max in 2..6_u32,
        shuffle in any::<u64>(),
    ) {
        let rules = rules_with_model(block_max);
        let mut items: Vec<(usize, Said)> = saids.iter().cloned().enumerate().collect();
        items.sort_by_key(|(index, _)| (*index as u64 + 1).wrapping_mul(shuffle | 1));
        // Later versions of some of the records.
        items.extend(edits.into_iter().map(|(index, said)| (index % saids.len(), said)));
        let make = || -> Vec<Item> {
            let item = |(at, (index, said)): (usize, &(usize, Said))| {
                let mut item = said.item(*index);
                item.modified = Some(at as i64);
                item
            };
            items.iter().enumerate().map(item).collect()
        };
        let (forgetful, _) = run_on(Shelf { forgets: true, ..Shelf::default() }, &rules, make(), &sizes);
        let (one, _) = run_all(&rules, make(), &sizes);
        let (other, _) = run_all(&rules, make(), &[1000]);
        prop_assert_eq!(one.outcome(), forgetful.outcome());
        prop_assert_eq!(&one.match_edges, &forgetful.match_edges);
        prop_assert_eq!(one.outcome(), other.outcome());
        prop_assert_eq!(one.match_edges.len(), other.match_edges.len());
    }

    #[test]
    fn neither_order_nor_batches_change_the_outcome(
        saids in prop::collection::vec(said(), 1..24),
        sizes in prop::collection::vec(1..9_usize, 1..4),
        shuffle in any::<u64>(),
    ) {
        let rules = rules(MATCHING);
        let items = |order: &[usize]| -> Vec<Item> {
            order.iter().map(|&index| saids[index].item(index)).collect()
        };
        let straight: Vec<usize> = (0..saids.len()).collect();
        let mut shuffled = straight.clone();
        shuffled.sort_by_key(|index| (*index as u64 + 1).wrapping_mul(shuffle | 1));
        let (one, _) = run_all(&rules, items(&straight), &[1000]);
        let (other, _) = run_all(&rules, items(&shuffled), &sizes);
        prop_assert_eq!(one.outcome(), other.outcome());
        prop_assert_eq!(one.match_edges.len(), other.match_edges.len());
    }

    #[test]
    fn running_twice_changes_nothing_and_edits_give_what_a_fresh_start_gives(
        before in prop::collection::vec(said(), 1..16),
        after in prop::collection::vec(said(), 1..16),
        sizes in prop::collection::vec(1..9_usize, 1..4),
    ) {
        let rules = rules(MATCHING);
        let contacts = |saids: &[Said], shift: i64| -> Vec<Item> {
            let items = saids.iter().enumerate().map(|(index, said)| {
                let mut item = said.item(index);
                // One entity only, so that a later version replaces the earlier one.
                if item.contributor.is_none() {
                    item.entity = CRM;
                }
                item.modified = item.modified.map(|m| m + shift);
                item
            });
            items.filter(|item| item.contributor.is_none()).collect()
        };
        let (mut shelf, _) = run_all(&rules, contacts(&before, 0), &sizes);
        let again = shelf.run(&rules, 2, contacts(&before, 0));
        prop_assert!(again.plan.changes_nothing());
        prop_assert!(again.outcomes.iter().all(|o| *o == Outcome::Unchanged));
        shelf.run(&rules, 3, contacts(&after, 100));
        shelf.check(&rules);
        // What a record says counts from the last time that it said so.
        let all = contacts(&before, 0).into_iter().chain(contacts(&after, 100));
        let fresh: BTreeMap<CompactString, Item> =
            all.map(|item| (item.external_id.clone(), item)).collect();
        let fresh = fresh.into_values().collect();
        let (expected, _) = run_all(&rules, fresh, &[1000]);
        prop_assert_eq!(shelf.outcome(), expected.outcome());
    }
}

/// Three rules, of which two share their keys, and with few records to a key.
const OVERLAPPING: &str = r#"{"block_max": 3, "cluster_max": 6, "rules": [
    {"name": "email", "compare": [{"field": "email"}], "threshold": 1.0},
    {"name": "name", "block": ["city"], "compare": [{"field": "name", "by": "levenshtein"}], "threshold": 0.7},
    {"name": "near", "block": ["city"], "compare": [{"field": "email", "by": "levenshtein"}],
     "threshold": 0.9, "review": 0.6}]}"#;

impl Shelf {
    /// The match edges by the records' names, which do not hang on the order of arrival.
    fn edges_by_name(&self) -> BTreeMap<[&str; 2], MatchEdge> {
        let named = self.match_edges.values().map(|edge| {
            let mut ends = [edge.a, edge.b].map(|id| self.links[&id].external_id.as_str());
            ends.sort_unstable();
            (ends, MatchEdge { a: LinkId(0), b: LinkId(0), ..*edge })
        });
        named.collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What a changed record is not compared by stands.
    #[test]
    fn edits_of_single_fields_leave_the_edges_of_a_fresh_start(
        saids in prop::collection::vec((prop::option::of(0..6_u8), 0..6_u8, 0..3_u8), 1..14),
        edits in prop::collection::vec((0..14_usize, 0..3_usize, 0..6_u8), 1..14),
        sizes in prop::collection::vec(1..6_usize, 1..4),
        by_model in any::<bool>(),
    ) {
        let rules = if by_model { rules_with_model(3) } else { rules(OVERLAPPING) };
        let item = |index: usize, (email, name, city): (Option<u8>, u8, u8), at: usize| {
            let mut item = Said::Contact(true, 0, email, name, city).item(index);
            item.modified = Some(at as i64);
            item
        };
        let mut now = saids.clone();
        let first = now.iter().enumerate().map(|(index, said)| item(index, *said, 0)).collect();
        let (shelf, _) = run_all(&rules, first, &sizes);
        let mut later = Vec::new();
        for (at, (index, field, value)) in edits.into_iter().enumerate() {
            let index = index % now.len();
            match field {
                0 => now[index].0 = (value > 0).then_some(value),
                1 => now[index].1 = value,
                _ => now[index].2 = value % 3,
            }
            later.push(item(index, now[index], at + 1));
        }
        let last: Vec<i64> = (0..now.len())
            .map(|index| {
                let id = format!("r{index}");
                let of = later.iter().filter(|item| item.external_id == id.as_str());
                of.filter_map(|item| item.modified).max().unwrap_or(0)
            })
            .collect();
        let (edited, _) = run_on(shelf, &rules, later, &sizes);
        let fresh = now.iter().zip(last).enumerate();
        let fresh = fresh.map(|(index, (said, at))| item(index, *said, at as usize)).collect();
        let (fresh, _) = run_all(&rules, fresh, &[1000]);
        prop_assert_eq!(edited.edges_by_name(), fresh.edges_by_name());
        prop_assert_eq!(edited.outcome(), fresh.outcome());
    }
}

proptest! {
    /// Another plan is applied between two rounds of questions: what is asked about later may be gone or elsewhere.
    #[test]
    fn a_plan_of_rounds_that_saw_different_states_applies_to_none(
        said in prop::collection::vec(said(), 6..40),
        rounds in 0..12_usize,
    ) {
        let rules = rules(MATCHING);
        let items = |of: std::ops::Range<usize>| -> Vec<Item> {
            let of = of.map(|index| Item {
                modified: Some(index as i64),
                ..said[index].item(index % 8)
            });
            of.collect()
        };
        let (mut shelf, _) = run_all(&rules, items(0..said.len() / 3), &[1000]);
        let mut planner =
            Planner::new(&rules, Moment::default(), items(said.len() / 3..said.len() / 3 * 2));
        let mut asked = 0;
        let torn = loop {
            let need = planner.need().expect("what is missing is no reason to fail");
            if need.is_empty() {
                break asked > rounds + 1;
            }
            if asked == rounds + 1 {
                shelf.run(&rules, 2, items(said.len() / 3 * 2..said.len()));
            }
            planner.supply(&need, shelf.read(&need));
            asked += 1;
        };
        let now = shelf.plans + 1;
        let planned = planner.finish();
        prop_assert_eq!(planned.plan.fits(now), !torn);
        prop_assert_eq!(planned.outcomes.is_empty(), torn);
    }
}

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

/// Decides of every record of `left` and every one of `right`.
fn ruling(left: &[i64], right: &[i64], verdict: Verdict) -> Rulings {
    let links = |ids: &[i64]| ids.iter().copied().map(LinkId).collect::<Vec<_>>();
    let mut rulings = Rulings::default();
    rulings.decide(&links(left), &links(right), verdict, ("ann", 1, ""));
    rulings
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn merging_and_unmerging_changes_nothing(
        saids in prop::collection::vec(said(), 2..16),
        picked in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let rules = rules(MATCHING);
        let items = saids.iter().enumerate().map(|(index, said)| said.item(index)).collect();
        let (mut shelf, _) = run_all(&rules, items, &[1000]);
        let contacts: Vec<LinkRow> =
            shelf.links.values().filter(|link| link.entity != COMPANY).cloned().collect();
        prop_assume!(!contacts.is_empty());
        let (a, b) = (picked.0.get(&contacts), picked.1.get(&contacts));
        prop_assume!(a.shard != b.shard);
        let of = |shard| {
            let links = shelf.links.values().filter(move |link| link.shard == shard);
            links.map(|link| link.id.0).collect::<Vec<_>>()
        };
        let (left, right) = (of(a.shard), of(b.shard));
        let facts = |shelf: &Shelf| {
            let data = |shard: &ShardRow| (shard.id, shard.data.clone(), shard.merged_into);
            let links: Vec<_> = shelf.links.values().map(|l| (l.id, l.shard, l.image.clone())).collect();
            // A record that had to make room meanwhile leaves an alias.
            let live = shelf.shards.values().filter(|shard| shard.merged_into.is_none());
            (live.map(data).collect::<Vec<_>>(), links)
        };
        let before = facts(&shelf);
        shelf.rule(&rules, ruling(&[a.id.0], &[b.id.0], Verdict::Same));
        prop_assert!(shelf.links[&a.id].shard == shelf.links[&b.id].shard);
        shelf.rule(&rules, ruling(&left, &right, Verdict::Apart));
        prop_assert_eq!(facts(&shelf), before);
        shelf.check(&rules);
    }
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
