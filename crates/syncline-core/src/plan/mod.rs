//! The one place where conversion, matching and survivorship meet: a batch and a view become a plan.

mod abandon;
mod agree;
mod arrivals;
mod bases;
mod blocks;
pub mod constrain;
mod deletions;
mod form;
pub mod intent;
mod lookups;
pub mod news;
mod owe;
pub mod planner;
pub mod program;
pub mod recall;
mod refer;
mod rekey;
pub mod rows;
pub mod rules;
mod settle_clusters;
mod take_in;
mod touch;
pub mod view;
mod ways;
pub mod writes;

pub use bases::agrees;

#[cfg(test)]
mod tests;
