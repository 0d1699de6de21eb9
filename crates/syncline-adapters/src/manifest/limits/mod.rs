//! How fast a system may be asked: what is declared, what it says of its limits, and what that comes to.
//!
//! `pace` decides, from state, moment and what was said alone; `limiter` waits, and counts. `budget` reads what a
//! manifest declares.

mod breaker;
mod budget;
mod limiter;
mod pace;
mod said;
mod shared;
#[cfg(test)]
mod tests;
mod window;

pub(super) use budget::Budget;
pub(crate) use limiter::Limiter;
pub(super) use limiter::{Call, Gate};
pub(super) use pace::Operation;
pub(super) use said::retry_after;
