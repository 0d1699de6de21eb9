//! The words that made-up people and companies are built from.

use crate::rng::Rng;
use std::collections::BTreeMap;

/// How many of the possible rare surnames are in use.
const RARE_SURNAMES: usize = 24_000;

/// A town, with what its postcodes start with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct City {
    /// As its people write it.
    pub(crate) name: &'static str,
    /// ISO 3166 code of two letters.
    pub(crate) country: &'static str,
    /// The first characters of its postcodes.
    pub(crate) postcode_start: &'static str,
}

/// All words, read from the files in `xtask/data`.
pub(crate) struct Words {
    pub(crate) first_names: Vec<&'static str>,
    pub(crate) last_names: Vec<&'static str>,
    nicknames: BTreeMap<&'static str, Vec<&'static str>>,
    pub(crate) cities: Vec<City>,
    countries: BTreeMap<&'static str, (&'static str, &'static str)>,
    pub(crate) street_names: Vec<&'static str>,
    /// Street kinds, each with its abbreviation.
    pub(crate) street_kinds: Vec<(&'static str, &'static str)>,
    company_first: Vec<&'static str>,
    company_second: Vec<&'static str>,
    company_forms: Vec<&'static str>,
    pub(crate) mail_hosts: Vec<&'static str>,
    /// Spellings that sound alike.
    pub(crate) sounds: Vec<(&'static str, &'static str)>,
}

impl Words {
    /// Reads the word lists that are built in.
    pub(crate) fn new() -> Self {
        let nicknames = pairs(include_str!("../data/nicknames.txt"));
        let countries = rows(include_str!("../data/countries.txt"));
        Self {
            first_names: list(include_str!("../data/first-names.txt")),
            last_names: list(include_str!("../data/last-names.txt")),
            nicknames: nicknames.into_iter().map(|(name, short)| (name, list(short))).collect(),
            cities: rows(include_str!("../data/cities.txt"))
                .into_iter()
                .map(|[name, country, postcode_start]| City { name, country, postcode_start })
                .collect(),
            countries: countries
                .into_iter()
                .map(|[code, name, dial]| (code, (name, dial)))
                .collect(),
            street_names: list(include_str!("../data/street-names.txt")),
            street_kinds: pairs(include_str!("../data/street-kinds.txt")),
            company_first: list(include_str!("../data/company-first-words.txt")),
            company_second: list(include_str!("../data/company-second-words.txt")),
            company_forms: list(include_str!("../data/company-forms.txt")),
            mail_hosts: list(include_str!("../data/mail-hosts.txt")),
            sounds: pairs(include_str!("../data/sounds.txt")),
        }
    }

    /// The short forms of a first name; empty where it has none.
    pub(crate) fn nicknames(&self, first_name: &str) -> &[&'static str] {
        self.nicknames.get(first_name).map_or(&[], Vec::as_slice)
    }

    /// The English name of a country by its code.
    pub(crate) fn country_name(&self, code: &str) -> &'static str {
        self.countries[code].0
    }

    /// The international dialling code of a country by its code, without a plus sign.
    pub(crate) fn dial_code(&self, code: &str) -> &'static str {
        self.countries[code].1
    }

    /// The name of company number `number`; different numbers have different names.
    pub(crate) fn company(&self, number: usize) -> String {
        let (firsts, seconds) = (self.company_first.len(), self.company_second.len());
        let series = number / (firsts * seconds);
        let second = (number * 31 + number / firsts) % seconds;
        let mut name =
            format!("{} {}", self.company_first[number % firsts], self.company_second[second]);
        if series > 0 {
            name.push_str(&format!(" {}", series + 1));
        }
        // The last place stands for companies that are known without a legal form.
        if let Some(form) =
            self.company_forms.get((series + number) % (self.company_forms.len() + 1))
        {
            name.push(' ');
            name.push_str(form);
        }
        name
    }

    /// Surnames made of syllables, in an order of chance.
    pub(crate) fn rare_surnames(&self, rng: &mut Rng) -> Vec<String> {
        let starts = list(include_str!("../data/surname-starts.txt"));
        let middles = list(include_str!("../data/surname-middles.txt"));
        let ends = list(include_str!("../data/surname-ends.txt"));
        let mut numbers: Vec<usize> = (0..starts.len() * middles.len() * ends.len()).collect();
        rng.shuffle(&mut numbers);
        let name = |number: usize| {
            let (start, rest) = (number % starts.len(), number / starts.len());
            [starts[start], middles[rest % middles.len()], ends[rest / middles.len()]].concat()
        };
        numbers.into_iter().take(RARE_SURNAMES).map(name).collect()
    }
}

/// Positions `0..count`, each repeated so that a uniform draw follows a power law: position `i` has
/// weight `1 / (i + 1.5)^power`. About `size` long; every position is in it.
pub(crate) fn power_law(count: usize, size: usize, power: f64) -> Vec<u32> {
    let weights: Vec<f64> = (0..count).map(|i| (i as f64 + 1.5).powf(-power)).collect();
    let total: f64 = weights.iter().sum();
    let times = |weight: f64| ((size as f64 * weight / total) as usize).max(1);
    (0..).zip(weights).flat_map(|(i, weight)| std::iter::repeat_n(i, times(weight))).collect()
}

/// `text` without accents and marks, in ASCII.
pub(crate) fn plain(text: &str) -> String {
    deunicode::deunicode(text)
}

/// `text` as it stands in addresses: lower-case ASCII letters and digits only.
pub(crate) fn slug(text: &str) -> String {
    plain(text)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

fn list(text: &'static str) -> Vec<&'static str> {
    text.split_whitespace().collect()
}

fn pairs(text: &'static str) -> Vec<(&'static str, &'static str)> {
    rows(text).into_iter().map(|[one, two]| (one, two)).collect()
}

fn rows<const N: usize>(text: &'static str) -> Vec<[&'static str; N]> {
    let row = |line: &'static str| -> [&'static str; N] {
        line.split(';')
            .collect::<Vec<_>>()
            .try_into()
            .expect("every row of a word list has its columns")
    };
    text.lines().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_word_needs_quotes_in_csv_or_json() {
        let words = Words::new();
        let rare = words.rare_surnames(&mut Rng::new(1));
        let all = words.first_names.iter().chain(&words.last_names).copied();
        let all = all.chain(rare.iter().map(String::as_str));
        let all = all.chain(words.cities.iter().map(|city| city.name));
        for word in all {
            assert!(!word.contains(['"', ',', ';', '\\', '\n']), "{word}");
        }
        assert_eq!(rare.len(), RARE_SURNAMES);
    }

    #[test]
    fn companies_have_names_of_their_own() {
        let words = Words::new();
        let names: BTreeSet<String> = (0..60_000).map(|number| words.company(number)).collect();
        assert_eq!(names.len(), 60_000);
    }

    #[test]
    fn slugs_are_plain_letters() {
        for (text, expected) in
            [("O'Brien", "obrien"), ("Łukasz", "lukasz"), ("Åse Weiß", "aseweiss")]
        {
            assert_eq!(slug(text), expected);
        }
    }

    #[test]
    fn the_first_positions_are_drawn_most() {
        let table = power_law(100, 1000, 0.5);
        let count = |position: u32| table.iter().filter(|&&i| i == position).count();
        assert!(count(0) > 2 * count(20));
        assert!(count(99) >= 1);
    }
}
