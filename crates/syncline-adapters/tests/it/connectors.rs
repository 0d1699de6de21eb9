//! Connectors of others, each in an environment of its own in the target folder.

use std::path::{Path, PathBuf};

/// The path of a connector's program.
pub(crate) fn installed(program: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/connectors");
    let path = root.join(program).join("bin").join(program);
    path.canonicalize().map(|_| path).unwrap_or_else(|error| {
        panic!("{program}: {error}; `cargo xtask test` installs the connectors")
    })
}
