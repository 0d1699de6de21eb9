//! What a plan writes.

use super::db::{Db, Rows, Standing};
use super::insert::{Columns, Insert};
use super::key_log;
use super::merges::{insert_merges, write_decisions, write_matched};
use super::outbox;
use super::rows;
use crate::{Committed, StoreError};
use rusqlite::{Connection, Result, Row, params};
use std::sync::LazyLock;
use syncline_core::matching::Zone;
use syncline_core::plan::rows::{
    EdgeTarget, EntityId, ExecutionId, KindId, LinkId, LinkRow, MatchEdge, ShardRow,
};
use syncline_core::plan::writes::{Change, DeadLetter, Plan, Renamed, Subject};

impl Db {
    /// Puts `plan` into the group.
    pub(super) fn commit(
        &mut self,
        mut plan: Box<Plan>,
    ) -> std::result::Result<Committed, StoreError> {
        self.check_standing(plan.execution)?;
        let must_last = plan.must_last();
        if must_last {
            self.begin_lasting()?;
        }
        self.open_group()?;
        self.check_standing(plan.execution)?;
        if !plan.fits(self.epoch) {
            return Err(StoreError::Stale);
        }
        if !plan.changes_nothing() {
            if let Err(error) = apply(&self.conn, &plan) {
                self.note_commit(plan.execution, None, Rows::default());
                return Err(self.lose_group(&error));
            }
            self.epoch += 1;
            if let Some(memory) = &mut self.memory {
                memory.note(&plan);
            }
        }
        let written = Rows {
            new: plan.shards_new.len() + plan.links_new.len(),
            changed: plan.shards_changed.len() + plan.links_changed.len(),
        };
        self.note_commit(plan.execution, plan.checkpoint.take(), written);
        self.move_keys_if_many()?;
        if must_last {
            self.end_lasting()?;
        }
        self.settle_if_old()?;
        let cancel_requested = self.running.get(&plan.execution).is_some_and(|r| r.cancel);
        Ok(Committed { cancel_requested, epoch: self.epoch })
    }

    fn check_standing(&self, execution: ExecutionId) -> std::result::Result<(), StoreError> {
        match self.running.get(&execution).map(|running| &running.standing) {
            Some(Standing::Good) => Ok(()),
            Some(Standing::Broken(problem)) => Err(self.broken(problem)),
            Some(Standing::Fenced) | None => Err(StoreError::Fenced),
        }
    }
}

fn apply(conn: &Connection, plan: &Plan) -> Result<()> {
    insert_shards(conn, &plan.shards_new, plan.execution)?;
    update_shards(conn, &plan.shards_changed, plan.execution)?;
    rename_links(conn, &plan.links_renamed)?;
    insert_links(conn, &plan.links_new)?;
    update_links(conn, &plan.links_changed)?;
    update_stamps(conn, &plan.links_restamped)?;
    key_log::append(conn, &plan.keys_removed, &plan.keys_added)?;
    write_match_edges(conn, plan)?;
    write_edges(conn, plan)?;
    insert_merges(conn, &plan.merges, plan.execution)?;
    write_decisions(conn, &plan.decisions_set, &plan.decisions_removed)?;
    write_matched(conn, &plan.matched)?;
    insert_changes(conn, &plan.changes, plan.execution)?;
    insert_dead_letters(conn, &plan.dead_letters, plan.execution)?;
    remove_settled(conn, &plan.settled)?;
    insert_unsettled(conn, &plan.unsettled)?;
    outbox::write(conn, plan)
}

fn insert_shards(conn: &Connection, rows: &[ShardRow], execution: ExecutionId) -> Result<()> {
    static INSERT: LazyLock<Insert> = LazyLock::new(|| {
        let columns = "id, type, uuid, version, created, changed, deleted_at, merged_into, said_by, \
                       data";
        Insert::new(&format!("INSERT OR FAIL INTO shard ({columns})"), 10)
    });
    INSERT.run(conn, rows, |row, columns| {
        columns.put(row.id.0)?.put(row.shard_type.0)?.put(&row.uuid.to_be_bytes()[..])?;
        columns.put(row.version)?.put(row.created.0)?.put(execution.0)?;
        columns.put(row.deleted_at)?.put(row.merged_into.map(|id| id.0))?;
        columns.put(row.said_by.map(|id| id.0))?.put(own_data(row))?;
        Ok(())
    })
}

