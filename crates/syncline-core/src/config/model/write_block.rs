//! How the records of a connector's streams are written: the `write` block, which manifests do not have.

use super::indexed::IndexedMap;
use crate::value::Value;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;

/// How the streams of a connector are written: `write.yaml` beside a manifest, or the same key in it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WriteFile {
    /// How records are written, by stream.
    pub write: IndexedMap<WriteBlock>,
}

/// How the records of one stream are written. Texts are templates, as everywhere in a manifest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WriteBlock {
    /// The address that paths belong to. Default: that of the stream.
    pub url_base: Option<String>,
    /// Fields that the system alone sets. A write that names one is refused.
    pub read_only: Vec<String>,
    /// What a field is given that is to hold nothing, where that is not null.
    pub null_as: Option<Value>,
    /// Where the version of a record stands, if not in the record: it becomes a field of the record.
    pub version: Option<WriteVersion>,
    /// How many requests are under way at a time. Default 1.
    pub concurrency: usize,
    /// After how many seconds a request is given up. Default 60.
    pub timeout_s: u64,
    /// How long a request that was given up can still take effect, in seconds. Default 120.
    pub lands_within_s: u64,
    /// How long a new record can stay hidden from `get` and `find`, in seconds. Default 0.
    pub found_within_s: u64,
    /// How coarse the modified times of records are, in milliseconds. Default 1.
    pub granularity_ms: u64,
    /// Makes a record.
    pub create: Option<WriteOperation>,
    /// Makes a record, or changes the one that is there, named by an external id that is ours to choose. Stands in
    /// place of `create`.
    pub upsert: Option<WriteOperation>,
    /// Changes fields of a record, and no others.
    pub update: Option<WriteOperation>,
    /// Deletes a record.
    pub delete: Option<WriteOperation>,
    /// Reads records by key, as they are now: verifies writes whose replies were lost. Needed.
    pub get: Option<ReadBack>,
    /// Finds a record that was created: by its marker, or by fields that are unique.
    pub find: Option<ReadBack>,
    /// A request that is sent once before the writes of a call, where they need to know what only the system knows, such
    /// as the order of its columns: its reply is `write.context`.
    pub context: Option<ReadBack>,
    /// Sends several requests in one.
    pub batch: Option<RequestBatch>,
}

impl Default for WriteBlock {
    fn default() -> Self {
        Self {
            url_base: None,
            read_only: Vec::new(),
            null_as: None,
            version: None,
            concurrency: 1,
            timeout_s: 60,
            lands_within_s: 120,
            found_within_s: 0,
            granularity_ms: 1,
            create: None,
            upsert: None,
            update: None,
            delete: None,
            get: None,
            find: None,
            context: None,
            batch: None,
        }
    }
}

/// Where a version stands that is not part of the record.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WriteVersion {
    /// The field of the record that it becomes.
    pub field: String,
    /// What it is, such as `{{ headers['etag'] }}`.
    pub value: String,
}

/// One way of writing: the request, its guards, and what its reply says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WriteOperation {
    /// The path of the request.
    pub path: String,
    /// Its method. Default: `POST` for `create`, `PUT` for `upsert`, `PATCH` for `update`, `DELETE` for `delete`.
    pub http_method: Option<String>,
    /// Headers, beside those of the stream.
    pub request_headers: IndexedMap<String>,
    /// Parameters of the query.
    pub request_parameters: IndexedMap<String>,
    /// What the body holds beside the record's fields.
    pub request_body_json: Option<Value>,
    /// Where in the body the record's fields stand. Default: at its top.
    pub fields_path: Vec<String>,
    /// Makes the request conditional: on the record's version, or on there being no such record.
    pub condition: Option<WriteCondition>,
    /// Where the idempotency key stands: a second request with the same key does nothing more.
    pub idempotency_key: Option<IdempotencyPlace>,
    /// For `create`: the values of the key fields, where they are ours to choose.
    pub key: Vec<String>,
    /// For `create`: whether a second one is refused without a `condition`, since a field of it is unique.
    pub unique: bool,
    /// For `create`: the field that holds the marker, by which `find` finds the record. A template.
    pub marker: Option<String>,
    /// Where in the reply the record stands as it is now. Left out, the record is read by `get`.
    pub record_path: Option<Vec<String>>,
    /// The values of the record's key fields in the reply, where it does not show the record.
    pub reply_key: Vec<String>,
    /// What the statuses of replies mean, where they mean something else than usual.
    pub outcomes: WriteOutcomes,
    /// What the reply says is wrong. Default: what stands where APIs put it.
    pub problem: Option<String>,
    /// The field that the reply minds.
    pub problem_field: Option<String>,
    /// Sends the records of several writes in one request.
    pub batch: Option<RecordBatch>,
}

