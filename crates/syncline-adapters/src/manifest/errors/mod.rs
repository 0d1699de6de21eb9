//! What a response means: success, failure, or another try.

mod backoff;

use super::expression::Expression;
use super::interpolate::text_of;
use super::load::Node;
use super::session::{Response, Session};
use super::trouble::{FailureKind, Trouble};
use backoff::Backoff;
use serde_json::{Map, Value as Json};
use std::fmt;
use std::sync::Arc;

const RETRIES: u32 = 5;
const RETRIES_MAX: u32 = 100;

/// What is done about a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Success,
    Fail,
    Retry,
    Ignore,
    ResetPagination,
    RateLimited,
    RefreshToken,
    /// The page is to be asked for again, shorter.
    ShortenPage,
    /// The window is to be asked for again, in halves.
    HalveWindow,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Response(Arc<Response>),
    /// Nothing, and why.
    Unreachable(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(response) => write!(f, "HTTP status {}", response.status),
            Self::Unreachable(problem) => f.write_str(problem),
        }
    }
}

/// What an outcome comes to.
#[derive(Clone, Debug)]
pub(super) struct Resolution {
    pub(super) action: Action,
    pub(super) kind: FailureKind,
    pub(super) message: Option<String>,
}

/// Handlers in order, of which the first that knows an answer decides.
#[derive(Debug)]
pub(super) struct ErrorHandler {
    handlers: Vec<Handler>,
}

#[derive(Debug)]
struct Handler {
    filters: Vec<Filter>,
    retries: Option<Expression>,
    backoffs: Vec<Backoff>,
}

#[derive(Debug)]
struct Filter {
    action: Option<Action>,
    kind: Option<FailureKind>,
    codes: Vec<u16>,
    contains: String,
    predicate: Option<Expression>,
    message: Option<Expression>,
}

impl ErrorHandler {
    /// The error handler of a requester.
    pub(super) fn load(requester: &Node<'_>) -> Result<Self, Trouble> {
        let mut handlers = Vec::new();
        if let Some(node) = requester.child("error_handler") {
            load_into(&node, &mut handlers)?;
        } else {
            handlers.push(Handler { filters: Vec::new(), retries: None, backoffs: Vec::new() });
        }
        Ok(Self { handlers })
    }

    /// Whether a response may come to `action`.
    pub(super) fn may(&self, action: Action) -> bool {
        let mut filters = self.handlers.iter().flat_map(|handler| &handler.filters);
        filters.any(|filter| filter.action == Some(action))
    }

    /// How often a request is tried again.
    pub(super) fn retries(&self, session: &Session) -> Result<u32, Trouble> {
        let Some(retries) = self.handlers.first().and_then(|handler| handler.retries.as_ref())
        else {
            return Ok(RETRIES);
        };
        let value = retries.eval(session.scope())?;
        let number = match &value {
            Json::Number(number) => number.as_u64(),
            Json::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
            Trouble::config(format!("`max_retries` is `{}`, which is no number", text_of(&value)))
        })?;
        Ok(number.min(RETRIES_MAX))
    }

    /// What `outcome` comes to.
    pub(super) fn resolve(
        &self,
        session: &Session,
        outcome: &Outcome,
    ) -> Result<Resolution, Trouble> {
        let mut last = None;
        for handler in &self.handlers {
            let resolution = handler.resolve(session, outcome)?;
            let decides = matches!(
                resolution.action,
                Action::Success
                    | Action::Retry
                    | Action::Ignore
                    | Action::ResetPagination
                    | Action::ShortenPage
                    | Action::HalveWindow
            );
            if decides {
                return Ok(resolution);
            }
            last = Some(resolution);
        }
        Ok(last.unwrap_or_else(|| default_resolution(outcome)))
    }

    /// What the manifest itself says of a response; `None` where it leaves it to what statuses usually mean.
    pub(super) fn declared(
        &self,
        session: &Session,
        response: &Response,
    ) -> Result<Option<Resolution>, Trouble> {
        for filter in self.handlers.iter().flat_map(|handler| &handler.filters) {
            if let Some(resolution) = filter.resolve(session, response)? {
                return Ok(Some(resolution));
            }
        }
        Ok(None)
    }

    /// How many seconds the manifest says to wait after the attempt number `attempt`, which failed.
    pub(super) fn wait(
        &self,
        session: &Session,
        outcome: &Outcome,
        attempt: u32,
    ) -> Result<Option<f64>, Trouble> {
        for backoff in self.handlers.iter().flat_map(|handler| &handler.backoffs) {
            let seconds = backoff.seconds(session, outcome, attempt)?;
            if seconds.is_some_and(|seconds| seconds != 0.0) {
                return Ok(seconds);
            }
        }
        Ok(None)
    }
}

