//! Webhooks: systems say that records changed.
//!
//! A message is no more than word that some records are to be looked at. What it says of them is not believed, so that
//! late, doubled, reordered and forged messages come to no more than a look at what is there now.

mod signature;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use signature::{Refusal, Verifier};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use syncline_adapters::AdapterError;
use syncline_core::config::model::Connection;
use syncline_core::convert::Notices;
use syncline_core::value::Value;
use syncline_engine::{Clock, EngineError, World};
use syncline_store::Store;
use syncline_store::notice::Notice;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The longest message that is taken in, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// How long a message may take to arrive.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The webhooks of a configuration.
pub struct Hooks {
    connections: BTreeMap<String, Hook>,
    tasks: Vec<String>,
    store: Arc<dyn Store>,
    clock: Box<dyn Clock>,
    arrived: Notify,
    /// What a connection was last sent to be set up with.
    token: Mutex<Option<(String, String)>>,
}

/// The webhook of a connection.
struct Hook {
    verifier: Verifier,
    notices: Notices,
    /// By entity.
    tasks: BTreeMap<String, Vec<String>>,
}

/// Why messages cannot be taken in.
#[derive(Debug, Error)]
pub enum HookError {
    /// No connection says that its system sends any.
    #[error("no connection has a `webhook`")]
    None,
    /// A webhook cannot work.
    #[error("the webhook of `{connection}`: {problem}")]
    Unusable {
        /// Whose it is.
        connection: String,
        /// Why not.
        problem: String,
    },
    /// A connection cannot be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Hooks {
    /// Makes the webhooks of a configuration ready; `clock` tells how old messages are.
    ///
    /// # Errors
    ///
    /// When there are none, or one cannot work.
    pub async fn new(world: &World, clock: Box<dyn Clock>) -> Result<Self, HookError> {
        let mut connections = BTreeMap::new();
        for (name, connection) in &world.config.connections {
            if let Some(hook) = hook(world, name, connection).await? {
                connections.insert(name.clone(), hook);
            }
        }
        if connections.is_empty() {
            return Err(HookError::None);
        }
        let tasks = connections.values().flat_map(|hook| hook.tasks.values().flatten());
        let mut tasks: Vec<String> = tasks.cloned().collect();
        tasks.sort();
        tasks.dedup();
        let (store, arrived, token) = (world.store.clone(), Notify::new(), Mutex::default());
        Ok(Self { connections, tasks, store, clock, arrived, token })
    }

    /// The tasks that notices are for, in the order of their names.
    pub fn tasks(&self) -> &[String] {
        &self.tasks
    }

    /// Where each connection's messages go: `/hooks/CONNECTION`.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.connections.keys().map(|name| format!("/hooks/{name}"))
    }

    /// Waits until a message has come since the last time that this returned.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// The connection that was sent a token to be set up with, and that token: a person takes it to the system, and makes it a
    /// secret of the webhook. Anybody may have sent it. Each is told once.
    pub fn token(&self) -> Option<(String, String)> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes messages in until `cancel` is cancelled, and keeps what they say in the store.
    ///
    /// # Errors
    ///
    /// When nothing can be received any more.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        cancel: CancellationToken,
    ) -> io::Result<()> {
        let router = Router::new().route("/hooks/{connection}", post(receive)).with_state(self);
        axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned()).await
    }

    /// Takes a message in; returns how many records it is about.
    async fn take(&self, name: &str, headers: &HeaderMap, body: &[u8]) -> Result<usize, Refused> {
        let hook = self.connections.get(name).ok_or(Refused::Nobody)?;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let verified = hook.verifier.verify(&header, body, self.clock.now());
        if let Some(token) = verified.is_err().then(|| hook.verifier.token(body)).flatten() {
            let mut last = self.token.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((name.to_owned(), token));
            self.arrived.notify_one();
            return Ok(0);
        }
        verified?;
        let message: Value =
            serde_json::from_slice(body).map_err(|error| Refused::NoJson(error.to_string()))?;
        let mut wanted = Vec::new();
        for noticed in hook.notices.of(&message) {
            let tasks = hook.tasks.get(noticed.entity).into_iter().flatten();
            wanted.extend(tasks.map(|task| Notice {
                task: task.clone(),
                external_id: noticed.external_id.clone(),
            }));
        }
        let number = wanted.len();
        if number > 0 {
            self.store.note(wanted).await.map_err(|error| Refused::NotKept(error.to_string()))?;
            self.arrived.notify_one();
        }
        Ok(number)
    }
}

