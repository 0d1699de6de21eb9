//! Whatever a record holds, converting it gives a result.

use super::*;
use proptest::prelude::*;

const TYPES: [&str; 9] =
    ["text", "integer", "number", "decimal", "boolean", "date", "timestamp", "list", "json"];

const MAPPINGS: &[&str] = &[
    "x",
    "x.a.0",
    "{ from: [x, y], separator: '-' }",
    "{ template: '{{ x }} {{ y }}' }",
    "{ template: '{{ x|string|upper }}{{ x.a }}' }",
    "{ expression: 'x * 2' }",
    "{ expression: 'x ~ y' }",
    "{ expression: '[x, {\"k\": y}]' }",
    "{ when: [{ if: x > y, field: x }, { if: { field: x, op: contains, value: a }, field: y }] }",
    "{ flatten: { from: x, path: a, where: { field: b, op: gt, value: 1 }, take: join } }",
    "{ from: x, transform: [capitalize, title, uppercase, lowercase, trim, { truncate: 2 }] }",
    "{ from: x, transform: { replace: { from: a, to: bb } } }",
    "{ from: x, transform: { regex_replace: { pattern: '.', to: '$0$0' } } }",
    "{ from: x, transform: { split: { take: -2 } } }",
    "{ from: x, transform: { concat: { fields: [y], before: a } } }",
    "{ from: x, transform: [{ multiply: 1e19 }, { add: 0.1 }, { divide: 7 }, { round: 3 }, floor, ceil, abs] }",
    "{ from: x, transform: { currency_convert: { from: A, to: B, rates: { A: 3, B: 7 } } } }",
    "{ from: x, transform: { parse_date: '%d/%m/%Y' } }",
    "{ from: x, transform: [{ add_days: 999999999 }, { format_date: '%A %d %B' }] }",
    "{ from: x, transform: to_timestamp }",
    "{ from: x, transform: extract_year }",
    "{ from: x, transform: [to_array, stringify_json, parse_json] }",
    "{ from: x, transform: parse_json }",
    "{ from: x, transform: to_boolean }",
    "{ from: x, transform: { map: { values: { a: 1 }, default: 2 } } }",
    "{ from: x, transform: { custom: 'value + y' } }",
    "{ from: x, validate: { min: 1, max_length: 3, pattern: 'a*' } }",
    "{ from: x, validate: { format: email } }",
    "{ from: x, validate: { format: url } }",
    "{ from: x, validate: { format: phone } }",
    "{ from: x, validate: { format: timestamp } }",
];

fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        ".{0,12}",
        "[ 0-9.eE+-]{0,12}",
        "-?[0-9]{1,6}-[0-9]{1,2}-[0-9]{1,2}([T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2})?Z?)?",
        "[a-z:/@.]{0,10}",
        "[\\[{\"a:1,}\\]]{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter_map("finite", Value::float),
        any::<u128>().prop_map(|n| Value::Decimal(CompactString::new(n.to_string()))),
        text.prop_map(Value::text),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec(("[ab]", inner), 0..3).prop_map(|entries| {
                Value::Map(entries.into_iter().map(|(k, v)| (CompactString::from(k), v)).collect())
            }),
        ]
    })
}

/// Every mapping that compiles in a field of each type, each a converter of its own.
fn converters() -> Vec<Converter> {
    let all = TYPES.iter().flat_map(|field_type| MAPPINGS.iter().map(move |m| (field_type, m)));
    all.filter_map(|(field_type, mapping)| Setup::field(field_type, mapping).compile().ok())
        .collect()
}

#[test]
fn any_record_converts_to_something_that_can_be_stored() {
    let converters = converters();
    assert!(converters.len() > TYPES.len() * (MAPPINGS.len() - 2));
    let shape = Arc::new(Shape::new(["id", "x", "y", "changed"]));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let cell = || prop::option::of(values());
    runner
        .run(&(cell(), cell(), cell(), cell()), |(id, x, y, changed)| {
            let record = Record { cells: vec![id, x, y, changed], ..Record::default() };
            let page = Page { shape: Arc::clone(&shape), records: vec![record], ..Page::default() };
            for converter in &converters {
                let converted = converter.convert(&page);
                prop_assert_eq!(converted.len(), 1);
                if let Outcome::Mapped(mapped) = &converted[0].outcome {
                    // What is stored must read back the same, or a second run finds changes that are none.
                    let json = converter.layout().to_json(&mapped.image);
                    prop_assert_eq!(&converter.layout().read_json(&json).unwrap(), &mapped.image);
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_converter_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Converter>();
}
