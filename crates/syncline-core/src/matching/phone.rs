//! Phone numbers in international form (ITU-T E.164), where it is known in which country they were written.
//!
//! The table holds, by ISO 3166 code: the country's calling code, what is dialled before national and before
//! international numbers, and how many digits a number has without these. Source: the numbering plans that the ITU
//! publishes (Operational Bulletin, E.129).

use super::contact::{country_code_len, digits};
use super::normalise::Normal;
use crate::config::model::Country;

/// How numbers are written in a country.
struct Plan {
    /// ISO 3166-1, two letters.
    country: &'static str,
    /// The country's calling code.
    code: &'static str,
    /// What is dialled before national numbers; empty where nothing is.
    trunk: &'static str,
    /// What is dialled before international numbers; `00` besides.
    abroad: &'static str,
    /// How many digits there are at least, without any of these.
    min: usize,
    /// And at most.
    max: usize,
}

/// The most digits of an international number.
const DIGITS_MAX: usize = 15;
/// With fewer digits it is an extension or a placeholder.
const DIGITS_MIN: usize = 5;

const fn plan(
    country: &'static str,
    code: &'static str,
    trunk: &'static str,
    abroad: &'static str,
    min: usize,
    max: usize,
) -> Plan {
    Plan { country, code, trunk, abroad, min, max }
}

/// Sorted by country.
const PLANS: [Plan; 71] = [
    plan("AE", "971", "0", "00", 8, 9),
    plan("AR", "54", "0", "00", 10, 11),
    plan("AT", "43", "0", "00", 5, 13),
    plan("AU", "61", "0", "0011", 9, 9),
    plan("BE", "32", "0", "00", 8, 9),
    plan("BG", "359", "0", "00", 7, 9),
    plan("BR", "55", "0", "00", 10, 11),
    plan("CA", "1", "1", "011", 10, 10),
    plan("CH", "41", "0", "00", 9, 9),
    plan("CL", "56", "", "00", 9, 9),
    plan("CN", "86", "0", "00", 9, 11),
    plan("CO", "57", "", "00", 8, 10),
    plan("CY", "357", "", "00", 8, 8),
    plan("CZ", "420", "", "00", 9, 9),
    plan("DE", "49", "0", "00", 6, 13),
    plan("DK", "45", "", "00", 8, 8),
    plan("EE", "372", "", "00", 7, 8),
    plan("EG", "20", "0", "00", 8, 10),
    plan("ES", "34", "", "00", 9, 9),
    plan("FI", "358", "0", "00", 5, 12),
    plan("FR", "33", "0", "00", 9, 9),
    plan("GB", "44", "0", "00", 9, 10),
    plan("GR", "30", "", "00", 10, 10),
    plan("HK", "852", "", "001", 8, 8),
    plan("HR", "385", "0", "00", 8, 9),
    plan("HU", "36", "06", "00", 8, 9),
    plan("ID", "62", "0", "001", 8, 12),
    plan("IE", "353", "0", "00", 7, 9),
    plan("IL", "972", "0", "00", 8, 9),
    plan("IN", "91", "0", "00", 10, 10),
    plan("IS", "354", "", "00", 7, 9),
    plan("IT", "39", "", "00", 6, 11),
    plan("JP", "81", "0", "010", 9, 10),
    plan("KE", "254", "0", "000", 9, 9),
    plan("KR", "82", "0", "001", 8, 10),
    plan("KZ", "7", "8", "810", 10, 10),
    plan("LT", "370", "0", "00", 8, 8),
    plan("LU", "352", "", "00", 5, 11),
    plan("LV", "371", "", "00", 8, 8),
    plan("MA", "212", "0", "00", 9, 9),
    plan("MT", "356", "", "00", 8, 8),
    plan("MX", "52", "", "00", 10, 10),
    plan("MY", "60", "0", "00", 8, 10),
    plan("NG", "234", "0", "009", 8, 10),
    plan("NL", "31", "0", "00", 9, 9),
    plan("NO", "47", "", "00", 8, 8),
    plan("NZ", "64", "0", "00", 8, 10),
    plan("PE", "51", "0", "00", 8, 9),
    plan("PH", "63", "0", "00", 8, 10),
    plan("PK", "92", "0", "00", 9, 10),
    plan("PL", "48", "", "00", 9, 9),
    plan("PT", "351", "", "00", 9, 9),
    plan("QA", "974", "", "00", 7, 8),
    plan("RO", "40", "0", "00", 9, 9),
    plan("RS", "381", "0", "00", 8, 9),
    plan("RU", "7", "8", "810", 10, 10),
    plan("SA", "966", "0", "00", 8, 9),
    plan("SE", "46", "0", "00", 7, 10),
    plan("SG", "65", "", "001", 8, 8),
    plan("SI", "386", "0", "00", 8, 8),
    plan("SK", "421", "0", "00", 9, 9),
    plan("TH", "66", "0", "001", 8, 9),
    plan("TN", "216", "", "00", 8, 8),
    plan("TR", "90", "0", "00", 10, 10),
    plan("TW", "886", "0", "002", 8, 9),
    plan("UA", "380", "0", "00", 9, 9),
    plan("US", "1", "1", "011", 10, 10),
    plan("UY", "598", "0", "00", 8, 8),
    plan("VE", "58", "0", "00", 10, 10),
    plan("VN", "84", "0", "00", 9, 10),
    plan("ZA", "27", "0", "00", 9, 9),
];

/// The country of which a person wrote the code, in any case.
pub(super) fn country(code: &str) -> Option<Country> {
    let code = code.to_ascii_uppercase();
    let [first, second] = code.as_bytes() else { return None };
    PLANS.iter().any(|plan| plan.country == code).then_some(Country([*first, *second]))
}

