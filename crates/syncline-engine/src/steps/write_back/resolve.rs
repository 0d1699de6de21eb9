//! Writes of which nobody knows whether they arrived are looked up, before anything is repeated.
//!
//! What may be done then depends on what the system promises: see [`CreateGuard`] and [`UpdateGuard`]. A write that
//! may still be on its way is waited for, counted from the last time that it was sent.

use super::super::Execution;
use super::observe::{Observed, commit, part};
use super::send::{Done, Shown, letter, send, sent_cells, state, write_of};
use super::{Channel, Left, intents};
use crate::execution::EngineError;
use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};
use std::time::Duration;
use syncline_adapters::write::{CreateGuard, UpdateGuard};
use syncline_core::plan::intent::Body;
use syncline_core::plan::news::{Ack, Came, Seen as When};
use syncline_core::plan::rows::{IntentId, IntentKind, IntentRow, IntentState};
use syncline_core::plan::rules::Content;
use syncline_core::plan::view::Need;
use syncline_core::record::Page;
use syncline_core::shard::Image;
use syncline_core::value::Cell;

/// Looks up every write of which nobody knows the end; returns whether the system could be asked about all of them.
/// While it cannot, a record that we made ourselves would be taken for a stranger.
pub(in super::super) async fn resolve(execution: &mut Execution<'_>) -> Result<bool, EngineError> {
    let mut is_asked = true;
    if !execution.sends() {
        return Ok(is_asked);
    }
    let mut channel = None;
    let mut after = IntentId(0);
    loop {
        let sent = intents(execution, vec![IntentState::Sent], after).await?;
        let Some(last) = sent.last().map(|intent| intent.id) else { return Ok(is_asked) };
        after = last;
        if channel.is_none() {
            channel = Some(execution.channel().await?);
        }
        let Some(channel) = channel.as_ref() else { return Ok(is_asked) };
        for batch in sent.chunks(channel.offers.batch_max.max(1)) {
            match Box::pin(settle(execution, channel, batch)).await {
                // They stay as they are, and are looked up by the next run.
                Err(EngineError::Adapter(error)) if error.is_transient() => is_asked = false,
                outcome => is_asked &= outcome?,
            }
        }
    }
}

async fn settle(
    execution: &mut Execution<'_>,
    channel: &Channel,
    sent: &[IntentRow],
) -> Result<bool, EngineError> {
    let (creations, changes): (Vec<IntentRow>, Vec<IntentRow>) =
        sent.iter().cloned().partition(|intent| intent.kind == IntentKind::Create);
    if !changes.is_empty() {
        changed(execution, channel, changes).await?;
    }
    let mut again = Vec::new();
    for intent in creations {
        if let Some(intent) = create(execution, channel, intent).await? {
            again.push(intent);
        }
    }
    let mut left = Left::default();
    if !again.is_empty() {
        // The very same writes once more.
        send(execution, channel, again, &mut left).await?;
    }
    Ok(!left.unknown && left.again == 0)
}

/// Writes that were given up are no longer looked out for once everything was read that they may have done: they could
/// not land any more when the execution began.
pub(in super::super) async fn forget_ghosts(
    execution: &mut Execution<'_>,
) -> Result<(), EngineError> {
    if !execution.sends() || execution.of_some {
        return Ok(());
    }
    let ghosts = intents(execution, vec![IntentState::Ghost], IntentId(0)).await?;
    if ghosts.is_empty() {
        return Ok(());
    }
    let channel = execution.channel().await?;
    let over: Vec<IntentRow> = ghosts
        .iter()
        .filter(|ghost| lands_after(&channel, ghost, execution.moment.started).is_zero())
        .map(|ghost| state(ghost, IntentState::Rejected, ghost.problem.clone()))
        .collect();
    commit(execution, Observed { intents: over, ..Observed::default() }).await?;
    Ok(())
}

/// How long a write may still take effect after `at`.
fn lands_after(channel: &Channel, intent: &IntentRow, at: i64) -> Duration {
    let offers = &channel.offers;
    let window =
        Duration::from_millis(offers.lands_within_ms.saturating_add(offers.found_within_ms));
    let passed = at.saturating_sub(intent.sent.unwrap_or(0));
    window.saturating_sub(Duration::from_micros(u64::try_from(passed).unwrap_or(0)))
}

