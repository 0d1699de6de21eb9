//! The examples of docs/configuration.md.

use super::*;

#[test]
fn each_transformation_does_what_the_page_says() {
    let page = include_str!("../../../../../docs/configuration.md");
    let table = page.split("### Transformations").nth(1).unwrap().split("\n### ").next().unwrap();
    let mut tried = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let code = |cell: &str| cell.trim_matches('`').to_owned();
        let [transform, _, value, expected] = cells.as_slice() else { panic!("{row}") };
        let mapping = format!("{{ from: x, transform: {} }}", code(transform));
        assert_eq!(out("json", &mapping, &code(value)), code(expected), "{row}");
        tried += 1;
    }
    assert!(tried >= 40, "only {tried} rows were found");
}