fn load_into(node: &Node<'_>, handlers: &mut Vec<Handler>) -> Result<(), Trouble> {
    match node.kind() {
        "CompositeErrorHandler" => {
            for child in node.children("error_handlers") {
                load_into(&child, handlers)?;
            }
            Ok(())
        }
        "DefaultErrorHandler" => {
            let filters = node.children("response_filters");
            let backoffs = node.children("backoff_strategies");
            handlers.push(Handler {
                filters: filters.iter().map(Filter::load).collect::<Result<_, _>>()?,
                retries: node.expression("max_retries"),
                backoffs: backoffs.iter().map(Backoff::load).collect::<Result<_, _>>()?,
            });
            Ok(())
        }
        _ => Err(node.unsupported("error handler")),
    }
}

impl Handler {
    fn resolve(&self, session: &Session, outcome: &Outcome) -> Result<Resolution, Trouble> {
        if let Outcome::Response(response) = outcome {
            for filter in &self.filters {
                if let Some(resolution) = filter.resolve(session, response)? {
                    return Ok(resolution);
                }
            }
        }
        Ok(default_resolution(outcome))
    }
}

impl Filter {
    fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        if node.kind() != "HttpResponseFilter" {
            return Err(node.unsupported("response filter"));
        }
        let action = match node.text("action") {
            None => None,
            Some("SUCCESS") => Some(Action::Success),
            Some("FAIL") => Some(Action::Fail),
            Some("RETRY") => Some(Action::Retry),
            Some("IGNORE") => Some(Action::Ignore),
            Some("RESET_PAGINATION") => Some(Action::ResetPagination),
            Some("RATE_LIMITED") => Some(Action::RateLimited),
            Some("REFRESH_TOKEN_THEN_RETRY") => Some(Action::RefreshToken),
            Some("REDUCE_PAGE_SIZE") => Some(Action::ShortenPage),
            Some("SPLIT_REQUEST_WINDOW") => Some(Action::HalveWindow),
            Some(other) => {
                return Err(Trouble::config(format!(
                    "`{}` has the action `{other}`, which is not supported",
                    node.path
                )));
            }
        };
        let codes = match node.get("http_codes") {
            Some(Json::Array(codes)) => codes
                .iter()
                .filter_map(|code| match code {
                    Json::String(text) => text.parse().ok(),
                    other => other.as_u64().and_then(|code| u16::try_from(code).ok()),
                })
                .collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            action,
            kind: node.text("failure_type").and_then(FailureKind::named),
            codes,
            contains: node.text("error_message_contains").unwrap_or_default().to_owned(),
            predicate: node.expression("predicate"),
            message: node.expression("error_message"),
        })
    }

    fn resolve(
        &self,
        session: &Session,
        response: &Response,
    ) -> Result<Option<Resolution>, Trouble> {
        let Some(action) = self.action else { return Ok(None) };
        let scope = || {
            let scope = session.scope().with_headers(&response.headers);
            scope.with("response", response.json_or_empty())
        };
        let by_predicate = |predicate: &Expression| predicate.holds(scope());
        let matches = self.codes.contains(&response.status)
            || self.predicate.as_ref().map(by_predicate).transpose()?.unwrap_or(false)
            || (!self.contains.is_empty()
                && response
                    .json()
                    .and_then(error_text)
                    .is_some_and(|text| text.contains(&self.contains)));
        if !matches {
            return Ok(None);
        }
        let known = known_status(response.status);
        let mut message = None;
        if let Some(text) = &self.message {
            message = Some(text.text(scope())?).filter(|text| !text.is_empty());
        }
        let message =
            message.or_else(|| known.map(|known| status_message(response.status, known.2)));
        let kind = self.kind.filter(|_| action == Action::Fail);
        let kind = kind.or(known.map(|known| known.1)).unwrap_or(FailureKind::System);
        Ok(Some(Resolution { action, kind, message }))
    }
}

