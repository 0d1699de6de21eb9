//! `${env:NAME}`, `${file:path}` and `${var:NAME}`, and the secrets that come through them.

use super::align::align;
use super::diagnostic::{Findings, Sources, Span};
use super::document::{Kind, Node, Text};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A value that stands outside of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// An environment variable; what it holds is a secret.
    Env(&'a str),
    /// A file, by its path as written; what it holds is a secret. Line breaks at its end are dropped.
    File(&'a str),
    /// A variable of the command line.
    Var(&'a str),
}

impl Reference<'_> {
    fn unresolved(self, reason: &str) -> (String, String) {
        let (what, help) = match self {
            Self::Env(name) => (
                format!("the environment variable `{name}` cannot be read"),
                format!("set the variable: `export {name}=…`"),
            ),
            Self::File(path) => (
                format!("the file `{path}` cannot be read"),
                "check the path; it is relative to the configuration".to_owned(),
            ),
            Self::Var(name) => (
                format!("the variable `{name}` has no value"),
                format!("give it on the command line: `--var {name}=…`"),
            ),
        };
        (if reason.is_empty() { what } else { format!("{what}: {reason}") }, help)
    }
}

/// What was replaced in a text.
#[derive(Clone)]
pub(super) struct Filled {
    /// The text as written, with its references.
    pub(super) raw: String,
    /// Whether some of the text is a secret.
    pub(super) secret: bool,
    pieces: Vec<Piece>,
}

impl fmt::Debug for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filled").field("raw", &self.raw).finish_non_exhaustive()
    }
}

/// Characters of the text, and those that they stand for.
#[derive(Clone)]
struct Piece {
    filled: Range<usize>,
    raw: Range<usize>,
}

impl Filled {
    /// The characters as written that became characters `part` of the text.
    pub(super) fn raw_part(&self, part: &Range<usize>) -> Range<usize> {
        let end = part.end.checked_sub(1).map_or(0, |last| self.raw_character(last).end);
        let start = self.raw_character(part.start).start;
        start..end.max(start)
    }

    fn raw_character(&self, index: usize) -> Range<usize> {
        match self.pieces.iter().rev().find(|piece| piece.filled.start <= index) {
            None => index..index + 1,
            Some(piece) if index < piece.filled.end => piece.raw.clone(),
            Some(piece) => {
                let at = piece.raw.end + index - piece.filled.end;
                at..at + 1
            }
        }
    }
}

/// The values that must never be shown.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The longest first, so that a secret inside of another one does not spoil it.
    values: Vec<String>,
}

impl Secrets {
    /// Shorter values are no secrets: replacing them would garble everything.
    const CHARS_MIN: usize = 4;

    /// Adds a value that must never be shown. Adding it twice, or one of less than 4 characters, does
    /// nothing.
    pub fn add(&mut self, secret: &str) {
        if secret.chars().count() < Self::CHARS_MIN || self.values.iter().any(|v| v == secret) {
            return;
        }
        let at = self.values.partition_point(|value| value.len() >= secret.len());
        self.values.insert(at, secret.to_owned());
    }

