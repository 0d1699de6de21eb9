//! What systems send by themselves when records change.

use super::{Condition, OneOrMany};
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Messages that a system sends when records change. `syncline listen` takes them in. A message only says which records are
/// to be looked at: what they hold is read from the system.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// How the messages are signed. What is not signed so is refused, whatever a message says of itself.
    pub signature: WebhookSignature,
    /// The secrets that they are signed with, such as `${env:CRM_WEBHOOK_SECRET}`: several while one replaces another.
    pub secrets: OneOrMany<String>,
    /// The address that the system sends to, as it was told. `hubspot` signs it along.
    #[serde(default)]
    pub address: Option<String>,
    /// How far the time that a message was signed at may be from now, in seconds. Default 300.
    #[serde(default)]
    pub tolerance_s: Option<u32>,
    /// Which records a message is about.
    pub records: Vec<WebhookRecords>,
}

impl fmt::Debug for Webhook {
    /// Leaves the secrets out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("signature", &self.signature)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

/// How messages are signed: all with HMAC-SHA256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WebhookSignature {
    /// As Standard Webhooks says: `webhook-signature` over id, time and body.
    Standard,
    /// As GitHub does: `X-Hub-Signature-256` over the body.
    Github,
    /// As HubSpot does: `X-HubSpot-Signature-v3` over method, address, body and time.
    Hubspot,
    /// As Notion does: `X-Notion-Signature` over the body.
    Notion,
    /// As Stripe does: `Stripe-Signature` over time and body.
    Stripe,
}

/// Records of an entity that a message names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WebhookRecords {
    /// The entity.
    pub entity: String,
    /// The list in the message that has an item for each record, `a.b` reaching into maps. Default: the message itself, or
    /// its items where it is a list.
    #[serde(default)]
    pub each: Option<String>,
    /// The field or fields of an item that hold the record's key, in the order of the entity's `key`. Without it, all that
    /// is known is that something is new: the entity's tasks read what that is.
    #[serde(default)]
    pub key: Option<OneOrMany<String>>,
    /// Only items that meet this condition.
    #[serde(default)]
    pub when: Option<Condition>,
}
