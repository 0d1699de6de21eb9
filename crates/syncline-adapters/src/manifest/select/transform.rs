//! Transformations of records.

use super::super::expression::Expression;
use super::super::interpolate::{Accept, StreamSlice, text_of};
use super::super::load::{Node, is_truthy};
use super::super::session::Session;
use super::super::trouble::Trouble;
use super::{Record, path};
use serde_json::{Map, Value as Json};

/// One transformation.
#[derive(Debug)]
pub(in super::super) enum Transformation {
    Add { fields: Vec<Added>, condition: Option<Expression> },
    Remove { paths: Vec<Vec<String>>, condition: Option<Expression> },
    KeysToLower,
    KeysToSnake,
    KeysReplace { old: Expression, new: Expression },
    Flatten { lists: bool },
    FlattenAt(FlattenAt),
}

#[derive(Debug)]
pub(in super::super) struct Added {
    path: Vec<String>,
    json_path: Json,
    value: Expression,
    accept: Accept,
}

#[derive(Debug)]
pub(in super::super) struct FlattenAt {
    path: Vec<Expression>,
    removes: bool,
    replaces: bool,
    prefix: Option<Expression>,
    suffix: Option<Expression>,
}

fn steps(value: Option<&Json>) -> Vec<String> {
    match value {
        Some(Json::Array(steps)) => steps.iter().map(text_of).collect(),
        _ => Vec::new(),
    }
}

impl Transformation {
    pub(in super::super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let condition = node.expression("condition");
        Ok(match node.kind() {
            "AddFields" => {
                let fields = node.children("fields");
                Self::Add {
                    fields: fields.iter().map(Added::load).collect::<Result<_, _>>()?,
                    condition,
                }
            }
            "RemoveFields" => {
                let pointers = node.get("field_pointers").and_then(Json::as_array);
                let pointers = pointers.ok_or_else(|| node.missing("field_pointers"))?;
                let paths = pointers.iter().map(|pointer| steps(Some(pointer))).collect();
                Self::Remove { paths, condition }
            }
            "KeysToLower" => Self::KeysToLower,
            "KeysToSnakeCase" => Self::KeysToSnake,
            "KeysReplace" => {
                // What is left out of a name is replaced by nothing.
                let new = match node.get("new") {
                    Some(Json::String(text)) => Expression::new(text, &node.parameters),
                    _ => node.needed("new")?,
                };
                Self::KeysReplace { old: node.needed("old")?, new }
            }
            "FlattenFields" => Self::Flatten {
                lists: node.get("flatten_lists").and_then(Json::as_bool).unwrap_or(true),
            },
            "DpathFlattenFields" => {
                let keys = node.child("key_transformation");
                let key = |name: &str| keys.as_ref().and_then(|keys| keys.expression(name));
                Self::FlattenAt(FlattenAt {
                    path: node.expressions("field_path"),
                    removes: node.flag("delete_origin_value"),
                    replaces: node.flag("replace_record"),
                    prefix: key("prefix"),
                    suffix: key("suffix"),
                })
            }
            _ => return Err(node.unsupported("transformation")),
        })
    }

    pub(in super::super) fn apply(
        &self,
        session: &Session,
        slice: &StreamSlice,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        match self {
            Self::Add { fields, condition } => {
                for field in fields {
                    field.add(session, slice, condition.as_ref(), record)?;
                }
            }
            Self::Remove { paths, condition } => {
                let mut json = Json::Object(std::mem::take(record));
                let removed = paths.iter().try_for_each(|steps| match condition {
                    None => path::remove(&mut json, steps, &|_| Ok(true)),
                    // It is tried on every value of the record, whatever the pointer.
                    Some(condition) => path::remove_leaves(&mut json, &|value| {
                        condition.holds(session.scope().with("property", value))
                    }),
                });
                if let Json::Object(rest) = json {
                    *record = rest;
                }
                removed?;
            }
            Self::KeysToLower => {
                let entries = std::mem::take(record).into_iter();
                *record = entries.map(|(key, value)| (key.to_lowercase(), value)).collect();
            }
            Self::KeysToSnake => *record = renamed(std::mem::take(record), &snake_case),
            Self::KeysReplace { old, new } => {
                let json = Json::Object(std::mem::take(record));
                let scope = || session.scope().with_slice(slice).with("record", &json);
                let (old, new) = (old.text(scope())?, new.text(scope())?);
                if let Json::Object(entries) = json {
                    *record = renamed(entries, &|key| key.replace(&old, &new));
                }
            }
            Self::Flatten { lists } => *record = flattened(std::mem::take(record), *lists),
            Self::FlattenAt(flatten) => flatten.apply(session, record)?,
        }
        Ok(())
    }
}

