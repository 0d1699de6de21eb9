//! Reading what changed in a table, from the log of a PostgreSQL server (logical replication). The log says which
//! rows changed; what they hold is read from the table, by key. So a row comes as it is now and as a full read gives
//! it, and a change that is read again, after a crash, brings nothing old back.

use super::pgoutput::{self, Datum, Lsn, Message, Relation, Tuple};
use super::session::{Bound, Fault, FaultKind, Row, Session};
use super::settings::Spec;
use super::slot::{Horizon, Slot};
use super::statement;
use super::table::{Column, Kind, Table};
use super::value::base64;
use super::write::BATCH_MAX;
use super::{Known, SqlAdapter, unreadable};
use crate::{AdapterError, ReadEnd, ReadRequest};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use syncline_core::config::model::LogicalReplication;
use syncline_core::record::{Cursor, Page, Record};
use syncline_core::value::Value;
use tokio::sync::mpsc;

const VERSION: u32 = 1;

/// Where a read stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Position {
    version: u32,
    slot: String,
    table: i64,
    member: i64,
    /// The place that the read began at: what was committed before is kept by whoever reads.
    from: Lsn,
    /// Every transaction that was committed before this place was read.
    through: Lsn,
    /// How many changes were read of the transaction after it.
    part: u64,
    /// Where the reading of the whole table stopped, which comes before that of changes.
    listing: Option<Cursor>,
}

/// The changes of one page.
#[derive(Default)]
struct Changed {
    /// The keys of rows that came, changed or went, as the server's text.
    keys: Vec<Vec<String>>,
    known: HashSet<Vec<String>>,
}

/// What goes on in the log, as far as it was read.
struct Log {
    horizon: Horizon,
    /// The number of the table in the messages, and where its key stands in its rows.
    table: Option<(u32, Vec<usize>)>,
    /// Whether the transaction was read before.
    is_old: bool,
    /// How many of its changes are still to be passed over.
    skipped: u64,
}

/// What a message means for the reading.
enum Step {
    On,
    /// The transaction is not seen yet: it and all after it come with the next read.
    Stop,
    /// What changed cannot be told by key.
    ReadAll(&'static str),
}

impl SqlAdapter {
    /// What [`crate::Adapter::read`] promises, for an entity whose changes are followed.
    pub(super) async fn read_changes(
        &self,
        spec: &Spec,
        settings: &LogicalReplication,
        request: &ReadRequest,
        pages: &mpsc::Sender<Page>,
    ) -> Result<ReadEnd, AdapterError> {
        let wrong = |fault| unreadable(spec, fault);
        if request.changed_since.is_some() {
            return Err(AdapterError::Settings(format!(
                "`{}` says itself what changed: remove the task's `cursor_field`",
                spec.table.name
            )));
        }
        let mut session = self.database.connect(false).await.map_err(wrong)?;
        let session = session.as_mut();
        let known = Known::new(session, spec).await.map_err(wrong)?;
        let slot = Slot::new(session, spec, settings, &known.table).await.map_err(wrong)?;
        let given = request.cursor.as_ref().filter(|cursor| !cursor.is_null());
        let position = match given {
            Some(cursor) => resume(session, &slot, settings, cursor).await.map_err(wrong)?,
            None => Err(None),
        };
        let (mut position, mut because) = match position {
            Ok(position) if position.listing.is_some() || !request.full => (position, None),
            Ok(_) => (anew(session, &slot, settings).await.map_err(wrong)?, None),
            Err(because) => (anew(session, &slot, settings).await.map_err(wrong)?, because),
        };
        if position.listing.is_none() {
            let read = self.follow(spec, &known, session, &slot, &mut position, request, pages);
            match read.await.map_err(wrong)? {
                Followed::End(end) => return Ok(end),
                Followed::ReadAll(reason) => {
                    session.execute("ROLLBACK", Vec::new()).await.map_err(wrong)?;
                    position = anew(session, &slot, settings).await.map_err(wrong)?;
                    because = Some(reason.to_owned());
                }
            }
        }
        let listing = position.listing.take().filter(|cursor| !cursor.is_null());
        let began_anew = given.is_some() && listing.is_none();
        let inner = ReadRequest { cursor: listing, full: true, ..request.clone() };
        let wrap =
            |cursor: Cursor| Position { listing: Some(cursor), ..position.clone() }.to_cursor();
        let end = self.list_table(spec, &inner, pages, &wrap).await?;
        let cursor = if end.complete { position.to_cursor() } else { wrap(end.cursor) };
        let remark = because.map(|reason| format!("the whole table was read again: {reason}"));
        let listed_all = end.complete && !request.full;
        let restarted = end.restarted || began_anew;
        Ok(ReadEnd { cursor, remark, restarted, listed_all, ..end })
    }

