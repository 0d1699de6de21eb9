//! The values that fields hold: what JSON can say, with exact integers and exact decimals.

use compact_str::CompactString;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// One value of a field. *Absent* is not a value: it is the `None` of a [`Cell`].
///
/// Dates and timestamps are text in ISO 8601 form; the type of a field says how to read it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Known to be nothing: an explicit clear, unlike an absent field.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number that fits 64 bits, kept exactly.
    Int(i64),
    /// A finite number with a fraction.
    Float(f64),
    /// A number in digits that neither 64-bit form can hold exactly (`18446744073709551615`).
    Decimal(CompactString),
    /// Text; may be empty, which is neither null nor absent.
    Text(CompactString),
    /// An ordered list.
    List(Vec<Value>),
    /// Named values in the order they came.
    Map(Vec<(CompactString, Value)>),
}

/// What a field of a record holds: `None` is absent, `Some(Value::Null)` is null.
pub type Cell = Option<Value>;

impl Value {
    /// Makes a text value.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(CompactString::new(text))
    }

    /// Makes the number for `f`: whole floats stay floats; `None` for NaN and the infinities.
    pub fn float(f: f64) -> Option<Self> {
        f.is_finite().then_some(Self::Float(f))
    }

    /// The text itself, where this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number as a float, where this is a number; decimals are rounded to the nearest float.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(i) => Some(*i as f64),
            Self::Float(f) => Some(*f),
            Self::Decimal(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether nothing is said: null, or text of blanks only, or an empty list or map.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// The value as plain text: text as it is, numbers in digits, lists and maps as JSON, null empty.
    pub fn to_plain(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            Self::Int(i) => Cow::Owned(i.to_string()),
            Self::Float(f) => Cow::Owned(f.to_string()),
            Self::Decimal(digits) => Cow::Borrowed(digits),
            Self::Text(text) => Cow::Borrowed(text),
            Self::List(_) | Self::Map(_) => Cow::Owned(self.to_json()),
        }
    }

    /// The value as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a value has finite numbers and text keys only")
    }

    /// The name of the kind, for messages: `null`, `boolean`, `number`, `text`, `list`, `map`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) | Self::Float(_) | Self::Decimal(_) => "number",
            Self::Text(_) => "text",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// Follows `names` into maps (by key) and lists (by index); `None` where the way ends.
    pub fn at<'a>(&'a self, names: &[CompactString]) -> Option<&'a Value> {
        names.iter().try_fold(self, |value, name| match value {
            Self::Map(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            Self::List(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(b),
            serde_json::Value::Number(number) => number.as_i64().map_or_else(
                || match (number.as_u64(), number.as_f64()) {
                    (Some(big), _) => Self::Decimal(CompactString::new(big.to_string())),
                    (None, Some(f)) => Self::Float(f),
                    (None, None) => Self::Decimal(CompactString::new(number.to_string())),
                },
                Self::Int,
            ),
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(items) => {
                Self::List(items.into_iter().map(Self::from).collect())
            }
            serde_json::Value::Object(entries) => Self::Map(
                entries.into_iter().map(|(k, v)| (CompactString::from(k), Self::from(v))).collect(),
            ),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(i) => serializer.serialize_i64(*i),
            Self::Float(f) => serializer.serialize_f64(*f),
            Self::Decimal(digits) => match digits.parse::<u64>() {
                Ok(big) => serializer.serialize_u64(big),
                Err(_) => serializer.serialize_str(digits),
            },
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Value {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, i: i64) -> Result<Value, E> {
        Ok(Value::Int(i))
    }

    fn visit_u64<E>(self, u: u64) -> Result<Value, E> {
        Ok(i64::try_from(u)
            .map_or_else(|_| Value::Decimal(CompactString::new(u.to_string())), Value::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, f: f64) -> Result<Value, E> {
        Value::float(f).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(0).min(1024));
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_integers_exact_and_null_apart_from_empty() {
        let text = r#"{"big":9007199254740993,"huge":18446744073709551615,"nil":null,"empty":"","list":[1,2.5]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value.at(&["big".into()]), Some(&Value::Int(9_007_199_254_740_993)));
        assert_eq!(value.at(&["huge".into()]).unwrap().to_plain(), "18446744073709551615");
        assert_eq!(value.at(&["nil".into()]), Some(&Value::Null));
        assert_eq!(value.at(&["gone".into()]), None);
        assert_eq!(value.to_json(), text);
    }

    #[test]
    fn a_number_outside_64_bit_floats_is_refused() {
        assert!(serde_json::from_str::<Value>("1e400").is_err());
    }
}
