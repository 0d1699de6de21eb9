//! Conversion schemas: how records become shards.

use super::{Normaliser, OneOrMany};
use crate::value::Value;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// How records of an entity become shards of a type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConversionSchema {
    /// The type of the shards.
    pub shard_type: String,
    /// Only records that meet all of these are taken; the others are skipped as *filtered*.
    #[serde(default)]
    pub filter: Vec<Condition>,
    /// The shard's fields, by name, and what each is made of.
    pub fields: BTreeMap<String, FieldMapping>,
    /// Links to other shards, by the name of the relationship.
    #[serde(default)]
    pub relationships: BTreeMap<String, Relationship>,
    /// Further shards that are made of the same record.
    #[serde(default)]
    pub derived: Vec<DerivedShard>,
    /// What may happen to shards.
    #[serde(default)]
    pub target: Target,
    /// What is written back: the fields of the record, by name, and what each is made of. A mapping here is over the
    /// shard's fields, and `shard_id`. Fields whose mapping inverts by itself need none.
    #[serde(default)]
    pub outbound: BTreeMap<String, FieldMapping>,
}

/// What may happen to shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// Whether a record that belongs to no shard yet makes one. Default true.
    #[serde(alias = "createIfMissing")]
    pub create_if_missing: bool,
    /// Whether a record changes the shard it belongs to. Default true.
    #[serde(alias = "updateIfExists")]
    pub update_if_exists: bool,
    /// Whether a shard goes when its last record was deleted at the source. Default false.
    #[serde(alias = "deleteIfRemoved")]
    pub delete_if_removed: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self { create_if_missing: true, update_if_exists: true, delete_if_removed: false }
    }
}

/// What a field is made of: the name of a source field, or a mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum FieldMapping {
    /// The source field as it is.
    Short(String),
    /// A mapping; exactly one of `from`, `value`, `template`, `when`, `flatten`, `lookup`, `expression`.
    Full(Box<Mapping>),
}

/// A mapping. Exactly one of `from`, `value`, `template`, `when`, `flatten`, `lookup` and `expression`
/// says where the value comes from; the rest says what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// Direct: a source field, `a.b.0` reaching into maps and lists. A list of fields is composite: those
    /// that have a value, joined with `separator`.
    pub from: Option<OneOrMany<String>>,
    /// What stands between the parts of a composite. Default one blank.
    pub separator: Option<String>,
    /// Composite: a template, `{{ FirstName }} {{ LastName }}`; `${FirstName}` is understood too.
    pub template: Option<String>,
    /// Conditional: the first case whose condition holds.
    pub when: Option<Vec<Case>>,
    /// Conditional: what holds when no case does.
    #[serde(rename = "else")]
    #[serde(deserialize_with = "given")]
    pub otherwise: Option<Value>,
    /// Default: a fixed value; in text, `{{ task.name }}`, `{{ connection }}`, `{{ entity }}` and `{{ tenant }}` are filled in.
    #[serde(deserialize_with = "given")]
    pub value: Option<Value>,
    /// Flatten: a value out of a list of maps.
    pub flatten: Option<Flatten>,
    /// Lookup: a field of another shard.
    pub lookup: Option<Lookup>,
    /// A bare expression over the record's fields: `Amount * 1.2`.
    pub expression: Option<String>,
    /// What the value goes through, in order.
    pub transform: Option<OneOrMany<Transform>>,
    /// Taken when there is no value: absent, null or (with `empty_is_missing`) empty.
    #[serde(deserialize_with = "given")]
    pub default: Option<Value>,
    /// Whether blank text counts as no value for `default` and `required`. Default true for `required`.
    pub empty_is_missing: Option<bool>,
    /// Whether a record without a value here is refused.
    pub required: bool,
    /// What a value must meet, or the record is refused.
    pub validate: Option<Validation>,
}

/// What a value must meet. Absent and null values meet everything but `required`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Validation {
    /// The least number.
    pub min: Option<f64>,
    /// The greatest number.
    pub max: Option<f64>,
    /// The fewest characters of a text, or items of a list.
    #[serde(alias = "minLength")]
    pub min_length: Option<u64>,
    /// The most characters of a text, or items of a list.
    #[serde(alias = "maxLength")]
    pub max_length: Option<u64>,
    /// A regular expression that the whole text must match.
    pub pattern: Option<String>,
    /// A known form: `email`, `url`, `uuid`, `date`, `timestamp`, `phone`.
    pub format: Option<Format>,
    /// The only values that are allowed.
    #[serde(rename = "enum")]
    pub one_of: Option<Vec<Value>>,
    /// An expression over `value` and the record's fields that must hold.
    pub custom: Option<String>,
    /// What the error says instead of the rule's own text.
    pub message: Option<String>,
}

/// A known form of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// An e-mail address.
    Email,
    /// An absolute URL.
    Url,
    /// A UUID.
    Uuid,
    /// A calendar date, `2025-12-09`.
    Date,
    /// An instant, RFC 3339.
    Timestamp,
    /// A phone number of 7 to 15 digits.
    Phone,
}

/// A case of a conditional mapping. Exactly one of `then`, `field` and `expression` gives the value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Case {
    /// When it holds: a condition, or an expression over the record's fields.
    #[serde(rename = "if")]
    pub condition: Option<Predicate>,
    /// The value.
    #[serde(deserialize_with = "given")]
    pub then: Option<Value>,
    /// The value of a source field.
    pub field: Option<String>,
    /// The value of an expression.
    pub expression: Option<String>,
    /// What the value goes through.
    pub transform: Option<OneOrMany<Transform>>,
}

