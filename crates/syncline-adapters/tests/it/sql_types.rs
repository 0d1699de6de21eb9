//! Values of every type: read, written as they were read, and the same in the database.

use crate::sql_place::{Place, update};
use compact_str::CompactString;
use syncline_adapters::write::{Change, Write, Written};
use syncline_core::record::Record;
use syncline_core::value::Value;

/// A type by its name and in SQL, and values of it: in SQL, and as they are read.
type Typed = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Reads the table `kinds`, compares each field with what is expected, writes the rows again under other keys, and
/// compares what the database shows of both. Then each row is updated on the condition that it is what was read.
fn round_trip(place: &Place, columns: &[Typed], shown: &str) {
    let declared =
        columns.iter().enumerate().map(|(index, column)| format!("c{index} {}", column.1));
    let declared: Vec<String> = declared.collect();
    place.sql(&format!("CREATE TABLE kinds (id int PRIMARY KEY, {})", declared.join(", ")));
    let rows = columns.iter().map(|column| column.2.len()).max().unwrap();
    for row in 0..rows {
        let value = |column: &Typed| column.2.get(row).map_or("NULL", |(sql, _)| *sql);
        let values: Vec<&str> = columns.iter().map(value).collect();
        place.sql(&format!("INSERT INTO kinds VALUES ({}, {})", row + 1, values.join(", ")));
    }
    let table = place.table("kinds", &["id"]);
    let outcome = table.read();
    assert_eq!(outcome.problems(), [""; 0]);
    let records: Vec<&Record> = outcome.pages.iter().flat_map(|page| &page.records).collect();
    assert_eq!(records.len(), rows);
    let mut wrong = Vec::new();
    for (index, (name, _, values)) in columns.iter().enumerate() {
        for (row, record) in records.iter().enumerate() {
            let expected = values.get(row).map_or("null", |(_, json)| *json);
            let found = record.cells[index + 1].as_ref().unwrap().to_json();
            if found != expected {
                wrong.push(format!("{name} row {}: {found}, not {expected}", row + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let all_of = |record: &Record| -> Vec<(CompactString, Value)> {
        let cells = record.cells.iter().skip(1).enumerate();
        cells.map(|(index, cell)| (format!("c{index}").into(), cell.clone().unwrap())).collect()
    };
    let copies = records.iter().zip(101..).map(|(record, id)| {
        let mut fields = all_of(record);
        fields.push(("id".into(), Value::Int(id)));
        Write { key: "k".into(), marker: "m".into(), change: Change::Create { fields } }
    });
    let outcomes = table.outcomes(copies.collect());
    assert!(outcomes.iter().all(|outcome| outcome.starts_with("done")), "{outcomes:?}");
    assert_alike(place, columns, shown);
    for (record, row) in records.iter().zip(1..) {
        let mut write = update(&row.to_string(), "{}", "{}");
        if let Change::Update { target, fields } = &mut write.change {
            (target.before, *fields) = (all_of(record), all_of(record));
        }
        let replies = table.write(vec![write]);
        let done = matches!(replies.written[0], Written::Done { .. });
        assert!(done, "row {row}: {:?}", replies.written);
    }
    assert_alike(place, columns, shown);
}

/// Makes sure that the database shows the same of each row and its copy.
fn assert_alike(place: &Place, columns: &[Typed], shown: &str) {
    for (index, (name, ..)) in columns.iter().enumerate() {
        let shown = shown.replace('$', &format!("c{index}"));
        let show = |range: &str| {
            place.sql(&format!("SELECT {shown} FROM kinds WHERE id {range} ORDER BY id"))
        };
        assert_eq!(show("> 100"), show("<= 100"), "{name}");
    }
}

const POSTGRES: &[Typed] = &[
    ("flags", "boolean", &[("true", "true"), ("false", "false")]),
    ("small", "smallint", &[("-32768", "-32768")]),
    ("whole", "integer", &[("2147483647", "2147483647")]),
    (
        "big",
        "bigint",
        &[
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
        ],
    ),
    ("single", "real", &[("3.14", "3.14"), ("'NaN'", "\"NaN\""), ("1e-30", "1e-30")]),
    (
        "double",
        "double precision",
        &[
            ("0.1", "0.1"),
            ("'-Infinity'", "\"-Infinity\""),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ],
    ),
    (
        "digits",
        "numeric",
        &[
            (
                "12345678901234567890.123456789012345678901234567890",
                "\"12345678901234567890.123456789012345678901234567890\"",
            ),
            ("'NaN'", "\"NaN\""),
            ("-0.00000000000000000001", "\"-0.00000000000000000001\""),
        ],
    ),
    ("money", "numeric(12,2)", &[("19.90", "\"19.90\""), ("-5", "\"-5.00\"")]),
    ("domain", "percent", &[("99.5", "\"99.50\"")]),
    (
        "text",
        "text",
        &[
            ("'é \"q\" \\ '''", "\"é \\\"q\\\" \\\\ '\""),
            ("''", "\"\""),
            ("E'a\\nb\\tc'", "\"a\\nb\\tc\""),
        ],
    ),
    ("short", "varchar(5)", &[("'abcde'", "\"abcde\"")]),
    ("padded", "char(5)", &[("'ab'", "\"ab   \"")]),
    ("bytes", "bytea", &[("'\\x00ff10'", "\"AP8Q\""), ("''", "\"\"")]),
    (
        "uuid",
        "uuid",
        &[("'123e4567-e89b-12d3-a456-426614174000'", "\"123e4567-e89b-12d3-a456-426614174000\"")],
    ),
    (
        "json",
        "json",
        &[
            ("'{\"b\":[1,2.5,null],\"a\":\"x\"}'", "{\"b\":[1,2.5,null],\"a\":\"x\"}"),
            ("'\"text\"'", "\"text\""),
            ("'18446744073709551615'", "18446744073709551615"),
        ],
    ),
    ("jsonb", "jsonb", &[("'{\"a\": {\"b\": true}}'", "{\"a\":{\"b\":true}}"), ("'[]'", "[]")]),
    (
        "date",
        "date",
        &[
            ("'2024-02-29'", "\"2024-02-29\""),
            ("'infinity'", "\"infinity\""),
            ("'0001-01-01'", "\"0001-01-01\""),
        ],
    ),
    ("time", "time", &[("'23:59:59.123456'", "\"23:59:59.123456\"")]),
    ("zoned time", "timetz", &[("'10:00:00+02'", "\"10:00:00+02\"")]),
    (
        "timestamp",
        "timestamp",
        &[
            ("'2024-02-29 12:30:45.123456'", "\"2024-02-29T12:30:45.123456\""),
            ("'-infinity'", "\"-infinity\""),
            ("'1969-12-31 23:59:59'", "\"1969-12-31T23:59:59\""),
        ],
    ),
    (
        "moment",
        "timestamptz",
        &[
            ("'2024-02-29 12:30:45.5+02'", "\"2024-02-29T10:30:45.5Z\""),
            ("'infinity'", "\"infinity\""),
            ("'1900-01-01 00:00:00+00'", "\"1900-01-01T00:00:00Z\""),
        ],
    ),
    (
        "coarse moment",
        "timestamptz(0)",
        &[("'2024-02-29 12:30:45+00'", "\"2024-02-29T12:30:45Z\"")],
    ),
    ("interval", "interval", &[("'1 year 2 days 03:04:05.5'", "\"P1Y2DT3H4M5.5S\"")]),
    ("enum", "mood", &[("'it''s \"ok\"'", "\"it's \\\"ok\\\"\"")]),
    ("address", "inet", &[("'10.0.0.1/8'", "\"10.0.0.1/8\"")]),
    ("range", "int4range", &[("'[1,5)'", "\"[1,5)\"")]),
    ("bits", "bit(4)", &[("B'0101'", "\"0101\"")]),
    ("varbits", "varbit", &[("B'01011'", "\"01011\"")]),
    ("point", "point", &[("'(1.5,-2)'", "\"(1.5,-2)\"")]),
    (
        "numbers",
        "int[]",
        &[("'{1,NULL,3}'", "[1,null,3]"), ("'{}'", "[]"), ("'{{1,2},{3,4}}'", "[[1,2],[3,4]]")],
    ),
    (
        "texts",
        "text[]",
        &[(
            "ARRAY['a,b', '\"q\" \\', '', 'NULL', NULL, '{}']",
            "[\"a,b\",\"\\\"q\\\" \\\\\",\"\",\"NULL\",null,\"{}\"]",
        )],
    ),
    (
        "moments",
        "timestamptz[]",
        &[("ARRAY['2024-02-29 12:30:45.5+02'::timestamptz]", "[\"2024-02-29T10:30:45.5Z\"]")],
    ),
    ("blobs", "bytea[]", &[("ARRAY['\\x00ff'::bytea]", "[\"AP8=\"]")]),
    ("decimals", "numeric[]", &[("'{1.50,2}'", "[\"1.50\",2]")]),
    ("documents", "jsonb[]", &[("ARRAY['{\"a\": 1}'::jsonb]", "[{\"a\":1}]")]),
    ("flags", "boolean[]", &[("'{t,f}'", "[true,false]")]),
];

const MARIADB: &[Typed] = &[
    ("flags", "boolean", &[("true", "true"), ("false", "false"), ("7", "7")]),
    ("tiny", "tinyint", &[("-128", "-128")]),
    ("tiny unsigned", "tinyint unsigned", &[("255", "255")]),
    ("whole", "int unsigned", &[("4294967295", "4294967295")]),
    ("big", "bigint", &[("-9223372036854775808", "-9223372036854775808")]),
    ("biggest", "bigint unsigned", &[("18446744073709551615", "18446744073709551615"), ("5", "5")]),
    ("single", "float", &[("3.14", "3.14")]),
    ("double", "double", &[("0.1", "0.1"), ("1e300", "1e+300")]),
    (
        "digits",
        "decimal(40,10)",
        &[(
            "123456789012345678901234567890.0123456789",
            "\"123456789012345678901234567890.0123456789\"",
        )],
    ),
    ("money", "decimal(10,2)", &[("-19.9", "\"-19.90\"")]),
    ("text", "text", &[("'é \"q\" \\\\ '''", "\"é \\\"q\\\" \\\\ '\""), ("''", "\"\"")]),
    ("emoji", "varchar(20) CHARACTER SET utf8mb4", &[("'😀'", "\"😀\"")]),
    ("latin", "varchar(20) CHARACTER SET latin1", &[("'Größe'", "\"Größe\"")]),
    ("padded", "char(5)", &[("'ab'", "\"ab\"")]),
    ("bytes", "varbinary(10)", &[("x'00ff10'", "\"AP8Q\"")]),
    ("blob", "blob", &[("x'00ff10'", "\"AP8Q\"")]),
    ("json", "json", &[("'{\"b\":[1,2.5,null],\"a\":\"x\"}'", "{\"b\":[1,2.5,null],\"a\":\"x\"}")]),
    ("date", "date", &[("'2024-02-29'", "\"2024-02-29\"")]),
    (
        "time",
        "time(6)",
        &[("'-100:59:59.123456'", "\"-100:59:59.123456\""), ("'01:02:03'", "\"01:02:03\"")],
    ),
    (
        "datetime",
        "datetime(6)",
        &[
            ("'2024-02-29 12:30:45.123456'", "\"2024-02-29T12:30:45.123456\""),
            ("'1000-01-01 00:00:00'", "\"1000-01-01T00:00:00\""),
        ],
    ),
    (
        "timestamp",
        "timestamp(3) NULL",
        &[("'2024-02-29 12:30:45.5'", "\"2024-02-29T12:30:45.5Z\"")],
    ),
    ("year", "year", &[("2024", "2024")]),
    ("enum", "enum('a', 'it''s')", &[("'it''s'", "\"it's\"")]),
    ("set", "set('a', 'b', 'c')", &[("'a,c'", "\"a,c\"")]),
    ("bits", "bit(12)", &[("b'101'", "5")]),
    (
        "uuid",
        "uuid",
        &[("'123e4567-e89b-12d3-a456-426614174000'", "\"123e4567-e89b-12d3-a456-426614174000\"")],
    ),
    ("address", "inet6", &[("'2001:db8::1'", "\"2001:db8::1\"")]),
];

const SQLITE: &[Typed] = &[
    ("flags", "BOOLEAN", &[("1", "true"), ("0", "false"), ("7", "7")]),
    ("whole", "INTEGER", &[("9223372036854775807", "9223372036854775807"), ("'x'", "\"x\"")]),
    ("double", "REAL", &[("0.1", "0.1"), ("1e300", "1e+300")]),
    ("text", "TEXT", &[("'é \"q\" '''", "\"é \\\"q\\\" '\""), ("'12'", "\"12\"")]),
    ("digits", "TEXT", &[("'12345678901234567890.123'", "\"12345678901234567890.123\"")]),
    ("bytes", "BLOB", &[("x'00ff10'", "\"AP8Q\"")]),
    ("json", "JSON", &[("'{\"a\":[1,null]}'", "{\"a\":[1,null]}")]),
    (
        "time",
        "DATETIME",
        &[("'2024-02-29 12:30:45'", "\"2024-02-29 12:30:45\""), ("1709209845", "1709209845")],
    ),
    ("any", "", &[("1", "1"), ("'1'", "\"1\""), ("1.5", "1.5")]),
];

pub(crate) fn postgres(place: &Place) {
    place.sql(
        "CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"');
        CREATE DOMAIN percent AS numeric(5, 2) CHECK (value <= 100);",
    );
    round_trip(place, POSTGRES, "$::text");
    // What cannot be: a value that the column has no place for, and no silent cutting.
    let table = place.table("kinds", &["id"]);
    let refused = table.outcomes(
        [
            r#"{"c10": "abcdef"}"#,
            r#"{"c2": 2147483648}"#,
            r#"{"c12": "no base64!"}"#,
            r#"{"c9": "a\u0000b"}"#,
            r#"{"c16": "2024-02-30"}"#,
        ]
        .map(|fields| update("1", "{}", fields))
        .to_vec(),
    );
    assert!(refused.iter().all(|outcome| outcome.starts_with("rejected")), "{refused:?}");
}

pub(crate) fn mariadb(place: &Place) {
    round_trip(place, MARIADB, "HEX($)");
    let table = place.table("kinds", &["id"]);
    let refused = table.outcomes(
        [
            r#"{"c13": "abcdef"}"#,
            r#"{"c3": 4294967296}"#,
            r#"{"c15": "no base64!"}"#,
            r#"{"c12": "漢"}"#,
            r#"{"c17": "2024-02-30"}"#,
            r#"{"c22": "c"}"#,
        ]
        .map(|fields| update("1", "{}", fields))
        .to_vec(),
    );
    assert!(refused.iter().all(|outcome| outcome.starts_with("rejected")), "{refused:?}");
}

#[test]
fn sqlite_types() {
    round_trip(&Place::sqlite(), SQLITE, "typeof($) || ' ' || quote($)");
}
