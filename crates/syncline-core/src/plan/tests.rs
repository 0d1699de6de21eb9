//! Laws of the planner, on a store that is a few maps.

mod cases;

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

    fn plan(&mut self, planner: Box<Planner<'_>>) -> Planned {
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
        self.apply(Plan::clone(&planned.plan));
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

/// Decides of every record of `left` and every one of `right`.
fn ruling(left: &[i64], right: &[i64], verdict: Verdict) -> Rulings {
    let links = |ids: &[i64]| ids.iter().copied().map(LinkId).collect::<Vec<_>>();
    let mut rulings = Rulings::default();
    rulings.decide(&links(left), &links(right), verdict, ("ann", 1, ""));
    rulings
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
