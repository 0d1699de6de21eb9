//! One execution of a sync task: fetch, transform, plan, commit, complete.
//!
//! ```text
//! adapter ──page──► transform ──items──► plan ⇄ store.read ──plan──► store.commit
//! ```

pub mod clock;
pub mod decide;
pub mod edit;
pub mod erase;
pub mod event;
pub mod execution;
pub mod retry;
mod steps;
pub mod undo;
pub mod world;

pub use clock::{Clock, SystemClock};
pub use event::{Event, Progress};
pub use execution::{EngineError, Options, Report, Trigger, execute};
pub use world::World;
