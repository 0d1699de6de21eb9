//! Streams that are made of a template: one for each record of a request, each entry of the configuration, or
//! each set of parameters in the manifest.

use super::super::expression::Expression;
use super::super::interpolate::{Accept, Scope, StreamSlice};
use super::super::read::{Step, StreamReader};
use super::super::select::{at, put, put_existing};
use super::super::session::Session;
use super::super::trouble::Trouble;
use super::{Loader, Node, Stream, propagate};
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::sync::Arc;

/// The most streams that a template may make.
const STREAMS_MAX: usize = 10_000;

/// A template, and where its streams come from.
pub(super) struct Dynamic {
    pub(super) name: String,
    template: Json,
    /// Whether what stands around a component wins over its own parameters.
    parents_win: bool,
    values: Values,
    mappings: Vec<Mapping>,
    /// Whether a name that is not there is put in, and texts are read as YAML.
    creates: bool,
}

enum Values {
    Asked(Arc<Stream>),
    Configured(Vec<Pointer>),
    Listed(Vec<Json>),
}

/// A place in the configuration, and what is added to what stands there.
struct Pointer {
    path: Vec<Expression>,
    more: Vec<Json>,
}

struct Mapping {
    path: Vec<Expression>,
    value: Expression,
    accept: Accept,
    condition: Option<Expression>,
    creates: bool,
}

impl Dynamic {
    pub(super) fn load(loader: &Loader, node: &Node<'_>, index: usize) -> Result<Self, Trouble> {
        let name =
            node.text("name").map_or_else(|| format!("dynamic_stream_{index}"), str::to_owned);
        let resolver = node.needed_child("components_resolver")?;
        let values = match resolver.kind() {
            "HttpComponentsResolver" => {
                Values::Asked(Arc::new(Stream::of_retriever(loader, &resolver, &name)?))
            }
            "ConfigComponentsResolver" => {
                let pointers = resolver.children("stream_config");
                let pointer = |pointer: &Node<'_>| Pointer {
                    path: pointer.expressions("configs_pointer"),
                    more: list(pointer.get("default_values")),
                };
                Values::Configured(pointers.iter().map(pointer).collect())
            }
            "ParametrizedComponentsResolver" => {
                let parameters = resolver.needed_child("stream_parameters")?;
                Values::Listed(list(parameters.get("list_of_parameters_for_stream")))
            }
            _ => return Err(resolver.unsupported("components resolver")),
        };
        let mappings = resolver.children("components_mapping");
        Ok(Self {
            name,
            template: node
                .get("stream_template")
                .cloned()
                .ok_or_else(|| node.missing("stream_template"))?,
            parents_win: node.get("use_parent_parameters").and_then(Json::as_bool).unwrap_or(true),
            creates: !matches!(values, Values::Asked(_)),
            values,
            mappings: mappings.iter().map(Mapping::load).collect::<Result<_, _>>()?,
        })
    }

    /// Whether its streams go on from a state.
    pub(super) fn has_cursor(&self) -> bool {
        self.template.get("incremental_sync").is_some()
    }

    /// The streams that there are now, uncompiled.
    pub(super) async fn components(&self, session: &Arc<Session>) -> Result<Vec<Json>, Trouble> {
        let mut components = Vec::new();
        match &self.values {
            Values::Listed(values) => {
                for value in values {
                    components.push(self.component(session, value, None)?);
                }
            }
            Values::Configured(pointers) => {
                for value in configured(session, pointers)? {
                    components.push(self.component(session, &value, None)?);
                }
            }
            Values::Asked(stream) => {
                let mut reader = StreamReader::new(session, stream, &Map::new()).await?;
                loop {
                    match reader.step().await? {
                        Step::Page { slice, records } => {
                            for record in records.made()? {
                                let record = Json::Object(record);
                                components.push(self.component(session, &record, Some(&slice))?);
                            }
                        }
                        Step::SliceDone { .. } => {}
                        Step::SliceFailed(trouble) => return Err(trouble),
                        Step::End => break,
                    }
                    if components.len() > STREAMS_MAX {
                        return Err(Trouble::system(format!(
                            "the template `{}` makes more than {STREAMS_MAX} streams",
                            self.name
                        )));
                    }
                }
            }
        }
        let mut seen = HashSet::new();
        for component in &components {
            let name = component.get("name").and_then(Json::as_str).unwrap_or_default();
            if !seen.insert(name) {
                return Err(Trouble::config(format!(
                    "the template `{}` makes two streams of the name `{name}`",
                    self.name
                )));
            }
        }
        Ok(components)
    }

    fn component(
        &self,
        session: &Session,
        values: &Json,
        slice: Option<&StreamSlice>,
    ) -> Result<Json, Trouble> {
        let mut component = self.template.clone();
        let scope = || {
            let scope = session.scope().with("components_values", values);
            let scope = scope.with("stream_template_config", &self.template);
            match slice {
                Some(slice) => scope.with_slice(slice),
                None => scope,
            }
        };
        for mapping in &self.mappings {
            if let Some(condition) = &mapping.condition
                && self.creates
                && !condition.holds(scope())?
            {
                continue;
            }
            mapping.put(&scope, self.creates, &mut component)?;
        }
        if let Json::Object(component) = &mut component {
            let none = Map::new();
            propagate::propagate("", component, &none, self.parents_win);
            component.entry("type").or_insert_with(|| Json::from("DeclarativeStream"));
        }
        Ok(component)
    }
}

