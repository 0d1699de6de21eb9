//! Streams of one read, side by side.

use crate::api::Api;
use crate::connector_reading::{BEGIN, connector, ok, records};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The requests that wait for their answer, by path.
#[derive(Clone, Default)]
struct Waiting(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Waiting {
    /// Comes in, waits until all of `paths` have come, and goes; whether they all did.
    fn for_all(&self, path: &str, paths: &[&str]) -> bool {
        let (come, changed) = &*self.0;
        let mut come = come.lock().unwrap();
        come.push(path.to_owned());
        changed.notify_all();
        let lacks =
            |come: &mut Vec<String>| !paths.iter().all(|path| come.iter().any(|c| c == path));
        !changed.wait_timeout_while(come, Duration::from_secs(30), lacks).unwrap().1.timed_out()
    }
}

/// A stream of its own path.
fn stream(name: &str) -> String {
    format!(
        r##"
  {name}:
    type: DeclarativeStream
    name: {name}
    schema_loader: {{ $ref: "#/definitions/schema" }}
    retriever:
      type: SimpleRetriever
      record_selector: {{ $ref: "#/definitions/selector" }}
      requester: {{ $ref: "#/definitions/requester", path: /{name} }}
"##
    )
}

fn manifest(names: &[&str], more: &str) -> String {
    // Definitions come before what follows them in `BEGIN`.
    let streams: String = names.iter().map(|name| stream(name)).collect();
    let begin = BEGIN.replace("definitions:\n", &format!("definitions:{streams}"));
    let refs: String =
        names.iter().map(|name| format!("  - $ref: \"#/definitions/{name}\"\n")).collect();
    format!("{begin}\nstreams:\n{refs}{more}")
}

/// What was said of each stream, in short: `S`tarted, `RU`nning, records, states, complete.
fn told(messages: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::<String, Vec<String>>::new();
    for message in messages {
        let status = &message["trace"]["stream_status"];
        let names = [
            &message["record"]["stream"],
            &message["state"]["stream"]["stream_descriptor"]["name"],
            &status["stream_descriptor"]["name"],
        ];
        let Some(name) = names.iter().find_map(|name| name.as_str()) else { continue };
        let what = status["status"].as_str().or(message["type"].as_str()).unwrap();
        told.entry(name.to_owned()).or_default().push(what.to_owned());
    }
    told
}

#[test]
fn streams_are_read_side_by_side_each_in_its_order() {
    let level = "concurrency_level: { type: ConcurrencyLevel, default_concurrency: 3 }";
    let manifest = manifest(&["a", "b", "c"], level);
    let waiting = Waiting::default();
    let api =
        Api::serve(move |request| match waiting.for_all(&request.path, &["/a", "/b", "/c"]) {
            true => ok(&json!({"data": [{"id": 1}, {"id": 2}]})),
            false => (404, vec![], String::new()),
        });
    let (ran, messages) =
        connector(&manifest, &api.url, &["read", "a", "b", "c", "--concurrency", "3"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let expected = ["STARTED", "RUNNING", "RECORD", "RECORD", "STATE", "COMPLETE"];
    for (name, told) in told(&messages) {
        assert_eq!(told, expected, "{name}");
    }
    assert_eq!(api.take_requests().len(), 3);
}

#[test]
fn a_page_that_a_stream_and_its_child_want_at_once_is_asked_for_once() {
    let child = r##"
  - $ref: "#/definitions/a"
    name: child
    retriever:
      $ref: "#/definitions/a/retriever"
      requester: { $ref: "#/definitions/requester", path: "/child/{{ stream_partition['of'] }}" }
      partition_router:
        type: SubstreamPartitionRouter
        parent_stream_configs:
          - { type: ParentStreamConfig, stream: { $ref: "#/definitions/a" }, parent_key: id, partition_field: of }
"##;
    let manifest = manifest(&["a"], child.trim_start_matches('\n'));
    let api = Api::serve(|_| ok(&json!({"data": [{"id": 1}, {"id": 2}]})));
    let (ran, messages) =
        connector(&manifest, &api.url, &["read", "child", "a", "--concurrency", "4"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(told(&messages)["child"].iter().filter(|what| *what == "RECORD").count(), 4);
    let mut paths: Vec<String> = api.take_requests().into_iter().map(|r| r.path).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/a", "/child/1", "/child/2"]);
}

#[test]
fn of_a_group_one_stream_at_a_time_is_read() {
    let groups = r##"
stream_groups:
  slow:
    type: StreamGroup
    streams: [{ $ref: "#/definitions/a" }, { $ref: "#/definitions/b" }]
    action: { type: BlockSimultaneousSyncsAction }
"##;
    let manifest = manifest(&["a", "b", "c"], groups);
    let waiting = Waiting::default();
    let come = waiting.clone();
    // Were `a` and `b` read at the same time, there would be no slot for `c`.
    let api = Api::serve(move |request| match waiting.for_all(&request.path, &["/a", "/c"]) {
        true => ok(&json!({"data": []})),
        false => (404, vec![], String::new()),
    });
    let (ran, _) = connector(&manifest, &api.url, &["read", "a", "b", "c", "--concurrency", "2"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let come = come.0.0.lock().unwrap();
    assert_eq!((come.len(), come.last().unwrap().as_str()), (3, "/b"));
}

#[test]
fn streams_side_by_side_spend_a_token_of_one_use_once() {
    let bearer = "{ type: BearerAuthenticator, api_token: \"{{ config['token'] }}\" }";
    let oauth = "{ type: OAuthAuthenticator, token_refresh_endpoint: \"{{ config['url'] }}/token\", \
        client_id: me, client_secret: mine, refresh_token: \"{{ config['token'] }}\", \
        refresh_token_updater: { refresh_token_config_path: [token], access_token_config_path: [access], \
        token_expiry_date_config_path: [until] } }";
    let manifest = manifest(&["a", "b", "c"], "").replace(bearer, oauth);
    let spent = Mutex::new(false);
    let api = Api::serve(move |request| match request.path.as_str() {
        "/token" if std::mem::replace(&mut *spent.lock().unwrap(), true) => {
            (400, vec![], json!({"error": "invalid_grant"}).to_string())
        }
        "/token" => {
            ok(&json!({"access_token": "fresh", "refresh_token": "next", "expires_in": 3600}))
        }
        _ => ok(&json!({"data": [{"id": request.header("authorization")}]})),
    });
    let (ran, messages) =
        connector(&manifest, &api.url, &["read", "a", "b", "c", "--concurrency", "3"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(records(&messages), vec![json!({"id": "Bearer fresh"}); 3]);
}
