//! The Airbyte protocol (<https://docs.airbyte.com/platform/understanding-airbyte/airbyte-protocol>).

use super::catalog::{Chosen, Wanted};
use super::message::{Answer, Failure, Message, Status};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use syncline_core::config::model::ReadMode;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    record: Option<Record<'a>>,
    state: Option<Json>,
    trace: Option<Json>,
    control: Option<Json>,
    spec: Option<Json>,
    catalog: Option<Json>,
    connection_status: Option<Json>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The message in a line; `None` where the line is none.
///
/// # Errors
///
/// What is wrong with a line that begins like a message.
pub(super) fn parse(line: &[u8]) -> Result<Option<Message<'_>>, serde_json::Error> {
    let envelope: Envelope<'_> = match super::protocol_line(line) {
        Some(text) => serde_json::from_str(text?)?,
        None => return Ok(None),
    };
    let Envelope { kind, record, state, trace, control, spec, catalog, connection_status } =
        envelope;
    let given = match &*kind {
        "RECORD" => record.map(|Record { stream, namespace, data }| Message::Record {
            stream,
            namespace,
            data,
        }),
        "STATE" => state.map(Message::State),
        "TRACE" => trace.map(|trace| trace_message(&trace)),
        "CONTROL" => control
            .and_then(|mut control| control.pointer_mut("/connectorConfig/config").map(Json::take))
            .map(Message::Config),
        "SPEC" => spec.map(|spec| Message::Answer(Answer::Spec(spec))),
        "CATALOG" => catalog.map(|catalog| Message::Answer(Answer::Catalog(catalog))),
        "CONNECTION_STATUS" => connection_status.map(|status| Message::Answer(check(&status))),
        _ => None,
    };
    Ok(Some(given.unwrap_or(Message::Other)))
}

fn check(status: &Json) -> Answer {
    let text = |at: &str| status.get(at).and_then(Json::as_str);
    Answer::Check(match text("status") {
        Some("SUCCEEDED") => Ok(()),
        _ => Err(text("message").unwrap_or("no reason given").to_owned()),
    })
}

fn trace_message(trace: &Json) -> Message<'static> {
    let text = |at: &str| trace.pointer(at).and_then(Json::as_str).map(str::to_owned);
    match text("/type").as_deref() {
        Some("ERROR") => Message::Failure(Failure {
            stream: text("/error/stream_descriptor/name"),
            is_transient: text("/error/failure_type").as_deref() == Some("transient_error"),
            // The first is for people and may say nothing, the second is for whoever wrote the source.
            message: match (text("/error/message"), text("/error/internal_message")) {
                (Some(message), Some(more)) if message != more => format!("{message} ({more})"),
                (Some(message), _) | (None, Some(message)) => message,
                (None, None) => "no reason given".to_owned(),
            },
        }),
        Some("STREAM_STATUS") => Message::Status {
            stream: text("/stream_status/stream_descriptor/name").unwrap_or_default(),
            status: match text("/stream_status/status").as_deref() {
                Some("COMPLETE") => Status::Complete,
                Some("INCOMPLETE") => Status::Incomplete,
                _ => Status::Running,
            },
        },
        _ => Message::Other,
    }
}

/// The configured catalog for the one stream that is wanted.
///
/// # Errors
///
/// Why the catalog does not give it, for people.
pub(super) fn choose(catalog: &Json, wanted: &Wanted) -> Result<Chosen, String> {
    let streams = catalog.get("streams").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let name = |stream: &&Json| stream.get("name").and_then(Json::as_str) == Some(&*wanted.stream);
    let space = |stream: &Json| stream.get("namespace").and_then(Json::as_str).map(str::to_owned);
    let mut found = streams
        .iter()
        .filter(name)
        .filter(|stream| wanted.namespace.is_none() || space(stream) == wanted.namespace);
    let names = streams.iter().filter_map(|stream| stream.get("name")?.as_str());
    let stream = found.next().ok_or_else(|| wanted.missing(names))?;
    if found.next().is_some() {
        let name = &wanted.stream;
        return Err(format!("there are several streams `{name}`: name its `namespace`"));
    }
    let modes = stream.get("supported_sync_modes").and_then(Json::as_array);
    let can_go_on = modes.is_some_and(|modes| modes.iter().any(|mode| mode == "incremental"));
    let default = stream.get("default_cursor_field").filter(|field| *field != &json!([]));
    let is_given = stream.get("source_defined_cursor") == Some(&Json::Bool(true));
    let field = match (is_given, &wanted.modified) {
        (false, Some(modified)) => Some(json!(modified.split('.').collect::<Vec<_>>())),
        _ => default.cloned(),
    };
    let goes_on = can_go_on && (is_given || field.is_some());
    if wanted.replication == Some(ReadMode::Incremental) && !goes_on {
        return Err(match can_go_on {
            true => format!("stream `{}` needs a cursor: name a `modified` field", wanted.stream),
            false => format!("stream `{}` is always read whole", wanted.stream),
        });
    }
    let goes_on = goes_on && wanted.replication != Some(ReadMode::Full);
    let mut configured = json!({
        "stream": stream,
        "sync_mode": if goes_on { "incremental" } else { "full_refresh" },
        "destination_sync_mode": if goes_on { "append" } else { "overwrite" },
        "primary_key": stream.get("source_defined_primary_key").cloned().unwrap_or(json!([])),
    });
    if let (true, Some(field)) = (goes_on, field) {
        configured["cursor_field"] = field;
    }
    Ok(Chosen {
        stream: wanted.stream.clone(),
        namespace: space(stream),
        catalog: json!({ "streams": [configured] }),
        goes_on,
    })
}

