//! Records that were named: they are read by their keys, as they are now.

use super::Execution;
use crate::execution::{EngineError, Trigger};
use crate::world::World;
use compact_str::CompactString;
use rustc_hash::FxHashSet;
use std::sync::{Arc, Mutex, PoisonError};
use syncline_adapters::AdapterError;
use syncline_adapters::write::Writer;
use syncline_core::plan::rows::{EntityId, LinkId};
use syncline_core::record::{Page, Rejected};
use syncline_store::execution::ExecutionRow;

/// After so many refusals in a row, a record that is surely there is asked for: it may not be the records that are
/// refused.
const REFUSALS_MAX: usize = 3;

/// So many of a task's last executions are looked through for deletions.
const EXECUTIONS_MAX: usize = 10_000;

/// A record that was named.
type Wanted = (CompactString, Vec<CompactString>);

/// The records that an execution is about, where they were named.
pub(super) struct Named {
    world: Arc<World>,
    entity: EntityId,
    /// External ids, with the values of the keys.
    wanted: Vec<Wanted>,
    /// Those that have not as many parts as the key of the entity.
    nameless: Vec<CompactString>,
    /// What could not be read: nobody knows whether it is there.
    unread: Mutex<FxHashSet<CompactString>>,
}

/// How a read of named records goes on.
pub(super) struct Reading<'a> {
    named: &'a Named,
    entity: &'a str,
    /// What is still to be read, in parts; the next one last.
    parts: Vec<&'a [Wanted]>,
    /// What was refused since something was last answered.
    refused: Vec<(&'a CompactString, AdapterError)>,
    rejected: Vec<Rejected>,
}

/// What is read next.
pub(super) enum Next {
    /// Records that there are.
    Page(Page),
    /// A part did not do: it is read in smaller ones.
    Again,
    /// That was all.
    Over(Page),
}

impl Named {
    /// # Errors
    ///
    /// Where the entity's records are not converted.
    pub(super) fn new(
        world: &Arc<World>,
        entity: EntityId,
        external_ids: Vec<CompactString>,
    ) -> Result<Self, EngineError> {
        let converter = world.converter(entity).ok_or(EngineError::Broken("reading"))?;
        let (mut wanted, mut nameless) = (Vec::new(), Vec::new());
        for id in external_ids {
            match converter.key_of(&id) {
                Some(key) => wanted.push((id, key)),
                None => nameless.push(id),
            }
        }
        Ok(Self { world: world.clone(), entity, wanted, nameless, unread: Mutex::default() })
    }

    /// The key of a record that is linked here, where there is one.
    async fn linked(&self) -> Option<Vec<CompactString>> {
        let links = self.world.store.entity_links(self.entity, LinkId(0), 1).await;
        let link = links.ok()?.pop()?;
        self.world.converter(self.entity)?.key_of(&link.external_id)
    }

    /// Those of which it is known whether they are there.
    pub(super) fn read(&self) -> Vec<CompactString> {
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = self.wanted.iter().map(|(id, _)| id);
        ids.filter(|id| !unread.contains(*id)).cloned().collect()
    }
}

impl<'a> Reading<'a> {
    /// Reads at most `page_len` at a time.
    pub(super) fn new(named: &'a Named, entity: &'a str, page_len: usize) -> Self {
        let parts = named.wanted.chunks(page_len.max(1)).rev().collect();
        let (refused, rejected) = (Vec::new(), Vec::new());
        let mut reading = Self { named, entity, parts, refused, rejected };
        for id in &named.nameless {
            reading.reject(id, "it has not as many parts as the key of its entity".to_owned());
        }
        reading
    }

    /// Reads the next part. One that is refused is read in halves, until it is known which records are.
    ///
    /// # Errors
    ///
    /// When the system cannot be asked at all. After an error that may pass, the same is asked again.
    pub(super) async fn next(&mut self, writer: &dyn Writer) -> Result<Next, AdapterError> {
        let is_over = self.parts.is_empty();
        if self.refused.len() >= REFUSALS_MAX || (is_over && !self.refused.is_empty()) {
            self.probe(writer).await?;
            return Ok(Next::Again);
        }
        let Some(&part) = self.parts.last() else {
            let rejected = std::mem::take(&mut self.rejected);
            return Ok(Next::Over(Page { rejected, ..Page::default() }));
        };
        let keys = part.iter().map(|(_, key)| key.clone()).collect();
        match (writer.get(self.entity, keys).await, part) {
            (Ok(mut page), [(id, _)]) => {
                for rejected in page.rejected.drain(..) {
                    self.reject(id, rejected.problem);
                }
                Ok(self.answered(page))
            }
            (Ok(page), _) if page.rejected.is_empty() => Ok(self.answered(page)),
            (Err(error @ AdapterError::Refused { .. }), [(id, _)]) => {
                self.parts.pop();
                self.refused.push((id, error));
                Ok(Next::Again)
            }
            (Ok(_) | Err(AdapterError::Refused { .. }), _) => {
                self.parts.pop();
                let (first, second) = part.split_at(part.len() / 2);
                self.parts.extend([second, first]);
                Ok(Next::Again)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn answered(&mut self, page: Page) -> Next {
        self.parts.pop();
        self.believe();
        Next::Page(page)
    }

    /// Whoever refuses everything may have taken our rights away, which says nothing of a record: so one that is linked here
    /// is asked for.
    async fn probe(&mut self, writer: &dyn Writer) -> Result<(), AdapterError> {
        let answer = match self.named.linked().await {
            Some(key) => Some(writer.get(self.entity, vec![key]).await),
            None => None,
        };
        match answer {
            Some(Ok(_)) => self.believe(),
            Some(Err(error)) if error.is_transient() => return Err(error),
            _ => {
                if let Some((_, refusal)) = self.refused.pop() {
                    return Err(refusal);
                }
            }
        }
        Ok(())
    }

    /// The system answers: what it refused is refused.
    fn believe(&mut self) {
        for (id, error) in std::mem::take(&mut self.refused) {
            self.reject(id, error.to_string());
        }
    }

    fn reject(&mut self, external_id: &CompactString, problem: String) {
        // Its place is all that tells one such letter from another.
        let source = format!("{} {external_id}", self.entity);
        let payload = external_id.to_string();
        self.rejected.push(Rejected { source, line: 0, payload, problem });
        let mut unread = self.named.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.insert(external_id.clone());
    }
}

/// How many records were deleted because messages had named them and they were not there, since the task last ran for
/// another reason: then all that was missing was held against the fuse.
pub(super) async fn deleted_lately(execution: &Execution<'_>) -> Result<u64, EngineError> {
    let rows = execution.world.store.executions(Some(&execution.name), EXECUTIONS_MAX).await?;
    let is_other =
        |row: &&ExecutionRow| row.trigger != Trigger::Webhook.as_str() && row.status == "success";
    let lately = rows.iter().take_while(|row| !is_other(row));
    let lately = lately.filter(|row| row.trigger == Trigger::Webhook.as_str());
    Ok(lately.map(|row| row.checkpoint.counters.deleted).sum())
}
