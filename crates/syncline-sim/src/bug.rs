//! Deliberate bugs, put in at the seams: a simulation that lets one through proves nothing.

/// A deliberate bug.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Bug {
    /// None.
    #[default]
    None,
    /// What was sent is not stored before it is sent.
    ForgetsWhatItSent,
    /// A creation whose reply was lost is repeated without being looked up.
    RetriesBlindly,
    /// Writes carry no condition.
    WritesUnconditionally,
    /// One base instead of a pair: what the remote made of a value is taken for what was sent.
    OneBase,
    /// What a listing leaves out counts as deleted, and a listing that breaks off counts as whole.
    BelievesListings,
    /// Writes that were given up are not looked out for: one that lands late passes for a person's edit.
    ForgetsGhosts,
    /// When a shard's values came to be is not stored.
    ForgetsStamps,
    /// Conflicts are not stored, and with them what lost.
    ForgetsConflicts,
    /// That a record is gone is not stored.
    SkipsTombstones,
    /// Incremental reads begin after the greatest time that was seen, without looking back.
    ForgetsLookBack,
    /// What one tenant's people say is told to another.
    MixesTenants,
}

impl Bug {
    /// All of them, without the one that is none.
    pub const ALL: &[Self] = &[
        Self::ForgetsWhatItSent,
        Self::RetriesBlindly,
        Self::WritesUnconditionally,
        Self::OneBase,
        Self::BelievesListings,
        Self::ForgetsGhosts,
        Self::ForgetsStamps,
        Self::ForgetsConflicts,
        Self::SkipsTombstones,
        Self::ForgetsLookBack,
        Self::MixesTenants,
    ];
}
