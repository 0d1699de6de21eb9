use super::*;
use crate::problem::PathPart;

mod docs;
mod properties;
mod schema;

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

/// Knows `TOKEN`, `PIN`, `key.txt` and the variables `input` and `size`.
fn resolve(reference: Reference<'_>) -> Result<String, String> {
    match reference {
        Reference::Env("TOKEN") => Ok("hunter2-token".to_owned()),
        Reference::Env("PIN") => Ok("q7".to_owned()),
        Reference::File("key.txt") => Ok("file-secret\r\n".to_owned()),
        Reference::Var("input") => Ok("contacts.jsonl".to_owned()),
        Reference::Var("size") => Ok("50".to_owned()),
        Reference::File(_) => Err("no such file".to_owned()),
        _ => Err(String::new()),
    }
}

fn read(text: &str) -> Result<Loaded, Diagnostics> {
    load(vec![file("syncline.yaml", text)], &resolve, &["file"])
}

fn shown(text: &str) -> String {
    read(text).map_or_else(|diagnostics| diagnostics.to_string(), |_| "fine".to_owned())
}

fn path(parts: &[&str]) -> ConfigPath {
    let part = |part: &&str| {
        part.parse().map_or_else(|_| PathPart::Key((*part).to_owned()), PathPart::Index)
    };
    ConfigPath(parts.iter().map(part).collect())
}

/// Each text has the one error whose place, message and help are given.
fn check_each(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let short = match read(text) {
            Ok(_) => "fine".to_owned(),
            Err(Diagnostics(all)) => {
                let lines = all.iter().map(|one| {
                    let source: String =
                        one.source_line.chars().skip(one.indent).take(one.length).collect();
                    let help = one.help.as_deref().map_or(String::new(), |h| format!(" ({h})"));
                    format!("{}:{} [{source}] {}{help}", one.line, one.column, one.message)
                });
                lines.collect::<Vec<_>>().join("\n")
            }
        };
        assert_eq!(short, *expected, "in {text:?}");
    }
}

const FINE: &str = include_str!("tests/fine.yaml");

#[test]
fn a_sound_configuration_loads_with_its_references_filled() {
    let loaded = read(FINE).unwrap();
    let contact = &loaded.config.connections["crm"].entities["contact"];
    let model::EntitySettings::File(settings) = &contact.settings else { panic!("{contact:?}") };
    assert_eq!(settings.path.as_deref(), Some("contacts.jsonl"));
    let store = settings.object_store.as_ref().unwrap();
    assert_eq!(store["secret_access_key"], "hunter2-token");
    assert_eq!(loaded.config.sync_tasks["people"].batch.size, 50);
    assert_eq!(loaded.config.shard_types["person"].fields.position("name"), Some(1));
    let json: serde_json::Value = serde_json::to_value(&loaded.config).unwrap();
    assert_eq!(json["conversion_schemas"]["person"]["filter"][0]["value"][1], "no");
    assert!(loaded.is_whole(&ConfigPath::root()));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let shown = shown(include_str!("tests/broken.yaml"));
    assert_eq!(shown, include_str!("tests/broken.txt").trim_end(), "found:\n{shown}");
}

#[test]
fn yaml_that_cannot_be_read() {
    check_each(&[
        ("", "fine"),
        ("# only a comment\n", "fine"),
        (
            "tenant: [1, 2\nstore: c",
            "2:6 [:] illegal placement of ':' indicator (text that holds `: ` needs quotes)",
        ),
        ("tenant: @x", "1:9 [@] text cannot start with `@` (put the text in quotes)"),
        (
            "tenant: {{ Field }}",
            "1:10 [{ Field }] a key must be text, not a map (text that starts with `{` needs quotes: `\"{{ Field }}\"`)",
        ),
        (
            "connections: { a: { path: ${var:input}, key: id } }",
            "1:28 [{] while parsing a flow mapping, did not find expected ',' or '}' (text with `${…}` or `{{ … }}` needs quotes)",
        ),
        ("a: &a [*a]", "1:8 [*a] an alias cannot stand inside of what it repeats"),
        ("- 1\n- 2", "1:1 [- 1] expected sections such as `connections:`, found a list"),
        (
            "tenant: a\n---\ntenant: b",
            "2:1 [---] a file holds one document only (put the rest into a file of its own)",
        ),
        (
            "tenant: a\ntenant: b",
            "2:1 [tenant] the key `tenant` is there twice (remove one of the two)",
        ),
        ("tenant: !secret a", "1:17 [a] the tag `!secret` means nothing here (remove it)"),
        ("tenant: !!str 12", "fine"),
        (
            "tenant: .inf",
            "1:9 [.inf] the number `.inf` is out of range (put it in quotes if it is meant as text)",
        ),
        (
            "tenant: -1e400",
            "1:9 [-1e400] the number `-1e400` is out of range (put it in quotes if it is meant as text)",
        ),
    ]);
}

