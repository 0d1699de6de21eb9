//! Address books, from their cards to a table and back.

use crate::meddler::{between, without_etag};
use crate::project::{Project, Ran};
use crate::radicale::{Radicale, SECRET, USER};
use crate::servers::{Kind, PASSWORD, Server};
use crate::two_way::proxy::{Fault, Proxy};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// An address book, and a SQLite table that it is kept in step with.
struct Pair {
    book: Radicale,
    project: Project,
}

const CONFIG: &str = r#"
connections:
  book:
    adapter: carddav
    settings: { url: "http://127.0.0.1:${var:port}/", user: ada, password: "correct horse", timeout_s: 10 }
    entities:
      person: { key: href, version: etag, modified: modified }
  table:
    adapter: sqlite
    settings: { path: table.db }
    entities:
      row: { table: people, key: id }
shard_types:
  person:
    fields: { name: text, email: text, note: text }
    matching:
      rules: [{ name: same e-mail, compare: [{ field: email, normalise: email }] }]
conversion_schemas:
  person:
    shard_type: person
    target: { delete_if_removed: true }
    fields: { name: name, email: email, note: note }
  row:
    shard_type: person
    target: { delete_if_removed: true }
    fields: { name: name, email: email, note: note }
sync_tasks:
  book:
    connection: book
    entity: person
    conversion_schema: person
    direction: bidirectional
    retry: { max_attempts: 0 }
    outbound: { deletes: propagate }
  table:
    connection: table
    entity: row
    conversion_schema: row
    direction: bidirectional
    mode: full
    retry: { max_attempts: 0 }
    outbound: { deletes: propagate }
"#;

fn card(uid: &str, name: &str, more: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:;{name};;;\r\n\
         EMAIL:{uid}@x.example\r\n{more}END:VCARD\r\n"
    )
}

