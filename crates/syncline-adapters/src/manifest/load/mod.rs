//! Loads a manifest: references and parameters resolved, every stream compiled once.

mod node;
mod propagate;
mod reference;
mod stream;

pub(super) use node::Node;
pub(super) use propagate::is_truthy;
pub(super) use stream::Stream;

use super::interpolate::{Scope, Template};
use super::limits::Budget;
use super::trouble::Trouble;
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncline_core::config::model::WriteBlock;
use syncline_core::config::model::indexed::IndexedMap;

/// A loaded manifest.
pub struct Manifest {
    spec: Json,
    /// The names of the streams that a check reads.
    pub(super) checked: Vec<String>,
    pub(super) streams: Vec<Declared>,
    /// How streams are written, by name.
    pub(super) writes: IndexedMap<WriteBlock>,
    /// How fast the system may be asked.
    pub(super) budget: Budget,
}

/// A stream of a manifest: compiled, or why it cannot be read.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) stream: Result<Arc<Stream>, Trouble>,
}

impl Manifest {
    /// Loads the manifest at `path`, or `manifest.yaml` in the folder `path`, for a connector with `config`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no manifest, or a reference in it leads nowhere. A stream that needs what
    /// is not supported is no error before it is asked for.
    pub fn load(path: &Path, config: &Json) -> Result<Self, Trouble> {
        let file = if path.is_dir() { path.join("manifest.yaml") } else { path.to_owned() };
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Trouble::config(format!("cannot read the manifest {}: {error}", file.display()))
        })?;
        Self::parse(&text, config, &file)
    }

    /// Loads the manifest `text`; schemas in files of their own stand beside `file`.
    ///
    /// # Errors
    ///
    /// As [`Manifest::load`].
    pub fn parse(text: &str, config: &Json, file: &Path) -> Result<Self, Trouble> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let raw: Json = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| Trouble::config(format!("{}: {error}", file.display())))?;
        let Json::Object(raw) = raw else {
            return Err(Trouble::config(format!("{} is no manifest", file.display())));
        };
        let has_writes = raw.contains_key("write");
        let mut root = resolved(raw)?;
        mark_kept(&mut root);
        let schemas = file.parent().map(Path::to_owned).unwrap_or_default();
        let loader = Loader { text, config, schemas };
        let node = Node::new(&root, String::new());
        let mut streams = Vec::new();
        for node in Node::new(&root, "manifest".to_owned()).children("streams") {
            loader.declare(&node, &mut streams)?;
        }
        for (index, node) in node.children("dynamic_streams").iter().enumerate() {
            let name =
                node.text("name").map_or_else(|| format!("dynamic_stream_{index}"), str::to_owned);
            let trouble = loader.explained(node.unsupported("stream"));
            streams.push(Declared { name, stream: Err(trouble) });
        }
        if streams.is_empty() {
            return Err(Trouble::config(format!("{} declares no streams", file.display())));
        }
        let known: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
        let writes = super::write::load(file, text, has_writes, &known)?;
        let names = node.child("check").and_then(|check| check.get("stream_names").cloned());
        let names = names.as_ref().and_then(Json::as_array).into_iter().flatten();
        Ok(Self {
            spec: spec(root.get("spec")),
            checked: names.filter_map(Json::as_str).map(str::to_owned).collect(),
            streams,
            writes,
            budget: Budget::load(node.child("api_budget").as_ref(), config)
                .map_err(|trouble| loader.explained(trouble))?,
        })
    }

    /// The specification of the connector's configuration, as the Airbyte protocol has it.
    pub fn spec(&self) -> &Json {
        &self.spec
    }

    /// The stream `name`.
    pub(super) fn stream(&self, name: &str) -> Result<&Arc<Stream>, Trouble> {
        let declared = self.streams.iter().find(|declared| declared.name == name);
        match declared {
            Some(declared) => declared.stream.as_ref().map_err(Clone::clone),
            None => {
                let names: Vec<&str> = self.streams.iter().map(|s| s.name.as_str()).collect();
                Err(Trouble::config(format!(
                    "the manifest has no stream `{name}`; it has {}",
                    names.join(", ")
                )))
            }
        }
    }
}

/// The manifest with references and parameters resolved. What only others refer to is left out.
fn resolved(raw: Map<String, Json>) -> Result<Map<String, Json>, Trouble> {
    let whole = Json::Object(raw);
    let mut used = Map::new();
    for name in ["streams", "dynamic_streams", "check", "spec", "api_budget"] {
        if let Some(part) = whole.get(name) {
            used.insert(name.to_owned(), reference::resolve(&whole, part)?);
        }
    }
    used.insert("type".to_owned(), Json::from("DeclarativeSource"));
    propagate::propagate("", &mut used, &Map::new());
    Ok(used)
}

