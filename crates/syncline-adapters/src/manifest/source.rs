//! Where a manifest comes from: a file of the user's, or a connector that is part of the program.

use super::trouble::Trouble;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use syncline_core::problem::nearest;

const MANIFEST: &str = "manifest.yaml";
/// The file beside a manifest that says how its streams are written.
const WRITE: &str = "write.yaml";

/// A connector that is part of the program.
pub(super) struct BuiltIn {
    pub(super) name: &'static str,
    manifest: &'static str,
    write: &'static str,
}

macro_rules! built_in {
    ($name:literal) => {
        BuiltIn {
            name: $name,
            manifest: include_str!(concat!("../../connectors/", $name, "/manifest.yaml")),
            write: include_str!(concat!("../../connectors/", $name, "/write.yaml")),
        }
    };
}

/// The folders of `connectors/`, by name.
pub(super) const BUILT_IN: &[BuiltIn] = &[
    built_in!("google"),
    built_in!("hubspot"),
    built_in!("kinto"),
    built_in!("notion"),
    built_in!("salesforce"),
];

/// The text of a manifest, and what stands beside it.
pub(super) struct Source {
    /// What it is called in messages.
    pub(super) file: PathBuf,
    pub(super) text: Cow<'static, str>,
    /// The `write` blocks in a file of their own: its name and its text.
    pub(super) write: Option<(PathBuf, Cow<'static, str>)>,
    /// Where schemas in files of their own stand; a built-in connector has none.
    pub(super) folder: Option<PathBuf>,
}

impl Source {
    /// The manifest that `named` names: a file in `base`, a folder with a `manifest.yaml` in it, or else, where it
    /// is a bare name, a connector that is built in.
    ///
    /// # Errors
    ///
    /// When there is neither, or a file cannot be read.
    pub(super) fn find(base: &Path, named: &Path) -> Result<Self, Trouble> {
        let path = base.join(named);
        match named.to_str().filter(|name| is_bare(name)) {
            Some(name) if !path.exists() => Self::built_in(name),
            _ => Self::read(&path),
        }
    }

    pub(super) fn built_in(name: &str) -> Result<Self, Trouble> {
        let known = || BUILT_IN.iter().map(|connector| connector.name);
        let Some(found) = BUILT_IN.iter().find(|connector| connector.name == name) else {
            let meant = nearest(name, known())
                .map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
            return Err(Trouble::config(format!(
                "`{name}` is neither a manifest in the folder of the configuration nor a built-in connector{meant}; \
                 built in: {}",
                known().collect::<Vec<_>>().join(", ")
            )));
        };
        let file = |own: &str| PathBuf::from(name).join(own);
        Ok(Self {
            file: file(MANIFEST),
            text: found.manifest.into(),
            write: Some((file(WRITE), found.write.into())),
            folder: None,
        })
    }

    pub(super) fn read(path: &Path) -> Result<Self, Trouble> {
        let file = if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() };
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Trouble::config(format!("cannot read the manifest {}: {error}", file.display()))
        })?;
        let beside = file.with_file_name(WRITE);
        let write = std::fs::read_to_string(&beside).ok();
        Ok(Self {
            folder: file.parent().map(Path::to_owned),
            file,
            text: text.into(),
            write: write.map(|text| (beside, text.into())),
        })
    }
}

/// Whether it is a name rather than a path.
fn is_bare(name: &str) -> bool {
    let is_file = Path::new(name).extension().is_some_and(|end| end == "yaml" || end == "yml");
    !is_file && !name.contains(['/', '\\']) && !matches!(name, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_built_in_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert!(BUILT_IN.is_sorted_by_key(|connector| connector.name));
        for connector in BUILT_IN {
            let loaded = Manifest::load(folder.path(), Path::new(connector.name), &json!({}));
            let loaded = loaded.unwrap_or_else(|trouble| panic!("{}: {trouble:?}", connector.name));
            for declared in &loaded.streams {
                let trouble = declared.stream.as_ref().err();
                assert!(trouble.is_none(), "{}, {}: {trouble:?}", connector.name, declared.name);
            }
            assert!(!loaded.writes.0.is_empty(), "{} writes nothing", connector.name);
        }
    }

    #[test]
    fn a_bare_name_is_a_built_in_connector_unless_the_project_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let found = |named: &str| match Source::find(folder.path(), Path::new(named)) {
            Ok(source) => source.text.lines().next().unwrap_or_default().to_owned(),
            Err(trouble) => trouble.message,
        };
        assert!(found("kinto").contains("Kinto collection"), "{}", found("kinto"));
        let missing = found("kinot");
        assert!(missing.contains("did you mean `kinto`?"), "{missing}");
        let far = found("nothing-like-it");
        assert!(far.contains("built in: google, ") && !far.contains("mean"), "{far}");
        for path in ["./kinto", "kinto.yaml", "connectors/kinto", ".."] {
            assert!(found(path).starts_with("cannot read the manifest"), "{}", found(path));
        }
        let own = folder.path().join("kinto");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join(MANIFEST), "# mine\n").unwrap();
        assert_eq!(found("kinto"), "# mine");
    }
}
