//! Which mappings invert by themselves.

use super::SHARD_ID;
use crate::config::model::{FieldMapping, Lookup, Mapping, OneOrMany, Transform};
use crate::config::transform::MapSpec;
use crate::value::Value;
use std::collections::BTreeMap;

/// The way back of a mapping.
#[derive(Debug, PartialEq)]
pub(super) enum Inverse {
    /// It reads nothing of the record, so there is nothing to write.
    Nothing,
    /// The record's field `to` is made of the shard's field by this mapping.
    Mapping {
        /// A field at the top of the record.
        to: String,
        /// Over the shard's fields.
        mapping: FieldMapping,
    },
    /// It does not invert.
    Refused {
        /// The fields at the top of the record that it reads, as far as they are known.
        from: Vec<String>,
        /// Why.
        because: String,
    },
}

/// The way back of the mapping of the shard field `field`.
pub(super) fn invert(field: &str, mapping: &FieldMapping) -> Inverse {
    let mapping = match mapping {
        FieldMapping::Short(from) => return direct(field, from, None),
        FieldMapping::Full(mapping) => mapping,
    };
    match &mapping.from {
        Some(OneOrMany::One(from)) => direct(field, from, mapping.transform.as_ref()),
        Some(OneOrMany::Many(from)) => refused(from, "it joins several fields"),
        None => other(field, mapping),
    }
}

fn other(field: &str, mapping: &Mapping) -> Inverse {
    if mapping.value.is_some() {
        return Inverse::Nothing;
    }
    if let Some(flatten) = &mapping.flatten {
        return refused(std::slice::from_ref(&flatten.from), "it takes a value out of a list");
    }
    if let Some(lookup) = &mapping.lookup {
        if is_id_of_record(mapping, lookup) {
            return direct(field, &lookup.from, None);
        }
        let because = "it is looked up, and only `return: shard_id` by `external_id` leads back to the other record";
        return refused(std::slice::from_ref(&lookup.from), because);
    }
    refused(&[], "it is made by a rule")
}

/// Whether the mapping takes the id of the shard of another record, which the record names. Written back, that is the
/// other record's external id.
pub(super) fn is_reference(mapping: &FieldMapping) -> bool {
    let FieldMapping::Full(mapping) = mapping else { return false };
    mapping.lookup.as_ref().is_some_and(|lookup| is_id_of_record(mapping, lookup))
}

fn is_id_of_record(mapping: &Mapping, lookup: &Lookup) -> bool {
    lookup.by == "external_id" && lookup.returns == SHARD_ID && mapping.transform.is_none()
}

fn refused(from: &[String], because: &str) -> Inverse {
    let top = |path: &String| path.split('.').next().unwrap_or_default().trim().to_owned();
    Inverse::Refused { from: from.iter().map(top).collect(), because: because.to_owned() }
}

fn direct(field: &str, from: &str, transform: Option<&OneOrMany<Transform>>) -> Inverse {
    let from = from.trim();
    if from.contains('.') {
        return refused(&[from.to_owned()], "it comes from inside another field");
    }
    let steps = transform.map_or(&[][..], OneOrMany::as_slice);
    let mut back = Vec::with_capacity(steps.len());
    for step in steps.iter().rev() {
        match reverse(step) {
            Ok(step) => back.extend(step),
            Err(because) => return refused(&[from.to_owned()], because),
        }
    }
    let mapping = if back.is_empty() {
        FieldMapping::Short(field.to_owned())
    } else {
        FieldMapping::Full(Box::new(Mapping {
            from: Some(OneOrMany::One(field.to_owned())),
            transform: Some(OneOrMany::Many(back)),
            ..Mapping::default()
        }))
    };
    Inverse::Mapping { to: from.to_owned(), mapping }
}

/// The step back; none for one that only tidies up: doing it once more changes nothing, so that what is written is
/// read back as the shard has it.
fn reverse(step: &Transform) -> Result<Option<Transform>, &'static str> {
    Ok(match step {
        Transform::Trim
        | Transform::Uppercase
        | Transform::Lowercase
        | Transform::Capitalize
        | Transform::Title
        | Transform::Round(_)
        | Transform::ToString
        | Transform::ToBoolean
        | Transform::ToTimestamp
        | Transform::ToIsoString
        | Transform::ToDate
        | Transform::ToArray
        | Transform::Default(_) => None,
        Transform::ToNumber => Some(Transform::ToString),
        Transform::Multiply(by) if *by != 0.0 => Some(Transform::Divide(*by)),
        Transform::Divide(by) => Some(Transform::Multiply(*by)),
        Transform::Add(other) => Some(Transform::Subtract(*other)),
        Transform::Subtract(other) => Some(Transform::Add(*other)),
        Transform::AddDays(days) => Some(Transform::SubtractDays(*days)),
        Transform::SubtractDays(days) => Some(Transform::AddDays(*days)),
        Transform::ParseDate(formats) => {
            let format = formats.as_slice().first().ok_or("it names no format")?;
            Some(Transform::FormatDate(format.clone()))
        }
        Transform::FormatDate(format) => Some(Transform::ParseDate(OneOrMany::One(format.clone()))),
        Transform::ParseJson => Some(Transform::StringifyJson),
        Transform::StringifyJson => Some(Transform::ParseJson),
        Transform::Map(map) => Some(Transform::Map(reverse_map(map)?)),
        Transform::Truncate(_) => return Err("`truncate` loses the rest of the text"),
        Transform::Split(_) => return Err("`split` loses the other parts"),
        Transform::Concat(_) => return Err("`concat` joins several values"),
        Transform::Replace(_) | Transform::RegexReplace(_) => {
            return Err("what was replaced is not known any more");
        }
        Transform::Custom(_) => return Err("an expression does not invert by itself"),
        _ => return Err("one of its transformations loses a part of the value"),
    })
}

fn reverse_map(map: &MapSpec) -> Result<MapSpec, &'static str> {
    if map.default.is_some() {
        return Err("`map` gives all other values one and the same");
    }
    let mut values = BTreeMap::new();
    for (from, to) in &map.values {
        if values.insert(to.to_plain().into_owned(), Value::text(from)).is_some() {
            return Err("`map` gives two values one and the same");
        }
    }
    Ok(MapSpec { values, default: None })
}
