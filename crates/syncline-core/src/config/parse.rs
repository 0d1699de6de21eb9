//! YAML text into the tree. Numbers, booleans and null are those of the YAML 1.2 core schema, so `no`, `on`
//! and `01234` stay text.

use super::diagnostic::{Findings, Span};
use super::document::{Entry, Kind, Node, Style, Text};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_saphyr::granit_parser::{self, ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag};

/// Deeper nesting is refused: no configuration needs it, and the code that walks the tree recurses.
const DEPTH_MAX: usize = 64;

/// At most this many parts of the tree may come from aliases.
const ALIASED_MAX: usize = 50_000;

/// Parses the text of file number `file`; `None` where it is no YAML to its end.
pub(super) fn parse(file: usize, text: &str, findings: &mut Findings) -> Option<Node> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder::new(file, text, findings);
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => {
                let span = builder.span(span);
                builder.event(event, span)
            }
            Err(error) => {
                let start = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
                let start = text.floor_char_boundary(start);
                let length = text[start..].chars().next().filter(|c| !c.is_whitespace());
                let end = start + length.map_or(0, char::len_utf8);
                let (message, help) = describe(&error);
                let help = help.or_else(|| braces_help(&text[..end]));
                Err((Span { file, start, end }, message, help))
            }
        };
        if let Err((span, message, help)) = step {
            builder.findings.add(span, message, help);
            return None;
        }
    }
    Some(builder.root.unwrap_or(Node { span: Span { file, start: 0, end: 0 }, kind: Kind::Null }))
}

/// What to do where the line that could not be read has braces in it that YAML takes for a map.
fn braces_help(before: &str) -> Option<String> {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let has_braces = line.contains("${") || line.contains("{{");
    has_braces.then(|| "text with `${…}` or `{{ … }}` needs quotes".to_owned())
}

/// What is wrong with the YAML, and what to do, for the mistakes that are made most.
fn describe(error: &ScanError) -> (String, Option<String>) {
    let help = match error.kind() {
        ErrorKind::UnexpectedCharacter { character } => {
            let message = format!("text cannot start with `{character}`");
            return (message, Some("put the text in quotes".to_owned()));
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar => "indent with blanks",
        ErrorKind::UnknownAnchor => {
            "mark the value with `&name` before it is repeated with `*name`"
        }
        ErrorKind::InvalidColonPlacement
        | ErrorKind::MappingValueNotAllowed
        | ErrorKind::MappingKeyNotAllowed => "text that holds `: ` needs quotes",
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            "close the quotes"
        }
        _ => return (error.info(), None),
    };
    (error.info(), Some(help.to_owned()))
}

/// What ends the reading of a file: the place, what is wrong, what to do.
type Fatal = (Span, String, Option<String>);

struct Builder<'a> {
    file: usize,
    source: &'a str,
    findings: &'a mut Findings,
    stack: Vec<Open>,
    anchors: FxHashMap<usize, Anchored>,
    aliased: usize,
    root: Option<Node>,
}

struct Anchored {
    node: Node,
    parts: usize,
    height: usize,
}

/// A collection that is being read.
struct Open {
    span: Span,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map(Box<OpenMap>),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    known: FxHashSet<String>,
    key: Key,
    merged: Vec<Node>,
    /// Whether there is a key that is no text, so that nobody knows what was meant.
    broken: bool,
}

/// What the next part of a map is.
#[derive(Default)]
enum Key {
    /// A key.
    #[default]
    Expected,
    /// The value of this key.
    Read(String, Span),
    /// The maps to merge.
    Merge,
    /// A value whose key was refused.
    Refused,
}

impl<'a> Builder<'a> {
    fn new(file: usize, source: &'a str, findings: &'a mut Findings) -> Self {
        let (stack, anchors) = (Vec::new(), FxHashMap::default());
        Self { file, source, findings, stack, anchors, aliased: 0, root: None }
    }

