//! Whether a configuration has the shape that its JSON Schema asks for. All that is wrong is reported, and
//! left out of the tree, so that what is left can be looked at further.

use super::diagnostic::{Findings, Sources, Span, suggest};
use super::document::{Entry, Kind, Node, place_of_value};
use super::parse;
use super::schema::ALIAS_OF;
use crate::problem::{ConfigPath, PathPart, nearest};
use serde_json::Value;

/// Checks `root` against `schema`. What is wrong goes to `findings` and out of the tree; the paths of what
/// was left out are returned.
pub(super) fn check(
    schema: &Value,
    root: &mut Node,
    sources: &Sources,
    findings: &mut Findings,
) -> Vec<ConfigPath> {
    let mut shape = Shape { schema, sources, findings, path: Vec::new(), dropped: Vec::new() };
    let place = root.span;
    if !shape.fits(schema, root, place) {
        shape.dropped.push(ConfigPath::root());
        root.kind = Kind::Map(Vec::new());
    }
    shape.dropped
}

struct Shape<'a> {
    schema: &'a Value,
    sources: &'a Sources,
    findings: &'a mut Findings,
    path: Vec<PathPart>,
    dropped: Vec<ConfigPath>,
}

impl<'a> Shape<'a> {
    /// Whether `node`, without what is left out of it, fits; if not, that was reported.
    fn fits(&mut self, schema: &'a Value, node: &mut Node, place: Span) -> bool {
        let mut leaves = Vec::new();
        self.leaves(schema, &mut leaves);
        if leaves.iter().any(|leaf| is_anything(leaf)) {
            return !holds_unknown(node);
        }
        adopt_type(&leaves, node);
        if matches!(node.kind, Kind::Null) && takes_empty_map(&leaves) {
            node.kind = Kind::Map(Vec::new());
        }
        let scalar = |name: &str| leaves.iter().copied().find(|leaf| has_type(leaf, name));
        match &node.kind {
            Kind::Unknown => false,
            Kind::Null if scalar("null").is_some() => true,
            Kind::Bool(_) if scalar("boolean").is_some() => true,
            Kind::Int(number) => match scalar("integer").or_else(|| scalar("number")) {
                Some(leaf) => self.number(leaf, Some(*number), *number as f64, place),
                None => self.wrong_type(&leaves, node, place),
            },
            Kind::Float(number) => match scalar("number") {
                Some(leaf) => self.number(leaf, None, *number, place),
                None => self.wrong_type(&leaves, node, place),
            },
            Kind::Text(_) => self.text(&leaves, node, place),
            Kind::List(_) if scalar("array").is_some() => self.list(&leaves, node, place),
            Kind::Map(_) if scalar("object").is_some() => self.map(&leaves, node, place),
            _ => self.wrong_type(&leaves, node, place),
        }
    }

