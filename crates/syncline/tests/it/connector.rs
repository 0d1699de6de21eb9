//! Connectors that a manifest describes: as a connection of a task, and spoken to in the Airbyte protocol.

use crate::api::{Answer, Api, Request};
use crate::project::{Project, Ran};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

/// People in pages that a cursor leads through, read by the day on which they changed; and the notes on
/// each person.
const MANIFEST: &str = r##"
type: DeclarativeSource
check: { type: CheckStream, stream_names: [people] }
definitions:
  requester:
    type: HttpRequester
    url_base: "{{ config['url'] }}/v1/"
    path: "{{ parameters['path'] }}"
    authenticator: { type: BearerAuthenticator, api_token: "{{ config['token'] }}" }
    error_handler:
      type: DefaultErrorHandler
      backoff_strategies: [{ type: WaitTimeFromHeader, header: Retry-After }]
  people:
    type: DeclarativeStream
    name: people
    primary_key: id
    $parameters: { path: people }
    retriever:
      type: SimpleRetriever
      requester: { $ref: "#/definitions/requester" }
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [data] } }
      paginator:
        type: DefaultPaginator
        page_size_option: { type: RequestOption, inject_into: request_parameter, field_name: limit }
        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: after }
        pagination_strategy:
          type: CursorPagination
          page_size: 100
          cursor_value: "{{ response.next }}"
          stop_condition: "{{ not response.get('next') }}"
    incremental_sync:
      type: DatetimeBasedCursor
      cursor_field: changed
      datetime_format: "%Y-%m-%d"
      start_datetime: "{{ config['since'] }}"
      start_time_option: { type: RequestOption, inject_into: request_parameter, field_name: since }
    transformations:
      - type: AddFields
        fields: [{ path: [email], value: "{{ record['mail'] | lower }}" }]
      - { type: RemoveFields, field_pointers: [[mail]] }
    schema_loader:
      type: InlineSchemaLoader
      schema: { type: object, properties: { id: { type: integer } } }
  notes:
    type: DeclarativeStream
    name: notes
    primary_key: id
    $parameters: { path: "people/{{ stream_partition.person }}/notes" }
    retriever:
      type: SimpleRetriever
      requester: { $ref: "#/definitions/requester", path: "people/{{ stream_partition.person }}/notes" }
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [] } }
      partition_router:
        type: SubstreamPartitionRouter
        parent_stream_configs:
          - { stream: "#/definitions/people", parent_key: id, partition_field: person }
    schema_loader: { type: InlineSchemaLoader, schema: { type: object } }
  special:
    type: DeclarativeStream
    name: special
    retriever: { type: CustomRetriever, class_name: source_people.components.SpecialRetriever }
streams:
  - $ref: "#/definitions/people"
  - $ref: "#/definitions/notes"
  - $ref: "#/definitions/special"
spec:
  type: Spec
  connection_specification: { type: object, required: [url, token] }
"##;

const CONFIG: &str = r#"
connections:
  people:
    adapter: manifest
    settings:
      manifest: connector
      config: { url: "${var:url}", token: letmein, since: "2026-01-01" }
      allow_private: true
    entities:
      person: { stream: people, key: id, modified: changed }
shard_types:
  person:
    fields: { email: text, name: text }
conversion_schemas:
  person:
    shard_type: person
    fields: { email: email, name: name }
sync_tasks:
  people: { connection: people, entity: person, conversion_schema: person }
"#;

const PEOPLE: usize = 250;

/// Each tenth person changed a day later than the ten before.
fn person(index: usize) -> Value {
    let changed = format!("2026-01-{:02}", 1 + index / 10);
    json!({"id": index, "name": format!("Person {index}"), "mail": format!("P{index}@X.org"), "changed": changed})
}

fn answer(request: &Request) -> Answer {
    if request.header("authorization") != Some("Bearer letmein") {
        return (401, vec![], json!({"message": "who are you?"}).to_string());
    }
    if let Some(id) = request.path.strip_prefix("/v1/people/") {
        let id = id.strip_suffix("/notes").unwrap();
        let notes = if id == "7" { json!([]) } else { json!([{"id": format!("n{id}"), "of": id}]) };
        return (200, vec![], notes.to_string());
    }
    let since = request.query("since").unwrap();
    let people = (0..PEOPLE).map(person).filter(|person| person["changed"].as_str() >= Some(since));
    let first = request.query("after").map_or(0, |after| after.parse().unwrap());
    let page: Vec<Value> = people.skip(first).take(100).collect();
    let next = (page.len() == 100).then(|| (first + 100).to_string());
    (200, vec![], json!({"data": page, "next": next}).to_string())
}

fn project() -> Project {
    let project = Project::new(&[("syncline.yaml", CONFIG)]);
    std::fs::create_dir(project.path("connector")).unwrap();
    project.write("connector/manifest.yaml", MANIFEST);
    project
}

