//! What a manifest does to its configuration before it is used: old forms brought up to date, fields added,
//! values checked.

use super::super::expression::Expression;
use super::super::interpolate::{Accept, Scope, text_of};
use super::super::select::{all, at, put, remove};
use super::super::trouble::Trouble;
use super::Node;
use regex::Regex;
use serde_json::{Map, Value as Json};

/// A configuration as the manifest makes it.
pub(super) struct Normal {
    pub(super) config: Json,
    /// The configuration in the form of today, where what was given was an older one.
    pub(super) migrated: Option<Json>,
    /// Why it cannot be used.
    pub(super) refused: Option<Trouble>,
}

/// Brings `config` into the form that the rules in `spec` ask for.
pub(super) fn normal(spec: Option<&Node<'_>>, config: &Json) -> Result<Normal, Trouble> {
    let mut normal = Normal { config: config.clone(), migrated: None, refused: None };
    let Some(rules) = spec.and_then(|spec| spec.child("config_normalization_rules")) else {
        return Ok(normal);
    };
    for migration in rules.children("config_migrations") {
        for transformation in migration.children("transformations") {
            transform(&transformation, &mut normal.config)?;
        }
    }
    if normal.config != *config {
        normal.migrated = Some(normal.config.clone());
    }
    for transformation in rules.children("transformations") {
        transform(&transformation, &mut normal.config)?;
    }
    for validation in rules.children("validations") {
        if let Err(trouble) = validate(&validation, &normal.config) {
            normal.refused = Some(trouble);
            break;
        }
    }
    Ok(normal)
}

fn transform(node: &Node<'_>, config: &mut Json) -> Result<(), Trouble> {
    let before = config.clone();
    let scope = || Scope::new(0).with("config", &before);
    let condition = node.expression("condition");
    match node.kind() {
        "ConfigAddFields" => {
            for field in node.children("fields") {
                let path = steps(&field, "path");
                let json_path = field.get("path").cloned().unwrap_or_default();
                let accept = field.text("value_type").map_or(Some(Accept::Any), Accept::named);
                let accept = accept.ok_or_else(|| field.unsupported("field"))?;
                // A field sees what the ones before it added.
                let seen = config.clone();
                let scope = || Scope::new(0).with("config", &seen);
                let template = field.needed("value")?;
                let value = template.eval_as(scope(), accept)?;
                let found = scope().with("value", &value).with("path", &json_path);
                if condition.as_ref().map_or(Ok(true), |condition| condition.holds(found))?
                    && let Json::Object(config) = config
                {
                    put(config, &path, value);
                }
            }
        }
        "ConfigRemapField" => {
            let mut path = Vec::new();
            for step in node.expressions("field_path") {
                path.push(step.text(scope())?);
            }
            let map = node.get("map").and_then(Json::as_object);
            let map = map.ok_or_else(|| node.missing("map"))?;
            let new = at(&before, &path).and_then(Json::as_str).and_then(|old| map.get(old));
            if let (Some(new), Json::Object(config)) = (new, config) {
                let new = match node.expression_of(new) {
                    Some(template) if new.is_string() => template.eval(scope())?,
                    _ => new.clone(),
                };
                put(config, &path, new);
            }
        }
        "ConfigRemoveFields" => {
            if condition.as_ref().map_or(Ok(true), |condition| condition.holds(scope()))? {
                let pointers = node.get("field_pointers").and_then(Json::as_array);
                for pointer in pointers.into_iter().flatten().filter_map(Json::as_array) {
                    let path: Vec<String> = pointer.iter().map(text_of).collect();
                    let Ok(()) =
                        remove(config, &path, &|_| Ok::<_, std::convert::Infallible>(true));
                }
            }
        }
        _ => return Err(node.unsupported("transformation of the configuration")),
    }
    Ok(())
}

fn steps(node: &Node<'_>, name: &str) -> Vec<String> {
    let steps = node.get(name).and_then(Json::as_array).into_iter().flatten();
    steps.map(text_of).collect()
}