/// The data of a shard where no link says the same.
fn own_data(row: &ShardRow) -> &str {
    if row.said_by.is_some() { "" } else { &row.data }
}

/// What an index holds is written only where it changed: SQLite would take it out of the index and put it back.
fn update_shards(conn: &Connection, rows: &[ShardRow], execution: ExecutionId) -> Result<()> {
    let sql = "UPDATE shard SET version = ?2, changed = ?3, said_by = ?4, data = ?5 WHERE id = ?1";
    let mut update = conn.prepare_cached(sql)?;
    let sql = "UPDATE shard SET type = ?2, deleted_at = ?3, merged_into = ?4 WHERE id = ?1
               AND (type, deleted_at, merged_into) IS NOT (?2, ?3, ?4)";
    let mut update_indexed = conn.prepare_cached(sql)?;
    for row in rows {
        let said_by = row.said_by.map(|id| id.0);
        update.execute(params![row.id.0, row.version, execution.0, said_by, own_data(row)])?;
        let merged_into = row.merged_into.map(|id| id.0);
        update_indexed.execute(params![row.id.0, row.shard_type.0, row.deleted_at, merged_into])?;
    }
    Ok(())
}

fn rename_links(conn: &Connection, renamed: &[Renamed]) -> Result<()> {
    renamed.iter().try_for_each(|Renamed { link, name, .. }| {
        conn.prepare_cached("UPDATE link SET external_id = ?2 WHERE id = ?1")?
            .execute(params![link.0, name.as_str()])?;
        Ok(())
    })
}

fn insert_links(conn: &Connection, rows: &[LinkRow]) -> Result<()> {
    static INSERT: LazyLock<Insert> = LazyLock::new(|| {
        let columns = "id, entity, external_id, shard, hash, modified, observed, execution, \
                       contributor, deleted, image";
        Insert::new(&format!("INSERT OR FAIL INTO link ({columns})"), 11)
    });
    INSERT.run(conn, rows, |row, columns| {
        columns.put(row.id.0)?.put(row.entity.0)?.put(row.external_id.as_str())?;
        columns.put(row.shard.0)?.put(&row.hash.to_be_bytes()[..])?.put(row.modified)?;
        columns.put(row.observed)?.put(row.execution.0)?.put(row.contributor.as_deref())?;
        columns.put(row.deleted)?.put(&*row.image)?;
        Ok(())
    })
}

fn update_links(conn: &Connection, rows: &[LinkRow]) -> Result<()> {
    let sql = "UPDATE link SET hash = ?2, modified = ?3, observed = ?4, execution = ?5,
               contributor = ?6, image = ?7 WHERE id = ?1";
    let mut update = conn.prepare_cached(sql)?;
    let sql = "UPDATE link SET shard = ?2, deleted = ?3 WHERE id = ?1
               AND (shard, deleted) IS NOT (?2, ?3)";
    let mut update_indexed = conn.prepare_cached(sql)?;
    let mut remove_stamp = conn.prepare_cached("DELETE FROM stamp WHERE link = ?1")?;
    for row in rows {
        update.execute(params![
            row.id.0,
            &row.hash.to_be_bytes()[..],
            row.modified,
            row.observed,
            row.execution.0,
            row.contributor.as_deref(),
            row.image,
        ])?;
        update_indexed.execute(params![row.id.0, row.shard.0, row.deleted])?;
        remove_stamp.execute([row.id.0])?;
    }
    Ok(())
}

