//! Reads one stream: the program's records become pages, its states their cursors.

use super::batch::Batch;
use super::catalog::Chosen;
use super::message::{Failure, Message, Status};
use super::process::{CONFIG_FILE, Files, Line, Process};
use super::settings::names_credential;
use super::{Dialect, SubprocessAdapter, airbyte};
use crate::page::PageBuilder;
use crate::{AdapterError, ReadEnd, ReadRequest, object};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::ffi::OsString;
use std::process::ExitStatus;
use std::sync::Arc;
use syncline_core::record::{Cursor, Page};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// So many lines without a message are no output of a library any more.
const NOISE_LINES_MAX: u64 = 10_000;

/// How much of a line that is no message is shown.
const NOISE_CHARS: usize = 80;

/// Where a read stands: the program's own state, after which it gives some records again rather than none.
#[derive(Default, Serialize, Deserialize)]
struct At {
    state: Option<Json>,
}

/// What a read has come to.
struct Reading<'a> {
    adapter: &'a SubprocessAdapter,
    chosen: &'a Chosen,
    page: PageBuilder,
    state: Option<Json>,
    /// The configuration in the file that the program was given.
    config: Option<Json>,
    /// Whether anything was said in the protocol.
    spoke: bool,
    /// Whether something was said of this stream.
    begun: bool,
    records: u64,
    status: Option<Status>,
    failure: Option<Failure>,
    /// The first line that is no message, and how many there were since the last one that is.
    noise: Option<String>,
    noise_lines: u64,
}

/// What is to be done after a line.
enum Next {
    /// Read on.
    More,
    /// Read on; what was said is a message.
    Spoke,
    /// Read these files, then on.
    Files(Batch),
    /// Keep this configuration, then read on.
    Config(Json),
    /// Give up.
    Stop(String),
}

impl SubprocessAdapter {
    pub(super) async fn run(
        &self,
        request: ReadRequest,
        pages: mpsc::Sender<Page>,
    ) -> Result<ReadEnd, AdapterError> {
        let chosen = self.choose(&request.entity).await?;
        let at: At = match &request.cursor {
            Some(cursor) if !cursor.is_null() => {
                serde_json::from_value(cursor.clone()).map_err(|_| {
                    AdapterError::Settings("the cursor is not one of this connection".to_owned())
                })?
            }
            _ => At::default(),
        };
        let restarted = request.cursor.is_some() && at.state.is_none();
        let files = Files::new()?;
        let arguments = self.read_arguments(&chosen, at.state.as_ref(), &files)?;
        // Before it is started, since it may rewrite its file at once.
        let given = files.config();
        let mut process = Process::start(&self.settings, &request.entity, &arguments, files)?;
        let mut page = PageBuilder::new(request.changed_since);
        page.set_source(&Arc::from(chosen.stream.as_str()));
        let mut reading = Reading {
            adapter: self,
            chosen: &chosen,
            page,
            state: at.state,
            config: given,
            spoke: false,
            begun: false,
            records: 0,
            status: None,
            failure: None,
            noise: None,
            noise_lines: 0,
        };
        let ended = reading.pump(&mut process, request.page_len, &pages).await;
        // What was read is committed before an error is told.
        let is_wanted = match ended {
            Ok(false) => false,
            _ => reading.send(&pages).await,
        };
        if !is_wanted {
            process.stop().await;
            reading.keep_rewritten(&process).await?;
            return Ok(ReadEnd { cursor: reading.cursor(), restarted, ..ReadEnd::default() });
        }
        if let Err(error) = ended {
            process.stop().await;
            reading.keep_rewritten(&process).await?;
            return Err(error);
        }
        let status = process.end().await;
        reading.keep_rewritten(&process).await?;
        let status = status?;
        let incomplete_because = reading.verdict(&mut process, status).await?;
        let complete = incomplete_because.is_none();
        if complete && !chosen.goes_on {
            reading.state = None;
        }
        let cursor = reading.cursor();
        Ok(ReadEnd {
            complete,
            incomplete_because,
            restarted,
            listed_all: false,
            remark: None,
            cursor,
        })
    }

    fn read_arguments(
        &self,
        chosen: &Chosen,
        state: Option<&Json>,
        files: &Files,
    ) -> Result<Vec<OsString>, AdapterError> {
        let mut arguments = Vec::new();
        let mut name = |option: &str, path: std::path::PathBuf| {
            arguments.extend([OsString::from(option), path.into()]);
        };
        let catalog = files.put("catalog.json", &chosen.catalog)?;
        match self.settings.dialect {
            Dialect::Singer => {
                name("--config", files.put(CONFIG_FILE, &self.config()?)?);
                name(
                    if self.settings.takes_properties { "--properties" } else { "--catalog" },
                    catalog,
                );
            }
            Dialect::Airbyte => name("--catalog", catalog),
        }
        if let Some(state) = state {
            name("--state", files.put("state.json", state)?);
        }
        Ok(match self.settings.dialect {
            Dialect::Singer => arguments,
            Dialect::Airbyte => {
                let mut all = self.airbyte_arguments("read", files)?;
                all.extend(arguments);
                all
            }
        })
    }
}

