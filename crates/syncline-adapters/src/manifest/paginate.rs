//! How a stream's pages follow each other.

use super::decode::Decoder;
use super::expression::Expression;
use super::interpolate::text_of;
use super::load::{Node, is_truthy};
use super::request::{Parts, RequestOption};
use super::session::{Response, Session};
use super::trouble::Trouble;
use serde_json::{Map, Value as Json};

/// Finds the token of the next page, and where requests carry it.
#[derive(Debug)]
pub(super) struct Paginator {
    strategy: Strategy,
    size_option: Option<RequestOption>,
    token: TokenPlace,
    decoder: Decoder,
}

#[derive(Debug)]
enum TokenPlace {
    Nowhere,
    Option(RequestOption),
    /// The token is the address of the next page.
    Path,
}

#[derive(Debug)]
enum Strategy {
    Page { start: i64, size: Option<Expression>, first: bool },
    Offset { size: Option<Expression>, first: bool },
    Cursor { value: Expression, stop: Option<Expression>, size: Option<Expression> },
}

/// What the last page was like.
pub(super) struct LastPage<'a> {
    pub(super) response: &'a Response,
    /// What its body says beside the records, where the paginator looks at nothing else.
    pub(super) rest: Option<&'a Json>,
    /// How many records it held.
    pub(super) found: usize,
    /// How many of them came through the filter.
    pub(super) len: usize,
    pub(super) record: Option<&'a Json>,
    /// The token that it was asked for with.
    pub(super) token: Option<&'a Json>,
    /// The size that it was asked for with, where that was not the usual one.
    pub(super) size: Option<i64>,
}

impl Paginator {
    pub(super) fn load(node: Option<Node<'_>>, decoder: &Decoder) -> Result<Option<Self>, Trouble> {
        let Some(node) = node else { return Ok(None) };
        match node.kind() {
            "NoPagination" => return Ok(None),
            "DefaultPaginator" => {}
            _ => return Err(node.unsupported("paginator")),
        }
        let strategy = node.needed_child("pagination_strategy")?;
        let size = strategy.expression("page_size");
        let first = strategy.flag("inject_on_first_request");
        let strategy = match strategy.kind() {
            "PageIncrement" => {
                Strategy::Page { start: strategy.int("start_from_page").unwrap_or(0), size, first }
            }
            "OffsetIncrement" => Strategy::Offset { size, first },
            "CursorPagination" => Strategy::Cursor {
                value: strategy.needed("cursor_value")?,
                stop: strategy.expression("stop_condition"),
                size,
            },
            _ => return Err(strategy.unsupported("pagination strategy")),
        };
        let option = |name: &str| node.child(name);
        let token = match option("page_token_option") {
            None => TokenPlace::Nowhere,
            Some(place) if place.kind() == "RequestPath" => TokenPlace::Path,
            Some(place) => TokenPlace::Option(RequestOption::load(&place)?),
        };
        let size_option =
            option("page_size_option").map(|place| RequestOption::load(&place)).transpose()?;
        Ok(Some(Self { strategy, size_option, token, decoder: decoder.clone() }))
    }

    /// The token of the first page, where it has one.
    pub(super) fn first_token(&self) -> Option<Json> {
        match self.strategy {
            Strategy::Page { start, first: true, .. } => Some(Json::from(start)),
            Strategy::Offset { first: true, .. } => Some(Json::from(0)),
            _ => None,
        }
    }

    /// The address of the page, where the token is one.
    pub(super) fn path(&self, token: Option<&Json>) -> Option<String> {
        let token = token.filter(|token| is_truthy(token))?;
        matches!(self.token, TokenPlace::Path).then(|| text_of(token))
    }

    /// What the request for the page carries.
    pub(super) fn parts(
        &self,
        session: &Session,
        token: Option<&Json>,
        size: Option<i64>,
    ) -> Result<Parts, Trouble> {
        let mut parts = Parts::default();
        if let (TokenPlace::Option(option), Some(token)) = (&self.token, token) {
            option.put(session, &mut parts, token.clone())?;
        }
        if let (Some(option), Some(usual)) = (&self.size_option, self.size(session, None)?) {
            option.put(session, &mut parts, size.map_or(usual, Json::from))?;
        }
        Ok(parts)
    }

