//! Which match rules the fields of a shard type suggest.

use super::names::Thing;
use super::{RuleProposal, TypeProposal};

/// Proposes match rules by the type's fields.
///
/// Only for people and organisations: two orders with one e-mail address are two orders.
pub(super) fn propose(shard_type: &mut TypeProposal, thing: Thing) {
    let has = |name: &str| shard_type.fields.iter().any(|(field, ..)| field == name);
    shard_type.rules = match thing {
        Thing::Person => person(&has),
        Thing::Company => company(&has),
        Thing::Other | Thing::Unknown => Vec::new(),
    };
    let why = match (shard_type.rules.is_empty(), thing) {
        (false, _) => "records are one thing if any of these rules says so",
        (true, Thing::Person | Thing::Company) => {
            "no rules: no field here is enough to tell that two records are the same"
        }
        (true, _) => "no rules: records are the same only if they have the same key",
    };
    why.clone_into(&mut shard_type.rules_why);
}

fn exact(name: &str, field: &str, why: &str) -> RuleProposal {
    RuleProposal {
        name: name.to_owned(),
        why: why.to_owned(),
        compare: vec![format!("{{ field: {field}, normalise: {} }}", normaliser(field))],
        ..RuleProposal::default()
    }
}

fn normaliser(field: &str) -> &'static str {
    match field {
        "email" => "email",
        "phone" | "mobile" => "phone",
        _ => "text",
    }
}

fn person(has: &dyn Fn(&str) -> bool) -> Vec<RuleProposal> {
    let mut rules = Vec::new();
    if has("email") {
        rules.push(exact("same e-mail", "email", "an address belongs to one person"));
    }
    let name = has("name").then(|| similar_name("name"));
    for phone in ["phone", "mobile"].into_iter().filter(|field| has(field)) {
        let mut rule = exact(&format!("same {phone}"), phone, "");
        match &name {
            Some(name) => {
                "a switchboard has one number for many, so the name must agree"
                    .clone_into(&mut rule.why);
                rule.block = vec![format!("{{ field: {phone}, normalise: phone }}")];
                rule.compare.push(name.clone());
                rule.threshold = Some(0.9);
            }
            None => "a number belongs to one person".clone_into(&mut rule.why),
        }
        rules.push(rule);
    }
    if let Some(name) = name {
        rules.extend(by_place(has, "similar name, same place", "name", name));
        if has("birth_date") {
            rules.push(RuleProposal {
                name: "similar name, same birth date".to_owned(),
                why: "spellings differ, birthdays do not".to_owned(),
                block: vec!["birth_date".to_owned()],
                compare: vec![similar_name("name")],
                threshold: Some(0.9),
            });
        }
    }
    rules
}

fn company(has: &dyn Fn(&str) -> bool) -> Vec<RuleProposal> {
    let mut rules = Vec::new();
    if has("website") {
        rules.push(exact("same website", "website", "a site belongs to one organisation"));
    }
    if !has("name") {
        return rules;
    }
    match by_place(has, "similar name, same place", "company", similar_name("company")) {
        Some(rule) => rules.push(rule),
        None => rules.push(RuleProposal {
            name: "same name".to_owned(),
            why: "without its legal form".to_owned(),
            compare: vec!["{ field: name, normalise: company }".to_owned()],
            ..RuleProposal::default()
        }),
    }
    rules
}

fn similar_name(normaliser: &str) -> String {
    format!("{{ field: name, by: token_set, normalise: {normaliser}, min: 0.85, missing: differ }}")
}

fn by_place(
    has: &dyn Fn(&str) -> bool,
    name: &str,
    normaliser: &str,
    comparison: String,
) -> Option<RuleProposal> {
    let block = if has("postcode") {
        vec!["{ field: postcode, normalise: alphanumeric }".to_owned()]
    } else if has("city") {
        // Too many share a city; two letters of the name keep the blocks small.
        vec!["city".to_owned(), format!("{{ field: name, normalise: {normaliser}, prefix: 2 }}")]
    } else {
        return None;
    };
    Some(RuleProposal {
        name: name.to_owned(),
        why: "only records of one place are compared, so it stays fast".to_owned(),
        block,
        compare: vec![comparison],
        threshold: Some(0.9),
    })
}
