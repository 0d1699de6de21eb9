//! The example `two-way-carddav`: an address book and a table, from nothing to two runs that write nothing.

use crate::radicale::{Radicale, SECRET, USER};
use crate::servers::{Kind, PASSWORD, Server};
use crate::{Outcome, ci, workspace};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the example; all is well where it ends in two runs that write nothing.
pub(crate) fn run() -> Outcome {
    ci::Tools::new()?.have_servers();
    let program = workspace::release_build()?;
    let folder = tempfile::tempdir()?;
    let stage = Stage {
        program,
        store: folder.path().join("store.db"),
        example: workspace::root().join("examples/two-way-carddav"),
        table: Server::start(Kind::Postgres),
        book: Radicale::start(),
    };
    stage.play()
}

/// Both servers, the program, and the example.
struct Stage {
    program: PathBuf,
    store: PathBuf,
    example: PathBuf,
    table: Server,
    book: Radicale,
}

impl Stage {
    fn play(&self) -> Outcome {
        self.sql("customers.sql")?;
        self.cards("cards")?;
        say("An address book and a table that have never met");
        self.show();
        say("What would happen when they meet");
        self.syncline(&["preview"])?;
        say("They meet");
        self.syncline(&["run"])?;
        self.show();
        say("Both sides are edited: Charles has another number on each");
        self.sql("edits.sql")?;
        self.cards("edits")?;
        self.book.delete("edsger.vcf");
        println!("DELETE edsger.vcf");
        self.syncline(&["run"])?;
        self.show();
        self.syncline(&["conflicts", "list", "--all"])?;
        say("What no field stands for is as it was: Ada's photo, labels, her app's own properties");
        println!("{}", self.book.get("ada.vcf"));
        say("Nobody edits anything: two more runs write nothing");
        let before = (self.rows(), self.book.cards());
        self.syncline(&["run"])?;
        self.syncline(&["run"])?;
        let is_quiet = (self.rows(), self.book.cards()) == before;
        say(if is_quiet { "No row and no card was written" } else { "SOMETHING WAS WRITTEN" });
        Ok(is_quiet)
    }

    fn sql(&self, script: &str) -> Result<(), Box<dyn Error>> {
        println!("$ psql -f {script}");
        self.table.sql(&fs::read_to_string(self.example.join(script))?);
        Ok(())
    }

    /// Puts the cards of a folder into the address book.
    fn cards(&self, folder: &str) -> Result<(), Box<dyn Error>> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.example.join(folder))?
            .map(|file| Ok(file?.path()))
            .collect::<Result<_, std::io::Error>>()?;
        files.sort();
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            println!("PUT {folder}/{name}");
            self.book.put(&name, &fs::read_to_string(&file)?);
        }
        Ok(())
    }

    fn syncline(&self, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
        println!("$ syncline {} --config examples/two-way-carddav", arguments.join(" "));
        let status = self.command(arguments).status()?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
    }

    /// The program on the example, with the servers' addresses.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let (example, store): (&Path, &Path) = (&self.example, &self.store);
        command.args(arguments).arg("--config").arg(example).arg("--store").arg(store);
        let ports = [("carddav", self.book.port), ("postgres", self.table.port)];
        for (name, port) in ports {
            command.arg("--var").arg(format!("{name}_port={port}"));
        }
        command.arg("--var").arg(format!("user={USER}"));
        command.env("CONTACTS_PASSWORD", SECRET).env("CRM_PASSWORD", PASSWORD);
        command
    }

    fn show(&self) {
        let columns = "name, email, phone, city, company, birthday";
        let rows = self.table.sql(&format!("SELECT {columns} FROM customers ORDER BY name"));
        println!("\ncustomers:\n{rows}\n\naddress book:");
        let is_shown =
            |line: &&str| ["FN", "TEL", "ADR", "EMAIL"].iter().any(|name| line.contains(name));
        for (name, card) in self.book.cards() {
            let lines: Vec<&str> = card.lines().filter(is_shown).collect();
            println!("{name}: {}", lines.join(" "));
        }
        println!();
    }

    /// Every row, with what tells whether it was written: every write gives it another `xmin`.
    fn rows(&self) -> String {
        self.table.sql("SELECT xmin, c FROM customers AS c ORDER BY 2")
    }
}

fn say(text: &str) {
    println!("\n=== {text}");
}
