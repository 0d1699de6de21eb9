//! How files are read.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a file is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EmptyColumn {
    /// Null: known to be nothing.
    Null,
    /// Empty text.
    Empty,
    /// Absent: nothing is known.
    Absent,
}
