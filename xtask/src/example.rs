//! Runs an example that needs servers, from nothing to its last page: one command, and everything is shown.

mod two_way_kinto;

use crate::servers::{Kind, PASSWORD, Server};
use crate::{Outcome, ci, example_carddav, workspace};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// Two PostgreSQL tables that are kept in step, and a CSV feed.
    #[value(name = "two-way-postgres")]
    Postgres,
    /// A CardDAV address book and a PostgreSQL table that are kept in step.
    #[value(name = "two-way-carddav")]
    Carddav,
    /// A Kinto collection and a PostgreSQL table that are kept in step.
    #[value(name = "two-way-kinto")]
    Kinto,
    /// The pages of Notion and a SQLite table, on a local server.
    #[value(name = "two-way-notion")]
    Notion,
    /// Google's contacts, a sheet, and a SQLite table, on a local server.
    #[value(name = "two-way-google")]
    Google,
    /// Contacts of Salesforce and a SQLite table that are kept in step.
    #[value(name = "two-way-salesforce")]
    Salesforce,
    /// Contacts of HubSpot and a SQLite table that are kept in step.
    #[value(name = "two-way-hubspot")]
    Hubspot,
}

/// Runs the example; all is well where it ends in two runs that write nothing.
pub(crate) fn run(name: Name) -> Outcome {
    match name {
        Name::Carddav => return example_carddav::run(),
        Name::Notion => return scripted("two-way-notion"),
        Name::Google => return scripted("two-way-google"),
        Name::Salesforce => return scripted("two-way-salesforce"),
        Name::Hubspot => return scripted("two-way-hubspot"),
        Name::Postgres | Name::Kinto => {}
    }
    let tools = ci::Tools::new()?;
    tools.have_servers();
    if name == Name::Kinto {
        tools.have_python(&[ci::KINTO]);
        return two_way_kinto::run();
    }
    let program = workspace::release_build()?;
    let folder = tempfile::tempdir()?;
    let stage = Stage {
        program,
        store: folder.path().join("store.db"),
        example: workspace::root().join("examples/two-way-postgres"),
        server: Server::start(Kind::Postgres),
    };
    stage.two_way()
}

/// Runs an example that has a script of its own, and needs no server but those of `examples/servers`.
fn scripted(folder: &str) -> Outcome {
    let script = workspace::root().join("examples").join(folder).join("run.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(workspace::release_build()?).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command.status()?.success())
}

/// A server, the program, and an example.
struct Stage {
    program: PathBuf,
    store: PathBuf,
    example: PathBuf,
    server: Server,
}

/// The tables, with what tells whether a row was written: every write gives it another `xmin`.
const TABLES: [(&str, &str); 2] = [("crm", "customers"), ("shop", "accounts")];

impl Stage {
    fn two_way(&self) -> Outcome {
        for (database, _) in TABLES {
            self.server.sql_in("postgres", &format!("CREATE DATABASE {database}"));
            self.load(database, &format!("{database}.sql"))?;
        }
        say("Two tables that have never met");
        self.tables();
        say("What would happen when they meet");
        self.syncline(&["preview"])?;
        say("They meet");
        self.syncline(&["run"])?;
        self.tables();
        say(
            "Where they differed, the later change stands; the other value is kept in the list of conflicts",
        );
        self.syncline(&["conflicts", "list", "--all"])?;
        say("Both sides are edited");
        self.load("crm", "edits.crm.sql")?;
        self.load("shop", "edits.shop.sql")?;
        self.syncline(&["run"])?;
        self.tables();
        self.syncline(&["conflicts", "list", "--all"])?;
        say("Nobody edits anything: two more runs write nothing");
        let before = self.written();
        self.syncline(&["run"])?;
        self.syncline(&["run"])?;
        let is_quiet = self.written() == before;
        say(if is_quiet { "No row of either table was written" } else { "ROWS WERE WRITTEN" });
        Ok(is_quiet)
    }

    fn load(&self, database: &str, script: &str) -> Result<(), Box<dyn Error>> {
        let text = fs::read_to_string(self.example.join(script))?;
        println!("$ psql {database} -f {script}");
        self.server.sql_in(database, &text);
        Ok(())
    }

    fn syncline(&self, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
        println!("$ syncline {} --config examples/two-way-postgres", arguments.join(" "));
        let status =
            command(&self.program, &self.server, arguments, &self.example, &self.store).status()?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
    }

    fn tables(&self) {
        for (database, table) in TABLES {
            println!("\n{database}.{table}:");
            println!(
                "{}",
                self.server.sql_in(database, &format!("SELECT * FROM {table} ORDER BY 1"))
            );
        }
        println!();
    }

    fn written(&self) -> Vec<String> {
        let rows = |(database, table)| {
            self.server.sql_in(database, &format!("SELECT xmin, t FROM {table} AS t ORDER BY 2"))
        };
        TABLES.map(rows).to_vec()
    }
}

/// The program on the example, with the server's address.
fn command(
    program: &Path,
    server: &Server,
    arguments: &[&str],
    example: &Path,
    store: &Path,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).arg("--config").arg(example).arg("--store").arg(store);
    for (name, value) in
        [("host", "127.0.0.1"), ("port", &server.port.to_string()), ("user", "admin")]
    {
        command.arg("--var").arg(format!("{name}={value}"));
    }
    command.env("CRM_PASSWORD", PASSWORD).env("SHOP_PASSWORD", PASSWORD);
    command
}

fn say(text: &str) {
    println!("\n=== {text}");
}
