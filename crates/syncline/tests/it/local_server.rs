//! A server of `examples/servers`: a provider's API on this machine, started for one test, and stopped with it.

use crate::kinto;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server that runs.
pub(crate) struct LocalServer {
    /// Where it is: `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    port: u16,
    process: Child,
}

/// How many requests there were.
#[derive(Debug)]
pub(crate) struct Counts(Value);

impl Counts {
    /// All of them.
    pub(crate) fn all(&self) -> u64 {
        self.0["all"].as_u64().unwrap()
    }

    /// Those that change something.
    pub(crate) fn writes(&self) -> u64 {
        self.0["writes"].as_u64().unwrap()
    }

    /// Those that went wrong on order.
    pub(crate) fn faults(&self) -> u64 {
        self.0["faults"].as_u64().unwrap()
    }

    /// Those of one route, such as `GET /things/{id}`.
    pub(crate) fn of(&self, route: &str) -> u64 {
        self.0["by_route"][route].as_u64().unwrap_or(0)
    }
}

impl LocalServer {
    /// Starts `examples/servers/NAME.py`.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let mut places =
            above.map(|folder| folder.join("examples/servers").join(format!("{name}.py")));
        let script = places.find(|place| place.exists()).expect("the server's file is there");
        let mut process = Command::new("python3")
            .arg(&script)
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|problem| panic!("python3: {problem}; install Python 3.9 or later"));
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("the server starts").to_owned();
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        Self { url, port, process }
    }

    /// Sends a request, and returns the status and the body of the reply.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        kinto::ask(self.port, method, path, &[], body)
    }

    /// Does what a person does at a desk, at `/_control` and `path`; it has to go well.
    #[track_caller]
    pub(crate) fn control(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, reply) = self.ask(method, &format!("/_control{path}"), body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {reply}");
        reply
    }

    /// Makes requests go wrong: `{"every": 10, "kinds": ["error", "lost"]}`.
    pub(crate) fn faults(&self, faults: Value) {
        self.control("POST", "/faults", Some(faults));
    }

    /// Lets the server's clock go on.
    pub(crate) fn advance(&self, seconds: u64) {
        self.control("POST", "/clock", Some(json!({ "advance_s": seconds })));
    }

    /// How many requests there were since this was last asked.
    pub(crate) fn take_counts(&self) -> Counts {
        let counts = self.control("GET", "/requests", None);
        self.control("POST", "/reset", None);
        Counts(counts)
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(|_| ()).unwrap_or_default();
    }
}
