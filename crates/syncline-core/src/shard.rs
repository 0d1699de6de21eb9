//! Shards' fields: the layout of a shard type, and images, which are rows of cells in that layout.

use crate::config::model::{FieldType, ShardType};
use crate::value::{Cell, Value};
use compact_str::CompactString;
use rustc_hash::FxHashMap;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// The fields of a shard type, by index.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The name of the shard type.
    pub shard_type: CompactString,
    names: Vec<CompactString>,
    types: Vec<FieldType>,
    index: FxHashMap<CompactString, usize>,
}

/// What a record says of a shard's fields, or a shard's own data: one cell for each field of a [`Layout`].
pub type Image = Vec<Cell>;

impl Layout {
    /// The layout of the shard type named `name`.
    pub fn new(name: &str, shard_type: &ShardType) -> Self {
        let mut layout = Self { shard_type: CompactString::new(name), ..Self::default() };
        for (position, (field, def)) in shard_type.fields.0.iter().enumerate() {
            let field = CompactString::new(field);
            layout.names.push(field.clone());
            layout.types.push(def.field_type());
            layout.index.insert(field, position);
        }
        layout
    }

    /// The index of the field named `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The names of the fields, by index.
    pub fn names(&self) -> &[CompactString] {
        &self.names
    }

    /// The type of the field at `index`.
    pub fn field_type(&self, index: usize) -> FieldType {
        self.types[index]
    }

    /// An image in which every field is absent.
    pub fn empty_image(&self) -> Image {
        vec![None; self.names.len()]
    }

    /// Writes `image` as a JSON object to the end of `out`; absent fields are left out.
    pub fn write_json(&self, image: &[Cell], out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (name, cell) in self.names.iter().zip(image) {
            let Some(value) = cell else { continue };
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            write_json(out, name.as_str());
            out.push(b':');
            write_json(out, value);
        }
        out.push(b'}');
    }

    /// `image` as JSON text.
    pub fn to_json(&self, image: &[Cell]) -> String {
        let mut out = Vec::with_capacity(32 * self.names.len());
        self.write_json(image, &mut out);
        String::from_utf8(out).expect("JSON is written as UTF-8")
    }

    /// Reads an image from a JSON object; fields that this layout does not have are passed over.
    ///
    /// # Errors
    ///
    /// When `json` is no JSON object.
    pub fn read_json(&self, json: &str) -> Result<Image, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        ImageSeed(self).deserialize(&mut deserializer)
    }
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("a value has finite numbers and text keys only");
}

struct ImageSeed<'a>(&'a Layout);

impl<'de> DeserializeSeed<'de> for ImageSeed<'_> {
    type Value = Image;

    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<Image, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ImageSeed<'_> {
    type Value = Image;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Image, A::Error> {
        let mut image = self.0.empty_image();
        let mut expected = 0;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            // Images are written in the order of the layout, so the next field is nearly always the next one.
            let index = (expected..image.len())
                .find(|&i| self.0.names[i] == name)
                .or_else(|| self.0.position(&name));
            match index {
                Some(index) => {
                    image[index] = Some(map.next_value::<Value>()?);
                    expected = index + 1;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::FieldDef;

    #[test]
    fn an_image_comes_back_from_its_json_with_absent_null_and_empty_apart() {
        let mut shard_type = ShardType::default();
        for name in ["absent", "nil", "empty", "n"] {
            shard_type.fields.0.push((name.to_owned(), FieldDef::Short(FieldType::Text)));
        }
        let layout = Layout::new("t", &shard_type);
        let image = vec![None, Some(Value::Null), Some(Value::text("")), Some(Value::Int(7))];
        let json = layout.to_json(&image);
        assert_eq!(json, r#"{"nil":null,"empty":"","n":7}"#);
        assert_eq!(layout.read_json(&json).unwrap(), image);
        assert_eq!(layout.read_json(r#"{"gone":[1],"n":7}"#).unwrap()[3], Some(Value::Int(7)));
    }
}
