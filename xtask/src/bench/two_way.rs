//! Two tables of real servers that are kept in step: what a first meeting costs, a quiet run, and a run after edits.

use super::measure::{Figures, measured};
use super::report::{median, replaced, thousands};
use super::{Options, PAGE, machine, remove};
use crate::servers::{Kind, PASSWORD, Server};
use crate::{Outcome, ci, workspace};
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What is measured of each run.
const WHAT: [&str; 3] = [
    "first meeting, half of each table in both",
    "nothing changed",
    "1 % edited at each side, a tenth of that at both",
];

/// The most that each may take where the tables have 100,000 rows, in seconds.
const GOALS_S: [f64; 3] = [15.0, 3.0, 4.0];

/// Measures, prints the table, and writes it into the page where that was asked for. All is well where nothing was
/// written but what had to be.
pub(super) fn run(options: Options) -> Outcome {
    ci::Tools::new()?.have_servers();
    let program = options.program()?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("syncline.yaml"), CONFIG)?;
    let rows = options.records.min(100_000);
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    let mut writes = Vec::new();
    for _ in 0..options.runs.max(1) {
        let mut server = Server::start(Kind::Postgres);
        server.is_durable = true;
        server.kill();
        server.run();
        let pair = Pair { server, program: program.clone(), folder: folder.path().into() };
        let (figures, written) = pair.measure(rows)?;
        all.iter_mut().zip(figures).for_each(|(all, one)| all.push(one));
        writes = written;
        remove(&folder.path().join("syncline.db"))?;
    }
    let text = table(rows, options.runs.max(1), &all, &writes);
    println!("{text}");
    if options.write {
        let page = workspace::root().join(PAGE);
        fs::write(&page, replaced(&fs::read_to_string(&page)?, "bench-two-way", &text)?)?;
    }
    let one = rows / 100;
    let expected = [[rows / 2, rows / 2], [0, 0], [one, one - one / 10]];
    if writes != expected {
        println!("the writes are not those that had to be: {writes:?} instead of {expected:?}");
    }
    Ok(writes == expected)
}

/// What each of the runs cost, and how many rows each wrote at the left and at the right side.
type Measured = ([Figures; 3], Vec<[usize; 2]>);

/// Two databases, and the program.
struct Pair {
    server: Server,
    program: PathBuf,
    folder: PathBuf,
}

impl Pair {
    /// What each of the runs cost, and how many rows each wrote at the left and at the right side.
    fn measure(&self, rows: usize) -> Result<Measured, Box<dyn Error>> {
        for (database, table, from) in [("left", LEFT, 0), ("right", RIGHT, rows / 2)] {
            self.server.sql_in("postgres", &format!("CREATE DATABASE \"{database}\""));
            let (first, last) = (from + 1, from + rows);
            let table = table.replace("FIRST", &first.to_string());
            self.server.sql_in(database, &table.replace("LAST", &last.to_string()));
        }
        let mut written = Vec::new();
        let mut costs = [Figures::default(); 3];
        for (index, cost) in costs.iter_mut().enumerate() {
            if index == 2 {
                self.edit(rows);
            }
            let before = self.transactions()?;
            *cost = self.sync()?;
            written.push(self.written_since(before)?);
        }
        Ok((costs, written))
    }

    /// Edits one row in a hundred at each side; a tenth of them at both sides, at the right side later.
    fn edit(&self, rows: usize) {
        let (half, one) = (rows / 2, rows / 100);
        let (from, to) = (half + one - one / 10, half + 2 * one - one / 10);
        let edit = |table: &str, city: &str, mail: &str, from: usize, to: usize| {
            format!(
                "UPDATE {table} SET {city} = '{table} ' || {city} WHERE {mail} IN
                    (SELECT 'person' || n || '@mail.example' FROM generate_series({from} + 1, {to}) AS n)"
            )
        };
        self.server.sql_in("left", &edit("people", "city", "email", half, half + one));
        self.server.sql_in("right", &edit("contacts", "town", "mail", from, to));
    }

    fn sync(&self) -> Result<Figures, Box<dyn Error>> {
        let mut command = Command::new(&self.program);
        command.arg("run").arg(&self.folder).arg("--var").arg(format!("port={}", self.server.port));
        command.arg("--var").arg(format!("password={PASSWORD}"));
        measured(&command)
    }

    fn transactions(&self) -> Result<[usize; 2], Box<dyn Error>> {
        let next = |database| self.number(database, "SELECT txid_current()");
        Ok([next("left")?, next("right")?])
    }

    fn written_since(&self, before: [usize; 2]) -> Result<[usize; 2], Box<dyn Error>> {
        let count = |database, table, before: usize| {
            let sql = format!("SELECT count(*) FROM {table} WHERE xmin::text::bigint > {before}");
            self.number(database, &sql)
        };
        Ok([count("left", "people", before[0])?, count("right", "contacts", before[1])?])
    }

    fn number(&self, database: &str, sql: &str) -> Result<usize, Box<dyn Error>> {
        Ok(self.server.sql_in(database, sql).parse()?)
    }
}

