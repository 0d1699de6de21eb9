//! A table for each operator, and the expressions that say the same.

use super::*;

/// Whether a record whose field `x` is `value` meets `condition`, as a filter and as a predicate.
fn holds(condition: &str, value: &str) -> bool {
    let schema = format!("{{ shard_type: thing, filter: [{condition}], fields: {{ out: x }} }}");
    let setup = Setup::new("{ thing: { fields: { out: json } } }", &schema);
    let record = match value {
        "-" => r#"{"id":1}"#.to_owned(),
        value => format!(r#"{{"id":1,"x":{value}}}"#),
    };
    shown(&setup.converter(), &record) != "filtered"
}

#[test]
fn operators() {
    let cases = [
        ("eq, value: 10", vec!["10", "10.0", r#""10""#], vec!["9", r#""x""#, "null", "-", "true"]),
        ("eq, value: '10'", vec!["10", r#""10""#], vec![r#""10.0""#, "[10]"]),
        ("eq, value: true", vec!["true", r#""TRUE""#], vec!["false", "1", "null"]),
        ("eq, value: 9007199254740993", vec!["9007199254740993"], vec!["9007199254740992"]),
        ("equals, value: a", vec![r#""a""#], vec![r#""A""#, r#"" a""#]),
        ("neq, value: a", vec![r#""b""#, "null", "-", "1"], vec![r#""a""#]),
        ("gt, value: 9", vec!["10", r#""10""#, "9.5"], vec!["9", "8", r#""x""#, "null", "-"]),
        ("gte, value: 9", vec!["9", "9.0"], vec!["8.99"]),
        ("lt, value: '2025-12-10'", vec![r#""2025-12-09""#], vec![r#""2025-12-10""#, "null"]),
        ("lte, value: 1.5", vec!["1.5", "-2", r#"" 1 ""#], vec!["1.51", r#""""#]),
        (
            "contains, value: ell",
            vec![r#""hello""#, r#"["ell"]"#, r#"{"ell":1}"#],
            vec![r#""help""#, "null"],
        ),
        ("contains, value: 5", vec!["[4,5]", "152"], vec!["[55]"]),
        ("not_contains, value: a", vec![r#""b""#, "null", "-"], vec![r#""ab""#]),
        ("starts_with, value: ab", vec![r#""abc""#], vec![r#""cab""#, "null", "-"]),
        ("ends_with, value: 5", vec!["15", r#""5""#], vec!["51"]),
        ("in, value: [a, 2]", vec![r#""a""#, "2", r#""2""#], vec![r#""b""#, "null", "-"]),
        ("not_in, value: [a, 2]", vec![r#""b""#, "null", "-"], vec!["2"]),
        ("exists", vec!["1", "null", r#""""#], vec!["-"]),
        ("not_exists", vec!["-"], vec!["null", "1"]),
        ("is_null", vec!["-", "null"], vec![r#""""#, "0"]),
        ("is_not_null", vec![r#""""#, "0"], vec!["-", "null"]),
        ("regex, value: '^a+$'", vec![r#""aa""#], vec![r#""ab""#, "null", "-", r#"["a"]"#]),
    ];
    for (op, yes, no) in cases {
        let condition = format!("{{ field: x, op: {op} }}");
        for value in yes {
            assert!(holds(&condition, value), "{op} of {value}");
        }
        for value in no {
            assert!(!holds(&condition, value), "not {op} of {value}");
        }
    }
}

#[test]
fn a_filter_takes_what_meets_all_of_it() {
    let filter = "{ field: x, op: gt, value: 1 }, { field: x, op: lt, value: 5 }";
    assert!(holds(filter, "3"));
    assert!(!holds(filter, "7"));
    assert!(holds("{ field: x.a.1, op: eq, value: z }", r#"{"a":["y","z"]}"#));
}

#[test]
fn expressions_hold_as_conditions_do() {
    let cases = [
        ("x >= 1000", vec!["1000", r#""5000""#], vec!["999", r#""50""#, "null", "-"]),
        ("1000 <= x", vec!["1000"], vec!["999"]),
        ("x == 'a' or x == \"b\"", vec![r#""a""#, r#""b""#], vec![r#""c""#, "-"]),
        ("x > 1 and not x > 5", vec!["3"], vec!["6", "1"]),
        ("not (x > 1 and x < 5)", vec!["6", "-"], vec!["3"]),
        ("x in ['a', 2]", vec![r#""a""#, "2"], vec!["3", "-"]),
        ("x not in ['a', 2]", vec!["3", "-"], vec!["2"]),
        ("'el' in x", vec![r#""hello""#, r#"["el"]"#], vec!["-"]),
        ("x is defined", vec!["null", "1"], vec!["-"]),
        ("x is not none", vec!["1"], vec!["null", "-"]),
        ("x == none", vec!["null", "-"], vec!["1"]),
        ("x", vec!["1", r#""a""#, "true"], vec!["0", r#""""#, "false", "null", "-", "[]"]),
        ("x == id", vec!["1", r#""1""#], vec!["2", "-"]),
        ("x != id", vec!["2", "-"], vec!["1"]),
        ("x.a > -1.5", vec![r#"{"a":-1}"#], vec![r#"{"a":-2}"#, "5"]),
        ("x|length > 2", vec![r#""abc""#], vec![r#""ab""#]),
        ("x.a.b.c == 5 and x|string", vec![], vec!["5", "-"]),
        ("x is string", vec![r#""a""#], vec!["1", "-"]),
        ("(x or 0)|float > 3", vec!["4", r#""4""#], vec!["-", "2"]),
        ("record['x'] == 2", vec!["2"], vec!["3"]),
    ];
    for (source, yes, no) in cases {
        let mapping =
            format!("{{ when: [{{ if: {}, then: 1 }}], else: 0 }}", Value::text(source).to_json());
        for value in yes {
            assert_eq!(out("integer", &mapping, value), "1", "{source} of {value}");
        }
        for value in no {
            assert_eq!(out("integer", &mapping, value), "0", "not {source} of {value}");
        }
    }
}
