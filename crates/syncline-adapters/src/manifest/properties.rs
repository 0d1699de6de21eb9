//! Fields that have to be asked for by name: which there are, how many fit into one request, and how the
//! answers come together again.

use super::expression::Expression;
use super::interpolate::text_of;
use super::load::{Node, Stream, is_truthy};
use super::read::{Step, StreamReader};
use super::select::{Record, Transformation, at};
use super::session::Session;
use super::trouble::Trouble;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// What a delimiter between two names takes, encoded.
const DELIMITER_LEN: usize = 3;

/// The fields that requests ask for.
pub(super) struct Properties {
    /// The query parameter that carries them, where it is not a template that does.
    pub(super) parameter: Option<String>,
    source: Source,
    always: Vec<String>,
    chunks: Option<Chunks>,
    /// What is done to the names of the schema before they choose.
    selector: Option<Vec<Transformation>>,
    known: OnceCell<Vec<String>>,
}

enum Source {
    Fixed(Vec<String>),
    Endpoint { stream: Arc<Stream>, path: Vec<Expression> },
}

struct Chunks {
    limit: Option<usize>,
    by_characters: bool,
    key: Vec<String>,
}

impl Properties {
    /// The fields that `requester` asks for; `of_retriever` compiles what asks an endpoint for them.
    pub(super) fn load(
        requester: &Node<'_>,
        of_retriever: &dyn Fn(&Node<'_>) -> Result<Stream, Trouble>,
    ) -> Result<Option<Self>, Trouble> {
        let parameters = requester.child("request_parameters");
        let in_query = parameters.as_ref().and_then(|parameters| {
            let mut entries = parameters.entries().filter(|(_, value)| value.is_object());
            let (name, _) = entries.next()?;
            Some((name.clone(), parameters.child(name)?))
        });
        let endpoint = |node: &Node<'_>| -> Result<Source, Trouble> {
            Ok(Source::Endpoint {
                stream: Arc::new(of_retriever(node)?),
                path: node.expressions("property_field_path"),
            })
        };
        let (parameter, node) = match (in_query, requester.child("query_properties")) {
            (Some((name, node)), _) => (Some(name), node),
            (None, Some(node)) => (None, node),
            (None, None) => {
                let Some(node) = requester.child("fetch_properties_from_endpoint") else {
                    return Ok(None);
                };
                return Ok(Some(Self {
                    parameter: None,
                    source: endpoint(&node)?,
                    always: Vec::new(),
                    chunks: None,
                    selector: None,
                    known: OnceCell::new(),
                }));
            }
        };
        let texts = |name: &str| -> Vec<String> {
            let items = node.get(name).and_then(Json::as_array).into_iter().flatten();
            items.map(text_of).collect()
        };
        let source = match node.child("property_list") {
            Some(list) => endpoint(&list)?,
            None => Source::Fixed(texts("property_list")),
        };
        let selector = match node.child("property_selector") {
            None => None,
            Some(selector) if selector.kind() == "JsonSchemaPropertySelector" => Some(
                selector
                    .children("transformations")
                    .iter()
                    .map(Transformation::load)
                    .collect::<Result<_, _>>()?,
            ),
            Some(selector) => return Err(selector.unsupported("property selector")),
        };
        Ok(Some(Self {
            parameter,
            source,
            always: texts("always_include_properties"),
            chunks: node.child("property_chunking").map(|chunks| Chunks::load(&chunks)),
            selector,
            known: OnceCell::new(),
        }))
    }

