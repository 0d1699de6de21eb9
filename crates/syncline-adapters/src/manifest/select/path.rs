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
            for at in (0..items.len()).rev() {
                if (every || index == Some(at)) && goes(&items[at])? {
                    remove_item(items, at);
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Removes an item of a list: the last one is gone, any other leaves null in its place, so that none moves.
fn remove_item(items: &mut Vec<Json>, at: usize) {
    if at + 1 == items.len() {
        items.pop();
    } else {
        items[at] = Json::Null;
    }
}

/// Removes every text, number, true, false and null, at any depth, of which `goes` holds.
pub(in super::super) fn remove_leaves<E>(
    value: &mut Json,
    goes: &dyn Fn(&Json) -> Result<bool, E>,
) -> Result<(), E> {
    let is_leaf = |value: &Json| !value.is_object() && !value.is_array();
    match value {
        Json::Object(entries) => {
            let mut gone = Vec::new();
            for (name, child) in entries.iter() {
                if is_leaf(child) && goes(child)? {
                    gone.push(name.clone());
                }
            }
            for name in gone {
                entries.shift_remove(&name);
            }
        }
        Json::Array(items) => {
            for at in (0..items.len()).rev() {
                if is_leaf(&items[at]) && goes(&items[at])? {
                    remove_item(items, at);
                }
            }
        }
        _ => {}
    }
    children_mut(value).into_iter().try_for_each(|child| remove_leaves(child, goes))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn removed(mut value: Json, path: &[&str]) -> Json {
        let path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
        remove::<()>(&mut value, &path, &|_| Ok(true)).unwrap();
        value
    }

    #[test]
    fn items_that_are_removed_leave_the_others_in_their_places() {
        let list = json!({"a": [1, 2, 3], "b": 1});
        assert_eq!(removed(list.clone(), &["a", "0"]), json!({"a": [null, 2, 3], "b": 1}));
        assert_eq!(removed(list.clone(), &["a", "2"]), json!({"a": [1, 2], "b": 1}));
        assert_eq!(removed(list.clone(), &["a", "*"]), json!({"a": [], "b": 1}));
        assert_eq!(removed(list, &["b"]), json!({"a": [1, 2, 3]}));
    }

    #[test]
    fn leaves_are_removed_wherever_they_are() {
        let mut value = json!({"a": null, "b": {"c": null, "d": 1}, "e": [null, 2, null], "f": {}});
        remove_leaves::<()>(&mut value, &|value| Ok(value.is_null())).unwrap();
        assert_eq!(value, json!({"b": {"d": 1}, "e": [null, 2], "f": {}}));
    }
}
