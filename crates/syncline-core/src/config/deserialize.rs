//! The tree into the plain data.

use super::diagnostic::Span;
use super::document::{Entry, Kind, Node, place_of_value};
use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{self, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor};
use std::fmt;

/// Why the plain data cannot be made of a tree, and of which part of it.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) message: String,
    pub(super) span: Option<Span>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), span: None }
    }
}

/// A part of the tree and the place to name when it does not fit.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    node: &'a Node,
    place: Span,
}

impl<'a> At<'a> {
    pub(super) fn new(node: &'a Node) -> Self {
        Self { node, place: place_of_value(node, None) }
    }

    fn value_of(entry: &'a Entry) -> Self {
        Self { node: &entry.node, place: place_of_value(&entry.node, Some(entry.key_span)) }
    }

    /// Runs `read` and gives its error this place, unless it has one that is nearer.
    fn placed<T>(self, read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        read().map_err(|error| Error { span: error.span.or(Some(self.place)), ..error })
    }
}

impl<'de> IntoDeserializer<'de, Error> for At<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.placed(|| match &self.node.kind {
            Kind::Null | Kind::Unknown => visitor.visit_unit(),
            Kind::Bool(flag) => visitor.visit_bool(*flag),
            Kind::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(number)) => visitor.visit_u64(number),
                _ => visitor.visit_f64(*number as f64),
            },
            Kind::Float(number) => visitor.visit_f64(*number),
            Kind::Text(text) => visitor.visit_str(&text.text),
            Kind::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(At::new))),
            Kind::Map(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.as_str(), At::value_of(entry)));
                visitor.visit_map(MapDeserializer::new(pairs))
            }
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.kind {
            Kind::Null => visitor.visit_none(),
            _ => self.placed(|| visitor.visit_some(self)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let unknown = self.node.entries().iter().find(|e| !fields.contains(&e.key.as_str()));
        let place = unknown.map(|entry| entry.key_span);
        self.placed(|| match &self.node.kind {
            Kind::Map(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.as_str(), At::value_of(entry)));
                let read = visitor.visit_map(MapDeserializer::new(pairs));
                read.map_err(|error| match error.span {
                    None if error.message.starts_with("unknown field") => {
                        Error { span: place, ..error }
                    }
                    _ => error,
                })
            }
            _ => self.deserialize_any(visitor),
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.placed(|| visitor.visit_newtype_struct(self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.placed(|| match &self.node.kind {
            Kind::Text(text) => visitor.visit_enum(text.text.as_str().into_deserializer()),
            Kind::Map(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Named { entry }),
                _ => Err(de::Error::custom("expected one name with its settings")),
            },
            _ => Err(de::Error::custom(format!("expected a name, found {}", self.node.noun()))),
        })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// A name with its settings.
struct Named<'a> {
    entry: &'a Entry,
}

impl<'de> EnumAccess<'de> for Named<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.entry.key.as_str().into_deserializer();
        let place = Some(self.entry.key_span);
        let value = seed.deserialize(name).map_err(|e| Error { span: e.span.or(place), ..e })?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Named<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(At::value_of(self.entry))
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(At::value_of(self.entry))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        At::value_of(self.entry).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        At::value_of(self.entry).deserialize_any(visitor)
    }
}
