//! Templates against what they come to.

use super::{Accept, Fault, Scope, StreamSlice, Template};
use serde_json::{Map, Value as Json, json};

/// 2025-06-15T12:00:00Z.
const NOW: i64 = 1_749_988_800_000_000;

fn object(json: &Json, key: &str) -> Map<String, Json> {
    json.get(key).and_then(Json::as_object).cloned().unwrap_or_default()
}

/// What a template comes to in a small context.
fn eval(source: &str) -> Result<Json, Fault> {
    let config = json!({
        "name": "Ada", "empty": "", "n": 5, "f": 1.0, "yes": true, "nothing": null, "list": ["a", "b"],
        "map": {"a": 1}, "items": "key", "date": "2024-01-02T03:04:05Z", "digits": "007"
    });
    let object = |json: Json| json.as_object().cloned().unwrap();
    let slice = StreamSlice::new(
        object(json!({"id": 7, "parent_slice": {}})),
        object(json!({"start": "2024-01-01"})),
        object(json!({"color": "red"})),
    );
    let scope = Scope::new(NOW).with("config", &config).with_slice(&slice);
    Template::new(source).eval(&scope, Accept::Any)
}

#[test]
fn templates_come_to_python_values() {
    let cases = [
        ("plain {text", json!("plain {text")),
        ("{{ config.name }}", json!("Ada")),
        ("Hi {{ config['name'] }}!", json!("Hi Ada!")),
        ("{{ config.missing }}", json!("")),
        ("{{ config.n }}", json!(5)),
        ("{{ config.n }}0", json!(50)),
        ("{{ config.f }}", json!(1.0)),
        ("x{{ config.yes }}{{ config.nothing }}{{ config.f }}", json!("xTrueNone1.0")),
        ("{{ config.map }}", json!({"a": 1})),
        ("m={{ config.map }}", json!("m={'a': 1}")),
        ("{{ config.list | join('-') }}", json!("a-b")),
        ("{{ config.digits }}", json!("007")),
        ("{{ config.get('missing', 'd') }}", json!("d")),
        ("{{ config['items'] }}", json!("key")),
        ("{% for k, v in config.map.items() %}{{ k }}{{ v }}{% endfor %}", json!("a1")),
        ("{% for x in config.list: %}{{ loop.index }}{{ x }}{% endfor %}", json!("1a2b")),
        ("{{ 1 if config.empty else 2 }}", json!(2)),
        ("{{ 'x' if config.empty }}", json!("")),
        ("{{ config.n + 1 }}", json!(6)),
        ("{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}", json!("3-42")),
        ("{{ config.name + 1 }}", json!("{{ config.name + 1 }}")),
        ("{{ config.name ~ 1 }}", json!("Ada1")),
        ("{{ config.name[:2] }}{{ config.name[-1] }}", json!("Ada")),
        ("{{ 'a' in config.map and 'z' not in config.list }}", json!(true)),
        ("{{ config.nothing is none }}", json!(true)),
        ("{% set l = [] %}{% set _ = l.append(1) %}{{ l }}", json!([1])),
        ("{{ '%s-%d' % ('a', 3) }}", json!("a-3")),
        ("{{ stream_slice.id }}{{ stream_partition['start'] }}", json!("72024-01-01")),
        ("{{ stream_interval.extra_fields.color }} {{ color }}", json!("red red")),
        ("{{ now_utc().strftime('%Y-%m-%dT%H:%M:%SZ') }}", json!("2025-06-15T12:00:00Z")),
        ("{{ now_utc() - duration('P1M1D') }}", json!("2025-05-14 12:00:00+00:00")),
        ("{{ today_utc() - duration('P1D') }}", json!("2025-06-14")),
        ("{{ format_datetime(config.date, '%s') }}", json!(1_704_164_645)),
        ("{{ format_datetime('3/4/2024', '%Y-%m-%d', '%d/%m/%Y') }}", json!("2024-04-03")),
        ("{{ timestamp(config.date) }}", json!(1_704_164_645.0)),
        ("{{ day_delta(-1, format='%Y-%m-%d') }}", json!("2025-06-14")),
        ("{{ max(2, 10) }}{{ min('b', 'a') }}", json!("10a")),
        ("{{ 'Ada' | hash('md5', 'salt') }}", json!("d9c3d54c4e18b85b84501686be8fd379")),
        ("{{ 'a:b' | base64encode }}", json!("YTpi")),
        ("{{ 'id=42&x' | regex_search('id=(\\d+)') }}", json!(42)),
        ("{{ config.map | string }}", json!("{\"a\": 1}")),
        ("{{ config.list | map('upper') | list }}", json!(["A", "B"])),
        (
            "{{ [{'k': 1}, {'k': 2}] | selectattr('k', 'eq', 2) | map(attribute='k') | first }}",
            json!(2),
        ),
        ("{{ 'x' | int }}{{ '3.7' | int }}{{ 3.75 | round(1) }}", json!(33.8)),
    ];
    for (source, expected) in cases {
        assert_eq!(eval(source), Ok(expected), "{source}");
    }
}

