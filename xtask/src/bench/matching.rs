//! What matching by a model costs, and how much it finds, on generated contacts of which it is known who is who.

use super::measure::{Figures, measured};
use super::report::{replaced, thousands};
use super::{Options, PAGE, machine, remove};
use crate::{Outcome, contacts, workspace};
use serde_json::Value;
use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::hash::Hash;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// So many records come after all others are stored.
const LATER: usize = 1000;
/// The sizes that are measured, beside the largest one.
const SMALL: usize = 100_000;
const EXAMPLE: &str = "examples/contacts-learned/syncline.yaml";

/// Measures, prints the table, and writes it into the page where that was asked for.
pub(super) fn run(options: Options) -> Outcome {
    let program = options.program()?;
    let folder = workspace::root().join("target").join("bench-data").join("match");
    fs::create_dir_all(&folder)?;
    // A read goes on where the last one stopped, so that a run of later records reads nothing else.
    let text = fs::read_to_string(workspace::root().join(EXAMPLE))?;
    fs::write(folder.join("syncline.yaml"), text.replace("mode: full", "mode: incremental"))?;
    let lab = Lab { program, folder };
    let sizes =
        if options.records > SMALL { vec![SMALL, options.records] } else { vec![options.records] };
    let mut rows = Vec::new();
    for records in sizes {
        for hard in [false, true] {
            rows.push(lab.measure(records, hard)?);
        }
    }
    let text = render(&rows, &machine());
    println!("{text}");
    if options.write {
        let page = workspace::root().join(PAGE);
        fs::write(&page, replaced(&fs::read_to_string(&page)?, "bench-match", &text)?)?;
    }
    Ok(true)
}

/// What was measured on one file.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    records: usize,
    hard: bool,
    train: Figures,
    run: Figures,
    /// Pairs that were compared, and how long that took on one core.
    pairs: u64,
    compare_s: f64,
    f1: f64,
    /// The run of the later records.
    later: Figures,
    /// Records that were stored before and are in another shard since, and shards that became part of others.
    moved: usize,
    merged: usize,
}

struct Lab {
    program: PathBuf,
    folder: PathBuf,
}

impl Lab {
    fn input(&self) -> PathBuf {
        self.folder.join("input.jsonl")
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store.db")
    }

    fn command(&self, verbs: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(verbs).arg(&self.folder).arg("--var");
        command.arg(format!("input={}", self.input().display()));
        command.arg("--store").arg(self.store());
        command
    }

    fn measure(&self, records: usize, hard: bool) -> Result<Row, Box<dyn Error>> {
        let options = contacts::Options { count: records + LATER, seed: 7, hard };
        let files = contacts::write(&self.folder, options)?;
        let mut lines = BufReader::new(fs::File::open(&files.jsonl)?).lines();
        let mut input = BufWriter::new(fs::File::create(self.input())?);
        for line in lines.by_ref().take(records) {
            writeln!(input, "{}", line?)?;
        }
        input.flush()?;
        remove(&self.store())?;
        let train = measured(&self.command(&["match", "train"]))?;
        let run = measured(&self.command(&["run"]))?;
        let mut eval = self.command(&["match", "eval"]);
        eval.arg("--truth").arg(&files.truth).arg("--json");
        let told: Value = serde_json::from_str(&workspace::output(&mut eval)?)?;
        let number = |value: &Value| value.as_f64().ok_or_else(|| format!("no figures in {told}"));
        let before = self.shards()?;
        let f1 = f1(&before, &truth(&files.truth)?);
        for line in lines {
            writeln!(input, "{}", line?)?;
        }
        input.flush()?;
        let later = measured(&self.command(&["run"]))?;
        let after = self.shards()?;
        let moved: Vec<&String> = before
            .iter()
            .filter(|(id, shard)| after.get(*id) != Some(shard))
            .map(|(_, s)| s)
            .collect();
        let mut lost = moved.clone();
        lost.sort_unstable();
        lost.dedup();
        Ok(Row {
            records,
            hard,
            train,
            run,
            pairs: number(&told["blocking"]["compared"])? as u64,
            compare_s: number(&told["compare_ms"])? / 1e3,
            f1,
            later,
            moved: moved.len(),
            merged: lost.len(),
        })
    }

    /// The shard of each record.
    fn shards(&self) -> Result<HashMap<String, String>, Box<dyn Error>> {
        let path = self.folder.join("links.csv");
        let mut command = Command::new(&self.program);
        command.args(["export", "links", "--format", "csv", "--output"]).arg(&path);
        workspace::output(command.arg("--store").arg(self.store()))?;
        table(&path, "external_id", "shard_id")
    }
}

