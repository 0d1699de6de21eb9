//! Rules of this repository that no compiler checks.

mod crates;
mod files;
#[cfg(test)]
mod tests;

use crate::{Outcome, workspace};
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::path::Path;

/// The most packages that `Cargo.lock` may hold. Raise it only with a reason in the commit.
const PACKAGES_MAX: usize = 445;
/// The largest file that may be in the repository, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A broken rule and where it is broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// From 1.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Prints what is not tidy, one finding a line; all is well where there is none.
pub(crate) fn run() -> Outcome {
    let mut findings = crates::check(&crates::packages(&workspace::metadata()?)?);
    findings.extend(check_files()?);
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} findings", findings.len());
    Ok(findings.is_empty())
}

fn check_files() -> Result<Vec<Finding>, Box<dyn Error>> {
    let root = workspace::root();
    let paths = listed(&root)?;
    let mut findings = Vec::new();
    for path in &paths {
        findings.extend(files::check_name(path));
        let bytes = std::fs::read(root.join(path))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let message = format!("{} bytes; at most {FILE_BYTES_MAX} belong here", bytes.len());
            findings.push(Finding::new(path, 1, message));
        }
        // What is no text is no concern of the rules about text.
        if let Ok(text) = std::str::from_utf8(&bytes) {
            findings.extend(files::check_text(path, text));
        }
    }
    findings.extend(files::check_examples(&paths));
    let map = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    findings.extend(crates::check_map(&paths, &map));
    let lock = std::fs::read_to_string(root.join("Cargo.lock"))?;
    findings.extend(crates::check_lock(&lock, PACKAGES_MAX));
    Ok(findings)
}

/// The files of the repository, and those that would be if everything were added.
fn listed(root: &Path) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let names = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let text = workspace::output(workspace::command("git").args(names))?;
    let is_file = |path: &&str| root.join(path).is_file();
    Ok(text.split('\0').filter(is_file).map(str::to_owned).collect())
}
