//! Finds a configuration, reads and compiles it, and finds out which store it means.

use crate::error::Error;
use crate::models::Places;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use syncline_adapters::registry::ADAPTERS;
use syncline_core::config::model::Config;
use syncline_core::config::{
    Diagnostics, Inspection, Loaded, Reference, Secrets, SourceFile, inspect,
};
use syncline_core::plan::program::Program;
use syncline_core::problem::{ConfigPath, Problem};

/// How a configuration and its store are opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// The database; `None` leaves it to the configuration, or takes `syncline.db` beside it.
    pub store: Option<PathBuf>,
    /// What `${var:NAME}` stands for, by name. A value that is the path of an existing file as seen from the
    /// current folder, and not from the configuration's, is made absolute.
    pub variables: BTreeMap<String, String>,
}

/// The files of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// The files, in the order of their names.
    pub files: Vec<PathBuf>,
}

impl Located {
    /// Finds the configuration at `path`: the file itself, or in a folder `syncline.yaml` (or `.yml`), or else all
    /// YAML files there together.
    ///
    /// # Errors
    ///
    /// [`Error::NoConfig`] where there is none, [`Error::Read`] where the folder cannot be read.
    pub fn find(path: &Path) -> Result<Self, Error> {
        let trouble = |source| Error::Read { path: path.to_owned(), source };
        if !path.is_dir() {
            if !path.exists() {
                return Err(Error::NoConfig(path.to_owned()));
            }
            let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).to_owned();
            return Ok(Self { folder, files: vec![path.to_owned()] });
        }
        let folder = path.to_owned();
        for name in ["syncline.yaml", "syncline.yml"] {
            let file = folder.join(name);
            if file.is_file() {
                return Ok(Self { files: vec![file], folder });
            }
        }
        let mut files = Vec::new();
        for entry in path.read_dir().map_err(trouble)? {
            let file = entry.map_err(trouble)?.path();
            let is_yaml = file.extension().is_some_and(|e| e == "yaml" || e == "yml");
            if is_yaml && file.is_file() {
                files.push(file);
            }
        }
        files.sort();
        if files.is_empty() { Err(Error::NoConfig(folder)) } else { Ok(Self { folder, files }) }
    }

    fn read(&self) -> Result<Vec<SourceFile>, Error> {
        let read = |file: &PathBuf| {
            let bytes =
                std::fs::read(file).map_err(|source| Error::Read { path: file.clone(), source })?;
            let name = file.strip_prefix("./").unwrap_or(file).display().to_string();
            let text = String::from_utf8(bytes).map_err(|error| {
                let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                    .split(|byte| *byte == b'\n')
                    .count();
                Error::usage(
                    format!("`{name}` is no UTF-8 text at line {line}"),
                    "save it as UTF-8",
                )
            })?;
            Ok(SourceFile { name, text })
        };
        self.files.iter().map(read).collect()
    }

    fn inspect(&self, options: &OpenOptions) -> Result<Inspection, Error> {
        let files = self.read()?;
        let resolve = |reference: Reference<'_>| self.resolve(reference, options);
        Ok(inspect(files, &resolve, ADAPTERS))
    }

    fn resolve(&self, reference: Reference<'_>, options: &OpenOptions) -> Result<String, String> {
        match reference {
            Reference::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => "it is not set".to_owned(),
                std::env::VarError::NotUnicode(_) => "it is no UTF-8 text".to_owned(),
            }),
            Reference::File(path) => {
                std::fs::read_to_string(self.folder.join(path)).map_err(|error| error.to_string())
            }
            Reference::Var(name) => {
                let value = options.variables.get(name).ok_or_else(String::new)?;
                Ok(from_here(value, &self.folder))
            }
        }
    }

    fn store_path(&self, config: &Config, options: &OpenOptions) -> PathBuf {
        match (&options.store, &config.store) {
            (Some(store), _) => store.clone(),
            (None, store) => {
                let store = store.as_deref().unwrap_or("syncline.db");
                // `./syncline.db` would be harder to read in messages.
                if self.folder == Path::new(".") { store.into() } else { self.folder.join(store) }
            }
        }
    }
}

/// Where the tokens of connections are kept: beside the store, in a folder that its owner alone can read.
pub(crate) fn tokens_folder(store: &Path) -> PathBuf {
    let mut folder = store.as_os_str().to_owned();
    folder.push(".tokens");
    folder.into()
}

/// A path that was completed in a shell starts from the current folder, not from the configuration's.
fn from_here(value: &str, folder: &Path) -> String {
    let path = Path::new(value);
    let names_a_file = path.extension().is_some() || path.components().count() > 1;
    if !names_a_file || path.is_absolute() || folder.join(path).exists() || !path.is_file() {
        return value.to_owned();
    }
    let absolute = std::path::absolute(path).ok();
    absolute.as_deref().and_then(Path::to_str).map_or_else(|| value.to_owned(), str::to_owned)
}

/// A configuration, read and compiled.
pub struct Workspace {
    /// Where it was read from.
    pub located: Located,
    /// How it was opened.
    pub options: OpenOptions,
    /// The database.
    pub store_path: PathBuf,
    pub(crate) loaded: Loaded,
    pub(crate) program: Program,
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").field("located", &self.located).finish_non_exhaustive()
    }
}

impl Workspace {
    /// Reads and compiles a configuration. `keep` is told its secrets before anything can go wrong.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with everything that is wrong, [`Error::Read`] for a file that cannot be read.
    pub fn load(
        located: Located,
        options: &OpenOptions,
        keep: impl FnOnce(&Secrets),
    ) -> Result<Self, Error> {
        Self::load_with(located, options, keep, |places, config| places.read(config))
    }

