//! What the company's customers are called, by country.

use crate::rng::Rng;
use std::collections::BTreeMap;

/// A town of the customers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Town {
    pub(super) name: &'static str,
    pub(super) country: &'static str,
    pub(super) postcode_start: &'static str,
    /// The dialling code within its country, without the zero in front.
    pub(super) area: &'static str,
}

/// Names and towns, read from the files in `xtask/data`.
pub(super) struct Names {
    first: BTreeMap<&'static str, Vec<&'static str>>,
    last: BTreeMap<&'static str, Vec<&'static str>>,
    nicknames: BTreeMap<&'static str, Vec<&'static str>>,
    streets: BTreeMap<&'static str, Vec<&'static str>>,
    towns: Vec<Town>,
}

impl Names {
    pub(super) fn new() -> Self {
        let town = |line: &'static str| {
            let parts: Vec<&'static str> = line.split(';').collect();
            let [country, name, postcode_start, area] = parts[..] else {
                unreachable!("every town has four columns")
            };
            Town { name, country, postcode_start, area }
        };
        Self {
            first: keyed(include_str!("../../data/crm-first-names.txt")),
            last: keyed(include_str!("../../data/crm-last-names.txt")),
            nicknames: keyed(include_str!("../../data/crm-nicknames.txt")),
            streets: keyed(include_str!("../../data/crm-streets.txt")),
            towns: include_str!("../../data/crm-cities.txt").lines().map(town).collect(),
        }
    }

    /// A town; the first ones, at home, are much more likely.
    pub(super) fn town(&self, rng: &mut Rng) -> Town {
        self.towns[rng.below_skewed(self.towns.len())]
    }

    /// A first and a last name as they are common in `country`.
    pub(super) fn name(&self, country: &str, rng: &mut Rng) -> (&'static str, &'static str) {
        let language = language(country);
        let (first, last) = (&self.first[language], &self.last[language]);
        (*rng.pick(first), *rng.pick(last))
    }

    /// What a street in `country` is named after.
    pub(super) fn street(&self, country: &str, rng: &mut Rng) -> &'static str {
        let names = &self.streets[language(country)];
        names[rng.below(names.len())]
    }

    /// A short form of `first_name`, if it has one.
    pub(super) fn nickname(&self, first_name: &str, rng: &mut Rng) -> Option<&'static str> {
        self.nicknames.get(first_name).map(|short| *rng.pick(short))
    }
}

fn language(country: &str) -> &str {
    match country {
        "AT" | "CH" => "DE",
        other => other,
    }
}

fn keyed(text: &'static str) -> BTreeMap<&'static str, Vec<&'static str>> {
    let row = |line: &'static str| {
        let (key, words) = line.split_once(';').expect("every row of a word list has a key");
        (key, words.split_whitespace().collect())
    };
    text.lines().map(row).collect()
}
