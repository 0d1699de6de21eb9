//! A model among more records, or fewer, than it was trained on.
//!
//! Pairs grow with the square of the number of records, and those that are the same only with the number: among
//! four times as many records, two that are drawn by chance are the same a quarter as often. So is what a household
//! shares. Namesakes are an accident: as likely as before. What a level says of two records does not change.

use super::{Model, estimate};
use std::sync::Arc;

/// Sizes are told apart in steps of this factor, so that a store that grows is seldom matched anew.
const STEP: f64 = 4.0;

/// The size, in steps from `trained`, that stands for `records`: a function of the two numbers alone, so that
/// neither the order of records nor their batches play a part. Up to twice as many, or half, is as trained.
fn size(trained: u64, records: u64) -> u64 {
    if records == 0 || trained == 0 {
        return trained;
    }
    let steps = (records as f64 / trained as f64).log(STEP).round();
    ((trained as f64 * STEP.powf(steps)) as u64).max(2)
}

impl Model {
    /// The model for a store that holds so many records; `None` where this one is right already. An empty store
    /// tells nothing, so there the model stays as trained.
    pub fn for_records(&self, records: u64) -> Option<Self> {
        let records = size(self.trained, records);
        if records == self.terms.records {
            return None;
        }
        let bits = (self.terms.records as f64 / records as f64).log2();
        let mut model = self.clone();
        model.terms = Arc::new(super::Terms { records, ..(*self.terms).clone() });
        model.weights.prior += bits;
        let names = estimate::alternatives(&self.declaration);
        for (odds, alternative) in model.weights.alternatives.iter_mut().zip(names) {
            if !alternative.is_accident {
                *odds += bits;
            }
        }
        Some(model)
    }

    /// The number of records that the model was trained on; [`Model::records`] is what it is used for.
    pub fn trained_on(&self) -> u64 {
        self.trained
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_come_in_steps() {
        for (trained, records, expected) in [
            (10_000, 0, 10_000),
            (10_000, 5_001, 10_000),
            (10_000, 10_000, 10_000),
            (10_000, 19_999, 10_000),
            (10_000, 20_001, 40_000),
            (10_000, 1_000_000, 640_000),
            (1_000_000, 1_000, 976),
            (4, 1, 2),
            (0, 10, 0),
        ] {
            assert_eq!(size(trained, records), expected, "{trained} {records}");
        }
    }
}
