//! A program that runs: its lines, what it says beside them, its time-outs, its end.

use super::settings::Settings;
use super::stderr::{self, Tail};
use crate::AdapterError;
use serde_json::Value as Json;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a program may take to end once it was told to, or once it has closed its output.
const END: Duration = Duration::from_secs(10);

/// How long something else may hold the output open after the program itself has ended.
const LEFT_OPEN: Duration = Duration::from_secs(5);

/// How much of an over-long line is kept.
const HEAD_BYTES: usize = crate::page::PAYLOAD_BYTES_MAX;

/// The name of the file with the configuration.
pub(super) const CONFIG_FILE: &str = "config.json";

/// How much is read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// The variables that a program gets of Syncline's own: those that say where things are, none that holds a secret.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
];

/// Files that only this user can read, gone with the value.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Result<Self, AdapterError> {
        tempfile::Builder::new()
            .prefix("syncline-")
            .tempdir()
            .map(Self)
            .map_err(|error| unwritable(&error))
    }

    /// Writes `content` as the file `name`, and returns where it is.
    pub(super) fn put(&self, name: &str, content: &Json) -> Result<PathBuf, AdapterError> {
        let path = self.0.path().join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(&path)
            .and_then(|mut file| file.write_all(content.to_string().as_bytes()))
            .map_err(|error| unwritable(&error))?;
        Ok(path)
    }

    /// The configuration as it stands in its file, which some programs rewrite. `None` where that is none, or only half
    /// written.
    pub(super) fn config(&self) -> Option<Json> {
        let text = std::fs::read(self.0.path().join(CONFIG_FILE)).ok()?;
        serde_json::from_slice(&text).ok().filter(Json::is_object)
    }
}

fn unwritable(error: &io::Error) -> AdapterError {
    AdapterError::Settings(format!("cannot write the files that the program is given: {error}"))
}

/// The processes of a program, which end with this value.
struct Group {
    id: Option<u32>,
}

impl Group {
    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        let id = self.id.and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
            // A group that has no processes any more is what is wanted.
            rustix::process::kill_process_group(id, signal).unwrap_or_default();
        }
    }

    fn ask_to_end(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::TERM);
    }

    fn kill(&mut self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::KILL);
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What stands next on a program's standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, which [`Process::text`] has without its line feed.
    Whole,
    /// The output ended in the middle of this line.
    Torn,
    /// A line that is longer than what is held; [`Process::text`] has how it begins.
    Long,
    /// The output ended.
    End,
}

/// A program that runs.
pub(super) struct Process<'a> {
    settings: &'a Settings,
    /// What is read, for messages.
    what: &'a str,
    child: Child,
    group: Group,
    out: BufReader<ChildStdout>,
    tail: Tail,
    buffer: Vec<u8>,
    /// Whether what is in the buffer was given out.
    taken: bool,
    /// Whether the line that is being read is longer than what is held.
    long: bool,
    exited: bool,
    until: Instant,
    lines: u64,
    files: Files,
}

