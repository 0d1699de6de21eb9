//! The people behind the contacts, and the first, clean contact of each.

use super::corrupt::corrupt;
use super::{Contact, Options};
use crate::rng::Rng;
use crate::words::{City, Words, power_law, slug};
use std::collections::HashMap;

/// How often something is so in the data.
#[derive(Clone, Copy, Debug)]
struct Shares {
    no_phone: f64,
    no_email: f64,
    no_birth_date: f64,
    no_street: f64,
    no_company: f64,
    relative: f64,
    /// A relative with the same first name too: junior and senior.
    namesake: f64,
    common_surname: f64,
}

const EASY: Shares = Shares {
    no_phone: 0.12,
    no_email: 0.0,
    no_birth_date: 0.25,
    no_street: 0.12,
    no_company: 0.15,
    relative: 0.03,
    namesake: 0.0,
    common_surname: 0.35,
};

const HARD: Shares = Shares {
    no_phone: 0.35,
    no_email: 0.30,
    no_birth_date: 0.45,
    no_street: 0.40,
    no_company: 0.30,
    relative: 0.06,
    namesake: 0.10,
    common_surname: 0.65,
};

/// The share of records that are copies of an earlier person.
const COPIES: f64 = 0.2;
/// The share of copies that go to a person who has one already.
const FURTHER_COPIES: f64 = 0.25;
/// No copies among the first records, no relatives among the first people: there is no one yet.
const RECORDS_BEFORE_COPIES: usize = 21;
const PEOPLE_BEFORE_RELATIVES: usize = 50;

/// A real person, packed, since a million of them are kept.
#[derive(Clone, Debug)]
pub(super) struct Person {
    first_name: u32,
    last_name: u32,
    city: u32,
    company: Option<u32>,
    /// The national phone number of ten digits; 0 where there is none.
    phone: u64,
    street: Option<(u16, u8, u8)>,
    birth_date: Option<(u16, u8, u8)>,
    email: Box<str>,
    postcode: Box<str>,
}

/// All people so far, and the chance that makes more.
pub(super) struct Crowd<'a> {
    words: &'a Words,
    hard: bool,
    shares: Shares,
    rng: Rng,
    people: Vec<Person>,
    /// People who have a copy already, so that clusters grow past two.
    copied: Vec<u32>,
    records: usize,
    last_names: Vec<String>,
    first_name_table: Vec<u32>,
    common_surname_table: Vec<u32>,
    rare_surname_table: Vec<u32>,
    companies: usize,
    company_slugs: HashMap<usize, String>,
}

impl<'a> Crowd<'a> {
    pub(super) fn new(words: &'a Words, options: Options) -> Self {
        let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(options.count as u64);
        let mut rng = Rng::new(seed ^ (u64::from(options.hard) << 63));
        let rare = words.rare_surnames(&mut rng);
        let common = words.last_names.len();
        let shift = |position: u32| position + common as u32;
        let rare_table = power_law(rare.len(), 120_000, 0.45).into_iter().map(shift).collect();
        Self {
            words,
            hard: options.hard,
            shares: if options.hard { HARD } else { EASY },
            people: Vec::with_capacity(options.count - options.count / 6),
            copied: Vec::new(),
            records: 0,
            last_names: words.last_names.iter().map(|&name| name.to_owned()).chain(rare).collect(),
            first_name_table: power_law(words.first_names.len(), 20_000, 0.55),
            common_surname_table: power_law(common, 20_000, 0.5),
            rare_surname_table: rare_table,
            companies: (options.count / 20).max(300),
            company_slugs: HashMap::new(),
            rng,
        }
    }

    /// How many people there are so far.
    pub(super) fn len(&self) -> usize {
        self.people.len()
    }

