//! Syncline keeps business records in step across systems: the same engine as behind the `syncline` program,
//! as a library.
//!
//! ```
//! use syncline::{OpenOptions, PreviewOptions, RunOptions, Syncline};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("syncline-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! std::fs::write(folder.join("contacts.csv"), "id,email\n1,Ada@Example.com\n")?;
//! std::fs::write(
//!     folder.join("syncline.yaml"),
//!     "
//! connections:
//!   crm: { adapter: file, entities: { contact: { path: contacts.csv, key: id } } }
//! shard_types:
//!   person: { fields: { email: text } }
//! conversion_schemas:
//!   person:
//!     shard_type: person
//!     fields: { email: { from: email, transform: lowercase } }
//! sync_tasks:
//!   contacts: { connection: crm, entity: contact, conversion_schema: person }
//! ",
//! )?;
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! // What would be changed? Nothing is written, the database is not even made.
//! let preview = syncline::preview(&folder, OpenOptions::default(), PreviewOptions::default()).await?;
//! assert_eq!(preview.changes.shards.len(), 1);
//!
//! // Reads, checks and compiles the configuration, and opens its database.
//! let sync = Syncline::open(&folder, OpenOptions::default()).await?;
//! let reports = sync.run(None, RunOptions::default()).await?;
//! assert_eq!((reports[0].status.as_str(), reports[0].results.created), ("success", 1));
//!
//! // A second run of unchanged input writes nothing.
//! let reports = sync.run(Some("contacts"), RunOptions::default()).await?;
//! assert!(reports[0].unchanged);
//! assert!(sync.preview(PreviewOptions::default()).await?.changes.shards.is_empty());
//! assert_eq!(sync.store().counts().await?.links, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```

pub mod app;
pub mod cli;
pub mod commands;
pub mod error;
pub mod explain;
pub mod infer;
pub mod models;
pub mod output;
pub mod preview;
mod progress;
pub mod reference;
mod report;
pub mod reviewing;
mod saved_plan;
mod signals;
mod syncing;
pub mod training;
pub mod workspace;

pub use error::{Error, Exit};
pub use preview::{ChangeSet, Preview, PreviewOptions, preview};
pub use reviewing::{DecisionStory, Review, SideBySide};
pub use syncing::{Listener, RunOptions, Syncline};
pub use workspace::OpenOptions;