/// What makes a request conditional.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WriteCondition {
    /// Where it stands.
    #[serde(default)]
    pub inject_into: WritePlace,
    /// The name of the header, the parameter or the field, such as `If-Match`.
    pub field_name: String,
    /// What it says, such as `"{{ write.version }}"`.
    pub value: String,
    /// For times: how coarse they are, in milliseconds. `If-Unmodified-Since` compares seconds: 1000.
    #[serde(default)]
    pub granularity_ms: u64,
}

/// Where an idempotency key stands.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IdempotencyPlace {
    /// Where it stands.
    #[serde(default)]
    pub inject_into: WritePlace,
    /// The name of the header, the parameter or the field, such as `Idempotency-Key`.
    pub field_name: String,
    /// How long the system remembers a key, in seconds.
    pub remembered_s: u64,
}

/// A place in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WritePlace {
    /// A header.
    #[default]
    Header,
    /// A parameter of the query.
    RequestParameter,
    /// A field at the top of the body.
    BodyJson,
}

/// What statuses mean. What is named here wins over what is usual.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WriteOutcomes {
    /// It was done. Usual: 2xx.
    pub done: Vec<u16>,
    /// The record is not as it was when the write was decided. Usual: 412, and 409 for `update` and `delete`.
    pub changed: Vec<u16>,
    /// There is no such record. Usual: 404 and 410 for `update` and `delete`.
    pub missing: Vec<u16>,
    /// A creation found a record with its key. Usual: 409 and 412 for `create`.
    pub exists: Vec<u16>,
    /// The system will not have it. Usual: every other 4xx.
    pub rejected: Vec<u16>,
    /// Nothing was done, and it may be sent again. Usual: 401 and 429.
    pub not_sent: Vec<u16>,
    /// Nobody knows. Usual: 408 and 5xx.
    pub unknown: Vec<u16>,
    /// What replies mean whose status alone does not tell; the first that holds is taken, before any status.
    pub when: Vec<OutcomeWhen>,
}

/// What a reply means that says so in its body.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OutcomeWhen {
    /// Whether a reply is such a one, such as `{{ response.code == 'stale' }}`.
    pub condition: String,
    /// What it means.
    pub outcome: OutcomeName,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OutcomeName {
    /// It was done.
    Done,
    /// The record is not as it was when the write was decided.
    Changed,
    /// There is no such record.
    Missing,
    /// A creation found a record with its key.
    Exists,
    /// The system will not have it.
    Rejected,
    /// Nothing was done, and it may be sent again.
    NotSent,
    /// Nobody knows.
    Unknown,
}

/// Several records in one request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecordBatch {
    /// The path of the request.
    pub path: String,
    /// Its method. Default: `POST`.
    #[serde(default)]
    pub http_method: Option<String>,
    /// Headers, beside those of the stream.
    #[serde(default)]
    pub request_headers: IndexedMap<String>,
    /// Parameters of the query; the ids of the records are `keys`, a list.
    #[serde(default)]
    pub request_parameters: IndexedMap<String>,
    /// What the body holds beside the list of records.
    #[serde(default)]
    pub request_body_json: Option<Value>,
    /// Where in the body the list of records stands; empty where the body is the list. Each item is the body that the
    /// operation alone would have. Where none of them has one, no list is sent.
    #[serde(default)]
    pub records_path: Vec<String>,
    /// The most records in a request.
    pub size_max: usize,
    /// Whether the reply holds no results: what it says is true of every record.
    #[serde(default)]
    pub whole: bool,
    /// Where in the reply the list of results stands; empty where the reply is the list. In templates, `response` is
    /// one of them.
    #[serde(default)]
    pub results_path: Vec<String>,
    /// Where in the reply the list of what failed stands, where that is a list of its own. Its items are results, too.
    #[serde(default)]
    pub errors_path: Option<Vec<String>>,
    /// What names the write that a result is for. Default: results come in the order of the records.
    #[serde(default)]
    pub result_id: Option<String>,
    /// What that is, in terms of the write: `{{ write.id }}`. Needed with `result_id`.
    #[serde(default)]
    pub write_id: Option<String>,
    /// Whether a result is a success. Default: it is, where its status is.
    #[serde(default)]
    pub success: Option<String>,
    /// The status of a result, as a number. Default: that of the reply.
    #[serde(default)]
    pub status: Option<String>,
}

