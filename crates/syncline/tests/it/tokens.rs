//! Tokens: asked for once however many processes want one, kept where only their owner reads them, granted by a person.

use crate::api::{Answer, Api, Request};
use crate::project::Project;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

const MANIFEST: &str = r#"
type: DeclarativeSource
check: { type: CheckStream, stream_names: [people] }
streams:
  - type: DeclarativeStream
    name: people
    primary_key: id
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: "{{ config['url'] }}/"
        path: people
        authenticator:
          type: OAuthAuthenticator
          token_refresh_endpoint: "{{ config['url'] }}/token"
          client_id: syncline
          client_secret: "{{ config['secret'] }}"
          refresh_token: "{{ config['credentials']['refresh_token'] }}"
          UPDATER
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [] } }
    schema_loader: { type: InlineSchemaLoader, schema: { type: object } }
"#;

const CONFIG: &str = r#"
connections:
  people:
    adapter: manifest
    settings:
      manifest: connector
      allow_private: true
      config: { url: "${var:url}", secret: "s3cret-s3cret", credentials: { FIRST } }
      oauth: { authorize_url: "${var:url}/authorize?tenant=7", scopes: [read, write], parameters: { access_type: offline } }
    entities:
      person: { stream: people, key: id }
shard_types:
  person: { fields: { name: text } }
conversion_schemas:
  person: { shard_type: person, fields: { name: name } }
sync_tasks:
  people: { connection: people, entity: person, conversion_schema: person, mode: full, retry: { max_attempts: 0 } }
"#;

const SINGLE_USE: &str = "refresh_token_updater: {}";

fn project(updater: &str, first: &str) -> Project {
    let project = Project::new(&[("syncline.yaml", &CONFIG.replace("FIRST", first))]);
    std::fs::create_dir(project.path("connector")).unwrap();
    project.write("connector/manifest.yaml", &MANIFEST.replace("UPDATER", updater));
    project
}

/// Hands out tokens, each of which replaces the one before it.
#[derive(Default)]
struct Authority {
    /// How many tokens were handed out.
    count: usize,
    expires_in: u64,
    /// What the code that is expected proves.
    challenge: String,
}

impl Authority {
    fn answer(&mut self, request: &Request) -> Answer {
        if request.path == "/people" {
            let expected = format!("Bearer access-token-{}", self.count);
            return if request.header("authorization") == Some(expected.as_str()) {
                (200, vec![], json!([{"id": 1, "name": "Ada"}]).to_string())
            } else {
                (401, vec![], String::new())
            };
        }
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/token"));
        let form: Vec<(&str, &str)> =
            request.body.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let get = |name: &str| {
            form.iter().find(|(key, _)| *key == name).map(|(_, value)| *value).unwrap_or_default()
        };
        assert_eq!((get("client_id"), get("client_secret")), ("syncline", "s3cret-s3cret"));
        let is_granted = match get("grant_type") {
            "refresh_token" => get("refresh_token") == format!("refresh-token-{}", self.count),
            "authorization_code" => {
                let digest =
                    ring::digest::digest(&ring::digest::SHA256, get("code_verifier").as_bytes());
                let proven = URL_SAFE_NO_PAD.encode(digest) == self.challenge;
                proven && get("code") == "the-code" && get("redirect_uri").contains("127.0.0.1")
            }
            _ => false,
        };
        if !is_granted {
            return (400, vec![], json!({"error": "invalid_grant"}).to_string());
        }
        self.count += 1;
        let body = json!({
            "access_token": format!("access-token-{}", self.count),
            "refresh_token": format!("refresh-token-{}", self.count),
            "expires_in": self.expires_in,
        });
        (200, vec![], body.to_string())
    }
}

fn serve(expires_in: u64) -> (Api, Arc<Mutex<Authority>>) {
    let authority = Arc::new(Mutex::new(Authority { expires_in, ..Authority::default() }));
    let answering = authority.clone();
    (Api::serve(move |request| answering.lock().unwrap().answer(request)), authority)
}

