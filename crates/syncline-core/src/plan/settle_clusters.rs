//! Components of match edges become clusters, clusters become shards, and all that becomes a plan.

use super::agree::{Formers, agree, formers};
use super::form::{Component, Formed, assign};
use super::owe;
use super::planner::{Fate, Outcome, Planned, Planner, Touched};
use super::rows::{LinkId, LinkRow, MatchEdge, ShardId, ShardRow};
use super::writes::{Change, Counters, Merge, Plan, Subject};
use crate::matching::Source;
use crate::shard::Image;
use crate::value::Cell;
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes the plan of a batch whose view is complete.
pub(super) fn write(planner: &mut Planner<'_>) -> Planned {
    let mut writer = Writer::default();
    let Formed { components, clusters, origins } = std::mem::take(&mut planner.formed);
    // A shard's records may have come apart into several components, so all clusters are served at once.
    let assigned = assign(planner, &clusters);
    let formers = formers(planner, &clusters);
    let written: Vec<Option<ShardId>> = clusters
        .iter()
        .zip(assigned)
        .map(|(cluster, shard)| writer.write_cluster(planner, cluster, shard, &formers))
        .collect();
    writer.write_merges(planner, &clusters, &written, |index| &components[origins[index]]);
    writer.write_edges(planner);
    writer.write_keys(planner);
    writer.finish(planner)
}

impl Planner<'_> {
    pub(super) fn record(&self, link: LinkId) -> (super::rows::EntityId, &str) {
        match self.touched_of.get(&link) {
            Some(&index) => (self.touched[index].entity, &self.touched[index].external_id),
            None => (self.view.links[&link].entity, &self.view.links[&link].external_id),
        }
    }

    pub(super) fn touched(&self, link: LinkId) -> Option<&Touched> {
        self.touched_of.get(&link).map(|&index| &self.touched[index])
    }

    pub(super) fn old_shard(&self, link: LinkId) -> Option<ShardId> {
        let is_new = self.touched(link).is_some_and(|touched| touched.is_new);
        (!is_new).then(|| self.view.links[&link].shard)
    }
}

#[derive(Default)]
struct Writer {
    planned: Planned,
    dropped: FxHashSet<LinkId>,
    outcomes: FxHashMap<LinkId, Outcome>,
}

/// The first of the records whose image is `data`.
fn who_says(members: &[Member], data: &str) -> Option<LinkId> {
    members.iter().find(|member| *member.json == *data).map(|member| member.id)
}

/// A record of a cluster, with what it says.
pub(super) struct Member {
    pub(super) id: LinkId,
    pub(super) image: Arc<Image>,
    json: Arc<str>,
    pub(super) stamp: i64,
    pub(super) stands: bool,
}

impl Writer {
    /// Writes a cluster's shard and links; `None` where the target flags forbid a new shard.
    fn write_cluster(
        &mut self,
        planner: &mut Planner<'_>,
        links: &[LinkId],
        old: Option<ShardId>,
        formers: &Formers,
    ) -> Option<ShardId> {
        let may_create = links.iter().any(|&link| {
            let (entity, _) = planner.record(link);
            planner.entity(entity).target.create_if_missing || planner.old_shard(link).is_some()
        });
        if !may_create {
            self.dropped.extend(links);
            return None;
        }
        let members: Vec<Member> = links.iter().map(|&link| member(planner, link)).collect();
        let (entity, _) = planner.record(links[0]);
        let rules = planner.type_of(entity);
        let mut agreement = None;
        let data = if rules.written_to.is_empty() {
            golden(planner, &members)
        } else {
            let uuid = match old {
                Some(old) => planner.view.shards[&old].uuid,
                None => new_uuid(planner, ShardId(planner.view.next_shard)),
            };
            let of = old.and_then(|old| formers.get(&old)).map_or(&[][..], Vec::as_slice);
            let agreed = agree(planner, old, uuid, &members, of);
            let data = rules.layout.to_json(&agreed.image);
            let is_gone = agreed.is_gone;
            agreement = Some(agreed);
            (!is_gone).then(|| data.into())
        };
        let shard = self.write_shard(planner, &members, old, data);
        self.unsettle(planner, links, old, &shard);
        for (position, member) in members.iter().enumerate() {
            self.write_link(planner, member, &shard, old.is_none() && position == 0);
        }
        if let Some(agreement) = agreement {
            let Planned { plan, counters, .. } = &mut self.planned;
            owe::write(planner, agreement, &shard, plan, counters);
        }
        Some(shard.id)
    }