/// What each status means where the manifest does not say.
fn known_status(status: u16) -> Option<(Action, FailureKind, &'static str)> {
    Some(match status {
        400 => (Action::Fail, FailureKind::System, "bad request: check its parameters"),
        401 => (Action::Fail, FailureKind::Config, "unauthorized: check the credentials"),
        403 => (Action::Fail, FailureKind::Config, "forbidden: the credentials do not allow this"),
        404 => (Action::Fail, FailureKind::System, "not found"),
        405 => (Action::Fail, FailureKind::System, "method not allowed"),
        408 => (Action::Retry, FailureKind::Transient, "request timeout"),
        429 => (Action::RateLimited, FailureKind::Transient, "too many requests"),
        500 => (Action::Retry, FailureKind::Transient, "internal server error"),
        502 => (Action::Retry, FailureKind::Transient, "bad gateway"),
        503 => (Action::Retry, FailureKind::Transient, "service unavailable"),
        504 => (Action::Retry, FailureKind::Transient, "gateway timeout"),
        _ => return None,
    })
}

fn status_message(status: u16, meaning: &str) -> String {
    format!("HTTP status {status}, {meaning}")
}

fn default_resolution(outcome: &Outcome) -> Resolution {
    let response = match outcome {
        Outcome::Response(response) => response,
        Outcome::Unreachable(problem) => {
            let message = Some(problem.clone());
            return Resolution { action: Action::Retry, kind: FailureKind::Transient, message };
        }
    };
    if response.is_ok() {
        return Resolution { action: Action::Success, kind: FailureKind::System, message: None };
    }
    match known_status(response.status) {
        Some((action, kind, meaning)) => {
            Resolution { action, kind, message: Some(status_message(response.status, meaning)) }
        }
        None => Resolution {
            action: Action::Retry,
            kind: FailureKind::System,
            message: Some(status_message(response.status, "which is not expected")),
        },
    }
}

/// What a response says of its error, wherever APIs put it.
pub(super) fn error_text(json: &Json) -> Option<String> {
    fn find(value: &Json) -> Option<String> {
        match value {
            Json::String(text) => Some(text.clone()),
            Json::Array(items) => {
                let texts: Vec<String> = items.iter().filter_map(find).collect();
                Some(texts.join(", "))
            }
            Json::Object(entries) => of_map(entries),
            _ => None,
        }
    }
    fn of_map(entries: &Map<String, Json>) -> Option<String> {
        let names = [
            "message",
            "messages",
            "error",
            "errors",
            "failures",
            "failure",
            "detail",
            "err",
            "error_message",
            "msg",
            "reason",
            "status_message",
        ];
        names
            .iter()
            .find_map(|name| entries.get(*name).filter(|value| is_set(value)))
            .and_then(find)
    }
    fn is_set(value: &Json) -> bool {
        !matches!(value, Json::Null | Json::Bool(false))
            && value != ""
            && value != &Json::Array(vec![])
    }
    find(json)
}
