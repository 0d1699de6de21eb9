//! Reads a file as the engine does, and shows what came in a form that is easy to compare.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncline_adapters::{Adapter, AdapterError, ReadEnd, ReadRequest, registry};
use syncline_core::config::model::{Connection, Entity, EntitySettings, FileSettings};
use syncline_core::record::{Cursor, Page, Rejected};
use tokio::sync::mpsc;

/// A folder with files in it and the settings they are read with.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
    pub(crate) settings: FileSettings,
}

/// All that one read gave.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) pages: Vec<Page>,
    pub(crate) end: ReadEnd,
}

impl Folder {
    /// A folder whose entity reads `path`.
    pub(crate) fn reading(path: &str) -> Self {
        let settings = FileSettings { path: Some(path.to_owned()), ..FileSettings::default() };
        Self { dir: tempfile::tempdir().unwrap(), settings }
    }

    /// A folder with the one file `name`.
    pub(crate) fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        let folder = Self::reading(name);
        folder.write(name, content);
        folder
    }

    /// The same, read with these settings.
    pub(crate) fn set(mut self, change: impl FnOnce(&mut FileSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn base(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut file = fs::OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    pub(crate) fn adapter(&self) -> Result<Arc<dyn Adapter>, AdapterError> {
        let entity =
            Entity { settings: EntitySettings::File(self.settings.clone()), ..Entity::default() };
        let connection = Connection {
            adapter: "file".to_owned(),
            entities: [("it".to_owned(), entity)].into(),
            ..Connection::default()
        };
        registry::open(&connection, self.base())
    }

    /// Reads what `request` asks for.
    pub(crate) fn try_read(&self, request: ReadRequest) -> Result<Outcome, AdapterError> {
        let adapter = self.adapter()?;
        wait(async move {
            let (sender, mut receiver) = mpsc::channel(4);
            let collect = async {
                let mut pages = Vec::new();
                while let Some(page) = receiver.recv().await {
                    pages.push(page);
                }
                pages
            };
            let (end, pages) = tokio::join!(adapter.read(request, sender), collect);
            Ok(Outcome { pages, end: end? })
        })
    }

    /// Reads everything.
    pub(crate) fn read(&self) -> Outcome {
        self.try_read(full(None, 1000)).unwrap()
    }

    /// Reads what is new since `cursor`.
    pub(crate) fn read_since(&self, cursor: &Cursor) -> Outcome {
        self.try_read(since(Some(cursor.clone()))).unwrap()
    }

    /// The message of a read that fails.
    pub(crate) fn refusal(&self) -> String {
        self.try_read(full(None, 1000)).unwrap_err().to_string()
    }
}

/// Runs `future` to its end.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A full read, or the rest of one.
pub(crate) fn full(cursor: Option<Cursor>, page_len: usize) -> ReadRequest {
    ReadRequest { entity: "it".to_owned(), cursor, full: true, page_len, changed_since: None }
}

/// An incremental read.
pub(crate) fn since(cursor: Option<Cursor>) -> ReadRequest {
    ReadRequest { full: false, ..full(cursor, 1000) }
}

impl Outcome {
    /// Each record as `source:line {"name":value…}`, absent cells left out.
    pub(crate) fn records(&self) -> Vec<String> {
        self.pages.iter().flat_map(shown).collect()
    }

    /// Each record without its source and line.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let records = self.records();
        records.iter().map(|record| record.split_once(' ').unwrap().1.to_owned()).collect()
    }

    pub(crate) fn rejected(&self) -> Vec<&Rejected> {
        self.pages.iter().flat_map(|page| &page.rejected).collect()
    }

    /// Each reject as `line problem`.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.rejected().iter().map(|r| format!("{} {}", r.line, r.problem)).collect()
    }

    /// Why the read was incomplete; empty where it was not.
    pub(crate) fn gap(&self) -> &str {
        assert_eq!(self.end.complete, self.end.incomplete_because.is_none());
        self.end.incomplete_because.as_deref().unwrap_or_default()
    }
}

/// The records of a page, as [`Outcome::records`] shows them.
pub(crate) fn shown(page: &Page) -> Vec<String> {
    let names = page.shape.names();
    let show = |record: &syncline_core::record::Record| {
        let cells: Vec<String> = names
            .iter()
            .enumerate()
            .filter_map(|(index, name)| Some(format!("{name}={}", record.cell(index)?.to_json())))
            .collect();
        let source = &page.sources[record.source as usize];
        format!("{source}:{} {}", record.line, cells.join(" "))
    };
    page.records.iter().map(show).collect()
}

/// `text` packed with gzip.
pub(crate) fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// `text` packed with zstd.
pub(crate) fn zstd(text: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(text.as_ref(), 3).unwrap()
}
