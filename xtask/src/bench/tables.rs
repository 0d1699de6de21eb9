//! Tables of real databases that are read: what a first run costs, and one after which nothing changed.

use super::measure::{Figures, measured};
use super::report::{median, replaced, thousands};
use super::two_way::{LEFT, MARIADB_LEFT};
use super::{Options, PAGE, machine, remove};
use crate::servers::{Kind, PASSWORD, Server};
use crate::{Outcome, ci, workspace};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tasks, and what they are called in the table.
const SYSTEMS: [(&str, &str); 3] =
    [("postgres", "PostgreSQL"), ("mariadb", "MariaDB"), ("sqlite", "SQLite")];

/// Measures, prints the table, and writes it into the page where that was asked for.
pub(super) fn run(options: Options) -> Outcome {
    ci::Tools::new()?.have_servers();
    let program = options.program()?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("syncline.yaml"), config())?;
    let rows = options.records.min(100_000);
    let filled = |table: &str| table.replace("FIRST", "1").replace("LAST", &rows.to_string());
    let (postgres, mariadb) = (Server::start(Kind::Postgres), Server::start(Kind::MariaDb));
    postgres.sql(&filled(LEFT));
    mariadb.sql(&filled(MARIADB_LEFT));
    let mut sqlite = Command::new("sqlite3");
    workspace::output(sqlite.arg(folder.path().join("people.db")).arg(filled(SQLITE)))?;
    let lab = Lab { program, folder: folder.path().into(), ports: [postgres.port, mariadb.port] };
    let mut text = format!(
        "A table of {} rows that is read. Medians of {} runs on {}; the servers on the same machine.\n\n\
         | database | run | wall, s | rows/s | CPU, s | peak, MiB |\n|---|---|---:|---:|---:|---:|\n",
        thousands(rows),
        options.runs.max(1),
        machine()
    );
    for (task, name) in SYSTEMS {
        for (what, all) in ["first", "nothing changed"].iter().zip(lab.measure(task, options.runs)?)
        {
            let of = |figure: fn(&Figures) -> f64| median(all.iter().map(figure).collect());
            let (wall, cpu) = (of(|run| run.wall_s), of(|run| run.cpu_s));
            let (speed, peak) = (thousands((rows as f64 / wall) as usize), of(|run| run.peak_mib));
            text.push_str(&format!(
                "| {name} | {what} | {wall:.2} | {speed} | {cpu:.2} | {peak:.0} |\n"
            ));
        }
    }
    println!("{text}");
    if options.write {
        let page = workspace::root().join(PAGE);
        fs::write(&page, replaced(&fs::read_to_string(&page)?, "bench-tables", &text)?)?;
    }
    Ok(true)
}

/// The program, and where it finds what it reads.
struct Lab {
    program: PathBuf,
    folder: PathBuf,
    ports: [u16; 2],
}

impl Lab {
    /// What first runs of a task cost, and the runs after each.
    fn measure(&self, task: &str, runs: usize) -> Result<[Vec<Figures>; 2], Box<dyn Error>> {
        let mut all = [Vec::new(), Vec::new()];
        let store = self.folder.join("syncline.db");
        for _ in 0..runs.max(1) {
            remove(&store)?;
            for figures in &mut all {
                figures.push(self.sync(task, &store)?);
            }
        }
        Ok(all)
    }

    fn sync(&self, task: &str, store: &Path) -> Result<Figures, Box<dyn Error>> {
        let mut command = Command::new(&self.program);
        command.arg("run").arg(&self.folder).args(["--task", task]).arg("--store").arg(store);
        for (name, port) in ["postgres", "mariadb"].iter().zip(self.ports) {
            command.arg("--var").arg(format!("{name}={port}"));
        }
        command.arg("--var").arg(format!("password={PASSWORD}"));
        measured(&command)
    }
}

/// As the tables of the servers.
const SQLITE: &str = "
    CREATE TABLE people (
        id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, email TEXT UNIQUE, phone TEXT, street TEXT,
        city TEXT, credit NUMERIC, updated TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO people (first_name, last_name, email, phone, street, city, credit)
        SELECT 'First' || value % 977, 'Last' || value, 'person' || value || '@mail.example', '+49 30 ' || value,
            value % 200 || ' Long Street', 'City ' || value % 311, value / 100.0 FROM generate_series(FIRST, LAST);";

fn config() -> String {
    let entity = "entities: { person: { table: people, key: id, modified: updated } }";
    let server = "host: 127.0.0.1, database: it, user: admin, password: \"${var:password}\"";
    let tasks: String = SYSTEMS
        .iter()
        .map(|(name, _)| {
            format!(
                "  {name}: {{ connection: {name}, entity: person, conversion_schema: person, mode: full }}\n"
            )
        })
        .collect();
    format!(
        "connections:
  postgres: {{ adapter: postgres, settings: {{ {server}, port: \"${{var:postgres}}\" }}, {entity} }}
  mariadb: {{ adapter: mysql, settings: {{ {server}, port: \"${{var:mariadb}}\", tls: disable }}, {entity} }}
  sqlite: {{ adapter: sqlite, settings: {{ path: people.db }}, {entity} }}
shard_types:
  person:
    fields: {{ first_name: text, last_name: text, email: text, phone: text, street: text, city: text, credit: decimal }}
    matching: {{ rules: [{{ name: same e-mail, compare: [{{ field: email, normalise: email }}] }}] }}
conversion_schemas:
  person:
    shard_type: person
    fields:
      {{ first_name: first_name, last_name: last_name, email: email, phone: phone, street: street, city: city, credit: credit }}
sync_tasks:
{tasks}"
    )
}
