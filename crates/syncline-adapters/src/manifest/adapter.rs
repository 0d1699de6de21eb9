//! A connector as a connection: each stream is an entity.

use super::load::Stream;
use super::read::{Step, StreamReader};
use super::select::Record;
use super::{Clock, Manifest, Session, Trouble};
use crate::page::PageBuilder;
use crate::{
    Adapter, AdapterError, Capabilities, DiscoveredEntity, ReadEnd, ReadRequest, discover,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use syncline_core::config::model::{Connection, EntitySettings, Settings};
use syncline_core::record::{Cursor, Page};
use syncline_core::value::Value;
use tokio::sync::mpsc;

const SAMPLE_LEN: usize = 100;

/// Reads the streams of one connector.
pub(crate) struct ManifestAdapter {
    session: Arc<Session>,
    entities: BTreeMap<String, Arc<Stream>>,
}

/// Where a read stands: the state that it began with, and how many records came since. A state alone would
/// not do, because in the middle of a slice it gives what was read of it once more.
#[derive(Default, Serialize, Deserialize)]
struct At {
    state: Map<String, Json>,
    #[serde(default)]
    skip: u64,
}

impl ManifestAdapter {
    /// An adapter for the entities of `connection`, whose manifest stands in `base`.
    ///
    /// # Errors
    ///
    /// Where the manifest cannot be loaded, or for the first entity whose stream is not there or needs what
    /// is not supported.
    pub(crate) fn new(connection: &Connection, base: &Path) -> Result<Self, Trouble> {
        let Settings::Manifest(own) = &connection.settings else {
            return Err(Trouble::config("its settings are not those of a manifest"));
        };
        let path = own.manifest.as_ref();
        let path = path.ok_or_else(|| Trouble::config("the connection names no `manifest`"))?;
        let config = serde_json::to_value(&own.config).unwrap_or_default();
        let manifest = Manifest::load(&base.join(path), &config)?;
        let mut entities = BTreeMap::new();
        for (name, entity) in &connection.entities {
            let EntitySettings::Stream(entity) = &entity.settings else {
                let problem = format!("entity {name}: its settings are not those of a stream");
                return Err(Trouble::config(problem));
            };
            let stream = manifest.stream(entity.stream.as_deref().unwrap_or(name));
            let stream = stream.map_err(|trouble| Trouble {
                message: format!("entity {name}: {}", trouble.message),
                ..trouble
            })?;
            entities.insert(name.clone(), stream.clone());
        }
        let session = Session::new(config, Clock::System)?;
        Ok(Self { session: Arc::new(session), entities })
    }

    fn stream(&self, entity: &str) -> Result<&Arc<Stream>, AdapterError> {
        self.entities.get(entity).ok_or_else(|| {
            AdapterError::Settings(format!("the connection has no entity `{entity}`"))
        })
    }

    async fn sample(&self, entity: &str) -> Result<Page, AdapterError> {
        let stream = self.stream(entity)?;
        let failed = |trouble: Trouble| trouble.into_adapter(entity);
        let mut page = PageBuilder::new(None);
        let mut reader =
            StreamReader::new(&self.session, stream, &Map::new()).await.map_err(failed)?;
        let mut line = 0;
        loop {
            match reader.step().await.map_err(failed)? {
                Step::Page { records, .. } => {
                    for record in records.into_iter().take(SAMPLE_LEN) {
                        line += 1;
                        push(&mut page, record, line);
                    }
                    if page.len() > 0 {
                        break;
                    }
                }
                Step::SliceDone => {}
                Step::SliceFailed(trouble) => return Err(failed(trouble)),
                Step::End => break,
            }
        }
        Ok(page.take(Cursor::Null, None))
    }

    async fn run(
        &self,
        request: ReadRequest,
        pages: mpsc::Sender<Page>,
    ) -> Result<ReadEnd, AdapterError> {
        let stream = self.stream(&request.entity)?;
        let failed = |trouble: Trouble| trouble.into_adapter(&request.entity);
        let at = match request.cursor.filter(|cursor| !cursor.is_null()) {
            None => At::default(),
            Some(cursor) => serde_json::from_value(cursor).map_err(|_| {
                AdapterError::Settings("the cursor is not one of this connection".to_owned())
            })?,
        };
        let mut reader =
            StreamReader::new(&self.session, stream, &at.state).await.map_err(failed)?;
        let mut page = PageBuilder::new(request.changed_since);
        page.set_source(&Arc::from(stream.name.as_str()));
        let mut seen = 0;
        let cursor = |seen: u64| {
            serde_json::to_value(At { state: at.state.clone(), skip: seen }).unwrap_or_default()
        };
        loop {
            match reader.step().await.map_err(failed)? {
                Step::Page { records, .. } => {
                    for record in records {
                        seen += 1;
                        if seen <= at.skip {
                            continue;
                        }
                        push(&mut page, record, seen);
                        if page.len() >= request.page_len
                            && pages.send(page.take(cursor(seen), None)).await.is_err()
                        {
                            return Ok(ReadEnd { cursor: cursor(seen), ..ReadEnd::default() });
                        }
                    }
                }
                Step::SliceDone => {}
                Step::SliceFailed(trouble) => {
                    // What was read of it is committed before the read is tried again.
                    if page.len() > 0 {
                        drop(pages.send(page.take(cursor(seen), None)).await);
                    }
                    return Err(failed(trouble));
                }
                Step::End => break,
            }
        }
        if page.len() > 0 && pages.send(page.take(cursor(seen), None)).await.is_err() {
            return Ok(ReadEnd { cursor: cursor(seen), ..ReadEnd::default() });
        }
        let end = serde_json::to_value(At { state: reader.state(), skip: 0 }).unwrap_or_default();
        Ok(ReadEnd { complete: true, cursor: end, ..ReadEnd::default() })
    }
}

fn push(page: &mut PageBuilder, record: Record, line: u64) {
    let shape = Arc::make_mut(&mut page.shape);
    let mut cells = Vec::with_capacity(record.len());
    for (name, value) in record {
        let index = match shape.position(&name) {
            Some(index) => index,
            None => shape.intern(&name),
        };
        if index >= cells.len() {
            cells.resize(index + 1, None);
        }
        cells[index] = Some(Value::from(value));
    }
    page.push(cells, line);
}

impl Adapter for ManifestAdapter {
    /// A stream with a cursor begins at a date, so it never names every record.
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            resumes: true,
            lists_all: self.entities.values().all(|stream| stream.cursor.is_none()),
            reading_costs_calls: true,
        }
    }

    fn check<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<(), AdapterError>> {
        async move { self.sample(entity).await.map(|_| ()) }.boxed()
    }

    fn discover<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<DiscoveredEntity, AdapterError>> {
        async move {
            let sample = self.sample(entity).await?;
            let fields = discover::fields(&sample);
            Ok(DiscoveredEntity { name: entity.to_owned(), fields, sample })
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        request: ReadRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'a, Result<ReadEnd, AdapterError>> {
        self.run(request, pages).boxed()
    }
}
