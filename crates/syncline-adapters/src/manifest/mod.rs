//! Connectors written in the low-code connector language: `manifest.yaml` files, read as they are.
//!
//! `load` resolves and compiles a manifest, `read` steps through a stream (partitions, windows, pages),
//! `protocol` speaks the Airbyte protocol, and the rest are the language's components, one room each.

mod adapter;
mod again;
mod auth;
mod catalogue;
mod decode;
mod doubt;
mod errors;
mod expression;
mod incremental;
mod interpolate;
mod job;
mod limits;
mod load;
mod outline;
mod pages;
mod paginate;
mod partition;
mod properties;
pub mod protocol;
mod reach;
mod read;
mod request;
mod secrets;
mod select;
mod session;
mod smaller;
mod source;
mod trouble;
mod write;

pub(crate) use adapter::ManifestAdapter;
pub use auth::connect::Connecting;
pub use catalogue::{Connector, Runs, StreamOf};
pub(crate) use interpolate::digest::{percent_encode, sha256};
pub(crate) use limits::Limiter;
pub use load::Manifest;
pub use reach::Reach;
pub use session::{Clock, Session};
pub use trouble::{FailureKind, Trouble};
