//! Finds the records of a response.

use super::super::decode::{Decoder, unpacked};
use super::super::expression::Expression;
use super::super::load::{Node, is_truthy};
use super::super::session::{Response, Session};
use super::super::trouble::Trouble;
use super::path;
use super::rows;
use serde_json::{Map, Value as Json};

/// What the cells of a table say for "nothing".
const NOTHING: &[&str] = &[
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// One way of finding records.
#[derive(Clone, Debug)]
pub(in super::super) enum Extractor {
    /// What stands at a path.
    Path { path: Vec<Expression>, decoder: Decoder, expander: Option<Expander> },
    /// What several ways find: all of them, or the first that finds anything.
    Combined { extractors: Vec<Extractor>, is_first: bool, skips_empty: bool },
    /// The rows of a table, packed or not, of which empty cells are null.
    Table { keeps_words: bool },
    /// The rows of a table that stands at a path, of which the first names the columns.
    Rows { path: Vec<Expression>, decoder: Decoder, number_field: Option<String> },
}

impl Extractor {
    pub(in super::super) fn load(node: &Node<'_>, decoder: &Decoder) -> Result<Self, Trouble> {
        Ok(match node.kind() {
            "DpathExtractor" => Self::Path {
                path: node.expressions("field_path"),
                decoder: decoder.clone(),
                expander: match node.child("record_expander") {
                    Some(expander) => Some(Expander::load(&expander)?),
                    None => None,
                },
            },
            "CombinedExtractor" => {
                let extractors = node.children("extractors");
                Self::Combined {
                    extractors: extractors
                        .iter()
                        .map(|extractor| Self::load(extractor, decoder))
                        .collect::<Result<_, _>>()?,
                    is_first: node.text("mode") == Some("first_match"),
                    skips_empty: node.flag("skip_empty_records"),
                }
            }
            "RowsExtractor" => Self::Rows {
                path: node.expressions("field_path"),
                decoder: decoder.clone(),
                number_field: node.text("number_field").map(str::to_owned),
            },
            "ResponseToFileExtractor" => {
                Self::Table { keeps_words: node.flag("preserve_na_values") }
            }
            _ => return Err(node.unsupported("extractor")),
        })
    }

    /// The whole of what `decoder` gives, as records.
    pub(in super::super) fn whole(decoder: &Decoder) -> Self {
        Self::Path { path: Vec::new(), decoder: decoder.clone(), expander: None }
    }

    /// The names that lead to the list of the records, where they are just that in a body of JSON.
    pub(in super::super) fn list(&self, session: &Session) -> Result<Option<Vec<String>>, Trouble> {
        let Self::Path { path, decoder: Decoder::Json, expander: None } = self else {
            return Ok(None);
        };
        let path = evaluated(session, path)?;
        Ok(Some(path).filter(|path| !is_wild(path)))
    }

    /// What gives the records, where they are all that a body holds.
    pub(in super::super) fn whole_of(&self) -> Option<&Decoder> {
        match self {
            Self::Path { path, decoder, expander: None } if path.is_empty() => Some(decoder),
            _ => None,
        }
    }

    /// The records, as they came.
    pub(in super::super) fn records(
        &self,
        session: &Session,
        response: &Response,
    ) -> Result<Vec<Json>, Trouble> {
        match self {
            Self::Path { path, decoder, expander } => {
                let path = evaluated(session, path)?;
                let found = at_path(&path, decoder, response)?;
                match expander {
                    None => Ok(found),
                    Some(expander) => expander.expanded(session, found),
                }
            }
            Self::Combined { extractors, is_first, skips_empty } => {
                let mut records = Vec::new();
                for extractor in extractors {
                    let mut found = extractor.records(session, response)?;
                    if *skips_empty {
                        found.retain(is_truthy);
                    }
                    records.append(&mut found);
                    if *is_first && !records.is_empty() {
                        break;
                    }
                }
                Ok(records)
            }
            Self::Table { keeps_words } => table(response, *keeps_words),
            Self::Rows { path, decoder, number_field } => {
                let rows = at_path(&evaluated(session, path)?, decoder, response)?;
                rows::records(&rows, number_field.as_deref())
            }
        }
    }
}

fn evaluated(session: &Session, path: &[Expression]) -> Result<Vec<String>, Trouble> {
    path.iter().map(|step| Ok(step.text(session.scope())?)).collect()
}

fn is_wild(path: &[String]) -> bool {
    path.iter().any(|step| step == "*" || step == "**")
}

fn at_path(path: &[String], decoder: &Decoder, response: &Response) -> Result<Vec<Json>, Trouble> {
    let mut records = Vec::new();
    for value in decoder.values(response)? {
        if is_wild(path) {
            records.extend(path::all(&value, path).into_iter().cloned());
            continue;
        }
        match path::at(&value, path) {
            Some(Json::Array(items)) => records.extend(items.iter().cloned()),
            Some(found) if is_truthy(found) => records.push(found.clone()),
            _ => {}
        }
    }
    Ok(records)
}

fn table(response: &Response, keeps_words: bool) -> Result<Vec<Json>, Trouble> {
    let mut body = std::borrow::Cow::Borrowed(response.body.as_slice());
    if body.starts_with(&[0x1f, 0x8b]) {
        body = unpacked(&body)?.into();
    }
    if body.contains(&0) {
        body.to_mut().retain(|byte| *byte != 0);
    }
    let mut rows =
        Decoder::Csv { delimiter: b',', encoding: encoding_rs::UTF_8, nulls: Vec::new() }
            .owned(&body)?;
    for cell in rows.iter_mut().filter_map(Json::as_object_mut).flat_map(Map::values_mut) {
        let is_nothing = match cell.as_str() {
            Some(text) if keeps_words => text.is_empty(),
            Some(text) => NOTHING.contains(&text),
            None => false,
        };
        if is_nothing {
            *cell = Json::Null;
        }
    }
    Ok(rows)
}

/// Makes a record of each item of a list that a record holds.
#[derive(Clone, Debug)]
pub(in super::super) struct Expander {
    path: Vec<Expression>,
    keeps_original: bool,
    emits_parent: bool,
    merges_parent: bool,
    fields: Vec<(Vec<Expression>, Vec<Expression>)>,
}

impl Expander {
    fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        if node.get("truncated_list_retriever").is_some() {
            return Err(Trouble::config(format!(
                "`{}.truncated_list_retriever` is not supported",
                node.path
            )));
        }
        let fields = node.children("parent_fields");
        let field =
            |field: &Node<'_>| (field.expressions("parent_path"), field.expressions("record_path"));
        Ok(Self {
            path: node.expressions("expand_records_from_field"),
            keeps_original: node.flag("remain_original_record"),
            emits_parent: node.text("on_no_records") == Some("emit_parent"),
            merges_parent: node.flag("merge_parent"),
            fields: fields.iter().map(field).collect(),
        })
    }

    fn expanded(&self, session: &Session, records: Vec<Json>) -> Result<Vec<Json>, Trouble> {
        let path = evaluated(session, &self.path)?;
        let mut fields = Vec::with_capacity(self.fields.len());
        for (from, to) in &self.fields {
            fields.push((evaluated(session, from)?, evaluated(session, to)?));
        }
        if path.is_empty() {
            return Ok(records);
        }
        let carries = self.keeps_original || self.merges_parent || !fields.is_empty();
        let mut out = Vec::new();
        for parent in records {
            let lists = path::all(&parent, &path).into_iter().filter_map(Json::as_array);
            let items: Vec<Json> = lists.flatten().cloned().collect();
            let rest = self.merges_parent.then(|| without_lists(&parent, &path));
            let none = items.is_empty();
            for item in items {
                let item = match item {
                    Json::Object(item) => item,
                    other if carries => Map::from_iter([("value".to_owned(), other)]),
                    other => {
                        out.push(other);
                        continue;
                    }
                };
                let mut child = match &rest {
                    Some(Json::Object(rest)) => rest.clone(),
                    _ => Map::new(),
                };
                child.extend(item);
                for (from, to) in &fields {
                    let value = path::at(&parent, from).cloned().unwrap_or(Json::Null);
                    if !path::put(&mut child, to, value) {
                        return Err(Trouble::config(format!(
                            "`{}` of the expanded item is no map, so nothing can be put into it",
                            to.join(".")
                        )));
                    }
                }
                if self.keeps_original {
                    child.insert("original_record".to_owned(), parent.clone());
                }
                out.push(Json::Object(child));
            }
            if none && self.emits_parent {
                out.push(parent);
            }
        }
        Ok(out)
    }
}

/// `parent` without the lists that `path` leads to.
fn without_lists(parent: &Json, path: &[String]) -> Json {
    let mut rest = parent.clone();
    let is_list = |value: &Json| Ok::<_, std::convert::Infallible>(value.is_array());
    let Ok(()) = path::remove(&mut rest, path, &is_list);
    rest
}
