//! Comparing two records under one rule: the waterfall of comparisons, and the score they make.

use super::items;
use super::model::ModelExplanation;
use super::normalise::normalise_in;
use super::similarity::similarity;
use crate::config::model::{Comparator, Missing, Normaliser};
use crate::value::{Cell, Value};
use compact_str::CompactString;
use serde::Serialize;

/// Scores are sums of floats: 0.6 + 0.4 · 0.5 must still reach 0.8.
pub(super) const TOLERANCE: f64 = 1e-9;

/// A rule, compiled.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: CompactString,
    pub(super) threshold: f64,
    /// The least score that a person is asked about; at most the threshold.
    pub(super) review: f64,
    /// Cheapest first, so that most pairs are refused before letters are weighed.
    comparisons: Vec<Compare>,
}

/// A comparison, compiled.
#[derive(Clone, Debug)]
pub(super) struct Compare {
    pub(super) name: CompactString,
    pub(super) field: usize,
    pub(super) by: Comparator,
    pub(super) normaliser: Normaliser,
    pub(super) weight: f64,
    pub(super) min: f64,
    pub(super) missing: Missing,
    /// Its place among the rule's comparisons as they were written.
    pub(super) position: usize,
    /// The weights of all comparisons that are made after it.
    pub(super) weight_after: f64,
}

/// Buffers for the normal forms of two values.
#[derive(Default)]
pub(super) struct Scratch {
    left: String,
    right: String,
}

/// What a rule makes of two records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleExplanation {
    /// The rule's name.
    pub rule: String,
    /// The weighted mean of the similarities, from 0 to 1; `None` where nothing could be compared.
    pub score: Option<f64>,
    /// The least score that makes a match.
    pub threshold: f64,
    /// The least score that a person is asked about; the threshold, where nobody is.
    pub review: f64,
    /// Whether the score reaches the threshold.
    pub is_match: bool,
    /// The comparisons, in the order in which they were written.
    pub comparisons: Vec<ComparisonExplanation>,
    /// Of a model, what it makes of the two; its comparisons stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelExplanation>,
}

/// What one comparison makes of two records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonExplanation {
    /// The field.
    pub field: String,
    /// How its values were compared.
    pub by: Comparator,
    /// How they were made comparable.
    pub normalise: Normaliser,
    /// The one record's value in normal form (of lists: the item that fits best); `None` where blank.
    pub left: Option<String>,
    /// The other record's value likewise.
    pub right: Option<String>,
    /// From 0 to 1, after `min`; `None` where a side has nothing to compare.
    pub similarity: Option<f64>,
    /// Its share in the score; 0 where it was skipped.
    pub weight: f64,
    /// What it adds to the score.
    pub contribution: f64,
}

impl Rule {
    pub(super) fn new(
        name: &str,
        threshold: f64,
        review: f64,
        mut comparisons: Vec<Compare>,
    ) -> Self {
        comparisons.sort_by_key(|comparison| cost(comparison.by));
        let mut after = 0.0;
        for comparison in comparisons.iter_mut().rev() {
            comparison.weight_after = after;
            after += comparison.weight;
        }
        Self { name: CompactString::new(name), threshold, review, comparisons }
    }

    /// The fields that it compares.
    pub(super) fn fields(&self) -> impl Iterator<Item = usize> {
        self.comparisons.iter().map(|comparison| comparison.field)
    }

    /// The score of two records, if it reaches `least`.
    pub(super) fn score(
        &self,
        a: &[Cell],
        b: &[Cell],
        least: f64,
        scratch: &mut Scratch,
    ) -> Option<f64> {
        let goal = least - TOLERANCE;
        let (mut sum, mut weight) = (0.0, 0.0);
        for comparison in self.comparisons.iter().filter(|c| c.weight > 0.0) {
            let after = comparison.weight_after;
            // With less than this, the goal is missed even if all that follows agrees.
            let needed = (goal * (weight + comparison.weight + after) - sum - after)
                / comparison.weight
                - TOLERANCE;
            if let Some(similarity) = comparison.counted(a, b, needed, scratch) {
                sum += comparison.weight * similarity;
                weight += comparison.weight;
            }
            if weight > 0.0 && (sum + after) / (weight + after) < goal {
                return None;
            }
        }
        mean(sum, weight).filter(|score| *score >= goal)
    }

