//! `read`: streams side by side, the messages of each in their order.

use super::super::Manifest;
use super::super::incremental::NO_CURSOR_STATE;
use super::super::load::Stream;
use super::super::read::{Step, StreamReader};
use super::super::session::Session;
use super::super::trouble::{FailureKind, Trouble};
use super::{Ended, Printer};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as Turn, Semaphore};

/// One stream of a catalog while it is read.
struct Reading<'a, W> {
    printer: &'a Mutex<&'a mut Printer<W>>,
    session: &'a Arc<Session>,
    stream: &'a Arc<Stream>,
    /// The slots for slices, of this stream and of the others.
    slots: &'a Arc<Semaphore>,
}

impl<W: Write> Printer<W> {
    /// Reads the streams of a configured catalog, from the states of an earlier read. A stream that fails
    /// does not keep the others from being read.
    ///
    /// # Errors
    ///
    /// When nothing can be written.
    pub async fn read(
        &mut self,
        manifest: &mut Manifest,
        session: &Arc<Session>,
        catalog: &Json,
        states: &Json,
    ) -> io::Result<Ended> {
        if let Err(trouble) = self.ready(manifest, session).await? {
            return self.refuse(session.clock, &session.hidden(trouble));
        }
        let mut ready = Vec::new();
        for entry in catalog.get("streams").and_then(Json::as_array).into_iter().flatten() {
            let Some(name) = entry.pointer("/stream/name").and_then(Json::as_str) else { continue };
            session.select(name, entry.pointer("/stream/json_schema").unwrap_or(&Json::Null));
            match manifest.stream(name) {
                Ok(stream) => ready.push(stream),
                // Said before anything is read.
                Err(trouble) => return self.refuse(session.clock, &trouble),
            }
        }
        let most = self.side_by_side.unwrap_or(manifest.side_by_side);
        let slots = Arc::new(Semaphore::new(most));
        let mut groups = BTreeMap::<usize, Turn<()>>::new();
        for group in ready.iter().flat_map(|stream| manifest.groups_of(stream)) {
            groups.entry(group).or_default();
        }
        let printer = Mutex::new(&mut *self);
        let mut reads = FuturesUnordered::new();
        for (index, stream) in ready.into_iter().enumerate() {
            let reading = Reading { printer: &printer, session, stream, slots: &slots };
            let (own, state) = (manifest.groups_of(stream), state_of(states, &stream.name));
            let turns = own.into_iter().filter_map(|group| groups.get(&group));
            reads.push(async move {
                let mut held = Vec::new();
                // In the order of their numbers, so that no two wait for each other.
                for turn in turns {
                    held.push(turn.lock().await);
                }
                let _slot = reading.slots.acquire().await;
                Ok::<_, io::Error>((index, stream, reading.whole(&state).await?))
            });
        }
        let mut failed = BTreeMap::new();
        while let Some(read) = reads.next().await {
            if let (index, stream, Some(trouble)) = read? {
                failed.insert(index, format!("{}: {trouble}", stream.name));
            }
        }
        drop(reads);
        if failed.is_empty() {
            return Ok(Ended::Well);
        }
        let failed: Vec<String> = failed.into_values().collect();
        let message =
            format!("these streams could not be read to their end: {}", failed.join("; "));
        self.refuse(session.clock, &session.hidden(Trouble { kind: FailureKind::Config, message }))
    }
}

impl<'a, W: Write> Reading<'a, W> {
    /// What is printed goes out before anything is waited for.
    fn printer(&self) -> MutexGuard<'_, &'a mut Printer<W>> {
        self.printer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads it, and prints how that began and ended.
    async fn whole(&self, state: &Map<String, Json>) -> io::Result<Option<Trouble>> {
        let status = |status: &str| {
            let mut printer = self.printer();
            printer.status(self.session, &self.stream.name, status)?;
            printer.out.flush()
        };
        status("STARTED")?;
        let failed = self.records(state).await?;
        status(if failed.is_none() { "COMPLETE" } else { "INCOMPLETE" })?;
        Ok(failed)
    }

    /// Reads it; what could not be read is printed, and the last of it is what this answers with.
    async fn records(&self, state: &Map<String, Json>) -> io::Result<Option<Trouble>> {
        let Self { session, stream, .. } = self;
        let told = |printer: &mut Printer<W>, trouble: &Trouble| {
            printer.error(session.clock, Some(&stream.name), &session.hidden(trouble.clone()))
        };
        let mut reader = match StreamReader::new(session, stream, state).await {
            Ok(reader) => reader.side_by_side(self.slots),
            Err(trouble) => {
                let mut printer = self.printer();
                told(&mut printer, &trouble)?;
                if stream.cursor.is_none() {
                    let none = Map::from_iter([(NO_CURSOR_STATE.to_owned(), true.into())]);
                    printer.state(&stream.name, none, 0)?;
                }
                return Ok(Some(trouble));
            }
        };
        let (mut count, mut running, mut failed) = (0_u64, false, None);
        loop {
            let step = reader.step().await;
            let mut printer = self.printer();
            printer.changed_configs(session)?;
            match step {
                Ok(Step::Page { mut records, .. }) => {
                    if !records.is_empty() && !running {
                        running = true;
                        printer.status(session, &stream.name, "RUNNING")?;
                    }
                    count += records.len() as u64;
                    let at = session.clock.now() / 1_000;
                    for record in records.each() {
                        if let Err(trouble) = printer.record(at, &stream.name, record)? {
                            told(&mut printer, &trouble)?;
                            printer.state(&stream.name, reader.state(), count)?;
                            return Ok(Some(trouble));
                        }
                    }
                }
                Ok(Step::SliceDone { doubt }) => {
                    if let Some(doubt) = doubt {
                        printer.log("WARN", &format!("stream {}: {doubt}", stream.name))?;
                    }
                    if stream.cursor.is_some() && stream.router.is_none() {
                        let count = std::mem::take(&mut count);
                        printer.state(&stream.name, reader.state(), count)?;
                    }
                }
                Ok(Step::SliceFailed(trouble)) => {
                    told(&mut printer, &trouble)?;
                    failed = Some(trouble);
                }
                Ok(Step::End) => {
                    printer.state(&stream.name, reader.state(), count)?;
                    return Ok(failed);
                }
                Err(trouble) => {
                    told(&mut printer, &trouble)?;
                    printer.state(&stream.name, reader.state(), count)?;
                    return Ok(Some(trouble));
                }
            }
            printer.out.flush()?;
        }
    }
}

/// The state of one stream in a list of state messages.
fn state_of(states: &Json, name: &str) -> Map<String, Json> {
    let messages = states.as_array().into_iter().flatten();
    let mut found = Map::new();
    for message in messages {
        let message = message.get("state").unwrap_or(message);
        let stream = message.get("stream").unwrap_or(&Json::Null);
        let is_this =
            stream.pointer("/stream_descriptor/name").and_then(Json::as_str) == Some(name);
        if let (true, Some(state)) = (is_this, stream.get("stream_state").and_then(Json::as_object))
        {
            found = state.clone();
        }
    }
    found
}
