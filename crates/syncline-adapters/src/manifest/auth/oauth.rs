//! OAuth 2 (RFC 6749): access tokens from client credentials or a refresh token, asked for again before a
//! request whose token has run out.

use super::super::errors::Outcome;
use super::super::expression::{Expression, Inputs, Options};
use super::super::interpolate::digest::sha256;
use super::super::interpolate::moment::Moment;
use super::super::interpolate::{Accept, Fault, parse_moment, text_of};
use super::super::load::Node;
use super::super::request::{Form, receive};
use super::super::session::{Clock, Response, Session};
use super::super::trouble::{FailureKind, Trouble};
use super::Tokens;
use super::jwt::Jwt;
use crate::kept::KeptFile;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use tokio::sync::Mutex;

const MICROS: i128 = 1_000_000;
const GRANT_OF_ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The most tries to get a token, with a wait that doubles.
const TRIES_MAX: u32 = 8;
/// How deep a value is looked for in an answer.
const DEPTH_MAX: usize = 5;

/// An access token, and how to get the next.
pub(in super::super) struct OAuth {
    endpoint: Option<Expression>,
    client_id: Option<Expression>,
    client_secret: Option<Expression>,
    refresh_token: Option<Expression>,
    /// Whether the manifest gives an empty one, which goes along as such.
    names_no_token: bool,
    access_token: Option<Expression>,
    expiry: Option<Expression>,
    grant: Expression,
    /// What proves who asks, in the place of a secret (RFC 7523), and the name that it goes by.
    assertion: Option<(Jwt, Expression)>,
    names: Names,
    scopes: Vec<Json>,
    body: Inputs,
    headers: Inputs,
    in_query: bool,
    expiry_is_moment: bool,
    refused: Refused,
    /// Where new tokens are written in the configuration, for refresh tokens that hold for one use.
    saved: Option<SavedAt>,
    current: Mutex<Option<Current>>,
    forgotten: std::sync::atomic::AtomicBool,
}

struct Current {
    token: String,
    /// Microseconds since 1970.
    until: i128,
}

/// What the fields of request and answer are called.
struct Names {
    grant: Expression,
    client_id: Expression,
    client_secret: Expression,
    refresh_token: Expression,
    access_token: Expression,
    expires_in: Expression,
}

/// How the API says that a refresh token holds no longer.
struct Refused {
    statuses: Vec<u16>,
    key: String,
    values: Vec<Json>,
}

struct SavedAt {
    access_token: Vec<String>,
    refresh_token: Vec<String>,
    expiry: Vec<String>,
}

