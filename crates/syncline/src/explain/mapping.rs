//! Which mapping makes a field of an entity's records, in one line.

use std::collections::BTreeMap;
use syncline_core::config::model::{
    Config, ConversionSchema, FieldMapping, Mapping, OneOrMany, Transform,
};
use syncline_core::plan::rows::EntityName;

/// The conversion schema that records of `name` go through, and the fields that it maps.
pub(super) fn schema<'a>(
    config: &'a Config,
    name: &EntityName,
) -> Option<(&'a str, &'a BTreeMap<String, FieldMapping>)> {
    let (entity, derived) = match name.entity.rsplit_once('#') {
        Some((entity, derived)) => (entity, Some(derived)),
        None => (name.entity.as_str(), None),
    };
    config.sync_tasks.values().find_map(|task| {
        if task.connection != name.connection || task.entity != entity {
            return None;
        }
        let schema = config.conversion_schemas.get_key_value(&task.conversion_schema);
        let (schema_name, schema) = schema?;
        let fields = fields(schema, &name.shard_type, derived)?;
        Some((schema_name.as_str(), fields))
    })
}

fn fields<'a>(
    schema: &'a ConversionSchema,
    shard_type: &str,
    derived: Option<&str>,
) -> Option<&'a BTreeMap<String, FieldMapping>> {
    let Some(wanted) = derived else {
        return (schema.shard_type == shard_type).then_some(&schema.fields);
    };
    let found = schema
        .derived
        .iter()
        .find(|derived| derived.name.as_deref().unwrap_or(&derived.shard_type) == wanted);
    found.map(|derived| &derived.fields)
}

/// The mapping of a field, in one line: `Email | trim | lowercase`.
pub(super) fn of_field(config: &Config, name: &EntityName, field: &str) -> Option<String> {
    let (_, fields) = schema(config, name)?;
    Some(match fields.get(field)? {
        FieldMapping::Short(from) => from.clone(),
        FieldMapping::Full(mapping) => summary(mapping),
    })
}

fn summary(mapping: &Mapping) -> String {
    let mut out = source(mapping);
    let transforms = mapping.transform.as_ref().map_or(&[][..], OneOrMany::as_slice);
    for transform in transforms {
        out.push_str(" | ");
        out.push_str(&transform_name(transform));
    }
    if let Some(default) = &mapping.default {
        out.push_str(&format!(" | default {}", default.to_json()));
    }
    out
}

fn source(mapping: &Mapping) -> String {
    if let Some(from) = &mapping.from {
        return from.as_slice().join(" + ");
    }
    if let Some(value) = &mapping.value {
        return format!("always {}", value.to_json());
    }
    if let Some(template) = &mapping.template {
        return format!("template `{template}`");
    }
    if let Some(cases) = &mapping.when {
        return format!("the first of {} conditions that holds", cases.len());
    }
    if let Some(flatten) = &mapping.flatten {
        let path = flatten.path.as_deref().map(|path| format!(" at `{path}`")).unwrap_or_default();
        return format!("items of {}{path}", flatten.from);
    }
    if let Some(lookup) = &mapping.lookup {
        let (of, by) = (&lookup.shard_type, &lookup.by);
        return format!("`{}` of the {of} whose {by} is in {}", lookup.returns, lookup.from);
    }
    mapping.expression.as_ref().map_or_else(String::new, |text| format!("expression `{text}`"))
}

/// A transformation's name, and what it takes where that is short.
fn transform_name(transform: &Transform) -> String {
    let Ok(json) = serde_json::to_value(transform) else { return String::new() };
    match json {
        serde_json::Value::String(name) => name,
        serde_json::Value::Object(map) => {
            let Some((name, takes)) = map.into_iter().next() else { return String::new() };
            let takes = takes.to_string();
            if takes.len() <= 30 { format!("{name} {takes}") } else { name }
        }
        other => other.to_string(),
    }
}
