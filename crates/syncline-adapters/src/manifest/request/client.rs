//! Sends a request, again where the error handler says so, and reads the response within bounds.

use super::super::auth::Authenticator;
use super::super::decode::unpacked;
use super::super::errors::{Action, ErrorHandler, Outcome, Resolution};
use super::super::expression::Options;
use super::super::interpolate::{Headers, text_of};
use super::super::limits::{self, Operation};
use super::super::reach::{Failed, Request};
use super::super::session::{Response, Session};
use super::super::trouble::{FailureKind, Trouble};
use super::options::{Parts, address, encode_pairs};
use super::{Sent, TooMuch};
use reqwest::Url;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The largest response that is read, in bytes as they come.
const BODY_MAX: usize = 64 << 20;
/// The most room that is made for a body before it comes.
const RESERVED_MAX: u64 = 1 << 20;
/// The status of a response that never came and is ignored.
const UNREACHABLE: u16 = 599;
/// The longest that a response may take from its first byte to its last.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(1_800);
/// The most seconds that are spent on waits that nobody asked for before a request is given up.
const WAIT_MAX: f64 = 600.0;

/// A request that is ready but for its credentials.
pub(super) struct Call {
    pub(super) method: reqwest::Method,
    pub(super) base: String,
    pub(super) path: String,
    pub(super) parts: Parts,
    /// Whose call it is, where several wait for their turn.
    pub(super) key: String,
}

/// How often a request has failed, by how its wait was found.
#[derive(Default)]
struct Tries {
    asked: u32,
    limited: u32,
    plain: u32,
}

impl Tries {
    /// Counts one more, and gives the seconds to wait and the number of tries of this kind: what the manifest
    /// asks for and one more, else a wait that doubles.
    fn next(&mut self, asked: Option<f64>, endless: bool) -> (f64, u32) {
        let doubled = |count: u32| 2_f64.powi(count.min(30) as i32 - 1);
        match (asked, endless) {
            (Some(seconds), _) => {
                self.asked += 1;
                (seconds + 1.0, self.asked)
            }
            (None, true) => {
                self.limited += 1;
                self.asked = 0;
                (doubled(self.limited), self.limited)
            }
            (None, false) => {
                self.plain += 1;
                (self.asked, self.limited) = (0, 0);
                (doubled(self.plain), self.plain)
            }
        }
    }
}

/// What an outcome says of itself.
fn said(outcome: &Outcome, resolution: Resolution) -> String {
    resolution.message.unwrap_or_else(|| outcome.to_string())
}

fn exhausted(url: &Url, count: u32, outcome: &Outcome, resolution: Resolution) -> Trouble {
    let limited = matches!(outcome, Outcome::Response(response) if response.status == 429);
    let kind = if limited { FailureKind::Transient } else { resolution.kind };
    let last = said(outcome, resolution);
    Trouble {
        kind,
        message: format!(
            "the request to {} failed {count} times, the last time with: {last}",
            without_query(url)
        ),
    }
}

/// The response that a stream goes on with, which is kept where that is asked for.
fn answered(session: &Session, outcome: Outcome, kept_as: Option<String>) -> Arc<Response> {
    match outcome {
        Outcome::Response(response) => {
            if let Some(key) = kept_as.filter(|_| response.status == 200) {
                session.keep(key, &response);
            }
            response
        }
        Outcome::Unreachable(_) => {
            Arc::new(Response::new(UNREACHABLE, Headers::default(), Vec::new()))
        }
    }
}

impl Call {
    pub(super) async fn send(
        self,
        session: &Session,
        authenticator: &Authenticator,
        errors: &ErrorHandler,
        kept: bool,
    ) -> Result<Sent, Trouble> {
        let tries_max = errors.retries(session)? + 1;
        let (mut tries, mut attempts, mut waited) = (Tries::default(), 0, 0.0);
        loop {
            let mut parts = self.parts.clone();
            let credentials = authenticator.parts(session).await?;
            session.learn_secrets(&credentials);
            parts.merge(credentials)?;
            let url = address(&self.base, &self.path, &parts.query)?;
            let kept_as = (kept && self.method == reqwest::Method::GET)
                .then(|| format!("{url}\n{:?}\n{:?}", self.parts.headers, self.parts.json));
            // Credentials may cost requests of their own, so it is not held while they are got.
            let _turn = match &kept_as {
                None => None,
                Some(key) => match session.kept_or_turn(key).await {
                    Ok(response) => return Ok(Sent::Response(response)),
                    Err(turn) => Some(turn),
                },
            };
            attempts += 1;
            let (method, stream) = (&self.method, self.key.as_str());
            let headers = &parts.headers;
            let wanted =
                limits::Call { operation: Operation::Fetch, stream, method, url: &url, headers };
            session.gate.pass(session.clock, wanted).await?;
            let outcome = self.fetch(session, &url, &parts).await?;
            session.gate.heard(session.clock, &outcome);
            let resolution = errors.resolve(session, &outcome)?;
            match resolution.action {
                Action::Success | Action::Ignore => {
                    return Ok(Sent::Response(answered(session, outcome, kept_as)));
                }
                Action::ResetPagination => return Ok(Sent::ResetPagination),
                Action::ShortenPage => {
                    return Ok(Sent::TooMuch(TooMuch::Page, said(&outcome, resolution)));
                }
                Action::HalveWindow => {
                    return Ok(Sent::TooMuch(TooMuch::Window, said(&outcome, resolution)));
                }
                Action::Fail => {
                    return Err(Trouble {
                        kind: resolution.kind,
                        message: resolution.message.unwrap_or_else(|| {
                            format!("the request to {} failed: {outcome}", without_query(&url))
                        }),
                    });
                }
                Action::RefreshToken => authenticator.forget_token(),
                Action::Retry | Action::RateLimited => {}
            }
            let asked = errors.wait(session, &outcome, attempts)?;
            let endless = resolution.action == Action::RateLimited;
            let (seconds, count) = tries.next(asked, endless);
            if asked.is_none() && !endless {
                waited += seconds;
            }
            if count >= tries_max || waited > WAIT_MAX {
                return Err(exhausted(&url, count, &outcome, resolution));
            }
            session.clock.wait(seconds).await;
        }
    }

