//! What a person reads about a broken configuration: file, line, column, the text underlined, and help.

use crate::problem::nearest;
use std::fmt;

/// At most this many characters of a source line are shown.
const LINE_CHARS_MAX: usize = 200;

/// At most this many diagnostics are shown one by one.
const SHOWN_MAX: usize = 100;

/// One thing that is wrong, and the place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file's name as it was handed in.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column of the first underlined character, in characters from 1.
    pub column: usize,
    /// How many characters are underlined; at least 1, and never beyond the end of the line.
    pub length: usize,
    /// The line as the file has it, references unresolved; cut out around the underlined text where it
    /// is very long.
    pub source_line: String,
    /// How many characters of `source_line` come before the underlined ones: `column - 1`, unless the
    /// line was cut.
    pub indent: usize,
    /// What is wrong: lower case, no final period, no secrets.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where the underlined text starts, in bytes of the file's text as it was handed in.
    pub offset: usize,
    /// How many bytes are underlined; 0 at the end of a line.
    pub bytes: usize,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.to_string();
        let gutter = " ".repeat(line.len());
        writeln!(f, "error: {}", self.message)?;
        writeln!(f, "{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{line} | {}", self.source_line)?;
        // Tabs stay tabs, so that the mark stands under its text however wide a tab is shown.
        let indent = self.source_line.chars().take(self.indent);
        let indent: String = indent.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{gutter} | {indent}{}", "^".repeat(self.length))?;
        match &self.help {
            Some(help) => writeln!(f, "help: {help}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration, by file and line. Shown as plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what `others` says, keeping the order of files and lines; what both say is kept once.
    pub fn merge(&mut self, others: Self) {
        for other in others.0 {
            if !self.0.contains(&other) {
                self.0.push(other);
            }
        }
        self.sort();
    }

    fn sort(&mut self) {
        self.0.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.0.iter().take(SHOWN_MAX) {
            writeln!(f, "{diagnostic}")?;
        }
        if self.0.len() > SHOWN_MAX {
            writeln!(f, "… and {} more", self.0.len() - SHOWN_MAX)?;
        }
        let count = self.0.len();
        let noun = if count == 1 { "error" } else { "errors" };
        let mut files: Vec<&str> = self.0.iter().map(|one| one.file.as_str()).collect();
        files.dedup();
        match files.as_slice() {
            [] => write!(f, "no errors"),
            [file] => write!(f, "{count} {noun} in {file}"),
            files => write!(f, "{count} {noun} in {} files", files.len()),
        }
    }
}

impl std::error::Error for Diagnostics {}

/// A file of the configuration, as it was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// What it is called in diagnostics, such as a path.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A place in one of the files: a range of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The index of the file.
    pub file: usize,
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// Something wrong at a place, not yet shown.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Collects what is wrong. A hopeless file has no end of it, so there is a limit.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    /// A person mends a few and looks again; what comes after these helps nobody.
    const MAX: usize = 1000;

    /// Whether nothing more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= Self::MAX
    }

    pub(super) fn add(&mut self, span: Span, message: impl Into<String>, help: Option<String>) {
        if !self.is_full() {
            self.0.push(Finding { span, message: message.into(), help });
        }
    }
}

/// The name that `name` was probably meant to be, or what there is; `None` where there is nothing.
pub(super) fn suggest(name: &str, known: &[&str], lead: &str) -> Option<String> {
    const LISTED_MAX: usize = 24;
    if let Some(best) = nearest(name, known.iter().copied()) {
        return Some(format!("did you mean `{best}`?"));
    }
    let quoted = known.iter().take(LISTED_MAX).map(|name| format!("`{name}`"));
    let list: Vec<String> = quoted.collect();
    let more = if known.len() > LISTED_MAX { ", …" } else { "" };
    (!list.is_empty()).then(|| format!("{lead}{}{more}", list.join(", ")))
}

/// The files, with what is needed to find lines and columns quickly.
#[derive(Clone)]
pub(super) struct Sources {
    files: Vec<(SourceFile, Vec<usize>)>,
}

