//! Whether a message is from who it should be from, and from now.
//!
//! The configuration says how messages are signed; nothing in a message has a say in it. All are signed with HMAC-SHA256
//! (RFC 2104) over the bytes as they came:
//! [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md),
//! [GitHub](https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries),
//! [HubSpot, version 3](https://developers.hubspot.com/docs/api/webhooks/validating-requests),
//! [Notion](https://developers.notion.com/reference/webhooks),
//! [Stripe](https://docs.stripe.com/webhooks#verify-manually).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use syncline_core::config::model::{Webhook, WebhookSignature};
use thiserror::Error;

/// How far a message's time may be from now where the configuration does not say, in seconds.
const TOLERANCE_S: u32 = 300;

/// The longest token that is taken for one.
const TOKEN_LEN_MAX: usize = 200;

/// What begins a secret of Standard Webhooks; the rest is Base64.
const SECRET_PREFIX: &str = "whsec_";

/// Checks the signatures of a webhook's messages.
pub(super) struct Verifier {
    signature: WebhookSignature,
    keys: Vec<hmac::Key>,
    address: String,
    tolerance_us: i64,
}

/// Why a message is not taken for one of the system.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    /// A header is missing, or cannot be read.
    #[error("the message has no proper `{0}`")]
    NoHeader(&'static str),
    /// It was signed too long ago, or in the future.
    #[error("the message was not signed just now")]
    NotNow,
    /// It was signed with another secret, in another way, or changed since.
    #[error("the message is not signed with a secret of this webhook")]
    Forged,
}

/// A header's value by its name.
pub(super) type Header<'a> = dyn Fn(&str) -> Option<&'a str> + Sync + 'a;

impl Verifier {
    /// # Errors
    ///
    /// When a secret cannot be one.
    pub(super) fn new(webhook: &Webhook) -> Result<Self, String> {
        let key = |secret: &String| {
            let bytes = match secret.strip_prefix(SECRET_PREFIX) {
                Some(text) if webhook.signature == WebhookSignature::Standard => {
                    STANDARD.decode(text).map_err(|_| {
                        format!("what follows `{SECRET_PREFIX}` in a secret is no Base64")
                    })?
                }
                _ => secret.clone().into_bytes(),
            };
            if bytes.is_empty() {
                return Err("with an empty secret, anybody could sign".to_owned());
            }
            Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        };
        let keys = webhook.secrets.as_slice().iter().map(key).collect::<Result<_, String>>()?;
        let tolerance_s = i64::from(webhook.tolerance_s.unwrap_or(TOLERANCE_S));
        Ok(Self {
            signature: webhook.signature,
            keys,
            address: webhook.address.clone().unwrap_or_default(),
            tolerance_us: tolerance_s * 1_000_000,
        })
    }

    /// Makes sure that a message is one of the system's and from now: `now` is in microseconds since 1970.
    pub(super) fn verify(&self, header: &Header<'_>, body: &[u8], now: i64) -> Result<(), Refusal> {
        let needed = |name: &'static str| {
            header(name).filter(|value| !value.is_empty()).ok_or(Refusal::NoHeader(name))
        };
        match self.signature {
            WebhookSignature::Standard => {
                let (id, time) = (needed("webhook-id")?, needed("webhook-timestamp")?);
                self.expect_now(time, "webhook-timestamp", 1_000_000, now)?;
                let signatures = needed("webhook-signature")?.split(' ');
                let signatures = signatures.filter_map(|one| one.strip_prefix("v1,"));
                let signed = [id.as_bytes(), b".", time.as_bytes(), b".", body].concat();
                self.expect_signed(&signed, signatures.filter_map(from_base64))
            }
            WebhookSignature::Github => self.expect_hex(needed("x-hub-signature-256")?, body),
            WebhookSignature::Notion => self.expect_hex(needed("x-notion-signature")?, body),
            WebhookSignature::Hubspot => {
                const TIME: &str = "x-hubspot-request-timestamp";
                let time = needed(TIME)?;
                self.expect_now(time, TIME, 1000, now)?;
                let signature = from_base64(needed("x-hubspot-signature-v3")?);
                let address = self.address.as_bytes();
                let signed = [b"POST", address, body, time.as_bytes()].concat();
                self.expect_signed(&signed, signature.into_iter())
            }
            WebhookSignature::Stripe => {
                const NAME: &str = "stripe-signature";
                let parts: Vec<(&str, &str)> = needed(NAME)?
                    .split(',')
                    .filter_map(|part| part.trim().split_once('='))
                    .collect();
                let time = parts.iter().find(|(name, _)| *name == "t");
                let time = time.map(|(_, value)| *value).ok_or(Refusal::NoHeader(NAME))?;
                self.expect_now(time, NAME, 1_000_000, now)?;
                let signatures = parts.iter().filter(|(name, _)| *name == "v1");
                let signed = [time.as_bytes(), b".", body].concat();
                self.expect_signed(&signed, signatures.filter_map(|(_, hex)| from_hex(hex)))
            }
        }
    }

    /// The token that a system sends before anything else, so that a person brings it to where messages are signed with it:
    /// Notion does so.
    pub(super) fn token(&self, body: &[u8]) -> Option<String> {
        if self.signature != WebhookSignature::Notion {
            return None;
        }
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        let token = body.get("verification_token")?.as_str()?;
        let is_one = token.len() <= TOKEN_LEN_MAX && token.bytes().all(|b| b.is_ascii_graphic());
        is_one.then(|| token.to_owned())
    }

    /// `time` counts units of `unit_us` microseconds since 1970.
    fn expect_now(
        &self,
        time: &str,
        name: &'static str,
        unit_us: i64,
        now: i64,
    ) -> Result<(), Refusal> {
        let time: i64 = time.parse().map_err(|_| Refusal::NoHeader(name))?;
        let apart = now.abs_diff(time.saturating_mul(unit_us));
        if apart > self.tolerance_us.unsigned_abs() { Err(Refusal::NotNow) } else { Ok(()) }
    }

    fn expect_hex(&self, value: &str, body: &[u8]) -> Result<(), Refusal> {
        self.expect_signed(body, value.strip_prefix("sha256=").and_then(from_hex).into_iter())
    }

    /// Whether one of `signatures` is of one of the secrets. Takes as long for a near miss as for a far one.
    fn expect_signed(
        &self,
        signed: &[u8],
        mut signatures: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(), Refusal> {
        let fits = |signature: Vec<u8>| {
            self.keys.iter().any(|key| hmac::verify(key, signed, &signature).is_ok())
        };
        if signatures.any(fits) { Ok(()) } else { Err(Refusal::Forged) }
    }
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let byte = |pair: &[u8]| {
        let high = char::from(pair[0]).to_digit(16)?;
        u8::try_from(high * 16 + char::from(pair[1]).to_digit(16)?).ok()
    };
    digits.chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests;
