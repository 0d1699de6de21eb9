//! Writing through a connector: the `write` block of a stream, which the connector language itself does not have.
//!
//! `load` reads and checks the blocks, `operation` makes requests of writes, `send` sends them one by one or in
//! batches, `around` asks for what they need to know before, `settle` says what replies come to by `outcome`, and `look` reads records back.

mod around;
mod batch;
mod load;
mod look;
mod numbers;
mod operation;
mod outcome;
mod send;
mod settle;

pub(super) use load::load;

use super::interpolate::Template;
use super::load::Stream;
use super::session::Session;
use crate::AdapterError;
use crate::write::{CreateGuard, Replies, UpdateGuard, Write, WriteCapabilities};
use operation::{Look, Operation};
use outcome::Kind;
use std::sync::Arc;
use syncline_core::config::model::WriteBlock;

/// So many writes are sent in a call where nothing is sent in batches.
const SINGLY_MAX: usize = 50;

/// What names the records of an entity.
#[derive(Clone, Debug, Default)]
pub(super) struct Naming {
    pub(super) key: Vec<String>,
    /// The field of the version.
    pub(super) version: Option<String>,
}

/// How one stream is written, compiled.
pub(super) struct Writing {
    stream: Arc<Stream>,
    block: WriteBlock,
    /// Makes records: `create` or `upsert`.
    create: Option<Operation>,
    update: Option<Operation>,
    delete: Option<Operation>,
    get: Look,
    find: Option<Look>,
    context: Option<Look>,
    /// The fields that name a record, and the one that holds its version.
    key: Vec<String>,
    version_field: Option<String>,
    /// The address that paths belong to, where it is not the stream's.
    base: Option<Template>,
    /// The field that holds the version, and what it is.
    version: Option<(String, Template)>,
}

impl Writing {
    /// How the records of `stream` are written that `naming` names. `None` where the block is not whole, which [`load`]
    /// refuses.
    pub(super) fn new(stream: &Arc<Stream>, block: &WriteBlock, naming: &Naming) -> Option<Self> {
        let operation = |kind, one| Operation::new(kind, one, block.null_as.as_ref());
        let create = block.create.as_ref().map(|one| operation(Kind::Create, one));
        let upsert = block.upsert.as_ref().map(|one| operation(Kind::Upsert, one));
        Some(Self {
            stream: stream.clone(),
            create: create.or(upsert),
            update: block.update.as_ref().map(|one| operation(Kind::Update, one)),
            delete: block.delete.as_ref().map(|one| operation(Kind::Delete, one)),
            get: Look::new(block.get.as_ref()?),
            find: block.find.as_ref().map(Look::new),
            context: block.context.as_ref().map(Look::new),
            key: naming.key.clone(),
            version_field: naming.version.clone(),
            base: block.url_base.as_deref().map(Template::new),
            version: block
                .version
                .as_ref()
                .map(|one| (one.field.clone(), Template::new(&one.value))),
            block: block.clone(),
        })
    }

    fn operations(&self) -> impl Iterator<Item = &Operation> {
        [&self.create, &self.update, &self.delete].into_iter().flatten()
    }

    /// What the system promises of its writes. `is_versioned`: the entity names the field of its version.
    pub(super) fn capabilities(
        &self,
        entity: &str,
        is_versioned: bool,
    ) -> Result<WriteCapabilities, AdapterError> {
        if !is_versioned && self.operations().any(Operation::needs_version) {
            return Err(AdapterError::Settings(format!(
                "entity {entity}: its writes are made on condition of a version, so the entity needs `version`, the \
                 field that it stands in"
            )));
        }
        let milliseconds = |seconds: u64| seconds.saturating_mul(1000);
        Ok(WriteCapabilities {
            create: self.create_guard(),
            update: self.update_guard(),
            deletes: self.delete.is_some(),
            batch_max: self.batch_max(),
            lands_within_ms: milliseconds(self.block.lands_within_s.max(self.block.timeout_s)),
            found_within_ms: milliseconds(self.block.found_within_s),
            granularity_us: i64::try_from(self.block.granularity_ms.max(1).saturating_mul(1000))
                .unwrap_or(i64::MAX),
        })
    }

    fn create_guard(&self) -> CreateGuard {
        let Some(create) = &self.create else { return CreateGuard::Nothing };
        let declared = &create.declared;
        let is_unique =
            declared.unique || (!declared.key.is_empty() && declared.condition.is_some());
        match (&declared.idempotency_key, &declared.marker) {
            _ if create.kind == Kind::Upsert => CreateGuard::Upsert,
            _ if is_unique => CreateGuard::UniqueKey,
            (Some(place), _) => CreateGuard::IdempotencyKey {
                remembered_ms: place.remembered_s.saturating_mul(1000),
            },
            (None, Some(_)) => CreateGuard::Marker,
            (None, None) => CreateGuard::Nothing,
        }
    }

    /// The weaker one of updates and deletions.
    fn update_guard(&self) -> UpdateGuard {
        let changes = [&self.update, &self.delete].into_iter().flatten();
        let mut granularity_ms = 0;
        for change in changes {
            match &change.declared.condition {
                Some(condition) => granularity_ms = condition.granularity_ms.max(granularity_ms),
                None => return UpdateGuard::Nothing,
            }
        }
        match granularity_ms {
            0 => UpdateGuard::Strong,
            granularity_ms => UpdateGuard::Weak { granularity_ms },
        }
    }

    fn batch_max(&self) -> usize {
        if let Some(batch) = &self.block.batch {
            return batch.size_max;
        }
        let sizes = self.operations().filter_map(|one| Some(one.declared.batch.as_ref()?.size_max));
        let size = sizes.min().unwrap_or(SINGLY_MAX);
        match self.update_guard() {
            // They are read before and after, so as many are sent in a row as are read in one request.
            UpdateGuard::Nothing => size.max(self.get.declared.keys_max),
            _ => size,
        }
    }

    /// The way in which a write is made, or why there is none.
    fn operation(&self, write: &Write) -> Result<&Operation, String> {
        use crate::write::Change::{Create, Delete, Update};
        let (operation, what) = match &write.change {
            Create { .. } => (&self.create, "make"),
            Update { .. } => (&self.update, "change"),
            Delete { .. } => (&self.delete, "delete"),
        };
        operation.as_ref().ok_or_else(|| format!("the connector has no way to {what} a record"))
    }

    /// Sends writes, each once, and says what became of them.
    pub(super) async fn write(&self, session: &Session, writes: Vec<Write>) -> Replies {
        send::write(self, session, writes).await
    }
}
