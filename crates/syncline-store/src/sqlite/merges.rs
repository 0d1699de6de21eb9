//! Merges, and what people decided: written and read.

use super::key_log::KeyLog;
use super::read::array;
use super::rows;
use crate::query::MergeRow;
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, params};
use syncline_core::plan::rows::{Decision, ExecutionId, LinkId, ShardId, TypeId, Verdict};
use syncline_core::plan::writes::Merge;

pub(super) fn insert_merges(
    conn: &Connection,
    merges: &[Merge],
    execution: ExecutionId,
) -> Result<()> {
    if merges.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO merge_log (survivor, loser, a, b, score, rule, execution, waterfall,
                 decided_by, records) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let mut insert = conn.prepare_cached(sql)?;
    let sql = "INSERT OR REPLACE INTO merge_record (link, shard, merge) VALUES (?1, ?2, ?3)";
    let mut insert_record = conn.prepare_cached(sql)?;
    for merge in merges {
        let evidence = merge.evidence;
        let records: Vec<(i64, i64)> = merge.records.iter().map(|(l, s)| (l.0, s.0)).collect();
        let json = serde_json::to_string(&records)
            .map_err(|error| Error::ToSqlConversionFailure(error.into()))?;
        insert.execute(params![
            merge.survivor.0,
            merge.loser.0,
            evidence.map(|edge| edge.a.0),
            evidence.map(|edge| edge.b.0),
            evidence.map(|edge| edge.score),
            evidence.map(|edge| edge.rule.0),
            execution.0,
            merge.waterfall,
            merge.by,
            json,
        ])?;
        let id = conn.last_insert_rowid();
        for (link, shard) in records {
            insert_record.execute(params![link, shard, id])?;
        }
    }
    Ok(())
}

/// Merges in which one of `shards` took part, newest first.
pub(super) fn merges(conn: &Connection, shards: &[ShardId]) -> Result<Vec<MergeRow>> {
    let sql =
        "SELECT a, b, score, rule, 1, survivor, loser, execution, waterfall, decided_by, records
               FROM merge_log
               WHERE survivor IN (SELECT value FROM rarray(?1))
                  OR loser IN (SELECT value FROM rarray(?1))
               ORDER BY id DESC";
    let ids = array(shards.iter().map(|shard| shard.0));
    conn.prepare_cached(sql)?.query_map([ids], merge)?.collect()
}

fn merge(row: &Row<'_>) -> Result<MergeRow> {
    let has_evidence = row.get::<_, Option<i64>>(0)?.is_some();
    let records: Vec<(i64, i64)> = match row.get_ref(10)?.as_str_or_null()? {
        Some(json) => serde_json::from_str(json)
            .map_err(|error| Error::FromSqlConversionFailure(10, Type::Text, error.into()))?,
        None => Vec::new(),
    };
    Ok(MergeRow {
        survivor: ShardId(row.get(5)?),
        loser: ShardId(row.get(6)?),
        evidence: has_evidence.then(|| rows::match_edge(row)).transpose()?,
        execution: ExecutionId(row.get(7)?),
        waterfall: row.get(8)?,
        by: row.get(9)?,
        records: records.into_iter().map(|(l, s)| (LinkId(l), ShardId(s))).collect(),
    })
}

pub(super) fn write_decisions(
    conn: &Connection,
    set: &[Decision],
    removed: &[(LinkId, LinkId)],
) -> Result<()> {
    if set.is_empty() && removed.is_empty() {
        return Ok(());
    }
    let mut remove = conn.prepare_cached("DELETE FROM decision WHERE a = ?1 AND b = ?2")?;
    for (a, b) in removed {
        remove.execute([a.0, b.0])?;
        remove.execute([b.0, a.0])?;
    }
    let sql = "UPDATE decision SET verdict = ?3, decided_by = ?4, at = ?5, why = ?6
               WHERE a = ?1 AND b = ?2";
    let mut update = conn.prepare_cached(sql)?;
    // Not `OR REPLACE`: that may change more than one row, and so journals every page that it touches.
    let sql = "INSERT OR FAIL INTO decision (a, b, verdict, decided_by, at, why)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut insert = conn.prepare_cached(sql)?;
    for decision in set {
        let (is_same, by) = (decision.verdict == Verdict::Same, &decision.by);
        for (a, b) in [(decision.a, decision.b), (decision.b, decision.a)] {
            let values = params![a.0, b.0, is_same, by, decision.at, decision.why];
            if update.execute(values)? == 0 {
                insert.execute(values)?;
            }
        }
    }
    Ok(())
}

