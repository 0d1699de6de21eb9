//! The JSON Schemas as they follow from the types, and the test that keeps the files to them.

use super::super::model::{ADAPTERS, Config, WriteFile};
use super::super::schema::{ALIAS_OF, json_schema};
use serde_json::{Map, Value, json};

/// Other spellings: the type, the spelling, and what it stands for.
///
/// `Type.variant` stands for the settings of a variant, and comes before another spelling of the variant.
/// They are what `#[serde(alias)]` says, which schemas do not hear of; a test compares the two.
const ALIASES: &[(&str, &str, &str)] = &[
    ("Comparator", "fuzzy", "levenshtein"),
    ("ConcatSpec", "prefix", "before"),
    ("ConcatSpec", "suffix", "after"),
    ("ConcatSpec", "with", "fields"),
    ("Condition", "operator", "op"),
    ("ConflictStrategy", "target_wins", "destination_wins"),
    ("Direction", "pull", "inbound"),
    ("Direction", "push", "outbound"),
    ("FieldRuleSpec", "concat", "union"),
    ("FieldRuleSpec", "custom", "expression"),
    ("MapSpec", "else", "default"),
    ("MapSpec", "otherwise", "default"),
    ("Operator", "equals", "eq"),
    ("Operator", "greaterThan", "gt"),
    ("Operator", "greater_than", "gt"),
    ("Operator", "lessThan", "lt"),
    ("Operator", "less_than", "lt"),
    ("Operator", "notContains", "not_contains"),
    ("Operator", "notEquals", "neq"),
    ("Operator", "notExists", "not_exists"),
    ("Operator", "not_equals", "neq"),
    ("ReadMode", "full_refresh", "full"),
    ("ReadMode", "full_sync", "full"),
    ("RegexReplaceSpec", "from", "pattern"),
    ("RegexReplaceSpec", "replacement", "to"),
    ("RegexReplaceSpec", "with", "to"),
    ("ReplaceSpec", "replacement", "to"),
    ("ReplaceSpec", "search", "from"),
    ("ReplaceSpec", "with", "to"),
    ("Retry", "backoffMultiplier", "multiplier"),
    ("Retry", "initialDelayMs", "delay_ms"),
    ("Retry", "maxAttempts", "max_attempts"),
    ("Retry", "maxDelayMs", "delay_ms_max"),
    ("SplitSpec", "delimiter", "on"),
    ("SplitSpec", "index", "take"),
    ("SplitSpec", "separator", "on"),
    ("Target", "createIfMissing", "create_if_missing"),
    ("Target", "deleteIfRemoved", "delete_if_removed"),
    ("Target", "updateIfExists", "update_if_exists"),
    ("TransformSpec", "addDays", "add_days"),
    ("TransformSpec", "boolean", "to_boolean"),
    ("TransformSpec", "currencyConvert", "currency_convert"),
    ("TransformSpec", "date", "to_date"),
    ("TransformSpec", "expression", "custom"),
    ("TransformSpec", "extractDay", "extract_day"),
    ("TransformSpec", "extractMonth", "extract_month"),
    ("TransformSpec", "extractYear", "extract_year"),
    ("TransformSpec", "formatDate", "format_date"),
    ("TransformSpec", "lower", "lowercase"),
    ("TransformSpec", "number", "to_number"),
    ("TransformSpec", "parseDate", "parse_date"),
    ("TransformSpec", "parseJSON", "parse_json"),
    ("TransformSpec", "parseJson", "parse_json"),
    ("TransformSpec", "regexReplace", "regex_replace"),
    ("TransformSpec", "string", "to_string"),
    ("TransformSpec", "stringifyJSON", "stringify_json"),
    ("TransformSpec", "stringifyJson", "stringify_json"),
    ("TransformSpec", "subtractDays", "subtract_days"),
    ("TransformSpec", "toArray", "to_array"),
    ("TransformSpec", "toBoolean", "to_boolean"),
    ("TransformSpec", "toDate", "to_date"),
    ("TransformSpec", "toISOString", "to_iso_string"),
    ("TransformSpec", "toIsoString", "to_iso_string"),
    ("TransformSpec", "toNumber", "to_number"),
    ("TransformSpec", "toString", "to_string"),
    ("TransformSpec", "toTimestamp", "to_timestamp"),
    ("TransformSpec", "to_list", "to_array"),
    ("TransformSpec", "upper", "uppercase"),
    ("Validation", "maxLength", "max_length"),
    ("Validation", "minLength", "min_length"),
];

#[test]
fn the_schemas_in_the_repository_are_those_of_the_types() {
    let config = titled(schemars::schema_for!(Config), ALIASES, "Syncline configuration");
    let write = titled(schemars::schema_for!(WriteFile), &[], "Writing through a connector");
    for (name, kept, derived) in [
        ("config.json", include_str!("../schema/config.json"), config),
        ("write.json", include_str!("../schema/write.json"), write),
    ] {
        let path = format!("crates/syncline-core/src/config/schema/{name}");
        let derived = format!("{derived:#}\n");
        let patch = diffy::DiffOptions::new()
            .set_original_filename(format!("a/{path}"))
            .set_modified_filename(format!("b/{path}"))
            .create_patch(kept, &derived)
            .to_string();
        assert!(kept == derived, "the types say otherwise; `git apply` this:\n{patch}");
    }
}