/// Who is who, by record.
fn truth(path: &Path) -> Result<HashMap<String, String>, Box<dyn Error>> {
    table(path, "id", "entity")
}

/// Two columns of a CSV file, the one by the other.
fn table(path: &Path, key: &str, value: &str) -> Result<HashMap<String, String>, Box<dyn Error>> {
    let mut reader = csv::Reader::from_path(path)?;
    let headers = reader.headers()?.clone();
    let column = |name: &str| {
        let place = headers.iter().position(|header| header == name);
        place.ok_or_else(|| format!("`{}` has no column `{name}`", path.display()))
    };
    let (key, value) = (column(key)?, column(value)?);
    let mut table = HashMap::new();
    for row in reader.records() {
        let row = row?;
        if let (Some(key), Some(value)) = (row.get(key), row.get(value)) {
            table.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(table)
}

/// The harmonic mean of precision and recall, over pairs of records that are in one shard.
fn f1(found: &HashMap<String, String>, truth: &HashMap<String, String>) -> f64 {
    let known = || found.iter().filter_map(|(id, shard)| Some((shard, truth.get(id)?)));
    let right = pairs(known());
    let sum = pairs(known().map(|(shard, _)| shard)) + pairs(known().map(|(_, entity)| entity));
    if sum == 0 { 1.0 } else { 2.0 * right as f64 / sum as f64 }
}

/// How many pairs of the items are equal.
fn pairs<T: Eq + Hash>(items: impl Iterator<Item = T>) -> u64 {
    let mut counts: HashMap<T, u64> = HashMap::new();
    items.for_each(|item| *counts.entry(item).or_default() += 1);
    counts.into_values().map(|count| count * (count - 1) / 2).sum()
}

fn render(rows: &[Row], machine: &str) -> String {
    let mut text = format!("Measured once, on {machine}.\n\n");
    text.push_str(
        "| records | F1 | train, CPU s | run, CPU s | both, wall s | peak, MiB | pairs compared | pairs/s, one core | \
         next 1,000, wall s | of these CPU | stored records that moved |\n",
    );
    text.push_str("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for row in rows {
        let Row { train, run, later, .. } = row;
        let name = format!("{}{}", thousands(row.records), if row.hard { ", hard" } else { "" });
        let wall = train.wall_s + run.wall_s;
        let peak = train.peak_mib.max(run.peak_mib);
        let rate = row.pairs as f64 / row.compare_s.max(1e-3);
        text.push_str(&format!(
            "| {name} | {:.4} | {:.2} | {:.2} | {wall:.2} | {peak:.0} | {} | {} | {:.2} | {:.2} | {}, of {} shards |\n",
            row.f1,
            train.cpu_s,
            run.cpu_s,
            thousands(usize::try_from(row.pairs).unwrap_or(usize::MAX)),
            thousands(rate as usize),
            later.wall_s,
            later.cpu_s,
            row.moved,
            row.merged,
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(of: &[(&str, &str)]) -> HashMap<String, String> {
        of.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect()
    }

    #[test]
    fn f1_is_over_pairs_of_records() {
        let truth = clusters(&[("1", "a"), ("2", "a"), ("3", "a"), ("4", "b"), ("5", "c")]);
        for (found, expected) in [
            (&[("1", "x"), ("2", "x"), ("3", "x"), ("4", "y"), ("5", "z")], 1.0),
            (&[("1", "x"), ("2", "x"), ("3", "y"), ("4", "z"), ("5", "w")], 0.5),
            (&[("1", "x"), ("2", "y"), ("3", "z"), ("4", "v"), ("5", "w")], 0.0),
            (&[("1", "x"), ("2", "x"), ("3", "x"), ("4", "y"), ("5", "y")], 6.0 / 7.0),
        ] {
            let got = f1(&clusters(found), &truth);
            assert!((got - expected).abs() < 1e-9, "{got}, expected {expected}");
        }
        assert_eq!(f1(&clusters(&[]), &truth), 1.0);
    }

    #[test]
    fn the_table_tells_the_rate_of_comparing() {
        let rows = [Row {
            records: 100_000,
            hard: true,
            pairs: 3_000_000,
            compare_s: 1.5,
            ..Row::default()
        }];
        let text = render(&rows, "2 cores");
        assert!(text.contains("| 100,000, hard |"), "{text}");
        assert!(text.contains("| 3,000,000 | 2,000,000 |"), "{text}");
    }
}
