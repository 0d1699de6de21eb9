//! Outside systems, and the settings that their adapters take.

use super::{
    AddressBookSettings, CarddavSettings, Condition, FileSettings, ManifestSettings, OneOrMany,
    ProgramSettings, ProgramStreamSettings, ServerSettings, SqliteSettings, StreamSettings,
    TableSettings, Webhook,
};
#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
#[cfg(test)]
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One outside system: adapter, settings, entities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Declared")]
pub struct Connection {
    /// The adapter that speaks to it.
    pub adapter: String,
    /// Rank among sources when values compete: the higher one wins. Default 0.
    pub priority: i64,
    /// Whether this system is known to hold each real thing once only: two of its records are then
    /// never merged with each other.
    pub duplicate_free: bool,
    /// What the system sends by itself when records change.
    pub webhook: Option<Webhook>,
    /// Settings of the adapter for all entities; an entity's own settings win.
    pub settings: Settings,
    /// The kinds of record at this connection, by name.
    pub entities: BTreeMap<String, Entity>,
}

/// A connection's settings, by the family of its adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Settings {
    /// Of `file`.
    File(FileSettings),
    /// Of `postgres` and `mysql`.
    Server(ServerSettings),
    /// Of `sqlite`.
    Sqlite(SqliteSettings),
    /// Of `manifest`.
    Manifest(ManifestSettings),
    /// Of `carddav`.
    Carddav(CarddavSettings),
    /// Of `singer` and `airbyte`.
    Program(ProgramSettings),
}

impl Default for Settings {
    fn default() -> Self {
        Self::File(FileSettings::default())
    }
}

/// An entity's settings, by the family of its connection's adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EntitySettings {
    /// Of `file`.
    File(FileSettings),
    /// Of `postgres`, `mysql` and `sqlite`.
    Table(TableSettings),
    /// Of `manifest`.
    Stream(StreamSettings),
    /// Of `carddav`.
    AddressBook(AddressBookSettings),
    /// Of `singer` and `airbyte`.
    ProgramStream(ProgramStreamSettings),
}

impl Default for EntitySettings {
    fn default() -> Self {
        Self::File(FileSettings::default())
    }
}

/// A kind of record at a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "EntityWith{S}"))]
pub struct Entity<S = EntitySettings> {
    /// The field or fields that name a record for good; several are joined with `|`.
    pub key: OneOrMany<String>,
    /// The field that says when a record last changed. Used for newest-wins rules and incremental reads.
    #[serde(default)]
    pub modified: Option<String>,
    /// The field that changes with every change of the record, such as an ETag or a row version: writes are then made
    /// only where it is as it was.
    #[serde(default)]
    pub version: Option<String>,
    /// How `modified` is written where it is no ISO date: a strftime format such as `%d.%m.%Y`, or several,
    /// of which the first that fits is taken. Times are in UTC unless the format says otherwise.
    #[serde(default)]
    pub modified_format: Option<OneOrMany<String>>,
    /// The condition under which a record counts as deleted at its source.
    #[serde(default)]
    pub deleted: Option<Condition>,
    /// The field that names, in a record that was deleted because it was merged into another one, the other one's key.
    #[serde(default)]
    pub merged_into: Option<String>,
    /// What the adapter is to know of it.
    #[serde(flatten)]
    pub settings: S,
}

impl<S> Entity<S> {
    /// The entity with its settings put into another form.
    pub fn map_settings<T>(self, form: impl FnOnce(S) -> T) -> Entity<T> {
        let Self { key, modified, version, modified_format, deleted, merged_into, settings } = self;
        let settings = form(settings);
        Entity { key, modified, version, modified_format, deleted, merged_into, settings }
    }
}

/// The adapters that a configuration can name. A build may have fewer.
pub const ADAPTERS: &[&str] =
    &["file", "postgres", "mysql", "sqlite", "manifest", "carddav", "singer", "airbyte"];

#[cfg(test)]
impl JsonSchema for Connection {
    fn schema_name() -> Cow<'static, str> {
        "Connection".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Declared::json_schema(generator)
    }
}

/// One outside system: adapter, settings, entities. The adapter says which settings there are.
// A new family of adapters is a variant here, in `Settings` and in `EntitySettings`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(tag = "adapter", rename_all = "snake_case")]
enum Declared {
    /// CSV, TSV, JSON Lines and JSON files.
    File(Parts<FileSettings, FileSettings>),
    /// A PostgreSQL database.
    Postgres(Parts<ServerSettings, TableSettings>),
    /// A MySQL or MariaDB database.
    Mysql(Parts<ServerSettings, TableSettings>),
    /// A SQLite database.
    Sqlite(Parts<SqliteSettings, TableSettings>),
    /// An HTTP API, through a connector that a manifest describes.
    Manifest(Parts<ManifestSettings, StreamSettings>),
    /// Contacts on a CardDAV server.
    Carddav(Parts<CarddavSettings, AddressBookSettings>),
    /// A Singer tap, run as a program.
    Singer(Parts<ProgramSettings, ProgramStreamSettings>),
    /// A source that speaks the Airbyte protocol, run as a program.
    Airbyte(Parts<ProgramSettings, ProgramStreamSettings>),
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, schemars(inline))]
struct Parts<S: Default, E> {
    /// Rank among sources when values compete: the higher one wins. Default 0.
    #[serde(default)]
    priority: i64,
    /// Whether this system is known to hold each real thing once only: two of its records are then
    /// never merged with each other.
    #[serde(default)]
    duplicate_free: bool,
    /// What the system sends by itself when records change.
    #[serde(default)]
    webhook: Option<Webhook>,
    /// Settings of the adapter for all entities; an entity's own settings win.
    #[serde(default)]
    settings: S,
    /// The kinds of record at this connection, by name.
    entities: BTreeMap<String, Entity<E>>,
}

impl<S: Default, E> Parts<S, E> {
    fn of(
        self,
        adapter: &str,
        settings: fn(S) -> Settings,
        entity_settings: fn(E) -> EntitySettings,
    ) -> Connection {
        let entities = self.entities.into_iter();
        let entities = entities.map(|(name, entity)| (name, entity.map_settings(entity_settings)));
        Connection {
            adapter: adapter.to_owned(),
            priority: self.priority,
            duplicate_free: self.duplicate_free,
            webhook: self.webhook,
            settings: settings(self.settings),
            entities: entities.collect(),
        }
    }
}

impl From<Declared> for Connection {
    fn from(declared: Declared) -> Self {
        match declared {
            Declared::File(parts) => parts.of("file", Settings::File, EntitySettings::File),
            Declared::Postgres(parts) => {
                parts.of("postgres", Settings::Server, EntitySettings::Table)
            }
            Declared::Mysql(parts) => parts.of("mysql", Settings::Server, EntitySettings::Table),
            Declared::Sqlite(parts) => parts.of("sqlite", Settings::Sqlite, EntitySettings::Table),
            Declared::Manifest(parts) => {
                parts.of("manifest", Settings::Manifest, EntitySettings::Stream)
            }
            Declared::Carddav(parts) => {
                parts.of("carddav", Settings::Carddav, EntitySettings::AddressBook)
            }
            Declared::Singer(parts) => {
                parts.of("singer", Settings::Program, EntitySettings::ProgramStream)
            }
            Declared::Airbyte(parts) => {
                parts.of("airbyte", Settings::Program, EntitySettings::ProgramStream)
            }
        }
    }
}
