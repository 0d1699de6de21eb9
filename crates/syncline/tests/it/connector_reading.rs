//! What connectors need beside plain pages, where their requests may go, and APIs that do not tell the truth.

use crate::api::{Answer, Api};
use crate::project::{Project, Ran};
use serde_json::{Value, json};

pub(crate) fn ok(body: &Value) -> Answer {
    (200, vec![], body.to_string())
}

/// Runs a connector's command with `manifest` and the token `letmein-letmein`.
pub(crate) fn connector(manifest: &str, url: &str, args: &[&str]) -> (Ran, Vec<Value>) {
    let project = Project::new(&[("syncline.yaml", "tenant: t\n")]);
    project.write("manifest.yaml", manifest);
    let config = json!({"url": url, "token": "letmein-letmein", "tables": ["red", "blue"]});
    project.write("config.json", &config.to_string());
    let (command, more) = args.split_first().unwrap();
    let mut all = vec!["connector", *command, "--manifest-path", "manifest.yaml"];
    all.extend(["--config", "config.json", "--now", "2026-02-01T00:00:00Z"]);
    let catalog: Vec<Value> = more
        .iter()
        .take_while(|arg| !arg.starts_with('-'))
        .map(|name| json!({"stream": {"name": name}}))
        .collect();
    if *command == "read" {
        project.write("catalog.json", &json!({ "streams": catalog }).to_string());
        all.extend(["--catalog", "catalog.json"]);
    }
    all.extend(&more[catalog.len()..]);
    let ran = project.run(&all);
    let messages = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (ran, messages)
}

pub(crate) fn records(messages: &[Value]) -> Vec<Value> {
    let records = messages.iter().filter(|message| message["type"] == "RECORD");
    records.map(|message| message["record"]["data"].clone()).collect()
}

pub(crate) const BEGIN: &str = r##"
type: DeclarativeSource
check: { type: CheckStream, stream_names: [] }
definitions:
  requester:
    type: HttpRequester
    url_base: "{{ config['url'] }}"
    path: "{{ parameters.get('path', '') }}"
    authenticator: { type: BearerAuthenticator, api_token: "{{ config['token'] }}" }
  selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [data] } }
  schema: { type: InlineSchemaLoader, schema: { type: object } }
spec: { type: Spec, connection_specification: { type: object } }
"##;

#[test]
fn streams_and_schemas_come_from_a_template_and_the_api() {
    let manifest = format!(
        "{BEGIN}{}",
        r##"
dynamic_streams:
  - type: DynamicDeclarativeStream
    name: tables
    stream_template:
      type: DeclarativeStream
      name: ""
      retriever:
        type: SimpleRetriever
        requester: { $ref: "#/definitions/requester", path: "/rows", request_parameters: { table: "" } }
        record_selector: { $ref: "#/definitions/selector" }
      schema_loader:
        type: DynamicSchemaLoader
        retriever:
          type: SimpleRetriever
          requester: { $ref: "#/definitions/requester", path: "/fields" }
          record_selector: { $ref: "#/definitions/selector" }
        schema_type_identifier:
          type: SchemaTypeIdentifier
          schema_pointer: [fields]
          key_pointer: [name]
          type_pointer: [kind]
          types_mapping: [{ type: TypesMap, current_type: whole, target_type: integer }]
    components_resolver:
      type: HttpComponentsResolver
      retriever:
        type: SimpleRetriever
        requester: { $ref: "#/definitions/requester", path: "/tables" }
        record_selector: { $ref: "#/definitions/selector" }
      components_mapping:
        - { type: ComponentMappingDefinition, field_path: [name], value: "{{ components_values['title'] }}" }
        - type: ComponentMappingDefinition
          field_path: [retriever, requester, request_parameters, table]
          value: "{{ components_values['key'] }}"
"##
    );
    let api = Api::serve(|request| match request.path.as_str() {
        "/tables" => {
            ok(&json!({"data": [{"title": "reds", "key": "r"}, {"title": "blues", "key": "b"}]}))
        }
        "/fields" => ok(&json!({"data": [{"fields": [{"name": "n", "kind": "whole"}]}]})),
        _ => ok(&json!({"data": [{"table": request.query("table")}]})),
    });
    let (ran, messages) = connector(&manifest, &api.url, &["discover"]);
    let streams = &messages[0]["catalog"]["streams"];
    assert_eq!(
        (&streams[0]["name"], &streams[1]["name"]),
        (&json!("reds"), &json!("blues")),
        "{ran:#?}"
    );
    assert_eq!(
        streams[0]["json_schema"]["properties"],
        json!({"n": {"type": ["null", "integer"]}})
    );
    let (ran, messages) = connector(&manifest, &api.url, &["read", "blues"]);
    assert_eq!(records(&messages), [json!({"table": "b"})], "{ran:#?}");
}