impl Sources {
    /// Where there is no file, an empty one takes its place, so that every place is in a file.
    pub(super) fn new(mut files: Vec<SourceFile>) -> Self {
        if files.is_empty() {
            files.push(SourceFile { name: "configuration".to_owned(), text: String::new() });
        }
        let indexed = files.into_iter().map(|file| {
            let starts = line_starts(&file.text);
            (file, starts)
        });
        Self { files: indexed.collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn name(&self, file: usize) -> &str {
        &self.files[file].0.name
    }

    pub(super) fn text(&self, file: usize) -> &str {
        &self.files[file].0.text
    }

    /// The text at `span`.
    pub(super) fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.start..span.end).unwrap_or_default()
    }

    /// The part of `span` that is in its first line, without blanks at its end.
    pub(super) fn first_line(&self, span: Span) -> Span {
        let shown = self.slice(span).split(['\n', '\r']).next().unwrap_or_default();
        Span { end: span.start + shown.trim_end().len(), ..span }
    }

    /// The place of `span` for people: `file:line:column`.
    pub(super) fn place(&self, span: Span) -> String {
        let (line, start) = self.line(span);
        let column = self.text(span.file)[start..span.start].chars().count() + 1;
        format!("{}:{line}:{column}", self.name(span.file))
    }

    /// The line's number, from 1, and the byte at which it starts.
    fn line(&self, span: Span) -> (usize, usize) {
        let (file, starts) = &self.files[span.file];
        let index = starts.partition_point(|start| *start <= span.start).max(1) - 1;
        let bom = if index == 0 && file.text.starts_with('\u{feff}') { 3 } else { 0 };
        (index + 1, (starts[index] + bom).min(span.start))
    }

    /// The byte after the last character of line number `line`, which `span` starts in.
    fn line_end(&self, span: Span, line: usize) -> usize {
        let (file, starts) = &self.files[span.file];
        let end = starts.get(line).copied().unwrap_or(file.text.len());
        file.text[..end].trim_end_matches(['\r', '\n']).len().max(span.start)
    }

    /// Makes diagnostics of findings: in the order of the files and their lines, each once.
    pub(super) fn diagnose(&self, Findings(mut findings): Findings) -> Diagnostics {
        findings.sort_by(|a, b| {
            let place = |one: &Finding| (self.name(one.span.file), one.span.start);
            place(a).cmp(&place(b))
        });
        let mut diagnostics: Vec<Diagnostic> = Vec::with_capacity(findings.len());
        for finding in findings {
            let diagnostic = self.diagnostic(finding);
            let same_place = |known: &&Diagnostic| known.offset == diagnostic.offset;
            let known = diagnostics.iter().rev().take_while(same_place).any(|k| *k == diagnostic);
            if !known {
                diagnostics.push(diagnostic);
            }
        }
        Diagnostics(diagnostics)
    }

    fn diagnostic(&self, finding: Finding) -> Diagnostic {
        let span = self.first_line(finding.span);
        let text = self.text(span.file);
        let (line, start) = self.line(span);
        let end = self.line_end(span, line);
        let before = &text[start..span.start];
        let column = before.chars().count();
        let length = self.slice(span).chars().count().max(1);
        // Of a very long line, a few characters before the underlined ones must do.
        let is_long = column + length > LINE_CHARS_MAX;
        let cut = before.char_indices().rev().nth(39).filter(|_| is_long).map_or(0, |(at, _)| at);
        let indent = before[cut..].chars().count();
        let shown: String = text[start + cut..end].chars().take(LINE_CHARS_MAX).collect();
        Diagnostic {
            file: self.name(span.file).to_owned(),
            line,
            column: column + 1,
            length: length.min(LINE_CHARS_MAX.saturating_sub(indent)).max(1),
            source_line: shown,
            indent,
            message: finding.message,
            help: finding.help,
            offset: span.start,
            bytes: span.end - span.start,
        }
    }
}

/// Where lines start, by YAML's line breaks: LF, CRLF, CR.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let breaks = bytes.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect()
}