    /// The alternatives of `schema`, references followed.
    fn leaves(&self, schema: &'a Value, leaves: &mut Vec<&'a Value>) {
        if let Some(target) = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
            if let Some(target) = self.schema.pointer(target) {
                self.leaves(target, leaves);
            }
            return;
        }
        let alternatives = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
        match alternatives {
            Some(alternatives) if schema.get("properties").is_none() => {
                for alternative in alternatives {
                    self.leaves(alternative, leaves);
                }
            }
            _ => leaves.push(schema),
        }
    }

    fn report(&mut self, place: Span, message: String, help: Option<String>) -> bool {
        self.findings.add(place, message, help);
        false
    }

    fn wrong_type(&mut self, leaves: &[&Value], node: &Node, place: Span) -> bool {
        let written = self.sources.slice(node.span);
        let help = match &node.kind {
            Kind::Int(_) | Kind::Float(_) | Kind::Bool(_)
                if leaves.iter().any(|leaf| has_type(leaf, "string")) =>
            {
                Some(format!("put it in quotes: `\"{written}\"`"))
            }
            Kind::Text(text) if leaves.iter().any(|leaf| has_type(leaf, "boolean")) => {
                match text.text.to_ascii_lowercase().as_str() {
                    "yes" | "y" | "on" | "true" => Some("write `true`".to_owned()),
                    "no" | "n" | "off" | "false" => Some("write `false`".to_owned()),
                    _ => None,
                }
            }
            _ => None,
        };
        let found = match node.kind {
            Kind::Float(_) => "a number with a fraction",
            _ => node.noun(),
        };
        self.report(place, format!("expected {}, found {found}", expected(leaves)), help)
    }

    fn number(&mut self, leaf: &Value, whole: Option<i128>, number: f64, place: Span) -> bool {
        let format = leaf["format"].as_str().unwrap_or_default();
        if let Some(whole) = whole
            && let Some((least, greatest)) = integer_range(format)
            && !(least..=greatest).contains(&whole)
        {
            let limit =
                if whole < least { format!("least {least}") } else { format!("most {greatest}") };
            return self.report(place, format!("the number must be at {limit}"), None);
        }
        let limits = [("minimum", "least", 1.0), ("maximum", "most", -1.0)];
        for (key, word, sign) in limits {
            if let Some(limit) = leaf[key].as_f64()
                && number * sign < limit * sign
            {
                return self.report(place, format!("the number must be at {word} {limit}"), None);
            }
        }
        true
    }

    fn text(&mut self, leaves: &[&'a Value], node: &Node, place: Span) -> bool {
        let Some(text) = node.text() else { return false };
        let strings = leaves.iter().filter(|leaf| has_type(leaf, "string"));
        if let Some(leaf) = strings.clone().find(|leaf| choices(leaf).next().is_none()) {
            let length = text.chars().count() as u64;
            let few = leaf["minLength"].as_u64().is_some_and(|least| length < least);
            let many = leaf["maxLength"].as_u64().is_some_and(|most| length > most);
            let message = || match (leaf["minLength"].as_u64(), leaf["maxLength"].as_u64()) {
                (Some(1), Some(1)) => format!("expected one character, found {length}"),
                (Some(least), _) if few => format!("expected at least {least} characters"),
                (_, most) => format!("expected at most {} characters", most.unwrap_or_default()),
            };
            return if few || many { self.report(place, message(), None) } else { true };
        }
        let known: Vec<&str> = strings.flat_map(|leaf| choices(leaf)).collect();
        if known.contains(&text) {
            return true;
        }
        let mut names = known.clone();
        names.extend(leaves.iter().filter_map(|leaf| variant(leaf)).map(|(name, _)| name));
        if names.contains(&text) {
            let help = format!("write `{{ {text}: … }}`");
            return self.report(place, format!("`{text}` needs settings"), Some(help));
        }
        if names.is_empty() {
            return self.wrong_type(leaves, node, place);
        }
        let help = suggest(text, &names, "known: ");
        self.report(place, format!("unknown value {}", node.quoted()), help)
    }

    fn list(&mut self, leaves: &[&'a Value], node: &mut Node, place: Span) -> bool {
        let Some(leaf) = leaves.iter().copied().find(|leaf| has_type(leaf, "array")) else {
            return false;
        };
        let Kind::List(items) = &mut node.kind else { return false };
        let length = items.len() as u64;
        let least = leaf["minItems"].as_u64().unwrap_or(0);
        let most = leaf["maxItems"].as_u64().unwrap_or(u64::MAX);
        if !(least..=most).contains(&length) {
            let limit = match (least == most, length < least) {
                (true, _) => format!("{least}"),
                (false, true) => format!("at least {least}"),
                (false, false) => format!("at most {most}"),
            };
            return self.report(place, format!("expected {limit} items, found {length}"), None);
        }
        let (mut index, mut all_fit) = (0, true);
        items.retain_mut(|item| {
            let schema = leaf["prefixItems"].get(index).or_else(|| leaf.get("items"));
            let place = self.sources.first_line(place_of_value(item, None));
            self.path.push(PathPart::Index(index));
            let fits = schema.is_none_or(|schema| self.fits(schema, item, place));
            if !fits {
                self.dropped.push(ConfigPath(self.path.clone()));
            }
            self.path.pop();
            (index, all_fit) = (index + 1, all_fit && fits);
            fits
        });
        // What is left of a list is only looked at for what else is wrong with it. Where its items have places
        // of their own, or none or too few are left, it would only give errors of another kind.
        let enough = !items.is_empty() && items.len() as u64 >= least;
        all_fit || (enough && leaf.get("prefixItems").is_none())
    }

    fn map(&mut self, leaves: &[&'a Value], node: &mut Node, place: Span) -> bool {
        let objects: Vec<&Value> =
            leaves.iter().copied().filter(|leaf| has_type(leaf, "object")).collect();
        let has_units = leaves.iter().any(|leaf| choices(leaf).next().is_some());
        let is_tagged = objects.iter().all(|leaf| variant(leaf).is_some());
        if is_tagged && (has_units || objects.len() > 1) {
            return self.tagged(leaves, node, place);
        }
        match self.alternative(&objects, node) {
            Some(leaf) => self.object(leaf, node, place),
            None => false,
        }
    }

    /// The one of several forms of a map that is meant: the one that a key such as `adapter` names, else the one
    /// that knows most of the keys.
    fn alternative(&mut self, objects: &[&'a Value], node: &mut Node) -> Option<&'a Value> {
        let most_known = |shape: &Self| {
            let best = objects.iter().rev().max_by_key(|leaf| shape.keys_known(leaf, node));
            best.copied()
        };
        let Some(key) = discriminator(objects) else { return most_known(self) };
        let Some(entry) = node.entry(key) else { return most_known(self) };
        let Some(name) = entry.node.text() else { return most_known(self) };
        let constant = |leaf: &'a Value| leaf["properties"][key]["const"].as_str();
        let named = |name: &str| {
            objects.iter().copied().find(|leaf| constant(leaf).is_some_and(|known| known == name))
        };
        if let Some(leaf) = named(name) {
            return Some(leaf);
        }
        let names: Vec<&str> = objects.iter().filter_map(|leaf| constant(leaf)).collect();
        let help = suggest(name, &names, "known: ");
        let place = self.sources.first_line(place_of_value(&entry.node, Some(entry.key_span)));
        self.report(place, format!("unknown {key} {}", entry.node.quoted()), help);
        let leaf = nearest(name, names).and_then(named).or_else(|| most_known(self))?;
        // What stands beside it is looked at as if the right name were there.
        let meant = constant(leaf).unwrap_or_default().to_owned();
        let mut here = ConfigPath(self.path.clone());
        here.0.push(PathPart::Key(key.to_owned()));
        self.dropped.push(here);
        if let Kind::Map(entries) = &mut node.kind
            && let Some(entry) = entries.iter_mut().find(|entry| entry.key == key)
            && let Kind::Text(text) = &mut entry.node.kind
        {
            text.text = meant;
        }
        Some(leaf)
    }

    /// How many keys of `node`, and below it, `schema` knows.
    fn keys_known(&self, schema: &'a Value, node: &Node) -> usize {
        let mut leaves = Vec::new();
        self.leaves(schema, &mut leaves);
        let known = |leaf: &&'a Value| {
            let known = |entry: &Entry| match leaf["properties"].get(&entry.key) {
                Some(schema) => 1 + self.keys_known(schema, &entry.node),
                None => self.keys_known(&leaf["additionalProperties"], &entry.node),
            };
            node.entries().iter().map(known).sum()
        };
        leaves.iter().map(known).max().unwrap_or(0)
    }

    /// A map with one key, which says what its value is.
    fn tagged(&mut self, leaves: &[&'a Value], node: &mut Node, place: Span) -> bool {
        let Kind::Map(entries) = &mut node.kind else { return false };
        let [entry] = entries.as_mut_slice() else {
            let message =
                format!("expected one name with its settings, found {} keys", entries.len());
            let help = (entries.len() > 1).then(|| {
                "write a list: each name with its settings is an item of its own".to_owned()
            });
            return self.report(place, message, help);
        };
        let name = entry.key.as_str();
        let variants = || leaves.iter().filter_map(|leaf| variant(leaf));
        if let Some((_, settings)) = variants().find(|(variant, _)| *variant == name) {
            let place = self.sources.first_line(place_of_value(&entry.node, Some(entry.key_span)));
            self.path.push(PathPart::Key(entry.key.clone()));
            let fits = self.fits(settings, &mut entry.node, place);
            self.path.pop();
            return fits;
        }
        let units: Vec<&str> = leaves.iter().flat_map(|leaf| choices(leaf)).collect();
        if units.contains(&name) {
            let help = Some(format!("write `{name}`"));
            return self.report(entry.key_span, format!("`{name}` takes no settings"), help);
        }
        let names: Vec<&str> = variants().map(|(name, _)| name).chain(units).collect();
        let help = suggest(name, &names, "known: ");
        self.report(entry.key_span, format!("unknown name `{name}`"), help)
    }

    fn object(&mut self, leaf: &'a Value, node: &mut Node, place: Span) -> bool {
        let Kind::Map(entries) = &mut node.kind else { return false };
        let present: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let required = required(leaf);
        let mut all_fit = true;
        let mut meant: Vec<&str> = Vec::new();
        entries.retain_mut(|entry| {
            let fits = match self.schema_of(leaf, entry, &present, &mut meant) {
                Some(schema) => {
                    let place = place_of_value(&entry.node, Some(entry.key_span));
                    let place = self.sources.first_line(place);
                    self.path.push(PathPart::Key(entry.key.clone()));
                    let fits = self.fits(schema, &mut entry.node, place);
                    self.path.pop();
                    fits
                }
                None => false,
            };
            if !fits {
                let here = ConfigPath(self.path.clone());
                self.dropped.push(here.key(entry.key.clone()));
                all_fit &= !required.iter().any(|either| either.contains(&entry.key.as_str()));
            }
            fits
        });
        for either in &required {
            if either.iter().any(|key| present.iter().any(|known| known == key)) {
                continue;
            }
            all_fit = false;
            if !either.iter().any(|key| meant.contains(key)) {
                let help = add(either[0], &leaf["properties"][either[0]]);
                self.report(place, format!("missing key `{}`", either[0]), Some(help));
            }
        }
        all_fit
    }

    /// The schema of an entry's value; `None` where the key cannot be there, which was reported. `meant`
    /// takes the keys that were probably meant.
    fn schema_of(
        &mut self,
        leaf: &'a Value,
        entry: &Entry,
        present: &[String],
        meant: &mut Vec<&'a str>,
    ) -> Option<&'a Value> {
        let properties = leaf["properties"].as_object();
        if let Some(schema) = properties.and_then(|known| known.get(&entry.key)) {
            let same = |other: &&String| {
                *other != &entry.key
                    && (schema[ALIAS_OF] == other.as_str()
                        || (schema[ALIAS_OF].is_string()
                            && leaf["properties"][other.as_str()][ALIAS_OF] == schema[ALIAS_OF]
                            && **other < entry.key))
            };
            let Some(other) = present.iter().find(same) else { return Some(schema) };
            let message = format!("`{}` and `{other}` are the same key", entry.key);
            self.report(entry.key_span, message, Some("remove one of the two".to_owned()));
            return None;
        }
        match leaf.get("additionalProperties") {
            Some(Value::Bool(false)) => {}
            Some(schema) => return Some(schema),
            None => return Some(&Value::Bool(true)),
        }
        if self.findings.is_full() {
            return None;
        }
        let known: Vec<&'a str> = properties
            .into_iter()
            .flatten()
            .filter(|(key, schema)| schema.get(ALIAS_OF).is_none() && !present.contains(key))
            .map(|(key, _)| key.as_str())
            .collect();
        let help = suggest(&entry.key, &known, "known: ");
        meant.extend(nearest(&entry.key, known));
        self.report(entry.key_span, format!("unknown key `{}`", entry.key), help);
        None
    }
}

/// The key whose value says which of several forms a map has.
fn discriminator<'a>(objects: &[&'a Value]) -> Option<&'a str> {
    let (first, others) = objects.split_first().filter(|(_, others)| !others.is_empty())?;
    let is_constant = |leaf: &Value, key: &str| leaf["properties"][key]["const"].is_string();
    let mut keys = first["properties"].as_object()?.keys().map(String::as_str);
    keys.find(|key| is_constant(first, key) && others.iter().all(|leaf| is_constant(leaf, key)))
}

