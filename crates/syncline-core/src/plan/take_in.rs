//! What a record of a shard changed comes into the shard, field by field, or group by group.

use super::agree::Ground;
use super::bases::{Turn, Turns};
use super::rows::{IntentKind, IntentState, LinkId};
use super::settle_clusters::Member;
use super::writes::ConflictClosed;
use crate::reconcile::{
    Base, Dispute, Flow, Policy, Reconciled, Rule, Stamp, Unit, Winner, reconcile, reconcile_group,
};
use crate::shard::Image;
use crate::value::Cell;

/// What is known of a record's fields.
pub(super) struct Known {
    pub(super) bases: Vec<Base>,
    pub(super) turns: Turns,
}

impl Ground<'_, '_> {
    /// Brings in what a record of the shard changed.
    pub(super) fn take_in(&mut self, member: &Member, before: &Image, known: &mut Known) {
        let (entity, _) = self.planner.record(member.id);
        let policy = self.planner.entity(entity).two_way.as_ref().map(|two_way| &two_way.policy);
        let groups = policy.map_or(&[][..], |policy| &policy.groups);
        for field in 0..self.rules.layout.names().len() {
            let alone = [field];
            let group = groups.iter().find(|group| group.contains(&field));
            let fields: &[usize] = group.map_or(&alone, |group| group);
            if fields[0] != field {
                continue;
            }
            let fields: Vec<usize> =
                fields.iter().copied().filter(|&field| known.bases[field] != Base::Unmet).collect();
            for (field, found) in self.reconciled(member, &fields, known, policy) {
                self.bring_in(member, field, before, known, found);
            }
        }
    }

    /// What becomes of fields that win or lose together.
    fn reconciled(
        &self,
        member: &Member,
        fields: &[usize],
        known: &Known,
        policy: Option<&Policy>,
    ) -> Vec<(usize, Reconciled)> {
        let Some(&first) = fields.first() else { return Vec::new() };
        let (entity, _) = self.planner.record(member.id);
        let rules = self.planner.entity(entity);
        let remote_stamp = self.seen(member.id);
        let fallback = Stamp::here(member.stamp.min(remote_stamp.lo), 0);
        let (image, uuid) = (&self.out.image, self.uuid);
        let sent: Vec<Vec<Cell>> =
            fields.iter().map(|&field| self.sent(member.id, field)).collect();
        let unit = |at: usize| Unit {
            shard: &image[fields[at]],
            remote: &member.image[fields[at]],
            base: &known.bases[fields[at]],
            sent: &sent[at],
            shard_stamp: self.out.stamps.get(&fields[at]).copied().unwrap_or(fallback),
            remote_stamp,
        };
        let newest = Rule::Newest;
        let rule = policy.map_or(&newest, |policy| &policy.rules[first]);
        let flow = |field: &usize| Self::flow(rules, *field);
        let mut project =
            |at: usize, value: &Cell| Self::project(rules, image, uuid, fields[at], value);
        if fields.len() == 1 {
            let mut project = |value: &Cell| project(0, value);
            return vec![(first, reconcile(&unit(0), rule, flow(&first), &mut project))];
        }
        let units: Vec<Unit<'_>> = (0..fields.len()).map(unit).collect();
        let flows: Vec<Flow> = fields.iter().map(flow).collect();
        let found = reconcile_group(&units, &flows, rule, &mut project);
        fields.iter().copied().zip(found).collect()
    }

    /// Puts what was found of a field into the shard.
    fn bring_in(
        &mut self,
        member: &Member,
        field: usize,
        before: &Image,
        known: &mut Known,
        mut found: Reconciled,
    ) {
        let says = &member.image[field];
        let was_held = is_held(&known.bases[field], &before[field]);
        let mut kind = "update_update";
        if found.shard.as_ref() == Some(says)
            && let Base::Met { remote, .. } = &known.bases[field]
        {
            let turn = Turn::after(known.turns.get(&field), remote, says);
            if turn.is_too_many() {
                kind = "oscillation";
                found = self.stop(member.id, field, says, known.bases[field].clone());
            } else {
                known.turns.insert(field, turn);
            }
        }
        let Reconciled { shard, base, dispute } = found;
        known.bases[field] = base;
        if let Some(value) = shard {
            let (entity, _) = self.planner.record(member.id);
            let merged = dispute.as_ref().is_some_and(|d| d.winner == Winner::Merged);
            let stamp = if merged {
                Stamp::here(self.now(), self.planner.entity(entity).priority)
            } else {
                self.seen(member.id)
            };
            self.out.stamps.insert(field, stamp);
            self.out.image[field] = value;
        }
        match dispute {
            Some(dispute) => {
                self.out.waiting += u64::from(was_held && dispute.winner == Winner::Nobody);
                self.dispute(member.id, field, kind, dispute);
            }
            None if was_held && !is_held(&known.bases[field], says) => {
                self.let_go(member.id, field)
            }
            None => {}
        }
    }

    /// Holds a field that its record puts back to the same value again and again, so that a person looks at it.
    fn stop(&self, link: LinkId, field: usize, says: &Cell, base: Base) -> Reconciled {
        let remote_stamp = self.seen(link);
        let problem =
            "the record was put back to this value after each write: something else writes it, too";
        let dispute = Dispute {
            base: base.clone(),
            local: self.out.image[field].clone(),
            remote: says.clone(),
            local_stamp: self.out.stamps.get(&field).copied().unwrap_or(remote_stamp),
            remote_stamp,
            winner: Winner::Nobody,
            value: None,
            by_tie: false,
            problem: Some(problem.to_owned()),
        };
        Reconciled { shard: None, base, dispute: Some(dispute) }
    }

    /// The values of a field that we sent to a record, and of which nobody knows whether they arrived; and those that
    /// came to it although they were meant for another.
    fn sent(&self, link: LinkId, field: usize) -> Vec<Cell> {
        let intents = self.planner.view.intents_of.get(&link).into_iter().flatten();
        // Creations elsewhere hang on the link too; what they send never arrives at this record.
        let unsure = intents.filter(|intent| {
            intent.kind == IntentKind::Update
                && matches!(intent.state, IntentState::Ghost | IntentState::Sent)
        });
        let name = &self.rules.layout.names()[field];
        let values = unsure.flat_map(|intent| super::intent::Body::from_json(&intent.body).sent);
        let mut sent: Vec<Cell> =
            values.filter(|(of, _)| of == name).map(|(_, value)| value).collect();
        let (entity, external_id) = self.planner.record(link);
        let echoes = self.planner.arrivals.echoes.get(&(entity, external_id.into()));
        let echoes = echoes.into_iter().flatten().filter(|(of, _)| *of == field);
        sent.extend(echoes.map(|(_, value)| value.clone()));
        sent
    }

    /// A held field's sides agree again.
    fn let_go(&mut self, link: LinkId, field: usize) {
        self.out.closed.push(ConflictClosed {
            link,
            field: self.rules.layout.names()[field].to_string(),
            status: "resolved".to_owned(),
            winner: Winner::Merged,
            value: self.out.image[field].clone(),
            by: "syncline".to_owned(),
            at: self.now(),
        });
    }
}

fn is_held(base: &Base, says: &Cell) -> bool {
    matches!(base, Base::Met { remote, .. } if says.is_some() && remote != says)
}