async fn hook(
    world: &World,
    name: &str,
    connection: &Connection,
) -> Result<Option<Hook>, HookError> {
    let Some(webhook) = &connection.webhook else { return Ok(None) };
    let unusable = |problem: String| HookError::Unusable { connection: name.to_owned(), problem };
    let notices = Notices::compile(name, connection, webhook).map_err(|problems| {
        let problems: Vec<String> = problems.into_iter().map(|one| one.message).collect();
        unusable(problems.join("; "))
    })?;
    let verifier = Verifier::new(webhook).map_err(unusable)?;
    let mut tasks = BTreeMap::new();
    for records in &webhook.records {
        let entity = &records.entity;
        if records.key.is_some() && !can_be_asked(world, connection, entity).await? {
            return Err(unusable(format!(
                "single records of `{entity}` cannot be read by their keys; leave `key` out, and its tasks read whatever \
                 is new"
            )));
        }
        let of = world.config.tasks_of(name, entity);
        let of: Vec<String> = of.map(str::to_owned).collect();
        if of.is_empty() {
            return Err(unusable(format!("no task reads its `{entity}`")));
        }
        tasks.insert(entity.clone(), of);
    }
    Ok(Some(Hook { verifier, notices, tasks }))
}

/// Whether records of an entity can be read by their keys; whether its system can be reached now does not matter.
async fn can_be_asked(
    world: &World,
    connection: &Connection,
    entity: &str,
) -> Result<bool, EngineError> {
    let adapter = (world.open_adapter)(connection, &world.base)?;
    let Some(writer) = adapter.writer() else { return Ok(false) };
    Ok(!matches!(writer.get(entity, Vec::new()).await, Err(AdapterError::Settings(_))))
}

/// Why a message was not taken in.
enum Refused {
    /// There is no such webhook.
    Nobody,
    /// It is not from the system, or not from now.
    Unsigned(Refusal),
    NoJson(String),
    TooLong,
    /// The store cannot be written.
    NotKept(String),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Unsigned(refusal)
    }
}

impl Refused {
    fn answer(self, connection: &str) -> (StatusCode, String) {
        let (status, problem) = match self {
            Self::Nobody => (StatusCode::NOT_FOUND, "there is no such webhook".to_owned()),
            Self::Unsigned(refusal) => (StatusCode::UNAUTHORIZED, refusal.to_string()),
            Self::NoJson(problem) => {
                (StatusCode::BAD_REQUEST, format!("the message is no JSON: {problem}"))
            }
            Self::TooLong => {
                let problem = format!(
                    "a message may have {MESSAGE_BYTES_MAX} bytes, and take {} seconds",
                    MESSAGE_TIMEOUT.as_secs()
                );
                (StatusCode::PAYLOAD_TOO_LARGE, problem)
            }
            Self::NotKept(problem) => {
                tracing::error!(connection, problem, "a message could not be kept");
                let problem = "the message could not be kept: send it again".to_owned();
                return (StatusCode::SERVICE_UNAVAILABLE, problem);
            }
        };
        tracing::warn!(connection, problem, "a message was refused");
        (status, problem)
    }
}

async fn receive(
    State(hooks): State<Arc<Hooks>>,
    Path(connection): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> (StatusCode, String) {
    let read = tokio::time::timeout(MESSAGE_TIMEOUT, to_bytes(body, MESSAGE_BYTES_MAX)).await;
    let taken = match read {
        Ok(Ok(body)) => hooks.take(&connection, &headers, &body).await,
        _ => Err(Refused::TooLong),
    };
    match taken {
        Ok(0) => (StatusCode::OK, "about nothing that is synced\n".to_owned()),
        Ok(number) => {
            tracing::debug!(connection, number, "a message came");
            (StatusCode::ACCEPTED, format!("to be looked at: {number}\n"))
        }
        Err(refused) => {
            let (status, problem) = refused.answer(&connection);
            (status, problem + "\n")
        }
    }
}
