//! A connector as a connection: each stream is an entity.

use super::auth::OAuth;
use super::limits::{Gate, Limiter};
use super::load::Stream;
use super::read::{Step, StreamReader};
use super::select::{Each, Record};
use super::write::{Naming, Writing};
use super::{Clock, Manifest, Reach, Session, Trouble};
use crate::Shared;
use crate::object::cells;
use crate::page::PageBuilder;
use crate::write::{Replies, Write, WriteCapabilities, Writer, Written};
use crate::{
    Adapter, AdapterError, Capabilities, DiscoveredEntity, ReadEnd, ReadRequest, discover,
};
use compact_str::CompactString;
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
use tokio::sync::{Mutex, OnceCell, Semaphore, mpsc};

const SAMPLE_LEN: usize = 100;

const FORGOTTEN: &str =
    "the API had forgotten where the last read stopped, so everything was read again";

/// Reads the streams of one connector.
pub(crate) struct ManifestAdapter {
    session: Arc<Session>,
    manifest: Mutex<Manifest>,
    entities: BTreeMap<String, Entity>,
    lists_all: bool,
    /// The slots for slices that are read beside the first of a stream.
    slots: Arc<Semaphore>,
    /// Whether any of them can be written.
    writes: bool,
}

/// A stream as an entity.
struct Entity {
    stream: String,
    /// One that a template makes is not known before the API was asked.
    known: OnceCell<Known>,
    naming: Naming,
}

/// A stream that is known, and how it is written.
struct Known {
    stream: Arc<Stream>,
    writing: Option<Writing>,
}

impl Known {
    fn of(manifest: &Manifest, stream: &Arc<Stream>, naming: &Naming) -> Self {
        let block = manifest.writes.position(&stream.name);
        let block = block.map(|index| &manifest.writes.0[index].1);
        let writing = block.and_then(|block| Writing::new(stream, block, naming));
        Self { stream: stream.clone(), writing }
    }
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
    pub(crate) fn new(
        connection: &Connection,
        base: &Path,
        name: &str,
        shared: &Shared,
    ) -> Result<Self, Trouble> {
        let Settings::Manifest(own) = &connection.settings else {
            return Err(Trouble::config("its settings are not those of a manifest"));
        };
        let path = own.manifest.as_ref();
        let path = path.ok_or_else(|| Trouble::config("the connection names no `manifest`"))?;
        let config = serde_json::to_value(&own.config).unwrap_or_default();
        let manifest = Manifest::load(base, Path::new(path), &config)?;
        manifest.allowed()?;
        let mut entities = BTreeMap::new();
        let (mut lists_all, mut writes) = (true, false);
        for (name, entity) in &connection.entities {
            let EntitySettings::Stream(own) = &entity.settings else {
                let problem = format!("entity {name}: its settings are not those of a stream");
                return Err(Trouble::config(problem));
            };
            let stream = own.stream.as_deref().unwrap_or(name);
            let known = OnceCell::new();
            let naming =
                Naming { key: entity.key.as_slice().to_vec(), version: entity.version.clone() };
            match manifest.stream(stream) {
                Ok(found) => {
                    lists_all &= found.cursor.is_none();
                    drop(known.set(Known::of(&manifest, found, &naming)));
                }
                Err(_) if manifest.may_make(stream) => lists_all &= !manifest.may_have_cursors(),
                Err(trouble) => {
                    let message = format!("entity {name}: {}", trouble.message);
                    return Err(Trouble { message, ..trouble });
                }
            }
            writes |= manifest.writes.position(stream).is_some();
            let entity = Entity { stream: stream.to_owned(), known, naming };
            entities.insert(name.clone(), entity);
        }
        let budget = manifest.budget.clone().with_settings(&own.limits);
        let limiter = shared.limiter(name, || Limiter::new(budget.rules(&own.limits)));
        let tenant = shared.tenant().map(|tenant| (tenant, name.to_owned()));
        let reach = if own.allow_private { Reach::Everywhere } else { Reach::Public };
        let session = Session::new(&manifest, Clock::System, reach)?;
        let session = session.through(Gate::new(budget, limiter, tenant));
        let session = session.keeping(shared.kept(name));
        let slots = Arc::new(Semaphore::new(manifest.side_by_side - 1));
        let (session, manifest) = (Arc::new(session), Mutex::new(manifest));
        Ok(Self { session, manifest, entities, lists_all, slots, writes })
    }

    /// The ways in which its streams get their tokens.
    pub(super) fn authorizations(&self) -> impl Iterator<Item = (&OAuth, &Arc<Session>)> {
        let known = self.entities.values().filter_map(|entity| entity.known.get());
        let authenticators = known.map(|known| known.stream.requester.authenticator());
        authenticators.flat_map(|one| one.oauths()).map(|oauth| (oauth, &self.session))
    }

    async fn known(&self, entity: &str) -> Result<(&Known, bool), AdapterError> {
        let found = self.entities.get(entity).ok_or_else(|| {
            AdapterError::Settings(format!("the connection has no entity `{entity}`"))
        })?;
        let known = found.known.get_or_try_init(|| async {
            let mut manifest = self.manifest.lock().await;
            manifest.expand(&self.session).await?;
            let stream = manifest.stream(&found.stream)?;
            Ok(Known::of(&manifest, stream, &found.naming))
        });
        let known = known.await;
        let known =
            known.map_err(|trouble: Trouble| self.session.hidden(trouble).into_adapter(entity))?;
        Ok((known, found.naming.version.is_some()))
    }