#[test]
fn what_few_manifests_use_comes_to_python_values_too() {
    let own = |source: &'static str| (source, json!(source));
    let cases = [
        ("{{ 'a-b c' | title }} {{ '2024-01-02t03' | title }}", json!("A-B C 2024-01-02t03")),
        ("{{ '5' is lower }}{{ 'ab' is lower }}{{ 'AB1' is upper }}", json!("FalseTrueTrue")),
        ("{{ 2.5 is odd }}{{ 3 is odd }}{{ -3 is odd }}", json!("FalseTrueTrue")),
        ("{{ 'one, two' | wordcount }}", json!(2)),
        ("{{ [3, 1, 2] | sort(reverse=true) }}", json!([3, 2, 1])),
        ("{{ ['n', 'N', 'a'] | sort(reverse=true) | join }}", json!("nNa")),
        (
            "{{ [{'k': 2, 'j': 1}, {'k': 1}] | sort(attribute='k') | map(attribute='k') | list }}",
            json!([1, 2]),
        ),
        ("{{ [{'a': 1}, {'a': 2}] | sort(attribute='nobody') | length }}", json!(2)),
        ("{{ {'b': 1, 'A': 2} | dictsort }}", json!([["A", 2], ["b", 1]])),
        ("{{ {'b': 1, 'A': 2} | dictsort(by='value') | first | first }}", json!("b")),
        ("{{ config.map | attr('a') }}x", json!("x")),
        ("{{ '%s-%s' | format('a', 1) }} {{ '%s' % config.list }}", json!("a-1 ['a', 'b']")),
        ("{{ 'abc' % config.list }}{{ 'x' % config.missing }}", json!("abcx")),
        ("{{ 'ab' | center(5) }}|{{ 'ab'.center(4, '*') }}", json!("  ab |*ab*")),
        ("{{ 'one two three' | truncate(9, leeway=0) }}", json!("one...")),
        ("{{ 'a\nb' | indent(2) }}", json!("a\n  b")),
        ("{{ '<b>1 &lt; 2</b> x' | striptags }}", json!("1 < 2 x")),
        ("{{ [1, 2, 3, 4, 5] | slice(2) | list }}", json!([[1, 2, 3], [4, 5]])),
        (
            "{% for key, all in [{'k': 1}, {'k': 2}, {'k': 1}] | groupby('k') %}{{ key }}:{{ all | length }} {% endfor %}",
            json!("1:2 2:1 "),
        ),
        ("{% with y = 1 %}{{ y }}{% endwith %}{{ y is defined }}", json!("1False")),
        ("{% filter upper | replace('B', 'x') %}ab{% endfilter %}", json!("Ax")),
        ("{% set x | upper %}ab{% endset %}{{ x }}", json!("AB")),
        ("{{ dict([('a', 1)]) }}", json!({"a": 1})),
        ("{{ duration('P1M') }} {{ duration('P1Y2M').years }}", json!("1 month, 0:00:00 1")),
        ("{{ (duration('P3D') / 2).days }} {{ duration('P1D') // 2 }}", json!("1 12:00:00")),
        ("{{ today_utc() - duration('PT90S') }}", json!("2025-06-15")),
        ("{{ today_utc().toordinal() }} {{ now_utc().isocalendar()[1] }}", json!("739417 24")),
        ("{{ now_utc().tzinfo }} {{ now_utc().time() }}", json!("UTC 12:00:00")),
        ("{{ now_utc().replace(2024, 2, 3).date() }}", json!("2024-02-03")),
        (
            "{% for x in [config.map] %}{% set _ = x.update({'b': 2}) %}{{ x }}{% endfor %}",
            json!({"a": 1, "b": 2}),
        ),
        ("- {{ -1 }}", json!("- -1")),
        own("{{ config.missing | round(1) }}"),
        own("{{ stream_slice | string }}"),
        own("{{ stream_slice | last }}"),
    ];
    for (source, expected) in cases {
        assert_eq!(eval(source), Ok(expected), "{source}");
    }
    for source in
        ["{{ 5 | reverse }}", "{{ 'a' | dictsort }}", "{{ timestamp([1]) }}", "{{ 0 ** -1 }}"]
    {
        assert!(matches!(eval(source), Err(Fault::Error(_))), "{source}: {:?}", eval(source));
    }
    assert!(matches!(eval("{{ today_utc().timestamp() }}"), Err(Fault::Undefined(_))));
    // Where a stream has no partitions, their parts are empty, and can be asked.
    let slice = StreamSlice::default();
    let scope = Scope::new(NOW).with_slice(&slice);
    let source = "{{ stream_slice.extra_fields.get('a', 'none') }}{{ stream_partition.get('b') }}";
    assert_eq!(Template::new(source).eval(&scope, Accept::Any), Ok(json!("noneNone")));
}

