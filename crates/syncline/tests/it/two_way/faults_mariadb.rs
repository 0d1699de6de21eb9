//! The same faults on MariaDB: replies that are lost, a server that dies or stands still, a program that is killed.

use super::proxy::{Fault, Proxy};
use crate::project::{Project, Ran};
use crate::servers::{Kind, Server};
use std::process::Stdio;

/// Two databases of one server, and a project that keeps a table of each in step.
struct Pair {
    server: Server,
    project: Project,
}

/// The configuration: both sides are alike but for their names.
fn config() -> String {
    let both = |text: &str| ["one", "two"].map(|side| text.replace("SIDE", side)).concat();
    let connections = both(
        r#"
  SIDE:
    adapter: mysql
    settings: { host: 127.0.0.1, port: "${var:SIDE}", database: SIDE, user: admin, password: "correct horse", tls: disable, connect_timeout_s: 2, statement_timeout_s: 2 }
    entities:
      person: { table: people, key: id, modified: updated }"#,
    );
    let tasks = both(
        "
  SIDE:
    connection: SIDE
    entity: person
    conversion_schema: person
    direction: bidirectional
    mode: full
    retry: { max_attempts: 2, delay_ms: 10 }
    conflicts: { strategy: newest_wins, tolerance_ms: 0 }
    outbound: { deletes: propagate }",
    );
    format!(
        "connections:{connections}
shard_types:
  person:
    fields: {{ name: text, email: text, city: text }}
    identity: [email]
conversion_schemas:
  person:
    shard_type: person
    target: {{ delete_if_removed: true }}
    fields: {{ name: name, email: email, city: city }}
sync_tasks:{tasks}
"
    )
}

impl Pair {
    fn new() -> Self {
        let server = Server::start(Kind::MariaDb);
        for database in ["one", "two"] {
            server.sql(&format!("CREATE DATABASE {database}"));
            server.sql_in(
                database,
                "CREATE TABLE people (
                    id int AUTO_INCREMENT PRIMARY KEY, name text, email varchar(100) UNIQUE, city text,
                    updated timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6))",
            );
        }
        let pair = Self { server, project: Project::new(&[("syncline.yaml", &config())]) };
        let insert = |from: usize| {
            format!(
                "INSERT INTO people (name, email, city) SELECT concat('P', seq), concat(seq, '@x.org'), 'Rome'
                    FROM seq_{from}_to_{}",
                from + 199
            )
        };
        pair.one(&insert(1));
        pair.two(&insert(101));
        pair
    }

    fn one(&self, script: &str) -> String {
        self.server.sql_in("one", script)
    }

    fn two(&self, script: &str) -> String {
        self.server.sql_in("two", script)
    }

    /// Edits of other people at each side, a row that goes at each, and a new one at each.
    fn edit(&self, round: usize) {
        self.one(&format!(
            "UPDATE people SET city = 'L{round}' WHERE id % 3 = 0; DELETE FROM people WHERE email = '{round}@x.org';
            INSERT INTO people (name, email) VALUES ('New', 'one{round}@x.org')"
        ));
        self.two(&format!(
            "UPDATE people SET name = concat('R{round} ', email) WHERE id % 4 = 0 AND email <> '{round}@x.org';
            INSERT INTO people (name, email) VALUES ('New', 'two{round}@x.org')"
        ));
    }

    fn arguments(&self, two: u16) -> [String; 2] {
        [format!("one={}", self.server.port), format!("two={two}")]
    }

    /// Runs the program with the second side on port `two`.
    fn run_on(&self, two: u16) -> Ran {
        let [one, two] = self.arguments(two);
        self.project.run(&["run", "--var", &one, "--var", &two])
    }

    /// Makes sure that all comes right with the next runs: both sides hold the same, each row once.
    #[track_caller]
    fn comes_right(&self) {
        let rows = || {
            let select = "SELECT name, email, city FROM people ORDER BY email, name";
            [self.one(select), self.two(select)]
        };
        for _ in 0..2 {
            let ran = self.run_on(self.server.port);
            assert_eq!(ran.code, Some(0), "{ran:#?}");
        }
        let [one, two] = rows();
        let differs = one.lines().zip(two.lines()).find(|(one, two)| one != two);
        assert_eq!((differs, one.lines().count()), (None, two.lines().count()));
        for _ in 0..2 {
            let ran = self.run_on(self.server.port);
            ran.expect(0, &["nothing changed, nothing written"]);
        }
        assert_eq!(rows(), [one, two]);
    }
}

#[test]
fn faults_on_mariadb_lose_nothing_and_double_nothing() {
    // Hazards 22, 23 and 37.
    let mut pair = Pair::new();
    for (round, text) in ["COMMIT", "INSERT INTO", "FOR UPDATE", "SELECT"].into_iter().enumerate() {
        let fault = if round == 2 { Fault::LoseRequest } else { Fault::LoseReply };
        let proxy = Proxy::to(pair.server.port);
        proxy.trap(text, 0, fault);
        pair.run_on(proxy.port);
        assert_eq!(proxy.sprung(), 1, "{text}");
        pair.edit(round + 1);
    }
    pair.comes_right();
    // The server dies in the middle of a run, and comes back.
    pair.edit(5);
    let proxy = Proxy::to(pair.server.port);
    let [one, two] = pair.arguments(proxy.port);
    let mut command = pair.project.command(&["run", "--var", &one, "--var", &two]);
    std::thread::scope(|scope| {
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        proxy.trap("FOR UPDATE", 0, Fault::First(Box::new(move || ask.send(()).unwrap())));
        let running = scope.spawn(move || Ran::of(command.output().unwrap()));
        asked.recv().unwrap();
        pair.server.kill();
        pair.server.run();
        running.join().unwrap();
    });
    pair.comes_right();
    // It stands still.
    pair.edit(6);
    pair.server.signal("STOP");
    let ran = pair.run_on(pair.server.port);
    pair.server.signal("CONT");
    assert_ne!(ran.code, Some(0), "{ran:?}");
    pair.comes_right();
    // The program is killed, each time a little later.
    for round in 7..13_u32 {
        pair.edit(round as usize);
        let [one, two] = pair.arguments(pair.server.port);
        let mut command = pair.project.command(&["run", "--var", &one, "--var", &two]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        pair.one(&format!("SELECT sleep({})", f64::from(round - 6) * 0.03));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    pair.comes_right();
}
