//! Contacts made up by chance, with known duplicates: what speed and matching are measured on.
//!
//! About a fifth of the records are corrupted copies of earlier people. Some people are relatives at one
//! address, and some addresses are role mailboxes: they look alike and are not the same.

mod corrupt;
mod people;
#[cfg(test)]
mod tests;

pub(crate) use corrupt::typo;
pub(crate) use people::postcode;

use crate::words::Words;
use people::Crowd;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How many records.
    pub(crate) count: usize,
    /// Equal seeds give equal files.
    pub(crate) seed: u64,
    /// More gaps, more corruption, more relatives.
    pub(crate) hard: bool,
}

/// The files that were written.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) jsonl: PathBuf,
    pub(crate) csv: PathBuf,
    /// Who is who: `id,entity`.
    pub(crate) truth: PathBuf,
    /// How many real people are behind the records.
    pub(crate) people: usize,
}

/// A contact as the file says it: empty text where nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Contact {
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) email: String,
    pub(crate) phone: String,
    pub(crate) company: String,
    pub(crate) street: String,
    pub(crate) city: String,
    pub(crate) postcode: String,
    pub(crate) country: String,
    pub(crate) birth_date: String,
    pub(crate) modified: String,
}

/// Writes `contacts_N.jsonl`, `contacts_N.csv` and `truth_N.csv` into `folder`, which is made where it
/// is missing. In hard mode N starts with `h`.
pub(crate) fn write(folder: &Path, options: Options) -> io::Result<Files> {
    std::fs::create_dir_all(folder)?;
    let label = format!("{}{}", if options.hard { "h" } else { "" }, options.count);
    let jsonl = folder.join(format!("contacts_{label}.jsonl"));
    let csv = folder.join(format!("contacts_{label}.csv"));
    let open = |path: &Path| File::create(path).map(|file| BufWriter::with_capacity(1 << 18, file));
    let mut json_out = open(&jsonl)?;
    let mut csv_out = open(&csv)?;
    let truth = folder.join(format!("truth_{label}.csv"));
    let mut truth_out = open(&truth)?;
    csv_out.write_all(
        b"id,first_name,last_name,email,phone,company,street,city,postcode,country,birth_date,modified\n",
    )?;
    truth_out.write_all(b"id,entity\n")?;
    let words = Words::new();
    let mut crowd = Crowd::new(&words, options);
    for number in 1..=options.count {
        let (contact, person) = crowd.next_contact();
        write_json(&mut json_out, number, &contact)?;
        write_csv(&mut csv_out, number, &contact)?;
        writeln!(truth_out, "C{number:07},E{person:07}")?;
    }
    json_out.flush()?;
    csv_out.flush()?;
    truth_out.flush()?;
    Ok(Files { jsonl, csv, truth, people: crowd.len() })
}

fn write_json(out: &mut impl Write, number: usize, c: &Contact) -> io::Result<()> {
    write!(out, r#"{{"id":"C{number:07}""#)?;
    let fields = [
        ("first_name", &c.first_name),
        ("last_name", &c.last_name),
        ("email", &c.email),
        ("phone", &c.phone),
        ("company", &c.company),
        ("street", &c.street),
        ("city", &c.city),
        ("postcode", &c.postcode),
        ("country", &c.country),
    ];
    for (name, text) in fields {
        // No word list holds a character that JSON escapes, and no corruption makes one.
        write!(out, r#","{name}":"{text}""#)?;
    }
    match c.birth_date.as_str() {
        "" => out.write_all(br#","birth_date":null"#)?,
        date => write!(out, r#","birth_date":"{date}""#)?,
    }
    writeln!(out, r#","modified":"{}"}}"#, c.modified)
}

fn write_csv(out: &mut impl Write, number: usize, c: &Contact) -> io::Result<()> {
    let Contact { first_name, last_name, email, phone, company, street, .. } = c;
    let Contact { city, postcode, country, birth_date, modified, .. } = c;
    write!(out, "C{number:07},{first_name},{last_name},{email},{phone},{company},{street},")?;
    writeln!(out, "{city},{postcode},{country},{birth_date},{modified}")
}