    /// How many records a page usually has.
    pub(super) fn usual_size(&self, session: &Session) -> Result<Option<i64>, Trouble> {
        Ok(self.size(session, None)?.and_then(|size| size.as_i64()))
    }

    /// Whether pages can be asked for with fewer records than usual.
    pub(super) fn can_shorten(&self) -> bool {
        let size = match &self.strategy {
            Strategy::Page { .. } => &None,
            Strategy::Offset { size, .. } | Strategy::Cursor { size, .. } => size,
        };
        let is_path = matches!(self.token, TokenPlace::Path);
        size.is_some() && self.size_option.is_some() && !is_path
    }

    fn size(&self, session: &Session, response: Option<&Json>) -> Result<Option<Json>, Trouble> {
        let (Strategy::Page { size, .. }
        | Strategy::Offset { size, .. }
        | Strategy::Cursor { size, .. }) = &self.strategy;
        let Some(size) = size else { return Ok(None) };
        let scope = match response {
            Some(response) => session.scope().with("response", response),
            None => session.scope(),
        };
        let size = size.eval(scope)?;
        if size.as_i64().is_none() {
            return Err(Trouble::config(format!(
                "the page size `{}` is no number",
                text_of(&size)
            )));
        }
        Ok(Some(size).filter(is_truthy))
    }

    /// The token of the page after `last`; `None` where it was the last one.
    pub(super) fn next_token(
        &self,
        session: &Session,
        last: &LastPage<'_>,
    ) -> Result<Option<Json>, Trouble> {
        let empty = Json::Object(Map::new());
        let values;
        let response = match last.rest {
            Some(rest) => rest,
            None => {
                values = self.decoder.values(last.response)?;
                values.first().map_or(&empty, AsRef::as_ref)
            }
        };
        let counted = |start: i64, step_by_page: bool| -> Result<Option<Json>, Trouble> {
            let len = last.found;
            let in_response = (!step_by_page).then_some(response);
            let size = match last.size {
                Some(size) => u64::try_from(size).ok(),
                None => self.size(session, in_response)?.and_then(|size| size.as_u64()),
            };
            if len == 0 || size.is_some_and(|size| (len as u64) < size) {
                return Ok(None);
            }
            let step = if step_by_page { 1 } else { len as i64 };
            let before = match last.token {
                None => start,
                Some(token) => token.as_i64().ok_or_else(|| {
                    Trouble::system(format!("the page token `{}` is no number", text_of(token)))
                })?,
            };
            Ok(Some(Json::from(before + step)).filter(is_truthy))
        };
        match &self.strategy {
            Strategy::Page { start, .. } => counted(*start, true),
            Strategy::Offset { .. } => counted(0, false),
            Strategy::Cursor { value, stop, .. } => {
                let headers = last.response.headers.with_links();
                let len = Json::from(last.len);
                let record = last.record.unwrap_or(&Json::Null);
                let scope = || {
                    let scope = session.scope().with("response", response).with_headers(&headers);
                    scope.with("last_record", record).with("last_page_size", &len)
                };
                if let Some(stop) = stop
                    && stop.holds(scope())?
                {
                    return Ok(None);
                }
                Ok(Some(value.eval(scope())?).filter(is_truthy))
            }
        }
    }

    /// Whether it may look at the records that the names of `path` lead to in a body.
    pub(super) fn looks_at(&self, path: &[String]) -> bool {
        let expressions = match &self.strategy {
            Strategy::Page { .. } => [None, None],
            Strategy::Offset { size, .. } => [size.as_ref(), None],
            Strategy::Cursor { value, stop, .. } => [Some(value), stop.as_ref()],
        };
        let mut expressions = expressions.into_iter().flatten();
        !matches!(self.decoder, Decoder::Json)
            || expressions.any(|expression| match path.first() {
                Some(step) => expression.reads("response", step),
                None => expression.uses("response"),
            })
    }

    /// Whether the next page is asked for by what the last record has in `field`.
    pub(super) fn follows(&self, field: &str) -> bool {
        match &self.strategy {
            Strategy::Cursor { value, .. } => {
                value.source().contains("last_record") && value.source().contains(field)
            }
            _ => false,
        }
    }

    /// Whether the API decides what the next token is, so that it can go round in a circle.
    pub(super) fn can_loop(&self) -> bool {
        matches!(self.strategy, Strategy::Cursor { .. })
    }
}
