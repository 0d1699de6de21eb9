//! What goes wrong while a connector is loaded or read.

use super::interpolate::Fault;
use crate::AdapterError;

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The configuration or the credentials: the user.
    Config,
    /// The connector or the API: whoever wrote it.
    System,
    /// Syncline, which does not know a part of the connector: the reference implementation can read it.
    Unsupported,
    /// Nobody: trying again can help.
    Transient,
}

impl FailureKind {
    /// The name that the Airbyte protocol has for it.
    pub(super) fn protocol_name(self) -> &'static str {
        match self {
            Self::Config | Self::Unsupported => "config_error",
            Self::System => "system_error",
            Self::Transient => "transient_error",
        }
    }

    /// The kind that a manifest names.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "config_error" => Some(Self::Config),
            "system_error" => Some(Self::System),
            "transient_error" => Some(Self::Transient),
            _ => None,
        }
    }
}

/// Why a connector cannot go on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// Who has to act.
    pub kind: FailureKind,
    /// What happened, for people.
    pub message: String,
}

impl Trouble {
    /// The user has to act.
    pub fn config(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Config, message: message.into() }
    }

    pub(super) fn system(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::System, message: message.into() }
    }

    pub(super) fn transient(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Transient, message: message.into() }
    }

    /// The error as the adapter's caller gets it.
    pub(super) fn into_adapter(self, what: &str) -> AdapterError {
        let (what, problem) = (what.to_owned(), self.message);
        match self.kind {
            FailureKind::Transient => {
                AdapterError::Unavailable { what, problem, retry_after_ms: None }
            }
            _ => AdapterError::Refused { what, problem },
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Type => Self::system("a template does not fit the types of its values"),
            Fault::Undefined(what) | Fault::Error(what) => Self::system(what),
        }
    }
}
