//! The way back: which mappings invert, and the laws that they keep.

use super::{Names, yaml};
use crate::config::model::{ConversionSchema, Entity, OneOrMany, ShardType};
use crate::convert::{Converter, Outbound, OutboundSpec};
use crate::problem::ConfigPath;
use crate::shard::Layout;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

struct Lens {
    layout: Arc<Layout>,
    converter: Converter,
    outbound: Result<Outbound, Vec<String>>,
}

/// A schema over text fields `a` and `b` and number field `n`, by its `fields` and what else it says.
fn lens(schema: &str, read_only: &[&str]) -> Lens {
    let types: ShardType = yaml("fields: { a: text, b: text, n: number, d: date, flag: boolean }");
    let schema: ConversionSchema = yaml(&format!("shard_type: t\n{schema}"));
    let entity = Entity { key: OneOrMany::One("id".to_owned()), ..Entity::default() };
    let layout = Arc::new(Layout::new("t", &types));
    let layouts: BTreeMap<String, Arc<Layout>> = [("t".to_owned(), layout.clone())].into();
    let names = Names { tenant: "", connection: "c", entity: "e", task: "t" };
    let path = ConfigPath::root().key("s");
    let converter = Converter::compile(&schema, &entity, &layouts, &names, &path).unwrap();
    let spec = OutboundSpec {
        schema: &schema,
        schema_path: &path,
        entity: &entity,
        filter: &[],
        filter_path: &path,
        read_only: &read_only.iter().copied().collect::<BTreeSet<_>>(),
    };
    let outbound = Outbound::compile(&spec, &layout, &names);
    let shown = |p: crate::problem::Problem| format!("{}: {}", p.path, p.message);
    let outbound = outbound.map_err(|wrong| wrong.into_iter().map(shown).collect());
    Lens { layout, converter, outbound }
}

fn problems(schema: &str) -> Vec<String> {
    lens(schema, &[]).outbound.err().unwrap_or_default()
}

/// What is written for a shard.
fn written(lens: &Lens, shard: &str) -> String {
    let image = lens.layout.read_json(shard).unwrap();
    let fields = lens.outbound.as_ref().unwrap().create(&image, 7).unwrap();
    Value::Map(fields).to_json()
}

