//! The values of an expression, with the arithmetic model of Python: what manifests were written against.

use super::headers::Headers;
use super::moment::{Moment, Period, delta_text};
use super::slice::StreamSlice;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::rc::Rc;

/// Why an expression has no value. The kinds differ in what the caller makes of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// An operation does not fit the types of its operands: the template then stands for its own text.
    Type,
    /// Something that is not there was used: the template's default is taken.
    Undefined(String),
    /// Anything else: the stream cannot go on.
    Error(String),
}

impl Fault {
    pub(super) fn error(problem: impl Into<String>) -> Self {
        Self::Error(problem.into())
    }
}

pub(super) type Outcome<'a> = Result<Val<'a>, Fault>;

/// A list that other names can share.
pub(super) type Shared<T> = Rc<RefCell<Vec<T>>>;

/// One value; containers of the context stay borrowed, those that a template makes are shared.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Undefined,
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Cow<'a, str>),
    /// A list or a map of the context.
    Json(&'a Json),
    Slice(&'a StreamSlice),
    Headers(&'a Headers),
    List(Shared<Val<'a>>),
    Tuple(Rc<Vec<Val<'a>>>),
    /// What can be gone through once, and has no length.
    Iter(Rc<Vec<Val<'a>>>),
    Dict(Shared<(Val<'a>, Val<'a>)>),
    Moment(Moment),
    Period(Period),
    /// A function, by name.
    Function(&'static str),
    /// A method of the value.
    Method(Rc<Val<'a>>, Rc<str>),
}

impl<'a> Val<'a> {
    pub(super) fn json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::None,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(number) => number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from))
                .map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Int),
            Json::String(text) => Self::Str(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }

    /// The value of `json`, without borrowing from it.
    pub(super) fn owned(json: &Json) -> Self {
        match json {
            Json::String(text) => Self::str(text.as_str()),
            Json::Array(items) => Self::list(items.iter().map(Self::owned).collect()),
            Json::Object(entries) => {
                let pair =
                    |(key, value): (&String, &Json)| (Self::str(key.as_str()), Self::owned(value));
                Self::Dict(Rc::new(RefCell::new(entries.iter().map(pair).collect())))
            }
            Json::Null => Self::None,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(number) => number.as_i64().map_or_else(
                || Self::Float(number.as_f64().unwrap_or(f64::NAN)),
                |int| Self::Int(int.into()),
            ),
        }
    }

    /// A list or map of the context as one that can be changed; what it holds stays as it is.
    pub(super) fn json_copy(json: &'a Json) -> Self {
        match json {
            Json::Array(items) => Self::list(items.iter().map(Self::json).collect()),
            Json::Object(entries) => {
                let pair = |(key, value): (&'a String, &'a Json)| {
                    (Self::Str(Cow::Borrowed(key.as_str())), Self::json(value))
                };
                Self::Dict(Rc::new(RefCell::new(entries.iter().map(pair).collect())))
            }
            other => Self::json(other),
        }
    }

    pub(super) fn str(text: impl Into<String>) -> Self {
        Self::Str(Cow::Owned(text.into()))
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(RefCell::new(items)))
    }

    pub(super) fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(items))
    }

    pub(super) fn truthy(&self) -> bool {
        match self {
            Self::Undefined | Self::None => false,
            Self::Bool(b) => *b,
            Self::Int(i) => *i != 0,
            Self::Float(f) => *f != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Json(Json::Array(items)) => !items.is_empty(),
            Self::Json(Json::Object(entries)) => !entries.is_empty(),
            Self::Slice(slice) => !slice.merged().is_empty(),
            Self::Headers(headers) => !headers.plain().is_empty(),
            Self::List(items) => !items.borrow().is_empty(),
            Self::Tuple(items) => !items.is_empty(),
            Self::Dict(entries) => !entries.borrow().is_empty(),
            Self::Period(period) => !period.is_zero(),
            _ => true,
        }
    }

    /// The number that arithmetic takes this for; true is 1.
    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Self::Bool(b) => Some(Number::Int(i128::from(*b))),
            Self::Int(i) => Some(Number::Int(*i)),
            Self::Float(f) => Some(Number::Float(*f)),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The items that a loop goes through: of a map its keys, of text its characters.
    pub(super) fn items(&self) -> Result<Vec<Self>, Fault> {
        match self {
            Self::Undefined => Ok(Vec::new()),
            Self::Str(text) => Ok(text.chars().map(Self::str).collect()),
            Self::Json(Json::Array(items)) => Ok(items.iter().map(Self::json).collect()),
            Self::List(items) => Ok(items.borrow().clone()),
            Self::Tuple(items) | Self::Iter(items) => Ok(items.as_ref().clone()),
            _ => self
                .entries()
                .map(|entries| entries.into_iter().map(|(key, _)| key).collect())
                .ok_or(Fault::Type),
        }
    }

    /// The entries, where this is a map.
    pub(super) fn entries(&self) -> Option<Vec<(Self, Self)>> {
        let borrowed = match self {
            Self::Json(Json::Object(entries)) => entries,
            Self::Slice(slice) => slice.merged(),
            Self::Headers(headers) => headers.plain(),
            Self::Dict(entries) => return Some(entries.borrow().clone()),
            _ => return None,
        };
        let pair = |(key, value): (&'a String, &'a Json)| {
            (Self::Str(Cow::Borrowed(key.as_str())), Self::json(value))
        };
        Some(borrowed.iter().map(pair).collect())
    }

    /// What a map holds under `key`.
    pub(super) fn entry(&self, key: &Self) -> Option<Self> {
        match self {
            Self::Json(Json::Object(entries)) => entries.get(key.text()?).map(Self::json),
            Self::Slice(slice) => slice.merged().get(key.text()?).map(Self::json),
            Self::Headers(headers) => headers.get(key.text()?).map(Self::json),
            Self::Dict(entries) => {
                entries.borrow().iter().find(|(k, _)| equal(k, key)).map(|(_, v)| v.clone())
            }
            _ => None,
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(
            self,
            Self::Json(Json::Object(_)) | Self::Slice(_) | Self::Headers(_) | Self::Dict(_)
        )
    }

    /// Whether this can be the key of a map.
    pub(super) fn is_hashable(&self) -> bool {
        match self {
            Self::Json(_) | Self::List(_) => false,
            map if map.is_map() => false,
            Self::Tuple(items) => items.iter().all(Self::is_hashable),
            _ => true,
        }
    }

    pub(super) fn len(&self) -> Result<usize, Fault> {
        match self {
            Self::Iter(_) => Err(Fault::Type),
            Self::Str(text) => Ok(text.chars().count()),
            Self::Json(Json::Array(items)) => Ok(items.len()),
            Self::Json(Json::Object(entries)) => Ok(entries.len()),
            other => other.items().map(|items| items.len()),
        }
    }

    /// The value as text, as `str` writes it.
    pub(super) fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Undefined => Cow::Borrowed(""),
            Self::Str(text) => Cow::Borrowed(text),
            other => {
                let mut out = String::new();
                other.write_repr(&mut out);
                Cow::Owned(out)
            }
        }
    }

    pub(super) fn write_repr(&self, out: &mut String) {
        match self {
            Self::Undefined => out.push_str("Undefined"),
            Self::None => out.push_str("None"),
            Self::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
            Self::Int(i) => append(out, i),
            Self::Float(f) => out.push_str(&float_text(*f)),
            Self::Str(text) => write_quoted(out, text),
            Self::Json(Json::Array(_)) | Self::List(_) => {
                self.write_items(out, '[', ']');
            }
            Self::Tuple(items) => {
                self.write_items(out, '(', if items.len() == 1 { ',' } else { ')' });
                if items.len() == 1 {
                    out.push(')');
                }
            }
            Self::Json(_) | Self::Slice(_) | Self::Headers(_) | Self::Dict(_) => {
                out.push('{');
                for (index, (key, value)) in self.entries().unwrap_or_default().iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    key.write_repr(out);
                    out.push_str(": ");
                    value.write_repr(out);
                }
                out.push('}');
            }
            Self::Moment(moment) => out.push_str(&moment.iso(' ')),
            Self::Period(period) => out.push_str(&delta_text(period)),
            Self::Iter(_) => out.push_str("<generator object>"),
            Self::Function(name) => append(out, format_args!("<function {name}>")),
            Self::Method(_, name) => append(out, format_args!("<built-in method {name}>")),
        }
    }

    fn write_items(&self, out: &mut String, open: char, close: char) {
        out.push(open);
        for (index, item) in self.items().unwrap_or_default().iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            item.write_repr(out);
        }
        out.push(close);
    }
}