    fn span(&self, span: granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or_default();
        let start = self.source.floor_char_boundary(range.start.min(self.source.len()));
        let end = self.source.floor_char_boundary(range.end.min(self.source.len()));
        // Plain text over several lines ends before the blanks that follow it.
        let text = self.source[start..end.max(start)].trim_end_matches([' ', '\t', '\r', '\n']);
        Span { file: self.file, start, end: start + text.len() }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if self.expects_key() {
                    self.scalar_key(&text, style, span);
                    return Ok(());
                }
                let node = self.scalar(text.into_owned(), style, tag.as_deref(), span);
                self.anchor(anchor, &node);
                self.add(node);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), &["seq"], span);
                self.open(span, anchor, Items::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), &["map"], span);
                self.open(span, anchor, Items::Map(Box::default()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span)?,
            Event::DocumentStart(..) if self.root.is_some() => {
                let help = "put the rest into a file of its own".to_owned();
                return Err((span, "a file holds one document only".to_owned(), Some(help)));
            }
            _ => {}
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        match self.stack.last().map(|open| &open.items) {
            Some(Items::Map(map)) => matches!(map.key, Key::Expected),
            _ => false,
        }
    }

    fn scalar_key(&mut self, text: &str, style: ScalarStyle, span: Span) {
        let Some(Open { items: Items::Map(map), .. }) = self.stack.last_mut() else { return };
        let is_new = map.known.insert(text.to_owned());
        map.key = match is_new {
            _ if text == "<<" && style == ScalarStyle::Plain => Key::Merge,
            true => Key::Read(text.to_owned(), span),
            false => {
                let message = format!("the key `{text}` is there twice");
                self.findings.add(span, message, Some("remove one of the two".to_owned()));
                Key::Refused
            }
        };
    }

    fn open(&mut self, span: Span, anchor: usize, items: Items) -> Result<(), Fatal> {
        if self.stack.len() >= DEPTH_MAX {
            return Err((span, format!("nested more than {DEPTH_MAX} deep"), None));
        }
        self.stack.push(Open { span, anchor, items });
        Ok(())
    }

    fn close(&mut self, end: Span) {
        let Some(Open { span, anchor, items }) = self.stack.pop() else { return };
        let (kind, last) = match items {
            Items::List(items) => {
                let last = items.last().map(|item| item.span);
                (Kind::List(items), last)
            }
            Items::Map(map) => {
                let mut entries = map.entries;
                let last = entries.last().map(|entry| match entry.node.span {
                    node if node.start < entry.key_span.start => entry.key_span,
                    node => node,
                });
                merge_maps(&mut entries, map.merged);
                (if map.broken { Kind::Unknown } else { Kind::Map(entries) }, last)
            }
        };
        // A collection without brackets ends with its last part; the event stands at what comes next.
        let end =
            if end.end > end.start { end.end } else { last.map_or(span.end, |last| last.end) };
        let node = Node { span: Span { end: end.max(span.start), ..span }, kind };
        self.anchor(anchor, &node);
        self.add(node);
    }

    fn add(&mut self, node: Node) {
        match self.stack.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map(map)) => match std::mem::take(&mut map.key) {
                Key::Read(key, key_span) => map.entries.push(Entry { key, key_span, node }),
                Key::Merge => self.merge(node),
                Key::Refused => {}
                Key::Expected => {
                    map.key = Key::Refused;
                    map.broken = true;
                    self.refuse_key(&node);
                }
            },
        }
    }

    fn refuse_key(&mut self, node: &Node) {
        let help = self.source[..node.span.start]
            .ends_with('{')
            .then(|| "text that starts with `{` needs quotes: `\"{{ Field }}\"`".to_owned());
        self.findings.add(node.span, format!("a key must be text, not {}", node.noun()), help);
    }

    fn merge(&mut self, node: Node) {
        let (span, sources) = match node {
            Node { span, kind: Kind::List(items) } => (span, items),
            node => (node.span, vec![node]),
        };
        if sources.iter().any(|node| !matches!(node.kind, Kind::Map(_) | Kind::Unknown)) {
            let help = "write `<<: *name` for a map that is marked with `&name`".to_owned();
            self.findings.add(span, "only maps can be merged with `<<`", Some(help));
        }
        if let Some(Open { items: Items::Map(map), .. }) = self.stack.last_mut() {
            map.merged.extend(sources);
        }
    }

    fn anchor(&mut self, anchor: usize, node: &Node) {
        if anchor > 0 {
            let (parts, height) = measure(node);
            self.aliased += parts;
            if self.aliased <= ALIASED_MAX {
                self.anchors.insert(anchor, Anchored { node: node.clone(), parts, height });
            }
        }
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Fatal> {
        let unreadable = |message: String| Err((span, message, None));
        let Some(anchored) = self.anchors.get(&id) else {
            if self.aliased > ALIASED_MAX {
                return unreadable(format!("aliases stand for more than {ALIASED_MAX} values"));
            }
            return unreadable("an alias cannot stand inside of what it repeats".to_owned());
        };
        self.aliased += anchored.parts;
        if self.aliased > ALIASED_MAX {
            return unreadable(format!("aliases stand for more than {ALIASED_MAX} values"));
        }
        if self.stack.len() + anchored.height > DEPTH_MAX {
            return unreadable(format!("nested more than {DEPTH_MAX} deep"));
        }
        let node = anchored.node.clone();
        match node.text() {
            Some(text) if self.expects_key() => {
                let text = text.to_owned();
                self.scalar_key(&text, ScalarStyle::DoubleQuoted, span);
            }
            _ => self.add(node),
        }
        Ok(())
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::SingleQuoted,
            ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        self.check_tag(tag, &["str", "int", "float", "bool", "null"], span);
        let is_text = style != Style::Plain
            || tag.is_some_and(|tag| tag.core_suffix() == Some("str") || tag.suffix().is_empty());
        let kind = if is_text { None } else { plain(&text) };
        if matches!(kind, Some(Kind::Unknown)) {
            let message = format!("the number `{text}` is out of range");
            let help = "put it in quotes if it is meant as text".to_owned();
            self.findings.add(span, message, Some(help));
        }
        let kind = kind.unwrap_or(Kind::Text(Text { text, style, filled: None }));
        Node { span, kind }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, known: &[&str], span: Span) {
        let Some(tag) = tag else { return };
        let is_known = tag.core_suffix().is_some_and(|suffix| known.contains(&suffix));
        let says_text = tag.handle() == "!" && tag.suffix().is_empty();
        if !is_known && !says_text {
            let message = format!("the tag `{}` means nothing here", tag.original());
            self.findings.add(span, message, Some("remove it".to_owned()));
        }
    }
}

