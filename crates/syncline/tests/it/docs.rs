//! The reference of the command line is what the program says of itself; the tests that the documents name are there.

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

#[test]
fn the_tests_of_each_hazard_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = String::new();
    let mut folders = vec![root.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let page = std::fs::read_to_string(root.join("docs/hazards.md")).unwrap();
    let named = page.split('`').skip(1).step_by(2).filter(|name| name.len() > 20);
    let missing: Vec<&str> =
        named.filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let row = |no: u32| page.contains(&format!("| {no} |")) || page.contains(&format!(" {no} |"));
    assert!((1..=71).all(|no| row(no) || no == 39));
}
