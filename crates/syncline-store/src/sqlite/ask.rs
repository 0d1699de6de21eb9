//! The store's queries, but for edges.

use super::db::Db;
use super::read::array;
use super::rows::{self, LINK_COLUMNS, LINK_STAMP, SHARD_COLUMNS};
use crate::query::{DeadLetterFilter, DeadLetterRow, History, ShardFilter, id_range};
use crate::{Catalog, Ids, StoreError};
use rusqlite::{Connection, OptionalExtension, Result, Row, ToSql, params};
use syncline_core::plan::rows::{
    EntityId, EntityName, ExecutionId, KindId, LinkId, LinkRow, MatchEdge, RuleId, RuleName,
    ShardId, ShardRow, TypeId,
};
use syncline_core::plan::writes::DeadLetter;

impl Db {
    pub(super) fn register(&mut self, catalog: &Catalog) -> std::result::Result<Ids, StoreError> {
        let known = self.read_together(|conn| known_ids(conn, catalog))?;
        if let Some(ids) = known {
            return Ok(ids);
        }
        // In a transaction of its own: numbers that were handed out must not be lost with a group.
        self.write_alone(|db| {
            register_all(&db.conn, catalog).map_err(|error| db.trouble("write", &error))
        })
    }

    pub(super) fn replayed(
        &mut self,
        ids: &[i64],
        execution: ExecutionId,
    ) -> std::result::Result<(), StoreError> {
        let sql = "UPDATE dead_letter SET replayed = ?2 WHERE id IN (SELECT value FROM rarray(?1))";
        self.write_alone(|db| {
            let ids = array(ids.iter().copied());
            let done = db.conn.execute(sql, params![ids, execution.0]);
            done.map(drop).map_err(|error| db.trouble("write", &error))
        })
    }
}

const SELECT_TYPE: &str = "SELECT id FROM shard_type WHERE name = ?1";
const SELECT_KIND: &str = "SELECT id FROM edge_kind WHERE name = ?1";
const SELECT_RULE: &str = "SELECT id FROM match_rule WHERE shard_type = ?1 AND rule = ?2";
const SELECT_ENTITY: &str =
    "SELECT id FROM entity WHERE connection = ?1 AND entity = ?2 AND shard_type = ?3";

fn entity_params(name: &EntityName) -> [&dyn ToSql; 3] {
    [&name.connection, &name.entity, &name.shard_type]
}

/// The row numbers, if every name has one.
fn known_ids(conn: &Connection, catalog: &Catalog) -> Result<Option<Ids>> {
    let find = |sql: &str, values: &[&dyn ToSql]| -> Result<Option<i64>> {
        conn.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()
    };
    let mut ids = Ids::default();
    for name in &catalog.shard_types {
        let Some(id) = find(SELECT_TYPE, &[name])? else { return Ok(None) };
        ids.shard_types.push(TypeId(id));
    }
    for name in &catalog.entities {
        let Some(id) = find(SELECT_ENTITY, &entity_params(name))? else { return Ok(None) };
        ids.entities.push(EntityId(id));
    }
    for name in &catalog.kinds {
        let Some(id) = find(SELECT_KIND, &[name])? else { return Ok(None) };
        ids.kinds.push(KindId(id));
    }
    for name in &catalog.rules {
        let Some(id) = find(SELECT_RULE, &[&name.shard_type, &name.rule])? else { return Ok(None) };
        ids.rules.push(RuleId(id));
    }
    Ok(Some(ids))
}

