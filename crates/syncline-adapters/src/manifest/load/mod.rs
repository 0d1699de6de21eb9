//! Loads a manifest: references and parameters resolved, every stream compiled once.

mod config;
mod dynamic;
mod node;
mod propagate;
mod reference;
mod schema;
mod stream;

pub(super) use node::Node;
pub(super) use propagate::is_truthy;
pub(super) use stream::Stream;

use super::interpolate::{Scope, Template};
use super::limits::Budget;
use super::session::Session;
use super::source::Source;
use super::trouble::Trouble;
use dynamic::Dynamic;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncline_core::config::model::WriteBlock;
use syncline_core::config::model::indexed::IndexedMap;

/// More slices than this are not read at a time, whatever a manifest says: each holds up to three pages.
const SIDE_BY_SIDE_MAX: usize = 8;

/// A loaded manifest.
pub struct Manifest {
    spec: Json,
    loader: Loader,
    migrated: Option<Json>,
    refused: Option<Trouble>,
    /// How many slices the connector lets be read at a time.
    pub(super) side_by_side: usize,
    /// The groups of which one stream at a time is read, by the names of their streams.
    groups: HashMap<String, usize>,
    pub(super) check: Check,
    pub(super) streams: Vec<Declared>,
    /// How streams are written, by name.
    pub(super) writes: IndexedMap<WriteBlock>,
    /// How fast the system may be asked.
    pub(super) budget: Budget,
    /// Templates whose streams are not known yet.
    templates: Vec<Dynamic>,
}

/// Which streams a check reads.
#[derive(Default)]
pub(super) struct Check {
    pub(super) names: Vec<String>,
    /// How many streams of a template, by its name; all of them where it does not say.
    pub(super) templates: Vec<(String, Option<usize>)>,
    /// How many of the first streams.
    pub(super) first: usize,
    /// Whether it is enough that there are streams.
    pub(super) only_counts: bool,
}

/// A stream of a manifest: compiled, or why it cannot be read.
pub(super) struct Declared {
    pub(super) name: String,
    /// The template that it was made of.
    pub(super) template: Option<String>,
    pub(super) stream: Result<Arc<Stream>, Trouble>,
}

impl Manifest {
    /// Loads what `named` names, for a connector with `config`: a file in the folder `base`, a folder there with a
    /// `manifest.yaml` in it, or a connector that is built in.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no manifest, or a reference in it leads nowhere. A stream that needs what
    /// is not supported is no error before it is asked for.
    pub fn load(base: &Path, named: &Path, config: &Json) -> Result<Self, Trouble> {
        let source = Source::find(base, named)?;
        let root = Self::root(&source)?;
        Self::of(source, root, config)
    }

    /// The manifest as it is once references and parameters are resolved.
    pub(super) fn root(source: &Source) -> Result<Map<String, Json>, Trouble> {
        // Of two entries with one name the last one counts, as it does for whoever wrote the manifest.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        };
        let raw: Json = serde_saphyr::from_str_with_options(&source.text, options)
            .map_err(|error| Trouble::config(format!("{}: {error}", source.file.display())))?;
        let Json::Object(raw) = raw else {
            return Err(Trouble::config(format!("{} is no manifest", source.file.display())));
        };
        let mut root = resolved(raw)?;
        if let Some(Json::Array(streams)) = root.get_mut("streams") {
            mark_kept(streams);
        }
        Ok(root)
    }

    /// Compiles what [`Manifest::root`] gave.
    pub(super) fn of(
        source: Source,
        root: Map<String, Json>,
        config: &Json,
    ) -> Result<Self, Trouble> {
        let Source { file, text, write, folder } = source;
        let has_writes = root.contains_key("write");
        let node = Node::new(&root, "manifest".to_owned());
        let normal = config::normal(node.child("spec").as_ref(), config)?;
        let loader = Loader { text, config: normal.config, folder };
        let mut streams = Vec::new();
        for node in node.children("streams") {
            loader.declare(&node, None, &mut streams)?;
        }
        let mut templates = Vec::new();
        for (index, node) in node.children("dynamic_streams").iter().enumerate() {
            match Dynamic::load(&loader, node, index) {
                Ok(template) => templates.push(template),
                Err(trouble) => streams.push(Declared {
                    name: node.text("name").unwrap_or("dynamic_stream").to_owned(),
                    template: None,
                    stream: Err(loader.explained(trouble)),
                }),
            }
        }
        if streams.is_empty() && templates.is_empty() {
            return Err(Trouble::config(format!("{} declares no streams", file.display())));
        }
        let known: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
        let writes = super::write::load(&file, has_writes.then_some(&loader.text), write, &known)?;
        let budget = Budget::load(node.child("api_budget").as_ref(), &loader.config)
            .map_err(|trouble| loader.explained(trouble))?;
        Ok(Self {
            spec: spec(root.get("spec")),
            migrated: normal.migrated,
            refused: normal.refused,
            side_by_side: side_by_side(&node, &loader.config),
            groups: groups(&node),
            check: Check::load(node.child("check").as_ref()),
            loader,
            streams,
            writes,
            budget,
            templates,
        })
    }

    /// The configuration as the manifest's rules make it: what a session is begun with.
    pub fn config(&self) -> &Json {
        &self.loader.config
    }

    /// The configuration in the form of today, where what was given was an older one.
    pub(super) fn migrated(&self) -> Option<&Json> {
        self.migrated.as_ref()
    }

    /// Whether the configuration is one that the manifest's validations allow.
    ///
    /// # Errors
    ///
    /// [`Trouble`] of the configuration, without its values.
    pub(super) fn allowed(&self) -> Result<(), Trouble> {
        self.refused.clone().map_or(Ok(()), Err)
    }

