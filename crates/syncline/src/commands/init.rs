//! `syncline init`: starts a project from sample files.

use crate::app::App;
use crate::error::{Error, Exit};
use crate::infer::{FileProposal, Project, Sample, Setting, propose};
use crate::output::{Tone, counted};
use crate::workspace::{Located, OpenOptions, Workspace, file_name};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use syncline_adapters::{AdapterError, DiscoveredEntity, registry};
use syncline_core::config::model::{
    Connection, Entity, EntitySettings, FileFormat, FileSettings, OneOrMany,
};
use syncline_core::value::Value;

/// The file that is written.
const CONFIG: &str = "syncline.yaml";

/// The longest JSON document that is searched for its array of records.
const JSON_BYTES_MAX: u64 = 64 << 20;

/// Ends of the names of packed files.
const PACKED: &[&str] = &[".gz", ".gzip", ".zst", ".zstd"];

/// Ends of names that tell the format.
const FORMATS: &[&str] = &[".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".jsonlines", ".json"];

/// What `syncline init` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads the first 100 records of each file (CSV, TSV, JSON Lines or JSON, packed or not), and \
writes a syncline.yaml that runs: the type of each column, the key, the modified time, mappings with their \
transformations, match rules, references between files. Files that hold the same kind of thing become one shard \
type. Each choice says why in a comment; change what does not fit.\n\n\
Examples:\n  syncline init contacts.csv\n  syncline init crm/*.jsonl billing.csv --dir project"
)]
pub struct Args {
    /// Sample files to start from
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The folder of the project; made where there is none
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Overwrites a syncline.yaml that is there
    #[arg(long)]
    pub force: bool,
}

/// What was made of one file.
#[derive(Debug, Serialize)]
struct Started<'a> {
    file: &'a str,
    task: &'a str,
    shard_type: &'a str,
    key: &'a [String],
    modified: Option<&'a str>,
    fields: usize,
    relationships: usize,
    sampled: usize,
}

impl<'a> Started<'a> {
    fn new(file: &'a FileProposal) -> Self {
        Self {
            file: &file.path,
            task: &file.task,
            shard_type: &file.shard_type,
            key: &file.key,
            modified: file.modified.as_deref(),
            fields: file.fields.len(),
            relationships: file.relationships.len(),
            sampled: file.sampled,
        }
    }
}

/// Starts a project.
///
/// # Errors
///
/// When a file cannot be read or has no columns, or there is a configuration already.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let target = args.dir.join(CONFIG);
    if target.exists() && !args.force {
        let message = format!("`{}` is there already", target.display());
        return Err(Error::refused(message, "overwrite it with `--force`, or choose a `--dir`"));
    }
    std::fs::create_dir_all(&args.dir)
        .map_err(|source| Error::Write { path: args.dir.clone(), source })?;
    let mut samples = Vec::new();
    for file in &args.files {
        samples.push(sample(file, &args.dir).await?);
    }
    let project = propose(&samples);
    write(&target, &project.to_yaml())?;
    tell(&project, &target, &args.dir, app)?;
    // What was written is what every other command reads; a defect in it must not come to light only then.
    let located = Located::find(&target)?;
    Workspace::load(located, &OpenOptions::default(), |_| {})?;
    Ok(Exit::Success)
}

/// Writes the file whole or not at all.
fn write(target: &Path, text: &str) -> Result<(), Error> {
    let partial = target.with_extension("yaml.partial");
    let written = File::create(&partial)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&partial, target));
    written.map_err(|source| {
        drop(std::fs::remove_file(&partial));
        Error::Write { path: target.to_owned(), source }
    })
}

fn tell(project: &Project, target: &Path, folder: &Path, app: &App) -> Result<(), Error> {
    let started: Vec<Started<'_>> = project.files.iter().map(Started::new).collect();
    if app.out.json {
        let path = target.display().to_string();
        return app.out.json(&serde_json::json!({ "config": path, "files": started }));
    }
    app.out.line(format!("wrote {}", app.out.paint(Tone::Bold, &target.display().to_string())))?;
    let rows = started.iter().map(|file| {
        vec![
            file.file.to_owned(),
            file.shard_type.to_owned(),
            file.key.join(" + "),
            file.modified.unwrap_or("-").to_owned(),
            file.fields.to_string(),
            file.task.to_owned(),
        ]
    });
    app.out.table(&["file", "shard type", "key", "modified", "fields", "task"], rows.collect())?;
    let rules: usize = project.types.iter().map(|shard_type| shard_type.rules.len()).sum();
    let rules = counted(rules as u64, "match rule");
    app.out.line(format!("{rules} proposed; each choice says why in a comment"))?;
    let path =
        if folder == Path::new(".") { String::new() } else { format!(" {}", folder.display()) };
    app.out.line("\nnext:")?;
    app.out.line(format!("  syncline check{path}      finds what is wrong"))?;
    app.out.line(format!(
        "  syncline preview{path}    shows what a run would do, and writes nothing"
    ))?;
    app.out.line(format!("  syncline run{path}        does it"))
}

/// Reads a sample of a file, and finds out the settings that it takes.
async fn sample(file: &Path, folder: &Path) -> Result<Sample, Error> {
    let name = file.to_str().unwrap_or_default();
    if name.is_empty() || name == "-" {
        let message = format!("cannot start from `{}`", file.display());
        return Err(Error::usage(
            message,
            "give the path of a file, which later runs can read again",
        ));
    }
    let is_address = name.contains("://");
    if !is_address && !file.is_file() {
        let source = match file.metadata() {
            Ok(_) => io::Error::new(io::ErrorKind::InvalidInput, "it is no file"),
            Err(error) => error,
        };
        return Err(Error::Read { path: file.to_owned(), source });
    }
    let path = if is_address { name.to_owned() } else { escaped(&from(file, folder)?) };
    let mut settings = FileSettings { path: Some(path.clone()), ..FileSettings::default() };
    let mut told: Vec<Setting> = Vec::new();
    if let Some(setting) = format_of(file) {
        set(&mut settings, &mut told, setting);
    }
    let mut found = discover(&settings, folder).await;
    // One setting may only show the next: behind the right delimiter, the wrong encoding.
    while let Some(setting) = missing(&found, file, &settings) {
        set(&mut settings, &mut told, setting);
        found = discover(&settings, folder).await;
    }
    let found = found?;
    if found.sample.shape.names().is_empty() {
        let message = format!("cannot start from `{}`: it has no records", file.display());
        let reason = found.sample.rejected.first().map(|first| first.problem.clone());
        let hint = reason.unwrap_or_else(|| "give a file with at least one record".to_owned());
        return Err(Error::refused(message, hint));
    }
    let folder = file.parent().map(file_name).filter(|name| name != "?");
    Ok(Sample { path, stem: stem(file), folder, settings: told, found })
}

/// A setting that is not set yet, and that the file seems to need.
fn missing(
    found: &Result<DiscoveredEntity, AdapterError>,
    file: &Path,
    settings: &FileSettings,
) -> Option<Setting> {
    if settings.delimiter.is_none()
        && let Some(setting) = found.as_ref().ok().and_then(delimiter)
    {
        return Some(setting);
    }
    if settings.encoding.is_none() && is_garbled(found) {
        let (key, value) = ("encoding", "windows-1252".to_owned());
        return Some(Setting { key, value, why: "it is not UTF-8".to_owned() });
    }
    if settings.records.is_none() && !found.as_ref().is_ok_and(has_records) {
        return records(file, settings);
    }
    None
}

async fn discover(
    settings: &FileSettings,
    folder: &Path,
) -> Result<DiscoveredEntity, AdapterError> {
    let entity = Entity {
        key: OneOrMany::One("id".to_owned()),
        settings: EntitySettings::File(settings.clone()),
        ..Entity::default()
    };
    let connection = Connection {
        adapter: "file".to_owned(),
        entities: BTreeMap::from([("sample".to_owned(), entity)]),
        ..Connection::default()
    };
    registry::open(&connection, folder)?.discover("sample").await
}

fn set(settings: &mut FileSettings, told: &mut Vec<Setting>, setting: Setting) {
    match setting.key {
        "delimiter" => settings.delimiter = setting.value.chars().next(),
        "encoding" => settings.encoding = Some(setting.value.clone()),
        "records" => settings.records = Some(setting.value.clone()),
        _ => settings.format = format_named(&setting.value),
    }
    told.push(setting);
}

fn format_named(name: &str) -> Option<FileFormat> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}

fn has_records(found: &DiscoveredEntity) -> bool {
    !found.sample.records.is_empty()
}

/// The format of a file whose name does not tell it: by how it begins.
fn format_of(file: &Path) -> Option<Setting> {
    let name = file_name(file).to_ascii_lowercase();
    let name = PACKED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    if FORMATS.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    let mut head = [0; 4096];
    let length = File::open(file).and_then(|mut file| file.read(&mut head)).ok()?;
    let text = String::from_utf8_lossy(&head[..length]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let first_line = text.lines().next().unwrap_or_default();
    let value = if text.starts_with('[') {
        "json"
    } else if text.starts_with('{') {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let is_record = |line: &str| serde_json::from_str::<Value>(line).is_ok();
        let several = lines.next().is_some_and(is_record) && lines.next().is_some();
        if several { "jsonl" } else { "json" }
    } else if first_line.contains('\t') {
        "tsv"
    } else {
        "csv"
    };
    let why = "the name does not tell; the content looks like it".to_owned();
    Some(Setting { key: "format", value: value.to_owned(), why })
}

/// Whether text could not be read in the encoding that was assumed. Where other records have letters beyond ASCII
/// that could be read, the encoding is right, and the file is damaged.
fn is_garbled(found: &Result<DiscoveredEntity, AdapterError>) -> bool {
    const SIGNS: [&str; 3] = ["not valid text", "UTF-8", "utf-8"];
    let says_so = |text: &str| SIGNS.iter().any(|sign| text.contains(sign));
    match found {
        Ok(found) => {
            let cells = found.sample.records.iter().flat_map(|record| &record.cells).flatten();
            found.sample.rejected.iter().any(|rejected| says_so(&rejected.problem))
                && cells.filter_map(Value::as_text).all(str::is_ascii)
        }
        Err(error) => says_so(&error.to_string()),
    }
}

/// The delimiter of a file whose header was read as one column.
fn delimiter(found: &DiscoveredEntity) -> Option<Setting> {
    let [only] = found.sample.shape.names() else { return None };
    let count = |delimiter: &char| only.matches(*delimiter).count();
    let best = [';', '\t', '|', ','].into_iter().max_by_key(count)?;
    if count(&best) == 0 {
        return None;
    }
    Some(Setting { key: "delimiter", value: best.to_string(), why: "as in the header".to_owned() })
}

/// Where a JSON document keeps its records: the longest array of objects in it.
fn records(file: &Path, settings: &FileSettings) -> Option<Setting> {
    let is_json = settings.format == Some(FileFormat::Json)
        || file.to_string_lossy().to_ascii_lowercase().ends_with(".json");
    if !is_json || file.metadata().ok()?.len() > JSON_BYTES_MAX {
        return None;
    }
    let text = std::fs::read_to_string(file).ok()?;
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    let mut best: Option<(usize, String)> = None;
    find_records(&value, "", 3, &mut best);
    let (length, path) = best.filter(|(_, path)| !path.is_empty())?;
    let why = format!("the array with {}", counted(length as u64, "object"));
    Some(Setting { key: "records", value: path, why })
}

fn find_records(value: &Value, path: &str, depth: usize, best: &mut Option<(usize, String)>) {
    match value {
        Value::List(items) => {
            let all_maps = items.iter().all(|item| matches!(item, Value::Map(_)));
            let longer = best.as_ref().is_none_or(|(length, _)| items.len() > *length);
            if all_maps && !items.is_empty() && longer {
                *best = Some((items.len(), path.to_owned()));
            }
        }
        Value::Map(entries) if depth > 0 => {
            for (key, value) in entries.iter().filter(|(key, _)| !key.contains('.')) {
                let below = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
                find_records(value, &below, depth - 1, best);
            }
        }
        _ => {}
    }
}

/// The file's name without what tells format and packing.
fn stem(file: &Path) -> String {
    let mut name = file_name(file);
    let ends = || PACKED.iter().chain(FORMATS).chain(&[".txt"]);
    while let Some(end) = ends().find(|end| name.to_ascii_lowercase().ends_with(**end)) {
        name.truncate(name.len() - end.len());
    }
    name
}

/// The way from a folder to a file: relative where both are on one root.
fn from(file: &Path, folder: &Path) -> Result<String, Error> {
    let absolute = |path: &Path| {
        path.canonicalize().map_err(|source| Error::Read { path: path.to_owned(), source })
    };
    let (full, base) = (absolute(file)?, absolute(folder)?);
    let (mut to, mut start) = (full.components().peekable(), base.components().peekable());
    while to.peek().is_some() && to.peek() == start.peek() {
        to.next();
        start.next();
    }
    let is_far = start.clone().count() > 3
        || matches!(to.peek(), Some(Component::Prefix(_) | Component::RootDir));
    let path: PathBuf =
        if is_far { full.clone() } else { start.map(|_| Component::ParentDir).chain(to).collect() };
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let message = format!("the path of `{}` is no UTF-8 text", file.display());
        Error::usage(message, "rename the file, then start again")
    })
}

/// A path that means this file alone, although it has characters that stand for many.
fn escaped(path: &str) -> String {
    path.chars()
        .map(|c| if matches!(c, '*' | '?' | '[') { format!("[{c}]") } else { c.to_string() })
        .collect()
}