fn list(value: Option<&Json>) -> Vec<Json> {
    value.and_then(Json::as_array).cloned().unwrap_or_default()
}

/// Every combination of what stands at `pointers`, each as one map.
fn configured(session: &Session, pointers: &[Pointer]) -> Result<Vec<Json>, Trouble> {
    let mut combinations = vec![Map::new()];
    for (place, pointer) in pointers.iter().enumerate() {
        let mut path = Vec::with_capacity(pointer.path.len());
        for step in &pointer.path {
            path.push(step.text(session.scope())?);
        }
        let mut entries = match at(&session.config, &path) {
            Some(Json::Array(entries)) => entries.clone(),
            Some(other) => vec![other.clone()],
            None => Vec::new(),
        };
        entries.extend(pointer.more.iter().cloned());
        let mut longer = Vec::with_capacity(combinations.len() * entries.len());
        for combination in &combinations {
            for (index, entry) in entries.iter().enumerate() {
                let mut combination: Map<String, Json> = combination.clone();
                match entry {
                    Json::Object(entry) => combination.extend(entry.clone()),
                    other => {
                        let name = format!("source_config_{place}");
                        let pair = Json::Array(vec![index.into(), other.clone()]);
                        combination.entry(name).or_insert(pair);
                    }
                }
                longer.push(combination);
            }
        }
        combinations = longer;
    }
    Ok(combinations.into_iter().map(Json::Object).collect())
}

impl Mapping {
    fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        Ok(Self {
            path: node.expressions("field_path"),
            value: node.needed("value")?,
            accept: match node.text("value_type") {
                None => Accept::Any,
                Some(name) => Accept::named(name).ok_or_else(|| node.unsupported("value"))?,
            },
            condition: node.expression("condition"),
            creates: node.flag("create_or_update"),
        })
    }

    fn put<'a>(
        &'a self,
        scope: &dyn Fn() -> Scope<'a>,
        reads_yaml: bool,
        component: &mut Json,
    ) -> Result<(), Trouble> {
        let mut value = self.value.eval_as(scope(), self.accept)?;
        let mut path = Vec::with_capacity(self.path.len());
        for step in &self.path {
            path.push(step.text(scope())?);
        }
        if reads_yaml
            && self.accept != Accept::Text
            && let Json::String(text) = &value
            && let Ok(read) = serde_saphyr::from_str::<Json>(text)
        {
            value = read;
        }
        if put_existing(component, &path, &value) == 0
            && self.creates
            && super::is_truthy(&value)
            && let Json::Object(component) = component
        {
            put(component, &path, value);
        }
        Ok(())
    }
}
