//! Streams with partitions: a position for each, and one for all where there are too many.

use super::super::interpolate::moment::Period;
use super::super::select::Records;
use super::super::trouble::Trouble;
use super::{Bounds, CursorRules, Position};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// From this many partitions on, only one position for all of them is kept.
const PARTITIONS_MAX: usize = 10_000;

/// The positions of a stream's partitions.
#[derive(Debug)]
pub(in super::super) struct PerPartition {
    pub(in super::super) rules: CursorRules,
    positions: HashMap<String, Kept>,
    /// The keys in the order in which they came.
    order: Vec<String>,
    global: Option<Json>,
    new_global: Option<Json>,
    /// How far before the global position new partitions begin, in seconds.
    lookback: i64,
    use_global: bool,
    parent_state: Option<Json>,
    saw_records: bool,
    /// The first partition of this run, and whether it was read to its end.
    first: Option<(String, bool)>,
    /// When this run began, in microseconds since 1970.
    began: i64,
}

#[derive(Debug)]
struct Kept {
    partition: Map<String, Json>,
    position: Position,
    /// Whether it was met in this run.
    seen: bool,
}

/// The name of a partition: its JSON with sorted keys.
fn key_of(partition: &Map<String, Json>) -> String {
    fn sorted(value: &Json) -> Json {
        match value {
            Json::Object(entries) => {
                let mut pairs: Vec<_> = entries.iter().collect();
                pairs.sort_by_key(|(name, _)| name.as_str());
                pairs.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
            }
            Json::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    sorted(&Json::Object(partition.clone())).to_string()
}

impl PerPartition {
    /// Takes up a state.
    pub(in super::super) fn new(
        rules: CursorRules,
        state: &Map<String, Json>,
        always_global: bool,
        began: i64,
    ) -> Result<Self, Trouble> {
        let mut cursor = Self {
            rules,
            positions: HashMap::new(),
            order: Vec::new(),
            global: None,
            new_global: None,
            lookback: 0,
            use_global: always_global,
            parent_state: state
                .get("parent_state")
                .filter(|s| super::super::load::is_truthy(s))
                .cloned(),
            saw_records: false,
            first: None,
            began,
        };
        if !state.contains_key("states") && !state.contains_key("state") {
            cursor.set_global(state);
            return Ok(cursor);
        }
        if let Some(use_global) = state.get("use_global_cursor").and_then(Json::as_bool) {
            cursor.use_global = use_global;
        }
        cursor.lookback = state.get("lookback_window").and_then(Json::as_i64).unwrap_or(0);
        for entry in state.get("states").and_then(Json::as_array).into_iter().flatten() {
            let map = |name: &str| entry.get(name).and_then(Json::as_object).cloned();
            let (Some(partition), Some(position)) = (map("partition"), map("cursor")) else {
                return Err(Trouble::config(
                    "the state of a partition has no partition or no cursor",
                ));
            };
            let position = Position::from_state(&cursor.rules, &position, Period::default())?;
            cursor.keep(key_of(&partition), partition, position, false);
        }
        if let Some(global) = state.get("state").and_then(Json::as_object) {
            cursor.set_global(global);
        }
        Ok(cursor)
    }

    fn set_global(&mut self, state: &Map<String, Json>) {
        let moment = state.get(&self.rules.field).and_then(|value| self.rules.parse(value));
        self.global = moment.map(|moment| self.rules.write(&moment));
        self.new_global = self.global.clone();
    }

    fn keep(&mut self, key: String, partition: Map<String, Json>, position: Position, seen: bool) {
        self.order.push(key.clone());
        self.positions.insert(key, Kept { partition, position, seen });
    }

    /// Begins with a partition; `None` where it came before in this run.
    pub(in super::super) fn begin(
        &mut self,
        partition: &Map<String, Json>,
    ) -> Result<Option<&mut Position>, Trouble> {
        if self.positions.len() > PARTITIONS_MAX {
            self.use_global = true;
        }
        let key = key_of(partition);
        if !self.positions.contains_key(&key) {
            let mut state = Map::new();
            let mut lookback = 0;
            if let Some(global) = &self.global {
                state.insert(self.rules.field.clone(), global.clone());
                lookback = self.lookback;
            }
            let lookback = Period { micros: i128::from(lookback) * 1_000_000, months: 0 };
            let position = Position::from_state(&self.rules, &state, lookback)?;
            self.keep(key.clone(), partition.clone(), position, false);
        }
        self.first.get_or_insert_with(|| (key.clone(), false));
        let kept = self.positions.get_mut(&key).filter(|kept| !kept.seen);
        Ok(kept.map(|kept| {
            kept.seen = true;
            &mut kept.position
        }))
    }

    fn position(&mut self, partition: &Map<String, Json>) -> Option<&mut Position> {
        self.positions.get_mut(&key_of(partition)).map(|kept| &mut kept.position)
    }

    /// Takes note of the records of one page.
    pub(in super::super) fn observe(&mut self, partition: &Map<String, Json>, records: &Records) {
        for moment in self.rules.moments(records).into_iter().flatten() {
            self.saw_records = true;
            let written = self.rules.write(&moment);
            self.raise_global(written);
            if !self.use_global
                && let Some(position) = self.position(partition)
            {
                position.observe(moment);
            }
        }
    }

    fn raise_global(&mut self, value: Json) {
        let higher = match (&self.new_global, value.as_str()) {
            (Some(Json::String(old)), Some(new)) => old.as_str() < new,
            (Some(Json::Number(old)), None) => old.as_i64() < value.as_i64(),
            _ => true,
        };
        if higher {
            self.new_global = Some(value);
        }
    }

    /// Takes note that a window of a partition was read to its end.
    pub(in super::super) fn close(
        &mut self,
        slice: &super::super::interpolate::StreamSlice,
        is_last: bool,
    ) -> Result<(), Trouble> {
        if let Some((first, closed)) = &mut self.first {
            *closed |= is_last && *first == key_of(slice.partition());
        }
        if self.use_global {
            return Ok(());
        }
        let rules = self.rules.clone();
        let Some(position) = self.position(slice.partition()) else { return Ok(()) };
        position.close(&rules, slice)?;
        let value = position.state(&rules).get(&rules.field).cloned();
        if let Some(value) = value.filter(|_| is_last) {
            self.raise_global(value);
        }
        Ok(())
    }

    /// Takes note that every partition was read.
    pub(in super::super) fn finish(&mut self, parent_state: Option<Json>, now: i64) {
        if self.saw_records {
            self.global = self.new_global.clone();
            self.lookback = (now - self.began).max(0) / 1_000_000 + 1;
        }
        self.parent_state = parent_state;
    }

    /// Takes note that not every partition was read. What parents that nothing depends on are at is nothing, and is
    /// said once a partition was read.
    pub(in super::super) fn break_off(&mut self, parent_state: Option<Json>) {
        let is_empty = |state: &Json| state.as_object().is_some_and(Map::is_empty);
        if self.parent_state.is_none() && self.first.as_ref().is_some_and(|(_, closed)| *closed) {
            self.parent_state = parent_state.filter(is_empty);
        }
    }

    pub(in super::super) fn state(&self) -> Map<String, Json> {
        let mut state = Map::new();
        state.insert("use_global_cursor".to_owned(), Json::Bool(self.use_global));
        if !self.use_global {
            let mut states = Vec::with_capacity(self.order.len());
            for kept in self.order.iter().filter_map(|key| self.positions.get(key)) {
                let cursor = kept.position.state(&self.rules);
                if !cursor.is_empty() {
                    let mut entry = Map::new();
                    entry.insert("partition".to_owned(), Json::Object(kept.partition.clone()));
                    entry.insert("cursor".to_owned(), Json::Object(cursor));
                    states.push(Json::Object(entry));
                }
            }
            state.insert("states".to_owned(), Json::Array(states));
        }
        if let Some(global) = &self.global {
            let global = Map::from_iter([(self.rules.field.clone(), global.clone())]);
            state.insert("state".to_owned(), Json::Object(global));
        }
        state.insert("lookback_window".to_owned(), self.lookback.into());
        if let Some(parent) = &self.parent_state {
            state.insert("parent_state".to_owned(), parent.clone());
        }
        state
    }

    /// Between which moments the records of a partition are wanted.
    pub(in super::super) fn bounds(&self, partition: &Map<String, Json>) -> Option<Bounds> {
        let known = self.positions.get(&key_of(partition))?;
        Some(known.position.bounds(&self.rules))
    }
}