#[test]
fn a_time_is_written_as_precisely_as_is_asked_for() {
    let cases = [
        ("", "2024-01-02T03:04:05.678901+00:00"),
        ("'T', 'seconds'", "2024-01-02T03:04:05+00:00"),
        ("' ', timespec='minutes'", "2024-01-02 03:04+00:00"),
        ("timespec='hours'", "2024-01-02T03+00:00"),
        ("sep='_', timespec='milliseconds'", "2024-01-02_03:04:05.678+00:00"),
        ("'T', 'microseconds'", "2024-01-02T03:04:05.678901+00:00"),
        ("'T', 'auto'", "2024-01-02T03:04:05.678901+00:00"),
    ];
    let moment = "str_to_datetime('2024-01-02T03:04:05.678901Z')";
    for (arguments, expected) in cases {
        let source = format!("{{{{ {moment}.isoformat({arguments}) }}}}");
        assert_eq!(eval(&source), Ok(json!(expected)), "{source}");
    }
    let whole = "{{ now_utc().isoformat() }} {{ now_utc().isoformat('T', 'milliseconds') }}";
    let expected = json!("2025-06-15T12:00:00+00:00 2025-06-15T12:00:00.000+00:00");
    assert_eq!(eval(whole), Ok(expected));
    assert!(matches!(eval("{{ now_utc().isoformat('T', 'days') }}"), Err(Fault::Error(_))));
}

#[test]
fn what_is_not_there_and_what_cannot_run_are_told_apart() {
    for source in
        ["{{ config.a.b }}", "{{ config.a + 1 }}", "{{ config.a() }}", "{{ config.a | int }}"]
    {
        assert!(matches!(eval(source), Err(Fault::Undefined(_))), "{source}: {:?}", eval(source));
    }
    for source in [
        "{{ nobody }}",
        "{{ config.name | nofilter }}",
        "{{ 1 / 0 }}",
        "{{ duration('1 day') }}",
        "{{ format_datetime('x', '%Y') }}",
        "{{ stream_state.x }}",
        "{% if %}",
        "{{ 'x' * 100000000 }}",
    ] {
        assert!(matches!(eval(source), Err(Fault::Error(_))), "{source}: {:?}", eval(source));
    }
}

