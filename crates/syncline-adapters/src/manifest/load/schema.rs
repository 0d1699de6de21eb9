//! The JSON schema of a stream: written down, or made of what the API says of its fields.

use super::super::expression::Expression;
use super::super::interpolate::{Scope, text_of};
use super::super::read::{Step, StreamReader};
use super::super::select::{Transformation, at};
use super::super::session::Session;
use super::super::trouble::Trouble;
use super::{Loader, Node, Stream, is_truthy};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The schema of one stream.
pub(in super::super) struct Schema {
    parts: Vec<Part>,
    known: OnceCell<Json>,
}

enum Part {
    Known(Json),
    Asked(Box<Asked>),
}

/// A schema that the first record of a request describes.
struct Asked {
    source: Arc<Stream>,
    fields: Vec<Expression>,
    name: Vec<Expression>,
    kind: Option<Vec<Expression>>,
    kinds: Vec<Kind>,
    transformations: Vec<Transformation>,
    filter: Option<Expression>,
}

/// What a type of the API is in the schema.
struct Kind {
    from: Json,
    to: Json,
    condition: Option<Expression>,
}

impl Schema {
    /// No schema.
    pub(super) fn none() -> Self {
        let parts = vec![Part::Known(Json::Object(Map::new()))];
        Self { parts, known: OnceCell::new() }
    }

    pub(super) fn load(loader: &Loader, node: &Node<'_>) -> Result<Self, Trouble> {
        let mut parts = Vec::new();
        for child in node.children("schema_loader") {
            parts.push(match child.kind() {
                "InlineSchemaLoader" => {
                    let schema = child.get("schema").cloned();
                    Part::Known(schema.unwrap_or_else(|| Json::Object(Map::new())))
                }
                "JsonFileSchemaLoader" => {
                    Part::Known(from_file(loader, child.expression("file_path"), node))
                }
                "DynamicSchemaLoader" => Part::Asked(Box::new(Asked::load(loader, &child)?)),
                _ => return Err(child.unsupported("schema loader")),
            });
        }
        if parts.is_empty() {
            parts.push(Part::Known(from_file(loader, None, node)));
        }
        Ok(Self { parts, known: OnceCell::new() })
    }

    /// The schema; it is asked for at most once.
    pub(in super::super) async fn get(&self, session: &Arc<Session>) -> Result<&Json, Trouble> {
        self.known.get_or_try_init(|| self.make(session)).await
    }

    /// The schema, where it was asked for before.
    pub(in super::super) fn known(&self) -> Option<&Json> {
        self.known.get()
    }

    /// The schema, where nobody has to be asked for it.
    pub(in super::super) fn told(&self) -> Option<&Json> {
        let written = match self.parts.as_slice() {
            [Part::Known(schema)] => Some(schema),
            _ => None,
        };
        self.known().or(written)
    }

    async fn make(&self, session: &Arc<Session>) -> Result<Json, Trouble> {
        let mut made = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            made.push(match part {
                Part::Known(schema) => schema.clone(),
                Part::Asked(asked) => asked.schema(session).await?,
            });
        }
        if made.len() == 1 {
            return Ok(made.remove(0));
        }
        let mut properties = Map::new();
        for schema in made {
            if let Some(Json::Object(more)) = schema.get("properties") {
                properties.extend(more.clone());
            }
        }
        Ok(json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": properties,
        }))
    }
}

fn from_file(loader: &Loader, path: Option<Expression>, node: &Node<'_>) -> Json {
    let scope = Scope::new(0).with("config", &loader.config);
    let path = match path.as_ref().map(|path| path.text(scope)) {
        Some(Ok(path)) => path.trim_start_matches("./").to_owned(),
        _ => format!("schemas/{}.json", node.text("name").unwrap_or_default()),
    };
    let text =
        loader.folder.as_ref().and_then(|folder| std::fs::read_to_string(folder.join(path)).ok());
    let schema = text.and_then(|text| serde_json::from_str(&text).ok());
    schema.unwrap_or_else(|| Json::Object(Map::new()))
}

