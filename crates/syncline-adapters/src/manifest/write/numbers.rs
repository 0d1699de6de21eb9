//! Exact decimals go as numbers where the stream's schema says that a field holds one.

use crate::write::{Change, Write};
use serde_json::Value as Json;
use syncline_core::value::Value;

/// The write with numbers for digits, by the `properties` of a schema. What a JSON number of ours cannot say digit by
/// digit stays text: the system says whether that will do.
pub(super) fn with_numbers(schema: Option<&Json>, mut write: Write) -> Write {
    let properties = schema.and_then(|schema| schema.get("properties"));
    let (Change::Create { fields } | Change::Update { fields, .. }, Some(properties)) =
        (&mut write.change, properties)
    else {
        return write;
    };
    for (name, value) in fields {
        if let Value::Text(digits) = &*value
            && properties.get(name.as_str()).is_some_and(is_number)
            && let Some(number) = exact(digits)
        {
            *value = number;
        }
    }
    write
}

/// Whether a property holds numbers, and no text.
fn is_number(property: &Json) -> bool {
    let kinds: Vec<&str> = match property.get("type") {
        Some(Json::String(kind)) => vec![kind],
        Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).collect(),
        _ => return false,
    };
    kinds.iter().any(|kind| matches!(*kind, "number" | "integer")) && !kinds.contains(&"string")
}

/// The number that is written with these digits, trailing zeros aside.
fn exact(digits: &str) -> Option<Value> {
    if let Ok(whole) = digits.parse::<i64>() {
        return (whole.to_string() == digits).then_some(Value::Int(whole));
    }
    let float = digits.parse::<f64>().ok().filter(|float| float.is_finite())?;
    let number = serde_json::Number::from_f64(float)?;
    let is_same = tidy(&number.to_string())? == tidy(digits)?;
    is_same.then(|| Value::float(float)).flatten()
}

/// Digits without the zeros that end them after the point; `None` for anything but sign, digits and point.
fn tidy(digits: &str) -> Option<&str> {
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    let unsigned = whole.strip_prefix('-').unwrap_or(whole);
    let is_usual = unsigned == "0" || !unsigned.starts_with('0');
    if !(is_plain(unsigned) && is_plain(rest) && is_usual) {
        return None;
    }
    Some(if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn digits_are_numbers_where_the_schema_says_so_and_none_is_lost() {
        let schema = json!({"properties": {
            "n": {"type": "number"}, "i": {"type": ["null", "integer"]},
            "s": {"type": "string"}, "either": {"type": ["string", "number"]}, "any": {}
        }});
        let cases = [
            ("n", "12.34", "12.34"),
            ("n", "-0.5", "-0.5"),
            ("n", "12.30", "12.3"),
            ("n", "5.00", "5.0"),
            ("i", "9007199254740993", "9007199254740993"),
            ("n", "123456789012345.67", "123456789012345.67"),
            // No number of ours has these digits.
            ("n", "0.12345678901234567891", "\"0.12345678901234567891\""),
            ("n", "12345678901234567.89", "\"12345678901234567.89\""),
            ("n", "007", "\"007\""),
            ("n", "1e5", "\"1e5\""),
            ("n", "much", "\"much\""),
            ("n", "", "\"\""),
            ("s", "12.34", "\"12.34\""),
            ("either", "12.34", "\"12.34\""),
            ("any", "12.34", "\"12.34\""),
            ("unknown", "12.34", "\"12.34\""),
        ];
        for (name, digits, expected) in cases {
            let fields = vec![(name.into(), Value::text(digits))];
            let change = Change::Create { fields };
            let write = Write { key: "k".into(), marker: "m".into(), change };
            let Change::Create { fields } = with_numbers(Some(&schema), write).change else {
                unreachable!()
            };
            assert_eq!(fields[0].1.to_json(), expected, "{name}: {digits}");
        }
    }
}
