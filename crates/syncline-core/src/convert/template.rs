//! Templates: text with fields in it. Those of plain text and plain fields are joined natively.

use super::compile::Scope;
use super::expression::{Fields, OUTPUT_BYTES_MAX, engine, is_unknown, note, reason};
use super::row::{FieldPath, Row};
use crate::problem::ConfigPath;
use crate::value::Value;
use compact_str::CompactString;
use minijinja::Environment;
use std::fmt::Write;

/// A compiled template.
#[derive(Debug)]
pub(super) struct Template {
    body: Body,
    /// The fields that it names; where all of them are blank, it comes to nothing.
    named: Vec<FieldPath>,
}

#[derive(Debug)]
enum Body {
    Pieces(Vec<Piece>),
    Engine(Box<Environment<'static>>, Fields),
}

#[derive(Debug)]
enum Piece {
    Text(CompactString),
    /// The index of a path in [`Template::named`].
    Field(usize),
}

/// A part of a template's text.
enum Part<'a> {
    Text(&'a str),
    /// Between `{{` and `}}`.
    Tag(&'a str),
    /// Between `${` and `}`.
    Dollar(&'a str),
}

impl Template {
    /// Compiles `source`; what is wrong with it is noted in `scope`.
    pub(super) fn compile(source: &str, scope: &mut Scope<'_>, at: &ConfigPath) -> Option<Self> {
        match parts(source) {
            Some(parts) if parts.iter().all(Part::is_plain) => Some(Self::native(&parts, scope)),
            Some(parts) if parts.iter().any(|part| matches!(part, Part::Dollar(_))) => {
                let translated: String = parts.iter().map(Part::translated).collect();
                Self::engine(&translated, false, scope, at)
            }
            None if source.contains("${") => {
                let problem =
                    scope.problem(at, "bad template: a `${` is not closed, or stands beside `{%`");
                problem.help = Some("write fields as `{{ Name }}` instead".to_owned());
                None
            }
            _ => Self::engine(source, true, scope, at),
        }
    }

    fn native(parts: &[Part<'_>], scope: &mut Scope<'_>) -> Self {
        let mut named = Vec::new();
        let piece = |part: &Part<'_>| match part {
            Part::Text(text) => Piece::Text(CompactString::new(text)),
            Part::Tag(name) | Part::Dollar(name) => {
                named.push(FieldPath::new(name, &mut scope.roots));
                Piece::Field(named.len() - 1)
            }
        };
        let pieces = parts.iter().map(piece).collect();
        Self { body: Body::Pieces(pieces), named }
    }

    fn engine(
        source: &str,
        as_written: bool,
        scope: &mut Scope<'_>,
        at: &ConfigPath,
    ) -> Option<Self> {
        let shown = as_written.then_some(source);
        let mut engine = engine();
        if let Err(error) = engine.add_template_owned("template", source.to_owned()) {
            note(&error, "template", shown, scope, at);
            return None;
        }
        let template = engine.get_template("template").ok()?;
        let is_global = |name: &str| engine.globals().any(|(global, _)| global == name);
        let mut named: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        named.retain(|name| !is_global(name));
        named.sort_unstable();
        let fields =
            Fields::new(source, template.undeclared_variables(false), false, &mut scope.roots);
        if let Err(error) = template.render(fields.none())
            && is_unknown(error.kind())
        {
            note(&error, "template", shown, scope, at);
            return None;
        }
        // What `record[…]` names cannot be told beforehand.
        if named.iter().any(|name| name == "record" || name.starts_with("record.")) {
            named.clear();
        }
        let named = named.iter().map(|name| FieldPath::new(name, &mut scope.roots)).collect();
        Some(Self { body: Body::Engine(Box::new(engine), fields), named })
    }

    /// The text, without blanks at its ends; `None` where every field that it names is absent, null or blank.
    ///
    /// # Errors
    ///
    /// What went wrong: a list or map where text is expected, wrong types, too many steps, too long a text.
    pub(super) fn render(&self, row: &Row<'_>) -> Result<Option<CompactString>, String> {
        let blank = |path: &FieldPath| row.get(path).is_none_or(Value::is_blank);
        if !self.named.is_empty() && self.named.iter().all(blank) {
            return Ok(None);
        }
        match &self.body {
            Body::Pieces(pieces) => Ok(Some(self.join(pieces, row))),
            Body::Engine(engine, fields) => {
                let text = engine
                    .get_template("template")
                    .and_then(|template| template.render(fields.bind(row, None)))
                    .map_err(|error| reason(&error))?;
                if text.len() > OUTPUT_BYTES_MAX {
                    return Err("the result is longer than 1 MiB".to_owned());
                }
                Ok(Some(CompactString::new(text.trim())))
            }
        }
    }

    fn join(&self, pieces: &[Piece], row: &Row<'_>) -> CompactString {
        let mut out = CompactString::default();
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(index) => match row.get(&self.named[*index]) {
                    Some(Value::Int(i)) => write!(out, "{i}").expect("text takes any text"),
                    Some(value) => out.push_str(&value.to_plain()),
                    None => {}
                },
            }
        }
        let trimmed = out.trim();
        if trimmed.len() == out.len() { out } else { CompactString::new(trimmed) }
    }
}

impl Part<'_> {
    fn is_plain(&self) -> bool {
        match self {
            Self::Text(_) | Self::Dollar(_) => true,
            Self::Tag(name) => is_plain_path(name),
        }
    }

    fn translated(&self) -> String {
        match self {
            Self::Text(text) => (*text).to_owned(),
            Self::Tag(inside) => format!("{{{{ {inside} }}}}"),
            Self::Dollar(name) if is_plain_path(name) && name.is_ascii() => {
                format!("{{{{ {name} }}}}")
            }
            Self::Dollar(name) => format!("{{{{ record[{name:?}] }}}}"),
        }
    }
}

/// Cuts `source` at its fields; `None` where it has statements or comments, or a brace that is not closed.
fn parts(source: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some(start) = ["{{", "${", "{%", "{#"].iter().filter_map(|open| rest.find(open)).min()
    {
        let (before, tag) = rest.split_at(start);
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        if tag.starts_with("{%") || tag.starts_with("{#") {
            return None;
        }
        let close = if tag.starts_with("{{") { "}}" } else { "}" };
        let (inside, after) = tag[2..].split_once(close)?;
        let inside = inside.trim();
        if inside.is_empty() {
            return None;
        }
        parts.push(if close == "}}" { Part::Tag(inside) } else { Part::Dollar(inside) });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Some(parts)
}

/// Whether `text` is a name, or names with dots between them, and no word of the language.
fn is_plain_path(text: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let first = text.split('.').next().unwrap_or_default();
    let reserved =
        ["true", "false", "none", "True", "False", "None", "not", "record", "loop", "self"];
    text.split('.').all(is_name)
        && !first.starts_with(|c: char| c.is_numeric())
        && !reserved.contains(&first)
}
