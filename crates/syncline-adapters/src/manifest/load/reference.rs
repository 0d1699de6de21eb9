//! `$ref`: parts of a manifest that stand elsewhere in it.

use super::super::trouble::Trouble;
use serde_json::{Map, Value as Json};

/// The most values that references may make of a manifest: more is no connector, but a trap.
const VALUES_MAX: usize = 20_000_000;

/// A part of the manifest with every reference replaced by what it stands for. Keys beside a `$ref` win over those
/// of the map that it names.
pub(super) fn resolve<'a>(manifest: &'a Json, part: &'a Json) -> Result<Json, Trouble> {
    Resolver { manifest, open: Vec::new(), values: 0 }.value(part)
}

struct Resolver<'a> {
    manifest: &'a Json,
    /// The references that are being followed.
    open: Vec<&'a str>,
    values: usize,
}

impl<'a> Resolver<'a> {
    fn value(&mut self, value: &'a Json) -> Result<Json, Trouble> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(Trouble::config("the manifest grows without end through its references"));
        }
        match value {
            Json::Object(entries) => {
                let mut own = Map::new();
                for (key, value) in entries {
                    if key != "$ref" {
                        own.insert(key.clone(), self.value(value)?);
                    }
                }
                let Some(reference) = entries.get("$ref") else { return Ok(Json::Object(own)) };
                match self.value(reference)? {
                    Json::Object(mut base) => {
                        base.extend(own);
                        Ok(Json::Object(base))
                    }
                    other => Ok(other),
                }
            }
            Json::Array(items) => {
                items.iter().map(|item| self.value(item)).collect::<Result<_, _>>().map(Json::Array)
            }
            Json::String(text) if text.starts_with("#/") => {
                if self.open.contains(&text.as_str()) {
                    return Err(Trouble::config(format!("the reference `{text}` leads to itself")));
                }
                self.open.push(text);
                let target = look_up(self.manifest, &text[2..])
                    .ok_or_else(|| Trouble::config(format!("nothing stands at `{text}`")))?;
                let resolved = self.value(target);
                self.open.pop();
                resolved
            }
            other => Ok(other.clone()),
        }
    }
}

/// The value at `path`; a key that holds slashes itself is found too.
fn look_up<'a>(manifest: &'a Json, path: &str) -> Option<&'a Json> {
    let (mut value, mut path) = (manifest, path);
    while !path.is_empty() {
        if let Some(found) = value.as_object().and_then(|entries| entries.get(path)) {
            return Some(found);
        }
        let (head, rest) = path.split_once('/').unwrap_or((path, ""));
        value = match value {
            Json::Object(entries) => entries.get(head)?,
            Json::Array(items) => items.get(head.parse::<usize>().ok()?)?,
            _ => return None,
        };
        path = rest;
    }
    Some(value)
}
