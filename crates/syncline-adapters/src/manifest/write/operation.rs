//! One way of writing, compiled: the request of a write, and what its reply comes to.

use super::super::errors::error_text;
use super::super::interpolate::digest::percent_encode;
use super::super::interpolate::{Fault, Headers, Scope, Template, text_of};
use super::super::select::at;
use super::super::session::Session;
use super::outcome::{Kind, Meaning};
use crate::write::{Change, Write};
use reqwest::Method;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use syncline_core::config::model::indexed::IndexedMap;
use syncline_core::config::model::{ReadBack, RecordBatch, WriteOperation, WritePlace};
use syncline_core::value::Value;

/// A body with templates in it.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Value(Json),
    Text(Template),
    List(Vec<Body>),
    Map(Vec<(String, Body)>),
}

impl Body {
    pub(super) fn new(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(Template::new(text)),
            Value::List(items) => Self::List(items.iter().map(Self::new).collect()),
            Value::Map(entries) => {
                Self::Map(entries.iter().map(|(k, v)| (k.to_string(), Self::new(v))).collect())
            }
            other => Self::Value(json(other)),
        }
    }

    /// Whether it may look at `part` of what templates see of a write.
    fn reads(&self, part: &str) -> bool {
        match self {
            Self::Value(_) => false,
            Self::Text(text) => text.reads("write", part),
            Self::List(items) => items.iter().any(|item| item.reads(part)),
            Self::Map(entries) => entries.iter().any(|(_, value)| value.reads(part)),
        }
    }

    fn eval<'s>(&self, scope: &dyn Fn() -> Scope<'s>) -> Result<Json, Fault> {
        Ok(match self {
            Self::Value(json) => json.clone(),
            Self::Text(text) => text.value(&scope())?,
            Self::List(items) => {
                Json::Array(items.iter().map(|item| item.eval(scope)).collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => {
                let entry = |(name, value): &(String, Self)| Ok((name.clone(), value.eval(scope)?));
                Json::Object(entries.iter().map(entry).collect::<Result<_, Fault>>()?)
            }
        })
    }

    /// The map that it is; empty where there is none.
    pub(super) fn map<'s>(
        body: Option<&Self>,
        scope: &dyn Fn() -> Scope<'s>,
    ) -> Result<Map<String, Json>, Fault> {
        match body.map(|body| body.eval(scope)).transpose()? {
            Some(Json::Object(map)) => Ok(map),
            _ => Ok(Map::new()),
        }
    }
}

/// Named templates: headers, or parameters.
pub(super) type Texts = Vec<(String, Template)>;

pub(super) fn texts(texts: &IndexedMap<String>) -> Texts {
    texts.0.iter().map(|(name, text)| (name.clone(), Template::new(text))).collect()
}

pub(super) fn filled<'s>(
    texts: &Texts,
    scope: &dyn Fn() -> Scope<'s>,
) -> Result<Map<String, Json>, Fault> {
    let text = |(name, text): &(String, Template)| Ok((name.clone(), text.text(&scope())?.into()));
    texts.iter().map(text).collect()
}

/// A request that is ready but for where it goes to.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Map<String, Json>,
    pub(super) query: Map<String, Json>,
    pub(super) body: Map<String, Json>,
}

/// One way of writing.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) kind: Kind,
    pub(super) declared: WriteOperation,
    method: Method,
    path: Template,
    headers: Texts,
    query: Texts,
    body: Option<Body>,
    condition: Option<Template>,
    key: Vec<Template>,
    marker: Option<Template>,
    reply_key: Vec<Template>,
    /// What replies mean whose status alone does not tell.
    pub(super) when: Vec<(Template, Meaning)>,
    problem: Option<Template>,
    problem_field: Option<Template>,
    /// What stands for null in the fields.
    null_as: Option<Json>,
    /// What tells the results of a batch of records apart.
    pub(super) results: Results,
}

/// What tells the results of a batch of records apart, and what they come to.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// What names the write that a result is for; in terms of the result, and of the write.
    pub(super) id: Option<(Template, Template)>,
    pub(super) success: Option<Template>,
    pub(super) status: Option<Template>,
}

impl Results {
    fn new(declared: &RecordBatch) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Template::new);
        Self {
            id: text(&declared.result_id).zip(text(&declared.write_id)),
            success: text(&declared.success),
            status: text(&declared.status),
        }
    }
}

