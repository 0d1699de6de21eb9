//! The converter as a whole, on configurations in YAML and records in JSON.

mod conditions;
mod docs;
mod examples;
mod mappings;
mod notices;
mod outbound;
mod problems;
mod properties;
mod transforms;
mod validation;

use super::*;
use crate::config::model::{ConversionSchema, Entity, EntitySettings, FileSettings, ShardType};

/// A conversion schema among what it needs to stand alone.
struct Setup {
    shard_types: String,
    entity: String,
    schema: String,
}

impl Setup {
    /// A schema that fills one field `out` of type `field_type` with `mapping`.
    fn field(field_type: &str, mapping: &str) -> Self {
        Self::new(
            &format!("{{ thing: {{ fields: {{ out: {field_type} }} }} }}"),
            &format!("{{ shard_type: thing, fields: {{ out: {mapping} }} }}"),
        )
    }

    fn new(shard_types: &str, schema: &str) -> Self {
        let entity = "{ key: id, modified: changed }".to_owned();
        Self { shard_types: shard_types.to_owned(), entity, schema: schema.to_owned() }
    }

    fn compile(&self) -> Result<Converter, Vec<Problem>> {
        let types: BTreeMap<String, ShardType> = yaml(&self.shard_types);
        let layouts = types
            .iter()
            .map(|(name, shard_type)| (name.clone(), Arc::new(Layout::new(name, shard_type))))
            .collect();
        let entity: Entity<FileSettings> = yaml(&self.entity);
        let entity = entity.map_settings(EntitySettings::File);
        let schema: ConversionSchema = yaml(&self.schema);
        let names = Names { tenant: "acme", connection: "crm", entity: "Contact", task: "nightly" };
        Converter::compile(&schema, &entity, &layouts, &names, &ConfigPath::root())
    }

    fn converter(&self) -> Converter {
        self.compile().unwrap_or_else(|problems| panic!("{}: {problems:#?}", self.schema))
    }

    /// The problems, each as `path[part]: message (help)`.
    fn problems(&self) -> Vec<String> {
        let Err(problems) = self.compile() else { return Vec::new() };
        let show = |p: &Problem| {
            let part = p.part.as_ref().map(|part| format!("[{}..{}]", part.start, part.end));
            let help = p.help.as_ref().map(|help| format!(" ({help})"));
            let (part, help) = (part.unwrap_or_default(), help.unwrap_or_default());
            format!("{}{part}: {}{help}", p.path, p.message)
        };
        problems.iter().map(show).collect()
    }
}

/// Reads YAML 1.2, in which `on` and `y` are text.
fn yaml<T: serde::de::DeserializeOwned>(text: &str) -> T {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A page of the records in a JSON array.
fn page(json: &str) -> Page {
    let Value::List(items) = serde_json::from_str(json).unwrap() else { panic!("{json}") };
    let mut shape = Shape::default();
    let mut records = Vec::new();
    for (item, line) in items.into_iter().zip(1..) {
        let mut record = Record { line, ..Record::default() };
        let Value::Map(entries) = item else { panic!("{json}") };
        for (name, value) in entries {
            let index = shape.intern(&name);
            if record.cells.len() <= index {
                record.cells.resize(index + 1, None);
            }
            record.cells[index] = Some(value);
        }
        records.push(record);
    }
    Page { shape: Arc::new(shape), records, ..Page::default() }
}

fn convert_one(converter: &Converter, record: &str) -> Converted {
    converter.convert(&page(&format!("[{record}]"))).remove(0)
}

fn mapped(converted: Converted) -> Mapped {
    match converted.outcome {
        Outcome::Mapped(mapped) => *mapped,
        other => panic!("{other:?}"),
    }
}

/// The image as JSON, or the errors, or what else the record became.
fn shown(converter: &Converter, record: &str) -> String {
    match convert_one(converter, record).outcome {
        Outcome::Mapped(mapped) => converter.layout().to_json(&mapped.image),
        Outcome::Invalid(errors) => {
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        }
        Outcome::Deleted => "deleted".to_owned(),
        Outcome::Filtered => "filtered".to_owned(),
    }
}

/// What `mapping` makes of a record whose field `x` is `value` (JSON, or `-` for absent), in a field of `field_type`:
/// JSON, `-` for absent, or `! problem`.
fn out(field_type: &str, mapping: &str, value: &str) -> String {
    let record = match value {
        "-" => r#"{"id":1}"#.to_owned(),
        value => format!(r#"{{"id":1,"x":{value}}}"#),
    };
    out_of_record(field_type, mapping, &record)
}

fn out_of_record(field_type: &str, mapping: &str, record: &str) -> String {
    let converter = Setup::field(field_type, mapping).converter();
    match convert_one(&converter, record).outcome {
        Outcome::Mapped(mapped) => match &mapped.image[0] {
            Some(value) => value.to_json(),
            None => "-".to_owned(),
        },
        Outcome::Invalid(errors) => format!("! {}", errors[0].problem),
        other => panic!("{other:?}"),
    }
}
