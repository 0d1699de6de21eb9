//! Records that were named: they are read by their keys, as they are now.

use super::Execution;
use crate::execution::{EngineError, Trigger};
use crate::world::World;
use compact_str::CompactString;
use rustc_hash::FxHashSet;
use std::sync::{Mutex, PoisonError};
use syncline_adapters::AdapterError;
use syncline_adapters::write::Writer;
use syncline_core::plan::rows::EntityId;
use syncline_core::record::{Page, Rejected};

/// After so many refusals without a single answer, it is not the records that are refused.
const REFUSALS_MAX: usize = 3;

/// For so long, deletions of named records are counted together: messages bring them a few at a time.
const TOGETHER_US: i64 = 3_600_000_000;

/// So many of a task's last executions are looked through for them.
const EXECUTIONS_MAX: usize = 1000;

/// A record that was named.
type Wanted = (CompactString, Vec<CompactString>);

/// The records that an execution is about, where they were named.
pub(super) struct Named {
    /// External ids, with the values of the keys.
    pub(super) wanted: Vec<Wanted>,
    /// What could not be read: nobody knows whether it is there.
    unread: Mutex<FxHashSet<CompactString>>,
}

/// How a read of named records goes on.
pub(super) struct Reading<'a> {
    named: &'a Named,
    /// What is still to be read, in parts; the next one last.
    parts: Vec<&'a [Wanted]>,
    is_answered: bool,
    rejected: Vec<Rejected>,
    /// Why the last one was refused.
    refusal: Option<AdapterError>,
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
    /// Where one names no record of the entity.
    pub(super) fn new(
        world: &World,
        entity: EntityId,
        external_ids: Vec<CompactString>,
    ) -> Result<Self, EngineError> {
        let rules = world.rules.entities.get(&entity);
        let conversion = rules.and_then(|rules| rules.conversion.as_ref());
        let converter = &conversion.ok_or(EngineError::Broken("reading"))?.converter;
        let wanted = external_ids.into_iter().map(|id| match converter.key_of(&id) {
            Some(key) => Ok((id, key)),
            None => Err(AdapterError::Settings(format!(
                "`{id}` names no record: it has not as many parts as the key of its entity"
            ))),
        });
        Ok(Self { wanted: wanted.collect::<Result<_, _>>()?, unread: Mutex::default() })
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
    pub(super) fn new(named: &'a Named, page_len: usize) -> Self {
        let parts = named.wanted.chunks(page_len.max(1)).rev().collect();
        Self { named, parts, is_answered: false, rejected: Vec::new(), refusal: None }
    }

    /// Reads the next part. One that is refused is read in halves, until it is known which records are.
    ///
    /// # Errors
    ///
    /// When the system cannot be asked at all. After an error that may pass, the same part comes again.
    pub(super) async fn next(
        &mut self,
        writer: &dyn Writer,
        entity: &str,
    ) -> Result<Next, AdapterError> {
        let Some(&part) = self.parts.last() else { return self.end() };
        let keys = part.iter().map(|(_, key)| key.clone()).collect();
        match (writer.get(entity, keys).await, part) {
            (Ok(mut page), [one]) => {
                self.is_answered = true;
                self.parts.pop();
                if !page.rejected.is_empty() {
                    self.cannot_read(&one.0);
                    self.rejected.append(&mut page.rejected);
                }
                Ok(Next::Page(page))
            }
            (Ok(page), _) if page.rejected.is_empty() => {
                self.is_answered = true;
                self.parts.pop();
                Ok(Next::Page(page))
            }
            (Err(error @ AdapterError::Refused { .. }), [one]) => {
                self.parts.pop();
                self.cannot_read(&one.0);
                self.rejected.push(Rejected {
                    source: entity.to_owned(),
                    line: 0,
                    payload: one.0.to_string(),
                    problem: error.to_string(),
                });
                self.refusal = Some(error);
                if !self.is_answered && self.rejected.len() >= REFUSALS_MAX {
                    self.parts.clear();
                }
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

    fn end(&mut self) -> Result<Next, AdapterError> {
        match self.refusal.take() {
            // Whoever refuses everything may have taken our rights away: that says nothing of a record.
            Some(refusal) if !self.is_answered => Err(refusal),
            _ => {
                let rejected = std::mem::take(&mut self.rejected);
                Ok(Next::Over(Page { rejected, ..Page::default() }))
            }
        }
    }

    fn cannot_read(&self, external_id: &CompactString) {
        let mut unread = self.named.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.insert(external_id.clone());
    }
}

/// How many records were deleted lately because messages had named them and they were not there.
pub(super) async fn deleted_lately(execution: &Execution<'_>) -> Result<u64, EngineError> {
    let since = execution.moment.started - TOGETHER_US;
    let rows = execution.world.store.executions(Some(&execution.name), EXECUTIONS_MAX).await?;
    let lately = rows.iter().take_while(|row| row.started >= since);
    let lately = lately.filter(|row| row.trigger == Trigger::Webhook.as_str());
    Ok(lately.map(|row| row.checkpoint.counters.deleted).sum())
}
