//! From the configuration of a shard type's matching to its [`Matcher`], with all that is wrong on the way.

use super::blocking::{Part, Recipe};
use super::compare::{Compare, Rule};
use super::model::{self, Model};
use super::survivors::FieldRule;
use super::{Matcher, RULES_MAX, phone};
use crate::config::model::{
    BlockPart, BlockSpec, Comparator, Comparison, Country, FieldType, MatchRule, Matching, Missing,
    Normaliser, Phonetic, ShardType, Survivor,
};
use crate::problem::{ConfigPath, Problem, nearest};
use crate::shard::Layout;
use compact_str::CompactString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the rule that a shard type's identity fields make.
const IDENTITY: &str = "identity";

pub(super) fn compile(
    layout: &Layout,
    shard_type: &ShardType,
    path: &ConfigPath,
) -> Result<Matcher, Vec<Problem>> {
    let mut compiler = Compiler {
        layout,
        region: None,
        problems: Vec::new(),
        rules: Vec::new(),
        recipes: Vec::new(),
        survivors: Vec::new(),
    };
    compiler.identity(&shard_type.identity, &path.key("identity"));
    let defaults = Matching::default();
    let matching = shard_type.matching.as_ref().unwrap_or(&defaults);
    compiler.region(matching, &path.key("matching").key("phone_region"));
    compiler.matching(matching, &path.key("matching"));
    let model = compiler.model(matching, &path.key("matching"));
    compiler.survivorship(&shard_type.survivorship, &path.key("survivorship"));
    if !compiler.problems.is_empty() {
        return Err(compiler.problems);
    }
    Ok(Matcher {
        rules: compiler.rules,
        recipes: compiler.recipes,
        model,
        strategy: matching.merge,
        survivors: compiler.survivors,
        block_max: matching.block_max as usize,
        cluster_max: matching.cluster_max as usize,
    })
}

struct Compiler<'a> {
    layout: &'a Layout,
    /// The country of phone numbers that do not say theirs.
    region: Option<Country>,
    problems: Vec<Problem>,
    rules: Vec<Rule>,
    recipes: Vec<Recipe>,
    survivors: Vec<(usize, FieldRule)>,
}

