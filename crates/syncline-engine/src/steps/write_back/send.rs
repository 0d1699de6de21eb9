//! A batch of intents is sent, and the replies are taken up.

use super::super::plan::said_in_full;
use super::super::transform::Said;
use super::super::{Execution, PLANS_MAX};
use super::observe::{Guess, Observed, commit, part, stated};
use super::{Channel, Left};
use crate::execution::EngineError;
use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};
use syncline_adapters::write::{Change, CreateGuard, Replies, Target, UpdateGuard, Write, Written};
use syncline_core::plan::intent::Body;
use syncline_core::plan::news::{Ack, Came, Seen};
use syncline_core::plan::rows::{IntentId, IntentKind, IntentRow, IntentState, LinkRow};
use syncline_core::plan::rules::Item;
use syncline_core::plan::view::{Found, Need};
use syncline_core::plan::writes::{DeadLetter, Plan};
use syncline_core::record::Page;
use syncline_core::value::{Cell, Value};
use syncline_store::StoreError;

/// An intent on its way.
struct Sending {
    intent: IntentRow,
    /// It was sent before, and nobody knows what became of that.
    is_again: bool,
    body: Body,
    write: Write,
}

/// Sends a batch of intents, and takes up what becomes of them.
pub(super) async fn send(
    execution: &mut Execution<'_>,
    channel: &Channel,
    intents: Vec<IntentRow>,
    left: &mut Left,
) -> Result<(), EngineError> {
    let count = intents.len() as u64;
    let read = |intent: IntentRow| {
        let body = Body::from_json(&intent.body);
        (intent, body)
    };
    let intents: Vec<(IntentRow, Body)> = intents.into_iter().map(read).collect();
    let (intents, befores) = match prepare(execution, channel, intents, left).await {
        Ok(prepared) => prepared,
        Err(EngineError::Adapter(error)) if error.is_transient() => {
            left.again += count;
            left.problem = error.to_string();
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let sending = mark_sent(execution, intents, &befores).await?;
    if sending.is_empty() {
        return Ok(());
    }
    let writes: Vec<Write> = sending.iter().map(|sending| sending.write.clone()).collect();
    let replies = channel.writer()?.write(&execution.task.entity, writes).await;
    settle(execution, channel, sending, replies, left).await
}

/// Looks at what is to be looked at before it is written. Returns what is to be sent.
async fn prepare(
    execution: &mut Execution<'_>,
    channel: &Channel,
    intents: Vec<(IntentRow, Body)>,
    left: &mut Left,
) -> Result<(Vec<(IntentRow, Body)>, Before), EngineError> {
    let intents = look_before_again(execution, channel, intents, left).await?;
    let befores = read_before(execution, channel, &intents).await?;
    Ok((intents, befores))
}

/// An upsert that came to a record of another shard would write over it each time that it is tried again: so it is
/// looked first whether the system still takes the two for one. Returns what is to be sent.
async fn look_before_again(
    execution: &mut Execution<'_>,
    channel: &Channel,
    intents: Vec<(IntentRow, Body)>,
    left: &mut Left,
) -> Result<Vec<(IntentRow, Body)>, EngineError> {
    let is_again = |(intent, _): &(IntentRow, Body)| {
        channel.offers.create == CreateGuard::Upsert
            && intent.kind == IntentKind::Create
            && intent.state == IntentState::Planned
            && intent.attempts > 0
    };
    let (again, mut send): (Vec<_>, Vec<_>) = intents.into_iter().partition(is_again);
    let mut observed = Observed::default();
    for (intent, body) in again {
        let writes = vec![write_of(&intent, &body)];
        let page = channel.writer()?.find(&execution.task.entity, writes).await?;
        match Shown::of(execution, &page).await?.ids.into_iter().next() {
            Some(external_id) => {
                observed.pages.push(page);
                observed.met(&intent, external_id, Vec::new());
            }
            None => send.push((intent, body)),
        }
    }
    left.refused.extend(commit(execution, observed).await?);
    Ok(send)
}

/// The raw fields of records, before they are written.
type Before = FxHashMap<IntentId, Vec<(CompactString, Value)>>;

/// Reads the records of intents whose systems say no version, or do not surely compare it when they write. Those that
/// have changed are taken up, and what they are owed is decided anew: their intents are gone then.
async fn read_before(
    execution: &mut Execution<'_>,
    channel: &Channel,
    intents: &[(IntentRow, Body)],
) -> Result<Before, EngineError> {
    let converter = execution.converter()?;
    let is_strong = channel.offers.update == UpdateGuard::Strong;
    let unguarded: Vec<&(IntentRow, Body)> = intents
        .iter()
        .filter(|(intent, _)| intent.kind != IntentKind::Create)
        .filter(|(_, body)| !is_strong || body.version.is_none())
        .collect();
    let mut befores = Before::default();
    let keys = unguarded.iter().filter_map(|(_, body)| converter.key_of(&body.external_id));
    let keys: Vec<Vec<CompactString>> = keys.collect();
    if keys.is_empty() {
        return Ok(befores);
    }
    let page = channel.writer()?.get(&execution.task.entity, keys).await?;
    let shown = Shown::of(execution, &page).await?;
    let links = unguarded.iter().map(|(intent, _)| intent.link).collect();
    let found = execution.world.store.read(Need { links, ..Need::default() }).await?;
    let rows: FxHashMap<_, &LinkRow> = found.links.iter().map(|link| (link.id, link)).collect();
    let mut observed = Observed::default();
    let mut changed = FxHashSet::default();
    for (intent, body) in unguarded {
        match shown.by_id.get(&body.external_id) {
            None => observed.gone.push(body.external_id.clone()),
            Some(&(index, hash)) => {
                let known = rows.get(&intent.link).map(|row| row.hash);
                if hash.is_some() && hash == known {
                    befores.insert(intent.id, before(&page, index, intent.kind, body));
                } else {
                    changed.insert(index);
                    observed.reconsider.push(intent.link);
                }
            }
        }
    }
    if !changed.is_empty() {
        observed.pages.push(part(&page, &changed));
    }
    commit(execution, observed).await?;
    Ok(befores)
}

fn before(page: &Page, index: usize, kind: IntentKind, body: &Body) -> Vec<(CompactString, Value)> {
    let record = &page.records[index];
    let names = page.shape.names().iter().zip(&record.cells);
    let is_written = |name: &CompactString| body.record.iter().any(|(known, _)| known == name);
    let wanted = names.filter(|(name, _)| kind == IntentKind::Delete || is_written(name));
    wanted.filter_map(|(name, cell)| Some((name.clone(), cell.clone()?))).collect()
}

/// Records that a system showed, by external id: their place in the page, and what names what they say.
pub(super) struct Shown {
    pub(super) by_id: FxHashMap<CompactString, (usize, Option<u128>)>,
    pub(super) ids: Vec<CompactString>,
    /// What they say.
    pub(super) items: Vec<Item>,
}

impl Shown {
    pub(super) async fn of(execution: &Execution<'_>, page: &Page) -> Result<Self, EngineError> {
        let Said { items, external_ids: ids, .. } = said_in_full(execution, page).await?;
        let mut hashes: FxHashMap<CompactString, u128> = FxHashMap::default();
        for item in items.iter().filter(|item| item.entity == execution.entity) {
            if let Some(digest) = &item.digest {
                hashes.insert(item.external_id.clone(), digest.hash);
            }
        }
        let by_id = ids.iter().enumerate();
        let by_id = by_id.map(|(index, id)| (id.clone(), (index, hashes.get(id).copied())));
        Ok(Self { by_id: by_id.collect(), ids, items })
    }
}

/// Stores that the intents are sent, durably; those that are not wanted any more are left out.
async fn mark_sent(
    execution: &mut Execution<'_>,
    intents: Vec<(IntentRow, Body)>,
    befores: &Before,
) -> Result<Vec<Sending>, EngineError> {
    for _ in 0..PLANS_MAX {
        let agreed = intents.iter().map(|(intent, _)| intent.link).collect();
        let found = execution.world.store.read(Need { agreed, ..Need::default() }).await?;
        let now: FxHashMap<IntentId, &IntentRow> =
            found.intents.iter().map(|intent| (intent.id, intent)).collect();
        let sending: Vec<Sending> = intents
            .iter()
            .filter(|(intent, _)| now.get(&intent.id) == Some(&intent))
            .filter_map(|(intent, body)| sending(execution, intent, body, befores))
            .collect();
        if sending.is_empty() {
            return Ok(sending);
        }
        let plan = Plan {
            execution: execution.begun.execution,
            epoch: found.epoch,
            intents_changed: sending.iter().map(|sending| sending.intent.clone()).collect(),
            ..Plan::default()
        };
        match execution.world.store.commit(Box::new(plan)).await {
            Ok(committed) => {
                execution.cancelled |= committed.cancel_requested;
                execution.wrote = true;
                return Ok(sending);
            }
            Err(StoreError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Stale.into())
}

fn sending(
    execution: &Execution<'_>,
    intent: &IntentRow,
    body: &Body,
    befores: &Before,
) -> Option<Sending> {
    let key = execution.converter().ok()?.key_of(&body.external_id).unwrap_or_default();
    let before = befores.get(&intent.id).cloned();
    // What was read before is as old as its version; one of both is needed.
    if intent.kind != IntentKind::Create && body.version.is_none() && before.is_none() {
        return None;
    }
    let target = Target { key, version: body.version.clone(), before: before.unwrap_or_default() };
    let fields = body.record.clone();
    let change = match intent.kind {
        IntentKind::Create => Change::Create { fields },
        IntentKind::Update => Change::Update { target, fields },
        IntentKind::Delete => Change::Delete { target },
    };
    let write = Write { key: body.key.clone(), marker: body.marker.clone(), change };
    let is_again = intent.state == IntentState::Sent;
    let intent = IntentRow {
        state: IntentState::Sent,
        attempts: intent.attempts + 1,
        sent: Some(execution.clock.now()),
        ..intent.clone()
    };
    Some(Sending { intent, is_again, body: body.clone(), write })
}

/// Takes up the replies to a batch.
async fn settle(
    execution: &mut Execution<'_>,
    channel: &Channel,
    sending: Vec<Sending>,
    replies: Replies,
    left: &mut Left,
) -> Result<(), EngineError> {
    let mut observed = Observed::default();
    let mut unseen: Vec<Done> = Vec::new();
    let mut look: Vec<CompactString> = Vec::new();
    let mut there: Vec<(&Sending, Option<Vec<CompactString>>)> = Vec::new();
    let shown = Shown::of(execution, &replies.records).await?;
    let nothing = Written::Unknown { problem: "no reply came".to_owned() };
    let (written, records) = doubted(replies, &shown);
    let written = written.into_iter().chain(std::iter::repeat(nothing));
    for (sending, written) in sending.iter().zip(written) {
        let Sending { intent, body, .. } = sending;
        match written {
            Written::Done { key, record } => {
                let record = record.and_then(|index| shown.ids.get(index).cloned());
                let external_id = record.clone().unwrap_or_else(|| key.join("|").into());
                let external_id =
                    if external_id.is_empty() { body.external_id.clone() } else { external_id };
                let came = came(channel, intent);
                let done = Done { external_id, intent: intent.clone(), body: body.clone(), came };
                let has_hash = record.and_then(|id| shown.by_id.get(&id)?.1).is_some();
                if intent.kind == IntentKind::Delete {
                    observed.gone.push(done.external_id.clone());
                    done.note(execution, Seen::InReply, &mut observed);
                } else if has_hash {
                    // The reply to a repeated creation may show a record that was made, and edited, long ago.
                    let is_first = done.intent.attempts == 1;
                    let seen = if is_first { Seen::InReply } else { Seen::Later };
                    done.note(execution, seen, &mut observed);
                } else {
                    unseen.push(done);
                }
            }
            Written::Changed => {
                observed.counters.written_stale += 1;
                observed.intents.push(state(intent, IntentState::Planned, None));
                observed.reconsider.push(intent.link);
                look.push(body.external_id.clone());
            }
            Written::Missing => {
                observed.counters.written_stale += 1;
                observed.intents.push(state(intent, IntentState::Planned, None));
                observed.gone.push(body.external_id.clone());
            }
            Written::Exists { key } => there.push((sending, key)),
            Written::Rejected { field, problem } => {
                let field = field.map(|field| format!("field `{field}`: ")).unwrap_or_default();
                reject(execution, sending, &format!("{field}{problem}"), &mut observed, left);
            }
            // This attempt was not executed; an earlier one may have been.
            Written::NotSent { .. } if sending.is_again => left.unknown = true,
            Written::NotSent { problem, retry_after_ms } => {
                left.again += 1;
                left.asked_ms = left.asked_ms.max(retry_after_ms);
                left.problem.clone_from(&problem);
                observed.intents.push(state(intent, IntentState::Planned, Some(problem)));
            }
            // It stays as it is: sent, and looked up before anything else is done about it.
            Written::Unknown { problem } => {
                left.unknown = true;
                tracing::debug!(problem, intent = intent.id.0, "the reply was lost");
            }
        }
    }
    observed.pages.extend(records);
    exist(execution, channel, there, &mut observed, left).await?;
    read_back(execution, channel, unseen, look, &mut observed).await?;
    let is_stale = observed.counters.written_stale > 0;
    left.refused.extend(commit(execution, observed).await?);
    left.replanned |= is_stale;
    Ok(())
}

/// The replies, and the records that they show. Where one shows another record than it names, one of the two is
/// another write's: nobody knows what came of this one, and its record is left out.
fn doubted(replies: Replies, shown: &Shown) -> (Vec<Written>, Option<Page>) {
    let Replies { written, records } = replies;
    let mut doubtful: FxHashSet<usize> = FxHashSet::default();
    let sound = written.into_iter().map(|written| {
        let Written::Done { key, record: Some(index) } = &written else { return written };
        let named = key.join("|");
        if named.is_empty() || shown.ids.get(*index).is_none_or(|id| *id == named) {
            return written;
        }
        doubtful.insert(*index);
        let problem = format!("the reply is about `{named}`, and shows another record");
        tracing::warn!("{problem}");
        Written::Unknown { problem }
    });
    let sound: Vec<Written> = sound.collect();
    if doubtful.is_empty() {
        return (sound, (!records.is_empty()).then_some(records));
    }
    let sure = (0..records.records.len()).filter(|index| !doubtful.contains(index)).collect();
    (sound, Some(part(&records, &sure)))
}

/// Looks at records whose writes were done and not shown, and at those that had changed.
async fn read_back(
    execution: &Execution<'_>,
    channel: &Channel,
    unseen: Vec<Done>,
    look: Vec<CompactString>,
    observed: &mut Observed,
) -> Result<(), EngineError> {
    let ids = unseen.iter().map(|done| &done.external_id).chain(&look);
    let converter = execution.converter()?;
    let keys: Vec<Vec<CompactString>> = ids.filter_map(|id| converter.key_of(id)).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let page = match channel.writer()?.get(&execution.task.entity, keys).await {
        Ok(page) => page,
        // What was written is known all the same; what had changed is read with the next run.
        Err(error) if error.is_transient() => Page::default(),
        Err(error) => return Err(error.into()),
    };
    let shown = Shown::of(execution, &page).await?;
    if !page.is_empty() {
        for id in look.iter().filter(|id| !shown.by_id.contains_key(*id)) {
            observed.gone.push(id.clone());
        }
    }
    for done in unseen {
        let is_shown = shown.by_id.get(&done.external_id).is_some_and(|(_, hash)| hash.is_some());
        if !is_shown {
            observed.guesses.push(guess(execution, &done).await?);
        }
        done.note(execution, if is_shown { Seen::Later } else { Seen::NotYet }, observed);
    }
    if !page.is_empty() {
        observed.pages.push(page);
    }
    Ok(())
}

/// A write that was done.
pub(super) struct Done {
    pub(super) external_id: CompactString,
    pub(super) intent: IntentRow,
    pub(super) body: Body,
    pub(super) came: Came,
}

/// How a creation came to the record that its reply names.
fn came(channel: &Channel, intent: &IntentRow) -> Came {
    match channel.offers.create {
        CreateGuard::Upsert => Came::Written,
        // The reply may be that to an earlier attempt.
        CreateGuard::IdempotencyKey { .. } if intent.attempts > 1 => Came::Written,
        _ => Came::Made,
    }
}

impl Done {
    /// Notes it, with when the record was seen that is told beside it.
    pub(super) fn note(self, execution: &Execution<'_>, seen: Seen, observed: &mut Observed) {
        let Self { external_id, intent, body, came } = self;
        let is_create = intent.kind == IntentKind::Create;
        let sent = match intent.kind {
            IntentKind::Delete => Vec::new(),
            _ => sent_cells(execution, &body),
        };
        let joins = is_create.then_some(intent.link);
        let counters = &mut observed.counters;
        *match intent.kind {
            IntentKind::Create => &mut counters.written_created,
            IntentKind::Update => &mut counters.written_updated,
            IntentKind::Delete => &mut counters.written_deleted,
        } += 1;
        // The external id of a record that was made is wanted by whoever looks into what was written.
        let body = Body { external_id: external_id.clone(), ..body };
        let done =
            IntentRow { body: body.to_json().into(), ..state(&intent, IntentState::Done, None) };
        let ack = Ack { intent: intent.id, joins, sent, seen, came };
        observed.acks.push((external_id, ack));
        observed.intents.push(done);
    }
}

/// The shard's values that were sent, by field.
pub(super) fn sent_cells(execution: &Execution<'_>, body: &Body) -> Vec<(usize, Cell)> {
    let Ok(converter) = execution.converter() else { return Vec::new() };
    let layout = converter.layout();
    let named = body.sent.iter();
    named.filter_map(|(name, cell)| Some((layout.position(name)?, cell.clone()))).collect()
}

/// The intent in another state.
pub(super) fn state(intent: &IntentRow, state: IntentState, problem: Option<String>) -> IntentRow {
    IntentRow { state, problem, ..intent.clone() }
}

/// Creations found records with their keys. After an attempt of which nobody knew the end, such a one is ours; else it
/// joins the shard as a record that was met.
async fn exist(
    execution: &Execution<'_>,
    channel: &Channel,
    there: Vec<(&Sending, Option<Vec<CompactString>>)>,
    observed: &mut Observed,
    left: &mut Left,
) -> Result<(), EngineError> {
    let (writer, entity) = (channel.writer()?, &execution.task.entity);
    let keys: Vec<_> = there.iter().filter_map(|(_, key)| key.clone()).collect();
    let mut pages = Vec::new();
    if !keys.is_empty() {
        pages.push(writer.get(entity, keys).await);
    }
    let nameless = there.iter().filter(|(_, key)| key.is_none());
    let mut met: Vec<(&Sending, Option<CompactString>)> = Vec::new();
    for (sending, _) in nameless {
        let page = writer.find(entity, vec![sending.write.clone()]).await;
        let ids = match &page {
            Ok(page) => Shown::of(execution, page).await?.ids,
            Err(_) => Vec::new(),
        };
        met.push((sending, ids.into_iter().next()));
        pages.push(page);
    }
    let named = there.iter().filter_map(|(sending, key)| Some((*sending, key.as_ref()?)));
    met.extend(named.map(|(sending, key)| (sending, Some(CompactString::from(key.join("|"))))));
    let mut shown = FxHashSet::default();
    for page in pages {
        match page {
            Ok(page) => {
                shown.extend(Shown::of(execution, &page).await?.ids);
                observed.pages.push(page);
            }
            // They stay as they are: sent, and looked up by the next run.
            Err(error) if error.is_transient() => {
                left.unknown = true;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (sending, id) in met {
        // One that is there and not shown yet stays as it is, too.
        let Some(external_id) = id.filter(|id| shown.contains(id)) else { continue };
        let Sending { intent, body, .. } = sending;
        let sent = if intent.attempts > 1 { sent_cells(execution, body) } else { Vec::new() };
        observed.met(intent, external_id, sent);
    }
    Ok(())
}

impl Observed {
    /// A creation found its record there. `sent` is what an earlier attempt may have written.
    fn met(&mut self, intent: &IntentRow, external_id: CompactString, sent: Vec<(usize, Cell)>) {
        let (seen, came) = (Seen::Later, Came::Met);
        let ack = Ack { intent: intent.id, joins: Some(intent.link), sent, seen, came };
        self.acks.push((external_id, ack));
        self.intents.push(state(intent, IntentState::Done, None));
    }
}

/// The system will not have a write. It is still owed: what is in its way may be gone by the next run, which tries again.
fn reject(
    execution: &Execution<'_>,
    sending: &Sending,
    problem: &str,
    observed: &mut Observed,
    left: &mut Left,
) {
    let problem = execution.world.scrub(problem);
    let Sending { intent, body, .. } = sending;
    observed.counters.written_rejected += 1;
    observed.intents.push(state(intent, IntentState::Planned, Some(problem.clone())));
    left.refused.push(intent.id);
    observed.letters.push(letter(execution, intent, body, problem));
}

/// A letter about a write.
pub(super) fn letter(
    execution: &Execution<'_>,
    intent: &IntentRow,
    body: &Body,
    problem: String,
) -> DeadLetter {
    let source = format!("{}/{}", execution.task.connection, execution.task.entity);
    DeadLetter::of_write(&execution.name, source, intent.id, body, problem)
}

/// What a record must hold by now that was written and not shown.
async fn guess(execution: &Execution<'_>, done: &Done) -> Result<Guess, EngineError> {
    let converter = execution.converter()?;
    let need = Need { links: vec![done.intent.link], ..Need::default() };
    let Found { links, shards, .. } = execution.world.store.read(need).await?;
    let shard = shards.first();
    let is_create = done.intent.kind == IntentKind::Create;
    let layout = converter.layout();
    let link = links.first().filter(|_| !is_create);
    let image = link.and_then(|link| layout.read_json(&link.image).ok());
    let mut image = image.unwrap_or_else(|| layout.empty_image());
    let uuid = shard.map_or(0, |shard| shard.uuid);
    let whole = shard.and_then(|shard| layout.read_json(&shard.data).ok());
    let whole = whole.unwrap_or_else(|| layout.empty_image());
    let outbound = execution.two_way().and_then(|two_way| two_way.outbound.as_ref());
    for (field, cell) in sent_cells(execution, &done.body) {
        image[field] = match outbound {
            Some(outbound) => outbound.project(converter, &whole, uuid, field, &cell),
            None => cell,
        };
    }
    let edges = if is_create { Vec::new() } else { stated(execution, done.intent.link).await? };
    Ok(Guess { external_id: done.external_id.clone(), image, edges })
}

/// The write that an intent is, for looking it up.
pub(super) fn write_of(intent: &IntentRow, body: &Body) -> Write {
    let change = match intent.kind {
        IntentKind::Create => Change::Create { fields: body.record.clone() },
        IntentKind::Update => {
            Change::Update { target: Target::default(), fields: body.record.clone() }
        }
        IntentKind::Delete => Change::Delete { target: Target::default() },
    };
    Write { key: body.key.clone(), marker: body.marker.clone(), change }
}
