//! The configuration as its file says it: plain data, one struct for each block.
//!
//! The JSON Schema for editors, and the checks for unknown keys and wrong types, are made from these
//! structs; so a doc comment here is what a user reads in the editor.

use crate::value::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A whole configuration: what is connected, what is kept, how one becomes the other, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The owner of everything in this file.
    pub tenant: Option<String>,
    /// Where shards are kept: the path of a SQLite file, relative to this file. `--store` overrides it.
    pub store: Option<String>,
    /// The outside systems, by name.
    pub connections: BTreeMap<String, Connection>,
    /// The user's own types, by name.
    pub shard_types: BTreeMap<String, ShardType>,
    /// How records of an entity become shards, by name.
    pub conversion_schemas: BTreeMap<String, ConversionSchema>,
    /// What is synced with what, when and how, by name.
    pub sync_tasks: BTreeMap<String, SyncTask>,
}

/// One outside system: adapter, settings, entities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The adapter that speaks to it: `file`.
    pub adapter: String,
    /// Rank among sources when values compete: the higher one wins. Default 0.
    #[serde(default)]
    pub priority: i64,
    /// Whether this system is known to hold each real thing once only: two of its records are then
    /// never merged with each other.
    #[serde(default)]
    pub duplicate_free: bool,
    /// Settings of the adapter for all entities; an entity's own settings win.
    #[serde(default)]
    pub settings: FileSettings,
    /// The kinds of record at this connection, by name.
    pub entities: BTreeMap<String, Entity>,
}

/// A kind of record at a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entity {
    /// The field or fields that name a record for good; several are joined with `|`.
    pub key: OneOrMany<String>,
    /// The field that says when a record last changed. Used for newest-wins rules and incremental reads.
    #[serde(default)]
    pub modified: Option<String>,
    /// How `modified` is written where it is no ISO date: a strftime format such as `%d.%m.%Y`, or several,
    /// of which the first that fits is taken. Times are in UTC unless the format says otherwise.
    #[serde(default)]
    pub modified_format: Option<OneOrMany<String>>,
    /// The condition under which a record counts as deleted at its source.
    #[serde(default)]
    pub deleted: Option<Condition>,
    /// Where and how the file is read.
    #[serde(flatten)]
    pub settings: FileSettings,
}

/// How a file is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileSettings {
    /// A path relative to the configuration, a glob, `-` for standard input, or an `s3://` address.
    pub path: Option<String>,
    /// `csv`, `tsv`, `jsonl` or `json`; found out from the file's name where it is left out.
    pub format: Option<FileFormat>,
    /// `gzip`, `zstd` or `none`; found out from the file's first bytes where it is left out.
    pub compression: Option<Compression>,
    /// The character encoding, by its WHATWG name. Default: a byte order mark's, else `utf-8`.
    pub encoding: Option<String>,
    /// The character between columns; default `,` for csv and a tab for tsv.
    pub delimiter: Option<char>,
    /// The character around columns that hold delimiters. Default `"`.
    pub quote: Option<char>,
    /// Whether the first row holds the column names. Default true; else columns are `column_1`, `column_2`…
    /// A name that comes again gets a number (`x`, `x_2`), an empty one becomes `column_N`: no column is lost.
    pub header: Option<bool>,
    /// The path of the array of records inside a JSON file, such as `data.items`.
    pub records: Option<String>,
    /// The type of columns by name. A column that is not named here is text in CSV.
    pub columns: Option<BTreeMap<String, ColumnType>>,
    /// Whether types of columns that are not declared are inferred from the first rows. Default false.
    pub infer_types: Option<bool>,
    /// What an empty CSV column becomes: `null` (default), `empty` text, or `absent`.
    pub empty: Option<EmptyColumn>,
    /// The longest line that is read, in bytes; a longer one is a dead letter. Default 16 MiB.
    pub line_bytes_max: Option<u64>,
    /// Settings of the object store for `s3://` addresses: `endpoint`, `region`, `access_key_id`,
    /// `secret_access_key`, `allow_http`.
    pub object_store: Option<BTreeMap<String, String>>,
}

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// Columns between commas, RFC 4180.
    Csv,
    /// Columns between tabs.
    Tsv,
    /// A JSON object in each line.
    Jsonl,
    /// One JSON document that is, or holds, an array of objects.
    Json,
}

/// A way a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not packed.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// The type of a file's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Text as it stands.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// true/false, yes/no, 1/0, in any case.
    Boolean,
    /// JSON text, parsed.
    Json,
}

