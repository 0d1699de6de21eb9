//! A session token of the configuration, or one that a user's name and password give (the older form of a
//! session's token).

use super::super::errors::Outcome;
use super::super::expression::Expression;
use super::super::interpolate::text_of;
use super::super::load::Node;
use super::super::reach::Request;
use super::super::request::receive;
use super::super::session::{Response, Session};
use super::super::trouble::Trouble;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Mutex;

const UNAUTHORIZED: u16 = 401;

/// Gives a token that was looked at once, or logs in once.
pub(in super::super) struct Login {
    base: Expression,
    header: Expression,
    given: Option<Expression>,
    check: Expression,
    user: Option<Expression>,
    password: Option<Expression>,
    login: Expression,
    key: Expression,
    current: Mutex<Option<String>>,
}

impl Login {
    pub(super) fn load(node: &Node<'_>, base: Option<&Expression>) -> Result<Self, Trouble> {
        Ok(Self {
            base: base.cloned().ok_or_else(|| node.missing("url_base"))?,
            header: node.needed("header")?,
            given: node.expression("session_token"),
            check: node.needed("validate_session_url")?,
            user: node.expression("username"),
            password: node.expression("password"),
            login: node.needed("login_url")?,
            key: node.needed("session_token_response_key")?,
            current: Mutex::default(),
        })
    }

    /// The token. Only one login is under way at a time.
    pub(super) async fn token(&self, session: &Session) -> Result<String, Trouble> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref() {
            return Ok(token.clone());
        }
        let text = |part: &Option<Expression>| match part {
            Some(part) => part.text(session.scope()),
            None => Ok(String::new()),
        };
        let given = text(&self.given)?;
        if !given.is_empty() && self.holds(session, &given).await? {
            return Ok(current.insert(given).clone());
        }
        let (user, password) = (text(&self.user)?, text(&self.password)?);
        if user.is_empty() || password.is_empty() {
            return Err(Trouble::config(
                "the session token holds no longer, and there are no `username` and `password` to log in with",
            ));
        }
        let credentials = json!({"username": user, "password": password});
        let request = session.client.request(Method::POST, self.address(session, &self.login)?);
        let request =
            request.header(CONTENT_TYPE, "application/json").body(credentials.to_string());
        let response = answer(request).await?;
        if !response.is_ok() {
            return Err(Trouble::config(format!(
                "the login failed with status {}: check `username` and `password`",
                response.status
            )));
        }
        let key = self.key.text(session.scope())?;
        let token = response.json_or_empty().get(&key);
        let token = token
            .ok_or_else(|| Trouble::system(format!("the answer to the login has no `{key}`")))?;
        Ok(current.insert(text_of(token)).clone())
    }

    /// Whether the system takes `token`.
    async fn holds(&self, session: &Session, token: &str) -> Result<bool, Trouble> {
        let request = session.client.request(Method::GET, self.address(session, &self.check)?);
        let header = self.header.text(session.scope())?;
        let response = answer(request.header(header, token)).await?;
        match response.status {
            UNAUTHORIZED => Ok(false),
            _ if response.is_ok() => Ok(true),
            status => Err(Trouble::system(format!(
                "whether the session token holds cannot be told: status {status}"
            ))),
        }
    }

    fn address(&self, session: &Session, path: &Expression) -> Result<String, Trouble> {
        let base = self.base.text(session.scope())?;
        let path = path.text(session.scope())?;
        Ok(format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/')))
    }
}

async fn answer(request: Request) -> Result<Arc<Response>, Trouble> {
    match receive(request.send().await).await? {
        Outcome::Response(response) => Ok(response),
        Outcome::Unreachable(problem) => {
            Err(Trouble::transient(format!("no session token: {problem}")))
        }
    }
}