    async fn stream(&self, entity: &str) -> Result<&Arc<Stream>, AdapterError> {
        Ok(&self.known(entity).await?.0.stream)
    }

    async fn writing(&self, entity: &str) -> Result<(&Writing, bool), AdapterError> {
        let (Known { stream, writing }, is_versioned) = self.known(entity).await?;
        let writing = writing.as_ref().ok_or_else(|| {
            AdapterError::Settings(format!(
                "the stream `{}` has no `write` block, so it is only read: see docs/connectors.md",
                stream.name
            ))
        })?;
        if stream.selector.normalises {
            let failed = |trouble: Trouble| self.session.hidden(trouble).into_adapter(entity);
            stream.schema.get(&self.session).await.map_err(failed)?;
        }
        Ok((writing, is_versioned))
    }

    async fn sample(&self, entity: &str) -> Result<Page, AdapterError> {
        let stream = self.stream(entity).await?;
        let failed = |trouble: Trouble| self.session.hidden(trouble).into_adapter(entity);
        let mut page = PageBuilder::new(None);
        let mut reader =
            StreamReader::new(&self.session, stream, &Map::new()).await.map_err(failed)?;
        let mut line = 0;
        loop {
            match reader.step().await.map_err(failed)? {
                Step::Page { records, .. } => {
                    let records = records.made().map_err(failed)?;
                    for record in records.into_iter().take(SAMPLE_LEN) {
                        line += 1;
                        push(&mut page, record, line);
                    }
                    if page.len() > 0 {
                        break;
                    }
                }
                Step::SliceDone { .. } => {}
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
        let stream = self.stream(&request.entity).await?;
        let failed = |trouble: Trouble| self.session.hidden(trouble).into_adapter(&request.entity);
        let at = match request.cursor.filter(|cursor| !cursor.is_null()) {
            None => At::default(),
            Some(cursor) => serde_json::from_value(cursor).map_err(|_| {
                AdapterError::Settings("the cursor is not one of this connection".to_owned())
            })?,
        };
        let reader = StreamReader::new(&self.session, stream, &at.state).await.map_err(failed)?;
        let mut reader = reader.side_by_side(&self.slots);
        let mut page = PageBuilder::new(request.changed_since);
        page.set_source(&Arc::from(stream.name.as_str()));
        let mut seen = 0;
        let mut incomplete = None;
        let cursor = |seen: u64| {
            serde_json::to_value(At { state: at.state.clone(), skip: seen }).unwrap_or_default()
        };
        loop {
            match reader.step().await.map_err(failed)? {
                Step::Page { mut records, .. } => {
                    for record in records.each() {
                        seen += 1;
                        if seen <= at.skip {
                            continue;
                        }
                        match record {
                            Each::Made(record) => push(&mut page, record, seen),
                            Each::AsSent(text) => match cells(text.as_bytes(), &mut page.shape) {
                                Ok(cells) => page.push(cells, seen),
                                Err(problem) => page.reject(seen, text.as_bytes(), problem),
                            },
                        }
                        if page.len() >= request.page_len
                            && pages.send(page.take(cursor(seen), None)).await.is_err()
                        {
                            return Ok(ReadEnd { cursor: cursor(seen), ..ReadEnd::default() });
                        }
                    }
                }
                Step::SliceDone { doubt } => incomplete = incomplete.or(doubt),
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
        let standing = reader.standing().cloned().unwrap_or_default();
        let remark = standing.forgot.then(|| FORGOTTEN.to_owned());
        let listed_all = standing.lists_all && !request.full;
        // What may not be whole is read once more from where it began.
        let state = if incomplete.is_some() { at.state } else { reader.state() };
        let end = serde_json::to_value(At { state, skip: 0 }).unwrap_or_default();
        Ok(ReadEnd {
            complete: incomplete.is_none(),
            listed_all: listed_all && incomplete.is_none(),
            incomplete_because: incomplete,
            remark,
            cursor: end,
            ..ReadEnd::default()
        })
    }
}

pub(super) fn push(page: &mut PageBuilder, record: Record, line: u64) {
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
        Capabilities { resumes: true, lists_all: self.lists_all, reading_costs_calls: true }
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
            Ok(discover::entity(entity, sample))
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

    fn writer(&self) -> Option<&dyn Writer> {
        self.writes.then_some(self)
    }
}

impl Writer for ManifestAdapter {
    fn capabilities<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<WriteCapabilities, AdapterError>> {
        async move {
            let (writing, is_versioned) = self.writing(entity).await?;
            writing.capabilities(entity, is_versioned)
        }
        .boxed()
    }

    fn write<'a>(&'a self, entity: &'a str, writes: Vec<Write>) -> BoxFuture<'a, Replies> {
        async move {
            match self.writing(entity).await {
                Ok((writing, _)) => writing.write(&self.session, writes).await,
                Err(error) => {
                    let problem = error.to_string();
                    let not_sent = Written::NotSent { problem, retry_after_ms: None };
                    Replies { written: vec![not_sent; writes.len()], ..Replies::default() }
                }
            }
        }
        .boxed()
    }

    fn get<'a>(
        &'a self,
        entity: &'a str,
        keys: Vec<Vec<CompactString>>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        async move { self.writing(entity).await?.0.get(&self.session, entity, keys).await }.boxed()
    }

    fn find<'a>(
        &'a self,
        entity: &'a str,
        writes: Vec<Write>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        async move { self.writing(entity).await?.0.find(&self.session, entity, &writes).await }
            .boxed()
    }
}
