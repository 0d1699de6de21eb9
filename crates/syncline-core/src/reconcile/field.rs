//! One field of one linked record.

use super::rule::{Flow, Rule, Winner};
use super::{Base, Dispute, Side, Stamp, is_form_of};
use crate::value::{Cell, Value};

/// What is known of a field of a linked record.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// What the shard says (S).
    pub shard: &'a Cell,
    /// What the record says now (R); absent is no news.
    pub remote: &'a Cell,
    /// What both last agreed on.
    pub base: &'a Base,
    /// Shard values that we sent, of which nobody knows whether they arrived.
    pub sent: &'a [Cell],
    /// When the shard's value came to be.
    pub shard_stamp: Stamp,
    /// When the record's value came to be.
    pub remote_stamp: Stamp,
}

/// What becomes of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconciled {
    /// What the shard says from now on; `None` where it stays as it is.
    pub shard: Option<Cell>,
    /// What both agree on from now on. Where its remote side is not what the record says, the field is held: nothing
    /// is written until a person has decided, or the sides agree again.
    pub base: Base,
    /// What was decided, where both had changed.
    pub dispute: Option<Dispute>,
}

impl Reconciled {
    fn keep(base: Base) -> Self {
        Self { shard: None, base, dispute: None }
    }
}

/// Reconciles what a record says of a field with what its shard says. `project` tells what reading a value back
/// gives after it was written to the record.
///
/// The field must have met the shard before; for the first time, see [`base_of_first_meeting`].
pub fn reconcile(
    unit: &Unit<'_>,
    rule: &Rule,
    flow: Flow,
    project: &mut dyn FnMut(&Cell) -> Cell,
) -> Reconciled {
    let Base::Met { shard: bs, remote: br } = unit.base else {
        return Reconciled::keep(base_of_first_meeting(unit.shard, unit.remote, flow, project));
    };
    // A record that does not say a field says nothing about it.
    if unit.remote.is_none() {
        return Reconciled::keep(unit.base.clone());
    }
    let (mut bs, mut br) = (bs.seen(), br.clone());
    if *unit.remote != br
        && let Some(ours) = ours(unit, project)
    {
        // A write of ours has arrived, whose reply was lost or showed nothing: it is nobody's edit.
        (bs, br) = (Side::Is(ours), unit.remote.clone());
    }
    if *unit.remote == br {
        return Reconciled::keep(Base::Met { shard: bs, remote: br });
    }
    let agrees = project(unit.shard) == *unit.remote;
    if agrees {
        // The shard keeps the richer form.
        return Reconciled::keep(Base::agreed(unit.shard.clone(), unit.remote.clone()));
    }
    if !flow.takes {
        return Reconciled::keep(Base::dirty(unit.remote.clone()));
    }
    if bs.is(unit.shard) {
        let base = Base::agreed(unit.remote.clone(), unit.remote.clone());
        return Reconciled { shard: Some(unit.remote.clone()), base, dispute: None };
    }
    settle(unit, Base::Met { shard: bs, remote: br }, rule, flow, project)
}

/// The shard's value that was written, where what the record says is what its system made of that.
fn ours(unit: &Unit<'_>, project: &mut dyn FnMut(&Cell) -> Cell) -> Option<Cell> {
    let Base::Met { shard, remote: held } = unit.base else { return None };
    if let Side::Written(value) = shard
        && is_form_of(value, unit.remote, &None)
    {
        return Some(value.clone());
    }
    let is_ours =
        |sent: &&Cell| project(sent) == *unit.remote || is_form_of(sent, unit.remote, held);
    unit.sent.iter().find(is_ours).cloned()
}

/// Both sides have left the base, and say different things.
pub(super) fn settle(
    unit: &Unit<'_>,
    base: Base,
    rule: &Rule,
    flow: Flow,
    project: &mut dyn FnMut(&Cell) -> Cell,
) -> Reconciled {
    let (local, remote) = (unit.shard, unit.remote);
    let ruling = rule.decide(&base, (local, unit.shard_stamp), (remote, unit.remote_stamp));
    let (shard, next) = match ruling.winner {
        Winner::Remote => (Some(remote.clone()), Base::agreed(remote.clone(), remote.clone())),
        Winner::Local if flow.gives => (None, Base::dirty(remote.clone())),
        Winner::Local => (None, Base::agreed(local.clone(), remote.clone())),
        Winner::Merged if flow.gives && project(&ruling.value) != *remote => {
            (Some(ruling.value.clone()), Base::dirty(remote.clone()))
        }
        Winner::Merged => {
            (Some(ruling.value.clone()), Base::agreed(ruling.value.clone(), remote.clone()))
        }
        // The pair stays as it is, so that the record is seen to differ from it: that holds the field.
        Winner::Nobody => (None, base.clone()),
    };
    let dispute = Dispute {
        base,
        local: local.clone(),
        remote: remote.clone(),
        local_stamp: unit.shard_stamp,
        remote_stamp: unit.remote_stamp,
        winner: ruling.winner,
        value: ruling.value,
        by_tie: ruling.by_tie,
        problem: ruling.problem,
    };
    Reconciled { shard, base: next, dispute: Some(dispute) }
}

/// The base of a field whose record has just joined the shard, whose value was chosen with it in mind.
pub fn base_of_first_meeting(
    shard: &Cell,
    remote: &Cell,
    flow: Flow,
    project: &mut dyn FnMut(&Cell) -> Cell,
) -> Base {
    if !flow.gives || *shard == *remote || project(shard) == *remote {
        return Base::agreed(shard.clone(), remote.clone());
    }
    Base::dirty(remote.clone())
}

/// What a record is owed of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Nothing: it has what the shard says, or the field is held, or nothing is known to send.
    Nothing,
    /// Nothing: what the shard says would be read back as what the record says already.
    Same,
    /// The shard's value.
    Value,
}

/// Tells what a record, which says `remote`, is owed of a field.
pub fn owed(
    shard: &Cell,
    remote: &Cell,
    base: &Base,
    flow: Flow,
    project: &mut dyn FnMut(&Cell) -> Cell,
) -> Owed {
    let Base::Met { shard: bs, remote: br } = base else { return Owed::Nothing };
    // A field that the record does not say is as it was known to be.
    let is_held = remote.is_some() && br != remote;
    let is_known = shard.as_ref().is_some_and(|value| !value.is_null()) || remote_has(remote);
    if !flow.gives || shard.is_none() || is_held || !is_known || bs.is(shard) {
        return Owed::Nothing;
    }
    if project(shard) == *remote { Owed::Same } else { Owed::Value }
}

/// Whether there is something at the record that a null could clear.
fn remote_has(remote: &Cell) -> bool {
    remote.as_ref().is_some_and(|value| *value != Value::Null)
}