/// What an empty column of a CSV file becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmptyColumn {
    /// Null: known to be nothing.
    Null,
    /// Empty text.
    Empty,
    /// Absent: nothing is known.
    Absent,
}

/// A user's own type of shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShardType {
    /// The fields, by name, in the order in which they are shown.
    pub fields: FieldList,
    /// Fields that together name one real thing: records that agree on all of them are the same.
    #[serde(default)]
    pub identity: Vec<String>,
    /// How duplicates are found, and what becomes of them.
    #[serde(default)]
    pub matching: Option<Matching>,
}

/// Fields by name; the order counts.
pub type FieldList = indexed::IndexedMap<FieldDef>;

/// A field of a shard type: its type alone, or with what goes with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FieldDef {
    /// The type alone.
    Short(FieldType),
    /// The type and what goes with it.
    Full(FieldSpec),
}

impl FieldDef {
    /// The type of the field's values.
    pub fn field_type(&self) -> FieldType {
        match self {
            Self::Short(field_type) => *field_type,
            Self::Full(spec) => spec.field_type,
        }
    }
}

/// A field of a shard type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    /// The type of its values.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// What it is, for people.
    #[serde(default)]
    pub description: Option<String>,
}

/// The type of a shard's field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number.
    Number,
    /// An exact decimal number, kept as text.
    Decimal,
    /// True or false.
    Boolean,
    /// A calendar date, `2025-12-09`.
    Date,
    /// An instant, `2025-12-09T10:00:00Z`.
    Timestamp,
    /// A list of values.
    List,
    /// Any JSON value.
    Json,
}

/// How duplicates of a shard type are found, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// Two records are the same if any of these rules says so.
    #[serde(default)]
    pub rules: Vec<MatchRule>,
    /// What becomes of duplicates. Default `merge_fields`.
    #[serde(default)]
    pub merge: MergeStrategy,
    /// A key value that more records than this share is generic and proves nothing. Default 50.
    #[serde(default = "block_max_default")]
    pub block_max: u32,
    /// The most records that are put together as one thing. Default 100.
    #[serde(default = "cluster_max_default")]
    pub cluster_max: u32,
}

impl Default for Matching {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            merge: MergeStrategy::default(),
            block_max: block_max_default(),
            cluster_max: cluster_max_default(),
        }
    }
}

fn block_max_default() -> u32 {
    50
}

fn cluster_max_default() -> u32 {
    100
}

/// What becomes of duplicates. Records are ordered by their modified time (then by source priority,
/// connection, entity, external id), so the outcome does not hang on the order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeStrategy {
    /// The oldest record's fields stand.
    KeepFirst,
    /// The newest record's fields stand.
    KeepLast,
    /// The fields of the record with the most filled fields stand.
    KeepMostComplete,
    /// Each field takes the newest value that is not null.
    #[default]
    MergeFields,
    /// Nothing is merged; the pair is listed for a person to decide.
    Manual,
}

/// A way in which two records prove to be the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchRule {
    /// Shown wherever the rule decided something.
    pub name: String,
    /// Only records that agree on all of these are compared at all (the blocking key). Default: the
    /// fields of `compare` whose comparator is `exact` or phonetic.
    #[serde(default)]
    pub block: Vec<BlockPart>,
    /// What is compared. The score is the weighted mean of the parts' similarities, from 0 to 1.
    pub compare: Vec<Comparison>,
    /// The least score that makes a match. Default 0.8.
    #[serde(default = "threshold_default")]
    pub threshold: f64,
}

fn threshold_default() -> f64 {
    0.8
}

/// A part of a blocking key: a field, or a field and how it is made comparable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BlockPart {
    /// The field with the normaliser `text`.
    Field(String),
    /// The field and how it is made comparable.
    Full(BlockSpec),
}

/// A part of a blocking key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockSpec {
    /// The field of the shard type.
    pub field: String,
    /// Applied first. Default `text`.
    #[serde(default)]
    pub normalise: Option<Normaliser>,
    /// Then its sound is taken instead of its letters.
    #[serde(default)]
    pub phonetic: Option<Phonetic>,
    /// Then it is cut to this many characters.
    #[serde(default)]
    pub prefix: Option<u32>,
}

/// One comparison of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The field of the shard type.
    pub field: String,
    /// How the two values are compared. Default `exact`.
    #[serde(default)]
    pub by: Comparator,
    /// Applied to both values first. Default `text`.
    #[serde(default)]
    pub normalise: Option<Normaliser>,
    /// Its share in the rule's score, from 0 to 1. Default 1.
    #[serde(default = "weight_default")]
    pub weight: f64,
    /// A similarity below this counts as 0. Default 0.
    #[serde(default)]
    pub min: f64,
    /// What it means when one side has no value: `skip` leaves the comparison out of the score
    /// (default), `differ` counts it as 0.
    #[serde(default)]
    pub missing: Missing,
}

