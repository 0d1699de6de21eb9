//! The third step: records become images, on a thread of its own.

use crate::world::World;
use syncline_core::convert::{Converted, stamp};
use syncline_core::plan::rows::EntityId;
use syncline_core::record::Page;
use tokio::sync::mpsc;

/// A page, and what its records became.
pub(super) struct Work {
    pub(super) page: Page,
    pub(super) converted: Vec<Converted>,
    /// The greatest value of the cursor field in the page.
    pub(super) high_water: Option<i64>,
}

/// Converts pages until there are no more, or nobody wants them.
pub(super) fn transform(
    world: &World,
    entity: EntityId,
    cursor_field: Option<&str>,
    mut pages: mpsc::Receiver<Page>,
    work: &mpsc::Sender<Work>,
) {
    while let Some(page) = pages.blocking_recv() {
        let converted = convert(world, entity, &page);
        let high_water = cursor_field.and_then(|field| high_water(&page, field));
        if work.blocking_send(Work { page, converted, high_water }).is_err() {
            return;
        }
    }
}

/// Converts the records of a page.
pub(super) fn convert(world: &World, entity: EntityId, page: &Page) -> Vec<Converted> {
    let conversion = world.rules.entities.get(&entity).and_then(|rules| rules.conversion.as_ref());
    conversion.map(|conversion| conversion.converter.convert(page)).unwrap_or_default()
}

fn high_water(page: &Page, field: &str) -> Option<i64> {
    let index = page.shape.position(field)?;
    page.records.iter().filter_map(|record| record.cell(index).and_then(stamp)).max()
}
