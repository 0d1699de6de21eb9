//! What a plan reads.

use super::db::Db;
use super::key_log::KeyLog;
use super::memory::Memory;
use super::merges;
use super::outbox;
use super::rows::{self, LINK_COLUMNS, LINK_STAMP, SHARD_COLUMNS};
use super::schema;
use crate::StoreError;
use compact_str::CompactString;
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, Row, params};
use std::rc::Rc;
use syncline_core::plan::rows::{
    EdgeTarget, EntityId, KindId, LinkId, LinkRow, MatchEdge, ShardId, ShardRow,
};
use syncline_core::plan::view::{Found, Need, first_of_each};

type Result<T> = rusqlite::Result<T>;

impl Db {
    /// Answers `need`. While an execution runs, this holds the write lock until the plan that is made from
    /// the answer is committed, so that nothing can come between.
    pub(super) fn read(&mut self, need: &Need) -> std::result::Result<Found, StoreError> {
        if !self.running.is_empty() {
            self.open_group()?;
            if !need.keys_of.is_empty()
                && let Err(error) = self.conn.execute_batch(schema::KEYS_BY_LINK)
            {
                return Err(self.lose_group(&error));
            }
            for (is_asked, index) in [
                (!need.dependents.is_empty(), "edge_target"),
                (!need.shards.is_empty(), "link_shard"),
                (!need.uuids.is_empty(), "shard_uuid"),
            ] {
                if is_asked && let Err(error) = schema::make_late_index(&self.conn, index) {
                    return Err(self.lose_group(&error));
                }
            }
        }
        // What is remembered holds only while nobody else can write.
        let mut memory = if self.running.is_empty() { None } else { self.memory.take() };
        let found = self.read_together(|conn| look_up(conn, need, memory.as_mut()));
        if memory.is_some() {
            self.memory = memory;
        }
        let mut found = found?;
        self.note_read();
        found.epoch = self.epoch;
        Ok(found)
    }
}

fn look_up(conn: &Connection, need: &Need, mut memory: Option<&mut Memory>) -> Result<Found> {
    let mut found = Found {
        next_link: next(conn, "SELECT coalesce(max(id), 0) + 1 FROM link")?,
        next_shard: next(conn, "SELECT coalesce(max(id), 0) + 1 FROM shard")?,
        ..Found::default()
    };
    match memory.as_deref_mut() {
        Some(memory) => records_by_memory(conn, need, memory, &mut found)?,
        None => records_in_table(conn, need, (0..need.records.len()).collect(), &mut found)?,
    }
    found.members = match memory.as_deref() {
        Some(memory) => members_by_memory(conn, &need.keys, need.members_max, memory)?,
        None => members(conn, &need.keys, need.members_max)?,
    };
    found.dependents = dependents(conn, &need.dependents)?;
    let first_own = found.links.len();
    if !need.links.is_empty() {
        found.links.extend(links(conn, need.links.iter().copied())?);
        found.shards = shards_of(conn, &found.links[first_own..])?;
        let is_edged = |&&link: &&LinkId| memory.as_ref().is_none_or(|m| m.may_have_edge(link));
        let edged: Vec<LinkId> = need.links.iter().filter(is_edged).copied().collect();
        found.edges = match_edges(conn, &edged)?;
        found.decisions = merges::decisions_of(conn, &need.links)?;
    }
    if !need.agreed.is_empty() {
        outbox::read_agreed(conn, &need.agreed, &mut found)?;
    }
    if !need.shards.is_empty() {
        found.siblings = merges::siblings(conn, &need.shards)?;
    }
    if !need.uuids.is_empty() {
        found.shards.extend(shards_by_uuid(conn, &need.uuids)?);
    }
    if !need.edges_of.is_empty() {
        found.stated = stated(conn, &need.edges_of)?;
    }
    if !need.keys_of.is_empty() {
        found.keys = merges::keys_of(conn, &need.keys_of)?;
    }
    if !need.histories.is_empty() {
        found.histories = merges::histories(conn, &need.histories)?;
        let shards = found.histories.iter().map(|(_, shard)| *shard);
        found.shards.extend(shards_by_row(conn, shards)?);
    }
    found.links.extend(links(conn, found.dependents.iter().map(|(_, link)| *link))?);
    found.links.sort_unstable_by_key(|link| link.id);
    found.links.dedup_by_key(|link| link.id);
    Ok(found)
}

