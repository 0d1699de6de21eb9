//! What a card says, by field, and how a field of it is changed.

use super::card::{Card, Property, closed, escape, split, unescape, verbatim};
use compact_str::CompactString;
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::{Arc, LazyLock};
use syncline_core::config::model::VcardVersion;
use syncline_core::record::Shape;
use syncline_core::value::{Cell, Value};

/// What the server says of a card beside the card itself; these come first in [`SHAPE`].
const OWN: [&str; 6] = ["href", "etag", "modified", "uid", "kind", "rev"];

/// One field.
struct Field {
    name: &'static str,
    property: &'static str,
    pick: Pick,
    form: Form,
}

/// Which of several properties of one name it is.
#[derive(Clone, Copy, PartialEq)]
enum Pick {
    /// The preferred one, or the first.
    Preferred,
    /// The preferred one, or the first, of those of a type.
    Typed(&'static str),
    /// All of them: a list.
    All,
}

/// What a value looks like.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    /// A part of a value, by its place between semicolons.
    Part(usize),
    /// Texts between commas.
    Texts,
    /// An address that is not escaped.
    Uri,
    /// A telephone number: text, or an address that begins with `tel:`.
    Phone,
    Date,
}

const fn field(name: &'static str, property: &'static str, pick: Pick, form: Form) -> Field {
    Field { name, property, pick, form }
}

const PREFERRED: Pick = Pick::Preferred;
const HOME: Pick = Pick::Typed("HOME");
const WORK: Pick = Pick::Typed("WORK");

const FIELDS: &[Field] = &[
    field("name", "FN", PREFERRED, Form::Text),
    field("family_name", "N", PREFERRED, Form::Part(0)),
    field("given_name", "N", PREFERRED, Form::Part(1)),
    field("additional_names", "N", PREFERRED, Form::Part(2)),
    field("name_prefix", "N", PREFERRED, Form::Part(3)),
    field("name_suffix", "N", PREFERRED, Form::Part(4)),
    field("nickname", "NICKNAME", PREFERRED, Form::Text),
    field("organization", "ORG", PREFERRED, Form::Part(0)),
    field("department", "ORG", PREFERRED, Form::Part(1)),
    field("title", "TITLE", PREFERRED, Form::Text),
    field("role", "ROLE", PREFERRED, Form::Text),
    field("note", "NOTE", PREFERRED, Form::Text),
    field("birthday", "BDAY", PREFERRED, Form::Date),
    field("anniversary", "ANNIVERSARY", PREFERRED, Form::Date),
    field("categories", "CATEGORIES", Pick::All, Form::Texts),
    field("email", "EMAIL", PREFERRED, Form::Text),
    field("email_home", "EMAIL", HOME, Form::Text),
    field("email_work", "EMAIL", WORK, Form::Text),
    field("emails", "EMAIL", Pick::All, Form::Text),
    field("phone", "TEL", PREFERRED, Form::Phone),
    field("phone_home", "TEL", HOME, Form::Phone),
    field("phone_work", "TEL", WORK, Form::Phone),
    field("phone_mobile", "TEL", Pick::Typed("CELL"), Form::Phone),
    field("phone_fax", "TEL", Pick::Typed("FAX"), Form::Phone),
    field("phones", "TEL", Pick::All, Form::Phone),
    field("url", "URL", PREFERRED, Form::Uri),
    field("url_home", "URL", HOME, Form::Uri),
    field("url_work", "URL", WORK, Form::Uri),
    field("urls", "URL", Pick::All, Form::Uri),
    field("impp", "IMPP", PREFERRED, Form::Uri),
    field("impps", "IMPP", Pick::All, Form::Uri),
    field("po_box", "ADR", PREFERRED, Form::Part(0)),
    field("extended_address", "ADR", PREFERRED, Form::Part(1)),
    field("street", "ADR", PREFERRED, Form::Part(2)),
    field("city", "ADR", PREFERRED, Form::Part(3)),
    field("region", "ADR", PREFERRED, Form::Part(4)),
    field("postal_code", "ADR", PREFERRED, Form::Part(5)),
    field("country", "ADR", PREFERRED, Form::Part(6)),
    field("street_home", "ADR", HOME, Form::Part(2)),
    field("city_home", "ADR", HOME, Form::Part(3)),
    field("region_home", "ADR", HOME, Form::Part(4)),
    field("postal_code_home", "ADR", HOME, Form::Part(5)),
    field("country_home", "ADR", HOME, Form::Part(6)),
    field("street_work", "ADR", WORK, Form::Part(2)),
    field("city_work", "ADR", WORK, Form::Part(3)),
    field("region_work", "ADR", WORK, Form::Part(4)),
    field("postal_code_work", "ADR", WORK, Form::Part(5)),
    field("country_work", "ADR", WORK, Form::Part(6)),
];

