//! The headers of a response, as templates see them.

use serde_json::{Map, Value as Json};

/// Headers by name, whatever the case; `link` is the parsed header (RFC 8288) where that was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Headers {
    map: Map<String, Json>,
    links: Option<Json>,
}

impl Headers {
    /// Headers by name in small letters.
    pub(crate) fn new(map: Map<String, Json>) -> Self {
        Self { map, links: None }
    }

    /// With `link` as the parsed links by relation: each a map of `url`, `rel` and its other parameters.
    pub(crate) fn with_links(&self) -> Self {
        let link = self.get("link").and_then(Json::as_str).unwrap_or_default();
        Self { map: self.map.clone(), links: Some(Json::Object(links(link))) }
    }

    /// The value of the header `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        match &self.links {
            Some(links) if name == "link" => Some(links),
            _ => self.map.get(&name.to_ascii_lowercase()),
        }
    }

    /// The headers as they came.
    pub(crate) fn plain(&self) -> &Map<String, Json> {
        &self.map
    }
}

/// The links of a `Link` header by relation, or by address where they have none.
fn links(header: &str) -> Map<String, Json> {
    let mut links = Map::new();
    let mut rest = header;
    while let Some(start) = rest.find('<') {
        let Some(end) = rest[start..].find('>') else { break };
        let url = &rest[start + 1..start + end];
        rest = &rest[start + end + 1..];
        let parameters_end = rest.find(", <").or_else(|| rest.find(",<")).unwrap_or(rest.len());
        let mut link = Map::new();
        link.insert("url".to_owned(), Json::from(url));
        for parameter in rest[..parameters_end].split(';') {
            if let Some((key, value)) = parameter.trim().trim_end_matches(',').split_once('=') {
                let trim = |text: &str| text.trim_matches([' ', '\'', '"']).to_owned();
                link.insert(trim(key), Json::String(trim(value)));
            }
        }
        rest = &rest[parameters_end..];
        let name = link.get("rel").and_then(Json::as_str).unwrap_or(url).to_owned();
        links.insert(name, Json::Object(link));
    }
    links
}