/// Several requests in one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestBatch {
    /// The path of the request.
    pub path: String,
    /// Its method. Default: `POST`.
    #[serde(default)]
    pub http_method: Option<String>,
    /// Headers, beside those of the stream.
    #[serde(default)]
    pub request_headers: IndexedMap<String>,
    /// What the body holds beside the list of requests.
    #[serde(default)]
    pub request_body_json: Option<Value>,
    /// The most requests in one.
    pub size_max: usize,
    /// Where in the body the list of requests stands. Default: `[requests]`.
    #[serde(default = "requests")]
    pub requests_path: Vec<String>,
    /// Where in the reply the list of responses stands. Default: `[responses]`.
    #[serde(default = "responses")]
    pub responses_path: Vec<String>,
    /// What stands before each path.
    #[serde(default)]
    pub path_prefix: String,
    /// What the parts of a request and of a response are called.
    #[serde(default)]
    pub names: BatchNames,
}

fn requests() -> Vec<String> {
    vec!["requests".to_owned()]
}

fn responses() -> Vec<String> {
    vec!["responses".to_owned()]
}

/// What the parts of a request, or of a response, in a batch are called.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BatchNames {
    /// The method. Default: `method`.
    pub method: String,
    /// The path. Default: `path`.
    pub path: String,
    /// The headers. Default: `headers`.
    pub headers: String,
    /// The body. Default: `body`.
    pub body: String,
    /// The status. Default: `status`.
    pub status: String,
    /// What names the request that a response is for. Default: none, and responses come in the order of the requests.
    pub id: Option<String>,
}

impl Default for BatchNames {
    fn default() -> Self {
        Self {
            method: "method".to_owned(),
            path: "path".to_owned(),
            headers: "headers".to_owned(),
            body: "body".to_owned(),
            status: "status".to_owned(),
            id: None,
        }
    }
}

/// A request for records as they are now.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReadBack {
    /// The path of the request.
    #[serde(default)]
    pub path: String,
    /// Its method. Default: `GET`, or `POST` where it has a body.
    #[serde(default)]
    pub http_method: Option<String>,
    /// Headers, beside those of the stream.
    #[serde(default)]
    pub request_headers: IndexedMap<String>,
    /// Parameters of the query.
    #[serde(default)]
    pub request_parameters: IndexedMap<String>,
    /// What the body holds beside the ids.
    #[serde(default)]
    pub request_body_json: Option<Value>,
    /// Where in the body the list of the ids stands.
    #[serde(default)]
    pub keys_path: Vec<String>,
    /// An item of that list, where it is not the id alone: `{ id: "{{ key }}" }`.
    #[serde(default)]
    pub key_json: Option<Value>,
    /// How many records one request is for; their ids are `keys`, a list. Default 1: `write.id` is the id.
    #[serde(default = "one")]
    pub keys_max: usize,
    /// Where in the reply the record or the records stand. Default: the reply itself.
    #[serde(default)]
    pub records_path: Vec<String>,
    /// Whether records are found in the reply as the stream finds its own. Those that were not asked for are left out.
    #[serde(default)]
    pub as_read: bool,
    /// For `find`: the whole stream is read, and its records are looked through for the marker. For systems that cannot
    /// be searched.
    #[serde(default)]
    pub by_reading: bool,
    /// The statuses that say that there is no such record. Default: 404 and 410.
    #[serde(default = "gone")]
    pub missing: Vec<u16>,
}

fn one() -> usize {
    1
}

fn gone() -> Vec<u16> {
    vec![404, 410]
}