fn spec(declared: Option<&Json>) -> Json {
    let mut spec = Map::new();
    let declared = declared.and_then(Json::as_object);
    let schema = declared.and_then(|declared| declared.get("connection_specification"));
    let schema = schema.cloned().unwrap_or_else(|| Json::Object(Map::new()));
    spec.insert("connectionSpecification".to_owned(), schema);
    for (from, to) in
        [("documentation_url", "documentationUrl"), ("advanced_auth", "advanced_auth")]
    {
        if let Some(value) = declared.and_then(|declared| declared.get(from)) {
            spec.insert(to.to_owned(), value.clone());
        }
    }
    Json::Object(spec)
}

/// Marks the requesters of parent streams, whose responses are kept for their children.
fn mark_kept(root: &mut Map<String, Json>) {
    fn keep(stream: &mut Json) {
        for name in ["full_refresh_stream", "incremental_stream"] {
            if let Some(stream) = stream.get_mut(name) {
                keep(stream);
            }
        }
        if let Some(Json::Object(requester)) = stream.pointer_mut("/retriever/requester")
            && requester.get("use_cache") != Some(&Json::Bool(false))
        {
            requester.insert("use_cache".to_owned(), Json::Bool(true));
        }
    }
    fn routers(value: &mut Json, parents: &mut HashSet<String>) {
        match value {
            Json::Array(items) => items.iter_mut().for_each(|item| routers(item, parents)),
            Json::Object(router) => {
                if let Some(Json::Array(configs)) = router.get_mut("parent_stream_configs") {
                    for stream in configs.iter_mut().filter_map(|config| config.get_mut("stream")) {
                        parents
                            .extend(stream.get("name").and_then(Json::as_str).map(str::to_owned));
                        keep(stream);
                    }
                }
                for name in ["partition_routers", "underlying_partition_router"] {
                    if let Some(nested) = router.get_mut(name) {
                        routers(nested, parents);
                    }
                }
            }
            _ => {}
        }
    }
    let mut parents = HashSet::new();
    let Some(Json::Array(streams)) = root.get_mut("streams") else { return };
    for stream in streams.iter_mut() {
        if let Some(router) = stream.pointer_mut("/retriever/partition_router") {
            routers(router, &mut parents);
        }
    }
    for stream in streams {
        if stream.get("name").and_then(Json::as_str).is_some_and(|name| parents.contains(name)) {
            keep(stream);
        }
    }
}

/// Compiles streams.
pub(super) struct Loader<'a> {
    text: &'a str,
    config: &'a Json,
    /// The folder that schemas in files of their own stand in.
    schemas: PathBuf,
}

impl Loader<'_> {
    fn declare(&self, node: &Node<'_>, streams: &mut Vec<Declared>) -> Result<(), Trouble> {
        if node.kind() == "ConditionalStreams" {
            let condition = node.text("condition").unwrap_or_default();
            let scope = Scope::new(0).with("config", self.config);
            let parameters = node.parameters.clone();
            if Template::new(condition).eval_bool(&scope.with("parameters", &parameters))? {
                for node in node.children("streams") {
                    self.declare(&node, streams)?;
                }
            }
            return Ok(());
        }
        let name = node.text("name").unwrap_or_default().to_owned();
        let named = node.named(format!("stream {name}"));
        let stream = Stream::load(self, &named).map(Arc::new);
        streams.push(Declared { name, stream: stream.map_err(|trouble| self.explained(trouble)) });
        Ok(())
    }

    /// The trouble with where its class stands in the file, and with what can be done.
    fn explained(&self, mut trouble: Trouble) -> Trouble {
        if !trouble.message.ends_with("which is not supported") {
            return trouble;
        }
        let mut quoted = trouble.message.split('`').skip(1).step_by(2).skip(1).collect::<Vec<_>>();
        quoted.reverse();
        let place = quoted.iter().find_map(|name| {
            let mut lines = self.text.lines().enumerate();
            lines.find_map(|(line, text)| Some((line + 1, text.find(name)? + 1)))
        });
        if let Some((line, column)) = place {
            trouble.message += &format!(" (line {line}, column {column} of the manifest)");
        }
        trouble.message += "; leave the stream out, or describe it without that class";
        trouble
    }
}
