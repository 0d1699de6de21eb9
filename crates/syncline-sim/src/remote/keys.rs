//! What key a remote gives to a record that we make.

use super::{Remote, State};
use compact_str::CompactString;
use syncline_core::value::Value;

impl Remote {
    /// The key of a creation, and whether the record is there already.
    pub(super) fn key_for(
        &self,
        state: &mut State,
        own: Option<&str>,
        fields: &[(CompactString, Value)],
    ) -> (String, bool) {
        if let Some(field) = self.traits.merges
            && let Some(id) = state.holding(field, fields)
        {
            return (id, true);
        }
        let free = if self.traits.reuses { state.free_key() } else { None };
        let id = own.map(str::to_owned).or(free).unwrap_or_else(|| {
            state.next += 1;
            format!("{}{}", self.name, state.next)
        });
        (id, false)
    }
}

impl State {
    /// The record that holds the value of a field that a creation gives.
    fn holding(&self, field: &str, fields: &[(CompactString, Value)]) -> Option<String> {
        let (_, wanted) = fields.iter().find(|(name, _)| name == field)?;
        let mut records = self.records.iter();
        records.find(|(_, held)| held.fields.get(field) == Some(wanted)).map(|(id, _)| id.clone())
    }

    /// A key that was a record's.
    fn free_key(&mut self) -> Option<String> {
        let records = &self.records;
        self.free.retain(|id| !records.contains_key(id));
        self.free.pop_first()
    }
}