fn each(texts: &[String]) -> Vec<Template> {
    texts.iter().map(|text| Template::new(text)).collect()
}

impl Operation {
    pub(super) fn new(kind: Kind, declared: &WriteOperation, null_as: Option<&Value>) -> Self {
        let usual = match kind {
            Kind::Create => Method::POST,
            Kind::Upsert => Method::PUT,
            Kind::Update => Method::PATCH,
            Kind::Delete => Method::DELETE,
        };
        let text = |text: &Option<String>| text.as_deref().map(Template::new);
        Self {
            kind,
            method: method(declared.http_method.as_deref(), usual),
            path: Template::new(&declared.path),
            headers: texts(&declared.request_headers),
            query: texts(&declared.request_parameters),
            body: declared.request_body_json.as_ref().map(Body::new),
            condition: declared.condition.as_ref().map(|one| Template::new(&one.value)),
            key: each(&declared.key),
            marker: text(&declared.marker),
            reply_key: each(&declared.reply_key),
            when: (declared.outcomes.when.iter())
                .map(|one| (Template::new(&one.condition), one.outcome))
                .collect(),
            problem: text(&declared.problem),
            problem_field: text(&declared.problem_field),
            null_as: null_as.map(json),
            results: declared.batch.as_ref().map(Results::new).unwrap_or_default(),
            declared: declared.clone(),
        }
    }

    /// Whether its condition is about the version that a record had.
    pub(super) fn needs_version(&self) -> bool {
        self.declared.condition.as_ref().is_some_and(|one| one.value.contains("version"))
    }

    /// Whether its request may look at `part` of what templates see of a write.
    pub(super) fn reads(&self, part: &str) -> bool {
        let named = self.headers.iter().chain(&self.query).map(|(_, text)| text);
        let mut texts = named.chain([&self.path]).chain(&self.condition);
        texts.any(|text| text.reads("write", part)) || self.says(part)
    }

    /// Whether its body may look at `part` of what templates see of a write.
    fn says(&self, part: &str) -> bool {
        self.body.as_ref().is_some_and(|body| body.reads(part))
    }

    /// The field that holds the marker.
    pub(super) fn marker_field(&self, session: &Session) -> Result<Option<String>, Fault> {
        self.marker.as_ref().map(|marker| marker.text(&session.scope())).transpose()
    }

    /// What templates see of a write.
    ///
    /// # Errors
    ///
    /// Why it cannot be written, for people: its id would lead to another place.
    pub(super) fn seen(&self, session: &Session, write: &Write) -> Result<Seen, String> {
        let (target, fields) = match &write.change {
            Change::Create { fields } => (None, fields.as_slice()),
            Change::Update { target, fields } => (Some(target), fields.as_slice()),
            Change::Delete { target } => (Some(target), &[][..]),
        };
        let mut seen = Map::new();
        seen.insert("idempotency_key".to_owned(), write.key.as_str().into());
        seen.insert("marker".to_owned(), write.marker.as_str().into());
        let version = target.and_then(|target| target.version.as_deref());
        if self.needs_version() && target.is_some() && version.is_none() {
            return Err("the version of the record is not known, and the request needs it".into());
        }
        seen.insert("version".to_owned(), version.into());
        let named = |fields: &[(compact_str::CompactString, Value)]| -> Map<String, Json> {
            fields.iter().map(|(name, value)| (name.to_string(), json(value))).collect()
        };
        let mut written = named(fields);
        if let Some(nothing) = &self.null_as {
            let nulls = written.values_mut().filter(|value| value.is_null());
            nulls.for_each(|value| value.clone_from(nothing));
        }
        if target.is_none()
            && let Some(field) = self.marker_field(session).map_err(|fault| problem(&fault))?
        {
            written.entry(field).or_insert_with(|| write.marker.as_str().into());
        }
        seen.insert("fields".to_owned(), Json::Object(written));
        seen.insert(
            "before".to_owned(),
            Json::Object(target.map(|target| named(&target.before)).unwrap_or_default()),
        );
        let key = match target {
            Some(target) => target.key.iter().map(ToString::to_string).collect(),
            None => {
                let seen = Json::Object(seen.clone());
                let scope = || session.scope().with("write", &seen);
                let key = self.key.iter().map(|key| key.text(&scope()));
                key.collect::<Result<Vec<String>, _>>().map_err(|fault| problem(&fault))?
            }
        };
        if target.is_some() || !self.key.is_empty() {
            let astray = |part: &&String| part.is_empty() || matches!(part.as_str(), "." | "..");
            if key.is_empty() || key.iter().any(|part| astray(&part)) {
                return Err(format!("`{}` cannot stand in an address", key.join("|")));
            }
        }
        Ok(Seen::new(seen, key))
    }

