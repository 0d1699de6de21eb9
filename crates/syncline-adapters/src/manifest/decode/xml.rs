//! XML as JSON: an element is a map of its children, with `@` before the names of attributes and `#text` for
//! text beside them; elements of the same name are a list, and an element with text alone is that text.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value as Json};

/// Deeper than this is no answer, but a trap.
const DEPTH_MAX: usize = 256;

#[derive(Default)]
struct Open {
    name: String,
    children: Map<String, Json>,
    text: String,
}

impl Open {
    fn begin(start: &BytesStart<'_>) -> Option<Self> {
        let mut open = Self { name: name(start.name().as_ref())?, ..Self::default() };
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let value = quick_xml::escape::unescape(std::str::from_utf8(&attribute.value).ok()?)
                .ok()?
                .into_owned();
            open.children.insert(format!("@{}", name(attribute.key.as_ref())?), value.into());
        }
        Some(open)
    }

    fn put(&mut self, name: String, value: Json) {
        match self.children.get_mut(&name) {
            None => {
                self.children.insert(name, value);
            }
            Some(Json::Array(items)) => items.push(value),
            Some(first) => {
                let first = std::mem::take(first);
                self.children.insert(name, Json::Array(vec![first, value]));
            }
        }
    }

    fn end(self) -> (String, Json) {
        let text = self.text.trim();
        let (mut children, has_text) = (self.children, !text.is_empty());
        let value = match (children.is_empty(), has_text) {
            (true, false) => Json::Null,
            (true, true) => Json::from(text),
            (false, false) => Json::Object(children),
            (false, true) => {
                children.insert("#text".to_owned(), text.into());
                Json::Object(children)
            }
        };
        (self.name, value)
    }
}

fn name(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// The document in `body`, as a map with its root; `None` where it is no XML.
pub(super) fn value(body: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()?;
    let mut reader = Reader::from_str(text);
    let mut open = vec![Open::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if open.len() > DEPTH_MAX {
                    return None;
                }
                open.push(Open::begin(&start)?);
            }
            Event::Empty(start) => {
                let (name, value) = Open::begin(&start)?.end();
                open.last_mut()?.put(name, value);
            }
            Event::End(_) => {
                let (name, value) = open.pop()?.end();
                open.last_mut()?.put(name, value);
            }
            Event::Text(text) => open.last_mut()?.text += &text.decode().ok()?,
            Event::CData(text) => open.last_mut()?.text += &text.decode().ok()?,
            Event::GeneralRef(entity) => {
                let text = format!("&{};", entity.decode().ok()?);
                open.last_mut()?.text += &quick_xml::escape::unescape(&text).ok()?;
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let root = open.pop().filter(|_| open.is_empty())?;
    (!root.children.is_empty()).then_some(Json::Object(root.children))
}
