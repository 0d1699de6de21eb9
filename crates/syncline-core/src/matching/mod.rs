//! Matching: which records describe the same real thing.
