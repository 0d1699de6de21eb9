//! Whole executions, on a real store and real files, in a time of their own.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as loudly as they do")]

mod bench;
mod crashes;
mod deletions;
mod derived;
mod duplicates;
mod events;
mod incremental;
mod lookups;
mod memory;
mod order;
mod relationships;
mod rematch;
mod retries;
mod together;
