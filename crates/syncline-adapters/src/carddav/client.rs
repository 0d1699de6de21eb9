//! Requests to a server, and how they can fail.

use super::multistatus::{self, Answer, Resource};
use super::settings::Place;
use crate::AdapterError;
use reqwest::header::{ETAG, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};

/// The longest answer that is read, in bytes. Lists of cards are the longest: some 200 bytes for each.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Speaks to one server as one user.
pub(super) struct Client {
    http: reqwest::Client,
    place: Place,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server says no, and would again.
    Refused {
        status: Option<StatusCode>,
        problem: String,
        /// The conditions that it names.
        answer: Answer,
    },
    /// The request surely did nothing; another one may help.
    NotSent { problem: String, retry_after_ms: Option<u64> },
    /// The connection broke off, or the server did: nobody knows what became of the request.
    Lost { problem: String },
    /// The answer is longer than was allowed.
    TooLong,
}

impl Fault {
    pub(super) fn refused(problem: impl Into<String>) -> Self {
        Self::Refused { status: None, problem: problem.into(), answer: Answer::default() }
    }

    /// The status that the server refused with.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => status.map(|status| status.as_u16()),
            _ => None,
        }
    }

    pub(super) fn problem(self) -> String {
        match self {
            Self::Refused { problem, .. }
            | Self::NotSent { problem, .. }
            | Self::Lost { problem } => problem,
            Self::TooLong => "the answer is too long".to_owned(),
        }
    }

    /// The error of a read of `what`.
    pub(super) fn into_adapter(self, what: &str) -> AdapterError {
        let what = what.to_owned();
        match self {
            Self::NotSent { problem, retry_after_ms } => {
                AdapterError::Unavailable { what, problem, retry_after_ms }
            }
            Self::Lost { problem } => {
                AdapterError::Unavailable { what, problem, retry_after_ms: None }
            }
            other => AdapterError::Refused { what, problem: other.problem() },
        }
    }
}

impl Client {
    pub(super) fn new(place: Place) -> Result<Self, AdapterError> {
        let http = crate::http::client()
            // Credentials go to the host that the configuration names, and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(place.timeout)
            .build()
            .map_err(|error| AdapterError::Settings(format!("there is no HTTP client: {error}")))?;
        Ok(Self { http, place })
    }

    pub(super) fn url(&self) -> &Url {
        &self.place.url
    }

    /// Sends a request, and reads the answer, whatever its status.
    pub(super) async fn send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
        bytes_max: usize,
    ) -> Result<Reply, Fault> {
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|_| Fault::refused("no such method"))?;
        let mut request = self.http.request(method, url.clone());
        request = request.basic_auth(&self.place.user, Some(&self.place.password));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(Fault::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, headers, body })
    }

    /// Asks for properties or a report; `each` is handed every resource in the answer. Follows the server to other
    /// addresses of the same host, and returns the last one.
    pub(super) async fn ask(
        &self,
        method: &str,
        url: &Url,
        depth: &str,
        body: String,
        bytes_max: usize,
        mut each: impl FnMut(Resource),
    ) -> Result<(Url, Answer), Fault> {
        const REDIRECTS_MAX: usize = 5;
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let headers = [("depth", depth), ("content-type", "application/xml; charset=utf-8")];
            let reply =
                self.send(method, &url, &headers, body.clone().into_bytes(), bytes_max).await?;
            if reply.status.is_redirection() {
                url = reply.target(&url)?;
                continue;
            }
            reply.expect_ok(method, &url)?;
            let answer = multistatus::read(&reply.body, &mut each);
            let answer = answer.map_err(|problem| Fault::refused(format!("`{url}`: {problem}")))?;
            return Ok((url, answer));
        }
        Err(Fault::refused(format!("`{url}` leads from one address to the next")))
    }
}

impl Reply {
    /// The version of the resource.
    pub(super) fn etag(&self) -> Option<&str> {
        self.headers.get(ETAG)?.to_str().ok().map(str::trim).filter(|etag| !etag.is_empty())
    }

    fn target(&self, from: &Url) -> Result<Url, Fault> {
        let target = self.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let target = target.and_then(|target| from.join(target).ok());
        let target = target.ok_or_else(|| Fault::refused(format!("`{from}` leads nowhere")))?;
        let is_upgrade = from.scheme() == "http" && target.scheme() == "https";
        let is_here = target.host_str() == from.host_str()
            && (target.origin() == from.origin() || is_upgrade);
        if is_here {
            Ok(target)
        } else {
            Err(Fault::refused(format!(
                "`{from}` leads to `{target}`; name that as `url` if the password may go there"
            )))
        }
    }

    /// Refuses everything but success.
    pub(super) fn expect_ok(&self, method: &str, url: &Url) -> Result<(), Fault> {
        if self.status.is_success() {
            return Ok(());
        }
        let status = self.status;
        let problem = format!("{method} `{}`: {status}", url.path());
        let retry_after_ms = self.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after_ms = retry_after_ms
            .and_then(|seconds| seconds.trim().parse::<u64>().ok())
            .map(|seconds| seconds.saturating_mul(1000));
        match status.as_u16() {
            401 => Err(Fault::Refused {
                status: Some(status),
                problem: self.unauthorized(),
                answer: Answer::default(),
            }),
            408 | 423 | 425 | 429 | 503 => Err(Fault::NotSent { problem, retry_after_ms }),
            500.. => Err(Fault::Lost { problem }),
            _ => {
                let answer = multistatus::read(&self.body, |_| {}).unwrap_or_default();
                let named: Vec<&str> = answer
                    .conditions
                    .iter()
                    .map(String::as_str)
                    .filter(|c| !c.is_empty())
                    .collect();
                let said = match named.as_slice() {
                    [] => self.said(),
                    named => named.join(", "),
                };
                let problem = if said.is_empty() { problem } else { format!("{problem} ({said})") };
                Err(Fault::Refused { status: Some(status), problem, answer })
            }
        }
    }

    fn unauthorized(&self) -> String {
        let offers = self.headers.get_all(WWW_AUTHENTICATE).iter();
        let mut offers = offers.filter_map(|offer| offer.to_str().ok()).peekable();
        let has_offers = offers.peek().is_some();
        let is_basic =
            |offer: &str| offer.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"));
        if has_offers && !offers.any(is_basic) {
            return "the server does not take a user and password by HTTP Basic; \
                    make it do so (over `https:`)"
                .to_owned();
        }
        "the server does not accept `user` and `password`".to_owned()
    }

    /// What the server says in words, where that is short.
    fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]);
        if text.contains('<') { String::new() } else { text.trim().to_owned() }
    }
}

fn broken(error: reqwest::Error) -> Fault {
    let is_unsent = error.is_connect() || error.is_builder();
    let error = error.without_url();
    let mut problem = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        problem = format!("{problem}: {error}");
        cause = error.source();
    }
    if is_unsent {
        Fault::NotSent { problem, retry_after_ms: None }
    } else {
        Fault::Lost { problem }
    }
}
