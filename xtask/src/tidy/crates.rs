//! Which crate may know which, and what the pure one may not know.

use super::Finding;
use serde_json::Value;
use std::collections::BTreeSet;

/// The rooms, and for each the rooms it may depend on. Nothing points back.
const ROOMS: [(&str, &[&str]); 8] = [
    ("syncline-core", &[]),
    ("syncline-store", &["syncline-core"]),
    ("syncline-adapters", &["syncline-core"]),
    ("syncline-engine", &["syncline-core", "syncline-store", "syncline-adapters"]),
    (
        "syncline-server",
        &["syncline-core", "syncline-store", "syncline-adapters", "syncline-engine"],
    ),
    ("syncline-sim", &["syncline-core", "syncline-store", "syncline-adapters", "syncline-engine"]),
    (
        "syncline",
        &[
            "syncline-core",
            "syncline-store",
            "syncline-adapters",
            "syncline-engine",
            "syncline-server",
        ],
    ),
    ("xtask", &[]),
];

/// Libraries that bring I/O, async, a clock or chance; the pure room does without.
const IMPURE: [&str; 12] = [
    "tokio",
    "tokio-util",
    "futures-util",
    "rusqlite",
    "rand",
    "fastrand",
    "getrandom",
    "reqwest",
    "object_store",
    "tempfile",
    "async-trait",
    "csv",
];

/// A package of the workspace.
#[derive(Clone, Debug, Default)]
pub(super) struct Package {
    pub(super) name: String,
    /// Path of the manifest from the root.
    pub(super) manifest: String,
    /// The manifest's text, to find lines in.
    pub(super) text: String,
    /// The names of all dependencies, those of tests and build scripts included.
    pub(super) dependencies: Vec<String>,
}

/// The packages of the workspace as `cargo metadata` lists them.
pub(super) fn packages(metadata: &Value) -> Result<Vec<Package>, Box<dyn std::error::Error>> {
    let root = metadata["workspace_root"].as_str().ok_or("cargo metadata names no root")?;
    let listed = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut packages = Vec::new();
    for package in listed {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let names = package["dependencies"].as_array().into_iter().flatten();
        packages.push(Package {
            name: package["name"].as_str().unwrap_or_default().to_owned(),
            manifest: manifest.trim_start_matches(root).trim_start_matches('/').to_owned(),
            text: std::fs::read_to_string(manifest)?,
            dependencies: names.filter_map(|d| d["name"].as_str()).map(str::to_owned).collect(),
        });
    }
    Ok(packages)
}

/// Checks the direction between `packages`, and that the pure one stays pure.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == package.name) else {
            let message = format!("`{}` has no place in the order of crates", package.name);
            findings.push(Finding::new(&package.manifest, 1, message));
            continue;
        };
        for dependency in &package.dependencies {
            let is_room = ROOMS.iter().any(|(name, _)| name == dependency);
            let problem = if is_room && !allowed.contains(&dependency.as_str()) {
                "points back"
            } else if package.name == "syncline-core" && IMPURE.contains(&dependency.as_str()) {
                "is not pure"
            } else {
                continue;
            };
            let message = format!("`{}` depends on `{dependency}`, which {problem}", package.name);
            let line = line_of(&package.text, dependency);
            findings.push(Finding::new(&package.manifest, line, message));
        }
    }
    findings
}

fn line_of(manifest: &str, dependency: &str) -> usize {
    let names = |line: &str| {
        let rest = line.trim_start().strip_prefix(dependency);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    manifest.lines().position(names).map_or(1, |index| index + 1)
}

/// Checks that `map`, the text of `ARCHITECTURE.md`, names every crate among `paths`.
pub(super) fn check_map(paths: &BTreeSet<String>, map: &str) -> Vec<Finding> {
    let name = |path: &String| {
        path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml").map(str::to_owned)
    };
    let missing = paths.iter().filter_map(name).filter(|name| !map.contains(&format!("{name}/")));
    let finding = |name| Finding::new("ARCHITECTURE.md", 1, format!("does not name `{name}/`"));
    missing.map(finding).collect()
}

/// Checks that `lock`, the text of `Cargo.lock`, holds at most `most` packages.
pub(super) fn check_lock(lock: &str, most: usize) -> Vec<Finding> {
    let count = lock.lines().filter(|line| *line == "[[package]]").count();
    let message = format!("{count} packages; at most {most} are meant to be");
    (count > most).then(|| Finding::new("Cargo.lock", 1, message)).into_iter().collect()
}
