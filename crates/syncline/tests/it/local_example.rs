//! An example that keeps a provider's records and a SQLite table in step, against the provider's server on this machine.

use crate::local_server::LocalServer;
use crate::project::{Project, Ran};
use rusqlite::Connection;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The example `two-way-NAME`, with a server and a shop of its own.
pub(crate) struct LocalExample {
    pub(crate) server: LocalServer,
    pub(crate) project: Project,
    folder: PathBuf,
    name: &'static str,
    environment: &'static [(&'static str, &'static str)],
}

impl LocalExample {
    /// Starts the server of `name` with `arguments`, and makes the shop's table, without rows.
    pub(crate) fn new(
        name: &'static str,
        environment: &'static [(&'static str, &'static str)],
        arguments: &[&str],
    ) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let folder = folder.join(format!("two-way-{name}"));
        let server = LocalServer::start(name, arguments);
        let example = Self { server, project: Project::new(&[]), folder, name, environment };
        let text = example.text("shop.sql");
        example.sql(text.split("INSERT INTO").next().unwrap());
        example
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// What is in both sides before they meet, as the example has it.
    pub(crate) fn fill(&self) {
        self.person("people.json");
        let text = self.text("shop.sql");
        self.sql(&text[text.find("INSERT INTO").unwrap()..]);
    }

    /// Edits both sides, as the example does.
    pub(crate) fn edit(&self) {
        self.person("edits.people.json");
        self.sql(&self.text("edits.shop.sql"));
    }

    /// Does what a person does at the provider's pages.
    fn person(&self, name: &str) {
        let steps: Vec<Value> = serde_json::from_str(&self.text(name)).unwrap();
        for step in steps {
            let text = |name: &str| step[name].as_str().unwrap();
            self.server.control(text("method"), text("path"), step.get("body").cloned());
        }
    }

    pub(crate) fn shop(&self) -> Connection {
        Connection::open(self.project.path("shop.db")).unwrap()
    }

    pub(crate) fn sql(&self, text: &str) {
        self.shop().execute_batch(text).unwrap();
    }

    /// The rows of a query of one text column.
    pub(crate) fn rows(&self, query: &str) -> Vec<String> {
        let shop = self.shop();
        let mut query = shop.prepare(query).unwrap();
        let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The customers, as lines in the order of their e-mail addresses.
    pub(crate) fn customers(&self) -> Vec<String> {
        self.rows(
            "SELECT concat_ws('|', mail, coalesce(first_name, ''), last_name, coalesce(telephone, ''), \
             coalesce(town, '')) FROM customers ORDER BY mail, id",
        )
    }

    /// The records that the server shows at `path`, as lines of `fields` in their order.
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

    pub(crate) fn try_run(&self, arguments: &[&str]) -> Ran {
        self.run_with(&self.folder, arguments)
    }

    /// Runs the example with the configuration in `folder`.
    pub(crate) fn run_with(&self, folder: &Path, arguments: &[&str]) -> Ran {
        let mut command = self.project.command(arguments);
        command.arg("--config").arg(folder).args(["--store", "store.db"]);
        command.arg("--var").arg(format!("{}={}", self.name, self.server.url));
        command.arg("--var").arg(format!("shop={}", self.project.path("shop.db").display()));
        command.envs(self.environment.iter().copied());
        Ran::of(command.output().unwrap())
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let ran = self.try_run(arguments);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran
    }

    /// Two more runs write nothing, at either side or here.
    #[track_caller]
    pub(crate) fn is_quiet(&self) {
        let rows = || self.rows("SELECT concat_ws('|', id, mail, changed_at) FROM customers ORDER BY id");
        let before = rows();
        self.server.take_counts();
        for _ in 0..2 {
            self.run(&["run"]).expect(0, &["nothing changed, nothing written"]);
        }
        assert_eq!(self.server.take_counts().writes(), 0);
        assert_eq!(rows(), before);
    }
}
