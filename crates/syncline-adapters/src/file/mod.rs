//! Files: CSV, TSV, JSON Lines and JSON, packed or not, from disk, standard input or an object
//! store.
//!
//! A file becomes text in [`source`] and [`unpack`], text slides through a [`window`], the formats
//! cut rows out of it, and [`read`] makes pages of them.

mod csv;
mod cursor;
mod json;
mod jsonl;
mod lines;
mod object;
#[cfg(feature = "cloud")]
mod object_store;
mod read;
mod rows;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod types;
mod unpack;
mod window;

use crate::{
    Adapter, AdapterError, Capabilities, DiscoveredEntity, ReadEnd, ReadRequest, discover,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use settings::Settings;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use syncline_core::config::model::Connection;
use syncline_core::record::Page;
use tokio::sync::mpsc;

const SAMPLE_LEN: usize = 100;

/// Reads the files of one connection.
pub(crate) struct FileAdapter {
    entities: BTreeMap<String, Arc<Settings>>,
}

impl FileAdapter {
    /// An adapter for the entities of `connection`, whose relative paths start at `base`.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] for the first entity whose settings cannot work.
    pub(crate) fn new(connection: &Connection, base: &Path) -> Result<Self, AdapterError> {
        let mut entities = BTreeMap::new();
        for (name, entity) in &connection.entities {
            let settings = Settings::new(connection, name, entity, base)?;
            entities.insert(name.clone(), Arc::new(settings));
        }
        Ok(Self { entities })
    }

    fn settings(&self, entity: &str) -> Result<Arc<Settings>, AdapterError> {
        self.entities.get(entity).cloned().ok_or_else(|| {
            AdapterError::Settings(format!("the connection has no entity `{entity}`"))
        })
    }
}

impl Adapter for FileAdapter {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            resumes: !self.entities.values().any(|settings| settings.is_stdin()),
            lists_all: !self.entities.values().any(|settings| settings.is_stdin()),
            reading_costs_calls: false,
        }
    }

    /// Standard input is not touched: what is read of it now would be missing later.
    fn check<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<(), AdapterError>> {
        async move {
            let settings = self.settings(entity)?;
            if settings.is_stdin() {
                return Ok(());
            }
            blocking(move || read::sample(&settings, SAMPLE_LEN).map(|_| ())).await
        }
        .boxed()
    }

    /// Standard input is used up by this.
    fn discover<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<DiscoveredEntity, AdapterError>> {
        async move {
            let settings = self.settings(entity)?;
            let sample = blocking(move || read::sample(&settings, SAMPLE_LEN)).await?;
            let sample = sample.unwrap_or_default();
            Ok(discover::entity(entity, sample))
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        request: ReadRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'a, Result<ReadEnd, AdapterError>> {
        async move {
            let settings = self.settings(&request.entity)?;
            blocking(move || {
                read::read(&settings, request, |page| pages.blocking_send(page).is_ok())
            })
            .await
        }
        .boxed()
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AdapterError> + Send + 'static,
) -> Result<T, AdapterError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(AdapterError::Unavailable {
                what: "file".to_owned(),
                problem: "the program is shutting down".to_owned(),
                retry_after_ms: None,
            }),
        },
    }
}