impl Compiler<'_> {
    fn identity(&mut self, fields: &[String], path: &ConfigPath) {
        if fields.is_empty() {
            return;
        }
        let mut comparisons = Vec::new();
        for (position, name) in fields.iter().enumerate() {
            if let Some(field) = self.field(name, &path.index(position)) {
                comparisons.push(Compare {
                    name: CompactString::new(name),
                    field,
                    by: Comparator::Exact,
                    normaliser: Normaliser::Text,
                    weight: 1.0,
                    min: 0.0,
                    missing: Missing::Differ,
                    position,
                    weight_after: 0.0,
                });
            }
        }
        let parts = comparisons.iter().filter_map(default_part).collect();
        self.add(Rule::new(IDENTITY, 1.0, 1.0, comparisons), parts);
    }

    fn region(&mut self, matching: &Matching, path: &ConfigPath) {
        let Some(region) = &matching.phone_region else { return };
        self.region = phone::country(region);
        if self.region.is_none() {
            let known: Vec<&str> = phone::countries().collect();
            let message = format!("`{region}` is no country whose phone numbers are known");
            let help = format!("use its two letters of ISO 3166, one of {}", known.join(", "));
            self.problem(path.clone(), message, help);
        }
    }

    /// What a normaliser is in this shard type.
    fn here(&self, normaliser: Normaliser) -> Normaliser {
        here(normaliser, self.region)
    }

    fn survivorship(&mut self, survivors: &BTreeMap<String, Survivor>, path: &ConfigPath) {
        for (name, survivor) in survivors {
            let path = path.key(name);
            let Some(field) = self.field(name, &path) else { continue };
            let holds_lists =
                matches!(self.layout.field_type(field), FieldType::List | FieldType::Json);
            if *survivor == Survivor::Union && !holds_lists {
                let message = format!("`{name}` holds no lists, so there is nothing to unite");
                self.problem(path.clone(), message, format!("declare it as `{name}: list`"));
            }
            match FieldRule::compile(survivor, &path) {
                Ok(rule) => self.survivors.push((field, rule)),
                Err(found) => self.problems.extend(found),
            }
        }
    }

    fn matching(&mut self, matching: &Matching, path: &ConfigPath) {
        for (name, value) in
            [("block_max", matching.block_max), ("cluster_max", matching.cluster_max)]
        {
            if value == 0 {
                let message = format!("`{name}` must be at least 1");
                self.problem(path.key(name), message, "leave it out to take the default");
            }
        }
        let rules_path = path.key("rules");
        let models = usize::from(matching.model.is_some());
        if self.rules.len() + matching.rules.len() + models > RULES_MAX {
            let message = format!(
                "a shard type has at most {RULES_MAX} rules, its identity and its model included"
            );
            self.problem(rules_path, message, "put rules together, or leave some out");
            return;
        }
        for (index, rule) in matching.rules.iter().enumerate() {
            self.rule(rule, &matching.rules[..index], &rules_path.index(index));
        }
    }

    /// The model, where one is named and trained. One that is still to be trained compares nothing.
    fn model(&mut self, matching: &Matching, path: &ConfigPath) -> Option<Arc<Model>> {
        let declaration = match model::declare(self.layout, matching, path) {
            Ok(declaration) => Arc::new(declaration?),
            Err(problems) => {
                self.problems.extend(problems);
                return None;
            }
        };
        let shard_type = &self.layout.shard_type;
        let Some(file) = &matching.trained else {
            let message = format!("the model of shard type `{shard_type}` is not trained yet");
            let help = "train it on the records of your connections: `syncline match train`";
            self.problem(path.key("model"), message, help);
            return None;
        };
        if file.is_untrained() {
            return None;
        }
        match Model::compile(declaration, file) {
            Ok(model) => Some(Arc::new(model)),
            Err(error) => {
                let message =
                    format!("the model of shard type `{shard_type}` cannot be used: {error}");
                let help = "train it again: `syncline match train`";
                self.problem(path.key("model"), message, help);
                None
            }
        }
    }

    fn rule(&mut self, rule: &MatchRule, earlier: &[MatchRule], path: &ConfigPath) {
        self.rule_name(rule, earlier, &path.key("name"));
        self.unit("threshold", rule.threshold, &path.key("threshold"));
        self.review(rule, &path.key("review"));
        let compare_path = path.key("compare");
        if rule.compare.is_empty() {
            let message = format!("rule `{}` compares nothing", rule.name);
            self.problem(compare_path.clone(), message, "name at least one field to compare");
        } else if rule.compare.iter().all(|comparison| comparison.weight == 0.0) {
            let message = format!("all comparisons of rule `{}` have the weight 0", rule.name);
            self.problem(compare_path.clone(), message, "give at least one of them a weight");
        }
        let mut comparisons = Vec::new();
        for (position, comparison) in rule.compare.iter().enumerate() {
            comparisons.extend(self.comparison(
                comparison,
                position,
                &compare_path.index(position),
            ));
        }
        let parts: Vec<Part> = if rule.block.is_empty() {
            comparisons.iter().filter_map(default_part).collect()
        } else {
            let block_path = path.key("block");
            let parts = rule.block.iter().enumerate();
            parts.filter_map(|(i, part)| self.part(part, &block_path.index(i))).collect()
        };
        let has_key = !rule.block.is_empty() || rule.compare.iter().any(|c| is_key(c.by));
        if !has_key && !rule.compare.is_empty() {
            let message = format!("rule `{}` would compare everything with everything", rule.name);
            let help = "name the fields on which records must agree before they are compared: \
                        `block: [postcode]`";
            self.problem(path.clone(), message, help);
        }
        let review = rule.review.unwrap_or(rule.threshold);
        self.add(Rule::new(&rule.name, rule.threshold, review, comparisons), parts);
    }

    fn review(&mut self, rule: &MatchRule, path: &ConfigPath) {
        let Some(review) = rule.review else { return };
        self.unit("review", review, path);
        if review > rule.threshold && (0.0..=1.0).contains(&rule.threshold) {
            let message = format!("`review` ({review}) is above `threshold` ({})", rule.threshold);
            let help = "a person is asked of pairs that score from `review` to below `threshold`";
            self.problem(path.clone(), message, help);
        }
    }

    fn rule_name(&mut self, rule: &MatchRule, earlier: &[MatchRule], path: &ConfigPath) {
        let is_taken = earlier.iter().any(|other| other.name == rule.name);
        let is_identity =
            rule.name == IDENTITY && self.rules.first().is_some_and(|rule| rule.name == IDENTITY);
        if rule.name.trim().is_empty() {
            self.problem(path.clone(), "a rule needs a name", "name it after what it compares");
        } else if is_taken || (is_identity && earlier.iter().all(|other| other.name != IDENTITY)) {
            let message = format!("there is another rule `{}`", rule.name);
            self.problem(path.clone(), message, "give each rule a name of its own");
        }
    }

    fn comparison(
        &mut self,
        comparison: &Comparison,
        position: usize,
        path: &ConfigPath,
    ) -> Option<Compare> {
        self.unit("weight", comparison.weight, &path.key("weight"));
        self.unit("min", comparison.min, &path.key("min"));
        let field = self.field(&comparison.field, &path.key("field"))?;
        let default = match comparison.by {
            Comparator::Date => Normaliser::Date,
            Comparator::Numeric => Normaliser::None,
            _ => Normaliser::Text,
        };
        Some(Compare {
            name: CompactString::new(&comparison.field),
            field,
            by: comparison.by,
            normaliser: self.here(comparison.normalise.unwrap_or(default)),
            weight: comparison.weight,
            min: comparison.min,
            missing: comparison.missing,
            position,
            weight_after: 0.0,
        })
    }

    fn part(&mut self, part: &BlockPart, path: &ConfigPath) -> Option<Part> {
        let (spec, field_path) = match part {
            BlockPart::Field(name) => {
                (&BlockSpec { field: name.clone(), ..BlockSpec::default() }, path.clone())
            }
            BlockPart::Full(spec) => (spec, path.key("field")),
        };
        let BlockSpec { field: name, normalise, phonetic, prefix, ngram } = spec;
        if ngram.is_some_and(|length| length < 2) {
            let help =
                "three is usual: names that differ in one letter still have pieces in common";
            self.problem(path.key("ngram"), "`ngram` must be at least 2", help);
        }
        if *prefix == Some(0) {
            let help = "leave it out to take the whole value";
            self.problem(path.key("prefix"), "`prefix` must be at least 1", help);
        }
        let field = self.field(name, &field_path)?;
        Some(Part {
            name: CompactString::new(name),
            field,
            normaliser: self.here(normalise.unwrap_or_default()),
            phonetic: *phonetic,
            prefix: *prefix,
            ngram: *ngram,
        })
    }

    fn field(&mut self, name: &str, path: &ConfigPath) -> Option<usize> {
        let position = self.layout.position(name);
        if position.is_none() {
            let shard_type = &self.layout.shard_type;
            let message = format!("shard type `{shard_type}` has no field `{name}`");
            let names = self.layout.names();
            let help = match nearest(name, names.iter().map(CompactString::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its fields are {}", listed(names)),
            };
            self.problem(path.clone(), message, help);
        }
        position
    }

    fn unit(&mut self, name: &str, value: f64, path: &ConfigPath) {
        if !(0.0..=1.0).contains(&value) {
            let message = format!("`{name}` must be from 0 to 1, and is {value}");
            self.problems.push(Problem::new(path.clone(), message));
        }
    }

    fn problem(&mut self, path: ConfigPath, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(path, message).with_help(help));
    }

    fn add(&mut self, rule: Rule, parts: Vec<Part>) {
        let index = u16::try_from(self.rules.len()).expect("there are at most 64 rules");
        self.rules.push(rule);
        if parts.is_empty() {
            return;
        }
        let mut recipe = Recipe::new(&self.layout.shard_type, parts);
        match self.recipes.iter_mut().find(|other| other.is_same(&recipe)) {
            Some(same) => same.rules.push(index),
            None => {
                recipe.rules.push(index);
                self.recipes.push(recipe);
            }
        }
    }
}