/// The names of all fields of a record.
pub(super) static SHAPE: LazyLock<Arc<Shape>> = LazyLock::new(|| {
    Arc::new(Shape::new(OWN.into_iter().chain(FIELDS.iter().map(|field| field.name))))
});

/// What the server says of a card.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told<'a> {
    /// What its address ends in.
    pub(super) href: &'a str,
    /// Its version.
    pub(super) etag: Option<&'a str>,
    /// When it changed, as HTTP writes it.
    pub(super) modified: Option<&'a str>,
}

/// The record of a card that is there no more.
pub(super) fn gone(href: &str) -> Vec<Cell> {
    vec![Some(Value::text(href))]
}

/// The record of a card, under [`SHAPE`]. What a card does not have is null; a date without a year is absent.
pub(super) fn cells(card: &Card, told: Told<'_>) -> Vec<Cell> {
    let text = |text: Option<String>| Some(text.map_or(Value::Null, Value::text));
    let single = |name| card.named(name).next().map(|property| unescape(property.value()));
    let modified = told.modified.and_then(|text| {
        let moment = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
        Some(moment.to_string())
    });
    let kind = single("KIND").or_else(|| single("X-ADDRESSBOOKSERVER-KIND"));
    let rev = single("REV").and_then(|rev| rev.trim().parse::<Timestamp>().ok());
    let mut cells = gone(told.href);
    cells.extend([
        text(told.etag.map(str::to_owned)),
        text(modified),
        text(single("UID")),
        text(Some(kind.map_or_else(|| "individual".to_owned(), |kind| kind.to_lowercase()))),
        text(rev.map(|moment| moment.to_string())),
    ]);
    cells.extend(FIELDS.iter().map(|field| field.read(card)));
    cells
}

/// What a record says of the field `name`, where there is such a field.
pub(super) fn cell<'a>(cells: &'a [Cell], name: &str) -> Option<&'a Cell> {
    cells.get(SHAPE.position(name)?)
}

/// Changes what a card says of the field `name`, and nothing else; a value that it has already changes nothing.
///
/// # Errors
///
/// When there is no such field, it cannot be written, or not with this value.
pub(super) fn edit(card: &mut Card, name: &str, value: &Value) -> Result<(), String> {
    if let Some(field) = FIELDS.iter().find(|field| field.name == name) {
        return field.write(card, value);
    }
    if !OWN.contains(&name) {
        return Err("an address book has no such field".to_owned());
    }
    let held = (name == "uid").then(|| card.named("UID").next()).flatten();
    if held.is_some_and(|uid| unescape(uid.value()) == value.to_plain()) {
        return Ok(());
    }
    Err("it cannot be written".to_owned())
}

/// A new card that holds `fields`.
///
/// # Errors
///
/// The field that cannot be written, and why not.
pub(super) fn create(
    version: VcardVersion,
    uid: &str,
    fields: &[(CompactString, Value)],
) -> Result<Card, (CompactString, String)> {
    let wrong = |name: &str| {
        let name = CompactString::new(name);
        move |problem: String| (name, problem)
    };
    let uid = fields
        .iter()
        .find(|(name, _)| name == "uid")
        .and_then(|(_, value)| value.as_text())
        .filter(|uid| !uid.is_empty())
        .unwrap_or(uid);
    let uid = escape(uid).map_err(wrong("uid"))?;
    let number = match version {
        VcardVersion::V3 => "3.0",
        VcardVersion::V4 => "4.0",
    };
    let skeleton = format!(
        "BEGIN:VCARD\r\nVERSION:{number}\r\nPRODID:-//Syncline//CardDAV//EN\r\nUID:{uid}\r\nEND:VCARD\r\n"
    );
    let mut card = Card::parse(skeleton.as_bytes()).map_err(wrong("uid"))?;
    for (name, value) in fields {
        if name != "href" && name != "uid" {
            edit(&mut card, name, value).map_err(wrong(name))?;
        }
    }
    complete(&mut card, fields).map_err(wrong("name"))?;
    Ok(card)
}

