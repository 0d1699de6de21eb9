//! Authorization by a person: the code flow (RFC 6749 §4.1) with proof of possession (PKCE, RFC 7636), through a
//! redirection to this machine (RFC 8252 §7.3).

use super::super::adapter::ManifestAdapter;
use super::super::errors::Outcome;
use super::super::request::{Form, receive};
use super::super::session::Session;
use super::super::trouble::Trouble;
use super::oauth::OAuth;
use crate::kept::KeptFile;
use crate::{AdapterError, Shared};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value as Json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use syncline_core::config::model::{Connection, OAuthSettings, Settings};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How long a browser may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_HEAD_MAX: u64 = 64 << 10;

/// An authorization that waits for its person.
pub struct Connecting {
    adapter: ManifestAdapter,
    file: KeptFile,
    settings: OAuthSettings,
    listener: TcpListener,
    address: String,
    redirect: String,
    state: String,
    verifier: String,
}

impl Connecting {
    /// Begins to connect the connection `name`, and listens on this machine for the answer.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] where the connection is none of a manifest, does not authenticate with OAuth, or does
    /// not say where a person grants access.
    pub async fn begin(
        connection: &Connection,
        base: &Path,
        name: &str,
        shared: &Shared,
    ) -> Result<Self, AdapterError> {
        let wrong = |problem: String| AdapterError::Settings(problem);
        let Settings::Manifest(own) = &connection.settings else {
            return Err(wrong(format!("`{name}` is no connection that takes an authorization")));
        };
        let settings = own.oauth.clone().ok_or_else(|| {
            wrong(format!(
                "`{name}` does not say where a person grants access: add `oauth: {{ authorize_url: … }}` to its settings"
            ))
        })?;
        let file = shared.kept(name);
        let file = file.ok_or_else(|| wrong("there is no place to keep tokens in".to_owned()))?;
        let adapter = ManifestAdapter::new(connection, base, name, shared);
        let adapter = adapter.map_err(|trouble| wrong(trouble.message))?;
        if adapter.authorizations().next().is_none() {
            return Err(wrong(format!(
                "no stream of `{name}` authenticates with `OAuthAuthenticator`"
            )));
        }
        let listening = TcpListener::bind(("127.0.0.1", settings.redirect_port)).await;
        let listener = listening.map_err(|error| {
            wrong(format!("cannot listen on port {}: {error}", settings.redirect_port))
        })?;
        let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
        let mut connecting = Self {
            adapter,
            file,
            settings,
            listener,
            address: String::new(),
            redirect: format!("http://127.0.0.1:{port}/callback"),
            state: random()?,
            verifier: random()?,
        };
        connecting.address = connecting.authorize()?;
        Ok(connecting)
    }

