//! A project in a temporary folder, and the program run on it.

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A configuration that takes contacts from a CSV file.
pub(crate) const CONTACTS: &str = r#"
connections:
  crm:
    adapter: file
    entities:
      contact: { path: contacts.csv, key: id }
shard_types:
  person:
    fields: { email: text, name: text, age: integer }
    matching:
      rules:
        - { name: same e-mail, compare: [{ field: email, normalise: email }] }
conversion_schemas:
  person:
    shard_type: person
    fields:
      email: { from: email, transform: [trim, lowercase], validate: { format: email } }
      name: { from: name }
      age: { from: age, transform: to_number, validate: { max: 150 } }
sync_tasks:
  contacts: { connection: crm, entity: contact, conversion_schema: person }
"#;

/// A project in a temporary folder.
pub(crate) struct Project {
    folder: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Project {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    pub(crate) fn contacts(rows: &str) -> Self {
        let csv = format!("id,email,name,age\n{rows}");
        Self::new(&[("syncline.yaml", CONTACTS), ("contacts.csv", &csv)])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "SYNCLINE_LOG"] {
            command.env_remove(name);
        }
        command.env("TZ", "UTC");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs a command that has to succeed, and reads the last line that it prints as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran.json()
    }

    /// Starts a command whose standard input stays open, and waits until a task runs.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        for _ in 0..400 {
            let status = self.run(&["status", "--json"]);
            if status.code == Some(0) && status.json()["tasks"][0]["last"]["status"] == "running" {
                return child;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("{args:?} never began to run: {:?}", Ran::of(child.wait_with_output().unwrap()));
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        let last = self.out.lines().last().unwrap_or_else(|| panic!("nothing printed: {self:?}"));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Makes sure that the command ended with `code`, and printed all of `texts`.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in texts {
            assert!(self.out.contains(text) || self.err.contains(text), "no `{text}`: {self:#?}");
        }
    }
}
