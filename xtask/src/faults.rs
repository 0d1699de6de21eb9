//! Two tables are edited at both sides while runs are killed, and while the server dies or stands still. In the end
//! every edit must be at both sides, no row twice, and nothing left to write.

use crate::bench::two_way::{CONFIG, LEFT, MARIADB_LEFT, MARIADB_RIGHT, RIGHT};
use crate::clock::Stopwatch;
use crate::rng::Rng;
use crate::servers::{Kind, PASSWORD, Server};
use crate::{Outcome, ci, workspace};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Whose tables are edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum System {
    /// Two PostgreSQL databases.
    Postgres,
    /// Two MariaDB databases.
    #[value(name = "mariadb")]
    MariaDb,
}

/// How the check is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Whose tables are edited.
    pub(crate) system: System,
    /// How many runs are disturbed.
    pub(crate) rounds: usize,
    /// How many rows each table begins with.
    pub(crate) rows: usize,
    /// Equal seeds give equal edits and moments.
    pub(crate) seed: u64,
}

/// After so many disturbed runs, all must come right.
const CALM_EVERY: usize = 10;
/// A fault comes within so long.
const WITHIN: Duration = Duration::from_millis(1500);
/// How many rows are edited at each side in a round, and how many are made.
const EDITED: usize = 20;
const MADE: usize = 5;

/// Runs the check; all is well where every calm found all edits at both sides.
pub(crate) fn run(options: Options) -> Outcome {
    ci::Tools::new()?.have_servers();
    let program = workspace::release_build()?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("syncline.yaml"), options.system.config())?;
    let server = Server::start(options.system.kind());
    let half = options.rows / 2;
    let [left, right] = options.system.tables();
    for (database, table, from) in [("left", left, 0), ("right", right, half)] {
        server.sql(&format!("CREATE DATABASE {}", options.system.quoted(database)));
        let table = table.replace("FIRST", &(from + 1).to_string());
        server.sql_in(database, &table.replace("LAST", &(from + options.rows).to_string()));
    }
    let mut stage = Stage {
        program,
        system: options.system,
        folder: folder.path().into(),
        server,
        rng: Rng::new(options.seed),
        expected: BTreeMap::new(),
        next: options.rows + half,
        both: options.rows + half,
        gone: 0,
    };
    for n in 1..=stage.next {
        let (city, street) = (format!("City {}", n % 311), format!("{} Long Street", n % 200));
        stage.expected.insert(mail(n), (city, street));
    }
    // Only what both sides have can be edited at either.
    stage.start()?.wait()?;
    let mut wrong = 0;
    let mut faults = [0_usize; 4];
    for round in 1..=options.rounds {
        faults[stage.disturb()?] += 1;
        stage.edit(round);
        if round % CALM_EVERY == 0 || round == options.rounds {
            let found = stage.calm()?;
            println!("round {round}: {} rows, {} wrong", stage.expected.len(), found.len());
            found.iter().take(10).for_each(|line| println!("  {line}"));
            wrong += found.len();
        }
    }
    let [killed, died, stood, none] = faults;
    println!(
        "faults: {killed} runs killed, {died} deaths of the server, {stood} standstills, {none} undisturbed; {wrong} wrong"
    );
    Ok(wrong == 0)
}

fn mail(n: usize) -> String {
    format!("person{n}@mail.example")
}

impl System {
    fn kind(self) -> Kind {
        match self {
            Self::Postgres => Kind::Postgres,
            Self::MariaDb => Kind::MariaDb,
        }
    }

    fn quoted(self, name: &str) -> String {
        let mark = if self == Self::Postgres { '"' } else { '`' };
        format!("{mark}{name}{mark}")
    }

    fn config(self) -> String {
        match self {
            Self::Postgres => CONFIG.to_owned(),
            Self::MariaDb => CONFIG
                .replace("adapter: postgres", "adapter: mysql")
                .replace("user: admin,", "user: admin, tls: disable,"),
        }
    }

    /// The tables of the left and of the right side.
    fn tables(self) -> [&'static str; 2] {
        match self {
            Self::Postgres => [LEFT, RIGHT],
            Self::MariaDb => [MARIADB_LEFT, MARIADB_RIGHT],
        }
    }

    /// All rows of a table, with what is another after each write.
    fn written(self, table: &str) -> String {
        match self {
            Self::Postgres => format!("SELECT xmin, t FROM {table} AS t ORDER BY t::text"),
            Self::MariaDb => format!("SELECT * FROM {table} ORDER BY 1"),
        }
    }
}

struct Stage {
    program: PathBuf,
    system: System,
    folder: PathBuf,
    server: Server,
    rng: Rng,
    /// City and street by address: the city is edited at the left side, the street at the right side.
    expected: BTreeMap<String, (String, String)>,
    /// The number of the last person.
    next: usize,
    /// Persons up to this one were at both sides from the beginning.
    both: usize,
    /// Persons up to this one were deleted, at the left side.
    gone: usize,
}

