//! After reading: what the connection is owed is written, and what became of it is taken up.
//!
//! An intent is stored as sent before its first byte leaves, and durably; a reply is stored with what it means for
//! shard and record. So a run that dies in between leaves a write of which nobody knows whether it arrived: the next
//! run looks it up before it does anything else.

mod observe;
mod resolve;
mod send;

pub(super) use observe::beside;
pub(super) use resolve::{forget_ghosts, resolve};

use super::{Execution, delete};
use crate::event::Event;
use crate::execution::EngineError;
use crate::retry::retry_delay;
use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};
use send::send;
use std::sync::Arc;
use syncline_adapters::write::{WriteCapabilities, Writer};
use syncline_adapters::{Adapter, AdapterError};
use syncline_core::convert::Converter;
use syncline_core::plan::intent::Body;
use syncline_core::plan::news::News;
use syncline_core::plan::rows::{IntentId, IntentKind, IntentRow, IntentState, LinkRow};
use syncline_core::plan::rules::TwoWay;
use syncline_core::plan::writes::Counters;
use syncline_core::record::Page;
use syncline_store::query::{DeadLetterFilter, IntentFilter};

/// How many intents are looked through at a time.
const PAGE: usize = 2000;

/// How often a run goes through what is owed: what is decided anew because a record had changed comes next time.
const ROUNDS_MAX: usize = 20;

/// The way to the system.
pub(super) struct Channel {
    adapter: Arc<dyn Adapter>,
    offers: WriteCapabilities,
}

impl Channel {
    fn writer(&self) -> Result<&dyn Writer, AdapterError> {
        self.adapter.writer().ok_or_else(|| AdapterError::Settings(NO_WRITER.to_owned()))
    }
}

const NO_WRITER: &str = "this kind of connection is only read; `direction: inbound` does that";

/// What a pass over the intents left to do.
#[derive(Default)]
struct Left {
    /// Were surely not executed, and may be sent again.
    again: u64,
    /// How long the system asked to wait, in milliseconds.
    asked_ms: Option<u64>,
    /// Why, of one of them.
    problem: String,
    /// Something was decided anew.
    replanned: bool,
    /// Nobody knows whether they arrived.
    unknown: bool,
    /// The system will not have them: they are tried again by the next run.
    refused: Vec<IntentId>,
}

/// Writes what the connection is owed.
pub(super) async fn run(execution: &mut Execution<'_>) -> Result<(), EngineError> {
    if !execution.sends() || execution.cancelled {
        return Ok(());
    }
    if !is_owed(execution).await? && !execution.letters.of_writes {
        execution.counters.written_unknown = 0;
        return Ok(());
    }
    let deletes = planned_deletes(execution).await?;
    if deletes > 0 && !execution.options.allow_deletes {
        let live = execution.world.store.live_links(execution.entity).await?;
        let is_fused = delete::blows(execution.task.fuse, deletes, live);
        execution.fused = is_fused.then_some((deletes, live));
    }
    let mut channel = None;
    let mut tries: FxHashMap<IntentId, u32> = FxHashMap::default();
    let mut refused = FxHashSet::default();
    for _ in 0..ROUNDS_MAX {
        let left = pass(execution, &mut channel, &mut tries).await?;
        tries.extend(left.refused.iter().map(|id| (*id, u32::MAX)));
        refused.extend(left.refused.iter().copied());
        if left.unknown {
            Box::pin(resolve(execution)).await?;
        }
        if execution.cancelled || execution.options.cancel.is_cancelled() {
            execution.cancelled = true;
            break;
        }
        if left.again > 0 {
            wait(execution, &tries, &left).await;
        } else if !left.replanned && !left.unknown {
            break;
        }
    }
    count_unknown(execution).await?;
    take_stock(execution, &refused).await
}

/// Whether anything is to be written, or was written and nobody knows what became of it.
async fn is_owed(execution: &Execution<'_>) -> Result<bool, EngineError> {
    let states = vec![IntentState::Planned, IntentState::Sent, IntentState::Parked];
    Ok(!first_intents(execution, states, IntentId(0), 1).await?.is_empty())
}

