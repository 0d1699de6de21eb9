//! Where the records of a tap go: to tasks of a project, or each stream to a shard type of its own.

use super::memory::Memory;
use crate::app::App;
use crate::error::Error;
use crate::syncing::Syncline;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncline_adapters::singer::{Rows, StreamSchema};
use syncline_core::config::model::indexed::IndexedMap;
use syncline_core::config::model::{
    Config, Connection, ConversionSchema, Entity, EntitySettings, FieldDef, FieldMapping,
    FieldType, OneOrMany, ProgramSettings, ProgramStreamSettings, Settings, ShardType, Target,
};
use syncline_core::problem::nearest;
use syncline_store::Store;
use syncline_store::sqlite::{Options, SqliteStore};

/// The connection that streams belong to where there is no project.
const CONNECTION: &str = "singer";

/// The field that names records of streams without a key.
const ROW: &str = "_syncline_row";

pub(super) struct Destination {
    sync: Option<Syncline>,
    tasks: BTreeMap<String, Vec<String>>,
    /// Where there is no project: what one is made of.
    streams: Option<Streams>,
}

/// Streams as the project that they make.
struct Streams {
    store: Arc<dyn Store>,
    path: PathBuf,
    declared: BTreeMap<String, Declared>,
    /// Whether something was declared since the project was made.
    is_new: bool,
}

#[derive(Default)]
struct Declared {
    fields: IndexedMap<FieldDef>,
    key: Vec<String>,
}

impl Destination {
    pub(super) async fn open(app: &App, connection: Option<&str>) -> Result<Self, Error> {
        let Some(connection) = connection else { return Self::streams(app) };
        let sync = app.open(None).await?;
        let config = &sync.world().config;
        let Some(known) = config.connections.get(connection) else {
            let names = config.connections.keys().map(String::as_str);
            let hint = match nearest(connection, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`connections` in the configuration names them".to_owned(),
            };
            return Err(Error::usage(format!("there is no connection `{connection}`"), hint));
        };
        let mut tasks: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, task) in &config.sync_tasks {
            if task.connection == connection && task.direction.takes() {
                let stream = match known.entities.get(&task.entity).map(|entity| &entity.settings) {
                    Some(EntitySettings::ProgramStream(own)) => own.stream.clone(),
                    Some(EntitySettings::Stream(own)) => own.stream.clone(),
                    _ => None,
                };
                let stream = stream.unwrap_or_else(|| task.entity.clone());
                tasks.entry(stream).or_default().push(name.clone());
            }
        }
        if tasks.is_empty() {
            let message = format!("no task takes records of the connection `{connection}`");
            return Err(Error::usage(message, "add one under `sync_tasks`"));
        }
        Ok(Self { sync: Some(sync), tasks, streams: None })
    }

    fn streams(app: &App) -> Result<Self, Error> {
        let path = match (&app.options.store, &app.config) {
            (Some(store), None) => store.clone(),
            (_, Some(_)) => {
                let message = "it is not said which connection the records belong to";
                return Err(Error::usage(message, "name it with `--connection`"));
            }
            (None, None) => {
                let hint = "`--connection NAME` takes them as those of a connection of the project, `--store FILE` \
                            keeps each stream as a shard type of its own";
                return Err(Error::usage("it is not said where the records go", hint));
            }
        };
        let options = Options { tenant: "default".to_owned(), ..Options::default() };
        let store = Arc::new(SqliteStore::open(&path, options)?);
        let streams = Streams { store, path, declared: BTreeMap::new(), is_new: true };
        Ok(Self { sync: None, tasks: BTreeMap::new(), streams: Some(streams) })
    }

    pub(super) fn store_path(&self) -> &Path {
        match (&self.streams, &self.sync) {
            (Some(streams), _) => &streams.path,
            (None, Some(sync)) => sync.store_path(),
            (None, None) => Path::new(""),
        }
    }

    pub(super) fn store(&self) -> Option<&Arc<dyn Store>> {
        match &self.streams {
            Some(streams) => Some(&streams.store),
            None => self.sync.as_ref().map(Syncline::store),
        }
    }

    /// How the input looks at records: a project has rules of its own for that.
    pub(super) fn rows(&self, memory: &Memory) -> Option<Rows> {
        let (since, number) = memory.since();
        self.streams.as_ref().map(|_| Rows { field: ROW, since, number })
    }

    /// The tasks that take a stream.
    pub(super) fn tasks(&self, stream: &str) -> Vec<String> {
        self.tasks.get(stream).cloned().unwrap_or_default()
    }

    /// Whether records of a stream that is known get other names from here on.
    pub(super) fn changes_key(&self, stream: &str, schema: &StreamSchema) -> bool {
        let known = self.streams.as_ref().and_then(|streams| streams.declared.get(stream));
        known.is_some_and(|known| known.key != schema.key)
    }

    /// Adds a stream, or the fields that are new of one that is known.
    pub(super) fn declare(&mut self, stream: String, schema: StreamSchema) {
        let Some(streams) = &mut self.streams else { return };
        self.tasks.insert(stream.clone(), vec![stream.clone()]);
        let declared = streams.declared.entry(stream).or_default();
        declared.key = schema.key;
        for (name, schema) in &schema.properties {
            let field_type = field_type(schema);
            let found = declared.fields.position(name);
            match found.map(|index| &mut declared.fields.0[index].1) {
                None => declared.fields.0.push((name.clone(), FieldDef::Short(field_type))),
                Some(known) if known.field_type() != field_type => {
                    *known = FieldDef::Short(FieldType::Json);
                }
                Some(_) => {}
            }
        }
        streams.is_new = true;
    }

    /// What runs the tasks, with all that was declared by now.
    pub(super) async fn ready(&mut self) -> Result<&Syncline, Error> {
        if let Some(streams) = self.streams.as_mut().filter(|streams| streams.is_new) {
            let config = streams.config()?;
            self.sync = Some(Syncline::of(config, streams.store.clone(), &streams.path).await?);
            streams.is_new = false;
        }
        self.sync.as_ref().ok_or_else(|| Error::refused("no stream was declared", ""))
    }
}

