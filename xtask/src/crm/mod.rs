//! Three exports of one small company's customers, messy in the ways in which real ones are.

mod accounts;
mod billing;
mod contacts;
mod names;
mod newsletter;
mod notable;
mod people;
#[cfg(test)]
mod tests;

use crate::rng::Rng;
use crate::words::Words;
use names::Names;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Every run of the generator writes the same files.
const SEED: u64 = 20_251_209;

/// A row of one of the files, before it has an id.
#[derive(Clone, Debug)]
struct Row<T> {
    /// The number of the real person it is about; none where it is about no person.
    person: Option<usize>,
    /// Why it is worth a look; empty where it is not.
    note: &'static str,
    content: T,
}

impl<T> Row<T> {
    fn of(person: usize, content: T) -> Self {
        Self { person: Some(person), note: "", content }
    }

    fn noted(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// All rows of all files.
#[derive(Default)]
struct Exports {
    accounts: Vec<accounts::Account>,
    contacts: Vec<Row<contacts::Contact>>,
    customers: Vec<Row<billing::Customer>>,
    subscribers: Vec<Row<newsletter::Subscriber>>,
}

/// The files' contents, and what is known about them.
struct Made {
    files: [(&'static str, Vec<u8>); 4],
    /// For each row that is about a person: system, id and person.
    truth: String,
    /// For people: counts, and rows worth a look.
    summary: String,
}

/// Writes the four files into `folder`, which is made where it is missing; where `truth` is given, also which
/// row is about which person. Returns a summary.
pub(crate) fn write(folder: &Path, truth: Option<&Path>) -> io::Result<String> {
    let made = make();
    fs::create_dir_all(folder)?;
    for (name, bytes) in &made.files {
        fs::write(folder.join(name), bytes)?;
    }
    if let Some(path) = truth {
        fs::write(path, made.truth)?;
    }
    Ok(made.summary)
}

fn make() -> Made {
    let mut rng = Rng::new(SEED);
    let (words, names) = (Words::new(), Names::new());
    let mut exports = Exports { accounts: accounts::make(&words, &mut rng), ..Exports::default() };
    notable::add(&mut exports);
    people::add(&mut exports, &words, &names, &mut rng);
    rng.shuffle(&mut exports.contacts);
    rng.shuffle(&mut exports.customers);
    rng.shuffle(&mut exports.subscribers);
    billing::number(&mut exports.customers);
    let mut about = About::default();
    let files = [
        ("crm-accounts.jsonl", accounts::file(&exports.accounts)),
        ("crm-contacts.jsonl", contacts::file(&exports.contacts, &mut about)),
        ("billing-customers.csv", billing::file(&exports.customers, &mut about)),
        ("newsletter.csv", newsletter::file(&exports.subscribers, &mut about)),
    ];
    let summary = about.summary(&exports);
    Made { files, truth: about.truth(), summary }
}

/// Which row, by system and id, is about which person.
#[derive(Default)]
struct About {
    rows: Vec<(&'static str, String, Option<usize>)>,
    notes: Vec<String>,
}

impl About {
    fn add<T>(&mut self, system: &'static str, id: &str, row: &Row<T>) {
        if !row.note.is_empty() {
            self.notes.push(format!("{}: {system} {id}", row.note));
        }
        self.rows.push((system, id.to_owned(), row.person));
    }

    fn truth(&self) -> String {
        let mut text = String::from("system,id,person\n");
        for (system, id, person) in &self.rows {
            if let Some(person) = person {
                text.push_str(&format!("{system},{id},P{person:04}\n"));
            }
        }
        text
    }

    /// The number of people in one, two and three systems.
    fn people(&self) -> [usize; 3] {
        let mut systems: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (system, _, person) in &self.rows {
            if let Some(person) = person {
                systems.entry(*person).or_default().push(system);
            }
        }
        let mut counts = [0; 3];
        for mut of_person in systems.into_values() {
            of_person.sort_unstable();
            of_person.dedup();
            counts[of_person.len() - 1] += 1;
        }
        counts
    }

    fn summary(&self, exports: &Exports) -> String {
        let [one, two, three] = self.people();
        let mut text = format!(
            "{} contacts, {} accounts, {} customers, {} subscribers\n",
            exports.contacts.len(),
            exports.accounts.len(),
            exports.customers.len(),
            exports.subscribers.len()
        );
        text.push_str(&format!("people: {one} in one system, {two} in two, {three} in three\n"));
        let mut notes = self.notes.clone();
        notes.sort();
        for note in notes {
            text.push_str(&format!("{note}\n"));
        }
        text
    }
}

/// Some day from 2019 to 2025, as year, month and day.
fn day(rng: &mut Rng) -> (usize, usize, usize) {
    (2019 + rng.below(7), 1 + rng.below(12), 1 + rng.below(28))
}