/// Finds out what was tried, and is still owed. Of the letters about writes those stay that tell of such a one, or of
/// one that waits for a person, the latest of each.
async fn take_stock(
    execution: &mut Execution<'_>,
    refused: &FxHashSet<IntentId>,
) -> Result<(), EngineError> {
    let (mut owed, mut after) = (FxHashMap::default(), IntentId(0));
    loop {
        let states = vec![IntentState::Planned, IntentState::Parked];
        let page = intents(execution, states, after).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let is_last = page.len() < PAGE;
        let page = page.into_iter();
        owed.extend(page.filter_map(|of| Some((of.id, (of.state, of.problem?)))));
        if is_last {
            break;
        }
    }
    let is_unsent = |(id, (state, _)): &(&IntentId, &(IntentState, String))| {
        *state == IntentState::Planned && !refused.contains(id)
    };
    let mut unsent = owed.iter().filter(is_unsent);
    if let Some((_, (_, problem))) = unsent.next() {
        execution.unsent = Some((1 + unsent.count() as u64, problem.clone()));
    }
    execution.parked =
        owed.values().filter(|(state, _)| *state == IntentState::Parked).count() as u64;
    let filter = DeadLetterFilter {
        task: Some(execution.name.clone()),
        limit: usize::MAX,
        ..DeadLetterFilter::default()
    };
    let letters = execution.world.store.dead_letters(filter).await?;
    let (mut over, mut latest) = (Vec::new(), FxHashMap::default());
    for row in &letters {
        let Some(intent) = row.letter.intent() else { continue };
        if !owed.contains_key(&intent) {
            over.push(row.id);
        } else if let Some(older) = latest.insert(intent, row.id) {
            over.push(older);
        }
    }
    if !over.is_empty() {
        execution.world.store.replayed(over, execution.begun.execution).await?;
    }
    Ok(())
}

/// Goes through what is planned once, in the order in which it was decided.
async fn pass(
    execution: &mut Execution<'_>,
    channel: &mut Option<Channel>,
    tries: &mut FxHashMap<IntentId, u32>,
) -> Result<Left, EngineError> {
    let (mut left, mut after) = (Left::default(), IntentId(0));
    let (mut before, decided) = (None, execution.counters.intents_planned);
    loop {
        let planned = intents(execution, vec![IntentState::Planned], after).await?;
        let Some(last) = planned.last().map(|intent| intent.id) else { break };
        after = last;
        let first_new = match before {
            Some(first_new) => first_new,
            None => *before.insert(next_intent(execution).await?),
        };
        let is_fused = execution.fused.is_some();
        let only = execution.options.only.as_deref();
        let is_meant = |intent: &IntentRow| {
            only.is_none_or(|only| {
                let body = Body::from_json(&intent.body);
                only.contains(&body.fingerprint(intent.entity, intent.kind))
            })
        };
        let may = |intent: &IntentRow| {
            let tried = tries.get(&intent.id).copied().unwrap_or(0);
            let is_held = is_fused && intent.kind == IntentKind::Delete;
            intent.id < first_new
                && tried <= execution.task.retry.max_attempts
                && !is_held
                && is_meant(intent)
        };
        let wanted: Vec<IntentRow> = planned.into_iter().filter(|i| may(i)).collect();
        if wanted.is_empty() {
            continue;
        }
        for intent in &wanted {
            *tries.entry(intent.id).or_default() += 1;
        }
        if channel.is_none() {
            *channel = Some(execution.channel().await?);
        }
        let Some(channel) = channel.as_ref() else { break };
        for batch in wanted.chunks(channel.offers.batch_max.max(1)) {
            Box::pin(send(execution, channel, batch.to_vec(), &mut left)).await?;
            if execution.options.cancel.is_cancelled() || execution.cancelled {
                execution.cancelled = true;
                return Ok(left);
            }
        }
    }
    left.replanned |= execution.counters.intents_planned > decided;
    Ok(left)
}

/// Waits before what was surely not executed is sent again.
async fn wait(execution: &Execution<'_>, tries: &FxHashMap<IntentId, u32>, left: &Left) {
    let attempt = tries.values().copied().max().unwrap_or(1);
    let Some(delay) = retry_delay(&execution.task.retry, attempt, 0.0, left.asked_ms) else {
        return;
    };
    execution.emit(|| Event::RetryAttempt {
        task_id: execution.name.clone(),
        attempt,
        records_retried: left.again,
        records_succeeded: 0,
        records_failed: 0,
        error: execution.world.scrub(&left.problem),
        delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
    });
    execution.clock.sleep(delay).await;
}

async fn planned_deletes(execution: &Execution<'_>) -> Result<u64, EngineError> {
    let (mut deletes, mut after) = (0, IntentId(0));
    loop {
        let page = intents(execution, vec![IntentState::Planned], after).await?;
        deletes += page.iter().filter(|intent| intent.kind == IntentKind::Delete).count() as u64;
        match page.last() {
            Some(last) if page.len() == PAGE => after = last.id,
            _ => return Ok(deletes),
        }
    }
}

/// A number that is greater than those of all open intents of the entity.
async fn next_intent(execution: &Execution<'_>) -> Result<IntentId, EngineError> {
    let need = syncline_core::plan::view::Need {
        agreed: vec![syncline_core::plan::rows::LinkId(0)],
        ..Default::default()
    };
    Ok(IntentId(execution.world.store.read(need).await?.next_intent))
}