impl Stage {
    fn start(&self) -> Result<Child, Box<dyn Error>> {
        let mut command = Command::new(&self.program);
        command.arg("run").arg(&self.folder).arg("--var").arg(format!("port={}", self.server.port));
        command.arg("--var").arg(format!("password={PASSWORD}"));
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    /// Lets a run happen, and something in the middle of it; returns what.
    fn disturb(&mut self) -> Result<usize, Box<dyn Error>> {
        let fault = self.rng.below(4);
        let moment = WITHIN.mul_f64(self.rng.unit());
        let mut child = self.start()?;
        let watch = Stopwatch::start();
        while watch.elapsed() < moment && child.try_wait()?.is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        match fault {
            0 => child.kill()?,
            1 => {
                self.server.kill();
                self.server.run();
            }
            2 => {
                self.server.signal("STOP");
                thread::sleep(Duration::from_millis(300));
                self.server.signal("CONT");
            }
            _ => {}
        }
        child.wait()?;
        Ok(fault)
    }

    /// Edits, makes and deletes rows at both sides.
    fn edit(&mut self, round: usize) {
        let pick = |rng: &mut Rng, from: usize, to: usize| from + 1 + rng.below(to - from);
        // Those that are deleted next are left alone, so that no deletion meets an edit.
        let from = self.gone + self.both / 4;
        let mut edits = [Vec::new(), Vec::new()];
        for (side, edits) in edits.iter_mut().enumerate() {
            for _ in 0..EDITED {
                let mail = mail(pick(&mut self.rng, from, self.both));
                let Some((city, street)) = self.expected.get_mut(&mail) else { continue };
                *(if side == 0 { city } else { street }) = format!("{side}-{round}");
                edits.push(format!("'{mail}'"));
            }
        }
        let mut made = [Vec::new(), Vec::new()];
        for (side, made) in made.iter_mut().enumerate() {
            for _ in 0..MADE {
                self.next += 1;
                let (mail, here) = (mail(self.next), format!("{side}-{round}"));
                made.push(format!("('First', '{mail}', '{here}', '{here}')"));
                self.expected.insert(mail, (here.clone(), here));
            }
        }
        self.gone += 2;
        let (one, two) = (mail(self.gone - 1), mail(self.gone));
        self.expected.remove(&one);
        self.expected.remove(&two);
        let [left, right] = edits.map(|mails| mails.join(", "));
        let [made_left, made_right] = made.map(|rows| rows.join(", "));
        self.server.sql_in(
            "left",
            &format!(
                "UPDATE people SET city = '0-{round}' WHERE email IN ({left});
                INSERT INTO people (first_name, email, city, street) VALUES {made_left};
                DELETE FROM people WHERE email IN ('{one}', '{two}')"
            ),
        );
        self.server.sql_in(
            "right",
            &format!(
                "UPDATE contacts SET street = '1-{round}' WHERE mail IN ({right});
                INSERT INTO contacts (given, mail, town, street) VALUES {made_right}"
            ),
        );
    }

    /// Runs undisturbed until all should be right, and tells what is not.
    fn calm(&self) -> Result<Vec<String>, Box<dyn Error>> {
        for _ in 0..2 {
            self.start()?.wait()?;
        }
        let before = self.rows();
        for _ in 0..2 {
            self.start()?.wait()?;
        }
        let mut wrong = Vec::new();
        if self.rows() != before {
            wrong.push("a quiet run wrote something".to_owned());
        }
        let tables = [
            ("left", "SELECT email, city, street FROM people"),
            ("right", "SELECT mail, town, street FROM contacts"),
        ];
        for (database, sql) in tables {
            let text = self.server.sql_in(database, sql);
            let mut held: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
            for line in text.lines() {
                let mut cells = line.split('|');
                let mut cell = || cells.next().unwrap_or_default();
                let (mail, city, street) = (cell(), cell(), cell());
                if held.insert(mail, (city, street)).is_some() {
                    wrong.push(format!("{database}: {mail} is there twice"));
                }
            }
            for (mail, (city, street)) in &self.expected {
                if held.remove(mail.as_str()) != Some((city, street)) {
                    wrong.push(format!("{database}: {mail} is not as it was edited"));
                }
            }
            wrong.extend(held.keys().map(|mail| format!("{database}: {mail} came back")));
        }
        Ok(wrong)
    }

    /// The rows, with what is another after each write.
    fn rows(&self) -> [String; 2] {
        [("left", "people"), ("right", "contacts")]
            .map(|(database, table)| self.server.sql_in(database, &self.system.written(table)))
    }
}
