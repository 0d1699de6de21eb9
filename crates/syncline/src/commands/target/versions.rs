//! Versions of streams: a tap that sends a whole table gives its records a new version, and says at the end that
//! whatever does not have it is gone.

use super::destination::Destination;
use super::memory::Memory;
use crate::error::Error;
use rustc_hash::{FxHashSet, FxHasher};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use syncline_core::plan::rows::LinkId;
use syncline_core::record::{Page, Record, Shape};
use syncline_core::value::Value;

/// So many links are looked at together.
const LINKS: usize = 2000;

pub(super) struct Versions {
    /// Versions that began before this run, so that it does not know all of their records.
    before: BTreeMap<String, i64>,
    streams: BTreeMap<String, Version>,
}

/// A version that began in this run, and its records, each as a number.
struct Version {
    version: i64,
    seen: FxHashSet<u64>,
}

impl Versions {
    pub(super) fn new(memory: &Memory) -> Self {
        Self { before: memory.versions(), streams: BTreeMap::new() }
    }

    /// Records of this version follow.
    pub(super) fn begin(
        &mut self,
        stream: &str,
        version: i64,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        if self.before.get(stream) == Some(&version) {
            self.streams.remove(stream);
            return Ok(());
        }
        let seen = FxHashSet::default();
        self.streams.insert(stream.to_owned(), Version { version, seen });
        memory.begin(stream, version)
    }

    /// Remembers the records that are about to be stored.
    pub(super) async fn see(
        &mut self,
        stream: &str,
        tasks: &[String],
        pages: &[Page],
        destination: &mut Destination,
    ) -> Result<(), Error> {
        let Some(version) = self.streams.get_mut(stream) else { return Ok(()) };
        let world = destination.ready().await?.world().clone();
        for task in tasks {
            let (_, entity) = world.task(task)?;
            let rules = world.rules.entities.get(&entity);
            let Some(conversion) = rules.and_then(|rules| rules.conversion.as_ref()) else {
                continue;
            };
            for page in pages {
                let ids = conversion.converter.external_ids(page);
                version.seen.extend(ids.iter().flatten().map(|id| number(id)));
            }
        }
        Ok(())
    }

    /// The records that are not of this version, as deleted ones, for each task. None where it cannot be told: where
    /// no record of it came, or some may have come before this run.
    pub(super) async fn gone(
        &mut self,
        stream: &str,
        version: i64,
        destination: &mut Destination,
    ) -> Result<Vec<(String, Vec<Page>)>, Error> {
        let known = self.streams.get(stream);
        let Some(known) = known.filter(|known| known.version == version && !known.seen.is_empty())
        else {
            return Ok(Vec::new());
        };
        let tasks = destination.tasks(stream);
        let world = destination.ready().await?.world().clone();
        let mut gone = Vec::new();
        for task in tasks {
            let (declared, entity) = world.task(&task)?;
            let connection = &world.config.connections[&declared.connection];
            let key = connection.entities[&declared.entity].key.as_slice();
            let rules = world.rules.entities.get(&entity);
            let Some(conversion) = rules.and_then(|rules| rules.conversion.as_ref()) else {
                continue;
            };
            let shape = Arc::new(Shape::new(key));
            let (mut after, mut pages) = (LinkId(0), Vec::new());
            loop {
                let links = world.store.links(after, LINKS).await?;
                let Some(last) = links.last() else { break };
                after = last.id;
                let is_gone = |link: &&syncline_core::plan::rows::LinkRow| {
                    link.entity == entity
                        && !link.deleted
                        && !known.seen.contains(&number(&link.external_id))
                };
                let key_of = |external_id: &str| {
                    let values = conversion.converter.key_of(external_id)?;
                    let cells = values.iter().map(|value| Some(Value::text(value))).collect();
                    Some(Record { cells, deleted: true, ..Record::default() })
                };
                let records: Vec<Record> = links
                    .iter()
                    .filter(is_gone)
                    .filter_map(|link| key_of(&link.external_id))
                    .collect();
                if !records.is_empty() {
                    let (shape, sources) = (shape.clone(), vec![Arc::from(stream)]);
                    pages.push(Page { shape, records, sources, ..Page::default() });
                }
            }
            gone.push((task, pages));
        }
        Ok(gone)
    }
}

fn number(id: &str) -> u64 {
    let mut hasher = FxHasher::default();
    id.hash(&mut hasher);
    hasher.finish()
}