    async fn fetch(&self, session: &Session, url: &Url, parts: &Parts) -> Result<Outcome, Trouble> {
        let request = session.client.request(self.method.clone(), url.clone());
        receive(body_and_headers(request, parts)?.send().await).await
    }
}

/// `request` with what `parts` say beside its address.
pub(super) fn body_and_headers(mut request: Request, parts: &Parts) -> Result<Request, Trouble> {
    let mut headers = HeaderMap::new();
    for (name, value) in &parts.headers {
        let bad = || Trouble::system(format!("the header `{name}` cannot be sent"));
        let value = HeaderValue::from_str(&text_of(value)).map_err(|_| bad())?;
        headers.insert(HeaderName::try_from(name.as_str()).map_err(|_| bad())?, value);
    }
    if !headers.contains_key(ACCEPT_ENCODING) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let has_form = match &parts.form {
        Options::Map(map) => !map.is_empty(),
        Options::Text(text) => !text.is_empty(),
    };
    if !parts.json.is_empty() {
        if has_form {
            return Err(Trouble::system("the request would have a JSON body and another one"));
        }
        if !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request = request.body(serde_json::to_vec(&parts.json).unwrap_or_default());
    } else if has_form {
        match &parts.form {
            Options::Text(text) => request = request.body(text.clone()),
            Options::Map(map) => {
                if !headers.contains_key(CONTENT_TYPE) {
                    let form = "application/x-www-form-urlencoded";
                    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
                }
                request = request.body(encode_pairs(map));
            }
        }
    }
    Ok(request.headers(headers))
}

/// A form that is posted.
pub(in super::super) struct Form {
    pub(in super::super) endpoint: String,
    pub(in super::super) headers: Map<String, Json>,
    pub(in super::super) arguments: Map<String, Json>,
    /// Whether the arguments go into the query instead of the body.
    pub(in super::super) in_query: bool,
}

impl Form {
    /// Posts it once.
    pub(in super::super) async fn send(
        &self,
        session: &Session,
    ) -> Result<reqwest::Response, Failed> {
        let pairs = encode_pairs(&self.arguments);
        let mut request = if self.in_query {
            let separator = if self.endpoint.contains('?') { '&' } else { '?' };
            session.client.post(&format!("{}{separator}{pairs}", self.endpoint))
        } else {
            let form = "application/x-www-form-urlencoded";
            let has_type =
                self.headers.keys().any(|name| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()));
            let request = session.client.post(&self.endpoint).body(pairs);
            if has_type { request } else { request.header(CONTENT_TYPE, form) }
        };
        for (name, value) in &self.headers {
            request = request.header(name, &text_of(value));
        }
        request.send().await
    }
}

/// Reads a response to its end.
pub(in super::super) async fn receive(
    response: Result<reqwest::Response, Failed>,
) -> Result<Outcome, Trouble> {
    let mut response = match response {
        Ok(response) => response,
        Err(failed) if failed.is_refused => return Err(Trouble::config(failed.to_string())),
        Err(failed) => return Ok(Outcome::Unreachable(failed.to_string())),
    };
    let began = Instant::now();
    let status = response.status().as_u16();
    let mut headers = Map::new();
    for (name, value) in response.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.get_mut(name.as_str()) {
            Some(Json::String(known)) => {
                known.push_str(", ");
                known.push_str(&value);
            }
            _ => {
                headers.insert(name.to_string(), Json::from(value));
            }
        }
    }
    // What a response says of its own length is not believed beyond this.
    let len = response.content_length().unwrap_or(0).min(RESERVED_MAX);
    let mut body = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                if body.len() + chunk.len() > BODY_MAX {
                    return Err(Trouble::system(format!(
                        "a response is larger than {} MiB: ask for smaller pages",
                        BODY_MAX >> 20
                    )));
                }
                if began.elapsed() > RESPONSE_TIME_MAX {
                    return Ok(Outcome::Unreachable("the response took too long".to_owned()));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(None) => {
                let encoding = headers.get("content-encoding").and_then(Json::as_str);
                if encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("gzip")) {
                    body = unpacked(&body)?;
                }
                let response = Response::new(status, Headers::new(headers), body);
                return Ok(Outcome::Response(Arc::new(response)));
            }
            Err(error) => return Ok(Outcome::Unreachable(Failed::of(error).to_string())),
        }
    }
}

/// The address without its query, which may hold credentials.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}
