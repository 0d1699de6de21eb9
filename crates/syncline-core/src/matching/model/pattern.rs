//! Two records, level by level.

use super::COMPARISONS_MAX;
use super::declare::Declaration;
use super::features::{Features, Value, View};
use super::levels::{self, SAME};

/// What two records come to: for each comparison a level, and how rare the value is in which they agree.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pattern {
    pub(super) levels: [u8; COMPARISONS_MAX],
    pub(super) rarity: [f32; COMPARISONS_MAX],
}

impl Declaration {
    /// Compares two prepared records.
    pub(super) fn pattern(&self, a: &Features, b: &Features) -> Pattern {
        let (a, b) = (a.view(), b.view());
        let mut pattern = Pattern::default();
        for (index, comparison) in self.comparisons.iter().enumerate() {
            let (level, rarity) = levels::best(comparison.kind, a.of(index), b.of(index));
            (pattern.levels[index], pattern.rarity[index]) = (level, rarity);
        }
        self.look_at_both(a, b, &mut pattern);
        pattern
    }

    /// Whether the comparison is of one of the two names that people swap.
    pub(super) fn is_name_of_two(&self, index: usize) -> bool {
        self.names.is_some_and(|(given, family)| index == given || index == family)
    }

    /// Whether a given name of one record is a family name of the other.
    pub(super) fn may_be_swapped(&self, a: View<'_>, b: View<'_>) -> bool {
        self.names.is_some_and(|(given, family)| {
            let crosses = |x: View<'_>, y: View<'_>| {
                x.hash(given).is_some_and(|hash| y.hash(family) == Some(hash))
            };
            crosses(a, b) || crosses(b, a)
        })
    }

    /// Sets the levels that hang on two comparisons at once.
    pub(super) fn look_at_both(&self, a: View<'_>, b: View<'_>, pattern: &mut Pattern) {
        if let Some((given, family)) = self.names {
            swapped(a, b, given, family, pattern);
        }
        if let Some((place, postcode)) = self.place
            && pattern.levels[postcode] == SAME
            && matches!(pattern.levels[place], 1 | 2)
        {
            pattern.levels[place] = levels::PLACE_IMPLIED;
        }
    }
}

/// Given and family name that stand in each other's field are told by the given name's level alone.
fn swapped(a: View<'_>, b: View<'_>, given: usize, family: usize, pattern: &mut Pattern) {
    if pattern.levels[given] <= 3 || pattern.levels[family] <= 2 {
        return;
    }
    let (Some(given_a), Some(given_b)) = (a.first(given), b.first(given)) else { return };
    let (Some(family_a), Some(family_b)) = (a.first(family), b.first(family)) else {
        return;
    };
    let near =
        |x: &Value<'_>, y: &Value<'_>| x.hash() == y.hash() || levels::one_edit(x.bytes, y.bytes);
    let is_one_equal = given_a.hash() == family_b.hash() || family_a.hash() == given_b.hash();
    if is_one_equal && near(&given_a, &family_b) && near(&family_a, &given_b) {
        pattern.levels[given] = levels::GIVEN_SWAPPED;
        pattern.levels[family] = levels::FAMILY_SWAPPED;
        let least =
            given_a.rarity().min(family_a.rarity()).min(given_b.rarity().min(family_b.rarity()));
        pattern.rarity[given] = given_a.rarity().max(given_b.rarity()).max(least);
    }
}
