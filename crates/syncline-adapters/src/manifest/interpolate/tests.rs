//! Templates against what they come to.

use super::{Accept, Fault, Scope, StreamSlice, Template};
use serde_json::{Map, Value as Json, json};

/// 2025-06-15T12:00:00Z.
const NOW: i64 = 1_749_988_800_000_000;

fn object(json: &Json, key: &str) -> Map<String, Json> {
    json.get(key).and_then(Json::as_object).cloned().unwrap_or_default()
}

/// Runs the cases of a file, one JSON object a line: `expr`, `mode`, `context`, `expect`, `ctx_kind`.
#[test]
#[ignore = "needs a file of cases: SYNCLINE_TEMPLATE_CASES=path"]
fn cases_of_a_file() {
    let path = std::env::var("SYNCLINE_TEMPLATE_CASES").unwrap();
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
