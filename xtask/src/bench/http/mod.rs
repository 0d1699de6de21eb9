//! What reading from an HTTP API costs: contacts in pages, from servers on this machine, beside what `curl`
//! takes for the same pages.

mod servers;

use super::measure::{Figures, measured};
use super::report::{median, replaced, thousands};
use super::{Options, PAGE, machine, remove};
use crate::clock::Stopwatch;
use crate::{Outcome, contacts, workspace};
use serde_json::json;
use servers::Server;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// The commands, in the order of their rows.
const COMMANDS: [&str; 4] = [
    "`curl`, one process and one connection",
    "`curl` in a loop of the shell, a process a page",
    "`syncline connector read`",
    "`syncline run`: read, map, match, store",
];
const CURL: usize = 0;
/// The row of the read, to which the others are compared.
const READ: usize = 2;
const EXAMPLE: &str = "examples/contacts/syncline.yaml";
const MANIFEST: &str = r##"
type: DeclarativeSource
check: { type: CheckStream, stream_names: [contacts] }
streams:
  - type: DeclarativeStream
    name: contacts
    primary_key: id
    retriever:
      type: SimpleRetriever
      requester: { type: HttpRequester, url_base: "{{ config['url'] }}", path: contacts }
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [data] } }
      paginator:
        type: DefaultPaginator
        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: page }
        pagination_strategy:
          type: CursorPagination
          cursor_value: "{{ response.next }}"
          stop_condition: "{{ not response.next }}"
    schema_loader: { type: InlineSchemaLoader, schema: { type: object } }
spec: { type: Spec, connection_specification: { type: object } }
"##;

/// Measures, prints the table, and writes it into the page where that was asked for.
pub(super) fn run(options: Options) -> Outcome {
    let program = options.program()?;
    let folder = workspace::root().join("target").join("bench-data").join("http");
    fs::create_dir_all(&folder)?;
    let files = contacts::write(
        &folder,
        contacts::Options { count: options.records, seed: 7, hard: false },
    )?;
    let pages = Arc::new(servers::pages(&files.jsonl)?);
    let mut all = Vec::new();
    for wait in &options.page_ms {
        all.push(Server::own(&pages, Duration::from_millis(*wait))?);
    }
    match Server::python(&pages, &folder)? {
        Some(server) => all.push(server),
        None => println!("python3 is not installed: its server is left out"),
    }
    let lab = Lab { program, folder, pages: pages.len(), runs: options.runs.max(1) };
    let mut rows = Vec::new();
    for server in all {
        rows.push((server.name.clone(), lab.at(&server.url)?));
    }
    let mut text = render(&rows, options.records, pages.len(), lab.runs);
    if let Some(folder) = &options.manifests {
        text.push_str(&lab.loading(folder)?);
    }
    println!("{text}");
    if options.write {
        let page = workspace::root().join(PAGE);
        fs::write(&page, replaced(&fs::read_to_string(&page)?, "bench-http", &text)?)?;
    }
    Ok(true)
}

/// The runs of each command.
type Costs = [Vec<Figures>; 4];

struct Lab {
    program: PathBuf,
    folder: PathBuf,
    pages: usize,
    runs: usize,
}

impl Lab {
    /// What each command costs at `url`, all runs of it.
    fn at(&self, url: &str) -> Result<Costs, Box<dyn Error>> {
        self.prepare(url)?;
        Ok([
            self.repeated(|| self.curl(url))?,
            self.repeated(|| self.curl_loop(url))?,
            self.repeated(|| self.read())?,
            self.repeated(|| self.sync())?,
        ])
    }

    fn prepare(&self, url: &str) -> Result<(), Box<dyn Error>> {
        let write = |name: &str, text: String| fs::write(self.folder.join(name), text);
        write("manifest.yaml", MANIFEST.to_owned())?;
        write("config.json", json!({ "url": url }).to_string())?;
        let stream = json!({"stream": {"name": "contacts"}, "sync_mode": "full_refresh"});
        write("catalog.json", json!({ "streams": [stream] }).to_string())?;
        let example = fs::read_to_string(workspace::root().join(EXAMPLE))?;
        let file = "    adapter: file\n    entities:\n      contact:\n        path: ${var:input}\n";
        if !example.contains(file) {
            return Err(format!("{EXAMPLE} reads no file any more").into());
        }
        let api = format!(
            "    adapter: manifest\n    settings:\n      manifest: manifest.yaml\n      \
             config: {{ url: \"{url}\" }}\n      allow_private: true\n    entities:\n      contact:\n        \
             stream: contacts\n"
        );
        Ok(write("syncline.yaml", example.replace(file, &api))?)
    }

