//! Fields that belong together, such as the lines of an address: where both sides changed some of them, one side's
//! stand, all of them. Else the street of one address would meet the town of another.

use super::field::{Reconciled, Unit, reconcile, settle};
use super::rule::{Flow, Rule, Winner};
use super::{Base, Stamp};
use crate::value::{Cell, Value};

/// Reconciles the fields of a group, each with its flow. `project` tells of a field, by its place in the group, what
/// reading a value back gives.
///
/// The rule is one of `Local`, `Remote` and `Newest`; any other counts as `Newest`.
pub fn reconcile_group(
    units: &[Unit<'_>],
    flows: &[Flow],
    rule: &Rule,
    project: &mut dyn FnMut(usize, &Cell) -> Cell,
) -> Vec<Reconciled> {
    let alone: Vec<Reconciled> = units
        .iter()
        .enumerate()
        .map(|(at, unit)| reconcile(unit, &Rule::Newest, flows[at], &mut |v| project(at, v)))
        .collect();
    let differs = |at: usize, project: &mut dyn FnMut(usize, &Cell) -> Cell| {
        units[at].remote.is_some() && project(at, units[at].shard) != *units[at].remote
    };
    let is_local = |at: usize, project: &mut dyn FnMut(usize, &Cell) -> Cell| {
        let is_edited =
            matches!(units[at].base, Base::Met { shard, .. } if !shard.is(units[at].shard));
        is_edited && flows[at].takes && differs(at, project)
    };
    let edited: Vec<usize> = (0..units.len()).filter(|&at| is_local(at, project)).collect();
    if edited.is_empty()
        || alone.iter().all(|found| found.shard.is_none() && found.dispute.is_none())
    {
        return alone;
    }
    let latest = |stamps: &mut dyn Iterator<Item = Stamp>| {
        stamps.max_by_key(|stamp| (stamp.hi, stamp.lo, stamp.rank)).unwrap_or_default()
    };
    let local_stamp = latest(&mut edited.iter().map(|&at| units[at].shard_stamp));
    let remote_stamp = latest(&mut units.iter().map(|unit| unit.remote_stamp));
    let whole = |side: fn(&Unit<'_>) -> Cell| -> Cell {
        Some(Value::List(units.iter().map(|unit| side(unit).unwrap_or(Value::Null)).collect()))
    };
    let (local, remote) = (whole(|unit| unit.shard.clone()), whole(|unit| unit.remote.clone()));
    let rule = match rule {
        Rule::Local | Rule::Remote => rule,
        _ => &Rule::Newest,
    };
    let ruling = rule.decide(&Base::Unmet, (&local, local_stamp), (&remote, remote_stamp));
    let rule = if ruling.winner == Winner::Remote { Rule::Remote } else { Rule::Local };
    let mut together = Vec::with_capacity(units.len());
    for (at, (unit, alone)) in units.iter().zip(alone).enumerate() {
        let is_met = *unit.base != Base::Unmet;
        if !(is_met && flows[at].takes && differs(at, project)) {
            together.push(alone);
            continue;
        }
        let unit = Unit { shard_stamp: local_stamp, remote_stamp, ..*unit };
        let base = unit.base.clone();
        let mut found = settle(&unit, base, &rule, flows[at], &mut |v| project(at, v));
        if let Some(dispute) = &mut found.dispute {
            dispute.by_tie = ruling.by_tie;
        }
        together.push(found);
    }
    together
}
