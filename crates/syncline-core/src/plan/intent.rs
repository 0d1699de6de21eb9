//! What an intent writes.

use super::rows::{EntityId, IntentKind};
use crate::value::{Cell, Value};
use compact_str::CompactString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128;

/// What an intent writes, and all that is needed to tell later what became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Body {
    /// Names the write: the same for all attempts at it, and for nothing else.
    pub key: CompactString,
    /// Names the shard at the system, for records that can hold it.
    pub marker: CompactString,
    /// The record's external id; empty for a creation.
    pub external_id: CompactString,
    /// For a creation: the shard had a record there, which was deleted, and it was decided that it comes back.
    pub again: bool,
    /// The record's fields, as they are to be.
    pub record: Vec<(CompactString, Value)>,
    /// The shard's values that they are made of, by field.
    #[serde(with = "named")]
    pub sent: Vec<(CompactString, Cell)>,
    /// What the record said of these fields before, in the shard's form.
    #[serde(with = "named")]
    pub before: Vec<(CompactString, Cell)>,
    /// The version that the record had when it was decided.
    pub version: Option<CompactString>,
}

/// Names a write by what it does, whenever and wherever it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = std::borrow::Cow::<str>::deserialize(deserializer)?;
        u128::from_str_radix(&digits, 16).map(Self).map_err(D::Error::custom)
    }
}

impl Body {
    /// Names what it writes to `entity`. Ids that are made anew with each decision have no part in it.
    pub fn fingerprint(&self, entity: EntityId, kind: IntentKind) -> Fingerprint {
        let what = Self {
            key: CompactString::default(),
            marker: CompactString::default(),
            record: Vec::new(),
            version: None,
            ..self.clone()
        };
        let json = serde_json::to_string(&(entity, kind, what)).unwrap_or_default();
        Fingerprint(xxh3_128(json.as_bytes()))
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it is plain data")
    }

    /// From JSON text; empty where that is none of ours.
    pub fn from_json(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }
}

/// Fields as JSON, in which null and absent stay two things: `["name", null]` and `["name"]`.
mod named {
    use crate::value::Cell;
    use compact_str::CompactString;
    use serde::de::{Error as _, SeqAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::fmt;

    struct Written<'a>(&'a CompactString, &'a Cell);

    impl Serialize for Written<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.1 {
                Some(value) => (self.0, value).serialize(serializer),
                None => (self.0,).serialize(serializer),
            }
        }
    }

    struct Read(CompactString, Cell);

    impl<'de> Deserialize<'de> for Read {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_seq(Reader)
        }
    }

    struct Reader;

    impl<'de> Visitor<'de> for Reader {
        type Value = Read;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a field's name, and its value where it has one")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Read, A::Error> {
            let name = list.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
            // An option would take null for absent.
            Ok(Read(name, list.next_element()?))
        }
    }

    pub(super) fn serialize<S: Serializer>(
        cells: &[(CompactString, Cell)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(cells.iter().map(|(name, cell)| Written(name, cell)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(CompactString, Cell)>, D::Error> {
        let cells = Vec::<Read>::deserialize(deserializer)?.into_iter();
        Ok(cells.map(|Read(name, cell)| (name, cell)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_absent_come_back_as_they_went() {
        let cells = vec![
            ("a".into(), Some(Value::Null)),
            ("b".into(), None),
            ("c".into(), Some(Value::text("x"))),
        ];
        let body = Body { sent: cells.clone(), before: cells, ..Body::default() };
        assert_eq!(Body::from_json(&body.to_json()), body);
    }
}
