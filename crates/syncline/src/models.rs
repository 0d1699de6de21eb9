//! The files of trained models: where they lie, how they are read, and how they are written.

use crate::error::Error;
use crate::output::count;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncline_core::config::Diagnostics;
use syncline_core::config::model::Config;
use syncline_core::matching::Matcher;
use syncline_core::matching::model::ModelFile;
use syncline_core::problem::{ConfigPath, Problem};
use syncline_engine::World;

/// Where the models of a configuration may lie.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The folder that relative paths start from.
    pub folder: &'a Path,
    /// The database.
    pub store: &'a Path,
}

impl Places<'_> {
    /// The file that the configuration names.
    fn named(&self, model: &str) -> PathBuf {
        self.folder.join(model)
    }

    /// The file beside the store, for a configuration whose folder cannot be written.
    fn beside_store(&self, shard_type: &str) -> PathBuf {
        let mut name = self.store.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{shard_type}.model.yaml"));
        self.store.with_file_name(name)
    }

    /// Reads the models that the shard types of `config` name into it. One that is not there is left out;
    /// compiling tells of it.
    ///
    /// What is beside the store comes first: it was written there because the other place is read-only.
    ///
    /// # Errors
    ///
    /// What is wrong with the files, by line and column; and a problem of the configuration for each file that cannot be
    /// read.
    pub fn read(&self, config: &mut Config) -> (Diagnostics, Vec<Problem>) {
        let (mut diagnostics, mut problems) = (Diagnostics::default(), Vec::new());
        for (name, shard_type) in &mut config.shard_types {
            let Some(matching) = shard_type.matching.as_mut() else { continue };
            let Some(model) = &matching.model else { continue };
            let mut file = self.beside_store(name);
            if !file.is_file() {
                file = self.named(model);
            }
            let trouble = match std::fs::read_to_string(&file) {
                Ok(text) => {
                    let shown = file.strip_prefix("./").unwrap_or(&file).display().to_string();
                    let read = ModelFile::read(&shown, text).unwrap_or_else(|wrong| {
                        diagnostics.merge(wrong);
                        // Otherwise it would be told once more, as one that is not trained.
                        ModelFile::default()
                    });
                    matching.trained = Some(Arc::new(read));
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => error.to_string(),
            };
            let path = ConfigPath::root().key("shard_types").key(name);
            let path = path.key("matching").key("model");
            let message = format!("cannot use the model in `{}`: {trouble}", file.display());
            let help = "make it readable, or train the model again: `syncline match train`";
            problems.push(Problem::new(path, message).with_help(help));
            matching.trained = Some(Arc::new(ModelFile::default()));
        }
        (diagnostics, problems)
    }

    /// Writes the model of a shard type into the file that `model` names, or beside the store where that
    /// cannot be written. Gives the file. It is there whole or not at all.
    ///
    /// # Errors
    ///
    /// When neither place can be written.
    pub fn write(&self, shard_type: &str, model: &str, text: &str) -> Result<PathBuf, Error> {
        let (named, beside) = (self.named(model), self.beside_store(shard_type));
        if write(&named, text).is_ok() {
            // An older one would come first.
            match std::fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Write { path: beside, source: error });
                }
                _ => return Ok(named),
            }
        }
        write(&beside, text).map_err(|source| Error::Write { path: beside.clone(), source })?;
        Ok(beside)
    }
}

/// Remarks on models that are used among far more records than they learnt from, or far fewer.
pub(crate) fn outgrown(world: &World) -> Vec<String> {
    let types = world.rules.types.iter();
    types.filter_map(|rules| remark(&rules.layout.shard_type, &rules.matcher)).collect()
}

/// What is to be said of a model that is used for another number of records than it was trained on.
pub(crate) fn remark(shard_type: &str, matcher: &Matcher) -> Option<String> {
    let model = matcher.model().filter(|model| model.records() != model.trained_on())?;
    let (trained, used) = (count(model.trained_on()), count(model.records()));
    Some(format!(
        "the model of `{shard_type}` was trained on {trained} records and is used for about {used}: its prior and \
         keys were fitted to that, and what it knows of values was not; train it again: `syncline match train`"
    ))
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let draft = path.with_file_name(name);
    let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        // What is left of the draft is of no use to anyone.
        drop(std::fs::remove_file(&draft));
    }
    written
}

/// Marks every model of `config` as one that is still to be trained, whatever its file holds.
pub(crate) fn forget(config: &mut Config) {
    for shard_type in config.shard_types.values_mut() {
        if let Some(matching) = shard_type.matching.as_mut().filter(|m| m.model.is_some()) {
            matching.trained = Some(Arc::new(ModelFile::default()));
        }
    }
}
