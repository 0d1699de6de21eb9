//! The replication slot of an entity: what it needs at the server, how it stands, and moving it on.

use super::pgoutput::Lsn;
use super::session::{Bound, Fault, FaultKind, Row, Session};
use super::settings::Spec;
use super::table::{Column, Table};
use super::value::base64_bytes;
use std::collections::HashSet;
use syncline_core::config::model::LogicalReplication;
use syncline_core::value::Value;

/// A slot and its publication, at a server that was seen to have what they need.
pub(super) struct Slot<'a> {
    name: &'a str,
    publication: &'a str,
    /// The table's own number: a table that was made anew has another.
    pub(super) table: i64,
    /// The number of the table's place in the publication.
    pub(super) member: i64,
}

/// How a slot stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standing {
    /// What was committed before is not given any more.
    pub(super) confirmed: Lsn,
    /// Whether the server threw away log that the slot needs.
    pub(super) lost: bool,
    /// Whether it holds back more log than the server wants to keep.
    pub(super) endangered: bool,
    /// How many bytes of log it holds back.
    pub(super) held: u64,
}

/// Where the log stands.
#[derive(Clone, Debug)]
pub(super) struct Horizon {
    /// The end of a record: what is committed later stands behind it.
    pub(super) end: Lsn,
    /// So far the log is on the disk, and can be read.
    pub(super) flushed: Lsn,
    /// Transactions that were whole.
    seen: Snapshot,
}

/// Which transactions a query sees, as `pg_current_snapshot` says it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Snapshot {
    next: u32,
    running: HashSet<u32>,
}

const GROUND: &str = "
    SELECT c.oid::int8, c.relkind::text, c.relreplident::text, current_setting('wal_level'), pg_is_in_recovery(),
        COALESCE((SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user), false)
            OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication' AND pg_has_role(oid, 'MEMBER')),
        p.oid IS NOT NULL, COALESCE(r.oid, CASE WHEN p.puballtables THEN p.oid END)::int8,
        COALESCE(p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, false),
        COALESCE(p.pubviaroot, false), to_jsonb(r) ->> 'prqual' IS NOT NULL,
        to_jsonb(ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a
            ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = c.oid AND CASE c.relreplident
                WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END))::text,
        current_user::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_publication p ON p.pubname = $3
    LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
    WHERE n.nspname = $1 AND c.relname = $2";

const GROUND_NAMES: [&str; 13] = [
    "oid", "kind", "identity", "level", "standby", "may", "there", "member", "all", "root",
    "filter", "key", "user",
];

const STANDING: &str = "
    SELECT COALESCE(plugin::text, slot_type), COALESCE(database::text, ''), current_database()::text,
        COALESCE(confirmed_flush_lsn, '0/0')::text, COALESCE(wal_status, ''),
        COALESCE(pg_current_wal_flush_lsn() - restart_lsn, 0)::int8
    FROM pg_replication_slots WHERE slot_name = $1";

const HORIZON: &str = "
    WITH log AS MATERIALIZED (SELECT pg_current_wal_insert_lsn() AS place)
    SELECT place::text, pg_current_wal_flush_lsn()::text, pg_current_snapshot()::text FROM log";

