//! Whether what a configuration names is there. It looks at the tree, not at the plain data, so that it also
//! works where other things are wrong; what has the wrong shape is left to the check of shapes.

use super::diagnostic::{Findings, Sources, Span, suggest};
use super::document::{Entry, Kind, Node, place_of_value};
use super::model::ADAPTERS;
use crate::convert::SHARD_ID;

mod slots;

/// Looks up every name below `root`. `known_adapters` are the adapters there are.
pub(super) fn check(
    root: &Node,
    known_adapters: &[&str],
    sources: &Sources,
    findings: &mut Findings,
) {
    let mut check = Check { root, sources, findings };
    for connection in section(root, "connections") {
        check.adapter(connection.node.get("adapter"), known_adapters);
    }
    for shard_type in section(root, "shard_types") {
        check.shard_type(&shard_type.node);
    }
    for schema in section(root, "conversion_schemas") {
        check.conversion_schema(&schema.node);
    }
    for task in section(root, "sync_tasks") {
        check.sync_task(&task.node);
    }
    slots::check(root, sources, findings);
}

struct Check<'a> {
    root: &'a Node,
    sources: &'a Sources,
    findings: &'a mut Findings,
}

impl<'a> Check<'a> {
    fn report(&mut self, span: Span, message: String, help: Option<String>) {
        self.findings.add(self.sources.first_line(span), message, help);
    }

    /// Reports `node` where it is a text that is none of `names`; says nothing where names are not known.
    fn name(&mut self, what: &str, node: Option<&Node>, names: Option<&[&str]>) {
        let (Some(node), Some(names)) = (node, names) else { return };
        let Some(name) = node.text() else { return };
        if !names.contains(&name) {
            let message = format!("unknown {what} {}", node.quoted());
            self.missing(node.span, message, name, names);
        }
    }

    /// Reports that `name` is none of `names`.
    fn missing(&mut self, span: Span, message: String, name: &str, names: &[&str]) {
        if !self.findings.is_full() {
            let help = suggest(name, names, "known: ");
            self.report(span, message, help.or_else(|| Some("none is declared".to_owned())));
        }
    }

    /// Reports an adapter that this build does not have. One that no build has does not fit the schema.
    fn adapter(&mut self, node: Option<&Node>, known: &[&str]) {
        let Some((node, name)) = node.and_then(|node| Some((node, node.text()?))) else { return };
        if ADAPTERS.contains(&name) {
            self.name("adapter", Some(node), Some(known));
        }
    }

