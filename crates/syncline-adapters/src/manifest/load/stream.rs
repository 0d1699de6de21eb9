//! One stream, compiled.

use super::super::decode::Decoder;
use super::super::expression::Expression;
use super::super::incremental::CursorSpec;
use super::super::interpolate::{Scope, StreamSlice};
use super::super::paginate::Paginator;
use super::super::partition::Router;
use super::super::request::{Parts, Requester};
use super::super::select::Selector;
use super::super::session::Session;
use super::super::trouble::Trouble;
use super::{Loader, Node, is_truthy};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// A stream that can be read.
pub(in super::super) struct Stream {
    pub(in super::super) name: String,
    /// The fields that name a record, one path each.
    pub(in super::super) primary_key: Vec<String>,
    pub(in super::super) schema: Json,
    pub(in super::super) requester: Requester,
    pub(in super::super) selector: Selector,
    pub(in super::super) paginator: Option<Paginator>,
    pub(in super::super) router: Option<Router>,
    pub(in super::super) cursor: Option<CursorSpec>,
    /// Whether the requests of later pages carry nothing of the slice.
    first_page_only: bool,
    /// The stream that is read instead where there is a state already.
    pub(in super::super) with_state: Option<Arc<Stream>>,
}

impl Stream {
    pub(super) fn load(loader: &Loader<'_>, node: &Node<'_>) -> Result<Self, Trouble> {
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
        let retriever = node.needed_child("retriever")?;
        if retriever.kind() != "SimpleRetriever" {
            return Err(retriever.unsupported("retriever"));
        }
        for name in ["page_size_reduction", "request_window_splitting"] {
            if retriever.get(name).is_some() {
                return Err(Trouble::config(format!(
                    "`{}.{name}` is not supported",
                    retriever.path
                )));
            }
        }
        let schema = schema(loader, node)?;
        let decoder = Decoder::load(retriever.child("decoder").as_ref())?;
        let selector = retriever.needed_child("record_selector")?;
        let parent = |node: &Node<'_>| {
            let name = node.text("name").unwrap_or_default();
            Self::load(loader, &node.named(format!("stream {name}")))
        };
        let cursor = node.child("incremental_sync");
        Ok(Self {
            name: node.text("name").unwrap_or_default().to_owned(),
            primary_key: primary_key(node.get("primary_key"))?,
            requester: Requester::load(&retriever.needed_child("requester")?)?,
            selector: Selector::load(&selector, node, &decoder, &schema)?,
            schema,
            paginator: Paginator::load(retriever.child("paginator"), &decoder)?,
            router: Router::load(&retriever, &parent)?,
            cursor: cursor.map(|cursor| CursorSpec::load(&cursor)).transpose()?,
            with_state: None,
            first_page_only: retriever
                .flag("ignore_stream_slicer_parameters_on_paginated_requests"),
        })
    }

    /// What paging and slicing add to a request.
    pub(in super::super) fn parts(
        &self,
        session: &Session,
        slice: &StreamSlice,
        token: Option<&Json>,
    ) -> Result<Parts, Trouble> {
        let mut parts = match &self.paginator {
            Some(paginator) => paginator.parts(session, token)?,
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

/// The JSON schema of the stream's records; an empty one where it is not known before they are read.
fn schema(loader: &Loader<'_>, node: &Node<'_>) -> Result<Json, Trouble> {
    let mut loaders = node.children("schema_loader");
    let single = match loaders.len() {
        0 => return Ok(from_file(loader, None, node)),
        1 => loaders.pop(),
        _ => None,
    };
    let one = |node: &Node<'_>| match node.kind() {
        "InlineSchemaLoader" => {
            Ok(node.get("schema").cloned().unwrap_or_else(|| Json::Object(Map::new())))
        }
        "JsonFileSchemaLoader" => Ok(from_file(loader, node.expression("file_path"), node)),
        "DynamicSchemaLoader" => Ok(Json::Object(Map::new())),
        _ => Err(node.unsupported("schema loader")),
    };
    if let Some(single) = single {
        return one(&single);
    }
    let mut properties = Map::new();
    for node in &loaders {
        if let Some(Json::Object(more)) = one(node)?.get("properties") {
            properties.extend(more.clone());
        }
    }
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), Json::Object(properties));
    Ok(Json::Object(schema))
}

fn from_file(loader: &Loader<'_>, path: Option<Expression>, node: &Node<'_>) -> Json {
    let scope = Scope::new(0).with("config", loader.config);
    let path = match path.as_ref().map(|path| path.text(scope)) {
        Some(Ok(path)) => path.trim_start_matches("./").to_owned(),
        _ => format!("schemas/{}.json", node.text("name").unwrap_or_default()),
    };
    let text = std::fs::read_to_string(loader.schemas.join(path)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|_| Json::Object(Map::new()))
}
