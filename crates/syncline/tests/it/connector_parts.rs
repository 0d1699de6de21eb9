//! Parts of the connector language that few connectors use.

use crate::api::{Api, Request};
use crate::connector_reading::{BEGIN, connector, ok, records};
use serde_json::{Value, json};

/// A stream of what is at `/rows`, with `authenticator`.
pub(crate) fn rows(authenticator: &str) -> String {
    format!(
        r##"
type: DeclarativeSource
check: {{ type: CheckStream, stream_names: [rows] }}
streams:
  - type: DeclarativeStream
    name: rows
    primary_key: id
    schema_loader: {{ type: InlineSchemaLoader, schema: {{ type: object }} }}
    retriever:
      type: SimpleRetriever
      record_selector: {{ type: RecordSelector, extractor: {{ type: DpathExtractor, field_path: [data] }} }}
      requester: {{ type: HttpRequester, url_base: "{{{{ config['url'] }}}}", path: rows, authenticator: {authenticator} }}
spec: {{ type: Spec, connection_specification: {{ type: object }} }}
"##
    )
}

#[test]
fn a_session_token_is_looked_at_and_else_asked_for() {
    let with = |given: &str, user: &str| {
        rows(&format!(
            "{{ type: LegacySessionTokenAuthenticator, header: X-Session, session_token: \"{given}\", username: \"{user}\", \
             password: pass-word, login_url: login, validate_session_url: me, session_token_response_key: id }}"
        ))
    };
    let answer = |request: &Request| match (request.path.as_str(), request.header("x-session")) {
        ("/login", None) => {
            assert_eq!(
                serde_json::from_str::<Value>(&request.body).unwrap(),
                json!({"username": "jo", "password": "pass-word"})
            );
            ok(&json!({"id": "fresh-token"}))
        }
        (_, Some("good-token" | "fresh-token")) => ok(&json!({"data": [{"id": 1}]})),
        _ => (401, vec![], "{}".to_owned()),
    };
    let cases: [(&str, &str, &[&str], usize); 4] = [
        ("good-token", "jo", &["/me", "/rows"], 1),
        ("old-token", "jo", &["/me", "/login", "/rows"], 1),
        ("", "jo", &["/login", "/rows"], 1),
        ("old-token", "", &["/me"], 0),
    ];
    for (given, user, asked, found) in cases {
        let api = Api::serve(answer);
        let (ran, messages) = connector(&with(given, user), &api.url, &["read", "rows"]);
        let paths: Vec<String> = api.take_requests().into_iter().map(|r| r.path).collect();
        assert_eq!(
            (paths, records(&messages).len()),
            (asked.iter().map(|&p| p.to_owned()).collect(), found),
            "{ran:#?}"
        );
        assert_eq!(ran.out.contains("there are no `username` and `password`"), found == 0);
    }
}