    /// The request of a write.
    pub(super) fn request(&self, session: &Session, seen: &Seen) -> Result<Ready, Fault> {
        let scope = || session.scope().with("write", &seen.plain);
        let mut headers = filled(&self.headers, &scope)?;
        let mut query = filled(&self.query, &scope)?;
        let mut body = Body::map(self.body.as_ref(), &scope)?;
        // A body that looks at the fields says itself where they stand.
        if self.kind != Kind::Delete && !self.says("fields") {
            let fields = Json::Object(seen.fields().clone());
            put(&mut body, &self.declared.fields_path, fields);
        }
        let mut inject = |place: WritePlace, name: &str, value: Json| {
            let map = match place {
                WritePlace::Header => &mut headers,
                WritePlace::RequestParameter => &mut query,
                WritePlace::BodyJson => &mut body,
            };
            map.insert(name.to_owned(), value);
        };
        if let (Some(condition), Some(value)) = (&self.declared.condition, &self.condition) {
            let value = value.text(&scope())?;
            inject(condition.inject_into, &condition.field_name, value.into());
        }
        if let Some(place) = &self.declared.idempotency_key {
            let key = seen.plain.get("idempotency_key").cloned().unwrap_or_default();
            inject(place.inject_into, &place.field_name, key);
        }
        let path = self.path.text(&session.scope().with("write", &seen.encoded))?;
        Ok(Ready { method: self.method.clone(), path, headers, query, body })
    }

    /// The values of the key fields, where the reply alone does not say them: those of the record that was to be
    /// changed, or those that were chosen for it.
    pub(super) fn key<'s>(&self, scope: &dyn Fn() -> Scope<'s>, seen: &Seen) -> Vec<String> {
        let told = self.reply_key.iter().map(|key| key.text(&scope()));
        match told.collect::<Result<Vec<String>, _>>() {
            Ok(told) if !told.is_empty() && told.iter().all(|part| !part.is_empty()) => told,
            _ => seen.key.clone(),
        }
    }

    /// What the reply says is wrong, and with which field.
    pub(super) fn problem<'s>(
        &self,
        scope: &dyn Fn() -> Scope<'s>,
        response: &Json,
        status: u16,
    ) -> (Option<String>, String) {
        let text = |text: &Option<Template>| {
            let text = text.as_ref().and_then(|text| text.text(&scope()).ok());
            text.filter(|text| !text.is_empty() && text != "None")
        };
        let said = text(&self.problem).or_else(|| error_text(response));
        let said = said.map(|said| said.chars().take(500).collect::<String>());
        let problem = match said {
            Some(said) if !said.is_empty() => format!("{said} (HTTP status {status})"),
            _ => format!("HTTP status {status}"),
        };
        (text(&self.problem_field), problem)
    }
}

/// The method of that name, which was checked when the block was read.
pub(super) fn method(name: Option<&str>, usual: Method) -> Method {
    name.and_then(|name| Method::from_bytes(name.as_bytes()).ok()).unwrap_or(usual)
}

/// A fault in the words of a reply.
pub(super) fn problem(fault: &Fault) -> String {
    match fault {
        Fault::Type => "a template does not fit the types of its values".to_owned(),
        Fault::Undefined(problem) | Fault::Error(problem) => problem.clone(),
    }
}

/// A write as templates see it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) key: Vec<String>,
    pub(super) plain: Json,
    /// The same with every text percent-encoded, for paths.
    pub(super) encoded: Json,
}

impl Seen {
    /// `key` is empty for a record whose key the system chooses.
    pub(super) fn new(mut seen: Map<String, Json>, key: Vec<String>) -> Self {
        seen.insert("id".to_owned(), key.join("|").into());
        seen.insert("key".to_owned(), key.clone().into());
        let plain = Json::Object(seen);
        Self { key, encoded: encoded(&plain), plain }
    }

    /// What names the record.
    pub(super) fn id(&self) -> String {
        self.key.join("|")
    }