async fn intents(
    execution: &Execution<'_>,
    states: Vec<IntentState>,
    after: IntentId,
) -> Result<Vec<IntentRow>, EngineError> {
    first_intents(execution, states, after, PAGE).await
}

async fn first_intents(
    execution: &Execution<'_>,
    states: Vec<IntentState>,
    after: IntentId,
    limit: usize,
) -> Result<Vec<IntentRow>, EngineError> {
    let filter = IntentFilter {
        entity: Some(execution.entity),
        states,
        after,
        limit,
        ..IntentFilter::default()
    };
    Ok(execution.world.store.intents(filter).await?)
}

/// Enters in the ledger what nobody knows the end of.
async fn count_unknown(execution: &mut Execution<'_>) -> Result<(), EngineError> {
    let open = vec![IntentState::Sent, IntentState::Parked];
    let unknown = intents(execution, open, IntentId(0)).await?.len() as u64;
    // How things stand, not how often: an execution that goes on may have counted before.
    execution.counters.written_unknown = 0;
    if unknown > 0 {
        let counters = Counters { written_unknown: unknown, ..Counters::default() };
        execution.commit_beside(&counters, Box::default()).await?;
    }
    Ok(())
}

impl Execution<'_> {
    fn two_way(&self) -> Option<&TwoWay> {
        let rules = self.world.rules.entities.get(&self.entity)?;
        rules.two_way.as_ref().filter(|two_way| two_way.outbound.is_some())
    }

    /// Whether the task writes to its connection.
    pub(super) fn writes(&self) -> bool {
        self.two_way().is_some()
    }

    /// Whether it does so in this run.
    pub(super) fn sends(&self) -> bool {
        self.writes() && !self.options.hold
    }

    fn converter(&self) -> Result<&Converter, EngineError> {
        self.world.converter(self.entity).ok_or(EngineError::Broken("writing"))
    }

    /// What a plan is told beside the records of a page.
    pub(super) fn told(&self, page: &Page) -> News {
        if self.world.rules.types.iter().all(|rules| rules.written_to.is_empty()) {
            return News::default();
        }
        let mut news = News { now: self.clock.now(), ..self.news.clone() };
        self.add_versions(page, &mut news);
        news
    }

    fn add_versions(&self, page: &Page, news: &mut News) {
        let Ok(converter) = self.converter() else { return };
        let versions = converter.versions(page);
        if versions.is_empty() {
            return;
        }
        let ids = converter.external_ids(page);
        let known = ids.into_iter().zip(versions);
        news.versions
            .extend(known.filter_map(|(id, version)| Some(((self.entity, id?), version?))));
    }

    /// Of records that a listing left out, those that are not there when they are asked for by key.
    pub(super) async fn truly_gone(
        &self,
        missing: Vec<LinkRow>,
    ) -> Result<Vec<LinkRow>, EngineError> {
        if missing.is_empty() || (self.full && !self.writes()) {
            return Ok(missing);
        }
        let connection = &self.world.config.connections[&self.task.connection];
        let adapter = (self.world.open_adapter)(connection, &self.world.base)?;
        // Who cannot be asked said nothing, unless everything was read.
        let Some(writer) = adapter.writer() else { return Ok(Vec::new()) };
        let converter = self.converter()?;
        let asked_max = match self.writes() {
            true => writer.capabilities(&self.task.entity).await?.batch_max.max(1),
            false => PAGE,
        };
        let mut gone = Vec::with_capacity(missing.len());
        for chunk in missing.chunks(asked_max) {
            let keys = chunk.iter().filter_map(|link| converter.key_of(&link.external_id));
            let page = writer.get(&self.task.entity, keys.collect()).await?;
            let there: Vec<Option<CompactString>> = converter.external_ids(&page);
            let is_there = |link: &LinkRow| there.contains(&Some(link.external_id.clone()));
            // One that cannot be asked for was not found missing.
            let is_asked = |link: &LinkRow| converter.key_of(&link.external_id).is_some();
            gone.extend(chunk.iter().filter(|link| is_asked(link) && !is_there(link)).cloned());
        }
        Ok(gone)
    }

    async fn channel(&self) -> Result<Channel, EngineError> {
        let connection = &self.world.config.connections[&self.task.connection];
        let adapter = (self.world.open_adapter)(connection, &self.world.base)?;
        let writer = adapter.writer();
        let writer = writer.ok_or_else(|| AdapterError::Settings(NO_WRITER.to_owned()))?;
        let offers = writer.capabilities(&self.task.entity).await?;
        Ok(Channel { adapter, offers })
    }
}
