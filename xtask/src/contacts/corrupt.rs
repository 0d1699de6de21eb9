//! What goes wrong between two records of the same person.

use super::Contact;
use super::people::{phone, postcode, street, street_text};
use crate::rng::Rng;
use crate::words::{Words, plain};

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
enum Damage {
    FirstNameTypo,
    LastNameTypo,
    Nickname,
    NamesSwapped,
    LastNameBySound,
    FirstNameBySound,
    NoEmail,
    NoPhone,
    NoBirthDate,
    NoCompany,
    NoAddress,
    OtherMailHost,
    EmailTypo,
    PhoneRewritten,
    LetterCase,
    AccentsLost,
    CountryInFull,
    StreetAbbreviated,
    BirthDateWrong,
    Moved,
}

/// How often each happens, in thousandths of all damage.
const DAMAGE: [(Damage, u32); 20] = [
    (Damage::FirstNameTypo, 110),
    (Damage::LastNameTypo, 130),
    (Damage::Nickname, 90),
    (Damage::NamesSwapped, 40),
    (Damage::LastNameBySound, 90),
    (Damage::FirstNameBySound, 40),
    (Damage::NoEmail, 50),
    (Damage::NoPhone, 50),
    (Damage::NoBirthDate, 30),
    (Damage::NoCompany, 40),
    (Damage::NoAddress, 30),
    (Damage::OtherMailHost, 60),
    (Damage::EmailTypo, 30),
    (Damage::PhoneRewritten, 70),
    (Damage::LetterCase, 40),
    (Damage::AccentsLost, 30),
    (Damage::CountryInFull, 20),
    (Damage::StreetAbbreviated, 20),
    (Damage::BirthDateWrong, 15),
    (Damage::Moved, 15),
];

/// Damages `contact`, the clean contact of a person with the national phone number `national`, once or
/// several times.
pub(super) fn corrupt(
    contact: &mut Contact,
    national: u64,
    words: &Words,
    hard: bool,
    rng: &mut Rng,
) {
    let first_name = contact.first_name.clone();
    let country = contact.country.clone();
    let more: &[f64] = if hard { &[1.0, 0.8, 0.6] } else { &[] };
    let times = more.iter().chain(&[1.0, 0.65, 0.4, 0.2, 0.1]);
    for _ in 0..times.filter(|&&share| rng.chance(share)).count() {
        match draw(rng) {
            Damage::Nickname => nickname(contact, words.nicknames(&first_name), rng),
            Damage::PhoneRewritten => {
                contact.phone = phone(national, words.dial_code(&country), 1 + rng.below(5));
            }
            Damage::CountryInFull => contact.country = words.country_name(&country).to_owned(),
            damage @ (Damage::OtherMailHost | Damage::StreetAbbreviated | Damage::Moved) => {
                address(contact, damage, words, rng);
            }
            damage => text(contact, damage, words, rng),
        }
    }
}

fn draw(rng: &mut Rng) -> Damage {
    let mut left = rng.below(1000) as u32;
    for (damage, weight) in DAMAGE {
        if left < weight {
            return damage;
        }
        left -= weight;
    }
    Damage::Moved
}

fn text(c: &mut Contact, damage: Damage, words: &Words, rng: &mut Rng) {
    match damage {
        Damage::FirstNameTypo => c.first_name = typo(&c.first_name, rng),
        Damage::LastNameTypo => c.last_name = typo(&c.last_name, rng),
        Damage::EmailTypo => c.email = typo(&c.email, rng),
        Damage::NamesSwapped => std::mem::swap(&mut c.first_name, &mut c.last_name),
        Damage::LastNameBySound => c.last_name = by_sound(&c.last_name, words, rng),
        Damage::FirstNameBySound => c.first_name = by_sound(&c.first_name, words, rng),
        Damage::NoEmail => c.email.clear(),
        Damage::NoPhone => c.phone.clear(),
        Damage::NoBirthDate => c.birth_date.clear(),
        Damage::NoCompany => c.company.clear(),
        Damage::NoAddress => {
            c.street.clear();
            c.postcode.clear();
        }
        Damage::LetterCase => letter_case(c, rng),
        Damage::AccentsLost => {
            for text in [&mut c.first_name, &mut c.last_name, &mut c.city] {
                *text = plain(text);
            }
        }
        Damage::BirthDateWrong => c.birth_date = wrong_date(&c.birth_date),
        _ => {}
    }
}

