//! What the reference implementation makes of a manifest where one could think otherwise: partitions and their state,
//! names and headers.

use crate::api::{Answer, Api, Request};
use crate::connector_parts::{notes, partitioned, rows};
use crate::connector_reading::{connector, ok, records};
use crate::project::Project;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

const BY_DAY: &str = "incremental_sync: { type: DatetimeBasedCursor, cursor_field: at, datetime_format: \"%Y-%m-%d\", \
    start_datetime: \"2026-01-01\", \
    start_time_option: { type: RequestOption, inject_into: request_parameter, field_name: from } }";

fn paths(api: &Api) -> Vec<String> {
    api.take_requests().into_iter().map(|request| request.path).collect()
}

fn last_state(messages: &[Value]) -> &Value {
    let state = messages.iter().rfind(|message| message["type"] == "STATE").unwrap();
    &state["state"]["stream"]["stream_state"]
}

#[test]
fn a_record_whose_key_is_null_makes_no_partition() {
    let api = Api::serve(|request| match request.path.as_str() {
        "/people" => ok(&json!({"data": [{"id": null}, {"id": 1}, {"name": "no id"}, {"id": 0}]})),
        _ => ok(&json!({"data": []})),
    });
    let (ran, _) = connector(&notes("", "", ""), &api.url, &["read", "notes"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(paths(&api), ["/people", "/people/1/notes", "/people/0/notes"]);
}

#[test]
fn of_two_fields_with_one_name_the_last_one_counts() {
    let once = rows("{ type: NoAuth }");
    let in_braces = once.replace("path: rows,", "path: other, path: rows,");
    let in_lines = once.replace("    name: rows\n", "    name: other\n    name: rows\n");
    for manifest in [in_braces, in_lines] {
        assert_ne!(manifest, once);
        let api = Api::serve(|_| ok(&json!({"data": [{"id": 1}]})));
        let (ran, messages) = connector(&manifest, &api.url, &["read", "rows"]);
        assert_eq!(records(&messages), [json!({"id": 1})], "{ran:#?}");
        assert_eq!(paths(&api), ["/rows"]);
    }
}

#[test]
fn a_part_of_a_name_can_be_replaced_by_nothing() {
    let replace = "transformations: [{ type: KeysReplace, old: \"x_\", new: \"\" }]";
    let api = Api::serve(|request| match request.path.as_str() {
        "/people" => ok(&json!({"data": [{"id": 1}]})),
        _ => ok(&json!({"data": [{"x_a": 1, "deep": {"x_x_b": 2}}]})),
    });
    let (ran, messages) = connector(&notes(replace, "", ""), &api.url, &["read", "notes"]);
    assert_eq!(records(&messages), [json!({"a": 1, "deep": {"b": 2}})], "{ran:#?}");
}

#[test]
fn the_header_of_a_signed_token_has_its_names_in_order() {
    let manifest = rows(
        "{ type: JwtAuthenticator, algorithm: HS256, secret_key: \"{{ config['token'] }}\", header_prefix: Bearer, \
         jwt_headers: { kid: key-1 }, additional_jwt_headers: { zone: z, typ: at+jwt, area: a }, \
         jwt_payload: { sub: jo, iss: me } }",
    );
    let api = Api::serve(|_| ok(&json!({"data": [{"id": 1}]})));
    let (ran, _) = connector(&manifest, &api.url, &["read", "rows"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let sent = api.take_requests();
    let token = sent[0].header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(
        String::from_utf8(header).unwrap(),
        r#"{"alg":"HS256","area":"a","kid":"key-1","typ":"at+jwt","zone":"z"}"#
    );
}

#[test]
fn groups_of_partitions_have_one_position_for_all() {
    let groups = "        type: GroupingPartitionRouter
        group_size: 2
        underlying_partition_router: { type: ListPartitionRouter, values: [x, y, z], cursor_field: id }";
    let manifest = partitioned(BY_DAY, "", "/{{ stream_partition.id | join('-') }}", groups);
    let api = Api::serve(|request| {
        let at = if request.path == "/z" { "2026-01-20" } else { "2026-01-10" };
        ok(&json!({"data": [{"at": at}]}))
    });
    let (ran, messages) = connector(&manifest, &api.url, &["read", "notes"]);
    assert_eq!(paths(&api), ["/x-y", "/z"], "{ran:#?}");
    // Which values make a group may be another thing next time, so no group has a position of its own.
    let state = last_state(&messages);
    assert_eq!(state["use_global_cursor"], true);
    assert_eq!((&state["state"], state.get("states")), (&json!({"at": "2026-01-20"}), None));
}

/// [`notes`] of people who are read by day as well; `parent` is more of how the notes depend on them.
fn notes_of_people_by_day(parent: &str) -> String {
    let people = "              name: people\n";
    let by_day = format!("{people}              {BY_DAY}\n");
    notes(BY_DAY, "", parent).replace(people, &by_day)
}

fn people_and_notes(request: &Request) -> Answer {
    match request.path.as_str() {
        "/people" => ok(&json!({"data": [{"id": 1, "at": "2026-01-05"}]})),
        _ => ok(&json!({"data": [{"n": 1, "at": "2026-01-10"}]})),
    }
}

#[test]
fn a_parent_that_its_child_depends_on_goes_on_where_it_stopped() {
    let cases = [
        ("incremental_dependency: true", json!({"people": {"at": "2026-01-05"}}), "2026-01-05"),
        ("", json!({}), "2026-01-01"),
    ];
    for (dependency, parents, from) in cases {
        let manifest = notes_of_people_by_day(dependency);
        let api = Api::serve(people_and_notes);
        let (ran, messages) = connector(&manifest, &api.url, &["read", "notes"]);
        assert_eq!(last_state(&messages)["parent_state"], parents, "{ran:#?}");

        let state: Vec<&Value> = messages.iter().filter(|m| m["type"] == "STATE").collect();
        let project = Project::new(&[]);
        project.write("state.json", &json!([state.last().unwrap()["state"]]).to_string());
        let file = project.path("state.json");
        api.take_requests();
        let args = ["read", "notes", "--state", file.to_str().unwrap()];
        let (ran, _) = connector(&manifest, &api.url, &args);
        let asked = api.take_requests();
        let asked: Vec<_> = asked.iter().map(|r| (r.path.as_str(), r.query("from"))).collect();
        assert_eq!(
            asked,
            [("/people", Some(from)), ("/people/1/notes", Some("2026-01-10"))],
            "{dependency}: {ran:#?}"
        );
    }
}

#[test]
fn what_parents_are_at_is_said_once_a_partition_was_read() {
    for (broken, parents) in [("/people/2/notes", Some(json!({}))), ("/people/1/notes", None)] {
        let api = Api::serve(move |request| match request.path.as_str() {
            "/people" => ok(&json!({"data": [{"id": 1}, {"id": 2}]})),
            path if path == broken => (404, vec![], "{}".to_owned()),
            _ => ok(&json!({"data": [{"n": 1, "at": "2026-01-10"}]})),
        });
        let (ran, messages) = connector(&notes(BY_DAY, "", ""), &api.url, &["read", "notes"]);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        assert_eq!(last_state(&messages).get("parent_state"), parents.as_ref(), "{broken}");
    }
}
