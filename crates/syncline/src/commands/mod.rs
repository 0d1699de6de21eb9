//! One file for each subcommand.

pub mod cancel;
pub mod check;
pub mod completions;
pub mod conflicts;
pub mod connect;
pub mod connector;
pub mod connectors;
pub mod dead_letters;
pub mod erase;
pub mod executions;
pub mod export;
pub mod init;
pub mod listen;
pub mod matching;
pub mod preview;
pub mod retry;
pub mod review;
pub mod run;
pub mod schema;
pub mod shards;
pub mod status;
pub mod target;
pub mod undo;
pub mod why;
