//! Reads the `write` blocks of a connector, and says what is wrong with them, each with its place.

use super::super::interpolate::Template;
use super::super::trouble::Trouble;
use reqwest::Method;
use reqwest::header::HeaderName;
use serde::Deserialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use syncline_core::config::model::indexed::IndexedMap;
use syncline_core::config::model::{
    ReadBack, RequestBatch, WriteBlock, WriteFile, WriteOperation, WritePlace,
};
use syncline_core::config::{SourceFile, read_beside};
use syncline_core::problem::{ConfigPath, Problem};
use syncline_core::value::Value;

/// A manifest that holds the blocks itself; what else it says is not looked at here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct InManifest {
    write: IndexedMap<WriteBlock>,
}

/// The blocks of the manifest in `file`: its own, if `own` is its text, or those of the file beside it.
///
/// # Errors
///
/// Everything that is wrong with them, with file, line and column.
pub(in super::super) fn load(
    file: &Path,
    own: Option<&str>,
    beside: Option<(PathBuf, Cow<'static, str>)>,
    streams: &[&str],
) -> Result<IndexedMap<WriteBlock>, Trouble> {
    let wrong =
        |diagnostics: syncline_core::config::Diagnostics| Trouble::config(diagnostics.to_string());
    let source = |file: &Path, text: String| SourceFile { name: file.display().to_string(), text };
    match (own, beside) {
        (Some(_), Some((beside, _))) => Err(Trouble::config(format!(
            "{} has `write` blocks, and {} stands beside it: keep one of them",
            file.display(),
            beside.display()
        ))),
        (None, Some((beside, text))) => {
            let check = |read: &WriteFile| problems(&read.write, streams);
            let source = source(&beside, text.into_owned());
            Ok(read_beside(source, check).map_err(wrong)?.write)
        }
        (Some(text), None) => {
            let check = |read: &InManifest| problems(&read.write, streams);
            Ok(read_beside(source(file, text.to_owned()), check).map_err(wrong)?.write)
        }
        (None, None) => Ok(IndexedMap::default()),
    }
}

/// Collects what is wrong with one block.
struct Checker {
    problems: Vec<Problem>,
}

/// The variables that a template can use.
const ASKING: &[&str] = &["config", "write"];
const LOOKING: &[&str] = &["config", "write", "keys"];
const LISTING: &[&str] = &["config", "keys"];
const REPLYING: &[&str] = &["config", "write", "response", "headers", "status"];

fn problems(blocks: &IndexedMap<WriteBlock>, streams: &[&str]) -> Vec<Problem> {
    let mut checker = Checker { problems: Vec::new() };
    for (name, block) in &blocks.0 {
        let at = ConfigPath::root().key("write").key(name);
        if !streams.contains(&name.as_str()) {
            let message = format!("the manifest has no stream `{name}`");
            let problem = Problem::new(at.clone(), message);
            checker.problems.push(problem.with_help(format!("it has {}", streams.join(", "))));
        }
        checker.block(&at, block);
    }
    checker.problems
}

impl Checker {
    fn add(&mut self, at: ConfigPath, message: &str, help: &str) {
        self.problems.push(Problem::new(at, message).with_help(help));
    }

    fn block(&mut self, at: &ConfigPath, block: &WriteBlock) {
        let operations = [
            ("create", &block.create, "create"),
            ("upsert", &block.upsert, "upsert"),
            ("update", &block.update, "change"),
            ("delete", &block.delete, "change"),
        ];
        if block.create.is_some() && block.upsert.is_some() {
            let help = "`create` makes records, `upsert` also changes those that are there";
            self.add(at.key("upsert"), "a stream has `create` or `upsert`, not both", help);
        }
        if operations.iter().all(|(_, operation, _)| operation.is_none()) {
            let help = "declare `create`, `upsert`, `update` or `delete`";
            self.add(at.clone(), "nothing can be written", help);
        }
        for (name, operation, kind) in operations {
            if let Some(operation) = operation {
                self.operation(&at.key(name), operation, kind, block.find.is_some());
            }
        }
        match &block.get {
            Some(get) => self.read_back(&at.key("get"), get),
            None => self.add(
                at.clone(),
                "there is no `get`, so a write whose reply was lost cannot be verified",
                "declare the request that reads one record by its id",
            ),
        }
        if let Some(find) = &block.find {
            self.read_back(&at.key("find"), find);
            let has_marker = block.create.as_ref().is_some_and(|create| create.marker.is_some());
            if find.by_reading && !has_marker {
                let message = "there is no `marker` that the records could be looked through for";
                self.add(at.key("find").key("by_reading"), message, "name it in `create`");
            }
        }
        if let Some(context) = &block.context {
            self.read_back(&at.key("context"), context);
        }
        if let Some(batch) = &block.batch {
            self.envelope(&at.key("batch"), batch);
        }
        if let Some(base) = &block.url_base {
            self.template(&at.key("url_base"), base, &["config"]);
        }
        if let Some(version) = &block.version {
            self.template(&at.key("version").key("value"), &version.value, REPLYING);
        }
        self.at_least_one(&at.key("concurrency"), block.concurrency);
    }

    fn operation(&mut self, at: &ConfigPath, one: &WriteOperation, kind: &str, finds: bool) {
        self.path(at, &one.path, ASKING);
        self.method(at, one.http_method.as_deref());
        self.texts(&at.key("request_headers"), &one.request_headers, ASKING, true);
        self.texts(&at.key("request_parameters"), &one.request_parameters, ASKING, false);
        self.body(&at.key("request_body_json"), one.request_body_json.as_ref(), ASKING);
        if let Some(condition) = &one.condition {
            let at = at.key("condition");
            self.template(&at.key("value"), &condition.value, ASKING);
            self.name(&at.key("field_name"), condition.inject_into, &condition.field_name);
        }
        if let Some(place) = &one.idempotency_key {
            let at = at.key("idempotency_key").key("field_name");
            self.name(&at, place.inject_into, &place.field_name);
        }
        for (index, key) in one.key.iter().enumerate() {
            self.template(&at.key("key").index(index), key, ASKING);
        }
        for (index, key) in one.reply_key.iter().enumerate() {
            self.template(&at.key("reply_key").index(index), key, REPLYING);
        }
        if let Some(marker) = &one.marker {
            self.template(&at.key("marker"), marker, &["config"]);
        }
        for (index, when) in one.outcomes.when.iter().enumerate() {
            let at = at.key("outcomes").key("when").index(index).key("condition");
            self.template(&at, &when.condition, REPLYING);
        }
        for (name, text) in [("problem", &one.problem), ("problem_field", &one.problem_field)] {
            if let Some(text) = text {
                self.template(&at.key(name), text, REPLYING);
            }
        }
        if let Some(batch) = &one.batch {
            let at = at.key("batch");
            self.path(&at, &batch.path, &["config"]);
            self.method(&at, batch.http_method.as_deref());
            self.texts(&at.key("request_headers"), &batch.request_headers, &["config"], true);
            self.texts(&at.key("request_parameters"), &batch.request_parameters, LISTING, false);
            self.body(&at.key("request_body_json"), batch.request_body_json.as_ref(), &["config"]);
            self.at_least_one(&at.key("size_max"), batch.size_max);
            let texts = [
                ("result_id", &batch.result_id),
                ("write_id", &batch.write_id),
                ("success", &batch.success),
                ("status", &batch.status),
            ];
            for (name, text) in texts {
                if let Some(text) = text {
                    self.template(&at.key(name), text, REPLYING);
                }
            }
            if batch.result_id.is_some() != batch.write_id.is_some() {
                let message = "`result_id` and `write_id` belong together";
                self.add(at, message, "the one names a result, the other the write that it is for");
            } else if batch.errors_path.is_some() && batch.result_id.is_none() {
                let message = "nothing tells which write an error is for";
                self.add(at, message, "declare `result_id` and `write_id`");
            }
        }
        self.guards(at, one, kind, finds);
    }

    /// What keeps a record from being made twice, and whether the new record's key becomes known.
    fn guards(&mut self, at: &ConfigPath, one: &WriteOperation, kind: &str, finds: bool) {
        if kind == "change" {
            let of_create = [
                ("key", !one.key.is_empty()),
                ("unique", one.unique),
                ("marker", one.marker.is_some()),
            ];
            for (name, _) in of_create.into_iter().filter(|(_, is_there)| *is_there) {
                self.add(at.key(name), &format!("`{name}` belongs to `create`"), "remove it");
            }
            return;
        }
        let is_unique = one.unique || one.condition.is_some();
        if kind == "create" && !one.key.is_empty() && !is_unique {
            self.add(
                at.key("key"),
                "a second creation with this key would change the first record",
                "add a `condition` such as `If-None-Match: *`, or `unique: true` where the system \
                 refuses it, or call it `upsert`",
            );
        }
        let looked_for = one.unique || one.marker.is_some() || kind == "upsert";
        if looked_for && one.key.is_empty() && !finds {
            self.add(
                at.clone(),
                "there is no `find`, so a record whose reply was lost cannot be found",
                "declare `find`, or the record's own `key` where it is ours to choose",
            );
        }
        if one.key.is_empty() && one.record_path.is_none() && one.reply_key.is_empty() {
            self.add(
                at.clone(),
                "nothing says what the key of the new record is",
                "declare `record_path`, `reply_key` or `key`",
            );
        }
    }

    fn read_back(&mut self, at: &ConfigPath, one: &ReadBack) {
        let known = if one.keys_max > 1 { LOOKING } else { ASKING };
        if !one.by_reading {
            self.path(at, &one.path, known);
        }
        self.method(at, one.http_method.as_deref());
        self.texts(&at.key("request_headers"), &one.request_headers, known, true);
        self.texts(&at.key("request_parameters"), &one.request_parameters, known, false);
        self.body(&at.key("request_body_json"), one.request_body_json.as_ref(), known);
        if let Some(item) = &one.key_json {
            let at = at.key("key_json");
            self.values(&at, item, &["config", "key"]);
            if one.keys_path.is_empty() {
                self.add(at, "the list of ids has no place", "declare `keys_path`");
            }
        }
        self.at_least_one(&at.key("keys_max"), one.keys_max);
    }

    fn envelope(&mut self, at: &ConfigPath, batch: &RequestBatch) {
        self.path(at, &batch.path, &["config"]);
        self.method(at, batch.http_method.as_deref());
        self.texts(&at.key("request_headers"), &batch.request_headers, &["config"], true);
        self.body(&at.key("request_body_json"), batch.request_body_json.as_ref(), &["config"]);
        self.template(&at.key("path_prefix"), &batch.path_prefix, &["config"]);
        self.at_least_one(&at.key("size_max"), batch.size_max);
        if batch.requests_path.is_empty() {
            let at = at.key("requests_path");
            self.add(at, "the list of requests has no place", "name the field that it stands in");
        }
    }

    fn path(&mut self, at: &ConfigPath, path: &str, known: &[&str]) {
        if path.is_empty() {
            self.add(at.clone(), "there is no `path`", "say where the request goes");
        }
        self.template(&at.key("path"), path, known);
    }

    fn method(&mut self, at: &ConfigPath, method: Option<&str>) {
        if let Some(method) = method
            && Method::from_bytes(method.as_bytes()).is_err()
        {
            let at = at.key("http_method");
            self.add(at, &format!("`{method}` is no HTTP method"), "such as `POST` or `PATCH`");
        }
    }

    fn name(&mut self, at: &ConfigPath, place: WritePlace, name: &str) {
        let is_header = place == WritePlace::Header;
        if name.is_empty() || (is_header && HeaderName::try_from(name).is_err()) {
            let message = format!("`{name}` cannot be the name of a header or field");
            self.add(at.clone(), &message, "such as `If-Match`");
        }
    }

    fn texts(
        &mut self,
        at: &ConfigPath,
        texts: &IndexedMap<String>,
        known: &[&str],
        is_header: bool,
    ) {
        for (name, text) in &texts.0 {
            let at = at.key(name);
            if is_header {
                self.name(&at, WritePlace::Header, name);
            }
            self.template(&at, text, known);
        }
    }

    fn body(&mut self, at: &ConfigPath, body: Option<&Value>, known: &[&str]) {
        match body {
            // A text is a template of the whole body.
            None | Some(Value::Map(_) | Value::Text(_)) => {}
            Some(other) => {
                let message = format!("the body is a map, not {}", other.kind());
                self.add(at.clone(), &message, "name its fields");
            }
        }
        if let Some(body) = body {
            self.values(at, body, known);
        }
    }

    fn values(&mut self, at: &ConfigPath, value: &Value, known: &[&str]) {
        match value {
            Value::Text(text) => self.template(at, text, known),
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.values(&at.index(index), item, known);
                }
            }
            Value::Map(entries) => {
                for (name, value) in entries {
                    self.values(&at.key(name.as_str()), value, known);
                }
            }
            _ => {}
        }
    }

    fn template(&mut self, at: &ConfigPath, text: &str, known: &[&str]) {
        let template = Template::new(text);
        if let Some(problem) = template.problem() {
            self.add(at.clone(), problem, "look at its braces and names");
        }
        let unknown = template.variables().iter().find(|name| !known.contains(&name.as_str()));
        if let Some(name) = unknown {
            let message = format!("there is no variable `{name}` here");
            self.add(at.clone(), &message, &format!("there are {}", known.join(", ")));
        }
    }

    fn at_least_one(&mut self, at: &ConfigPath, number: usize) {
        if number == 0 {
            self.add(at.clone(), "expected at least 1", "leave it out for the default");
        }
    }
}