fn weight_default() -> f64 {
    1.0
}

/// What a comparison says when one side has no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The comparison is left out of the score; if all are, there is no match.
    #[default]
    Skip,
    /// It counts as similarity 0.
    Differ,
}

/// How two values are compared; gives a similarity from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparator {
    /// 1 where equal after normalising, else 0.
    #[default]
    Exact,
    /// Levenshtein distance, normalised by the longer length.
    #[serde(alias = "fuzzy")]
    Levenshtein,
    /// Jaro-Winkler similarity.
    JaroWinkler,
    /// Similarity of the sets of words, whatever their order.
    TokenSet,
    /// Share of common three-letter pieces (Dice).
    Ngram,
    /// 1 where the Soundex codes are equal.
    Soundex,
    /// 1 where the Metaphone codes are equal.
    Metaphone,
    /// 1 where any of the Double Metaphone codes are equal.
    DoubleMetaphone,
    /// 1 where the NYSIIS codes are equal.
    Nysiis,
    /// Numbers: 1 where equal, falling to 0 at a distance of a tenth of the larger.
    Numeric,
    /// Dates: 1 where equal, 0.9 where day and month are swapped or one digit differs, falling to 0 at a year.
    Date,
}

/// A phonetic code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phonetic {
    /// American Soundex.
    Soundex,
    /// Metaphone.
    Metaphone,
    /// Double Metaphone, primary code.
    DoubleMetaphone,
    /// NYSIIS.
    Nysiis,
}

/// Makes values comparable before they are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normaliser {
    /// As it stands.
    None,
    /// Lower case, without diacritics, blanks folded and trimmed.
    #[default]
    Text,
    /// A person's name: as text, without titles and punctuation.
    Name,
    /// An e-mail address: lower case, trimmed; dots and plus tags dropped where the provider ignores them.
    Email,
    /// A phone number: its digits without prefixes, in international form where it has one.
    Phone,
    /// A company: as text, without its legal form.
    Company,
    /// A postal address: as text, with common abbreviations written out.
    Address,
    /// Letters and digits only, lower case.
    Alphanumeric,
    /// Digits only.
    Digits,
    /// A date in ISO form, whatever order it came in.
    Date,
}

/// How records of an entity become shards of a type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
}

/// What may happen to shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FieldMapping {
    /// The source field as it is.
    Short(String),
    /// A mapping; exactly one of `from`, `value`, `template`, `when`, `flatten`, `lookup`, `expression`.
    Full(Box<Mapping>),
}

/// A mapping. Exactly one of `from`, `value`, `template`, `when`, `flatten`, `lookup` and `expression`
/// says where the value comes from; the rest says what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    pub otherwise: Option<Value>,
    /// Default: a fixed value; in text, `{{ task.name }}`, `{{ connection }}`, `{{ entity }}` and `{{ tenant }}` are filled in.
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
    pub default: Option<Value>,
    /// Whether blank text counts as no value for `default` and `required`. Default true for `required`.
    pub empty_is_missing: Option<bool>,
    /// Whether a record without a value here is refused.
    pub required: bool,
    /// What a value must meet, or the record is refused.
    pub validate: Option<Validation>,
}

/// What a value must meet. Absent and null values meet everything but `required`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Case {
    /// When it holds: a condition, or an expression over the record's fields.
    #[serde(rename = "if")]
    pub condition: Option<Predicate>,
    /// The value.
    pub then: Option<Value>,
    /// The value of a source field.
    pub field: Option<String>,
    /// The value of an expression.
    pub expression: Option<String>,
    /// What the value goes through.
    pub transform: Option<OneOrMany<Transform>>,
}

/// When something holds: an expression (`AnnualRevenue >= 1000000`), a condition, or several that must all hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The source field, `a.b.0` reaching into maps and lists.
    pub field: String,
    /// How it is compared.
    #[serde(alias = "operator")]
    pub op: Operator,
    /// With what: a list for `in` and `not_in`; not used by `exists`, `not_exists`, `is_null`, `is_not_null`.
    #[serde(default)]
    pub value: Option<Value>,
}

