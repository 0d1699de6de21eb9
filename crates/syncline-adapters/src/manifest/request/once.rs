//! A request that changes something: sent once, whatever comes back.

use super::Requester;
use super::client::{body_and_headers, receive};
use super::options::{Parts, address};
use crate::manifest::errors::Outcome;
use crate::manifest::expression::Options;
use crate::manifest::interpolate::{Accept, StreamSlice, text_of};
use crate::manifest::limits::{self, Operation};
use crate::manifest::session::{Response, Session};
use crate::manifest::trouble::Trouble;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;

const UNAUTHORIZED: u16 = 401;

/// A request that is ready but for its credentials.
pub(in super::super) struct Outgoing {
    /// The address that the path belongs to, where it is not the stream's.
    pub(in super::super) base: Option<String>,
    pub(in super::super) operation: Operation,
    pub(in super::super) method: reqwest::Method,
    pub(in super::super) path: String,
    pub(in super::super) parts: Parts,
    pub(in super::super) timeout: Duration,
}

/// What became of it.
#[derive(Clone, Debug)]
pub(in super::super) enum Reply {
    Response(Arc<Response>),
    /// No reply came.
    Lost {
        problem: String,
        /// Whether any of it may have left.
        was_sent: bool,
    },
}

impl Requester {
    /// Sends the request once; a token that is refused is replaced and the request sent again, since nothing was
    /// executed.
    pub(in super::super) async fn once(
        &self,
        session: &Session,
        outgoing: Outgoing,
    ) -> Result<Reply, Trouble> {
        let Outgoing { base, operation, method, path, mut parts, timeout } = outgoing;
        let base = match base {
            Some(base) => base,
            None => self.base_address(session)?,
        };
        for (name, value) in self.own_headers(session)? {
            if !parts.headers.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
                parts.headers.insert(name, value);
            }
        }
        let mut is_second = false;
        loop {
            let mut parts = parts.clone();
            parts.merge(self.authenticator.parts(session).await?)?;
            let url = address(&base, path.trim_start_matches('/'), &parts.query)?;
            let (stream, headers) = (self.key.as_str(), &parts.headers);
            let call = limits::Call { operation, stream, method: &method, url: &url, headers };
            if let Err(trouble) = session.gate.pass(session.clock, call).await {
                return Ok(Reply::Lost { problem: trouble.message, was_sent: false });
            }
            let request = session.client.request(method.clone(), url).timeout(timeout);
            let sent = body_and_headers(request, &parts)?.send_once().await;
            let was_sent = sent.as_ref().err().is_none_or(|failed| failed.was_sent);
            let outcome = receive(sent).await?;
            session.gate.heard(session.clock, &outcome);
            match outcome {
                Outcome::Response(response) => {
                    if response.status == UNAUTHORIZED
                        && !is_second
                        && self.authenticator.can_refresh()
                    {
                        is_second = true;
                        self.authenticator.forget_token();
                        continue;
                    }
                    return Ok(Reply::Response(response));
                }
                Outcome::Unreachable(problem) => return Ok(Reply::Lost { problem, was_sent }),
            }
        }
    }

    fn base_address(&self, session: &Session) -> Result<String, Trouble> {
        let slice = StreamSlice::default();
        let base = self.base.as_ref().or(self.url.as_ref());
        let base = base.map(|base| base.text(session.scope().with_slice(&slice))).transpose()?;
        Ok(base.unwrap_or_default())
    }

    fn own_headers(&self, session: &Session) -> Result<Map<String, Json>, Trouble> {
        let (slice, token) = (StreamSlice::default(), Json::Null);
        let scope = || session.scope().with_slice(&slice).with("next_page_token", &token);
        Ok(match self.headers.eval(&scope, Accept::Any)? {
            Options::Map(map) => {
                map.into_iter().map(|(name, value)| (name, text_of(&value).into())).collect()
            }
            Options::Text(_) => Map::new(),
        })
    }
}
