//! Session tokens: a login request gives a token that holds for a while.

use super::super::expression::Expression;
use super::super::interpolate::moment::Period;
use super::super::interpolate::{StreamSlice, text_of};
use super::super::load::Node;
use super::super::request::{Parts, Requester, Sent};
use super::super::session::Session;
use super::super::trouble::Trouble;
use serde_json::Value as Json;
use tokio::sync::Mutex;

/// A token that is asked for when the last one has run out.
pub(in super::super) struct SessionToken {
    login: Requester,
    path: Vec<Expression>,
    /// How long a token holds; for ever where that is not said.
    lasts: Option<Period>,
    /// The token, and when it runs out, in microseconds since 1970.
    current: Mutex<Option<(String, i128)>>,
}

impl SessionToken {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        Ok(Self {
            login: Requester::load(&node.needed_child("login_requester")?)?,
            path: node.expressions("session_token_path"),
            lasts: node.text("expiration_duration").map(Period::parse).transpose()?,
            current: Mutex::default(),
        })
    }

    /// The token, after a login where that is needed. Only one login is under way at a time.
    pub(super) async fn get(&self, session: &Session) -> Result<String, Trouble> {
        let mut current = self.current.lock().await;
        let now = i128::from(session.clock.now());
        if let Some((token, until)) = current.as_ref()
            && *until >= now
        {
            return Ok(token.clone());
        }
        let slice = StreamSlice::default();
        // The login carries its own credentials, never a session token.
        let sent =
            Box::pin(self.login.send(session, &slice, &Json::Null, None, Parts::default())).await?;
        let Sent::Response(response) = sent else {
            return Err(Trouble::system("the login asks to read its pages again"));
        };
        let mut value = response.json_or_empty();
        for step in &self.path {
            let step = step.text(session.scope())?;
            value = value.get(&step).ok_or_else(|| {
                Trouble::system(format!("the answer to the login has no `{step}`"))
            })?;
        }
        let token = text_of(value);
        let until = match &self.lasts {
            Some(lasts) => now + lasts.micros + i128::from(lasts.months) * 30 * 86_400_000_000,
            None => i128::MIN,
        };
        *current = Some((token.clone(), until));
        Ok(token)
    }
}