/// Finds the links of the records that are needed, looking up those only of which it is not known how they are.
fn records_by_memory(
    conn: &Connection,
    need: &Need,
    memory: &mut Memory,
    found: &mut Found,
) -> Result<()> {
    let mut unknown = Vec::new();
    for (index, (entity, external_id)) in need.records.iter().enumerate() {
        if let Some(link) = memory.shared(*entity, external_id) {
            found.links.push(link.clone());
        } else if memory.may_have_record(*entity, external_id) {
            unknown.push(index);
        }
    }
    let first = found.links.len();
    records_in_table(conn, need, unknown, found)?;
    let shared = found.links[first..].iter().filter(|link| link.contributor.is_some());
    shared.for_each(|link| memory.share(link));
    Ok(())
}

/// Looks up the links of those of the records that are needed that have one of these indexes.
fn records_in_table(
    conn: &Connection,
    need: &Need,
    indexes: Vec<usize>,
    found: &mut Found,
) -> Result<()> {
    let expected = |index: usize| need.expected.get(index).copied().flatten();
    each_link(conn, &need.records, indexes, |index, row| {
        match expected(index) {
            Some(expected) if rows::says(row, &expected)? => {
                found.as_expected.push((index, LinkId(row.get(0)?)));
            }
            _ => found.links.push(rows::link(row)?),
        }
        Ok(())
    })
}

fn next(conn: &Connection, sql: &str) -> Result<i64> {
    conn.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// Numbers as a table to join with: sorted, so that neighbours in the index are met one after another.
pub(super) fn array(numbers: impl IntoIterator<Item = i64>) -> Rc<Vec<Value>> {
    let mut numbers: Vec<i64> = numbers.into_iter().collect();
    numbers.sort_unstable();
    numbers.dedup();
    Rc::new(numbers.into_iter().map(Value::Integer).collect())
}

/// Sorts indexes of `records` by record.
fn sort(records: &[(EntityId, CompactString)], indexes: &mut [usize]) {
    indexes.sort_unstable_by(|&a, &b| records[a].cmp(&records[b]));
}

/// Calls `each` with every entity among the `records` of `indexes`, with the indexes of its records, sorted by record,
/// and with its external ids, sorted and once each.
fn by_entity(
    records: &[(EntityId, CompactString)],
    mut indexes: Vec<usize>,
    mut each: impl FnMut(EntityId, &[usize], Rc<Vec<Value>>) -> Result<()>,
) -> Result<()> {
    sort(records, &mut indexes);
    for run in indexes.chunk_by(|&a, &b| records[a].0 == records[b].0) {
        let mut ids: Vec<&CompactString> = run.iter().map(|&index| &records[index].1).collect();
        ids.dedup();
        let ids = ids.into_iter().map(|id| Value::Text(id.as_str().to_owned())).collect();
        each(records[run[0]].0, run, Rc::new(ids))?;
    }
    Ok(())
}

/// Calls `each` with every link of the `records` of `indexes`, as a row of [`LINK_COLUMNS`], and with the first index of
/// its record.
fn each_link(
    conn: &Connection,
    records: &[(EntityId, CompactString)],
    indexes: Vec<usize>,
    mut each: impl FnMut(usize, &Row<'_>) -> Result<()>,
) -> Result<()> {
    if indexes.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {LINK_COLUMNS} FROM rarray(?1) r CROSS JOIN link l
         ON l.entity = ?2 AND l.external_id = r.value {LINK_STAMP}"
    ))?;
    by_entity(records, indexes, |entity, run, ids| {
        let mut rows = statement.query(params![ids, entity.0])?;
        let mut run = run.iter().copied();
        while let Some(row) = rows.next()? {
            // Rows come in the order of the external ids.
            let external_id = row.get_ref(2)?.as_str()?;
            if let Some(index) = run.find(|&index| records[index].1 == external_id) {
                each(index, row)?;
            }
        }
        Ok(())
    })
}

/// The links of `records`.
pub(super) fn links_of_records(
    conn: &Connection,
    records: &[(EntityId, CompactString)],
    out: &mut Vec<LinkRow>,
) -> Result<()> {
    each_link(conn, records, (0..records.len()).collect(), |_, row| {
        out.push(rows::link(row)?);
        Ok(())
    })
}

