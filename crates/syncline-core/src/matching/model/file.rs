//! The file of a trained model: YAML that a person can read, review and keep with the configuration.

use super::declare::Declaration;
use super::estimate::{Alternative, Estimates};
use super::levels::{self, LEVELS_MAX};
use super::terms::{FieldTerms, Terms};
use super::{Model, Table};
use crate::config::model::Kind;
use crate::config::model::indexed::IndexedMap;
use crate::config::{self, Diagnostics, SourceFile};
use crate::problem::{ConfigPath, Problem};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::sync::Arc;
use thiserror::Error;

/// The version of the file's form.
const VERSION: u32 = 1;
/// The least probability that a file may name: nothing is impossible.
const LEAST: f64 = 1e-9;

/// A trained model as plain data, in numbers rounded to four digits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// The version of the form: 1. 0 stands for a model that is not trained yet.
    pub syncline_model: u32,
    /// The shard type that it was trained for.
    pub shard_type: String,
    /// How many records there were. The more there are, the less likely two of them are the same.
    pub records: u64,
    /// How many pairs of them are expected to be the same.
    pub same_pairs: f64,
    /// The least probability of a match.
    pub threshold: f64,
    /// The least probability of a pair that a person should look at.
    pub review: f64,
    /// Other reasons for which two records are alike.
    #[serde(default)]
    pub alternatives: IndexedMap<AlternativeFile>,
    /// What is compared, by field.
    pub compare: IndexedMap<ComparisonFile>,
}

/// A reason, other than being the same, for which two records are alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlternativeFile {
    /// How many pairs of records are expected to be alike for it.
    pub pairs: f64,
    /// By field, how often it agrees as if the records were the same.
    pub shares: IndexedMap<f64>,
}

/// What was learnt of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonFile {
    /// The kind of value.
    pub kind: Kind,
    /// For each level, how likely it is where two records are the same (m), and where they are not (u).
    pub levels: IndexedMap<[f64; 2]>,
    /// How likely any two records have the same value.
    pub chance: f64,
    /// The share of records that hold a value which is not among the frequent ones.
    pub rare: f64,
    /// The most common values, each with the share of records that hold it.
    #[serde(default)]
    pub frequent: IndexedMap<f64>,
}

/// Why a model file cannot be used with a configuration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ModelFileError(String);

/// What to do about a file that is broken.
const HELP: &str = "mend the file, or train the model again: `syncline match train`";

/// Collects what is wrong with a file.
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, path: ConfigPath, message: String) {
        self.0.push(Problem::new(path, message));
    }

    fn probability(&mut self, path: ConfigPath, number: f64) {
        if !(0.0..=1.0).contains(&number) {
            self.add(path, format!("expected a number from 0 to 1, found {number}"));
        }
    }
}

impl ModelFile {
    pub(super) fn new(
        declaration: &Declaration,
        terms: &Terms,
        estimates: &Estimates,
        alternatives: &[Alternative],
        (threshold, review): (f64, f64),
    ) -> Self {
        let pairs = pairs(terms.records);
        let named = |numbers: &[f64]| {
            let comparisons = declaration.comparisons.iter().zip(numbers);
            let some = comparisons.filter(|(_, number)| **number > 0.0);
            IndexedMap(some.map(|(c, number)| (c.name.to_string(), rounded(*number))).collect())
        };
        let alternatives = alternatives.iter().enumerate().map(|(index, alternative)| {
            let file = AlternativeFile {
                pairs: rounded(estimates.priors[index + 1] * pairs),
                shares: named(&estimates.shares[index]),
            };
            (alternative.name.to_owned(), file)
        });
        let compare = declaration.comparisons.iter().enumerate().map(|(index, comparison)| {
            let terms = &terms.fields[index];
            let (m, u) = (&estimates.m[index], &estimates.u[index]);
            let names = (1..).zip(levels::names(comparison.kind));
            let told = names.filter(|(level, _)| !levels::is_neutral(comparison.kind, *level));
            let level = |(level, name): (u8, &&str)| {
                let at = usize::from(level);
                ((*name).to_owned(), [rounded(m[at]), rounded(u[at])])
            };
            let frequent = terms.frequent.iter().map(|(text, s)| (text.clone(), rounded(*s)));
            let file = ComparisonFile {
                kind: comparison.kind,
                levels: IndexedMap(told.map(level).collect()),
                chance: rounded(terms.chance),
                rare: rounded(terms.rare),
                frequent: IndexedMap(frequent.collect()),
            };
            (comparison.name.to_string(), file)
        });
        Self {
            syncline_model: VERSION,
            shard_type: declaration.shard_type.to_string(),
            records: terms.records,
            same_pairs: rounded(estimates.priors[0] * pairs),
            threshold: rounded(threshold),
            review: rounded(review),
            alternatives: IndexedMap(alternatives.collect()),
            compare: IndexedMap(compare.collect()),
        }
    }

