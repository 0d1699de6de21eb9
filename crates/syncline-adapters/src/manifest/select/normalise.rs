//! Values brought into the types that the stream's schema declares, where they can be.

use super::super::interpolate::text_of;
use super::Record;
use serde_json::Value as Json;

/// Brings the fields of `record` into the types of `schema`; what does not fit stays as it is.
pub(super) fn normalise(record: &mut Record, schema: &Json) {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
    for (name, schema) in properties {
        if let Some(value) = record.get_mut(name) {
            convert(value, schema);
            descend(value, schema);
        }
    }
}

fn descend(value: &mut Json, schema: &Json) {
    match value {
        Json::Object(entries) => normalise(entries, schema),
        Json::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    convert(item, schema);
                    descend(item, schema);
                }
            }
        }
        _ => {}
    }
}

fn convert(value: &mut Json, schema: &Json) {
    let types: Vec<&str> = match schema.get("type") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => return,
    };
    if value.is_null() && types.contains(&"null") {
        return;
    }
    let mut types = types.into_iter().filter(|name| *name != "null");
    let (Some(wanted), None) = (types.next(), types.next()) else { return };
    if let Some(new) = converted(value, wanted, schema) {
        *value = new;
    }
}

fn converted(value: &Json, wanted: &str, schema: &Json) -> Option<Json> {
    match wanted {
        "string" if !value.is_string() => Some(Json::String(text_of(value))),
        "number" => match value {
            Json::Bool(b) => Some(Json::from(f64::from(u8::from(*b)))),
            Json::String(text) => finite(text.trim().replace('_', "").parse().ok()?),
            Json::Number(number) => finite(number.as_f64()?),
            _ => None,
        },
        "integer" => match value {
            Json::Bool(b) => Some(Json::from(u8::from(*b))),
            Json::String(text) => text.trim().replace('_', "").parse::<i64>().ok().map(Json::from),
            Json::Number(number) if number.is_f64() => {
                let float = number.as_f64()?.trunc();
                (float.abs() < 9e18).then(|| Json::from(float as i64))
            }
            _ => None,
        },
        "boolean" => match value {
            Json::String(text) => match text.trim().to_lowercase().as_str() {
                "y" | "yes" | "t" | "true" | "on" | "1" => Some(Json::Bool(true)),
                "n" | "no" | "f" | "false" | "off" | "0" => Some(Json::Bool(false)),
                _ => None,
            },
            other => Some(Json::Bool(super::super::load::is_truthy(other))),
        },
        "array" if !value.is_array() && !value.is_object() => {
            let simple = ["string", "number", "integer", "boolean", "null"];
            let fits = match schema.get("items").and_then(|items| items.get("type")) {
                None => true,
                Some(Json::Array(names)) => names
                    .iter()
                    .all(|name| name.as_str().is_some_and(|name| simple.contains(&name))),
                Some(_) => false,
            };
            fits.then(|| Json::Array(vec![value.clone()]))
        }
        _ => None,
    }
}

fn finite(float: f64) -> Option<Json> {
    float.is_finite().then(|| Json::from(float))
}