/// The links with these row numbers, by row number.
pub(super) fn links(conn: &Connection, ids: impl Iterator<Item = LinkId>) -> Result<Vec<LinkRow>> {
    let ids = array(ids.map(|id| id.0));
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT {LINK_COLUMNS} FROM rarray(?1) r CROSS JOIN link l ON l.id = r.value {LINK_STAMP}"
    );
    conn.prepare_cached(&sql)?.query_map([ids], rows::link)?.collect()
}

/// The shards with these row numbers, by row number.
pub(super) fn shards_by_row(
    conn: &Connection,
    ids: impl Iterator<Item = ShardId>,
) -> Result<Vec<ShardRow>> {
    let ids = array(ids.map(|id| id.0));
    let sql = format!(
        "SELECT {SHARD_COLUMNS} FROM rarray(?1) r CROSS JOIN shard_whole s ON s.id = r.value"
    );
    conn.prepare_cached(&sql)?.query_map([ids], rows::shard)?.collect()
}

/// The shards with these ids.
fn shards_by_uuid(conn: &Connection, uuids: &[u128]) -> Result<Vec<ShardRow>> {
    let ids = uuids.iter().map(|uuid| Value::Blob(uuid.to_be_bytes().to_vec())).collect();
    let sql = format!(
        "SELECT {SHARD_COLUMNS} FROM rarray(?1) r CROSS JOIN shard_whole s ON s.uuid = r.value"
    );
    conn.prepare_cached(&sql)?.query_map([Rc::<Vec<Value>>::new(ids)], rows::shard)?.collect()
}

/// The shards of `links`, which are sorted by row number, by row number.
fn shards_of(conn: &Connection, links: &[LinkRow]) -> Result<Vec<ShardRow>> {
    let ids = array(links.iter().map(|link| link.shard.0));
    let sql =
        format!("SELECT {SHARD_COLUMNS} FROM rarray(?1) r CROSS JOIN shard s ON s.id = r.value");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut shards: Vec<ShardRow> =
        statement.query_map([ids], rows::shard)?.collect::<Result<_>>()?;
    let mut others = Vec::new();
    for shard in &mut shards {
        let Some(said_by) = shard.said_by else { continue };
        match links.binary_search_by_key(&said_by, |link| link.id) {
            Ok(index) => shard.data = links[index].image.clone(),
            Err(_) => others.push(shard.id),
        }
    }
    if !others.is_empty() {
        shards.retain(|shard| others.binary_search(&shard.id).is_err());
        shards.extend(shards_by_row(conn, others.into_iter())?);
        shards.sort_unstable_by_key(|shard| shard.id);
    }
    Ok(shards)
}

/// Every match edge of each of `links`; one between two of them comes twice.
pub(super) fn match_edges(conn: &Connection, links: &[LinkId]) -> Result<Vec<MatchEdge>> {
    let sql = "SELECT min(e.a, e.b), max(e.a, e.b), e.score, e.rule, e.zone
               FROM rarray(?1) r CROSS JOIN match_edge e ON e.a = r.value";
    let ids = array(links.iter().map(|link| link.0));
    let mut edges: Vec<MatchEdge> =
        conn.prepare_cached(sql)?.query_map([ids], rows::match_edge)?.collect::<Result<_>>()?;
    edges.sort_unstable_by_key(|edge| (edge.a, edge.b));
    Ok(edges)
}

/// The edges that each of `links` states, sorted.
fn stated(conn: &Connection, links: &[LinkId]) -> Result<Vec<(LinkId, EdgeTarget)>> {
    let sql = "SELECT e.link, e.kind, e.entity, e.target FROM rarray(?1) r CROSS JOIN edge e
               ON e.link = r.value";
    let ids = array(links.iter().map(|link| link.0));
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([ids], |row| {
        let (kind, entity) = (KindId(row.get(1)?), EntityId(row.get(2)?));
        Ok((LinkId(row.get(0)?), EdgeTarget { kind, entity, target: rows::text(row, 3)? }))
    })?;
    let mut stated = rows.collect::<Result<Vec<_>>>()?;
    stated.sort_unstable();
    Ok(stated)
}

