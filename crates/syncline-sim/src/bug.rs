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
}

impl Bug {
    /// All of them, without the one that is none.
    pub const ALL: &[Self] = &[
        Self::ForgetsWhatItSent,
        Self::RetriesBlindly,
        Self::WritesUnconditionally,
        Self::OneBase,
        Self::BelievesListings,
    ];
}
