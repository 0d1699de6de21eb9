//! Opening a database: whose it is, which version it has, and bringing it up to date.

use super::trouble::trouble;
use super::{Options, db};
use crate::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use std::path::Path;

/// What a file of ours says of itself in its header: `Sync` in ASCII.
const APPLICATION_ID: i64 = 0x5379_6e63;

/// Of a database that is made; one that is there keeps its own. A page of 4 KiB costs a tenth more CPU at a
/// million records: half as many pages are looked up, written to the log and copied from it.
const PAGE_BYTES: i64 = 8192;

/// Of a database, the part that is read at random: the shards, the match keys and the match edges.
const CACHE_PART: i64 = 6;

/// The page cache while late indexes are made, in KiB: no more entries are sorted at a time than this holds.
/// Pieces that fit the processor's cache are sorted, and then merged, in half the time of all at once.
const SORT_KIB: i64 = 1024;

/// Each takes a database from the version that is its index to the next.
const MIGRATIONS: &[&str] = &[
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
    include_str!("0007.sql"),
];

/// The indexes that nothing needs while an empty database is filled: made when first needed, and at the
/// latest when an execution ends, which is cheaper than keeping them up during a first load.
pub(super) const LATE_INDEXES: &[(&str, &str)] = &[
    ("link_shard", "link (shard)"),
    ("edge_target", "edge (entity, target)"),
    ("shard_uuid", "shard (uuid)"),
    ("change_subject", "change (subject, kind)"),
    ("merge_log_survivor", "merge_log (survivor)"),
    ("merge_log_loser", "merge_log (loser)"),
];

/// An index that is there only while records are matched anew: every insertion of a key would pay for it.
pub(super) const KEYS_BY_LINK: &str =
    "CREATE INDEX IF NOT EXISTS match_key_link ON match_key (link)";
/// Takes it away again.
pub(super) const NO_KEYS_BY_LINK: &str = "DROP INDEX IF EXISTS match_key_link";

/// A connection to the database at `path`, which is of this version and this tenant.
pub(super) fn open(path: &Path, options: &Options) -> Result<Connection, StoreError> {
    let name = path.display().to_string();
    let open_trouble = |error: rusqlite::Error| trouble(&name, "open", &error);
    let mut conn = connect(path, options).map_err(open_trouble)?;
    check_ownership(&conn, &name, options.read_only)?;
    if !options.read_only {
        set_up(&conn, options).map_err(open_trouble)?;
        migrate(&mut conn, options).map_err(open_trouble)?;
    }
    check_tenant(&conn, options, &name)?;
    Ok(conn)
}

fn set_cache(conn: &Connection, kib: i64) -> rusqlite::Result<()> {
    conn.pragma_update(None, "cache_size", -kib)
}

/// Gives the page cache the size that fits the database as it is now, and says how many pages that are.
pub(super) fn fit_cache(conn: &Connection, options: &Options) -> rusqlite::Result<usize> {
    let number = |sql| conn.prepare_cached(sql)?.query_row([], |row| row.get(0));
    let (pages, page_bytes): (i64, i64) =
        (number("PRAGMA page_count")?, number("PRAGMA page_size")?);
    let (least, most) = options.cache_kib.clone().into_inner();
    let kib = (pages * page_bytes / 1024 / CACHE_PART).clamp(least.into(), most.max(least).into());
    set_cache(conn, kib)?;
    Ok(usize::try_from(kib * 1024 / page_bytes).unwrap_or(0))
}

/// Makes the late indexes that are not there yet; nothing may be uncommitted.
pub(super) fn make_late_indexes(conn: &Connection, options: &Options) -> rusqlite::Result<()> {
    set_cache(conn, SORT_KIB)?;
    let made = LATE_INDEXES.iter().try_for_each(|(name, _)| make_late_index(conn, name));
    fit_cache(conn, options)?;
    made
}

/// Makes the late index `wanted`, if it is not there yet.
pub(super) fn make_late_index(conn: &Connection, wanted: &str) -> rusqlite::Result<()> {
    let mut is_there = conn.prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = ?1")?;
    match LATE_INDEXES.iter().find(|(name, _)| *name == wanted) {
        Some((name, on)) if !is_there.exists([name])? => {
            conn.execute_batch(&format!("CREATE INDEX {name} ON {on}"))
        }
        _ => Ok(()),
    }
}

fn connect(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let access = if options.read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    };
    let mut conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db::wait_when_busy(&mut conn, options.busy_ms)?;
    conn.set_prepared_statement_cache_capacity(128);
    // Otherwise a statement is planned anew whenever another value is bound that an index might depend on.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    rusqlite::vtab::array::load_module(&conn)?;
    Ok(conn)
}

/// Refuses a database that is not ours, or that we are too old for, before anything in it is touched.
fn check_ownership(conn: &Connection, path: &str, is_to_read: bool) -> Result<(), StoreError> {
    let header = || -> rusqlite::Result<(i64, i64, i64)> {
        let number = |sql| conn.query_row(sql, [], |row| row.get(0));
        Ok((
            number("PRAGMA application_id")?,
            number("PRAGMA user_version")?,
            number("SELECT count(*) FROM sqlite_schema")?,
        ))
    };
    let (application, found, tables) = header().map_err(|error| trouble(path, "open", &error))?;
    let known = MIGRATIONS.len() as i64;
    let path = path.to_owned();
    let is_blank = application == 0 && found == 0 && tables == 0;
    if application != APPLICATION_ID && !is_blank {
        let problem = "it is a database of another program".to_owned();
        return Err(StoreError::Damaged { path, problem });
    }
    if found > known {
        return Err(StoreError::Newer { path, found, known });
    }
    if is_to_read && is_blank {
        return Err(StoreError::Blank { path });
    }
    if conn.is_readonly("main").unwrap_or(false) && found < known {
        let problem = format!("it has schema version {found}; a run brings it to {known}");
        return Err(StoreError::Unusable { path, doing: "read", problem, transient: false });
    }
    Ok(())
}

