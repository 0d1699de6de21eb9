//! What commands print: text, tables and JSON on standard output, remarks on standard error.

use crate::error::Error;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use syncline_core::config::Secrets;

/// How wide a line may be where nothing tells how wide it can be.
pub(crate) const WIDTH_USUAL: usize = 80;

/// The blanks between two columns of a table.
pub(crate) const GAP: usize = 2;

/// A colour, by what it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// New, or well.
    Good,
    /// Changed, or to be looked at.
    Warn,
    /// Gone, or wrong.
    Bad,
    /// Beside the point.
    Dim,
    /// A heading.
    Bold,
}

/// Where a command prints, and how.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Whether the result is JSON.
    pub json: bool,
    /// Whether remarks and progress are left out.
    pub quiet: bool,
    colour_out: bool,
    colour_err: bool,
    secrets: Arc<RwLock<Secrets>>,
    /// What advice has to add to the name of a command, so that it means the same project.
    place: Arc<OnceLock<String>>,
}

impl Output {
    /// The process's own standard output and error; colours as `NO_COLOR`, `CLICOLOR_FORCE`, `TERM` and the
    /// terminal say.
    pub fn new(json: bool, quiet: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let forced = is_set("CLICOLOR_FORCE");
        let barred = is_set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        Self {
            json,
            quiet,
            colour_out: !barred && (forced || io::stdout().is_terminal()),
            colour_err: !barred && (forced || io::stderr().is_terminal()),
            secrets: Arc::default(),
            place: Arc::default(),
        }
    }

    /// What must never be printed in a remark, an error or a log; shared with whoever logs.
    pub fn secrets(&self) -> &Arc<RwLock<Secrets>> {
        &self.secrets
    }

    /// Remembers the options that every command needs to mean the same project, such as `--config crm`.
    pub(crate) fn keep_place(&self, options: String) {
        // The first one stands: a command works on one project.
        self.place.get_or_init(|| options);
    }

    /// Advice for people: each command in it, as in `` `syncline status` ``, is completed so that it means the
    /// project at hand.
    pub fn advise(&self, advice: &str) -> String {
        complete(advice, self.place.get().map_or("", String::as_str))
    }

    /// `text` without secrets.
    pub fn scrub(&self, text: &str) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.scrub(text).into_owned()
    }

    /// Prints a line.
    ///
    /// # Errors
    ///
    /// When standard output is closed or full.
    pub fn line(&self, text: impl Display) -> Result<(), Error> {
        writeln!(io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// Prints a value as one line of JSON.
    ///
    /// # Errors
    ///
    /// When standard output is closed or full.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(text)
    }

    /// Prints rows under headings, as wide as the terminal at most. Columns of numbers are set right.
    ///
    /// # Errors
    ///
    /// When standard output is closed or full.
    pub fn table(&self, headings: &[&str], rows: Vec<Vec<String>>) -> Result<(), Error> {
        let width = io::stdout().is_terminal().then(console_width).flatten();
        self.line(render(headings, rows, width, |text| self.paint(Tone::Bold, text)))
    }

    /// How many characters a line may have: the terminal's width, or 80 where standard output is none.
    pub fn width(&self) -> usize {
        let terminal = io::stdout().is_terminal().then(console_width).flatten();
        terminal.map_or(WIDTH_USUAL, usize::from)
    }

    /// `text` in a colour, where standard output has colours.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colour_out { painted(tone, text) } else { text.to_owned() }
    }

    /// Prints a remark on standard error, unless quiet or JSON is wanted.
    pub fn note(&self, text: impl Display) {
        if !self.quiet && !self.json {
            self.warn(text);
        }
    }

    /// Prints a line on standard error, whatever is wanted.
    pub fn warn(&self, text: impl Display) {
        let text = self.scrub(&text.to_string());
        // Nobody is left to be told that standard error is closed.
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// Prints an error with its causes and what to do next: on standard error, and with `--json` as an object
    /// on standard output too.
    pub fn error(&self, error: &Error) {
        let paint = |tone, text: &str| {
            if self.colour_err { painted(tone, text) } else { text.to_owned() }
        };
        let mut text = match error {
            Error::Config(diagnostics) => underlined(&diagnostics.to_string(), paint),
            other => format!("{}: {other}", paint(Tone::Bad, "error")),
        };
        for cause in error.causes() {
            text.push_str(&format!("\n  cause: {cause}"));
        }
        text.push_str(&format!("\n{}: {}", paint(Tone::Good, "hint"), self.advise(&error.hint())));
        self.warn(text);
        if self.json {
            let text = self.scrub(&error_json(error).to_string());
            drop(self.line(text));
        }
    }
}

