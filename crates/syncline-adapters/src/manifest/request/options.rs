//! Where values go in a request, and how the parts of a request come together.

use super::super::expression::{Expression, Options};
use super::super::interpolate::{digest::percent_encode, text_of};
use super::super::load::Node;
use super::super::session::Session;
use super::super::trouble::Trouble;
use serde_json::{Map, Value as Json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Query,
    Header,
    Form,
    Json,
}

/// Where a value goes.
#[derive(Clone, Debug)]
pub(in super::super) struct RequestOption {
    part: Part,
    path: Vec<Expression>,
}

impl RequestOption {
    pub(in super::super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let part = match node.text("inject_into") {
            Some("request_parameter") => Part::Query,
            Some("header") => Part::Header,
            Some("body_data") => Part::Form,
            Some("body_json") => Part::Json,
            _ => return Err(node.missing("inject_into")),
        };
        let mut path = node.expressions("field_path");
        if path.is_empty() {
            path.push(node.needed("field_name")?);
        }
        Ok(Self { part, path })
    }

    /// A header of this name.
    pub(in super::super) fn header(name: Expression) -> Self {
        Self { part: Part::Header, path: vec![name] }
    }

    /// Puts `value` into its place in `parts`.
    pub(in super::super) fn put(
        &self,
        session: &Session,
        parts: &mut Parts,
        value: Json,
    ) -> Result<(), Trouble> {
        let mut names = Vec::with_capacity(self.path.len());
        for name in &self.path {
            names.push(name.text(session.scope())?);
        }
        let Some(last) = names.pop() else { return Ok(()) };
        let mut map = parts.map(self.part)?;
        for name in names {
            let next = map.entry(name).or_insert_with(|| Json::Object(Map::new()));
            map = next
                .as_object_mut()
                .ok_or_else(|| Trouble::system("a value of the request's body is in the way"))?;
        }
        map.insert(last, value);
        Ok(())
    }
}

/// The parts of one request.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Parts {
    pub(in super::super) query: Map<String, Json>,
    pub(in super::super) headers: Map<String, Json>,
    pub(in super::super) form: Options,
    pub(in super::super) json: Map<String, Json>,
}

impl Parts {
    fn map(&mut self, part: Part) -> Result<&mut Map<String, Json>, Trouble> {
        match part {
            Part::Query => Ok(&mut self.query),
            Part::Header => Ok(&mut self.headers),
            Part::Json => Ok(&mut self.json),
            Part::Form => match &mut self.form {
                Options::Map(map) => Ok(map),
                Options::Text(_) => Err(Trouble::system(
                    "the request's body is text, so no field can be put into it",
                )),
            },
        }
    }

    /// Adds the parts of `other`. A name that both have is an error, but in JSON with the same value.
    pub(in super::super) fn merge(&mut self, other: Self) -> Result<(), Trouble> {
        merge(&mut self.query, other.query, false)?;
        merge(&mut self.headers, other.headers, false)?;
        merge(&mut self.json, other.json, true)?;
        let is_empty =
            |options: &Options| matches!(options, Options::Map(entries) if entries.is_empty());
        match (&mut self.form, other.form) {
            (_, added) if is_empty(&added) => {}
            (form, added) if is_empty(form) => *form = added,
            (Options::Map(form), Options::Map(added)) => merge(form, added, false)?,
            _ => {
                return Err(Trouble::system(
                    "the request would have a body of text and one of fields",
                ));
            }
        }
        Ok(())
    }
}

fn merge(
    target: &mut Map<String, Json>,
    source: Map<String, Json>,
    same_is_fine: bool,
) -> Result<(), Trouble> {
    for (key, value) in source {
        match (target.get_mut(&key), value) {
            (None, value) => {
                target.insert(key, value);
            }
            (Some(Json::Object(old)), Json::Object(new)) if same_is_fine => merge(old, new, true)?,
            (Some(old), new) if same_is_fine && *old == new => {}
            _ => {
                return Err(Trouble::system(format!("two parts of the request both set `{key}`")));
            }
        }
    }
    Ok(())
}

/// `name=value` pairs, percent-encoded; a list gives its name to each of its values.
pub(in super::super) fn encode_pairs(map: &Map<String, Json>) -> String {
    let encode = |text: &str| percent_encode(text, "_.-~", true);
    let mut pairs = Vec::new();
    for (name, value) in map {
        let single = std::slice::from_ref(value);
        let values = value.as_array().map_or(single, Vec::as_slice);
        for value in values.iter().filter(|value| !value.is_null()) {
            pairs.push(format!("{}={}", encode(name), encode(&text_of(value))));
        }
    }
    pairs.join("&")
}

/// The address of a request: base and path joined as a browser would, with the query at its end. A
/// parameter that the address already has, with the same value, is not repeated.
pub(super) fn address(
    base: &str,
    path: &str,
    query: &Map<String, Json>,
) -> Result<reqwest::Url, Trouble> {
    let bad = |error| Trouble::config(format!("`{base}{path}` is no address: {error}"));
    let mut url = if path.is_empty() {
        reqwest::Url::parse(base).map_err(bad)?
    } else {
        let base = if base.ends_with('/') { base.to_owned() } else { format!("{base}/") };
        let mut url = reqwest::Url::parse(&base).and_then(|base| base.join(path)).map_err(bad)?;
        // Nothing stands between two slashes where a template came to nothing.
        if !path.starts_with('/') && !path.contains("://") && url.path().contains("//") {
            let mut joined = url.path().to_owned();
            while joined.contains("//") {
                joined = joined.replace("//", "/");
            }
            url.set_path(&joined);
        }
        url
    };
    let mut query = query.clone();
    let mut seen = Vec::new();
    for (name, value) in url.query_pairs() {
        if !value.is_empty() && !seen.contains(&name) {
            if query.get(name.as_ref()).is_some_and(|new| text_of(new) == value) {
                query.remove(name.as_ref());
            }
            seen.push(name);
        }
    }
    let added = encode_pairs(&query);
    if !added.is_empty() {
        let whole = match url.query() {
            Some(old) if !old.is_empty() => format!("{old}&{added}"),
            _ => added,
        };
        url.set_query(Some(&whole));
    }
    url.set_fragment(None);
    Ok(url)
}
