//! What a system's message says is to be looked at.

use super::compile::Scope;
use super::condition::Check;
use super::row::{FieldPath, Roots, Row, steps};
use super::{Names, plain_key};
use crate::config::model::{Connection, Webhook, WebhookRecords, WebhookSignature};
use crate::problem::{ConfigPath, Problem};
use crate::record::{Record, Shape};
use crate::value::Value;
use compact_str::CompactString;
use rustc_hash::FxHashSet;

/// Finds out which records a system's message is about.
#[derive(Debug)]
pub struct Notices(Vec<Finder>);

/// A record that a message names, or an entity of which something is new.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Noticed<'a> {
    /// The entity.
    pub entity: &'a str,
    /// The record; `None` where the message does not say which.
    pub external_id: Option<CompactString>,
}

#[derive(Debug)]
struct Finder {
    entity: String,
    each: Vec<CompactString>,
    key: Option<Vec<FieldPath>>,
    when: Option<Check>,
    roots: Roots,
}

impl Notices {
    /// Compiles what the webhook of the connection `name` says of its messages.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each at its place below `connections`.
    pub fn compile(
        name: &str,
        connection: &Connection,
        webhook: &Webhook,
    ) -> Result<Self, Vec<Problem>> {
        let at = ConfigPath::root().key("connections").key(name).key("webhook");
        let nobody = Names { tenant: "", connection: name, entity: "", task: "" };
        let mut problems = Vec::new();
        let secrets = webhook.secrets.as_slice();
        if secrets.is_empty() || secrets.iter().any(String::is_empty) {
            let message = "messages that nobody signs are taken from nobody: a secret is needed";
            problems.push(Problem::new(at.key("secrets"), message));
        }
        if webhook.signature == WebhookSignature::Hubspot && webhook.address.is_none() {
            let message =
                "HubSpot signs along what `address` its messages go to: it has to be given";
            problems.push(Problem::new(at.key("signature"), message));
        }
        if webhook.records.is_empty() {
            let message = "which records a message is about has to be said";
            problems.push(Problem::new(at.key("records"), message));
        }
        let mut finders = Vec::with_capacity(webhook.records.len());
        for (index, records) in webhook.records.iter().enumerate() {
            let mut scope = Scope::new(&nobody);
            let at = at.key("records").index(index);
            finders.extend(Finder::compile(records, connection, &mut scope, &at));
            problems.extend(scope.problems);
        }
        if problems.is_empty() { Ok(Self(finders)) } else { Err(problems) }
    }

    /// What a message says is to be looked at, each thing once. An item without a key says that something is new.
    pub fn of(&self, message: &Value) -> Vec<Noticed<'_>> {
        let mut known = FxHashSet::default();
        let mut found = Vec::new();
        for finder in &self.0 {
            let noticed = finder.items(message).filter_map(|item| finder.look(item));
            found.extend(noticed.filter(|noticed| known.insert(noticed.clone())));
        }
        found
    }
}

impl Finder {
    fn compile(
        records: &WebhookRecords,
        connection: &Connection,
        scope: &mut Scope<'_>,
        at: &ConfigPath,
    ) -> Option<Self> {
        let Some(entity) = connection.entities.get(&records.entity) else {
            let known = connection.entities.keys().map(String::as_str);
            scope.unknown(&at.key("entity"), "entity", &records.entity, known).refers = true;
            return None;
        };
        let key = match &records.key {
            None => None,
            Some(key) => {
                let (key, parts) = (key.as_slice(), entity.key.as_slice().len());
                if key.len() != parts {
                    let message = format!("the key of `{}` has {parts} parts", records.entity);
                    scope.problem(&at.key("key"), message);
                    return None;
                }
                Some(scope.fields(key, &at.key("key"))?)
            }
        };
        let when = match &records.when {
            None => None,
            Some(when) => Some(Check::compile(when, scope, &at.key("when"))?),
        };
        Some(Self {
            entity: records.entity.clone(),
            each: records.each.as_deref().map(steps).unwrap_or_default(),
            key,
            when,
            roots: std::mem::take(&mut scope.roots),
        })
    }

    fn items<'v>(&self, message: &'v Value) -> std::slice::Iter<'v, Value> {
        match message.at(&self.each) {
            Some(Value::List(items)) => items.iter(),
            Some(one) => std::slice::from_ref(one).iter(),
            None => [].iter(),
        }
    }

    fn look(&self, item: &Value) -> Option<Noticed<'_>> {
        let (mut shape, mut record) = (Shape::default(), Record::default());
        let entries = match item {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        for (name, value) in entries {
            let index = shape.intern(name);
            record.cells.resize(record.cells.len().max(index + 1), None);
            record.cells[index] = Some(value.clone());
        }
        let slots = self.roots.bind(&shape);
        let row = Row { record: &record, slots: &slots, shape: &shape };
        if self.when.as_ref().is_some_and(|when| !when.holds(&row)) {
            return None;
        }
        let part = |path: &FieldPath| row.get(path).and_then(plain_key);
        let parts = self.key.as_ref().and_then(|key| key.iter().map(part).collect());
        // Of several parts, one with the mark between them in it would name another record.
        let parts = parts.filter(|parts: &Vec<CompactString>| {
            parts.len() == 1 || !parts.iter().any(|part| part.contains('|'))
        });
        let external_id = parts.map(|parts| parts.join("|").into());
        Some(Noticed { entity: &self.entity, external_id })
    }
}