fn validate(node: &Node<'_>, config: &Json) -> Result<(), Trouble> {
    let strategy = node.needed_child("validation_strategy")?;
    if strategy.kind() != "ValidateAdheresToSchema" {
        return Err(strategy.unsupported("validation"));
    }
    let schema = strategy.get("base_schema").cloned().unwrap_or_default();
    let check = |place: &str, value: &Json| -> Result<(), Trouble> {
        let parsed = value.as_str().map(serde_json::from_str::<Json>);
        let value = match &parsed {
            None => value,
            Some(Ok(value)) => value,
            Some(Err(_)) => {
                return Err(Trouble::config(format!("`{place}` of the configuration is no JSON")));
            }
        };
        adheres(value, &schema)
            .map_err(|problem| Trouble::config(format!("`{place}` of the configuration {problem}")))
    };
    match node.kind() {
        "DpathValidator" => {
            let path = steps(node, "field_path");
            for value in all(config, &path) {
                check(&path.join("."), value)?;
            }
            Ok(())
        }
        "PredicateValidator" => {
            let value = match node.get("value") {
                Some(value @ Json::String(_)) => {
                    let template = node.expression_of(value);
                    let scope = Scope::new(0).with("config", config);
                    template
                        .as_ref()
                        .map_or(Ok(Json::from("")), |template: &Expression| template.eval(scope))?
                }
                value => value.cloned().unwrap_or_default(),
            };
            check("value", &value)
        }
        _ => Err(node.unsupported("validator")),
    }
}

/// Whether `value` is as a JSON schema says, by the words that specifications of connectors use; else what is
/// wrong. The value itself is not repeated: it may be a secret.
fn adheres(value: &Json, schema: &Json) -> Result<(), String> {
    let Json::Object(schema) = schema else { return Ok(()) };
    if let Some(kind) = schema.get("type") {
        let single = std::slice::from_ref(kind);
        let kinds = kind.as_array().map_or(single, Vec::as_slice);
        if !kinds.iter().filter_map(Json::as_str).any(|kind| is_kind(value, kind)) {
            return Err(format!("is not of the type {kind}"));
        }
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Err("is not the one value that is allowed".to_owned());
    }
    if let Some(Json::Array(allowed)) = schema.get("enum")
        && !allowed.contains(value)
    {
        return Err(format!("is none of {}", Json::from(allowed.clone())));
    }
    let number = |name: &str| schema.get(name).and_then(Json::as_f64);
    if let Some(own) = value.as_f64() {
        if number("minimum").is_some_and(|least| own < least) {
            return Err("is too small".to_owned());
        }
        if number("maximum").is_some_and(|most| own > most) {
            return Err("is too large".to_owned());
        }
    }
    let len = |len: usize, least: &str, most: &str| {
        let len = len as f64;
        number(least).is_some_and(|least| len < least)
            || number(most).is_some_and(|most| len > most)
    };
    match value {
        Json::String(text) => {
            if len(text.chars().count(), "minLength", "maxLength") {
                return Err("has the wrong length".to_owned());
            }
            if let Some(pattern) = schema.get("pattern").and_then(Json::as_str)
                && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
            {
                return Err(format!("does not match `{pattern}`"));
            }
        }
        Json::Array(items) => {
            if len(items.len(), "minItems", "maxItems") {
                return Err("has the wrong number of items".to_owned());
            }
            if let Some(each) = schema.get("items") {
                for item in items {
                    adheres(item, each).map_err(|problem| format!("has an item that {problem}"))?;
                }
            }
        }
        Json::Object(entries) => fields_adhere(entries, schema)?,
        _ => {}
    }
    let branches = |name: &str| schema.get(name).and_then(Json::as_array);
    let fits = |branch: &&Json| adheres(value, branch).is_ok();
    for branch in branches("allOf").into_iter().flatten() {
        adheres(value, branch)?;
    }
    if branches("anyOf").is_some_and(|branches| !branches.iter().any(|b| fits(&b))) {
        return Err("fits none of what is allowed".to_owned());
    }
    if branches("oneOf").is_some_and(|branches| branches.iter().filter(fits).count() != 1) {
        return Err("does not fit exactly one of what is allowed".to_owned());
    }
    Ok(())
}

fn fields_adhere(entries: &Map<String, Json>, schema: &Map<String, Json>) -> Result<(), String> {
    let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
    for name in required.filter_map(Json::as_str) {
        if !entries.contains_key(name) {
            return Err(format!("has no `{name}`"));
        }
    }
    let known = schema.get("properties").and_then(Json::as_object);
    for (name, value) in entries {
        match known.and_then(|known| known.get(name)) {
            Some(schema) => {
                adheres(value, schema)
                    .map_err(|problem| format!("has `{name}`, which {problem}"))?;
            }
            None if schema.get("additionalProperties") == Some(&Json::Bool(false)) => {
                return Err(format!("has `{name}`, which is not known"));
            }
            None => {}
        }
    }
    Ok(())
}

fn is_kind(value: &Json, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        _ => true,
    }
}
