//! Everything that must hold before a change goes in, cheap checks first.

use crate::{Outcome, workspace};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// How many kills the crash check of a normal run makes; `cargo xtask crash` makes more.
const CRASH_ROUNDS: &str = "40";

/// How many disturbed runs the check with real servers makes; `cargo xtask faults` makes more.
const FAULT_ROUNDS: &str = "20";

/// How many seeds the simulation of a normal run takes; `cargo xtask sim` takes more.
const SIM_SEEDS: &str = "20000";

/// What is only built where it is asked for.
const OPTIONAL_PARTS: &str = "syncline/cloud,syncline/columnar";

/// A Python program that tests start: the package that brings it, its folder below the target folder, its name.
pub(crate) type PythonProgram = (&'static str, &'static str, &'static str);
/// The Kinto server.
pub(crate) const KINTO: PythonProgram = ("kinto==26.5.0", "tools/kinto", "kinto");
/// The connectors.
const CONNECTORS: [PythonProgram; 2] = [
    ("tap-jsonl==0.3.1", "connectors/tap-jsonl", "tap-jsonl"),
    ("airbyte-source-faker==7.2.1", "connectors/source-faker", "source-faker"),
];

/// How many checks or tests passed, and how many did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
}

/// One check.
struct Step {
    name: &'static str,
    command: Command,
    /// Whether it counts tests, and says so in what it prints.
    counts_tests: bool,
}

