//! An update against a deletion.

use super::Stamp;
use crate::config::model::ConflictStrategy;

/// What becomes of a thing that one side deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionFate {
    /// It goes. An edit that is lost with it is in the list of conflicts.
    Goes,
    /// The side that edited it has it its way: it is made anew where it was deleted.
    ComesBack,
    /// It stays where it is, and nothing is made anew.
    Stays,
    /// It stays until a person has decided.
    Asks,
}

/// A record is deleted at its system. `edited` is when the newest value came to be that the record had not got yet;
/// `None` where it had all.
pub fn record_deleted(
    strategy: ConflictStrategy,
    edited: Option<Stamp>,
    deleted: Stamp,
) -> DeletionFate {
    let Some(edited) = edited else { return DeletionFate::Goes };
    match strategy {
        ConflictStrategy::SourceWins => DeletionFate::Goes,
        ConflictStrategy::DestinationWins => DeletionFate::ComesBack,
        ConflictStrategy::NewestWins => later(deleted, edited),
        _ => DeletionFate::Asks,
    }
}

/// A shard is deleted, and one of its records was edited since both agreed, at `edited`; `None` where it was not.
pub fn shard_deleted(
    strategy: ConflictStrategy,
    edited: Option<Stamp>,
    deleted: Stamp,
) -> DeletionFate {
    let Some(edited) = edited else { return DeletionFate::Goes };
    match strategy {
        ConflictStrategy::SourceWins => DeletionFate::ComesBack,
        ConflictStrategy::DestinationWins => DeletionFate::Goes,
        ConflictStrategy::NewestWins => later(deleted, edited),
        _ => DeletionFate::Asks,
    }
}

/// A deletion that is not surely later keeps the edit.
fn later(deleted: Stamp, edited: Stamp) -> DeletionFate {
    if deleted.is_after(&edited) {
        DeletionFate::Goes
    } else if edited.is_after(&deleted) {
        DeletionFate::ComesBack
    } else {
        DeletionFate::Stays
    }
}
