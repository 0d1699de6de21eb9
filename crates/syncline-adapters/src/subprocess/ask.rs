//! What a program is asked before it reads: whether it can, and which streams it has.

use super::catalog::Chosen;
use super::message::{Answer, Failure, Message};
use super::process::{CONFIG_FILE, Files, Line, Process};
use super::{Dialect, SubprocessAdapter, airbyte, singer};
use crate::AdapterError;
use serde_json::{Value as Json, json};
use std::ffi::OsString;
use tokio::time::Instant;

/// The largest catalog that is read, in bytes.
const CATALOG_BYTES_MAX: usize = 64 << 20;

impl SubprocessAdapter {
    /// Has an Airbyte source say which settings it needs, and whether it can read with those that it has.
    pub(super) async fn ask_whether_it_can_read(&self, entity: &str) -> Result<(), AdapterError> {
        // The reference implementation says of itself what it needs, not of the manifest.
        if self.settings.last_arguments.is_empty() {
            let arguments = [OsString::from("spec")];
            let answer = self.answer(entity, &arguments, Files::new()?).await?;
            if let Answer::Spec(spec) = answer {
                self.compare_settings(&spec)?;
            }
        }
        let files = Files::new()?;
        let arguments = self.airbyte_arguments("check", &files)?;
        match self.answer(entity, &arguments, files).await? {
            Answer::Check(Err(problem)) => {
                let problem = self.settings.scrub(&problem);
                let problem =
                    format!("`{}` refuses its configuration: {problem}", self.settings.name());
                Err(AdapterError::Refused { what: entity.to_owned(), problem })
            }
            _ => Ok(()),
        }
    }

    fn compare_settings(&self, spec: &Json) -> Result<(), AdapterError> {
        let required = spec.pointer("/connectionSpecification/required").and_then(Json::as_array);
        let required = required.into_iter().flatten().filter_map(Json::as_str);
        let missing: Vec<String> = required
            .filter(|name| self.settings.config.get(name).is_none())
            .map(|name| format!("`{name}`"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let problem = format!(
            "`config` lacks {}, which `{}` needs",
            missing.join(", "),
            self.settings.name()
        );
        Err(AdapterError::Settings(problem))
    }

    /// A command of an Airbyte source, with its configuration among `files`.
    pub(super) fn airbyte_arguments(
        &self,
        command: &str,
        files: &Files,
    ) -> Result<Vec<OsString>, AdapterError> {
        let config = files.put(CONFIG_FILE, &self.config()?)?;
        let mut arguments = vec![OsString::from(command), "--config".into(), config.into()];
        arguments.extend(self.settings.last_arguments.iter().cloned());
        Ok(arguments)
    }

    /// Runs an Airbyte source for one answer.
    async fn answer(
        &self,
        what: &str,
        arguments: &[OsString],
        files: Files,
    ) -> Result<Answer, AdapterError> {
        let patience = self.settings.silence;
        let mut process = Process::start(&self.settings, what, arguments, files)?;
        let (mut found, mut failure) = (None, None::<Failure>);
        loop {
            match process.line(Instant::now() + patience, patience).await? {
                Line::End => break,
                Line::Long => {}
                Line::Whole | Line::Torn => match airbyte::parse(process.text()) {
                    Ok(Some(Message::Answer(answer))) => found = Some(answer),
                    Ok(Some(Message::Failure(said))) => failure = Some(said),
                    Ok(Some(Message::Config(config))) => self.keep(&config).await?,
                    _ => {}
                },
            }
        }
        let status = process.end().await?;
        match (found, failure) {
            (Some(answer), _) => Ok(answer),
            (None, Some(Failure { is_transient: true, message, .. })) => {
                Err(process.unavailable(&format!("failed: {message}")).await)
            }
            (None, Some(Failure { message, .. })) => {
                Err(process.refused(&format!("failed: {message}")).await)
            }
            (None, None) => {
                let asked = arguments[0].to_string_lossy();
                let problem =
                    format!("gave no answer to `{asked}` in the Airbyte protocol ({status})");
                Err(process.refused(&problem).await)
            }
        }
    }

    /// How the stream of `entity` is going to be read.
    pub(super) async fn choose(&self, entity: &str) -> Result<Chosen, AdapterError> {
        let wanted = self.wanted(entity)?;
        let catalog = self.catalog.get_or_try_init(|| self.find_catalog(entity)).await?;
        let chosen = match self.settings.dialect {
            Dialect::Singer => singer::choose(catalog, wanted),
            Dialect::Airbyte => airbyte::choose(catalog, wanted),
        };
        chosen.map_err(|problem| {
            let name = self.settings.name();
            AdapterError::Settings(format!("entity {entity}: `{name}` says otherwise: {problem}"))
        })
    }

    async fn find_catalog(&self, entity: &str) -> Result<Json, AdapterError> {
        if let Some(path) = &self.settings.catalog {
            let text = std::fs::read_to_string(path).map_err(|error| {
                AdapterError::Settings(format!(
                    "cannot read the catalog {}: {error}",
                    path.display()
                ))
            })?;
            return serde_json::from_str(&text).map_err(|error| {
                AdapterError::Settings(format!(
                    "the catalog {} is no JSON: {error}",
                    path.display()
                ))
            });
        }
        let files = Files::new()?;
        match self.settings.dialect {
            Dialect::Singer => self.singer_catalog(entity, files).await,
            Dialect::Airbyte => {
                let arguments = self.airbyte_arguments("discover", &files)?;
                match self.answer(entity, &arguments, files).await? {
                    Answer::Catalog(catalog) => Ok(catalog),
                    _ => Ok(json!({})),
                }
            }
        }
    }

    /// A tap prints its catalog as one document, over as many lines as it likes.
    async fn singer_catalog(&self, entity: &str, files: Files) -> Result<Json, AdapterError> {
        let given = self.config()?;
        let config = files.put(CONFIG_FILE, &given)?;
        let arguments = ["--config".into(), config.into(), OsString::from("--discover")];
        let patience = self.settings.silence;
        let mut process = Process::start(&self.settings, entity, &arguments, files)?;
        let mut text = Vec::new();
        loop {
            match process.line(Instant::now() + patience, patience).await? {
                Line::End => break,
                Line::Whole | Line::Torn
                    if text.len() + process.text().len() < CATALOG_BYTES_MAX =>
                {
                    // What libraries print comes before the document.
                    if !text.is_empty() || process.text().trim_ascii_start().starts_with(b"{") {
                        text.extend_from_slice(process.text());
                        text.push(b'\n');
                    }
                }
                _ => {
                    process.stop().await;
                    return Err(process
                        .refused("prints a catalog that is too large to be read")
                        .await);
                }
            }
        }
        let status = process.end().await?;
        if let Some(config) = process.config().filter(|config| *config != given) {
            self.keep(&config).await?;
        }
        if !status.success() {
            return Err(process.refused(&format!("cannot discover its streams ({status})")).await);
        }
        let document = serde_json::Deserializer::from_slice(&text).into_iter::<Json>().next();
        match document {
            Some(Ok(catalog)) if catalog.get("streams").is_some_and(Json::is_array) => Ok(catalog),
            Some(Err(error)) => {
                Err(process.refused(&format!("prints a catalog that is no JSON: {error}")).await)
            }
            _ => {
                let problem = "prints no catalog with `streams` when it is asked to `--discover`; \
                    give it one as `catalog`";
                Err(process.refused(problem).await)
            }
        }
    }
}