#[test]
fn endless_templates_run_out_of_fuel() {
    let nested = "{% for a in l %}".repeat(12) + "x" + &"{% endfor %}".repeat(12);
    let source = format!("{{% set l = [1,2,3,4,5,6,7,8,9] %}}{nested}");
    assert!(matches!(eval(&source), Err(Fault::Error(_))));
}

#[test]
fn literals_are_those_of_python() {
    let yes = [
        ("[1, 'a', None, True]", json!([1, "a", null, true])),
        (" {'a': {'b': ()}} ", json!({"a": {"b": []}})),
        ("1_000", json!(1000)),
        ("1e3", json!(1000.0)),
        ("-0x1f", json!(-31)),
        ("'a' \"b\"", json!("ab")),
        ("'\\u00e9\\n'", json!("é\n")),
        ("(\"a\")", json!("a")),
        ("1, 2", json!([1, 2])),
        ("\n[1]\n", json!([1])),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
    ];
    for (text, expected) in yes {
        assert_eq!(super::literal::parse(text).map(|(json, _)| json), Some(expected), "{text}");
    }
    for text in ["007", "abc", "", "1__0", "1-2", "2024-01-01", "[1", "true", "\n  5", "'a", "f(1)"]
    {
        assert_eq!(super::literal::parse(text), None, "{text}");
    }
}

#[test]
fn conditions_and_entries_have_their_own_defaults() {
    let config = json!({"zero": 0, "text": "no"});
    let scope = || Scope::new(NOW).with("config", &config);
    for (source, expected) in [
        ("{{ config.zero }}", false),
        ("{{ config.missing.deep }}", false),
        ("{{ 'False' }}", false),
        ("{{ [] }}", false),
        ("{{ config.text }}", true),
        ("{{ None }}", false),
    ] {
        assert_eq!(Template::new(source).eval_bool(&scope()), Ok(expected), "{source}");
    }
    for (source, accept, expected) in [
        ("{{ config.missing }}", Accept::Any, json!(null)),
        ("{{ config.missing.deep }}", Accept::Any, json!(null)),
        ("5", Accept::Any, json!(5)),
        ("{{ '5' }}", Accept::TextOrList, json!("5")),
        ("{{ ['a'] }}", Accept::TextOrList, json!(["a"])),
        ("{{ ['a'] }}", Accept::Text, json!("['a']")),
    ] {
        assert_eq!(Template::new(source).eval_entry(&scope(), accept), Ok(expected), "{source}");
    }
}

#[test]
fn moments_are_read_and_written_in_the_formats_of_manifests() {
    use super::parse_moment::{format, parse};
    for (text, code, written) in [
        ("1704164645", "%s", "1704164645"),
        ("1704164645123", "%ms", "1704164645123"),
        ("1704164645.5", "%s_as_float", "1704164645.5"),
        ("2024-01-02T03:04:05.678901Z", "%Y-%m-%dT%H:%M:%S.%fZ", "2024-01-02T03:04:05.678901Z"),
        ("2024-01-02T03:04:05.678Z", "%Y-%m-%dT%H:%M:%S.%_msZ", "2024-01-02T03:04:05.678Z"),
        ("2024-01-02T03:04:05+02:00", "%Y-%m-%dT%H:%M:%S%z", "2024-01-02T03:04:05+0200"),
        ("5 Jan 2024 1:02 PM", "%d %b %Y %I:%M %p", "05 Jan 2024 01:02 PM"),
    ] {
        let moment = parse(text, code).unwrap();
        assert_eq!(format(&moment, code), written, "{text}");
    }
    for (text, code) in [("2024-13-01", "%Y-%m-%d"), ("2024-01-01 ", "%Y-%m-%d"), ("x", "%s")] {
        assert!(parse(text, code).is_err(), "{text}");
    }
    for text in ["2024", "2024-01", "20240102", "2024-W01-2", "2024-01-02 03:04", "2024-002"] {
        assert!(super::parse_moment::iso(text).is_ok(), "{text}");
    }
    for text in ["", "202", "202401", "2024-1-2", "2024-01-02T", "2024-01-02T3"] {
        assert!(super::parse_moment::iso(text).is_err(), "{text}");
    }
}