#[test]
fn a_task_reads_a_connector_and_goes_on_where_it_stopped() {
    let api = Api::serve(answer);
    let project = project();
    let url = format!("url={}", api.url);
    let run = ["run", "--json", "--var", &url];
    let first = project.json(&run);
    assert_eq!(first["results"]["fetched"], PEOPLE, "{first:#}");
    assert_eq!(first["results"]["created"], PEOPLE, "{first:#}");
    let asked = api.take_requests();
    let asked: Vec<_> = asked.iter().map(|r| (r.query("since"), r.query("after"))).collect();
    let since = Some("2026-01-01");
    assert_eq!(asked, [(since, None), (since, Some("100")), (since, Some("200"))]);

    let second = project.json(&run);
    assert_eq!(second["results"]["fetched"], 10, "the last day is read again: {second:#}");
    assert_eq!(second["results"]["skipped"], 10, "{second:#}");
    let asked = api.take_requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].query("since"), Some("2026-01-25"));

    let full = project.json(&["run", "--full", "--json", "--var", &url]);
    assert_eq!(full["results"]["fetched"], PEOPLE, "{full:#}");
    assert_eq!(full["results"]["deleted"], 0, "a stream that begins at a date lists not all");
    let shards = project.json(&["shards", "list", "person", "--json", "--var", &url]);
    assert!(shards.to_string().contains("p249@x.org") || shards.to_string().contains("@x.org"));
}

#[test]
fn what_the_api_refuses_is_told_without_the_token() {
    let api = Api::serve(answer);
    let project = project();
    project.write("syncline.yaml", &CONFIG.replace("letmein", "hunter2hunter2"));
    let ran = project.run(&["run", "--var", &format!("url={}", api.url)]);
    assert_ne!(ran.code, Some(0));
    assert!(format!("{ran:?}").contains("401"), "{ran:#?}");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:#?}");
}

#[test]
fn what_a_manifest_asks_for_and_is_not_supported_is_said_before_anything_is_read() {
    let api = Api::serve(answer);
    let project = project();
    project.write("syncline.yaml", &CONFIG.replace("stream: people", "stream: special"));
    let ran = project.run(&["run", "--var", &format!("url={}", api.url)]);
    assert_ne!(ran.code, Some(0));
    for part in [
        "CustomRetriever",
        "source_people.components.SpecialRetriever",
        "line 61",
        "without that class",
    ] {
        assert!(format!("{ran:?}").contains(part), "no `{part}`: {ran:#?}");
    }
    assert!(api.take_requests().is_empty());
}

/// A connector that brings a class of its own along.
const WITH_CLASS: &str = r#"
version: 6.0.0
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
        url_base: "{{ config['url'] }}"
        path: v1/people
        request_parameters: { since: "2026-01-25" }
        authenticator: { type: BearerAuthenticator, api_token: "{{ config['token'] }}" }
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [data] } }
    transformations:
      - { type: CustomTransformation, class_name: source_declarative_manifest.components.Shout }
    schema_loader: { type: InlineSchemaLoader, schema: { type: object, properties: {} } }
spec: { type: Spec, connection_specification: { type: object, properties: {} } }
"#;

const CLASS: &str = r#"
from dataclasses import dataclass
from airbyte_cdk.sources.declarative.transformations import RecordTransformation

@dataclass
class Shout(RecordTransformation):
    def transform(self, record, config=None, stream_state=None, stream_slice=None):
        record["email"] = record.pop("mail")
        record["name"] = record["name"].upper()
"#;

#[test]
fn a_manifest_that_needs_python_is_handed_to_the_reference_implementation_where_it_is_installed() {
    let api = Api::serve(answer);
    let project = project();
    project.write("connector/manifest.yaml", WITH_CLASS);
    project.write("connector/components.py", CLASS);
    let url = format!("url={}", api.url);
    let mut without = project.command(&["run", "--var", &url]);
    let without = Ran::of(without.env("PATH", "/nowhere").output().unwrap());
    assert_ne!(without.code, Some(0));
    without.expect(without.code.unwrap(), &["CustomTransformation", "install `airbyte-cdk`"]);

    // The package of this source brings the reference implementation along.
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/connectors/source-faker/bin");
    let programs =
        std::fs::canonicalize(programs).expect("`cargo xtask test` installs the connectors");
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let mut with = project.command(&["run", "--var", &url]);
    let with = Ran::of(with.env("PATH", path).output().unwrap());
    with.expect(0, &["read by `source-declarative-manifest`, a program", "CustomTransformation"]);
    let shards = project.run(&["shards", "list", "person", "--json", "--var", &url]);
    assert!(format!("{shards:?}").contains("PERSON 249"), "{shards:#?}");
}