fn set_up(conn: &Connection, options: &Options) -> rusqlite::Result<()> {
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.query_row(&format!("PRAGMA wal_autocheckpoint = {}", options.wal_pages), [], |_| Ok(()))?;
    // The log is written over in place: giving it back to the disk at every checkpoint and growing it again costs
    // more than the writing. What a larger transaction leaves of it is given back.
    let log_bytes = i64::from(options.wal_pages) * PAGE_BYTES * 5 / 4;
    conn.query_row(&format!("PRAGMA journal_size_limit = {log_bytes}"), [], |_| Ok(()))?;
    if let Some(pages) = options.pages_max {
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(())
}

fn migrate(conn: &mut Connection, options: &Options) -> rusqlite::Result<()> {
    let version = |conn: &Connection| -> rusqlite::Result<u32> {
        conn.query_row("PRAGMA user_version", [], |row| row.get(0))
    };
    if version(conn)? as usize == MIGRATIONS.len() {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    // Another process may have been quicker.
    let found = version(&tx)?;
    for migration in MIGRATIONS.iter().skip(found as usize) {
        tx.execute_batch(migration)?;
    }
    if !options.tenant.is_empty() {
        tx.execute("INSERT OR IGNORE INTO meta VALUES ('tenant', ?1)", [&options.tenant])?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    tx.commit()
}

fn check_tenant(conn: &Connection, options: &Options, path: &str) -> Result<(), StoreError> {
    let tenant: Option<String> = conn
        .query_row("SELECT value FROM meta WHERE name = 'tenant'", [], |row| row.get(0))
        .optional()
        .map_err(|error| trouble(path, "open", &error))?;
    let is_any = options.tenant.is_empty() && tenant.is_some();
    if is_any || tenant.as_deref() == Some(options.tenant.as_str()) {
        return Ok(());
    }
    let problem = match tenant {
        Some(tenant) => format!("it belongs to tenant `{tenant}`, not to `{}`", options.tenant),
        None => "it names no tenant".to_owned(),
    };
    Err(StoreError::Unusable { path: path.to_owned(), doing: "open", problem, transient: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_may_touch_more_pages_than_are_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { cache_kib: 256..=256, ..Options::default() };
        let conn = open(&folder.path().join("s.db"), &options).unwrap();
        assert_eq!(fit_cache(&conn, &options).unwrap(), 32);
        conn.execute_batch(
            "CREATE TABLE big (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
             WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 9000)
             INSERT INTO big SELECT id, printf('%0999d', id) FROM n;
             BEGIN;
             UPDATE big SET text = text || '.';
             CREATE INDEX big_text ON big (text);
             COMMIT;",
        )
        .unwrap();
        let changed = "SELECT count(*) FROM big WHERE text LIKE '%.'";
        assert_eq!(conn.query_row(changed, [], |row| row.get::<_, i64>(0)).unwrap(), 9000);
    }

    #[test]
    fn the_page_cache_grows_with_the_database() {
        let conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "page_size", PAGE_BYTES).unwrap();
        conn.execute_batch("CREATE TABLE big (bytes BLOB)").unwrap();
        let options = Options { cache_kib: 64..=160, ..Options::default() };
        // The pages of the cache, while the database has grown by so many KiB.
        for (kib, pages) in [(0, 8..=8), (600, 12..=14), (600, 20..=20)] {
            conn.execute("INSERT INTO big VALUES (zeroblob(1024 * ?1))", [kib]).unwrap();
            let fitted = fit_cache(&conn, &options).unwrap();
            assert!(pages.contains(&fitted), "{kib}: {fitted}");
        }
    }

    #[test]
    fn images_that_stood_with_the_shard_come_to_their_links() {
        let conn = Connection::open_in_memory().unwrap();
        MIGRATIONS[..4].iter().for_each(|sql| conn.execute_batch(sql).unwrap());
        conn.execute_batch(
            "INSERT INTO shard VALUES (1, 1, x'00', 1, 1, 1, NULL, NULL, 'both');
             INSERT INTO link VALUES (1, 1, 'a', 1, x'00', NULL, 1, 1, NULL, 0, NULL);
             INSERT INTO link VALUES (2, 1, 'b', 1, x'00', NULL, 1, 1, NULL, 0, 'own');",
        )
        .unwrap();
        conn.execute_batch(MIGRATIONS[4]).unwrap();
        let sql = "SELECT group_concat(l.image), s.data FROM link l, shard_whole s";
        let found = |conn: &Connection| -> (String, String) {
            conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        assert_eq!(found(&conn), ("both,own".to_owned(), "both".to_owned()));
        conn.execute_batch("UPDATE shard SET said_by = 2, data = ''").unwrap();
        assert_eq!(found(&conn), ("both,own".to_owned(), "own".to_owned()));
    }
}
