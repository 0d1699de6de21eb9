//! Creations arrive at records: at new ones, at ones with a key that another record had before, and at ones of other
//! shards.
//!
//! A key alone does not say which thing a record is about: systems give the key of a deleted record to a new one, and
//! take two things for one by a value of theirs. So a creation never joins two shards by its key, unless the record
//! says what it said already.

use super::constrain::Rulings;
use super::intent::Body;
use super::news::{Ack, Came, Seen};
use super::planner::{Planner, Touched};
use super::rows::{EntityId, IntentId, IntentState, LinkId, LinkRow, Verdict};
use super::rules::Content;
use super::writes::{DeadLetter, Renamed};
use crate::matching::BlockKey;
use crate::shard::Image;
use crate::value::Cell;
use compact_str::{CompactString, format_compact};
use rustc_hash::FxHashMap;

/// A record by its entity and external id.
type Record = (EntityId, CompactString);

/// The records that writes of ours came to.
#[derive(Default)]
pub(super) struct Arrivals {
    /// The write of which each record is what came.
    pub(super) acks: FxHashMap<Record, Ack>,
    /// What came to records, by field, that was meant for records of other shards.
    pub(super) echoes: FxHashMap<Record, Vec<(usize, Cell)>>,
    /// Records, and a link of each other shard that a creation came to them from.
    apart: FxHashMap<Record, Vec<LinkId>>,
    /// Creations that came to records of other shards.
    pub(super) strayed: Vec<IntentId>,
    /// What people are told of them.
    pub(super) letters: Vec<DeadLetter>,
    /// Links that are known by other names from now on: their records are gone, and others have their keys.
    pub(super) renamed: Vec<Renamed>,
    /// How many of these were thought to be there.
    pub(super) lost: u64,
}

/// What becomes of a creation that came to a record.
enum Arrival {
    /// The record belongs to the shard that it was made from.
    Stands,
    /// Another record had its key, and is gone.
    Supersedes(LinkId),
    /// The record belongs to another shard.
    Strays,
}

