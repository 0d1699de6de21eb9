//! What is known of the database without a look: a first load asks for millions of rows that nobody has yet.

use super::key_log::KeyLog;
use compact_str::CompactString;
use rusqlite::Connection;
use rustc_hash::{FxHashMap, FxHashSet};
use syncline_core::plan::rows::{EntityId, LinkId, LinkRow};
use syncline_core::plan::writes::Plan;

/// How many shared records are remembered: some 15 MB.
const SHARED_MAX: usize = 1 << 16;

/// What this connection knows of the rows of the database.
///
/// It holds because every row that was written since it began went through this connection; it is given up as
/// soon as another connection has written. What was removed or rolled back stays in the filters: it is then
/// looked up in vain.
#[derive(Default)]
pub(super) struct Memory {
    /// The keys of the table.
    keys: Option<Filter>,
    /// The keys of the log.
    log: KeyLog,
    records: Option<Filter>,
    /// A bit for each link that can have match edges, by row number.
    edged: Option<Vec<u64>>,
    /// Links of derived records that several records share, as they are: they are asked for again and again.
    shared: FxHashMap<EntityId, FxHashMap<CompactString, LinkRow>>,
    shared_len: usize,
}

impl Memory {
    /// What is known when an execution begins.
    pub(super) fn begin(conn: &Connection) -> rusqlite::Result<Self> {
        let is_empty = |table: &str| {
            let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM {table})");
            conn.query_row(&sql, [], |row| row.get(0)).is_ok_and(|is_empty: bool| is_empty)
        };
        Ok(Self {
            keys: is_empty("match_key").then(Filter::default),
            records: is_empty("link").then(Filter::default),
            edged: is_empty("match_edge").then(Vec::new),
            ..Self::of_log(conn)?
        })
    }

    /// Nothing is known but the log.
    pub(super) fn of_log(conn: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { log: KeyLog::read(conn)?, ..Self::default() })
    }

    /// Notes what a plan has written.
    pub(super) fn note(&mut self, plan: &Plan) {
        plan.keys_removed.iter().for_each(|&(key, link)| self.log.remove(key, link));
        plan.keys_added.iter().for_each(|&(key, link)| self.log.add(key, link));
        if let Some(filter) = &mut self.records {
            let new = plan.links_new.iter();
            new.for_each(|link| filter.add(record_hash(link.entity, &link.external_id)));
            let renamed = plan.links_renamed.iter();
            renamed.for_each(|of| filter.add(record_hash(of.entity, &of.name)));
        }
        for of in &plan.links_renamed {
            let shared = self.shared.get_mut(&of.entity);
            self.shared_len -=
                usize::from(shared.is_some_and(|by| by.remove(&of.before).is_some()));
        }
        if let Some(bits) = &mut self.edged {
            plan.match_edges_set.iter().for_each(|edge| {
                mark(bits, edge.a);
                mark(bits, edge.b);
            });
        }
        let links = plan.links_new.iter().chain(&plan.links_changed);
        for link in links.chain(&plan.links_restamped) {
            let is_known = self.shared(link.entity, &link.external_id).is_some();
            if is_known || link.contributor.is_some() {
                self.share(link);
            }
        }
    }

    /// The log of keys.
    pub(super) fn log(&self) -> &KeyLog {
        &self.log
    }

    /// Notes that the log's keys are in the table.
    pub(super) fn note_moved(&mut self) {
        let log = std::mem::take(&mut self.log);
        if let Some(filter) = &mut self.keys {
            log.keys().for_each(|key| filter.add(key));
        }
    }

    /// Forgets what rows held: some of it was rolled back.
    pub(super) fn roll_back(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        self.forget_shared();
        self.log = KeyLog::read(conn)?;
        Ok(())
    }

    fn forget_shared(&mut self) {
        self.shared.clear();
        self.shared_len = 0;
    }

    /// `false` where the key is not in the table.
    pub(super) fn may_have_key(&self, key: u64) -> bool {
        self.keys.as_ref().is_none_or(|filter| filter.may_hold(key))
    }

    /// `false` where the record has no link.
    pub(super) fn may_have_record(&self, entity: EntityId, external_id: &str) -> bool {
        let filter = self.records.as_ref();
        filter.is_none_or(|filter| filter.may_hold(record_hash(entity, external_id)))
    }

    /// `false` where the link has no match edge.
    pub(super) fn may_have_edge(&self, link: LinkId) -> bool {
        let Some(bits) = &self.edged else { return true };
        let (word, bit) = bit_of(link);
        bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The link of a shared record, where it is remembered.
    pub(super) fn shared(&self, entity: EntityId, external_id: &str) -> Option<&LinkRow> {
        self.shared.get(&entity)?.get(external_id)
    }

    /// Remembers the link of a shared record.
    pub(super) fn share(&mut self, link: &LinkRow) {
        if self.shared_len >= SHARED_MAX {
            self.forget_shared();
        }
        let of_entity = self.shared.entry(link.entity).or_default();
        if of_entity.insert(link.external_id.clone(), link.clone()).is_none() {
            self.shared_len += 1;
        }
    }
}