fn address(c: &mut Contact, damage: Damage, words: &Words, rng: &mut Rng) {
    match damage {
        Damage::OtherMailHost => {
            if let Some((name, _)) = c.email.split_once('@') {
                c.email = format!("{name}@{}", rng.pick(&words.mail_hosts));
            }
        }
        Damage::StreetAbbreviated => {
            for (kind, short) in &words.street_kinds {
                if let Some(start) = c.street.strip_suffix(kind) {
                    c.street = format!("{start}{short}");
                    break;
                }
            }
        }
        _ => {
            let city = *rng.pick(&words.cities);
            c.city = city.name.to_owned();
            c.country = city.country.to_owned();
            c.postcode = postcode(city, rng);
            c.street = street_text(words, street(words, rng));
        }
    }
}

fn nickname(c: &mut Contact, nicknames: &[&str], rng: &mut Rng) {
    if !nicknames.is_empty() {
        c.first_name = (*rng.pick(nicknames)).to_owned();
    } else if rng.chance(0.4) {
        c.first_name = c.first_name.chars().take(1).chain(['.']).collect();
    } else {
        c.first_name = typo(&c.first_name, rng);
    }
}

fn letter_case(c: &mut Contact, rng: &mut Rng) {
    let change: fn(&str) -> String = match rng.unit() {
        draw if draw < 0.4 => str::to_uppercase,
        draw if draw < 0.7 => str::to_lowercase,
        _ => {
            c.email.make_ascii_uppercase();
            return;
        }
    };
    c.first_name = change(&c.first_name);
    c.last_name = change(&c.last_name);
}

/// `text` with one slip of the keyboard after its first letter: a letter added, lost or wrong, or two
/// swapped. Text of fewer than three letters stays as it is.
pub(crate) fn typo(text: &str, rng: &mut Rng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.len() < 3 {
        return text.to_owned();
    }
    let place = rng.below(letters.len() - 1);
    let slip = char::from(b'a' + rng.below(26) as u8);
    match rng.below(4) {
        0 => letters.insert(place + 1, slip),
        1 => {
            letters.remove(place + 1);
        }
        2 => letters[place + 1] = slip,
        _ => letters.swap(place, place + 1),
    }
    letters.into_iter().collect()
}

/// `text` with one sound spelt another way; as it is where it has none of the sounds.
fn by_sound(text: &str, words: &Words, rng: &mut Rng) -> String {
    let lower = text.to_lowercase();
    if lower.len() != text.len() {
        return text.to_owned();
    }
    let start = rng.below(words.sounds.len());
    for offset in 0..words.sounds.len() {
        let (sound, other) = words.sounds[(start + offset) % words.sounds.len()];
        let inside = lower
            .char_indices()
            .nth(1)
            .and_then(|(second, _)| lower[second..].find(sound).map(|place| place + second));
        if let Some(place) = inside {
            return format!("{}{other}{}", &text[..place], &text[place + sound.len()..]);
        }
        if lower.starts_with(sound) {
            let (first, rest) = other.split_at(1);
            return format!("{}{rest}{}", first.to_uppercase(), &text[sound.len()..]);
        }
    }
    text.to_owned()
}

/// Day and month swapped where that gives a date, else another last digit of the year.
fn wrong_date(date: &str) -> String {
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else {
        return date.to_owned();
    };
    if day <= "12" {
        return format!("{year}-{day}-{month}");
    }
    let digit = (year.as_bytes()[3] - b'0' + 1) % 10;
    format!("{}{digit}-{month}-{day}", &year[..3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_adds_up_to_a_thousand() {
        assert_eq!(DAMAGE.iter().map(|(_, weight)| weight).sum::<u32>(), 1000);
    }

    #[test]
    fn a_typo_is_one_slip() {
        let mut rng = Rng::new(3);
        for _ in 0..200 {
            let typed = typo("Björn", &mut rng);
            assert!((4..=6).contains(&typed.chars().count()), "{typed}");
        }
        assert_eq!(typo("Al", &mut rng), "Al");
    }

    #[test]
    fn dates_go_wrong_in_two_ways() {
        for (date, expected) in
            [("1980-05-07", "1980-07-05"), ("1991-02-28", "1992-02-28"), ("", "")]
        {
            assert_eq!(wrong_date(date), expected);
        }
    }

    #[test]
    fn sounds_are_spelt_another_way() {
        let words = Words::new();
        let mut rng = Rng::new(5);
        for _ in 0..100 {
            for name in ["Philipps", "Łukasz", "Öberg", "Åse", "X"] {
                assert!(!by_sound(name, &words, &mut rng).is_empty());
            }
        }
    }
}