#[test]
fn columns_count_characters_and_lines_end_as_yaml_says() {
    check_each(&[
        ("\u{feff}tenanz: é", "1:1 [tenanz] unknown key `tenanz` (did you mean `tenant`?)"),
        (
            "{é: 1, ü€: 2}",
            "1:2 [é] unknown key `é` (known: `tenant`, `store`, `limits`, `connections`, `shard_types`, `conversion_schemas`, `sync_tasks`)\n1:8 [ü€] unknown key `ü€` (known: `tenant`, `store`, `limits`, `connections`, `shard_types`, `conversion_schemas`, `sync_tasks`)",
        ),
        (
            "tenant: a\r\nstore: 5\r\n",
            "2:8 [5] expected text, found a number (put it in quotes: `\"5\"`)",
        ),
        (
            "tenant: a\rstore: 5\r",
            "2:8 [5] expected text, found a number (put it in quotes: `\"5\"`)",
        ),
        ("tenant:\t5", "1:9 [5] expected text, found a number (put it in quotes: `\"5\"`)"),
        ("tenant: 日本 \nstore: {日本: 5}", "2:1 [store] expected text, found a map"),
    ]);
    assert_eq!(
        shown("tenant:\t5"),
        "error: expected text, found a number\n --> syncline.yaml:1:9\n  |\n1 | tenant:\t5\n  |        \t^\n\
         help: put it in quotes: `\"5\"`\n\n1 error in syncline.yaml"
    );
}

#[test]
fn offsets_count_bytes_of_the_text_as_handed_in() {
    let text = "\u{feff}tenant: é\nstore: [é]\n";
    let Diagnostics(all) = read(text).unwrap_err();
    assert_eq!((all[0].offset, all[0].bytes), (text.find("store").unwrap(), 5));
}

#[test]
fn words_that_older_yaml_took_for_booleans_stay_text() {
    for word in
        ["no", "on", "off", "yes", "y", "n", "NO", "01234", "1_000", "0x", "1.2.3", ".", "+"]
    {
        let loaded = read(&format!("tenant: {word}")).unwrap();
        assert_eq!(loaded.config.tenant.as_deref(), Some(word));
    }
    for null in ["", "~", "null"] {
        assert_eq!(read(&format!("tenant: {null}")).unwrap().config.tenant, None);
    }
    let first = "connections: {a: {adapter: file, entities: {}, duplicate_free: ";
    check_each(&[
        (&format!("{first}true}}}}"), "fine"),
        (&format!("{first}no}}}}"), "1:64 [no] expected true or false, found text (write `false`)"),
    ]);
}

#[test]
fn numbers_are_exact_where_they_can_be() {
    let head = "shard_types: {t: {fields: {f: text}}}\nconversion_schemas: {s: {shard_type: t, fields: {f: {value: ";
    for (number, json) in [
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("0x10", "16"),
        ("1.50", "1.5"),
        ("+7", "7"),
        ("1e3", "1000.0"),
    ] {
        let loaded = read(&format!("{head}{number}}}}}}}}}")).unwrap();
        let read = serde_json::to_value(&loaded.config).unwrap();
        assert_eq!(read.pointer("/conversion_schemas/s/fields/f/value").unwrap().to_string(), json);
    }
}