impl Added {
    fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let accept = match node.text("value_type") {
            None => Accept::Any,
            Some(name) => {
                Accept::named(name).ok_or_else(|| node.unsupported("field with another type"))?
            }
        };
        let path = steps(node.get("path"));
        if path.is_empty() {
            return Err(node.missing("path"));
        }
        let json_path = path.iter().map(String::as_str).collect();
        let value = match node.get("value") {
            Some(Json::String(text)) => Expression::new(text, &node.parameters),
            _ => node.needed("value")?,
        };
        Ok(Self { path, json_path, value, accept })
    }

    fn add(
        &self,
        session: &Session,
        slice: &StreamSlice,
        condition: Option<&Expression>,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        let json = Json::Object(std::mem::take(record));
        let scope = || session.scope().with_slice(slice).with("record", &json);
        let value = self.value.eval_as(scope(), self.accept);
        let holds = match (&value, condition) {
            (Ok(value), Some(condition)) => {
                condition.holds(scope().with("value", value).with("path", &self.json_path))
            }
            _ => Ok(true),
        };
        if let Json::Object(entries) = json {
            *record = entries;
        }
        let value = value?;
        if holds? && !path::put(record, &self.path, value) {
            return Err(Trouble::system(format!(
                "there is no place for `{}` in the record",
                self.path.join(".")
            )));
        }
        Ok(())
    }
}

impl FlattenAt {
    fn apply(&self, session: &Session, record: &mut Record) -> Result<(), Trouble> {
        let mut steps = Vec::with_capacity(self.path.len());
        for step in &self.path {
            steps.push(step.text(session.scope())?);
        }
        let mut json = Json::Object(std::mem::take(record));
        let found = path::all(&json, &steps).into_iter().next().cloned();
        let affix = |affix: &Option<Expression>| match affix {
            Some(affix) => affix.text(session.scope()),
            None => Ok(String::new()),
        };
        let (prefix, suffix) = (affix(&self.prefix)?, affix(&self.suffix)?);
        if let Some(Json::Object(found)) = found.filter(is_truthy) {
            let found = found.into_iter();
            let found: Record =
                found.map(|(key, value)| (format!("{prefix}{key}{suffix}"), value)).collect();
            let clashes = |entries: &Record| found.keys().any(|name| entries.contains_key(name));
            if self.replaces {
                json = Json::Object(found);
            } else if !json.as_object().is_some_and(clashes) {
                if self.removes {
                    path::remove::<Trouble>(&mut json, &steps, &|_| Ok(true))?;
                }
                if let Json::Object(entries) = &mut json {
                    entries.extend(found);
                }
            }
        }
        if let Json::Object(entries) = json {
            *record = entries;
        }
        Ok(())
    }
}

fn renamed(entries: Record, name: &dyn Fn(&str) -> String) -> Record {
    let rename = |(key, value): (String, Json)| match value {
        Json::Object(nested) => (name(&key), Json::Object(renamed(nested, name))),
        other => (name(&key), other),
    };
    entries.into_iter().map(rename).collect()
}

/// `camelCase` and `Title Case` as `camel_case` and `title_case`.
fn snake_case(key: &str) -> String {
    let mut tokens: Vec<String> = Vec::new();
    let mut last = ' ';
    for c in key.chars() {
        let kind = match c {
            'A'..='Z' => 'A',
            'a'..='z' => 'a',
            '0'..='9' => '0',
            _ => '-',
        };
        let joins = kind == last || (last == 'A' && kind == 'a');
        if !joins {
            tokens.push(String::new());
        }
        if let (Some(token), true) = (tokens.last_mut(), kind != '-') {
            token.extend(c.to_lowercase());
        }
        last = kind;
    }
    let ends = tokens.len().saturating_sub(1);
    let kept = tokens.iter().enumerate();
    let kept = kept.filter(|(at, token)| !token.is_empty() || *at == 0 || *at == ends);
    let mut tokens: Vec<&str> = kept.map(|(_, token)| token.as_str()).collect();
    if tokens.first().is_some_and(|first| first.starts_with(|c: char| c.is_ascii_digit())) {
        tokens.insert(0, "");
    }
    tokens.join("_")
}

/// The record without nesting; a name that is taken already gets those of its parents before it.
fn flattened(record: Record, lists: bool) -> Record {
    let mut out = Map::new();
    let mut with_parent = false;
    let mut stack = vec![(Json::Object(record), "_".to_owned())];
    while let Some((value, name)) = stack.pop() {
        match value {
            Json::Object(entries) => {
                for (key, value) in entries {
                    let taken = with_parent || out.contains_key(&key);
                    stack.push((value, if taken { format!("{name}.{key}") } else { key }));
                }
            }
            Json::Array(items) if lists => {
                for (index, item) in items.into_iter().enumerate() {
                    with_parent = true;
                    stack.push((item, format!("{name}.{index}")));
                }
            }
            leaf => {
                out.insert(name, leaf);
            }
        }
    }
    out
}