    /// Lists the records of whose shard others may take values that changed.
    fn unsettle(
        &mut self,
        planner: &Planner<'_>,
        links: &[LinkId],
        old: Option<ShardId>,
        shard: &ShardRow,
    ) {
        let (entity, _) = planner.record(links[0]);
        let rules = planner.type_of(entity);
        if !rules.looked_up {
            return;
        }
        let before = old.map(|id| &planner.view.shards[&id]);
        let is_other = before.is_none_or(|before| before.data != shard.data);
        let has_changed = |link: LinkId| {
            planner.old_shard(link) != Some(shard.id) || planner.touched(link).is_some()
        };
        // Whoever refers to one of the records may wait for any other of them.
        let is_other = is_other || (rules.referred_to && links.iter().copied().any(has_changed));
        let changed = links.iter().filter(|&&link| is_other || has_changed(link));
        self.planned.plan.unsettled.extend(changed);
    }

    /// Inserts or updates the shard of a cluster, and returns it as it will be.
    fn write_shard(
        &mut self,
        planner: &mut Planner<'_>,
        members: &[Member],
        old: Option<ShardId>,
        data: Option<Arc<str>>,
    ) -> ShardRow {
        let gone = data.is_none();
        let deleted_at = gone.then_some(planner.moment.started);
        let Some(id) = old else {
            let id = ShardId(planner.view.next_shard);
            planner.view.next_shard += 1;
            let (entity, _) = planner.record(members[0].id);
            let data = data.unwrap_or_else(|| members[0].json.clone());
            let shard = ShardRow {
                id,
                uuid: new_uuid(planner, id),
                shard_type: planner.type_of(entity).id,
                said_by: who_says(members, &data),
                data,
                version: 1,
                created: planner.moment.execution,
                deleted_at,
                merged_into: None,
            };
            self.planned.plan.shards_new.push(shard.clone());
            self.planned.counters.shards_created += 1;
            return shard;
        };
        let before = planner.view.shards[&id].clone();
        let (said_by, mut shard) = (before.said_by, before.clone());
        shard.deleted_at = if gone { before.deleted_at.or(deleted_at) } else { None };
        shard.merged_into = None;
        if let Some(data) = data {
            shard.data = data;
        }
        let is_other = shard != before;
        shard.said_by = who_says(members, &shard.data);
        if is_other {
            shard.version += 1;
            self.planned.counters.shards_deleted += u64::from(gone && before.deleted_at.is_none());
            self.planned.counters.shards_updated += u64::from(!gone);
            let version = before.version;
            self.planned.plan.changes.push(Change {
                subject: Subject::Shard(id),
                before: before.data,
                version,
            });
        }
        if is_other || shard.said_by != said_by {
            self.planned.plan.shards_changed.push(shard.clone());
        }
        shard
    }

