//! A table for each transformation.

use super::*;

/// Checks `transform` on each pair of a value and what it becomes, in a field that takes anything.
fn check(transform: &str, cases: &[(&str, &str)]) {
    for (value, expected) in cases {
        let mapping = format!("{{ from: x, transform: {transform} }}");
        assert_eq!(out("json", &mapping, value), *expected, "{transform} of {value}");
    }
}

#[test]
fn text() {
    check(
        "uppercase",
        &[
            (r#""straße 5""#, r#""STRASSE 5""#),
            ("5", "5"),
            ("null", "null"),
            ("-", "-"),
            (r#""""#, r#""""#),
        ],
    );
    check(
        "lowercase",
        &[(r#""ÄB c""#, r#""äb c""#), (r#"["A",null,["B"]]"#, r#"["a",null,["b"]]"#)],
    );
    check("lowercase", &[(r#"{"a":1}"#, "! expected text, found a map")]);
    check("capitalize", &[(r#""jOHN DOE""#, r#""John doe""#), (r#""""#, r#""""#)]);
    check("title", &[(r#""o'neill MARY-jane""#, r#""O'neill Mary-Jane""#)]);
    check("trim", &[(r#""  a b\t""#, r#""a b""#), (r#"" ""#, r#""""#), (r#""a""#, r#""a""#)]);
    check(
        "{ truncate: 3 }",
        &[(r#""äöüß""#, r#""äöü""#), (r#""ab""#, r#""ab""#), ("12345", r#""123""#)],
    );
    check(
        "{ replace: { from: '-', to: '/' } }",
        &[(r#""1-2-3""#, r#""1/2/3""#), (r#""a""#, r#""a""#)],
    );
    check(
        r"{ regex_replace: { pattern: '(\w+) (\w+)', to: '$2 $1' } }",
        &[(r#""John Doe""#, r#""Doe John""#), (r#""x""#, r#""x""#)],
    );
    check("[trim, uppercase]", &[(r#"" a ""#, r#""A""#)]);
}

#[test]
fn split() {
    let name = r#"" John  Fitzgerald Doe ""#;
    check("{ split: {} }", &[(name, r#"["John","Fitzgerald","Doe"]"#), (r#""""#, "[]")]);
    check(
        "{ split: { take: first } }",
        &[(name, r#""John""#), (r#""  ""#, "null"), ("null", "null")],
    );
    check("{ split: { take: last } }", &[(name, r#""Doe""#), (r#""Cher""#, r#""Cher""#)]);
    check("{ split: { take: rest } }", &[(name, r#""Fitzgerald Doe""#), (r#""Cher""#, "null")]);
    check("{ split: { on: ',', take: 1 } }", &[(r#""a,,c""#, r#""""#), (r#""a""#, "null")]);
    check("{ split: { on: ',', take: -1 } }", &[(r#""a,b""#, r#""b""#)]);
    check("{ split: { on: ',', take: -3 } }", &[(r#""a,b""#, "null")]);
}

#[test]
fn concat() {
    let record = r#"{"id":1,"x":"Ann","y":"Lee","z":null,"n":7,"list":["a","b"]}"#;
    let cases = [
        ("x", "{ fields: [y, z, gone, n], separator: '-' }", r#""Ann-Lee-7""#),
        ("x", "{ before: 'Ms ', after: '.' }", r#""Ms Ann.""#),
        ("list", "{ separator: ', ' }", r#""a, b""#),
        ("z", "{ before: a }", "null"),
    ];
    for (from, concat, expected) in cases {
        let mapping = format!("{{ from: {from}, transform: {{ concat: {concat} }} }}");
        assert_eq!(out_of_record("json", &mapping, record), expected, "{concat}");
    }
}

#[test]
fn numbers() {
    check(
        "{ round: 2 }",
        &[("2.675", "2.68"), (r#""1.005""#, "1.01"), ("-2.5", "-2.5"), ("7", "7")],
    );
    check("{ round: -2 }", &[("1250", "1300"), ("-1250", "-1300")]);
    check("floor", &[("-1.5", "-2"), ("1.5", "1"), (r#""1.0""#, "1")]);
    check("ceil", &[("-1.5", "-1"), ("1.2", "2")]);
    check(
        "{ multiply: 1.1 }",
        &[("100", "110"), (r#"" 19.99 ""#, "21.989"), ("null", "null"), (r#""""#, "null")],
    );
    check(
        "{ multiply: 2 }",
        &[("9007199254740993", "18014398509481986"), ("[1,null,2]", "[2,null,4]")],
    );
    check("{ multiply: 1e300 }", &[("1e300", "! the result is not a finite number")]);
    check(
        "{ divide: 4 }",
        &[("10", "2.5"), ("8", "2"), (r#""x""#, "! expected a number, found text `x`")],
    );
    check("{ divide: 3 }", &[("59.97", "19.99"), ("1", "0.3333333333333333")]);
    check(
        "{ add: 0.2 }",
        &[("0.1", "0.3"), ("true", "! expected a number, found a boolean `true`")],
    );
    check("{ subtract: 1 }", &[("1", "0"), ("-9223372036854775808", r#""-9223372036854775809""#)]);
    check("abs", &[("-5", "5"), ("-0.5", "0.5"), ("3", "3")]);
    check(
        "{ currency_convert: { from: USD, to: EUR, rates: { EUR: 1, USD: 1.08 } } }",
        &[("108", "100"), ("10", "9.26"), ("null", "null")],
    );
}

#[test]
fn dates() {
    check(
        "{ parse_date: '%d/%m/%Y' }",
        &[
            (r#""09/12/2025""#, r#""2025-12-09""#),
            (r#""31/02/2025""#, "! expected a date like `%d/%m/%Y`, found text `31/02/2025`"),
            (r#""""#, "null"),
        ],
    );
    check(
        "{ parse_date: ['%Y%m%d', '%d.%m.%Y'] }",
        &[("20251209", r#""2025-12-09""#), (r#""9.12.2025""#, r#""2025-12-09""#)],
    );
    check(
        "{ parse_date: '%Y-%m-%d %H:%M' }",
        &[(r#""2025-12-09 11:30""#, r#""2025-12-09T11:30:00Z""#)],
    );
    check(
        "{ parse_date: '%Y-%m-%d %H:%M %z' }",
        &[(r#""2025-12-09 11:30 +0200""#, r#""2025-12-09T09:30:00Z""#)],
    );
    check(
        "{ format_date: '%d/%m/%Y' }",
        &[
            (r#""2025-12-09""#, r#""09/12/2025""#),
            (r#""2025-12-09T23:00:00-05:00""#, r#""10/12/2025""#),
        ],
    );
    check("{ format_date: '%H:%M' }", &[(r#""2025-12-09T11:30:00Z""#, r#""11:30""#)]);
    check("{ format_date: '%s' }", &[(r#""2025-12-09T11:00:00Z""#, r#""1765278000""#)]);
    check(
        "{ add_days: 30 }",
        &[
            (r#""2025-12-09""#, r#""2026-01-08""#),
            (r#""2025-12-09T11:00:00Z""#, r#""2026-01-08T11:00:00Z""#),
        ],
    );
    check(
        "{ subtract_days: 9 }",
        &[
            (r#""2024-03-09""#, r#""2024-02-29""#),
            (r#""-""#, "! expected a date or time in ISO form, found text `-`"),
        ],
    );
    let far =
        "! expected a date that stays between the years -9999 and 9999, found text `2025-12-09`";
    check("{ add_days: 9223372036854775807 }", &[(r#""2025-12-09""#, far)]);
    check("{ subtract_days: -9223372036854775808 }", &[(r#""2025-12-09""#, far)]);
    check(
        "to_timestamp",
        &[
            ("1765278000", r#""2025-12-09T11:00:00Z""#),
            (r#""2025-12-09""#, r#""2025-12-09T00:00:00Z""#),
        ],
    );
    check(
        "to_iso_string",
        &[
            (r#""2025-12-09 11:00""#, r#""2025-12-09T11:00:00Z""#),
            (r#""2025-12-09""#, r#""2025-12-09""#),
        ],
    );
    check(
        "to_date",
        &[(r#""2025-12-09T11:00:00Z""#, r#""2025-12-09""#), ("1765278000000", r#""2025-12-09""#)],
    );
    check("extract_year", &[(r#""2025-12-09""#, "2025"), ("null", "null")]);
    check("extract_month", &[(r#""2025-12-09""#, "12")]);
    check("extract_day", &[(r#""2025-12-09T11:00:00Z""#, "9")]);
}

#[test]
fn kinds() {
    check(
        "to_string",
        &[
            ("5", r#""5""#),
            ("1.50", r#""1.5""#),
            ("[1]", r#""[1]""#),
            ("true", r#""true""#),
            ("null", "null"),
        ],
    );
    check(
        "to_number",
        &[
            (r#"" 12 ""#, "12"),
            (r#""1e3""#, "1000"),
            ("true", "1"),
            (r#""""#, "null"),
            (r#""NaN""#, "! expected a number, found text `NaN`"),
        ],
    );
    check("number", &[(r#""0.5""#, "0.5")]);
    check(
        "to_boolean",
        &[
            (r#""Yes""#, "true"),
            ("0", "false"),
            (r#""off""#, "false"),
            (r#"" ""#, "null"),
            (r#""maybe""#, "! expected true or false, found text `maybe`"),
        ],
    );
    check("to_array", &[("1", "[1]"), ("[1]", "[1]"), ("null", "[]"), ("-", "[]")]);
    check("parse_json", &[(r#""{\"a\":[1]}""#, r#"{"a":[1]}"#), (r#""""#, "null"), ("5", "5")]);
    check("stringify_json", &[(r#"{"a":1}"#, r#""{\"a\":1}""#), ("null", r#""null""#), ("-", "-")]);
    check(
        "{ map: { values: { '1': active, b: 2 } } }",
        &[("1", r#""active""#), (r#""b""#, "2"), (r#""c""#, r#""c""#), ("null", "null")],
    );
    check("{ map: { values: { a: b }, default: other } }", &[(r#""z""#, r#""other""#)]);
    check(
        "{ default: none given }",
        &[
            ("null", r#""none given""#),
            ("-", r#""none given""#),
            (r#"" ""#, r#""none given""#),
            ("0", "0"),
        ],
    );
}

#[test]
fn custom() {
    check("{ custom: 'value * 2 + 1' }", &[("4", "9"), ("-", "-")]);
    check("{ custom: \"value ~ '!'\" }", &[(r#""a""#, r#""a!""#), ("null", r#""!""#)]);
    check("{ custom: 'value > 3' }", &[("4", "true"), (r#""10""#, "true"), ("3", "false")]);
    check("{ custom: 'id' }", &[("4", "1")]);
    check("{ custom: 'value.a' }", &[(r#"{"a":5}"#, "5")]);
    check("{ custom: '1 / 0' }", &[("1", "! unable to calculate 1 / 0")]);
    check("{ custom: '(range(9999)|list) * 99 ~ value' }", &[("1", "! it takes too many steps")]);
}

#[test]
fn what_a_transformation_cannot_do_names_the_original_value() {
    let converter =
        Setup::field("integer", "{ from: x, transform: [trim, uppercase] }").converter();
    let Outcome::Invalid(errors) = convert_one(&converter, r#"{"id":1,"x":" abc "}"#).outcome
    else {
        panic!("`ABC` is no number")
    };
    assert_eq!(errors[0].field, "out");
    assert_eq!(errors[0].value, Some(Value::text(" abc ")));
    assert_eq!(errors[0].to_string(), "field `out`: expected a whole number, found text `ABC`");
}
