//! A proposal as YAML, each choice with its reason.

use super::{FieldProposal, FileProposal, Project, TypeProposal};
use std::collections::BTreeSet;
use std::fmt::Write;
use syncline_core::config::model::FieldType;

/// Where comments begin, unless what stands before them is longer.
const COMMENT_COLUMN: usize = 52;

impl Project {
    /// The configuration file's text.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        line(&mut out, 0, "# Made by `syncline init` from samples. Every line may be changed;", "");
        line(
            &mut out,
            0,
            "# `syncline check` tells what is wrong, `syncline preview` what a run would do.",
            "",
        );
        out.push_str("\nconnections:\n");
        let connections: BTreeSet<&str> =
            self.files.iter().map(|f| f.connection.as_str()).collect();
        for connection in connections {
            line(&mut out, 1, &format!("{}:", scalar(connection)), "");
            line(&mut out, 2, "adapter: file", "");
            line(&mut out, 2, "entities:", "");
            for file in self.files.iter().filter(|file| file.connection == connection) {
                entity(&mut out, file);
            }
        }
        out.push_str("\nshard_types:\n");
        for shard_type in &self.types {
            self.shard_type(&mut out, shard_type);
        }
        out.push_str("\nconversion_schemas:\n");
        for file in &self.files {
            self.conversion_schema(&mut out, file);
        }
        out.push_str("\nsync_tasks:\n");
        for file in &self.files {
            let task = scalar(&file.task);
            line(&mut out, 1, &format!("{task}:"), "");
            line(&mut out, 2, &format!("connection: {}", scalar(&file.connection)), "");
            line(&mut out, 2, &format!("entity: {}", scalar(&file.entity)), "");
            line(&mut out, 2, &format!("conversion_schema: {task}"), "");
        }
        out
    }

    fn shard_type(&self, out: &mut String, shard_type: &TypeProposal) {
        line(out, 1, &format!("{}:", scalar(&shard_type.name)), &self.made_of(shard_type));
        if shard_type.fields.is_empty() {
            line(out, 2, "fields: {}", "");
        } else {
            line(out, 2, "fields:", "");
        }
        for (name, field_type, why) in &shard_type.fields {
            let why =
                if *field_type == FieldType::Text && why == "text" { "" } else { why.as_str() };
            line(out, 3, &format!("{}: {}", scalar(name), type_name(*field_type)), why);
        }
        if shard_type.rules.is_empty() {
            line(out, 2, &format!("# {}", shard_type.rules_why), "");
            return;
        }
        line(out, 2, "matching:", &shard_type.rules_why);
        line(out, 3, "rules:", "");
        for rule in &shard_type.rules {
            line(out, 4, &format!("- name: {}", quoted(&rule.name)), &rule.why);
            if !rule.block.is_empty() {
                line(out, 5, &format!("block: [{}]", rule.block.join(", ")), "");
            }
            line(out, 5, "compare:", "");
            for comparison in &rule.compare {
                line(out, 6, &format!("- {comparison}"), "");
            }
            if let Some(threshold) = rule.threshold {
                line(out, 5, &format!("threshold: {threshold}"), "");
            }
        }
        line(out, 3, "merge: merge_fields", "each field: the newest value that is not null");
    }

    fn made_of(&self, shard_type: &TypeProposal) -> String {
        let files: Vec<&str> = self
            .files
            .iter()
            .filter(|file| file.shard_type == shard_type.name)
            .map(|file| file.task.as_str())
            .collect();
        if files.len() < 2 {
            return String::new();
        }
        format!("one kind of thing in {}", files.join(", "))
    }

    fn conversion_schema(&self, out: &mut String, file: &FileProposal) {
        line(out, 1, &format!("{}:", scalar(&file.task)), "");
        line(out, 2, &format!("shard_type: {}", scalar(&file.shard_type)), "");
        line(out, 2, if file.fields.is_empty() { "fields: {}" } else { "fields:" }, "");
        let shard_type = self.types.iter().find(|known| known.name == file.shard_type);
        for field in &file.fields {
            let known =
                shard_type.and_then(|t| t.fields.iter().find(|(name, ..)| *name == field.name));
            let wanted = known.map_or(field.field_type, |(_, field_type, _)| *field_type);
            let why = if field.from.len() > 1 { field.why.as_str() } else { "" };
            line(out, 3, &format!("{}: {}", scalar(&field.name), mapping(field, wanted)), why);
        }
        for (column, why) in &file.unused {
            line(out, 3, &format!("# {}", comment(&format!("{column}: {why}"))), "");
        }
        if !file.relationships.is_empty() {
            line(
                out,
                2,
                "relationships:",
                "links to records of another file, which may come later",
            );
        }
        for relationship in &file.relationships {
            line(out, 3, &format!("{}:", scalar(&relationship.name)), "");
            line(out, 4, &format!("shard_type: {}", scalar(&relationship.shard_type)), "");
            line(out, 4, &format!("from: {}", source(&relationship.from)), "");
            line(out, 4, &format!("connection: {}", scalar(&relationship.connection)), "");
            line(out, 4, &format!("entity: {}", scalar(&relationship.entity)), "");
        }
    }
}