impl Asked {
    fn load(loader: &Loader, node: &Node<'_>) -> Result<Self, Trouble> {
        let identifier = node.needed_child("schema_type_identifier")?;
        let kinds = identifier.children("types_mapping");
        let kind = |kind: &Node<'_>| -> Result<Kind, Trouble> {
            let needed = |name: &str| kind.get(name).cloned().ok_or_else(|| kind.missing(name));
            Ok(Kind {
                from: needed("current_type")?,
                to: needed("target_type")?,
                condition: kind.expression("condition"),
            })
        };
        let transformations = node.children("schema_transformations");
        let filter = match node.child("schema_filter") {
            Some(filter) if filter.kind() != "RecordFilter" => {
                return Err(filter.unsupported("schema filter"));
            }
            filter => filter.and_then(|filter| filter.expression("condition")),
        };
        let pointer = identifier.get("type_pointer").is_some_and(is_truthy);
        Ok(Self {
            source: Arc::new(Stream::of_retriever(loader, node, "schema")?),
            fields: identifier.expressions("schema_pointer"),
            name: identifier.expressions("key_pointer"),
            kind: pointer.then(|| identifier.expressions("type_pointer")),
            kinds: kinds.iter().map(kind).collect::<Result<_, _>>()?,
            transformations: transformations
                .iter()
                .map(Transformation::load)
                .collect::<Result<_, _>>()?,
            filter,
        })
    }

    async fn schema(&self, session: &Arc<Session>) -> Result<Json, Trouble> {
        let mut properties = Map::new();
        if let Some(record) = first_record(session, &self.source).await? {
            let fields = found(session, &record, &self.fields)?.cloned().unwrap_or_default();
            for field in fields.as_array().into_iter().flatten() {
                let name = found(session, field, &self.name)?;
                let Some(Json::String(name)) = name else {
                    return Err(Trouble::system(format!(
                        "the API names a field with `{}`, which is no text",
                        text_of(name.unwrap_or(&Json::Null))
                    )));
                };
                properties.insert(name.clone(), self.kind_of(session, field)?);
            }
        }
        if let Some(filter) = &self.filter {
            let mut kept = Map::new();
            for (name, value) in properties {
                let one = json!({ name.as_str(): value });
                if filter.holds(session.scope().with("record", &one))? {
                    kept.insert(name, value);
                }
            }
            properties = kept;
        }
        for transformation in &self.transformations {
            transformation.apply(session, &Default::default(), &mut properties)?;
        }
        Ok(json!({
            "$schema": "https://json-schema.org/draft-07/schema#",
            "type": "object",
            "additionalProperties": true,
            "properties": properties,
        }))
    }

    fn kind_of(&self, session: &Session, field: &Json) -> Result<Json, Trouble> {
        let text = Json::from("string");
        let mut kind = match &self.kind {
            Some(pointer) => found(session, field, pointer)?.unwrap_or(&text).clone(),
            None => text,
        };
        for known in &self.kinds {
            let scope = || session.scope().with("raw_schema", field);
            let condition = known.condition.as_ref();
            if kind == known.from
                && condition.map_or(Ok(true), |condition| condition.holds(scope()))?
            {
                kind = known.to.clone();
                break;
            }
        }
        match &kind {
            Json::Array(both) if both.len() == 2 => {
                Ok(json!({"oneOf": [named_kind(&both[0])?, named_kind(&both[1])?]}))
            }
            other => named_kind(other),
        }
    }
}

/// The schema of a type by its name, or of a list by that of its items.
fn named_kind(kind: &Json) -> Result<Json, Trouble> {
    if let Json::Object(complex) = kind
        && let Some(name) = complex.get("field_type")
    {
        let mut schema = named_kind(name)?;
        if let (Some(items), Json::Object(entries)) = (complex.get("items"), &mut schema) {
            entries.insert("items".to_owned(), named_kind(items)?);
        }
        return Ok(schema);
    }
    let text = |format: &str| json!({"type": ["null", "string"], "format": format});
    let exact = |format: &str, name: &str| json!({"type": ["null", "string"], "format": format, "airbyte_type": name});
    Ok(match kind.as_str().unwrap_or_default() {
        name @ ("string" | "boolean" | "integer" | "number" | "array" | "object") => {
            json!({"type": ["null", name]})
        }
        "date" => text("date"),
        "timestamp_with_timezone" => text("date-time"),
        name @ "timestamp_without_timezone" => exact("date-time", name),
        name @ ("time_with_timezone" | "time_without_timezone") => exact("time", name),
        _ => {
            return Err(Trouble::system(format!(
                "the API gives a field the type `{}`, which the connector does not map",
                text_of(kind)
            )));
        }
    })
}

fn found<'a>(
    session: &Session,
    value: &'a Json,
    pointer: &[Expression],
) -> Result<Option<&'a Json>, Trouble> {
    let mut path = Vec::with_capacity(pointer.len());
    for step in pointer {
        path.push(step.text(session.scope())?);
    }
    Ok(at(value, &path))
}

/// The first record of a stream, where it has any.
async fn first_record(
    session: &Arc<Session>,
    stream: &Arc<Stream>,
) -> Result<Option<Json>, Trouble> {
    let mut reader = StreamReader::new(session, stream, &Map::new()).await?;
    loop {
        match reader.step().await? {
            Step::Page { records, .. } if !records.is_empty() => {
                return Ok(records.made()?.into_iter().next().map(Json::Object));
            }
            Step::Page { .. } | Step::SliceDone { .. } => {}
            Step::SliceFailed(trouble) => return Err(trouble),
            Step::End => return Ok(None),
        }
    }
}