#[test]
fn the_schema_names_every_other_spelling_that_the_plain_data_takes() {
    let sources = concat!(
        include_str!("../model/connection.rs"),
        include_str!("../model/conversion.rs"),
        include_str!("../model/database.rs"),
        include_str!("../model/file.rs"),
        include_str!("../model/manifest.rs"),
        include_str!("../model/program.rs"),
        include_str!("../model/shard_type.rs"),
        include_str!("../model/task.rs"),
        include_str!("../transform.rs")
    );
    let mut written: Vec<&str> = sources
        .match_indices("alias = \"")
        .map(|(at, found)| sources[at + found.len()..].split('"').next().unwrap())
        .collect();
    let mut listed: Vec<&str> = ALIASES.iter().map(|(_, alias, _)| *alias).collect();
    written.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, written, "complete the table in this file");
    let schema = json_schema();
    for (owner, alias, of) in ALIASES {
        let name = owner.split('.').next().unwrap();
        let definition = schema["$defs"][name].to_string();
        assert!(definition.contains(&format!("Another spelling of `{of}`")), "{owner} {of}");
        assert!(definition.contains(&format!("\"{alias}\"")), "{owner} {alias}");
    }
}

#[test]
fn the_schema_is_closed_and_keeps_its_texts() {
    let schema = json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["title"], "Syncline configuration");
    assert_eq!(schema["$defs"]["EntityWithFileSettings"]["additionalProperties"], false);
    let forms = schema["$defs"]["Connection"]["oneOf"].as_array().unwrap();
    let adapters = forms.iter().map(|form| &form["properties"]["adapter"]["const"]);
    assert!(adapters.eq(ADAPTERS), "{forms:#?}");
    assert!(forms.iter().all(|form| form["additionalProperties"] == false), "{forms:#?}");
    assert_eq!(schema["$defs"]["FileSettings"]["additionalProperties"], false);
    assert_eq!(
        schema["properties"]["tenant"]["description"],
        "The owner of everything in this file."
    );
    let either = json!([{ "required": ["op"] }, { "required": ["operator"] }]);
    assert_eq!(schema["$defs"]["Condition"]["anyOf"], either);
    assert!(!schema.to_string().contains("\"default\":null"));
}

fn titled(schema: schemars::Schema, aliases: &[(&str, &str, &str)], title: &str) -> Value {
    let mut schema = finish(schema.to_value(), aliases);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!(title));
    }
    schema
}

/// Closes all objects, drops defaults that say nothing, and adds the other spellings.
pub(super) fn finish(mut schema: Value, aliases: &[(&str, &str, &str)]) -> Value {
    close(&mut schema);
    for (owner, alias, of) in aliases {
        if let Some(definition) = definition(&mut schema, owner) {
            add_alias(definition, alias, of);
        }
    }
    schema
}

fn definition<'a>(schema: &'a mut Value, owner: &str) -> Option<&'a mut Value> {
    let (name, variant) = match owner.split_once('.') {
        Some((name, variant)) => (name, Some(variant)),
        None => (owner, None),
    };
    let definition = schema.pointer_mut(&format!("/$defs/{name}"))?;
    let Some(variant) = variant else { return Some(definition) };
    let variants = definition.get_mut("oneOf")?.as_array_mut()?;
    variants.iter_mut().find_map(|one| one.get_mut("properties")?.get_mut(variant))
}

fn close(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object) {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            match object.get_mut("default") {
                Some(Value::Null) => _ = object.shift_remove("default"),
                Some(Value::Object(fields)) => fields.retain(|_, value| !value.is_null()),
                _ => {}
            }
            object.values_mut().for_each(close);
        }
        _ => {}
    }
}

fn add_alias(definition: &mut Value, alias: &str, of: &str) {
    let Some(object) = definition.as_object_mut() else { return };
    add_key_alias(object, alias, of);
    if let Some(values) = object.get_mut("enum") {
        add_value_alias(values, alias, of);
    }
    let Some(Value::Array(variants)) = object.get_mut("oneOf") else { return };
    let mut more = Vec::new();
    for variant in variants.iter_mut() {
        if variant["const"] == of {
            more.push(json!({
                "type": "string", "const": alias, "deprecated": true,
                "description": format!("Another spelling of `{of}`."),
            }));
        } else if let Some(values) = variant.get_mut("enum") {
            add_value_alias(values, alias, of);
        } else if let Some(settings) = variant["properties"].get(of) {
            let mut other = variant.clone();
            other["properties"] = json!({ alias: settings });
            other["required"] = json!([alias]);
            other["deprecated"] = json!(true);
            other["description"] = json!(format!("Another spelling of `{of}`."));
            more.push(other);
        }
    }
    variants.extend(more);
}

fn add_value_alias(values: &mut Value, alias: &str, of: &str) {
    if let Value::Array(values) = values
        && values.iter().any(|value| value == of)
    {
        values.push(json!(alias));
    }
}

fn add_key_alias(object: &mut Map<String, Value>, alias: &str, of: &str) {
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    let Some(mut property) = properties.get(of).cloned() else { return };
    if let Some(property) = property.as_object_mut() {
        property.insert("description".to_owned(), json!(format!("Another spelling of `{of}`.")));
        property.insert("deprecated".to_owned(), json!(true));
        property.insert(ALIAS_OF.to_owned(), json!(of));
    }
    properties.insert(alias.to_owned(), property);
    // A key that must be there may be there in either spelling.
    let Some(Value::Array(required)) = object.get_mut("required") else { return };
    let before = required.len();
    required.retain(|key| key != of);
    if required.len() < before {
        object.insert("anyOf".to_owned(), json!([{ "required": [of] }]));
    }
    if let Some(Value::Array(either)) = object.get_mut("anyOf")
        && either.iter().any(|one| one["required"][0] == of)
    {
        either.push(json!({ "required": [alias] }));
    }
}
