//! What the records of a cluster are owed becomes intents.

use super::agree::{Agreed, Agreement, Ground};
use super::intent::Body;
use super::planner::Planner;
use super::rows::{EntityId, IntentId, IntentKind, IntentRow, IntentState, LinkId, ShardRow};
use super::rules::{TwoWay, TypeRules};
use super::writes::{Counters, DeadLetter, Plan};
use crate::config::model::Deletes;
use crate::convert::FieldError;
use crate::reconcile::{Base, Owed, owed};
use crate::value::Cell;
use compact_str::CompactString;

/// Adds to a plan what a cluster's shard and records agree on, and what they are owed.
pub(super) fn write(
    planner: &mut Planner<'_>,
    mut agreement: Agreement,
    shard: &ShardRow,
    plan: &mut Plan,
    counters: &mut Counters,
) {
    let Some(first) = agreement.sides.first() else { return };
    let rules = planner.type_of(first.entity);
    let mut owing = Owing { planner, rules, shard, plan: &mut *plan, counters: &mut *counters };
    for index in 0..agreement.sides.len() {
        owing.update(&mut agreement, index);
    }
    for &entity in &rules.written_to {
        owing.create(&agreement, entity);
    }
    for side in &agreement.sides {
        plan.bases.extend(side.row(rules));
    }
    let stamps = super::bases::write_stamps(&agreement.stamps, &rules.layout);
    let known = planner.view.stamps.get(&shard.id);
    if stamps.as_ref() != known && (stamps.is_some() || agreement.had_stamps) {
        plan.stamps.push((shard.id, stamps));
    }
    // One that waits for a person is written down anew, and is not another one.
    counters.conflicts += agreement.conflicts.len() as u64 - agreement.waiting;
    let open = agreement.conflicts.iter().filter(|conflict| conflict.status == "open");
    counters.conflicts_open += open.count() as u64 - agreement.waiting;
    plan.conflicts.extend(agreement.conflicts);
    plan.conflicts_closed.extend(agreement.closed);
}

struct Owing<'a, 'p, 'w> {
    planner: &'p mut Planner<'a>,
    rules: &'a TypeRules,
    shard: &'w ShardRow,
    plan: &'w mut Plan,
    counters: &'w mut Counters,
}