/// A condition's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The other shard's type.
    pub shard_type: String,
    /// `external_id`, or a field of that type.
    #[serde(default = "by_external_id")]
    pub by: String,
    /// The source field with the external id or value to look for.
    pub from: String,
    /// The field of the other shard that is taken.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// What is synced with what, when and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncTask {
    /// The connection.
    pub connection: String,
    /// The entity at the connection.
    pub entity: String,
    /// The conversion schema.
    pub conversion_schema: String,
    /// Which way records go. Default `inbound`.
    #[serde(default)]
    pub direction: Direction,
    /// What is read. Default `incremental`.
    #[serde(default)]
    pub mode: ReadMode,
    /// An incremental read takes only records whose value in this field (a time or a number) is not
    /// smaller than the greatest one seen so far, less `look_back_s`. Default: all that was appended or changed.
    #[serde(default)]
    pub cursor_field: Option<String>,
    /// How far behind the newest modified time an incremental read starts again, in seconds, so that late
    /// commits and equal times are not lost. Default 0.
    #[serde(default)]
    pub look_back_s: u64,
    /// How many records go together.
    #[serde(default)]
    pub batch: Batch,
    /// How failed calls are tried again.
    #[serde(default)]
    pub retry: Retry,
    /// When deletions stop and ask.
    #[serde(default)]
    pub fuse: Fuse,
}

/// Which way records go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the connection to the shards.
    #[default]
    #[serde(alias = "pull")]
    Inbound,
}

/// What a run reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadMode {
    /// What came since the last run: appended lines, or records whose modified time is newer.
    #[default]
    Incremental,
    /// Everything; what is missing counts as deleted at the source.
    #[serde(alias = "full_refresh", alias = "full_sync")]
    Full,
}

/// How many records go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Records in a batch. Default 1000.
    #[schemars(range(min = 1, max = 100_000))]
    pub size: u32,
    /// A pause after each batch, in milliseconds. Default 0.
    pub delay_ms: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 1000, delay_ms: 0 }
    }
}

/// How failed calls are tried again: `delay_ms`, then `multiplier` times as long each time, up to
/// `delay_ms_max`, stretched or shrunk by up to `jitter`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Tries after the first one. Default 3.
    #[serde(alias = "maxAttempts")]
    pub max_attempts: u32,
    /// The first wait, in milliseconds. Default 1000.
    #[serde(alias = "initialDelayMs")]
    pub delay_ms: u64,
    /// The longest wait, in milliseconds. Default 30000.
    #[serde(alias = "maxDelayMs")]
    pub delay_ms_max: u64,
    /// How much longer each wait is than the last. Default 2.
    #[serde(alias = "backoffMultiplier")]
    pub multiplier: f64,
    /// How far a wait is stretched or shrunk at random. Default 0.2.
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 3, delay_ms: 1000, delay_ms_max: 30_000, multiplier: 2.0, jitter: 0.2 }
    }
}

/// When deletions stop and ask: more than `count` and more than `share` of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fuse {
    /// So many deletions pass, however large their share. Default 10.
    pub count: u64,
    /// So large a share passes, however many they are. Default 0.05.
    pub share: f64,
}

impl Default for Fuse {
    fn default() -> Self {
        Self { count: 10, share: 0.05 }
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    /// The values, however they were written.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A transformation: its name alone, or its name with what it takes.
///
/// `trim`, or `{ split: { on: " ", take: first } }`.
pub type Transform = super::transform::TransformSpec;

/// Maps that keep the order of their keys.
pub mod indexed {
    use schemars::{JsonSchema, Schema, SchemaGenerator};
    use serde::de::{MapAccess, Visitor};
    use serde::ser::SerializeMap;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::borrow::Cow;
    use std::fmt;
    use std::marker::PhantomData;

    /// A map whose entries stay in the order in which they were written.
    #[derive(Clone, Debug, PartialEq)]
    pub struct IndexedMap<T>(pub Vec<(String, T)>);

    impl<T> Default for IndexedMap<T> {
        fn default() -> Self {
            Self(Vec::new())
        }
    }

    impl<T> IndexedMap<T> {
        /// The index of the entry named `name`.
        pub fn position(&self, name: &str) -> Option<usize> {
            self.0.iter().position(|(key, _)| key == name)
        }
    }

    impl<T: Serialize> Serialize for IndexedMap<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(self.0.len()))?;
            for (key, value) in &self.0 {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for IndexedMap<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(MapVisitor(PhantomData))
        }
    }

    struct MapVisitor<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for MapVisitor<T> {
        type Value = IndexedMap<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(IndexedMap(entries))
        }
    }

    impl<T: JsonSchema> JsonSchema for IndexedMap<T> {
        fn schema_name() -> Cow<'static, str> {
            format!("MapOf{}", T::schema_name()).into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            std::collections::BTreeMap::<String, T>::json_schema(generator)
        }
    }
}
