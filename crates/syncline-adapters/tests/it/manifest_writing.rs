//! The other ways of writing that a `write` block has words for, against an API whose answers a test decides.

use crate::api::{Answer, Api, Request};
use crate::reading::shown;
use crate::sql_place::{create, delete, short, update};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use syncline_adapters::write::{Change, CreateGuard, UpdateGuard, Write, Written};
use syncline_adapters::{Adapter, registry};
use syncline_core::config::model::{
    Connection, Entity, EntitySettings, ManifestSettings, OneOrMany, Settings, StreamSettings,
};

const MANIFEST: &str = r#"
type: DeclarativeSource
check: { type: CheckStream, stream_names: [people] }
streams:
  - type: DeclarativeStream
    name: people
    primary_key: id
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: "{{ config['url'] }}/v1"
        path: people
        request_headers: { X-Api-Version: "3" }
        authenticator: { type: BearerAuthenticator, api_token: letmein }
        error_handler:
          type: DefaultErrorHandler
          response_filters: [{ type: HttpResponseFilter, predicate: "{{ response.get('ok') is false }}", action: FAIL, error_message: "no: {{ response.why }}" }]
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [] } }
    transformations:
      - { type: AddFields, fields: [{ path: [email], value: "{{ record['mail'] | lower }}" }] }
    schema_loader: { type: InlineSchemaLoader, schema: { type: object } }
"#;

/// A folder with the manifest and a block, and the API that it speaks to.
struct Place {
    _folder: tempfile::TempDir,
    api: Api,
    adapter: Arc<dyn Adapter>,
}

impl Place {
    fn new(block: &str, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let (folder, api) = (tempfile::tempdir().unwrap(), Api::serve(answer));
        std::fs::write(folder.path().join("manifest.yaml"), MANIFEST).unwrap();
        std::fs::write(folder.path().join("write.yaml"), block).unwrap();
        let entity = Entity {
            key: OneOrMany::One("id".to_owned()),
            version: Some("version".to_owned()),
            settings: EntitySettings::Stream(StreamSettings { stream: Some("people".to_owned()) }),
            ..Entity::default()
        };
        let settings = ManifestSettings {
            manifest: Some(folder.path().display().to_string()),
            config: [("url".to_owned(), api.url.as_str().into())].into(),
            allow_private: true,
            ..ManifestSettings::default()
        };
        let connection = Connection {
            adapter: "manifest".to_owned(),
            settings: Settings::Manifest(settings),
            entities: [("it".to_owned(), entity)].into(),
            ..Connection::default()
        };
        let adapter =
            registry::open(&connection, Path::new("/")).unwrap_or_else(|error| panic!("{error}"));
        Self { _folder: folder, api, adapter }
    }

    async fn guards(&self) -> (CreateGuard, UpdateGuard, usize) {
        let promised = self.adapter.writer().unwrap().capabilities("it").await.unwrap();
        (promised.create, promised.update, promised.batch_max)
    }

    async fn write(&self, writes: Vec<Write>) -> (Vec<Written>, Vec<String>) {
        let replies = self.adapter.writer().unwrap().write("it", writes).await;
        (replies.written, shown(&replies.records))
    }

    async fn outcomes(&self, writes: Vec<Write>) -> Vec<String> {
        self.write(writes).await.0.iter().map(short).collect()
    }
}

fn keyed(key: &str, json: &str) -> Write {
    Write { key: key.into(), marker: format!("m-{key}").into(), ..create(json) }
}

fn versioned(mut write: Write, version: &str) -> Write {
    if let Change::Update { target, .. } | Change::Delete { target } = &mut write.change {
        target.version = Some(version.into());
    }
    write
}

fn body(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap_or_default()
}

const GET: &str = "    get: { path: \"people/{{ write.id }}\" }\n";

