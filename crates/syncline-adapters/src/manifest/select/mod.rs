//! Records out of responses: taken out, filtered, transformed, brought into the schema's types.

mod extract;
mod normalise;
mod path;
mod rows;
mod transform;

pub(super) use extract::Extractor;
pub(super) use path::{all, at, put, put_existing, remove};
pub(super) use transform::Transformation;

use super::expression::Expression;
use super::interpolate::{StreamSlice, text_of};
use super::load::Node;
use super::outline::fields;
use super::session::{Response, Session};
use super::trouble::Trouble;
use serde_json::{Map, Value as Json};
use std::ops::Range;
use std::sync::Arc;

/// A record: named values.
pub(super) type Record = Map<String, Json>;

/// The records of a page.
#[derive(Debug)]
pub(super) enum Records {
    Made(Vec<Record>),
    /// As they stand in the response, because nothing changes them.
    AsSent(AsSent),
}

/// Records as they stand in a response.
#[derive(Debug)]
pub(super) struct AsSent {
    response: Arc<Response>,
    at: Vec<Range<usize>>,
}

impl AsSent {
    /// The records of `response` whose bytes are at `at`.
    pub(super) fn new(response: Arc<Response>, at: Vec<Range<usize>>) -> Self {
        Self { response, at }
    }

    /// Each as JSON.
    fn texts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.at.iter().map(|at| {
            // The bytes of each were looked at when they were found.
            str::from_utf8(&self.response.body[at.clone()]).unwrap_or_default()
        })
    }
}

/// A record of a page.
pub(super) enum Each<'a> {
    Made(Record),
    AsSent(&'a str),
}

impl Default for Records {
    fn default() -> Self {
        Self::Made(Vec::new())
    }
}

impl Records {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Made(records) => records.len(),
            Self::AsSent(records) => records.at.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What each record has under `names`, in their order.
    pub(super) fn values(&self, names: &[&str]) -> Vec<Vec<Option<Json>>> {
        match self {
            Self::Made(records) => records
                .iter()
                .map(|record| names.iter().map(|name| record.get(*name).cloned()).collect())
                .collect(),
            Self::AsSent(records) => records.texts().map(|text| fields(text, names)).collect(),
        }
    }

    /// The records one by one.
    pub(super) fn each(&mut self) -> impl Iterator<Item = Each<'_>> {
        let (made, sent) = match self {
            Self::Made(records) => (std::mem::take(records), None),
            Self::AsSent(records) => (Vec::new(), Some(records.texts())),
        };
        let sent = sent.into_iter().flatten().map(Each::AsSent);
        made.into_iter().map(Each::Made).chain(sent)
    }

    /// The last record.
    pub(super) fn last(&self) -> Option<Json> {
        match self {
            Self::Made(records) => records.last().cloned().map(Json::Object),
            Self::AsSent(records) => serde_json::from_str(records.texts().next_back()?).ok(),
        }
    }

    /// The records, each taken apart.
    ///
    /// # Errors
    ///
    /// Where one cannot be.
    pub(super) fn made(self) -> Result<Vec<Record>, Trouble> {
        match self {
            Self::Made(records) => Ok(records),
            Self::AsSent(records) => records
                .texts()
                .map(|text| serde_json::from_str(text).map_err(|error| unreadable(&error)))
                .collect(),
        }
    }
}

/// A record that turns out to be no JSON.
pub(super) fn unreadable(error: &serde_json::Error) -> Trouble {
    Trouble::system(format!("a record of a response cannot be read: {error}"))
}

/// Makes a stream's records of a response.
#[derive(Debug)]
pub(super) struct Selector {
    pub(super) extractor: Extractor,
    filter: Option<Expression>,
    transformations: Vec<Transformation>,
    transform_first: bool,
    /// Whether records are brought into the types of the schema.
    pub(super) normalises: bool,
}

