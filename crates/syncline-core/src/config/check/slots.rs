//! Tables whose changes are followed by a server's log: a slot serves one task, which reads what is new.

use super::section;
use crate::config::diagnostic::{Findings, Sources, Span};
use crate::config::document::{Entry, Kind, Node};
use crate::config::model::LogicalReplication;

/// A task's entity that is followed.
struct Followed<'a> {
    connection: &'a Entry,
    entity: &'a Entry,
    slot: &'a Node,
}

/// Reports slots that cannot work as they are used.
pub(super) fn check(root: &Node, sources: &Sources, findings: &mut Findings) {
    let mut check = Check { sources, findings };
    for connection in section(root, "connections") {
        for entity in section(&connection.node, "entities") {
            check.entity(connection, entity);
        }
    }
    let mut served: Vec<(&str, Followed<'_>)> = Vec::new();
    for task in section(root, "sync_tasks") {
        let Some(followed) = followed(root, &task.node) else { continue };
        check.task(task, &followed);
        match served.iter().find(|(_, other)| other.shares(&followed)) {
            Some((name, other)) => check.is_served(task, &followed, name, other),
            None => served.push((&task.key, followed)),
        }
    }
}

/// The slot that a task follows, where it does.
fn followed<'a>(root: &'a Node, task: &Node) -> Option<Followed<'a>> {
    let connection = root.get("connections")?.entry(task.get("connection")?.text()?)?;
    let entity = connection.node.get("entities")?.entry(task.get("entity")?.text()?)?;
    let slot = entity.node.get("logical_replication")?.get("slot")?;
    Some(Followed { connection, entity, slot })
}

impl Followed<'_> {
    /// Whether both follow one slot, as far as can be told: slots are a server's, not a database's.
    fn shares(&self, other: &Self) -> bool {
        let at = |of: &Self, key| {
            let settings = of.connection.node.get("settings")?;
            match &settings.get(key)?.kind {
                Kind::Text(text) => Some(text.text.clone()),
                Kind::Int(number) => Some(number.to_string()),
                _ => None,
            }
        };
        let is_one_server = self.connection.key == other.connection.key
            || ["host", "port"].into_iter().all(|key| at(self, key) == at(other, key));
        is_one_server && self.slot.text().is_some() && self.slot.text() == other.slot.text()
    }
}

struct Check<'a> {
    sources: &'a Sources,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn report(&mut self, span: Span, message: String, help: &str) {
        self.findings.add(self.sources.first_line(span), message, Some(help.to_owned()));
    }

    fn entity(&mut self, connection: &Entry, entity: &Entry) {
        let Some(replication) = entity.node.entry("logical_replication") else { return };
        let is_database = |name: &str| matches!(name, "mysql" | "sqlite");
        if connection.node.get("adapter").and_then(Node::text).is_some_and(is_database) {
            let message = "only `postgres` has a log that can be followed".to_owned();
            let help = "remove it, and name the task's `cursor_field` instead";
            self.report(replication.key_span, message, help);
        }
        if let Some(slot) = replication.node.get("slot")
            && let Some(name) = slot.text()
            && !LogicalReplication::is_slot(name)
        {
            let message =
                format!("a slot is named {}: found {}", LogicalReplication::SLOTS, slot.quoted());
            let help = "a slot that is lost is dropped and made anew, so it has to be surely ours";
            self.report(slot.span, message, help);
        }
    }

    fn task(&mut self, task: &Entry, followed: &Followed<'_>) {
        let entity = &followed.entity.key;
        let cursor = task.node.entry("cursor_field");
        if let Some(cursor) = cursor.filter(|entry| !matches!(entry.node.kind, Kind::Null)) {
            let message = format!(
                "`cursor_field` has no place here: the log says what changed in `{entity}`"
            );
            let help = "remove it, or the entity's `logical_replication`";
            self.report(cursor.key_span, message, help);
        }
        if let Some(mode) = task.node.get("mode")
            && matches!(mode.text(), Some("full" | "full_refresh" | "full_sync"))
        {
            let message = format!(
                "a full read never reads the log of `{entity}`, and the server keeps it for nobody"
            );
            let help = "write `mode: incremental`, or remove the entity's `logical_replication`";
            self.report(mode.span, message, help);
        }
    }

    fn is_served(&mut self, task: &Entry, followed: &Followed<'_>, by: &str, other: &Followed<'_>) {
        let message = format!(
            "the slot {} serves the task `{by}` already: what one reads from a slot, another does not get",
            followed.slot.quoted()
        );
        let is_same = std::ptr::eq(followed.entity, other.entity);
        let (span, help) = if is_same {
            let entity = task.node.get("entity").map_or(task.key_span, |entity| entity.span);
            (entity, "name another entity of the same table, with a slot of its own")
        } else {
            (followed.slot.span, "give it another name")
        };
        self.report(span, message, help);
    }
}