    fn write_link(
        &mut self,
        planner: &Planner<'_>,
        member: &Member,
        shard: &ShardRow,
        first: bool,
    ) {
        let Some(touched) = planner.touched(member.id) else {
            let before = &planner.view.links[&member.id];
            if before.shard != shard.id {
                self.planned.plan.links_changed.push(LinkRow { shard: shard.id, ..before.clone() });
            }
            return;
        };
        let row = LinkRow {
            id: touched.id,
            entity: touched.entity,
            external_id: touched.external_id.clone(),
            shard: shard.id,
            image: member.json.clone(),
            hash: touched.hash,
            modified: touched.modified,
            observed: touched.observed,
            execution: planner.moment.execution,
            contributor: touched.contributor.clone(),
            deleted: touched.deleted,
        };
        let outcome = match (touched.is_new, touched.said) {
            (true, _) if first => Outcome::Created,
            (true, _) => Outcome::Merged,
            (false, true) => Outcome::Updated,
            (false, false) => Outcome::Tombstoned,
        };
        self.outcomes.insert(touched.id, outcome);
        if touched.is_new {
            self.planned.counters.links_created += 1;
            self.planned.plan.links_new.push(row);
            return;
        }
        let before = planner.stored_json(member.id);
        if before != member.json {
            let (subject, version) =
                (Subject::Link(touched.id), planner.view.links[&touched.id].shard.0);
            self.planned.plan.changes.push(Change { subject, before, version });
        }
        self.planned.plan.links_changed.push(row);
    }

