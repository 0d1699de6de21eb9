//! The contract of the store: every case runs on each implementation.

#![expect(clippy::unwrap_used, reason = "these are tests, and so are their parts")]

mod crashes;
mod notices;
mod opening;
mod outbox;
mod plans;
mod random;
mod runs;
mod stores;
mod trees;
