//! The kinds of mapping, relationships, lookups, derived shards, and what a record is besides its fields.

use super::*;

const RECORD: &str = r#"{
    "id": 7, "FirstName": "Ann", "LastName": "Lee", "Nick": null, "Blank": "  ", "Amount": 1250.5, "n": 3,
    "Address": { "City": "Ulm", "lines": ["a", "b"] }, "dotted.name": "kept", "First Name": "Ann M.", " Town ": "Ulm",
    "Phones": [
        { "type": "home", "number": "1" }, { "type": "work", "number": "2" },
        { "type": "work", "number": null }, { "type": "work", "number": "3" }
    ],
    "tags": ["x", "y"]
}"#;

/// Mappings, and what they make of [`RECORD`].
const KINDS: &[(&str, &str)] = &[
    // direct
    ("Address.City", r#""Ulm""#),
    ("Address.lines.1", r#""b""#),
    ("Address.lines.9", "-"),
    ("dotted.name", r#""kept""#),
    ("Nick", "null"),
    ("gone", "-"),
    ("{ from: n }", "3"),
    ("Town", r#""Ulm""#),
    ("' Town '", r#""Ulm""#),
    ("{ expression: Town }", r#""Ulm""#),
    // composite
    ("{ from: [FirstName, Nick, Blank, gone, LastName] }", r#""Ann Lee""#),
    ("{ from: [FirstName, n], separator: '/' }", r#""Ann/3""#),
    ("{ from: [Nick, gone] }", "-"),
    ("{ template: '{{ FirstName }} {{ Nick }} {{LastName}}' }", r#""Ann  Lee""#),
    ("{ template: ' ${Nick}${First Name}, ${Address.City} ' }", r#""Ann M., Ulm""#),
    ("{ template: '{{ Nick }} at {{ gone }}{{ Blank }}' }", "-"),
    ("{ template: 'n. {{ n }} for {{ Amount }}' }", r#""n. 3 for 1250.5""#),
    ("{ template: '{{ FirstName|upper }} {{ Nick }}{{ n * 2 }}' }", r#""ANN 6""#),
    ("{ template: '{{ FirstName|upper }} ${First Name}' }", r#""ANN Ann M.""#),
    ("{ template: '{{ Nick|upper }} {{ gone.further }}' }", "-"),
    ("{ template: '{% if n > 2 %}many{% else %}few{% endif %}' }", r#""many""#),
    ("{ template: '{% for p in Phones %}{{ p.type }},{% endfor %}' }", r#""home,work,work,work,""#),
    ("{ template: 'fixed' }", r#""fixed""#),
    ("{ template: '{{ tags }} {{ 3.0 }}' }", r#""[\"x\",\"y\"] 3""#),
    // default
    (
        "{ value: '{{ connection }}/{{ entity }}/{{ task.name }}/{{tenant}}' }",
        r#""crm/Contact/nightly/acme""#,
    ),
    ("{ value: 5 }", "5"),
    // conditional
    (
        "{ when: [{ if: n >= 5, then: a }, { if: n >= 3, field: LastName, transform: uppercase }] }",
        r#""LEE""#,
    ),
    ("{ when: [{ if: { field: n, op: gt, value: 9 }, then: a }], else: b }", r#""b""#),
    (
        "{ when: [{ if: [{ field: n, op: gt, value: 2 }, { field: n, op: lt, value: 4 }], expression: n * 2 }] }",
        "6",
    ),
    ("{ when: [{ if: n > 9, then: a }] }", "-"),
    ("{ when: [{ if: n > 9, then: a }], default: d }", r#""d""#),
    // flatten
    ("{ flatten: { from: Phones, path: number } }", r#""1""#),
    (
        "{ flatten: { from: Phones, path: number, where: { field: type, op: eq, value: work } } }",
        r#""2""#,
    ),
    ("{ flatten: { from: Phones, path: number, take: last } }", r#""3""#),
    ("{ flatten: { from: Phones, path: number, take: all } }", r#"["1","2","3"]"#),
    ("{ flatten: { from: Phones, path: number, take: join } }", r#""1, 2, 3""#),
    (
        "{ flatten: { from: Phones, take: count, where: { field: type, op: eq, value: work } } }",
        "3",
    ),
    (
        "{ flatten: { from: Phones, path: number, where: { field: type, op: eq, value: fax } } }",
        "null",
    ),
    ("{ flatten: { from: tags, take: join, separator: '' } }", r#""xy""#),
    ("{ flatten: { from: Address, path: lines.0 } }", r#""a""#),
    ("{ flatten: { from: gone } }", "-"),
    ("{ flatten: { from: Nick } }", "null"),
    // expression
    ("{ expression: 'Amount * 2' }", "2501"),
    ("{ expression: 'Amount > 1000 and n < 5' }", "true"),
    ("{ expression: Nick }", "null"),
    ("{ expression: gone }", "-"),
    ("{ expression: 'FirstName ~ Nick ~ LastName' }", r#""AnnLee""#),
    ("{ expression: \"'none' if Nick is none else Nick\" }", r#""none""#),
    ("{ expression: 'Phones|map(attribute=\"type\")|unique|list' }", r#"["home","work"]"#),
    ("{ expression: 'Address' }", r#"{"City":"Ulm","lines":["a","b"]}"#),
    (
        "{ expression: 'FirstName + n' }",
        "! tried to use + operator on unsupported types string and number",
    ),
];

#[test]
fn each_kind_of_mapping() {
    for (mapping, expected) in KINDS {
        assert_eq!(out_of_record("json", mapping, RECORD), *expected, "{mapping}");
    }
}

#[test]
fn a_number_beyond_floats_goes_through_expressions_exactly() {
    assert_eq!(out("json", "{ expression: 'x + 1' }", "9007199254740993"), "9007199254740994");
    assert_eq!(
        out("json", "{ template: '{{ x }}!' }", "18446744073709551615"),
        r#""18446744073709551615!""#
    );
}

#[test]
fn a_record_has_a_key_a_time_and_a_state() {
    let mut setup = Setup::field("json", "x");
    setup.entity =
        "{ key: [id, part], modified: changed, deleted: { field: gone, op: eq, value: true } }"
            .to_owned();
    let converter = setup.converter();
    let one = |record: &str| convert_one(&converter, record);
    let first = one(r#"{"id":1.0,"part":"b","changed":"2025-12-09T11:00:00Z"}"#);
    assert_eq!((first.external_id.as_str(), first.modified), ("1|b", Some(1_765_278_000_000_000)));
    let times = [
        (r#""2025-12-09""#, Some(1_765_238_400_000_000)),
        (r#""2025-12-09 11:00""#, Some(1_765_278_000_000_000)),
        ("1765278000", Some(1_765_278_000_000_000)),
        ("1765278000123", Some(1_765_278_000_123_000)),
        (r#""1765278000""#, Some(1_765_278_000_000_000)),
        (r#""lately""#, None),
        ("null", None),
    ];
    for (time, expected) in times {
        let record = format!(r#"{{"id":1,"part":2,"changed":{time}}}"#);
        assert_eq!(one(&record).modified, expected, "{time}");
    }
    assert_eq!(one(r#"{"id":1,"part":2,"gone":"true"}"#).outcome, Outcome::Deleted);
    let nameless = one(r#"{"id":1,"part":" ","gone":true}"#);
    assert_eq!(nameless.external_id, "");
    let Outcome::Invalid(errors) = nameless.outcome else { panic!("it has no key") };
    assert_eq!(
        errors[0].to_string(),
        "field `part`: a key is required, but the record has no value"
    );

    let mut records = page(r#"[{"id":1,"part":2}]"#);
    records.records[0].deleted = true;
    assert_eq!(converter.convert(&records)[0].outcome, Outcome::Deleted);
}

#[test]
fn a_modified_time_may_have_a_format() {
    let cases = [
        ("'%d.%m.%Y'", "09.12.2025", Some(1_765_238_400_000_000)),
        ("'%d.%m.%Y %H:%M'", "09.12.2025 11:00", Some(1_765_278_000_000_000)),
        ("['%Y-%m-%d', '%d.%m.%Y']", "09.12.2025", Some(1_765_238_400_000_000)),
        ("'%d.%m.%Y'", "31.02.2025", None),
        ("'%d.%m.%Y'", "2025-12-09", None),
    ];
    for (format, time, expected) in cases {
        let mut setup = Setup::field("json", "x");
        setup.entity = format!("{{ key: id, modified: changed, modified_format: {format} }}");
        let record = format!(r#"{{"id":1,"changed":"{time}"}}"#);
        assert_eq!(convert_one(&setup.converter(), &record).modified, expected, "{format}: {time}");
    }
}

#[test]
fn relationships_name_what_they_refer_to() {
    let setup = Setup::new(
        "{ thing: { fields: { out: json } }, user: { fields: { email: text } } }",
        r"
shard_type: thing
fields: { out: x }
relationships:
  by_mail: { shard_type: user, by: email, from: mails }
  owner: { shard_type: user, from: owner, required: true }
",
    );
    let converter = setup.converter();
    let user = Target::ExternalId { connection: "crm".to_owned(), entity: "user".to_owned() };
    assert_eq!(converter.relationships()[1].by, user);
    assert_eq!(converter.relationships()[0].by, Target::Field("email".to_owned()));
    let found = mapped(convert_one(&converter, r#"{"id":1,"owner":5,"mails":["a",null," ","b"]}"#));
    let found: Vec<_> =
        found.references.iter().map(|r| (r.relationship, r.target.as_str())).collect();
    assert_eq!(found, [(0, "a"), (0, "b"), (1, "5")]);
    assert_eq!(
        shown(&converter, r#"{"id":1,"owner":null}"#),
        "field `owner`: required, but the record refers to nothing"
    );
}

#[test]
fn a_lookup_is_finished_when_its_value_is_found() {
    let setup = Setup::new(
        "{ thing: { fields: { a: text, mail: text } }, user: { fields: { email: text } } }",
        r"
shard_type: thing
fields:
  a: x
  mail:
    lookup: { shard_type: user, from: owner, return: email, connection: hr, entity: User }
    transform: [trim, lowercase]
    required: true
    validate: { format: email }
",
    );
    let converter = setup.converter();
    let by = Target::ExternalId { connection: "hr".to_owned(), entity: "User".to_owned() };
    let spec =
        LookupSpec { field: 1, shard_type: "user".to_owned(), by, returns: "email".to_owned() };
    assert_eq!(converter.lookups(), [spec]);
    let mut found = mapped(convert_one(&converter, r#"{"id":1,"x":"a","owner":5}"#));
    assert_eq!(found.lookups, [Some("5".into())]);
    assert_eq!(found.image, [Some(Value::text("a")), None]);
    let value = Value::text(" Ann@Example.com ");
    converter.finish_lookup(0, Some(&value), &mut found.image).unwrap();
    assert_eq!(found.image[1], Some(Value::text("ann@example.com")));
    let missing = converter.finish_lookup(0, None, &mut found.image).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "field `mail`: required, but nothing was found to look it up in"
    );
    let bad = converter.finish_lookup(0, Some(&Value::text("x")), &mut found.image).unwrap_err();
    assert_eq!(bad.problem, "not an e-mail address: `x`");
    assert_eq!(mapped(convert_one(&converter, r#"{"id":1}"#)).lookups, [None]);
}

#[test]
fn a_derived_shard_is_made_where_it_has_a_key() {
    let setup = Setup::new(
        "{ thing: { fields: { out: json } }, company: { fields: { name: text, size: integer } } }",
        r"
shard_type: thing
fields: { out: { from: x, validate: { max: 5 } } }
derived:
  - name: employer
    shard_type: company
    key: '{{ company }}'
    fields: { name: { from: company, required: true }, size: { from: size, required: true } }
",
    );
    let converter = setup.converter();
    let keys = |record: &str| {
        let mapped = mapped(convert_one(&converter, record));
        mapped.derived.iter().map(|image| image.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(keys(r#"{"id":1,"company":" Acme ","size":"5"}"#), ["Acme"]);
    assert!(keys(r#"{"id":1,"company":" ","size":"5"}"#).is_empty());
    assert_eq!(
        shown(&converter, r#"{"id":1,"x":9,"company":"Acme"}"#),
        "field `out`: greater than 5; field `employer.size`: required, but the record has no value"
    );
    assert_eq!(converter.derived()[0].relationship, "employer");
}

#[test]
fn records_of_one_page_keep_their_order_and_places() {
    let converter = Setup::field("json", "late").converter();
    let converted = converter.convert(&page(r#"[{"id":1},{"id":2,"late":5},{"x":1}]"#));
    let ids: Vec<_> = converted.iter().map(|c| (c.line, c.external_id.as_str())).collect();
    assert_eq!(ids, [(1, "1"), (2, "2"), (3, "")]);
    assert!(
        matches!(&converted[1].outcome, Outcome::Mapped(m) if m.image[0] == Some(Value::Int(5)))
    );
}

#[test]
fn a_deleted_record_names_the_one_that_it_was_merged_into() {
    let plain = "{ key: id, deleted: { field: gone, op: eq, value: true }, merged_into: into }";
    let nested =
        "{ key: id, deleted: { field: state.gone, op: eq, value: true }, merged_into: state.into }";
    let pair =
        "{ key: [area, no], deleted: { field: gone, op: eq, value: true }, merged_into: into }";
    let silent = "{ key: id, deleted: { field: gone, op: eq, value: true } }";
    let cases = [
        (plain, r#"{"id":1,"gone":true,"into":2}"#, Some(("1", "2"))),
        (plain, r#"{"id":"a","gone":true,"into":"b"}"#, Some(("a", "b"))),
        // What is not deleted was not merged, whatever it names.
        (plain, r#"{"id":1,"gone":false,"into":2}"#, None),
        (plain, r#"{"id":1,"into":2}"#, None),
        // One that is deleted and names no other is only deleted.
        (plain, r#"{"id":1,"gone":true}"#, None),
        (plain, r#"{"id":1,"gone":true,"into":null}"#, None),
        (plain, r#"{"id":1,"gone":true,"into":""}"#, None),
        (plain, r#"{"gone":true,"into":2}"#, None),
        (nested, r#"{"id":1,"state":{"gone":true,"into":"9"}}"#, Some(("1", "9"))),
        // The other one is named as its external id is made: with all parts of the key.
        (pair, r#"{"area":"x","no":1,"gone":true,"into":"x|2"}"#, Some(("x|1", "x|2"))),
        (silent, r#"{"id":1,"gone":true,"into":2}"#, None),
    ];
    for (entity, record, expected) in cases {
        let setup = Setup { entity: entity.to_owned(), ..Setup::field("text", "name") };
        let merged = setup.converter().merged(&page(&format!("[{record}]")));
        let merged = merged.iter().map(|(gone, stays)| (gone.as_str(), stays.as_str()));
        assert_eq!(
            merged.collect::<Vec<_>>(),
            expected.into_iter().collect::<Vec<_>>(),
            "{record}"
        );
    }
    let converter = Setup { entity: plain.to_owned(), ..Setup::field("text", "name") }.converter();
    let listed = r#"[{"id":1,"gone":true,"into":3},{"id":2},{"id":4,"gone":true,"into":2}]"#;
    assert_eq!(
        converter.merged(&page(listed)),
        [("1".into(), "3".into()), ("4".into(), "2".into())]
    );
}