#[tokio::test]
async fn a_request_carries_what_the_block_and_the_stream_say() {
    let block = format!(
        r#"
write:
  people:
    version: {{ field: version, value: "{{{{ headers['etag'] }}}}" }}
    create:
      path: people
      idempotency_key: {{ field_name: Idempotency-Key, remembered_s: 60 }}
      request_headers: {{ X-Kind: "new {{{{ write.fields.kind }}}}" }}
      request_parameters: {{ notify: "no" }}
      request_body_json: {{ source: [syncline, "{{{{ write.marker }}}}"], count: 1 }}
      fields_path: [person, data]
      reply_key: ["{{{{ headers['location'].split('/')[-1] }}}}"]
      outcomes: {{ exists: [422] }}
    update:
      path: "people/{{{{ write.id }}}}"
      http_method: PUT
      condition: {{ field_name: If-Unmodified-Since, value: "{{{{ write.version }}}}", granularity_ms: 1000 }}
      record_path: []
    delete: {{ path: "people/{{{{ write.id }}}}", condition: {{ inject_into: request_parameter, field_name: rev, value: "{{{{ write.version }}}}" }} }}
{GET}"#
    );
    let place = Place::new(&block, |request| match request.method.as_str() {
        "POST" if request.body.contains("twice") => (422, vec![], String::new()),
        "POST" => (201, vec![("Location", "/v1/people/007".to_owned())], String::new()),
        "PUT" => {
            let shown = json!({"id": "a/b", "mail": "A@X"}).to_string();
            (200, vec![("ETag", "\"5\"".to_owned())], shown)
        }
        "DELETE" => (204, vec![], String::new()),
        _ => (404, vec![], String::new()),
    });
    let guard = CreateGuard::IdempotencyKey { remembered_ms: 60_000 };
    assert_eq!(place.guards().await, (guard, UpdateGuard::Weak { granularity_ms: 1000 }, 50));
    let (written, records) = place
        .write(vec![
            keyed("k1", r#"{"kind": "{{ 1 + 1 }}", "n": 5}"#),
            keyed("k2", r#"{"kind": "twice"}"#),
            versioned(update("a/b", "{}", r#"{"mail": "A@X"}"#), "Thu, 26 Nov 2026 17:46:24 GMT"),
            versioned(delete("ü ?", "{}"), "r&1"),
        ])
        .await;
    let outcomes: Vec<String> =
        written.iter().map(|one| short(one).trim_end().to_owned()).collect();
    assert_eq!(outcomes, ["done 007", "exists", "done a/b", "done ü ?"]);
    assert_eq!(records.len(), 1);
    assert!(records[0].contains(r#"email="a@x""#), "as a read would have it: {records:?}");
    assert!(records[0].contains(r#"version="\"5\"""#), "with its version: {records:?}");
    let asked = place.api.take_requests();
    let first = &asked[0];
    assert_eq!((first.path.as_str(), first.query("notify")), ("/v1/people", Some("no")));
    for (name, value) in [
        ("authorization", "Bearer letmein"),
        ("x-api-version", "3"),
        ("idempotency-key", "k1"),
        ("x-kind", "new {{ 1 + 1 }}"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(first.header(name), Some(value), "{first:?}");
    }
    let expected = json!({
        "source": ["syncline", "m-k1"],
        "count": 1,
        "person": {"data": {"kind": "{{ 1 + 1 }}", "n": 5}},
    });
    assert_eq!(body(first), expected);
    assert_eq!(asked[2].path, "/v1/people/a%2Fb", "an id stays in its part of the path");
    assert_eq!(asked[2].header("if-unmodified-since"), Some("Thu, 26 Nov 2026 17:46:24 GMT"));
    assert_eq!(asked[3].path, "/v1/people/%C3%BC%20%3F");
    assert_eq!(asked[3].query("rev"), Some("r&1"));
}

#[tokio::test]
async fn what_an_answer_means_is_told_apart() {
    let block = format!(
        r#"
write:
  people:
    create: {{ path: people, record_path: [], problem: "{{{{ response.why }}}}", problem_field: "{{{{ response.field }}}}" }}
{GET}"#
    );
    let place = Place::new(&block, |request| {
        let code: u16 = body(request)["code"].as_u64().unwrap().try_into().unwrap();
        let headers = match code {
            429 => vec![("Retry-After", "2".to_owned())],
            302 => vec![("Location", "http://127.0.0.1:1/".to_owned())],
            _ => vec![],
        };
        match code {
            299 => (200, headers, json!({"ok": false, "why": "full"}).to_string()),
            _ => (code, headers, json!({"why": "so", "field": "mail"}).to_string()),
        }
    });
    let cases = [
        (201, "done"),
        (299, "rejected"),
        (302, "rejected mail"),
        (400, "rejected mail"),
        (401, "not sent"),
        (404, "rejected mail"),
        (408, "unknown"),
        (409, "exists"),
        (429, "not sent"),
        (500, "unknown"),
        (503, "unknown"),
    ];
    let writes = cases.map(|(code, _)| keyed("k", &format!(r#"{{"code": {code}}}"#)));
    let (written, _) = place.write(writes.to_vec()).await;
    for ((code, expected), written) in cases.iter().zip(&written) {
        assert_eq!(short(written).trim(), *expected, "{code}: {written:?}");
    }
    assert_eq!(place.api.take_requests().len(), cases.len(), "each is sent once");
    assert!(format!("{written:?}").contains("no: full"), "{written:?}");
    let Written::NotSent { retry_after_ms, .. } = &written[8] else { panic!("{written:?}") };
    assert_eq!(*retry_after_ms, Some(2000));
    assert_eq!(place.outcomes(vec![delete("1", "{}")]).await, ["rejected"], "there is no way");
}

#[tokio::test]
async fn records_go_in_batches_whose_results_come_in_any_order() {
    let block = format!(
        r#"
write:
  people:
    upsert:
      path: unused
      request_body_json: {{ ref: "{{{{ write.marker }}}}" }}
      fields_path: [properties]
      record_path: [record]
      key: ["{{{{ write.marker }}}}"]
      problem: "{{{{ response.message }}}}"
      batch:
        path: people/batch
        size_max: 4
        records_path: [inputs]
        results_path: [results]
        result_id: "{{{{ response.ref }}}}"
        write_id: "{{{{ write.marker }}}}"
        success: "{{{{ response.success }}}}"
{GET}"#
    );
    let place = Place::new(&block, |request| {
        let inputs = body(request)["inputs"].as_array().unwrap().clone();
        if inputs.iter().any(|input| input["properties"]["n"] == 3) {
            return (400, vec![], json!({"message": "bad"}).to_string());
        }
        let result = |input: &Value| {
            let n = &input["properties"]["n"];
            let record = json!({"id": format!("r{n}"), "mail": "X"});
            json!({"ref": input["ref"], "success": n != 1, "message": "one is none", "record": record})
        };
        let results: Vec<Value> =
            inputs.iter().rev().filter(|i| i["properties"]["n"] != 6).map(result).collect();
        (200, vec![], json!({"results": results}).to_string())
    });
    assert_eq!(place.guards().await, (CreateGuard::Upsert, UpdateGuard::Strong, 4));
    let writes = (0..7).map(|n| keyed(&n.to_string(), &format!(r#"{{"n": {n}}}"#))).collect();
    let (written, records) = place.write(writes).await;
    let outcomes: Vec<String> = written.iter().map(short).collect();
    let done = |n: usize| format!("done m-{n}");
    let expected = [
        done(0),
        "rejected".into(),
        done(2),
        "rejected".into(),
        done(4),
        done(5),
        "unknown".into(),
    ];
    assert_eq!(outcomes, expected, "one bad record holds up no other");
    assert_eq!(records.len(), 4);
    assert!(format!("{:?}", written[1]).contains("one is none"), "{written:?}");
    let Written::Done { record: Some(record), .. } = &written[4] else { panic!("{written:?}") };
    assert!(records[*record].contains("id=\"r4\""), "{records:?}");
}

#[tokio::test]
async fn a_record_is_found_by_its_marker() {
    let block = format!(
        r#"
write:
  people:
    create: {{ path: people, marker: ref, record_path: [] }}
    find: {{ path: people, request_parameters: {{ ref: "{{{{ write.marker }}}}" }}, records_path: [found] }}
{GET}"#
    );
    let place = Place::new(&block, |request| match request.query("ref") {
        Some("m-1") => (200, vec![], json!({"found": [{"id": 5, "ref": "m-1"}]}).to_string()),
        Some(_) => (200, vec![], json!({"found": []}).to_string()),
        None if request.method == "GET" => {
            (503, vec![("Retry-After", "3".to_owned())], String::new())
        }
        None => (201, vec![], json!({"id": 5, "ref": body(request)["ref"]}).to_string()),
    });
    assert_eq!(place.guards().await.0, CreateGuard::Marker);
    let (_, records) = place.write(vec![keyed("1", "{}")]).await;
    assert!(records[0].contains(r#"ref="m-1""#), "{records:?}");
    let writer = place.adapter.writer().unwrap();
    let found = writer.find("it", vec![keyed("1", "{}"), keyed("2", "{}")]).await.unwrap();
    assert_eq!(shown(&found).len(), 1);
    let problem = writer.get("it", vec![vec!["5".into()]]).await.unwrap_err();
    assert!(problem.is_transient(), "{problem}");
}

#[tokio::test]
async fn a_body_is_made_of_the_record_as_it_is_and_of_what_only_the_system_knows() {
    let block = r#"
write:
  people:
    context: { path: columns }
    update:
      path: "people/{{ write.id }}"
      request_body_json:
        cells: |-
          {%- set cells = [] -%}
          {%- for name in write.context.names -%}
            {%- do cells.append(write.fields.get(name, write.current[name])) -%}
          {%- endfor -%}
          {{ cells }}
      record_path: []
      outcomes: { when: [{ condition: "{{ response.why == 'stale' }}", outcome: changed }] }
    delete: { path: "people/{{ write.current['id'] }}" }
    get: { path: all, keys_max: 50, as_read: true }
    find: { path: all }
"#;
    let place = Place::new(block, |request| {
        let reply = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1/columns") => json!({"names": ["mail", "n"]}),
            // More than was asked for, as the stream has its records.
            ("GET", "/v1/all") => {
                json!([{"id": "a", "mail": "A", "n": 1, "version": "1"}, {"id": "b", "mail": "B", "n": 2, "version": "7"}, {"id": "c", "n": 3}])
            }
            (_, "/v1/people/b") => return (400, vec![], json!({"why": "stale"}).to_string()),
            _ => json!({"id": "a", "mail": "A", "n": 5}),
        };
        (200, vec![], reply.to_string())
    });
    let writes = vec![
        versioned(update("a", "{}", r#"{"n": 5}"#), "1"),
        versioned(update("b", "{}", r#"{"n": 5}"#), "7"),
        versioned(update("c", "{}", r#"{"mail": "C"}"#), "1"),
        versioned(update("d", "{}", r#"{"n": 5}"#), "1"),
        versioned(delete("a", "{}"), "0"),
    ];
    let outcomes = place.outcomes(writes).await;
    // What the last one was decided on is another version by now: it is not even sent.
    assert_eq!(outcomes, ["done a", "changed", "done c", "missing", "changed"]);
    let requests = place.api.take_requests();
    let sent: Vec<_> = requests.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    let expected = [
        "GET /v1/columns",
        "GET /v1/all",
        "PATCH /v1/people/a",
        "PATCH /v1/people/b",
        "PATCH /v1/people/c",
    ];
    assert_eq!(sent, expected);
    let bodies = [2, 4].map(|at: usize| body(&requests[at]));
    assert_eq!(bodies, [json!({"cells": ["A", 5]}), json!({"cells": ["C", 3]})]);
    let found = place.adapter.writer().unwrap().get("it", vec![vec!["b".into()]]).await.unwrap();
    assert_eq!(shown(&found).len(), 1, "the others were not asked for");
}