/// Whether the schema lets everything pass.
fn is_anything(schema: &Value) -> bool {
    let says_nothing =
        ["type", "const", "enum", "properties"].iter().all(|key| schema.get(key).is_none());
    schema != &Value::Bool(false) && says_nothing
}

fn has_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => name == "string" && choices(schema).next().is_some(),
    }
}

/// The texts that are allowed, where only some are.
fn choices(schema: &Value) -> impl Iterator<Item = &str> {
    let several = schema["enum"].as_array().into_iter().flatten();
    several.chain(schema.get("const")).filter_map(Value::as_str)
}

/// The name and the settings, where the schema is that of a name with its settings.
fn variant(schema: &Value) -> Option<(&str, &Value)> {
    let properties = schema["properties"].as_object()?;
    let (name, settings) = properties.iter().next().filter(|_| properties.len() == 1)?;
    let is_required = schema["required"].as_array().is_some_and(|keys| keys.len() == 1);
    is_required.then_some((name.as_str(), settings))
}

/// The keys that must be there, each with its other spellings.
fn required(schema: &Value) -> Vec<Vec<&str>> {
    let mut required: Vec<Vec<&str>> = keys_of(schema).into_iter().map(|key| vec![key]).collect();
    let either: Vec<&str> =
        schema["anyOf"].as_array().into_iter().flatten().flat_map(keys_of).collect();
    if !either.is_empty() {
        required.push(either);
    }
    required
}

