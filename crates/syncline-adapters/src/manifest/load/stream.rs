//! One stream, compiled.

use super::super::again::Again;
use super::super::decode::Decoder;
use super::super::errors::Action;
use super::super::incremental::{CursorSpec, SyncToken};
use super::super::interpolate::StreamSlice;
use super::super::job::Job;
use super::super::paginate::Paginator;
use super::super::partition::Router;
use super::super::properties::Properties;
use super::super::request::{Parts, Requester};
use super::super::select::{Extractor, Selector};
use super::super::session::Session;
use super::super::smaller::{Halving, ShorterPages};
use super::super::trouble::Trouble;
use super::schema::Schema;
use super::{Loader, Node, is_truthy};
use serde_json::Value as Json;
use std::sync::Arc;

/// A stream that can be read.
pub(in super::super) struct Stream {
    pub(in super::super) name: String,
    /// The fields that name a record, one path each.
    pub(in super::super) primary_key: Vec<String>,
    pub(in super::super) schema: Schema,
    pub(in super::super) requester: Requester,
    pub(in super::super) selector: Selector,
    pub(in super::super) paginator: Option<Paginator>,
    pub(in super::super) router: Option<Router>,
    pub(in super::super) cursor: Option<CursorSpec>,
    /// The token by which the API remembers what it has told, in place of a cursor.
    pub(in super::super) sync_token: Option<SyncToken>,
    /// How pages are made shorter where the API says that they are too long.
    pub(in super::super) shorter_pages: Option<ShorterPages>,
    /// How windows are halved where the API says that they are too long.
    pub(in super::super) halving: Option<Halving>,
    /// When pages are begun again with the first, and from where.
    pub(in super::super) again: Option<Again>,
    /// Whether the requests of later pages carry nothing of the slice.
    first_page_only: bool,
    /// The work that the API does before there is something to read.
    pub(in super::super) job: Option<Job>,
    /// The fields that are asked for, where they have to be named.
    pub(in super::super) properties: Option<Properties>,
    /// The stream that is read instead where there is a state already.
    pub(in super::super) with_state: Option<Arc<Stream>>,
}

impl Stream {
    pub(super) fn load(loader: &Loader, node: &Node<'_>) -> Result<Self, Trouble> {
        if node.kind() == "StateDelegatingStream" {
            let with_state = Self::load(loader, &node.needed_child("incremental_stream")?)?;
            let mut first = Self::load(loader, &node.needed_child("full_refresh_stream")?)?;
            first.with_state = Some(Arc::new(with_state));
            return Ok(first);
        }
        if node.kind() != "DeclarativeStream" {
            return Err(node.unsupported("stream"));
        }
        if let Some(migration) = node
            .children("state_migrations")
            .into_iter()
            .find(|migration| migration.kind() != "LegacyToPerPartitionStateMigration")
        {
            return Err(migration.unsupported("state migration"));
        }
        if let Some(uploader) = node.child("file_uploader") {
            return Err(uploader.unsupported("file uploader"));
        }
        let mut stream = Self::of_retriever(loader, node, node.text("name").unwrap_or_default())?;
        stream.primary_key = primary_key(node.get("primary_key"))?;
        stream.schema = Schema::load(loader, node)?;
        let cursor = node.child("incremental_sync");
        if let Some(cursor) = cursor.as_ref().filter(|cursor| cursor.kind() == "SyncTokenCursor") {
            if stream.router.is_some() {
                let problem = "is for the whole stream, so it cannot have partitions";
                return Err(Trouble::config(format!("`{}` {problem}", cursor.path)));
            }
            stream.sync_token = Some(SyncToken::load(cursor)?);
            return Ok(stream);
        }
        let brings_first_pages = stream.router.as_ref().is_some_and(Router::brings_first_pages);
        if let Some(cursor) = cursor.as_ref().filter(|cursor| cursor.get("step").is_some())
            && brings_first_pages
        {
            return Err(Trouble::config(format!(
                "`{}.step` cannot be together with a `lazy_read_pointer`: the parent's record holds one first page",
                cursor.path
            )));
        }
        stream.cursor = cursor.map(|cursor| CursorSpec::load(&cursor)).transpose()?;
        if let (Some(cursor), Some(Router::Grouped { .. })) = (&mut stream.cursor, &stream.router) {
            // Which partitions are in a group may be another thing next time.
            cursor.is_global = true;
        }
        Ok(stream)
    }