fn entity(out: &mut String, file: &FileProposal) {
    line(out, 3, &format!("{}:", scalar(&file.entity)), "");
    line(out, 4, &format!("path: {}", scalar(&file.path)), "");
    for setting in &file.settings {
        line(out, 4, &format!("{}: {}", setting.key, scalar(&setting.value)), &setting.why);
    }
    let key: Vec<String> = file.key.iter().map(|column| source(column)).collect();
    let key = match key.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    line(out, 4, &format!("key: {key}"), &file.key_why);
    if let Some(modified) = &file.modified {
        line(
            out,
            4,
            &format!("modified: {}", source(modified)),
            "when a record changed: newer values win",
        );
    }
    if let Some(deleted) = &file.deleted {
        line(out, 4, &format!("deleted: {deleted}"), "these records count as deleted");
    }
}

fn mapping(field: &FieldProposal, wanted: FieldType) -> String {
    let from = match field.from.as_slice() {
        [one] => source(one),
        several => {
            let several: Vec<String> = several.iter().map(|column| source(column)).collect();
            format!("[{}]", several.join(", "))
        }
    };
    let mut parts = vec![format!("from: {from}")];
    let mut transforms = field.transforms.clone();
    if wanted == FieldType::Text && field.field_type != FieldType::Text {
        transforms.retain(|transform| transform == "trim");
    }
    if !transforms.is_empty() {
        parts.push(format!("transform: [{}]", transforms.join(", ")));
    }
    if field.is_email {
        parts.push("validate: { format: email }".to_owned());
    }
    match (parts.as_slice(), field.from.as_slice()) {
        ([_], [_]) => from,
        _ => format!("{{ {} }}", parts.join(", ")),
    }
}

/// One line, with its comment behind it.
fn line(out: &mut String, depth: usize, text: &str, why: &str) {
    let start = out.len();
    for _ in 0..depth {
        out.push_str("  ");
    }
    out.push_str(text);
    if !why.is_empty() {
        let width = out[start..].chars().count();
        for _ in width..COMMENT_COLUMN {
            out.push(' ');
        }
        let spacer = if width >= COMMENT_COLUMN { "  " } else { "" };
        write!(out, "{spacer}# {}", comment(why)).expect("text takes everything");
    }
    out.push('\n');
}

/// Text that can stand behind a `#`.
fn comment(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}

fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A source field, as a mapping names it.
fn source(column: &str) -> String {
    scalar(column)
}

/// Text as a YAML scalar that is read back as this text.
pub(super) fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let lower = text.to_ascii_lowercase();
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(is_word)
        && !WORDS.contains(&lower.as_str());
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// Text in double quotes; what looks like a reference is written so that it is none.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut text = text.to_owned();
    for reference in ["${env:", "${file:", "${var:"] {
        text = text.replace(reference, &format!("${reference}"));
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_unprintable(c) => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("text takes everything");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn type_name(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::Text => "text",
        FieldType::Integer => "integer",
        FieldType::Number => "number",
        FieldType::Decimal => "decimal",
        FieldType::Boolean => "boolean",
        FieldType::Date => "date",
        FieldType::Timestamp => "timestamp",
        FieldType::List => "list",
        FieldType::Json => "json",
    }
}