/// Adds the names that every card must have.
fn complete(card: &mut Card, fields: &[(CompactString, Value)]) -> Result<(), String> {
    if card.named("FN").next().is_none() {
        let said = cells(card, Told::default());
        let says = |name: &str| cell(&said, name)?.as_ref()?.as_text();
        let parts: Vec<&str> =
            ["given_name", "family_name"].iter().filter_map(|name| says(name)).collect();
        let others = ["organization", "nickname", "email", "phone"];
        let name = if parts.is_empty() {
            others.iter().find_map(|name| says(name)).map(str::to_owned)
        } else {
            Some(parts.join(" "))
        };
        let name = name.ok_or("a card needs a name, and there is nothing to make one of")?;
        card.add("FN", &escape(&name)?);
    }
    if card.named("N").next().is_none() {
        // Apps that show the parts show the whole name then.
        let is_part = |field: &Field| field.property == "N";
        let knows_parts = fields.iter().any(|(name, _)| {
            FIELDS.iter().any(|field| is_part(field) && field.name == name.as_str())
        });
        let whole = card.named("FN").next().map_or("", |name| name.value()).to_owned();
        card.add("N", &format!("{};;;;", if knows_parts { "" } else { &whole }));
    }
    Ok(())
}

impl Field {
    /// The properties that are meant, the preferred one first.
    fn properties<'a>(&self, card: &'a Card) -> Vec<Property<'a>> {
        let mut found: Vec<Property<'_>> = card.named(self.property).collect();
        match self.pick {
            Pick::All => return found,
            Pick::Preferred => {}
            Pick::Typed(name) => found.retain(|property| property.is_type(name)),
        }
        if self.form == Form::Phone && self.pick != Pick::Typed("FAX") {
            found.retain(|property| !property.is_type("FAX") && !property.is_type("PAGER"));
        }
        found.sort_by_key(rank);
        found
    }

    fn read(&self, card: &Card) -> Cell {
        let found = self.properties(card);
        if self.pick == Pick::All {
            let texts = found.iter().flat_map(|property| self.texts(property));
            let texts: Vec<Value> = texts.filter(|t| !t.is_empty()).map(Value::text).collect();
            return Some(if texts.is_empty() { Value::Null } else { Value::List(texts) });
        }
        let Some(property) = found.first() else { return Some(Value::Null) };
        if self.form == Form::Date {
            return date(property).map(|date| Value::text(date.to_string()));
        }
        let text = self.texts(property).into_iter().next().filter(|text| !text.is_empty());
        Some(text.map_or(Value::Null, Value::text))
    }

    /// The texts that a property says of this field.
    fn texts(&self, property: &Property<'_>) -> Vec<String> {
        let value = property.value();
        match self.form {
            Form::Part(place) => {
                vec![split(value, ';').get(place).map(|part| unescape(part)).unwrap_or_default()]
            }
            Form::Texts => {
                split(value, ',').into_iter().map(|text| unescape(text.trim())).collect()
            }
            Form::Phone => {
                let is_uri = property.parameter("VALUE").any(|v| v.eq_ignore_ascii_case("uri"));
                let text = unescape(value);
                match text.get(..4) {
                    Some(scheme) if is_uri && scheme.eq_ignore_ascii_case("tel:") => {
                        vec![text[4..].to_owned()]
                    }
                    _ => vec![text],
                }
            }
            Form::Text | Form::Uri | Form::Date => vec![unescape(value)],
        }
    }

    fn write(&self, card: &mut Card, value: &Value) -> Result<(), String> {
        if self.pick == Pick::All {
            return self.write_all(card, texts(value)?);
        }
        let text = match value {
            Value::List(_) | Value::Map(_) => return Err("it must be text".to_owned()),
            other => other.to_plain().into_owned(),
        };
        let found = self.properties(card);
        let Some(property) = found.first() else {
            return if text.is_empty() { Ok(()) } else { self.add(card, &text) };
        };
        let held = match self.form {
            Form::Date => date(property).map(|date| date.to_string()).unwrap_or_default(),
            _ => self.texts(property).into_iter().next().unwrap_or_default(),
        };
        if held == text {
            return Ok(());
        }
        let (index, parts) = (property.index, split(property.value(), ';'));
        let written = match self.form {
            Form::Part(place) => with_part(&parts, place, &text)?,
            _ => self.written(card, &text)?,
        };
        if written.chars().any(|character| character != ';') {
            card.set(index, &written, self.outdated());
        } else if self.property == "N" {
            card.set(index, &written, &[]);
        } else if self.property == "FN" {
            return Err("a card needs a name".to_owned());
        } else {
            card.remove(index);
        }
        Ok(())
    }

    /// Makes the list of all values `wanted`: those that stay keep their properties as they are.
    fn write_all(&self, card: &mut Card, mut wanted: Vec<String>) -> Result<(), String> {
        let found: Vec<(usize, Vec<String>)> = self
            .properties(card)
            .iter()
            .map(|property| (property.index, self.texts(property)))
            .map(|(index, texts)| {
                (index, texts.into_iter().filter(|text| !text.is_empty()).collect())
            })
            .collect();
        let mut changed = Vec::new();
        for (index, held) in found {
            let stays = |text: &String| match wanted.iter().position(|one| one == text) {
                Some(place) => {
                    wanted.remove(place);
                    true
                }
                None => false,
            };
            let count = held.len();
            let kept: Vec<String> = held.into_iter().filter(stays).collect();
            if kept.len() < count {
                changed.push((index, kept));
            }
        }
        // New texts stand in a property of their own, or between commas where they can.
        let added: Result<Vec<String>, String> =
            wanted.iter().map(|text| self.written(card, text)).collect();
        let added = added?;
        for (index, kept) in changed.into_iter().rev() {
            let kept: Result<Vec<String>, String> = kept.iter().map(|text| escape(text)).collect();
            match kept? {
                kept if kept.is_empty() => card.remove(index),
                kept => card.set(index, &kept.join(","), &[]),
            }
        }
        match self.form {
            Form::Texts if added.is_empty() => {}
            Form::Texts => match self.properties(card).first() {
                Some(first) => {
                    let value = format!("{},{}", closed(first.value()), added.join(","));
                    card.set(first.index, &value, &[]);
                }
                None => card.add(self.property, &added.join(",")),
            },
            _ => added.iter().for_each(|value| card.add(&self.head(card), value)),
        }
        Ok(())
    }

    fn add(&self, card: &mut Card, text: &str) -> Result<(), String> {
        let value = match self.form {
            Form::Part(place) => {
                let parts = match self.property {
                    "N" => 5,
                    "ADR" => 7,
                    _ => place + 1,
                };
                with_part(&vec![""; parts], place, text)?
            }
            _ => self.written(card, text)?,
        };
        card.add(&self.head(card), &value);
        Ok(())
    }

    /// The text as a card of this version writes it.
    fn written(&self, card: &Card, text: &str) -> Result<String, String> {
        match self.form {
            Form::Uri => verbatim(text),
            Form::Date if text.is_empty() => Ok(String::new()),
            Form::Date => {
                let date: Date = text.parse().map_err(|_| format!("`{text}` is not a date"))?;
                let basic = card.version() == "4.0";
                Ok(if basic { date.to_string().replace('-', "") } else { date.to_string() })
            }
            _ => escape(text),
        }
    }

    /// The name and parameters of a new property.
    fn head(&self, card: &Card) -> String {
        let is_new = card.version() == "4.0";
        let usual = match self.property {
            "EMAIL" if !is_new => Some("INTERNET"),
            "TEL" if !is_new && self.pick != Pick::Typed("FAX") => Some("VOICE"),
            _ => None,
        };
        let own = match self.pick {
            Pick::Typed(name) => Some(name),
            Pick::Preferred | Pick::All => None,
        };
        let types: Vec<&str> = usual.into_iter().chain(own).collect();
        match types.join(",") {
            types if types.is_empty() => self.property.to_owned(),
            types if is_new => format!("{};TYPE={}", self.property, types.to_lowercase()),
            types => format!("{};TYPE={types}", self.property),
        }
    }

    /// Parameters that say how the value was written, which a new value is not.
    fn outdated(&self) -> &'static [&'static str] {
        match self.form {
            Form::Phone => &["VALUE"],
            Form::Date => &["VALUE", "X-APPLE-OMIT-YEAR", "CALSCALE"],
            _ => &[],
        }
    }
}

