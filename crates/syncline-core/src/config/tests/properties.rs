//! Random configurations: what fits the schema becomes plain data, and nothing panics.

use super::super::diagnostic::Findings;
use super::super::document::{Document, Style};
use super::super::{align, deserialize, shape};
use super::*;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Choices, taken from random bytes; when they end, the smallest choice is taken.
struct Tape(std::vec::IntoIter<u8>);

impl Tape {
    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % limit.max(1)
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A value for `schema`: one that fits, but for `wild` of 64 parts.
fn value(root: &Value, schema: &Value, tape: &mut Tape, wild: usize, depth: usize) -> Value {
    if tape.below(64) + 1 > 64 - wild || schema.is_boolean() || depth > 12 {
        let junk = [
            json!(null),
            json!(true),
            json!(-3),
            json!(2.5),
            json!("text"),
            json!([]),
            json!({}),
            json!(["a", 1]),
            json!({ "from": "x" }),
            json!(18_446_744_073_709_551_615_u64),
        ];
        return tape.pick(&junk).clone();
    }
    if let Some(target) = schema["$ref"].as_str() {
        return value(root, root.pointer(&target[1..]).unwrap(), tape, wild, depth);
    }
    if let (Some(several), None) =
        (schema["anyOf"].as_array().or(schema["oneOf"].as_array()), schema.get("properties"))
    {
        return value(root, tape.pick(several), tape, wild, depth);
    }
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    if let Some(several) = schema["enum"].as_array() {
        return tape.pick(several).clone();
    }
    let name = match &schema["type"] {
        Value::Array(several) => tape.pick(several).as_str().unwrap().to_owned(),
        one => one.as_str().unwrap().to_owned(),
    };
    match name.as_str() {
        "object" => object(root, schema, tape, wild, depth),
        "array" => {
            let length = tape.below(3);
            let items = &schema["items"];
            (0..length).map(|_| value(root, items, tape, wild, depth + 1)).collect()
        }
        "string" if schema["maxLength"] == 1 => json!(tape.pick(&[",", "é", "\t"])),
        "string" => json!(tape.pick(&["a", "b", "x y", "é: \"q\"\n", "", "no", "12"])),
        "integer" => json!(tape.pick(&[1, 0, 7, 100_000, 4_294_967_296_i64])),
        "number" => json!(tape.pick(&[1.0, 0.5, 2.25, -1.0])),
        "boolean" => json!(tape.below(2) == 1),
        _ => Value::Null,
    }
}

fn object(root: &Value, schema: &Value, tape: &mut Tape, wild: usize, depth: usize) -> Value {
    let mut entries = serde_json::Map::new();
    let either = schema["anyOf"].as_array().map(|several| &tape.pick(several)["required"][0]);
    let required = schema["required"].as_array().into_iter().flatten().chain(either);
    let required: Vec<&str> = required.filter_map(Value::as_str).collect();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let chance = if property.get("deprecated").is_some() { 12 } else { 3 };
        let wanted = required.contains(&key.as_str()) && tape.below(64) >= wild;
        if wanted
            || (either.is_none_or(|e| e != "op" || key != "operator") && tape.below(chance) == 1)
        {
            entries.insert(key.clone(), value(root, property, tape, wild, depth + 1));
        }
    }
    if let Some(item @ Value::Object(_)) = schema.get("additionalProperties") {
        for key in ["a", "b", "no"].iter().take(tape.below(4)) {
            entries.insert((*key).to_owned(), value(root, item, tape, wild, depth + 1));
        }
    } else if tape.below(64) + 1 > 64 - wild {
        entries.insert("stray".to_owned(), json!(1));
    }
    entries.into()
}

