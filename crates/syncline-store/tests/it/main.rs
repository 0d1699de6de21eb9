//! The contract of the store: every case runs on each implementation.

mod crashes;
mod opening;
mod plans;
mod random;
mod runs;
mod stores;
mod trees;
