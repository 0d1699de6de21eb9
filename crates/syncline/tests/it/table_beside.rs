//! A two-way example between a local server and a SQLite table.

use crate::local_server::LocalServer;
use crate::project::{Project, Ran};
use rusqlite::types::ValueRef;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub(crate) struct Beside {
    folder: PathBuf,
    pub(crate) server: LocalServer,
    pub(crate) project: Project,
    secrets: Vec<(&'static str, &'static str)>,
}

impl Beside {
    /// The example in the folder `name`, with its table.
    pub(crate) fn new(
        name: &str,
        server: LocalServer,
        secrets: &[(&'static str, &'static str)],
    ) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
        let example =
            Self { folder, server, project: Project::new(&[]), secrets: secrets.to_vec() };
        example.script("shop.sql");
        example
    }

    /// The example without any rows.
    pub(crate) fn emptied(self) -> Self {
        self.sql("DELETE FROM customers");
        self
    }

    /// The table's people.
    pub(crate) fn customers(&self) -> Vec<String> {
        self.rows(
            "SELECT mail, first_name, last_name, telephone, town FROM customers ORDER BY mail, id",
        )
    }

    /// Both sides hold these people.
    #[track_caller]
    pub(crate) fn both_list(&self, contacts: &[String], lines: &[&str]) {
        assert_eq!(contacts, lines, "the provider");
        assert_eq!(self.customers(), lines, "the shop");
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// A file of the example, as JSON.
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// Does what a person does at the provider's pages, step by step.
    pub(crate) fn at_desk(&self, name: &str) {
        for step in self.json(name).as_array().unwrap() {
            let text = |name: &str| step[name].as_str().unwrap();
            self.server.control(text("method"), text("path"), step.get("body").cloned());
        }
    }

    /// The records that the server shows at `path`, the texts of `fields` joined with `|`, in their order.
    pub(crate) fn records(&self, path: &str, fields: &[&str]) -> Vec<String> {
        let records = self.server.control("GET", path, None);
        let line = |record: &Value| {
            let texts = fields.iter().map(|name| record[name].as_str().unwrap_or_default());
            texts.collect::<Vec<_>>().join("|")
        };
        let mut lines: Vec<String> = records.as_array().unwrap().iter().map(line).collect();
        lines.sort_unstable();
        lines
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.project.path("shop.db")).unwrap()
    }

    pub(crate) fn sql(&self, sql: &str) {
        self.database().execute_batch(sql).unwrap();
    }

    /// Runs a script of the example in the database.
    pub(crate) fn script(&self, name: &str) {
        self.sql(&self.text(name));
    }

    /// The rows of a query, their cells joined with `|`.
    pub(crate) fn rows(&self, query: &str) -> Vec<String> {
        let database = self.database();
        let mut statement = database.prepare(query).unwrap();
        let count = statement.column_count();
        let line = |row: &rusqlite::Row<'_>| {
            let cell = |index| match row.get_ref(index).unwrap() {
                ValueRef::Null => String::new(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) | ValueRef::Blob(text) => {
                    String::from_utf8(text.to_vec()).unwrap()
                }
            };
            Ok((0..count).map(cell).collect::<Vec<_>>().join("|"))
        };
        statement.query_map([], line).unwrap().map(Result::unwrap).collect()
    }

    pub(crate) fn try_run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.project.command(arguments);
        command.arg("--config").arg(&self.folder).args(["--store", "store.db"]);
        command.arg("--var").arg(format!("server={}", self.server.url));
        command.arg("--var").arg(format!("shop={}", self.project.path("shop.db").display()));
        command.envs(self.secrets.iter().copied());
        Ran::of(command.output().unwrap())
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let ran = self.try_run(arguments);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran
    }

    /// Two more runs write nothing, at the server or in `table`.
    #[track_caller]
    pub(crate) fn is_quiet(&self, table: &str) {
        let rows = || self.rows(&format!("SELECT * FROM {table} ORDER BY id"));
        let before = rows();
        self.server.take_counts();
        for _ in 0..2 {
            self.run(&["run"]).expect(0, &["nothing changed, nothing written"]);
        }
        assert_eq!(self.server.take_counts().writes(), 0);
        assert_eq!(rows(), before);
    }
}
