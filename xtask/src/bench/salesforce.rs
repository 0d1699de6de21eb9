//! What the connector of Salesforce costs, against its server on this machine: contacts read by Bulk API 2.0 beside the
//! same from a CSV file, and changed contacts written back through collections, with and without faults.

use super::measure::{Figures, measured};
use super::report::{median, replaced, thousands};
use super::{Options, PAGE, machine, remove};
use crate::local_server::LocalServer;
use crate::{Outcome, workspace};
use serde_json::{Value, json};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many contacts are written back.
const CHANGED: usize = 10_000;
/// The most requests that this may take where nothing goes wrong.
const REQUESTS_MAX: u64 = 60;
/// How many times as long as from a CSV file a read by Bulk API 2.0 may take.
const RATIO_MAX: f64 = 2.0;

/// The same records, from a file or from Salesforce.
const READING: &str = r#"
connections:
  crm:
CONNECTION
shard_types:
  person:
    fields: { first_name: text, last_name: text, email: text, phone: text, title: text, street: text, city: text, postcode: text, country: text }
    matching:
      rules:
        - { name: same e-mail, compare: [{ field: email, normalise: email }] }
conversion_schemas:
  contact:
    shard_type: person
    fields:
      first_name: FirstName
      last_name: LastName
      email: { from: Email, transform: [trim, lowercase] }
      phone: Phone
      title: Title
      street: MailingStreet
      city: MailingCity
      postcode: MailingPostalCode
      country: MailingCountry
sync_tasks:
  contacts: { connection: crm, entity: contact, conversion_schema: contact, mode: full }
"#;
const OF_FILE: &str = r#"    adapter: file
    entities:
      contact: { path: "${var:input}", key: Id, modified: SystemModstamp, deleted: { field: IsDeleted, op: eq, value: "true" } }
"#;
const OF_SALESFORCE: &str = r#"    adapter: manifest
    settings:
      manifest: salesforce
      allow_private: true
      config: { url: "${var:input}", client_id: client, client_secret: secret }
    entities:
      contact: { stream: contacts, key: Id, modified: SystemModstamp, deleted: { field: IsDeleted, op: eq, value: true } }
"#;

/// Measures, prints the table, and writes it into the page where that was asked for. All is well where both figures are
/// reached, and no contact is lost or doubled.
pub(super) fn run(options: Options) -> Outcome {
    let lab = Lab {
        program: options.program()?,
        folder: tempfile::tempdir()?,
        example: workspace::root().join("examples/two-way-salesforce"),
    };
    let records = options.records.min(100_000);
    let runs = options.runs.max(1);
    let csv = lab.contacts(records)?;
    let server = LocalServer::start("salesforce", &["--load", &csv.display().to_string()]);
    // The server makes its pages the first time that they are asked for.
    lab.read(OF_SALESFORCE, &server.url)?;
    let (mut of_file, mut of_api) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        of_file.push(lab.read(OF_FILE, &csv.display().to_string())?);
        of_api.push(lab.read(OF_SALESFORCE, &server.url)?);
    }
    drop(server);
    let of =
        |all: &[Figures], figure: fn(&Figures) -> f64| median(all.iter().map(figure).collect());
    let ratio = of(&of_api, |run| run.wall_s) / of(&of_file, |run| run.wall_s).max(1e-9);
    let mut text = format!(
        "Medians of {runs} runs on {}; the server runs on the same machine.\n\n\
         | {} contacts, read, mapped, matched and stored | wall, s | CPU, s | peak, MiB | to the file |\n\
         |---|---:|---:|---:|---:|\n",
        machine(),
        thousands(records)
    );
    for (what, all, ratio) in
        [("from a CSV file", &of_file, 1.0), ("by a query job of Bulk API 2.0", &of_api, ratio)]
    {
        let (wall, cpu) = (of(all, |run| run.wall_s), of(all, |run| run.cpu_s));
        let peak = of(all, |run| run.peak_mib);
        writeln!(text, "| {what} | {wall:.2} | {cpu:.2} | {peak:.0} | {ratio:.2} × |")?;
    }
    writeln!(
        text,
        "\n| {} changed contacts written back, in collections of 200 | wall, s | requests to write | all requests | of these went wrong |\n|---|---:|---:|---:|---:|",
        thousands(CHANGED)
    )?;
    let mut is_well = ratio <= RATIO_MAX;
    let faults = json!({ "every": 10, "kinds": ["error", "lost"], "path": "composite" });
    for (what, faults) in
        [("nothing goes wrong", None), ("every tenth fails, or loses its reply", Some(faults))]
    {
        let is_calm = faults.is_none();
        let written = lab.write_back(faults)?;
        is_well &= written.is_whole && (!is_calm || written.writing <= REQUESTS_MAX);
        writeln!(
            text,
            "| {what} | {:.2} | {} | {} | {} |",
            written.wall_s, written.writing, written.all, written.faults
        )?;
    }
    println!("{text}");
    if options.write {
        let page = workspace::root().join(PAGE);
        fs::write(&page, replaced(&fs::read_to_string(&page)?, "bench-salesforce", &text)?)?;
    }
    Ok(is_well)
}

