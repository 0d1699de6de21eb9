//! A body of JSON whose records are left standing as the text that they are: most of them need not be taken apart
//! before they are handed on.

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use std::fmt;
use std::ops::Range;

/// A record with more brackets than this may be nested too deeply, and is looked at closely.
const BRACKETS_MAX: usize = 100;

/// A body: what stands in it beside the records, and where those are.
#[derive(Debug)]
pub(super) struct Outline {
    /// The body with an empty list in the place of the records.
    pub(super) rest: Json,
    /// The bytes of each record, which is a map.
    pub(super) records: Vec<Range<usize>>,
}

impl Outline {
    /// The outline of `body`, whose records are the items of the list that the names of `path` lead to. `None` where
    /// that is not so simple: the body is no JSON, there is no such list, or its items are not all maps.
    pub(super) fn of(body: &[u8], path: &[String]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let mut found = None;
        let list = List { path, text, found: &mut found };
        let rest = list.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        Some(Self { rest, records: found? })
    }
}

/// Looks for the list at `path`.
struct List<'a> {
    path: &'a [String],
    text: &'a str,
    found: &'a mut Option<Vec<Range<usize>>>,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        match self.path {
            [] => deserializer.deserialize_seq(self),
            _ => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the way to a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let Some((step, path)) = self.path.split_first() else {
            return Err(A::Error::custom("a map, and no list"));
        };
        let mut rest = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = if key != *step {
                map.next_value()?
            } else if self.found.is_none() {
                map.next_value_seed(List { path, text: self.text, found: &mut *self.found })?
            } else {
                return Err(A::Error::custom("two lists of the same name"));
            };
            rest.insert(key, value);
        }
        Ok(Json::Object(rest))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut records = Vec::new();
        while let Some(record) = list.next_element::<&RawValue>()? {
            let record = record.get();
            let brackets = record.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
            if !record.starts_with('{') || brackets > BRACKETS_MAX {
                return Err(A::Error::custom("an item that has to be looked at"));
            }
            let start = record.as_ptr() as usize - self.text.as_ptr() as usize;
            records.push(start..start + record.len());
        }
        *self.found = Some(records);
        Ok(Json::Array(Vec::new()))
    }
}

/// The values that the map in `json` has under `names`, in their order; `None` where it has none.
pub(super) fn fields(json: &str, names: &[&str]) -> Vec<Option<Json>> {
    let mut found = vec![None; names.len()];
    let fields = Fields { names, found: &mut found };
    // What ends the search early is no error, and what is no JSON has no fields.
    drop(serde_json::Deserializer::from_str(json).deserialize_map(fields));
    found
}

struct Fields<'a> {
    names: &'a [&'a str],
    found: &'a mut [Option<Json>],
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while self.found.iter().any(Option::is_none) {
            match map.next_key_seed(Position(self.names))? {
                None => break,
                Some(Some(index)) => self.found[index] = Some(map.next_value()?),
                Some(None) => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Which of some names a key is.
struct Position<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

/// Writes the map in `json` to `out`, on one line and without the fields that are null.
///
/// # Errors
///
/// Where it is no map of JSON after all.
pub(super) fn write_line(json: &str, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let is_plain = !json.contains("null") && !json.contains(['\n', '\r']);
    if is_plain {
        out.extend_from_slice(json.as_bytes());
        return Ok(());
    }
    let mut map: Map<String, Json> = serde_json::from_str(json)?;
    map.retain(|_, value| !value.is_null());
    serde_json::to_writer(out, &map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_are_found_where_they_are_and_the_rest_is_read() {
        let found = |body: &str, path: &[&str]| {
            let path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
            let outline = Outline::of(body.as_bytes(), &path)?;
            let text = |at: Range<usize>| body[at].to_owned();
            Some((outline.rest, outline.records.into_iter().map(text).collect::<Vec<_>>()))
        };
        let nested = r#"{"a": {"b": [ {"é": [1]} , {} ], "n": 2}, "next": "x"}"#;
        assert_eq!(
            found(nested, &["a", "b"]),
            Some((
                json!({"a": {"b": [], "n": 2}, "next": "x"}),
                vec![r#"{"é": [1]}"#.into(), "{}".into()]
            ))
        );
        assert_eq!(found(r#"[{"a":1}]"#, &[]), Some((json!([]), vec![r#"{"a":1}"#.into()])));
        assert_eq!(found(r#"{"a": []}"#, &["a"]), Some((json!({"a": []}), vec![])));
        let deep = format!("{{\"a\": [{{\"b\": {}1{}}}]}}", "[".repeat(200), "]".repeat(200));
        let others = [
            r#"{"a": {"id": 1}}"#,
            r#"{"a": [1]}"#,
            r#"{"a": null}"#,
            r#"{"b": []}"#,
            r#"{"a": [], "a": [{}]}"#,
            r#"{"a": [{}"#,
            r#"{"a": [{}]} more"#,
            "no JSON",
            &deep,
        ];
        for other in others {
            assert_eq!(found(other, &["a"]), None, "{other}");
        }
    }

    #[test]
    fn fields_are_found_by_name_and_a_line_holds_no_null() {
        let json = r#"{"a": {"b": 1}, "b": null, "c": "x"}"#;
        assert_eq!(fields(json, &["c", "b"]), [Some(json!("x")), Some(Json::Null)]);
        assert_eq!(fields(json, &["d", "a"]), [None, Some(json!({"b": 1}))]);
        assert_eq!(fields("[1]", &["a"]), [None]);
        let lines = [
            (r#"{"a": 1.0}"#, r#"{"a": 1.0}"#),
            (r#"{"a": null, "b": "null"}"#, r#"{"b":"null"}"#),
            ("{\"a\":\n1}", r#"{"a":1}"#),
        ];
        for (json, line) in lines {
            let mut out = Vec::new();
            write_line(json, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), line);
        }
    }
}
