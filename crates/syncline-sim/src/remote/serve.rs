//! A remote as the engine sees it.

use super::{Happens, Held, Remote};
use crate::bug::Bug;
use crate::mix::LOOK_BACK_S;
use crate::trace::tell;
use compact_str::CompactString;
use futures_util::future::BoxFuture;
use syncline_adapters::write::{Change, Replies, Write, WriteCapabilities, Writer, Written};
use syncline_adapters::{
    Adapter, AdapterError, Capabilities, DiscoveredEntity, ReadEnd, ReadRequest,
};
use syncline_core::record::Page;
use syncline_core::value::Value;
use syncline_engine::Clock;
use tokio::sync::mpsc;

fn unavailable(what: &str) -> AdapterError {
    AdapterError::Unavailable {
        what: what.to_owned(),
        problem: "simulated".to_owned(),
        retry_after_ms: None,
    }
}

impl Adapter for Remote {
    fn capabilities(&self) -> Capabilities {
        Capabilities { resumes: false, lists_all: true, reading_costs_calls: true }
    }

    fn check<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), AdapterError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn discover<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<DiscoveredEntity, AdapterError>> {
        Box::pin(std::future::ready(Ok(DiscoveredEntity::default())))
    }

    fn read<'a>(
        &'a self,
        request: ReadRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'a, Result<ReadEnd, AdapterError>> {
        Box::pin(async move {
            if request.cursor.is_none() {
                self.crash.point().await;
            }
            // All is read before anything is handed over: what happens meanwhile must not hang on how fast the other
            // side is.
            let since = request.changed_since.map(|since| match self.bug {
                Bug::ForgetsLookBack => since.at_least + LOOK_BACK_S * 1_000_000 + 1,
                _ => since.at_least,
            });
            let (listed, whole) = self.listing(request.page_len, since);
            for page in listed {
                if pages.send(page).await.is_err() {
                    return Ok(ReadEnd::default());
                }
            }
            if !whole {
                return Err(unavailable(&self.name));
            }
            Ok(ReadEnd {
                complete: true,
                cursor: Value::Null.to_json().into(),
                ..ReadEnd::default()
            })
        })
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

impl Writer for Remote {
    fn capabilities<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<WriteCapabilities, AdapterError>> {
        let traits = self.traits;
        Box::pin(std::future::ready(Ok(WriteCapabilities {
            create: traits.create,
            update: traits.update,
            deletes: true,
            batch_max: traits.batch_max,
            lands_within_ms: traits.lands_within_ms,
            found_within_ms: traits.found_within_ms,
            granularity_us: traits.granularity_us,
        })))
    }

    fn write<'a>(&'a self, _: &'a str, writes: Vec<Write>) -> BoxFuture<'a, Replies> {
        Box::pin(async move {
            let happens = self.called().await;
            let mut written: Vec<Written> =
                writes.iter().map(|write| self.answer(write, &happens)).collect();
            for (write, reply) in writes.iter().zip(&written) {
                tell(|| format!("{}: {write:?} -> {reply:?}", self.name));
            }
            let mut shown = Vec::new();
            if self.traits.shows {
                let state = self.state();
                for reply in &mut written {
                    let Written::Done { key, record } = reply else { continue };
                    let id = key.join("|");
                    // What a repeated creation made may be gone by now.
                    if state.records.contains_key(&id) {
                        *record = Some(shown.len());
                        shown.push(id);
                    }
                }
                if happens == Happens::Swapped {
                    shown.reverse();
                }
            }
            let records = self.page(shown);
            self.crash.point().await;
            Replies { written, records }
        })
    }

    fn get<'a>(
        &'a self,
        _: &'a str,
        keys: Vec<Vec<CompactString>>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move {
            if self.called().await == Happens::Unanswered || self.trouble() {
                return Err(unavailable(&self.name));
            }
            self.ask(&keys);
            if self.bug == Bug::BelievesListings {
                return Ok(self.page(keys.iter().map(|key| key.join("|")).filter(|_| false)));
            }
            Ok(self.page(keys.iter().map(|key| key.join("|"))))
        })
    }

    fn find<'a>(
        &'a self,
        _: &'a str,
        writes: Vec<Write>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        Box::pin(async move {
            if self.called().await == Happens::Unanswered || self.trouble() {
                return Err(unavailable(&self.name));
            }
            if self.bug == Bug::RetriesBlindly {
                return Ok(Page::default());
            }
            let now = self.clock.now();
            let lag = i64::try_from(self.traits.found_within_ms).unwrap_or(0) * 1000;
            let found: Vec<String> = {
                let state = self.state();
                let wanted = |id: &String, held: &Held| {
                    writes.iter().any(|write| {
                        let own = match &write.change {
                            Change::Create { fields } => fields.iter().any(|(name, value)| {
                                let is_own = name == "id" && value.to_plain() == id.as_str();
                                let is_taken = self.traits.merges.is_some_and(|of| of == *name)
                                    && held.fields.get(name.as_str()) == Some(value);
                                is_own || is_taken
                            }),
                            _ => false,
                        };
                        let is_visible = held.created + lag <= now;
                        own || (is_visible && held.marker.as_deref() == Some(&*write.marker))
                    })
                };
                state
                    .records
                    .iter()
                    .filter(|(id, held)| wanted(id, held))
                    .map(|(id, _)| id.clone())
                    .collect()
            };
            Ok(self.page(found))
        })
    }
}
