//! Which connectors there are, what each can do, and how it runs.

use super::source::{BUILT_IN, Source};
use super::{FailureKind, Manifest};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::io;
use std::path::Path;
use syncline_core::config::model::WriteBlock;

/// How deep below a folder manifests are looked for.
const DEPTH: usize = 3;

/// A connector.
#[derive(Clone, Debug, Serialize)]
pub struct Connector {
    /// The name that a built-in one is used by; of others, the name of its file or folder.
    pub name: String,
    /// The path that a connection's `manifest` names; `None` where it is built in.
    pub path: Option<String>,
    /// How it runs.
    pub runs: Runs,
    /// Why it does not run natively as a whole.
    pub why: Option<String>,
    /// The ways in which it proves who asks, by their names in the language.
    pub auth: Vec<String>,
    /// Its streams; those that are only known once the API was asked are not among them.
    pub streams: Vec<StreamOf>,
    /// Whether there are more streams, which only the API knows.
    pub asks_for_streams: bool,
}

/// How a connector runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// Here.
    Natively,
    /// Here, but for some streams.
    Partly,
    /// As a program: the reference implementation of the language, where it is installed.
    AsProgram,
    /// Not at all: its manifest is broken.
    Broken,
}

impl Runs {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Natively => "native",
            Self::Partly => "partly native",
            Self::AsProgram => "subprocess",
            Self::Broken => "broken",
        }
    }
}

/// A stream of a connector.
#[derive(Clone, Debug, Serialize)]
pub struct StreamOf {
    /// Its name.
    pub name: String,
    /// The fields that name a record.
    pub key: Vec<String>,
    /// Whether a later read goes on where the last one ended.
    pub is_incremental: bool,
    /// What can be written: `create`, `upsert`, `update`, `delete`.
    pub writes: Vec<&'static str>,
    /// Why it does not run natively, where it does not.
    pub why: Option<String>,
}

impl Connector {
    /// The connectors that are part of the program, by name.
    pub fn built_in() -> Vec<Self> {
        let found = |name: &'static str| match Source::built_in(name) {
            Ok(source) => Self::of(name.to_owned(), None, source),
            Err(trouble) => Self::broken(name.to_owned(), None, trouble.message),
        };
        BUILT_IN.iter().map(|connector| found(connector.name)).collect()
    }

    /// The connectors whose manifests stand in `folder`, by name: files there, and files called `manifest.yaml` in
    /// folders there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read. A manifest that cannot be read is a broken connector.
    pub fn in_folder(folder: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in folder.read_dir()? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let ends = |end: &str| name.strip_suffix(end).map(str::to_owned);
            if path.is_dir() {
                if let Some(manifest) = manifest_in(&path, DEPTH) {
                    found.push((name, manifest));
                }
            } else if let Some(stem) = ends(".yaml").or_else(|| ends(".yml")) {
                found.push((stem, path));
            }
        }
        found.sort();
        let connector = |(name, path): (String, std::path::PathBuf)| {
            let shown = Some(path.display().to_string());
            match Source::read(&path) {
                Ok(source) => Self::of(name, shown, source),
                Err(trouble) => Self::broken(name, shown, trouble.message),
            }
        };
        Ok(found.into_iter().map(connector).collect())
    }

    fn broken(name: String, path: Option<String>, why: String) -> Self {
        let (auth, streams) = (Vec::new(), Vec::new());
        let why = Some(why);
        Self { name, path, runs: Runs::Broken, why, auth, streams, asks_for_streams: false }
    }

    fn of(name: String, path: Option<String>, source: Source) -> Self {
        let root = match Manifest::root(&source) {
            Ok(root) => root,
            Err(trouble) => return Self::broken(name, path, trouble.message),
        };
        let mut auth = Vec::new();
        root.values().for_each(|part| authenticators(part, &mut auth));
        let manifest = match Manifest::of(source, root, &Json::Object(Map::new())) {
            Ok(manifest) => manifest,
            Err(trouble) if trouble.kind == FailureKind::Unsupported => {
                let broken = Self::broken(name, path, trouble.message);
                return Self { runs: Runs::AsProgram, auth, ..broken };
            }
            Err(trouble) => return Self::broken(name, path, trouble.message),
        };
        let stream = |declared: &super::load::Declared| {
            let block = manifest.writes.position(&declared.name);
            let stream = declared.stream.as_ref();
            StreamOf {
                name: declared.name.clone(),
                key: stream.map_or_else(|_| Vec::new(), |stream| stream.primary_key.clone()),
                is_incremental: stream
                    .is_ok_and(|stream| stream.cursor.is_some() || stream.with_state.is_some()),
                writes: block.map_or_else(Vec::new, |at| writes(&manifest.writes.0[at].1)),
                why: stream.err().map(|trouble| trouble.message.clone()),
            }
        };
        let streams: Vec<StreamOf> = manifest.streams.iter().map(stream).collect();
        let asks_for_streams = manifest.has_templates();
        let why = streams.iter().find_map(|stream| stream.why.clone());
        let runs = match why {
            None => Runs::Natively,
            Some(_) if asks_for_streams || streams.iter().any(|stream| stream.why.is_none()) => {
                Runs::Partly
            }
            Some(_) => Runs::AsProgram,
        };
        Self { name, path, runs, why, auth, streams, asks_for_streams }
    }
}

