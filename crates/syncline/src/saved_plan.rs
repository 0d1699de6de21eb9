//! A preview that was saved to a file, so that exactly this is done later, or nothing.
//!
//! The file names every record that the preview read and the store did not know so, and every write. Before it is
//! applied, the preview is made once more: where a record, the configuration or the store is not as it was, nothing is
//! done. What is sent then is held against the file write by write, so that what moves in the last moment is left for
//! another run.

use crate::error::Error;
use crate::preview::{ChangeSet, WriteChange};
use crate::syncing::Syncline;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syncline_core::plan::intent::Fingerprint;
use syncline_store::overlay::OverlayStore;

const FORMAT: &str = "syncline-plan-1";

/// How many of the things that moved are named.
const NAMED_MAX: usize = 5;

/// What a saved preview says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedPlan {
    format: String,
    /// Names the configuration by what it says.
    configuration: String,
    /// The latest execution that the store knew.
    after_execution: Option<String>,
    pub(crate) tasks: Vec<String>,
    pub(crate) full: bool,
    pub(crate) allow_deletes: bool,
    /// By connection and entity, then by external id: what names the record's content.
    records: BTreeMap<String, BTreeMap<String, String>>,
    /// What would be changed, for people.
    changes: serde_json::Value,
    /// Of these, what would be sent.
    #[serde(skip)]
    writes: Vec<WriteChange>,
}

impl SavedPlan {
    /// The plan of tasks that were previewed on `overlay`.
    pub(crate) async fn of(
        sync: &Syncline,
        overlay: &OverlayStore,
        after_execution: Option<String>,
        (tasks, full, allow_deletes): (Vec<String>, bool, bool),
        changes: ChangeSet,
    ) -> Result<Self, Error> {
        let mut records: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (_, link) in overlay.written().await?.links {
            let entity = sync.world().entities.get(&link.entity);
            let entity = entity.map(|of| format!("{}/{}", of.connection, of.entity));
            let content =
                if link.deleted { "gone".to_owned() } else { format!("{:032x}", link.hash) };
            let of_entity = records.entry(entity.unwrap_or_default()).or_default();
            of_entity.insert(link.external_id.to_string(), content);
        }
        Ok(Self {
            format: FORMAT.to_owned(),
            configuration: sync.world().fingerprint.clone(),
            after_execution,
            tasks,
            full,
            allow_deletes,
            records,
            writes: changes.writes.clone(),
            changes: serde_json::to_value(changes).unwrap_or_default(),
        })
    }

    /// Writes it to a file.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        std::fs::write(path, text + "\n")
            .map_err(|source| Error::Write { path: path.to_owned(), source })
    }

    /// Reads one from a file.
    pub(crate) fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let read = || {
            let plan: Self = serde_json::from_str(&text).ok()?;
            let writes = serde_json::from_value(plan.changes.get("writes")?.clone()).ok()?;
            (plan.format == FORMAT).then_some(Self { writes, ..plan })
        };
        read().ok_or_else(|| {
            let message = format!("`{}` is no plan of this version", path.display());
            Error::refused(message, HINT)
        })
    }

    /// Names the writes that it allows.
    pub(crate) fn fingerprints(&self) -> BTreeSet<Fingerprint> {
        self.writes.iter().map(|write| write.fingerprint).collect()
    }

    /// Makes sure that it is what a preview says now.
    ///
    /// # Errors
    ///
    /// Everything that moved since it was saved, by name.
    pub(crate) fn expect_unmoved(&self, now: &Self) -> Result<(), Error> {
        let mut moved = Vec::new();
        if self.configuration != now.configuration {
            moved.push("the configuration says something else".to_owned());
        }
        if self.after_execution != now.after_execution {
            moved.push("the store changed: something ran".to_owned());
        }
        let none = BTreeMap::new();
        let entities: BTreeSet<&String> = self.records.keys().chain(now.records.keys()).collect();
        for entity in entities {
            let before = self.records.get(entity).unwrap_or(&none);
            let after = now.records.get(entity).unwrap_or(&none);
            let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for id in ids {
                let what = match (before.get(id), after.get(id)) {
                    (Some(before), Some(after)) if before == after => continue,
                    (_, Some(after)) if after == "gone" => "is gone",
                    (None, Some(_)) if self.after_execution.is_none() => "is new",
                    (Some(_), None) if self.after_execution.is_none() => "is gone",
                    _ => "changed",
                };
                moved.push(format!("{entity} {id} {what}"));
            }
        }
        if moved.is_empty() {
            let mut writes = self.fingerprints();
            let differ = now.writes.iter().find(|write| !writes.remove(&write.fingerprint));
            let left = self.writes.iter().find(|w| writes.contains(&w.fingerprint));
            moved.extend(differ.or(left).map(|write| {
                format!(
                    "what would be written to {} {} is another thing",
                    write.to, write.external_id
                )
            }));
        }
        if moved.is_empty() {
            return Ok(());
        }
        let more = moved.len().saturating_sub(NAMED_MAX);
        moved.truncate(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let message =
            format!("since the plan was saved, the ground has moved: {}{more}", moved.join("; "));
        Err(Error::refused(message, HINT))
    }
}

const HINT: &str = "nothing was done; `syncline preview --save PLAN` makes a new plan";

/// The latest execution in the store.
pub(crate) async fn latest_execution(sync: &Syncline) -> Result<Option<String>, Error> {
    Ok(sync.store().executions(None, 1).await?.into_iter().next().map(|row| row.uuid))
}
