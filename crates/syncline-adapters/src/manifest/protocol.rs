//! The Airbyte protocol: what a connector prints for `spec`, `check`, `discover` and `read`, a JSON object a
//! line (<https://docs.airbyte.com/platform/understanding-airbyte/airbyte-protocol>).

mod reading;

use super::Manifest;
use super::load::{Declared, Stream};
use super::outline::write_line;
use super::read::{Step, StreamReader};
use super::select::{Each, unreadable};
use super::session::{Clock, Session};
use super::trouble::Trouble;
use serde_json::{Map, Value as Json, json};
use std::io::{self, Write};
use std::sync::Arc;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With all that was asked for.
    Well,
    /// With an error that was printed.
    Badly,
}

/// Prints messages, each at once.
pub struct Printer<W> {
    out: W,
    side_by_side: Option<usize>,
    /// The line of a record in the making.
    line: Vec<u8>,
}

impl<W: Write> Printer<W> {
    /// Prints to `out`.
    pub fn new(out: W) -> Self {
        Self { out, side_by_side: None, line: Vec::new() }
    }

    /// Reads up to `slices` slices at a time, of one stream or of several, whatever the manifest declares.
    #[must_use]
    pub fn side_by_side(self, slices: usize) -> Self {
        Self { side_by_side: Some(slices.max(1)), ..self }
    }

