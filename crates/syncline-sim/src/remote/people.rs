//! What people do at a remote.

use super::{Author, FIELDS, Held, People, Remote, Said};
use crate::random::Random;
use crate::trace::tell;
use std::collections::BTreeMap;
use syncline_core::value::Value;
use syncline_engine::Clock;

impl Remote {
    /// A person makes a record, with these fields.
    pub fn make(&self, id: &str, fields: &[(&str, &str)]) {
        let created = self.clock.now();
        let modified = self.stamp_at(created);
        let fields: BTreeMap<String, Value> = fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), self.stored(name, &Value::text(text))))
            .collect();
        let authors = fields.keys().map(|name| (name.clone(), Author::User(created))).collect();
        let held = Held { fields, authors, version: 1, modified, created, marker: None };
        self.state().records.insert(id.to_owned(), held);
    }

    /// A person sets a field of a record, now.
    pub fn set(&self, id: &str, field: &str, text: &str) {
        let at = self.clock.now();
        let stamp = self.stamp_at(at);
        let value = self.stored(field, &Value::text(text));
        if let Some(held) = self.state().records.get_mut(id) {
            held.fields.insert(field.to_owned(), value);
            held.authors.insert(field.to_owned(), Author::User(at));
            held.version += 1;
            held.modified = stamp;
        }
    }

    /// A person deletes a record.
    pub fn remove(&self, id: &str) {
        let mut state = self.state();
        state.give_free(id);
    }

    /// A person does something.
    pub fn user_acts(&self) {
        let (what, which, field, value) = self.random(|random| {
            let value = self.made_up(random);
            (random.below(10), random.bits(), self.field(random), value)
        });
        let created = self.clock.now();
        let stamp = self.stamp_at(created);
        let People { tenant, crowd, .. } = self.people;
        let mut state = self.state();
        state.edits += 1;
        let len = state.records.len();
        let target = usize::try_from(which).unwrap_or(0) % len.max(1);
        let target = state.records.keys().nth(target).cloned();
        let is_full = crowd > 0 && len >= crowd;
        match (what, target) {
            (0, Some(id)) => {
                tell(|| format!("a person deletes {id}"));
                state.give_free(&id);
                state.deleted_by_users.insert(id);
            }
            (what, target) if target.is_none() || ((1..=2).contains(&what) && !is_full) => {
                state.next += 1;
                let id = format!("{}{}", self.name, state.next);
                // Some are known elsewhere already.
                let email = format!("p{}@x.org", which % 6);
                let is_taken =
                    state.records.values().any(|r| r.fields["email"] == Value::text(&email));
                let email = if is_taken { format!("{id}@x.org") } else { email };
                let mut fields = BTreeMap::new();
                fields.insert("email".to_owned(), Value::text(email));
                let name = self.stored("name", &Value::text(format!("N{value}{tenant}")));
                fields.insert("name".to_owned(), name);
                fields.insert("notes".to_owned(), Value::text(format!("t{value}{tenant}")));
                tell(|| format!("a person makes {id} {fields:?}"));
                let authors =
                    fields.keys().map(|name| (name.clone(), Author::User(created))).collect();
                let said = fields.iter().map(|(field, value)| Said {
                    id: id.clone(),
                    field: field.clone(),
                    value: value.clone(),
                    at: created,
                });
                state.said.extend(said);
                let (version, modified, marker) = (1, stamp, None);
                let held = Held { fields, authors, version, modified, created, marker };
                state.records.insert(id, held);
            }
            (_, target) => {
                drop(state);
                if let Some(id) = target {
                    self.user_sets(&id, field, value);
                }
            }
        }
    }

    /// A person sets a field of a record to a made-up value.
    pub(super) fn user_sets(&self, id: &str, field: &str, value: u64) {
        let created = self.clock.now();
        let (stamp, tenant) = (self.stamp_at(created), self.people.tenant);
        let mut state = self.state();
        let Some(held) = state.records.get_mut(id) else { return };
        let text = match field {
            "email" => format!("{id}v{value}@x.org"),
            other => format!("{other} V{value}{tenant}"),
        };
        tell(|| format!("a person sets {field} of {id} to {text}"));
        let value = self.stored(field, &Value::text(text));
        held.fields.insert(field.to_owned(), value.clone());
        held.authors.insert(field.to_owned(), Author::User(created));
        held.version += 1;
        held.modified = stamp.max(held.modified);
        let (id, field) = (id.to_owned(), field.to_owned());
        state.said.push(Said { id, field, value, at: created });
    }

    /// A person sets a field of a record, this one or any, to a value that they make up.
    pub(super) fn user_edits(&self, id: &str, field: Option<&str>) {
        let (any, value) = self.random(|random| (self.field(random), self.made_up(random)));
        self.state().edits += 1;
        self.user_sets(id, field.unwrap_or(any), value);
    }

    /// A field that a person edits.
    fn field(&self, random: &mut Random) -> &'static str {
        let any = random.pick(&FIELDS);
        let is_topic = random.happens(60);
        self.people.topic.filter(|_| is_topic).unwrap_or(any)
    }

    fn made_up(&self, random: &mut Random) -> u64 {
        match self.people.domain {
            // Short enough that every text of it fits where short texts are kept.
            0 => random.bits() >> 30,
            domain => random.below(domain),
        }
    }
}
