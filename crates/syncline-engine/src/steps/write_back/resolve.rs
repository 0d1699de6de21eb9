//! Writes of which nobody knows whether they arrived are looked up, before anything is repeated.
//!
//! What may be done then depends on what the system promises: see [`CreateGuard`] and [`UpdateGuard`]. A write that
//! may still be on its way is waited for, counted from the last time that it was sent.

use super::super::Execution;
use super::observe::{Observed, commit};
use super::send::{Done, Shown, send, sent_cells, state, write_of};
use super::{Channel, Left, intents};
use crate::execution::EngineError;
use std::time::Duration;
use syncline_adapters::write::{CreateGuard, UpdateGuard};
use syncline_core::plan::intent::Body;
use syncline_core::plan::news::Ack;
use syncline_core::plan::rows::{IntentId, IntentKind, IntentRow, IntentState, LinkRow};
use syncline_core::plan::view::Need;
use syncline_core::record::Page;
use syncline_core::value::Cell;

/// Looks up every write of which nobody knows the end.
pub(in super::super) async fn resolve(execution: &mut Execution<'_>) -> Result<(), EngineError> {
    if !execution.sends() {
        return Ok(());
    }
    forget_ghosts(execution).await?;
    let mut channel = None;
    let mut after = IntentId(0);
    loop {
        let sent = intents(execution, vec![IntentState::Sent], after).await?;
        let Some(last) = sent.last().map(|intent| intent.id) else { return Ok(()) };
        after = last;
        if channel.is_none() {
            channel = Some(execution.channel().await?);
        }
        let Some(channel) = channel.as_ref() else { return Ok(()) };
        for intent in sent {
            let outcome = match intent.kind {
                IntentKind::Create => create(execution, channel, intent).await,
                IntentKind::Update | IntentKind::Delete => change(execution, channel, intent).await,
            };
            match outcome {
                // It stays as it is, and is looked up by the next run.
                Err(EngineError::Adapter(error)) if error.is_transient() => {}
                outcome => outcome?,
            }
        }
    }
}

/// Writes that were given up and cannot land any more are no longer looked out for.
async fn forget_ghosts(execution: &mut Execution<'_>) -> Result<(), EngineError> {
    let ghosts = intents(execution, vec![IntentState::Ghost], IntentId(0)).await?;
    if ghosts.is_empty() {
        return Ok(());
    }
    let channel = execution.channel().await?;
    let over: Vec<IntentRow> = ghosts
        .iter()
        .filter(|ghost| lands_in(execution, &channel, ghost).is_zero())
        .map(|ghost| state(ghost, IntentState::Rejected, ghost.problem.clone()))
        .collect();
    commit(execution, Observed { intents: over, ..Observed::default() }).await
}

/// How long a write may still take effect from now on.
fn lands_in(execution: &Execution<'_>, channel: &Channel, intent: &IntentRow) -> Duration {
    let offers = &channel.offers;
    let window =
        Duration::from_millis(offers.lands_within_ms.saturating_add(offers.found_within_ms));
    let passed = execution.clock.now().saturating_sub(intent.sent.unwrap_or(0));
    window.saturating_sub(Duration::from_micros(u64::try_from(passed).unwrap_or(0)))
}

/// Waits until a write either has taken effect or never will.
async fn wait(execution: &Execution<'_>, channel: &Channel, intent: &IntentRow) {
    let rest = lands_in(execution, channel, intent);
    if !rest.is_zero() {
        execution.clock.sleep(rest + Duration::from_millis(1)).await;
    }
}

/// An update or a deletion.
async fn change(
    execution: &mut Execution<'_>,
    channel: &Channel,
    intent: IntentRow,
) -> Result<(), EngineError> {
    let body = Body::from_json(&intent.body);
    let mut look = look(execution, channel, &intent, &body).await?;
    if look == Look::AsBefore && channel.offers.update != UpdateGuard::Strong {
        wait(execution, channel, &intent).await;
        look = self::look(execution, channel, &intent, &body).await?;
    }
    let mut observed = Observed::default();
    match look {
        Look::Gone => {
            observed.gone.push(body.external_id.clone());
            if intent.kind == IntentKind::Delete {
                let external_id = body.external_id.clone();
                Done { external_id, intent, body }.note(execution, true, &mut observed);
            } else {
                observed.intents.push(state(&intent, IntentState::Rejected, gone()));
            }
        }
        Look::Arrived(page) => {
            observed.pages.push(page);
            let external_id = body.external_id.clone();
            Done { external_id, intent, body }.note(execution, false, &mut observed);
        }
        // With a strong guard, a late twin finds another version than it was made for, once the write is repeated.
        Look::AsBefore => {
            observed.reconsider.push(intent.link);
            let next = if channel.offers.update == UpdateGuard::Strong {
                IntentState::Ghost
            } else {
                IntentState::Rejected
            };
            observed.intents.push(state(&intent, next, lost()));
        }
        Look::Changed(page) => {
            observed.pages.push(page);
            observed.reconsider.push(intent.link);
            observed.intents.push(state(&intent, IntentState::Ghost, lost()));
        }
    }
    commit(execution, observed).await
}

