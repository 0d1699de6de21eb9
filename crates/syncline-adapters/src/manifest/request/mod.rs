//! Requests: what a requester is told, and how it is sent.

mod client;
mod once;
mod options;

pub(super) use client::{Form, receive};
pub(super) use once::{Outgoing, Reply};
pub(super) use options::{Parts, RequestOption, encode_pairs};

use super::auth::Authenticator;
use super::errors::{Action, ErrorHandler, Resolution};
use super::expression::{Expression, Inputs, Nested, Options};
use super::interpolate::{Accept, Scope, StreamSlice, text_of};
use super::load::{Node, is_truthy};
use super::session::{Response, Session};
use super::trouble::Trouble;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// Sends the requests of one stream.
pub(super) struct Requester {
    base: Option<Expression>,
    url: Option<Expression>,
    path: Option<Expression>,
    method: Method,
    query: Inputs,
    headers: Inputs,
    form: Inputs,
    json: Option<Nested>,
    authenticator: Authenticator,
    errors: ErrorHandler,
    /// Names whose requests they are, where several wait for their turn.
    key: String,
    /// Whether responses are kept, because several streams ask for them.
    kept: bool,
}

/// The method of a request.
#[derive(Debug)]
enum Method {
    Known(reqwest::Method),
    /// It hangs on the slice that is asked for.
    Told(Expression),
}

impl Method {
    fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let name = node.text("http_method").unwrap_or("GET");
        match node.expression("http_method") {
            Some(told) if name.contains("{{") => Ok(Self::Told(told)),
            _ => Ok(Self::Known(named(name)?)),
        }
    }

    fn at(&self, scope: Scope<'_>) -> Result<reqwest::Method, Trouble> {
        match self {
            Self::Known(method) => Ok(method.clone()),
            Self::Told(told) => named(&told.text(scope)?),
        }
    }
}

fn named(method: &str) -> Result<reqwest::Method, Trouble> {
    reqwest::Method::from_bytes(method.as_bytes())
        .map_err(|_| Trouble::config(format!("`{method}` is no HTTP method")))
}

impl Requester {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        if node.kind() != "HttpRequester" {
            return Err(node.unsupported("requester"));
        }
        let mut form = node.inputs("request_body_data");
        let mut json = node.get("request_body_json");
        if let Some(body) = node.child("request_body") {
            match body.kind() {
                "RequestBodyUrlEncodedForm" | "RequestBodyPlainText" => form = body.inputs("value"),
                "RequestBodyJsonObject" | "RequestBodyGraphQL" => json = body.get("value"),
                _ => return Err(body.unsupported("body")),
            }
        }
        // A map among the parameters names fields, which are put in with the slice.
        let parameters = node.get("request_parameters").cloned().map(|mut parameters| {
            if let Json::Object(parameters) = &mut parameters {
                parameters.retain(|_, value| !value.is_object());
            }
            parameters
        });
        let base = node.expression("url_base").or_else(|| node.expression("url"));
        let authenticator = match node.child("authenticator") {
            Some(authenticator) => Authenticator::load(&authenticator, base.as_ref())?,
            None => Authenticator::Nothing,
        };
        Ok(Self {
            base: node.expression("url_base"),
            url: node.expression("url"),
            path: node.expression("path"),
            method: Method::load(node)?,
            query: Inputs::new(parameters.as_ref(), &node.parameters),
            headers: node.inputs("request_headers"),
            form,
            json: json
                .filter(|json| is_truthy(json))
                .map(|json| Nested::new(json, &node.parameters)),
            authenticator,
            errors: ErrorHandler::load(node)?,
            key: node.path.clone(),
            kept: node.flag("use_cache"),
        })
    }

    /// What gives its requests their credentials.
    pub(super) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// Whether a response may come to `action`.
    pub(super) fn may(&self, action: Action) -> bool {
        self.errors.may(action)
    }

    /// What the manifest's error handler says of a response; `None` where it says nothing.
    pub(super) fn declared(
        &self,
        session: &Session,
        response: &Response,
    ) -> Result<Option<Resolution>, Trouble> {
        self.errors.declared(session, response)
    }

    /// Sends one request for `slice`, with what paging and slicing add, and answers with the response;
    /// `None` where the response is to be ignored as a whole.
    pub(super) async fn send(
        &self,
        session: &Session,
        slice: &StreamSlice,
        token: &Json,
        path: Option<String>,
        added: Parts,
    ) -> Result<Sent, Trouble> {
        let mut parts = self.parts(session, slice, token)?;
        parts.merge(added)?;
        let scope = || session.scope().with_slice(slice).with("next_page_token", token);
        let text = |expression: &Option<Expression>| -> Result<String, Trouble> {
            match expression {
                Some(expression) => Ok(expression.text(scope())?),
                None => Ok(String::new()),
            }
        };
        let mut base = text(&self.base)?;
        if base.is_empty() {
            base = text(&self.url)?;
        }
        let path = match path {
            Some(path) => path,
            None => text(&self.path)?.trim_start_matches('/').to_owned(),
        };
        let (method, key) = (self.method.at(scope())?, self.key.clone());
        let call = client::Call { method, base, path, parts, key };
        call.send(session, &self.authenticator, &self.errors, self.kept).await
    }

    fn parts(
        &self,
        session: &Session,
        slice: &StreamSlice,
        token: &Json,
    ) -> Result<Parts, Trouble> {
        let scope = || session.scope().with_slice(slice).with("next_page_token", token);
        let map = |options| match options {
            Options::Map(map) => map,
            Options::Text(_) => Map::new(),
        };
        let query = map(self.query.eval(&scope, Accept::TextOrList)?);
        if let Some((name, _)) = query.iter().find(|(_, value)| value.is_object()) {
            return Err(Trouble::system(format!("the parameter `{name}` is a map")));
        }
        let mut headers = map(self.headers.eval(&scope, Accept::Any)?);
        for value in headers.values_mut() {
            *value = Json::String(text_of(value));
        }
        let form = self.form.eval(&scope, Accept::TextOrList)?;
        let json = match &self.json {
            Some(json) => match json.eval(&scope)? {
                Json::Object(map) => map,
                Json::Null => Map::new(),
                _ => return Err(Trouble::system("the request's JSON body is no map")),
            },
            None => Map::new(),
        };
        Ok(Parts { query, headers, form, json })
    }
}

/// What is to be made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMuch {
    Page,
    Window,
}

/// What came of a request.
pub(super) enum Sent {
    /// A response.
    Response(Arc<Response>),
    /// The stream's pages have to be read again from the first.
    ResetPagination,
    /// It is too much at once, and why.
    TooMuch(TooMuch, String),
}
