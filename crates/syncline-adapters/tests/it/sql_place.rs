//! A database of each kind, so that what must hold of all of them is said once.

use crate::reading::{Outcome, full, read_with, wait};
use crate::servers::{Kind, PASSWORD, Server};
use std::path::Path;
use std::sync::Arc;
use syncline_adapters::write::{Change, Replies, Target, Write, Written};
use syncline_adapters::{Adapter, AdapterError, ReadRequest, registry};
use syncline_core::config::model::{
    Connection, Entity, EntitySettings, OneOrMany, ServerSettings, Settings, SqliteSettings,
    TableSettings,
};
use syncline_core::value::Value;

/// An empty database.
pub(crate) struct Place {
    /// The name of its adapter.
    pub(crate) adapter: &'static str,
    pub(crate) server: Option<Server>,
    folder: tempfile::TempDir,
}

/// An adapter for one table, and short ways to use it.
pub(crate) struct Table {
    pub(crate) adapter: Arc<dyn Adapter>,
}

impl Place {
    pub(crate) fn postgres() -> Self {
        Self::new("postgres", Some(Server::start(Kind::Postgres)))
    }

    pub(crate) fn mariadb() -> Self {
        Self::new("mysql", Some(Server::start(Kind::MariaDb)))
    }

    pub(crate) fn sqlite() -> Self {
        let place = Self::new("sqlite", None);
        place.sql("PRAGMA journal_mode = WAL");
        place
    }

    fn new(adapter: &'static str, server: Option<Server>) -> Self {
        Self { adapter, server, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("it.db")
    }

    /// Runs a script; returns what it printed, a line for each row.
    pub(crate) fn sql(&self, script: &str) -> String {
        if let Some(server) = &self.server {
            return server.sql(script);
        }
        let connection = rusqlite::Connection::open(self.file()).unwrap();
        if !script.trim_start().starts_with("SELECT") {
            connection.execute_batch(script).unwrap();
            return String::new();
        }
        let mut lines = Vec::new();
        let mut statement = connection.prepare(script).unwrap();
        let width = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cell = |index| match row.get_ref(index).unwrap() {
                rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                rusqlite::types::ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
            };
            lines.push((0..width).map(cell).collect::<Vec<_>>().join("|"));
        }
        lines.join("\n")
    }

    /// `script` with the words `TEXT`, `MOMENT` and `SERIAL` in the dialect's own.
    pub(crate) fn make(&self, script: &str) {
        let (text, moment, serial) = match self.adapter {
            "postgres" => ("text", "timestamptz", "bigserial PRIMARY KEY"),
            "mysql" => ("varchar(200)", "datetime(6)", "bigint AUTO_INCREMENT PRIMARY KEY"),
            _ => ("TEXT", "TEXT", "INTEGER PRIMARY KEY"),
        };
        let script = script.replace("TEXT", text).replace("MOMENT", moment);
        self.sql(&script.replace("SERIAL", serial));
    }

    pub(crate) fn settings(&self) -> Settings {
        match &self.server {
            Some(server) => Settings::Server(ServerSettings {
                host: Some("127.0.0.1".to_owned()),
                port: Some(server.port),
                database: Some("it".to_owned()),
                user: Some("admin".to_owned()),
                password: Some(PASSWORD.to_owned()),
                connect_timeout_s: Some(5),
                statement_timeout_s: Some(20),
                ..ServerSettings::default()
            }),
            None => Settings::Sqlite(SqliteSettings {
                path: Some("it.db".to_owned()),
                lock_timeout_s: Some(5),
            }),
        }
    }

    /// The server's settings after `change`.
    pub(crate) fn server_settings(&self, change: impl FnOnce(&mut ServerSettings)) -> Settings {
        let Settings::Server(mut settings) = self.settings() else { panic!("it is no server") };
        change(&mut settings);
        Settings::Server(settings)
    }

    /// The table `name`, whose key is `key`.
    pub(crate) fn table(&self, name: &str, key: &[&str]) -> Table {
        self.table_with(name, key, TableSettings::default())
    }

