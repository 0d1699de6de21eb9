//! The one place where conversion, matching and survivorship meet: a batch and a view become a plan.

pub mod rows;
pub mod view;
pub mod writes;
