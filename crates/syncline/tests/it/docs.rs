//! The reference of the command line is what the program says of itself.

use std::path::Path;

#[test]
fn docs_cli_md_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let fresh = syncline::reference::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == fresh,
        "docs/cli.md is stale: UPDATE_DOCS=1 cargo test -p syncline docs_cli_md_is_fresh writes it"
    );
}
