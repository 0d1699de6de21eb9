//! Connectors that are programs of their own: Singer taps, and sources that speak the Airbyte protocol.
//!
//! `process` runs a program, `singer` and `airbyte` are the two protocols, `read` is what both have in common.

mod airbyte;
mod ask;
mod batch;
mod catalog;
mod input;
mod kept;
mod lines;
mod message;
mod process;
mod read;
mod settings;
mod singer;
mod stderr;

use crate::kept::KeptFile;
use crate::{
    Adapter, AdapterError, Capabilities, DiscoveredEntity, ReadEnd, ReadRequest, discover,
};
pub use input::{Heard, Input, InputError, Rows, State, StreamSchema};

use catalog::Wanted;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use message::Message;
use settings::Settings;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::str::Utf8Error;
use syncline_core::config::model::{
    Connection, Entity, EntitySettings, ManifestSettings, OneOrMany, ProgramSettings,
    ProgramStreamSettings, ReadMode, Settings as Declared,
};
use syncline_core::record::Page;
use tokio::sync::{OnceCell, mpsc};

const SAMPLE_LEN: usize = 100;

/// The protocol that a program speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// That of Singer taps.
    Singer,
    /// That of Airbyte's sources.
    Airbyte,
}

impl Dialect {
    fn name(self) -> &'static str {
        match self {
            Self::Singer => "Singer",
            Self::Airbyte => "Airbyte",
        }
    }

    fn parse(self, line: &[u8]) -> Result<Option<Message<'_>>, serde_json::Error> {
        match self {
            Self::Singer => singer::parse(line),
            Self::Airbyte => airbyte::parse(line),
        }
    }
}

/// The text of a line that may be a message: a JSON object. Anything else is something that a library printed.
fn protocol_line(line: &[u8]) -> Option<Result<&str, serde_json::Error>> {
    let line = line.trim_ascii();
    let is_object =
        line.first() == Some(&b'{') && memchr::memmem::find(line, b"\"type\"").is_some();
    let invalid = |error: Utf8Error| serde::de::Error::custom(error);
    is_object.then(|| std::str::from_utf8(line).map_err(invalid))
}

/// Reads the streams of one program.
pub(crate) struct SubprocessAdapter {
    settings: Settings,
    entities: BTreeMap<String, Wanted>,
    /// Why it is a program that reads, where the configuration does not say so.
    note: Option<String>,
    /// What the program said of its streams, asked for once.
    catalog: OnceCell<serde_json::Value>,
    /// Where it is kept what the program makes of its configuration.
    kept: Option<KeptFile>,
}

impl SubprocessAdapter {
    /// An adapter for the entities of `connection`, whose relative paths belong to the folder `base`. Nothing is started.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] where the settings cannot work.
    pub(crate) fn new(
        connection: &Connection,
        base: &Path,
        dialect: Dialect,
        kept: Option<KeptFile>,
    ) -> Result<Self, AdapterError> {
        let Declared::Program(own) = &connection.settings else {
            let problem = "its settings are not those of a program";
            return Err(AdapterError::Settings(problem.to_owned()));
        };
        let mut entities = BTreeMap::new();
        for (name, entity) in &connection.entities {
            let EntitySettings::ProgramStream(own) = &entity.settings else {
                let problem = format!("entity {name}: its settings are not those of a stream");
                return Err(AdapterError::Settings(problem));
            };
            let ProgramStreamSettings { stream, namespace, replication } = own.clone();
            if namespace.is_some() && dialect == Dialect::Singer {
                let problem =
                    format!("entity {name}: streams of `adapter: singer` have no `namespace`");
                return Err(AdapterError::Settings(problem));
            }
            let stream = stream.unwrap_or_else(|| name.clone());
            let modified = entity.modified.clone();
            entities.insert(name.clone(), Wanted { stream, namespace, replication, modified });
        }
        let settings = Settings::new(own, base, dialect)?;
        Ok(Self { settings, entities, note: None, catalog: OnceCell::new(), kept })
    }

