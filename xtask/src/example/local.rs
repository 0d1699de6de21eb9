//! A provider's API on this machine, and a table in a SQLite file: examples that need nothing but Python.

use super::say;
use crate::local_server::LocalServer;
use crate::{Outcome, workspace};
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Which provider, and what is shown of it.
pub(super) struct Provider {
    /// The name of its server in `examples/servers`, of the example's variable, and of the connection.
    pub(super) name: &'static str,
    /// Where its server shows all records.
    pub(super) records: &'static str,
    /// The fields that are shown, each a path of names.
    pub(super) fields: &'static [&'static str],
    /// What the example's configuration takes from the environment.
    pub(super) environment: &'static [(&'static str, &'static str)],
}

/// The server, the program, and the example.
struct Stage {
    provider: Provider,
    program: PathBuf,
    folder: tempfile::TempDir,
    example: PathBuf,
    server: LocalServer,
}

/// Runs the example; all is well where it ends in two runs that write nothing.
pub(super) fn run(provider: Provider) -> Outcome {
    let stage = Stage {
        program: workspace::release_build()?,
        folder: tempfile::tempdir()?,
        example: workspace::root().join(format!("examples/two-way-{}", provider.name)),
        server: LocalServer::start(provider.name, &[]),
        provider,
    };
    stage.person("people.json")?;
    stage.sql("shop.sql")?;
    say("Contacts and a table that have never met");
    stage.show()?;
    say("What would happen when they meet");
    stage.syncline(&["preview"])?;
    say("They meet");
    stage.syncline(&["run"])?;
    stage.show()?;
    say("Both sides are edited");
    stage.person("edits.people.json")?;
    stage.sql("edits.shop.sql")?;
    stage.syncline(&["run"])?;
    stage.show()?;
    say("Grace got two telephones: the later one stands, the other is kept");
    stage.syncline(&["conflicts", "list", "--all"])?;
    say("Nobody edits anything: two more runs write nothing");
    stage.server.take_counts();
    let before = stage.rows()?;
    stage.syncline(&["run"])?;
    stage.syncline(&["run"])?;
    let counts = stage.server.take_counts();
    println!("{} requests, {} of them writes", counts.all(), counts.writes());
    let is_quiet = counts.writes() == 0 && stage.rows()? == before;
    say(if is_quiet { "Nothing was written, on either side" } else { "SOMETHING WAS WRITTEN" });
    Ok(is_quiet)
}

impl Stage {
    fn syncline(&self, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
        let name = self.provider.name;
        println!("$ syncline {} --config examples/two-way-{name}", arguments.join(" "));
        let status = Command::new(&self.program)
            .args(arguments)
            .arg("--config")
            .arg(&self.example)
            .arg("--store")
            .arg(self.folder.path().join("store.db"))
            .args(["--var", &format!("server={}", self.server.url)])
            .args(["--var", &format!("shop={}", self.shop().display())])
            .envs(self.provider.environment.iter().copied())
            .status()?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
    }

    fn shop(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    /// Does what a person does at the provider's pages.
    fn person(&self, name: &str) -> Result<(), Box<dyn Error>> {
        println!("a person does what is in {name}");
        let steps: Vec<Value> =
            serde_json::from_str(&fs::read_to_string(self.example.join(name))?)?;
        for step in steps {
            let text = |name: &str| step[name].as_str().unwrap_or_default();
            self.server.control(text("method"), text("path"), step.get("body").cloned());
        }
        Ok(())
    }

    fn sql(&self, name: &str) -> Result<(), Box<dyn Error>> {
        println!("$ sqlite3 shop.db < {name}");
        rusqlite::Connection::open(self.shop())?
            .execute_batch(&fs::read_to_string(self.example.join(name))?)?;
        Ok(())
    }

    fn rows(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let shop = rusqlite::Connection::open(self.shop())?;
        let mut query = shop.prepare("SELECT * FROM customers ORDER BY id")?;
        let count = query.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let cell = |index| match row.get(index)? {
                rusqlite::types::Value::Text(text) => Ok(text),
                rusqlite::types::Value::Integer(number) => Ok(number.to_string()),
                _ => Ok::<_, rusqlite::Error>(String::new()),
            };
            Ok((0..count).map(cell).collect::<Result<Vec<_>, _>>()?.join(" | "))
        };
        Ok(query.query_map([], row)?.collect::<Result<_, _>>()?)
    }

    fn show(&self) -> Result<(), Box<dyn Error>> {
        println!("\n{}:", self.provider.name);
        for record in
            self.server.control("GET", self.provider.records, None).as_array().into_iter().flatten()
        {
            let shown = self.provider.fields.iter().map(|path| {
                let value = path.split('.').try_fold(record, |value, name| value.get(name));
                value.and_then(Value::as_str).unwrap_or_default().to_owned()
            });
            println!("{}", shown.collect::<Vec<_>>().join(" | "));
        }
        println!("\nshop.db, customers:");
        for row in self.rows()? {
            println!("{row}");
        }
        println!();
        Ok(())
    }
}
