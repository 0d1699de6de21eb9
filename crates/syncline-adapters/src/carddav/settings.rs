//! The settings of a connection and its address books, checked.

use super::field::SHAPE;
use crate::AdapterError;
use reqwest::Url;
use std::net::IpAddr;
use std::time::Duration;
use syncline_core::config::model::{Connection, Entity, EntitySettings, Settings, VcardVersion};

const TIMEOUT_S: u32 = 60;

/// How the server is reached.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) url: Url,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) timeout: Duration,
}

/// Which address book an entity is.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: Option<String>,
    pub(super) version: VcardVersion,
    /// Whether it is wanted when cards changed, as the server knows it.
    pub(super) dated: bool,
}

impl Place {
    pub(super) fn new(connection: &Connection) -> Result<Self, AdapterError> {
        let wrong = |problem: &str| AdapterError::Settings(format!("`settings`: {problem}"));
        let Settings::Carddav(own) = &connection.settings else {
            return Err(wrong("they are not those of a CardDAV server"));
        };
        let url = own.url.as_deref().ok_or_else(|| wrong("`url` is missing"))?;
        let mut url: Url = url
            .parse()
            .map_err(|_| wrong("`url` is no address such as `https://dav.example.com/`"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("`url` has a user in it; name `user` and `password` instead"));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if is_here || own.allow_http == Some(true) => {}
            "http" => {
                return Err(wrong(
                    "`url` is not encrypted, and everybody in between would read the password; \
                     use `https:`, or say `allow_http: true`",
                ));
            }
            _ => return Err(wrong("`url` begins with neither `https:` nor `http:`")),
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        url.set_query(None);
        url.set_fragment(None);
        let timeout = Duration::from_secs(u64::from(own.timeout_s.unwrap_or(TIMEOUT_S)));
        let user = own.user.clone().ok_or_else(|| wrong("`user` is missing"))?;
        let password = own.password.clone().unwrap_or_default();
        Ok(Self { url, user, password, timeout })
    }
}

impl Spec {
    pub(super) fn new(name: &str, entity: &Entity) -> Result<Self, AdapterError> {
        let wrong = |problem: &str| AdapterError::Settings(format!("entity `{name}`: {problem}"));
        let EntitySettings::AddressBook(own) = &entity.settings else {
            return Err(wrong("its settings are not those of an address book"));
        };
        if entity.key.as_slice() != ["href"] {
            return Err(wrong("`key` must be `href`: a deleted card is known by nothing else"));
        }
        if entity.version.as_ref().is_some_and(|version| version != "etag") {
            return Err(wrong("`version` must be `etag`"));
        }
        if let Some(field) = &entity.modified
            && SHAPE.position(field).is_none()
        {
            return Err(wrong(&format!("a card has no field `{field}`; `modified` is one")));
        }
        Ok(Self {
            name: own.address_book.clone(),
            version: own.vcard_version.unwrap_or_default(),
            dated: entity.modified.as_deref() == Some("modified"),
        })
    }
}