    /// `text` with each secret replaced by `«secret»`.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut scrubbed = Cow::Borrowed(text);
        for value in &self.values {
            if scrubbed.contains(value.as_str()) {
                scrubbed = Cow::Owned(scrubbed.replace(value.as_str(), "«secret»"));
            }
        }
        scrubbed
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Finds the value of a reference, or says why there is none (no secrets; may be empty).
pub type Resolve<'a> = &'a dyn Fn(Reference<'_>) -> Result<String, String>;

/// Replaces the references in all texts below `node`.
pub(super) fn fill(
    node: &mut Node,
    sources: &Sources,
    resolve: Resolve<'_>,
    secrets: &mut Secrets,
    findings: &mut Findings,
) {
    match &mut node.kind {
        Kind::List(items) => {
            for item in items {
                fill(item, sources, resolve, secrets, findings);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                fill(&mut entry.node, sources, resolve, secrets, findings);
            }
        }
        Kind::Text(text) if text.text.contains("${") => {
            let mut filling = Filling::new(resolve, secrets);
            filling.run(&text.text);
            for (part, message, help) in &filling.unresolved {
                let span = place(node.span, text, part, sources);
                findings.add(span, message.clone(), Some(help.clone()));
            }
            if !filling.unresolved.is_empty() {
                node.kind = Kind::Unknown;
            } else if !filling.pieces.is_empty() {
                let raw = std::mem::replace(&mut text.text, filling.text);
                let (secret, pieces) = (filling.secret, filling.pieces);
                text.filled = Some(Box::new(Filled { raw, secret, pieces }));
            }
        }
        _ => {}
    }
}

fn place(span: Span, text: &Text, part: &Range<usize>, sources: &Sources) -> Span {
    match align(sources.slice(span), &text.text, text.style, part) {
        Some(bytes) => {
            Span { start: span.start + bytes.start, end: span.start + bytes.end, ..span }
        }
        None => span,
    }
}

/// A text while its references are replaced.
struct Filling<'a> {
    resolve: Resolve<'a>,
    secrets: &'a mut Secrets,
    text: String,
    /// How many characters `text` has.
    length: usize,
    secret: bool,
    pieces: Vec<Piece>,
    unresolved: Vec<(Range<usize>, String, String)>,
}

impl<'a> Filling<'a> {
    fn new(resolve: Resolve<'a>, secrets: &'a mut Secrets) -> Self {
        let (text, pieces, unresolved) = (String::new(), Vec::new(), Vec::new());
        Self { resolve, secrets, text, length: 0, secret: false, pieces, unresolved }
    }

    fn run(&mut self, raw: &str) {
        let (mut rest, mut at) = (raw, 0);
        while let Some(found) = rest.find("${") {
            let escaped = rest[..found].ends_with('$');
            let before = &rest[..found - usize::from(escaped)];
            self.push(before);
            at += before.chars().count();
            rest = &rest[found + 2..];
            if parse(rest).is_none() {
                self.push(if escaped { "$${" } else { "${" });
                at += 2 + usize::from(escaped);
            } else if escaped {
                self.replace("${", at..at + 3);
                at += 3;
            } else {
                let read = self.reference(rest, at);
                at += 2 + rest[..read].chars().count();
                rest = &rest[read..];
            }
        }
        self.push(rest);
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.length += text.chars().count();
    }

    fn replace(&mut self, text: &str, raw: Range<usize>) {
        let start = self.length;
        self.push(text);
        self.pieces.push(Piece { filled: start..self.length, raw });
    }

    /// Replaces the reference whose inside `rest` starts with; returns how many bytes of `rest` it took.
    fn reference(&mut self, rest: &str, at: usize) -> usize {
        let Some(end) = rest.find('}') else {
            let part = at..at + 2 + rest.chars().count();
            let help = "write `${env:NAME}`, or `$${` where no reference is meant".to_owned();
            self.unresolved.push((part, "the reference has no closing `}`".to_owned(), help));
            return rest.len();
        };
        let inside = &rest[..end];
        let part = at..at + 3 + inside.chars().count();
        let Some(reference) = parse(inside) else { return end + 1 };
        match (self.resolve)(reference) {
            Ok(value) => {
                let value = match reference {
                    Reference::File(_) => value.trim_end_matches(['\r', '\n']),
                    _ => value.as_str(),
                };
                if !matches!(reference, Reference::Var(_)) {
                    self.secret = true;
                    self.secrets.add(value);
                }
                self.replace(value, part);
            }
            Err(reason) => {
                let (message, help) = reference.unresolved(&reason);
                self.unresolved.push((part, message, help));
            }
        }
        end + 1
    }
}

/// The reference that `text` is the inside of, or starts with.
fn parse(text: &str) -> Option<Reference<'_>> {
    let (kind, name) = text.split_once(':')?;
    match kind {
        "env" => Some(Reference::Env(name.trim())),
        "file" => Some(Reference::File(name.trim())),
        "var" => Some(Reference::Var(name.trim())),
        _ => None,
    }
}
