//! The servers that give the pages: our own, which takes as long for a page as it is told to, and Python's.

use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const PAGE_LEN: usize = 100;

/// What most people would write first: a thread for each connection, which is kept open, and pages in memory.
const PYTHON: &str = r#"
import http.server, sys, urllib.parse

with open(sys.argv[1], "rb") as file:
    pages = file.read().splitlines()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the body waits until the client has acknowledged the head, which takes it up to 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        body = pages[int(query.get("page", ["0"])[0])]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// The bodies of all pages of the contacts in a file; each but the last names the next.
pub(super) fn pages(contacts: &Path) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
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

/// A server of the pages; Python's ends when this is dropped, our own with the program.
pub(super) struct Server {
    pub(super) name: String,
    pub(super) url: String,
    python: Option<Child>,
}

impl Server {
    /// Our own, which waits for `wait` before it answers.
    pub(super) fn own(pages: &Arc<Vec<Vec<u8>>>, wait: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let pages = pages.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let pages = pages.clone();
                // A client that goes away is no reason to stop.
                thread::spawn(move || drop(answer(stream, &pages, wait)));
            }
        });
        let name = format!("our own, {} ms a page", wait.as_millis());
        Ok(Self { name, url, python: None })
    }

    /// Python's `http.server`; `None` where there is no Python.
    pub(super) fn python(pages: &[Vec<u8>], folder: &Path) -> Result<Option<Self>, Box<dyn Error>> {
        let (script, bodies) = (folder.join("server.py"), folder.join("pages"));
        fs::write(&script, PYTHON)?;
        fs::write(&bodies, pages.join(&b'\n'))?;
        let mut command = Command::new("python3");
        let Ok(mut child) = command.arg(script).arg(bodies).stdout(Stdio::piped()).spawn() else {
            return Ok(None);
        };
        let mut port = String::new();
        let told = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut port));
        let server = Self {
            name: "Python's `http.server`".to_owned(),
            url: format!("http://127.0.0.1:{}", port.trim()),
            python: Some(child),
        };
        match told {
            Some(Ok(read)) if read > 0 => Ok(Some(server)),
            _ => Err("Python's server does not start".into()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.python {
            // What has ended already cannot be ended.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn answer(stream: TcpStream, pages: &[Vec<u8>], wait: Duration) -> std::io::Result<()> {
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
        thread::sleep(wait);
        out.write_all(&[head.as_bytes(), body].concat())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts;

    #[test]
    fn pages_lead_to_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let options = contacts::Options { count: 250, seed: 7, hard: false };
        let files = contacts::write(folder.path(), options).unwrap();
        let pages = pages(&files.jsonl).unwrap();
        let next: Vec<Value> = pages
            .iter()
            .map(|page| serde_json::from_slice::<Value>(page).unwrap()["next"].clone())
            .collect();
        assert_eq!(next, [json!(1), json!(2), json!(null)]);
    }
}
