//! Proposals from made-up samples.

use super::*;
use syncline_core::record::{Page, Record, Shape};
use syncline_core::value::Value;

/// A sample of a CSV-like file: the header and rows, cells between `|`, empty ones null.
fn sample(stem: &str, header: &str, rows: &[&str]) -> Sample {
    let cell = |text: &str| Some(if text.is_empty() { Value::Null } else { Value::text(text) });
    let records = rows
        .iter()
        .map(|row| Record { cells: row.split('|').map(cell).collect(), ..Record::default() });
    let page = Page {
        shape: Shape::new(header.split('|')).into(),
        records: records.collect(),
        ..Page::default()
    };
    Sample {
        path: format!("{stem}.csv"),
        stem: stem.to_owned(),
        found: DiscoveredEntity { name: stem.to_owned(), fields: Vec::new(), sample: page },
        ..Sample::default()
    }
}

/// A sample of a JSON-like file.
fn json(stem: &str, records: &[&str]) -> Sample {
    let mut shape = Shape::default();
    let mut rows = Vec::new();
    for record in records {
        let Value::Map(entries) = serde_json::from_str(record).unwrap() else { unreachable!() };
        let mut cells = Vec::new();
        for (name, value) in entries {
            let index = shape.intern(&name);
            cells.resize(cells.len().max(index + 1), None);
            cells[index] = Some(value);
        }
        rows.push(Record { cells, ..Record::default() });
    }
    let page = Page { shape: shape.into(), records: rows, ..Page::default() };
    Sample {
        path: format!("{stem}.jsonl"),
        stem: stem.to_owned(),
        found: DiscoveredEntity { name: stem.to_owned(), fields: Vec::new(), sample: page },
        ..Sample::default()
    }
}

#[test]
fn one_file_of_people() {
    let project = propose(&[sample(
        "contacts",
        "id|First Name|Surname|E-Mail|Tel|PLZ|birthday|updated_at|active",
        &[
            "1|Ann|Lee|Ann@Example.com|+44 20 1|01234|1.2.1980|2025-01-01T00:00:00Z|yes",
            "2|Bo|Ng||020 2|99999|13.4.1981|2025-01-02T00:00:00Z|no",
        ],
    )]);
    insta::assert_snapshot!(project.to_yaml());
}

#[test]
fn files_that_belong_together() {
    let project = propose(&[
        json(
            "crm-contacts",
            &[
                r#"{"Id":"c1","FirstName":"Ann","LastName":"Lee","Email":"ann@x.org","AccountId":"a1","MailingAddress":{"city":"Ulm","postalCode":"89073"},"tags":["a"],"SystemModstamp":"2025-01-01T00:00:00Z"}"#,
            ],
        ),
        json(
            "crm-accounts",
            &[r#"{"Id":"a1","Name":"X Ltd","Website":"x.org","AnnualRevenue":12.5}"#],
        ),
        sample(
            "billing-customers",
            "customer_no|name|email|zip|balance",
            &["7|Ann Lee|ann@x.org|89073|12.50"],
        ),
        sample("newsletter", "email|subscribed_at", &["ann@x.org|2025-01-01 10:00:00"]),
        sample("orders", "order_id|line|email|amount", &["1|1|a@x.org|1.5", "1|2|a@x.org|2"]),
    ]);
    insta::assert_snapshot!(project.to_yaml());
}

#[test]
fn names_that_are_odd_or_come_twice() {
    let project = propose(&[sample(
        "data (2)",
        "Größe (cm)| name |a.b|a b|---|Email|e-mail|${x}|\"q\"|true",
        &["180|x|1|2|3|a@b.de|no address|4|5|6"],
    )]);
    insta::assert_snapshot!(project.to_yaml());
}

#[test]
fn text_is_quoted_where_yaml_would_read_something_else() {
    for (text, expected) in [
        ("Email", "Email"),
        ("a.b", "a.b"),
        ("no", "\"no\""),
        ("Null", "\"Null\""),
        ("1a", "\"1a\""),
        ("a: b", "\"a: b\""),
        ("a b", "\"a b\""),
        ("", "\"\""),
        ("${x}", "\"${x}\""),
        ("${env:x}", "\"$${env:x}\""),
        ("a\u{7}\"\\", "\"a\\u0007\\\"\\\\\""),
        ("Größe", "\"Größe\""),
    ] {
        assert_eq!(yaml::scalar(text), expected, "{text}");
    }
}
