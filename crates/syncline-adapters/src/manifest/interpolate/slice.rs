//! The part of a stream that is being read: a partition and a window of its cursor.

use serde_json::{Map, Value as Json};

/// One slice of a stream, as templates see it: a map of both, with each reachable by its own name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StreamSlice {
    partition: Json,
    cursor_slice: Json,
    extra_fields: Json,
    merged: Map<String, Json>,
}

/// The slice of a stream without partitions and windows: its parts are there, and empty.
impl Default for StreamSlice {
    fn default() -> Self {
        Self::new(Map::new(), Map::new(), Map::new())
    }
}

impl StreamSlice {
    /// The slice of `partition` within the window `cursor_slice`.
    pub(crate) fn new(
        partition: Map<String, Json>,
        cursor_slice: Map<String, Json>,
        extra_fields: Map<String, Json>,
    ) -> Self {
        let mut merged = partition.clone();
        merged.extend(cursor_slice.clone());
        Self {
            partition: Json::Object(partition),
            cursor_slice: Json::Object(cursor_slice),
            extra_fields: Json::Object(extra_fields),
            merged,
        }
    }

    /// What names the partition.
    pub(crate) fn partition(&self) -> &Map<String, Json> {
        object(&self.partition)
    }

    /// Start and end of the window.
    pub(crate) fn cursor_slice(&self) -> &Map<String, Json> {
        object(&self.cursor_slice)
    }

    /// What the parent's record holds beside its key.
    pub(crate) fn extra_fields(&self) -> &Map<String, Json> {
        object(&self.extra_fields)
    }

    /// Partition and window in one map.
    pub(crate) fn merged(&self) -> &Map<String, Json> {
        &self.merged
    }

    /// The attribute `name`, where it is one of the parts.
    pub(super) fn part(&self, name: &str) -> Option<&Json> {
        match name {
            "partition" | "_partition" => Some(&self.partition),
            "cursor_slice" => Some(&self.cursor_slice),
            "extra_fields" => Some(&self.extra_fields),
            _ => None,
        }
    }
}

fn object(json: &Json) -> &Map<String, Json> {
    static EMPTY: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
    json.as_object().unwrap_or(&EMPTY)
}
