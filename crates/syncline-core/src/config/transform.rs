//! The transformations that a mapping can name.

use super::model::OneOrMany;
use crate::value::Value;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A transformation: its name alone, or its name with what it takes.
///
/// Null and absent values pass through untouched, save where a transformation says otherwise; a list is
/// transformed item by item, save by `concat`, `map`, `default`, `custom` and the `to_` and JSON ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TransformSpec {
    /// In capital letters.
    #[serde(alias = "upper")]
    Uppercase,
    /// In small letters.
    #[serde(alias = "lower")]
    Lowercase,
    /// The first letter large, the rest small.
    Capitalize,
    /// The first letter of each word large, the rest small.
    Title,
    /// Without blanks at both ends.
    Trim,
    /// Cut to this many characters.
    Truncate(u32),
    /// Each occurrence of one text becomes another.
    Replace(ReplaceSpec),
    /// Each match of a regular expression becomes a text.
    #[serde(alias = "regexReplace")]
    RegexReplace(RegexReplaceSpec),
    /// Cut into parts, of which some are taken.
    Split(SplitSpec),
    /// Joined with other fields or fixed text; a list's items are joined with each other.
    Concat(ConcatSpec),
    /// Rounded to so many decimal places, halves away from zero; negative places round to tens, hundreds…
    Round(i8),
    /// The greatest whole number that is not greater.
    Floor,
    /// The smallest whole number that is not smaller.
    Ceil,
    /// Times this number.
    Multiply(f64),
    /// Divided by this number.
    Divide(f64),
    /// Plus this number.
    Add(f64),
    /// Less this number.
    Subtract(f64),
    /// Without its sign.
    Abs,
    /// An amount of one currency in another.
    #[serde(alias = "currencyConvert")]
    CurrencyConvert(CurrencySpec),
    /// Reads a date or time in a strftime format such as `%d/%m/%Y`, or the first that fits of several; the
    /// result is an ISO date, or an ISO timestamp where the format has a time (UTC unless it says its offset).
    #[serde(alias = "parseDate")]
    ParseDate(OneOrMany<String>),
    /// Writes a date or time in a strftime format such as `%d/%m/%Y`; times in UTC.
    #[serde(alias = "formatDate")]
    FormatDate(String),
    /// So many days later.
    #[serde(alias = "addDays")]
    AddDays(i64),
    /// So many days earlier.
    #[serde(alias = "subtractDays")]
    SubtractDays(i64),
    /// An instant in ISO form and UTC, of a date, a time, or epoch seconds or (above 1e11) milliseconds.
    #[serde(alias = "toTimestamp")]
    ToTimestamp,
    /// A date or time in ISO form: a date stays a date, a time is written in UTC.
    #[serde(alias = "toIsoString", alias = "toISOString")]
    ToIsoString,
    /// The year as a number; of times, in UTC.
    #[serde(alias = "extractYear")]
    ExtractYear,
    /// The month as a number from 1; of times, in UTC.
    #[serde(alias = "extractMonth")]
    ExtractMonth,
    /// The day of the month as a number from 1; of times, in UTC.
    #[serde(alias = "extractDay")]
    ExtractDay,
    /// As text: numbers in digits, lists and maps as JSON.
    #[serde(alias = "toString", alias = "string")]
    ToString,
    /// As a number; text must be one, blank text becomes null.
    #[serde(alias = "toNumber", alias = "number")]
    ToNumber,
    /// As true or false: `true`/`false`, `yes`/`no`, `y`/`n`, `t`/`f`, `on`/`off`, `1`/`0`, in any case; blank
    /// text becomes null.
    #[serde(alias = "toBoolean", alias = "boolean")]
    ToBoolean,
    /// As a list: anything else becomes the only item of one; null and absent become an empty list.
    #[serde(alias = "toArray", alias = "to_list")]
    ToArray,
    /// As a date: times lose their time of day, in UTC; epoch numbers are understood; blank text becomes null.
    #[serde(alias = "toDate", alias = "date")]
    ToDate,
    /// Reads JSON text; blank text becomes null.
    #[serde(alias = "parseJson", alias = "parseJSON")]
    ParseJson,
    /// Writes any value, null too, as JSON text.
    #[serde(alias = "stringifyJson", alias = "stringifyJSON")]
    StringifyJson,
    /// The result of an expression over `value` and the record's fields; also asked for null values.
    #[serde(alias = "expression")]
    Custom(String),
    /// Each listed value becomes another.
    Map(MapSpec),
    /// Taken in place of an absent or null value or blank text.
    Default(Value),
}