impl<'a> Slot<'a> {
    /// Makes sure that the server has what the entity's slot needs.
    pub(super) async fn new(
        session: &mut dyn Session,
        spec: &Spec,
        settings: &'a LogicalReplication,
        table: &Table,
    ) -> Result<Self, Fault> {
        let text = |text: &str| Bound::Text(text.to_owned());
        let publication = settings.publication.as_deref().unwrap_or(&settings.slot);
        let bound = vec![text(&table.schema), text(&table.name), text(publication)];
        let rows = session.query(GROUND, bound, &columns(GROUND_NAMES)).await?;
        let Some(row) = rows.first() else {
            return Err(refused(format!("there is no table `{}`", table.name)));
        };
        let is = |place: usize| cell(row, place) == Some(&Value::Bool(true));
        let named = super::statement::Dialect::Postgres.table(table);
        let quoted = |name: &str| super::statement::Dialect::Postgres.quoted(name);
        let published = quoted(publication);
        let identity: Vec<String> = serde_json::from_str(&plain(row, 11)).unwrap_or_default();
        let is_named = plain(row, 2) == "f" || spec.key.iter().all(|key| identity.contains(key));
        let problem = if !matches!(plain(row, 1).as_str(), "r" | "p") {
            "only tables have changes to be followed; remove `logical_replication`".to_owned()
        } else if is(4) {
            "this server is a standby; changes are followed at the primary".to_owned()
        } else if plain(row, 3) != "logical" {
            "the server does not log what changes are made of; run \
             `ALTER SYSTEM SET wal_level = logical` as a superuser, and start the server anew"
                .to_owned()
        } else if !is(5) {
            let user = quoted(&plain(row, 12));
            format!(
                "the user may not use replication slots; run `ALTER ROLE {user} REPLICATION` as a superuser"
            )
        } else if !is(6) {
            format!(
                "there is no publication `{publication}`; run \
                 `CREATE PUBLICATION {published} FOR TABLE {named} WITH (publish_via_partition_root = true)` \
                 as the table's owner"
            )
        } else if cell(row, 7).is_none_or(Value::is_null) {
            format!(
                "the publication `{publication}` does not name the table; run \
                 `ALTER PUBLICATION {published} ADD TABLE {named}` as its owner"
            )
        } else if !is(8) {
            format!(
                "the publication `{publication}` leaves changes out; run `ALTER PUBLICATION {published} \
                 SET (publish = 'insert, update, delete, truncate')`"
            )
        } else if plain(row, 1) == "p" && !is(9) {
            format!(
                "the table has partitions; run \
                 `ALTER PUBLICATION {published} SET (publish_via_partition_root = true)`"
            )
        } else if is(10) {
            format!(
                "the publication `{publication}` leaves rows out; run \
                 `ALTER PUBLICATION {published} DROP TABLE {named}`, then `… ADD TABLE {named}` without WHERE"
            )
        } else if !is_named {
            format!(
                "its deleted rows are not logged with their `key`; run `ALTER TABLE {named} REPLICA IDENTITY \
                 USING INDEX` with a unique index over {}, or `… REPLICA IDENTITY FULL`",
                spec.key.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
            )
        } else {
            let number = |place: usize| plain(row, place).parse().unwrap_or_default();
            return Ok(Self {
                name: &settings.slot,
                publication,
                table: number(0),
                member: number(7),
            });
        };
        Err(refused(problem))
    }

    /// How the slot stands; `None` where there is none.
    pub(super) async fn standing(
        &self,
        session: &mut dyn Session,
    ) -> Result<Option<Standing>, Fault> {
        let columns = columns(["plugin", "database", "here", "confirmed", "status", "held"]);
        let rows = session.query(STANDING, vec![self.bound()], &columns).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (plugin, database) = (plain(row, 0), plain(row, 1));
        if plugin != "pgoutput" || database != plain(row, 2) {
            let whose = if database.is_empty() {
                String::new()
            } else {
                format!(" of database `{database}`")
            };
            return Err(refused(format!(
                "the slot `{0}` is another's (`{plugin}`{whose}): name another `slot`, or, where nobody needs \
                 it, run `SELECT pg_drop_replication_slot('{0}')`",
                self.name
            )));
        }
        let status = plain(row, 4);
        Ok(Some(Standing {
            confirmed: lsn(&plain(row, 3))?,
            lost: status == "lost",
            endangered: status == "unreserved",
            held: plain(row, 5).parse().unwrap_or_default(),
        }))
    }

    /// Makes the slot, anew where there is one; returns the place from which on it gives what is committed.
    pub(super) async fn make(&self, session: &mut dyn Session, exists: bool) -> Result<Lsn, Fault> {
        if exists {
            let sql = "SELECT pg_drop_replication_slot($1::name)::text";
            session.query(sql, vec![self.bound()], &columns(["done"])).await?;
        }
        let sql = "SELECT lsn::text FROM pg_create_logical_replication_slot($1::name, 'pgoutput')";
        let rows = session.query(sql, vec![self.bound()], &columns(["lsn"])).await;
        let rows = rows.map_err(|fault| match fault.kind {
            FaultKind::Aborted => Fault {
                problem: format!(
                    "{}; a new slot waits for every transaction that is open, so a long one may be in the way, \
                     or raise `max_replication_slots`",
                    fault.problem
                ),
                ..fault
            },
            _ => fault,
        })?;
        lsn(&rows.first().map(|row| plain(row, 0)).unwrap_or_default())
    }

    /// Lets the server forget what was committed before `to`.
    pub(super) async fn advance(&self, session: &mut dyn Session, to: Lsn) -> Result<(), Fault> {
        let sql = "SELECT end_lsn::text FROM pg_replication_slots AS s,
                pg_replication_slot_advance(s.slot_name, $2::pg_lsn)
            WHERE s.slot_name = $1 AND s.confirmed_flush_lsn < $2::pg_lsn";
        let bound = vec![self.bound(), Bound::Text(shown(to))];
        session.query(sql, bound, &columns(["lsn"])).await.map(|_| ())
    }

