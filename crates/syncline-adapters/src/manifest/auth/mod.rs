//! Credentials, and where requests carry them.

pub(super) mod connect;
mod jwt;
mod login;
mod oauth;
mod session_token;

pub(super) use oauth::OAuth;

use super::expression::Expression;
use super::interpolate::digest::base64_encode;
use super::interpolate::text_of;
use super::load::Node;
use super::request::{Parts, RequestOption};
use super::session::Session;
use super::trouble::Trouble;
use jwt::Jwt;
use login::Login;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use session_token::SessionToken;
use std::sync::Arc;

/// Gives requests their credentials.
pub(super) enum Authenticator {
    Nothing,
    Token(RequestOption, Token),
    Bearer(Token),
    Basic {
        user: Option<Expression>,
        password: Option<Expression>,
    },
    OAuth(Box<OAuth>),
    Jwt(Box<Jwt>),
    /// One of several, by what the configuration says at the path.
    Selective {
        path: Vec<Expression>,
        choices: Vec<(String, Authenticator)>,
    },
}

/// A token that outlasts the process, and what the next one is asked for with.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    access_token: Option<String>,
    /// Until when it holds, in microseconds since 1970.
    until: i64,
    refresh_token: Option<String>,
}

/// Where a token comes from.
pub(super) enum Token {
    Config(Option<Expression>),
    Session(Arc<SessionToken>, Option<Expression>),
    Login(Box<Login>),
}

impl Authenticator {
    /// The authenticator of a requester that asks at `base`.
    pub(super) fn load(node: &Node<'_>, base: Option<&Expression>) -> Result<Self, Trouble> {
        Ok(match node.kind() {
            "NoAuth" => Self::Nothing,
            "ApiKeyAuthenticator" => {
                let token = Token::Config(node.expression("api_token"));
                Self::Token(api_key_option(node)?, token)
            }
            "BearerAuthenticator" => Self::Bearer(Token::Config(node.expression("api_token"))),
            "BasicHttpAuthenticator" => Self::Basic {
                user: node.expression("username"),
                password: node.expression("password"),
            },
            "OAuthAuthenticator" => Self::OAuth(Box::new(OAuth::load(node)?)),
            "JwtAuthenticator" => Self::Jwt(Box::new(Jwt::load(node)?)),
            "SessionTokenAuthenticator" => {
                let token = Arc::new(SessionToken::load(node)?);
                let how = node.needed_child("request_authentication")?;
                match how.kind() {
                    "Bearer" => Self::Bearer(Token::Session(token, None)),
                    "ApiKey" => Self::Token(
                        RequestOption::load(&how.needed_child("inject_into")?)?,
                        Token::Session(token, how.expression("api_token")),
                    ),
                    _ => return Err(how.unsupported("way to carry a session token")),
                }
            }
            "LegacySessionTokenAuthenticator" => {
                let token = Token::Login(Box::new(Login::load(node, base)?));
                Self::Token(RequestOption::header(node.needed("header")?), token)
            }
            "SelectiveAuthenticator" => {
                let mut choices = Vec::new();
                for (name, _) in node.needed_child("authenticators")?.entries() {
                    let choice = node.needed_child("authenticators")?.child(name);
                    if let Some(choice) = choice.filter(|choice| !choice.kind().is_empty()) {
                        choices.push((name.clone(), Self::load(&choice, base)?));
                    }
                }
                Self::Selective { path: node.expressions("authenticator_selection_path"), choices }
            }
            _ => return Err(node.unsupported("authenticator")),
        })
    }

    /// What a request has to carry.
    pub(super) async fn parts(&self, session: &Session) -> Result<Parts, Trouble> {
        let mut parts = Parts::default();
        match self.chosen(session)? {
            Self::Nothing | Self::Selective { .. } => {}
            Self::Token(option, token) => {
                let token = token.get(session).await?;
                option.put(session, &mut parts, Json::String(token))?;
            }
            Self::Bearer(token) => {
                let token = token.get(session).await?;
                parts.headers.insert("Authorization".into(), format!("Bearer {token}").into());
            }
            Self::Basic { user, password } => {
                let text = |part: &Option<Expression>| match part {
                    Some(part) => part.text(session.scope()),
                    None => Ok(String::new()),
                };
                let pair = base64_encode(format!("{}:{}", text(user)?, text(password)?));
                parts.headers.insert("Authorization".into(), format!("Basic {pair}").into());
            }
            Self::OAuth(oauth) => {
                let token = oauth.token(session).await?;
                parts.headers.insert("Authorization".into(), format!("Bearer {token}").into());
            }
            Self::Jwt(jwt) => jwt.put(session, &mut parts)?,
        }
        Ok(parts)
    }

    /// Makes the next request ask for a new token.
    pub(super) fn forget_token(&self) {
        match self {
            Self::OAuth(oauth) => oauth.forget(),
            Self::Selective { choices, .. } => {
                choices.iter().for_each(|(_, choice)| choice.forget_token());
            }
            _ => {}
        }
    }

    /// The ways of OAuth that it may go.
    pub(super) fn oauths(&self) -> Vec<&OAuth> {
        match self {
            Self::OAuth(oauth) => vec![oauth],
            Self::Selective { choices, .. } => {
                choices.iter().flat_map(|(_, choice)| choice.oauths()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether another token can be had where one is refused.
    pub(super) fn can_refresh(&self) -> bool {
        !self.oauths().is_empty()
    }

    fn chosen(&self, session: &Session) -> Result<&Self, Trouble> {
        let Self::Selective { path, choices } = self else { return Ok(self) };
        let mut value = &session.config;
        for step in path {
            let step = step.text(session.scope())?;
            value = value.get(&step).ok_or_else(|| {
                Trouble::config(format!("the connector's configuration has no `{step}`, which chooses the way to authenticate"))
            })?;
        }
        let name = text_of(value);
        let chosen = choices.iter().find(|(choice, _)| *choice == name);
        match chosen {
            Some((_, chosen)) => chosen.chosen(session),
            None => Err(Trouble::config(format!("there is no way to authenticate named `{name}`"))),
        }
    }
}

/// Where an API key goes: into a header where only its name is given.
fn api_key_option(node: &Node<'_>) -> Result<RequestOption, Trouble> {
    match node.child("inject_into") {
        Some(option) => RequestOption::load(&option),
        None => Ok(RequestOption::header(node.needed("header")?)),
    }
}

impl Token {
    async fn get(&self, session: &Session) -> Result<String, Trouble> {
        Ok(match self {
            Self::Config(Some(token)) => token.text(session.scope())?,
            Self::Config(None) => String::new(),
            Self::Login(login) => login.token(session).await?,
            Self::Session(token, template) => {
                let token = token.get(session).await?;
                match template {
                    Some(template) => {
                        let token = Json::String(token);
                        template.text(session.scope().with("session_token", &token))?
                    }
                    None => token,
                }
            }
        })
    }
}