/// How much a property is preferred: less is more.
fn rank(property: &Property<'_>) -> u32 {
    let stated = property.parameter("PREF").find_map(|pref| pref.parse().ok());
    stated.unwrap_or(if property.is_type("PREF") { 1 } else { 101 })
}

/// The day that a property says, where it says all of it.
fn date(property: &Property<'_>) -> Option<Date> {
    if property.parameter("X-APPLE-OMIT-YEAR").next().is_some() {
        return None;
    }
    let text = property.value().trim();
    let day = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let digits = day.bytes().filter(u8::is_ascii_digit).count();
    if digits != 8 || day.starts_with('-') { None } else { day.parse().ok() }
}

fn with_part(parts: &[&str], place: usize, text: &str) -> Result<String, String> {
    let text = escape(text)?;
    let last = parts.last().map(|last| closed(last)).unwrap_or_default();
    let (count, mut parts) = (parts.len(), parts.to_vec());
    if let Some(end) = parts.last_mut().filter(|_| place >= count) {
        *end = &last;
    }
    parts.resize(parts.len().max(place + 1), "");
    parts[place] = &text;
    Ok(parts.join(";"))
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let items = match value {
        Value::List(items) => items.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    let mut texts: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        if matches!(item, Value::List(_) | Value::Map(_)) {
            return Err("it must be a list of texts".to_owned());
        }
        let text = item.to_plain().into_owned();
        if !text.is_empty() {
            texts.push(text);
        }
    }
    Ok(texts)
}