fn table(rows: usize, runs: usize, all: &[Vec<Figures>; 3], writes: &[[usize; 2]]) -> String {
    let mut text = format!(
        "Two tables of {} rows. Medians of {runs} runs on {}; PostgreSQL on the same machine, with its usual \
         durability.\n\n| what | wall, s | at most | CPU, s | peak, MiB | rows written, left | right |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
        thousands(rows),
        machine()
    );
    for (((what, goal), all), [left, right]) in WHAT.iter().zip(GOALS_S).zip(all).zip(writes) {
        let of = |figure: fn(&Figures) -> f64| median(all.iter().map(figure).collect());
        let (wall, cpu) = (of(|run| run.wall_s), of(|run| run.cpu_s));
        let (left, right) = (thousands(*left), thousands(*right));
        let peak = of(|run| run.peak_mib);
        text.push_str(&format!(
            "| {what} | {wall:.2} | {goal:.0} | {cpu:.2} | {peak:.0} | {left} | {right} |\n"
        ));
    }
    text
}

/// Rows `FIRST` to `LAST`; the two tables have other names, other shapes and times of their own.
pub(crate) const LEFT: &str = "
    CREATE TABLE people (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, first_name text, last_name text, email text UNIQUE,
        phone text, street text, city text, credit numeric(12, 2), updated timestamptz NOT NULL DEFAULT now());
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.updated := clock_timestamp(); RETURN NEW; END';
    CREATE TRIGGER touch BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch();
    INSERT INTO people (first_name, last_name, email, phone, street, city, credit)
        SELECT 'First' || n % 977, 'Last' || n, 'person' || n || '@mail.example', '+49 30 ' || n,
            n % 200 || ' Long Street', 'City ' || n % 311, n / 100.0 FROM generate_series(FIRST, LAST) AS n;
    ANALYZE people";
pub(crate) const RIGHT: &str = "
    CREATE TABLE contacts (
        no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, given text, family text, mail text UNIQUE,
        telephone text, street text, town text, cents bigint, changed timestamptz NOT NULL DEFAULT now());
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.changed := clock_timestamp(); RETURN NEW; END';
    CREATE TRIGGER touch BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION touch();
    INSERT INTO contacts (given, family, mail, telephone, street, town, cents)
        SELECT 'First' || n % 977, 'Last' || n, 'person' || n || '@mail.example', '+49 30 ' || n,
            n % 200 || ' Long Street', 'City ' || n % 311, n FROM generate_series(FIRST, LAST) AS n;
    ANALYZE contacts";

/// As [`LEFT`], for MariaDB.
pub(crate) const MARIADB_LEFT: &str = "
    CREATE TABLE people (
        id bigint AUTO_INCREMENT PRIMARY KEY, first_name text, last_name text, email varchar(100) UNIQUE,
        phone text, street text, city text, credit decimal(12, 2),
        updated timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6));
    INSERT INTO people (first_name, last_name, email, phone, street, city, credit)
        SELECT concat('First', seq % 977), concat('Last', seq), concat('person', seq, '@mail.example'),
            concat('+49 30 ', seq), concat(seq % 200, ' Long Street'), concat('City ', seq % 311), seq / 100
        FROM seq_FIRST_to_LAST";
/// As [`RIGHT`], for MariaDB.
pub(crate) const MARIADB_RIGHT: &str = "
    CREATE TABLE contacts (
        no bigint AUTO_INCREMENT PRIMARY KEY, given text, family text, mail varchar(100) UNIQUE,
        telephone text, street text, town text, cents bigint,
        changed timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6));
    INSERT INTO contacts (given, family, mail, telephone, street, town, cents)
        SELECT concat('First', seq % 977), concat('Last', seq), concat('person', seq, '@mail.example'),
            concat('+49 30 ', seq), concat(seq % 200, ' Long Street'), concat('City ', seq % 311), seq
        FROM seq_FIRST_to_LAST";

pub(crate) const CONFIG: &str = r#"
connections:
  left:
    adapter: postgres
    settings: { host: 127.0.0.1, port: "${var:port}", database: left, user: admin, password: "${var:password}" }
    entities:
      person: { table: people, key: id, modified: updated }
  right:
    adapter: postgres
    settings: { host: 127.0.0.1, port: "${var:port}", database: right, user: admin, password: "${var:password}" }
    entities:
      contact: { table: contacts, key: no, modified: changed }
shard_types:
  person:
    fields:
      first_name: text
      last_name: text
      email: text
      phone: text
      street: text
      city: text
      credit: decimal
    matching:
      rules:
        - { name: same e-mail, compare: [{ field: email, normalise: email }] }
conversion_schemas:
  left:
    shard_type: person
    target: { delete_if_removed: true }
    fields:
      first_name: first_name
      last_name: last_name
      email: email
      phone: phone
      street: street
      city: city
      credit: credit
  right:
    shard_type: person
    target: { delete_if_removed: true }
    fields:
      first_name: given
      last_name: family
      email: mail
      phone: telephone
      street: street
      city: town
      credit: { from: cents, transform: { divide: 100 } }
sync_tasks:
  left:
    connection: left
    entity: person
    conversion_schema: left
    direction: bidirectional
    mode: full
    conflicts: { strategy: newest_wins, tolerance_ms: 0 }
    outbound: { deletes: propagate }
  right:
    connection: right
    entity: contact
    conversion_schema: right
    direction: bidirectional
    mode: full
    conflicts: { strategy: newest_wins, tolerance_ms: 0 }
    outbound: { deletes: propagate }
"#;