    /// Whether it stands for a model that is still to be trained.
    pub fn is_untrained(&self) -> bool {
        self.syncline_model == 0
    }

    /// Reads a model file; `name` is what it is called in messages.
    ///
    /// # Errors
    ///
    /// What is wrong with it, by line and column: it is no YAML, no model file of this version, or holds numbers that
    /// are no probabilities.
    pub fn read(name: &str, text: String) -> Result<Self, Diagnostics> {
        let file = SourceFile { name: name.to_owned(), text };
        let read = config::read_beside(file, Self::check);
        read.map_err(|mut diagnostics| {
            for diagnostic in &mut diagnostics.0 {
                diagnostic.help.get_or_insert_with(|| HELP.to_owned());
            }
            diagnostics
        })
    }

    /// What is wrong with it, whatever the configuration.
    fn check(&self) -> Vec<Problem> {
        let mut problems = Problems(Vec::new());
        let root = ConfigPath::root();
        if self.syncline_model != VERSION {
            let version = self.syncline_model;
            let message =
                format!("the file has form {version}, and this program knows form {VERSION}");
            problems.add(root.key("syncline_model"), message);
            return problems.0;
        }
        problems.probability(root.key("threshold"), self.threshold);
        problems.probability(root.key("review"), self.review);
        for (name, comparison) in &self.compare.0 {
            let path = root.key("compare").key(name);
            problems.probability(path.key("chance"), comparison.chance);
            problems.probability(path.key("rare"), comparison.rare);
            for (value, share) in &comparison.frequent.0 {
                problems.probability(path.key("frequent").key(value), *share);
            }
            let of_kind = || (1..).zip(levels::names(comparison.kind));
            let told = || of_kind().filter(|(l, _)| !levels::is_neutral(comparison.kind, *l));
            for (_, level) in told() {
                if !comparison.levels.0.iter().any(|(known, _)| known == level) {
                    problems.add(path.key("levels"), format!("the level `{level}` is missing"));
                }
            }
            for (level, numbers) in &comparison.levels.0 {
                let path = path.key("levels").key(level);
                if !told().any(|(_, known)| known == level) {
                    let names: Vec<&str> = told().map(|(_, name)| *name).collect();
                    let message =
                        format!("there is no level `{level}`; there are {}", names.join(", "));
                    problems.add(path.clone(), message);
                }
                for (index, number) in numbers.iter().enumerate() {
                    problems.probability(path.index(index), *number);
                }
            }
        }
        for (name, alternative) in &self.alternatives.0 {
            let path = root.key("alternatives").key(name).key("shares");
            for (field, share) in &alternative.shares.0 {
                problems.probability(path.key(field), *share);
                if !self.compare.0.iter().any(|(known, _)| known == field) {
                    problems.add(path.key(field), format!("`{field}` is not compared"));
                }
            }
        }
        problems.0
    }

    /// The file's text. Equal models give equal texts.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("text takes everything");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "# A model of `syncline match train`; docs/matching.md tells how to read it."
        )?;
        writeln!(out, "syncline_model: {}", self.syncline_model)?;
        writeln!(out, "shard_type: {}", quoted(&self.shard_type))?;
        writeln!(out, "records: {}", self.records)?;
        writeln!(out, "# pairs of these that are expected to be the same")?;
        writeln!(out, "same_pairs: {}", self.same_pairs)?;
        writeln!(out, "# a match from this probability on; between the two, a person should look")?;
        writeln!(out, "threshold: {}\nreview: {}", self.threshold, self.review)?;
        if !self.alternatives.0.is_empty() {
            writeln!(
                out,
                "# other reasons for being alike; how often a field agrees because of it"
            )?;
            writeln!(out, "alternatives:")?;
        }
        for (name, alternative) in &self.alternatives.0 {
            writeln!(out, "  {}:\n    pairs: {}", quoted(name), alternative.pairs)?;
            write!(out, "    shares:")?;
            flow(out, &alternative.shares.0, 6)?;
        }
        writeln!(
            out,
            "# for each level: how likely it is where two records are the same (m), and where not (u)"
        )?;
        writeln!(out, "compare:")?;
        for (name, comparison) in &self.compare.0 {
            let kind = serde_json::to_string(&comparison.kind).unwrap_or_default();
            writeln!(
                out,
                "  {}:\n    kind: {}\n    levels:",
                quoted(name),
                kind.trim_matches('"')
            )?;
            for (level, [m, u]) in &comparison.levels.0 {
                let weight = (m.max(LEAST) / u.max(LEAST)).log2();
                writeln!(out, "      {}: [{m}, {u}] # weight {weight:.1}", quoted(level))?;
            }
            writeln!(out, "    chance: {}\n    rare: {}", comparison.chance, comparison.rare)?;
            if !comparison.frequent.0.is_empty() {
                write!(out, "    frequent:")?;
                flow(out, &comparison.frequent.0, 6)?;
            }
        }
        Ok(())
    }
}

