//! Where a task's last read stopped, and under which configuration.

use crate::execution::EngineError;
use crate::world::World;
use serde::{Deserialize, Serialize};
use syncline_core::record::Cursor;
use syncline_store::execution::Begun;

/// What is kept as a task's cursor: the adapter's own, with the configuration that it was read under.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    conversion: String,
    matching: String,
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
    ///
    /// # Errors
    ///
    /// [`EngineError::MatchingChanged`] where its match rules have: keys and pairs of the records in the store
    /// are those of the old rules.
    pub(super) fn of(world: &World, task: &str, begun: &Begun) -> Result<Self, EngineError> {
        let kept =
            begun.cursor.as_ref().and_then(|c| serde_json::from_value::<Kept>(c.clone()).ok());
        let Some(kept) = kept else { return Ok(Self::default()) };
        let (conversion, matching) = world.task_fingerprints(task);
        if kept.matching != matching {
            return Err(EngineError::MatchingChanged(task.to_owned()));
        }
        if kept.conversion != conversion {
            return Ok(Self::default());
        }
        Ok(Self { cursor: Some(kept.at), high_water: begun.high_water })
    }

    /// The cursor as it is kept.
    pub(super) fn keep(world: &World, task: &str, at: Cursor) -> Cursor {
        let (conversion, matching) = world.task_fingerprints(task);
        let kept = Kept { conversion, matching, at };
        serde_json::to_value(kept).expect("a cursor is plain data")
    }
}