struct Lab {
    program: PathBuf,
    folder: tempfile::TempDir,
    example: PathBuf,
}

/// What writing back came to.
struct Written {
    wall_s: f64,
    /// Requests that write, or read what is written.
    writing: u64,
    all: u64,
    faults: u64,
    /// Whether every contact holds what it was to, and none is there twice.
    is_whole: bool,
}

impl Lab {
    /// So many contacts, as a file that both sides can take.
    fn contacts(&self, count: usize) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.folder.path().join(format!("contacts_{count}.csv"));
        let mut text = "Id,IsDeleted,SystemModstamp,FirstName,LastName,Email,Phone,Title,MailingStreet,MailingCity,MailingPostalCode,MailingCountry\n".to_owned();
        for n in 1..=count {
            writeln!(
                text,
                "C{n:07},false,2025-01-{:02}T09:00:00Z,First{},Last{n},person{n}@mail.example,+49 30 {n},Title {},{} Long Street,City {},{:05},Germany",
                n % 28 + 1,
                n % 977,
                n % 53,
                n % 200,
                n % 311,
                n % 99_999
            )?;
        }
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Reads all contacts into an empty store.
    fn read(&self, connection: &str, input: &str) -> Result<Figures, Box<dyn Error>> {
        let (config, store) = (self.folder.path().join("reading.yaml"), self.store());
        fs::write(&config, READING.replace("CONNECTION\n", connection))?;
        remove(&store)?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(&config).arg("--store").arg(&store);
        measured(command.arg("--var").arg(format!("input={input}")))
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// Changes a field of every row of the shop, and has it written to Salesforce.
    fn write_back(&self, faults: Option<Value>) -> Result<Written, Box<dyn Error>> {
        let csv = self.contacts(CHANGED)?;
        let server = LocalServer::start("salesforce", &["--load", &csv.display().to_string()]);
        let shop = self.folder.path().join("shop.db");
        remove(&shop)?;
        remove(&self.store())?;
        let rows = rusqlite::Connection::open(&shop)?;
        let table = fs::read_to_string(self.example.join("shop.sql"))?;
        let table = table.split("INSERT INTO").next().unwrap_or_default();
        rows.execute_batch(&format!(
            "{table} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {CHANGED})
             INSERT INTO customers (first_name, last_name, mail, telephone, town)
             SELECT 'First' || i % 977, 'Last' || i, 'person' || i || '@mail.example', '+49 30 ' || i, 'City ' || i % 311 FROM n"
        ))?;
        self.two_way(&server, &shop)?;
        rows.execute_batch("UPDATE customers SET town = 'Oslo ' || id")?;
        server.take_counts();
        if let Some(faults) = faults {
            server.faults(faults);
        }
        let cost = self.two_way(&server, &shop)?;
        let counts = server.take_counts();
        server.faults(json!({}));
        let contacts = server.control("GET", "/sobjects/Contact", None);
        let contacts = contacts.as_array().cloned().unwrap_or_default();
        let holds = |contact: &Value| {
            contact["MailingCity"].as_str().is_some_and(|city| city.starts_with("Oslo"))
        };
        Ok(Written {
            wall_s: cost.wall_s,
            writing: counts.writes()
                + counts.of("POST /services/data/{version}/composite/sobjects/{name}"),
            all: counts.all(),
            faults: counts.faults(),
            is_whole: contacts.len() == CHANGED && contacts.iter().all(holds),
        })
    }

    fn two_way(&self, server: &LocalServer, shop: &Path) -> Result<Figures, Box<dyn Error>> {
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(&self.example).arg("--store").arg(self.store());
        command.arg("--var").arg(format!("server={}", server.url));
        command.arg("--var").arg(format!("shop={}", shop.display()));
        measured(command.env("SALESFORCE_ID", "client").env("SALESFORCE_SECRET", "secret"))
    }
}
