//! Two-way sync under everything that can go wrong, by seed. See `docs/simulation.md`.
//!
//! The engine is the real one, on a store in memory; remotes, time and people are made up. Equal seeds do equal things.

pub mod bug;
pub mod check;
pub mod mix;
pub mod random;
pub mod remote;
pub mod scenario;
pub mod store;
pub mod time;
pub mod trace;