    /// Old shards that no cluster took over become aliases of the one that took most of their records.
    fn write_merges<'c>(
        &mut self,
        planner: &mut Planner<'_>,
        clusters: &[Vec<LinkId>],
        shards: &[Option<ShardId>],
        component: impl Fn(usize) -> &'c Component,
    ) {
        let kept: FxHashSet<ShardId> = shards.iter().copied().flatten().collect();
        let mut moved: BTreeMap<ShardId, BTreeMap<usize, usize>> = BTreeMap::new();
        for (index, cluster) in clusters.iter().enumerate() {
            for shard in cluster.iter().filter_map(|&link| planner.old_shard(link)) {
                if !kept.contains(&shard) {
                    *moved.entry(shard).or_default().entry(index).or_default() += 1;
                }
            }
        }
        let records =
            if moved.is_empty() { FxHashMap::default() } else { records(planner, clusters) };
        for (loser, counts) in moved {
            let most = counts.into_iter().max_by_key(|&(index, n)| (n, std::cmp::Reverse(index)));
            let Some((index, _)) = most else { continue };
            let Some(survivor) = shards[index] else { continue };
            let of = |shard| records.get(&shard).map_or(&[][..], Vec::as_slice);
            let by = planner.decided_by(of(loser), &clusters[index]).map(str::to_owned);
            let both = [survivor, loser].into_iter();
            let records = both.flat_map(|shard| of(shard).iter().map(move |&link| (link, shard)));
            let records = records.collect();
            let evidence = evidence(planner, component(index), &clusters[index], loser);
            let waterfall = evidence.and_then(|edge| waterfall(planner, &edge));
            self.write_merge(planner, Merge { survivor, loser, evidence, waterfall, by, records });
        }
    }

    fn write_merge(&mut self, planner: &Planner<'_>, merge: Merge) {
        let before = &planner.view.shards[&merge.loser];
        let (subject, version) = (Subject::Shard(merge.loser), before.version);
        let plan = &mut self.planned.plan;
        plan.changes.push(Change { subject, before: before.data.clone(), version });
        plan.shards_changed.push(ShardRow {
            merged_into: Some(merge.survivor),
            said_by: None,
            version: version + 1,
            ..before.clone()
        });
        plan.merges.push(merge);
        self.planned.counters.shards_merged += 1;
    }

    fn write_edges(&mut self, planner: &mut Planner<'_>) {
        let Self { planned: Planned { plan, .. }, dropped, .. } = self;
        let kept = |edge: &&MatchEdge| !dropped.contains(&edge.a) && !dropped.contains(&edge.b);
        plan.match_edges_set = planner.pairs.set.values().filter(kept).copied().collect();
        plan.match_edges_set.sort_by_key(|edge| (edge.a, edge.b));
        plan.match_edges_removed = planner.pairs.removed.iter().copied().collect();
        plan.match_edges_removed.sort_unstable();
        plan.decisions_set = std::mem::take(&mut planner.rulings.decided);
        plan.decisions_removed = std::mem::take(&mut planner.rulings.revoked);
        for touched in planner.touched.iter_mut().filter(|t| !dropped.contains(&t.id)) {
            if let Some(edges) = touched.edges.take() {
                plan.edges.push((touched.id, edges));
            }
        }
        let restamped = planner.restamped.values().map(|row| LinkRow {
            observed: planner.moment.started,
            execution: planner.moment.execution,
            ..row.clone()
        });
        plan.links_restamped.extend(restamped);
    }

    fn write_keys(&mut self, planner: &Planner<'_>) {
        let plan = &mut self.planned.plan;
        for touched in planner.touched.iter().filter(|t| !self.dropped.contains(&t.id)) {
            let rules = planner.type_of(touched.entity);
            let mut new: Vec<u64> = touched.keys.iter().map(|key| key.hash).collect();
            let mut old: Vec<u64> = touched.keys_old.iter().map(|key| key.hash).collect();
            if !rules.found_by.is_empty() {
                new.extend(rules.field_keys(&touched.image));
                if let Some(image) = planner.view.images.get(&touched.id) {
                    old.extend(rules.field_keys(image));
                }
            }
            plan.keys_added
                .extend(new.iter().filter(|k| !old.contains(k)).map(|&k| (k, touched.id)));
            plan.keys_removed
                .extend(old.iter().filter(|k| !new.contains(k)).map(|&k| (k, touched.id)));
        }
        plan.unsettled.extend(&planner.view.dependents);
        plan.unsettled.sort_unstable();
        plan.unsettled.dedup();
        for keys in [&mut plan.keys_added, &mut plan.keys_removed] {
            keys.sort_unstable();
            keys.dedup();
        }
    }

    /// Sorts the lists, and tells what became of each item.
    fn finish(mut self, planner: &mut Planner<'_>) -> Planned {
        let plan: &mut Plan = &mut self.planned.plan;
        plan.links_new.sort_unstable_by_key(|row| row.id);
        plan.links_changed.sort_unstable_by_key(|row| row.id);
        plan.links_restamped.sort_unstable_by_key(|row| row.id);
        plan.shards_new.sort_unstable_by_key(|row| row.id);
        plan.shards_changed.sort_by_key(|row| row.id);
        plan.intents_changed = std::mem::take(&mut planner.news.intents);
        plan.links_renamed = std::mem::take(&mut planner.arrivals.renamed);
        plan.dead_letters.append(&mut planner.arrivals.letters);
        self.planned.strayed = std::mem::take(&mut planner.arrivals.strayed);
        self.planned.counters.tombstoned += planner.arrivals.lost;
        let fates = std::mem::take(&mut planner.fates);
        for (fate, counts) in fates.into_iter().zip(&planner.counts) {
            let (outcome, link) = match fate {
                // Later versions of a record that may not make a shard fare as the first one.
                Fate::Known(_, Some(id)) if self.dropped.contains(&id) => {
                    (Outcome::Filtered, Some(id))
                }
                Fate::Known(outcome, link) => (outcome, link),
                Fate::Touched(index) => {
                    let id = planner.touched[index].id;
                    let outcome = self.outcomes.get(&id).cloned();
                    (outcome.unwrap_or(Outcome::Filtered), Some(id))
                }
            };
            count(&mut self.planned.counters, &outcome, *counts);
            self.planned.links.push(link.filter(|id| !self.dropped.contains(id)));
            self.planned.outcomes.push(outcome);
        }
        let revived = planner.revived.iter().filter(|id| !self.dropped.contains(id));
        self.planned.counters.revived = revived.count() as u64;
        self.planned
    }
}

/// The best edge between a record of the merged shard and another record of the cluster.
fn evidence(
    planner: &Planner<'_>,
    component: &Component,
    cluster: &[LinkId],
    loser: ShardId,
) -> Option<MatchEdge> {
    let members: FxHashSet<LinkId> = cluster.iter().copied().collect();
    let is_loser = |link| planner.old_shard(link) == Some(loser);
    let edges = component.edges.iter().copied();
    edges
        .filter(|edge| members.contains(&edge.a) && members.contains(&edge.b))
        .filter(|edge| is_loser(edge.a) != is_loser(edge.b))
        .max_by(|x, y| x.score.total_cmp(&y.score).then(y.a.cmp(&x.a)).then(y.b.cmp(&x.b)))
}

