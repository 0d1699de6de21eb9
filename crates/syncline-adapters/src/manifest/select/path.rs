//! Paths into JSON: names and indexes, with `*` for every child and `**` for every depth.

use serde_json::{Map, Value as Json};

/// The value at `path`, without wildcards.
pub(in super::super) fn at<'a>(value: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(value, |value, step| child(value, step))
}

fn child<'a>(value: &'a Json, step: &str) -> Option<&'a Json> {
    match value {
        Json::Object(entries) => entries.get(step),
        Json::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Every value that `path` leads to.
pub(in super::super) fn all<'a>(value: &'a Json, path: &[String]) -> Vec<&'a Json> {
    let Some((step, rest)) = path.split_first() else { return vec![value] };
    match step.as_str() {
        "*" => children(value).into_iter().flat_map(|child| all(child, rest)).collect(),
        "**" => {
            let mut found = all(value, rest);
            found.extend(children(value).into_iter().flat_map(|child| all(child, path)));
            found
        }
        step => child(value, step).map(|child| all(child, rest)).unwrap_or_default(),
    }
}

fn children(value: &Json) -> Vec<&Json> {
    match value {
        Json::Object(entries) => entries.values().collect(),
        Json::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// Removes what stands at `path`, where `keep` does not hold on to it.
pub(in super::super) fn remove<E>(
    value: &mut Json,
    path: &[String],
    goes: &dyn Fn(&Json) -> Result<bool, E>,
) -> Result<(), E> {
    let Some((step, rest)) = path.split_first() else { return Ok(()) };
    if step == "**" && !rest.is_empty() {
        remove(value, rest, goes)?;
        for child in children_mut(value) {
            remove(child, path, goes)?;
        }
        return Ok(());
    }
    if !rest.is_empty() {
        return match step.as_str() {
            "*" => children_mut(value).into_iter().try_for_each(|child| remove(child, rest, goes)),
            step => child_mut(value, step).map_or(Ok(()), |child| remove(child, rest, goes)),
        };
    }
    let every = step == "*" || step == "**";
    match value {
        Json::Object(entries) => {
            let mut gone = Vec::new();
            for (name, child) in entries.iter() {
                if (every || name == step) && goes(child)? {
                    gone.push(name.clone());
                }
            }
            for name in gone {
                entries.shift_remove(&name);
            }
        }
        Json::Array(items) => {
            let index = step.parse::<usize>().ok();
            let mut kept = Vec::with_capacity(items.len());
            for (at, child) in std::mem::take(items).into_iter().enumerate() {
                if !((every || index == Some(at)) && goes(&child)?) {
                    kept.push(child);
                }
            }
            *items = kept;
        }
        _ => {}
    }
    Ok(())
}

fn children_mut(value: &mut Json) -> Vec<&mut Json> {
    match value {
        Json::Object(entries) => entries.values_mut().collect(),
        Json::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    }
}

fn child_mut<'a>(value: &'a mut Json, step: &str) -> Option<&'a mut Json> {
    match value {
        Json::Object(entries) => entries.get_mut(step),
        Json::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Puts `new` at every place that `path` leads to, where something stands there already; the number of places.
pub(in super::super) fn put_existing(value: &mut Json, path: &[String], new: &Json) -> usize {
    let Some((step, rest)) = path.split_first() else {
        *value = new.clone();
        return 1;
    };
    match step.as_str() {
        "*" => children_mut(value).into_iter().map(|child| put_existing(child, rest, new)).sum(),
        step => child_mut(value, step).map_or(0, |child| put_existing(child, rest, new)),
    }
}

/// Puts `new` at `path`, with maps on the way where there is nothing; false where something else is in the way.
pub(in super::super) fn put(record: &mut Map<String, Json>, path: &[String], new: Json) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    let mut place = record.entry(first.clone()).or_insert_with(|| Json::Object(Map::new()));
    for step in rest {
        place = match place {
            Json::Object(entries) => {
                entries.entry(step.clone()).or_insert_with(|| Json::Object(Map::new()))
            }
            Json::Array(items) => match step.parse::<usize>().ok().and_then(|at| items.get_mut(at))
            {
                Some(item) => item,
                None => return false,
            },
            _ => return false,
        };
    }
    *place = new;
    true
}