#[test]
fn anchors_and_merges_repeat_what_is_written_once() {
    let text = "connections:
  a: &base { adapter: file, priority: 1, entities: &none {} }
  b: { <<: *base, priority: 2 }
  c: { <<: [{ priority: 3 }, *base] }
  d: { adapter: file, entities: *none }
";
    let config = read(text).unwrap().config;
    let priorities: Vec<i64> = config.connections.values().map(|c| c.priority).collect();
    assert_eq!(priorities, [1, 2, 3, 0]);
    check_each(&[
        (
            "<<: 5",
            "1:5 [5] only maps can be merged with `<<` (write `<<: *name` for a map that is marked with `&name`)",
        ),
        (
            "tenant: *gone",
            "1:9 [*] while parsing node, found unknown anchor (mark the value with `&name` before it is repeated with `*name`)",
        ),
    ]);
}

#[test]
fn files_are_put_together_by_section() {
    let crm = "tenant: acme\nconnections:\n  crm: { adapter: file, entities: {} }\n";
    let erp = "connections:\n  erp: { adapter: file, entities: {} }\nshard_types:\n";
    let both = [file("a.yaml", crm), file("b.yaml", erp)];
    let loaded = load(both.to_vec(), &resolve, &["file"]).unwrap();
    assert_eq!(loaded.config.connections.len(), 2);
    let again = [file("b.yaml", erp), file("a.yaml", crm), file("c.yaml", crm)];
    let shown = load(again.to_vec(), &resolve, &["file"]).unwrap_err().to_string();
    assert_eq!(
        shown,
        "error: `tenant` is declared twice
 --> c.yaml:1:1
  |
1 | tenant: acme
  | ^^^^^^
help: it is declared at a.yaml:1:1 already

error: `crm` is declared twice
 --> c.yaml:3:3
  |
3 |   crm: { adapter: file, entities: {} }
  |   ^^^
help: it is declared at a.yaml:3:3 already

2 errors in c.yaml"
    );
    let broken = [file("a.yaml", "tenant: @"), file("b.yaml", "store: !x 5"), file("c.yaml", crm)];
    let shown = load(broken.to_vec(), &resolve, &["file"]).unwrap_err().to_string();
    assert!(shown.ends_with("2 errors in 2 files"), "{shown}");
    assert!(load(Vec::new(), &resolve, &[]).is_ok());
}

