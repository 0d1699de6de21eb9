//! A component of a manifest while it is loaded: its fields, and where it stands.

use super::super::expression::{Expression, Inputs};
use super::super::trouble::{FailureKind, Trouble};
use super::propagate::is_truthy;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// One component.
#[derive(Clone, Debug)]
pub(in super::super) struct Node<'a> {
    fields: &'a Map<String, Json>,
    /// Its place, for messages: `streams.users.retriever`.
    pub(in super::super) path: String,
    /// The parameters that its templates see.
    pub(in super::super) parameters: Arc<Json>,
}

impl<'a> Node<'a> {
    pub(in super::super) fn new(fields: &'a Map<String, Json>, path: String) -> Self {
        let parameters = fields.get("$parameters").filter(|value| value.is_object());
        let parameters = parameters.cloned().unwrap_or_else(|| Json::Object(Map::new()));
        Self { fields, path, parameters: Arc::new(parameters) }
    }

    /// The same component under another name for messages.
    pub(in super::super) fn named(&self, path: String) -> Self {
        Self { path, ..self.clone() }
    }

    /// Its type; empty where there is none.
    pub(in super::super) fn kind(&self) -> &'a str {
        self.text("type").unwrap_or_default()
    }

    /// What stands in the field `name`, unless it is null.
    pub(in super::super) fn get(&self, name: &str) -> Option<&'a Json> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// The text in the field.
    pub(in super::super) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Json::as_str)
    }

    /// Whether the field is set to true.
    pub(in super::super) fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Json::as_bool).unwrap_or(false)
    }

    /// The whole number in the field.
    pub(in super::super) fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Json::String(text) => text.trim().parse().ok(),
            other => other.as_i64(),
        }
    }

    /// The text or the number in the field, as a template; empty text counts as nothing.
    pub(in super::super) fn expression(&self, name: &str) -> Option<Expression> {
        self.get(name).and_then(|value| self.expression_of(value))
    }

    /// The template that `value` is.
    pub(in super::super) fn expression_of(&self, value: &Json) -> Option<Expression> {
        match value {
            Json::String(text) if text.is_empty() => None,
            Json::String(text) => Some(Expression::new(text, &self.parameters)),
            Json::Bool(_) | Json::Number(_) => {
                Some(Expression::new(&super::super::interpolate::text_of(value), &self.parameters))
            }
            _ => None,
        }
    }

    /// The template in the field.
    pub(in super::super) fn needed(&self, name: &str) -> Result<Expression, Trouble> {
        self.expression(name).ok_or_else(|| self.missing(name))
    }

    /// The templates in a list.
    pub(in super::super) fn expressions(&self, name: &str) -> Vec<Expression> {
        match self.get(name) {
            Some(Json::Array(items)) => {
                items.iter().filter_map(|item| self.expression_of_any(item)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Even empty text is a step of a path.
    fn expression_of_any(&self, value: &Json) -> Option<Expression> {
        match value {
            Json::String(text) => Some(Expression::new(text, &self.parameters)),
            other => self.expression_of(other),
        }
    }

    /// The map or text of templates in the field.
    pub(in super::super) fn inputs(&self, name: &str) -> Inputs {
        Inputs::new(self.get(name), &self.parameters)
    }

    /// The component in the field.
    pub(in super::super) fn child(&self, name: &str) -> Option<Node<'a>> {
        let fields = self.get(name)?.as_object()?;
        is_truthy(&Json::Bool(!fields.is_empty()))
            .then(|| Node::new(fields, format!("{}.{name}", self.path)))
    }

    /// The component in the field.
    pub(in super::super) fn needed_child(&self, name: &str) -> Result<Node<'a>, Trouble> {
        self.child(name).ok_or_else(|| self.missing(name))
    }

    /// The components in a list; one component alone counts as a list of it.
    pub(in super::super) fn children(&self, name: &str) -> Vec<Node<'a>> {
        match self.get(name) {
            Some(Json::Array(items)) => {
                let each = items.iter().enumerate();
                each.filter_map(|(index, item)| {
                    Some(Node::new(item.as_object()?, format!("{}.{name}.{index}", self.path)))
                })
                .collect()
            }
            Some(Json::Object(_)) => self.child(name).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The names in the field, and what stands at each.
    pub(in super::super) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Json)> {
        self.fields.iter()
    }

    /// The message for a field that has to be there.
    pub(in super::super) fn missing(&self, name: &str) -> Trouble {
        Trouble::config(format!("`{}` has no `{name}`", self.path))
    }

    /// The message for a component that this build does not know.
    pub(in super::super) fn unsupported(&self, what: &str) -> Trouble {
        let kind = self.kind();
        let class = self.text("class_name").map(|name| format!(" (`{name}`)")).unwrap_or_default();
        let message =
            format!("`{}` is a {what} of type `{kind}`{class}, which is not supported", self.path);
        Trouble { kind: FailureKind::Unsupported, message }
    }
}