    pub(super) fn explain(&self, a: &[Cell], b: &[Cell], scratch: &mut Scratch) -> RuleExplanation {
        let (mut sum, mut weight) = (0.0, 0.0);
        let mut rows: Vec<(usize, ComparisonExplanation)> = Vec::new();
        for comparison in &self.comparisons {
            let row = comparison.explain(a, b, scratch);
            sum += row.weight * row.similarity.unwrap_or(0.0);
            weight += row.weight;
            rows.push((comparison.position, row));
        }
        rows.sort_by_key(|(position, _)| *position);
        let score = mean(sum, weight);
        let contributed = |(_, mut row): (usize, ComparisonExplanation)| {
            row.contribution =
                mean(row.weight * row.similarity.unwrap_or(0.0), weight).unwrap_or(0.0);
            row
        };
        RuleExplanation {
            rule: self.name.to_string(),
            score,
            threshold: self.threshold,
            review: self.review,
            is_match: score.is_some_and(|score| score >= self.threshold - TOLERANCE),
            comparisons: rows.into_iter().map(contributed).collect(),
            model: None,
        }
    }
}

fn mean(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| (sum / weight).clamp(0.0, 1.0))
}

fn cost(by: Comparator) -> u8 {
    match by {
        Comparator::Exact => 0,
        Comparator::Numeric | Comparator::Date => 1,
        Comparator::JaroWinkler | Comparator::Levenshtein => 2,
        Comparator::Soundex | Comparator::Metaphone | Comparator::Nysiis => 3,
        Comparator::DoubleMetaphone | Comparator::Ngram | Comparator::TokenSet => 4,
    }
}

/// How alike the most alike items of two fields are, and which they are.
struct Best<'a> {
    similarity: f64,
    left: &'a Value,
    right: &'a Value,
}

impl Compare {
    /// The similarity that counts: 0 below `min` or `needed`; `None` where the comparison is skipped.
    fn counted(&self, a: &[Cell], b: &[Cell], needed: f64, scratch: &mut Scratch) -> Option<f64> {
        match (self.best(a, b, needed.clamp(self.min, 1.0), scratch), self.missing) {
            (Some(best), _) => Some(best.similarity),
            (None, Missing::Differ) => Some(0.0),
            (None, Missing::Skip) => None,
        }
    }

    fn best<'a>(
        &self,
        a: &'a [Cell],
        b: &'a [Cell],
        cutoff: f64,
        scratch: &mut Scratch,
    ) -> Option<Best<'a>> {
        let mut best: Option<Best<'a>> = None;
        for left in items(a, self.field) {
            let left_plain = left.to_plain();
            let left_text = normalise_in(self.normaliser, &left_plain, &mut scratch.left);
            if left_text.trim().is_empty() {
                continue;
            }
            for right in items(b, self.field) {
                let right_plain = right.to_plain();
                let right_text = normalise_in(self.normaliser, &right_plain, &mut scratch.right);
                if right_text.trim().is_empty() {
                    continue;
                }
                let Some(similarity) = similarity(self.by, left_text, right_text, cutoff) else {
                    continue;
                };
                if best.as_ref().is_none_or(|best| best.similarity < similarity) {
                    best = Some(Best { similarity, left, right });
                }
            }
        }
        best
    }

    fn explain(&self, a: &[Cell], b: &[Cell], scratch: &mut Scratch) -> ComparisonExplanation {
        let best = self.best(a, b, self.min, scratch);
        let (left, right) = match &best {
            Some(best) => (Some(best.left), Some(best.right)),
            None => (items(a, self.field).first(), items(b, self.field).first()),
        };
        let mut normal = |value: Option<&Value>| {
            let plain = value?.to_plain();
            let text = normalise_in(self.normaliser, &plain, &mut scratch.left);
            (!text.trim().is_empty()).then(|| text.to_owned())
        };
        let is_counted = best.is_some() || self.missing == Missing::Differ;
        ComparisonExplanation {
            field: self.name.to_string(),
            by: self.by,
            normalise: self.normaliser,
            left: normal(left),
            right: normal(right),
            similarity: best.map(|best| best.similarity),
            weight: if is_counted { self.weight } else { 0.0 },
            contribution: 0.0,
        }
    }
}