/// What a read begins with after `message`, where `before` is what it would have begun with.
pub(super) fn fold(before: Option<Json>, message: Json) -> Json {
    let kind = message.get("type").and_then(Json::as_str).unwrap_or("LEGACY");
    match kind {
        // Sources of that age take the bare data.
        "LEGACY" => message.get("data").cloned().unwrap_or_default(),
        "STREAM" => {
            let of = |state: &Json| state.pointer("/stream/stream_descriptor").cloned();
            let mut states = match before {
                Some(Json::Array(states)) => states,
                _ => Vec::new(),
            };
            states.retain(|state| of(state) != of(&message));
            states.push(message);
            Json::Array(states)
        }
        _ => json!([message]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(stream: &str, replication: Option<ReadMode>, modified: Option<&str>) -> Wanted {
        let modified = modified.map(str::to_owned);
        Wanted { stream: stream.to_owned(), namespace: None, replication, modified }
    }

    #[test]
    fn a_stream_is_read_as_it_can_be() {
        let catalog = json!({"streams": [
            {"name": "whole", "supported_sync_modes": ["full_refresh"]},
            {"name": "own", "supported_sync_modes": ["full_refresh", "incremental"],
             "source_defined_cursor": true, "default_cursor_field": ["at"], "source_defined_primary_key": [["id"]]},
            {"name": "free", "supported_sync_modes": ["full_refresh", "incremental"]},
            {"name": "twice", "namespace": "a"}, {"name": "twice", "namespace": "b"},
        ]});
        let full = Some(ReadMode::Full);
        let incremental = Some(ReadMode::Incremental);
        for (stream, replication, modified, expected) in [
            ("whole", None, None, Ok(("full_refresh", None))),
            ("whole", incremental, None, Err("always read whole")),
            ("own", None, Some("other"), Ok(("incremental", Some(json!(["at"]))))),
            ("own", full, None, Ok(("full_refresh", None))),
            ("free", None, None, Ok(("full_refresh", None))),
            ("free", None, Some("meta.at"), Ok(("incremental", Some(json!(["meta", "at"]))))),
            ("free", incremental, None, Err("name a `modified` field")),
            ("twice", None, None, Err("name its `namespace`")),
            ("wohle", None, None, Err("it has whole, own, free")),
        ] {
            let chosen = choose(&catalog, &wanted(stream, replication, modified));
            match (chosen, expected) {
                (Ok(chosen), Ok((mode, field))) => {
                    let entry = &chosen.catalog["streams"][0];
                    assert_eq!(entry["sync_mode"], mode, "{stream}");
                    assert_eq!(entry.get("cursor_field").cloned(), field, "{stream}");
                    assert_eq!(chosen.goes_on, mode == "incremental");
                }
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem}"),
                (chosen, _) => panic!("{stream}: {chosen:?}"),
            }
        }
    }

    #[test]
    fn the_last_state_of_each_stream_stands() {
        let state = |name: &str, at: u32| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": {"at": at}}});
        let mut folded = None;
        for message in [state("a", 1), state("b", 2), state("a", 3)] {
            folded = Some(fold(folded, message));
        }
        assert_eq!(folded, Some(json!([state("b", 2), state("a", 3)])));
        let global = json!({"type": "GLOBAL", "global": {"shared_state": {"lsn": 5}}});
        assert_eq!(fold(folded, global.clone()), json!([global]));
        assert_eq!(fold(None, json!({"data": {"a": 1}})), json!({"a": 1}));
    }
}
