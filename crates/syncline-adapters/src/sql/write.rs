//! Writing: a batch is one transaction. The rows that it is for are locked and compared with what the writer knew of
//! them; then statements of many rows each change those that are as they should be. What a constraint refuses is
//! found by halving the batch, so that one bad row holds up no other.

use super::batch::{Batch, by_key, chunks, key_of};
use super::session::{Fault, FaultKind, Session};
use super::settings::Spec;
use super::statement::Dialect;
use super::table::{Column, Kind};
use super::{Known, SqlAdapter, unreadable};
use crate::AdapterError;
use crate::write::{CreateGuard, Replies, UpdateGuard, Write, WriteCapabilities, Writer, Written};
use compact_str::CompactString;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use syncline_core::record::{Cursor, Page};

/// So many rows are bound in one statement; all dialects take many more values.
pub(super) const BATCH_MAX: usize = 1000;

impl Writer for SqlAdapter {
    fn capabilities<'a>(
        &'a self,
        entity: &'a str,
    ) -> BoxFuture<'a, Result<WriteCapabilities, AdapterError>> {
        async move {
            let spec = self.spec(entity)?;
            let known = self.known(spec).await.map_err(|fault| unreadable(spec, fault))?;
            let wrong = |problem: &str| {
                AdapterError::Settings(format!(
                    "`{}` cannot be written: {problem}",
                    spec.table.name
                ))
            };
            if known.table.is_view {
                return Err(wrong("it is a view"));
            }
            if !known.table.is_unique(&spec.key) {
                return Err(wrong("no unique index says that its `key` comes once only"));
            }
            Ok(WriteCapabilities {
                create: create_guard(spec, &known),
                update: UpdateGuard::Strong,
                deletes: true,
                batch_max: BATCH_MAX,
                lands_within_ms: self.database.lands_within_ms(),
                found_within_ms: 0,
                granularity_us: granularity_us(spec, &known),
            })
        }
        .boxed()
    }

    fn create_guard<'a>(
        &'a self,
        entity: &'a str,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<CreateGuard, AdapterError>> {
        async move {
            let spec = self.spec(entity)?;
            let known = self.known(spec).await.map_err(|fault| unreadable(spec, fault))?;
            let writes = std::slice::from_ref(write);
            let batch = Batch::new(self.database.dialect(), spec, &known, writes);
            Ok(if !batch.unique_values().is_empty() {
                CreateGuard::UniqueKey
            } else if spec.marker.is_some() {
                CreateGuard::Marker
            } else {
                CreateGuard::Nothing
            })
        }
        .boxed()
    }

    fn write<'a>(&'a self, entity: &'a str, writes: Vec<Write>) -> BoxFuture<'a, Replies> {
        async move {
            let not_sent = |problem: String| Replies {
                written: vec![Written::NotSent { problem, retry_after_ms: None }; writes.len()],
                ..Replies::default()
            };
            let spec = match self.spec(entity) {
                Ok(spec) => spec,
                Err(error) => return not_sent(error.to_string()),
            };
            match self.write_batch(spec, &writes).await {
                Ok(replies) => replies,
                Err(fault) => not_sent(fault.problem),
            }
        }
        .boxed()
    }

    fn get<'a>(
        &'a self,
        entity: &'a str,
        keys: Vec<Vec<CompactString>>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        async move {
            let spec = self.spec(entity)?;
            let found = async {
                let (mut session, known) = self.ready(spec).await?;
                let dialect = self.database.dialect();
                let keys = keys.iter().filter_map(|key| key_of(dialect, &known, key).ok());
                let mut rows = Vec::new();
                for keys in chunks(keys.collect()) {
                    rows.extend(by_key(session.as_mut(), dialect, &known, keys).await?);
                }
                self.put_back(session).await;
                Ok(known.page(rows, 1, Cursor::Null))
            };
            found.await.map_err(|fault| unreadable(spec, fault))
        }
        .boxed()
    }

    fn find<'a>(
        &'a self,
        entity: &'a str,
        writes: Vec<Write>,
    ) -> BoxFuture<'a, Result<Page, AdapterError>> {
        async move {
            let spec = self.spec(entity)?;
            let found = async {
                let (mut session, known) = self.ready(spec).await?;
                let mut batch = Batch::new(self.database.dialect(), spec, &known, &writes);
                let rows = batch.find(session.as_mut()).await?;
                self.put_back(session).await;
                Ok(known.page(rows, 1, Cursor::Null))
            };
            found.await.map_err(|fault| unreadable(spec, fault))
        }
        .boxed()
    }
}

