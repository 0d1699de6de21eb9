//! Deletions in clusters whose shards are written to some system.

use super::agree::Ground;
use super::rules::TwoWay;
use super::settle_clusters::Member;
use crate::config::model::Deletes;
use crate::reconcile::{Base, DeletionFate, Dispute, Stamp, Winner, record_deleted, shard_deleted};

/// A record of a cluster that was deleted at its system.
pub(super) struct Deleted {
    /// Its index among the sides.
    pub(super) side: usize,
    /// When.
    pub(super) seen: Stamp,
}

/// Decides whether the shard goes, stays or comes back.
pub(super) fn settle(ground: &mut Ground<'_, '_>, members: &[Member], deleted: Vec<Deleted>) {
    // No record stands any more, by the flags of the conversion schema.
    if members.iter().all(|member| !member.stands) {
        ground.out.is_gone = true;
        return;
    }
    let deleted_at = ground.row.as_ref().and_then(|row| row.deleted_at);
    if let Some(at) = deleted_at {
        ground.out.is_gone = !comes_back(ground, members, at);
    }
    for Deleted { side, seen } in deleted {
        record(ground, members, side, seen);
    }
}

/// Whether a deleted shard is there again, because one of its records says something new.
fn comes_back(ground: &mut Ground<'_, '_>, members: &[Member], at: i64) -> bool {
    let (mut is_back, mut is_anew) = (false, false);
    let deleted = deleted_within(ground, members, at);
    for (index, member) in members.iter().enumerate() {
        let planner = &*ground.planner;
        let Some(touched) = planner.touched(member.id).filter(|t| t.said && !t.deleted) else {
            continue;
        };
        let is_newcomer =
            touched.is_new || planner.old_shard(member.id) != ground.row.as_ref().map(|r| r.id);
        let stored = planner.view.links.get(&member.id);
        let was_deleted = stored.is_some_and(|row| row.deleted);
        let is_as_before = stored.is_some_and(|row| row.hash == touched.hash);
        // What we wrote before we knew of the deletion is no edit either.
        if !is_newcomer && !was_deleted && (is_as_before || ground.out.sides[index].is_echo) {
            continue;
        }
        let edited = ground.seen(member.id);
        let rules = ground.entity(&ground.out.sides[index]);
        let Some(two_way) = &rules.two_way else { return true };
        // What we made ourselves, when the shard was still there, is no word of anybody's. It goes, too.
        if ground.out.sides[index].is_ours {
            is_back |= two_way.deletes == Deletes::Unlink;
            continue;
        }
        // A new record, or one that is there again, is no edit: what was deleted is there anew.
        if is_newcomer || was_deleted || two_way.deletes == Deletes::Unlink {
            is_back = true;
            is_anew |= is_newcomer || was_deleted;
            continue;
        }
        let fate = shard_deleted(two_way.policy.strategy, Some(edited), deleted);
        is_back |= fate != DeletionFate::Goes;
        is_anew |= fate == DeletionFate::ComesBack;
        let winner = match fate {
            DeletionFate::Goes => Winner::Local,
            DeletionFate::ComesBack | DeletionFate::Stays => Winner::Remote,
            DeletionFate::Asks => Winner::Nobody,
        };
        note(ground, index, "shard_deleted", winner, (deleted, edited));
    }
    if is_anew {
        make_anew(ground);
    }
    is_back
}

/// When a shard was deleted that is known to be so since `at`: after the latest change that its deleted records told.
fn deleted_within(ground: &Ground<'_, '_>, members: &[Member], at: i64) -> Stamp {
    let told = members.iter().zip(&ground.out.sides).filter(|(_, side)| side.deleted);
    let told = told.filter_map(|(member, side)| {
        let rules = ground.entity(side);
        let tolerance = rules.two_way.as_ref().map_or(0, |two_way| two_way.policy.tolerance_us);
        let modified = ground.planner.view.links.get(&member.id)?.modified?;
        rules.is_timed.then(|| modified.saturating_sub(tolerance))
    });
    Stamp { lo: told.max().unwrap_or(i64::MIN).min(at), hi: at, rank: 0 }
}

/// Systems to which deletions propagate, and that have lost their records of the shard, get new ones.
fn make_anew(ground: &mut Ground<'_, '_>) {
    for &entity in &ground.rules.written_to {
        let two_way = ground.planner.entity(entity).two_way.as_ref();
        let propagates = two_way.is_some_and(|two_way| two_way.deletes == Deletes::Propagate);
        let mut of_entity = ground.out.sides.iter().filter(|side| side.entity == entity);
        if propagates && of_entity.all(|side| side.deleted) {
            ground.out.comes_back.insert(entity);
        }
    }
}

/// A record is deleted: what becomes of its shard?
fn record(ground: &mut Ground<'_, '_>, members: &[Member], side: usize, seen: Stamp) {
    let rules = ground.entity(&ground.out.sides[side]);
    let Some(two_way) = &rules.two_way else { return };
    if two_way.deletes == Deletes::Unlink || ground.out.is_gone {
        return;
    }
    let edited = newest_edit(ground, members, side, two_way);
    let fate = record_deleted(two_way.policy.strategy, edited, seen);
    match fate {
        DeletionFate::Goes => ground.out.is_gone = true,
        DeletionFate::ComesBack => {
            let entity = ground.out.sides[side].entity;
            ground.out.comes_back.insert(entity);
        }
        DeletionFate::Stays | DeletionFate::Asks => {}
    }
    if let Some(edited) = edited {
        let winner = match fate {
            DeletionFate::Goes => Winner::Remote,
            DeletionFate::ComesBack | DeletionFate::Stays => Winner::Local,
            DeletionFate::Asks => Winner::Nobody,
        };
        note(ground, side, "record_deleted", winner, (edited, seen));
    }
}

/// When the newest value came to be that a record had not got yet.
fn newest_edit(
    ground: &Ground<'_, '_>,
    members: &[Member],
    side: usize,
    two_way: &TwoWay,
) -> Option<Stamp> {
    let bases = ground.out.sides[side].bases.iter().enumerate();
    let pending = bases.filter(|(field, base)| {
        let is_agreed = match base {
            Base::Met { shard, .. } => shard.is(&ground.out.image[*field]),
            Base::Unmet => true,
        };
        two_way.policy.flows[*field].gives && !is_agreed
    });
    let stamps = pending.map(|(field, _)| ground.stamp_of(field, members));
    stamps.max_by_key(|stamp| (stamp.hi, stamp.lo))
}

/// Notes an update against a deletion.
fn note(
    ground: &mut Ground<'_, '_>,
    side: usize,
    kind: &str,
    winner: Winner,
    (local_stamp, remote_stamp): (Stamp, Stamp),
) {
    let layout = &ground.rules.layout;
    let whole = |image: &crate::shard::Image| serde_json::from_str(&layout.to_json(image)).ok();
    let (local, remote) = (whole(&ground.out.image), whole(&ground.out.sides[side].image));
    let link = ground.out.sides[side].link;
    let base = Base::Unmet;
    let (by_tie, problem, value) = (false, None, None);
    let dispute =
        Dispute { base, local, remote, local_stamp, remote_stamp, winner, value, by_tie, problem };
    ground.dispute(link, usize::MAX, kind, dispute);
}