    /// Reads what was committed since `position`.
    #[expect(clippy::too_many_arguments, reason = "they are one read")]
    async fn follow(
        &self,
        spec: &Spec,
        known: &Known,
        session: &mut dyn Session,
        slot: &Slot<'_>,
        position: &mut Position,
        request: &ReadRequest,
        pages: &mpsc::Sender<Page>,
    ) -> Result<Followed, Fault> {
        slot.advance(session, position.from).await?;
        let horizon = Slot::horizon(session).await?;
        slot.open(session).await?;
        let mut log = Log { horizon, table: None, is_old: false, skipped: 0 };
        let (mut changed, mut line, limit) = (Changed::default(), 0, request.page_len.max(1));
        let stopped = |position: &Position| ReadEnd {
            incomplete_because: Some("the read was stopped".to_owned()),
            cursor: position.to_cursor(),
            ..ReadEnd::default()
        };
        let mut sees_end = true;
        'log: loop {
            let messages = Slot::messages(session, limit).await?;
            for (transaction, bytes) in &messages {
                let message = pgoutput::message(bytes).map_err(|problem| {
                    Fault::new(FaultKind::Refused, format!("the log cannot be read: {problem}"))
                })?;
                match log.take(message, *transaction, spec, known, position, &mut changed) {
                    Step::On => {}
                    Step::Stop => {
                        sees_end = false;
                        break 'log;
                    }
                    Step::ReadAll(reason) => return Ok(Followed::ReadAll(reason)),
                }
                if changed.keys.len() >= limit {
                    let page = rows_now(session, known, &mut changed, &mut line, position).await?;
                    if pages.send(page).await.is_err() {
                        return Ok(Followed::End(stopped(position)));
                    }
                }
            }
            if messages.len() < limit {
                break;
            }
        }
        // Whatever is committed from now on stands behind this place.
        if sees_end && log.horizon.flushed >= log.horizon.end && log.horizon.end > position.through
        {
            (position.through, position.part) = (log.horizon.end, 0);
        }
        if !changed.keys.is_empty() {
            let page = rows_now(session, known, &mut changed, &mut line, position).await?;
            if pages.send(page).await.is_err() {
                return Ok(Followed::End(stopped(position)));
            }
        }
        position.from = position.through;
        Ok(Followed::End(ReadEnd {
            complete: true,
            cursor: position.to_cursor(),
            ..ReadEnd::default()
        }))
    }

    /// Whether an entity's changes can be followed, and its slot is in no danger.
    pub(super) async fn check_slot(
        &self,
        spec: &Spec,
        settings: &LogicalReplication,
        table: &Table,
    ) -> Result<(), Fault> {
        let mut session = self.database.connect(false).await?;
        let slot = Slot::new(session.as_mut(), spec, settings, table).await?;
        let standing = slot.standing(session.as_mut()).await?;
        match standing.filter(|standing| standing.endangered) {
            None => Ok(()),
            Some(standing) => Err(Fault::new(
                FaultKind::Refused,
                format!(
                    "the slot `{0}` holds back {1} MB of log, and the server is about to give it up: run its \
                     task, or, where it is not needed any more, `SELECT pg_drop_replication_slot('{0}')`",
                    settings.slot,
                    standing.held >> 20
                ),
            )),
        }
    }
}