    /// Makes the streams of the templates, for which the API may have to be asked.
    ///
    /// # Errors
    ///
    /// When it cannot be told which streams there are.
    pub(super) async fn expand(&mut self, session: &Arc<Session>) -> Result<(), Trouble> {
        let mut made = Vec::new();
        for template in &self.templates {
            for component in template.components(session).await? {
                made.push((template.name.clone(), component));
            }
        }
        self.templates.clear();
        let (names, mut components): (Vec<String>, Vec<Json>) = made.into_iter().unzip();
        mark_kept(&mut components);
        for (template, component) in names.iter().zip(&components) {
            let Json::Object(component) = component else { continue };
            let node = Node::new(component, template.clone());
            self.loader.declare(&node, Some(template), &mut self.streams)?;
        }
        Ok(())
    }

    /// Whether there are templates whose streams are not known yet.
    pub(super) fn has_templates(&self) -> bool {
        !self.templates.is_empty()
    }

    /// Whether a template may make the stream `name`, which is not declared itself.
    pub(super) fn may_make(&self, name: &str) -> bool {
        self.has_templates() && self.streams.iter().all(|declared| declared.name != name)
    }

    /// Whether a stream that is not known yet may have a cursor.
    pub(super) fn may_have_cursors(&self) -> bool {
        self.templates.iter().any(Dynamic::has_cursor)
    }

    /// The groups that `stream` is in with its parents, by number: nothing else of them is read at the same time.
    pub(super) fn groups_of(&self, stream: &Stream) -> BTreeSet<usize> {
        let mut names = vec![stream.name.as_str()];
        stream.router.iter().for_each(|router| router.parents(&mut names));
        names.into_iter().filter_map(|name| self.groups.get(name).copied()).collect()
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
    for name in [
        "streams",
        "dynamic_streams",
        "check",
        "spec",
        "api_budget",
        "concurrency_level",
        "stream_groups",
    ] {
        if let Some(part) = whole.get(name) {
            used.insert(name.to_owned(), reference::resolve(&whole, part)?);
        }
    }
    used.insert("type".to_owned(), Json::from("DeclarativeSource"));
    propagate::propagate("", &mut used, &Map::new(), false);
    // No part of the language: nothing in it is resolved.
    if let Some(write) = whole.get("write") {
        used.insert("write".to_owned(), write.clone());
    }
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

/// The groups of which one stream at a time is read.
fn groups(manifest: &Node<'_>) -> HashMap<String, usize> {
    let mut groups = HashMap::new();
    let declared = manifest.child("stream_groups");
    for (index, (_, group)) in declared.iter().flat_map(Node::entries).enumerate() {
        let streams = group.get("streams").and_then(Json::as_array).into_iter().flatten();
        let names = streams.filter_map(|stream| stream.get("name")?.as_str());
        groups.extend(names.map(|name| (name.to_owned(), index)));
    }
    groups
}

/// The number of slices that are read at a time, as the manifest declares it; one where it does not.
fn side_by_side(manifest: &Node<'_>, config: &Json) -> usize {
    let Some(level) = manifest.child("concurrency_level") else { return 1 };
    let number = |name: &str| -> Option<usize> {
        let scope = Scope::new(0).with("config", config);
        level.expression(name)?.text(scope).ok()?.trim().parse().ok()
    };
    let most = number("max_concurrency").unwrap_or(SIDE_BY_SIDE_MAX).min(SIDE_BY_SIDE_MAX);
    number("default_concurrency").unwrap_or(1).clamp(1, most.max(1))
}

impl Check {
    fn load(node: Option<&Node<'_>>) -> Self {
        let Some(node) = node else { return Self::default() };
        let count = |value: i64| usize::try_from(value).unwrap_or(0);
        if node.kind() == "CheckDynamicStream" {
            return Self {
                first: node.int("stream_count").map_or(1, count),
                only_counts: node.get("use_check_availability") == Some(&Json::Bool(false)),
                ..Self::default()
            };
        }
        let names = node.get("stream_names").and_then(Json::as_array).into_iter().flatten();
        let template = |node: &Node<'_>| {
            let name = node.text("dynamic_stream_name").unwrap_or_default().to_owned();
            (name, node.int("stream_count").map(count))
        };
        Self {
            names: names.filter_map(Json::as_str).map(str::to_owned).collect(),
            templates: node
                .children("dynamic_streams_check_configs")
                .iter()
                .map(template)
                .collect(),
            ..Self::default()
        }
    }
}

/// Marks the requesters of parent streams, whose responses are kept for their children.
fn mark_kept(streams: &mut [Json]) {
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
pub(super) struct Loader {
    text: Cow<'static, str>,
    config: Json,
    /// The folder that schemas in files of their own stand in.
    folder: Option<PathBuf>,
}

impl Loader {
    fn declare(
        &self,
        node: &Node<'_>,
        template: Option<&str>,
        streams: &mut Vec<Declared>,
    ) -> Result<(), Trouble> {
        if node.kind() == "ConditionalStreams" {
            let condition = node.text("condition").unwrap_or_default();
            let scope = Scope::new(0).with("config", &self.config);
            let parameters = node.parameters.clone();
            if Template::new(condition).eval_bool(&scope.with("parameters", &parameters))? {
                for node in node.children("streams") {
                    self.declare(&node, template, streams)?;
                }
            }
            return Ok(());
        }
        let name = node.text("name").unwrap_or_default().to_owned();
        let named = node.named(format!("stream {name}"));
        let stream = Stream::load(self, &named).map(Arc::new);
        let stream = stream.map_err(|trouble| self.explained(trouble));
        streams.push(Declared { name, template: template.map(str::to_owned), stream });
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
