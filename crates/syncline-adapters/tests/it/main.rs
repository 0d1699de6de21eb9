//! The adapters, through their public seam.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as loudly as they do")]

#[path = "../../../syncline/tests/it/api.rs"]
mod api;
mod carddav;
mod connectors;
mod file_bad_input;
mod file_csv;
mod file_encodings;
mod file_json;
mod file_jsonl;
#[cfg(feature = "cloud")]
mod file_object_store;
mod file_places;
mod file_resume;
mod kinto;
mod kinto_writing;
mod manifest_writing;
mod meddler;
mod radicale;
mod reading;
mod servers;
mod sql_changes;
mod sql_place;
mod sql_reading;
mod sql_servers;
mod sql_types;
mod sql_writing;
mod subprocess;