    /// The stream of what the retriever of `node` gives, under the name `name`.
    pub(super) fn of_retriever(
        loader: &Loader,
        node: &Node<'_>,
        name: &str,
    ) -> Result<Self, Trouble> {
        let retriever = node.needed_child("retriever")?;
        if !matches!(retriever.kind(), "SimpleRetriever" | "AsyncRetriever") {
            return Err(retriever.unsupported("retriever"));
        }
        let selector = retriever.needed_child("record_selector")?;
        let parent = |node: &Node<'_>| {
            let name = node.text("name").unwrap_or_default();
            Self::load(loader, &node.named(format!("stream {name}")))
        };
        let (requester, decoder, extractor, paginator, job) = match retriever.kind() {
            "AsyncRetriever" => {
                let decoder = Decoder::load(retriever.child("download_decoder").as_ref())?;
                let extractor = match retriever.child("download_extractor") {
                    Some(extractor) => Extractor::load(&extractor, &decoder)?,
                    None => Extractor::whole(&decoder),
                };
                let job = Job::load(&retriever)?;
                ("download_requester", decoder, extractor, "download_paginator", Some(job))
            }
            _ => {
                let decoder = Decoder::load(retriever.child("decoder").as_ref())?;
                let extractor = Extractor::load(&selector.needed_child("extractor")?, &decoder)?;
                ("requester", decoder, extractor, "paginator", None)
            }
        };
        let requester = retriever.needed_child(requester)?;
        let of_properties = |node: &Node<'_>| Self::of_retriever(loader, node, name);
        let shorter_pages = retriever.child("page_size_reduction");
        let halving = retriever.child("request_window_splitting");
        let again = retriever.child("pagination_reset");
        let stream = Self {
            name: name.to_owned(),
            primary_key: Vec::new(),
            properties: Properties::load(&requester, &of_properties)?,
            requester: Requester::load(&requester)?,
            selector: Selector::load(&selector, node, extractor)?,
            schema: Schema::none(),
            paginator: Paginator::load(retriever.child(paginator), &decoder)?,
            router: Router::load(&retriever, &parent)?,
            cursor: None,
            sync_token: None,
            job,
            with_state: None,
            shorter_pages: shorter_pages.map(|node| ShorterPages::load(&node)).transpose()?,
            again: again.map(|node| Again::load(&node)).transpose()?,
            halving: halving.map(|node| Halving::load(&node)).transpose()?,
            first_page_only: retriever
                .flag("ignore_stream_slicer_parameters_on_paginated_requests"),
        };
        stream.check_smaller(&retriever)?;
        Ok(stream)
    }

    /// Whether what may be asked for in smaller parts can be.
    fn check_smaller(&self, retriever: &Node<'_>) -> Result<(), Trouble> {
        let needs = |field: &str, what: &str| {
            Trouble::config(format!("`{}` with `{field}` needs {what}", retriever.path))
        };
        let pages = "page_size_reduction";
        if self.requester.may(Action::ShortenPage) && self.shorter_pages.is_none() {
            return Err(needs("REDUCE_PAGE_SIZE", "a `page_size_reduction`"));
        }
        if self.requester.may(Action::HalveWindow) && self.halving.is_none() {
            return Err(needs("SPLIT_REQUEST_WINDOW", "a `request_window_splitting`"));
        }
        let brings_pages = self.router.as_ref().is_some_and(Router::brings_first_pages);
        if self.shorter_pages.is_some() {
            if !self.paginator.as_ref().is_some_and(Paginator::can_shorten) {
                let what = "`CursorPagination` or `OffsetIncrement` with a `page_size`, a `page_size_option`, and no \
                            `RequestPath`";
                return Err(needs(pages, what));
            }
            if self.properties.is_some() {
                return Err(needs(pages, "requests without query properties"));
            }
        }
        if brings_pages && (self.shorter_pages.is_some() || self.halving.is_some()) {
            return Err(needs("lazy_read_pointer", "pages and windows of one size"));
        }
        Ok(())
    }

    /// What paging and slicing add to a request.
    pub(in super::super) fn parts(
        &self,
        session: &Session,
        slice: &StreamSlice,
        token: Option<&Json>,
        size: Option<i64>,
    ) -> Result<Parts, Trouble> {
        let mut parts = match &self.paginator {
            Some(paginator) => paginator.parts(session, token, size)?,
            None => Parts::default(),
        };
        if token.is_none() || !self.first_page_only {
            let mut sliced = match &self.router {
                Some(router) => router.parts(session, slice)?,
                None => Parts::default(),
            };
            if let Some(cursor) = &self.cursor {
                let windowed = cursor.parts(session, slice)?;
                sliced.query.extend(windowed.query);
                sliced.headers.extend(windowed.headers);
                sliced.merge(Parts {
                    form: windowed.form,
                    json: windowed.json,
                    ..Parts::default()
                })?;
            }
            parts.merge(sliced)?;
        }
        if let Some(sync_token) = &self.sync_token {
            parts.merge(sync_token.parts(session, slice)?)?;
        }
        Ok(parts)
    }
}

fn primary_key(declared: Option<&Json>) -> Result<Vec<String>, Trouble> {
    let text = |key: &Json| match key {
        Json::String(key) => Ok(key.clone()),
        Json::Array(path) => match path.as_slice() {
            [Json::String(key)] => Ok(key.clone()),
            _ => Err(Trouble::config(format!(
                "the primary key `{key}` is nested, which is not supported"
            ))),
        },
        _ => Err(Trouble::config(format!("`{key}` is no primary key"))),
    };
    match declared {
        None => Ok(Vec::new()),
        Some(Json::Array(keys)) => keys.iter().map(text).collect(),
        Some(key) if is_truthy(key) => Ok(vec![text(key)?]),
        Some(_) => Ok(Vec::new()),
    }
}
