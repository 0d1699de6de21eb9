//! What a WebDAV server answers, and what it is asked.
//!
//! Source: RFC 4918 §14 (multistatus), RFC 6578 (sync-collection), RFC 6352 (CardDAV).

use quick_xml::NsReader;
use quick_xml::escape::{escape, resolve_xml_entity};
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};

const DAV: &[u8] = b"DAV:";
const CARDDAV: &[u8] = b"urn:ietf:params:xml:ns:carddav";

/// What is said of one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Resource {
    pub(super) href: String,
    /// The status of the resource itself, where it has one.
    pub(super) status: Option<u16>,
    pub(super) told: Properties,
}

/// Properties of a resource, as far as the server says them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Properties {
    pub(super) etag: Option<String>,
    pub(super) modified: Option<String>,
    pub(super) card: Option<String>,
    pub(super) name: Option<String>,
    pub(super) is_collection: bool,
    pub(super) is_address_book: bool,
    pub(super) principal: Option<String>,
    pub(super) homes: Vec<String>,
    /// Whether it lists its reports, and `sync-collection` among them.
    pub(super) syncs: Option<bool>,
    /// The names of what the user may do with it.
    pub(super) privileges: Option<Vec<String>>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// Where the next sync begins.
    pub(super) sync_token: Option<String>,
    /// The names of conditions that did not hold, where it is an error.
    pub(super) conditions: Vec<String>,
    /// An address that an error names.
    pub(super) href: Option<String>,
}

/// Where the reader is.
#[derive(Default)]
struct Reading {
    /// The elements around, by name; those of other namespaces have none.
    path: Vec<&'static str>,
    text: String,
    resource: Resource,
    found: Properties,
    status: Option<u16>,
    answer: Answer,
}

/// The elements that mean something here.
const ELEMENTS: &[(&[u8], &str)] = &[
    (DAV, "multistatus"),
    (DAV, "response"),
    (DAV, "href"),
    (DAV, "propstat"),
    (DAV, "prop"),
    (DAV, "status"),
    (DAV, "error"),
    (DAV, "sync-token"),
    (DAV, "valid-sync-token"),
    (DAV, "getetag"),
    (DAV, "getlastmodified"),
    (DAV, "displayname"),
    (DAV, "resourcetype"),
    (DAV, "collection"),
    (DAV, "current-user-principal"),
    (DAV, "supported-report-set"),
    (DAV, "sync-collection"),
    (DAV, "current-user-privilege-set"),
    (DAV, "privilege"),
    (DAV, "all"),
    (DAV, "write"),
    (DAV, "write-content"),
    (DAV, "bind"),
    (DAV, "unbind"),
    (CARDDAV, "addressbook"),
    (CARDDAV, "addressbook-home-set"),
    (CARDDAV, "address-data"),
    (CARDDAV, "no-uid-conflict"),
];

/// Reads an answer; `each` is handed every resource in it.
///
/// # Errors
///
/// When it is not XML, with what is wrong.
pub(super) fn read(body: &[u8], mut each: impl FnMut(Resource)) -> Result<Answer, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8".to_owned())?;
    let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut reading = Reading::default();
    let broken = |problem: &dyn std::fmt::Display| format!("the answer is broken XML: {problem}");
    loop {
        match reader.read_resolved_event().map_err(|error| broken(&error))? {
            (namespace, Event::Start(start)) => {
                let name = element(namespace, start.local_name().as_ref());
                reading.start(name);
            }
            (_, Event::End(_)) => {
                if let Some(resource) = reading.end() {
                    each(resource);
                }
            }
            (_, Event::Text(text)) => {
                reading.text.push_str(&text.decode().map_err(|error| broken(&error))?);
            }
            (_, Event::CData(text)) => {
                reading.text.push_str(&text.decode().map_err(|error| broken(&error))?);
            }
            (_, Event::GeneralRef(entity)) => {
                match entity.resolve_char_ref().map_err(|error| broken(&error))? {
                    Some(character) => reading.text.push(character),
                    None => {
                        let name = entity.decode().map_err(|error| broken(&error))?;
                        let known = resolve_xml_entity(&name);
                        let known = known.ok_or_else(|| broken(&format!("no entity `{name}`")))?;
                        reading.text.push_str(known);
                    }
                }
            }
            (_, Event::Eof) => break,
            _ => {}
        }
    }
    if reading.path.is_empty() {
        Ok(reading.answer)
    } else {
        Err("the answer breaks off".to_owned())
    }
}

