//! A first load asks for millions of match keys that nobody has yet.

use rusqlite::Connection;

/// Says which match keys are certainly not there (a Bloom filter).
///
/// It is complete because the table was empty when it was made, every key that was added since went through
/// this connection, and it is given up as soon as another connection has written. A key that was removed
/// or rolled back stays in it: then it is looked up in vain.
pub(super) struct KeyFilter {
    words: Vec<u64>,
}

/// 8 MiB: at 2.7 million keys hardly one look-up is needless, at 10 million one in twenty. Beyond 30 million
/// it no longer helps, and costs little.
const WORDS: usize = 1 << 20;

impl KeyFilter {
    /// A filter, if there are no match keys yet.
    pub(super) fn of_empty_table(conn: &Connection) -> Option<Self> {
        let is_empty: rusqlite::Result<bool> =
            conn.query_row("SELECT NOT EXISTS (SELECT 1 FROM match_key)", [], |row| row.get(0));
        is_empty.is_ok_and(|is_empty| is_empty).then(|| Self { words: vec![0; WORDS] })
    }

    pub(super) fn add(&mut self, keys: impl Iterator<Item = u64>) {
        for key in keys {
            let (word, bits) = place(key);
            self.words[word] |= bits;
        }
    }

    /// `false` where the key is certainly not there.
    pub(super) fn may_hold(&self, key: u64) -> bool {
        let (word, bits) = place(key);
        self.words[word] & bits == bits
    }
}

/// A key's word, and four bits of it: one access to memory each. Keys need not be spread evenly.
fn place(key: u64) -> (usize, u64) {
    let mixed = (key ^ key >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bits = (0..4).fold(0, |bits, n| bits | 1 << (mixed >> (6 * n) & 63));
    ((mixed >> 44) as usize % WORDS, bits)
}