/// Waits until a write either has taken effect or never will.
async fn wait(execution: &Execution<'_>, channel: &Channel, intent: &IntentRow) {
    let rest = lands_after(channel, intent, execution.clock.now());
    if !rest.is_zero() {
        execution.clock.sleep(rest + Duration::from_millis(1)).await;
    }
}

/// Updates and deletions.
async fn changed(
    execution: &mut Execution<'_>,
    channel: &Channel,
    intents: Vec<IntentRow>,
) -> Result<(), EngineError> {
    let is_strong = channel.offers.update == UpdateGuard::Strong;
    let mut seen = look(execution, channel, &intents).await?;
    if !is_strong && seen.looks.contains(&Look::AsBefore) {
        for (intent, look) in intents.iter().zip(&seen.looks) {
            if *look == Look::AsBefore {
                wait(execution, channel, intent).await;
            }
        }
        seen = look(execution, channel, &intents).await?;
    }
    let mut observed = Observed::default();
    let mut shown = FxHashSet::default();
    for (intent, look) in intents.into_iter().zip(seen.looks) {
        let body = Body::from_json(&intent.body);
        let external_id = body.external_id.clone();
        match look {
            Look::Gone => {
                observed.gone.push(external_id.clone());
                if intent.kind == IntentKind::Delete {
                    let done = Done { external_id, intent, body, came: Came::default() };
                    done.note(execution, When::InReply, &mut observed);
                } else {
                    observed.intents.push(state(&intent, IntentState::Rejected, gone()));
                }
            }
            Look::Arrived(index) => {
                shown.insert(index);
                let done = Done { external_id, intent, body, came: Came::default() };
                done.note(execution, When::Later, &mut observed);
            }
            // With a strong guard, a late twin finds another version than it was made for, once the write is repeated.
            Look::AsBefore => {
                observed.reconsider.push(intent.link);
                let next = if is_strong { IntentState::Ghost } else { IntentState::Rejected };
                observed.intents.push(state(&intent, next, lost()));
            }
            Look::Changed(index) => {
                shown.insert(index);
                observed.reconsider.push(intent.link);
                observed.intents.push(state(&intent, IntentState::Ghost, lost()));
            }
        }
    }
    if !shown.is_empty() {
        observed.pages.push(part(&seen.page, &shown));
    }
    commit(execution, observed).await?;
    Ok(())
}

/// What a person is told of a creation of which nothing tells whether it was done.
const UNSURE: &str = "nobody knows whether the record was made, and the system cannot tell: where it is there, a run \
     that reads it finds it, or `syncline merge` joins it to its shard; where it is not, `syncline dead-letters replay` \
     with the number of this letter makes it";

fn lost() -> Option<String> {
    Some("the reply was lost, and what was written did not arrive".to_owned())
}

fn gone() -> Option<String> {
    Some("the record is gone".to_owned())
}

/// What a record looks like, after a write to it of which nobody knows the end. Those that are there are named by
/// their index in the page.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Look {
    Gone,
    Arrived(usize),
    AsBefore,
    Changed(usize),
}

/// What records look like.
struct Seen {
    looks: Vec<Look>,
    page: Page,
}

async fn look(
    execution: &Execution<'_>,
    channel: &Channel,
    intents: &[IntentRow],
) -> Result<Seen, EngineError> {
    let converter = execution.converter()?;
    let bodies: Vec<Body> = intents.iter().map(|intent| Body::from_json(&intent.body)).collect();
    let keys = bodies.iter().filter_map(|body| converter.key_of(&body.external_id)).collect();
    let page = channel.writer()?.get(&execution.task.entity, keys).await?;
    let Shown { by_id, items, .. } = Shown::of(execution, &page).await?;
    let images: FxHashMap<CompactString, Image> = items
        .into_iter()
        .filter(|item| item.entity == execution.entity)
        .filter_map(|item| match item.content {
            Content::Image { image, .. } => Some((item.external_id, image)),
            _ => None,
        })
        .collect();
    let versions = converter.versions(&page);
    let links = intents.iter().map(|intent| intent.link).collect();
    let found = execution.world.store.read(Need { links, ..Need::default() }).await?;
    let known: FxHashMap<_, u128> = found.links.iter().map(|row| (row.id, row.hash)).collect();
    let look = |(intent, body): (&IntentRow, &Body)| {
        let Some(&(index, hash)) = by_id.get(&body.external_id) else { return Look::Gone };
        let image = images.get(&body.external_id);
        let is_there = |(field, cell): &(usize, Cell)| {
            let says = image.and_then(|image| image[*field].as_ref());
            says == execution.projected(body, *field, cell).as_ref()
        };
        if intent.kind == IntentKind::Update && sent_cells(execution, body).iter().all(is_there) {
            return Look::Arrived(index);
        }
        let is_same = match (&body.version, versions.get(index).and_then(Option::as_ref)) {
            (Some(known), Some(now)) => known == now,
            _ => hash.is_some() && hash.as_ref() == known.get(&intent.link),
        };
        if is_same { Look::AsBefore } else { Look::Changed(index) }
    };
    let looks = intents.iter().zip(&bodies).map(look).collect();
    Ok(Seen { looks, page })
}