    /// The next contact, and the number of the person it is about.
    pub(super) fn next_contact(&mut self) -> (Contact, usize) {
        self.records += 1;
        let (mut contact, person) =
            if self.records > RECORDS_BEFORE_COPIES && self.rng.chance(COPIES) {
                let person = self.draw_copied();
                let style = self.phone_style(0.7);
                let mut contact = self.contact_of(person, style);
                let phone = self.people[person].phone;
                corrupt(&mut contact, phone, self.words, self.hard, &mut self.rng);
                (contact, person)
            } else {
                let person = self.new_person();
                self.people.push(person);
                let style = self.phone_style(0.8);
                (self.contact_of(self.len() - 1, style), self.len() - 1)
            };
        contact.modified = self.modified();
        (contact, person)
    }

    fn draw_copied(&mut self) -> usize {
        if !self.copied.is_empty() && self.rng.chance(FURTHER_COPIES) {
            return *self.rng.pick(&self.copied) as usize;
        }
        let person = self.rng.below(self.people.len());
        self.copied.push(person as u32);
        person
    }

    fn new_person(&mut self) -> Person {
        let first_name = *self.rng.pick(&self.first_name_table);
        let relative =
            self.len() > PEOPLE_BEFORE_RELATIVES && self.rng.chance(self.shares.relative);
        let mut person =
            if relative { self.relative(first_name) } else { self.stranger(first_name) };
        if self.rng.chance(self.shares.no_phone) {
            person.phone = 0;
        }
        let company = self.rng.below_skewed(self.companies);
        person.email = self.email(&person, company).into_boxed_str();
        if self.rng.chance(self.shares.no_email) {
            person.email = Box::default();
        }
        person.birth_date = (!self.rng.chance(self.shares.no_birth_date)).then(|| {
            let (year, month) = (1940 + self.rng.below(65), 1 + self.rng.below(12));
            (year as u16, month as u8, 1 + self.rng.below(28) as u8)
        });
        person.company = (!self.rng.chance(self.shares.no_company)).then_some(company as u32);
        if self.rng.chance(self.shares.no_street) {
            person.street = None;
        }
        person
    }

    /// Someone else with the last name and the address of a person drawn by chance.
    fn relative(&mut self, first_name: u32) -> Person {
        let mut person = self.rng.pick(&self.people).clone();
        if !self.rng.chance(self.shares.namesake) {
            person.first_name = first_name;
        }
        if (self.hard && person.phone == 0) || self.rng.chance(0.6) {
            person.phone = self.phone();
        }
        person
    }

    fn stranger(&mut self, first_name: u32) -> Person {
        let common = self.rng.chance(self.shares.common_surname);
        let table = if common { &self.common_surname_table } else { &self.rare_surname_table };
        let last_name = *self.rng.pick(table);
        let city = self.rng.below_skewed(self.words.cities.len());
        Person {
            first_name,
            last_name,
            city: city as u32,
            company: None,
            phone: self.phone(),
            street: Some(street(self.words, &mut self.rng)),
            birth_date: None,
            email: Box::default(),
            postcode: postcode(self.words.cities[city], &mut self.rng).into_boxed_str(),
        }
    }

    fn phone(&mut self) -> u64 {
        2_000_000_000 + self.rng.below(7_999_999_999) as u64
    }

    /// The international form with probability `usual`, else any form.
    fn phone_style(&mut self, usual: f64) -> usize {
        if self.rng.chance(usual) { 0 } else { self.rng.below(6) }
    }

    fn email(&mut self, person: &Person, company: usize) -> String {
        let first = slug(self.words.first_names[person.first_name as usize]);
        let last = slug(&self.last_names[person.last_name as usize]);
        let style = self.rng.unit();
        let host = if self.rng.chance(0.6) {
            let words = self.words;
            let slugs = &mut self.company_slugs;
            format!("{}.com", slugs.entry(company).or_insert_with(|| slug(&words.company(company))))
        } else {
            (*self.rng.pick(&self.words.mail_hosts)).to_owned()
        };
        match style {
            s if s < 0.4 => format!("{first}.{last}@{host}"),
            s if s < 0.55 => format!("{}{last}@{host}", &first[..1]),
            s if s < 0.75 => format!("{first}{last}{}@{host}", self.rng.below(1000)),
            s if s < 0.9 => format!("{first}{}@{host}", self.rng.below(10_000)),
            s if s < 0.91 => format!("info@{host}"),
            s if s < 0.93 => format!("{last}.{first}@{host}"),
            _ => String::new(),
        }
    }