impl Pair {
    fn new() -> Self {
        let book = Radicale::start();
        book.put("ada.vcf", &card("ada", "Ada", "X-OWN:kept\r\n"));
        book.put("bob.vcf", &card("bob", "Bob", ""));
        let pair = Self { book, project: Project::new(&[("syncline.yaml", CONFIG)]) };
        pair.sql(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name text, email text UNIQUE, note text);
            INSERT INTO people (name, email, note) VALUES
                ('Ada', 'ada@x.example', NULL), ('Cyd', 'cyd@x.example', 'a;b'), ('Dan', 'dan@x.example', NULL);",
        );
        pair
    }

    fn sql(&self, script: &str) {
        let table = rusqlite::Connection::open(self.project.path("table.db")).unwrap();
        table.execute_batch(script).unwrap();
    }

    fn rows(&self) -> Vec<String> {
        let table = rusqlite::Connection::open(self.project.path("table.db")).unwrap();
        let select = "SELECT concat_ws('|', name, email, note) FROM people ORDER BY 1";
        let mut statement = table.prepare(select).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// What the cards say of the fields that are synced.
    fn cards(&self) -> Vec<String> {
        let value = |card: &str, name: &str| {
            let line = card.lines().find(|line| line.split([':', ';']).next() == Some(name));
            line.and_then(|line| Some(line.split_once(':')?.1.trim().replace('\\', "")))
        };
        let cards = self.book.cards().into_iter();
        let mut cards: Vec<String> = cards
            .map(|(_, card)| {
                let said = ["FN", "EMAIL", "NOTE"].iter().filter_map(|name| value(&card, name));
                said.collect::<Vec<_>>().join("|")
            })
            .collect();
        cards.sort();
        cards
    }

    /// Runs the program, with the address book on this port.
    fn run_on(&self, port: u16, arguments: &[&str]) -> Ran {
        self.project.run(&[arguments, &["--var", &format!("port={port}")]].concat())
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        let ran = self.run_on(self.book.port, arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:#?}");
        ran
    }

    #[track_caller]
    fn agrees(&self, expected: &[&str]) {
        assert_eq!(self.rows(), expected, "table");
        assert_eq!(self.cards(), expected, "cards");
    }

    /// Makes sure that two further runs write nothing.
    #[track_caller]
    fn is_quiet(&self) {
        let before = (self.rows(), self.book.cards());
        for _ in 0..2 {
            self.run(&["run"]).expect(0, &["nothing changed, nothing written"]);
            assert_eq!((self.rows(), self.book.cards()), before);
        }
    }
}

const MET: [&str; 4] =
    ["Ada|ada@x.example", "Bob|bob@x.example", "Cyd|cyd@x.example|a;b", "Dan|dan@x.example"];

#[test]
fn an_address_book_and_a_table_are_kept_in_step() {
    let pair = Pair::new();
    pair.run(&["check"]).expect(0, &["book/person", "table/row"]);
    pair.run(&["preview"]);
    assert_eq!(pair.cards().len(), 2);
    pair.run(&["run"]).expect(0, &["written: 3 created"]);
    pair.agrees(&MET);
    pair.is_quiet();
    pair.book.put("bob.vcf", &card("bob", "Bobby", "NOTE:line\\nbreak\r\n"));
    pair.book.delete("ada.vcf");
    pair.sql(
        "UPDATE people SET note = 'x,y' WHERE name = 'Cyd'; DELETE FROM people WHERE name = 'Dan'",
    );
    pair.run(&["run"]).expect(0, &["written: 2 updated, 2 deleted"]);
    let rows = pair.rows();
    assert_eq!(rows, ["Bobby|bob@x.example|line\nbreak", "Cyd|cyd@x.example|x,y"]);
    assert_eq!(pair.cards(), ["Bobby|bob@x.example|linenbreak", "Cyd|cyd@x.example|x,y"]);
    pair.is_quiet();
    // What is undone at the table is written back to the cards.
    pair.sql("UPDATE people SET note = NULL");
    pair.run(&["run"]).expect(0, &["written: 2 updated"]);
    pair.agrees(&["Bobby|bob@x.example", "Cyd|cyd@x.example"]);
    pair.is_quiet();
}

#[test]
fn a_server_that_breaks_off_anywhere_loses_nothing_and_doubles_nothing() {
    // Each time, one more request goes through; of the next one, the reply is lost, and the server is gone after it.
    for through in 0..200 {
        let pair = Pair::new();
        let (passed, is_mended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, mended) = (passed.clone(), is_mended.clone());
        let port =
            between(pair.book.port, move |passing| match counted.fetch_add(1, Ordering::Relaxed) {
                count if count < through || mended.load(Ordering::Relaxed) => Some(passing.pass()),
                count if count == through => {
                    passing.pass();
                    None
                }
                _ => None,
            });
        let ran = pair.run_on(port, &["run"]);
        let was_whole = passed.load(Ordering::Relaxed) <= through;
        is_mended.store(true, Ordering::Relaxed);
        let mended = pair.run_on(port, &["run"]);
        assert_eq!(mended.code, Some(0), "{through}: {mended:#?}");
        pair.agrees(&MET);
        pair.run_on(port, &["run"]).expect(0, &["nothing changed, nothing written"]);
        let kept = pair.book.get("ada.vcf");
        assert!(kept.contains("X-OWN:kept"), "{kept}");
        if was_whole {
            assert_eq!(ran.code, Some(0), "{ran:#?}");
            pair.is_quiet();
            assert!(through > 5, "the writes were among them");
            return;
        }
    }
    panic!("it never ends");
}

#[test]
fn a_server_that_rewrites_cards_is_not_written_again() {
    let pair = Pair::new();
    let port = between(pair.book.port, |passing| {
        if !passing.is("PUT ") {
            return Some(passing.pass());
        }
        let shouted = |line: &str| match line.starts_with("NOTE") {
            true => line.to_uppercase(),
            false => line.to_owned(),
        };
        let body: Vec<String> = passing.body().lines().map(shouted).collect();
        without_etag(passing.pass_with(&(body.join("\r\n") + "\r\n")))
    });
    let is_quiet = || {
        let before = (pair.rows(), pair.book.cards());
        for _ in 0..2 {
            pair.run_on(port, &["run"]).expect(0, &["nothing changed, nothing written"]);
            assert_eq!((pair.rows(), pair.book.cards()), before);
        }
    };
    pair.run_on(port, &["run"]).expect(0, &["written: 3 created"]);
    assert_eq!(pair.cards()[2], "Cyd|cyd@x.example|A;B");
    assert_eq!(pair.rows(), MET, "the table keeps what it says");
    is_quiet();
    pair.sql("UPDATE people SET note = 'new' WHERE name = 'Dan'");
    pair.run_on(port, &["run"]).expect(0, &["written: 1 updated"]);
    assert_eq!(pair.cards()[3], "Dan|dan@x.example|NEW");
    assert_eq!(pair.rows()[3], "Dan|dan@x.example|new");
    is_quiet();
}

#[test]
fn what_was_deleted_while_a_token_was_forgotten_is_deleted() {
    let pair = Pair::new();
    let has_forgotten = Arc::new(AtomicBool::new(false));
    let forgets = has_forgotten.clone();
    let port = between(pair.book.port, move |passing| {
        let has_token = passing.body().contains("<sync-token>http");
        let is_refused = has_token && forgets.load(Ordering::Relaxed);
        if is_refused { crate::meddler::reply("410 Gone", "") } else { Some(passing.pass()) }
    });
    let run = || {
        let ran = pair.run_on(port, &["run"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
    };
    run();
    pair.agrees(&MET);
    pair.book.delete("bob.vcf");
    pair.book.put("ada.vcf", &card("ada", "Ada L", ""));
    has_forgotten.store(true, Ordering::Relaxed);
    run();
    pair.agrees(&["Ada L|ada@x.example", "Cyd|cyd@x.example|a;b", "Dan|dan@x.example"]);
    has_forgotten.store(false, Ordering::Relaxed);
    run();
    pair.is_quiet();
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/two-way-carddav")
}

fn put_all(book: &Radicale, cards: &str) {
    for file in std::fs::read_dir(folder().join(cards)).unwrap() {
        let file = file.unwrap();
        let card = std::fs::read_to_string(file.path()).unwrap();
        book.put(&file.file_name().to_string_lossy(), &card);
    }
}

/// `examples/two-way-carddav`: what its README says is so.
#[test]
fn the_example_does_what_its_page_says() {
    let (table, book) = (Server::start(Kind::Postgres), Radicale::start());
    let project = Project::new(&[]);
    let script = |name: &str| _ = table.sql(&std::fs::read_to_string(folder().join(name)).unwrap());
    let run = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.arg("--config").arg(folder()).args(["--store", "store.db"]);
        for (name, port) in [("carddav", book.port), ("postgres", table.port)] {
            command.arg("--var").arg(format!("{name}_port={port}"));
        }
        command.arg("--var").arg(format!("user={USER}"));
        command.env("CONTACTS_PASSWORD", SECRET).env("CRM_PASSWORD", PASSWORD);
        let ran = Ran::of(command.output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran
    };
    let rows = || {
        let columns = "name, email, phone, city, company, birthday";
        table.sql(&format!("SELECT {columns} FROM customers ORDER BY name"))
    };
    script("customers.sql");
    put_all(&book, "cards");
    run(&["check"]);
    run(&["run"]).expect(0, &["written:", "1 filtered"]);
    let met = [
        "Ada Lovelace|ada@engines.example|+44 20 7946 0001|London|Analytical Engines|1815-12-10",
        "Charles Babbage|charles@engines.example|+44 20 7946 0002||Analytical Engines|",
        "Edsger W. Dijkstra|edsger@paths.example|+31 40 247 9111|||",
        "Grace Hopper|grace@compilers.example|+1 212 555 0100|Arlington|Navy; \"Reserve\", retired|1906-12-09",
    ];
    assert_eq!(rows(), met.join("\n"));
    let grace = book.cards().into_iter().map(|(_, card)| card).find(|card| card.contains("Grace"));
    let grace = grace.unwrap();
    for line in ["FN:Grace Hopper", "ORG:Navy\\; \"Reserve\"\\, retired", "BDAY:1906-12-09"] {
        assert!(grace.contains(line), "{line}: {grace}");
    }
    script("edits.sql");
    put_all(&book, "edits");
    book.delete("edsger.vcf");
    run(&["run"]).expect(0, &["1 deleted", "conflicts: 1 decided"]);
    let edited = [
        "Ada Lovelace|ada@engines.example|+44 20 7946 0001|Ockham|Analytical Engines|1815-12-10",
        "Barbara Liskov|barbara@types.example||Boston||",
        "Charles Babbage|charles@engines.example|+44 1223 000888||Analytical Engines|",
        met[3],
        "Radia Perlman|radia@bridges.example|||Spanning Trees|",
    ];
    assert_eq!(rows(), edited.join("\n"));
    let ada = book.get("ada.vcf");
    for line in
        ["St James's Square;Ockham", "X-ABLABEL:_$!<Work>!$_", "PHOTO;", "ada@home.example", "BDAY"]
    {
        assert!(ada.contains(line), "{line}: {ada}");
    }
    let charles = book.get("charles.vcf");
    assert!(charles.contains("+44 1223 000888") && charles.contains("organ grinders"), "{charles}");
    let before = (table.sql("SELECT xmin, c FROM customers AS c ORDER BY 2"), book.cards());
    for _ in 0..2 {
        run(&["run"]).expect(0, &["nothing changed, nothing written"]);
    }
    let after = (table.sql("SELECT xmin, c FROM customers AS c ORDER BY 2"), book.cards());
    assert_eq!(before, after);
}

#[test]
fn faults_of_a_real_address_book_lose_nothing_and_double_nothing() {
    // Hazards 22 and 23: the server dies and comes back in the middle of a run, stands still, resets a connection; the
    // program is killed.
    let mut pair = Pair::new();
    let write = |pair: &Pair, round: usize| {
        for n in 0..12 {
            let uid = format!("new{round}-{n}");
            pair.book.put(&format!("{uid}.vcf"), &card(&uid, "New", ""));
        }
        pair.book.put("ada.vcf", &card("ada", &format!("Ada {round}"), "X-OWN:kept\r\n"));
        pair.sql(&format!(
            "UPDATE people SET note = 'n{round}' WHERE name = 'Bob';
            WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12)
            INSERT INTO people (name, email) SELECT 'Row', n || 'row{round}@x.example' FROM n"
        ));
    };
    let comes_right = |pair: &Pair, rounds: usize| {
        pair.run(&["run"]);
        pair.run(&["run"]);
        assert_eq!(pair.rows(), pair.cards());
        assert_eq!(pair.rows().len(), 4 + 24 * rounds);
        pair.is_quiet();
        assert!(pair.book.get("ada.vcf").contains("X-OWN:kept"));
    };
    let faults = [(0, Fault::LoseReply), (2, Fault::LoseRequest), (1, Fault::LoseReply)];
    for (round, (skip, fault)) in (1..).zip(faults) {
        write(&pair, round);
        let proxy = Proxy::to(pair.book.port);
        proxy.trap("PUT /", skip, fault);
        pair.run_on(proxy.port, &["run"]);
        assert_eq!(proxy.sprung(), 1);
    }
    comes_right(&pair, 3);
    write(&pair, 4);
    let proxy = Proxy::to(pair.book.port);
    let mut command = pair.project.command(&["run", "--var", &format!("port={}", proxy.port)]);
    std::thread::scope(|scope| {
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        proxy.trap("PUT /", 3, Fault::First(Box::new(move || ask.send(()).unwrap())));
        let running = scope.spawn(move || Ran::of(command.output().unwrap()));
        asked.recv().unwrap();
        pair.book.run();
        running.join().unwrap();
    });
    comes_right(&pair, 4);
    write(&pair, 5);
    pair.project.write("syncline.yaml", &CONFIG.replace("timeout_s: 10", "timeout_s: 1"));
    pair.book.signal("STOP");
    let ran = pair.run_on(pair.book.port, &["run"]);
    pair.book.signal("CONT");
    assert_ne!(ran.code, Some(0), "{ran:?}");
    pair.project.write("syncline.yaml", CONFIG);
    comes_right(&pair, 5);
    for round in 6..9 {
        write(&pair, round);
        let port = format!("port={}", pair.book.port);
        let mut command = pair.project.command(&["run", "--var", &port]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Each a little later than the one before: a request takes some milliseconds.
        for _ in 0..round * 3 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            pair.book.get("bob.vcf");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    comes_right(&pair, 8);
}
