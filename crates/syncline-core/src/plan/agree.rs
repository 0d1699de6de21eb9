//! Shards of a type that is written to some system: what their records changed comes in change by change, and what
//! each record is owed goes out.

use super::bases::{self, Turns};
use super::deletions::{self, Deleted};
use super::news::{Ack, Edit, EditKind, Seen};
use super::planner::{Planner, Touched};
use super::rows::{BaseRow, ConflictRow, EntityId, LinkId, ShardId, ShardRow};
use super::rules::{EntityRules, TypeRules};
use super::settle_clusters::{Member, groups, member, survivors};
use super::take_in::Known;
use super::writes::ConflictClosed;
use crate::reconcile::{
    Base, Dispute, Flow, Side, Stamp, Winner, base_of_first_meeting, is_form_of,
};
use crate::shard::Image;
use crate::value::{Cell, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a cluster's shard says, and what it has agreed on with each of its records.
pub(super) struct Agreement {
    /// What the shard says.
    pub(super) image: Image,
    /// Whether the shard is deleted.
    pub(super) is_gone: bool,
    /// For each record of the cluster.
    pub(super) sides: Vec<Agreed>,
    pub(super) stamps: FxHashMap<usize, Stamp>,
    pub(super) had_stamps: bool,
    pub(super) conflicts: Vec<ConflictRow>,
    pub(super) closed: Vec<ConflictClosed>,
    /// How many of the conflicts waited for a person already.
    pub(super) waiting: u64,
    /// Entities at which the shard is made anew, although its record there was deleted.
    pub(super) comes_back: FxHashSet<EntityId>,
}

/// What a shard has agreed on with one of its records.
pub(super) struct Agreed {
    pub(super) link: LinkId,
    pub(super) entity: EntityId,
    pub(super) image: Arc<Image>,
    pub(super) bases: Vec<Base>,
    turns: Turns,
    pub(super) deleted: bool,
    /// Whether we made it just now, and it says nothing but what we wrote.
    pub(super) is_ours: bool,
    /// Whether it says nothing new but what we wrote to it.
    pub(super) is_echo: bool,
    /// What is stored of it now.
    stored: Option<BaseRow>,
    version: Option<compact_str::CompactString>,
}

/// What a cluster's records are held against.
pub(super) struct Ground<'a, 'b> {
    pub(super) planner: &'b mut Planner<'a>,
    pub(super) rules: &'a TypeRules,
    /// The id of the shard, outside.
    pub(super) uuid: u128,
    /// The shard as it is stored.
    pub(super) row: Option<ShardRow>,
    pub(super) out: Agreement,
}

/// Works out what the shard of a cluster says, and what it agrees on with each record. `uuid` is its id outside.
pub(super) fn agree(
    planner: &mut Planner<'_>,
    old: Option<ShardId>,
    uuid: u128,
    members: &[Member],
    formers: &[LinkId],
) -> Agreement {
    let (entity, _) = planner.record(members[0].id);
    let rules = planner.type_of(entity);
    let row = old.map(|id| planner.view.shards[&id].clone());
    let read = |row: &ShardRow| rules.layout.read_json(&row.data).ok();
    let image = row.as_ref().and_then(read).unwrap_or_else(|| rules.layout.empty_image());
    let stored = old.and_then(|id| planner.view.stamps.get(&id));
    let stamps = stored.map(|json| bases::read_stamps(json, &rules.layout)).unwrap_or_default();
    let had_stamps = stored.is_some();
    let out = Agreement {
        image,
        is_gone: false,
        sides: Vec::with_capacity(members.len()),
        stamps,
        had_stamps,
        conflicts: Vec::new(),
        closed: Vec::new(),
        waiting: 0,
        comes_back: FxHashSet::default(),
    };
    let mut ground = Ground { planner, rules, uuid, row, out };
    let mut deleted = Vec::new();
    for member in members {
        let is_incumbent = old.is_some() && ground.planner.old_shard(member.id) == old;
        ground.meet(member, is_incumbent, &mut deleted);
    }
    ground.admit(old, members, formers);
    ground.edit(members);
    deletions::settle(&mut ground, members, deleted);
    ground.close();
    ground.out
}

impl<'a> Ground<'a, '_> {
    pub(super) fn entity(&self, side: &Agreed) -> &'a EntityRules {
        self.planner.entity(side.entity)
    }

    pub(super) fn now(&self) -> i64 {
        self.planner.news.now.max(self.planner.moment.started)
    }

    pub(super) fn flow(rules: &EntityRules, field: usize) -> Flow {
        let policy = rules.two_way.as_ref().map(|two_way| &two_way.policy);
        policy.map_or(Flow { takes: true, gives: false }, |policy| policy.flows[field])
    }

    /// What reading a value back gives after it was written to a record of an entity.
    pub(super) fn project(
        rules: &EntityRules,
        image: &Image,
        uuid: u128,
        field: usize,
        value: &Cell,
    ) -> Cell {
        let outbound = rules.two_way.as_ref().and_then(|two_way| two_way.outbound.as_ref());
        match (outbound, &rules.conversion) {
            (Some(outbound), Some(conversion)) => {
                outbound.project(&conversion.converter, image, uuid, field, value)
            }
            _ => value.clone(),
        }
    }

    /// When a value of the shard came to be: where nobody noted it, when its newest record says.
    pub(super) fn stamp_of(&self, field: usize, members: &[Member]) -> Stamp {
        let noted = self.out.stamps.get(&field).copied();
        noted.or_else(|| self.newest(members.iter())).unwrap_or_default()
    }

    /// When the newest of records changed, as its system says: no nearer than that can be trusted.
    fn newest<'m>(&self, members: impl Iterator<Item = &'m Member>) -> Option<Stamp> {
        let member = members.max_by_key(|member| member.stamp)?;
        let (entity, _) = self.planner.record(member.id);
        let two_way = self.planner.entity(entity).two_way.as_ref();
        let tolerance = two_way.map_or(0, |two_way| two_way.policy.tolerance_us);
        let lo = member.stamp.saturating_sub(tolerance);
        let hi = member.stamp.saturating_add(tolerance).min(self.now());
        Some(Stamp { lo, hi: hi.max(lo), rank: 0 })
    }

    /// When a change came to be that a record shows now.
    pub(super) fn seen(&self, link: LinkId) -> Stamp {
        let planner = &*self.planner;
        let (entity, _) = planner.record(link);
        let rules = planner.entity(entity);
        let touched = planner.touched(link);
        let row = planner.view.links.get(&link);
        // A record that is only missing says no time: what is known of it is that of its last change.
        let is_said = |touched: &&Touched| {
            !touched.deleted || row.is_none_or(|row| row.modified != touched.modified)
        };
        let claim = touched.filter(is_said).and_then(|touched| touched.modified);
        let claim = claim.filter(|_| rules.is_timed);
        let unchanged = row.map_or(i64::MIN, |row| row.observed);
        let tolerance = rules.two_way.as_ref().map_or(0, |two_way| two_way.policy.tolerance_us);
        Stamp::seen(claim, tolerance, unchanged, self.now(), rules.priority)
    }

    /// Takes up a record: where it was in the shard before, what it changed comes in.
    fn meet(&mut self, member: &Member, is_incumbent: bool, deleted: &mut Vec<Deleted>) {
        let (entity, external_id) = self.planner.record(member.id);
        let key = (entity, compact_str::CompactString::new(external_id));
        let layout = &self.rules.layout;
        let stored = self.planner.view.bases.get(&member.id).cloned();
        let json = stored.as_ref().and_then(|row| row.fields.as_deref());
        let now = self.planner.touched(member.id);
        let is_deleted = match now {
            Some(touched) => touched.deleted,
            None => self.planner.view.links[&member.id].deleted,
        };
        let is_said = now.is_some_and(|touched| touched.said);
        let before = if now.is_some_and(|touched| touched.is_new) {
            member.image.clone()
        } else {
            self.planner.stored_image(member.id).unwrap_or_default()
        };
        let (bases, turns) = bases::read(json, layout, &before);
        let mut known = Known { bases, turns };
        let ack = self.planner.arrivals.acks.get(&key).cloned();
        let version = self.planner.news.versions.get(&key).cloned();
        let version = version.or_else(|| stored.as_ref().and_then(|row| row.version.clone()));
        if !is_incumbent {
            known.bases.fill(Base::Unmet);
            known.turns.clear();
        }
        let answer = ack
            .as_ref()
            .filter(|ack| self.acknowledge(entity, &member.image, ack, &mut known.bases));
        let is_ours = answer.is_some_and(|ack| ack.joins.is_some());
        let is_echo = answer.is_some_and(|ack| {
            let is_sent = |field| ack.sent.iter().any(|(sent, _)| *sent == field);
            (0..before.len()).all(|field| is_sent(field) || member.image[field] == before[field])
        });
        let is_first_seen = is_said && known.bases.iter().any(Base::is_unseen);
        let is_news = ack.is_some() || (is_incumbent && (is_first_seen || before != member.image));
        if is_news && !is_deleted {
            self.take_in(member, &before, &mut known);
        }
        if let Some(ack) = ack.as_ref().filter(|ack| ack.seen == Seen::NotYet) {
            for (field, sent) in &ack.sent {
                known.bases[*field] = Base::written(sent.clone(), member.image[*field].clone());
            }
        }
        let was_deleted = self.planner.view.links.get(&member.id).is_some_and(|row| row.deleted);
        if is_incumbent && is_deleted && !was_deleted && ack.is_none() {
            deleted.push(Deleted { side: self.out.sides.len(), seen: self.seen(member.id) });
        }
        self.out.sides.push(Agreed {
            link: member.id,
            entity,
            image: member.image.clone(),
            bases: known.bases,
            turns: known.turns,
            deleted: is_deleted,
            is_ours,
            is_echo,
            stored,
            version,
        });
    }

    /// What we wrote is agreed on. Tells whether the record says nothing else of what was written.
    fn acknowledge(&self, entity: EntityId, remote: &Image, ack: &Ack, bases: &mut [Base]) -> bool {
        let rules = self.planner.entity(entity);
        let mut all_ours = !ack.sent.is_empty();
        for (field, sent) in &ack.sent {
            let got = &remote[*field];
            let held = match &bases[*field] {
                Base::Met { remote, .. } => remote,
                Base::Unmet => &None,
            };
            let expected = || Self::project(rules, &self.out.image, self.uuid, *field, sent);
            let is_reply = ack.seen != Seen::Later;
            let is_ours = is_reply || is_form_of(sent, got, held) || expected() == *got;
            all_ours &= is_ours || got.is_none();
            let remote = if is_ours && got.is_some() { got.clone() } else { expected() };
            bases[*field] = Base::agreed(sent.clone(), remote);
        }
        all_ours
    }

    /// Notes a conflict, and what was decided.
    pub(super) fn dispute(&mut self, link: LinkId, field: usize, kind: &str, dispute: Dispute) {
        let open = dispute.winner == Winner::Nobody;
        let base = match &dispute.base {
            Base::Met { shard: Side::Is(shard) | Side::Written(shard), .. } => shard.clone(),
            Base::Met { remote, .. } => remote.clone(),
            Base::Unmet => None,
        };
        let (entity, _) = self.planner.record(link);
        let policy = self.planner.entity(entity).two_way.as_ref().map(|two_way| &two_way.policy);
        let rule = policy.map_or("newest", |policy| match policy.rules.get(field) {
            Some(rule) => rule.name(),
            None => policy.strategy.name(),
        });
        let name = self.rules.layout.names().get(field);
        self.out.conflicts.push(ConflictRow {
            id: 0,
            execution: self.planner.moment.execution,
            link,
            field: name.map(ToString::to_string).unwrap_or_default(),
            kind: kind.to_owned(),
            base,
            local: dispute.local,
            remote: dispute.remote,
            local_stamp: dispute.local_stamp,
            remote_stamp: dispute.remote_stamp,
            rule: rule.to_owned(),
            winner: dispute.winner,
            value: dispute.value,
            by_tie: dispute.by_tie,
            problem: dispute.problem,
            status: if open { "open" } else { "resolved" }.to_owned(),
            by: (!open).then(|| "syncline".to_owned()),
            met_at: self.now(),
            decided_at: (!open).then(|| self.now()),
        });
    }

    /// Where records came or went, what follows from the records alone follows from those that are there now. What
    /// was edited since stays. Records that we made ourselves say nothing of their own.
    fn admit(&mut self, old: Option<ShardId>, members: &[Member], formers: &[LinkId]) {
        let is_made = |member: &Member| {
            let (entity, external_id) = self.planner.record(member.id);
            let ack = self.planner.arrivals.acks.get(&(entity, external_id.into()));
            ack.is_some_and(|ack| ack.joins.is_some()) && !formers.contains(&member.id)
        };
        let own: Vec<&Member> = members.iter().filter(|member| !is_made(member)).collect();
        let is_there = |link: &LinkId| own.iter().any(|member| member.id == *link);
        if old.is_some() && formers.len() == own.len() && formers.iter().all(is_there) {
            if own.len() < members.len() {
                self.introduce(members, &vec![false; self.rules.layout.names().len()]);
            }
            return;
        }
        let Some(now) = survivors(self.planner, &own) else { return };
        let before = old.and_then(|_| {
            let formers: Vec<Member> =
                formers.iter().map(|&link| member(self.planner, link)).collect();
            survivors(self.planner, &formers.iter().collect::<Vec<_>>())
        });
        let mut changed = vec![false; now.len()];
        let follows = self.follows(members, before.as_ref(), &now);
        for field in 0..self.rules.layout.names().len() {
            if follows[field] && self.out.image[field] != now[field] {
                // A record that says something else does not tell when this came to be.
                let saying = own.iter().filter(|member| member.image[field] == now[field]);
                let stamp = self.newest(saying.copied());
                let stamp = stamp.or_else(|| self.newest(own.iter().copied())).unwrap_or_default();
                self.out.image[field].clone_from(&now[field]);
                self.out.stamps.insert(field, stamp);
                changed[field] = true;
            }
        }
        self.introduce(members, &changed);
    }

    /// Which fields follow from the records alone: those that nobody edited since. Fields that belong together do so
    /// together.
    fn follows(&self, members: &[Member], before: Option<&Image>, now: &Image) -> Vec<bool> {
        let Some(before) = before else { return vec![true; now.len()] };
        let said = &self.out.image;
        let is_untouched = |field: usize| said[field] == before[field];
        let mut follows: Vec<bool> = (0..now.len())
            .map(|field| is_untouched(field) || (is_blank(&said[field]) && !is_blank(&now[field])))
            .collect();
        for group in members.iter().flat_map(|member| groups(self.planner, member.id)) {
            let together = group.iter().all(|&field| is_untouched(field))
                || group.iter().all(|&field| is_blank(&said[field]));
            group.iter().for_each(|&field| follows[field] = together);
        }
        follows
    }

    /// The fields of which the shard says nothing, so that a record may fill them in: of fields that belong together,
    /// all or none.
    fn blanks(&self, link: LinkId) -> Vec<bool> {
        let mut blanks: Vec<bool> = self.out.image.iter().map(is_blank).collect();
        for group in groups(self.planner, link) {
            let all = group.iter().all(|&field| blanks[field]);
            group.iter().for_each(|&field| blanks[field] = all);
        }
        blanks
    }

    /// Records that met the shard just now agree with it, or are owed what it says.
    fn introduce(&mut self, members: &[Member], changed: &[bool]) {
        for side in 0..self.out.sides.len() {
            let (link, entity, remote) = {
                let side = &self.out.sides[side];
                (side.link, side.entity, side.image.clone())
            };
            let rules = self.planner.entity(entity);
            let blanks = self.blanks(link);
            for field in 0..remote.len() {
                let flow = Self::flow(rules, field);
                let (image, uuid) = (&self.out.image, self.uuid);
                let mut project = |value: &Cell| Self::project(rules, image, uuid, field, value);
                let (local, says) = (&image[field], &remote[field]);
                let is_new = self.out.sides[side].bases[field] == Base::Unmet;
                if is_new && flow.takes && blanks[field] && !is_blank(says) {
                    // The system filled it in.
                    self.out.image[field] = says.clone();
                    self.out.stamps.insert(field, self.seen(link));
                    self.out.sides[side].bases[field] = Base::agreed(says.clone(), says.clone());
                    continue;
                }
                if is_new {
                    self.out.sides[side].bases[field] =
                        base_of_first_meeting(local, says, flow, &mut project);
                }
                let is_outdone =
                    flow.gives && (is_new || changed[field]) && !is_blank(says) && !blanks[field];
                let differs = local != says && project(local) != *says;
                if is_outdone && differs && !self.is_sent(side, field) {
                    let dispute = Dispute {
                        base: Base::Unmet,
                        local: local.clone(),
                        remote: says.clone(),
                        local_stamp: self.stamp_of(field, members),
                        remote_stamp: self.seen(link),
                        winner: Winner::Local,
                        value: local.clone(),
                        by_tie: false,
                        problem: None,
                    };
                    self.dispute(link, field, "initial", dispute);
                }
            }
        }
    }

    /// Whether a field of a record is what we wrote ourselves, or known to be owed already.
    fn is_sent(&self, side: usize, field: usize) -> bool {
        let side = &self.out.sides[side];
        match &side.bases[field] {
            Base::Met { shard: Side::Is(known) | Side::Written(known), remote } => known != remote,
            _ => false,
        }
    }

    /// Does what a person wants.
    fn edit(&mut self, members: &[Member]) {
        for (side, member) in members.iter().enumerate() {
            let edits = self.planner.news.edits.get(&member.id).cloned().unwrap_or_default();
            let rules = self.planner.entity(self.out.sides[side].entity);
            for Edit { field, change } in edits {
                let says = self.out.sides[side].image[field].clone();
                let value = match &change {
                    EditKind::Leave => {
                        self.out.sides[side].turns.remove(&field);
                        let ours = self.out.image[field].clone();
                        self.out.sides[side].bases[field] = Base::agreed(ours, says);
                        continue;
                    }
                    EditKind::Set(value) | EditKind::Decide(value) => value.clone(),
                };
                self.out.image[field].clone_from(&value);
                self.out.stamps.insert(field, Stamp::here(self.now(), rules.priority));
                // What a person says begins it anew.
                self.out.sides.iter_mut().for_each(|side| _ = side.turns.remove(&field));
                if matches!(change, EditKind::Set(_)) {
                    continue;
                }
                let projected = Self::project(rules, &self.out.image, self.uuid, field, &value);
                let agrees = projected == says || !Self::flow(rules, field).gives;
                self.out.sides[side].bases[field] =
                    if agrees { Base::agreed(value, says) } else { Base::dirty(says) };
            }
        }
    }

    /// Keeps the stamps that somebody may ask for: of values that some record has not got yet.
    fn close(&mut self) {
        let (out, planner) = (&mut self.out, &self.planner);
        let live: Vec<&Agreed> = out.sides.iter().filter(|side| !side.deleted).collect();
        let is_pending = |field: &usize| {
            live.iter().any(|side| {
                let flow = Self::flow(planner.entity(side.entity), *field);
                let is_agreed = match &side.bases[*field] {
                    Base::Met { shard, .. } => shard.is(&out.image[*field]),
                    Base::Unmet => true,
                };
                flow.takes && !is_agreed
            })
        };
        let keep: FxHashSet<usize> = out.stamps.keys().copied().filter(is_pending).collect();
        out.stamps.retain(|field, _| keep.contains(field));
    }
}

