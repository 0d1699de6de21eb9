//! A remote in memory that does what real ones do: it normalises, loses replies, lands writes late, forgets to list,
//! and is edited by people at any time.

mod happens;
mod keys;
mod people;
mod serve;

pub use happens::Happens;

use keys::Key;

use crate::bug::Bug;
use crate::random::Random;
use crate::time::{Crash, VirtualClock, instant};
use crate::trace::tell;
use compact_str::CompactString;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use syncline_adapters::write::{Change, CreateGuard, Target, UpdateGuard, Write, Written};
use syncline_core::record::{Page, Record, Shape};
use syncline_core::value::Value;
use syncline_engine::Clock;

/// The fields of a record that people edit.
pub const FIELDS: [&str; 3] = ["email", "name", "notes"];

/// What a remote is like.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// What keeps a record from being created twice.
    pub create: CreateGuard,
    /// What keeps a write from covering an edit that nobody has read.
    pub update: UpdateGuard,
    /// Whether records say a version.
    pub versions: bool,
    /// Whether names lose their capitals and blanks.
    pub normalises: bool,
    /// Whether the reply to a write shows the record.
    pub shows: bool,
    /// Whether it gives the key of a deleted record to the next one that we make.
    pub reuses: bool,
    /// The field by whose value it takes a creation for a change of a record that is there.
    pub merges: Option<&'static str>,
    /// Whether its pages are found by offset: a record that goes while they are read hides another one.
    pub drifts: bool,
    /// The most writes in a call.
    pub batch_max: usize,
    /// How coarse modified times are, in microseconds.
    pub granularity_us: i64,
    /// How far its clock is off, in microseconds.
    pub skew_us: i64,
    /// How late a write may land, in milliseconds.
    pub lands_within_ms: u64,
    /// How long a new record may stay out of lists, in milliseconds.
    pub found_within_ms: u64,
    /// How often something goes wrong, in a hundred calls or writes.
    pub trouble: u64,
}

/// Who did something to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A person, at this time.
    User(i64),
    /// We.
    Engine,
}

/// A record.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its fields.
    pub fields: BTreeMap<String, Value>,
    /// Who wrote each field last.
    pub authors: BTreeMap<String, Author>,
    version: u64,
    modified: i64,
    created: i64,
    /// What we called the shard, where we made it.
    pub marker: Option<String>,
}

/// A value of a person's that we wrote over.
#[derive(Clone, Debug)]
pub struct Covered {
    /// The record.
    pub id: String,
    /// The field.
    pub field: String,
    /// The value that was there.
    pub value: Value,
}

/// Something that a person said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The record.
    pub id: String,
    /// The field.
    pub field: String,
    /// The value, as the remote kept it.
    pub value: Value,
    /// When, truly.
    pub at: i64,
}

/// What people are like.
#[derive(Clone, Copy, Debug, Default)]
pub struct People {
    /// How many values they know; 0 makes each a new one.
    pub domain: u64,
    /// How many records they keep, about; 0 is any number.
    pub crowd: usize,
    /// The field that they edit most, if there is one.
    pub topic: Option<&'static str>,
    /// What every name and note ends in that they make up.
    pub tenant: &'static str,
}

#[derive(Default)]
struct State {
    script: VecDeque<Happens>,
    records: BTreeMap<String, Held>,
    next: u64,
    /// Writes that land at a time, with since when nobody saw what they change.
    late: Vec<(i64, Write, i64)>,
    done: BTreeMap<String, (i64, String)>,
    covered: Vec<Covered>,
    said: Vec<Said>,
    /// Counts calls.
    calls: u64,
    /// When a record was last asked for by its key: the call, and the time.
    asked: BTreeMap<String, (u64, i64)>,
    /// The keys of records that are gone, with their last versions, for a remote that gives them to others.
    free: BTreeMap<String, u64>,
    writes: u64,
    deleted_by_users: BTreeSet<String>,
    edits: u64,
}

/// A remote.
pub struct Remote {
    /// Its name.
    pub name: String,
    /// What it is like.
    pub traits: Traits,
    clock: Arc<VirtualClock>,
    crash: Arc<Crash>,
    bug: Bug,
    state: Mutex<State>,
    random: Mutex<Random>,
    /// Whether things go wrong, and people edit.
    live: std::sync::atomic::AtomicBool,
    people: People,
    /// Its pages': the columns, and where records come from.
    shape: Arc<Shape>,
    source: Arc<str>,
}