/// How the reading of changes ended.
enum Followed {
    End(ReadEnd),
    ReadAll(&'static str),
}

/// The position in `cursor`, where the slot can go on from there; else why not.
async fn resume(
    session: &mut dyn Session,
    slot: &Slot<'_>,
    settings: &LogicalReplication,
    cursor: &Cursor,
) -> Result<Result<Position, Option<String>>, Fault> {
    let Some(position) = Position::deserialize(cursor).ok().filter(|at| at.version == VERSION)
    else {
        return Ok(Err(Some("what was read before was not read from the log".to_owned())));
    };
    let standing = slot.standing(session).await?;
    let flushed = Slot::horizon(session).await?.flushed;
    let name = &settings.slot;
    let reason = match standing {
        _ if position.slot != *name => format!("`{name}` is another slot than before"),
        _ if (position.table, position.member) != (slot.table, slot.member) => {
            "the table or its place in the publication was made anew".to_owned()
        }
        None => format!("the slot `{name}` is gone"),
        Some(standing) if standing.lost => {
            format!(
                "the server gave up the slot `{name}`; `max_slot_wal_keep_size` limits what it keeps"
            )
        }
        Some(standing) if standing.confirmed > position.through => {
            format!("something else read the slot `{name}`; a slot serves one task")
        }
        Some(_) if flushed < position.through => {
            "the server is not the one that was read".to_owned()
        }
        Some(_) => return Ok(Ok(position)),
    };
    Ok(Err(Some(reason)))
}

/// Before the first row of the table, with a slot that gives what is committed from now on.
async fn anew(
    session: &mut dyn Session,
    slot: &Slot<'_>,
    settings: &LogicalReplication,
) -> Result<Position, Fault> {
    let exists = slot.standing(session).await?.is_some();
    let start = slot.make(session, exists).await?;
    Ok(Position {
        version: VERSION,
        slot: settings.slot.clone(),
        table: slot.table,
        member: slot.member,
        from: start,
        through: start,
        part: 0,
        listing: Some(Cursor::Null),
    })
}

impl Position {
    fn to_cursor(&self) -> Cursor {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Log {
    /// Takes the next message.
    fn take(
        &mut self,
        message: Message<'_>,
        transaction: u32,
        spec: &Spec,
        known: &Known,
        position: &mut Position,
        changed: &mut Changed,
    ) -> Step {
        let unclear =
            Step::ReadAll("the log does not say which rows changed, as its key's columns did");
        let (old, new) = match message {
            Message::Begin { commit } => {
                self.is_old = commit < position.through;
                self.skipped = if self.is_old { 0 } else { position.part };
                let is_seen = self.is_old || self.horizon.has_seen(transaction);
                return if is_seen { Step::On } else { Step::Stop };
            }
            Message::Commit { end } => {
                if end > position.through {
                    (position.through, position.part) = (end, 0);
                }
                return Step::On;
            }
            Message::Relation(relation) => {
                if let Some(places) = self.relation(&relation, spec, known) {
                    self.table = Some((relation.id, places));
                } else if self.table.as_ref().is_some_and(|(id, _)| *id == relation.id) {
                    self.table = None;
                }
                return Step::On;
            }
            Message::Truncate { tables } => {
                let is_ours = self.table.as_ref().is_some_and(|(id, _)| tables.contains(id));
                return if is_ours && !self.is_old {
                    Step::ReadAll("the table was emptied (TRUNCATE)")
                } else {
                    Step::On
                };
            }
            Message::Other => return Step::On,
            Message::Insert { table, new } if self.is_ours(table) => (None, Some(new)),
            Message::Update { table, old, new } if self.is_ours(table) => (old, Some(new)),
            Message::Delete { table, old } if self.is_ours(table) => (Some(old), None),
            Message::Insert { .. } | Message::Update { .. } | Message::Delete { .. } => {
                return Step::On;
            }
        };
        if self.is_old {
            return Step::On;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return Step::On;
        }
        let Some((_, places)) = &self.table else { return Step::On };
        if places.len() != spec.key.len() {
            return unclear;
        }
        let before = old.as_ref().map(|old| key_of(old, None, places));
        let after = new.as_ref().map(|new| key_of(new, old.as_ref(), places));
        for key in [before, after].into_iter().flatten() {
            match key {
                Key::Text(key) => changed.add(key),
                Key::Null => {}
                Key::Unclear => return unclear,
            }
        }
        position.part += 1;
        Step::On
    }

    fn is_ours(&self, table: u32) -> bool {
        self.table.as_ref().is_some_and(|(id, _)| *id == table)
    }

    /// Where the key stands in the relation's rows, where it is our table; too few places where it is not whole.
    fn relation(&self, relation: &Relation<'_>, spec: &Spec, known: &Known) -> Option<Vec<usize>> {
        let is_ours = relation.schema == known.table.schema && relation.name == known.table.name;
        let place = |name: &String| relation.columns.iter().position(|column| column == name);
        is_ours.then(|| spec.key.iter().filter_map(place).collect())
    }
}

/// The key in a row of the log.
enum Key {
    Text(Vec<String>),
    /// Nothing names the row.
    Null,
    Unclear,
}

fn key_of(tuple: &Tuple<'_>, old: Option<&Tuple<'_>>, places: &[usize]) -> Key {
    let mut key = Vec::with_capacity(places.len());
    for place in places {
        let datum = match tuple.get(*place) {
            Some(Datum::Unchanged) => old.and_then(|old| old.get(*place)),
            datum => datum,
        };
        match datum {
            Some(Datum::Text(text)) => key.push((*text).to_owned()),
            Some(Datum::Null) => return Key::Null,
            Some(Datum::Unchanged) | None => return Key::Unclear,
        }
    }
    Key::Text(key)
}

impl Changed {
    fn add(&mut self, key: Vec<String>) {
        if self.known.insert(key.clone()) {
            self.keys.push(key);
        }
    }
}

/// The rows that changed as they are now; those that are not there any more are deleted.
async fn rows_now(
    session: &mut dyn Session,
    known: &Known,
    changed: &mut Changed,
    line: &mut u64,
    position: &Position,
) -> Result<Page, Fault> {
    let Changed { keys, .. } = std::mem::take(changed);
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    let key: Vec<&Column> = known.key.iter().collect();
    let is_there = Column { kind: Kind::Bool, ..Column::default() };
    let columns: Vec<Column> =
        known.key.iter().chain([&is_there]).chain(&known.columns).cloned().collect();
    for keys in keys.chunks(BATCH_MAX) {
        let bound = keys.iter().map(|key| {
            let bound = key.iter().zip(&known.key).map(|(text, column)| match column.kind {
                Kind::Bytes => Bound::Text(of_hex(text)),
                _ => Bound::Text(text.clone()),
            });
            bound.collect()
        });
        let (sql, bound) =
            statement::found_by_key(&known.table, &known.columns, &key, bound.collect());
        for mut row in session.query(&sql, bound, &columns).await? {
            let cells = row.cells.split_off(known.key.len() + 1);
            if row.cells.get(known.key.len()) == Some(&Some(Value::Bool(true))) {
                there.push(Row { cells, problem: row.problem });
            } else {
                gone.push(row.cells);
            }
        }
    }
    let mut page = known.page(there, *line + 1, position.to_cursor());
    *line += page.records.len() as u64 + page.rejected.len() as u64;
    for key in gone {
        *line += 1;
        let mut cells = vec![None; known.columns.len()];
        for (name, cell) in known.key.iter().map(|column| &column.name).zip(key) {
            if let Some(place) = known.shape.position(name) {
                cells[place] = cell;
            }
        }
        page.records.push(Record { cells, line: *line, deleted: true, ..Record::default() });
    }
    Ok(page)
}

/// Bytes that the server writes as `\x2b…`, in Base64.
fn of_hex(text: &str) -> String {
    let digits = text.strip_prefix("\\x").unwrap_or(text);
    let pair = |at: usize| digits.get(at..at + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).filter_map(pair).collect();
    base64(&bytes).to_plain().to_string()
}
