//! The threshold that makes the best of precision and recall, as far as the model itself can tell.

/// The least probability with which pairs are to be matched, so that the F1 that is expected is highest;
/// `probabilities` are those of all pairs that are compared.
///
/// With a threshold, the pairs above it are matched: of these, the sum of their probabilities is right; the sum
/// over all pairs is what there is to find. A half where there is nothing to go by.
pub(super) fn best(mut probabilities: Vec<f64>) -> f64 {
    probabilities.sort_unstable_by(|a, b| b.total_cmp(a));
    let total: f64 = probabilities.iter().sum();
    let (mut right, mut best, mut threshold) = (0.0, 0.0, 0.5);
    for (index, probability) in probabilities.iter().enumerate() {
        right += probability;
        let f1 = 2.0 * right / (index as f64 + 1.0 + total);
        if f1 > best {
            (best, threshold) = (f1, *probability);
        }
    }
    // The best threshold is half of the best F1; the last pair above it may lie far higher.
    threshold.min(best / 2.0).clamp(0.05, 0.95)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sure_pairs_are_matched_and_doubtful_ones_are_not() {
        for (probabilities, expected) in [
            (vec![], 0.05),
            (vec![1.0; 10], 0.5),
            ([vec![0.99; 50], vec![0.1; 100]].concat(), 0.455),
        ] {
            let got = best(probabilities.clone());
            assert!((got - expected).abs() < 0.06, "{got}, expected {expected}");
        }
    }
}
