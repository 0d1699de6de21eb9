use crate::reading::{Folder, full, gzip, zstd};
use std::collections::BTreeMap;
use syncline_adapters::ChangedSince;
use syncline_core::config::model::ColumnType;

#[test]
fn objects_become_records_with_exact_values() {
    let text = concat!(
        r#"{"id":9007199254740993,"name":"Zoë","tags":["a",1.5],"at":{"x":null}}"#,
        "\r\n\n   \n",
        r#"{"name":"","id":18446744073709551615,"new":true}"#,
    );
    let outcome = Folder::with("a.jsonl", text).read();
    let expected = [
        r#"a.jsonl:1 id=9007199254740993 name="Zoë" tags=["a",1.5] at={"x":null}"#,
        r#"a.jsonl:4 id=18446744073709551615 name="" new=true"#,
    ];
    assert_eq!(outcome.records(), expected);
    assert_eq!((outcome.gap(), outcome.rejected().len()), ("", 0));
}

#[test]
fn absent_and_null_and_repeated_keys_stay_apart() {
    let outcome = Folder::with("a.jsonl", "{\"a\":1,\"b\":null,\"a\":2}\n{\"b\":3}\n{}\n").read();
    assert_eq!(outcome.bodies(), ["a=2 b=null", "b=3", ""]);
    assert_eq!(outcome.pages[0].records[1].cells[0], None);
}

#[test]
fn packed_files_are_known_by_their_first_bytes() {
    let text = "{\"a\":1}\n{\"a\":2}\n";
    for (name, bytes) in [
        ("a.jsonl.gz", gzip(text)),
        ("a.jsonl.zst", zstd(text)),
        ("plain-name.jsonl", gzip(text)),
        ("two-members.jsonl", [gzip("{\"a\":1}\n"), gzip("{\"a\":2}\n")].concat()),
        ("not-packed.jsonl.gz", text.into()),
    ] {
        let outcome = Folder::with(name, bytes).read();
        assert_eq!(outcome.bodies(), ["a=1", "a=2"], "{name}");
        assert_eq!(outcome.gap(), "", "{name}");
    }
}

#[test]
fn declared_columns_convert_text_and_refuse_what_does_not_fit() {
    let text = "{\"n\":\"42\",\"z\":7}\n{\"n\":4.0}\n{\"n\":\"x\"}\n{\"n\":null}\n{\"z\":[1]}\n";
    let columns =
        BTreeMap::from([("n".to_owned(), ColumnType::Integer), ("z".to_owned(), ColumnType::Text)]);
    let outcome = Folder::with("a.jsonl", text).set(|s| s.columns = Some(columns)).read();
    assert_eq!(outcome.bodies(), ["n=42 z=\"7\"", "n=4", "n=null"]);
    assert_eq!(
        outcome.problems(),
        [
            "3 column `n` says integer, line 3 holds `x`",
            "5 column `z` says text, line 5 holds `[1]`"
        ]
    );
}

#[test]
fn records_older_than_the_bound_are_left_out() {
    let text = concat!(
        "{\"t\":\"2025-01-01T00:00:00Z\"}\n",
        "{\"t\":\"2025-06-01 00:00:00\"}\n",
        "{\"t\":\"2025-12-01\"}\n",
        "{\"t\":\"soon\"}\n",
        "{}\n",
        "{\"t\":5}\n"
    );
    let june_first = 1_748_736_000_000_000;
    let mut request = full(None, 10);
    request.changed_since = Some(ChangedSince { field: "t".to_owned(), at_least: june_first });
    let outcome = Folder::with("a.jsonl", text).try_read(request).unwrap();
    assert_eq!(
        outcome.bodies(),
        ["t=\"2025-06-01 00:00:00\"", "t=\"2025-12-01\"", "t=\"soon\"", ""]
    );
}

#[test]
fn pages_grow_one_shape_and_report_progress() {
    let text: String = (0..10).map(|n| format!("{{\"k{}\":{n}}}\n", n / 4)).collect();
    let outcome = Folder::with("a.jsonl", text).try_read(full(None, 4)).unwrap();
    let lens: Vec<_> = outcome.pages.iter().map(|page| page.records.len()).collect();
    let names: Vec<_> = outcome.pages.iter().map(|page| page.shape.names().len()).collect();
    assert_eq!((lens, names), (vec![4, 4, 2], vec![1, 2, 3]));
    assert_eq!(outcome.pages[2].progress, Some(1.0));
}
