//! What is wrong with a configuration, and where.

use std::fmt;

/// The way from the root of a configuration to one of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigPath(pub Vec<PathPart>);

/// One step of a [`ConfigPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathPart {
    /// Into the value of a key.
    Key(String),
    /// Into an item of a list, from 0.
    Index(usize),
}

impl ConfigPath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// One step further, to the value of `key`.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        let mut parts = self.0.clone();
        parts.push(PathPart::Key(key.into()));
        Self(parts)
    }

    /// One step further, to item `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut parts = self.0.clone();
        parts.push(PathPart::Index(index));
        Self(parts)
    }
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, part) in self.0.iter().enumerate() {
            match part {
                PathPart::Key(key) if position == 0 => write!(f, "{key}")?,
                PathPart::Key(key) => write!(f, ".{key}")?,
                PathPart::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub path: ConfigPath,
    /// The part of the scalar's text that is wrong, as a range of its characters; `None` for all of it.
    pub part: Option<std::ops::Range<usize>>,
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether it is about a name that should stand in another section. Where that section was not read
    /// whole, it may be no problem at all.
    pub refers: bool,
}

impl Problem {
    /// A problem with all of what stands at `path`.
    pub fn new(path: ConfigPath, message: impl Into<String>) -> Self {
        Self { path, part: None, message: message.into(), help: None, refers: false }
    }

    /// The same problem, with what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The candidate that `name` was most likely meant to be: nearest by Damerau-Levenshtein distance, if it
/// is within a third of the name's length (at least 2 edits).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}