/// Runs the cases of the file that `SYNCLINE_TEMPLATE_CASES` names, if it names one: a JSON object a line, with
/// `expr`, `mode`, `context`, `expect` and `ctx_kind`. Prints how many of each kind agree.
#[test]
fn cases_of_a_file() {
    let Ok(path) = std::env::var("SYNCLINE_TEMPLATE_CASES") else { return };
    let mut counts = std::collections::BTreeMap::<u64, (usize, usize)>::new();
    let empty = json!({});
    let five = json!(5);
    let names = [
        "config",
        "parameters",
        "record",
        "response",
        "headers",
        "last_record",
        "next_page_token",
        "components_values",
        "download_target",
        "creation_response",
        "polling_response",
        "raw_schema",
    ];
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let context = &case["context"];
        let part = context.get("stream_slice").unwrap_or(&empty);
        let slice = StreamSlice::new(
            object(part, "partition"),
            object(part, "cursor_slice"),
            object(part, "extra_fields"),
        );
        let mut scope = Scope::new(NOW).with_slice(&slice);
        for name in names {
            scope = scope.with(name, context.get(name).unwrap_or(&empty));
        }
        scope = scope.with("last_page_size", context.get("last_page_size").unwrap_or(&five));
        let template = Template::new(case["expr"].as_str().unwrap());
        let got = match case["mode"].as_str().unwrap() {
            "string" => template.eval(&scope, Accept::Any),
            "bool" => template.eval_bool(&scope).map(Json::Bool),
            _ => template.eval_entry(&scope, Accept::Any),
        };
        let expect = &case["expect"];
        let right = match (&got, expect.get("value")) {
            (Ok(got), Some(value)) => same(got, value),
            (Err(_), None) => true,
            _ => false,
        };
        let count = counts.entry(case["ctx_kind"].as_u64().unwrap()).or_default();
        count.1 += 1;
        if right {
            count.0 += 1;
        } else if std::env::var("SYNCLINE_TEMPLATE_CASES_SHOW").is_ok() {
            eprintln!(
                "{} {} {:?}\n   {}\n   got {got:?}\n   expected {expect}",
                case["ctx_kind"], case["mode"], case["expr"], context
            );
        }
    }
    for (kind, (right, all)) in counts {
        eprintln!("kind {kind}: {right} of {all}");
    }
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

#[test]
fn what_is_written_keeps_its_type_after_statements_that_say_nothing() {
    let config = json!({ "list": ["a", "b"], "n": 5 });
    let value =
        |source: &str| Template::new(source).value(&Scope::new(NOW).with("config", &config)).ok();
    let cases = [
        ("{{ config.n }}", json!(5)),
        (" {{ config.n }}", json!(" 5")),
        ("{% set n = config.n + 1 %}\n{{ n }}\n", json!(6)),
        (
            "{% set m = {} %}{% for x in config.list %}\n{% do m.update({x: loop.index}) %}{% endfor %}{{ m }}",
            json!({ "a": 1, "b": 2 }),
        ),
        ("{% for x in config.list %}{{ x }}{% endfor %}{{ config.n }}", json!("ab5")),
        ("{% set n = 1 %}n: {{ n }}", json!("n: 1")),
        ("{% if config.n %}x{% endif %}", json!("x")),
    ];
    for (source, expected) in cases {
        assert_eq!(value(source), Some(expected), "{source}");
    }
    assert_eq!(value("{% set n = config.missing.more %}{{ n }}"), None);
}
