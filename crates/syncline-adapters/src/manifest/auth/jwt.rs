//! JSON Web Tokens (RFC 7519), signed with a secret or a private key of the configuration.

use super::super::expression::{Expression, Inputs, Options};
use super::super::interpolate::{Accept, Scope};
use super::super::load::Node;
use super::super::request::{Parts, RequestOption};
use super::super::session::Session;
use super::super::trouble::Trouble;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::{hmac, signature};
use serde_json::{Map, Value as Json};

/// Signs a token for each request.
pub(in super::super) struct Jwt {
    algorithm: String,
    secret: Expression,
    secret_in_base64: Option<Expression>,
    seconds: i64,
    prefix: Option<Expression>,
    header: Vec<(&'static str, Expression)>,
    payload: Vec<(&'static str, Expression)>,
    more_header: Inputs,
    more_payload: Inputs,
    option: RequestOption,
}

impl Jwt {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        if node.get("passphrase").is_some() {
            return Err(Trouble::config(format!("`{}.passphrase` is not supported", node.path)));
        }
        let named = |component: &str, names: &[&'static str]| {
            let child = node.child(component);
            let value = |name: &'static str| Some((name, child.as_ref()?.expression(name)?));
            names.iter().copied().filter_map(value).collect()
        };
        let option = match node.child("request_option") {
            Some(option) => RequestOption::load(&option)?,
            None => RequestOption::header(Expression::new("Authorization", &node.parameters)),
        };
        Ok(Self {
            algorithm: node.text("algorithm").ok_or_else(|| node.missing("algorithm"))?.to_owned(),
            secret: node.needed("secret_key")?,
            secret_in_base64: node.expression("base64_encode_secret_key"),
            seconds: node.int("token_duration").unwrap_or(1200),
            prefix: node.expression("header_prefix"),
            header: named("jwt_headers", &["kid", "typ", "cty"]),
            payload: named("jwt_payload", &["iss", "sub", "aud"]),
            more_header: node.inputs("additional_jwt_headers"),
            more_payload: node.inputs("additional_jwt_payload"),
            option,
        })
    }

    /// Puts a signed token into the request.
    pub(super) fn put(&self, session: &Session, parts: &mut Parts) -> Result<(), Trouble> {
        self.option.put(session, parts, Json::String(self.token(session)?))
    }

    /// A signed token, after its prefix where it has one.
    pub(super) fn token(&self, session: &Session) -> Result<String, Trouble> {
        let scope = || session.scope().with_json_loads();
        let token = self.sign(session, &scope)?;
        Ok(match &self.prefix {
            Some(prefix) => format!("{} {token}", prefix.text(scope())?),
            None => token,
        })
    }

    fn sign<'a>(
        &'a self,
        session: &Session,
        scope: &dyn Fn() -> Scope<'a>,
    ) -> Result<String, Trouble> {
        let evaluated = |more: &'a Inputs, own: &'a [(&'static str, Expression)]| {
            let mut map = match more.eval(scope, Accept::Any)? {
                Options::Map(map) => map,
                Options::Text(_) => Map::new(),
            };
            for (name, value) in own {
                map.insert((*name).to_owned(), value.eval(scope())?);
            }
            Ok::<_, Trouble>(map)
        };
        let mut header = evaluated(&self.more_header, &self.header)?;
        header.insert("alg".to_owned(), Json::from(self.algorithm.as_str()));
        header.entry("typ").or_insert_with(|| Json::from("JWT"));
        header.sort_keys();
        let mut payload = evaluated(&self.more_payload, &self.payload)?;
        let now = session.clock.now() / 1_000_000;
        payload.insert("iat".to_owned(), now.into());
        payload.insert("exp".to_owned(), (now + self.seconds).into());
        payload.insert("nbf".to_owned(), now.into());
        let encode = |map| URL_SAFE_NO_PAD.encode(Json::Object(map).to_string());
        let message = format!("{}.{}", encode(header), encode(payload));
        let mut secret = self.secret.text(scope())?;
        if let Some(condition) = &self.secret_in_base64
            && condition.holds(scope())?
        {
            secret = STANDARD.encode(secret);
        }
        let signature = signature(&self.algorithm, &secret, message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn signature(algorithm: &str, secret: &str, message: &[u8]) -> Result<Vec<u8>, Trouble> {
    let with_secret = |algorithm| {
        let key = hmac::Key::new(algorithm, secret.as_bytes());
        Ok(hmac::sign(&key, message).as_ref().to_vec())
    };
    let rsa = |encoding: &'static dyn signature::RsaEncoding| {
        let (der, is_pkcs8) = private_key(secret)?;
        let key = if is_pkcs8 {
            signature::RsaKeyPair::from_pkcs8(&der)
        } else {
            signature::RsaKeyPair::from_der(&der)
        };
        let key = key.map_err(|error| bad_key(&error))?;
        let mut out = vec![0; key.public().modulus_len()];
        key.sign(encoding, &SystemRandom::new(), message, &mut out).map_err(|e| bad_key(&e))?;
        Ok(out)
    };
    let ecdsa = |algorithm: &'static signature::EcdsaSigningAlgorithm| {
        let random = SystemRandom::new();
        let key = signature::EcdsaKeyPair::from_pkcs8(algorithm, &private_key(secret)?.0, &random);
        let signed = key.map_err(|error| bad_key(&error))?.sign(&random, message);
        Ok(signed.map_err(|error| bad_key(&error))?.as_ref().to_vec())
    };
    match algorithm {
        "HS256" => with_secret(hmac::HMAC_SHA256),
        "HS384" => with_secret(hmac::HMAC_SHA384),
        "HS512" => with_secret(hmac::HMAC_SHA512),
        "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
        "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
        "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
        "PS256" => rsa(&signature::RSA_PSS_SHA256),
        "PS384" => rsa(&signature::RSA_PSS_SHA384),
        "PS512" => rsa(&signature::RSA_PSS_SHA512),
        "ES256" => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        "ES384" => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        "EdDSA" => {
            let key =
                signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private_key(secret)?.0);
            Ok(key.map_err(|error| bad_key(&error))?.sign(message).as_ref().to_vec())
        }
        _ => Err(Trouble::config(format!("tokens signed with `{algorithm}` are not supported"))),
    }
}

fn bad_key(problem: &dyn std::fmt::Display) -> Trouble {
    Trouble::config(format!("the private key cannot be used: {problem}"))
}

/// The bytes of a private key in PEM (RFC 7468), and whether they are PKCS #8.
fn private_key(pem: &str) -> Result<(Vec<u8>, bool), Trouble> {
    let pem = pem.replace("\\n", "\n");
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let bytes = STANDARD.decode(body.replace([' ', '\r'], ""));
    let bytes = bytes.map_err(|_| bad_key(&"it is no PEM"))?;
    Ok((bytes, !pem.contains("BEGIN RSA PRIVATE KEY")))
}
