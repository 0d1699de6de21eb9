//! Edges, and what they point to.

use super::ask::entities;
use super::read::{array, links, links_of_records, members};
use crate::query::{Counts, EdgeRow};
use compact_str::CompactString;
use rusqlite::{Connection, Result, Row, params};
use rustc_hash::{FxHashMap, FxHashSet};
use syncline_core::plan::rows::{
    EntityId, EntityName, KindId, LinkId, LinkRow, ShardId, TypeId, field_key,
};

/// How many targets are resolved at a time where there may be very many.
const TARGETS: usize = 10_000;

/// A record, or a field's value.
type Target = (EntityId, CompactString);

pub(super) fn edges_from(conn: &Connection, from: &[LinkId]) -> Result<Vec<EdgeRow>> {
    let sql = "SELECT e.link, l.shard, e.kind, e.entity, e.target
               FROM rarray(?1) r CROSS JOIN edge e ON e.link = r.value
               CROSS JOIN link l ON l.id = e.link
               ORDER BY e.link, e.kind, e.entity, e.target";
    let ids = array(from.iter().map(|link| link.0));
    let edges = conn.prepare_cached(sql)?.query_map([ids], edge)?.collect::<Result<_>>()?;
    resolve(conn, edges)
}

pub(super) fn edges_to(conn: &Connection, to: &[LinkId]) -> Result<Vec<EdgeRow>> {
    let names = entities(conn)?;
    let targets = links(conn, to.iter().copied())?;
    let mut edges = Vec::new();
    for link in targets.iter().filter(|link| !link.deleted) {
        edges.extend(edges_of(conn, link.entity, &link.external_id)?);
    }
    let wanted: FxHashSet<LinkId> = targets.iter().map(|link| link.id).collect();
    let types: FxHashSet<&str> = names
        .iter()
        .filter(|(id, _)| targets.iter().any(|link| link.entity == *id))
        .map(|(_, name)| name.shard_type.as_str())
        .collect();
    for (field, name) in names
        .iter()
        .filter(|(_, name)| name.connection.is_empty() && types.contains(name.shard_type.as_str()))
    {
        for value in values_held(conn, *field, name, &wanted)? {
            edges.extend(edges_of(conn, *field, &value)?);
        }
    }
    let mut edges = resolve(conn, edges)?;
    edges.retain(|edge| edge.target_link.is_some_and(|link| wanted.contains(&link)));
    edges.sort_by(|a, b| {
        (a.link, a.kind, a.entity, &a.target).cmp(&(b.link, b.kind, b.entity, &b.target))
    });
    edges.dedup();
    Ok(edges)
}

/// The edges that state exactly this target.
fn edges_of(conn: &Connection, entity: EntityId, target: &str) -> Result<Vec<EdgeRow>> {
    let sql = "SELECT e.link, l.shard, e.kind, e.entity, e.target
               FROM edge e CROSS JOIN link l ON l.id = e.link WHERE e.entity = ?1 AND e.target = ?2";
    conn.prepare_cached(sql)?.query_map(params![entity.0, target], edge)?.collect()
}

/// The values of a field that edges point to and that one of `links` holds.
fn values_held(
    conn: &Connection,
    field: EntityId,
    name: &EntityName,
    links: &FxHashSet<LinkId>,
) -> Result<Vec<CompactString>> {
    let sql = "SELECT DISTINCT target FROM edge WHERE entity = ?1 AND target > ?2
               ORDER BY target LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let (mut held, mut after) = (Vec::new(), CompactString::default());
    loop {
        let values: Vec<CompactString> = statement
            .query_map(params![field.0, after.as_str(), TARGETS as i64], |row| {
                super::rows::text(row, 0)
            })?
            .collect::<Result<_>>()?;
        let Some(last) = values.last() else { return Ok(held) };
        after = last.clone();
        let key = |value: &str| field_key(&name.shard_type, &name.entity, value);
        let keys: Vec<u64> = values.iter().filter_map(|value| key(value)).collect();
        let found: FxHashSet<u64> = members(conn, &keys, usize::MAX)?
            .into_iter()
            .filter(|(_, link)| links.contains(link))
            .map(|(key, _)| key)
            .collect();
        held.extend(
            values.into_iter().filter(|value| key(value).is_some_and(|key| found.contains(&key))),
        );
    }
}

fn edge(row: &Row<'_>) -> Result<EdgeRow> {
    Ok(EdgeRow {
        link: LinkId(row.get(0)?),
        shard: ShardId(row.get(1)?),
        kind: KindId(row.get(2)?),
        entity: EntityId(row.get(3)?),
        target: row.get(4)?,
        target_link: None,
        target_shard: None,
    })
}

/// Fills in the targets of `edges`.
fn resolve(conn: &Connection, mut edges: Vec<EdgeRow>) -> Result<Vec<EdgeRow>> {
    let targets = edges.iter().map(|edge| (edge.entity, edge.target.as_str().into())).collect();
    let found = targets_of(conn, targets)?;
    for edge in &mut edges {
        if let Some(link) = found.get(&(edge.entity, edge.target.as_str().into())) {
            (edge.target_link, edge.target_shard) = (Some(link.id), Some(link.shard));
        }
    }
    Ok(edges)
}