    /// The program of the reference implementation of the low-code connector language, which comes with the Python
    /// package `airbyte-cdk`.
    pub(crate) const REFERENCE: &str = "source-declarative-manifest";

    /// Has the reference implementation read the manifest of `connection`, for the reason `why`. `None` where it is not
    /// installed.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] where the settings cannot work.
    pub(crate) fn reference(
        connection: &Connection,
        base: &Path,
        why: &str,
        kept: Option<KeptFile>,
    ) -> Result<Option<Self>, AdapterError> {
        let Declared::Manifest(ManifestSettings { manifest: Some(manifest), config, .. }) =
            &connection.settings
        else {
            return Ok(None);
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path);
        let Some(folder) = folders.find(|folder| folder.join(Self::REFERENCE).is_file()) else {
            return Ok(None);
        };
        let program = folder.join(Self::REFERENCE).to_string_lossy().into_owned();
        let mut own = ProgramSettings {
            command: OneOrMany::One(program),
            config: config.clone(),
            ..ProgramSettings::default()
        };
        let path = base.join(manifest);
        let file = if path.is_dir() { path.join("manifest.yaml") } else { path };
        let file = std::path::absolute(&file).unwrap_or(file);
        let components = file.with_file_name("components.py");
        let mut last_arguments = vec![OsString::from("--manifest-path"), file.into()];
        if components.is_file() {
            // Without it, the classes that the manifest brings along are not loaded.
            own.env.insert("AIRBYTE_ENABLE_UNSAFE_CODE".to_owned(), "true".to_owned());
            last_arguments.extend([OsString::from("--components-path"), components.into()]);
        }
        let mut settings = Settings::new(&own, base, Dialect::Airbyte)?;
        settings.last_arguments = last_arguments;
        let wanted = |(name, entity): (&String, &Entity)| {
            let EntitySettings::Stream(own) = &entity.settings else { return None };
            let stream = own.stream.clone().unwrap_or_else(|| name.clone());
            let modified = entity.modified.clone();
            let wanted = Wanted { stream, namespace: None, replication: None, modified };
            Some((name.clone(), wanted))
        };
        let entities = connection.entities.iter().filter_map(wanted).collect();
        let note = Some(format!("read by `{}`, a program: {why}", Self::REFERENCE));
        Ok(Some(Self { settings, entities, note, catalog: OnceCell::new(), kept }))
    }

    fn wanted(&self, entity: &str) -> Result<&Wanted, AdapterError> {
        self.entities.get(entity).ok_or_else(|| {
            AdapterError::Settings(format!("the connection has no entity `{entity}`"))
        })
    }

    /// The first records of an entity; then the program is ended.
    async fn sample(&self, entity: &str) -> Result<Page, AdapterError> {
        let (sender, mut pages) = mpsc::channel(1);
        let entity = entity.to_owned();
        let request =
            ReadRequest { entity, full: true, page_len: SAMPLE_LEN, ..ReadRequest::default() };
        let page = tokio::select! {
            biased;
            page = pages.recv() => page,
            end = self.run(request, sender) => {
                end?;
                pages.try_recv().ok()
            }
        };
        Ok(page.unwrap_or_default())
    }
}

impl Adapter for SubprocessAdapter {
    /// A stream that goes on from a state may begin at a date, so it never surely names every record.
    fn capabilities(&self) -> Capabilities {
        let is_whole = |wanted: &Wanted| wanted.replication == Some(ReadMode::Full);
        Capabilities {
            resumes: true,
            lists_all: self.entities.values().all(is_whole),
            reading_costs_calls: true,
        }
    }

    fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn check<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<(), AdapterError>> {
        async move {
            if self.settings.dialect == Dialect::Airbyte {
                self.ask_whether_it_can_read(entity).await?;
            }
            self.sample(entity).await.map(|_| ())
        }
        .boxed()
    }

    fn discover<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<DiscoveredEntity, AdapterError>> {
        async move {
            let sample = self.sample(entity).await?;
            Ok(discover::entity(entity, sample))
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        request: ReadRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'a, Result<ReadEnd, AdapterError>> {
        self.run(request, pages).boxed()
    }
}
