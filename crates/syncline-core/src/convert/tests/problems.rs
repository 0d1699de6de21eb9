//! What is wrong with a conversion schema, and where.

use super::*;

/// The problems of one mapping.
fn of(field_type: &str, mapping: &str) -> Vec<String> {
    Setup::field(field_type, mapping).problems()
}

/// Mappings of a field of type `integer`, and the first problem in each.
const MISTAKES: &[(&str, &str)] = &[
    (
        "{ from: x, value: 1 }",
        "fields.out.value: a mapping has one source, and this one has `from`, `value` (keep `from` or `value`)",
    ),
    (
        "{ required: true }",
        "fields.out: this mapping does not say where its value comes from (add one of `from`, `value`, `template`, `when`, `flatten`, `lookup`, `expression`)",
    ),
    ("{ from: [] }", "fields.out.from: this list of fields is empty"),
    ("''", "fields.out: a source field needs a name"),
    ("{ from: x, else: 1 }", "fields.out.else: `else` goes with `when`"),
    (
        "{ from: x, separator: ',' }",
        "fields.out.separator: `separator` goes with a list of fields in `from` (to join the values of `flatten`, put it there)",
    ),
    ("{ value: abc }", "fields.out.value: expected a whole number, found text `abc`"),
    ("{ from: x, default: abc }", "fields.out.default: expected a whole number, found text `abc`"),
    (
        "{ when: [{ if: x > 1, then: abc }], else: def }",
        "fields.out.when[0].then: expected a whole number, found text `abc`",
    ),
    (
        "{ when: [{ then: 1 }] }",
        "fields.out.when[0]: a case needs an `if` (what holds otherwise goes into `else`, beside `when`)",
    ),
    (
        "{ when: [{ if: x > 1 }] }",
        "fields.out.when[0]: a case needs exactly one of `then`, `field` and `expression`",
    ),
    (
        "{ when: [{ if: { field: x, op: in, value: 1 }, then: 1 }] }",
        "fields.out.when[0].if.value: `in` and `not_in` need a list of values (write it as `[a, b, c]`)",
    ),
    (
        "{ when: [{ if: { field: x, op: gt }, then: 1 }] }",
        "fields.out.when[0].if: this operator needs a `value` to compare with (to ask for null, use `is_null` or `is_not_null`)",
    ),
    (
        "{ value: '{{ tenat }}' }",
        "fields.out.value: there is no name `tenat` (did you mean `tenant`?)",
    ),
    (
        "{ from: x, transform: { divide: 0 } }",
        "fields.out.transform.divide: nothing can be divided by zero",
    ),
    (
        "{ from: x, transform: [trim, { regex_replace: { pattern: '(' } }] }",
        "fields.out.transform[1].regex_replace.pattern: not a regular expression: unclosed group",
    ),
    (
        "{ from: x, transform: { parse_date: DD.MM } }",
        "fields.out.transform.parse_date: not a date format: `DD.MM` is no date format: it names no part of a date (strftime formats look like `%d/%m/%Y` or `%Y-%m-%d %H:%M`)",
    ),
    (
        "{ from: x, transform: { currency_convert: { from: EUR, to: USD, rates: { EUR: 1 } } } }",
        "fields.out.transform.currency_convert.to: there is no rate for currency `USD` (known: EUR)",
    ),
    (
        "{ from: x, validate: { pattern: '[' } }",
        "fields.out.validate.pattern: not a regular expression: unclosed character class",
    ),
    (
        "{ from: x, validate: { min: 5, max: 1 } }",
        "fields.out.validate.min: no number is at least 5 and at most 1",
    ),
    (
        "{ lookup: { shard_type: usr, from: a, return: b } }",
        "fields.out.lookup.shard_type: there is no shard type `usr` (known: thing)",
    ),
    (
        "{ lookup: { shard_type: thing, from: a, return: ot } }",
        "fields.out.lookup.return: there is no field of shard type `thing` named `ot` (did you mean `out`?)",
    ),
    (
        "{ lookup: { shard_type: thing, by: on, from: a, return: out } }",
        "fields.out.lookup.by: there is no field of shard type `thing` named `on` (did you mean `out`?)",
    ),
    (
        "{ template: '${x' }",
        "fields.out.template: bad template: a `${` is not closed, or stands beside `{%` (write fields as `{{ Name }}` instead)",
    ),
];