impl Planner<'_> {
    /// Tells the records that creations made from those that they came upon.
    pub(super) fn arrive(&mut self) {
        let acks = std::mem::take(&mut self.news.acks);
        let (changes, creations): (Vec<_>, Vec<_>) =
            acks.into_iter().partition(|(_, ack)| ack.joins.is_none());
        self.arrivals.acks.extend(changes);
        for (record, ack) in creations {
            match self.arrival(&record, &ack) {
                Arrival::Strays => self.stray(record, &ack),
                Arrival::Supersedes(link) => {
                    let written = self.supersede(&record, link);
                    let ack = self.after(&record, ack, written);
                    self.arrivals.acks.insert(record, ack);
                }
                Arrival::Stands => drop(self.arrivals.acks.insert(record, ack)),
            }
        }
    }

    fn arrival(&self, record: &Record, ack: &Ack) -> Arrival {
        let shard_of = |link| self.view.links.get(&link).map(|row: &LinkRow| row.shard);
        let Some(own) = ack.joins.and_then(shard_of) else { return Arrival::Stands };
        let before = self.arrivals.acks.get(record).and_then(|ack| shard_of(ack.joins?));
        let known = self.view.by_record.get(record).and_then(|link| self.view.links.get(link));
        let Some(row) = known else {
            let is_taken = before.is_some_and(|other| other != own) && ack.came != Came::Made;
            return if is_taken { Arrival::Strays } else { Arrival::Stands };
        };
        let is_new = ack.came == Came::Made || (row.deleted && ack.came == Came::Written);
        // A record of ours may be read before we hear that it was made.
        let is_met = !row.deleted && self.says(record, row);
        if row.shard == own || (is_new && is_met) {
            Arrival::Stands
        } else if is_new {
            Arrival::Supersedes(row.id)
        } else {
            Arrival::Strays
        }
    }

    /// Whether a record says what its link knows of it.
    fn says(&self, record: &Record, row: &LinkRow) -> bool {
        let mut items = self.items.iter().rev();
        let item = items.find(|item| item.entity == record.0 && item.external_id == record.1);
        let digest = item.and_then(|item| match &item.content {
            Content::Image { .. } => item.digest.as_ref(),
            Content::Deleted => None,
        });
        digest.is_some_and(|digest| digest.hash == row.hash)
    }

    /// Whether a record with the key of one that is known to be deleted is another one: it shares nothing with that
    /// one by which the two could be matched. Asked only where the records of a shard stay together whatever they
    /// say, and where the system does not keep deleted records, with their keys.
    pub(super) fn is_another(&mut self, record: &Record, link: LinkId, image: &Image) -> bool {
        let conversion = self.entity(record.0).conversion.as_ref();
        let may_be = conversion.is_some_and(|conversion| !conversion.converter.marks_deleted())
            && self.is_sticky(link)
            && !self.touched_of.contains_key(&link)
            && !self.arrivals.acks.contains_key(record);
        if !may_be {
            return false;
        }
        let Ok(before) = self.stored_image(link) else { return false };
        let matcher = &self.type_of(record.0).matcher;
        let (mut old, mut new) = (Vec::new(), Vec::new());
        matcher.keys(&before, &mut old);
        matcher.keys(image, &mut new);
        let is_shared = |key: &BlockKey| old.iter().any(|known| known.hash == key.hash);
        !old.is_empty() && !new.is_empty() && !new.iter().any(is_shared)
    }

    /// The record of a link is gone, and another one has its key: the link goes on under a name of its own.
    /// Returns what we wrote to that key since.
    pub(super) fn supersede(&mut self, record: &Record, link: LinkId) -> Vec<(usize, Cell)> {
        let Some(row) = self.view.links.get(&link) else { return Vec::new() };
        let (entity, before) = record;
        let name = format_compact!("{before}#until-{link}");
        let touched = Touched { deleted: true, external_id: name.clone(), ..Touched::stored(row) };
        self.arrivals.lost += u64::from(!row.deleted);
        let renamed = Renamed { link, entity: *entity, before: before.clone(), name: name.clone() };
        self.arrivals.renamed.push(renamed);
        self.view.by_record.remove(record);
        let ack = self.arrivals.acks.remove(record);
        let written = ack.as_ref().map(|ack| ack.sent.clone()).unwrap_or_default();
        self.arrivals.acks.extend(ack.map(|ack| ((*entity, name), ack)));
        self.push_touched(touched);
        written
    }

    /// The creation of a record that may hold what was `written` for the one that had its key.
    fn after(&mut self, record: &Record, ack: Ack, written: Vec<(usize, Cell)>) -> Ack {
        if written.is_empty() {
            return ack;
        }
        self.arrivals.echoes.entry(record.clone()).or_default().extend(written);
        Ack { seen: Seen::Later, ..ack }
    }

    /// A creation came to a record of another shard. Neither is the other's: the record is owed what its own shard
    /// says, and the creation is refused.
    fn stray(&mut self, record: Record, ack: &Ack) {
        let (entity, external_id) = &record;
        let rules = self.entity(*entity);
        let problem = format!(
            "the system takes it for its record `{external_id}`, which is about another shard: merge the two with \
             `syncline merge` if they are one, else change the value that it takes them for one by"
        );
        if let Some(intent) = self.news.intents.iter_mut().find(|row| row.id == ack.intent) {
            let body =
                Body { external_id: CompactString::default(), ..Body::from_json(&intent.body) };
            intent.state = IntentState::Planned;
            intent.problem = Some(problem.clone());
            intent.body = body.to_json().into();
            let source = format!("{}/{}", rules.connection, rules.entity);
            self.arrivals.letters.extend(rules.two_way.as_ref().map(|two_way| {
                DeadLetter::of_write(&two_way.task, source, intent.id, &body, problem)
            }));
        }
        self.arrivals.strayed.push(ack.intent);
        if ack.came != Came::Met {
            // What it says now is no reply to anything else that was written to it.
            if let Some(other) = self.arrivals.acks.get_mut(&record) {
                other.seen = Seen::Later;
            }
            let echoes = self.arrivals.echoes.entry(record.clone()).or_default();
            echoes.extend(ack.sent.iter().cloned());
            self.arrivals.apart.entry(record).or_default().extend(ack.joins);
        }
    }

    /// A record that says for now what was meant for another shard is not matched with that one by it.
    pub(super) fn keep_apart(&mut self, record: &Record, link: LinkId) {
        let Some(others) = self.arrivals.apart.remove(record) else { return };
        let why = "the system took the two for one, and nobody has said that they are";
        let who = ("syncline", self.moment.started, why);
        let mut rulings = Rulings::default();
        rulings.decide(&[link], &others, Verdict::Apart, who);
        rulings.decided.iter().for_each(|decision| self.view.add_decision(decision.clone()));
        self.rulings.decided.append(&mut rulings.decided);
    }
}
