//! What files are called, how long they are, and what does not stand in them.

use super::Finding;
use std::collections::BTreeSet;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] =
    ["utils", "util", "helpers", "helper", "manager", "managers", "misc", "common", "impl"];

/// The most lines of a source file; tests may be longer.
const LINES_MAX: usize = 600;

/// Text that has no place in Rust sources, and why. Each is split, or it would be found in this file.
const FORBIDDEN: [(&str, &str); 5] = [
    (concat!("#[", "allow("), "use `#[expect(…, reason = …)]`, which goes when its cause goes"),
    (concat!("#![", "allow("), "use `#![expect(…, reason = …)]`, which goes when its cause goes"),
    (concat!("#[", "ignore"), "every test runs; a slow one asks for `RUN_SLOW_TESTS=1`"),
    (concat!("todo", "!("), "finish it or leave it out"),
    (concat!("unimplemented", "!("), "finish it or leave it out"),
];

/// Text that would make the pure crate impure.
const IMPURE: [&str; 13] = [
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "ToSocketAddrs",
    "std::process",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "async fn",
    "tokio",
    "rand::",
    "rusqlite",
];

/// Checks what the file at `path` is called.
pub(super) fn check_name(path: &str) -> Option<Finding> {
    let stem = |part: &str| part.split('.').next().unwrap_or_default().to_lowercase();
    let empty = path.split('/').find(|part| EMPTY_NAMES.contains(&stem(part).as_str()))?;
    Some(Finding::new(path, 1, format!("`{empty}` does not say what is inside")))
}

/// Checks the text of the file at `path`.
pub(super) fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !is_data(path) {
        findings.extend(trailing_space(path, text));
    }
    if path.ends_with(".rs") {
        findings.extend(forbidden(path, text));
        let lines = text.lines().count();
        if lines > LINES_MAX && !is_test(path) {
            let message = format!("{lines} lines; split it before it passes {LINES_MAX}");
            findings.push(Finding::new(path, LINES_MAX + 1, message));
        }
    }
    if path.starts_with("crates/syncline-core/src/") {
        findings.extend(impure(path, text));
    }
    findings
}

/// Every example that can be run has a page that says what it shows.
pub(super) fn check_examples(paths: &BTreeSet<String>) -> Vec<Finding> {
    let folders = paths.iter().filter_map(|path| path.strip_suffix("/syncline.yaml"));
    let examples = folders.filter(|folder| folder.starts_with("examples/"));
    let silent = examples.filter(|folder| !paths.contains(&format!("{folder}/README.md")));
    let finding =
        |folder| Finding::new(format!("{folder}/syncline.yaml"), 1, "no README.md beside it");
    silent.map(finding).collect()
}

fn trailing_space(path: &str, text: &str) -> Vec<Finding> {
    let ends_in_space = |line: &str| line.ends_with([' ', '\t', '\r']);
    let lines = text.split('\n').zip(1..).filter(|(line, _)| ends_in_space(line));
    lines
        .map(|(_, number)| Finding::new(path, number, "white space at the end of the line"))
        .collect()
}

fn forbidden(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in code_lines(text) {
        for (pattern, reason) in FORBIDDEN {
            if line.contains(pattern) {
                findings.push(Finding::new(path, number, format!("`{pattern}`: {reason}")));
            }
        }
    }
    findings
}

fn impure(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in code_lines(text) {
        for pattern in IMPURE {
            if has_word(line, pattern) {
                let message = format!("`{pattern}` in the pure crate; let the caller hand it in");
                findings.push(Finding::new(path, number, message));
            }
        }
    }
    findings
}

/// Lines that are more than a comment, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    text.lines().zip(1..).filter(|(line, _)| !line.trim_start().starts_with("//"))
}

/// Whether `pattern` stands in `line` and is not the end of a longer name.
fn has_word(line: &str, pattern: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(pattern).any(|(place, _)| !line[..place].ends_with(in_name))
}

fn is_test(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    path.contains("/tests/")
        || matches!(file, "tests.rs" | "suite.rs")
        || file.ends_with("_tests.rs")
}

/// Data stays as it is, white space and all.
fn is_data(path: &str) -> bool {
    let kept = [".snap", ".csv", ".tsv", ".jsonl", ".json"];
    let folders = ["/data/", "/testdata/"];
    kept.iter().any(|end| path.ends_with(end)) || folders.iter().any(|part| path.contains(part))
}
