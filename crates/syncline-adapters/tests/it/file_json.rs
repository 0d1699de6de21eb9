use crate::reading::{Folder, full};

fn document(text: &str, records: Option<&str>) -> Folder {
    Folder::with("a.json", text).set(|s| s.records = records.map(str::to_owned))
}

#[test]
fn an_array_or_one_inside_is_read_element_by_element() {
    let cases = [
        ("[{\"a\":1},\n {\"a\":[{\"b\":\"]},\\\"\"}]}]", None, 2),
        ("[]", None, 0),
        (" [ ] \n", None, 0),
        ("{\"data\":{\"items\":[{\"a\":1}]}}", Some("data.items"), 1),
        (
            "{\"skip\":[{\"items\":0}],\"s\":\"}{\",\"data\":[{\"a\":1},{\"a\":2}],\"z\":{}}",
            Some("data"),
            2,
        ),
        ("{\"d\\u0061ta\":[{\"a\":1}], \"next\": null}", Some("data"), 1),
    ];
    for (text, path, count) in cases {
        let outcome = document(text, path).read();
        assert_eq!((outcome.records().len(), outcome.gap()), (count, ""), "{text}");
        assert_eq!(outcome.problems(), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn elements_have_the_line_they_begin_on() {
    let outcome = document("[\n  {\n    \"a\": 1\n  },\n\n  {\"a\": 2}\n]\n", None).read();
    assert_eq!(outcome.records(), ["a.json:2 a=1", "a.json:6 a=2"]);
}

#[test]
fn a_malformed_element_costs_only_itself() {
    let text = "[{\"a\":1},{bad},7,{\"a\":1e400},{\"a\":2} {\"a\":3},\n{\"a\":4},]";
    let outcome = document(text, None).read();
    assert_eq!(outcome.bodies(), ["a=1", "a=4"]);
    let payloads: Vec<_> = outcome.rejected().iter().map(|r| r.payload.as_str()).collect();
    assert_eq!(payloads, ["{bad}", "7", "{\"a\":1e400}", "{\"a\":2} {\"a\":3}", ""]);
    assert_eq!(outcome.gap(), "");
}

#[test]
fn a_document_that_breaks_off_gives_what_came_before() {
    let whole = "{\"x\":1,\"data\":[{\"a\":1},{\"a\":2}],\"y\":[]}";
    for len in 0..whole.len() {
        let outcome = document(&whole[..len], Some("data")).read();
        assert!(!outcome.end.complete, "{}", &whole[..len]);
        let expected = usize::from(len >= 23) + usize::from(len >= 31);
        assert_eq!(outcome.records().len(), expected, "{}", &whole[..len]);
        assert_eq!(outcome.problems(), Vec::<String>::new());
    }
    assert!(document(&whole[..20], Some("data")).read().gap().contains("breaks off at line 1"));
    assert!(document("", None).read().gap().contains("empty"));
    assert!(document("[] []", None).read().gap().contains("text follows"));
    assert!(document("[{\"a\":1}}", None).read().gap().contains("brackets"));
}

#[test]
fn a_path_that_leads_to_no_array_is_refused_with_a_hint() {
    for (text, path, part) in [
        ("{\"data\":[]}", None, "set `records`"),
        ("{\"data\":[]}", Some("items"), "no array at `items`"),
        ("{\"data\":{}}", Some("data"), "no array at `data`"),
        ("{\"data\":[]}", Some("data.items"), "no array at `data.items`"),
        ("7", None, "no array at its root"),
    ] {
        let message = document(text, path).refusal();
        assert!(message.contains(part) && message.contains("`a.json`"), "{message}");
    }
}

#[test]
fn an_element_that_is_too_long_is_passed() {
    let text = format!("[{{\"a\":\"{}\"}},{{\"a\":2}}]", "x".repeat(3 << 20));
    let outcome = document(&text, None).set(|s| s.line_bytes_max = Some(1000)).read();
    assert_eq!(outcome.bodies(), ["a=2"]);
    assert_eq!(outcome.rejected()[0].payload.len(), 64 << 10);
    assert_eq!(outcome.problems(), ["1 the line is longer than 1000 bytes (`line_bytes_max`)"]);
}

#[test]
fn a_changed_document_is_read_again_from_its_start() {
    let folder = document("[{\"a\":1}]", None);
    let first = folder.read();
    assert_eq!(folder.read_since(&first.end.cursor).records().len(), 0);
    folder.write("a.json", "[{\"a\":1},{\"a\":2}]");
    let second = folder.read_since(&first.end.cursor);
    assert_eq!((second.records().len(), second.end.restarted), (2, true));
    let rest = folder.try_read(full(Some(second.end.cursor), 10)).unwrap();
    assert_eq!((rest.records().len(), rest.end.restarted), (0, false));
}
