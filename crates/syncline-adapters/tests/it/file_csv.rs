use crate::reading::{Folder, full};
use std::collections::BTreeMap;
use syncline_core::config::model::{ColumnType, EmptyColumn, FileFormat};

#[test]
fn quotes_hold_delimiters_and_line_ends_and_lines_are_physical() {
    let text = "id,note\n1,\"a,b\"\n2,\"two\nlines \"\"here\"\"\"\n\n3,5\" pipe\r\n4,end";
    let outcome = Folder::with("a.csv", text).read();
    let expected = [
        r#"a.csv:2 id="1" note="a,b""#,
        r#"a.csv:3 id="2" note="two\nlines \"here\"""#,
        r#"a.csv:6 id="3" note="5\" pipe""#,
        r#"a.csv:7 id="4" note="end""#,
    ];
    assert_eq!(outcome.records(), expected);
    assert_eq!(outcome.problems(), Vec::<String>::new());
}

#[test]
fn tabs_semicolons_and_other_quotes() {
    let tabs = Folder::with("a.tsv", "a\tb\n1\t\n").read();
    assert_eq!(tabs.bodies(), ["a=\"1\" b=null"]);
    let folder = Folder::with("export.txt", "a;b\n'x;y';2\n").set(|s| {
        s.format = Some(FileFormat::Csv);
        s.delimiter = Some(';');
        s.quote = Some('\'');
    });
    assert_eq!(folder.read().bodies(), ["a=\"x;y\" b=\"2\""]);
}

#[test]
fn headers_that_repeat_or_lack_a_name_keep_every_column() {
    let outcome = Folder::with("a.csv", "x,x,,x_2,x\n1,2,3,4,5\n").read();
    assert_eq!(outcome.bodies(), [r#"x="1" x_3="2" column_3="3" x_2="4" x_4="5""#]);
    let bare = Folder::with("a.csv", "1,2\n3,4\n").set(|s| s.header = Some(false)).read();
    assert_eq!(
        bare.records(),
        [r#"a.csv:1 column_1="1" column_2="2""#, r#"a.csv:2 column_1="3" column_2="4""#]
    );
}

#[test]
fn uneven_rows_are_rejected_whole() {
    let outcome = Folder::with("a.csv", "a,b,c\n1,2\n1,2,3\n1,2,3,4\nx\n").read();
    assert_eq!(outcome.bodies(), [r#"a="1" b="2" c="3""#]);
    assert_eq!(
        outcome.problems(),
        [
            "2 the row has 2 columns, expected are 3",
            "4 the row has 4 columns, expected are 3",
            "5 the row has 1 column, expected are 3"
        ]
    );
    assert_eq!(outcome.rejected()[1].payload, "1,2,3,4");
}

#[test]
fn declared_types_convert_or_refuse() {
    use ColumnType::{Boolean, Integer, Json, Number};
    let cases = [
        (Integer, " 42 ", "42"),
        (Integer, "+007", "7"),
        (Integer, "9007199254740993", "9007199254740993"),
        (Integer, "18446744073709551615", "18446744073709551615"),
        (Integer, "-99999999999999999999", "\"-99999999999999999999\""),
        (Integer, "1.5", "!"),
        (Number, "1.50", "1.5"),
        (Number, "-.5", "!"),
        (Number, "1e3", "1000.0"),
        (Number, "0.1234567890123456789", "\"0.1234567890123456789\""),
        (Number, "NaN", "!"),
        (Number, "inf", "!"),
        (Number, "1e400", "!"),
        (Boolean, "YES", "true"),
        (Boolean, "0", "false"),
        (Boolean, "maybe", "!"),
        (Json, "[1]", "[1]"),
        (Json, "[1", "!"),
    ];
    for (column_type, text, expected) in cases {
        let folder = Folder::with("a.csv", format!("id,v\n1,{text}\n"))
            .set(|s| s.columns = Some(BTreeMap::from([("v".to_owned(), column_type)])));
        let outcome = folder.read();
        if expected == "!" {
            let problem = &outcome.problems()[0];
            assert!(problem.contains("column `v` says"), "{problem}");
            assert!(problem.contains(&format!("line 2 holds `{text}`")), "{problem}");
        } else {
            assert_eq!(outcome.bodies(), [format!("id=\"1\" v={expected}")], "{text}");
        }
    }
}

#[test]
fn inferred_types_need_every_sample_and_never_refuse() {
    let head = "id,zip,score,ok,mixed,none\n1,01234,1.5,true,1,\n-2,99999,2,NO,x,\n,12345,,,,\n";
    let outcome = Folder::with("a.csv", head).set(|s| s.infer_types = Some(true)).read();
    assert_eq!(
        outcome.bodies(),
        [
            r#"id=1 zip="01234" score=1.5 ok=true mixed="1" none=null"#,
            r#"id=-2 zip="99999" score=2 ok=false mixed="x" none=null"#,
            r#"id=null zip="12345" score=null ok=null mixed=null none=null"#,
        ]
    );
    let late = format!("{}abc\n", "n\n".to_owned() + &"1\n".repeat(1000));
    let outcome = Folder::with("a.csv", late).set(|s| s.infer_types = Some(true)).read();
    assert_eq!(outcome.bodies()[999..], ["n=1", "n=\"abc\""]);
}

#[test]
fn inferred_types_stay_what_they_were_for_appended_rows() {
    let folder = Folder::with("a.csv", "n\n1\n2\n").set(|s| s.infer_types = Some(true));
    let first = folder.read();
    assert_eq!(first.bodies(), ["n=1", "n=2"]);
    folder.append("a.csv", "x\n3\n");
    let second = folder.read_since(&first.end.cursor);
    assert_eq!(second.bodies(), ["n=\"x\"", "n=3"]);
}

#[test]
fn empty_columns_are_null_empty_or_absent() {
    for (empty, expected) in [
        (EmptyColumn::Null, "a=\"1\" b=null"),
        (EmptyColumn::Empty, "a=\"1\" b=\"\""),
        (EmptyColumn::Absent, "a=\"1\""),
    ] {
        let folder = Folder::with("a.csv", "a,b\n1,\n").set(|s| s.empty = Some(empty));
        assert_eq!(folder.read().bodies(), [expected]);
    }
}

#[test]
fn files_with_other_columns_share_one_shape() {
    let folder = Folder::reading("*.csv");
    folder.write("1.csv", "id,name\n1,a\n");
    folder.write("2.csv", "name,city\nb,x\n");
    let outcome = folder.try_read(full(None, 10)).unwrap();
    assert_eq!(outcome.records(), [r#"1.csv:2 id="1" name="a""#, r#"2.csv:2 name="b" city="x""#]);
}
