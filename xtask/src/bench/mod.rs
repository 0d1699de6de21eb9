//! Measures whole commands, as a user would run them.

mod http;
mod matching;
mod measure;
mod report;
mod salesforce;
mod tables;
pub(crate) mod two_way;

pub(crate) use measure::run_here;

use crate::{Outcome, contacts, workspace};
use measure::{Figures, measured};
use report::{Report, Row};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    /// Whole runs, with match rules.
    Sync,
    /// Matching by a model: its cost, and how much it finds.
    Match,
    /// Two tables of a database server that are kept in step.
    TwoWay,
    /// Reading a table of each kind of database.
    Tables,
    /// Reading from an HTTP API on this machine.
    Http,
    /// The connector of Salesforce, against its server on this machine.
    Salesforce,
}

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Which measurement.
    pub(crate) subject: Subject,
    /// The largest number of records.
    pub(crate) records: usize,
    /// How often each command is measured; medians are told.
    pub(crate) runs: usize,
    /// Whether the table in `docs/benchmarks.md` is replaced.
    pub(crate) write: bool,
    /// A folder of manifests whose loading is timed.
    pub(crate) manifests: Option<PathBuf>,
    /// How long the HTTP server takes for a page, in milliseconds; each is measured.
    pub(crate) page_ms: Vec<u64>,
    /// The program that is measured; the release build where there is none.
    pub(crate) program: Option<PathBuf>,
}

impl Options {
    /// The program that is measured, built where none is named.
    fn program(&self) -> Result<PathBuf, Box<dyn Error>> {
        match &self.program {
            Some(program) => Ok(fs::canonicalize(program)?),
            None => workspace::release_build(),
        }
    }
}

/// One record in so many is changed for the run after a change.
const CHANGED_EVERY: usize = 100;
/// The page that holds the table.
const PAGE: &str = "docs/benchmarks.md";

/// Measures, prints the table, and writes it into the page where that was asked for.
pub(crate) fn run(options: Options) -> Outcome {
    match options.subject {
        Subject::Sync => {}
        Subject::Match => return matching::run(options),
        Subject::TwoWay => return two_way::run(options),
        Subject::Tables => return tables::run(options),
        Subject::Http => return http::run(options),
        Subject::Salesforce => return salesforce::run(options),
    }
    let program = options.program()?;
    let folder = workspace::root().join("target").join("bench-data");
    fs::create_dir_all(&folder)?;
    let lab = Lab { program, folder, runs: options.runs.max(1) };
    let mut report = Report::default();
    for records in sizes(options.records) {
        lab.first_runs(records, &mut report)?;
    }
    lab.later_runs(options.records, &mut report)?;
    lab.plain_import(options.records, &mut report)?;
    let text = report.render(options.records, lab.runs, &machine());
    println!("{text}");
    if options.write {
        let page = workspace::root().join(PAGE);
        fs::write(&page, report::replaced(&fs::read_to_string(&page)?, "bench", &text)?)?;
    }
    Ok(true)
}

/// Powers of ten from ten thousand, up to and including `most`.
fn sizes(most: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> =
        [10_000, 100_000, 1_000_000].into_iter().filter(|size| *size < most).collect();
    sizes.push(most);
    sizes
}

/// What is measured with what.
struct Lab {
    program: PathBuf,
    folder: PathBuf,
    runs: usize,
}

impl Lab {
    /// The same file each time it is asked for.
    fn contacts(&self, count: usize) -> Result<contacts::Files, Box<dyn Error>> {
        Ok(contacts::write(&self.folder, contacts::Options { count, seed: 7, hard: false })?)
    }

    fn input(&self) -> PathBuf {
        self.folder.join("input.jsonl")
    }

    fn store(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.db"))
    }

    fn sync(&self, store: &Path) -> Result<Figures, Box<dyn Error>> {
        let mut command = Command::new(&self.program);
        command.args(["run", "examples/contacts", "--var"]);
        command.arg(format!("input={}", self.input().display())).arg("--store").arg(store);
        measured(&command)
    }

    fn first_runs(&self, records: usize, report: &mut Report) -> Result<(), Box<dyn Error>> {
        fs::copy(self.contacts(records)?.jsonl, self.input())?;
        let store = self.store("first");
        let mut all = Vec::new();
        for _ in 0..self.runs {
            remove(&store)?;
            all.push(self.sync(&store)?);
        }
        report.rows.push(Row::new(report::FIRST, records, all));
        Ok(())
    }