impl Remote {
    /// An empty remote.
    pub fn new(
        name: &str,
        traits: Traits,
        (clock, crash): (Arc<VirtualClock>, Arc<Crash>),
        bug: Bug,
        seed: u64,
        people: People,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            traits,
            clock,
            crash,
            bug,
            state: Mutex::default(),
            random: Mutex::new(Random::new(seed)),
            live: std::sync::atomic::AtomicBool::new(true),
            people,
            shape: Arc::new(Shape::new(["id", "email", "name", "notes", "at", "v"])),
            source: Arc::from(name),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random<T>(&self, with: impl FnOnce(&mut Random) -> T) -> T {
        with(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether things go wrong, and people edit.
    pub fn is_live(&self) -> bool {
        self.live.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// From now on nothing goes wrong, and nobody edits.
    pub fn heal(&self) {
        self.live.store(false, std::sync::atomic::Ordering::Relaxed);
    }

    /// How many writes of ours took effect.
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// How often a person did something.
    pub fn edits(&self) -> u64 {
        self.state().edits
    }

    /// The records by id.
    pub fn records(&self) -> BTreeMap<String, Held> {
        self.state().records.clone()
    }

    /// Names what it holds, times and versions included.
    pub fn hash_state(&self, into: &mut impl Hasher) {
        for (id, held) in &self.state().records {
            (id, held.version, held.modified, held.created, &held.marker).hash(into);
            for (name, value) in &held.fields {
                (name, value.to_plain()).hash(into);
            }
        }
    }

    /// The values of people that we wrote over.
    pub fn covered(&self) -> Vec<Covered> {
        self.state().covered.clone()
    }

    /// What people said.
    pub fn said(&self) -> Vec<Said> {
        self.state().said.clone()
    }

    /// What names and notes here end in.
    pub fn tenant(&self) -> &'static str {
        self.people.tenant
    }

    /// What happens at the next calls.
    pub fn expect(&self, script: impl IntoIterator<Item = Happens>) {
        self.state().script.extend(script);
    }

    /// Whether every value that people make up here is a new one.
    pub fn is_unique(&self) -> bool {
        self.people.domain == 0
    }

    /// The records that people deleted.
    pub fn deleted_by_users(&self) -> BTreeSet<String> {
        self.state().deleted_by_users.clone()
    }

    fn trouble(&self) -> bool {
        self.is_live() && self.random(|random| random.happens(self.traits.trouble))
    }

    /// What the remote calls a point in time.
    fn stamp_at(&self, now: i64) -> i64 {
        let now = now + self.traits.skew_us;
        now - now.rem_euclid(self.traits.granularity_us.max(1))
    }

    fn stored(&self, field: &str, value: &Value) -> Value {
        match value {
            Value::Text(text) if self.traits.normalises && field == "name" => {
                Value::text(text.trim().to_lowercase())
            }
            other => other.clone(),
        }
    }

    /// Records are asked for by their keys.
    fn ask(&self, keys: &[Vec<CompactString>]) {
        let now = self.clock.now();
        let mut state = self.state();
        let call = state.calls;
        state.asked.extend(keys.iter().map(|key| (key.join("|"), (call, now))));
    }

    /// What happens around a call.
    async fn called(&self) -> Happens {
        self.crash.point().await;
        let next = {
            let mut state = self.state();
            state.calls += 1;
            state.script.pop_front()
        };
        if let Some(Happens::Edited { id, field, text }) = &next {
            self.set(id, field, text);
        }
        if let Some(Happens::Removed { id }) = &next {
            self.remove(id);
        }
        self.pass();
        next.unwrap_or(Happens::Nothing)
    }

    /// A moment passes: people edit, late writes land.
    fn pass(&self) {
        if self.is_live() && self.random(|random| random.happens(10)) {
            self.user_acts();
        }
        self.land();
    }

    fn land(&self) {
        let now = self.clock.now();
        let late: Vec<(i64, Write, i64)> = {
            let mut state = self.state();
            let (due, rest) = std::mem::take(&mut state.late).into_iter().partition(|l| l.0 <= now);
            state.late = rest;
            due
        };
        for (at, write, unseen_since) in late {
            let written = self.apply(&write, at, unseen_since);
            tell(|| format!("{}: late {write:?} -> {written:?}", self.name));
        }
    }

    /// Does a write, as far as its guard lets it.
    fn apply(&self, write: &Write, now: i64, unseen_since: i64) -> Written {
        let stamp = self.stamp_at(now);
        let mut state = self.state();
        match &write.change {
            Change::Create { fields } => self.create(&mut state, write, fields, (stamp, now)),
            Change::Update { target, fields } => {
                let id = target.key.join("|");
                match self.guarded(&state, &id, target, now) {
                    Some(refused) => refused,
                    None => {
                        self.change(&mut state, &id, fields, stamp, unseen_since);
                        done(&id)
                    }
                }
            }
            Change::Delete { target } => {
                let id = target.key.join("|");
                if let Some(refused) = self.guarded(&state, &id, target, now) {
                    return refused;
                }
                let gone = state.records.remove(&id);
                state.writes += 1;
                for (field, value) in gone.iter().flat_map(|held| &held.fields) {
                    let author = gone.as_ref().map(|held| held.authors[field]);
                    if author.is_some_and(|author| is_covered(author, unseen_since)) {
                        let (id, field, value) = (id.clone(), field.clone(), value.clone());
                        state.covered.push(Covered { id, field, value });
                    }
                }
                done(&id)
            }
        }
    }

    /// From when on nobody could see what people do to a record before a write that comes with this call: where nothing
    /// guards it, it is to be preceded by a look. None where something does, or nobody looked.
    fn unseen_since(&self, write: &Write) -> i64 {
        let state = self.state();
        let (Change::Update { target, .. } | Change::Delete { target }) = &write.change else {
            return i64::MAX;
        };
        let asked = state.asked.get(&target.key.join("|"));
        match (self.traits.update, asked.filter(|(at, _)| at + 1 == state.calls)) {
            (UpdateGuard::Strong, _) | (_, None) => i64::MAX,
            (_, Some((_, at))) => *at,
        }
    }

    fn guarded(&self, state: &State, id: &str, target: &Target, now: i64) -> Option<Written> {
        let Some(held) = state.records.get(id) else { return Some(Written::Missing) };
        if self.bug == Bug::WritesUnconditionally {
            return None;
        }
        let is_same = match &target.version {
            Some(version) => *version == held.version.to_string(),
            None => target
                .before
                .iter()
                .all(|(name, value)| held.fields.get(name.as_str()).is_none_or(|now| now == value)),
        };
        let is_told = match self.traits.update {
            UpdateGuard::Strong => true,
            UpdateGuard::Weak { granularity_ms } => {
                let since = now - i64::try_from(granularity_ms).unwrap_or(0) * 1000;
                !held.authors.values().any(|by| matches!(by, Author::User(at) if *at > since))
            }
            UpdateGuard::Nothing => false,
        };
        (is_told && !is_same).then_some(Written::Changed)
    }

    fn change(
        &self,
        state: &mut State,
        id: &str,
        fields: &[(CompactString, Value)],
        stamp: i64,
        unseen_since: i64,
    ) {
        state.writes += 1;
        let mut covered = Vec::new();
        if let Some(held) = state.records.get_mut(id) {
            for (name, value) in fields {
                let value = self.stored(name, value);
                let old = held.fields.insert(name.to_string(), value.clone());
                let author = held.authors.insert(name.to_string(), Author::Engine);
                if let (Some(old), Some(author)) = (old, author)
                    && is_covered(author, unseen_since)
                    && old != value
                {
                    let (id, field) = (id.to_owned(), name.to_string());
                    covered.push(Covered { id, field, value: old });
                }
            }
            held.version += 1;
            held.modified = stamp.max(held.modified);
        }
        state.covered.extend(covered);
    }

    fn create(
        &self,
        state: &mut State,
        write: &Write,
        fields: &[(CompactString, Value)],
        (stamp, now): (i64, i64),
    ) -> Written {
        let own = fields.iter().find(|(name, _)| name == "id").map(|(_, id)| id.to_plain());
        if let CreateGuard::IdempotencyKey { remembered_ms } = self.traits.create
            && let Some((at, id)) = state.done.get(write.key.as_str())
            && now - at < i64::try_from(remembered_ms).unwrap_or(i64::MAX).saturating_mul(1000)
        {
            return done(id);
        }
        if let Some(own) = &own
            && state.records.contains_key(own.as_ref())
        {
            if self.traits.create == CreateGuard::Upsert {
                let rest: Vec<_> =
                    fields.iter().filter(|(name, _)| name != "id").cloned().collect();
                self.change(state, own, &rest, stamp, i64::MAX);
                return done(own);
            }
            return Written::Exists { key: Some(vec![CompactString::new(own)]) };
        }
        let Key { id, is_there, version } = self.key_for(state, own.as_deref(), fields);
        if is_there {
            self.change(state, &id, fields, stamp, i64::MAX);
            return done(&id);
        }
        let fields = fields.iter().filter(|(name, _)| name != "id");
        let fields: BTreeMap<String, Value> =
            fields.map(|(name, value)| (name.to_string(), self.stored(name, value))).collect();
        let authors = fields.keys().map(|name| (name.clone(), Author::Engine)).collect();
        let marker = Some(write.marker.to_string());
        if state.deleted_by_users.contains(&id) {
            // A creation that lands after its record was deleted: whatever it says is what the system says now.
            let said = fields.iter().map(|(field, value)| Said {
                id: id.clone(),
                field: field.clone(),
                value: value.clone(),
                at: now,
            });
            state.said.extend(said);
        }
        let held = Held { fields, authors, version, modified: stamp, created: now, marker };
        state.records.insert(id.clone(), held);
        state.done.insert(write.key.to_string(), (now, id.clone()));
        state.writes += 1;
        done(&id)
    }

    fn page(&self, ids: impl IntoIterator<Item = String>) -> Page {
        let state = self.state();
        let records = ids.into_iter().filter_map(|id| {
            let held = state.records.get(&id)?;
            let [email, name, notes] = FIELDS.map(|name| held.fields.get(name).cloned());
            let at = Some(Value::Text(instant(held.modified)));
            let version = self.traits.versions.then(|| Value::Int(held.version.cast_signed()));
            let cells = vec![Some(Value::text(&id)), email, name, notes, at, version];
            Some(Record { cells, line: 1, ..Record::default() })
        });
        let records = records.collect();
        Page {
            shape: self.shape.clone(),
            records,
            sources: vec![self.source.clone()],
            ..Page::default()
        }
    }

    /// A page of a listing by offset, as things stand now.
    fn page_at(&self, offset: usize, page_len: usize) -> Vec<String> {
        self.state().records.keys().skip(offset).take(page_len).cloned().collect()
    }

    /// The pages of a listing, during which people go on; and whether it came to its end.
    fn listing(&self, page_len: usize, since: Option<i64>) -> (Vec<Page>, bool) {
        self.pass();
        if self.trouble() {
            return (Vec::new(), false);
        }
        let now = self.clock.now();
        let lag = i64::try_from(self.traits.found_within_ms).unwrap_or(0) * 1000;
        let hides = self.is_live() && self.random(|random| random.happens(50));
        let ids: Vec<String> = {
            let state = self.state();
            let shown = state.records.iter();
            let shown = shown.filter(|(_, held)| !hides || held.created + lag <= now);
            let shown = shown.filter(|(_, held)| {
                since.is_none_or(|since| held.modified / 1_000_000 * 1_000_000 >= since)
            });
            shown.map(|(id, _)| id.clone()).collect()
        };
        let mut pages = Vec::new();
        let page_len = page_len.max(1);
        for (index, chunk) in ids.chunks(page_len).enumerate() {
            if self.trouble() {
                return (pages, self.bug == Bug::BelievesListings);
            }
            pages.push(self.page(match self.traits.drifts && !hides {
                true => self.page_at(index * page_len, page_len),
                false => chunk.to_vec(),
            }));
            self.pass();
        }
        (pages, true)
    }

    /// Life goes on while a write is on its way: with the very record, and mostly with the very field.
    fn goes_on(&self, write: &Write) {
        if let Change::Update { target, fields } = &write.change
            && self.is_live()
        {
            let is_very = self.random(|random| random.happens(80));
            let very = fields.first().filter(|_| is_very).map(|(name, _)| name.as_str());
            self.user_edits(&target.key.join("|"), very);
        }
    }

    fn answer(&self, write: &Write, happens: &Happens) -> Written {
        // A change that lands late meets what was done meanwhile; a creation meets nobody.
        let lates = if matches!(write.change, Change::Create { .. }) { 1 } else { 12 };
        let (fault, delay) = self.random(|random| {
            (random.below(4 + lates), random.below(self.traits.lands_within_ms.max(1)))
        });
        if *happens == Happens::Nothing && self.random(|random| random.happens(12)) {
            self.goes_on(write);
        }
        let (now, unseen_since) = (self.clock.now(), self.unseen_since(write));
        let (fault, delay) = match happens {
            Happens::Unanswered => (3, 0),
            Happens::ReplyLost => (1, 0),
            Happens::Late(ms) => (4, *ms),
            Happens::Swapped => return self.apply(write, now, unseen_since),
            _ if !self.trouble() => return self.apply(write, now, unseen_since),
            _ => (fault, delay),
        };
        tell(|| format!("{}: trouble {fault} in what follows", self.name));
        let problem = "simulated".to_owned();
        match fault {
            0 => Written::NotSent { problem, retry_after_ms: None },
            // It took effect, and the reply was lost.
            1 | 2 => {
                drop(self.apply(write, now, unseen_since));
                Written::Unknown { problem }
            }
            3 => Written::Unknown { problem },
            // It takes effect later.
            _ => {
                let at = now + i64::try_from(delay).unwrap_or(0) * 1000;
                self.state().late.push((at, write.clone(), unseen_since));
                self.goes_on(write);
                Written::Unknown { problem }
            }
        }
    }
}

/// Whether a value is a person's that was there to be seen by then.
fn is_covered(author: Author, unseen_since: i64) -> bool {
    matches!(author, Author::User(at) if at <= unseen_since)
}

fn done(id: &str) -> Written {
    Written::Done { key: vec![CompactString::new(id)], record: None }
}