/// Puts `options` at the end of each command that `advice` quotes.
fn complete(advice: &str, options: &str) -> String {
    const LEAD: &str = "`syncline ";
    let mut out = String::with_capacity(advice.len());
    let mut rest = advice;
    while let Some((before, after)) = rest.split_once(LEAD) {
        let (command, after) = after.split_once('`').unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(LEAD);
        out.push_str(command);
        if !options.is_empty() && !command.starts_with("init") {
            out.push(' ');
            out.push_str(options);
        }
        out.push('`');
        rest = after;
    }
    out.push_str(rest);
    out
}

/// An error as JSON.
pub fn error_json(error: &Error) -> serde_json::Value {
    let mut json = serde_json::json!({
        "status": "error",
        "error": error.to_string(),
        "causes": error.causes(),
        "hint": error.hint(),
        "exit_code": error.exit().code(),
    });
    if let Error::Config(diagnostics) = error {
        json["diagnostics"] = diagnostics_json(diagnostics);
    }
    json
}

fn diagnostics_json(diagnostics: &syncline_core::config::Diagnostics) -> serde_json::Value {
    let entries = diagnostics.0.iter().map(|one| {
        serde_json::json!({
            "file": one.file, "line": one.line, "column": one.column, "length": one.length,
            "message": one.message, "help": one.help,
        })
    });
    entries.collect()
}

