//! A Kinto collection and a PostgreSQL table.

use super::say;
use crate::kinto::{Kinto, Proxy};
use crate::servers::{Kind, PASSWORD, Server};
use crate::{Outcome, workspace};
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The servers, the program, and the example.
struct Stage {
    program: PathBuf,
    folder: tempfile::TempDir,
    example: PathBuf,
    kinto: Kinto,
    /// Stands before Kinto and counts what it is told to write.
    counter: Proxy,
    shop: Server,
}

/// Runs the example; all is well where it ends in two runs that write nothing.
pub(super) fn run() -> Outcome {
    let program = workspace::release_build()?;
    let kinto = Kinto::start();
    let stage = Stage {
        program,
        folder: tempfile::tempdir()?,
        example: workspace::root().join("examples/two-way-kinto"),
        counter: Proxy::before(kinto.port),
        kinto,
        shop: Server::start(Kind::Postgres),
    };
    stage.batch("contacts.json")?;
    stage.script("shop.sql")?;
    say("A collection and a table that have never met");
    stage.show();
    say("What would happen when they meet");
    stage.syncline(&["preview"])?;
    say("They meet");
    stage.syncline(&["run"])?;
    stage.show();
    say("Both sides are edited");
    stage.batch("edits.contacts.json")?;
    stage.script("edits.shop.sql")?;
    stage.syncline(&["run"])?;
    stage.show();
    say("Grace got two telephones: the later one stands, the other is kept");
    stage.syncline(&["conflicts", "list", "--all"])?;
    say("Nobody edits anything: two more runs write nothing");
    stage.counter.take_writes();
    let before = stage.rows("SELECT xmin, t FROM customers AS t ORDER BY 2");
    stage.syncline(&["run"])?;
    stage.syncline(&["run"])?;
    let writes = stage.counter.take_writes();
    let is_quiet =
        writes == 0 && stage.rows("SELECT xmin, t FROM customers AS t ORDER BY 2") == before;
    say(if is_quiet { "Nothing was written, on either side" } else { "SOMETHING WAS WRITTEN" });
    Ok(is_quiet)
}

impl Stage {
    fn syncline(&self, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
        println!("$ syncline {} --config examples/two-way-kinto", arguments.join(" "));
        let url = format!("kinto=http://127.0.0.1:{}/v1", self.counter.port);
        let port = format!("port={}", self.shop.port);
        let status = Command::new(&self.program)
            .args(arguments)
            .arg("--config")
            .arg(&self.example)
            .arg("--store")
            .arg(self.folder.path().join("store.db"))
            .args(["--var", &url, "--var", &port])
            .env("KINTO_PASSWORD", "secret")
            .env("SHOP_PASSWORD", PASSWORD)
            .status()?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
    }

    fn batch(&self, name: &str) -> Result<(), Box<dyn Error>> {
        println!("$ curl $KINTO/batch -d @{name}");
        let body: Value = serde_json::from_str(&fs::read_to_string(self.example.join(name))?)?;
        match self.kinto.ask("POST", "/batch", &[], Some(body)) {
            (200, _) => Ok(()),
            (status, reply) => Err(format!("Kinto said {status}: {reply}").into()),
        }
    }

    fn script(&self, name: &str) -> Result<(), Box<dyn Error>> {
        println!("$ psql it -f {name}");
        self.shop.sql(&fs::read_to_string(self.example.join(name))?);
        Ok(())
    }

    fn rows(&self, query: &str) -> String {
        self.shop.sql(query)
    }

    fn show(&self) {
        println!("\nKinto, it/people:");
        for record in self.kinto.all() {
            println!("{record}");
        }
        println!("\nPostgreSQL, customers:");
        println!("{}\n", self.rows("SELECT * FROM customers ORDER BY id"));
    }
}
