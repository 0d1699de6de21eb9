//! What all streams of one connector share while it runs: configuration, clock, HTTP client, kept responses.

use super::expression::Options;
use super::interpolate::{Headers, Scope, text_of};
use super::limits::Gate;
use super::load::Manifest;
use super::reach::{Client, Reach};
use super::request::Parts;
use super::secrets::Secrets;
use super::trouble::Trouble;
use crate::kept::KeptFile;
use serde_json::error::Category;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as Turn, MutexGuard as MyTurn};
use xxhash_rust::xxh3::xxh3_64;

/// How much of kept responses is held, in bytes; what does not fit is asked for again.
const KEPT_BYTES_MAX: usize = 24 << 20;

/// How many requests whose responses are kept go at a time, at most.
const TURNS: usize = 16;

/// Where a connector gets its time from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A moment, in microseconds since 1970, at which time stands still: waiting takes none.
    Frozen(i64),
}

impl Clock {
    /// Microseconds since 1970.
    #[expect(
        clippy::disallowed_methods,
        reason = "templates ask for the time of the request they make"
    )]
    pub(super) fn now(self) -> i64 {
        match self {
            Self::System => jiff::Timestamp::now().as_microsecond(),
            Self::Frozen(now) => now,
        }
    }

    pub(super) async fn wait(self, seconds: f64) {
        if let Self::System = self {
            tokio::time::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))).await;
        }
    }
}

/// One run of a connector.
pub struct Session {
    pub(super) config: Json,
    pub(super) clock: Clock,
    pub(super) client: Client,
    /// The way to the system, through its limits.
    pub(super) gate: Gate,
    /// Where tokens are kept.
    pub(super) tokens: Option<KeptFile>,
    kept: Mutex<Kept>,
    /// Who asks for a response that is kept; who wants the same waits for the same turn.
    turns: [Turn<()>; TURNS],
    /// The configuration as refreshed tokens changed it.
    pub(super) saved_config: Mutex<Json>,
    /// Held while a refreshed token changes the configuration.
    pub(super) saving: Turn<()>,
    /// Changed configurations that nobody has taken yet.
    changed: Mutex<Vec<Json>>,
    /// The fields of streams that were chosen, by the name of the stream.
    selected: Mutex<HashMap<String, Map<String, Json>>>,
    secrets: Mutex<Secrets>,
}

#[derive(Default)]
struct Kept {
    responses: HashMap<String, Arc<Response>>,
    bytes: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A run of the connector that `manifest` describes, with the configuration that it was loaded for, within the
    /// limits that it declares.
    ///
    /// # Errors
    ///
    /// When there is no HTTP client to be had, for want of TLS.
    pub fn new(manifest: &Manifest, clock: Clock, reach: Reach) -> Result<Self, Trouble> {
        let client = Client::new(reach)
            .map_err(|error| Trouble::system(format!("there is no HTTP client: {error}")))?;
        let config = manifest.config().clone();
        let schema = manifest.spec().get("connectionSpecification").unwrap_or(&Json::Null);
        let secrets = Secrets::of(&config, schema);
        Ok(Self {
            saved_config: Mutex::new(config.clone()),
            config,
            clock,
            client,
            gate: Gate::alone(manifest.budget.clone()),
            tokens: None,
            kept: Mutex::default(),
            turns: Default::default(),
            saving: Turn::default(),
            changed: Mutex::default(),
            selected: Mutex::default(),
            secrets: Mutex::new(secrets),
        })
    }

    /// The same by another way.
    pub(super) fn through(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    /// The same, with tokens that outlast the process.
    pub(super) fn keeping(self, tokens: Option<KeptFile>) -> Self {
        Self { tokens, ..self }
    }

    /// The variables that every template sees.
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope::new(self.clock.now()).with("config", &self.config)
    }

    fn kept(&self, key: &str) -> Option<Arc<Response>> {
        lock(&self.kept).responses.get(key).cloned()
    }