/// The parts of a tree, and how deep it is: 0 for a scalar.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.kind {
        Kind::List(items) => items.iter().collect(),
        Kind::Map(entries) => entries.iter().map(|entry| &entry.node).collect(),
        _ => return (1, 0),
    };
    children
        .into_iter()
        .map(measure)
        .fold((1, 1), |(parts, height), child| (parts + child.0, height.max(child.1 + 1)))
}

/// Adds the entries of merged maps that are not there yet; the first map wins.
fn merge_maps(entries: &mut Vec<Entry>, merged: Vec<Node>) {
    if merged.is_empty() {
        return;
    }
    let mut known: FxHashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    for node in merged {
        let Kind::Map(more) = node.kind else { continue };
        entries.extend(more.into_iter().filter(|entry| known.insert(entry.key.clone())));
    }
}

/// What plain text is if it is not text: `Unknown` for numbers that are not finite.
pub(super) fn plain(text: &str) -> Option<Kind> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Kind::Null),
        "true" | "True" | "TRUE" => return Some(Kind::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Kind::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => return Some(Kind::Unknown),
        _ => {}
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let number = u64::from_str_radix(digits, radix).ok();
            return number.filter(|_| !digits.starts_with('+')).map(|i| Kind::Int(i.into()));
        }
    }
    if !is_number(unsigned) {
        return None;
    }
    let is_whole = unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole && let Ok(number) = text.parse::<i128>() {
        // A zero in front is part of what is written: a postcode, an account number.
        if unsigned.len() > 1 && unsigned.starts_with('0') {
            return None;
        }
        if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number) {
            return Some(Kind::Int(number));
        }
    }
    let number = text.parse::<f64>().ok()?;
    Some(if number.is_finite() { Kind::Float(number) } else { Kind::Unknown })
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|text| text.strip_prefix(['-', '+']).unwrap_or(text));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