/// What the check of shapes says of `text` and what is left as plain data.
fn shaped<T: DeserializeOwned>(schema: &Value, text: &str) -> (String, Result<T, String>) {
    let mut findings = Findings::default();
    let (mut document, _) = Document::parse(vec![file("t.yaml", text)], &mut findings);
    let Document { sources, root } = &mut document;
    shape::check(schema, root, sources, &mut findings);
    let read = T::deserialize(deserialize::At::new(root)).map_err(|error| error.message);
    let said: Vec<String> = findings.0.into_iter().map(|one| one.message).collect();
    (said.join("; "), read)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_fits_the_schema_becomes_the_plain_data(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        wild in 0_usize..4,
    ) {
        let schema = json_schema();
        let tree = value(&schema, &schema, &mut Tape(bytes.into_iter()), wild, 0);
        let (said, read) = shaped::<Config>(&schema, &tree.to_string());
        // Also what is left after something was wrong must fit.
        prop_assert!(read.is_ok(), "{tree}\n{said}\n{read:?}");
        // An empty section of nothing counts as an empty map here.
        if said.is_empty() && let Ok(direct) = serde_json::from_value::<Config>(tree.clone()) {
            prop_assert_eq!(read.unwrap(), direct, "{}", tree);
        }
    }

    #[test]
    fn no_text_makes_it_panic_and_every_place_is_in_the_text(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "connections", "shard_types", "tenant", ": ", ":\n  ", "\n", "\n  ", "\n- ", "[", "]",
                    "{", "}", ", ", "\"", "'", "|\n", ">\n", "&a ", "*a", "<<: ", "!x ", "${env:TOKEN}",
                    "${var:nope}", "$${", "#c\n", "\t", "\r\n", "é", "\u{feff}", "---\n", "...", "? ", "1e999",
                    "12", "%TAG ! x\n", "\\u00e9", "fields", "adapter",
                ]).prop_map(str::to_owned),
                "[ -~é]{0,4}",
            ],
            0..24,
        ),
    ) {
        let text = pieces.concat();
        if let Err(Diagnostics(all)) = read(&text) {
            for one in &all {
                let marked = text.get(one.offset..one.offset + one.bytes);
                prop_assert!(marked.is_some(), "{text:?} {one:?}");
                let shown: String =
                    one.source_line.chars().skip(one.indent).take(one.length).collect();
                prop_assert_eq!(marked.unwrap(), shown.get(..one.bytes).unwrap_or(&shown), "{:?}", text);
            }
        }
    }

    #[test]
    fn characters_are_found_in_quotes(text in "[a-c\"'\\\\ é\n\t\u{1f600}\u{1}]{1,12}", ends in any::<(u8, u8)>()) {
        let length = text.chars().count();
        let (a, b) = (usize::from(ends.0) % length, usize::from(ends.1) % length);
        let part = a.min(b)..a.max(b) + 1;
        let source = serde_json::to_string(&text).unwrap();
        let bytes = align::align(&source, &text, Style::DoubleQuoted, &part).unwrap();
        let found: String = serde_json::from_str(&format!("\"{}\"", &source[bytes])).unwrap();
        let expected: String = text.chars().skip(part.start).take(part.len()).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn most_random_configurations_fit() {
    let schema = json_schema();
    let tapes = (0..200_u64).map(|seed| {
        let mut state = seed;
        let bytes = std::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        Tape(bytes.take(600).collect::<Vec<_>>().into_iter())
    });
    let fits = tapes
        .filter_map(|mut tape| {
            let tree = value(&schema, &schema, &mut tape, 0, 0);
            let (said, _) = shaped::<Config>(&schema, &tree.to_string());
            (said.is_empty() && tree.to_string().len() > 200).then_some(())
        })
        .count();
    assert!(fits > 20, "only {fits} of 200");
}

/// Names with settings of every form.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// Alone.
    Trim,
    Upper,
    Truncate(u8),
    #[serde(alias = "divide")]
    Split {
        #[serde(alias = "by")]
        on: String,
        #[serde(default)]
        limit: Option<i32>,
    },
    Pair(String, f64),
    Nested(Box<Steps>),
    Unit(()),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Steps {
    #[serde(default)]
    steps: model::OneOrMany<Step>,
}

#[test]
fn names_with_settings_of_every_form() {
    let aliases = [("Step.split", "by", "on"), ("Step", "divide", "split")];
    let schema = schema::finish(schemars::schema_for!(Steps).to_value(), &aliases);
    for (text, expected) in [
        ("trim", ""),
        ("[trim, upper, {truncate: 5}, {split: {on: x}}, {divide: {on: x, limit: 3}}]", ""),
        ("[{pair: [a, 1]}, {nested: {steps: [trim]}}, {unit: }]", ""),
        ("{truncate: 5}", ""),
        ("[{split: {by: x}}, {divide: {by: x}}]", ""),
        ("{split: {by: x, on: y}}", "`by` and `on` are the same key"),
        ("[{trunkate: 5}]", "unknown name `trunkate`"),
        ("truncate", "`truncate` needs settings"),
        ("{trim: }", "`trim` takes no settings"),
        ("[{truncate: 256}]", "the number must be at most 255"),
        ("[{truncate: -1}]", "the number must be at least 0"),
        ("[{truncate: x}]", "expected a whole number, found text"),
        ("[{truncate: 1, split: {on: x}}]", "expected one name with its settings, found 2 keys"),
        ("[{split: {an: x}}, {split: {}}]", "unknown key `an`; missing key `on`"),
        (
            "[{pair: [a]}, {pair: [1, a]}]",
            "expected 2 items, found 1; expected text, found a number; expected a number, found text",
        ),
        (
            "[{}, [], 5]",
            "expected one name with its settings, found 0 keys; expected text or a map, found a list; expected text or a map, found a number",
        ),
        ("[{nested: {steps: trm}}]", "unknown value `trm`"),
    ] {
        let (said, read) = shaped::<Steps>(&schema, &format!("steps: {text}"));
        assert_eq!(said, expected, "{text}");
        assert!(read.is_ok(), "{text} {read:?}");
    }
}
