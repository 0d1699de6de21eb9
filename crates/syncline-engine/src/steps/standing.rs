//! Where a task's last read stopped, and under which configuration.

use crate::world::World;
use serde::{Deserialize, Serialize};
use syncline_core::record::Cursor;
use syncline_store::execution::Begun;

/// What is kept as a task's cursor: the adapter's own, with the configuration that it was read under.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    conversion: String,
    at: Cursor,
}

/// Where the next read of a task begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// `None` where everything is read.
    pub(super) cursor: Option<Cursor>,
    /// The greatest value of the cursor field that was read.
    pub(super) high_water: Option<i64>,
}

impl Standing {
    /// Where the task stands: at its start, where its mapping has changed, so that every record is converted
    /// anew.
    pub(super) fn of(world: &World, task: &str, begun: &Begun) -> Self {
        let kept =
            begun.cursor.as_ref().and_then(|c| serde_json::from_value::<Kept>(c.clone()).ok());
        let Some(kept) = kept else { return Self::default() };
        if kept.conversion != world.conversion_fingerprint(task) {
            return Self::default();
        }
        Self { cursor: Some(kept.at), high_water: begun.high_water }
    }

    /// The cursor as it is kept.
    pub(super) fn keep(world: &World, task: &str, at: Cursor) -> Cursor {
        let kept = Kept { conversion: world.conversion_fingerprint(task).to_owned(), at };
        serde_json::to_value(kept).expect("a cursor is plain data")
    }
}
