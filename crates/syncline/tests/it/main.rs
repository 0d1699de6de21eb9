//! The program, from outside: real runs of the built binary in temporary folders.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
mod check;
mod connector;
mod connector_reading;
mod crm;
mod databases;
mod dead_letters;
mod docs;
mod examples;
mod models;
mod preview;
mod project;
mod query_export;
mod query_init;
mod query_shards;
mod review;
mod run;
#[path = "../../../syncline-adapters/tests/it/servers.rs"]
#[expect(dead_code, reason = "the adapters' own tests do more with a server")]
mod servers;
mod stop;
