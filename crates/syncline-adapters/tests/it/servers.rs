//! Real database servers, each started for one test in a folder of its own, and stopped with it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// The password of the user `admin`, who may do everything.
pub(crate) const PASSWORD: &str = "correct horse";

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    MariaDb,
}

/// A server on the loopback interface, with an empty database `it`.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    /// Whether what is committed survives the machine, too; else it is quicker.
    pub(crate) is_durable: bool,
    /// Whether PostgreSQL logs what logical replication needs.
    pub(crate) logs_rows: bool,
    folder: TempDir,
    process: Option<Process>,
}

/// A server that runs.
struct Process {
    child: Child,
    /// Reads what it says, until the last of its processes has ended.
    log: JoinHandle<()>,
}

/// A user of this machine.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

impl Server {
    /// Sets up a server and starts it.
    pub(crate) fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server =
            Self { kind, port: 0, is_durable: false, logs_rows: true, folder, process: None };
        if let Some(owner) = server.owner() {
            chown(server.folder.path(), Some(owner.user), Some(owner.group)).unwrap();
        }
        match kind {
            Kind::Postgres => {
                let password = server.path("password");
                fs::write(&password, PASSWORD).unwrap();
                let mut setup = server.command("initdb");
                setup.args([
                    "-U",
                    "admin",
                    "-A",
                    "scram-sha-256",
                    "-E",
                    "UTF8",
                    "--locale=C",
                    "-N",
                ]);
                setup.arg("--pwfile").arg(&password).arg("-D").arg(server.path("data"));
                done(setup);
            }
            Kind::MariaDb => {
                let mut setup = server.command("mariadb-install-db");
                setup.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
                setup.arg(format!("--datadir={}", server.path("data").display()));
                done(setup);
            }
        }
        server.run();
        match kind {
            Kind::Postgres => server.sql_in("postgres", "CREATE DATABASE it"),
            Kind::MariaDb => {
                let mut client = Command::new("mariadb");
                client.args(["--no-defaults", "-u", "root", "-S"]).arg(server.path("socket"));
                client.arg("-e").arg(format!(
                    "CREATE DATABASE it; CREATE USER admin@localhost IDENTIFIED BY '{PASSWORD}'; \
                     GRANT ALL ON *.* TO admin@localhost WITH GRANT OPTION; DROP DATABASE test"
                ));
                done(client)
            }
        };
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Servers refuse to run as root, and want to own their folder.
    fn owner(&self) -> Option<Owner> {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let is_root = fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let name = match self.kind {
            Kind::Postgres => "postgres",
            Kind::MariaDb => "mysql",
        };
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).filter_map(|number| number.parse().ok());
        let owner = Owner { user: numbers.next()?, group: numbers.next()? };
        is_root.then_some(owner)
    }

    /// A program of the server, run as its owner.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(found(program));
        if let Some(owner) = self.owner() {
            command.uid(owner.user).gid(owner.group);
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Starts the server over what is in its folder, on the port that it had, or a free one.
    pub(crate) fn run(&mut self) {
        let mut command = match self.kind {
            Kind::Postgres => self.command("postgres"),
            Kind::MariaDb => self.command("mariadbd"),
        };
        if self.port == 0 {
            self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        }
        match self.kind {
            Kind::Postgres => {
                command.arg("-D").arg(self.path("data")).arg("-k").arg(self.folder.path());
                command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
                command.args(["-c", if self.is_durable { "fsync=on" } else { "fsync=off" }]);
                let level = if self.logs_rows { "logical" } else { "replica" };
                command.args(["-c", &format!("wal_level={level}")]);
            }
            Kind::MariaDb => {
                command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin"]);
                command
                    .args(["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M"]);
                command.arg(format!("--port={}", self.port));
                for (option, name) in
                    [("datadir", "data"), ("socket", "socket"), ("pid-file", "pid"), ("tmpdir", "")]
                {
                    command.arg(format!("--{option}={}", self.path(name).display()));
                }
            }
        }
        if self.path("server.crt").exists() {
            let (crt, key) = (self.path("server.crt"), self.path("server.key"));
            let (crt, key) = (crt.display(), key.display());
            match self.kind {
                Kind::Postgres => {
                    command.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={crt}")]);
                    command.args(["-c", &format!("ssl_key_file={key}")]);
                }
                Kind::MariaDb => {
                    command.args([format!("--ssl-cert={crt}"), format!("--ssl-key={key}")]);
                }
            }
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (ready, is_ready) = mpsc::channel();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            for line in said.lines().map_while(Result::ok) {
                if line.contains("ready to accept connections")
                    || line.contains("ready for connections")
                {
                    ready.send(Ok(())).unwrap_or_default();
                }
                if text.len() < 10_000 {
                    text.extend([line.as_str(), "\n"]);
                }
            }
            ready.send(Err(text)).unwrap_or_default();
        });
        self.process = Some(Process { child, log });
        let started = is_ready.recv_timeout(Duration::from_secs(60)).expect("the server starts");
        started.unwrap_or_else(|said| panic!("{said}"));
    }

    /// Makes a certificate for this machine, which also is its own authority, and returns where it is. A server that
    /// starts beside one named `server` offers encryption.
    pub(crate) fn certify(&self, name: &str) -> PathBuf {
        let config = self.path("openssl.cnf");
        fs::write(
            &config,
            "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = more\n[name]\nCN = localhost\n\
             [more]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1, DNS:localhost\n",
        )
        .unwrap();
        let mut openssl = self.command("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config"]);
        openssl.arg(config).arg("-keyout").arg(self.path(&format!("{name}.key")));
        let certificate = self.path(&format!("{name}.crt"));
        openssl.arg("-out").arg(&certificate);
        done(openssl);
        certificate
    }

    /// Ends the server as a crash of the machine does: its sessions, which PostgreSQL serves by processes of their own,
    /// do not outlive it.
    pub(crate) fn kill(&mut self) {
        let Some(Process { mut child, log }) = self.process.take() else { return };
        let id = child.id();
        let sessions = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        if !sessions.is_empty() {
            // One that has ended by itself since is no error.
            let mut kill = Command::new("kill");
            kill.arg("-KILL").args(sessions.split_whitespace()).stderr(Stdio::null());
            kill.status().unwrap();
        }
        log.join().unwrap();
    }

    /// Sends the server a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        if let Some(Process { child, .. }) = &self.process {
            let mut kill = Command::new("kill");
            done_quietly(kill.arg(format!("-{name}")).arg(child.id().to_string()));
        }
    }

    /// Runs a script as `admin` and returns what it printed: a line for each row, with `|` between columns.
    pub(crate) fn sql(&self, script: &str) -> String {
        self.sql_in("it", script)
    }

    /// The same in another database.
    pub(crate) fn sql_in(&self, database: &str, script: &str) -> String {
        let mut running = self.client(database).spawn().unwrap();
        running.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = running.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{script}: {said}");
        let printed = String::from_utf8(output.stdout).unwrap();
        printed.trim_end().replace('\t', "|")
    }

    /// A client of a database, that runs as `admin` what it is sent.
    pub(crate) fn client(&self, database: &str) -> Command {
        let port = self.port.to_string();
        let mut client = match self.kind {
            Kind::Postgres => {
                let mut client = Command::new(found("psql"));
                client.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]);
                client.args(["-p", &port, "-U", "admin", "-d", database, "-f", "-"]);
                client.env("PGPASSWORD", PASSWORD);
                client
            }
            Kind::MariaDb => {
                let mut client = Command::new("mariadb");
                client.args(["--no-defaults", "--default-character-set=utf8mb4", "-N", "-B", "-r"]);
                client.args(["-h", "127.0.0.1", "-P", &port, "-u", "admin", "-D", database]);
                client.env("MYSQL_PWD", PASSWORD);
                client
            }
        };
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is told to end takes its own processes with it.
        self.signal("CONT");
        self.signal("INT");
        if self.kind == Kind::MariaDb {
            self.signal("TERM");
        }
        if let Some(Process { mut child, .. }) = self.process.take() {
            child.wait().map(|_| ()).unwrap_or_default();
        }
    }
}

/// Debian keeps PostgreSQL's programs where no search path looks.
fn found(program: &str) -> PathBuf {
    let mut places: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(program)))
        .chain(["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(program)))
        .filter(|path| path.exists())
        .collect();
    places.sort_unstable();
    places.pop().unwrap_or_else(|| PathBuf::from(program))
}

fn done(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `cargo xtask test` installs the servers")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn done_quietly(command: &mut Command) {
    command.stderr(Stdio::null()).status().map(|_| ()).unwrap_or_default();
}