impl<'a> Process<'a> {
    /// Starts the program with `arguments`, to read `what`.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] where the program is not there or may not be run.
    pub(super) fn start(
        settings: &'a Settings,
        what: &'a str,
        arguments: &[OsString],
        files: Files,
    ) -> Result<Self, AdapterError> {
        let mut command = Command::new(&settings.program);
        command.args(&settings.arguments).args(arguments).current_dir(&settings.base);
        command.env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(settings.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| not_started(settings, &error))?;
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(AdapterError::Settings("the program has no output".to_owned()));
        };
        Ok(Self {
            settings,
            what,
            group: Group { id: child.id() },
            child,
            out: BufReader::with_capacity(CHUNK_BYTES, out),
            tail: Tail::of(err),
            buffer: Vec::new(),
            taken: false,
            long: false,
            exited: false,
            until: Instant::now() + settings.whole,
            lines: 0,
            files,
        })
    }

    /// The configuration in the file that the program was given.
    pub(super) fn config(&self) -> Option<Json> {
        self.files.config()
    }

    /// The line that was read last.
    pub(super) fn text(&self) -> &[u8] {
        &self.buffer
    }

    /// Its number, from 1.
    pub(super) fn line_number(&self) -> u64 {
        self.lines
    }

    /// Reads the next line, which has to be there at `silent_at`. `patience` is what that was made of.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Unavailable`] where it is not.
    pub(super) async fn line(
        &mut self,
        silent_at: Instant,
        patience: Duration,
    ) -> Result<Line, AdapterError> {
        loop {
            let until = if self.exited { Instant::now() + LEFT_OPEN } else { silent_at };
            let until = until.min(self.until);
            let waited = tokio::select! {
                biased;
                line = timeout_at(until, next(&mut self.out, &mut self.buffer, &mut self.taken, &mut self.long, self.settings.line_bytes_max)) => Some(line),
                _ = self.child.wait(), if !self.exited => None,
            };
            match waited {
                None => self.exited = true,
                Some(Ok(Ok(line))) => {
                    self.lines += u64::from(line != Line::End);
                    return Ok(line);
                }
                Some(Ok(Err(error))) => {
                    return Err(self
                        .unavailable(&format!("its output cannot be read: {error}"))
                        .await);
                }
                // What is left of it is ended with its group.
                Some(Err(_)) if self.exited && Instant::now() < self.until => return Ok(Line::End),
                Some(Err(_)) => {
                    let (seconds, setting) = if Instant::now() >= self.until {
                        (self.settings.whole.as_secs(), "timeout_s")
                    } else if patience == self.settings.start && self.lines == 0 {
                        (patience.as_secs(), "start_timeout_s")
                    } else {
                        (patience.as_secs(), "silence_timeout_s")
                    };
                    let what = match setting {
                        "timeout_s" => format!("took longer than {seconds} s"),
                        _ => format!("gave no message within {seconds} s"),
                    };
                    self.stop().await;
                    return Err(self
                        .unavailable(&format!("{what} (`{setting}`), and was ended"))
                        .await);
                }
            }
        }
    }

    /// Waits for the program's end after its last line, and ends whatever is left of its group.
    pub(super) async fn end(&mut self) -> Result<ExitStatus, AdapterError> {
        let status = timeout(END, self.child.wait()).await;
        self.group.kill();
        match status {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => {
                Err(self.unavailable(&format!("cannot be waited for: {error}")).await)
            }
            Err(_) => {
                let seconds = END.as_secs();
                let problem =
                    format!("closed its output, did not end within {seconds} s, and was killed");
                Err(self.unavailable(&problem).await)
            }
        }
    }

    /// Tells the program to end, and ends it.
    pub(super) async fn stop(&mut self) {
        self.group.ask_to_end();
        // It is killed next, however this ends.
        drop(timeout(END, self.child.wait()).await);
        self.group.kill();
    }

    /// An error that trying again can mend, with what the program said.
    pub(super) async fn unavailable(&mut self, problem: &str) -> AdapterError {
        let problem = self.explained(problem).await;
        AdapterError::Unavailable { what: self.what.to_owned(), problem, retry_after_ms: None }
    }

    /// An error that is final, with what the program said.
    pub(super) async fn refused(&mut self, problem: &str) -> AdapterError {
        let problem = self.explained(problem).await;
        AdapterError::Refused { what: self.what.to_owned(), problem }
    }

    async fn explained(&mut self, problem: &str) -> String {
        let name = self.settings.name();
        let problem = self.settings.scrub(problem);
        let said = self.tail.text().await;
        // A secret is found before anything is cut.
        match stderr::shown(&self.settings.scrub(&said)) {
            "" => format!("`{name}` {problem}"),
            said => format!("`{name}` {problem}; it said: {said}"),
        }
    }
}

fn not_started(settings: &Settings, error: &io::Error) -> AdapterError {
    let program = settings.program.display();
    let is_name = settings.program.components().count() == 1;
    AdapterError::Settings(match error.kind() {
        io::ErrorKind::NotFound if !settings.base.is_dir() => {
            format!("the folder {} is not there", settings.base.display())
        }
        io::ErrorKind::NotFound if is_name => format!(
            "the command `{program}` is not there: no folder of the search path (PATH) has it; install it, or give its path in `command`"
        ),
        io::ErrorKind::NotFound => format!(
            "the command `{program}` is not there, or the interpreter that its first line names is not"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("the command `{program}` may not be run: it is not executable for this user")
        }
        _ => format!("the command `{program}` cannot be run: {error}"),
    })
}

/// Reads a line into `buffer`. What was read stays there when the reading is given up, and the next call goes on.
async fn next(
    out: &mut BufReader<ChildStdout>,
    buffer: &mut Vec<u8>,
    taken: &mut bool,
    long: &mut bool,
    bytes_max: usize,
) -> io::Result<Line> {
    if std::mem::take(taken) {
        buffer.clear();
        *long = false;
    }
    loop {
        let chunk = out.fill_buf().await?;
        let feed = memchr::memchr(b'\n', chunk);
        let len = feed.unwrap_or(chunk.len());
        let is_end = chunk.is_empty();
        if !*long && buffer.len() + len > bytes_max {
            *long = true;
            buffer.extend_from_slice(&chunk[..len.min(HEAD_BYTES.saturating_sub(buffer.len()))]);
            buffer.truncate(HEAD_BYTES);
            buffer.shrink_to_fit();
        } else if !*long {
            buffer.extend_from_slice(&chunk[..len]);
        }
        out.consume(len + usize::from(feed.is_some()));
        if feed.is_some() || is_end {
            *taken = true;
            return Ok(match (*long, is_end) {
                (true, _) => Line::Long,
                (false, false) => Line::Whole,
                (false, true) if buffer.is_empty() => Line::End,
                (false, true) => Line::Torn,
            });
        }
    }
}