/// Each occurrence of one text becomes another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplaceSpec {
    /// The text to look for, exactly as written; not empty.
    #[serde(alias = "search")]
    pub from: String,
    /// The text in its place. Default: nothing.
    #[serde(default, alias = "with", alias = "replacement")]
    pub to: String,
}

/// Each match of a regular expression becomes a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegexReplaceSpec {
    /// The regular expression; `(?i)` in front ignores case.
    #[serde(alias = "from")]
    pub pattern: String,
    /// The text in place of each match; `$1` or `${name}` stands for a group. Default: nothing.
    #[serde(default, alias = "with", alias = "replacement")]
    pub to: String,
}

/// Cut into parts, of which some are taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SplitSpec {
    /// What stands between the parts. Default a blank; several blanks in a row then count as one.
    #[serde(default = "blank", alias = "separator", alias = "delimiter")]
    pub on: String,
    /// What is taken: `first`, `last`, `rest` (all but the first, as text), `all` (a list, the default), or the
    /// part with this number, from 0 or, below 0, from the end. A part that is not there is null.
    #[serde(default, alias = "index")]
    pub take: Part,
}

fn blank() -> String {
    " ".to_owned()
}

/// Which part of a split text is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum Part {
    /// By a word.
    Word(PartWord),
    /// By its number, from 0; from the end where it is below 0.
    Index(i32),
}

impl Default for Part {
    fn default() -> Self {
        Self::Word(PartWord::All)
    }
}

/// Which part of a split text is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PartWord {
    /// The first part.
    First,
    /// The last part, which may be the first one.
    Last,
    /// All but the first, as one text.
    Rest,
    /// All, as a list.
    All,
}

/// Joined with other fields or fixed text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ConcatSpec {
    /// Source fields whose values follow; those that have none are passed over.
    #[serde(alias = "with")]
    pub fields: Vec<String>,
    /// What stands between values. Default a blank.
    pub separator: Option<String>,
    /// Text in front of it all.
    #[serde(alias = "prefix")]
    pub before: String,
    /// Text behind it all.
    #[serde(alias = "suffix")]
    pub after: String,
}

/// An amount of one currency in another: the amount, divided by the rate of `from`, times the rate of `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CurrencySpec {
    /// The currency that the amount is in; one of `rates`.
    pub from: String,
    /// The currency that is wanted; one of `rates`.
    pub to: String,
    /// What one unit of a common currency is worth in each currency: `{ EUR: 1, USD: 1.08 }`. Above zero.
    pub rates: BTreeMap<String, f64>,
    /// The result is rounded to so many decimal places. Default 2.
    #[serde(default = "cents")]
    pub digits: i8,
}

fn cents() -> i8 {
    2
}

/// Each listed value becomes another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MapSpec {
    /// What each value becomes; numbers and booleans are looked up by their plain text.
    pub values: BTreeMap<String, Value>,
    /// What every other value becomes. Default: it stays as it is.
    #[serde(default, alias = "else", alias = "otherwise")]
    pub default: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let cases = [
            r#""trim""#,
            r#"{"truncate":50}"#,
            r#"{"replace":{"from":"a","to":"b"}}"#,
            r#"{"split":{"on":" ","take":"first"}}"#,
            r#"{"split":{"on":",","take":-1}}"#,
            r#"{"round":2}"#,
            r#"{"parse_date":["%d/%m/%Y","%Y"]}"#,
            r#"{"map":{"values":{"1":"a"},"default":null}}"#,
            r#"{"default":5}"#,
            r#""to_boolean""#,
        ];
        for json in cases {
            let spec: TransformSpec = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&spec).unwrap(), json);
        }
        for (old, new) in
            [("toISOString", TransformSpec::ToIsoString), ("date", TransformSpec::ToDate)]
        {
            assert_eq!(serde_json::from_value::<TransformSpec>(old.into()).unwrap(), new);
        }
        assert!(serde_json::from_str::<TransformSpec>(r#"{"split":{"onn":","}}"#).is_err());
    }
}
