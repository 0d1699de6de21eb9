//! The settings of one entity, checked: an entity's own ones, then the connection's, then the
//! defaults.

use crate::AdapterError;
use encoding_rs::Encoding;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syncline_core::config::model::{
    ColumnType, Compression, Connection, EmptyColumn, Entity, EntitySettings, FileFormat,
    FileSettings, Settings as ConnectionSettings,
};

const LINE_BYTES_MAX: u64 = 16 << 20;

/// How one entity's files are read.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The folder of the configuration.
    pub(super) base: PathBuf,
    /// As configured: a path, a glob, `-` or an `s3://` address.
    pub(super) path: String,
    format: Option<FileFormat>,
    /// Unless the first bytes are to tell.
    pub(super) compression: Option<Compression>,
    /// Unless a byte order mark tells, or it is UTF-8.
    pub(super) encoding: Option<&'static Encoding>,
    delimiter: Option<u8>,
    /// The character around columns.
    pub(super) quote: u8,
    /// Whether the first row holds the names.
    pub(super) header: bool,
    /// The keys that lead to the array of a JSON document.
    pub(super) records: Vec<String>,
    /// Declared types, by column.
    pub(super) columns: BTreeMap<String, ColumnType>,
    /// Whether the types of other columns are guessed.
    pub(super) infer_types: bool,
    /// What an empty column becomes.
    pub(super) empty: EmptyColumn,
    /// The longest line or element that is held.
    pub(super) line_bytes_max: usize,
    /// Settings of the object store.
    #[cfg_attr(not(feature = "cloud"), expect(dead_code, reason = "only the cloud build has one"))]
    pub(super) object_store: BTreeMap<String, String>,
}

impl Settings {
    /// The settings of the entity `name`.
    pub(super) fn new(
        connection: &Connection,
        name: &str,
        entity: &Entity,
        base: &Path,
    ) -> Result<Self, AdapterError> {
        let wrong = |problem: String| AdapterError::Settings(format!("entity `{name}`: {problem}"));
        let (EntitySettings::File(own), ConnectionSettings::File(all)) =
            (&entity.settings, &connection.settings)
        else {
            return Err(wrong("its settings are not those of a file".to_owned()));
        };
        let path = pick(own, all, |s| s.path.clone())
            .filter(|path| !path.is_empty())
            .ok_or_else(|| wrong("`path` is missing".to_owned()))?;
        let line_bytes_max = pick(own, all, |s| s.line_bytes_max).unwrap_or(LINE_BYTES_MAX);
        if line_bytes_max == 0 {
            return Err(wrong("`line_bytes_max` must be at least 1".to_owned()));
        }
        let settings = Self {
            base: base.to_owned(),
            path,
            format: pick(own, all, |s| s.format),
            compression: pick(own, all, |s| s.compression),
            encoding: pick(own, all, |s| s.encoding.clone())
                .map(|label| encoding(&label))
                .transpose()
                .map_err(wrong)?,
            delimiter: single_byte("delimiter", pick(own, all, |s| s.delimiter)).map_err(wrong)?,
            quote: single_byte("quote", pick(own, all, |s| s.quote))
                .map_err(wrong)?
                .unwrap_or(b'"'),
            header: pick(own, all, |s| s.header).unwrap_or(true),
            records: pick(own, all, |s| s.records.clone()).map_or_else(Vec::new, |path| {
                path.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect()
            }),
            columns: pick(own, all, |s| s.columns.clone()).unwrap_or_default(),
            infer_types: pick(own, all, |s| s.infer_types).unwrap_or(false),
            empty: pick(own, all, |s| s.empty).unwrap_or(EmptyColumn::Null),
            line_bytes_max: usize::try_from(line_bytes_max).unwrap_or(usize::MAX / 4),
            object_store: pick(own, all, |s| s.object_store.clone()).unwrap_or_default(),
        };
        if settings.delimiter == Some(settings.quote) {
            return Err(wrong("`delimiter` and `quote` are the same character".to_owned()));
        }
        if !settings.is_glob() {
            settings.format_of(&settings.path).map_err(|error| wrong(error.to_string()))?;
        }
        settings.check_cloud().map_err(wrong)?;
        Ok(settings)
    }

    /// Whether the path is `-`.
    pub(super) fn is_stdin(&self) -> bool {
        self.path == "-"
    }

    /// Whether the path is an address of an object store.
    pub(super) fn is_remote(&self) -> bool {
        self.path.starts_with("s3://")
    }

    /// Whether the path has characters that mean a set of files.
    pub(super) fn is_glob(&self) -> bool {
        self.path.contains(['*', '?', '['])
    }

    /// The format of the file `name`: the declared one, or what the name's end says.
    pub(super) fn format_of(&self, name: &str) -> Result<FileFormat, AdapterError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let lower = name.to_ascii_lowercase();
        let plain = [".gz", ".gzip", ".zst", ".zstd"]
            .iter()
            .find_map(|end| lower.strip_suffix(end))
            .unwrap_or(&lower);
        match plain.rsplit_once('.').map(|(_, end)| end) {
            Some("csv") => Ok(FileFormat::Csv),
            Some("tsv" | "tab") => Ok(FileFormat::Tsv),
            Some("jsonl" | "ndjson" | "jsonlines") => Ok(FileFormat::Jsonl),
            Some("json") => Ok(FileFormat::Json),
            _ => Err(AdapterError::Settings(format!(
                "the name `{name}` does not tell the format: set `format` to csv, tsv, jsonl \
                 or json"
            ))),
        }
    }

    /// The character between columns.
    pub(super) fn delimiter(&self, format: FileFormat) -> u8 {
        self.delimiter.unwrap_or(if format == FileFormat::Tsv { b'\t' } else { b',' })
    }

    fn check_cloud(&self) -> Result<(), String> {
        if self.is_remote() && !cfg!(feature = "cloud") {
            return Err("this build has no object store; build with `--features cloud`".to_owned());
        }
        Ok(())
    }
}

fn pick<T>(
    own: &FileSettings,
    all: &FileSettings,
    field: impl Fn(&FileSettings) -> Option<T>,
) -> Option<T> {
    field(own).or_else(|| field(all))
}

fn encoding(label: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(label.as_bytes()).ok_or_else(|| {
        format!(
            "there is no encoding `{label}`; known are for instance utf-8, utf-16le, \
             windows-1252, shift_jis"
        )
    })
}

fn single_byte(setting: &str, character: Option<char>) -> Result<Option<u8>, String> {
    match character {
        None => Ok(None),
        Some(c) if c.is_ascii() && !matches!(c, '\n' | '\r' | '\0') => Ok(Some(c as u8)),
        Some(c) => Err(format!("`{setting}` must be a single ASCII character, not {c:?}")),
    }
}