    /// The names for each request that one page takes.
    pub(super) async fn requests(
        &self,
        session: &Arc<Session>,
        stream: &str,
    ) -> Result<Vec<Vec<String>>, Trouble> {
        let known = self.known.get_or_try_init(|| self.ask(session)).await?;
        let selected = match &self.selector {
            Some(transformations) => session.selected(stream).map(|mut selected| {
                for transformation in transformations {
                    transformation.apply(session, &Default::default(), &mut selected)?;
                }
                Ok::<_, Trouble>(selected)
            }),
            None => None,
        };
        let selected = selected.transpose()?;
        let is_wanted = |name: &&String| {
            selected.as_ref().is_none_or(|selected| selected.contains_key(name.as_str()))
        };
        let Some(chunks) = &self.chunks else {
            let wanted = known.iter().filter(is_wanted);
            return Ok(vec![self.always.iter().chain(wanted).cloned().collect()]);
        };
        let Some(limit) = chunks.limit else {
            return Ok(vec![known.iter().chain(&self.always).cloned().collect()]);
        };
        let (mut requests, mut chunk, mut len) = (Vec::new(), self.always.clone(), 0);
        for name in known.iter().filter(is_wanted) {
            let own = if chunks.by_characters { name.chars().count() + DELIMITER_LEN } else { 1 };
            if len + own > limit {
                requests.push(std::mem::replace(&mut chunk, self.always.clone()));
                len = 0;
            }
            chunk.push(name.clone());
            len += own;
        }
        requests.push(chunk);
        Ok(requests)
    }

    async fn ask(&self, session: &Arc<Session>) -> Result<Vec<String>, Trouble> {
        let (stream, path) = match &self.source {
            Source::Fixed(names) => return Ok(names.clone()),
            Source::Endpoint { stream, path } => (stream, path),
        };
        let mut steps = Vec::with_capacity(path.len());
        for step in path {
            steps.push(step.text(session.scope())?);
        }
        let mut reader = StreamReader::new(session, stream, &Map::new()).await?;
        let mut names = Vec::new();
        loop {
            match reader.step().await? {
                Step::Page { records, .. } => {
                    for record in records.made()? {
                        let name = at(&Json::Object(record), &steps).map(text_of);
                        names.push(name.unwrap_or_else(|| "[]".to_owned()));
                    }
                }
                Step::SliceDone { .. } => {}
                Step::SliceFailed(trouble) => return Err(trouble),
                Step::End => return Ok(names),
            }
        }
    }

    /// Whether the answers to the requests of one page are parts of the same records.
    pub(super) fn is_merged(&self) -> bool {
        self.chunks.is_some()
    }

    /// Adds `records`, which are parts of records, to those that came before.
    pub(super) fn merge(&self, merged: &mut Merged, records: Vec<Record>) {
        for record in records {
            match self.chunks.as_ref().and_then(|chunks| chunks.key_of(&record)) {
                None => merged.alone.push(record),
                Some(key) => match merged.places.get(&key) {
                    Some(place) => deep_merge(&mut merged.records[*place], record),
                    None => {
                        merged.places.insert(key, merged.records.len());
                        merged.records.push(record);
                    }
                },
            }
        }
    }
}

/// The records of a page, of which each came in several parts.
#[derive(Default)]
pub(super) struct Merged {
    alone: Vec<Record>,
    records: Vec<Record>,
    places: HashMap<String, usize>,
}

impl Merged {
    /// The records: first those without a key, as they came.
    pub(super) fn into_records(self) -> Vec<Record> {
        let mut records = self.alone;
        records.extend(self.records);
        records
    }
}

impl Chunks {
    fn load(node: &Node<'_>) -> Self {
        let key = node.child("record_merge_strategy").and_then(|strategy| {
            Some(match strategy.get("key")? {
                Json::Array(keys) => keys.iter().map(text_of).collect(),
                key => vec![text_of(key)],
            })
        });
        Self {
            limit: node.int("property_limit").and_then(|limit| usize::try_from(limit).ok()),
            by_characters: node.text("property_limit_type") == Some("characters"),
            key: key.unwrap_or_else(|| vec!["id".to_owned()]),
        }
    }

    fn key_of(&self, record: &Record) -> Option<String> {
        let mut parts = Vec::with_capacity(self.key.len());
        for name in &self.key {
            parts.push(text_of(record.get(name).filter(|value| is_truthy(value))?));
        }
        Some(parts.join(","))
    }
}

fn deep_merge(target: &mut Record, source: Record) {
    for (name, value) in source {
        match (target.get_mut(&name), value) {
            (Some(Json::Object(old)), Json::Object(new)) => deep_merge(old, new),
            (_, value) => {
                target.insert(name, value);
            }
        }
    }
}
