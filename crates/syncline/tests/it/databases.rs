//! Databases, from their rows to the shards.

use crate::project::Project;
use crate::servers::{Kind, PASSWORD, Server};

/// Customers from a table, with its connection's settings to be filled in.
fn config(adapter: &str, settings: &str) -> String {
    format!(
        r#"
connections:
  shop:
    adapter: {adapter}
    settings: {settings}
    entities:
      customer:
        table: customers
        key: id
        modified: changed
        deleted: {{ field: gone, op: eq, value: 1 }}
shard_types:
  person:
    fields: {{ email: text, name: text, credit: decimal }}
    matching:
      rules:
        - {{ name: same e-mail, compare: [{{ field: email, normalise: email }}] }}
conversion_schemas:
  person:
    shard_type: person
    target: {{ delete_if_removed: true }}
    fields: {{ email: email, name: name, credit: credit }}
sync_tasks:
  customers:
    connection: shop
    entity: customer
    conversion_schema: person
    mode: incremental
    cursor_field: changed
    look_back_s: 3600
    batch: {{ size: 2 }}
    retry: {{ max_attempts: 0 }}
"#
    )
}

fn create(moment: &str, money: &str) -> String {
    format!(
        "CREATE TABLE customers (id int PRIMARY KEY, email text, name text, credit {money}, gone int, changed {moment});
        INSERT INTO customers VALUES
            (1, 'ada@x.org', 'Ada', 19.90, 0, '2024-03-01 10:00:00'),
            (2, 'bob@x.org', 'Bob', NULL, 0, '2024-03-01 10:00:00'),
            (3, 'ADA@x.org', NULL, 1, 0, '2024-03-01 10:00:00'),
            (4, 'eve@x.org', 'Eve', 0.1, 0, '2024-03-01 09:00:00'),
            (5, 'old@x.org', 'Old', 0, 1, '2024-02-01 09:00:00');"
    )
}

/// What happens to the table between two runs: a change, a late commit, a deletion that is marked, a row that goes.
const CHANGES: &str = "
    UPDATE customers SET name = 'Bobby', changed = '2024-03-02 10:00:00' WHERE id = 2;
    INSERT INTO customers VALUES (6, 'late@x.org', 'Late', 5, 0, '2024-03-02 09:30:00');
    UPDATE customers SET gone = 1, changed = '2024-03-02 10:00:00' WHERE id = 4;";

fn figures(report: &serde_json::Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| report["results"][name].as_u64().unwrap()).collect()
}

/// Runs it twice, with changes between, then once in full.
fn syncs(project: &Project, sql: &dyn Fn(&str)) {
    let checked = project.run(&["check"]);
    checked.expect(0, &["shop/customer", "5 records sampled", "4 converted, 1 deleted"]);
    let first = project.json(&["run", "--json"]);
    assert_eq!(first["status"], "success", "{first:#}");
    assert_eq!(figures(&first, &["fetched", "created", "updated"]), [5, 3, 1], "{first:#}");
    let second = project.json(&["run", "--json"]);
    assert_eq!(figures(&second, &["created", "updated", "deleted"]), [0, 0, 0], "{second:#}");
    sql(CHANGES);
    let third = project.json(&["run", "--json"]);
    assert_eq!(figures(&third, &["created", "updated", "tombstoned"]), [1, 2, 1], "{third:#}");
    let shards = project.json(&["shards", "--json"]).to_string();
    for expected in ["Bobby", "Late", "19.9"] {
        assert!(shards.contains(expected), "{shards}");
    }
    assert!(!shards.contains("Eve"), "{shards}");
    sql("DELETE FROM customers WHERE id = 6");
    let fourth = project.json(&["run", "--full", "--json"]);
    assert_eq!(figures(&fourth, &["deleted"]), [1], "{fourth:#}");
    project.run(&["run"]).expect(0, &["nothing changed, nothing written"]);
}

#[test]
fn customers_come_from_sqlite() {
    let project = Project::new(&[("syncline.yaml", &config("sqlite", "{ path: shop.db }"))]);
    project.run(&["check"]).expect(1, &["shop.db", "unable to open"]);
    let sql = |script: &str| {
        let connection = rusqlite::Connection::open(project.path("shop.db")).unwrap();
        connection.execute_batch(script).unwrap();
    };
    sql(&create("text", "decimal(10, 2)"));
    syncs(&project, &sql);
}

#[test]
fn customers_come_from_postgres() {
    let server = Server::start(Kind::Postgres);
    let settings = format!(
        "{{ host: 127.0.0.1, port: {}, database: it, user: admin, password: \"${{file:password.txt}}\" }}",
        server.port
    );
    let project = Project::new(&[
        ("syncline.yaml", &config("postgres", &settings)),
        ("password.txt", "hunter2-hunter2"),
    ]);
    let refused = project.run(&["run"]);
    refused.expect(4, &["password authentication failed", "hint:"]);
    assert!(!format!("{refused:?}").contains("hunter2-hunter2"));
    project.write("password.txt", PASSWORD);
    project.run(&["check"]).expect(1, &["there is no table `customers`"]);
    server.sql(&create("timestamptz", "numeric(10, 2)"));
    syncs(&project, &|script| _ = server.sql(script));
}
