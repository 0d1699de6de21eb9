//! Two systems that are both edited: the whole program, between tables of real servers.

mod bad_input;
mod deletions;
mod edits;
mod erase;
mod example;
mod faults;
mod faults_mariadb;
mod log;
mod meeting;
mod plans;
pub(crate) mod proxy;
mod references;
mod webhooks;

use crate::project::{Project, Ran};
use crate::servers::{Kind, PASSWORD, Server};
use proxy::{Fault, Proxy};
use std::process::Stdio;

/// Two databases of one server, `left` and `right`, and a project that keeps a table of each in step.
pub(crate) struct Pair {
    pub(crate) server: Server,
    pub(crate) project: Project,
}

/// The side `left` names its columns as the shard type does and makes its keys itself; `right` has other names, and
/// keys of its own, too.
pub(crate) const LEFT: &str = "
    CREATE TABLE people (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text, email text UNIQUE, city text, updated timestamptz NOT NULL DEFAULT now());
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.updated := clock_timestamp(); RETURN NEW; END';
    CREATE TRIGGER touch BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch();";
pub(crate) const RIGHT: &str = "
    CREATE TABLE contacts (
        no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        \"full\" text, mail text UNIQUE, town text, changed timestamptz NOT NULL DEFAULT now());
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.changed := clock_timestamp(); RETURN NEW; END';
    CREATE TRIGGER touch BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION touch();";

/// The configuration for [`LEFT`] and [`RIGHT`]; tests replace parts of it.
pub(crate) const CONFIG: &str = r#"
connections:
  left:
    adapter: postgres
    settings: { host: 127.0.0.1, port: "${var:left}", database: left, user: admin, password: "correct horse" }
    entities:
      person: { table: people, key: id, modified: updated }
  right:
    adapter: postgres
    settings: { host: 127.0.0.1, port: "${var:right}", database: right, user: admin, password: "correct horse" }
    entities:
      contact: { table: contacts, key: no, modified: changed }
shard_types:
  person:
    fields: { name: text, email: text, city: text }
    identity: [email]
conversion_schemas:
  left:
    shard_type: person
    target: { delete_if_removed: true }
    fields: { name: name, email: email, city: city }
  right:
    shard_type: person
    target: { delete_if_removed: true }
    fields: { name: full, email: mail, city: town }
sync_tasks:
  left:
    connection: left
    entity: person
    conversion_schema: left
    direction: bidirectional
    mode: full
    retry: { max_attempts: 2, delay_ms: 10 }
    conflicts: { strategy: newest_wins, tolerance_ms: 0 }
    outbound: { deletes: propagate }
  right:
    connection: right
    entity: contact
    conversion_schema: right
    direction: bidirectional
    mode: full
    retry: { max_attempts: 2, delay_ms: 10 }
    conflicts: { strategy: newest_wins, tolerance_ms: 0 }
    outbound: { deletes: propagate }
"#;

impl Pair {
    /// A pair of tables, made by these scripts.
    pub(crate) fn new(left: &str, right: &str, config: &str) -> Self {
        let server = Server::start(Kind::Postgres);
        for (database, script) in [("left", left), ("right", right)] {
            server.sql_in("postgres", &format!("CREATE DATABASE \"{database}\""));
            server.sql_in(database, script);
        }
        Self { server, project: Project::new(&[("syncline.yaml", config)]) }
    }

    /// The usual pair.
    pub(crate) fn usual() -> Self {
        Self::new(LEFT, RIGHT, CONFIG)
    }

    pub(crate) fn left(&self, script: &str) -> String {
        self.server.sql_in("left", script)
    }

    pub(crate) fn right(&self, script: &str) -> String {
        self.server.sql_in("right", script)
    }

    /// Runs the program, with the server's port.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> Ran {
        let (left, right) =
            (format!("left={0}", self.server.port), format!("right={0}", self.server.port));
        self.project.run(&[arguments, &["--var", &left, "--var", &right]].concat())
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let ran = self.try_run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:#?}");
        ran
    }

    /// Starts a run, and kills it: after so many looks at the left side of 20 ms each, unless it ends before.
    pub(crate) fn run_and_kill(&self, looks: usize) {
        let ports = ["left", "right"].map(|side| format!("{side}={}", self.server.port));
        let mut command = self.project.command(&["run", "--var", &ports[0], "--var", &ports[1]]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for _ in 0..looks {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            self.left("SELECT pg_sleep(0.02)");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// A run that `script` is executed in the midst of, at the right side: before `text` is sent to it for the time
    /// after `skip` times.
    pub(crate) fn run_amid(&self, text: &'static str, skip: usize, script: &str) -> Ran {
        let proxy = Proxy::to(self.server.port);
        std::thread::scope(|scope| {
            let (ask, asked) = std::sync::mpsc::channel::<()>();
            let (tell, told) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                if asked.recv().is_ok() {
                    self.right(script);
                    tell.send(()).unwrap();
                }
            });
            let act = move || {
                ask.send(()).unwrap();
                told.recv().unwrap();
            };
            proxy.trap(text, skip, Fault::First(Box::new(act)));
            let ran = self.run_behind(&proxy);
            assert_eq!(proxy.sprung(), 1, "{script}: {ran:?}");
            ran
        })
    }

    pub(crate) fn rows_of_left(&self) -> String {
        self.left("SELECT name, email, city FROM people ORDER BY email, name, city")
    }

    /// All rows of both usual tables, without their keys and times.
    pub(crate) fn rows(&self) -> [String; 2] {
        [
            self.rows_of_left(),
            self.right("SELECT \"full\", mail, town FROM contacts ORDER BY mail, \"full\", town"),
        ]
    }

    /// Makes sure that both usual tables hold these rows.
    #[track_caller]
    pub(crate) fn holds(&self, rows: &[&str]) {
        let [left, right] = self.rows();
        assert_eq!(left, rows.join("\n"), "left");
        assert_eq!(right, rows.join("\n"), "right");
    }

    /// Which rows stand where, and which transaction wrote them.
    pub(crate) fn written(&self) -> [String; 2] {
        let tables = "SELECT string_agg(format('SELECT %L, xmin, t::text FROM %I t', relname, relname), ' UNION ALL ')
            FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        ["left", "right"].map(|database| {
            let select = self.server.sql_in(database, tables);
            let select =
                format!("SELECT * FROM ({select}) AS rows(name, xmin, t) ORDER BY name, t");
            self.server.sql_in(database, &select)
        })
    }

    /// Makes sure that two further runs write nothing, at either side or here.
    #[track_caller]
    pub(crate) fn is_quiet(&self) {
        let before = self.written();
        for _ in 0..2 {
            self.run(&["run"]).expect(0, &["nothing changed, nothing written"]);
            assert_eq!(self.written(), before);
        }
    }
}

/// The password of the servers' user is in the configuration.
#[test]
fn the_configuration_knows_the_password() {
    assert!(CONFIG.contains(PASSWORD));
}