const DECISION: &str = "min(d.a, d.b), max(d.a, d.b), d.verdict, d.decided_by, d.at, d.why";

/// What was decided about each of `links`; a decision about two of them comes twice.
pub(super) fn decisions_of(conn: &Connection, links: &[LinkId]) -> Result<Vec<Decision>> {
    // Most stores hold none.
    let any = "SELECT EXISTS (SELECT 1 FROM decision)";
    if !conn.prepare_cached(any)?.query_row([], |row| row.get::<_, bool>(0))? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT {DECISION} FROM rarray(?1) r CROSS JOIN decision d ON d.a = r.value");
    let ids = array(links.iter().map(|link| link.0));
    let found = conn.prepare_cached(&sql)?.query_map([ids], decision)?.collect::<Result<Vec<_>>>();
    found.map(sorted)
}

/// Every decision, by pair.
pub(super) fn decisions(conn: &Connection) -> Result<Vec<Decision>> {
    let sql = format!("SELECT {DECISION} FROM decision d WHERE d.a < d.b");
    let found = conn.prepare_cached(&sql)?.query_map([], decision)?.collect::<Result<Vec<_>>>();
    found.map(sorted)
}

fn sorted(mut decisions: Vec<Decision>) -> Vec<Decision> {
    decisions.sort_by_key(|decision| (decision.a, decision.b));
    decisions
}

fn decision(row: &Row<'_>) -> Result<Decision> {
    Ok(Decision {
        a: LinkId(row.get(0)?),
        b: LinkId(row.get(1)?),
        verdict: if row.get(2)? { Verdict::Same } else { Verdict::Apart },
        by: row.get(3)?,
        at: row.get(4)?,
        why: row.get(5)?,
    })
}

/// The shards that links were in when shards were merged: by link, oldest merge first.
pub(super) fn histories(conn: &Connection, links: &[LinkId]) -> Result<Vec<(LinkId, ShardId)>> {
    let sql =
        "SELECT m.link, m.shard FROM rarray(?1) r CROSS JOIN merge_record m ON m.link = r.value
               ORDER BY m.link, m.merge, m.shard";
    let ids = array(links.iter().map(|link| link.0));
    let mut statement = conn.prepare_cached(sql)?;
    statement.query_map([ids], |row| Ok((LinkId(row.get(0)?), ShardId(row.get(1)?))))?.collect()
}

/// The links of shards: by shard, then link.
pub(super) fn siblings(conn: &Connection, shards: &[ShardId]) -> Result<Vec<(ShardId, LinkId)>> {
    let sql = "SELECT l.shard, l.id FROM link l WHERE l.shard IN (SELECT value FROM rarray(?1))
               ORDER BY l.shard, l.id";
    let ids = array(shards.iter().map(|shard| shard.0));
    let mut statement = conn.prepare_cached(sql)?;
    statement.query_map([ids], |row| Ok((ShardId(row.get(0)?), LinkId(row.get(1)?))))?.collect()
}

pub(super) fn write_matched(conn: &Connection, matched: &[(TypeId, String)]) -> Result<()> {
    for (shard_type, state) in matched {
        conn.prepare_cached("INSERT OR REPLACE INTO matched (type, state) VALUES (?1, ?2)")?
            .execute(params![shard_type.0, state])?;
    }
    Ok(())
}

pub(super) fn matched(conn: &Connection, shard_type: TypeId) -> Result<Option<String>> {
    let sql = "SELECT state FROM matched WHERE type = ?1";
    conn.prepare_cached(sql)?.query_row([shard_type.0], |row| row.get(0)).optional()
}

/// All match keys of links.
pub(super) fn keys_of(conn: &Connection, links: &[LinkId]) -> Result<Vec<(LinkId, u64)>> {
    // Written so that without an index on `link` the keys are read once, not once for each link.
    let sql =
        "SELECT m.link, m.key FROM match_key m WHERE m.link IN (SELECT value FROM rarray(?1))";
    let ids = array(links.iter().map(|link| link.0));
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement
        .query_map([ids], |row| Ok((LinkId(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned())))?;
    let mut keys = rows.collect::<Result<Vec<_>>>()?;
    let log = KeyLog::of_links(conn, links)?;
    keys.retain(|&(link, key)| !log.has_lost(key, link));
    keys.extend(log.pairs().map(|(key, link)| (link, key)));
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}