    fn names(&self, section: &str) -> Option<Vec<&'a str>> {
        keys(self.root.get(section))
    }

    /// The fields of the shard type that `node` names.
    fn fields(&self, node: Option<&Node>) -> Option<Vec<&'a str>> {
        keys(Some(self.root.get("shard_types")?.get(node?.text()?)?.get("fields")?))
    }

    fn shard_type(&mut self, node: &Node) {
        let Some(fields) = node.get("fields").and_then(|fields| keys(Some(fields))) else { return };
        for field in node.get("identity").map_or(&[][..], Node::items) {
            self.name("field", Some(field), Some(&fields));
        }
        for entry in entries(node.get("survivorship")) {
            let connections = self.names("connections");
            let listed = entry.node.get("source_priority").map_or(&[][..], Node::items);
            for connection in listed {
                self.name("connection", Some(connection), connections.as_deref());
            }
        }
        let rules = node.get("matching").and_then(|matching| matching.get("rules"));
        for rule in rules.map_or(&[][..], Node::items) {
            for part in rule.get("block").map_or(&[][..], Node::items) {
                self.name("field", part.get("field").or(Some(part)), Some(&fields));
            }
            for comparison in rule.get("compare").map_or(&[][..], Node::items) {
                self.name("field", comparison.get("field"), Some(&fields));
            }
        }
    }

    fn conversion_schema(&mut self, node: &Node) {
        self.mapped(node);
        for relationship in entries(node.get("relationships")) {
            self.other_shard(&relationship.node);
        }
        let mut seen: Vec<&str> = Vec::new();
        for derived in node.get("derived").map_or(&[][..], Node::items) {
            self.mapped(derived);
            let Some(name_node) = derived.get("name").or_else(|| derived.get("shard_type")) else {
                continue;
            };
            let Some(name) = name_node.text() else { continue };
            if seen.contains(&name) {
                let message = format!("two derived shards are named {}", name_node.quoted());
                let help = "give one of them another `name`".to_owned();
                self.report(name_node.span, message, Some(help));
            }
            seen.push(name);
        }
    }

    /// What has a `shard_type` and maps its `fields`.
    fn mapped(&mut self, node: &Node) {
        let shard_type = node.get("shard_type");
        self.name("shard type", shard_type, self.names("shard_types").as_deref());
        let fields = self.fields(shard_type);
        for entry in entries(node.get("fields")) {
            if let (Some(fields), Some(shard_type)) = (&fields, shard_type)
                && !fields.contains(&entry.key.as_str())
            {
                let (shard_type, key) = (shard_type.quoted(), &entry.key);
                let message = format!("shard type {shard_type} has no field `{key}`");
                self.missing(entry.key_span, message, key, fields);
            }
            if let Some(lookup) = entry.node.get("lookup") {
                self.other_shard(lookup);
                let mut returned = self.fields(lookup.get("shard_type"));
                returned.iter_mut().for_each(|fields| fields.push(SHARD_ID));
                self.name("field", lookup.get("return"), returned.as_deref());
            }
        }
    }

    /// A relationship or lookup: its shard type, the field it goes by, connection and entity.
    fn other_shard(&mut self, node: &Node) {
        let shard_type = node.get("shard_type");
        self.name("shard type", shard_type, self.names("shard_types").as_deref());
        if let Some(mut fields) = self.fields(shard_type) {
            fields.push("external_id");
            self.name("field", node.get("by"), Some(&fields));
        }
        let connection = node.get("connection");
        self.name("connection", connection, self.names("connections").as_deref());
        let entities = match connection {
            Some(connection) if !matches!(connection.kind, Kind::Null) => self.entities(connection),
            _ => self.all_entities(),
        };
        self.name("entity", node.get("entity"), entities.as_deref());
    }

    /// The entities of the connection that `node` names.
    fn entities(&self, node: &Node) -> Option<Vec<&'a str>> {
        keys(Some(self.root.get("connections")?.get(node.text()?)?.get("entities")?))
    }

    fn all_entities(&self) -> Option<Vec<&'a str>> {
        let mut all = Vec::new();
        for connection in section(self.root, "connections") {
            all.extend(keys(Some(connection.node.get("entities")?))?);
        }
        self.names("connections").map(|_| all)
    }

    fn sync_task(&mut self, node: &Node) {
        let connection = node.get("connection");
        self.name("connection", connection, self.names("connections").as_deref());
        let entities = connection.and_then(|connection| self.entities(connection));
        self.name("entity", node.get("entity"), entities.as_deref());
        let schemas = self.names("conversion_schemas");
        self.name("conversion schema", node.get("conversion_schema"), schemas.as_deref());
        let has_cursor =
            node.get("cursor_field").is_some_and(|cursor| !matches!(cursor.kind, Kind::Null));
        if let Some(look_back) = node.entry("look_back_s")
            && !matches!(look_back.node.kind, Kind::Int(0))
            && !has_cursor
        {
            let message = "`look_back_s` has no effect without `cursor_field`".to_owned();
            let help =
                "name the field that says when a record last changed, or remove it".to_owned();
            self.report(look_back.key_span, message, Some(help));
        }
        self.range(node, "fuse", "share", "from 0 to 1", |share| (0.0..=1.0).contains(&share));
        let jitter = "from 0 to less than 1";
        self.range(node, "retry", "jitter", jitter, |jitter| (0.0..1.0).contains(&jitter));
        for multiplier in ["multiplier", "backoffMultiplier"] {
            self.range(node, "retry", multiplier, "at least 1", |factor| factor >= 1.0);
        }
    }

    fn range(&mut self, node: &Node, block: &str, key: &str, words: &str, fits: fn(f64) -> bool) {
        let Some(entry) = node.get(block).and_then(|block| block.entry(key)) else { return };
        let number = match entry.node.kind {
            Kind::Int(number) => number as f64,
            Kind::Float(number) => number,
            _ => return,
        };
        if !fits(number) {
            let place = place_of_value(&entry.node, Some(entry.key_span));
            self.report(place, format!("`{key}` must be {words}"), None);
        }
    }
}

fn section<'a>(root: &'a Node, name: &str) -> &'a [Entry] {
    entries(root.get(name))
}

fn entries(node: Option<&Node>) -> &[Entry] {
    node.map_or(&[], Node::entries)
}

/// The keys of a map; none where there is nothing; `None` where it is no map, so that nobody knows.
fn keys(node: Option<&Node>) -> Option<Vec<&str>> {
    match node.map(|node| &node.kind) {
        None | Some(Kind::Null) => Some(Vec::new()),
        Some(Kind::Map(entries)) => Some(entries.iter().map(|entry| entry.key.as_str()).collect()),
        Some(_) => None,
    }
}
