//! The Singer protocol (<https://github.com/singer-io/getting-started/blob/master/docs/SPEC.md>).

use super::batch::{Batch, Encoding};
use super::catalog::{Chosen, Wanted};
use super::message::Message;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};
use std::borrow::Cow;
use syncline_core::config::model::ReadMode;

/// A message, of which only what every reader of it needs is read.
#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) record: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) value: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) schema: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) key_properties: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) version: Option<&'a RawValue>,
    encoding: Option<Encoding>,
    manifest: Option<Vec<String>>,
}

impl<'a> Envelope<'a> {
    /// The message in a line; `None` where the line is none.
    ///
    /// # Errors
    ///
    /// What is wrong with a line that begins like a message.
    pub(super) fn of(line: &'a [u8]) -> Result<Option<Self>, serde_json::Error> {
        super::protocol_line(line).map(|text| serde_json::from_str(text?)).transpose()
    }

    /// The files of a `BATCH`, or why they cannot be read.
    pub(super) fn files(&self) -> Result<Batch, String> {
        match (&self.encoding, &self.manifest) {
            (Some(encoding), Some(files)) => Batch::new(encoding, files),
            _ => Err("gives its records in files (BATCH) without saying in which".to_owned()),
        }
    }
}

/// The message in a line; `None` where the line is none.
///
/// # Errors
///
/// What is wrong with a line that begins like a message.
pub(super) fn parse(line: &[u8]) -> Result<Option<Message<'_>>, serde_json::Error> {
    let Some(envelope) = Envelope::of(line)? else { return Ok(None) };
    if let ("BATCH", Some(stream)) = (&*envelope.kind, &envelope.stream) {
        return Ok(Some(Message::Files(stream.clone(), envelope.files())));
    }
    Ok(Some(match (&*envelope.kind, envelope.stream, envelope.record, envelope.value) {
        ("RECORD", Some(stream), Some(data), _) => {
            Message::Record { stream, namespace: None, data }
        }
        ("STATE", _, _, Some(value)) => Message::State(serde_json::from_str(value.get())?),
        ("SCHEMA", Some(stream), _, _) => Message::Begins(stream),
        _ => Message::Other,
    }))
}

/// The catalog with the one stream selected that is wanted; the others stay in it, since it may depend on them.
///
/// # Errors
///
/// Why the catalog does not give it, for people.
pub(super) fn choose(catalog: &Json, wanted: &Wanted) -> Result<Chosen, String> {
    let mut catalog = catalog.clone();
    let streams = catalog.get_mut("streams").and_then(Json::as_array_mut);
    let streams = streams.map_or(&mut [][..], Vec::as_mut_slice);
    let is_wanted = |stream: &Json| {
        ["stream", "tap_stream_id"]
            .iter()
            .any(|at| stream.get(at).and_then(Json::as_str) == Some(&*wanted.stream))
    };
    let Some(position) = streams.iter().position(is_wanted) else {
        let name = |stream: &Json| {
            stream.get("stream").or(stream.get("tap_stream_id"))?.as_str().map(str::to_owned)
        };
        let names: Vec<String> = streams.iter().filter_map(name).collect();
        return Err(wanted.missing(names.iter().map(String::as_str)));
    };
    let mut goes_on = false;
    let mut name = wanted.stream.clone();
    for (index, stream) in streams.iter_mut().enumerate() {
        let Json::Object(stream) = stream else { continue };
        select(stream, index == position);
        if index == position {
            goes_on = replicate(stream, wanted)?;
            // Messages have this name, and not the one that is unique within the tap.
            if let Some(said) = stream.get("stream").and_then(Json::as_str) {
                name = said.to_owned();
            }
        }
    }
    Ok(Chosen { stream: name, namespace: None, catalog, goes_on })
}

/// What the catalog says of the whole stream, in its metadata.
fn of_stream(stream: &mut Map<String, Json>) -> &mut Map<String, Json> {
    let metadata = stream.entry("metadata").or_insert_with(|| json!([]));
    if !metadata.is_array() {
        *metadata = json!([]);
    }
    let Json::Array(entries) = metadata else { unreachable!("it was made a list") };
    let is_whole = |entry: &Json| entry.get("breadcrumb") == Some(&json!([]));
    let position = entries.iter().position(is_whole).unwrap_or_else(|| {
        entries.push(json!({"breadcrumb": [], "metadata": {}}));
        entries.len() - 1
    });
    let slot = &mut entries[position]["metadata"];
    if !slot.is_object() {
        *slot = json!({});
    }
    let Json::Object(fields) = slot else { unreachable!("it was made a map") };
    fields
}

/// Selects a stream with all its properties, or leaves it out. Old taps look into the schema instead.
fn select(stream: &mut Map<String, Json>, is_selected: bool) {
    of_stream(stream).insert("selected".to_owned(), is_selected.into());
    if let Some(Json::Object(schema)) = stream.get_mut("schema") {
        schema.insert("selected".to_owned(), is_selected.into());
    }
    let entries = stream.get_mut("metadata").and_then(Json::as_array_mut);
    for entry in entries.into_iter().flatten().filter(|_| is_selected) {
        if entry.get("breadcrumb") != Some(&json!([]))
            && let Some(Json::Object(fields)) = entry.get_mut("metadata")
            && fields.get("inclusion").and_then(Json::as_str) == Some("available")
        {
            fields.insert("selected".to_owned(), true.into());
        }
    }
}