fn connector(project: &Project, command: &str, more: &[&str]) -> (Ran, Vec<Value>) {
    let mut args = vec![
        "connector",
        command,
        "--manifest-path",
        "connector",
        "--config",
        "config.json",
        "--now",
        "2026-02-01T00:00:00Z",
    ];
    args.extend(more);
    let ran = project.run(&args);
    let messages = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (ran, messages)
}

fn of_type<'a>(messages: &'a [Value], name: &str) -> Vec<&'a Value> {
    messages.iter().filter(|message| message["type"] == name).collect()
}

#[test]
fn the_protocol_tells_what_a_connector_is() {
    let api = Api::serve(answer);
    let project = project();
    let config =
        |token: &str| json!({"url": api.url, "token": token, "since": "2026-01-20"}).to_string();
    project.write("config.json", &config("letmein"));
    let (_, spec) = connector(&project, "spec", &[]);
    assert_eq!(spec[0]["spec"]["connectionSpecification"]["required"], json!(["url", "token"]));

    let (_, check) = connector(&project, "check", &[]);
    assert_eq!(check[0]["connectionStatus"]["status"], "SUCCEEDED", "{check:?}");
    project.write("config.json", &config("wrong"));
    let (ran, check) = connector(&project, "check", &[]);
    assert_eq!(check[0]["connectionStatus"]["status"], "FAILED", "{check:?}");
    assert_eq!(ran.code, Some(0), "a failed check is an answer");

    let (_, discovered) = connector(&project, "discover", &[]);
    let catalog = of_type(&discovered, "CATALOG")[0];
    let names: Vec<_> =
        catalog["catalog"]["streams"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["people", "notes"]);
    assert_eq!(catalog["catalog"]["streams"][0]["default_cursor_field"], json!(["changed"]));
    let left_out = of_type(&discovered, "LOG")[0]["log"]["message"].as_str().unwrap();
    assert!(left_out.contains("special") && left_out.contains("CustomRetriever"), "{left_out}");
}

#[test]
fn the_protocol_reads_waits_and_goes_on_from_a_state() {
    let hits = AtomicUsize::new(0);
    let api = Api::serve(move |request| match hits.fetch_add(1, Ordering::Relaxed) {
        1 => (429, vec![("Retry-After", "7200".to_owned())], String::new()),
        2 => (503, vec![], String::new()),
        _ => answer(request),
    });
    let project = project();
    let config = json!({"url": api.url, "token": "letmein", "since": "2026-01-24"});
    project.write("config.json", &config.to_string());
    let catalog =
        json!({"streams": [{"stream": {"name": "people"}}, {"stream": {"name": "notes"}}]});
    project.write("catalog.json", &catalog.to_string());
    let (ran, messages) = connector(&project, "read", &["--catalog", "catalog.json"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let count = |messages: &[Value], stream: &str| {
        let records = of_type(messages, "RECORD");
        records.iter().filter(|message| message["record"]["stream"] == stream).count()
    };
    assert_eq!((count(&messages, "people"), count(&messages, "notes")), (20, 20));
    let asked = api.take_requests();
    let people = asked.iter().filter(|request| request.path == "/v1/people").count();
    assert_eq!(people, 1, "the parent's page is kept for its children");

    let states: Vec<_> = of_type(&messages, "STATE").iter().map(|m| m["state"].clone()).collect();
    let last = states.iter().rfind(|s| s["stream"]["stream_descriptor"]["name"] == "people");
    assert_eq!(last.unwrap()["stream"]["stream_state"], json!({"changed": "2026-01-25"}));
    project.write("state.json", &json!(states).to_string());
    let args = ["--catalog", "catalog.json", "--state", "state.json"];
    let (_, again) = connector(&project, "read", &args);
    assert_eq!((count(&again, "people"), count(&again, "notes")), (10, 20));
}

#[test]
fn a_circle_of_pages_ends_as_an_error_and_keeps_what_was_read() {
    let api = Api::serve(|_| {
        let body =
            json!({"data": [{"id": 1, "mail": "a", "changed": "2026-01-30"}], "next": "again"});
        (200, vec![], body.to_string())
    });
    let project = project();
    let config = json!({"url": api.url, "token": "letmein", "since": "2026-01-24"});
    project.write("config.json", &config.to_string());
    project
        .write("catalog.json", &json!({"streams": [{"stream": {"name": "people"}}]}).to_string());
    let (ran, messages) = connector(&project, "read", &["--catalog", "catalog.json"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let errors = of_type(&messages, "TRACE");
    assert!(errors.iter().any(|m| m.to_string().contains("circle")), "{ran:#?}");
    assert!(errors.iter().any(|m| m.to_string().contains("INCOMPLETE")), "{ran:#?}");
    assert!(!of_type(&messages, "RECORD").is_empty());
}
