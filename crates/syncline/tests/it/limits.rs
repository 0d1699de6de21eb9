//! How fast systems are asked, and how that shows.

use crate::api::{Answer, Api, Request};
use crate::project::Project;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

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
        url_base: "{{ config['url'] }}/"
        path: people
        error_handler: { type: DefaultErrorHandler, max_retries: 2, backoff_strategies: [{ type: ConstantBackoffStrategy, backoff_time_in_seconds: 0.001 }] }
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [] } }
      paginator:
        type: DefaultPaginator
        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: page }
        pagination_strategy: { type: PageIncrement, page_size: 2 }
    schema_loader: { type: InlineSchemaLoader, schema: { type: object } }
BUDGET
"#;

const CONFIG: &str = r#"
limits: TENANT
connections:
  people:
    adapter: manifest
    settings: { manifest: connector, allow_private: true, config: { url: "${var:url}" }, limits: LIMITS }
    entities:
      person: { stream: people, key: id }
shard_types:
  person: { fields: { name: text } }
conversion_schemas:
  person: { shard_type: person, fields: { name: name } }
sync_tasks:
  people: { connection: people, entity: person, conversion_schema: person, mode: full, retry: { max_attempts: 0 } }
"#;

fn project(tenant: &str, limits: &str, budget: &str) -> Project {
    let config = CONFIG.replace("TENANT", tenant).replace("LIMITS", limits);
    let project = Project::new(&[("syncline.yaml", &config)]);
    std::fs::create_dir(project.path("connector")).unwrap();
    project.write("connector/manifest.yaml", &MANIFEST.replace("BUDGET", budget));
    project
}

/// Five people, two on a page: three requests.
fn people(request: &Request) -> Answer {
    let page: usize = request.query("page").map_or(0, |page| page.parse().unwrap());
    let ids = (page * 2..5).take(2);
    let people: Vec<Value> = ids.map(|id| json!({"id": id, "name": format!("P{id}")})).collect();
    (200, vec![], json!(people).to_string())
}

fn run(project: &Project, api: &Api) -> Value {
    project.json(&["run", "--json", "--var", &format!("url={}", api.url)])
}

/// Whether the limits made requests wait: most of two seconds, unless the machine was slower than they.
fn waited(report: &Value) -> bool {
    report["results"]["waited_ms"].as_u64() >= Some(100)
}

#[test]
fn a_declared_rate_is_kept_and_the_waiting_shows() {
    let of_connection = "{ rates: [{ calls: 2, per_s: 2 }], reserve: 0 }";
    let of_operation = "{ operations: { fetch: { calls: 2, per_s: 2 } }, reserve: 0 }";
    let budget = "
api_budget:
  type: HTTPAPIBudget
  policies:
    - { type: UnlimitedCallRatePolicy, matchers: [{ type: HttpRequestRegexMatcher, url_path_pattern: /other }] }
    - type: MovingWindowCallRatePolicy
      rates: [{ type: Rate, limit: 2, interval: PT2S }]
      matchers: [{ type: HttpRequestRegexMatcher, method: GET, url_path_pattern: ^/people }]
";
    let of_tenant = "[{ calls: 2, per_s: 2 }]";
    for (tenant, limits, budget) in [
        ("[]", of_connection, ""),
        ("[]", of_operation, ""),
        ("[]", "{ reserve: 0 }", budget),
        (of_tenant, "{}", ""),
    ] {
        let api = Api::serve(people);
        let project = project(tenant, limits, budget);
        let report = run(&project, &api);
        assert_eq!(report["results"]["requests"], 3, "{report:#}");
        assert!(waited(&report), "{limits} {budget}: {report:#}");
        let listed = project.json(&["executions", "--json", "--var", "url=x"]);
        assert!(listed.to_string().contains("\"requests\":3"), "{listed:#}");
        let text = project.run(&["run", "--var", &format!("url={}", api.url)]);
        text.expect(0, &["requests: 3 sent"]);
    }
}

#[test]
fn processes_on_one_store_share_a_rate() {
    for (tenant, limits, left) in [
        ("[]", "{ rates: [{ calls: 4, per_s: 3600 }], reserve: 0, wait_max_s: 5 }", 1),
        ("[{ calls: 5, per_s: 3600 }]", "{ reserve: 0 }", 2),
    ] {
        let api = Api::serve(people);
        let project = project(tenant, limits, "");
        let first = run(&project, &api);
        assert_eq!(first["results"]["requests"], 3, "{first:#}");
        let second = project.run(&["run", "--var", &format!("url={}", api.url)]);
        assert!(format!("{second:?}").contains("longer than allowed"), "{limits}: {second:#?}");
        assert_eq!(api.take_requests().len(), 3 + left, "what the first left is not lost");
    }
}

#[test]
fn a_wait_that_the_system_asks_for_is_kept() {
    let count = AtomicUsize::new(0);
    let api = Api::serve(move |request| match count.fetch_add(1, Ordering::Relaxed) {
        0 => (429, vec![("Retry-After", "3".to_owned())], String::new()),
        _ => people(request),
    });
    let report = run(&project("[]", "{}", ""), &api);
    assert_eq!(report["results"]["requests"], 4, "{report:#}");
    assert_eq!(report["results"]["requests_limited"], 1, "{report:#}");
    assert!(waited(&report), "{report:#}");
}

#[test]
fn a_wait_that_is_too_long_ends_the_run_and_says_so() {
    let api = Api::serve(|_| (429, vec![("Retry-After", "7200".to_owned())], String::new()));
    let project = project("[]", "{ wait_max_s: 5 }", "");
    let ran = project.run(&["run", "--var", &format!("url={}", api.url)]);
    assert_ne!(ran.code, Some(0));
    assert!(format!("{ran:?}").contains("longer than allowed"), "{ran:#?}");
    assert_eq!(api.take_requests().len(), 1);
}

#[test]
fn a_system_that_fails_again_and_again_is_left_alone() {
    let api = Api::serve(|_| (500, vec![], String::new()));
    let limits = "{ breaker: { failures: 2, pause_s: 60 } }";
    let ran = project("[]", limits, "").run(&["run", "--var", &format!("url={}", api.url)]);
    assert_ne!(ran.code, Some(0));
    assert!(format!("{ran:?}").contains("left alone"), "{ran:#?}");
    assert_eq!(api.take_requests().len(), 2);
}