/// When something holds: an expression (`AnnualRevenue >= 1000000`), a condition, or several that must all hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum Predicate {
    /// An expression over the record's fields.
    Expression(String),
    /// One condition.
    Condition(Box<Condition>),
    /// Conditions that must all hold.
    All(Vec<Condition>),
}

/// A condition on one source field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The source field, `a.b.0` reaching into maps and lists.
    pub field: String,
    /// How it is compared.
    #[serde(alias = "operator")]
    pub op: Operator,
    /// With what: a list for `in` and `not_in`; not used by `exists`, `not_exists`, `is_null`, `is_not_null`.
    #[serde(default)]
    #[serde(deserialize_with = "given")]
    pub value: Option<Value>,
}

/// A condition's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Equal; numbers by value, text exactly.
    #[serde(alias = "equals")]
    Eq,
    /// Not equal.
    #[serde(alias = "notEquals", alias = "not_equals")]
    Neq,
    /// Greater: numbers by value, text by its code points (so ISO dates by time).
    #[serde(alias = "greaterThan", alias = "greater_than")]
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    #[serde(alias = "lessThan", alias = "less_than")]
    Lt,
    /// Less or equal.
    Lte,
    /// Text that holds the value; a list that has it as an item.
    Contains,
    /// The opposite of `contains`.
    #[serde(alias = "notContains")]
    NotContains,
    /// Text that starts with the value.
    StartsWith,
    /// Text that ends with the value.
    EndsWith,
    /// One of the listed values.
    In,
    /// None of the listed values.
    NotIn,
    /// The field is there, null or not.
    Exists,
    /// The field is absent.
    #[serde(alias = "notExists")]
    NotExists,
    /// Absent or null.
    IsNull,
    /// There, and not null.
    IsNotNull,
    /// Text that the regular expression finds something in.
    Regex,
}

/// A value out of a list of maps, or out of nested maps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Flatten {
    /// The source field that holds the list or map.
    pub from: String,
    /// What is taken of each item, `a.b` reaching deeper. Default: the item itself.
    #[serde(default)]
    pub path: Option<String>,
    /// Only items that meet this condition.
    #[serde(default, rename = "where")]
    pub condition: Option<Condition>,
    /// Which of the values: `first` (default), `last`, `all` as a list, `join` as text, `count`.
    #[serde(default)]
    pub take: Take,
    /// What stands between joined values. Default `, `.
    #[serde(default)]
    pub separator: Option<String>,
}

/// Which of several values is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
    /// All, as a list.
    All,
    /// All, joined as text.
    Join,
    /// How many there are.
    Count,
}

/// A field of another shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The other shard's type.
    pub shard_type: String,
    /// `external_id`, or a field of that type.
    #[serde(default = "by_external_id")]
    pub by: String,
    /// The source field with the external id or value to look for.
    pub from: String,
    /// The field of the other shard that is taken; or `shard_id`, its id: by external id, that can be written back.
    #[serde(rename = "return")]
    pub returns: String,
    /// For `by: external_id`: the connection of the other record. Default: the task's own.
    #[serde(default)]
    pub connection: Option<String>,
    /// For `by: external_id`: the entity of the other record. Default: the name of the shard type.
    #[serde(default)]
    pub entity: Option<String>,
}

fn by_external_id() -> String {
    "external_id".to_owned()
}

/// A link to another shard, which may arrive later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Relationship {
    /// The other shard's type.
    pub shard_type: String,
    /// `external_id` (default), or a field of that type.
    #[serde(default = "by_external_id")]
    pub by: String,
    /// The source field with the external id or value; a list of them makes a link for each.
    pub from: String,
    /// For `by: external_id`: the connection of the other record. Default: the task's own.
    #[serde(default)]
    pub connection: Option<String>,
    /// For `by: external_id`: the entity of the other record. Default: the name of the shard type.
    #[serde(default)]
    pub entity: Option<String>,
    /// Whether a record without a value here is refused.
    #[serde(default)]
    pub required: bool,
}

/// A further shard that is made of the same record and linked to the primary one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DerivedShard {
    /// Names it among the schema's derived shards. Default: its shard type.
    #[serde(default)]
    pub name: Option<String>,
    /// Its type.
    pub shard_type: String,
    /// Made only when this holds.
    #[serde(default)]
    pub when: Option<Predicate>,
    /// What it is made of, by field.
    pub fields: BTreeMap<String, FieldMapping>,
    /// A template that names the thing: records that give the same key share one derived shard, whose
    /// fields are the newest record's. Default: the record's own external id, so each has its own.
    #[serde(default)]
    pub key: Option<String>,
    /// The normaliser of the key. Default `none`.
    #[serde(default)]
    pub normalise: Option<Normaliser>,
    /// The relationship from the primary shard to it. Default: its name.
    #[serde(default)]
    pub relationship: Option<String>,
}

/// A transformation: its name alone, or its name with what it takes.
///
/// `trim`, or `{ split: { on: " ", take: first } }`.
pub type Transform = crate::config::transform::TransformSpec;

/// Reads a value that is there: null is a value too, unlike a key that is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
