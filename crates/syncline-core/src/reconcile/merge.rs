//! Values made of two changes.

use crate::value::{Cell, Value};
use compact_str::CompactString;

/// The items of both lists, less those that either side took away, each once and in the order of their JSON text;
/// of texts, the same of their lines. `None` where a side is neither.
///
/// Which side is which does not matter, doing it again changes nothing, and what was removed stays removed.
pub(super) fn united(
    base: Option<&Value>,
    left: Option<&Value>,
    right: Option<&Value>,
) -> Option<Value> {
    let is_text = [left, right].iter().all(|side| matches!(side, Some(Value::Text(_))));
    let (base, left, right) = (items(base)?, items(left)?, items(right)?);
    let stays = |item: &Value| {
        let is_gone = |side: &[Value]| base.contains(item) && !side.contains(item);
        !is_gone(&left) && !is_gone(&right)
    };
    let mut out: Vec<Value> = left.iter().chain(&right).filter(|i| stays(i)).cloned().collect();
    out.sort_by_cached_key(Value::to_json);
    out.dedup();
    if !is_text {
        return Some(Value::List(out));
    }
    let lines: Vec<String> = out.iter().map(|line| line.to_plain().into_owned()).collect();
    Some(Value::text(lines.join("\n")))
}

fn items(side: Option<&Value>) -> Option<Vec<Value>> {
    match side {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::List(items)) => Some(items.clone()),
        Some(Value::Text(text)) => Some(text.lines().map(Value::text).collect()),
        Some(_) => None,
    }
}

/// The base plus what either side added to it. `None` where a side is no whole number, or the sum is none of 64
/// bits; a base that is not known counts as 0.
pub(super) fn counted(
    base: Option<&Value>,
    left: Option<&Value>,
    right: Option<&Value>,
) -> Option<Value> {
    let number = |side: Option<&Value>| match side {
        None | Some(Value::Null) => Some(0),
        Some(Value::Int(number)) => Some(*number),
        Some(_) => None,
    };
    let sum = number(left)?.checked_add(number(right)?)?.checked_sub(number(base)?)?;
    Some(Value::Int(sum))
}

/// Both changes of a text, line by line; `None` where both changed the same lines, or a side is no text.
///
/// Source: diff3, Khanna, Kunal and Pierce, "A Formal Investigation of Diff3" (2007).
pub(super) fn texts_merged(
    base: Option<&Value>,
    left: Option<&Value>,
    right: Option<&Value>,
) -> Option<Value> {
    let text = |side: Option<&Value>| -> Option<CompactString> {
        match side? {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    };
    let (base, left, right) = (text(base)?, text(left)?, text(right)?);
    let merged: Cell = diffy::merge(&base, &left, &right).ok().map(Value::text);
    merged
}