fn register_all(conn: &Connection, catalog: &Catalog) -> Result<Ids> {
    for name in &catalog.shard_types {
        conn.execute("INSERT OR IGNORE INTO shard_type (name) VALUES (?1)", [name])?;
    }
    let sql = "INSERT OR IGNORE INTO entity (connection, entity, shard_type) VALUES (?1, ?2, ?3)";
    for name in &catalog.entities {
        conn.execute(sql, &entity_params(name)[..])?;
    }
    for name in &catalog.kinds {
        conn.execute("INSERT OR IGNORE INTO edge_kind (name) VALUES (?1)", [name])?;
    }
    let sql = "INSERT OR IGNORE INTO match_rule (shard_type, rule) VALUES (?1, ?2)";
    for name in &catalog.rules {
        conn.execute(sql, params![name.shard_type, name.rule])?;
    }
    known_ids(conn, catalog)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

pub(super) fn catalog(conn: &Connection) -> Result<(Catalog, Ids)> {
    let (mut catalog, mut ids) = (Catalog::default(), Ids::default());
    let mut statement = conn.prepare_cached("SELECT id, name FROM shard_type ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        ids.shard_types.push(TypeId(row.get(0)?));
        catalog.shard_types.push(row.get(1)?);
    }
    let mut statement = conn.prepare_cached("SELECT id, name FROM edge_kind ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        ids.kinds.push(KindId(row.get(0)?));
        catalog.kinds.push(row.get(1)?);
    }
    let sql = "SELECT id, shard_type, rule FROM match_rule ORDER BY id";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        ids.rules.push(RuleId(row.get(0)?));
        catalog.rules.push(RuleName { shard_type: row.get(1)?, rule: row.get(2)? });
    }
    for (id, name) in entities(conn)? {
        ids.entities.push(id);
        catalog.entities.push(name);
    }
    Ok((catalog, ids))
}

/// Every entity, by row number.
pub(super) fn entities(conn: &Connection) -> Result<Vec<(EntityId, EntityName)>> {
    let sql = "SELECT id, connection, entity, shard_type FROM entity ORDER BY id";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        let name =
            EntityName { connection: row.get(1)?, entity: row.get(2)?, shard_type: row.get(3)? };
        Ok((EntityId(row.get(0)?), name))
    })?;
    rows.collect()
}

fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn unsettled(conn: &Connection, limit: usize) -> Result<Vec<LinkId>> {
    let sql = "SELECT link FROM unsettled ORDER BY id LIMIT ?1";
    let mut statement = conn.prepare_cached(sql)?;
    statement.query_map([at_most(limit)], |row| row.get(0).map(LinkId))?.collect()
}