impl Agreed {
    /// What is to be stored of it, where that is not what is stored.
    pub(super) fn row(&self, rules: &TypeRules) -> Option<BaseRow> {
        let row = if self.deleted {
            BaseRow { link: self.link, version: None, fields: None }
        } else {
            let fields = bases::write(&self.bases, &self.turns, &rules.layout, &self.image);
            BaseRow { link: self.link, version: self.version.clone(), fields }
        };
        let is_nothing = row.version.is_none() && row.fields.is_none();
        match &self.stored {
            Some(stored) if *stored == row => None,
            None if is_nothing => None,
            _ => Some(row),
        }
    }

    /// The record's version, where it is known.
    pub(super) fn version(&self) -> Option<&compact_str::CompactString> {
        self.version.as_ref()
    }
}

/// The links of the batch's clusters by the shard that they were in, for types that are written to some system.
pub(super) fn formers(planner: &Planner<'_>, clusters: &[Vec<LinkId>]) -> Formers {
    let mut formers: Formers = BTreeMap::new();
    if planner.rules.types.iter().all(|rules| rules.written_to.is_empty()) {
        return formers;
    }
    for &link in clusters.iter().flatten() {
        if let Some(shard) = planner.old_shard(link) {
            formers.entry(shard).or_default().push(link);
        }
    }
    formers
}

/// Links by shard.
pub(super) type Formers = BTreeMap<ShardId, Vec<LinkId>>;

pub(super) fn is_blank(cell: &Cell) -> bool {
    cell.as_ref().is_none_or(Value::is_blank)
}