    pub(crate) fn table_with(&self, name: &str, key: &[&str], own: TableSettings) -> Table {
        self.open(self.settings(), name, key, own).unwrap()
    }

    /// A table with a column that changes with each change of its row.
    pub(crate) fn versioned_table(&self, name: &str, key: &[&str], version: &str) -> Table {
        let entity = entity(name, key, TableSettings::default());
        let entity = Entity { version: Some(version.to_owned()), ..entity };
        self.open_entity(self.settings(), entity).unwrap()
    }

    pub(crate) fn open(
        &self,
        settings: Settings,
        name: &str,
        key: &[&str],
        own: TableSettings,
    ) -> Result<Table, AdapterError> {
        self.open_entity(settings, entity(name, key, own))
    }

    fn open_entity(&self, settings: Settings, entity: Entity) -> Result<Table, AdapterError> {
        let connection = Connection {
            adapter: self.adapter.to_owned(),
            settings,
            entities: [("it".to_owned(), entity)].into(),
            ..Connection::default()
        };
        let base: &Path = self.folder.path();
        Ok(Table { adapter: registry::open(&connection, base)? })
    }
}

fn entity(name: &str, key: &[&str], own: TableSettings) -> Entity {
    Entity {
        key: OneOrMany::Many(key.iter().map(|name| (*name).to_owned()).collect()),
        settings: EntitySettings::Table(TableSettings { table: Some(name.to_owned()), ..own }),
        ..Entity::default()
    }
}

impl Table {
    /// Reads everything, in pages of three rows.
    pub(crate) fn read(&self) -> Outcome {
        let (pages, end) = read_with(self.adapter.as_ref(), full(None, 3), |_| {});
        Outcome { pages, end: end.unwrap() }
    }

    pub(crate) fn try_read(&self, request: ReadRequest) -> Result<Outcome, AdapterError> {
        let (pages, end) = read_with(self.adapter.as_ref(), request, |_| {});
        Ok(Outcome { pages, end: end? })
    }

    /// What is wrong with it.
    pub(crate) fn refusal(&self) -> AdapterError {
        wait(self.adapter.check("it")).unwrap_err()
    }

    pub(crate) fn write(&self, writes: Vec<Write>) -> Replies {
        let writer = self.adapter.writer().unwrap();
        let replies = wait(writer.write("it", writes.clone()));
        assert_eq!(replies.written.len(), writes.len());
        replies
    }

    /// What became of each write, in short.
    pub(crate) fn outcomes(&self, writes: Vec<Write>) -> Vec<String> {
        self.write(writes).written.iter().map(short).collect()
    }
}

pub(crate) fn short(written: &Written) -> String {
    match written {
        Written::Done { key, .. } => format!("done {}", key.join("|")),
        Written::Changed => "changed".to_owned(),
        Written::Missing => "missing".to_owned(),
        Written::Exists { key } => {
            format!("exists {}", key.clone().unwrap_or_default().join("|"))
        }
        Written::Rejected { field, .. } => {
            format!("rejected {}", field.clone().unwrap_or_default()).trim_end().to_owned()
        }
        Written::NotSent { .. } => "not sent".to_owned(),
        Written::Unknown { .. } => "unknown".to_owned(),
    }
}

/// Fields from JSON text.
pub(crate) fn fields(json: &str) -> Vec<(compact_str::CompactString, Value)> {
    match serde_json::from_str(json).unwrap() {
        Value::Map(fields) => fields,
        other => panic!("{other:?}"),
    }
}

fn write(change: Change) -> Write {
    Write { key: "k".into(), marker: "m".into(), change }
}

pub(crate) fn create(json: &str) -> Write {
    write(Change::Create { fields: fields(json) })
}

/// An update of the row `key`, which held `before`.
pub(crate) fn update(key: &str, before: &str, json: &str) -> Write {
    write(Change::Update { target: target(key, before), fields: fields(json) })
}

pub(crate) fn delete(key: &str, before: &str) -> Write {
    write(Change::Delete { target: target(key, before) })
}

fn target(key: &str, before: &str) -> Target {
    let key = key.split('|').map(Into::into).collect();
    Target { key, version: None, before: fields(before) }
}