impl Owing<'_, '_, '_> {
    /// Plans what a record that is there is owed.
    fn update(&mut self, agreement: &mut Agreement, index: usize) {
        let side = &agreement.sides[index];
        let rules = self.planner.entity(side.entity);
        let Some(two_way) = &rules.two_way else { return };
        let Some(outbound) = &two_way.outbound else { return };
        let open = self.open(side.link, |intent| intent.kind != IntentKind::Create);
        if side.deleted || agreement.is_gone {
            let wants = !side.deleted && two_way.deletes == Deletes::Propagate;
            return self.delete(side, open, wants);
        }
        let mut changed = self.owed(agreement, index);
        if open.as_ref().is_some_and(|open| open.state != IntentState::Planned) {
            return;
        }
        let side = &agreement.sides[index];
        let is_selected = outbound.selects(&agreement.image, self.shard.uuid);
        let record = if changed.is_empty() || !is_selected {
            Ok(Vec::new())
        } else {
            outbound.update(&agreement.image, self.shard.uuid, &changed)
        };
        let external_id = CompactString::new(self.planner.record(side.link).1);
        let mut record = match record {
            Ok(record) => record,
            Err(error) => return self.refuse(two_way, side.entity, &external_id, &error),
        };
        let waiting = self.planner.refer(rules, &mut record);
        if record.is_empty() {
            return self.replace(open, side.entity, side.link, None);
        }
        changed.retain(|field| !waiting.contains(field));
        let names = self.rules.layout.names();
        let cells = |image: &[Cell]| {
            changed.iter().map(|&field| (names[field].clone(), image[field].clone())).collect()
        };
        let body = Body {
            external_id,
            sent: cells(&agreement.image),
            before: cells(&side.image),
            version: side.version().cloned(),
            record,
            ..Body::default()
        };
        self.replace(open, side.entity, side.link, Some((IntentKind::Update, body)));
    }

    /// The fields that a record is owed. One that would be read back as it is there already is agreed on.
    fn owed(&self, agreement: &mut Agreement, index: usize) -> Vec<usize> {
        let side = &agreement.sides[index];
        let rules = self.planner.entity(side.entity);
        let mut changed = Vec::new();
        let mut same: Vec<(usize, Base)> = Vec::new();
        for (field, base) in side.bases.iter().enumerate() {
            let (shard, remote) = (&agreement.image[field], &side.image[field]);
            let mut project = |value: &Cell| {
                Ground::project(rules, &agreement.image, self.shard.uuid, field, value)
            };
            match owed(shard, remote, base, Ground::flow(rules, field), &mut project) {
                Owed::Nothing => {}
                Owed::Same => same.push((field, Base::agreed(shard.clone(), remote.clone()))),
                Owed::Value => changed.push(field),
            }
        }
        for (field, base) in same {
            agreement.sides[index].bases[field] = base;
        }
        changed
    }

    fn delete(&mut self, side: &Agreed, open: Option<IntentRow>, wants: bool) {
        if open.as_ref().is_some_and(|open| open.state != IntentState::Planned) {
            return;
        }
        let body = Body {
            external_id: CompactString::new(self.planner.record(side.link).1),
            version: side.version().cloned(),
            before: {
                let names = self.rules.layout.names().iter().cloned();
                names.zip(side.image.iter().cloned()).collect()
            },
            ..Body::default()
        };
        let wanted = wants.then_some((IntentKind::Delete, body));
        self.replace(open, side.entity, side.link, wanted);
    }

    /// Plans the creation of a record where the shard has none.
    fn create(&mut self, agreement: &Agreement, entity: EntityId) {
        let rules = self.planner.entity(entity);
        let Some(two_way) = &rules.two_way else { return };
        let Some(outbound) = &two_way.outbound else { return };
        let mut open: Vec<IntentRow> = Vec::new();
        for side in &agreement.sides {
            open.extend(self.open(side.link, |intent| {
                intent.kind == IntentKind::Create && intent.entity == entity
            }));
        }
        let of_entity: Vec<&Agreed> =
            agreement.sides.iter().filter(|side| side.entity == entity).collect();
        // What was decided to come back goes on doing so.
        let is_again = |intent: &IntentRow| Body::from_json(&intent.body).again;
        let comes_back = agreement.comes_back.contains(&entity) || open.iter().any(is_again);
        let is_missing = of_entity.is_empty() || comes_back;
        let is_there = of_entity.iter().any(|side| !side.deleted);
        let is_ready = comes_back || self.planner.news.ready.contains(&entity);
        let wants = is_missing
            && !is_there
            && !agreement.is_gone
            && two_way.creates
            && outbound.selects(&agreement.image, self.shard.uuid);
        let was_planned = open.iter().any(|intent| intent.state == IntentState::Planned);
        if open.iter().any(|intent| intent.state != IntentState::Planned) {
            let found = of_entity.iter().find(|side| !side.deleted).map(|side| side.link);
            return self.find(open, found);
        }
        let Some(anchor) =
            agreement.sides.iter().find(|side| !side.deleted).or(agreement.sides.first())
        else {
            return;
        };
        let record = if wants && (is_ready || was_planned) {
            outbound.create(&agreement.image, self.shard.uuid)
        } else {
            Ok(Vec::new())
        };
        let mut record = match record {
            Ok(record) => record,
            Err(error) => {
                let id = CompactString::new(self.planner.record(anchor.link).1);
                return self.refuse(two_way, entity, &id, &error);
            }
        };
        let waiting = self.planner.refer(rules, &mut record);
        let (link, mut open) = (anchor.link, open.into_iter());
        let first = open.next();
        self.plan.intents_dropped.extend(open.map(|intent| intent.id));
        if record.is_empty() {
            return self.replace(first, entity, link, None);
        }
        let names = self.rules.layout.names().iter().cloned().zip(agreement.image.iter().cloned());
        let is_sent =
            |field: &usize| two_way.policy.flows[*field].gives && !waiting.contains(field);
        let sent =
            names.enumerate().filter(|(field, (_, value))| value.is_some() && is_sent(field));
        let marker =
            format!("{}-{}", uuid::Uuid::from_u128(self.shard.uuid).simple(), of_entity.len());
        let body = Body {
            again: comes_back,
            marker: CompactString::new(marker),
            sent: sent.map(|(_, named)| named).collect(),
            record,
            ..Body::default()
        };
        self.replace(first, entity, link, Some((IntentKind::Create, body)));
    }

    /// The record of a creation of which nobody could tell whether it arrived has been met: it did.
    fn find(&mut self, open: Vec<IntentRow>, found: Option<LinkId>) {
        let Some(link) = found else { return };
        let external_id = CompactString::new(self.planner.record(link).1);
        for intent in open.into_iter().filter(|intent| intent.state == IntentState::Parked) {
            let body = Body { external_id: external_id.clone(), ..Body::from_json(&intent.body) };
            let done =
                IntentRow { state: IntentState::Done, body: body.to_json().into(), ..intent };
            // What is told of an intent and what follows are one row.
            self.planner.news.intents.retain(|row| row.id != done.id);
            self.planner.news.intents.push(done);
        }
    }

    /// Puts what is wanted in the place of what was planned, unless that is the same.
    fn replace(
        &mut self,
        open: Option<IntentRow>,
        entity: EntityId,
        link: LinkId,
        wanted: Option<(IntentKind, Body)>,
    ) {
        if let (Some(open), Some((kind, body))) = (&open, &wanted) {
            let planned = Body::from_json(&open.body);
            let same =
                Body { key: planned.key.clone(), marker: planned.marker.clone(), ..body.clone() };
            if open.kind == *kind && planned == same {
                return;
            }
        }
        self.plan.intents_dropped.extend(open.map(|open| open.id));
        let Some((kind, body)) = wanted else { return };
        let id = IntentId(self.planner.view.next_intent.max(1));
        self.planner.view.next_intent = id.0 + 1;
        let shard = uuid::Uuid::from_u128(self.shard.uuid).simple().to_string();
        let key = CompactString::new(format!("{shard}-{id}-{}", self.planner.moment.started));
        let marker =
            if body.marker.is_empty() { CompactString::new(shard) } else { body.marker.clone() };
        self.counters.intents_planned += 1;
        self.plan.intents_new.push(IntentRow {
            id,
            execution: self.planner.moment.execution,
            entity,
            link,
            shard: self.shard.id,
            kind,
            state: IntentState::Planned,
            body: Body { key, marker, ..body }.to_json().into(),
            attempts: 0,
            sent: None,
            problem: None,
        });
    }

    /// The open intent of a link that `is_wanted`, unless this plan settles it.
    fn open(&self, link: LinkId, is_wanted: impl Fn(&IntentRow) -> bool) -> Option<IntentRow> {
        let settled = |id: IntentId| self.planner.news.intents.iter().find(|row| row.id == id);
        let intents = self.planner.view.intents_of.get(&link).into_iter().flatten();
        let mut now = intents.map(|intent| settled(intent.id).unwrap_or(intent));
        now.rfind(|intent| intent.state.is_open() && is_wanted(intent)).cloned()
    }

    /// A value cannot be written: the record goes on the list of dead letters.
    fn refuse(
        &mut self,
        two_way: &TwoWay,
        entity: EntityId,
        external_id: &str,
        error: &FieldError,
    ) {
        let rules = self.planner.entity(entity);
        self.plan.dead_letters.push(DeadLetter {
            task: two_way.task.clone(),
            source: format!("{}/{}", rules.connection, rules.entity),
            line: 0,
            external_id: Some(external_id.to_owned()),
            phase: "writing".to_owned(),
            problem: error.to_string(),
            payload: self.shard.data.to_string(),
        });
    }
}
