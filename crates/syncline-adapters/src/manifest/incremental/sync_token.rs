//! Streams whose API remembers by a token what it has told.

use super::super::expression::Expression;
use super::super::interpolate::StreamSlice;
use super::super::load::Node;
use super::super::request::{Parts, RequestOption};
use super::super::session::{Response, Session};
use super::super::trouble::Trouble;
use serde_json::{Map, Value as Json};

/// The name of the token in slices and states.
const NAME: &str = "sync_token";

/// Where a token comes from, and where it goes.
#[derive(Debug)]
pub(in super::super) struct SyncToken {
    token: Expression,
    option: RequestOption,
}

impl SyncToken {
    pub(in super::super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let option = node.needed_child("token_option")?;
        Ok(Self { token: node.needed("token")?, option: RequestOption::load(&option)? })
    }

    /// What the requests of `slice` carry.
    pub(in super::super) fn parts(
        &self,
        session: &Session,
        slice: &StreamSlice,
    ) -> Result<Parts, Trouble> {
        let mut parts = Parts::default();
        if let Some(token) = slice.cursor_slice().get(NAME) {
            self.option.put(session, &mut parts, token.clone())?;
        }
        Ok(parts)
    }

    /// The token that a response brings, whose body is `body`.
    pub(in super::super) fn of(
        &self,
        session: &Session,
        response: &Response,
        body: &Json,
    ) -> Result<Option<String>, Trouble> {
        let scope = session.scope().with("response", body).with_headers(&response.headers);
        let token = self.token.text(scope)?;
        Ok(Some(token).filter(|token| !token.is_empty() && token != "None"))
    }
}

/// How a slice that may carry a token was read to its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Told {
    /// The token for the next read, where the API gave one.
    pub(in super::super) token: Option<String>,
    /// Whether the API had forgotten the token, so that everything was read.
    pub(in super::super) forgot: bool,
}

/// Where a stream with tokens stands.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Standing {
    token: Option<String>,
    /// Whether its one slice was handed out.
    began: bool,
    /// Whether what is read is all that there is.
    pub(in super::super) lists_all: bool,
    /// Whether the API had forgotten the token.
    pub(in super::super) forgot: bool,
}

impl Standing {
    pub(in super::super) fn from_state(state: &Map<String, Json>) -> Self {
        let token = state.get(NAME).and_then(Json::as_str).map(str::to_owned);
        Self { lists_all: token.is_none(), token, began: false, forgot: false }
    }

    pub(in super::super) fn state(&self) -> Map<String, Json> {
        self.token.iter().map(|token| (NAME.to_owned(), token.as_str().into())).collect()
    }

    /// The one slice of the stream: what has changed since the token, or everything.
    pub(in super::super) fn slice(&mut self) -> Option<StreamSlice> {
        let slice = StreamSlice::new(Map::new(), self.state(), Map::new());
        (!std::mem::replace(&mut self.began, true)).then_some(slice)
    }

    /// Takes note of how the slice ended.
    pub(in super::super) fn close(&mut self, told: Told) {
        self.lists_all |= told.forgot;
        self.forgot |= told.forgot;
        self.token = told.token;
    }
}
