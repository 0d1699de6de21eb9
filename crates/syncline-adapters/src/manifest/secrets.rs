//! What must not be said: the secrets of a connector, and how they are taken out of messages.

use super::interpolate::digest::percent_encode;
use super::interpolate::text_of;
use serde_json::Value as Json;

const HIDDEN: &str = "****";
/// Shorter texts are in every other message, and no secrets.
const LEN_MIN: usize = 4;
const KNOWN_MAX: usize = 1_000;
/// Parts of names that secrets go by, where a specification does not mark them.
const NAMES: &[&str] =
    &["secret", "password", "passwd", "token", "api_key", "apikey", "private_key", "credential"];

/// The secrets of one run.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    known: Vec<String>,
}

impl Secrets {
    /// The secrets in `config`: what its specification marks, and what is named like one.
    pub(super) fn of(config: &Json, spec: &Json) -> Self {
        let mut secrets = Self::default();
        secrets.collect(config, Some(spec), false);
        secrets
    }

    fn collect(&mut self, value: &Json, spec: Option<&Json>, is_secret: bool) {
        let marked = spec.is_some_and(|spec| spec.get("airbyte_secret") == Some(&Json::Bool(true)));
        let is_secret = is_secret || marked;
        match value {
            Json::Object(entries) => {
                for (name, value) in entries {
                    let lower = name.to_lowercase();
                    let named = NAMES.iter().any(|part| lower.contains(part));
                    let spec = spec.and_then(|spec| field(spec, name));
                    self.collect(value, spec, is_secret || named);
                }
            }
            Json::Array(items) => {
                let spec = spec.and_then(|spec| spec.get("items"));
                items.iter().for_each(|item| self.collect(item, spec, is_secret));
            }
            Json::String(_) | Json::Number(_) if is_secret => self.learn(&text_of(value)),
            _ => {}
        }
    }

    /// Remembers a secret, and the forms in which it could be met.
    pub(super) fn learn(&mut self, secret: &str) {
        if secret.len() < LEN_MIN || self.known.iter().any(|known| known == secret) {
            return;
        }
        if self.known.len() >= KNOWN_MAX {
            self.known.remove(0);
        }
        let encoded = [percent_encode(secret, "_.-~", true), percent_encode(secret, "_.-~", false)];
        let quoted = Json::from(secret).to_string();
        self.known.push(secret.to_owned());
        for form in encoded.iter().map(String::as_str).chain([quoted.trim_matches('"')]) {
            if form != secret && !self.known.iter().any(|known| known == form) {
                self.known.push(form.to_owned());
            }
        }
        // A secret that is a part of another one must not leave the rest of it standing.
        self.known.sort_by_key(|known| std::cmp::Reverse(known.len()));
    }

    /// `text` without the secrets.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.known {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }
}

/// The specification of the field `name`, in whichever branch it stands.
fn field<'a>(spec: &'a Json, name: &str) -> Option<&'a Json> {
    if let Some(found) = spec.get("properties").and_then(|properties| properties.get(name)) {
        return Some(found);
    }
    let branches = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|word| spec.get(word));
    let mut branches = branches.filter_map(Json::as_array).flatten();
    branches.find_map(|branch| field(branch, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_in_every_form() {
        let spec = json!({"properties": {
            "key": {"airbyte_secret": true},
            "auth": {"oneOf": [{"properties": {"pin": {"airbyte_secret": true}}}]},
        }});
        let config = json!({
            "key": "a b/c\"d", "auth": {"pin": 123_456}, "client_secret": "hunter2", "name": "shop",
        });
        let secrets = Secrets::of(&config, &spec);
        let said = "shop a b/c\"d a%20b%2Fc%22d a+b%2Fc%22d {\"k\":\"a b/c\\\"d\"} 123456 hunter2";
        assert_eq!(secrets.hide(said), "shop **** **** **** {\"k\":\"****\"} **** ****");
    }
}
