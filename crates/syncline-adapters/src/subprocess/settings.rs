//! What the configuration says of a program, checked.

use super::Dialect;
use crate::AdapterError;
use serde_json::Value as Json;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use syncline_core::config::Secrets;
use syncline_core::config::model::ProgramSettings;

const START_S: u32 = 120;
const SILENCE_S: u32 = 900;
const WHOLE_S: u32 = 86_400;
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Parts of the names of settings that hold credentials.
const CREDENTIALS: &[&str] = &[
    "token",
    "secret",
    "pass",
    "pwd",
    "key",
    "auth",
    "credential",
    "private",
    "cookie",
    "session",
    "signature",
    "connection_string",
    "dsn",
];

/// A shorter text is a credential only where its name says so.
const TOKEN_CHARS_MIN: usize = 16;

/// How a program is started, and what is expected of it.
pub(super) struct Settings {
    pub(super) dialect: Dialect,
    /// The program, a path or a name for the search path.
    pub(super) program: PathBuf,
    /// What the user has the program start with.
    pub(super) arguments: Vec<OsString>,
    /// What every command that takes a configuration ends with.
    pub(super) last_arguments: Vec<OsString>,
    pub(super) env: Vec<(String, String)>,
    /// The folder that it runs in: that of the configuration.
    pub(super) base: PathBuf,
    pub(super) config: Json,
    pub(super) catalog: Option<PathBuf>,
    /// Whether the catalog comes with `--properties`.
    pub(super) takes_properties: bool,
    pub(super) start: Duration,
    pub(super) silence: Duration,
    pub(super) whole: Duration,
    pub(super) line_bytes_max: usize,
    /// What must not be shown of what the program says.
    secrets: Mutex<Secrets>,
}

impl Settings {
    /// Checks what a connection in the folder `base` says.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] where no program is named, or a setting does not fit the protocol.
    pub(super) fn new(
        own: &ProgramSettings,
        base: &Path,
        dialect: Dialect,
    ) -> Result<Self, AdapterError> {
        let Some((program, arguments)) = own.command.as_slice().split_first() else {
            return Err(AdapterError::Settings("the connection names no `command`".to_owned()));
        };
        if own.takes_properties && dialect == Dialect::Airbyte {
            let problem = "`takes_properties` is a setting of `adapter: singer` alone";
            return Err(AdapterError::Settings(problem.to_owned()));
        }
        let config = serde_json::to_value(&own.config).unwrap_or_default();
        let mut secrets = Secrets::default();
        collect_secrets(&config, false, &mut secrets);
        for value in own.env.values() {
            add_secret(value, &mut secrets);
        }
        let seconds = |given: Option<u32>, otherwise: u32| {
            Duration::from_secs(u64::from(given.unwrap_or(otherwise)))
        };
        let is_path = program.contains(['/', '\\']);
        Ok(Self {
            dialect,
            program: if is_path { base.join(program) } else { PathBuf::from(program) },
            arguments: arguments.iter().map(OsString::from).collect(),
            last_arguments: Vec::new(),
            env: own.env.clone().into_iter().collect(),
            base: if base.as_os_str().is_empty() { PathBuf::from(".") } else { base.to_owned() },
            config,
            catalog: own.catalog.as_ref().map(|path| base.join(path)),
            takes_properties: own.takes_properties,
            start: seconds(own.start_timeout_s, START_S),
            silence: seconds(own.silence_timeout_s, SILENCE_S),
            whole: seconds(own.timeout_s, WHOLE_S),
            line_bytes_max: usize::try_from(own.line_bytes_max.unwrap_or(LINE_BYTES_MAX))
                .unwrap_or(usize::MAX),
            secrets: Mutex::new(secrets),
        })
    }

    /// Takes the credentials of a configuration out of whatever is shown from now on.
    pub(super) fn learn(&self, config: &Json) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        collect_secrets(config, false, &mut secrets);
    }

    /// `text` without credentials.
    pub(super) fn scrub(&self, text: &str) -> String {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.scrub(text).into_owned()
    }

    /// The program as people call it.
    pub(super) fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// Whether a setting of this name holds a credential.
pub(super) fn names_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.iter().any(|part| name.contains(part))
}

fn collect_secrets(value: &Json, named: bool, secrets: &mut Secrets) {
    match value {
        Json::String(text) if named || looks_like_token(text) => add_secret(text, secrets),
        Json::Number(number) if named => add_secret(&number.to_string(), secrets),
        Json::Array(items) => items.iter().for_each(|item| collect_secrets(item, named, secrets)),
        Json::Object(entries) => {
            for (name, value) in entries {
                collect_secrets(value, named || names_credential(name), secrets);
            }
        }
        _ => {}
    }
}

/// Adds a secret as it stands, as it stands in JSON, and line by line: programs show any of these.
fn add_secret(text: &str, secrets: &mut Secrets) {
    let quoted = Json::from(text).to_string();
    for form in text.lines().map(str::trim).chain([text, quoted.trim_matches('"')]) {
        secrets.add(form);
    }
    let user = text.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    if let Some((_, password)) = user.and_then(|(user, _)| user.split_once(':')) {
        secrets.add(password);
    }
}

/// Letters and digits in one long word that is no path and no address.
fn looks_like_token(text: &str) -> bool {
    let has = |test: fn(&char) -> bool| text.chars().any(|c| test(&c));
    let is_address = text.starts_with(['/', '.']) || text.contains("://") && !text.contains('@');
    text.len() >= TOKEN_CHARS_MIN
        && !is_address
        && has(char::is_ascii_digit)
        && has(char::is_ascii_alphabetic)
        && !has(|c| c.is_whitespace())
        && text.parse::<jiff::Timestamp>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_may_be_a_credential_is_not_shown() {
        let config = json!({
            "api_token": "tiny", "path": "/data/2026/people.jsonl", "start": "2026-01-01T00:00:00Z",
            "stream_name": "people", "url": "https://api.example.org/v1/2026",
            "credentials": {"user": "service", "pin": 123_456},
            "dbapi": "postgres://it:pa55word@db.example.org/x", "client": "a81bc81bdead4e5dabff",
            "private": "-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----"
        });
        let mut secrets = Secrets::default();
        collect_secrets(&config, false, &mut secrets);
        for hidden in
            ["tiny", "service", "123456", "pa55word", "a81bc81bdead4e5dabff", "MIIEvQIBADAN"]
        {
            let said = format!("wrong: postgres://it:pa55word@db.example.org/x or {hidden}!");
            assert!(!secrets.scrub(&said).contains(hidden), "{hidden}");
        }
        for shown in [
            "/data/2026/people.jsonl",
            "2026-01-01T00:00:00Z",
            "people",
            "https://api.example.org/v1/2026",
        ] {
            assert_eq!(secrets.scrub(shown), shown);
        }
    }
}
