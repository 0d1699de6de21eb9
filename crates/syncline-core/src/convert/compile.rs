//! What compiling a conversion schema carries along: source names seen, problems found.

use super::Names;
use super::dates;
use super::row::{FieldPath, Roots};
use crate::problem::{ConfigPath, Problem, nearest};
use regex::Regex;

/// The state of one compilation.
pub(super) struct Scope<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) roots: Roots,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(names: &'a Names<'a>) -> Self {
        Self { names, roots: Roots::default(), problems: Vec::new() }
    }

    /// Notes a problem; more may be said about it through the result.
    pub(super) fn problem(&mut self, at: &ConfigPath, message: impl Into<String>) -> &mut Problem {
        self.problems.push(Problem::new(at.clone(), message));
        self.problems.last_mut().expect("one was pushed just now")
    }

    /// Notes that `name` is none of `known`, with the nearest of them.
    pub(super) fn unknown<'n>(
        &mut self,
        at: &ConfigPath,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'n str> + Clone,
    ) -> &mut Problem {
        let near = nearest(name, known.clone());
        let problem = self.problem(at, format!("there is no {what} `{name}`"));
        problem.help = Some(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let mut known: Vec<&str> = known.into_iter().collect();
                known.sort_unstable();
                format!("known: {}", known.join(", "))
            }
        });
        problem
    }

    /// The path to the source field `text`.
    pub(super) fn field(&mut self, text: &str, at: &ConfigPath) -> Option<FieldPath> {
        if text.trim().is_empty() {
            self.problem(at, "a source field needs a name");
            return None;
        }
        Some(FieldPath::new(text, &mut self.roots))
    }

    /// The paths to the source fields of a list.
    pub(super) fn fields(&mut self, texts: &[String], at: &ConfigPath) -> Option<Vec<FieldPath>> {
        let mut paths = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let at = if texts.len() == 1 { at.clone() } else { at.index(index) };
            paths.extend(self.field(text, &at));
        }
        (paths.len() == texts.len()).then_some(paths)
    }

    /// Compiles a regular expression.
    pub(super) fn regex(&mut self, pattern: &str, at: &ConfigPath) -> Option<Regex> {
        match Regex::new(pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim();
                let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                self.problem(at, format!("not a regular expression: {reason}"));
                None
            }
        }
    }

    /// Checks a strftime format.
    pub(super) fn date_format(&mut self, format: &str, reading: bool, at: &ConfigPath) -> bool {
        let Err(reason) = dates::check_format(format, reading) else { return true };
        let problem = self.problem(at, format!("not a date format: {reason}"));
        problem.help = Some("strftime formats look like `%d/%m/%Y` or `%Y-%m-%d %H:%M`".to_owned());
        false
    }
}