fn element(namespace: ResolveResult<'_>, local: &[u8]) -> &'static str {
    let ResolveResult::Bound(Namespace(namespace)) = namespace else { return "" };
    let is_it = |(space, name): &&(&[u8], &str)| *space == namespace && name.as_bytes() == local;
    ELEMENTS.iter().find(is_it).map_or("", |(_, name)| name)
}

impl Reading {
    fn start(&mut self, name: &'static str) {
        self.text.clear();
        match name {
            "response" => self.resource = Resource::default(),
            "propstat" => (self.found, self.status) = (Properties::default(), None),
            "supported-report-set" => self.found.syncs = Some(false),
            "current-user-privilege-set" => self.found.privileges = Some(Vec::new()),
            _ => {}
        }
        self.path.push(name);
    }

    /// Takes the element that ends here, and hands over the resource that is complete with it.
    fn end(&mut self) -> Option<Resource> {
        let name = self.path.pop().unwrap_or_default();
        let text = std::mem::take(&mut self.text);
        let parent = self.path.last().copied().unwrap_or_default();
        match (parent, name) {
            ("multistatus", "response") => return Some(std::mem::take(&mut self.resource)),
            ("response", "propstat") => self.end_propstat(),
            ("response", "href") => self.resource.href = text.trim().to_owned(),
            ("response", "status") => self.resource.status = code(&text),
            ("propstat", "status") => self.status = code(&text),
            ("multistatus", "sync-token") => self.answer.sync_token = Some(text.trim().to_owned()),
            ("error", name) if !self.path.contains(&"response") => {
                self.answer.conditions.push(name.to_owned());
            }
            ("no-uid-conflict", "href") => self.answer.href = Some(text.trim().to_owned()),
            ("current-user-principal", "href") => {
                self.found.principal = Some(text.trim().to_owned());
            }
            ("addressbook-home-set", "href") => self.found.homes.push(text.trim().to_owned()),
            ("privilege", name) => {
                self.found.privileges.get_or_insert_default().push(name.to_owned());
            }
            ("resourcetype", "collection") => self.found.is_collection = true,
            ("resourcetype", "addressbook") => self.found.is_address_book = true,
            (_, "sync-collection") => self.found.syncs = Some(true),
            ("prop", "getetag") => self.found.etag = Some(text.trim().to_owned()),
            ("prop", "getlastmodified") => self.found.modified = Some(text),
            ("prop", "displayname") => self.found.name = Some(text),
            ("prop", "address-data") => self.found.card = Some(text),
            _ => {}
        }
        None
    }

    fn end_propstat(&mut self) {
        let found = std::mem::take(&mut self.found);
        if !self.status.is_none_or(|status| (200..300).contains(&status)) {
            return;
        }
        let told = &mut self.resource.told;
        told.etag = found.etag.or(told.etag.take());
        told.modified = found.modified.or(told.modified.take());
        told.card = found.card.or(told.card.take());
        told.name = found.name.or(told.name.take());
        told.principal = found.principal.or(told.principal.take());
        told.syncs = found.syncs.or(told.syncs.take());
        told.privileges = found.privileges.or(told.privileges.take());
        told.homes.extend(found.homes);
        told.is_collection |= found.is_collection;
        told.is_address_book |= found.is_address_book;
    }
}

/// The code in a line such as `HTTP/1.1 404 Not Found`.
fn code(line: &str) -> Option<u16> {
    line.split_whitespace().nth(1)?.parse().ok()
}

const NAMES: &str = r#"xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav""#;

/// Asks for what tells what a resource is.
pub(super) fn about() -> String {
    format!(
        "<propfind {NAMES}><prop><resourcetype/><displayname/><current-user-principal/>\
         <C:addressbook-home-set/><supported-report-set/><current-user-privilege-set/></prop></propfind>"
    )
}

/// Asks for the versions of the resources of a collection.
pub(super) fn listing() -> String {
    format!("<propfind {NAMES}><prop><resourcetype/><getetag/></prop></propfind>")
}

/// Asks for when the resources of a collection, or one of them, changed.
pub(super) fn dates() -> String {
    format!("<propfind {NAMES}><prop><getetag/><getlastmodified/></prop></propfind>")
}

/// Asks for the card with this UID.
pub(super) fn with_uid(uid: &str) -> String {
    format!(
        "<C:addressbook-query {NAMES}><prop><getetag/></prop><C:filter><C:prop-filter name=\"UID\">\
         <C:text-match collation=\"i;unicode-casemap\" match-type=\"equals\">{}</C:text-match>\
         </C:prop-filter></C:filter></C:addressbook-query>",
        escape(uid)
    )
}

/// Asks for what changed since `token`; everything where it is empty.
pub(super) fn sync(token: &str) -> String {
    format!(
        "<sync-collection {NAMES}><sync-token>{}</sync-token><sync-level>1</sync-level>\
         <prop><getetag/></prop></sync-collection>",
        escape(token)
    )
}

/// Asks for the cards at these addresses.
pub(super) fn multiget<'a>(hrefs: impl Iterator<Item = &'a str>) -> String {
    let hrefs: String = hrefs.map(|href| format!("<href>{}</href>", escape(href))).collect();
    format!(
        "<C:addressbook-multiget {NAMES}><prop><getetag/><getlastmodified/><C:address-data/></prop>\
         {hrefs}</C:addressbook-multiget>"
    )
}