fn keys_of(schema: &Value) -> Vec<&str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// To add a key, and the first sentence of what it is.
fn add(key: &str, schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    let sentence = text.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let lowered = sentence.chars().next().map(|first| first.to_ascii_lowercase());
    let rest = sentence.chars().skip(1);
    let sentence: String = lowered.into_iter().chain(rest).collect();
    if sentence.is_empty() { format!("add `{key}`") } else { format!("add `{key}`: {sentence}") }
}

/// What would fit, for messages.
fn expected(leaves: &[&Value]) -> String {
    let mut nouns: Vec<&str> = Vec::new();
    let types = [
        ("string", "text"),
        ("boolean", "true or false"),
        ("integer", "a whole number"),
        ("number", "a number"),
        ("array", "a list"),
        ("object", "a map"),
    ];
    for (name, noun) in types {
        if leaves.iter().any(|leaf| has_type(leaf, name)) {
            nouns.push(noun);
        }
    }
    match nouns.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

fn integer_range(format: &str) -> Option<(i128, i128)> {
    let bits: u32 = format.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()?;
    match (format.starts_with("uint"), format.starts_with("int")) {
        (true, _) if bits <= 64 => Some((0, (1 << bits) - 1)),
        (_, true) if (1..=64).contains(&bits) => Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
        _ => None,
    }
}

/// Text that came out of a reference has no type of its own: it takes the one that is asked for.
fn adopt_type(leaves: &[&Value], node: &mut Node) {
    let Kind::Text(text) = &node.kind else { return };
    if text.filled.is_none() || leaves.iter().any(|leaf| has_type(leaf, "string")) {
        return;
    }
    let Some(kind) = parse::plain(&text.text) else { return };
    let name = match kind {
        Kind::Bool(_) => "boolean",
        Kind::Int(_) if leaves.iter().any(|leaf| has_type(leaf, "integer")) => "integer",
        Kind::Int(_) | Kind::Float(_) => "number",
        _ => return,
    };
    if leaves.iter().any(|leaf| has_type(leaf, name)) {
        node.kind = kind;
    }
}

/// Whether only a map is asked for, which may be empty: a section with nothing in it then counts as one.
fn takes_empty_map(leaves: &[&Value]) -> bool {
    matches!(leaves, [leaf] if leaf["type"] == "object" && required(leaf).is_empty())
}

/// Whether something in the tree was reported before.
fn holds_unknown(node: &Node) -> bool {
    match &node.kind {
        Kind::Unknown => true,
        Kind::List(items) => items.iter().any(holds_unknown),
        Kind::Map(entries) => entries.iter().any(|entry| holds_unknown(&entry.node)),
        _ => false,
    }
}
