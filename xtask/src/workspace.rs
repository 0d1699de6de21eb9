//! Where the repository is, and how its commands are run.

use serde_json::Value;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

/// The folder of the workspace's manifest.
pub(crate) fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// The command `program` in the workspace's root folder.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The Cargo that this task was started by, which is not told of the package that this task is.
///
/// Build scripts that ask for those variables, such as that of ring, would run again, and all that rests on them be built
/// again, whenever a build by hand and one by a task take turns.
pub(crate) fn cargo() -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut cargo = command(&program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// What `cargo metadata` says of the workspace's own packages.
///
/// # Errors
///
/// When Cargo cannot be run or the manifests are not valid.
pub(crate) fn metadata() -> Result<Value, Box<dyn Error>> {
    let text =
        output(cargo().args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    Ok(serde_json::from_str(&text)?)
}

/// What `command` prints.
///
/// # Errors
///
/// When it cannot be run, fails, or prints what is no UTF-8; with what it says of that.
pub(crate) fn output(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?} failed ({}): {}", output.status, said.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Builds the `syncline` command in the release profile, and returns where it is.
///
/// # Errors
///
/// When the build fails.
pub(crate) fn release_build() -> Result<PathBuf, Box<dyn Error>> {
    release_build_of("syncline")
}

/// Builds the programs in the release profile, and returns where `program` is. All are built at once, from the same parts
/// with the same features, so that no part is built twice and no processor waits for the last link.
///
/// # Errors
///
/// When the build fails.
pub(crate) fn release_build_of(program: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut build = cargo();
    build.args(["build", "--release"]);
    for one in ["syncline", "syncline-sim"] {
        build.args(["--package", one, "--bin", one]);
    }
    if !build.status()?.success() {
        return Err("the release build failed".into());
    }
    let target = metadata()?["target_directory"].as_str().map(PathBuf::from);
    let target = target.ok_or("cargo metadata names no target folder")?;
    Ok(target.join("release").join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
}