/// A creation; returns it where the very same is to be sent once more.
async fn create(
    execution: &mut Execution<'_>,
    channel: &Channel,
    intent: IntentRow,
) -> Result<Option<IntentRow>, EngineError> {
    let body = Body::from_json(&intent.body);
    let age_ms = (execution.clock.now() - intent.sent.unwrap_or(0)).max(0) / 1000;
    let is_remembered = |remembered: u64| u64::try_from(age_ms).unwrap_or(0) < remembered;
    let (writer, entity) = (channel.writer()?, &execution.task.entity);
    let write = write_of(&intent, &body);
    let mut found = None;
    let guard = writer.create_guard(entity, &write).await?;
    match guard {
        // A second one is refused, and shows the first; or does nothing more.
        CreateGuard::UniqueKey => return Ok(Some(intent)),
        CreateGuard::IdempotencyKey { remembered_ms } if is_remembered(remembered_ms) => {
            return Ok(Some(intent));
        }
        // What it may still make would be covered, or doubled, by a second one: unless it is there already, and could
        // only be made.
        CreateGuard::Marker => {
            let early = writer.find(entity, vec![write.clone()]).await?;
            if Shown::of(execution, &early).await?.ids.is_empty() {
                wait(execution, channel, &intent).await;
            } else {
                found = Some(early);
            }
        }
        CreateGuard::Upsert => wait(execution, channel, &intent).await,
        CreateGuard::IdempotencyKey { .. } | CreateGuard::Nothing => {
            let letters = vec![letter(execution, &intent, &body, UNSURE.to_owned())];
            let parked = state(&intent, IntentState::Parked, Some(UNSURE.to_owned()));
            let observed = Observed { intents: vec![parked], letters, ..Observed::default() };
            commit(execution, observed).await?;
            return Ok(None);
        }
    }
    let page = match found {
        Some(page) => page,
        None => writer.find(entity, vec![write]).await?,
    };
    let shown = Shown::of(execution, &page).await?;
    let Some(external_id) = shown.ids.first().cloned() else {
        return Ok(Some(intent));
    };
    let mut observed = Observed { pages: vec![page], ..Observed::default() };
    let sent = sent_cells(execution, &body);
    let ack = Ack {
        intent: intent.id,
        joins: Some(intent.link),
        sent,
        seen: When::Later,
        // Nobody else writes our marker.
        came: if guard == CreateGuard::Marker { Came::Made } else { Came::Written },
    };
    let body = Body { external_id: external_id.clone(), ..body };
    let done = IntentRow { body: body.to_json().into(), ..state(&intent, IntentState::Done, None) };
    observed.counters.written_created += 1;
    observed.acks.push((external_id, ack));
    observed.intents.push(done);
    commit(execution, observed).await?;
    Ok(None)
}

impl Execution<'_> {
    /// What reading a value back gives after it was written.
    fn projected(&self, body: &Body, field: usize, cell: &Cell) -> Cell {
        let outbound = self.two_way().and_then(|two_way| two_way.outbound.as_ref());
        let (Some(outbound), Ok(converter)) = (outbound, self.converter()) else {
            return cell.clone();
        };
        let mut image = converter.layout().empty_image();
        for (field, cell) in sent_cells(self, body) {
            image[field] = cell;
        }
        outbound.project(converter, &image, 0, field, cell)
    }
}