    /// With `value` under the name `part`.
    pub(super) fn add(&mut self, part: &str, value: &Json) {
        for (seen, value) in [(&mut self.plain, value), (&mut self.encoded, &encoded(value))] {
            if let Json::Object(seen) = seen {
                seen.insert(part.to_owned(), value.clone());
            }
        }
    }

    fn fields(&self) -> &Map<String, Json> {
        static EMPTY: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
        self.plain.get("fields").and_then(Json::as_object).unwrap_or(&EMPTY)
    }
}

/// Every text percent-encoded, so that none can leave its part of a path (RFC 3986 §2.3).
pub(super) fn encoded(value: &Json) -> Json {
    match value {
        Json::String(text) => percent_encode(text, "_.-~", false).into(),
        Json::Array(items) => items.iter().map(encoded).collect(),
        Json::Object(entries) => {
            Json::Object(entries.iter().map(|(k, v)| (k.clone(), encoded(v))).collect())
        }
        other => other.clone(),
    }
}

/// A request for records as they are now, compiled.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) declared: ReadBack,
    method: Method,
    path: Template,
    headers: Texts,
    query: Texts,
    body: Option<Body>,
    /// An item of the list of ids.
    item: Option<Body>,
}

impl Look {
    pub(super) fn new(declared: &ReadBack) -> Self {
        let has_body = declared.request_body_json.is_some() || !declared.keys_path.is_empty();
        let usual = if has_body { Method::POST } else { Method::GET };
        Self {
            method: method(declared.http_method.as_deref(), usual),
            path: Template::new(&declared.path),
            headers: texts(&declared.request_headers),
            query: texts(&declared.request_parameters),
            body: declared.request_body_json.as_ref().map(Body::new),
            item: declared.key_json.as_ref().map(Body::new),
            declared: declared.clone(),
        }
    }

    /// The request for what `seen` is about, or for the records of `keys`.
    pub(super) fn request(
        &self,
        session: &Session,
        seen: &Seen,
        keys: &Json,
    ) -> Result<Ready, Fault> {
        let scope = || session.scope().with("write", &seen.plain).with("keys", keys);
        let keys_encoded = encoded(keys);
        let of_path = session.scope().with("write", &seen.encoded).with("keys", &keys_encoded);
        let mut body = Body::map(self.body.as_ref(), &scope)?;
        if !self.declared.keys_path.is_empty() {
            let item = |key: &Json| match &self.item {
                Some(item) => item.eval(&|| session.scope().with("key", key)),
                None => Ok(key.clone()),
            };
            let items = keys.as_array().into_iter().flatten().map(item);
            put(&mut body, &self.declared.keys_path, items.collect::<Result<_, Fault>>()?);
        }
        Ok(Ready {
            method: self.method.clone(),
            path: self.path.text(&of_path)?,
            headers: filled(&self.headers, &scope)?,
            query: filled(&self.query, &scope)?,
            body,
        })
    }

    /// The records of a reply.
    pub(super) fn records(&self, reply: &Json) -> Vec<Json> {
        match at(reply, &self.declared.records_path) {
            Some(Json::Array(items)) => items.clone(),
            Some(Json::Null) | None => Vec::new(),
            Some(one) => vec![one.clone()],
        }
    }
}

/// Puts `value` at `path` into `map`; at its top, its entries are added.
pub(super) fn put(map: &mut Map<String, Json>, path: &[String], value: Json) {
    let Some((first, rest)) = path.split_first() else {
        if let Json::Object(entries) = value {
            map.extend(entries);
        }
        return;
    };
    if rest.is_empty() {
        match (map.get_mut(first), value) {
            (Some(Json::Object(known)), Json::Object(more)) => known.extend(more),
            (_, value) => _ = map.insert(first.clone(), value),
        }
        return;
    }
    let next = map.entry(first.clone()).or_insert_with(|| Json::Object(Map::new()));
    if !next.is_object() {
        *next = Json::Object(Map::new());
    }
    if let Json::Object(next) = next {
        put(next, rest, value);
    }
}

/// A value as JSON. Numbers that no JSON number holds exactly go as text.
pub(super) fn json(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

/// The headers of a response in a batch.
pub(super) fn headers(json: Option<&Json>) -> Headers {
    let entries = json.and_then(Json::as_object).into_iter().flatten();
    let named: BTreeMap<String, String> =
        entries.map(|(name, value)| (name.to_ascii_lowercase(), text_of(value))).collect();
    Headers::new(named.into_iter().map(|(name, value)| (name, value.into())).collect())
}