/// The codes of all countries that are known.
pub(super) fn countries() -> impl Iterator<Item = &'static str> {
    PLANS.iter().map(|plan| plan.country)
}

fn plan_of(country: Country) -> &'static Plan {
    let found = PLANS.binary_search_by(|plan| plan.country.as_bytes().cmp(&country.0));
    &PLANS[found.unwrap_or(0)]
}

/// The normaliser `phone`, of numbers that are of `country` where they do not say: `+`, the country's code and the number.
/// What fits no number there keeps its digits alone.
pub(super) fn e164(country: Country, text: &str, scratch: &mut String) -> Normal {
    let plan = plan_of(country);
    let is_international = digits(text, scratch);
    if scratch.len() < DIGITS_MIN {
        return Normal::Built(0..0);
    }
    let prefix = [plan.abroad, "00"].into_iter().find(|prefix| scratch.starts_with(prefix));
    match (is_international, prefix) {
        (true, _) => international(scratch, 0),
        (false, Some(prefix)) => international(scratch, prefix.len()),
        (false, None) => national(plan, scratch),
    }
    let is_too_short = scratch.bytes().filter(u8::is_ascii_digit).count() < DIGITS_MIN;
    Normal::Built(0..if is_too_short { 0 } else { scratch.len() })
}

/// `digits` from `start` on as a number with a country's code, without the zero that is dialled within the country.
fn international(digits: &mut String, start: usize) {
    digits.drain(..start);
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    digits.drain(..zeros);
    let length = country_code_len(digits);
    let code = &digits[..length];
    let drops_zero = PLANS.iter().any(|plan| plan.code == code && plan.trunk == "0");
    if drops_zero {
        let zeros = digits[length..].len() - digits[length..].trim_start_matches('0').len();
        digits.drain(length..length + zeros);
    }
    digits.truncate(DIGITS_MAX);
    digits.insert(0, '+');
}

fn national(plan: &Plan, digits: &mut String) {
    let fits = |length: usize| (plan.min..=plan.max).contains(&length);
    let bare = match digits.strip_prefix(plan.trunk) {
        Some(rest) if !plan.trunk.is_empty() && (plan.trunk == "0" || fits(rest.len())) => rest,
        _ => digits.as_str(),
    };
    let has_code = digits.strip_prefix(plan.code).is_some_and(|rest| fits(rest.len()));
    if fits(bare.len()) {
        *digits = format!("+{}{bare}", plan.code);
    } else if has_code {
        international(digits, 0);
    }
    // Else all digits stay: without its zero it might pass for a number that is whole.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_wherever_they_were_written() {
        for (at, text, expected) in [
            ("GB", "020 7946 0958", "+442079460958"),
            ("GB", "+44 (0)20 7946 0958", "+442079460958"),
            ("GB", "0044 20 7946 0958", "+442079460958"),
            ("GB", "44 20 7946 0958", "+442079460958"),
            ("GB", "44 (0)20 7946 095", "+44207946095"),
            ("GB", "44 000000000", ""),
            ("GB", "07700 900123 ext. 4", "+447700900123"),
            ("GB", "+1 (555) 123-4567", "+15551234567"),
            ("US", "(555) 123-4567", "+15551234567"),
            ("US", "1-555-123-4567 x89", "+15551234567"),
            ("US", "011 44 20 7946 0958", "+442079460958"),
            ("US", "tel:+1-555-123-4567", "+15551234567"),
            ("US", "555-4567", "5554567"),
            ("DE", "030 123456", "+4930123456"),
            ("DE", "+49 (0)30 123456", "+4930123456"),
            ("DE", "49 30 123456", "+494930123456"),
            ("AT", "01 5880", "+4315880"),
            ("IT", "06 1234 5678", "+390612345678"),
            ("IT", "+39 06 1234 5678", "+390612345678"),
            ("FR", "06 12 34 56 78", "+33612345678"),
            ("ES", "612 34 56 78", "+34612345678"),
            ("RU", "8 (495) 123-45-67", "+74951234567"),
            ("RU", "812 123-45-67", "+78121234567"),
            ("RU", "810 44 20 7946 0958", "+442079460958"),
            ("HU", "06 1 234 5678", "+3612345678"),
            ("AU", "0011 1 555 123 4567", "+15551234567"),
            ("AU", "0412 345 678", "+61412345678"),
            ("JP", "090-1234-5678", "+819012345678"),
            ("IN", "098765 43210", "+919876543210"),
            ("DK", "12 34 56 78", "+4512345678"),
            ("DK", "+45 12 34 56 78", "+4512345678"),
            ("BR", "(011) 91234-5678", "+5511912345678"),
            ("GB", "1234", ""),
            ("GB", "n/a", ""),
            ("GB", "12345", "12345"),
        ] {
            let mut scratch = String::new();
            let Normal::Built(range) = e164(country(at).unwrap(), text, &mut scratch) else {
                panic!("{text} was handed back");
            };
            assert_eq!(&scratch[range], expected, "{at} {text}");
        }
    }

    #[test]
    fn countries_are_sorted_and_known_by_their_code() {
        assert!(PLANS.is_sorted_by(|a, b| a.country < b.country));
        assert_eq!(country("gb"), Some(Country(*b"GB")));
        assert_eq!((country("UK"), country("Germany"), country("")), (None, None, None));
        for plan in &PLANS {
            assert_eq!(country_code_len(&format!("{}1234567", plan.code)), plan.code.len());
        }
    }
}