/// The records of each shard before the plan.
fn records(planner: &Planner<'_>, clusters: &[Vec<LinkId>]) -> FxHashMap<ShardId, Vec<LinkId>> {
    let mut records: FxHashMap<ShardId, Vec<LinkId>> = FxHashMap::default();
    for &link in clusters.iter().flatten() {
        if let Some(shard) = planner.old_shard(link) {
            records.entry(shard).or_default().push(link);
        }
    }
    records
}

/// How the score of an edge comes about, as JSON text.
fn waterfall(planner: &mut Planner<'_>, edge: &MatchEdge) -> Option<Arc<str>> {
    let (left, right) = (planner.image(edge.a).ok()?, planner.image(edge.b).ok()?);
    let (entity, _) = planner.record(edge.a);
    let rules = planner.type_of(entity);
    let rule = rules.rule_ids.iter().position(|id| *id == edge.rule)?;
    let explained = rules.matcher.explain(&left, &right, 1 << rule);
    serde_json::to_string(&explained).ok().map(Arc::from)
}

/// Enters an item's outcome in the ledger; derived records have columns of their own.
fn count(counters: &mut Counters, outcome: &Outcome, counts: bool) {
    let columns: &mut [&mut u64] = match (outcome, counts) {
        (Outcome::Created, true) => &mut [&mut counters.created],
        (Outcome::Merged, true) => &mut [&mut counters.updated, &mut counters.merged],
        (Outcome::Updated, true) => &mut [&mut counters.updated],
        (Outcome::Tombstoned, true) => &mut [&mut counters.updated, &mut counters.tombstoned],
        (Outcome::Unchanged, true) => &mut [&mut counters.skipped, &mut counters.unchanged],
        (Outcome::Filtered, true) => &mut [&mut counters.skipped, &mut counters.filtered],
        (Outcome::Invalid(_), true) => &mut [&mut counters.skipped, &mut counters.invalid],
        (Outcome::Created, false) => &mut [&mut counters.derived_created],
        (Outcome::Unchanged | Outcome::Filtered | Outcome::Invalid(_), false) => {
            &mut [&mut counters.derived_unchanged]
        }
        (_, false) => &mut [&mut counters.derived_updated],
    };
    for column in columns {
        **column += 1;
    }
}

pub(super) fn member(planner: &mut Planner<'_>, link: LinkId) -> Member {
    let rules = planner.entity(planner.record(link).0);
    let target = rules.target;
    if let Some(touched) = planner.touched(link) {
        return Member {
            id: link,
            image: touched.image.clone(),
            json: touched.json.clone(),
            stamp: rules.stamp(touched.modified, touched.observed),
            stands: !(touched.deleted && target.delete_if_removed),
        };
    }
    let row = &planner.view.links[&link];
    let (stamp, stands) =
        (rules.stamp(row.modified, row.observed), !(row.deleted && target.delete_if_removed));
    let json = planner.stored_json(link);
    let image = planner.stored_image(link).unwrap_or_default();
    Member { id: link, image, json, stamp, stands }
}

/// The data of a cluster's shard; `None` when no record stands any more.
fn golden(planner: &Planner<'_>, members: &[Member]) -> Option<Arc<str>> {
    let standing: Vec<&Member> = members.iter().filter(|member| member.stands).collect();
    match standing.as_slice() {
        [] => None,
        [only] => Some(only.json.clone()),
        several => {
            let (entity, _) = planner.record(several[0].id);
            let rules = planner.type_of(entity);
            Some(rules.layout.to_json(&surviving(planner, several)).into())
        }
    }
}

/// What the records of a cluster say together, of those that stand; `None` when none does.
pub(super) fn survivors(planner: &Planner<'_>, members: &[&Member]) -> Option<Image> {
    let standing: Vec<&Member> = members.iter().copied().filter(|m| m.stands).collect();
    match standing.as_slice() {
        [] => None,
        [only] => Some(claims(planner, only).into_owned()),
        several => {
            let mut image = surviving(planner, several);
            keep_groups(planner, several, &mut image);
            Some(image)
        }
    }
}

