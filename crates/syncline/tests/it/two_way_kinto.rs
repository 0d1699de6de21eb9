//! `examples/two-way-kinto`: what its README says is so; and a run that loses a reply.

use crate::kinto::{Kinto, Proxy};
use crate::project::{Project, Ran};
use crate::servers::{Kind, PASSWORD, Server};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/two-way-kinto")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

struct Example {
    kinto: Kinto,
    proxy: Proxy,
    shop: Server,
    project: Project,
}

impl Example {
    fn new() -> Self {
        let kinto = Kinto::start();
        let shop = Server::start(Kind::Postgres);
        let proxy = Proxy::before(kinto.port);
        let example = Self { kinto, proxy, shop, project: Project::new(&[]) };
        example.batch("contacts.json");
        example.shop.sql(&text("shop.sql"));
        example
    }

    fn batch(&self, name: &str) {
        let body = serde_json::from_str(&text(name)).unwrap();
        assert_eq!(self.kinto.ask("POST", "/batch", &[], Some(body)).0, 200);
    }

    fn try_run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.project.command(arguments);
        command.arg("--config").arg(folder()).args(["--store", "store.db"]);
        command.arg("--var").arg(format!("kinto=http://127.0.0.1:{}/v1", self.proxy.port));
        command.arg("--var").arg(format!("port={}", self.shop.port));
        command.env("KINTO_PASSWORD", "secret").env("SHOP_PASSWORD", PASSWORD);
        Ran::of(command.output().unwrap())
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        let ran = self.try_run(arguments);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran
    }

    /// What both sides hold, as lines in the order of the e-mail addresses.
    fn held(&self) -> [String; 2] {
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            Value::Bool(flag) => if *flag { "t" } else { "f" }.to_owned(),
            other => other.as_str().unwrap().to_owned(),
        };
        let line = |record: &Value| {
            ["email", "name", "phone", "city", "vip"].map(|name| text(&record[name])).join("|")
        };
        let mut contacts: Vec<String> = self.kinto.all().iter().map(line).collect();
        contacts.sort_unstable();
        let columns = "mail, full_name, telephone, town, is_vip";
        let customers = self.shop.sql(&format!("SELECT {columns} FROM customers ORDER BY mail"));
        [contacts.join("\n"), customers]
    }

    #[track_caller]
    fn both_hold(&self, lines: &[&str]) {
        let [contacts, customers] = self.held();
        assert_eq!(contacts, lines.join("\n"), "contacts");
        assert_eq!(customers, lines.join("\n"), "customers");
    }

    /// Two more runs write nothing, at either side or here.
    #[track_caller]
    fn is_quiet(&self) {
        let rows = || self.shop.sql("SELECT xmin, t FROM customers AS t ORDER BY t::text");
        let before = rows();
        self.proxy.take_writes();
        for _ in 0..2 {
            self.run(&["run"]).expect(0, &["nothing changed, nothing written"]);
        }
        assert_eq!(self.proxy.take_writes(), 0);
        assert_eq!(rows(), before);
    }
}

const MET: [&str; 6] = [
    "ada@engines.example|Ada Lovelace|+44 20 7946 0001|London|t",
    "alan@bletchley.example|Alan Turing|+44 1908 640404|Bletchley|t",
    "edsger@paths.example|Edsger Dijkstra|+31 40 247 9111|Nuenen|",
    "grace@compilers.example|Grace Hopper|+1 212 555 0100|Arlington|f",
    "katherine@orbits.example|Katherine Johnson|+1 757 555 0101|Hampton|",
    "margaret@apollo.example|Margaret Hamilton||Boston|",
];

#[test]
fn a_collection_and_a_table_are_kept_in_step() {
    let example = Example::new();
    example.run(&["check"]);
    example.proxy.take_writes();
    example.run(&["preview"]).expect(0, &["contacts/contact: a new record"]);
    assert_eq!(example.proxy.take_writes(), 0, "a preview writes nothing");
    let met = example.run(&["run"]);
    met.expect(0, &["written: 4 created, 2 updated"]);
    example.both_hold(&MET);
    assert_eq!(example.proxy.take_writes(), 4, "{met:#?}");
    example.batch("edits.contacts.json");
    example.shop.sql(&text("edits.shop.sql"));
    example.run(&["run"]).expect(0, &["conflicts: 1 decided"]);
    example.both_hold(&[
        "ada@engines.example|Ada Lovelace|+44 20 7946 0001|Ockham|f",
        "alan@bletchley.example|Alan Turing|+44 1908 640404|Bletchley|t",
        "barbara@types.example|Barbara Liskov||Boston|",
        "grace@compilers.example|Grace Hopper|+1 212 555 0199|Arlington|f",
        "katherine@orbits.example|Katherine Johnson|+1 757 555 0101|Hampton|",
    ]);
    let conflicts = example.run(&["conflicts", "list", "--all"]);
    conflicts.expect(0, &["+1 212 555 0777", "+1 212 555 0199"]);
    example.is_quiet();
}

#[test]
fn lost_replies_double_nothing_and_lose_nothing() {
    let example = Example::new();
    example.proxy.lose(1);
    example.try_run(&["run"]);
    example.run(&["run"]);
    example.both_hold(&MET);
    example.is_quiet();
    // An edit whose reply is lost, and one that a person makes before it is looked up.
    example.shop.sql("UPDATE customers SET town = 'Oslo' WHERE mail LIKE 'a%'");
    example.proxy.lose(1);
    example.try_run(&["run"]);
    let ask = json!({ "data": { "phone": "+47 1" } });
    example.kinto.record("PATCH", "ada", Some(ask));
    example.run(&["run"]);
    example.run(&["run"]);
    let [contacts, customers] = example.held();
    assert_eq!(contacts, customers);
    assert!(contacts.contains("ada@engines.example|Ada Lovelace|+47 1|Oslo|t"), "{contacts}");
    example.is_quiet();
}
