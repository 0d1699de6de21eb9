//! The body of a response as JSON values.

mod xml;

use super::interpolate::text_of;
use super::load::Node;
use super::select::at;
use super::session::{Response, Unread};
use super::trouble::Trouble;
use encoding_rs::Encoding;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::io::{Cursor, Read as _};
use std::ops::Range;

/// The largest body after unpacking, in bytes.
const UNPACKED_MAX: u64 = 64 << 20;
/// No data packs so well that this much of it came out of so many times fewer bytes.
const RATIO_MAX: u64 = 250;
const RATIO_FROM: u64 = 8 << 20;

/// How bodies are written.
#[derive(Clone, Debug)]
pub(super) enum Decoder {
    Json,
    Jsonl,
    /// Each line is a record with the one field `record`.
    Lines,
    Csv {
        delimiter: u8,
        /// Unless a byte order mark tells.
        encoding: &'static Encoding,
        /// The texts that stand for null.
        nulls: Vec<String>,
    },
    Gzip(Box<Decoder>),
    Xml,
    /// Every file of an archive, one after the other.
    Zip(Box<Decoder>),
    /// The items of the list at a path of names.
    Items(Vec<String>),
}

impl Decoder {
    pub(super) fn load(node: Option<&Node<'_>>) -> Result<Self, Trouble> {
        let Some(node) = node else { return Ok(Self::Json) };
        Ok(match node.kind() {
            "JsonDecoder" => Self::Json,
            "JsonlDecoder" => Self::Jsonl,
            "IterableDecoder" => Self::Lines,
            "CsvDecoder" => {
                let delimiter = node.text("delimiter").unwrap_or(",").replace("\\t", "\t");
                let delimiter = delimiter.bytes().next().unwrap_or(b',');
                let encoding =
                    encoding(node.text("encoding").unwrap_or("utf-8")).ok_or_else(|| {
                        node.unsupported("decoder with an encoding that nobody knows")
                    })?;
                let nulls = node.get("set_values_to_none").and_then(Json::as_array);
                let nulls = nulls.into_iter().flatten().map(text_of).collect();
                Self::Csv { delimiter, encoding, nulls }
            }
            "XmlDecoder" => Self::Xml,
            "ZipfileDecoder" => {
                Self::Zip(Box::new(Self::load(Some(&node.needed_child("decoder")?))?))
            }
            "JsonItemsDecoder" => {
                let path = node.text("items_path").ok_or_else(|| node.missing("items_path"))?;
                Self::Items(path.split('.').map(str::to_owned).collect())
            }
            "GzipDecoder" => {
                Self::Gzip(Box::new(Self::load(Some(&node.needed_child("decoder")?))?))
            }
            _ => return Err(node.unsupported("decoder")),
        })
    }

