//! Contacts on a CardDAV server.
//!
//! [`book`] finds an address book and lists what changed in it, [`read`] reads cards in batches, [`write`](self::write)
//! changes them one by one under conditions. A [`card`] keeps the lines that nobody changes, byte for byte; [`field`] says
//! which lines are which fields.

mod book;
mod card;
mod client;
mod dates;
mod field;
mod multistatus;
mod read;
mod settings;
#[cfg(test)]
mod tests;
mod write;

use crate::write::Writer;
use crate::{
    Adapter, AdapterError, Capabilities, DiscoveredEntity, ReadEnd, ReadRequest, discover,
};
use book::Book;
use client::Client;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use settings::{Place, Spec};
use std::collections::BTreeMap;
use syncline_core::config::model::Connection;
use syncline_core::record::Page;
use tokio::sync::{OnceCell, mpsc};

const SAMPLE_LEN: usize = 100;

/// Reads and writes the address books of one user at one server.
pub(crate) struct CarddavAdapter {
    client: Client,
    entities: BTreeMap<String, (Spec, OnceCell<Book>)>,
}

impl CarddavAdapter {
    /// An adapter for the entities of `connection`.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Settings`] where the settings cannot work.
    pub(crate) fn new(connection: &Connection) -> Result<Self, AdapterError> {
        let client = Client::new(Place::new(connection)?)?;
        let mut entities = BTreeMap::new();
        for (name, entity) in &connection.entities {
            entities.insert(name.clone(), (Spec::new(name, entity)?, OnceCell::new()));
        }
        Ok(Self { client, entities })
    }

    fn spec(&self, entity: &str) -> Result<&(Spec, OnceCell<Book>), AdapterError> {
        self.entities.get(entity).ok_or_else(|| {
            AdapterError::Settings(format!("the connection has no entity `{entity}`"))
        })
    }

    /// The address book of an entity, which is looked for once.
    async fn book(&self, entity: &str) -> Result<&Book, AdapterError> {
        let (spec, book) = self.spec(entity)?;
        let found = book.get_or_try_init(|| Book::find(&self.client, spec)).await;
        found.map_err(|fault| fault.into_adapter(self.client.url().as_str()))
    }
}

impl Adapter for CarddavAdapter {
    fn capabilities(&self) -> Capabilities {
        Capabilities { resumes: true, lists_all: true, reading_costs_calls: true }
    }

    fn check<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<(), AdapterError>> {
        async move { self.sample(entity, 1).await.map(|_| ()) }.boxed()
    }

    fn discover<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<DiscoveredEntity, AdapterError>> {
        async move {
            let sample = self.sample(entity, SAMPLE_LEN).await?;
            Ok(discover::entity(entity, sample))
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        request: ReadRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'a, Result<ReadEnd, AdapterError>> {
        async move { self.read_book(request, &pages).await }.boxed()
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}
