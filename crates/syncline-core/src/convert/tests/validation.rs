//! A table for each validation rule, and for what a field's type makes of values.

use super::*;

#[test]
fn rules() {
    let cases = [
        ("min: 2", vec!["2", r#""3""#, "null", "-"], vec![("1.9", "less than 2")]),
        (
            "max: 2",
            vec!["2", "-5"],
            vec![
                ("2.1", "greater than 2"),
                (r#""x""#, "not a number, so it has no place in a range"),
            ],
        ),
        (
            "min_length: 2",
            vec![r#""äö""#, "[1,2]"],
            vec![(r#""a""#, "shorter than 2 characters"), ("[]", "shorter than 2 items")],
        ),
        ("maxLength: 2", vec![r#""ab""#], vec![(r#""abc""#, "longer than 2 characters")]),
        (
            "pattern: 'a+|b'",
            vec![r#""aa""#, r#""b""#, r#"["a"]"#],
            vec![(r#""ab""#, "does not match `a+|b`"), (r#"["a","c"]"#, "does not match `a+|b`")],
        ),
        ("enum: [a, 2]", vec![r#""a""#, "2"], vec![(r#""A""#, "not one of `a`, `2`")]),
        ("custom: 'value > id'", vec!["2", "null"], vec![("0", "`value > id` does not hold")]),
        ("custom: 'value is even', message: must be even", vec!["2"], vec![("3", "must be even")]),
    ];
    for (rule, good, bad) in cases {
        let mapping = format!("{{ from: x, validate: {{ {rule} }} }}");
        for value in good {
            assert_eq!(out("json", &mapping, value), value, "{rule} of {value}");
        }
        for (value, problem) in bad {
            assert_eq!(out("json", &mapping, value), format!("! {problem}"), "{rule} of {value}");
        }
    }
}

#[test]
fn formats() {
    let cases = [
        (
            "email",
            vec!["a@b.co", "first.last+tag@sub.example.com", "ü@exämple.de"],
            vec![
                "",
                "a",
                "a@b",
                "@b.co",
                "a@b@c.de",
                "a b@c.de",
                "a@-b.de",
                ".a@b.de",
                "a..b@c.de",
                "a@b..de",
            ],
        ),
        (
            "url",
            vec![
                "https://example.com",
                "http://localhost:8080/a?b#c",
                "ftp://u:p@h.de/",
                "http://[::1]:80/",
            ],
            vec![
                "example.com",
                "//a.b",
                "http://",
                "http://a b",
                "1http://a.de",
                "http://a.de:99999",
                "https:///x",
            ],
        ),
        (
            "uuid",
            vec!["67e55044-10b1-426f-9247-bb680e5fe0c8"],
            vec!["67e55044", "zzz55044-10b1-426f-9247-bb680e5fe0c8"],
        ),
        (
            "date",
            vec!["2025-12-09"],
            vec!["2025-02-30", "09.12.2025", "2025-12-09T10:00:00Z", "20251209"],
        ),
        (
            "timestamp",
            vec!["2025-12-09T10:00:00Z", "2025-12-09T10:00:00+02:00"],
            vec!["2025-12-09", "10:00"],
        ),
        (
            "phone",
            vec!["+49 (30) 123-456", "5551234567"],
            vec!["123", "1234567890123456", "555-CALL-NOW", "12+3456789"],
        ),
    ];
    for (format, good, bad) in cases {
        let mapping = format!("{{ from: x, validate: {{ format: {format} }} }}");
        for text in good {
            let value = Value::text(text).to_json();
            assert_eq!(out("text", &mapping, &value), value, "{format}");
        }
        for text in bad {
            let refused = out("text", &mapping, &Value::text(text).to_json());
            assert!(refused.starts_with("! not a"), "{format} of {text}: {refused}");
        }
    }
}

/// What becomes of values in a field of each type.
const TYPES: &[(&str, &[(&str, &str)])] = &[
    (
        "text",
        &[
            ("1.50", r#""1.5""#),
            ("true", r#""true""#),
            (r#""""#, r#""""#),
            ("18446744073709551615", r#""18446744073709551615""#),
            ("[1]", "! expected text, found a list"),
        ],
    ),
    (
        "integer",
        &[
            (r#"" 12 ""#, "12"),
            ("12.0", "12"),
            ("9007199254740993", "9007199254740993"),
            (r#"" ""#, "null"),
            ("1.5", "! expected a whole number, found a number `1.5`"),
            ("true", "! expected a whole number, found a boolean `true`"),
            (
                "18446744073709551615",
                "! expected a whole number between -2^63 and 2^63 - 1, found a number `18446744073709551615`",
            ),
        ],
    ),
    (
        "number",
        &[
            (r#""1.5""#, "1.5"),
            ("2.0", "2"),
            ("18446744073709551615", "18446744073709551615"),
            (r#""0.1000000000000000000000001""#, "0.1"),
            (r#""inf""#, "! expected a number, found text `inf`"),
            (
                r#""99999999999999999999999""#,
                "! expected a number of at most 64 bits (a decimal field holds any), found text `99999999999999999999999`",
            ),
        ],
    ),
    (
        "decimal",
        &[
            (r#""1.10""#, r#""1.1""#),
            ("5", r#""5""#),
            (r#""99999999999999999999999.01""#, r#""99999999999999999999999.01""#),
            (r#""x""#, "! expected a decimal number, found text `x`"),
        ],
    ),
    (
        "boolean",
        &[
            (r#""YES""#, "true"),
            ("0", "false"),
            (r#""""#, "null"),
            ("2", "! expected true or false, found a number `2`"),
        ],
    ),
    (
        "date",
        &[
            (r#""2025-12-09""#, r#""2025-12-09""#),
            (r#""2025-12-09T23:00:00-05:00""#, r#""2025-12-09""#),
            (r#""2025-13-01""#, "! expected a date such as `2025-12-09`, found text `2025-13-01`"),
            (r#""2025-02-30""#, "! expected a date such as `2025-12-09`, found text `2025-02-30`"),
            (
                r#""99999-01-01""#,
                "! expected a date such as `2025-12-09`, found text `99999-01-01`",
            ),
            ("20251209", "! expected a date such as `2025-12-09`, found a number `20251209`"),
        ],
    ),
    (
        "timestamp",
        &[
            (r#""2025-12-09T12:00:00+01:00""#, r#""2025-12-09T11:00:00Z""#),
            ("1765278000000", r#""2025-12-09T11:00:00Z""#),
            (r#""2025-12-09""#, r#""2025-12-09T00:00:00Z""#),
            (
                r#""2025-12-09T25:00:00Z""#,
                "! expected a time such as `2025-12-09T10:00:00Z`, found text `2025-12-09T25:00:00Z`",
            ),
            (r#""soon""#, "! expected a time such as `2025-12-09T10:00:00Z`, found text `soon`"),
        ],
    ),
    (
        "list",
        &[
            ("[1,\"a\"]", "[1,\"a\"]"),
            (r#""""#, "null"),
            ("1", "! expected a list, found a number `1`"),
        ],
    ),
    (
        "json",
        &[(r#"{"a":[null]}"#, r#"{"a":[null]}"#), (r#""""#, r#""""#), ("-", "-"), ("null", "null")],
    ),
];

#[test]
fn types() {
    for (field_type, values) in TYPES {
        for (value, expected) in *values {
            assert_eq!(out(field_type, "x", value), *expected, "{field_type} of {value}");
        }
    }
}

#[test]
fn absent_null_and_empty_are_three_things() {
    let cases = [
        ("x", ["-", "null", r#""""#]),
        ("{ from: x, default: d }", [r#""d""#, r#""d""#, r#""""#]),
        ("{ from: x, default: d, empty_is_missing: true }", [r#""d""#; 3]),
        ("{ from: x, required: true }", ["! required, but the record has no value"; 3]),
        (
            "{ from: x, required: true, empty_is_missing: false }",
            [
                "! required, but the record has no value",
                "! required, but the record has no value",
                r#""""#,
            ],
        ),
        (
            "{ from: x, required: true, default: d }",
            [r#""d""#, r#""d""#, "! required, but the record has no value"],
        ),
    ];
    for (mapping, expected) in cases {
        let found = ["-", "null", r#""""#].map(|value| out("text", mapping, value));
        assert_eq!(found, expected.map(str::to_owned), "{mapping}");
    }
    assert_eq!(out("number", "{ from: x, default: 0 }", r#""""#), "0");
}
