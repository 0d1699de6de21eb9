//! What docs/ says of the configuration: complete, and right.

use super::*;
use crate::plan::program::Program;
use serde_json::Value;
use std::collections::BTreeSet;

const CARDDAV: &str = include_str!("../../../../../docs/carddav.md");
const DATABASES: &str = include_str!("../../../../../docs/databases.md");
const CONFIGURATION: &str = include_str!("../../../../../docs/configuration.md");
const MATCHING: &str = include_str!("../../../../../docs/matching.md");
const SYNC: &str = include_str!("../../../../../docs/sync.md");

const WEBHOOKS: &str = include_str!("../../../../../docs/webhooks.md");

/// Property names, and values of which one has to be chosen.
fn collect(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("properties", Value::Object(properties)) => {
                        words.extend(properties.keys().cloned());
                        properties.values().for_each(|value| collect(value, words));
                    }
                    ("const", Value::String(word)) => _ = words.insert(word.clone()),
                    ("enum", Value::Array(values)) => {
                        words.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("$defs", Value::Object(definitions)) => {
                        definitions.values().for_each(|value| collect(value, words));
                    }
                    ("default", _) => {}
                    _ => collect(value, words),
                }
            }
        }
        _ => {}
    }
}

/// The words between single backticks; fenced blocks say nothing of what their keys mean.
fn words_in_backticks(page: &str) -> BTreeSet<&str> {
    let mut words = BTreeSet::new();
    let prose = page.split("```").step_by(2).flat_map(str::lines);
    for code in prose.flat_map(|line| line.split('`').skip(1).step_by(2)) {
        words.extend(code.split(|c: char| !c.is_alphanumeric() && c != '_'));
    }
    words
}

#[test]
fn every_key_and_choice_of_the_json_schema_is_explained() {
    let (mut known, mut said) = (BTreeSet::new(), words_in_backticks(CONFIGURATION));
    said.extend(words_in_backticks(WEBHOOKS));
    collect(&json_schema(), &mut known);
    assert!(known.len() > 200, "the schema was walked: {known:?}");
    let missing: Vec<_> = known.iter().filter(|word| !said.contains(word.as_str())).collect();
    assert!(missing.is_empty(), "no page explains {missing:?}");
}

#[test]
fn every_key_of_a_write_block_is_explained() {
    let page = include_str!("../../../../../docs/connector-writing.md");
    let (mut known, said) = (BTreeSet::new(), words_in_backticks(page));
    collect(&write_json_schema(), &mut known);
    assert!(known.len() > 40, "the schema was walked: {known:?}");
    let missing: Vec<_> = known.iter().filter(|word| !said.contains(word.as_str())).collect();
    assert!(missing.is_empty(), "docs/connector-writing.md does not explain {missing:?}");
}

#[test]
fn the_yaml_of_each_page_is_one_configuration() {
    for (name, page) in [
        ("carddav", CARDDAV),
        ("configuration", CONFIGURATION),
        ("databases", DATABASES),
        ("matching", MATCHING),
        ("sync", SYNC),
        ("webhooks", WEBHOOKS),
    ] {
        let blocks = page.split("```yaml\n").skip(1).zip(1..).map(|(rest, number)| {
            let text = rest.split("```").next().unwrap_or_default();
            file(&format!("{name}-{number}.yaml"), text)
        });
        let files: Vec<_> = blocks.collect();
        assert!(!files.is_empty(), "docs/{name}.md has examples");
        let mut loaded = match load(files, &|_| Ok("secret".to_owned()), model::ADAPTERS) {
            Ok(loaded) => loaded,
            Err(diagnostics) => panic!("docs/{name}.md: {diagnostics}"),
        };
        // Models are no part of a page: they count as still to be trained.
        let matched = loaded.config.shard_types.values_mut().filter_map(|t| t.matching.as_mut());
        for matching in matched.filter(|matching| matching.model.is_some()) {
            matching.trained = Some(Default::default());
        }
        if let Err(problems) = Program::compile(&loaded.config) {
            panic!("docs/{name}.md: {problems:#?}");
        }
    }
}