/// Fields that belong together stand as one record says them: the one that says what stands of the first of them; of
/// several such records, of the next as well. What that record does not know is left to the others.
fn keep_groups(planner: &Planner<'_>, members: &[&Member], image: &mut Image) {
    let mut done: FxHashSet<usize> = FxHashSet::default();
    for group in members.iter().flat_map(|member| groups(planner, member.id)) {
        if group.iter().any(|field| done.contains(field)) {
            continue;
        }
        done.extend(group);
        let mut claims: Vec<Cow<'_, [Cell]>> =
            members.iter().map(|member| claims(planner, member)).collect();
        for &field in group {
            let says = |claim: &Cow<'_, [Cell]>| claim[field] == image[field];
            if claims.iter().any(says) {
                claims.retain(says);
            }
        }
        let Some(one) = claims.first() else { continue };
        for &field in group.iter().filter(|&&field| one[field].is_some()) {
            image[field].clone_from(&one[field]);
        }
    }
}

/// The fields that belong together, by what is said of a record's system.
pub(super) fn groups<'a>(planner: &Planner<'a>, link: LinkId) -> &'a [Vec<usize>] {
    let (entity, _) = planner.record(link);
    planner.entity(entity).two_way.as_ref().map_or(&[], |two_way| &two_way.policy.groups)
}

/// What a record says, less the fields that are never taken from its system.
fn claims<'a>(planner: &Planner<'_>, member: &'a Member) -> Cow<'a, [Cell]> {
    let (entity, _) = planner.record(member.id);
    let policy = planner.entity(entity).two_way.as_ref().map(|two_way| &two_way.policy);
    let Some(policy) = policy.filter(|policy| policy.flows.iter().any(|flow| !flow.takes)) else {
        return Cow::Borrowed(&member.image);
    };
    let cells = member.image.iter().zip(&policy.flows);
    Cow::Owned(cells.map(|(cell, flow)| cell.clone().filter(|_| flow.takes)).collect())
}

fn surviving(planner: &Planner<'_>, several: &[&Member]) -> Image {
    let claims: Vec<Cow<'_, [Cell]>> =
        several.iter().map(|member| claims(planner, member)).collect();
    let sources: Vec<Source<'_>> = several
        .iter()
        .zip(&claims)
        .map(|(member, image)| {
            let (entity, external_id) = planner.record(member.id);
            let rules = planner.entity(entity);
            Source {
                image,
                stamp: member.stamp,
                priority: rules.priority,
                name: (&rules.connection, &rules.entity, external_id),
            }
        })
        .collect();
    let (entity, _) = planner.record(several[0].id);
    let rules = planner.type_of(entity);
    rules.matcher.survive(&sources, rules.layout.names().len()).0
}

fn new_uuid(planner: &Planner<'_>, id: ShardId) -> u128 {
    uuid_v7(planner.moment.started, planner.moment.seed, id)
}

/// A UUIDv7 for a shard: the execution's start, the row number as a counter of 26 bits, and 48 bits that the
/// execution's seed decides. The counter lets new shards go to the end of the index on them.
///
/// Source: RFC 9562, sections 5.7 and 6.2 (method 1).
fn uuid_v7(started_us: i64, seed: u64, shard: ShardId) -> u128 {
    let ms = u64::try_from(started_us / 1000).unwrap_or(0);
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&shard.0.to_le_bytes(), seed).to_le_bytes();
    let count = shard.0.cast_unsigned() & 0x3ff_ffff;
    let mut bits = [0; 10];
    bits[..2].copy_from_slice(&((count >> 14) as u16).to_be_bytes());
    // The two highest of the second part are the variant's.
    bits[2..4].copy_from_slice(&((count & 0x3fff) as u16).to_be_bytes());
    bits[4..].copy_from_slice(&hash[..6]);
    uuid::Builder::from_unix_timestamp_millis(ms, &bits).into_uuid().as_u128()
}
