//! The one place where conversion, matching and survivorship meet: a batch and a view become a plan.

mod abandon;
mod blocks;
pub mod constrain;
mod form;
mod lookups;
pub mod planner;
pub mod program;
pub mod recall;
mod rekey;
pub mod rows;
pub mod rules;
mod settle_clusters;
mod touch;
pub mod view;
pub mod writes;

#[cfg(test)]
mod tests;
