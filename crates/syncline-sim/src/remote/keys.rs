//! What key a remote gives to a record that we make.

use super::{Remote, State};
use compact_str::CompactString;
use syncline_core::value::Value;

/// The key of a creation.
pub(super) struct Key {
    pub(super) id: String,
    /// Whether the record is there already.
    pub(super) is_there: bool,
    /// What its versions begin with. One that begins anew with a key says nothing of which record it is of.
    pub(super) version: u64,
}

impl Remote {
    /// The key of a creation.
    pub(super) fn key_for(
        &self,
        state: &mut State,
        own: Option<&str>,
        fields: &[(CompactString, Value)],
    ) -> Key {
        if let Some(field) = self.traits.merges
            && let Some(id) = state.holding(field, fields)
        {
            return Key { id, is_there: true, version: 1 };
        }
        let free = if self.traits.reuses { state.free_key() } else { None };
        let own = own.map(|own| (own.to_owned(), 0));
        let (id, before) = own.or(free).unwrap_or_else(|| {
            state.next += 1;
            (format!("{}{}", self.name, state.next), 0)
        });
        Key { id, is_there: false, version: before + 1 }
    }
}

impl State {
    /// The record that holds the value of a field that a creation gives.
    fn holding(&self, field: &str, fields: &[(CompactString, Value)]) -> Option<String> {
        let (_, wanted) = fields.iter().find(|(name, _)| name == field)?;
        let mut records = self.records.iter();
        records.find(|(_, held)| held.fields.get(field) == Some(wanted)).map(|(id, _)| id.clone())
    }

    /// A person deletes a record: its key is free.
    pub(super) fn give_free(&mut self, id: &str) {
        let version = self.records.remove(id).map_or(0, |held| held.version);
        self.free.insert(id.to_owned(), version);
    }

    /// A key that was a record's, with the last version of that.
    fn free_key(&mut self) -> Option<(String, u64)> {
        let records = &self.records;
        self.free.retain(|id, _| !records.contains_key(id));
        self.free.pop_first()
    }
}