/// What a normaliser is where phone numbers are of `region`.
pub(super) fn here(normaliser: Normaliser, region: Option<Country>) -> Normaliser {
    match (normaliser, region) {
        (Normaliser::Phone, Some(country)) => Normaliser::PhoneOf(country),
        (normaliser, _) => normaliser,
    }
}

fn listed(names: &[CompactString]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Whether a comparison can serve as a blocking key by itself.
fn is_key(by: Comparator) -> bool {
    by == Comparator::Exact || code_of(by).is_some()
}

fn code_of(by: Comparator) -> Option<Phonetic> {
    match by {
        Comparator::Soundex => Some(Phonetic::Soundex),
        Comparator::Metaphone => Some(Phonetic::Metaphone),
        Comparator::DoubleMetaphone => Some(Phonetic::DoubleMetaphone),
        Comparator::Nysiis => Some(Phonetic::Nysiis),
        _ => None,
    }
}

/// The blocking part that a comparison makes where its rule names none.
fn default_part(comparison: &Compare) -> Option<Part> {
    is_key(comparison.by).then(|| Part {
        name: comparison.name.clone(),
        field: comparison.field,
        normaliser: comparison.normaliser,
        phonetic: code_of(comparison.by),
        prefix: None,
        ngram: None,
    })
}
