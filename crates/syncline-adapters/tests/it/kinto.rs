//! A Kinto server, and a proxy that loses replies: started for one test, and stopped with it.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tempfile::TempDir;

/// `token:secret`, as a basic `Authorization` has it.
const CREDENTIALS: &str = "Basic dG9rZW46c2VjcmV0";

/// The memory of the server is its store: it is gone with the process.
const SETTINGS: &str = "
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = PORT
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.userid_hmac_secret = tests
kinto.bucket_create_principals = system.Authenticated
kinto.paginate_by = 20
multiauth.policies = basicauth
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = INFO
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = %(message)s
";

/// A server on the loopback interface, with an empty collection `people` in the bucket `it`.
pub(crate) struct Kinto {
    pub(crate) port: u16,
    process: Child,
    _folder: TempDir,
}

/// The program, which `cargo xtask test` installs.
fn program() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let places = above.map(|folder| folder.join("target/tools/kinto/bin/kinto"));
    places.filter(|place| place.exists()).last().unwrap_or_else(|| PathBuf::from("kinto"))
}

impl Kinto {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = folder.path().join("kinto.ini");
        fs::write(&settings, SETTINGS.replace("PORT", &port.to_string())).unwrap();
        let mut process = Command::new(program())
            .args(["start", "--ini"])
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|problem| {
                panic!("{}: {problem}; `cargo xtask test` installs it", program().display())
            });
        let log = BufReader::new(process.stderr.take().unwrap());
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if line.contains("Serving on") {
                    ready.send(()).unwrap_or_default();
                }
            }
        });
        is_ready.recv_timeout(Duration::from_secs(60)).expect("the server starts");
        let server = Self { port, process, _folder: folder };
        for path in ["/buckets/it", "/buckets/it/collections/people"] {
            assert_eq!(server.ask("PUT", path, &[], None).0, 201);
        }
        server
    }

    /// Sends a request, and returns the status and the body of the reply.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (u16, Value) {
        let known = [("Authorization", CREDENTIALS)];
        let headers: Vec<_> = known.iter().chain(headers).copied().collect();
        ask(self.port, method, &format!("/v1{path}"), &headers, body)
    }

    /// Sends a request about a record.
    pub(crate) fn record(&self, method: &str, id: &str, body: Option<Value>) -> (u16, Value) {
        self.ask(method, &format!("/buckets/it/collections/people/records/{id}"), &[], body)
    }

    /// Makes or replaces a record, and returns its version.
    pub(crate) fn put(&self, id: &str, data: Value) -> i64 {
        let (status, reply) = self.record("PUT", id, Some(serde_json::json!({ "data": data })));
        assert!(status == 200 || status == 201, "{reply}");
        reply["data"]["last_modified"].as_i64().unwrap()
    }

    /// The records that are there, in the order of their ids.
    pub(crate) fn all(&self) -> Vec<Value> {
        let path = "/buckets/it/collections/people/records?_sort=id&_limit=1000";
        let (status, reply) = self.ask("GET", path, &[], None);
        assert_eq!(status, 200, "{reply}");
        reply["data"].as_array().unwrap().clone()
    }
}

/// Sends a request to a server on this machine, and returns the status and the body of the reply.
pub(crate) fn ask(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> (u16, Value) {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

impl Drop for Kinto {
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(|_| ()).unwrap_or_default();
    }
}

/// Hands requests on, and counts those that change something; so many of their replies are lost.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    losing: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (losing, writes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (lost, counted) = (losing.clone(), writes.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (lost, counted) = (lost.clone(), counted.clone());
                // A client or a server that goes away is no reason to stop.
                std::thread::spawn(move || {
                    pass(stream, target, &lost, &counted).unwrap_or_default()
                });
            }
        });
        Self { port, losing, writes }
    }

    /// Loses the next `count` replies to requests that change something.
    pub(crate) fn lose(&self, count: usize) {
        self.losing.store(count, Ordering::Relaxed);
    }

    /// The writes since this was last asked: single requests, and those within batches.
    pub(crate) fn take_writes(&self) -> usize {
        self.writes.swap(0, Ordering::Relaxed)
    }
}

fn pass(
    client: TcpStream,
    target: u16,
    losing: &AtomicUsize,
    writes: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or((line.as_str(), ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "connection" => continue,
            _ => {}
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_get = |method: &str| method == "GET" || method == "HEAD";
    let count = match parsed["requests"].as_array() {
        Some(requests) => {
            requests.iter().filter(|one| !is_get(one["method"].as_str().unwrap())).count()
        }
        None => usize::from(!is_get(head.split(' ').next().unwrap())),
    };
    writes.fetch_add(count, Ordering::Relaxed);
    let mut server = TcpStream::connect(("127.0.0.1", target))?;
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut reply = Vec::new();
    server.read_to_end(&mut reply)?;
    let loses = |left: usize| left.checked_sub(1);
    if count > 0 && losing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, loses).is_ok() {
        return Ok(());
    }
    reader.into_inner().write_all(&reply)
}
