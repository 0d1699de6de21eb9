//! The configuration: its plain data, its text form with positions, and its diagnostics.

pub mod model;
pub mod transform;