/// A number as arithmetic sees it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(i) => i as f64,
            Self::Float(f) => f,
        }
    }
}

fn append(out: &mut String, what: impl std::fmt::Display) {
    write!(out, "{what}").expect("a string takes whatever is written");
}

/// A float as Python writes it: the shortest digits that read back as the same number.
pub(crate) fn float_text(f: f64) -> String {
    if f.is_nan() {
        return "nan".to_owned();
    }
    if f.is_infinite() {
        return if f > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let magnitude = f.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{f:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) =
            exponent.strip_prefix('-').map_or(('+', exponent), |positive| ('-', positive));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = f.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if u32::from(c) < 0x20 || (0x7f..0xa1).contains(&u32::from(c)) => {
                append(out, format_args!("\\x{:02x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Whether two values are equal; values of different kinds are just not equal.
pub(super) fn equal<'a>(a: &Val<'a>, b: &Val<'a>) -> bool {
    if let (Some(a), Some(b)) = (a.number(), b.number()) {
        return match (a, b) {
            (Number::Int(a), Number::Int(b)) => a == b,
            (a, b) => a.as_f64() == b.as_f64(),
        };
    }
    match (a, b) {
        (Val::Undefined, Val::Undefined) | (Val::None, Val::None) => true,
        (Val::Str(a), Val::Str(b)) => a == b,
        (Val::Moment(a), Val::Moment(b)) => a.compare(b) == Some(Ordering::Equal),
        (Val::Period(a), Val::Period(b)) => a == b,
        (Val::Function(a), Val::Function(b)) => a == b,
        (Val::Tuple(a), Val::Tuple(b)) => all_equal(a, b),
        _ if a.is_map() && b.is_map() => {
            let (Some(left), Some(right)) = (a.entries(), b.entries()) else { return false };
            left.len() == right.len()
                && left.iter().all(|(key, value)| b.entry(key).is_some_and(|v| equal(value, &v)))
        }
        _ if is_list(a) && is_list(b) => match (a.items(), b.items()) {
            (Ok(a), Ok(b)) => all_equal(&a, &b),
            _ => false,
        },
        _ => false,
    }
}

fn all_equal<'a>(a: &[Val<'a>], b: &[Val<'a>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
}

pub(super) fn is_list(value: &Val<'_>) -> bool {
    matches!(value, Val::Json(Json::Array(_)) | Val::List(_))
}

/// The order of two values.
///
/// # Errors
///
/// [`Fault::Type`] where the two have no order.
pub(super) fn compare<'a>(a: &Val<'a>, b: &Val<'a>) -> Result<Option<Ordering>, Fault> {
    if let (Some(a), Some(b)) = (a.number(), b.number()) {
        return Ok(match (a, b) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.as_f64().partial_cmp(&b.as_f64()),
        });
    }
    match (a, b) {
        (Val::Undefined, _) | (_, Val::Undefined) => {
            Err(Fault::Undefined("a value that is not there is compared".to_owned()))
        }
        (Val::Str(a), Val::Str(b)) => Ok(Some(a.cmp(b))),
        (Val::Moment(a), Val::Moment(b)) => a.compare(b).map(Some).ok_or(Fault::Type),
        (Val::Period(a), Val::Period(b)) => a.compare(b).map(Some).ok_or(Fault::Type),
        (Val::Tuple(a), Val::Tuple(b)) => compare_all(a, b),
        _ if is_list(a) && is_list(b) => compare_all(&a.items()?, &b.items()?),
        _ => Err(Fault::Type),
    }
}

fn compare_all<'a>(a: &[Val<'a>], b: &[Val<'a>]) -> Result<Option<Ordering>, Fault> {
    for (left, right) in a.iter().zip(b) {
        if !equal(left, right) {
            return compare(left, right);
        }
    }
    Ok(Some(a.len().cmp(&b.len())))
}