impl Streams {
    /// A project in which each stream is an entity, a shard type, a conversion schema and a task of its name.
    fn config(&self) -> Result<Config, Error> {
        let mut config = Config::default();
        let mut connection = Connection {
            adapter: CONNECTION.to_owned(),
            settings: Settings::Program(ProgramSettings::default()),
            ..Connection::default()
        };
        for (name, Declared { fields, key }) in &self.declared {
            let key = if key.is_empty() { vec![ROW.to_owned()] } else { key.clone() };
            let settings = EntitySettings::ProgramStream(ProgramStreamSettings::default());
            let entity = Entity { key: OneOrMany::Many(key), settings, ..Entity::default() };
            connection.entities.insert(name.clone(), entity);
            let mapped =
                |(name, _): &(String, FieldDef)| (name.clone(), FieldMapping::Short(name.clone()));
            let schema = ConversionSchema {
                shard_type: name.clone(),
                fields: fields.0.iter().map(mapped).collect(),
                target: Target { delete_if_removed: true, ..Target::default() },
                ..ConversionSchema::default()
            };
            config.conversion_schemas.insert(name.clone(), schema);
            let shard_type = ShardType { fields: fields.clone(), ..ShardType::default() };
            config.shard_types.insert(name.clone(), shard_type);
            let task =
                json!({ "connection": CONNECTION, "entity": name, "conversion_schema": name });
            let task = serde_json::from_value(task)
                .map_err(|error| Error::refused(format!("stream `{name}`: {error}"), ""))?;
            config.sync_tasks.insert(name.clone(), task);
        }
        config.connections.insert(CONNECTION.to_owned(), connection);
        Ok(config)
    }
}

/// The type of a field whose values have this JSON schema. Where they may be of several types, they are kept as they
/// come.
fn field_type(schema: &Json) -> FieldType {
    let mut types = Vec::new();
    collect(schema, &mut types);
    // A time that may be empty is often written as a time or a text.
    let is_time = |one: &FieldType| matches!(one, FieldType::Timestamp | FieldType::Date);
    if types.iter().any(is_time) {
        types.retain(|one| *one != FieldType::Text);
    }
    if types.contains(&FieldType::Number) {
        types.retain(|one| *one != FieldType::Integer);
    }
    match types.as_slice() {
        [one] => *one,
        _ => FieldType::Json,
    }
}

fn collect(schema: &Json, types: &mut Vec<FieldType>) {
    for name in ["anyOf", "oneOf"] {
        for option in schema.get(name).and_then(Json::as_array).into_iter().flatten() {
            collect(option, types);
        }
    }
    let named = match schema.get("type") {
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        Some(Json::String(name)) => vec![name.as_str()],
        _ => Vec::new(),
    };
    let format = schema.get("format").and_then(Json::as_str);
    for name in named {
        let one = match (name, format) {
            ("null", _) => continue,
            ("string", Some("date-time")) => FieldType::Timestamp,
            ("string", Some("date")) => FieldType::Date,
            ("string", _) => FieldType::Text,
            ("integer", _) => FieldType::Integer,
            ("number", _) => FieldType::Number,
            ("boolean", _) => FieldType::Boolean,
            ("array", _) => FieldType::List,
            _ => FieldType::Json,
        };
        if !types.contains(&one) {
            types.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_the_type_that_its_schema_names() {
        let cases = [
            (json!({"type": "string"}), FieldType::Text),
            (json!({"type": ["null", "integer"]}), FieldType::Integer),
            (json!({"type": ["integer", "number"]}), FieldType::Number),
            (json!({"type": ["integer", "string"]}), FieldType::Json),
            (json!({"type": "array", "items": {"type": "string"}}), FieldType::List),
            (json!({"type": "object", "properties": {}}), FieldType::Json),
            (json!({"type": "string", "format": "date"}), FieldType::Date),
            (json!({}), FieldType::Json),
            (
                json!({"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]}),
                FieldType::Timestamp,
            ),
        ];
        for (schema, expected) in cases {
            assert_eq!(field_type(&schema), expected, "{schema}");
        }
    }
}