    fn contact_of(&self, person: usize, phone_style: usize) -> Contact {
        let person = &self.people[person];
        let city = self.words.cities[person.city as usize];
        let company = person.company.map(|number| self.words.company(number as usize));
        let date = |(year, month, day)| format!("{year:04}-{month:02}-{day:02}");
        Contact {
            first_name: self.words.first_names[person.first_name as usize].to_owned(),
            last_name: self.last_names[person.last_name as usize].clone(),
            email: person.email.to_string(),
            phone: phone(person.phone, self.words.dial_code(city.country), phone_style),
            company: company.unwrap_or_default(),
            street: person.street.map(|parts| street_text(self.words, parts)).unwrap_or_default(),
            city: city.name.to_owned(),
            postcode: person.postcode.to_string(),
            country: city.country.to_owned(),
            birth_date: person.birth_date.map(date).unwrap_or_default(),
            modified: String::new(),
        }
    }

    /// Some second of the year 2025.
    fn modified(&mut self) -> String {
        let second = self.rng.below(31_536_000);
        let (day, second) = (second / 86_400, second % 86_400);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let (month, day) = (day / 31 + 1, day % 31 % 28 + 1);
        format!("2025-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
    }
}

/// House number, street name and street kind, by position in the word lists.
pub(super) fn street(words: &Words, rng: &mut Rng) -> (u16, u8, u8) {
    let house = 1 + rng.below(300) as u16;
    (house, rng.below(words.street_names.len()) as u8, rng.below(words.street_kinds.len()) as u8)
}

/// A street as it is written.
pub(super) fn street_text(words: &Words, (house, name, kind): (u16, u8, u8)) -> String {
    let kind = words.street_kinds[usize::from(kind)].0;
    format!("{house} {} {kind}", words.street_names[usize::from(name)])
}

/// A postcode of `city` in the form of its country.
pub(crate) fn postcode(city: City, rng: &mut Rng) -> String {
    let start = city.postcode_start;
    let mut letter = || char::from(b'A' + rng.below(26) as u8);
    let (one, two) = (letter(), letter());
    let mut digits = |end: usize| rng.below(end);
    match city.country {
        "US" | "DE" | "FR" | "ES" | "IT" | "FI" => {
            format!("{start}{:05}", digits(100_000)).chars().take(5).collect()
        }
        "GB" => format!("{start}{} {}{one}{two}", digits(20) + 1, digits(9) + 1),
        "PL" => format!("{start}-{:03}", digits(1000)),
        "NL" => format!("{start}{:02} {one}{two}", digits(100)),
        "SE" => format!("{start}{} {:02}", digits(10), digits(100)),
        "IE" => format!("{start}{:02} {one}{:03}", digits(24) + 1, digits(1000)),
        _ => format!("{start}{:02}", digits(100)).chars().take(4).collect(),
    }
}

/// The phone number `national` of ten digits in one of six ways to write it; empty where it is 0.
pub(crate) fn phone(national: u64, dial_code: &str, style: usize) -> String {
    if national == 0 {
        return String::new();
    }
    let digits = format!("{national:010}");
    let (area, exchange, line) = (&digits[..3], &digits[3..6], &digits[6..]);
    match style {
        0 => format!("+{dial_code} {area} {exchange} {line}"),
        1 => format!("+{dial_code}{digits}"),
        2 => format!("({area}) {exchange}-{line}"),
        3 => format!("{area}.{exchange}.{line}"),
        4 => format!("00{dial_code} {} {}", &digits[..4], &digits[4..]),
        _ => format!("{area}-{exchange}-{line}"),
    }
}