pub(super) fn live_links(conn: &Connection, entity: EntityId) -> Result<u64> {
    // Both counts are taken from indexes alone, without a look at the rows.
    let sql = "SELECT (SELECT count(*) FROM link INDEXED BY link_record WHERE entity = ?1)
               - (SELECT count(*) FROM link WHERE entity = ?1 AND deleted)";
    let count: i64 = conn.prepare_cached(sql)?.query_row([entity.0], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// Links by row number: all, or the live ones of an entity.
pub(super) fn links(
    conn: &Connection,
    entity: Option<EntityId>,
    after: LinkId,
    limit: usize,
) -> Result<Vec<LinkRow>> {
    // The plus signs keep SQLite from walking an index of all of the entity's links for every page.
    let narrow =
        if entity.is_some() { "AND +l.entity = ?3 AND NOT l.deleted" } else { "AND ?3 IS NULL" };
    let sql = format!(
        "SELECT {LINK_COLUMNS} FROM link l {LINK_STAMP}
         WHERE l.id > ?1 {narrow} ORDER BY l.id LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let values = params![after.0, at_most(limit), entity.map(|entity| entity.0)];
    statement.query_map(values, rows::link)?.collect()
}

pub(super) fn shards(conn: &Connection, filter: &ShardFilter) -> Result<Vec<ShardRow>> {
    let sql = format!(
        "SELECT {SHARD_COLUMNS} FROM shard_whole s
         WHERE s.id > ?1 AND (?2 IS NULL OR s.type = ?2) AND s.merged_into IS NULL
           AND (?3 OR s.deleted_at IS NULL)
         ORDER BY s.id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let shard_type = filter.shard_type.map(|id| id.0);
    let mut found = statement.query(params![filter.after.0, shard_type, filter.with_deleted])?;
    let mut out = Vec::new();
    while out.len() < filter.limit {
        let Some(row) = found.next()? else { break };
        if filter.holds_for(row.get_ref(3)?.as_str()?) {
            out.push(rows::shard(row)?);
        }
    }
    Ok(out)
}

pub(super) fn shards_by_id(conn: &Connection, prefix: &str) -> Result<Vec<ShardRow>> {
    let Some((first, last)) = id_range(prefix) else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT {SHARD_COLUMNS} FROM shard_whole s WHERE s.uuid BETWEEN ?1 AND ?2
         ORDER BY s.uuid LIMIT 2"
    );
    let range = params![&first.to_be_bytes()[..], &last.to_be_bytes()[..]];
    conn.prepare_cached(&sql)?.query_map(range, rows::shard)?.collect()
}

pub(super) fn links_of(conn: &Connection, shards: &[ShardId]) -> Result<Vec<LinkRow>> {
    // Written so that without the index on `shard` the links are read once, not once for each shard.
    let sql = format!(
        "SELECT {LINK_COLUMNS} FROM link l {LINK_STAMP}
         WHERE l.shard IN (SELECT value FROM rarray(?1))
         ORDER BY l.id"
    );
    let ids = array(shards.iter().map(|shard| shard.0));
    conn.prepare_cached(&sql)?.query_map([ids], rows::link)?.collect()
}

pub(super) fn review_edges(
    conn: &Connection,
    after: (LinkId, LinkId),
    limit: usize,
) -> Result<Vec<MatchEdge>> {
    let sql = "SELECT a, b, score, rule, zone FROM match_edge INDEXED BY match_edge_review
               WHERE zone = 0 AND a < b AND (a, b) > (?1, ?2) ORDER BY a, b LIMIT ?3";
    let values = params![after.0.0, after.1.0, at_most(limit)];
    conn.prepare_cached(sql)?.query_map(values, rows::match_edge)?.collect()
}

pub(super) fn history(conn: &Connection, shard: ShardId) -> Result<Vec<History>> {
    let sql = "SELECT execution, version, before FROM change
               WHERE subject = ?1 AND kind = 0 ORDER BY id DESC";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([shard.0], |row| {
        Ok(History {
            execution: ExecutionId(row.get(0)?),
            version: row.get(1)?,
            before: row.get_ref(2)?.as_str()?.into(),
        })
    })?;
    rows.collect()
}

pub(super) fn dead_letters(
    conn: &Connection,
    filter: &DeadLetterFilter,
) -> Result<Vec<DeadLetterRow>> {
    let sql = "SELECT id, execution, task, source, line, external_id, phase, problem, payload,
                 replayed
               FROM dead_letter
               WHERE (?1 IS NULL OR task = ?1) AND (?2 IS NULL OR execution = ?2)
                 AND (?3 OR replayed IS NULL)
                 AND (?4 OR id IN (SELECT value FROM rarray(?5)))
               ORDER BY id LIMIT ?6";
    let ids = array(filter.ids.iter().copied());
    let execution = filter.execution.map(|id| id.0);
    let limit = at_most(filter.limit);
    let values =
        params![filter.task, execution, filter.with_replayed, filter.ids.is_empty(), ids, limit];
    conn.prepare_cached(sql)?.query_map(values, dead_letter)?.collect()
}

fn dead_letter(row: &Row<'_>) -> Result<DeadLetterRow> {
    let letter = DeadLetter {
        task: row.get(2)?,
        source: row.get(3)?,
        line: row.get::<_, i64>(4)?.cast_unsigned(),
        external_id: row.get(5)?,
        phase: row.get(6)?,
        problem: row.get(7)?,
        payload: row.get(8)?,
    };
    Ok(DeadLetterRow {
        id: row.get(0)?,
        execution: ExecutionId(row.get(1)?),
        letter,
        replayed: row.get::<_, Option<i64>>(9)?.map(ExecutionId),
    })
}