impl Reading<'_> {
    /// Reads to the end of the output. False where nobody wants more of it.
    async fn pump(
        &mut self,
        process: &mut Process<'_>,
        page_len: usize,
        pages: &mpsc::Sender<Page>,
    ) -> Result<bool, AdapterError> {
        let settings = &self.adapter.settings;
        let (mut patience, mut since) = (settings.start, Instant::now());
        loop {
            let line = process.line(since + patience, patience).await?;
            match self.take(line, process) {
                Next::Spoke => {
                    if self.page.len() >= page_len {
                        self.keep_rewritten(process).await?;
                        if !self.send(pages).await {
                            return Ok(false);
                        }
                    }
                    // Only now, so that waiting for the receiver is no silence of the program.
                    (patience, since) = (settings.silence, Instant::now());
                }
                Next::Files(batch) => match self.read_files(batch, page_len, pages).await {
                    Ok(true) => (patience, since) = (settings.silence, Instant::now()),
                    Ok(false) => return Ok(false),
                    Err(problem) => {
                        process.stop().await;
                        return Err(process.refused(&problem).await);
                    }
                },
                Next::Config(config) => self.adapter.keep(&config).await?,
                Next::More if line == Line::End => return Ok(true),
                Next::More => {}
                Next::Stop(problem) => {
                    process.stop().await;
                    return Err(process.refused(&problem).await);
                }
            }
        }
    }

    fn take(&mut self, line: Line, process: &Process<'_>) -> Next {
        let (text, number) = (process.text(), process.line_number());
        match line {
            Line::End => Next::More,
            Line::Long => {
                let max = self.adapter.settings.line_bytes_max;
                let problem = format!("the line is longer than {max} bytes (`line_bytes_max`)");
                self.page.reject(number, text, problem);
                Next::Spoke
            }
            Line::Whole | Line::Torn => match self.adapter.settings.dialect.parse(text) {
                Ok(Some(message)) => {
                    self.spoke = true;
                    self.noise_lines = 0;
                    match message {
                        Message::Files(stream, files) if stream == self.chosen.stream => {
                            self.begun = true;
                            files.map_or_else(Next::Stop, Next::Files)
                        }
                        Message::Config(config) => self.changed(config),
                        message => {
                            self.hear(message, number);
                            Next::Spoke
                        }
                    }
                }
                // How the program ended tells more, and a later read gives it whole.
                Err(_) if line == Line::Torn => Next::More,
                Err(error) => {
                    self.page.reject(number, text, object::shorten(&error));
                    Next::Spoke
                }
                Ok(None) => self.pass(text),
            },
        }
    }

    /// Passes over a line that is no message.
    fn pass(&mut self, text: &[u8]) -> Next {
        if self.noise.is_none() {
            let text = String::from_utf8_lossy(text);
            self.noise = Some(text.trim().chars().take(NOISE_CHARS).collect());
        }
        self.noise_lines += 1;
        if self.noise_lines < NOISE_LINES_MAX {
            return Next::More;
        }
        Next::Stop(format!("prints line after line that is no {}", self.rubbish()))
    }

    fn rubbish(&self) -> String {
        let first = self.noise.as_deref().unwrap_or_default();
        let protocol = self.adapter.settings.dialect.name();
        format!("message of the {protocol} protocol; the first is `{first}`")
    }

    fn hear(&mut self, message: Message<'_>, line: u64) {
        let chosen = self.chosen;
        match message {
            Message::Record { stream, namespace, data } => {
                let is_its =
                    namespace.is_none() || namespace == chosen.namespace.as_deref().map(Into::into);
                if stream == chosen.stream && is_its {
                    self.begun = true;
                    self.record(data.get().as_bytes(), line);
                }
            }
            Message::State(state) => {
                self.state = Some(match self.adapter.settings.dialect {
                    Dialect::Singer => state,
                    Dialect::Airbyte => airbyte::fold(self.state.take(), state),
                });
            }
            Message::Begins(stream) => self.begun |= stream == chosen.stream,
            Message::Status { stream, status } if stream == chosen.stream => {
                self.begun = true;
                self.status = Some(status);
            }
            Message::Failure(failure) => {
                let is_its = |said: &Failure| said.stream.as_ref() == Some(&chosen.stream);
                // A failure of this stream says more than the summary that follows.
                if !self.failure.as_ref().is_some_and(is_its) {
                    self.failure = Some(failure);
                }
            }
            _ => {}
        }
    }

    /// What is to be done where the program says that it changed its configuration.
    fn changed(&self, config: Json) -> Next {
        let adapter = self.adapter;
        if adapter.kept.is_none() && credentials_changed(&adapter.settings.config, &config) {
            let problem = "replaced a credential of its configuration, such as a refresh token that can be used once, \
                and there is no place to keep it in";
            return Next::Stop(problem.to_owned());
        }
        Next::Config(config)
    }

    /// Keeps the configuration where the program wrote another one into the file that it was given.
    async fn keep_rewritten(&mut self, process: &Process<'_>) -> Result<(), AdapterError> {
        let rewritten = match self.adapter.settings.dialect {
            Dialect::Singer => process.config(),
            // Such a source says so.
            Dialect::Airbyte => None,
        };
        if let Some(rewritten) = rewritten.filter(|config| self.config.as_ref() != Some(config)) {
            self.adapter.keep(&rewritten).await?;
            self.config = Some(rewritten);
        }
        Ok(())
    }

    fn record(&mut self, json: &[u8], line: u64) {
        self.records += 1;
        match object::cells(json, &mut self.page.shape) {
            Ok(cells) => self.page.push(cells, line),
            Err(problem) => self.page.reject(line, json, problem),
        }
    }

    /// Reads the records of files. False where nobody wants more of them.
    async fn read_files(
        &mut self,
        batch: Batch,
        page_len: usize,
        pages: &mpsc::Sender<Page>,
    ) -> Result<bool, String> {
        let mut lines = batch.lines(self.adapter.settings.line_bytes_max);
        while let Some(some) = lines.recv().await {
            for line in some? {
                self.record(&line.text, line.number);
                if self.page.len() >= page_len && !self.send(pages).await {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn cursor(&self) -> Cursor {
        serde_json::to_value(At { state: self.state.clone() }).unwrap_or_default()
    }

    /// Sends what was read since the last page; the state stands behind all of it. False where nobody wants it.
    async fn send(&mut self, pages: &mpsc::Sender<Page>) -> bool {
        if self.page.len() == 0 {
            return !pages.is_closed();
        }
        let cursor = self.cursor();
        pages.send(self.page.take(cursor, None)).await.is_ok()
    }

    /// Whether the stream was read to its end: `None`, or why not.
    async fn verdict(
        &mut self,
        process: &mut Process<'_>,
        status: ExitStatus,
    ) -> Result<Option<String>, AdapterError> {
        if let Some(Failure { is_transient, message, .. }) = self.failure.take() {
            let problem = format!("failed: {message}");
            return Err(match is_transient {
                true => process.unavailable(&problem).await,
                false => process.refused(&problem).await,
            });
        }
        if !status.success() {
            let records = self.records;
            let problem = format!("ended with {status} after {records} records of the stream");
            // A program that was killed, or had begun, can do better another time; one that never began was told
            // something wrong.
            return Err(match self.begun || status.code().is_none() {
                true => process.unavailable(&problem).await,
                false => process.refused(&problem).await,
            });
        }
        if !self.spoke {
            return Err(match &self.noise {
                Some(_) => process.refused(&format!("printed no {}", self.rubbish())).await,
                None => process.refused("ended without a single message").await,
            });
        }
        let name = self.adapter.settings.name();
        let stream = &self.chosen.stream;
        Ok(match (self.adapter.settings.dialect, self.status) {
            // Sources that know no status end badly where something is missing.
            (Dialect::Airbyte, None | Some(Status::Complete)) => None,
            (Dialect::Airbyte, Some(Status::Incomplete)) => {
                Some(format!("`{name}` says that it could not read stream {stream} to its end"))
            }
            (Dialect::Airbyte, Some(Status::Running)) => {
                Some(format!("`{name}` ended without saying that stream {stream} is complete"))
            }
            (Dialect::Singer, _) if self.begun => None,
            (Dialect::Singer, _) => Some(format!("`{name}` said nothing of stream {stream}")),
        })
    }
}

/// Whether a credential of `old` is another one in `new`.
fn credentials_changed(old: &Json, new: &Json) -> bool {
    fn changed(old: &Json, new: &Json, named: bool) -> bool {
        match (old, new) {
            (Json::Object(old), Json::Object(new)) => old.iter().any(|(name, value)| {
                let is_credential = named || names_credential(name);
                new.get(name).is_some_and(|new| changed(value, new, is_credential))
            }),
            (old, new) => named && old != new,
        }
    }
    changed(old, new, false)
}
