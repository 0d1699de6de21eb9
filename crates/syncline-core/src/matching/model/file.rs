//! The file of a trained model: YAML that a person can read, review and keep with the configuration.

use super::declare::Declaration;
use super::estimate::{Alternative, Estimates};
use super::levels::{self, LEVELS_MAX};
use super::terms::{FieldTerms, Terms};
use super::{Model, Table};
use crate::config::model::Kind;
use crate::config::model::indexed::IndexedMap;
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

/// Why a model file cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ModelFileError {
    /// It is no model file.
    #[error("{0}")]
    Syntax(String),
    /// It was made by another version.
    #[error("it has the form {0}, and this program knows form {VERSION}")]
    Version(u32),
    /// Something in it does not fit the configuration.
    #[error("{0}")]
    Mismatch(String),
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

    /// Reads a model file.
    ///
    /// # Errors
    ///
    /// When it is no YAML, or no model file of this version.
    pub fn parse(text: &str) -> Result<Self, ModelFileError> {
        let file: Self = serde_saphyr::from_str(text)
            .map_err(|error| ModelFileError::Syntax(error.to_string()))?;
        if file.syncline_model == VERSION {
            Ok(file)
        } else {
            Err(ModelFileError::Version(file.syncline_model))
        }
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
    /// [`ModelFileError::Mismatch`] when the file was trained for another declaration, or holds numbers that
    /// are no probabilities.
    pub fn compile(
        declaration: Arc<Declaration>,
        file: &ModelFile,
    ) -> Result<Self, ModelFileError> {
        let wrong = |text: String| ModelFileError::Mismatch(text);
        let declared = declaration.comparisons.iter().map(|c| (c.name.as_str(), c.kind));
        let trained = file.compare.0.iter().map(|(name, c)| (name.as_str(), c.kind));
        if !declared.eq(trained) || file.shard_type != declaration.shard_type {
            let text = "it was trained for other comparisons than the configuration declares";
            return Err(wrong(text.to_owned()));
        }
        let unit = |name: &str, number: f64| {
            let is_right = (0.0..=1.0).contains(&number);
            let text = format!("`{name}` must be from 0 to 1, and is {number}");
            if is_right { Ok(()) } else { Err(wrong(text)) }
        };
        unit("threshold", file.threshold)?;
        unit("review", file.review)?;
        let mut estimates = Estimates::default();
        let mut terms = Terms { records: file.records, fields: Vec::new() };
        for (name, comparison) in &file.compare.0 {
            let (m, u) = tables(name, comparison)?;
            estimates.m.push(m);
            estimates.u.push(u);
            for (key, number) in [("chance", comparison.chance), ("rare", comparison.rare)] {
                unit(&format!("compare.{name}.{key}"), number)?;
            }
            for (value, share) in &comparison.frequent.0 {
                unit(&format!("compare.{name}.frequent.{value}"), *share)?;
            }
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
        for (name, alternative) in file.alternatives.0.iter().take(super::CLASSES_MAX - 1) {
            estimates.priors.push(prior(alternative.pairs));
            let mut shares = vec![0.0; declaration.comparisons.len()];
            for (field, share) in &alternative.shares.0 {
                unit(&format!("alternatives.{name}.shares.{field}"), *share)?;
                let at = declaration.comparisons.iter().position(|c| c.name == field.as_str());
                let unknown = || wrong(format!("alternative `{name}` names a field `{field}`"));
                shares[at.ok_or_else(unknown)?] = share.min(0.9999);
            }
            estimates.shares.push(shares);
        }
        let weights = estimates.weights(&declaration, &terms);
        let (threshold, review) = (file.threshold, file.review.min(file.threshold));
        let trained = file.records;
        Ok(Self { declaration, terms: Arc::new(terms), weights, threshold, review, trained })
    }
}

fn tables(name: &str, comparison: &ComparisonFile) -> Result<(Table, Table), ModelFileError> {
    let (mut m, mut u) = ([1.0; LEVELS_MAX], [1.0; LEVELS_MAX]);
    for (level, level_name) in (1..).zip(levels::names(comparison.kind)) {
        if levels::is_neutral(comparison.kind, level) {
            continue;
        }
        let found = comparison.levels.0.iter().find(|(known, _)| known == level_name);
        let Some((_, numbers)) = found else {
            let text = format!("`compare.{name}.levels` has no level `{level_name}`");
            return Err(ModelFileError::Mismatch(text));
        };
        if numbers.iter().any(|number| !(0.0..=1.0).contains(number)) {
            let text =
                format!("`compare.{name}.levels.{level_name}` must be two numbers from 0 to 1");
            return Err(ModelFileError::Mismatch(text));
        }
        (m[usize::from(level)], u[usize::from(level)]) =
            (numbers[0].max(LEAST), numbers[1].max(LEAST * LEAST));
    }
    Ok((m, u))
}
