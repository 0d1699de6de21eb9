//! Three-way reconciling: what a shard says, what a record says, and what both last agreed on.
//!
//! Everything here looks at one field of one linked record. Who changed what follows from the stored values, never
//! from times: times only decide between two changes, and only where the rule says so. Words: S is the shard's value,
//! R what the record says now, the base is a pair (bs, br) of what the two were when they last agreed, and the
//! projection of a value is what reading it back gives after it was written.

mod deletion;
mod field;
mod form;
mod group;
mod merge;
mod rule;
#[cfg(test)]
mod tests;

pub use deletion::{DeletionFate, record_deleted, shard_deleted};
pub use field::{Owed, Reconciled, Unit, base_of_first_meeting, owed, reconcile};
pub use form::is_form_of;
pub use group::reconcile_group;
pub use rule::{Flow, Policy, Rule, Winner};

use crate::value::Cell;
use serde::{Deserialize, Serialize};

/// When a value came to be: an interval, since no clock is exact and a record's time bounds its fields only from
/// above. In microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Not before.
    pub lo: i64,
    /// Not after.
    pub hi: i64,
    /// The rank of the system that said it, for when intervals overlap.
    pub rank: i64,
}

impl Stamp {
    /// The stamp of an edit that was made here, at `at`.
    pub fn here(at: i64, rank: i64) -> Self {
        Self { lo: at, hi: at, rank }
    }

    /// The stamp of a change that a record shows. The change happened after the record was last seen without it
    /// (`unchanged`) and before it was seen (`observed`); where the record claims a time, within `tolerance` of it.
    ///
    /// A claim outside of what can be is moved to its border: a clock that is ahead wins nothing.
    pub fn seen(
        claim: Option<i64>,
        tolerance: i64,
        unchanged: i64,
        observed: i64,
        rank: i64,
    ) -> Self {
        let earliest = unchanged.min(observed);
        let within = |at: i64| at.clamp(earliest, observed);
        match claim {
            Some(claim) => Self {
                lo: within(claim.saturating_sub(tolerance)),
                hi: within(claim.saturating_add(tolerance)),
                rank,
            },
            None => Self { lo: earliest, hi: observed, rank },
        }
    }

    /// Whether all of this interval is after all of the other.
    pub fn is_after(&self, other: &Self) -> bool {
        self.lo > other.hi
    }
}

/// What a shard's field and a record's field were when they last agreed.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    /// They never met.
    Unmet,
    /// They agreed, or it was decided between them.
    Met {
        /// The shard's side.
        shard: Side,
        /// The record's side.
        remote: Cell,
    },
}

/// The shard's side of a base.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// This value stood then.
    Is(Cell),
    /// This value was written, and nobody has seen yet what the record made of it: its side is what was expected.
    Written(Cell),
    /// What stands was decided here, and the record has not got it yet: no value equals it, so that one which
    /// returns to an older one is not taken for agreed.
    Dirty,
}

impl Side {
    /// Whether the shard's value is as it was then.
    pub fn is(&self, value: &Cell) -> bool {
        matches!(self, Self::Is(known) | Self::Written(known) if known == value)
    }

    /// The same, once the record has been seen.
    pub(crate) fn seen(&self) -> Self {
        match self {
            Self::Written(value) => Self::Is(value.clone()),
            other => other.clone(),
        }
    }
}

impl Base {
    /// Both sides say this.
    pub fn agreed(shard: Cell, remote: Cell) -> Self {
        Self::Met { shard: Side::Is(shard), remote }
    }

    /// The shard's value was written to the record, which nobody has seen since.
    pub fn written(shard: Cell, expected: Cell) -> Self {
        Self::Met { shard: Side::Written(shard), remote: expected }
    }

    /// Whether nobody has seen yet what the record made of what was written.
    pub fn is_unseen(&self) -> bool {
        matches!(self, Self::Met { shard: Side::Written(_), .. })
    }

    /// The record says this, and is owed something else.
    pub fn dirty(remote: Cell) -> Self {
        Self::Met { shard: Side::Dirty, remote }
    }
}

/// What was decided between two changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispute {
    /// What both had agreed on.
    pub base: Base,
    /// The shard's value.
    pub local: Cell,
    /// The record's value.
    pub remote: Cell,
    /// When the shard's value came to be.
    pub local_stamp: Stamp,
    /// When the record's value came to be.
    pub remote_stamp: Stamp,
    /// Who won.
    pub winner: Winner,
    /// The value that stands now; absent while a person is asked.
    pub value: Cell,
    /// Whether the times overlapped, so that rank or value decided.
    pub by_tie: bool,
    /// Why a person is asked although the rule does not say so.
    pub problem: Option<String>,
}