/// Runs every step whatever becomes of the others; all is well where all of them are.
pub(crate) fn run() -> Outcome {
    let tools = Tools::new()?;
    let mut total = Tally::default();
    let mut failed = Vec::new();
    for make in STEPS {
        let mut step = make(&tools);
        println!("\n=== {}: {:?}", step.name, step.command);
        let begun = now();
        let tally = tally(&mut step, &tools);
        println!("--- {}: {} s", step.name, begun.elapsed().as_secs());
        total.passed += tally.passed;
        total.failed += tally.failed;
        if tally.failed > 0 {
            failed.push(step.name);
        }
    }
    println!();
    for name in &failed {
        println!("failed: {name}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(failed.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "people are told how long a step took")]
fn now() -> Instant {
    Instant::now()
}

const STEPS: [fn(&Tools) -> Step; 15] = [
    |tools| {
        tools.have_component("fmt", "rustfmt");
        cargo("format", &["fmt", "--all", "--", "--check"])
    },
    |_| own("tidy", &["tidy"]),
    |tools| {
        tools.have_component("clippy", "clippy");
        let lint = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        cargo("lints", &lint)
    },
    tests,
    |_| Step { counts_tests: true, ..cargo("doc tests", &["test", "--doc", "--workspace"]) },
    |_| {
        let mut step = cargo("docs", &["doc", "--no-deps", "--workspace"]);
        step.command.env("RUSTDOCFLAGS", "-D warnings");
        step
    },
    |tools| {
        tools.have("deny");
        cargo(
            "licences",
            &[
                "deny",
                "--all-features",
                "check",
                "--hide-inclusion-graph",
                "licenses",
                "bans",
                "sources",
            ],
        )
    },
    |_| {
        let features = ["--features", OPTIONAL_PARTS, "--", "-D", "warnings"];
        let lint = ["clippy", "--workspace", "--all-targets"];
        cargo("lints of optional parts", &[&lint[..], &features[..]].concat())
    },
    |tools| {
        // All packages, so that what they share has the features that it was built with before.
        let parts = ["--workspace", "--features", OPTIONAL_PARTS, "--test", "it"];
        // The tests of what these parts are in: the others have been run.
        let (runner, only): (&[&str], &[&str]) = if tools.have("nextest") {
            (&["nextest", "run"], &["-E", "test(/^file_/) + test(/export/)"])
        } else {
            (&["test"], &["--", "file_", "export"])
        };
        let step = cargo("tests of optional parts", &[runner, &parts, only].concat());
        Step { counts_tests: true, ..step }
    },
    |_| own("crash", &["crash", "--rounds", CRASH_ROUNDS]),
    |_| own("faults", &["faults", "--rounds", FAULT_ROUNDS]),
    |_| {
        own(
            "faults of MariaDB",
            &["faults", "--system", "mariadb", "--rounds", "6", "--rows", "500"],
        )
    },
    |_| own("example", &["example", "two-way-postgres"]),
    |_| own("simulation", &["sim", "--seeds", SIM_SEEDS]),
    |_| own("bugs", &["sim", "--bugs", "--seeds", "2000"]),
];

fn tests(tools: &Tools) -> Step {
    tools.have_servers();
    tools.have_python(&[KINTO]);
    tools.have_python(&CONNECTORS);
    let step = if tools.have("nextest") {
        cargo("tests", &["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        cargo("tests", &["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])
    };
    Step { counts_tests: true, ..step }
}

fn cargo(name: &'static str, arguments: &[&str]) -> Step {
    let mut command = workspace::cargo();
    command.args(arguments);
    Step { name, command, counts_tests: false }
}

/// A task of this program, by way of Cargo: an earlier step may have built the program anew.
fn own(name: &'static str, arguments: &[&str]) -> Step {
    let run = ["run", "--quiet", "--package", "xtask", "--"];
    cargo(name, &[&run[..], arguments].concat())
}

fn tally(step: &mut Step, tools: &Tools) -> Tally {
    step.command.env("PATH", &tools.path);
    let (ok, said) = match shown(&mut step.command) {
        Ok(result) => result,
        Err(problem) => (false, format!("cannot run it: {problem}")),
    };
    let counted = if step.counts_tests { count_tests(&said) } else { Tally::default() };
    match (ok, counted) {
        (true, Tally { passed: 0, failed: 0 }) => Tally { passed: 1, failed: 0 },
        // It failed without a failed test: it did not build, or is no test.
        (false, Tally { passed, failed: 0 }) => Tally { passed, failed: 1 },
        (_, counted) => counted,
    }
}

/// Runs `command`, shows what it says as it says it, and returns whether it succeeded and what it said.
fn shown(command: &mut Command) -> io::Result<(bool, String)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let out = child.stdout.take().map(|pipe| thread::spawn(move || passed_on(pipe)));
    let err = child.stderr.take().map(|pipe| thread::spawn(move || passed_on(pipe)));
    let mut said = String::new();
    for reader in [out, err].into_iter().flatten() {
        said.push_str(&reader.join().unwrap_or_default());
    }
    Ok((child.wait()?.success(), said))
}

fn passed_on(pipe: impl Read) -> String {
    let mut said = String::new();
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        println!("{}", text.trim_end());
        said.push_str(&text);
        line.clear();
    }
    said
}

/// The sum of all summary lines of test runs in `said`.
fn count_tests(said: &str) -> Tally {
    let is_summary = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("test result:") || line.starts_with("Summary [")
    };
    let mut tally = Tally::default();
    for line in said.lines().filter(is_summary) {
        let words: Vec<&str> =
            line.split([' ', ',', ';', '(', ')']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<usize>() else { continue };
            match pair[1] {
                "passed" => tally.passed += count,
                "failed" | "timed" | "exec" => tally.failed += count,
                _ => {}
            }
        }
    }
    tally
}

/// Cargo's subcommands, installed where missing: inside the target folder, or by rustup where they come with Rust.
pub(crate) struct Tools {
    folder: PathBuf,
    /// The search path with the folder in front.
    path: OsString,
}

impl Tools {
    /// Those of this workspace.
    ///
    /// # Errors
    ///
    /// When the search path cannot hold their folder.
    pub(crate) fn new() -> Result<Self, env::JoinPathsError> {
        let folder = workspace::root().join("target").join("tools");
        let usual = env::var_os("PATH").unwrap_or_default();
        let path =
            env::join_paths([folder.join("bin")].into_iter().chain(env::split_paths(&usual)))?;
        Ok(Self { folder, path })
    }

    /// Whether `cargo NAME` can be run, after trying to install it.
    fn have(&self, name: &str) -> bool {
        if self.answers(name) {
            return true;
        }
        let mut install = workspace::cargo();
        // Without optimisation: a fresh machine builds it for a check that takes a second.
        install
            .args(["install", "--locked", "--debug", "--root"])
            .arg(&self.folder)
            .arg(format!("cargo-{name}"));
        println!("\n=== install: {install:?}");
        install.env_remove("CARGO_TARGET_DIR");
        install.status().is_ok_and(|status| status.success()) && self.answers(name)
    }