    /// As [`Workspace::load`], for training: what the files of its models hold does not matter, nor whether
    /// there are any.
    ///
    /// # Errors
    ///
    /// As [`Workspace::load`].
    pub fn load_untrained(
        located: Located,
        options: &OpenOptions,
        keep: impl FnOnce(&Secrets),
    ) -> Result<Self, Error> {
        Self::load_with(located, options, keep, |_, config| {
            crate::models::forget(config);
            Default::default()
        })
    }

    fn load_with(
        located: Located,
        options: &OpenOptions,
        keep: impl FnOnce(&Secrets),
        models: impl FnOnce(Places<'_>, &mut Config) -> (Diagnostics, Vec<Problem>),
    ) -> Result<Self, Error> {
        let Inspection { mut loaded, mut diagnostics } = located.inspect(options)?;
        keep(&loaded.secrets);
        let store_path = located.store_path(&loaded.config, options);
        let places = Places { folder: &located.folder, store: &store_path };
        let (broken, unreadable) = models(places, &mut loaded.config);
        diagnostics.merge(broken);
        diagnostics.merge(loaded.diagnose(unreadable));
        let compiled = Program::compile(&loaded.config);
        match compiled {
            Ok(program) if diagnostics.is_empty() => {
                Ok(Self { store_path, loaded, program, located, options: options.clone() })
            }
            Ok(_) => Err(Error::Config(diagnostics)),
            Err(problems) => {
                let found = loaded.diagnose(sure(problems, &loaded, diagnostics.is_empty()));
                let place = |d: &syncline_core::config::Diagnostic| (d.file.clone(), d.offset);
                let known: Vec<_> = diagnostics.0.iter().map(place).collect();
                let is_new = |d: &syncline_core::config::Diagnostic| !known.contains(&place(d));
                diagnostics.merge(Diagnostics(found.0.into_iter().filter(is_new).collect()));
                Err(Error::Config(diagnostics))
            }
        }
    }

    /// The store's path and the tenant that a configuration names, whatever else is wrong with it.
    ///
    /// # Errors
    ///
    /// When its files cannot be read, or the path of the store is among what is wrong.
    pub fn peek(
        located: Located,
        options: &OpenOptions,
        keep: impl FnOnce(&Secrets),
    ) -> Result<(PathBuf, String), Error> {
        let Inspection { loaded, diagnostics } = located.inspect(options)?;
        keep(&loaded.secrets);
        let is_whole = |key: &str| loaded.is_whole(&ConfigPath::root().key(key));
        if !is_whole("store") || !is_whole("tenant") {
            return Err(Error::Config(diagnostics));
        }
        let tenant = loaded.config.tenant.clone().unwrap_or_else(|| "default".to_owned());
        Ok((located.store_path(&loaded.config, options), tenant))
    }

    /// The plain data. It holds secrets: never print it.
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }
}

/// Those of the compiler's problems that are not just a consequence of what was left out of the configuration.
fn sure(problems: Vec<Problem>, loaded: &Loaded, is_whole: bool) -> Vec<Problem> {
    if is_whole {
        return problems;
    }
    let root = ConfigPath::root();
    let is_named = ["shard_types", "connections"].map(|key| loaded.is_whole(&root.key(key)));
    let names_are_whole = is_named == [true, true];
    let is_sure = |problem: &Problem| {
        let section = problem.path.0.first().map(|part| match part {
            syncline_core::problem::PathPart::Key(key) => key.as_str(),
            syncline_core::problem::PathPart::Index(_) => "",
        });
        loaded.is_whole(&problem.path)
            && match section {
                Some("shard_types") => true,
                Some("conversion_schemas" | "connections") => names_are_whole || !problem.refers,
                _ => false,
            }
    };
    problems.into_iter().filter(is_sure).collect()
}

/// The name of a file without its folder, for people.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_else(|| OsStr::new("?")).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_means_its_syncline_yaml_or_else_all_its_yaml_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(matches!(Located::find(folder.path()), Err(Error::NoConfig(_))));
        assert!(matches!(Located::find(&at("gone.yaml")), Err(Error::NoConfig(_))));
        for name in ["b.yaml", "a.yml", "c.txt"] {
            std::fs::write(at(name), "tenant: acme").unwrap();
        }
        let found = Located::find(folder.path()).unwrap();
        assert_eq!(found.files, [at("a.yml"), at("b.yaml")]);
        std::fs::write(at("syncline.yaml"), "").unwrap();
        assert_eq!(Located::find(folder.path()).unwrap().files, [at("syncline.yaml")]);
        let file = Located::find(&at("b.yaml")).unwrap();
        assert_eq!((file.folder.as_path(), file.files), (folder.path(), vec![at("b.yaml")]));
    }

    #[test]
    fn the_store_is_the_options_or_the_configurations_or_beside_it() {
        let located = Located { folder: "crm".into(), files: Vec::new() };
        let mut config = Config::default();
        let mut options = OpenOptions::default();
        assert_eq!(located.store_path(&config, &options), Path::new("crm/syncline.db"));
        config.store = Some("data/x.db".into());
        assert_eq!(located.store_path(&config, &options), Path::new("crm/data/x.db"));
        options.store = Some("y.db".into());
        assert_eq!(located.store_path(&config, &options), Path::new("y.db"));
    }
}