#[test]
fn work_is_asked_for_waited_for_and_downloaded() {
    let manifest = format!(
        "{BEGIN}{}",
        r##"
streams:
  - type: DeclarativeStream
    name: export
    schema_loader: { $ref: "#/definitions/schema" }
    retriever:
      type: AsyncRetriever
      record_selector: { $ref: "#/definitions/selector" }
      status_mapping: { running: [busy], completed: [ready], failed: [broken], timeout: [late] }
      status_extractor: { type: DpathExtractor, field_path: [status] }
      download_target_extractor: { type: DpathExtractor, field_path: [urls] }
      creation_requester: { $ref: "#/definitions/requester", path: /jobs, http_method: POST }
      polling_requester: { $ref: "#/definitions/requester", path: "/jobs/{{ creation_response['id'] }}" }
      download_requester: { type: HttpRequester, url_base: "{{ config['url'] }}", path: "{{ download_target }}" }
      delete_requester: { $ref: "#/definitions/requester", path: "/done/{{ creation_response['id'] }}" }
      download_extractor: { type: ResponseToFileExtractor }
"##
    );
    let polls = std::sync::atomic::AtomicUsize::new(0);
    let api = Api::serve(move |request| match request.path.as_str() {
        "/jobs" => ok(&json!({"id": 7})),
        "/jobs/7" => match polls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => ok(&json!({"status": "busy"})),
            _ => ok(&json!({"status": "ready", "urls": ["/files/1", "/files/2"]})),
        },
        "/files/1" => (200, vec![], "id,name\n1,Ann\n2,\n".to_owned()),
        "/files/2" => (200, vec![], "id,name\n3,\"B, C\"\n".to_owned()),
        _ => ok(&json!({})),
    });
    let (ran, messages) = connector(&manifest, &api.url, &["read", "export"]);
    let expected =
        [json!({"id": "1", "name": "Ann"}), json!({"id": "2"}), json!({"id": "3", "name": "B, C"})];
    assert_eq!(records(&messages), expected, "{ran:#?}");
    let asked: Vec<String> = api.take_requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/jobs", "/jobs/7", "/jobs/7", "/files/1", "/files/2", "/done/7"]);
}

#[test]
fn properties_are_asked_for_in_chunks_and_partitions_in_groups() {
    let manifest = format!(
        "{BEGIN}{}",
        r##"
streams:
  - type: DeclarativeStream
    name: wide
    schema_loader: { $ref: "#/definitions/schema" }
    retriever:
      type: SimpleRetriever
      record_selector: { $ref: "#/definitions/selector" }
      requester:
        $ref: "#/definitions/requester"
        path: /wide
        request_parameters:
          fields:
            type: QueryProperties
            property_list: [a, b, c]
            property_chunking: { type: PropertyChunking, property_limit_type: property_count, property_limit: 2 }
  - type: DeclarativeStream
    name: grouped
    schema_loader: { $ref: "#/definitions/schema" }
    retriever:
      type: SimpleRetriever
      record_selector: { $ref: "#/definitions/selector" }
      requester:
        $ref: "#/definitions/requester"
        path: /grouped
        request_parameters: { ids: "{{ stream_partition['id'] | join('-') }}" }
      partition_router:
        type: GroupingPartitionRouter
        group_size: 2
        underlying_partition_router: { type: ListPartitionRouter, values: [x, y, x, z], cursor_field: id }
"##
    );
    let api = Api::serve(|request| match request.path.as_str() {
        "/wide" => {
            let mut record = json!({"id": "1"});
            request.query("fields").unwrap().split(',').for_each(|name| record[name] = json!(name));
            ok(&json!({"data": [record]}))
        }
        _ => ok(&json!({"data": [{"ids": request.query("ids")}]})),
    });
    let (ran, messages) = connector(&manifest, &api.url, &["read", "wide", "grouped"]);
    let expected = [
        json!({"id": "1", "a": "a", "b": "b", "c": "c"}),
        json!({"ids": "x-y"}),
        json!({"ids": "z"}),
    ];
    assert_eq!(records(&messages), expected, "{ran:#?}");
    assert_eq!(api.take_requests().len(), 4);
}