#[test]
fn a_signed_assertion_gets_an_access_token() {
    let manifest = rows(
        "{ type: OAuthAuthenticator, token_refresh_endpoint: \"{{ config['url'] }}/token\", use_profile_assertion: true, \
         client_id: never-sent, profile_assertion: { type: JwtAuthenticator, algorithm: HS256, \
         secret_key: \"{{ config['token'] }}\", jwt_payload: { iss: jo } } }",
    );
    let api = Api::serve(|request| match request.path.as_str() {
        "/token" => ok(&json!({"access_token": "granted-token", "expires_in": 60})),
        _ => ok(&json!({"data": [{"id": 1}]})),
    });
    let (ran, messages) = connector(&manifest, &api.url, &["read", "rows"]);
    assert_eq!(records(&messages).len(), 1, "{ran:#?}");
    let asked = api.take_requests();
    let (grant, assertion) = asked[0].body.split_once("&assertion=").unwrap();
    assert_eq!(grant, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    assert_eq!(assertion.split('.').count(), 3, "a signed token and nothing else: {assertion}");
    assert_eq!(asked[1].header("authorization"), Some("Bearer granted-token"));
}

#[test]
fn an_empty_refresh_token_of_the_manifest_goes_along() {
    let manifest = rows(
        "{ type: OAuthAuthenticator, token_refresh_endpoint: \"{{ config['url'] }}/token\", client_id: me, \
         client_secret: mine, refresh_token: \"\" }",
    );
    let api = Api::serve(|request| match request.path.as_str() {
        "/token" => ok(&json!({"access_token": "granted-token", "expires_in": 60})),
        _ => ok(&json!({"data": [{"id": 1}]})),
    });
    let (ran, _) = connector(&manifest, &api.url, &["read", "rows"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let body = &api.take_requests()[0].body;
    assert!(body.ends_with("&refresh_token="), "{body}");
}

#[test]
fn what_a_filter_leaves_out_need_not_be_a_record() {
    let filter = "record_selector: { record_filter: { type: RecordFilter, condition: \"{{ record.id == 1 }}\" },";
    let manifest = rows("{ type: NoAuth }").replace("record_selector: {", filter);
    let api = Api::serve(|_| ok(&json!({"data": [[1], "two", {"id": 1}, {"id": 2}]})));
    let (ran, messages) = connector(&manifest, &api.url, &["read", "rows"]);
    assert_eq!((ran.code, records(&messages)), (Some(0), vec![json!({"id": 1})]), "{ran:#?}");
}

/// A stream of notes, some at `path` for each partition of `router`; `stream` and `retriever` are more of these parts.
pub(crate) fn partitioned(stream: &str, retriever: &str, path: &str, router: &str) -> String {
    let streams = r##"
streams:
  - type: DeclarativeStream
    name: notes
    schema_loader: { $ref: "#/definitions/schema" }
    STREAM
    retriever:
      type: SimpleRetriever
      requester: { $ref: "#/definitions/requester", path: "PATH" }
      record_selector: { $ref: "#/definitions/selector" }
      RETRIEVER
      partition_router:
ROUTER
"##;
    let more = [("STREAM", stream), ("RETRIEVER", retriever), ("PATH", path), ("ROUTER", router)];
    let streams = more.iter().fold(streams.to_owned(), |all, (part, text)| all.replace(part, text));
    format!("{BEGIN}{streams}")
}

/// A stream of each person's notes; `stream`, `retriever` and `parent` are more of these parts.
pub(crate) fn notes(stream: &str, retriever: &str, parent: &str) -> String {
    let people = r##"        type: SubstreamPartitionRouter
        parent_stream_configs:
          - type: ParentStreamConfig
            parent_key: id
            partition_field: person
            PARENT
            stream:
              type: DeclarativeStream
              name: people
              schema_loader: { $ref: "#/definitions/schema" }
              retriever:
                type: SimpleRetriever
                requester: { $ref: "#/definitions/requester", path: /people }
                record_selector: { $ref: "#/definitions/selector" }"##;
    let path = "/people/{{ stream_partition.person }}/notes";
    partitioned(stream, retriever, path, &people.replace("PARENT", parent))
}

#[test]
fn a_first_page_that_the_parent_brings_is_not_asked_for() {
    let paginator = "paginator: { type: DefaultPaginator, \
        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: page }, \
        pagination_strategy: { type: CursorPagination, cursor_value: \"{{ response.next }}\" } }";
    let manifest = notes("", paginator, "lazy_read_pointer: [notes]");
    let api = Api::serve(|request| match request.path.as_str() {
        "/people" => ok(&json!({"data": [
            {"id": 1, "notes": {"data": [{"n": 1}], "next": 2}},
            {"id": 2, "notes": {"data": [{"n": 2}]}},
            {"id": 3},
        ]})),
        "/people/3/notes" => ok(&json!({"data": [{"n": 4}]})),
        _ => ok(&json!({"data": [{"n": 3}]})),
    });
    let (ran, messages) = connector(&manifest, &api.url, &["read", "notes"]);
    let numbers: Vec<_> = records(&messages).iter().map(|record| record["n"].clone()).collect();
    assert_eq!(numbers, [1, 3, 2, 4], "{ran:#?}");
    let asked = api.take_requests();
    let asked: Vec<_> = asked.iter().map(|r| (r.path.as_str(), r.query("page"))).collect();
    assert_eq!(
        asked,
        [("/people", None), ("/people/1/notes", Some("2")), ("/people/3/notes", None)]
    );
}

#[test]
fn a_parent_that_fails_leaves_a_state_of_the_child() {
    let cursor = "incremental_sync: { type: DatetimeBasedCursor, cursor_field: at, \
        datetime_format: \"%Y-%m-%d\", start_datetime: \"2026-01-01\" }";
    let manifest = notes(cursor, "", "");
    let api = Api::serve(|_| (404, vec![], "{}".to_owned()));
    let (ran, messages) = connector(&manifest, &api.url, &["read", "notes"]);
    assert_eq!(ran.code, Some(1));
    let state = messages.iter().rfind(|message| message["type"] == "STATE").unwrap();
    let state = &state["state"]["stream"]["stream_state"];
    assert_eq!((&state["states"], &state["parent_state"]), (&json!([]), &json!({})), "{ran:#?}");
}

#[test]
fn records_come_as_they_were_sent_but_for_what_is_null_on_a_line_each() {
    let manifest = rows("{ type: NoAuth }");
    let body = "{\"data\": [\n {\"id\": 1, \"x\": null,\n \"big\": 12345678901234567890123, \"deep\": {\"y\": null}},\n \
                {\"id\": 2, \"s\": \"a\\nb null\", \"e\": \"\\u00e9\"}]}";
    let api = Api::serve(move |_| (200, vec![], body.to_owned()));
    let (ran, messages) = connector(&manifest, &api.url, &["read", "rows"]);
    let expected = [
        json!({"id": 1, "big": 12_345_678_901_234_567_890_123_f64, "deep": {"y": null}}),
        json!({"id": 2, "s": "a\nb null", "e": "é"}),
    ];
    assert_eq!(records(&messages), expected, "{ran:#?}");
}

const LONG: &str = r##"
streams:
  - type: DeclarativeStream
    name: rows
    primary_key: id
    schema_loader: { $ref: "#/definitions/schema" }
    incremental_sync:
      type: DatetimeBasedCursor
      cursor_field: at
      datetime_format: "%Y-%m-%d"
      cursor_granularity: P1D
      step: P30D
      start_datetime: "2026-01-01"
      end_datetime: "2026-01-08"
      start_time_option: { type: RequestOption, inject_into: request_parameter, field_name: from }
      end_time_option: { type: RequestOption, inject_into: request_parameter, field_name: to }
    retriever:
      type: SimpleRetriever
      page_size_reduction: { type: PageSizeReduction, backoff_seconds: 0 }
      request_window_splitting: { type: RequestWindowSplitting, failure_message: ask for fewer }
      requester:
        $ref: "#/definitions/requester"
        path: /rows
        error_handler:
          type: DefaultErrorHandler
          response_filters:
            - { type: HttpResponseFilter, http_codes: [413], action: REDUCE_PAGE_SIZE, error_message: too long }
            - { type: HttpResponseFilter, http_codes: [422], action: SPLIT_REQUEST_WINDOW, error_message: too wide }
      record_selector: { $ref: "#/definitions/selector" }
      paginator:
        type: DefaultPaginator
        page_size_option: { type: RequestOption, inject_into: request_parameter, field_name: limit }
        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: offset }
        pagination_strategy: { type: OffsetIncrement, page_size: 4 }
"##;

/// A row for each day of the window, no more than `longest` on a page, in windows of no more than `widest` days.
fn days(request: &Request, longest: u64, widest: u64) -> crate::api::Answer {
    let day = |name: &str| request.query(name).unwrap()[8..].parse::<u64>().unwrap();
    let number = |name: &str| request.query(name).map_or(0, |text| text.parse::<u64>().unwrap());
    let (from, to, limit) = (day("from"), day("to"), number("limit"));
    if to - from + 1 > widest {
        return (422, vec![], "{}".to_owned());
    }
    if limit > longest {
        return (413, vec![], "{}".to_owned());
    }
    let rows = (from..=to).skip(usize::try_from(number("offset")).unwrap());
    let rows = rows.take(usize::try_from(limit).unwrap());
    let rows: Vec<Value> =
        rows.map(|day| json!({"id": day, "at": format!("2026-01-{day:02}")})).collect();
    ok(&json!({ "data": rows }))
}

#[test]
fn what_is_too_much_at_once_is_asked_for_in_smaller_parts() {
    for (longest, widest, requests) in [(9, 9, 3), (3, 9, 6), (9, 4, 5), (2, 3, 15)] {
        let api = Api::serve(move |request| days(request, longest, widest));
        let (ran, messages) = connector(&format!("{BEGIN}{LONG}"), &api.url, &["read", "rows"]);
        let ids: Vec<Value> = records(&messages).iter().map(|row| row["id"].clone()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8], "{longest} {widest}: {ran:#?}");
        let state = messages.iter().rfind(|message| message["type"] == "STATE").unwrap();
        assert_eq!(
            state["state"]["stream"]["stream_state"],
            json!({"at": "2026-01-08"}),
            "the window counts as read only as a whole"
        );
        assert!(!ran.out.contains("\"WARN\""), "{ran:#?}");
        assert_eq!(api.take_requests().len(), requests, "{longest} {widest}");
    }
    for (longest, widest, told) in [(0, 9, "too long"), (9, 0, "too wide: ask for fewer")] {
        let api = Api::serve(move |request| days(request, longest, widest));
        let (ran, _) = connector(&format!("{BEGIN}{LONG}"), &api.url, &["read", "rows"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.out.contains(told), "{ran:#?}");
    }
}

#[test]
fn an_api_that_gives_the_same_page_for_ever_is_an_error() {
    let api = Api::serve(|_| {
        let row = |id| json!({"id": id, "at": "2026-01-01"});
        ok(&json!({"data": [row(1), row(2), row(3), row(4)]}))
    });
    let (ran, _) = connector(&format!("{BEGIN}{LONG}"), &api.url, &["read", "rows"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("the same page again and again, whichever"), "{ran:#?}");
    assert_eq!(api.take_requests().len(), 10);
}

/// [`LONG`], begun again as `reset` says, and where the API answers with 416.
fn begun_again(reset: &str) -> String {
    let (head, rest) = LONG.split_once("      page_size_reduction").unwrap();
    let (_, rest) = rest.split_once("      requester:").unwrap();
    let (middle, rest) = rest.split_once("            - { type: HttpResponseFilter").unwrap();
    let (_, tail) = rest.split_once("      record_selector").unwrap();
    let filter = "{ type: HttpResponseFilter, http_codes: [416], action: RESET_PAGINATION }";
    format!(
        "{BEGIN}{head}      pagination_reset: {{ type: PaginationReset, {reset} }}\n      requester:{middle}            \
         - {filter}\n      record_selector{tail}"
    )
}

#[test]
fn pages_are_begun_again_from_the_latest_record_or_as_a_whole_once() {
    const LIMITS: &str = "limits: { type: PaginationResetLimits, number_of_records: 4 }";
    // The API goes no further than to the fourth record of what it is asked for.
    let answer = |request: &Request| match request.query("offset") {
        None => days(request, 4, 9),
        Some(_) => (416, vec![], "{}".to_owned()),
    };
    let split = "action: SPLIT_USING_CURSOR";
    for (reset, requests) in [(format!("{split}, {LIMITS}"), 3), (split.to_owned(), 5)] {
        let api = Api::serve(answer);
        let (ran, messages) = connector(&begun_again(&reset), &api.url, &["read", "rows"]);
        let ids: Vec<Value> = records(&messages).iter().map(|row| row["id"].clone()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 4, 5, 6, 7, 7, 8], "{reset}: {ran:#?}");
        assert_eq!(api.take_requests().len(), requests, "{reset}");
        assert!(!ran.out.contains("\"WARN\""), "{ran:#?}");
    }
    let one_day = |request: &Request| match request.query("offset") {
        None => {
            let rows = [1, 2, 3, 4].map(|id| json!({"id": id, "at": "2026-01-01"}));
            ok(&json!({ "data": rows }))
        }
        Some(_) => (416, vec![], "{}".to_owned()),
    };
    for (reset, requests) in [("action: RESET", 4), (split, 2)] {
        let api = Api::serve(one_day);
        let (ran, _) = connector(&begun_again(reset), &api.url, &["read", "rows"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.out.contains("begun again with the very same request"), "{ran:#?}");
        assert_eq!(api.take_requests().len(), requests, "{reset}");
    }
}
