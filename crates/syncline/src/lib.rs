//! Syncline as a library.
pub mod infer;
