//! A real CardDAV server, Radicale, started for one test in a folder of its own, and stopped with it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// The user whose address books they are, and the password.
pub(crate) const USER: &str = "ada";
pub(crate) const SECRET: &str = "correct horse";

/// `USER:SECRET` as HTTP Basic sends it.
const AUTHORIZATION: &str = "Basic YWRhOmNvcnJlY3QgaG9yc2U=";

/// A server on the loopback interface, with an empty address book `contacts`.
pub(crate) struct Radicale {
    pub(crate) port: u16,
    folder: TempDir,
    process: Option<Child>,
}

impl Radicale {
    /// Sets up a server and starts it.
    pub(crate) fn start() -> Self {
        let mut server = Self { port: 0, folder: tempfile::tempdir().unwrap(), process: None };
        fs::write(server.path("users"), format!("{USER}:{SECRET}\n")).unwrap();
        server.run();
        server.make_book("contacts", "Contacts");
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the server over what is in its folder, on the port that it had, or a free one. One that runs is killed.
    pub(crate) fn run(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        if self.port == 0 {
            self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        }
        let config = format!(
            "[server]\nhosts = 127.0.0.1:{}\n[auth]\ntype = htpasswd\nhtpasswd_filename = {}\n\
             htpasswd_encryption = plain\ndelay = 0\n[logging]\nlevel = info\n[storage]\nfilesystem_folder = {}\n",
            self.port,
            self.path("users").display(),
            self.path("storage").display()
        );
        fs::write(self.path("config"), config).unwrap();
        let debian = Path::new("/usr/bin/radicale");
        let program = if debian.exists() { debian } else { Path::new("radicale") };
        let mut command = Command::new(program);
        command.arg("--config").arg(self.path("config")).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let process = command.spawn();
        let mut process = process.unwrap_or_else(|error| {
            panic!("{command:?}: {error}; `cargo xtask test` installs the servers")
        });
        let log = BufReader::new(process.stderr.take().unwrap());
        self.process = Some(process);
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut said = String::new();
            for line in log.lines().map_while(Result::ok) {
                if line.contains("server ready") {
                    ready.send(Ok(())).unwrap_or_default();
                }
                if said.len() < 10_000 {
                    said.extend([line.as_str(), "\n"]);
                }
            }
            ready.send(Err(said)).unwrap_or_default();
        });
        let start = is_ready.recv_timeout(Duration::from_secs(60)).expect("the server starts");
        start.unwrap_or_else(|said| panic!("{said}"));
    }

    /// Sends the server a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            let mut kill = Command::new("kill");
            kill.arg(format!("-{name}")).arg(process.id().to_string()).status().unwrap();
        }
    }

    /// Makes an empty address book.
    pub(crate) fn make_book(&self, path: &str, name: &str) {
        let body = format!(
            r#"<mkcol xmlns="DAV:"><set><prop><resourcetype><collection/><addressbook
            xmlns="urn:ietf:params:xml:ns:carddav"/></resourcetype><displayname>{name}</displayname></prop></set></mkcol>"#
        );
        let (status, said) =
            self.request("MKCOL", &format!("{USER}/{path}/"), &[], body.as_bytes());
        assert_eq!(status, 201, "{said}");
    }

    /// The server's address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Writes a card, as another client does.
    pub(crate) fn put(&self, name: &str, card: &str) {
        let path = format!("{USER}/contacts/{name}");
        let (status, said) =
            self.request("PUT", &path, &["Content-Type: text/vcard"], card.as_bytes());
        assert!(matches!(status, 201 | 204), "{name}: {status} {said}");
    }

    /// A card as the server has it.
    pub(crate) fn get(&self, name: &str) -> String {
        let (status, card) = self.request("GET", &format!("{USER}/contacts/{name}"), &[], b"");
        assert_eq!(status, 200, "{name}: {card}");
        card
    }

    /// Deletes a card.
    pub(crate) fn delete(&self, name: &str) {
        let (status, said) = self.request("DELETE", &format!("{USER}/contacts/{name}"), &[], b"");
        assert_eq!(status, 200, "{name}: {said}");
    }

    /// The cards, by name, as the server keeps them.
    pub(crate) fn cards(&self) -> Vec<(String, String)> {
        let folder = self.path("storage/collection-root").join(USER).join("contacts");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        let name = |file: &fs::DirEntry| file.file_name().to_string_lossy().into_owned();
        let files = files.filter(|file| !name(file).starts_with('.'));
        let mut cards: Vec<(String, String)> =
            files.map(|file| (name(&file), fs::read_to_string(file.path()).unwrap())).collect();
        cards.sort();
        cards
    }

    /// Sends a request and returns status and body.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> (u16, String) {
        let mut head = format!(
            "{method} /{path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: {AUTHORIZATION}\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        headers.iter().for_each(|header| head.extend([header, "\r\n"]));
        let reply = exchange(self.port, &[head.as_bytes(), b"\r\n", body].concat());
        let text = String::from_utf8(reply).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}

impl Drop for Radicale {
    fn drop(&mut self) {
        self.signal("CONT");
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap_or_default();
            process.wait().map(|_| ()).unwrap_or_default();
        }
    }
}

/// Sends a request to a port of this machine, and reads the reply to its end.
pub(crate) fn exchange(port: u16, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    reply
}