#[test]
fn references_are_filled_or_reported() {
    let tenant = |text: &str| read(&format!("tenant: {text}")).map(|loaded| loaded.config.tenant);
    for (text, filled) in [
        ("${env:TOKEN}", "hunter2-token"),
        ("a-${var:input}-${ file:x}-${env:PIN}", "a-contacts.jsonl-${ file:x}-q7"),
        ("'${file:key.txt}!'", "file-secret!"),
        (
            "$${env:TOKEN} $${field} ${field} $$${var:size}",
            "${env:TOKEN} $${field} ${field} $${var:size}",
        ),
        ("${var:size}", "50"),
    ] {
        assert_eq!(tenant(text).unwrap().as_deref(), Some(filled), "{text}");
    }
    check_each(&[
        ("tenant: \"é ${env:GONE} b\"", "1:12 [${env:GONE}] the environment variable `GONE` cannot be read (set the variable: `export GONE=…`)"),
        ("tenant: ${var:nope} ${file:x}", "1:9 [${var:nope}] the variable `nope` has no value (give it on the command line: `--var nope=…`)
1:21 [${file:x}] the file `x` cannot be read: no such file (check the path; it is relative to the configuration)"),
        ("tenant: a ${env:TOKEN", "1:11 [${env:TOKEN] the reference has no closing `}` (write `${env:NAME}`, or `$${` where no reference is meant)"),
    ]);
}

#[test]
fn secrets_are_never_shown() {
    let secrets = ["hunter2-token", "file-secret", "q7"];
    let text = FINE
        .replace("adapter: file", "adapter: \"${env:TOKEN}\"")
        .replace("format: jsonl", "format: \"${env:PIN}\"")
        .replace("entity: contact", "entity: \"x${file:key.txt}\"")
        .replace("size: \"${var:size}\"", "size: \"${env:TOKEN}\", delay_ms: [\"${env:TOKEN}\"]")
        .replace("header: true", "header: \"${file:key.txt}\"")
        .replace("delimiter: \",\"", "delimiter: \"${file:key.txt}\"");
    let inspection = inspect(vec![file("syncline.yaml", &text)], &resolve, &["file"]);
    assert!(inspection.diagnostics.0.len() >= 5, "{}", inspection.diagnostics);
    let loaded = read(FINE).unwrap();
    let key =
        path(&["connections", "crm", "entities", "contact", "object_store", "secret_access_key"]);
    let problem = Problem::new(key, "cannot use `hunter2-token`").with_help("not hunter2-token");
    let diagnosed = loaded.diagnose(vec![problem]);
    assert!(diagnosed.to_string().contains("cannot use `«secret»`"));
    let outputs = [
        format!("{inspection:?} {:#?}", loaded),
        inspection.diagnostics.to_string(),
        format!("{:?}", loaded.secrets),
        diagnosed.to_string(),
        inspection.loaded.secrets.scrub("say hunter2-token to file-secret").into_owned(),
    ];
    for output in outputs {
        assert!(
            !secrets.iter().any(|secret| output.contains(secret) && *secret != "q7"),
            "{output}"
        );
        assert!(!output.contains("`q7"), "{output}");
    }
}

#[test]
fn a_secret_within_another_one_does_not_spoil_it() {
    let mut secrets = Secrets::default();
    for secret in ["abcd", "xabcdx", "abc", "abcd"] {
        secrets.add(secret);
    }
    assert_eq!(secrets.scrub("xabcdx abcd abc"), "«secret» «secret» abc");
    assert!(matches!(secrets.scrub("nothing"), Cow::Borrowed("nothing")));
}

#[test]
fn a_short_secret_is_taken_out_where_it_stands() {
    let loaded = read("tenant: ${env:PIN}\nstore: q7").unwrap();
    let problem = |at: &str| Problem::new(path(&[at]), "bad `q7`");
    let Diagnostics(all) = loaded.diagnose(vec![problem("store"), problem("tenant")]);
    assert_eq!(
        all.iter().map(|one| &*one.message).collect::<Vec<_>>(),
        ["bad `«secret»`", "bad `q7`"]
    );
}

#[test]
fn problems_of_later_steps_get_their_place() {
    let text = r#"
conversion_schemas:
  s:
    shard_type: t
    fields:
      short: Email
      quoted: { expression: "é \"x\" + bad" }
      filled: { expression: '${var:input} ''a'' bad' }
      folded:
        expression: >
          first
          bad
      listed: { from: [a, b] }
shard_types: { t: { fields: { short: text, quoted: text, filled: text, folded: text, listed: text } } }
"#;
    let loaded = read(text).unwrap();
    for (at, part, expected) in [
        (&["short"][..], None, "Email"),
        (&["short", "from"], Some(1..3), "ma"),
        (&["quoted", "expression"], Some(8..11), "bad"),
        (&["quoted", "expression"], Some(2..5), r#"\"x\""#),
        (&["filled", "expression"], Some(19..22), "bad"),
        (&["filled", "expression"], Some(3..16), "${var:input} ''"),
        (&["folded", "expression"], Some(6..9), "bad"),
        (&["listed", "from", "1"], None, "b"),
        (&["listed", "gone"], None, "listed"),
        (&["listed"], Some(0..99), "listed"),
        (&["short"], Some(90..99), "Email"),
    ] {
        let whole: Vec<&str> =
            ["conversion_schemas", "s", "fields"].iter().chain(at).copied().collect();
        let problem = Problem { part: part.clone(), ..Problem::new(path(&whole), "x") };
        let Diagnostics(all) = loaded.diagnose(vec![problem]);
        let found = &text[all[0].offset..all[0].offset + all[0].bytes];
        assert_eq!(found, expected, "{at:?} {part:?}");
    }
}

#[test]
fn what_is_wrong_is_left_out_and_the_rest_goes_on() {
    let text = include_str!("tests/broken.yaml");
    let inspection = inspect(vec![file("syncline.yaml", text)], &resolve, &["file"]);
    let config = &inspection.loaded.config;
    assert_eq!(config.connections["crm"].settings, model::Settings::default());
    assert!(config.connections["crm"].entities.is_empty());
    assert!(config.conversion_schemas.contains_key("person"));
    let whole = |at: &[&str]| inspection.loaded.is_whole(&path(at));
    assert!(!whole(&["connections", "crm"]));
    assert!(!whole(&["connections", "crm", "settings", "format", "x"]));
    assert!(whole(&["connections", "crm", "priority"]));
    assert!(whole(&["conversion_schemas", "other", "fields", "emial"]));
}

#[test]
fn the_adapter_says_which_settings_there_are() {
    let with = |adapter: &str, settings: &str, entity: &str| {
        format!(
            "connections: {{ a: {{ {adapter}settings: {{ {settings} }}, entities: {{ e: {{ key: id, {entity} }} }} }} }}"
        )
    };
    let adapters = |known: &[&str], text: &str| {
        let loaded = load(vec![file("a.yaml", text)], &resolve, known);
        loaded.map_or_else(|diagnostics| diagnostics.to_string(), |_| "fine".to_owned())
    };
    for (adapter, settings, entity, expected) in [
        ("adapter: postgres, ", "host: db, tls: verify_full", "table: t, version: v", "fine"),
        ("adapter: sqlite, ", "path: a.db", "", "fine"),
        ("adapter: mysql, ", "port: 70000", "", "the number must be at most 65535"),
        ("adapter: mysql, ", "hots: db", "path: a.csv", "did you mean `host`?"),
        ("adapter: mysql, ", "hots: db", "path: a.csv", "unknown key `path`"),
        ("adapter: file, ", "host: db", "", "unknown key `host`"),
        ("adapter: sqlite, ", "tls: prefer", "", "unknown key `tls`"),
        ("adapter: postgers, ", "hots: db", "", "did you mean `postgres`?"),
        ("adapter: postgers, ", "hots: db", "", "did you mean `host`?"),
        ("adapter: singer, ", "command: [tap, -v]", "stream: s, replication: full", "fine"),
        ("adapter: airbyte, ", "command: source", "namespace: n", "fine"),
        ("adapter: airbyte, ", "comand: source", "", "did you mean `command`?"),
        ("adapter: oracle, ", "", "", "known: `file`, `postgres`, `mysql`, `sqlite`, `manifest`, "),
        ("", "host: db", "table: t, columns: [a]", "missing key `adapter`"),
        ("adaptor: postgres, ", "", "", "did you mean `adapter`?"),
        ("adapter: 5, ", "", "", "expected text, found a number"),
    ] {
        let text = with(adapter, settings, entity);
        let said = adapters(model::ADAPTERS, &text);
        assert!(said.contains(expected), "{text}\n{said}");
        assert_eq!(expected == "fine", said == "fine", "{text}\n{said}");
    }
    let table = with("", "host: db", "table: t, columns: [a]");
    assert_eq!(adapters(model::ADAPTERS, &table).matches("error:").count(), 1, "{table}");
    let sqlite = with("adapter: sqlite, ", "path: a.db", "");
    let said = adapters(&["file"], &sqlite);
    assert!(said.contains("unknown adapter `sqlite`"), "{said}");
}

#[test]
fn a_password_is_not_shown() {
    let text =
        "connections: { a: { adapter: mysql, settings: { password: hunter2 }, entities: {} } }";
    let loaded = load(vec![file("a.yaml", text)], &resolve, model::ADAPTERS).unwrap();
    assert!(!format!("{:?}", loaded.config).contains("hunter2"));
}

#[test]
fn hopeless_input_ends_in_an_error_and_soon() {
    let nested = |depth: usize| format!("tenant: {}{}", "[".repeat(depth), "]".repeat(depth));
    let bomb = (0..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, i| {
        format!("{text}a{}: &a{} [*a{i}, *a{i}]\n", i + 1, i + 1)
    });
    let deep = (0..40).fold("a0: &a0 [x]\n".to_owned(), |text, i| {
        format!("{text}a{}: &a{} [[[*a{i}]]]\n", i + 1, i + 1)
    });
    let wide: String = (0..5_000).map(|i| format!("key{i}: [a, {i}]\n")).collect();
    let million: usize = 1 << 20;
    let texts = [
        nested(60),
        nested(100),
        nested(100_000),
        bomb,
        deep,
        wide,
        "[".repeat(million),
        "{a: ".repeat(million / 4),
        "- ".repeat(million / 2),
        "a".repeat(million),
        "a: b, ".repeat(million / 6),
        "\u{0}".repeat(1000),
        "é".repeat(million / 2),
        format!("tenant: [{}]", "a,".repeat(million / 8)),
        format!("{{{}}}", (0..10_000).map(|i| format!("k{i}: ,")).collect::<String>()),
        "\"".to_owned() + &"\\u0041".repeat(10_000),
        "\n".repeat(million),
        "&a ".repeat(1000),
    ];
    for text in texts {
        let start = text.chars().take(20).collect::<String>();
        if let Err(diagnostics) = read(&text) {
            let shown = diagnostics.to_string();
            assert!(shown.len() < 200_000, "{} bytes for {start:?}", shown.len());
        }
    }
}

/// A table that is followed here and there; the tasks are to be added.
const SLOTS: &str = "connections:
  crm:
    adapter: postgres
    settings: { database: crm, user: s }
    entities:
      a: { key: id, logical_replication: { slot: syncline_a } }
      b: { key: id, logical_replication: { slot: syncline_a } }
      c: { key: id, logical_replication: { slot: Syncline_c } }
  copy:
    adapter: postgres
    settings: { database: other, user: s }
    entities: { a: { key: id, logical_replication: { slot: syncline_a } } }
  far:
    adapter: postgres
    settings: { host: far, database: crm, user: s }
    entities: { a: { key: id, logical_replication: { slot: syncline_a } } }
  lite:
    adapter: sqlite
    entities: { a: { key: id, logical_replication: { slot: syncline_a } } }
shard_types: { t: { fields: { x: text } } }
conversion_schemas: { s: { shard_type: t, fields: { x: x } } }
sync_tasks:
";

#[test]
fn a_slot_serves_one_task_and_says_itself_what_changed() {
    let shown = |tasks: &str| {
        let file = file("syncline.yaml", &format!("{SLOTS}{tasks}"));
        let found = load(vec![file], &resolve, &["postgres", "sqlite"]).unwrap_err();
        let lines = found.0.iter().map(|one| {
            format!(
                "{}:{} {} ({})",
                one.line,
                one.column,
                one.message,
                one.help.as_deref().unwrap_or("")
            )
        });
        lines.collect::<Vec<_>>()
    };
    let always = [
        "8:50 a slot is named `syncline_…`, with small letters, digits and `_`, of at most 63 characters: found \
         `Syncline_c` (a slot that is lost is dropped and made anew, so it has to be surely ours)",
        "19:31 only `postgres` has a log that can be followed (remove it, and name the task's `cursor_field` instead)",
    ];
    let serves = "the slot `syncline_a` serves the task `one` already: what one reads from a slot, another does not get";
    let one = "  one: { connection: crm, entity: a, conversion_schema: s }\n";
    let cases: [(&str, Vec<String>); 6] = [
        ("  two: { connection: far, entity: a, conversion_schema: s }", vec![]),
        (
            "  two: { connection: crm, entity: a, conversion_schema: s }",
            vec![format!("24:35 {serves} (name another entity of the same table, with a slot of its own)")],
        ),
        (
            "  two: { connection: crm, entity: b, conversion_schema: s }",
            vec![format!("7:50 {serves} (give it another name)")],
        ),
        (
            "  two: { connection: copy, entity: a, conversion_schema: s }",
            vec![format!("12:60 {serves} (give it another name)")],
        ),
        (
            "  two: { connection: far, entity: a, conversion_schema: s, cursor_field: at }",
            vec![
                "24:60 `cursor_field` has no place here: the log says what changed in `a` (remove it, or the entity's \
                 `logical_replication`)"
                    .to_owned(),
            ],
        ),
        (
            "  two: { connection: far, entity: a, conversion_schema: s, mode: full }",
            vec![
                "24:66 a full read never reads the log of `a`, and the server keeps it for nobody (write \
                 `mode: incremental`, or remove the entity's `logical_replication`)"
                    .to_owned(),
            ],
        ),
    ];
    for (two, more) in cases {
        let mut expected: Vec<String> = always.map(ToOwned::to_owned).into();
        expected.extend(more);
        let mut found = shown(&format!("{one}{two}"));
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{two}");
    }
}
