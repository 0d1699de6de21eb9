//! Texts of a manifest that are evaluated while it runs.

use super::interpolate::{Accept, Fault, Scope, Template, text_of};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// A template and the parameters of the component that it stands in.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    template: Template,
    parameters: Arc<Json>,
}

impl Expression {
    pub(super) fn new(source: &str, parameters: &Arc<Json>) -> Self {
        Self { template: Template::new(source), parameters: parameters.clone() }
    }

    /// The text as the manifest has it.
    pub(super) fn source(&self) -> &str {
        self.template.source()
    }

    /// Whether it may look at what `variable` has under the name `part`.
    pub(super) fn reads(&self, variable: &str, part: &str) -> bool {
        self.template.reads(variable, part)
    }

    /// Whether it may look at any part of `variable`.
    pub(super) fn uses(&self, variable: &str) -> bool {
        self.template.variables().iter().any(|name| name == variable)
    }

    /// The value.
    pub(super) fn eval<'a>(&'a self, scope: Scope<'a>) -> Result<Json, Fault> {
        self.template.eval(&scope.with("parameters", &self.parameters), Accept::Any)
    }

    /// The value, where it is of a kind that is accepted, else the text.
    pub(super) fn eval_as<'a>(&'a self, scope: Scope<'a>, accept: Accept) -> Result<Json, Fault> {
        self.template.eval(&scope.with("parameters", &self.parameters), accept)
    }

    /// The value as text.
    pub(super) fn text<'a>(&'a self, scope: Scope<'a>) -> Result<String, Fault> {
        Ok(match self.eval(scope)? {
            Json::String(text) => text,
            other => text_of(&other),
        })
    }

    /// Whether the condition holds.
    pub(super) fn holds<'a>(&'a self, scope: Scope<'a>) -> Result<bool, Fault> {
        self.template.eval_bool(&scope.with("parameters", &self.parameters))
    }

    /// The value as an entry of a map; null where there is none.
    fn entry<'a>(&'a self, scope: Scope<'a>, accept: Accept) -> Result<Json, Fault> {
        self.template.eval_entry(&scope.with("parameters", &self.parameters), accept)
    }
}

/// A map, list or text with templates in it, at any depth.
#[derive(Clone, Debug)]
pub(super) enum Nested {
    Value(Json),
    Text(Expression),
    List(Vec<Nested>),
    Map(Vec<(Expression, Nested)>),
}

impl Nested {
    pub(super) fn new(json: &Json, parameters: &Arc<Json>) -> Self {
        match json {
            Json::String(text) => Self::Text(Expression::new(text, parameters)),
            Json::Array(items) => {
                Self::List(items.iter().map(|item| Self::new(item, parameters)).collect())
            }
            Json::Object(entries) => {
                let entry = |(key, value): (&String, &Json)| {
                    (Expression::new(key, parameters), Self::new(value, parameters))
                };
                Self::Map(entries.iter().map(entry).collect())
            }
            other => Self::Value(other.clone()),
        }
    }

    /// The value; entries that come to nothing are left out, of maps only.
    pub(super) fn eval<'a>(&'a self, scope: &dyn Fn() -> Scope<'a>) -> Result<Json, Fault> {
        Ok(match self {
            Self::Value(json) => json.clone(),
            Self::Text(text) => text.entry(scope(), Accept::Any)?,
            Self::List(items) => {
                let items = items.iter().map(|item| item.eval(scope));
                Json::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let value = value.eval(scope)?;
                    if !value.is_null() {
                        let key = key.entry(scope(), Accept::Any)?;
                        map.insert(key_text(key), value);
                    }
                }
                Json::Object(map)
            }
        })
    }
}

fn key_text(key: Json) -> String {
    match key {
        Json::String(text) => text,
        other => text_of(&other),
    }
}

/// What a request is given: a text, or a flat map of templates.
#[derive(Clone, Debug, Default)]
pub(super) enum Inputs {
    #[default]
    Nothing,
    Text(Expression),
    Map(Vec<(Expression, Nested)>),
}

/// Evaluated inputs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Options {
    Text(String),
    Map(Map<String, Json>),
}

impl Default for Options {
    fn default() -> Self {
        Self::Map(Map::new())
    }
}

impl Inputs {
    pub(super) fn new(json: Option<&Json>, parameters: &Arc<Json>) -> Self {
        match json {
            Some(Json::String(text)) if !text.is_empty() => {
                Self::Text(Expression::new(text, parameters))
            }
            Some(map @ Json::Object(_)) => match Nested::new(map, parameters) {
                Nested::Map(entries) => Self::Map(entries),
                _ => Self::Nothing,
            },
            _ => Self::Nothing,
        }
    }

    /// The values, each of a kind that is accepted; what comes to nothing is left out.
    pub(super) fn eval<'a>(
        &'a self,
        scope: &dyn Fn() -> Scope<'a>,
        accept: Accept,
    ) -> Result<Options, Fault> {
        match self {
            Self::Nothing => Ok(Options::default()),
            Self::Text(text) => match text.entry(scope(), Accept::Any)? {
                Json::Null => Ok(Options::default()),
                Json::Object(map) => Ok(Options::Map(map)),
                // The text itself: what it says is the body, not a literal.
                _ => Ok(Options::Text(key_text(text.entry(scope(), Accept::Text)?))),
            },
            Self::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let value = match value {
                        Nested::Text(text) => text.entry(scope(), accept)?,
                        Nested::Value(value) => value.clone(),
                        other => other.eval(scope)?,
                    };
                    let key = key_text(key.entry(scope(), Accept::Text)?);
                    if !value.is_null() {
                        map.insert(key, value);
                    }
                }
                Ok(Options::Map(map))
            }
        }
    }
}