    fn repeated(
        &self,
        run: impl Fn() -> Result<Figures, Box<dyn Error>>,
    ) -> Result<Vec<Figures>, Box<dyn Error>> {
        (0..self.runs).map(|_| run()).collect()
    }

    fn curl(&self, url: &str) -> Result<Figures, Box<dyn Error>> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--fail", "--output", "/dev/null"]);
        command.arg(format!("{url}/contacts?page=[0-{}]", self.pages - 1));
        measured(&command)
    }

    /// A process for each page, as a script would have it.
    fn curl_loop(&self, url: &str) -> Result<Figures, Box<dyn Error>> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!(
            "page=0; while [ $page -lt {} ]; do \
             curl --silent --fail --output /dev/null \"{url}/contacts?page=$page\" || exit; \
             page=$((page + 1)); done",
            self.pages
        ));
        measured(&command)
    }

    /// How long `syncline connector spec` takes for each manifest under `folder`, from the start of the process to its
    /// end: it loads and compiles the whole manifest, and prints a part of it.
    fn loading(&self, folder: &Path) -> Result<String, Box<dyn Error>> {
        let mut times = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(next)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                } else if path.file_name().is_some_and(|name| name == "manifest.yaml") {
                    let watch = Stopwatch::start();
                    let mut command = Command::new(&self.program);
                    command.args(["connector", "spec", "--manifest-path"]).arg(&path);
                    // What a manifest that cannot be loaded says belongs to its cost.
                    command.output()?;
                    times.push((watch.elapsed().as_secs_f64() * 1e3, path));
                }
            }
        }
        times.sort_by(|left, right| left.0.total_cmp(&right.0));
        let (Some(median), Some(slowest)) = (times.get(times.len() / 2), times.last()) else {
            return Err(format!("{} holds no manifest.yaml", folder.display()).into());
        };
        println!("slowest to load: {}", slowest.1.display());
        Ok(format!(
            "\nLoading {} manifests, each by a process of its own: the median takes {:.1} ms, the slowest {:.1} ms.\n",
            times.len(),
            median.0,
            slowest.0
        ))
    }

    fn read(&self) -> Result<Figures, Box<dyn Error>> {
        let mut command = Command::new(&self.program);
        let file = |name: &str| self.folder.join(name);
        command.args(["connector", "read", "--manifest-path"]).arg(&self.folder);
        command.arg("--config").arg(file("config.json"));
        command.arg("--catalog").arg(file("catalog.json"));
        measured(&command)
    }

    fn sync(&self) -> Result<Figures, Box<dyn Error>> {
        let store = self.folder.join("store.db");
        remove(&store)?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg(&self.folder).arg("--store").arg(&store);
        measured(&command)
    }
}

fn render(servers: &[(String, Costs)], records: usize, pages: usize, runs: usize) -> String {
    let mut text = format!(
        "Medians of {runs} runs on {}; {} contacts in {} pages.\n\n\
         | server | what | wall, s | CPU, s | peak, MiB | wall to `curl` | wall to the read |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
        machine(),
        thousands(records),
        thousands(pages)
    );
    for (server, costs) in servers {
        let of = |figure: fn(&Figures) -> f64, row: usize| {
            median(costs[row].iter().map(figure).collect())
        };
        let wall = |row| of(|run| run.wall_s, row);
        for (row, what) in COMMANDS.iter().enumerate() {
            text.push_str(&format!(
                "| {server} | {what} | {:.2} | {:.2} | {:.0} | {:.2} × | {:.2} × |\n",
                wall(row),
                of(|run| run.cpu_s, row),
                of(|run| run.peak_mib, row),
                wall(row) / wall(CURL).max(1e-9),
                wall(row) / wall(READ).max(1e-9),
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compares_each_server_with_itself() {
        let run = |wall_s| vec![Figures { wall_s, cpu_s: 0.5, peak_mib: 10.0 }];
        let costs = |walls: [f64; 4]| walls.map(run);
        let servers = [
            ("fast".to_owned(), costs([2.0, 9.0, 3.0, 6.0])),
            ("slow".to_owned(), costs([20.0, 90.0, 20.0, 22.0])),
        ];
        let text = render(&servers, 250, 3, 1);
        let run = COMMANDS[3];
        for row in [
            format!("| fast | {run} | 6.00 | 0.50 | 10 | 3.00 × | 2.00 × |"),
            format!("| slow | {run} | 22.00 | 0.50 | 10 | 1.10 × | 1.10 × |"),
        ] {
            assert!(text.contains(&row), "{text}");
        }
    }
}