/// The links that `targets` stand for; those that have not arrived are left out.
fn targets_of(conn: &Connection, targets: Vec<Target>) -> Result<FxHashMap<Target, LinkRow>> {
    let names: FxHashMap<EntityId, EntityName> = entities(conn)?.into_iter().collect();
    let is_field =
        |(entity, _): &Target| names.get(entity).is_some_and(|name| name.connection.is_empty());
    let (fields, records): (Vec<Target>, Vec<Target>) = targets.into_iter().partition(is_field);
    let mut found = Vec::new();
    links_of_records(conn, &records, &mut found)?;
    let live = found.into_iter().filter(|link| !link.deleted);
    let mut out: FxHashMap<Target, LinkRow> =
        live.map(|link| ((link.entity, link.external_id.clone()), link)).collect();
    let keys: FxHashMap<Target, u64> = fields
        .into_iter()
        .filter_map(|target| {
            let name = names.get(&target.0)?;
            let key = field_key(&name.shard_type, &name.entity, &target.1)?;
            Some((target, key))
        })
        .collect();
    let holders = holders(conn, &keys.values().copied().collect::<Vec<_>>(), &names)?;
    for (target, key) in keys {
        let shard_type = &names[&target.0].shard_type;
        if let Some(link) = holders.get(&(key, shard_type.as_str())) {
            out.insert(target, link.clone());
        }
    }
    Ok(out)
}

/// For each key and shard type, the live link that holds it with the smallest record.
fn holders<'a>(
    conn: &Connection,
    keys: &[u64],
    names: &'a FxHashMap<EntityId, EntityName>,
) -> Result<FxHashMap<(u64, &'a str), LinkRow>> {
    let members = members(conn, keys, usize::MAX)?;
    let links = links(conn, members.iter().map(|(_, link)| *link))?;
    let by_id: FxHashMap<LinkId, &LinkRow> = links.iter().map(|link| (link.id, link)).collect();
    let mut out: FxHashMap<(u64, &str), LinkRow> = FxHashMap::default();
    for (key, id) in members {
        let Some(link) = by_id.get(&id).filter(|link| !link.deleted) else { continue };
        let Some(name) = names.get(&link.entity) else { continue };
        let best = out.entry((key, &name.shard_type)).or_insert_with(|| (*link).clone());
        if (link.entity, &link.external_id) < (best.entity, &best.external_id) {
            *best = (*link).clone();
        }
    }
    Ok(out)
}

/// Counts what [`crate::reviews::waiting`] lists.
const REVIEWS: &str = "SELECT count(*) FROM match_edge e INDEXED BY match_edge_review
    JOIN link a ON a.id = e.a AND NOT a.deleted JOIN link b ON b.id = e.b AND NOT b.deleted
    WHERE e.zone = 0 AND e.a < e.b AND a.shard <> b.shard
      AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.a = e.a AND d.b = e.b)";

pub(super) fn counts(conn: &Connection) -> Result<Counts> {
    let count = |sql: &str| -> Result<u64> {
        conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
    };
    let shards = shards_by_type(conn)?;
    let edges = count("SELECT count(*) FROM edge")?;
    let edges_linked = edges_linked(conn)?;
    Ok(Counts {
        shards,
        links: count("SELECT count(*) FROM link")?
            - count("SELECT count(*) FROM link WHERE deleted")?,
        edges_linked,
        edges_waiting: edges - edges_linked,
        dead_letters: count("SELECT count(*) FROM dead_letter WHERE replayed IS NULL")?,
        reviews: count(REVIEWS)?,
    })
}

/// How many shards of each type are live. In one walk with a count for each type: to group them, SQLite would sort them.
fn shards_by_type(conn: &Connection) -> Result<Vec<(TypeId, u64)>> {
    let mut types = conn.prepare_cached("SELECT id FROM shard_type ORDER BY id")?;
    let types = types.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>>>()?;
    let mut found = Vec::new();
    // A row has room for so many columns, and many more.
    for types in types.chunks(500) {
        let counts: Vec<String> =
            types.iter().map(|id| format!("count(*) FILTER (WHERE type = {id})")).collect();
        let sql = format!(
            "SELECT {} FROM shard WHERE deleted_at IS NULL AND merged_into IS NULL",
            counts.join(", ")
        );
        conn.query_row(&sql, [], |row| {
            for (column, id) in types.iter().enumerate() {
                let count: i64 = row.get(column)?;
                found.push((TypeId(*id), count.cast_unsigned()));
            }
            Ok(())
        })?;
    }
    found.retain(|(_, count)| *count > 0);
    Ok(found)
}

fn edges_linked(conn: &Connection) -> Result<u64> {
    // Those to records that are gone are counted apart: whether a record is known, its index tells; whether it is gone,
    // only its row does.
    let sql = "SELECT coalesce(sum(e.n), 0)
               FROM (SELECT entity, target, count(*) AS n FROM edge GROUP BY entity, target) e
               JOIN link l ON l.entity = e.entity AND l.external_id = e.target";
    let known: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    let sql = "SELECT count(*) FROM link l INDEXED BY link_deleted
               CROSS JOIN edge e ON e.entity = l.entity AND e.target = l.external_id WHERE l.deleted";
    let gone: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    let mut linked = known - gone;
    let sql = "SELECT target, count(*) FROM edge WHERE entity = ?1 AND target > ?2
               GROUP BY target ORDER BY target LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    for (field, _) in entities(conn)?.iter().filter(|(_, name)| name.connection.is_empty()) {
        let mut after = CompactString::default();
        loop {
            let values = params![field.0, after.as_str(), TARGETS as i64];
            let counted: Vec<(CompactString, i64)> = statement
                .query_map(values, |row| Ok((super::rows::text(row, 0)?, row.get(1)?)))?
                .collect::<Result<_>>()?;
            let Some((last, _)) = counted.last() else { break };
            after = last.clone();
            let targets = counted.iter().map(|(value, _)| (*field, value.clone())).collect();
            let found = targets_of(conn, targets)?;
            linked += counted
                .into_iter()
                .filter(|(value, _)| found.contains_key(&(*field, value.clone())))
                .map(|(_, count)| count)
                .sum::<i64>();
        }
    }
    Ok(linked.cast_unsigned())
}
