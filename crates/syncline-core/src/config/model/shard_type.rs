//! Shard types: fields, and how duplicates are found.

use super::{OneOrMany, indexed};
use crate::matching::model::ModelFile;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A user's own type of shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
    /// For single fields, whose value stands where several records give one: instead of what `merge` says.
    #[serde(default)]
    pub survivorship: BTreeMap<String, Survivor>,
}

/// Whose value of a field stands. Values that are blank stand back behind others; of equals, the newest stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Survivor {
    /// The newest record's.
    Newest,
    /// The oldest record's.
    Oldest,
    /// The one that most records give.
    MostFrequent,
    /// That of the record with the most filled fields.
    MostComplete,
    /// The longest text.
    Longest,
    /// The items of all lists, the newest record's first, each once.
    Union,
    /// That of the connection that comes first in this list; connections that are not in it come last.
    SourcePriority(Vec<String>),
    /// What the expression makes of `values` (newest first) and `sources` (the connection of each).
    Expression(String),
}

/// Fields by name; the order counts.
pub type FieldList = indexed::IndexedMap<FieldDef>;

/// A field of a shard type: its type alone, or with what goes with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// Two records are the same if any of these rules says so.
    #[serde(default)]
    pub rules: Vec<MatchRule>,
    /// The file of a trained model, which decides beside the rules; relative to the configuration.
    #[serde(default)]
    pub model: Option<String>,
    /// What the model compares: fields, each with the kind of value that it holds.
    #[serde(default)]
    pub compare: indexed::IndexedMap<Kind>,
    /// What two records must agree on before the model compares them: any of these keys. Default: keys that
    /// suit the kinds of the fields.
    #[serde(default)]
    pub block: Vec<OneOrMany<ModelPart>>,
    /// The trained model, read from its file.
    #[serde(skip_deserializing)]
    #[cfg_attr(test, schemars(skip))]
    pub trained: Option<Arc<ModelFile>>,
    /// The country of phone numbers that do not say theirs, by its two letters (ISO 3166): `phone` makes international
    /// numbers of them then.
    #[serde(default)]
    pub phone_region: Option<String>,
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
            model: None,
            compare: indexed::IndexedMap::default(),
            block: Vec::new(),
            trained: None,
            phone_region: None,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
    /// Nothing is merged by itself: every match is listed for a person to decide.
    Manual,
}

/// A way in which two records prove to be the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
    /// The least score at which a person is asked: a pair that scores from here to below the threshold is
    /// listed for review, and not merged. Default: nobody is asked.
    #[serde(default)]
    pub review: Option<f64>,
}

fn threshold_default() -> f64 {
    0.8
}

/// A part of a blocking key: a field, or a field and how it is made comparable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum BlockPart {
    /// The field with the normaliser `text`.
    Field(String),
    /// The field and how it is made comparable.
    Full(BlockSpec),
}

/// A part of a blocking key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
    /// Then each piece of this many characters is a key of its own.
    #[serde(default)]
    pub ngram: Option<u32>,
}

/// One comparison of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The comparison is left out of the score; if all are, there is no match.
    #[default]
    Skip,
    /// It counts as similarity 0.
    Differ,
}

/// How two values are compared; gives a similarity from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Normaliser {
    /// As it stands.
    None,
    /// Lower case, without diacritics, blanks folded and trimmed.
    #[default]
    Text,
    /// A person's name: as text, first name first, without titles and punctuation.
    Name,
    /// As `name`; a short form of the first name becomes the full one.
    FormalName,
    /// The first letters of a person's names.
    Initials,
    /// An e-mail address: lower case, trimmed; dots and plus tags dropped where the provider ignores them.
    Email,
    /// A phone number: in international form where `phone_region` is set, else its last nine digits.
    Phone,
    /// A phone number that is of this country where it does not say: what `phone` is where `phone_region` is set.
    #[serde(skip_deserializing)]
    #[cfg_attr(test, schemars(skip))]
    PhoneOf(Country),
    /// A company: as text, without its legal form.
    Company,
    /// A postal address: as text, with common abbreviations written out.
    Address,
    /// As `address`: the house number first, without apartment, floor and the like.
    Street,
    /// Letters and digits only, lower case.
    Alphanumeric,
    /// Digits only.
    Digits,
    /// A date in ISO form, whatever order it came in; not one of which day and month could be either.
    Date,
    /// A date in ISO form; the day comes before the month where both could be.
    DateDmy,
    /// A date in ISO form; the month comes before the day where both could be.
    DateMdy,
}

/// A country, by the two letters of ISO 3166-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Country(pub [u8; 2]);

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.escape_ascii())
    }
}

/// What sort of value a field holds: how it is made comparable, and how alike two values can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person's given name; nicknames and initials are known.
    GivenName,
    /// A person's family name.
    FamilyName,
    /// A whole name, in any order of its words.
    Name,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A company's name; the legal form does not count.
    Company,
    /// A street with house number.
    Address,
    /// A city or other place.
    Place,
    /// A postcode.
    Postcode,
    /// A date, such as that of birth.
    Date,
    /// Any text, in which typing errors happen.
    Text,
    /// Any text, in which nothing but equality counts, such as an identifier.
    Exact,
    /// A number.
    Number,
}

/// A part of a model's blocking key: a field, or a form of the value of one or several fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum ModelPart {
    /// The whole value of the field.
    Field(String),
    /// A form of the value.
    Full(ModelPartSpec),
}

/// A part of a model's blocking key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelPartSpec {
    /// The field; or several, of which any may agree with any.
    pub of: OneOrMany<String>,
    /// What of the value counts. Default: all of it.
    #[serde(default)]
    pub form: KeyForm,
}

/// What of a value counts in a blocking key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyForm {
    /// All of it; of a date, whichever of day and month comes first.
    #[default]
    Whole,
    /// How it sounds.
    Sound,
    /// Its words, whatever their order.
    Words,
    /// The first letter.
    Initial,
    /// The first three letters.
    Start,
    /// The last six characters.
    End,
    /// Any three characters that follow each other.
    Ngram,
    /// The year of a date.
    Year,
    /// What stands before the `@` of an e-mail address.
    Local,
    /// The street of an address, without the house number.
    Street,
}