    fn print(&mut self, message: &Json) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, message)?;
        self.out.write_all(b"\n")
    }

    fn log(&mut self, level: &str, message: &str) -> io::Result<()> {
        self.print(&json!({"type": "LOG", "log": {"level": level, "message": message}}))
    }

    fn error(&mut self, clock: Clock, stream: Option<&str>, trouble: &Trouble) -> io::Result<()> {
        let mut error = Map::new();
        error.insert("message".to_owned(), Json::from(trouble.message.as_str()));
        error.insert("failure_type".to_owned(), trouble.kind.protocol_name().into());
        if let Some(name) = stream {
            error.insert("stream_descriptor".to_owned(), json!({ "name": name }));
        }
        let at = clock.now() as f64 / 1e3;
        self.print(
            &json!({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": at, "error": error}}),
        )
    }

    fn status(&mut self, session: &Session, stream: &str, status: &str) -> io::Result<()> {
        let at = session.clock.now() as f64 / 1e3;
        let status = json!({"stream_descriptor": {"name": stream}, "status": status});
        self.print(
            &json!({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": at, "stream_status": status}}),
        )
    }

    /// Prints that the command cannot be done at all.
    ///
    /// # Errors
    ///
    /// When nothing can be written.
    pub fn refuse(&mut self, clock: Clock, trouble: &Trouble) -> io::Result<Ended> {
        self.error(clock, None, trouble)?;
        self.out.flush()?;
        Ok(Ended::Badly)
    }

    /// Prints the specification of the connector's configuration.
    ///
    /// # Errors
    ///
    /// When nothing can be written.
    pub fn spec(&mut self, manifest: &Manifest) -> io::Result<Ended> {
        self.print(&json!({"type": "SPEC", "spec": manifest.spec()}))?;
        self.out.flush()?;
        Ok(Ended::Well)
    }

    /// Reads the first record of each stream that the manifest names for that, and prints whether it can.
    ///
    /// # Errors
    ///
    /// When nothing can be written.
    pub async fn check(
        &mut self,
        manifest: &mut Manifest,
        session: &Arc<Session>,
    ) -> io::Result<Ended> {
        let failed = self.checked(manifest, session).await?.err();
        let status = match failed {
            None => json!({"status": "SUCCEEDED"}),
            Some(message) => json!({"status": "FAILED", "message": session.hide(&message)}),
        };
        self.print(&json!({"type": "CONNECTION_STATUS", "connectionStatus": status}))?;
        self.out.flush()?;
        Ok(Ended::Well)
    }

    /// Tries the streams that the manifest names for that; the message where one cannot be read.
    async fn checked(
        &mut self,
        manifest: &mut Manifest,
        session: &Arc<Session>,
    ) -> io::Result<Result<(), String>> {
        if let Some(config) = manifest.migrated() {
            session.note_config(config);
        }
        self.changed_configs(session)?;
        let check = &manifest.check;
        let known = |name: &String| manifest.streams.iter().any(|stream| stream.name == *name);
        let asks = check.first > 0 || !check.templates.is_empty() || !check.names.iter().all(known);
        let mut found = manifest.allowed();
        if found.is_ok() && asks && manifest.has_templates() {
            found = manifest.expand(session).await;
        }
        if let Err(trouble) = found {
            return Ok(Err(trouble.message));
        }
        let check = &manifest.check;
        let mut names = check.names.clone();
        let mut add = |streams: &mut dyn Iterator<Item = &Declared>, most: usize| {
            names.extend(streams.take(most).map(|stream| stream.name.clone()));
        };
        add(&mut manifest.streams.iter(), if check.only_counts { 0 } else { check.first });
        for (template, most) in &check.templates {
            let made = manifest.streams.iter();
            let mut made = made.filter(|s| s.template.as_ref() == Some(template));
            add(&mut made, most.unwrap_or(usize::MAX));
        }
        if manifest.streams.is_empty() {
            return Ok(Err("there are no streams".to_owned()));
        }
        for name in &names {
            let checked = match manifest.stream(name) {
                Ok(stream) => first_page(session, stream).await,
                Err(trouble) => Err(trouble),
            };
            self.changed_configs(session)?;
            if let Err(trouble) = checked {
                return Ok(Err(format!("stream {name} is not available: {trouble}")));
            }
        }
        Ok(Ok(()))
    }

    /// Prints the streams that can be read; those that cannot are logged, each with the reason.
    ///
    /// # Errors
    ///
    /// When nothing can be written.
    pub async fn discover(
        &mut self,
        manifest: &mut Manifest,
        session: &Arc<Session>,
    ) -> io::Result<Ended> {
        if let Err(trouble) = self.ready(manifest, session).await? {
            return self.refuse(session.clock, &session.hidden(trouble));
        }
        let mut streams = Vec::new();
        for Declared { name, stream, .. } in &manifest.streams {
            let entry = match stream {
                Ok(stream) => catalog_entry(stream, session).await,
                Err(trouble) => Err(trouble.clone()),
            };
            match entry {
                Ok(entry) => streams.push(entry),
                Err(trouble) => self
                    .log("WARN", &session.hide(&format!("stream {name} is left out: {trouble}")))?,
            }
        }
        let first = manifest.streams.iter().find_map(|declared| declared.stream.as_ref().err());
        if let (true, Some(trouble)) = (streams.is_empty(), first) {
            return self.refuse(session.clock, &session.hidden(trouble.clone()));
        }
        self.print(&json!({"type": "CATALOG", "catalog": {"streams": streams}}))?;
        self.out.flush()?;
        Ok(Ended::Well)
    }

    /// Makes ready what a command needs: the configuration is allowed, and all streams are known.
    async fn ready(
        &mut self,
        manifest: &mut Manifest,
        session: &Arc<Session>,
    ) -> io::Result<Result<(), Trouble>> {
        if let Some(config) = manifest.migrated() {
            session.note_config(config);
        }
        self.changed_configs(session)?;
        if let Err(trouble) = manifest.allowed() {
            return Ok(Err(trouble));
        }
        let expanded = manifest.expand(session).await;
        self.changed_configs(session)?;
        Ok(expanded)
    }

    /// The protocol's messages say nothing of fields that are null.
    fn record(
        &mut self,
        at: i64,
        stream: &str,
        record: Each<'_>,
    ) -> io::Result<Result<(), Trouble>> {
        let line = &mut self.line;
        line.clear();
        line.extend_from_slice(br#"{"type":"RECORD","record":{"stream":"#);
        serde_json::to_writer(&mut *line, stream)?;
        line.extend_from_slice(br#","data":"#);
        match record {
            Each::Made(mut data) => {
                data.retain(|_, value| !value.is_null());
                serde_json::to_writer(&mut *line, &data)?;
            }
            Each::AsSent(text) => {
                if let Err(error) = write_line(text, line) {
                    return Ok(Err(unreadable(&error)));
                }
            }
        }
        writeln!(line, r#","emitted_at":{at}}}}}"#)?;
        self.out.write_all(line)?;
        Ok(Ok(()))
    }

    fn state(&mut self, stream: &str, state: Map<String, Json>, count: u64) -> io::Result<()> {
        let state = json!({
            "type": "STREAM",
            "stream": {"stream_descriptor": {"name": stream}, "stream_state": state},
            "sourceStats": {"recordCount": count as f64},
        });
        self.print(&json!({"type": "STATE", "state": state}))
    }

    /// Prints the configurations that came of refreshed tokens: the old ones hold no longer.
    fn changed_configs(&mut self, session: &Session) -> io::Result<()> {
        for config in session.take_changed_configs() {
            let at = session.clock.now() as f64 / 1e3;
            let control = json!({
                "type": "CONNECTOR_CONFIG",
                "emitted_at": at,
                "connectorConfig": {"config": config},
            });
            self.print(&json!({"type": "CONTROL", "control": control}))?;
        }
        self.out.flush()
    }
}

/// Reads the first record of a stream, or the first part of it where that has none.
async fn first_page(session: &Arc<Session>, stream: &Arc<Stream>) -> Result<(), Trouble> {
    let mut reader = StreamReader::new(session, stream, &Map::new()).await?;
    let mut begun = false;
    loop {
        match reader.step().await? {
            Step::Page { records, .. } if records.is_empty() => begun = true,
            Step::SliceFailed(trouble) => return Err(trouble),
            Step::End if !begun => {
                return Err(Trouble::config("it has no parts that could be read"));
            }
            _ => return Ok(()),
        }
    }
}

async fn catalog_entry(stream: &Stream, session: &Arc<Session>) -> Result<Json, Trouble> {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), stream.name.as_str().into());
    entry.insert("json_schema".to_owned(), stream.schema.get(session).await?.clone());
    let mut modes = vec!["full_refresh"];
    if let Some(cursor) = &stream.cursor {
        modes.push("incremental");
        entry.insert("source_defined_cursor".to_owned(), true.into());
        entry.insert("default_cursor_field".to_owned(), json!([cursor.field(session)?]));
    }
    entry.insert("supported_sync_modes".to_owned(), json!(modes));
    entry.insert("is_resumable".to_owned(), stream.cursor.is_some().into());
    if !stream.primary_key.is_empty() {
        let keys: Vec<_> = stream.primary_key.iter().map(|key| vec![key.as_str()]).collect();
        entry.insert("source_defined_primary_key".to_owned(), json!(keys));
    }
    Ok(Json::Object(entry))
}