/// Settles how the stream is read; whether a later read goes on where this one ends.
fn replicate(stream: &mut Map<String, Json>, wanted: &Wanted) -> Result<bool, String> {
    let outer = |name: &str| stream.get(name).and_then(Json::as_str).map(str::to_owned);
    let (method, key) = (outer("replication_method"), outer("replication_key"));
    let fields = of_stream(stream);
    let text = |name: &str| fields.get(name).and_then(Json::as_str).map(str::to_owned);
    let forced = text("forced-replication-method");
    let method = text("replication-method").or(method).or_else(|| forced.clone());
    let keys = fields.get("valid-replication-keys").and_then(Json::as_array);
    let valid: Vec<&str> = keys.into_iter().flatten().filter_map(Json::as_str).collect();
    let modified = wanted.modified.as_deref();
    let preferred = modified.filter(|modified| valid.is_empty() || valid.contains(modified));
    let key = text("replication-key")
        .or(key)
        .or_else(|| preferred.or(valid.first().copied()).map(str::to_owned));
    let method = match (wanted.replication, method) {
        (Some(ReadMode::Full), _) => "FULL_TABLE".to_owned(),
        (Some(ReadMode::Incremental), Some(method)) if method != "FULL_TABLE" => method,
        (Some(ReadMode::Incremental), _) if key.is_some() => "INCREMENTAL".to_owned(),
        (Some(ReadMode::Incremental), _) => {
            return Err(format!(
                "stream `{}` needs a cursor: name a `modified` field",
                wanted.stream
            ));
        }
        (None, Some(method)) => method,
        (None, None) if !valid.is_empty() => "INCREMENTAL".to_owned(),
        (None, None) => "FULL_TABLE".to_owned(),
    };
    let goes_on = method != "FULL_TABLE";
    if let (true, Some(key)) = (goes_on, key) {
        fields.insert("replication-key".to_owned(), key.as_str().into());
        stream.insert("replication_key".to_owned(), key.into());
    } else if !goes_on {
        fields.remove("replication-key");
        stream.remove("replication_key");
    }
    of_stream(stream).insert("replication-method".to_owned(), method.as_str().into());
    stream.insert("replication_method".to_owned(), method.into());
    Ok(goes_on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stream_is_selected_and_read_as_it_can_be() {
        let catalog = json!({"streams": [
            {"tap_stream_id": "db-people", "stream": "people", "schema": {"properties": {"id": {}}}, "metadata": [
                {"breadcrumb": ["properties", "id"], "metadata": {"inclusion": "available"}},
                {"breadcrumb": ["properties", "x"], "metadata": {"inclusion": "unsupported"}},
            ]},
            {"tap_stream_id": "keyed", "metadata": [{"breadcrumb": [], "metadata": {"valid-replication-keys": ["a", "b"]}}]},
            {"tap_stream_id": "said", "replication_method": "INCREMENTAL", "replication_key": "at"},
        ]});
        let full = Some(ReadMode::Full);
        let incremental = Some(ReadMode::Incremental);
        for (stream, replication, modified, expected) in [
            ("people", None, None, Ok(("FULL_TABLE", None))),
            ("db-people", incremental, Some("changed"), Ok(("INCREMENTAL", Some("changed")))),
            ("people", incremental, None, Err("name a `modified` field")),
            ("keyed", None, None, Ok(("INCREMENTAL", Some("a")))),
            ("keyed", None, Some("b"), Ok(("INCREMENTAL", Some("b")))),
            ("keyed", full, Some("b"), Ok(("FULL_TABLE", None))),
            ("said", None, None, Ok(("INCREMENTAL", Some("at")))),
            ("said", full, None, Ok(("FULL_TABLE", None))),
            ("poeple", None, None, Err("it has people, keyed, said")),
        ] {
            let modified = modified.map(str::to_owned);
            let wanted =
                Wanted { stream: stream.to_owned(), namespace: None, replication, modified };
            match (choose(&catalog, &wanted), expected) {
                (Ok(chosen), Ok((method, key))) => {
                    let streams = chosen.catalog["streams"].as_array().unwrap();
                    let selected = |stream: &&Json| {
                        let entries = stream["metadata"].as_array().unwrap();
                        let whole = entries.iter().find(|entry| entry["breadcrumb"] == json!([]));
                        whole.unwrap()["metadata"]["selected"] == true
                    };
                    let selected: Vec<&Json> = streams.iter().filter(selected).collect();
                    assert_eq!(selected.len(), 1, "{stream}");
                    assert_eq!(selected[0]["replication_method"], method, "{stream}");
                    assert_eq!(
                        selected[0].get("replication_key").and_then(Json::as_str),
                        key,
                        "{stream}"
                    );
                    assert_eq!(chosen.goes_on, method == "INCREMENTAL");
                    assert_eq!(chosen.stream, stream.trim_start_matches("db-"));
                }
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem}"),
                (chosen, _) => panic!("{stream}: {chosen:?}"),
            }
        }
    }
}
