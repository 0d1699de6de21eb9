//! The configuration as a tree in which everything knows its place.

use super::diagnostic::{Findings, SourceFile, Sources, Span};
use super::parse;
use super::references::Filled;
use crate::problem::{ConfigPath, PathPart};
use rustc_hash::FxHashMap;
use std::fmt;
use std::ops::Range;

/// A part of the tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

/// What a part of the tree is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// A whole number from `i64::MIN` to `u64::MAX`.
    Int(i128),
    /// A finite number.
    Float(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something that was reported already; it fits everywhere, so that nothing is said twice.
    Unknown,
}

/// Text, and how it came about.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) style: Style,
    /// The references that were replaced in it.
    pub(super) filled: Option<Box<Filled>>,
}

impl fmt::Debug for Text {
    /// Shows the text as written, which holds no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.filled.as_ref().map_or(&self.text, |filled| &filled.raw);
        fmt::Debug::fmt(written, f)
    }
}

/// How text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// `|` and `>`.
    Block,
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) node: Node,
}

impl Node {
    /// The value of `key`, where this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries, where this is a map; else none.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items, where this is a list; else none.
    pub(super) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// Whether some of the text came from a secret.
    pub(super) fn is_secret(&self) -> bool {
        matches!(&self.kind, Kind::Text(Text { filled: Some(filled), .. }) if filled.secret)
    }

    /// The text for a message: in backticks; `«secret»` where some of it is one.
    pub(super) fn quoted(&self) -> String {
        match self.text() {
            _ if self.is_secret() => "`«secret»`".to_owned(),
            Some(text) if text.chars().count() > 60 => {
                format!("`{}…`", text.chars().take(60).collect::<String>())
            }
            Some(text) => format!("`{text}`"),
            None => self.noun().to_owned(),
        }
    }

    /// What it is, with an article, for messages.
    pub(super) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Unknown => "something unknown",
        }
    }
}

/// All files of a configuration as one tree.
#[derive(Clone)]
pub(super) struct Document {
    pub(super) sources: Sources,
    pub(super) root: Node,
}

impl Document {
    /// Parses `files` and puts their sections together. What is wrong goes to `findings`; the flag says
    /// whether all files could be read to their end.
    pub(super) fn parse(files: Vec<SourceFile>, findings: &mut Findings) -> (Self, bool) {
        let sources = Sources::new(files);
        let mut complete = true;
        let mut merged = Merged::default();
        for file in 0..sources.len() {
            let Some(node) = parse::parse(file, sources.text(file), findings) else {
                complete = false;
                continue;
            };
            match node.kind {
                Kind::Map(entries) => merged.add(entries, &sources, findings),
                Kind::Null | Kind::Unknown => {}
                _ => findings.add(
                    sources.first_line(node.span),
                    format!("expected sections such as `connections:`, found {}", node.noun()),
                    None,
                ),
            }
        }
        let root = Node { span: Span::default(), kind: Kind::Map(merged.entries) };
        (Self { sources, root }, complete)
    }

    /// The place of what stands at `path`, or of the nearest part around it that is there. `part` narrows
    /// it to some characters of a text.
    pub(super) fn locate(&self, path: &ConfigPath, part: Option<&Range<usize>>) -> (Span, &Node) {
        let mut node = &self.root;
        let mut place = Span::default();
        for step in &path.0 {
            let next = match step {
                PathPart::Key(key) => node
                    .entry(key)
                    .map(|entry| (&entry.node, place_of_value(&entry.node, Some(entry.key_span)))),
                PathPart::Index(index) => {
                    node.items().get(*index).map(|item| (item, place_of_value(item, None)))
                }
            };
            let Some(next) = next else { break };
            (node, place) = next;
        }
        let narrowed = part.and_then(|part| self.narrow(node, part));
        (narrowed.unwrap_or(place), node)
    }

    /// The place of characters `part` of a text.
    fn narrow(&self, node: &Node, part: &Range<usize>) -> Option<Span> {
        let Kind::Text(text) = &node.kind else { return None };
        let (raw, part) = match &text.filled {
            Some(filled) => (filled.raw.as_str(), filled.raw_part(part)),
            None => (text.text.as_str(), part.clone()),
        };
        super::align::align(self.sources.slice(node.span), raw, text.style, &part).map(|bytes| {
            Span {
                start: node.span.start + bytes.start,
                end: node.span.start + bytes.end,
                ..node.span
            }
        })
    }
}

/// What is underlined for a value: scalars themselves, collections by their key.
pub(super) fn place_of_value(node: &Node, key_span: Option<Span>) -> Span {
    let is_scalar = !matches!(node.kind, Kind::Map(_) | Kind::List(_));
    match key_span {
        Some(key_span) if !is_scalar || node.span.start == node.span.end => key_span,
        _ => node.span,
    }
}

/// The entries of several maps in one.
#[derive(Default)]
struct Merged {
    entries: Vec<Entry>,
    positions: FxHashMap<String, usize>,
}

impl Merged {
    fn of(entries: Vec<Entry>) -> Self {
        let numbered = entries.iter().enumerate();
        let positions = numbered.map(|(at, entry)| (entry.key.clone(), at)).collect();
        Self { entries, positions }
    }

    /// Adds `entry` if its key is new; else hands it back with the one that is there.
    fn add_new(&mut self, entry: Entry) -> Option<(&mut Entry, Entry)> {
        if let Some(at) = self.positions.get(&entry.key) {
            return Some((&mut self.entries[*at], entry));
        }
        self.positions.insert(entry.key.clone(), self.entries.len());
        self.entries.push(entry);
        None
    }

    /// Adds sections; where one is there already, its names are put together.
    fn add(&mut self, sections: Vec<Entry>, sources: &Sources, findings: &mut Findings) {
        for section in sections {
            let Some((known, section)) = self.add_new(section) else { continue };
            match (&mut known.node.kind, section.node.kind) {
                (Kind::Map(entries), Kind::Map(more)) => {
                    let mut names = Self::of(std::mem::take(entries));
                    for name in more {
                        if let Some((known, name)) = names.add_new(name) {
                            declared_twice(known, &name, sources, findings);
                        }
                    }
                    *entries = names.entries;
                }
                (kind @ Kind::Null, other) => {
                    *kind = other;
                    known.node.span = section.node.span;
                    known.key_span = section.key_span;
                }
                (_, Kind::Null) => {}
                (_, kind) => {
                    let node = Node { kind, ..section.node };
                    declared_twice(known, &Entry { node, ..section }, sources, findings);
                }
            }
        }
    }
}

fn declared_twice(first: &Entry, second: &Entry, sources: &Sources, findings: &mut Findings) {
    let help = format!("it is declared at {} already", sources.place(first.key_span));
    let message = format!("`{}` is declared twice", second.key);
    findings.add(second.key_span, message, Some(help));
}