fn update_stamps(conn: &Connection, rows: &[LinkRow]) -> Result<()> {
    let columns = "modified = ?2, observed = ?3, execution = ?4";
    let sql = format!("UPDATE stamp SET {columns}, contributor = ?5 WHERE link = ?1");
    let mut update = conn.prepare_cached(&sql)?;
    let mut insert =
        conn.prepare_cached("INSERT OR FAIL INTO stamp VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let sql = "UPDATE link SET contributor = ?2 WHERE id = ?1 AND contributor IS NULL";
    let mut share = conn.prepare_cached(sql)?;
    let sql = format!("UPDATE link SET {columns}, contributor = NULL WHERE id = ?1");
    let mut update_own = conn.prepare_cached(&sql)?;
    let mut remove = conn.prepare_cached("DELETE FROM stamp WHERE link = ?1")?;
    for row in rows {
        let (id, execution) = (row.id.0, row.execution.0);
        let Some(contributor) = row.contributor.as_deref() else {
            update_own.execute(params![id, row.modified, row.observed, execution])?;
            remove.execute([id])?;
            continue;
        };
        let values = params![id, row.modified, row.observed, execution, contributor];
        if update.execute(values)? == 0 {
            insert.execute(values)?;
            share.execute(params![id, contributor])?;
        }
    }
    Ok(())
}

/// Removes keys, in the order of the table.
pub(super) fn remove_keys(conn: &Connection, keys: &[(u64, LinkId)]) -> Result<()> {
    let pairs = keys.iter().map(|&(key, link)| (key.cast_signed(), link.0));
    remove_pairs(conn, "DELETE FROM match_key WHERE key = ?1 AND link = ?2", pairs)
}

/// Inserts keys, in the order of the table.
pub(super) fn insert_keys(conn: &Connection, keys: &[(u64, LinkId)]) -> Result<()> {
    static INSERT: LazyLock<Insert> =
        LazyLock::new(|| Insert::new("INSERT OR IGNORE INTO match_key", 2));
    INSERT.run(conn, keys, |&(key, link), columns| {
        columns.put(key.cast_signed())?.put(link.0)?;
        Ok(())
    })
}

fn remove_pairs(
    conn: &Connection,
    sql: &str,
    pairs: impl IntoIterator<Item = (i64, i64)>,
) -> Result<()> {
    let mut remove = conn.prepare_cached(sql)?;
    for pair in pairs {
        remove.execute(pair)?;
    }
    Ok(())
}

fn write_match_edges(conn: &Connection, plan: &Plan) -> Result<()> {
    // Not `OR REPLACE`: that may change more than one row, and so journals every page that it touches.
    static INSERT: LazyLock<Insert> =
        LazyLock::new(|| Insert::new("INSERT OR IGNORE INTO match_edge", 5));
    let removed = &plan.match_edges_removed;
    let pairs = || removed.iter().map(|(a, b)| (a.0.min(b.0), a.0.max(b.0)));
    let first_new = plan.links_new.first().map_or(i64::MAX, |link| link.id.0);
    let set = plan.match_edges_set.iter().map(|edge| (edge.a.0, edge.b.0));
    let set_anew = set.filter(|(a, b)| *a.max(b) < first_new);
    let remove = "DELETE FROM match_edge WHERE a = ?1 AND b = ?2";
    remove_pairs(conn, remove, pairs().chain(set_anew).flat_map(|(a, b)| [(a, b), (b, a)]))?;
    let mut rows: Vec<(i64, i64, &MatchEdge)> = plan
        .match_edges_set
        .iter()
        .flat_map(|edge| [(edge.a.0, edge.b.0, edge), (edge.b.0, edge.a.0, edge)])
        .collect();
    rows.sort_by_key(|&(a, b, _)| (a, b));
    INSERT.run(conn, &rows, |&(a, b, edge), columns| {
        let is_match = edge.zone == Zone::Match;
        columns.put(a)?.put(b)?.put(edge.score)?.put(edge.rule.0)?.put(is_match)?;
        Ok(())
    })
}

/// Most records that change go on pointing where they did: their edges are left as they are.
fn write_edges(conn: &Connection, plan: &Plan) -> Result<()> {
    static INSERT: LazyLock<Insert> =
        LazyLock::new(|| Insert::new("INSERT OR IGNORE INTO edge", 4));
    let first_new = plan.links_new.first().map_or(i64::MAX, |link| link.id.0);
    let mut stored =
        conn.prepare_cached("SELECT kind, entity, target FROM edge WHERE link = ?1")?;
    let mut remove = conn.prepare_cached("DELETE FROM edge WHERE link = ?1")?;
    let mut rows: Vec<(LinkId, &EdgeTarget)> = Vec::with_capacity(plan.edges.len());
    for (link, targets) in &plan.edges {
        if link.0 < first_new {
            let before = stored.query_map([link.0], edge_target)?.collect::<Result<Vec<_>>>()?;
            let is_same = before.len() <= targets.len()
                && targets.iter().all(|edge| before.contains(edge))
                && before.iter().all(|edge| targets.contains(edge));
            if is_same {
                continue;
            }
            remove.execute([link.0])?;
        }
        rows.extend(targets.iter().map(|target| (*link, target)));
    }
    rows.sort_unstable();
    INSERT.run(conn, &rows, |(link, edge), columns| {
        columns.put(link.0)?.put(edge.kind.0)?.put(edge.entity.0)?.put(edge.target.as_str())?;
        Ok(())
    })
}

fn edge_target(row: &Row<'_>) -> Result<EdgeTarget> {
    let (kind, entity) = (KindId(row.get(0)?), EntityId(row.get(1)?));
    Ok(EdgeTarget { kind, entity, target: rows::text(row, 2)? })
}

fn insert_changes(conn: &Connection, changes: &[Change], execution: ExecutionId) -> Result<()> {
    static INSERT: LazyLock<Insert> = LazyLock::new(|| {
        let columns = "execution, kind, subject, version, before";
        Insert::new(&format!("INSERT OR FAIL INTO change ({columns})"), 5)
    });
    INSERT.run(conn, changes, |change, columns| {
        let (kind, subject) = match change.subject {
            Subject::Shard(shard) => (0, shard.0),
            Subject::Link(link) => (1, link.0),
        };
        columns.put(execution.0)?.put(kind)?.put(subject)?;
        columns.put(change.version)?.put(&*change.before)?;
        Ok(())
    })
}

fn insert_dead_letters(
    conn: &Connection,
    letters: &[DeadLetter],
    execution: ExecutionId,
) -> Result<()> {
    static INSERT: LazyLock<Insert> = LazyLock::new(|| {
        let columns = "execution, task, source, line, external_id, phase, problem, payload";
        Insert::new(&format!("INSERT OR FAIL INTO dead_letter ({columns})"), 8)
    });
    INSERT.run(conn, letters, |letter, columns| {
        columns.put(execution.0)?;
        bind_letter(letter, columns)
    })
}

fn bind_letter(letter: &DeadLetter, columns: &mut Columns<'_, '_>) -> Result<()> {
    columns.put(&letter.task)?.put(&letter.source)?.put(letter.line.cast_signed())?;
    columns.put(&letter.external_id)?.put(&letter.phase)?;
    columns.put(&letter.problem)?.put(&letter.payload)?;
    Ok(())
}

fn remove_settled(conn: &Connection, links: &[LinkId]) -> Result<()> {
    let mut remove = conn.prepare_cached("DELETE FROM unsettled WHERE link = ?1")?;
    for link in links {
        remove.execute([link.0])?;
    }
    Ok(())
}

fn insert_unsettled(conn: &Connection, links: &[LinkId]) -> Result<()> {
    static INSERT: LazyLock<Insert> =
        LazyLock::new(|| Insert::new("INSERT OR IGNORE INTO unsettled (link)", 1));
    INSERT.run(conn, links, |link, columns| {
        columns.put(link.0)?;
        Ok(())
    })
}