    /// The values of the body. A body that cannot be read as JSON is one empty map.
    pub(super) fn values<'a>(&self, response: &'a Response) -> Result<Vec<Cow<'a, Json>>, Trouble> {
        if matches!(self, Self::Json) {
            return Ok(match response.read_json() {
                Ok(Json::Array(items)) if !items.is_empty() => {
                    items.iter().map(Cow::Borrowed).collect()
                }
                Ok(Json::Array(_)) | Err(Unread::Other) => {
                    vec![Cow::Owned(Json::Object(Map::new()))]
                }
                Ok(value) => vec![Cow::Borrowed(value)],
                Err(Unread::Short) => {
                    return Err(Trouble::transient("a response breaks off in the middle"));
                }
                Err(Unread::Deep) => {
                    return Err(Trouble::system("a response is nested too deeply to be read"));
                }
            });
        }
        Ok(self.owned(&response.body)?.into_iter().map(Cow::Owned).collect())
    }

    /// The rows of a table as the text of JSON, and where in it each of them is; `None` for what is no table.
    pub(super) fn texts(&self, body: &[u8]) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
        match self {
            Self::Csv { delimiter, encoding, nulls } => {
                Some(csv_texts(encoding.decode(body).0.as_bytes(), *delimiter, nulls))
            }
            _ => None,
        }
    }

    pub(super) fn owned(&self, body: &[u8]) -> Result<Vec<Json>, Trouble> {
        let lines =
            || body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        Ok(match self {
            Self::Json => match serde_json::from_slice(body) {
                Ok(Json::Array(items)) => items,
                Ok(value) => vec![value],
                Err(_) => vec![Json::Object(Map::new())],
            },
            Self::Jsonl => {
                lines().filter_map(|line| serde_json::from_slice(line.trim_ascii()).ok()).collect()
            }
            Self::Lines => body
                .strip_suffix(b"\n")
                .unwrap_or(body)
                .split(|byte| *byte == b'\n')
                .filter(|_| !body.is_empty())
                .map(|line| {
                    let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
                    Json::Object(Map::from_iter([("record".to_owned(), Json::from(line))]))
                })
                .collect(),
            Self::Csv { delimiter, encoding, nulls } => {
                csv_rows(encoding.decode(body).0.as_bytes(), *delimiter, nulls)
            }
            Self::Xml => vec![xml::value(body).unwrap_or_else(|| Json::Object(Map::new()))],
            Self::Zip(inner) => {
                let mut values = Vec::new();
                for file in unzipped(body)? {
                    values.append(&mut inner.owned(&file)?);
                }
                values
            }
            Self::Items(path) => match serde_json::from_slice(body) {
                Ok(value) => match at(&value, path) {
                    Some(Json::Array(items)) => items.clone(),
                    _ => Vec::new(),
                },
                Err(error) => {
                    return Err(Trouble::system(format!("a response is no JSON: {error}")));
                }
            },
            Self::Gzip(inner) => {
                if !body.starts_with(&[0x1f, 0x8b]) {
                    return inner.owned(body);
                }
                inner.owned(&unpacked(body)?)?
            }
        })
    }
}

/// The encoding that Python or the web (<https://encoding.spec.whatwg.org/#names-and-labels>) calls `name`.
fn encoding(name: &str) -> Option<&'static Encoding> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let of = |label: &str| Encoding::for_label(label.as_bytes());
    of(&name).or_else(|| of(&name.replace('-', ""))).or_else(|| of(name.strip_suffix("-sig")?))
}

/// Unpacks gzip, up to a bound that no packed trap can pass.
pub(super) fn unpacked(packed: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    let bound = bound_of(packed.len());
    MultiGzDecoder::new(packed)
        .take(bound + 1)
        .read_to_end(&mut body)
        .map_err(|error| Trouble::system(format!("a response is no gzip: {error}")))?;
    if body.len() as u64 > bound {
        return Err(too_large());
    }
    Ok(body)
}

/// The files of an archive, together within the bound.
fn unzipped(packed: &[u8]) -> Result<Vec<Vec<u8>>, Trouble> {
    let bad = |error: &dyn std::fmt::Display| {
        Trouble::system(format!("a response is no zip archive: {error}"))
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(packed)).map_err(|error| bad(&error))?;
    let (mut files, mut left) = (Vec::new(), bound_of(packed.len()));
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| bad(&error))?;
        let mut body = Vec::new();
        file.take(left + 1).read_to_end(&mut body).map_err(|error| bad(&error))?;
        left = left.checked_sub(body.len() as u64).ok_or_else(too_large)?;
        files.push(body);
    }
    Ok(files)
}

/// How much may come out of `len` packed bytes.
fn bound_of(len: usize) -> u64 {
    (len as u64).saturating_mul(RATIO_MAX).clamp(RATIO_FROM, UNPACKED_MAX)
}

fn too_large() -> Trouble {
    Trouble::system(format!("a response is larger than {} MiB after unpacking", UNPACKED_MAX >> 20))
}

/// The rows under a header row, as maps of text.
fn csv_rows(body: &[u8], delimiter: u8, nulls: &[String]) -> Vec<Json> {
    let (mut names, mut rows) = (None::<Vec<String>>, Vec::new());
    each_row(body, delimiter, |row| {
        let row = row.iter().map(|cell| String::from_utf8_lossy(cell).into_owned());
        let Some(names) = &names else {
            names = Some(row.collect());
            return;
        };
        let cells =
            row.map(|cell| if nulls.contains(&cell) { Json::Null } else { Json::String(cell) });
        rows.push(Json::Object(names.iter().cloned().zip(cells).collect()));
    });
    rows
}