/// The manifest in `folder`, or in a folder below it.
fn manifest_in(folder: &Path, depth: usize) -> Option<std::path::PathBuf> {
    let file = folder.join("manifest.yaml");
    if file.is_file() {
        return Some(file);
    }
    let mut below: Vec<_> = folder.read_dir().ok()?.flatten().map(|entry| entry.path()).collect();
    below.sort();
    let mut folders = below.into_iter().filter(|path| depth > 1 && path.is_dir());
    folders.find_map(|folder| manifest_in(&folder, depth - 1))
}

fn writes(block: &WriteBlock) -> Vec<&'static str> {
    let operations = [
        ("create", &block.create),
        ("upsert", &block.upsert),
        ("update", &block.update),
        ("delete", &block.delete),
    ];
    operations.iter().filter(|(_, one)| one.is_some()).map(|(name, _)| *name).collect()
}

/// Collects the kinds of authenticators below `part`, each once; of one that selects, those among which it does.
fn authenticators(part: &Json, found: &mut Vec<String>) {
    match part {
        Json::Array(items) => items.iter().for_each(|item| authenticators(item, found)),
        Json::Object(fields) => {
            let kind = fields.get("type").and_then(Json::as_str).unwrap_or_default();
            let is_one = kind.ends_with("Authenticator") || kind == "NoAuth";
            if is_one && kind != "SelectiveAuthenticator" && !found.iter().any(|one| one == kind) {
                found.push(kind.to_owned());
            }
            fields.values().for_each(|field| authenticators(field, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: &str = "
version: 1.0.0
type: DeclarativeSource
check: { type: CheckStream, stream_names: [users] }
api_budget:
  type: HTTPAPIBudget
  policies:
    - type: MovingWindowCallRatePolicy
      rates: [{ type: Rate, limit: 5, interval: PT1S }]
      matchers: [{ method: GET }]
streams:
  - type: DeclarativeStream
    name: users
    primary_key: id
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: https://api.example.org
        authenticator: { type: BearerAuthenticator, api_token: x }
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [] } }
";

    #[test]
    fn a_folder_is_looked_through_and_what_is_broken_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let custom = "      record_selector:\n        type: RecordSelector\n        \
                      extractor: { type: CustomRecordExtractor, class_name: x.Y }\n";
        let (head, _) = FINE.split_once("      record_selector").unwrap();
        let (_, second) = FINE.split_once("streams:\n").unwrap();
        put("source-a/manifest.yaml", FINE);
        put("source-b/source_b/manifest.yaml", &format!("{head}{custom}"));
        put("c.yaml", &format!("{head}{custom}{}", second.replace("users", "deals")));
        put("source-d/manifest.yaml", "streams: [");
        put("source-e/README.md", "nothing");
        let found = Connector::in_folder(folder.path()).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|one| (&*one.name, one.runs, one.auth.join(" "), one.streams.len()))
            .collect();
        let bearer = || "BearerAuthenticator".to_owned();
        assert_eq!(
            shown,
            [
                ("c", Runs::Partly, bearer(), 2),
                ("source-a", Runs::Natively, bearer(), 1),
                ("source-b", Runs::AsProgram, bearer(), 1),
                ("source-d", Runs::Broken, String::new(), 0),
            ]
        );
        assert!(found[0].why.as_ref().unwrap().contains("CustomRecordExtractor"), "{found:?}");
        assert_eq!(found[1].streams[0].key, ["id"]);
    }

    #[test]
    fn what_is_built_in_runs_natively_and_writes() {
        let connectors = Connector::built_in();
        assert_eq!(connectors.len(), BUILT_IN.len());
        for connector in connectors {
            assert_eq!(connector.runs, Runs::Natively, "{connector:?}");
            assert!(connector.streams.iter().any(|stream| !stream.writes.is_empty()));
        }
    }
}
