//! `examples/two-way-postgres`: what its README says is so.

use crate::project::{Project, Ran};
use crate::servers::{Kind, PASSWORD, Server};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/two-way-postgres")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

struct Example {
    server: Server,
    project: Project,
}

impl Example {
    fn new() -> Self {
        let server = Server::start(Kind::Postgres);
        for database in ["crm", "shop"] {
            server.sql_in("postgres", &format!("CREATE DATABASE {database}"));
            server.sql_in(database, &text(&format!("{database}.sql")));
        }
        Self { server, project: Project::new(&[]) }
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.project.command(arguments);
        command.arg("--config").arg(folder()).args(["--store", "store.db"]);
        for (name, value) in
            [("host", "127.0.0.1"), ("port", &self.server.port.to_string()), ("user", "admin")]
        {
            command.arg("--var").arg(format!("{name}={value}"));
        }
        command.env("CRM_PASSWORD", PASSWORD).env("SHOP_PASSWORD", PASSWORD);
        let ran = Ran::of(command.output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran
    }

    fn crm(&self) -> String {
        let columns = "last_name, email, phone, city, credit_limit, newsletter, rating";
        self.server.sql_in("crm", &format!("SELECT {columns} FROM customers ORDER BY last_name"))
    }

    fn shop(&self) -> String {
        let columns = "name, mail, telephone, town, credit_cents, newsletter, orders";
        self.server.sql_in(
            "shop",
            &format!("SELECT {columns} FROM accounts ORDER BY split_part(name, ' ', 2)"),
        )
    }

    fn written(&self) -> [String; 2] {
        let rows = |(database, table)| {
            self.server
                .sql_in(database, &format!("SELECT xmin, t FROM {table} AS t ORDER BY t::text"))
        };
        [("crm", "customers"), ("shop", "accounts")].map(rows)
    }
}

#[test]
fn two_tables_and_a_feed_are_kept_in_step() {
    let example = Example::new();
    example.run(&["check"]);
    let before = example.written();
    example.run(&["preview"]).expect(
        0,
        &["customer: + 7 new", "→ + crm/customer: a new record", "conflicts: 4 decided"],
    );
    assert_eq!(example.written(), before);
    example.run(&["run"]).expect(0, &["written: 4 created, 6 updated", "conflicts: 4 decided"]);
    let met = [
        "Babbage|Charles.Babbage@Engines.example|+44 20 7946 0002|London|900.50||B",
        "Dijkstra|edsger@paths.example|+31 40 247 9111|Nuenen|700.00||B",
        "Hamilton|margaret@apollo.example||Boston|0.00||B",
        "Hopper|grace@compilers.example|+12125550100|Arlington|2500.00|f|A",
        "Johnson|katherine@orbits.example|+17575550101|Hampton|3100.00|t|A",
        "Lovelace|ada@engines.example|+442079460001|London|1500.00|t|A",
        "Turing|alan@bletchley.example|+44 1908 640404|Bletchley|0.00||B",
    ];
    assert_eq!(example.crm(), met.join("\n"));
    let met = [
        "Charles Babbage|charles.babbage@engines.example|+442079460002|London|90050||3",
        "Edsger Dijkstra|edsger@paths.example|+31402479111|Nuenen|70000||0",
        "Margaret Hamilton|margaret@apollo.example||Boston|0||1",
        "Grace Hopper|grace@compilers.example|+12125550100|Arlington|250000|N|7",
        "Katherine Johnson|katherine@orbits.example|+17575550101|Hampton|310000|Y|21",
        "Ada Lovelace|ada@engines.example|+442079460001|London|150000|Y|12",
        "Alan Turing|alan@bletchley.example|+441908640404|Bletchley|0||0",
    ];
    assert_eq!(example.shop(), met.join("\n"));
    example.server.sql_in("crm", &text("edits.crm.sql"));
    example.server.sql_in("shop", &text("edits.shop.sql"));
    example
        .run(&["run"])
        .expect(0, &["written: 1 created, 4 updated, 2 deleted", "conflicts: 1 decided"]);
    let edited = [
        "Babbage|Charles.Babbage@Engines.example|+441223000888|London|900.50||B",
        "Hopper|grace@compilers.example|+12125550199|Arlington|2500.00|f|A",
        "Johnson|katherine@orbits.example|+17575550101|Hampton|3200.00|t|A",
        "Liskov| Barbara@Types.example||Boston|0.00||B",
        "Lovelace|ada@engines.example|+442079460001|Ockham|1500.00|t|A",
        "Turing|alan@bletchley.example|+44 1908 640404|Bletchley|0.00||B",
    ];
    assert_eq!(example.crm(), edited.join("\n"));
    let edited = [
        "Charles Babbage|charles.babbage@engines.example|+441223000888|London|90050||3",
        "Grace Hopper|grace@compilers.example|+12125550199|Arlington|250000|N|7",
        "Katherine Johnson|katherine@orbits.example|+17575550101|Hampton|320000|Y|21",
        "Barbara Liskov|barbara@types.example||Boston|0||0",
        "Ada Lovelace|ada@engines.example|+442079460001|Ockham|150000|Y|13",
        "Alan Turing|alan@bletchley.example|+441908640404|Bletchley|0||0",
    ];
    assert_eq!(example.shop(), edited.join("\n"));
    let conflicts = example.run(&["conflicts", "list", "--all"]);
    conflicts.expect(0, &["+44 20 7946 0777", "+441223000888", "the record's"]);
    let before = example.written();
    for _ in 0..2 {
        example.run(&["run"]).expect(0, &["nothing changed, nothing written"]);
        assert_eq!(example.written(), before);
    }
}
