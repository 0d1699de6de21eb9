//! The third step: records become items of a plan, on a thread of its own where there is more than one.

use super::Execution;
use super::plan::deletion;
use crate::world::World;
use compact_str::CompactString;
use std::sync::Arc;
use syncline_core::convert::{Converted, FieldError, Outcome as Conversion, stamp};
use syncline_core::plan::rows::EntityId;
use syncline_core::plan::rules::{Conversion as Rules, Item, record_json};
use syncline_core::plan::writes::{Counters, DeadLetter};
use syncline_core::record::Page;
use tokio::sync::mpsc;

/// A page, and what its records say.
pub(super) struct Work {
    pub(super) page: Page,
    /// `None` once it was taken.
    pub(super) said: Option<Said>,
    /// The greatest value of the cursor field in the page.
    pub(super) high_water: Option<i64>,
}

/// What the records of a page say: items to plan, and entries of the ledger for those that make none.
#[derive(Default)]
pub(super) struct Said {
    pub(super) items: Vec<Item>,
    /// For each item: the record's place in the page and its external id; `None` for what is derived or gone.
    pub(super) origins: Vec<Option<(usize, CompactString)>>,
    /// Records that were filtered or refused: they are at the source all the same.
    pub(super) passed_over: Vec<(EntityId, CompactString)>,
    pub(super) counters: Counters,
    pub(super) dead_letters: Vec<DeadLetter>,
    /// Of all records, refused ones too.
    pub(super) external_ids: Vec<CompactString>,
}

/// What transforms pages, wherever it runs.
pub(super) struct Transformer {
    world: Arc<World>,
    task: String,
    entity: EntityId,
    /// Whether most records will be new, so that their match keys are wanted.
    is_first: bool,
}

impl Execution<'_> {
    pub(super) fn transformer(&self, is_first: bool) -> Transformer {
        let (world, task) = (self.world.clone(), self.name.clone());
        Transformer { world, task, entity: self.entity, is_first }
    }
}

impl Transformer {
    /// Transforms pages until there are no more, or nobody wants them.
    pub(super) async fn run(
        &self,
        cursor_field: Option<&str>,
        mut pages: mpsc::Receiver<Page>,
        work: &mpsc::Sender<Box<Work>>,
    ) {
        // What a page says takes several times its room, so none is transformed before there is a place for it.
        while let Ok(place) = work.reserve().await {
            let Some(page) = pages.recv().await else { return };
            let said = Some(self.transform(&page));
            let high_water = cursor_field.and_then(|field| high_water(&page, field));
            place.send(Box::new(Work { page, said, high_water }));
        }
    }

    /// Converts the records of a page, and sorts out what became of them.
    pub(super) fn transform(&self, page: &Page) -> Said {
        let mut said = Said::default();
        said.counters.fetched = page.len() as u64;
        said.counters.failed = page.rejected.len() as u64;
        said.dead_letters.extend(page.rejected.iter().map(|rejected| DeadLetter {
            task: self.task.clone(),
            source: rejected.source.clone(),
            line: rejected.line,
            external_id: None,
            phase: "fetching".to_owned(),
            problem: rejected.problem.clone(),
            payload: rejected.payload.clone(),
        }));
        let rules = self.world.rules.entities.get(&self.entity);
        let Some(conversion) = rules.and_then(|rules| rules.conversion.as_ref()) else {
            return said;
        };
        let converted = conversion.converter.convert(page);
        said.items.reserve(converted.len() * 2);
        for (index, record) in converted.into_iter().enumerate() {
            self.take(page, index, record, conversion, &mut said);
        }
        for item in &mut said.items {
            item.digest(&self.world.rules, self.is_first);
        }
        said
    }

    /// Whether the record was erased here: it is there, and nothing is taken of it.
    fn is_erased(&self, external_id: &str) -> bool {
        let name = self.world.entities.get(&self.entity);
        name.is_some_and(|name| self.world.is_erased(name, external_id))
    }

    fn take(
        &self,
        page: &Page,
        index: usize,
        record: Converted,
        conversion: &Rules,
        said: &mut Said,
    ) {
        let Converted { external_id, modified, outcome, .. } = record;
        said.external_ids.push(external_id.clone());
        if self.is_erased(&external_id) {
            said.counters.skipped += 1;
            said.counters.filtered += 1;
            return;
        }
        match outcome {
            Conversion::Mapped(mapped) => {
                let (id, items) = (external_id.clone(), &mut said.items);
                Item::from_mapped(self.entity, conversion, id, modified, *mapped, items);
                said.origins.resize(said.items.len() - 1, None);
                said.origins.push(Some((index, external_id)));
            }
            Conversion::Deleted => {
                said.items.push(deletion(self.entity, external_id, modified, true));
                said.origins.push(None);
            }
            Conversion::Filtered => {
                said.counters.skipped += 1;
                said.counters.filtered += 1;
                said.passed_over.push((self.entity, external_id));
            }
            Conversion::Invalid(errors) => {
                said.counters.skipped += 1;
                said.counters.invalid += 1;
                let letter =
                    refused(&self.world, &self.task, page, index, external_id.clone(), &errors);
                said.dead_letters.push(letter);
                said.passed_over.push((self.entity, external_id));
            }
        }
    }
}

/// The dead letter of a record whose values were refused.
pub(super) fn refused(
    world: &World,
    task: &str,
    page: &Page,
    index: usize,
    external_id: CompactString,
    errors: &[FieldError],
) -> DeadLetter {
    let record = &page.records[index];
    let source = usize::try_from(record.source).ok().and_then(|s| page.sources.get(s));
    let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
    DeadLetter {
        task: task.to_owned(),
        source: source.map(ToString::to_string).unwrap_or_default(),
        line: record.line,
        external_id: (!external_id.is_empty()).then(|| external_id.to_string()),
        phase: "transforming".to_owned(),
        // A rule's own text, such as the values of an `enum`, may come from a secret.
        problem: world.scrub(&problems.join("\n")),
        payload: record_json(page.shape.names(), &record.cells),
    }
}

fn high_water(page: &Page, field: &str) -> Option<i64> {
    let index = page.shape.position(field)?;
    page.records.iter().filter_map(|record| record.cell(index).and_then(stamp)).max()
}
