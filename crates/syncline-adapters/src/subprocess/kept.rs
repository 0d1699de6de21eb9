//! A configuration that its program changes, such as one with a refresh token that can be used once: what it changed is
//! kept for its later starts.

use super::SubprocessAdapter;
use crate::AdapterError;
use crate::manifest::sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Under what it is kept of the connection.
const KEY: &str = "config";

/// A setting that the program changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    path: Vec<String>,
    /// The digest of what the user gave, so that what the user gives anew holds.
    from: String,
    to: Json,
}

impl SubprocessAdapter {
    /// The configuration that the program is started with: as given, with what the program changed of it.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] where what was kept cannot be read.
    pub(super) fn config(&self) -> Result<Json, AdapterError> {
        let mut config = self.settings.config.clone();
        let kept = self.kept.as_ref().map(|file| file.get::<Vec<Change>>(KEY)).transpose();
        for change in kept.map_err(AdapterError::Settings)?.flatten().unwrap_or_default() {
            change.make(&mut config);
        }
        self.settings.learn(&config);
        Ok(config)
    }

    /// Keeps what the program made of its configuration.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] where it cannot be kept.
    pub(super) async fn keep(&self, config: &Json) -> Result<(), AdapterError> {
        self.settings.learn(config);
        let Some(file) = &self.kept else { return Ok(()) };
        let mut changes = Vec::new();
        find(&self.settings.config, config, &mut Vec::new(), &mut changes);
        let _held = file.lock().await.map_err(AdapterError::Settings)?;
        file.set(KEY, &changes).map_err(AdapterError::Settings)
    }
}

impl Change {
    /// Makes the change in what the user gives, where that is still what it was made in.
    fn make(self, config: &mut Json) {
        let Some((last, path)) = self.path.split_last() else { return };
        let mut place = config;
        for step in path {
            let Some(next) = place.get_mut(step) else { return };
            place = next;
        }
        if let Json::Object(settings) = place
            && digest(settings.get(last)) == self.from
        {
            settings.insert(last.clone(), self.to);
        }
    }
}

/// A setting that is not there counts as null.
fn digest(value: Option<&Json>) -> String {
    sha256(&value.unwrap_or(&Json::Null).to_string())
}

/// Finds the settings of `new` that are others in `old`. One that is gone is no change.
fn find(old: &Json, new: &Json, path: &mut Vec<String>, changes: &mut Vec<Change>) {
    let (Json::Object(old), Json::Object(new)) = (old, new) else { return };
    for (name, new) in new {
        path.push(name.clone());
        match (old.get(name), new) {
            (Some(old @ Json::Object(_)), Json::Object(_)) => find(old, new, path, changes),
            (Some(old), new) if old == new => {}
            (old, _) => {
                changes.push(Change { path: path.clone(), from: digest(old), to: new.clone() });
            }
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_program_changed_holds_until_the_user_gives_something_else() {
        let given = json!({"login": {"token": "a", "id": 1}, "since": "2026", "old": true});
        let made = json!({"login": {"token": "b", "id": 1, "until": 5}, "since": "2026"});
        let mut changes = Vec::new();
        find(&given, &made, &mut Vec::new(), &mut changes);
        let after = |given: &Json| {
            let mut config = given.clone();
            changes.iter().cloned().for_each(|change| change.make(&mut config));
            config
        };
        let login = json!({"token": "b", "id": 1, "until": 5});
        assert_eq!(after(&given), json!({"login": login, "since": "2026", "old": true}));
        let other = json!({"login": {"token": "a", "id": 1}, "since": "2027"});
        assert_eq!(after(&other), json!({"login": login, "since": "2027"}));
        let anew = json!({"login": {"token": "c", "id": 1}});
        assert_eq!(after(&anew), json!({"login": {"token": "c", "id": 1, "until": 5}}));
        assert_eq!(after(&json!({"since": "2026"})), json!({"since": "2026"}));
    }
}
