//! What an execution tells while it runs.

use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Something that happened in an execution. Names and payloads are the specification's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Event {
    /// An execution began, or an interrupted one goes on.
    #[serde(rename = "syncTask.triggered")]
    Triggered {
        /// The task.
        task_id: String,
        /// The tenant.
        tenant_id: String,
        /// The execution.
        execution_id: String,
        /// `manual`, `schedule` or `retry`.
        triggered_by: String,
        /// Whether it goes on where a dead worker stopped.
        resumed: bool,
    },
    /// The connection is not read as the configuration lets one think.
    #[serde(rename = "syncTask.noted")]
    Noted {
        /// The task.
        task_id: String,
        /// What is to be known.
        message: String,
    },
    /// Records arrived.
    #[serde(rename = "sync.records.fetched")]
    Fetched {
        /// The task.
        task_id: String,
        /// The connection.
        integration_id: String,
        /// How many records arrived in this execution so far.
        metric: u64,
    },
    /// A batch was committed.
    #[serde(rename = "syncTask.batchProcessed")]
    BatchProcessed {
        /// The task.
        task_id: String,
        /// From 0.
        batch_index: u64,
        /// Records in the batch.
        batch_size: u64,
        /// Of these: made a new shard.
        records_created: u64,
        /// Of these: could not be read, or failed.
        records_failed: u64,
        /// Records of the execution so far.
        processed_records: u64,
        /// How far the execution is.
        progress: Progress,
    },
    /// A failed call is tried again.
    #[serde(rename = "syncTask.retryAttempt")]
    RetryAttempt {
        /// The task.
        task_id: String,
        /// From 1.
        attempt: u32,
        /// Records that are tried again; 0 for a page that was not read.
        records_retried: u64,
        /// Of these: went through.
        records_succeeded: u64,
        /// Of these: failed again.
        records_failed: u64,
        /// Why.
        error: String,
        /// How long is waited first, in milliseconds.
        delay_ms: u64,
    },
    /// The execution ended.
    #[serde(rename = "syncTask.completed")]
    Completed {
        /// The task.
        task_id: String,
        /// The execution.
        execution_id: String,
        /// `success`, `partial`, `failed` or `cancelled`.
        status: String,
        /// Records that were fetched.
        records_processed: u64,
        /// Records that made a new shard.
        records_created: u64,
        /// Records that changed what was there.
        records_updated: u64,
        /// Records that failed.
        records_failed: u64,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
}

/// Whoever is told of events, at once and from the execution itself: it must not block.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// How far an execution is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// `initializing`, `fetching`, `transforming`, `saving`, `complete`.
    pub phase: String,
    /// From 0 to 100; never falls.
    pub percentage: f64,
    /// Records a second since this process began with the execution.
    pub records_per_s: f64,
    /// Seconds to the end at this pace, where the source's size is known.
    pub eta_s: Option<f64>,
}

impl Event {
    /// The event in CloudEvents form (JSON format of version 1.0.2).
    pub fn to_cloud_event(&self, id: &str, at_us: i64) -> Value {
        let mut data = serde_json::to_value(self).expect("events are plain data");
        let name = data.as_object_mut().and_then(|map| map.remove("type")).unwrap_or_default();
        let time = jiff::Timestamp::from_microsecond(at_us).map(|time| time.to_string());
        json!({
            "specversion": "1.0",
            "id": id,
            "source": "/syncline",
            "type": name,
            "time": time.unwrap_or_default(),
            "datacontenttype": "application/json",
            "data": data,
        })
    }
}
