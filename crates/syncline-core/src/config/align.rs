//! Which bytes of a file the characters of a text came from.

use super::document::Style;
use std::ops::Range;

/// The bytes of `source` (text as YAML writes it, with its quotes) that characters `part` of `value` (the
/// same text as it is meant) came from; `None` where they cannot be made out.
pub(super) fn align(
    source: &str,
    value: &str,
    style: Style,
    part: &Range<usize>,
) -> Option<Range<usize>> {
    let mut at = match style {
        Style::Plain => 0,
        Style::SingleQuoted | Style::DoubleQuoted => 1,
        Style::Block => value_start(source),
    };
    let (mut start, mut end) = (None, 0);
    for (index, wanted) in value.chars().enumerate().take(part.end) {
        let here = character(source, at, wanted, style)?;
        if index >= part.start {
            start = start.or(Some(here.start));
            end = here.end;
        }
        at = here.end;
    }
    start.map(|start| start..end.max(start))
}

/// The first byte after the header of a block scalar, if the header is there.
fn value_start(source: &str) -> usize {
    if source.starts_with(['|', '>']) { source.find('\n').map_or(0, |at| at + 1) } else { 0 }
}

/// The bytes of `wanted`, which comes next after `at` but for blanks that YAML folds away.
fn character(source: &str, mut at: usize, wanted: char, style: Style) -> Option<Range<usize>> {
    loop {
        let rest = source.get(at..)?;
        let next = rest.chars().next()?;
        if style == Style::DoubleQuoted && next == '\\' {
            let escaped = rest[1..].chars().next()?;
            if escaped.is_whitespace() && !escaped.is_ascii_graphic() && wanted != escaped {
                at += 1 + escaped.len_utf8();
                continue;
            }
            let length = match escaped {
                'x' => 4,
                'u' if wanted > '\u{ffff}' => 12,
                'u' => 6,
                'U' => 10,
                other => 1 + other.len_utf8(),
            };
            return Some(at..at + length);
        }
        if style == Style::SingleQuoted && rest.starts_with("''") {
            return Some(at..at + 2);
        }
        if next == wanted || (next.is_whitespace() && wanted.is_whitespace()) {
            return Some(at..at + next.len_utf8());
        }
        if !next.is_whitespace() {
            return None;
        }
        at += next.len_utf8();
    }
}