#[test]
fn refresh_tokens_of_one_use_outlast_the_process() {
    for updater in ["", SINGLE_USE] {
        let (api, authority) = serve(0);
        let project = project(updater, "refresh_token: refresh-token-0");
        let url = format!("url={}", api.url);
        for run in 1..=3 {
            let ran = project.run(&["run", "--debug", "--var", &url]);
            assert_eq!(ran.code, Some(0), "{updater} {ran:#?}");
            assert_eq!(
                authority.lock().unwrap().count,
                run,
                "a token that has run out is replaced"
            );
            assert!(!format!("{ran:?}").contains("-token-"), "{ran:#?}");
        }
        let file = project.path("syncline.db.tokens/people.json");
        assert!(std::fs::read_to_string(&file).unwrap().contains("refresh-token-3"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(file), 0o600);
            assert_eq!(mode(project.path("syncline.db.tokens")), 0o700);
        }
    }
}

#[test]
fn many_processes_ask_for_one_token() {
    for updater in ["", SINGLE_USE] {
        let (api, authority) = serve(3600);
        let project = project(updater, "refresh_token: refresh-token-0");
        let url = format!("url={}", api.url);
        let check = || {
            let mut command = project.command(&["check", "--var", &url]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let mut checks: Vec<_> = (0..6).map(|_| check()).collect();
        for check in &mut checks {
            assert!(check.wait().unwrap().success(), "{updater}");
        }
        assert_eq!(authority.lock().unwrap().count, 1, "{updater}");
        // A token that is taken back is replaced, too.
        authority.lock().unwrap().count = 1;
        project.run(&["run", "--var", &url]).expect(0, &["success"]);
        assert_eq!(authority.lock().unwrap().count, 1);
    }
}

/// What a browser would do: opens the address of the callback with a code.
fn open(address: &str) -> String {
    let rest = address.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn a_person_grants_access() {
    let (api, authority) = serve(3600);
    let project = project("", "");
    let url = format!("url={}", api.url);
    let before = project.run(&["run", "--var", &url]);
    assert!(format!("{before:?}").contains("syncline connect"), "{before:#?}");
    let connect = |answer: &dyn Fn(&str, &str) -> String| {
        let mut command = project.command(&["connect", "people", "--var", &url]);
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines =
            BufReader::new(running.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find(|line| line.starts_with("http")).unwrap();
        let (_, query) = address.split_once('?').unwrap();
        let get = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let found = pairs.into_iter().find(|(key, _)| *key == name);
            found.unwrap_or_else(|| panic!("no {name}: {address}")).1.to_owned()
        };
        for (name, value) in [
            ("tenant", "7"),
            ("response_type", "code"),
            ("client_id", "syncline"),
            ("scope", "read+write"),
            ("access_type", "offline"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(get(name), value, "{address}");
        }
        authority.lock().unwrap().challenge = get("code_challenge");
        let redirect = get("redirect_uri").replace("%3A", ":").replace("%2F", "/");
        assert!(open(&redirect.replace("callback", "favicon.ico")).contains("404"));
        assert!(open(&format!("{redirect}?code=evil&state=guessed")).contains("404"));
        let reply = open(&answer(&redirect, &get("state")));
        assert!(reply.contains("200 OK"), "{reply}");
        let said: Vec<String> = lines.collect();
        (running.wait().unwrap().success(), said.join("\n"))
    };
    let (succeeded, _) =
        connect(&|redirect, state| format!("{redirect}?error=access_denied&state={state}"));
    assert!(!succeeded);
    let (succeeded, said) =
        connect(&|redirect, state| format!("{redirect}?code=the-code&state={state}"));
    assert!(succeeded && said.contains("is connected"), "{said}");
    assert!(!said.contains("-token-"), "{said}");
    project.run(&["run", "--var", &url]).expect(0, &["success"]);
    assert_eq!(authority.lock().unwrap().count, 1);
}