    /// The address that a person opens to grant access.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn authorize(&self) -> Result<String, AdapterError> {
        let (oauth, session) = self.first()?;
        let client_id = self.settings.client_id.clone().map_or_else(|| oauth.client(session), Ok);
        let client_id = client_id.map_err(refused)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, self.verifier.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(digest);
        let scopes = self.settings.scopes.join(" ");
        let mut url = reqwest::Url::parse(&self.settings.authorize_url).map_err(|error| {
            AdapterError::Settings(format!("`authorize_url` is no address: {error}"))
        })?;
        {
            let mut query = url.query_pairs_mut();
            for (name, value) in &self.settings.parameters {
                query.append_pair(name, value);
            }
            query.append_pair("response_type", "code").append_pair("client_id", &client_id);
            query.append_pair("redirect_uri", &self.redirect).append_pair("state", &self.state);
            query.append_pair("code_challenge", &challenge);
            query.append_pair("code_challenge_method", "S256");
            if !scopes.is_empty() {
                query.append_pair("scope", &scopes);
            }
        }
        Ok(url.into())
    }

    fn first(&self) -> Result<(&OAuth, &Arc<Session>), AdapterError> {
        let mut found = self.adapter.authorizations();
        found.next().ok_or_else(|| AdapterError::Settings("there is no OAuth".to_owned()))
    }

    /// Waits until the person has decided, asks for the tokens and keeps them.
    ///
    /// # Errors
    ///
    /// When access was denied, or the tokens cannot be had or kept.
    pub async fn finish(self) -> Result<(), AdapterError> {
        let code = loop {
            let accepted = self.listener.accept().await;
            let (stream, _) = accepted.map_err(|error| {
                AdapterError::Settings(format!("cannot take the browser's answer: {error}"))
            })?;
            let answered = tokio::time::timeout(REQUEST_TIMEOUT, self.answer(stream)).await;
            match answered {
                // Some other request, or none at all: browsers also ask for icons.
                Err(_) | Ok(Ok(None)) => {}
                Ok(Ok(Some(code))) => break code,
                Ok(Err(error)) => return Err(error),
            }
        };
        let (oauth, session) = self.first()?;
        let mut arguments = Map::new();
        let mut put = |name: &str, value: &str| {
            arguments.insert(name.to_owned(), Json::from(value));
        };
        put("grant_type", "authorization_code");
        put("code", &code);
        put("redirect_uri", &self.redirect);
        put("code_verifier", &self.verifier);
        let client_id = self.settings.client_id.clone().map_or_else(|| oauth.client(session), Ok);
        put("client_id", &client_id.map_err(refused)?);
        let secret = self.settings.client_secret.clone();
        let secret = secret.map_or_else(|| oauth.secret(session), |secret| Ok(Some(secret)));
        if let Some(secret) = secret.map_err(refused)? {
            put("client_secret", &secret);
        }
        let endpoint = self.settings.token_url.clone();
        let endpoint = endpoint.map_or_else(|| oauth.place(session), Ok).map_err(refused)?;
        let form = Form { endpoint, headers: Map::new(), arguments, in_query: false };
        let response = match receive(form.send(session).await).await.map_err(refused)? {
            Outcome::Response(response) => response,
            Outcome::Unreachable(problem) => return Err(refused(Trouble::transient(problem))),
        };
        let tokens = oauth.granted(session, &response).map_err(refused)?;
        let _held = self.file.lock().await.map_err(AdapterError::Settings)?;
        for (oauth, session) in self.adapter.authorizations() {
            let key = oauth.key(session).map_err(refused)?;
            self.file.set(&key, &tokens).map_err(AdapterError::Settings)?;
        }
        Ok(())
    }

    /// Answers one request of the browser: the code, where it brings one.
    async fn answer(&self, stream: TcpStream) -> Result<Option<String>, AdapterError> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        let mut reader = tokio::io::AsyncReadExt::take(&mut stream, REQUEST_HEAD_MAX);
        // The whole head is read: a browser may show no answer to a request that it was still sending.
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
        let line = head.lines().next().unwrap_or_default();
        let target = line.split(' ').nth(1).unwrap_or_default();
        let url = reqwest::Url::parse("http://127.0.0.1").and_then(|base| base.join(target)).ok();
        let url = url.filter(|url| url.path() == "/callback");
        let get = |name: &str| {
            let url = url.as_ref()?;
            url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        // A request with another state was not set off by us.
        let is_ours = get("state").is_some_and(|state| state == self.state);
        let (status, text) = match (is_ours, get("code")) {
            (true, Some(_)) => ("200 OK", "Access was granted. You can close this page."),
            (true, None) => ("200 OK", "Access was not granted. You can close this page."),
            (false, _) => ("404 Not Found", "There is nothing here."),
        };
        let reply = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        // Whether the page is seen changes nothing.
        drop(stream.get_mut().write_all(reply.as_bytes()).await);
        drop(stream.get_mut().shutdown().await);
        match (is_ours, get("code")) {
            (false, _) => Ok(None),
            (true, Some(code)) => Ok(Some(code)),
            (true, None) => {
                let why = get("error_description").or_else(|| get("error")).unwrap_or_default();
                Err(refused(Trouble::config(format!("access was not granted: {why}"))))
            }
        }
    }
}

fn refused(trouble: Trouble) -> AdapterError {
    AdapterError::Settings(trouble.message)
}

/// 32 random bytes, as text: 43 characters that need no escape.
fn random() -> Result<String, AdapterError> {
    let mut bytes = [0_u8; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| AdapterError::Settings("the system has no random numbers".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
