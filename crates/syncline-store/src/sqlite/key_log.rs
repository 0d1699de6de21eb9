//! Match keys on their way into `match_key`.
//!
//! Keys are hashes: each lands on another page of that table. A first load would write the whole table anew
//! with every group of commits. So a plan's keys, those that links lost too, are appended to a log, in one row,
//! and are found in memory; many are moved into the table at once, in its order: when the log is long, and when
//! the last execution ends and the log is not short. (The idea is that of a log-structured merge tree: O'Neil
//! et al. 1996.)

use super::apply::{insert_keys, remove_keys};
use rusqlite::{Connection, Result};
use rustc_hash::{FxHashMap, FxHashSet};
use syncline_core::plan::rows::LinkId;

/// A key and a link in the log, 8 bytes each, big-endian; a negative link lost the key.
const PAIR: usize = 16;

/// The keys of the log, as they are now.
#[derive(Default)]
pub(super) struct KeyLog {
    /// The link of a key that one link has.
    one: FxHashMap<u64, LinkId>,
    /// The links of a key that several have.
    many: FxHashMap<u64, Vec<LinkId>>,
    /// What a link lost, and the table may hold.
    lost: FxHashSet<(u64, LinkId)>,
    len: usize,
}

impl KeyLog {
    /// Reads what the log of a database holds.
    pub(super) fn read(conn: &Connection) -> Result<Self> {
        Self::read_some(conn, |_, _| true)
    }

    /// Reads what the log says of `keys`.
    pub(super) fn of_keys(conn: &Connection, keys: &[u64]) -> Result<Self> {
        let wanted: FxHashSet<u64> = keys.iter().copied().collect();
        Self::read_some(conn, |key, _| wanted.contains(&key))
    }

    /// Reads what the log says of `links`.
    pub(super) fn of_links(conn: &Connection, links: &[LinkId]) -> Result<Self> {
        let wanted: FxHashSet<LinkId> = links.iter().copied().collect();
        Self::read_some(conn, |_, link| wanted.contains(&link))
    }

    fn read_some(conn: &Connection, is_wanted: impl Fn(u64, LinkId) -> bool) -> Result<Self> {
        let mut log = Self::default();
        each_pair(conn, |key, link, is_added| match is_wanted(key, link) {
            true if is_added => log.add(key, link),
            true => log.remove(key, link),
            false => {}
        })?;
        Ok(log)
    }

    /// How many pairs it holds, those that were lost too.
    pub(super) fn len(&self) -> usize {
        self.len + self.lost.len()
    }

    /// Notes that a link has a key.
    pub(super) fn add(&mut self, key: u64, link: LinkId) {
        if !self.lost.is_empty() {
            self.lost.remove(&(key, link));
        }
        if let Some(links) = self.many.get_mut(&key) {
            if !links.contains(&link) {
                links.push(link);
                self.len += 1;
            }
            return;
        }
        match self.one.insert(key, link) {
            None => self.len += 1,
            Some(before) if before == link => {}
            Some(before) => {
                self.one.remove(&key);
                self.many.insert(key, vec![before, link]);
                self.len += 1;
            }
        }
    }

    /// Notes that a link lost a key.
    pub(super) fn remove(&mut self, key: u64, link: LinkId) {
        self.lost.insert((key, link));
        if self.one.get(&key) == Some(&link) {
            self.one.remove(&key);
            self.len -= 1;
        } else if let Some(links) = self.many.get_mut(&key) {
            let before = links.len();
            links.retain(|other| *other != link);
            self.len -= before - links.len();
        }
    }

    /// The links of a key, in no order.
    pub(super) fn links(&self, key: u64) -> impl Iterator<Item = LinkId> {
        let many = self.many.get(&key).into_iter().flatten();
        self.one.get(&key).into_iter().chain(many).copied()
    }

    /// Its keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> {
        self.one.keys().chain(self.many.keys()).copied()
    }

    /// Whether a pair that the table holds does not stand any more.
    pub(super) fn has_lost(&self, key: u64, link: LinkId) -> bool {
        self.lost.contains(&(key, link))
    }

    /// The pairs that were added, in no order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u64, LinkId)> {
        let many = self.many.iter().flat_map(|(key, links)| links.iter().map(|link| (*key, *link)));
        self.one.iter().map(|(key, link)| (*key, *link)).chain(many)
    }
}

/// Appends a plan's keys to the log.
pub(super) fn append(
    conn: &Connection,
    removed: &[(u64, LinkId)],
    added: &[(u64, LinkId)],
) -> Result<()> {
    if removed.is_empty() && added.is_empty() {
        return Ok(());
    }
    let mut pairs = Vec::with_capacity((removed.len() + added.len()) * PAIR);
    let removed = removed.iter().map(|&(key, link)| (key, -link.0));
    for (key, link) in removed.chain(added.iter().map(|&(key, link)| (key, link.0))) {
        pairs.extend_from_slice(&key.to_be_bytes());
        pairs.extend_from_slice(&link.to_be_bytes());
    }
    conn.prepare_cached("INSERT INTO key_log (pairs) VALUES (?1)")?.execute([pairs])?;
    Ok(())
}

/// Moves the log into the table.
pub(super) fn move_into_table(conn: &Connection, log: &KeyLog) -> Result<()> {
    let sorted = |mut pairs: Vec<(u64, LinkId)>| {
        pairs.sort_unstable_by_key(|&(key, link)| (key.cast_signed(), link));
        pairs
    };
    remove_keys(conn, &sorted(log.lost.iter().copied().collect()))?;
    insert_keys(conn, &sorted(log.pairs().collect()))?;
    conn.prepare_cached("DELETE FROM key_log")?.execute([])?;
    Ok(())
}

fn each_pair(conn: &Connection, mut each: impl FnMut(u64, LinkId, bool)) -> Result<()> {
    let mut statement = conn.prepare_cached("SELECT pairs FROM key_log ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (pairs, _) = row.get_ref(0)?.as_blob()?.as_chunks::<PAIR>();
        for pair in pairs {
            let [key, link] = [&pair[..8], &pair[8..]]
                .map(|half| half.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)));
            let link = link.cast_signed();
            each(key, LinkId(link.abs()), link > 0);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_log_holds_what_was_added_and_not_removed(
            steps in proptest::collection::vec((0..4_u64, 1..4_i64, any::<bool>()), 0..40),
        ) {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute_batch(
                "CREATE TABLE key_log (id INTEGER PRIMARY KEY, pairs BLOB NOT NULL)",
            ).unwrap();
            let (mut wanted, mut log) = (BTreeSet::new(), KeyLog::default());
            for (key, link, is_added) in steps {
                let pair = (key, LinkId(link));
                if is_added {
                    wanted.insert(pair);
                    log.add(key, LinkId(link));
                    append(&conn, &[], &[pair]).unwrap();
                } else {
                    wanted.remove(&pair);
                    log.remove(key, LinkId(link));
                    append(&conn, &[pair], &[]).unwrap();
                }
            }
            let (keys, links) = ([0, 1, 2, 3], [1, 2, 3].map(LinkId));
            let read = [
                KeyLog::read(&conn).unwrap(),
                KeyLog::of_keys(&conn, &keys).unwrap(),
                KeyLog::of_links(&conn, &links).unwrap(),
            ];
            for log in read.into_iter().chain([log]) {
                prop_assert_eq!(log.len() - log.lost.len(), wanted.len());
                prop_assert_eq!(&log.pairs().collect::<BTreeSet<_>>(), &wanted);
                prop_assert!(wanted.iter().all(|&(key, link)| !log.has_lost(key, link)));
            }
        }
    }
}
