//! What a model makes of two records, comparison by comparison.

use super::declare::Declaration;
use super::features::Features;
use super::{CLASSES_MAX, Model, levels};
use crate::config::model::Kind;
use serde::Serialize;

/// What a model makes of two records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelExplanation {
    /// What is known before anything is compared, in bits: how rare it is that two records are the same.
    pub prior: f64,
    /// The number of records among which that holds.
    pub records: u64,
    /// The comparisons, as they were declared.
    pub comparisons: Vec<ModelRow>,
    /// What is taken off because another reason explains why the two are alike, in bits; at most 0.
    pub alternative: f64,
    /// That reason; `None` where none matters.
    pub alternative_name: Option<&'static str>,
    /// The sum of all of these: `log2` of the odds that the two are the same.
    pub total: f64,
    /// The probability that the two are the same.
    pub probability: f64,
    /// The least probability of a match.
    pub threshold: f64,
    /// The least probability of a pair that a person should look at.
    pub review: f64,
}

/// What one comparison makes of two records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelRow {
    /// The field.
    pub field: String,
    /// The kind of its values.
    pub kind: Kind,
    /// The one record's value in normal form; `None` where there is none.
    pub left: Option<String>,
    /// The other record's value likewise.
    pub right: Option<String>,
    /// How alike they are.
    pub level: &'static str,
    /// How likely that is where two records are the same.
    pub m: f64,
    /// How likely it is where they are not; for this very value, where rarity counts.
    pub u: f64,
    /// `log2(m / u)`: above 0 it speaks for *same*, below 0 against it.
    pub weight: f64,
}

impl Model {
    /// What the model makes of two records.
    pub fn explain(&self, a: &Features, b: &Features) -> ModelExplanation {
        let declaration = &*self.declaration;
        let pattern = declaration.pattern(a, b);
        let mut odds = [0.0; CLASSES_MAX];
        let odds = self.weights.odds(declaration, &pattern, 0, &mut odds);
        let others = 1.0 + odds[1..].iter().map(|odds| odds.exp2()).sum::<f64>();
        let total = odds[0] - others.log2();
        let likeliest = (1..odds.len()).max_by(|x, y| odds[*x].total_cmp(&odds[*y]));
        let alternative = -others.log2();
        let matters = likeliest.filter(|_| alternative < -0.1);
        let rows = (0..declaration.comparisons.len())
            .map(|index| self.row(index, a, b, pattern.levels[index], pattern.rarity[index]));
        ModelExplanation {
            prior: self.weights.prior,
            records: self.terms.records,
            comparisons: rows.collect(),
            alternative,
            alternative_name: matters.map(|index| self.alternative_name(index - 1)),
            total,
            probability: self.weights.probability(declaration, &pattern),
            threshold: self.threshold,
            review: self.review,
        }
    }

    fn alternative_name(&self, index: usize) -> &'static str {
        super::estimate::alternatives(&self.declaration).get(index).map_or("related", |a| a.name)
    }

    fn row(&self, index: usize, a: &Features, b: &Features, level: u8, rarity: f32) -> ModelRow {
        let comparison = &self.declaration.comparisons[index];
        let weights = &self.weights.comparisons[index];
        let at = usize::from(level);
        let weight = weights.of(comparison.kind, level, rarity);
        let neutral = levels::is_neutral(comparison.kind, level);
        let m = if neutral { 1.0 } else { weights.m[at] };
        ModelRow {
            field: comparison.name.to_string(),
            kind: comparison.kind,
            left: shown(&self.declaration, a, index),
            right: shown(&self.declaration, b, index),
            level: match level {
                levels::MISSING => "missing",
                level => levels::names(comparison.kind)[usize::from(level) - 1],
            },
            m,
            u: m / weight.exp2(),
            weight,
        }
    }
}

/// The values of a comparison, as they are compared.
fn shown(_: &Declaration, features: &Features, index: usize) -> Option<String> {
    let texts: Vec<&str> = features.view().of(index).map(|value| value.text()).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}