    /// The response that is kept under `key`, or the turn to ask for it. Whoever else wants it waits meanwhile.
    pub(super) async fn kept_or_turn(&self, key: &str) -> Result<Arc<Response>, MyTurn<'_, ()>> {
        if let Some(kept) = self.kept(key) {
            return Ok(kept);
        }
        let turn = self.turns[xxh3_64(key.as_bytes()) as usize % TURNS].lock().await;
        self.kept(key).ok_or(turn)
    }

    pub(super) fn keep(&self, key: String, response: &Arc<Response>) {
        let mut kept = lock(&self.kept);
        let bytes = response.body.len() + key.len();
        if kept.bytes + bytes <= KEPT_BYTES_MAX {
            kept.bytes += bytes;
            kept.responses.insert(key, response.clone());
        }
    }

    /// Changes the saved configuration, and remembers that it changed.
    pub(super) fn save_config(&self, change: impl FnOnce(&mut Json)) {
        let mut config = lock(&self.saved_config);
        change(&mut config);
        lock(&self.changed).push(config.clone());
    }

    /// Brings the saved configuration up to date with what another process saved.
    pub(super) fn take_over_config(&self, change: impl FnOnce(&mut Json)) {
        change(&mut lock(&self.saved_config));
    }

    pub(super) fn with_saved_config<T>(&self, look: impl FnOnce(&Json) -> T) -> T {
        look(&lock(&self.saved_config))
    }

    /// Remembers a configuration that was brought into the form of today, for whoever keeps it.
    pub(super) fn note_config(&self, config: &Json) {
        lock(&self.changed).push(config.clone());
    }

    /// Of the stream `name`, only the fields of `schema` are needed.
    pub(super) fn select(&self, name: &str, schema: &Json) {
        let fields = schema.get("properties").and_then(Json::as_object).cloned();
        lock(&self.selected).insert(name.to_owned(), fields.unwrap_or_default());
    }

    /// The fields of the stream `name` that are needed, where that was said.
    pub(super) fn selected(&self, name: &str) -> Option<Map<String, Json>> {
        lock(&self.selected).get(name).cloned()
    }

    /// Remembers the credentials of a request, which no message may repeat.
    pub(super) fn learn_secrets(&self, parts: &Parts) {
        let mut secrets = lock(&self.secrets);
        let forms = match &parts.form {
            Options::Map(map) => Some(map),
            Options::Text(_) => None,
        };
        let maps = [Some(&parts.query), Some(&parts.headers), Some(&parts.json), forms];
        for value in maps.into_iter().flatten().flat_map(Map::values) {
            let text = text_of(value);
            secrets.learn(&text);
            // `Bearer` and the like say which kind of secret follows.
            if let Some((_, secret)) = text.split_once(' ') {
                secrets.learn(secret);
            }
        }
    }

    /// `text` without the secrets of this run.
    pub(super) fn hide(&self, text: &str) -> String {
        lock(&self.secrets).hide(text)
    }

    /// `trouble` without the secrets of this run.
    pub(super) fn hidden(&self, trouble: Trouble) -> Trouble {
        Trouble { message: self.hide(&trouble.message), ..trouble }
    }

    /// The configurations that came of refreshed tokens since this was last asked.
    pub(super) fn take_changed_configs(&self) -> Vec<Json> {
        std::mem::take(&mut lock(&self.changed))
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    json: OnceLock<Result<Json, Unread>>,
}

/// Why a body could not be read as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is something else.
    Other,
    /// It begins as JSON and breaks off.
    Short,
    /// It is nested too deeply.
    Deep,
}

impl Response {
    pub(super) fn new(status: u16, headers: Headers, body: Vec<u8>) -> Self {
        Self { status, headers, body, json: OnceLock::new() }
    }

    /// The body as JSON, where it is JSON.
    pub(super) fn json(&self) -> Option<&Json> {
        self.read_json().as_ref().ok()
    }

    /// The body as JSON, or why it is none.
    pub(super) fn read_json(&self) -> &Result<Json, Unread> {
        self.json.get_or_init(|| {
            serde_json::from_slice(&self.body).map_err(|error| {
                let is_begun = matches!(self.body.trim_ascii_start().first(), Some(b'{' | b'['));
                match error.classify() {
                    Category::Eof if is_begun => Unread::Short,
                    // There is no other way to tell.
                    _ if error.to_string().starts_with("recursion limit") => Unread::Deep,
                    _ => Unread::Other,
                }
            })
        })
    }

    /// The body as JSON, or an empty map.
    pub(super) fn json_or_empty(&self) -> &Json {
        static EMPTY: std::sync::LazyLock<Json> =
            std::sync::LazyLock::new(|| Json::Object(Map::new()));
        self.json().unwrap_or(&EMPTY)
    }

    pub(super) fn is_ok(&self) -> bool {
        self.status < 400
    }
}