    /// Begins to read what the slot has to give, without taking it.
    pub(super) async fn open(&self, session: &mut dyn Session) -> Result<(), Fault> {
        session.execute("BEGIN READ ONLY", Vec::new()).await?;
        // Names are checked with the settings, or quoted: this statement takes no values.
        let literal = |text: &str| text.replace('\'', "''");
        let listed = super::statement::Dialect::Postgres.quoted(self.publication);
        let sql = format!(
            "DECLARE changes NO SCROLL CURSOR FOR SELECT xid::text, data FROM \
             pg_logical_slot_peek_binary_changes('{}', NULL, NULL, 'proto_version', '1', 'publication_names', '{}')",
            literal(self.name),
            literal(&listed),
        );
        session.execute(&sql, Vec::new()).await.map(|_| ())
    }

    /// The next messages, with the transaction of each.
    pub(super) async fn messages(
        session: &mut dyn Session,
        limit: usize,
    ) -> Result<Vec<(u32, Vec<u8>)>, Fault> {
        let sql = format!("FETCH {limit} FROM changes");
        let rows = session.query(&sql, Vec::new(), &columns(["xid", "data"])).await?;
        let broken = || refused("the server's answer is none that a slot gives".to_owned());
        let message = |row: &Row| {
            let data = cell(row, 1).and_then(Value::as_text).and_then(base64_bytes);
            Ok((plain(row, 0).parse().map_err(|_| broken())?, data.ok_or_else(broken)?))
        };
        rows.iter().map(message).collect()
    }

    pub(super) async fn horizon(session: &mut dyn Session) -> Result<Horizon, Fault> {
        let rows = session.query(HORIZON, Vec::new(), &columns(["end", "flushed", "seen"])).await?;
        let text = |place| rows.first().map(|row| plain(row, place)).unwrap_or_default();
        let seen =
            Snapshot::parse(&text(2)).ok_or_else(|| refused("no snapshot came".to_owned()))?;
        Ok(Horizon { end: lsn(&text(0))?, flushed: lsn(&text(1))?, seen })
    }

    fn bound(&self) -> Bound {
        Bound::Text(self.name.to_owned())
    }
}

impl Horizon {
    /// Whether queries saw what the transaction did. One whose commit is logged can be unseen for a while.
    pub(super) fn has_seen(&self, transaction: u32) -> bool {
        // Numbers begin again after the last one.
        let is_older = transaction.wrapping_sub(self.seen.next) > u32::MAX / 2;
        is_older && !self.seen.running.contains(&transaction)
    }
}

impl Snapshot {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a log has the lower half of a number only"
    )]
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':').skip(1);
        let next = parts.next()?.parse::<u64>().ok()? as u32;
        let running = parts.next()?.split(',').filter(|part| !part.is_empty());
        let running: Option<_> =
            running.map(|part| Some(part.parse::<u64>().ok()? as u32)).collect();
        Some(Self { next, running: running? })
    }
}

/// Columns of a query's result, by name alone.
fn columns<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Column> {
    let column = |name: &str| Column { name: name.into(), ..Column::default() };
    names.into_iter().map(column).collect()
}

fn cell(row: &Row, place: usize) -> Option<&Value> {
    row.cells.get(place).and_then(Option::as_ref)
}

fn plain(row: &Row, place: usize) -> String {
    cell(row, place).map(|value| value.to_plain().to_string()).unwrap_or_default()
}

fn refused(problem: String) -> Fault {
    Fault::new(FaultKind::Refused, problem)
}

/// Reads a place in the log, such as `16/B374D848`.
fn lsn(text: &str) -> Result<Lsn, Fault> {
    let halves = text.split_once('/').and_then(|(high, low)| {
        let half = |digits| u32::from_str_radix(digits, 16).ok().map(u64::from);
        Some(half(high)? << 32 | half(low)?)
    });
    halves.ok_or_else(|| refused(format!("`{text}` is no place in a log")))
}

/// A place in the log as the server writes it.
fn shown(lsn: Lsn) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_log_are_read_and_written() {
        for text in ["0/0", "0/15294F0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(shown(lsn(text).unwrap()), text);
        }
        for wrong in ["", "1", "g/1", "1/", "1/123456789", "1/2/3"] {
            assert!(lsn(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_snapshot_tells_which_transactions_were_seen() {
        let horizon =
            |text: &str| Horizon { end: 0, flushed: 0, seen: Snapshot::parse(text).unwrap() };
        let cases = [
            ("10:20:10,14", 9, true),
            ("10:20:10,14", 10, false),
            ("10:20:10,14", 14, false),
            ("10:20:10,14", 19, true),
            ("10:20:10,14", 20, false),
            ("20:20:", 19, true),
            ("4294967300:4294967306:4294967301", 5, false),
            ("4294967300:4294967306:4294967301", 9, true),
            ("4294967300:4294967306:4294967301", 4_294_967_290, true),
        ];
        for (text, transaction, expected) in cases {
            assert_eq!(horizon(text).has_seen(transaction), expected, "{transaction} in {text}");
        }
        assert_eq!(Snapshot::parse("nothing"), None);
    }
}