impl SqlAdapter {
    /// A session for writing: the idle one, or a new one.
    async fn session(&self) -> Result<Box<dyn Session>, Fault> {
        match self.idle.lock().await.take() {
            Some(session) => Ok(session),
            None => self.database.connect(true).await,
        }
    }

    async fn put_back(&self, session: Box<dyn Session>) {
        *self.idle.lock().await = Some(session);
    }

    /// A session that is in working order, and the table as it is now. An idle session may have died of old age.
    async fn ready(&self, spec: &Spec) -> Result<(Box<dyn Session>, Known), Fault> {
        let mut session = self.session().await?;
        match Known::new(session.as_mut(), spec).await {
            Err(fault) if fault.kind == FaultKind::Lost => {}
            known => return Ok((session, known?)),
        }
        let mut session = self.database.connect(true).await?;
        let known = Known::new(session.as_mut(), spec).await?;
        Ok((session, known))
    }

    async fn known(&self, spec: &Spec) -> Result<Known, Fault> {
        let (session, known) = self.ready(spec).await?;
        self.put_back(session).await;
        Ok(known)
    }

    /// Writes in one transaction.
    ///
    /// # Errors
    ///
    /// When surely nothing was written.
    fn write_batch<'a>(
        &'a self,
        spec: &'a Spec,
        writes: &'a [Write],
    ) -> BoxFuture<'a, Result<Replies, Fault>> {
        async move {
            let (mut session, known) = self.ready(spec).await?;
            let mut batch = Batch::new(self.database.dialect(), spec, &known, writes);
            let begin = match self.database.dialect() {
                Dialect::Sqlite => "BEGIN IMMEDIATE",
                Dialect::Postgres | Dialect::MySql => "START TRANSACTION",
            };
            session.execute(begin, Vec::new()).await?;
            if let Err(fault) = batch.run(session.as_mut()).await {
                self.roll_back(session).await;
                return Ok(batch.undone(&fault.problem));
            }
            match session.execute("COMMIT", Vec::new()).await {
                Ok(_) => {}
                Err(fault) if fault.kind == FaultKind::Lost => {
                    return Ok(batch.unknown(&fault.problem));
                }
                Err(fault) => {
                    self.roll_back(session).await;
                    // A constraint that is looked at last refused one of them: each is tried alone.
                    if writes.len() > 1 && fault.kind != FaultKind::Aborted {
                        return Ok(self.write_singly(spec, &known, writes).await);
                    }
                    return Ok(batch.rejected(fault));
                }
            }
            self.put_back(session).await;
            Ok(batch.replies())
        }
        .boxed()
    }

    /// Undoes what was not committed. Where even this fails, the session is dropped, which undoes it, too.
    async fn roll_back(&self, mut session: Box<dyn Session>) {
        if session.execute("ROLLBACK", Vec::new()).await.is_ok() {
            self.put_back(session).await;
        }
    }

    async fn write_singly(&self, spec: &Spec, known: &Known, writes: &[Write]) -> Replies {
        let mut all =
            Replies { records: known.page(Vec::new(), 1, Cursor::Null), ..Replies::default() };
        for write in writes {
            let one = self.write_batch(spec, std::slice::from_ref(write)).await;
            let mut one = one.unwrap_or_else(|fault| Replies {
                written: vec![Written::NotSent { problem: fault.problem, retry_after_ms: None }],
                ..Replies::default()
            });
            for written in &mut one.written {
                if let Written::Done { record: Some(record), .. } = written {
                    *record += all.records.records.len();
                }
            }
            all.written.append(&mut one.written);
            all.records.records.append(&mut one.records.records);
        }
        all
    }
}

fn create_guard(spec: &Spec, known: &Known) -> CreateGuard {
    let is_ours = |name: &CompactString| {
        known.table.find(name).is_some_and(|column| !column.serial && !column.generated)
    };
    if known.table.unique.iter().any(|names| names.iter().all(is_ours)) {
        CreateGuard::UniqueKey
    } else if spec.marker.is_some() {
        CreateGuard::Marker
    } else {
        CreateGuard::Nothing
    }
}

fn granularity_us(spec: &Spec, known: &Known) -> i64 {
    let modified = spec.modified.as_ref().and_then(|name| known.table.find(name));
    match modified {
        Some(Column { kind: Kind::Date, .. }) => 86_400_000_000,
        Some(Column { places: Some(places), .. }) => 10_i64.pow(6_u32.saturating_sub(*places)),
        _ => 1,
    }
}