impl OAuth {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let updater = node.child("refresh_token_updater");
        let named = |name: &str, default: &str| {
            node.expression(name).unwrap_or_else(|| Expression::new(default, &node.parameters))
        };
        let mut grant = named("grant_type", "refresh_token");
        let mut assertion = None;
        if uses_assertion(node)? {
            let jwt = node.needed_child("profile_assertion")?;
            if jwt.kind() != "JwtAuthenticator" {
                return Err(jwt.unsupported("profile assertion"));
            }
            grant = Expression::new(GRANT_OF_ASSERTION, &node.parameters);
            assertion = Some((Jwt::load(&jwt)?, named("assertion_name", "assertion")));
        }
        let refresh_name =
            updater.as_ref().and_then(|updater| updater.expression("refresh_token_name"));
        let refusing = updater.clone().filter(|u| u.get("refresh_token_error_key").is_some());
        let refusing = refusing.as_ref().unwrap_or(node);
        let list = |node: &Node<'_>, name: &str| {
            node.get(name).and_then(Json::as_array).cloned().unwrap_or_default()
        };
        Ok(Self {
            endpoint: node.expression("token_refresh_endpoint"),
            client_id: node.expression("client_id"),
            client_secret: node.expression("client_secret"),
            refresh_token: node.expression("refresh_token"),
            names_no_token: node.text("refresh_token") == Some(""),
            access_token: node.expression("access_token_value"),
            expiry: node.expression("token_expiry_date"),
            grant,
            assertion,
            names: Names {
                grant: named("grant_type_name", "grant_type"),
                client_id: named("client_id_name", "client_id"),
                client_secret: named("client_secret_name", "client_secret"),
                refresh_token: refresh_name
                    .unwrap_or_else(|| named("refresh_token_name", "refresh_token")),
                access_token: named("access_token_name", "access_token"),
                expires_in: named("expires_in_name", "expires_in"),
            },
            scopes: list(node, "scopes"),
            body: node.inputs("refresh_request_body"),
            headers: node.inputs("refresh_request_headers"),
            in_query: node.flag("send_refresh_request_as_query_params"),
            expiry_is_moment: node.get("token_expiry_date_format").is_some(),
            refused: Refused {
                statuses: list(refusing, "refresh_token_error_status_codes")
                    .iter()
                    .filter_map(|code| u16::try_from(code.as_u64()?).ok())
                    .collect(),
                key: refusing.text("refresh_token_error_key").unwrap_or_default().to_owned(),
                values: list(refusing, "refresh_token_error_values"),
            },
            saved: updater.map(|updater| SavedAt::load(&updater)),
            current: Mutex::default(),
            forgotten: std::sync::atomic::AtomicBool::new(false),
        })
    }

    /// Makes the next request ask for a new token.
    pub(super) fn forget(&self) {
        self.forgotten.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// The access token. Only one refresh is under way at a time, and one over all processes where tokens are kept.
    pub(super) async fn token(&self, session: &Session) -> Result<String, Trouble> {
        let mut current = self.current.lock().await;
        let forgotten = self.forgotten.swap(false, std::sync::atomic::Ordering::Relaxed);
        if let Some(saved) = &self.saved {
            return self.saved_token(session, saved, forgotten).await;
        }
        if current.is_none() {
            *current = self.configured(session)?;
        }
        if self.endpoint.is_none() {
            return current.as_ref().map(|current| current.token.clone()).ok_or_else(|| {
                Trouble::config("OAuth has neither an access token nor a place to ask for one")
            });
        }
        let now = i128::from(session.clock.now());
        if let Some(current) = current.as_ref().filter(|current| current.until >= now && !forgotten)
        {
            return Ok(current.token.clone());
        }
        let refused = current.as_ref().filter(|_| forgotten).map(|current| current.token.clone());
        let next = match &session.tokens {
            Some(file) => self.kept_token(session, file, refused).await?,
            None => {
                let answer = self.ask(session, self.configured_refresh(session)?).await?;
                Current { token: answer.token, until: answer.until }
            }
        };
        Ok(current.insert(next).token.clone())
    }

    /// The token that is kept for all processes, or a new one. `refused` is one that the system would not have.
    async fn kept_token(
        &self,
        session: &Session,
        file: &KeptFile,
        refused: Option<String>,
    ) -> Result<Current, Trouble> {
        let key = self.key(session)?;
        let _held = file.lock().await.map_err(Trouble::config)?;
        let kept: Tokens = file.get(&key).map_err(Trouble::config)?.unwrap_or_default();
        let still_holds = kept.until > session.clock.now() && kept.access_token != refused;
        if let Some(token) = kept.access_token.filter(|_| still_holds) {
            return Ok(Current { token, until: kept.until.into() });
        }
        let refresh_token = match kept.refresh_token.clone() {
            Some(token) => Some(token),
            None => self.configured_refresh(session)?,
        };
        let answer = self.ask(session, refresh_token).await?;
        file.set(&key, &answer.kept(kept.refresh_token)).map_err(Trouble::config)?;
        Ok(Current { token: answer.token, until: answer.until })
    }

    fn configured_refresh(&self, session: &Session) -> Result<Option<String>, Trouble> {
        let token = self.refresh_token.as_ref().filter(|_| self.assertion.is_none());
        let Some(token) = token else { return Ok(self.names_no_token.then(String::new)) };
        let is_needed = self.grant.text(session.scope())? == "refresh_token";
        match token.text(session.scope()) {
            Ok(token) if token.is_empty() && is_needed => Err(no_refresh_token()),
            Ok(token) => Ok(Some(token)),
            Err(Fault::Undefined(_)) => Err(no_refresh_token()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Names what tokens are asked for with: those of another configuration are not ours.
    pub(super) fn key(&self, session: &Session) -> Result<String, Trouble> {
        let text = |expression: &Option<Expression>| -> Result<String, Trouble> {
            match expression.as_ref().map(|one| one.text(session.scope())) {
                None | Some(Err(Fault::Undefined(_))) => Ok(String::new()),
                Some(text) => Ok(text?),
            }
        };
        let grant = self.grant.text(session.scope())?;
        let scopes = Json::Array(self.scopes.clone()).to_string();
        let (endpoint, client_id) = (text(&self.endpoint)?, text(&self.client_id)?);
        let parts = [endpoint, client_id, grant, scopes, text(&self.refresh_token)?];
        Ok(sha256(&parts.join("\n")))
    }

    /// What names this program at the system.
    pub(super) fn client(&self, session: &Session) -> Result<String, Trouble> {
        let Some(client_id) = &self.client_id else {
            return Err(Trouble::config("OAuth has no `client_id`"));
        };
        Ok(client_id.text(session.scope())?)
    }

    /// The secret that proves it, where there is one.
    pub(super) fn secret(&self, session: &Session) -> Result<Option<String>, Trouble> {
        let secret = self.client_secret.as_ref().map(|secret| secret.text(session.scope()));
        Ok(secret.transpose()?.filter(|secret| !secret.is_empty()))
    }

    /// Where tokens are asked for.
    pub(super) fn place(&self, session: &Session) -> Result<String, Trouble> {
        let Some(endpoint) = &self.endpoint else {
            return Err(Trouble::config("OAuth has no place to ask for an access token"));
        };
        Ok(endpoint.text(session.scope())?)
    }

    /// The tokens that a response grants.
    pub(super) fn granted(
        &self,
        session: &Session,
        response: &Arc<Response>,
    ) -> Result<Tokens, Trouble> {
        Ok(self.answer(session, response)?.kept(None))
    }

    /// The token that the configuration holds already.
    fn configured(&self, session: &Session) -> Result<Option<Current>, Trouble> {
        let Some(token) = &self.access_token else { return Ok(None) };
        let until = match &self.expiry {
            Some(expiry) => moment_micros(&expiry.eval(session.scope())?)?,
            None => i128::MIN,
        };
        Ok(Some(Current { token: token.text(session.scope())?, until }))
    }

    async fn saved_token(
        &self,
        session: &Session,
        saved: &SavedAt,
        forgotten: bool,
    ) -> Result<String, Trouble> {
        let key = self.key(session)?;
        // All streams save theirs in the same place, and what one spent is of no use to another.
        let _only = session.saving.lock().await;
        let mut held = None;
        if let Some(file) = &session.tokens {
            held = Some(file.lock().await.map_err(Trouble::config)?);
            let kept = file.get(&key).map_err(Trouble::config)?;
            self.take_over(session, saved, &kept.unwrap_or_default());
        }
        let read = |path: &[String]| session.with_saved_config(|config| at(config, path).cloned());
        let until = match read(&saved.expiry) {
            None | Some(Json::Null) => i128::MIN,
            Some(Json::String(text)) if text.is_empty() => i128::MIN,
            Some(value) => moment_micros(&value)?,
        };
        if until >= i128::from(session.clock.now()) && !forgotten {
            return Ok(read(&saved.access_token).map(|token| text_of(&token)).unwrap_or_default());
        }
        let refresh_token = read(&saved.refresh_token).map(|token| text_of(&token));
        let answer = self.ask(session, refresh_token.clone()).await?;
        if let Some(file) = &session.tokens {
            file.set(&key, &answer.kept(refresh_token)).map_err(Trouble::config)?;
        }
        drop(held);
        let until = Moment::from_micros(answer.until)?.iso('T');
        session.save_config(|config| {
            set(config, &saved.access_token, Json::from(answer.token.as_str()));
            if let Some(token) = answer.refresh_token {
                set(config, &saved.refresh_token, token);
            }
            set(config, &saved.expiry, Json::String(until));
        });
        Ok(answer.token)
    }

    /// Tokens that another process was given stand in the configuration as if they had been given to this one.
    fn take_over(&self, session: &Session, saved: &SavedAt, kept: &Tokens) {
        let Some(token) = kept.access_token.clone() else { return };
        let expiry = Moment::from_micros(kept.until.into()).map(|until| until.iso('T'));
        session.take_over_config(|config| {
            set(config, &saved.access_token, token.into());
            if let Some(token) = kept.refresh_token.clone() {
                set(config, &saved.refresh_token, token.into());
            }
            set(config, &saved.expiry, expiry.unwrap_or_default().into());
        });
    }

    async fn ask(
        &self,
        session: &Session,
        refresh_token: Option<String>,
    ) -> Result<Answer, Trouble> {
        let endpoint = self.place(session)?;
        let scope = || session.scope();
        let headers = match self.headers.eval(&scope, Accept::Any)? {
            Options::Map(map) => map,
            Options::Text(_) => Map::new(),
        };
        let arguments =
            self.arguments(session, refresh_token, headers.contains_key("Authorization"))?;
        let form = Form { endpoint, headers, arguments, in_query: self.in_query };
        let mut tries = 0;
        loop {
            let response = match receive(form.send(session).await).await? {
                Outcome::Response(response) => response,
                Outcome::Unreachable(problem) if tries + 1 >= TRIES_MAX => {
                    return Err(Trouble::transient(format!("no access token: {problem}")));
                }
                Outcome::Unreachable(_) => {
                    session.clock.wait(2_f64.powi(tries as i32)).await;
                    tries += 1;
                    continue;
                }
            };
            let again = response.status == 429 || response.status >= 500;
            if again && tries + 1 < TRIES_MAX {
                session.clock.wait(2_f64.powi(tries as i32)).await;
                tries += 1;
                continue;
            }
            return self.answer(session, &response);
        }
    }

    fn arguments(
        &self,
        session: &Session,
        refresh_token: Option<String>,
        credentials_in_header: bool,
    ) -> Result<Map<String, Json>, Trouble> {
        let text = |expression: &Expression| expression.text(session.scope());
        let mut arguments = Map::new();
        arguments.insert(text(&self.names.grant)?, text(&self.grant)?.into());
        if let Some((jwt, name)) = &self.assertion {
            arguments.insert(text(name)?, jwt.token(session)?.into());
            return Ok(arguments);
        }
        if !credentials_in_header {
            for (name, value) in [
                (&self.names.client_id, &self.client_id),
                (&self.names.client_secret, &self.client_secret),
            ] {
                if let Some(value) = value {
                    arguments.insert(text(name)?, text(value)?.into());
                }
            }
        }
        if let Some(token) = refresh_token {
            arguments.insert(text(&self.names.refresh_token)?, token.into());
        }
        if !self.scopes.is_empty() {
            arguments.insert("scopes".to_owned(), Json::Array(self.scopes.clone()));
        }
        let scope = || session.scope();
        if let Options::Map(more) = self.body.eval(&scope, Accept::Any)? {
            for (name, value) in more {
                arguments.entry(name).or_insert(value);
            }
        }
        Ok(arguments)
    }

    fn answer(&self, session: &Session, response: &Arc<Response>) -> Result<Answer, Trouble> {
        let json = response.json_or_empty();
        if !response.is_ok() {
            let refused = self.refused.statuses.contains(&response.status)
                && json.get(&self.refused.key).is_some_and(|v| self.refused.values.contains(v));
            let kind = if refused { FailureKind::Config } else { FailureKind::System };
            let advice =
                if refused { ": connect again, the refresh token holds no longer" } else { "" };
            let message = format!(
                "the request for an access token failed with status {}{advice}",
                response.status
            );
            return Err(Trouble { kind, message });
        }
        let text = |expression: &Expression| expression.text(session.scope());
        let token = find(json, &text(&self.names.access_token)?, 0)
            .filter(|token| token.as_str() != Some(""))
            .ok_or_else(|| Trouble::system("the answer holds no access token"))?;
        let now = i128::from(session.clock.now());
        let until = match find(json, &text(&self.names.expires_in)?, 0) {
            None => now + 3600 * MICROS,
            Some(value) if self.expiry_is_moment => moment_micros(value)?,
            Some(value) => {
                let seconds: f64 = text_of(value).trim().parse().map_err(|_| {
                    Trouble::system("the answer does not say in seconds how long the token holds")
                })?;
                now + seconds.trunc() as i128 * MICROS
            }
        };
        let until = until - early(session, until - now);
        let refresh_token = find(json, &text(&self.names.refresh_token)?, 0).cloned();
        Ok(Answer { token: text_of(token), until, refresh_token })
    }
}

/// Whether a signed token is what an access token is asked for with.
fn uses_assertion(node: &Node<'_>) -> Result<bool, Trouble> {
    match node.get("use_profile_assertion") {
        None => Ok(false),
        Some(Json::Bool(uses)) => Ok(*uses),
        Some(_) => match node.text("use_profile_assertion").map(str::trim) {
            Some("true" | "True") => Ok(true),
            Some("false" | "False" | "") => Ok(false),
            _ => Err(Trouble::config(format!(
                "`{}.use_profile_assertion` is neither true nor false",
                node.path
            ))),
        },
    }
}

struct Answer {
    token: String,
    until: i128,
    refresh_token: Option<Json>,
}

fn no_refresh_token() -> Trouble {
    Trouble::config(
        "there is no refresh token: put it into the connection's `config`, or run `syncline connect`",
    )
}

impl Answer {
    /// What is kept of it; `before` is the refresh token that still holds where it brings none.
    fn kept(&self, before: Option<String>) -> Tokens {
        Tokens {
            access_token: Some(self.token.clone()),
            until: i64::try_from(self.until).unwrap_or(i64::MAX),
            refresh_token: self.refresh_token.as_ref().map(text_of).or(before),
        }
    }
}

/// How long before its end a token is replaced, so that none runs out on its way: a minute, or a tenth of a short life.
fn early(session: &Session, life: i128) -> i128 {
    match session.clock {
        Clock::System => (life / 10).clamp(0, 60 * MICROS),
        Clock::Frozen(_) => 0,
    }
}

impl SavedAt {
    fn load(node: &Node<'_>) -> Self {
        let path = |name: &str, default: &str| match node.get(name) {
            Some(Json::Array(steps)) => steps.iter().map(text_of).collect(),
            _ => vec!["credentials".to_owned(), default.to_owned()],
        };
        Self {
            access_token: path("access_token_config_path", "access_token"),
            refresh_token: path("refresh_token_config_path", "refresh_token"),
            expiry: path("token_expiry_date_config_path", "token_expiry_date"),
        }
    }
}

/// A moment in a configuration or an answer: ISO 8601, or seconds since 1970.
fn moment_micros(value: &Json) -> Result<i128, Trouble> {
    let text = text_of(value);
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Ok((seconds * MICROS as f64) as i128);
    }
    Ok(parse_moment::iso(text.trim())?.micros())
}

/// The first value with this name, at any depth.
fn find<'a>(json: &'a Json, name: &str, depth: usize) -> Option<&'a Json> {
    if depth > DEPTH_MAX {
        return None;
    }
    match json {
        Json::Object(entries) => entries
            .get(name)
            .or_else(|| entries.values().find_map(|value| find(value, name, depth + 1))),
        Json::Array(items) => items.iter().find_map(|item| find(item, name, depth + 1)),
        _ => None,
    }
}

fn at<'a>(config: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(config, |value, step| value.get(step))
}

fn set(config: &mut Json, path: &[String], value: Json) {
    let mut place = config;
    for step in path {
        if !place.is_object() {
            *place = Json::Object(Map::new());
        }
        place = &mut place[step.as_str()];
    }
    *place = value;
}