    /// Goes on from the store that the last first run left.
    fn later_runs(&self, records: usize, report: &mut Report) -> Result<(), Box<dyn Error>> {
        let store = self.store("first");
        let unchanged: Result<Vec<_>, _> = (0..self.runs).map(|_| self.sync(&store)).collect();
        report.rows.push(Row::new(report::UNCHANGED, records, unchanged?));
        change_some(&self.contacts(records)?.jsonl, &self.input())?;
        let mut changed = Vec::new();
        for _ in 0..self.runs {
            let again = self.store("again");
            remove(&again)?;
            copy(&store, &again)?;
            // Else the run waits for the disk to take what the copying left to be written.
            for file in [again.clone(), self.input()] {
                fs::File::open(file)?.sync_all()?;
            }
            changed.push(self.sync(&again)?);
        }
        report.rows.push(Row::new(report::CHANGED, records, changed));
        Ok(())
    }

    /// The least that any tool would have to do: one keyed table from the same records.
    fn plain_import(&self, records: usize, report: &mut Report) -> Result<(), Box<dyn Error>> {
        if Command::new("sqlite3").arg("--version").output().is_err() {
            println!("sqlite3 is not installed: nothing to compare with");
            return Ok(());
        }
        let csv = self.contacts(records)?.csv;
        let store = self.store("import");
        let mut all = Vec::new();
        for _ in 0..self.runs {
            remove(&store)?;
            let mut command = Command::new("sqlite3");
            command.arg(&store).arg(
                "CREATE TABLE contacts(id TEXT PRIMARY KEY, first_name, last_name, email, phone, \
                 company, street, city, postcode, country, birth_date, modified)",
            );
            command.arg(format!(".import --csv --skip 1 \"{}\" contacts", csv.display()));
            all.push(measured(&command)?);
        }
        report.rows.push(Row::new(report::IMPORT, records, all));
        Ok(())
    }
}

/// Copies the contacts in `from` to `to`, with another phone number and a later time in some of them.
fn change_some(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(fs::File::create(to)?);
    for (number, line) in (0_usize..).zip(BufReader::new(fs::File::open(from)?).lines()) {
        let line = line?;
        if !number.is_multiple_of(CHANGED_EVERY) {
            writeln!(out, "{line}")?;
            continue;
        }
        let mut contact: serde_json::Value = serde_json::from_str(&line)?;
        contact["phone"] = format!("+1 300{number:07}").into();
        contact["modified"] = "2026-01-01T00:00:00Z".into();
        writeln!(out, "{contact}")?;
    }
    Ok(out.flush()?)
}

/// The files that SQLite keeps for a database.
fn files(store: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", store.display())))
}

fn remove(store: &Path) -> std::io::Result<()> {
    files(store).iter().filter(|file| file.exists()).try_for_each(fs::remove_file)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for (from, to) in files(from).iter().zip(files(to)) {
        if from.exists() {
            fs::copy(from, to)?;
        }
    }
    Ok(())
}

/// What was measured on, as far as the system tells.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{cores} cores, {}", model.map_or(std::env::consts::ARCH, |(_, model)| model.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_up_to_the_one_asked_for() {
        assert_eq!(sizes(1_000_000), [10_000, 100_000, 1_000_000]);
        assert_eq!(sizes(50_000), [10_000, 50_000]);
        assert_eq!(sizes(100), [100]);
    }

    #[test]
    fn one_record_in_a_hundred_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let options = contacts::Options { count: 1000, seed: 7, hard: false };
        let from = contacts::write(folder.path(), options).unwrap().jsonl;
        let to = folder.path().join("changed.jsonl");
        change_some(&from, &to).unwrap();
        let (before, after) = (fs::read_to_string(from).unwrap(), fs::read_to_string(to).unwrap());
        let changed = before.lines().zip(after.lines()).filter(|(one, two)| one != two).count();
        assert_eq!((before.lines().count(), after.lines().count(), changed), (1000, 1000, 10));
        assert!(after.starts_with(r#"{"id":"C0000001","first_name":"#));
    }
}