#[test]
fn what_inverts_is_written_back_as_it_was_read() {
    let cases = [
        ("a: A", r#"{"a":"x"}"#, r#"{"A":"x"}"#),
        ("a: { from: A, transform: [trim, lowercase] }", r#"{"a":"x"}"#, r#"{"A":"x"}"#),
        ("n: { from: cents, transform: [{ divide: 100 }] }", r#"{"n":1.25}"#, r#"{"cents":125}"#),
        ("n: { from: N, transform: [{ add: 3 }, { multiply: 2 }] }", r#"{"n":10}"#, r#"{"N":2}"#),
        (
            "a: { from: A, transform: [{ map: { values: { m: male } } }] }",
            r#"{"a":"male"}"#,
            r#"{"A":"m"}"#,
        ),
        (
            "d: { from: D, transform: [{ parse_date: '%d.%m.%Y' }] }",
            r#"{"d":"2025-12-09"}"#,
            r#"{"D":"09.12.2025"}"#,
        ),
        ("n: { from: N, transform: [to_number] }", r#"{"n":5}"#, r#"{"N":"5"}"#),
        // Whoever sends it puts the other record's id there.
        (
            "a: { lookup: { shard_type: t, from: A, return: shard_id } }",
            r#"{"a":"x"}"#,
            r#"{"A":"x"}"#,
        ),
        ("a: { value: fixed }", r#"{"a":"x"}"#, "{}"),
        ("a: A", r#"{"a":null}"#, r#"{"A":null}"#),
        ("a: A", "{}", "{}"),
    ];
    for (field, shard, expected) in cases {
        let lens = lens(&format!("fields:\n  {field}"), &[]);
        assert_eq!(written(&lens, shard), expected, "{field}");
        // What was written is what is read.
        let image = lens.layout.read_json(shard).unwrap();
        let outbound = lens.outbound.as_ref().unwrap();
        for (index, cell) in image.iter().enumerate() {
            let back = outbound.project(&lens.converter, &image, 7, index, cell);
            assert_eq!(&back, cell, "{field}");
        }
    }
}

#[test]
fn a_projection_is_what_reading_back_gives() {
    let lens = lens("fields:\n  a: { from: A, transform: [trim, lowercase] }", &[]);
    let image = lens.layout.read_json(r#"{"a":" Ann "}"#).unwrap();
    let outbound = lens.outbound.as_ref().unwrap();
    let once = outbound.project(&lens.converter, &image, 7, 0, &image[0]);
    assert_eq!(once, Some(Value::text("ann")));
    assert_eq!(outbound.project(&lens.converter, &image, 7, 0, &once), once);
}

#[test]
fn what_does_not_invert_is_refused_where_it_stands() {
    let cases = [
        (
            "a: { from: Name, transform: [{ split: { take: first } }] }",
            "s.fields.a: `a` cannot be written back: `split` loses the other parts",
        ),
        (
            "a: { template: '{{ A }}!' }",
            "s.fields.a: `a` cannot be written back: it is made by a rule",
        ),
        (
            "a: Address.city",
            "s.fields.a: `a` cannot be written back: it comes from inside another field",
        ),
        ("a: { from: [A, B] }", "s.fields.a: `a` cannot be written back: it joins several fields"),
        (
            "a: { from: A, transform: [{ map: { values: { x: y, z: y } } }] }",
            "s.fields.a: `a` cannot be written back: `map` gives two values one and the same",
        ),
        (
            "a: { from: A, transform: [{ truncate: 3 }] }",
            "s.fields.a: `a` cannot be written back: `truncate` loses the rest of the text",
        ),
        ("a: A\n  b: A", "s.fields.b: `b` and `a` both come from `A`"),
    ];
    for (fields, problem) in cases {
        assert_eq!(problems(&format!("fields:\n  {fields}")), [problem], "{fields}");
    }
    // A field that is never written need not invert.
    assert!(lens("fields:\n  a: { template: '{{ A }}' }", &["a"]).outbound.is_ok());
}

#[test]
fn a_declared_way_back_takes_the_place_of_what_does_not_invert() {
    let schema = "fields:\n  a: { from: Name, transform: [{ split: { take: first } }] }\n  \
                  b: { from: Name, transform: [{ split: { take: last } }] }\n\
                  outbound: { Name: { template: '{{ a }} {{ b }}' }, id: shard_id }";
    let lens = lens(schema, &[]);
    let shard = r#"{"a":"Ann","b":"Lee"}"#;
    let id = "00000000-0000-0000-0000-000000000007";
    assert_eq!(written(&lens, shard), format!(r#"{{"Name":"Ann Lee","id":"{id}"}}"#));
    let image = lens.layout.read_json(shard).unwrap();
    let outbound = lens.outbound.as_ref().unwrap();
    // A change of either writes the whole; the key is written once.
    let update = outbound.update(&image, 7, &[1]).unwrap();
    assert_eq!(Value::Map(update).to_json(), r#"{"Name":"Ann Lee"}"#);
    let projected = outbound.project(&lens.converter, &image, 7, 1, &Some(Value::text("Ray")));
    assert_eq!(projected, Some(Value::text("Ray")));
    let unknown = problems("fields: { a: A }\noutbound: { B: { template: '{{ c }}' } }");
    assert_eq!(unknown, ["s.outbound.B: there is no field of `t` `c`"]);
}

#[test]
fn a_breach_of_the_laws_is_told_with_the_values() {
    let lens = lens(
        "fields:\n  a: { from: A, transform: [trim] }\n  b: B\noutbound: { B: { template: '{{ b }}!' } }",
        &[],
    );
    let outbound = lens.outbound.as_ref().unwrap();
    let image = lens.layout.read_json(r#"{"a":"x","b":"y"}"#).unwrap();
    let (padded, plain) = (Value::text(" x "), Value::text("x"));
    let breach =
        |field, record: &[(&str, &Value)]| outbound.breach(&lens.converter, &image, field, record);
    assert_eq!(breach(0, &[("A", &plain)]), None);
    assert_eq!(breach(0, &[("A", &padded)]).unwrap(), r#"`A`: " x " would be written back as "x""#);
    assert_eq!(breach(1, &[]).unwrap(), r#""y" would be read back as "y!""#);
}