const ROWS: &str = r##"
streams:
  - type: DeclarativeStream
    name: rows
    primary_key: id
    schema_loader: { $ref: "#/definitions/schema" }
    retriever:
      type: SimpleRetriever
      record_selector: { $ref: "#/definitions/selector" }
      requester:
        $ref: "#/definitions/requester"
        path: /rows
        error_handler:
          type: DefaultErrorHandler
          max_retries: 0
          response_filters:
            - { type: HttpResponseFilter, http_codes: [400], action: FAIL, error_message: "said: {{ response.said }}" }
      partition_router: { type: ListPartitionRouter, values: [a, b, c, d, e], cursor_field: part, request_option: { type: RequestOption, inject_into: request_parameter, field_name: part } }
      paginator:
        type: DefaultPaginator
        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: page }
        pagination_strategy: { type: CursorPagination, cursor_value: "{{ response.next }}" }
"##;

#[test]
fn slices_that_are_read_side_by_side_come_as_if_they_were_not() {
    let manifest = format!("{BEGIN}{ROWS}");
    let api = Api::serve(|request| {
        let page: u32 = request.query("page").map_or(0, |page| page.parse().unwrap());
        let id = format!("{}{page}", request.query("part").unwrap());
        if id == "c1" {
            return (400, vec![], json!({"said": "no"}).to_string());
        }
        ok(&json!({"data": [{"id": id}], "next": (page < 2).then_some(page + 1)}))
    });
    let (_, alone) = connector(&manifest, &api.url, &["read", "rows"]);
    let (ran, beside) = connector(&manifest, &api.url, &["read", "rows", "--concurrency", "4"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(records(&alone).len(), 13);
    assert_eq!(alone, beside);
}

#[test]
fn requests_go_only_where_they_may_and_take_no_credentials_along() {
    let manifest = format!("{BEGIN}{ROWS}");
    let elsewhere = Api::serve(|_| ok(&json!({"data": [{"id": 1}]})));
    let target = format!("{}/moved", elsewhere.url);
    let api = Api::serve(move |_| (302, vec![("Location", target.clone())], String::new()));
    let (ran, messages) = connector(&manifest, &api.url, &["read", "rows"]);
    assert_eq!(records(&messages).len(), 5, "{ran:#?}");
    assert_eq!(api.take_requests()[0].header("authorization"), Some("Bearer letmein-letmein"));
    assert_eq!(elsewhere.take_requests()[0].header("authorization"), None);

    let inside = Api::serve(|_| {
        (302, vec![("Location", "http://169.254.169.254/latest".to_owned())], String::new())
    });
    let (ran, messages) = connector(&manifest, &inside.url, &["read", "rows"]);
    assert_eq!((ran.code, records(&messages).len()), (Some(1), 0));
    assert!(ran.out.contains("169.254.169.254 is a private address"), "{ran:#?}");
    assert_eq!(inside.take_requests().len(), 5, "each slice was asked for once, and none again");
}

#[test]
fn a_secret_that_the_api_repeats_is_not_told() {
    let manifest = format!("{BEGIN}{ROWS}");
    let api = Api::serve(|request| {
        let said = request.header("authorization").unwrap_or_default().to_owned();
        (400, vec![], json!({"said": format!("no right for {said}, letmein-letmein")}).to_string())
    });
    let (ran, _) = connector(&manifest, &api.url, &["read", "rows"]);
    assert!(ran.out.contains("said: no right for"), "{ran:#?}");
    assert!(!format!("{ran:?}").contains("letmein-letmein"), "{ran:#?}");
    // In the address itself.
    let manifest = manifest.replace("path: /rows", "path: \"/{{ config['token'] }}/rows\"");
    let gone = Api::serve(|_| (404, vec![], String::new()));
    let (ran, _) = connector(&manifest, &gone.url, &["read", "rows"]);
    assert!(!format!("{ran:?}").contains("letmein-letmein"), "{ran:#?}");
}

#[test]
fn what_is_too_much_or_broken_off_is_an_error_and_no_short_success() {
    let manifest = format!("{BEGIN}{ROWS}");
    let deep = format!("{}1{}", "{\"data\":[".repeat(200), "]}".repeat(200));
    for (body, told) in
        [("{\"data\": [{\"id\": 1}, {\"i".to_owned(), "breaks off"), (deep, "too deeply")]
    {
        let api = Api::serve(move |_| (200, vec![], body.clone()));
        let (ran, messages) = connector(&manifest, &api.url, &["read", "rows"]);
        assert_eq!((ran.code, records(&messages).len()), (Some(1), 0), "{ran:#?}");
        assert!(ran.out.contains(told), "{ran:#?}");
    }
}

const TASK: &str = r#"
connections:
  api:
    adapter: manifest
    settings:
      manifest: manifest.yaml
      config: { url: "${var:url}", token: letmein-letmein }
      allow_private: ${var:private}
    entities: { row: { stream: rows, key: id } }
shard_types: { row: { fields: { id: text } } }
conversion_schemas: { row: { shard_type: row, fields: { id: id } } }
sync_tasks: { rows: { connection: api, entity: row, conversion_schema: row, mode: full } }
"#;

fn task() -> Project {
    let project = Project::new(&[("syncline.yaml", TASK)]);
    let one = ROWS.replace("[a, b, c, d, e]", "[a]");
    project.write("manifest.yaml", &format!("{BEGIN}{one}"));
    project
}

#[test]
fn a_task_does_not_ask_this_machine_unless_it_is_told_that_it_may() {
    let api = Api::serve(|_| ok(&json!({"data": [{"id": 1}]})));
    let project = task();
    let url = format!("url={}", api.url);
    let refused = project.run(&["run", "--var", &url, "--var", "private=false"]);
    assert_ne!(refused.code, Some(0));
    assert!(format!("{refused:?}").contains("allow_private"), "{refused:#?}");
    assert!(api.take_requests().is_empty());
    let allowed = project.json(&["run", "--json", "--var", &url, "--var", "private=true"]);
    assert_eq!(allowed["results"]["created"], 1, "{allowed:#}");
}

/// Three pages of two rows, of which a lie is told.
fn lying(lie: fn(u64, &mut Value)) -> Api {
    Api::serve(move |request| {
        let page: u64 = request.query("page").map_or(0, |page| page.parse().unwrap());
        let mut body = json!({
            "data": [{"id": 2 * page}, {"id": 2 * page + 1}],
            "next": (page < 2).then_some(page + 1),
            "total": 6,
        });
        lie(page, &mut body);
        ok(&body)
    })
}

#[test]
fn an_api_that_keeps_something_back_is_no_success() {
    type Lie = fn(u64, &mut Value);
    let lies: [(Lie, Option<&str>); 4] = [
        (|_, _| {}, None),
        (|_, body| body["total"] = json!(10_000), Some("10000 records")),
        (|page, body| body["total"] = json!(6 - page), Some("shrank")),
        (|page, body| body["data"][0]["id"] = json!((2 * page).saturating_sub(1)), Some("repeats")),
    ];
    for (lie, told) in lies {
        let api = lying(lie);
        let project = task();
        let url = format!("url={}", api.url);
        let ran = project.run(&["run", "--json", "--var", &url, "--var", "private=true"]);
        match told {
            None => assert!(ran.out.contains("\"success\""), "{ran:#?}"),
            Some(told) => {
                assert!(ran.out.contains("\"partial\""), "{ran:#?}");
                assert!(ran.out.contains(told), "{ran:#?}");
            }
        }
    }
}
