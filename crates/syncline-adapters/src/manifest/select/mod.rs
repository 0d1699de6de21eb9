//! Records out of responses: taken out, filtered, transformed, brought into the schema's types.

mod normalise;
mod path;
mod transform;

pub(super) use path::at;

use super::decode::Decoder;
use super::expression::Expression;
use super::interpolate::{StreamSlice, text_of};
use super::load::Node;
use super::session::{Response, Session};
use super::trouble::Trouble;
use serde_json::{Map, Value as Json};
use transform::Transformation;

/// A record: named values.
pub(super) type Record = Map<String, Json>;

/// Finds the records of a response.
#[derive(Clone, Debug)]
pub(super) struct Extractor {
    path: Vec<Expression>,
    decoder: Decoder,
}

impl Extractor {
    fn load(node: &Node<'_>, decoder: &Decoder) -> Result<Self, Trouble> {
        if node.kind() != "DpathExtractor" || node.get("record_expander").is_some() {
            return Err(node.unsupported("extractor"));
        }
        Ok(Self { path: node.expressions("field_path"), decoder: decoder.clone() })
    }

    /// The records, as they came.
    pub(super) fn records(
        &self,
        session: &Session,
        response: &Response,
    ) -> Result<Vec<Json>, Trouble> {
        let mut path = Vec::with_capacity(self.path.len());
        for step in &self.path {
            path.push(step.text(session.scope())?);
        }
        let wild = path.iter().any(|step| step == "*" || step == "**");
        let mut records = Vec::new();
        for value in self.decoder.values(response)? {
            if wild {
                records.extend(path::all(&value, &path).into_iter().cloned());
                continue;
            }
            match at(&value, &path) {
                Some(Json::Array(items)) => records.extend(items.iter().cloned()),
                Some(found) if super::load::is_truthy(found) => records.push(found.clone()),
                _ => {}
            }
        }
        Ok(records)
    }
}

/// Makes a stream's records of a response.
#[derive(Debug)]
pub(super) struct Selector {
    pub(super) extractor: Extractor,
    filter: Option<Expression>,
    transformations: Vec<Transformation>,
    transform_first: bool,
    /// The schema whose types records are brought into.
    schema: Option<Json>,
}

impl Selector {
    pub(super) fn load(
        node: &Node<'_>,
        stream: &Node<'_>,
        decoder: &Decoder,
        schema: &Json,
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
            extractor: Extractor::load(&node.needed_child("extractor")?, decoder)?,
            filter,
            transformations: transformations
                .iter()
                .map(Transformation::load)
                .collect::<Result<_, _>>()?,
            transform_first: transform_first.unwrap_or(client_side),
            schema: normalises.then(|| schema.clone()),
        })
    }

    /// The records of `response`, of which `wanted` keeps those that are to be synced.
    pub(super) fn records(
        &self,
        session: &Session,
        slice: &StreamSlice,
        token: &Json,
        response: &Response,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<Selected, Trouble> {
        let mut selected = Selected::default();
        for record in self.extractor.records(session, response)? {
            match self.record(session, slice, token, record, wanted) {
                Ok(record) => selected.records.extend(record),
                Err(trouble) => {
                    selected.trouble = Some(trouble);
                    break;
                }
            }
        }
        Ok(selected)
    }

    /// A record that the API shows elsewhere, as a read would have it; `None` where a read leaves it out.
    pub(super) fn single(
        &self,
        session: &Session,
        record: Json,
    ) -> Result<Option<Record>, Trouble> {
        self.record(session, &StreamSlice::default(), &Json::Null, record, &|_| true)
    }

    fn record(
        &self,
        session: &Session,
        slice: &StreamSlice,
        token: &Json,
        record: Json,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<Option<Record>, Trouble> {
        let mut record = match record {
            Json::Object(record) => record,
            other => {
                return Err(Trouble::system(format!(
                    "the API gives `{}` where a record should be",
                    text_of(&other).chars().take(80).collect::<String>()
                )));
            }
        };
        if self.transform_first {
            self.transform(session, slice, &mut record)?;
        }
        if !wanted(&record) {
            return Ok(None);
        }
        if let Some(filter) = &self.filter {
            let json = Json::Object(record);
            let scope = session.scope().with_slice(slice).with("record", &json);
            let holds = filter.holds(scope.with("next_page_token", token))?;
            record = match json {
                Json::Object(record) if holds => record,
                _ => return Ok(None),
            };
        }
        if !self.transform_first {
            self.transform(session, slice, &mut record)?;
        }
        if let Some(schema) = &self.schema {
            normalise::normalise(&mut record, schema);
        }
        Ok(Some(record))
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

/// The records of one response, up to the first that could not be made.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) records: Vec<Record>,
    pub(super) trouble: Option<Trouble>,
}
