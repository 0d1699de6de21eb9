//! Partitions of other partitions: several at a time, or those of several routers.

use super::super::interpolate::StreamSlice;
use super::super::trouble::Trouble;
use super::Partitions;
use serde_json::{Map, Value as Json};
use std::collections::HashSet;

/// Partitions, several at a time.
pub(in super::super) struct Groups {
    pub(super) inner: Partitions,
    pub(super) size: usize,
    pub(super) seen: Option<HashSet<String>>,
}

/// The partitions of several routers, each value once.
pub(in super::super) struct Union {
    pub(super) inners: Vec<Partitions>,
    pub(super) at: usize,
    pub(super) field: String,
    pub(super) seen: HashSet<String>,
}

impl Groups {
    pub(super) async fn next(&mut self) -> Result<Option<StreamSlice>, Trouble> {
        let mut group: Vec<StreamSlice> = Vec::new();
        while group.len() < self.size {
            let Some(slice) = self.inner.next().await? else { break };
            let mut keys = slice.partition().iter().filter(|(name, _)| *name != "parent_slice");
            let (Some((_, key)), None) = (keys.next(), keys.next()) else {
                return Err(Trouble::config("only partitions of one field can be grouped"));
            };
            if self.seen.as_mut().is_none_or(|seen| seen.insert(key.to_string())) {
                group.push(slice);
            }
        }
        let Some(first) = group.first() else { return Ok(None) };
        let lists = |names: Vec<String>, of: &dyn Fn(&StreamSlice) -> Map<String, Json>| {
            let list = |name: String| {
                let values = group.iter().map(|s| of(s).get(&name).cloned().unwrap_or_default());
                let values = Json::Array(values.collect());
                (name, values)
            };
            names.into_iter().map(list).collect::<Map<_, _>>()
        };
        let partition =
            lists(first.partition().keys().cloned().collect(), &|s| s.partition().clone());
        let mut names = Vec::new();
        for name in group.iter().flat_map(|slice| slice.extra_fields().keys()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let extra = lists(names, &|slice| slice.extra_fields().clone());
        Ok(Some(StreamSlice::new(partition, Map::new(), extra)))
    }
}

impl Union {
    pub(super) async fn next(&mut self) -> Result<Option<StreamSlice>, Trouble> {
        while let Some(inner) = self.inners.get_mut(self.at) {
            let Some(slice) = inner.next().await? else {
                self.at += 1;
                continue;
            };
            let mut rest = slice.partition().clone();
            let Some(value) = rest.shift_remove(&self.field) else {
                return Err(Trouble::config(format!(
                    "a partition has no `{}`, which all routers of a union give",
                    self.field
                )));
            };
            if self.seen.insert(value.to_string()) {
                let partition = Map::from_iter([(self.field.clone(), value)]);
                let mut extra = slice.extra_fields().clone();
                extra.extend(rest);
                return Ok(Some(StreamSlice::new(partition, Map::new(), extra)));
            }
        }
        Ok(None)
    }
}
