use super::*;
use crates::Package;

fn package(name: &str, text: &str, dependencies: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        manifest: format!("crates/{name}/Cargo.toml"),
        text: text.to_owned(),
        dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn paths(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn crates_point_in_one_direction() {
    let text = "[dependencies]\nserde.workspace = true\nsyncline-engine = { path = \"../x\" }\n";
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("syncline", &["syncline-engine", "syncline-core", "clap"], None),
        ("syncline-engine", &["syncline-store", "syncline-adapters", "tokio"], None),
        ("syncline-store", &["syncline-engine"], Some("points back")),
        ("syncline-core", &["syncline-engine"], Some("points back")),
        ("syncline-core", &["rand"], Some("is not pure")),
        ("xtask", &["syncline-core"], Some("points back")),
        ("syncline-new", &[], Some("no place")),
    ];
    for (name, dependencies, expected) in cases {
        let found = lines(&crates::check(&[package(name, text, dependencies)]));
        match expected {
            None => assert_eq!(found, Vec::<String>::new(), "{name}"),
            Some(expected) => assert!(found[0].contains(expected), "{name}: {found:?}"),
        }
    }
    let found = crates::check(&[package("syncline-store", text, &["syncline-engine"])]);
    assert_eq!(found[0].line, 3);
}

#[test]
fn the_map_names_every_crate() {
    let paths = paths(&["crates/syncline/Cargo.toml", "crates/syncline-new/Cargo.toml"]);
    let found = lines(&crates::check_map(&paths, "syncline/ the command\nsyncline-core/"));
    assert_eq!(found, ["ARCHITECTURE.md:1: does not name `syncline-new/`"]);
}

#[test]
fn packages_are_counted() {
    let lock = "[[package]]\nname = \"a\"\n\n[[package]]\nname = \"b\"\n";
    assert!(crates::check_lock(lock, 2).is_empty());
    assert_eq!(crates::check_lock(lock, 1).len(), 1);
}

#[test]
fn names_say_what_is_inside() {
    let cases = [
        ("crates/a/src/utils.rs", false),
        ("crates/a/src/helpers/mod.rs", false),
        ("docs/Misc.md", false),
        ("crates/a/src/common.tests.rs", false),
        ("crates/a/src/uncommon.rs", true),
        ("crates/a/src/commons_licence.rs", true),
    ];
    for (path, fine) in cases {
        assert_eq!(files::check_name(path).is_none(), fine, "{path}");
    }
}

#[test]
fn sources_hold_nothing_forbidden() {
    let cases = [
        (concat!("#[", "allow(dead_code)]"), 1),
        (concat!("    #![", "allow(dead_code)]"), 1),
        (concat!("// #[", "allow(dead_code)] is not what we do"), 0),
        (concat!("#[", "ignore = \"slow\"]"), 1),
        (concat!("todo", "!(\"later\")"), 1),
        (concat!("unimplemented", "!()"), 1),
        ("#[expect(dead_code, reason = \"x\")]", 0),
        ("fn allow() {}", 0),
        ("let x = 1; ", 1),
        ("let x = 1;\r\n", 1),
    ];
    for (text, count) in cases {
        assert_eq!(files::check_text("crates/a/src/b.rs", text).len(), count, "{text}");
    }
    assert!(files::check_text("examples/crm/data/a.txt", "kept \n").is_empty());
}

#[test]
fn the_core_stays_pure() {
    let cases = [
        ("use std::fs::File;", 1),
        ("let now = SystemTime::now();", 1),
        ("let now = jiff::Timestamp::now();", 1),
        ("pub async fn read() {}", 1),
        ("tokio::spawn(x)", 1),
        ("let x = rand::rng();", 1),
        ("let x = operand::value();", 0),
        ("/// No tokio, no std::fs.", 0),
    ];
    for (text, count) in cases {
        let found = files::check_text("crates/syncline-core/src/plan.rs", text);
        assert_eq!(found.len(), count, "{text}: {found:?}");
        assert!(files::check_text("crates/syncline-store/src/x.rs", text).is_empty());
    }
}

#[test]
fn long_files_are_split_unless_they_are_tests() {
    let text = "x\n".repeat(601);
    let cases = [("src/a.rs", 1), ("src/tests.rs", 0), ("tests/it/a.rs", 0), ("docs/a.md", 0)];
    for (path, count) in cases {
        assert_eq!(files::check_text(&format!("crates/a/{path}"), &text).len(), count, "{path}");
    }
    assert!(files::check_text("crates/a/src/a.rs", &"x\n".repeat(600)).is_empty());
}

#[test]
fn examples_say_what_they_show() {
    let found = files::check_examples(&paths(&[
        "examples/a/syncline.yaml",
        "examples/b/syncline.yaml",
        "examples/b/README.md",
        "examples/c/data.csv",
    ]));
    assert_eq!(lines(&found), ["examples/a/syncline.yaml:1: no README.md beside it"]);
}