fn lost() -> Option<String> {
    Some("the reply was lost, and what was written did not arrive".to_owned())
}

fn gone() -> Option<String> {
    Some("the record is gone".to_owned())
}

/// What a record looks like, after a write to it of which nobody knows the end.
#[derive(PartialEq)]
enum Look {
    Gone,
    Arrived(Page),
    AsBefore,
    Changed(Page),
}

async fn look(
    execution: &Execution<'_>,
    channel: &Channel,
    intent: &IntentRow,
    body: &Body,
) -> Result<Look, EngineError> {
    let converter = execution.converter()?;
    let Some(key) = converter.key_of(&body.external_id) else { return Ok(Look::Gone) };
    let page = channel.writer()?.get(&execution.task.entity, vec![key]).await?;
    let shown = Shown::of(execution, &page);
    let Some(&(index, hash)) = shown.by_id.get(&body.external_id) else { return Ok(Look::Gone) };
    let said = execution.transformer(false).transform(&page);
    let image = said.items.into_iter().find_map(|item| match item.content {
        syncline_core::plan::rules::Content::Image { image, .. }
            if item.external_id == body.external_id && item.entity == execution.entity =>
        {
            Some(image)
        }
        _ => None,
    });
    let sent = sent_cells(execution, body);
    let is_there = |(field, cell): &(usize, Cell)| {
        let says = image.as_ref().and_then(|image| image[*field].as_ref());
        says == execution.projected(intent, *field, cell).as_ref()
    };
    if intent.kind == IntentKind::Update && sent.iter().all(is_there) {
        return Ok(Look::Arrived(page));
    }
    let version = converter.versions(&page).into_iter().nth(index).flatten();
    let found = Need { links: vec![intent.link], ..Need::default() };
    let found = execution.world.store.read(found).await?;
    let known = found.links.first().map(|row: &LinkRow| row.hash);
    let is_same = match (&body.version, &version) {
        (Some(known), Some(now)) => known == now,
        _ => hash.is_some() && hash == known,
    };
    Ok(if is_same { Look::AsBefore } else { Look::Changed(page) })
}

/// A creation.
async fn create(
    execution: &mut Execution<'_>,
    channel: &Channel,
    intent: IntentRow,
) -> Result<(), EngineError> {
    let body = Body::from_json(&intent.body);
    let age_ms = (execution.clock.now() - intent.sent.unwrap_or(0)).max(0) / 1000;
    let is_remembered = |remembered: u64| u64::try_from(age_ms).unwrap_or(0) < remembered;
    match channel.offers.create {
        // A second one is refused, or does nothing more.
        CreateGuard::UniqueKey => {}
        CreateGuard::IdempotencyKey { remembered_ms } if is_remembered(remembered_ms) => {
            return again(execution, channel, intent).await;
        }
        // What it may still make would be covered, or doubled, by a second one.
        CreateGuard::Upsert | CreateGuard::Marker => wait(execution, channel, &intent).await,
        CreateGuard::IdempotencyKey { .. } | CreateGuard::Nothing => {
            let problem = "nobody knows whether the record was made, and the system cannot tell";
            let parked = state(&intent, IntentState::Parked, Some(problem.to_owned()));
            return commit(execution, Observed { intents: vec![parked], ..Observed::default() })
                .await;
        }
    }
    let write = write_of(&intent, &body);
    let page = channel.writer()?.find(&execution.task.entity, vec![write]).await?;
    let shown = Shown::of(execution, &page);
    let Some(external_id) = shown.ids.first().cloned() else {
        return again(execution, channel, intent).await;
    };
    let mut observed = Observed { pages: vec![page], ..Observed::default() };
    let sent = sent_cells(execution, &body);
    let ack = Ack { intent: intent.id, joins: Some(intent.link), sent, is_reply: false };
    let body = Body { external_id: external_id.clone(), ..body };
    let done = IntentRow { body: body.to_json().into(), ..state(&intent, IntentState::Done, None) };
    observed.counters.written_created += 1;
    observed.acks.insert(external_id, ack);
    observed.intents.push(done);
    commit(execution, observed).await
}

/// Sends the very same write once more.
async fn again(
    execution: &mut Execution<'_>,
    channel: &Channel,
    intent: IntentRow,
) -> Result<(), EngineError> {
    send(execution, channel, vec![intent], &mut Left::default()).await
}

impl Execution<'_> {
    /// What reading a value back gives after it was written.
    fn projected(&self, intent: &IntentRow, field: usize, cell: &Cell) -> Cell {
        let outbound = self.two_way().and_then(|two_way| two_way.outbound.as_ref());
        let (Some(outbound), Ok(converter)) = (outbound, self.converter()) else {
            return cell.clone();
        };
        let body = Body::from_json(&intent.body);
        let mut image = converter.layout().empty_image();
        for (field, cell) in sent_cells(self, &body) {
            image[field] = cell;
        }
        outbound.project(converter, &image, 0, field, cell)
    }
}