fn bit_of(link: LinkId) -> (usize, u64) {
    let bit = usize::try_from(link.0).unwrap_or(0);
    (bit / 64, 1 << (bit % 64))
}

fn mark(bits: &mut Vec<u64>, link: LinkId) {
    let (word, bit) = bit_of(link);
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    bits[word] |= bit;
}

fn record_hash(entity: EntityId, external_id: &str) -> u64 {
    let seed = entity.0.cast_unsigned();
    xxhash_rust::xxh3::xxh3_64_with_seed(external_id.as_bytes(), seed)
}

/// Says which hashes are certainly not among those added: of few exactly, of many as a Bloom filter.
#[derive(Default)]
struct Filter {
    few: FxHashSet<u64>,
    /// Empty until there are many: most executions add few hashes, or none.
    words: Vec<u64>,
}

/// 8 MiB: at 2.7 million hashes hardly one look-up is needless, at 10 million one in twenty. Beyond 30 million
/// it no longer helps, and costs little.
const WORDS: usize = 1 << 20;

/// Up to here hashes are kept themselves, in a seventh of the memory that the bits take: a table has to grow then.
const FEW: usize = 114_688;

impl Filter {
    fn add(&mut self, hash: u64) {
        if !self.words.is_empty() {
            return self.mark(hash);
        }
        self.few.insert(hash);
        if self.few.len() >= FEW {
            self.words = vec![0; WORDS];
            for hash in std::mem::take(&mut self.few) {
                self.mark(hash);
            }
        }
    }

    fn mark(&mut self, hash: u64) {
        let (word, bits) = place(hash);
        self.words[word] |= bits;
    }

    fn may_hold(&self, hash: u64) -> bool {
        if self.words.is_empty() {
            return self.few.contains(&hash);
        }
        let (word, bits) = place(hash);
        self.words[word] & bits == bits
    }
}

/// A hash's word, and four bits of it: one access to memory each. Hashes need not be spread evenly.
fn place(hash: u64) -> (usize, u64) {
    let mixed = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bits = (0..4).fold(0, |bits, n| bits | 1 << (mixed >> (6 * n) & 63));
    ((mixed >> 44) as usize % WORDS, bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_holds_what_was_added_while_it_grows() {
        let mut filter = Filter::default();
        let hash = |n: u64| n.wrapping_mul(0x2545_f491_4f6c_dd1d);
        for n in 0..2 * FEW as u64 {
            assert!(!filter.words.is_empty() || !filter.may_hold(hash(n)), "{n}");
            filter.add(hash(n));
            assert!(filter.may_hold(hash(n)) && filter.may_hold(hash(n / 2)), "{n}");
        }
        assert!(!filter.words.is_empty() && filter.few.is_empty());
        let needless = (0..1000).filter(|n| filter.may_hold(hash(n + (1 << 32)))).count();
        assert!(needless < 10, "{needless}");
    }
}