fn underlined(diagnostics: &str, paint: impl Fn(Tone, &str) -> String) -> String {
    let lines = diagnostics.lines().map(|line| {
        let mark = line.trim_start().strip_prefix('|').unwrap_or_default().trim();
        if let Some(rest) = line.strip_prefix("error:") {
            format!("{}{}", paint(Tone::Bad, "error:"), paint(Tone::Bold, rest))
        } else if let Some(rest) = line.strip_prefix("help:") {
            format!("{}{rest}", paint(Tone::Good, "help:"))
        } else if !mark.is_empty() && mark.bytes().all(|b| b == b'^') {
            line.replace(mark, &paint(Tone::Bad, mark))
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn painted(tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "31",
        Tone::Dim => "2",
        Tone::Bold => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// The terminal's width, where a table can be set in it; wrapping into less would be harder to read than what the
/// terminal itself does.
fn console_width() -> Option<u16> {
    const WIDTH_MIN: u16 = 60;
    Table::new().width().filter(|width| *width >= WIDTH_MIN)
}

/// A table as text; wrapped to `width` where there is one.
fn render(
    headings: &[&str],
    rows: Vec<Vec<String>>,
    width: Option<u16>,
    heading: impl Fn(&str) -> String,
) -> String {
    let numeric = |column: usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|c| !c.is_empty());
        let is_number = |cell: &String| {
            cell.starts_with(|c: char| c.is_ascii_digit())
                && cell.bytes().all(|b| b.is_ascii_digit() || b",. %sm".contains(&b))
        };
        cells.clone().next().is_some() && cells.all(is_number)
    };
    let alignments: Vec<CellAlignment> = (0..headings.len())
        .map(|column| if numeric(column) { CellAlignment::Right } else { CellAlignment::Left })
        .collect();
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let gap = u16::try_from(GAP).unwrap_or(u16::MAX);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    let cell = |(text, align): (&str, &CellAlignment)| Cell::new(text).set_alignment(*align);
    table.set_header(headings.iter().copied().zip(&alignments).map(cell));
    for row in &rows {
        table.add_row(row.iter().map(String::as_str).zip(&alignments).map(cell));
    }
    // No blanks behind the last column: they would be taken from its cells.
    for column in table.column_iter_mut().take(headings.len().saturating_sub(1)) {
        column.set_padding((0, gap));
    }
    if let Some(last) = table.column_iter_mut().last() {
        last.set_padding((0, 0));
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    if let Some(first) = lines.first_mut() {
        *first = heading(first);
    }
    lines.join("\n")
}

/// The columns of a table that fit into `room` characters, given how wide each would like to be: the widths of the
/// first ones. The last is narrower than it would like where that leaves enough to read; the first is always there.
pub fn fit(wanted: &[usize], room: usize) -> Vec<usize> {
    const WIDTH_MIN: usize = 12;
    let mut left = room;
    let mut widths = Vec::with_capacity(wanted.len());
    for &width in wanted {
        let given =
            if widths.is_empty() { width.min(left.max(WIDTH_MIN)) } else { width.min(left) };
        if given < width && given < WIDTH_MIN {
            break;
        }
        widths.push(given);
        left = left.saturating_sub(given + GAP);
    }
    widths
}

/// Groups of parts after a lead, as in `store: 2 contacts, 3 links`: in one line where `width` characters hold
/// it, otherwise with a line or more for each group, all set under the first.
pub fn paragraph(lead: &str, groups: &[Vec<String>], width: usize) -> String {
    let whole = format!("{lead}{}", groups.concat().join(", "));
    if whole.chars().count() <= width {
        return whole;
    }
    let indent = lead.chars().count();
    let mut lines: Vec<String> = Vec::new();
    for group in groups {
        let mut line = String::new();
        for (index, part) in group.iter().enumerate() {
            // A comma stands behind every part but the last of its group.
            let comma = usize::from(index + 1 < group.len());
            let long = indent + line.chars().count() + 1 + part.chars().count() + comma > width;
            if long && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(part);
            line.push_str(if comma == 1 { "," } else { "" });
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    format!("{lead}{}", lines.join(&format!("\n{:indent$}", "")))
}

/// A count with its thousands apart: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count and what is counted: `1 record`, `2 records`.
pub fn counted(number: u64, singular: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {singular}{plural}", count(number))
}

/// A span of time for people: `85 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// An instant, in microseconds since 1970, in local time: `2025-12-09 10:00:00`.
pub fn time(at_us: i64) -> String {
    let Ok(timestamp) = jiff::Timestamp::from_microsecond(at_us) else { return at_us.to_string() };
    let local = timestamp.to_zoned(jiff::tz::TimeZone::system());
    local.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `text` in one line of at most `chars_max` characters.
pub fn shorten(text: &str, chars_max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= chars_max {
        return line;
    }
    let kept: String = line.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_set_for_reading() {
        let counts = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, expected) in counts {
            assert_eq!(count(number), expected);
        }
        let spans = [(0, "0 ms"), (999, "999 ms"), (1_250, "1.2 s"), (200_000, "3 min 20 s")];
        for (ms, expected) in spans {
            assert_eq!(duration(ms), expected);
        }
        assert_eq!(duration(7_500_000), "2 h 5 min");
        assert_eq!(counted(1, "record"), "1 record");
        assert_eq!(shorten("a\n b   c", 4), "a b…");
        assert_eq!(shorten("abcd", 4), "abcd");
    }

    #[test]
    fn advice_names_the_project_at_hand() {
        let cases = [
            ("`syncline run` goes on", "", "`syncline run` goes on"),
            ("see `syncline run`", "--config a", "see `syncline run --config a`"),
            (
                "`syncline init SAMPLE`, then `syncline cancel x`.",
                "--store s.db",
                "`syncline init SAMPLE`, then `syncline cancel x --store s.db`.",
            ),
        ];
        for (advice, options, expected) in cases {
            assert_eq!(complete(advice, options), expected);
        }
    }

    #[test]
    fn columns_are_left_out_where_they_do_not_fit() {
        let cases: [(&[usize], usize, &[usize]); 7] = [
            (&[10, 10], 22, &[10, 10]),
            (&[10, 10], 21, &[10]),
            (&[10, 30], 26, &[10, 14]),
            (&[10, 30, 5], 40, &[10, 28]),
            (&[10, 13, 1], 24, &[10, 12]),
            (&[40], 5, &[12]),
            (&[], 5, &[]),
        ];
        for (wanted, room, expected) in cases {
            assert_eq!(fit(wanted, room), expected, "{wanted:?} in {room}");
        }
    }

    #[test]
    fn a_paragraph_keeps_within_its_width_and_its_groups_apart() {
        let groups = [vec!["1 a".to_owned(), "22 b".to_owned()], vec!["3 links".to_owned()]];
        let whole = "store: 1 a, 22 b, 3 links";
        assert_eq!(paragraph("store: ", &groups, whole.len()), whole);
        let apart = "store: 1 a, 22 b\n       3 links";
        assert_eq!(paragraph("store: ", &groups, whole.len() - 1), apart);
        assert_eq!(paragraph("store: ", &groups, 16), apart);
        assert_eq!(paragraph("store: ", &groups, 15), "store: 1 a,\n       22 b\n       3 links");
        assert_eq!(paragraph("store: ", &groups, 1), "store: 1 a,\n       22 b\n       3 links");
    }

    #[test]
    fn a_table_sets_numbers_right_and_has_no_blanks_at_line_ends() {
        let rows = vec![vec!["a".into(), "1,000".into()], vec!["long".into(), "2".into()]];
        let text = render(&["task", "fetched"], rows, None, str::to_owned);
        assert_eq!(text, "task  fetched\na       1,000\nlong        2");
    }

    #[test]
    fn a_table_as_wide_as_the_terminal_is_not_wrapped() {
        let rows = vec![vec!["a".into(), "12345678".into()]];
        let text = render(&["task", "id"], rows, Some(14), str::to_owned);
        assert_eq!(text, "task        id\na     12345678");
    }
}
