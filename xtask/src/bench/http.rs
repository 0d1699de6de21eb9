//! What reading from an HTTP API costs: contacts in pages, from a server on this machine, beside what `curl`
//! takes for the same pages.

use super::measure::{Figures, measured};
use super::report::{replaced, thousands};
use super::{Options, PAGE, machine, remove};
use crate::clock::Stopwatch;
use crate::{Outcome, contacts, workspace};
use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const PAGE_LEN: usize = 100;
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
    let program = workspace::release_build()?;
    let folder = workspace::root().join("target").join("bench-data").join("http");
    fs::create_dir_all(&folder)?;
    let files = contacts::write(
        &folder,
        contacts::Options { count: options.records, seed: 7, hard: false },
    )?;
    let pages = Arc::new(pages(&files.jsonl)?);
    let url = serve(pages.clone())?;
    let lab = Lab { program, folder, url, pages: pages.len(), runs: options.runs.max(1) };
    lab.prepare()?;
    let rows = [
        ("`curl`, one process and one connection", lab.repeated(|| lab.curl())?),
        ("`curl` in a loop of the shell, a process a page", lab.repeated(|| lab.curl_loop())?),
        ("`syncline connector read`", lab.repeated(|| lab.read())?),
        ("`syncline run`: read, map, match, store", lab.repeated(|| lab.sync())?),
    ];
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

/// The bodies of all pages.
fn pages(contacts: &Path) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let lines: Vec<Value> = BufReader::new(fs::File::open(contacts)?)
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let count = lines.len().div_ceil(PAGE_LEN);
    let page = |(index, records): (usize, &[Value])| {
        let next = (index + 1 < count).then_some(index + 1);
        serde_json::to_vec(&json!({ "data": records, "next": next }))
    };
    Ok(lines.chunks(PAGE_LEN).enumerate().map(page).collect::<Result<_, _>>()?)
}

/// Serves the pages until the program ends, and tells where.
fn serve(pages: Arc<Vec<Vec<u8>>>) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pages = pages.clone();
            // A client that goes away is no reason to stop.
            std::thread::spawn(move || drop(answer(stream, &pages)));
        }
    });
    Ok(url)
}

fn answer(stream: TcpStream, pages: &[Vec<u8>]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let target = line.split(' ').nth(1).unwrap_or_default();
        let asked = target.split_once("page=").map_or(Ok(0), |(_, page)| page.parse::<usize>());
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let empty = Vec::new();
        let body = asked.ok().and_then(|page| pages.get(page)).unwrap_or(&empty);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        out.write_all(&[head.as_bytes(), body].concat())?;
    }
}

struct Lab {
    program: PathBuf,
    folder: PathBuf,
    url: String,
    pages: usize,
    runs: usize,
}

impl Lab {
    fn prepare(&self) -> Result<(), Box<dyn Error>> {
        let write = |name: &str, text: String| fs::write(self.folder.join(name), text);
        write("manifest.yaml", MANIFEST.to_owned())?;
        write("config.json", json!({ "url": self.url }).to_string())?;
        let stream = json!({"stream": {"name": "contacts"}, "sync_mode": "full_refresh"});
        write("catalog.json", json!({ "streams": [stream] }).to_string())?;
        let example = fs::read_to_string(workspace::root().join(EXAMPLE))?;
        let file = "    adapter: file\n    entities:\n      contact:\n        path: ${var:input}\n";
        if !example.contains(file) {
            return Err(format!("{EXAMPLE} reads no file any more").into());
        }
        let api = format!(
            "    adapter: manifest\n    settings:\n      manifest: manifest.yaml\n      \
             config: {{ url: \"{}\" }}\n      allow_private: true\n    entities:\n      contact:\n        \
             stream: contacts\n",
            self.url
        );
        Ok(write("syncline.yaml", example.replace(file, &api))?)
    }

    fn repeated(
        &self,
        run: impl Fn() -> Result<Figures, Box<dyn Error>>,
    ) -> Result<Vec<Figures>, Box<dyn Error>> {
        (0..self.runs).map(|_| run()).collect()
    }

    fn curl(&self) -> Result<Figures, Box<dyn Error>> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--fail", "--output", "/dev/null"]);
        command.arg(format!("{}/contacts?page=[0-{}]", self.url, self.pages - 1));
        measured(&command)
    }

    /// A process for each page, as a script would have it.
    fn curl_loop(&self) -> Result<Figures, Box<dyn Error>> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!(
            "page=0; while [ $page -lt {} ]; do \
             curl --silent --fail --output /dev/null \"{}/contacts?page=$page\" || exit; \
             page=$((page + 1)); done",
            self.pages, self.url
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

fn render(rows: &[(&str, Vec<Figures>)], records: usize, pages: usize, runs: usize) -> String {
    let median = |of: &dyn Fn(&Figures) -> f64, all: &[Figures]| {
        super::report::median(all.iter().map(of).collect())
    };
    let mut text = format!(
        "Medians of {runs} runs on {}; {} contacts in {} pages.\n\n| what | wall, s | CPU, s | peak, MiB | wall to `curl` | wall to the read |\n|---|---:|---:|---:|---:|---:|\n",
        machine(),
        thousands(records),
        thousands(pages)
    );
    let wall = |row: usize| median(&|run| run.wall_s, &rows[row].1);
    for (index, (what, all)) in rows.iter().enumerate() {
        let (cpu, peak) = (median(&|run| run.cpu_s, all), median(&|run| run.peak_mib, all));
        text.push_str(&format!(
            "| {what} | {:.2} | {cpu:.2} | {peak:.0} | {:.2} × | {:.2} × |\n",
            wall(index),
            wall(index) / wall(0).max(1e-9),
            wall(index) / wall(READ).max(1e-9),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_to_each_other_and_the_table_tells_ratios() {
        let folder = tempfile::tempdir().unwrap();
        let options = contacts::Options { count: 250, seed: 7, hard: false };
        let files = contacts::write(folder.path(), options).unwrap();
        let pages = pages(&files.jsonl).unwrap();
        let next: Vec<Value> = pages
            .iter()
            .map(|page| serde_json::from_slice::<Value>(page).unwrap()["next"].clone())
            .collect();
        assert_eq!(next, [json!(1), json!(2), json!(null)]);
        let run = |wall_s| vec![Figures { wall_s, cpu_s: 0.5, peak_mib: 10.0 }];
        let rows = [("a", run(2.0)), ("b", run(9.0)), ("read", run(3.0)), ("c", run(6.0))];
        let text = render(&rows, 250, 3, 1);
        assert!(text.contains("| c | 6.00 | 0.50 | 10 | 3.00 × | 2.00 × |"), "{text}");
    }
}