impl Selector {
    pub(super) fn load(
        node: &Node<'_>,
        stream: &Node<'_>,
        extractor: Extractor,
    ) -> Result<Self, Trouble> {
        if node.kind() != "RecordSelector" {
            return Err(node.unsupported("record selector"));
        }
        let filter = match node.child("record_filter") {
            None => None,
            Some(filter) if filter.kind() == "RecordFilter" => filter.expression("condition"),
            Some(filter) => return Err(filter.unsupported("record filter")),
        };
        let normalises = match node.get("schema_normalization") {
            None => false,
            Some(Json::String(name)) => name == "Default",
            Some(_) => {
                let custom = node.needed_child("schema_normalization")?;
                return Err(custom.unsupported("schema normalization"));
            }
        };
        let transformations = stream.children("transformations");
        let client_side = stream
            .child("incremental_sync")
            .is_some_and(|cursor| cursor.flag("is_client_side_incremental"));
        let transform_first = node.get("transform_before_filtering").and_then(Json::as_bool);
        Ok(Self {
            extractor,
            filter,
            transformations: transformations
                .iter()
                .map(Transformation::load)
                .collect::<Result<_, _>>()?,
            transform_first: transform_first.unwrap_or(client_side),
            normalises,
        })
    }

    /// Whether every record is handed on as it came.
    pub(super) fn changes_nothing(&self) -> bool {
        self.filter.is_none() && self.transformations.is_empty() && !self.normalises
    }

    /// The records among `found`, of which `wanted` keeps those that are to be synced, in the types of `schema`.
    pub(super) fn records(
        &self,
        session: &Session,
        place: &Place<'_>,
        found: Vec<Json>,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Selected {
        let mut selected = Selected::default();
        for record in found {
            match self.record(session, place, record, wanted) {
                Ok(record) => selected.records.extend(record),
                Err(trouble) => {
                    selected.trouble = Some(trouble);
                    break;
                }
            }
        }
        selected
    }

    /// A record that the API shows elsewhere, as a read would have it; `None` where a read leaves it out.
    pub(super) fn single(
        &self,
        session: &Session,
        schema: Option<&Json>,
        record: Json,
    ) -> Result<Option<Record>, Trouble> {
        let slice = StreamSlice::default();
        let place = Place { slice: &slice, token: &Json::Null, schema };
        self.record(session, &place, record, &|_| true)
    }

    fn record(
        &self,
        session: &Session,
        place: &Place<'_>,
        record: Json,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<Option<Record>, Trouble> {
        let mut record = match record {
            Json::Object(record) => record,
            other if !self.transform_first && !self.holds(session, place, &other)? => {
                return Ok(None);
            }
            other => {
                return Err(Trouble::system(format!(
                    "the API gives `{}` where a record should be",
                    text_of(&other).chars().take(80).collect::<String>()
                )));
            }
        };
        if self.transform_first {
            self.transform(session, place.slice, &mut record)?;
        }
        if !wanted(&record) {
            return Ok(None);
        }
        if self.filter.is_some() {
            let json = Json::Object(record);
            let holds = self.holds(session, place, &json)?;
            record = match json {
                Json::Object(record) if holds => record,
                _ => return Ok(None),
            };
        }
        if !self.transform_first {
            self.transform(session, place.slice, &mut record)?;
        }
        if let Some(schema) = place.schema {
            normalise::normalise(&mut record, schema);
        }
        Ok(Some(record))
    }

    /// Whether the filter lets `record` pass.
    fn holds(&self, session: &Session, place: &Place<'_>, record: &Json) -> Result<bool, Trouble> {
        let Some(filter) = &self.filter else { return Ok(true) };
        let scope = session.scope().with_slice(place.slice).with("record", record);
        Ok(filter.holds(scope.with("next_page_token", place.token))?)
    }

    fn transform(
        &self,
        session: &Session,
        slice: &StreamSlice,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        self.transformations.iter().try_for_each(|each| each.apply(session, slice, record))
    }
}

/// Where records were found.
pub(super) struct Place<'a> {
    pub(super) slice: &'a StreamSlice,
    pub(super) token: &'a Json,
    /// The schema whose types they are brought into.
    pub(super) schema: Option<&'a Json>,
}

/// The records of one response, up to the first that could not be made.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) records: Vec<Record>,
    pub(super) trouble: Option<Trouble>,
}
