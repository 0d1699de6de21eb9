//! The configuration: its plain data, its text form with positions, and its diagnostics.
//!
//! Text becomes a tree in which everything knows its place (`parse`, `document`); references are replaced
//! (`references`); names are looked up (`check`); the tree is compared with the JSON Schema of the plain
//! data (`schema`, `shape`); then it becomes the plain data (`deserialize`, [`model`]). Each step reports
//! all it finds, so a person sees everything that is wrong at once.

mod align;
mod check;
mod deserialize;
mod diagnostic;
mod document;
pub mod model;
mod parse;
mod references;
mod schema;
mod shape;
#[cfg(test)]
mod tests;
pub mod transform;

pub use diagnostic::{Diagnostic, Diagnostics, SourceFile, Span};
pub use references::{Reference, Resolve, Secrets};
pub use schema::{json_schema, write_json_schema};

use crate::problem::{ConfigPath, PathPart, Problem};
use diagnostic::Findings;
use document::{Document, Node};
use model::Config;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt;

/// A configuration that was read from text.
pub struct Loaded {
    /// The plain data, references replaced. It holds secrets: never print it.
    pub config: Config,
    /// The secrets that came in through references.
    pub secrets: Secrets,
    document: Document,
    dropped: Vec<ConfigPath>,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").finish_non_exhaustive()
    }
}

/// A configuration that was read as far as possible, and all that is wrong with it.
#[derive(Debug)]
pub struct Inspection {
    /// What could be read. Parts that are wrong are left out ([`Loaded::is_whole`]); empty where a file is
    /// no YAML.
    pub loaded: Loaded,
    /// What is wrong.
    pub diagnostics: Diagnostics,
}

/// Reads a configuration from one or several files, whose sections are put together.
///
/// `resolve` finds what `${env:…}`, `${file:…}` and `${var:…}` stand for; `known_adapters` are the adapters
/// that a connection can name. No files at all make an empty configuration.
///
/// # Errors
///
/// Everything that is wrong, each with its place. Expressions and patterns are not looked at here: whoever
/// compiles them hands its problems to [`Loaded::diagnose`]. To have both reported at once, use [`inspect`].
pub fn load(
    files: Vec<SourceFile>,
    resolve: Resolve<'_>,
    known_adapters: &[&str],
) -> Result<Loaded, Diagnostics> {
    let Inspection { loaded, diagnostics } = inspect(files, resolve, known_adapters);
    if diagnostics.is_empty() { Ok(loaded) } else { Err(diagnostics) }
}

/// As [`load`], but goes on with what is left where something is wrong, so that more can be found.
pub fn inspect(
    files: Vec<SourceFile>,
    resolve: Resolve<'_>,
    known_adapters: &[&str],
) -> Inspection {
    let mut findings = Findings::default();
    let mut secrets = Secrets::default();
    let (mut document, is_complete) = Document::parse(files, &mut findings);
    let (mut config, mut dropped) = (Config::default(), vec![ConfigPath::root()]);
    // Half a file would only give errors about names that stand in its other half.
    if is_complete {
        let Document { sources, root } = &mut document;
        references::fill(root, sources, resolve, &mut secrets, &mut findings);
        check::check(root, known_adapters, sources, &mut findings);
        let mut shaped = root.clone();
        dropped = shape::check(&schema::SCHEMA, &mut shaped, sources, &mut findings);
        match Config::deserialize(deserialize::At::new(&shaped)) {
            Ok(read) => config = read,
            Err(error) => {
                let place = sources.first_line(error.span.unwrap_or_default());
                findings.add(place, secrets.scrub(&error.message), None);
                dropped = vec![ConfigPath::root()];
            }
        }
    }
    let diagnostics = document.sources.diagnose(findings);
    Inspection { loaded: Loaded { config, secrets, document, dropped }, diagnostics }
}

/// Reads a file of plain data that is no part of the configuration, but belongs to it: a trained model. `check` tells
/// what else is wrong, by the place in the data.
///
/// # Errors
///
/// What is wrong, each with its line and column.
pub fn read_beside<T: DeserializeOwned>(
    file: SourceFile,
    check: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<T, Diagnostics> {
    let mut findings = Findings::default();
    let (document, is_complete) = Document::parse(vec![file], &mut findings);
    let mut read = None;
    if is_complete && findings.0.is_empty() {
        match T::deserialize(deserialize::At::new(&document.root)) {
            Ok(data) => {
                for problem in check(&data) {
                    let (span, _) = document.locate(&problem.path, problem.part.as_ref());
                    findings.add(span, problem.message, problem.help);
                }
                read = Some(data);
            }
            Err(error) => {
                let place = document.sources.first_line(error.span.unwrap_or_default());
                findings.add(place, error.message, None);
            }
        }
    }
    match read {
        Some(data) if findings.0.is_empty() => Ok(data),
        _ => Err(document.sources.diagnose(findings)),
    }
}

impl Loaded {
    /// Gives each problem its place in the files, and takes secrets out of its text.
    ///
    /// A problem with a part that is not there is shown at the nearest part around it.
    pub fn diagnose(&self, problems: Vec<Problem>) -> Diagnostics {
        let mut findings = Findings::default();
        for problem in problems {
            let path = self.as_written(&problem.path);
            let (span, node) = self.document.locate(&path, problem.part.as_ref());
            let message = self.clean(&problem.message, node).into_owned();
            let help = problem.help.as_deref().map(|help| self.clean(help, node).into_owned());
            findings.add(span, message, help);
        }
        self.document.sources.diagnose(findings)
    }

    /// A path in [`Loaded::config`] as one in the files, whose lists may have items that were left out.
    fn as_written(&self, path: &ConfigPath) -> ConfigPath {
        let mut written = ConfigPath::root();
        for part in &path.0 {
            let part = match part {
                PathPart::Key(_) => part.clone(),
                PathPart::Index(index) => PathPart::Index(self.index_as_written(&written, *index)),
            };
            written.0.push(part);
        }
        written
    }

    fn index_as_written(&self, list: &ConfigPath, index: usize) -> usize {
        let left_out = self.dropped.iter().filter_map(|path| match path.0.split_last() {
            Some((PathPart::Index(index), before)) if before == list.0 => Some(*index),
            _ => None,
        });
        let mut left_out: Vec<usize> = left_out.collect();
        left_out.sort_unstable();
        left_out.iter().fold(index, |index, left_out| index + usize::from(*left_out <= index))
    }

    /// `text` without secrets; the one at `node` is taken out however short it is.
    fn clean<'a>(&self, text: &'a str, node: &Node) -> Cow<'a, str> {
        let scrubbed = self.secrets.scrub(text);
        match node.text() {
            Some(secret) if node.is_secret() && !secret.is_empty() && scrubbed.contains(secret) => {
                Cow::Owned(scrubbed.replace(secret, "«secret»"))
            }
            _ => scrubbed,
        }
    }

    /// Whether nothing at `path`, around it or below it was left out because it was wrong; always so after
    /// [`load`].
    pub fn is_whole(&self, path: &ConfigPath) -> bool {
        let path = self.as_written(path);
        let touches = |dropped: &&ConfigPath| {
            let common = dropped.0.len().min(path.0.len());
            dropped.0[..common] == path.0[..common]
        };
        !self.dropped.iter().any(|dropped| touches(&dropped))
    }
}