    /// Asks rustup for a part of Rust itself where `cargo NAME` cannot be run. The step says so where it still
    /// cannot.
    fn have_component(&self, name: &str, component: &str) {
        if self.answers(name) {
            return;
        }
        let mut install = Command::new("rustup");
        install.args(["component", "add", component]).current_dir(workspace::root());
        println!("\n=== install: {install:?}");
        if let Err(problem) = install.status() {
            println!("cannot run rustup ({problem}): install {component} as you installed Rust");
        }
    }

    /// Asks Debian's packages for the servers that tests start, where one of them is missing. The tests say
    /// so where it still is.
    pub(crate) fn have_servers(&self) {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let has_postgres = versions.into_iter().any(|one| one.path().join("bin/initdb").exists());
        let has_mariadb = ["/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db"]
            .iter()
            .all(|program| Path::new(program).exists());
        let has_radicale = Path::new("/usr/bin/radicale").exists();
        let wanted = [
            ("postgresql", has_postgres),
            ("mariadb-server", has_mariadb),
            ("radicale", has_radicale),
        ];
        let missing = wanted.iter().filter(|(_, is_there)| !is_there).map(|(package, _)| *package);
        let missing: Vec<&str> = missing.collect();
        if missing.is_empty() {
            return;
        }
        for arguments in [&["update"][..], &["install", "-y", "--no-install-recommends"]] {
            let mut install = Command::new("apt-get");
            install.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
            if arguments.len() > 1 {
                install.args(&missing);
            }
            println!("\n=== install: {install:?}");
            if let Err(problem) = install.status() {
                println!("cannot run apt-get ({problem}): install {}", missing.join(", "));
            }
        }
    }

    /// Asks PyPI for programs, each into an environment of its own, where it is missing. The tests say so where it
    /// still is.
    pub(crate) fn have_python(&self, programs: &[PythonProgram]) {
        for (package, folder, name) in programs {
            let home = self.folder.with_file_name(folder);
            if home.join("bin").join(name).exists() {
                continue;
            }
            let mut make = Command::new("python3");
            make.args(["-m", "venv"]).arg(&home);
            let mut install = Command::new(home.join("bin/pip"));
            install.args(["install", "--quiet", "--disable-pip-version-check", package]);
            for mut command in [make, install] {
                println!("\n=== install: {command:?}");
                if let Err(problem) = command.status() {
                    println!(
                        "cannot run it ({problem}): install {package} into {}",
                        home.display()
                    );
                }
            }
        }
    }

    fn answers(&self, name: &str) -> bool {
        let mut asked = workspace::cargo();
        asked.args([name, "--version"]).env("PATH", &self.path);
        asked.output().is_ok_and(|output| output.status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_from_either_runner() {
        let cases = [
            ("     Summary [   0.158s] 13 tests run: 13 passed, 0 skipped", 13, 0),
            (
                "Summary [ 1s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 3 skipped",
                6,
                3,
            ),
            ("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out", 3, 0),
            (
                "test result: ok. 3 passed; 0 failed\nx\ntest result: FAILED. 1 passed; 2 failed",
                4,
                2,
            ),
            ("12 passed yesterday", 0, 0),
        ];
        for (said, passed, failed) in cases {
            assert_eq!(count_tests(said), Tally { passed, failed }, "{said}");
        }
    }

    #[test]
    fn a_step_counts_once_where_it_counts_no_tests() {
        let tools = Tools::new().unwrap();
        let step = |script: &str, counts_tests| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            tally(&mut Step { name: "x", command, counts_tests }, &tools)
        };
        assert_eq!(step("exit 0", false), Tally { passed: 1, failed: 0 });
        assert_eq!(step("exit 3", false), Tally { passed: 0, failed: 1 });
        assert_eq!(step("exit 101", true), Tally { passed: 0, failed: 1 });
        let said = "echo 'test result: ok. 3 passed; 1 failed'; exit 101";
        assert_eq!(step(said, true), Tally { passed: 3, failed: 1 });
    }
}
