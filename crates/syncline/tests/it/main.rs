//! The program, from outside: real runs of the built binary in temporary folders.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
mod carddav;
mod check;
mod connector;
mod connector_parts;
mod connector_reading;
mod connector_reference;
mod connector_streams;
mod connectors;
mod crm;
mod databases;
mod dead_letters;
mod docs;
mod examples;
mod hubspot;
#[path = "../../../syncline-adapters/tests/it/kinto.rs"]
#[expect(dead_code, reason = "the adapters' own tests do more with a server")]
mod kinto;
mod limits;
mod local_server;
#[path = "../../../syncline-adapters/tests/it/meddler.rs"]
mod meddler;
mod models;
mod preview;
mod project;
mod query_export;
mod query_init;
mod query_shards;
#[path = "../../../syncline-adapters/tests/it/radicale.rs"]
#[expect(dead_code, reason = "the adapters' own tests do more with a server")]
mod radicale;
mod review;
mod run;
mod salesforce;
#[path = "../../../syncline-adapters/tests/it/servers.rs"]
#[expect(dead_code, reason = "the adapters' own tests do more with a server")]
mod servers;
mod stop;
mod table_beside;
mod target;
mod tokens;
mod two_way;
mod two_way_google;
mod two_way_kinto;
mod two_way_notion;