/// The same rows as the text of JSON, and where in it each of them is: most need not be taken apart before they are
/// handed on.
fn csv_texts(body: &[u8], delimiter: u8, nulls: &[String]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut text = Vec::with_capacity(body.len() * 2);
    let (mut names, mut rows) = (None::<Vec<Vec<u8>>>, Vec::new());
    let quoted = |out: &mut Vec<u8>, cell: &[u8]| {
        let cell = String::from_utf8_lossy(cell);
        // Writing text into memory does not fail.
        drop(serde_json::to_writer(out, cell.as_ref()));
    };
    each_row(body, delimiter, |row| {
        let Some(names) = &names else {
            let name = |cell: &&[u8]| {
                let mut name = Vec::new();
                quoted(&mut name, cell);
                name.push(b':');
                name
            };
            names = Some(row.iter().map(name).collect());
            return;
        };
        let start = text.len();
        text.push(b'{');
        for (name, cell) in names.iter().zip(row) {
            if text.len() > start + 1 {
                text.push(b',');
            }
            text.extend_from_slice(name);
            match nulls.iter().any(|null| null.as_bytes() == *cell) {
                true => text.extend_from_slice(b"null"),
                false => quoted(&mut text, cell),
            }
        }
        text.push(b'}');
        rows.push(start..text.len());
    });
    (text, rows)
}

/// Calls `take` with the cells of each row, the header first.
fn each_row(body: &[u8], delimiter: u8, mut take: impl FnMut(&[&[u8]])) {
    let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let (mut fields, mut ends) = (vec![0; body.len() + 1], vec![0; 4096]);
    let (mut rest, mut written, mut ended) = (body, 0, 0);
    loop {
        let (result, used, out, end) =
            reader.read_record(rest, &mut fields[written..], &mut ends[ended..]);
        rest = &rest[used..];
        (written, ended) = (written + out, ended + end);
        match result {
            csv_core::ReadRecordResult::Record => {
                let mut start = 0;
                let cell = |end: &usize| {
                    let cell = &fields[start..*end];
                    start = *end;
                    cell
                };
                let row: Vec<&[u8]> = ends[..ended].iter().map(cell).collect();
                take(&row);
                (written, ended) = (0, 0);
            }
            csv_core::ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
            csv_core::ReadRecordResult::OutputFull => fields.resize(fields.len() * 2 + 64, 0),
            csv_core::ReadRecordResult::InputEmpty => {}
            csv_core::ReadRecordResult::End => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_read_in_the_encoding_that_is_declared() {
        let cases: [(&str, &[u8]); 5] = [
            ("utf-8-sig", b"\xef\xbb\xbfn\n\xc3\xa9\n"),
            ("latin-1", b"n\n\xe9\n"),
            ("cp1252", b"n\n\xe9\n"),
            ("utf_16", b"\xff\xfen\0\n\0\xe9\0\n\0"),
            ("iso8859-1", b"\xef\xbb\xbfn\n\xc3\xa9\n"),
        ];
        for (name, body) in cases {
            let (encoding, nulls) = (encoding(name).unwrap(), Vec::new());
            let decoder = Decoder::Csv { delimiter: b',', encoding, nulls };
            assert_eq!(decoder.owned(body).unwrap(), [json!({ "n": "é" })], "{name}");
        }
        assert_eq!(encoding("klingon"), None);
    }

    #[test]
    fn a_line_without_text_is_a_record_and_what_ends_the_last_one_is_none() {
        let cases: [(&[u8], &[&str]); 5] = [
            (b"a\n\nb\r\n", &["a", "", "b"]),
            (b"a\nb", &["a", "b"]),
            (b"a\n\n", &["a", ""]),
            (b"\n", &[""]),
            (b"", &[]),
        ];
        for (body, lines) in cases {
            let expected: Vec<Json> = lines.iter().map(|line| json!({ "record": line })).collect();
            assert_eq!(Decoder::Lines.owned(body).unwrap(), expected, "{body:?}");
        }
    }
}