/// The first `members_max` links of each key, sorted by key and link.
pub(super) fn members(
    conn: &Connection,
    keys: &[u64],
    members_max: usize,
) -> Result<Vec<(u64, LinkId)>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let log = KeyLog::of_keys(conn, keys)?;
    let mut out = members_in_table(conn, keys, members_max, &log)?;
    out.extend(log.pairs());
    first_of_each(&mut out, members_max);
    Ok(out)
}

/// The same, by what is known of table and log.
fn members_by_memory(
    conn: &Connection,
    keys: &[u64],
    members_max: usize,
    memory: &Memory,
) -> Result<Vec<(u64, LinkId)>> {
    let is_in_table = |&&key: &&u64| memory.may_have_key(key);
    let in_table: Vec<u64> = keys.iter().filter(is_in_table).copied().collect();
    let mut out = members_in_table(conn, &in_table, members_max, memory.log())?;
    for &key in keys {
        out.extend(memory.log().links(key).map(|link| (key, link)));
    }
    first_of_each(&mut out, members_max);
    Ok(out)
}

fn members_in_table(
    conn: &Connection,
    keys: &[u64],
    members_max: usize,
    log: &KeyLog,
) -> Result<Vec<(u64, LinkId)>> {
    let mut out = Vec::new();
    if keys.is_empty() || members_max == 0 {
        return Ok(out);
    }
    // Signed, because that is how the index is sorted.
    let mut keys = array(keys.iter().map(|&key| key.cast_signed()));
    let sql = "SELECT m.key, m.link FROM rarray(?1) r CROSS JOIN match_key m ON m.key = r.value";
    let mut statement = conn.prepare_cached(sql)?;
    while let Some(full) = fill_members(&mut statement, &keys, members_max, log, &mut out)? {
        // A key with very many members: they are not all read, the search goes on behind it.
        let rest = keys.iter().skip_while(|&key| *key != Value::Integer(full)).skip(1);
        keys = Rc::new(rest.cloned().collect());
    }
    Ok(out)
}

/// Adds the members of `keys` to `out`, without those that `log` has lost, up to the first key that has more than
/// `members_max`: that key.
fn fill_members(
    statement: &mut CachedStatement<'_>,
    keys: &Rc<Vec<Value>>,
    members_max: usize,
    log: &KeyLog,
    out: &mut Vec<(u64, LinkId)>,
) -> Result<Option<i64>> {
    let mut rows = statement.query([Rc::clone(keys)])?;
    let (mut last, mut count) = (None, 0);
    while let Some(row) = rows.next()? {
        let (key, link): (i64, LinkId) = (row.get(0)?, LinkId(row.get(1)?));
        if log.has_lost(key.cast_unsigned(), link) {
            continue;
        }
        if last != Some(key) {
            (last, count) = (Some(key), 0);
        }
        if count == members_max {
            return Ok(Some(key));
        }
        count += 1;
        out.push((key.cast_unsigned(), link));
    }
    Ok(None)
}

/// For each of `targets`, by index: the links that state an edge of it.
fn dependents(
    conn: &Connection,
    targets: &[(EntityId, CompactString)],
) -> Result<Vec<(usize, LinkId)>> {
    let mut out = Vec::new();
    if targets.is_empty() {
        return Ok(out);
    }
    let sql = "SELECT DISTINCT e.target, e.link FROM rarray(?1) r CROSS JOIN edge e
               ON e.entity = ?2 AND e.target = r.value";
    let mut statement = conn.prepare_cached(sql)?;
    let mut order: Vec<usize> = (0..targets.len()).collect();
    sort(targets, &mut order);
    by_entity(targets, order.clone(), |entity, _, ids| {
        let mut rows = statement.query(params![ids, entity.0])?;
        while let Some(row) = rows.next()? {
            let (target, link) = (row.get_ref(0)?.as_str()?, LinkId(row.get(1)?));
            let first = order.partition_point(|&index| {
                let (at, name) = &targets[index];
                (*at, name.as_str()) < (entity, target)
            });
            // A target that was asked for twice is answered twice.
            let same = order[first..]
                .iter()
                .take_while(|&&index| targets[index].0 == entity && targets[index].1 == target);
            out.extend(same.map(|&index| (index, link)));
        }
        Ok(())
    })?;
    out.sort_unstable();
    Ok(out)
}
