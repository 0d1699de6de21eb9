//! The rules of Syncline, pure: values in, values out.
//!
//! No async, no I/O, no clock, no randomness, no SQL. What is decided here depends on nothing but what
//! is handed in, so that preview, replay and simulation all run the very same code.

pub mod config;
pub mod convert;
pub mod matching;
pub mod plan;
pub mod problem;
pub mod reconcile;
pub mod record;
pub mod shard;
pub mod value;