fn flow(out: &mut String, entries: &[(String, f64)], indent: usize) -> std::fmt::Result {
    const WIDTH: usize = 100;
    if entries.is_empty() {
        return writeln!(out, " {{}}");
    }
    writeln!(out)?;
    let mut line = format!("{:indent$}{{", "");
    for (index, (name, number)) in entries.iter().enumerate() {
        let last = index + 1 == entries.len();
        let entry = format!("{}: {number}{}", quoted(name), if last { "}" } else { "," });
        if line.chars().count() + entry.chars().count() + 1 > WIDTH {
            writeln!(out, "{line}")?;
            line = format!("{:indent$}", "");
        }
        if !line.ends_with([' ', '{']) {
            line.push(' ');
        }
        line.push_str(&entry);
    }
    writeln!(out, "{line}")
}

/// A text as YAML takes it for text: plain where that is sure, else in quotes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_' || c == ' ';
    let reserved = ["", "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    let is_plain = text.chars().all(plain) && text.trim() == text && !reserved.contains(&text);
    if is_plain { text.to_owned() } else { serde_json::to_string(text).unwrap_or_default() }
}

/// Four digits that count.
fn rounded(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return 0.0;
    }
    let places = 3 - number.abs().log10().floor() as i32;
    format!("{number:.*}", usize::try_from(places).unwrap_or(0)).parse().unwrap_or(number)
}

fn pairs(records: u64) -> f64 {
    let records = records.max(2) as f64;
    records * (records - 1.0) / 2.0
}

impl Model {
    /// Puts together what is declared and what was learnt.
    ///
    /// # Errors
    ///
    /// When the file was trained for another declaration, or is broken in itself.
    pub fn compile(
        declaration: Arc<Declaration>,
        file: &ModelFile,
    ) -> Result<Self, ModelFileError> {
        let declared = declaration.comparisons.iter().map(|c| (c.name.as_str(), c.kind));
        let trained = file.compare.0.iter().map(|(name, c)| (name.as_str(), c.kind));
        if !declared.eq(trained) || file.shard_type != declaration.shard_type {
            let text = "it was trained for other comparisons than the configuration declares";
            return Err(ModelFileError(text.to_owned()));
        }
        if let Some(problem) = file.check().into_iter().next() {
            return Err(ModelFileError(problem.message));
        }
        let mut estimates = Estimates::default();
        let mut terms = Terms { records: file.records, fields: Vec::new() };
        for (_, comparison) in &file.compare.0 {
            let (m, u) = tables(comparison);
            estimates.m.push(m);
            estimates.u.push(u);
            let frequent = comparison.frequent.0.iter();
            terms.fields.push(FieldTerms::new(
                comparison.kind,
                frequent.map(|(text, share)| (text.clone(), share.max(LEAST))).collect(),
                comparison.rare.max(LEAST),
                comparison.chance.max(LEAST * LEAST),
            ));
        }
        let pairs = pairs(file.records);
        let prior = |count: f64| (count / pairs).clamp(1e-15, 0.5);
        estimates.priors.push(prior(file.same_pairs));
        for (_, alternative) in file.alternatives.0.iter().take(super::CLASSES_MAX - 1) {
            estimates.priors.push(prior(alternative.pairs));
            let mut shares = vec![0.0; declaration.comparisons.len()];
            for (field, share) in &alternative.shares.0 {
                if let Some(at) =
                    declaration.comparisons.iter().position(|c| c.name == field.as_str())
                {
                    shares[at] = share.min(0.9999);
                }
            }
            estimates.shares.push(shares);
        }
        let weights = estimates.weights(&declaration, &terms);
        let (threshold, review) = (file.threshold, file.review.min(file.threshold));
        let trained = file.records;
        Ok(Self { declaration, terms: Arc::new(terms), weights, threshold, review, trained })
    }
}

/// m and u by level; the file was checked before.
fn tables(comparison: &ComparisonFile) -> (Table, Table) {
    let (mut m, mut u) = ([1.0; LEVELS_MAX], [1.0; LEVELS_MAX]);
    for (level, name) in (1_usize..).zip(levels::names(comparison.kind)) {
        if let Some((_, numbers)) = comparison.levels.0.iter().find(|(known, _)| known == name) {
            (m[level], u[level]) = (numbers[0].max(LEAST), numbers[1].max(LEAST * LEAST));
        }
    }
    (m, u)
}
