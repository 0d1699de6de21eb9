//! What Syncline serves. So far: a place for systems to say that records changed.

pub mod hooks;