#[test]
fn each_mistake_has_its_place() {
    for (mapping, expected) in MISTAKES {
        assert_eq!(
            of("integer", mapping).first().map(String::as_str),
            Some(*expected),
            "{mapping}"
        );
    }
}

#[test]
fn a_bad_expression_is_underlined() {
    let parts = [
        (r#"{ expression: '"ä" ~ * 3' }"#, "fields.out.expression[6..7]: bad expression: "),
        ("{ expression: 'x|uper' }", "fields.out.expression["),
        ("{ template: 'a {{ x|uper }}' }", "fields.out.template["),
        ("{ template: 'a {{ First Name }}' }", "fields.out.template[11..15]: bad template: "),
        ("{ from: x, validate: { custom: 'value >' } }", "fields.out.validate.custom"),
    ];
    for (mapping, expected) in parts {
        let found = of("text", mapping);
        assert!(found[0].starts_with(expected), "{mapping}: {found:?}");
    }
    assert!(of("text", "{ expression: 'x|uper' }")[0].contains("filter uper is unknown"));
    assert!(
        of("text", "{ expression: '{{ x }}' }")[0]
            .ends_with("(write an expression without braces: `Amount * 1.2`)")
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let setup = Setup::new(
        "{ contact: { fields: { email: text, age: integer } } }",
        r"
shard_type: contact
filter: [ { field: x, op: regex, value: '(' } ]
fields:
  emial: mail
  age: { value: old, transform: [ { truncate: 3 } ], default: young }
relationships: { owner: { shard_type: contct, from: o } }
derived:
  - { shard_type: contact, fields: { email: { lookup: { shard_type: contact, from: x, return: email } } } }
  - { shard_type: contact, fields: {}, normalise: text }
",
    );
    assert_eq!(
        setup.problems(),
        [
            "filter[0].value: not a regular expression: unclosed group",
            "fields.age.default: expected a whole number, found text `young`",
            "fields.emial: there is no field of shard type `contact` named `emial` (did you mean `email`?)",
            "relationships.owner.shard_type: there is no shard type `contct` (did you mean `contact`?)",
            "derived[0].fields.email.lookup: a derived shard cannot have lookups (look the value up in the primary shard's fields)",
            "derived[1]: there are two derived shards named `contact` (give each a `name` of its own)",
            "derived[1]: there are two relationships named `contact` (give this one a `relationship` of its own)",
            "derived[1].normalise: `normalise` goes with `key` (without a key, each record has its own derived shard)",
        ]
    );
    let mut unknown = Setup::field("text", "x");
    unknown.schema = "{ shard_type: thng, fields: { anything: x } }".to_owned();
    assert_eq!(
        unknown.problems(),
        ["shard_type: there is no shard type `thng` (did you mean `thing`?)"]
    );
    let mut formats = Setup::field("text", "x");
    formats.entity = "{ key: id, modified_format: ['%d.%m.%Y', 'dd.mm.yyyy'] }".to_owned();
    assert_eq!(
        formats.problems(),
        [
            "connections.crm.entities.Contact.modified_format: `modified_format` goes with `modified`",
            "connections.crm.entities.Contact.modified_format[1]: `dd.mm.yyyy` is no date format: it names no part of a date",
        ]
    );
    let mut keyless = Setup::field("text", "x");
    keyless.entity = "{ key: [] }".to_owned();
    assert_eq!(
        keyless.problems(),
        ["connections.crm.entities.Contact.key: an entity needs at least one key field"]
    );
}
